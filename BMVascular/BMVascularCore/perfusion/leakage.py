"""Leakage correction of dR2* curves.

Leaking contrast agent adds to a voxel's curve a term that grows with the running integral of the
reference curve R(t), the mean of non-enhancing brain:

``dR2*(t) = K1 R(t) - K2 int_0^t R(u) exp(-kep (t - u)) du``

With ``kep = 0`` this is the model of Boxerman, Schmainda and Weisskoff (BSW; CAPLEX M.LC1.001;
Boxerman 2006), with free ``kep`` the bidirectional model (CAPLEX M.LC1.002; Leu 2016). **K2 > 0 means
that T1 shortening dominates (the uncorrected CBV is too low), K2 < 0 that T2* of the leaked agent
dominates (too high).** K1 (Q.LC1.001) has no unit, K2 (Q.LC1.002) is 1/s.

All voxels share R, so the model is linear for each kep and every inner product but one depends on
kep alone: one matrix product serves all voxels and all kep of a grid.
"""

from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.relaxation import running_integral, trapezoid_weights

MODEL_NONE, MODEL_BSW, MODEL_BIDIRECTIONAL = 0, 1, 2
LEAKAGE_MODELS = ("none", "bsw", "bidirectional", "auto")
# Leu 2016 searches up to 0.2 1/s. Beyond 0.03 1/s (1.8 1/min, above the range of tumours) the term only
# imitates another transit time: on simulated brain without leakage it changed rCBV by 40 %. The published
# model keeps its range; the automatic choice does not go there.
KEP_MAX_PER_S = {"bsw": 0.03, "bidirectional": 0.2, "auto": 0.03}
_GRID_POINTS = 48


@dataclass
class LeakageFit:
    """Leakage fit of n voxels.

    Attributes
    ----------
    k1 : ndarray, shape (n,)
    k2 : ndarray, shape (n,), 1/s
    k2_cv : ndarray, shape (n,)
        Standard error of K2 over its absolute value.
    kep : ndarray, shape (n,), 1/s
        0 for BSW.
    rss : ndarray, shape (n,)
    model : ndarray of uint8, shape (n,)
        1 BSW, 2 bidirectional.
    area_per_k2 : ndarray, shape (n,), 1
        Integral of the leakage term for K2 = 1: ``CBV_corrected = CBV + k2 * area_per_k2``.
    dominates : ndarray of bool, shape (n,)
        The correction is larger than the perfusion term that it leaves.
    """

    k1: np.ndarray
    k2: np.ndarray
    k2_cv: np.ndarray
    kep: np.ndarray
    rss: np.ndarray
    model: np.ndarray
    area_per_k2: np.ndarray
    dominates: np.ndarray


def aicc(rss, n_samples, n_parameters):
    """Akaike's criterion with small-sample correction, noise variance counted as a parameter.

    ``n ln(RSS/n) + 2k + 2k(k+1)/(n-k-1)`` with ``k = n_parameters + 1``; infinite where n is too small.
    """
    k = n_parameters + 1
    if n_samples - k - 1 <= 0:
        return np.full(np.shape(rss), np.inf)
    tiny = np.finfo(float).tiny
    return (
        n_samples * np.log(np.maximum(rss, tiny) / n_samples) + 2 * k + 2 * k * (k + 1) / (n_samples - k - 1)
    )


def exponential_integral(curve, times_s, kep):
    """``int_0^t R(u) exp(-kep (t-u)) du``, exact for R linear between the frames.

    Parameters
    ----------
    curve : ndarray, shape (t,)
    times_s : ndarray, shape (t,)
        May be uneven.
    kep : ndarray, shape (m,), 1/s

    Returns
    -------
    ndarray, shape (t, m)
    """
    kep = np.atleast_1d(np.asarray(kep, dtype=float))
    out = np.zeros((len(curve), len(kep)))
    for i, dt in enumerate(np.diff(times_s), start=1):
        decay, w_old, w_new = _step_weights(kep * dt, dt)
        out[i] = decay * out[i - 1] + w_old * curve[i - 1] + w_new * curve[i]
    return out


def _step_weights(x, dt):
    """Weights of one step of the recursion; a series where x = kep dt is small."""
    small = x < 1e-3
    safe = np.where(small, 1.0, x)
    decay = np.exp(-x)
    whole = np.where(small, 1.0 - x / 2 + x * x / 6, -np.expm1(-safe) / safe)
    # weight of the new frame: int of the rising ramp; series of (1 - whole) / x
    new = np.where(small, 0.5 - x / 6 + x * x / 24, (1.0 - whole) / safe)
    return decay, (whole - new) * dt, new * dt


