"""The real MRML core: scene, application logic, logics of Slicer's own modules (from slicer-core)."""

import slicer
from vtkmodules.vtkCommonCore import vtkCollection, vtkObject, vtkOutputWindow

# module -> logic class
LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Models": "vtkSlicerModelsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Units": "vtkSlicerUnitsLogic",
    "SceneViews": "vtkSlicerSceneViewsModuleLogic",
    "Data": "vtkSlicerDataModuleLogic",
    "ViewControllers": "vtkSlicerViewControllersLogic",
}


class Core:
    """Scene and logics, connected as qSlicerCoreApplication does."""

    def __init__(self):
        output = vtkOutputWindow()
        output.SetDisplayModeToAlwaysStdErr()
        vtkOutputWindow.SetInstance(output)
        self.scene = slicer.vtkMRMLScene()
        self._addCrosshair()
        self.app_logic = slicer.vtkSlicerApplicationLogic()
        self.app_logic.SetMRMLScene(self.scene)
        self.app_logic.SetSliceLogics(vtkCollection())
        self.app_logic.SetViewLogics(vtkCollection())
        # slicer-core brings no colour and terminology files: their absence is no news
        vtkObject.GlobalWarningDisplayOff()
        self.logics = {name: self._register(name, kind) for name, kind in LOGICS.items()}
        self.logics["Colors"].AddDefaultColorNodes()
        vtkObject.GlobalWarningDisplayOn()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)

    def _addCrosshair(self):
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)

    def _register(self, name, kind):
        logic = getattr(slicer, kind)()
        logic.SetMRMLApplicationLogic(self.app_logic)
        logic.SetMRMLScene(self.scene)
        self.app_logic.SetModuleLogic(name, logic)
        return logic
