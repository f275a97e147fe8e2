"""Contours sorted into parallel planes, with signed distances in each plane."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from BMVascularCore.errors import InputError
from BMVascularCore.planning.contour_shape import crosses_itself
from BMVascularCore.planning.contours import points_inside

_PLANE_TOLERANCE_MM = 0.05
# in usual distances of the planes: more than the first is a gap, up to the second one is bridged where the
# outlines on both sides belong to one body
_GAP, BRIDGED = 1.5, 3.5
# outlines that shrink to this share on both sides of a gap are the ends of two bodies
_SHRINKS = 0.8


@dataclass
class PlaneStack:
    """An unbroken run of planes; distances may differ.

    Attributes
    ----------
    heights_mm : ndarray
        Along the normal, rising.
    polygons : list of list of ndarray, shape (n, 2)
        In-plane coordinates in mm.
    areas_mm2 : ndarray
        Enclosed by even-odd rule.
    step_mm : float
        Mean distance of the planes; for a single plane, that of the structure.
    axes : ndarray, shape (3, 3)
        Rows: first in-plane axis, second, normal; LPS.
    """

    heights_mm: np.ndarray
    polygons: list
    areas_mm2: np.ndarray
    step_mm: float
    axes: np.ndarray

    @property
    def steps_mm(self):
        """Distance from every plane to the next, mm; the usual step for a single plane."""
        return np.diff(self.heights_mm) if len(self.heights_mm) > 1 else np.array([self.step_mm])

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
        outline = np.concatenate([dense_outline(polygon, 0.25 * pixel) for polygon in self.polygons[k]])
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


def dense_outline(polygon, step):
    """Points along a closed polygon (n, 2), at most a step apart."""
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
    overlap = not crossing and any(_overlapping(plane) for plane in polygons)
    if overlap:
        warnings.append(
            f"{name}: contours of one plane overlap in part; what lies inside both is left out (even-odd rule)"
        )
    measure = _filled_area if crossing or overlap else _even_odd_area
    areas = np.array([measure(plane) for plane in polygons])
    cuts, told = _cuts(steps, step, polygons, areas)
    warnings += [f"{name}: {text}" for text in told]
    parts = np.split(np.arange(len(groups)), cuts)
    return [
        PlaneStack(heights[p], [polygons[n] for n in p], areas[p], _own_step(heights[p], step), axes)
        for p in parts
    ], warnings


def _cuts(steps, step, polygons, areas):
    """First planes of new runs, and what is to be said about the distances."""
    if step is None or len(steps) == 0:
        return np.zeros(0, int), []
    # distances may change along a structure: a wide one beside another wide one is no gap
    padded = np.concatenate([[0.0], steps, [0.0]])
    usual = np.maximum(step, np.maximum(padded[:-2], padded[2:]))
    wide = np.flatnonzero(steps > _GAP * usual)
    cuts = [n + 1 for n in wide if steps[n] > BRIDGED * step or not _one_body(n, polygons, areas)]
    told = []
    if cuts:
        told.append(f"contours leave {len(cuts)} gaps of a slice or more; the gaps are not filled")
    if len(wide) > len(cuts):
        told.append(
            f"contours are missing at {len(wide) - len(cuts)} places; the outlines beside them are joined"
        )
    kept = np.delete(steps, np.array(cuts, int) - 1)
    if len(kept) and kept.max() > _GAP * kept.min() and len(wide) == len(cuts):
        told.append(f"contours lie {kept.min():.3g} to {kept.max():.3g} mm apart")
    return np.array(cuts, int), told


def _one_body(n, polygons, areas):
    """True when planes n and n + 1 show the same body: they overlap and do not both end there."""
    below, above = polygons[n], polygons[n + 1]
    if not (_meets(below, above) or _meets(above, below)):
        return False
    ends_below = n > 0 and areas[n] < _SHRINKS * areas[n - 1]
    ends_above = n + 2 < len(areas) and areas[n + 1] < _SHRINKS * areas[n + 2]
    return not (ends_below and ends_above)


def _meets(polygons, others):
    """True when a point of the first polygons lies inside the others."""
    return any(points_inside(_thin(one), other).any() for one in polygons for other in others)


def _overlapping(polygons):
    """True when two polygons of a plane lie in one another in part."""
    boxes = [(p.min(axis=0), p.max(axis=0)) for p in polygons]
    for n, (low, high) in enumerate(boxes):
        for m, (other_low, other_high) in enumerate(boxes):
            if n == m or (high < other_low).any() or (other_high < low).any():
                continue
            # points on a shared edge are no overlap: what counts is well inside
            share = points_inside(_thin(polygons[n]), polygons[m]).mean()
            if 0.05 < share < 0.95:
                return True
    return False


def _thin(polygon):
    return polygon[:: max(1, len(polygon) // 100)]


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
