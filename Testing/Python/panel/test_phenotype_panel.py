"""The Phenotype panel, driven as a person would."""

import numpy as np
import pytest
from phenotype_scene import (  # noqa: F401 - fixtures among them
    choose,
    column,
    moduleFixture,
    nodeNames,
    panelFixture,
    stabilities,
    studyFixture,
    withRole,
)


def test_without_lesions_the_button_says_why(host, module):
    panel = host.open("BMVPhenotype")
    assert panel.ui.applyButton.enabled is False
    assert "Segment lesions first" in panel.ui.applyButton.toolTip
    assert panel.ui.lesionsTable.rowCount == 0


def test_inputs_are_found_by_role(host, study):
    panel = host.open("BMVPhenotype")
    states = dict(zip(column(panel.ui.inputsTable, 0), column(panel.ui.inputsTable, 1), strict=True))
    assert states["Lesions"] == "TP1 lesions" and states["Ktrans (1/min)"] == "TP1 ktrans"
    assert states["Amino-acid PET (ratio)"] == "missing: no PET"
    assert panel.ui.applyButton.enabled is True


def test_apply_labels_each_lesion(host, panel):
    assert column(panel.ui.lesionsTable, 0) == ["M1", "M2"]
    assert column(panel.ui.lesionsTable, 1) == ["angiogenic-dominant", "VCO-leaning"]
    assert all(float(text) > 0.7 for text in stabilities(panel))
    assert column(panel.ui.lesionsTable, 4) == ["A", "A"]
    assert "differ" in panel.ui.summaryLabel.text
    assert "State the protocol" in panel.ui.warningsLabel.text
    for role in ("phenotype", "phenotype details", "habitats"):
        assert withRole(host, role) is not None


