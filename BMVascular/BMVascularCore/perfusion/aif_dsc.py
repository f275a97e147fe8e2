"""Arterial input function of a DSC series: found, given, judged."""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.errors import InputError

_CANDIDATES = 600
_VOXELS = 6
# Sum of squared second differences over the squared peak: 0.4 for a bolus of 6 s at 1.5 s a frame, 14 for
# noise of a fifth of the peak. A share of the candidates (Mouridsen 2006) would drop the few sharp arteries.
_ROUGH = 3.0


@dataclass
class ArterialInput:
    """An arterial input function on the frames of the series.

    Attributes
    ----------
    curve : ndarray, shape (t,)
        dR2* in 1/s (or the unit of the given series).
    voxels : ndarray of int
        Flat voxel indices it was averaged from; empty when it was given as a curve.
    source : str
    quality : float
        0 to 1: product of the criteria in ``criteria``; NaN for a given curve.
    criteria : dict
        Name to (value, share of its full score 0..1).
    warnings : list of str
    """

    curve: np.ndarray
    voxels: np.ndarray
    source: str
    quality: float = float("nan")
    criteria: dict = field(default_factory=dict)
    warnings: list = field(default_factory=list)


def curve_shape(curves, times_s, start):
    """Peak, time to peak, width, roughness and tail of curves: what tells an artery from tissue.

    Parameters
    ----------
    curves : ndarray, shape (t, n)
    times_s : ndarray, shape (t,)
    start : int
        Last baseline frame.

    Returns
    -------
    dict of ndarray, shape (n,)
        ``peak`` (curve's unit), ``ttp_s`` (from ``start``), ``fwhm_s``, ``roughness`` (sum of squared second
        differences over squared peak), ``tail`` (mean of the last fifth over the peak), ``onset_s``.
    """
    part = curves[start:]
    top = np.argmax(part, axis=0)
    columns = np.arange(part.shape[1])
    peak = part[top, columns]
    safe = np.where(peak > 0, peak, np.nan)
    above = part >= 0.5 * safe
    frames = np.arange(len(part))[:, None]
    # contiguous stretch around the peak: a second peak must not widen the first
    before = np.where(~above & (frames < top), frames, -1).max(axis=0)
    after = np.where(~above & (frames > top), frames, len(part)).min(axis=0)
    left = _half_time(part, times_s[start:], before, before + 1, safe, columns)
    right = _half_time(part, times_s[start:], after, after - 1, safe, columns)
    onset = np.argmax(part >= 0.1 * safe, axis=0)
    return {
        "peak": peak,
        "ttp_s": times_s[start + top] - times_s[start],
        "fwhm_s": right - left,
        "roughness": (np.diff(part, 2, axis=0) ** 2).sum(axis=0) / safe**2,
        "tail": curves[-max(len(part) // 5, 1) :].mean(axis=0) / safe,
        "onset_s": times_s[start + onset] - times_s[start],
    }


def _half_time(part, times, outside, inside, peak, columns):
    """Time at which the curve crosses half of its peak between two neighbouring frames."""
    last = len(part) - 1
    valid = (outside >= 0) & (outside <= last)
    a, b = np.clip(outside, 0, last), np.clip(inside, 0, last)
    low, high = part[a, columns], part[b, columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((0.5 * peak - low) / (high - low), 0.0, 1.0)
    return np.where(valid, times[a] + share * (times[b] - times[a]), times[b])


def find_aif(source, candidates, first_pass, bolus, times_s):
    """Find arterial voxels and average them.

    Candidates are the highest and earliest peaks that are not saturated. They are ranked by
    ``peak / (TTP FWHM)``, the criterion of CAPLEX P.AE2.005 without its clustering, with the rough and the
    never-falling ones dropped, and the best that agree in shape are averaged.

    Parameters
    ----------
    source : curves.CurveSource
    candidates : ndarray of int
        Positions in ``first_pass`` of the voxels that may be arteries.
    first_pass : recovery.FirstPass
    bolus : relaxation.Bolus
    times_s : ndarray, shape (t,)

    Returns
    -------
    ArterialInput

    Raises
    ------
    InputError
        When no voxel has the shape of an artery.
    """
    voxels = first_pass.voxels[candidates]
    peak, when = first_pass.peak[candidates], first_pass.peak_time_s[candidates]
    keep = np.flatnonzero(np.isfinite(peak) & (peak > 5.0 * np.nan_to_num(first_pass.noise[candidates])))
    if len(keep):
        early = when[keep] <= np.median(when[keep])
        keep = keep[early]
        keep = keep[np.argsort(-peak[keep], kind="stable")[:_CANDIDATES]]
    if len(keep) < 1:
        raise _no_artery()
    chosen = np.sort(voxels[keep])
    curves = source.of(chosen).astype(np.float64)
    shape = curve_shape(curves, times_s, bolus.start)
    good = (shape["tail"] < 0.4) & (shape["fwhm_s"] < 20.0) & (shape["fwhm_s"] > 0)
    good &= shape["roughness"] < _ROUGH
    if not good.any():
        raise _no_artery()
    dt = float(np.median(np.diff(times_s)))
    with np.errstate(divide="ignore", invalid="ignore"):
        merit = shape["peak"] / (np.maximum(shape["ttp_s"], dt) * np.maximum(shape["fwhm_s"], dt))
    order = np.argsort(np.where(good, -merit, np.inf), kind="stable")[: min(4 * _VOXELS, int(good.sum()))]
    alike = order[_agreement(curves[:, order]) > 0.9][:_VOXELS]
    mean = curves[:, alike].mean(axis=1)
    return ArterialInput(mean, chosen[alike], f"{len(alike)} arterial voxels found automatically")


def _agreement(curves):
    """Correlation of each curve with the first one."""
    centred = curves - curves.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    return centred[:, 0] @ centred / (size[0] * size)


def _no_artery():
    return InputError(
        "no voxel has the shape of an arterial input function",
        "AIF",
        "Give --aif CSV or --aif-mask, or use --deconvolution none.",
    )


def given_aif(aif_times_s, values, times_s):
    """A given curve on the frames of the series.

    Raises
    ------
    InputError
        Too short for the series, not finite, or without positive area.
    """
    aif_times_s, values = np.asarray(aif_times_s, dtype=float), np.asarray(values, dtype=float)
    if aif_times_s.shape != values.shape or values.ndim != 1 or len(values) < 2:
        raise InputError("times and values differ in number", "AIF", "Give one value for each time.")
    if not (np.isfinite(values).all() and np.isfinite(aif_times_s).all()):
        raise InputError("holds values that are not finite", "AIF", "Mend the curve.")
    if (np.diff(aif_times_s) <= 0).any():
        raise InputError("times do not increase", "AIF", "Sort the curve by time.")
    if values.max() <= 0 or values.sum() <= 0:
        raise InputError("the curve is zero or negative throughout", "AIF", "Give a curve with a bolus.")
    span = times_s[-1] - times_s[0]
    missing = max(times_s[-1] - aif_times_s[-1], 0.0)
    warnings = []
    if missing > 0.2 * span:
        raise InputError(
            f"the curve ends at {aif_times_s[-1]:.4g} s, the series at {times_s[-1]:.4g} s",
            "AIF",
            "Give the AIF over the whole series, times in seconds.",
        )
    if missing > 0.5 * np.median(np.diff(times_s)):
        warnings.append(f"The AIF ends {missing:.3g} s before the series: its last value is held.")
    if aif_times_s[-1] > times_s[-1] + 0.5 * np.median(np.diff(times_s)):
        warnings.append("The AIF is longer than the series: its end is not used.")
    if len(values) != len(times_s) or np.abs(aif_times_s - times_s).max() > 1e-3:
        warnings.append("The AIF was interpolated linearly onto the frame times.")
    curve = np.interp(times_s, aif_times_s, values, left=0.0)
    if curve.max() <= 0 or curve.sum() <= 0:
        raise InputError("the curve has no bolus within the series", "AIF", "Check its times (seconds).")
    return ArterialInput(curve, np.zeros(0, int), "curve given by the user", warnings=warnings)


def mean_aif(source, voxels):
    """Mean curve of given arterial voxels (flat indices)."""
    curves = source.of(voxels).astype(np.float64)
    usable = np.isfinite(curves).all(axis=0)
    if not usable.any():
        raise InputError("its voxels hold no usable curve", "AIF mask", "Mark other arterial voxels.")
    return ArterialInput(
        curves[:, usable].mean(axis=1), voxels[usable], f"{int(usable.sum())} voxels marked by the user"
    )


def judge_aif(aif, reference, bolus, times_s, lowest=None):
    """Add quality score, criteria and warnings to an arterial input function.

    Parameters
    ----------
    aif : ArterialInput
    reference : ndarray, shape (t,)
        Mean curve of brain, for comparison.
    bolus : relaxation.Bolus
    times_s : ndarray, shape (t,)
    lowest : float, optional
        Lowest signal of its voxels over their noise (saturation check).

    Returns
    -------
    ArterialInput
        The same object.
    """
    shape = {k: float(v[0]) for k, v in curve_shape(aif.curve[:, None], times_s, bolus.start).items()}
    tissue = {k: float(v[0]) for k, v in curve_shape(reference[:, None], times_s, bolus.start).items()}
    ratio = shape["peak"] / tissue["peak"] if tissue["peak"] > 0 else np.nan
    lead = tissue["ttp_s"] - shape["ttp_s"]
    aif.criteria = {
        "peak over brain mean": (ratio, _ramp(ratio, 1.0, 3.0)),
        "peak before brain mean, s": (lead, _ramp(lead, -3.0, 0.0)),
        "full width at half maximum, s": (shape["fwhm_s"], _ramp(shape["fwhm_s"], 25.0, 12.0)),
        "tail over peak": (shape["tail"], _ramp(shape["tail"], 0.6, 0.3)),
        "roughness": (shape["roughness"], _ramp(shape["roughness"], 4.0, 2.0)),
    }
    if lowest is not None and np.isfinite(lowest):
        aif.criteria["lowest signal over noise"] = (float(lowest), _ramp(lowest, 1.0, 5.0))
        if lowest < 3.0:
            aif.warnings.append(
                "The AIF is saturated: its signal sinks to the noise, so its peak is too low "
                "and CBF and CBV are too high."
            )
    aif.quality = float(np.prod([share for _, share in aif.criteria.values()]))
    if aif.quality < 0.5:
        worst = min(aif.criteria, key=lambda name: aif.criteria[name][1])
        aif.warnings.append(
            f"The AIF has a low quality score ({aif.quality:.2f}); weakest: {worst} "
            f"{aif.criteria[worst][0]:.2f}. "
            "CBF, MTT and Tmax depend on it; nRCBV does not."
        )
    return aif


def _ramp(value, worst, best):
    """0 at ``worst``, 1 at ``best``, straight between; 0 when not finite."""
    if not np.isfinite(value):
        return 0.0
    return float(np.clip((value - worst) / (best - worst), 0.0, 1.0))