class LeakageModel:
    """Tables of one reference curve; :meth:`fit` then costs one matrix product per block.

    Parameters
    ----------
    reference : ndarray, shape (t,)
        Mean dR2* of non-enhancing brain, 1/s.
    times_s : ndarray, shape (t,)
    method : {"bsw", "bidirectional", "auto"}
        "auto" takes the model of lower AICc in each voxel.
    first : int
        Frames before this one are not fitted.
    window : (int, int), optional
        Integration window of the blood volume, frames [start, stop).
    kep_max_per_s : float, optional
        Upper limit of kep; 0.2 for "bidirectional", 0.03 for "auto".

    Raises
    ------
    InputError
        When the reference curve is flat, or there are fewer frames than parameters.
    """

    def __init__(self, reference, times_s, method="auto", first=0, window=None, kep_max_per_s=None):
        if method not in LEAKAGE_MODELS[1:]:
            raise InputError(
                f"unknown leakage correction '{method}'", "--leakage", "Use bsw, bidirectional or auto."
            )
        self.method, self.first = method, first
        self.times_s = np.asarray(times_s, dtype=float)
        self.reference = np.array(reference, dtype=float)
        self.reference[:first] = 0.0
        frames = len(self.reference) - first
        if frames < 6:
            raise InputError(
                f"{frames} frames are too few for a leakage correction", "--leakage", "Use --leakage none."
            )
        if not np.isfinite(self.reference).all() or np.ptp(self.reference) <= 0:
            raise InputError(
                "the reference curve of non-enhancing brain is flat or not finite",
                "--leakage",
                "Give --exclude and --mask so that normal brain remains, or use --leakage none.",
            )
        self.n_samples = frames
        start, stop = window or (0, len(self.reference))
        self._weights = trapezoid_weights(self.times_s, start, stop)
        self._reference_area = float(self._weights @ self.reference)
        self._build_tables(KEP_MAX_PER_S[method] if kep_max_per_s is None else kep_max_per_s)

    def _build_tables(self, kep_max_per_s):
        kep = np.concatenate([[0.0], np.geomspace(2e-4, kep_max_per_s, _GRID_POINTS - 1)])
        basis = exponential_integral(self.reference, self.times_s, kep)
        basis[:, 0] = running_integral(self.reference, self.times_s)
        self.kep, self.area = kep, self._weights @ basis
        r = self.reference
        self._rr = float(r @ r)
        self._rb = r @ basis
        self._bb = np.einsum("tm,tm->m", basis, basis)
        self._schur = self._bb - self._rb**2 / self._rr
        self._basis_t = np.ascontiguousarray(basis.T)
        self._variance_bidirectional = self._variances(kep, basis)

    def _variances(self, kep, basis):
        """Element (K2, K2) of the inverse Gram matrix of [R, -B, K2 dB/dkep] for every kep.

        The scale of the third column does not matter for this element, so the table serves all voxels.
        """
        step = 1e-4 * np.maximum(kep, 1e-3)
        slope = (exponential_integral(self.reference, self.times_s, kep + step) - basis) / step
        variances = np.empty(len(kep))
        for m in range(len(kep)):
            design = np.stack([self.reference, -basis[:, m], slope[:, m]], axis=1)
            design = design / np.linalg.norm(design, axis=0)
            inverse = np.linalg.pinv(design.T @ design)
            variances[m] = inverse[1, 1] / self._bb[m]
        return variances

    def fit(self, curves):
        """Fit all voxels of a block.

        Parameters
        ----------
        curves : ndarray, shape (t, n)
            dR2*, 1/s. A voxel with a NaN gives NaN.

        Returns
        -------
        LeakageFit
        """
        y = curves.astype(np.float64)
        y[: self.first] = 0.0
        ry = self.reference @ y
        yy = np.einsum("tn,tn->n", y, y)
        if self.method == "bsw":
            return self._solve_bsw(ry, self._basis_t[0] @ y, yy)
        products = self._basis_t @ y
        bidirectional = self._solve_bidirectional(ry, products, yy)
        if self.method == "bidirectional":
            return bidirectional
        bsw = self._solve_bsw(ry, products[0], yy)
        better = aicc(bidirectional.rss, self.n_samples, 3) < aicc(bsw.rss, self.n_samples, 2)
        return LeakageFit(
            *(
                np.where(better, getattr(bidirectional, name), getattr(bsw, name))
                for name in LeakageFit.__dataclass_fields__
            )
        )

    def _solve_bsw(self, ry, by, yy):
        zero = np.zeros_like(ry)
        tables = (self._rb[0], self._bb[0], self._schur[0], self.area[0])
        return self._solve(ry, by, yy, zero, tables, 1.0 / self._schur[0], MODEL_BSW)

    def _solve_bidirectional(self, ry, products, yy):
        """Best grid kep of each voxel, refined between the grid points."""
        gain = products - np.outer(self._rb / self._rr, ry)
        gain *= gain
        gain /= self._schur[:, None]
        best = np.argmax(gain, axis=0)
        position = _refined_position(gain, best, _GRID_POINTS)
        kep = np.interp(position, np.arange(_GRID_POINTS), self.kep)
        at, weights = _cubic_weights(position, _GRID_POINTS)
        columns = np.arange(len(best))
        by = sum(products[at + m, columns] * weights[m] for m in range(4))

        def table(values):
            return sum(values[at + m] * weights[m] for m in range(4))

        rb, bb, area = table(self._rb), table(self._bb), table(self.area)
        # kep as the log-spaced table has it between its points, same interpolation as everything else
        kep = np.where(position >= 2, table(self.kep), kep)
        tables = (rb, bb, bb - rb**2 / self._rr, area)
        variance = np.interp(position, np.arange(_GRID_POINTS), self._variance_bidirectional)
        return self._solve(ry, by, yy, kep, tables, variance, MODEL_BIDIRECTIONAL)

    def _solve(self, ry, by, yy, kep, tables, variance, model):
        """Closed-form least squares of K1 and K2 for the chosen kep, and its errors."""
        rb, _, schur, area = tables
        k2 = -(by - rb * ry / self._rr) / schur
        k1 = (ry + k2 * rb) / self._rr
        rss = np.maximum(yy - ry**2 / self._rr - k2**2 * schur, 0.0)
        freedom = self.n_samples - (2 if model == MODEL_BSW else 3)
        with np.errstate(divide="ignore", invalid="ignore"):
            cv = np.sqrt(rss / freedom * variance) / np.abs(k2)
        area = np.broadcast_to(np.asarray(area, dtype=float), k2.shape)
        dominates = np.abs(k2 * area) > np.abs(k1 * self._reference_area)
        return LeakageFit(k1, k2, cv, kep, rss, np.full(k2.shape, model, np.uint8), area, dominates)

    def leakage_term(self, fit):
        """``K2 int R exp(-kep (t-u)) du`` of each voxel: add it to dR2* to correct the curve.

        Returns
        -------
        ndarray, shape (t, n), 1/s
        """
        return exponential_integral(self.reference, self.times_s, fit.kep) * fit.k2


