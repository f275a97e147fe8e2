"""Measures against closed forms, foreign segmentations and the command."""

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk
from lesion_heads import Shape, grid, labels_of, lesion_fraction, make_head

from BMVascularCore.cli import main
from BMVascularCore.io import write_volume
from BMVascularCore.lesions import lesions_from_labels, measure_lesions, rano


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.5, 0.5, 1.5), (0.8, 0.8, 3.0)])
@pytest.mark.parametrize("radius", [6.0, 10.0])
def test_sphere(spacing, radius):
    size = [int(30 / s) for s in spacing[::-1]]
    row = measure_lesions(labels_of(grid(size, spacing), Shape((0.2, -0.3, 0.1), (radius,) * 3)), None)[0]
    true = 4 / 3 * np.pi * radius**3 / 1000
    assert row["volume_ml"] == pytest.approx(true, rel=0.04)
    assert abs(row["volume_ml"] - true) < 3 * row["volume_se_ml"]
    assert row["longest_diameter_mm"] == pytest.approx(2 * radius, abs=1.0)
    assert row["perpendicular_diameter_mm"] == pytest.approx(2 * radius, abs=1.2)
    assert row["sphericity"] > 0.88


def test_tilted_ellipsoid_diameters():
    geometry = grid((40, 60, 60), (0.7, 0.7, 1.0))
    shape = Shape((0, 0, 0), (12, 6, 8), tilt_deg=33)
    fraction = lesion_fraction(shape, geometry)
    longest, across, axial = rano.diameters(fraction, geometry)
    assert axial
    assert longest == pytest.approx(24, abs=0.4)
    assert across == pytest.approx(12, abs=0.4)


def test_sagittal_slices_are_measured_in_the_axial_plane():
    # array axes (k, j, i) run along x, z, y
    direction = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    geometry = grid((40, 50, 60), (1, 1, 1), direction)
    longest, across, _ = rano.diameters(lesion_fraction(Shape((0, 0, 0), (6, 9, 15)), geometry), geometry)
    assert (longest, across) == pytest.approx((18, 12), abs=0.5)


def test_shell_rim():
    geometry = grid((50, 50, 50), (0.6, 0.6, 0.6))
    labels = labels_of(geometry, Shape((0, 0, 0), (10, 10, 10)))
    core = lesion_fraction(Shape((0, 0, 0), (7, 7, 7)), geometry) >= 0.5
    codes = np.where(core, 2, (labels.array > 0).astype(int)).astype(np.uint8)
    row = measure_lesions(labels, labels.like(codes))[0]
    assert row["rim_thickness_mm"] == pytest.approx(3.0, abs=0.4)
    assert row["core_ml"] == pytest.approx(4 / 3 * np.pi * 0.343, rel=0.03)
    assert row["enhancing_fraction"] == pytest.approx(1 - 0.343, abs=0.02)


def test_irregular_is_more_irregular():
    geometry = grid((60, 60, 60), (0.7, 0.7, 0.7))
    ball = labels_of(geometry, Shape((0, 0, 0), (10, 10, 10)))
    spiky = ball.array.copy()
    for along in np.vstack([np.eye(3), -np.eye(3)]):
        spiky[lesion_fraction(Shape(tuple(along * 10), tuple(1.5 + 4 * np.abs(along))), geometry) >= 0.5] = 1
    smooth, rough = measure_lesions(ball, None)[0], measure_lesions(ball.like(spiky), None)[0]
    assert rough["surface_irregularity"] > smooth["surface_irregularity"] + 0.1
    assert rough["sphericity"] < smooth["sphericity"] - 0.05


def ellipsoid_sphericity(a, b, c):
    """Wadell's sphericity from the surface integral of the ellipsoid, by quadrature."""
    turn, tip = np.meshgrid((np.arange(400) + 0.5) * np.pi / 800, (np.arange(400) + 0.5) * np.pi / 800)
    across = (b * c * np.sin(tip) * np.cos(turn)) ** 2 + (a * c * np.sin(tip) * np.sin(turn)) ** 2
    area = 8 * (np.sin(tip) * np.sqrt(across + (a * b * np.cos(tip)) ** 2)).sum() * (np.pi / 800) ** 2
    return np.pi ** (1 / 3) * (8 * np.pi * a * b * c) ** (2 / 3) / area


@pytest.mark.parametrize("radii", [(8, 8, 8), (15, 5, 5), (12, 12, 4), (14, 9, 5)])
@pytest.mark.parametrize(
    "spacing, error", [((1, 1, 1), 0.012), ((0.5, 0.5, 1.5), 0.012), ((0.8, 0.8, 3), 0.05)]
)
def test_sphericity_of_tilted_ellipsoids(radii, spacing, error):
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.4, -0.3, 0.5)
    geometry = grid([int(48 / s) for s in spacing[::-1]], spacing, np.reshape(turn.GetMatrix(), (3, 3)))
    row = measure_lesions(labels_of(geometry, Shape((0.3, 0.2, 0.1), radii, tilt_deg=30)), None)[0]
    if row["sphericity"] is None:
        assert "fewer than 4 slices" in row["notes"] and spacing[2] == 3
        return
    assert row["sphericity"] == pytest.approx(ellipsoid_sphericity(*radii), abs=error)


