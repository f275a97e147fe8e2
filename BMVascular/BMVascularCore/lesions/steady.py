"""The same lesion from every click in it: what a click in a tail, a lobe or a speck gives is compared with
what the thickest enhancing place around the click gives."""

import numpy as np
from scipy import ndimage

from BMVascularCore.lesions import grow, shapes
from BMVascularCore.lesions.grid import grid_around, interpolated, views

# how far from the click a thicker place is looked for, and the spacing of that search
_REACH_MM, _SPACING_MM = 18.0, 1.2
# how far up from the surroundings to the brightest place counts as enhancing; the same where an outline
# may be a leak
_BRIGHT, _BRIGHTEST = 0.4, 0.7
# share of an outline's size that the bright part beyond it must have to be looked at
_REST = 0.5
# how near to the click the other outline must come
_NEAR_MM, _DOUBT_MM = 1.5, 6.0
# sizes (as ratios) from which two outlines differ
_LARGER, _SMALLER = 1.3, 0.8
# share of the larger outline's contrast by which surroundings differ
_UNLIKE = 0.2
# edge that a lesion of low confidence must show where the click itself gave nothing
_FAINT_SEEN = 0.85
# share of the smaller outline that the larger one must hold
_HELD = 0.75
# how much less of its hull the larger outline may fill, and from which ratio the smaller one has no shape
_SHAPE_LOST, _SPECK = 0.25, 6.0
# from which ratio the smaller outline is a mote of a larger one with such an edge
_MOTE, _CLEAR = 40.0, 0.9
# share of the surface with an edge below which an outline may be a leak, and from which volume (mL)
_DOUBT = ((0.5, 4.0), (0.7, 15.0), (0.85, 40.0))
# such an outline is refused; one with more of an edge is given with low confidence
_REFUSED_SEEN, _REFUSED_ML = 0.7, 40.0
LEAK = "the outline from this click runs out into tissue without an edge: click into the brightest part"


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
    doubt = not isinstance(lesion, str) and in_doubt(ready, lesion)
    place = thicker_place(ready, point, lesion)
    other = LEAK if place is None else again(place)
    if not isinstance(other, str) and _better(ready, point, lesion, other):
        if not doubt:
            return other
        # in place of a leak: the clear outline beside the click, and what that one is a lobe of
        onward = thicker_place(ready, place, other)
        whole = LEAK if onward is None else again(onward)
        if not isinstance(whole, str) and _better(ready, place, other, whole):
            other = whole
        return _beside(ready, point, other)
    if doubt and lesion.edge_seen < _REFUSED_SEEN and _volume_ml(ready, lesion) > _REFUSED_ML:
        return LEAK
    return lesion


def _beside(ready, point, lesion):
    """Flag the outline when the click lies outside of it."""
    away = _away_mm(ready, point, lesion)
    if away > _NEAR_MM:
        lesion.reasons.append(f"the click lies {away:.0f} mm outside the outline")
        lesion.confidence = "low"
    return lesion


def thicker_place(ready, point, lesion):
    """Middle of the thickest enhancing part that the click hangs together with and that is not outlined.

    Where the outline may be a leak, or there is none, the part may be outlined, and where it may be a leak
    the part is only what is clearly bright, up to 6 mm from the click (else 3 mm).

    Parameters
    ----------
    ready : Prepared
    point : ndarray of 3 float
        The click as an image index.
    lesion : Lesion or str

    Returns
    -------
    ndarray or None
        Image index.
    """
    grid = grid_around(ready, [point], _REACH_MM, _SPACING_MM)
    image, allowed = views(ready, grid)
    if min(image.shape) < 3:
        return None
    image = ndimage.gaussian_filter(image, 0.5)
    tissue = image[allowed & (image > 0)]
    if not tissue.size:
        return None
    local = grid.index_of(point)
    background = grow.tissue_level(ready, tissue)
    top = grow.brightest_near(image, allowed, [local], _SPACING_MM, background)
    if not isinstance(lesion, str):
        top = max(top, lesion.inside_level)
    # where nothing was found the lesion may be faint
    if top < (1.12 if isinstance(lesion, str) else 1.2) * background or top - background < 5.0 * ready.noise:
        return None
    # where an outline may be a leak, only what is clearly bright may lead to another one
    doubt = not isinstance(lesion, str) and in_doubt(ready, lesion)
    share = _BRIGHTEST if doubt else _BRIGHT
    bright = allowed & (image > background + share * (top - background))
    piece = shapes.piece_at(bright, [local], (_DOUBT_MM if doubt else 3.0) / _SPACING_MM)
    if piece is None:
        return None
    place = _thickest(piece)
    if isinstance(lesion, str) or doubt:
        return grid.image_index_of(place)
    outlined = _on_grid(lesion, grid)
    if outlined[tuple(place)]:
        rest = piece & (shapes.distance_mm(outlined, _SPACING_MM, 1.5) > 1.5)
        if rest.sum() <= _REST * outlined.sum():
            return None
        place = _thickest(rest)
    return grid.image_index_of(place)


