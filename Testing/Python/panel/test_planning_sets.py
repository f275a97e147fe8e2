"""Real and reference plans through the planning panel: structures, dose, review."""

import json

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
