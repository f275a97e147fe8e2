"""Places where a click may be worth while: never lesions, only a list to step through."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from BMVascularCore.progress import share_of
from BMVascularCore.volume import Geometry, resample

_RADII_MM = (1.5, 2.5, 4.0, 6.5, 10.0)
_HALVED_FROM_MM = 4.0
# a lesion stands alone; a vessel crosses the shell around any of its places twice, which is more than this
_MOST_ON = 0.08


@dataclass(frozen=True)
class Candidate:
    """A bright blob.

    Attributes
    ----------
    point_lps_mm : tuple of 3 float
    score : float
        Contrast to noise of the blob, lessened where it is elongated; only for sorting.
    radius_mm : float
    """

    point_lps_mm: tuple
    score: float
    radius_mm: float


def find_candidates(ready, most=40, min_score=4.0, progress=None):
    """Blobs in the subtraction (T1c less T1) or in T1c, vessel-like ones rejected.

    Scale-normalised Laplacian of Gaussian at five radii (Lindeberg 1998,
    doi 10.1023/A:1008045108935); a blob must curve down along all three axes alike, and stand alone in the
    shell around it, which vessels and sheets do not.

    Parameters
    ----------
    ready : Prepared
    most : int
        Longest list.
    min_score : float
    progress : callable, optional

    Returns
    -------
    list of Candidate
        Best first.
    """
    report = share_of(progress, 0, 1)
    report(0.0, "image at 1 mm")
    image, inner, geometry = _coarse_image(ready)
    noise = 1.4826 * float(np.median(np.abs(image[inner] - np.median(image[inner])))) + 1e-6
    spots = []
    for number, radius in enumerate(_RADII_MM):
        report(0.3 + 0.7 * number / len(_RADII_MM), f"blobs of {radius:g} mm")
        if radius >= _HALVED_FROM_MM and max(geometry.spacing_mm) < 2.0:
            image, inner, geometry = _halved(image, inner, geometry)
        spots += _spots(image, inner, geometry, radius, noise, min_score)
    report(1.0, "candidates found")
    return _thinned(sorted(spots, key=lambda spot: -spot[0].score), most)


def _coarse_image(ready):
    """The image at about 1 mm, and the inside of the head more than 10 mm from its surface."""
    geometry = ready.t1c.geometry
    spacing = np.maximum(geometry.spacing_mm, 1.0)
    shape = np.maximum(1, np.floor(np.asarray(geometry.shape[::-1]) * geometry.spacing_mm / spacing)).astype(
        int
    )
    coarse = Geometry(
        tuple(int(n) for n in shape[::-1]), tuple(spacing), geometry.origin_mm, geometry.direction
    )
    if min(geometry.spacing_mm) > 0.9:
        # no finer than 1 mm: nothing to gain from another grid
        coarse, head = geometry, ready.head
        image = ready.t1c.array if ready.t1 is None else ready.t1c.array - ready.t1.array
    else:
        image = resample(ready.t1c, coarse).array
        if ready.t1 is not None:
            image = image - resample(ready.t1, coarse).array
        mask = ready.t1c.like(ready.head.astype(np.uint8))
        head = resample(mask, coarse, interpolation="nearest").array > 0
    depth = ndimage.distance_transform_edt(np.pad(head, 1, mode="edge"), sampling=coarse.spacing_kji_mm)
    return image.astype(np.float32), depth[1:-1, 1:-1, 1:-1] > 11.0, coarse


def _halved(image, inner, geometry):
    """Every other voxel, of the image smoothed before: large blobs need no more."""
    every = (slice(None, None, 2),) * 3
    smooth = ndimage.gaussian_filter(image, 0.8, truncate=2.5)[every]
    affine = geometry.affine_lps.copy()
    affine[:3, :3] *= 2.0
    return smooth, inner[every], Geometry.of_affine(affine, smooth.shape)


def _spots(image, inner, geometry, radius, noise, min_score):
    sigma_mm = radius / np.sqrt(3.0)
    sigma = [sigma_mm / s for s in geometry.spacing_kji_mm]
    smooth = ndimage.gaussian_filter(image, sigma, truncate=3.0)
    response = np.zeros_like(smooth)
    for axis, spacing in enumerate(geometry.spacing_kji_mm):
        response -= ndimage.correlate1d(smooth, [1.0, -2.0, 1.0], axis=axis) / np.float32(spacing**2)
    response *= np.float32(sigma_mm**2)
    size = [max(3, 2 * int(radius / s) + 1) for s in geometry.spacing_kji_mm]
    peak = (response == ndimage.maximum_filter(response, size)) & inner & (response > min_score * noise * 0.5)
    spots = []
    for index in np.argwhere(peak):
        shape = _roundness(image, index, geometry, sigma)
        score = float(response[tuple(index)] / noise * 2.0 * shape)
        if shape > 0.25 and score >= min_score:
            alone = _goes_on(image, index, geometry, radius) <= _MOST_ON
            spots.append((Candidate(tuple(geometry.points_of(index).tolist()), score, radius), alone))
    return spots


def _roundness(image, index, geometry, sigma):
    """Weakest over strongest curvature at a peak: 1 for a ball, 0 for a tube or a sheet."""
    reach = [int(3 * s) + 2 for s in sigma]
    box = tuple(slice(max(0, i - r), i + r + 1) for i, r in zip(index, reach, strict=True))
    at = tuple(i - b.start for i, b in zip(index, box, strict=True))
    part = image[box]
    hessian = np.empty((3, 3))
    for a in range(3):
        for b in range(a, 3):
            order = [(1 if n == a else 0) + (1 if n == b else 0) for n in range(3)]
            value = ndimage.gaussian_filter(part, sigma, order=order)[at]
            hessian[a, b] = hessian[b, a] = value / geometry.spacing_kji_mm[a] / geometry.spacing_kji_mm[b]
    curves = np.sort(-np.linalg.eigvalsh(hessian))
    return float(max(0.0, curves[0]) / curves[2]) if curves[2] > 0 else 0.0


def _goes_on(image, index, geometry, radius):
    """Share of the shell around a blob that is more than half as bright: vessels and sheets run on through it."""
    spacing = np.asarray(geometry.spacing_kji_mm)
    reach = np.ceil((2.2 * radius + 3.0) / spacing).astype(int)
    low = np.maximum(0, index - reach)
    box = tuple(slice(a, b + 1) for a, b in zip(low, index + reach, strict=True))
    part = image[box]
    places = np.indices(part.shape).transpose(1, 2, 3, 0) + low - index
    away = np.sqrt(((places * spacing) ** 2).sum(-1))
    ball = part[away <= max(0.8 * radius, 1.1)].mean()
    shell = part[(away > 1.5 * radius + 1.0) & (away < 2.2 * radius + 2.5)]
    return float((shell > (ball + np.median(shell)) / 2).mean()) if shell.size else 0.0


def _thinned(spots, most):
    """The best of each cluster, where it stands alone: a vessel's lesser places do not take its place."""
    kept = []
    for spot, alone in spots:
        near = any(
            np.linalg.norm(np.subtract(spot.point_lps_mm, k.point_lps_mm))
            < max(k.radius_mm, spot.radius_mm) + 1.0
            for k, _ in kept
        )
        if not near:
            kept.append((spot, alone))
        if len(kept) == 2 * most:
            break
    return [spot for spot, alone in kept if alone][:most]
