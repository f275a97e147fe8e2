"""Slice and 3D views on slicer-core's displayable managers, rendered off screen on demand."""

import slicer
from vtkmodules.vtkInteractionStyle import vtkInteractorStyleUser
from vtkmodules.vtkRenderingCore import (
    vtkActor2D,
    vtkImageMapper,
    vtkRenderer,
    vtkRenderWindow,
    vtkRenderWindowInteractor,
)

SLICE_MANAGERS = (
    "Crosshair", "VolumeGlyphSlice", "ModelSlice", "OrientationMarker", "Ruler", "ScalarBar",
    "Segmentations*2D", "Markups", "Transforms*2D", "ColorLegend",
)  # fmt: skip
THREED_MANAGERS = (
    "VolumeRendering", "Camera", "View", "Model", "ThreeDReformat", "Crosshair*3D", "OrientationMarker",
    "Ruler",
    "Segmentations*3D", "Markups", "Transforms*3D", "ColorLegend",
)  # fmt: skip


def managerNames(short):
    """Class names of displayable managers that this slicer-core has."""
    for name in short:
        stem, _, end = name.partition("*")
        full = f"vtkMRML{stem}DisplayableManager{end}"
        if hasattr(slicer, full):
            yield full


def isInScene(node, scene):
    return node is not None and node.GetID() is not None and scene.GetNodeByID(node.GetID()) is node


class View:
    """A render window with a group of displayable managers."""

    def __init__(self, factory, managers, applicationLogic):
        self.renderer = vtkRenderer()
        self.window = vtkRenderWindow()
        self.window.ShowWindowOff()
        self.window.SetMultiSamples(0)
        self.window.SetOffScreenRendering(1)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.Initialize()
        factory.SetMRMLApplicationLogic(applicationLogic)
        for name in managerNames(managers):
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.SetRenderer(self.renderer)
        self.group.Initialize(factory, self.renderer)

    def resize(self, width, height):
        self.window.SetSize(width, height)
        self.interactor.SetSize(width, height)

    def render(self):
        self.refresh()
        self.window.Render()

    def refresh(self):
        """Bring the view up to the scene before it is drawn."""


class SliceView(View):
    """One slice: vtkMRMLSliceLogic gives the picture, the managers draw over it."""

    def __init__(self, core, name, orientation, color):
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        super().__init__(factory, SLICE_MANAGERS, core.app_logic)
        self.name, self.orientation, self.color, self.core = name, orientation, color, core
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.mapper = vtkImageMapper()
        self.mapper.SetColorWindow(255)
        self.mapper.SetColorLevel(127.5)
        self.image = vtkActor2D()
        self.image.SetMapper(self.mapper)
        self.image.GetProperty().SetDisplayLocationToBackground()
        self.interactor.SetInteractorStyle(vtkInteractorStyleUser())
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(core.app_logic)
        core.app_logic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(core.scene)
        self.connect()

    def connect(self):
        """Take the slice node of this view; after the scene was closed it may be a new one."""
        if not isInScene(self.logic.GetSliceNode(), self.core.scene):
            # the layout logic may have made the node already: it is a singleton of the scene
            node = self.core.scene.GetSingletonNode(self.name, "vtkMRMLSliceNode")
            if node is None:
                node = self.logic.AddSliceNode(self.name)
            self.logic.SetSliceNode(node)
            node.SetOrientation(self.orientation)
            node.SetLayoutColor(*self.color)
        if self.group.GetMRMLDisplayableNode() is not self.logic.GetSliceNode():
            self.group.SetMRMLDisplayableNode(self.logic.GetSliceNode())

    def resize(self, width, height):
        super().resize(width, height)
        self.connect()
        before = self.logic.GetSliceNode().GetDimensions()[:2]
        if before != (width, height):
            self.logic.ResizeSliceNode(width, height)

    def refresh(self):
        self.connect()
        self.logic.UpdatePipeline()
        connection = self.logic.GetImageDataConnection()
        shown = self.renderer.HasViewProp(self.image)
        if connection is None:
            if shown:
                self.renderer.RemoveViewProp(self.image)
            return
        self.mapper.SetInputConnection(connection)
        if not shown:
            self.renderer.AddViewProp(self.image)


class ThreeDView(View):
    """The 3D view."""

    def __init__(self, core, name):
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        super().__init__(factory, THREED_MANAGERS, core.app_logic)
        self.name, self.core, self.node = name, core, None
        self.renderer.SetUseDepthPeeling(True)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(core.app_logic)
        core.app_logic.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(core.scene)
        self.connect()

    def connect(self):
        if not isInScene(self.node, self.core.scene):
            node = self.core.scene.GetSingletonNode(self.name, "vtkMRMLViewNode")
            self.node = node or self.logic.AddViewNode(self.name)
        if self.group.GetMRMLDisplayableNode() is not self.node:
            self.group.SetMRMLDisplayableNode(self.node)

    def refresh(self):
        self.connect()
        self.renderer.ResetCameraClippingRange()

    def resetFocalPoint(self):
        """Look at the content from the front; box and labels do not count."""
        shown = self.node.GetBoxVisible(), self.node.GetAxisLabelsVisible()
        self.node.SetBoxVisible(0)
        self.node.SetAxisLabelsVisible(0)
        self._lookFromFront()
        self.node.SetBoxVisible(shown[0])
        self.node.SetAxisLabelsVisible(shown[1])
        self.node.InvokeEvent(self.node.ResetFocalPointRequestedEvent)

    def _lookFromFront(self):
        self.renderer.ResetCamera()
        camera = self.renderer.GetActiveCamera()
        focal = camera.GetFocalPoint()
        camera.SetPosition(focal[0], focal[1] + camera.GetDistance(), focal[2])
        camera.SetViewUp(0, 0, 1)
        self.renderer.ResetCamera()
        self.renderer.ResetCameraClippingRange()
