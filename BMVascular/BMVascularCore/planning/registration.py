"""Rigid registration whose quality is measured: result, checks and verdict.

None of the measurements sees every geometric distortion of the MRI: that stays a note for the reader.
"""

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from BMVascularCore.errors import InputError
from BMVascularCore.planning import registration_engine as engine
from BMVascularCore.planning import registration_quality as quality_of
from BMVascularCore.planning.head_mask import centroid_mm
from BMVascularCore.planning.pyramid import Pyramid, Side, nearest_on
from BMVascularCore.planning.registration_search import Found, find_pose, measured
from BMVascularCore.progress import share_of, silent

# error that no repeat shows: it grows with the largest voxel side (see Testing/Benchmarks/bench_registration.py)
_FLOOR_MM, _FLOOR_PER_MM2 = 0.06, 0.012
# expected_error_mm is a root mean square; 95 % of errors of that size in three directions lie below
_COVERAGE_FACTOR = 1.61


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
    skull_distance_mm, skull_rest_mm : float
        Rigid shift that the skull edges of CT and MRI still ask for, and their scatter about it; NaN where the
        pair is not CT and MRI, or too little of the vault is seen.
    voxel_mm : float
        Largest voxel side of both images.
    points : list of dict
        :meth:`errors_at` the points asked for.
    notes : list of str
    repeats : list of SimpleITK.Euler3DTransform
        Results from displaced starts; those that came to rest on a worse metric only where no other did.
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
    skull_distance_mm: float = float("nan")
    skull_rest_mm: float = float("nan")
    voxel_mm: float = 1.0
    points: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    repeats: list = field(default_factory=list)

    def take(self, checks):
        """Let checks of the headers lower the verdict; what is only to be known becomes a note.

        Parameters
        ----------
        checks : list of image_checks.ImageCheck
        """
        for check in checks:
            text = f"{check.name}: {check.text}"
            if check.grade in ("check", "fail"):
                if self.verdict == "pass":
                    # the sentence that all is well is no longer true
                    self.reasons = []
                self.verdict = max(self.verdict, check.grade, key=("pass", "check", "fail").index)
                self.reasons.append(text)
            elif check.grade == "note":
                self.notes.append(text)

    def errors_at(self, points_lps_mm):
        """Expected error at places of the fixed image, without distortion of the MRI.

        Root of the sum of squares of: the spread of the repeats there, half of the round trip, and a part that
        no repeat shows and that grows with the voxels (calibrated on simulated heads with known truth, where at
        least 19 of 20 errors lie below ``upper_mm``; real heads may do worse).

        Parameters
        ----------
        points_lps_mm : array_like, shape (n, 3)

        Returns
        -------
        list of dict
            ``expected_error_mm`` (root mean square) and ``upper_mm`` (19 of 20 errors lie below); NaN where no
            repeat was made.
        """
        points = np.atleast_2d(np.asarray(points_lps_mm, dtype=float))
        here = quality_of.mapped(self.transform, points)
        others = [np.linalg.norm(quality_of.mapped(r, points) - here, axis=1) for r in self.repeats]
        if not others:
            return [{"expected_error_mm": float("nan"), "upper_mm": float("nan")} for _ in points]
        trip = self.inverse_consistency_mm / 2 if np.isfinite(self.inverse_consistency_mm) else 0.0
        floor = _FLOOR_MM + _FLOOR_PER_MM2 * self.voxel_mm**2
        expected = np.sqrt(np.max(others, axis=0) ** 2 + trip**2 + floor**2)
        return [{"expected_error_mm": float(e), "upper_mm": float(_COVERAGE_FACTOR * e)} for e in expected]


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
    found = find_pose(pyramid, guesses, wide, quality, share_of(progress, 0.1, 0.9))
    if found is None:
        return _failed(guesses[0], "the images do not overlap anywhere; check that both show the same head")
    progress(0.92, "judging")
    return _judge(pyramid, found, points_lps_mm)


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
    progress(0.3, "measuring the agreement")
    found = measured(pyramid, Found(given, pyramid.score(engine.JUDGE)(given)), share_of(progress, 0.3, 0.9))
    progress(0.92, "judging")
    result = _judge(pyramid, found, points_lps_mm, given=True)
    if result.verdict == "fail" and _way_round_is_better(pyramid, given):
        result.reasons.append("the transform fits the other way round; give its inverse")
    return result


def _way_round_is_better(pyramid, given):
    """A transform from elsewhere may map moving to fixed points."""
    turned = engine.as_euler(given.GetInverse(), centroid_mm(pyramid.fixed_mask))
    there, back = (pyramid.score(engine.COARSE)(t) for t in (given, turned))
    return back < 1.2 * there


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
        sides[0] = Side(sides[0].image, sitk.Cast(given > 0, sitk.sitkUInt8), sides[0].ct)
    return Pyramid(*sides)


def _guesses(pyramid, fixed, moving, initial):
    centre = centroid_mm(pyramid.fixed_mask)
    if initial is not None:
        try:
            return [engine.as_euler(initial, centre)]
        except ValueError as error:
            raise InputError("is not rigid", "the transform", "Give a rigid transform.") from error
    guesses = [engine.rigid(translation_mm=centroid_mm(pyramid.moving_mask) - centre, centre_mm=centre)]
    uids = [volume.meta.get("frame_of_reference_uid") for volume in (fixed, moving)]
    # one frame of reference, or file formats that keep the scanner's space: the identity is a good guess
    if not any(uids) or uids[0] == uids[1]:
        guesses.append(engine.rigid(centre_mm=centre))
    return guesses


def _failed(transform, reason):
    nan = float("nan")
    return Registration(transform, "fail", [reason], nan, nan, nan, 0.0, nan, 0.0, 0.0)


def _judge(pyramid, found, points_lps_mm, given=False):
    m = quality_of.measure(pyramid, found, given)
    verdict, reasons = quality_of.verdict_of(m)
    voxel = max(*pyramid.fixed.GetSpacing(), *pyramid.moving.GetSpacing())
    result = Registration(
        found.transform, verdict, reasons, m.spread_mm, m.round_trip_mm, m.surface_mm, m.overlap, float(found.value),
        m.rotation_deg, float(np.linalg.norm(found.transform.GetTranslation())), m.skull.distance_mm, m.skull.rest_mm,
        float(voxel),
    )  # fmt: skip
    result.repeats = m.counted or found.repeats
    if points_lps_mm is not None and len(points_lps_mm):
        result.points = result.errors_at(points_lps_mm)
    result.notes += [*pyramid.fixed_side.notes, *pyramid.moving_side.notes]
    if pyramid.fixed_side.ct != pyramid.moving_side.ct:
        # the sentence of a pass says already what the numbers cannot show
        unseen = "" if verdict == "pass" else " No number here can show a geometric distortion."
        result.notes.append(f"Check that the 3D distortion correction of the MRI was on.{unseen}")
    return result
