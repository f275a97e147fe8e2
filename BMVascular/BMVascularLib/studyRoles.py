"""Roles of what is in the scene: proposed, listed, changed; files; frame times; the protocol check."""

import json
from pathlib import Path

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_series, read_volume
from BMVascularCore.io.times import check_times
from BMVascularCore.progress import share_of
from BMVascularCore.study.plan import read_plan
from BMVascularCore.study.protocol import SeriesFacts, check_protocol, facts_of_meta
from BMVascularCore.study.roles import ROLES, propose_by_name
from BMVascularLib import studyNodes
from BMVascularLib.sequences import headerTimes, retime

# roles a person may give to an image; the rest are made by the modules or are no images
CHOICES = tuple(role for role in ROLES if role not in ("structures", "registration", "dose"))
_MULTIVOLUME = {
    "MultiVolume.DICOM.EchoTime": ("echo_time_s", 1e-3),
    "MultiVolume.DICOM.RepetitionTime": ("repetition_time_s", 1e-3),
    "MultiVolume.DICOM.FlipAngle": ("flip_deg", 1.0),
}
DYNAMIC = ("DSC", "DCE")


def seriesNodes(scene):
    """Volumes and sequences that are images of the study: no frames of a sequence, no results.

    Returns
    -------
    list of vtkMRMLNode
    """
    sequences = _all(scene, "vtkMRMLSequenceNode")
    shown = {studyNodes.proxyOf(scene, node) for node in sequences} - {None}
    volumes = [
        node
        for node in _all(scene, "vtkMRMLScalarVolumeNode")
        if node not in shown and not node.IsA("vtkMRMLLabelMapVolumeNode")
    ]
    images = [
        n for n in sequences if n.GetNumberOfDataNodes() and n.GetNthDataNode(0).IsA("vtkMRMLVolumeNode")
    ]
    return [node for node in volumes + images if studyNodes.roleOf(node) in ("", *CHOICES)]


def _all(scene, className):
    return [scene.GetNthNodeByClass(n, className) for n in range(scene.GetNumberOfNodesByClass(className))]


def proposeForScene(scene):
    """Give a role to every image that has none; sequences are indexed in seconds where they state times.

    Returns
    -------
    nodes : list of vtkMRMLNode
        What got a role.
    problems : list of str
    """
    changed, problems = [], []
    for node in seriesNodes(scene):
        if studyNodes.roleOf(node):
            continue
        isSequence = node.IsA("vtkMRMLSequenceNode")
        if isSequence:
            _takeMultiVolumeFacts(node)
            problems += _indexInSeconds(node)
        echo = studyNodes.factsOf(node).get("echo_time_s")
        frames = node.GetNumberOfDataNodes() if isSequence else 1
        proposal = propose_by_name(node.GetName(), frames, None if echo is None else 1e3 * echo)
        timepoint = _timepointFor(scene, node, proposal.role)
        studyNodes.setRole(node, proposal.role, timepoint, proposal.reason)
        changed.append(node)
    return changed, problems


def _timepointFor(scene, node, role):
    """The time point named in the node's name, else the only one there is, else TP1."""
    if role in ("CT", "dose"):
        return studyNodes.PLANNING
    known = [label for label in studyNodes.timepointsOf(scene) if label != studyNodes.PLANNING]
    named = next(
        (word for word in node.GetName().replace("_", " ").split() if word.upper().startswith("TP")), None
    )
    return named.upper() if named else (known[-1] if known else "TP1")


def _takeMultiVolumeFacts(node):
    facts = {}
    for attribute, (key, scale) in _MULTIVOLUME.items():
        text = (node.GetAttribute(attribute) or "").strip()
        try:
            facts[key] = float(text) * scale
        except ValueError:
            continue
    studyNodes.setFacts(node, facts)


