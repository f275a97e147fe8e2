"""Which points lie inside a structure, exactly, whatever it is made of."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from BMVascularCore.planning.planes import dense_outline, fill_even_odd, stack_planes

# pixels that decide on which side of an outline a point lies, and points along the outline, mm
_PIXEL_MM, _OUTLINE_MM = 0.2, 0.25


@dataclass
class Membership:
    """Test of points against one structure.

    Contours are interpolated between their planes by signed distance; beyond the outermost ones half a slice
    belongs to the structure. Masks are taken by their voxels.
    """

    structure: object
    slice_step_mm: float = None

    def __post_init__(self):
        self._blocks, self._trees = [], {}
        if self.structure.mask is None:
            self._blocks, _ = stack_planes(self.structure.contours, self.structure.name, self.slice_step_mm)

    @property
    def blur_mm(self):
        """Distance from the surface below which :meth:`clearance_mm` is a sign only."""
        if self.structure.mask is not None:
            return 0.0
        return max(float(block.steps_mm.max()) for block in self._blocks)

    def inside(self, points_lps_mm):
        """True for points inside, shape (n,)."""
        return self.clearance_mm(points_lps_mm) < 0.0

    def clearance_mm(self, points_lps_mm):
        """Negative inside, positive outside, shape (n,).

        The absolute value is the distance in mm within which nothing changes, where it is above the
        distance of two planes or voxels; nearer to the surface only the sign counts.
        """
        points = np.asarray(points_lps_mm, float).reshape(-1, 3)
        if self.structure.mask is not None:
            return self._of_mask(points)
        values = np.full(len(points), np.inf)
        for number, block in enumerate(self._blocks):
            local = points @ block.axes.T
            values = np.minimum(values, self._of_block(number, block, local))
        return values

    def _of_mask(self, points):
        mask = self.structure.mask
        index = np.rint(mask.geometry.index_of(points)).astype(int)
        known = ((index >= 0) & (index < mask.array.shape)).all(axis=1)
        inside = np.zeros(len(points), bool)
        inside[known] = mask.array[tuple(index[known].T)]
        return np.where(inside, -1e-6, 1e-6)

    def _of_block(self, number, block, local):
        heights, steps = block.heights_mm, block.steps_mm
        last = len(heights) - 1
        values = np.full(len(local), np.inf)
        reach = (local[:, 2] >= heights[0] - steps[0] / 2) & (local[:, 2] <= heights[-1] + steps[-1] / 2)
        below = np.clip(np.searchsorted(heights, local[:, 2], side="right") - 1, 0, max(last - 1, 0))
        for k in np.unique(below[reach]):
            chosen = np.flatnonzero(reach & (below == k))
            here = local[chosen]
            first = self._distance(number, block, k, here[:, :2])
            if last == 0:
                values[chosen] = first
                continue
            second = self._distance(number, block, k + 1, here[:, :2])
            share = np.clip((here[:, 2] - heights[k]) / steps[k], 0.0, 1.0)
            mixed = (1 - share) * first + share * second
            # far from the outlines of both planes nothing is near, but for the ends of the structure
            same = np.sign(first) == np.sign(second)
            far = np.where(same, np.minimum(np.abs(first), np.abs(second)), 0.0)
            ends = np.minimum(here[:, 2] - heights[0], heights[-1] - here[:, 2]) + steps[k] / 2
            values[chosen] = np.sign(mixed) * np.maximum(np.minimum(far, np.maximum(ends, 0.0)), 1e-9)
        return values

    def _distance(self, number, block, k, places):
        """Signed distance to the outline of plane k, negative inside."""
        if (number, k) not in self._trees:
            outline = np.concatenate([dense_outline(p, _OUTLINE_MM) for p in block.polygons[k]])
            self._trees[number, k] = cKDTree(outline)
        distance, _ = self._trees[number, k].query(places)
        low = places.min(axis=0) - _PIXEL_MM
        counts = np.ceil((places.max(axis=0) - low) / _PIXEL_MM).astype(int) + 2
        grid = tuple(low[a] + _PIXEL_MM * np.arange(counts[a]) for a in range(2))
        pixel = np.rint((places - low) / _PIXEL_MM).astype(int)
        filled = fill_even_odd(block.polygons[k], grid)
        return np.where(filled[tuple(pixel.T)], -distance, distance)
