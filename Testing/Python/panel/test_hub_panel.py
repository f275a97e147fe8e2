"""The hub, driven as a person would: from a DICOM folder to the report."""

import json

import numpy as np
import pytest

from BMVascularLib import studyNodes


@pytest.fixture
def hub(host, module):
    """The hub's panel in an empty scene."""
    return module("BMVascular").open("BMVascular")


def states(panel):
    """Step to state, as the table shows them."""
    table = panel.ui.stepsTable
    return {
        table.item(n, 0).text().removeprefix("▶ "): table.item(n, 1).text() for n in range(table.rowCount)
    }


def nextStep(panel):
    """The marked step."""
    table = panel.ui.stepsTable
    marked = [
        table.item(n, 0).text() for n in range(table.rowCount) if table.item(n, 0).text().startswith("▶")
    ]
    return marked[0].removeprefix("▶ ") if marked else None


def seriesRow(panel, name):
    """Row number of a series."""
    table = panel.ui.rolesTable
    return next(n for n in range(table.rowCount) if table.item(n, 0).text() == name)


def load(host, panel, path):
    panel.ui.studyPath.currentPath = str(path)
    host.click(panel.ui.loadButton)


def addVolume(host, name, shape=(6, 7, 8)):
    return host.slicer.util.addVolumeFromArray(
        np.arange(np.prod(shape), dtype=np.int16).reshape(shape), name=name
    )


def addSequence(host, name, count=12, attributes=()):
    """A sequence as Slicer's DICOM import leaves it: frame numbers as index, times in attributes."""
    slicer = host.slicer
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("")
    sequence.SetIndexUnit("")
    volume = addVolume(host, f"{name} frame")
    for n in range(count):
        sequence.SetDataNodeAtValue(volume, str(n))
    slicer.mrmlScene.RemoveNode(volume)
    for key, value in dict(attributes).items():
        sequence.SetAttribute(key, value)
    return sequence


MULTIVOLUME = {
    "MultiVolume.FrameIdentifyingDICOMTagName": "AcquisitionTime",
    "MultiVolume.FrameIdentifyingDICOMTagUnits": "ms",
    "MultiVolume.FrameFileList": "/home/somebody/a.dcm,/home/somebody/b.dcm",
    "MultiVolume.DICOM.EchoTime": "30",
    "MultiVolume.DICOM.FlipAngle": "60",
}


def labels(times_s):
    return {"MultiVolume.FrameLabels": ",".join(f"{1000 * t:.0f}" for t in times_s)}


def test_an_empty_scene_asks_for_a_study(hub):
    assert nextStep(hub) == "Study"
    assert states(hub)["Lesions"] == "missing input"
    assert hub.ui.openButton.text == "Open Study"


def test_no_folder_is_a_message(host, hub):
    host.click(hub.ui.loadButton)
    assert "no folder is chosen" in str(host.errors()[0])


def test_a_dicom_folder_becomes_series_with_roles(host, hub, study_folder):
    load(host, hub, study_folder)
    table = hub.ui.rolesTable
    names = [table.item(n, 0).text() for n in range(table.rowCount)]
    assert {"TP1 T1c", "TP2 T1c", "TP1 DSC", "TP1 DCE", "Planning CT"} <= set(names)
    row = seriesRow(hub, "TP1 DSC")
    assert table.cellWidget(row, 1).currentText == "DSC"
    assert "60 x 1.5 s" in table.item(row, 3).text()
    assert "frames" in table.item(row, 4).text()
    assert nextStep(hub) == "Lesions"
    assert states(hub)["Study"] == "done"
    seeds = studyNodes.firstOf(host.slicer.mrmlScene, "seeds", "TP1")
    assert seeds.GetNumberOfControlPoints() > 0
    context = json.loads(studyNodes.firstOf(host.slicer.mrmlScene, studyNodes.CONTEXT, "TP1").GetText())
    assert context["protocol"]["preload"] is False


def test_cancel_in_mid_load_leaves_the_scene_as_it_was(host, hub, study_folder):
    scene = host.slicer.mrmlScene
    before = scene.GetNumberOfNodes()
    host.cancelNextProgress(atLeast=45)
    load(host, hub, study_folder)
    assert studyNodes.nodesOf(scene) == []
    assert hub.ui.rolesTable.rowCount == 0
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0
    assert scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode") == 0
    assert studyNodes.subjectHierarchy(scene).GetNumberOfItems() == 0
    assert scene.GetNumberOfNodes() <= before + 1  # the hub's own parameter node


