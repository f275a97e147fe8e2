"""Spoiled gradient echo signal to contrast agent concentration."""

import numpy as np

from BMVascularCore.errors import InputError

_NEWTON_STEPS = 30
_NEWTON_TOLERANCE_MM = 1e-11


def signal_to_concentration(
    signal, baseline, t10_s, flip_rad, tr_s, relaxivity, te_s=0.0, r2s_relaxivity=0.0
):
    """Concentration from the signal relative to its baseline.

    ``k = S/S_base (1 - E10)/(1 - cos a E10)``, ``E1 = (1 - k)/(1 - cos a k)``, ``R1 = -ln E1 / TR``,
    ``C = (R1 - 1/T10) / r1``. With an echo time and an r2* the decay ``exp(-TE r2* C)`` is part of the
    signal, and C is the root on the rising side of the signal curve, found by Newton's method.

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
    te_s : float
        Echo time; 0 takes T2* effects as nil.
    r2s_relaxivity : float
        r2* in 1/(s mM); 0 takes T2* effects as nil.

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
        conc = (-np.log(e1) / tr_s - 1 / t10) / relaxivity
    if te_s > 0 and r2s_relaxivity > 0:
        conc = _with_decay(
            conc,
            np.log(k, where=k > 0, out=np.full(k.shape, np.nan)),
            cosine,
            t10,
            tr_s,
            relaxivity,
            te_s * r2s_relaxivity,
        )
    return conc


def _with_decay(conc, log_k, cosine, t10, tr_s, relaxivity, decay_per_mM):
    """Add T2* decay: root of ``ln k(C) - decay C = ln k``, a concave function that rises up to its top.

    Without decay C is too low wherever it is positive, and on the rising side of a concave function
    Newton's steps from below never pass the root. Where the slope turns there is none.
    """
    for _ in range(_NEWTON_STEPS):
        e1 = np.exp(-tr_s * (1 / t10 + relaxivity * conc))
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.log((1 - e1) / (1 - cosine * e1)) - decay_per_mM * conc - log_k
            slope = tr_s * relaxivity * e1 * (1 / (1 - e1) - cosine / (1 - cosine * e1)) - decay_per_mM
            step = np.where(slope > 0, value / slope, np.nan)
        conc = conc - step
        if not (np.abs(step) > _NEWTON_TOLERANCE_MM).any():
            return conc
    return np.where(np.abs(step) > 1e-6, np.nan, conc)


def check_protocol(tr_s, flip_deg, relaxivity, te_s=None, r2s_relaxivity=0.0):
    """Refuse scan parameters that cannot be true.

    Raises
    ------
    InputError
        Missing or implausible repetition time, flip angle or relaxivity, or r2* without an echo time.
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
    if not 0 <= r2s_relaxivity <= 200:
        raise InputError(
            f"r2* of {r2s_relaxivity:g} /s/mM is implausible", "--r2star", "Typical is 5 to 90 /s/mM."
        )
    if r2s_relaxivity > 0 and te_s is None:
        raise InputError("needs the echo time", "--r2star", "Give --te (ms) too.")
    if te_s is not None and not 1e-4 <= te_s < tr_s:
        raise InputError(
            f"echo time {te_s * 1000:g} ms does not lie between 0.1 ms and the repetition time",
            "--te",
            "Give milliseconds, for example 1.7.",
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
