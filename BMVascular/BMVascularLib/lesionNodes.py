"""Lesions in the scene: segmentation, compartments, seeds and table of one time point."""

import numpy as np
import slicer
import vtk

from BMVascularCore.volume import Geometry, Volume, ras_lps
from BMVascularLib import studyNodes
from BMVascularLib.colors import readColorTable
from BMVascularLib.display import showSegmentation
from BMVascularLib.seeds import addSeeds
from BMVascularLib.segments import (
    COMPARTMENTS,
    labelGeometryOfSegment,
    maskOnGrid,
    orientedImageOfArray,
    reviewState,
    segmentIds,
    setReviewState,
    terminologyEntry,
)
from BMVascularLib.tables import addTable, rowsOfTable
from BMVascularLib.volumes import (
    arrayOfImageData,
    geometryOfIjkToRas,
    geometryOfNode,
    ijkToRas,
    parentToWorld,
    volumeOfNode,
)

IMAGE_ROLES = ("T1c", "T1", "FLAIR", "SWI")
LESIONS, COMPARTMENT_ROLE, SEEDS, TABLE = "lesions", "compartments", "seeds", "lesionTable"
CANDIDATES, MATCHES = "candidates", "matches"
EDITED, IDENTITY, CONFIDENCE = "BMVascular.Edited", "BMVascular.Identity", "BMVascular.Confidence"
_LABELMAP = "Binary labelmap"


class Place:
    """The space of a T1c node: voxel grid without, and world with, the transforms above it."""

    def __init__(self, t1cNode):
        self.toWorld = parentToWorld(t1cNode)
        self.fromWorld = np.linalg.inv(self.toWorld)
        self.geometry = geometryOfNode(t1cNode, world=False)

    def lpsOfWorld(self, ras):
        """Place in the T1c's own space (LPS mm) of a place in the views (RAS mm)."""
        return tuple(ras_lps(self._moved(self.fromWorld, ras)).tolist())

    def worldOfLps(self, lps):
        """Place in the views (RAS mm) of a place in the T1c's own space (LPS mm)."""
        return tuple(self._moved(self.toWorld, ras_lps(lps)).tolist())

    @staticmethod
    def _moved(matrix, point):
        return (matrix @ np.array([*point, 1.0]))[:3]

    def here(self, geometry, name):
        """A world geometry seen from the T1c's own space."""
        return geometryOfIjkToRas(self.fromWorld @ ijkToRas(geometry), geometry.shape, name)


def volumeSeenFrom(place, node):
    """The volume of a node in the space of a :class:`Place` (shares memory: read only)."""
    volume = volumeOfNode(node, world=True, copy=False)
    return Volume(volume.array, place.here(volume.geometry, node.GetName()), node.GetName(), volume.meta)


def stampOf(nodes):
    """What tells whether images, or where they lie, have changed."""
    stamp = []
    for node in nodes:
        if node is None or node.GetImageData() is None:
            stamp.append(None)
            continue
        where = np.round(ijkToRas(geometryOfNode(node)), 4).tobytes()
        stamp.append((node.GetID(), node.GetImageData().GetMTime(), where))
    return tuple(stamp)


def lesionNode(scene, timepoint, t1cNode):
    """The segmentation of the lesions of a time point; made where there is none."""
    node = studyNodes.firstOf(scene, LESIONS, timepoint)
    if node is None:
        node = _segmentation(scene, f"{timepoint} lesions", LESIONS, timepoint, t1cNode)
        showSegmentation(node, outline=True, width=2)
    return node


def _segmentation(scene, name, role, timepoint, t1cNode):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(t1cNode)
    node.SetAndObserveTransformNodeID(t1cNode.GetTransformNodeID())
    studyNodes.setRole(node, role, timepoint, "from clicks in Lesion Seeding")
    return node


def seedNode(scene, timepoint, t1cNode):
    """The point list of the clicks of a time point; made where there is none."""
    node = studyNodes.firstOf(scene, SEEDS, timepoint)
    if node is None:
        node = addSeeds(scene, [], f"{timepoint} seeds")
        node.SetAndObserveTransformNodeID(t1cNode.GetTransformNodeID())
        studyNodes.setRole(node, SEEDS, timepoint, "clicks in Lesion Seeding")
    return node


