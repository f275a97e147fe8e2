"""`python -m SlicerStandIn [--show] [ModuleName]`: click through the modules without Slicer."""

import argparse
import os
import sys
from pathlib import Path

MODULES = Path(__file__).resolve().parents[2] / "BMVascular"


def main():
    parser = argparse.ArgumentParser(prog="SlicerStandIn")
    parser.add_argument("module", nargs="?", help="module to open first")
    parser.add_argument("--show", action="store_true", help="open a window (needs a display)")
    parser.add_argument("--picture", help="write a picture of the window to this file")
    parser.add_argument("--modules", default=str(MODULES), help="folder of module files")
    call = parser.parse_args()
    if call.show:
        os.environ["QT_QPA_PLATFORM"] = "xcb" if sys.platform == "linux" else ""
    from . import messages, pictures, start, window

    host = start(testing=not call.show)
    names = [host.loadModule(p).name for p in sorted(Path(call.modules).glob("*.py"))]
    if not names:
        parser.exit(2, f"no module files in {call.modules}\n")
    host.finishStartup()
    first = call.module or names[0]
    if call.picture:
        pictures.toPIL(window.image(host, first)).save(call.picture)
    if call.show:
        messages.interactive = True
        shown = host.window()
        shown.showViews()
        host.open(first)
        window.redraw(shown)
        shown.show()
        host.slicer.app.exec_()


if __name__ == "__main__":
    main()
