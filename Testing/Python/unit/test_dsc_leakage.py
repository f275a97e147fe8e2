"""Leakage correction against closed forms and against a physical reference object."""

import dsc_objects
import numpy as np
import pytest
from scipy import signal

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion import leakage, relaxation

TIMES = np.arange(80) * 1.5
REFERENCE = 8.0 * dsc_objects.gamma_bolus(TIMES, 20.0)


def fine_integral(kep, times=TIMES):
    """The convolution by brute force: the piecewise-linear reference on a 400 times finer grid."""
    grid = np.linspace(0, times[-1], 400 * (len(times) - 1) + 1)
    curve = np.interp(grid, times, 8.0 * dsc_objects.gamma_bolus(times, 20.0))
    step = grid[1] - grid[0]
    kernel = np.exp(-kep * grid)
    full = signal.fftconvolve(curve, kernel)[: len(grid)] * step - 0.5 * step * (
        curve * kernel[0] + curve[0] * kernel
    )
    return np.interp(times, grid, full)


@pytest.mark.parametrize("kep", [0.0, 1e-5, 0.004, 0.05, 0.2, 2.0])
def test_exponential_integral_is_exact_for_piecewise_linear_curves(kep):
    ours = leakage.exponential_integral(REFERENCE, TIMES, kep)[:, 0]
    np.testing.assert_allclose(ours, fine_integral(kep), rtol=2e-5, atol=1e-4)


def test_exponential_integral_without_washout_is_the_running_integral():
    uneven = np.cumsum(np.r_[0, np.random.default_rng(1).uniform(0.5, 3.0, 59)])
    curve = dsc_objects.gamma_bolus(uneven, 20.0)
    ours = leakage.exponential_integral(curve, uneven, 0.0)[:, 0]
    np.testing.assert_allclose(ours, relaxation.running_integral(curve, uneven), rtol=1e-12)


