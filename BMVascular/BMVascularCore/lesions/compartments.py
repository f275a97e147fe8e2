"""Enhancing tumour, non-enhancing core, oedema and haemorrhage."""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from BMVascularCore.lesions import shapes
from BMVascularCore.lesions.location import head_depth
from BMVascularCore.lesions.model import CORE, ENHANCING, HAEMORRHAGE, OEDEMA
from BMVascularCore.progress import share_of

OEDEMA_REACH_MM = 40.0


def split_compartments(ready, labels, lesions, progress=None):
    """Compartments of all lesions.

    Parameters
    ----------
    ready : Prepared
    labels : Volume
    lesions : list of Lesion

    Returns
    -------
    compartments : Volume
        uint8.
    oedema_labels : Volume
        int32, the nearest lesion of each oedema voxel.
    """
    report = share_of(progress, 0, 1)
    codes = np.zeros(labels.array.shape, dtype=np.uint8)
    for lesion in lesions:
        window = lesion.window
        inside = labels.array[window] == lesion.label
        codes[window][inside] = _inside_codes(ready, lesion, window, inside)[inside]
    report(0.3, "oedema")
    oedema = np.zeros(labels.array.shape, dtype=np.int32)
    if ready.flair is not None and lesions:
        _add_oedema(ready, labels.array, lesions, codes, oedema)
    report(1.0, "compartments done")
    return ready.t1c.like(codes, "compartments"), labels.like(oedema, "oedema")


def _inside_codes(ready, lesion, window, inside):
    half = (lesion.inside_level + lesion.outside_level) / 2
    image = ready.t1c.array[window]
    spacing = ready.t1c.geometry.spacing_kji_mm
    depth = shapes.distances_mm(~np.pad(inside, 1), spacing)[1:-1, 1:-1, 1:-1]
    # the outermost voxels are dark through partial volume, not necrosis
    dark = inside & (image < half) & (depth > 1.01 * min(spacing))
    pieces, count = ndimage.label(dark)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1) * ready.t1c.geometry.voxel_ml
    dark &= sizes[pieces] >= min(0.01, 0.02 * sizes.sum() + 0.004)
    codes = np.where(inside, ENHANCING, 0).astype(np.uint8)
    codes[dark] = CORE
    codes[inside & _blood(ready, window, inside)] = HAEMORRHAGE
    return codes


def _blood(ready, window, inside):
    """Signal loss on SWI, or T1 shortening before contrast, inside the lesion.

    The yardstick is the tissue around the lesion: half of its SWI signal; on T1 the excess of 4
    robust standard deviations and 20 %.
    """
    wide = tuple(
        slice(max(0, s.start - 8), min(n, s.stop + 8)) for s, n in zip(window, ready.head.shape, strict=True)
    )
    outside = ready.head[wide].copy()
    view = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(window, wide, strict=True))
    outside[view] &= ~shapes.dilated(inside, 2)
    blood = np.zeros(inside.shape, dtype=bool)
    for role, image in (("swi", ready.swi), ("t1", ready.t1)):
        if image is None:
            continue
        around = image.array[wide][outside]
        around = around[around > 0]
        if around.size < 50:
            continue
        middle = float(np.median(around))
        spread = 1.4826 * float(np.median(np.abs(around - middle)))
        part = image.array[window]
        if role == "swi":
            blood |= part < min(0.6 * middle, middle - 3 * spread)
        else:
            blood |= part > max(1.2 * middle, middle + 4 * spread)
    return ndimage.binary_opening(blood & inside) if inside.sum() > 200 else blood & inside


def _add_oedema(ready, labels, lesions, codes, oedema):
    geometry = ready.t1c.geometry
    reach = np.ceil(OEDEMA_REACH_MM / np.asarray(geometry.spacing_kji_mm)).astype(int)
    low = np.min([lesion.corner_kji for lesion in lesions], axis=0) - reach
    high = np.max([np.add(x.corner_kji, x.fraction.shape) for x in lesions], axis=0) + reach
    box = tuple(slice(max(0, a), min(n, b)) for a, b, n in zip(low, high, labels.shape, strict=True))
    label = labels[box]
    lesion = label > 0
    if not lesion.any():
        return
    distance = _distance_nearby(lesion, geometry.spacing_kji_mm)
    bright = _bright_flair(ready, box, lesion, distance)
    pieces, count = ndimage.label(bright | lesion)
    touching = np.zeros(count + 1, dtype=bool)
    touching[pieces[lesion]] = True
    found = bright.copy()
    found[bright] = touching[pieces[bright]]
    # the rest happens where lesions, what surrounds them and their oedema lie
    part = shapes.bounding(found | (distance <= _SHELL_MM))
    label, found = label[part], found[part]
    found &= shapes.distances_mm(lesion[part], geometry.spacing_kji_mm) <= OEDEMA_REACH_MM
    owner = _owners_of_oedema(label, distance[part], bright[part], found, geometry)
    oedema[box][part][found] = owner[found]
    codes[box][part][found] = OEDEMA


