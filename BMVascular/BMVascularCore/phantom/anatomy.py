"""The head: brain tissue from the ICBM152 maps, everything around it from closed shapes.

The maps (ICBM 2009a nonlinear symmetric, Fonov 2011, as bundled in nilearn 0.14.1) hold grey and
white matter of a skull-stripped average; where nilearn is absent (inside Slicer), closed shapes take their
place. Skull, scalp, sinuses, vessels, eyes and air spaces are
placed in the same atlas space (RAS mm), so that they follow the individual shape of each patient.
"""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.interpolate import CubicSpline

from BMVascularCore.errors import InputError
from BMVascularCore.phantom.plain_maps import plain_maps
from BMVascularCore.phantom.sampling import sub_grid
from BMVascularCore.phantom.shapes import ellipsoid_distance_mm, filled, tube_distance_mm
from BMVascularCore.volume import Geometry

# Atlas space, RAS mm. Left and right are mirror images unless x is 0.
_ARTERIES = (
    (2.3, ((22, 6, -95), (20, 4, -62), (14, 2, -38), (11, 3, -21))),
    (1.7, ((11, 3, -21), (24, 4, -20), (37, 3, -17))),
    (1.4, ((37, 3, -17), (42, -4, -4), (41, -20, 8), (44, -36, 18))),
    (1.2, ((11, 3, -21), (3, 12, -18), (2.5, 30, -8), (2.5, 40, 12), (2.5, 26, 30), (2.5, -4, 40))),
    (1.7, ((0, -16, -60), (0, -16, -42), (0, -18, -24))),
    (1.2, ((0, -18, -24), (13, -26, -18), (25, -42, -8))),
)
_VEINS = (
    (1.3, ((2, 4, 14), (2, -20, 16), (0, -42, 12))),
    (2.2, ((0, -42, 12), (0, -62, 2), (0, -88, -12))),
)
_EYES = ((33, 62, -36), (12.5, 12.5, 12.5))
_AIR = (
    ((28, 56, -62), (13, 14, 15)),
    ((0, 58, -42), (9, 15, 12)),
    ((0, 74, -16), (13, 5, 9)),
    ((0, 30, -38), (8, 8, 6)),
    ((9, 60, -66), (4, 22, 12)),
    ((0, 18, -78), (9, 6, 30)),
    ((56, -26, -38), (7, 8, 11)),
)
_FACE = ((0, 38, -62), (58, 58, 66))
_NECK = (((0, -32, -40), (0, -38, -140)), 52.0)
_CORD = ((0, -38, -62), (0, -44, -140))
_WHOLE = (slice(None), slice(None))
_CHOROID = ((24, -40, 8), (4.5, 8.0, 6.0))


@dataclass(frozen=True)
class Individual:
    """How one head differs from the atlas.

    Attributes
    ----------
    scale : ndarray, shape (3,)
        Head size relative to the atlas.
    bend_mm, bend_phase : ndarray, shape (3, 3)
        Smooth waves added to each atlas coordinate.
    """

    scale: np.ndarray
    bend_mm: np.ndarray
    bend_phase: np.ndarray

    @classmethod
    def of_seed(cls, rng):
        """A random individual."""
        scale = np.array([0.94, 0.93, 0.95]) * (1.0 + rng.uniform(-0.02, 0.02, 3))
        return cls(scale, rng.uniform(0.6, 1.6, (3, 3)), rng.uniform(0, 2 * np.pi, (3, 3)))

    def to_atlas(self, points_lps_mm):
        """Atlas coordinates (RAS mm) of head points (LPS mm), shape (..., 3), float32."""
        points = np.asarray(points_lps_mm, dtype=np.float32)
        flip = np.array([-1.0, -1.0, 1.0], np.float32) / self.scale.astype(np.float32)
        base = points * flip
        out = base.copy()
        for axis in range(3):
            for wave in range(3):
                phase = base[..., wave] * np.float32(2 * np.pi / 130.0) + np.float32(
                    self.bend_phase[axis, wave]
                )
                out[..., axis] += np.float32(self.bend_mm[axis, wave]) * np.sin(phase)
        return out


@lru_cache(maxsize=1)
def atlas():
    """Atlas maps: those that come with nilearn, else closed shapes of our own.

    Returns
    -------
    dict of str to (ndarray, Geometry)
        "gm", "wm" (0..1) and "hull" (signed distance in mm to the closed brain, negative inside).

    Raises
    ------
    InputError
        When this nilearn lacks a map.
    """
    folder = _map_folder()
    images = plain_maps() if folder is None else _read_maps(folder)
    maps = {
        name: (
            sitk.GetArrayFromImage(images[name]).astype(np.float32) / 255.0,
            Geometry.of_sitk(images[name]),
        )
        for name in ("gm", "wm")
    }
    hull = _hull_distance_mm(images["t1"])
    maps["hull"] = (sitk.GetArrayFromImage(hull), Geometry.of_sitk(hull))
    return maps


