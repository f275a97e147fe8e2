"""Results as DICOM: measurements as an SR (TID 1500), lesions and habitats as SEG.

The objects join the study of the source images, so they carry that study's patient module as DICOM demands.
"""

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.sr.codedict import codes

from BMVascularCore import __version__
from BMVascularCore.errors import InputError
from BMVascularCore.io.optional import highdicom as hd
from BMVascularCore.phenotype.habitats import HABITATS
from BMVascularCore.volume import Geometry, resample

_SCHEME = "99BMVASC"
_MAKER = "BMVascular"
_MODEL = "BMVascular (research use only)"
#: Measurements with a code of the standard; the others get one of the project's own scheme.
_NAMES = {
    "ktrans": codes.DCM.Ktrans,
    "rcbv": codes.DCM.RelativeRegionalBloodVolume,
    "cbf_ratio": codes.DCM.RelativeRegionalBloodFlow,
    "vp": codes.DCM.Vp,
    "ve": codes.DCM.Ve,
    "adc": codes.DCM.ApparentDiffusionCoefficient,
}
_UNITS = {
    "1/min": ("/min", "/min"),
    "mm": ("mm", "mm"),
    "mL": ("mL", "mL"),
    "1e-3 mm2/s": ("10*-3.mm2/s", "1e-3 mm2/s"),
}
_RATIO = ("{ratio}", "ratio")


@dataclass
class PhenotypeDicom:
    """DICOM objects of one assessment.

    Attributes
    ----------
    lesions : highdicom.seg.Segmentation
    habitats : highdicom.seg.Segmentation or None
        None where no lesion has habitats.
    report : highdicom.sr.Comprehensive3DSR
    left_out : list of str
        Lesions that lie outside the source series.
    """

    lesions: object
    habitats: object
    report: object
    left_out: list = field(default_factory=list)


def to_dicom(assessment, labels, source, habitat_names):
    """Build SEG and SR objects.

    Parameters
    ----------
    assessment : Assessment
    labels : Volume
        Lesion labels.
    source : list of pydicom.Dataset
        The single-frame images of one series on which the lesions were drawn.
    habitat_names : dict
        Habitat id to its name (``habitats/names`` of the rule set).

    Returns
    -------
    PhenotypeDicom

    Raises
    ------
    InputError
        No source images, more than one series, or no lesion inside them.
    """
    with warnings.catch_warnings():
        # what highdicom finds odd about a patient's name would put that name into logs
        warnings.simplefilter("ignore", UserWarning)
        return _objects(assessment, labels, sorted_images(source), habitat_names)


def _objects(assessment, labels, images, habitat_names):
    geometry = geometry_of(images)
    names = {item["label"]: item["name"] for item in assessment.lesions}
    on_source = resample(labels, geometry, interpolation="nearest").array
    kept = [number for number in names if (on_source == number).any()]
    if not kept:
        raise InputError("holds no lesion", "source series", "Give the series on which the lesions lie.")
    lesion_seg = _segmentation(
        images, on_source, [(n, names[n], _lesion_type()) for n in kept], "Lesions", 901
    )
    habitat_seg = None
    if assessment.habitats is not None and (assessment.habitats.array > 0).any():
        array = resample(assessment.habitats, geometry, interpolation="nearest").array
        parts = [
            (number, habitat_names[key], _code(f"HAB-{number}", habitat_names[key]))
            for number, key in enumerate(HABITATS, start=1)
            if (array == number).any()
        ]
        habitat_seg = _segmentation(images, array, parts, "Habitats", 902) if parts else None
    found = [item for item in assessment.lesions if item["label"] in kept]
    left_out = [item["name"] for item in assessment.lesions if item["label"] not in kept]
    return PhenotypeDicom(lesion_seg, habitat_seg, _report(found, lesion_seg, images), left_out)


