"""Geometry elements of a DICOM header as numbers that can be relied upon."""

import numpy as np

from BMVascularCore.errors import InputError

_AGAIN = "Export it again from its source."
# direction cosines are written with six decimals or more
_UNIT_TOLERANCE = 1e-3


def numbers_of(data, tag, count, name):
    """Values of an element, shape (count,).

    Raises
    ------
    InputError
        Missing, not finite numbers, or another count of them.
    """
    value = data.get(tag)
    if value is None or (hasattr(value, "__len__") and len(value) == 0):
        raise InputError(f"lacks {tag}", name, _AGAIN)
    try:
        found = np.atleast_1d(np.array(value, dtype=float))
    except (TypeError, ValueError) as error:
        raise InputError(f"its {tag} is not made of numbers", name, _AGAIN) from error
    if found.shape != (count,) or not np.isfinite(found).all():
        raise InputError(f"its {tag} is not made of {count} numbers", name, _AGAIN)
    return found


def row_and_column(data, name):
    """Directions along a row and along a column, rows of shape (2, 3), LPS.

    Raises
    ------
    InputError
        As :func:`numbers_of`; directions that are no unit vectors or not at right angles.
    """
    axes = numbers_of(data, "ImageOrientationPatient", 6, name).reshape(2, 3)
    if not np.allclose(axes @ axes.T, np.eye(2), atol=_UNIT_TOLERANCE):
        raise InputError("its row and column directions are not at right angles", name, _AGAIN)
    return axes / np.linalg.norm(axes, axis=1, keepdims=True)


def pixel_spacing(data, name):
    """Distance of rows and of columns, mm.

    Raises
    ------
    InputError
        As :func:`numbers_of`; spacings that are not above zero.
    """
    spacing = numbers_of(data, "PixelSpacing", 2, name)
    if (spacing <= 0).any():
        raise InputError("its PixelSpacing is not above zero", name, _AGAIN)
    return tuple(spacing.tolist())
