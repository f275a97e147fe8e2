"""Partial volume undone: what a coarse map would show if its voxels were as fine as those of the anatomy.

Perfusion voxels mix a lesion's rim with its core and with normal brain. The compartments are known on the fine grid,
so each region's mean follows from least squares over the coarse voxels (geometric transfer matrix, Rousset et al.,
J Nucl Med 1998;39:904), and each fine voxel is corrected by the mixing that these means predict (region-based
voxel-wise correction, Thomas et al., Eur J Nucl Med Mol Imaging 2011;38:1104). What varies within a region stays.
"""

import numpy as np
from scipy import ndimage, optimize

_LEAST_SHARE, _LIMIT = 1.5, 5.0


def corrected_values(scan, key, box, regions):
    """Values of a map in a box of the label grid, corrected inside the regions.

    Parameters
    ----------
    scan : Scan
    key : str
    box : tuple of slice
    regions : list of ndarray of bool
        Of the box's shape, without overlap; what none of them holds counts as one more region.

    Returns
    -------
    ndarray of float32
        Of the box's shape. As it was where the map is as fine as the labels, or where the regions hold too few
        coarse voxels to tell their means. A correction is at most fivefold.
    """
    values = np.array(scan.maps[key][box], dtype=np.float32)
    if key not in scan.native or scan.native_voxel_ml(key) <= 1.5 * scan.geometry.voxel_ml:
        return values
    volume = scan.native[key]
    low, high = _native_range(scan.geometry, volume.geometry, box)
    if (high <= low).any():
        return values
    numbers = np.zeros(values.shape, np.intp)
    for number, mask in enumerate(regions, start=1):
        numbers[mask] = number
    shares = _shares(scan, volume.geometry, box, numbers, len(regions) + 1, low, high)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    native = np.asarray(volume.array, float)[window] * scan.scale.get(key, 1.0)
    means = _means(shares.reshape(-1, shares.shape[-1]), native.ravel())
    if means is None:
        return values
    mixed = _on_labels(shares @ means, scan.geometry, volume.geometry, box, low)
    pure = means[numbers]
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(mixed > 0, pure / mixed, 1.0)
    return np.where(numbers > 0, values * np.clip(factor, 1 / _LIMIT, _LIMIT), values).astype(np.float32)


def _native_range(fine, coarse, box):
    """First and last index (exclusive) of the coarse voxels that touch the box."""
    corners = np.array(np.meshgrid(*[(part.start, part.stop - 1) for part in box], indexing="ij"))
    index = coarse.index_of(fine.points_of(corners.reshape(3, -1).T))
    low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, coarse.shape)
    return low, high


def _shares(scan, coarse, box, numbers, count, low, high):
    """Share of each region in each coarse voxel, shape (k, j, i, regions), by points on a lattice in it."""
    fine = np.asarray(scan.geometry.spacing_kji_mm)
    # as many points as fine voxels: whole ratios are then shared out exactly
    steps = np.clip(np.ceil(np.asarray(coarse.spacing_kji_mm) / fine - 1e-6).astype(int), 2, 6)
    axes = [
        np.arange(a, b, 1.0)[:, None] + ((np.arange(n) + 0.5) / n - 0.5)
        for a, b, n in zip(low, high, steps, strict=True)
    ]
    points = np.stack(np.meshgrid(*[axis.ravel() for axis in axes], indexing="ij"), axis=-1)
    start = np.array([part.start for part in box])
    places = np.rint(scan.geometry.index_of(coarse.points_of(points))).astype(int) - start
    held = np.all((places >= 0) & (places < numbers.shape), axis=-1)
    found = np.zeros(held.shape, np.intp)
    found[held] = numbers[tuple(places[held].T)]
    shape = [part for size, n in zip(high - low, steps, strict=True) for part in (size, n)]
    split = found.reshape(shape)
    return np.stack([(split == number).mean(axis=(1, 3, 5)) for number in range(count)], axis=-1)


def _means(shares, values):
    """Mean of each region, 0 or more; None where the data cannot tell them apart."""
    usable = np.isfinite(values)
    if usable.sum() < 2 * shares.shape[1]:
        return None
    shares, values = shares[usable], values[usable]
    known = shares.sum(axis=0) >= _LEAST_SHARE
    means = np.full(shares.shape[1], np.nan)
    # a region too small to have a mean of its own counts to the rest
    rest = values if known.all() else values[shares[:, ~known].sum(axis=1) < 0.1]
    kept = shares if known.all() else shares[shares[:, ~known].sum(axis=1) < 0.1]
    if len(rest) < 2 * known.sum():
        return None
    means[known] = optimize.nnls(kept[:, known], rest)[0]
    # means of 0 cannot be scaled: no correction there
    return np.where(np.isfinite(means), means, float(np.median(values)))


def _on_labels(native, fine, coarse, box, low):
    """Linear interpolation of a window of coarse voxels at the fine voxels of a box."""
    axes = np.meshgrid(*[np.arange(part.start, part.stop) for part in box], indexing="ij")
    index = coarse.index_of(fine.points_of(np.stack(axes, axis=-1))) - low
    return ndimage.map_coordinates(native, np.moveaxis(index, -1, 0), order=1, mode="nearest")


__all__ = ["corrected_values"]
