"""Structures from RTSTRUCT, DICOM SEG, label images and Slicer segmentations, in one form."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from BMVascularCore.errors import InputError
from BMVascularCore.io.images import read_labels
from BMVascularCore.planning.dicom_folder import object_in
from BMVascularCore.planning.roi_names import guess_type
from BMVascularCore.planning.rtstruct import RT_STRUCTURE_SET
from BMVascularCore.planning.segmentation_file import is_segmentation, read_segmentation, segment_volume
from BMVascularCore.volume import Volume

SEGMENTATION_OBJECTS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
# the second is the term of the standard for holes drawn as contours of their own, the third a common misspelling
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")


@dataclass
class Structure:
    """A named region: contours or a mask.

    Attributes
    ----------
    name : str
    kind : str
        RT ROI Interpreted Type; guessed from the name where the file gives none.
    contours : list of ndarray, shape (n, 3)
        Closed planar polygons, LPS mm; empty for masks.
    mask : Volume or None
        Boolean.
    colour : tuple of int or None
    warnings : list of str
    description : str
        Written beside the name in a structure set; empty for the usual note.
    """

    name: str
    kind: str = ""
    contours: list = field(default_factory=list)
    mask: Volume = None
    colour: tuple = None
    warnings: list = field(default_factory=list)
    description: str = ""

    @property
    def empty(self):
        """True when nothing was drawn."""
        return not self.contours and (self.mask is None or not self.mask.array.any())


@dataclass
class StructureSet:
    """Structures of one file.

    Attributes
    ----------
    structures : list of Structure
    frame_of_reference_uid : str or None
    from_contours : bool
    warnings : list of str
    patient_id : str or None
        To compare with that of the dose; never printed.
    series_uids : tuple of str
        Series that the contours were drawn on, as the file says; never printed.
    """

    structures: list
    frame_of_reference_uid: str = None
    from_contours: bool = False
    warnings: list = field(default_factory=list)
    patient_id: str = None
    series_uids: tuple = ()


def read_structures(path, names=None):
    """Read structures from an RTSTRUCT or DICOM SEG file, a label image or a ``.seg.nrrd``.

    Parameters
    ----------
    path : path-like
        File, or folder with one RTSTRUCT or SEG.
    names : dict, optional
        Label value to name, for label images.

    Returns
    -------
    StructureSet

    Raises
    ------
    InputError
        Unreadable, no structure, two structures of one name.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("this file of structures does not exist", path.name, "Check the path.")
    path = object_in(path, (RT_STRUCTURE_SET, *SEGMENTATION_OBJECTS), "RTSTRUCT or SEG")
    if is_segmentation(path):
        found = _from_segmentation(path)
    elif _is_dicom(path):
        found = _from_dicom(path)
    else:
        found = _from_labels(path, names or {})
    return _check(found, path.name)


def holds_structures(path):
    """True for files of named structures (RTSTRUCT, SEG, Slicer segmentation), False for images."""
    path = Path(path)
    return path.is_dir() or (path.is_file() and (is_segmentation(path) or _is_dicom(path)))


def _is_dicom(path):
    with open(path, "rb") as stream:
        head = stream.read(132)
    return head[128:] == b"DICM" or path.suffix.lower() in (".dcm", ".ima")


def _from_dicom(path):
    # here, because writing segmentation objects needs the structures of this file
    from BMVascularCore.planning.seg_export import read_segmentation_object

    try:
        header = pydicom.dcmread(path, specific_tags=["SOPClassUID"], force=True)
    except (InvalidDicomError, OSError, EOFError):
        return read_rtstruct(path)
    if str(header.get("SOPClassUID")) in SEGMENTATION_OBJECTS:
        return read_segmentation_object(path)
    return read_rtstruct(path)


def _from_segmentation(path):
    segments, geometry = read_segmentation(path)
    return StructureSet(
        [
            Structure(s.name, s.kind or guess_type(s.name), [], segment_volume(s, geometry), s.colour)
            for s in segments
        ]
    )


def _from_labels(path, names):
    labels = read_labels(path)
    values = [int(v) for v in np.unique(labels.array) if v > 0]
    structures = []
    for value in values:
        name = names.get(value, f"label_{value:02d}")
        structures.append(Structure(name, guess_type(name), [], labels.like(labels.array == value)))
    return StructureSet(structures)


