"""From a click to the object around it, on a coarse grid: which threshold, which piece.

The object is searched over thresholds instead of from the clicked intensity, so that the click's own
place does not matter: for every threshold the piece at the click is filled, freed from thin
attachments and cut at necks; the lowest threshold whose boundary is nearly as sharp as the sharpest
one wins.
"""

from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np
from scipy import ndimage

from BMVascularCore.lesions import shapes, star
from BMVascularCore.lesions.grid import touches_edge

# in shares of the brightness above background
_LEVELS = (0.14, 0.22, 0.32, 0.42, 0.55, 0.7, 0.85)
_NEARLY = 0.8
# share of the surface with an edge that an outline of duller parts must have
_ALL_AROUND = 0.91
# share of a speck's surface that must lie deep in a body for it to be a part of that body, and of its
# hull that such a body fills
_EMBEDDED, _BODY, _CLEAR = 0.6, 0.62, 0.92
# a region is filled by a cyst where the wide one is so many times as bright
_CYST = 1.5
# surroundings (within so many mm) that are so far up to the brightest enhance themselves; boundary of the whole
# that is this much blunter than the part's is none
_AROUND_MM, _ENHANCING, _BLUNT = 4.0, 0.15, 0.4
# growth from one threshold to the next that is sudden, and how much less of its hull a leak fills
_SUDDEN, _SHAPE_LOST = 2.2, 0.2
# voxels of a part below which it has no shape to lose; then what fills less of its hull has run into something
_NO_SHAPE, _BRANCHING = 60, 0.4
# from which size parts of a lesion may be duller or hollow, and how wide a hollow is looked across
_HOLLOW_MM3, _ACROSS_MM, _COMPACT = 300.0, 30.0, 0.8


@dataclass
class Found:
    """Object on a working grid, with the sharpness of its boundary (image units).

    ``closed`` says that it was found as a closed surface: its inside belongs to it, bright or not.
    """

    mask: np.ndarray
    threshold: float
    sharpness: float
    closed: bool = False


def background_level(values, level):
    """The most frequent intensity of tissue around the click.

    Parameters
    ----------
    values : ndarray
        Intensities of the head near the click.
    level : float
        Typical intensity of the head; only 0.4 to 1.7 times it counts as tissue.

    Returns
    -------
    float
        Half-sample mode of the histogram, smoothed.
    """
    tissue = values[(values > 0.4 * level) & (values < 1.7 * level)]
    if tissue.size < 50:
        return float(np.median(values)) if values.size else level
    counts, edges = np.histogram(tissue, bins=96)
    counts = ndimage.gaussian_filter1d(counts.astype(float), 4.0)
    best = int(np.argmax(counts))
    return float((edges[best] + edges[best + 1]) / 2)


def tissue_level(ready, values):
    """:func:`background_level` near a click; where a mass or a cyst fills the region, that of a wider one.

    Parameters
    ----------
    ready : Prepared
    values : ndarray
        Intensities of the head near the click.

    Returns
    -------
    float
    """
    near = background_level(values, ready.level)
    if ready.tissue is None or ready.tissue / _CYST <= near <= ready.mass_level * ready.tissue:
        return near
    return ready.tissue


def full_edge(background, noise):
    """Drop of intensity that counts as an edge."""
    return max(0.15 * background, 3.0 * noise)


def brightest_tissue(image, around, background):
    """Upper quartile of unenhanced tissue: white matter, the brightest of it on T1c.

    What is no brighter than that is anatomy (white matter among cortex), not a lesion.
    """
    values = image[around]
    values = values[(values > 0.6 * background) & (values < 1.3 * background)]
    return float(np.percentile(values, 75)) if values.size >= 200 else background


