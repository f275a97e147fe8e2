"""Rings with gaps, leaks and specks: the closed surface in their place, where it fits the image better."""

import numpy as np
from scipy import ndimage

from BMVascularCore.lesions import grow, shapes, star
from BMVascularCore.lesions.grid import WorkGridView, grid_around, touches_edge, views

# a body that fills more of its hull than this is taken as it is, unless it is a speck
_COMPACT, _SPECK_ML = 0.72, 0.25
# by how much a closed surface must be better (edge seen x hull filled), how good where there is none,
# and when to look no further
_BETTER, _GOOD, _SURE = 0.12, 0.68, 0.7
_REACHES_MM = (8.0, 13.0, 20.0, 30.0)
# hollow bodies: grids (reach and spacing, mm), thresholds as shares of the brightest above background, shares of
# directions in which a core meets its rim: at first, and where nothing comes of that
_HOLLOW_GRIDS, _HOLLOW_LEVELS = ((20.0, 1.0), (42.0, 1.8)), (0.7, 0.55, 0.4, 0.3, 0.22)
_SURROUNDED, _HARDLY = 0.75, 0.65
# depth of the rim, and its least level as a share of the brightest
_RIM_MM, _RIM_LEVEL = 4.0, 0.5
# a rim is so many times as bright as tissue: cortex around white matter is not
_RIM_SHINES = 1.3
# share of the height of a piece that the rest of its rim must have, and where the piece is compact
_RIM_ALIKE, _RIM_OF_KNOT = 0.3, 0.5
# share of the body that is dull, how good it must be, how much larger than what it takes the place of, and how
# much larger again where that is compact
_DULL, _HOLLOW_GOOD, _HOLLOW_GROWS, _KNOT = 0.1, 0.5, 1.5, 2.0


def closed_instead(ready, point, result, max_radius_mm):
    """A closed surface in place of an object that is part of a ring, a leak, a speck in a lesion, or missing."""
    if result is None:
        trials, least, old_ml = [(point, r) for r in _REACHES_MM[1:]], _GOOD, 0.0
    else:
        coarse, found, _ = result
        old_ml = found.mask.sum() * coarse.spacing_mm**3 / 1000
        compact = shapes.solidity(found.mask) >= _COMPACT
        if compact and old_ml > _SPECK_ML:
            return _hollow_instead(
                ready, point, result, _KNOT * old_ml, max_radius_mm, (_SURROUNDED,), _RIM_OF_KNOT
            )
        trials, least = _trials(ready, point, coarse, found, compact)
    best = None
    for start, reach in trials:
        if reach > 1.1 * max_radius_mm + 2.0:
            continue
        trial = _closed_body(ready, start, point, reach)
        if trial is None or not _plausible(trial, old_ml, result is None or compact):
            continue
        if trial[0] > (least if best is None else best[0]):
            best = trial
            if trial[0] > _SURE:
                break
    if best is None:
        return _hollow_instead(ready, point, result, old_ml, max_radius_mm)
    return _as_found(ready, result, best)


def _hollow_instead(
    ready, point, result, old_ml, max_radius_mm, needs=(_SURROUNDED, _HARDLY), alike=_RIM_ALIKE
):
    """A core with the rim around it in place of a piece of that rim, or of nothing at a click in the core."""
    best = None
    for need in needs:
        for trial in _hollow_bodies(ready, point, max_radius_mm, need):
            if trial[0] > (_HOLLOW_GOOD if best is None else best[0]) and trial[4] >= _HOLLOW_GROWS * old_ml:
                best = trial
        if best is not None:
            break
    if best is None:
        return result
    if result is not None:
        coarse, found, _ = result
        mine = WorkGridView(coarse, best[1]).move(found.mask)
        if (best[2] & mine).sum() < 0.6 * mine.sum() or not _rim_goes_on(ready, best, mine, alike):
            return result
    return _as_found(ready, result, best)


def _rim_goes_on(ready, best, piece, alike):
    """Whether the rim of a hollow body is alike elsewhere, not brain around a lesion at its side."""
    _, grid, body, background, _ = best
    image, _ = views(ready, grid)
    rim = body & (shapes.depth_mm(body, grid.spacing_mm) <= _RIM_MM)
    elsewhere = rim & ~shapes.dilated(piece, 2)
    if not elsewhere.any() or not piece.any():
        return False
    height = float(np.median(image[piece])) - background
    return float(np.median(image[elsewhere])) - background >= alike * height