def _refined_position(gain, best, points):
    """Sub-grid position of the maximum by a parabola through three grid points."""
    centre = np.clip(best, 1, points - 2)
    columns = np.arange(len(best))
    low, middle, high = (gain[centre + shift, columns] for shift in (-1, 0, 1))
    curvature = low - 2.0 * middle + high
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(curvature < 0, 0.5 * (low - high) / curvature, 0.0)
    inner = (best > 1) & (best < points - 1)
    return np.where(inner, centre + np.clip(shift, -0.5, 0.5), best.astype(float))


def _cubic_weights(position, points):
    """First index and the four Lagrange weights for table values at fractional positions."""
    # index 0 (kep = 0) does not belong to the log-spaced part: only a voxel exactly there uses it
    at = np.clip(np.floor(position).astype(int) - 1, 1, points - 4)
    u = position - at
    zero = position == 0
    at = np.where(zero, 0, at)
    weights = np.stack(
        [
            -(u - 1) * (u - 2) * (u - 3) / 6,
            u * (u - 2) * (u - 3) / 2,
            -u * (u - 1) * (u - 3) / 2,
            u * (u - 1) * (u - 2) / 6,
        ]
    )
    weights[:, zero] = np.array([1.0, 0.0, 0.0, 0.0])[:, None]
    return at, weights


def correct_curves(curves, reference, times_s, method="auto", first=0):
    """Corrected curves and the fit, for a handful of curves (plots, regions).

    Parameters
    ----------
    curves : ndarray, shape (t, n)
    reference : ndarray, shape (t,)
    times_s : ndarray, shape (t,)
    method, first
        As in :class:`LeakageModel`.

    Returns
    -------
    corrected : ndarray, shape (t, n)
    fit : LeakageFit
    """
    model = LeakageModel(reference, times_s, method, first)
    fit = model.fit(curves)
    return curves + model.leakage_term(fit), fit
