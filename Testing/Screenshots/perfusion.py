"""Picture of the perfusion panel on the simulated patient: ``python Testing/Screenshots/perfusion.py``."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT / part) for part in ("BMVascular", "Testing", "Testing/Python/panel", "Testing/Screenshots")
]

import SlicerStandIn  # noqa: E402

WIDTH, HEIGHT, PANEL = 1366, 768, 420
FOLDED = ("inputsButton", "modelButton", "aifButton")


def main():
    """Run the panel as a person would and save the picture."""
    host = SlicerStandIn.start()
    import slicer
    from perfusion_patient import addPatient

    from BMVascularCore.phantom import build_patient

    patient = build_patient(size="small")
    addPatient(slicer.mrmlScene, patient)
    host.loadModule(ROOT / "BMVascular" / "BMVPerfusion.py")
    panel = host.open("BMVPerfusion")
    panel.ui.preloadBox.currentIndex = 1
    host.click(panel.ui.applyButton)
    panel.ui.followButton.checked = True
    for name in FOLDED:
        getattr(panel.ui, name).collapsed = True
    lesion = patient.timepoints[0].seeds[0]["ras"]
    for name in ("Red", "Yellow"):
        view = slicer.app.layoutManager().sliceWidget(name)
        view.sliceLogic().FitSliceToAll()
        view.mrmlSliceNode().JumpSliceByOffsetting(*lesion)
    slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode").SetCursorPositionRAS(
        [lesion[0] + 6.0, lesion[1] + 4.0, lesion[2]]
    )
    target = ROOT / "Resources" / "Screenshots" / "panel-perfusion.png"
    compose(host).save(target, optimize=True)
    print(f"{target.name}: {target.stat().st_size // 1024} KB")


def compose(host):
    """Panel left; two slices above the plot view right."""
    import slicer
    from charts import chartPicture
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    picture.paste(host.grabPanel("BMVPerfusion", PANEL, HEIGHT).crop((0, 0, PANEL, HEIGHT)), (0, 0))
    half, bar = (WIDTH - PANEL) // 2, 18
    top = HEIGHT // 2
    draw = ImageDraw.Draw(picture)
    for number, (name, color) in enumerate((("Red", "#f34a33"), ("Yellow", "#edd54c"))):
        left = PANEL + number * half
        picture.paste(host.grabView(name, half, top - bar), (left, bar))
        draw.rectangle([left, 0, left + half - 1, bar - 1], fill=color)
        draw.text((left + 6, 4), f"{name[0]}   simulated patient", fill="black")
    chart = slicer.mrmlScene.GetFirstNodeByName("Time course")
    picture.paste(chartPicture(chart, WIDTH - PANEL, HEIGHT - top), (PANEL, top))
    return picture


if __name__ == "__main__":
    main()
