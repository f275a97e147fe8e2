"""Roles, time points and acquisition facts of nodes: kept as node attributes, so scenes keep them."""

import json

from BMVascularCore.errors import InputError
from BMVascularCore.progress import share_of
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
TIME_DOUBTS = "BMVascular.TimesDoubts"
CONTEXT = "phenotype context"
PLANNING = "Planning"
_FACTS = (
    "echo_time_s",
    "repetition_time_s",
    "inversion_time_s",
    "flip_deg",
    "field_t",
    "slice_thickness_mm",
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
        node.SetAttribute(TIME_DOUBTS, "; ".join(meta.get("warnings", [])))


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
    if role == "VFA" and image.meta.get("flip_deg"):
        name += f" {image.meta['flip_deg']:g}"
    if hasattr(image, "times_s"):
        node, _, proxy = addSeries(scene, image, name)
        shown = proxy
    else:
        node = shown = addVolume(scene, image, name)
    setRole(node, role, timepoint, reason)
    setFacts(node, image.meta)
    _placeBelowTimepoint(scene, shown, timepoint)
    return node


def addPlan(scene, plan, progress=None, problems=None):
    """Add every image of a study plan to a scene, with seeds and clinical context.

    Parameters
    ----------
    scene : vtkMRMLScene
    plan : BMVascularCore.study.plan.StudyPlan
    progress : callable, optional
    problems : list, optional
        Takes one sentence for each image that cannot be read; without it the first one stops.

    Returns
    -------
    list of vtkMRMLNode
        Nodes that carry a role.

    Raises
    ------
    InputError
        An image cannot be read, or none of them; nodes added so far are removed.
    """
    added = []
    try:
        for label, source, step in _steps(plan, progress):
            try:
                added.append(addImage(scene, source.read(step), source.role, label, source.reason))
            except InputError as error:
                if problems is None:
                    raise
                problems.append(str(error))
        if problems and not added:
            raise InputError("no image could be read", "study", problems[0])
        added += _addWords(scene, plan)
    except BaseException:
        removeAdded(scene, added)
        raise
    return added


def _steps(plan, progress):
    """Time point label, source and progress of each image, in order."""
    steps = [
        (point.label, source)
        for point in plan.timepoints
        for sources in point.sources.values()
        for source in sources
    ]
    steps += [(PLANNING, source) for source in plan.planning.values() if source.role == "CT"]
    for number, (label, source) in enumerate(steps):
        part = share_of(progress, number / len(steps), (number + 1) / len(steps))
        part(0.0, f"{label}: {source.label}")
        yield label, source, part


def _addWords(scene, plan):
    """Seeds and clinical context that the study names."""
    added = []
    for point in plan.timepoints:
        if point.seeds:
            seeds = [(seed.name, tuple(ras_lps(seed.point_lps_mm))) for seed in point.seeds]
            added.append(addStudySeeds(scene, seeds, point.label, "from the study"))
        if point.context:
            text = json.dumps(point.context, indent=1, ensure_ascii=False)
            added.append(addContext(scene, point.label, text, "from the study"))
    return added


def addStudySeeds(scene, seeds, timepoint, reason):
    """Add named seeds (RAS mm) of a time point; only those of the first time point are shown."""
    isFirst = not nodesOf(scene, "seeds")
    node = addSeeds(scene, seeds, f"{timepoint} seeds")
    setRole(node, "seeds", timepoint, reason)
    node.GetDisplayNode().SetVisibility(isFirst)
    return node


def addContext(scene, timepoint, text, reason):
    """Keep the clinical context of a time point (JSON text) with the scene; returns the text node."""
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", f"{timepoint} {CONTEXT}")
    node.SetText(text)
    setRole(node, CONTEXT, timepoint, reason)
    return node


def removeAdded(scene, nodes):
    """Take back what a cancelled load has added: nodes, and folders that are empty without them."""
    labels = {timepointOf(node) for node in nodes}
    for node in nodes:
        removeWithViews(scene, node)
    hierarchy = subjectHierarchy(scene)
    for label in labels:
        item = hierarchy.GetItemByName(label)
        if item != hierarchy.GetInvalidItemID() and not hierarchy.GetNumberOfItemChildren(item):
            hierarchy.RemoveItem(item)


def removeWithViews(scene, node):
    """Remove a node with its display nodes, and a sequence with the browser and the volume that show it."""
    if node.IsA("vtkMRMLSequenceNode"):
        for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode") - 1, -1, -1):
            browser = scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")
            if browser.GetMasterSequenceNode() is node:
                proxy = browser.GetProxyNode(node)
                scene.RemoveNode(browser)
                if proxy is not None:
                    removeWithViews(scene, proxy)
    if node.IsA("vtkMRMLDisplayableNode"):
        for index in range(node.GetNumberOfDisplayNodes() - 1, -1, -1):
            scene.RemoveNode(node.GetNthDisplayNode(index))
    hierarchy = subjectHierarchy(scene)
    item = hierarchy.GetItemByDataNode(node)
    if item != hierarchy.GetInvalidItemID():
        hierarchy.RemoveItem(item, False)
    scene.RemoveNode(node)


def proxyOf(scene, sequence):
    """The volume that shows a frame of a sequence in the views, None where no browser plays it."""
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")
        proxy = browser.GetProxyNode(sequence)
        if proxy is not None:
            return proxy
    return None


def _placeBelowTimepoint(scene, node, timepoint):
    """Keep a time point's images in one folder of the subject hierarchy."""
    hierarchy = subjectHierarchy(scene)
    folder = hierarchy.GetItemByName(timepoint)
    if folder == hierarchy.GetInvalidItemID():
        folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), timepoint)
    hierarchy.SetItemParent(hierarchyItem(scene, node), folder)
