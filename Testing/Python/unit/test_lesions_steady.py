"""One lesion from every click: lobes, neighbours, and outlines that ran out."""

import numpy as np
import pytest
from lesion_heads import Shape, grid, make_head
from scipy import ndimage

from BMVascularCore.lesions import Seed, prepare, segment_one, shapes
from BMVascularCore.lesions.model import Lesion
from BMVascularCore.lesions.steady import LEAK, doubtful, steadied, thicker_place

GEOMETRY = grid((110, 130, 120), (1.0, 1.0, 1.5))
# a body, a lobe on a short stalk of tumour, and a lesion apart that touches nothing
BODY = Shape((-30.0, 0.0, 20.0), (10.0, 9.0, 9.0))
LOBE = Shape((-30.0, 12.5, 20.0), (4.0, 5.5, 4.0))
APART = Shape((25.0, -15.0, 20.0), (5.0, 5.0, 5.0))


@pytest.fixture(scope="module")
def head():
    return make_head([BODY, LOBE, APART], GEOMETRY, seed=4)


@pytest.fixture(scope="module")
def ready(head):
    return prepare(head.t1c)


def volume_ml(ready, lesion):
    return float(lesion.fraction.sum()) * ready.t1c.geometry.voxel_ml


def test_a_click_in_a_lobe_gives_the_tumour(head, ready):
    """Body and lobe as the union of two ellipsoids; both clicks, within 5 % of each other."""
    union_ml = float(np.maximum(head.fractions[0], head.fractions[1]).sum()) * GEOMETRY.voxel_ml
    found = [
        segment_one(ready, "a", 1, [Seed("a", point)]) for point in ((-30.0, 0.0, 20.0), (-30.0, 15.5, 20.0))
    ]
    volumes = [volume_ml(ready, lesion) for lesion in found]
    assert volumes == pytest.approx([union_ml] * 2, rel=0.12)
    assert volumes[0] == pytest.approx(volumes[1], rel=0.05)


def test_a_lesion_that_is_outlined_is_not_looked_at_again(ready):
    point = GEOMETRY.index_of(APART.centre_mm)
    lesion = segment_one(ready, "b", 1, [Seed("b", APART.centre_mm)])
    assert thicker_place(ready, point, lesion) is None


def ball(point, radius, edge_seen, confidence="good"):
    """An outline around an index, by hand."""
    axes = np.ogrid[tuple(slice(0, n) for n in GEOMETRY.shape)]
    steps = GEOMETRY.spacing_kji_mm
    away = sum(((a - p) * s) ** 2 for a, p, s in zip(axes, point, steps, strict=True))
    share = (away <= radius**2).astype(np.float32)
    return Lesion("a", 1, (0, 0, 0), share, 700.0, 400.0, 20.0, confidence, edge_seen=edge_seen)


def test_a_leak_gives_way_to_a_clear_outline(ready):
    point = GEOMETRY.index_of(APART.centre_mm)
    clear = ball(point, 5.0, 0.95)
    assert steadied(ready, point, ball(point, 22.0, 0.6), lambda place: clear) is clear
    # a clear outline is never given up for a smaller one
    large = ball(point, 22.0, 0.97)
    assert steadied(ready, point, large, lambda place: clear) is large


def test_a_huge_outline_without_an_edge_is_refused(ready):
    point = GEOMETRY.index_of(APART.centre_mm)
    assert steadied(ready, point, ball(point, 22.0, 0.6), lambda place: "nothing") == LEAK
    assert not isinstance(steadied(ready, point, ball(point, 22.0, 0.9), lambda place: "nothing"), str)


def test_a_round_lesion_does_not_take_its_neighbour(ready):
    """What grows onto a second body of like size fills much less of its hull."""
    point = GEOMETRY.index_of(BODY.centre_mm)
    one = ball(point, 4.0, 0.9)
    two = ball(point, 4.0, 0.95)
    far = ball(point + np.array([0, 9.0, 9.0]), 5.0, 0.95)
    two.fraction = np.maximum(two.fraction, far.fraction)
    assert steadied(ready, point, one, lambda place: two) is one
    whole = ball(point, 9.0, 0.95)
    assert steadied(ready, point, one, lambda place: whole) is whole


def test_a_neighbour_that_does_not_hold_the_click_changes_nothing(ready):
    point = GEOMETRY.index_of(BODY.centre_mm)
    one, other = ball(point, 3.0, 0.9), ball(point + np.array([0, 20.0, 0]), 9.0, 0.97)
    assert steadied(ready, point, one, lambda place: other) is one


def test_doubt_grows_with_the_volume():
    assert [doubtful(0.6, ml) for ml in (1.0, 10.0, 20.0, 50.0)] == [False, False, True, True]
    assert not doubtful(0.95, 100.0)


@pytest.mark.parametrize("within_mm", [1.0, 2.5, 7.0, np.inf])
def test_distances_are_euclidean(within_mm):
    """Against scipy's transform, at the border of the array and for shapes that touch it."""
    rng = np.random.default_rng(3)
    for shape in ((5, 40, 33), (31, 28, 30)):
        mask = ndimage.gaussian_filter(rng.normal(size=shape), 2.0) > 0.06
        away = ndimage.distance_transform_edt(~mask, sampling=0.8)
        found = shapes.distance_mm(mask, 0.8, within_mm)
        near = away <= within_mm
        np.testing.assert_allclose(found[near], away[near], atol=1e-4)
        assert (found[~near] > within_mm).all()
        depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=0.8)[1:-1, 1:-1, 1:-1]
        np.testing.assert_allclose(shapes.depth_mm(mask, 0.8), depth, atol=1e-4)
