"""Search of a rigid pose without a start to trust, repeats from displaced starts, and the way back."""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize

from BMVascularCore.planning import registration_engine as engine
from BMVascularCore.planning.head_mask import centroid_mm
from BMVascularCore.progress import share_of

# below this share of the other head an image is called a part of a head: its place along the body is searched
_PART_OF_HEAD = 0.7
# coarse poses with at least this share of the best one's metric are settled as well
_NEAR = 0.85
_ARC_MM = 70.0


@dataclass
class Found:
    """A pose with what its repeats and its way back say.

    Attributes
    ----------
    transform : SimpleITK.Euler3DTransform
        Fixed points to moving points.
    value : float
        Metric reached.
    repeats : list of SimpleITK.Euler3DTransform
    round_trip_mm : float
        Mean distance between there and back; NaN where it was not measured.
    """

    transform: object
    value: float
    repeats: list = field(default_factory=list)
    round_trip_mm: float = float("nan")

    def inverted(self):
        """The same result from the moving to the fixed image."""
        return Found(
            _inverse(self.transform), self.value, [_inverse(r) for r in self.repeats], self.round_trip_mm
        )


def _inverse(transform):
    return engine.as_euler(
        transform.GetInverse(), transform.TransformPoint([float(v) for v in transform.GetCenter()])
    )


def head_share(pyramid):
    """Volume of the moving head relative to the fixed head."""
    fixed, moving = (side.head_ml for side in (pyramid.fixed_side, pyramid.moving_side))
    return moving / max(fixed, 1e-6)


def find_pose(pyramid, guesses, wide, quality, progress):
    """Search, refine, repeat.

    The image that shows less of the head lends its points to the metric, whichever is called fixed: every
    point then has a partner in the other image, and the end of a field of view cannot pull the pose.

    Parameters
    ----------
    pyramid : Pyramid
    guesses : list of SimpleITK.Euler3DTransform
        Fixed to moving points.
    wide : bool
    quality : bool
        Repeat and go back as well.
    progress : callable

    Returns
    -------
    Found or None
        None when the images do not meet.
    """
    share = head_share(pyramid)
    if share < _PART_OF_HEAD:
        turned = find_pose(pyramid.swapped(), [_inverse(guess) for guess in guesses], wide, quality, progress)
        return turned.inverted() if turned is not None else None
    part = share > 1.0 / _PART_OF_HEAD
    candidates = search_start(pyramid, guesses, wide, part, share_of(progress, 0.0, 0.4))
    if not candidates or not np.isfinite(candidates[0][1]):
        return None
    progress(0.45, "refining")
    transform, value = best_refined(pyramid, candidates)
    found = Found(transform, value)
    return measured(pyramid, found, share_of(progress, 0.65, 1.0)) if quality else found


def measured(pyramid, found, progress):
    """The same pose with repeats and its way back; an arrived repeat that fits better takes its place."""
    repeats = []
    for number, sign in enumerate((1.0, -1.0)):
        progress(number / 3, "repeating from displaced starts")
        repeats.append(_repeat(pyramid, found.transform, sign))
    progress(2 / 3, "going back")
    back = _way_back(pyramid, found.transform)
    return Found(found.transform, found.value, repeats, back)


def search_start(pyramid, guesses, wide, part, progress):
    """Find the best coarse poses.

    Parameters
    ----------
    pyramid : Pyramid
    guesses : list of SimpleITK.Euler3DTransform
        Plausible poses, tried first and always refined.
    wide : bool
        Also look through rotations up to 60 degrees and shifts along the body axis.
    part : bool
        The fixed image shows a part of the head: its place along the body is not known from its middle.
    progress : callable

    Returns
    -------
    list of (transform, value)
        The best few poses after refinement at the coarse level, best first.
    """
    starts = list(guesses)
    keep = 3
    if wide:
        keep = 6 if part else 3
        starts += _ranked(pyramid, guesses[0], part, share_of(progress, 0.0, 0.4))[: 14 if part else 8]
    quick = []
    for number, start in enumerate(starts):
        progress(0.4 + 0.4 * number / len(starts), "searching the pose")
        quick.append(engine.optimise(pyramid, engine.SEARCH, start))
    quick.sort(key=lambda item: item[1])
    best = []
    for number, (start, _) in enumerate(distinct(quick)[:keep]):
        progress(0.8 + 0.2 * number / keep, "searching the pose")
        best.append(engine.optimise(pyramid, engine.COARSE, start))
    return sorted(best, key=lambda item: item[1])


