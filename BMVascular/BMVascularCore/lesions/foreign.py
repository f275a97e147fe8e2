"""Segmentations of other tools as lesions with the same table."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from BMVascularCore.errors import InputError
from BMVascularCore.io.images import read_labels, read_sitk
from BMVascularCore.io.optional import highdicom
from BMVascularCore.lesions.compartments import split_compartments
from BMVascularCore.lesions.measure import measure_lesions
from BMVascularCore.lesions.model import Lesion, Segmentation
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
        Codes 1 to 4; without it they are worked out from the images of ``ready``, and without those,
        too, every lesion is counted as one whole and compartment cells stay empty.

    Returns
    -------
    Segmentation
        The confidence of its lesions is "drawn": no click was involved.

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
    oedema, lesions = None, []
    if ready is not None and compartments is None:
        lesions = [
            _lesion(ready, labels.array, n, names.get(n, f"L{n}")) for n in np.unique(labels.array) if n
        ]
        compartments, oedema = split_compartments(ready, labels, lesions)
    rows = measure_lesions(labels, compartments, names, ready, oedema, {x.label: x for x in lesions})
    codes = compartments or labels.like(np.zeros(labels.array.shape, np.uint8), "compartments")
    oedema = oedema or labels.like(np.zeros_like(labels.array))
    return Segmentation(labels, codes, oedema, lesions, rows, {}, warnings)


def _lesion(ready, labels, label, name):
    """A drawn lesion with its levels on T1c, as the compartments want them."""
    box = ndimage.find_objects((labels == label).astype(np.uint8))[0]
    pad = np.ceil(5.0 / np.asarray(ready.t1c.geometry.spacing_kji_mm)).astype(int)
    wide = tuple(
        slice(max(0, s.start - p), min(n, s.stop + p)) for s, p, n in zip(box, pad, labels.shape, strict=True)
    )
    mask = labels[wide] == label
    image = ready.t1c.array[wide]
    away = ndimage.distance_transform_edt(~mask, sampling=ready.t1c.geometry.spacing_kji_mm)
    shell = (away > 0.8) & (away <= 4.0) & ready.head[wide] & (labels[wide] == 0)
    outside = float(np.median(image[shell])) if shell.any() else ready.level
    # the enhancing part: what is brighter than the surroundings, or all of it where nothing is
    bright = mask & (image > outside)
    inside = float(np.median(image[bright] if bright.any() else image[mask]))
    corner = tuple(s.start for s in wide)
    found = Lesion(
        name, int(label), corner, mask.astype(np.float32), inside, outside, (inside - outside) / ready.noise
    )
    found.confidence = "drawn"
    return found


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
