"""Contours sorted into parallel planes, with signed distances in each plane."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from BMVascularCore.errors import InputError
from BMVascularCore.planning.contour_shape import crosses_itself
from BMVascularCore.planning.contours import points_inside

_PLANE_TOLERANCE_MM = 0.05


@dataclass
class PlaneStack:
    """An unbroken run of planes at one distance.

    Attributes
    ----------
    heights_mm : ndarray
        Along the normal, rising.
    polygons : list of list of ndarray, shape (n, 2)
        In-plane coordinates in mm.
    areas_mm2 : ndarray
        Enclosed by even-odd rule.
    step_mm : float
    axes : ndarray, shape (3, 3)
        Rows: first in-plane axis, second, normal; LPS.
    """

    heights_mm: np.ndarray
    polygons: list
    areas_mm2: np.ndarray
    step_mm: float
    axes: np.ndarray

    def grid(self, pixel_mm):
        """Pixel centres (first, second coordinate) around all polygons."""
        everything = np.concatenate([p for plane in self.polygons for p in plane])
        low = everything.min(axis=0) - 3.5 * pixel_mm
        counts = np.ceil((everything.max(axis=0) + 3.5 * pixel_mm - low) / pixel_mm).astype(int) + 1
        return tuple(low[a] + pixel_mm * np.arange(counts[a]) for a in range(2))

    def distance(self, k, grid):
        """Signed distance in mm to the outline of plane k, negative inside, shape (first, second)."""
        pixel = grid[0][1] - grid[0][0]
        inside = fill_even_odd(self.polygons[k], grid)
        near = np.where(
            inside, ndimage.distance_transform_edt(inside), -ndimage.distance_transform_edt(~inside)
        )
        values = -(near - 0.5 * np.sign(near)) * pixel
        # a contour smaller than a pixel holds none: then nothing but the outline says how far it is
        close = np.argwhere((np.abs(near) < 3.0) | (not inside.any()))
        outline = np.concatenate([_dense(polygon, 0.25 * pixel) for polygon in self.polygons[k]])
        places = np.stack([grid[0][close[:, 0]], grid[1][close[:, 1]]], axis=1)
        exact, _ = cKDTree(outline).query(places)
        values[tuple(close.T)] = np.where(inside[tuple(close.T)], -exact, exact)
        return values

    def points(self, grid, mask, height_mm, move):
        """LPS mm of the masked pixels at a height, moved by some pixels (2, first, second), shape (n, 3)."""
        a, b = np.nonzero(mask)
        pixel = grid[0][1] - grid[0][0]
        first, second = grid[0][a] + pixel * move[0][a, b], grid[1][b] + pixel * move[1][a, b]
        local = np.stack([first, second, np.full(len(a), height_mm)], axis=1)
        return local @ self.axes


def fill_even_odd(polygons, grid):
    """Pixels inside polygons by the even-odd rule, shape (first, second)."""
    toggles = np.zeros((len(grid[0]), len(grid[1]) + 1), np.int32)
    pixel = grid[0][1] - grid[0][0]
    for polygon in polygons:
        start, end = polygon, np.roll(polygon, -1, axis=0)
        low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
        # rows beyond the grid are cut off
        first = np.clip(np.ceil((low - grid[0][0]) / pixel).astype(int), 0, len(grid[0]))
        last = np.clip(np.ceil((high - grid[0][0]) / pixel).astype(int), 0, len(grid[0]))
        counts = np.maximum(last - first, 0)
        edge = np.repeat(np.arange(len(polygon)), counts)
        row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
        share = (grid[0][0] + row * pixel - start[edge, 0]) / (end[edge, 0] - start[edge, 0])
        crossing = start[edge, 1] + share * (end[edge, 1] - start[edge, 1])
        column = np.clip(np.ceil((crossing - grid[1][0]) / pixel).astype(int), 0, len(grid[1]))
        np.add.at(toggles, (row, column), 1)
    return np.cumsum(toggles, axis=1)[:, :-1] % 2 == 1


def _dense(polygon, step):
    start, end = polygon, np.roll(polygon, -1, axis=0)
    counts = np.maximum(1, np.ceil(np.linalg.norm(end - start, axis=1) / step).astype(int))
    edge = np.repeat(np.arange(len(polygon)), counts)
    share = (np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[edge]
    return start[edge] + share[:, None] * (end - start)[edge]


def plane_step(contours):
    """Distance between the planes of contours in mm; None for a single plane."""
    normal = plane_axes(contours)[2]
    heights = np.sort([float(np.mean(np.asarray(one, float) @ normal)) for one in contours])
    steps = np.diff(heights)
    steps = steps[steps > _PLANE_TOLERANCE_MM]
    return float(np.median(steps)) if len(steps) else None


def stack_planes(contours, name, slice_step_mm=None):
    """Sort contours into unbroken runs of planes.

    Parameters
    ----------
    contours : list of ndarray, shape (n, 3)
        LPS mm.
    name : str
    slice_step_mm : float, optional
        For structures on a single slice.

    Returns
    -------
    blocks : list of PlaneStack
    warnings : list of str

    Raises
    ------
    InputError
        Contours that do not lie in parallel planes; one plane without a known slice distance.
    """
    axes = plane_axes(contours)
    local = [np.asarray(one, float) @ axes.T for one in contours]
    if any(np.ptp(one[:, 2]) > _PLANE_TOLERANCE_MM for one in local):
        told = "the points of a contour do not lie in one plane"
        if not any(_leaves_plane(np.asarray(one, float)) for one in contours):
            told = "its contours lie in planes that are not parallel"
        raise InputError(told, name, "Export it again, in one orientation.")
    height = np.array([one[:, 2].mean() for one in local])
    order = np.argsort(height)
    groups = np.split(order, np.flatnonzero(np.diff(height[order]) > _PLANE_TOLERANCE_MM) + 1)
    heights = np.array([height[group].mean() for group in groups])
    steps = np.diff(heights)
    # organs are often drawn on every second or third slice only: each structure has its own distance
    step = float(np.median(steps)) if len(steps) else slice_step_mm
    if step is None:
        raise InputError(
            "lies on a single slice of unknown thickness", name, "Add another structure or its CT."
        )
    warnings = []
    crossing = self_crossing(contours)
    if crossing:
        warnings.append(f"{name}: a contour crosses itself; what lies inside is decided by the even-odd rule")
    polygons = [[local[n][:, :2] for n in group] for group in groups]
    areas = np.array([(_filled_area if crossing else _even_odd_area)(plane) for plane in polygons])
    cuts = np.flatnonzero(steps > 1.5 * step) + 1
    if len(cuts):
        warnings.append(
            f"{name}: contours leave {len(cuts)} gaps of a slice or more; the gaps are not filled"
        )
    parts = np.split(np.arange(len(groups)), cuts)
    return [
        PlaneStack(heights[p], [polygons[n] for n in p], areas[p], _own_step(heights[p], step), axes)
        for p in parts
    ], warnings


def self_crossing(contours):
    """True when a contour of a structure crosses itself.

    Parameters
    ----------
    contours : list of ndarray, shape (n, 3)
        LPS mm.
    """
    axes = plane_axes(contours)
    return any(crosses_itself((np.asarray(one, float) @ axes.T)[:, :2]) for one in contours)


def _leaves_plane(points):
    """True when the points of one contour do not fit any plane."""
    thickness = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][-1]
    return float(np.ptp(points @ thickness)) > _PLANE_TOLERANCE_MM


def _own_step(heights, step):
    return float(np.mean(np.diff(heights))) if len(heights) > 1 else step


def plane_axes(contours):
    """Rows: two axes in the plane of the largest contour, and its normal; LPS."""
    largest = np.asarray(max(contours, key=len), float)
    centred = largest - largest.mean(axis=0)
    normal = np.cross(centred, np.roll(centred, -1, axis=0)).sum(axis=0)
    length = np.linalg.norm(normal)
    normal = normal / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])
    if abs(normal[2]) > 0.99999:
        return np.eye(3)
    normal = normal * (1 if normal[np.argmax(np.abs(normal))] > 0 else -1)
    helper = np.eye(3)[np.argmin(np.abs(normal))]
    first = np.cross(helper, normal)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(normal, first), normal])


def _even_odd_area(polygons):
    """Area inside polygons that do not cross themselves: a polygon inside another is a hole."""
    total = 0.0
    for n, polygon in enumerate(polygons):
        depth = sum(points_inside(polygon[:1], other)[0] for m, other in enumerate(polygons) if m != n)
        y, x = polygon.T
        area = 0.5 * abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)))
        total += -area if depth % 2 else area
    return max(total, 0.0)


def _filled_area(polygons):
    """Area by counting pixels: the lobes of a crossing polygon would cancel in a formula."""
    everything = np.concatenate(polygons)
    pixel = float(np.ptp(everything, axis=0).max()) / 400.0
    low = everything.min(axis=0) + (0.5 - 2) * pixel
    grid = tuple(low[a] + pixel * np.arange(405) for a in range(2))
    return float(fill_even_odd(polygons, grid).sum()) * pixel**2
