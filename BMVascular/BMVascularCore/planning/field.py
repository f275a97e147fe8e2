"""Smooth fields of masks, and the level that keeps the mask's volume.

A voxel mask is a staircase. Smoothing it by less than a voxel and taking the surface at the level that
encloses the mask's own volume gives a surface that neither shrinks nor loses a small lesion, which
a fixed level of one half does.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError
from BMVascularCore.volume import Geometry, Volume

SMOOTHING_MM = 0.7
_PAD_MM = 3.0


@dataclass
class MaskField:
    """A smoothed mask on its own (cropped) grid.

    Attributes
    ----------
    volume : Volume
        float32 in 0..1, padded by at least 3 mm of background.
    volume_mm3 : float
        Volume of the mask: sum of the voxels' shares times voxel volume.
    """

    volume: Volume
    volume_mm3: float


def crop_geometry(geometry, start_kji, shape):
    """Geometry of a box of a grid; the box may reach beyond the grid."""
    return Geometry(
        tuple(int(n) for n in shape),
        geometry.spacing_mm,
        tuple(geometry.points_of(np.asarray(start_kji, float)).tolist()),
        geometry.direction,
    )


def box_around(mask):
    """First index and shape (k, j, i) of the smallest box around a mask; None for an empty one."""
    spans = []
    for axis in range(mask.ndim):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if hit.size == 0:
            return None
        spans.append((int(hit[0]), int(hit[-1]) + 1))
    return tuple(a for a, _ in spans), tuple(b - a for a, b in spans)


def box_start(part, whole, tolerance_mm=0.05):
    """First index (k, j, i) of a grid that is a box of another grid; None where it is none.

    Parameters
    ----------
    part, whole : Geometry
    tolerance_mm : float
    """
    start = np.rint(whole.index_of(part.origin_mm)).astype(int)
    inside = (start >= 0).all() and (start + part.shape <= whole.shape).all()
    if not inside or not part.matches(crop_geometry(whole, start, part.shape), tolerance_mm):
        return None
    return tuple(start.tolist())


def cut_out(mask, geometry, pad_mm):
    """The box of a mask with background around it, on an extended grid.

    Parameters
    ----------
    mask : ndarray, shape (k, j, i)
        Boolean, or the share of every voxel.
    geometry : Geometry
    pad_mm : float
        Background added on every side; reaches beyond the image where needed.

    Returns
    -------
    Volume
        Array of the same type.

    Raises
    ------
    InputError
        Empty mask.
    """
    box = box_around(mask > 0)
    if box is None:
        raise InputError("is empty: it holds no voxel", "structure", "Remove it or draw it.")
    start, shape = (np.asarray(part) for part in box)
    pad = np.ceil(pad_mm / np.asarray(geometry.spacing_kji_mm)).astype(int) + 1
    inside = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    array = np.pad(mask[inside], [(p, p) for p in pad])
    return Volume(array, crop_geometry(geometry, start - pad, array.shape))


def smooth_mask(mask, geometry, pad_mm=_PAD_MM):
    """Smooth one structure.

    The standard deviation is 0.7 mm for voxels of 1 mm and more and 0.7 voxels below: enough to
    take the staircase out, too little to move the surface.

    Parameters
    ----------
    mask : ndarray, shape (k, j, i)
        What is not zero belongs to it; numbers between 0 and 1 are the share of a voxel.
    geometry : Geometry
    pad_mm : float

    Returns
    -------
    MaskField

    Raises
    ------
    InputError
        Empty mask.
    """
    mask = np.asarray(mask)
    box = cut_out(mask if mask.dtype.kind == "f" else mask != 0, geometry, pad_mm)
    spacing = np.asarray(geometry.spacing_kji_mm)
    sigma = SMOOTHING_MM * np.minimum(spacing, 1.0) / spacing
    field = ndimage.gaussian_filter(box.array.astype(np.float32), sigma, mode="constant")
    return MaskField(box.like(field), float(box.array.sum()) * geometry.voxel_ml * 1000.0)


def matched_level(volume_at, wanted, highest, iterations=40):
    """Level of a field whose enclosed volume is the wanted one, by bisection.

    Parameters
    ----------
    volume_at : callable
        Level to volume; falls as the level rises.
    wanted : float
    highest : float
        Largest value of the field.

    Returns
    -------
    float
    """
    low, high = 1e-4, float(highest)
    for _ in range(iterations):
        level = 0.5 * (low + high)
        if volume_at(level) > wanted:
            low = level
        else:
            high = level
        if high - low < 1e-6:
            break
    return 0.5 * (low + high)


def soft_fraction(field, level):
    """Share of every voxel that lies inside the level surface, shape of ``field``, 0..1.

    The distance to the surface is (field - level) / |gradient|; a plane cuts a voxel linearly.
    """
    slope = np.sqrt(sum(g * g for g in np.gradient(field)))
    return np.clip(0.5 + (field - level) / np.maximum(slope, 1e-6), 0.0, 1.0)
