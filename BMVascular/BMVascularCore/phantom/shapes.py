"""Shapes as functions of position: lesions, tubes and ellipsoids, with the share of each voxel they fill."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class StarShape:
    """Body around a centre whose radius depends on direction, with a volume known beforehand.

    Attributes
    ----------
    centre_mm : ndarray, shape (3,)
    diameter_mm : float
        Of the sphere with the same volume.
    wave_vectors : ndarray, shape (m, 3)
    phases, amplitudes : ndarray, shape (m,)
        ``r(u) = scale (1 + sum a_m sin(w_m . u + p_m))`` for a unit vector u.
    scale_mm : float
        Set by :func:`star_shape` so that the volume is that of the sphere.
    """

    centre_mm: np.ndarray
    diameter_mm: float
    wave_vectors: np.ndarray
    phases: np.ndarray
    amplitudes: np.ndarray
    scale_mm: float

    @property
    def volume_ml(self):
        """Volume in mL."""
        return float(np.pi / 6.0 * self.diameter_mm**3 / 1000.0)

    @property
    def reach_mm(self):
        """No point of the body is farther from the centre."""
        return self.scale_mm * float(1.0 + np.abs(self.amplitudes).sum())

    def radius_mm(self, directions):
        """Radius along unit vectors, shape (..., 3) to (...)."""
        ripple = np.ones(directions.shape[:-1], dtype=np.float32)
        for wave, phase, amplitude in zip(self.wave_vectors, self.phases, self.amplitudes, strict=True):
            ripple += np.float32(amplitude) * np.sin(directions @ wave.astype(np.float32) + np.float32(phase))
        return self.scale_mm * ripple

    def level(self, points_mm):
        """Distance from the centre and radius in that direction, both in mm, for points (..., 3)."""
        offset = points_mm.astype(np.float32) - self.centre_mm.astype(np.float32)
        distance = np.sqrt(np.einsum("...i,...i->...", offset, offset))
        return distance, self.radius_mm(offset / np.maximum(distance, 1e-3)[..., None])


def unit_sphere(n):
    """Evenly spread unit vectors (golden-angle spiral), shape (n, 3)."""
    index = np.arange(n) + 0.5
    z = 1.0 - 2.0 * index / n
    angle = np.pi * (1.0 + np.sqrt(5.0)) * index
    flat = np.sqrt(1.0 - z * z)
    return np.stack([flat * np.cos(angle), flat * np.sin(angle), z], axis=-1)


def star_shape(centre_mm, diameter_mm, irregularity, rng):
    """Random star-shaped body with the volume of a sphere.

    Parameters
    ----------
    centre_mm : array_like, shape (3,)
    diameter_mm : float
    irregularity : float
        Size of the fine ripples relative to the radius; about 0.02 is smooth, 0.15 infiltrative.
    rng : numpy.random.Generator

    Returns
    -------
    StarShape
    """
    coarse, fine = 3, 7
    waves = rng.standard_normal((coarse + fine, 3))
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    waves *= np.r_[rng.uniform(1.2, 2.2, coarse), rng.uniform(5.0, 9.0, fine)][:, None]
    amplitudes = np.r_[np.full(coarse, 0.05), np.full(fine, irregularity * np.sqrt(2.0 / fine))]
    phases = rng.uniform(0, 2 * np.pi, coarse + fine)
    shape = StarShape(np.asarray(centre_mm, float), float(diameter_mm), waves, phases, amplitudes, 1.0)
    mean_cube = float((shape.radius_mm(unit_sphere(8000)) ** 3).mean())
    scale = diameter_mm / 2.0 / mean_cube ** (1.0 / 3.0)
    return StarShape(shape.centre_mm, shape.diameter_mm, waves, phases, amplitudes, scale)


def box_around(geometry, centre_mm, reach_mm):
    """Slices (k, j, i) of a grid that hold a ball, clipped to the grid."""
    offsets = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T * reach_mm
    index = geometry.index_of(np.asarray(centre_mm) + offsets)
    low = np.maximum(np.floor(index.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 2, geometry.shape)
    return tuple(slice(int(a), int(max(b, a))) for a, b in zip(low, high, strict=True))


def voxel_points(geometry, box, factor):
    """Points inside the voxels of a box, ``factor`` along each axis.

    Returns
    -------
    ndarray, shape (k * factor, j * factor, i * factor, 3)
        LPS mm, float32.
    """
    axes = [(np.arange((part.stop - part.start) * factor) + 0.5) / factor - 0.5 + part.start for part in box]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return geometry.points_of(index).astype(np.float32)


def block_mean(array, factors):
    """Mean over blocks of ``factors`` (k, j, i) samples; float32."""
    a, b, c = factors
    k, j, i = array.shape
    blocks = np.asarray(array, dtype=np.float32).reshape(k // a, a, j // b, b, i // c, c)
    return blocks.mean(axis=(1, 3, 5), dtype=np.float32)


def tube_distance_mm(points_mm, path_mm):
    """Distance from points (n, 3) to a line through the points of a path (m, 3)."""
    nearest = np.full(len(points_mm), np.inf, dtype=np.float32)
    path = np.asarray(path_mm, dtype=np.float32)
    for start, stop in pairwise(path):
        along = stop - start
        share = np.clip(((points_mm - start) @ along) / (along @ along), 0.0, 1.0)
        offset = points_mm - start - share[:, None] * along
        np.minimum(nearest, np.sqrt(np.einsum("ni,ni->n", offset, offset)), out=nearest)
    return nearest


def ellipsoid_distance_mm(points_mm, centre_mm, radii_mm):
    """Approximate signed distance (negative inside) from points (n, 3) to an ellipsoid."""
    scaled = (points_mm - np.asarray(centre_mm, np.float32)) / np.asarray(radii_mm, np.float32)
    level = np.sqrt(np.einsum("ni,ni->n", scaled, scaled))
    return (level - 1.0) * np.float32(min(radii_mm))


def filled(distance_mm, voxel_mm):
    """Share of a voxel below a surface at signed distance ``distance_mm`` (negative inside)."""
    return np.clip(0.5 - distance_mm / np.float32(voxel_mm), 0.0, 1.0).astype(np.float32)
