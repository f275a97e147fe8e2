"""The planning panel: barriers, margins by side, spin boxes of the chosen lesion, reference regions."""

import time

import numpy as np
import planning_scene as case
import pytest


def points(panel, segmentId):
    """Voxels of a target, LPS mm."""
    from BMVascularLib.segments import labelGeometryOfSegment

    array, geometry = labelGeometryOfSegment(panel.logic.targets(panel.nodes["lesions"]), segmentId)
    return geometry.points_of(np.argwhere(array > 0))


def choose(panel, row):
    panel.ui.targetsTable.selectRow(row)


def cell(panel, row, heading):
    table = panel.ui.targetsTable
    names = [table.horizontalHeaderItem(c).text() for c in range(table.columnCount)]
    return table.item(row, names.index(heading)).text()


def test_the_skull_of_the_ct_stops_a_target(host, planned):
    choose(planned, 0)
    planned.ui.lesionPtvSpin.value = 12.0
    free = np.linalg.norm(points(planned, "PTV_01"), axis=1).max()
    # the ball reaches 18 mm from the middle of the head, the bone lies from 25 to 28 mm
    assert free > 28.0
    planned.ui.skullBox.checked = True
    host.process()
    cut = points(planned, "PTV_01")
    assert np.linalg.norm(cut, axis=1).max() == pytest.approx(25.0, abs=1.2)
    gtv = points(planned, "GTV_01")
    assert len(gtv) * 0.125 / 1000.0 == pytest.approx(case.ball_ml(10.0), rel=0.02)
    planned.ui.skullBox.checked = False
    host.process()
    assert np.linalg.norm(points(planned, "PTV_01"), axis=1).max() > 28.0


def add_falx(panel, scene):
    """A wall at x = -4 to -3 mm (LPS) as a segment called Falx."""
    from BMVascularCore.volume import Volume
    from BMVascularLib.segments import addSegmentation
    from BMVascularLib.studyNodes import setRole

    grid = case.ct_grid()
    x = grid.points_of(np.stack(np.indices(grid.shape), -1))[..., 0]
    wall = ((x > -4.1) & (x < -2.9)).astype(np.uint8)
    facts = [{"label": 1, "name": "Falx", "color": (0.5, 0.5, 0.5), "kind": "mass", "id": "falx"}]
    node = addSegmentation(scene, Volume(wall, grid), facts, "Organs", panel.nodes["CT"])
    setRole(node, "organs", "Planning")
    panel.ui.organsSelector.setCurrentNode(node)
    return node


def test_a_drawn_falx_stops_a_target_at_its_side(host, planned, told):
    add_falx(planned, host.slicer.mrmlScene)
    choose(planned, 0)
    planned.ui.lesionPtvSpin.value = 8.0
    assert points(planned, "PTV_01")[:, 0].max() > 0.0
    planned.ui.barrierEdit.text = "falx"
    planned.ui.barrierEdit.editingFinished.emit()
    host.process()
    cut = points(planned, "PTV_01")
    assert -5.5 < cut[:, 0].max() < -4.0
    # the side away from the falx is as before: centre -12, radius 5 + 8
    assert cut[:, 0].min() == pytest.approx(-25.0, abs=0.4)
    planned.ui.barrierEdit.text = "Tentorium"
    planned.ui.barrierEdit.editingFinished.emit()
    assert "no structure is called Tentorium" in told()
    assert np.array_equal(points(planned, "PTV_01"), cut)


def test_spin_boxes_follow_the_chosen_lesion_and_move_it_at_once(host, planned):
    ui = planned.ui
    choose(planned, 1)
    assert (ui.lesionCtvSpin.value, ui.lesionPtvSpin.value) == (0.0, 1.0)
    other = points(planned, "PTV_01")
    spent = []
    for margin in (1.5, 2.0, 2.5, 3.0):
        start = time.process_time()
        ui.lesionPtvSpin.value = margin
        host.process()
        spent.append(time.process_time() - start)
        assert float(cell(planned, 1, "PTV mL")) == pytest.approx(case.ball_ml(7.0 + 2 * margin), rel=0.05)
        assert cell(planned, 1, "PTV + mm") == f"{margin:g}"
    assert np.median(spent) < 0.5
    assert np.array_equal(points(planned, "PTV_01"), other)
    assert ui.targetsTable.currentRow() == 1
    choose(planned, 0)
    assert ui.lesionPtvSpin.value == 1.0


def test_margins_that_differ_by_side(host, planned, told):
    planned.ui.targetsTable.item(0, 3).setText("1 L5")
    host.process()
    grown = points(planned, "PTV_01")
    centre = case.BALLS["M1"][1]
    # LPS: left is +x
    assert grown[:, 0].max() == pytest.approx(centre[0] + 10.0, abs=0.4)
    assert grown[:, 0].min() == pytest.approx(centre[0] - 6.0, abs=0.4)
    assert cell(planned, 0, "PTV + mm") == "1 L5"
    choose(planned, 0)
    assert planned.ui.lesionPtvSpin.enabled is False
    assert "sides differ" in planned.ui.lesionPtvSpin.toolTip
    host.click(planned.ui.targetsButton)
    assert cell(planned, 0, "PTV + mm") == "1 L5"
    planned.ui.targetsTable.item(0, 3).setText("1 X5")
    host.process()
    assert "not a margin" in told()
    assert cell(planned, 0, "PTV + mm") == "1 L5"


def test_spin_boxes_by_side_change_one_side_of_one_margin(host, planned):
    ui = planned.ui
    assert ui.sidePSpin.enabled is False
    choose(planned, 0)
    assert (ui.sidesBox.currentText, ui.sidePSpin.value) == ("PTV", 1.0)
    ui.sidePSpin.value = 4.0
    host.process()
    grown, centre = points(planned, "PTV_01"), case.BALLS["M1"][1]
    # LPS: posterior is +y
    assert grown[:, 1].max() == pytest.approx(centre[1] + 9.0, abs=0.4)
    assert grown[:, 1].min() == pytest.approx(centre[1] - 6.0, abs=0.4)
    assert cell(planned, 0, "PTV + mm") == "1 P4"
    ui.sidesBox.currentIndex = 0
    assert ui.sidePSpin.value == 0.0
    ui.sideSSpin.value = 2.0
    host.process()
    assert (cell(planned, 0, "CTV + mm"), cell(planned, 0, "PTV + mm")) == ("0 S2", "1 P4")
    assert cell(planned, 1, "PTV + mm") == "1"


def test_barriers_that_cannot_be_used_leave_box_and_targets_as_they_were(host, planned, told):
    planned.ui.ctSelector.setCurrentNode(planned.nodes["FLAIR"])
    before = points(planned, "PTV_01")
    planned.ui.skullBox.checked = True
    host.process()
    assert "no Hounsfield units" in told()
    host.process()
    assert planned.ui.skullBox.checked is False
    assert np.array_equal(points(planned, "PTV_01"), before)
    planned.ui.edgesBox.checked = True
    assert "no Hounsfield units" in told()
    assert planned.ui.edgesBox.checked is False


def test_targets_of_different_lesions_differ_in_colour_like_their_structure_set(planned):
    from BMVascularCore.planning.roi_names import colour_of

    segmentation = planned.logic.targets(planned.nodes["lesions"]).GetSegmentation()
    for kind in ("GTV", "PTV"):
        for number in (1, 2):
            color = segmentation.GetSegment(f"{kind}_{number:02d}").GetColor()
            assert np.round(255 * np.array(color)) == pytest.approx(colour_of(kind, number - 1))
