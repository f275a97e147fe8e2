"""Nodes of the planning part: which transform carries a time point into CT space, and what lies below it.

After the fusion every node of the time point stands below one transform, so that its world is the space
of the planning CT. The CT itself stands below nothing: it is neither moved nor resampled.
"""

import json
from pathlib import Path

import numpy as np
import slicer

from BMVascularCore.errors import InputError
from BMVascularCore.planning.field import cut_out
from BMVascularCore.planning.structures import Structure
from BMVascularCore.volume import Volume, ras_lps
from BMVascularLib.lesionShares import readShares
from BMVascularLib.segments import labelGeometryOfSegment, segmentIds
from BMVascularLib.studyNodes import PLANNING, ROLE, factsOf, nodesOf, roleOf, setRole, timepointOf
from BMVascularLib.tables import addTable, setTable
from BMVascularLib.volumes import arrayOfMatrix, geometryOfIjkToRas, parentToWorld, volumeOfNode, vtkMatrix

FUSION = "fusion"
FACTS = "BMVascular.Fusion"
# roles that live in the space of the CT already
OWN_ROLES = (
    "CT", "targets", "organs", "dose", "isodose", "checkerboard", "spyglass", "edges", "references", FUSION,
)  # fmt: skip
# what planning on the image that the lesions were drawn on needs: no transform
ONE_IMAGE = {
    "verdict": "pass",
    "source": "one image",
    "reasons": ["the lesions were drawn on the planning image itself, there is nothing to fuse"],
}
FRAME_TAG, SERIES_TAG = "0020,0052", "0020,000E"
# entries of a matrix, mm: below this nobody moved it
_MOVED = 1e-4


def fusionOf(scene, timepoint):
    """The transform that carries a time point into CT space, None before the fusion."""
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLLinearTransformNode")):
        node = scene.GetNthNodeByClass(n, "vtkMRMLLinearTransformNode")
        if roleOf(node) == FUSION and timepointOf(node) == timepoint:
            return node
    return None


def fusionAbove(scene, t1c):
    """The fusion of a T1c: that of its time point; of an image without one, only a fusion that it lies below."""
    if timepointOf(t1c):
        return fusionOf(scene, timepointOf(t1c))
    return next((node for node in _transformsAbove(t1c) if roleOf(node) == FUSION), None)


def fusionFacts(node, ct=None):
    """What was measured of a fusion: verdict, reasons, numbers; empty without one.

    Of another CT than the given one it fails, too.
    A transform that was changed since (moved by hand, edited) keeps its numbers and fails: they are no longer its own.
    """
    text = node.GetAttribute(FACTS) if node is not None else None
    facts = json.loads(text) if text else {}
    measured = facts.get("matrix")
    if measured is not None and np.abs(np.reshape(measured, (4, 4)) - _placeOf(node)).max() > _MOVED:
        facts |= {"verdict": "fail", "reasons": ["the transform was changed after it was measured"]}
    fixed = node.GetNodeReference(node.GetFixedNodeReferenceRole()) if facts else None
    if None not in (fixed, ct) and fixed is not ct:
        facts |= {
            "verdict": "fail",
            "reasons": [f"the T1 was fused with {fixed.GetName()}, not with this image"],
        }
    return facts


def setFusionFacts(node, facts):
    """Keep what was measured with the transform and the matrix it was measured of, so that scenes keep both."""
    node.SetAttribute(FACTS, json.dumps(facts | {"matrix": _placeOf(node).ravel().tolist()}))


def _placeOf(node):
    """Everything above the image that a fusion moves, RAS; of the transform alone where the image is gone."""
    moving = node.GetNodeReference(node.GetMovingNodeReferenceRole())
    return parentToWorld(moving) if moving is not None else matrixToWorld(node)


def frameOf(node):
    """Frame of reference UID of the series a node came from, '' where neither node nor DICOM database knows it."""
    known = factsOf(node).get("frame_of_reference_uid")
    return str(known) if known else databaseValue(node, FRAME_TAG)


def databaseValue(node, tag):
    """Value of a DICOM element of the series a node came from, '' where Slicer's database knows none."""
    uids, database = instancesOf(node)
    return str(database.instanceValue(uids[0], tag) or "") if uids else ""


def instancesOf(node):
    """SOP Instance UIDs of a node that Slicer loaded from DICOM, and the database; an empty list without one."""
    database = getattr(slicer, "dicomDatabase", None)
    uids = (node.GetAttribute("DICOM.instanceUIDs") or "").split() if node is not None else []
    return (uids if database is not None else []), database


