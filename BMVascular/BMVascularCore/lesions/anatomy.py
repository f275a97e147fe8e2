"""Brain surface, ventricles and midline from T1c, coarsely: where lesions lie, and which clicks hit the scalp."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from BMVascularCore.lesions import shapes
from BMVascularCore.lesions.grid import block_means
from BMVascularCore.symmetry import find_plane
from BMVascularCore.volume import Geometry

_STEP_MM = 2.0
# volumes of adult brains and of ventricles that can be told from sulci, mL
_BRAIN_ML, _VENTRICLE_ML = (600.0, 2300.0), 1.0
# a head of which the brain fills more than this has no skull around it
_STRIPPED = 0.75
# dura and what grows on it lie this far beyond the brain's convex hull at most
_BEYOND_MM = 3.0
# points of the search for the midline, mm; what a plane of symmetry reaches (true ones 1.37 and more, misled searches
# 1.24 and less): correlation plus overlap with the mirror image, and the correlation alone
_MIRROR_STEP_MM = 10.0
_LEAST_SYMMETRY, _LEAST_CORRELATION = 1.3, 0.25
# where the inside has no structure the outline decides, if there is one
_LEAST_OVERLAP, _FULL = 0.96, 0.9


@dataclass
class Anatomy:
    """Distances on a coarse grid of the image.

    Attributes
    ----------
    steps : ndarray of int
        Image voxels in one coarse voxel, (k, j, i).
    to_surface_mm, to_ventricle_mm : ndarray or None
        Distance of each coarse voxel to the outside of the brain and to a ventricle; None where
        that could not be found.
    """

    steps: np.ndarray
    to_surface_mm: np.ndarray | None
    to_ventricle_mm: np.ndarray | None

    def nearest_mm(self, index, which):
        """Smallest distance over image indices, shape (n, 3), or None."""
        field = getattr(self, which)
        if field is None:
            return None
        # a coarse voxel is the mean of the image voxels up to it
        at = np.minimum((index + self.steps // 2) // self.steps, np.asarray(field.shape) - 1)
        return float(field[tuple(at.T)].min())


@dataclass
class _Brain:
    """What of the anatomy no lesion changes, on the coarse grid."""

    steps: np.ndarray
    step_mm: np.ndarray
    surface: np.ndarray | None
    dark: np.ndarray | None
    to_ventricle_mm: np.ndarray | None


def find_anatomy(ready, lesions=None):
    """Brain and ventricles of a prepared volume.

    The brain is what stays of the tissue of middle intensity when thin bridges to scalp and skull are
    opened; ventricles are the dark pools in its middle, without the lesions, whose cores are dark, too. What
    does not depend on the lesions is worked out once per volume.

    Parameters
    ----------
    ready : Prepared
    lesions : ndarray of bool or int, optional
        On the grid of T1c, 0 where there is none; left out of the ventricles.

    Returns
    -------
    Anatomy
    """
    brain = ready.once("brain", lambda: _without_lesions(ready))
    pools = brain.to_ventricle_mm
    if lesions is not None and brain.dark is not None:
        sick = _near_lesions(lesions, brain)
        if (sick & brain.dark).any():
            pools = _to_ventricle(brain.dark & ~sick, brain.step_mm, sick)
    return Anatomy(brain.steps, brain.surface, pools)


def _near_lesions(lesions, brain):
    """Coarse voxels that hold a lesion, and two around them."""
    sick = np.zeros(brain.dark.shape, dtype=bool)
    part = shapes.slices_of(lesions)
    # lesions are few voxels of many: their flat places first
    held = np.flatnonzero(lesions[part] > 0)
    at = np.stack(np.unravel_index(held, lesions[part].shape), 1)
    at[:, 0] += part.start
    at = (at + brain.steps // 2) // brain.steps
    sick[tuple(np.minimum(at, np.asarray(sick.shape) - 1).T)] = True
    if not sick.any():
        return sick
    box = shapes.bounding(sick, 3)
    sick[box] = shapes.dilated(sick[box], 2)
    return sick


def _without_lesions(ready):
    steps, _, step_mm = _coarse(ready)
    image, brain = ready.once("brain mask", lambda: _image_and_brain(ready))
    if brain is None:
        return _Brain(steps, step_mm, None, None, None)
    surface = shapes.distances_mm(~np.pad(brain, 1), step_mm)[1:-1, 1:-1, 1:-1]
    level = float(np.median(image[brain]))
    dark = brain & (image < 0.62 * level) & (surface > 22.0)
    return _Brain(steps, step_mm, surface, dark, _to_ventricle(dark, step_mm))


def _coarse(ready):
    """Image voxels in one coarse voxel, the slices that take them, and their size in mm."""
    spacing = np.asarray(ready.t1c.geometry.spacing_kji_mm)
    steps = np.maximum(1, np.rint(_STEP_MM / spacing)).astype(int)
    return steps, tuple(slice(None, None, int(s)) for s in steps), spacing * steps


def _image_and_brain(ready):
    steps, every, step_mm = _coarse(ready)
    source = ready.t1 if ready.t1 is not None else ready.t1c
    image = block_means(source.array, steps)
    return image, _brain(image, ready.head[every], step_mm)


def find_midplane(ready):
    """Plane about which the image of the head is most symmetric, worked out once per volume.

    Parameters
    ----------
    ready : Prepared

    Returns
    -------
    Plane or None
        Of :mod:`BMVascularCore.symmetry`; None where nothing is symmetric (half a head, noise).
    """
    return ready.once("midplane", lambda: _midplane(ready))


def _midplane(ready):
    steps, every, _ = _coarse(ready)
    image, head = ready.once("brain mask", lambda: _image_and_brain(ready))[0], ready.head[every]
    fine = ready.t1c.geometry
    affine = fine.affine_lps
    # a mean over an even number of voxels lies half a voxel before the one it is kept at
    affine[:3, 3] = fine.points_of(-0.5 * (steps % 2 == 0))
    affine[:3, :3] *= steps[::-1]
    plane = find_plane(
        np.where(head, image, 0.0), Geometry.of_affine(affine, head.shape), None, _MIRROR_STEP_MM
    )
    if plane is None:
        return None
    alike = plane.symmetry + plane.overlap >= _LEAST_SYMMETRY and plane.symmetry >= _LEAST_CORRELATION
    outlined = plane.overlap >= _LEAST_OVERLAP and head.mean() < _FULL
    return plane if alike or outlined else None


def find_reach(ready):
    """Where a lesion of the brain or its coverings may lie: the head without scalp and outer skull.

    It is the convex hull of the brain, 3 mm wider: a tumour that takes the place of brain leaves a dent
    in the brain but not in its hull. Where no brain is found, or the skull is stripped, it is the head.

    Parameters
    ----------
    ready : Prepared

    Returns
    -------
    ndarray of bool, shape of T1c
    """
    steps, every, step_mm = _coarse(ready)
    brain = ready.once("brain mask", lambda: _image_and_brain(ready))[1]
    if brain is None or brain.sum() > _STRIPPED * ready.head[every].sum():
        return ready.head
    rays = shapes.even_directions(260)
    surface = np.argwhere(brain & ~shapes.eroded(brain)) * step_mm
    furthest = (surface @ rays.T).max(0) + _BEYOND_MM
    # the rays lie up to 8 degrees off the axes: the hull leaves the brain's box by a little more than it is widened
    pads = np.ceil((_BEYOND_MM + 15.0) / step_mm).astype(int)
    box = tuple(
        slice(max(0, b.start - p), b.stop + p) for b, p in zip(shapes.bounding(brain), pads, strict=True)
    )
    axes = np.ogrid[tuple(slice(b.start, min(b.stop, n)) for b, n in zip(box, brain.shape, strict=True))]
    axes = [(a * s).astype(np.float32) for a, s in zip(axes, step_mm, strict=True)]
    within = np.ones(np.broadcast_shapes(*(a.shape for a in axes)), dtype=bool)
    for ray, limit in zip(rays.astype(np.float32), furthest.astype(np.float32), strict=True):
        within &= axes[0] * ray[0] + axes[1] * ray[1] + axes[2] * ray[2] <= limit
    inside = np.zeros(brain.shape, dtype=bool)
    inside[box] = within
    return ready.head & shapes.repeated(inside, steps, ready.head.shape)


def _brain(image, head, step_mm):
    voxel_ml = float(np.prod(step_mm)) / 1000
    inner = image[head]
    level = float(np.median(inner[inner > 0.3 * np.median(inner)]))
    tissue = head & (image > 0.5 * level) & (image < 1.7 * level)
    depth = shapes.distances_mm(~np.pad(tissue, 1), step_mm)[1:-1, 1:-1, 1:-1]
    for radius_mm in (5.0, 7.0):
        pieces, count = ndimage.label(depth > radius_mm)
        if not count:
            return None
        core = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
        near = shapes.distances_mm(core, step_mm) <= radius_mm - 1.0
        brain = near & head & (image > 0.2 * level)
        if not brain.any():
            continue
        wide = shapes.distances_mm(np.pad(brain, 6), step_mm) <= 8.0
        closed = shapes.distances_mm(~wide, step_mm) > 8.0
        brain = ndimage.binary_fill_holes(closed[6:-6, 6:-6, 6:-6] | brain)
        if _BRAIN_ML[0] <= brain.sum() * voxel_ml <= _BRAIN_ML[1]:
            return brain
    return None


def _to_ventricle(dark, step_mm, wanted=None):
    """Distance to the dark pools that are large enough for a ventricle, or None.

    Where only the ``wanted`` voxels are asked for, it may be infinite far from them and from the pools.
    """
    if not dark.any():
        return None
    part = shapes.bounding(dark)
    pieces, _ = ndimage.label(dark[part])
    sizes = np.bincount(pieces.ravel()) * float(np.prod(step_mm)) / 1000
    large = sizes >= _VENTRICLE_ML
    large[0] = False
    pool = np.zeros(dark.shape, dtype=bool)
    pool[part] = large[pieces]
    if not pool.any():
        return None
    box = tuple(slice(None) for _ in dark.shape) if wanted is None else shapes.bounding(pool | wanted)
    out = np.full(dark.shape, np.inf, dtype=np.float32)
    # from voxel middle to voxel middle it is half a coarse voxel too far
    out[box] = np.maximum(shapes.distances_mm(pool[box], step_mm) - np.mean(step_mm) / 2.0, 0.0)
    return out
