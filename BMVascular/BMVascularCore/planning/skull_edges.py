"""Agreement of the skull in CT with what the MRI shows of it, part by part of the vault.

Mutual information is one number for the whole head. Here the edge between brain, bone and scalp is looked at
along short lines across the vault: in each part of the vault the MRI is slid along the lines until brain, bone and
scalp of the CT divide its values best (correlation ratio, Roche 1998). A rigid error shifts opposite parts in
opposite directions; a bulge that no shift explains is a distortion, or another head.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

_BONE_HU = 300.0
_INSIDE_MM, _OUTSIDE_MM, _STEP_MM = 12.0, 26.0, 0.5
_BONE_ROOM_MM = 14.0
_BRAIN_MM, _SCALP_MM = 8.0, 5.0
_SLIDE_MM = 6.0
_PARTS = 40
_LEAST_LINES, _LEAST_PARTS = 12, 12


@dataclass(frozen=True)
class SkullAgreement:
    """How the edges of the vault lie in both images.

    Attributes
    ----------
    shift_mm : ndarray, shape (3,)
        The rigid shift that the edges ask for, LPS; NaN where too little of the vault is seen.
    rest_mm : float
        Scatter of the parts about that shift (robust standard deviation).
    contrast : float
        Median share of the MRI's variance that brain, bone and scalp of the CT explain, 0..1.
    parts : int
        Parts of the vault that could be measured.
    """

    shift_mm: np.ndarray
    rest_mm: float
    contrast: float
    parts: int

    @property
    def distance_mm(self):
        """Length of the shift."""
        return float(np.linalg.norm(self.shift_mm))


NOTHING = SkullAgreement(np.full(3, np.nan), float("nan"), float("nan"), 0)


def skull_agreement(ct, mr, transform):
    """Measure the agreement of skull edges.

    Parameters
    ----------
    ct, mr : SimpleITK.Image
        Float images, about 1 mm; CT in HU.
    transform : SimpleITK.Transform
        CT points to MR points, LPS mm.

    Returns
    -------
    SkullAgreement
        :data:`NOTHING` where the CT shows no closed vault.
    """
    places, normals = _vault(ct)
    if len(places) < 10 * _LEAST_LINES:
        return NOTHING
    along = np.arange(-_INSIDE_MM, _OUTSIDE_MM + 0.1, _STEP_MM)
    lines = places[:, None] + along[:, None] * normals[:, None]
    inner, outer = _tables(_sampled(ct, lines, -1000.0), along)
    kept = np.isfinite(inner)
    places, normals, lines = places[kept], normals[kept], lines[kept]
    inner, outer = inner[kept], outer[kept]
    if len(places) < 10 * _LEAST_LINES:
        return NOTHING
    matrix = np.reshape(transform.GetInverse().GetInverse().GetMatrix(), (3, 3))
    offset = np.asarray(transform.TransformPoint((0.0, 0.0, 0.0)))
    values = _sampled(mr, lines @ matrix.T + offset, np.nan)
    return _agreement(places, normals, values, inner, outer, along)


def _agreement(places, normals, values, inner, outer, along):
    directions = places - places.mean(axis=0)
    part = np.argmax(
        directions / np.linalg.norm(directions, axis=1, keepdims=True) @ _sphere(_PARTS).T, axis=1
    )
    slides = np.arange(-_SLIDE_MM, _SLIDE_MM + 0.1, _STEP_MM)
    found = []
    for number in range(_PARTS):
        mine = np.flatnonzero((part == number) & np.isfinite(values).all(axis=1))
        if len(mine) < _LEAST_LINES:
            continue
        ratios = [_ratio(values[mine], inner[mine], outer[mine], along, slide) for slide in slides]
        best = int(np.argmax(ratios))
        if 0 < best < len(slides) - 1:
            found.append((*normals[mine].mean(axis=0), _peak(slides, ratios, best), ratios[best]))
        else:
            found.append((*normals[mine].mean(axis=0), slides[best], ratios[best]))
    if len(found) < _LEAST_PARTS:
        return NOTHING
    found = np.array(found)
    shift, rest = _fit(found[:, :3], found[:, 3])
    return SkullAgreement(shift, rest, float(np.median(found[:, 4])), len(found))


def _vault(ct):
    """Points on the inner table of the vault, and the normals that lead outwards, shape (n, 3) each."""
    coarse = sitk.Resample(
        sitk.SmoothingRecursiveGaussian(ct, 1.0),
        [max(1, int(n * s / 3.0)) for n, s in zip(ct.GetSize(), ct.GetSpacing(), strict=True)],
        sitk.Transform(), sitk.sitkLinear, ct.GetOrigin(), [3.0] * 3, ct.GetDirection(), -1000.0,
    )  # fmt: skip
    array = sitk.GetArrayFromImage(coarse)
    tissue = (array > -100) & (array < _BONE_HU - 100)
    # what bone closes off: soft tissue that survives an opening wider than the holes of the base
    depth = ndimage.distance_transform_edt(tissue)
    core, count = ndimage.label(depth > 4.0)
    if count == 0:
        return np.zeros((0, 3)), np.zeros((0, 3))
    cavity = core == 1 + int(np.argmax(np.bincount(core.ravel())[1:]))
    cavity = ndimage.distance_transform_edt(~cavity) <= 4.0
    cavity &= tissue
    soft = ndimage.gaussian_filter(cavity.astype(np.float32), 2.0)
    edge = cavity & ~ndimage.binary_erosion(cavity)
    # near the end of the image, or low at the base, an edge is no vault
    edge[:2], edge[-2:] = False, False
    index = np.argwhere(edge)
    if len(index) == 0:
        return np.zeros((0, 3)), np.zeros((0, 3))
    slope = np.stack([g[edge] for g in np.gradient(soft)], axis=1)[:, ::-1]
    steps = np.reshape(coarse.GetDirection(), (3, 3)) * coarse.GetSpacing()
    places = index[:, ::-1] @ steps.T + np.asarray(coarse.GetOrigin())
    normals = -(slope @ np.reshape(coarse.GetDirection(), (3, 3)).T)
    length = np.linalg.norm(normals, axis=1)
    high = places[:, 2] > np.argwhere(cavity).mean(axis=0)[::-1] @ steps[2] + coarse.GetOrigin()[2] - 15.0
    kept = (length > 1e-3) & high
    every = max(1, int(kept.sum() // 3000))
    return places[kept][::every], (normals[kept] / length[kept][:, None])[::every]


def _sampled(image, points, outside):
    matrix = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    index = (points - np.asarray(image.GetOrigin())) @ np.linalg.inv(matrix).T
    array = sitk.GetArrayViewFromImage(image)
    return ndimage.map_coordinates(array, np.moveaxis(index[..., ::-1], -1, 0), order=1, cval=outside)


def _tables(profile, along):
    """Where each line enters and leaves bone, mm along the line; NaN where it meets no clear bone."""
    bone = profile > _BONE_HU
    near = (along > -7.0) & (along < 7.0)
    first = np.argmax(bone & near, axis=1)
    met = (bone & near).any(axis=1)
    end = np.minimum(first + int(_BONE_ROOM_MM / _STEP_MM), len(along) - 1)
    inner, outer = np.full(len(profile), np.nan), np.full(len(profile), np.nan)
    for row in np.flatnonzero(met):
        inside = np.flatnonzero(bone[row, first[row] : end[row]])
        last = first[row] + inside[-1]
        if first[row] == 0 or last + 1 >= len(along) or along[last] - along[first[row]] < 1.5:
            continue
        inner[row] = _crossing(profile[row], along, first[row] - 1)
        outer[row] = _crossing(profile[row], along, last)
    return inner, outer


def _crossing(profile, along, index):
    low, high = profile[index], profile[index + 1]
    return along[index] + _STEP_MM * (_BONE_HU - low) / (high - low)


def _ratio(values, inner, outer, along, slide):
    """Correlation ratio of the MRI given brain, bone and scalp of the CT, slid by some millimetres."""
    at = along - slide
    brain = (at > inner[:, None] - _BRAIN_MM) & (at <= inner[:, None])
    bone = (at > inner[:, None]) & (at <= outer[:, None])
    scalp = (at > outer[:, None]) & (at <= outer[:, None] + _SCALP_MM)
    used = brain | bone | scalp
    whole = values[used]
    spread = whole.var() * len(whole)
    if spread <= 0:
        return 0.0
    inside = sum(values[each].var() * each.sum() for each in (brain, bone, scalp) if each.any())
    return 1.0 - inside / spread


def _peak(slides, ratios, best):
    left, middle, right = ratios[best - 1 : best + 2]
    bend = left - 2 * middle + right
    return slides[best] + (0.5 * _STEP_MM * (left - right) / bend if bend < 0 else 0.0)


def _sphere(count):
    """Directions spread evenly over the sphere, shape (count, 3)."""
    turn = np.arange(count) * np.pi * (3.0 - np.sqrt(5.0))
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    return np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], axis=1)


def _fit(normals, slides):
    """Shift and robust scatter: slide = common + normal . shift, large residuals weighed down."""
    design = np.column_stack([np.ones(len(slides)), normals])
    weight = np.ones(len(slides))
    for _ in range(8):
        solution = np.linalg.lstsq(design * weight[:, None], slides * weight, rcond=None)[0]
        rest = slides - design @ solution
        scale = max(1.4826 * float(np.median(np.abs(rest - np.median(rest)))), 0.1)
        weight = np.sqrt(np.minimum(1.0, 1.5 * scale / np.maximum(np.abs(rest), 1e-9)))
    return solution[1:], scale
