"""Screenshot of the Phenotype panel beside its views, from a results folder of the simulated patient.

``python -m BMVascularCore demo --out RESULTS``, then
``PYTHONPATH=BMVascular:Testing python Testing/Screenshots/phenotype.py RESULTS``;
writes ``Resources/Screenshots/panel-phenotype.png``.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "BMVascular", ROOT / "Testing"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

PICTURE = ROOT / "Resources" / "Screenshots" / "panel-phenotype.png"
CONTEXT = {"protocol": {"preload": True, "leakage_correction": True, "flip_deg": 60}, "histology": "lung"}


def shownPanel(host, results):
    """The panel over the first time point of a results folder, a lesion chosen."""
    import slicer

    from BMVascularLib.resultsScene import SceneBuilder
    from BMVascularLib.scene import World

    host.loadModule(ROOT / "BMVascular" / "BMVPhenotype.py")
    world = World(slicer.mrmlScene, slicer.app.applicationLogic(), {})
    result = SceneBuilder(results, world).addTimepoints()
    panel = host.open("BMVPhenotype")
    label = result.timepoints[0].label
    panel.logic.setContext(label, CONTEXT)
    host.click(panel.ui.applyButton)
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
    import SlicerStandIn

    host = SlicerStandIn.start()
    shownPanel(host, results)
    picture = host.grabWindow("BMVPhenotype")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    # five bits a colour are enough for reading, and halve the file
    picture.point([round(value / 8) * 8 if value < 252 else 255 for value in range(256)] * 3).save(
        PICTURE, optimize=True
    )


if __name__ == "__main__":
    main()
