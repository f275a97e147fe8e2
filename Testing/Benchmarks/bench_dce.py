"""Speed and accuracy of the DCE fits beside peers run in the same process, one thread.

    python Testing/Benchmarks/bench_dce.py

Timings on a shared machine are noisy: the ratio to the peer is the figure that counts. Every curve is
simulated here, so the truth is known.
"""

# ruff: noqa: E402, I001 - threads are fixed before numpy loads
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import sys
import time
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "BMVascular"))

import numpy as np
from BMVascularCore.perfusion.convolution import PlasmaCurve
from BMVascularCore.perfusion.kinetics import KineticFitter
from BMVascularCore.perfusion.nonlinear import CurveModel
from BMVascularCore.perfusion.population_aif import plasma_curve
from BMVascularCore.perfusion.t1 import fit_vfa, spgr_signal
from scipy.optimize import curve_fit
from scipy.signal import lfilter

TIMES_S = np.arange(80) * 3.75
PLASMA = plasma_curve("parker", TIMES_S, 20.0)
CURVE = PlasmaCurve(TIMES_S / 60, PLASMA)
AREA = CURVE.integral(TIMES_S / 60)
STARTS = {"patlak": [0.1, 0.02], "etofts": [0.5, 0.2, 0.02], "2cxm": [0.2, 0.1, 0.2, 0.05]}


def simulate(name, n, delay=False, seed=0, noise_mM=0.01):
    """Noisy curves and the true parameters, as bounded by the model."""
    rng = np.random.default_rng(seed)
    ve, vp = rng.uniform(0.1, 0.6, n), rng.uniform(0.005, 0.12, n)
    ktrans = rng.uniform(0.01, 0.4, n)
    theta = {
        "patlak": [ktrans, vp],
        "etofts": [ktrans / ve, ve, vp],
        "2cxm": [rng.uniform(0.1, 1, n), rng.uniform(0.02, 0.3, n), ve, np.maximum(vp, 0.02)],
    }[name]
    model = CurveModel(name, CURVE, TIMES_S / 60, np.array([-1.0, 1.0]))
    late = rng.uniform(0, 6, n) / 60 if delay else np.zeros(n)
    theta = np.column_stack([*theta, late])
    return model.evaluate(theta)[0] + rng.normal(0, noise_mM, (n, len(TIMES_S))), theta


def seconds_of(work, at_least_s=0.5):
    """Shortest of a few runs."""
    best, spent = np.inf, 0.0
    while spent < at_least_s:
        start = time.perf_counter()
        work()
        taken = time.perf_counter() - start
        best, spent = min(best, taken), spent + taken
    return best


def error_of(fit, name, theta):
    """Median relative error of Ktrans (PS for the exchange model)."""
    if name == "2cxm":
        return np.median(np.abs(fit["ps"] / theta[: len(fit["ps"]), 1] - 1))
    true = theta[:, 0] if name == "patlak" else theta[:, 0] * theta[:, 1]
    return np.median(np.abs(fit["ktrans"] / true[: len(fit["ktrans"])] - 1))


def convolve(plasma, rate):
    """Exact convolution on the even grid by a compiled recursive filter (as lean as a peer can be)."""
    step = TIMES_S[1] / 60
    decay = np.exp(-rate * step)
    whole = (1 - decay) / rate
    end = (1 - whole / step) / rate
    return lfilter([end, whole - end], [1, -decay], plasma)


def lean_curve(name, values, delay):
    """One model curve for the per-voxel peer."""
    plasma = np.interp(TIMES_S / 60 - values[-1], TIMES_S / 60, PLASMA, left=0) if delay else PLASMA
    if name == "patlak":
        return values[0] * AREA + values[1] * plasma
    if name == "etofts":
        kep, ve, vp = values[:3]
        return kep * ve * convolve(plasma, kep) + vp * plasma
    flow, ps, ve, vp = values[:4]
    total, mean = (flow + ps) / vp + ps / ve, vp / flow
    root = np.sqrt(total**2 - 4 * ps / ve / mean)
    fast = 0.5 * (total + root)
    slow = ps / ve / mean / fast
    share = (fast - 1 / mean) / root
    return flow * ((1 - share) * convolve(plasma, fast) + share * convolve(plasma, slow))


