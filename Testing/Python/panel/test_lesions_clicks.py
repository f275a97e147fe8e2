"""The Lesion Seeding panel: clicks, as a reader makes them."""

import numpy as np
import pytest
from lesion_scene import click, lesions, seeds_of, texts

pytest.importorskip("slicer")
from BMVascularLib.segments import segmentIds
from BMVascularLib.studyNodes import firstOf


@pytest.fixture
def panel(lesion_panel):
    return lesion_panel


@pytest.fixture
def images(lesion_images):
    return lesion_images


def test_images_are_found_by_role(panel, images):
    assert panel.ui.t1cSelector.currentNode() is images["TP1", "T1c"]
    assert panel.ui.swiSelector.currentNode() is images["TP1", "SWI"]
    assert [panel.ui.timepointCombo.itemText(n) for n in range(panel.ui.timepointCombo.count)] == [
        "TP1",
        "TP2",
    ]


def test_a_click_gives_a_lesion(host, panel, small_patient, images):

    ras = seeds_of(small_patient)[1][1]
    click(host, panel, ras)
    node = lesions(host)
    assert segmentIds(node) == ["lesion_1"]
    truth = small_patient.timepoints[0].truth.lesions[1]
    rows = texts(panel.ui.lesionTable)
    assert len(rows) == 1
    assert float(rows[0][2]) == pytest.approx(truth["volume_ml"], rel=0.25)
    assert rows[0][5] == "new"
    segment = node.GetSegmentation().GetSegment("lesion_1")
    assert segment.GetRepresentation("Closed surface").GetNumberOfPoints() > 100
    assert firstOf(host.slicer.mrmlScene, "compartments", "TP1") is not None
    table = firstOf(host.slicer.mrmlScene, "lesionTable", "TP1")
    assert table.GetNumberOfRows() == 1
    assert images["TP1", "seeds"].GetNthControlPointLabel(len(seeds_of(small_patient))) == rows[0][0]


def test_a_click_in_air_is_one_sentence(host, panel, images):
    before = images["TP1", "seeds"].GetNumberOfControlPoints()
    host.click(panel.ui.placeButton)
    nodes = host.slicer.mrmlScene.GetNumberOfNodes()
    click(host, panel, (0, 150, 100))
    assert "lies outside" in panel.ui.statusLabel.text
    assert images["TP1", "seeds"].GetNumberOfControlPoints() == before
    assert host.slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert texts(panel.ui.lesionTable) == []
    assert host.messages.take() == []


def test_a_click_where_nothing_enhances(host, panel, images, small_patient):
    click(host, panel, seeds_of(small_patient)[1][1])
    before = texts(panel.ui.lesionTable)
    click(host, panel, (-14.0, 20.0, 36.0))
    assert "no enhancing lesion" in panel.ui.statusLabel.text
    assert texts(panel.ui.lesionTable) == before
    assert panel.ui.undoButton.enabled


def test_undo_takes_back_a_click(host, panel, small_patient, images):

    for _, ras in seeds_of(small_patient)[1:3]:
        click(host, panel, ras)
    first = texts(panel.ui.lesionTable)[0]
    host.click(panel.ui.undoButton)
    assert texts(panel.ui.lesionTable) == [first]
    assert segmentIds(lesions(host)) == ["lesion_1"]
    assert images["TP1", "seeds"].GetNumberOfControlPoints() == len(seeds_of(small_patient)) + 1
    host.click(panel.ui.undoButton)
    assert texts(panel.ui.lesionTable) == [] and segmentIds(lesions(host)) == []
    assert not panel.ui.undoButton.enabled


