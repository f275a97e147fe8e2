"""Screenshot of the Phenotype panel beside its views, from a results folder of the simulated patient.

``python -m BMVascularCore demo --out RESULTS``, then
``PYTHONPATH=BMVascular:Testing python Testing/Screenshots/phenotype.py RESULTS``;
writes ``panel-phenotype.png`` and ``panel-phenotype-followup.png`` into ``Resources/Screenshots``.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "BMVascular", ROOT / "Testing"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

CONTEXT = {
    "protocol": {"preload": True, "leakage_correction": True, "flip_deg": 60},
    "histology": "lung",
    # the irradiated lesion of the simulated patient
    "treatments": [{"type": "SRS", "day": -210, "lesions": ["M7"]}],
}


def shownPanel(host, results):
    """The panel over the first time point of a results folder with all assessed, a lesion chosen."""
    import slicer

    from BMVascularLib.resultsScene import SceneBuilder
    from BMVascularLib.scene import World

    host.loadModule(ROOT / "BMVascular" / "BMVPhenotype.py")
    world = World(slicer.mrmlScene, slicer.app.applicationLogic(), {})
    result = SceneBuilder(results, world).addTimepoints()
    panel = host.open("BMVPhenotype")
    for number, point in enumerate(result.timepoints):
        panel.logic.setContext(point.label, CONTEXT | {"scan": {"day": 56 * number}})
        panel.logic.assess(point.label)
    panel.refresh()
    for section in (panel.ui.inputsButton, panel.ui.contextButton):
        section.collapsed = True
    panel.ui.mapBox.setCurrentIndex(panel.overlay.roles.index("habitats"))
    panel.ui.mapOpacitySlider.value = 0.85
    panel.ui.lesionOpacitySlider.value = 0.7
    slicer.util.setSliceViewerLayers(background=result.timepoints[0].t1c, fit=True)
    slicer.util.resetThreeDViews()
    panel.ui.lesionsTable.setCurrentCell(0, 0)
    _near(slicer)
    return panel


def _near(slicer):
    for name in ("Red", "Yellow", "Green"):
        node = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
        wide, high, deep = node.GetFieldOfView()
        node.SetFieldOfView(0.8 * wide, 0.8 * high, deep)
    view = slicer.app.layoutManager().threeDWidget(0).mrmlViewNode()
    view.SetBackgroundColor(0.97, 0.97, 0.97)
    view.SetBackgroundColor2(0.97, 0.97, 0.97)
    view.SetBoxVisible(False)
    view.SetAxisLabelsVisible(False)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    results = parser.parse_args().results
    import common
    import SlicerStandIn

    host = SlicerStandIn.start()
    panel = shownPanel(host, results)
    common.save(host, "BMVPhenotype", "phenotype")
    panel.ui.mapBox.setCurrentIndex(panel.overlay.roles.index("nrcbv"))
    rows = range(panel.ui.lesionsTable.rowCount)
    # the lesion that changes its pattern between the time points
    changing = next((row for row in rows if panel.ui.lesionsTable.item(row, 0).text() == "M10"), 0)
    panel.ui.lesionsTable.setCurrentCell(changing, 0)
    host.click(panel.ui.followUpButton)
    common.save(host, "BMVPhenotype", "phenotype-followup", (1600, 900))


if __name__ == "__main__":
    main()
