"""The isotropic working grid around a click."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class WorkGrid:
    """Isotropic grid along the image's own axes.

    Attributes
    ----------
    origin_kji, step_kji : ndarray of 3 float
        First voxel and step, in voxels of the image.
    shape : tuple of int
    spacing_mm : float
    """

    origin_kji: np.ndarray
    step_kji: np.ndarray
    shape: tuple
    spacing_mm: float

    @classmethod
    def around(cls, low_kji, high_kji, geometry, spacing_mm):
        """Grid that covers image indices ``low`` to ``high`` (clipped to the image)."""
        size = np.asarray(geometry.shape)
        low = np.clip(np.asarray(low_kji, dtype=float), 0, size - 1)
        high = np.clip(np.asarray(high_kji, dtype=float), 0, size - 1)
        step = spacing_mm / np.asarray(geometry.spacing_kji_mm)
        shape = np.maximum(3, np.floor((high - low) / step).astype(int) + 1)
        return cls(low, step, tuple(int(n) for n in shape), float(spacing_mm))

    def index_of(self, image_kji):
        """Working-grid indices (fractional) of image indices."""
        return (np.asarray(image_kji, dtype=float) - self.origin_kji) / self.step_kji

    def image_index_of(self, index):
        """Image indices (fractional) of working-grid indices."""
        return np.asarray(index, dtype=float) * self.step_kji + self.origin_kji

    def sample(self, array, order=1):
        """The image on this grid; smoothed first along axes where this grid is the coarser one."""
        low = np.maximum(0, np.floor(self.origin_kji).astype(int) - 4)
        last = self.image_index_of(np.asarray(self.shape) - 1)
        high = np.minimum(array.shape, np.ceil(last).astype(int) + 5)
        part = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        is_mask = part.dtype == bool
        part = part.astype(np.float32)
        sigma = [0.35 * s if s > 1.4 else 0.0 for s in self.step_kji]
        if not is_mask and any(sigma):
            part = ndimage.gaussian_filter(part, sigma, truncate=2.5)
        out = ndimage.affine_transform(
            part,
            self.step_kji,
            self.origin_kji - low,
            self.shape,
            order=0 if is_mask else order,
            mode="nearest",
        )
        return out > 0.5 if is_mask else out

    def fractions(self, mask, image_shape, factor=3):
        """Share of each image voxel inside a working-grid mask.

        Parameters
        ----------
        mask : ndarray of float, 0..1
        image_shape : tuple of int
        factor : int
            Points per voxel and axis.

        Returns
        -------
        corner_kji : tuple of int
        fraction : ndarray
        """
        inside = np.argwhere(mask > 0.02)
        ends = self.image_index_of(np.stack([inside.min(0) - 1, inside.max(0) + 1]))
        low = np.maximum(0, np.floor(ends[0]).astype(int))
        high = np.minimum(np.asarray(image_shape) - 1, np.ceil(ends[1]).astype(int))
        count = np.where(self.step_kji < 0.34, 5, factor)
        shape = (high - low + 1) * count
        step = 1.0 / (count * self.step_kji)
        first = (low - 0.5 + 0.5 / count - self.origin_kji) / self.step_kji
        fine = ndimage.affine_transform(mask.astype(np.float32), step, first, tuple(shape), order=1)
        n = high - low + 1
        fine = fine.reshape(n[0], count[0], n[1], count[1], n[2], count[2])
        return tuple(int(v) for v in low), fine.mean(axis=(1, 3, 5))


class WorkGridView:
    """Moves masks from one working grid to another."""

    def __init__(self, source, target):
        self.source, self.target = source, target

    def move(self, mask):
        """The mask on the target grid (half value of the linear interpolation)."""
        step = self.target.step_kji / self.source.step_kji
        first = self.source.index_of(self.target.origin_kji)
        return (
            ndimage.affine_transform(mask.astype(np.float32), step, first, self.target.shape, order=1) > 0.5
        )


def grid_around(ready, points, reach_mm, spacing_mm):
    """Working grid that reaches some mm beyond points (image indices)."""
    margin = reach_mm / np.asarray(ready.t1c.geometry.spacing_kji_mm)
    points = np.asarray(points)
    return WorkGrid.around(points.min(0) - margin, points.max(0) + margin, ready.t1c.geometry, spacing_mm)


def views(ready, grid):
    """T1c, and where a lesion may lie, on a working grid."""
    return grid.sample(ready.t1c.array), grid.sample(ready.reach)


def touches_edge(mask):
    """Whether a mask reaches the border of its array."""
    return any(np.take(mask, (0, -1), axis=axis).any() for axis in range(3))
