"""Where a lesion lies, in words that the image supports without an atlas."""

import numpy as np

from BMVascularCore.lesions import shapes
from BMVascularCore.lesions.anatomy import find_anatomy


def words(labels, mask, window, ready=None, notes=None, place=None):
    """Centre, side of the midline, depth below the head's surface, distance to cortex and ventricles.

    The midline is the middle of the head's width at the lesion's height. Lobes are not named: that
    needs an atlas.

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
        notes.append("side, depth, distance to cortex and ventricles not measurable: no head image")
        return out
    out["side"] = _side(ready, centre_lps)
    out["depth_below_head_surface_mm"] = _depth(ready, index.mean(0))
    place = find_anatomy(ready, labels.array) if place is None else place
    for key, which, missing in (
        ("distance_to_cortex_mm", "to_surface_mm", "the brain cannot be told from the skull"),
        ("distance_to_ventricle_mm", "to_ventricle_mm", "no ventricle is seen"),
    ):
        out[key] = place.nearest_mm(index, which)
        if out[key] is None:
            notes.append(f"{key[:-3].replace('_', ' ')} not measurable: {missing}")
    return out


def _side(ready, centre_lps):
    points = ready.once(
        "head points", lambda: ready.t1c.geometry.points_of(np.argwhere(ready.head[::4, ::4, ::4]) * 4)
    )
    level = np.abs(points[:, 2] - centre_lps[2]) < 12.0
    if level.sum() < 50:
        return None
    x = points[level, 0]
    middle = (np.percentile(x, 1) + np.percentile(x, 99)) / 2
    away = centre_lps[0] - middle
    if abs(away) < 6.0:
        return "midline"
    return "left" if away > 0 else "right"


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
