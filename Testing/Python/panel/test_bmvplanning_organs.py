"""The planning panel: organs at risk, their distances, constraint rows and edits of these."""

import numpy as np
import planning_cases
import planning_scene as case
import pytest
from planning_scene import by_heading, cells, headings


def organ_file(tmp_path, frame="1.2.3", higher_mm=0.0):
    """An RTSTRUCT with a ball of 12 mm called Brainstem, 20 mm from M1's centre."""
    from BMVascularCore.io.dicom_files import save_dicom
    from BMVascularCore.planning.contours import trace_mask
    from BMVascularCore.planning.ct_series import check_planning_series
    from BMVascularCore.planning.rtstruct import Roi, build_rtstruct

    headers = planning_cases.image_headers(np.arange(64) - 32.0 + higher_mm, FrameOfReferenceUID=frame)
    series = check_planning_series(headers)
    centre = case.BALLS["M1"][1] + (0.0, 20.0, 0.0)
    mask = case.distance(case.ct_grid(), centre) <= 6.0
    contours = trace_mask(mask, case.ct_grid(), series.geometry, None, "Brainstem")
    data = build_rtstruct(series, [Roi("Brainstem", "ORGAN", contours)])
    path = tmp_path / "organs.dcm"
    save_dicom(path, data)
    return path


@pytest.fixture
def organs(host, planned, tmp_path):
    planned.ui.structuresPath.currentPath = str(organ_file(tmp_path))
    host.click(planned.ui.structuresButton)
    return planned


def test_imported_organs_give_distances(host, organs):
    host.click(organs.ui.distancesButton)
    row = dict(zip(headings(organs.ui.distancesTable), cells(organs.ui.distancesTable)[0], strict=True))
    # centres 20 mm apart, radii 5 and 6 mm
    assert float(row["Brainstem"]) == pytest.approx(9.0, abs=0.5)
    apart = np.linalg.norm(case.BALLS["M1"][1] - case.BALLS["M2"][1]) - 8.5
    assert float(row["Next lesion mm"]) == pytest.approx(apart, abs=0.3)


def test_structures_of_another_scan_are_refused(host, planned, told, tmp_path):
    planned.ui.structuresPath.currentPath = str(organ_file(tmp_path, "9.9.9"))
    host.click(planned.ui.structuresButton)
    assert "another scan" in told()
    assert planned._parameterNode.organs is None


def test_structures_of_another_scan_of_this_frame_are_said(host, planned, told, tmp_path):
    """Two scans of one frame of reference: the contours are taken, with one sentence."""
    planned.ui.structuresPath.currentPath = str(organ_file(tmp_path, higher_mm=0.5))
    host.click(planned.ui.structuresButton)
    text = told()
    assert "may have been drawn on another scan of this frame of reference: " in text
    assert text.count("\n") == 0 and "contours lie between the slices of this CT" in text
    assert planned._parameterNode.organs is not None


def test_constraints_wait_for_the_number_of_fractions(host, organs):
    assert cells(organs.ui.constraintsTable) == []
    organs.ui.fractionsBox.setCurrentText("1")
    rows = cells(organs.ui.constraintsTable)
    assert {row[0] for row in rows} == {"Brainstem"}
    assert {row[3] for row in rows} == {"–"}
    assert all(row[6] and row[7] in ("verified", "unverified") for row in rows)


def test_limit_and_source_of_a_constraint_can_be_edited_and_taken_back(host, organs, told, tmp_path):
    ui = organs.ui
    ui.fractionsBox.setCurrentText("1")
    table = ui.constraintsTable
    published = by_heading(table)[0]
    table.item(0, 2).setText("< 7.5 Gy")
    edited = by_heading(table)[0]
    assert edited["Limit"] == "< 7.5 Gy" and edited["Source"] == "edited here"
    assert edited["Checked"] == f"edited here, published {published['Limit']}"
    table.item(0, 6).setText("Protocol of our department, 2025")
    assert by_heading(table)[0]["Source"] == "Protocol of our department, 2025"
    table.item(0, 2).setText("much")
    assert "'much' is not a limit in Gy" in told()
    assert by_heading(table)[0]["Limit"] == "< 7.5 Gy"
    file = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    host.loadScene(file)
    ui.fractionsBox.setCurrentText("3")
    assert not any(row["Checked"].startswith("edited") for row in by_heading(table))
    ui.fractionsBox.setCurrentText("1")
    assert by_heading(table)[0]["Limit"] == "< 7.5 Gy"
    table.item(0, 2).setText("")
    assert by_heading(table)[0] == published


def test_an_edited_limit_is_what_a_dose_is_compared_with(host, organs):
    ui = organs.ui
    ui.doseSelector.setCurrentNode(case.add_dose(host.slicer.mrmlScene))
    ui.fractionsBox.setCurrentText("1")
    ui.prescriptionEdit.text = "20"
    host.click(ui.reviewButton)
    row = by_heading(ui.constraintsTable)[0]
    reached = float(row["Reached"].split()[0])
    for factor, said in ((0.5, "above"), (2.0, "within")):
        ui.constraintsTable.item(0, 2).setText(f"{factor * reached:.2f}")
        assert by_heading(ui.constraintsTable)[0]["Compared"] == said


def test_organs_are_drawn_on_the_grid_of_the_ct(host, planned, monkeypatch):
    opened = []
    monkeypatch.setattr(host.slicer.util, "selectModule", opened.append)
    host.click(planned.ui.drawButton)
    node = planned.ui.organsSelector.currentNode()
    assert opened == ["SegmentEditor"] and node.GetSegmentation().GetNumberOfSegments() == 0
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is planned.nodes["CT"]
