"""From signal to dR2*, and where the bolus lies in time.

dR2* is CAPLEX quantity Q.EL1.009; its sign is kept, because T1 shine-through of leaking contrast
agent makes it negative and the leakage correction needs to see that.
"""

from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import InputError

# seconds by which arteries may lead the mean curve of the brain
ARTERIAL_LEAD_S = 2.0
# the log of a signal needs a positive floor: this share of the baseline (dR2* saturates there)
SIGNAL_FLOOR = 0.01


@dataclass(frozen=True)
class Bolus:
    """Where the bolus lies in a series (frame indices from 0).

    Attributes
    ----------
    skip : int
        Frames dropped at the start (approach to the steady state).
    baseline : slice
        Frames before the bolus that give S0 and the noise.
    arrival : int
        Bolus arrival in the mean curve: last frame before the rise.
    peak : int
        Frame of the peak of the mean curve.
    first_pass_end : int
        Last frame of the first pass (return to half of the peak or the minimum after it).
    cut_off : bool
        The series ends while the bolus is still passing.
    height, noise : float
        Peak height of the mean curve over its baseline, and its noise, in the curve's unit.
    """

    skip: int
    baseline: slice
    arrival: int
    peak: int
    first_pass_end: int
    cut_off: bool
    height: float
    noise: float

    @property
    def start(self):
        """First frame of the integration window: the last baseline frame."""
        return self.baseline.stop - 1


