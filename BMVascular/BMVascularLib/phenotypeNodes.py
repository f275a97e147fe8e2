"""Inputs of the vascular phenotype found by role in a scene, and its results put back into it."""

import json
from dataclasses import asdict, dataclass, field

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.phenotype.inputs import LesionInputs, Measured
from BMVascularCore.volume import Volume
from BMVascularLib import display, studyNodes
from BMVascularLib.scene import hierarchyItem, subjectHierarchy
from BMVascularLib.segments import COMPARTMENTS, labelGeometryOfSegment, labelsOfNode, segmentIds
from BMVascularLib.tables import setTable
from BMVascularLib.volumes import (
    addVolume,
    geometryOfNode,
    parentToWorld,
    updateVolumeNode,
    volumeOfNode,
    vtkMatrix,
)

# map of the engine -> role of the node, what it is, what its absence costs
MAPS = {
    "rcbv": ("nrcbv", "rCBV (ratio to white matter)", "no blood volume, no habitats"),
    "ktrans": ("ktrans", "Ktrans (1/min)", "no Ktrans, no habitats"),
    "vp": ("vp", "Vp (fraction)", "no Vp evidence"),
    "cbf": ("asl", "CBF from ASL", "no check of DSC"),
    "pet": ("pet", "Amino-acid PET (ratio)", "no PET"),
    "adc": ("adc", "ADC", "no diffusion"),
    "swi": ("swi", "SWI", "no signal loss seen"),
    "flair": ("flair", "FLAIR", "oedema from compartments"),
}
_ERRORS = {"rcbv_se": "se_nrcbv", "ktrans_se": "se_ktrans", "vp_se": "se_vp"}
LESIONS, COMPARTMENT_ROLE = "lesions", "compartments"
TABLE, DETAILS, HABITATS, CONTEXT = "phenotype", "phenotype details", "habitats", "phenotype context"


@dataclass
class PhenotypeInputs:
    """What the engine takes, read from the scene.

    Attributes
    ----------
    labels : Volume
        int32, the lesions, in world space.
    names : dict
        Label to name.
    maps : dict
        Map of the engine to Volume.
    compartments : Volume or None
    """

    labels: Volume
    names: dict
    maps: dict = field(default_factory=dict)
    compartments: Volume = None


def nodeOf(scene, role, timepoint):
    """The node with a role at a time point, whatever the role's capitals; None without one."""
    found = studyNodes.nodesOf(scene, timepoint=timepoint)
    return next((node for node in found if studyNodes.roleOf(node).lower() == role.lower()), None)


def lesionTimepoints(scene):
    """Time points that have a segmentation of lesions, in scene order."""
    nodes = studyNodes.nodesOf(scene, LESIONS)
    return list(
        dict.fromkeys(studyNodes.timepointOf(node) for node in nodes if node.IsA("vtkMRMLSegmentationNode"))
    )


def inputRows(scene, timepoint):
    """One row an input for the panel: ``input`` and ``state`` (its node, or what its absence costs).

    Returns
    -------
    list of dict
    """
    listed = [
        (LESIONS, "Lesions", "needed"),
        (COMPARTMENT_ROLE, "Compartments", "no core, no oedema"),
        *MAPS.values(),
    ]
    rows = []
    for role, title, cost in listed:
        node = nodeOf(scene, role, timepoint)
        rows.append({"input": title, "state": f"missing: {cost}" if node is None else node.GetName()})
    return rows


def readInputs(scene, timepoint, progress=None):
    """Read the inputs of one time point.

    Parameters
    ----------
    scene : vtkMRMLScene
    timepoint : str
    progress : callable, optional

    Returns
    -------
    PhenotypeInputs

    Raises
    ------
    InputError
        No segmentation of lesions, an empty node, segments that are no compartment.
    """
    progress = progress or (lambda fraction, message: None)
    node = nodeOf(scene, LESIONS, timepoint)
    if node is None or not node.IsA("vtkMRMLSegmentationNode"):
        raise InputError("has no segmentation of lesions", timepoint or "the scene", "Segment lesions first.")
    progress(0.0, "reading the lesions")
    labels, names = labelsOfNode(node, _grid(scene, node, timepoint))
    found = PhenotypeInputs(labels, names)
    compartments = nodeOf(scene, COMPARTMENT_ROLE, timepoint)
    if compartments is not None:
        progress(0.2, "reading the compartments")
        found.compartments = _compartments(compartments, labels.geometry)
    roles = {key: role for key, (role, _title, _cost) in MAPS.items()} | _ERRORS
    for number, (key, role) in enumerate(roles.items()):
        volume = nodeOf(scene, role, timepoint)
        if volume is not None and volume.IsA("vtkMRMLScalarVolumeNode"):
            progress(0.4 + 0.6 * number / len(roles), f"reading {role}")
            found.maps[key] = volumeOfNode(volume, copy=False)
    return found


