"""Fusion of a time point with the planning CT: register or check, place, record."""

from BMVascularCore.errors import InputError
from BMVascularCore.planning.registration import check_rigid, register_rigid
from BMVascularLib.planningNodes import (
    FUSION,
    centreLps,
    fusionFacts,
    fusionOf,
    lesionMasks,
    placeTimepoint,
    putTable,
    requireCt,
    setFusionFacts,
    volumeBelow,
)
from BMVascularLib.studyNodes import setRole, timepointOf
from BMVascularLib.transforms import addTransform, movingToFixedRas, readTransform, transformOfNode
from BMVascularLib.volumes import vtkMatrix

ACCEPTED = "fusion acceptance"
RESIDUALS = "fusion residuals"
LOOKED_AT = {
    "skull": "Skull and skin",
    "ventricles": "Ventricles",
    "lesions": "Every lesion",
    "side": "Left and right",
}
NUMBERS = ("restart_spread_mm", "inverse_consistency_mm", "surface_distance_mm", "overlap")


def fuse(scene, ct, t1c, lesions=None, register=register_rigid, progress=None):
    """Register a T1c to the planning CT and stand its time point below the result.

    Parameters
    ----------
    scene : vtkMRMLScene
    ct, t1c : vtkMRMLScalarVolumeNode
    lesions : vtkMRMLSegmentationNode, optional
    register : callable
        As :func:`BMVascularCore.planning.registration.register_rigid`.
    progress : callable, optional

    Returns
    -------
    vtkMRMLLinearTransformNode

    Raises
    ------
    InputError, Cancelled
        The scene is as before.
    """
    _requirePair(ct, t1c)
    before = fusionOf(scene, timepointOf(t1c))
    found = register(volumeBelow(ct, None), volumeBelow(t1c, before), progress=progress)
    return _keep(scene, ct, t1c, lesions, found, "registered here")


def check(scene, ct, t1c, lesions=None, given=None, path="", measure=check_rigid, progress=None):
    """Check a transform from elsewhere as our own is checked, and use it.

    Parameters
    ----------
    given : vtkMRMLLinearTransformNode, optional
        Takes the T1c to the CT (as Slicer's transforms stand above a node).
    path : str
        A transform file instead, CT to T1c points as ITK writes it.

    Returns
    -------
    vtkMRMLLinearTransformNode
        Ours; the given node stays as it is.

    Raises
    ------
    InputError
        Both or none given, not rigid; the scene is as before.
    """
    _requirePair(ct, t1c)
    if (given is None) == (not path):
        raise InputError("one transform is wanted", "own transform", "Choose a transform node or a file.")
    transform = transformOfNode(given) if given is not None else readTransform(path)
    before = fusionOf(scene, timepointOf(t1c))
    # a transform that the T1c already stands below is not part of the image
    below = given if given is not None else before
    found = measure(volumeBelow(ct, None), volumeBelow(t1c, below), transform, progress=progress)
    source = "given as a node" if given is not None else "given as a file"
    return _keep(scene, ct, t1c, lesions, found, source, given)


def _requirePair(ct, t1c):
    requireCt(ct)
    if t1c is None:
        raise InputError("no T1 with contrast is chosen", "fusion", "Choose the T1 of the time point.")
    if ct is t1c:
        raise InputError("CT and T1 are the same volume", ct.GetName(), "Choose two volumes.")


