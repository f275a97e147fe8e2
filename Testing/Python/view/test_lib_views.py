"""What the off-screen views show: sides, layers, colours at known places, outlines, legends."""

import numpy as np
import pytest
from lib_results import grid, points_ras

from BMVascularCore.volume import Volume
from BMVascularLib import display, pictures
from BMVascularLib.colors import readColorTable
from BMVascularLib.offscreen import SliceView, ThreeDView
from BMVascularLib.segments import addSegmentation
from BMVascularLib.surfaces import addModel, surfaceOfArray
from BMVascularLib.volumes import addVolume

# tilted and with reversed rows: the sides on the picture may not depend on how the image is stored
GRID = grid((2, 2, 2), (160, 160, 160), (15, -10, 25), (3, -5, 4), (1, -1, 1))
LEFT, FRONT, TOP = (-40.0, 0.0, 0.0), (0.0, 40.0, 0.0), (0.0, 0.0, 40.0)
SIZE = 240


def ball(center, radius=9.0, value=100.0):
    return (np.linalg.norm(points_ras(GRID) - np.asarray(center), axis=-1) < radius) * np.float32(value)


def grey(scene, array, name="image"):
    node = addVolume(scene, Volume(array.astype(np.float32), GRID), name)
    display.setWindow(node, 0, 100)
    return node


@pytest.fixture
def view(world):
    with SliceView(world, (SIZE, SIZE)) as made:
        yield made


def brightCentre(image):
    rows, columns = np.nonzero(image[..., 0] > 128)
    return columns.mean(), rows.mean()


@pytest.mark.parametrize(
    ("point", "plane", "side"),
    [
        (LEFT, "Axial", "right"),
        (LEFT, "Coronal", "right"),
        (FRONT, "Axial", "top"),
        (FRONT, "Sagittal", "left"),
        (TOP, "Coronal", "top"),
        (TOP, "Sagittal", "top"),
    ],
)
def test_sides_are_radiological(scene, view, point, plane, side):
    """A marker on the patient's left appears on the right of axial and coronal pictures, and so on."""
    display.setLayers(view.composite, grey(scene, ball(point)))
    view.place((0, 0, 0), plane, 160)
    column, row = brightCentre(view.image())
    middle = (SIZE - 1) / 2
    offset = {"right": column - middle, "left": middle - column, "top": middle - row}[side]
    assert offset == pytest.approx(40 / (160 / SIZE), abs=3)
    letter = {LEFT: "L", FRONT: "A", TOP: "S"}[point]
    assert view.edgeLetters()[side] == letter
    np.testing.assert_allclose(view.pixelOf(point), (column, row), atol=2.5)


