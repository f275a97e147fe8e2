"""The planning panel: dose review, export and life cycle, driven as a person would."""

import shutil
import subprocess

import numpy as np
import planning_cases
import planning_scene as case
import pydicom
import pytest
from planning_scene import by_heading, cells, headings

from BMVascularCore.planning.seg_export import read_segmentation_object


@pytest.fixture
def dosed(host, planned):
    planned.nodes["dose"] = case.add_dose(host.slicer.mrmlScene)
    planned.ui.doseSelector.setCurrentNode(planned.nodes["dose"])
    return planned


def test_review_needs_a_typed_prescription(host, dosed, told):
    assert dosed.ui.prescriptionEdit.text == ""
    assert dosed.ui.reviewButton.enabled is False
    assert "prescription" in dosed.ui.reviewButton.toolTip
    dosed.ui.prescriptionEdit.text = "twenty"
    host.click(dosed.ui.reviewButton)
    assert "not a dose in Gy" in told()
    dosed.ui.prescriptionEdit.text = "2000"
    host.click(dosed.ui.reviewButton)
    assert "does not fit" in told()


def test_review_meets_the_closed_form(host, dosed):
    dosed.ui.prescriptionEdit.text = "20"
    host.click(dosed.ui.reviewButton)
    names = headings(dosed.ui.metricsTable)
    rows = {row[0]: dict(zip(names, row, strict=True)) for row in cells(dosed.ui.metricsTable)}
    assert "CTV_01" not in rows  # no margin: the CTV is the GTV
    gtv = rows["GTV_01"]
    assert float(gtv["D98 Gy"]) == pytest.approx(case.dose_at(5.0 * np.cbrt(0.98)), rel=0.01)
    assert float(gtv["D50 Gy"]) == pytest.approx(case.dose_at(5.0 * np.cbrt(0.50)), rel=0.01)
    # what the isodose of M1 encloses belongs to M1 as long as M2 is farther away
    index = (case.radius_of(10.0) / case.radius_of(20.0)) ** 3
    assert float(gtv["GI"]) == pytest.approx(index, rel=0.02)
    assert "end caps" in dosed.ui.conventionsLabel.text
    assert "Paddick" in dosed.ui.metricsTable.horizontalHeaderItem(names.index("Paddick CI")).toolTip()


def test_review_draws_a_chart_of_plot_nodes(host, dosed):
    dosed.ui.prescriptionEdit.text = "20"
    host.click(dosed.ui.reviewButton)
    host.click(dosed.ui.reviewButton)
    charts = host.slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    series = host.slicer.util.getNodesByClass("vtkMRMLPlotSeriesNode")
    assert len(charts) == 1 and len(series) == 4
    table = series[0].GetTableNode().GetTable()
    dose = np.array([table.GetValueByName(n, "Dose (Gy)").ToDouble() for n in range(table.GetNumberOfRows())])
    volume = np.array([table.GetValueByName(n, "GTV_01").ToDouble() for n in range(len(dose))])
    # half of the volume gets at least D50
    assert np.interp(-50.0, -volume, dose) == pytest.approx(case.dose_at(5.0 * np.cbrt(0.5)), rel=0.01)


def test_two_doses_stand_side_by_side(host, dosed, tmp_path):
    from BMVascularLib.volumes import addVolume, volumeOfNode

    first = volumeOfNode(dosed.nodes["dose"])
    other = addVolume(host.slicer.mrmlScene, first.like(0.9 * first.array), "second dose")
    ui = dosed.ui
    ui.prescriptionEdit.text = "20"
    host.click(ui.reviewButton)
    assert ui.comparisonTable.rowCount == 0
    ui.againstSelector.setCurrentNode(other)
    host.click(ui.reviewButton)
    rows = {(row[0], row[1]): [float(v) for v in row[2:]] for row in cells(ui.comparisonTable)}
    # shown to three places
    one, two, change = rows["GTV_01", "D50 Gy"]
    assert two == pytest.approx(0.9 * one, abs=0.1) and change == pytest.approx(-0.1 * one, abs=0.02)
    # 12 Gy of the second plan is 12 / 0.9 Gy of the first: a ball about M1
    volume = 4.0 / 3.0 * np.pi * case.radius_of(12.0 / 0.9) ** 3 / 1000.0
    assert rows["GTV_01", "V12 mL"][1] == pytest.approx(volume, rel=0.02)
    before = cells(ui.comparisonTable)
    file = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    assert ui.comparisonTable.rowCount == 0
    host.loadScene(file)
    assert [row[:2] for row in cells(ui.comparisonTable)] == [row[:2] for row in before]
    ui.againstSelector.setCurrentNode(None)
    host.click(ui.reviewButton)
    assert ui.comparisonTable.rowCount == 0


