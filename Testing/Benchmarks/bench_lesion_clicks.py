"""CPU seconds of one click by size, shape and images, on a head of 256 x 256 x 180 voxels of 1 mm.

Run: PYTHONPATH=BMVascular:Testing/Python python Testing/Benchmarks/bench_lesion_clicks.py [SPACING_MM]

A click is what a reader waits for: the outline, its compartments, and its row of measures. The peers get the
same click: SimpleITK's ConnectedThreshold on the whole volume, and scikit-image's random walker on the 48 mm
around it (where installed). They give an outline only. The two limits are those of the lesion panel: 0.5 s a
click, 3 s for the first one, which also prepares the volume.
"""

import resource
import sys
import time
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from bench_lesions import cut, half_height_growing, levels, segmentation, skimage_random_walker
from lesion_heads import Shape, grid, make_head

from BMVascularCore.lesions import Seed, prepare, segment_one
from BMVascularCore.lesions.segment import assemble

LIMIT_S, FIRST_S = 0.5, 3.0
DIAMETERS_MM = (5, 10, 20, 30)
REPEATS = 3
# smaller ones have no shape to speak of
WILD_FROM_MM = 10
# where the shapes lie, LPS mm; deep in the white matter
PLACES_MM = {"round": (-34, -24, 18), "ring": (36, 26, 8), "lobed": (34, -28, 14), "tilted": (-34, 32, -6)}
WILD_MM = {
    "irregular": (-34, -24, 18),
    "ragged": (36, 26, 8),
    "lobed ring": (34, -28, 14),
    "core": (-34, 32, -6),
}


@dataclass
class Case:
    """One lesion to click at."""

    name: str
    diameter_mm: float
    at_mm: tuple
    shapes: list


@dataclass(frozen=True)
class Wild(Shape):
    """A body with bumps and dents in all directions; ``radii_mm`` are its largest."""

    waves: tuple = ()
    depth: float = 0.3

    def inside(self, points, scale=1.0, grow_mm=0.0):
        away = points - np.asarray(self.centre_mm)
        length = np.linalg.norm(away, axis=-1)
        towards = away / np.maximum(length, 1e-6)[..., None]
        bumps = sum(
            np.cos(towards @ np.asarray(wave) + 7.0 * number) for number, wave in enumerate(self.waves)
        )
        dent = np.clip(0.5 + 0.5 * bumps / max(1.0, len(self.waves) / 2), 0, 1)
        return length <= self.radii_mm[0] * (1 - self.depth * dent) * scale + grow_mm


def waves(seed, count=6, per_turn=(2.0, 7.0)):
    """Wave vectors of a rough surface."""
    rng = np.random.default_rng(seed)
    towards = rng.normal(size=(count, 3))
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    return tuple(map(tuple, towards * rng.uniform(*per_turn, size=(count, 1))))


def wild_case(kind, diameter_mm):
    """Shapes of one irregular lesion, about as long as its diameter."""
    r, at = diameter_mm / 2, WILD_MM[kind]
    if kind == "irregular":
        shapes = [Wild(at, (r,) * 3, oedema_mm=6.0, waves=waves(1), depth=0.4)]
    elif kind == "ragged":
        # the core is rough in its own way, and reaches the surface here and there: a rim with gaps
        core = Wild(at, (0.92 * r,) * 3, enhancement=-0.45, waves=waves(3, 8), depth=0.5)
        shapes = [Wild(at, (r,) * 3, oedema_mm=6.0, waves=waves(2, 8), depth=0.3), core]
    elif kind == "lobed ring":
        shapes = []
        for part in ((0.35, 0.1, 0.0), (-0.3, 0.25, 0.1), (-0.1, -0.35, -0.1)):
            place = tuple(np.add(at, np.multiply(part, r)))
            shapes.append(Wild(place, (0.65 * r,) * 3, core=0.6, oedema_mm=6.0, waves=waves(4), depth=0.2))
    else:
        shapes = [Wild(at, (r,) * 3, core=0.7, oedema_mm=6.0, waves=waves(5), depth=0.15)]
    return Case(kind, diameter_mm, at, shapes)


def case(kind, diameter_mm):
    """Shapes of one lesion, about as long as its diameter."""
    r, at = diameter_mm / 2, PLACES_MM[kind]
    if kind == "ring":
        shapes = [Shape(at, (r, 0.9 * r, r), core=0.65, oedema_mm=6.0)]
    elif kind == "lobed":
        body = Shape(at, (0.75 * r, 0.7 * r, 0.7 * r), oedema_mm=6.0)
        lobes = [
            Shape((at[0] + 0.55 * r, at[1], at[2]), (0.45 * r,) * 3),
            Shape((at[0] - 0.2 * r, at[1] + 0.5 * r, at[2] + 0.3 * r), (0.5 * r,) * 3),
        ]
        shapes = [body, *lobes]
    elif kind == "tilted":
        shapes = [Shape(at, (r, 0.55 * r, 0.7 * r), enhancement=0.45, tilt_deg=35.0, oedema_mm=6.0)]
    else:
        shapes = [Shape(at, (r, 0.95 * r, r), oedema_mm=6.0)]
    return Case(kind, diameter_mm, at, shapes)


