"""Motion of the head between the frames: measured first, corrected where it helps.

The measurement is one linear least-squares step per frame: for small motion the change of a frame is
its intensity gradient times the displacement of a rigid body, plus a change of gain. It costs a matrix
product, so every run can afford it. Only where it finds motion are the frames registered.
"""

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from BMVascularCore.progress import share_of
from BMVascularCore.volume import Series, to_sitk

# share of the smaller in-plane voxel side from which registration is worth its interpolation
_WORTH_VOXELS = 0.35
_POINTS = 12000
# frames that are measured, registration samples per frame
_MEASURED_FRAMES = 16
_SAMPLES = 6000
_SMOOTHING_MM = 4.0


@dataclass
class Motion:
    """What was found and done about motion.

    Attributes
    ----------
    displacement_mm : ndarray, shape (t,)
        Largest displacement of a brain voxel (95th percentile) against the baseline; NaN for bolus frames
        that were not measured.
    corrected : bool
    series, second : Series or None
        The registered series (the given ones where nothing was done).
    residual_mm : float
        The same displacement measured again after the correction; NaN without one.
    text : str
        For the methods text.
    summary : dict
    warnings : list of str
    """

    displacement_mm: np.ndarray
    corrected: bool
    series: Series
    second: Series | None
    residual_mm: float
    text: str = ""
    summary: dict = field(default_factory=dict)
    warnings: list = field(default_factory=list)


def measure_motion(array, brain, bolus, geometry):
    """Displacement of the brain in each frame outside the first pass.

    Parameters
    ----------
    array : ndarray, shape (t, k, j, i)
        Raw signal.
    brain : ndarray of bool, shape (k, j, i)
    bolus : relaxation.Bolus
    geometry : Geometry

    Returns
    -------
    ndarray, shape (t,)
        mm; NaN for frames that were not measured: those of the first pass, where contrast agent changes the
        picture, and all but 16 of the others.
    """
    smooth = _smoother(array.shape[1:], geometry)
    reference = smooth(array[bolus.baseline].mean(axis=0, dtype=np.float32))
    index, design, moves = _linear_problem(reference, brain, geometry)
    values = reference[tuple(index.T)].astype(float)
    solver = np.linalg.pinv(design)
    out = np.full(len(array), np.nan)
    still = [t for t in range(bolus.skip, len(array)) if not bolus.start < t <= bolus.first_pass_end]
    for t in np.unique(np.linspace(0, len(still) - 1, _MEASURED_FRAMES).astype(int)):
        t = still[t]
        parameters = solver @ (smooth(array[t])[tuple(index.T)] - values)
        shift = np.einsum("nap,p->na", moves, parameters[: moves.shape[2]])
        out[t] = np.percentile(np.linalg.norm(shift, axis=1), 95)
    return out