def read_source(folder):
    """Images of the one series in a folder (and below it), headers alone.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    list of pydicom.Dataset

    Raises
    ------
    InputError
        No such folder, no single-frame images of MR, CT or PET, several series.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            "this folder does not exist", folder.name, "Name the folder of the segmented series."
        )
    images, multiframe = [], 0
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            image = pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError):
            continue
        if "ImagePositionPatient" in image:
            images.append(image)
        elif "NumberOfFrames" in image:
            multiframe += 1
    if not images and multiframe:
        hint = "Convert the series to single-frame images first."
        raise InputError("holds multi-frame images only", folder.name, hint)
    if not images:
        raise InputError("holds no DICOM images", folder.name, "Name the folder of the segmented series.")
    return sorted_images(images)


def sorted_images(source):
    """Images of one series in the order of their position.

    Raises
    ------
    InputError
        No images, or images of several series.
    """
    if not source:
        raise InputError("there are no source images", "DICOM", "Give the series that was segmented.")
    if len({image.SeriesInstanceUID for image in source}) > 1:
        raise InputError("the images belong to several series", "DICOM", "Give one series.")
    row, column = np.reshape(np.array(source[0].ImageOrientationPatient, float), (2, 3))
    normal = np.cross(row, column)
    return sorted(source, key=lambda image: float(normal @ np.array(image.ImagePositionPatient, float)))


def geometry_of(images):
    """Voxel grid of sorted single-frame images.

    Raises
    ------
    InputError
        Fewer than two images.
    """
    if len(images) < 2:
        raise InputError("a single image gives no slice distance", "DICOM", "Give the whole series.")
    first, last = (np.array(images[n].ImagePositionPatient, float) for n in (0, -1))
    row, column = np.reshape(np.array(images[0].ImageOrientationPatient, float), (2, 3))
    affine = np.eye(4)
    affine[:3, 0] = row * float(images[0].PixelSpacing[1])
    affine[:3, 1] = column * float(images[0].PixelSpacing[0])
    affine[:3, 2] = (last - first) / (len(images) - 1)
    affine[:3, 3] = first
    return Geometry.of_affine(affine, (len(images), int(images[0].Rows), int(images[0].Columns)))


def _code(value, meaning):
    return hd.sr.CodedConcept(value, _SCHEME, meaning[:64])


def _lesion_type():
    return hd.sr.CodedConcept("14799000", "SCT", "Neoplasm, metastatic")


def _algorithm():
    return hd.AlgorithmIdentificationSequence(
        name=_MAKER,
        version=__version__,
        family=hd.sr.CodedConcept("123109", "DCM", "Manual Processing"),
    )


def _segmentation(images, array, parts, label, series_number):
    numbers = np.zeros(array.shape, np.uint8)
    descriptions = []
    for position, (value, name, kind) in enumerate(parts, start=1):
        numbers[array == value] = position
        descriptions.append(
            hd.seg.SegmentDescription(
                segment_number=position,
                segment_label=name[:64],
                segmented_property_category=hd.sr.CodedConcept(
                    "49755003", "SCT", "Morphologically abnormal structure"
                ),
                segmented_property_type=kind,
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
                algorithm_identification=_algorithm(),
                tracking_uid=hd.UID(),
                tracking_id=name[:64],
            )
        )
    return hd.seg.Segmentation(
        source_images=images,
        pixel_array=numbers,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=hd.UID(),
        series_number=series_number,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=_MAKER,
        manufacturer_model_name=_MODEL,
        software_versions=__version__,
        device_serial_number="0",
        content_label=label.upper(),
    )


def _report(lesions, segmentation, images):
    groups = [_group(item, number, segmentation) for number, item in enumerate(lesions, start=1)]
    device = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=hd.UID(), name=_MAKER, manufacturer_name=_MAKER, model_name=_MODEL
        ),
    )
    report = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device),
        procedure_reported=hd.sr.CodedConcept("816077007", "SCT", "MRI of brain"),
        imaging_measurements=groups,
    )
    return hd.sr.Comprehensive3DSR(
        evidence=[segmentation, *images],
        content=report[0],
        series_instance_uid=hd.UID(),
        series_number=903,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=_MAKER,
    )


def _group(lesion, number, segmentation):
    segment = next(item for item in segmentation.SegmentSequence if item.SegmentNumber == number)
    label = hd.sr.QualitativeEvaluation(
        name=_code("PHENOTYPE", "Vascular phenotype (rule label)"),
        value=_code(f"LABEL-{lesion['phenotype'].split()[0].strip(':,').upper()}"[:16], lesion["phenotype"]),
    )
    tier = hd.sr.QualitativeEvaluation(
        name=_code("TIER", "Tier of inputs"), value=_code(f"TIER-{lesion['tier']}", f"Tier {lesion['tier']}")
    )
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=segment.TrackingUID, identifier=lesion["name"]),
        referenced_segment=hd.sr.ReferencedSegment.from_segmentation(segmentation, number),
        finding_type=_lesion_type(),
        measurements=_measurements(lesion),
        qualitative_evaluations=[label, tier],
    )


def _measurements(lesion):
    found = [_measurement("STABILITY", "Rule stability", lesion["stability"], "ratio")]
    found.append(_measurement("COVERAGE", "Coverage of evidence", lesion["coverage"], "ratio"))
    volume = lesion["facts"].get("volume_ml")
    if volume is not None:
        found.append(
            hd.sr.Measurement(codes.SCT.Volume, round(volume, 4), hd.sr.CodedConcept("mL", "UCUM", "mL"))
        )
    rows = [(row["input"], row) for row in lesion["evidence"]]
    rows += [(row["id"], row) for row in lesion["descriptors"]]
    found += [_measurement(key, row["title"], row["value"], row["unit"]) for key, row in rows]
    return [item for item in found if item is not None]


def _measurement(key, title, value, unit):
    if value is None:
        return None
    name = _NAMES.get(key) or _code(key.upper()[:16], title)
    symbol, meaning = _UNITS.get(unit, _RATIO)
    # a DICOM decimal string holds 16 characters
    return hd.sr.Measurement(name, float(f"{value:.8g}"), hd.sr.CodedConcept(symbol, "UCUM", meaning))
