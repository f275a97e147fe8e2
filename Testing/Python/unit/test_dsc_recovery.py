"""First-pass numbers in closed form."""

import dsc_objects
import numpy as np
import pytest

from BMVascularCore.perfusion import recovery, relaxation

TIMES = np.arange(80) * 1.5


def series(minimum, tail, s0=1000.0):
    """Signal with a given baseline, minimum at 30 s, and level from 60 s on."""
    knots = ([0, 22, 30, 40, 60, 200], [s0, s0, minimum, tail, tail, tail])
    return np.interp(TIMES, *knots)


def read(signals, te_s=0.03):
    raw = np.stack(signals, axis=1)
    curves = relaxation.delta_r2s(raw, raw[:13].mean(axis=0), te_s)
    bolus = relaxation.find_bolus(curves[:, 0], TIMES)
    reader = recovery.FirstPassReader(bolus, TIMES, (bolus.start, len(TIMES)))
    return reader.read(np.arange(raw.shape[1]), raw, curves)


def test_percentage_of_signal_recovery():
    found = read([series(400, 940), series(400, 1090), series(600, 600.0), series(999.9999, 999.9999)])
    np.testing.assert_allclose(found.psr[:3], [90.0, 115.0, 0.0], atol=1e-6)


def test_a_drop_inside_the_noise_has_no_recovery():
    noise = np.random.default_rng(0).normal(0, 10, 80)
    found = read([series(400, 940), 1000 + noise])
    assert np.isfinite(found.psr[0])
    assert np.isnan(found.psr[1])


def test_peak_height_and_its_time():
    found = read([series(400, 940), series(700, 940)])
    np.testing.assert_allclose(found.peak, np.log(1000 / np.array([400, 700])) / 0.03, rtol=1e-6)
    np.testing.assert_allclose(found.peak_time_s, 30.0, atol=0.8)


def test_series_too_short_for_recovery_says_so():
    times = np.arange(26) * 1.5
    bolus = relaxation.find_bolus(dsc_objects.gamma_bolus(times, 15.0), times)
    frames, note = recovery.recovery_frames(times, bolus)
    assert frames is None
    assert "cannot be measured" in note


@pytest.mark.parametrize("end", [54, 60])
def test_shorter_series_use_their_tail_and_say_so(end):
    times = np.arange(0, end, 1.5)
    bolus = relaxation.find_bolus(dsc_objects.gamma_bolus(times, 15.0), times)
    frames, note = recovery.recovery_frames(times, bolus)
    assert frames.stop == len(times)
    assert "instead of 45 to 60 s" in note
