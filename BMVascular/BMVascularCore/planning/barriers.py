"""What a target may not grow into: the skull seen in the planning CT, falx and tentorium where they are drawn."""

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_volume
from BMVascularCore.planning.field import crop_geometry
from BMVascularCore.planning.head_mask import is_ct
from BMVascularCore.planning.rasterise import mask_of_contours
from BMVascularCore.planning.rules import planning_rules
from BMVascularCore.planning.structures import holds_structures, read_structures
from BMVascularCore.volume import Volume, resample

_ROOM_MM = 40.0


def skull_of(ct, points_lps_mm):
    """Bone of the planning CT around some points.

    Parameters
    ----------
    ct : Volume
        Hounsfield units.
    points_lps_mm : array_like, shape (n, 3)
        For example the centres of the lesions; bone farther away is not looked for.

    Returns
    -------
    Volume
        Boolean, on a box of the CT's grid. Small calcifications and contrast in vessels are left out by
        their size, gaps of thin bone are closed.

    Raises
    ------
    InputError
        The image is no CT, or no bone lies near the points.
    """
    rules = planning_rules()["skull"]
    if not is_ct(ct):
        raise InputError("holds no Hounsfield units: bone cannot be found", ct.name, "Give the planning CT.")
    spacing = np.asarray(ct.geometry.spacing_kji_mm)
    index = ct.geometry.index_of(np.asarray(points_lps_mm, float).reshape(-1, 3))
    room = _ROOM_MM / spacing
    first = np.clip(np.floor(index.min(axis=0) - room), 0, np.asarray(ct.array.shape) - 1).astype(int)
    last = np.clip(np.ceil(index.max(axis=0) + room), 0, np.asarray(ct.array.shape) - 1).astype(int)
    box = ct.array[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))]
    bone = box >= rules["bone_hu"]
    bone = _closed(bone, rules["close_mm"] / spacing)
    bone = _large_parts(bone, rules["smallest_ml"] / ct.geometry.voxel_ml)
    if not bone.any():
        raise InputError(
            f"no bone (above {rules['bone_hu']:g} HU) lies near the lesions",
            ct.name,
            "Check the registration.",
        )
    return Volume(bone, crop_geometry(ct.geometry, first, bone.shape), "skull")


def _closed(mask, radius):
    """Gaps narrower than twice a radius (in voxels) filled, nothing taken away at the border of the box."""
    pad = [int(np.ceil(r)) + 1 for r in radius]
    wide = np.pad(mask, [(p, p) for p in pad])
    near = ndimage.distance_transform_edt(~wide, sampling=1.0 / radius) <= 1.0
    closed = ndimage.distance_transform_edt(near, sampling=1.0 / radius) > 1.0
    return closed[tuple(slice(p, -p) for p in pad)] | mask


def _large_parts(mask, smallest_voxels):
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(parts.ravel())
    keep = sizes >= smallest_voxels
    keep[0] = False
    return keep[parts]


def barrier_of_structures(structures, names=None):
    """Structures that are barriers.

    Parameters
    ----------
    structures : StructureSet
    names : list of str, optional
        Which ones; by default those that are called falx, tentorium, dura, skull or barrier.

    Returns
    -------
    list of Structure

    Raises
    ------
    InputError
        An unknown name, or no structure that is a barrier.
    """
    by_name = {s.name.strip().lower(): s for s in structures.structures if not s.empty}
    if names:
        unknown = [name for name in names if name.strip().lower() not in by_name]
        if unknown:
            raise InputError(
                f"no structure is called {unknown[0]}",
                "barriers",
                f"Known: {', '.join(s.name for s in by_name.values())}.",
            )
        return [by_name[name.strip().lower()] for name in names]
    words = planning_rules()["barrier_words"]
    found = [s for key, s in by_name.items() if any(word in key for word in words)]
    if not found:
        raise InputError(
            f"no structure is called {', '.join(words[:-1])} or {words[-1]}",
            "barriers",
            "Name the structures that are barriers.",
        )
    return found


def join_barriers(parts, geometry):
    """Barriers of any grid as one mask on a wanted grid.

    Drawn structures are closed by a few millimetres: a sloping sheet such as the tentorium leaves
    gaps between its slices that a target would grow through.

    Parameters
    ----------
    parts : list of Volume or Structure
        Masks, or structures with contours.
    geometry : Geometry

    Returns
    -------
    Volume
        Boolean.
    """
    joined, drawn = np.zeros(geometry.shape, bool), np.zeros(geometry.shape, bool)
    for part in parts:
        if isinstance(part, Volume):
            joined |= _on_grid(part, geometry)
        elif part.mask is not None:
            drawn |= _on_grid(part.mask, geometry)
        else:
            drawn |= mask_of_contours(part.contours, geometry, part.name).array
    if drawn.any():
        joined |= _closed(drawn, planning_rules()["barrier_close_mm"] / np.asarray(geometry.spacing_kji_mm))
    return Volume(joined, geometry, "barriers")


def _on_grid(mask, geometry):
    solid = Volume((mask.array != 0).astype(np.uint8), mask.geometry, mask.name)
    return resample(solid, geometry, None, "nearest", 0).array > 0


def read_barriers(path, names=(), labels=None):
    """Barriers of a file: a mask, or some of its structures.

    Parameters
    ----------
    path : path-like
    names : list of str
        Which structures; those called falx, tentorium, dura, skull or barrier by default.
    labels : dict, optional
        Label value to name, for label images.

    Returns
    -------
    list of Volume or Structure

    Raises
    ------
    InputError
        Unreadable, or no such structure.
    """
    names = [name for name in names if str(name).strip()]
    if names or holds_structures(path):
        return barrier_of_structures(read_structures(path, labels), names)
    return [read_volume(path)]


def skull_near(ct, labels, transform=None):
    """Bone of the planning CT around all labels, in the space of the CT; see :func:`skull_of`."""
    spans = [
        np.flatnonzero(labels.array.any(axis=tuple(b for b in range(3) if b != axis))) for axis in range(3)
    ]
    if any(len(span) == 0 for span in spans):
        raise InputError(
            "holds no lesion", labels.name, "Give a label image with one number for each lesion."
        )
    corners = np.array(np.meshgrid(*[(s[0], s[-1]) for s in spans], indexing="ij")).reshape(3, -1).T
    points = labels.geometry.points_of(corners)
    if transform is not None:
        back = transform.GetInverse()
        points = [back.TransformPoint(point.tolist()) for point in points]
    return skull_of(ct, points)
