"""Screenshots of the Planning panel beside its views: targets, dose review with its chart, export preview.

``PYTHONPATH=BMVascular:Testing python Testing/Screenshots/planning.py`` builds the small simulated patient,
takes its lesions from the truth and registers CT and T1 as the panel does.
"""

import tempfile
from pathlib import Path

from common import save, start


def scene(host):
    """CT, T1c, lesions and dose of the simulated patient with their roles."""
    from BMVascularCore.phantom import build_patient
    from BMVascularLib import display
    from BMVascularLib.segments import addSegmentation
    from BMVascularLib.studyNodes import addImage, setRole

    patient, mrml = build_patient(size="small"), host.slicer.mrmlScene
    point = patient.timepoints[0]
    t1c = addImage(mrml, point.volumes["T1c"], "T1c", point.label, "simulated")
    ct = addImage(mrml, point.volumes["CT"], "CT", "Planning", "simulated")
    display.setWindow(ct, -60.0, 140.0)
    addImage(mrml, patient.rtdose, "dose", "Planning", "simulated")
    segments = [
        {"label": n, "name": row["name"], "color": (0.9, 0.6, 0.0), "kind": "metastasis"}
        for n, row in enumerate(point.truth.lesions, start=1)
    ]
    lesions = addSegmentation(mrml, point.truth.volumes["labels"], segments, f"{point.label} lesions", t1c)
    setRole(lesions, "lesions", point.label)
    lesions.GetDisplayNode().SetVisibility(False)
    return patient


def main():
    """Command line."""
    host = start("BMVPlanning")
    patient = scene(host)
    panel = host.open("BMVPlanning")
    ui = panel.ui
    host.click(ui.fuseButton)
    host.click(ui.targetsButton)
    ui.prescriptionEdit.text = f"{patient.prescription_gy:g}"
    ui.isodoseEdit.text = "100 %, 50 %"
    ui.fractionsBox.setCurrentText("1")
    host.click(ui.reviewButton)
    host.click(ui.isodoseButton)
    ui.doseOpacity.value = 0.35
    panel.jumpToLesion("M1")
    ui.targetsTable.selectRow(0)
    near(host)
    only(ui, "targets")
    print(save(host, "BMVPlanning", "planning"))
    with tempfile.TemporaryDirectory() as folder:
        preview(host, panel, patient, Path(folder))
        only(ui, "export")
        print(save(host, "BMVPlanning", "planning-export"))
    only(ui, "dose")
    host.click(ui.chartButton)
    print(save(host, "BMVPlanning", "planning-dose", (1366, 1100)))


def only(ui, shown):
    """One section open."""
    for name in ("fuse", "targets", "organs", "dose", "export", "test"):
        getattr(ui, f"{name}Section").collapsed = name != shown


def preview(host, panel, patient, folder):
    """The preview of the export, from the patient's own DICOM files."""
    from BMVascularCore.phantom import write_dicom

    write_dicom(patient, folder)
    for key, series in seriesFolders(folder).items():
        panel.folderButtons[key].directory = str(series)
    host.click(panel.ui.previewButton)
    for button in (panel.ui.ctFolderButton, panel.ui.mrFolderButton):
        # the folders of this run say nothing to a reader
        button.text = "DICOM series"


def seriesFolders(folder):
    """The folders of CT and first T1c."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_dir()):
        key = {"CT": "ct", "T1c": "mr"}.get(path.name.partition("_")[2])
        if key is not None and key not in found:
            found[key] = path
    return found


def near(host):
    """Closer to the lesion; a light, plain 3D view."""
    host.slicer.util.resetThreeDViews()
    for name in ("Red", "Yellow", "Green"):
        node = host.slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
        wide, high, deep = node.GetFieldOfView()
        node.SetFieldOfView(0.6 * wide, 0.6 * high, deep)
    view = host.slicer.app.layoutManager().threeDWidget(0).mrmlViewNode()
    view.SetBackgroundColor(0.97, 0.97, 0.97)
    view.SetBackgroundColor2(0.97, 0.97, 0.97)
    view.SetBoxVisible(False)
    view.SetAxisLabelsVisible(False)


if __name__ == "__main__":
    main()
