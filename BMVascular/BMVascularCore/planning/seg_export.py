"""Lesions and habitats as DICOM Segmentation on the images they were drawn on; reading them back."""

from pathlib import Path

import numpy as np
from pydicom.errors import InvalidDicomError
from pydicom.sr.codedict import codes

from BMVascularCore import __version__
from BMVascularCore.errors import InputError
from BMVascularCore.io.optional import highdicom
from BMVascularCore.planning.roi_names import check_names, guess_type
from BMVascularCore.planning.rtstruct import NOTE
from BMVascularCore.planning.structures import Structure, StructureSet
from BMVascularCore.volume import Geometry, Volume

DESCRIPTION = f"Lesions - {NOTE.lower()}"


def build_segmentation(series, structures, description=DESCRIPTION):
    """DICOM SEG of masks that lie on a series.

    Parameters
    ----------
    series : PlanningSeries
        The series the masks lie on; its headers are referred to.
    structures : list of Structure
        With masks on the grid of the series.
    description : str

    Returns
    -------
    highdicom.seg.Segmentation

    Raises
    ------
    InputError
        No structure, two of one name, an empty one, or a mask on another grid.
    """
    if not structures:
        raise InputError("there is no structure to write", "segmentation", "Give at least one.")
    names, _ = check_names([s.name for s in structures])
    for structure in structures:
        if structure.empty:
            raise InputError("is empty", structure.name, "Remove it or draw it.")
        if not structure.mask.geometry.matches(series.geometry, 0.05):
            raise InputError("does not lie on the grid of the series", structure.name, "Resample it first.")
    pixels = np.stack([s.mask.array for s in structures], axis=-1).astype(np.uint8)
    return highdicom.seg.Segmentation(
        source_images=series.headers,
        pixel_array=pixels,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(n, s, name) for n, (s, name) in enumerate(zip(structures, names, strict=True), 1)
        ],
        series_instance_uid=highdicom.UID(),
        series_number=901,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="BMVascular",
        manufacturer_model_name="BMVascular",
        software_versions=__version__,
        device_serial_number="0",
        series_description=description[:64],
        content_label="BMV_RESEARCH",
        content_description=NOTE,
    )


def _segment(number, structure, name):
    lesion = structure.kind in ("GTV", "")
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure
        if lesion
        else codes.SCT.SpatialAndRelationalConcept,
        segmented_property_type=codes.SCT.Neoplasm if lesion else codes.SCT.Region,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="BMVascular", version=__version__, family=codes.DCM.ArtificialIntelligence
        ),
    )


def read_segmentation_object(path):
    """Read a DICOM SEG as structures with masks.

    Returns
    -------
    StructureSet

    Raises
    ------
    InputError
        No SEG, or frames that do not make an even volume.
    """
    name = Path(path).name
    try:
        data = highdicom.seg.segread(path)
    except (InvalidDicomError, OSError, ValueError, AttributeError) as error:
        raise InputError("cannot be read as DICOM segmentation", name, "Give a SEG file.") from error
    structures = []
    for number in data.segment_numbers:
        structures.append(_read_segment(data, number, name))
    return StructureSet(structures, str(data.get("FrameOfReferenceUID") or "") or None)


def _read_segment(data, number, name):
    """One segment as a mask; a fractional one counts from one half."""
    description = data.get_segment_description(number)
    label = str(description.segment_label)
    try:
        volume = data.get_volume(segment_numbers=[number], rescale_fractional=True)
    except (ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"segment {label} does not lie on an even stack of slices", name, "Export it on its series again."
        ) from error
    array = np.asarray(volume.array)
    mask = (array[..., 0] if array.ndim == 4 else array) >= 0.5
    geometry = Geometry.of_affine(_ijk_affine(volume.affine), mask.shape)
    kind = guess_type(label, "") or (
        "GTV" if description.segmented_property_type in (codes.SCT.Neoplasm, codes.SCT.Metastasis) else ""
    )
    return Structure(label, kind, [], _right_handed(mask, geometry, label))


def _ijk_affine(affine):
    """highdicom counts (slice, row, column); turn the columns into (i, j, k)."""
    return affine[:, [2, 1, 0, 3]]


def _right_handed(array, geometry, name):
    if np.linalg.det(np.reshape(geometry.direction, (3, 3))) > 0:
        return Volume(array, geometry, name)
    affine = geometry.affine_lps
    affine[:3, 3] += affine[:3, 2] * (array.shape[0] - 1)
    affine[:3, 2] *= -1
    return Volume(array[::-1], Geometry.of_affine(affine, array.shape), name)
