"""Real and reference plans through the planning panel: structures, dose, review."""

import json
import zipfile

import numpy as np
import planning_foreign as foreign
import pytest
from planning_scene import by_heading

from BMVascularCore.study.dicom import read_single_volume


@pytest.fixture
def panel(host, module):
    module("BMVPlanning")
    return host.open("BMVPlanning")


def add_ct(host, panel, folder):
    from BMVascularLib.studyNodes import addImage

    node = addImage(host.slicer.mrmlScene, read_single_volume(folder), "CT", "Planning")
    panel.ui.ctSelector.setCurrentNode(node)
    return node


def load(host, panel, structures=None, dose=None):
    if structures is not None:
        panel.ui.structuresPath.currentPath = str(structures)
        host.click(panel.ui.structuresButton)
    if dose is not None:
        panel.ui.dosePath.currentPath = str(dose)
        host.click(panel.ui.doseButton)


def review(host, panel, prescription):
    panel.ui.prescriptionEdit.text = prescription
    host.click(panel.ui.reviewButton)
    return {row["Structure"]: row for row in by_heading(panel.ui.metricsTable)}


@pytest.mark.parametrize("name", ["GTV_03mm", "GTV_07mm", "GTV_20mm"])
def test_spheres_of_a_structure_set_meet_their_truth(host, panel, shared, name):
    folder = shared / "data/rt/synthetic_spheres"
    truth = json.loads((folder / "truth.json").read_text())["targets"][name]
    add_ct(host, panel, folder / "ct")
    load(host, panel, folder / "RS_spheres.dcm", folder / f"RD_{name}_1mm.dcm")
    row = review(host, panel, "20")[name]
    assert float(row["D98 Gy"]) == pytest.approx(truth["D98_Gy"], rel=0.01)
    assert float(row["GI"]) == pytest.approx(
        truth["gradient_index"], rel=0.03 if name == "GTV_03mm" else 0.01
    )


def unpack(shared, name, folder):
    with zipfile.ZipFile(shared / "data/real" / name) as packed:
        packed.extractall(folder)
    return folder


def test_a_gamma_knife_plan_on_the_mri_itself(host, panel, shared, tmp_path):
    from BMVascularLib.planningNodes import frameOf

    folder = unpack(shared, "vs_seg_001_gk/T1c_dicom.zip", tmp_path / "mr")
    ct = add_ct(host, panel, folder)
    drawn = json.loads(
        (shared / "data/real/vs_seg_001_gk/sub-001_contours_space-individual_T1w.json").read_text()
    )
    rois = [
        (one["structure_name"], "", [("CLOSED_PLANAR", np.array(c)) for c in one["LPS_contour_points"]])
        for one in drawn
    ]
    load(host, panel, foreign.write_structures(tmp_path / "rs.dcm", rois, frame=frameOf(ct)))
    panel.ui.contourBox.setCurrentText("TV")
    host.click(panel.ui.lesionButton)
    host.click(panel.ui.targetsButton)
    row = by_heading(panel.ui.targetsTable)[0]
    # as the data's own description states
    assert float(row["GTV mL"]) == pytest.approx(3.44, rel=0.01)
    assert float(row["PTV mL"]) > float(row["GTV mL"])
    panel.ui.ctFolderButton.directory = str(folder)
    panel.ui.outFolderButton.directory = str(tmp_path / "out")
    host.click(panel.ui.previewButton)
    assert [row["Check"] for row in by_heading(panel.ui.exportTable)] == [
        "passed, with notes", "not written", "passed",
    ]  # fmt: skip
    assert "slices are 1.50 mm apart" in panel.ui.exportDetails.plainText
    host.click(panel.ui.exportButton)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["rtstruct.dcm", "seg.dcm"]


def test_the_tilted_head_ct_is_refused_with_its_tilt(host, planned, told, shared, tmp_path):
    folder = unpack(shared, "head_ct_ge_dicom/GE_head_ct_dicom.zip", tmp_path / "ct")
    planned.ui.ctFolderButton.directory = str(folder)
    host.click(planned.ui.previewButton)
    assert "gantry tilt of +18.5 deg" in told()
    assert planned.ui.exportButton.enabled is False
