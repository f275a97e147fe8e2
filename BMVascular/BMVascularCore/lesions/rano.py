"""Longest diameter and its perpendicular, the RANO-BM way.

RANO-BM (Lin et al. 2015, doi 10.1016/S1470-2045(15)70057-4): the longest diameter of the enhancing
lesion in an axial plane, and the longest one perpendicular to it in the same plane.
"""

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from BMVascularCore.lesions import shapes


def diameters(fraction, geometry):
    """Longest in-plane diameter over the axial planes and the perpendicular one in that plane.

    Parameters
    ----------
    fraction : ndarray, shape (k, j, i)
        Occupancy 0..1; its 0.5 level is the boundary.
    geometry : Geometry
        Spacing and direction.

    Returns
    -------
    longest_mm, perpendicular_mm : float
    axial : bool
        Whether a plane of the image is within 45 degrees of axial (it always is for one axis; False
        when the axis next to the body's long axis is ambiguous).
    """
    axis = axial_axis(geometry)
    along = np.abs(np.reshape(geometry.direction, (3, 3))[2])
    spacing = [s for a, s in enumerate(geometry.spacing_kji_mm) if a != axis]
    stack = np.moveaxis(fraction, axis, 0)
    outlines = [outline for outline in (contour_points(plane, spacing) for plane in stack) if len(outline)]
    # no plane is longer than its box's diagonal: with the largest box first, most need not be measured
    most = [float(np.linalg.norm(np.ptp(outline, axis=0))) for outline in outlines]
    best, which = (0.0, 0.0), len(outlines)
    for number in np.argsort(most)[::-1]:
        if most[number] < best[0] - 1e-5:
            break
        hull = _hull(outlines[number])
        longest, towards = _longest(hull)
        # the first of planes that are as long
        if longest > best[0] or (longest == best[0] > 0 and number < which):
            best, which = (longest, _longest_chord_across(hull, towards)), number
    if best[0] == 0.0:
        side = float(np.sqrt(max(stack.sum(axis=(1, 2)).max(), 0)) * np.sqrt(np.prod(spacing)))
        best = (side, side)
    return best[0], best[1], bool(along[2 - axis] > 0.7071)


def axial_axis(geometry):
    """Array axis (k, j, i) across the planes that are nearest to axial."""
    return 2 - int(np.argmax(np.abs(np.reshape(geometry.direction, (3, 3))[2])))


def contour_points(plane, spacing):
    """Points in mm where an occupancy image crosses 0.5 between neighbouring pixels.

    Returns
    -------
    ndarray, shape (n, 2)
    """
    field = np.pad(plane.astype(float), 1)
    points = []
    for axis in (0, 1):
        a = np.moveaxis(field, axis, 0)
        low, high = a[:-1], a[1:]
        cross = (low >= 0.5) != (high >= 0.5)
        r, c = np.nonzero(cross)
        share = (0.5 - low[cross]) / (high[cross] - low[cross])
        pair = np.stack([r + share, c.astype(float)], 1)
        points.append(pair if axis == 0 else pair[:, ::-1])
    return np.concatenate(points) * np.asarray(spacing, dtype=float)


def _longest(hull):
    """Longest distance among points, and its direction."""
    apart = hull[:, None] - hull[None]
    lengths = np.sqrt((apart**2).sum(-1))
    a, b = np.unravel_index(int(np.argmax(lengths)), lengths.shape)
    longest = float(lengths[a, b])
    return longest, apart[a, b] / longest if longest else apart[a, b]


def _longest_chord_across(hull, along):
    """Longest chord of a convex polygon perpendicular to a direction."""
    across = np.array([-along[1], along[0]])
    s, t = hull @ along, hull @ across
    s2, t2 = np.roll(s, -1), np.roll(t, -1)
    level = np.linspace(s.min(), s.max(), 129)[1:-1, None]
    crossing = (s <= level) != (s2 <= level)
    share = (level - s) / np.where(s2 == s, np.inf, s2 - s)
    where = t + share * (t2 - t)
    top = np.where(crossing, where, -np.inf).max(1)
    chords = top - np.where(crossing, where, np.inf).min(1)
    return float(chords.max(initial=0.0, where=crossing.sum(1) >= 2))


def _hull(points):
    points = np.unique(np.round(points, 6), axis=0)
    if len(points) < 4:
        return points
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:
        return points


def longest_3d(mask, geometry):
    """Longest distance between the outer voxel centres plus one mean voxel, in mm."""
    edge = mask & ~shapes.eroded(mask)
    points = np.argwhere(edge) * np.asarray(geometry.spacing_kji_mm)
    if len(points) > 8:
        try:
            points = points[ConvexHull(points).vertices]
        except QhullError:
            points = points[:: max(1, len(points) // 500)]
    apart = points[:, None] - points[None]
    return float(np.sqrt((apart**2).sum(-1)).max() + np.cbrt(np.prod(geometry.spacing_mm)))
