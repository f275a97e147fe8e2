"""Seeds: one markups point list per patient; each point is one clicked lesion."""

from dataclasses import dataclass

import slicer

from BMVascularCore.volume import ras_lps

SEGMENT_ATTRIBUTE = "BMVascular.SegmentOfPoint."


def addSeeds(scene, seeds, name="Seeds"):
    """Add a point list.

    Parameters
    ----------
    scene : vtkMRMLScene
    seeds : list of (str, (float, float, float))
        Lesion name and RAS mm.
    name : str

    Returns
    -------
    vtkMRMLMarkupsFiducialNode
    """
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    for label, (r, a, s) in seeds:
        node.AddControlPoint(float(r), float(a), float(s), label)
    display = node.GetDisplayNode()
    display.SetGlyphScale(1.5)
    display.SetTextScale(2.5)
    display.SetSelectedColor(0.95, 0.9, 0.25)
    return node


def seedsOfNode(node):
    """Names, world RAS mm and point ids of the points that are placed (a point on the cursor is not).

    Returns
    -------
    list of (str, tuple of float, str)
    """
    seeds = []
    for index in range(node.GetNumberOfControlPoints()):
        if node.GetNthControlPointPositionStatus(index) != slicer.vtkMRMLMarkupsNode.PositionDefined:
            continue
        position = [0.0, 0.0, 0.0]
        node.GetNthControlPointPositionWorld(index, position)
        seeds.append((node.GetNthControlPointLabel(index), tuple(position), node.GetNthControlPointID(index)))
    return seeds


def coreSeeds(node):
    """The placed points as Core seeds (LPS mm); the description "exclude" makes an exclude click."""
    from BMVascularCore.lesions import Seed

    seeds = []
    for label, ras, pointId in seedsOfNode(node):
        description = node.GetNthControlPointDescription(node.GetNthControlPointIndexByID(pointId))
        kind = "exclude" if description.strip().lower() == "exclude" else "include"
        seeds.append(Seed(label, tuple(ras_lps(ras).tolist()), kind))
    return seeds


def linkSeed(node, pointId, segmentId):
    """Remember which segment grew from a point; by ids, because indices shift when a point is deleted."""
    node.SetAttribute(SEGMENT_ATTRIBUTE + pointId, segmentId)


def segmentOfSeed(node, pointId):
    """Id of the segment that grew from a point, or None."""
    return node.GetAttribute(SEGMENT_ATTRIBUTE + pointId)


def seedOfSegment(node, segmentId):
    """Id of the point that a segment grew from, or None when the point is gone."""
    for _, _, pointId in seedsOfNode(node):
        if segmentOfSeed(node, pointId) == segmentId:
            return pointId
    return None


@dataclass(frozen=True)
class Click:
    """A placed point: label, description ("exclude" or nothing), world RAS mm, lesion it belongs to."""

    label: str
    description: str
    ras: tuple
    lesionId: str | None


def clicksOf(node):
    """The placed points of a list, by id."""
    clicks = {}
    for label, ras, pointId in seedsOfNode(node):
        description = node.GetNthControlPointDescription(node.GetNthControlPointIndexByID(pointId))
        clicks[pointId] = Click(label, description, ras, segmentOfSeed(node, pointId) or None)
    return clicks


def waitingOf(clicks):
    """Ids of the include clicks that have no lesion yet."""
    return [key for key, c in clicks.items() if c.lesionId is None and c.description != "exclude"]


def removeOthers(node, kept):
    """Take away the placed points that are not among these ids."""
    for pointId in [key for key in clicksOf(node) if key not in kept]:
        node.RemoveNthControlPoint(node.GetNthControlPointIndexByID(pointId))