def test_scale_is_true(scene, view):
    display.setLayers(view.composite, grey(scene, ball((0, 0, 0), 30.0)))
    view.place((0, 0, 0), "Axial", 120)
    row = view.image()[SIZE // 2, :, 0] > 128
    assert row.sum() * view.pixelMm() == pytest.approx(60, abs=2.5)


def test_two_views_of_different_size_have_their_own_scale(world, scene):
    node = grey(scene, ball((0, 0, 0), 30.0))
    for size in (100, 300, 200):
        with SliceView(world, (size, size)) as view:
            display.setLayers(view.composite, node)
            view.place((0, 0, 0), "Coronal", 120)
            image = view.image()
            assert image.shape == (size, size, 3)
            assert (image[size // 2, :, 0] > 128).sum() / size == pytest.approx(0.5, abs=0.03)


def test_views_leave_no_nodes_behind(world, scene):
    grey(scene, ball((0, 0, 0)))
    counts = []
    for _ in range(3):
        with SliceView(world, (64, 64)) as view:
            view.place((0, 0, 0), "Axial", 100)
            view.image()
        with ThreeDView(world, (64, 64)) as view:
            view.image()
        counts.append(scene.GetNumberOfNodes())
    assert len(set(counts)) == 1


def pixel(view, ras):
    column, row = view.pixelOf(ras)
    return view.image()[round(row), round(column)].astype(int)


def test_a_map_over_anatomy_has_the_colour_of_its_legend(scene, view):
    anatomy = grey(scene, np.full(GRID.shape, 50.0))
    values = np.where(ball((0, 0, 0), 25) > 0, 4.5, 1.0).astype(np.float32)
    values[ball(FRONT, 12) > 0] = np.nan
    values[ball(LEFT, 12) > 0] = -1.0
    map_ = addVolume(scene, Volume(values, GRID), "rCBV")
    display.showMap(map_, 0.0, 6.0, "rCBV", threshold=0.0)
    display.setLayers(view.composite, anatomy, map_, opacity=1.0)
    assert view.composite.GetBackgroundVolumeID() == anatomy.GetID()
    assert view.composite.GetForegroundVolumeID() == map_.GetID()
    view.place((0, 0, 0), "Axial", 140)
    table = readColorTable("rCBV").rgba[:, :3] * 255
    np.testing.assert_allclose(pixel(view, (0, 0, 0)), table[round(4.5 / 6 * 255)], atol=4)
    np.testing.assert_allclose(pixel(view, (40, 0, 0)), table[round(1 / 6 * 255)], atol=4)
    # not measured and below the threshold: anatomy, not the lowest colour
    np.testing.assert_allclose(pixel(view, FRONT), (127, 127, 127), atol=4)
    np.testing.assert_allclose(pixel(view, LEFT), (127, 127, 127), atol=4)


def test_opacity_mixes_map_and_anatomy(scene, view):
    anatomy = grey(scene, np.full(GRID.shape, 100.0))
    map_ = grey(scene, np.zeros(GRID.shape))
    display.setLayers(view.composite, anatomy, map_, opacity=0.25)
    view.place((0, 0, 0), "Axial", 100)
    np.testing.assert_allclose(pixel(view, (0, 0, 0)), 0.75 * 255, atol=4)


def test_habitats_have_their_own_colours(scene, view):
    labels = np.zeros(GRID.shape, np.uint8)
    labels[ball((0, 0, 0), 20) > 0] = 2
    labels[ball(LEFT, 12) > 0] = 3
    node = addVolume(scene, Volume(labels, GRID), "habitats", labelMap=True)
    display.setColors(node, "Habitats")
    display.setLayers(view.composite, grey(scene, np.full(GRID.shape, 20.0)), label=node)
    view.place((0, 0, 0), "Axial", 140)
    table = readColorTable("Habitats").rgba[:, :3] * 255
    np.testing.assert_allclose(pixel(view, (0, 0, 0)), table[2], atol=3)
    np.testing.assert_allclose(pixel(view, LEFT), table[3], atol=3)
    np.testing.assert_allclose(pixel(view, (40, 0, 0)), 51, atol=3)


@pytest.fixture
def segmentation(scene):
    labels = np.zeros(GRID.shape, np.int32)
    labels[ball((0, 0, 0), 20) > 0] = 1
    labels[ball(LEFT, 10) > 0] = 2
    facts = [
        {"id": "M1", "label": 1, "name": "M1", "color": (1.0, 0.0, 0.0), "kind": "metastasis"},
        {"id": "M2", "label": 2, "name": "M2", "color": (0.0, 0.0, 1.0), "kind": "metastasis"},
    ]
    node = addSegmentation(scene, Volume(labels, GRID), facts, "lesions")
    display.showSegmentation(node, width=2)
    return node


def shows(image, rgb):
    return (np.abs(image.astype(int) - np.array(rgb) * 255).max(axis=-1) < 40).sum()


def test_outlines_are_drawn_at_the_edge_and_not_inside(scene, view, segmentation):
    display.setLayers(view.composite, grey(scene, np.zeros(GRID.shape)))
    view.place((0, 0, 0), "Axial", 140)
    image = view.image()
    assert shows(image, (1, 0, 0)) > 100
    assert shows(image, (0, 0, 1)) > 40
    assert pixel(view, (0, 0, 0)).max() < 10
    rows, columns = np.nonzero(image[..., 0] > 200)
    radii = np.hypot(columns - (SIZE - 1) / 2, rows - (SIZE - 1) / 2) * view.pixelMm()
    assert np.median(radii) == pytest.approx(20, abs=1.5)


def test_visibility_and_colours_of_segments(scene, view, segmentation):
    display.setLayers(view.composite, grey(scene, np.zeros(GRID.shape)))
    view.place((0, 0, 0), "Axial", 140)
    display.showOnly(segmentation, "M2")
    assert shows(view.image(), (1, 0, 0)) == 0
    display.showOnly(segmentation)
    with display.overriddenColors(segmentation, lambda each: (0, 1, 0) if each == "M1" else (1, 1, 1)):
        assert shows(view.image(), (0, 1, 0)) > 100
        assert shows(view.image(), (1, 0, 0)) == 0
    assert shows(view.image(), (1, 0, 0)) > 100
    with display.onlyVisible(scene, []):
        assert view.image().max() < 10
    assert shows(view.image(), (0, 0, 1)) > 40
    display.colorSegments(segmentation, {"M1": (1.0, 1.0, 0.0)})
    assert shows(view.image(), (1, 1, 0)) > 100


def test_a_surface_draws_a_line_on_slices(scene, view):
    array = np.maximum(0, 60 - np.linalg.norm(points_ras(GRID), axis=-1)).astype(np.float32)
    addModel(scene, surfaceOfArray(array, GRID, 30.0), "isodose", (1.0, 0.8, 0.0), onSlices=True, width=2)
    display.setLayers(view.composite, grey(scene, np.zeros(GRID.shape)))
    view.place((0, 0, 0), "Coronal", 140)
    image = view.image()
    rows, columns = np.nonzero(image[..., 0] > 200)
    radii = np.hypot(columns - (SIZE - 1) / 2, rows - (SIZE - 1) / 2) * view.pixelMm()
    assert len(radii) > 100
    assert np.abs(radii - 30).max() < 2


def test_colour_legend_is_drawn_in_a_slice_view(scene, view):
    map_ = addVolume(scene, Volume(np.full(GRID.shape, 3.0, np.float32), GRID), "rCBV")
    display.showMap(map_, 0.0, 6.0, "rCBV")
    legend = display.addColorLegend(map_, "rCBV", "ratio")
    display.setLayers(view.composite, map_)
    view.place((0, 0, 0), "Axial", 100)
    without = view.image()
    legend.SetVisibility(True)
    shown = view.image()
    changed = np.argwhere(np.abs(shown.astype(int) - without).max(axis=-1) > 20)
    assert len(changed) > 300
    assert changed[:, 1].min() > SIZE / 2


def test_3d_shows_lesions_through_a_translucent_head(world, scene, segmentation):
    segmentation.CreateClosedSurfaceRepresentation()
    array = np.maximum(0, 90 - np.linalg.norm(points_ras(GRID), axis=-1)).astype(np.float32)
    addModel(scene, surfaceOfArray(array, GRID, 20.0), "head", (1, 1, 1), opacity=0.2)
    with ThreeDView(world, (300, 300), background=(0, 0, 0)) as view:
        view.lookAt((0, 0, 0), (0, 1, 0), 400)
        image = view.image().astype(int)
        red = (image[..., 0] > image[..., 2] + 40).nonzero()
        blue = (image[..., 2] > image[..., 0] + 40).nonzero()
        assert len(red[0]) > 300
        # seen from the front, the patient's left is on the right
        assert blue[1].mean() > red[1].mean() + 30
        np.testing.assert_allclose(view.pixelOf(LEFT)[0], blue[1].mean(), atol=6)
        assert view.right() == pytest.approx((-1, 0, 0), abs=1e-6)
        edge = image[150, [60, 240]]
        assert (edge > 5).any()


def test_ticks_are_round_and_cover_the_scale():
    assert pictures.ticks(0, 6) == [0, 1, 2, 3, 4, 5, 6] or pictures.ticks(0, 6) == [0, 2, 4, 6]
    assert [pictures.number(v) for v in pictures.ticks(0, 0.2)] == ["0", "0.05", "0.1", "0.15", "0.2"]
    for low, high in ((0, 25), (-3, 3), (0.0, 0.013), (100, 2500)):
        values = pictures.ticks(low, high)
        assert low <= values[0]
        assert values[-1] <= high * (1 + 1e-6)
        assert 3 <= len(values) <= 9


def test_legend_shows_the_whole_scale_low_end_at_the_bottom():
    rgba = readColorTable("Ktrans").rgba
    image = np.asarray(pictures.scaleLegend((176, 300), "Ktrans", "1/min", rgba, 0.0, 0.2)).astype(int)
    bar = image[:, 25]
    expected = rgba[:, :3] * 255
    rows = [row for row in range(300) if np.abs(bar[row] - expected[-1]).max() < 3]
    assert rows
    assert np.abs(bar[280] - expected[0]).max() < 12
    assert min(rows) < 100


def test_habitat_names_fit_their_legend():
    names = readColorTable("Habitats").names[1:]
    for name in names:
        for line in pictures.wrap(name, 13, pictures.LEGEND_WIDTH - 48):
            assert pictures.textSize(line, 13)[0] <= pictures.LEGEND_WIDTH - 44
    size = (pictures.LEGEND_WIDTH, pictures.TILE)
    legend = np.asarray(pictures.namesLegend(size, "Habitats", names, readColorTable("Habitats").rgba[1:]))
    assert (legend[-8:] == pictures.PANEL).all()
    assert (legend[:, -4:] == pictures.PANEL).all()


def test_words_are_wrapped_to_the_width():
    for line in pictures.wrap("barrier-preserved, high blood volume in a narrow legend", 13, 120):
        assert pictures.textSize(line, 13)[0] <= 120
