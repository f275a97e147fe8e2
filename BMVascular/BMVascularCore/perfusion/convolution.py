"""Plasma curves, and their exact convolution with exponentials on any time grid.

The curve is taken as piecewise linear between its samples. Then the convolution with ``exp(-k t)``
has a closed form on every interval, whatever the spacing, and its derivatives by ``k`` come along.
Nothing is sampled on a finer grid and nothing depends on the frame time.
"""

from typing import NamedTuple

import numpy as np

# below this k*dt the closed forms lose digits to cancellation and the power series takes over
_SERIES_BELOW = 0.3
_SERIES_TERMS = 12


def _moments(k, delta, order):
    """Integrals of ``s^n exp(-k s)`` over 0..delta for n = 0..order, broadcast over k and delta."""
    k, delta = np.broadcast_arrays(np.asarray(k, float), np.asarray(delta, float))
    x = k * delta
    decay = np.exp(-x)
    safe_k = np.where(x < _SERIES_BELOW, 1.0, k)
    moments = [(1.0 - decay) / safe_k]
    for n in range(1, order + 1):
        moments.append((n * moments[-1] - delta**n * decay) / safe_k)
    small = x < _SERIES_BELOW
    if small.any():
        x_small, delta_small = x[small], delta[small]
        for n, moment in enumerate(moments):
            moment[small] = delta_small ** (n + 1) * _series(x_small, n)
    return decay, moments


def _series(x, n):
    """``sum_j (-x)^j / (j! (n + 1 + j))`` by Horner's rule."""
    total = np.zeros_like(x)
    factorial = np.cumprod([1.0, *range(1, _SERIES_TERMS)])
    for j in range(_SERIES_TERMS - 1, -1, -1):
        total = total * -x + 1.0 / (factorial[j] * (n + 1 + j))
    return total


class Place(NamedTuple):
    """Times on a curve: the sample before, the time since (one a row where it is the same), and whether
    the curve has begun."""

    cell: np.ndarray
    offset: np.ndarray
    inside: np.ndarray


class PlasmaCurve:
    """Concentration in plasma, linear between samples, zero before the first, held after the last.

    Parameters
    ----------
    times : array_like, shape (n,)
        Strictly increasing, in the unit in which the rates are wanted (minutes here).
    values : array_like, shape (n,)
        mM.
    """

    def __init__(self, times, values):
        self.times = np.asarray(times, float)
        self.values = np.asarray(values, float)
        steps = np.diff(self.times)
        self.slopes = np.append(np.diff(self.values) / steps, 0.0)
        self._areas = np.append(0.0, np.cumsum(steps * (self.values[1:] + self.values[:-1]) / 2))

    def place(self, query):
        """Where any times lie on the curve; the methods take the result in place of the times."""
        query = np.asarray(query, float)
        cell = np.searchsorted(self.times, query, side="right") - 1
        inside = cell >= 0
        cell = np.maximum(cell, 0)
        return Place(cell, np.where(inside, query - self.times[cell], 0.0), inside)

    def value(self, query):
        """Concentration at any times."""
        cell, offset, inside = self._placed(query)
        return np.where(inside, self.values[cell] + self.slopes[cell] * offset, 0.0)

    def slope(self, query):
        """Time derivative at any times (from the right at a sample)."""
        cell, _, inside = self._placed(query)
        return np.where(inside, self.slopes[cell], 0.0)

    def integral(self, query):
        """Area from the start to any times."""
        cell, offset, inside = self._placed(query)
        area = self._areas[cell] + offset * (self.values[cell] + self.slopes[cell] * offset / 2)
        return np.where(inside, area, 0.0)

    def _placed(self, query):
        return query if isinstance(query, Place) else self.place(query)

    def exponential(self, k, query, order=0):
        """Convolution with ``exp(-k t)`` and its moments.

        Parameters
        ----------
        k : ndarray, shape (m,)
            Rates, zero or more.
        query : ndarray, shape (t,) or (m, t), or Place
            Times at which to give the result; rows may differ (one arrival delay per row).
        order : int
            Also give ``int s^n exp(-k s) cp(t - s) ds`` for n up to this; the derivative by ``k`` of
            the n-th is minus the next.

        Returns
        -------
        list of ndarray, shape (m, t)
            One array for each n = 0..order.
        """
        k = np.asarray(k, float)[:, None]
        states = self._states(k, order)
        cell, offset, inside = self._placed(query)
        rows = np.arange(len(k))[:, None]
        start = [state[cell, rows] for state in states]
        decay, moments = _moments(k, offset, order + 1)
        left, slope = self.values[cell], self.slopes[cell]
        return _advance(start, decay, moments, offset, left + slope * offset, slope, inside)

    def _states(self, k, order):
        """The convolutions at the samples themselves, one step after another."""
        steps = np.diff(self.times)
        unique, which = np.unique(np.round(steps, 12), return_inverse=True)
        pieces = [_moments(k[:, 0], np.full(len(k), step), order + 1) for step in unique]
        if len(k) == 1:
            return self._states_of_one(steps.tolist(), which.tolist(), pieces, order)
        states = [np.zeros((len(self.times), len(k))) for _ in range(order + 1)]
        for i, step in enumerate(steps):
            decay, moments = pieces[which[i]]
            start = [state[i] for state in states]
            ends = _advance(start, decay, moments, step, self.values[i + 1], self.slopes[i])
            for state, end in zip(states, ends, strict=True):
                state[i + 1] = end
        return states

    def _states_of_one(self, steps, which, pieces, order):
        """The same for a single rate in plain floats: a curve under the cursor pays no array overhead."""
        pieces = [(float(decay[0]), [float(each[0]) for each in moments]) for decay, moments in pieces]
        ends, slopes = self.values.tolist(), self.slopes.tolist()
        states = [[0.0] * (order + 1)]
        for i, step in enumerate(steps):
            decay, moments = pieces[which[i]]
            states.append(_advance(states[-1], decay, moments, step, ends[i + 1], slopes[i]))
        return list(np.array(states).T[:, :, None])


