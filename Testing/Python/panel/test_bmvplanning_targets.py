"""The planning panel: barriers, margins by side, spin boxes of the chosen lesion; files that cannot be used."""

import time

import numpy as np
import planning_cases
import planning_foreign as foreign
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


def ball_rings(diameter=12.0, centre=(0.0, 0.0, 0.0)):
    return planning_cases.sphere_contours(diameter, 1.0, centre)


def nodes_of(host):
    return sorted(node.GetID() for node in host.slicer.util.getNodesByClass("vtkMRMLNode"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"DoseUnits": "RELATIVE"}, "RELATIVE"),
        ({"DoseSummationType": "BEAM"}, "dose of a BEAM"),
        ({"frame": "9.9.9"}, "another scan"),
        ({"GridFrameOffsetVector": None}, "where its frames lie"),
        ({"centre": (300.0, 0.0, 0.0)}, "does not reach the planning CT"),
    ],
    ids=str,
)
def test_a_dose_that_cannot_be_used_leaves_the_scene_alone(host, planned, told, tmp_path, changes, words):
    file = foreign.write_dose(
        tmp_path / "dose.dcm", lambda p: case.dose_at(np.linalg.norm(p, axis=-1) % 30.0), half_mm=8.0,
        **{"frame": "1.2.3", **changes},
    )  # fmt: skip
    before = nodes_of(host)
    planned.ui.dosePath.currentPath = str(file)
    host.click(planned.ui.doseButton)
    assert words in told()
    assert nodes_of(host) == before and planned._parameterNode.dose is None


def drawn(*contours, name="Brainstem"):
    return name, "ORGAN", foreign.closed(contours)


@pytest.mark.parametrize(
    ("rois", "words"),
    [
        ([drawn(*ball_rings()), drawn(*ball_rings(8.0), name="brainstem ")], "have the name"),
        ([("Brainstem", "ORGAN", [])], "no drawn structure"),
        ([drawn([(1.0, 2.0, 3.0)])], "no drawn structure"),
        ([drawn(*ball_rings(12.0, (300.0, 0.0, 0.0)))], "outside the planning CT"),
    ],
    ids=["one name", "empty", "one point", "elsewhere"],
)
def test_structures_that_cannot_be_used_leave_the_scene_alone(host, planned, told, tmp_path, rois, words):
    file = foreign.write_structures(tmp_path / "rs.dcm", rois, frame="1.2.3")
    before = nodes_of(host)
    planned.ui.structuresPath.currentPath = str(file)
    host.click(planned.ui.structuresButton)
    assert words in told()
    assert nodes_of(host) == before and planned._parameterNode.organs is None


def test_a_contour_that_crosses_itself_is_imported_and_said(host, planned, told, tmp_path):
    eight = [[(0, 0, z), (10, 10, z), (10, 0, z), (0, 10, z)] for z in range(5)]
    rois = [
        drawn(*eight),
        drawn(*foreign.turned(ball_rings(), 0), name="Chiasm"),
        drawn([(1, 2, 3)], name="Dot"),
    ]
    file = foreign.write_structures(tmp_path / "rs.dcm", rois, frame="1.2.3")
    planned.ui.structuresPath.currentPath = str(file)
    host.click(planned.ui.structuresButton)
    said = told()
    assert "crosses itself" in said and "Dot" in said
    assert planned.logic.organNames(planned._parameterNode.organs) == ["Brainstem", "Chiasm"]
    host.click(planned.ui.distancesButton)
    table = planned.ui.distancesTable
    names = [table.horizontalHeaderItem(c).text() for c in range(table.columnCount)]
    # sagittal contours: from the surface of M1 (13 mm from the middle, radius 5) to a ball of 6 mm
    assert float(table.item(0, names.index("Chiasm")).text()) == pytest.approx(13.0 - 11.0, abs=0.7)
