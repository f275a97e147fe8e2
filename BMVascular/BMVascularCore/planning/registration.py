"""Rigid registration whose quality is measured: result, checks and verdict.

Similarity alone says little about the error (Rohlfing 2012), so the verdict rests on what can be
measured without truth: agreement of restarts, inverse consistency, surface agreement, overlap and
laterality. None of these sees a geometric distortion of the MRI: that stays a note for the reader.
"""

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from scipy.spatial import cKDTree

from BMVascularCore.errors import InputError
from BMVascularCore.planning import registration_engine as engine
from BMVascularCore.planning.head_mask import centroid_mm, is_ct, mask_points, surface_points
from BMVascularCore.planning.pyramid import Pyramid, Side, nearest_on
from BMVascularCore.progress import share_of, silent

# limits of the verdict, in mm (TG-132 asks for at most a voxel; radiosurgery wants less)
GREEN_SPREAD_MM, RED_SPREAD_MM = 0.2, 0.5
GREEN_INVERSE_MM, RED_INVERSE_MM = 0.5, 1.0
GREEN_SURFACE_MM, RED_SURFACE_MM = 2.5, 5.0
GREEN_OVERLAP, RED_OVERLAP = 0.75, 0.25
LARGE_ROTATION_DEG, LARGE_SHIFT_MM = 20.0, 15.0


@dataclass
class Registration:
    """A rigid registration and how far it can be trusted.

    Attributes
    ----------
    transform : SimpleITK.Euler3DTransform
        Maps points of the fixed image to points of the moving image, LPS mm.
    verdict : {"pass", "check", "fail"}
    reasons : list of str
        Why, and what to do.
    restart_spread_mm : float
        Mean distance over the head between the result and repeats from displaced starts (worst repeat).
    inverse_consistency_mm : float
        Mean distance between going there with this result and back with the roles swapped.
    surface_distance_mm : float
        Median distance between the two skin surfaces after registration; NaN where not both are seen.
    overlap : float
        Share of the smaller head that the other image covers, 0..1.
    metric : float
        Mattes mutual information reached (negative; comparable within one pair only).
    rotation_deg, translation_mm : float
        Size of the motion about the head's centre.
    points : list of dict
        :meth:`errors_at` the points asked for.
    notes : list of str
    repeats : list of SimpleITK.Euler3DTransform
        Results from displaced starts.
    """

    transform: object
    verdict: str
    reasons: list
    restart_spread_mm: float
    inverse_consistency_mm: float
    surface_distance_mm: float
    overlap: float
    metric: float
    rotation_deg: float
    translation_mm: float
    points: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    repeats: list = field(default_factory=list)

    def errors_at(self, points_lps_mm):
        """Expected error at places of the fixed image.

        The spread of the repeats there, with half of the round trip beside them, as root mean square.

        Parameters
        ----------
        points_lps_mm : array_like, shape (n, 3)

        Returns
        -------
        list of dict
            ``expected_error_mm`` and ``upper_mm`` (twice the largest of them); NaN without repeats.
        """
        points = np.atleast_2d(np.asarray(points_lps_mm, dtype=float))
        here = _mapped(self.transform, points)
        others = [np.linalg.norm(_mapped(r, points) - here, axis=1) for r in self.repeats]
        if np.isfinite(self.inverse_consistency_mm):
            others.append(np.full(len(points), self.inverse_consistency_mm / 2))
        if not others:
            return [{"expected_error_mm": float("nan"), "upper_mm": float("nan")} for _ in points]
        shifts = np.array(others)
        rms = np.sqrt((shifts**2).mean(axis=0))
        return [
            {"expected_error_mm": float(a), "upper_mm": float(b)}
            for a, b in zip(rms, 2 * shifts.max(axis=0), strict=True)
        ]


