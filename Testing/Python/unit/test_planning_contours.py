"""Masks to contours and margins, against the closed forms of spheres and boxes."""

import numpy as np
import planning_cases as cases
import pytest
import SimpleITK as sitk

from BMVascularCore.errors import InputError
from BMVascularCore.planning.contour_shape import crosses_itself
from BMVascularCore.planning.contours import contours_volume_mm3, join_holes, trace_mask, transform_matrix
from BMVascularCore.planning.marching import level_lines, signed_area
from BMVascularCore.planning.margins import Margin
from BMVascularCore.planning.targets import make_targets
from BMVascularCore.volume import Volume

CT = cases.grid((48, 64, 64), (0.7, 0.7, 1.0))
MR = cases.grid((40, 40, 40))


def test_level_lines_of_a_cone_are_circles():
    y, x = np.mgrid[-20:21, -20:21]
    stack = (20.0 - np.hypot(x, y))[None]
    ((k, line),) = level_lines(stack, 9.5)
    assert k == 0
    assert np.hypot(*(line - 20).T) == pytest.approx(10.5, abs=0.02)
    assert signed_area(line) == pytest.approx(np.pi * 10.5**2, rel=2e-3)


@pytest.mark.parametrize("diameter", [3, 4, 5, 7, 10, 20])
def test_contours_keep_the_volume_of_the_mask(diameter):
    for centre in ((0.2, -0.4, 0.3), (0.5, 0.5, 0.5)):
        mask = cases.sphere(MR, diameter, centre)
        contours = trace_mask(mask, MR, CT)
        assert contours
        assert contours_volume_mm3(contours, CT) == pytest.approx(mask.sum(), rel=0.005)


@pytest.mark.parametrize("diameter", [5, 7, 10, 20])
def test_contours_read_back_are_the_mask(diameter):
    from BMVascularCore.planning.rasterise import mask_of_contours

    mask = cases.sphere(MR, diameter, (0.3, -0.2, 0.4))
    rings = [
        MR.points_of(np.c_[np.full(len(c.points_ji), c.slice_index), c.points_ji])
        for c in trace_mask(mask, MR, MR)
    ]
    again = mask_of_contours(rings, MR).array
    assert 2 * (again & mask).sum() / (again.sum() + mask.sum()) >= (0.95 if diameter >= 10 else 0.9)


def test_contours_lie_where_the_sphere_is():
    centre = np.array((3.3, -4.2, 2.4))
    contours = trace_mask(cases.sphere(MR, 10, centre), MR, CT)
    points = np.concatenate(
        [CT.points_of(np.c_[np.full(len(c.points_ji), c.slice_index), c.points_ji]) for c in contours]
    )
    assert np.linalg.norm(points - centre, axis=1) == pytest.approx(5.0, abs=0.6)
    assert np.abs(points.mean(axis=0) - centre).max() < 0.3


def test_contours_follow_the_transform_from_ct_to_mr():
    transform = sitk.Euler3DTransform((0, 0, 0), 0.1, -0.05, 0.2, (4.0, -3.0, 2.0))
    centre_mr = np.array((2.0, 3.0, -1.0))
    centre_ct = np.linalg.inv(transform_matrix(transform)) @ (*centre_mr, 1.0)
    contours = trace_mask(cases.sphere(MR, 8, centre_mr), MR, CT, transform)
    weights = [abs(signed_area(c.points_ji)) for c in contours]
    middles = [CT.points_of((c.slice_index, *c.points_ji.mean(axis=0))) for c in contours]
    assert np.average(middles, axis=0, weights=weights) == pytest.approx(centre_ct[:3], abs=0.2)


def test_a_hole_becomes_a_keyhole_of_the_right_area():
    mask = cases.sphere(MR, 20) & ~cases.sphere(MR, 10)
    contours = trace_mask(mask, MR, CT)
    assert contours_volume_mm3(contours, CT) == pytest.approx(mask.sum(), rel=0.01)
    middle = [c for c in contours if abs(c.slice_index - 24) < 2]
    assert all(signed_area(c.points_ji) > 0 for c in middle)
    assert not any(crosses_itself(c.points_ji) for c in contours)


