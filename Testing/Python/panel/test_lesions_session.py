"""The Lesion Seeding panel: the table, editing, scenes, candidates and follow-up."""

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


@pytest.fixture
def two(host, panel, small_patient):
    """Two lesions found by clicks."""
    for _, ras in seeds_of(small_patient)[1:3]:
        click(host, panel, ras)
    host.click(panel.ui.placeButton)
    return panel


def press(host, key):
    """A key in the main window."""
    shortcuts = host.slicer.modules.BMVLesionSeedingWidget.shortcuts
    found = [s for s in shortcuts.made if s.key.toString() == key]
    assert len(found) == 1
    found[0].activated()
    host.process()


def slice_center(host, name):
    matrix = host.slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode().GetSliceToRAS()
    return [matrix.GetElement(row, 3) for row in range(3)]


def names(table):
    return [row[0] for row in texts(table)]


def test_a_row_brings_all_views_there(host, two):
    two.ui.lesionTable.selectRow(0)
    first = two.begun().centre("lesion_1")
    for view in ("Red", "Yellow", "Green"):
        assert slice_center(host, view) == pytest.approx(first, abs=0.01)
    two.ui.lesionTable.selectRow(1)
    assert slice_center(host, "Red") == pytest.approx(two.begun().centre("lesion_2"), abs=0.01)
    assert "mL" in two.ui.detailLabel.text and "below the surface" in two.ui.detailLabel.text


def test_keys_step_and_accept(host, two):
    from BMVascularLib.segments import reviewState

    two.ui.lesionTable.selectRow(0)
    press(host, "A")
    assert texts(two.ui.lesionTable)[0][5] == "accepted"
    assert two._parameterNode.selectedLesion == "lesion_2"
    press(host, "P")
    assert two._parameterNode.selectedLesion == "lesion_1"
    press(host, "F")
    assert reviewState(lesions(host).GetSegmentation().GetSegment("lesion_1")) == "Flagged"
    press(host, "N")
    press(host, "Del")
    assert len(texts(two.ui.lesionTable)) == 1
    press(host, "U")
    assert len(texts(two.ui.lesionTable)) == 2
    press(host, "E")
    assert two.ui.clickModeCombo.currentIndex == 2
    press(host, "S")
    assert two.ui.placeButton.checked
    host.close()
    assert two.shortcuts.made == []


def test_outlines_can_be_taken_away(host, two, small_patient):
    """Key H shows the image below; a click brings the outlines back."""
    display = lesions(host).GetDisplayNode()
    press(host, "H")
    assert not display.GetVisibility2D() and display.GetVisibility3D()
    press(host, "N")
    assert not display.GetVisibility2D()
    click(host, two, seeds_of(small_patient)[3][1])
    assert display.GetVisibility2D()


def test_a_row_fits_a_narrow_panel(host, two):
    """No cell lies outside a table of 400 pixels, whatever the names."""
    table = two.ui.lesionTable
    two.ui.lesionTable.item(0, 0).setText("a name that is far too long for any table of lesions")
    host.process()
    table.resize(400, 200)
    host.process()
    assert table.horizontalHeader().length() <= 400
    assert {row[1].split()[0] for row in texts(table)} <= {"L", "R", "midline"}
    assert all(row[1].endswith((" mm", "superficial", "ventricle")) for row in texts(table))
    # the square has the colour of the outline
    import qt

    color = table.item(0, 0).data(qt.Qt.DecorationRole)
    outline = lesions(host).GetSegmentation().GetSegment("lesion_1").GetColor()
    assert (color.redF(), color.greenF(), color.blueF()) == pytest.approx(outline, abs=0.01)


def test_a_changed_lesion_is_no_longer_accepted(host, two, images, small_patient):
    two.ui.lesionTable.selectRow(0)
    host.click(two.ui.acceptButton)
    node = images["TP1", "seeds"]
    node.SetNthControlPointPositionWorld(len(seeds_of(small_patient)), *seeds_of(small_patient)[3][1])
    node.InvokeEvent(node.PointEndInteractionEvent)
    host.process(0.02)
    assert texts(two.ui.lesionTable)[0][5] == "new"
    host.click(two.ui.undoButton)
    assert texts(two.ui.lesionTable)[0][5] == "accepted"


def test_rename(host, two, images, small_patient):
    two.ui.lesionTable.item(0, 0).setText("Frontal")
    host.process()
    assert names(two.ui.lesionTable)[0] == "Frontal"
    assert lesions(host).GetSegmentation().GetSegment("lesion_1").GetName() == "Frontal"
    assert images["TP1", "seeds"].GetNthControlPointLabel(len(seeds_of(small_patient))) == "Frontal"
    two.ui.lesionTable.item(1, 0).setText("Frontal")
    host.process()
    assert "taken by another lesion" in two.ui.statusLabel.text
    assert names(two.ui.lesionTable) == ["Frontal", "L2"]


