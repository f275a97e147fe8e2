"""Fits with an arrival delay, and the two-compartment exchange model: a shared grid, then refinement.

Parameters are bounded where they have a meaning (volumes, flows), not in the shape of the curves.
"""

from dataclasses import dataclass

import numpy as np

from BMVascularCore.perfusion import separable
from BMVascularCore.perfusion.convolution import Lattice
from BMVascularCore.perfusion.refine import refine
from BMVascularCore.perfusion.selection import aicc

FLOW_MAX_PER_MIN = 5.0
_PAIR_STRIDE = 12
_GRID = 27
_FEW_STEPS = 6
_MOST_STEPS = 60
_MANY_STEPS = 200
_HOPELESS = 1.3
_LEAST = 1e-6
_RESTART_MIN = 0.4 / 60.0

# model -> fitted parameters, lower and upper bounds (rates per minute); Tofts-like models are bounded
# in kep and ve, so that ktrans = kep ve keeps ve <= 1
_BOXES = {
    "patlak": (("ktrans", "vp"), (0, 0), (5, 1)),
    "tofts": (("kep", "ve"), (2e-4, 0), (120, 1)),
    "etofts": (("kep", "ve", "vp"), (2e-4, 0, 0), (120, 1, 1)),
    "2cxm": (("fp", "ps", "ve", "vp"), (_LEAST, _LEAST, 1e-4, 1e-4), (FLOW_MAX_PER_MIN, 5, 1, 1)),
}


@dataclass
class RateGrid:
    """Model curves on a coarse grid of rates at one arrival delay, from which the fits start.

    Attributes
    ----------
    delay : float
        Minutes.
    rates : ndarray, shape (g,)
    atoms : ndarray, shape (g, t)
        Convolutions, on the frames or in the basis of a table.
    plasma, area : ndarray, shape (t,)
        The plasma curve and its running integral (None where not needed).
    """

    delay: float
    rates: np.ndarray
    atoms: np.ndarray
    plasma: np.ndarray
    area: np.ndarray | None = None


def rate_grids(curve, times_min, delays_min):
    """Grids on the frames for several delays; the curve is convolved once for all of them."""
    rates = np.exp(np.linspace(*np.log(separable.KEP_RANGE_PER_MIN), _GRID))
    place = curve.place((times_min[None, :] - np.asarray(delays_min)[:, None]).ravel())
    shape = (len(rates), len(delays_min), len(times_min))
    atoms = curve.exponential(rates, place)[0].reshape(shape).transpose(1, 0, 2)
    plasma, area = (part(place).reshape(shape[1:]) for part in (curve.value, curve.integral))
    parts = zip(delays_min, np.ascontiguousarray(atoms), plasma, area, strict=True)
    return [RateGrid(float(delay), rates, *part) for delay, *part in parts]


def table_grid(table):
    """The same from the shared table without delay, in its basis."""
    return RateGrid(0.0, np.exp(table.x[::_PAIR_STRIDE]), table.atoms[0, ::_PAIR_STRIDE], table.plasma)


