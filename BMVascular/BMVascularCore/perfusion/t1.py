"""T1 from spoiled gradient echoes at several flip angles, with B1.

Signal equation (Ernst): ``S = S0 sin a (1 - E1) / (1 - cos a E1)``, ``E1 = exp(-TR / T1)``. Linear form
after Gupta 1977 and Deoni 2003 (DESPOT1): ``S/sin a = E1 S/tan a + S0 (1 - E1)``.
"""

from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.progress import silent

T1_RANGE_S = (0.02, 15.0)
_STEPS = 12
_STILL = 1e-9
_PIECE = 1 << 13


@dataclass
class T1Result:
    """T1 map.

    Attributes
    ----------
    t1_s, m0 : ndarray
        NaN where not measurable. ``m0`` is in units of the signal.
    valid : ndarray of bool
    se_t1_s : ndarray
        Standard error; NaN with as many flip angles as parameters.
    """

    t1_s: np.ndarray
    m0: np.ndarray
    valid: np.ndarray
    se_t1_s: np.ndarray


def spgr_signal(t1_s, flip_rad, tr_s, m0=1.0):
    """Spoiled gradient echo signal in the steady state, broadcast over its arguments."""
    e1 = np.exp(-tr_s / t1_s)
    return m0 * np.sin(flip_rad) * (1 - e1) / (1 - np.cos(flip_rad) * e1)


def fit_vfa(signals, flip_deg, tr_s, b1=None, mask=None, method="nonlinear", progress=None):
    """T1 and M0 from two or more flip angles.

    Parameters
    ----------
    signals : array_like, shape (n, ...)
        One signal array for each flip angle.
    flip_deg : array_like, shape (n,)
        Nominal flip angles, degrees.
    tr_s : float or array_like, shape (n,)
        Repetition time, seconds.
    b1 : array_like, shape (...), optional
        Actual over nominal flip angle (1 = nominal).
    mask : array_like of bool, shape (...), optional
    method : {"nonlinear", "linear"}
        Least squares in the signals (variable projection, Gauss-Newton from the linear start), or DESPOT1.
    progress : callable, optional

    Returns
    -------
    T1Result
        Voxels with a signal that is not positive and finite, B1 outside 0.2..3, or T1 outside
        0.02..15 s are not valid.

    Raises
    ------
    InputError
        Fewer than two different flip angles, shapes that differ, impossible flip angle, TR or method.
    """
    signals, flip, tr = _check(signals, flip_deg, tr_s, method)
    shape = signals.shape[1:]
    inside = np.ones(shape, bool) if mask is None else np.asarray(mask, bool)
    if inside.shape != shape:
        raise InputError(f"mask {inside.shape} does not fit the signals {shape}", "mask")
    factor = None if b1 is None else np.asarray(b1, float)
    if factor is not None and factor.shape != shape:
        raise InputError(f"B1 map {factor.shape} does not fit the signals {shape}", "B1 map")
    where = np.flatnonzero(inside)
    results = np.full((3, inside.size), np.nan)
    progress = progress or silent
    for start in range(0, len(where), _PIECE):
        index = where[start : start + _PIECE]
        data = signals.reshape(len(flip), -1)[:, index].astype(float)
        angles = np.radians(flip)[:, None]
        if factor is not None:
            angles = angles * factor.ravel()[index]
        results[:, index] = _fit_piece(data, angles, tr[:, None], method)
        progress(min(1.0, (start + _PIECE) / len(where)), "T1 map")
    t1, m0, error = (row.reshape(shape) for row in results)
    return T1Result(t1, m0, np.isfinite(t1), error)


def _check(signals, flip_deg, tr_s, method):
    signals = np.asarray(signals)
    flip = np.atleast_1d(np.asarray(flip_deg, float))
    if len(np.unique(flip)) < 2 or len(flip) != len(signals):
        raise InputError(
            f"{len(signals)} signals at {len(np.unique(flip))} different flip angles",
            "flip angles",
            "Give at least two images with different flip angles.",
        )
    if not ((flip > 0) & (flip < 180)).all():
        raise InputError("a flip angle lies outside 0..180 degrees", "flip angles", "Give degrees.")
    tr = np.broadcast_to(np.asarray(tr_s, float), flip.shape)
    if not ((tr > 0) & (tr < 20)).all():
        raise InputError(f"repetition time {tr_s} s is implausible", "TR", "Give seconds here.")
    if method not in ("nonlinear", "linear"):
        raise InputError(f"unknown method '{method}'", "method", "Use nonlinear or linear.")
    return signals, flip, tr


