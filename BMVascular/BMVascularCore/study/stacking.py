"""From loose slices to a stack: order, spacing, and what is wrong with it.

Positions are projected on the slice normal; frames are told apart by what the scanner wrote.
"""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.volume import Geometry


@dataclass
class Plane:
    """One slice image of a series, classic or from a multi-frame file.

    Attributes
    ----------
    file_index : int
        Which file of the series.
    frame_index : int or None
        Which frame of a multi-frame file; None in classic files.
    position_mm, row, column : ndarray, shape (3,)
        ImagePositionPatient and the two direction cosines of ImageOrientationPatient.
    spacing_mm : tuple of float
        Between rows, between columns.
    shape : tuple of int
        Rows, columns.
    times : dict
        Keyword to raw value of every timing tag found.
    """

    file_index: int
    frame_index: int | None
    position_mm: np.ndarray
    row: np.ndarray
    column: np.ndarray
    spacing_mm: tuple
    shape: tuple
    times: dict = field(default_factory=dict)


@dataclass
class Stack:
    """Planes ordered as ``grid[t][k]`` with their geometry.

    Attributes
    ----------
    grid : list of list of Plane
    geometry : Geometry
    warnings : list of str
    distances_mm : ndarray, shape (n_slices - 1,)
        Distance between neighbouring slices along the normal.
    tilt_deg : float
        Angle between the slice normal and the direction in which slices follow each other.
    """

    grid: list
    geometry: Geometry
    warnings: list
    distances_mm: np.ndarray
    tilt_deg: float


_TIMING = ("AcquisitionTime", "AcquisitionDateTime", "TriggerTime", "TemporalPositionIdentifier", "AcquisitionNumber",
           "ContentTime", "InstanceNumber", "EchoTime", "FlipAngle", "DiffusionBValue")  # fmt: skip


def planes_of(series):
    """Every slice image of a series.

    Parameters
    ----------
    series : DicomSeries

    Returns
    -------
    list of Plane

    Raises
    ------
    InputError
        When an image has no place in space.
    """
    planes = []
    for index, header in enumerate(series.headers):
        if "PerFrameFunctionalGroupsSequence" in header:
            planes.extend(_enhanced_planes(series, index, header))
        else:
            planes.append(_classic_plane(series, index, header))
    return planes


def _classic_plane(series, index, header):
    position, orientation = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    spacing = header.get("PixelSpacing")
    if not position or not orientation or not spacing:
        raise InputError(
            "images lack position, orientation or pixel spacing",
            series.label,
            "Export the original series again, without anonymising its geometry.",
        )
    times = {key: header.get(key) for key in _TIMING if header.get(key) not in (None, "")}
    return _plane(index, None, header, position, orientation, spacing, times)


def _enhanced_planes(series, index, header):
    shared = (header.get("SharedFunctionalGroupsSequence") or [None])[0]
    for frame, groups in enumerate(header.PerFrameFunctionalGroupsSequence):
        position = _group(groups, shared, "PlanePositionSequence", "ImagePositionPatient")
        orientation = _group(groups, shared, "PlaneOrientationSequence", "ImageOrientationPatient")
        spacing = _group(groups, shared, "PixelMeasuresSequence", "PixelSpacing")
        if position is None or orientation is None or spacing is None:
            raise InputError(
                f"frame {frame + 1} lacks position, orientation or pixel spacing",
                series.label,
                "Export the original series again.",
            )
        times = {}
        for sequence, keyword, as_keyword in (
            ("FrameContentSequence", "TemporalPositionIndex", "TemporalPositionIdentifier"),
            ("FrameContentSequence", "FrameAcquisitionDateTime", "AcquisitionDateTime"),
            ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", "TriggerTime"),
            ("MREchoSequence", "EffectiveEchoTime", "EchoTime"),
        ):
            value = _group(groups, shared, sequence, keyword)
            if value is not None:
                times[as_keyword] = value
        times["InstanceNumber"] = frame
        yield _plane(index, frame, header, position, orientation, spacing, times)


