"""Scores of single inputs and the decision over evidence groups: arithmetic only, no data files."""

import numpy as np

ANGIOGENIC, VCO, MIXED, NEUTRAL = "angiogenic-dominant", "VCO-leaning", "mixed", "indeterminate: neutral"
INSUFFICIENT = "indeterminate: insufficient inputs"
#: Order of the label codes that :func:`decide` returns.
LABELS = (ANGIOGENIC, VCO, MIXED, NEUTRAL)


def score(value, lo, hi, log_scale, one_sided):
    """Place of a value between its limits.

    Parameters
    ----------
    value, lo, hi : array_like
        Broadcast against each other; the unit is the input's own.
    log_scale : bool
        Interpolate between the limits in the logarithm (ratios, rate constants).
    one_sided : bool
        Only speaks for the co-option side: 0 at ``lo`` and below, -1 at ``hi`` and above.

    Returns
    -------
    ndarray
        -1 (co-option side) to +1 (angiogenic side).
    """
    value, lo, hi = (np.asarray(x, dtype=float) for x in (value, lo, hi))
    if log_scale:
        tiny = np.finfo(float).tiny
        value, lo, hi = (np.log(np.maximum(x, tiny)) for x in (value, lo, hi))
    place = (value - lo) / (hi - lo)
    if one_sided:
        return 0.0 - np.clip(place, 0.0, 1.0)
    return np.clip(2.0 * place - 1.0, -1.0, 1.0)


def combine(group_weight, group_score):
    """Balance of evidence over groups (axis 0).

    Parameters
    ----------
    group_weight, group_score : ndarray, shape (groups, ...)
        Weight 0 means that the group is absent.

    Returns
    -------
    e, p, n : ndarray, shape (...)
        Weighted mean score, and its positive and negative parts; NaN without any evidence.
    """
    total = group_weight.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = (group_weight * np.maximum(group_score, 0.0)).sum(axis=0) / total
        n = (group_weight * np.maximum(-group_score, 0.0)).sum(axis=0) / total
    return p - n, p, n


def decide(e, p, n, decision):
    """Label codes (index into :data:`LABELS`) from the balance of evidence.

    Parameters
    ----------
    e, p, n : ndarray
    decision : dict
        ``angiogenic_at``, ``vco_at``, ``mixed_p``, ``mixed_n``.

    Returns
    -------
    ndarray of int
    """
    both = (p >= decision["mixed_p"]) & (n >= decision["mixed_n"])
    return np.select(
        [e >= decision["angiogenic_at"], e <= decision["vco_at"], both],
        [LABELS.index(ANGIOGENIC), LABELS.index(VCO), LABELS.index(MIXED)],
        LABELS.index(NEUTRAL),
    )
