"""Volumes inside isodoses, each shared out to the lesion that lies nearest."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

# sub-voxels per voxel edge, from fine to coarse, and how many points each may take
_FACTORS = ((4, 2.0e6), (3, 4.0e6), (2, np.inf))
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
    voxels = np.argwhere(field.high >= wanted[0])
    owner = _nearest_lesion(field.geometry.points_of(voxels), surfaces)
    cut = cut_voxels(field, voxels, wanted)
    whole = field.array[tuple(voxels[~cut].T)]
    _count(whole, np.full(len(whole), 1e-6), owner[~cut], levels, volumes, field.geometry.voxel_ml)
    factor = _factor_for(int(cut.sum()))
    _count_parts(field, voxels[cut], owner[cut], factor, levels, volumes)
    step = float(max(field.geometry.spacing_mm)) / factor
    return IsodoseShares(
        volumes, _bridges(field, surfaces, levels), _border_levels(field.array, wanted), step
    )


def _nearest_lesion(points, surfaces):
    """Number of the lesion nearest to every point."""
    if len(surfaces) == 1:
        return np.zeros(len(points), int)
    thin = [s[:: max(1, len(s) // _MOST_SURFACE)] for s in surfaces]
    owner = np.concatenate([np.full(len(s), n) for n, s in enumerate(thin)])
    return owner[cKDTree(np.concatenate(thin)).query(points)[1]]


def cut_voxels(field, voxels, wanted):
    """Voxels that a level may pass through: the level lies within the range of their neighbours."""
    place = tuple(voxels.T)
    low = ndimage.minimum_filter(field.array, size=3, mode="nearest")[place]
    high = ndimage.maximum_filter(field.array, size=3, mode="nearest")[place]
    here = field.array[place]
    # a voxel reaches half way to its neighbours; a little more for the curvature of the dose
    down, up = here - 0.75 * (here - low), here + 0.75 * (high - here) + 0.02 * here
    return np.any([(down <= level) & (level <= up) for level in wanted], axis=0)


def _factor_for(count):
    return next(factor for factor, most in _FACTORS if count * factor**3 <= most)


def _count_parts(field, voxels, owner, factor, levels, volumes):
    ticks = (np.arange(factor) + 0.5) / factor - 0.5
    inner = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), -1).reshape(-1, 3)
    voxel_ml = field.geometry.voxel_ml / factor**3
    chunk = max(1, 500_000 // len(inner))
    for first in range(0, len(voxels), chunk):
        part = voxels[first : first + chunk]
        dose = field.at_index((part[:, None] + inner).reshape(-1, 3))
        slope = slope_of_blocks(dose.reshape(-1, factor, factor, factor)).ravel()
        _count(dose, slope, np.repeat(owner[first : first + chunk], len(inner)), levels, volumes, voxel_ml)


def slope_of_blocks(blocks):
    """Change of dose from one sub-voxel to the next, in every block of sub-voxels."""
    return np.maximum(np.sqrt(sum(g * g for g in np.gradient(blocks, axis=(1, 2, 3)))), 1e-6)


def _count(dose, slope, owner, levels, volumes, voxel_ml):
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(levels) + 1))
    for n, row in enumerate(levels):
        own = order[bounds[n] : bounds[n + 1]]
        for level in set(row):
            share = np.clip(0.5 + (dose[own] - level) / slope[own], 0.0, 1.0)
            volumes[n, level] += float(share.sum()) * voxel_ml


def _bridges(field, surfaces, levels):
    """Lesions whose half-prescription isodose holds another lesion too."""
    bridged = set()
    labelled = {level: ndimage.label(field.array >= level)[0] for level in {row[1] for row in levels}}
    for level, regions in labelled.items():
        inside = [_regions_at(regions, field.geometry, s) for s in surfaces]
        for n, row in enumerate(levels):
            if row[1] == level:
                sharing = {m for m, other in enumerate(inside) if m != n and inside[n] & other}
                bridged |= sharing | ({n} if sharing else set())
    return bridged


def _regions_at(regions, geometry, points):
    index = np.rint(geometry.index_of(points)).astype(int)
    index = index[np.all((index >= 0) & (index < regions.shape), axis=1)]
    return set(np.unique(regions[tuple(index.T)]).tolist()) - {0}


def _border_levels(array, levels):
    shell = max(float(np.take(array, [0, -1], axis=axis).max()) for axis in range(3) if array.shape[axis] > 1)
    return {level for level in levels if shell >= level}
