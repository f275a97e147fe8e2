"""T1 with B1 from inversion images, and T2* decay in the dynamic signal, against pulse-by-pulse simulation."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from dce_objects import convolve

from BMVascularCore.cli import main
from BMVascularCore.errors import InputError
from BMVascularCore.io import read_volume
from BMVascularCore.perfusion.concentration import signal_to_concentration
from BMVascularCore.perfusion.dce import DceSettings, run_dce
from BMVascularCore.perfusion.hifi import InversionTrain, fit_hifi
from BMVascularCore.perfusion.population_aif import georgiou, parker
from BMVascularCore.perfusion.t1 import spgr_signal
from BMVascularCore.volume import Geometry, Series

TRAIN = InversionTrain((0.2, 0.9), (5.0, 5.0), 120, 0.006, delay_s=0.3, centre=0.5)
FLIPS = np.array([2.0, 5.0, 12.0])


def inversion_by_pulses(t1, b1, ti, flip_deg, train):
    """Longitudinal magnetisation followed pulse by pulse until the cycles repeat; signed signal."""
    angle = np.radians(flip_deg) * b1
    mz = 1.0
    read = round(train.pulses * train.centre)
    for _ in range(60):
        mz = 1 + (-mz - 1) * np.exp(-ti / t1)
        for pulse in range(train.pulses):
            if pulse == read:
                signal = mz * np.sin(angle)
            mz = 1 + (mz * np.cos(angle) - 1) * np.exp(-train.echo_spacing_s / t1)
        mz = 1 + (mz - 1) * np.exp(-train.delay_s / t1)
    return signal


def images(t1, b1, m0=1000.0, flips=FLIPS):
    spgr = np.stack([spgr_signal(t1, np.radians(f) * b1, 0.006, m0) for f in flips])
    inversion = np.stack(
        [
            [abs(m0 * inversion_by_pulses(t, b, ti, f, TRAIN)) for t, b in zip(t1, b1, strict=True)]
            for ti, f in zip(TRAIN.inversion_s, TRAIN.flip_deg, strict=True)
        ]
    )
    return spgr, inversion


@pytest.mark.parametrize("flips", [FLIPS, FLIPS[2:]])
def test_t1_and_b1_come_back_together(flips):
    rng = np.random.default_rng(0)
    t1, b1 = rng.uniform(0.4, 3.0, 60), rng.uniform(0.75, 1.3, 60)
    spgr, inversion = images(t1, b1, flips=flips)
    result = fit_hifi(spgr, flips, 0.006, inversion, TRAIN)
    assert result.valid.all()
    assert np.abs(result.t1_s / t1 - 1).max() < 1e-5
    assert np.abs(result.b1 / b1 - 1).max() < 1e-5
    assert np.abs(result.m0 / 1000 - 1).max() < 1e-5


def test_known_b1_is_kept_and_errors_match_the_spread():
    n = 400
    t1, b1 = np.full(n, 1.3), np.full(n, 1.1)
    spgr, inversion = images(t1[:1], b1[:1])
    rng = np.random.default_rng(1)
    noisy = [np.repeat(part, n, axis=1) + rng.normal(0, 0.4, (len(part), n)) for part in (spgr, inversion)]
    for given in (None, b1):
        result = fit_hifi(noisy[0], FLIPS, 0.006, noisy[1], TRAIN, b1=given)
        assert np.sqrt(np.mean(result.se_t1_s**2)) / result.t1_s.std() == pytest.approx(1, abs=0.15)
        assert np.median(result.t1_s) == pytest.approx(1.3, rel=0.01)
    assert np.array_equal(result.b1, b1)


def test_bad_voxels_and_timings():
    spgr, inversion = images(np.full(5, 1.2), np.ones(5))
    spgr[0, 1], inversion[1, 2], spgr[:, 3] = np.nan, -1.0, 0.0
    result = fit_hifi(spgr, FLIPS, 0.006, inversion, TRAIN, mask=np.array([1, 1, 1, 1, 0]))
    assert result.valid.tolist() == [True, False, False, False, False]
    with pytest.raises(InputError, match="pulses"):
        fit_hifi(spgr, FLIPS, 0.006, inversion, InversionTrain((0.2, 0.9), (5, 5), 1, 0.006))
    with pytest.raises(InputError, match="unknowns"):
        fit_hifi(spgr[:1], FLIPS[:1], 0.006, inversion[:1], InversionTrain((0.2,), (5,), 99, 0.006))


def test_inversion_through_the_command(tmp_path):
    t1, b1 = np.linspace(0.6, 2.4, 24), np.linspace(1.2, 0.8, 24)
    spgr, inversion = images(t1, b1)
    call = ["t1map", "--tr", "6", "--out", str(tmp_path / "out"), "--quiet", "--ir-pulses", "120"]
    call += ["--ir-delay", "300", "--spgr"]
    for flip, values in zip(FLIPS, spgr, strict=True):
        path = tmp_path / f"fa{flip:g}.nii.gz"
        sitk.WriteImage(sitk.GetImageFromArray(values.reshape(2, 3, 4).astype(np.float32)), str(path))
        call.append(f"{path}:{flip:g}")
    call.append("--ir")
    for ti, values in zip((200, 900), inversion, strict=True):
        path = tmp_path / f"ti{ti}.nii.gz"
        sitk.WriteImage(sitk.GetImageFromArray(values.reshape(2, 3, 4).astype(np.float32)), str(path))
        call.append(f"{path}:{ti}:5")
    assert main(call) == 0
    for name, truth in (("t1", t1), ("b1", b1)):
        found = read_volume(tmp_path / "out" / f"{name}.nii.gz").array.ravel()
        assert np.abs(found / truth - 1).max() < 1e-3, name
    summary = json.loads((tmp_path / "out" / "t1map.json").read_text())
    assert summary["summary"]["method"] == "hifi"
    assert main([*call, "--overwrite", "--ir-pulses", "0"]) == 2
    assert main([*call[:-1], "ti900.nii.gz", "--overwrite"]) == 2


def test_decay_in_the_signal_is_taken_out():
    conc = np.linspace(-0.05, 8.0, 50)[None]
    tr, te, r1, r2s, t10, flip = 0.005, 0.002, 4.5, 8.0, 1.4, np.radians(15)

    def signal_of(c):
        return spgr_signal(1 / (1 / t10 + r1 * c), flip, tr, 700.0) * np.exp(-te * r2s * c)

    signal, base = signal_of(conc), signal_of(np.zeros((1, 1)))[0]
    found = signal_to_concentration(signal, base, t10, flip, tr, r1, te, r2s)
    assert np.abs(found - conc).max() < 1e-8
    plain = signal_to_concentration(signal, base, t10, flip, tr, r1)
    assert plain[0, -1] < 0.85 * 8.0
    # above the top of the signal curve no concentration explains the signal
    top = signal_of(np.linspace(0, 60, 6001)).max()
    high = signal_to_concentration(np.array([[top * 0.999, top * 1.001]]), base, t10, flip, tr, r1, te, r2s)
    assert np.isfinite(high[0, 0]) and np.isnan(high[0, 1])


@pytest.mark.parametrize(
    ("flip", "tr", "r1", "hematocrit", "function", "dt", "frames", "decay"),
    [
        (10, 0.0035, 3.2, 0.38, georgiou, 2.3, 140, (0.0, 0.0)),
        (25, 0.006, 5.5, 0.45, parker, 5.0, 70, (0.0, 0.0)),
        (12, 0.0028, 3.7, 0.42, parker, 1.5, 200, (0.0014, 8.0)),
    ],
)
@pytest.mark.parametrize("delayed", [False, True])
def test_other_protocols_and_curves(flip, tr, r1, hematocrit, function, dt, frames, decay, delayed):
    """Signals of other scanners and agents, made with convolutions of their own; noise-free, then noisy."""
    rng = np.random.default_rng(5)
    count, shape = 200, (1, 10, 20)
    fine = np.arange((frames - 1) * 10 + 1) * dt / 10
    blood = function((fine - 25) / 60) * 0.8
    ktrans = np.exp(rng.uniform(np.log(0.01), np.log(0.4), count))
    ve, vp, late = rng.uniform(0.1, 0.6, count), rng.uniform(0.01, 0.12, count), rng.uniform(0, 5, count)
    plasma = blood / (1 - hematocrit)
    conc = ktrans * convolve(plasma, fine / 60, ktrans / ve) + vp * plasma[:, None]
    if delayed:
        conc = np.stack([np.interp(fine - late[v], fine, conc[:, v], left=0) for v in range(count)], axis=1)
    conc, t1 = conc[::10], np.exp(rng.normal(np.log(1.2), 0.25, count))
    signal = spgr_signal(1 / (1 / t1 + r1 * conc), np.radians(flip), tr, 1e4)
    signal *= np.exp(-decay[0] * decay[1] * conc)
    settings = DceSettings(
        tr_s=tr, flip_deg=flip, relaxivity=r1, hematocrit=hematocrit, fit_delay=delayed,
        te_s=decay[0] or None, r2s_relaxivity=decay[1], baseline=(0, max(3, int(24 // dt))),
    )  # fmt: skip
    times = np.arange(frames) * dt
    for noise, limit in ((0.0, 1e-3), (signal[0].mean() / 60, 0.02)):
        array = signal + rng.normal(0, 1, signal.shape) * noise
        series = Series(array.reshape(frames, *shape).astype(np.float32), times, Geometry(shape))
        whole = np.ones(shape, bool)
        result = run_dce(series, settings, t1_s=t1.reshape(shape), mask=whole, aif=(fine, blood))
        assert result.valid.all()
        for name, true in (("ktrans", ktrans), ("ve", ve), ("vp", vp)):
            assert np.median(np.abs(result.maps[name].ravel() / true - 1)) < limit + 0.5 * limit * (
                name == "ve"
            )
        if delayed:
            assert np.median(np.abs(result.maps["delay"].ravel() - late)) < 0.1