def _indexInSeconds(node):
    """Index a sequence in seconds; returns what stands in the way."""
    try:
        source, doubts = retime(node)
    except InputError as error:
        node.SetAttribute(studyNodes.TIMES, "unknown")
        node.SetAttribute(studyNodes.TIME_DOUBTS, error.what)
        return [str(error)]
    node.SetAttribute(studyNodes.TIMES, source)
    node.SetAttribute(studyNodes.TIME_DOUBTS, "; ".join(doubts))
    return []


def setFrameTime(node, dt_s):
    """Give a sequence a frame time that the user typed.

    Raises
    ------
    InputError
        A frame time that is not positive.
    """
    source, doubts = retime(node, dt_s=dt_s)
    node.SetAttribute(studyNodes.TIMES, source)
    node.SetAttribute(studyNodes.TIME_DOUBTS, "; ".join(doubts))


def changeRole(node, role=None, timepoint=None):
    """The user says what a series is for.

    Raises
    ------
    InputError
        A dynamic role for a single image, a static one for a time series, or an empty time point.
    """
    role = studyNodes.roleOf(node) if role is None else role
    timepoint = studyNodes.timepointOf(node) if timepoint is None else timepoint.strip()
    isSequence = node.IsA("vtkMRMLSequenceNode")
    if role in DYNAMIC and not isSequence:
        raise InputError(
            f"is a single image, {role} is a time series", node.GetName(), "Choose another role."
        )
    if isSequence and role not in (*DYNAMIC, "ASL", "DWI", "other"):
        raise InputError(
            f"is a time series, {role} is a single image", node.GetName(), "Choose another role."
        )
    if not timepoint:
        raise InputError("needs a time point", node.GetName(), "Write TP1, TP2, ... or Planning.")
    studyNodes.setRole(node, role, timepoint, "set by the reader")


def timesText(node):
    """Number of frames, frame time and source of the times of a sequence; '' for a volume."""
    if not node.IsA("vtkMRMLSequenceNode"):
        return ""
    count, stated = node.GetNumberOfDataNodes(), headerTimes(node)
    if stated is None:
        return f"{count} frames, times unknown"
    times = stated[0]
    step = float(np.median(np.diff(times))) if count > 1 else 0.0
    source = node.GetAttribute(studyNodes.TIMES) or stated[1]
    return f"{count} x {step:.3g} s, from: {source}"


def timeDoubts(node):
    """What looks wrong about the times of a sequence, '' when nothing does.

    Repetition time taken as frame time, milliseconds for seconds, the clock past midnight, uneven frames.
    """
    if not node.IsA("vtkMRMLSequenceNode"):
        return ""
    doubts = [text for text in (node.GetAttribute(studyNodes.TIME_DOUBTS) or "").split("; ") if text]
    stated = headerTimes(node)
    if stated is None:
        return "; ".join([*doubts, "Type the frame time in seconds and press Set."])
    try:
        times, found = check_times(stated[0], node.GetName())
    except InputError as error:
        return str(error)
    doubts += [text for text in found if text not in doubts]
    repetition = studyNodes.factsOf(node).get("repetition_time_s")
    role, step = studyNodes.roleOf(node), float(times[-1]) / max(len(times) - 1, 1)
    # an EPI frame takes one repetition; the frame of a spoiled gradient echo takes many
    if role == "DCE" and repetition and abs(step - repetition) < 0.01 * repetition:
        doubts.append(f"the frame time equals the repetition time ({1e3 * repetition:.3g} ms)")
    return "; ".join(doubts)


def roleRows(scene):
    """One row an image of the study, for the panel.

    Returns
    -------
    list of dict
        ``node``, ``timepoint``, ``role``, ``name``, ``reason``, ``times``, ``doubts``.
    """
    return [
        {
            "node": node,
            "timepoint": studyNodes.timepointOf(node),
            "role": studyNodes.roleOf(node),
            "name": node.GetName().removesuffix(" sequence"),
            "reason": node.GetAttribute(studyNodes.REASON) or "no role yet",
            "times": timesText(node),
            "doubts": timeDoubts(node),
        }
        for node in seriesNodes(scene)
    ]


