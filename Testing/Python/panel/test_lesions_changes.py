"""The Lesion Seeding panel: hard clicks, and what happens to the scene behind its back."""

import numpy as np
import pytest
from lesion_scene import click, lesions, seeds_of, texts

pytest.importorskip("slicer")
from BMVascularLib.studyNodes import firstOf, nodesOf


@pytest.fixture
def one(host, lesion_panel, small_patient):
    """The second lesion of the patient, clicked."""
    click(host, lesion_panel, seeds_of(small_patient)[1][1])
    return lesion_panel


def truth_ml(patient, *numbers):
    return sum(patient.timepoints[0].truth.lesions[number]["volume_ml"] for number in numbers)


def listed(panel):
    """Name and mL of each row."""
    return {row[0]: float(row[2].split()[0]) for row in texts(panel.ui.lesionTable)}


def change(host, panel, node, event):
    """What the views tell of a point that a person changed, and what follows of it."""
    node.InvokeEvent(event)
    host.process(0.02)
    panel.finishOutstanding()


def during(work):
    """Something that happens in the middle of long work: once its progress dialog shows a value."""
    from PySide6 import QtCore, QtWidgets

    def look():
        dialogs = QtWidgets.QApplication.topLevelWidgets()
        if any(isinstance(each, QtWidgets.QProgressDialog) and each.value() >= 1 for each in dialogs):
            timer.stop()
            work()

    timer = QtCore.QTimer()
    timer.timeout.connect(look)
    timer.start(0)
    return timer


def test_a_click_into_a_necrotic_core_gives_the_whole_lesion(host, lesion_panel, small_patient):
    truth = small_patient.timepoints[0].truth.lesions[0]
    assert truth["character"] == "ring, necrotic core" and truth["core_ml"] > 2
    click(host, lesion_panel, truth["centre_ras_mm"])
    row = texts(lesion_panel.ui.lesionTable)[0]
    assert float(row[2]) == pytest.approx(truth["volume_ml"], rel=0.1)
    enhancing, core, _ = (float(part) for part in row[4].split("/"))
    assert core == pytest.approx(truth["core_ml"], rel=0.25)
    assert enhancing == pytest.approx(truth["enhancing_ml"], rel=0.15)
    # the same from the rim
    host.click(lesion_panel.ui.undoButton)
    click(host, lesion_panel, seeds_of(small_patient)[0][1])
    assert float(texts(lesion_panel.ui.lesionTable)[0][2]) == pytest.approx(float(row[2]), rel=0.05)


def test_second_include_seed_placed_moved_deleted_and_undone(host, one, small_patient, lesion_images):
    """Two foci that a reader counts as one lesion."""
    seeds, node = seeds_of(small_patient), lesion_images["TP1", "seeds"]
    first = listed(one)
    one.ui.clickModeCombo.currentIndex = 1
    click(host, one, seeds[2][1])
    both = pytest.approx({"L1": truth_ml(small_patient, 1, 2)}, rel=0.15)
    assert listed(one) == both
    host.click(one.ui.undoButton)
    assert listed(one) == first
    click(host, one, seeds[2][1])
    last = node.GetNumberOfControlPoints() - 1
    node.SetNthControlPointPositionWorld(last, *seeds[4][1])
    change(host, one, node, node.PointEndInteractionEvent)
    assert listed(one) == pytest.approx({"L1": truth_ml(small_patient, 1, 4)}, rel=0.15)
    node.SetNthControlPointPositionWorld(last, 0, 150, 100)
    change(host, one, node, node.PointEndInteractionEvent)
    assert "lies outside" in one.ui.statusLabel.text
    assert node.GetNthControlPointPositionWorld(last) == pytest.approx(seeds[4][1])
    node.RemoveNthControlPoint(last)
    change(host, one, node, node.PointRemovedEvent)
    assert listed(one) == pytest.approx(first, abs=0.02)
    host.click(one.ui.undoButton)
    assert listed(one) == pytest.approx({"L1": truth_ml(small_patient, 1, 4)}, rel=0.15)