def read_rtstruct(path):
    """Read an RT Structure Set; contours with fewer than three points are dropped and said.

    Raises
    ------
    InputError
        No RTSTRUCT, or coordinates that are not numbers.
    """
    name = Path(path).name
    try:
        data = pydicom.dcmread(path, force=True)
    except (InvalidDicomError, OSError) as error:
        raise InputError("cannot be read as DICOM", name, "Give an RTSTRUCT file.") from error
    if str(data.get("SOPClassUID")) != RT_STRUCTURE_SET:
        raise InputError(
            f"is {data.get('Modality') or 'no DICOM object'}, an RTSTRUCT or SEG is wanted", name, "Give it."
        )
    kinds = {
        int(item.ReferencedROINumber): str(item.get("RTROIInterpretedType") or "")
        for item in data.get("RTROIObservationsSequence") or []
        if "ReferencedROINumber" in item
    }
    drawn = {
        int(i.ReferencedROINumber): i
        for i in data.get("ROIContourSequence") or []
        if "ReferencedROINumber" in i
    }
    structures, numbers = [], set()
    for roi in data.get("StructureSetROISequence") or []:
        number = _roi_number(roi, name)
        if number in numbers:
            raise InputError(
                f"two structures have the number {number}: their contours cannot be told apart",
                name,
                "Export it again.",
            )
        numbers.add(number)
        title = str(roi.get("ROIName") or f"ROI {number}")
        structures.append(
            _structure(title, kinds.get(number) or guess_type(title, ""), drawn.get(number), name)
        )
    return StructureSet(
        structures,
        _frame_uid(data),
        True,
        patient_id=str(data.get("PatientID") or "") or None,
        series_uids=_series_uids(data),
    )


def _series_uids(data):
    found = [
        str(series.get("SeriesInstanceUID") or "")
        for frame in data.get("ReferencedFrameOfReferenceSequence") or []
        for study in frame.get("RTReferencedStudySequence") or []
        for series in study.get("RTReferencedSeriesSequence") or []
    ]
    return tuple(dict.fromkeys(uid for uid in found if uid))


def _roi_number(roi, name):
    if roi.get("ROINumber") is None:
        raise InputError("holds a structure without a number", name, "Export it again.")
    return int(roi.ROINumber)


def _frame_uid(data):
    for item in data.get("ReferencedFrameOfReferenceSequence") or []:
        return str(item.get("FrameOfReferenceUID") or "") or None
    return str(data.get("FrameOfReferenceUID") or "") or None


def _structure(title, kind, item, file_name):
    structure = Structure(title, kind)
    if item is None:
        return structure
    colour = item.get("ROIDisplayColor")
    if colour is not None and len(colour) == 3:
        structure.colour = tuple(int(c) for c in colour)
    dropped, seen, double = 0, set(), 0
    for part in item.get("ContourSequence") or []:
        shape = str(part.get("ContourGeometricType") or "")
        points = _points(part, title, file_name)
        if shape == "POINT" or (len(points) == 1 and shape != "CLOSED_PLANAR"):
            continue
        if len(points) < 3 or shape not in _CLOSED:
            dropped += 1
            continue
        key = np.round(points[np.lexsort(points.T)], 2).tobytes()
        if key in seen:
            # a contour that is there twice would cancel itself by the even-odd rule
            double += 1
            continue
        seen.add(key)
        structure.contours.append(points)
    if double:
        structure.warnings.append(f"{title}: {double} contours are there twice and count once")
    if dropped:
        structure.warnings.append(
            f"{title}: {dropped} contours with fewer than three points or left open are passed over"
        )
    return structure


def _decimals(value):
    """Texts of a decimal string; bytes are those of a file (above 64 kB some writers call them unknown)."""
    if isinstance(value, bytes):
        text = value.decode("ascii", "replace").strip(" \0")
        return text.split("\\") if text else []
    return [] if value is None else np.atleast_1d(value)


def _points(part, title, file_name):
    try:
        # as stored: turning each number into pydicom's decimal first takes ten times as long
        stored = part.get_item("ContourData")
        values = np.array([float(v) for v in _decimals(None if stored is None else stored.value)])
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{title} has a coordinate that is not a number", file_name, "Export it again."
        ) from error
    if len(values) % 3 or not np.isfinite(values).all():
        raise InputError(f"{title} has a contour that is not made of x, y, z", file_name, "Export it again.")
    return values.reshape(-1, 3)


def _check(found, name):
    seen = set()
    for structure in found.structures:
        if structure.name.strip().lower() in seen:
            raise InputError(
                f"two structures have the name {structure.name}", name, "Rename one of them and export again."
            )
        seen.add(structure.name.strip().lower())
        found.warnings += structure.warnings
        if structure.empty:
            found.warnings.append(f"{structure.name}: empty structure, nothing is computed for it")
    if not found.structures:
        raise InputError("holds no structure", name, "Export the structures again.")
    return found