def addFile(scene, path, timepoint="TP1", dt_s=None):
    """Load one image file with a proposed role.

    Returns
    -------
    list of vtkMRMLNode

    Raises
    ------
    InputError
        A file that is no image, or a time series without times.
    """
    path = Path(path)
    try:
        image, frames = read_volume(path), 1
    except InputError as first:
        try:
            image = read_series(path, dt_s=dt_s)
        except InputError as second:
            raise (second if "frame" in second.what else first) from None
        frames = len(image.times_s)
    proposal = propose_by_name(path.name.split(".")[0], frames)
    label = studyNodes.PLANNING if proposal.role == "CT" else timepoint
    node = studyNodes.addImage(scene, image, proposal.role, label, proposal.reason)
    return [node]


def loadPath(scene, path, progress=None, problems=None):
    """Load a DICOM folder, a folder with study.json, or one image file.

    Parameters
    ----------
    scene : vtkMRMLScene
    path : str
    progress : callable, optional
        When it raises, the scene stays as it was.
    problems : list, optional
        Takes a sentence for each image that cannot be read.

    Returns
    -------
    list of vtkMRMLNode

    Raises
    ------
    InputError
        No path, nothing that is an image in it.
    """
    if not str(path or "").strip():
        raise InputError("no folder is chosen", "Study", "Choose a DICOM folder or an image file.")
    if Path(path).is_file():
        return addFile(scene, path)
    scan = share_of(progress, 0.0, 0.3)
    plan = read_plan(path, seeds_required=False, progress=scan, t1c_required=False)
    return studyNodes.addPlan(scene, plan, share_of(progress, 0.3, 1.0), problems)


def preloads(scene):
    """Time point to True, False or None: whether contrast agent was given before the DSC."""
    given = {}
    for node in studyNodes.nodesOf(scene, studyNodes.CONTEXT):
        try:
            context = json.loads(node.GetText() or "{}")
        except ValueError:
            continue
        given[studyNodes.timepointOf(node)] = (context.get("protocol") or {}).get("preload")
    return given


def setPreload(scene, timepoint, preload):
    """Keep in the clinical context of a time point whether a preload was given (True, False, None).

    Raises
    ------
    InputError
        When the context that is there is no JSON object.
    """
    node = studyNodes.firstOf(scene, studyNodes.CONTEXT, timepoint)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTextNode", f"{timepoint} {studyNodes.CONTEXT}")
        node.SetText("{}")
        studyNodes.setRole(node, studyNodes.CONTEXT, timepoint, "entered by the reader")
    try:
        context = json.loads(node.GetText() or "{}")
        protocol = context.setdefault("protocol", {})
    except (ValueError, AttributeError) as error:
        raise InputError(
            "is not a JSON object", node.GetName(), "Mend it in the phenotype module."
        ) from error
    if preload is None:
        protocol.pop("preload", None)
    else:
        protocol["preload"] = bool(preload)
    text = json.dumps(context, indent=1, ensure_ascii=False)
    if text != node.GetText():
        node.SetText(text)


def protocolOfScene(scene):
    """The protocol check of every series in the scene.

    Returns
    -------
    list of BMVascularCore.study.protocol.Finding
    """
    series = []
    for node in seriesNodes(scene):
        times = headerTimes(node) if node.IsA("vtkMRMLSequenceNode") else None
        image = node.GetNthDataNode(0) if node.IsA("vtkMRMLSequenceNode") else node
        values = facts_of_meta(studyNodes.factsOf(node), image.GetSpacing(), times and times[0])
        name = node.GetName().removesuffix(" sequence")
        series.append(SeriesFacts(studyNodes.roleOf(node), studyNodes.timepointOf(node), name, values))
    return check_protocol(series, preloads(scene))
