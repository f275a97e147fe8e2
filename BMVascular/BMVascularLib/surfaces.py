"""Surfaces for 3D views: the head, and isodose surfaces that also draw lines on slices."""

import numpy as np
import SimpleITK as sitk
import vtk

from BMVascularCore.volume import Geometry, resample
from BMVascularLib.volumes import ijkToRas, imageDataOfArray, vtkMatrix

_HEAD_GRID_MM = 2.5
# deeper than any nose or ear is thick; and what is left of that under the scalp
_FACE_MM = 22.0
_SCALP_MM = 6.0
_BRAIN_HEIGHT_MM = 150.0
_PAD = 12


def surfaceOfArray(array, geometry, level, smooth=0, keep=1.0):
    """Surface of an image at a value, in RAS mm.

    Parameters
    ----------
    array : ndarray, shape (k, j, i)
    geometry : BMVascularCore.volume.Geometry
    level : float
    smooth : int
        Windowed-sinc iterations.
    keep : float
        Share of the triangles to keep.

    Returns
    -------
    vtkPolyData
    """
    contour = vtk.vtkFlyingEdges3D()
    contour.SetInputData(imageDataOfArray(array))
    contour.SetValue(0, float(level))
    contour.ComputeGradientsOff()
    contour.ComputeNormalsOff()
    last = contour
    if smooth:
        last = _after(vtk.vtkWindowedSincPolyDataFilter(), last)
        last.SetNumberOfIterations(smooth)
        last.SetPassBand(0.02)
        last.NormalizeCoordinatesOn()
    if keep < 1:
        last = _after(vtk.vtkQuadricDecimation(), last)
        last.SetTargetReduction(1.0 - keep)
    toRas = vtk.vtkTransform()
    toRas.SetMatrix(vtkMatrix(ijkToRas(geometry)))
    last = _after(vtk.vtkTransformPolyDataFilter(), last)
    last.SetTransform(toRas)
    last = _after(vtk.vtkPolyDataNormals(), last)
    last.SplittingOff()
    last.ConsistencyOn()
    last.AutoOrientNormalsOn()
    last.Update()
    return last.GetOutput()


def _after(stage, previous):
    stage.SetInputConnection(previous.GetOutputPort())
    return stage


def headMask(volume):
    """The inner head on a coarse grid: one smooth piece, without nose, ears and neck.

    The outline of a real face would identify the patient; it is taken off by erosion and by an
    opening that no nose or ear survives.

    Returns
    -------
    array : ndarray of float32, 0 to 1
    geometry : BMVascularCore.volume.Geometry
    """
    fine = volume.geometry
    shape_ijk = np.ceil(np.array(fine.shape[::-1]) * fine.spacing_mm / _HEAD_GRID_MM).astype(int)
    coarse = Geometry(
        tuple(int(n) for n in shape_ijk[::-1]), (_HEAD_GRID_MM,) * 3, fine.origin_mm, fine.direction
    )
    image = sitk.SmoothingRecursiveGaussian(resample(volume, coarse).to_sitk(), _HEAD_GRID_MM)
    # air all round: a head that touches the edge of the image is closed there
    image = sitk.ConstantPad(image, (_PAD,) * 3, (_PAD,) * 3, 0.0)
    # one third of the two-class threshold: dark skull between scalp and brain still counts as head
    two = sitk.OtsuThresholdImageFilter()
    two.Execute(image)
    mask = sitk.BinaryMorphologicalClosing(image > two.GetThreshold() / 3.0, (5, 5, 5))
    mask = _aboveNeck(sitk.BinaryFillhole(mask))
    depth = sitk.SignedMaurerDistanceMap(
        mask, insideIsPositive=True, squaredDistance=False, useImageSpacing=True
    )
    core = sitk.RelabelComponent(sitk.ConnectedComponent(depth > _FACE_MM)) == 1
    away = sitk.SignedMaurerDistanceMap(
        core, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    smooth = sitk.SmoothingRecursiveGaussian(sitk.Cast(away < _FACE_MM - _SCALP_MM, sitk.sitkFloat32), 4.0)
    return sitk.GetArrayFromImage(smooth), Geometry.of_sitk(smooth)


def _aboveNeck(mask):
    """The part of a head mask that lies less than a brain's height below its top."""
    array = sitk.GetArrayFromImage(mask)
    index = np.argwhere(array)
    if not len(index):
        return mask
    height = Geometry.of_sitk(mask).points_of(index)[:, 2]
    low = index[height < height.max() - _BRAIN_HEIGHT_MM]
    array[tuple(low.T)] = 0
    kept = sitk.GetImageFromArray(array)
    kept.CopyInformation(mask)
    return kept


def addHeadSurface(scene, volume, name, opacity=0.24):
    """Add a translucent outline of the inner head made from a T1-weighted image.

    Returns
    -------
    vtkMRMLModelNode
    """
    array, geometry = headMask(volume)
    surface = surfaceOfArray(array, geometry, 0.5, smooth=20, keep=0.4)
    return addModel(scene, surface, name, (0.86, 0.84, 0.82), opacity=opacity, onSlices=False)


def addIsodose(scene, dose, level_gy, name, color, width=2):
    """Add an isodose surface; slices show it as a line.

    Parameters
    ----------
    dose : BMVascularCore.volume.Volume
        Gy.

    Returns
    -------
    vtkMRMLModelNode
    """
    array = np.pad(np.nan_to_num(dose.array).astype(np.float32), 1)
    affine = dose.geometry.affine_lps
    affine[:3, 3] -= affine[:3, :3].sum(axis=1)
    surface = surfaceOfArray(array, Geometry.of_affine(affine, array.shape), level_gy)
    node = addModel(scene, surface, name, color, opacity=0.3, onSlices=True, width=width)
    node.SetAttribute("BMVascular.IsodoseGy", f"{level_gy:g}")
    return node


def addModel(scene, surface, name, color, opacity=1.0, onSlices=False, width=2):
    """Add a surface as a model node."""
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", name)
    node.SetAndObservePolyData(surface)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(*color)
    display.SetOpacity(opacity)
    display.SetVisibility2D(onSlices)
    display.SetSliceIntersectionThickness(width)
    display.SetBackfaceCulling(False)
    display.SetScalarVisibility(False)
    return node


def boundsOf(node):
    """RAS bounds of a model node in the world."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    return bounds


__all__ = ["addHeadSurface", "addIsodose", "addModel", "boundsOf", "headMask", "surfaceOfArray"]
