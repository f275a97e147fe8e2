"""Rigid registration by mutual information, from coarse to fine, in SimpleITK.

Mattes mutual information with a constant number of samples per level (a constant share leaves too
few at coarse levels), regular-step gradient descent, and a start that is searched, not assumed.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from BMVascularCore.planning.pyramid import nearest_on

SEED = 20


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
COARSE = Level(4.0, 2.0, 15000, 3.0, 0.05, 100, relaxation=0.85)
MIDDLE = Level(2.0, 1.0, 25000, 1.0, 0.01, 100, relaxation=0.8)
# no smoothing at the last level: it moves the edges of thin bone and with them the result
FINE = Level(1.0, 0.0, 50000, 0.4, 0.001, 80, 48, 0.7)
REPEAT = Level(1.0, 0.0, 25000, 0.4, 0.002, 60, 48, 0.7)


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
    method.SetMetricSamplingPercentage(float(np.clip(level.samples / inside, 1e-3, 1.0)), SEED)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def metric(pyramid, level, transform):
    """Mattes mutual information of a pose (negative; lower is better), inf where images do not meet."""
    fixed, moving = pyramid.images(level)
    method = _method(pyramid, level)
    method.SetInitialTransform(transform)
    try:
        return method.MetricEvaluate(fixed, moving)
    except RuntimeError:  # no sample of the fixed image falls into the moving image
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
    except RuntimeError:  # the images do not meet at this pose
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


def rotation_grid(limit_deg, step_deg):
    """Rotations (x, y, z) in radians on a cube of angles, the smallest first."""
    angles = np.radians(np.arange(-limit_deg, limit_deg + 0.1, step_deg))
    grid = np.array(np.meshgrid(angles, angles, angles, indexing="ij")).reshape(3, -1).T
    return grid[np.argsort(np.linalg.norm(grid, axis=1), kind="stable")]


def search_start(pyramid, guesses, wide, progress):
    """Find the best coarse pose.

    Parameters
    ----------
    pyramid : Pyramid
    guesses : list of SimpleITK.Euler3DTransform
        Plausible poses, tried first and always refined.
    wide : bool
        Also look through rotations up to 60 degrees and shifts along the body axis.
    progress : callable

    Returns
    -------
    list of (transform, value)
        The best few poses after refinement at the coarse level, best first.
    """
    starts = list(guesses)
    if wide:
        centre = np.asarray(guesses[0].GetCenter())
        base = np.asarray(guesses[0].GetTranslation())
        score = pyramid.score(SEARCH)
        poses = [
            rigid(angles, base + np.array((0.0, 0.0, dz)), centre)
            for angles in rotation_grid(60, 20)
            for dz in (0.0, -30.0, 30.0)
        ]
        ranked = []
        for number, pose in enumerate(poses):
            if number % 100 == 0:
                progress(0.4 * number / len(poses), "searching the pose")
            ranked.append((score(pose), number))
        ranked.sort()
        starts += [poses[number] for _, number in ranked[:10]]
    quick = []
    for number, start in enumerate(starts):
        progress(0.4 + 0.4 * number / len(starts), "searching the pose")
        quick.append(optimise(pyramid, SEARCH, start))
    quick.sort(key=lambda item: item[1])
    best = []
    for number, (start, _) in enumerate(_distinct(quick)[:3]):
        progress(0.8 + 0.07 * number, "searching the pose")
        best.append(optimise(pyramid, COARSE, start))
    return sorted(best, key=lambda item: item[1])


def _distinct(results, apart_mm=6.0):
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


def truncated(pyramid, transform):
    """The overlap mask where the moving image cuts the head off, None where it covers all of it."""
    overlap = overlap_mask(pyramid, transform)
    head = sitk.GetArrayViewFromImage(pyramid.fixed_mask)
    share = float((sitk.GetArrayViewFromImage(overlap) * head).sum()) / max(float(head.sum()), 1.0)
    return overlap if 0.03 < share < 0.97 else None


def refine(pyramid, start, finest=FINE):
    """Refine a coarse pose at 2 mm and then at a finest level (None to stop at 2 mm).

    Returns
    -------
    transform : SimpleITK.Euler3DTransform
    value : float
    """
    overlap = truncated(pyramid, start)
    transform, value = optimise(pyramid, MIDDLE, start, overlap)
    if finest is not None:
        transform, value = optimise(pyramid, finest, transform, overlap)
    return transform, value
