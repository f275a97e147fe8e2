"""Where the lesions of a reading lie, as further clicks change what is known of the head."""

import numpy as np
import pytest
from lesion_heads import Shape, grid, lesion_fraction, make_head

from BMVascularCore.lesions import prepare

pytest.importorskip("slicer")
from BMVascularLib.lesionSession import LesionSession

# LPS mm: a lesion beside a dark core, both far from the ventricles (an ellipsoid of these radii in the middle)
LESION, CORE = Shape((-34, 0, 24), (4, 4, 4)), Shape((-34, 0, 6), (9, 9, 9))
VENTRICLE_MM = (9.0, 24.0, 9.0)


@pytest.fixture(scope="module")
def head():
    return make_head([LESION], grid((90, 110, 96), (1.6, 1.6, 1.6)), seed=5)


def drawn(session, key, shape):
    """A lesion drawn by hand; the session's measures follow."""
    mask = lesion_fraction(shape, session.labels.geometry) >= 0.5
    places = np.argwhere(mask)
    low, high = places.min(0), places.max(0) + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    session.draw(key, key, mask[box], tuple(low.tolist()))
    session.settle()


def with_core(head, without_ventricles=False):
    image = head.t1c.array.copy()
    image *= 1.0 - 0.75 * lesion_fraction(CORE, head.t1c.geometry)
    if without_ventricles:
        middle = lesion_fraction(Shape((0, 0, 0), tuple(v + 4 for v in VENTRICLE_MM)), head.t1c.geometry)
        image = np.where(middle > 0, 400.0, image)
    return LesionSession(prepare(head.t1c.like(image.astype(np.float32))))


def surface_distance_mm(shape, radii_mm):
    """Distance between a ball and an ellipsoid in the middle, from points all over it."""
    turns = np.random.default_rng(0).normal(size=(20000, 3))
    surface = turns / np.linalg.norm(turns, axis=1)[:, None] * radii_mm
    return float(np.linalg.norm(surface - shape.centre_mm, axis=1).min() - shape.radii_mm[0])


def test_a_core_that_is_outlined_later_is_no_ventricle(head):
    session = with_core(head)
    drawn(session, "a", LESION)
    # the dark core passes for a ventricle until it is outlined: the check below can fail
    expected = surface_distance_mm(LESION, VENTRICLE_MM)
    assert session.rows["a"]["distance_to_ventricle_mm"] < expected - 8.0
    drawn(session, "core", CORE)
    assert session.rows["a"]["distance_to_ventricle_mm"] == pytest.approx(expected, abs=2.5)
    assert session.rows["core"]["distance_to_ventricle_mm"] == pytest.approx(
        surface_distance_mm(CORE, VENTRICLE_MM), abs=2.5
    )


def test_the_reason_is_given_when_no_ventricle_is_left(head):
    session = with_core(head, without_ventricles=True)
    drawn(session, "a", LESION)
    assert session.rows["a"]["distance_to_ventricle_mm"] is not None
    drawn(session, "core", CORE)
    for row in session.rows.values():
        assert row["distance_to_ventricle_mm"] is None
        assert row["notes"].count("distance to ventricle not measurable: no ventricle is seen") == 1