class CurveModel:
    """One model on one plasma curve, with exact derivatives.

    Parameters
    ----------
    name : {"patlak", "tofts", "etofts", "2cxm"}
    curve : PlasmaCurve
        Times in minutes.
    times_min : ndarray, shape (t,)
    delays_min : (float, float), optional
        Range of the arrival delay; not fitted without.
    table : KepTable, optional
        Without a delay: work in the compressed space of this table instead of on the frames.
    """

    def __init__(self, name, curve, times_min, delays_min=None, table=None):
        self.table = table
        self.name, self.curve, self.times = name, curve, times_min
        names, lower, upper = _BOXES[name]
        self.delays, self.lattice = delays_min, None
        if delays_min is not None:
            if Lattice.fits(curve, times_min):
                self.lattice = Lattice(curve, times_min, delays_min[0])
                self.curve = self.lattice.curve
            names, lower, upper = (*names, "delay"), (*lower, delays_min[0]), (*upper, delays_min[1])
        self.names = names
        self.lower, self.upper = np.array(lower, float), np.array(upper, float)

    def evaluate(self, theta):
        """Curves (v, t) and their Jacobian (v, p, t)."""
        if self.table is not None:
            query, plasma = None, np.broadcast_to(self.table.plasma, (len(theta), len(self.table.plasma)))
            model, columns, _ = self._exchange(theta, query, plasma)
            return model, np.stack(columns, axis=1)
        if self.delays is None:
            query = self.curve.place(np.broadcast_to(self.times, (len(theta), len(self.times))))
        elif self.lattice is not None:
            query = self.lattice.place(theta[:, -1])
        else:
            query = self.curve.place(self.times[None, :] - theta[:, -1:])
        plasma = self.curve.value(query)
        build = {"patlak": self._patlak, "2cxm": self._exchange}.get(self.name, self._tofts)
        model, columns, rate = build(theta, query, plasma)
        if self.delays is not None:
            columns.append(-rate)
        return model, np.stack(columns, axis=1)

    def _atoms(self, rate, query):
        """Convolution with ``exp(-rate t)`` and minus its derivative by the rate."""
        if self.table is None:
            return self.curve.exponential(rate, query, order=1)
        value, slope = separable.interpolate_atoms(self.table, np.log(rate))
        return value, -slope / rate[:, None]

    def _patlak(self, theta, query, plasma):
        ktrans, vp = theta[:, 0, None], theta[:, 1, None]
        area = self.curve.integral(query)
        rate = vp * self.curve.slope(query) + ktrans * plasma
        return vp * plasma + ktrans * area, [area, plasma], rate

    def _tofts(self, theta, query, plasma):
        kep, ve = theta[:, 0, None], theta[:, 1, None]
        f, g = self.curve.exponential(theta[:, 0], query, order=1)
        model, columns = kep * ve * f, [ve * (f - kep * g), kep * f]
        rate = kep * ve * (plasma - kep * f)
        if self.name == "etofts":
            vp = theta[:, 2, None]
            model, columns = model + vp * plasma, [*columns, plasma]
            rate = rate + vp * self.curve.slope(query)
        return model, columns, rate

    def _exchange(self, theta, query, plasma):
        amplitudes, gradient = _exchange_amplitudes(theta[:, :4])
        a, b, fast, slow = (amplitudes[:, i] for i in range(4))
        f1, g1 = self._atoms(fast, query)
        f2, g2 = self._atoms(slow, query)
        a, b = a[:, None], b[:, None]
        natural = np.stack([f1, f2, -a * g1, -b * g2], axis=1)
        columns = np.matmul(gradient, natural)
        rate = (a + b) * plasma - a * fast[:, None] * f1 - b * slow[:, None] * f2
        return a * f1 + b * f2, [columns[:, i] for i in range(4)], rate


def _exchange_amplitudes(theta):
    """Amplitudes and rates of the two exponentials from (Fp, PS, ve, vp), and the derivatives.

    ``TB = vp/Fp, Tp = vp/(Fp + PS), Te = ve/PS``; the derivatives by a complex step (exact to rounding).
    """
    values = _biexponential(*theta.T)
    gradient = np.empty((len(theta), 4, 4))
    for p in range(4):
        moved = theta.astype(complex)
        size = 1e-20 * np.maximum(theta[:, p], _LEAST)
        moved[:, p] += 1j * size
        gradient[:, p, :] = np.stack(_biexponential(*moved.T), axis=1).imag / size[:, None]
    return np.stack(values, axis=1), gradient


def _biexponential(flow, ps, ve, vp):
    mean, leak, back = vp / flow, (flow + ps) / vp, ps / ve
    root = np.sqrt((leak + back) ** 2 - 4 * back / mean)
    # the small rate by division: the difference loses all digits when PS is small
    fast = 0.5 * (leak + back + root)
    slow = back / (mean * fast)
    share = (fast - 1 / mean) / root
    return flow * (1 - share), flow * share, fast, slow


def exchange_parameters(a, b, fast, slow):
    """(Fp, PS, ve, vp) from the two amplitudes and rates, all positive and ``fast > slow``."""
    flow = a + b
    share = b / flow
    mean = 1 / (fast - share * (fast - slow))
    te = 1 / (mean * fast * slow)
    ps = flow * (mean * fast - 1) * (1 - mean * slow)
    return np.stack([flow, ps, ps * te, flow * mean], axis=1)