def tableNode(scene, role, timepoint, name):
    """The table with a role; made where there is none."""
    node = studyNodes.firstOf(scene, role, timepoint)
    if node is None:
        node = addTable(scene, [], name)
        studyNodes.setRole(node, role, timepoint, "by Lesion Seeding")
    return node


def colorOf(label):
    """Colour of a lesion by its label; a dozen that the colour-blind tell apart, then from the start."""
    rgba = readColorTable("Lesions").rgba
    return tuple(rgba[1 + (label - 1) % (len(rgba) - 1), :3].tolist())


def writeSegment(node, segmentId, name, label, corner, mask, geometry):
    """Make a segment, or give it another mask; its surface follows."""
    affine = geometry.affine_lps
    affine[:3, 3] = geometry.points_of(np.asarray(corner))
    image = orientedImageOfArray(mask.astype(np.uint8), Geometry.of_affine(affine, mask.shape))
    segmentation = node.GetSegmentation()
    segment = segmentation.GetSegment(segmentId)
    if segment is not None:
        slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(image, node, segmentId)
        segment.SetName(name)
        return segment
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*colorOf(label))
    segment.SetLabelValue(1)
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminologyEntry("metastasis"))
    segment.AddRepresentation(_LABELMAP, image)
    setReviewState(segment, "NotStarted")
    segmentation.AddSegment(segment, segmentId)
    if segment.GetRepresentation("Closed surface") is None:
        node.CreateClosedSurfaceRepresentation()
    return segment


def maskOfSegment(node, segmentId, place):
    """First voxel and mask of a segment on the grid of a :class:`Place`."""
    array, world = labelGeometryOfSegment(node, segmentId)
    window, inside = maskOnGrid(array, place.here(world, node.GetName()), place.geometry)
    return tuple(s.start for s in window), inside


def stampOfSegment(node, segmentId):
    """What tells whether a segment's mask was changed by somebody else."""
    image = node.GetSegmentation().GetSegment(segmentId).GetRepresentation(_LABELMAP)
    return None if image is None else image.GetMTime()


def tagOf(segment, key):
    """A tag of a segment, '' where it has none."""
    text = vtk.reference("")
    return str(text) if segment.GetTag(key, text) else ""


def writeCompartments(scene, timepoint, t1cNode, codes):
    """Show compartments: one shared layer, changed in place, so that a click stays quick."""
    node = studyNodes.firstOf(scene, COMPARTMENT_ROLE, timepoint)
    layer = None if node is None else _sharedLayer(node, codes.array.shape)
    if layer is None:
        if node is None:
            node = _segmentation(scene, f"{timepoint} compartments", COMPARTMENT_ROLE, timepoint, t1cNode)
            showSegmentation(node, outline=False, fill=0.25, width=1)
        _newLayer(node, codes)
        return node
    inside = arrayOfImageData(layer)
    inside[...] = codes.array
    layer.GetPointData().GetScalars().Modified()
    layer.Modified()
    if node.GetSegmentation().ContainsRepresentation("Closed surface"):
        node.GetSegmentation().CreateRepresentation("Closed surface", True)
    return node


def _newLayer(node, codes):
    segmentation = node.GetSegmentation()
    segmentation.RemoveAllSegments()
    layer = orientedImageOfArray(codes.array, codes.geometry)
    for label, (name, color, kind) in COMPARTMENTS.items():
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.SetColor(*color)
        segment.SetLabelValue(label)
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminologyEntry(kind))
        segment.AddRepresentation(_LABELMAP, layer)
        segmentation.AddSegment(segment, f"compartment_{label}")


def _sharedLayer(node, shape):
    """The label image that all four compartments share, None where the node is built otherwise."""
    segmentation = node.GetSegmentation()
    layers = set()
    for label in COMPARTMENTS:
        segment = segmentation.GetSegment(f"compartment_{label}")
        if segment is None or segment.GetLabelValue() != label:
            return None
        layers.add(segment.GetRepresentation(_LABELMAP))
    layer = layers.pop()
    if layers or layer is None or layer.GetScalarType() != vtk.VTK_UNSIGNED_CHAR:
        return None
    return layer if layer.GetDimensions() == tuple(shape[::-1]) else None


