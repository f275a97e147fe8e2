"""Real patients: dual-echo curves of a leaking tumour, and a concentration patch around an artery."""

import numpy as np
import pytest
import SimpleITK as sitk

from BMVascularCore.io import read_table
from BMVascularCore.perfusion import leakage, relaxation
from BMVascularCore.perfusion.dsc import DscSettings, run_dsc
from BMVascularCore.volume import Geometry, Series


@pytest.fixture(scope="module")
def dual(shared):
    rows = read_table(shared / "data/perfusion/osipi_codecollection/DSC_real/lcb_bni_dualecho.csv")

    def signal(name):
        return np.array([float(row[name]) for row in rows])[:, None]

    base = slice(2, 41)
    curves = {"times": np.arange(len(rows)) * 1.5}
    for tissue in ("NAWM", "tumor"):
        first, second = signal(f"{tissue}_S_TE2ms"), signal(f"{tissue}_S_TE30ms")
        s1, s2 = first[base].mean(axis=0), second[base].mean(axis=0)
        curves[f"{tissue}_dual"] = relaxation.delta_r2s_dual(first, second, s1, s2, 0.002, 0.03)
        curves[f"{tissue}_single"] = relaxation.delta_r2s(second, s2, 0.03)
    return curves


def test_dual_echo_curve_is_the_published_one(dual):
    assert dual["tumor_dual"].max() == pytest.approx(12.75, abs=0.05)
    assert dual["tumor_dual"][-10:].mean() == pytest.approx(6.46, abs=0.1)
    assert dual["tumor_single"].max() == pytest.approx(1.57, abs=0.05)
    assert dual["tumor_single"][-10:].mean() == pytest.approx(-6.59, abs=0.1)


@pytest.mark.parametrize("method", ["bsw", "bidirectional", "auto"])
def test_correction_moves_towards_the_dual_echo_curve(dual, method):
    single, truth = dual["tumor_single"], dual["tumor_dual"]
    corrected, fit = leakage.correct_curves(single, dual["NAWM_single"][:, 0], dual["times"], method, 2)
    before, after = (np.sqrt(np.mean((curve - truth) ** 2)) for curve in (single, corrected))
    assert after < 0.65 * before
    assert fit.k2[0] > 0
    # it cannot be rescued from one echo, and that is said
    assert fit.dominates[0]


def test_series_of_both_echoes(shared):
    rows = read_table(shared / "data/perfusion/osipi_codecollection/DSC_real/lcb_bni_dualecho.csv")

    def series(te):
        names = [f"NAWM_S_TE{te}ms"] * 20 + [f"tumor_S_TE{te}ms"] * 4
        array = np.array([[float(row[name]) for name in names] for row in rows])
        return Series(array.reshape(-1, 1, 4, 6), np.arange(len(rows)) * 1.5, Geometry((1, 4, 6)), f"te{te}")

    tumour = np.zeros((1, 4, 6), bool)
    tumour.ravel()[20:] = True
    settings = DscSettings(te_ms=2.0, te2_ms=30.0, flip_deg=60.0, preload="no", deconvolution="none")
    settings = DscSettings(**{**vars(settings), "leakage": "bsw"})
    result = run_dsc(
        series(2), settings, mask=np.ones((1, 4, 6), bool), exclude=tumour, nawm=~tumour, second=series(30)
    )
    # 1.14: the published ratio of the leakage-corrected dual-echo curves
    assert np.median(result.maps["nrcbv"][tumour]) == pytest.approx(1.14, abs=0.03)
    assert any("rests on the correction" in warning for warning in result.warnings)


def test_real_concentration_patch(shared):
    folder = shared / "data/perfusion/osipi_codecollection/DSC_real"
    image = sitk.ReadImage(str(folder / "test_concentration.nii"))
    array = sitk.GetArrayFromImage(image)
    geometry = Geometry(array.shape[1:], image.GetSpacing()[:3])
    series = Series(array, np.arange(len(array)) * 1.5, geometry, "patch")
    result = run_dsc(series, DscSettings(input="concentration", leakage="bsw"))
    # the patch lies on an artery: its earliest, highest and narrowest voxels must be found
    assert result.aif.curve.max() > 1.5 * result.mean_curve.max()
    assert np.argmax(result.aif.curve) <= np.argmax(result.mean_curve)
    assert result.aif.criteria["full width at half maximum, s"][0] < 12
    assert np.isfinite(result.maps["cbf"][result.valid]).mean() > 0.95
    assert np.isfinite(result.maps["nrcbv"][result.valid]).mean() > 0.95
