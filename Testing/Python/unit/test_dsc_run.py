"""The whole DSC run on a simulated head with known truth."""

from dataclasses import replace

import dsc_objects
import numpy as np
import pytest

from BMVascularCore.errors import Cancelled, InputError
from BMVascularCore.perfusion.dsc import UNITS, DscSettings, run_dsc
from BMVascularCore.perfusion.dsc_masks import FLAGS
from BMVascularCore.volume import Geometry, Series, Volume

SETTINGS = DscSettings(te_ms=30.0, flip_deg=30.0, preload="no")


def series_of(head, array=None):
    array = head["signal"] if array is None else array
    geometry = Geometry(array.shape[1:], head["spacing_mm"], head["origin_mm"])
    return Series(array, head["times_s"], geometry, "dsc")


@pytest.fixture(scope="module")
def head():
    return dsc_objects.head_object()


@pytest.fixture(scope="module")
def result(head):
    return run_dsc(series_of(head), SETTINGS)


def dice(a, b):
    return 2.0 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def median(image, mask):
    return float(np.nanmedian(image[mask]))


def test_every_map_has_a_unit_and_is_nan_outside_the_brain(result):
    assert set(result.maps) == set(UNITS) == set(result.units)
    for name, image in result.maps.items():
        assert image.dtype == np.float32, name
        assert np.isnan(image[~result.brain]).all(), name
        assert np.isfinite(image[result.valid]).mean() > 0.85, name


def test_brain_is_found_inside_scalp_and_skull(head, result):
    assert dice(result.brain, head["brain"]) > 0.97
    assert not (result.brain & head["skull"]).any()


def test_normalised_blood_volume_is_that_of_the_truth(head, result):
    for name in ("nrcbv", "srcbv"):
        image = result.maps[name]
        assert median(image, head["white"]) == pytest.approx(1.0, abs=0.08), name
        assert median(image, head["grey"]) == pytest.approx(2.25, rel=0.12), name
    assert median(result.maps["nrcbv"], head["lesion"]) == pytest.approx(4.0, rel=0.12)
    uncorrected = result.maps["rcbv_uncorrected"] / median(result.maps["rcbv_uncorrected"], result.nawm)
    error = abs(median(uncorrected, head["lesion"]) / 4.0 - 1.0)
    assert error > 2 * abs(median(result.maps["nrcbv"], head["lesion"]) / 4.0 - 1.0)


def test_white_matter_reference_lies_opposite_the_lesion(head, result):
    assert np.count_nonzero(result.nawm & head["white"]) / np.count_nonzero(result.nawm) > 0.95
    columns = np.argwhere(result.nawm)[:, 2]
    lesion_columns = np.argwhere(head["lesion"])[:, 2]
    assert columns.max() < head["brain"].shape[2] / 2 < lesion_columns.min()
    facts = result.nawm_facts
    assert facts.volume_ml > 1.0
    assert facts.left_right_ratio == pytest.approx(1.0, abs=0.1)
    assert 0 < facts.cv < 0.5


def test_leakage_shows_in_the_lesion_and_nowhere_else(head, result):
    k2, cv = result.maps["k2"], result.maps["k2_cv"]
    assert median(k2, head["lesion"]) < -0.002
    assert abs(median(k2, head["white"])) < 1e-3
    assert median(cv, head["lesion"]) < 0.3 < median(cv, head["white"])
    enhancing = (result.flags & FLAGS["enhancing"]) > 0
    assert enhancing[head["lesion"]].mean() > 0.8
    assert enhancing[head["white"] | head["grey"]].mean() < 0.01


def test_arterial_input_comes_from_the_arteries(head, result):
    voxels = np.unravel_index(result.aif.voxels, result.brain.shape)
    assert head["artery"][voxels].all()
    assert result.aif.quality > 0.5
    assert set(result.aif.criteria)


def test_flow_times_and_recovery(head, result):
    maps = result.maps
    assert median(maps["cbf"], head["grey"]) / median(maps["cbf"], head["white"]) == pytest.approx(
        2.25, rel=0.2
    )
    assert median(maps["tmax"], head["grey"]) == pytest.approx(1.2 + 1.5, abs=2.0)
    assert 3.0 < median(maps["mtt"], head["grey"]) < 9.0
    assert median(maps["ttp"], head["grey"]) == pytest.approx(7.5, abs=3.0)
    assert median(maps["psr"], head["grey"]) > median(maps["psr"], head["lesion"])
    peak = np.nanmax(
        -np.log(head["signal"][:, head["grey"]].mean(axis=1) / head["signal"][:10, head["grey"]].mean())
    )
    assert median(maps["ph"], head["grey"]) == pytest.approx(peak / 0.03, rel=0.1)


