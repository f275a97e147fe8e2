"""Deconvolution against the explicit singular value decomposition and known residue functions."""

import dsc_objects
import numpy as np
import pytest

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion import deconvolution
from BMVascularCore.perfusion.deconvolution import Deconvolver


def circulant_residues(curves, aif, dt, threshold):
    """Explicit block-circulant SVD with a singular-value threshold: the textbook way."""
    n = 2 * len(aif)
    padded = np.r_[aif, np.zeros(len(aif))]
    matrix = dt * np.stack([np.roll(padded, shift) for shift in range(n)], axis=1)
    left, size, right = np.linalg.svd(matrix)
    keep = size >= threshold * size[0] * (1 - 1e-12)
    inverse = np.where(keep, 1.0 / np.where(size > 1e-12 * size[0], size, np.inf), 0.0)
    return np.pad(curves, ((0, 0), (0, n // 2))) @ left * inverse @ right


def explicit_osvd(curve, aif, dt, limit=0.035):
    """oSVD of one curve: thresholds from below until the oscillation index is met."""
    for threshold in deconvolution.OSVD_THRESHOLDS:
        residue = circulant_residues(curve[None], aif, dt, threshold)[0]
        oscillation = (
            np.abs(residue[2:] - 2 * residue[1:-1] + residue[:-2]).sum() / len(residue) / residue.max()
        )
        if oscillation < limit:
            break
    return residue, threshold


@pytest.fixture(scope="module")
def objects():
    return {snr: dsc_objects.deconvolution_object(400, snr) for snr in (np.inf, 50.0)}


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.2])
def test_fourier_equals_explicit_block_circulant_svd(objects, threshold):
    dro = objects[50.0]
    ours = Deconvolver(dro["aif"], 1.5, "csvd", threshold).residues(dro["curves"][:50])[0]
    theirs = circulant_residues(dro["curves"][:50], dro["aif"], 1.5, threshold)
    assert np.abs(ours - theirs).max() <= 1e-10 * np.abs(theirs).max()


def test_osvd_equals_the_explicit_search(objects):
    dro = objects[50.0]
    ours, threshold = Deconvolver(dro["aif"], 1.5, "osvd").residues(dro["curves"][:40])
    same = 0
    for v in range(40):
        residue, expected = explicit_osvd(dro["curves"][v], dro["aif"], 1.5)
        if threshold[v] == pytest.approx(expected):
            same += 1
            assert np.abs(ours[v] - residue).max() <= 1e-10 * np.abs(residue).max()
    assert same == 40


def test_ssvd_equals_the_explicit_lower_triangular_inverse(objects):
    dro = objects[50.0]
    n = len(dro["aif"])
    matrix = np.zeros((n, n))
    for row in range(n):
        matrix[row, : row + 1] = dro["aif"][row::-1] * 1.5
    inverse = np.linalg.pinv(matrix, rcond=0.2)
    ours = Deconvolver(dro["aif"], 1.5, "ssvd").residues(dro["curves"][:20])[0]
    np.testing.assert_allclose(ours, dro["curves"][:20] @ inverse.T, atol=1e-10 * np.abs(inverse).max())


@pytest.mark.parametrize("method", ["osvd", "csvd"])
def test_flow_does_not_depend_on_the_delay(method):
    times = np.arange(60) * 1.5
    random = np.random.default_rng(7)

    def aif(t):
        return dsc_objects.gamma_bolus(t, 15.0)

    heights, delays = [], np.array([-3.0, -1.5, 0.0, 1.5, 3.0, 4.5])
    for delay in delays:
        clean = np.stack([dsc_objects.exponential_tissue(times, aif, m, delay) for m in (4.0, 6.0, 9.0)])
        noisy = np.repeat(clean, 300, axis=0)
        noisy = noisy + random.normal(0, 1, noisy.shape) * noisy.max(axis=1, keepdims=True) / 50.0
        found = Deconvolver(aif(times), 1.5, method).measure(noisy).height_per_s.reshape(3, 300)
        heights.append(np.median(found, axis=1))
    change = np.max(heights, axis=0) / np.min(heights, axis=0) - 1
    assert change.max() <= 0.04


@pytest.mark.parametrize("method", ["osvd", "csvd"])
def test_tmax_follows_the_delay_and_may_be_negative(objects, method):
    dro = objects[50.0]
    residue = Deconvolver(dro["aif"], 1.5, method).measure(dro["curves"])
    slope = np.polyfit(dro["delay_s"], residue.tmax_s, 1)[0]
    assert slope == pytest.approx(1.0, abs=0.05)
    assert np.median(residue.tmax_s[(dro["delay_s"] < -2.5) & (dro["mtt_s"] < 6)]) < 0.0
    assert np.corrcoef(residue.height_per_s, dro["cbf_per_s"])[0, 1] > 0.93


def test_delay_matters_to_standard_svd(objects):
    dro = objects[np.inf]
    residue = Deconvolver(dro["aif"], 1.5, "ssvd").measure(dro["curves"])
    ratio = residue.height_per_s / dro["cbf_per_s"]
    late, early = dro["delay_s"] > 4, dro["delay_s"] < -2
    assert np.median(ratio[late]) / np.median(ratio[early]) < 0.8


def test_area_of_the_residue_is_the_blood_volume(objects):
    dro = objects[np.inf]
    residues, _ = Deconvolver(dro["aif"], 1.5, "csvd").residues(dro["curves"])
    area = residues.sum(axis=1) * 1.5
    ratio = dro["curves"].sum(axis=1) / dro["aif"].sum()
    np.testing.assert_allclose(area, ratio, rtol=1e-9)


def test_single_precision_agrees_with_double(objects):
    dro = objects[50.0]
    for method in ("osvd", "csvd", "ssvd"):
        solver = Deconvolver(dro["aif"], 1.5, method)
        exact, quick = solver.measure(dro["curves"]), solver.measure(dro["curves"].astype(np.float32))
        assert quick.curves.dtype == np.float32
        same = exact.threshold == quick.threshold
        assert same.mean() > 0.99
        np.testing.assert_allclose(quick.height_per_s[same], exact.height_per_s[same], rtol=1e-4)


@pytest.mark.parametrize("aif", [np.zeros(60), -np.ones(60), np.full(60, np.nan)], ids=["zero", "neg", "nan"])
def test_useless_arterial_input_is_refused(aif):
    with pytest.raises(InputError, match="no positive area"):
        Deconvolver(aif, 1.5)


def test_nan_and_empty_curves_do_not_hang():
    aif = dsc_objects.gamma_bolus(np.arange(60) * 1.5, 15.0)
    curves = np.stack([aif, np.full(60, np.nan), np.zeros(60), -aif])
    residue = Deconvolver(aif, 1.5, "osvd").measure(curves)
    assert np.isnan(residue.height_per_s[1])
    assert residue.height_per_s[0] > 0


def test_uneven_frames_are_seen_and_resampled():
    times = np.array([0.0, 1.5, 3.0, 5.0, 6.0])
    dt, even = deconvolution.even_times(times)
    assert not even
    line, dt = deconvolution.resample_even(np.stack([times, 2 * times], axis=1), times)
    np.testing.assert_allclose(line[:, 1], 2 * np.arange(len(line)) * dt)
    assert dt == pytest.approx(1.0)
