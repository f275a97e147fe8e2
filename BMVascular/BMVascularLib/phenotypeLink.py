"""Two time points side by side that move together, although they lie in different places of the scanner."""

import numpy as np
import vtk

from BMVascularLib.layouts import followUpTag
from BMVascularLib.phenotypeNodes import lesionCenter
from BMVascularLib.phenotypeViews import PLANES, followUpTimepoints, nodesByClass


def shiftBetween(scene, lesion):
    """Vector from the first to the last time point, RAS mm: between the centres of a lesion, else zero.

    Parameters
    ----------
    scene : vtkMRMLScene
    lesion : str
        Name that the lesion has at both time points.

    Returns
    -------
    ndarray, shape (3,)
    """
    labels = followUpTimepoints(scene)
    centers = [lesionCenter(scene, label, lesion) for label in labels]
    if len(centers) < 2 or None in centers:
        return np.zeros(3)
    return np.subtract(centers[1], centers[0])


class SideLink:
    """Lets both sides of the follow-up layout scroll and zoom together.

    Slicer's own link puts linked views at the same place in space, where the patient lay differently at
    another date. This one keeps the distance between a lesion's centres.

    Parameters
    ----------
    scene : vtkMRMLScene
    """

    def __init__(self, scene):
        self._scene, self._shift, self._moving, self._tags = scene, np.zeros(3), False, []

    def start(self, shift_mm):
        """Link the sides with this vector from the first to the second."""
        self.stop()
        self._shift = np.asarray(shift_mm, float)
        nodes = {node.GetLayoutName(): node for node in nodesByClass(self._scene, "vtkMRMLSliceNode")}
        for plane in PLANES:
            pair = [nodes.get(followUpTag(plane, number)) for number in (1, 2)]
            if None in pair:
                continue
            for node, other, sign in ((pair[0], pair[1], 1.0), (pair[1], pair[0], -1.0)):
                self._watch(node, other, sign)

    def stop(self):
        """Let each side move alone."""
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self._tags = []

    def _watch(self, node, other, sign):
        def moved(caller, event):
            self._follow(node, other, sign)

        self._tags.append((node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, moved)))

    def _follow(self, node, other, sign):
        if self._moving:
            return
        self._moving = True
        try:
            matrix = vtk.vtkMatrix4x4()
            matrix.DeepCopy(node.GetSliceToRAS())
            for row in range(3):
                matrix.SetElement(row, 3, matrix.GetElement(row, 3) + sign * self._shift[row])
            state = other.StartModify()
            other.GetSliceToRAS().DeepCopy(matrix)
            # the views may differ in shape: the scale is shared, not the field of view
            wide, high = other.GetDimensions()[:2]
            scale = node.GetFieldOfView()[0] / max(node.GetDimensions()[0], 1)
            other.SetFieldOfView(scale * wide, scale * high, other.GetFieldOfView()[2])
            other.UpdateMatrices()
            other.EndModify(state)
        finally:
            self._moving = False
