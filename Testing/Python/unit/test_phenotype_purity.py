"""Lesion values from map voxels that lie inside the lesion: partial volume does not dilute them."""

import numpy as np
import pytest

from BMVascularCore.phenotype import assess_lesions
from BMVascularCore.phenotype.purity import pure_voxels
from BMVascularCore.phenotype.scan import Scan
from BMVascularCore.volume import Geometry, Volume

FINE = Geometry((60, 60, 60))
COARSE = Geometry((15, 30, 30), (2.0, 2.0, 4.0), (0.5, 0.5, 1.5))
SETTINGS = {"min_purity": 0.7, "min_pure_voxels": 5}
TRUE, AROUND = 0.15, 0.005


def ball(radius_mm, centre=(30.0, 30.0, 30.0)):
    index = np.stack(np.meshgrid(*[np.arange(60)] * 3, indexing="ij"), axis=-1)
    return np.linalg.norm(index - np.asarray(centre), axis=-1) <= radius_mm


def averaged(values):
    """Exact averages of the fine grid over coarse voxels."""
    return values.reshape(15, 4, 30, 2, 30, 2).mean(axis=(1, 3, 5)).astype(np.float32)


def value_of(mask):
    labels = Volume(mask.astype(np.int32), FINE, "labels")
    ktrans = Volume(averaged(np.where(mask, TRUE, AROUND)), COARSE, "ktrans")
    row = assess_lesions(labels, {"ktrans": ktrans}, with_habitats=False).rows[0]
    return row["ktrans_per_min"]


@pytest.mark.parametrize("radius_mm", [6, 8, 12])
def test_median_of_a_ball_is_not_diluted(radius_mm):
    assert value_of(ball(radius_mm)) == pytest.approx(TRUE, rel=0.02)


def test_ring_is_read_right():
    ring = ball(14) & ~ball(8)
    assert value_of(ring) == pytest.approx(TRUE, rel=0.05)


def test_plain_resampling_would_dilute_the_small_ball():
    mask = ball(4)
    assert averaged(np.where(mask, TRUE, AROUND))[averaged(mask.astype(float)) > 0.01].mean() < 0.7 * TRUE


def test_a_lesion_without_a_pure_voxel_is_read_as_before():
    mask = ball(2)
    scan = Scan(mask.astype(np.int32), FINE, None, {}, {"ktrans": Volume(averaged(mask * 1.0), COARSE)})
    scan.maps["ktrans"] = np.ones(FINE.shape, np.float32)
    assert pure_voxels(scan, "ktrans", scan.lesion(1)[0], scan.lesion(1)[1], SETTINGS) is None


def test_a_map_as_fine_as_the_labels_is_left_alone():
    mask = ball(8)
    scan = Scan(mask.astype(np.int32), FINE, None, {}, {"ktrans": Volume(mask.astype(np.float32), FINE)})
    assert pure_voxels(scan, "ktrans", scan.lesion(1)[0], scan.lesion(1)[1], SETTINGS) is None
