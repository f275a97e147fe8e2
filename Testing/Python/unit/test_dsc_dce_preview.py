"""Single voxels of a prepared series give the numbers of the run; rows of the per-lesion table."""

import numpy as np
import pytest

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.dce import DceSettings, run_dce
from BMVascularCore.perfusion.dsc import DscSettings, run_dsc
from BMVascularCore.perfusion.lesion_table import COLUMNS, lesion_rows
from BMVascularCore.perfusion.population_aif import plasma_curve
from BMVascularCore.perfusion.preview import DcePreview, DscPreview, voxels_mask
from BMVascularCore.volume import Geometry, Series

GEOMETRY = Geometry.of_affine(np.diag([4.0, 4.0, 5.0, 1.0]), (3, 20, 20))


@pytest.fixture(scope="module")
def dsc_series():
    times = 1.5 * np.arange(50)
    after = np.maximum(times - 15.0, 0.0)
    bolus = after**3 * np.exp(-after / 1.5)
    bolus /= bolus.max()
    rng = np.random.default_rng(3)
    volume = rng.uniform(0.7, 2.0, GEOMETRY.shape)
    leak = np.zeros(GEOMETRY.shape)
    leak[:, 5:9, 5:9] = 0.02
    curve = 6.0 * (volume[None] * bolus[:, None, None, None])
    curve -= 6.0 * leak[None] * (np.cumsum(bolus) * 1.5)[:, None, None, None]
    signal = 500.0 * np.exp(-0.03 * curve) + rng.normal(0, 2.0, curve.shape)
    signal[:, :, 0] = 0.0
    return Series(signal.astype(np.float32), times, GEOMETRY, "DSC")


def test_dsc_voxels_are_those_of_the_run(dsc_series):
    settings = DscSettings(te_ms=30.0, flip_deg=60.0, preload="no")
    result = run_dsc(dsc_series, settings)
    preview = DscPreview(dsc_series, settings)
    for voxel in np.argwhere(result.valid)[::97]:
        found = preview.at(voxel)
        values = {name: (value, error) for name, value, error, _ in found.values}
        k2 = result.maps["k2"][tuple(voxel)]
        assert values["K2"][0] == pytest.approx(k2, rel=1e-5)
        assert values["K2"][1] == pytest.approx(abs(k2) * result.maps["k2_cv"][tuple(voxel)], rel=1e-4)
        assert values["rCBV area"][0] * result.summary["rcbv_scale"] == pytest.approx(
            result.maps["rcbv"][tuple(voxel)], rel=1e-4
        )
        # noise of the curves is 2/500/0.03 = 0.13 1/s: the fit explains the rest
        assert 0.05 < np.std(found.residual[found.baseline[0] :]) < 0.3


def test_a_voxel_without_signal_says_so(dsc_series):
    preview = DscPreview(dsc_series, DscSettings(te_ms=30.0), mask=np.ones(GEOMETRY.shape, bool))
    found = preview.at((1, 0, 5))
    assert found.curve is None and found.fit is None and found.residual is None
    assert "no signal" in found.reason
    assert (found.signal == 0).all()


def test_another_input_function_is_taken(dsc_series):
    preview = DscPreview(dsc_series, DscSettings(te_ms=30.0))
    mask = np.zeros(GEOMETRY.shape, bool)
    mask[1, 12, 12:14] = True
    preview.use_aif(mask)
    assert preview.aif_words.startswith("2 voxels marked by the user; quality")
    curve = -np.log(dsc_series.array[:, mask] / dsc_series.array[preview.bolus.baseline, mask].mean(0)) / 0.03
    assert preview.aif_curve[1] == pytest.approx(curve.mean(axis=1), abs=1e-3)