def test_delete_removes_lesion_and_clicks(host, two, images, small_patient):
    two.ui.lesionTable.selectRow(0)
    host.click(two.ui.deleteButton)
    assert segmentIds(lesions(host)) == ["lesion_2"]
    assert images["TP1", "seeds"].GetNumberOfControlPoints() == len(seeds_of(small_patient)) + 1
    host.click(two.ui.undoButton)
    assert sorted(names(two.ui.lesionTable)) == ["L1", "L2"]


def test_split_asks_for_a_click_and_divides_clicks(host, two, small_patient):
    two.ui.lesionTable.selectRow(0)
    host.click(two.ui.splitButton)
    assert "Click into the other part" in two.ui.statusLabel.text
    assert two.ui.placeButton.checked
    two.ui.clickModeCombo.currentIndex = 1
    click(host, two, seeds_of(small_patient)[3][1])
    assert len(texts(two.ui.lesionTable)) == 2
    host.click(two.ui.splitButton)
    assert len(texts(two.ui.lesionTable)) == 3
    host.click(two.ui.undoButton)
    assert len(texts(two.ui.lesionTable)) == 2


def test_segment_editor_and_back(host, two, monkeypatch):
    import numpy as np

    from BMVascularLib.lesionNodes import Place, maskOfSegment, writeSegment

    slicer, opened = host.slicer, []
    monkeypatch.setattr(slicer.util, "selectModule", opened.append)
    two.ui.lesionTable.selectRow(0)
    before = float(texts(two.ui.lesionTable)[0][2])
    host.click(two.ui.editButton)
    editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    assert opened == ["SegmentEditor"]
    assert editor.GetSelectedSegmentID() == "lesion_1"
    assert editor.GetSegmentationNode() is lesions(host)
    host.close()
    place = Place(two.logic.imagesOf("TP1")["T1c"])
    corner, mask = maskOfSegment(lesions(host), "lesion_1", place)
    half = mask.copy()
    half[: np.argwhere(mask)[:, 0].mean().astype(int)] = False
    writeSegment(lesions(host), "lesion_1", "L1", 1, corner, half, place.geometry)
    host.open("BMVLesionSeeding")
    two.finishOutstanding()
    assert "Taken over from the Segment Editor: L1" in two.ui.statusLabel.text
    after = float(texts(two.ui.lesionTable)[0][2])
    assert after == pytest.approx(half.sum() * 0.008, rel=0.02)
    assert after < 0.8 * before
    host.click(two.ui.undoButton)
    assert float(texts(two.ui.lesionTable)[0][2]) == before


def test_unedited_lesions_are_not_taken_back(host, two):
    host.close()
    host.open("BMVLesionSeeding")
    assert "Taken over" not in two.ui.statusLabel.text


@pytest.mark.parametrize("times", [1, 4])
def test_enter_and_exit_leave_no_observer(host, two, times):
    host.close()
    before = host.observers()
    for _ in range(times):
        host.open("BMVLesionSeeding")
        host.close()
    assert host.observers() == before


def test_a_closed_scene_empties_the_panel(host, two):
    host.clear()
    assert two.ui.t1cSelector.currentNode() is None
    assert texts(two.ui.lesionTable) == []
    assert not two.ui.placeButton.enabled
    assert two.ui.placeButton.toolTip == "<p>Choose a T1c first.</p>"


def test_a_saved_scene_brings_everything_back(host, two, tmp_path, small_patient):
    before = texts(two.ui.lesionTable)
    two.ui.radiusSlider.value = 22
    file = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    host.loadScene(file)
    assert texts(two.ui.lesionTable) == before
    assert two.ui.radiusSlider.value == 22
    assert two.ui.t1cSelector.currentNode() is not None
    two.ui.lesionTable.selectRow(1)
    click(host, two, seeds_of(small_patient)[4][1])
    assert texts(two.ui.lesionTable)[:2] == before
    assert len(texts(two.ui.lesionTable)) == 3
    node = two.logic.seedNode("TP1")
    node.RemoveNthControlPoint(node.GetNumberOfControlPoints() - 1)
    host.process(0.02)
    assert texts(two.ui.lesionTable) == before


def test_a_reloaded_module_shows_the_lesions(host, two):
    before = texts(two.ui.lesionTable)
    new = host.reload("BMVLesionSeeding")
    assert new is not two
    assert texts(new.ui.lesionTable) == before