def scipy_fit(name, curves, delay):
    """scipy.optimize.curve_fit for each voxel on the same exact model."""
    model = CurveModel(name, CURVE, TIMES_S / 60, np.array([-3 / 60, 10 / 60]) if delay else None)
    start = STARTS[name] + ([0.02] if delay else [])

    def function(_, *values):
        return lean_curve(name, values, delay)

    found = []
    begin = time.perf_counter()
    for curve in curves:
        values, _ = curve_fit(function, TIMES_S, curve, start, bounds=(model.lower, model.upper))
        found.append(values)
    seconds = time.perf_counter() - begin
    found = np.array(found)
    rss = ((model.evaluate(found)[0] - curves) ** 2).sum(axis=1)
    if name == "2cxm":
        return seconds, {"ps": found[:, 1]}, rss
    return seconds, {"ktrans": found[:, 0] * (found[:, 1] if name == "etofts" else 1)}, rss


def kinetics_rows():
    """Table rows of the kinetic models, as they are ready."""
    for name, n, peers, delay in (
        ("patlak", 100000, 200, False),
        ("etofts", 40960, 200, False),
        ("etofts", 4096, 40, True),
        ("2cxm", 4096, 40, False),
    ):
        curves, theta = simulate(name, n, delay)
        fitter = KineticFitter(TIMES_S, PLASMA, TIMES_S, name, delay)
        fitter.fit(curves[:100])
        rate = n / seconds_of(lambda fitter=fitter, curves=curves: fitter.fit(curves))
        fit = fitter.fit(curves)
        peer_s, peer_fit, peer_rss = scipy_fit(name, curves[:peers], delay)
        excess = fit["rss"][:peers] / peer_rss - 1
        yield (
            name + (" + delay" if delay else ""),
            rate,
            error_of(fit, name, theta),
            peers / peer_s,
            error_of(peer_fit, name, theta),
            f"residual <= SciPy's + 1e-6 in {100 * np.mean(excess < 1e-6):.1f} %",
        )


def t1_rows():
    """Table rows of T1 mapping, linear and non-linear."""
    rng = np.random.default_rng(1)
    flips, tr, n = np.array([2.0, 5.0, 12.0]), 0.0054, 200000
    t1 = rng.uniform(0.5, 2.5, n)
    signals = np.stack([spgr_signal(t1, np.radians(f), tr, 1e4) + rng.normal(0, 2, n) for f in flips])
    x = np.radians(flips)

    def function(_, value, m0):
        return spgr_signal(value, x, tr, m0)

    begin = time.perf_counter()
    found = [curve_fit(function, x, signals[:, i], [1.0, 1e4])[0][0] for i in range(100)]
    peer = 100 / (time.perf_counter() - begin)
    peer_error = np.median(np.abs(np.array(found) / t1[:100] - 1))
    for method in ("linear", "nonlinear"):
        rate = n / seconds_of(lambda method=method: fit_vfa(signals, flips, tr, method=method))
        error = np.nanmedian(np.abs(fit_vfa(signals, flips, tr, method=method).t1_s / t1 - 1))
        yield f"T1 {method}", rate, error, peer, peer_error, ""


def memory_limits():
    """What the machine gives: float64 matrix product and one pass over memory."""
    a, b = np.ones((4096, 80)), np.ones((80, 27))
    product = 2 * 4096 * 80 * 27 / seconds_of(lambda: a @ b, 0.2) / 1e9
    big = np.ones(8_000_000, np.float32)
    copy = 2 * big.nbytes / seconds_of(big.copy, 0.2) / 1e9
    return product, copy


def main():
    """Print the table."""
    print(f"{'fit':16}{'ours vox/s':>12}{'error':>9}{'SciPy vox/s':>13}{'error':>9}{'ratio':>9}  ")
    rates = {}
    for name, rate, error, peer, peer_error, note in chain(kinetics_rows(), t1_rows()):
        rates[name] = rate
        ours, theirs = f"{rate:12.0f}{100 * error:8.2f}%", f"{peer:13.0f}{100 * peer_error:8.2f}%"
        print(f"{name:16}{ours}{theirs}{rate / peer:8.0f}x  {note}", flush=True)
    product, copy = memory_limits()
    bound = product * 1e9 / (2 * 80 * 27)
    print(f"limits here: {product:.0f} GFlop/s (thin float64 product), {copy:.1f} GB/s copy.")
    print(
        f"Extended Tofts: one 80x27 product a voxel ({bound / 1e6:.1f} M voxels/s); it runs at "
        f"{100 * rates['etofts'] / bound:.0f} % of that, bound by the element-wise root search. Bounds of "
        "the others: delay, exact convolutions at each voxel's own delay; exchange, interpolation and small "
        "solves; T1, exponentials; Patlak, memory."
    )


if __name__ == "__main__":
    main()
