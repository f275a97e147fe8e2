"""Label images of Core to segmentation nodes (names, colours, terminology, review state) and back."""

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from BMVascularCore.errors import InputError
from BMVascularCore.volume import Geometry, Volume, ras_lps, resample
from BMVascularLib.volumes import (
    arrayOfImageData,
    arrayOfMatrix,
    geometryOfIjkToRas,
    ijkToRas,
    parentToWorld,
    vtkMatrix,
)

REVIEW_STATES = ("NotStarted", "InProgress", "Completed", "Flagged")

# DICOM context groups 7150, 7159 and 7169: scheme^code^meaning
_CATEGORY = "SCT^49755003^Morphologically Altered Structure"
_REGION = "SCT^12738006^Brain"
TERMINOLOGY = {
    "metastasis": "SCT^14799000^Neoplasm, Secondary",
    "enhancing": "NCIt^C113842^Enhancing Lesion",
    "core": "NCIt^C81175^Non-Enhancing Lesion",
    "oedema": "SCT^79654002^Edema",
    "haemorrhage": "SCT^50960005^Hemorrhage",
    "mass": "SCT^4147007^Mass",
}

# label in compartments.nrrd: name, colour (Okabe-Ito), kind
COMPARTMENTS = {
    1: ("Enhancing", (0.90, 0.62, 0.0), "enhancing"),
    2: ("Non-enhancing core", (0.80, 0.47, 0.65), "core"),
    3: ("Oedema", (0.34, 0.71, 0.91), "oedema"),
    4: ("Haemorrhage", (0.84, 0.37, 0.0), "haemorrhage"),
}


def terminologyEntry(kind):
    """Slicer's terminology string of a kind of segment (key of ``TERMINOLOGY``)."""
    return (
        f"Segmentation category and type - DICOM master list~{_CATEGORY}~{TERMINOLOGY[kind]}~^^"
        f"~Anatomic codes - DICOM master list~{_REGION}~^^"
    )


def orientedImageOfArray(array, geometry):
    """vtkOrientedImageData of a (k, j, i) label array, as segments hold it."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(array.shape[2], array.shape[1], array.shape[0])
    stored = np.ascontiguousarray(array)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(stored.ravel(), deep=True))
    image.SetImageToWorldMatrix(vtkMatrix(ijkToRas(geometry)))
    return image


def addSegmentation(scene, labels, segments, name, reference=None):
    """Add a label image as a segmentation; all segments share one layer.

    Parameters
    ----------
    scene : vtkMRMLScene
    labels : BMVascularCore.volume.Volume
        Whole numbers, 0 is background.
    segments : list of dict
        ``label``, ``name``, ``color`` (r, g, b from 0 to 1), ``kind`` (key of ``TERMINOLOGY``);
        optional ``id``. Labels without a voxel are left out.
    name : str
    reference : vtkMRMLVolumeNode, optional
        Its voxel grid becomes the segmentation's reference geometry.

    Returns
    -------
    vtkMRMLSegmentationNode
    """
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    if reference is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    array = labels.array.astype(np.uint8 if labels.array.max() < 256 else np.int16)
    layer = orientedImageOfArray(array, labels.geometry)
    present = {int(value) for value in np.unique(array)}
    for facts in segments:
        if facts["label"] in present:
            _addSegment(node.GetSegmentation(), layer, facts)
    return node


def addStructures(scene, structures, geometry, name, reference=None):
    """Add structures that may overlap (GTV within PTV): those that do go to different layers.

    Parameters
    ----------
    scene : vtkMRMLScene
    structures : list of BMVascularCore.planning.segmentation_file.Segment
        Masks on the whole of a common grid.
    geometry : BMVascularCore.volume.Geometry
        That grid.
    name : str
    reference : vtkMRMLVolumeNode, optional
        Its voxel grid becomes the segmentation's reference geometry.

    Returns
    -------
    vtkMRMLSegmentationNode
        Segment ids are the structures' names; empty structures are left out.
    """
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    if reference is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    for structure in structures:
        places = np.argwhere(structure.mask)
        if not len(places):
            continue
        # the box around the structure only: a fine grid over a whole head would fill the memory
        low, high = places.min(axis=0), places.max(axis=0) + 1
        box = structure.mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        place = Geometry(
            box.shape,
            geometry.spacing_mm,
            tuple(geometry.points_of(low + np.asarray(structure.start_kji)).tolist()),
            geometry.direction,
        )
        facts = {
            "label": 1,
            "name": structure.name,
            "color": [channel / 255.0 for channel in structure.colour],
            "kind": "metastasis",
            "id": structure.name,
        }
        _addSegment(node.GetSegmentation(), orientedImageOfArray(box.astype(np.uint8), place), facts)
    # segments that do not overlap share a layer again: a file with a layer for each would be written for minutes
    node.GetSegmentation().CollapseBinaryLabelmaps(False)
    return node


def _addSegment(segmentation, layer, facts):
    segment = slicer.vtkSegment()
    segment.SetName(facts["name"])
    segment.SetColor(*facts["color"])
    segment.SetLabelValue(int(facts["label"]))
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminologyEntry(facts["kind"]))
    representation = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segment.AddRepresentation(representation, layer)
    segmentation.AddSegment(segment, facts.get("id") or f"segment_{facts['label']}")


def setReviewState(segment, state):
    """Set how far a person has reviewed a segment: one of ``REVIEW_STATES``."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetSegmentStatus(segment, getattr(logic, state))


