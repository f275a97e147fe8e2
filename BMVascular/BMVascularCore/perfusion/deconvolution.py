"""Residue functions by truncated singular values.

``C(t) = CBF int AIF(u) R(t-u) du``. Padded to twice the length, the convolution matrix is circulant:
the discrete Fourier transform diagonalises it and its singular values are ``|FFT(AIF)| dt``. So the
delay-insensitive block-circulant methods (Wu 2003) need no decomposition at all:

* **cSVD** drops every frequency with ``|A_k| < P max|A|`` (P = 0.1);
* **oSVD** takes in each voxel the smallest P whose residue function oscillates less than a limit;
* **sSVD** (Ostergaard 1996) truncates the lower-triangular matrix; it depends on the delay.

Residues are neither clipped nor made absolute: their negative part is noise and leaves the area right.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft

from BMVascularCore.errors import InputError

DECONVOLUTIONS = ("osvd", "csvd", "ssvd", "none")
# thresholds tried by oSVD
OSVD_THRESHOLDS = np.arange(0.0, 1.0, 0.02)


@dataclass
class Residue:
    """What is read from the residue functions of n voxels.

    Attributes
    ----------
    height_per_s : ndarray, shape (n,)
        Maximum of the flow-scaled residue function (CBF as a fraction per second).
    tmax_s : ndarray, shape (n,)
        Time of that maximum, by a parabola; negative when the tissue leads the AIF.
    threshold : ndarray, shape (n,)
        The P used.
    curves : ndarray, shape (n, length)
        Flow-scaled residue functions, 1/s.
    """

    height_per_s: np.ndarray
    tmax_s: np.ndarray
    threshold: np.ndarray
    curves: np.ndarray


class Deconvolver:
    """Deconvolution with one arterial input function.

    Parameters
    ----------
    aif : ndarray, shape (t,)
    dt_s : float
    method : {"osvd", "csvd", "ssvd"}
    threshold : float, optional
        P of cSVD (0.1) or sSVD (0.2).
    oscillation : float
        Limit of the oscillation index of oSVD.

    Raises
    ------
    InputError
        When the AIF is zero, not finite, or the method unknown.
    """

    def __init__(self, aif, dt_s, method="osvd", threshold=None, oscillation=0.035):
        aif = np.asarray(aif, dtype=float)
        if method not in DECONVOLUTIONS[:3]:
            raise InputError(f"unknown method '{method}'", "--deconvolution", "Use osvd, csvd, ssvd or none.")
        if not np.isfinite(aif).all() or aif.max() <= 0 or aif.sum() <= 0:
            raise InputError(
                "the arterial input function has no positive area", "AIF", "Choose other arterial voxels."
            )
        self.dt_s, self.method, self.oscillation = float(dt_s), method, oscillation
        self.n = len(aif)
        if method == "ssvd":
            self._inverse = _truncated_inverse(aif, self.dt_s, 0.2 if threshold is None else threshold)
            self.threshold = 0.2 if threshold is None else threshold
            return
        self.length = 2 * self.n
        spectrum = scipy.fft.rfft(aif, self.length) * self.dt_s
        size = np.abs(spectrum)
        self._relative = size / size.max()
        with np.errstate(divide="ignore", invalid="ignore"):
            self._inverse = np.where(self._relative > 1e-12, 1.0 / spectrum, 0.0)
        self.threshold = 0.1 if threshold is None else threshold

    def residues(self, curves):
        """Flow-scaled residue functions.

        Parameters
        ----------
        curves : ndarray, shape (n, t)
            Tissue curves in the AIF's unit; float32 stays float32.

        Returns
        -------
        residues : ndarray, shape (n, t) for sSVD, (n, 2 t) for the circulant methods
            1/s; in the circulant ones the second half holds negative times.
        threshold : ndarray, shape (n,)
        """
        if self.method == "ssvd":
            inverse = self._inverse.astype(curves.dtype)
            return curves @ inverse.T, np.full(len(curves), self.threshold)
        spectra = scipy.fft.rfft(curves, self.length, axis=1)
        spectra *= self._inverse.astype(spectra.dtype)
        if self.method == "csvd":
            spectra *= (self._relative >= self.threshold).astype(curves.dtype)
            return scipy.fft.irfft(spectra, self.length, axis=1), np.full(len(curves), self.threshold)
        return self._oscillation_limited(spectra)

    def _oscillation_limited(self, spectra):
        """Smallest threshold of each voxel that keeps the oscillation under the limit, by bisection.

        The oscillation falls as frequencies are dropped, so bisection finds the crossing in six
        transforms instead of up to fifty.
        """
        keep = (self._relative[None, :] >= OSVD_THRESHOLDS[:, None]).astype(spectra.real.dtype)
        count = len(spectra)
        low = np.full(count, -1)
        high = np.full(count, len(OSVD_THRESHOLDS) - 1)
        out = np.empty((count, self.length), spectra.real.dtype)
        at_high = np.zeros(count, bool)
        while True:
            active = np.flatnonzero((high - low > 1) | ~at_high)
            if len(active) == 0:
                break
            # a narrowed interval whose upper end was never computed is evaluated there
            middle = np.where(high[active] - low[active] > 1, (low[active] + high[active]) // 2, high[active])
            curves = scipy.fft.irfft(spectra[active] * keep[middle], self.length, axis=1)
            good = ~(oscillation_index(curves) >= self.oscillation) | (middle == len(OSVD_THRESHOLDS) - 1)
            passed = active[good]
            high[passed] = middle[good]
            out[passed] = curves[good]
            at_high[passed] = True
            low[active[~good]] = middle[~good]
        return out, OSVD_THRESHOLDS[high]

    def measure(self, curves):
        """Residues with their height and the time of their maximum.

        Parameters
        ----------
        curves : ndarray, shape (n, t)

        Returns
        -------
        Residue
        """
        residues, threshold = self.residues(curves)
        top = np.argmax(residues, axis=1)
        rows = np.arange(len(residues))
        length = residues.shape[1]
        height = residues[rows, top]
        if self.method == "ssvd":
            before, after = (
                residues[rows, np.maximum(top - 1, 0)],
                residues[rows, np.minimum(top + 1, length - 1)],
            )
        else:
            before, after = residues[rows, top - 1], residues[rows, (top + 1) % length]
        curvature = before - 2.0 * height + after
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.where(curvature < 0, 0.5 * (before - after) / curvature, 0.0)
        frame = top + np.clip(shift, -0.5, 0.5)
        if self.method != "ssvd":
            frame = np.where(top > self.n, frame - length, frame)
        return Residue(height, frame * self.dt_s, threshold, residues)


def oscillation_index(residues):
    """Oscillation index of residue functions (Wu 2003).

    ``OI = 1/L 1/max(r) sum |r_k - 2 r_{k-1} + r_{k-2}|`` over the padded length L.

    Parameters
    ----------
    residues : ndarray, shape (n, L)

    Returns
    -------
    ndarray, shape (n,)
        NaN where no value is positive.
    """
    change = residues[:, 2:] - residues[:, 1:-1]
    change -= residues[:, 1:-1]
    change += residues[:, :-2]
    np.abs(change, out=change)
    top = residues.max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(top > 0, change.sum(axis=1) / (residues.shape[1] * top), np.nan)


def _truncated_inverse(aif, dt_s, threshold):
    """Pseudo-inverse of the lower-triangular convolution matrix without its small singular values."""
    n = len(aif)
    rows, columns = np.indices((n, n))
    matrix = np.where(rows >= columns, aif[np.maximum(rows - columns, 0)], 0.0) * dt_s
    left, size, right = np.linalg.svd(matrix)
    inverse = np.where(size >= threshold * size[0], 1.0 / np.where(size > 0, size, 1.0), 0.0)
    return (right.T * inverse) @ left.T


def even_times(times_s):
    """Frame time and whether the frames are even enough for a Fourier transform (within 2 %)."""
    steps = np.diff(times_s)
    dt = float(steps.mean())
    return dt, bool(np.abs(steps - dt).max() <= 0.02 * dt)


def resample_even(curves, times_s):
    """Linear interpolation of curves (t, ...) onto even frames; returns curves and frame time.

    The even frames are as dense as the densest given ones (at most four times as many), so that the bolus
    keeps its shape when the end of the series is sampled thinly.
    """
    span = times_s[-1] - times_s[0]
    count = min(round(span / float(np.diff(times_s).min())) + 1, 4 * len(times_s))
    even = np.linspace(times_s[0], times_s[-1], count)
    right = np.clip(np.searchsorted(times_s, even), 1, len(times_s) - 1)
    share = ((even - times_s[right - 1]) / (times_s[right] - times_s[right - 1])).astype(curves.dtype)
    share = share.reshape((-1,) + (1,) * (curves.ndim - 1))
    return curves[right - 1] * (1 - share) + curves[right] * share, float(even[1] - even[0])