def test_two_holes_are_joined_without_crossing():
    square = np.array([(0, 0), (0, 20), (20, 20), (20, 0)], float)
    square = square if signed_area(square) > 0 else square[::-1]
    dense = np.concatenate(
        [np.linspace(a, b, 40, endpoint=False) for a, b in zip(square, np.roll(square, -1, 0), strict=True)]
    )
    holes = []
    for x in (5.0, 13.0):
        angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
        ring = np.c_[10 + 2 * np.sin(angle), x + 2 * np.cos(angle)]
        holes.append(ring if signed_area(ring) < 0 else ring[::-1])
    (joined,) = join_holes([dense, *holes])
    assert signed_area(joined) == pytest.approx(400 + sum(signed_area(h) for h in holes))
    assert not crosses_itself(joined)


def test_a_figure_of_eight_crosses_itself():
    assert crosses_itself(np.array([(0, 0), (10, 10), (10, 0), (0, 10)], float))
    assert not crosses_itself(np.array([(0, 0), (10, 0), (10, 10), (0, 10)], float))


def test_an_empty_mask_and_one_outside_are_refused():
    with pytest.raises(InputError, match="empty"):
        trace_mask(np.zeros(MR.shape, bool), MR, CT, name="M1")
    far = sitk.TranslationTransform(3, (500.0, 0.0, 0.0))
    with pytest.raises(InputError, match=r"M1.*outside the planning series"):
        trace_mask(cases.sphere(MR, 8), MR, CT, far, "M1")


@pytest.mark.parametrize(("diameter", "tolerance"), [(5, 0.08), (10, 0.04), (20, 0.04)])
def test_a_margin_of_one_millimetre(diameter, tolerance):
    errors = []
    for centre in ((0.1, 0.2, 0.3), (0.5, 0.4, -0.4), (-0.3, 0.25, 0.0)):
        labels = Volume(cases.sphere(CT, diameter, centre).astype(np.int32), CT)
        (target,) = make_targets(labels, {}, 0.0, 1.0).targets
        errors.append(target.ml["PTV"] / cases.sphere_ml(diameter + 2.0) - 1.0)
    assert np.abs(errors).max() < tolerance


def test_directional_margins_follow_the_patient_axes():
    labels = Volume(cases.sphere(MR, 10).astype(np.int32), MR)
    margin = Margin(left=3.0, right=0.0, posterior=0.0, anterior=2.0, superior=1.0, inferior=0.0)
    (target,) = make_targets(labels, {}, 0.0, {"lesion_01": margin}).targets
    points = target.masks["PTV"].geometry.points_of(np.argwhere(target.masks["PTV"].array))
    low, high = points.min(axis=0), points.max(axis=0)
    # LPS: +x left, -y anterior, +z superior
    assert high == pytest.approx((8.0, 5.0, 6.0), abs=0.4)
    assert low == pytest.approx((-5.0, -7.0, -5.0), abs=0.4)


def test_ctv_and_ptv_add_up():
    labels = Volume(cases.sphere(MR, 8).astype(np.int32), MR)
    (target,) = make_targets(labels, ["M1"], 1.0, 2.0).targets
    assert target.ml["CTV"] == pytest.approx(cases.sphere_ml(10), rel=0.05)
    assert target.ml["PTV"] == pytest.approx(cases.sphere_ml(14), rel=0.05)


def test_a_barrier_cuts_what_lies_behind_it():
    labels = Volume(cases.sphere(MR, 8).astype(np.int32), MR)
    wall = np.zeros(MR.shape, np.uint8)
    wall[:, :, 25:27] = 1  # x = 5.5 and 6.5 mm: beyond the lesion
    target = make_targets(labels, ["M1"], 0.0, 5.0, Volume(wall, MR)).targets[0]
    points = target.masks["PTV"].geometry.points_of(np.argwhere(target.masks["PTV"].array))
    assert points[:, 0].max() < 5.1
    assert points[:, 0].min() == pytest.approx(-9.0, abs=0.4)
    free = make_targets(labels, ["M1"], 0.0, 5.0).targets[0]
    assert target.ml["PTV"] < 0.95 * free.ml["PTV"]


