"""Growing a structure by millimetres, below the voxel: isotropic and directional margins.

Values are signed: negative inside, positive outside, zero on the surface. The surface is where the
values cross zero between voxels, so a margin of 1 mm is 1 mm also on voxels of 1 mm.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from BMVascularCore.errors import InputError

_LETTERS = {"L": "left", "R": "right", "P": "posterior", "A": "anterior", "S": "superior", "I": "inferior"}
DIRECTIONS = ("left", "right", "posterior", "anterior", "superior", "inferior")
LARGEST_MM = 30.0
# in margins: where the distance to a grown surface is no longer needed
_FARTHEST = 1.3


@dataclass(frozen=True)
class Margin:
    """A margin in mm towards each side of the patient (patient axes, DICOM LPS)."""

    left: float = 0.0
    right: float = 0.0
    posterior: float = 0.0
    anterior: float = 0.0
    superior: float = 0.0
    inferior: float = 0.0

    def __post_init__(self):
        for side in DIRECTIONS:
            value = getattr(self, side)
            if not np.isfinite(value) or not 0.0 <= value <= LARGEST_MM:
                raise InputError(
                    f"a margin of {value:g} mm to the {side} cannot be used",
                    "margin",
                    f"Give 0 to {LARGEST_MM:g} mm.",
                )

    @classmethod
    def of(cls, value):
        """A margin from a number (isotropic), a dictionary by side, or a margin."""
        if isinstance(value, cls):
            return value
        if isinstance(value, dict):
            return cls(**{side: float(mm) for side, mm in value.items()})
        return cls(*[float(value)] * 6)

    @classmethod
    def of_text(cls, text):
        """A margin from ``2``, or from ``2 L4 S1``: millimetres, then the sides that differ.

        Sides are left, right, anterior, posterior, superior, inferior of the patient, by their first letter.

        Raises
        ------
        InputError
            Not a margin.
        """
        parts = str(text).replace(",", ".").split()
        try:
            whole = float(parts[0]) if parts and parts[0][0].upper() not in _LETTERS else 0.0
            rest = parts if parts and parts[0][0].upper() in _LETTERS else parts[1:]
            sides = {_LETTERS[part[0].upper()]: float(part[1:]) for part in rest}
        except (ValueError, KeyError) as error:
            parts, cause = [], error
        else:
            cause = None
        if not parts:
            raise InputError(
                f"'{text}' is not a margin in mm", "margin", "Type 0 to 30, or for example 2 L4 S1."
            ) from cause
        return cls(**{side: sides.get(side, whole) for side in DIRECTIONS})

    @property
    def text(self):
        """Short text that :meth:`of_text` reads."""
        values = [getattr(self, side) for side in DIRECTIONS]
        whole = max(sorted(set(values)), key=values.count)
        letters = {side: letter for letter, side in _LETTERS.items()}
        other = [f"{letters[s]}{getattr(self, s):g}" for s in DIRECTIONS if getattr(self, s) != whole]
        return " ".join([f"{whole:g}", *other])

    @property
    def largest_mm(self):
        """The largest of the six."""
        return max(getattr(self, side) for side in DIRECTIONS)

    @property
    def isotropic(self):
        """True when all six are the same."""
        return len({getattr(self, side) for side in DIRECTIONS}) == 1

    @property
    def positive_negative_mm(self):
        """Margins along +x, +y, +z and along -x, -y, -z in LPS, two arrays of three."""
        return (
            np.array([self.left, self.posterior, self.superior]),
            np.array([self.right, self.anterior, self.inferior]),
        )

    def __str__(self):
        if self.isotropic:
            return f"{self.left:g}"
        return " ".join(f"{side} {getattr(self, side):g}" for side in DIRECTIONS)


def surface_points(values):
    """Points where values cross zero on the lines between neighbouring voxels.

    Returns
    -------
    ndarray, shape (n, 3)
        Fractional indices (k, j, i).
    """
    parts = []
    for axis in range(3):
        first = np.moveaxis(values, axis, 0)[:-1]
        second = np.moveaxis(values, axis, 0)[1:]
        here = np.argwhere((first <= 0) != (second <= 0))
        a, b = first[tuple(here.T)], second[tuple(here.T)]
        points = here.astype(float)
        points[:, 0] += a / (a - b)
        order = [*range(1, axis + 1), 0, *range(axis + 1, 3)]
        parts.append(points[:, order])
    return np.concatenate(parts)


def signed_distance(values, spacing_kji_mm, reach_mm):
    """Signed distance to the zero surface in mm, cut off at ``reach_mm``, shape of ``values``."""
    points = surface_points(values) * spacing_kji_mm
    index = np.indices(values.shape).reshape(3, -1).T * np.asarray(spacing_kji_mm)
    distance, _ = cKDTree(points).query(index, distance_upper_bound=reach_mm)
    distance = np.minimum(distance, reach_mm).reshape(values.shape)
    return np.where(values <= 0, -distance, distance)


def grow(values, geometry, margin):
    """Grow a structure.

    Parameters
    ----------
    values : ndarray, shape (k, j, i)
        Negative inside; only the sign and the zero crossings count.
    geometry : Geometry
        Must leave room for the margin around the structure.
    margin : Margin

    Returns
    -------
    ndarray
        Signed values in mm around the grown surface.
    """
    spacing = np.asarray(geometry.spacing_kji_mm)
    reach = 2.0 * float(spacing.max())
    if margin.largest_mm == 0.0:
        return signed_distance(values, spacing, reach)
    if margin.isotropic:
        return _isotropic(values, spacing, margin.left, reach)
    return signed_distance(_directional(values, geometry, margin), spacing, reach)


def _isotropic(values, spacing, margin_mm, reach):
    """Exact distances only around the grown surface; elsewhere the sign is all that counts.

    The distance between voxel centres, which is quick, is off by less than a voxel's diagonal.
    """
    rough = ndimage.distance_transform_edt(values > 0, sampling=spacing)
    slack = float(np.linalg.norm(spacing)) + reach
    near = np.abs(rough - margin_mm) <= slack
    near &= values > 0
    points = surface_points(values) * spacing
    exact, _ = cKDTree(points).query(np.argwhere(near) * spacing)
    grown = np.where(rough < margin_mm, -reach, reach)
    grown[near] = np.clip(exact - margin_mm, -reach, reach)
    return grown


def _directional(values, geometry, margin):
    """Gauge distance minus one: the union of half-axis ellipsoids standing on every surface point."""
    positive, negative = (np.maximum(side, 1e-3) for side in margin.positive_negative_mm)
    rotation = np.reshape(geometry.direction, (3, 3))
    if np.allclose(np.abs(rotation).max(axis=0), 1.0, atol=1e-4):
        return np.where(
            values <= 0, -1.0, _axis_by_axis(values, geometry, rotation, positive, negative) - 1.0
        )
    points = surface_points(values)
    base = np.rint(points).astype(int)
    radius = np.ceil(margin.largest_mm / np.asarray(geometry.spacing_kji_mm)).astype(int) + 1
    steps = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in radius], indexing="ij"), -1).reshape(-1, 3)
    gauge = np.full(values.size, 4.0)
    spacing_ijk = np.asarray(geometry.spacing_mm)
    # steps that end beyond the ellipsoids and the voxel after them cannot matter
    reached = (steps[:, ::-1] * spacing_ijk) @ rotation.T
    nearer = np.maximum(np.abs(reached) - np.linalg.norm(spacing_ijk), 0.0)
    least = np.where(reached > 0, nearer / positive, nearer / negative)
    for step in steps[(least**2).sum(axis=1) <= _FARTHEST**2]:
        target = base + step
        inside = np.all((target >= 0) & (target < values.shape), axis=1)
        away = ((target - points)[inside, ::-1] * spacing_ijk) @ rotation.T
        length = np.sqrt((np.where(away > 0, away / positive, away / negative) ** 2).sum(axis=1))
        np.minimum.at(gauge, np.ravel_multi_index(target[inside].T, values.shape), length)
    return np.where(values <= 0, -1.0, gauge.reshape(values.shape) - 1.0)


def _axis_by_axis(values, geometry, rotation, positive, negative):
    """Gauge distance where the grid runs along the patient's axes: its square is a sum over the axes.

    Each pass takes, along one axis, the least of its neighbours' squares plus the square of the way from them. Only
    the first pass knows where the surface crosses between two voxels; every axis is once the first.
    """
    ways = []
    for axis, spacing in enumerate(geometry.spacing_kji_mm):
        column = rotation[:, 2 - axis]
        patient = int(np.argmax(np.abs(column)))
        ahead, back = positive[patient], negative[patient]
        ways.append(
            (spacing / ahead, spacing / back) if column[patient] > 0 else (spacing / back, spacing / ahead)
        )
    square = np.full(values.shape, 16.0)
    for first in range(3):
        part = _first_pass(values, first, ways[first])
        for axis in range(3):
            if axis != first:
                part = _further_pass(part, axis, ways[axis])
        np.minimum(square, part, out=square)
    return np.sqrt(square)


def _first_pass(values, axis, way):
    """Squares along one axis from where the surface crosses it; ``way`` is one voxel ahead and back in margins."""
    moved = np.moveaxis(values, axis, 0)
    found = np.where(moved <= 0, 0.0, 16.0)
    for step, flip in zip(way, (False, True), strict=True):
        source, target = (moved[::-1], found[::-1]) if flip else (moved, found)
        inside, outside = source[:-1], source[1:]
        leaving = (inside <= 0) & (outside > 0)
        share = np.where(leaving, inside / np.where(leaving, inside - outside, 1.0), -np.inf)
        for k in range(1, min(int(_FARTHEST / step) + 2, len(moved))):
            part = share[: len(moved) - k]
            np.minimum(
                target[k:], np.where(np.isfinite(part), ((k - part) * step) ** 2, 16.0), out=target[k:]
            )
    return np.moveaxis(found, 0, axis)


def _further_pass(square, axis, way):
    source = np.moveaxis(square, axis, 0)
    found = source.copy()
    for step, flip in zip(way, (False, True), strict=True):
        before, after = (source[::-1], found[::-1]) if flip else (source, found)
        for k in range(1, min(int(_FARTHEST / step) + 2, len(source))):
            np.minimum(after[k:], before[: len(source) - k] + (k * step) ** 2, out=after[k:])
    return np.moveaxis(found, 0, axis)


def enclosed_ml(values_mm, geometry):
    """Volume inside the zero surface of signed distances in mm, in mL, voxels counted in part."""
    width = float(np.mean(geometry.spacing_mm))
    share = np.clip(0.5 - values_mm / width, 0.0, 1.0)
    return float(share.sum()) * geometry.voxel_ml
