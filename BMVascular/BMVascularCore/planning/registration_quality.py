"""What can be measured of a rigid registration without truth, and the verdict that follows.

Similarity alone says little about the error (Rohlfing 2012). The verdict rests on repeats, the way back, the
edges of skull and skin, overlap and laterality; each has a limit that warns and one that refuses.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.spatial import cKDTree

from BMVascularCore.planning import registration_engine as engine
from BMVascularCore.planning.head_mask import centroid_mm, surface_points
from BMVascularCore.planning.pyramid import Pyramid, Side
from BMVascularCore.planning.skull_edges import NOTHING, skull_agreement

# limits of the verdict, in mm (TG-132 asks for at most a voxel; radiosurgery wants less)
GREEN_SPREAD_MM, RED_SPREAD_MM = 0.2, 0.5
GREEN_INVERSE_MM, RED_INVERSE_MM = 0.5, 1.0
GREEN_SURFACE_MM, RED_SURFACE_MM = 2.5, 5.0
GREEN_SKULL_MM, RED_SKULL_MM = 2.0, 3.0
GREEN_SKULL_REST_MM = 1.4
GREEN_OVERLAP, RED_OVERLAP = 0.75, 0.25
LARGE_ROTATION_DEG = 20.0
# the mirrored image must explain this much more before a flip is called
_MIRROR_GAIN = 1.05
# a repeat that ends in a metric worse by this share has not arrived and says nothing about the optimum
_ARRIVED = 0.985


@dataclass(frozen=True)
class Measurements:
    """Numbers behind a verdict; NaN where something could not be measured.

    Attributes
    ----------
    spread_mm : float
        Mean distance over the head between the result and the repeat farthest from it.
    counted : list of SimpleITK.Euler3DTransform
        Repeats that reached an optimum as good as the result; the others say nothing about it.
    round_trip_mm, surface_mm : float
    skull : SkullAgreement
    overlap : float
    rotation_deg : float
    mirrored : bool
    """

    spread_mm: float
    counted: list
    round_trip_mm: float
    surface_mm: float
    skull: object
    overlap: float
    rotation_deg: float
    mirrored: bool


def mapped(transform, points):
    """Points after a transform, shape (n, 3)."""
    return np.array([transform.TransformPoint(p) for p in np.atleast_2d(points).tolist()])


def measure(pyramid, found, given=False):
    """Measure a pose.

    Parameters
    ----------
    pyramid : Pyramid
    found : registration_search.Found
    given : bool
        The pose came from elsewhere: every repeat counts, for they are what it is measured against.

    Returns
    -------
    Measurements
    """
    transform = found.transform
    probes = pyramid.fixed_side.probes
    here = mapped(transform, probes)
    counted = found.repeats if given else arrived(pyramid, found)
    spreads = [float(np.linalg.norm(mapped(r, probes) - here, axis=1).mean()) for r in counted]
    distances = surface_distances(pyramid, transform)
    matrix = np.reshape(transform.GetMatrix(), (3, 3))
    return Measurements(
        max(spreads, default=float("nan")),
        counted,
        found.round_trip_mm,
        float(np.median(distances)) if len(distances) else float("nan"),
        _skull(pyramid, transform),
        overlap_share(pyramid, transform),
        float(np.degrees(np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1)))),
        bool(found.repeats) and mirrored_is_better(pyramid, transform),
    )


def arrived(pyramid, found):
    """The repeats that reached a metric as good as the result's."""
    if not found.repeats:
        return []
    score = pyramid.score(engine.JUDGE).within(found.transform)
    own = score(found.transform)
    return [repeat for repeat in found.repeats if score(repeat) <= _ARRIVED * own]


def _skull(pyramid, transform):
    """Edges of the vault, where exactly one of the images is a CT."""
    fixed, moving = pyramid.images(engine.FINE)
    if pyramid.fixed_side.ct == pyramid.moving_side.ct:
        return NOTHING
    if pyramid.fixed_side.ct:
        return skull_agreement(fixed, moving, transform)
    found = skull_agreement(moving, fixed, transform.GetInverse())
    turn = np.reshape(transform.GetMatrix(), (3, 3)).T
    return type(found)(-turn @ found.shift_mm, found.rest_mm, found.contrast, found.parts)


def surface_distances(pyramid, transform):
    """Distances from the fixed skin surface to the moving one after registration, mm, shape (n,).

    Only where the moving image looks; empty when fewer than 50 points remain.
    """
    fixed, moving = surface_points(pyramid.fixed_mask, 7), surface_points(pyramid.moving_mask)
    if len(fixed) < 50 or len(moving) < 50:
        return np.zeros(0)
    moved = mapped(transform, fixed)
    image = pyramid.moving
    index = np.array([image.TransformPhysicalPointToContinuousIndex(p) for p in moved.tolist()])
    margin = 6.0 / np.array(image.GetSpacing())
    inside = np.all((index > margin) & (index < np.array(image.GetSize()) - margin), axis=1)
    if inside.sum() < 50:
        return np.zeros(0)
    return cKDTree(moving).query(moved[inside])[0]


def overlap_share(pyramid, transform):
    """Share of the smaller head that the other image shows, 0..1."""
    fixed = sitk.GetArrayViewFromImage(pyramid.fixed_mask).astype(bool)
    moved = sitk.Resample(
        pyramid.moving_mask, pyramid.fixed_mask, transform, sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8
    )
    both = float((fixed & sitk.GetArrayViewFromImage(moved).astype(bool)).sum())
    both_ml = both * np.prod(pyramid.fixed_mask.GetSpacing()) / 1000.0
    return both_ml / max(min(pyramid.fixed_side.head_ml, pyramid.moving_side.head_ml), 1e-3)


