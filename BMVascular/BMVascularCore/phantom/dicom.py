"""The simulated patient as DICOM files: one file per slice and frame, tagged as scanners tag them."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from BMVascularCore.phantom.dicom_template import FileTemplate, save
from BMVascularCore.phantom.patient import uid_of
from BMVascularCore.progress import silent

_SOP_CLASSES = {
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "RTDOSE": "1.2.840.10008.5.1.4.1.1.481.2",
}
_RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
# Series number, seconds after the start of the visit, description, image type, scanning sequence.
_SERIES = {
    "T1": (2, 120, "T1 3D pre", "M", "GR"),
    "FLAIR": (3, 420, "FLAIR axial", "M", "IR"),
    "SWI": (4, 660, "SWI magnitude", "M", "GR"),
    "ADC": (5, 840, "ADC", "ADC", "EP"),
    "DSC": (6, 1020, "DSC perfusion GRE-EPI", "M", "EP"),
    "VFA_2": (10, 1200, "VFA flip 2", "M", "GR"),
    "VFA_5": (11, 1230, "VFA flip 5", "M", "GR"),
    "VFA_10": (12, 1260, "VFA flip 10", "M", "GR"),
    "VFA_15": (13, 1290, "VFA flip 15", "M", "GR"),
    "DCE": (14, 1320, "DCE SPGR dynamic", "M", "GR"),
    "T1c": (15, 1775, "T1 3D post Gd", "M", "GR"),
    "PET": (20, 2400, "FET PET", "", ""),
    "CT": (30, 7200, "Planning CT head", "", ""),
    "RTDOSE": (40, 9000, "Simulated plan dose", "", ""),
}
_AFTER_CONTRAST = ("DSC", "DCE", "T1c")
_FIRST_VISIT = datetime(2021, 3, 1, 9, 0, 0)
_MARK = "SIMULATED - not a patient"


def write_dicom(patient, folder, progress=None):
    """Write a simulated patient as classic single-frame DICOM, one folder per time point and series.

    Parameters
    ----------
    patient : SimulatedPatient
    folder : path-like
        Made if missing; files of the same name are replaced.
    progress : callable, optional

    Returns
    -------
    int
        Number of files written.
    """
    folder = Path(folder)
    progress = progress or silent
    jobs = [
        (index, role, image)
        for index, timepoint in enumerate(patient.timepoints)
        for role, image in {**timepoint.volumes, **timepoint.series}.items()
    ]
    written = 0
    for step, (index, role, image) in enumerate(jobs):
        progress(step / len(jobs), f"DICOM TP{index + 1} {role}")
        place = folder / f"TP{index + 1}" / f"{_SERIES[role][0]:02d}_{role}"
        place.mkdir(parents=True, exist_ok=True)
        written += _write_series(patient, index, role, image, place, progress, step / len(jobs))
    place = folder / "TP1" / "40_RTDOSE"
    place.mkdir(parents=True, exist_ok=True)
    _write_dose(patient, place / "dose.dcm")
    progress(1.0, "DICOM is complete")
    return written + 1


def _start_of(patient, index, role):
    """Date and time at which a series starts."""
    return _FIRST_VISIT + timedelta(days=patient.timepoints[index].days, seconds=_SERIES[role][1])


def _base(patient, index, role, modality):
    """Everything that all files of a series share."""
    number, _, description, _, _ = _SERIES[role]
    start = _start_of(patient, index, role)
    visit = _start_of(patient, index, "T1")
    ds = Dataset()
    ds.SOPClassUID = _SOP_CLASSES[modality]
    ds.StudyDate, ds.StudyTime = _date(visit), _time(visit)
    ds.SeriesDate, ds.SeriesTime = _date(start), _time(start)
    ds.ContentDate, ds.ContentTime = _date(start), _time(start)
    ds.AccessionNumber = ""
    ds.Modality = modality
    ds.Manufacturer = "BMVascular simulator"
    ds.ManufacturerModelName = "Simulated patient"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = f"SIMULATED brain metastases TP{index + 1}"
    ds.SeriesDescription = f"{description} (SIMULATED)"
    ds.PatientName = "Simulated^Patient"
    ds.PatientID = f"SIM{patient.seed:04d}"
    ds.PatientBirthDate, ds.PatientSex = "", "O"
    ds.StudyInstanceUID = patient.timepoints[index].study_instance_uid
    ds.SeriesInstanceUID = uid_of(patient.seed, "series", index, role)
    ds.StudyID = f"TP{index + 1}"
    ds.SeriesNumber = number
    ds.ImageComments = _MARK
    ds.PatientPosition = "HFS"
    ds.PositionReferenceIndicator = ""
    ds.BodyPartExamined = "HEAD"
    return ds


def _date(moment):
    return moment.strftime("%Y%m%d")


def _time(moment):
    return moment.strftime("%H%M%S.%f")


def _add_grid(ds, geometry):
    direction = np.reshape(geometry.direction, (3, 3))
    ds.Rows, ds.Columns = int(geometry.shape[1]), int(geometry.shape[2])
    ds.PixelSpacing = [_decimal(geometry.spacing_mm[1]), _decimal(geometry.spacing_mm[0])]
    ds.SliceThickness = _decimal(geometry.spacing_mm[2])
    ds.ImageOrientationPatient = [_decimal(v) for v in (*direction[:, 0], *direction[:, 1])]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"


def _decimal(value):
    """Number as a DICOM decimal string (at most 16 characters)."""
    return f"{float(value):.10g}"[:16]


def _add_contrast_facts(ds, image, role):
    """Sequence timing of an MR series; tracer and units of PET; tube facts of CT."""
    meta = image.meta
    _, _, _, kind, sequence = _SERIES[role]
    if ds.Modality == "MR":
        ds.ImageType = ["DERIVED", "PRIMARY", "ADC"] if kind == "ADC" else ["ORIGINAL", "PRIMARY", "M", "ND"]
        ds.ScanningSequence, ds.SequenceVariant = sequence, "SP" if sequence == "GR" else "SK"
        ds.ScanOptions, ds.MRAcquisitionType = "", "2D" if sequence in ("EP", "IR") else "3D"
        ds.MagneticFieldStrength = _decimal(meta["field_t"])
        ds.EchoTime = _decimal(1000.0 * meta["echo_time_s"])
        ds.RepetitionTime = _decimal(1000.0 * meta["repetition_time_s"])
        ds.FlipAngle = _decimal(meta["flip_deg"])
        ds.EchoTrainLength, ds.PixelBandwidth = 1, "890"
        if "inversion_time_s" in meta:
            ds.InversionTime = _decimal(1000.0 * meta["inversion_time_s"])
        if role in _AFTER_CONTRAST:
            ds.ContrastBolusAgent, ds.ContrastBolusRoute = "Simulated gadolinium chelate", "IV"
    elif ds.Modality == "PT":
        ds.ImageType = ["ORIGINAL", "PRIMARY"]
        ds.Units, ds.CountsSource, ds.SeriesType = "GML", "EMISSION", ["STATIC", "IMAGE"]
        ds.CorrectedImage, ds.DecayCorrection = ["ATTN", "DECY", "SCAT"], "START"
        tracer = Dataset()
        tracer.Radiopharmaceutical = "18F-FET"
        ds.RadiopharmaceuticalInformationSequence = [tracer]
    else:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.KVP, ds.ConvolutionKernel, ds.GantryDetectorTilt = "120", "STANDARD", "0"


def _scaling(image, role):
    """Slope and intercept of stored numbers, and the stored type."""
    if role == "CT":
        return 1.0, 0.0, np.int16
    if role == "PET":
        return float(image.array.max()) / 32000.0, 0.0, np.int16
    return 1.0, 0.0, np.uint16


def _write_series(patient, index, role, image, place, progress, share):
    """Write all frames and slices of one series; returns the number of files."""
    ds = _base(patient, index, role, image.meta["modality"])
    ds.FrameOfReferenceUID = image.meta["frame_of_reference_uid"]
    _add_grid(ds, image.geometry)
    _add_contrast_facts(ds, image, role)
    slope, intercept, dtype = _scaling(image, role)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelRepresentation = int(np.issubdtype(dtype, np.signedinteger))
    if role in ("CT", "PET"):
        ds.RescaleSlope, ds.RescaleIntercept = _decimal(slope), _decimal(intercept)
        ds.RescaleType = "HU" if role == "CT" else "SUV"
        slope = float(ds.RescaleSlope)
    low, high = np.percentile(image.array[..., ::3, ::3], [1, 99.7])
    ds.WindowCenter, ds.WindowWidth = _decimal((low + high) / 2), _decimal(max(high - low, 1e-3))
    frames = image.array if image.array.ndim == 4 else image.array[None]
    times = getattr(image, "times_s", np.zeros(1))
    if len(frames) > 1:
        ds.NumberOfTemporalPositions = len(frames)
    template = FileTemplate(ds, _instance_uid(ds.SeriesInstanceUID, 0), len(frames) > 1)
    start = _start_of(patient, index, role)
    number = 0
    for frame, (array, time_s) in enumerate(zip(frames, times, strict=True)):
        progress(share, f"DICOM TP{index + 1} {role}")
        stored = _stored(array, slope, intercept, dtype)
        values = _frame_values(start + timedelta(seconds=float(time_s)), float(time_s), frame, len(frames))
        for k in range(len(stored)):
            number += 1
            values.update(
                _slice_values(image.geometry, k, number, _instance_uid(ds.SeriesInstanceUID, number))
            )
            template.write(place / f"{number:05d}.dcm", values, stored[k].tobytes())
    return number


def _stored(array, slope, intercept, dtype):
    """Numbers as they are stored in the file."""
    limits = np.iinfo(dtype)
    return np.clip(np.rint((array - intercept) / slope), limits.min, limits.max).astype(dtype)


def _instance_uid(series_uid, number):
    """UID of one file of a series; all of one length."""
    return f"{series_uid}.{1000000 + number}"


def _frame_values(moment, time_s, frame, n_frames):
    values = {
        "AcquisitionDate": _date(moment),
        "AcquisitionTime": _time(moment),
        "ContentTime": _time(moment),
        "AcquisitionNumber": str(frame + 1),
    }
    if n_frames > 1:
        values["TemporalPositionIdentifier"] = str(frame + 1)
        values["TriggerTime"] = _decimal(1000.0 * time_s)
    return values


def _slice_values(geometry, k, number, uid):
    position = geometry.points_of((k, 0, 0))
    normal = np.reshape(geometry.direction, (3, 3))[:, 2]
    return {
        "MediaStorageSOPInstanceUID": uid,
        "SOPInstanceUID": uid,
        "InstanceNumber": str(number),
        "ImagePositionPatient": "\\".join(_decimal(v) for v in position),
        "SliceLocation": _decimal(position @ normal),
    }


def _write_dose(patient, path):
    """RTDOSE of the plan sum in Gy."""
    dose = patient.rtdose
    ds = _base(patient, 0, "RTDOSE", "RTDOSE")
    ds.SOPInstanceUID = uid_of(patient.seed, "image", "dose")
    ds.FrameOfReferenceUID = dose.meta["frame_of_reference_uid"]
    _add_grid(ds, dose.geometry)
    ds.SliceThickness = None
    ds.ImagePositionPatient = [_decimal(v) for v in dose.geometry.origin_mm]
    ds.InstanceNumber = 1
    ds.NumberOfFrames = int(dose.geometry.shape[0])
    ds.FrameIncrementPointer = 0x3004000C
    ds.GridFrameOffsetVector = [
        _decimal(k * dose.geometry.spacing_mm[2]) for k in range(dose.geometry.shape[0])
    ]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 32, 32, 31, 0
    ds.DoseUnits, ds.DoseType, ds.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    ds.DoseComment = f"SIMULATED, prescription {patient.prescription_gy:g} Gy"
    scaling = 1e-6
    ds.DoseGridScaling = _decimal(scaling)
    plan = Dataset()
    plan.ReferencedSOPClassUID = _RT_PLAN
    plan.ReferencedSOPInstanceUID = uid_of(patient.seed, "plan")
    ds.ReferencedRTPlanSequence = [plan]
    ds.PixelData = np.rint(dose.array.astype(np.float64) / scaling).astype(np.uint32).tobytes()
    save(ds, str(path))
