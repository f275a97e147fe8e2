"""Scene and pictures, made by the MRML bridge in a process of its own.

Rendering needs VTK, which Core must not load; a separate process also keeps a graphics driver's
crash away from the results.
"""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

from BMVascularCore.progress import silent

_TIMEOUT_S = 900


def publish(folder, progress=None):
    """Make ``scene.mrb`` and ``pictures/`` from a results folder.

    Parameters
    ----------
    folder : path-like
        Holds ``results.json``.
    progress : callable, optional
        Called several times a second; when it raises, the process is ended.

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
    command = [sys.executable, "-m", "BMVascularLib.publish", str(Path(folder))]
    child = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        said = _wait(child, progress or silent)
    except subprocess.TimeoutExpired:
        return f"no scene and no pictures: rendering took more than {_TIMEOUT_S // 60} minutes"
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    if child.returncode != 0:
        last = (said.strip().splitlines() or ["no message"])[-1]
        return f"scene or pictures are incomplete: {last[:200]}"
    return ""


def _wait(child, progress):
    """What the process wrote to stderr, once it has ended."""
    started = time.monotonic()
    while True:
        try:
            return child.communicate(timeout=0.2)[1]
        except subprocess.TimeoutExpired:
            waited = time.monotonic() - started
            if waited > _TIMEOUT_S:
                raise
            progress(waited / (waited + 30.0), "scene and pictures")