def _linear_problem(reference, brain, geometry):
    """Sampled voxels, design matrix [rigid motion, offset, gain] and voxel displacements per parameter."""
    axes = [a for a in range(3) if reference.shape[a] > 1]
    spacing = geometry.spacing_kji_mm
    # the border of the brain is the strongest edge
    index = np.argwhere(ndimage.binary_dilation(brain, np.ones((1, 3, 3), bool)))
    index = index[:: max(1, len(index) // _POINTS)]
    gradient = np.zeros((len(index), 3))
    for a in axes:
        gradient[:, a] = np.gradient(reference, spacing[a], axis=a)[tuple(index.T)]
    place = (index - index.mean(axis=0)) * spacing
    moves = _rigid_moves(place, axes)
    # a point that moves by d brings the value of x - d
    motion = -np.einsum("na,nap->np", gradient, moves)
    values = reference[tuple(index.T)]
    return index, np.column_stack([motion, np.ones(len(index)), values]), moves


def _smoother(shape, geometry):
    """Smoothing that makes a step of a voxel or two look linear."""
    spacing = geometry.spacing_kji_mm
    sigma = [
        _SMOOTHING_MM / s if n > 1 and s < _SMOOTHING_MM else 0.0 for s, n in zip(spacing, shape, strict=True)
    ]

    def smooth(image):
        image = np.asarray(image, dtype=np.float32)
        return ndimage.gaussian_filter(np.where(np.isfinite(image), image, 0.0), sigma, truncate=2.5)

    return smooth


def _rigid_moves(place, axes):
    """Displacement (n, 3, p) of each point for a unit of each rigid parameter, array axes in mm."""
    columns = [np.broadcast_to(np.eye(3)[a], place.shape) for a in axes]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        if a in axes and b in axes:
            turn = np.zeros(place.shape)
            turn[:, a], turn[:, b] = -place[:, b], place[:, a]
            columns.append(turn)
    return np.stack(columns, axis=2)


def correct_motion(series, brain, bolus, mode, second=None, progress=None):
    """Measure motion and, where it helps, register every frame to the baseline.

    Parameters
    ----------
    series : Series
    brain : ndarray of bool, shape (k, j, i)
    bolus : relaxation.Bolus
    mode : {"auto", "on"}
        "auto" registers when a frame is displaced by more than a third of a voxel.
    second : Series, optional
        Moved in the same way.
    progress : callable, optional

    Returns
    -------
    Motion
    """
    before = measure_motion(series.array, brain, bolus, series.geometry)
    largest = float(np.nanmax(before))
    limit = _WORTH_VOXELS * min(series.geometry.spacing_kji_mm[1:])
    summary = {"motion_mm": round(largest, 3), "motion_limit_mm": round(limit, 3), "motion_corrected": False}
    if mode == "auto" and largest <= limit:
        text = f"Motion between frames was at most {largest:.2f} mm and was not corrected."
        return Motion(before, False, series, second, float("nan"), text, summary)
    transforms = _register_frames(series, brain, bolus, share_of(progress, 0.0, 0.1))
    moved = _resampled(series, transforms)
    after = float(np.nanmax(measure_motion(moved.array, brain, bolus, series.geometry)))
    summary["motion_residual_mm"] = round(after, 3)
    if after >= largest:
        warning = f"Motion of {largest:.2f} mm was found; registration did not lessen it and was not used."
        return Motion(before, False, series, second, after, warning, summary, [warning])
    summary["motion_corrected"] = True
    text = (
        f"Frames were registered rigidly to the baseline (largest displacement {largest:.2f} mm before, "
        f"{after:.2f} mm after)."
    )
    moved_second = None if second is None else _resampled(second, transforms)
    warnings = [text] if largest > 2.0 * limit else []
    return Motion(before, True, moved, moved_second, after, text, summary, warnings)


def _register_frames(series, brain, bolus, progress):
    """Rigid transform of each frame (baseline points to frame points)."""
    geometry = series.geometry
    fixed = to_sitk(series.array[bolus.baseline].mean(axis=0, dtype=np.float32), geometry)
    mask = to_sitk(ndimage.binary_dilation(brain, np.ones((1, 3, 3), bool), iterations=2), geometry)
    corners = np.argwhere(brain)
    centre = geometry.points_of(corners.mean(axis=0)).tolist()
    flat = geometry.shape[0] < 4
    transforms, last = [], None
    for t in range(len(series.times_s)):
        progress(t / len(series.times_s), "Registering frames")
        moving = to_sitk(series.array[t].astype(np.float32), geometry)
        last = _register(fixed, moving, mask, centre, last, flat)
        transforms.append(last)
    return transforms


def _register(fixed, moving, mask, centre, start, flat):
    transform = sitk.Euler3DTransform()
    transform.SetCenter(centre)
    if start is not None:
        transform.SetParameters(start.GetParameters())
    method = sitk.ImageRegistrationMethod()
    # mutual information tolerates the darkening by the bolus
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(mask)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(float(min(1.0, _SAMPLES / np.prod(fixed.GetSize()))))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetNumberOfThreads(1)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 0.02, 25, relaxationFactor=0.5)
    method.SetOptimizerScalesFromPhysicalShift()
    if flat:
        # a slab of a few slices cannot tell tilt or shift through the plane
        method.SetOptimizerWeights([0, 0, 1, 1, 1, 0])
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    return transform


def _resampled(series, transforms):
    array = np.empty(series.array.shape, np.float32)
    for t, transform in enumerate(transforms):
        frame = to_sitk(series.array[t].astype(np.float32), series.geometry)
        outside = float(np.median(series.array[t]))
        moved = sitk.Resample(frame, frame, transform, sitk.sitkBSpline3, outside, sitk.sitkFloat32)
        array[t] = np.maximum(sitk.GetArrayFromImage(moved), 0.0)
    return Series(array, series.times_s, series.geometry, series.name, dict(series.meta))
