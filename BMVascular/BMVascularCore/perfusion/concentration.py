"""Spoiled gradient echo signal to contrast agent concentration."""

import numpy as np

from BMVascularCore.errors import InputError


def signal_to_concentration(signal, baseline, t10_s, flip_rad, tr_s, relaxivity):
    """Concentration from the signal relative to its baseline.

    ``k = S/S_base (1 - E10)/(1 - cos a E10)``, ``E1 = (1 - k)/(1 - cos a k)``, ``R1 = -ln E1 / TR``,
    ``C = (R1 - 1/T10) / r1``. T2* effects are taken as nil.

    Parameters
    ----------
    signal : array_like, shape (v, t)
    baseline : array_like, shape (v,)
        Mean signal before the agent arrives.
    t10_s : array_like, shape (v,) or float
    flip_rad : array_like, shape (v,) or float
        Actual flip angle.
    tr_s : float
    relaxivity : float
        r1 in 1/(s mM).

    Returns
    -------
    ndarray, shape (v, t)
        mM; NaN where no concentration gives that signal (saturated, or not positive) - never clipped.
    """
    signal = np.asarray(signal, float)
    baseline = np.asarray(baseline, float)[..., None]
    t10 = np.asarray(t10_s, float)
    t10 = t10[..., None] if t10.ndim else t10
    flip = np.asarray(flip_rad, float)
    cosine = np.cos(flip[..., None] if flip.ndim else flip)
    with np.errstate(divide="ignore", invalid="ignore"):
        e10 = np.exp(-tr_s / t10)
        k = signal / np.where(baseline > 0, baseline, np.nan) * (1 - e10) / (1 - cosine * e10)
        e1 = (1 - k) / (1 - cosine * k)
        # k >= 1 asks for E1 <= 0; k <= 0 for R1 <= 0: no concentration explains either
        e1 = np.where((k > 0) & (k < 1) & (e1 > 0), e1, np.nan)
        return (-np.log(e1) / tr_s - 1 / t10) / relaxivity


def check_protocol(tr_s, flip_deg, relaxivity):
    """Refuse scan parameters that cannot be true.

    Raises
    ------
    InputError
        Missing or implausible repetition time, flip angle or relaxivity.
    """
    if tr_s is None or flip_deg is None:
        raise InputError(
            "signal needs the repetition time and the flip angle",
            "dce",
            "Give --tr (ms) and --flip (degrees), or --concentration.",
        )
    if not 5e-4 <= tr_s <= 0.5:
        raise InputError(
            f"repetition time {tr_s * 1000:g} ms is implausible for a spoiled gradient echo",
            "--tr",
            "Give milliseconds, for example 4.5.",
        )
    if not 1.0 <= flip_deg <= 90.0:
        raise InputError(
            f"flip angle {flip_deg:g} degrees is implausible", "--flip", "Give degrees, for example 15."
        )
    if not 0.5 <= relaxivity <= 60.0:
        raise InputError(
            f"relaxivity {relaxivity:g} /s/mM is implausible", "--relaxivity", "Typical is 3 to 8 /s/mM."
        )


def bolus_arrival(curve):
    """First frame in which a mean curve clearly rises, or None.

    The rise is looked for backwards from the steepest ascent: the last frame before it that still
    lies within three robust standard deviations (or 5 % of the peak) of the frames before.

    Parameters
    ----------
    curve : array_like, shape (t,)

    Returns
    -------
    int or None
    """
    curve = np.asarray(curve, float)
    peak = int(np.nanargmax(curve))
    if peak < 1:
        return None
    steep = int(np.argmax(np.diff(curve[: peak + 1]))) + 1
    before = curve[:steep]
    level = np.median(before)
    spread = 1.4826 * np.median(np.abs(before - level))
    limit = level + max(3 * spread, 0.05 * (curve[peak] - level))
    arrival = steep
    while arrival > 1 and curve[arrival - 1] > limit:
        arrival -= 1
    return arrival
