"""Masks to planar contours on the slices of a planning series.

The contours enclose the volume of the mask (area times slice distance), whatever the size of the lesion,
and lie exactly on the slices. Holes are joined to the outer line by a keyhole, the only form of a
hole that every planning system reads.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import cKDTree

from BMVascularCore.errors import InputError
from BMVascularCore.planning.field import box_around, crop_geometry, matched_level, smooth_mask
from BMVascularCore.planning.marching import enclosed_area, level_lines, signed_area
from BMVascularCore.volume import Geometry, resample

_PIXEL_MM = 0.5
_MARGIN_MM = 3.0
_SMALLEST_AREA_MM2 = 0.05
_CHECK = "Check the registration, or that the labels belong to this patient's series."


@dataclass
class PlanarContour:
    """One closed polygon on one slice.

    Attributes
    ----------
    slice_index : int
        Slice of the planning series, counted along its normal.
    points_ji : ndarray, shape (n, 2)
        Row and column, fractional, of the planning series.
    """

    slice_index: int
    points_ji: np.ndarray


def trace_mask(mask, geometry, target, transform=None, name="structure"):
    """Contours of one structure on the slices of a grid.

    Parameters
    ----------
    mask : ndarray of bool, shape (k, j, i)
    geometry : Geometry
        Grid of the mask.
    target : Geometry
        Grid of the planning series.
    transform : SimpleITK.Transform, optional
        Maps points of the planning series to points of the mask, LPS mm.
    name : str
        For messages.

    Returns
    -------
    list of PlanarContour

    Raises
    ------
    InputError
        Empty mask, or a structure that lies outside the planning series or reaches beyond it.
    """
    if not np.any(mask):
        raise InputError("is empty: it holds no voxel", name, "Remove it or draw it.")
    _require_whole(mask, geometry, target, transform, name)
    field = smooth_mask(mask, geometry)
    fine, start, factor = _fine_planes(field.volume.geometry, target, transform, name)
    stack = resample(field.volume, fine, transform, "linear", 0.0).array
    stack[:, [0, -1], :] = 0
    stack[:, :, [0, -1]] = 0
    cell_mm3 = float(np.prod(fine.spacing_mm))
    level = matched_level(lambda value: enclosed_area(stack, value) * cell_mm3, field.volume_mm3, stack.max())
    contours = []
    for k, lines in _by_slice(level_lines(stack, level)).items():
        for polygon in join_holes(lines):
            points = (polygon + 0.5) / factor - 0.5 + start[1:]
            contours.append(PlanarContour(int(k + start[0]), points))
    pixel_mm2 = target.spacing_mm[0] * target.spacing_mm[1]
    kept = [c for c in contours if abs(signed_area(c.points_ji)) * pixel_mm2 >= _SMALLEST_AREA_MM2]
    return kept or contours


def contours_volume_mm3(contours, geometry):
    """Volume of contours: sum of area times slice distance, mm3."""
    area = sum(signed_area(contour.points_ji) for contour in contours)
    return float(area * np.prod(geometry.spacing_mm))


def _box_index(source, first, last, target, transform):
    """Indices in the target grid of the corners of a box of another grid, shape (8, 3)."""
    corners = np.array(np.meshgrid(*zip(first, last, strict=True), indexing="ij")).reshape(3, -1).T
    points = source.points_of(corners)
    if transform is not None:
        inverse = transform.GetInverse()
        points = np.array([inverse.TransformPoint(point.tolist()) for point in points])
    return target.index_of(points)


def _require_whole(mask, geometry, target, transform, name):
    """Refuse a structure that the planning series cuts off: its contours would lack a part without a sign of it."""
    start, shape = (np.asarray(part) for part in box_around(mask))
    size = np.asarray(target.shape)
    index = _box_index(geometry, start, start + shape - 1, target, transform)
    if (index >= -0.5).all() and (index <= size - 0.5).all():
        return
    # the corners of the box may lie outside where the structure does not
    rim = mask & ~ndimage.binary_erosion(mask)
    points = geometry.points_of(np.argwhere(rim))
    if transform is not None:
        matrix = np.linalg.inv(transform_matrix(transform))
        points = points @ matrix[:3, :3].T + matrix[:3, 3]
    index = target.index_of(points)
    outside = ((index < -0.5) | (index > size - 0.5)).any(axis=1)
    if outside.all():
        raise InputError("lies outside the planning series", name, _CHECK)
    if outside.any():
        raise InputError(
            "reaches beyond the planning series", name, f"{_CHECK} Plan on a series that holds it whole."
        )


def _fine_planes(source, target, transform, name):
    """Planes of the planning series around a structure with pixels of at most half a millimetre."""
    last = [n - 1 for n in source.shape]
    index = _box_index(source, [0, 0, 0], last, target, transform)
    first = np.floor(index.min(axis=0)).astype(int) - 1
    last = np.ceil(index.max(axis=0)).astype(int) + 1
    _require_inside(first + 3, last - 3, target, name)
    first[0], last[0] = max(first[0], 0), min(last[0], target.shape[0] - 1)
    factor = np.array([1, *(max(1, int(np.ceil(s / _PIXEL_MM - 1e-6))) for s in target.spacing_kji_mm[1:])])
    shape = (last - first + 1) * factor
    # the finer pixels share the outer edges of the coarse ones
    spacing = np.asarray(target.spacing_kji_mm) / factor
    start = first + 0.5 / factor - 0.5
    box = crop_geometry(target, start, shape)
    return (
        Geometry(box.shape, tuple(spacing[::-1].tolist()), box.origin_mm, target.direction),
        first,
        factor[1:],
    )


def _require_inside(first, last, target, name):
    shape = np.asarray(target.shape)
    if (last < 0).any() or (first >= shape).any():
        raise InputError(
            "lies outside the planning series",
            name,
            _CHECK,
        )


def _by_slice(lines):
    grouped = {}
    for k, polygon in lines:
        grouped.setdefault(k, []).append(polygon)
    return grouped


def join_holes(lines):
    """Outer polygons of one slice with their holes joined to them by keyholes.

    Parameters
    ----------
    lines : list of ndarray, shape (n, 2)
        Outer lines have positive area, holes negative.

    Returns
    -------
    list of ndarray
        One polygon for each outer line. A keyhole runs to the hole and back over the same two points.
    """
    outer = sorted((line for line in lines if signed_area(line) > 0), key=signed_area)
    holes = [line for line in lines if signed_area(line) < 0]
    joined = []
    for polygon in outer:
        own = [hole for hole in holes if points_inside(hole[:1], polygon)[0]]
        holes = [hole for hole in holes if not any(hole is one for one in own)]
        joined.append(_keyhole(polygon, own))
    return joined


def _keyhole(polygon, holes):
    """Join the nearest hole first: a shortest link cannot cross another hole."""
    holes = list(holes)
    while holes:
        tree = cKDTree(polygon)
        near = [tree.query(hole) for hole in holes]
        chosen = int(np.argmin([distance.min() for distance, _ in near]))
        hole = holes.pop(chosen)
        distance, partner = near[chosen]
        at_hole = int(np.argmin(distance))
        at_outer = int(partner[at_hole])
        round_trip = np.concatenate([np.roll(hole, -at_hole, axis=0), hole[at_hole : at_hole + 1]])
        polygon = np.concatenate([polygon[: at_outer + 1], round_trip, polygon[at_outer:]])
    return polygon


def points_inside(points, polygon):
    """Even-odd test of points (m, 2) against a polygon (n, 2), shape (m,)."""
    points = np.atleast_2d(np.asarray(points, float))
    a, b = np.asarray(polygon, float), np.roll(polygon, -1, axis=0)
    low, high = points[:, None, 0] < a[None, :, 0], points[:, None, 0] < b[None, :, 0]
    rise = np.where(a[:, 0] == b[:, 0], 1.0, b[:, 0] - a[:, 0])
    crossing = a[:, 1] + (points[:, None, 0] - a[:, 0]) / rise * (b[:, 1] - a[:, 1])
    return (((low != high) & (points[:, None, 1] < crossing)).sum(axis=1) % 2).astype(bool)


def rigid_transform(path):
    """Read a rigid transform file (ITK, LPS, maps fixed points to moving points).

    Raises
    ------
    InputError
        Missing, unreadable, or not rigid (scale, shear or mirror).
    """
    try:
        transform = sitk.ReadTransform(str(path))
    except RuntimeError as error:
        raise InputError(
            "cannot be read as a transform", getattr(path, "name", path), "Give an ITK .tfm or .h5 file."
        ) from error
    matrix = transform_matrix(transform)
    if not np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-3):
        raise InputError("is not rigid: it scales or shears", getattr(path, "name", path), "Register again.")
    if np.linalg.det(matrix[:3, :3]) < 0:
        raise InputError("mirrors left and right", getattr(path, "name", path), "Register again.")
    return transform


def transform_matrix(transform):
    """4x4 matrix of a linear ``SimpleITK.Transform``, LPS mm."""
    matrix = np.eye(4)
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix[:3, 3] = origin
    for axis in range(3):
        point = np.zeros(3)
        point[axis] = 1.0
        matrix[:3, axis] = np.array(transform.TransformPoint(point.tolist())) - origin
    return matrix
