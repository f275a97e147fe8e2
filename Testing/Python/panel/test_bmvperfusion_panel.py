"""The perfusion panel, driven as a person would."""

import time

import numpy as np
import pytest
from perfusion_patient import addPatient


@pytest.fixture
def panel(host, root):
    if host.slicer.app.moduleManager().module("BMVPerfusion") is None:
        host.loadModule(root / "BMVascular" / "BMVPerfusion.py")
    addDsc(host)
    return host.open("BMVPerfusion")


@pytest.fixture
def asPerson(host):
    """Errors are shown to a person instead of being raised to a test."""
    host.slicer.app._q.testing = False
    yield
    host.slicer.app._q.testing = True


def addDsc(host, echo_time_s=0.03):
    from BMVascularLib.perfusionExample import addExampleSeries

    return addExampleSeries(host.slicer.mrmlScene, echo_time_s)


def addLesions(host):
    from BMVascularCore.volume import Geometry, Volume
    from BMVascularLib.segments import addSegmentation
    from BMVascularLib.studyNodes import setRole

    labels = np.zeros((4, 24, 24), np.int32)
    labels[:, 4:8, 4:8] = 1
    labels[1, 15, 15] = 2
    geometry = Geometry.of_affine(np.diag([4.0, 4.0, 5.0, 1.0]), labels.shape)
    segments = [{"label": n, "name": f"M{n}", "color": (1, 0, 0), "kind": "metastasis"} for n in (1, 2)]
    node = addSegmentation(host.slicer.mrmlScene, Volume(labels, geometry), segments, "TP1 lesions")
    setRole(node, "lesions", "TP1", "test")
    return node


def crosshair(host):
    return host.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")


def nodes(host):
    return host.slicer.mrmlScene.GetNumberOfNodes()


def table(widget):
    return [[widget.item(r, c).text() for c in range(widget.columnCount)] for r in range(widget.rowCount)]


def test_the_series_is_filled_by_its_role(host, panel):
    assert panel.ui.seriesSelector.currentNode().GetName() == "TP1 DSC sequence"
    assert panel.ui.applyButton.enabled is True
    assert "TE 30 ms (series)" in panel.ui.protocolLabel.text
    assert "40 frames, 1.5 s each" in panel.ui.protocolLabel.text
    assert "AICc" in panel.ui.reasonLabel.text
    assert panel.ui.dcePage.isHidden() and not panel.ui.dscPage.isHidden()


def test_apply_makes_maps_with_roles(host, panel):
    from BMVascularLib.studyNodes import firstOf

    host.click(panel.ui.applyButton)
    assert host.messages.take() == []
    node = firstOf(host.slicer.mrmlScene, "nrcbv", "TP1")
    values = host.slicer.util.arrayFromVolume(node)
    assert np.nanmedian(values[:, 4:8, 4:8]) == pytest.approx(2.0, abs=0.3)
    assert node.GetName() == "TP1 rCBV (normalised) (ratio to white matter)"
    assert panel.ui.mapBox.currentText == "rCBV (normalised)"
    composite = host.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetForegroundVolumeID() == node.GetID()
    assert "CAPLEX" in panel.ui.methodsEdit.plainText
    assert "usable" in panel.ui.mapLabel.text
    assert "reload" not in panel.ui.warningsLabel.text or "Preload unknown" in panel.ui.warningsLabel.text


def test_cursor_is_followed(host, panel):
    panel.ui.followButton.checked = True
    host.process()
    assert host.messages.take() == []
    node = crosshair(host)
    spent = []
    for i in range(3, 20):
        start = time.perf_counter()
        node.SetCursorPositionRAS([-4.0 * i, -4.0 * 10, 5.0])
        spent.append(time.perf_counter() - start)
    assert "K1" in panel.ui.curveLabel.text and "±" in panel.ui.curveLabel.text
    assert np.median(spent) < 0.05
    chart = host.slicer.mrmlScene.GetFirstNodeByName("Time course")
    assert chart.GetNumberOfPlotSeriesNodes() == 5
    plots = host.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotViewNode")
    assert plots.GetPlotChartNodeID() == chart.GetID()


def test_a_missing_echo_time_is_asked_for(host, panel):
    host.clear()
    addDsc(host, None)
    panel = host.open("BMVPerfusion")
    assert panel.ui.applyButton.enabled is False
    assert "echo time is missing" in panel.ui.applyButton.toolTip
    assert panel.ui.protocolButton.collapsed is False
    panel.ui.teBox.value = 30.0
    assert panel.ui.applyButton.enabled is True
    assert "TE 30 ms (typed in)" in panel.ui.protocolLabel.text


