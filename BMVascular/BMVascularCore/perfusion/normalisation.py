"""Making rCBV comparable: contralateral normal-appearing white matter, and a standard scale.

A ratio to normal-appearing white matter (nRCBV) needs a region; it is found by mirroring about the
mid-sagittal plane. The standardised rCBV (sRCBV; idea of Bedekar 2010) maps landmarks of the brain's
histogram onto fixed values and needs no region. Neither makes thresholds of other software valid here.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize

# Percentiles of rCBV over normal brain and the value each one has on the standard scale. The values are those
# of a brain with 45 % white matter at 1 and 55 % grey matter at 2.3: they define the scale, nothing else.
STANDARD_PERCENTILES = (5.0, 25.0, 50.0, 75.0, 95.0)
STANDARD_VALUES = (0.75, 1.0, 1.6, 2.3, 3.0)
_REACHES_MM = (5.0, 10.0, 20.0, 30.0)
_SEARCH_POINTS = 4000
_MIN_VOXELS = 10
_WANTED_ML = 2.0


@dataclass(frozen=True)
class MidPlane:
    """Mid-sagittal plane in LPS mm.

    Attributes
    ----------
    normal : ndarray, shape (3,)
        Unit vector to the left.
    point_mm : ndarray, shape (3,)
    similarity : float
        Correlation of the baseline image with its mirror image.
    """

    normal: np.ndarray
    point_mm: np.ndarray
    similarity: float

    def mirror(self, points_mm):
        """Points on the other side of the plane, shape (..., 3)."""
        away = (points_mm - self.point_mm) @ self.normal
        return points_mm - 2.0 * away[..., None] * self.normal

    def side(self, points_mm):
        """Signed distance to the plane, mm; positive on the left."""
        return (points_mm - self.point_mm) @ self.normal


def find_midplane(image, mask, geometry):
    """Estimate the mid-sagittal plane: the plane about which the image resembles its mirror image most.

    Parameters
    ----------
    image : ndarray, shape (k, j, i)
        Baseline signal.
    mask : ndarray of bool, shape (k, j, i)
        Brain.
    geometry : Geometry

    Returns
    -------
    MidPlane
    """
    index = np.argwhere(mask)
    step = max(1, len(index) // _SEARCH_POINTS)
    points = geometry.points_of(index[::step])
    centre = geometry.points_of(index.mean(axis=0)[None])[0]
    sigma = [3.0 / s if n > 1 else 0.0 for s, n in zip(geometry.spacing_kji_mm, image.shape, strict=True)]
    inside = np.where(mask & np.isfinite(image), image, 0.0).astype(np.float32)
    smooth = ndimage.gaussian_filter(inside, sigma, mode="constant")
    values = ndimage.map_coordinates(smooth, index[::step].T, order=1)

    def plane(x):
        normal = np.array([1.0, x[1] / 10.0, x[2] / 10.0])
        normal /= np.linalg.norm(normal)
        return MidPlane(normal, centre + 5.0 * x[0] * normal, 0.0)

    def dissimilarity(x):
        at = geometry.index_of(plane(x).mirror(points))
        other = ndimage.map_coordinates(smooth, at.T, order=1, mode="constant")
        if np.ptp(other) == 0 or np.ptp(values) == 0:
            return 1.0 + float(np.square(x).sum())
        # a wide turn would be another plane than the sagittal one
        return 1.0 - float(np.corrcoef(values, other)[0, 1]) + 0.02 * max(0.0, abs(x[1]) - 3, abs(x[2]) - 3)

    starts = [np.zeros(3), np.array([1.0, 0.0, 0.0]), np.array([-1.0, 0.0, 0.0])]
    first = min(starts, key=dissimilarity)
    simplex = first + np.array([[0, 0, 0], [0.8, 0, 0], [0, 0.8, 0], [0, 0, 0.8]])
    options = {"initial_simplex": simplex, "xatol": 0.01, "fatol": 1e-5, "maxfev": 160}
    found = optimize.minimize(dissimilarity, first, method="Nelder-Mead", options=options)
    best = plane(found.x)
    return MidPlane(best.normal, best.point_mm, 1.0 - dissimilarity(found.x))


@dataclass
class NormalWhiteMatter:
    """Reference region for normalisation.

    Attributes
    ----------
    mask : ndarray of bool, shape (k, j, i)
    median, cv : float
        Of the rCBV in it; NaN when it is empty.
    n_voxels : int
    volume_ml : float
    left_right_ratio : float
        Median of the same tissue on the left over that on the right; NaN when a side is empty.
    source : str
    warnings : list of str
    """

    mask: np.ndarray
    median: float
    cv: float
    n_voxels: int
    volume_ml: float
    left_right_ratio: float
    source: str
    warnings: list


def white_matter(cbv, normal, geometry):
    """White matter among normal brain voxels: the class of lower blood volume, in-plane eroded.

    Parameters
    ----------
    cbv : ndarray, shape (k, j, i)
        rCBV; NaN where not measurable.
    normal : ndarray of bool, shape (k, j, i)
        Brain without lesion, vessel and CSF.
    geometry : Geometry

    Returns
    -------
    ndarray of bool, shape (k, j, i)
    """
    usable = normal & np.isfinite(cbv)
    if np.count_nonzero(usable) < _MIN_VOXELS:
        return usable
    smooth = _smooth_in_plane(cbv, usable)
    values = smooth[usable]
    low, high = np.percentile(values, [2, 98])
    cut = _two_class_cut(values[(values >= low) & (values <= high)])
    white = usable & (smooth <= cut) & (smooth >= max(low, 0.3 * cut))
    structure = np.zeros((3, 3, 3), bool)
    structure[1] = ndimage.generate_binary_structure(2, 1)
    eroded = ndimage.binary_erosion(white, structure, border_value=1)
    return eroded if np.count_nonzero(eroded) >= _MIN_VOXELS else white


def _smooth_in_plane(values, mask):
    """3 x 3 mean over the voxels of the mask, slice by slice."""
    weight = ndimage.uniform_filter(mask.astype(np.float32), (1, 3, 3), mode="constant")
    total = ndimage.uniform_filter(np.where(mask, values, 0.0).astype(np.float32), (1, 3, 3), mode="constant")
    return np.where(mask, total / np.maximum(weight, 1e-6), np.nan)


def _two_class_cut(values):
    """Border of two classes (k-means in one dimension)."""
    low, high = np.percentile(values, [20, 80])
    for _ in range(50):
        cut = 0.5 * (low + high)
        below = values <= cut
        if below.all() or not below.any():
            break
        new = values[below].mean(), values[~below].mean()
        if np.allclose(new, (low, high), rtol=1e-6):
            break
        low, high = new
    return 0.5 * (low + high)


def contralateral_white_matter(cbv, white, lesion, plane, geometry):
    """Normal-appearing white matter opposite the lesions.

    The lesions are mirrored; white matter near the mirror images is taken, in steps of distance until
    2 mL are reached. Without a lesion both hemispheres serve.

    Parameters
    ----------
    cbv : ndarray, shape (k, j, i)
    white : ndarray of bool, shape (k, j, i)
        Normal white matter (see :func:`white_matter`).
    lesion : ndarray of bool, shape (k, j, i)
    plane : MidPlane
    geometry : Geometry

    Returns
    -------
    NormalWhiteMatter
    """
    white = white & np.isfinite(cbv)
    side = plane.side(geometry.points_of(np.argwhere(white)))
    if not lesion.any():
        return measure_nawm(cbv, white, "white matter of both hemispheres (no lesion known)", geometry, plane)
    lesion_points = geometry.points_of(np.argwhere(lesion))
    lesion_side = plane.side(lesion_points)
    across = np.sign(-np.median(lesion_side)) or 1.0
    opposite = white.copy()
    opposite[white] = side * across > 2.0
    mirrored = _mark(geometry, plane.mirror(lesion_points[lesion_side * across < 0]), white.shape)
    distance = _distance_mm(mirrored, geometry)
    for reach in _REACHES_MM:
        near = opposite & (distance <= reach)
        if near.sum() * geometry.voxel_ml >= _WANTED_ML and near.sum() >= 50:
            where = f"contralateral white matter within {reach:g} mm of the mirrored lesion"
            return measure_nawm(cbv, near, where, geometry, plane, white)
    if opposite.sum() >= _MIN_VOXELS:
        return measure_nawm(
            cbv, opposite, "white matter of the contralateral hemisphere", geometry, plane, white
        )
    return measure_nawm(cbv, white, "white matter of both hemispheres", geometry, plane)


def _mark(geometry, points_mm, shape):
    index = np.rint(geometry.index_of(points_mm)).astype(int)
    index = index[np.all((index >= 0) & (index < shape), axis=1)]
    mask = np.zeros(shape, bool)
    mask[tuple(index.T)] = True
    return mask


def _distance_mm(mask, geometry):
    """Distance to the mask as far as it is asked for, infinite beyond: the map covers only that box."""
    out = np.full(mask.shape, np.inf, np.float32)
    if not mask.any():
        return out
    margin = [int(np.ceil(_REACHES_MM[-1] / s)) + 1 for s in geometry.spacing_kji_mm]
    box = tuple(
        slice(max(part.start - more, 0), part.stop + more)
        for part, more in zip(ndimage.find_objects(mask.astype(np.uint8))[0], margin, strict=True)
    )
    out[box] = ndimage.distance_transform_edt(~mask[box], sampling=geometry.spacing_kji_mm)
    return out


def measure_nawm(cbv, mask, source, geometry, plane=None, both=None):
    """Describe a reference region.

    Parameters
    ----------
    cbv : ndarray, shape (k, j, i)
    mask : ndarray of bool, shape (k, j, i)
    source : str
    geometry : Geometry
    plane : MidPlane, optional
    both : ndarray of bool, optional
        The same tissue in both hemispheres, for the left/right ratio; ``mask`` by default.

    Returns
    -------
    NormalWhiteMatter
        With a warning where it is small, scattered or one-sided.
    """
    mask = mask & np.isfinite(cbv)
    values = cbv[mask]
    median = float(np.median(values)) if len(values) >= _MIN_VOXELS else float("nan")
    # robust: a vessel at the border must not decide
    spread = (
        1.4826 * float(np.median(np.abs(values - median))) if len(values) >= _MIN_VOXELS else float("nan")
    )
    warnings = []
    if len(values) < _MIN_VOXELS:
        warnings.append(
            f"Normal-appearing white matter: {len(values)} usable voxels; nRCBV cannot be measured."
        )
    elif not median > 0:
        warnings.append("The rCBV of the white-matter reference is not positive: nRCBV cannot be measured.")
        median = float("nan")
    cv = spread / median if np.isfinite(median) else float("nan")
    if cv > 0.5:
        warnings.append(f"The white-matter reference is scattered (CV {cv:.2f}): nRCBV is uncertain.")
    ratio = _left_right(cbv, mask if both is None else both, plane, geometry)
    if np.isfinite(ratio) and not 0.8 <= ratio <= 1.25:
        warnings.append(f"White matter differs between the sides (left/right rCBV {ratio:.2f}).")
    return NormalWhiteMatter(
        mask, median, cv, len(values), len(values) * geometry.voxel_ml, ratio, source, warnings
    )


def _left_right(cbv, mask, plane, geometry):
    if plane is None or not mask.any():
        return float("nan")
    side = plane.side(geometry.points_of(np.argwhere(mask)))
    values = cbv[mask]
    left, right = values[side > 0], values[side < 0]
    if len(left) < _MIN_VOXELS or len(right) < _MIN_VOXELS:
        return float("nan")
    below = float(np.median(right))
    return float(np.median(left)) / below if below > 0 else float("nan")


def standardise(cbv, normal):
    """rCBV on the standard scale: a monotone piecewise-linear map of histogram landmarks.

    Parameters
    ----------
    cbv : ndarray, shape (k, j, i)
    normal : ndarray of bool, shape (k, j, i)
        Brain without lesions: lesions must not shift the scale.

    Returns
    -------
    srcbv : ndarray, shape (k, j, i)
        All NaN when the landmarks do not increase.
    landmarks : tuple of float
    """
    values = cbv[normal & np.isfinite(cbv)]
    if len(values) < 50:
        return np.full(cbv.shape, np.nan, np.float32), ()
    marks = np.percentile(values, STANDARD_PERCENTILES)
    if not (np.diff(marks) > 0).all():
        return np.full(cbv.shape, np.nan, np.float32), tuple(marks.tolist())
    standard = np.asarray(STANDARD_VALUES)
    # hot lesions lie above the last landmark: the scale of the whole histogram is carried on
    slope = (standard[-1] - standard[0]) / (marks[-1] - marks[0])
    out = np.full(cbv.shape, np.nan, np.float32)
    inside = np.isfinite(cbv)
    values = cbv[inside].astype(np.float64)
    beyond = np.maximum(values - marks[-1], 0) + np.minimum(values - marks[0], 0)
    out[inside] = np.interp(values, marks, standard) + slope * beyond
    return out, tuple(marks.tolist())
