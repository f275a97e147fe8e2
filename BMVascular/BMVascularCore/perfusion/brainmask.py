"""Brain mask from the baseline image of a DSC series (T2*-weighted echo-planar, whole head)."""

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError

# mm that are peeled off to part the brain from the scalp, largest first
_PEEL_MM = (6.0, 4.5, 3.0, 2.0)


def brain_mask(baseline, geometry, perfused=None):
    """Brain voxels of a baseline image.

    Bright tissue is peeled in the slice plane until brain and scalp part, the largest piece is kept and
    grown back inside the bright tissue, holes are filled. An image without dark surroundings is all brain.

    Parameters
    ----------
    baseline : ndarray, shape (k, j, i)
        Mean baseline signal.
    geometry : Geometry
    perfused : ndarray of bool, shape (k, j, i), optional
        Voxels that show the bolus: pieces are weighed by them, so that fat or an eye cannot win.

    Returns
    -------
    ndarray of bool, shape (k, j, i)

    Raises
    ------
    InputError
        When the image holds no positive signal.
    """
    image = np.where(np.isfinite(baseline), baseline, 0.0).astype(np.float32)
    bright = image > tissue_threshold(image)
    spacing = geometry.spacing_kji_mm
    weight = bright if perfused is None else bright & perfused
    depth = _depth_in_plane(bright, spacing)
    whole = np.count_nonzero(bright)
    for peel in _PEEL_MM:
        core = _heaviest(depth > peel, weight)
        if np.count_nonzero(core) >= 0.15 * whole:
            break
    else:
        return _filled(_heaviest(bright, weight))
    distance = ndimage.distance_transform_edt(~core, sampling=(1e3, *spacing[1:]))
    grown = bright & (distance <= 1.25 * peel + max(spacing[1:]) * 0.5)
    return _filled(_heaviest(grown, weight))


def tissue_threshold(image):
    """Signal above which a voxel is tissue: a share of the median of the brighter class.

    Raises
    ------
    InputError
        When nothing is positive.
    """
    positive = image[image > 0]
    if len(positive) == 0:
        raise InputError("holds no positive signal", "the baseline image", "Check the series.")
    cut = _otsu(positive)
    return 0.33 * float(np.median(positive[positive > cut])) if (positive > cut).any() else 0.0


def _otsu(values, bins=256):
    top = float(np.percentile(values, 99.5))
    counts, edges = np.histogram(np.minimum(values, top), bins=bins)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    moment = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = moment / below - (moment[-1] - moment) / above
    between = np.nan_to_num(below * above * gap**2)
    return float(centres[int(np.argmax(between))])


def _depth_in_plane(mask, spacing):
    """Distance to the outside in each slice, mm: thick slices must not limit the peeling."""
    depth = np.empty(mask.shape, np.float32)
    for k, plane in enumerate(mask):
        if plane.all():
            depth[k] = 1e3
        else:
            depth[k] = ndimage.distance_transform_edt(plane, sampling=spacing[1:])
    return depth


def _heaviest(mask, weight):
    """The connected piece that holds most of the weight."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    mass = np.bincount(labels[weight & mask], minlength=count + 1).astype(float)
    mass += 1e-6 * np.bincount(labels.ravel(), minlength=count + 1)
    mass[0] = 0
    return labels == int(np.argmax(mass))


def _filled(mask):
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask]) if mask.any() else mask
