"""The DCE facade and its commands: signals with known truth, and input that must be refused."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from BMVascularCore.cli import main
from BMVascularCore.cli.cmd_t1map import split_spgr
from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.concentration import signal_to_concentration
from BMVascularCore.perfusion.convolution import PlasmaCurve
from BMVascularCore.perfusion.dce import DceSettings, run_dce
from BMVascularCore.perfusion.nonlinear import CurveModel
from BMVascularCore.perfusion.population_aif import plasma_curve
from BMVascularCore.perfusion.t1 import spgr_signal
from BMVascularCore.volume import Geometry, Series

TIMES = np.arange(70) * 4.0
PROTOCOL = {"tr_s": 0.005, "flip_deg": 15.0, "relaxivity": 4.5, "hematocrit": 0.42}
SHAPE = (6, 24, 20)
GEOMETRY = Geometry(SHAPE, (8.0, 8.0, 8.0))


def head(noise=0.5, seed=0):
    """A block of tissue with a sinus at the back of the midline: signal, truth, sinus mask, T1."""
    rng = np.random.default_rng(seed)
    blood = plasma_curve("parker", TIMES, 30.0, 0.42) * 0.58
    curve = PlasmaCurve(TIMES / 60, blood / 0.58)
    n = int(np.prod(SHAPE))
    ktrans = rng.uniform(0.02, 0.2, n)
    theta = np.column_stack([ktrans / 0.3, np.full(n, 0.3), np.full(n, 0.03)])
    conc = CurveModel("etofts", curve, TIMES / 60).evaluate(theta)[0]
    t1 = np.full(n, 1.4)
    sinus = np.zeros(SHAPE, bool)
    sinus[1:5, 21:23, 9:11] = True
    conc[sinus.ravel()] = blood
    t1[sinus.ravel()] = 1.65
    rate = 1 / t1[:, None] + 4.5 * conc
    signal = spgr_signal(1 / rate, np.radians(15), 0.005, 5000.0) + rng.normal(0, noise, conc.shape)
    array = signal.T.reshape(len(TIMES), *SHAPE).astype(np.float32)
    return Series(array, TIMES, GEOMETRY), ktrans.reshape(SHAPE), sinus, t1.reshape(SHAPE)


def test_sinus_is_found_and_ktrans_is_true():
    series, ktrans, sinus, t1 = head()
    result = run_dce(series, DceSettings(**PROTOCOL), t1_s=t1)
    assert result.aif_mask.any() and not (result.aif_mask & ~sinus).any()
    assert result.aif_quality["score"] > 0.6
    error = np.abs(result.maps["ktrans"] / ktrans - 1)[~sinus]
    assert np.median(error) < 0.02
    assert result.units["ktrans"] == "1/min" and result.units["se_ktrans"] == "1/min"
    assert "Q.PH1.008" in result.methods_text and "15 degrees" in result.methods_text


def test_given_mask_and_curve_agree():
    series, _, sinus, t1 = head()
    measured = run_dce(series, DceSettings(**PROTOCOL), t1_s=t1, aif_mask=sinus)
    curve = (measured.aif_times_s, measured.aif_plasma_mM)
    given = run_dce(series, DceSettings(**PROTOCOL, aif_is_plasma=True), t1_s=t1, aif=curve)
    assert np.array_equal(measured.maps["ktrans"], given.maps["ktrans"], equal_nan=True)


def test_without_t1_only_the_relative_slope_is_given():
    series, ktrans, sinus, _ = head()
    result = run_dce(series, DceSettings())
    assert set(result.maps) == {"washin", "flags"}
    assert np.median(result.maps["washin"][sinus]) == pytest.approx(1, abs=0.1)
    assert np.corrcoef(result.maps["washin"][~sinus], ktrans[~sinus])[0, 1] > 0.5
    assert any("T1" in text for text in result.warnings)


def test_bad_voxels_carry_their_reason():
    series, _, sinus, t1 = head()
    series.array[:, 0, 0, 0] = 7.0
    series.array[5, 0, 0, 1] = np.nan
    series.array[:, 0, 0, 2] = -np.abs(series.array[:, 0, 0, 2])
    series.array[30, 0, 0, 3] *= 500
    series.array[30, 0, 0, 4] = 0
    t1[0, 0, 5] = np.nan
    mask = np.ones(SHAPE, bool)
    mask[0, 0, 6] = False
    result = run_dce(series, DceSettings(**PROTOCOL), t1_s=t1, mask=mask, aif_mask=sinus)
    assert result.maps["flags"][0, 0, :7].tolist() == [3, 2, 4, 5, 5, 6, 1]
    assert not result.valid[0, 0, :7].any()
    assert np.isnan(result.maps["ktrans"][0, 0, :7]).all()
    assert result.valid[0, 0, 7:].all()


def test_pieces_do_not_change_the_maps():
    series, _, sinus, t1 = head()
    small = run_dce(series, DceSettings(**PROTOCOL, chunk=1), t1_s=t1, aif_mask=sinus)
    large = run_dce(series, DceSettings(**PROTOCOL), t1_s=t1, aif_mask=sinus)
    for name, image in large.maps.items():
        assert np.array_equal(image, small.maps[name], equal_nan=True), name


def aif(values=None, times=TIMES):
    return times, plasma_curve("parker", TIMES, 30.0) if values is None else values


@pytest.mark.parametrize(
    ("changes", "curve", "words"),
    [
        ({}, aif(np.zeros(70)), "no bolus"),
        ({}, aif(np.ones(70)), "no bolus"),
        ({}, aif(np.full(70, np.nan)), "not finite"),
        ({}, aif(times=TIMES[::-1]), "do not increase"),
        ({}, aif(times=TIMES / 60), "seconds"),
        ({}, aif(times=TIMES + 1000), "clock"),
        ({"flip_deg": 150.0}, aif(), "implausible"),
        ({"tr_s": 5.0}, aif(), "implausible"),
        ({"hematocrit": 42.0}, aif(), "hematocrit"),
        ({"model": "magic"}, aif(), "unknown model"),
        ({"baseline": (5, 5)}, aif(), "baseline"),
        ({"baseline": (0, 99)}, aif(), "baseline"),
    ],
)
def test_impossible_calls_are_refused(changes, curve, words):
    series, _, _, t1 = head()
    with pytest.raises(InputError, match=words):
        run_dce(series, DceSettings(**{**PROTOCOL, **changes}), t1_s=t1, aif=curve)


def test_too_few_frames_are_refused():
    series, _, _, t1 = head()
    short = Series(series.array[:5], TIMES[:5], GEOMETRY)
    with pytest.raises(InputError, match="too few"):
        run_dce(short, DceSettings(**PROTOCOL), t1_s=t1, aif=aif())


def test_a_series_without_bolus_is_refused():
    series, _, _, t1 = head()
    flat = Series(np.ones_like(series.array), TIMES, GEOMETRY)
    with pytest.raises(InputError):
        run_dce(flat, DceSettings(**PROTOCOL), t1_s=t1)


def test_cut_off_bolus_is_said():
    series, _, _, t1 = head()
    cut = Series(series.array[:14], TIMES[:14], GEOMETRY)
    result = run_dce(cut, DceSettings(**PROTOCOL), t1_s=t1, aif=(TIMES[:14], aif()[1][:14]))
    assert any("after the bolus" in text for text in result.warnings)
    assert np.isnan(result.maps["iaugc60"]).all()


def test_one_baseline_frame_is_said():
    series, _, _, t1 = head()
    result = run_dce(series, DceSettings(**PROTOCOL, baseline=(3, 4)), t1_s=t1, aif=aif())
    assert any("baseline of 1 frame" in text for text in result.warnings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a.nii:5", ("a.nii", 5.0)), (r"C:\x\a.nrrd:12.5", (r"C:\x\a.nrrd", 12.5))],
)
def test_spgr_argument(text, expected):
    assert split_spgr(text) == expected


@pytest.mark.parametrize("text", ["a.nii", r"C:\x\a.nrrd", "a.nii:", ":5"])
def test_spgr_argument_without_flip(text):
    with pytest.raises(InputError):
        split_spgr(text)


def write(path, array):
    image = sitk.GetImageFromArray(array, isVector=False)
    image.SetSpacing((8.0,) * array.ndim)
    sitk.WriteImage(image, str(path))
    return str(path)


def test_commands_end_to_end(tmp_path):
    series, ktrans, sinus, t1 = head(noise=0.2)
    flips = (3, 10, 20)
    images = [
        write(tmp_path / f"f{f}.nii.gz", spgr_signal(t1, np.radians(f), 0.005, 3000.0).astype(np.float32))
        + f":{f}"
        for f in flips
    ]
    assert main(["t1map", "--spgr", *images, "--tr", "5", "--out", str(tmp_path / "t1"), "--quiet"]) == 0
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "t1" / "t1.nii.gz")))
    assert np.allclose(found, t1, rtol=1e-4)
    dynamic = write(tmp_path / "dce.nii.gz", series.array)
    call = ["dce", dynamic, "--dt", "4", "--tr", "5", "--flip", "15", "--quiet", "--model", "auto"]
    call += ["--t1map", str(tmp_path / "t1" / "t1.nii.gz"), "--out", str(tmp_path / "dce")]
    assert main(call) == 0
    names = {path.name for path in (tmp_path / "dce").iterdir()}
    assert {
        "ktrans.nii.gz",
        "se_ktrans.nii.gz",
        "model.nii.gz",
        "flags.nii.gz",
        "aif.csv",
        "dce.json",
    } <= names
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "dce" / "ktrans.nii.gz")))
    assert np.nanmedian(np.abs(image / ktrans - 1)[~sinus]) < 0.02
    record = json.loads((tmp_path / "dce" / "dce.json").read_text())
    assert record["units"]["ktrans"] == "1/min" and record["summary"]["flag_meaning"]["0"] == "measured"


@pytest.mark.parametrize(
    "extra", [["--dt", "0.01"], ["--flip", "500"], ["--population-aif", "parker", "--aif", "x.csv"]]
)
def test_wrong_calls_exit_with_two(tmp_path, extra, capsys):
    series, *_ = head()
    dynamic = write(tmp_path / "dce.nrrd", series.array)
    call = ["dce", dynamic, "--dt", "4", "--tr", "5", "--flip", "15", "--t10", "1.4", "--quiet", *extra]
    assert main([*call, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_lost_frame_is_left_out():
    series, ktrans, sinus, t1 = head()
    array = series.array.copy()
    array[30] = 0
    array[41] = np.nan
    result = run_dce(Series(array, TIMES, GEOMETRY), DceSettings(**PROTOCOL), t1_s=t1, aif_mask=sinus)
    assert np.median(np.abs(result.maps["ktrans"] / ktrans - 1)[~sinus]) < 0.02
    assert any("30, 41" in text for text in result.warnings)


def test_a_series_that_starts_after_the_bolus_is_refused():
    series, _, _, t1 = head()
    late = Series(series.array[12:], TIMES[12:] - TIMES[12], GEOMETRY)
    with pytest.raises(InputError, match=r"no bolus|before the bolus"):
        run_dce(late, DceSettings(**PROTOCOL), t1_s=t1)


def test_an_input_function_on_another_clock_is_refused():
    series, _, _, t1 = head()
    times, values = aif()
    with pytest.raises(InputError, match="outside the frames"):
        run_dce(series, DceSettings(**PROTOCOL), t1_s=t1, aif=(1000 * times, values))


def test_a_concentration_map_with_noise_around_the_head():
    """Where there is no signal the concentration is anything; it must not be taken for a vessel or the bolus."""
    series, ktrans, sinus, t1 = head(noise=2.0)
    signal = series.array.reshape(len(TIMES), -1).T.astype(float)
    conc = signal_to_concentration(
        signal, signal[:, 1:6].mean(axis=1), t1.ravel(), np.radians(15), 0.005, 4.5
    )
    conc = conc.T.reshape(series.array.shape)
    rng = np.random.default_rng(3)
    edge = np.zeros(SHAPE, bool)
    edge[:, :, :5] = True
    conc[:, edge] = np.where(rng.random((len(TIMES), edge.sum())) < 0.4, rng.exponential(60, edge.sum()), 0)
    settings = DceSettings(concentration=True)
    result = run_dce(Series(conc.astype(np.float32), TIMES, GEOMETRY), settings)
    assert not (result.aif_mask & ~sinus).any()
    assert np.median(np.abs(result.maps["ktrans"] / ktrans - 1)[~sinus & ~edge]) < 0.05
