"""Rigid registration on a simulated head with a known offset, and its verdict."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from BMVascularCore.cli import main
from BMVascularCore.errors import InputError
from BMVascularCore.io import write_volume
from BMVascularCore.planning.registration import register_rigid
from BMVascularCore.planning.registration_engine import as_euler, rigid
from BMVascularCore.volume import Geometry, Volume, resample

GRID = Geometry((90, 108, 96), (2.0, 2.0, 2.0), (-95.0, -107.0, -89.0))


def head(kind, seed=0):
    """A lopsided head in CT or MR contrast: skull shell, brain, ventricles and irregular folds."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij")
    points = GRID.points_of(np.stack([z, y, x], axis=-1))
    x, y, z = np.moveaxis(points, -1, 0)
    radius = np.sqrt((x / 70) ** 2 + ((y + 0.06 * x) / 88) ** 2 + ((z - 0.05 * y) / 75) ** 2)
    rng = np.random.default_rng(seed)
    folds = np.sign(ndimage.gaussian_filter(rng.normal(size=GRID.shape), 2.0))
    lumps = ndimage.gaussian_filter(rng.normal(size=GRID.shape), 4.0)
    lumps /= lumps.std()
    nose = np.exp(-((x - 4) ** 2 + (y + 86) ** 2 + (z + 20) ** 2) / 400)
    inside = radius - 0.25 * nose < 1.0
    brain = radius < 0.84 + 0.02 * lumps
    face = (z < -15) & (y < -25) & (lumps > 0.4)
    skull = inside & ~brain & (((radius > 0.88) & (radius < 0.96)) | face)
    ventricle = ((x - 12) / 8) ** 2 + ((y - 5) / 28) ** 2 + (z / 12) ** 2 < 1
    if kind == "CT":
        values = np.where(inside, 20.0, -1000.0)
        values = np.where(brain, 35 + 6 * folds, values)
        values = np.where(skull, 900.0, values)
        return np.where(ventricle, 8.0, values)
    values = np.where(inside, 300.0, 4.0)
    values = np.where(brain, 420 + 110 * folds, values)
    values = np.where(skull, 40.0, values)
    return np.where(ventricle, 120.0, values)


def pair(rotation_deg, shift_mm, **kwargs):
    """CT, displaced MR and the transform that maps CT points to MR points."""
    noise = np.random.default_rng(3)
    true = rigid(np.radians(rotation_deg), shift_mm)
    ct = Volume(
        (head("CT") + noise.normal(0, 8, GRID.shape)).astype(np.float32), GRID, "CT", {"modality": "CT"}
    )
    still = Volume((head("MR", **kwargs) + noise.normal(0, 8, GRID.shape)).astype(np.float32), GRID, "MR")
    return ct, resample(still, GRID, true.GetInverse(), "linear"), true


def error_mm(found, true):
    points = np.array([(50, 0, 0), (-50, 0, 0), (0, 60, 0), (0, -60, 0), (0, 0, 50), (0, 0, -50)], float)
    apart = [np.subtract(found.TransformPoint(p), true.TransformPoint(p)) for p in points.tolist()]
    return float(np.linalg.norm(apart, axis=1).max())


@pytest.fixture(scope="module")
def moved():
    ct, mr, true = pair((8, -6, 10), (14, -9, 11))
    return ct, mr, true, register_rigid(ct, mr, points_lps_mm=[(20, 10, 5)])


def test_offset_is_found_within_a_fraction_of_a_voxel(moved):
    _, _, true, found = moved
    assert error_mm(found.transform, true) < 0.6  # voxels of 2 mm


def test_direction_is_fixed_to_moving(moved):
    _, _, true, found = moved
    inverse = true.GetInverse()
    assert error_mm(found.transform, inverse) > 10


def test_good_pair_passes_with_small_spread(moved):
    found = moved[3]
    assert found.verdict == "pass", found.reasons
    assert found.restart_spread_mm < 0.5
    assert found.inverse_consistency_mm < 1.0
    assert found.points[0]["expected_error_mm"] < 0.5


def test_mirrored_image_fails(moved):
    ct, mr, _, _ = moved
    flipped = mr.like(mr.array[:, :, ::-1].copy())
    found = register_rigid(ct, flipped, wide=False)
    assert found.verdict != "pass"


def test_images_that_show_nothing_in_common_do_not_pass(moved):
    ct = moved[0]
    noise = np.random.default_rng(1).normal(300, 60, GRID.shape).astype(np.float32)
    assert register_rigid(ct, Volume(noise, GRID, "noise"), wide=False).verdict != "pass"


def test_flat_image_is_refused():
    ct = Volume(head("CT").astype(np.float32), GRID, "CT", {"modality": "CT"})
    with pytest.raises(InputError, match="one value"):
        register_rigid(ct, Volume(np.zeros(GRID.shape, np.float32), GRID, "empty"))


def test_euler_about_another_centre_is_the_same_motion():
    first = rigid((0.1, -0.2, 0.3), (4, 5, 6), (10, 0, -10))
    second = as_euler(first, (30, 20, 10))
    assert error_mm(first, second) < 1e-6
    with pytest.raises(ValueError, match="not rigid"):
        as_euler(sitk.ScaleTransform(3, (1.1, 1, 1)), (0, 0, 0))


def test_command_writes_transform_image_and_verdict(tmp_path, moved):
    ct, mr, true, _ = moved
    write_volume(tmp_path / "ct.nrrd", ct)
    write_volume(tmp_path / "mr.nrrd", mr)
    code = main(
        [
            "register",
            str(tmp_path / "ct.nrrd"),
            str(tmp_path / "mr.nrrd"),
            "--out",
            str(tmp_path / "o"),
            "--quiet",
        ]
    )
    assert code == 0
    record = json.loads((tmp_path / "o" / "register.json").read_text(encoding="utf-8"))
    assert record["verdict"] == "pass"
    assert {"reasons", "restart_spread_mm", "inverse_consistency_mm"} <= set(record)
    assert error_mm(sitk.ReadTransform(str(tmp_path / "o" / "transform.tfm")), true) < 0.6
    assert (tmp_path / "o" / "registered.nrrd").is_file()


def test_missing_file_is_exit_code_two_and_leaves_nothing(tmp_path, capsys):
    code = main(
        ["register", str(tmp_path / "no.nrrd"), str(tmp_path / "mr.nrrd"), "--out", str(tmp_path / "o")]
    )
    assert code == 2
    assert "no.nrrd" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
