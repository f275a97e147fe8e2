"""The planning panel, driven as a person would: fuse, look, accept, targets, organs, dose."""

import time

import numpy as np
import planning_scene as case
import pytest
import SimpleITK as sitk
from planning_scene import cells

from BMVascularCore.errors import InputError


def test_inputs_are_found_by_role(planning):
    assert planning.ui.ctSelector.currentNode() is planning.nodes["CT"]
    assert planning.ui.t1cSelector.currentNode() is planning.nodes["T1c"]
    assert planning.ui.lesionsSelector.currentNode() is planning.nodes["lesions"]
    assert planning.ui.fuseButton.enabled is True
    assert planning.ui.prescriptionEdit.text == ""


def test_without_a_ct_the_button_says_why(host, planning):
    planning.ui.ctSelector.setCurrentNode(None)
    assert planning.ui.fuseButton.enabled is False
    assert "planning CT" in planning.ui.fuseButton.toolTip


def test_fusion_moves_the_mr_and_never_the_ct(host, planning):
    from BMVascularLib.planningNodes import centresRas

    ct = host.slicer.util.arrayFromVolume(planning.nodes["CT"]).copy()
    host.click(planning.ui.fuseButton)
    fusion = planning.nodes["T1c"].GetParentTransformNode()
    assert fusion.GetAttribute("BMVascular.Role") == "fusion"
    for name in ("FLAIR", "lesions"):
        assert planning.nodes[name].GetParentTransformNode() is fusion
    assert planning.nodes["CT"].GetParentTransformNode() is None
    assert np.array_equal(host.slicer.util.arrayFromVolume(planning.nodes["CT"]), ct)
    centres = centresRas(planning.nodes["lesions"])
    for name, (_, centre) in case.BALLS.items():
        assert np.abs(np.array(centres[name]) * (-1, -1, 1) - centre).max() < 0.2
    assert planning.ui.verdictLabel.text.startswith("PASS (registered here)")


def test_residuals_are_shown_at_each_lesion(fused):
    rows = cells(fused.ui.fusionTable)
    assert [row[0] for row in rows] == ["M1", "M2"]
    # a spread of 0.1 mm, half a round trip of 0.2 mm, and what voxels of 1 mm hide: root of the sum of squares
    hidden = 0.06 + 0.016
    expected = np.sqrt(0.1**2 + 0.1**2 + hidden**2)
    assert [float(row[1]) for row in rows] == pytest.approx([expected] * 2, abs=0.006)
    assert [float(row[2]) for row in rows] == pytest.approx([1.61 * expected] * 2, abs=0.006)


def test_fusing_again_starts_from_where_the_mr_was(host, fused):
    fusion = fused.nodes["T1c"].GetParentTransformNode()
    seen = {}

    def look(fixed, moving, progress=None, initial=None):
        seen["initial"] = initial
        seen["origin"] = moving.geometry.origin_mm
        return case.registration()(fixed, moving, progress=progress)

    fused.logic.registerWith = look
    host.click(fused.ui.fuseButton)
    assert np.allclose(seen["origin"], np.array((-32.0,) * 3) + case.MOVED_MM)
    assert fused.nodes["T1c"].GetParentTransformNode() is fusion
    assert seen["initial"] is None
    # unless it is told to start from where the T1 stands
    fused.ui.startHereBox.checked = True
    host.click(fused.ui.fuseButton)
    assert np.allclose(seen["initial"].TransformPoint((0.0, 0.0, 0.0)), case.MOVED_MM)


def test_landmarks_start_the_search(host, planning):
    scene, seen = host.slicer.mrmlScene, {}

    def look(fixed, moving, progress=None, initial=None):
        seen["start"] = initial
        return case.registration()(fixed, moving, progress=progress)

    planning.logic.registerWith = look
    places = np.array([(20.0, 0, 0), (-15, 12, 5), (0, -20, 10), (3, 4, -20)])
    nodes = []
    for name, lps in (("CT places", places), ("T1 places", places + case.MOVED_MM)):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
        for point in lps * (-1, -1, 1):
            node.AddControlPoint(*point.tolist())
        nodes.append(node)
    planning.ui.ctLandmarksSelector.setCurrentNode(nodes[0])
    assert planning.ui.fuseButton.enabled is False and "both images" in planning.ui.fuseButton.toolTip
    planning.ui.t1cLandmarksSelector.setCurrentNode(nodes[1])
    host.click(planning.ui.fuseButton)
    assert np.allclose(seen["start"].TransformPoint((5.0, 6.0, 7.0)), np.array((5, 6, 7)) + case.MOVED_MM)


