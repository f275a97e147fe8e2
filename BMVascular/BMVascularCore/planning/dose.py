"""Dose grids: RTDOSE and dose images in gray, and dose between grid points."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import ImplicitVRLittleEndian
from scipy import ndimage

from BMVascularCore.errors import InputError
from BMVascularCore.io.images import read_volume
from BMVascularCore.planning.dicom_folder import object_in
from BMVascularCore.planning.geometry_tags import numbers_of, pixel_spacing, row_and_column
from BMVascularCore.volume import Geometry, Volume

RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
_WHOLE_PLAN = ("PLAN", "MULTI_PLAN", "PLAN_OVERVIEW")
_UNLIKELY_GY = 400.0
# a peak between grid points may exceed its neighbours a little; spline ringing exceeds them more
_OVERSHOOT = 0.01
_STEP_TOLERANCE_MM = 0.01


@dataclass
class DoseGrid:
    """Physical dose of a whole plan.

    Attributes
    ----------
    volume : Volume
        Gray.
    frame_of_reference_uid : str or None
    warnings : list of str
    states_units : bool
        True where the file itself says gray.
    patient_id : str or None
        To compare with that of the structures; never printed.
    """

    volume: Volume
    frame_of_reference_uid: str = None
    warnings: list = field(default_factory=list)
    states_units: bool = False
    patient_id: str = None

    @property
    def geometry(self):
        """Grid of the dose."""
        return self.volume.geometry

    @property
    def maximum_gy(self):
        """Largest grid value."""
        return float(self.volume.array.max())


def read_dose(path, units=None):
    """Read an RTDOSE file or a dose image.

    Parameters
    ----------
    path : path-like
        File, or folder with one RTDOSE.
    units : {"gy", "cgy"}, optional
        Of an image; RTDOSE states its own.

    Returns
    -------
    DoseGrid

    Raises
    ------
    InputError
        Relative dose, dose of a beam or a fraction, unknown units, uneven frames, values below zero.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("this dose file does not exist", path.name, "Check the path.")
    path = object_in(path, (RT_DOSE,), "RTDOSE")
    if _looks_like_dicom(path):
        dose = _from_rtdose(path)
    else:
        dose = DoseGrid(_scaled(read_volume(path), units))
    return _check(dose, path.name, units)


def dose_of_volume(volume, units="gy"):
    """Take an image that is already in memory as dose, with the checks of :func:`read_dose`.

    Parameters
    ----------
    volume : Volume
    units : {"gy", "cgy"}

    Returns
    -------
    DoseGrid

    Raises
    ------
    InputError
        Values that cannot be the dose of a plan.
    """
    grid = DoseGrid(_scaled(volume, units), volume.meta.get("frame_of_reference_uid"))
    return _check(grid, volume.name, units)


def _looks_like_dicom(path):
    with open(path, "rb") as stream:
        head = stream.read(132)
    return head[128:] == b"DICM" or path.suffix.lower() in (".dcm", ".ima")


def _scaled(volume, units):
    factor = 0.01 if units == "cgy" else 1.0
    return volume.like(volume.array.astype(np.float32) * factor)


def _check(dose, name, units):
    array = dose.volume.array
    if not np.isfinite(array).all():
        raise InputError("holds dose values that are not numbers", name, "Export the dose again.")
    if float(array.min()) < -1e-3 * max(float(array.max()), 1.0):
        raise InputError("holds dose below zero", name, "Export the dose of the whole plan.")
    if dose.maximum_gy <= 0.0:
        raise InputError("holds no dose above zero", name, "Export the dose of the whole plan.")
    if dose.maximum_gy > _UNLIKELY_GY:
        told = f"reaches {dose.maximum_gy:.0f} Gy, which can hardly be: it looks like cGy"
        if dose.states_units:
            dose.warnings.append(f"the dose {told}")
        else:
            raise InputError(
                told, name, "Add --dose-units cgy if so." if units is None else "Check the units."
            )
    return dose


