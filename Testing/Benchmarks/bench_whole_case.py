"""One examination from files to maps through the command line: time and memory, one thread.

    python Testing/Benchmarks/bench_whole_case.py [FOLDER]

DSC 128 x 128 x 24 x 60 and DCE 192 x 192 x 24 x 80 as float32 4D NIfTI, about 150 000 brain voxels in each. Every
command runs in a process of its own; its processor time and its largest memory are those of that process, the
memory that Python and the libraries take without any data is measured and subtracted.
"""

# ruff: noqa: E402 - threads are fixed before numpy loads
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING.parent / "BMVascular"), str(TESTING / "Python")]

import dce_objects
import dsc_objects
import numpy as np
import SimpleITK as sitk

from BMVascularCore.perfusion.population_aif import parker
from BMVascularCore.perfusion.t1 import spgr_signal

LIMIT_S, LIMIT_MEMORY = 15.0, 1.5
# the high-water mark of the process itself: what wait4 gives holds the memory of the parent before exec, too
_CHILD = """
import sys
sys.path.insert(0, {core!r})
from BMVascularCore.cli import main
code = main(sys.argv[1:])
with open("/proc/self/status") as stream:
    print("PEAK", next(line for line in stream if line.startswith("VmHWM")).split()[1])
sys.exit(code)
"""


def write(path, array, spacing_mm):
    """Write (t, k, j, i) or (k, j, i) as NIfTI."""
    images = [sitk.GetImageFromArray(frame) for frame in (array if array.ndim == 4 else [array])]
    for image in images:
        image.SetSpacing(spacing_mm)
    sitk.WriteImage(sitk.JoinSeries(images) if array.ndim == 4 else images[0], str(path))


def write_dsc(folder, size=128, slices=24, frames=60):
    """A head with a leaking lesion; returns the options of the command."""
    head = dsc_objects.head_object(slices=slices, size=size, frames=frames)
    write(folder / "dsc.nii", head["signal"].astype(np.float32), head["spacing_mm"])
    write(folder / "dsc_brain.nii", head["brain"].astype(np.uint8), head["spacing_mm"])
    call = ["dsc", str(folder / "dsc.nii"), "--dt", "1.5", "--te", "30", "--flip", "30", "--preload", "no"]
    return [*call, "--mask", str(folder / "dsc_brain.nii")], head["signal"].size, int(head["brain"].sum())


def dce_head(size=192, slices=24, frames=80, step_s=3.75, seed=0):
    """Signal (t, k, j, i) of a head with 500 kinds of tissue and a sinus, its T1, brain and Ktrans."""
    rng = np.random.default_rng(seed)
    times = np.arange(frames) * step_s
    kinds = 500
    ktrans = np.exp(rng.uniform(np.log(0.002), np.log(0.3), kinds))
    ve, vp = rng.uniform(0.1, 0.6, kinds), rng.uniform(0.005, 0.1, kinds)
    blood = parker((times - 30) / 60)
    plasma = blood / (1 - 0.42)
    conc = ktrans * dce_objects.convolve(plasma, times / 60, ktrans / ve) + vp * plasma[:, None]
    conc = np.column_stack([conc, blood, np.zeros(frames)])
    k, j, i = np.meshgrid(np.arange(slices), np.arange(size), np.arange(size), indexing="ij")
    x, y = 2 * (i + 0.5) / size - 1, 2 * (j + 0.5) / size - 1
    radius = np.hypot(x / 0.75, y / 0.9)
    kind = np.where(radius < 0.6, rng.integers(0, kinds, k.shape), kinds + 1)
    brain = radius < 0.6
    sinus = (np.abs(x) < 0.03) & (np.abs(y - 0.58) < 0.03)
    kind[sinus] = kinds
    t1 = np.where(sinus, 1.65, 1.4)
    t1_of = np.append(np.full(kinds, 1.4), [1.65, 1.4])
    signal_of = spgr_signal(1 / (1 / t1_of + 4.5 * conc), np.radians(15), 0.005, 5000.0)
    signal = np.empty((frames, *k.shape), np.float32)
    for t in range(frames):
        signal[t] = np.where(radius < 0.7, signal_of[t][kind], 0.0) + rng.normal(0, 0.5, k.shape)
    truth = np.where(brain & ~sinus, np.append(ktrans, [np.nan, np.nan])[kind], np.nan)
    return signal, t1, brain & ~sinus, truth


def write_dce(folder, **size):
    """The DCE files; returns the options of the command."""
    signal, t1, brain, truth = dce_head(**size)
    spacing = (220.0 / signal.shape[-1], 220.0 / signal.shape[-1], 5.0)
    write(folder / "dce.nii", signal, spacing)
    write(folder / "t1.nii", t1.astype(np.float32), spacing)
    write(folder / "dce_brain.nii", brain.astype(np.uint8), spacing)
    call = ["dce", str(folder / "dce.nii"), "--dt", "3.75", "--tr", "5", "--flip", "15"]
    call += ["--t1map", str(folder / "t1.nii"), "--mask", str(folder / "dce_brain.nii")]
    return call, signal.size, int(brain.sum()), truth


def run_child(arguments):
    """Run the command line in a child: wall and processor seconds, largest memory in bytes."""
    code = _CHILD.format(core=str(TESTING.parent / "BMVascular"))
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        said, complaint = child.stdout.read(), child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(complaint)
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, 1024 * int(said.split("PEAK")[1])


def idle_memory(folder, command):
    """Memory of the same command on a series of a few voxels."""
    small = folder / "small"
    small.mkdir(exist_ok=True)
    if command == "dsc":
        call = write_dsc(small, 48, 6)[0]
    else:
        call = write_dce(small, size=32, slices=3)[0]
    return run_child([*call, "--out", str(small / "out"), "--overwrite", "--quiet"])[2]


def cases(folder):
    """Name, arguments and sizes of the runs."""
    dsc, dsc_size, dsc_brain = write_dsc(folder)
    yield "DSC 128x128x24x60, all maps", dsc, dsc_size, dsc_brain
    dce, dce_size, dce_brain, _ = write_dce(folder)
    yield "DCE 192x192x24x80, extended Tofts", dce, dce_size, dce_brain
    yield "the same with arrival delay", [*dce, "--fit-delay"], dce_size, dce_brain
    yield "the same, model chosen by AICc", [*dce, "--model", "auto"], dce_size, dce_brain


def main(folder):
    """Print the table."""
    print(
        "| run | brain voxels | CPU s | wall s | memory beside libraries / float32 input |\n|---|---|---|---|---|"
    )
    total = 0.0
    for number, (name, call, size, brain) in enumerate(cases(folder)):
        out = ["--out", str(folder / f"out{number}"), "--overwrite", "--quiet"]
        wall, cpu, memory = run_child([*call, *out])
        share = (memory - idle_memory(folder, call[0])) / (4.0 * size)
        total += cpu if number < 2 else 0.0
        print(f"| {name} | {brain:,} | {cpu:.1f} | {wall:.1f} | {share:.2f} |", flush=True)
    print(
        f"\nDSC and DCE (extended Tofts) together: {total:.1f} s of one processor with reading and writing "
        f"(limit {LIMIT_S:g}); memory limit {LIMIT_MEMORY:g} times the input."
    )


def in_temporary_folder():
    """Print the table; the files go away again."""
    with tempfile.TemporaryDirectory() as place:
        main(Path(place))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        in_temporary_folder()