def delta_r2s(signal, s0, te_s):
    """Change of the transverse relaxation rate of one echo.

    ``dR2*(t) = -ln(S(t) / S0) / TE`` (CAPLEX Q.EL1.009). Only the logarithm is protected: signals
    under 1 % of the baseline count as 1 %. Negative values stay.

    Parameters
    ----------
    signal : ndarray, shape (t, n)
    s0 : ndarray, shape (n,)
        Baseline signal; not positive gives NaN.
    te_s : float
        Echo time in seconds.

    Returns
    -------
    ndarray, shape (t, n)
        1/s, in the floating type of ``signal``.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = signal / np.where(s0 > 0, s0, np.nan).astype(signal.dtype)
        np.maximum(ratio, SIGNAL_FLOOR, out=ratio)
        np.log(ratio, out=ratio)
    ratio *= -1.0 / te_s
    return ratio


def delta_r2s_dual(signal1, signal2, s0_1, s0_2, te1_s, te2_s):
    """Change of the transverse relaxation rate of two echoes, free of T1 effects.

    ``dR2*(t) = ln[(S1/S1_0) / (S2/S2_0)] / (TE2 - TE1)``: the longitudinal part is common to both
    echoes and cancels.

    Parameters
    ----------
    signal1, signal2 : ndarray, shape (t, n)
    s0_1, s0_2 : ndarray, shape (n,)
    te1_s, te2_s : float
        TE2 longer than TE1.

    Returns
    -------
    ndarray, shape (t, n)
        1/s.
    """
    first = delta_r2s(signal1, s0_1, 1.0)
    second = delta_r2s(signal2, s0_2, 1.0)
    return (second - first) / (te2_s - te1_s)


def trapezoid_weights(times_s, start=0, stop=None):
    """Weights w such that ``w @ y`` is the trapezoid integral of y over the frames [start, stop).

    Returns
    -------
    ndarray, shape (t,)
        Seconds; zero outside the window.
    """
    times_s = np.asarray(times_s, dtype=float)
    stop = len(times_s) if stop is None else stop
    weights = np.zeros(len(times_s))
    half = np.diff(times_s[start:stop]) / 2.0
    weights[start : stop - 1] += half
    weights[start + 1 : stop] += half
    return weights


def running_integral(curve, times_s):
    """Trapezoid integral from the first frame to each frame, along axis 0; starts at 0."""
    curve = np.asarray(curve, dtype=float)
    steps = np.diff(times_s).reshape((-1,) + (1,) * (curve.ndim - 1))
    out = np.zeros_like(curve)
    np.cumsum((curve[1:] + curve[:-1]) * steps / 2.0, axis=0, out=out[1:])
    return out


def find_bolus(curve, times_s, skip=None, baseline=None, name="the series"):
    """Find the steady state, the baseline and the bolus in a mean curve.

    The arrival is the knot of the least-squares fit "constant, then a straight rise" (piecewise
    linear model, CAPLEX M.DM1.002; Cheong 2003) over the frames up to 80 % of the peak. The
    baseline ends two seconds earlier where it can, because arteries lead the mean.

    Parameters
    ----------
    curve : ndarray, shape (t,)
        Mean curve that rises with contrast agent: -ln S, dR2* or a concentration.
    times_s : ndarray, shape (t,)
    skip : int, optional
        Frames to drop at the start; found by default.
    baseline : (int, int), optional
        Baseline frames [first, stop), counted from 0; found by default.
    name : str
        For messages.

    Returns
    -------
    Bolus

    Raises
    ------
    InputError
        No bolus, a bolus that peaks in the last frames, a bolus without baseline, or a baseline outside
        the series.
    """
    curve, times_s = np.asarray(curve, dtype=float), np.asarray(times_s, dtype=float)
    _check_length(curve, skip, baseline, name)
    smooth = _smooth(curve)
    first = skip if skip is not None else (baseline[0] if baseline else min(2, len(curve) // 8))
    peak = _peak(curve, smooth, first, name)
    noise = _noise(curve, first, peak)
    skip = first if skip is not None or baseline else _steady_from(curve, first, peak, noise)
    arrival = _knot(curve, times_s, skip, peak)
    window = slice(*baseline) if baseline else _baseline(times_s, skip, arrival)
    level = float(curve[window].mean())
    height = float(curve[peak] - level)
    if height < 5.0 * noise or height <= 1e-3 * max(np.ptp(curve[window]), 1e-9):
        raise _no_bolus(name, height, noise)
    if window.stop > peak:
        raise InputError(
            f"the baseline frames {window.start}:{window.stop} reach beyond the bolus peak (frame {peak})",
            name,
            "Give --baseline A:B with frames before the bolus.",
        )
    end, cut_off = _first_pass_end(smooth, level, peak, noise)
    return Bolus(skip, window, max(arrival, window.stop - 1), peak, end, cut_off, height, noise)


def _check_length(curve, skip, baseline, name):
    frames = len(curve)
    if frames < 8:
        raise InputError(
            f"has {frames} frames, a DSC analysis needs at least 8", name, "Give the whole dynamic series."
        )
    if not np.isfinite(curve).all():
        raise InputError(
            f"the mean curve of the brain is not finite at frame {int(np.argmax(~np.isfinite(curve)))}",
            name,
            "Check the frames, or give a --mask with usable voxels.",
        )
    if skip is not None and not 0 <= skip < frames - 4:
        raise InputError(
            f"cannot drop {skip} of {frames} frames", "--skip", "Give the number of unsteady first frames."
        )
    if baseline is not None and not 0 <= baseline[0] < baseline[1] <= frames:
        raise InputError(
            f"baseline {baseline[0]}:{baseline[1]} does not lie in the {frames} frames",
            "--baseline",
            "Give A:B, frames counted from 0, from A up to but not including B.",
        )


def _smooth(curve):
    padded = np.pad(curve, 1, mode="edge")
    return (padded[:-2] + 2.0 * padded[1:-1] + padded[2:]) / 4.0


def _peak(curve, smooth, first, name):
    """Frame of the bolus peak: the highest frame of the smoothed curve that has a fall after it."""
    peak = first + int(np.argmax(smooth[first:]))
    if peak >= len(curve) - 2:
        raise InputError(
            "the mean curve has its highest point in the last frames: no bolus, or a bolus that is cut off "
            "before its peak",
            name,
            "Give the whole dynamic series, or a --mask with perfused voxels.",
        )
    near = slice(max(peak - 1, first), peak + 2)
    peak = near.start + int(np.argmax(curve[near]))
    if peak - first < 2:
        raise InputError(
            "the mean curve is highest in its first frames: no bolus, or no baseline before it",
            name,
            "Give a series with frames before the bolus.",
        )
    return peak


def _noise(curve, first, peak):
    """Noise of the mean curve from the second differences before the rise; robust to a trend."""
    before = curve[first : max(first + 4, first + (peak - first) // 2 + 1)]
    change = np.diff(before, 2) if len(before) >= 4 else np.diff(before)
    return float(1.4826 * np.median(np.abs(change)) / np.sqrt(6.0 if len(before) >= 4 else 2.0))


def _steady_from(curve, first, peak, noise):
    """First frame of the steady state: the signal starts high (curve low) and settles."""
    middle = first + max((peak - first) // 2, 1)
    level = np.median(curve[first : middle + 1])
    skip = first
    while skip < min(middle, 10) and level - curve[skip] > 4.0 * noise + 0.02 * abs(curve[peak] - level):
        skip += 1
    return skip


def _knot(curve, times_s, skip, peak):
    """Last frame before the rise: least squares over all knots of "constant, then straight line"."""
    level = np.median(curve[skip : skip + max((peak - skip) // 2, 1)])
    high = np.flatnonzero(curve[: peak + 1] - level >= 0.8 * (curve[peak] - level))
    high = high[high > skip]
    stop = max(int(high[0]) if len(high) else peak, skip + 2) + 1
    t, y = times_s[skip:stop], curve[skip:stop]
    best, knot = np.inf, skip
    for candidate in range(len(t) - 1):
        ramp = np.maximum(t - t[candidate], 0.0)
        design = np.stack([np.ones_like(t), ramp], axis=1)
        solution = np.linalg.lstsq(design, y, rcond=None)[0]
        rss = float(((y - design @ solution) ** 2).sum())
        if rss < best:
            best, knot = rss, skip + candidate
    return knot


def _baseline(times_s, skip, arrival):
    dt = float(np.median(np.diff(times_s)))
    lead = int(np.ceil(ARTERIAL_LEAD_S / dt))
    stop = arrival + 1
    # a short baseline is worth more than a safety margin
    if stop - lead - skip >= 6:
        stop -= lead
    return slice(skip, max(stop, skip + 1))


def _first_pass_end(smooth, level, peak, noise):
    """Last frame of the first pass, and whether the series ends before that is reached."""
    after = smooth[peak:] - level
    fallen = np.flatnonzero(after <= 0.5 * after[0])
    if len(fallen) == 0:
        lowest = peak + int(np.argmin(after))
        # a plateau by leakage is not a cut-off bolus: the curve must still be falling at the end
        falling = smooth[-3] - smooth[-1] > 3.0 * noise + 0.01 * after[0]
        return lowest, bool(falling and lowest >= len(smooth) - 2)
    half = peak + int(fallen[0])
    rest = smooth[half:]
    rising = np.flatnonzero(np.diff(rest) > 0)
    return half + int(rising[0]) if len(rising) else len(smooth) - 1, False


def _no_bolus(name, height, noise):
    return InputError(
        f"no contrast bolus found: the mean curve rises by {height:.3g} over a noise of {noise:.2g}",
        name,
        "Check that this is the DSC series, or give a --mask with perfused voxels.",
    )
