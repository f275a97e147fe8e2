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
