"""Speed and accuracy of the DSC kernels beside peers run in the same process, one thread.

    python Testing/Benchmarks/bench_dsc.py

Prints a Markdown table. Every rate is the best of several repeats, the repeats of the product and its peers
interleaved, so that a busy machine slows both.
"""

import os
import sys
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING.parent / "BMVascular"), str(TESTING / "Python"), str(TESTING / "Benchmarks")]

import dsc_objects  # noqa: E402
import numpy as np  # noqa: E402
import perfusion_peers as peers  # noqa: E402
from scipy.optimize import curve_fit  # noqa: E402

from BMVascularCore.perfusion import relaxation  # noqa: E402
from BMVascularCore.perfusion.curves import BLOCK_VOXELS  # noqa: E402
from BMVascularCore.perfusion.deconvolution import OSVD_THRESHOLDS, Deconvolver  # noqa: E402
from BMVascularCore.perfusion.leakage import LeakageModel  # noqa: E402

REPEATS = 4


def rate(work, count, repeats=REPEATS):
    """Voxels per second of the best repeat, and the last result."""
    best, result = np.inf, None
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return count / best, result


def in_blocks(function, curves, axis):
    """Apply a kernel block by block, as the product does."""
    count = curves.shape[axis]
    blocks = [slice(start, start + BLOCK_VOXELS) for start in range(0, count, BLOCK_VOXELS)]
    return [function(curves[block] if axis == 0 else curves[:, block]) for block in blocks]