def register_rigid(
    fixed, moving, fixed_mask=None, initial=None, points_lps_mm=None, wide=True, quality=True, progress=None
):
    """Register two images of one head rigidly.

    Parameters
    ----------
    fixed, moving : Volume
        The fixed image is never resampled. CT is recognised by its modality or its values.
    fixed_mask : Volume, optional
        Boolean mask on the fixed image: where to look. The head by default.
    initial : SimpleITK.Transform, optional
        Start that the user trusts (fixed to moving points); the search is then local.
    points_lps_mm : array_like, shape (n, 3), optional
        Places (lesions) in the fixed image for which the expected error is wanted.
    wide : bool
        Search rotations up to 60 degrees. False for images of one session.
    quality : bool
        Measure restart spread and inverse consistency (about half of the time).
    progress : callable, optional

    Returns
    -------
    Registration

    Raises
    ------
    InputError
        An image is flat, shows no head, or is a single slice.
    """
    progress = progress or silent
    _require_depth(fixed, moving)
    progress(0.0, "finding the head")
    pyramid = _pyramid(fixed, moving, fixed_mask)
    guesses = _guesses(pyramid, fixed, moving, initial)
    wide = wide and initial is None
    candidates = engine.search_start(pyramid, guesses, wide, share_of(progress, 0.05, 0.35))
    if not candidates or not np.isfinite(candidates[0][1]):
        return _failed(guesses[0], "the images do not overlap anywhere; check that both show the same head")
    progress(0.4, "refining")
    transform, value = _best_refined(pyramid, candidates)
    progress(0.6, "measuring the agreement")
    probes = mask_points(pyramid.fixed_mask)
    restarts = _restarts(pyramid, transform, quality, share_of(progress, 0.6, 0.85))
    inverse = _inverse(pyramid, transform, probes, quality)
    progress(0.95, "judging")
    return _judge(pyramid, fixed, moving, transform, value, restarts, inverse, probes, points_lps_mm)


def check_rigid(fixed, moving, transform, points_lps_mm=None, progress=None):
    """Measure a transform that came from elsewhere, exactly as a result of :func:`register_rigid`.

    The transform is not improved. Repeats from displaced starts, and the way back, find the optimum of the
    images by themselves: their distance from the given transform is its restart spread.

    Parameters
    ----------
    fixed, moving : Volume
    transform : SimpleITK.Transform
        Rigid; maps points of the fixed image to points of the moving image, LPS mm.
    points_lps_mm : array_like, shape (n, 3), optional
        Places in the fixed image for which the expected error is wanted.
    progress : callable, optional

    Returns
    -------
    Registration

    Raises
    ------
    InputError
        Not rigid, or images as in :func:`register_rigid`.
    """
    progress = progress or silent
    _require_depth(fixed, moving)
    progress(0.0, "finding the head")
    pyramid = _pyramid(fixed, moving, None)
    given = _guesses(pyramid, fixed, moving, transform)[0]
    value = engine.metric(pyramid, engine.COARSE, given)
    progress(0.3, "measuring the agreement")
    probes = mask_points(pyramid.fixed_mask)
    restarts = _restarts(pyramid, given, True, share_of(progress, 0.3, 0.75))
    inverse = _inverse(pyramid, given, probes, True)
    progress(0.95, "judging")
    return _judge(pyramid, fixed, moving, given, value, restarts, inverse, probes, points_lps_mm)


def session_pair(fixed_side, moving):
    """A pair whose fixed side is prepared already: for the many images of one session.

    Parameters
    ----------
    fixed_side : pyramid.Side
    moving : Volume

    Returns
    -------
    pyramid.Pyramid

    Raises
    ------
    InputError
        A flat image, one without a head, or fewer than four slices.
    """
    _require_depth(moving)
    return Pyramid(fixed_side, Side.of_volume(moving))


def _require_depth(*volumes):
    for volume in volumes:
        if min(volume.array.shape) < 4:
            raise InputError(
                "has fewer than four slices", volume.name, "Register images that cover a volume."
            )


def _pyramid(fixed, moving, fixed_mask):
    sides = [Side.of_volume(volume) for volume in (fixed, moving)]
    if fixed_mask is not None:
        given = nearest_on(fixed_mask.to_sitk(), sides[0].mask)
        if not sitk.GetArrayViewFromImage(given).any():
            raise InputError(
                "is empty inside the fixed image", fixed_mask.name, "Draw the mask on the fixed image."
            )
        sides[0] = Side(sides[0].image, sitk.Cast(given > 0, sitk.sitkUInt8))
    return Pyramid(*sides)


def _guesses(pyramid, fixed, moving, initial):
    centre = centroid_mm(pyramid.fixed_mask)
    if initial is not None:
        try:
            return [engine.as_euler(initial, centre)]
        except ValueError as error:
            raise InputError("is not a rigid transform", "--initial", "Give a rigid transform.") from error
    guesses = [engine.rigid(translation_mm=centroid_mm(pyramid.moving_mask) - centre, centre_mm=centre)]
    uids = [volume.meta.get("frame_of_reference_uid") for volume in (fixed, moving)]
    # one frame of reference, or file formats that keep the scanner's space: the identity is a good guess
    if not any(uids) or uids[0] == uids[1]:
        guesses.append(engine.rigid(centre_mm=centre))
    return guesses


