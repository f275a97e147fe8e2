"""ITK transforms (LPS, fixed points to moving points) to MRML transform nodes and back.

A MRML transform node stands *above* the node it moves and takes its points to the parent space:
from moving to fixed, in RAS. ITK's transform of a registration goes the other way, in LPS. Slicer's
own reader of ``.tfm`` files makes the same turn.
"""

import numpy as np
import SimpleITK as sitk
import vtk

from BMVascularCore.errors import InputError
from BMVascularCore.io.images import require_file
from BMVascularLib.volumes import LPS_TO_RAS, arrayOfMatrix, parentToWorld, vtkMatrix


def matrixOfItk(transform, name="transform"):
    """4x4 LPS matrix of a linear ITK transform, whatever its parameters.

    Raises
    ------
    InputError
        When it is a warp.
    """
    if not transform.IsLinear():
        raise InputError("is a warp, a linear transform is wanted", name, "Give the rigid transform.")
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    matrix[:3, 3] = origin
    for axis, point in enumerate(np.eye(3)):
        matrix[:3, axis] = np.array(transform.TransformPoint(point.tolist())) - origin
    return matrix


def movingToFixedRas(transform, name="transform"):
    """4x4 RAS matrix, moving to fixed, of an ITK transform that maps fixed to moving points (LPS)."""
    return LPS_TO_RAS @ np.linalg.inv(matrixOfItk(transform, name)) @ LPS_TO_RAS


def readTransform(path):
    """Read an ITK transform file.

    Raises
    ------
    InputError
        Missing, or not a transform.
    """
    path = require_file(path, "transform file")
    try:
        return sitk.ReadTransform(str(path))
    except RuntimeError as error:
        raise InputError(
            "cannot be read as an ITK transform", path.name, "Give a .tfm or .h5 file."
        ) from error


def addTransform(scene, transform, name):
    """Add a transform node to stand above the moving volume.

    Parameters
    ----------
    scene : vtkMRMLScene
    transform : SimpleITK.Transform
        Linear; maps fixed points to moving points, LPS mm.
    name : str

    Returns
    -------
    vtkMRMLLinearTransformNode
        Give it to the moving volume with :func:`placeBelow`.
    """
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(vtkMatrix(movingToFixedRas(transform, name)))
    return node


def placeBelow(node, transformNode, fixedNode=None):
    """Put a node below a transform; name fixed and moving node, which SlicerRT's export asks for."""
    node.SetAndObserveTransformNodeID(transformNode.GetID())
    if fixedNode is not None:
        transformNode.SetNodeReferenceID(transformNode.GetMovingNodeReferenceRole(), node.GetID())
        transformNode.SetNodeReferenceID(transformNode.GetFixedNodeReferenceRole(), fixedNode.GetID())


def transformOfNode(node):
    """ITK transform (LPS, fixed points to moving points) of a linear transform node.

    Returns
    -------
    SimpleITK.AffineTransform
    """
    if not node.IsLinear():
        raise InputError("is a warp, a linear transform is wanted", node.GetName(), "Harden or replace it.")
    toParent = vtk.vtkMatrix4x4()
    node.GetMatrixTransformToParent(toParent)
    return _itkOfRas(arrayOfMatrix(toParent))


def transformFromWorld(transformNode):
    """ITK transform (LPS, world points to points below) of a transform node and everything above it.

    Returns
    -------
    SimpleITK.AffineTransform
    """
    toWorld = vtk.vtkMatrix4x4()
    transformNode.GetMatrixTransformToWorld(toWorld)
    return _itkOfRas(arrayOfMatrix(toWorld))


def transformToWorld(node):
    """ITK transform (LPS, world points to the node's own points) of everything above a node.

    Returns
    -------
    SimpleITK.AffineTransform
    """
    return _itkOfRas(parentToWorld(node))


def _itkOfRas(matrix):
    matrix = LPS_TO_RAS @ np.linalg.inv(matrix) @ LPS_TO_RAS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    return transform
