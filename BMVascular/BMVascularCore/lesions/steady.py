"""The same lesion from every click in it: what a click in a tail, a lobe or a speck gives is compared with
what the thickest enhancing place around the click gives."""

import numpy as np
from scipy import ndimage

from BMVascularCore.lesions import grow, shapes
from BMVascularCore.lesions.grid import grid_around, views

# how far from the click a thicker place is looked for, and the spacing of that search
_REACH_MM, _SPACING_MM = 18.0, 1.2
# half of the way from the surroundings to the brightest place
_BRIGHT = 0.5
# how near to the click the other outline must come
_NEAR_MM = 1.5
# sizes (as ratios) from which two outlines differ
_LARGER, _SMALLER = 1.3, 0.8
# share of the surface with an edge, below which an outline may be a leak
EDGE_IN_DOUBT = 0.5


def steadied(ready, point, lesion, again):
    """The lesion of a click, or the one that the thickest enhancing place near the click gives.

    The other outline counts only when it holds the click, too: a neighbour that necks or edges part
    from the clicked lesion never does.

    Parameters
    ----------
    ready : Prepared
    point : ndarray of 3 float
        The click as an image index.
    lesion : Lesion or str
        What the click itself gave.
    again : callable
        Image index to Lesion or str.

    Returns
    -------
    Lesion or str
    """
    for place in thicker_places(ready, point, lesion):
        other = again(place)
        if not isinstance(other, str) and _better(ready, point, lesion, other):
            return other
    return lesion


def thicker_places(ready, point, lesion):
    """Middle of the thickest enhancing part that the click hangs together with, unless it is outlined.

    Returns
    -------
    list of ndarray
        Image indices, none or one.
    """
    grid = grid_around(ready, [point], _REACH_MM, _SPACING_MM)
    image, allowed = views(ready, grid)
    if min(image.shape) < 3:
        return []
    image = ndimage.gaussian_filter(image, 0.5)
    local = grid.index_of(point)
    tissue = image[allowed & (image > 0)]
    if not tissue.size:
        return []
    background = grow.background_level(tissue, ready.level)
    top = grow.brightest_near(image, allowed, [local], _SPACING_MM, background)
    if not isinstance(lesion, str):
        top = max(top, lesion.inside_level)
    if top < 1.2 * background or top - background < 5.0 * ready.noise:
        return []
    bright = allowed & (image > background + _BRIGHT * (top - background))
    piece = shapes.piece_at(bright, [local], 3.0 / _SPACING_MM)
    if piece is None:
        return []
    depth = ndimage.gaussian_filter(shapes.depth_mm(shapes.filled(piece), _SPACING_MM), 0.7)
    place = grid.image_index_of(np.array(np.unravel_index(int(np.argmax(depth)), depth.shape)))
    if not isinstance(lesion, str) and not in_doubt(ready, lesion) and _away_mm(ready, place, lesion) == 0.0:
        return []
    return [place]


def in_doubt(ready, lesion):
    """Whether an outline is large for the edge that is seen around it."""
    volume_ml = float(lesion.fraction.sum()) * ready.t1c.geometry.voxel_ml
    return lesion.edge_seen < EDGE_IN_DOUBT and volume_ml > 4.0


def _better(ready, point, lesion, other):
    if _away_mm(ready, point, other) > _NEAR_MM:
        return False
    if isinstance(lesion, str):
        return other.confidence == "good"
    ratio = float(other.fraction.sum()) / max(float(lesion.fraction.sum()), 1e-6)
    if ratio > _LARGER:
        sound = other.confidence == "good" or lesion.confidence == "low"
        return sound and other.edge_seen >= EDGE_IN_DOUBT
    return ratio < _SMALLER and in_doubt(ready, lesion) and other.edge_seen > lesion.edge_seen + 0.1


def _away_mm(ready, point, lesion):
    """Distance of an image index to the outline, 0 inside."""
    index = np.argwhere(lesion.fraction >= 0.5)
    if not len(index):
        return np.inf
    steps = (index + np.asarray(lesion.corner_kji) - np.asarray(point)) * ready.t1c.geometry.spacing_kji_mm
    # within half a voxel the index is inside
    half = 0.5 * np.asarray(ready.t1c.geometry.spacing_kji_mm) + 1e-6
    return float(np.linalg.norm(np.maximum(np.abs(steps) - half, 0.0), axis=1).min())
