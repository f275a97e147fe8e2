"""A head of noise with balls of light, for tests that read lesions in a scene: quick to prepare."""

import numpy as np

from BMVascularCore.volume import Geometry, Volume, ras_lps

SHAPE = (48, 60, 52)
# (k, j, i) and radius in voxels of 2 mm; the last two touch
BALLS = (((24, 22, 30), 3.0), ((30, 40, 20), 4.0), ((30, 40, 28), 4.0))


def head(name="T1c"):
    """The T1c: an ellipsoid of 100, balls of 220, noise of 2."""
    k, j, i = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    array = np.where(((k - 24) / 20) ** 2 + ((j - 30) / 26) ** 2 + ((i - 26) / 22) ** 2 <= 1, 100.0, 2.0)
    for (a, b, c), radius in BALLS:
        array += 120.0 * ((k - a) ** 2 + (j - b) ** 2 + (i - c) ** 2 <= radius**2)
    array += np.random.default_rng(3).normal(0, 2, SHAPE)
    return Volume(array.astype(np.float32), Geometry(SHAPE, (2.0, 2.0, 2.0), (-50.0, -60.0, -40.0)), name)


def place_of(ball):
    """Middle of a ball, RAS mm."""
    return ras_lps(head().geometry.points_of(BALLS[ball][0]))


def reading_of(scene, node):
    """The reading of an image node, first time point."""
    from BMVascularLib.lesionReading import LesionReading

    reading = LesionReading(scene, "TP1", {"T1c": node})
    reading.begin()
    return reading


def truth_ml(ball):
    """Volume of a ball as its voxels hold it."""
    radius = BALLS[ball][1]
    k, j, i = np.ogrid[-6:7, -6:7, -6:7]
    return float((k**2 + j**2 + i**2 <= radius**2).sum()) * 0.008
