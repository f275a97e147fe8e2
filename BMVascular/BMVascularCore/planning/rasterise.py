"""Contours to a mask on an image grid, for display and distances (dose takes the contours themselves)."""

import numpy as np

from BMVascularCore.planning.planes import BRIDGED, fill_even_odd, plane_axes
from BMVascularCore.volume import Geometry, Volume, resample

_SAME_PLANE = 0.05
# in slices of the grid: more than this, and contours run across the slices
_PARALLEL = 0.2


def mask_of_contours(contours, geometry, name="structure"):
    """Mask of planar contours on a grid.

    Every slice takes the contours of the nearest contour plane, at most half the distance of two planes away;
    polygons of one plane are joined by the even-odd rule. Contours that run across the slices are filled on a
    grid of their own first.

    Parameters
    ----------
    contours : list of ndarray, shape (n, 3)
        LPS mm.
    geometry : Geometry
    name : str

    Returns
    -------
    Volume
        Boolean. What lies outside the grid is cut off.
    """
    local = [geometry.index_of(points) for points in contours]
    if max(np.ptp(index[:, 0]) for index in local) > _PARALLEL:
        own = _own_grid(contours, geometry)
        filled = mask_of_contours(contours, own, name)
        turned = resample(filled.like(filled.array.astype(np.uint8)), geometry, None, "nearest", 0)
        return Volume(turned.array > 0, geometry, name)
    mask = np.zeros(geometry.shape, bool)
    heights = np.array([index[:, 0].mean() for index in local])
    levels = _levels(heights)
    reach = _reach(levels)
    grid = (np.arange(geometry.shape[1], dtype=float), np.arange(geometry.shape[2], dtype=float))
    filled = {}
    for k in range(geometry.shape[0]):
        nearest = int(np.argmin(np.abs(levels - k)))
        if abs(levels[nearest] - k) > max(reach[nearest][int(k > levels[nearest])], 0.5) + 1e-6:
            continue
        if nearest not in filled:
            chosen = [index[:, 1:] for index, h in zip(local, heights, strict=True)
                      if abs(h - levels[nearest]) < _SAME_PLANE]  # fmt: skip
            filled[nearest] = fill_even_odd(chosen, grid)
        mask[k] = filled[nearest]
    return Volume(mask, geometry, name)


def _levels(heights):
    """Distinct heights, rising."""
    rising = np.sort(heights)
    return rising[np.concatenate([[True], np.diff(rising) > _SAME_PLANE])]


def _reach(levels):
    """How far every plane reaches downwards and upwards, in slices: half-way to the next, no farther than usual."""
    steps = np.diff(levels)
    usual = float(np.median(steps)) if len(steps) else 1.0
    half = 0.5 * np.concatenate([[usual], np.where(steps > BRIDGED * usual, usual, steps), [usual]])
    return np.stack([half[:-1], half[1:]], axis=1)


def _own_grid(contours, geometry):
    """A grid whose slices are parallel to contours, with the finest step of another grid."""
    axes = plane_axes(contours)
    local = np.concatenate([np.asarray(points, float) @ axes.T for points in contours])
    step = float(min(geometry.spacing_mm))
    # the volume reaches half a slice beyond the outermost contours, whatever their distance
    low, high = (
        local.min(axis=0) - (2 * step, 2 * step, 6.0),
        local.max(axis=0) + np.array((2 * step, 2 * step, 6.0)),
    )
    count = np.ceil((high - low) / step).astype(int) + 1
    return Geometry(
        tuple(count[::-1].tolist()), (step,) * 3, tuple(low @ axes), tuple(axes.T.ravel().tolist())
    )