def _ranked(pyramid, guess, part, progress):
    """Poses on a grid of rotations and shifts along the body, best score first."""
    centre = np.asarray(guess.GetCenter())
    base = np.asarray(guess.GetTranslation())
    score = pyramid.score(engine.SEARCH)
    shifts = np.arange(-80.0, 81.0, 20.0) if part else (0.0, -30.0, 30.0)
    limit = 40 if part else 60
    poses = [
        engine.rigid(angles, base + np.array((0.0, 0.0, dz)), centre)
        for angles in rotation_grid(limit, 20)
        for dz in shifts
    ]
    ranked = []
    for number, pose in enumerate(poses):
        if number % 100 == 0:
            progress(number / len(poses), "searching the pose")
        ranked.append((score(pose), number))
    ranked.sort()
    return [poses[number] for _, number in ranked]


def rotation_grid(limit_deg, step_deg):
    """Rotations (x, y, z) in radians on a cube of angles, the smallest first."""
    angles = np.radians(np.arange(-limit_deg, limit_deg + 0.1, step_deg))
    grid = np.array(np.meshgrid(angles, angles, angles, indexing="ij")).reshape(3, -1).T
    return grid[np.argsort(np.linalg.norm(grid, axis=1), kind="stable")]


def distinct(results, apart_mm=6.0):
    """Drop poses that ended in the same place as a better one."""
    kept = []
    for transform, value in results:
        if not np.isfinite(value):
            continue
        centre = np.asarray(transform.GetCenter())
        probes = np.vstack([centre + offset for offset in 60 * np.vstack([np.eye(3), -np.eye(3)])])
        places = np.array([transform.TransformPoint(p.tolist()) for p in probes])
        if all(np.linalg.norm(places - other, axis=1).mean() > apart_mm for _, _, other in kept):
            kept.append((transform, value, places))
    return [(transform, value) for transform, value, _ in kept]


def best_refined(pyramid, candidates):
    """Settle the leading coarse poses at full resolution with few points, refine the best with many."""
    near = [pair for pair in candidates if pair[1] <= _NEAR * candidates[0][1]][:3]
    settled = [settle(pyramid, transform) for transform, _ in near]
    return engine.refine(pyramid, min(settled, key=lambda pair: pair[1])[0])


def settle(pyramid, coarse):
    """From a coarse pose, some millimetres off, into the right basin at full resolution.

    At coarse levels a fixation mask or a couch that touches the skin draws the pose by two or three
    millimetres, and along the narrow valley that is left a gradient descent stops early. Three ways down are
    tried: line searches without gradients from the coarse pose, the same after 2 mm, and a descent after 2 mm.

    Returns
    -------
    transform : SimpleITK.Euler3DTransform
    value : float
        Quick score (lower is better).
    """
    score = pyramid.score(engine.MIDDLE, 6000)
    rough = engine.refine(pyramid, coarse, engine.ROUGH)[0]
    ways = [
        line_search(score, coarse),
        line_search(score, rough),
        engine.refine(pyramid, rough, engine.MIDDLE)[0],
    ]
    judge = pyramid.score(engine.MIDDLE, 20000)
    return min(((way, judge(way)) for way in ways), key=lambda pair: pair[1])


def line_search(score, start, step_mm=2.0, evaluations=360):
    """Powell's method (1964) on the quick score: rotations count as arcs at 70 mm, so that all steps are mm."""
    centre = start.GetCenter()
    angles = np.array((start.GetAngleX(), start.GetAngleY(), start.GetAngleZ()))
    shift = np.array(start.GetTranslation())

    def pose(x):
        return engine.rigid(angles + x[:3] / _ARC_MM, shift + x[3:], centre)

    options = {"direc": step_mm * np.eye(6), "xtol": 0.05, "ftol": 1e-4, "maxfev": evaluations}
    return pose(minimize(lambda x: min(score(pose(x)), 0.0), np.zeros(6), method="Powell", options=options).x)


def _repeat(pyramid, transform, sign):
    """The refinement again from about 3 degrees and 4 mm away."""
    rotation = np.asarray((transform.GetAngleX(), transform.GetAngleY(), transform.GetAngleZ()))
    moved = engine.rigid(
        rotation + np.radians(sign * np.array((3.0, -2.0, 2.0))),
        np.asarray(transform.GetTranslation()) + sign * np.array((2.5, 2.0, -2.5)),
        transform.GetCenter(),
    )
    coarse, _ = engine.optimise(pyramid, engine.COARSE, moved, step_mm=1.5)
    return engine.refine(pyramid, settle(pyramid, coarse)[0], engine.REPEAT)[0]


def _way_back(pyramid, transform):
    """Mean round trip over the head in mm: there with this result, back with the roles swapped."""
    swapped = pyramid.swapped()
    start = engine.as_euler(transform.GetInverse(), centroid_mm(swapped.fixed_mask))
    back = engine.refine(swapped, start, engine.REPEAT)[0]
    probes = pyramid.fixed_side.probes
    there = [back.TransformPoint(transform.TransformPoint(p.tolist())) for p in probes]
    return float(np.linalg.norm(np.asarray(there) - probes, axis=1).mean())
