"""Search of a rigid pose without a start to trust, repeats from displaced starts, and the way back."""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.planning import registration_engine as engine
from BMVascularCore.planning.head_mask import centroid_mm
from BMVascularCore.progress import share_of

# below this share of the other head an image is called a part of a head: its place along the body is searched
_PART_OF_HEAD = 0.7
# coarse poses with at least this share of the best one's metric are settled as well
_NEAR = 0.85
# a pose is preferred to an earlier one when its metric is better by this share: less is the noise of the points
_CLEARLY = 1.002
# starts of the repeats: about 3 degrees and 4 mm aside, in four directions
_ASIDE = (
    ((3.0, -2.0, 2.0), (2.5, 2.0, -2.5)),
    ((-3.0, 2.0, -2.0), (-2.5, -2.0, 2.5)),
    ((2.0, 3.0, -1.5), (-2.0, 2.5, 2.0)),
    ((-2.0, -1.5, -3.0), (2.0, -2.5, -2.0)),
)


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
    if not quality:
        return found
    found = measured(pyramid, found, share_of(progress, 0.65, 0.95))
    better = _best(pyramid, [found.transform, *found.repeats])
    if better is not found.transform:
        # rare: a displaced start fell into a deeper valley, which then has to prove itself in the same way
        found = measured(pyramid, Found(*engine.refine(pyramid, better)), share_of(progress, 0.95, 1.0))
    return found


def measured(pyramid, found, progress):
    """The same pose with repeats and its way back."""
    repeats = []
    for number, (turn, shift) in enumerate(_ASIDE):
        progress(number / (len(_ASIDE) + 1), "repeating from displaced starts")
        repeats.append(_again(pyramid, found.transform, turn, shift, 1 + number))
    progress(len(_ASIDE) / (len(_ASIDE) + 1), "going back")
    return Found(found.transform, found.value, repeats, _way_back(pyramid, found.transform))


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
    keep = 4
    if wide:
        keep = 8 if part else 5
        starts += _ranked(pyramid, guesses[0], part, share_of(progress, 0.0, 0.4))[: 24 if part else 14]
    quick = []
    for number, start in enumerate(starts):
        progress(0.4 + 0.4 * number / len(starts), "searching the pose")
        quick.append(engine.optimise(pyramid, engine.SEARCH, start))
    quick.sort(key=lambda item: item[1])
    best = []
    for number, (start, _) in enumerate(distinct(quick)[:keep]):
        progress(0.8 + 0.2 * number / keep, "searching the pose")
        best.append(engine.optimise(pyramid, engine.COARSE, start))
    # most have met in one place by now
    return distinct(sorted(best, key=lambda item: item[1]), 2.0)


def _ranked(pyramid, guess, part, progress):
    """Poses on a grid of rotations and shifts along the body, best score first."""
    centre = np.asarray(guess.GetCenter())
    base = np.asarray(guess.GetTranslation())
    score = pyramid.score(engine.SEARCH)
    along = np.arange(-80.0, 81.0, 20.0) if part else (0.0, -30.0, 30.0)
    moves = [(angles, (0.0, 0.0, dz)) for angles in rotation_grid(40 if part else 60, 20) for dz in along]
    if part:
        # a half of the head: front, back, or one side
        aside = [(0.0, dy, dz) for dy in (-50.0, -25.0, 25.0, 50.0) for dz in (-40.0, -20.0, 0.0, 20.0, 40.0)]
        aside += [(dx, 0.0, dz) for dx in (-40.0, 40.0) for dz in (-40.0, 0.0, 40.0)]
        moves += [(angles, shift) for angles in rotation_grid(20, 20) for shift in aside]
    poses = [engine.rigid(angles, base + shift, centre) for angles, shift in moves]
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
    near = [pair for pair in candidates if pair[1] <= _NEAR * candidates[0][1]][:4]
    return engine.refine(pyramid, _best(pyramid, [settle(pyramid, transform) for transform, _ in near]))


def settle(pyramid, coarse, seed=0):
    """From a coarse pose, some millimetres off, into the right basin at full resolution.

    At coarse levels a fixation mask or a couch that touches the skin draws the pose by two or three
    millimetres. Two ways down are tried: straight, and by way of 2 mm.

    Returns
    -------
    SimpleITK.Euler3DTransform
    """
    rough = engine.refine(pyramid, coarse, engine.ROUGH, seed)[0]
    return _best(
        pyramid, [engine.refine(pyramid, start, engine.MIDDLE, seed)[0] for start in (coarse, rough)]
    )


def _best(pyramid, poses):
    """The pose with the best score on one common set of points; the first where none is clearly better.

    Points that lie in both images at the first pose: else a pose that moves more of the head into the other's
    field of view would win.
    """
    score = pyramid.score(engine.JUDGE).within(poses[0])
    values = [score(pose) for pose in poses]
    best = int(np.argmin(values))
    return poses[best] if values[best] < _CLEARLY * values[0] else poses[0]


def _again(pyramid, transform, turn_deg, shift_mm, seed):
    """The refinement again from a displaced start, comparing other places."""
    moved = engine.rigid(
        engine.angles_of(transform) + np.radians(turn_deg),
        np.add(transform.GetTranslation(), shift_mm),
        transform.GetCenter(),
    )
    coarse, _ = engine.refine(pyramid, moved, engine.COARSE, seed)
    return engine.refine(pyramid, settle(pyramid, coarse, seed), engine.REPEAT, seed)[0]


def _way_back(pyramid, transform):
    """Mean round trip over the head in mm: there with this result, back with the roles swapped."""
    swapped = pyramid.swapped()
    start = engine.as_euler(transform.GetInverse(), centroid_mm(swapped.fixed_mask))
    back = engine.refine(swapped, start, engine.REPEAT)[0]
    probes = pyramid.fixed_side.probes
    there = [back.TransformPoint(transform.TransformPoint(p.tolist())) for p in probes]
    return float(np.linalg.norm(np.asarray(there) - probes, axis=1).mean())
