"""Whether a polygon crosses itself."""

import numpy as np


def crosses_itself(polygon):
    """True when two edges of a closed polygon cross properly.

    Edges that only touch, or run over each other as a keyhole does, do not count.

    Parameters
    ----------
    polygon : ndarray, shape (n, 2)

    Returns
    -------
    bool
    """
    start = np.asarray(polygon, float)
    end = np.roll(start, -1, axis=0)
    low, high = np.minimum(start, end), np.maximum(start, end)
    tolerance = 1e-6 * max(float(np.ptp(start, axis=0).max()), 1e-9)
    # only edges whose extents overlap in the first coordinate can meet
    order = np.argsort(low[:, 0], kind="stable")
    last = np.searchsorted(low[order, 0], high[order, 0], side="right")
    counts = last - np.arange(len(order)) - 1
    a = np.repeat(np.arange(len(order)), counts)
    b = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + a + 1
    a, b = order[a], order[b]
    near = (low[a, 1] <= high[b, 1]) & (low[b, 1] <= high[a, 1])
    a, b = a[near], b[near]
    return bool(_cross(start[a], end[a], start[b], end[b], tolerance).any())


def _cross(p, q, r, s, tolerance):
    """Proper crossing of segments pq and rs: both pairs of ends lie clearly on different sides."""

    def side(a, b, c):
        span = np.maximum(np.linalg.norm(b - a, axis=1), 1e-12)
        return ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / span

    d1, d2, d3, d4 = side(p, q, r), side(p, q, s), side(r, s, p), side(r, s, q)
    apart = np.minimum.reduce([np.abs(d1), np.abs(d2), np.abs(d3), np.abs(d4)]) > tolerance
    return apart & (d1 * d2 < 0) & (d3 * d4 < 0)
