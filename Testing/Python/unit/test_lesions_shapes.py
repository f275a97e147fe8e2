"""Hollows, reach and flags of one-click lesions: rims with cores, scalp, sinuses with branches, scale of intensity."""

import numpy as np
import pytest
from lesion_heads import Shape, dice, grid, make_head

from BMVascularCore.lesions import Seed, prepare, segment_one, shapes
from BMVascularCore.lesions.model import Lesion
from BMVascularCore.lesions.segment import judge

GEOMETRY = grid((96, 120, 110), (1.6, 1.6, 1.6))
SOLID = Shape((-30.0, 0.0, 20.0), (9.0, 8.0, 8.0))


def ball(size, radius, centre=None):
    axes = np.ogrid[(slice(0, size),) * 3]
    middle = centre or ((size - 1) / 2,) * 3
    return sum((a - m) ** 2 for a, m in zip(axes, middle, strict=True)) <= radius**2


@pytest.fixture(scope="module")
def head():
    return make_head([SOLID], GEOMETRY, seed=5)


@pytest.fixture(scope="module")
def ready(head):
    return prepare(head.t1c)


def test_a_rim_with_gaps_keeps_its_core():
    """A shell of 12 mm, a fifth of it missing, against the ball less that cap."""
    whole, core = ball(41, 12.0), ball(41, 10.0)
    cut = whole.copy()
    cut[:13] = False
    rim = cut & ~core
    filled = shapes.enclosed(rim, 30.0, 1.0)
    assert dice(rim, cut) < 0.65
    assert dice(filled, cut) > 0.95
    assert not (filled & ~whole).any()


def test_the_bay_between_two_lobes_stays_open():
    """Two touching balls gain next to nothing: at most what the neck itself holds."""
    lobes = ball(51, 9.0, (25, 25, 16)) | ball(51, 9.0, (25, 25, 34))
    filled = shapes.enclosed(lobes, 30.0, 1.0)
    assert filled.sum() <= 1.03 * lobes.sum()
    assert shapes.enclosed(ball(31, 9.0), 30.0, 1.0).sum() == ball(31, 9.0).sum()


def test_scalp_is_out_of_reach_and_brain_is_not(ready, head):
    """By the ellipsoids of the head: scalp is the outer 4.5 mm, brain begins at 10.2 mm."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in GEOMETRY.shape], indexing="ij"), -1)
    rho = np.sqrt(((GEOMETRY.points_of(index) / np.array([70, 80, 65])) ** 2).sum(-1))
    depth = (1.0 - rho) * 65
    assert ready.reach is not ready.head
    assert ready.reach[(depth > 10.2) & ready.head].mean() > 0.999
    assert ready.reach[(depth > 0.0) & (depth < 4.0)].mean() < 0.1


def test_a_click_in_the_scalp_is_flagged(ready):
    lesion = segment_one(ready, "s", 1, [Seed("s", (0.0, 78.0, 0.0))])
    assert isinstance(lesion, str) or "outside the brain" in " ".join(lesion.reasons)


def test_a_sinus_with_branches_is_flagged():
    """Three crossing bars fill little of their hull; a ball of the same brightness is not flagged for it."""
    size, image = 61, np.full((61, 61, 61), 100.0, dtype=np.float32)
    bars = np.zeros(image.shape, dtype=bool)
    for axis in range(3):
        box = [slice(27, 34)] * 3
        box[axis] = slice(6, 55)
        bars[tuple(box)] = True
    for mask, ragged in ((bars, True), (ball(size, 10.0), False)):
        lesion = Lesion("a", 1, (0, 0, 0), mask.astype(np.float32), 200.0, 100.0, 30.0)
        found = judge(lesion, np.where(mask, 200.0, image), mask, 1.0, 100.0)
        assert any("ragged" in reason for reason in found.reasons) == ragged


@pytest.mark.parametrize("scale", [1 / 1000, 30.0])
def test_the_scale_of_intensity_does_not_matter(ready, head, scale):
    seed = [Seed("a", SOLID.centre_mm)]
    plain = segment_one(ready, "a", 1, seed)
    scaled = segment_one(prepare(head.t1c.like(head.t1c.array * np.float32(scale))), "a", 1, seed)
    assert scaled.fraction.sum() == pytest.approx(plain.fraction.sum(), rel=0.01)
    assert scaled.confidence == plain.confidence == "good"


def test_small_lesions_of_thick_slices_are_flagged_and_not_too_large():
    """5 mm across slices of 5 mm: outline within half of the truth, size called uncertain."""
    small = Shape((-28.0, 4.0, 20.0), (3.0, 3.0, 3.0))
    head = make_head([small], grid((30, 120, 110), (1.6, 1.6, 5.0)), seed=7)
    lesion = segment_one(prepare(head.t1c), "a", 1, [Seed("a", small.centre_mm)])
    true_ml = 4 / 3 * np.pi * 27 / 1000
    assert float(lesion.measured.sum()) * head.t1c.geometry.voxel_ml < 2.0 * true_ml
    assert lesion.confidence == "low"
    assert "size is uncertain" in " ".join(lesion.reasons)