def _plane(index, frame, header, position, orientation, spacing, times):
    """A plane from the DICOM values of one image or frame."""
    cosines = np.asarray([float(value) for value in orientation])
    return Plane(
        index,
        frame,
        np.asarray([float(value) for value in position]),
        cosines[:3],
        cosines[3:],
        tuple(float(value) for value in spacing),
        (int(header.Rows), int(header.Columns)),
        times,
    )


def _group(groups, shared, sequence, keyword):
    """A value of a functional group, per frame or shared."""
    for place in (groups, shared):
        if place is not None and sequence in place and len(place[sequence].value):
            value = place[sequence].value[0].get(keyword)
            if value is not None:
                return value
    return None


def stack_planes(planes, label):
    """Order planes into frames of slices.

    Parameters
    ----------
    planes : list of Plane
    label : str
        The series, for messages.

    Returns
    -------
    Stack

    Raises
    ------
    InputError
        Different orientations or sizes within the series, or nothing that makes a stack.
    """
    normal = _common_normal(planes, label)
    along = np.array([plane.position_mm @ normal for plane in planes])
    order = np.argsort(along, kind="stable")
    # slices of one place lie within a tenth of a millimetre
    breaks = np.flatnonzero(np.diff(along[order]) > 0.1) + 1
    places = [[planes[index] for index in group] for group in np.split(order, breaks)]
    grid, warnings = _frames(places, label)
    lowest = grid[0][0]
    centres = np.array([plane.position_mm for plane in grid[0]])
    distances = np.diff(centres @ normal)
    step = (centres[-1] - centres[0]) / max(len(centres) - 1, 1)
    if len(centres) == 1:
        step = normal  # one slice has no distance; 1 mm stands in and callers refuse where it matters
    tilt = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1))))
    rows, columns = lowest.spacing_mm
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = lowest.row * columns, lowest.column * rows
    affine[:3, 2], affine[:3, 3] = step, centres[0]
    geometry = Geometry.of_affine(affine, (len(centres), *lowest.shape))
    return Stack(grid, geometry, warnings, distances, tilt)


def _common_normal(planes, label):
    first = planes[0]
    for plane in planes[1:]:
        if plane.shape != first.shape or not np.allclose(plane.spacing_mm, first.spacing_mm, rtol=1e-3):
            raise InputError(
                "images of different size lie in one series",
                label,
                "Split the series (a localiser may be in it).",
            )
        if not (
            np.allclose(plane.row, first.row, atol=1e-3)
            and np.allclose(plane.column, first.column, atol=1e-3)
        ):
            raise InputError(
                "images of different orientation lie in one series",
                label,
                "Split the series (a localiser may be in it).",
            )
    normal = np.cross(first.row, first.column)
    return normal / np.linalg.norm(normal)


def _frames(places, label):
    """Turn images per place into frames; incomplete frames at the end are dropped and said."""
    counts = np.array([len(place) for place in places])
    n_frames = int(np.median(counts))
    warnings = []
    if counts.min() != counts.max():
        n_frames = int(counts.min())
        warnings.append(
            f"{label}: {counts.min()} to {counts.max()} images per slice; "
            f"the first {n_frames} complete frames are used (was the run cancelled?)"
        )
    if n_frames == 1:
        return [[place[0] for place in places]], warnings
    keys = [key for key in ("TemporalPositionIdentifier", "AcquisitionNumber", "AcquisitionDateTime", "AcquisitionTime",
                            "TriggerTime", "InstanceNumber")
            if all(key in plane.times for place in places for plane in place)]  # fmt: skip
    key = next(
        (k for k in keys if all(len({str(p.times[k]) for p in place}) == len(place) for place in places)),
        None,
    )
    if key is None:
        raise InputError(
            "several images lie at one place and nothing tells their order",
            label,
            "Export the original series again with its timing tags.",
        )
    ordered = [sorted(place, key=lambda plane: _sortable(plane.times[key])) for place in places]
    return [[place[t] for place in ordered] for t in range(n_frames)], warnings


def _sortable(value):
    return float(str(value)) if str(value).replace(".", "", 1).replace("-", "", 1).isdigit() else str(value)