def anatomy_source():
    """Where the brain's shape comes from, in words."""
    return "closed shapes" if _map_folder() is None else "ICBM152 tissue maps"


def _read_maps(folder):
    images = {}
    for tissue in ("gm", "wm", "t1"):
        path = folder / f"mni_icbm152_{tissue}_tal_nlin_sym_09a_converted.nii.gz"
        if not path.is_file():
            raise InputError(
                "the ICBM152 tissue maps are missing in this nilearn",
                "simulated patient",
                "Install nilearn 0.14.1.",
            )
        images[tissue] = sitk.ReadImage(str(path))
    return images


def _sample(name, points, outside):
    """Linear samples of an atlas map at atlas points (RAS mm)."""
    array, grid = atlas()[name]
    # the maps run to the left and back of LPS, that is straight along RAS
    origin = np.asarray(grid.origin_mm, np.float32) * np.array([-1, -1, 1], np.float32)
    index = [(points[..., axis] - origin[axis]) / np.float32(grid.spacing_mm[axis]) for axis in (2, 1, 0)]
    return ndimage.map_coordinates(array, index, order=1, cval=outside)


def _map_folder():
    """Folder of the maps inside nilearn, found without importing nilearn; None without nilearn."""
    spec = importlib.util.find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "datasets" / "data"


def _hull_distance_mm(brain):
    """Smooth signed distance to the brain closed over its folds, on a padded grid of 3 mm."""
    coarser = round(3.0 / brain.GetSpacing()[0])
    mask = sitk.Shrink(sitk.Cast(brain > 0, sitk.sitkUInt8), [coarser] * 3)
    mask = sitk.ConstantPad(mask, [12] * 3, [12] * 3, 0)
    closed = sitk.BinaryMorphologicalClosing(mask, [7] * 3, sitk.sitkBall)
    distance = sitk.SignedMaurerDistanceMap(closed, squaredDistance=False, useImageSpacing=True)
    return sitk.SmoothingRecursiveGaussian(sitk.Cast(distance, sitk.sitkFloat32), 2.5)


def head_fractions(geometry, pose, individual):
    """Share of each tissue in every voxel of a grid.

    Parameters
    ----------
    geometry : Geometry
        Isotropic grid in scanner coordinates.
    pose : SimpleITK.Transform
        Rigid: head coordinates to scanner coordinates, LPS mm.
    individual : Individual

    Returns
    -------
    fractions : dict of str to ndarray, shape (k, j, i), float32
        gm, wm, csf, artery, vein, choroid, dura, fat, muscle, marrow, bone, vitreous; air is the rest.
    fields : dict of str to ndarray
        "surface_mm": signed distance to the skin; "late": 0..1, how late the bolus arrives.
    """
    atlas()
    middle = geometry.shape[0] // 2
    slabs = [
        sub_grid(geometry, (part, *_WHOLE)) for part in (slice(0, middle), slice(middle, geometry.shape[0]))
    ]
    with ThreadPoolExecutor(2) as pool:
        halves = list(pool.map(lambda slab: _slab_fractions(slab, pose, individual), slabs))
    return tuple(
        {name: np.concatenate([half[index].pop(name) for half in halves]) for name in list(halves[0][index])}
        for index in range(2)
    )


def _slab_fractions(geometry, pose, individual):
    """Shares and fields of a slab of the grid: every voxel stands for itself."""
    points = individual.to_atlas(_head_points(geometry, pose))
    gm, wm, hull = _sample("gm", points, 0.0), _sample("wm", points, 0.0), _sample("hull", points, 60.0)
    painter = _Painter(points, geometry.spacing_mm[0])
    surface = painter.surface_mm(hull)
    fractions = _layers(painter, hull, surface, gm, wm)
    late = 0.5 + 0.5 * np.tanh((np.abs(points[..., 0]) * 0.4 - points[..., 1] - 15.0) / 45.0)
    return fractions, {"surface_mm": surface, "late": late.astype(np.float32)}


