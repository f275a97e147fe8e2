"""Where a lesion lies, in words that the image supports without an atlas."""

import numpy as np
from scipy import ndimage


def words(labels, mask, window, head=None, notes=None):
    """Centre, side of the midline and depth below the head's surface.

    The midline is the middle of the head's width at the lesion's height. Lobes are not named: that
    needs an atlas.

    Parameters
    ----------
    labels : Volume
    mask : ndarray of bool
        The lesion within ``window``.
    window : tuple of slice
    head : ndarray of bool, optional
        Head mask on the grid of ``labels``.
    notes : list of str, optional
        Gets the reasons for what is left out.

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
    if head is None:
        notes.append("side and depth not measurable: no head image")
        return out
    out["side"] = _side(labels, head, centre_lps)
    out["depth_below_head_surface_mm"] = _depth(labels, head, index.mean(0))
    return out


def _side(labels, head, centre_lps):
    index = np.argwhere(head[::4, ::4, ::4]) * 4
    points = labels.geometry.points_of(index)
    level = np.abs(points[:, 2] - centre_lps[2]) < 12.0
    if level.sum() < 50:
        return None
    x = points[level, 0]
    middle = (np.percentile(x, 1) + np.percentile(x, 99)) / 2
    away = centre_lps[0] - middle
    if abs(away) < 6.0:
        return "midline"
    return "left" if away > 0 else "right"


def _depth(labels, head, centre_kji):
    spacing = np.asarray(labels.geometry.spacing_kji_mm)
    steps = np.maximum(1, np.rint(2.0 / spacing).astype(int))
    small = head[:: steps[0], :: steps[1], :: steps[2]]
    depth = ndimage.distance_transform_edt(small, sampling=spacing * steps)
    at = np.clip(np.rint(centre_kji / steps).astype(int), 0, np.asarray(small.shape) - 1)
    return float(depth[tuple(at)])
