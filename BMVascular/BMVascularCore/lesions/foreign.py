"""Segmentations of other tools as lesions with the same table."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from BMVascularCore.errors import InputError
from BMVascularCore.io.images import read_labels, read_sitk
from BMVascularCore.lesions.measure import measure_lesions
from BMVascularCore.lesions.model import Segmentation
from BMVascularCore.volume import Geometry, Volume, resample


def lesions_from_labels(source, names=None, ready=None, compartments=None):
    """Lesions from a label image, a Slicer segmentation or a DICOM SEG object.

    Parameters
    ----------
    source : Volume or path-like
        Label image (label = lesion); NIfTI, NRRD, ``.seg.nrrd`` or DICOM SEG file.
    names : dict, optional
        Label to name; the file's own names by default.
    ready : Prepared, optional
        Images for intensity measures; labels on another grid are resampled to it.
    compartments : Volume, optional
        Codes 1 to 4; without it every lesion voxel is counted as one whole and compartment cells
        stay empty.

    Returns
    -------
    Segmentation
        ``lesions`` is empty: no click was involved.

    Raises
    ------
    InputError
        Unreadable or empty source.
    """
    labels, found = (source, {}) if isinstance(source, Volume) else read_segmentation(source)
    labels = labels.like(np.rint(np.nan_to_num(labels.array)).astype(np.int32), "lesions")
    warnings = []
    if ready is not None and not labels.geometry.matches(ready.t1c.geometry):
        labels = resample(labels, ready.t1c.geometry, interpolation="nearest")
        warnings.append("The segmentation was resampled to the grid of T1c.")
    if not (labels.array > 0).any():
        raise InputError(
            "holds no lesion", getattr(source, "name", "labels"), "Check that it fits the image."
        )
    names = {**found, **(names or {})}
    rows = measure_lesions(labels, compartments, names, ready)
    codes = compartments or labels.like(np.zeros(labels.array.shape, np.uint8), "compartments")
    return Segmentation(labels, codes, labels.like(np.zeros_like(labels.array)), [], rows, {}, warnings)


def read_segmentation(path):
    """Read a label image with the segments' names.

    Returns
    -------
    labels : Volume
        int32.
    names : dict
        Label to name, as far as the file tells.
    """
    path = Path(path)
    if path.is_file() and _is_dicom(path):
        return _read_dicom_seg(path)
    image = read_sitk(path)
    if image.GetNumberOfComponentsPerPixel() > 1 or _segment_keys(image):
        return _read_slicer(image, path.name)
    return read_labels(path), {}


def _is_dicom(path):
    with open(path, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _segment_keys(image):
    return sorted(
        {key.split("_")[0] for key in image.GetMetaDataKeys() if key.startswith("Segment") and "_" in key}
        - {"Segmentation"}
    )


def _read_slicer(image, name):
    """Slicer's ``.seg.nrrd``: layers (components) with label values per segment."""
    array = sitk.GetArrayFromImage(image)
    layers = array[..., None] if array.ndim == 3 else array
    out, names = np.zeros(layers.shape[:3], np.int32), {}
    keys = _segment_keys(image)

    def entry(key, field, default):
        full = f"{key}_{field}"
        return image.GetMetaData(full) if image.HasMetaDataKey(full) else default

    if not keys:
        raise InputError("has several channels but names no segments", name, "Export it as a label map.")
    for number, key in enumerate(sorted(keys, key=lambda k: int(k[7:] or 0)), start=1):
        layer, value = int(entry(key, "Layer", 0)), int(entry(key, "LabelValue", 1))
        out[layers[..., layer] == value] = number
        names[number] = entry(key, "Name", f"L{number}")
    geometry = Geometry(out.shape, image.GetSpacing()[:3], image.GetOrigin()[:3], image.GetDirection())
    return Volume(out, geometry, "lesions"), names


def _read_dicom_seg(path):
    import highdicom

    try:
        seg = highdicom.seg.segread(str(path))
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError("is not a DICOM segmentation", path.name, "Give a DICOM SEG object.") from error
    volume = seg.get_volume(combine_segments=True, skip_overlap_checks=True)
    geometry = Geometry.of_affine(_affine_ijk(volume.affine), volume.array.shape)
    names = {int(d.segment_number): str(d.segment_label) for d in seg.SegmentSequence}
    return Volume(volume.array.astype(np.int32), geometry, "lesions"), names


def _affine_ijk(affine):
    """From (k, j, i) columns, as highdicom orders them, to (i, j, k) columns."""
    out = np.array(affine, dtype=float)
    out[:, :3] = out[:, 2::-1]
    return out
