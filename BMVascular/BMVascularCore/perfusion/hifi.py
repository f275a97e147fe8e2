"""T1 and B1 together from spoiled gradient echoes with and without inversion (DESPOT1-HIFI, Deoni 2007).

Flip angles alone cannot tell T1 from a wrong flip angle: the apparent T1 goes with the square of B1. One
or two inversion-prepared images of the same sequence depend on T1 far more than on the flip angle, so the
actual over nominal flip angle comes out of the same fit.

Longitudinal magnetisation over one cycle in the steady state: perfect inversion, free recovery over TI,
``n`` pulses of flip angle a at the echo spacing (each multiplies the distance from
``M* = M0 (1 - E)/(1 - E cos a)`` by ``E cos a``, Deichmann 2000), free recovery over the delay.
"""

from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.refine import refine
from BMVascularCore.perfusion.separable import covariance_of
from BMVascularCore.perfusion.t1 import T1_RANGE_S, spgr_signal
from BMVascularCore.progress import silent

B1_RANGE = (0.3, 2.0)
_PIECE = 1 << 14
_T1_GRID_S = np.geomspace(0.08, 6.0, 28)
_B1_GRID = np.linspace(0.5, 1.6, 12)
_COMPLEX_STEP = 1e-20


@dataclass(frozen=True)
class InversionTrain:
    """Timing of the inversion-prepared images.

    Attributes
    ----------
    inversion_s : tuple of float
        Delay from the inversion pulse to the first pulse of the readout train, one for each image.
    flip_deg : tuple of float
        Nominal flip angle of the readout pulses, one for each image.
    pulses : int
        Readout pulses after each inversion.
    echo_spacing_s : float
        Time between them.
    delay_s : float
        From the end of the train to the next inversion.
    centre : float
        Where in the train the centre of k-space is read: 0 for centric, 0.5 for linear order.
    """

    inversion_s: tuple
    flip_deg: tuple
    pulses: int
    echo_spacing_s: float
    delay_s: float = 0.0
    centre: float = 0.5

    def check(self):
        """Refuse timings that cannot be true.

        Raises
        ------
        InputError
        """
        if len(self.inversion_s) == 0 or len(self.inversion_s) != len(self.flip_deg):
            raise InputError(
                "needs one inversion time and one flip angle for each image", "--ir", "Write FILE:TI:FLIP."
            )
        if not all(0.005 <= ti <= 10 for ti in self.inversion_s):
            raise InputError(
                "an inversion time lies outside 5..10000 ms", "--ir", "Write FILE:TI:FLIP, TI in ms."
            )
        if not all(0 < flip <= 60 for flip in self.flip_deg):
            raise InputError("a flip angle lies outside 0..60 degrees", "--ir", "Write FILE:TI:FLIP.")
        if not 2 <= self.pulses <= 2000:
            raise InputError(f"{self.pulses} pulses are implausible", "--ir-pulses", "Typical is 60 to 260.")
        if not 5e-4 <= self.echo_spacing_s <= 0.1:
            raise InputError(
                f"echo spacing {1000 * self.echo_spacing_s:g} ms is implausible", "--ir-spacing", "Give ms."
            )
        if not 0 <= self.delay_s <= 20:
            raise InputError(
                f"a delay of {1000 * self.delay_s:g} ms is implausible", "--ir-delay", "Give 0 to 20000 ms."
            )
        if not 0 <= self.centre <= 1:
            raise InputError(
                f"the k-space centre cannot lie at {self.centre:g} of the train",
                "--ir-centre",
                "Give 0 to 1.",
            )


@dataclass
class HifiResult:
    """T1 and B1 maps.

    Attributes
    ----------
    t1_s, m0, b1 : ndarray
        NaN where not measurable. ``b1`` is actual over nominal flip angle.
    valid : ndarray of bool
    se_t1_s : ndarray
        Standard error; NaN with as many images as parameters.
    """

    t1_s: np.ndarray
    m0: np.ndarray
    b1: np.ndarray
    valid: np.ndarray
    se_t1_s: np.ndarray


