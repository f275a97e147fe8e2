"""Where lesions lie: side, and distances to midline and ventricles, against the head that was drawn."""

from dataclasses import replace

import numpy as np
import pytest
from lesion_heads import Shape, grid, labels_of, make_head
from scipy.spatial.transform import Rotation

from BMVascularCore.lesions import measure_lesions, prepare

# the head is symmetric about x = 0 (LPS mm), its ventricles are an ellipsoid in the middle
PLACES = (
    ((-38, 5, 12), 6.0),
    ((30, -24, 10), 5.0),
    ((12, 34, 16), 4.0),
    ((1, -45, 10), 5.0),
    ((-9, 40, -5), 10.0),
)
VENTRICLE_MM = (9.0, 24.0, 9.0)


@pytest.fixture(scope="module")
def head():
    shapes = [Shape(place, (radius,) * 3) for place, radius in PLACES]
    made = make_head(shapes, grid((90, 110, 96), (1.6, 1.6, 1.6)), seed=5)
    return made.t1c, labels_of(made.t1c.geometry, *shapes)


def turned(volume, degrees=(0, 0, 0), shift_mm=(0, 0, 0)):
    """The head lies otherwise in the scanner: its voxels are where they were in the head."""
    turn = Rotation.from_euler("zyx", degrees, degrees=True).as_matrix()
    geometry = volume.geometry
    moved = replace(
        geometry,
        origin_mm=tuple((turn @ geometry.origin_mm + shift_mm).tolist()),
        direction=tuple((turn @ np.reshape(geometry.direction, (3, 3))).ravel().tolist()),
    )
    return replace(volume, geometry=moved)


@pytest.mark.parametrize(
    ("degrees", "shift_mm"), [((0, 0, 0), (0, 0, 0)), ((12, 8, 15), (9, -4, 30)), ((-18, 11, 0), (-12, 0, 0))]
)
def test_side_and_distance_to_the_midline(head, degrees, shift_mm):
    image, labels = (turned(volume, degrees, shift_mm) for volume in head)
    rows = measure_lesions(labels, None, ready=prepare(image))
    assert [row["side"] for row in rows] == ["right", "left", "left", "midline", "right"]
    expected = [max(0.0, abs(place[0]) - radius) for place, radius in PLACES]
    assert [row["distance_to_midline_mm"] for row in rows] == pytest.approx(expected, abs=1.5)


def test_distance_to_the_ventricles(head):
    image, labels = head
    rows = measure_lesions(labels, None, ready=prepare(image))
    turns = Rotation.random(4000, rng=0).as_matrix()[:, 0]
    surface = turns * VENTRICLE_MM
    for row, (place, radius) in zip(rows, PLACES, strict=True):
        expected = np.linalg.norm(surface - place, axis=1).min() - radius
        assert row["distance_to_ventricle_mm"] == pytest.approx(expected, abs=2.0), row["name"]


def test_half_a_head_has_no_midline(head):
    image, labels = head
    half = image.array.copy()
    half[:, :, :44] = 0
    row = measure_lesions(labels, None, ready=prepare(image.like(half)), only=[2])[0]
    assert row["side"] is None and row["distance_to_midline_mm"] is None
    assert "side and distance to midline not measurable: the image shows no plane of symmetry" in row["notes"]


def test_an_even_head_is_judged_by_its_outline():
    """Nothing inside but noise: the outline alone shows the sides."""
    geometry = grid((60, 80, 66), (2.4, 2.4, 2.4))
    points = geometry.points_of(np.stack(np.indices(geometry.shape), -1))
    array = np.where((((points - (7, 0, 0)) / (60, 85, 62)) ** 2).sum(-1) <= 1, 100.0, 2.0)
    array += np.random.default_rng(0).normal(0, 2, geometry.shape)
    labels = labels_of(geometry, Shape((30, 0, 0), (6, 6, 6)))
    row = measure_lesions(labels, None, ready=prepare(labels.like(array.astype(np.float32))))[0]
    assert row["side"] == "left"
    assert row["distance_to_midline_mm"] == pytest.approx(17.0, abs=2.0)
