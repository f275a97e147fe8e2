"""The planning series (CT, or MR as in Gamma Knife): read its headers and refuse what must not be planned on.

A structure set on a tilted, uneven or incomplete series lands in the wrong place in the planning
system, without any sign of it. Such a series is refused with the reason; what is only doubtful is said.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from BMVascularCore.errors import InputError
from BMVascularCore.planning.geometry_tags import numbers_of, pixel_spacing, row_and_column
from BMVascularCore.planning.rules import planning_rules
from BMVascularCore.volume import Geometry

PLANNING_MODALITIES = ("CT", "MR")
_RESAMPLE = "Scan again, or reconstruct an even axial series without tilt, and plan on that."


@dataclass
class PlanningSeries:
    """Headers of one checked series.

    Attributes
    ----------
    headers : list of pydicom.Dataset
        Without pixels, in the order of the slices along the normal.
    geometry : Geometry
    name : str
    warnings : list of str
        What is doubtful although it can be planned on.
    """

    headers: list
    geometry: Geometry
    name: str = "planning series"
    warnings: list = field(default_factory=list)

    @property
    def first(self):
        """Header of the first slice."""
        return self.headers[0]

    @property
    def modality(self):
        """``CT`` or ``MR``."""
        return str(self.first.Modality)

    @property
    def frame_of_reference_uid(self):
        """The frame of reference that all slices share."""
        return str(self.first.FrameOfReferenceUID)

    @property
    def sop_uids(self):
        """SOP Instance UIDs in slice order."""
        return [str(header.SOPInstanceUID) for header in self.headers]

    def points_of(self, slice_index, points_ji):
        """LPS mm of points on one slice, from that slice's own position, shape (n, 3)."""
        header = self.headers[slice_index]
        row_step, column_step = (float(s) for s in header.PixelSpacing)
        along_row, along_column = np.reshape([float(v) for v in header.ImageOrientationPatient], (2, 3))
        points = np.asarray(points_ji, float)
        return (
            np.array([float(v) for v in header.ImagePositionPatient])
            + points[:, 1:2] * column_step * along_row
            + points[:, 0:1] * row_step * along_column
        )


def read_planning_series(folder, series_uid=None, allow_thick=False):
    """Read and check the headers of a planning series.

    Parameters
    ----------
    folder : path-like
        Folder with one image series; other DICOM objects in it are passed over.
    series_uid : str, optional
        Which series, where the folder holds several.
    allow_thick : bool
        Plan on slices thicker than the limit all the same.

    Returns
    -------
    PlanningSeries

    Raises
    ------
    InputError
        One sentence with the reason: no series or several, another modality, several frames of reference or
        patients, duplicate UIDs or positions, missing or uneven slices, gantry tilt, thick slices.
    """
    folder = Path(folder)
    headers = _image_headers(folder)
    headers = _one_series(headers, folder.name, series_uid)
    return check_planning_series(headers, folder.name, allow_thick)


def check_planning_series(headers, name="planning series", allow_thick=False):
    """Check and sort the headers of one series; see :func:`read_planning_series`."""
    _require_tags(headers, name)
    _require_one_value(headers, name)
    _require_unique_instances(headers, name)
    row_column = row_and_column(headers[0], name)
    normal = np.cross(*row_column)
    places = np.array([numbers_of(header, "ImagePositionPatient", 3, name) for header in headers])
    order = np.argsort(places @ normal, kind="stable")
    headers, places = [headers[i] for i in order], places[order]
    warnings = _patient_position_notes(headers[0])
    _refuse_tilt(headers, places, normal, name)
    step = _slice_step(places @ normal, name)
    warnings += _thickness_notes(headers, step, name, allow_thick)
    warnings += _orientation_notes(headers[0], normal)
    geometry = _geometry(headers, row_column, normal, step, name)
    for header in headers:
        _complete(header, step)
    return PlanningSeries(headers, geometry, name, warnings)


