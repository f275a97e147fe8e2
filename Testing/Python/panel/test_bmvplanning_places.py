"""The planning panel: which image the lesions belong to, moved by hand, drawn on the planning image, accepted and not."""

import numpy as np
import planning_cases
import planning_foreign as foreign
import planning_scene as case
import pydicom
import pytest
from planning_scene import by_heading, cells

FRAME = "1.2.3"


def centres(lesions):
    from BMVascularLib.planningNodes import centresRas

    return {name: np.array(ras) * (-1, -1, 1) for name, ras in centresRas(lesions).items()}


def other_timepoint(host, planning):
    """A second T1 with lesions of its own, as role and time point say."""
    from BMVascularCore.volume import Volume
    from BMVascularLib.segments import addSegmentation
    from BMVascularLib.studyNodes import addImage, setRole

    scene, grid = host.slicer.mrmlScene, case.ct_grid()
    t1 = addImage(scene, Volume(np.ones(grid.shape, np.float32), grid), "T1c", "TP2")
    ball = (case.distance(grid, (0, 0, 0)) < 4).astype(np.uint8)
    facts = [{"label": 1, "name": "M9", "color": (1.0, 0.3, 0.2), "kind": "metastasis", "id": "M9"}]
    lesions = addSegmentation(scene, Volume(ball, grid), facts, "TP2 lesions", t1)
    setRole(lesions, "lesions", "TP2")
    return t1, lesions


def test_another_t1_can_be_chosen_and_brings_its_lesions(host, planning):
    t1, lesions = other_timepoint(host, planning)
    planning.ui.t1cSelector.setCurrentNode(t1)
    assert planning.ui.t1cSelector.currentNode() is t1
    assert planning.ui.lesionsSelector.currentNode() is lesions
    planning.ui.t1cSelector.setCurrentNode(planning.nodes["T1c"])
    assert planning.ui.lesionsSelector.currentNode() is planning.nodes["lesions"]


def test_leaving_while_a_mixed_picture_is_shown_leaves_ct_and_t1_in_the_views(host, fused):
    for box in (fused.ui.checkerboardBox, fused.ui.spyGlassBox):
        host.open("BMVPlanning")
        box.checked = True
        host.close()
        for composite in host.slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            assert composite.GetBackgroundVolumeID() == fused.nodes["CT"].GetID()
            assert composite.GetForegroundVolumeID() == fused.nodes["T1c"].GetID()
            assert composite.GetForegroundOpacity() == pytest.approx(0.5)


def test_an_acceptance_can_be_withdrawn(host, fused):
    ui = fused.ui
    assert ui.withdrawButton.enabled is False
    ui.lookedSkullBox.checked = True
    host.click(ui.acceptButton)
    host.click(ui.withdrawButton)
    assert ui.acceptedLabel.text == "Not accepted yet."
    assert fused.logic.acceptanceRows(fused.nodes["T1c"]) == []
    assert ui.lookedSkullBox.checked is False and ui.withdrawButton.enabled is False


def push(node, ras):
    """Move a transform as its handles do."""
    from BMVascularLib.volumes import vtkMatrix

    matrix = vtkMatrix(np.eye(4))
    node.GetMatrixTransformToParent(matrix)
    for axis, mm in enumerate(ras):
        matrix.SetElement(axis, 3, matrix.GetElement(axis, 3) + mm)
    node.SetMatrixTransformToParent(matrix)


