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
from BMVascularCore.progress import share_of
from BMVascularCore.volume import Geometry, Volume, resample

# more pieces than this are noise, not lesions
_MOST_PIECES = 300


def lesions_from_labels(source, names=None, ready=None, compartments=None, progress=None):
    """Lesions from a label image, a Slicer segmentation or a DICOM SEG object.

    A file with one unnamed label gives a lesion for each separate piece of it.

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
    progress : callable, optional

    Returns
    -------
    Segmentation
        The confidence of its lesions is "drawn": no click was involved.

    Raises
    ------
    InputError
        Unreadable or empty source; one that lies beside the images.
    """
    report = share_of(progress, 0.0, 1.0)
    report(0.0, "reading the segmentation")
    if isinstance(source, Volume):
        labels, found, warnings = source, {}, []
    else:
        labels, found, warnings = _read(source)
    name = Path(source).name if isinstance(source, str | Path) else getattr(source, "name", "labels")
    labels = labels.like(np.rint(np.nan_to_num(labels.array)).astype(np.int32), "lesions")
    if not isinstance(source, Volume) and not found:
        labels = _pieces(labels, name, warnings)
    names = _distinct({**found, **(names or {})})
    before = _present(labels)
    if not before:
        raise InputError("holds no lesion", name, "Give a segmentation with at least one lesion.")
    if ready is not None and not labels.geometry.matches(ready.t1c.geometry):
        labels = _on_image(labels, ready, name, names, warnings)
    oedema, lesions = None, []
    if ready is not None and compartments is None:
        lesions = [_lesion(ready, labels.array, n, names.get(n, f"L{n}")) for n in _present(labels)]
        compartments, oedema = split_compartments(ready, labels, lesions, share_of(report, 0.1, 0.5))
    by_label = {x.label: x for x in lesions}
    rows = measure_lesions(labels, compartments, names, ready, oedema, by_label, share_of(report, 0.5, 1.0))
    codes = compartments or labels.like(np.zeros(labels.array.shape, np.uint8), "compartments")
    oedema = oedema or labels.like(np.zeros_like(labels.array))
    return Segmentation(labels, codes, oedema, lesions, rows, {}, warnings)


def _present(labels):
    return [int(n) for n in np.unique(labels.array) if n > 0]


def _distinct(names):
    """The names, a number behind those that occur again."""
    out = {}
    for label, name in names.items():
        number, free = 2, name
        while free in out.values():
            free, number = f"{name} ({number})", number + 1
        out[label] = free
    return out


def _pieces(labels, name, warnings):
    """Separate pieces of a single label as lesions, largest first."""
    present = _present(labels)
    if len(present) != 1:
        return labels
    pieces, count = ndimage.label(labels.array == present[0], np.ones((3, 3, 3)))
    if count < 2:
        return labels
    if count > _MOST_PIECES:
        raise InputError(
            f"its one label falls into {count} pieces", name, "Give each lesion its own label, or clean it."
        )
    order = np.argsort(-np.bincount(pieces.ravel())[1:], kind="stable")
    table = np.zeros(count + 1, np.int32)
    table[1 + order] = np.arange(1, count + 1)
    warnings.append(f"The one label holds {count} separate pieces: each became a lesion, the largest first.")
    return labels.like(table[pieces], "lesions")


def _on_image(labels, ready, name, names, warnings):
    """The labels on the grid of T1c; what does not come along is named."""
    before = _present(labels)
    moved = resample(labels, ready.t1c.geometry, interpolation="nearest")
    lost = sorted(set(before) - set(_present(moved)))
    if len(lost) == len(before):
        raise InputError(
            "lies beside the T1c", name, "Give the segmentation of this image, or register it first."
        )
    warnings.append("The segmentation was resampled to the grid of T1c.")
    if lost:
        left = ", ".join(names.get(n, f"L{n}") for n in lost)
        warnings.append(f"Outside the T1c, or smaller than its voxels, and left out: {left}.")
    return moved


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
    return _read(path)[:2]


def _read(path):
    """Labels, names and what a user should know of the file."""
    path = Path(path)
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.is_file() and _is_dicom(one))
        if len(files) != 1:
            fault = f"is a folder with {len(files)} DICOM files, one segmentation is wanted"
            raise InputError(fault, path.name, "Name the file of the segmentation.")
        path = files[0]
    if path.is_file() and _is_dicom(path):
        return _read_dicom_seg(path)
    image = read_sitk(path)
    if image.GetNumberOfComponentsPerPixel() > 1 or _segment_keys(image):
        return _read_slicer(image, path.name)
    return read_labels(path), {}, []


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
    shared = 0
    for number, key in enumerate(sorted(keys, key=lambda k: int(k[7:] or 0)), start=1):
        layer, value = int(entry(key, "Layer", 0)), int(entry(key, "LabelValue", 1))
        if layer >= layers.shape[-1]:
            raise InputError(f"names layer {layer}, which is not there", name, "Save the segmentation again.")
        inside = layers[..., layer] == value
        shared += int((out[inside] > 0).sum())
        out[inside] = number
        names[number] = entry(key, "Name", f"L{number}")
    geometry = Geometry(out.shape, image.GetSpacing()[:3], image.GetOrigin()[:3], image.GetDirection())
    return Volume(out, geometry, "lesions"), names, _overlap_warning(shared)


def _overlap_warning(voxels):
    if not voxels:
        return []
    return [f"Segments overlap: {voxels} shared voxels are counted for the later segment only."]


def _read_dicom_seg(path):
    try:
        seg = highdicom.seg.segread(str(path))
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError("is not a DICOM segmentation", path.name, "Give a DICOM SEG object.") from error
    numbers, out, shared, affine = [int(n) for n in seg.segment_numbers], None, 0, None
    for number in numbers:
        try:
            stack = seg.get_volume(segment_numbers=[number], rescale_fractional=True)
        except (ValueError, RuntimeError) as error:
            raise InputError(
                "its frames form no regular volume",
                path.name,
                "Export it as a label map on the image's grid.",
            ) from error
        # a fraction or probability of half and more is inside
        inside = np.asarray(stack.array)[..., 0] >= 0.5
        if out is None:
            out, affine = np.zeros(inside.shape, np.int32), stack.affine
        shared += int((out[inside] > 0).sum())
        out[inside] = number
    names = {n: str(seg.get_segment_description(n).segment_label) for n in numbers}
    geometry = Geometry.of_affine(_affine_ijk(affine), out.shape)
    return Volume(out, geometry, "lesions"), names, _overlap_warning(shared)


def _affine_ijk(affine):
    """From (k, j, i) columns, as highdicom orders them, to (i, j, k) columns."""
    out = np.array(affine, dtype=float)
    out[:, :3] = out[:, 2::-1]
    return out
