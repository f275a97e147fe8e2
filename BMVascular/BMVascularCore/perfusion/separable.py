"""Tofts, extended Tofts, Patlak and plasma-only fits of all voxels at once.

For a given ``kep`` these models are linear, and the plasma curve is the same for every voxel. So one
matrix product gives the inner products of every voxel with the model curves on a shared logarithmic
grid of ``kep`` (variable projection, Golub and Pereyra 1973). The best ``kep`` between grid points
comes from quintic interpolation of those inner products, whose first and second derivatives by
``log kep`` are exact. Bounds on the linear parameters are part of the two-variable solve.
"""

from dataclasses import dataclass

import numpy as np

KEP_RANGE_PER_MIN = (2e-4, 120.0)
KTRANS_MAX_PER_MIN = 5.0
_NODES = 321
_STRIDE = 8
_SPAN_STRIDE = 4
_ROOT_STEPS = 5
_STILL_MOVING = 1e-3
_BISECTIONS = 20
# quintic Hermite: polynomial coefficients from value, slope and curvature at both ends
_QUINTIC = np.array(
    [
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.5, 0.0, 0.0, 0.0],
        [-10.0, -6.0, -1.5, 10.0, -4.0, 0.5],
        [15.0, 8.0, 1.5, -15.0, 7.0, -1.0],
        [-6.0, -3.0, -0.5, 6.0, -3.0, 0.5],
    ]
)


@dataclass
class KepTable:
    """Model curves on the shared grid, compressed to the few dimensions that they span.

    Attributes
    ----------
    x : ndarray, shape (g,)
        log kep.
    basis : ndarray, shape (t, r)
        Orthonormal basis of all model curves.
    plasma : ndarray, shape (r,)
        The plasma curve in that basis.
    atoms : ndarray, shape (3, g, r)
        Convolutions and their first and second differences per grid step, in that basis.
    products : dict of ndarray, shape (3, g)
        Products of the atoms with themselves and with the plasma curve, with derivatives per step.
    """

    x: np.ndarray
    basis: np.ndarray
    plasma: np.ndarray
    atoms: np.ndarray
    products: dict

    @property
    def step(self):
        """Distance of neighbouring grid points in log kep."""
        return self.x[1] - self.x[0]


def build_table(curve, times_min):
    """Make the shared table of a plasma curve at the frame times.

    Parameters
    ----------
    curve : PlasmaCurve
        Times in minutes.
    times_min : ndarray, shape (t,)

    Returns
    -------
    KepTable
    """
    x = np.linspace(*np.log(KEP_RANGE_PER_MIN), _NODES)
    h = x[1] - x[0]
    kep = np.exp(x)[:, None]
    f, g, second = curve.exponential(kep[:, 0], times_min, order=2)
    # d/dlog k = k d/dk, and d/dk of each moment is minus the next one
    atoms = np.stack([f, -h * kep * g, h * h * (kep * kep * second - kep * g)])
    plasma = curve.value(times_min)
    # the curves between these points lie in the span of their values, slopes and curvatures
    some = np.concatenate([plasma[None], *atoms[:, ::_SPAN_STRIDE]])
    norms = np.linalg.norm(some, axis=1, keepdims=True)
    u, weights, _ = np.linalg.svd((some / np.where(norms > 0, norms, 1)).T, full_matrices=False)
    basis = np.ascontiguousarray(u[:, weights > 1e-11 * weights[0]])
    atoms = atoms @ basis
    plasma = plasma @ basis
    a, d1, d2 = atoms
    products = {
        "aa": np.stack([_dot(a, a), 2 * _dot(a, d1), 2 * (_dot(d1, d1) + _dot(a, d2))]),
        "ac": atoms @ plasma,
        "dd": _dot(d1, d1),
    }
    return KepTable(x, basis, plasma, atoms, products)


def _dot(a, b):
    return np.einsum("...r,...r->...", a, b)