def _head_points(geometry, pose):
    """Head coordinates of every voxel, shape (k, j, i, 3), float32."""
    inverse = pose.GetInverse()
    corner = np.array(inverse.TransformPoint(geometry.points_of((0, 0, 0)).tolist()), np.float32)
    steps = [
        np.array(inverse.TransformPoint(geometry.points_of(unit).tolist()), np.float32) - corner
        for unit in np.eye(3)
    ]
    k, j, i = (np.arange(n, dtype=np.float32)[:, None] for n in geometry.shape)
    plane = (j * steps[1])[:, None] + (i * steps[2])[None]
    return corner + (k * steps[0])[:, None, None] + plane[None]


class _Painter:
    """Shapes in atlas space turned into voxel shares."""

    def __init__(self, points, voxel_mm):
        self.points = points
        self.voxel_mm = voxel_mm

    def box(self, low, high):
        """Slices that hold every voxel inside a box of atlas space (found on every fourth voxel)."""
        coarse = self.points[::4, ::4, ::4]
        inside = np.all((coarse > np.asarray(low) - 6.0) & (coarse < np.asarray(high) + 6.0), axis=-1)
        parts = []
        for axis in range(3):
            used = np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis})))
            parts.append(slice(4 * max(used[0] - 1, 0), 4 * (used[-1] + 2)) if len(used) else slice(0, 0))
        return tuple(parts)

    def _add(self, out, distance_of, low, high, grow_mm):
        box = self.box(np.asarray(low) - grow_mm, np.asarray(high) + grow_mm)
        points = self.points[box]
        distance = distance_of(points.reshape(-1, 3)).reshape(points.shape[:3])
        np.maximum(out[box], filled(distance - grow_mm, self.voxel_mm), out=out[box])

    def ellipsoids(self, shapes, grow_mm=0.0):
        """Share of ellipsoids and their mirror images."""
        out = np.zeros(self.points.shape[:3], np.float32)
        for centre, radii in _mirrored(shapes):
            low, high = np.subtract(centre, radii), np.add(centre, radii)
            self._add(out, lambda p, c=centre, r=radii: ellipsoid_distance_mm(p, c, r), low, high, grow_mm)
        return out

    def tubes(self, shapes):
        """Share of tubes (radius, path) and their mirror images."""
        out = np.zeros(self.points.shape[:3], np.float32)
        for path, radius in _mirrored([(_smooth_path(path), radius) for radius, path in shapes]):
            low, high = np.min(path, axis=0), np.max(path, axis=0)
            self._add(out, lambda p, q=path: tube_distance_mm(p, q), low, high, radius)
        return out

    def surface_mm(self, hull):
        """Signed distance to the skin (negative inside), about right near the surface."""
        surface = hull - 14.0
        below = self.box((-200, -200, -300), (200, 200, 15))
        points = self.points[below].reshape(-1, 3)
        face = ellipsoid_distance_mm(points, *_FACE)
        neck = tube_distance_mm(points, _NECK[0]) - _NECK[1]
        lower = _smooth_min(_smooth_min(surface[below].reshape(-1), face), neck)
        surface[below] = lower.reshape(surface[below].shape)
        return surface


def _smooth_min(a, b, width=8.0):
    """Minimum of two distances without a crease."""
    mix = np.clip(0.5 + 0.5 * (b - a) / width, 0.0, 1.0)
    return b + (a - b) * mix - width * mix * (1.0 - mix)


def _smooth_path(path):
    """Curve through the points of a path, as a fine polyline."""
    path = np.asarray(path, float)
    at = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))]
    if len(path) < 3:
        return path
    return CubicSpline(at, path)(np.linspace(0.0, at[-1], 4 * len(path)))


def _mirrored(shapes):
    """Each shape and, unless it lies in the midline, its mirror image."""
    for place, size in shapes:
        place = np.asarray(place, float)
        yield place, size
        if np.abs(place[..., 0]).max() > 0:
            yield place * (-1, 1, 1), size