def _grid(scene, node, timepoint):
    """Voxel grid to measure on: that of the contrast-enhanced T1, else the segments' own."""
    anatomy = nodeOf(scene, "T1c", timepoint)
    if anatomy is not None and anatomy.GetImageData() is not None:
        return geometryOfNode(anatomy)
    ids = segmentIds(node)
    if not ids:
        raise InputError("holds no segments", node.GetName(), "Segment a lesion first.")
    return labelGeometryOfSegment(node, ids[0])[1]


def _compartments(node, geometry):
    if not node.IsA("vtkMRMLSegmentationNode"):
        return volumeOfNode(node, copy=False)
    labels, names = labelsOfNode(node, geometry)
    wanted = {text.lower(): number for number, (text, _color, _kind) in COMPARTMENTS.items()}
    lookup = np.zeros(len(names) + 1, np.uint8)
    for label, name in names.items():
        if name.lower() not in wanted:
            known = ", ".join(text for text, _color, _kind in COMPARTMENTS.values())
            raise InputError(f"has the segment '{name}', which is no compartment", node.GetName(), known)
        lookup[label] = wanted[name.lower()]
    return Volume(lookup[labels.array], geometry, node.GetName())


def contextText(scene, timepoint):
    """The context of a time point as JSON text, '' where none was given."""
    node = nodeOf(scene, CONTEXT, timepoint)
    return "" if node is None else node.GetText()


def setContextText(scene, timepoint, text):
    """Keep the context of a time point with the scene; returns the text node."""
    node = nodeOf(scene, CONTEXT, timepoint)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTextNode", f"{timepoint} {CONTEXT}")
        studyNodes.setRole(node, CONTEXT, timepoint, "entered by the reader")
    if node.GetText() != text:
        node.SetText(text)
    return node


def parseContextText(text):
    """The context of a JSON text.

    Raises
    ------
    InputError
        Not JSON; or what :func:`BMVascularCore.phenotype.parse_context` finds wrong.
    """
    from BMVascularCore.phenotype import parse_context

    content = contextContent(text)
    parse_context(content)
    return content


def contextContent(text):
    """The JSON object of a context text, without a check of its entries."""
    if not text.strip():
        return {}
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"is not valid JSON ({error})", "context", "Mend the text.") from error
    if not isinstance(content, dict):
        raise InputError("is not a JSON object", "context", 'Write {"histology": ...}.')
    return content


@dataclass
class PhenotypeResult:
    """An assessment as it is kept in a scene.

    Attributes
    ----------
    lesions, rows : list of dict
        As in :class:`BMVascularCore.phenotype.Assessment`.
    patient, table : dict
    warnings : list of str
    inputs : list of LesionInputs
    context : dict
        As it was applied.
    """

    lesions: list
    rows: list
    patient: dict
    table: dict
    warnings: list
    inputs: list
    context: dict

    def lesion(self, name):
        """The explanation of one lesion, None when it is not there."""
        return next((lesion for lesion in self.lesions if lesion["name"] == name), None)


def storeResult(scene, timepoint, assessment, context):
    """Put an assessment into the scene: table, explanation, habitats; an earlier one is replaced.

    Returns
    -------
    vtkMRMLTableNode
    """
    table = _resultNode(scene, "vtkMRMLTableNode", TABLE, timepoint)
    setTable(table, assessment.rows)
    details = _resultNode(scene, "vtkMRMLTextNode", DETAILS, timepoint)
    content = {key: getattr(assessment, key) for key in ("lesions", "rows", "patient", "table", "warnings")}
    content["inputs"] = [asdict(lesion) for lesion in assessment.inputs]
    content["context"] = context
    details.SetText(json.dumps(content, default=float))
    _storeHabitats(scene, timepoint, assessment.habitats)
    return table


