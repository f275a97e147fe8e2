"""Kinetic fits against closed forms, numerical integration and SciPy."""

from itertools import pairwise

import numpy as np
import pytest
from dce_objects import extended_tofts_object, reference_optimum
from scipy.integrate import quad
from scipy.optimize import least_squares, lsq_linear

from BMVascularCore.perfusion import chunks
from BMVascularCore.perfusion.convolution import PlasmaCurve
from BMVascularCore.perfusion.kinetics import KineticFitter
from BMVascularCore.perfusion.nonlinear import CurveModel
from BMVascularCore.perfusion.population_aif import plasma_curve
from BMVascularCore.perfusion.separable import box_least_squares
from BMVascularCore.perfusion.t1 import fit_vfa, spgr_signal


def uneven_times(n=60, length_s=360, seed=3):
    steps = np.random.default_rng(seed).uniform(0.4, 1.6, n - 1)
    return np.concatenate([[0], np.cumsum(steps) * length_s / steps.sum()])


def simulate(times_s, ktrans, ve, vp, delay_s=0.0):
    """Extended Tofts curves of a Parker bolus at 20 s, linear between the frames."""
    curve = PlasmaCurve(times_s / 60, plasma_curve("parker", times_s, 20.0))
    model = CurveModel("etofts", curve, times_s / 60, np.array([-20.0, 20.0]))
    theta = np.column_stack(np.broadcast_arrays(np.divide(ktrans, ve), ve, vp, np.divide(delay_s, 60)))
    return curve.values, model.evaluate(theta)[0]


@pytest.mark.parametrize("k", [1e-4, 0.3, 4.0, 80.0])
def test_convolution_matches_quadrature_on_uneven_times(k):
    rng = np.random.default_rng(0)
    t, c = np.sort(rng.uniform(0, 5, 25)), rng.uniform(0, 4, 25)
    found = PlasmaCurve(t, c).exponential(np.array([k]), np.array([t[11] + 0.01, t[-1]]), order=2)
    for column, end in enumerate((t[11] + 0.01, t[-1])):
        knots = np.append(t[t < end], end)
        for n in range(3):
            parts = [
                quad(lambda u, n=n, e=end: (e - u) ** n * np.exp(-k * (e - u)) * np.interp(u, t, c), a, b)[0]
                for a, b in pairwise(knots)
            ]
            assert found[n][0, column] == pytest.approx(sum(parts), rel=1e-9)


def test_box_solution_is_that_of_scipy():
    rng = np.random.default_rng(1)
    for _ in range(200):
        a_matrix = rng.uniform(-0.2, 1, (6, 2))
        y = rng.normal(0, 1.5, 6)
        s, c = a_matrix.T @ y
        (aa, ac), (_, cc) = a_matrix.T @ a_matrix
        a, v, gain = box_least_squares(s, c, aa, ac, cc, 0.7, 1.0)
        best = lsq_linear(a_matrix, y, ([0, 0], [0.7, 1.0]), tol=1e-14, method="bvls")
        assert y @ y - gain == pytest.approx(2 * best.cost, rel=1e-9)
        assert np.allclose([a, v], best.x, atol=1e-7)


def test_noise_free_recovery_on_uneven_times():
    times = uneven_times()
    rng = np.random.default_rng(2)
    truth = {
        "ktrans": rng.uniform(0.01, 0.4, 300),
        "ve": rng.uniform(0.1, 0.6, 300),
        "vp": rng.uniform(0.005, 0.12, 300),
    }
    plasma, curves = simulate(times, **truth)
    fit = KineticFitter(times, plasma, times, "etofts").fit(curves)
    for name, values in truth.items():
        assert np.abs(fit[name] / values - 1).max() < 1e-5, name


