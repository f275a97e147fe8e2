"""Speed and accuracy of the DCE fits beside peers run in the same process, one thread.

    python Testing/Benchmarks/bench_dce.py

Prints Markdown. Times are those of the processor; on a shared machine they are noisy, the ratio to the peer is
the figure that counts. Every curve is simulated here, so the truth is known. Peers that are not installed are
left out (see ``perfusion_peers.py``).
"""

# ruff: noqa: E402, I001 - threads are fixed before numpy loads
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import sys
import time
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "BMVascular"), str(ROOT / "Testing" / "Python"), str(Path(__file__).parent)]

import numpy as np
import perfusion_peers as peers
from BMVascularCore.perfusion.convolution import PlasmaCurve
from BMVascularCore.perfusion.kinetics import KineticFitter
from BMVascularCore.perfusion.nonlinear import CurveModel
from BMVascularCore.perfusion.population_aif import plasma_curve
from BMVascularCore.perfusion.t1 import fit_vfa, spgr_signal
from dce_objects import reference_optimum
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
    """Shortest of a few runs, seconds of the processor."""
    best, spent = np.inf, 0.0
    while spent < at_least_s:
        start = time.process_time()
        work()
        taken = time.process_time() - start
        best, spent = min(best, taken), spent + taken
    return best


def accuracy(fit, name, theta):
    """Median and 95th percentile of the relative error of Ktrans (PS for the exchange model), and of vp."""
    key = "ps" if name == "2cxm" else "ktrans"
    true = {"patlak": theta[:, 0], "etofts": theta[:, 0] * theta[:, 1], "2cxm": theta[:, 1]}[name]
    volume = theta[:, {"patlak": 1, "etofts": 2, "2cxm": 3}[name]]
    error = np.abs(fit[key] / true[: len(fit[key])] - 1)
    shift = np.abs(fit["vp"] - volume[: len(fit["vp"])]) if "vp" in fit else np.array([np.nan])
    lost = np.mean(~np.isfinite(error))
    text = f"{100 * np.nanmedian(error):.2f} % | {100 * np.nanquantile(error, 0.95):.1f} % | {np.nanmedian(shift):.4f}"
    return text + (f" ({100 * lost:.0f} % failed)" if lost > 0.005 else "")


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
    begin = time.process_time()
    for curve in curves:
        values, _ = curve_fit(function, TIMES_S, curve, start, bounds=(model.lower, model.upper))
        found.append(values)
    seconds = time.process_time() - begin
    found = np.array(found)
    rss = ((model.evaluate(found)[0] - curves) ** 2).sum(axis=1)
    column = {"patlak": 1, "etofts": 2, "2cxm": 3}[name]
    fit = {"vp": found[:, column], "rss": rss}
    if name == "2cxm":
        return seconds, {**fit, "ps": found[:, 1]}
    return seconds, {**fit, "ktrans": found[:, 0] * (found[:, 1] if name == "etofts" else 1)}


def peers_of(name, curves, delay):
    """Peers that are installed: label, voxels, and what they found."""
    count = 40 if delay or name == "2cxm" else 200
    yield "SciPy curve_fit per voxel", count, scipy_fit(name, curves[:count], delay)
    count = {"patlak": 20000, "2cxm": 1000}.get(name, 500 if delay else 4000)
    yield "osipy, vectorised", count, peers.osipy_fit(name, curves[:count], PLASMA, TIMES_S, delay)
    if delay:
        return
    yield "QbiPy, linear per voxel", 500, peers.qbipy_fit(name, curves[:500], PLASMA, TIMES_S)
    yield "dcmri, signal fit per voxel", 20, peers.dcmri_fit(name, curves[:20], PLASMA, TIMES_S)


def kinetics_rows(rates):
    """Table rows of the kinetic models, as they are ready."""
    for name, n, delay in (
        ("etofts", 40960, False),
        ("etofts", 8192, True),
        ("patlak", 200000, False),
        ("2cxm", 8192, False),
    ):
        curves, theta = simulate(name, n, delay)
        fitter = KineticFitter(TIMES_S, PLASMA, TIMES_S, name, delay)
        fitter.fit(curves[:100])
        rate = n / seconds_of(lambda fitter=fitter, curves=curves: fitter.fit(curves))
        fit = fitter.fit(curves)
        label = name + (" + delay" if delay else "")
        rates[label] = rate
        yield f"| {label} | **BMVascular** | {rate:,.0f} | | {accuracy(fit, name, theta)} | |"
        for peer, count, answer in peers_of(name, curves, delay):
            if answer is None:
                continue
            seconds, found = answer
            note = ""
            if "rss" in found:
                share = np.mean(fit["rss"][:count] <= found["rss"] * (1 + 1e-6))
                note = f"our residual <= theirs (1 + 1e-6) in {100 * share:.1f} %"
            speed = count / seconds
            yield f"| | {peer} | {speed:,.0f} | {rate / speed:,.0f}x | {accuracy(found, name, theta)} | {note} |"