def test_too_few_landmarks_are_one_sentence(host, planning, told):
    for selector in (planning.ui.ctLandmarksSelector, planning.ui.t1cLandmarksSelector):
        node = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "places")
        node.AddControlPoint(1.0, 2.0, 3.0)
        selector.setCurrentNode(node)
    host.click(planning.ui.fuseButton)
    assert "three are needed" in told()
    assert planning.nodes["T1c"].GetParentTransformNode() is None


def test_an_old_mri_lowers_the_verdict(host, planning):
    planning.ui.mriAgeSpin.value = 30
    host.click(planning.ui.fuseButton)
    assert planning.ui.verdictLabel.text.startswith("CHECK (registered here): age of the MRI: 30 days")


def test_the_spy_glass_shows_the_t1_where_the_cursor_is(host, fused):
    util, ui = host.slicer.util, fused.ui
    ui.squareSlider.value = 20.0
    ui.checkerboardBox.checked = True
    ui.spyGlassBox.checked = True
    assert ui.checkerboardBox.checked is False
    node = fused.glass.node
    cursor = host.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    ct = fused.glass._outside
    for ras in ((10.0, -4.0, 3.0), (-12.0, 8.0, -6.0)):
        cursor.SetCursorPositionRAS(ras)
        shown = util.arrayFromVolume(node)
        index = np.stack(np.meshgrid(*[np.arange(n) for n in shown.shape], indexing="ij"), axis=-1)
        away = np.linalg.norm(case.ct_grid().points_of(index) - np.array(ras) * (-1, -1, 1), axis=-1)
        # what the window left behind is CT again
        assert np.array_equal(shown[away > 10.1], ct[away > 10.1])
        assert np.array_equal(shown[away < 8.5], fused.glass._inside[away < 8.5])
    fused.logic.removeDerived("edges")
    ui.flickerButton.checked = True
    assert ui.spyGlassBox.checked is False and fused.glass is None
    assert host.slicer.mrmlScene.GetFirstNodeByName("Spy-glass (shown only)") is None
    ui.flickerButton.checked = False


def test_a_dicom_registration_object_is_checked_and_used(host, planning, tmp_path):
    import planning_cases

    from BMVascularCore.io.dicom_files import save_dicom
    from BMVascularCore.planning.ct_series import check_planning_series
    from BMVascularCore.planning.spatial_registration import build_registration

    series = [
        check_planning_series(
            planning_cases.image_headers(np.arange(4.0), modality=kind, FrameOfReferenceUID=uid)
        )
        for kind, uid in (("CT", "1.2.3"), ("MR", "1.4.5.6"))
    ]
    true = sitk.TranslationTransform(3, case.MOVED_MM.tolist())
    save_dicom(tmp_path / "reg.dcm", build_registration(*series, true))
    planning.ui.givenPath.currentPath = str(tmp_path / "reg.dcm")
    host.click(planning.ui.checkButton)
    assert "given as a file" in planning.ui.verdictLabel.text
    from BMVascularLib.transforms import transformOfNode

    found = transformOfNode(planning.nodes["T1c"].GetParentTransformNode())
    assert np.allclose(found.TransformPoint((0.0, 0.0, 0.0)), case.MOVED_MM, atol=1e-4)


def test_cancel_leaves_the_scene_as_it_was(host, planning):
    before = host.slicer.mrmlScene.GetNumberOfNodes()
    timer = host.cancelNextProgress()
    host.click(planning.ui.fuseButton)
    timer.stop()
    assert host.slicer.mrmlScene.GetNumberOfNodes() == before
    assert planning.nodes["T1c"].GetParentTransformNode() is None
    assert planning.ui.verdictLabel.text == "Not fused yet."
    assert host.messages.take() == []


def test_a_long_registration_leaves_the_window_alive_and_can_be_left_at_once(host, planning):
    from PySide6 import QtCore

    seen, scene = [], host.slicer.mrmlScene
    before = scene.GetNumberOfNodes()

    def slow(fixed, moving, progress=None, initial=None):
        progress(0.1, "finding the head")
        seen.append("started")
        time.sleep(1.5)
        progress(0.5, "going on")
        seen.append("not reached")

    def tick():
        seen.append("tick")
        if seen.count("tick") == 4:
            seen.append(host.cancelNextProgress(5))

    planning.logic.registerWith = slow
    ticks = QtCore.QTimer()
    ticks.timeout.connect(tick)
    ticks.start(50)
    started = time.perf_counter()
    host.click(planning.ui.fuseButton)
    taken = time.perf_counter() - started
    ticks.stop()
    # four ticks came while the work was silent, and Cancel did not wait for its next word
    assert seen.count("tick") >= 4 and taken < 1.4
    time.sleep(1.6)
    assert "not reached" not in seen
    assert scene.GetNumberOfNodes() == before
    assert planning.nodes["T1c"].GetParentTransformNode() is None