def reviewState(segment):
    """How far a person has reviewed a segment."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    return REVIEW_STATES[
        [getattr(logic, state) for state in REVIEW_STATES].index(logic.GetSegmentStatus(segment))
    ]


def segmentIds(node):
    """Ids of the segments, in order."""
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]


def labelsOfNode(node, geometry):
    """Label image of a segmentation on a voxel grid.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
    geometry : BMVascularCore.volume.Geometry
        The wanted grid, in world space; segments outside it are cut off.

    Returns
    -------
    labels : BMVascularCore.volume.Volume
        int32; the label is the position of the segment, from 1.
    names : dict
        Label to segment name.

    Raises
    ------
    InputError
        No segments.
    """
    ids = segmentIds(node)
    if not ids:
        raise InputError("holds no segments", node.GetName(), "Segment a lesion first.")
    labels = np.zeros(geometry.shape, np.int32)
    for label, segmentId in enumerate(ids, start=1):
        _paste(labels, geometry, *labelGeometryOfSegment(node, segmentId), label)
    names = {label: node.GetSegmentation().GetSegment(i).GetName() for label, i in enumerate(ids, start=1)}
    return Volume(labels, geometry, node.GetName()), names


def _paste(labels, geometry, array, ownGeometry, label):
    """Write one segment into a label image; only the box around it is resampled."""
    window, inside = maskOnGrid(array, ownGeometry, geometry)
    labels[window][inside] = label


def maskOnGrid(array, ownGeometry, geometry):
    """A mask on another voxel grid, within the box that holds it.

    Returns
    -------
    window : tuple of slice
        Where the box lies in the other grid; empty where nothing of the mask does.
    inside : ndarray of bool
    """
    where = np.argwhere(array)
    nothing = (slice(0, 0),) * 3, np.zeros((0, 0, 0), bool)
    if not len(where):
        return nothing
    low, high = where.min(axis=0) - 1, where.max(axis=0) + 1
    corners = np.array([[(low, high)[bit][axis] for axis, bit in enumerate(c)] for c in np.ndindex(2, 2, 2)])
    index = geometry.index_of(ownGeometry.points_of(corners))
    start = np.clip(np.floor(index.min(axis=0) + 1e-6).astype(int), 0, geometry.shape)
    stop = np.clip(np.ceil(index.max(axis=0) - 1e-6).astype(int) + 1, 0, geometry.shape)
    if (stop <= start).any():
        return nothing
    affine = geometry.affine_lps
    affine[:3, 3] = geometry.points_of(start)
    box = Geometry.of_affine(affine, stop - start)
    inside = resample(Volume(array, ownGeometry), box, interpolation="nearest").array != 0
    return tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True)), inside


def centersRas(labels):
    """Centre of every label of a label image.

    Parameters
    ----------
    labels : BMVascularCore.volume.Volume

    Returns
    -------
    dict
        Label to RAS mm.
    """
    index = np.argwhere(labels.array > 0)
    values = labels.array[tuple(index.T)]
    centers = {int(v): index[values == v].mean(axis=0) for v in np.unique(values)}
    return {v: tuple(ras_lps(labels.geometry.points_of(center)).tolist()) for v, center in centers.items()}


def labelGeometryOfSegment(node, segmentId):
    """Mask of one segment, and where its voxels lie in the world.

    Segments that do not overlap share one label image, in which each has its own value.

    Returns
    -------
    array : ndarray of uint8, shape (k, j, i)
    geometry : BMVascularCore.volume.Geometry

    Raises
    ------
    InputError
        Below a transform that is not rigid.
    """
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if not node.GetSegmentation().ContainsRepresentation(name):
        node.CreateBinaryLabelmapRepresentation()
    segment = node.GetSegmentation().GetSegment(segmentId)
    image = segment.GetRepresentation(name)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    affine = parentToWorld(node) @ arrayOfMatrix(matrix)
    # a layer's extent need not begin at zero
    affine[:, 3] = affine @ np.array([*image.GetExtent()[::2], 1.0])
    array = (arrayOfImageData(image) == segment.GetLabelValue()).astype(np.uint8)
    return array, geometryOfIjkToRas(affine, array.shape, node.GetName())
