"""A T1 moved by hand: a transform with handles above its time point, until the fusion takes over."""

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularLib.planningNodes import placeTimepoint, topOf
from BMVascularLib.studyNodes import ROLE, roleOf, setRole, timepointOf
from BMVascularLib.surfaces import boundsOf

BY_HAND = "by hand"


def showHandles(scene, t1c, lesions=None):
    """Show handles that move a T1 and everything of its time point.

    Parameters
    ----------
    scene : vtkMRMLScene
    t1c : vtkMRMLScalarVolumeNode
    lesions : vtkMRMLSegmentationNode, optional
        Drawn on the T1.

    Returns
    -------
    vtkMRMLLinearTransformNode
        The topmost transform above the T1. A fusion below it no longer counts as measured.

    Raises
    ------
    InputError
        No T1.
    """
    if t1c is None:
        raise InputError("no T1 with contrast is chosen", "fusion", "Choose the T1 of the time point.")
    node = topOf(t1c)
    if roleOf(node) != BY_HAND:
        node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", f"{t1c.GetName()} by hand")
        setRole(node, BY_HAND, timepointOf(t1c), "moved by hand")
        node.CreateDefaultDisplayNodes()
        placeTimepoint(scene, timepointOf(t1c), node, [t1c, *([lesions] if lesions is not None else [])])
        node.SetCenterOfTransformation(*np.reshape(boundsOf(t1c), (3, 2)).mean(axis=1).tolist())
    shown = node.GetDisplayNode()
    # rigid only: a scaled T1 would fuse to a scaled lesion
    shown.SetEditorScalingEnabled(False)
    shown.SetEditorVisibility(True)
    shown.SetEditorSliceIntersectionVisibility(True)
    shown.UpdateEditorBounds()
    return node


def hideHandles(scene):
    """Hide the handles; what was moved stays where it is."""
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLLinearTransformNode")):
        node = scene.GetNthNodeByClass(n, "vtkMRMLLinearTransformNode")
        if node.GetAttribute(ROLE) == BY_HAND and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetEditorVisibility(False)
            node.GetDisplayNode().SetEditorSliceIntersectionVisibility(False)
