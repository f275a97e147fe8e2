"""Which voxels of a DSC series can be used, why not, and which are normal brain."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError

# bit of each reason in the flag map
FLAGS = {
    "not_finite": 1,
    "no_signal": 2,
    "low_signal": 4,
    "saturated": 8,
    "vessel": 16,
    "susceptibility": 32,
    "skull_base": 64,
    "no_bolus": 128,
    "correction_dominates": 256,
    "enhancing": 512,
}
# the voxel has no number at all
NOT_MEASURABLE = FLAGS["not_finite"] | FLAGS["no_signal"] | FLAGS["low_signal"]
# the voxel has numbers that must not be counted as tissue
NOT_USABLE = (
    NOT_MEASURABLE | FLAGS["saturated"] | FLAGS["vessel"] | FLAGS["susceptibility"] | FLAGS["skull_base"]
)

_LOW_TSNR = 5.0
_VESSEL_SHARE = 0.04


@dataclass
class NormalBrain:
    """Flags and tissue masks over the brain.

    Attributes
    ----------
    flags : ndarray of uint16, shape (k, j, i)
        Sum of bits of :data:`FLAGS`; 0 outside the brain too.
    normal : ndarray of bool
        Brain that serves as reference: not enhancing, no vessel, no CSF, no lesion.
    enhancing : ndarray of bool
        Pieces whose curve does not come back to where normal brain comes back to.
    """

    flags: np.ndarray
    normal: np.ndarray
    enhancing: np.ndarray


def sort_voxels(first_pass, shape, geometry, exclude=None, raw_signal=True):
    """Flag unusable voxels and find normal brain.

    Parameters
    ----------
    first_pass : recovery.FirstPass
        Of all brain voxels.
    shape : tuple
        (k, j, i)
    geometry : Geometry
    exclude : ndarray of bool, shape (k, j, i), optional
        Lesion and oedema.
    raw_signal : bool
        The series is raw signal; signal-based flags make sense.

    Returns
    -------
    NormalBrain

    Raises
    ------
    InputError
        When no brain voxel has a usable curve.
    """
    voxels = first_pass.voxels
    bits = _signal_bits(first_pass, raw_signal)
    measurable = (bits & NOT_MEASURABLE) == 0
    if not measurable.any():
        raise InputError(
            "no voxel of the brain mask has a usable curve (constant, zero, or not finite)",
            "the series",
            "Check the series and the mask.",
        )
    bits[measurable & ~(first_pass.peak > 3.0 * np.nan_to_num(first_pass.noise))] |= FLAGS["no_bolus"]
    flags = np.zeros(shape, np.uint16)
    flags.ravel()[voxels] = bits
    if raw_signal:
        _flag_susceptibility(flags, first_pass, shape, geometry, measurable)
    area = _map(shape, voxels, measurable, first_pass.area)
    excluded = np.zeros(shape, bool) if exclude is None else exclude
    usable = (flags & NOT_USABLE) == 0
    usable &= np.isfinite(area) & ~excluded
    enhancing = _enhancing(first_pass, measurable, flags, excluded, shape)
    vessel = _vessels(area, usable & ~enhancing, first_pass, shape)
    flags[vessel & np.isfinite(area)] |= FLAGS["vessel"]
    flags[enhancing] |= FLAGS["enhancing"]
    normal = usable & ~_grown(enhancing, geometry) & ~vessel
    normal &= ~_fluid(area, normal)
    if np.count_nonzero(normal) < 10:
        normal = usable & ~vessel & ~enhancing
    return NormalBrain(flags, normal, enhancing)


def _signal_bits(first_pass, raw_signal):
    bits = np.zeros(len(first_pass.voxels), np.uint16)
    bits[~first_pass.finite] |= FLAGS["not_finite"]
    bits[first_pass.constant] |= FLAGS["no_signal"]
    if not raw_signal:
        return bits
    s0 = np.where(first_pass.finite, first_pass.s0, 0.0)
    bits[~(s0 > 0)] |= FLAGS["no_signal"]
    good = (bits == 0) & (s0 > 0)
    if not good.any():
        return bits
    typical = np.median(s0[good])
    bits[good & ((s0 < 0.1 * typical) | (first_pass.tsnr < _LOW_TSNR))] |= FLAGS["low_signal"]
    bits[good & (first_pass.lowest < 3.0)] |= FLAGS["saturated"]
    return bits


def _map(shape, voxels, measurable, values):
    image = np.full(shape, np.nan)
    image.ravel()[voxels] = np.where(measurable, values, np.nan)
    return image


def _flag_susceptibility(flags, first_pass, shape, geometry, measurable):
    """Signal voids against their surroundings; those that open to the lower border are skull base."""
    s0 = _map(shape, first_pass.voxels, first_pass.finite, first_pass.s0)
    brain = np.zeros(shape, bool)
    brain.ravel()[first_pass.voxels] = True
    inside = brain & np.isfinite(s0)
    sigma = [0.0] + [12.0 / s for s in geometry.spacing_kji_mm[1:]]
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    around = ndimage.gaussian_filter(np.where(inside, s0, 0.0).astype(np.float32), sigma)
    dark = inside & (s0 < 0.45 * around / np.maximum(weight, 1e-3))
    dark &= ndimage.binary_opening(dark, np.ones((1, 2, 2), bool))
    labels, count = ndimage.label(dark)
    if count == 0:
        return
    outside = ndimage.binary_dilation(~brain, ndimage.generate_binary_structure(3, 1), border_value=0) & brain
    index = np.argwhere(brain)
    height = geometry.points_of(index)[:, 2]
    low = np.zeros(shape, bool)
    low[brain] = height <= np.quantile(height, 0.35)
    base = np.unique(labels[outside & low & dark])
    base = base[base > 0]
    skull = np.isin(labels, base)
    flags[dark] |= FLAGS["susceptibility"]
    flags[skull] |= FLAGS["skull_base"]


def _enhancing(first_pass, measurable, flags, excluded, shape):
    """Voxels whose late curve lies outside the noise of what normal brain shows.

    Normal brain keeps some contrast agent in its blood: the late value is a fixed share of the area.
    The share and the scatter about it are taken robustly over the brain, the voxel's own noise is added.
    """
    own = flags.ravel()[first_pass.voxels]
    base = measurable & ((own & NOT_USABLE) == 0) & ~excluded.ravel()[first_pass.voxels]
    out = np.zeros(shape, bool)
    if np.count_nonzero(base) < 20:
        return out
    area, late = first_pass.area, first_pass.late
    share = np.median(late[base]) / max(np.median(area[base]), 1e-12)
    for _ in range(3):
        rest = late - share * area
        centre = np.median(rest[base])
        scatter = 1.4826 * np.median(np.abs(rest[base] - centre))
        core = base & (np.abs(rest - centre) <= 2.5 * scatter) & (area > 0)
        if np.count_nonzero(core) < 20:
            break
        share = float(late[core] @ area[core] / (area[core] @ area[core]))
    rest = late - share * area
    noise = np.nan_to_num(first_pass.noise) / np.sqrt(5.0)
    far = measurable & (np.abs(rest - np.median(rest[base])) > 3.0 * np.hypot(scatter, noise))
    out.ravel()[first_pass.voxels] = far
    # single voxels are noise
    crowd = ndimage.uniform_filter(out.astype(np.float32), (1, 3, 3), mode="nearest")
    return out & (crowd >= 4.0 / 9.0)


def _vessels(area, usable, first_pass, shape):
    """The largest areas of usable brain, where they stand out."""
    values = area[usable]
    if len(values) < 50:
        return np.zeros(shape, bool)
    cut = max(np.quantile(values, 1.0 - _VESSEL_SHARE), 2.5 * np.median(values))
    return usable & (area > cut)


def _fluid(area, normal):
    """Voxels with hardly any blood: CSF, cysts."""
    if np.count_nonzero(normal) < 20:
        return np.zeros(area.shape, bool)
    return normal & (area < 0.15 * np.median(area[normal]))


def _grown(mask, geometry, margin_mm=4.0):
    """Voxels whose centre lies within a distance of the mask."""
    if not mask.any():
        return mask
    # a ball of voxels needs a bit for each voxel, a distance map more than forty bytes
    spacing = geometry.spacing_kji_mm
    offsets = [np.arange(-int(margin_mm // s), int(margin_mm // s) + 1) * s for s in spacing]
    k, j, i = np.meshgrid(*offsets, indexing="ij", sparse=True)
    return ndimage.binary_dilation(mask, k * k + j * j + i * i <= margin_mm**2)