def test_an_error_in_the_background_is_told_as_one_sentence(host, planning, told):
    def fails(fixed, moving, progress=None, initial=None):
        progress(0.1)
        raise InputError("shows no head", "T1", "Choose another.")

    planning.logic.registerWith = fails
    host.click(planning.ui.fuseButton)
    assert "T1: shows no head. Choose another." in told()


@pytest.mark.parametrize(
    ("above", "words"),
    [
        ("vtkMRMLLinearTransformNode", "never moved"),
        # how Slicer straightens a series when it loads it
        ("vtkMRMLGridTransformNode", "gantry tilt or uneven slices"),
    ],
    ids=["moved", "straightened"],
)
def test_a_ct_below_a_transform_is_refused_with_the_reason(host, planning, told, above, words):
    transform = host.slicer.mrmlScene.AddNewNodeByClass(above, "transform")
    planning.nodes["CT"].SetAndObserveTransformNodeID(transform.GetID())
    host.click(planning.ui.fuseButton)
    assert words in told()
    assert planning.nodes["T1c"].GetParentTransformNode() is None


def test_a_given_transform_is_checked_and_used(host, planning):
    from BMVascularLib.transforms import addTransform

    seen = {}

    def measure(fixed, moving, transform, progress=None):
        seen["origin"], seen["point"] = moving.geometry.origin_mm, transform.TransformPoint((0.0, 0.0, 0.0))
        return case.registration("check", "repeats differ")(fixed, moving, transform, progress)

    planning.logic.measureWith = measure
    given = addTransform(
        host.slicer.mrmlScene, sitk.TranslationTransform(3, case.MOVED_MM.tolist()), "by hand"
    )
    planning.nodes["T1c"].SetAndObserveTransformNodeID(given.GetID())
    assert planning.ui.checkButton.enabled is False
    planning.ui.givenSelector.setCurrentNode(given)
    host.click(planning.ui.checkButton)
    assert seen["point"] == pytest.approx(case.MOVED_MM)
    assert np.allclose(seen["origin"], np.array((-32.0,) * 3) + case.MOVED_MM)
    assert planning.ui.verdictLabel.text.startswith("CHECK (given as a node): repeats differ")
    top = planning.nodes["T1c"].GetParentTransformNode()
    assert top is not given and top.GetParentTransformNode() is None


def test_a_transform_file_is_checked_and_used(host, planning, tmp_path):
    file = tmp_path / "given.tfm"
    sitk.WriteTransform(sitk.TranslationTransform(3, case.MOVED_MM.tolist()), str(file))
    planning.ui.givenPath.currentPath = str(file)
    host.click(planning.ui.checkButton)
    assert "given as a file" in planning.ui.verdictLabel.text
    assert str(tmp_path) not in str(planning._parameterNode.parameterNode)


def test_a_failed_fusion_is_neither_accepted_nor_exported(host, planning):
    planning.logic.registerWith = case.registration("fail", "skin surfaces lie 9.0 mm apart")
    host.click(planning.ui.fuseButton)
    host.click(planning.ui.targetsButton)
    assert planning.ui.acceptButton.enabled is False
    assert planning.ui.exportButton.enabled is False
    assert "fusion failed its checks (skin surfaces lie 9.0 mm apart)" in planning.ui.exportLabel.text
    with pytest.raises(InputError, match="nothing is exported"):
        planning.logic.previewExport(
            planning.nodes["CT"], planning.nodes["T1c"], planning.nodes["lesions"], "x", ""
        )


def test_accept_records_what_was_looked_at(host, fused, told):
    host.click(fused.ui.acceptButton)
    assert "nothing is marked" in told()
    fused.ui.lookedSkullBox.checked = True
    fused.ui.lookedSideBox.checked = True
    host.click(fused.ui.acceptButton)
    assert fused.ui.acceptedLabel.text == "Accepted; looked at: Skull and skin, Left and right."
    rows = {row["checked"]: row["result"] for row in fused.logic.acceptanceRows(fused.nodes["T1c"])}
    assert rows["Ventricles"] == "not looked at"
    assert rows["Verdict"] == "pass"
    host.click(fused.ui.fuseButton)
    assert fused.ui.acceptedLabel.text == "Not accepted yet."
    assert fused.ui.lookedSkullBox.checked is False