def _hollow_bodies(ready, point, max_radius_mm, need):
    """Merit, grid, body, background and volume of what bright tissue surrounds, and of that tissue.

    From a core its rim is met in the share ``need`` of all directions.
    """
    for reach_mm, spacing in _HOLLOW_GRIDS:
        grid = grid_around(ready, [point], reach_mm, spacing)
        image, allowed = views(ready, grid)
        local = [grid.index_of(point)]
        background = grow.tissue_level(ready, image[allowed & (image > 0)])
        top = grow.brightest_near(image, allowed, local, spacing, background)
        drop = grow.full_edge(background, ready.noise)
        if top - background < drop or top < _RIM_SHINES * background:
            continue
        for share in _HOLLOW_LEVELS:
            bright = allowed & (image > background + share * (top - background))
            if not bright.any():
                continue
            whole = shapes.enclosed(bright, max_radius_mm, spacing, need) & allowed
            piece = shapes.piece_at(whole, local, 3.0 / spacing)
            body = None if piece is None else grow.tidy(piece, local, spacing, max_radius_mm, 3.0 / spacing)
            if body is None or touches_edge(body) or (body & bright).sum() > (1.0 - _DULL) * body.sum():
                continue
            rim = body & bright & (shapes.depth_mm(body, spacing) <= _RIM_MM)
            if not rim.any() or np.median(image[rim]) < background + _RIM_LEVEL * (top - background):
                continue
            seen = star.edge_coverage(image, body, spacing, background, drop)
            yield seen * shapes.solidity(body), grid, body, background, body.sum() * spacing**3 / 1000


def _as_found(ready, result, best):
    """A closed body as the object of a click."""
    _, grid, mask, background, _ = best
    image, allowed = views(ready, grid)
    threshold = sharpness = 0.0
    if result is not None:
        coarse, found, _ = result
        # the surface is stiff: what the object adds next to it stays
        mask |= WorkGridView(coarse, grid).move(found.mask) & (
            shapes.distance_mm(mask, grid.spacing_mm, 1.2) <= 1.2
        )
        threshold, sharpness = found.threshold, found.sharpness
    closed = grow.Found(mask, threshold, sharpness, True)
    return grid, closed, grow.brightest_tissue(image, allowed & (image > 0) & ~mask, background)


def _plausible(trial, old_ml, compact):
    """A speck is replaced by something much larger; else a ring grows, or a leak shrinks to a clear body.

    A smaller body that is not clear all around is a lobe of the object.
    """
    merit, volume_ml = trial[0], trial[4]
    if compact:
        return volume_ml >= 4.0 * old_ml
    return volume_ml >= old_ml or (volume_ml < 0.8 * old_ml and merit > 0.55)


def _trials(ready, point, coarse, found, compact):
    """Where to start closed surfaces from, how far they may reach, and what merit they must have."""
    image, allowed = views(ready, coarse)
    image = ndimage.gaussian_filter(image, 0.5)
    background = grow.tissue_level(ready, image[allowed & (image > 0)])
    least = _merit(ready, image, found.mask, coarse.spacing_mm, background) + _BETTER
    if compact:
        return [(point, r) for r in _REACHES_MM[1:]], _GOOD
    box = np.argwhere(found.mask)
    middle = coarse.image_index_of((box.min(0) + box.max(0)) / 2)
    wide = float(min(0.65 * np.ptp(box, axis=0).max() * coarse.spacing_mm + 5.0, 32.0))
    return [(middle, wide), *((point, r) for r in _REACHES_MM if r <= wide)], least


def _closed_body(ready, start, point, reach_mm):
    """Merit, grid, body, background and volume of one closed surface around a click."""
    spacing = float(np.clip(reach_mm / 20.0, 0.6, 1.6))
    grid = grid_around(ready, [start, point], 1.6 * reach_mm, spacing)
    image, allowed = views(ready, grid)
    image = ndimage.gaussian_filter(image, 0.5)
    background = grow.tissue_level(ready, image[allowed & (image > 0)])
    drop = grow.full_edge(background, ready.noise)
    body = star.closed_surface(image, grid.index_of(start), spacing, background, drop, reach_mm) & allowed
    if shapes.nearest_true(body, grid.index_of(point), 2.0 / spacing) is None or touches_edge(body):
        return None
    merit = _merit(ready, image, body, spacing, background)
    return merit, grid, body, background, body.sum() * spacing**3 / 1000


def _merit(ready, image, mask, spacing_mm, background):
    """Share of the surface with an edge, of the hull that is filled, and of the surroundings that are dark."""
    if not mask.any():
        return 0.0
    drop = grow.full_edge(background, ready.noise)
    seen = star.edge_coverage(image, mask, spacing_mm, background, drop)
    away = shapes.distance_mm(mask, spacing_mm, 5.0)
    shell = image[(away > 1.2) & (away <= 5.0)]
    bright = float(np.mean(shell > background + 0.7 * drop)) if shell.size else 0.0
    return seen * shapes.solidity(mask) * (1.0 - min(1.0, 1.5 * bright))
