"""The simulated patient as nodes of a scene."""

import json

from BMVascularCore.phantom import build_patient
from BMVascularCore.progress import share_of
from BMVascularLib import studyNodes
from BMVascularLib.volumes import addVolume

TITLE = "Simulated patient (no real person)"


def addSimulatedPatient(scene, size="small", seed=1, progress=None):
    """Simulate a patient and add every image with its role, seeds and context.

    Parameters
    ----------
    scene : vtkMRMLScene
    size : {"small", "full"}
    seed : int
    progress : callable, optional
        When it raises, the scene stays as it was.

    Returns
    -------
    list of vtkMRMLNode
    """
    patient = build_patient(seed, size, share_of(progress, 0.0, 0.8))
    added = []
    try:
        for number, point in enumerate(patient.timepoints):
            share = share_of(progress, 0.8 + 0.1 * number, 0.9 + 0.1 * number)
            added += _addTimepoint(scene, point, f"simulated; anatomy from {patient.anatomy}", share)
        dose = addVolume(scene, patient.rtdose, f"{studyNodes.PLANNING} dose")
        studyNodes.setRole(dose, "dose", studyNodes.PLANNING, "simulated")
        added.append(dose)
    except BaseException:
        studyNodes.removeAdded(scene, added)
        raise
    return added


def _addTimepoint(scene, point, reason, progress):
    images = [*point.volumes.items(), *point.series.items()]
    added = []
    try:
        for number, (name, image) in enumerate(images):
            progress(number / len(images), f"{point.label}: {name}")
            role = name.split("_")[0]
            label = studyNodes.PLANNING if role == "CT" else point.label
            added.append(studyNodes.addImage(scene, image, role, label, reason))
        seeds = [(seed["name"], tuple(seed["ras"])) for seed in point.seeds]
        added.append(studyNodes.addStudySeeds(scene, seeds, point.label, "simulated"))
        added.append(
            studyNodes.addContext(scene, point.label, json.dumps(point.context, indent=1), "simulated")
        )
    except BaseException:
        studyNodes.removeAdded(scene, added)
        raise
    return added