def _thickest(piece):
    depth = ndimage.gaussian_filter(shapes.depth_mm(shapes.filled(piece), _SPACING_MM), 0.7)
    return np.array(np.unravel_index(int(np.argmax(depth)), depth.shape))


def _on_grid(lesion, grid):
    """The outline on a working grid."""
    corner = np.asarray(lesion.corner_kji)
    return interpolated(lesion.fraction, grid.step_kji, grid.origin_kji - corner, grid.shape, 0.0) >= 0.5


def in_doubt(ready, lesion):
    """Whether an outline is large for the edge that is seen around it."""
    return doubtful(lesion.edge_seen, _volume_ml(ready, lesion))


def _volume_ml(ready, lesion):
    return float(lesion.fraction.sum()) * ready.t1c.geometry.voxel_ml


def doubtful(edge_seen, volume_ml):
    """Whether an outline of this volume is more likely a leak than a lesion.

    Parameters
    ----------
    edge_seen : float
        Share of the surface with an edge, 0..1.
    volume_ml : float
    """
    return any(edge_seen < seen and volume_ml > least for seen, least in _DOUBT)


def _better(ready, point, lesion, other):
    away = _away_mm(ready, point, other)
    if isinstance(lesion, str):
        # a faint one must hold the click and have an edge
        faint = away == 0.0 and other.edge_seen >= _FAINT_SEEN
        return away <= _NEAR_MM and (other.confidence == "good" or faint)
    if in_doubt(ready, lesion):
        smaller = other.fraction.sum() < _SMALLER * lesion.fraction.sum()
        return away <= _DOUBT_MM and smaller and other.edge_seen > lesion.edge_seen + 0.05
    sound = other.confidence == "good" or lesion.confidence == "low"
    ratio = float(other.fraction.sum()) / max(float(lesion.fraction.sum()), 1e-6)
    if away > _NEAR_MM or ratio <= _LARGER or not sound or in_doubt(ready, other):
        return False
    if _share_in(lesion, other) < _HELD:
        return False
    # a round body that loses its shape by what is added has run into a neighbour
    mote = ratio > _MOTE and other.edge_seen >= _CLEAR and _share_in(lesion, other) >= 0.95
    speck = mote or (ratio > _SPECK and _lies_in(lesion, other))
    return speck or _solidity(other) > _solidity(lesion) - _SHAPE_LOST


def _lies_in(lesion, other):
    """Whether what surrounds an outline is unlike what surrounds the other one: tumour or core, not brain."""
    step = other.inside_level - other.outside_level
    return abs(lesion.outside_level - other.outside_level) > _UNLIKE * step


def _share_in(lesion, other):
    """Share of an outline that another one holds."""
    low = np.maximum(lesion.corner_kji, other.corner_kji)
    high = np.minimum(*[np.add(x.corner_kji, x.fraction.shape) for x in (lesion, other)])
    if (high <= low).any():
        return 0.0
    mine, theirs = (
        x.fraction[tuple(slice(a - c, b - c) for a, b, c in zip(low, high, x.corner_kji, strict=True))]
        for x in (lesion, other)
    )
    return float(np.minimum(mine, theirs).sum() / lesion.fraction.sum())


def _solidity(lesion):
    return shapes.solidity(lesion.fraction >= 0.5)


def _away_mm(ready, point, lesion):
    """Distance of an image index to the outline, 0 inside."""
    index = np.argwhere(lesion.fraction >= 0.5)
    if not len(index):
        return np.inf
    steps = (index + np.asarray(lesion.corner_kji) - np.asarray(point)) * ready.t1c.geometry.spacing_kji_mm
    # within half a voxel the index is inside
    half = 0.5 * np.asarray(ready.t1c.geometry.spacing_kji_mm) + 1e-6
    return float(np.linalg.norm(np.maximum(np.abs(steps) - half, 0.0), axis=1).min())