def test_a_second_seed_survives_saving_and_loading(host, one, small_patient, tmp_path):
    one.ui.clickModeCombo.currentIndex = 1
    click(host, one, seeds_of(small_patient)[2][1])
    before = texts(one.ui.lesionTable)
    file = host.saveScene(tmp_path / "scene.mrb")
    # saving ends nothing: Undo goes on
    assert one.ui.undoButton.enabled
    host.clear()
    host.loadScene(file)
    assert texts(one.ui.lesionTable) == before
    assert not one.ui.undoButton.enabled
    assert one.ui.undoButton.toolTip == "<p>Nothing to take back since the scene was opened.</p>"
    one.clicks.onUndo()
    assert one.ui.statusLabel.text == "Nothing to take back since the scene was opened."
    node = one.logic.seedNode("TP1")
    node.RemoveNthControlPoint(node.GetNumberOfControlPoints() - 1)
    change(host, one, node, node.PointRemovedEvent)
    assert listed(one) == pytest.approx({"L1": truth_ml(small_patient, 1)}, rel=0.15)
    host.click(one.ui.undoButton)
    assert listed(one) == pytest.approx({"L1": float(before[0][2])}, abs=0.02)


def test_deleted_and_renamed_in_the_segment_editor(host, one, small_patient):
    one.ui.clickModeCombo.currentIndex = 0
    click(host, one, seeds_of(small_patient)[2][1])
    before = listed(one)
    host.close()
    segmentation = lesions(host).GetSegmentation()
    segmentation.RemoveSegment("lesion_1")
    segmentation.GetSegment("lesion_2").SetName("Parietal")
    host.open("BMVLesionSeeding")
    assert list(listed(one)) == ["Parietal"]
    assert "Deleted outside this panel: L1; Undo brings them back." in one.ui.statusLabel.text
    assert "L2 is called Parietal now." in one.ui.statusLabel.text
    host.click(one.ui.undoButton)
    host.click(one.ui.undoButton)
    assert listed(one) == before


def test_nodes_removed_while_the_panel_is_open(host, one, small_patient, lesion_images):
    scene, before = host.slicer.mrmlScene, listed(one)
    scene.RemoveNode(lesions(host))
    host.process(0.02)
    assert "Deleted outside this panel: L1" in one.ui.statusLabel.text and listed(one) == {}
    host.click(one.ui.undoButton)
    assert listed(one) == before
    scene.RemoveNode(lesion_images["TP1", "seeds"])
    host.process(0.02)
    assert "it is back" in one.ui.statusLabel.text
    assert firstOf(scene, "seeds", "TP1").GetNumberOfControlPoints() == len(seeds_of(small_patient)) + 1
    assert listed(one) == before
    scene.RemoveNode(lesion_images["TP1", "T1c"])
    host.process(0.02)
    assert one.ui.statusLabel.text == "The T1c was removed from the scene: its lesions stay as they are."
    assert not one.ui.placeButton.enabled and not one.ui.undoButton.enabled
    assert listed(one) == before
    one.ui.lesionTable.selectRow(0)
    host.click(one.ui.acceptButton)
    assert "no T1c is selected" in one.ui.statusLabel.text and listed(one) == before


@pytest.mark.parametrize("moment", ["preparing", "measuring", "waiting"])
def test_a_scene_closed_during_work_stays_empty(host, lesion_panel, small_patient, moment):
    scene = host.slicer.mrmlScene
    host.click(lesion_panel.ui.placeButton)
    if moment != "preparing":
        host.place(seeds_of(small_patient)[1][1])
        host.process(0.02)
        lesion_panel.finishOutstanding()
    done = []
    timer = during(lambda: done.append(host.clear()))
    if moment == "preparing":
        host.place(seeds_of(small_patient)[1][1])
        host.process(0.05)
    else:
        host.click(lesion_panel.ui.measureButton if moment == "measuring" else lesion_panel.ui.waitingButton)
    timer.stop()
    assert len(done) == 1
    for role in ("T1c", "lesions", "compartments", "lesionTable", "seeds"):
        assert nodesOf(scene, role) == []
    assert lesion_panel.begun() is None and texts(lesion_panel.ui.lesionTable) == []
    assert lesion_panel.logic._readings == {}


def test_a_slip_beside_a_click_is_one_sentence(host, one, small_patient, lesion_images):
    before, points = listed(one), lesion_images["TP1", "seeds"].GetNumberOfControlPoints()
    one.ui.clickModeCombo.currentIndex = 0
    click(host, one, np.add(seeds_of(small_patient)[1][1], (0.5, 0.5, 0)))
    assert "0.7 mm from the click of L1" in one.ui.statusLabel.text
    assert listed(one) == before and lesion_images["TP1", "seeds"].GetNumberOfControlPoints() == points
