"""What the planning panel asks of Core: self-test, masks of contours, dose from memory, a given transform."""

import numpy as np
import planning_cases as cases
import pytest
import SimpleITK as sitk

from BMVascularCore.errors import InputError
from BMVascularCore.planning import registration
from BMVascularCore.planning.dose import dose_of_volume
from BMVascularCore.planning.rasterise import mask_of_contours
from BMVascularCore.planning.selftest import run_self_test
from BMVascularCore.volume import Volume


def test_self_test_reports_every_figure_within_a_per_cent():
    rows = run_self_test((7.0, 20.0))
    assert len(rows) == 16
    assert max(abs(row["error_percent"]) for row in rows) < 1.0


def test_self_test_sees_a_dose_that_is_wrong(monkeypatch):
    from BMVascularCore.planning.dose import DoseField

    right = DoseField.at_index
    monkeypatch.setattr(DoseField, "at_index", lambda self, index: 1.05 * right(self, index))
    rows = {row["quantity"]: row["error_percent"] for row in run_self_test((10.0,))}
    assert rows["d50_gy"] == pytest.approx(5.0, abs=0.3)


@pytest.mark.parametrize("step", [1.0, 2.5])
def test_mask_of_contours_keeps_the_volume(step):
    grid = cases.grid((60, 60, 60))
    mask = mask_of_contours(cases.sphere_contours(24.0, step), grid)
    area = np.pi * 12.0**2
    middle = mask.array[30].sum()
    assert middle == pytest.approx(area, rel=0.03)
    assert mask.array.sum() / 1000.0 == pytest.approx(cases.sphere_ml(24.0), rel=0.06)


def test_mask_of_contours_joins_by_even_odd():
    grid = cases.grid((5, 40, 40))
    rings = [np.array([(x, y, 0.0) for x, y in ((-a, -a), (a, -a), (a, a), (-a, a))]) for a in (10.2, 5.2)]
    mask = mask_of_contours(rings, grid)
    assert mask.array[2].sum() == 20**2 - 10**2


def test_dose_from_memory_is_checked_like_a_file():
    grid = cases.grid((4, 4, 4))
    volume = Volume(np.full(grid.shape, 2000.0), grid, "dose", {"frame_of_reference_uid": "1.2"})
    with pytest.raises(InputError, match="cGy"):
        dose_of_volume(volume, "gy")
    found = dose_of_volume(volume, "cgy")
    assert found.maximum_gy == pytest.approx(20.0)
    assert found.frame_of_reference_uid == "1.2"


def heads():
    """Two pictures of one ellipsoid head with inner structure, 3 mm voxels."""
    grid = cases.grid((52, 60, 52), (3.0, 3.0, 3.0))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(grid.points_of(index), -1, 0)
    r = np.sqrt((x / 62) ** 2 + (y / 75) ** 2 + (z / 65) ** 2)
    core = ((x - 18) / 9) ** 2 + ((y + 12) / 22) ** 2 + ((z - 8) / 12) ** 2 < 1
    extra = ((x + 25) / 14) ** 2 + ((y - 20) / 8) ** 2 + ((z + 15) / 18) ** 2 < 1
    ct = np.where(r < 1, 40.0, -1000.0)
    ct[(r > 0.9) & (r < 0.97)] = 900.0
    ct[core], ct[extra] = 10.0, 70.0
    mr = np.where(r < 1, 120.0, 2.0)
    mr[(r > 0.9) & (r < 0.97)] = 20.0
    mr[core], mr[extra] = 40.0, 200.0
    noise = np.random.default_rng(3).normal(0, 4.0, ct.shape)
    return (
        Volume((ct + noise).astype(np.float32), grid, "CT", {"modality": "CT"}),
        Volume((mr + noise[::-1]).astype(np.float32), grid, "MR", {"modality": "MR"}),
    )


def test_a_transform_that_mirrors_is_refused():
    ct, mr = heads()
    mirror = sitk.AffineTransform(3)
    mirror.SetMatrix((-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    with pytest.raises(InputError, match="rigid"):
        registration.check_rigid(ct, mr, mirror)
