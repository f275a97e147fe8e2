"""Plasma curves, and their exact convolution with exponentials on any time grid.

The curve is taken as piecewise linear between its samples. Then the convolution with ``exp(-k t)``
has a closed form on every interval, whatever the spacing, and its derivatives by ``k`` come along.
Nothing is sampled on a finer grid and nothing depends on the frame time.
"""

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

    def _place(self, query):
        query = np.asarray(query, float)
        cell = np.searchsorted(self.times, query, side="right") - 1
        inside = cell >= 0
        cell = np.maximum(cell, 0)
        return cell, np.where(inside, query - self.times[cell], 0.0), inside

    def value(self, query):
        """Concentration at any times."""
        cell, offset, inside = self._place(query)
        return np.where(inside, self.values[cell] + self.slopes[cell] * offset, 0.0)

    def slope(self, query):
        """Time derivative at any times (from the right at a sample)."""
        cell, _, inside = self._place(query)
        return np.where(inside, self.slopes[cell], 0.0)

    def integral(self, query):
        """Area from the start to any times."""
        cell, offset, inside = self._place(query)
        area = self._areas[cell] + offset * (self.values[cell] + self.slopes[cell] * offset / 2)
        return np.where(inside, area, 0.0)

    def exponential(self, k, query, order=0):
        """Convolution with ``exp(-k t)`` and its moments.

        Parameters
        ----------
        k : ndarray, shape (m,)
            Rates, zero or more.
        query : ndarray, shape (t,) or (m, t)
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
        cell, offset, inside = self._place(query)
        rows = np.arange(len(k))[:, None]
        start = [state[rows, cell] for state in states]
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
        states = [np.zeros((len(k), len(self.times))) for _ in range(order + 1)]
        for i, step in enumerate(steps):
            decay, moments = pieces[which[i]]
            start = [state[:, i] for state in states]
            ends = _advance(start, decay, moments, step, self.values[i + 1], self.slopes[i], 1.0)
            for state, end in zip(states, ends, strict=True):
                state[:, i + 1] = end
        return states

    def _states_of_one(self, steps, which, pieces, order):
        """The same for a single rate in plain floats: a curve under the cursor pays no array overhead."""
        pieces = [(float(decay[0]), [float(each[0]) for each in moments]) for decay, moments in pieces]
        ends, slopes = self.values.tolist(), self.slopes.tolist()
        states = [[0.0] * (order + 1)]
        for i, step in enumerate(steps):
            decay, moments = pieces[which[i]]
            states.append(_advance(states[-1], decay, moments, step, ends[i + 1], slopes[i], 1.0))
        return list(np.array(states).T[:, None])


def _advance(start, decay, moments, step, end_value, slope, inside):
    """Carry the convolutions over one linear piece (shift of moments, plus the new piece)."""
    result = []
    for n in range(len(start)):
        shifted = start[n]
        if n == 1:
            shifted = start[1] + step * start[0]
        elif n == 2:
            shifted = start[2] + step * (2.0 * start[1] + step * start[0])
        result.append(inside * (decay * shifted + end_value * moments[n] - slope * moments[n + 1]))
    return result