def inversion_signal(t1_s, b1, train, m0=1.0):
    """Signed signal of the inversion-prepared images, shape (..., number of images).

    Parameters
    ----------
    t1_s, b1, m0 : array_like, shape (...)
    train : InversionTrain

    Returns
    -------
    ndarray
        The images show its magnitude.
    """
    t1, b1, m0 = (np.asarray(value)[..., None] for value in (t1_s, b1, m0))
    angle = b1 * np.radians(np.asarray(train.flip_deg, float))
    e_pulse = np.exp(-train.echo_spacing_s / t1)
    driven = (1 - e_pulse) / (1 - e_pulse * np.cos(angle))
    fall = e_pulse * np.cos(angle)
    e_delay, e_ti = np.exp(-train.delay_s / t1), np.exp(-np.asarray(train.inversion_s, float) / t1)
    whole = fall**train.pulses
    # start of the train m: m = (1 - e_ti) - e_ti [(1 - e_delay) + e_delay (driven + (m - driven) whole)]
    constant = (1 - e_ti) - e_ti * ((1 - e_delay) + e_delay * driven * (1 - whole))
    start = constant / (1 + e_ti * e_delay * whole)
    return m0 * np.sin(angle) * (driven + (start - driven) * fall ** (train.pulses * train.centre))


def fit_hifi(spgr, flip_deg, tr_s, inversion, train, b1=None, mask=None, progress=None):
    """T1, M0 and B1 of every voxel by bounded least squares in the magnitude signals.

    Parameters
    ----------
    spgr : array_like, shape (n, ...)
        Images without inversion, one or more flip angles.
    flip_deg : array_like, shape (n,)
    tr_s : float
    inversion : array_like, shape (m, ...)
        Images with inversion.
    train : InversionTrain
    b1 : array_like, shape (...), optional
        Known B1; fitted without.
    mask : array_like of bool, shape (...), optional
    progress : callable, optional

    Returns
    -------
    HifiResult

    Raises
    ------
    InputError
        Fewer images than parameters, shapes that differ, impossible timings.
    """
    train.check()
    spgr, inversion = np.asarray(spgr), np.asarray(inversion)
    flip = np.atleast_1d(np.asarray(flip_deg, float))
    shape = spgr.shape[1:]
    if len(flip) != len(spgr) or len(train.inversion_s) != len(inversion) or inversion.shape[1:] != shape:
        raise InputError(
            "images and their timings differ in number or shape",
            "--spgr, --ir",
            "Give images of one grid, each with its angle.",
        )
    unknown = 3 if b1 is None else 2
    if len(spgr) + len(inversion) < unknown or len(spgr) == 0:
        raise InputError(
            f"{len(spgr) + len(inversion)} images for {unknown} unknowns", "--spgr, --ir", "Give more images."
        )
    if not ((flip > 0) & (flip <= 90)).all() or not 5e-4 <= tr_s <= 0.5:
        raise InputError(
            "flip angle or repetition time is implausible", "--spgr, --tr", "Give degrees and milliseconds."
        )
    for name, image in (("mask", mask), ("B1 map", b1)):
        if image is not None and np.shape(image) != shape:
            raise InputError(
                f"{np.shape(image)} voxels do not fit the images {shape}", name, "Resample it to their grid."
            )
    where = np.flatnonzero(np.ones(shape, bool) if mask is None else np.asarray(mask, bool))
    results = np.full((4, int(np.prod(shape))), np.nan)
    progress = progress or silent
    for begin in range(0, len(where), _PIECE):
        index = where[begin : begin + _PIECE]
        data = np.concatenate([part.reshape(len(part), -1)[:, index] for part in (spgr, inversion)])
        known = None if b1 is None else np.asarray(b1, float).ravel()[index]
        results[:, index] = _fit_piece(data.T.astype(float), np.radians(flip), tr_s, train, known)
        progress(min(1.0, (begin + _PIECE) / len(where)), "T1 and B1 maps")
    t1, m0, factor, error = (row.reshape(shape) for row in results)
    return HifiResult(t1, m0, factor, np.isfinite(t1), error)


