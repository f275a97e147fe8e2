"""Rigid registration by mutual information, from coarse to fine, in SimpleITK.

Mattes mutual information with a constant number of samples per level (a constant share leaves too
few at coarse levels), regular-step gradient descent, and a start that is searched, not assumed.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from BMVascularCore.planning.pyramid import nearest_on

SEED = 20
_LARGEST_SHARE, _FEWEST_SAMPLES = 0.25, 8000


@dataclass(frozen=True)
class Level:
    """One resolution level.

    Attributes
    ----------
    spacing_mm, sigma_mm : float
        Voxel size and smoothing.
    samples : int
        Number of points at which the metric is taken.
    step_mm, min_step_mm : float
        First and last step of the optimiser.
    iterations : int
    bins : int
        Histogram bins of the metric.
    relaxation : float
        Factor of the step at each turn; a valley that is narrow and oblique needs a slow decay.
    """

    spacing_mm: float
    sigma_mm: float
    samples: int
    step_mm: float
    min_step_mm: float
    iterations: int
    bins: int = 32
    relaxation: float = 0.6


SEARCH = Level(6.0, 3.0, 4000, 4.0, 0.3, 25)
COARSE = Level(4.0, 2.0, 12000, 3.0, 0.1, 80, relaxation=0.8)
ROUGH = Level(2.0, 1.0, 10000, 1.0, 0.04, 60, relaxation=0.75)
# from here on no smoothing: at 2 mm and smoothed, thin bone, scalp and a fixation mask melt into one edge, and
# the optimum lies up to half a millimetre off for a whole head and several for a slab
MIDDLE = Level(1.0, 0.0, 10000, 1.0, 0.03, 60, relaxation=0.8)
FINE = Level(1.0, 0.0, 40000, 0.3, 0.002, 80, 48, 0.85)
REPEAT = Level(1.0, 0.0, 20000, 0.3, 0.003, 60, 48, 0.85)


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


def _method(pyramid, level, overlap=None):
    mask = pyramid.mask(level)
    if overlap is not None:
        mask = mask * nearest_on(overlap, mask)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(level.bins)
    # gradients where they are needed, not of the whole image: most of the time would go there
    method.SetMetricUseFixedImageGradientFilter(False)
    method.SetMetricUseMovingImageGradientFilter(False)
    method.SetMetricFixedMask(mask)
    inside = max(int(sitk.GetArrayViewFromImage(mask).sum()), 1)
    method.SetMetricSamplingStrategy(method.RANDOM)
    # the share refers to the whole image, the points are kept only inside the mask
    # of coarse images a quarter of the voxels: more points would say the same thing again
    share = min(level.samples / inside, max(_LARGEST_SHARE, _FEWEST_SAMPLES / inside))
    method.SetMetricSamplingPercentage(float(np.clip(share, 1e-3, 1.0)), SEED)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _require_apart(error):
    """Let pass only what ITK says when no sample of the fixed image falls into the moving image."""
    if not any(words in str(error) for words in ("outside moving image", "overlap", "valid points")):
        raise error


def metric(pyramid, level, transform):
    """Mattes mutual information of a pose (negative; lower is better), inf where images do not meet."""
    fixed, moving = pyramid.images(level)
    method = _method(pyramid, level)
    method.SetInitialTransform(transform)
    try:
        return method.MetricEvaluate(fixed, moving)
    except RuntimeError as error:
        _require_apart(error)
        return np.inf


def optimise(pyramid, level, start, overlap=None, step_mm=None):
    """Refine a pose at one level.

    Returns
    -------
    transform : SimpleITK.Euler3DTransform
    value : float
        The metric reached (lower is better), inf when the images do not meet.
    """
    fixed, moving = pyramid.images(level)
    method = _method(pyramid, level, overlap)
    method.SetOptimizerAsRegularStepGradientDescent(
        step_mm or level.step_mm,
        level.min_step_mm,
        level.iterations,
        relaxationFactor=level.relaxation,
        gradientMagnitudeTolerance=1e-6,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = sitk.Euler3DTransform(start)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError as error:
        _require_apart(error)
        return start, np.inf
    return transform, method.GetMetricValue()


def overlap_mask(pyramid, transform, erode_mm=8.0):
    """Where the moving image's field of view lies, on the fixed head mask's grid.

    Near the edge of a truncated field of view interpolation and cut anatomy mislead the metric.
    """
    moving = pyramid.moving
    size = np.array(moving.GetSize())
    margin = np.minimum(np.ceil(erode_mm / np.array(moving.GetSpacing())), (size - 1) // 3).astype(int)
    inside = np.zeros(moving.GetSize()[::-1], np.uint8)
    inside[
        margin[2] : size[2] - margin[2], margin[1] : size[1] - margin[1], margin[0] : size[0] - margin[0]
    ] = 1
    image = sitk.GetImageFromArray(inside)
    image.CopyInformation(moving)
    return nearest_on(image, pyramid.fixed_mask, transform)


def truncated(pyramid, transform):
    """The overlap mask where the moving image cuts the head off, None where it covers all of it."""
    overlap = overlap_mask(pyramid, transform)
    head = sitk.GetArrayViewFromImage(pyramid.fixed_mask)
    share = float((sitk.GetArrayViewFromImage(overlap) * head).sum()) / max(float(head.sum()), 1.0)
    return overlap if 0.03 < share < 0.97 else None


def refine(pyramid, start, level=FINE):
    """Refine a pose at a level, away from the ends of a truncated field of view.

    Returns
    -------
    transform : SimpleITK.Euler3DTransform
    value : float
    """
    return optimise(pyramid, level, start, truncated(pyramid, start))