def test_the_simulated_patient_comes_with_one_click(host, hub):
    host.click(hub.ui.simulateButton)
    assert nextStep(hub) == "Lesions"
    assert "no real person" in hub.ui.simulateButton.toolTip.replace("No", "no")
    assert studyNodes.firstOf(host.slicer.mrmlScene, "DSC", "TP2") is not None
    assert "simulated" in hub.ui.rolesTable.item(0, 4).text()


def test_what_is_in_the_scene_gets_roles(host, hub):
    addVolume(host, "T1 post Gd")
    addVolume(host, "FLAIR axial")
    times = np.arange(12) * 1.5
    sequence = addSequence(host, "DSC perfusion", attributes=MULTIVOLUME | labels(times))
    host.click(hub.ui.sceneButton)
    scene = host.slicer.mrmlScene
    assert studyNodes.firstOf(scene, "T1c", "TP1").GetName() == "T1 post Gd"
    assert studyNodes.firstOf(scene, "DSC") is sequence
    assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("time", "s")
    assert float(sequence.GetNthIndexValue(3)) == pytest.approx(4.5)
    assert sequence.GetAttribute("MultiVolume.FrameFileList") is None
    assert "AcquisitionTime" in hub.ui.rolesTable.item(seriesRow(hub, "DSC perfusion"), 3).text()
    assert nextStep(hub) == "Lesions"


def test_a_sequence_without_times_asks_for_the_frame_time(host, hub):
    sequence = addSequence(host, "DCE dynamic")
    host.click(hub.ui.sceneButton)
    assert "frame times" in hub.ui.problemsLabel.text
    assert hub.ui.frameTimeButton.enabled is False
    hub.ui.rolesTable.selectRow(seriesRow(hub, "DCE dynamic"))
    assert "Type the frame time" in hub.ui.doubtsLabel.text
    hub.ui.frameTimeBox.value = 5.0
    host.click(hub.ui.frameTimeButton)
    assert float(sequence.GetNthIndexValue(11)) == pytest.approx(55.0)
    assert "given by the user" in hub.ui.rolesTable.item(seriesRow(hub, "DCE dynamic"), 3).text()


@pytest.mark.parametrize(
    ("times", "word"),
    [
        (np.arange(12) * 0.005, "repetition time"),
        (np.arange(12) * 1500.0, "milliseconds"),
        (np.cumsum([0, *[1, 2.5] * 5, 1]), "uneven"),
    ],
)
def test_suspicious_times_are_flagged(host, hub, times, word):
    addSequence(host, "DSC perfusion", attributes=MULTIVOLUME | labels(times))
    host.click(hub.ui.sceneButton)
    assert word in hub.ui.doubtsLabel.text


def test_the_clock_past_midnight_is_mended(host, hub):
    times = (86395.0 + np.arange(12) * 1.5) % 86400.0
    sequence = addSequence(host, "DSC perfusion", attributes=MULTIVOLUME | labels(times))
    host.click(hub.ui.sceneButton)
    assert float(sequence.GetNthIndexValue(11)) == pytest.approx(16.5)


def test_one_click_changes_a_role_and_the_reason(host, hub):
    node = addVolume(host, "Volume_7")
    host.click(hub.ui.sceneButton)
    assert nextStep(hub) == "Study"
    hub.ui.rolesTable.cellWidget(0, 1).setCurrentText("T1c")
    host.process(0.05)
    assert studyNodes.roleOf(node) == "T1c"
    assert hub.ui.rolesTable.item(0, 4).text() == "set by the reader"
    assert nextStep(hub) == "Lesions"


def test_a_role_that_cannot_be_is_refused_and_stays(host, hub):
    node = addVolume(host, "T1 post Gd")
    host.click(hub.ui.sceneButton)
    hub.ui.rolesTable.cellWidget(0, 1).setCurrentText("DSC")
    host.process(0.05)
    assert "is a single image" in str(host.errors()[0])
    assert studyNodes.roleOf(node) == "T1c"
    assert hub.ui.rolesTable.cellWidget(0, 1).currentText == "T1c"


