"""DCE curves with known truth, and a slow independent fit that finds the true least-squares optimum.

Nothing here uses the fits of the product: convolutions are recursions of their own, and the optimum is
searched on a dense grid with every combination of active bounds, then by golden section.
"""

import numpy as np

KEP_RANGE_PER_MIN = (2e-4, 120.0)
KTRANS_MAX_PER_MIN = 5.0
_GOLDEN = (np.sqrt(5) - 1) / 2


def convolve(plasma, times_min, kep):
    """``int cp(u) exp(-kep (t - u)) du`` of a piecewise linear curve for rates (v,), shape (t, v)."""
    out = np.zeros((len(times_min), len(kep)))
    for i in range(1, len(times_min)):
        step = times_min[i] - times_min[i - 1]
        x = kep * step
        small = x < 1e-3
        safe = np.where(small, 1.0, x)
        end = np.where(small, 0.5 - x / 6 + x * x / 24, (1 - (1 - np.exp(-x)) / safe) / safe)
        whole = np.where(small, 1 - x / 2 + x * x / 6, (1 - np.exp(-x)) / safe)
        out[i] = out[i - 1] * np.exp(-x) + step * (plasma[i] * end + plasma[i - 1] * (whole - end))
    return out


def extended_tofts_object(plasma_of, count=10000, noise_mM=0.01, seed=0, frames=80, step_s=3.75, finer=20):
    """Curves computed on a grid 20 times finer than the frames; Ktrans log-uniform as in real tissue.

    Parameters
    ----------
    plasma_of : callable
        Plasma concentration (mM) at times in seconds.

    Returns
    -------
    dict
        times_s, plasma, fine_s, fine_plasma, curves (v, t), ktrans, ve, vp.
    """
    rng = np.random.default_rng(seed)
    ktrans = np.exp(rng.uniform(np.log(0.01), np.log(0.4), count))
    ve, vp = rng.uniform(0.1, 0.6, count), rng.uniform(0.005, 0.12, count)
    fine = np.arange((frames - 1) * finer + 1) * step_s / finer
    plasma = plasma_of(fine)
    curves = (ktrans * convolve(plasma, fine / 60, ktrans / ve) + vp * plasma[:, None])[::finer].T
    return {
        "times_s": fine[::finer],
        "plasma": plasma[::finer],
        "fine_s": fine,
        "fine_plasma": plasma,
        "curves": curves + rng.normal(0, noise_mM, curves.shape),
        "ktrans": ktrans,
        "ve": ve,
        "vp": vp,
    }


def _best_linear(s, c, aa, ac, cc, a_max, v_max=1.0):
    """Smallest ``a^2 aa + v^2 cc + 2 a v ac - 2 a s - 2 v c`` in the box, by all nine active sets."""
    zero = np.zeros(np.broadcast_shapes(np.shape(s), np.shape(c), np.shape(aa)))
    det = aa * cc - ac * ac
    det = np.where(det > 1e-15 * aa * cc, det, np.nan)
    candidates = [((s * cc - c * ac) / det, (c * aa - s * ac) / det)]
    for v in (0.0, v_max):
        candidates += [((s - v * ac) / aa, v + zero), (zero, v + zero), (a_max + zero, v + zero)]
    for a in (zero, a_max + zero):
        candidates.append((a, (c - a * ac) / cc))
    best = [np.full(zero.shape, np.inf), zero, zero]
    for a, v in candidates:
        a, v = a + zero, v + zero
        allowed = (a >= 0) & (a <= a_max) & (v >= 0) & (v <= v_max)
        cost = np.where(allowed, a * a * aa + v * v * cc + 2 * a * v * ac - 2 * a * s - 2 * v * c, np.inf)
        better = cost < best[0]
        best = [np.where(better, new, old) for new, old in zip((cost, a, v), best, strict=True)]
    return best


def reference_optimum(times_s, plasma, curves, grid=240, steps=40):
    """Extended Tofts least-squares optimum under the usual bounds, for each curve.

    Parameters
    ----------
    times_s, plasma : ndarray, shape (t,)
    curves : ndarray, shape (v, t)

    Returns
    -------
    dict of ndarray, shape (v,)
        rss, ktrans, kep, vp.
    """
    times, data = np.asarray(times_s) / 60, np.asarray(curves, float).T
    power, c, cc = (data * data).sum(axis=0), plasma @ data, float(plasma @ plasma)

    def cost_at(log_kep):
        kep = np.exp(log_kep)
        atom = convolve(plasma, times, kep)
        products = ((atom * data).sum(axis=0), c, (atom * atom).sum(axis=0), plasma @ atom, cc)
        return _best_linear(*products, np.minimum(kep, KTRANS_MAX_PER_MIN))

    nodes = np.linspace(*np.log(KEP_RANGE_PER_MIN), grid)
    atoms = convolve(plasma, times, np.exp(nodes))
    costs = _best_linear(
        (atoms.T @ data).T,
        c[:, None],
        (atoms * atoms).sum(axis=0),
        plasma @ atoms,
        cc,
        np.minimum(np.exp(nodes), KTRANS_MAX_PER_MIN),
    )[0]
    # every local minimum of the grid is a place where the optimum may be: the three best are searched
    padded = np.pad(costs, ((0, 0), (1, 1)), constant_values=np.inf)
    local = np.where((costs <= padded[:, :-2]) & (costs <= padded[:, 2:]), costs, np.inf)
    best = None
    for rank in np.argsort(local, axis=1)[:, :3].T:
        low, high = nodes[np.maximum(rank - 1, 0)], nodes[np.minimum(rank + 1, grid - 1)]
        for _ in range(steps):
            a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
            left = cost_at(a)[0] < cost_at(b)[0]
            low, high = np.where(left, low, a), np.where(left, b, high)
        found = [*cost_at(0.5 * (low + high)), 0.5 * (low + high)]
        # the end of an interval may be better than its inside
        for end in (nodes[0], nodes[-1]):
            other = [*cost_at(np.full(len(c), end)), np.full(len(c), end)]
            found = [np.where(other[0] < found[0], new, old) for new, old in zip(other, found, strict=True)]
        if best is None:
            best = found
        better = found[0] < best[0]
        best = [np.where(better, new, old) for new, old in zip(found, best, strict=True)]
    cost, ktrans, vp, log_kep = best
    return {"rss": power + cost, "ktrans": ktrans, "kep": np.exp(log_kep), "vp": vp}
