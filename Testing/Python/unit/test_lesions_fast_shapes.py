"""The quick ways of the working grid give what scipy and ITK give: morphology, holes, hulls, basins, distances, means."""

import numpy as np
import pytest
import SimpleITK as sitk
from lesion_heads import grid
from scipy import ndimage
from scipy.spatial import ConvexHull

from BMVascularCore.lesions import compartments, rano, shapes
from BMVascularCore.lesions.grid import block_means


def rough_masks(count=40, seed=0):
    """Masks of all sizes and textures; many have holes, several pieces, or touch the border."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        field = ndimage.gaussian_filter(rng.normal(size=rng.integers(1, 30, 3)), rng.uniform(0.4, 2.5))
        mask = field > np.quantile(field, rng.uniform(0.1, 0.95))
        if mask.any():
            yield mask


def lumps(count=50, seed=3):
    """One to four balls that may meet: with and without necks, bumps and second pieces."""
    rng = np.random.default_rng(seed)
    axes = np.ogrid[:28, :30, :32]
    for _ in range(count):
        balls = zip(rng.uniform(8, 21, (4, 3)), rng.uniform(3, 8, 4), strict=True)
        balls = list(balls)[: rng.integers(1, 5)]
        yield np.any(
            [sum((a - m) ** 2 for a, m in zip(axes, middle, strict=True)) <= r * r for middle, r in balls], 0
        )


def test_morphology_boxes_and_holes_are_those_of_scipy():
    for mask in rough_masks():
        for times in (1, 2):
            np.testing.assert_array_equal(
                shapes.eroded(mask, times), ndimage.binary_erosion(mask, iterations=times)
            )
            np.testing.assert_array_equal(
                shapes.dilated(mask, times), ndimage.binary_dilation(mask, iterations=times)
            )
        np.testing.assert_array_equal(shapes.filled(mask), ndimage.binary_fill_holes(mask))
        assert shapes.bounding(mask) == ndimage.find_objects(mask.astype(np.uint8))[0]
        labels = ndimage.label(mask)[0]
        assert shapes.boxes_of(labels) == ndimage.find_objects(labels)
    assert shapes.boxes_of(np.zeros((3, 4, 5), int)) == []


def test_solidity_is_that_of_the_hull_of_all_voxels():
    """Only hull corners are used: the hull of every voxel gives the same share."""
    for mask in rough_masks(seed=1):
        if np.count_nonzero(mask) < 60 or min(np.ptp(np.argwhere(mask), axis=0)) < 3:
            continue
        hull = ConvexHull(np.argwhere(mask))
        assert shapes.solidity(mask) == pytest.approx(mask.sum() / (hull.volume + 0.5 * hull.area), rel=1e-9)


@pytest.mark.parametrize("reach", [2, 8, 11, 12, 14, 15])
def test_short_distances_are_exact(reach):
    """Squares of distances are whole numbers of voxels: what scipy's exact transform gives."""
    for mask in rough_masks(12, seed=reach):
        true = ndimage.distance_transform_edt(~mask)
        ours = shapes.distance_mm(mask, 1.0, reach)
        near = true <= reach
        np.testing.assert_allclose(ours[near], true[near], rtol=1e-6)
        assert (ours[~near] > reach).all()
    thick = np.pad(np.ones((36, 40, 44), bool), 1)
    np.testing.assert_allclose(
        shapes.depth_mm(thick, 1.2), 1.2 * ndimage.distance_transform_edt(thick), rtol=1e-5
    )


def test_one_basin_is_what_the_watershed_finds():
    """Where a single basin is told without it, the watershed must agree; necks and bumps are both met."""
    single = several = missed = 0
    for mask in lumps():
        depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask).astype(np.float32), 0.7)
        level = 0.06 * float(depth.max())
        basins = sitk.GetArrayFromImage(
            sitk.MorphologicalWatershed(sitk.GetImageFromArray(-depth), level, False, False)
        )
        told = shapes._one_basin(depth, level)
        assert not (told and basins.max() > 1)
        single += told
        several += basins.max() > 1
        missed += basins.max() == 1 and not told
    assert single > 5 < several
    assert missed < single


def test_two_balls_with_a_neck_are_parted_and_one_with_a_bump_is_not():
    axes = np.ogrid[:24, :24, :44]
    balls = [sum((a - m) ** 2 for a, m in zip(axes, (12, 12, x), strict=True)) for x in (13, 30)]
    two = (balls[0] <= 81) | (balls[1] <= 81)
    part = shapes.own_basin(two, shapes.depth_mm(two, 1.0), [(12, 12, 13)], 2.0, 0.75)
    assert part[12, 12, 8] and not part[12, 12, 35]
    bump = (balls[0] <= 81) | (sum((a - m) ** 2 for a, m in zip(axes, (12, 12, 20), strict=True)) <= 36)
    np.testing.assert_array_equal(
        shapes.own_basin(bump, shapes.depth_mm(bump, 1.0), [(12, 12, 13)], 2.0), bump
    )


def test_means_of_blocks_are_those_of_a_uniform_filter():
    rng = np.random.default_rng(4)
    for shape, steps in (((20, 31, 17), (3, 3, 3)), ((9, 30, 31), (1, 4, 2)), ((4, 5, 3), (5, 3, 4))):
        array = rng.normal(size=shape).astype(np.float32)
        wanted = ndimage.uniform_filter(array, steps)[tuple(slice(None, None, s) for s in steps)]
        np.testing.assert_allclose(block_means(array, steps), wanted, atol=1e-6)


def test_the_median_of_many_values_is_the_median():
    rng = np.random.default_rng(5)
    for values in (
        rng.normal(size=30001),
        rng.gamma(1.0, size=40000),
        np.repeat([1.0, 2.0, 2.5], 9000),
        np.arange(20000.0),
        np.r_[np.zeros(15000), np.ones(15000)],
    ):
        assert compartments._median(values.astype(np.float32)) == np.median(values.astype(np.float32))


def test_the_longest_plane_is_found_among_planes_of_all_sizes():
    """Discs of known diameters in any order."""
    radii = (3.0, 9.5, 4.0, 7.0)
    y, x = np.mgrid[:40, :40]
    planes = [np.clip(r - np.hypot(y - 19.7, x - 20.2) + 0.5, 0, 1) for r in radii]
    for order in ((0, 1, 2, 3), (1, 0, 3, 2), (3, 2, 0, 1)):
        stack = np.pad(np.array([planes[n] for n in order]), ((1, 1), (0, 0), (0, 0)))
        longest, across, _ = rano.diameters(stack.astype(np.float32), grid(stack.shape, (1.0, 1.0, 2.0)))
        assert longest == pytest.approx(19.0, abs=0.25)
        assert across == pytest.approx(19.0, abs=0.35)