def test_a_chosen_lesion_is_explained_and_shown(host, panel):
    choose(panel, 1)
    assert panel._parameterNode.lesion == "M2"
    assert panel.ui.chartLabel.minimumWidth == 350 and panel.ui.chartLabel.minimumHeight > 200
    text = panel.ui.explanationBrowser.plainText
    assert text.startswith("M2: VCO-leaning") and "What would change it" in text
    assert "Research use only" in text and "doi" in text
    red = host.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    place = [red.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    assert np.allclose(place, (38, 18, 4), atol=3)  # LPS (-38, -18, 4) of the made-up lesion


def test_protocol_and_histology_reach_the_engine(host, study):
    panel = host.open("BMVPhenotype")
    panel.ui.preloadBox.setCurrentIndex(1)
    panel.ui.leakageBox.setCurrentIndex(1)
    panel.ui.flipEdit.text = "60"
    panel.ui.flipEdit.editingFinished()
    panel.ui.histologyBox.setCurrentText("melanoma")
    host.click(panel.ui.applyButton)
    assert "protocol" not in panel.ui.warningsLabel.text
    assert panel.logic.result("TP1").context == {
        "histology": "melanoma",
        "protocol": {"preload": True, "leakage_correction": True, "flip_deg": 60.0},
    }
    choose(panel, 0)
    assert "melanoma" in panel.ui.explanationBrowser.plainText


def test_a_treatment_by_day_stops_the_label(host, study):
    panel = host.open("BMVPhenotype")
    panel.ui.scanEdit.text = "40"
    panel.ui.scanEdit.editingFinished()
    host.click(panel.ui.addTreatmentButton)
    panel.ui.treatmentsTable.item(0, 1).setText("3")
    panel.ui.treatmentsTable.item(0, 3).setText("M1")
    host.click(panel.ui.applyButton)
    assert column(panel.ui.lesionsTable, 1) == ["not assessed: treatment effect possible", "VCO-leaning"]
    assert stabilities(panel)[0] == "withheld"
    choose(panel, 0)
    text = panel.ui.explanationBrowser.plainText
    assert text.startswith("M1: not assessed") and "Treatment effect against progression" in text
    assert "favours" in text and "Rule stability withheld" in text
    assert "Share of draws" not in text


def test_wrong_context_is_said_and_not_kept(host, study):
    panel = host.open("BMVPhenotype")
    panel.ui.contextEdit.setPlainText('{"histologie": "lung"}')
    host.click(panel.ui.useTextButton)
    assert "entry 'histologie' is not known" in panel.ui.contextLabel.text
    panel.ui.contextEdit.setPlainText("{")
    host.click(panel.ui.useTextButton)
    assert "not valid JSON" in panel.ui.contextLabel.text
    panel.ui.contextEdit.setPlainText('{"molecular": ["EGFR"]}')
    host.click(panel.ui.useTextButton)
    assert panel.ui.contextLabel.text == "" and panel.ui.moleculeEdit.text == "EGFR"
    panel.ui.flipEdit.text = "steep"
    panel.ui.flipEdit.editingFinished()
    assert "'steep' is not a number" in panel.ui.contextLabel.text
    assert panel.logic.contextContent("TP1") == {"molecular": ["EGFR"]}


def test_a_context_that_names_no_lesion_is_refused(host, study, monkeypatch):
    monkeypatch.setattr(host.slicer.app._q, "testing", False)
    panel = host.open("BMVPhenotype")
    before = nodeNames(host)
    panel.ui.contextEdit.setPlainText('{"treatments": [{"type": "SRS", "lesions": ["M9"]}]}')
    host.click(panel.ui.useTextButton)
    host.click(panel.ui.applyButton)
    said = host.messages.take()[-1].text
    assert len(host.errors()) == 1
    assert "names the lesion 'M9', which is not there" in said
    assert nodeNames(host) == sorted([*before, "TP1 phenotype context"])


def test_cancel_leaves_the_scene_as_it_was(host, study, monkeypatch):
    from BMVascularLib.widgets import tasks

    panel = host.open("BMVPhenotype")
    before = nodeNames(host)
    make = host.slicer.util.createProgressDialog

    def cancelled(*args, **kwargs):
        dialog = make(*args, **kwargs)
        dialog.cancel()
        return dialog

    monkeypatch.setattr(tasks.slicer.util, "createProgressDialog", cancelled)
    host.click(panel.ui.applyButton)
    assert nodeNames(host) == before
    assert panel.ui.lesionsTable.rowCount == 0 and panel.ui.applyButton.enabled is True


def test_what_if_moves_at_once_and_stores_nothing(host, panel):
    before, stored = stabilities(panel), panel.logic.result("TP1").lesions
    table = panel.ui.whatIfTable
    table.item(0, 2).setText("0.5")
    assert "Ktrans limits 0.02 to 0.5 1/min" in panel.ui.whatIfLabel.text
    assert stabilities(panel) != before and "\N{RIGHTWARDS ARROW}" in "".join(stabilities(panel))
    table.item(0, 1).setText("0.9")
    assert "limits lo 0.9 and hi 0.5 do not work" in panel.ui.whatIfLabel.text
    table.item(0, 1).setText("much")
    assert "much" in panel.ui.whatIfLabel.text
    assert panel.logic.result("TP1").lesions is stored
    host.click(panel.ui.resetButton)
    assert stabilities(panel) == before and table.item(0, 2).text() == "0.1"


def test_an_input_left_out_lowers_coverage(host, panel):
    import qt

    before = [float(text) for text in column(panel.ui.lesionsTable, 3)]
    panel.ui.whatIfTable.item(0, 0).setCheckState(qt.Qt.Unchecked)
    after = [float(text) for text in column(panel.ui.lesionsTable, 3)]
    assert all(a < b for a, b in zip(after, before, strict=True))
    choose(panel, 0)
    assert "Ktrans: left out in the what-if" in panel.ui.explanationBrowser.plainText


def test_too_few_inputs_show_no_stability(host, panel):
    import qt

    ids = [spec["id"] for spec in panel.logic.table().rules["inputs"]]
    for number, key in enumerate(ids):
        if key not in ("rcbv", "vp_ratio"):
            panel.ui.whatIfTable.item(number, 0).setCheckState(qt.Qt.Unchecked)
    assert column(panel.ui.lesionsTable, 1) == ["indeterminate: insufficient inputs"] * 2
    assert all(text.endswith("too few") for text in stabilities(panel))
    assert panel.ui.lesionsTable.cellWidget(0, 2).value == 0


def test_overlays_follow_the_controls(host, panel):
    ui, scene = panel.ui, host.slicer.mrmlScene
    lesions = withRole(host, "lesions").GetDisplayNode()
    first = list(lesions.GetSegmentColor("segment_1"))
    ui.colorByBox.setCurrentIndex([m.key for m in panel.overlay.metrics].index("ktrans"))
    assert list(lesions.GetSegmentColor("segment_1")) != first
    ui.mapBox.setCurrentIndex(panel.overlay.roles.index("ktrans"))
    composite = host.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    ktrans = withRole(host, "ktrans")
    assert composite.GetForegroundVolumeID() == ktrans.GetID()
    assert composite.GetBackgroundVolumeID() == withRole(host, "T1c").GetID()
    ui.windowRange.setValues(0.0, 0.1)
    ui.thresholdSlider.value = 0.02
    shown = ktrans.GetDisplayNode()
    assert shown.GetWindow() == pytest.approx(0.1) and shown.GetLowerThreshold() == pytest.approx(0.02)
    ui.mapOpacitySlider.value = 0.3
    assert composite.GetForegroundOpacity() == pytest.approx(0.3)
    ui.lesionOpacitySlider.value = 0.25
    assert lesions.GetOpacity3D() == pytest.approx(0.25)
    ui.mapBox.setCurrentIndex(0)
    assert composite.GetForegroundVolumeID() is None
    assert scene.GetNumberOfNodesByClass("vtkMRMLModelNode") >= 1


def test_habitats_shells_and_brain_in_3d(host, panel):
    from BMVascularLib.phenotypeOverlays import SHELLS, SURFACES, surfaceNodes

    scene = host.slicer.mrmlScene
    panel.ui.habitats3dCheck.checked = True
    habitats = surfaceNodes(scene, "TP1", "habitats")
    assert habitats and all(node.GetDisplayNode().GetVisibility() for node in habitats)
    panel.ui.habitats3dCheck.checked = False
    assert not any(node.GetDisplayNode().GetVisibility() for node in habitats)
    panel.ui.shellsCheck.checked = True
    names = [node.GetName() for node in surfaceNodes(scene, "TP1", SHELLS)]
    assert "TP1 rim" in names and "TP1 front shell" in names
    assert SHELLS in panel.overlay.roles
    brain = withRole(host, "brain outline")
    assert brain.GetDisplayNode().GetVisibility() and brain.GetDisplayNode().GetOpacity() < 0.5
    panel.ui.brainCheck.checked = False
    assert not brain.GetDisplayNode().GetVisibility()
    assert set(SURFACES) == {"habitats", SHELLS}


def test_a_new_assessment_renews_shells_and_surfaces(host, panel):
    panel.ui.shellsCheck.checked = True
    shells = withRole(host, "shells")
    first = int((host.slicer.util.arrayFromVolume(shells) > 0).sum())
    withRole(host, "lesions").GetSegmentation().RemoveSegment("segment_2")
    panel.refresh()
    assert panel.ui.warningsLabel.text.startswith("The lesions were changed since this assessment")
    host.click(panel.ui.applyButton)
    assert column(panel.ui.lesionsTable, 0) == ["M1"]
    assert "changed since" not in panel.ui.warningsLabel.text
    assert 0 < int((host.slicer.util.arrayFromVolume(withRole(host, "shells")) > 0).sum()) < first


def test_results_follow_the_transform_of_the_lesions(host, study):
    import vtk

    scene, matrix = host.slicer.mrmlScene, vtk.vtkMatrix4x4()
    for row, shift in enumerate((10.0, -20.0, 30.0)):
        matrix.SetElement(row, 3, shift)
    move = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "move")
    move.SetMatrixTransformToParent(matrix)
    for role in ("lesions", "compartments", "T1c", "nrcbv", "ktrans", "vp", "FLAIR"):
        withRole(host, role).SetAndObserveTransformNodeID(move.GetID())
    panel = host.open("BMVPhenotype")
    host.click(panel.ui.applyButton)
    habitats = withRole(host, "habitats")
    assert habitats.GetParentTransformNode() is move
    bounds, wanted = [0.0] * 6, [0.0] * 6
    habitats.GetRASBounds(bounds)
    withRole(host, "T1c").GetRASBounds(wanted)
    assert bounds == pytest.approx(wanted)
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCursorPositionRAS([-29.0 + 10, -20.0 - 20, 8.0 + 30])
    assert panel.ui.probeLabel.text.startswith("M1") and "habitat: leaky" in panel.ui.probeLabel.text