def find_object(
    image, allowed, points, spacing_mm, background, noise, max_radius_mm, thick=False, whole=True
):
    """The bright (or bright-rimmed) object at the points.

    Parameters
    ----------
    image : ndarray, shape (k, j, i)
        T1c on the working grid.
    allowed : ndarray of bool
        Where the lesion may lie.
    points : list of ndarray
        Clicks as working-grid indices.
    spacing_mm, background, noise, max_radius_mm : float
    thick : bool
        Whether the image's slices are thick (:func:`tidy`).
    whole : bool
        Whether an object that reaches the border of the grid is wanted, too. If not, the search ends where its
        two brightest parts do, and gives the second of them.

    Returns
    -------
    Found or None
    """
    top = brightest_near(image, allowed, points, spacing_mm, background)
    step = max(top - background, 1e-6)
    if step < max(2.5 * noise, 0.04 * background):
        return None
    drop = full_edge(background, noise)

    # specks are looked at again after the first way down
    @cache
    def at(share):
        threshold = background + share * step
        mask = _object_at(image > threshold, allowed, points, spacing_mm, max_radius_mm, thick)
        return None if mask is None else Found(mask, threshold, boundary_contrast(image, mask))

    shares = [share for share in _LEVELS[::-1] if share * step >= 1.2 * noise]
    if not whole:
        parts = list(islice((part for part in map(at, shares) if part is not None), 2))
        if len(parts) == 2 and all(touches_edge(part.mask) for part in parts):
            return parts[1]
    found, best = _down_to_a_leak(image, at, shares, spacing_mm, background, drop)
    if best <= 0.0:
        return None
    chosen = next(n for n in reversed(range(len(found))) if found[n].sharpness >= _NEARLY * best)
    result = _with_duller_parts(image, found, chosen, spacing_mm, background, drop)
    result = _whole_of_a_part(image, at, result, shares, spacing_mm, background, step, drop)
    below = [share for share in shares if background + share * step < result.threshold - 1e-6 * step]
    return _body_of_specks(image, at, result, below, spacing_mm, background, drop)


def _down_to_a_leak(image, at, shares, spacing_mm, background, drop):
    """Objects of falling thresholds until one leaks, and the sharpness of the sharpest.

    A sudden growth onto a blunter boundary is a leak, unless what was found so far is a speck within.
    """
    found, best = [], 0.0
    for share in shares:
        candidate = at(share)
        if candidate is None:
            if found:
                break
            continue
        if found and candidate.mask.sum() > _SUDDEN * found[-1].mask.sum():
            if candidate.sharpness >= 0.95 * best:
                if _loses_shape(candidate, found[-1]):
                    break
            elif candidate.sharpness < 0.5 * best or not _holds(
                image, candidate, found[-1], spacing_mm, background, drop
            ):
                break
            else:
                found, best = [], 0.0
        found.append(candidate)
        best = max(best, candidate.sharpness)
        # lower thresholds only leak further
        if candidate.sharpness < 0.5 * best:
            break
    return found, best


def _whole_of_a_part(image, at, part, shares, spacing_mm, background, step, drop):
    """In place of a part whose surroundings enhance all around the outline that they end at."""
    whole, inside = part, surroundings(image, part.mask, spacing_mm, background, step)
    for share in shares:
        if inside < _ENHANCING:
            return whole
        if background + share * step >= whole.threshold - 1e-6 * step:
            continue
        item = at(share)
        if item is None or item.sharpness < _BLUNT * part.sharpness:
            break
        if star.edge_coverage(image, item.mask, spacing_mm, background, drop) < _ALL_AROUND:
            break
        whole, inside = item, surroundings(image, item.mask, spacing_mm, background, step)
    return whole if inside < _ENHANCING else part


def surroundings(image, mask, spacing_mm, background, step):
    """How far up from the background to the brightest the surroundings of an outline are (median)."""
    away = shapes.distance_mm(mask, spacing_mm, _AROUND_MM)
    values = image[(away > 0.8) & (away <= _AROUND_MM)]
    return (float(np.median(values)) - background) / step if values.size else 0.0


def _body_of_specks(image, at, ragged, shares, spacing_mm, background, drop):
    """In place of ragged specks the body that they are parts of: sound in shape, with an edge all around."""
    mine = shapes.solidity(ragged.mask)
    if mine >= _BODY:
        return ragged
    for share in shares:
        item = at(share)
        if item is None:
            continue
        if item.sharpness < 0.4 * ragged.sharpness:
            break
        shape = shapes.solidity(item.mask)
        if shape < max(_BODY + 0.05, mine + 0.1):
            continue
        if star.edge_coverage(image, item.mask, spacing_mm, background, drop) >= _CLEAR:
            return item
    return ragged


def _loses_shape(whole, part):
    """Whether a round object has run into a neighbour that is as sharp or sharper: a sinus, another lesion."""
    if part.mask.sum() < _NO_SHAPE:
        return shapes.solidity(whole.mask) < _BRANCHING
    return shapes.solidity(whole.mask) < shapes.solidity(part.mask) - _SHAPE_LOST


def _holds(image, whole, speck, spacing_mm, background, drop):
    """Whether a bright speck lies in the middle of a body with an edge all around, not at its side."""
    surface = speck.mask & ~shapes.eroded(speck.mask)
    if shapes.eroded(whole.mask, 2)[surface].mean() < _EMBEDDED:
        return False
    seen = star.edge_coverage(image, whole.mask, spacing_mm, background, drop)
    return seen >= _ALL_AROUND and shapes.solidity(whole.mask) >= _BODY