def test_lesion_table(host, panel, tmp_path):
    host.clear()
    addDsc(host)
    addLesions(host)
    panel = host.open("BMVPerfusion")
    assert panel.ui.lesionsSelector.currentNode().GetName() == "TP1 lesions"
    host.click(panel.ui.applyButton)
    rows = table(panel.ui.lesionTable)
    assert rows[0][0] == "M1" and float(rows[0][1]) == pytest.approx(2.0, abs=0.3)
    assert rows[1][:2] == ["M2", "–"]
    assert "1 usable of 1" in panel.ui.lesionTable.item(1, 1).toolTip()
    host.messages.answer(str(tmp_path / "table.csv"))
    host.click(panel.ui.exportButton)
    text = (tmp_path / "table.csv").read_text()
    assert text.startswith("lesion,map,unit,median,se_median,p95")
    assert "M1,k2,1/s," in text


def test_cancel_leaves_the_scene_as_it_was(host, panel):
    before = nodes(host)
    timer = host.cancelNextProgress()
    host.click(panel.ui.applyButton)
    timer.stop()
    assert nodes(host) == before
    assert host.messages.take() == []
    assert panel.ui.mapBox.count == 0


def test_voxels_of_the_input_function_are_found_and_corrected(host, panel):
    from BMVascularLib.perfusionChoices import DscAif

    host.click(panel.ui.findAifButton)
    assert host.messages.take() == []
    p = panel._parameterNode
    found = p.aifPoints.GetNumberOfControlPoints()
    assert found > 0
    assert "quality" in panel.ui.aifLabel.text
    assert p.dscAif is DscAif.AUTO
    p.aifPoints.RemoveNthControlPoint(0)
    assert p.dscAif is DscAif.POINTS
    assert f"{found - 1} voxels marked by the user" in panel.ui.aifLabel.text
    place = panel.ui.aifPointsWidget.markupsPlaceWidget()
    place.setPlaceModeEnabled(True)
    host.place((-4.0 * 6, -4.0 * 6, 5.0))
    assert f"{found} voxels marked by the user" in panel.ui.aifLabel.text
    host.click(panel.ui.applyButton)
    assert f"{found} voxels marked by the user" in panel.ui.methodsEdit.plainText


def test_display_controls(host, panel):
    host.click(panel.ui.applyButton)
    node = panel._map()
    panel.ui.windowRange.setValues(0.5, 3.0)
    panel.ui.thresholdSlider.value = 0.8
    panel.ui.opacitySlider.value = 0.4
    shown = node.GetDisplayNode()
    assert (shown.GetLevel() - shown.GetWindow() / 2, shown.GetLevel() + shown.GetWindow() / 2) == (
        pytest.approx(0.5),
        pytest.approx(3.0),
    )
    assert shown.GetLowerThreshold() == pytest.approx(0.8)
    composite = host.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetForegroundOpacity() == pytest.approx(0.4)
    from BMVascularLib.display import legendOf

    assert legendOf(node).GetVisibility() == 1
    panel.ui.legendCheckBox.checked = False
    assert legendOf(node).GetVisibility() == 0
    panel.ui.flagsCheckBox.checked = True
    assert composite.GetLabelVolumeID() == panel.logic.maps(panel._parameterNode)[1].GetID()
    panel.ui.mapBox.setCurrentIndex(panel.ui.mapBox.findData("k2"))
    assert composite.GetForegroundVolumeID() == panel._map().GetID() != node.GetID()


def test_wrong_input_is_said_in_words_of_the_panel(host, panel, asPerson):
    panel.ui.timesEdit.text = "1.5, 3, 2"
    host.click(panel.ui.applyButton)
    said = host.messages.take()
    assert len(said) == 1 and "3 frame times for 40 frames" in said[0].text
    panel.ui.timesEdit.text = "two"
    host.click(panel.ui.applyButton)
    assert "'two' is no time" in host.messages.take()[0].text
    assert len(host.errors()) == 2


def test_an_impossible_repetition_time_is_named_as_in_the_panel(host, panel, small_patient, asPerson):
    host.clear()
    addPatient(host.slicer.mrmlScene, small_patient)
    panel = host.open("BMVPerfusion")
    panel.ui.kindBox.currentIndex = 1
    panel.ui.trBox.value = 1500.0
    panel.ui.followButton.checked = True
    assert "Repetition time: repetition time 1500 ms is implausible" in host.messages.take()[0].text
    assert panel.ui.followButton.checked is False
    assert len(host.errors()) == 1