def _keep(scene, ct, t1c, lesions, found, source, given=None):
    timepoint = timepointOf(t1c)
    node = fusionOf(scene, timepoint)
    if node is None:
        node = addTransform(scene, found.transform, f"{timepoint or t1c.GetName()} to planning CT".strip())
        setRole(node, FUSION, timepoint, source)
    else:
        node.SetMatrixTransformToParent(vtkMatrix(movingToFixedRas(found.transform)))
    if given is not None:
        _leave(scene, given)
    placeTimepoint(scene, timepoint, node, [t1c, *([lesions] if lesions is not None else [])])
    node.SetNodeReferenceID(node.GetMovingNodeReferenceRole(), t1c.GetID())
    node.SetNodeReferenceID(node.GetFixedNodeReferenceRole(), ct.GetID())
    facts = {key: _number(getattr(found, key)) for key in NUMBERS}
    facts |= {
        "verdict": found.verdict,
        "reasons": list(found.reasons),
        "notes": list(found.notes),
        "source": source,
    }
    setFusionFacts(node, facts)
    putTable(scene, RESIDUALS, timepoint, residualRows(found, lesions), f"{timepoint} fusion at lesions",
             ["lesion", "expected_error_mm", "upper_mm"])  # fmt: skip
    accepted = acceptance(scene, timepoint)
    if accepted:
        putTable(scene, ACCEPTED, timepoint, [], f"{timepoint} fusion acceptance", ["checked", "result"])
    return node


def _leave(scene, given):
    """What stood below the given transform stands below ours from now on."""
    parent = given.GetParentTransformNode()
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLTransformableNode")):
        node = scene.GetNthNodeByClass(n, "vtkMRMLTransformableNode")
        if node.GetParentTransformNode() is given:
            node.SetAndObserveTransformNodeID(parent.GetID() if parent is not None else None)


def _number(value):
    return None if value != value else float(value)


def residualRows(found, lesions):
    """Expected error of the fusion at every lesion, mm."""
    if lesions is None or not lesions.GetSegmentation().GetNumberOfSegments():
        return []
    masks = lesionMasks(lesions)
    errors = found.errors_at([centreLps(mask) for _, _, mask in masks])
    return [{"lesion": name, **error} for (_, name, _), error in zip(masks, errors, strict=True)]


def verdictText(facts):
    """Verdict, reasons and notes of a fusion in one paragraph."""
    if not facts:
        return "Not fused yet."
    numbers = "; ".join(
        text.format(facts[key])
        for key, text in (
            ("restart_spread_mm", "repeats {:.2f} mm apart"),
            ("inverse_consistency_mm", "there and back {:.2f} mm"),
            ("surface_distance_mm", "skin surfaces {:.1f} mm apart"),
            ("overlap", "overlap {:.0%}"),
        )
        if facts.get(key) is not None
    )
    lines = [f"{facts['verdict'].upper()} ({facts['source']}): {'; '.join(facts['reasons'])}.", numbers]
    return "\n".join(filter(None, [*lines, *facts.get("notes", [])]))


def accept(scene, t1c, checked):
    """Record that the fusion was looked at: what, and what was measured. No person, no date.

    Parameters
    ----------
    checked : dict
        Key of ``LOOKED_AT`` to bool.

    Returns
    -------
    vtkMRMLTableNode

    Raises
    ------
    InputError
        No fusion, a failed one, or nothing was looked at.
    """
    timepoint = timepointOf(t1c) if t1c is not None else ""
    facts = fusionFacts(fusionOf(scene, timepoint))
    if not facts:
        raise InputError("nothing is fused yet", "fusion", "Fuse first.")
    if facts["verdict"] == "fail":
        raise InputError("the fusion failed its checks and cannot be accepted", "fusion", "Fuse again.")
    if not any(checked.values()):
        raise InputError("nothing is marked as looked at", "fusion", "Look, and tick what you looked at.")
    rows = [
        {"checked": title, "result": "looked at" if checked.get(key) else "not looked at"}
        for key, title in LOOKED_AT.items()
    ]
    rows.append({"checked": "Verdict", "result": facts["verdict"]})
    rows += [{"checked": key, "result": "" if facts[key] is None else f"{facts[key]:.3f}"} for key in NUMBERS]
    rows.append({"checked": "Transform", "result": facts["source"]})
    return putTable(scene, ACCEPTED, timepoint, rows, f"{timepoint} fusion acceptance", ["checked", "result"])


def acceptance(scene, timepoint):
    """Rows of the acceptance table; empty when the fusion was not accepted."""
    from BMVascularLib.planningNodes import tableOf
    from BMVascularLib.tables import rowsOfTable

    node = tableOf(scene, ACCEPTED, timepoint)
    return rowsOfTable(node) if node is not None else []
