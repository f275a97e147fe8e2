"""The sub-voxel boundary of a lesion beside its segment, so that targets enclose shares of voxels.

A segment holds whole voxels, which miss a lesion of 5 mm by up to a tenth and more. The share of every voxel
goes with the segment as a tag (also into files), together with the voxels it was made with: a segment that
somebody redrew no longer has these, and its shares do not count.
"""

import base64
import json
import zlib

import numpy as np
import vtk

from BMVascularCore.errors import InputError
from BMVascularCore.planning.field import box_around, crop_geometry
from BMVascularCore.planning.targets import lesion_parts
from BMVascularCore.volume import Volume
from BMVascularLib.segments import labelGeometryOfSegment
from BMVascularLib.volumes import geometryOfIjkToRas, ijkToRas, parentToWorld

TAG = "BMVascular.Shares"
# the way through text and back: a share is kept to a 255th
_WHOLE = 255


def writeShares(segment, corner, mask, shares, geometry):
    """Keep the shares of a lesion with its segment.

    Parameters
    ----------
    segment : vtkSegment
    corner : sequence of 3 int
        First voxel (k, j, i) of ``mask`` and ``shares`` in the image.
    mask : ndarray of bool
        The voxels of the segment.
    shares : ndarray of float or None
        Share of each voxel in the lesion, 0..1; None where only whole voxels are known.
    geometry : BMVascularCore.volume.Geometry
        Of the image, as it lies below its transforms.
    """
    if shares is None:
        segment.RemoveTag(TAG)
        return
    box = crop_geometry(geometry, corner, mask.shape)
    head = json.dumps({"shape": list(mask.shape), "ijk_to_ras": ijkToRas(box).ravel().tolist()})
    levels = np.rint(np.clip(shares, 0.0, 1.0) * _WHOLE).astype(np.uint8)
    body = zlib.compress(levels.tobytes() + np.packbits(mask).tobytes(), 1)
    segment.SetTag(TAG, ".".join(base64.b64encode(part).decode() for part in (head.encode(), body)))


def keepShares(node, labels, shares, segments):
    """Keep the shares of all lesions of a label image with their segments.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
    labels, shares : BMVascularCore.volume.Volume
        On one grid, below the transforms of the node.
    segments : list of dict
        ``id`` and ``label`` of each.
    """
    ids = {facts["label"]: facts["id"] for facts in segments}
    everything = box_around((labels.array > 0) | (shares.array > 0))
    if everything is None:
        return
    # what lies around all lesions is not looked at again for each
    labels, shares = (_cut(volume, everything) for volume in (labels, shares))
    values = [int(v) for v in np.unique(labels.array) if v in ids]
    for value, part in lesion_parts(labels, values, shares):
        mask = labels.array == value
        start, shape = box_around(mask | (part > 0))
        box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
        segment = node.GetSegmentation().GetSegment(ids[value])
        writeShares(segment, start, mask[box], part[box], labels.geometry)


def _cut(volume, box):
    start, shape = box
    inside = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    return Volume(volume.array[inside], crop_geometry(volume.geometry, start, shape), volume.name)


def readShares(node, segmentId):
    """Voxels and shares of a segment on one grid, in the world.

    Returns
    -------
    (Volume of bool, Volume of float32) or None
        None where no shares were kept, or the segment was changed since.
    """
    text = vtk.reference("")
    if not node.GetSegmentation().GetSegment(segmentId).GetTag(TAG, text):
        return None
    try:
        head, body = (base64.b64decode(part) for part in str(text).split("."))
        facts, values = json.loads(head), zlib.decompress(body)
        shape, matrix = tuple(facts["shape"]), np.reshape(facts["ijk_to_ras"], (4, 4))
        count = int(np.prod(shape))
        levels = np.frombuffer(values, np.uint8, count).reshape(shape)
        mask = np.unpackbits(np.frombuffer(values, np.uint8, offset=count), count=count).reshape(shape) > 0
    except (ValueError, KeyError, zlib.error):
        return None
    geometry = geometryOfIjkToRas(parentToWorld(node) @ matrix, shape, node.GetName())
    if not _isOf(node, segmentId, mask, geometry):
        return None
    name = node.GetSegmentation().GetSegment(segmentId).GetName()
    return Volume(mask, geometry, name), Volume(levels.astype(np.float32) / _WHOLE, geometry, name)


def _isOf(node, segmentId, mask, geometry):
    """Whether a segment still consists of these voxels."""
    try:
        array, own = labelGeometryOfSegment(node, segmentId)
    except InputError:
        return False
    places = np.argwhere(array)
    if len(places) != mask.sum():
        return False
    index = geometry.index_of(own.points_of(places))
    nearest = np.rint(index).astype(int)
    if (
        np.abs(index - nearest).max(initial=0.0) > 0.05
        or (nearest < 0).any()
        or (nearest >= mask.shape).any()
    ):
        return False
    return bool(mask[tuple(nearest.T)].all())