def test_closing_the_scene_while_following(host, panel):
    panel.ui.followButton.checked = True
    host.process()
    crosshair(host).SetCursorPositionRAS([-40.0, -40.0, 5.0])
    host.clear()
    assert panel.ui.followButton.checked is False
    assert panel.ui.applyButton.enabled is False
    assert "Choose the DSC series" in panel.ui.applyButton.toolTip


def test_a_saved_scene_brings_results_back(host, panel, tmp_path):
    panel.ui.hematocritBox.value = 0.4
    host.click(panel.ui.applyButton)
    methods = panel.ui.methodsEdit.plainText
    file = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    assert panel.ui.mapBox.count == 0
    host.loadScene(file)
    assert panel._parameterNode.hematocrit == 0.4
    assert panel.ui.mapBox.currentText == "rCBV (normalised)"
    assert panel.ui.methodsEdit.plainText == methods
    host.click(panel.ui.applyButton)
    assert host.messages.take() == []


def test_apply_again_updates_the_same_maps(host, panel):
    host.click(panel.ui.applyButton)
    before = nodes(host)
    host.click(panel.ui.applyButton)
    assert nodes(host) == before


def test_enter_and_exit_leave_no_observer(host, panel):
    panel.ui.followButton.checked = True
    host.process()
    host.close()
    before = host.observers()
    watched = str(crosshair(host)).count("vtkPythonCommand")
    for _ in range(3):
        panel = host.open("BMVPerfusion")
        panel.ui.followButton.checked = True
        host.process()
        host.close()
    assert host.observers() == before
    assert str(crosshair(host)).count("vtkPythonCommand") == watched


def test_a_reloaded_panel_works(host, panel):
    new = host.reload("BMVPerfusion")
    assert new is not panel
    host.click(new.ui.applyButton)
    assert new.ui.mapBox.count > 5


def test_the_self_test_passes(host, panel):
    import sys

    test = sys.modules["BMVPerfusion"].BMVPerfusionTest()
    test.runTest()


def test_methods_are_copied(host, panel):
    host.click(panel.ui.applyButton)
    host.click(panel.ui.copyButton)
    assert host.slicer.app.clipboard().text() == panel.ui.methodsEdit.plainText


def test_flipping_between_kinds_takes_the_series_of_the_study(host, panel, small_patient):
    host.clear()
    nodes_ = addPatient(host.slicer.mrmlScene, small_patient)
    panel = host.open("BMVPerfusion")
    assert panel.ui.seriesSelector.currentNode() is nodes_["DSC"]
    panel.ui.kindBox.currentIndex = 1
    assert panel.ui.seriesSelector.currentNode() is nodes_["DCE"]
    assert panel.ui.dscPage.isHidden() and not panel.ui.dcePage.isHidden()
    panel.ui.seriesSelector.setCurrentNode(nodes_["DSC"])
    assert panel.ui.kindBox.currentIndex == 0


def test_permeability_of_the_simulated_patient(host, panel, small_patient):
    from BMVascularLib.studyNodes import firstOf

    host.clear()
    scene = host.slicer.mrmlScene
    nodes_ = addPatient(scene, small_patient)
    panel = host.open("BMVPerfusion")
    panel.ui.kindBox.currentIndex = 1
    panel.ui.delayCheckBox.checked = False
    host.click(panel.ui.applyButton)
    assert host.messages.take() == []
    # the head moved between T1c and series by a known transform: maps stand below the correction
    node = firstOf(scene, "ktrans", "TP1")
    assert node.GetParentTransformNode().GetName() == "TP1 DCE to T1c"
    truth = small_patient.timepoints[0].truth.volumes
    rows = {row[0]: float(row[1]) for row in table(panel.ui.lesionTable)}
    ktrans, inside = truth["perfusion_ktrans"].array, truth["perfusion_lesion"].array > 0.95
    labels = truth["labels"]
    from BMVascularLib.segments import labelsOfNode
    from BMVascularLib.volumes import geometryOfNode

    on, names = labelsOfNode(nodes_["lesions"], geometryOfNode(node))
    assert labels.array.max() == len(names)
    for label, name in names.items():
        where = (on.array == label) & inside
        if where.sum() >= 10:
            assert rows[name] == pytest.approx(float(np.median(ktrans[where])), rel=0.35)
    assert firstOf(scene, "t1map", "TP1") is not None
    # a second run finds everything where it was put, and changes nothing
    host.click(panel.ui.applyButton)
    again = {row[0]: float(row[1]) for row in table(panel.ui.lesionTable)}
    assert again == rows


