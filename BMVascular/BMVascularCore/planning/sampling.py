"""Structures as weighted points: the geometry of a dose-volume histogram.

Tiny targets decide how this is done. Contours are interpolated between slices by shape (signed distance) with
the area of every intermediate slice taken from the neighbouring areas by a cubic, which is exact for spheres
and ellipsoids; voxels at the surface count in part. Masks are used on their own grid.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError
from BMVascularCore.planning.field import cut_out, matched_level, smooth_mask, soft_fraction
from BMVascularCore.planning.margins import surface_points
from BMVascularCore.planning.planes import PlaneStack, stack_planes
from BMVascularCore.volume import Geometry, resample

_FINE_MM = 0.3
_MOST_SAMPLES = 120_000
_SMALLEST_WEIGHT = 1e-3
# less than this is a slip of the pen: a sphere of a fifth of a millimetre
_LEAST_MM3 = 0.005
# cells this many steps below the surface are inside whole
_DEEP = 1.5
# powers of the root of x^4 = x + 1: their multiples fill a cube evenly (Roberts 2018)
_IRRATIONAL = 1.2207440846057596 ** -np.arange(1.0, 4.0)
END_CAPS = ("shape", "half", "none")


@dataclass
class Samples:
    """A structure as weighted points.

    Attributes
    ----------
    points_lps_mm : ndarray, shape (n, 3)
    weights_mm3 : ndarray, shape (n,)
    surface_lps_mm : ndarray, shape (m, 3)
        Points on the surface, for extremes of dose and for distances.
    step_mm : float
        Distance between samples.
    method : str
    """

    points_lps_mm: np.ndarray
    weights_mm3: np.ndarray
    surface_lps_mm: np.ndarray
    step_mm: float
    method: str
    warnings: list = field(default_factory=list)

    @property
    def volume_ml(self):
        """Volume in mL."""
        return float(self.weights_mm3.sum()) / 1000.0


def sample_structure(structure, slice_step_mm=None, end_caps="shape"):
    """Samples of a structure, from its mask where it has one, else from its contours.

    Parameters
    ----------
    structure : Structure
    slice_step_mm : float, optional
        Slice distance for structures on a single slice.
    end_caps : {"shape", "half", "none"}
        What lies beyond the first and last contour: the continuation of the shape, at most one slice
        (half a slice where the areas do not fall to zero); half a slice; nothing.

    Returns
    -------
    Samples

    Raises
    ------
    InputError
        Empty structure, points that do not lie in planes, a single slice of unknown thickness.
    """
    if structure.empty:
        raise InputError("is empty", structure.name, "Remove it or draw it.")
    if structure.mask is not None:
        return sample_mask(structure.mask.array, structure.mask.geometry)
    return sample_contours(structure.contours, structure.name, slice_step_mm, end_caps)


def _step_for(volume_mm3):
    diameter = np.cbrt(6.0 * volume_mm3 / np.pi)
    return max(min(_FINE_MM, diameter / 20.0), float(np.cbrt(volume_mm3 / _MOST_SAMPLES)))


def sample_mask(mask, geometry):
    """Samples of a mask on its own grid; surface voxels count in part.

    Parameters
    ----------
    mask : ndarray of bool, shape (k, j, i)
    geometry : Geometry
    """
    volume_mm3 = float(np.count_nonzero(mask)) * geometry.voxel_ml * 1000.0
    step = _step_for(volume_mm3) if volume_mm3 else 1.0
    if step > 0.6 * max(geometry.spacing_mm):
        return _sample_voxels(mask, geometry, step)
    smooth = smooth_mask(mask, geometry, 1.5)
    box = smooth.volume.geometry
    factor = np.maximum(1, np.ceil(np.asarray(box.spacing_kji_mm) / step - 1e-6)).astype(int)
    spacing = np.asarray(box.spacing_kji_mm) / factor
    shape = np.asarray(box.shape) * factor
    origin = tuple(box.points_of(0.5 / factor - 0.5).tolist())
    fine = Geometry(tuple(shape.tolist()), tuple(spacing[::-1].tolist()), origin, box.direction)
    values = resample(smooth.volume, fine, None, "linear", 0.0).array
    voxel = fine.voxel_ml * 1000.0
    level = matched_level(
        lambda v: float(soft_fraction(values, v).sum()) * voxel, volume_mm3, values.max(), 16
    )
    share = soft_fraction(values, level)
    slope = np.sqrt(sum(g * g for g in np.gradient(values)))
    outside = (level - values) / np.maximum(slope, 1e-6)
    inward = _to_centroid(outside, share, 1.0)
    share *= volume_mm3 / (float(share.sum()) * voxel)
    kept = np.argwhere(share > _SMALLEST_WEIGHT)
    places = kept + np.moveaxis(inward, 0, -1)[tuple(kept.T)]
    deep = outside[tuple(kept.T)] < -_DEEP
    places[deep] += _scatter(len(kept), 0)[deep]
    surface = fine.points_of(surface_points(level - values))
    return Samples(
        fine.points_of(places),
        share[tuple(kept.T)] * voxel,
        surface,
        float(spacing.max()),
        f"mask on its own grid, {spacing.max():.2f} mm samples, surface voxels in part",
    )


def sample_cubes(mask, geometry):
    """Samples of a mask whose voxels are taken as cubes, without a smooth surface.

    For regions that are sets of voxels, such as habitats: a smooth surface would round their corners off.
    """
    box = cut_out(np.asarray(mask, bool), geometry, 0.0)
    spacing = np.asarray(geometry.spacing_kji_mm)
    voxels = np.argwhere(box.array)
    step = max(_step_for(len(voxels) * geometry.voxel_ml * 1000.0), 0.25)
    factor = np.maximum(1, np.ceil(spacing / step - 1e-6)).astype(int)
    ticks = [(np.arange(n) + 0.5) / n - 0.5 for n in factor]
    inner = np.stack(np.meshgrid(*ticks, indexing="ij"), -1).reshape(-1, 3)
    points = box.geometry.points_of((voxels[:, None] + inner).reshape(-1, 3))
    weights = np.full(len(points), geometry.voxel_ml * 1000.0 / len(inner))
    rim = np.argwhere(box.array & ~ndimage.binary_erosion(box.array))
    size = float((spacing / factor).max())
    return Samples(
        points, weights, box.geometry.points_of(rim), size, f"voxels as cubes, {size:.2f} mm samples"
    )


def _sample_voxels(mask, geometry, step):
    """Voxel centres, joined to blocks where there are far more than needed."""
    box = cut_out(mask, geometry, 0.0)
    factor = np.maximum(1, np.floor(step / np.asarray(geometry.spacing_kji_mm))).astype(int)
    pad = [(0, int(-n % f)) for n, f in zip(box.array.shape, factor, strict=True)]
    array = np.pad(box.array, pad).astype(np.float32)
    blocks = array.reshape([m for n, f in zip(array.shape, factor, strict=True) for m in (n // f, f)])
    share = blocks.mean(axis=(1, 3, 5))
    kept = np.argwhere(share > 0)
    index = kept * factor + (factor - 1) / 2.0
    rim = box.array & ~ndimage.binary_erosion(box.array)
    surface = box.geometry.points_of(np.argwhere(rim))
    size = float(np.max(np.asarray(geometry.spacing_kji_mm) * factor))
    weights = share[tuple(kept.T)] * np.prod(factor) * geometry.voxel_ml * 1000.0
    return Samples(
        box.geometry.points_of(index), weights, surface, size, f"mask voxels, {size:.2f} mm samples"
    )


def sample_contours(contours, name="structure", slice_step_mm=None, end_caps="shape"):
    """Samples of planar contours; see :func:`sample_structure`."""
    if end_caps not in END_CAPS:
        raise InputError(
            f"'{end_caps}' is not a rule for end caps", "--end-caps", f"Use {', '.join(END_CAPS)}."
        )
    blocks, warnings = stack_planes(contours, name, slice_step_mm)
    volume_mm3 = sum(float(block.areas_mm2.sum()) * block.step_mm for block in blocks)
    if volume_mm3 < _LEAST_MM3:
        raise InputError("its contours enclose no area", name, "Draw it again.")
    step = _step_for(volume_mm3)
    points, weights = [], []
    surface = [np.asarray(one, float) for one in contours]
    for block in blocks:
        for part, weight, skin in _block_samples(block, step, end_caps):
            points.append(part)
            weights.append(weight)
            surface.append(skin)
    caps = {"shape": "caps following the shape", "half": "half-slice caps", "none": "no caps"}[end_caps]
    return Samples(
        np.concatenate(points),
        np.concatenate(weights),
        np.concatenate(surface),
        step,
        f"contours, shape-interpolated, {caps}, {step:.2f} mm samples",
        warnings,
    )


def _block_samples(block: PlaneStack, step, end_caps):
    """Points, weights and surface points of every sub-slice of an unbroken run of planes."""
    counts = _sub_counts(block, step)
    grid = block.grid(step)
    fields = [block.distance(k, grid) for k in range(len(block.heights_mm))]
    slices = list(_sub_slices(block, counts, end_caps))
    heights = [one[0] for one in slices]
    # direction of the lid, and how many parts the distance at this end has
    outermost = {int(np.argmin(heights)): (-1.0, counts[0]), int(np.argmax(heights)): (1.0, counts[-1])}
    for n, (offset, first, share, area, width) in enumerate(slices):
        values = fields[first] if share == 0.0 else (1 - share) * fields[first] + share * fields[first + 1]
        inside, shift = _match_area(values, area, step)
        kept = inside > _SMALLEST_WEIGHT
        if not kept.any():
            continue
        inward, outward = _to_centroid(values + shift, inside, step), _to_surface(values + shift, step)
        skin = block.points(grid, kept & (inside < 1), offset, outward)
        side, n_sub = outermost.get(n, (0.0, 0))
        if side and (end_caps == "half" or (end_caps == "shape" and n_sub > 1)):
            # the lid of a cap is surface, too; a cap that follows the shape ends in its middle
            depth = -(values + shift)
            lid = (inside > 0.5) & (depth >= (0.75 * depth.max() if end_caps == "shape" else 0.0))
            top = block.points(grid, lid, offset + side * width / 2, np.zeros_like(inward))
            skin = np.concatenate([skin, top])
        points = block.points(grid, kept, offset, inward)
        deep = -(values + shift)[kept] > _DEEP * max(step, width)
        points[deep] += _scatter(len(points), n)[deep] * (step, step, width) @ block.axes
        yield points, inside[kept] * step * step * width, skin
    if end_caps == "shape" and 1 in (counts[0], counts[-1]):
        yield np.zeros((0, 3)), np.zeros(0), _cap_skin(block, counts)


def _scatter(count, start):
    """Even, irregular places in the cells of a grid, -0.5 to 0.5, shape (count, 3).

    Samples in rows give a dose that falls along an axis in steps, and the curve with it.
    """
    number = np.arange(count)[:, None] + 37.0 * start
    return (number * _IRRATIONAL) % 1.0 - 0.5


def _sub_counts(block, step):
    """Into how many parts every distance between planes is cut: odd, so that a half slice is whole parts."""
    counts = np.maximum(1, np.rint(block.steps_mm / step)).astype(int)
    return counts + 1 - counts % 2


def _cap_skin(block, counts):
    """Surface points of caps that follow the shape, for structures too large to be cut between their planes."""
    points = [np.zeros((0, 3))]
    for end, inward in ((0, 1), (len(block.heights_mm) - 1, -1)):
        polygons, areas, steps = block.polygons[end], block.areas_mm2[::inward], block.steps_mm[::inward]
        if len(polygons) != 1 or areas[0] <= 0 or counts[::inward][0] > 1:
            continue
        middle = polygons[0].mean(axis=0)
        beyond = _cap_areas(areas, steps, 9, 0, "shape")
        for n, area in enumerate(beyond, start=1):
            ring = middle + np.sqrt(max(area, 0.0) / areas[0]) * (polygons[0] - middle)
            height = block.heights_mm[end] - inward * n * steps[0] / 9
            points.append(np.c_[ring, np.full(len(ring), height)] @ block.axes)
    return np.concatenate(points)


def _to_surface(values, step):
    """Moves, in voxels by axis, from the centres of voxels to the outline: values are distances in mm."""
    slopes = np.stack(np.gradient(values))
    length = np.maximum(np.sqrt((slopes**2).sum(axis=0)), 1e-6)
    return -slopes / length * np.clip(values / step, -1.0, 1.0)


def _match_area(values, area, step):
    """Coverage of pixels by a signed-distance field moved to enclose a wanted area, and the move in mm."""
    # an outline smaller than a pixel holds no pixel: start from a disc of the wanted area at its middle
    lowest = float(values.min())
    shift = 0.0 if lowest < -0.5 * step else -lowest - np.sqrt(area / np.pi)
    for _ in range(8):
        inside = np.clip(0.5 - (values + shift) / step, 0.0, 1.0)
        excess = float(inside.sum()) * step * step - area
        rim = float(np.count_nonzero((inside > 0) & (inside < 1))) * step
        if abs(excess) < 1e-4 * area or rim == 0:
            break
        shift += np.clip(excess / rim, -2 * step, 2 * step)
    return inside, shift


def _to_centroid(values, inside, step):
    """Moves, in voxels by axis, from the centre of a cut voxel to the centre of its inner part.

    A plane that leaves the share c of a voxel of width h has the middle of that part at distance c h / 2
    from it. Without this, cut voxels take their dose from outside the structure.
    """
    slopes = np.stack(np.gradient(values))
    length = np.maximum(np.sqrt((slopes**2).sum(axis=0)), 1e-6)
    depth = np.where((inside > 0) & (inside < 1), (values + 0.5 * inside * step) / step, 0.0)
    return -slopes / length * np.clip(depth, -0.5, 1.0)


def _sub_slices(block, counts, end_caps):
    """Height, lower plane, share towards the next plane, area and thickness of every sub-slice."""
    last = len(block.heights_mm) - 1
    areas, parts = block.areas_mm2, block.steps_mm / counts
    for k in range(last + 1):
        below, above = parts[max(k - 1, 0)], parts[min(k, len(parts) - 1)]
        # without caps the outermost half parts are not in the structure
        open_below, open_above = (end_caps == "none" and last > 0 and k == end for end in (0, last))
        thickness = (0.0 if open_below else below / 2) + (0.0 if open_above else above / 2)
        yield block.heights_mm[k], k, 0.0, float(areas[k]), thickness
        if k < last:
            for m in range(1, counts[k]):
                share = m / counts[k]
                area = _area_between(areas, block.heights_mm, k, share)
                yield block.heights_mm[k] + m * above, k, share, area, above
    if end_caps == "none":
        return
    for end, inward in ((0, 1), (last, -1)):
        n_sub = int(counts[::inward][0])
        beyond = _cap_areas(areas[::inward], block.steps_mm[::inward], n_sub, (n_sub - 1) // 2, end_caps)
        for m, area in enumerate(beyond, start=1):
            delta = float(parts[::inward][0])
            yield block.heights_mm[end] - inward * m * delta, end, 0.0, area, delta


def _cap_areas(areas, steps_mm, n_sub, half, end_caps):
    """Areas beyond the first plane; ``areas`` and ``steps_mm`` run inwards from it."""
    flat = [float(areas[0])] * half
    if end_caps == "half" or len(areas) < 3 or n_sub == 1:
        return flat
    # the parabola through the first three planes, in units of the first distance
    far = 1.0 + steps_mm[1] / steps_mm[0]
    near_slope, far_slope = areas[1] - areas[0], (areas[2] - areas[0]) / far
    second = (far_slope - near_slope) / (far - 1.0)
    x = np.arange(1, n_sub + 1) / n_sub
    slope = near_slope - second
    beyond = areas[0] - slope * x + second * x * x
    # a pole that lies exactly one slice farther is a pole, whatever the last digit says
    if beyond[-1] > 1e-3 * areas[0] or slope <= 0:
        return flat
    beyond = np.minimum(beyond, areas[0])
    ended = np.flatnonzero(beyond <= 0)
    return [float(a) for a in beyond[: ended[0] if len(ended) else None]]


def _area_between(areas, heights_mm, k, share):
    """Area between planes k and k + 1 by the polynomial through up to four neighbouring planes."""
    nodes = np.arange(max(k - 1, 0), min(k + 3, len(areas)))
    place = heights_mm[k] + share * (heights_mm[k + 1] - heights_mm[k])
    value = 0.0
    for node in nodes:
        others = nodes[nodes != node]
        value += areas[node] * np.prod((place - heights_mm[others]) / (heights_mm[node] - heights_mm[others]))
    pair = areas[k : k + 2]
    return float(np.clip(value, 0.85 * pair.min(), 1.25 * pair.max()))