def test_the_cursor_reads_maps_and_habitats(host, panel):
    crosshair = host.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCursorPositionRAS([-29.0, -20.0, 8.0])
    text = panel.ui.probeLabel.text
    assert text.startswith("M1; rCBV") and "/min" in text
    value = float(text.split("Ktrans ")[1].split()[0])
    assert 0.13 * 0.6 < value < 0.13 / 0.6  # Ktrans of the made-up lesion and its noise
    assert "habitat: leaky, high blood volume" in text
    crosshair.SetCursorPositionRAS([0.0, 60.0, 30.0])
    assert panel.ui.probeLabel.text.startswith("outside lesions")


def test_another_time_point_gives_change(host, panel):
    from BMVascularLib.phenotypeExample import addExample, twoLesions

    addExample(host.slicer.mrmlScene, "TP2", twoLesions(change=0.3))
    host.close()
    panel = host.open("BMVPhenotype")
    panel.ui.timepointBox.setCurrentText("TP2")
    assert panel.ui.lesionsTable.rowCount == 0
    assert not withRole(host, "lesions").GetDisplayNode().GetVisibility()
    host.click(panel.ui.applyButton)
    table = panel.ui.changeTable
    rows = [[table.item(row, c).text() for c in range(table.columnCount)] for row in range(table.rowCount)]
    ktrans = next(row for row in rows if row[:2] == ["M1", "Ktrans"])
    assert ktrans[4].startswith("-7") and ktrans[-1] == "measured change"
    still = next(row for row in rows if row[:2] == ["M2", "Ktrans"])
    assert still[-1] == "within repeatability"
    assert "No lesion shows an imaging change compatible with a shift." in panel.ui.changeLabel.text


