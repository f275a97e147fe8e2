"""RTDOSE and RTSTRUCT as other systems write them, with pydicom alone and in many encodings."""

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from BMVascularCore.io.dicom_files import save_dicom

FRAME = "1.2.826.0.1.3680043.8.498.1"
DOSE_CLASS, STRUCTURE_CLASS = "1.2.840.10008.5.1.4.1.1.481.2", "1.2.840.10008.5.1.4.1.1.481.3"
HFS, FFS = (1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, 1, 0)
HFP, FFP = (-1, 0, 0, 0, -1, 0), (1, 0, 0, 0, -1, 0)
DECUBITUS, SAGITTAL, CORONAL = (0, 1, 0, -1, 0, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)


def _object(sop_class, modality, syntax, frame):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = syntax
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "Phantom^Test", "PH1", "", "O"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.Modality = generate_uid(), generate_uid(), modality
    data.FrameOfReferenceUID = frame
    return data


def _change(data, changes):
    for key, value in changes.items():
        if value is None:
            delattr(data, key)
        else:
            setattr(data, key, value)
    return data


def write_dose(
    path, function, centre=(0.0, 0.0, 0.0), half_mm=24.0, spacing=(1.0, 1.0, 1.0), axes=HFS, falling=False,
    absolute=False, bits=32, units="GY", syntax=ExplicitVRLittleEndian, frame=FRAME, **changes,
):  # fmt: skip
    """RTDOSE of a function of LPS points (..., 3) to Gy.

    ``spacing``: between columns, rows, frames. ``falling``: frame offsets count downwards. ``absolute``: offsets
    are patient positions, for axial grids. ``changes``: elements to set, None to leave out.
    """
    along_row, along_column = np.reshape(np.array(axes, float), (2, 3))
    normal = np.cross(along_row, along_column)
    counts = [int(2 * half_mm / step) + 1 for step in spacing]
    offsets = np.arange(counts[2]) * spacing[2] * (-1 if falling else 1)
    first = (
        np.array(centre)
        - along_row * (counts[0] - 1) / 2 * spacing[0]
        - along_column * (counts[1] - 1) / 2 * spacing[1]
        - normal * offsets[-1] / 2
    )
    k, j, i = np.meshgrid(
        offsets, np.arange(counts[1]) * spacing[1], np.arange(counts[0]) * spacing[0], indexing="ij"
    )
    points = first + i[..., None] * along_row + j[..., None] * along_column + k[..., None] * normal
    dose = function(points) * (100.0 if units == "CGY" else 1.0)
    data = _object(DOSE_CLASS, "RTDOSE", syntax, frame)
    data.DoseUnits, data.DoseType, data.DoseSummationType = units, "PHYSICAL", "PLAN"
    data.NumberOfFrames, data.Rows, data.Columns = counts[2], counts[1], counts[0]
    data.ImagePositionPatient = [f"{v:.6g}" for v in first]
    data.ImageOrientationPatient = [float(v) for v in axes]
    data.PixelSpacing, data.FrameIncrementPointer = [spacing[1], spacing[0]], 0x3004000C
    stated = offsets * np.sign(normal[2]) + first[2] if absolute else offsets
    data.GridFrameOffsetVector = [f"{v:.6g}" for v in stated]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    scale = float(f"{dose.max() * 1.01 / (2**bits - 1):.8g}")
    data.DoseGridScaling = scale
    order = "<" if syntax.is_little_endian else ">"
    data.PixelData = np.round(dose / scale).astype(f"{order}u{bits // 8}").tobytes()
    data["PixelData"].VR = "OW"
    save_dicom(path, _change(data, changes))
    return path


def write_structures(path, rois, syntax=ExplicitVRLittleEndian, charset=None, frame=FRAME, **changes):
    """RTSTRUCT of (name, type, contours); a contour is (geometric type, points), contours None for no sequence."""
    data = _object(STRUCTURE_CLASS, "RTSTRUCT", syntax, frame)
    if charset:
        data.SpecificCharacterSet = charset
    data.StructureSetLabel = "foreign"
    reference = Dataset()
    reference.FrameOfReferenceUID = frame
    data.ReferencedFrameOfReferenceSequence = Sequence([reference])
    data.StructureSetROISequence, data.ROIContourSequence = Sequence(), Sequence()
    data.RTROIObservationsSequence = Sequence()
    for number, (name, kind, contours) in enumerate(rois, start=1):
        roi, drawn, observed = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = number, name, ""
        roi.ReferencedFrameOfReferenceUID = frame
        drawn.ReferencedROINumber, drawn.ROIDisplayColor = number, [255, 0, 0]
        if contours is not None:
            drawn.ContourSequence = Sequence([_contour(*one) for one in contours])
        observed.ObservationNumber = observed.ReferencedROINumber = number
        observed.RTROIInterpretedType, observed.ROIInterpreter = kind, ""
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.append(drawn)
        data.RTROIObservationsSequence.append(observed)
    save_dicom(path, _change(data, changes))
    return path


def _contour(shape, points):
    part = Dataset()
    part.ContourGeometricType, part.NumberOfContourPoints = shape, len(points)
    part.ContourData = [f"{v:.4f}" for v in np.ravel(points)]
    return part


def closed(rings, shape="CLOSED_PLANAR"):
    """Rings as contours."""
    return [(shape, ring) for ring in rings]


def keyholed(outer, inner):
    """Outer rings with the inner ring of the same plane joined to them by a keyhole."""
    contours = []
    for ring in outer:
        hole = next((h[::-1] for h in inner if abs(h[0, 2] - ring[0, 2]) < 1e-3), None)
        if hole is not None:
            hole = np.roll(hole, -int(np.argmin(np.linalg.norm(hole - ring[0], axis=1))), axis=0)
            ring = np.concatenate([ring, ring[:1], hole, hole[:1]])
        contours.append(("CLOSED_PLANAR", ring))
    return contours


def turned(rings, axis):
    """Rings whose planes stand along another axis (0 sagittal, 1 coronal): x, y, z change places."""
    return [np.roll(ring, axis + 1, axis=1) for ring in rings]
