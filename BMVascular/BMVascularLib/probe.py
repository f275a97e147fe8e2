"""Values of maps at a point: what the cursor is over."""

import numpy as np
import vtk

from BMVascularLib.phenotypeNodes import HABITATS, LESIONS, MAPS, nodeOf
from BMVascularLib.segments import segmentIds
from BMVascularLib.volumes import arrayOfImageData

_UNITS = {"nrcbv": "", "ktrans": " /min", "vp": "", "asl": "", "pet": "", "adc": "", "swi": "", "flair": ""}
_NAMES = {"nrcbv": "rCBV", "ktrans": "Ktrans", "vp": "Vp", "asl": "CBF", "pet": "PET"}


def valueAt(node, ras):
    """Value of a volume node in the voxel at a point.

    Parameters
    ----------
    node : vtkMRMLScalarVolumeNode
    ras : sequence of float
        In the world, mm.

    Returns
    -------
    float or None
        None outside, and where the voxel has no value.
    """
    image = node.GetImageData()
    if image is None:
        return None
    point = [0.0, 0.0, 0.0]
    node.TransformPointFromWorld(list(ras), point)
    matrix = vtk.vtkMatrix4x4()
    node.GetRASToIJKMatrix(matrix)
    i, j, k = (int(np.floor(value + 0.5)) for value in matrix.MultiplyPoint([*point, 1.0])[:3])
    columns, rows, slices = image.GetDimensions()
    if not (0 <= i < columns and 0 <= j < rows and 0 <= k < slices):
        return None
    value = float(arrayOfImageData(image)[k, j, i])
    return value if np.isfinite(value) else None


def probe(scene, timepoint, ras):
    """What lies under a point at a time point.

    Returns
    -------
    dict
        ``lesions`` (names), ``habitat`` (name or ""), ``values`` (list of name, text).
    """
    values = []
    for role, _title, _cost in MAPS.values():
        node = nodeOf(scene, role, timepoint)
        value = valueAt(node, ras) if node is not None and node.IsA("vtkMRMLScalarVolumeNode") else None
        if value is not None:
            values.append((_NAMES.get(role, role.upper()), f"{value:.3g}{_UNITS[role]}"))
    return {
        "lesions": lesionsAt(nodeOf(scene, LESIONS, timepoint), ras),
        "habitat": habitatAt(nodeOf(scene, HABITATS, timepoint), ras),
        "values": values,
    }


def habitatAt(node, ras):
    """Name of the habitat at a point, '' outside."""
    value = None if node is None else valueAt(node, ras)
    if not value:
        return ""
    return node.GetDisplayNode().GetColorNode().GetColorName(int(value))


def lesionsAt(node, ras):
    """Names of the lesions at a point."""
    if node is None or not node.IsA("vtkMRMLSegmentationNode"):
        return []
    point = [0.0, 0.0, 0.0]
    node.TransformPointFromWorld(list(ras), point)
    segmentation, names = node.GetSegmentation(), []
    for segmentId in segmentIds(node):
        if _holds(segmentation.GetSegment(segmentId), point):
            names.append(segmentation.GetSegment(segmentId).GetName())
    return names


def _holds(segment, point):
    image = segment.GetRepresentation("Binary labelmap")
    if image is None:
        return False
    matrix = vtk.vtkMatrix4x4()
    image.GetWorldToImageMatrix(matrix)
    index = [int(np.floor(value + 0.5)) for value in matrix.MultiplyPoint([*point, 1.0])[:3]]
    extent = image.GetExtent()
    if any(not extent[2 * axis] <= index[axis] <= extent[2 * axis + 1] for axis in range(3)):
        return False
    k, j, i = (index[axis] - extent[2 * axis] for axis in (2, 1, 0))
    return arrayOfImageData(image)[k, j, i] == segment.GetLabelValue()


def probeText(found):
    """One line for the panel."""
    place = ", ".join(found["lesions"]) or "outside lesions"
    parts = [place, *(f"{name} {text}" for name, text in found["values"])]
    if found["habitat"]:
        parts.append(f"habitat: {found['habitat']}")
    return "; ".join(parts)
