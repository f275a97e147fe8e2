"""DICOM segmentations of any type on a small series, for the tests of foreign segmentations."""

import highdicom as hd
import numpy as np
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid


def series(shape, spacing_mm, origin_mm):
    """Axial MR slices (k, j, i) as datasets."""
    study, series_uid, frame = generate_uid(), generate_uid(), generate_uid()
    made = []
    for k in range(shape[0]):
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.SOPClassUID, one.SOPInstanceUID, one.Modality = MRImageStorage, generate_uid(), "MR"
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series_uid, frame
        one.PatientID = one.PatientName = one.PatientBirthDate = one.PatientSex = ""
        one.StudyID = one.AccessionNumber = one.ReferringPhysicianName = ""
        one.StudyDate = one.StudyTime = ""
        one.SeriesNumber, one.InstanceNumber = 1, k + 1
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        one.ImagePositionPatient = [origin_mm[0], origin_mm[1], origin_mm[2] + k * spacing_mm[2]]
        one.PixelSpacing, one.SliceThickness = [spacing_mm[1], spacing_mm[0]], spacing_mm[2]
        one.Rows, one.Columns = shape[1:]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
        one.PixelData = np.zeros(shape[1:], np.uint16).tobytes()
        made.append(one)
    return made


def write_seg(path, layers, names, geometry, kind="BINARY"):
    """Write segments (a boolean or 0..1 array each, k j i) as a DICOM SEG of a type."""
    source = series(geometry.shape, geometry.spacing_mm, geometry.origin_mm)
    tumour = CodedConcept("86049000", "SCT", "Malignant neoplasm, primary")
    category = CodedConcept("49755003", "SCT", "Morphologically Abnormal Structure")
    segments = [
        hd.seg.SegmentDescription(n, name, category, tumour, hd.seg.SegmentAlgorithmTypeValues.MANUAL)
        for n, name in enumerate(names, start=1)
    ]
    if kind == "LABELMAP":
        pixels = np.zeros(geometry.shape, np.uint8)
        for n, layer in enumerate(layers, start=1):
            pixels[layer > 0] = n
    else:
        pixels = np.stack(layers, -1).astype(np.float32 if kind == "FRACTIONAL" else np.uint8)
    extra = {"fractional_type": "PROBABILITY"} if kind == "FRACTIONAL" else {}
    hd.seg.Segmentation(
        source,
        pixels,
        kind,
        segments,
        generate_uid(),
        1,
        generate_uid(),
        1,
        "test",
        "test",
        "1",
        "1",
        **extra,
    ).save_as(path)