def test_time_points_are_kept_apart(host, two, small_patient):
    first = texts(two.ui.lesionTable)
    two.ui.timepointCombo.setCurrentIndex(1)
    assert texts(two.ui.lesionTable) == []
    assert two.ui.t1cSelector.currentNode().GetName() == "TP2 T1c"
    click(host, two, seeds_of(small_patient, 1)[0][1])
    assert len(texts(two.ui.lesionTable)) == 1
    assert visible(host) == {"TP1": False, "TP2": True}
    two.ui.timepointCombo.setCurrentIndex(0)
    assert visible(host) == {"TP1": True, "TP2": False}
    assert texts(two.ui.lesionTable) == first


def visible(host):
    """Whether the lesions of a time point are shown: the other's lie in another space."""
    return {label: bool(lesions(host, label).GetDisplayNode().GetVisibility()) for label in ("TP1", "TP2")}


def test_candidates_are_never_lesions(host, two):
    host.click(two.ui.findButton)
    rows = texts(two.ui.candidateTable)
    assert rows and len(texts(two.ui.lesionTable)) == 2
    scores = [float(row[1]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    press(host, "K")
    assert two.ui.candidateTable.currentRow() == 0
    press(host, "K")
    press(host, "J")
    assert two.ui.candidateTable.currentRow() == 0
    free = next(n for n, row in enumerate(rows) if row[4] == "–")
    two.ui.candidateTable.selectRow(free)
    press(host, "C")
    two.finishOutstanding()
    assert len(texts(two.ui.lesionTable)) == 3
    assert texts(two.ui.candidateTable)[free][4] == texts(two.ui.lesionTable)[2][0]


def test_matches(host, two, small_patient):
    """Proposed, cancelled without a trace, confirmed, changed."""
    assert not two.ui.matchButton.enabled
    later = dict(seeds_of(small_patient, 1))
    two.ui.timepointCombo.setCurrentIndex(1)
    before = [name for name, _ in seeds_of(small_patient)[1:3] if name in later]
    for name in [*before, next(n for n in later if n not in dict(seeds_of(small_patient)))]:
        click(host, two, later[name])
    nodes = host.slicer.mrmlScene.GetNumberOfNodes()
    timer = host.cancelNextProgress()
    host.click(two.ui.matchButton)
    timer.stop()
    assert host.slicer.mrmlScene.GetNumberOfNodes() == nodes
    host.click(two.ui.matchButton)
    rows = texts(two.ui.matchTable)
    assert [row[3] for row in rows].count("new") == 1
    assert [row[3] for row in rows].count("matched") == len(before)
    position = next(n for n, row in enumerate(rows) if row[3] == "matched")
    assert float(rows[position][4]) < 4
    two.ui.matchTable.selectRow(position)
    host.click(two.ui.confirmButton)
    row = texts(two.ui.matchTable)[position]
    assert row[5] == "confirmed"
    assert identities(host, "TP1")[row[1]] == identities(host, "TP2")[row[2]] == row[0]
    # the lesion that stayed has one name at both time points
    assert row[1] == row[2]
    two.ui.laterCombo.setCurrentIndex(0)
    host.click(two.ui.changeButton)
    changed = texts(two.ui.matchTable)
    assert changed[position][3] == "vanished" and changed[position][2] == "–"
    assert [r[2] for r in changed if r[3] == "new"].count(row[2]) == 1
    assert identities(host, "TP2")[row[2]] == ""


def identities(host, timepoint):
    from BMVascularLib.lesionNodes import tagOf

    segmentation = lesions(host, timepoint).GetSegmentation()
    found = [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]
    return {s.GetName(): tagOf(s, "BMVascular.Identity") for s in found}


def test_compartments_in_3d(host, two):
    node = firstOf(host.slicer.mrmlScene, "compartments", "TP1")
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    two.ui.compartments3DCheck.checked = True
    host.process()
    surface = node.GetSegmentation().GetSegment("compartment_1").GetRepresentation("Closed surface")
    assert surface.GetNumberOfPoints() > 100
    two.ui.compartments3DCheck.checked = False
    host.process()
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_cancelled_search_leaves_no_table(host, two):
    nodes = host.slicer.mrmlScene.GetNumberOfNodes()
    timer = host.cancelNextProgress()
    host.click(two.ui.findButton)
    timer.stop()
    assert host.slicer.mrmlScene.GetNumberOfNodes() == nodes


def test_self_test(host, two):
    host.slicer.selfTests["BMVLesionSeeding"]()
