"""Segmentations, seeds, tables, layouts, colours."""

import numpy as np
import pytest
import slicer
import vtk
from lib_results import LESIONS, balls, grid, perfusion_transform, points_ras

from BMVascularCore.errors import InputError
from BMVascularCore.volume import Volume
from BMVascularLib import display, layouts
from BMVascularLib.colors import colorNode, colorsOfNode, readColorTable
from BMVascularLib.seeds import addSeeds, linkSeed, seedOfSegment, seedsOfNode, segmentOfSeed
from BMVascularLib.segments import (
    REVIEW_STATES,
    addSegmentation,
    centersRas,
    labelGeometryOfSegment,
    labelsOfNode,
    reviewState,
    segmentIds,
    setReviewState,
    terminologyEntry,
)
from BMVascularLib.tables import addTable, rowsOfTable
from BMVascularLib.transforms import addTransform, placeBelow
from BMVascularLib.volumes import addVolume, geometryOfNode

GRID = grid((2, 2, 2), (150, 190, 150), (12, -5, 20), (2, -4, 3), (1, -1, 1))
NAMES = ["M1", "M2", "M3"]


@pytest.fixture(scope="module")
def labels():
    return Volume(balls(points_ras(GRID), LESIONS[:3]), GRID, "lesions")


@pytest.fixture
def node(scene, labels):
    facts = [
        {"label": i, "name": n, "id": n, "color": (0.1 * i, 0.5, 0.9), "kind": "metastasis"}
        for i, n in enumerate(NAMES, 1)
    ]
    return addSegmentation(scene, labels, facts, "lesions", addVolume(scene, labels, "reference"))


def test_segments_have_names_colours_and_terminology(node):
    assert segmentIds(node) == NAMES
    segment = node.GetSegmentation().GetSegment("M2")
    assert segment.GetName() == "M2"
    np.testing.assert_allclose(segment.GetColor(), (0.2, 0.5, 0.9))
    value = vtk.reference("")
    assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), value)
    assert "14799000" in str(value)
    assert str(value) == terminologyEntry("metastasis")
    assert str(value).count("~") == 6


def test_labels_without_a_voxel_are_left_out(scene, labels):
    facts = [{"label": v, "name": str(v), "color": (1, 0, 0), "kind": "mass"} for v in (1, 77)]
    assert addSegmentation(scene, labels, facts, "some").GetSegmentation().GetNumberOfSegments() == 1


def test_round_trip_on_the_own_grid(node, labels):
    back, names = labelsOfNode(node, GRID)
    assert list(names.values()) == NAMES
    np.testing.assert_array_equal(back.array, labels.array)


def test_export_leaves_no_temporary_nodes(node, scene):
    before = scene.GetNumberOfNodes()
    labelsOfNode(node, GRID)
    assert scene.GetNumberOfNodes() == before


def test_export_onto_another_grid_keeps_the_place(node):
    other = grid((1.5, 2.5, 3), (160, 200, 160), (-5, 9, 0))
    back, _ = labelsOfNode(node, other)
    for label, (_, center, radius, *_) in enumerate(LESIONS[:3], 1):
        np.testing.assert_allclose(centersRas(back)[label], center, atol=1.0)
        volume_mm3 = (back.array == label).sum() * np.prod(other.spacing_mm)
        assert volume_mm3 == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.15)


def test_centres_are_ras(labels):
    for label, (_, center, *_) in enumerate(LESIONS[:3], 1):
        np.testing.assert_allclose(centersRas(labels)[label], center, atol=0.6)


def test_one_segment_alone_lies_in_place(node):
    array, geometry = labelGeometryOfSegment(node, "M3")
    np.testing.assert_allclose(
        centersRas(Volume(array.astype(np.int32), geometry))[1], LESIONS[2][1], atol=0.6
    )


def test_a_transform_above_the_segmentation_moves_it(node, scene):
    placeBelow(node, addTransform(scene, perfusion_transform(0), "t"))
    reference = addVolume(scene, Volume(np.zeros(GRID.shape, np.uint8), GRID))
    placeBelow(reference, node.GetParentTransformNode())
    moved = geometryOfNode(reference)
    back, _ = labelsOfNode(node, moved)
    expected = moved.points_of(GRID.index_of((38.0, -32.0, 24.0)))
    np.testing.assert_allclose(centersRas(back)[1], expected * (-1, -1, 1), atol=0.8)