def test_the_chart_is_shown_below_the_slices(host, dosed):
    assert dosed.ui.chartButton.enabled is False
    dosed.ui.prescriptionEdit.text = "20"
    host.click(dosed.ui.reviewButton)
    host.click(dosed.ui.chartButton)
    host.process(0.1)
    shown = host.slicer.app.layoutManager().plotWidget(0).mrmlPlotViewNode().GetPlotChartNode()
    assert shown.GetTitle() == "Dose-volume histogram"


def test_isodose_lines_lie_at_their_radius(host, dosed):
    dosed.ui.prescriptionEdit.text = "20"
    dosed.ui.isodoseEdit.text = "100 %, 12 Gy, 30 Gy"
    host.click(dosed.ui.isodoseButton)
    assert cells(dosed.ui.isodoseTable) == [
        ["30 Gy (150 %)", "not reached"],
        ["20 Gy (100 %)", "yes"],
        ["12 Gy (60 %)", "yes"],
    ]
    models = [m for m in host.slicer.util.getNodesByClass("vtkMRMLModelNode") if "Isodose" in m.GetName()]
    assert len(models) == 2
    bounds = [0.0] * 6
    next(m for m in models if "12 Gy" in m.GetName()).GetRASBounds(bounds)
    assert (bounds[1] - bounds[0]) / 2 == pytest.approx(case.radius_of(12.0), abs=0.15)
    dosed.ui.isodoseBox.checked = False
    assert {m.GetDisplayNode().GetVisibility() for m in models} == {0}


@pytest.fixture
def habitats(host, dosed):
    """A ball of 6 mm of preserved barrier in M1, leaky around it, also in the front."""
    from BMVascularCore.volume import Geometry, Volume
    from BMVascularLib.planningNodes import fusionOf
    from BMVascularLib.studyNodes import setRole
    from BMVascularLib.volumes import addVolume

    scene = host.slicer.mrmlScene
    centre = case.BALLS["M1"][1] + case.MOVED_MM
    grid = Geometry((44, 44, 44), (0.5,) * 3, tuple((centre - 10.75).tolist()))
    distance = case.distance(grid, centre)
    values = np.where(distance <= 3.0, 2, 1)
    # half of the front, the one on the left, is barrier-preserved
    left = grid.points_of(np.stack(np.indices(grid.shape), -1))[..., 0] > centre[0]
    values[(distance > 5.0) & left] = 2
    node = addVolume(scene, Volume(values.astype(np.uint8), grid), "habitats", labelMap=True)
    setRole(node, "habitats", "TP1")
    node.SetAndObserveTransformNodeID(fusionOf(scene, "TP1").GetID())
    return dosed


def mean_over_shell(inner, outer):
    radius = np.linspace(inner, outer, 2001)
    return np.average(case.dose_at(radius), weights=radius**2)


def test_habitats_show_which_dose_they_got(host, habitats, tmp_path):
    table = habitats.ui.habitatsTable
    habitats.ui.prescriptionEdit.text = "20"
    host.click(habitats.ui.reviewButton)
    names = headings(table)
    rows = {
        row[1].split(",")[0]: dict(zip(names, row, strict=True)) for row in cells(table) if row[0] == "M1"
    }
    assert len(rows) == 4
    inner = rows["barrier-preserved"]
    assert float(inner["mL"]) == pytest.approx(case.ball_ml(6.0), rel=0.05)
    assert float(inner["D98 Gy"]) == pytest.approx(case.dose_at(3.0 * np.cbrt(0.98)), rel=0.02)
    assert float(inner["At prescription %"]) == pytest.approx(100.0)
    # the mean over the shell from 5 to 10 mm
    front, half = rows["front"], rows["barrier-preserved part of the front"]
    # whose borders are known to half a voxel of 0.5 mm
    low, high = (mean_over_shell(5.0 + shift, 10.0 + shift) for shift in (0.25, -0.25))
    assert low < float(front["Mean Gy"]) < high
    assert low < float(half["Mean Gy"]) < high
    assert float(half["mL"]) == pytest.approx(0.5 * float(front["mL"]), rel=0.06)
    assert float(front["At prescription %"]) < 2.0
    before = cells(table)
    file = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    assert table.rowCount == 0
    host.loadScene(file)
    assert [row[:2] for row in cells(table)] == [row[:2] for row in before]


