"""Clicks on synthetic heads with known lesions."""

import numpy as np
import pytest
from lesion_heads import Shape, dice, grid, make_head

from BMVascularCore.errors import InputError
from BMVascularCore.lesions import Seed, prepare, segment_lesions, segment_one
from BMVascularCore.volume import Volume

SHAPES = [
    Shape((-30, -12, 12), (2.0, 2.0, 2.0)),
    Shape((30, 18, 5), (3.6, 3.2, 3.8)),
    Shape((24, -24, 8), (6.0, 5.4, 6.3), tilt_deg=30, oedema_mm=5.0),
    Shape((-22, 24, -8), (9.0, 8.0, 9.0), core=0.6),
]


@pytest.fixture(scope="module")
def head():
    return make_head(SHAPES, grid((100, 130, 116), (1, 1, 1)), seed=4, head_mm=(55, 62, 48))


@pytest.fixture(scope="module")
def ready(head):
    return prepare(head.t1c, t1=head.t1, flair=head.flair)


def clicks(truth, label, count, seed=0):
    places = np.argwhere(truth == label)
    return places[np.random.default_rng(seed).choice(len(places), min(count, len(places)), replace=False)]


def click(volume, index, name="M"):
    return Seed(name, tuple(volume.geometry.points_of(index)))


def found_mask(lesion, shape):
    mask = np.zeros(shape, dtype=bool)
    mask[lesion.window] = lesion.fraction >= 0.5
    return mask


@pytest.mark.parametrize(("label", "least"), [(1, 0.65), (2, 0.8), (3, 0.9), (4, 0.9)])
def test_dice_from_clicks_anywhere(head, ready, label, least):
    volumes = []
    for index in clicks(head.truth, label, 4):
        lesion = segment_one(ready, "M", 1, [click(head.t1c, index)])
        assert not isinstance(lesion, str), lesion
        assert dice(found_mask(lesion, head.truth.shape), head.truth == label) >= least
        volumes.append(float(lesion.fraction.sum()))
    true = float(head.fractions[label - 1].sum())
    assert max(volumes) < 2 * true
    if SHAPES[label - 1].radii_mm[0] >= 5:
        assert np.std(volumes) / np.mean(volumes) < 0.05
        assert np.mean(volumes) == pytest.approx(true, rel=0.1)


def test_intensity_scale_does_not_matter(head):
    one = segment_lesions(head.t1c, [Seed("M", SHAPES[2].centre_mm)])
    other = segment_lesions(head.t1c.like(head.t1c.array * 7.5), [Seed("M", SHAPES[2].centre_mm)])
    assert np.array_equal(one.labels.array, other.labels.array)


def test_compartments_and_order(head, ready):
    seeds = [Seed("ring", SHAPES[3].centre_mm), Seed("wet", SHAPES[2].centre_mm)]
    result = segment_lesions(ready, seeds)
    rows = {row["name"]: row for row in result.rows}
    assert [row["label"] for row in result.rows] == [1, 2]
    core_ml = 4 / 3 * np.pi * np.prod(SHAPES[3].radii_mm) * 0.6**3 / 1000
    assert rows["ring"]["core_ml"] == pytest.approx(core_ml, rel=0.35)
    assert rows["wet"]["core_ml"] < 0.1 * rows["wet"]["volume_ml"]
    grown = np.prod(np.asarray(SHAPES[2].radii_mm) + 5.0) - np.prod(SHAPES[2].radii_mm)
    assert rows["wet"]["oedema_ml"] == pytest.approx(4 / 3 * np.pi * grown / 1000, rel=0.3)
    assert rows["wet"]["contrast_enhancement_ratio"] > 0.8


def test_works_on_t1c_alone(head):
    result = segment_lesions(head.t1c, [Seed("a", SHAPES[2].centre_mm)])
    assert dice(result.labels.array == 1, head.truth == 3) >= 0.9
    assert result.rows[0]["contrast_enhancement_ratio"] is None
    assert result.rows[0]["oedema_ml"] is None
    assert "no T1" in result.rows[0]["notes"]