def _from_rtdose(path):
    try:
        data = pydicom.dcmread(path, force=True)
    except (InvalidDicomError, OSError) as error:
        raise InputError("cannot be read as DICOM", path.name, "Give an RTDOSE file.") from error
    if str(data.get("Modality")) != "RTDOSE" or str(data.get("SOPClassUID") or RT_DOSE) != RT_DOSE:
        raise InputError(
            f"is {data.get('Modality') or 'no DICOM object'}, an RTDOSE is wanted", path.name, "Give it."
        )
    warnings = _refuse_kind(data, path.name)
    geometry, flip = _dose_geometry(data, path.name)
    if "TransferSyntaxUID" not in data.file_meta:
        # a file without a meta header is in DICOM's default encoding
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    try:
        pixels = np.asarray(data.pixel_array, dtype=np.float64)
    except (AttributeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise InputError("its dose values cannot be decoded", path.name, "Export it uncompressed.") from error
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    if pixels.shape != geometry.shape:
        raise InputError(
            "its dose values do not fit the stated frames, rows and columns",
            path.name,
            "Export the dose again.",
        )
    scale = data.get("DoseGridScaling")
    if scale is None or float(scale) <= 0:
        raise InputError("lacks a dose grid scaling above zero", path.name, "Export the dose again.")
    factor = float(scale) * (0.01 if str(data.DoseUnits).upper() == "CGY" else 1.0)
    array = (pixels[::-1] if flip else pixels) * factor
    volume = Volume(np.ascontiguousarray(array, dtype=np.float32), geometry, "dose")
    frame, patient = (str(data.get(tag) or "") or None for tag in ("FrameOfReferenceUID", "PatientID"))
    return DoseGrid(volume, frame, warnings, True, patient)


def _refuse_kind(data, name):
    warnings = []
    units = str(data.get("DoseUnits") or "").upper()
    if units == "CGY":
        warnings.append("dose units CGY are not DICOM; the values are taken as centigray")
    elif units != "GY":
        raise InputError(
            f"dose units are {units or 'missing'}, absolute dose in GY is wanted",
            name,
            "Export absolute dose.",
        )
    kind = str(data.get("DoseType") or "").upper()
    if kind == "ERROR":
        raise InputError("holds dose differences (type ERROR), not dose", name, "Export the plan's dose.")
    if kind != "PHYSICAL":
        warnings.append(f"dose type is {kind or 'missing'}, not PHYSICAL")
    summation = str(data.get("DoseSummationType") or "").upper()
    if summation and summation not in _WHOLE_PLAN:
        raise InputError(f"holds the dose of a {summation}, not of the whole plan", name, "Export the sum.")
    if not summation:
        warnings.append("dose summation type is missing; the dose is taken as that of the whole plan")
    return warnings


def _dose_geometry(data, name):
    """Grid of an RTDOSE and whether its frames run against the slice normal."""
    row_column = row_and_column(data, name)
    row_step, column_step = pixel_spacing(data, name)
    normal = np.cross(*row_column)
    origin = numbers_of(data, "ImagePositionPatient", 3, name)
    frames = int(data.get("NumberOfFrames") or 1)
    offsets = _frame_offsets(data, frames, origin, normal, name)
    flip = frames > 1 and offsets[-1] < offsets[0]
    step = abs(offsets[1] - offsets[0]) if frames > 1 else float(data.get("SliceThickness") or 1.0)
    first = origin + normal * (offsets[-1] if flip else offsets[0])
    direction = np.stack([row_column[0], row_column[1], normal], axis=1)
    shape = (frames, int(data.Rows), int(data.Columns))
    return Geometry(shape, (column_step, row_step, step), tuple(first), tuple(direction.ravel())), flip


def _frame_offsets(data, frames, origin, normal, name):
    """Distance of every frame from the image position, along the slice normal, mm."""
    if frames == 1:
        return np.zeros(1)
    vector = data.get("GridFrameOffsetVector")
    if vector is None or len(vector) < frames:
        raise InputError("does not say where its frames lie", name, "Export the dose again.")
    offsets = numbers_of(data, "GridFrameOffsetVector", len(vector), name)[:frames]
    if abs(offsets[0]) > 1e-6:
        # the absolute form of DICOM C.8.8.3.2: patient z of each frame, axial grids only
        if abs(abs(normal[2]) - 1.0) > 1e-4 or abs(offsets[0] - origin[2]) > _STEP_TOLERANCE_MM:
            raise InputError(
                "states frame positions that do not fit its image position", name, "Export it again."
            )
        offsets = (offsets - origin[2]) * np.sign(normal[2])
    steps = np.diff(offsets)
    if np.abs(steps - steps.mean()).max() > _STEP_TOLERANCE_MM or abs(steps.mean()) < 1e-3:
        raise InputError("its frames are uneven", name, "Export the dose on an even grid.")
    return offsets


class DoseField:
    """Dose between grid points: cubic B-spline, held within the neighbouring grid values.

    Linear interpolation cuts the peaks of small targets and shrinks their isodose volumes by a
    tenth; the spline does not, but rings where the grid is too coarse. It is therefore kept within the
    range of the surrounding 4 x 4 x 4 grid values, with 1 % of leave upwards for a peak between points.
    """

    def __init__(self, dose):
        self.geometry = dose.geometry
        self.array = np.asarray(dose.volume.array, np.float32)
        self.spline = _prefiltered(self.array)
        self.low = _window(ndimage.minimum_filter, self.array)
        self.high = _window(ndimage.maximum_filter, self.array) * (1 + _OVERSHOOT)
        self.clamped_share = 0.0

    def at_index(self, index_kji):
        """Dose in Gy at fractional grid indices, shape (n, 3)."""
        where = np.asarray(index_kji, float).T
        values = ndimage.map_coordinates(self.spline, where, order=3, prefilter=False, mode="mirror")
        cell = tuple(
            np.clip(np.floor(axis).astype(int), 0, max(n - 2, 0))
            for axis, n in zip(where, self.array.shape, strict=True)
        )
        kept = np.clip(values, self.low[cell], self.high[cell])
        if len(values):
            share = float(np.mean(np.abs(kept - values) > 0.01 * self.high[cell]))
            self.clamped_share = max(self.clamped_share, share)
        return kept

    def at(self, points_lps_mm):
        """Dose in Gy at points, shape (n, 3); NaN outside the grid."""
        index = self.geometry.index_of(points_lps_mm)
        inside = np.all((index >= -0.5) & (index <= np.asarray(self.array.shape) - 0.5), axis=1)
        values = np.full(len(index), np.nan)
        values[inside] = self.at_index(index[inside])
        return values


def _prefiltered(array):
    if min(array.shape) == 1:
        filtered = array.astype(np.float32)
        for axis, size in enumerate(array.shape):
            if size > 1:
                filtered = ndimage.spline_filter1d(filtered, 3, axis, output=np.float32, mode="mirror")
        return filtered
    return ndimage.spline_filter(array, order=3, output=np.float32, mode="mirror")


def _window(function, array):
    """Extreme of the 4 x 4 x 4 grid values around the cell that starts at every voxel."""
    return function(array, size=4, mode="nearest", origin=-1)