def test_the_protocol_says_what_no_preload_at_flip_60_means(host, hub):
    addVolume(host, "T1 post Gd")
    addSequence(host, "DSC perfusion", attributes=MULTIVOLUME | labels(np.arange(12) * 1.5))
    host.click(hub.ui.sceneButton)
    hub.ui.preloadBox.currentIndex = 2
    hub.onPreload(2)
    table = hub.ui.protocolTable
    row = next(n for n in range(table.rowCount) if table.item(n, 2).text() == "Flip angle without preload")
    table.selectRow(row)
    assert "rCBV" in hub.ui.meaningLabel.text and "PSR stays usable" in hub.ui.meaningLabel.text
    assert "Boxerman" in hub.ui.meaningLabel.text
    shown = table.rowCount
    host.click(hub.ui.deviationsOnly)
    assert table.rowCount > shown
    hub.ui.preloadBox.currentIndex = 1
    hub.onPreload(1)
    assert not any("without preload" in table.item(n, 2).text() for n in range(table.rowCount))


def test_a_changed_input_makes_its_result_out_of_date(host, hub, filled):
    scene = host.slicer.mrmlScene
    for label in ("TP1", "TP2"):
        lesions = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{label} lesions")
        studyNodes.setRole(lesions, "lesions", label, "test")
    hub.refresh()
    assert states(hub)["Lesions"] == "done"
    t1c = filled["TP1", "T1c"]
    host.slicer.util.updateVolumeFromArray(t1c, host.slicer.util.arrayFromVolume(t1c) + 1)
    hub.refresh()
    assert states(hub)["Lesions"] == "out of date"
    row = [hub.ui.stepsTable.item(1, n).text() for n in range(3)]
    assert row[2] == "TP1: T1c changed since"
    assert nextStep(hub) == "Lesions"
    studyNodes.firstOf(scene, "lesions", "TP1").GetSegmentation().AddEmptySegment("M1", "M1")
    hub.refresh()
    assert states(hub)["Lesions"] == "done"


def test_moving_a_study_makes_nothing_out_of_date(host, hub, filled):
    scene = host.slicer.mrmlScene
    lesions = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "TP1 lesions")
    studyNodes.setRole(lesions, "lesions", "TP1", "test")
    hub.refresh()
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "to CT")
    filled["TP1", "T1c"].SetAndObserveTransformNodeID(transform.GetID())
    hub.refresh()
    assert states(hub)["Lesions"] != "out of date"


def test_a_missing_step_cannot_be_opened(host, hub, filled):
    hub.refresh()
    hub.ui.stepsTable.selectRow(3)
    assert hub.ui.openButton.enabled is False
    assert "Segment lesions first" in hub.ui.openButton.toolTip


def addLesion(host, filled):
    """A ball at the first seed, as the lesions of TP1."""
    from BMVascularCore.volume import Volume
    from BMVascularLib.seeds import seedsOfNode
    from BMVascularLib.segments import addSegmentation
    from BMVascularLib.volumes import geometryOfNode

    name, ras, _ = seedsOfNode(filled["TP1", "seeds"])[0]
    geometry = geometryOfNode(filled["TP1", "T1c"])
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1)
    center = np.array([-ras[0], -ras[1], ras[2]])
    near = np.linalg.norm(geometry.points_of(index.reshape(-1, 3)) - center, axis=1) < 6.0
    labels_ = Volume(near.reshape(geometry.shape).astype(np.int32), geometry)
    segments = [{"label": 1, "name": name, "color": (1, 0, 0), "kind": "metastasis"}]
    node = addSegmentation(host.slicer.mrmlScene, labels_, segments, "TP1 lesions", filled["TP1", "T1c"])
    studyNodes.setRole(node, "lesions", "TP1", "test")
    return node


def test_the_report_holds_lesions_notes_and_protocol(host, hub, filled, tmp_path):
    addLesion(host, filled)
    hub.refresh()
    hub.ui.notesEdit.plainText = "Seen with <the board>"
    hub.ui.picturesBox.checked = False
    hub.ui.reportFolder.directory = str(tmp_path)
    host.click(hub.ui.writeButton)
    page = (tmp_path / "BMVascular-report-1" / "report.html").read_text()
    assert "Seen with &lt;the board&gt;" in page
    assert "M1" in page and "Protocol check" in page and "BTIP-BM" in page
    assert "Simulated data" in page
    assert states(hub)["Report"] == "done"
    assert str(tmp_path) not in page
    host.click(hub.ui.writeButton)
    assert (tmp_path / "BMVascular-report-2" / "report.html").is_file()