def _signals(log_t1, b1, angles, tr, train):
    t1 = np.exp(log_t1)
    plain = spgr_signal(t1[..., None], b1[..., None] * angles, tr)
    return np.concatenate([plain, inversion_signal(t1, b1, train)], axis=-1)


def _fit_piece(data, angles, tr, train, known):
    """T1, M0, B1 and standard error of T1 of voxels (v, n); NaN where not measurable."""
    good = np.isfinite(data).all(axis=1) & (data >= 0).all(axis=1) & (data[:, : len(angles)] > 0).all(axis=1)
    if known is not None:
        good &= np.isfinite(known) & (known > B1_RANGE[0]) & (known < B1_RANGE[1])
        known = np.where(good, known, 1.0)
    data = np.where(good[:, None], data, 1.0)
    scale = data.max(axis=1)
    data = data / scale[:, None]

    def evaluate(theta):
        x, factor, m = theta[:, 0], theta[:, 1], theta[:, 2, None]
        unit = _signals(x, factor, angles, tr, train)
        sign = np.where(unit < 0, -1.0, 1.0)
        columns = [
            m * sign * _signals(*moved, angles, tr, train).imag / _COMPLEX_STEP
            for moved in ((x + 1j * _COMPLEX_STEP, factor), (x, factor + 1j * _COMPLEX_STEP))
        ]
        if known is not None:
            # a column of zeros keeps the parameter where it is
            columns[1] = np.zeros_like(columns[1])
        return m * sign * unit, np.stack([*columns, sign * unit], axis=1)

    steepest = max(angles.max(), np.radians(max(train.flip_deg)))
    lower = [np.log(T1_RANGE_S[0]), B1_RANGE[0], 0.0]
    upper = [np.log(T1_RANGE_S[1]), min(B1_RANGE[1], np.radians(89) / steepest), np.inf]
    theta, rss, normal = refine(evaluate, data, _grid_start(data, angles, tr, train, known), lower, upper)
    t1, factor, m0 = np.exp(theta[:, 0]), theta[:, 1], theta[:, 2]
    used = [0, 1, 2] if known is None else [0, 2]
    freedom = data.shape[1] - len(used)
    variance = np.full(len(rss), np.nan)
    if freedom > 0:
        variance = covariance_of(normal[:, used][:, :, used], rss, freedom)[:, 0, 0]
    bad = ~good | (m0 <= 0) | (t1 < T1_RANGE_S[0] * 1.001) | (t1 > T1_RANGE_S[1] * 0.999)
    if known is None:
        bad |= (factor < lower[1] * 1.001) | (factor > upper[1] * 0.999)
    error = t1 * np.sqrt(np.where(variance > 0, variance, np.nan))
    return [np.where(bad, np.nan, values) for values in (t1, m0 * scale, factor, error)]


def _grid_start(data, angles, tr, train, known):
    """Best point of a grid over T1 and B1 with M0 projected out, shape (v, 3): log T1, B1, M0."""
    log_t1, factor = (part.ravel() for part in np.meshgrid(np.log(_T1_GRID_S), _B1_GRID, indexing="ij"))
    units = np.abs(_signals(log_t1, factor, angles, tr, train))
    power = (units * units).sum(axis=1)
    product = data @ units.T
    gain = product * product / power
    if known is not None:
        nearest = np.argmin(np.abs(known[:, None] - _B1_GRID), axis=1)
        gain = np.where(factor == _B1_GRID[nearest][:, None], gain, -np.inf)
    best = np.argmax(gain, axis=1)
    m0 = product[np.arange(len(data)), best] / power[best]
    return np.column_stack([log_t1[best], factor[best] if known is None else known, m0])
