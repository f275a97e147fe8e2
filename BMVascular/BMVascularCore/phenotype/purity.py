"""Map voxels that lie inside a region: values that partial volume did not dilute.

Perfusion voxels are several times larger than those of the anatomy. At the edge of a lesion they hold
normal brain as well, and a thin rim or a small lesion would be read too low by a third.
"""

import numpy as np


def pure_voxels(scan, key, box, region, settings):
    """Values of a coarse map in its own voxels that lie mostly in a region.

    Parameters
    ----------
    scan : Scan
    key : str
    box : tuple of slice
        Where the region lies on the label grid.
    region : ndarray of bool
        Of the box's shape.
    settings : dict
        ``min_purity`` (share of a map voxel inside the region) and ``min_pure_voxels``.

    Returns
    -------
    (values, errors) or None
        ``errors`` from the map of standard errors, None without one. None when the map is as fine as
        the labels, or fewer voxels than wanted are pure.
    """
    if key not in scan.native or scan.native_voxel_ml(key) <= 1.5 * scan.geometry.voxel_ml:
        return None
    volume = scan.native[key]
    index = _candidates(scan, volume.geometry, box, region)
    if not len(index):
        return None
    share = _shares(scan, volume.geometry, index, box, region)
    index = index[share >= settings["min_purity"]]
    values = _usable(scan, key, volume, index)
    kept = np.isfinite(values)
    if kept.sum() < settings["min_pure_voxels"]:
        return None
    errors = None
    if f"{key}_se" in scan.native and scan.native[f"{key}_se"].geometry.matches(volume.geometry):
        errors = np.asarray(scan.native[f"{key}_se"].array, float)[tuple(index[kept].T)]
        errors = errors[np.isfinite(errors) & (errors >= 0)]
    return values[kept], errors


def _candidates(scan, geometry, box, region):
    """Map voxels whose centre lies in or next to the region, shape (n, 3)."""
    places = np.argwhere(region) + [part.start for part in box]
    index = np.rint(geometry.index_of(scan.geometry.points_of(places))).astype(int)
    held = np.all((index >= 0) & (index < geometry.shape), axis=1)
    return np.unique(index[held], axis=0)


def _shares(scan, geometry, index, box, region):
    """Share of each map voxel inside the region, by points on a fine lattice in it."""
    fine = np.asarray(scan.geometry.spacing_kji_mm)
    counts = np.clip(np.ceil(np.asarray(geometry.spacing_kji_mm) / fine).astype(int) + 1, 2, 6)
    steps = [(np.arange(n) + 0.5) / n - 0.5 for n in counts]
    lattice = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    points = geometry.points_of(index[:, None, :] + lattice[None])
    start = np.array([part.start for part in box])
    places = np.rint(scan.geometry.index_of(points)).astype(int) - start
    held = np.all((places >= 0) & (places < region.shape), axis=-1)
    inside = np.zeros(held.shape, bool)
    inside[held] = region[tuple(places[held].T)]
    return inside.mean(axis=1)


def _usable(scan, key, volume, index):
    """Native values; NaN where the resampled map (unit converted, gaps marked) holds none."""
    values = np.asarray(volume.array, float)[tuple(index.T)]
    places = np.rint(scan.geometry.index_of(volume.geometry.points_of(index))).astype(int)
    held = np.all((places >= 0) & (places < scan.labels.shape), axis=1)
    valid = np.zeros(len(index), bool)
    valid[held] = np.isfinite(scan.maps[key][tuple(places[held].T)])
    return np.where(valid, values * scan.scale.get(key, 1.0), np.nan)
