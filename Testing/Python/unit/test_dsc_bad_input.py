"""Bad DSC input ends in a flag map, a warning or one clear sentence; never in a silent number."""

from dataclasses import replace

import dsc_objects
import numpy as np
import pytest

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.dsc import DscSettings, run_dsc
from BMVascularCore.perfusion.dsc_masks import FLAGS
from BMVascularCore.volume import Geometry, Series

SETTINGS = DscSettings(te_ms=30.0, flip_deg=30.0, preload="no")


@pytest.fixture(scope="module")
def head():
    return dsc_objects.head_object(slices=4, size=48)


def run(head, array=None, times=None, settings=SETTINGS, **masks):
    array = head["signal"] if array is None else array
    times = head["times_s"][: len(array)] if times is None else times
    geometry = Geometry(array.shape[1:], head["spacing_mm"], head["origin_mm"])
    return run_dsc(Series(array, times, geometry, "dsc"), settings, **masks)


def flagged(result, name):
    return (result.flags & FLAGS[name]) > 0


def test_bad_voxels_are_flagged_and_nan(head):
    array = head["signal"].astype(np.float32)
    places = np.argwhere(head["grey"])[::50][:5]
    faults = {"not_finite": np.nan, "no_signal": 0.0}
    expected = []
    for place, (name, value) in zip(
        places, [*faults.items(), ("no_signal", -20.0), ("no_signal", 700.0)], strict=False
    ):
        array[:, *place] = value
        expected.append((tuple(place), name))
    array[30, *places[4]] = np.inf
    expected.append((tuple(places[4]), "not_finite"))
    result = run(head, array, mask=head["brain"])
    for place, name in expected:
        assert flagged(result, name)[place], name
        assert not result.valid[place]
        assert all(np.isnan(image[place]) for image in result.maps.values())
    others = head["grey"] & (result.flags == 0)
    assert np.isfinite(result.maps["rcbv"][others]).all()


def test_negative_signal_inside_the_bolus_stays_finite(head):
    array = head["signal"].astype(np.float32)
    place = tuple(np.argwhere(head["grey"])[100])
    array[18, *place] = -5.0
    result = run(head, array, mask=head["brain"])
    assert np.isfinite(result.maps["rcbv"][place])
    assert flagged(result, "saturated")[place]
    assert not result.valid[place]


def test_signal_void_is_flagged_as_susceptibility(head):
    array = head["signal"].copy()
    hole = np.zeros(head["brain"].shape, bool)
    hole[0, 12:17, 20:27] = head["brain"][0, 12:17, 20:27]
    array[:, hole] = array[:, hole] // 5
    result = run(head, array, mask=head["brain"])
    marked = flagged(result, "susceptibility") | flagged(result, "low_signal")
    assert marked[hole].mean() > 0.8
    assert marked[head["white"] & ~hole].mean() < 0.01


def test_echo_time_is_obligatory_and_taken_from_dicom(head):
    with pytest.raises(InputError, match="--te in milliseconds"):
        run(head, settings=replace(SETTINGS, te_ms=None))
    geometry = Geometry(head["brain"].shape, head["spacing_mm"], head["origin_mm"])
    series = Series(head["signal"], head["times_s"], geometry, "dsc", {"echo_time_s": 0.03, "flip_deg": 30.0})
    result = run_dsc(series, replace(SETTINGS, te_ms=None), mask=head["brain"])
    assert "TE 30 ms" in result.methods_text


@pytest.mark.parametrize("te", [0.0, -3.0, 0.03, np.nan, 30000.0])
def test_impossible_echo_times_are_refused(head, te):
    with pytest.raises(InputError):
        run(head, settings=replace(SETTINGS, te_ms=te))


@pytest.mark.parametrize("frames", [2, 4, 7])
def test_too_few_frames(head, frames):
    with pytest.raises(InputError, match="at least 8"):
        run(head, head["signal"][:frames])


def test_no_bolus_and_constant_series(head):
    random = np.random.default_rng(0)
    still = head["signal"][:1] + random.normal(0, 10, head["signal"].shape)
    with pytest.raises(InputError, match=r"no bolus|no contrast bolus|last frames"):
        run(head, still.astype(np.float32), mask=head["brain"])
    with pytest.raises(InputError):
        run(head, np.full((60, 4, 48, 48), 500, np.int16))
    with pytest.raises(InputError):
        run(head, np.zeros((60, 4, 48, 48), np.int16))


def test_bolus_cut_off(head):
    with pytest.raises(InputError, match=r"cut off|no bolus"):
        run(head, head["signal"][:17], mask=head["brain"])
    result = run(head, head["signal"][:23], mask=head["brain"])
    assert any("ends" in warning for warning in result.warnings)
    assert np.isnan(result.maps["psr"]).all()


def test_baseline_of_one_frame_is_said(head):
    result = run(head, settings=replace(SETTINGS, baseline=(9, 10)), mask=head["brain"])
    assert any("baseline has 1 frame" in warning for warning in result.warnings)
    usual = run(head, mask=head["brain"])
    grey = head["grey"]
    assert np.nanmedian(result.maps["rcbv"][grey]) == pytest.approx(
        np.nanmedian(usual.maps["rcbv"][grey]), rel=0.15
    )


