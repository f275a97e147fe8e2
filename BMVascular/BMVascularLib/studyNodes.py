"""Roles, time points and acquisition facts of nodes: kept as node attributes, so scenes keep them."""

from BMVascularCore.volume import ras_lps
from BMVascularLib.scene import hierarchyItem, subjectHierarchy
from BMVascularLib.seeds import addSeeds
from BMVascularLib.sequences import addSeries
from BMVascularLib.volumes import addVolume

ROLE, TIMEPOINT, REASON, TIMES = (
    "BMVascular.Role",
    "BMVascular.TimePoint",
    "BMVascular.RoleReason",
    "BMVascular.TimesSource",
)
_FACTS = (
    "echo_time_s",
    "repetition_time_s",
    "inversion_time_s",
    "flip_deg",
    "field_t",
    "modality",
    "frame_of_reference_uid",
)
_CARRIERS = (
    "vtkMRMLSequenceNode",
    "vtkMRMLScalarVolumeNode",
    "vtkMRMLMarkupsFiducialNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
    "vtkMRMLModelNode",
)


def setRole(node, role, timepoint, reason=""):
    """Say what a node is for."""
    node.SetAttribute(ROLE, role)
    node.SetAttribute(TIMEPOINT, timepoint)
    node.SetAttribute(REASON, reason)


def roleOf(node):
    """The role of a node, '' when it has none."""
    return node.GetAttribute(ROLE) or ""


def timepointOf(node):
    """The time point of a node, '' when it has none."""
    return node.GetAttribute(TIMEPOINT) or ""


def nodesOf(scene, role=None, timepoint=None):
    """Nodes with a role, in scene order.

    Parameters
    ----------
    scene : vtkMRMLScene
    role, timepoint : str, optional
        Any when omitted.

    Returns
    -------
    list of vtkMRMLNode
    """
    found = []
    for className in _CARRIERS:
        for n in range(scene.GetNumberOfNodesByClass(className)):
            node = scene.GetNthNodeByClass(n, className)
            if not roleOf(node) or node in found:
                continue
            if (role is None or roleOf(node) == role) and (
                timepoint is None or timepointOf(node) == timepoint
            ):
                found.append(node)
    return found


def firstOf(scene, role, timepoint=None):
    """The first node with a role, None when there is none."""
    return next(iter(nodesOf(scene, role, timepoint)), None)


def timepointsOf(scene):
    """Labels of the time points in the scene, in scene order."""
    labels = []
    for node in nodesOf(scene):
        if timepointOf(node) and timepointOf(node) not in labels:
            labels.append(timepointOf(node))
    return labels


def setFacts(node, meta):
    """Keep acquisition facts of a Core image with its node (no patient data among them)."""
    for key in _FACTS:
        if meta.get(key) not in (None, ""):
            node.SetAttribute(f"BMVascular.{key}", str(meta[key]))
    if meta.get("times_source"):
        node.SetAttribute(TIMES, meta["times_source"])


def factsOf(node):
    """Acquisition facts of a node as Core's ``meta``."""
    facts = {}
    for key in _FACTS:
        text = node.GetAttribute(f"BMVascular.{key}")
        if text:
            try:
                facts[key] = float(text)
            except ValueError:
                facts[key] = text
    return facts


def addImage(scene, image, role, timepoint, reason=""):
    """Add a Core volume or series with its role.

    Returns
    -------
    vtkMRMLScalarVolumeNode or vtkMRMLSequenceNode
        The node that carries the role: the sequence for a time series.
    """
    name = f"{timepoint} {role}"
    if hasattr(image, "times_s"):
        node, _, proxy = addSeries(scene, image, name)
        shown = proxy
    else:
        node = shown = addVolume(scene, image, name)
    setRole(node, role, timepoint, reason)
    setFacts(node, image.meta)
    _placeBelowTimepoint(scene, shown, timepoint)
    return node


def addPlan(scene, plan, progress=None):
    """Add every image of a study plan to a scene, with seeds.

    Parameters
    ----------
    scene : vtkMRMLScene
    plan : BMVascularCore.study.plan.StudyPlan
    progress : callable, optional

    Returns
    -------
    list of vtkMRMLNode
        Nodes that carry a role.

    Raises
    ------
    InputError
        An image cannot be read; nodes added so far are removed.
    """
    added = []
    steps = [
        (point.label, source)
        for point in plan.timepoints
        for sources in point.sources.values()
        for source in sources
    ]
    steps += [("Planning", source) for source in plan.planning.values() if source.role == "CT"]
    try:
        for number, (label, source) in enumerate(steps):
            if progress is not None:
                progress(number / len(steps), f"{label}: {source.label}")
            added.append(addImage(scene, source.read(), source.role, label, source.reason))
        for point in plan.timepoints:
            if point.seeds:
                seeds = [(seed.name, tuple(ras_lps(seed.point_lps_mm))) for seed in point.seeds]
                node = addSeeds(scene, seeds, f"{point.label} seeds")
                setRole(node, "seeds", point.label, "from the study")
                added.append(node)
    except BaseException:
        for node in added:
            scene.RemoveNode(node)
        raise
    return added


def _placeBelowTimepoint(scene, node, timepoint):
    """Keep a time point's images in one folder of the subject hierarchy."""
    hierarchy = subjectHierarchy(scene)
    folder = hierarchy.GetItemByName(timepoint)
    if folder == hierarchy.GetInvalidItemID():
        folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), timepoint)
    hierarchy.SetItemParent(hierarchyItem(scene, node), folder)
