"""Volumes of Core (LPS mm, arrays k, j, i) to MRML volume nodes (RAS mm) and back."""

import numpy as np
import vtk
from vtk.util import numpy_support

from BMVascularCore.errors import InputError
from BMVascularCore.volume import Geometry, Volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

# what ITK writers and VTK filters both take
_STORED_AS = {"b": np.uint8, "f2": np.float32, "f8": np.float32, "i8": np.int32, "u8": np.uint32}


def vtkMatrix(matrix):
    """A vtkMatrix4x4 of a 4x4 array."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, dtype=float).ravel().tolist())
    return result


def arrayOfMatrix(matrix):
    """A 4x4 array of a vtkMatrix4x4."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def ijkToRas(geometry):
    """4x4 array from (i, j, k, 1) to RAS mm of a Core geometry."""
    return LPS_TO_RAS @ geometry.affine_lps


def geometryOfIjkToRas(matrix, shape, name="volume"):
    """Core geometry of a 4x4 array from (i, j, k, 1) to RAS mm.

    Raises
    ------
    InputError
        When the axes are not at right angles (a transform with shear).
    """
    affine = LPS_TO_RAS @ np.asarray(matrix, dtype=float)
    geometry = Geometry.of_affine(affine, shape)
    axes = np.reshape(geometry.direction, (3, 3))
    if np.abs(axes.T @ axes - np.eye(3)).max() > 1e-3:
        raise InputError(
            "its axes are not at right angles in space",
            name,
            "Resample it (gantry tilt or an affine transform), or use a rigid transform.",
        )
    return geometry


def imageDataOfArray(array):
    """A vtkImageData without geometry (as MRML volumes hold it) that owns a copy of the array."""
    array = np.ascontiguousarray(array)
    kind = array.dtype.kind
    target = _STORED_AS.get(kind) or _STORED_AS.get(f"{kind}{array.dtype.itemsize}")
    stored = array.astype(target) if target is not None else array
    image = vtk.vtkImageData()
    image.SetDimensions(array.shape[2], array.shape[1], array.shape[0])
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(stored.ravel(), deep=True))
    return image


def arrayOfImageData(image):
    """The (k, j, i) array of a single-component vtkImageData (a view, not a copy)."""
    dimensions = image.GetDimensions()
    return numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(dimensions[::-1])


def addVolume(scene, volume, name=None, labelMap=False):
    """Add a Core volume to a scene.

    Parameters
    ----------
    scene : vtkMRMLScene
    volume : BMVascularCore.volume.Volume
    name : str, optional
        Node name; the volume's own by default.
    labelMap : bool
        Whole numbers that name something: shown without interpolation.

    Returns
    -------
    vtkMRMLScalarVolumeNode or vtkMRMLLabelMapVolumeNode
    """
    className = "vtkMRMLLabelMapVolumeNode" if labelMap else "vtkMRMLScalarVolumeNode"
    node = scene.AddNewNodeByClass(className, name or volume.name)
    updateVolumeNode(node, volume)
    node.CreateDefaultDisplayNodes()
    return node


def updateVolumeNode(node, volume):
    """Put the array and the place in space of a Core volume into a node."""
    wasModifying = node.StartModify()
    node.SetIJKToRASMatrix(vtkMatrix(ijkToRas(volume.geometry)))
    node.SetAndObserveImageData(imageDataOfArray(volume.array))
    node.EndModify(wasModifying)


def volumeOfNode(node, world=True, copy=True):
    """The Core volume of a node.

    Parameters
    ----------
    node : vtkMRMLScalarVolumeNode
    world : bool
        Apply the node's parent transforms, so that the volume lies where the views show it.
    copy : bool
        False shares memory with the node: then read only.

    Returns
    -------
    BMVascularCore.volume.Volume

    Raises
    ------
    InputError
        Empty node, several components, or a parent transform that is not rigid.
    """
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        raise InputError("holds no image", node.GetName(), "Load the volume first.")
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(
            f"has {image.GetNumberOfScalarComponents()} components, a single-channel volume is wanted",
            node.GetName(),
            "Extract one channel first.",
        )
    array = arrayOfImageData(image)
    return Volume(array.copy() if copy else array, geometryOfNode(node, world), node.GetName())


def geometryOfNode(node, world=True):
    """Where the voxels of a volume node lie (see :func:`volumeOfNode`)."""
    local = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(local)
    matrix = arrayOfMatrix(local)
    if world:
        matrix = parentToWorld(node) @ matrix
    return geometryOfIjkToRas(matrix, node.GetImageData().GetDimensions()[::-1], node.GetName())


def parentToWorld(node):
    """4x4 array of the transforms above a node, RAS mm.

    Raises
    ------
    InputError
        When one of them is not linear.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise InputError(
            "lies below a warp, a linear transform is wanted", node.GetName(), "Harden the transform first."
        )
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return arrayOfMatrix(matrix)