def _best_refined(pyramid, candidates):
    """Refine the leading poses at 2 mm, each also from its neighbourhood, the best at full resolution.

    At coarse levels a fixation mask or a couch that touches the skin draws the pose by two or three
    millimetres, into the basin of a wrong optimum of the finer level.
    """
    near = [pair for pair in candidates if pair[1] <= 0.8 * candidates[0][1]][:3]
    starts = [start for transform, _ in near[:2] for start in _best_neighbours(pyramid, transform)]
    starts += [transform for transform, _ in near[2:]]
    middle = [engine.refine(pyramid, start, None) for start in starts]
    best = min(middle, key=lambda pair: pair[1])[0]
    return engine.optimise(pyramid, engine.FINE, best, engine.truncated(pyramid, best))


def _best_neighbours(pyramid, transform, shift_mm=3.0, turn_deg=2.5, count=2):
    """The pose itself and the best few of those a few millimetres and degrees away."""
    angles = np.array((transform.GetAngleX(), transform.GetAngleY(), transform.GetAngleZ()))
    offset, centre = np.array(transform.GetTranslation()), transform.GetCenter()
    steps = np.array(np.meshgrid(*[(-1.0, 0.0, 1.0)] * 3, indexing="ij")).reshape(3, -1).T
    poses = [
        engine.rigid(angles + np.radians(turn_deg) * turn, offset + shift_mm * step, centre)
        for step in steps
        for turn in np.vstack([np.zeros(3), np.eye(3), -np.eye(3)])
    ]
    poses.sort(key=pyramid.score(engine.MIDDLE))
    return [transform, *poses[:count]]


def _restarts(pyramid, transform, quality, progress):
    """Repeat the refinement from displaced starts (about 3 degrees and 4 mm)."""
    if not quality:
        return []
    results = []
    for number, sign in enumerate((1.0, -1.0)):
        progress(number / 2, "repeating from displaced starts")
        rotation = np.asarray((transform.GetAngleX(), transform.GetAngleY(), transform.GetAngleZ()))
        moved = engine.rigid(
            rotation + np.radians(sign * np.array((3.0, -2.0, 2.0))),
            np.asarray(transform.GetTranslation()) + sign * np.array((2.5, 2.0, -2.5)),
            transform.GetCenter(),
        )
        repeated, _ = engine.optimise(pyramid, engine.COARSE, moved, step_mm=1.5)
        starts = _best_neighbours(pyramid, repeated, count=1)
        middle = min((engine.refine(pyramid, start, None) for start in starts), key=lambda pair: pair[1])[0]
        results.append(engine.optimise(pyramid, engine.REPEAT, middle, engine.truncated(pyramid, middle))[0])
    return results


def _inverse(pyramid, transform, probes, quality):
    """Mean round trip in mm: there with this result, back with the roles swapped."""
    if not quality:
        return float("nan")
    swapped = pyramid.swapped()
    start = engine.as_euler(transform.GetInverse(), centroid_mm(swapped.fixed_mask))
    back = engine.optimise(swapped, engine.REPEAT, start, engine.truncated(swapped, start))[0]
    there = [back.TransformPoint(transform.TransformPoint(p.tolist())) for p in probes]
    return float(np.linalg.norm(np.asarray(there) - probes, axis=1).mean())


def _mapped(transform, points):
    return np.array([transform.TransformPoint(p.tolist()) for p in np.atleast_2d(points)])


def surface_agreement(pyramid, transform):
    """Distances from the fixed skin surface to the moving one after registration, mm, shape (n,).

    Only where the moving image looks; empty when fewer than 50 points remain.
    """
    fixed, moving = surface_points(pyramid.fixed_mask, 7), surface_points(pyramid.moving_mask)
    if len(fixed) < 50 or len(moving) < 50:
        return np.zeros(0)
    mapped = _mapped(transform, fixed)
    image = pyramid.moving
    index = np.array([image.TransformPhysicalPointToContinuousIndex(p.tolist()) for p in mapped])
    margin = 6.0 / np.array(image.GetSpacing())
    inside = np.all((index > margin) & (index < np.array(image.GetSize()) - margin), axis=1)
    if inside.sum() < 50:
        return np.zeros(0)
    return cKDTree(moving).query(mapped[inside])[0]


def _overlap(pyramid, transform):
    fixed = sitk.GetArrayViewFromImage(pyramid.fixed_mask).astype(bool)
    moved = sitk.Resample(
        pyramid.moving_mask, pyramid.fixed_mask, transform, sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8
    )
    both = fixed & sitk.GetArrayViewFromImage(moved).astype(bool)
    moving_count = sitk.GetArrayViewFromImage(pyramid.moving_mask).sum() * np.prod(
        pyramid.moving_mask.GetSpacing()) / np.prod(pyramid.fixed_mask.GetSpacing())  # fmt: skip
    return float(both.sum() / max(min(fixed.sum(), moving_count), 1))


