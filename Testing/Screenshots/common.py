"""What every screenshot of a panel shares: the stand-in, a filled scene, the picture file.

Run a script of this folder with ``PYTHONPATH=BMVascular:Testing python Testing/Screenshots/<name>.py``; it
writes ``Resources/Screenshots/panel-<name>.png``.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "BMVascular", ROOT / "Testing"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

PICTURES = ROOT / "Resources" / "Screenshots"
SIZE = (1366, 768)


def start(*modules):
    """The stand-in with modules of the product loaded (all five by default where they are there).

    Returns
    -------
    SlicerStandIn host
    """
    import SlicerStandIn

    host = SlicerStandIn.start()
    for name in modules or allModules():
        host.loadModule(ROOT / "BMVascular" / f"{name}.py")
    host.finishStartup()
    return host


def allModules():
    """Names of the module files that are there, the hub first."""
    return sorted(path.stem for path in (ROOT / "BMVascular").glob("BMV*.py"))


def fillScene(host, size="small"):
    """Both time points of the simulated patient with roles, seeds and context."""
    from BMVascularLib.simulated import addSimulatedPatient

    return addSimulatedPatient(host.slicer.mrmlScene, size)


def showVolume(host, node, ras=None):
    """Show a volume in the slice views, and jump to a place (RAS mm)."""
    host.slicer.util.setSliceViewerLayers(background=node, fit=True)
    if ras is not None:
        for name in ("Red", "Yellow", "Green"):
            host.slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{name}").JumpSliceByOffsetting(*ras)
    host.process(0.2)


def save(host, module, name, size=SIZE):
    """Grab the panel beside the views and write it, small enough for a README.

    Returns
    -------
    Path
    """
    return write(host.grabWindow(module, *size), f"panel-{name}.png")


def write(picture, name):
    """Write a screenshot; five bits a colour are enough for reading, and halve the file."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    levels = [round(value / 8) * 8 if value < 252 else 255 for value in range(256)]
    picture.convert("RGB").point(levels * 3).save(PICTURES / name, optimize=True)
    return PICTURES / name