def readCompartments(scene, timepoint, place):
    """Codes of the compartments on the grid of a :class:`Place`, None where there are none."""
    node = studyNodes.firstOf(scene, COMPARTMENT_ROLE, timepoint)
    if node is None:
        return None
    codes = np.zeros(place.geometry.shape, np.uint8)
    byName = {name: label for label, (name, _, _) in COMPARTMENTS.items()}
    segmentation = node.GetSegmentation()
    for number in range(segmentation.GetNumberOfSegments()):
        segmentId = segmentation.GetNthSegmentID(number)
        label = byName.get(segmentation.GetSegment(segmentId).GetName())
        if label is not None:
            array, world = labelGeometryOfSegment(node, segmentId)
            window, inside = maskOnGrid(array, place.here(world, node.GetName()), place.geometry)
            codes[window][inside] = label
    return codes


def jumpTo(scene, ras):
    """Bring a place (RAS mm) into the middle of all slice and 3D views."""
    slicer.vtkMRMLSliceNode.JumpAllSlices(scene, *ras, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLCrosshairNode")):
        scene.GetNthNodeByClass(number, "vtkMRMLCrosshairNode").SetCrosshairRAS(*ras)
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLCameraNode")):
        camera = scene.GetNthNodeByClass(number, "vtkMRMLCameraNode").GetCamera()
        shift = np.subtract(ras, camera.GetFocalPoint())
        camera.SetPosition(*(np.array(camera.GetPosition()) + shift).tolist())
        camera.SetFocalPoint(*ras)


def showTimepoint(scene, timepoint):
    """Show clicks, lesions and compartments of one time point; the others lie in another space."""
    for role in (LESIONS, COMPARTMENT_ROLE, SEEDS):
        for node in studyNodes.nodesOf(scene, role):
            if node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(int(studyNodes.timepointOf(node) == timepoint))


def showOutlines(scene, timepoint, shown):
    """Show or hide lesions and compartments of a time point in the slice views; 3D stays."""
    for role in (LESIONS, COMPARTMENT_ROLE):
        node = studyNodes.firstOf(scene, role, timepoint)
        if node is not None and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility2D(shown)


def showCompartments3D(scene, timepoint, shown):
    """Make or remove the surfaces of the compartments of a time point."""
    node = studyNodes.firstOf(scene, COMPARTMENT_ROLE, timepoint)
    if node is None or node.GetSegmentation().ContainsRepresentation("Closed surface") == shown:
        return
    if shown:
        node.CreateClosedSurfaceRepresentation()
        node.GetDisplayNode().SetOpacity3D(0.5)
    else:
        node.RemoveClosedSurfaceRepresentation()


def handOver(scene, segmentationNode, segmentId, t1cNode):
    """Choose segmentation, segment and image in Slicer's Segment Editor."""
    editor = scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    if editor is None:
        editor = slicer.vtkMRMLSegmentEditorNode()
        editor.SetSingletonTag("SegmentEditor")
        editor = scene.AddNode(editor)
    editor.SetAndObserveSegmentationNode(segmentationNode)
    editor.SetAndObserveSourceVolumeNode(t1cNode)
    editor.SetSelectedSegmentID(segmentId)


def readRows(scene, timepoint):
    """Rows of the lesions as the scene holds them: their segments, with what the table says of each."""
    node = studyNodes.firstOf(scene, LESIONS, timepoint)
    if node is None:
        return []
    table = studyNodes.firstOf(scene, TABLE, timepoint)
    known = {} if table is None else {row.get("segment_id"): row for row in rowsOfTable(table)}
    rows = []
    for lesionId in segmentIds(node):
        segment = node.GetSegmentation().GetSegment(lesionId)
        facts = {"segment_id": lesionId, "name": segment.GetName(), "review": reviewState(segment)}
        rows.append({**known.get(lesionId, {}), **facts})
    return rows


def centreOfSegment(scene, timepoint, lesionId):
    """Centre of a segment in the views (RAS mm), None where it is empty or absent."""
    node = studyNodes.firstOf(scene, LESIONS, timepoint)
    if node is None or lesionId not in segmentIds(node):
        return None
    array, geometry = labelGeometryOfSegment(node, lesionId)
    index = np.argwhere(array)
    return tuple(ras_lps(geometry.points_of(index.mean(axis=0))).tolist()) if len(index) else None
