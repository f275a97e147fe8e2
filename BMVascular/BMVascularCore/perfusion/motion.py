"""Motion of the head between the frames: measured first, corrected where it helps.

The measurement is one linear least-squares step per frame: for small motion the change of a frame is
its intensity gradient times the displacement of a rigid body, plus a change of gain and the picture of
the bolus. It costs a matrix product, so every run can afford it. Only where it finds motion is the step
repeated on the resampled frame (Gauss-Newton registration), and only frames that moved are resampled.
"""

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from scipy import linalg, ndimage

from BMVascularCore.progress import share_of
from BMVascularCore.volume import Series, to_sitk

# share of the smaller in-plane voxel side from which registration is worth its interpolation
_WORTH_VOXELS = 0.35
_POINTS = 12000
# a head coil leaves no room for more; such a figure means that the picture has no structure to measure by
_IMPLAUSIBLE_MM = 25.0
# frames that are measured, and registration steps of a frame
_MEASURED_FRAMES = 16
_STEPS = 5
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
    """Displacement of the brain in some frames outside the first pass.

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
    body = _RigidBody(array, brain, bolus, geometry)
    out = np.full(len(array), np.nan)
    still = [t for t in range(bolus.skip, len(array)) if not bolus.start < t <= bolus.first_pass_end]
    for position in np.unique(np.linspace(0, len(still) - 1, _MEASURED_FRAMES).astype(int)):
        t = still[position]
        out[t] = body.displacement_mm(body.step(array[t]))
    return out


class _RigidBody:
    """Linear model of how a frame changes when the head moves; axes are those of the array, in mm."""

    def __init__(self, array, brain, bolus, geometry):
        self.geometry = geometry
        self.smooth = _smoother(array.shape[1:], geometry)
        reference = self.smooth(array[bolus.baseline].mean(axis=0, dtype=np.float32))
        peak = slice(max(bolus.peak - 1, 0), bolus.peak + 2)
        drop = reference - self.smooth(array[peak].mean(axis=0, dtype=np.float32))
        # the border of the brain is the strongest edge
        index = np.argwhere(ndimage.binary_dilation(brain, np.ones((1, 3, 3), bool)))
        index = index[:: max(1, len(index) // _POINTS)]
        self.where, self.spacing = tuple(index.T), np.asarray(geometry.spacing_kji_mm)
        axes = [a for a in range(3) if array.shape[a + 1] > 1]
        gradient = np.zeros((len(index), 3))
        for a in axes:
            gradient[:, a] = np.gradient(reference, self.spacing[a], axis=a)[self.where]
        self.centre = index.mean(axis=0)
        self.moves, self.names = _rigid_moves((index - self.centre) * self.spacing, axes)
        # a point that moves by d brings the value of x - d
        motion = -np.einsum("na,nap->np", gradient, self.moves)
        self.values = reference[self.where]
        design = np.column_stack([motion, np.ones(len(index)), self.values, drop[self.where]])
        self.solver = np.linalg.pinv(design)[: len(self.names)]

    def step(self, frame):
        """Rigid parameters of a frame, to first order."""
        return self.solver @ (self.smooth(frame)[self.where] - self.values)

    def displacement_mm(self, parameters):
        """95th percentile of the voxels' displacement."""
        shift = np.einsum("nap,p->na", self.moves, parameters)
        return float(np.percentile(np.linalg.norm(shift, axis=1), 95))

    def matrix(self, parameters):
        """4 x 4 matrix of a step, array axes in mm about the centre."""
        turn, out = np.zeros((3, 3)), np.eye(4)
        for (kind, *axis), value in zip(self.names, parameters, strict=True):
            if kind == "shift":
                out[axis[0], 3] = value
            else:
                turn[axis[0], axis[1]], turn[axis[1], axis[0]] = -value, value
        out[:3, :3] = linalg.expm(turn)
        return out

    def transform(self, matrix):
        """The same as a SimpleITK transform from baseline points to frame points."""
        axes = np.reshape(self.geometry.direction, (3, 3))[:, ::-1]
        out = sitk.AffineTransform(3)
        out.SetMatrix((axes @ matrix[:3, :3] @ axes.T).ravel().tolist())
        out.SetCenter(self.geometry.points_of(self.centre).tolist())
        out.SetTranslation((axes @ matrix[:3, 3]).tolist())
        return out


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
    """Displacement (n, 3, p) of each point for a unit of each rigid parameter, and what each one is."""
    columns = [np.broadcast_to(np.eye(3)[a], place.shape) for a in axes]
    names = [("shift", a) for a in axes]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        if a in axes and b in axes:
            turn = np.zeros(place.shape)
            turn[:, a], turn[:, b] = -place[:, b], place[:, a]
            columns.append(turn)
            names.append(("turn", a, b))
    return np.stack(columns, axis=2), names


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
    if largest > _IMPLAUSIBLE_MM:
        summary["motion_mm"] = None
        text = "Motion between frames could not be measured (too little structure) and was not corrected."
        return Motion(before, False, series, second, float("nan"), text, summary, [text])
    transforms = _register_frames(series, brain, bolus, limit, share_of(progress, 0.0, 0.1))
    moved = _resampled(series, transforms)
    after = float(np.nanmax(measure_motion(moved.array, brain, bolus, series.geometry)))
    summary["motion_residual_mm"] = round(after, 3)
    shifted = np.flatnonzero(before > min(limit, 0.5 * largest))
    if after >= largest or not _more_alike(series, moved, shifted, brain, bolus):
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


