"""DICOM headers of a folder, grouped into series. No pixel is read here."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from BMVascularCore.errors import InputError
from BMVascularCore.progress import silent

# what the roles, the frame times and the geometry need; reading only these is twice as quick
_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality",
    "PatientID", "StudyDate", "StudyTime", "SeriesDate", "AcquisitionDate", "SeriesNumber", "InstanceNumber",
    "SeriesDescription", "ProtocolName", "SequenceName", "ScanningSequence", "SequenceVariant", "ScanOptions",
    "MRAcquisitionType", "ImageType", "EchoTime", "RepetitionTime", "InversionTime", "FlipAngle", "EchoNumbers",
    "MagneticFieldStrength", "SliceThickness", "SpacingBetweenSlices", "PixelBandwidth", "Manufacturer",
    "ManufacturerModelName", "ContrastBolusAgent", "ContrastBolusStartTime", "BodyPartExamined", "PatientPosition",
    "AcquisitionTime", "AcquisitionDateTime", "ContentTime", "SeriesTime", "TriggerTime", "AcquisitionNumber",
    "TemporalPositionIdentifier", "NumberOfTemporalPositions", "TemporalResolution", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "GantryDetectorTilt", "Units", "DoseUnits", "DoseType", "DoseSummationType",
    "BurnedInAnnotation", "DiffusionBValue", "Radiopharmaceutical", "RadiopharmaceuticalInformationSequence",
)  # fmt: skip


@dataclass
class DicomSeries:
    """One DICOM series: its files and the header of each.

    Attributes
    ----------
    uid : str
        SeriesInstanceUID.
    headers : list of pydicom.Dataset
        Without pixels, in file order.
    paths : list of pathlib.Path
    """

    uid: str
    headers: list = field(default_factory=list)
    paths: list = field(default_factory=list)

    @property
    def first(self):
        """Header of the first file: facts that hold for the whole series."""
        return self.headers[0]

    def text(self, keyword):
        """A header value as text, '' when absent; multiple values joined by a blank."""
        value = self.first.get(keyword, "")
        if value is None:
            return ""
        if isinstance(value, (list, tuple)) or value.__class__.__name__ == "MultiValue":
            return " ".join(str(item) for item in value)
        return str(value)

    def number(self, keyword):
        """A header value as float, None when absent or not a number."""
        value = self.first.get(keyword)
        try:
            return float(value)
        except (TypeError, ValueError):
            return None

    @property
    def label(self):
        """What messages call the series: its number and description, no patient data."""
        name = (
            self.text("SeriesDescription") or self.text("ProtocolName") or self.text("Modality") or "series"
        )
        number = self.text("SeriesNumber")
        return f"series {number} ({name})" if number else name


def scan_folder(folder, progress=None):
    """Read the headers of every DICOM file below a folder.

    Parameters
    ----------
    folder : path-like
    progress : callable, optional

    Returns
    -------
    list of DicomSeries
        In the order of series number, then UID.

    Raises
    ------
    InputError
        When the folder is missing, empty, or holds no DICOM file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("this folder does not exist", folder.name, "Check the path.")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise InputError("this folder is empty", folder.name, "Name the folder that holds the DICOM files.")
    progress = progress or silent
    series = {}
    seen = set()
    for index, path in enumerate(files):
        if index % 100 == 0:
            progress(index / len(files), "reading DICOM headers")
        header = _read_header(path)
        if header is None or header.SOPInstanceUID in seen:
            continue  # not DICOM, or the same image twice
        seen.add(header.SOPInstanceUID)
        entry = series.setdefault(header.SeriesInstanceUID, DicomSeries(str(header.SeriesInstanceUID)))
        entry.headers.append(header)
        entry.paths.append(path)
    if not series:
        raise InputError("holds no DICOM file", folder.name, "Name the folder that holds the DICOM files.")
    return sorted(series.values(), key=lambda s: (s.number("SeriesNumber") or 0, s.uid))


def _read_header(path):
    """Header of one file, None when it is not a DICOM image or object."""
    with warnings.catch_warnings():
        # odd values in fields that are not used are the scanner's business
        warnings.simplefilter("ignore")
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        except (InvalidDicomError, OSError, AttributeError, EOFError, KeyError, ValueError):
            return None
    if "SOPInstanceUID" not in header or "SeriesInstanceUID" not in header:
        return None
    return header