def box_least_squares(s, c, aa, ac, cc, a_max, v_max):
    """Least squares in two variables with 0 <= a <= a_max and 0 <= v <= v_max, in closed form.

    The optimum has at least one violated bound active, so the better of two candidates is exact:
    each clips one variable of the free solution and solves for the other.

    Parameters
    ----------
    s, c : ndarray
        Products of the data with the two model curves.
    aa, ac, cc : ndarray or float
        Products of the model curves.
    a_max, v_max : ndarray or float

    Returns
    -------
    a, v, gain : ndarray
        Solution and the fall of the residual sum of squares against the zero model.
    """
    det = aa * cc - ac * ac
    det = np.where(
        det > 1e-6 * aa * cc if np.asarray(det).dtype == np.float32 else det > 1e-14 * aa * cc, det, np.inf
    )
    v1 = (aa / det) * c - (ac / det) * s
    a2 = (s - v1 * ac) / aa
    v1 = np.clip(v1, 0.0, v_max)
    a1 = np.clip((s - v1 * ac) / aa, 0.0, a_max)
    gain1 = _gain(a1, v1, s, c, aa, ac, cc)
    a2 = np.clip(a2, 0.0, a_max)
    v2 = np.clip((c - a2 * ac) / cc, 0.0, v_max)
    gain2 = _gain(a2, v2, s, c, aa, ac, cc)
    first = gain1 >= gain2
    return np.where(first, a1, a2), np.where(first, v1, v2), np.where(first, gain1, gain2)


def _gain(a, v, s, c, aa, ac, cc):
    return a * (2 * s - a * aa) + v * (2 * (c - a * ac) - v * cc)


def fit_block(table, curves, with_plasma=True):
    """Extended Tofts (or Tofts) fit of a block of curves.

    Parameters
    ----------
    table : KepTable
    curves : ndarray, shape (v, t)
        Concentration in mM, finite.
    with_plasma : bool
        False fits the Tofts model (vp = 0).

    Returns
    -------
    dict of ndarray, shape (v,)
        ktrans, kep (1/min), ve, vp, rss, se_ktrans, se_kep, se_ve, se_vp, bound (bool).
    """
    z = curves @ table.basis
    power = _dot(curves, curves)
    c = z @ table.plasma
    cc = float(table.plasma @ table.plasma)
    v_max = 1.0 if with_plasma else 0.0
    node = _best_node(table, z, c, cc, v_max)
    s, aa, ac, low = _interval(table, z, node, c, cc, v_max)
    u, a, v, gain = _minimise(table, s, aa, ac, low, c, cc, v_max)
    kep = np.exp(table.x[0] + table.step * (low + u))
    rss = np.maximum(power - gain, 0.0)
    result = {"ktrans": a, "kep": kep, "ve": a / kep, "vp": v, "rss": rss}
    result.update(_standard_errors(table, result, low, u, curves.shape[1], with_plasma))
    return result


def _best_node(table, z, c, cc, v_max):
    """Grid point with the smallest residual, for every voxel."""
    # single precision is enough to name the neighbourhood; the slope there is taken in double
    a_max = np.minimum(np.exp(table.x[::_STRIDE]), KTRANS_MAX_PER_MIN).astype(np.float32)
    aa = table.products["aa"][0, ::_STRIDE].astype(np.float32)
    ac = table.products["ac"][0, ::_STRIDE].astype(np.float32)
    s = z.astype(np.float32) @ table.atoms[0, ::_STRIDE].T.astype(np.float32)
    if v_max == 0.0:
        a = np.clip(s / aa, 0.0, a_max)
        return _STRIDE * np.argmax(a * (2 * s - a * aa), axis=1)
    gain = _scan_gain(s, c[:, None].astype(np.float32), aa, ac, np.float32(cc), a_max, np.float32(v_max))
    return _STRIDE * np.argmax(gain, axis=1)


