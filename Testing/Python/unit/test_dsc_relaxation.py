"""dR2*, integrals and bolus detection."""

import dsc_objects
import numpy as np
import pytest

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion import relaxation


def test_signal_of_known_relaxation_comes_back():
    rates = np.array([[0.0, 0.0], [3.0, -1.5], [12.0, 0.2]])
    signal = 800.0 * np.exp(-0.03 * rates)
    np.testing.assert_allclose(relaxation.delta_r2s(signal, np.full(2, 800.0), 0.03), rates, atol=1e-12)


def test_negative_values_are_kept_and_bad_signal_is_finite_or_nan():
    signal = np.array([[100.0, 100.0, 0.0], [110.0, -5.0, 0.0]])
    r2s = relaxation.delta_r2s(signal, np.array([100.0, 100.0, 0.0]), 0.03)
    assert r2s[1, 0] < 0
    assert r2s[1, 1] == pytest.approx(np.log(100.0) / 0.03)
    assert np.isnan(r2s[:, 2]).all()


def test_two_echoes_remove_t1_effects():
    rates = np.array([0.0, 4.0, 9.0])[:, None]
    weight = np.array([1.0, 1.3, 1.5])[:, None]
    first, second = 500 * weight * np.exp(-0.01 * rates), 400 * weight * np.exp(-0.035 * rates)
    r2s = relaxation.delta_r2s_dual(first, second, np.array([500.0]), np.array([400.0]), 0.01, 0.035)
    np.testing.assert_allclose(r2s, rates, atol=1e-12)


def test_integrals_on_uneven_times():
    times = np.array([0.0, 1.0, 2.5, 3.0, 5.0])
    line = 2.0 * times + 1.0
    np.testing.assert_allclose(relaxation.running_integral(line, times), times**2 + times, atol=1e-12)
    weights = relaxation.trapezoid_weights(times, 1, 4)
    assert weights @ line == pytest.approx((9.0 + 3.0) - (1.0 + 1.0))
    assert weights[0] == weights[4] == 0.0


@pytest.mark.parametrize("dt", [0.8, 1.5, 2.2])
@pytest.mark.parametrize("start", [14.0, 25.0])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_arrival_and_peak_are_found(dt, start, noise):
    times = np.arange(int(90 / dt)) * dt
    random = np.random.default_rng(3)
    curve = dsc_objects.gamma_bolus(times, start) + random.normal(0, noise, len(times))
    bolus = relaxation.find_bolus(curve, times)
    assert times[bolus.arrival] == pytest.approx(start, abs=1.6 * dt)
    assert times[bolus.peak] == pytest.approx(start + 4.5, abs=1.2 * dt)
    assert times[bolus.baseline.stop - 1] <= start + dt
    assert not bolus.cut_off


def test_approach_to_steady_state_is_dropped():
    times = np.arange(60) * 1.5
    signal = 1000 * np.exp(-0.3 * dsc_objects.gamma_bolus(times, 20.0))
    signal[:4] *= np.array([1.8, 1.4, 1.15, 1.05])
    bolus = relaxation.find_bolus(-np.log(signal), times)
    assert bolus.skip >= 3
    assert bolus.baseline.start == bolus.skip


def test_given_baseline_is_used_as_written():
    times = np.arange(60) * 1.5
    bolus = relaxation.find_bolus(dsc_objects.gamma_bolus(times, 20.0), times, baseline=(3, 9))
    assert (bolus.baseline.start, bolus.baseline.stop) == (3, 9)


def test_a_bolus_that_is_cut_off_is_marked():
    times = np.arange(18) * 1.5
    bolus = relaxation.find_bolus(dsc_objects.gamma_bolus(times, 15.0, beta_s=2.5), times)
    assert bolus.cut_off


@pytest.mark.parametrize(
    ("curve", "part"),
    [
        (np.random.default_rng(0).normal(0, 1, 60), "bolus"),
        (np.linspace(0, 1, 60), "last frames"),
        (np.zeros(60), "bolus"),
        (np.r_[np.zeros(20), np.full(40, np.nan)], "not finite"),
        (np.zeros(5), "at least 8"),
        (np.exp(-np.arange(60) / 5.0), "no bolus"),
    ],
    ids=["noise", "rising", "flat", "nan", "short", "falling"],
)
def test_curves_without_usable_bolus_are_refused(curve, part):
    with pytest.raises(InputError, match=part):
        relaxation.find_bolus(curve, np.arange(len(curve)) * 1.5)


@pytest.mark.parametrize("baseline", [(0, 30), (5, 5), (-1, 4), (50, 70)])
def test_impossible_baselines_are_refused(baseline):
    times = np.arange(60) * 1.5
    with pytest.raises(InputError):
        relaxation.find_bolus(dsc_objects.gamma_bolus(times, 20.0), times, baseline=baseline)
