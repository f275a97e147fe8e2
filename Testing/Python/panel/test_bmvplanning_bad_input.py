"""The planning panel: files that are awkward or cannot be used. Each is right, or one sentence and nothing changed."""

import numpy as np
import planning_cases
import planning_foreign as foreign
import planning_scene as case
import pydicom
import pytest
from planning_scene import by_heading

FRAME = "1.2.3"


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


def dose_file(path, centre=case.BALLS["M1"][1], half_mm=30.0, **changes):
    """RTDOSE of the radial dose about M1."""

    def dose(points):
        return case.dose_at(np.linalg.norm(points - case.BALLS["M1"][1], axis=-1))

    return foreign.write_dose(path, dose, centre, half_mm, **{"frame": FRAME, **changes})


def reviewed(host, planned, file, prescription="20"):
    planned.ui.dosePath.currentPath = str(file)
    host.click(planned.ui.doseButton)
    planned.ui.prescriptionEdit.text = prescription
    host.click(planned.ui.reviewButton)
    return {row["Structure"]: row for row in by_heading(planned.ui.metricsTable)}


@pytest.mark.parametrize(
    "changes",
    [
        {"axes": foreign.FFS}, {"axes": foreign.HFP}, {"axes": foreign.FFP}, {"axes": foreign.DECUBITUS},
        {"axes": foreign.SAGITTAL}, {"spacing": (0.8, 1.25, 1.0)}, {"falling": True}, {"units": "CGY"},
    ],
    ids=["FFS", "HFP", "FFP", "decubitus", "sagittal", "non-square", "frames fall", "cGy"],
)  # fmt: skip
def test_a_dose_in_any_orientation_and_unit_gives_the_closed_form(host, planned, told, tmp_path, changes):
    rows = reviewed(host, planned, dose_file(tmp_path / "dose.dcm", **changes))
    for name, share in (("D98 Gy", 0.98), ("D50 Gy", 0.5)):
        assert float(rows["GTV_01"][name]) == pytest.approx(case.dose_at(5.0 * np.cbrt(share)), rel=0.01)
    # 12 Gy about M1
    volume = 4.0 / 3.0 * np.pi * case.radius_of(12.0) ** 3 / 1000.0
    assert float(rows["GTV_01"]["V12 mL"]) == pytest.approx(volume, rel=0.01)
    if "units" in changes:
        assert "taken as centigray" in told()


def test_a_dose_grid_that_misses_a_target_says_so_and_never_gives_it_0(host, planned, tmp_path):
    rows = reviewed(host, planned, dose_file(tmp_path / "dose.dcm", half_mm=9.0))
    missed = rows["GTV_02"]
    assert missed["D98 Gy"] == missed["D50 Gy"] == missed["Coverage"] == "–"
    assert "outside the dose grid" in missed["Note"]
    assert float(rows["GTV_01"]["D98 Gy"]) == pytest.approx(case.dose_at(5.0 * np.cbrt(0.98)), rel=0.01)


def ct_headers(**changes):
    return planning_cases.image_headers(np.arange(64) - 32.0, FrameOfReferenceUID=FRAME, **changes)


def without_a_slice():
    headers = ct_headers()
    del headers[30]
    return headers


def copied_uid():
    headers = ct_headers()
    headers[12].SOPInstanceUID = headers[11].SOPInstanceUID
    return headers


def uneven():
    headers = ct_headers()
    headers[20].ImagePositionPatient[2] += 0.4
    return headers


def two_patients():
    headers = ct_headers()
    headers[20].PatientID = "PH2"
    return headers


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (without_a_slice, "1 slice is missing"),
        (copied_uid, "share their SOP Instance UID"),
        (uneven, "slices are uneven"),
        (two_patients, "2 different patients"),
        (lambda: ct_headers(GantryDetectorTilt=12.0), "gantry tilt of +12.0 deg"),
        (lambda: ct_headers(PixelSpacing=[1.0, 1.1]), "does not lie where Planning CT lies"),
        (lambda: ct_headers(Modality="PT"), "CT or MR is wanted"),
    ],
    ids=["missing slice", "one UID twice", "uneven", "two patients", "tilt", "other pixels", "PET"],
)
def test_a_ct_series_that_cannot_be_planned_on_writes_nothing(host, planned, told, tmp_path, headers, words):
    ui, out = planned.ui, tmp_path / "out"
    ui.ctFolderButton.directory = str(planning_cases.write_series(tmp_path / "ct", headers()))
    ui.outFolderButton.directory = str(out)
    before = nodes_of(host)
    host.click(ui.previewButton)
    assert words in told()
    assert ui.exportTable.rowCount == 0 and ui.exportButton.enabled is False
    assert nodes_of(host) == before and not out.exists()


@pytest.mark.parametrize("axes", [foreign.FFS, foreign.HFP, foreign.FFP], ids=["FFS", "HFP", "FFP"])
def test_contours_on_a_ct_in_another_position_come_back_where_they_were(host, planning, tmp_path, axes):
    from BMVascularCore.study.dicom import read_single_volume
    from BMVascularLib.studyNodes import addImage

    along_row, along_column = np.reshape(np.array(axes, float), (2, 3))
    normal = np.cross(along_row, along_column)
    headers = []
    corner = -31.5 * (along_row + along_column)
    for header, height in zip(
        ct_headers(ImageOrientationPatient=list(axes)), np.arange(64) - 31.5, strict=True
    ):
        header.ImagePositionPatient = [float(v) for v in corner + height * normal]
        headers.append(header)
    folder = planning_cases.write_series(tmp_path / "ct", headers)
    ct = addImage(host.slicer.mrmlScene, read_single_volume(folder), "CT", "Planning")
    ui, centre = planning.ui, np.array((7.0, -5.0, 11.0))
    ui.ctSelector.setCurrentNode(ct)
    rois = [("TV", "GTV", foreign.closed(ball_rings(8.0, tuple(centre))))]
    ui.structuresPath.currentPath = str(foreign.write_structures(tmp_path / "rs.dcm", rois, frame=FRAME))
    host.click(ui.structuresButton)
    host.click(ui.lesionButton)
    host.click(ui.targetsButton)
    ui.ctFolderButton.directory = str(folder)
    ui.outFolderButton.directory = str(tmp_path / "out")
    host.click(ui.previewButton)
    host.click(ui.exportButton)
    data = pydicom.dcmread(tmp_path / "out/rtstruct.dcm")
    drawn = data.ROIContourSequence[0].ContourSequence
    points = np.concatenate([np.reshape([float(v) for v in c.ContourData], (-1, 3)) for c in drawn])
    assert (points.min(axis=0) + points.max(axis=0)) / 2 == pytest.approx(centre, abs=0.3)
    assert np.ptp(points[:, :2], axis=0) == pytest.approx([8.0, 8.0], abs=0.5)
