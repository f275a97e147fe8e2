"""Slice and 3D views without a display, to arrays.

The views run Slicer's own displayable managers and slice logic (from ``slicer-core``), so that what
is drawn here is what Slicer draws. On a machine without a display VTK renders through EGL or
OSMesa (Debian: ``libegl1`` with ``libgl1-mesa-dri``, or ``libosmesa6``); no server, no GPU.
"""

import ctypes
import os
import sys

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from BMVascularLib.volumes import arrayOfMatrix

_SLICE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
)
_3D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
)

_CHOICE = "VTK_DEFAULT_OPENGL_WINDOW"
# EGL first: it uses a GPU where there is one; OSMesa needs nothing beside itself
_WITHOUT_DISPLAY = {"libEGL.so.1": "vtkEGLRenderWindow", "libOSMesa.so.8": "vtkOSOpenGLRenderWindow"}

ANATOMICAL_LETTERS = {0: ("R", "L"), 1: ("A", "P"), 2: ("S", "I")}


def _found(library):
    """True where the system's loader finds a shared library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def chooseRenderWindow():
    """Say how to draw on Linux without a display; a choice by the user stays.

    VTK would find a way by itself, after complaints about each way that fails.
    """
    if sys.platform != "linux" or os.environ.get("DISPLAY") or _CHOICE in os.environ:
        return
    for library, window in _WITHOUT_DISPLAY.items():
        if _found(library):
            os.environ[_CHOICE] = window
            return


def drawingProblem():
    """Why pictures cannot be drawn on this machine, in one sentence; None where they can."""
    if sys.platform != "linux" or os.environ.get("DISPLAY") or any(map(_found, _WITHOUT_DISPLAY)):
        return None
    return (
        "Pictures are left out: there is neither a display nor a library that draws without one "
        "(Debian: apt install libosmesa6, or libegl1 with libgl1-mesa-dri)."
    )


class _View:
    """A render window, its displayable managers and its view node."""

    def __init__(self, world, factory, managers, size):
        chooseRenderWindow()
        self.world = world
        self.size = size
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        factory = factory.GetInstance()
        factory.SetMRMLApplicationLogic(world.applicationLogic)
        for name in managers:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.SetRenderer(self.renderer)
        self.group.Initialize(factory, self.renderer)

    def image(self):
        """Render; returns an array of shape (rows, columns, 3), first row on top."""
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        output = grabber.GetOutput()
        columns, rows, _ = output.GetDimensions()
        pixels = numpy_support.vtk_to_numpy(output.GetPointData().GetScalars())
        return pixels.reshape(rows, columns, -1)[::-1, :, :3].copy()

    def close(self):
        """Free the window and take the view node out of the scene's observers."""
        self.group.SetMRMLDisplayableNode(None)
        self.window.Finalize()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class SliceView(_View):
    """One slice view, as Slicer's Red, Yellow or Green.

    Parameters
    ----------
    world : BMVascularLib.scene.World
    size : (int, int)
        Columns and rows in pixels.
    name : str
        Layout name of the slice node.
    """

    def __init__(self, world, size=(320, 320), name="BMV"):
        super().__init__(world, slicer.vtkMRMLSliceViewDisplayableManagerFactory, _SLICE_MANAGERS, size)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(world.applicationLogic)
        world.applicationLogic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(world.scene)
        self.node = self.logic.AddSliceNode(name)
        self.group.SetMRMLDisplayableNode(self.node)
        self.logic.ResizeSliceNode(*size)
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)

    @property
    def composite(self):
        """The slice composite node: what the view shows."""
        return self.logic.GetSliceCompositeNode()

    def place(self, centerRas, orientation, widthMm):
        """Centre the view on a point, in a plane ("Axial", "Coronal", "Sagittal"), ``widthMm`` wide."""
        self.node.SetOrientation(orientation)
        columns, rows = self.size
        self.node.SetFieldOfView(float(widthMm), float(widthMm) * rows / columns, 1.0)
        self.node.SetXYZOrigin(0.0, 0.0, 0.0)
        self.node.JumpSliceByCentering(*[float(value) for value in centerRas])

    def image(self):
        """Render (see :meth:`_View.image`)."""
        connection = self.logic.GetImageDataConnection()
        if connection is None:
            self._mapper.RemoveAllInputs()
            return np.zeros((self.size[1], self.size[0], 3), np.uint8)
        self._mapper.SetInputConnection(connection)
        return super().image()

    def pixelOf(self, ras):
        """Column and row (from the top) at which a RAS point is drawn."""
        toXy = np.linalg.inv(arrayOfMatrix(self.node.GetXYToRAS()))
        x, y, *_ = toXy @ np.array([*ras, 1.0])
        return float(x), float(self.size[1] - 1 - y)

    def edgeLetters(self):
        """Patient directions at the edges: dict of ``left``, ``right``, ``top``, ``bottom``."""
        axes = arrayOfMatrix(self.node.GetSliceToRAS())
        letters = {}
        for column, (positive, negative) in ((0, ("right", "left")), (1, ("top", "bottom"))):
            axis = int(np.argmax(np.abs(axes[:3, column])))
            plus, minus = ANATOMICAL_LETTERS[axis]
            if axes[axis, column] < 0:
                plus, minus = minus, plus
            letters[positive], letters[negative] = plus, minus
        return letters

    def pixelMm(self):
        """Millimetres of one pixel."""
        return self.node.GetFieldOfView()[0] / self.size[0]

    def close(self):
        """Free the window and the logic; the nodes of the view leave the scene."""
        self.world.applicationLogic.GetSliceLogics().RemoveItem(self.logic)
        self.logic.DeleteSliceModel()
        composite, node = self.composite, self.node
        super().close()
        self.logic.SetMRMLScene(None)
        for each in (composite, node):
            self.world.scene.RemoveNode(each)


