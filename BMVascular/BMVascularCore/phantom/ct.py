"""Planning CT: the head in another place, in a mask on a head rest and couch."""

import numpy as np
import SimpleITK as sitk

from BMVascularCore.phantom.static import compose
from BMVascularCore.volume import Geometry, Volume, resample

AIR_HU = -1000.0


def ct_transform(centre_mm, rng):
    """Rigid transform from CT points to T1c points, LPS mm: a few degrees, and another origin."""
    angles = np.deg2rad(np.array([4.0, -3.0, 5.5]) + rng.uniform(-1.5, 1.5, 3))
    transform = sitk.Euler3DTransform()
    transform.SetCenter(np.add(centre_mm, (0.0, 40.0, -850.0)).tolist())
    transform.SetRotation(*angles.tolist())
    transform.SetTranslation((np.array([6.0, -40.0, 850.0]) + rng.uniform(-8, 8, 3)).tolist())
    return transform


def planning_ct(model, transform, centre_mm, spacing_mm, rng):
    """CT of the head with mask, head rest and couch.

    Parameters
    ----------
    model : HeadModel
    transform : SimpleITK.Transform
        CT points to T1c points.
    centre_mm : array_like, shape (3,)
        Middle of the head in T1c coordinates.
    spacing_mm : tuple of float
        (x, y, z).
    rng : numpy.random.Generator

    Returns
    -------
    Volume
        HU, int16.
    """
    centre = np.array(transform.GetInverse().TransformPoint(np.asarray(centre_mm, float).tolist()))
    extent = np.array([252.0, 270.0, 206.0])
    counts = np.round(extent / spacing_mm).astype(int)
    origin = np.add(centre, (0.0, 16.0, 0.0)) - (counts - 1) * np.asarray(spacing_mm) / 2.0
    geometry = Geometry(tuple(int(n) for n in counts[::-1]), tuple(spacing_mm), tuple(origin.tolist()))
    source = Volume(compose(model, lambda tissue: tissue.hu - AIR_HU), model.geometry)
    hu = resample(source, geometry, transform).array + np.float32(AIR_HU)
    skin = resample(Volume(model.surface_mm, model.geometry), geometry, transform, outside=60.0).array
    _add_devices(hu, skin, geometry, centre)
    _add_noise(hu, rng)
    return Volume(
        np.clip(np.rint(hu), -1024, 3000).astype(np.int16), geometry, "CT", {"modality": "CT", "units": "HU"}
    )


def _add_devices(hu, skin, geometry, centre):
    """Thermoplastic mask over the face, foam head rest with a hard shell, carbon couch."""
    k, j, i = geometry.shape
    x = (geometry.origin_mm[0] + np.arange(i) * geometry.spacing_mm[0] - centre[0])[None, None, :]
    y = (geometry.origin_mm[1] + np.arange(j) * geometry.spacing_mm[1] - centre[1])[None, :, None]
    z = (geometry.origin_mm[2] + np.arange(k) * geometry.spacing_mm[2] - centre[2])[:, None, None]
    outside = skin > 0.8
    holes = (np.sin(0.9 * (x + 0.4 * z)) + np.sin(0.9 * (z - 0.4 * x))) > 1.1
    mask = outside & (skin > 1.6) & (skin < 4.0) & (y < 35.0) & ~holes
    hu[mask] = np.maximum(hu[mask], 30.0)
    trough = 96.0 - 0.0045 * x**2
    shell = outside & (y > trough + 22.0) & (y < trough + 25.0) & (np.abs(x) < 75.0)
    foam = outside & (y > trough) & (y <= trough + 22.0) & (np.abs(x) < 75.0)
    hu[foam] = np.maximum(hu[foam], -920.0)
    hu[shell] = np.maximum(hu[shell], 120.0)
    couch = outside & (np.abs(x) < 118.0) & (y > 124.0) & (y < 146.0)
    plates = couch & ((y < 126.5) | (y > 143.5))
    hu[couch] = np.maximum(hu[couch], -960.0)
    hu[plates] = np.maximum(hu[plates], -150.0)


def _add_noise(hu, rng):
    """Gaussian noise of about 12 HU with a little correlation along rows, as reconstruction leaves."""
    for plane in hu:
        noise = rng.standard_normal(plane.shape, dtype=np.float32) * np.float32(12.0)
        noise[:, 1:] += np.float32(0.4) * noise[:, :-1]
        plane += noise