def test_the_report_shows_the_planning(host, hub, filled, tmp_path):
    from BMVascularLib.tables import addTable

    addLesion(host, filled)
    targets = addLesion(host, filled)
    studyNodes.setRole(targets, "targets", "TP1", "test")
    table = addTable(host.slicer.mrmlScene, [{"name": "M1", "gtv_ml": 0.9, "ptv_ml": 1.8}], "targets table")
    studyNodes.setRole(table, "targets table", "TP1", "test")
    page = hub.logic.writeReport(str(tmp_path), "Study", "", False)
    text = page.read_text()
    assert "Radiosurgery planning" in text and "1.8" in text
    assert (page.parent / "planning" / "targets.nrrd").is_file()


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz"])
def test_one_file_is_loaded_with_a_role(host, hub, tmp_path, ending):
    from BMVascularCore.io import write_volume
    from BMVascularCore.volume import Geometry, Volume

    file = tmp_path / f"T1_post_gd{ending}"
    write_volume(file, Volume(np.ones((4, 5, 6), np.float32), Geometry((4, 5, 6), (1.0, 1.0, 1.0))))
    load(host, hub, file)
    assert studyNodes.firstOf(host.slicer.mrmlScene, "T1c", "TP1") is not None
    assert nextStep(hub) == "Lesions"


def test_a_study_without_contrast_is_loaded_all_the_same(host, hub, study_folder, tmp_path):
    import shutil

    for folder in (study_folder / "DICOM" / "TP1").iterdir():
        if folder.name.endswith(("FLAIR", "T1")):
            shutil.copytree(folder, tmp_path / folder.name)
    load(host, hub, tmp_path)
    assert hub.ui.rolesTable.rowCount == 2
    assert nextStep(hub) == "Study"


def test_a_changed_result_makes_the_report_out_of_date(host, hub, filled, tmp_path):
    lesions = addLesion(host, filled)
    hub.refresh()
    hub.ui.picturesBox.checked = False
    hub.ui.reportFolder.directory = str(tmp_path)
    host.click(hub.ui.writeButton)
    lesions.GetSegmentation().GetNthSegment(0).SetName("renamed")
    hub.refresh()
    assert states(hub)["Report"] == "out of date"


def test_a_cancelled_report_leaves_no_folder(host, hub, filled, tmp_path):
    addLesion(host, filled)
    hub.refresh()
    hub.ui.picturesBox.checked = False
    hub.ui.reportFolder.directory = str(tmp_path)
    host.cancelNextProgress(atLeast=10)
    host.click(hub.ui.writeButton)
    assert list(tmp_path.iterdir()) == []
    assert states(hub)["Report"] == "ready"


def test_a_saved_scene_brings_roles_notes_and_steps_back(host, hub, filled, tmp_path):
    hub.refresh()
    hub.ui.titleEdit.text = "Second reading"
    before = states(hub)
    rows = hub.ui.rolesTable.rowCount
    file = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    assert hub.ui.rolesTable.rowCount == 0
    host.loadScene(file)
    assert hub.ui.titleEdit.text == "Second reading"
    assert (states(hub), hub.ui.rolesTable.rowCount) == (before, rows)
    assert "simulated" in hub.ui.rolesTable.item(0, 4).text()


def test_the_sample_data_module_offers_the_simulated_patient(host, module, monkeypatch):
    import sys
    import types

    offered = []

    class Logic:
        @staticmethod
        def registerCustomSampleDataSource(**facts):
            offered.append(facts)

    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=Logic))
    module("BMVascular")
    host.finishStartup()
    assert {facts["category"] for facts in offered} == {"BMVascular"}
    assert len({facts["sampleName"] for facts in offered}) == 2
    assert all(len(f["uris"]) == len(f["fileNames"]) == len(f["nodeNames"]) == 0 for f in offered)


def test_the_self_test_of_the_module_passes(host, module):
    import unittest

    module("BMVascular")
    import BMVascular

    result = unittest.TestResult()
    case = BMVascular.BMVascularTest()
    case.run(result) if not hasattr(case, "runTest") else case.runTest()
    assert result.wasSuccessful()


def test_every_control_says_what_it_does(host, hub, root):
    import xml.etree.ElementTree as ElementTree

    tree = ElementTree.parse(root / "BMVascular/Resources/UI/BMVascular.ui")
    silent = [
        w.get("name") for w in tree.iter("widget")
        if w.get("class") != "qMRMLWidget" and not any(p.get("name") == "toolTip" for p in w.findall("property"))
    ]  # fmt: skip
    assert silent == []
