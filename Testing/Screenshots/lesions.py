"""Picture of the Lesion Seeding panel on the simulated patient, some lesions clicked and reviewed.

Run: PYTHONPATH=BMVascular:Testing python Testing/Screenshots/lesions.py [full]
"""

import sys
from pathlib import Path

import common
import SlicerStandIn

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("T1c", "T1", "FLAIR", "SWI")
# mm of brain that the slice views show across
FIELD_MM = 150.0


def fill(scene, patient):
    """The images that lesions are read on; returns the places to click (RAS mm)."""
    from BMVascularLib.studyNodes import addImage

    for point in patient.timepoints:
        for role in ROLES:
            addImage(scene, point.volumes[role], role, point.label, "simulated")
    return [tuple(seed["ras"]) for seed in patient.timepoints[0].seeds]


def read(host, panel, places):
    """Click, accept two lesions, flag one, and go back to the first."""
    host.click(panel.ui.placeButton)
    for place in places:
        host.place(place)
        host.process(0.02)
        panel.finishOutstanding()
    host.click(panel.ui.placeButton)
    panel.ui.lesionTable.selectRow(1)
    host.click(panel.ui.acceptButton)
    host.click(panel.ui.acceptButton)
    host.click(panel.ui.flagButton)
    panel.ui.lesionTable.selectRow(0)
    panel.say(f"{len(places)} clicks, {panel.ui.lesionTable.rowCount} lesions.")


def zoom(slicer):
    """Slice views close enough to judge an outline."""
    for name in ("Red", "Yellow", "Green"):
        node = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
        across, down, depth = node.GetFieldOfView()
        node.SetFieldOfView(FIELD_MM, FIELD_MM * down / across, depth)


def main():
    from BMVascularCore.phantom import build_patient

    host = SlicerStandIn.start()
    host.loadModule(ROOT / "BMVascular" / "BMVLesionSeeding.py")
    places = fill(host.slicer.mrmlScene, build_patient(size=sys.argv[1] if len(sys.argv) > 1 else "small"))
    panel = host.open("BMVLesionSeeding")
    panel.ui.imagesButton.collapsed = True
    host.slicer.util.setSliceViewerLayers(background=panel._parameterNode.t1c, fit=True)
    host.grabWindow("BMVLesionSeeding")
    read(host, panel, places)
    zoom(host.slicer)
    common.save(host, "BMVLesionSeeding", "lesions")


if __name__ == "__main__":
    main()