def test_residuals_reach_those_of_scipy():
    times = np.arange(60) * 5.0
    rng = np.random.default_rng(4)
    n = 60
    plasma, curves = simulate(
        times, rng.uniform(0.005, 0.1, n), rng.uniform(0.05, 1, n), rng.uniform(0, 0.1, n)
    )
    curves = curves + rng.normal(0, 0.02, curves.shape)
    fit = KineticFitter(times, plasma, times, "etofts").fit(curves)
    model = CurveModel("etofts", PlasmaCurve(times / 60, plasma), times / 60)
    excess = []
    for i, y in enumerate(curves):
        start = np.clip(
            [fit["kep"][i] * 1.1, fit["ve"][i] * 0.9, fit["vp"][i] + 0.001], model.lower, model.upper
        )
        best = least_squares(
            lambda p, y=y: model.evaluate(p[None])[0][0] - y,
            start,
            lambda p: model.evaluate(p[None])[1][0].T,
            bounds=(model.lower, model.upper),
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-14,
        )
        excess.append(fit["rss"][i] / (2 * best.cost) - 1)
    assert np.max(excess) < 1e-6


@pytest.mark.parametrize("noise", [0.001, 0.05])
def test_residuals_reach_the_global_optimum(noise):
    """An independent search over the whole range finds nothing better than 1e-6 in 99.9 % of 3000 voxels."""
    case = extended_tofts_object(lambda t: plasma_curve("parker", t, 20.0), 3000, noise, seed=5)
    best = reference_optimum(case["times_s"], case["plasma"], case["curves"])
    fit = KineticFitter(case["times_s"], case["plasma"], case["times_s"], "etofts").fit(case["curves"])
    excess = fit["rss"] / best["rss"] - 1
    assert np.mean(excess <= 1e-6) >= 0.999 and np.abs(excess).max() < 1e-4


def test_accuracy_with_noise():
    """10 000 voxels with Ktrans log-uniform over 0.01 to 0.4 /min, as the published figures were measured."""
    case = extended_tofts_object(lambda t: plasma_curve("parker", t, 20.0), 10000, 0.01, seed=1)
    fit = KineticFitter(case["fine_s"], case["fine_plasma"], case["times_s"], "etofts").fit(case["curves"])
    error = np.abs(fit["ktrans"] / case["ktrans"] - 1)
    assert np.median(error) <= 0.0145 and np.quantile(error, 0.95) <= 0.08


@pytest.mark.parametrize("step_s", [2.0, 2.3])
def test_delay_fit_is_the_same_on_even_and_uneven_frames(step_s):
    """The closed forms of even frames against the general ones (one frame moved by a hair)."""
    rng = np.random.default_rng(12)
    times = np.arange(70) * step_s
    plasma, curves = simulate(times, rng.uniform(0.02, 0.3, 50), 0.3, 0.05, rng.uniform(-2.5, 8, 50))
    curves += rng.normal(0, 0.01, curves.shape)
    moved = times.copy()
    moved[35] += 1e-4
    models = [
        CurveModel("etofts", PlasmaCurve(t / 60, plasma), t / 60, np.array([-3, 10]) / 60)
        for t in (times, moved)
    ]
    assert models[0].lattice is not None and models[1].lattice is None
    fits = [KineticFitter(t, plasma, t, "etofts", True).fit(curves) for t in (times, moved)]
    assert np.median(np.abs(fits[0]["ktrans"] / fits[1]["ktrans"] - 1)) < 1e-3
    for theta in (np.array([[0.5, 0.3, 0.05, -0.04]]), np.array([[0.5, 0.3, 0.05, 0.15]])):
        for one, other in zip(*(model.evaluate(theta) for model in models), strict=True):
            assert np.abs(one - other).max() < 1e-3 * np.abs(one).max()


@pytest.mark.parametrize("name", ["patlak", "tofts", "etofts", "2cxm"])
def test_analytic_jacobian_matches_differences(name):
    times = uneven_times(30) / 60
    curve = PlasmaCurve(times, np.random.default_rng(5).uniform(0, 3, 30))
    model = CurveModel(name, curve, times, np.array([-1.0, 1.0]))
    theta = {
        "patlak": [0.1, 0.05],
        "tofts": [0.5, 0.3],
        "etofts": [0.5, 0.3, 0.05],
        "2cxm": [0.6, 0.1, 0.3, 0.06],
    }
    theta = np.array([[*theta[name], 0.0123]])
    _, jacobian = model.evaluate(theta)
    for p in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[0, p] = 1e-6
        difference = (model.evaluate(theta + step)[0] - model.evaluate(theta - step)[0]) / 2e-6
        assert np.allclose(jacobian[:, p], difference, atol=1e-6, rtol=1e-5), model.names[p]