def head_of(kinds, diameter_mm, spacing_mm=1.0):
    """A head with one lesion of each kind."""
    cases = [(case if kind in PLACES_MM else wild_case)(kind, diameter_mm) for kind in kinds]
    size = tuple(round(n / spacing_mm) for n in (180, 256, 256))
    shapes = [shape for one in cases for shape in one.shapes]
    return make_head(shapes, grid(size, (spacing_mm,) * 3), seed=5, head_mm=(76, 92, 80)), cases


def seconds_of(work):
    """CPU seconds and what ``work`` gives."""
    started = time.process_time()
    out = work()
    return time.process_time() - started, out


def click(ready, case, repeats=REPEATS):
    """Seconds of the outline and of the rest (compartments, measures) of each repeat, shape (repeats, 2)."""
    index = places_of(ready, case)
    seed = Seed("a", tuple(ready.t1c.geometry.points_of(index)))
    times = []
    for _ in range(repeats):
        outline_s, lesion = seconds_of(lambda: segment_one(ready, "a", 1, [seed]))
        rest_s = (
            float("nan")
            if isinstance(lesion, str)
            else seconds_of(lambda lesion=lesion: assemble(ready, [lesion]))[0]
        )
        times.append((outline_s, rest_s))
    return np.array(times)


# how far off the middle the clicks are, in radii: in the rim of a ring, in the core of a core
OFF = {"ring": 0.8, "ragged": 0.8, "core": 0.0}


def places_of(ready, case):
    """Image index of the click."""
    off = OFF.get(case.name, 0.3) * case.diameter_mm / 2
    return np.rint(ready.t1c.geometry.index_of(np.add(case.at_mm, (off, 0, 0)))).astype(int)


def whole_volume_growing(array, index):
    """ConnectedThreshold at half height, thresholds from the surroundings, on the whole volume."""
    _, part, at = cut(array, index)
    low, high = levels(part, at)
    seed = [tuple(int(a) for a in index[::-1])]
    return sitk.ConnectedThreshold(sitk.GetImageFromArray(array), seed, (low + high) / 2, 1e9)


def peers(ready, index):
    """CPU seconds of the peers on the same click."""
    array = ready.t1c.array
    _, part, at = cut(array, index)
    times = {
        "growing, crop": seconds_of(lambda: half_height_growing(part, at))[0],
        "growing, whole": seconds_of(lambda: whole_volume_growing(array, index))[0],
    }
    if segmentation is not None:
        times["random walker, crop"] = seconds_of(lambda: skimage_random_walker(part, at))[0]
    return times


def row(diameter_mm, one, images, ready, first_s):
    """One line of the table; ``first_s`` is the time of preparing where this is the volume's first click."""
    times = click(ready, one)
    fastest = times.sum(1).argmin()
    shown, late = "", times[fastest].sum() > LIMIT_S
    if first_s is not None:
        first_s += times[0].sum()
        shown, late = f"{first_s:.2f}", late or first_s > FIRST_S
    others = peers(ready, places_of(ready, one)) if images == "T1c" else {}
    said = ", ".join(f"{name} {value:.2f}" for name, value in others.items())
    return (
        f"{diameter_mm:4d} {one.name:11}{images:12}{times[fastest, 0]:9.2f}{times[fastest, 1]:7.2f}"
        f"{times[fastest].sum():7.2f}{np.median(times.sum(1)):8.2f}{shown:>7}  {said}{' over' if late else ''}"
    )


def main(spacing_mm=1.0):
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    print(f"CPU seconds on one thread, the least and the median of {REPEATS} clicks;")
    print("first: the volume prepared, then its first click")
    print(
        f"{'mm':>4} {'kind':11}{'images':12}{'outline':>9}{'rest':>7}{'click':>7}{'median':>8}{'first':>7}  peers"
    )
    for diameter_mm in DIAMETERS_MM:
        for kinds in (PLACES_MM, WILD_MM) if diameter_mm >= WILD_FROM_MM else (PLACES_MM,):
            head, cases = head_of(kinds, diameter_mm, spacing_mm)
            for images, others in (("T1c", ()), ("T1c T1 FLAIR", (head.t1, head.flair))):
                first_s, ready = seconds_of(lambda head=head, others=others: prepare(head.t1c, *others))
                for one in cases:
                    print(row(diameter_mm, one, images, ready, first_s), flush=True)
                    first_s = None
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