def mirrored_is_better(pyramid, transform):
    """True when the moving image, mirrored left to right, fits clearly better than as it is.

    Parameters
    ----------
    pyramid : registration_engine.Pyramid
    transform : SimpleITK.Euler3DTransform
        The pose found.
    """
    centre = centroid_mm(pyramid.moving_mask)
    fixed, moving = pyramid.images(engine.COARSE)
    flipped = Pyramid(
        Side(fixed, pyramid.fixed_mask),
        Side(_mirrored(moving, centre), _mirrored(pyramid.moving_mask, centre)),
    )
    own = engine.optimise(pyramid, engine.COARSE, transform)[1]
    # a flip of a turned head turns the other way: start without rotation as well
    starts = (transform, engine.rigid((0, 0, 0), transform.GetTranslation(), transform.GetCenter()))
    return min(engine.optimise(flipped, engine.COARSE, start)[1] for start in starts) < 1.05 * own


def _mirrored(image, centre):
    mirror = sitk.AffineTransform(3)
    mirror.SetMatrix((-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    mirror.SetCenter(centre.tolist())
    linear = image.GetPixelID() == sitk.sitkFloat32
    how = sitk.sitkLinear if linear else sitk.sitkNearestNeighbor
    return sitk.Resample(image, image, mirror, how, 0.0, image.GetPixelID())


def _failed(transform, reason):
    nan = float("nan")
    return Registration(transform, "fail", [reason], nan, nan, nan, 0.0, nan, 0.0, 0.0)


def _judge(pyramid, fixed, moving, transform, value, restarts, inverse, probes, points_lps_mm):
    spreads = [
        float(np.linalg.norm(_mapped(r, probes) - _mapped(transform, probes), axis=1).mean())
        for r in restarts
    ]
    spread = max(spreads) if spreads else float("nan")
    distances = surface_agreement(pyramid, transform)
    surface = float(np.median(distances)) if len(distances) else float("nan")
    angles = (transform.GetAngleX(), transform.GetAngleY(), transform.GetAngleZ())
    matrix = np.reshape(transform.GetMatrix(), (3, 3))
    rotation = (
        float(np.degrees(np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1)))) if any(angles) else 0.0
    )
    result = Registration(
        transform,
        "pass",
        [],
        spread,
        inverse,
        surface,
        _overlap(pyramid, transform),
        float(value),
        rotation,
        float(np.linalg.norm(transform.GetTranslation())),
    )
    result.repeats = restarts
    flipped = bool(restarts) and mirrored_is_better(pyramid, transform)
    _add_reasons(result, flipped)
    if points_lps_mm is not None and len(points_lps_mm):
        result.points = result.errors_at(points_lps_mm)
    if is_ct(fixed) != is_ct(moving):
        result.notes.append(
            "Restarts cannot see a geometric distortion of the MRI: check the 3D distortion correction "
            "and look at each lesion."
        )
    return result


def _add_reasons(result, flipped):
    """Grade each measurement; the worst grade is the verdict."""
    grades = ["pass"]

    def grade(value, green, red, text, mend, low_is_bad=False):
        if not np.isfinite(value):
            return
        bad, poor = (value < red, value < green) if low_is_bad else (value > red, value > green)
        if bad or poor:
            grades.append("fail" if bad else "check")
            result.reasons.append(f"{text}; {mend}")

    grade(
        result.restart_spread_mm,
        GREEN_SPREAD_MM,
        RED_SPREAD_MM,
        f"repeats from displaced starts differ by {result.restart_spread_mm:.2f} mm",
        "give a starting transform, or an image that covers more of the head",
    )
    grade(
        result.inverse_consistency_mm,
        GREEN_INVERSE_MM,
        RED_INVERSE_MM,
        f"there and back differs by {result.inverse_consistency_mm:.2f} mm",
        "look at the fusion before use",
    )
    grade(
        result.surface_distance_mm,
        GREEN_SURFACE_MM,
        RED_SURFACE_MM,
        f"skin surfaces lie {result.surface_distance_mm:.1f} mm apart (median)",
        "check that both images show the same patient",
    )
    grade(
        result.overlap,
        GREEN_OVERLAP,
        RED_OVERLAP,
        f"only {100 * result.overlap:.0f} % of the smaller head is seen in both images",
        "use an image that covers the whole head",
        low_is_bad=True,
    )
    if flipped:
        grades.append("fail")
        result.reasons.append(
            "the image fits better when mirrored left to right; check the laterality of both images"
        )
    if result.rotation_deg > LARGE_ROTATION_DEG:
        grades.append("check")
        result.reasons.append(
            f"the heads are turned by {result.rotation_deg:.0f} degrees; look at the fusion before use"
        )
    result.verdict = max(grades, key=("pass", "check", "fail").index)
    if result.verdict == "pass":
        result.reasons.append("all measurements lie within their limits; look at each lesion before use")
