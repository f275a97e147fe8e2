"""Write an RT Structure Set on the instances of the planning series.

The planning series is not touched: the structure set refers to its own instances, study and frame
of reference, so that it lands on the series the planning system already holds.
"""

import datetime
from dataclasses import dataclass, field

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from BMVascularCore import __version__
from BMVascularCore.errors import InputError
from BMVascularCore.planning.roi_names import check_names, check_type, colour_of

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
_PATIENT_TAGS = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY_TAGS = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
NOTE = "Research use only"
# with explicit types the length of a decimal string has 16 bits; more points need the implicit encoding
_MOST_EXPLICIT_BYTES = 65_000


@dataclass
class Roi:
    """One structure to write.

    Attributes
    ----------
    name : str
    kind : str
        RT ROI Interpreted Type: GTV, CTV, PTV, ORGAN, CONTROL, ...
    contours : list of PlanarContour
    colour : tuple of int, optional
        Red, green, blue 0-255; by type where not given.
    algorithm : {"AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"}
    description : str
    """

    name: str
    kind: str
    contours: list
    colour: tuple = None
    algorithm: str = "SEMIAUTOMATIC"
    description: str = NOTE
    warnings: list = field(default_factory=list)


def new_object(series, sop_class, modality, description):
    """A DICOM object of the same patient and study as a planning series, in a new series."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    for tag in (*_PATIENT_TAGS, *_STUDY_TAGS):
        setattr(data, tag, series.first.get(tag, ""))
    if series.first.get("SpecificCharacterSet"):
        data.SpecificCharacterSet = series.first.SpecificCharacterSet
    now = datetime.datetime.now()
    data.InstanceCreationDate = data.SeriesDate = now.strftime("%Y%m%d")
    data.InstanceCreationTime = data.SeriesTime = now.strftime("%H%M%S")
    data.Modality = modality
    data.SeriesInstanceUID = generate_uid()
    data.SeriesNumber, data.InstanceNumber = 900, 1
    data.SeriesDescription = description
    data.OperatorsName = ""
    data.Manufacturer = data.ManufacturerModelName = "BMVascular"
    data.SoftwareVersions = __version__
    data.DeviceSerialNumber = "0"
    data.FrameOfReferenceUID = series.frame_of_reference_uid
    data.PositionReferenceIndicator = series.first.get("PositionReferenceIndicator", "")
    return data


def build_rtstruct(series, rois, label="BMV research"):
    """RT Structure Set of some structures.

    Parameters
    ----------
    series : PlanningSeries
    rois : list of Roi
    label : str
        Structure Set Label, at most 16 characters.

    Returns
    -------
    pydicom.FileDataset

    Raises
    ------
    InputError
        No structure, names twice, unknown types, structures without a contour.
    """
    if not rois:
        raise InputError("there is no structure to write", "structure set", "Give at least one label.")
    names, _ = check_names([roi.name for roi in rois])
    data = new_object(series, RT_STRUCTURE_SET, "RTSTRUCT", f"Structures - {NOTE.lower()}")
    data.StructureSetLabel = label[:16]
    data.StructureSetName = f"BMVascular - {NOTE.lower()}"
    data.StructureSetDate, data.StructureSetTime = data.SeriesDate, data.SeriesTime
    data.ApprovalStatus = "UNAPPROVED"
    data.ReferencedFrameOfReferenceSequence = Sequence([_frame_reference(series)])
    data.StructureSetROISequence = Sequence()
    data.ROIContourSequence = Sequence()
    data.RTROIObservationsSequence = Sequence()
    counts = {}
    for number, (roi, name) in enumerate(zip(rois, names, strict=True), start=1):
        kind = check_type(roi.kind, name)
        if not roi.contours:
            raise InputError("has no contour on the planning series", name, "Remove it or draw it.")
        colour = roi.colour or colour_of(kind, counts.get(kind, 0))
        counts[kind] = counts.get(kind, 0) + 1
        data.StructureSetROISequence.append(_roi_item(series, number, name, roi))
        data.ROIContourSequence.append(_contour_item(series, number, roi, colour))
        data.RTROIObservationsSequence.append(_observation_item(number, name, kind))
    if _longest_contour(data) > _MOST_EXPLICIT_BYTES:
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return data


def _longest_contour(data):
    """Bytes of the longest element of contour points."""
    parts = [part for item in data.ROIContourSequence for part in item.ContourSequence]
    return max(sum(len(str(value)) + 1 for value in part.ContourData) for part in parts)


def _frame_reference(series):
    images = Sequence([_image_reference(header) for header in series.headers])
    referenced_series = Dataset()
    referenced_series.SeriesInstanceUID = series.first.SeriesInstanceUID
    referenced_series.ContourImageSequence = images
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = series.first.StudyInstanceUID
    study.RTReferencedSeriesSequence = Sequence([referenced_series])
    frame = Dataset()
    frame.FrameOfReferenceUID = series.frame_of_reference_uid
    frame.RTReferencedStudySequence = Sequence([study])
    return frame


def _image_reference(header):
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def _roi_item(series, number, name, roi):
    item = Dataset()
    item.ROINumber = number
    item.ReferencedFrameOfReferenceUID = series.frame_of_reference_uid
    item.ROIName = name
    item.ROIDescription = roi.description[:1024]
    item.ROIGenerationAlgorithm = roi.algorithm
    return item


def _contour_item(series, number, roi, colour):
    item = Dataset()
    item.ROIDisplayColor = [int(np.clip(value, 0, 255)) for value in colour]
    item.ReferencedROINumber = number
    item.ContourSequence = Sequence()
    for contour in sorted(roi.contours, key=lambda one: one.slice_index):
        points = series.points_of(contour.slice_index, contour.points_ji)
        part = Dataset()
        part.ContourImageSequence = Sequence([_image_reference(series.headers[contour.slice_index])])
        part.ContourGeometricType = "CLOSED_PLANAR"
        part.NumberOfContourPoints = len(points)
        part.ContourData = [decimal_string(value) for value in points.ravel()]
        item.ContourSequence.append(part)
    return item


def decimal_string(value):
    """A number as DICOM decimal string with four decimals (0.1 micrometre), within 16 characters."""
    return f"{float(value) + 0.0:.4f}"


def _observation_item(number, name, kind):
    item = Dataset()
    item.ObservationNumber = number
    item.ReferencedROINumber = number
    item.ROIObservationLabel = name[:16]
    item.RTROIInterpretedType = kind
    item.ROIInterpreter = ""
    return item
