"""Lesions and habitats as DICOM Segmentation on the images they were drawn on; reading them back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom.errors import InvalidDicomError
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from BMVascularCore import __version__
from BMVascularCore.errors import InputError
from BMVascularCore.io.optional import highdicom
from BMVascularCore.planning.contours import transform_matrix
from BMVascularCore.planning.field import box_around, box_start, crop_geometry
from BMVascularCore.planning.roi_names import check_names, guess_type
from BMVascularCore.planning.rtstruct import NOTE
from BMVascularCore.planning.structures import Structure, StructureSet
from BMVascularCore.volume import Geometry, Volume

DESCRIPTION = f"Lesions - {NOTE.lower()}"
_CONCEPT = Code("309825002", "SCT", "Spatial and Relational Concept")
_ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
#: ROI type to category and type of a segment; what is none of these is a region in space.
_MEANING = {
    **dict.fromkeys(("GTV", ""), (codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Neoplasm)),
    "CTV": (_CONCEPT, Code("228792002", "SCT", "Clinical Target Volume")),
    "PTV": (_CONCEPT, Code("228793007", "SCT", "Planning Target Volume")),
    **dict.fromkeys(("ORGAN", "AVOIDANCE"), (_ANATOMY, _ANATOMY)),
}
_REGION = (_CONCEPT, Code("130488", "DCM", "Region in space"))
# samples along an axis of a voxel: enough that a 3 mm lesion keeps its volume on 1 mm slices
_MOST_SAMPLES = 4
# pixels handed over at once; beyond it the segments are shared out among several objects
_MOST_BYTES = 400_000_000
# above this the volume on the series is said beside the volume as drawn
_CHANGED_SHARE = 0.05


def structures_on_series(structures, series, transform=None):
    """Masks of structures on the grid of a series, whatever grid they come on.

    The share of each voxel that a structure fills is counted (samples inside the voxel, nearest voxel of the
    mask at each); the voxels above the share that keeps the structure's volume best belong to it. A fixed
    share of one half shrinks small lesions and loses the smallest.

    Parameters
    ----------
    structures : list of Structure
        With masks; empty ones are passed over.
    series : PlanningSeries
    transform : SimpleITK.Transform, optional
        Rigid; maps points of the series to points of the masks, LPS mm.

    Returns
    -------
    found : list of Structure
        Masks on boxes of the grid; without those that fill no voxel of the series.
    notes : list of str
        What was left out, cut off or changed its volume.
    """
    matrix = np.eye(4) if transform is None else transform_matrix(transform)
    found, notes = [], []
    for structure in structures:
        if structure.empty:
            continue
        mask = structure.mask
        part, cut = _on_grid(mask, series.geometry, matrix)
        if part is None:
            notes.append(f"{structure.name}: fills no voxel of {series.name}, left out of the segmentation")
            continue
        there_ml, here_ml = (m.array.sum() * m.geometry.voxel_ml for m in (mask, part))
        if cut:
            notes.append(f"{structure.name}: is cut off at the border of {series.name} in the segmentation")
        elif abs(here_ml - there_ml) > _CHANGED_SHARE * there_ml:
            notes.append(
                f"{structure.name}: {here_ml:.3g} mL on the voxels of the segmentation, {there_ml:.3g} mL as drawn"
            )
        found.append(replace(structure, mask=part))
    return found, notes


def _on_grid(mask, geometry, matrix):
    """The mask on a box of another grid, None where it fills none of it, and whether some of it lies outside."""
    start, shape = box_around(mask.array)
    low, high = np.asarray(start) - 0.5, np.asarray(start) + shape - 0.5
    corners = np.where(list(np.ndindex(2, 2, 2)), high, low)
    back = np.linalg.inv(matrix)
    places = geometry.index_of(mask.geometry.points_of(corners) @ back[:3, :3].T + back[:3, 3])
    first, last = np.floor(places.min(axis=0)).astype(int), np.ceil(places.max(axis=0)).astype(int) + 1
    size = np.asarray(geometry.shape)
    box = np.clip(first, 0, size), np.clip(last, 0, size)
    if (box[1] <= box[0]).any():
        return None, True
    spacing = np.asarray(geometry.spacing_kji_mm) / np.asarray(mask.geometry.spacing_kji_mm)
    # an even number: the middle of a voxel often lies on a border of the mask's voxels, where nearest is a toss-up
    counts = np.clip(2 * np.ceil(spacing / 2.0 - 1e-6), 2, _MOST_SAMPLES).astype(int)
    # from index of the series to index of the mask: one affine map
    origin = _mask_index(np.zeros(3), mask, geometry, matrix)
    columns = np.stack([_mask_index(axis, mask, geometry, matrix) - origin for axis in np.eye(3)], axis=1)
    hits = np.zeros(box[1] - box[0], np.uint8)
    for k in range(box[0][0], box[1][0]):
        plane = np.meshgrid([k], *(np.arange(a, b) for a, b in zip(*(c[1:] for c in box), strict=True)),
                            indexing="ij")  # fmt: skip
        centres = np.stack([axis[0] for axis in plane], axis=-1)
        for step in np.ndindex(*counts):
            offset = (np.asarray(step) + 0.5) / counts - 0.5
            hits[k - box[0][0]] += _values(mask.array, (centres + offset) @ columns.T + origin)
    array = _keeping_volume(hits, int(counts.prod()))
    border = (first < 0) | (last > size)
    part = Volume(array, crop_geometry(geometry, box[0], array.shape), mask.name) if array.any() else None
    return part, bool(border.any()) and _leaves(mask, geometry, back)


def _keeping_volume(hits, samples):
    """Voxels with at least so many hits that their number is nearest to the hits of all."""
    wanted = hits.sum(dtype=float) / samples
    if wanted == 0.0:
        return hits > 0
    # cumulated from above: how many voxels have at least n hits, n from 1
    counts = np.cumsum(np.bincount(hits.ravel(), minlength=samples + 1)[:0:-1])[::-1]
    return hits > int(np.argmin(np.abs(counts - wanted)))


def _mask_index(index, mask, geometry, matrix):
    return mask.geometry.index_of(matrix[:3, :3] @ geometry.points_of(index) + matrix[:3, 3])


def _values(array, index):
    """Nearest values, False outside."""
    nearest = np.rint(index).astype(int)
    inside = ((nearest >= 0) & (nearest < array.shape)).all(axis=-1)
    nearest[~inside] = 0
    return array[tuple(np.moveaxis(nearest, -1, 0))] & inside


def _leaves(mask, geometry, back):
    points = mask.geometry.points_of(np.argwhere(mask.array)) @ back[:3, :3].T + back[:3, 3]
    index = geometry.index_of(points)
    return bool(((index < -0.5) | (index > np.asarray(geometry.shape) - 0.5)).any())


def build_segmentation(series, structures, description=DESCRIPTION):
    """DICOM SEG of masks that lie on a series.

    Parameters
    ----------
    series : PlanningSeries
        The series the masks lie on; its headers are referred to.
    structures : list of Structure
        With masks on the grid of the series, or on boxes of it.
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
    starts = [_start(structure, series) for structure in structures]
    # slices that hold nothing need not be kept in memory for every segment
    slices = _slices(structures, starts)
    shape = (slices.stop - slices.start, *series.geometry.shape[1:], len(structures))
    pixels = np.zeros(shape, np.uint8)
    for n, (structure, (k, j, i)) in enumerate(zip(structures, starts, strict=True)):
        first, last = _filled(structure)
        depth, rows, columns = structure.mask.array[first:last].shape
        k += first - slices.start
        pixels[k : k + depth, j : j + rows, i : i + columns, n] = structure.mask.array[first:last]
    return highdicom.seg.Segmentation(
        source_images=series.headers[slices],
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


def build_segmentations(series, structures, description=DESCRIPTION):
    """As :func:`build_segmentation`, shared out among several objects where one would need too much memory.

    Returns
    -------
    list of highdicom.seg.Segmentation
    """
    names, _ = check_names([s.name for s in structures])
    groups = [[]]
    for structure, name in zip(structures, names, strict=True):
        wider = [*groups[-1], replace(structure, name=name)]
        slices = _slices(wider, [_start(one, series) for one in wider])
        size = (slices.stop - slices.start) * int(np.prod(series.geometry.shape[1:])) * len(wider)
        if groups[-1] and size > _MOST_BYTES:
            groups.append(wider[-1:])
        else:
            groups[-1] = wider
    return [build_segmentation(series, group, description) for group in groups]


def _start(structure, series):
    """First index of a structure's mask in the series."""
    if structure.empty:
        raise InputError("is empty", structure.name, "Remove it or draw it.")
    start = box_start(structure.mask.geometry, series.geometry)
    if start is None:
        raise InputError("does not lie on the grid of the series", structure.name, "Resample it first.")
    return start


def _filled(structure):
    """First and behind the last slice of a mask that hold something."""
    filled = np.flatnonzero(structure.mask.array.any(axis=(1, 2)))
    return int(filled[0]), int(filled[-1]) + 1


def _slices(structures, starts):
    """Slices of the series that some structures fill."""
    spans = np.array([np.add(_filled(one), start[0]) for one, start in zip(structures, starts, strict=True)])
    return slice(int(spans[:, 0].min()), int(spans[:, 1].max()))


def _segment(number, structure, name):
    category, meaning = _MEANING.get(structure.kind, _REGION)
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=category,
        segmented_property_type=meaning,
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