def _more_alike(series, moved, frames, brain, bolus):
    """True when registration made the moved frames clearly more like the baseline."""
    base = series.array[bolus.baseline].mean(axis=0, dtype=np.float32)[brain]

    def unlike(array):
        pairs = [array[t][brain].astype(np.float32) for t in frames]
        if any(np.ptp(values) == 0 for values in pairs) or np.ptp(base) == 0:
            return np.inf
        return float(np.mean([1.0 - np.corrcoef(values, base)[0, 1] for values in pairs]))

    return unlike(moved.array) < 0.9 * unlike(series.array)


def _register_frames(series, brain, bolus, limit_mm, progress):
    """Rigid transform of each frame (baseline points to frame points); None where it did not move."""
    body = _RigidBody(series.array, brain, bolus, series.geometry)
    transforms = []
    for t, frame in enumerate(series.array):
        progress(t / len(series.times_s), "Registering frames")
        total, moved = np.eye(4), frame
        for _ in range(_STEPS):
            parameters = body.step(moved)
            total = total @ body.matrix(parameters)
            moved = _moved(frame, series.geometry, body.transform(total), sitk.sitkLinear)
            if body.displacement_mm(parameters) < 0.05 * limit_mm:
                break
        shift = np.abs(total - np.eye(4))
        reach = shift[:3, 3].max() + 80.0 * shift[:3, :3].max()
        transforms.append(body.transform(total) if reach > 0.3 * limit_mm else None)
    return transforms


def _moved(frame, geometry, transform, interpolator):
    image = to_sitk(np.asarray(frame, dtype=np.float32), geometry)
    # outside of the frame: its median, which is background in a head
    moved = sitk.Resample(image, image, transform, interpolator, float(np.median(frame)), sitk.sitkFloat32)
    return sitk.GetArrayFromImage(moved)


def _resampled(series, transforms):
    # whole numbers stay whole numbers: half the memory, and rounding lies far below the noise
    whole = series.array.dtype.kind in "iu"
    array = np.empty(series.array.shape, series.array.dtype if whole else np.float32)
    for t, transform in enumerate(transforms):
        if transform is None:
            array[t] = series.array[t]
        else:
            moved = np.maximum(_moved(series.array[t], series.geometry, transform, sitk.sitkBSpline3), 0.0)
            array[t] = np.minimum(np.rint(moved), np.iinfo(array.dtype).max) if whole else moved
    return Series(array, series.times_s, series.geometry, series.name, dict(series.meta))