def _scan_gain(s, c, aa, ac, cc, a_max, v_max):
    """Gain on the whole grid after two rounds of clipped coordinate steps, in place where it can be.

    Exact where no bound is active, and close enough to name the neighbourhood where one is.
    """
    det = np.maximum(aa * cc - ac * ac, np.float32(1e-6) * aa * cc)
    v = (aa / det) * c
    v -= (ac / det) * s
    np.clip(v, 0, v_max, out=v)
    a = v * (-ac / aa)
    a += s * (1 / aa)
    np.clip(a, 0, a_max, out=a)
    np.multiply(a, -ac / cc, out=v)
    v += c / cc
    np.clip(v, 0, v_max, out=v)
    # gain = a (2 s - a aa - 2 v ac) + v (2 c - v cc)
    work = a * aa
    np.subtract(s, work, out=work)
    work += s
    work -= v * (2 * ac)
    work *= a
    np.multiply(v, -cc, out=a)
    a += 2 * c
    a *= v
    work += a
    return work


def _interval(table, z, node, c, cc, v_max):
    """Choose the grid interval with the minimum and give the products as quintics on it."""
    last = len(table.x) - 1
    # halve the distance to the neighbouring points of the coarse scan until one grid interval is left
    low = node
    for step in (_STRIDE // 2, _STRIDE // 4, _STRIDE // 8, 0):
        rising = _slope_at_node(table, z, low, c, cc, v_max) > 0
        low = np.clip(np.where(rising, low + step, low - max(step, 1)), 0, last)
    low = np.clip(low, 0, last - 1)
    ends = [_dot(z, table.atoms[n][i]) for i in (low, low + 1) for n in range(3)]
    s = _QUINTIC @ np.stack(ends)
    aa, ac = (
        _QUINTIC @ np.concatenate([table.products[name][:, low], table.products[name][:, low + 1]])
        for name in ("aa", "ac")
    )
    return s, aa, ac, low


def interpolate_atoms(table, log_rate):
    """Model curves at any rates, in the basis of the table, and their derivatives by the log of the rate.

    Parameters
    ----------
    table : KepTable
    log_rate : ndarray, shape (v,)

    Returns
    -------
    value, slope : ndarray, shape (v, r)
    """
    place = np.clip((log_rate - table.x[0]) / table.step, 0, len(table.x) - 1 - 1e-9)
    low = place.astype(int)
    u = (place - low)[:, None]
    ends = np.concatenate([table.atoms[:, low], table.atoms[:, low + 1]])
    powers = u[None] ** np.arange(6)[:, None, None]
    weights = np.einsum("pe,pvx->evx", _QUINTIC, powers)
    falls = np.arange(1, 6)[:, None, None] * powers[:5]
    slopes = np.einsum("pe,pvx->evx", _QUINTIC[1:], falls)
    return (weights * ends).sum(axis=0), (slopes * ends).sum(axis=0) / table.step


def _slope_at_node(table, z, node, c, cc, v_max):
    s, ds = (_dot(z, table.atoms[n][node]) for n in (0, 1))
    aa, daa = table.products["aa"][0, node], table.products["aa"][1, node]
    ac, dac = table.products["ac"][0, node], table.products["ac"][1, node]
    return _profile(s, ds, aa, daa, ac, dac, c, cc, np.exp(table.x[node]), table.step, v_max)[0]


def _profile(s, ds, aa, daa, ac, dac, c, cc, kep, step, v_max):
    """Slope of the best gain along log kep (envelope theorem), and the linear solution."""
    a, v, gain = box_least_squares(s, c, aa, ac, cc, np.minimum(kep, KTRANS_MAX_PER_MIN), v_max)
    slope = 2 * a * (ds - 0.5 * a * daa - v * dac)
    # along the bound ve = 1 the linear parameter itself moves with kep
    slope += np.where(a >= kep, 2 * (s - a * aa - v * ac) * kep * step, 0.0)
    return slope, a, v, gain


def _polynomial(coefficients, u):
    value = coefficients[5]
    slope = np.zeros_like(u)
    for row in coefficients[4::-1]:
        slope = slope * u + value
        value = value * u + row
    return value, slope


def _minimise(table, s, aa, ac, low, c, cc, v_max):
    """Root of the slope on the interval 0..1 by false position (Illinois), all voxels together."""
    start = table.x[0] + table.step * low

    def at(u, rows=slice(None)):
        (s0, s1), (aa0, aa1), (ac0, ac1) = (_polynomial(p[:, rows], u) for p in (s, aa, ac))
        kep = np.exp(start[rows] + table.step * u)
        return _profile(s0, s1, aa0, aa1, ac0, ac1, c[rows], cc, kep, table.step, v_max)

    left, right = np.zeros(len(c)), np.ones(len(c))
    f_left, f_right = at(left)[0], at(right)[0]
    # no change of sign: the maximum of the gain is at an end
    one_sided = f_left * f_right > 0
    u = np.where(f_left > 0, 1.0, 0.0)
    for _ in range(_ROOT_STEPS):
        spread = f_left - f_right
        new = np.where(spread != 0, left + (right - left) * f_left / np.where(spread == 0, 1, spread), 0.5)
        new = np.where(one_sided, u, np.clip(new, left, right))
        f_new = at(new)[0]
        up = f_new > 0
        f_right = np.where(up, np.where(u <= new, f_right * 0.5, f_right), f_new)
        f_left = np.where(up, f_new, np.where(u >= new, f_left * 0.5, f_left))
        left, right = np.where(up, new, left), np.where(up, right, new)
        moved, u = np.abs(new - u), new
    # where a bound becomes active the slope has a kink: the few that are still moving are bisected
    rows = np.flatnonzero((moved > _STILL_MOVING) & ~one_sided)
    left, right = left[rows], right[rows]
    for _ in range(_BISECTIONS if len(rows) else 0):
        u[rows] = 0.5 * (left + right)
        up = at(u[rows], rows)[0] > 0
        left, right = np.where(up, u[rows], left), np.where(up, right, u[rows])
    return (u, *at(u)[1:])


def _standard_errors(table, fit, low, u, n_times, with_plasma):
    """Standard errors from the Jacobian in (ktrans, kep, vp); NaN for a parameter at its bound."""
    aa, daa, ac, dac, dd = (
        (1 - u) * rows[low] + u * rows[low + 1]
        for rows in (
            table.products["aa"][0],
            table.products["aa"][1],
            table.products["ac"][0],
            table.products["ac"][1],
            table.products["dd"],
        )
    )
    # the Jacobian column of kep is ktrans times d(atom)/dkep
    scale = fit["ktrans"] / (table.step * fit["kep"])
    normal = np.zeros((len(u), 3, 3))
    normal[:, 0, 0] = aa
    normal[:, 0, 1] = normal[:, 1, 0] = 0.5 * daa * scale
    normal[:, 1, 1] = dd * scale * scale
    normal[:, 0, 2] = normal[:, 2, 0] = ac
    normal[:, 1, 2] = normal[:, 2, 1] = dac * scale
    normal[:, 2, 2] = float(table.plasma @ table.plasma)
    used = 3 if with_plasma else 2
    covariance = covariance_of(normal[:, :used, :used], fit["rss"], n_times - used)
    ratio_gradient = np.stack([1 / fit["kep"], -fit["ktrans"] / fit["kep"] ** 2], axis=1)
    ve_variance = np.einsum("vi,vij,vj->v", ratio_gradient, covariance[:, :2, :2], ratio_gradient)
    at_ve = fit["ktrans"] >= fit["kep"] * (1 - 1e-9)
    zero = (fit["ktrans"] <= 0) | (fit["ktrans"] >= KTRANS_MAX_PER_MIN)
    ends = (low + u < 1e-6) | (low + u > len(table.x) - 1 - 1e-6)
    errors = {
        "se_ktrans": np.where(zero, np.nan, _root(covariance[:, 0, 0])),
        "se_kep": np.where(zero | ends, np.nan, _root(covariance[:, 1, 1])),
        "se_ve": np.where(zero | at_ve | ends, np.nan, _root(ve_variance)),
    }
    bound = zero | at_ve | ends
    if with_plasma:
        at_vp = (fit["vp"] <= 0) | (fit["vp"] >= 1)
        errors["se_vp"] = np.where(at_vp, np.nan, _root(covariance[:, 2, 2]))
        bound = bound | at_vp
    errors["bound"] = bound
    return errors


def _root(variance):
    return np.sqrt(np.where(variance > 0, variance, np.nan))


def covariance_of(normal, rss, freedom):
    """Covariance of fitted parameters: inverse normal matrix times the residual variance.

    Parameters
    ----------
    normal : ndarray, shape (v, p, p)
    rss : ndarray, shape (v,)
    freedom : int
        Frames minus parameters.

    Returns
    -------
    ndarray, shape (v, p, p)
        NaN where the matrix cannot be inverted.
    """
    diagonal = np.sqrt(np.einsum("vii->vi", normal))
    good = (diagonal > 0).all(axis=1)
    diagonal = np.where(good[:, None], diagonal, 1.0)
    scaled = normal / (diagonal[:, :, None] * diagonal[:, None, :])
    scaled[~good] = np.eye(normal.shape[1])
    inverse, determinant = _inverse(scaled)
    good &= determinant > 1e-13
    inverse /= diagonal[:, :, None] * diagonal[:, None, :]
    inverse[~good] = np.nan
    return inverse * (rss / max(freedom, 1))[:, None, None]


def _inverse(matrix):
    """Inverse and determinant of small symmetric matrices (v, p, p); in closed form up to 3 x 3."""
    p = matrix.shape[1]
    if p != 3:
        determinant = np.linalg.det(matrix)
        safe = np.where((determinant > 1e-13)[:, None, None], matrix, np.eye(p))
        return np.linalg.inv(safe), determinant
    a, b, c = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 0, 2]
    d, e, f = matrix[:, 1, 1], matrix[:, 1, 2], matrix[:, 2, 2]
    cofactors = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
    determinant = a * cofactors[0] + b * cofactors[1] + c * cofactors[2]
    safe = np.where(determinant > 1e-13, determinant, 1.0)
    inverse = np.empty_like(matrix)
    for value, (i, j) in zip(cofactors, ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)), strict=True):
        inverse[:, i, j] = inverse[:, j, i] = value / safe
    return inverse, determinant


