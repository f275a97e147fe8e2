"""Volumes inside isodoses, each shared out to the lesion that lies nearest."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

_FACTOR = 4
_MOST_POINTS = 12e6
_MOST_SURFACE = 4000


@dataclass
class IsodoseShares:
    """Isodose volumes by lesion.

    Attributes
    ----------
    volumes_ml : dict
        (lesion index, dose in Gy) to mL.
    bridged : set of int
        Lesions that share a half-prescription isodose with another.
    at_border : set of float
        Dose levels whose isodose reaches the border of the dose grid: their volumes are not complete.
    step_mm : float
        Largest distance between the points counted.
    """

    volumes_ml: dict
    bridged: set
    at_border: set
    step_mm: float


def share_isodoses(field, surfaces, levels):
    """Volumes of isodoses, partitioned by nearest lesion.

    All volume at or above a level counts, wherever it is; where isodoses of lesions merge, every point
    belongs to the lesion whose surface is nearest. Points are sub-voxels of a quarter of the dose
    grid with cubic dose; those at the isodose count in part.

    Parameters
    ----------
    field : DoseField
    surfaces : list of ndarray, shape (n, 3)
        Points on and in each lesion, LPS mm.
    levels : list of list of float
        Dose levels in Gy of each lesion; the second of each is the one whose merging counts as bridging.

    Returns
    -------
    IsodoseShares
    """
    wanted = sorted({level for row in levels for level in row})
    volumes = {(n, level): 0.0 for n, row in enumerate(levels) for level in row}
    tree, owner = _nearest_tree(field, surfaces)
    step = 0.0
    for box in _boxes(field.array, wanted[0]):
        factor = _factor_for(box)
        step = max(step, float(max(field.geometry.spacing_mm)) / factor)
        _add_box(field, box, factor, tree, owner, levels, volumes)
    return IsodoseShares(volumes, _bridges(field, surfaces, levels), _border_levels(field.array, wanted), step)


def _nearest_tree(field, surfaces):
    thin = [s[:: max(1, len(s) // _MOST_SURFACE)] for s in surfaces]
    owner = np.concatenate([np.full(len(s), n) for n, s in enumerate(thin)])
    return cKDTree(np.concatenate(thin)), owner


def _boxes(array, lowest):
    """Boxes of grid cells around the connected regions at or above the lowest level."""
    # a peak between grid points may exceed its neighbours: look a voxel around
    near = ndimage.maximum_filter(array, size=3, mode="nearest") >= 0.9 * lowest
    regions, _ = ndimage.label(near)
    return [
        (tuple(s.start for s in place), tuple(s.stop - s.start for s in place), n)
        for n, place in enumerate(ndimage.find_objects(regions), start=1)
        for regions_of in (regions,)
        if (regions_of[place] == n).any()
    ]


def _factor_for(box):
    cells = float(np.prod(box[1]))
    for factor in range(_FACTOR, 1, -1):
        if cells * factor**3 <= _MOST_POINTS:
            return factor
    return 1


def _add_box(field, box, factor, tree, owner, levels, volumes):
    start, shape, _ = box
    lowest = min(level for row in levels for level in row)
    ticks = [a - 0.5 + (np.arange(n * factor) + 0.5) / factor for a, n in zip(start, shape, strict=True)]
    slab = max(1, int(1e6 // (len(ticks[1]) * len(ticks[2]))))
    voxel_ml = field.geometry.voxel_ml / factor**3
    for first in range(0, len(ticks[0]), slab):
        part = np.arange(first, min(first + slab, len(ticks[0])))
        wide = np.clip(np.arange(part[0] - 1, part[-1] + 2), 0, len(ticks[0]) - 1)
        index = np.stack(np.meshgrid(ticks[0][wide], ticks[1], ticks[2], indexing="ij"), -1)
        dose = field.at_index(index.reshape(-1, 3)).reshape(index.shape[:-1])
        slope = _slope(dose)[1:-1]
        dose, index = dose[1:-1], index[1:-1]
        kept = dose > lowest - slope
        nearest = owner[tree.query(field.geometry.points_of(index[kept]))[1]]
        _count(dose[kept], slope[kept], nearest, levels, volumes, voxel_ml)


def _slope(dose):
    axes = [axis for axis in range(3) if dose.shape[axis] > 1]
    gradients = np.gradient(dose, axis=axes)
    gradients = gradients if isinstance(gradients, list | tuple) else [gradients]
    return np.maximum(np.sqrt(sum(g * g for g in gradients)), 1e-6)


def _count(dose, slope, nearest, levels, volumes, voxel_ml):
    for n, row in enumerate(levels):
        own = nearest == n
        for level in set(row):
            share = np.clip(0.5 + (dose[own] - level) / slope[own], 0.0, 1.0)
            volumes[n, level] += float(share.sum()) * voxel_ml


def _bridges(field, surfaces, levels):
    """Lesions whose half-prescription isodose holds another lesion too."""
    bridged = set()
    for n, row in enumerate(levels):
        regions, _ = ndimage.label(field.array >= row[1])
        inside = [_regions_at(regions, field.geometry, s) for s in surfaces]
        for m, other in enumerate(inside):
            if m != n and inside[n] & other:
                bridged |= {n, m}
    return bridged


def _regions_at(regions, geometry, points):
    index = np.rint(geometry.index_of(points)).astype(int)
    index = index[np.all((index >= 0) & (index < regions.shape), axis=1)]
    return set(np.unique(regions[tuple(index.T)]).tolist()) - {0}


def _border_levels(array, levels):
    shell = max(float(np.take(array, [0, -1], axis=axis).max()) for axis in range(3) if array.shape[axis] > 1)
    return {level for level in levels if shell >= level}
