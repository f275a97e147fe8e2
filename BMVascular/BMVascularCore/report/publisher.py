"""Scene and pictures, made by the MRML bridge in a process of its own.

Rendering needs VTK, which Core must not load; a separate process also keeps a graphics driver's
crash away from the results.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

_TIMEOUT_S = 900


def publish(folder):
    """Make ``scene.mrb`` and ``pictures/`` from a results folder.

    Parameters
    ----------
    folder : path-like
        Holds ``results.json``.

    Returns
    -------
    str
        Empty when done, else one sentence that says why there are no pictures.
    """
    if importlib.util.find_spec("slicer") is None or importlib.util.find_spec("BMVascularLib") is None:
        return "no scene and no pictures: install them with pip install 'bmvascular[scene]'"
    environment = dict(os.environ)
    # the child finds the same packages as this process, installed or not
    environment["PYTHONPATH"] = os.pathsep.join([path for path in sys.path if path])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "BMVascularLib.publish", str(Path(folder))],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no scene and no pictures: rendering took more than {_TIMEOUT_S // 60} minutes"
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return f"scene or pictures are incomplete: {last[:200]}"
    return ""
