"""Size and surface of one lesion, and the place of voxels around it."""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from BMVascularCore.volume import to_sitk


def crop_around(mask, pad_mm, spacing_kji_mm):
    """Slices of a box around a mask with a margin, clipped to the array.

    Parameters
    ----------
    mask : ndarray of bool, shape (k, j, i)
    pad_mm : float
    spacing_kji_mm : sequence of float

    Returns
    -------
    tuple of slice
    """
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    pad = [int(np.ceil(pad_mm / spacing)) for spacing in spacing_kji_mm]
    return tuple(
        slice(max(part.start - p, 0), min(part.stop + p, n))
        for part, p, n in zip(box, pad, mask.shape, strict=True)
    )


def longest_diameter_mm(mask, geometry):
    """Largest distance between voxel faces of a mask (3D Feret diameter), mm.

    Face centres, not corners: corners overshoot a smooth surface by up to a voxel's diagonal.
    """
    edge = mask & ~ndimage.binary_erosion(mask)
    index = np.argwhere(edge).astype(float)
    faces = np.concatenate([0.5 * np.eye(3), -0.5 * np.eye(3)])
    points = np.unique((index[:, None, :] + faces).reshape(-1, 3), axis=0) * geometry.spacing_kji_mm
    try:
        points = points[ConvexHull(points).vertices]
    except QhullError:
        points = points[:: max(1, len(points) // 2000)]
    return float(pdist(points).max())


def irregularity(mask, geometry, settings):
    """Surface irregularity of a lesion, 0 (smooth, round) to 1.

    One minus sphericity plus the roughness (standard deviation, mm, of the smoothed mask's signed distance on
    the lesion's surface), mapped linearly to 0..1. A proposal; no published limit supports it.

    Parameters
    ----------
    mask : ndarray of bool, shape (k, j, i)
    geometry : Geometry
        Of the same array (its spacing is used).
    settings : dict
        ``irregularity`` of the rule set.

    Returns
    -------
    float
    """
    padded = np.pad(mask, 6)
    image = to_sitk(padded, _plain_geometry(padded.shape, geometry))
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.ComputePerimeterOn()
    shape.Execute(image)
    volume, area = shape.GetPhysicalSize(1), shape.GetPerimeter(1)
    sphericity = np.pi ** (1 / 3) * (6.0 * volume) ** (2 / 3) / area
    raw = max(0.0, 1.0 - sphericity) + _roughness_mm(padded, geometry, settings)
    place = (raw - settings["raw_zero"]) / (settings["raw_one"] - settings["raw_zero"])
    return float(np.clip(place, 0.0, 1.0))


def _plain_geometry(shape, geometry):
    return type(geometry)(shape, geometry.spacing_mm)


def _roughness_mm(mask, geometry, settings):
    smooth_mm = settings["smooth_mm"]
    # near the edge the smoothed mask falls by 1 / (sigma sqrt(2 pi)) a millimetre, which places the smooth
    # surface to a fraction of a voxel: distances to voxel centres would see the voxel grid only
    smooth = ndimage.gaussian_filter(
        mask.astype(np.float32), [smooth_mm / s for s in geometry.spacing_kji_mm]
    )
    heights = []
    for axis in range(3):
        low, high = np.swapaxes(smooth, 0, axis)[:-1], np.swapaxes(smooth, 0, axis)[1:]
        inside = np.swapaxes(mask, 0, axis)
        heights.append(0.5 * (low + high)[inside[:-1] != inside[1:]])
    rough = np.concatenate(heights).std() * smooth_mm * np.sqrt(2.0 * np.pi)
    # what the voxel grid adds even on a sphere, measured on digitised spheres of 5 to 18 mm radius
    spacing = np.sqrt(np.mean(np.square(geometry.spacing_mm)))
    floor = settings["grid_floor_mm"] * spacing**0.75
    return float(np.sqrt(max(rough**2 - floor**2, 0.0)))


def signed_distance_mm(mask, spacing_kji_mm):
    """Distance to the edge of a mask, mm: negative inside, positive outside.

    The edge lies half a voxel from the centres on either side of it.

    Parameters
    ----------
    mask : ndarray of bool
    spacing_kji_mm : sequence of float

    Returns
    -------
    ndarray of float
    """
    half = 0.5 * float(np.mean(spacing_kji_mm))
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing_kji_mm)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing_kji_mm)
    return np.where(mask, -(inside - half), outside - half)
