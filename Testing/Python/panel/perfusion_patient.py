"""The simulated patient in the stand-in's scene, for the perfusion panel's tests and pictures."""

from BMVascularLib.segments import addSegmentation
from BMVascularLib.studyNodes import addImage, setRole

COLORS = ((0.90, 0.62, 0.0), (0.34, 0.71, 0.91), (0.0, 0.62, 0.45), (0.80, 0.47, 0.65), (0.84, 0.37, 0.0))


def addPatient(scene, patient):
    """T1c, VFA, DSC, DCE and the true lesions of the first time point, with roles.

    Returns
    -------
    dict of str to node
    """
    point = patient.timepoints[0]
    nodes = {"T1c": addImage(scene, point.volumes["T1c"], "T1c", "TP1", "simulated")}
    for name, volume in point.volumes.items():
        if name.startswith("VFA"):
            nodes[name] = addImage(scene, volume, "VFA", "TP1", "simulated")
    for role in ("DSC", "DCE"):
        nodes[role] = addImage(scene, point.series[role], role, "TP1", "simulated")
    labels = point.truth.volumes["labels"]
    segments = [
        {"label": n, "name": f"M{n}", "color": COLORS[(n - 1) % 5], "kind": "metastasis"} for n in range(1, 9)
    ]
    nodes["lesions"] = addSegmentation(scene, labels, segments, "TP1 lesions", nodes["T1c"])
    setRole(nodes["lesions"], "lesions", "TP1", "simulated")
    return nodes
