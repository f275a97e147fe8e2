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
        first = self.origin_kji - low
        if part.dtype == bool:
            return _nearest(part, self.step_kji, first, self.shape)
        part = part.astype(np.float32)
        sigma = [0.35 * s if s > 1.4 else 0.0 for s in self.step_kji]
        if any(sigma):
            part = ndimage.gaussian_filter(part, sigma, truncate=2.5)
        if order <= 1:
            return interpolated(part, self.step_kji, first, self.shape)
        return ndimage.affine_transform(part, self.step_kji, first, self.shape, order=order, mode="nearest")

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
        fraction = mask.astype(np.float32)
        # the mean of a linear interpolation over a box of points is a weighted sum along each axis in turn
        for axis, (n, points) in enumerate(zip(high - low + 1, count, strict=True)):
            places = low[axis] - 0.5 + (np.arange(n * points) + 0.5) / points
            places = (places - self.origin_kji[axis]) / self.step_kji[axis]
            weights = _linear_weights(places, mask.shape[axis]).reshape(n, points, -1).mean(1)
            fraction = np.moveaxis(np.tensordot(weights, fraction, (1, axis)), 0, axis)
        return tuple(int(v) for v in low), fraction


def _linear_weights(places, size):
    """Matrix of linear interpolation at fractional indices of an axis, zero outside of it."""
    low = np.clip(np.floor(places).astype(int), 0, max(0, size - 2))
    share = (places - low).astype(np.float32)
    inside = ((places >= 0) & (places <= size - 1)).astype(np.float32)
    weights = np.zeros((len(places), size), dtype=np.float32)
    rows = np.arange(len(places))
    weights[rows, low] = (1 - share) * inside
    weights[rows, np.minimum(low + 1, size - 1)] += share * inside
    return weights


def interpolated(array, step, first, shape, outside=None):
    """Linear interpolation at ``first + step * n`` of each axis: axis by axis, as no axes are mixed.

    Parameters
    ----------
    array : ndarray of float32, shape (k, j, i)
    step, first : array of 3 float
    shape : tuple of int
    outside : float, optional
        What lies beyond the array; its border value if None.

    Returns
    -------
    ndarray of float32
    """
    beyond = np.zeros(shape, dtype=bool)
    for axis, (n, size) in enumerate(zip(shape, array.shape, strict=True)):
        places = first[axis] + step[axis] * np.arange(n)
        along = [-1 if a == axis else 1 for a in range(3)]
        if outside is not None:
            beyond |= ((places < 0) | (places > size - 1)).reshape(along)
        places = np.clip(places, 0, size - 1)
        low = np.minimum(places.astype(int), max(0, size - 2))
        share = (places - low).astype(np.float32).reshape(along)
        before = np.take(array, low, axis)
        array = before + share * (np.take(array, np.minimum(low + 1, size - 1), axis) - before)
    if outside is not None:
        array[beyond] = outside
    return array


def _nearest(array, step, first, shape):
    """The nearest values at ``first + step * n`` of each axis, those of the border beyond it."""
    places = [
        np.clip(np.floor(f + s * np.arange(n) + 0.5).astype(int), 0, size - 1)
        for f, s, n, size in zip(first, step, shape, array.shape, strict=True)
    ]
    return array[np.ix_(*places)]


def block_means(array, steps):
    """Mean around every so many voxels: scipy's ``uniform_filter`` of these sizes, taken at these steps.

    Axis by axis at the places that are taken alone, which is several times faster.

    Parameters
    ----------
    array : ndarray
    steps : sequence of int

    Returns
    -------
    ndarray of float32
    """
    array = array.astype(np.float32, copy=False)
    for axis, (step, size) in enumerate(zip(map(int, steps), array.shape, strict=True)):
        if step == 1:
            continue
        total = 0.0
        for shift in range(-(step // 2), step - step // 2):
            # mirrored at the border, which counts twice
            at = np.arange(0, size, step) + shift
            at = np.where(at < 0, -1 - at, np.where(at >= size, 2 * size - 1 - at, at))
            total = total + np.take(array, np.clip(at, 0, size - 1), axis).astype(np.float64)
        array = (total / step).astype(np.float32)
    return array


class WorkGridView:
    """Moves masks from one working grid to another."""

    def __init__(self, source, target):
        self.source, self.target = source, target

    def move(self, mask):
        """The mask on the target grid (half value of the linear interpolation)."""
        step = self.target.step_kji / self.source.step_kji
        first = self.source.index_of(self.target.origin_kji)
        return interpolated(mask.astype(np.float32), step, first, self.target.shape, 0.0) > 0.5


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
