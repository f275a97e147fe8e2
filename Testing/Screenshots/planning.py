"""Screenshot of the Planning panel beside its views: fused, with targets, dose and isodose lines.

``PYTHONPATH=BMVascular:Testing python Testing/Screenshots/planning.py`` builds the small simulated patient,
takes its lesions from the truth and registers CT and T1 as the panel does.
"""

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
    host.click(ui.reviewButton)
    host.click(ui.isodoseButton)
    ui.doseOpacity.value = 0.35
    for name in ("fuse", "organs", "dose", "export", "test"):
        getattr(ui, f"{name}Section").collapsed = True
    ui.targetsSection.collapsed = False
    panel.jumpToLesion("M1")
    ui.targetsTable.selectRow(0)
    near(host)
    print(save(host, "BMVPlanning", "planning"))


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