def test_delay_is_recovered():
    times = np.arange(90) * 3.0
    rng = np.random.default_rng(6)
    delay = rng.uniform(0, 6, 200)
    ktrans = rng.uniform(0.03, 0.3, 200)
    plasma, curves = simulate(times, ktrans, 0.3, 0.05, delay)
    curves += rng.normal(0, 0.005, curves.shape)
    fit = KineticFitter(times, plasma, times, "etofts", True).fit(curves)
    assert np.median(np.abs(fit["delay"] - delay)) < 0.1
    assert np.median(np.abs(fit["ktrans"] / ktrans - 1)) < 0.03
    ignored = KineticFitter(times, plasma, times, "etofts").fit(curves)
    assert np.median(np.abs(ignored["ktrans"] / ktrans - 1)) > 0.08


def test_exchange_model_is_recovered():
    times = np.arange(150) * 1.5
    rng = np.random.default_rng(7)
    n = 100
    truth = np.column_stack(
        [
            rng.uniform(0.1, 1, n),
            rng.uniform(0.02, 0.3, n),
            rng.uniform(0.1, 0.5, n),
            rng.uniform(0.02, 0.15, n),
        ]
    )
    plasma = plasma_curve("parker", times, 10.0)
    curves, _ = CurveModel("2cxm", PlasmaCurve(times / 60, plasma), times / 60).evaluate(truth)
    fit = KineticFitter(times, plasma, times, "2cxm").fit(curves)
    for i, (name, scale) in enumerate((("fp", 100), ("ps", 1), ("ve", 1), ("vp", 1))):
        assert np.quantile(np.abs(fit[name] / scale / truth[:, i] - 1), 0.98) < 1e-3, name


def test_exchange_residuals_reach_those_of_scipy():
    times = np.arange(80) * 3.75
    rng = np.random.default_rng(14)
    n = 60
    truth = np.column_stack(
        [
            rng.uniform(0.1, 1, n),
            rng.uniform(0.02, 0.3, n),
            rng.uniform(0.1, 0.6, n),
            rng.uniform(0.02, 0.12, n),
        ]
    )
    plasma = plasma_curve("parker", times, 20.0)
    model = CurveModel("2cxm", PlasmaCurve(times / 60, plasma), times / 60)
    curves = model.evaluate(truth)[0] + rng.normal(0, 0.01, (n, 80))
    fit = KineticFitter(times, plasma, times, "2cxm").fit(curves)
    excess = []
    for i in np.flatnonzero(np.isfinite(fit["ve"])):
        best = least_squares(
            lambda p, i=i: model.evaluate(p[None])[0][0] - curves[i],
            truth[i],
            lambda p: model.evaluate(p[None])[1][0].T,
            bounds=(model.lower, model.upper),
            x_scale=truth[i],
            xtol=1e-12,
            ftol=1e-12,
            gtol=1e-12,
        )
        excess.append(fit["rss"][i] / (2 * best.cost) - 1)
    # the search of the peer starts at the truth
    assert len(excess) > 40 and np.mean(np.array(excess) < 1e-5) > 0.95 and np.max(excess) < 0.02


@pytest.mark.parametrize("model", ["etofts", "patlak", "2cxm"])
def test_standard_errors_match_the_spread(model):
    times = np.arange(100) * 3.0
    plasma = plasma_curve("parker", times, 15.0)
    theta = {"etofts": [0.4, 0.3, 0.05], "patlak": [0.01, 0.05], "2cxm": [0.5, 0.1, 0.3, 0.06]}[model]
    curve, _ = CurveModel(model, PlasmaCurve(times / 60, plasma), times / 60).evaluate(np.array([theta]))
    curves = curve + np.random.default_rng(8).normal(0, 0.01, (600, 100))
    fit = KineticFitter(times, plasma, times, model).fit(curves)
    for name in ("ktrans", "vp"):
        assert np.nanmedian(fit[f"se_{name}"]) / fit[name].std() == pytest.approx(1, abs=0.12), name