def test_signal_and_relaxation_input_agree(head, result):
    array = head["signal"].astype(np.float32)
    base = array[result.bolus.baseline].mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2s = -np.log(np.maximum(array / base, 0.01)) / 0.03
    again = run_dsc(
        series_of(head, np.nan_to_num(r2s).astype(np.float32)),
        DscSettings(input="dr2s"),
        mask=result.brain,
    )
    assert "psr" not in again.maps
    inside = head["white"] | head["grey"]
    np.testing.assert_allclose(
        median(again.maps["nrcbv"], inside), median(result.maps["nrcbv"], inside), rtol=0.03
    )


def test_results_do_not_depend_on_the_chunk_size(head, result):
    for chunk in (1, 5000, 10**7):
        again = run_dsc(series_of(head), replace(SETTINGS, chunk_voxels=chunk))
        for name, image in result.maps.items():
            np.testing.assert_array_equal(again.maps[name], image)


@pytest.mark.parametrize("leakage", ["none", "bsw", "bidirectional"])
@pytest.mark.parametrize("deconvolution", ["csvd", "none"])
def test_every_method_gives_its_maps(head, leakage, deconvolution):
    settings = replace(SETTINGS, leakage=leakage, deconvolution=deconvolution)
    result = run_dsc(series_of(head), settings)
    assert ("k2" in result.maps) == (leakage != "none")
    assert ("cbf" in result.maps) == (deconvolution != "none")
    if leakage == "none":
        np.testing.assert_array_equal(result.maps["rcbv"], result.maps["rcbv_uncorrected"])


def test_given_masks_and_curves_are_used(head, result):
    artery, white = head["artery"], head["white"] & (np.arange(64) < 30)
    marked = run_dsc(
        series_of(head),
        SETTINGS,
        mask=head["brain"],
        exclude=head["lesion"] | head["oedema"],
        aif=artery,
        nawm=white,
    )
    np.testing.assert_array_equal(marked.brain, head["brain"])
    assert (marked.nawm & ~white).sum() == 0
    typed = run_dsc(
        series_of(head), SETTINGS, mask=head["brain"], aif=(head["times_s"], marked.aif.curve), nawm=white
    )
    np.testing.assert_allclose(
        median(typed.maps["cbf"], head["grey"]), median(marked.maps["cbf"], head["grey"]), rtol=0.02
    )


def test_two_echoes_take_t1_out():
    head = dsc_objects.head_object(flip_deg=70.0, slices=4)
    short = head["signal"].astype(np.float64)
    weight = short / short[:10].mean(axis=0).clip(1)
    # TE 30 ms is the object's; the first echo at 5 ms is made from the same relaxation and weighting
    lesion = head["lesion"]
    single = run_dsc(
        series_of(head), DscSettings(te_ms=30.0, flip_deg=70.0, preload="no"), mask=head["brain"]
    )
    r2s = dsc_objects.head_r2s(head)
    steady = weight * np.exp(0.03 * r2s)
    first = short[:10].mean(axis=0) * steady * np.exp(-0.005 * r2s)
    dual = run_dsc(
        series_of(head, first.astype(np.float32)),
        DscSettings(te_ms=5.0, te2_ms=30.0, flip_deg=70.0, preload="no", leakage="none"),
        mask=head["brain"],
        second=series_of(head, short.astype(np.float32)),
    )
    truth = r2s[dual.bolus.start :].sum(axis=0) * 1.5
    ratio = np.median(truth[lesion]) / np.median(truth[dual.nawm])
    assert median(dual.maps["nrcbv"], lesion) == pytest.approx(ratio, rel=0.05)
    uncorrected = single.maps["rcbv_uncorrected"]
    assert abs(median(uncorrected, lesion) / median(uncorrected, single.nawm) / ratio - 1.0) > 0.1


