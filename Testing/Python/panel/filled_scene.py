"""A scene as the hub leaves it: every image of the simulated patient with its role."""

from itertools import chain
from pathlib import Path

PRODUCT = Path(__file__).resolve().parents[3] / "BMVascular"


def fill_scene(scene, patient, timepoints=(0, 1)):
    """Every image of a simulated patient with role and time point, seeds named; the planning CT too.

    Returns
    -------
    dict
        (time point label, role) to the node that carries the role; several VFA scans: the last.
    """
    from BMVascularLib.seeds import addSeeds
    from BMVascularLib.studyNodes import addImage, setRole

    nodes = {}
    for number in timepoints:
        point = patient.timepoints[number]
        for name, image in chain(point.volumes.items(), point.series.items()):
            role = name.split("_")[0]
            label = "Planning" if role == "CT" else point.label
            nodes[label, role] = addImage(scene, image, role, label, "simulated")
        seeds = [(seed["name"], tuple(seed["ras"])) for seed in point.seeds]
        nodes[point.label, "seeds"] = addSeeds(scene, seeds, f"{point.label} seeds")
        setRole(nodes[point.label, "seeds"], "seeds", point.label, "from the study")
    return nodes