def test_a_t1_moved_by_hand_is_where_the_search_starts(host, planning):
    ui, nodes = planning.ui, planning.nodes
    ui.handButton.checked = True
    by_hand = nodes["T1c"].GetParentTransformNode()
    for name in ("FLAIR", "lesions"):
        assert nodes[name].GetParentTransformNode() is by_hand
    shown = by_hand.GetDisplayNode()
    assert shown.GetEditorVisibility() and not shown.GetEditorScalingEnabled()
    assert ui.startHereBox.checked is True
    push(by_hand, (5.0, 1.0, -2.0))
    # 5 mm to the right is -5 mm in LPS: what is left of the way
    left = case.MOVED_MM + np.array((-5.0, -1.0, -2.0))
    seen = {}

    def look(fixed, moving, progress=None, initial=None):
        seen["start"], seen["origin"] = initial, np.array(moving.geometry.origin_mm)
        return case.registration(moved=left)(fixed, moving, progress=progress)

    planning.logic.registerWith = look
    host.click(ui.fuseButton)
    assert np.allclose(seen["start"].TransformPoint((1.0, 2.0, 3.0)), (1.0, 2.0, 3.0))
    assert np.allclose(seen["origin"], np.array((-32.0,) * 3) + left)
    assert ui.handButton.checked is False and not shown.GetEditorVisibility()
    for name, centre in centres(nodes["lesions"]).items():
        assert np.abs(centre - case.BALLS[name][1]).max() < 0.2
    assert ui.verdictLabel.text.startswith("PASS")


def test_moving_a_fused_t1_takes_its_verdict_away_until_it_is_fused_again(host, planned, told):
    ui, nodes = planned.ui, planned.nodes
    ui.lookedSkullBox.checked = True
    ui.handButton.checked = True
    by_hand = nodes["T1c"].GetParentTransformNode().GetParentTransformNode()
    push(by_hand, (0.0, 0.0, 0.5))
    ui.handButton.checked = False
    assert ui.verdictLabel.text.startswith("FAIL") and "changed after it was measured" in ui.verdictLabel.text
    assert ui.acceptButton.enabled is False
    assert "changed after it was measured" in planned.logic.exportRefusal(
        nodes["CT"], nodes["T1c"], nodes["lesions"]
    )
    seen = {}

    def look(fixed, moving, progress=None, initial=None):
        seen["start"], seen["origin"] = initial, np.array(moving.geometry.origin_mm)
        return case.registration()(fixed, moving, progress=progress)

    planned.logic.registerWith = look
    host.click(ui.fuseButton)
    # the image as it was acquired; the start holds the fusion and what was moved by hand
    assert np.allclose(seen["origin"], np.array((-32.0,) * 3) + case.MOVED_MM)
    assert np.allclose(seen["start"].TransformPoint((0.0, 0.0, 0.0)), case.MOVED_MM - (0.0, 0.0, 0.5))
    for name, centre in centres(nodes["lesions"]).items():
        assert np.abs(centre - case.BALLS[name][1]).max() < 0.2
    assert ui.verdictLabel.text.startswith("PASS")


def test_a_fusion_with_another_ct_does_not_count(host, planned):
    from BMVascularCore.volume import Volume
    from BMVascularLib.studyNodes import addImage

    blank = Volume(np.zeros(case.ct_grid().shape, np.int16), case.ct_grid(), "CT", {"modality": "CT"})
    other = addImage(host.slicer.mrmlScene, blank, "CT", "Old")
    ui = planned.ui
    ui.ctSelector.setCurrentNode(other)
    assert "FAIL" in ui.verdictLabel.text and "was fused with Planning CT" in ui.verdictLabel.text
    assert ui.acceptButton.enabled is False
    assert "nothing is exported" in planned.logic.exportRefusal(
        other, planned.nodes["T1c"], planned.nodes["lesions"]
    )
    host.click(ui.fuseButton)
    assert ui.verdictLabel.text.startswith("PASS")