def _fit_piece(data, angles, tr, method):
    """T1, M0 and standard error of voxels (n, v); NaN where not measurable.

    ``angles`` is (n, v), or (n, 1) without a B1 map: then sines and cosines are taken once.
    """
    good = (np.isfinite(data) & (data > 0)).all(axis=0)
    good &= data.max(axis=0) > data.min(axis=0)
    possible = (np.isfinite(angles) & (angles > 0) & (angles < np.pi)).all(axis=0)
    if not possible.all():
        angles = np.where(possible, angles, 0.1 + 0.1 * np.arange(len(tr))[:, None])
        good &= possible
    if not good.all():
        data = np.where(good, data, 1.0)
    trig = np.sin(angles), np.cos(angles)
    t1, m0 = _despot1(data, trig, tr)
    if method == "nonlinear":
        t1, m0 = _variable_projection(data, trig, tr, t1)
    bad = ~good | ~((t1 > T1_RANGE_S[0] * 1.001) & (t1 < T1_RANGE_S[1] * 0.999))
    error = _standard_error(data, trig, tr, t1, m0)
    return np.where(bad, np.nan, t1), np.where(bad, np.nan, m0), np.where(bad, np.nan, error)


def _dot(a, b):
    return np.einsum("nv,nv->v", *np.broadcast_arrays(a, b))


def _despot1(data, trig, tr):
    sine, cosine = trig
    y, x = data / sine, data * (cosine / sine)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    x -= x_mean
    slope = _dot(x, y) / _dot(x, x)
    possible = (slope > 0) & (slope < 1)
    t1 = np.where(possible, -tr.mean() / np.log(np.where(possible, slope, 0.5)), np.nan)
    return t1, (y_mean - slope * x_mean) / (1 - slope)


def _atoms(log_t1, trig, tr):
    """Unit signal and its derivative by log T1, shape (n, v)."""
    sine, cosine = trig
    share = tr * np.exp(-log_t1)
    e1 = np.exp(-share)
    below = 1 - cosine * e1
    unit = sine * (1 - e1) / below
    return unit, -sine * (1 - cosine) * e1 * share / (below * below)


def _variable_projection(data, trig, tr, start):
    """Gauss-Newton in log T1 with M0 projected out; a step that does not help is halved."""
    low, high = np.log(T1_RANGE_S)
    x = np.log(np.clip(np.nan_to_num(start, nan=1.0), *T1_RANGE_S))
    power = _dot(data, data)
    rss, m0, step = _projected_step(data, *_atoms(x, trig, tr), power)
    rows, scale = np.arange(len(x)), np.ones(len(x))
    for _ in range(_STEPS):
        part = data[:, rows] if len(rows) < len(x) else data
        angles = tuple(each if each.shape[1] == 1 else each[:, rows] for each in trig)
        trial = np.clip(x[rows] + np.clip(step[rows] * scale[rows], -1, 1), low, high)
        new_rss, new_m0, new_step = _projected_step(part, *_atoms(trial, angles, tr), power[rows])
        # at the optimum rounding decides which of two equal residuals is smaller
        better = new_rss <= rss[rows]
        taken = rows[better]
        x[taken], rss[taken] = trial[better], new_rss[better]
        m0[taken], step[taken] = new_m0[better], new_step[better]
        scale[rows] = np.where(better, 1.0, 0.5 * scale[rows])
        rows = rows[np.abs(step[rows] * scale[rows]) > _STILL]
        if len(rows) == 0:
            break
    return np.exp(x), m0


def _projected_step(data, unit, slope, power):
    uu, su, du = _dot(unit, unit), _dot(slope, unit), _dot(data, unit)
    m0 = du / uu
    # the part of the slope across the unit signal
    curvature = (_dot(slope, slope) - su * su / uu) * m0
    step = (_dot(data, slope) - du * su / uu) / np.where(curvature == 0, np.inf, curvature)
    return power - m0 * du, m0, step


def _standard_error(data, trig, tr, t1, m0):
    n = len(data)
    if n < 3:
        return np.full(len(t1), np.nan)
    unit, slope = _atoms(np.log(np.clip(np.nan_to_num(t1, nan=1.0), *T1_RANGE_S)), trig, tr)
    uu, su = _dot(unit, unit), _dot(slope, unit)
    information = (_dot(slope, slope) - su * su / uu) * m0 * m0
    rest = data - m0 * unit
    variance = _dot(rest, rest) / (n - 2)
    return t1 * np.sqrt(variance / np.where(information > 0, information, np.nan))