def explicit_osvd(curves, aif, dt_s):
    """The usual way: decompose the circulant matrix, try thresholds voxel by voxel."""
    n = 2 * len(aif)
    padded = np.r_[aif, np.zeros(len(aif))]
    matrix = dt_s * np.stack([np.roll(padded, shift) for shift in range(n)], axis=1)
    left, size, right = np.linalg.svd(matrix)
    heights = np.empty(len(curves))
    for v, curve in enumerate(np.pad(curves, ((0, 0), (0, n // 2)))):
        projected = left.T @ curve
        for threshold in OSVD_THRESHOLDS:
            keep = size >= threshold * size[0]
            residue = right.T[:, keep] @ (projected[keep] / size[keep])
            if np.abs(np.diff(residue, 2)).sum() / n / residue.max() < 0.035:
                break
        heights[v] = residue.max()
    return heights


def deconvolution_rows():
    """oSVD and cSVD at SNR 50."""
    dro = dsc_objects.deconvolution_object(1000, 50.0)
    curves = np.tile(dro["curves"], (20, 1)).astype(np.float32)
    truth = dro["cbf_per_s"]

    def accuracy(heights):
        return f"CBF/true {np.median(heights / truth):.3f}, r {np.corrcoef(heights, truth)[0, 1]:.3f}"

    rows = []
    peer_rate, peer = rate(lambda: explicit_osvd(dro["curves"][:300], dro["aif"], 1.5), 300, 1)
    for method, target in (("osvd", "150 k"), ("csvd", "1 M")):
        solver = Deconvolver(dro["aif"], 1.5, method)
        ours, results = rate(lambda solver=solver: in_blocks(solver.measure, curves, 0), len(curves))
        heights = np.concatenate([r.height_per_s for r in results])[:1000]
        rows.append(
            (f"{method}, SNR 50, 60 frames", "BMVascular", ours, ours / peer_rate, accuracy(heights), target)
        )
        if method == "osvd":
            note = f"largest difference {np.abs(heights[:300] / peer - 1).max():.1e}"
            rows.append(("", "explicit block-circulant SVD, numpy", peer_rate, 1.0, note, ""))
        answer = peers.osipy_deconvolution(method, dro["curves"], dro["aif"], 1.5 * np.arange(60))
        if answer is not None:
            speed = len(dro["curves"]) / answer[0]
            rows.append(("", f"osipy {method}", speed, speed / peer_rate, accuracy(answer[1]), ""))
    answer = peers.dcmri_deconvolution(dro["curves"], dro["aif"], 1.5)
    if answer is not None:
        speed = len(dro["curves"]) / answer[0]
        rows.append(("TSVD", "dcmri.deconv", speed, speed / peer_rate, accuracy(answer[1]), ""))
    return rows


def delay_text():
    """Largest change of CBF over arrival delays of -3 to +5 s, ours beside osipy."""
    dro = dsc_objects.deconvolution_object(3000, 50.0)
    delay, parts = dro["delay_s"], []
    bins = [(delay >= low) & (delay < low + 2) for low in (-3, -1, 1, 3)]
    for method in ("osvd", "csvd"):
        heights = {"ours": Deconvolver(dro["aif"], 1.5, method).measure(dro["curves"]).height_per_s}
        answer = peers.osipy_deconvolution(method, dro["curves"], dro["aif"], 1.5 * np.arange(60))
        if answer is not None:
            heights["osipy"] = answer[1]
        for who, height in heights.items():
            level = [np.median((height / dro["cbf_per_s"])[part]) for part in bins]
            parts.append(f"{method} {who} {100 * (max(level) / min(level) - 1):.1f} %")
    return "CBF changes with an arrival delay of -3 to +5 s by: " + ", ".join(parts) + "."


def leakage_rows():
    """BSW and bidirectional correction on the physical object, FA 30 without preload."""
    dro = dsc_objects.leakage_object(30, count=600)
    kind, times = dro["kind"], dro["times_s"]
    curves = relaxation.delta_r2s(dro["signal"], dro["signal"][2:13].mean(axis=0), dro["te_s"])
    reference = curves[:, kind < 2].mean(axis=1)
    weights = relaxation.trapezoid_weights(times, 12)
    many = np.tile(curves, (1, 40)).astype(np.float32)
    tumour, white = kind == 2, kind == 0
    true = dro["vp"] / dro["vp"][white].mean()

    def accuracy(correction):
        volume = weights @ curves + correction
        value = dsc_objects.concordance(volume[tumour] / volume[white].mean(), true[tumour])
        return f"CCC of tumour rCBV {value:.4f}"

    integral = relaxation.running_integral(reference, times)

    def per_voxel():
        model = lambda _, k1, k2: k1 * reference - k2 * integral  # noqa: E731
        return np.array([curve_fit(model, times, curves[:, v], [1.0, 0.0])[0] for v in range(600)])

    peer_rate, peer = rate(per_voxel, 600, 1)
    rows = []
    for method, target in (("bsw", "1 M"), ("bidirectional", "0.6 M"), ("auto", "")):
        model = LeakageModel(reference, times, method, 2, (12, len(times)))
        ours, fits = rate(lambda model=model: in_blocks(model.fit, many, 1), many.shape[1])
        correction = np.concatenate([fit.k2 * fit.area_per_k2 for fit in fits])[:600]
        rows.append(
            (
                f"leakage {method}, 80 frames",
                "BMVascular",
                ours,
                ours / peer_rate,
                accuracy(correction),
                target,
            )
        )
        if method == "bsw":
            note = accuracy(peer[:, 1] * (weights @ integral))
            rows.append(("", "scipy curve_fit per voxel", peer_rate, 1.0, note, ""))
        if method == "auto":
            continue
        # osipy regresses on an arterial curve
        arterial = 87.0 * 5.0 * dsc_objects.gamma_bolus(times, 20.0)
        answer = peers.osipy_leakage(method, curves.T, arterial, times, kind < 2)
        if answer is not None:
            note = accuracy(weights @ (answer[1].T - curves))
            speed = 600 / answer[0]
            rows.append(("", f"osipy {method}", speed, speed / peer_rate, note, ""))
    return rows


def bounds():
    """What the machine allows: matrix product and Fourier transform rates of the same sizes."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(48, 80)), random.normal(size=(80, BLOCK_VOXELS))
    product, _ = rate(lambda: [a @ b for _ in range(50)], 50 * BLOCK_VOXELS)
    import scipy.fft

    spectra = random.normal(size=(BLOCK_VOXELS, 61)).astype(np.complex64)
    transform, _ = rate(lambda: [scipy.fft.irfft(spectra, 120, axis=1) for _ in range(20)], 20 * BLOCK_VOXELS)
    return product, transform


def main():
    """Print the tables."""
    print("| task | code | voxels/s | ratio to the peer | accuracy | target |\n|---|---|---|---|---|---|")
    for task, code, speed, ratio, note, target in deconvolution_rows() + leakage_rows():
        print(f"| {task} | {code} | {speed:,.0f} | {ratio:,.1f} | {note} | {target} |")
    print("\n" + delay_text())
    product, transform = bounds()
    print(
        f"Bounds on this machine: 48 x 80 matrix product {product:,.0f} voxels/s (bidirectional), "
        f"one inverse transform of length 120 {transform:,.0f} voxels/s (cSVD needs two, oSVD seven)."
    )
    if peers.missing():
        print(peers.missing())


if __name__ == "__main__":
    main()