def test_a_saved_scene_brings_everything_back(host, panel, tmp_path):
    choose(panel, 1)
    panel.ui.mapOpacitySlider.value = 0.35
    before = stabilities(panel)
    file = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    assert panel.ui.lesionsTable.rowCount == 0 and panel.ui.applyButton.enabled is False
    host.loadScene(file)
    assert stabilities(panel) == before
    assert panel._parameterNode.lesion == "M2" and panel.ui.mapOpacitySlider.value == 0.35
    assert panel.ui.explanationBrowser.plainText.startswith("M2")
    panel.ui.whatIfTable.item(0, 2).setText("0.5")
    assert stabilities(panel) != before


@pytest.mark.parametrize("times", [1, 4])
def test_enter_and_exit_leave_no_observer(host, panel, times):
    host.close()
    before = host.observers()
    for _ in range(times):
        host.open("BMVPhenotype")
        host.close()
    assert host.observers() == before


def test_a_reloaded_module_works(host, panel):
    new = host.reload("BMVPhenotype")
    assert new is not panel
    assert column(new.ui.lesionsTable, 0) == ["M1", "M2"]
    host.click(new.ui.applyButton)
    assert len(stabilities(new)) == 2


def test_self_test_passes(host, module):
    from BMVPhenotype import BMVPhenotypeTest

    BMVPhenotypeTest().runTest()