def test_a_moved_seed_moves_its_lesion(host, panel, small_patient, images):
    """The second point moves; the first is deleted before, so that positions in the list shift."""
    seeds, node = seeds_of(small_patient), images["TP1", "seeds"]
    for _, ras in seeds[1:3]:
        click(host, panel, ras)
    names = [row[0] for row in texts(panel.ui.lesionTable)]
    node.RemoveNthControlPoint(len(seeds))
    host.process(0.02)
    panel.finishOutstanding()
    assert [row[0] for row in texts(panel.ui.lesionTable)] == names[1:]
    volume = texts(panel.ui.lesionTable)[0][2]
    node.SetNthControlPointPositionWorld(len(seeds), *seeds[4][1])
    node.InvokeEvent(node.PointEndInteractionEvent)
    host.process(0.02)
    panel.finishOutstanding()
    row = texts(panel.ui.lesionTable)[0]
    assert row[0] == names[1] and row[2] != volume
    centre = panel.begun().centre("lesion_2")
    assert np.linalg.norm(np.subtract(centre, seeds[4][1])) < 12


def test_a_seed_moved_into_air_goes_back(host, panel, small_patient, images):
    ras, node = seeds_of(small_patient)[1][1], images["TP1", "seeds"]
    click(host, panel, ras)
    before = texts(panel.ui.lesionTable)
    last = node.GetNumberOfControlPoints() - 1
    node.SetNthControlPointPositionWorld(last, 0, 150, 100)
    node.InvokeEvent(node.PointEndInteractionEvent)
    host.process(0.02)
    panel.finishOutstanding()
    assert texts(panel.ui.lesionTable) == before
    assert node.GetNthControlPointPositionWorld(last) == pytest.approx(ras)


def test_a_point_on_the_cursor_is_no_click(host, panel, images):
    node = images["TP1", "seeds"]
    index = node.AddNControlPoints(1, "", (0.0, 0.0, 40.0)) if hasattr(node, "AddNControlPoints") else -1
    node.SetNthControlPointPosition(
        node.GetNumberOfControlPoints() - 1, 0.0, 0.0, 40.0, host.slicer.vtkMRMLMarkupsNode.PositionPreview
    )
    before = node.GetNumberOfControlPoints()
    node.InvokeEvent(node.PointPositionDefinedEvent)
    host.process(0.05)
    assert index is not None and node.GetNumberOfControlPoints() == before
    assert texts(panel.ui.lesionTable) == []


def test_cancel_of_the_preparation_leaves_the_scene(host, panel, small_patient, images):
    host.click(panel.ui.placeButton)
    node, nodes = images["TP1", "seeds"], host.slicer.mrmlScene.GetNumberOfNodes()
    points = node.GetNumberOfControlPoints()
    timer = host.cancelNextProgress()
    host.place(seeds_of(small_patient)[1][1])
    host.process(0.05)
    timer.stop()
    assert node.GetNumberOfControlPoints() == points
    assert host.slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert panel.begun() is None, panel.ui.statusLabel.text


def test_include_and_exclude_clicks(host, panel, small_patient, images):
    ras = seeds_of(small_patient)[0][1]
    click(host, panel, ras)
    whole = float(texts(panel.ui.lesionTable)[0][2])
    panel.ui.clickModeCombo.currentIndex = 2
    click(host, panel, (ras[0] + 8, ras[1], ras[2]))
    assert len(texts(panel.ui.lesionTable)) == 1
    less = float(texts(panel.ui.lesionTable)[0][2])
    assert less < 0.9 * whole
    node = images["TP1", "seeds"]
    assert node.GetNthControlPointDescription(node.GetNumberOfControlPoints() - 1) == "exclude"
    host.click(panel.ui.undoButton)
    assert float(texts(panel.ui.lesionTable)[0][2]) == whole


def test_include_needs_a_selected_lesion(host, panel, small_patient):
    panel.ui.clickModeCombo.currentIndex = 1
    click(host, panel, seeds_of(small_patient)[1][1])
    assert "no lesion is selected" in panel.ui.statusLabel.text


def test_seeds_of_the_study_are_segmented(host, panel, small_patient):
    count = len(seeds_of(small_patient))
    assert panel.ui.waitingButton.text == f"Segment {count} study seeds"
    host.click(panel.ui.waitingButton)
    panel.finishOutstanding()
    assert [row[0] for row in texts(panel.ui.lesionTable)] == [name for name, _ in seeds_of(small_patient)]
    assert not panel.ui.waitingButton.enabled
    host.click(panel.ui.undoButton)
    assert texts(panel.ui.lesionTable) == []