def optimum_row(count=4000):
    """How often the residual reaches the optimum that a slow independent search finds."""
    parts = []
    for noise in (0.001, 0.01, 0.05):
        curves, _ = simulate("etofts", count, noise_mM=noise, seed=3)
        best = reference_optimum(TIMES_S, PLASMA, curves)["rss"]
        rss = KineticFitter(TIMES_S, PLASMA, TIMES_S, "etofts").fit(curves)["rss"]
        parts.append(f"{100 * np.mean(rss <= best * (1 + 1e-6)):.2f} % at {noise:g} mM")
    return f"Residual within 1e-6 of the global optimum, {count} voxels each: {', '.join(parts)}."


def t1_rows():
    """Table rows of T1 mapping, linear and non-linear."""
    rng = np.random.default_rng(1)
    flips, tr, n = np.array([2.0, 5.0, 12.0]), 0.0054, 200000
    t1 = rng.uniform(0.5, 2.5, n)
    signals = np.stack([spgr_signal(t1, np.radians(f), tr, 1e4) + rng.normal(0, 2, n) for f in flips])
    x = np.radians(flips)

    def function(_, value, m0):
        return spgr_signal(value, x, tr, m0)

    def row(first, code, rate, ours, found):
        error = np.abs(found / t1[: len(found)] - 1)
        ratio = "" if ours is None else f"{ours / rate:,.1f}x"
        middle, high = np.nanmedian(error), np.nanquantile(error, 0.95)
        return f"| {first} | {code} | {rate:,.0f} | {ratio} | {100 * middle:.2f} % | {100 * high:.1f} % | | |"

    for method in ("linear", "nonlinear"):
        rate = n / seconds_of(lambda method=method: fit_vfa(signals, flips, tr, method=method))
        found = fit_vfa(signals, flips, tr, method=method).t1_s
        yield row(f"T1 {method}", "**BMVascular**", rate, None, found)
        answer = peers.osipy_t1(signals, flips, tr, method)
        if answer is not None:
            yield row("", "osipy, vectorised", n / answer[0], rate, answer[1])
    begin = time.process_time()
    found = np.array([curve_fit(function, x, signals[:, i], [1.0, 1e4])[0][0] for i in range(100)])
    yield row("", "SciPy curve_fit per voxel", 100 / (time.process_time() - begin), rate, found)


def memory_limits():
    """What the machine gives: float64 matrix product and one pass over memory."""
    a, b = np.ones((4096, 80)), np.ones((80, 27))
    product = 2 * 4096 * 80 * 27 / seconds_of(lambda: a @ b, 0.2) / 1e9
    big = np.ones(8_000_000, np.float32)
    copy = 2 * big.nbytes / seconds_of(big.copy, 0.2) / 1e9
    return product, copy


def limits(rates):
    """What bounds each fit, and how far it is from the product of matrices or from the memory."""
    product, copy = memory_limits()
    stream = copy * 1e9 / (2 * 8 * len(TIMES_S))
    print(f"\nLimits here: {product:.0f} GFlop/s (thin float64 product), {copy:.1f} GB/s copied.")
    for name, flops, words in (
        ("etofts", 2 * 80 * 27 + 2 * 27 * 41, "element-wise root search over the shared grid"),
        (
            "etofts + delay",
            14 * 2 * 80 * 27,
            "about six exact convolutions at each voxel's own delay and rate",
        ),
        ("patlak", 4 * 80, "memory: four passes over the curves, float64"),
        ("2cxm", 2 * 80 * 27 + 27 * 26 * 20, "sixteen steps of interpolated curves and small solves a voxel"),
    ):
        bound = min(product * 1e9 / flops, stream)
        print(
            f"- {name}: {bound / 1e6:.2f} M voxels/s by matrix product and memory, runs at "
            f"{100 * rates[name] / bound:.1f} % of it; bound by: {words}."
        )


def main():
    """Print the tables."""
    print(
        "| fit | code | voxels/s | ours / theirs | Ktrans (PS, T1) error, median | 95th percentile | vp error, median | |"
    )
    print("|---|---|---|---|---|---|---|---|")
    rates = {}
    for row in chain(kinetics_rows(rates), t1_rows()):
        print(row, flush=True)
    print("\n" + optimum_row())
    print("Exchange model: the larger residuals are mostly voxels where AICc took uptake without return.")
    limits(rates)
    if peers.missing():
        print(peers.missing())


if __name__ == "__main__":
    main()
