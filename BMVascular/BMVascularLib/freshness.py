"""Is a result still the result of what is now in the scene?

A result node remembers a digest of itself and of its inputs. When the result itself has changed since, it was
made again, from what is there now. When only an input has changed, the result is out of date. Digests look at
contents, not at places: moving a study below a planning transform makes nothing out of date.
"""

import json
import zlib

import numpy as np
import slicer
from vtk.util import numpy_support

MADE_FROM = "BMVascular.MadeFrom"
_FRAMES_READ = 4


def digest(node):
    """A short text that changes with the contents of a node."""
    if node.IsA("vtkMRMLSequenceNode"):
        return _digestOfSequence(node)
    if node.IsA("vtkMRMLVolumeNode"):
        return _digestOfImage(node.GetImageData())
    if node.IsA("vtkMRMLMarkupsNode"):
        return _digestOfPoints(node)
    if node.IsA("vtkMRMLSegmentationNode"):
        return _digestOfSegments(node)
    if node.IsA("vtkMRMLTableNode"):
        return _digestOfTable(node)
    if node.IsA("vtkMRMLTextNode"):
        return _text(zlib.crc32((node.GetText() or "").encode()))
    return ""


def changedInputs(result, inputs):
    """Inputs that changed since a result was made.

    Parameters
    ----------
    result : vtkMRMLNode
        Remembers what it was made from, in a node attribute.
    inputs : dict
        Role to node: what it would be made from now.

    Returns
    -------
    list of str
        Roles; empty while the result is up to date.
    """
    own, now = digest(result), {role: digest(node) for role, node in inputs.items()}
    known = _remembered(result)
    if known is None or known["result"] != own:
        markMade(result, inputs, own, now)
        return []
    return [role for role, value in now.items() if known["inputs"].get(role) != value]


def markMade(result, inputs, own=None, now=None):
    """Say that a result has just been made from these inputs (role to node)."""
    made = {
        "result": digest(result) if own is None else own,
        "inputs": {role: digest(node) for role, node in inputs.items()} if now is None else now,
    }
    result.SetAttribute(MADE_FROM, json.dumps(made, sort_keys=True))


def _remembered(result):
    text = result.GetAttribute(MADE_FROM)
    return json.loads(text) if text else None


def _text(number):
    return f"{number:08x}"


def _bytesOf(image):
    array = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    return np.ascontiguousarray(array).view(np.uint8).ravel()


def _digestOfImage(image):
    if image is None or image.GetPointData().GetScalars() is None:
        return ""
    return _text(zlib.crc32(_bytesOf(image), zlib.crc32(repr(image.GetDimensions()).encode())))


def _digestOfSequence(node):
    """Times of every frame, pixels of a few."""
    count = node.GetNumberOfDataNodes()
    times = ",".join(node.GetNthIndexValue(n) for n in range(count))
    sample = sorted({round(n) for n in np.linspace(0, count - 1, min(count, _FRAMES_READ))}) if count else []
    frames = [_digestOfImage(node.GetNthDataNode(n).GetImageData()) for n in sample]
    return _text(zlib.crc32(f"{times}|{frames}".encode()))


def _digestOfPoints(node):
    points = [
        (node.GetNthControlPointLabel(n), [round(v, 3) for v in node.GetNthControlPointPosition(n)])
        for n in range(node.GetNumberOfControlPoints())
    ]
    return _text(zlib.crc32(repr(points).encode()))


def _digestOfSegments(node):
    segmentation = node.GetSegmentation()
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    parts, layers = [], {}
    for n in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(n)
        image = segment.GetRepresentation(kind)
        if image is not None and id(image) not in layers:
            layers[id(image)] = _digestOfImage(image)
        parts.append((segment.GetName(), segment.GetLabelValue(), layers.get(id(image), "")))
    return _text(zlib.crc32(repr(parts).encode()))


def _digestOfTable(node):
    table = node.GetTable()
    cells = [
        [table.GetValue(row, column).ToString() for column in range(table.GetNumberOfColumns())]
        for row in range(table.GetNumberOfRows())
    ]
    return _text(zlib.crc32(repr(cells).encode()))