class ThreeDView(_View):
    """One 3D view."""

    def __init__(self, world, size=(900, 700), name="BMV3D", background=(1.0, 1.0, 1.0)):
        super().__init__(world, slicer.vtkMRMLThreeDViewDisplayableManagerFactory, _3D_MANAGERS, size)
        self.renderer.SetUseDepthPeeling(True)
        self.renderer.SetMaximumNumberOfPeels(8)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(world.applicationLogic)
        world.applicationLogic.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(world.scene)
        self.node = self.logic.AddViewNode(name)
        self.node.SetBoxVisible(False)
        self.node.SetAxisLabelsVisible(False)
        self.node.SetBackgroundColor(*background)
        self.node.SetBackgroundColor2(*background)
        self.group.SetMRMLDisplayableNode(self.node)

    def lookAt(self, center, direction, distanceMm, up=(0.0, 0.0, 1.0)):
        """Look at a RAS point from a direction (from the point to the eye)."""
        direction = np.asarray(direction, float) / np.linalg.norm(direction)
        camera = self.renderer.GetActiveCamera()
        camera.SetFocalPoint(*center)
        camera.SetPosition(*(np.asarray(center, float) + direction * distanceMm))
        camera.SetViewUp(*up)
        self.renderer.ResetCameraClippingRange()

    def pixelOf(self, ras):
        """Column and row (from the top) at which a RAS point is drawn."""
        self.renderer.SetWorldPoint(*[float(value) for value in ras], 1.0)
        self.renderer.WorldToDisplay()
        x, y, _ = self.renderer.GetDisplayPoint()
        return x, self.size[1] - 1 - y

    def right(self):
        """Unit vector, RAS, that points to the right of the view."""
        camera = self.renderer.GetActiveCamera()
        right = np.cross(camera.GetDirectionOfProjection(), camera.GetViewUp())
        return right / np.linalg.norm(right)

    def close(self):
        """Free the window and the logic; the view node and its camera leave the scene."""
        self.world.applicationLogic.GetViewLogics().RemoveItem(self.logic)
        node = self.node
        camera = self.group.GetDisplayableManagerByClassName(
            "vtkMRMLCameraDisplayableManager"
        ).GetCameraNode()
        super().close()
        self.logic.SetMRMLScene(None)
        for each in (camera, node):
            if each is not None:
                self.world.scene.RemoveNode(each)