@pytest.mark.parametrize(
    "spacing, radius, words",
    [
        ((1, 1, 1), 7.0, ""),
        ((1, 1, 1), 4.0, "below 10 mm x 5 mm"),
        ((1, 1, 6), 12.0, "6.0 mm thick"),
    ],
)
def test_rano_says_what_is_not_measurable(spacing, radius, words):
    geometry = grid([int(40 / s) for s in spacing[::-1]], spacing)
    notes = measure_lesions(labels_of(geometry, Shape((0, 0, 0), (radius,) * 3)), None)[0]["notes"]
    assert ("not measurable by RANO-BM" in notes) is bool(words) and words in notes


def test_axial_slices_of_a_sagittal_volume():
    direction = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    labels = labels_of(grid((40, 50, 60), (1, 1, 1), direction), Shape((0, 0, 0), (6, 9, 15)))
    index = np.argwhere(labels.array > 0)
    heights = np.unique(np.round(labels.geometry.points_of(index)[:, 2], 3))
    assert measure_lesions(labels, None)[0]["axial_slices"] == len(heights)


def test_too_small_is_not_measured():
    row = measure_lesions(labels_of(grid((20, 20, 20), (1, 1, 1)), Shape((0, 0, 0), (1.5, 1.5, 1.5))), None)[
        0
    ]
    assert row["sphericity"] is None
    assert "not measurable" in row["notes"]


def test_oedema_width():
    geometry = grid((60, 60, 60), (1, 1, 1))
    labels = labels_of(geometry, Shape((0, 0, 0), (6, 6, 6)))
    around = lesion_fraction(Shape((0, 0, 0), (16, 16, 16)), geometry) >= 0.5
    codes = np.where(labels.array > 0, 1, np.where(around, 3, 0)).astype(np.uint8)
    row = measure_lesions(labels, labels.like(codes))[0]
    assert row["oedema_width_max_mm"] == pytest.approx(10, abs=1.2)
    assert row["oedema_ml"] == pytest.approx(4 / 3 * np.pi * (16**3 - 6**3) / 1000, rel=0.02)


def test_slicer_segmentation_becomes_lesions(tmp_path):
    geometry = grid((30, 40, 50), (1, 1, 1))
    labels = labels_of(geometry, Shape((-8, 0, 0), (5, 5, 5)), Shape((9, 0, 0), (4, 4, 4)))
    image = sitk.Cast(labels.to_sitk(), sitk.sitkUInt8)
    for number, name in enumerate(("frontal", "temporal")):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(number + 1))
        image.SetMetaData(f"Segment{number}_Layer", "0")
    path = tmp_path / "two.seg.nrrd"
    sitk.WriteImage(image, str(path))
    rows = lesions_from_labels(path).rows
    assert [row["name"] for row in rows] == ["frontal", "temporal"]
    assert rows[0]["volume_ml"] == pytest.approx(4 / 3 * np.pi * 0.125, rel=0.08)


def test_command(tmp_path):
    shape = Shape((12, -5, 3), (6, 6, 6))
    head = make_head([shape], grid((70, 90, 80), (1, 1, 1)), seed=5, vessels=False, head_mm=(38, 42, 33))
    path = tmp_path / "t1c.nii.gz"
    write_volume(path, head.t1c)
    out = tmp_path / "out"
    # RAS of LPS (12, -5, 3); the leading minus must not be taken for an option
    assert main(["segment", str(path), "--seed", "-12,5,3=M1", "--out", str(out), "--quiet"]) == 0
    with open(out / "lesions.csv", newline="") as stream:
        row = next(csv.DictReader(stream))
    assert row["name"] == "M1"
    assert float(row["volume_ml"]) == pytest.approx(4 / 3 * np.pi * 0.216, rel=0.1)
    assert (out / "lesions.nii.gz").is_file()
    assert (out / "compartments.nii.gz").is_file()
    assert json.loads((out / "segment.json").read_text())["summary"]["lesions"][0]["confidence"] == "good"


@pytest.mark.parametrize("seed", ["0,0,500", "39,39,34", "1,2", "a,b,c"])
def test_command_refuses_bad_clicks(tmp_path, capsys, seed):
    head = make_head([], grid((35, 45, 40), (2, 2, 2)), seed=5, vessels=False, head_mm=(38, 42, 33))
    path = tmp_path / "t1c.nrrd"
    write_volume(path, head.t1c)
    assert main(["segment", str(path), f"--seed={seed}", "--out", str(tmp_path / "o"), "--quiet"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()