def fit_block(model, grids, curves):
    """Fit a block of curves from the shared grid, then refine.

    Parameters
    ----------
    model : CurveModel
    grids : list of RateGrid
        One entry when no delay is fitted.
    curves : ndarray, shape (v, t)

    Returns
    -------
    dict of ndarray, shape (v,)
        Parameters, ``se_*``, ``rss``, ``bound``.
    """
    data, rest = curves, 0.0
    if model.table is not None:
        data = curves @ model.table.basis
        rest = np.einsum("vt,vt->v", curves, curves) - np.einsum("vr,vr->v", data, data)
    start = _start(model, grids, data, _grid_point)
    # the valley between flow and permeability is long; without a delay a step along it is cheap
    steps = _MANY_STEPS if model.name == "2cxm" and model.delays is None else _MOST_STEPS
    solution = refine(model.evaluate, data, start, model.lower, model.upper, rest, steps)
    if model.name == "2cxm":
        if model.delays is not None:
            solution = _other_delays(model, data, rest, solution)
        uptake = _start(model, grids, data, _uptake_point)
        return _exchange_or_uptake(model, data, rest, uptake, solution, curves.shape[1])
    theta, rss, normal = solution
    return _report(model, theta, rss, normal, curves.shape[1])


def _other_delays(model, data, rest, solution):
    """Start again on both sides of the fitted delay: kinks of the plasma curve can trap the first fit."""
    for shift in (-_RESTART_MIN, _RESTART_MIN):
        start = solution[0].copy()
        start[:, -1] += shift
        other = refine(model.evaluate, data, start, model.lower, model.upper, rest)
        better = other[1] < solution[1]
        solution = tuple(
            np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)
            for new, old in zip(other, solution, strict=True)
        )
    return solution


def _exchange_or_uptake(model, data, rest, start, solution, n_times):
    """Keep the exchange fit only where the return from the tissue is supported by AICc.

    Without it (uptake only, ve at 1) ve has no meaning and a tiny ve with any PS would fit as well.
    """
    lower, upper = model.lower.copy(), model.upper.copy()
    lower[2] = upper[2] - 1e-9
    uptake = refine(model.evaluate, data, start, lower, upper, rest, _FEW_STEPS)
    n = len(model.names)
    # the rest of the way only where the simpler model may still win
    handicap = np.exp((aicc(1.0, n_times, n) - aicc(1.0, n_times, n - 1)) / n_times)
    rows = np.flatnonzero(uptake[1] < _HOPELESS * handicap * solution[1])
    some = rest[rows] if np.ndim(rest) else rest
    for all_rows, few in zip(
        uptake, refine(model.evaluate, data[rows], uptake[0][rows], lower, upper, some), strict=True
    ):
        all_rows[rows] = few
    simple = aicc(uptake[1], n_times, n - 1) <= aicc(solution[1], n_times, n)
    fit = _report(model, *solution, n_times)
    plain = _report(model, *uptake, n_times)
    plain["ve"] = plain["kep"] = np.full(len(data), np.nan)
    return {name: np.where(simple, plain[name], values) for name, values in fit.items()}


def _start(model, grids, data, point):
    """Best point of the shared grid over delay and rates."""
    best = None
    for grid in grids:
        gain, theta = point(model.name, grid, data)
        if model.delays is not None:
            theta = np.column_stack([theta, np.full(len(theta), grid.delay)])
        if best is None:
            best = gain, theta
            continue
        better = gain > best[0]
        best = np.where(better, gain, best[0]), np.where(better[:, None], theta, best[1])
    return best[1]


def _grid_point(name, grid, data):
    if name == "2cxm":
        return _exchange_point(grid, data)
    plasma, rates, atoms = grid.plasma, grid.rates, grid.atoms
    a_max = np.minimum(rates, 5.0)
    if name == "patlak":
        atoms, a_max = grid.area[None], np.full(1, 5.0)
    s, aa, ac = data @ atoms.T, np.einsum("gt,gt->g", atoms, atoms), atoms @ plasma
    v_max = 0.0 if name == "tofts" else 1.0
    c, cc = data @ plasma, float(plasma @ plasma)
    a, v, gain = separable.box_least_squares(s, c[:, None], aa, ac, cc, a_max, v_max)
    rows, node = np.arange(len(data)), np.argmax(gain, axis=1)
    a, v, gain = a[rows, node], v[rows, node], gain[rows, node]
    if name == "patlak":
        return gain, np.column_stack([a, v])
    theta = [rates[node], a / rates[node]] + ([v] if name == "etofts" else [])
    return gain, np.column_stack(theta)


