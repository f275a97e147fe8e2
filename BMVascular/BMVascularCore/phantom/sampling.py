"""Averages of fine-grid images over the voxels of coarser grids: partial volume as a scanner makes it."""

import numpy as np
import SimpleITK as sitk

from BMVascularCore.phantom.shapes import block_mean
from BMVascularCore.volume import Geometry, to_sitk


def refined(geometry, factors):
    """Grid with each voxel cut into ``factors`` (k, j, i) pieces."""
    affine = geometry.affine_lps.copy()
    affine[:3, :3] = affine[:3, :3] / np.asarray(factors[::-1], float)
    shift = (1.0 / np.asarray(factors[::-1], float) - 1.0) / 2.0
    affine[:3, 3] = geometry.affine_lps[:3, 3] + geometry.affine_lps[:3, :3] @ shift
    return Geometry.of_affine(affine, tuple(n * f for n, f in zip(geometry.shape, factors, strict=True)))


def sub_grid(geometry, box):
    """Grid of a box of slices (k, j, i)."""
    affine = geometry.affine_lps.copy()
    ranges = [part.indices(n) for part, n in zip(box, geometry.shape, strict=True)]
    affine[:3, 3] = geometry.points_of([start for start, _, _ in ranges])
    return Geometry.of_affine(affine, tuple(stop - start for start, stop, _ in ranges))


def box_covering(geometry, source, transform):
    """Slices of ``geometry`` that hold a source grid; ``transform`` maps geometry points to source points."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in source.shape])).reshape(3, -1).T
    inverse = transform.GetInverse()
    points = [inverse.TransformPoint(p.tolist()) for p in source.points_of(corners)]
    index = geometry.index_of(points)
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, geometry.shape)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 2, low, geometry.shape)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def average_onto(array, source, geometry, transform):
    """Mean of a fine image over each voxel of a coarser grid.

    Parameters
    ----------
    array : ndarray, shape of ``source``
    source : Geometry
    geometry : Geometry
        The coarser grid.
    transform : SimpleITK.Transform
        Maps points of ``geometry`` to points of ``source``, LPS mm.

    Returns
    -------
    ndarray, shape of ``geometry``, float32
        Linear samples about as dense as the source, averaged.
    """
    spacing = np.asarray(geometry.spacing_kji_mm) / np.asarray(source.spacing_kji_mm)
    factors = tuple(max(1, round(float(f))) for f in spacing)
    fine = refined(geometry, factors)
    reference = sitk.Image([int(n) for n in fine.shape[::-1]], sitk.sitkUInt8)
    reference.SetSpacing(fine.spacing_mm)
    reference.SetOrigin(fine.origin_mm)
    reference.SetDirection(fine.direction)
    image = to_sitk(np.asarray(array, np.float32), source)
    moved = sitk.Resample(image, reference, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    return block_mean(sitk.GetArrayViewFromImage(moved), factors)