@pytest.mark.parametrize("margin", [-1.0, float("nan"), 99.0])
def test_margins_that_cannot_be_are_refused(margin):
    labels = Volume(cases.sphere(MR, 8).astype(np.int32), MR)
    with pytest.raises(InputError, match="margin"):
        make_targets(labels, ["M1"], 0.0, margin)


def shares_of_sphere(grid, diameter, centre):
    """Share of every voxel inside a sphere, from 125 points in each."""
    ticks = (np.arange(5) + 0.5) / 5 - 0.5
    index = np.stack(np.indices(grid.shape), axis=-1).astype(float)
    inner = np.stack(np.meshgrid(ticks, ticks, ticks), axis=-1).reshape(-1, 3)
    found = [np.linalg.norm(grid.points_of(index + move) - centre, axis=-1) <= diameter / 2 for move in inner]
    return Volume(np.mean(found, axis=0).astype(np.float32), grid, "shares")


@pytest.mark.parametrize(("diameter", "tolerance"), [(3, 0.03), (5, 0.02), (10, 0.005)])
def test_shares_of_voxels_keep_the_true_volume(diameter, tolerance):
    """On voxels of 1 mm a mask misses a sphere of 5 mm by up to a tenth; shares carry its volume into the contours."""
    grid = cases.grid((diameter + 10,) * 3)
    for centre in np.random.default_rng(diameter).uniform(-0.5, 0.5, (4, 3)):
        shares = shares_of_sphere(grid, diameter, centre)
        labels = Volume((shares.array >= 0.5).astype(np.int32), grid)
        (target,) = make_targets(labels, {}, 0.0, 1.0, reference=CT, shares=shares).targets
        mask = target.masks["GTV"]
        contours_mm3 = contours_volume_mm3(trace_mask(mask.array, mask.geometry, CT), CT)
        assert contours_mm3 == pytest.approx(mask.array.sum() * mask.geometry.voxel_ml * 1000.0, rel=0.01)
        assert contours_mm3 == pytest.approx(1000.0 * cases.sphere_ml(diameter), rel=tolerance)
        assert target.ml["PTV"] == pytest.approx(cases.sphere_ml(diameter + 2), rel=0.04)
        assert target.centre_lps_mm == pytest.approx(centre, abs=0.1)


def test_shares_belong_to_the_nearest_lesion():
    grid = cases.grid((20, 20, 40))
    balls = {1: (5, (-4.3, 0.2, 0.1)), 2: (8, (4.4, -0.3, 0.4))}
    parts = {number: shares_of_sphere(grid, *ball).array for number, ball in balls.items()}
    labels = sum(number * (part >= 0.5) for number, part in parts.items()).astype(np.int32)
    shares = Volume(sum(parts.values()), grid, "shares")
    for target in make_targets(Volume(labels, grid), {}, 0.0, 0.0, shares=shares).targets:
        assert target.ml["GTV"] == pytest.approx(cases.sphere_ml(balls[target.number][0]), rel=0.02)


@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda s: s.like(s.array * 100), "outside 0 to 1"), (lambda s: s.like(s.array * 0), "nothing of label 1"),
     (lambda s: Volume(s.array[1:], cases.grid((13, 14, 14)), "shares"), "shares")],
)  # fmt: skip
def test_shares_that_do_not_fit_are_refused(change, words):
    grid = cases.grid((14, 14, 14))
    shares = shares_of_sphere(grid, 5, (0.1, 0.2, 0.3))
    labels = Volume((shares.array >= 0.5).astype(np.int32), grid)
    with pytest.raises(InputError, match=words):
        make_targets(labels, {}, 0.0, 1.0, shares=change(shares))