def _image_headers(folder):
    if not folder.is_dir():
        raise InputError("this folder does not exist", folder.name, "Give the folder of the planning series.")
    headers = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError, EOFError):
            continue
        other = header.get("Modality") in ("RTDOSE", "SEG", "SC", None)
        if "Rows" in header and not other and "LOCALIZER" not in (header.get("ImageType") or []):
            headers.append(header)
    if not headers:
        raise InputError("holds no DICOM image", folder.name, "Give the folder of the planning series.")
    return headers


def _one_series(headers, name, series_uid):
    groups = {}
    for header in headers:
        groups.setdefault(str(header.get("SeriesInstanceUID", "")), []).append(header)
    if series_uid is not None:
        if series_uid not in groups:
            raise InputError("does not hold the series that was asked for", name, "Check the series UID.")
        return groups[series_uid]
    if len(groups) > 1:
        kinds = ", ".join(f"{g[0].get('Modality', '?')} with {len(g)} images" for g in groups.values())
        raise InputError(
            f"holds {len(groups)} image series ({kinds}), one is wanted",
            name,
            "Give a folder with the planning series alone, or its UID (--series).",
        )
    return next(iter(groups.values()))


def _require_tags(headers, name):
    modality = str(headers[0].get("Modality", ""))
    if modality not in PLANNING_MODALITIES:
        raise InputError(f"is a {modality or 'nameless'} series, CT or MR is wanted", name, "Give the CT.")
    for header in headers:
        if int(header.get("NumberOfFrames", 1) or 1) > 1:
            raise InputError(
                "holds a multi-frame image, one file a slice is wanted",
                name,
                "Export the series as single-frame images.",
            )
        for tag in (
            "ImagePositionPatient",
            "ImageOrientationPatient",
            "PixelSpacing",
            "FrameOfReferenceUID",
            "SOPClassUID",
            "SOPInstanceUID",
            "SeriesInstanceUID",
            "StudyInstanceUID",
        ):
            if not header.get(tag):
                raise InputError(f"an image lacks {tag}", name, "Export the series again from its source.")
    if len(headers) < 2:
        raise InputError("holds a single slice", name, "Give the whole series.")


_MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip
_ONE_VALUE = {
    "FrameOfReferenceUID": "frames of reference",
    "StudyInstanceUID": "studies",
    "PatientID": "patients",
    "Rows": "image heights",
    "Columns": "image widths",
    "PixelSpacing": "pixel spacings",
    "ImageOrientationPatient": "orientations",
}


def _require_one_value(headers, name):
    for tag, words in _ONE_VALUE.items():
        values = {_rounded(header.get(tag)) for header in headers}
        if len(values) > 1:
            raise InputError(
                f"its images have {len(values)} different {words}",
                name,
                "Give one series of one scan; a structure set may have one frame of reference only."
                if tag == "FrameOfReferenceUID"
                else "Give one series of one scan.",
            )


def _rounded(value):
    if isinstance(value, pydicom.multival.MultiValue):
        return tuple(round(float(v), 4) for v in value)
    return str(value)


def _require_unique_instances(headers, name):
    uids = [str(header.SOPInstanceUID) for header in headers]
    if len(set(uids)) < len(uids):
        raise InputError(
            f"{len(uids) - len(set(uids))} images share their SOP Instance UID with another",
            name,
            "Remove the copies, or export the series again.",
        )


def _refuse_tilt(headers, places, normal, name):
    tilt = float(headers[0].get("GantryDetectorTilt") or 0.0)
    run = places[-1] - places[0]
    along = float(run @ normal)
    lean = 0.0 if along <= 0 else float(np.degrees(np.arctan2(np.linalg.norm(run - along * normal), along)))
    is_ct = str(headers[0].Modality) == "CT"
    limit = planning_rules()["gantry_tilt_deg"]
    if lean > limit or (is_ct and abs(tilt) > limit):
        steps = np.diff(places @ normal)
        uneven = np.ptp(steps) > planning_rules()["slice_step_tolerance_mm"]
        also = f" and slice distances from {steps.min():.2f} to {steps.max():.2f} mm" if uneven else ""
        raise InputError(f"has a gantry tilt of {_degrees(lean, tilt)} deg{also}", name, _RESAMPLE)