def _layers(painter, hull, surface, gm, wm):
    """Tissue shares from the inside outwards; what is named first takes the voxel first."""
    voxel = painter.voxel_mm
    x, y, z = (painter.points[..., axis] for axis in range(3))
    cord = _cord_distance(painter)
    inside = np.maximum(filled(hull - 2.0, voxel), filled(cord - 8.0, voxel))
    head = filled(surface, voxel)
    wm = np.maximum(wm, filled(cord - 5.0, voxel) * (z < -66))
    stack = _Stack(hull.shape)
    air = painter.ellipsoids(_AIR) * (1.0 - inside) * head
    stack.put("air", air)
    stack.put("artery", painter.tubes(_ARTERIES) * head)
    stack.put("vein", _sinuses(painter, hull, x, y, z))
    fluid = np.clip(1.0 - gm - wm, 0.0, 1.0) * inside
    stack.put("choroid", painter.ellipsoids([_CHOROID]) * fluid * 0.8)
    stack.put("dura", filled(np.abs(x) - 0.7, voxel) * fluid * (hull < 1) * (z > 8) * _beside_callosum(y, z))
    stack.put("gm", gm * inside)
    stack.put("wm", wm * inside)
    stack.put("csf", inside)
    stack.put("vitreous", painter.ellipsoids([_EYES]) * head)
    stack.put("dura", filled(hull - 2.9, voxel) * (z > -60))
    _bone(painter, stack, hull, cord, air, head)
    orbit = painter.ellipsoids([_EYES], grow_mm=7.0) * (y < 60)
    # the temporal and neck muscles replace the fat under the scalp low on the sides and back
    temporal = np.clip((14.0 - z) / 12.0, 0.0, 1.0) * np.clip((52.0 - y) / 12.0, 0.0, 1.0) * (hull > 8)
    under_skin = filled(surface + 2.2, voxel) * (1.0 - 0.85 * temporal) * (z > -62)
    cheek = (filled(surface + 2.2, voxel) - filled(surface + 7.0, voxel)) * (z < 0)
    stack.put("fat", np.maximum(np.maximum(orbit, under_skin * (hull < 14)), cheek) * head)
    stack.put("muscle", head)
    return stack.shares


def _cord_distance(painter):
    """Distance to the axis of the spinal cord, large away from it."""
    distance = np.full(painter.points.shape[:3], 60.0, np.float32)
    box = painter.box((-40, -80, -300), (40, 0, -50))
    points = painter.points[box]
    distance[box] = tube_distance_mm(points.reshape(-1, 3), _CORD).reshape(points.shape[:3])
    return distance


def _beside_callosum(y, z):
    """Where the falx is: in front of, behind and above the corpus callosum."""
    return (y > 38) | (y < -50) | (z > 45)


def _sinuses(painter, hull, x, y, z):
    """Superior sagittal and transverse sinuses along the inner table, and the deep veins."""
    radial = (hull - 1.0) / 3.6
    sagittal = (np.sqrt((x / 4.2) ** 2 + radial**2) - 1.0) * 3.8
    sagittal = np.where((z > -8) & ((y < 0) | (z > 20)), sagittal, 9.0)
    # it tapers towards the sigmoid bend
    taper = np.clip((-42.0 - y) / 20.0, 0.0, 1.0)
    transverse = (np.sqrt(((z + 14.0) / 4.0) ** 2 + radial**2) - taper) * 3.6
    transverse = np.where((y < -42) & (np.abs(x) > 2), transverse, 9.0)
    large = filled(np.minimum(sagittal, transverse), painter.voxel_mm)
    return np.maximum(large, painter.tubes(_VEINS))


def _bone(painter, stack, hull, cord, air, head):
    """Two tables with marrow between; thin bone around air spaces and orbits; a spine around the cord."""
    voxel = painter.voxel_mm
    z = painter.points[..., 2]
    calvaria = (
        (filled(hull - 9.0, voxel) - filled(hull - 2.9, voxel)) * (1.0 - filled(cord - 9.0, voxel)) * head
    )
    calvaria *= np.where(z < -35, filled(hull - 7.0, voxel), 1.0)
    diploe = (filled(hull - 7.4, voxel) - filled(hull - 4.4, voxel)) * (z > -30)
    thin = painter.ellipsoids(_AIR, grow_mm=1.6) + painter.ellipsoids([_EYES], grow_mm=8.2)
    thin -= air + painter.ellipsoids([_EYES], grow_mm=7.0)
    front = painter.points[..., 1] < 66
    face = np.clip(thin, 0, 1) * head * (z > -82) * (hull > 2) * front
    spine = (filled(cord - 19.0, voxel) - filled(cord - 9.0, voxel)) * (z < -70) * head
    stack.put("marrow", np.maximum(diploe * calvaria, spine * filled(cord - 16.5, voxel) * 0.8))
    stack.put("bone", np.maximum(np.maximum(calvaria, face), spine))


class _Stack:
    """Shares that never sum to more than 1: each tissue takes what is left."""

    def __init__(self, shape):
        self.left = np.ones(shape, np.float32)
        self.shares = {}

    def put(self, name, share):
        take = np.minimum(share, self.left)
        self.left -= take
        if name == "air":
            return
        if name in self.shares:
            self.shares[name] += take
        else:
            self.shares[name] = take.astype(np.float32)
