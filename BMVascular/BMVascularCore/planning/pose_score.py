"""Mutual information of a pose and its slope, in a millisecond: for searching, descending and repeating.

A metric of SimpleITK prepares whole images for each call and costs a hundred times as much. Here the points are
drawn once; what is left for a pose is their interpolation, a joint histogram and, for a descent, the derivative
of Mattes (2003): cubic B-spline windows in the moving values, plain bins in the fixed ones.
"""

import numpy as np
import SimpleITK as sitk

_LEAST_SHARE = 0.05
_PLENTY = 15000


class PoseScore:
    """Scores poses of a pair at one level.

    Parameters
    ----------
    fixed, moving : SimpleITK.Image
        Float images of the level.
    places : ndarray of int
        Flat indices of the voxels of the fixed image where to look.
    points : int
        How many are drawn, once, off the voxel centres: where two grids coincide, linear interpolation favours
        poses between the voxels.
    bins : int
    seed : int
    """

    def __init__(self, fixed, moving, places, points=4000, bins=32, seed=0):
        rng = np.random.default_rng(seed)
        # of coarse images a quarter of the voxels: more points would say the same thing again
        count = min(points, len(places), max(len(places) // 4, _PLENTY))
        # sorted: neighbours in memory are read together
        chosen = np.sort(places[rng.integers(len(places), size=count)])
        index = np.stack(np.unravel_index(chosen, fixed.GetSize()[::-1]))[::-1].astype(float)
        index += rng.uniform(-0.5, 0.5, index.shape)
        index = np.clip(index, 0.0, np.array(fixed.GetSize())[:, None] - 1.0)
        self._bins = bins
        self._fixed = _binned(_Sampler(fixed).values(index), bins)
        self._points = _axes(fixed) @ index + np.asarray(fixed.GetOrigin())[:, None]
        array = sitk.GetArrayViewFromImage(moving)
        self._low, high = np.percentile(array[::2, ::3, ::3], (0.5, 99.5))
        self._per_bin = (bins - 1) / max(high - self._low, 1e-6)
        self._sampler = _Sampler(moving)
        self._to_index = np.linalg.inv(_axes(moving))
        self._origin = np.asarray(moving.GetOrigin())[:, None]
        self._size = np.array(moving.GetSize())[:, None]
        self._spacing = np.asarray(moving.GetSpacing())[:, None]

    def within(self, transform, margin_mm=8.0):
        """The same score on the points that lie well inside the moving image at a pose.

        Near the end of a truncated field of view interpolation and cut anatomy mislead the metric.
        """
        _, index = self._moved(transform)
        margin = np.minimum(margin_mm / self._spacing, (self._size - 1) // 3)
        kept = np.all((index >= margin) & (index <= self._size - 1 - margin), axis=0)
        if not 0.03 < kept.mean() < 0.97:
            return self
        inner = object.__new__(PoseScore)
        inner.__dict__.update(self.__dict__)
        inner._points, inner._fixed = self._points[:, kept], self._fixed[kept]
        return inner

    def __call__(self, transform):
        """Negative mutual information of a pose (lower is better), inf where fewer than 5 % of points meet.

        It is weighed with the share of points that meet: a sliver of overlap can look informative.
        """
        _, index = self._moved(transform)
        held = self._held(index)
        share = held.mean()
        if share < _LEAST_SHARE:
            return np.inf
        fixed = self._fixed[held]
        values = (self._sampler.values(index[:, held]) - self._low) * self._per_bin
        near = np.rint(np.clip(values, 0, self._bins - 1)).astype(np.int32)
        joint = np.bincount(fixed * self._bins + near, minlength=self._bins**2)
        return -mutual_information(joint.reshape(self._bins, self._bins)) * min(1.0, 2.0 * share)

    def slope(self, transform):
        """Value of a pose with smooth windows, and how it changes with the pose.

        Returns
        -------
        value : float
            As :meth:`__call__`, but smooth in the pose.
        force : ndarray, shape (3,)
            Derivative by the translation, per mm.
        torque : ndarray, shape (3,)
            Derivative by a further rotation about the transform's centre, along LPS axes, per radian.
        """
        arms, index = self._moved(transform)
        held = self._held(index)
        share = held.mean()
        if share < _LEAST_SHARE:
            return np.inf, np.zeros(3), np.zeros(3)
        if share < 1.0:
            arms, index = arms[:, held], index[:, held]
        fixed = self._fixed[held] if share < 1.0 else self._fixed
        values, slopes = self._sampler.values_and_slopes(index)
        scaled = (values - self._low) * self._per_bin
        clipped = np.clip(scaled, 0.0, self._bins - 1.0)
        value, pull = _parzen(fixed, clipped, self._bins)
        pull *= (scaled == clipped) * self._per_bin
        slopes *= pull
        weight = -min(1.0, 2.0 * share)
        back = self._to_index.T
        moment = np.reshape(transform.GetMatrix(), (3, 3)) @ np.einsum("in,jn->ij", arms, slopes) @ back.T
        torque = (moment[1, 2] - moment[2, 1], moment[2, 0] - moment[0, 2], moment[0, 1] - moment[1, 0])
        return weight * value, weight * (back @ slopes.sum(axis=1)), weight * np.array(torque)

    def _moved(self, transform):
        """Places from the centre of rotation, and where they come to lie in voxels of the moving image."""
        arms = self._points - np.asarray(transform.GetCenter())[:, None]
        there = self._to_index @ (
            np.add(transform.GetCenter(), transform.GetTranslation())[:, None] - self._origin
        )
        # einsum: a matrix product of this shape would set all cores to work for nothing
        turn = self._to_index @ np.reshape(transform.GetMatrix(), (3, 3))
        return arms, np.einsum("ij,jn->in", turn, arms) + there

    def _held(self, index):
        return np.all((index >= 0) & (index <= self._size - 1), axis=0)


class _Sampler:
    """Linear interpolation of an image at many places, with its slopes."""

    def __init__(self, image):
        # the view lives as long as its image
        self._image = image
        self._flat = sitk.GetArrayViewFromImage(image).ravel()
        nx, ny, nz = image.GetSize()
        self._shape = np.array((nx, ny, nz))[:, None]
        self._steps = tuple(step if n > 1 else 0 for n, step in ((nx, 1), (ny, nx), (nz, nx * ny)))

    def _corners(self, index):
        whole = np.minimum(index.astype(np.int64), np.maximum(self._shape - 2, 0))
        part = index - whole
        flat = self._flat
        x, y, z = self._steps
        base = whole[0] + self._shape[0] * (whole[1] + self._shape[1] * whole[2])
        corners = [flat.take(base + offset) for offset in (0, x, y, x + y, z, x + z, y + z, x + y + z)]
        return corners, part

    def values(self, index):
        """Values at continuous indices (x, y, z), shape (3, n), inside the array."""
        (c000, c100, c010, c110, c001, c101, c011, c111), (u, v, w) = self._corners(index)
        c00, c10 = c000 + u * (c100 - c000), c010 + u * (c110 - c010)
        c01, c11 = c001 + u * (c101 - c001), c011 + u * (c111 - c011)
        c0, c1 = c00 + v * (c10 - c00), c01 + v * (c11 - c01)
        return c0 + w * (c1 - c0)

    def values_and_slopes(self, index):
        """Values, and their derivatives by the three indices, shape (3, n)."""
        (c000, c100, c010, c110, c001, c101, c011, c111), (u, v, w) = self._corners(index)
        d00, d10, d01, d11 = c100 - c000, c110 - c010, c101 - c001, c111 - c011
        c00, c10, c01, c11 = c000 + u * d00, c010 + u * d10, c001 + u * d01, c011 + u * d11
        e0, e1 = c10 - c00, c11 - c01
        c0, c1 = c00 + v * e0, c01 + v * e1
        d0, d1 = d00 + v * (d10 - d00), d01 + v * (d11 - d01)
        return c0 + w * (c1 - c0), np.stack([d0 + w * (d1 - d0), e0 + w * (e1 - e0), c1 - c0])


def _parzen(fixed, moving, bins):
    """Mutual information with cubic windows in the moving values (in bins), and its derivative by each of them."""
    whole = np.minimum(moving.astype(np.int64), bins - 2)
    u = moving - whole
    v = 1.0 - u
    weights = np.stack([v**3, 4.0 - 3.0 * u * u * (1.0 + v), 4.0 - 3.0 * v * v * (1.0 + u), u**3]) / 6.0
    wide = bins + 2
    cells = (fixed * wide + whole) + np.arange(4)[:, None]
    joint = np.bincount(cells.ravel(), weights.ravel(), minlength=bins * wide).reshape(bins, wide) / len(
        fixed
    )
    alone = joint.sum(axis=0)
    filled = joint > 0
    ratio = np.zeros_like(joint)
    ratio[filled] = np.log((joint / np.where(alone > 0, alone, 1.0))[filled])
    own = joint.sum(axis=1)
    value = float((joint * ratio).sum() - (own[own > 0] * np.log(own[own > 0])).sum())
    slopes = np.stack([-0.5 * v * v, u * (1.5 * u - 2.0), v * (2.0 - 1.5 * v), 0.5 * u * u])
    return value, (ratio.ravel().take(cells) * slopes).sum(axis=0) / len(fixed)


def mutual_information(joint):
    """Mutual information in nats of a joint histogram of counts."""
    joint = joint / joint.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    return float((joint[filled] * np.log(joint[filled] / independent[filled])).sum())


def _axes(image):
    """Matrix of an image's index steps in mm."""
    return np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()


def _binned(values, bins):
    low, high = np.percentile(values, (0.5, 99.5))
    scaled = (values - low) / max(high - low, 1e-6) * (bins - 1)
    return np.rint(np.clip(scaled, 0, bins - 1)).astype(np.int64)