def _storeHabitats(scene, timepoint, habitats):
    node = nodeOf(scene, HABITATS, timepoint)
    if habitats is None:
        if node is not None:
            scene.RemoveNode(node)
        return
    volume = Volume(habitats.array.astype(np.uint8), habitats.geometry)
    storeLabels(scene, timepoint, HABITATS, volume, "Habitats")


def storeLabels(scene, timepoint, role, volume, colors):
    """Put a label image in world space into the scene, in place of an earlier one; it follows the lesions.

    Returns
    -------
    vtkMRMLLabelMapVolumeNode
    """
    node = nodeOf(scene, role, timepoint)
    if node is None:
        node = addVolume(scene, volume, f"{timepoint} {role}", labelMap=True)
        display.setColors(node, colors)
        studyNodes.setRole(node, role, timepoint, "phenotype")
        placeBelowTimepoint(scene, node, timepoint)
    else:
        updateVolumeNode(node, volume)
    followLesions(scene, timepoint, node)
    return node


def followLesions(scene, timepoint, node):
    """Put a volume or surface that was made in world space below the transforms of the lesions."""
    lesions = nodeOf(scene, LESIONS, timepoint)
    parent = lesions.GetParentTransformNode() if lesions is not None else None
    if parent is not None:
        node.SetAndObserveTransformNodeID(None)
        node.ApplyTransformMatrix(vtkMatrix(np.linalg.inv(parentToWorld(lesions))))
    node.SetAndObserveTransformNodeID(parent.GetID() if parent is not None else None)


def _resultNode(scene, className, role, timepoint):
    node = nodeOf(scene, role, timepoint)
    if node is None:
        node = scene.AddNewNodeByClass(className, f"{timepoint} {role}")
        studyNodes.setRole(node, role, timepoint, "phenotype")
        placeBelowTimepoint(scene, node, timepoint)
    return node


def placeBelowTimepoint(scene, node, timepoint):
    """File a node in the subject hierarchy folder of its time point, where there is one."""
    hierarchy = subjectHierarchy(scene)
    folder = hierarchy.GetItemByName(timepoint) if timepoint else hierarchy.GetInvalidItemID()
    if folder != hierarchy.GetInvalidItemID():
        hierarchy.SetItemParent(hierarchyItem(scene, node), folder)


def readResult(scene, timepoint):
    """The assessment that the scene keeps for a time point, None without one."""
    node = nodeOf(scene, DETAILS, timepoint)
    if node is None or not node.GetText():
        return None
    content = json.loads(node.GetText())
    content["inputs"] = [_lesionInputs(entry) for entry in content["inputs"]]
    return PhenotypeResult(**content)


def _lesionInputs(entry):
    values = {
        key: Measured(**value) if isinstance(value, dict) else value for key, value in entry["values"].items()
    }
    return LesionInputs(entry["name"], entry["label"], values, entry["facts"], entry["set_aside"])


def lesionsChanged(scene, timepoint, result):
    """True when lesions were added, removed or renamed since a result was made."""
    node = nodeOf(scene, LESIONS, timepoint)
    if node is None:
        return True
    segmentation = node.GetSegmentation()
    names = {segmentation.GetSegment(segmentId).GetName() for segmentId in segmentIds(node)}
    return names != {lesion["name"] for lesion in result.lesions}


def segmentOf(node, name):
    """Id of the segment of a lesion, None when there is none."""
    segmentation = node.GetSegmentation()
    return next((s for s in segmentIds(node) if segmentation.GetSegment(s).GetName() == name), None)


def lesionCenter(scene, timepoint, name):
    """Centre of a lesion, RAS mm in the world, None when the lesion is not there."""
    node = nodeOf(scene, LESIONS, timepoint)
    segment = None if node is None else segmentOf(node, name)
    return None if segment is None else tuple(node.GetSegmentCenterRAS(segment))
