"""Scene and pictures of a results folder: ``python -m BMVascularLib.publish RESULTS_DIR``.

Writes ``scene.mrb``, ``pictures/*.png`` and ``pictures.json`` into the folder.
"""

import argparse
import json
import sys
from pathlib import Path

from BMVascularCore.errors import BMVascularError
from BMVascularLib.lesionPictures import lesionPictures
from BMVascularLib.offscreen import drawingProblem
from BMVascularLib.overviewPictures import overviewPicture
from BMVascularLib.planningPictures import planningPicture
from BMVascularLib.resultsScene import SceneBuilder
from BMVascularLib.sceneFiles import saveScene, showFirstTimepoint


def publish(folder, progress=None):
    """Write the scene and the pictures of a results folder.

    Parameters
    ----------
    folder : path-like
    progress : callable, optional
        ``progress(fraction, message)``; what it raises passes through.

    Returns
    -------
    list of dict
        ``file`` (relative to the folder), ``kind`` (lesion, overview, planning), ``lesion``,
        ``timepoint``, ``caption``. Empty where nothing can be drawn; the scene is written all the same.
    """
    folder = Path(folder)
    progress = progress or (lambda fraction, message: None)
    builder = SceneBuilder(folder)
    progress(0.0, "building the scene")
    result = builder.addTimepoints()
    (folder / "pictures").mkdir(exist_ok=True)
    problem = drawingProblem()
    if problem:
        progress(0.1, problem)
    entries = [] if problem else timepointPictures(result, progress)
    # only now: standing below the planning transform, a time point is seen along the CT's axes
    if builder.addPlanning() and not problem:
        progress(0.9, "planning picture")
        entries.append(planningPicture(result))
    progress(0.95, "saving the scene")
    showFirstTimepoint(result)
    saveScene(result.world.scene, folder / "scene.mrb")
    (folder / "pictures.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
    progress(1.0, "done")
    return entries


def timepointPictures(result, progress):
    """Pictures of every lesion and an overview for each time point; returns their entries."""
    entries = []
    share = 0.8 / len(result.timepoints)
    for number, timepoint in enumerate(result.timepoints):
        start = 0.1 + number * share
        entries += lesionPictures(
            result, timepoint, lambda part, text, s=start: progress(s + part * share, text)
        )
        entries.append(overviewPicture(result, timepoint))
    return entries


def main(arguments=None):
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m BMVascularLib.publish", description=__doc__)
    parser.add_argument("folder", type=Path, help="results folder with results.json")
    options = parser.parse_args(arguments)
    problem = drawingProblem()
    if problem:
        sys.stderr.write(f"{problem}\n")
    try:
        publish(options.folder)
    except BMVascularError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
