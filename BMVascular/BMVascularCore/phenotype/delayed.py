"""Delayed contrast: where it gathers and where it clears, from two post-contrast images an hour or so apart."""

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError
from BMVascularCore.volume import require_same_grid, resample

#: Shortest delay of the published maps, minutes (evidence row E059, from memory, not verified).
SHORTEST_DELAY_MIN = 60.0
_TISSUE = 0.2


def delayed_contrast(early, late, smooth_mm=1.0, reference=None):
    """Late minus early post-contrast image after matching of their normal tissue.

    Parameters
    ----------
    early, late : Volume
        T1-weighted, same grid, minutes and about an hour after the injection.
    smooth_mm : float
        Standard deviation of a Gauss filter against misregistration noise; 0 for none.
    reference : Volume, optional
        Mask of normal tissue; by default what is brighter than a fifth of the bright tissue in both images.

    Returns
    -------
    Volume
        Percent of the early normal-tissue signal. Above 0 contrast gathers (described for treatment
        effect), below 0 it clears (described for tumour): Zach et al., PLoS ONE 2012, e0052008.
        NaN where either image has no signal.

    Raises
    ------
    GeometryMismatchError
        When the images lie on different grids.
    InputError
        When the reference holds no signal.
    """
    require_same_grid(late.geometry, early.geometry, late.name, early.name)
    first, second = (np.asarray(v.array, dtype=np.float32) for v in (early, late))
    valid = _tissue(first) & _tissue(second)
    inside = valid if reference is None else valid & (np.asarray(reference.array) != 0)
    if not inside.any():
        raise InputError("holds no signal in normal tissue", late.name, "Check the reference mask.")
    level = float(np.median(first[inside]))
    difference = second * (level / float(np.median(second[inside]))) - first
    weight = valid.astype(np.float32)
    if smooth_mm > 0:
        sigma = [smooth_mm / spacing for spacing in early.geometry.spacing_kji_mm]
        difference = ndimage.gaussian_filter(np.where(valid, difference, 0.0), sigma)
        weight = ndimage.gaussian_filter(weight, sigma)
    percent = 100.0 * np.where(valid, difference, 0.0) / np.maximum(weight, 1e-6) / level
    return early.like(np.where(valid, percent, np.nan).astype(np.float32), "delayed contrast")


def _tissue(array):
    """Voxels that are neither air nor without a value: noise of air must not set the level."""
    positive = np.isfinite(array) & (array > 0)
    return positive & (array > _TISSUE * np.percentile(array[positive], 99)) if positive.any() else positive


def delayed_of_lesions(percent, labels, names):
    """How much of each lesion gathers or clears contrast beyond the spread of normal tissue.

    Parameters
    ----------
    percent : Volume
        From :func:`delayed_contrast`.
    labels : Volume
        Lesion labels on any grid.
    names : dict
        Label value to name.

    Returns
    -------
    dict
        Label value to ``median_percent``, ``gathering_fraction``, ``clearing_fraction`` (of the lesion's voxels),
        ``limit_percent`` (1.96 robust standard deviations of tissue outside the lesions), ``share_of_lesion`` and
        ``text``. No likelihood ratio is published for these shares, so they do not vote.

    Raises
    ------
    InputError
        The images do not overlap the lesions.
    """
    array = labels.array
    if not labels.geometry.matches(percent.geometry):
        array = resample(labels, percent.geometry, interpolation="nearest").array
    values = percent.array
    far = ~ndimage.binary_dilation(array > 0, iterations=3)
    normal = values[np.isfinite(values) & far]
    if not normal.size or not (array > 0).any():
        raise InputError("does not overlap the lesions", percent.name, "Give images of the same scan.")
    limit = 1.96 * 1.4826 * float(np.median(np.abs(normal - np.median(normal))))
    return {number: _of_lesion(values[array == number], limit) for number in names}


def _of_lesion(values, limit):
    held = values[np.isfinite(values)]
    found = {
        "median_percent": None,
        "gathering_fraction": None,
        "clearing_fraction": None,
        "limit_percent": limit,
        "share_of_lesion": float(held.size / values.size) if values.size else 0.0,
        "text": "Delayed contrast is not measurable here.",
    }
    if held.size < 5:
        return found
    gathers, clears = float((held > limit).mean()), float((held < -limit).mean())
    found |= {
        "median_percent": float(np.median(held)),
        "gathering_fraction": gathers,
        "clearing_fraction": clears,
        "text": f"Delayed contrast gathers in {gathers:.0%} and clears in {clears:.0%} of the lesion. Gathering was "
        "described for treatment effect, clearing for tumour; shown beside the tests, it does not vote.",
    }
    return found
