"""Check a structure set against its planning series before it leaves the house.

A DICOM validator reads one file by itself: it cannot see that a contour points to an image of
another series, that its points leave the slice, or that the frame of reference is another one.
"""

import re
from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.planning.contour_shape import crosses_itself
from BMVascularCore.planning.roi_names import is_reference
from BMVascularCore.planning.rtstruct import RT_STRUCTURE_SET
from BMVascularCore.planning.rules import planning_rules, roi_rules

_PLANE_TOLERANCE_MM = 1e-3
_DS = re.compile(r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$")


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes
    ----------
    code : str
        Short and stable, for programs.
    severity : {"error", "warning"}
    text : str
        One sentence for people.
    """

    code: str
    severity: str
    text: str


def preflight(data, series, mask_ml=None):
    """All findings of a structure set against its planning series.

    Parameters
    ----------
    data : pydicom.Dataset
        RT Structure Set.
    series : PlanningSeries
    mask_ml : dict, optional
        ROI name to the volume in mL of the mask it was made from.

    Returns
    -------
    list of Finding
        Empty for a clean set.
    """
    found = []
    found += _identity(data, series)
    found += _texts(data)
    found += _references(data, series)
    found += _roi_tables(data)
    images = dict(zip(series.sop_uids, range(len(series.headers)), strict=True))
    rois = data.get("StructureSetROISequence") or []
    names = {int(r.get("ROINumber", -1)): str(r.get("ROIName", "")) for r in rois}
    for item in data.get("ROIContourSequence") or []:
        name = names.get(int(item.get("ReferencedROINumber", -1)), "unnamed structure")
        found += _colour(item, name)
        volume = 0.0
        for part in item.get("ContourSequence") or []:
            found += _contour(part, name, series, images)
            volume += _contour_ml(part, series)
        found += _volume(name, volume, mask_ml)
    return list(dict.fromkeys(found))


def require_clean(findings):
    """Return the warnings; raise when there is an error.

    Raises
    ------
    InputError
        With the first error and how many there are.
    """
    errors = [one for one in findings if one.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise InputError(
            f"does not pass the check: {errors[0].text}{more}", "structure set", "Nothing was written."
        )
    return [one for one in findings if one.severity == "warning"]


def _error(code, text):
    return Finding(code, "error", text)


def _identity(data, series):
    found = []
    if str(data.get("SOPClassUID", "")) != RT_STRUCTURE_SET or str(data.get("Modality", "")) != "RTSTRUCT":
        found.append(_error("object", "the object is no RT Structure Set"))
    for tag, code, words in (
        ("PatientID", "patient", "patient ID"),
        ("StudyInstanceUID", "study", "study"),
    ):
        if str(data.get(tag, "")) != str(series.first.get(tag, "")):
            found.append(_error(code, f"the {words} is not that of the planning series"))
    frame = data.get("FrameOfReferenceUID")
    if not frame:
        found.append(_error("frame_missing", "the frame of reference UID is missing"))
    elif str(frame) != series.frame_of_reference_uid:
        found.append(_error("frame", "the frame of reference is not that of the planning series"))
    found += [
        _error("frame", f"{roi.get('ROIName')}: the frame of reference is not that of the planning series")
        for roi in data.get("StructureSetROISequence") or []
        if str(roi.get("ReferencedFrameOfReferenceUID", "")) != series.frame_of_reference_uid
    ]
    return found


_TEXT_LIMITS = {"SH": 16, "LO": 64, "CS": 16, "DS": 16, "IS": 12, "PN": 64}


def _texts(data):
    found = []
    for element in data.iterall():
        limit = _TEXT_LIMITS.get(element.VR)
        if limit is None or element.value is None:
            continue
        values = element.value if element.VM > 1 else [element.value]
        longest = max((len(_as_written(v)) for v in values), default=0)
        if longest > limit:
            found.append(
                _error(
                    f"{element.VR.lower()}_length",
                    f"{element.keyword} is longer than the {limit} characters of {element.VR}",
                )
            )
    if any(element.tag.is_private for element in data.iterall()):
        found.append(_error("private", "the structure set holds private elements"))
    return found


def _as_written(value):
    return getattr(value, "original_string", None) or str(value)


def _references(data, series):
    frames = data.get("ReferencedFrameOfReferenceSequence")
    if not frames:
        return [
            _error(
                "references", "the list of referenced images (ReferencedFrameOfReferenceSequence) is missing"
            )
        ]
    found, listed = [], set()
    for frame in frames:
        if str(frame.get("FrameOfReferenceUID", "")) != series.frame_of_reference_uid:
            found.append(
                _error("frame", "the referenced frame of reference is not that of the planning series")
            )
        for study in frame.get("RTReferencedStudySequence") or []:
            if str(study.get("ReferencedSOPInstanceUID", "")) != str(series.first.StudyInstanceUID):
                found.append(_error("study", "the referenced study is not that of the planning series"))
            for one in study.get("RTReferencedSeriesSequence") or []:
                if str(one.get("SeriesInstanceUID", "")) != str(series.first.SeriesInstanceUID):
                    found.append(_error("series", "the referenced series is not the planning series"))
                listed |= {
                    str(i.get("ReferencedSOPInstanceUID")) for i in one.get("ContourImageSequence") or []
                }
    if listed - set(series.sop_uids):
        found.append(_error("image_unknown", "an image is referenced that the planning series does not hold"))
    if set(series.sop_uids) - listed:
        found.append(_error("image_unlisted", "not every image of the planning series is referenced"))
    return found


def _roi_tables(data):
    found = []
    rois = data.get("StructureSetROISequence") or []
    numbers = [int(roi.get("ROINumber", -1)) for roi in rois]
    names = [str(roi.get("ROIName", "")).strip().lower() for roi in rois]
    if -1 in numbers:
        found.append(_error("roi_number", "a structure has no number"))
    if len(set(numbers)) < len(numbers):
        found.append(_error("roi_number", "two structures have the same number"))
    found += [
        _error("name_double", f"two structures are called {n}") for n in set(names) if names.count(n) > 1
    ]
    if "" in names:
        found.append(_error("name_empty", "a structure has no name"))
    observed = data.get("RTROIObservationsSequence") or []
    for item in (*(data.get("ROIContourSequence") or []), *observed):
        if int(item.get("ReferencedROINumber", -1)) not in numbers:
            found.append(
                _error("roi_dangling", "contours or types refer to a structure number that does not exist")
            )
    typed = {
        int(i.get("ReferencedROINumber", -1)): str(i.get("RTROIInterpretedType") or "") for i in observed
    }
    for roi, number in zip(rois, numbers, strict=True):
        kind = typed.get(number, "")
        if not kind:
            found.append(_error("type_empty", f"{roi.get('ROIName')}: the ROI type is empty"))
        elif kind not in roi_rules()["types"]:
            found.append(
                _error("type_unknown", f"{roi.get('ROIName')}: '{kind}' is not an ROI type of DICOM")
            )
        elif is_reference(roi.get("ROIName")) and kind != "CONTROL":
            found.append(
                _error("reference_type", f"{roi.get('ROIName')}: a reference structure has the type {kind}")
            )
    drawn = {
        int(i.get("ReferencedROINumber", -1))
        for i in data.get("ROIContourSequence") or []
        if i.get("ContourSequence")
    }
    found += [
        _error("roi_empty", f"{roi.get('ROIName')}: the structure has no contour")
        for roi, number in zip(rois, numbers, strict=True)
        if number not in drawn
    ]
    return found


def _colour(item, name):
    colour = item.get("ROIDisplayColor")
    if colour is None:
        return [Finding("colour_missing", "warning", f"{name}: no display colour")]
    if len(colour) != 3 or any(not 0 <= int(c) <= 255 for c in colour):
        return [_error("colour", f"{name}: the display colour is outside 0 to 255")]
    return []


def _contour(part, name, series, images):
    shape = str(part.get("ContourGeometricType", ""))
    if shape == "POINT":
        return []
    if shape != "CLOSED_PLANAR":
        return [_error("geometric_type", f"{name}: contour type {shape or 'missing'} is not CLOSED_PLANAR")]
    values = part.get("ContourData") or []
    points = _point_array(values)
    if points is None:
        return [_error("coordinates", f"{name}: a contour holds coordinates that are not x, y, z numbers")]
    found = []
    if any(not _DS.match(_as_written(v)) for v in values):
        found.append(
            _error("coordinates", f"{name}: a contour holds coordinates that are not decimal strings")
        )
    if int(part.get("NumberOfContourPoints", -1)) != len(points):
        found.append(_error("point_count", f"{name}: the stated number of contour points is wrong"))
    if len(points) < 3:
        return [*found, _error("too_few_points", f"{name}: a contour has fewer than three points")]
    references = part.get("ContourImageSequence")
    if not references:
        found.append(_error("contour_image", f"{name}: a contour does not say which image it lies on"))
        return found + _on_any_slice(points, name, series)
    k = images.get(str(references[0].get("ReferencedSOPInstanceUID", "")))
    if k is None:
        return [*found, _error("image_unknown", f"{name}: a contour lies on an image of another series")]
    return found + _placement(points, name, series, k)


def _point_array(values):
    try:
        array = np.array([float(v) for v in values])
    except (TypeError, ValueError):
        return None
    return array.reshape(-1, 3) if len(array) % 3 == 0 and np.isfinite(array).all() else None


def _on_any_slice(points, name, series):
    heights = series.geometry.index_of(points)[:, 0]
    off = np.abs(heights - np.rint(heights)).max() * series.geometry.spacing_mm[2]
    return (
        [_error("plane", f"{name}: contour points lie off the slices")]
        if off > _PLANE_TOLERANCE_MM + 2e-4
        else []
    )


def _placement(points, name, series, k):
    found = []
    header = series.headers[k]
    row_column = np.reshape([float(v) for v in header.ImageOrientationPatient], (2, 3))
    away = (points - [float(v) for v in header.ImagePositionPatient]) @ np.cross(*row_column)
    if np.ptp(away) > _PLANE_TOLERANCE_MM:
        found.append(_error("plane", f"{name}: the points of a contour do not lie in one plane"))
    elif np.abs(away).max() > _PLANE_TOLERANCE_MM:
        found.append(_error("off_slice", f"{name}: a contour lies {np.abs(away).max():.3f} mm off its slice"))
    index = series.geometry.index_of(points)[:, 1:]
    if (index < -0.5).any() or (index > np.asarray(series.geometry.shape[1:]) - 0.5).any():
        found.append(_error("extent", f"{name}: contour points lie outside the image"))
    if len(points) > 1 and np.allclose(points[0], points[-1], atol=1e-6):
        found.append(
            Finding("repeated_end", "warning", f"{name}: a contour repeats its first point at the end")
        )
    if crosses_itself(index):
        found.append(_error("crossing", f"{name}: a contour crosses itself"))
    return found


def _contour_ml(part, series):
    points = _point_array(part.get("ContourData") or [])
    if points is None or len(points) < 3 or str(part.get("ContourGeometricType")) != "CLOSED_PLANAR":
        return 0.0
    y, x = series.geometry.index_of(points)[:, 1:].T
    area = 0.5 * abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)))
    return area * series.geometry.voxel_ml


def _volume(name, volume_ml, mask_ml):
    if not mask_ml or name not in mask_ml:
        return []
    tolerance = planning_rules()["structure_set_volume_tolerance"]
    if abs(volume_ml - mask_ml[name]) > tolerance * mask_ml[name]:
        return [
            _error("volume", f"{name}: contours hold {volume_ml:.4g} mL, the mask {mask_ml[name]:.4g} mL")
        ]
    return []