def _distance_nearby(lesion, spacing_kji_mm):
    """Distance to the lesions in mm up to ``_NEARBY_MM``; farther away it may be infinite."""
    out = np.full(lesion.shape, np.inf, dtype=np.float32)
    box = tuple(
        slice(max(0, s.start - pad), s.stop + pad)
        for s, pad in zip(shapes.bounding(lesion), _voxels(_NEARBY_MM, spacing_kji_mm), strict=True)
    )
    out[box] = shapes.distances_mm(lesion[box], spacing_kji_mm)
    return out


def _voxels(reach_mm, spacing_kji_mm):
    """Voxels that reach so far along each axis."""
    return [int(np.ceil(reach_mm / s)) for s in spacing_kji_mm]


def _owners_of_oedema(label, distance, bright, found, geometry):
    """Nearest lesion of each voxel, among lesions that oedema surrounds.

    A small lesion at the edge of a neighbour's oedema would otherwise be given part of it.
    """
    shell = (distance > 0) & (distance <= _SHELL_MM)
    numbers = np.unique(label[label > 0])
    if len(numbers) == 1:
        return np.broadcast_to(numbers[0], label.shape)
    owner = _nearest_label(label, numbers, shell | found, geometry)
    own = [n for n in numbers if bright[shell & (owner == n)].mean() >= 0.3]
    if not own or len(own) == len(numbers):
        return owner
    return _nearest_label(label, own, found, geometry)


def _nearest_label(label, numbers, wanted, geometry):
    """The nearest of some labels at the wanted voxels, 0 elsewhere."""
    out = np.zeros(label.shape, dtype=label.dtype)
    mask = np.isin(label, numbers)
    # from outside, a surface voxel is the nearest one
    surface = np.argwhere(mask & ~shapes.eroded(mask))
    places = np.argwhere(wanted)
    if len(places):
        tree = cKDTree(surface * geometry.spacing_kji_mm)
        nearest = tree.query(places * np.asarray(geometry.spacing_kji_mm))[1]
        out[wanted] = label[tuple(surface[nearest].T)]
    return out


# scalp and skull lie within this depth of the head's surface, the scalp alone within that
_SKULL_MM, _SCALP_MM = 14.0, 6.0
# what surrounds a lesion, and from where on FLAIR is taken for normal
_SHELL_MM, _NEARBY_MM = 3.0, 6.0


def _bright_flair(ready, box, lesion, distance):
    """FLAIR well above normal brain, smoothed, away from the scalp.

    Normal brain is the median of the head's inside away from the lesions, its spread that of the darker
    half (the brighter half may hold oedema). The cut lies half-way to the upper intensities next to the
    lesions, at least 2.5 spreads and 15 % above normal.
    """
    spacing = ready.t1c.geometry.spacing_kji_mm
    smooth = ndimage.gaussian_filter(ready.flair.array[box], [0.6 / s for s in spacing])
    deep = _deeper_than(ready, box, _SKULL_MM) & (distance > _NEARBY_MM) & (smooth > 0)
    normal = smooth[deep]
    if normal.size < 100:
        return np.zeros(lesion.shape, dtype=bool)
    # ventricles and sulci are dark on FLAIR and are not the yardstick
    normal = normal[normal > 0.5 * _median(normal)]
    middle = float(_median(normal))
    darker = middle - normal[normal < middle]
    spread = 1.4826 * float(_median(darker)) if darker.size else 0.0
    near = smooth[(distance > 1.0) & (distance < 5.0)]
    top = float(np.percentile(near, 90)) if near.size else middle
    cut = max((middle + top) / 2, middle + 2.5 * spread, 1.15 * middle)
    bright = shapes.dilated(shapes.eroded((smooth > cut) & _deeper_than(ready, box, _SCALP_MM)))
    return bright & ~lesion


def _median(values):
    """The median of many values: a sample tells between which two it lies, only those are put in order."""
    ranks = (values.size - 1) // 2, values.size // 2
    if values.size < 10000:
        return np.median(values)
    sample = np.sort(values[:: values.size // 1000])
    low, high = sample[[int(0.4 * len(sample)), int(0.6 * len(sample))]]
    below = int(np.count_nonzero(values < low))
    middle = values[(values >= low) & (values <= high)]
    if not below <= ranks[0] <= ranks[1] < below + middle.size:
        return np.median(values)
    at = [rank - below for rank in ranks]
    return np.partition(middle, at)[at].mean()


def _deeper_than(ready, box, depth_mm):
    """Where a box of the image lies deeper than this below the surface of the head."""
    depth, steps = head_depth(ready)
    deep = depth > depth_mm
    # the last axis first: the array is small as long as possible
    for axis in (2, 1, 0):
        at = np.rint(np.arange(box[axis].start, box[axis].stop) / steps[axis]).astype(int)
        deep = np.take(deep, np.minimum(at, deep.shape[axis] - 1), axis=axis)
    return deep