def test_population_function_and_fixed_t1_are_named(host, panel, small_patient):
    host.clear()
    addPatient(host.slicer.mrmlScene, small_patient)
    panel = host.open("BMVPerfusion")
    panel.ui.kindBox.currentIndex = 1
    panel.ui.delayCheckBox.checked = False
    panel.ui.t1Box.currentIndex = 1
    panel.ui.t10Box.value = 1.2
    panel.ui.dceAifBox.currentIndex = panel.ui.dceAifBox.findText("population (Parker 2006)")
    host.click(panel.ui.applyButton)
    assert "Parker 2006" in panel.ui.methodsEdit.plainText
    assert "assumed T1 of 1.2 s" in panel.ui.methodsEdit.plainText
    assert "only relative" in panel.ui.warningsLabel.text


def test_missing_frame_times_are_asked_for(host, panel):
    host.clear()
    series = addDsc(host)
    # as Slicer's own import leaves it: frame numbers without a unit
    series.SetIndexUnit("")
    panel = host.open("BMVPerfusion")
    assert "frame times are missing" in panel.ui.applyButton.toolTip
    assert panel.ui.applyButton.enabled is False
    assert panel.ui.protocolButton.collapsed is False
    panel.ui.timesEdit.text = "1.5"
    assert "40 frames, 1.5 s each, 58.5 s in all (typed in)" in panel.ui.protocolLabel.text
    host.click(panel.ui.applyButton)
    assert panel.ui.mapBox.count > 5


def lesionsOfPatient(host, patient, shift):
    """Table of the DSC run, with T1c and lesions placed in planning space by a shift."""
    import vtk

    from BMVascularLib.perfusionNodes import exclusionOf

    host.clear()
    scene = host.slicer.mrmlScene
    nodes_ = addPatient(scene, patient)
    if shift:
        above = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "T1c to CT")
        matrix = vtk.vtkMatrix4x4()
        matrix.SetElement(0, 3, shift)
        above.SetMatrixTransformToParent(matrix)
        for name in ("T1c", "lesions"):
            nodes_[name].SetAndObserveTransformNodeID(above.GetID())
    panel = host.open("BMVPerfusion")
    panel.ui.motionBox.currentIndex = 2
    host.click(panel.ui.applyButton)
    chain = []
    above = panel._map().GetParentTransformNode()
    while above is not None:
        chain.append(above.GetName())
        above = above.GetParentTransformNode()
    return table(panel.ui.lesionTable), chain, exclusionOf(nodes_["lesions"], nodes_["DSC"])


def test_maps_follow_the_t1c_into_planning_space(host, panel, small_patient):
    here, chain, exclude = lesionsOfPatient(host, small_patient, 0.0)
    assert chain == ["TP1 DSC to T1c"]
    there, chain, moved = lesionsOfPatient(host, small_patient, 35.0)
    assert chain == ["TP1 DSC to T1c", "T1c to CT"]
    assert there == here
    assert exclude.sum() > 500 and (exclude == moved).mean() > 0.999


def test_exclusion_knows_a_motion_that_the_scene_does_not_know_yet(host, panel, small_patient):
    from BMVascularLib import perfusionNodes

    host.clear()
    nodes_ = addPatient(host.slicer.mrmlScene, small_patient)
    series = perfusionNodes.readSeries(nodes_["DSC"])
    motion = perfusionNodes.alignmentOf(nodes_["DSC"], series, nodes_["T1c"])
    before = perfusionNodes.exclusionOf(nodes_["lesions"], nodes_["DSC"], motion, nodes_["T1c"])
    truth = small_patient.timepoints[0].truth.volumes["perfusion_lesion"].array > 0.5
    # shares of lesion in single voxels beyond the labels stay outside
    assert before[truth].mean() > 0.97
    bare = perfusionNodes.exclusionOf(nodes_["lesions"], nodes_["DSC"], margin_mm=0.0)
    moved = perfusionNodes.exclusionOf(nodes_["lesions"], nodes_["DSC"], motion, nodes_["T1c"], margin_mm=0.0)

    def overlap(mask):
        return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())

    assert overlap(moved) > overlap(bare) and overlap(moved) > 0.9