def test_two_t1s_without_a_time_point_have_a_fusion_each(host, planning):
    ui, nodes = planning.ui, planning.nodes
    for node in nodes.values():
        node.RemoveAttribute("BMVascular.Role")
        node.RemoveAttribute("BMVascular.TimePoint")
    host.click(ui.fuseButton)
    first = nodes["T1c"].GetParentTransformNode()
    assert nodes["FLAIR"].GetParentTransformNode() is None
    ui.t1cSelector.setCurrentNode(nodes["FLAIR"])
    assert ui.verdictLabel.text == "Not fused yet."
    planning.logic.registerWith = case.registration(moved=np.array((9.0, 0.0, 0.0)))
    ui.lesionsSelector.setCurrentNode(None)
    host.click(ui.fuseButton)
    assert nodes["FLAIR"].GetParentTransformNode() is not first
    for name, centre in centres(nodes["lesions"]).items():
        assert np.abs(centre - case.BALLS[name][1]).max() < 0.2


def test_two_lesions_of_one_name_are_refused(host, fused, told):
    fused.nodes["lesions"].GetSegmentation().GetSegment("M2").SetName("m1 ")
    host.click(fused.ui.targetsButton)
    assert "two lesions have this name" in told()
    assert fused.logic.targets(fused.nodes["lesions"]) is None


def test_lesions_drawn_over_the_fused_t1_stay_where_they_are_when_it_is_fused_again(host, fused):
    from BMVascularLib.studyNodes import setRole

    own = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn over the fused T1")
    own.Copy(fused.nodes["lesions"])
    own.HardenTransform()
    setRole(own, "", "")
    before = centres(own)
    fused.ui.lesionsSelector.setCurrentNode(own)
    host.click(fused.ui.fuseButton)
    assert own.GetParentTransformNode() is fused.nodes["T1c"].GetParentTransformNode()
    for name, centre in centres(own).items():
        assert np.abs(centre - before[name]).max() < 1e-3


@pytest.fixture
def ct_folder(tmp_path):
    headers = planning_cases.image_headers(np.arange(64) - 32.0, FrameOfReferenceUID=FRAME)
    return planning_cases.write_series(tmp_path / "ct", headers)


def test_contours_on_the_planning_image_become_targets_and_leave_without_a_fusion(
    host, planning, ct_folder, tmp_path
):
    ui, centre = planning.ui, np.array((3.0, -5.0, 4.0))
    rings = planning_cases.sphere_contours(9.0, 1.0, tuple(centre))
    rois = [("TV", "GTV", foreign.closed(rings)), ("Chiasm", "ORGAN", foreign.closed(rings[:3]))]
    ui.structuresPath.currentPath = str(foreign.write_structures(tmp_path / "rs.dcm", rois, frame=FRAME))
    host.click(ui.structuresButton)
    ui.contourBox.setCurrentText("TV")
    host.click(ui.lesionButton)
    assert ui.lesionsSelector.currentNode().GetName() == "Lesions drawn on the planning image"
    assert ui.verdictLabel.text.startswith("PASS (one image)")
    host.click(ui.targetsButton)
    row = by_heading(ui.targetsTable)[0]
    assert row["Lesion"] == "TV"
    # contours of 1 mm distance, each reaching half-way to the next
    assert float(row["GTV mL"]) == pytest.approx(case.ball_ml(9.0), rel=0.02)
    assert float(row["PTV mL"]) == pytest.approx(case.ball_ml(11.0), rel=0.06)
    assert np.abs(centres(planning._parameterNode.lesions)["TV"] - centre).max() < 0.1
    ui.ctFolderButton.directory = str(ct_folder)
    ui.outFolderButton.directory = str(tmp_path / "out")
    host.click(ui.previewButton)
    states = {row["File"]: row["Check"] for row in by_heading(ui.exportTable)}
    assert states["rtstruct.dcm"].startswith("passed") and states["seg.dcm"].startswith("passed")
    assert states["reg.dcm"] == "not written"
    assert "not needed, the lesions were drawn on this image" in ui.exportDetails.plainText
    host.click(ui.exportButton)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["rtstruct.dcm", "seg.dcm"]
    data = pydicom.dcmread(tmp_path / "out/seg.dcm")
    assert data.FrameOfReferenceUID == FRAME and [s.SegmentLabel for s in data.SegmentSequence] == ["TV"]