def test_shares_of_several_prescriptions_name_their_lesions(host, dosed):
    dosed.ui.prescriptionEdit.text = "M1=20, M2=18"
    dosed.ui.isodoseEdit.text = "100 %, 12 Gy"
    host.click(dosed.ui.isodoseButton)
    assert [row[0] for row in cells(dosed.ui.isodoseTable)] == [
        "20 Gy (100 % M1; 111 % M2)",
        "18 Gy (90 % M1; 100 % M2)",
        "12 Gy (60 % M1; 67 % M2)",
    ]
    host.click(dosed.ui.reviewButton)
    assert [row["prescription_gy"] for row in dosed.logic.lastReview.rows] == [20.0, 18.0, 20.0, 18.0]


def test_biological_dose_follows_prescription_and_fractions(host, dosed):
    assert "type the prescription" in dosed.ui.bedLabel.text
    dosed.ui.prescriptionEdit.text = "27"
    dosed.ui.fractionsBox.setCurrentText("3")
    # 27 (1 + 9 / 10) and 27 (1 + 9 / 2)
    assert "BED 51.3" in dosed.ui.bedLabel.text and "BED 148.5" in dosed.ui.bedLabel.text
    assert "over-predicts" not in dosed.ui.bedLabel.text
    dosed.ui.prescriptionEdit.text = "20"
    dosed.ui.fractionsBox.setCurrentText("1")
    assert "BED 60.0" in dosed.ui.bedLabel.text and "over-predicts" in dosed.ui.bedLabel.text


def test_colours_opacity_and_legend_of_the_dose(host, dosed):
    from BMVascularLib.display import legendOf, windowOf

    dosed.ui.doseOpacity.value = 0.4
    composite = host.slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert composite.GetForegroundVolumeID() == dosed.nodes["dose"].GetID()
    assert composite.GetForegroundOpacity() == pytest.approx(0.4)
    dosed.ui.doseRange.setValues(5.0, 20.0)
    assert windowOf(dosed.nodes["dose"]) == pytest.approx((5.0, 20.0))
    dosed.ui.doseLegendBox.checked = True
    assert legendOf(dosed.nodes["dose"]).GetVisibility()
    assert "Gy" in legendOf(dosed.nodes["dose"]).GetTitleText()
    assert dosed.ui.slicerRtButton.enabled is False
    assert "SlicerRT is not installed." in dosed.ui.slicerRtButton.toolTip


@pytest.fixture
def ct_folder(planned, tmp_path):
    headers = planning_cases.image_headers(np.arange(64) - 32.0, FrameOfReferenceUID="1.2.3")
    return planning_cases.write_series(tmp_path / "ct", headers), headers


@pytest.fixture
def mr_folder(planned, tmp_path):
    x, y, z = np.array((-32.0,) * 3) + case.MOVED_MM
    headers = planning_cases.image_headers(
        np.arange(64) + z, origin=(x, y), modality="MR", FrameOfReferenceUID="1.4.5.6"
    )
    return planning_cases.write_series(tmp_path / "mr", headers)


