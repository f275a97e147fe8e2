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


def closed_instead(ready, point, result, max_radius_mm):
    """A closed surface in place of an object that is part of a ring, a leak, a speck in a lesion, or missing."""
    if result is None:
        trials, least, old_ml = [(point, r) for r in _REACHES_MM[1:]], _GOOD, 0.0
    else:
        coarse, found, _ = result
        old_ml = found.mask.sum() * coarse.spacing_mm**3 / 1000
        compact = shapes.solidity(found.mask) >= _COMPACT
        if compact and old_ml > _SPECK_ML:
            return result
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
        return result
    _, grid, mask, background, _ = best
    image, allowed = views(ready, grid)
    threshold = sharpness = 0.0
    if result is not None:
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
    background = grow.background_level(image[allowed & (image > 0)], ready.level)
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
    background = grow.background_level(image[allowed & (image > 0)], ready.level)
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
