"""Whether two images show the same head in the same place, and are MR images at all."""

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError
from BMVascularCore.lesions.grid import block_means
from BMVascularCore.planning.head_mask import is_ct

_STEP_MM = 3.0
_MOVED = 2
_LEVELS = 32
# images without structure inside the head, noise alone, fit alike wherever they lie
_CLEARLY, _LEAST_GAIN = 1.05, 0.025
# fewer common places than this tell nothing
_LEAST_PLACES = 2000


def refuse_ct(images):
    """Refuse images in Hounsfield units.

    Parameters
    ----------
    images : dict
        Role to Volume or None.

    Raises
    ------
    InputError
    """
    for role, volume in images.items():
        if volume is not None and is_ct(volume):
            raise InputError(
                f"was given as {role}, but holds Hounsfield units: a CT",
                volume.name,
                f"Give the MR image for {role}.",
            )


def lies_elsewhere(one, other, head, known):
    """Whether an image fits better when it is moved than where it lies.

    Mutual information of the inside of the head, at rest and moved by two steps of about 3 mm to each of six sides.
    Images of one head have their peak at rest; those of two heads, or of one that moved by more than
    half of that, have not.

    Parameters
    ----------
    one, other : ndarray, shape (k, j, i)
        On one grid, whatever their contrasts.
    head, known : ndarray of bool
        The head in ``one``; where ``other`` was imaged. At the steps of :func:`coarse`.

    Returns
    -------
    bool
        False where too little is known to tell.
    """
    inside = ndimage.binary_erosion(head & known, iterations=_MOVED + 1)
    index = np.argwhere(inside)
    if len(index) < _LEAST_PLACES:
        return False
    first = _levels(one, inside)[tuple(index.T)]
    second = _levels(other, inside)
    moves = np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)]) * _MOVED
    still = _mutual_information(first, second[tuple(index.T)])
    moved = max(_mutual_information(first, second[tuple((index + move).T)]) for move in moves)
    return moved > max(_CLEARLY * still, still + _LEAST_GAIN)


def coarse(array, geometry):
    """The array smoothed and taken at about 3 mm, and the windows that do so for others."""
    steps = [max(1, round(_STEP_MM / s)) for s in geometry.spacing_kji_mm]
    windows = tuple(slice(None, None, step) for step in steps)
    return block_means(array, steps), windows


def _levels(array, inside):
    """Each value as its rank among equal shares of the values inside."""
    cuts = np.percentile(array[inside], np.linspace(0, 100, _LEVELS + 1)[1:-1])
    return np.searchsorted(cuts, array)


def _mutual_information(one, two):
    joint = np.bincount(one * _LEVELS + two, minlength=_LEVELS**2).reshape(_LEVELS, _LEVELS) / one.size
    return _entropy(joint.sum(0)) + _entropy(joint.sum(1)) - _entropy(joint.ravel())


def _entropy(share):
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())