def seriesFolder(node):
    """Folder with the DICOM files of a node as Slicer's database stores them, '' where it knows none or several."""
    uids, database = instancesOf(node)
    # asking for every slice would take long; those of one series lie together
    asked = [uids[0], uids[len(uids) // 2], uids[-1]] if uids else []
    folders = (
        {str(Path(file).parent) for file in map(database.fileForInstance, asked) if file} if asked else set()
    )
    return folders.pop() if len(folders) == 1 else ""


def requireCt(node):
    """The CT must stand where DICOM put it.

    Raises
    ------
    InputError
        No CT, or one below a transform.
    """
    if node is None:
        raise InputError("no planning CT is chosen", "fusion", "Choose the CT.")
    above = node.GetParentTransformNode()
    if above is not None and not above.IsLinear():
        raise InputError(
            "has a gantry tilt or uneven slices, which Slicer straightened with a transform",
            node.GetName(),
            "Plan on a CT with even slices and no tilt, or resample it in the planning system.",
        )
    if above is not None:
        raise InputError(
            "lies below a transform, a planning CT is never moved",
            node.GetName(),
            "Take it out of the transform and place the T1 below it instead.",
        )


def requireFrame(ct, uid, path, made, mend):
    """What was made on another scan than the planning CT is refused; a frame that is not known cannot tell.

    Parameters
    ----------
    ct : vtkMRMLScalarVolumeNode or None
    uid : str or None
        Frame of reference of the file.
    path : path-like
    made, mend : str
        What was done on the other scan, and the way out.

    Raises
    ------
    InputError
    """
    frame = frameOf(ct) if ct is not None else ""
    if frame and uid and frame != uid:
        raise InputError(
            f"was {made} on another scan (its frame of reference is not that of the planning CT)",
            Path(path).name,
            mend,
        )


def drawnOn(lesions, ct):
    """True where lesions were drawn on the planning image itself: no fusion may move them."""
    if lesions is None or ct is None:
        return False
    return timepointOf(lesions) == PLANNING or (
        lesions.GetParentTransformNode() is None
        and lesions.GetNodeReference(lesions.GetReferenceImageGeometryReferenceRole()) is ct
    )


def topOf(node):
    """The topmost transform above a node, the node itself when there is none."""
    while node.GetParentTransformNode() is not None:
        node = node.GetParentTransformNode()
    return node


def volumeBelow(node, fusion, copy=False):
    """The image of a node where it lay before the fusion.

    Parameters
    ----------
    node : vtkMRMLScalarVolumeNode
    fusion : vtkMRMLLinearTransformNode or None

    Returns
    -------
    BMVascularCore.volume.Volume
        With the acquisition facts of the node as ``meta``.
    """
    volume = volumeOfNode(node, world=True, copy=copy)
    if fusion is not None and fusion in _transformsAbove(node):
        moved = np.linalg.inv(matrixToWorld(fusion)) @ parentToWorld(node)
        local = vtkMatrix(np.eye(4))
        node.GetIJKToRASMatrix(local)
        geometry = geometryOfIjkToRas(moved @ arrayOfMatrix(local), volume.array.shape, node.GetName())
        volume = Volume(volume.array, geometry, volume.name)
    volume.meta.update(factsOf(node))
    return volume


def _transformsAbove(node):
    above = []
    while node.GetParentTransformNode() is not None:
        node = node.GetParentTransformNode()
        above.append(node)
    return above


def matrixToWorld(transform):
    """4x4 RAS matrix of a transform node and all above it."""
    matrix = vtkMatrix(np.eye(4))
    transform.GetMatrixTransformToWorld(matrix)
    return arrayOfMatrix(matrix)


def placeTimepoint(scene, timepoint, fusion, extra=()):
    """Stand everything of a time point below its fusion, volumes of sequences too.

    Returns
    -------
    list of vtkMRMLTransformableNode
        What was moved, to put it back when something fails.
    """
    moved = []
    for node in [*_timepointNodes(scene, timepoint), *extra]:
        top = topOf(node)
        if top not in (fusion, *moved):
            top.SetAndObserveTransformNodeID(fusion.GetID())
            moved.append(top)
    return moved


def _timepointNodes(scene, timepoint):
    proxies = _proxies(scene)
    found = []
    for node in nodesOf(scene, timepoint=timepoint):
        shown = proxies.get(node, node)
        if roleOf(node) not in OWN_ROLES and shown.IsA("vtkMRMLTransformableNode"):
            found.append(shown)
    return found


def _proxies(scene):
    """Sequence node to the volume that shows its chosen frame."""
    found = {}
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(n, "vtkMRMLSequenceBrowserNode")
        sequence = browser.GetMasterSequenceNode()
        proxy = browser.GetProxyNode(sequence) if sequence is not None else None
        if proxy is not None:
            found[sequence] = proxy
    return found


def lesionMasks(lesions, only=None):
    """Every lesion as a mask cut out around it, where the views show it.

    Parameters
    ----------
    lesions : vtkMRMLSegmentationNode
    only : str, optional
        Name of the one lesion that is wanted.

    Returns
    -------
    list of (int, str, BMVascularCore.volume.Volume)
        Number from 1 by position, name, boolean mask; empty segments are passed over.

    Raises
    ------
    InputError
        No lesion.
    """
    found = []
    for number, segmentId in enumerate(segmentIds(lesions) if lesions is not None else [], start=1):
        name = lesions.GetSegmentation().GetSegment(segmentId).GetName()
        if only is not None and name != only:
            continue
        array, geometry = labelGeometryOfSegment(lesions, segmentId)
        if array.any():
            box = cut_out(array > 0, geometry, 2.0)
            found.append((number, name, Volume(box.array > 0, box.geometry, name)))
    if not found and only is None:
        raise InputError("no lesion is segmented", "lesions", "Choose a segmentation with lesions.")
    return found


def lesionShares(lesions, only=None):
    """As :func:`lesionMasks`, with the shares of the voxels where Lesion Seeding kept them, else None.

    Returns
    -------
    list of (int, str, Volume, Volume or None)
        Mask and shares lie on one grid.
    """
    ids = segmentIds(lesions) if lesions is not None else []
    found = []
    for number, name, mask in lesionMasks(lesions, only):
        kept = readShares(lesions, ids[number - 1])
        found.append((number, name, *(kept or (mask, None))))
    return found


def centreLps(mask):
    """Centre of a mask, LPS mm."""
    return mask.geometry.points_of(np.argwhere(mask.array).mean(axis=0))


def centresRas(lesions):
    """Lesion name to its centre in RAS mm, as the views show it."""
    return {name: tuple(ras_lps(centreLps(mask)).tolist()) for _, name, mask in lesionMasks(lesions)}


def structuresOfNode(node, kindTag="BMVascular.Kind"):
    """Segments of a segmentation as structures with masks.

    Returns
    -------
    list of BMVascularCore.planning.structures.Structure
        The type comes from the segment's tag, else from its name.
    """
    from BMVascularCore.planning.roi_names import guess_type

    found = []
    for segmentId in segmentIds(node):
        segment = node.GetSegmentation().GetSegment(segmentId)
        array, geometry = labelGeometryOfSegment(node, segmentId)
        kind = segmentTag(segment, kindTag) or guess_type(segment.GetName(), "ORGAN")
        colour = tuple(round(255 * part) for part in segment.GetColor())
        mask = Volume(array > 0, geometry, segment.GetName())
        found.append(Structure(segment.GetName(), kind, [], mask, colour))
    return found


def structureNames(node):
    """Names of the segments of a segmentation, in order; empty without one."""
    if node is None:
        return []
    return [node.GetSegmentation().GetSegment(each).GetName() for each in segmentIds(node)]


def segmentTag(segment, name):
    """Text of a segment's tag, '' without one."""
    import vtk

    text = vtk.reference("")
    return str(text.get()) if segment.GetTag(name, text) else ""


def putTable(scene, role, timepoint, rows, name, columns=None):
    """Keep rows as the one table of a role; what it held before is replaced.

    Returns
    -------
    vtkMRMLTableNode
    """
    node = tableOf(scene, role, timepoint)
    if node is None:
        node = addTable(scene, rows, name, columns)
        setRole(node, role, timepoint)
    else:
        setTable(node, rows, columns)
    return node


def tableOf(scene, role, timepoint):
    """The table with a role, None when there is none."""
    for node in nodesOf(scene, role, timepoint):
        if node.IsA("vtkMRMLTableNode"):
            return node
    return None


def removeRole(scene, *roles):
    """Remove nodes that are shown only (checkerboard, edges, isodose lines), with what displays them."""
    for className in ("vtkMRMLScalarVolumeNode", "vtkMRMLModelNode"):
        for n in reversed(range(scene.GetNumberOfNodesByClass(className))):
            node = scene.GetNthNodeByClass(n, className)
            if node is not None and node.GetAttribute(ROLE) in roles:
                for display in reversed(range(node.GetNumberOfDisplayNodes())):
                    scene.RemoveNode(node.GetNthDisplayNode(display))
                scene.RemoveNode(node)