def test_motion_is_measured_and_corrected_only_where_there_is_some(head):
    still = run_dsc(series_of(head), replace(SETTINGS, motion="auto"))
    assert still.summary["motion_mm"] < 0.3
    assert not still.summary["motion_corrected"]
    shift = np.zeros((60, 2))
    shift[35:] = (3.0, -2.0)
    moved = dsc_objects.head_object(shift_mm=shift)
    with_motion = run_dsc(series_of(moved), replace(SETTINGS, motion="auto"))
    assert with_motion.summary["motion_corrected"]
    assert with_motion.summary["motion_mm"] == pytest.approx(np.hypot(3, 2), rel=0.4)
    assert with_motion.summary["motion_residual_mm"] < 0.4 * with_motion.summary["motion_mm"]
    without = run_dsc(series_of(moved), SETTINGS)
    plain = run_dsc(series_of(head), SETTINGS, mask=head["brain"])

    def error(found):
        return np.nanmean(np.minimum(np.abs(found.maps["nrcbv"] - plain.maps["nrcbv"]), 3.0)[head["brain"]])

    assert error(with_motion) < 0.9 * error(without)


@pytest.mark.parametrize("kind", ["signal", "dr2s"])
def test_voxels_without_anatomy_are_never_registered(kind):
    """A reference object of unrelated voxels: what looks like motion is noise and must be left alone."""
    dro = dsc_objects.leakage_object(30, count=300)
    random = np.random.default_rng(0)
    array = dro["signal"] * random.uniform(0.9, 1.1, 300)
    if kind == "dr2s":
        array = -np.log(array / array[2:13].mean(axis=0)) / 0.03
    series = Series(array.reshape(80, 3, 10, 10), dro["times_s"], Geometry((3, 10, 10)), "voxels")
    mask, tumour = np.ones((3, 10, 10), bool), (dro["kind"] == 2).reshape(3, 10, 10)
    settings = replace(SETTINGS, input=kind, deconvolution="none")
    found = [
        run_dsc(series, replace(settings, motion=motion), mask=mask, exclude=tumour).maps["rcbv"]
        for motion in ("auto", "off")
    ]
    np.testing.assert_array_equal(*found)


def test_progress_rises_and_can_cancel(head):
    seen = []
    run_dsc(series_of(head), SETTINGS, progress=lambda fraction, text: seen.append((fraction, text)))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len(seen) >= 6

    def stop(fraction, text):
        if fraction > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        run_dsc(series_of(head), SETTINGS, progress=stop)


def test_methods_text_names_the_settings(result):
    text = result.methods_text
    for part in ("TE 30 ms", "Q.EL1.009", "M.LC1.001", "AICc", "oSVD", "30 deg", "preload: no", "60 frames"):
        assert part in text, part


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"flip_deg": 60.0, "preload": "no"}, "without preload"),
        ({"flip_deg": 60.0, "preload": "unknown"}, "Preload unknown"),
        ({"flip_deg": None}, "Flip angle unknown"),
        ({"te_ms": 3.0}, "is it in ms"),
    ],
)
def test_protocol_is_commented(head, settings, part):
    found = run_dsc(series_of(head), replace(SETTINGS, deconvolution="none", **settings), mask=head["brain"])
    assert any(part in warning for warning in found.warnings)


def test_mirrored_geometry_gives_the_same_numbers(head, result):
    """The same head stored right to left: the side is taken from the geometry, not from the array."""
    array = head["signal"][..., ::-1].copy()
    geometry = Geometry(
        array.shape[1:],
        head["spacing_mm"],
        (head["origin_mm"][0] + 63 * head["spacing_mm"][0], *head["origin_mm"][1:]),
        (-1.0, 0, 0, 0, 1, 0, 0, 0, 1),
    )
    again = run_dsc(Series(array, head["times_s"], geometry, "dsc"), SETTINGS)
    assert dice(again.nawm[..., ::-1], result.nawm) > 0.9
    assert median(again.maps["nrcbv"][..., ::-1], head["lesion"]) == pytest.approx(
        median(result.maps["nrcbv"], head["lesion"]), rel=0.03
    )


def test_masks_on_another_grid_are_refused(head):
    other = Geometry(head["brain"].shape, (2.0, 2.0, 5.0))
    with pytest.raises(InputError, match="voxel grid"):
        run_dsc(series_of(head), SETTINGS, mask=Volume(head["brain"], other))
    with pytest.raises(InputError, match="shape"):
        run_dsc(series_of(head), SETTINGS, exclude=np.ones((2, 3, 4), bool))