def test_views_blend_flicker_and_clean_up(host, fused):
    composite = host.slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    fused.ui.blendSlider.value = 0.25
    assert composite.GetForegroundOpacity() == pytest.approx(0.25)
    assert composite.GetForegroundVolumeID() == fused.nodes["T1c"].GetID()
    fused.ui.flickerButton.checked = True
    seen = set()
    for _ in range(6):
        host.process(0.3)
        seen.add(composite.GetForegroundOpacity())
    assert {0.0, 1.0} <= seen
    fused.ui.checkerboardBox.checked = True
    assert fused.ui.flickerButton.checked is False
    fused.ui.edgesBox.checked = True
    scene = host.slicer.mrmlScene
    board = [
        n for n in host.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if "Checker" in n.GetName()
    ]
    assert len(board) == 1 and not board[0].GetSaveWithScene()
    count = scene.GetNumberOfNodesByClass("vtkMRMLModelNode")
    host.close()
    names = [n.GetName() for n in host.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    assert not [n for n in names if "Checker" in n]
    assert scene.GetNumberOfNodesByClass("vtkMRMLModelNode") == count - 1


def test_targets_have_the_volume_of_grown_balls(planned):
    rows = {row[0]: row for row in cells(planned.ui.targetsTable)}
    for name, (diameter, _) in case.BALLS.items():
        assert float(rows[name][1]) == pytest.approx(diameter, rel=0.02)
        assert float(rows[name][6]) == pytest.approx(case.ball_ml(diameter + 2.0), rel=0.06)
    middle = np.mean([centre for _, centre in case.BALLS.values()], axis=0)
    assert float(rows["M1"][7]) == pytest.approx(np.linalg.norm(case.BALLS["M1"][1] - middle), abs=0.2)
    assert "unverified" not in rows["M1"][11] and "RTOG 90-05" in rows["M1"][11]


def test_an_edited_margin_changes_its_lesion_only_and_quickly(host, planned):
    segmentation = planned.logic.targets(planned.nodes["lesions"]).GetSegmentation()
    other = segmentation.GetSegment("PTV_02").GetRepresentation("Binary labelmap")
    order = [segmentation.GetNthSegmentID(n) for n in range(6)]
    started = time.perf_counter()
    planned.ui.targetsTable.item(0, 3).setText("2")
    host.process()
    taken = time.perf_counter() - started
    row = cells(planned.ui.targetsTable)[0]
    assert float(row[6]) == pytest.approx(case.ball_ml(14.0), rel=0.05)
    assert segmentation.GetSegment("PTV_02").GetRepresentation("Binary labelmap") is other
    assert [segmentation.GetNthSegmentID(n) for n in range(6)] == order
    assert segmentation.GetSegment("PTV_01").GetRepresentation("Closed surface").GetNumberOfPoints() > 100
    assert taken < 1.0


@pytest.mark.parametrize(("text", "said"), [("two", "not a margin"), ("-1", "cannot be used")])
def test_a_wrong_margin_is_refused_and_put_back(host, planned, told, text, said):
    planned.ui.targetsTable.item(1, 3).setText(text)
    host.process()
    assert said in told()
    assert cells(planned.ui.targetsTable)[1][3] == "1"


def test_margins_of_single_lesions_survive_making_targets_again(host, planned):
    planned.ui.targetsTable.item(1, 3).setText("3")
    host.process()
    host.click(planned.ui.targetsButton)
    assert [row[3] for row in cells(planned.ui.targetsTable)] == ["1", "3"]


def test_rotation_follows_angle_and_isocentre(host, planned):
    planned.ui.angleSpin.value = 2.0
    host.process()
    row = cells(planned.ui.targetsTable)[0]
    assert float(row[8]) == pytest.approx(2 * float(row[7]) * np.sin(np.radians(1.0)), rel=0.02)
    points = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "isocentre")
    r, a, s = case.BALLS["M1"][1] * (-1, -1, 1)
    points.AddControlPoint(float(r), float(a), float(s))
    planned.ui.isocentreSelector.setCurrentNode(points)
    host.process()
    assert float(cells(planned.ui.targetsTable)[0][7]) < 0.2


def test_age_of_the_mri_is_said_only_when_known(planning):
    assert "not checked" in planning.ui.mriAgeLabel.text
    planning.ui.mriAgeSpin.value = 20
    assert "older than 14 days" in planning.ui.mriAgeLabel.text
    assert "2019" in planning.ui.mriAgeLabel.text


def test_reference_rows_follow_the_chosen_lesion(planned):
    planned.ui.targetsTable.selectRow(0)
    rows = cells(planned.ui.referenceTable)
    assert any("24 Gy" in row[0] for row in rows)
    assert {row[3] for row in rows} <= {"verified", "unverified"}
    assert planned.ui.prescriptionEdit.text == ""
