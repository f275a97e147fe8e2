"""Brain tissue from closed shapes, for machines without the ICBM152 maps.

Coarser than the atlas and without individual gyri, but of the right size: two hemispheres with a folded
cortical ribbon, ventricles, deep grey matter, cerebellum and brain stem. Atlas space, RAS mm.
"""

import numpy as np
import SimpleITK as sitk

from BMVascularCore.phantom.shapes import ellipsoid_distance_mm, filled, tube_distance_mm

_STEP_MM = 1.5
_LOW, _HIGH = (-78.0, -112.0, -72.0), (78.0, 76.0, 84.0)
_CEREBRUM = ((0.0, -17.0, 10.0), (68.0, 86.0, 66.0))
_CEREBELLUM = ((0.0, -64.0, -36.0), (50.0, 33.0, 24.0))
_STEM = (((0.0, -22.0, -12.0), (0.0, -30.0, -36.0), (0.0, -38.0, -66.0)), 11.0)
_VENTRICLES = (
    ((11.0, -12.0, 17.0), (5.5, 30.0, 7.0)),
    ((22.0, -42.0, 8.0), (6.0, 16.0, 8.0)),
    ((0.0, -12.0, 4.0), (2.5, 14.0, 10.0)),
    ((0.0, -46.0, -32.0), (6.0, 7.0, 12.0)),
)
_DEEP_GREY = (
    ((11.0, -19.0, 8.0), (8.0, 14.0, 9.0)),
    ((25.0, 2.0, 2.0), (6.0, 16.0, 10.0)),
    ((13.0, 12.0, 10.0), (5.0, 12.0, 9.0)),
)
_CORTEX_MM = 6.5
_FOLD_MM = 8.0


def plain_maps():
    """Grey and white matter and the brain's outline.

    Returns
    -------
    dict of str to SimpleITK.Image
        "gm", "wm" (0..255) and "t1" (above 0 inside the brain), as the atlas files hold them.
    """
    points = _grid()
    cerebrum = np.maximum(_ellipsoid(points, _CEREBRUM), _floor(points))
    cerebellum = _ellipsoid(points, _CEREBELLUM)
    path, radius = _STEM
    stem = tube_distance_mm(points.reshape(-1, 3), np.array(path)).reshape(points.shape[:3]) - radius
    outline = np.minimum(np.minimum(cerebrum, cerebellum), stem)
    grey, white = _tissue(points, cerebrum, cerebellum, stem)
    return {
        "gm": _image(255.0 * grey),
        "wm": _image(255.0 * white),
        "t1": _image((outline < 0).astype(np.float32)),
    }


def _grid():
    axes = [np.arange(low, high + 1e-6, _STEP_MM, np.float32) for low, high in zip(_LOW, _HIGH, strict=True)]
    z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
    return np.stack([x, y, z], axis=-1)


def _ellipsoid(points, shape, side=1):
    (x, y, z), radii = shape
    flat = ellipsoid_distance_mm(points.reshape(-1, 3), np.array((side * x, y, z)), np.array(radii))
    return flat.reshape(points.shape[:3])


def _floor(points):
    """Distance to the base of the cerebrum: frontal and middle fossa, then the tentorium."""
    y, z = points[..., 1], points[..., 2]
    base = np.where(y > 20, -26.0, np.where(y > -25, -46.0, -46.0 + 0.75 * (-25.0 - y)))
    return base - z


def _tissue(points, cerebrum, cerebellum, stem):
    """Shares of grey and white matter."""
    x, y, z = (points[..., axis] for axis in range(3))
    folds = np.sin(x / 3.1 + 0.9 * np.sin(y / 13.0)) * np.sin(y / 3.4 + 0.8 * np.sin(z / 11.0))
    folds = folds + np.sin(z / 3.2 + np.sin(x / 12.0) + np.sin(y / 14.0))
    # fissures run into the cortex from outside; the ribbon follows them
    depth = np.clip(1.0 + (cerebrum + 4.0) / 16.0, 0.0, 1.0)
    surface = cerebrum + 1.0 + _FOLD_MM * np.clip(folds - 0.1, 0.0, 1.0) * depth
    # the hemispheres part in the midline, save at the corpus callosum and below
    parted = (y > 32) | (y < -46) | (z > 30)
    surface = np.maximum(surface, np.where(parted, 1.4 - np.abs(x), -60.0))
    brain, inner = filled(surface, _STEP_MM), filled(surface + _CORTEX_MM, _STEP_MM)
    leaves = 0.5 + 0.5 * np.sin(z / 1.6 + y / 9.0)
    little = filled(cerebellum + 1.0, _STEP_MM)
    arbor = filled(cerebellum + 12.0, _STEP_MM) + 0.4 * leaves * filled(cerebellum + 4.0, _STEP_MM)
    white = np.maximum(inner, little * np.clip(arbor, 0.0, 1.0))
    white = np.maximum(white, filled(stem + 1.0, _STEP_MM))
    grey = np.clip(np.maximum(brain, little) - white, 0.0, 1.0)
    for shape in _DEEP_GREY:
        share = np.maximum(*(filled(_ellipsoid(points, shape, side), _STEP_MM) for side in (1, -1))) * white
        grey, white = grey + share, white - share
    fluid = np.zeros_like(white)
    for shape in _VENTRICLES:
        for side in (1, -1):
            fluid = np.maximum(fluid, filled(_ellipsoid(points, shape, side), _STEP_MM))
    return grey * (1.0 - fluid), white * (1.0 - fluid)


def _image(array):
    """An image whose axes run to the left and back of LPS, as those of the atlas files do."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array, np.float32))
    image.SetSpacing([_STEP_MM] * 3)
    image.SetOrigin([-_LOW[0], -_LOW[1], _LOW[2]])
    image.SetDirection([-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0])
    return image