@pytest.mark.parametrize("method", ["bsw", "bidirectional", "auto"])
def test_curves_of_the_unidirectional_model_come_back(method):
    random = np.random.default_rng(0)
    k1, k2 = random.uniform(0.3, 4.0, 500), random.uniform(-0.03, 0.03, 500)
    curves = REFERENCE[:, None] * k1 - relaxation.running_integral(REFERENCE, TIMES)[:, None] * k2
    model = leakage.LeakageModel(REFERENCE, TIMES, method)
    fit = model.fit(curves)
    np.testing.assert_allclose(fit.k1, k1, rtol=1e-6)
    np.testing.assert_allclose(fit.k2, k2, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(curves + model.leakage_term(fit), REFERENCE[:, None] * k1, atol=1e-5)


def test_curves_of_the_bidirectional_model_come_back():
    random = np.random.default_rng(0)
    n = 500
    k1, k2, kep = (
        random.uniform(0.5, 3, n),
        random.choice([-1, 1], n) * random.uniform(0.005, 0.05, n),
        (np.exp(random.uniform(np.log(2e-3), np.log(0.1), n))),
    )
    term = np.stack([fine_integral(k) for k in kep[:40]], axis=1)
    curves = REFERENCE[:, None] * k1[:40] - term * k2[:40]
    model = leakage.LeakageModel(REFERENCE, TIMES, "bidirectional")
    fit = model.fit(curves)
    np.testing.assert_allclose(fit.k1, k1[:40], rtol=2e-3)
    np.testing.assert_allclose(fit.k2, k2[:40], rtol=5e-3)
    np.testing.assert_allclose(fit.kep, kep[:40], rtol=2e-2)
    weights = relaxation.trapezoid_weights(TIMES)
    np.testing.assert_allclose(
        weights @ curves + fit.k2 * fit.area_per_k2, weights @ (REFERENCE[:, None] * k1[:40]), rtol=2e-3
    )


@pytest.mark.parametrize("kep", [0.0, 0.008])
def test_stated_error_of_k2_is_the_scatter_of_repeats(kep):
    random = np.random.default_rng(5)
    clean = 1.5 * REFERENCE - 0.01 * fine_integral(kep)
    curves = clean[:, None] + random.normal(0, 0.3, (80, 4000))
    method = "bsw" if kep == 0 else "bidirectional"
    fit = leakage.LeakageModel(REFERENCE, TIMES, method).fit(curves)
    stated = np.median(fit.k2_cv * np.abs(fit.k2))
    assert stated == pytest.approx(fit.k2.std(), rel=0.1 if kep == 0 else 0.35)


def test_rss_is_never_above_that_of_the_simpler_model():
    random = np.random.default_rng(2)
    curves = REFERENCE[:, None] * random.uniform(0.5, 2, 300) + random.normal(0, 0.5, (80, 300))
    bsw = leakage.LeakageModel(REFERENCE, TIMES, "bsw").fit(curves)
    both = leakage.LeakageModel(REFERENCE, TIMES, "bidirectional").fit(curves)
    assert (both.rss <= bsw.rss * (1 + 1e-9)).all()
    design = np.stack([REFERENCE, -relaxation.running_integral(REFERENCE, TIMES)], axis=1)
    solution, rss, *_ = np.linalg.lstsq(design, curves, rcond=None)
    np.testing.assert_allclose(bsw.rss, rss, rtol=1e-9)
    np.testing.assert_allclose(bsw.k2, solution[1], rtol=1e-8)


def test_choice_follows_the_truth():
    random = np.random.default_rng(4)
    noise = random.normal(0, 0.2, (80, 400))
    plain = 1.5 * REFERENCE - 0.004 * fine_integral(0.0)
    washout = 1.5 * REFERENCE - 0.02 * fine_integral(0.02)
    model = leakage.LeakageModel(REFERENCE, TIMES, "auto")
    assert (model.fit(plain[:, None] + noise).model == leakage.MODEL_BSW).mean() > 0.8
    assert (model.fit(washout[:, None] + noise).model == leakage.MODEL_BIDIRECTIONAL).mean() > 0.95


def test_aicc_matches_its_definition_and_refuses_too_few_samples():
    assert leakage.aicc(2.0, 20, 2) == pytest.approx(20 * np.log(0.1) + 6 + 24 / 16)
    assert np.isinf(leakage.aicc(np.array([2.0]), 5, 3)).all()


@pytest.mark.parametrize(
    ("flip", "preload", "sign", "gates"),
    [
        (60, 0.0, 1, {"bsw": 0.98, "bidirectional": 0.98, "auto": 0.98}),
        (60, 0.3, -1, {"bsw": 0.92, "bidirectional": 0.93, "auto": 0.93}),
        (30, 0.0, -1, {"bsw": 0.99, "bidirectional": 0.995, "auto": 0.995}),
    ],
    ids=["fa60", "fa60_preload", "fa30"],
)
def test_blood_volume_of_leaking_tumour_is_restored(flip, preload, sign, gates):
    dro = dsc_objects.leakage_object(flip, preload)
    times, kind = dro["times_s"], dro["kind"]
    curves = relaxation.delta_r2s(dro["signal"], dro["signal"][2:13].mean(axis=0), dro["te_s"])
    reference = curves[:, kind < 2].mean(axis=1)
    weights = relaxation.trapezoid_weights(times, 12)
    tumour, white = kind == 2, kind == 0
    true = dro["vp"] / dro["vp"][white].mean()
    raw = weights @ curves
    before = dsc_objects.concordance(raw[tumour] / raw[white].mean(), true[tumour])
    for method, gate in gates.items():
        model = leakage.LeakageModel(reference, times, method, 2, (12, len(times)))
        fit = model.fit(curves)
        volume = raw + fit.k2 * fit.area_per_k2
        found = dsc_objects.concordance(volume[tumour] / volume[white].mean(), true[tumour])
        assert found > max(gate, before), (method, found, before)
        assert np.sign(np.median(fit.k2[tumour])) == sign


def test_flat_reference_short_series_and_unknown_method_are_refused():
    with pytest.raises(InputError, match="flat"):
        leakage.LeakageModel(np.zeros(80), TIMES)
    with pytest.raises(InputError, match="too few"):
        leakage.LeakageModel(REFERENCE[:5], TIMES[:5])
    with pytest.raises(InputError, match="unknown"):
        leakage.LeakageModel(REFERENCE, TIMES, "leu")


def test_nan_curves_give_nan_and_do_not_spoil_neighbours():
    curves = np.stack([REFERENCE, np.full(80, np.nan), 2 * REFERENCE], axis=1)
    for method in ("bsw", "bidirectional", "auto"):
        fit = leakage.LeakageModel(REFERENCE, TIMES, method).fit(curves)
        assert np.isnan(fit.k2[1])
        np.testing.assert_allclose(fit.k1[[0, 2]], [1.0, 2.0], rtol=1e-6)