@pytest.mark.parametrize(("minutes", "limit"), [(5, 0.06), (15, 0.06)])
def test_selected_model_is_hardly_biased(minutes, limit):
    times = np.arange(minutes * 12) * 5.0
    for ktrans in (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.1, 0.2):
        plasma, curve = simulate(times, [ktrans], 0.2, 0.03)
        curves = curve + np.random.default_rng(9).normal(0, 0.005, (1000, len(times)))
        fit = KineticFitter(times, plasma, times, "auto").fit(curves)
        assert abs(np.median(fit["ktrans"]) / ktrans - 1) < limit, ktrans


def test_a_fitted_delay_counts_as_a_parameter():
    """Pure plasma curves: a model with leakage and delay wins by chance only as often as AICc allows."""
    times = np.arange(60) * 5.0
    plasma, _ = simulate(times, [0.1], 0.2, 0.03)
    curves = 0.04 * plasma + np.random.default_rng(3).normal(0, 0.01, (800, 60))
    fit = KineticFitter(times, plasma, times, "auto", True).fit(curves)
    assert np.mean(fit["model"] == 1) > 0.88


def test_exchange_is_chosen_where_fast_frames_show_it():
    """Slow flow beside a high permeability: extended Tofts cannot follow the curve, at 1.5 s one can see it."""
    times = np.arange(160) * 1.5
    plasma = plasma_curve("parker", times, 15.0)
    curve, rng = PlasmaCurve(times / 60, plasma), np.random.default_rng(13)
    exchange, _ = CurveModel("2cxm", curve, times / 60).evaluate(np.array([[0.25, 0.15, 0.25, 0.08]]))
    tofts, _ = CurveModel("etofts", curve, times / 60).evaluate(np.array([[0.4, 0.3, 0.04]]))
    for true, index in ((exchange, 4), (tofts, 3)):
        curves = true + rng.normal(0, 0.008, (300, len(times)))
        fit = KineticFitter(times, plasma, times, "auto").fit(curves)
        assert np.mean(fit["model"] == index) > 0.85, index
    # Ktrans of the exchange model is Fp PS / (Fp + PS)
    fit = KineticFitter(times, plasma, times, "auto").fit(exchange + rng.normal(0, 0.008, (300, len(times))))
    assert np.median(fit["ktrans"]) == pytest.approx(0.25 * 0.15 / 0.4, rel=0.05)
    slow = KineticFitter(times[::2], plasma[::2], times[::2], "auto").fit(exchange[:, ::2])
    assert slow["model"][0] != 4


def test_result_does_not_depend_on_the_piece_size():
    times = np.arange(40) * 6.0
    plasma, curves = simulate(times, np.linspace(0.01, 0.3, 5000), 0.3, 0.05)
    curves += np.random.default_rng(10).normal(0, 0.02, curves.shape)
    fitter = KineticFitter(times, plasma, times, "etofts")
    whole = fitter.fit(curves)["ktrans"]
    for chunk in (1, 2048, 3000):
        parts = [fitter.fit(curves[a:b])["ktrans"] for a, b in chunks.pieces(len(curves), chunk)]
        assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("method", ["linear", "nonlinear"])
def test_t1_is_recovered_with_b1(method):
    rng = np.random.default_rng(11)
    t1, b1 = rng.uniform(0.3, 3.0, 500), rng.uniform(0.7, 1.3, 500)
    flips = np.array([2.0, 5.0, 12.0, 20.0])
    signals = np.stack([spgr_signal(t1, np.radians(f) * b1, 0.0054, 1000.0) for f in flips])
    result = fit_vfa(signals, flips, 0.0054, b1=b1, method=method)
    assert result.valid.all()
    assert np.abs(result.t1_s / t1 - 1).max() < 1e-6
    assert np.abs(result.m0 / 1000 - 1).max() < 1e-6
    assert np.abs(fit_vfa(signals, flips, 0.0054, method=method).t1_s / t1 - 1).max() > 0.2


def test_t1_of_bad_voxels_is_not_measurable():
    signals = np.array([[100.0, 0, np.nan, 5, 100], [120, 100, 100, 5, 500]])
    result = fit_vfa(signals, [5, 15], 0.005)
    assert result.valid.tolist() == [True, False, False, False, False]
    assert np.isnan(result.t1_s[1:]).all()
