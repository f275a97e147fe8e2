"""Fusion of a time point with the planning CT: register or check, place, record."""

import numpy as np
import SimpleITK as sitk

from BMVascularCore.errors import InputError
from BMVascularCore.planning.image_checks import (
    HeaderFacts,
    check_images,
    facts_of_values,
    frame_check,
    largest_motion_mm,
)
from BMVascularCore.planning.registration import check_rigid, register_rigid
from BMVascularCore.planning.registration_start import read_given, rigid_of_landmarks
from BMVascularCore.volume import ras_lps
from BMVascularLib.planningNodes import (
    FUSION,
    centreLps,
    databaseValue,
    drawnOn,
    frameOf,
    fusionAbove,
    fusionFacts,
    instancesOf,
    lesionMasks,
    matrixToWorld,
    placeTimepoint,
    putTable,
    requireCt,
    setFusionFacts,
    tableOf,
    topOf,
    volumeBelow,
)
from BMVascularLib.studyNodes import setRole, timepointOf
from BMVascularLib.tables import rowsOfTable
from BMVascularLib.transforms import addTransform, movingToFixedRas, transformFromWorld, transformOfNode
from BMVascularLib.volumes import vtkMatrix

ACCEPTED = "fusion acceptance"
RESIDUALS = "fusion residuals"
LOOKED_AT = {
    "skull": "Skull and skin",
    "ventricles": "Ventricles",
    "lesions": "Every lesion",
    "side": "Left and right",
}
NUMBERS = (
    "restart_spread_mm",
    "inverse_consistency_mm",
    "skull_distance_mm",
    "surface_distance_mm",
    "overlap",
)


def fuse(scene, ct, t1c, lesions=None, register=register_rigid, progress=None, start=None, ageDays=None):
    """Register a T1c to the planning CT and stand its time point below the result.

    Parameters
    ----------
    scene : vtkMRMLScene
    ct, t1c : vtkMRMLScalarVolumeNode
    lesions : vtkMRMLSegmentationNode, optional
    register : callable
        As :func:`BMVascularCore.planning.registration.register_rigid`.
    progress : callable, optional
    start : SimpleITK.Transform, optional
        See :func:`startOfLandmarks` and :func:`startHere`; the search is then local.
    ageDays : int, optional
        Age of the MRI on the day of treatment.

    Returns
    -------
    vtkMRMLLinearTransformNode

    Raises
    ------
    InputError, Cancelled
        The scene is as before.
    """
    _requirePair(ct, t1c)
    before = fusionAbove(scene, t1c)
    fixed, moving = volumeBelow(ct, None), volumeBelow(t1c, before)
    options = {} if start is None else {"initial": start}
    found = register(fixed, moving, progress=progress, **options)
    _takeHeaders(found, fixed, moving, ct, t1c, ageDays)
    return _keep(scene, ct, t1c, lesions, found, "registered here")


