"""Clicks to lesions on one prepared volume."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.lesions import before, grow, partial, refine, shapes, star, steady
from BMVascularCore.lesions.closed import closed_instead
from BMVascularCore.lesions.compartments import split_compartments
from BMVascularCore.lesions.grid import WorkGrid, WorkGridView, grid_around, touches_edge, views
from BMVascularCore.lesions.measure import measure_lesions
from BMVascularCore.lesions.model import Lesion, Segmentation
from BMVascularCore.lesions.prepare import Prepared, prepare
from BMVascularCore.progress import share_of

MAX_RADIUS_MM = 30.0
NOTHING = "no enhancing lesion is at the click: nothing there stands out from its surroundings"
# reach around the click and spacing, mm: small first, wider only when the object does not fit
_COARSE = ((13.0, 0.8), (24.0, 1.2), (42.0, 1.8), (80.0, 2.5))

# region (reach and spacing, mm) in which the level of tissue around a click is looked for
_WIDE = (45.0, 3.0)


def segment_lesions(
    t1c, seeds, t1=None, flair=None, swi=None, max_radius_mm=MAX_RADIUS_MM, allow_empty=False, progress=None
):
    """Lesions with compartments and measures from one or more clicks each.

    Parameters
    ----------
    t1c : Volume or Prepared
    seeds : list of Seed
    t1, flair, swi : Volume, optional
        Ignored when ``t1c`` is :class:`Prepared` already.
    max_radius_mm : float
        No lesion is thicker than twice this.
    allow_empty : bool
        Report clicks without a lesion in ``missing`` instead of raising.
    progress : callable, optional

    Returns
    -------
    Segmentation

    Raises
    ------
    InputError
        A click outside the image or in air; no include click; and, unless ``allow_empty``, a click
        where nothing enhances.
    """
    groups = _groups(seeds)
    if not 1.0 <= max_radius_mm <= 80.0:
        raise InputError(f"radius {max_radius_mm:g} mm is not usable", "--max-radius-mm", "Give 1 to 80 mm.")
    ready = t1c if isinstance(t1c, Prepared) else prepare(t1c, t1, flair, swi, share_of(progress, 0, 0.3))
    report = share_of(progress, 0.3, 1.0)
    for seed in seeds:
        check_seed(ready, seed)
    lesions, missing = [], {}
    for number, (name, (include, exclude)) in enumerate(groups.items()):
        report(number / len(groups) * 0.6, f"lesion {name}")
        lesion = segment_one(ready, name, number + 1, include, exclude, max_radius_mm)
        if isinstance(lesion, str):
            missing[name] = lesion
        else:
            lesions.append(lesion)
    if missing and not allow_empty:
        name, reason = next(iter(missing.items()))
        raise InputError(reason, f"seed {name}", "Click into the enhancing part, or leave this seed out.")
    share_overlaps(ready, lesions, {name: include for name, (include, _) in groups.items()})
    report(0.65, "compartments")
    return assemble(ready, lesions, missing, share_of(report, 0.65, 1.0))


def assemble(ready, lesions, missing=None, progress=None):
    """Label images, compartments and table of lesions found one by one.

    Returns
    -------
    Segmentation
    """
    warnings = list(ready.warnings)
    labels = merge_labels(ready, lesions)
    warnings += [
        f"{x.name}: low confidence: {'; '.join(x.reasons)}." for x in lesions if x.confidence == "low"
    ]
    warnings += [f"{name}: {reason}." for name, reason in (missing or {}).items()]
    compartments, oedema = split_compartments(ready, labels, lesions, share_of(progress, 0.0, 0.6))
    names = {lesion.label: lesion.name for lesion in lesions}
    rows = measure_lesions(
        labels,
        compartments,
        names,
        ready,
        oedema,
        {x.label: x for x in lesions},
        share_of(progress, 0.6, 1.0),
        only=list(names),
    )
    return Segmentation(labels, compartments, oedema, lesions, rows, dict(missing or {}), warnings)


def _groups(seeds):
    seeds = list(seeds)
    names = list(dict.fromkeys(s.name for s in seeds if s.kind == "include"))
    if not names:
        raise InputError("no include click was given", "--seed", "Click into a lesion.")
    return {
        name: (
            [s for s in seeds if s.kind == "include" and s.name == name],
            [s for s in seeds if s.kind == "exclude" and s.name in (name, "", None)],
        )
        for name in names
    }


def check_seed(ready, seed):
    """Raise unless a click lies in the image and in the head."""
    geometry = ready.t1c.geometry
    if not bool(geometry.contains(seed.point_lps_mm)):
        raise InputError(
            f"lies outside {ready.t1c.name}",
            f"seed {seed.name}",
            "Check the position and whether it is RAS or LPS.",
        )
    index = np.clip(
        np.rint(geometry.index_of(seed.point_lps_mm)).astype(int), 0, np.asarray(geometry.shape) - 1
    )
    if seed.kind == "include" and not ready.head[tuple(index)]:
        raise InputError("lies outside the head, in air", f"seed {seed.name}", "Click into the lesion.")


def segment_one(ready, name, label, include, exclude=(), max_radius_mm=MAX_RADIUS_MM):
    """One lesion from its clicks.

    Returns
    -------
    Lesion or str
        The reason where no lesion was found.
    """
    geometry = ready.t1c.geometry
    parts, reason = [], NOTHING
    for seed in include:
        part = _from_click(ready, name, label, geometry.index_of(seed.point_lps_mm), max_radius_mm)
        if isinstance(part, str):
            reason = part
        else:
            parts.append(part)
    if not parts:
        return reason
    return before.with_t1(ready, _without(_united(parts), include, exclude, geometry))


def _from_click(ready, name, label, point, max_radius_mm):
    """Lesion, or the reason for none, of one click; beyond the brain the whole head is looked at."""
    at = np.clip(np.rint(point).astype(int), 0, np.asarray(ready.head.shape) - 1)
    beyond = not ready.reach[tuple(at)]
    if beyond:
        ready = replace(ready, reach=ready.head)
    lesion = _steadied(ready, name, label, point, max_radius_mm)
    if isinstance(lesion, str) and ready.t1 is not None and not beyond and before.may_enhance(ready, point):
        shown = _steadied(before.enhancement(ready), name, label, point, max_radius_mm)
        lesion = before.shown_by_t1(ready, shown) or lesion
    if beyond and not isinstance(lesion, str):
        lesion.reasons.append("outside the brain: scalp, skull, muscle or orbit")
        lesion.confidence = "low"
    return lesion


def _steadied(ready, name, label, point, max_radius_mm):
    """Lesion, or the reason for none, of one click on one image."""
    grid = grid_around(ready, [point], *_WIDE)
    image, allowed = views(ready, grid)
    ready = replace(ready, tissue=grow.background_level(image[allowed & (image > 0)], ready.level))
    return steady.steadied(
        ready,
        point,
        _from_place(ready, name, label, point, max_radius_mm),
        lambda place: _from_place(ready, name, label, place, max_radius_mm),
    )


def _from_place(ready, name, label, point, max_radius_mm):
    """Lesion, or the reason for none, of one image index."""
    coarse = _coarse(ready, [point], max_radius_mm)
    return coarse if isinstance(coarse, str) else _fine(ready, name, label, *coarse, [point], max_radius_mm)


def _without(lesion, include, exclude, geometry):
    """The lesion without what lies nearer to an exclude click in it than to its include clicks."""
    fraction = lesion.fraction.copy()
    shares = None if lesion.shares is None else lesion.shares.copy()
    corner = np.asarray(lesion.corner_kji)
    for seed in exclude:
        at = np.rint(geometry.index_of(seed.point_lps_mm)).astype(int) - corner
        if (at < 0).any() or (at >= fraction.shape).any() or fraction[tuple(at)] < 0.1:
            continue
        index = np.argwhere(fraction > 0)
        where = geometry.points_of(index + corner)
        index = index[_nearest_mm(where, [seed]) < _nearest_mm(where, include)]
        fraction[tuple(index.T)] = 0.0
    if shares is not None:
        shares[(fraction == 0) & (lesion.fraction > 0)] = 0.0
    return replace(lesion, fraction=fraction, shares=shares)


def _united(parts):
    """The parts of several clicks as one lesion; its levels are those of the largest part."""
    whole = max(parts, key=lambda part: part.fraction.sum())
    if len(parts) == 1:
        return whole
    low = np.min([part.corner_kji for part in parts], axis=0)
    high = np.max([np.add(part.corner_kji, part.fraction.shape) for part in parts], axis=0)
    fraction, shares = np.zeros((2, *(high - low)), dtype=np.float32)
    for part in parts:
        box = tuple(slice(w.start - a, w.stop - a) for w, a in zip(part.window, low, strict=True))
        np.maximum(fraction[box], part.fraction, out=fraction[box])
        np.maximum(shares[box], part.measured, out=shares[box])
    hole = shapes.filled(fraction >= 0.5) & (fraction < 0.5)
    fraction[hole] = shares[hole] = 1.0
    if all(part.shares is None for part in parts):
        shares = None
    return replace(whole, corner_kji=tuple(int(v) for v in low), fraction=fraction, shares=shares)


def _coarse(ready, points, max_radius_mm):
    """Object on a small grid, on a large one when it does not fit, or the reason for none."""
    result, cut, leak = None, None, False
    for (reach_mm, spacing), (wider_mm, _) in pairwise((*_COARSE, (np.inf, np.inf))):
        # what does not fit is wanted in full only where no wider grid follows
        last = wider_mm > 2.7 * max_radius_mm
        result, held = _on_one_grid(ready, points, reach_mm, spacing, max_radius_mm, last), result
        if result is None and held is not None:
            # no wider grid holds it: a leak, unless the grid cuts but a strand of it
            result = _on_one_grid(ready, points, *cut, max_radius_mm, True)
            leak = touches_edge(result[1].mask) and _edge_seen(ready, result) < _EDGE_OF_WHAT_IS_CUT
            break
        if result is not None:
            if last or not touches_edge(result[1].mask):
                break
            cut = reach_mm, spacing
    result = None if leak else result
    # thick slices break a surface into steps that are no edges
    if len(points) == 1 and not _thick(ready):
        result = closed_instead(ready, points[0], result, max_radius_mm)
    return result or (steady.LEAK if leak else NOTHING)


def _on_one_grid(ready, points, reach_mm, spacing_mm, max_radius_mm, whole):
    """Grid, object on it and brightness of the tissue around, or None."""
    grid = grid_around(ready, points, reach_mm, spacing_mm)
    image, allowed = views(ready, grid)
    local = [grid.index_of(p) for p in points]
    head = allowed & (image > 0)
    background = grow.tissue_level(ready, image[head])
    found = grow.find_object(
        image, allowed, local, spacing_mm, background, ready.noise, max_radius_mm, _thick(ready), whole
    )
    return found and (grid, found, grow.brightest_tissue(image, head & ~found.mask, background))


def _edge_seen(ready, result):
    """Share of the surface of a coarse object that shows an edge."""
    grid, found, _ = result
    image, allowed = views(ready, grid)
    background = grow.tissue_level(ready, image[allowed & (image > 0)])
    drop = grow.full_edge(background, ready.noise)
    return star.edge_coverage(image, found.mask, grid.spacing_mm, background, drop, cut_counts=True)


def _thick(ready):
    return max(ready.t1c.geometry.spacing_mm) > 3.0


# share of the surface that must show an edge where an object reaches the border of its grid
_EDGE_OF_WHAT_IS_CUT = 0.85

# below this many voxels across, the edge voxels decide the volume
_RESOLVED_VOXELS = 8.0
# up to this slice thickness, or over so many slices, voxels are found that hold nothing but the lesion;
# without one its intensity is not known, and what is shared out by intensity comes out too large
_THIN_MM, _SLICES_FOR_A_WHOLE_ONE = 2.5, 3.0
# below so many slices across, a lesion's size is a guess
_SLICES_TO_MEASURE = 2.0
# share of the surface that the end of the reach may cut
_AT_SKULL = 0.1

# an outline of this volume with less of an edge is a part of something, or a leak
_SEEN_OF_LARGE, _LARGE_ML = 0.86, 3.0
# what is not so many times as bright as white matter is hardly brighter; large and without its edge, it is nothing
_HARDLY_BRIGHTER = 1.15

# tumours fill more of their convex hull than this, sinuses with their branches and gyri less
_RAGGED = 0.6


def _fine(ready, name, label, coarse, found, tissue, points, max_radius_mm):
    box = np.argwhere(found.mask)
    radius = shapes.diameter_mm(found.mask, coarse.spacing_mm) / 2
    spacing = float(np.clip(radius / 10, 0.45, 1.0))
    margin = 6.0 / coarse.spacing_mm
    low, high = coarse.image_index_of(box.min(0) - margin), coarse.image_index_of(box.max(0) + margin)
    grid = WorkGrid.around(low, high, ready.t1c.geometry, spacing)
    # a cubic keeps the height of small lesions; across thick slices it would ring
    order = 3 if max(ready.t1c.geometry.spacing_mm) <= _THIN_MM else 1
    image, allowed = grid.sample(ready.t1c.array, order), grid.sample(ready.reach)
    start = WorkGridView(coarse, grid).move(found.mask)
    local = [grid.index_of(p) for p in points]
    thick = _thick(ready)
    share = refine.share_of_height(2 * radius, max(ready.t1c.geometry.spacing_mm), thick)
    mask, level, outside = refine.refine(
        image, allowed, start, local, spacing, max_radius_mm, thick, found.closed, share
    )
    if not mask.any():
        return NOTHING
    corner, fraction = grid.fractions(mask.astype(np.float32), ready.t1c.geometry.shape)
    shares = None
    size_mm, slice_mm = shapes.diameter_mm(mask, spacing), max(ready.t1c.geometry.spacing_mm)
    whole_slice = slice_mm <= _THIN_MM or size_mm >= _SLICES_FOR_A_WHOLE_ONE * slice_mm
    if size_mm < _RESOLVED_VOXELS * slice_mm:
        inside = outside + (level - outside) / share
        if thick or not whole_slice:
            few = size_mm < _SLICES_TO_MEASURE * slice_mm
            height = (partial.full_height if few else partial.deep_height)(
                ready, grid, corner, fraction, outside
            )
            inside = outside + height if few else np.maximum(inside, outside + height)
        corner, fraction, shares = partial.mixed_voxels(ready, grid, corner, fraction, inside, outside)
        # below that a visible blur is most of what could be outlined; readers outline what they see of larger ones
        if not thick or size_mm < _SLICES_TO_MEASURE * slice_mm:
            fraction, shares = shares, None
    depth_in = mask & (image > level)
    high_level = float(np.median(image[depth_in])) if depth_in.any() else float(np.median(image[mask]))
    low_level = float(np.median(outside[mask]))
    lesion = Lesion(
        name,
        label,
        corner,
        fraction,
        high_level,
        low_level,
        (high_level - low_level) / ready.noise,
        shares=shares,
    )
    if slice_mm > _THIN_MM and size_mm < _SLICES_TO_MEASURE * slice_mm:
        lesion.reasons.append(f"small for slices of {slice_mm:.1f} mm: its size is uncertain")
    if ready.reach is not ready.head:
        skin = shapes.dilated(mask) & ~mask
        if (skin & ~allowed).sum() > _AT_SKULL * skin.sum():
            lesion.reasons.append("goes on into dura or skull")
    return judge(lesion, image, mask, spacing, tissue)


def judge(lesion, image, mask, spacing_mm, tissue):
    """Refuse what is no lesion, flag what may be none.

    Returns
    -------
    Lesion or str
    """
    relative = (lesion.inside_level - lesion.outside_level) / max(lesion.outside_level, 1e-6)
    edge = grow.boundary_contrast(image, mask)
    if relative < 0.06 or lesion.contrast_to_noise < 2.0 or edge <= 0 or lesion.inside_level < 1.06 * tissue:
        return NOTHING
    if lesion.inside_level < _HARDLY_BRIGHTER * tissue:
        lesion.reasons.append("hardly brighter than the white matter around it")
    if relative < 0.25 or lesion.contrast_to_noise < 5.0:
        lesion.reasons.append(f"faint: {relative:.0%} brighter than its surroundings")
    length, width, thickness = _axes_mm(mask, spacing_mm)
    if length > 3.0 * width and width < 7.0:
        lesion.reasons.append("long and thin, like a vessel or dura")
    elif thickness < 0.5 * width and thickness < 6.0:
        lesion.reasons.append("flat, like dura")
    filled = shapes.solidity(mask)
    if filled < _RAGGED:
        lesion.reasons.append(f"ragged or branching: it fills {filled:.0%} of its hull")
    if _goes_on(lesion, image, mask, spacing_mm):
        lesion.reasons.append("enhancing tissue goes on beside it: click there, too, if it belongs to it")
    drop = 0.3 * (lesion.inside_level - lesion.outside_level)
    seen = star.edge_coverage(image, mask, spacing_mm, lesion.outside_level, drop)
    lesion.edge_seen = seen
    volume_ml = mask.sum() * spacing_mm**3 / 1000
    part = seen < _SEEN_OF_LARGE and volume_ml > _LARGE_ML
    if part and lesion.inside_level < _HARDLY_BRIGHTER * tissue:
        return NOTHING
    if seen < 0.4 or part or steady.doubtful(seen, volume_ml):
        lesion.reasons.append(f"an edge is seen on {seen:.0%} of its surface only")
    if mask.sum() * spacing_mm**3 < 4.0:
        lesion.reasons.append("below 2 mm: too small to trust")
    if lesion.reasons:
        lesion.confidence = "low"
    return lesion


def _goes_on(lesion, image, mask, spacing_mm):
    """Whether much of what lies beside an outline is as bright: around a speck look nearer and be stricter."""
    near, far, most = (0.8, 2.5, 0.2) if shapes.diameter_mm(mask, spacing_mm) < 5.0 else (1.2, 4.0, 0.35)
    away = shapes.distance_mm(mask, spacing_mm, far)
    beside = image[(away > near) & (away <= far)]
    return beside.size > 0 and np.mean(beside > (lesion.inside_level + lesion.outside_level) / 2) > most


def _axes_mm(mask, spacing_mm):
    """Principal axes, longest first (full lengths of the ellipsoid of the same moments)."""
    points = np.argwhere(mask) * spacing_mm
    if len(points) < 8:
        return spacing_mm, spacing_mm, spacing_mm
    values = np.linalg.eigvalsh(np.cov(points.T))
    full = 2 * np.sqrt(5 * np.maximum(values, 0))
    return float(full[2]), float(max(full[1], spacing_mm)), float(full[0])


def share_overlaps(ready, lesions, seeds):
    """Divide lesions that came out as one among their clicks.

    Where two lesions share more than a fifth of the smaller one, every shared voxel goes to the
    lesion whose clicks are nearer. For convex lesions of like size that is the neck between them.

    Parameters
    ----------
    ready : Prepared
    lesions : list of Lesion
        Their ``fraction`` is changed in place.
    seeds : dict
        Lesion name to include clicks.
    """
    for first, one in enumerate(lesions):
        for two in lesions[first + 1 :]:
            low = np.maximum([w.start for w in one.window], [w.start for w in two.window])
            high = np.minimum([w.stop for w in one.window], [w.stop for w in two.window])
            if (high <= low).any():
                continue
            views = [
                x.fraction[
                    tuple(slice(a - c, b - c) for a, b, c in zip(low, high, x.corner_kji, strict=True))
                ]
                for x in (one, two)
            ]
            shared = (views[0] > 0.1) & (views[1] > 0.1)
            if np.minimum(*views).sum() < 0.2 * min(one.fraction.sum(), two.fraction.sum()):
                continue
            index = np.argwhere(shared) + low
            where = ready.t1c.geometry.points_of(index)
            away = [_nearest_mm(where, seeds[x.name]) for x in (one, two)]
            mine = np.zeros(shared.shape, dtype=bool)
            mine[shared] = away[0] <= away[1]
            for lesion, gone in ((one, shared & ~mine), (two, mine)):
                box = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, lesion.corner_kji, strict=True))
                lesion.fraction[box][gone] = 0.0
                if lesion.shares is not None:
                    lesion.shares[box][gone] = 0.0
            for lesion in (one, two):
                lesion.confidence = "low"
                lesion.reasons.append("touches another lesion: divided half-way between the clicks")


def _nearest_mm(points, seeds):
    places = np.asarray([s.point_lps_mm for s in seeds])
    return np.sqrt(((points[:, None] - places[None]) ** 2).sum(-1)).min(1)


def merge_labels(ready, lesions):
    """One label image; where lesions meet, the one with the larger share of the voxel wins."""
    shape = ready.t1c.geometry.shape
    labels = np.zeros(shape, dtype=np.int32)
    # one lesion needs no arbiter, and several only where they lie
    low = np.min([w.corner_kji for w in lesions], axis=0) if lesions else np.zeros(3, dtype=int)
    high = np.max([np.add(x.corner_kji, x.fraction.shape) for x in lesions], axis=0) if lesions else low
    best = np.zeros(high - low, dtype=np.float32)
    for lesion in lesions:
        window, share = lesion.window, lesion.fraction
        held = best[tuple(slice(w.start - a, w.stop - a) for w, a in zip(window, low, strict=True))]
        take = (share >= 0.5) | ((share == share.max()) & (share.max() < 0.5))
        take &= share > held
        labels[window][take] = lesion.label
        held[take] = share[take]
    return ready.t1c.like(labels, "lesions")