def _with_duller_parts(image, found, chosen, spacing_mm, background, drop):
    """The lowest further threshold at which the object has an edge all around and is no more ragged.

    Tumours are brighter in one part than in another; the sharpest outline is that of the brightest part.
    """
    best = found[chosen]
    if best.mask.sum() * spacing_mm**3 < _HOLLOW_MM3:
        return best
    least = shapes.solidity(best.mask) - 0.03
    for item in found[chosen + 1 :]:
        seen = star.edge_coverage(image, item.mask, spacing_mm, background, drop)
        if seen < _ALL_AROUND or shapes.solidity(item.mask) < least:
            break
        best = item
    return best


def brightest_near(image, allowed, points, spacing_mm, background):
    """Upper intensity in reach of the clicks: what a lesion there would look like.

    A ball that grows until it holds something bright, so that a click in a core sees its rim.
    """
    smooth = ndimage.gaussian_filter(image, 0.6)
    near = np.full(image.shape, np.inf)
    grids = np.ogrid[tuple(slice(0, n) for n in image.shape)]
    for point in points:
        near = np.minimum(near, sum((g - p) ** 2 for g, p in zip(grids, point, strict=True)))
    near = np.sqrt(near) * spacing_mm
    best = background
    for radius in (2.0, 4.0, 8.0, 14.0):
        ball = allowed & (near <= radius)
        if ball.any():
            best = float(np.percentile(smooth[ball], 97))
            if best > 1.25 * background:
                break
    return best


def _object_at(bright, allowed, points, spacing_mm, max_radius_mm, thick):
    bright = bright & allowed
    reach = max(1.5, 1.6 / spacing_mm)
    whole = shapes.filled(bright)
    piece = shapes.piece_at(whole, points, reach)
    if piece is None or not any(_near(piece, point, 0.1) for point in points):
        # a core that the rim leaves open
        wide = shapes.filled(shapes.closed(bright, 2.0, spacing_mm)) & allowed
        closed_piece = shapes.piece_at(wide, points, 0.1)
        piece = closed_piece if closed_piece is not None else piece
    if piece is None:
        return None
    piece = with_hollows(piece, spacing_mm) & allowed
    return tidy(piece, points, spacing_mm, max_radius_mm, reach, thick)


def with_hollows(piece, spacing_mm):
    """A piece with the cores that its rims surround, gaps or not.

    Rims must have their core before thin attachments are cut: a rim by itself is one.
    """
    if piece.sum() * spacing_mm**3 < _HOLLOW_MM3 or shapes.solidity(piece) > _COMPACT:
        return piece
    return shapes.enclosed(piece, _ACROSS_MM, spacing_mm)


def _near(mask, point, reach):
    return shapes.nearest_true(mask, point, reach) is not None


def tidy(piece, points, spacing_mm, max_radius_mm, reach, thick=False):
    """Cut at necks, free from thin attachments, refuse what is too large.

    Between thick slices a slanted lesion jumps sideways, which looks like a neck; there the rules
    are loosened.

    Returns
    -------
    ndarray of bool or None
    """
    box = shapes.bounding(piece, 2)
    part = piece[box]
    shift = np.array([s.start for s in box])
    local = [np.asarray(point) - shift for point in points]
    depth = shapes.depth_mm(part, spacing_mm)
    part = shapes.own_basin(part, depth, local, reach, 0.25 if thick else 0.55)
    if part is None:
        return None
    peak = float(depth[part].max())
    if peak > max_radius_mm:
        return None
    radius = float(np.clip((0.2 if thick else 0.35) * peak, 0.0, 2.5))
    if radius > 0.7 * spacing_mm:
        kept = shapes.opened(part, radius, spacing_mm)
        part &= shapes.distance_mm(kept, spacing_mm, 0.4 * radius) <= 0.4 * radius
        part = shapes.piece_at(part, local, max(reach, 3.0 / spacing_mm))
        if part is None:
            return None
    extent = [np.ptp(np.flatnonzero(part.any(axis=axes))) for axes in ((1, 2), (0, 2), (0, 1))]
    if max(extent) * spacing_mm > 2.4 * max_radius_mm:
        return None
    out = np.zeros(piece.shape, dtype=bool)
    out[box] = shapes.filled(part)
    return out


def boundary_contrast(image, mask):
    """Mean drop of intensity from the inner to the outer side of the boundary."""
    box = shapes.bounding(mask, 3)
    part, view = mask[box], image[box]
    inner = part & ~shapes.eroded(part)
    wide = shapes.dilated(part)
    outer = shapes.dilated(wide) & ~wide
    if not outer.any():
        return 0.0
    return float(view[inner].mean() - view[outer].mean())