def check(
    scene, ct, t1c, lesions=None, given=None, path="", measure=check_rigid, progress=None, ageDays=None
):
    """Check a transform from elsewhere as our own is checked, and use it.

    Parameters
    ----------
    given : vtkMRMLLinearTransformNode, optional
        Takes the T1c to the CT (as Slicer's transforms stand above a node).
    path : str
        A file instead: transform of ITK or Slicer (CT to T1c points) or DICOM registration object.
    ageDays : int, optional

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
    before = fusionAbove(scene, t1c)
    if given is not None:
        transform = transformOfNode(given)
    else:
        transform = read_given(path, *(frameOf(node) or None for node in (ct, t1c)))
    # a transform that the T1c already stands below is not part of the image
    below = given if given is not None else before
    fixed, moving = volumeBelow(ct, None), volumeBelow(t1c, below)
    found = measure(fixed, moving, transform, progress=progress)
    _takeHeaders(found, fixed, moving, ct, t1c, ageDays)
    source = "given as a node" if given is not None else "given as a file"
    return _keep(scene, ct, t1c, lesions, found, source, given)


def startOfLandmarks(scene, t1c, ctLandmarks, t1cLandmarks):
    """Start from places marked in both images.

    Parameters
    ----------
    ctLandmarks, t1cLandmarks : vtkMRMLMarkupsFiducialNode
        In the same order, as they stand in the views.

    Returns
    -------
    transform : SimpleITK.Euler3DTransform
    residualMm : float

    Raises
    ------
    InputError
        Fewer than three pairs, unequal numbers, points on a line.
    """
    points = [_placesLps(node) for node in (ctLandmarks, t1cLandmarks)]
    before = fusionAbove(scene, t1c)
    if before is not None and t1c.GetParentTransformNode() is not None:
        # marked on the fused T1: back to where the image lay
        back = transformFromWorld(before)
        points[1] = [back.TransformPoint(p) for p in points[1]]
    return rigid_of_landmarks(*points)


def _placesLps(node):
    places = []
    for n in range(node.GetNumberOfControlPoints()):
        point = [0.0, 0.0, 0.0]
        node.GetNthControlPointPositionWorld(n, point)
        places.append(ras_lps(point).tolist())
    return places


def startHere(scene, t1c):
    """Start from where the T1c stands: as moved by hand, or as fused before."""
    before = fusionAbove(scene, t1c)
    if before is not None and t1c.GetParentTransformNode() is not None:
        return transformFromWorld(before)
    return sitk.Euler3DTransform()


def _takeHeaders(found, fixed, moving, ct, t1c, ageDays):
    """Let identity, frames, slices, distortion and age have their say in the verdict."""
    facts = [headerFactsOfNode(node) for node in (ct, t1c)]
    checks = check_images(fixed, moving, *facts, None, ageDays)
    moved = largest_motion_mm(found.transform, fixed)
    checks[1] = frame_check(fixed, moving, *facts, moved_mm=moved)
    found.take(checks)


def headerFactsOfNode(node):
    """What the DICOM database says about the series a volume came from; nothing where it knows none."""
    uids, _ = instancesOf(node)
    return facts_of_values(lambda tag: databaseValue(node, tag)) if uids else HeaderFacts()


def _requirePair(ct, t1c):
    requireCt(ct)
    if t1c is None:
        raise InputError("no T1 with contrast is chosen", "fusion", "Choose the T1 of the time point.")
    if ct is t1c:
        raise InputError("planning image and T1 are the same volume", ct.GetName(), "Make the targets.")


def _keep(scene, ct, t1c, lesions, found, source, given=None):
    timepoint = timepointOf(t1c)
    node = fusionAbove(scene, t1c)
    moved = [t1c] if lesions is None or drawnOn(lesions, ct) else [t1c, lesions]
    _carryBack(node, t1c, moved[1:])
    if node is None:
        node = addTransform(scene, found.transform, f"{timepoint or t1c.GetName()} to planning CT".strip())
        setRole(node, FUSION, timepoint, source)
    else:
        # what was above it by hand is part of what was found
        node.SetAndObserveTransformNodeID(None)
        node.SetMatrixTransformToParent(vtkMatrix(movingToFixedRas(found.transform)))
    if given is not None:
        _leave(scene, given)
    placeTimepoint(scene, timepoint, node, moved)
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
    # what was accepted was another fusion
    withdraw(scene, t1c)
    return node


def _carryBack(before, t1c, lesions):
    """Lesions that were drawn over the fused T1, below no transform, go back to where the T1 was acquired."""
    for node in lesions:
        if before is not None and topOf(t1c) is topOf(before) and topOf(node) is node:
            node.ApplyTransformMatrix(vtkMatrix(np.linalg.inv(matrixToWorld(before))))


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
            ("skull_distance_mm", "skull edges {:.1f} mm apart"),
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
    facts = fusionFacts(fusionAbove(scene, t1c)) if t1c is not None else {}
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


def withdraw(scene, t1c):
    """Take an acceptance back."""
    node = tableOf(scene, ACCEPTED, timepointOf(t1c))
    if node is not None:
        scene.RemoveNode(node)


def acceptance(scene, timepoint):
    """Rows of the acceptance table; empty when the fusion was not accepted."""
    node = tableOf(scene, ACCEPTED, timepoint)
    return rowsOfTable(node) if node is not None else []
