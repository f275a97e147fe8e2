"""Input function from the superior sagittal sinus, found automatically, with a quality score.

The sinus is wide, runs along the midline behind and above the brain, fills fully and has little
inflow artefact; its curve peaks higher and is less noisy than that of the carotids. It lags the
arteries by the transit through the brain, so tissue may arrive before it.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.concentration import bolus_arrival

_CANDIDATE_SHARE = 0.01
_MIDLINE_SIGMA_MM = 8.0
_NEIGHBOURHOOD_MM = 25.0
_LIKENESS = 0.9
_MOST_VOXELS = 20
_LEAST_CONTRAST = 8.0


@dataclass
class FoundVessel:
    """A vessel found in a series.

    Attributes
    ----------
    mask : ndarray of bool, shape (k, j, i)
    midline_mm : float
        Mean distance of its voxels from the mid-sagittal plane of the head.
    behind : float
        0 at the front of the head, 1 at the back.
    """

    mask: np.ndarray
    midline_mm: float
    behind: float


def find_vif(series, baseline, mask):
    """Find the superior sagittal sinus.

    Candidates are the one percent of voxels with the highest rise. Each is scored by its rise,
    how early it peaks, its baseline noise, its distance from the midline and how far behind it lies;
    the best one and up to 19 like it in its neighbourhood make the vessel.

    Parameters
    ----------
    series : Series
    baseline : (int, int)
    mask : ndarray of bool, shape (k, j, i)
        Where the head is; the search goes a little beyond, a brain mask may leave the sinus out.

    Returns
    -------
    FoundVessel

    Raises
    ------
    InputError
        No voxel rises clearly.
    """
    first, stop = baseline
    array = series.array
    base = array[first:stop].mean(axis=0, dtype=np.float32)
    rise = array[stop:].max(axis=0) - base if stop < len(array) else np.zeros_like(base)
    rise = np.where(np.isfinite(rise), rise, 0.0)
    if stop - first >= 3:
        # noise without signal, as around the head in a concentration map, rises by its own size only
        noise = array[first:stop].std(axis=0, dtype=np.float32)
        clear = rise > _LEAST_CONTRAST * noise
        rise = np.where(clear, rise, 0.0) if clear.any() else rise
    reach = ndimage.binary_dilation(mask, iterations=3)
    index = np.flatnonzero(reach & (rise > 0))
    if len(index) == 0:
        raise InputError("no voxel rises after the baseline", series.name, "Give --aif or --population-aif.")
    n = int(np.clip(_CANDIDATE_SHARE * len(index), min(50, len(index)), 5000))
    index = index[np.argsort(rise.ravel()[index], kind="stable")[-n:]]
    curves = array.reshape(len(array), -1)[:, index].T.astype(float)
    finite = np.isfinite(curves).all(axis=1)
    index, curves = index[finite], curves[finite]
    if len(index) == 0:
        raise InputError("no voxel with a finite curve", series.name, "Give --aif or --population-aif.")
    points = series.geometry.points_of(np.stack(np.unravel_index(index, mask.shape), axis=1))
    across, behind = _place_in_head(series.geometry, mask, points)
    score = _curve_score(curves, baseline) * _place_score(across, behind)
    chosen = _like_the_best(curves - curves[:, first:stop].mean(axis=1, keepdims=True), points, score)
    vessel = np.zeros(mask.size, bool)
    vessel[index[chosen]] = True
    return FoundVessel(
        vessel.reshape(mask.shape), float(np.mean(np.abs(across[chosen]))), float(np.mean(behind[chosen]))
    )


def _place_in_head(geometry, mask, points):
    """Distance from the midline (mm) and place from front (0) to back (1) of the head; LPS mm."""
    inside = np.argwhere(mask)
    inside = geometry.points_of(inside[:: max(1, len(inside) // 50000)])
    low, high = np.percentile(inside, [1, 99], axis=0)
    middle = 0.5 * (low + high)
    depth = (points[:, 1] - low[1]) / max(high[1] - low[1], 1e-6)
    return points[:, 0] - middle[0], np.clip(depth, 0, 1)


def _place_score(across, behind):
    """Near 1 on the midline at the back; never 0, so that a cropped series still gives a vessel."""
    midline = np.exp(-0.5 * (across / _MIDLINE_SIGMA_MM) ** 2)
    return 0.02 + midline / (1 + np.exp(-(behind - 0.55) / 0.07))


def _curve_score(curves, baseline):
    first, stop = baseline
    base = curves[:, first:stop].mean(axis=1)
    rise = curves.max(axis=1) - base
    noise = np.std(np.diff(curves[:, -max(6, curves.shape[1] // 5) :], axis=1), axis=1) / np.sqrt(2)
    peak = np.argmax(curves, axis=1).astype(float)
    early = np.exp(-np.maximum(peak - np.quantile(peak, 0.1), 0) / max(0.1 * curves.shape[1], 2))
    return rise / rise.max() * early / (1 + 5 * noise / np.maximum(rise, 1e-12))


def _like_the_best(curves, points, score):
    """The best candidate and those beside it whose curve has its shape."""
    best = int(np.argmax(score))
    near = np.linalg.norm(points - points[best], axis=1) < _NEIGHBOURHOOD_MM
    unit = curves / np.maximum(np.linalg.norm(curves, axis=1, keepdims=True), 1e-12)
    alike = unit @ unit[best] > _LIKENESS
    order = np.argsort(-np.where(near & alike, score, -1.0), kind="stable")[:_MOST_VOXELS]
    keep = order[(near & alike)[order] & (score[order] > 0.5 * score[best])]
    return keep if len(keep) else np.array([best])


def vessel_curve(series, vessel, baseline, place=None):
    """Mean curve of a vessel and how far it can be trusted.

    Parameters
    ----------
    series : Series
    vessel : ndarray of bool, shape (k, j, i)
    baseline : (int, int)
    place : FoundVessel, optional
        Adds how well the vessel lies where the sinus should be.

    Returns
    -------
    curve : ndarray, shape (t,)
        Mean over the half of the voxels that rise most (less partial volume).
    quality : dict
        ``score`` 0..1, the geometric mean of its parts: ``bolus`` (a peak over the tail), ``noise``,
        ``early``, ``agreement`` of the voxels, ``place``.
    warnings : list of str
    """
    first, stop = baseline
    curves = series.array[:, vessel].T.astype(float)
    curves = curves[np.isfinite(curves).all(axis=1)]
    if len(curves) == 0:
        raise InputError("no voxel with a finite curve", "input function", "Give another vessel mask.")
    rise = curves.max(axis=1) - curves[:, first:stop].mean(axis=1)
    top = curves[rise >= np.median(rise)]
    curve = top.mean(axis=0)
    parts = _quality_parts(curve, top, stop, first, series.times_s)
    if place is not None:
        parts["place"] = float(
            np.exp(-0.5 * (place.midline_mm / 15.0) ** 2) * np.clip(2 * place.behind, 0, 1)
        )
    score = float(np.prod(list(parts.values())) ** (1 / len(parts)))
    warnings = []
    if score < 0.5:
        worst = min(parts, key=parts.get)
        warnings.append(
            f"The measured input function is of low quality ({score:.2f} of 1, weakest: {worst}); "
            "look at its plot, or give --aif or --population-aif."
        )
    quality = {"score": score, **parts, "voxels": len(curves)}
    return curve, quality, warnings


def _quality_parts(curve, curves, stop, first, times_s):
    base = curve[first:stop].mean()
    above = curve - base
    peak = int(np.argmax(above))
    height = max(above[peak], 1e-12)
    tail = np.median(above[-max(3, len(above) // 6) :]) / height
    noise = np.std(np.diff(curve[-max(6, len(curve) // 5) :])) / np.sqrt(2) / height
    arrival = bolus_arrival(curve) or stop
    to_peak_s = times_s[peak] - times_s[max(arrival - 1, 0)]
    step = float(np.median(np.diff(times_s)))
    centred = curves - curves[:, first:stop].mean(axis=1, keepdims=True)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    agreement = np.median(unit @ (above / np.linalg.norm(above)))
    return {
        # a tail as high as the peak is tissue, not a vessel
        "bolus": float(np.clip((1.0 - tail) / 0.5, 0.0, 1.0)),
        "noise": float(1.0 / (1.0 + (noise / 0.05) ** 2)),
        "early": float(np.exp(-max(to_peak_s - max(20.0, 2 * step), 0.0) / 30.0)),
        "agreement": float(np.clip(agreement, 0.0, 1.0)),
    }