def fit_patlak_block(plasma, area, curves):
    """Patlak fit: ``vp cp + ktrans int cp``, both bounded below by zero.

    Parameters
    ----------
    plasma, area : ndarray, shape (t,)
        Plasma concentration and its running integral in mM and mM min.
    curves : ndarray, shape (v, t)

    Returns
    -------
    dict of ndarray, shape (v,)
        ktrans (1/min), vp, rss, se_ktrans, se_vp, bound.
    """
    s, c = curves @ area, curves @ plasma
    aa, ac, cc = float(area @ area), float(area @ plasma), float(plasma @ plasma)
    a, v, gain = box_least_squares(s, c, aa, ac, cc, KTRANS_MAX_PER_MIN, 1.0)
    rss = np.maximum(_dot(curves, curves) - gain, 0.0)
    # the model curves are the same for all voxels, so the matrix is inverted once
    unit = covariance_of(np.array([[[aa, ac], [ac, cc]]]), np.ones(1), len(area) - 2)[0]
    at_a, at_v = (a <= 0) | (a >= KTRANS_MAX_PER_MIN), (v <= 0) | (v >= 1)
    return {
        "ktrans": a,
        "vp": v,
        "rss": rss,
        "se_ktrans": np.where(at_a, np.nan, np.sqrt(unit[0, 0] * rss)),
        "se_vp": np.where(at_v, np.nan, np.sqrt(unit[1, 1] * rss)),
        "bound": at_a | at_v,
    }


def fit_plasma_block(plasma, curves):
    """Plasma volume only: ``vp cp`` with 0 <= vp <= 1; returns vp, rss, se_vp, bound."""
    c, cc = curves @ plasma, float(plasma @ plasma)
    v = np.clip(c / cc, 0.0, 1.0)
    rss = np.maximum(_dot(curves, curves) - v * (2 * c - v * cc), 0.0)
    bound = (v <= 0) | (v >= 1)
    error = np.where(bound, np.nan, np.sqrt(rss / max(len(plasma) - 1, 1) / cc))
    return {"vp": v, "rss": rss, "se_vp": error, "bound": bound}