def _advance(start, decay, moments, step, end_value, slope, inside=None):
    """Carry the convolutions over one linear piece (shift of moments, plus the new piece)."""
    result = []
    for n in range(len(start)):
        shifted = start[n]
        if n == 1:
            shifted = start[1] + step * start[0]
        elif n == 2:
            shifted = start[2] + step * (2.0 * start[1] + step * start[0])
        end = decay * shifted + end_value * moments[n] - slope * moments[n + 1]
        result.append(end if inside is None else np.where(inside, end, 0.0))
    return result


class Lattice:
    """Frames that fall on the samples of an evenly sampled curve, all shifted by the same delay.

    Then the time since the sample before is the same for all frames, and the costly closed forms are
    needed once for each delay instead of once for each frame.

    Parameters
    ----------
    curve : PlasmaCurve
        Held after its last sample, so it is continued there as far as the delays need it.
    times : ndarray, shape (t,)
    earliest : float
        The smallest delay.
    """

    def __init__(self, curve, times, earliest):
        self.step = (curve.times[-1] - curve.times[0]) / (len(curve.times) - 1)
        more = int(np.ceil((times[-1] - earliest - curve.times[-1]) / self.step)) + 1
        if more > 0:
            end = curve.times[-1] + self.step * np.arange(1, more + 1)
            values = np.append(curve.values, np.full(more, curve.values[-1]))
            curve = PlasmaCurve(np.append(curve.times, end), values)
        self.curve = curve
        self._number = np.round((times - times[0]) / self.step).astype(int)
        self._first = (times[0] - curve.times[0]) / self.step

    @staticmethod
    def fits(curve, times):
        """Whether the curve is even and the frames are whole numbers of its steps apart."""
        step = (curve.times[-1] - curve.times[0]) / (len(curve.times) - 1)
        number = (times - times[0]) / step
        even = np.abs(np.diff(curve.times) / step - 1).max() < 1e-6
        return even and np.abs(number - np.round(number)).max() < 1e-6

    def place(self, delay):
        """Places of all frames for delays (v,)."""
        position = self._first - delay / self.step
        base = np.floor(position)
        cell = base.astype(int)[:, None] + self._number
        inside = cell >= 0
        return Place(np.maximum(cell, 0), (position - base)[:, None] * self.step, inside)