@pytest.fixture(scope="module")
def dce_series():
    times = 5.0 * np.arange(60)
    plasma = plasma_curve("parker", times, 30.0)
    area = np.concatenate([[0.0], np.cumsum(2.5 * (plasma[1:] + plasma[:-1]))]) / 60.0
    ktrans = np.linspace(0.001, 0.02, np.prod(GEOMETRY.shape)).reshape(GEOMETRY.shape)
    array = 0.03 * plasma[:, None, None, None] + ktrans[None] * area[:, None, None, None]
    array += np.random.default_rng(4).normal(0, 0.003, array.shape)
    return Series(array.astype(np.float32), times, GEOMETRY, "DCE"), (times, plasma)


@pytest.mark.parametrize("model", ["auto", "etofts", "patlak", "tofts", "2cxm"])
@pytest.mark.parametrize("delay", [False, True])
def test_dce_voxels_are_those_of_the_run(dce_series, model, delay):
    series, aif = dce_series
    settings = DceSettings(model=model, concentration=True, aif_is_plasma=True, fit_delay=delay)
    mask = np.zeros(GEOMETRY.shape, bool)
    mask[1, 3:17:5, 10] = True
    result = run_dce(series, settings, mask=mask, aif=aif)
    preview = DcePreview(series, settings, mask=mask, aif=aif)
    for voxel in np.argwhere(mask & (result.maps["flags"] == 0)):
        found = preview.at(voxel)
        values = {name: value for name, value, _, _ in found.values}
        assert values["ktrans"] == pytest.approx(result.maps["ktrans"][tuple(voxel)], rel=1e-3, abs=1e-5)
        # the drawn curve is the one whose residuals were minimised
        assert (found.residual**2).sum() == pytest.approx(result.maps["rss"][tuple(voxel)], rel=2e-3)


def test_dce_voxel_outside_the_mask_says_so(dce_series):
    series, aif = dce_series
    mask = np.zeros(GEOMETRY.shape, bool)
    mask[1, 3, 3] = True
    preview = DcePreview(series, DceSettings(concentration=True), mask=mask, aif=aif)
    assert preview.at((0, 0, 0)).reason == "outside the mask"


def test_points_outside_are_refused():
    mask = voxels_mask([(1, 2, 3), (9, 9, 9)], (3, 4, 5), "points")
    assert np.argwhere(mask).tolist() == [[1, 2, 3]]
    with pytest.raises(InputError, match="no point lies inside"):
        voxels_mask([(9, 9, 9)], (3, 4, 5), "points")


def test_lesion_rows_are_medians_with_errors_of_known_noise():
    rng = np.random.default_rng(5)
    labels = np.zeros((1, 60, 60), int)
    labels[0, :50] = 1
    labels[0, 55, :3] = 2
    labels[0, 57, :10] = 3
    values = 2.0 + 0.5 * rng.standard_normal(labels.shape)
    valid = np.ones(labels.shape, bool)
    valid[0, :10] = False
    values[0, 10:12] = np.nan
    names = {1: "M1", 2: "M2", 3: "M3", 4: "M4"}
    error = np.full(labels.shape, 0.3)
    rows = lesion_rows(labels, names, {"nrcbv": values}, {"nrcbv": "1"}, valid, {"nrcbv": error})
    assert [set(row) for row in rows] == [set(COLUMNS)] * 4
    first, second, third, fourth = rows
    n = 38 * 60
    assert (first["usable_voxels"], first["voxels"]) == (n, 3000)
    assert first["usable_fraction"] == pytest.approx(n / 3000)
    assert first["median"] == pytest.approx(2.0, abs=4 * 0.5 * 1.2533 / np.sqrt(n))
    assert first["se_median"] == pytest.approx(1.2533 * 0.5 / np.sqrt(n), rel=0.1)
    assert first["p95"] == pytest.approx(2.0 + 1.645 * 0.5, abs=0.08)
    assert first["median_voxel_se"] == pytest.approx(0.3)
    assert second["median"] is None and second["reason"] == "3 usable of 3 voxels; 5 are needed"
    assert third["median"] is not None and third["p95"] is None and "20 usable voxels" in third["reason"]
    assert fourth["reason"] == "outside the coverage of the series"
