"""A small scripted module for the tests of the stand-in: the pattern, nothing more."""

import enum
from typing import Annotated

import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class Kernel(enum.Enum):
    BOX = "box"
    GAUSS = "gauss"


@parameterNodeWrapper
class BlurExampleParameterNode:
    """inputVolume - what to blur; width - in mm; kernel - which; invert - turn round; result - blurred."""

    inputVolume: vtkMRMLScalarVolumeNode | None
    width: Annotated[float, WithinRange(0.0, 10.0)] = 2.0
    kernel: Kernel = Kernel.GAUSS
    invert: bool = False
    result: vtkMRMLScalarVolumeNode | None


class BlurExample(ScriptedLoadableModule):
    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Blur example")
        parent.categories = ["Examples"]


class BlurExampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = self._parameterNode = self._tag = None

    def setup(self):
        super().setup()
        ui = slicer.util.loadUI(self.resourcePath("UI/BlurExample.ui"))
        self.layout.addWidget(ui)
        self.ui = slicer.util.childWidgetVariables(ui)
        ui.setMRMLScene(slicer.mrmlScene)
        self.logic = BlurExampleLogic()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        # node selectors know the nodes of a loaded scene only now
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndClose)
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.initializeParameterNode()

    def cleanup(self):
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        self.initializeParameterNode()

    def exit(self):
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event):
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        self.setParameterNode(BlurExampleParameterNode(self.logic.getParameterNode()))

    def setParameterNode(self, parameterNode):
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._tag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.checkCanApply)
        self._parameterNode = parameterNode
        if parameterNode:
            self._tag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.checkCanApply)
            self.checkCanApply()

    def checkCanApply(self, caller=None, event=None):
        ready = self._parameterNode is not None and self._parameterNode.inputVolume is not None
        self.ui.applyButton.enabled = ready
        self.ui.applyButton.toolTip = _("Blur the volume") if ready else _("Select an input volume")

    def onApply(self):
        with slicer.util.tryWithErrorDisplay(_("Blurring failed."), waitCursor=True):
            p = self._parameterNode
            dialog = slicer.util.createProgressDialog(maximum=3, labelText=_("Blurring"))
            result = self.logic.blur(p.inputVolume, p.width, dialog)
            dialog.close()
            if result is None:
                return
            p.result = result
            slicer.util.setSliceViewerLayers(background=p.result)
            slicer.util.infoDisplay(_("Blurred {name}").format(name=p.inputVolume.GetName()))


class BlurExampleLogic(ScriptedLoadableModuleLogic):
    def blur(self, volume, widthMm, dialog=None):
        """A new volume, the mean over a box of this width."""
        if widthMm <= 0:
            raise ValueError("the width has to be above 0 mm")
        import numpy as np

        voxels = slicer.util.arrayFromVolume(volume).astype(float)
        for axis in range(3):
            shift = max(1, round(widthMm))
            voxels = (np.roll(voxels, shift, axis) + voxels + np.roll(voxels, -shift, axis)) / 3
            if dialog is not None:
                dialog.value = axis + 1
                slicer.app.processEvents()
                if dialog.wasCanceled:
                    return None
        ijkToRas = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(ijkToRas)
        return slicer.util.addVolumeFromArray(voxels, ijkToRas, f"{volume.GetName()} blurred")


class BlurExampleTest(ScriptedLoadableModuleTest):
    def runTest(self):
        self.setUp()
        self.assertEqual(qt.QLabel("x").text, "x")