def test_export_previews_then_writes_together(host, planned, told, ct_folder, mr_folder, tmp_path):
    folder, headers = ct_folder
    ui, out = planned.ui, tmp_path / "out"
    assert ui.previewButton.enabled is False
    ui.ctFolderButton.directory = str(folder)
    ui.mrFolderButton.directory = str(mr_folder)
    host.click(ui.previewButton)
    assert [row[:2] for row in cells(ui.exportTable)] == [
        ["rtstruct.dcm", "RT Structure Set"],
        ["reg.dcm", "Spatial Registration"],
        ["seg.dcm", "Segmentation"],
    ]
    assert all(row["Check"].startswith("passed") for row in by_heading(ui.exportTable))
    details = ui.exportDetails.plainText
    assert "2 GTV, 2 PTV on 64 images of the CT" in details and "contours within 0.0 %" in details
    assert "2 lesions (M1, M2) on the voxels of the MR series (64 images, as acquired)" in details
    assert "2 of 2 segments" in details
    assert ui.exportButton.enabled is False and not out.exists()
    ui.outFolderButton.directory = str(out)
    assert ui.exportButton.enabled is True
    ui.targetsTable.item(0, 3).setText("2")
    host.process()
    assert ui.exportButton.enabled is False and ui.exportTable.rowCount == 0
    assert ui.exportLabel.text == "Changed since the preview: preview again."
    host.click(ui.previewButton)
    host.click(ui.exportButton)
    assert sorted(p.name for p in out.iterdir()) == ["reg.dcm", "rtstruct.dcm", "seg.dcm"]
    structures = pydicom.dcmread(out / "rtstruct.dcm")
    assert structures.FrameOfReferenceUID == headers[0].FrameOfReferenceUID
    kinds = [str(o.RTROIInterpretedType) for o in structures.RTROIObservationsSequence]
    assert kinds == ["GTV", "GTV", "PTV", "PTV"]
    used = {str(c.ContourImageSequence[0].ReferencedSOPInstanceUID)
            for item in structures.ROIContourSequence for c in item.ContourSequence}  # fmt: skip
    assert used <= {str(header.SOPInstanceUID) for header in headers}
    moving = pydicom.dcmread(out / "reg.dcm").RegistrationSequence[1]
    matrix = np.reshape(
        [
            float(v)
            for v in moving.MatrixRegistrationSequence[0]
            .MatrixSequence[0]
            .FrameOfReferenceTransformationMatrix
        ],
        (4, 4),
    )
    # the object carries MR points to CT points
    assert matrix[:3, 3] == pytest.approx(-case.MOVED_MM)
    segments = pydicom.dcmread(out / "seg.dcm").SegmentSequence
    assert [str(s.SegmentLabel) for s in segments] == ["M1", "M2"]
    host.click(ui.exportButton)
    assert "nothing is replaced" in told()


def validated(path):
    told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (told.stderr + told.stdout).splitlines() if line.startswith("Error")]


def test_habitats_are_shown_as_reference_and_never_become_targets_or_organs(host, habitats, told):
    from BMVascularLib.segments import labelGeometryOfSegment
    from BMVascularLib.studyNodes import firstOf

    scene, ui = host.slicer.mrmlScene, habitats.ui
    ui.referencesBox.checked = True
    node = firstOf(scene, "references", "TP1")
    names = [
        node.GetSegmentation().GetNthSegment(n).GetName()
        for n in range(node.GetSegmentation().GetNumberOfSegments())
    ]
    assert len(names) == 4
    assert all(name.startswith("zREF_01") and name.endswith("(not for treatment)") for name in names)
    array, geometry = labelGeometryOfSegment(node, "zREF_01_PresHiBV")
    # in the space of the CT
    centre = geometry.points_of(np.argwhere(array > 0)).mean(axis=0)
    assert centre == pytest.approx(case.BALLS["M1"][1], abs=0.1)
    ui.prescriptionEdit.text = "20"
    host.click(ui.reviewButton)
    assert not any(row["Structure"].startswith("zREF") for row in by_heading(ui.metricsTable))
    ui.referencesBox.checked = False
    assert firstOf(scene, "references", "TP1") is None
    scene.RemoveNode(firstOf(scene, "habitats", "TP1"))
    ui.referencesBox.checked = True
    assert "neither habitats nor a Ktrans map" in told()


@pytest.mark.usefixtures("hd")
def test_habitats_leave_as_structures_not_for_treatment(host, habitats, ct_folder, mr_folder, tmp_path):
    ui, out = habitats.ui, tmp_path / "out"
    ui.ctFolderButton.directory, ui.mrFolderButton.directory = str(ct_folder[0]), str(mr_folder)
    ui.outFolderButton.directory = str(out)
    host.click(ui.previewButton)
    details = ui.exportDetails.plainText
    assert "the 4 CONTROL are reference only, not for treatment" in details
    assert "2 lesions (M1, M2)" in details and "4 reference regions, not for treatment" in details
    assert "lesions and regions are in this one object: 6 of 6 segments" in details
    # their own voxels are finer
    assert "resampled onto the voxels of the T1" in details
    host.click(ui.exportButton)
    data = pydicom.dcmread(out / "rtstruct.dcm")
    kinds = {str(r.ROIName): (str(o.RTROIInterpretedType), str(r.ROIDescription))
             for r, o in zip(data.StructureSetROISequence, data.RTROIObservationsSequence, strict=True)}  # fmt: skip
    again = {s.name: s.mask for s in read_segmentation_object(out / "seg.dcm").structures}
    inner = again["zREF_01_PresHiBV"]
    index = np.argwhere(inner.array)
    # on the T1 as it was acquired: the fusion has not moved it
    centre = case.BALLS["M1"][1] + case.MOVED_MM
    assert inner.geometry.points_of(index).mean(axis=0) == pytest.approx(centre, abs=0.1)
    assert inner.array.sum() * inner.geometry.voxel_ml == pytest.approx(case.ball_ml(6.0), rel=0.1)
    references = {name: kind for name, kind in kinds.items() if name.startswith("zREF_01_")}
    assert len(references) == 4 and all(len(name) <= 16 for name in references)
    assert all(kind == "CONTROL" and "Not for treatment" in text for kind, text in references.values())
    if shutil.which("dciodvfy"):
        found = {path.name: validated(path) for path in out.iterdir()}
        assert found == {"rtstruct.dcm": [], "reg.dcm": [], "seg.dcm": []}
    ui.referenceBox.checked = False
    assert ui.exportButton.enabled is False and ui.exportTable.rowCount == 0
    host.click(ui.previewButton)
    assert "CONTROL" not in ui.exportDetails.plainText