def test_click_in_air_or_outside(ready):
    with pytest.raises(InputError, match="outside"):
        segment_lesions(ready, [Seed("a", (500, 0, 0))])
    with pytest.raises(InputError, match="air"):
        segment_lesions(ready, [Seed("a", (-56, -63, 48))])


def test_no_lesion_out_of_nothing(ready):
    """Quiet brain gives no lesion, or one that is flagged."""
    seeds = [(0, -40, 20), (5, 10, 28), (-10, -40, -20)]
    for point in seeds:
        lesion = segment_one(ready, "n", 1, [Seed("n", point)])
        assert isinstance(lesion, str) or lesion.confidence == "low"


def test_empty_click_names_the_seed():
    plain = make_head([], grid((60, 90, 80), (1.6, 1.6, 1.6)), seed=1, vessels=False)
    with pytest.raises(InputError, match="seed ghost"):
        segment_lesions(plain.t1c, [Seed("ghost", (9, -15, -29))])
    result = segment_lesions(plain.t1c, [Seed("ghost", (9, -15, -29))], allow_empty=True)
    assert not result.labels.array.any()
    assert "ghost" in result.missing


def test_touching_lesions_are_divided():
    shapes = [Shape((-6.5, 0, 0), (7, 7, 7)), Shape((6.5, 0, 0), (7, 7, 7))]
    head = make_head(shapes, grid((60, 80, 80), (1, 1, 1)), seed=2, vessels=False, head_mm=(38, 39, 29))
    result = segment_lesions(head.t1c, [Seed("one", (-8, 1, 0)), Seed("two", (8, -1, 1))])
    for label in (1, 2):
        assert dice(result.labels.array == label, head.truth == label) >= 0.85


def test_exclude_click_takes_away(ready):
    full = segment_lesions(ready, [Seed("a", SHAPES[3].centre_mm)])
    far = tuple(np.add(SHAPES[3].centre_mm, (0, 7.5, 0)))
    cut = segment_lesions(ready, [Seed("a", SHAPES[3].centre_mm), Seed("a", far, "exclude")])
    index = tuple(np.rint(ready.t1c.geometry.index_of(far)).astype(int))
    assert full.labels.array[index] == 1
    assert cut.labels.array[index] == 0


def test_nan_and_eight_bits(head):
    spoiled = head.t1c.array.copy()
    spoiled[:3] = np.nan
    assert segment_lesions(head.t1c.like(spoiled), [Seed("a", SHAPES[2].centre_mm)]).warnings
    small = np.clip(head.t1c.array / 4, 0, 255).astype(np.uint8)
    result = segment_lesions(head.t1c.like(small), [Seed("a", SHAPES[2].centre_mm)])
    assert dice(result.labels.array == 1, head.truth == 3) >= 0.85


def test_one_slice_is_refused(head):
    geometry = grid((1, 130, 116), (1, 1, 5))
    with pytest.raises(InputError, match="three slices"):
        prepare(Volume(head.t1c.array[:1], geometry, "flat"))


def test_oblique_gives_the_same_lesion():
    turn = np.deg2rad(20)
    oblique = [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    shape = Shape((12, 5, -3), (6, 6, 6))
    head = make_head(
        [shape], grid((70, 90, 80), (1, 1, 1), oblique), seed=5, vessels=False, head_mm=(38, 42, 33)
    )
    result = segment_lesions(head.t1c, [Seed("a", (13, 6, -4))])
    assert dice(result.labels.array == 1, head.truth == 1) >= 0.9
    assert result.rows[0]["centre_r_mm"] == pytest.approx(-12, abs=0.5)


def test_flair_of_another_head_is_left_out(head):
    moved = grid((100, 130, 116), (1, 1, 1))
    far = Volume(
        head.flair.array, type(moved)(moved.shape, moved.spacing_mm, (200, 200, 200), moved.direction), "f"
    )
    ready = prepare(head.t1c, flair=far)
    assert ready.flair is None
    assert any("FLAIR" in text for text in ready.warnings)
    shifted = Volume(np.roll(head.flair.array, 45, axis=1), head.flair.geometry, "f")
    assert prepare(head.t1c, flair=shifted).flair is None
