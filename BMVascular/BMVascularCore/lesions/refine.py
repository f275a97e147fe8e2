"""The sub-voxel boundary: half-way between the lesion and its surroundings, place by place."""

import numpy as np
from scipy import ndimage

from BMVascularCore.lesions import grow, shapes

_ROUNDS, _ROUNDS_THICK = 3, 5
# of the way from the surroundings to the lesion
SHARE = 0.5
# thick slices blur slanted edges, and readers follow the outer part of that slope on tumours of many slices
# (slices across: share); on few slices that would count the blur as lesion. The .35 rests on the two foci of
# one real tumour of 6.5 mm slices (the reader's outline) and on simulated slices of 5 mm, no more
_SLICES, _SHARES_THICK = (3.0, 4.0), (0.5, 0.35)


def share_of_height(diameter_mm, slice_mm, thick):
    """Where on the slope from the surroundings to the lesion its boundary lies, 0..1.

    Parameters
    ----------
    diameter_mm, slice_mm : float
    thick : bool
        Whether the slices are thick; else it is half-way.

    Returns
    -------
    float
    """
    return float(np.interp(diameter_mm / slice_mm, _SLICES, _SHARES_THICK)) if thick else SHARE


def local_mean(image, where, sigma):
    """Mean of the image over ``where``, weighted by a Gaussian around each voxel.

    Returns
    -------
    ndarray
        NaN-free; far from ``where`` it is the overall mean.
    """
    overall = float(image[where].mean())
    weight = ndimage.gaussian_filter(where.astype(np.float32), sigma, truncate=3.0)
    total = ndimage.gaussian_filter(
        np.where(where, image - overall, 0).astype(np.float32), sigma, truncate=3.0
    )
    return overall + total / (weight + 1e-3)


def refine(image, allowed, start, points, spacing_mm, max_radius_mm, thick=False, closed=False, share=SHARE):
    """Move the boundary to the local half height.

    Parameters
    ----------
    image : ndarray
        T1c on the fine working grid.
    allowed, start : ndarray of bool
        Where the lesion may lie; the coarse object.
    points : list of ndarray
    spacing_mm, max_radius_mm : float
    thick : bool
        Whether the image's slices are thick.
    closed : bool
        Whether ``start`` came from a closed surface: then all but its outer 2 mm stays inside.
    share : float
        Of :func:`share_of_height`.

    Returns
    -------
    mask : ndarray of bool
    level : ndarray
        Local half height.
    outside : ndarray
        Local mean of the surroundings.
    """
    mask = start
    radius = shapes.diameter_mm(mask, spacing_mm) / 2
    sigma = float(np.clip(0.7 * radius, 1.5, 4.0)) / spacing_mm
    margin = float(np.clip(0.4 * radius, 1.0, 2.0))
    bridge = float(np.clip(0.35 * radius, 0.8, 3.5))
    hull = shapes.filled(shapes.closed(start, bridge, spacing_mm))
    limit = shapes.distance_mm(hull, spacing_mm, margin) <= margin
    smooth = ndimage.gaussian_filter(image, 0.6 / spacing_mm)
    reach = 3.0 / spacing_mm
    kept = shapes.depth_mm(start, spacing_mm) > 2.0 if closed else np.zeros(start.shape, dtype=bool)
    level = outside = floor = None
    for _ in range(_ROUNDS_THICK if thick else _ROUNDS):
        inside, outside = local_levels(image, allowed, mask, spacing_mm, sigma, floor)
        level = outside + share * (inside - outside)
        # darker parts of a mixed lesion count as inside, a core at tissue level does not
        floor = outside + 0.25 * (inside - outside)
        bright = (image > level) & allowed & limit
        whole = _bridged(bright, smooth > floor, bridge, spacing_mm) | _deep(mask, spacing_mm) | kept
        piece = shapes.piece_at(shapes.filled(whole & allowed), points, reach)
        if piece is not None:
            piece = grow.with_hollows(piece, spacing_mm) & allowed
        new = None if piece is None else grow.tidy(piece, points, spacing_mm, max_radius_mm, reach, thick)
        if new is None:
            break
        changed = int((new ^ mask).sum())
        mask = new
        if changed <= 0.002 * mask.sum():
            break
    return mask, level, outside


def _bridged(bright, grey, radius_mm, spacing_mm):
    """Bright voxels, and the greyish dents among them that a ball of this radius cannot enter.

    Cystic or faint parts often reach the lesion's surface; air, bone and CSF beside it are darker
    than the ``grey`` limit and stay outside.
    """
    return bright | (shapes.closed(bright, radius_mm, spacing_mm) & grey)


def _deep(mask, spacing_mm):
    """The deep part stays inside, enhancing or not: rims may be open towards a sulcus."""
    depth = shapes.depth_mm(mask, spacing_mm)
    return depth > max(1.5, 0.45 * float(depth.max()))


def local_levels(image, allowed, mask, spacing_mm, sigma, floor=None):
    """Local means of the enhancing part and of the tissue around the mask.

    The surroundings are the 0.8 to 4 mm next to the mask; what is bright there (vessels, dura,
    another lesion) is left out.
    """
    away = shapes.distance_mm(mask, spacing_mm, 4.0)
    depth = shapes.depth_mm(mask, spacing_mm)
    cut = float(np.median(image[mask])) if floor is None else floor
    bright = mask & (image > cut)
    if float(depth.max()) > 2.5:
        bright &= depth > 0.8
    if bright.sum() < 8:
        bright = mask
    # small lesions never reach their full height: the upper quarter stands for it
    if mask.sum() * spacing_mm**3 < 70:
        bright = mask & (image >= np.percentile(image[mask], 88))
    shell = (away > 0.8) & (away <= 4.0)
    values = image[shell]
    if not values.size:
        values = image[~mask]
        shell = ~mask
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle))) + 1e-6
    top = float(np.mean(image[bright]))
    ring = shell & (image < min(middle + 3 * spread, (middle + top) / 2))
    if not ring.any():
        ring = shell
    return local_mean(image, bright, sigma), local_mean(image, ring, sigma)