def test_export_to_another_ct_is_refused(host, planned, told, tmp_path):
    headers = planning_cases.image_headers(np.arange(64) - 32.0)
    folder = planning_cases.write_series(tmp_path / "other", headers)
    planned.ui.ctFolderButton.directory = str(folder)
    host.click(planned.ui.previewButton)
    assert "another scan" in told()
    assert planned.ui.exportButton.enabled is False


def test_export_without_the_mr_says_what_is_missing(host, planned, ct_folder):
    planned.ui.ctFolderButton.directory = str(ct_folder[0])
    host.click(planned.ui.previewButton)
    states = [row["Check"] for row in by_heading(planned.ui.exportTable)]
    assert states[0].startswith("passed")
    assert states[1:] == ["not written"] * 2
    said = planned.ui.exportDetails.plainText
    assert said.count("Not written: the DICOM series of the T1 is not chosen.") == 2


def test_self_test_shows_small_errors(host, planned):
    host.click(planned.ui.selfTestButton)
    rows = cells(planned.ui.selfTestTable)
    assert [row[0] for row in rows] == ["3", "5", "7", "10", "20"]
    for row in rows[1:]:
        assert max(abs(float(text.removesuffix(" %"))) for text in row[1:]) < 1.0


def test_a_closed_scene_empties_the_panel(host, dosed, ct_folder):
    dosed.ui.ctFolderButton.directory = str(ct_folder[0])
    dosed.ui.prescriptionEdit.text = "20"
    host.click(dosed.ui.reviewButton)
    host.clear()
    for table in (dosed.ui.fusionTable, dosed.ui.targetsTable, dosed.ui.metricsTable, dosed.ui.exportTable):
        assert table.rowCount == 0
    assert dosed.ui.prescriptionEdit.text == ""
    assert dosed.ui.fuseButton.enabled is False
    assert set(dosed.folders.values()) == {""}


def test_a_saved_scene_brings_everything_back(host, dosed, tmp_path):
    dosed.ui.prescriptionEdit.text = "20"
    dosed.ui.targetsTable.item(1, 3).setText("3")
    host.process()
    dosed.ui.lookedSkullBox.checked = True
    host.click(dosed.ui.acceptButton)
    host.click(dosed.ui.reviewButton)
    before = cells(dosed.ui.targetsTable), cells(dosed.ui.metricsTable), cells(dosed.ui.fusionTable)
    conventions = dosed.ui.conventionsLabel.text
    file = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    host.loadScene(file)
    assert dosed.ui.prescriptionEdit.text == "20"
    assert dosed.ui.verdictLabel.text.startswith("PASS")
    assert dosed.ui.acceptedLabel.text == "Accepted; looked at: Skull and skin."
    after = cells(dosed.ui.targetsTable), cells(dosed.ui.metricsTable), cells(dosed.ui.fusionTable)
    assert after[0] == before[0]
    assert after[2] == before[2]
    assert [row[:5] for row in after[1]] == [row[:5] for row in before[1]]
    assert dosed.ui.conventionsLabel.text == conventions and "end caps" in conventions


def test_entering_leaving_and_reloading_leave_nothing_behind(host, planned):
    host.close()
    before = host.observers()
    for _ in range(4):
        host.open("BMVPlanning")
        host.close()
    assert host.observers() == before
    new = host.reload("BMVPlanning")
    assert new is not planned
    host.open("BMVPlanning")
    assert new.ui.verdictLabel.text.startswith("PASS")


def test_the_module_tests_itself(host, planned):
    import BMVPlanning

    BMVPlanning.BMVPlanningTest().runTest()