def test_an_empty_segmentation_is_refused(scene):
    with pytest.raises(InputError, match="no segments"):
        labelsOfNode(scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty"), GRID)


@pytest.mark.parametrize("state", REVIEW_STATES)
def test_review_state(node, state):
    segment = node.GetSegmentation().GetSegment("M1")
    setReviewState(segment, state)
    assert reviewState(segment) == state


def test_seeds_round_trip_without_points_that_are_not_placed(scene):
    node = addSeeds(scene, [("M1", (1, 2, 3)), ("M2", (-4, 5, 6))])
    node.AddControlPoint(9.0, 9.0, 9.0, "preview")
    node.UnsetNthControlPointPosition(2)
    found = seedsOfNode(node)
    assert [(name, point) for name, point, _ in found] == [("M1", (1, 2, 3)), ("M2", (-4, 5, 6))]


def test_seed_and_segment_are_linked_by_id(scene):
    node = addSeeds(scene, [("M1", (1, 2, 3)), ("M2", (-4, 5, 6)), ("M3", (7, 7, 7))])
    ids = {name: point for name, _, point in seedsOfNode(node)}
    linkSeed(node, ids["M2"], "segment_2")
    linkSeed(node, ids["M3"], "segment_3")
    node.RemoveNthControlPoint(0)
    assert segmentOfSeed(node, ids["M2"]) == "segment_2"
    assert seedOfSegment(node, "segment_3") == ids["M3"]
    node.RemoveNthControlPoint(1)
    assert seedOfSegment(node, "segment_3") is None


def test_core_seeds_are_lps(scene, monkeypatch):
    """With a stand-in for the class, so that only the bridge is under test."""
    import BMVascularCore.lesions as lesions
    from BMVascularLib.seeds import coreSeeds

    monkeypatch.setattr(lesions, "Seed", lambda *facts: facts, raising=False)
    node = addSeeds(scene, [("M1", (1, 2, 3)), ("M2", (4, 5, 6))])
    node.SetNthControlPointDescription(1, "Exclude")
    assert coreSeeds(node) == [("M1", (-1, -2, 3), "include"), ("M2", (-4, -5, 6), "exclude")]


def test_tables_keep_empty_cells_empty(scene):
    rows = [
        {"name": "M1", "ktrans": 0.1},
        {"name": "M2", "ktrans": None},
        {"name": "M3", "ktrans": float("nan")},
    ]
    back = rowsOfTable(addTable(scene, rows, "table"))
    assert [row["ktrans"] for row in back] == ["0.1", "", ""]
    assert [row["name"] for row in back] == ["M1", "M2", "M3"]


def test_layouts_are_added_once_and_shown(scene):
    layoutNode = scene.AddNewNodeByClass("vtkMRMLLayoutNode")
    layoutNode.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    before = layouts.showLayout(layoutNode, layouts.FOLLOW_UP)
    assert before == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    assert layoutNode.GetViewArrangement() == layouts.FOLLOW_UP
    layouts.showLayout(layoutNode, layouts.READING)
    layouts.showLayout(layoutNode, layouts.READING)
    assert layoutNode.GetViewArrangement() == layouts.READING


@pytest.mark.parametrize("xml", [layouts.readingLayout(), layouts.followUpLayout("TP1", "TP2")])
def test_layout_xml_is_sound(xml):
    from xml.etree import ElementTree

    views = [v.get("singletontag") + v.get("class") for v in ElementTree.fromstring(xml).iter("view")]
    assert len(views) == len(set(views))
    assert sum("vtkMRMLSliceNode" in v for v in views) in (3, 6)
    assert any("vtkMRMLViewNode" in v for v in views)


@pytest.mark.parametrize("name", ["rCBV", "Ktrans", "Dose", "Signal"])
def test_scales_rise_evenly_in_lightness(name):
    """Readable without hue: CIELAB lightness of sRGB never falls along the table."""
    rgb = readColorTable(name).rgba[:, :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    assert np.diff(lightness).min() > -0.05
    assert lightness[-1] - lightness[0] > 85
    assert np.abs(lightness - np.linspace(lightness[0], lightness[-1], len(lightness))).max() < 3


@pytest.mark.parametrize(("table", "count"), [("Habitats", 4), ("Phenotypes", 5), ("Lesions", 12)])
def test_named_colours_differ_for_colour_blind_people(table, count):
    """Least distance in sRGB after Viénot's (1999) simulation of a missing L or M cone."""
    rgb = readColorTable(table).rgba[1:, :3]
    assert len(rgb) == count
    if table == "Lesions":
        rgb = rgb[:7]
    for rows in (
        [(0.1121, 0.8853, -0.0005), (0.1127, 0.8897, -0.0001), (0.0045, 0.0000, 1.0019)],
        [(0.2920, 0.7054, -0.0003), (0.2934, 0.7089, 0.0000), (-0.0210, 0.0256, 1.0000)],
    ):
        seen = np.clip((rgb**2.2) @ np.array(rows).T, 0, 1) ** (1 / 2.2)
        pairs = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + np.eye(len(seen))
        assert pairs.min() > 0.12


def test_colour_node_is_made_once_and_saved_with_the_scene(scene):
    node = colorNode(scene, "Habitats")
    assert colorNode(scene, "Habitats") is node
    assert not node.GetHideFromEditors()
    table = colorsOfNode(node)
    assert table.names[1] == "leaky, high blood volume (angiogenic-like)"
    np.testing.assert_allclose(table.rgba, readColorTable("Habitats").rgba, atol=1e-6)


def test_lesions_coloured_by_a_metric(node):
    colors = display.colorsByMetric({"M1": 0.0, "M2": 0.2, "M3": float("nan")}, "Ktrans", 0.0, 0.2)
    display.colorSegments(node, colors)
    table = readColorTable("Ktrans").rgba
    np.testing.assert_allclose(node.GetSegmentation().GetSegment("M1").GetColor(), table[0, :3], atol=1e-6)
    np.testing.assert_allclose(node.GetSegmentation().GetSegment("M2").GetColor(), table[-1, :3], atol=1e-6)
    assert colors["M3"] == (0.6, 0.6, 0.6)