def test_masks(head):
    empty = np.zeros(head["brain"].shape, bool)
    with pytest.raises(InputError, match="empty"):
        run(head, mask=empty)
    with pytest.raises(InputError, match="empty"):
        run(head, aif=empty)
    with pytest.raises(InputError, match="outside the brain"):
        run(head, mask=head["brain"], nawm=head["head"] & ~head["brain"])
    with pytest.raises(InputError, match="reference tissue"):
        run(head, mask=head["brain"], exclude=head["brain"])
    assert run(head, mask=head["brain"], exclude=empty).nawm.any()


@pytest.mark.parametrize(
    ("times", "values", "part"),
    [
        (np.arange(60) * 1.5, np.zeros(60), "zero"),
        (np.arange(60) * 1.5, np.full(60, np.nan), "not finite"),
        (np.arange(30) * 1.5, np.ones(30), "ends at"),
        (np.arange(60) * -1.5, np.ones(60), "do not increase"),
        (np.arange(60) * 1.5, np.ones(50), "differ in number"),
        (500 + np.arange(60) * 1.5, np.ones(60), "no bolus within"),
    ],
    ids=["zeros", "nan", "short", "backward", "unequal", "elsewhere"],
)
def test_wrong_arterial_inputs_are_refused(head, times, values, part):
    with pytest.raises(InputError, match=part):
        run(head, mask=head["brain"], aif=(times, values))


def test_longer_and_finer_arterial_input_is_interpolated_and_said(head):
    fine = np.arange(0, 150, 0.5)
    result = run(head, mask=head["brain"], aif=(fine, 60 * dsc_objects.gamma_bolus(fine, 20.0)))
    assert any("longer than the series" in warning for warning in result.warnings)
    assert any("interpolated" in warning for warning in result.warnings)
    same = 60 * dsc_objects.gamma_bolus(head["times_s"], 20.0)
    np.testing.assert_allclose(result.aif.curve, same, atol=1e-9)


def test_no_artery_leaves_relative_maps(head):
    """Without arteries the search may fail or find tissue: then quality says so, and nRCBV stays."""
    result = run(head, mask=head["white"])
    assert result.aif is None or result.aif.quality < 0.5
    assert np.isfinite(result.maps["nrcbv"][head["white"]]).mean() > 0.9


@pytest.mark.parametrize("shape", [(60, 1, 6, 6), (60, 1, 1, 30), (60, 2, 12, 12)])
def test_tiny_series(shape):
    times = np.arange(60) * 1.5
    random = np.random.default_rng(0)
    curve = 8.0 * dsc_objects.exponential_tissue(times, lambda t: dsc_objects.gamma_bolus(t, 20.0), 4.0, 1.0)
    scale = random.uniform(0.5, 2.0, shape[1:])
    array = (1000 * np.exp(-0.03 * curve[:, None, None, None] * scale)).astype(np.float32)
    result = run_dsc(Series(array, times, Geometry(shape[1:], (2.0, 2.0, 4.0))), SETTINGS)
    assert result.brain.all()
    ratio = result.maps["rcbv"] / scale
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=0.02)


def test_second_echo_must_fit(head):
    geometry = Geometry(head["brain"].shape, head["spacing_mm"], head["origin_mm"])
    short = Series(head["signal"][:50], head["times_s"][:50], geometry, "echo 2")
    with pytest.raises(InputError, match="50 frames"):
        run(head, settings=replace(SETTINGS, te2_ms=60.0), second=short)
    whole = Series(head["signal"], head["times_s"], geometry, "echo 2")
    with pytest.raises(InputError, match="echo time is not known"):
        run(head, second=whole)
    with pytest.raises(InputError, match="same echo time"):
        run(head, settings=replace(SETTINGS, te2_ms=30.0), second=whole)


@pytest.mark.parametrize("field", ["leakage", "deconvolution", "input", "preload", "motion"])
def test_unknown_choices_are_refused(head, field):
    with pytest.raises(InputError, match="not a choice"):
        run(head, settings=replace(SETTINGS, **{field: "other"}))


def test_uneven_times_are_used_as_they_are(head):
    keep = np.r_[0:30, 30:60:2]
    result = run(head, head["signal"][keep], head["times_s"][keep], mask=head["brain"])
    usual = run(head, mask=head["brain"])
    for name in ("nrcbv", "cbf"):
        pair = [np.nanmedian(r.maps[name][head["grey"]]) for r in (result, usual)]
        assert pair[0] == pytest.approx(pair[1], rel=0.15), name
    assert any("uneven" in warning for warning in result.warnings)


@pytest.mark.parametrize("value", [0, np.nan])
def test_a_lost_frame_is_left_out(head, value):
    signal = head["signal"].astype(np.float32)
    signal[40] = value
    geometry = Geometry(head["brain"].shape, head["spacing_mm"], head["origin_mm"])
    series = Series(signal, head["times_s"], geometry, "dsc")
    result = run_dsc(series, DscSettings(te_ms=30.0, flip_deg=30.0, preload="no", motion="off"))
    assert len(result.times_s) == len(signal) - 1
    assert any("40" in text and "left out" in text for text in result.warnings)
    assert np.nanmedian(result.maps["nrcbv"][head["lesion"]]) == pytest.approx(4.0, rel=0.1)
    with pytest.raises(InputError, match="baseline"):
        run_dsc(series, DscSettings(te_ms=30.0, baseline=(2, 50)))