def mirrored_is_better(pyramid, transform):
    """True when the moving image, mirrored left to right, fits clearly better than as it is.

    Parameters
    ----------
    pyramid : Pyramid
    transform : SimpleITK.Euler3DTransform
        The pose found.
    """
    if pyramid.moving_side.head_ml < pyramid.fixed_side.head_ml:
        pyramid = pyramid.swapped()
        transform = engine.as_euler(transform.GetInverse(), centroid_mm(pyramid.fixed_mask))
    centre = centroid_mm(pyramid.moving_mask)
    fixed, moving = pyramid.images(engine.COARSE)
    flipped = Pyramid(
        Side(fixed, pyramid.fixed_mask),
        Side(_mirrored(moving, centre), _mirrored(pyramid.moving_mask, centre)),
    )
    own = engine.optimise(pyramid, engine.COARSE, transform)[1]
    # a flip of a turned head turns the other way: start from there, and without rotation as well
    starts = (
        _mirrored_pose(transform, centre),
        engine.rigid((0, 0, 0), transform.GetTranslation(), transform.GetCenter()),
    )
    values = [engine.optimise(flipped, engine.COARSE, start)[1] for start in starts]
    return min(values) < _MIRROR_GAIN * own


def _mirrored_pose(transform, centre):
    """The pose of a head, symmetric about its middle, in the mirrored image: it turns the other way."""
    there = np.array(transform.TransformPoint(transform.GetCenter()))
    there[0] = 2.0 * centre[0] - there[0]
    angles = (transform.GetAngleX(), -transform.GetAngleY(), -transform.GetAngleZ())
    return engine.rigid(angles, there - transform.GetCenter(), transform.GetCenter())


def _mirrored(image, centre):
    mirror = sitk.AffineTransform(3)
    mirror.SetMatrix((-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    mirror.SetCenter(centre.tolist())
    linear = image.GetPixelID() == sitk.sitkFloat32
    how = sitk.sitkLinear if linear else sitk.sitkNearestNeighbor
    return sitk.Resample(image, image, mirror, how, 0.0, image.GetPixelID())


def verdict_of(m):
    """Grade each measurement; the worst grade is the verdict.

    Parameters
    ----------
    m : Measurements

    Returns
    -------
    verdict : {"pass", "check", "fail"}
    reasons : list of str
        Why, and what to do.
    """
    grades, reasons = ["pass"], []

    def grade(value, green, red, text, mend):
        if value > green:
            grades.append("fail" if value > red else "check")
            reasons.append(f"{text}; {mend}")

    def say(grade_, text):
        grades.append(grade_)
        reasons.append(text)

    grade(
        m.spread_mm, GREEN_SPREAD_MM, RED_SPREAD_MM,
        f"repeats from displaced starts differ by {m.spread_mm:.2f} mm",
        "give a starting transform, or an image that covers more of the head",
    )  # fmt: skip
    if not m.counted and np.isfinite(m.round_trip_mm):
        say(
            "check",
            "no repeat from a displaced start came back to this result; look at the fusion before use",
        )
    grade(
        m.round_trip_mm, GREEN_INVERSE_MM, RED_INVERSE_MM,
        f"there and back differs by {m.round_trip_mm:.2f} mm", "look at the fusion before use",
    )  # fmt: skip
    _grade_edges(m, grade, say)
    grade(
        1.0 - m.overlap, 1.0 - GREEN_OVERLAP, 1.0 - RED_OVERLAP,
        f"only {100 * m.overlap:.0f} % of the smaller head is seen in both images",
        "use an image that covers the whole head",
    )  # fmt: skip
    if m.mirrored:
        say("fail", "the image fits better when mirrored left to right; check the laterality of both images")
    if m.rotation_deg > LARGE_ROTATION_DEG:
        say("check", f"the heads are turned by {m.rotation_deg:.0f} degrees; look at the fusion before use")
    verdict = max(grades, key=("pass", "check", "fail").index)
    if verdict == "pass":
        reasons.append(
            "all measurements lie within their limits; they cannot show a distortion of the MRI of a millimetre "
            "or two, so look at each lesion before use"
        )
    return verdict, reasons


def _skull_steady(m):
    return m.skull.parts > 0 and m.skull.rest_mm <= GREEN_SKULL_REST_MM


def _skull_agrees(m):
    return _skull_steady(m) and m.skull.distance_mm <= GREEN_SKULL_MM


def _grade_edges(m, grade, say):
    """Skull edges where they were measured, skin else; agreeing skull edges overrule skin that is cut away."""
    if _skull_steady(m):
        grade(
            m.skull.distance_mm, GREEN_SKULL_MM, RED_SKULL_MM,
            f"the skull edges ask for another {m.skull.distance_mm:.1f} mm",
            "look at the inner table all round before use",
        )  # fmt: skip
    elif m.skull.parts:
        # fluid, bone and suppressed fat can look alike: then the edges prove nothing, neither right nor wrong
        say(
            "check",
            f"skull edges scatter by {m.skull.rest_mm:.1f} mm that no shift explains: another patient, a distorted "
            "MRI, or a weighting in which fluid and fat look like bone (FLAIR); look at the fusion before use",
        )
    if m.surface_mm > RED_SURFACE_MM and _skull_agrees(m):
        say(
            "check",
            f"skin surfaces lie {m.surface_mm:.1f} mm apart (median) while the skull edges agree; "
            "is the MRI cut down to the brain? Register the whole image where it exists",
        )
    else:
        grade(
            m.surface_mm, GREEN_SURFACE_MM, RED_SURFACE_MM,
            f"skin surfaces lie {m.surface_mm:.1f} mm apart (median)",
            "check that both images show the same patient",
        )  # fmt: skip