def _exchange_point(grid, data):
    """Best pair of rates on a coarse grid with both amplitudes positive."""
    atoms, rate = grid.atoms, grid.rates
    s, gram = data @ atoms.T, atoms @ atoms.T
    best, theta = np.full(len(data), -np.inf), np.ones((len(data), 4))
    rows = np.arange(len(data))
    for i in range(1, len(rate)):
        a, b, gain = separable.box_least_squares(
            s[:, i, None],
            s[:, :i],
            gram[i, i],
            gram[i, :i],
            np.diag(gram)[:i],
            FLOW_MAX_PER_MIN,
            FLOW_MAX_PER_MIN,
        )
        j = np.argmax(gain, axis=1)
        better = gain[rows, j] > best
        a = np.maximum(a[rows, j], 1e-4)
        b = np.maximum(b[rows, j], 1e-5)
        candidate = exchange_parameters(a, b, np.full(len(data), rate[i]), rate[j])
        best = np.where(better, gain[rows, j], best)
        theta = np.where(better[:, None], candidate, theta)
    return best, theta


def _uptake_point(_name, grid, data):
    """Best single rate beside one that hardly washes out: almost the uptake model."""
    atoms, rate = grid.atoms, grid.rates
    s, ac = data @ atoms.T, atoms[1:] @ atoms[0]
    size = np.einsum("gt,gt->g", atoms, atoms)
    box = (FLOW_MAX_PER_MIN, FLOW_MAX_PER_MIN)
    a, b, gain = separable.box_least_squares(s[:, 1:], s[:, :1], size[1:], ac, size[0], *box)
    rows, node = np.arange(len(data)), np.argmax(gain, axis=1)
    a, b = np.maximum(a[rows, node], 1e-4), np.maximum(b[rows, node], 1e-5)
    slow = np.full(len(data), rate[0])
    return gain[rows, node], exchange_parameters(a, b, rate[node + 1], slow)


def _report(model, theta, rss, normal, n_times):
    """Natural parameters with their standard errors; NaN for the error of one at its bound."""
    covariance = separable.covariance_of(normal, rss, n_times - theta.shape[1])
    fit = {name: theta[:, i] for i, name in enumerate(model.names)}
    span = model.upper - model.lower
    at_bound = (theta <= model.lower + 1e-9 * span) | (theta >= model.upper - 1e-9 * span)
    variance = np.einsum("vpp->vp", covariance)
    variance = np.where(at_bound | (variance < 0), np.nan, variance)
    fit.update({f"se_{name}": np.sqrt(variance[:, i]) for i, name in enumerate(model.names)})
    if model.name in ("tofts", "etofts"):
        gradient = np.zeros_like(theta)
        gradient[:, 0], gradient[:, 1] = fit["ve"], fit["kep"]
        _derived(fit, "ktrans", fit["kep"] * fit["ve"], gradient, covariance)
    if model.name == "2cxm":
        fp, ps = fit["fp"], fit["ps"]
        gradient = np.zeros_like(theta)
        gradient[:, 0], gradient[:, 1] = (ps / (fp + ps)) ** 2, (fp / (fp + ps)) ** 2
        _derived(fit, "ktrans", fp * ps / (fp + ps), gradient, covariance)
        fit["kep"] = fit["ktrans"] / fit["ve"]
        fit["fp"], fit["se_fp"] = fp * 100.0, fit["se_fp"] * 100.0
    if model.name == "patlak":
        fit["ps"], fit["se_ps"] = fit["ktrans"], fit["se_ktrans"]
    if model.delays is not None:
        fit["delay"], fit["se_delay"] = fit["delay"] * 60.0, fit["se_delay"] * 60.0
    fit["rss"], fit["bound"] = rss, at_bound.any(axis=1)
    return fit


def _derived(fit, name, value, gradient, covariance):
    """A quantity that follows from the fitted ones, with its propagated standard error."""
    variance = np.einsum("vp,vpq,vq->v", gradient, covariance, gradient)
    fit[name] = value
    fit[f"se_{name}"] = np.sqrt(np.where(variance > 0, variance, np.nan))
