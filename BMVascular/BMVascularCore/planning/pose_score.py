"""Mutual information of many poses at once, for searching: a millisecond a pose.

A full metric evaluation prepares whole images and costs a hundred times as much; for ranking poses a few
thousand points and a plain joint histogram do.
"""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage


class PoseScore:
    """Scores poses of a pair at one level.

    Parameters
    ----------
    fixed, moving : SimpleITK.Image
        Float images of the level.
    mask : SimpleITK.Image
        Where to look, on the fixed image.
    points : int
    bins : int
    seed : int
    """

    def __init__(self, fixed, moving, mask, points=4000, bins=32, seed=20):
        inside = np.flatnonzero(sitk.GetArrayViewFromImage(mask).ravel())
        rng = np.random.default_rng(seed)
        chosen = rng.choice(inside, min(points, len(inside)), replace=False)
        index = np.stack(np.unravel_index(chosen, fixed.GetSize()[::-1]), axis=1)[:, ::-1]
        self._points = _to_points(fixed, index)
        self._bins = bins
        self._fixed = _binned(sitk.GetArrayViewFromImage(fixed).ravel()[chosen], bins)
        moving_array = sitk.GetArrayFromImage(moving)
        low, high = np.percentile(moving_array, (0.5, 99.5))
        self._moving = np.clip((moving_array - low) / max(high - low, 1e-6) * (bins - 1), 0, bins - 1)
        matrix = np.reshape(moving.GetDirection(), (3, 3)) * moving.GetSpacing()
        self._to_index = np.linalg.inv(matrix)
        self._origin = np.asarray(moving.GetOrigin())

    def __call__(self, transform):
        """Negative mutual information of a pose (lower is better), inf where fewer than 5 % of points meet.

        Mutual information is weighed with the share of points that meet: a sliver of overlap can look
        informative.
        """
        matrix = np.reshape(transform.GetMatrix(), (3, 3))
        centre = np.asarray(transform.GetCenter())
        moved = (self._points - centre) @ matrix.T + centre + np.asarray(transform.GetTranslation())
        index = (moved - self._origin) @ self._to_index.T
        shape = np.array(self._moving.shape)[::-1]
        held = np.all((index >= 0) & (index <= shape - 1), axis=1)
        share = held.mean()
        if share < 0.05:
            return np.inf
        values = ndimage.map_coordinates(self._moving, index[held][:, ::-1].T, order=1)
        joint = np.bincount(
            self._fixed[held] * self._bins + np.rint(values).astype(int), minlength=self._bins**2
        ).reshape(self._bins, self._bins)
        return -mutual_information(joint) * min(1.0, 2.0 * share)


def mutual_information(joint):
    """Mutual information in nats of a joint histogram of counts."""
    joint = joint / joint.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    return float((joint[filled] * np.log(joint[filled] / independent[filled])).sum())


def _to_points(image, index_ijk):
    matrix = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    return index_ijk @ matrix.T + np.asarray(image.GetOrigin())


def _binned(values, bins):
    low, high = np.percentile(values, (0.5, 99.5))
    scaled = (values - low) / max(high - low, 1e-6) * (bins - 1)
    return np.rint(np.clip(scaled, 0, bins - 1)).astype(int)