def _degrees(lean, tilt):
    return f"{tilt:+.1f}" if abs(tilt) > 0.1 else f"{lean:.1f}"


def _slice_step(heights, name):
    steps = np.diff(heights)
    tolerance = planning_rules()["slice_step_tolerance_mm"]
    if (steps < tolerance).any():
        where = heights[int(np.argmin(steps))]
        raise InputError(
            f"two images lie at the same position ({where:.2f} mm along the normal)",
            name,
            "Remove the duplicate slices.",
        )
    step = float(np.median(steps))
    wrong = np.flatnonzero(np.abs(steps - step) > tolerance)
    if len(wrong) == 0:
        return float(np.mean(steps))
    ratio = steps[wrong] / step
    if np.all(np.abs(ratio - np.rint(ratio)) * step <= 2 * tolerance) and (ratio > 1.5).all():
        missing = int(np.sum(np.rint(ratio) - 1))
        raise InputError(
            f"{missing} slice{'s are' if missing > 1 else ' is'} missing after position "
            f"{heights[wrong[0]]:.2f} mm (step {step:.2f} mm, gap {steps[wrong[0]]:.2f} mm)",
            name,
            "Import the whole series again.",
        )
    raise InputError(
        f"its slices are uneven: distances from {steps.min():.2f} to {steps.max():.2f} mm", name, _RESAMPLE
    )


def _thickness_notes(headers, step, name, allow_thick):
    rules = planning_rules()["slice_thickness_mm"][str(headers[0].Modality)]
    stated = float(headers[0].get("SliceThickness") or step)
    notes = []
    if rules["refuse"] is not None and step > rules["refuse"] and not allow_thick:
        raise InputError(
            f"its slices are {step:.2f} mm apart, more than {rules['refuse']:g} mm: small targets are lost",
            name,
            "Plan on thinner slices, or add --allow-thick-slices.",
        )
    if step > rules["warn"]:
        notes.append(
            f"slices are {step:.2f} mm apart; {rules['warn']:g} mm or less is wanted for small targets"
        )
    if abs(stated - step) > 0.05 * step:
        notes.append(
            f"slice thickness is {stated:.2f} mm at a slice distance of {step:.2f} mm (gap or overlap)"
        )
    return notes


def _orientation_notes(header, normal):
    if np.abs(normal[2]) < np.cos(np.radians(0.1)):
        return ["the slices are oblique; many planning systems take axial slices only"]
    along_row = np.array([float(v) for v in header.ImageOrientationPatient][:3])
    if np.abs(along_row).max() < np.cos(np.radians(0.1)):
        return ["the slices are turned in their plane; some planning systems refuse this"]
    return []


def _patient_position_notes(header):
    position = str(header.get("PatientPosition") or "")
    if position and position != "HFS":
        return [f"patient position is {position}, not head first supine; check the planning system's axes"]
    return []


def _complete(header, step):
    """Elements of type 2, which may be empty and are left out by some exporters, so that all objects can be built."""
    for tag in _MAY_BE_EMPTY:
        if tag not in header:
            setattr(header, tag, "")
    if not header.get("SliceThickness"):
        header.SliceThickness = step


def _geometry(headers, row_column, normal, step, name):
    row_step, column_step = pixel_spacing(headers[0], name)
    direction = np.stack([row_column[0], row_column[1], normal], axis=1)
    return Geometry(
        (len(headers), int(headers[0].Rows), int(headers[0].Columns)),
        (column_step, row_step, step),
        tuple(float(v) for v in headers[0].ImagePositionPatient),
        tuple(direction.ravel().tolist()),
    )
