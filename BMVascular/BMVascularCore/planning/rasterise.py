"""Contours to a mask on an image grid, for display and distances (dose takes the contours themselves)."""

import numpy as np

from BMVascularCore.planning.planes import fill_even_odd
from BMVascularCore.volume import Volume

_SAME_PLANE = 0.05


def mask_of_contours(contours, geometry, name="structure"):
    """Mask of planar contours that lie parallel to the slices of a grid.

    Every slice takes the contours of the nearest contour plane, at most half a contour distance away;
    polygons of one plane are joined by the even-odd rule.

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
    mask = np.zeros(geometry.shape, bool)
    local = [geometry.index_of(points) for points in contours]
    heights = np.array([index[:, 0].mean() for index in local])
    levels = _levels(heights)
    reach = 0.5 * float(np.median(np.diff(levels))) if len(levels) > 1 else 0.5
    grid = (np.arange(geometry.shape[1], dtype=float), np.arange(geometry.shape[2], dtype=float))
    filled = {}
    for k in range(geometry.shape[0]):
        nearest = int(np.argmin(np.abs(levels - k)))
        if abs(levels[nearest] - k) > max(reach, 0.5) + 1e-6:
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
