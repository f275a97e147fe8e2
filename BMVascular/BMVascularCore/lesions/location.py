"""Where a lesion lies, in words that the image supports without an atlas."""

import numpy as np

from BMVascularCore.lesions import shapes
from BMVascularCore.lesions.anatomy import find_anatomy, find_midplane

NO_SURFACE = "distance to cortex not measurable: the brain cannot be told from the skull"
NO_VENTRICLE = "distance to ventricle not measurable: no ventricle is seen"
# a lesion is at the midline when its middle is nearer than this, or when more than this share lies beyond it
_AT_MIDLINE_MM, _BOTH_SIDES = 3.0, 0.2


def words(labels, mask, window, ready=None, notes=None, place=None):
    """Centre, side of the midline, and least distances to midline, brain surface and ventricles.

    The midline is the plane about which the image of the head is most symmetric (within 1.5 mm of the true
    one on simulated heads that were turned by up to 20 degrees). Lobes are not named: that needs an atlas.

    Parameters
    ----------
    labels : Volume
    mask : ndarray of bool
        The lesion within ``window``.
    window : tuple of slice
    ready : Prepared, optional
        Images on the grid of ``labels``.
    notes : list of str, optional
        Gets the reasons for what is left out.
    place : Anatomy, optional
        Of :func:`~BMVascularCore.lesions.anatomy.find_anatomy` with all lesions of ``labels`` left out;
        found here where it is not given.

    Returns
    -------
    dict
    """
    notes = [] if notes is None else notes
    index = np.argwhere(mask) + [s.start for s in window]
    centre_lps = labels.geometry.points_of(index.mean(0))
    out = {
        "centre_r_mm": -float(centre_lps[0]),
        "centre_a_mm": -float(centre_lps[1]),
        "centre_s_mm": float(centre_lps[2]),
    }
    if ready is None:
        notes.append("side, depth, distance to midline, cortex and ventricles not measurable: no head image")
        return out
    out["side"], out["distance_to_midline_mm"] = _midline(ready, labels.geometry, index, notes)
    out["depth_below_head_surface_mm"] = _depth(ready, index.mean(0))
    place = find_anatomy(ready, labels.array) if place is None else place
    for key, which, missing in (
        ("distance_to_cortex_mm", "to_surface_mm", NO_SURFACE),
        ("distance_to_ventricle_mm", "to_ventricle_mm", NO_VENTRICLE),
    ):
        out[key] = place.nearest_mm(index, which)
        if out[key] is None:
            notes.append(missing)
    return out


def _midline(ready, geometry, index, notes):
    """Side of the midline, and least distance of a lesion to it, mm: 0 where it reaches the midline."""
    plane = find_midplane(ready)
    if plane is None:
        notes.append("side and distance to midline not measurable: the image shows no plane of symmetry")
        return None, None
    away = geometry.points_of(index) @ plane.normal - plane.offset_mm
    # a voxel reaches half its width beyond its centre
    half_mm = np.linalg.norm(plane.normal @ geometry.affine_lps[:3, :3]) / 2
    left = float((away > 0).mean())
    if abs(away.mean()) < _AT_MIDLINE_MM or min(left, 1.0 - left) > _BOTH_SIDES:
        side = "midline"
    else:
        side = "left" if left > 0.5 else "right"
    crosses = 0.0 < left < 1.0
    return side, 0.0 if crosses else max(0.0, float(np.abs(away).min() - half_mm))


def _depth(ready, centre_kji):
    depth, steps = head_depth(ready)
    at = np.clip(np.rint(centre_kji / steps).astype(int), 0, np.asarray(depth.shape) - 1)
    return float(depth[tuple(at)])


def head_depth(ready):
    """Depth below the head's surface on a grid of about 2 mm, mm; and that grid's steps in voxels (k, j, i).

    The border of the image is no surface.
    """
    spacing = np.asarray(ready.t1c.geometry.spacing_kji_mm)
    steps = np.maximum(1, np.rint(2.0 / spacing).astype(int))

    def depth_map():
        air = ~ready.head[:: steps[0], :: steps[1], :: steps[2]]
        if not air.any():
            return np.full(air.shape, np.inf, dtype=np.float32)
        return shapes.distances_mm(air, spacing * steps)

    return ready.once("depth", depth_map), steps
