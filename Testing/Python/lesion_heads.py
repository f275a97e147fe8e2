"""Small synthetic heads with known lesions, for the tests and benchmarks of lesion segmentation."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from BMVascularCore.volume import Geometry, Volume


@dataclass(frozen=True)
class Shape:
    """An ellipsoidal lesion, with a core and a lobe where wanted."""

    centre_mm: tuple
    radii_mm: tuple
    enhancement: float = 0.9
    core: float = 0.0
    oedema_mm: float = 0.0
    tilt_deg: float = 0.0

    def inside(self, points, scale=1.0, grow_mm=0.0):
        """Signed test: True where points (…, 3; xyz mm) lie inside the scaled ellipsoid."""
        turn = np.deg2rad(self.tilt_deg)
        matrix = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1.0]])
        local = (points - np.asarray(self.centre_mm)) @ matrix.T
        return ((local / (np.asarray(self.radii_mm) * scale + grow_mm)) ** 2).sum(-1) <= 1.0


@dataclass
class Head:
    """Images and truth on one grid."""

    t1c: Volume
    t1: Volume
    flair: Volume
    truth: np.ndarray
    fractions: list
    shapes: list


def grid(shape, spacing_mm, direction=None):
    """Geometry centred on 0 with array shape (k, j, i) and spacing (x, y, z)."""
    direction = np.eye(3) if direction is None else np.asarray(direction)
    spacing = np.asarray(spacing_mm, dtype=float)
    origin = -direction @ (spacing * (np.asarray(shape[::-1]) - 1) / 2)
    return Geometry(tuple(shape), tuple(spacing), tuple(origin), tuple(direction.ravel()))


def lesion_fraction(shape, geometry, scale=1.0, grow_mm=0.0, factor=4):
    """Share of each voxel in the ellipsoid, from factor^3 points a voxel."""
    reach = max(shape.radii_mm) * scale + grow_mm + 2 * max(geometry.spacing_mm)
    centre = geometry.index_of(shape.centre_mm)
    pad = np.ceil(reach / np.asarray(geometry.spacing_kji_mm)) + 1
    low = np.maximum(0, np.floor(centre - pad)).astype(int)
    high = np.minimum(np.asarray(geometry.shape), np.ceil(centre + pad).astype(int) + 1)
    offset = (np.arange(factor) + 0.5) / factor - 0.5
    axes = [(np.arange(a, b)[:, None] + offset).ravel() for a, b in zip(low, high, strict=True)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    inside = shape.inside(geometry.points_of(index), scale, grow_mm)
    n = high - low
    out = np.zeros(geometry.shape, dtype=np.float32)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    out[box] = inside.reshape(n[0], factor, n[1], factor, n[2], factor).mean(axis=(1, 3, 5))
    return out


def labels_of(geometry, *shapes):
    """Label image of some shapes, numbered as they come."""
    array = np.zeros(geometry.shape, np.int32)
    for number, shape in enumerate(shapes, start=1):
        array[lesion_fraction(shape, geometry) >= 0.5] = number
    return Volume(array, geometry, "labels")


def make_head(
    shapes, geometry, seed=0, noise=0.03, shading=0.25, scale=400.0, vessels=True, head_mm=(70, 80, 65)
):
    """A head with scalp, skull, cortex folds, ventricles, vessels, dura and lesions.

    Intensities are relative to white matter = 1 on T1c, times ``scale``.
    """
    rng = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in geometry.shape], indexing="ij"), -1)
    points = geometry.points_of(index)
    rho = np.sqrt(((points / np.asarray(head_mm)) ** 2).sum(-1))
    depth = (1.0 - rho) * min(head_mm)
    folds = _smooth_noise(rng, geometry, 4.0)
    t1 = np.where(folds > 0.25, 0.82, 1.0).astype(np.float32)
    t1[(folds > 0.9) & (depth < 22)] = 0.45
    ventricle = ((points / np.array([9, 24, 9])) ** 2).sum(-1) < 1
    t1[ventricle] = 0.4
    t1c = t1 * 1.03
    dura = (depth > 9.0) & (depth < 10.2)
    t1c[dura], t1[dura] = 1.5, 0.9
    skull = (depth > 4.5) & (depth <= 9.0)
    t1c[skull], t1[skull] = 0.15, 0.15
    scalp = (depth > 0) & (depth <= 4.5)
    t1c[scalp], t1[scalp] = 1.7, 1.6
    t1c[depth <= 0] = t1[depth <= 0] = 0.0
    flair = np.where(ventricle, 0.3, 1.0).astype(np.float32) * (t1 > 0)
    if vessels:
        t1c = _with_vessels(t1c, points, depth, rng)
    fractions, truth, best = [], np.zeros(geometry.shape, np.int32), np.full(geometry.shape, 0.5, np.float32)
    for number, shape in enumerate(shapes, start=1):
        part = lesion_fraction(shape, geometry)
        height = part * (1.0 + shape.enhancement)
        hole = lesion_fraction(shape, geometry, shape.core) if shape.core else 0.0 * part
        height = height - hole * (1.0 + shape.enhancement - 0.55)
        t1c = t1c * (1 - part) + height
        t1 = t1 * (1 - part) + part * 0.85
        if shape.oedema_mm:
            swollen = lesion_fraction(shape, geometry, grow_mm=shape.oedema_mm)
            flair = flair * (1 - swollen) + 1.8 * swollen
        take = part >= best
        truth[take] = number
        best[take] = part[take]
        fractions.append(part)
    bias = 1.0 + shading * np.clip((points @ _unit(rng)) / 80.0, -1, 1)
    volumes = [
        Volume(_rician(image * bias * scale, noise * scale, rng), geometry, name)
        for name, image in (("t1c", t1c), ("t1", t1), ("flair", flair))
    ]
    return Head(*volumes, truth, fractions, list(shapes))


def _unit(rng):
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def _smooth_noise(rng, geometry, sigma_mm):
    noise = rng.normal(size=geometry.shape).astype(np.float32)
    noise = ndimage.gaussian_filter(noise, [sigma_mm / s for s in geometry.spacing_kji_mm])
    return noise / noise.std()


def _with_vessels(image, points, depth, rng, count=6):
    out = image.copy()
    for _ in range(count):
        start, along = rng.uniform(-45, 45, 3), _unit(rng)
        away = points - start
        t = away @ along
        radius = rng.uniform(0.6, 1.4)
        bend = 4.0 * np.sin(t / 12.0)[..., None] * np.cross(along, _unit(rng))
        distance = np.linalg.norm(away - t[..., None] * along - bend, axis=-1)
        share = np.clip(radius - distance + 0.5, 0, 1) * (np.abs(t) < 25) * (depth > 10)
        out = out * (1 - share) + 2.0 * share
    return out


def _rician(image, sigma, rng):
    real = image + rng.normal(scale=sigma, size=image.shape)
    return np.sqrt(real**2 + rng.normal(scale=sigma, size=image.shape) ** 2).astype(np.float32)


def dice(one, two):
    """Dice overlap of two masks."""
    return 2.0 * (one & two).sum() / max(1, one.sum() + two.sum())
