"""Mid-sagittal plane and mirrored places: the patient's other side as the reference."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize


@dataclass(frozen=True)
class Plane:
    """Plane ``normal . x = offset_mm`` in LPS.

    Attributes
    ----------
    normal : ndarray, shape (3,)
        Unit vector, roughly towards the patient's left.
    offset_mm : float
    symmetry : float
        Correlation of the image with its mirror image, -1..1.
    overlap : float
        Share of the head whose mirror image lies in the head.
    """

    normal: np.ndarray
    offset_mm: float
    symmetry: float = 0.0
    overlap: float = 0.0

    def mirror(self, points_lps_mm):
        """Points on the other side, shape (..., 3)."""
        points = np.asarray(points_lps_mm, dtype=float)
        distance = points @ self.normal - self.offset_mm
        return points - 2.0 * distance[..., None] * self.normal


def find_plane(array, geometry, exclude=None, step_mm=6.0):
    """Plane of best mirror symmetry.

    Parameters
    ----------
    array : ndarray, shape (k, j, i)
        Any image of the head; NaN is outside.
    geometry : Geometry
    exclude : ndarray of bool, optional
        Voxels that must not count (lesions, oedema).
    step_mm : float
        Distance of the sample points.

    Returns
    -------
    Plane or None
        None where the image covers too little to tell.
    """
    values = np.nan_to_num(np.asarray(array, dtype=np.float32))
    inside = np.isfinite(array) & (values != 0)
    stride = tuple(slice(None, None, max(1, round(step_mm / s))) for s in geometry.spacing_kji_mm)
    index = np.argwhere(inside[stride]) * [part.step for part in stride]
    if len(index) < 100:
        return None
    points = geometry.points_of(index)
    centre = points.mean(axis=0)
    smooth = _smooth(values, inside, geometry)
    keep = np.ones(len(index), bool) if exclude is None else ~exclude[tuple(index.T)]
    sample = _Sample(smooth, inside, geometry, points[keep], smooth[tuple(index[keep].T)], centre)
    # start from the centre and from a few shifted and turned planes: the landscape has side maxima
    starts = [(shift, 0.0, 0.0) for shift in (0.0, -6.0, 6.0)]
    starts += [(0.0, yaw, roll) for yaw in (-14.0, 0.0, 14.0) for roll in (-14.0, 0.0, 14.0) if yaw or roll]
    best = max(starts, key=lambda start: sample.agreement(start)[0])
    found = optimize.minimize(
        lambda place: -sample.agreement(place)[0],
        best,
        method="Nelder-Mead",
        options={
            "initial_simplex": np.add(best, [(0, 0, 0), (4, 0, 0), (0, 4, 0), (0, 0, 4)]),
            "maxfev": 160,
            "xatol": 0.05,
            "fatol": 1e-5,
        },
    )
    _, correlation, overlap = sample.agreement(found.x)
    normal, offset = sample.plane(found.x)
    return Plane(normal, float(offset), float(correlation), float(overlap))


def _smooth(values, inside, geometry):
    sigma = [2.0 / spacing for spacing in geometry.spacing_kji_mm]
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    # outliers (vessels, fit failures) would dominate the correlation
    top = np.percentile(values[inside], 99)
    clipped = np.where(inside, np.clip(values, None, top), 0.0).astype(np.float32)
    return ndimage.gaussian_filter(clipped, sigma) / np.maximum(weight, 1e-3)


class _Sample:
    """Points on which the mirror image is compared with the image."""

    def __init__(self, image, inside, geometry, points, values, centre):
        self.image, self.inside, self.geometry = image, inside.astype(np.float32), geometry
        self.points, self.values, self.centre = points, values, centre

    def plane(self, place):
        shift_mm, yaw, roll = place[0], np.deg2rad(place[1]), np.deg2rad(place[2])
        normal = np.array([np.cos(yaw) * np.cos(roll), np.sin(yaw) * np.cos(roll), np.sin(roll)])
        return normal, float(normal @ self.centre + shift_mm)

    def agreement(self, place):
        """Overlap of the head with its mirror image plus correlation inside; then each of them."""
        normal, offset = self.plane(place)
        mirrored = Plane(normal, offset).mirror(self.points)
        index = self.geometry.index_of(mirrored).T
        held = ndimage.map_coordinates(self.inside, index, order=1, cval=0.0) > 0.5
        if held.sum() < 50:
            return -2.0, 0.0, 0.0
        other = ndimage.map_coordinates(self.image, index[:, held], order=1)
        own = self.values[held]
        # a flat image says nothing by its values; the outline then decides alone
        flat = own.std() < 1e-6 or other.std() < 1e-6
        correlation = 1.0 if flat else float(np.corrcoef(own, other)[0, 1])
        overlap = float(held.mean())
        return correlation + overlap, correlation, overlap
