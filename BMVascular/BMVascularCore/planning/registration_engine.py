"""Rigid registration by mutual information, from coarse to fine.

A pose is brought down the slope of Mattes' mutual information by a quasi-Newton method: the valley that rotation
and shift share is narrow and oblique, and plain gradient descent stops in it tenths of a millimetre too early.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

# rotations count as arcs at this radius, so that all parameters of a descent are millimetres
_ARC_MM = 70.0
_FIRST_STEP_MM, _LONGEST_STEP_MM = 0.5, 8.0
# a descent ends when a step gains less than this share of the metric
_LEAST_GAIN = 1e-7


@dataclass(frozen=True)
class Level:
    """One resolution level.

    Attributes
    ----------
    spacing_mm, sigma_mm : float
        Voxel size and smoothing.
    points : int
        Number of places at which the images are compared. A constant number: a constant share of the voxels
        leaves too few at coarse levels.
    bins : int
        Histogram bins.
    steps : int
        Most iterations of a descent.
    """

    spacing_mm: float
    sigma_mm: float
    points: int
    bins: int = 32
    steps: int = 60


SEARCH = Level(6.0, 3.0, 4000, steps=25)
COARSE = Level(4.0, 2.0, 8000)
ROUGH = Level(2.0, 1.0, 8000)
# from here on no smoothing: at 2 mm and smoothed, thin bone, scalp and a fixation mask melt into one edge, and
# the optimum lies up to half a millimetre off for a whole head and several for a slab
MIDDLE = Level(1.0, 0.0, 15000)
FINE = Level(1.0, 0.0, 120000, 48)
REPEAT = Level(1.0, 0.0, 60000, 48)
# never descended on, only to compare poses
JUDGE = Level(1.0, 0.0, 40000)


def rigid(rotation_rad=(0.0, 0.0, 0.0), translation_mm=(0.0, 0.0, 0.0), centre_mm=(0.0, 0.0, 0.0)):
    """``SimpleITK.Euler3DTransform`` from angles about x, y, z, a translation and a centre (LPS mm)."""
    transform = sitk.Euler3DTransform()
    transform.SetCenter([float(v) for v in centre_mm])
    transform.SetRotation(*[float(v) for v in rotation_rad])
    transform.SetTranslation([float(v) for v in translation_mm])
    return transform


def as_euler(transform, centre_mm):
    """The same rigid motion as an Euler transform about another centre.

    Raises
    ------
    ValueError
        When the transform is not rigid.
    """
    if not transform.IsLinear():
        raise ValueError("the transform is not linear")
    origin = np.asarray(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.column_stack(
        [np.asarray(transform.TransformPoint(tuple(axis))) - origin for axis in np.eye(3)]
    )
    if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-4) or np.linalg.det(matrix) < 0:
        raise ValueError("the transform is not rigid")
    centre = np.asarray(centre_mm, dtype=float)
    euler = sitk.Euler3DTransform()
    euler.SetCenter(centre.tolist())
    # re-orthogonalised: ITK refuses matrices with rounding errors
    u, _, v = np.linalg.svd(matrix)
    euler.SetMatrix((u @ v).ravel().tolist(), 1e-6)
    euler.SetTranslation((np.asarray(transform.TransformPoint(centre.tolist())) - centre).tolist())
    return euler


def angles_of(transform):
    """Angles about x, y, z in radians, shape (3,)."""
    return np.array((transform.GetAngleX(), transform.GetAngleY(), transform.GetAngleZ()))


def optimise(pyramid, level, start, seed=0):
    """Refine a pose at one level.

    Parameters
    ----------
    pyramid : Pyramid
    level : Level
    start : SimpleITK.Euler3DTransform
    seed : int
        Which places are compared.

    Returns
    -------
    transform : SimpleITK.Euler3DTransform
    value : float
        Negative mutual information reached (lower is better), inf when the images do not meet.
    """
    return descend(pyramid.score(level, seed), start, level.steps)


def refine(pyramid, start, level=FINE, seed=0):
    """Refine a pose at a level, away from the ends of a truncated field of view.

    Returns
    -------
    transform : SimpleITK.Euler3DTransform
    value : float
    """
    return descend(pyramid.score(level, seed).within(start), start, level.steps)


def descend(pose_score, start, steps=60):
    """Follow the slope of a score to its next minimum, by the method of Broyden, Fletcher, Goldfarb and Shanno.

    Parameters
    ----------
    pose_score : PoseScore
    start : SimpleITK.Euler3DTransform
    steps : int

    Returns
    -------
    transform : SimpleITK.Euler3DTransform
    value : float
        inf, with the start itself, where the images do not meet.
    """
    if not np.isfinite(pose_score.slope(start)[0]):
        return start, np.inf
    centre, angles, shift = start.GetCenter(), angles_of(start), np.array(start.GetTranslation())

    def pose(x):
        return rigid(angles + x[:3] / _ARC_MM, shift + x[3:], centre)

    def value_and_slope(x):
        value, force, torque = pose_score.slope(pose(x))
        if not np.isfinite(value):
            return 0.0, np.zeros(6)
        axes = _turning_axes(*(angles + x[:3] / _ARC_MM))
        return value, np.concatenate([axes.T @ torque / _ARC_MM, force])

    place, value = _downhill(value_and_slope, np.zeros(6), steps)
    return pose(place), value


def _downhill(function, place, steps):
    """Minimum of a smooth function of a few variables in mm (BFGS, Nocedal and Wright, chapter 6).

    Written out: for six variables the libraries' routines call threaded linear algebra, which keeps every core
    busy for nothing and takes twice the time.
    """
    value, slope = function(place)
    inverse, fresh = None, True
    for _ in range(steps):
        if inverse is None:
            inverse = np.eye(6) * (_FIRST_STEP_MM / max(float(np.sqrt((slope**2).sum())), 1e-12))
        way = -(inverse * slope).sum(axis=1)
        way *= min(1.0, _LONGEST_STEP_MM / max(float(np.sqrt((way**2).sum())), 1e-12))
        step, after, slope_after = _backtracked(function, place, way, value, float((slope * way).sum()))
        gain = value - after
        if gain <= _LEAST_GAIN * abs(value):
            # a bent model of the valley may be to blame: once more straight down
            if fresh:
                break
            inverse, fresh = None, True
            if gain <= 0:
                continue
        else:
            fresh = False
        moved, turned = step * way, slope_after - slope
        place, value, slope = place + moved, after, slope_after
        if inverse is not None:
            inverse = _updated(inverse, moved, turned)
    return place, float(value)


def _backtracked(function, place, way, value, fall):
    """Step along a way that lowers the function enough, its value and slope there; step 0 where there is none."""
    step = 1.0
    for _ in range(5):
        after, slope = function(place + step * way)
        if after <= value + 1e-4 * step * fall:
            return step, after, slope
        bend = 2.0 * (after - value - step * fall)
        step *= float(np.clip(-fall * step / bend, 0.1, 0.5)) if bend > 0 else 0.5
    return 0.0, value, None


def _updated(inverse, moved, turned):
    """Inverse of the second derivatives after a step."""
    along = float((moved * turned).sum())
    if along <= 1e-12:
        return inverse
    bent = (inverse * turned).sum(axis=1)
    scale = (along + float((turned * bent).sum())) / along**2
    cross = bent[:, None] * moved
    return inverse + scale * moved[:, None] * moved - (cross + cross.T) / along


def _turning_axes(x, _y, z):
    """Axes about which each Euler angle turns (ITK: first y, then x, then z), as columns."""
    cz, sz, cx, sx = np.cos(z), np.sin(z), np.cos(x), np.sin(x)
    return np.array([[cz, -sz * cx, 0.0], [sz, cz * cx, 0.0], [0.0, sx, 1.0]])