def test_the_same_image_as_plan_and_t1_needs_no_fusion(host, planning):
    ui = planning.ui
    ui.ctSelector.setCurrentNode(planning.nodes["T1c"])
    assert ui.fuseButton.enabled is False and "nothing to fuse" in ui.fuseButton.toolTip
    assert ui.verdictLabel.text.startswith("PASS (one image)")
    assert ui.acceptButton.enabled is False and ui.checkerboardBox.enabled is False
    host.click(ui.targetsButton)
    assert [row[0] for row in cells(ui.targetsTable)] == ["M1", "M2"]


class Database:
    """What Slicer's DICOM database answers for the series of a volume."""

    def __init__(self, files):
        self.values = {str(pydicom.dcmread(f).SOPInstanceUID): f for f in sorted(files)}

    def fileForInstance(self, uid):
        return str(self.values.get(uid, ""))

    def instanceValue(self, uid, tag):
        element = pydicom.dcmread(self.values[uid]).get(tuple(int(part, 16) for part in tag.split(",")))
        return "" if element is None else str(element.value)


def test_series_from_the_dicom_database_need_no_folder_and_keep_their_frame(
    host, planned, told, monkeypatch, ct_folder, tmp_path
):
    database = Database(ct_folder.iterdir())
    monkeypatch.setattr(host.slicer, "dicomDatabase", database, raising=False)
    ct = planned.nodes["CT"]
    # as Slicer's own reader leaves it: no fact of ours
    ct.RemoveAttribute("BMVascular.frame_of_reference_uid")
    ct.SetAttribute("DICOM.instanceUIDs", " ".join(database.values))
    planned.refreshAll()
    assert planned.folders["ct"] == str(ct_folder) and planned.ui.previewButton.enabled is True
    file = foreign.write_dose(tmp_path / "d.dcm", lambda p: 1.0 + 0 * p[..., 0], half_mm=8.0, frame="9.9.9")
    planned.ui.dosePath.currentPath = str(file)
    host.click(planned.ui.doseButton)
    assert "another scan" in told()


def test_landmarks_and_isocentre_are_clicked_from_the_panel(host, planned):
    scene, ui = host.slicer.mrmlScene, planned.ui
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "isocentre")
    ui.isocentreSelector.setCurrentNode(node)
    before = cells(ui.targetsTable)[0][7]
    ui.isocentrePlaceWidget.setPlaceModeEnabled(True)
    r, a, s = case.BALLS["M1"][1] * (-1, -1, 1)
    host.place((float(r), float(a), float(s)))
    host.process()
    # at once, without another choice
    assert float(cells(ui.targetsTable)[0][7]) < 0.2 < float(before)
    places = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "CT places")
    ui.ctLandmarksSelector.setCurrentNode(places)
    ui.ctPlaceWidget.setPlaceModeEnabled(True)
    for point in ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)):
        host.place(point)
    assert places.GetNumberOfControlPoints() == 2
    host.close()
    with pytest.raises(RuntimeError):
        host.place((0.0, 0.0, 0.0))


def test_slicer_rt_finds_dose_and_structures_below_one_study_with_its_unit(host, planned):
    from BMVascularLib.scene import subjectHierarchy

    scene = host.slicer.mrmlScene
    dose, targets = case.add_dose(scene), planned.logic.targets(planned.nodes["lesions"])
    planned.logic.handToSlicerRt(dose, planned.nodes["lesions"], None)
    hierarchy = subjectHierarchy(scene)
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(dose))
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(targets)) == study
    assert hierarchy.GetItemAttribute(study, "DicomRtImport.DoseUnitName") == "GY"
    assert float(hierarchy.GetItemAttribute(study, "DicomRtImport.DoseUnitValue")) == 1.0
    assert dose.GetAttribute("DicomRtImport.DoseVolume") == "1"
