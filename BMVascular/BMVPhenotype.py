"""BMVPhenotype: the vascular phenotype of every lesion, with its evidence, its doubt and its change."""

from typing import Annotated

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from BMVascularLib.phenotypeActions import PhenotypeActions
from BMVascularLib.widgets.panel import PanelLifeCycle
from BMVascularLib.widgets.phenotypeDisplay import PhenotypeDisplay
from BMVascularLib.widgets.phenotypeFiles import PhenotypeFiles


class BMVPhenotype(ScriptedLoadableModule):
    """Module entry: what Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("BMV Phenotype")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Radiotherapy")]
        self.parent.dependencies = []
        self.parent.contributors = ["The BMVascular contributors"]
        self.parent.helpText = _(
            "Labels each lesion by its blood supply from permeability, blood volume, oedema, interface and PET, "
            "with rule stability, coverage and reasons. Research use only. Not validated."
        )
        self.parent.acknowledgementText = _(
            "Apache-2.0. Sources of every limit are listed with each lesion. Terms follow OSIPI CAPLEX."
        )


@parameterNodeWrapper
class BMVPhenotypeParameterNode:
    """What the panel keeps with the scene.

    timepoint, lesion - what is shown
    colorBy - what gives the lesions' colours; mapRole - map on slices
    mapOpacity, lesionOpacity - 0 to 1
    lesions3d, habitats3d, shells, brain, legend, linked - what the views show
    """

    timepoint: str = ""
    lesion: str = ""
    colorBy: str = "label"
    mapRole: str = ""
    mapOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.6
    lesionOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.4
    lesions3d: bool = True
    habitats3d: bool = False
    shells: bool = False
    brain: bool = True
    legend: bool = True
    linked: bool = False


class BMVPhenotypeWidget(
    PhenotypeDisplay, PhenotypeFiles, PanelLifeCycle, ScriptedLoadableModuleWidget, VTKObservationMixin
):
    """Inputs, context, lesions, evidence, what-if, overlays, change."""

    FORM = "BMVPhenotype"
    parameterNodeType = BMVPhenotypeParameterNode

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = BMVPhenotypeLogic()
        self.setupForm()

    def setupPanel(self):
        from BMVascularLib.phenotypeWhatIf import WhatIf
        from BMVascularLib.widgets.contextForm import ContextForm
        from BMVascularLib.widgets.overlaySection import OverlaySection

        ui = self.ui
        self._seen, self._whatIf, self._tried, self._showing = {}, WhatIf(), None, False
        self._layoutBefore, self._crosshair, self._waiting = None, None, False
        self.contextForm = ContextForm(ui, self.onContext)
        self.overlay = OverlaySection(ui, self.logic.table().rules)
        ui.timepointBox.connect("currentTextChanged(QString)", self.onTimepoint)
        ui.applyButton.connect("clicked(bool)", self.onApply)
        ui.lesionsTable.connect("itemSelectionChanged()", self.onLesion)
        ui.whatIfTable.connect("cellChanged(int,int)", self.onWhatIf)
        ui.resetButton.connect("clicked(bool)", self.onReset)
        ui.readingButton.connect("clicked(bool)", self.onReading)
        ui.followUpButton.connect("clicked(bool)", self.onFollowUp)
        ui.backButton.connect("clicked(bool)", self.onBack)
        ui.shellsCheck.connect("toggled(bool)", self.onShells)
        self.connectFiles()
        for event in (slicer.mrmlScene.NodeAddedEvent, slicer.mrmlScene.NodeRemovedEvent):
            self.addObserver(slicer.mrmlScene, event, self.onNodes)

    def initializeParameterNode(self):
        self._seen.clear()
        self.overlay.forget()
        self._probe(True)
        PanelLifeCycle.initializeParameterNode(self)

    def setParameterNode(self, node):
        if node is None:
            self._probe(False)
            self.logic.unlinkViews()
            self.forget("linked")
        PanelLifeCycle.setParameterNode(self, node)

    def applyDefaults(self):
        node, labels = self._parameterNode, self.logic.timepoints()
        if node.timepoint not in labels:
            node.timepoint = labels[0] if labels else ""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodes(self, caller, event, node):
        """An input may have come or gone: look when all of it has happened."""
        kinds = ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode")
        if self._parameterNode is not None and any(node.IsA(kind) for kind in kinds) and not self._waiting:
            self._waiting = True
            qt.QTimer.singleShot(0, self.onNodesSettled)

    def onNodesSettled(self):
        """Look again for inputs."""
        self._waiting = False
        if self._parameterNode is not None and not slicer.mrmlScene.IsBatchProcessing():
            self.applyDefaults()
            self.refresh()

    def onTimepoint(self, label):
        """Show another time point."""
        if not self._showing and self._parameterNode is not None:
            self._parameterNode.timepoint = label

    def onContext(self, read):
        """Keep an edited context; what is wrong with it is said below the form."""
        from BMVascularCore.errors import InputError

        if self._parameterNode is None or not self.timepoint:
            return
        try:
            self.ui.contextLabel.text = self.logic.setContext(self.timepoint, read())
        except InputError as error:
            self.ui.contextLabel.text = str(error)
            return
        self.refresh()

    def onApply(self, checked=False):
        """Assess the lesions of the time point."""
        from BMVascularLib.widgets.tasks import runTask

        label = self.timepoint
        with slicer.util.tryWithErrorDisplay(_("The lesions were not assessed."), waitCursor=True):
            runTask(_("Assessing the lesions"), lambda progress: self.logic.assess(label, progress))
        self.overlay.forget()
        self.refresh()

    def onLesion(self):
        """Show the evidence of the chosen lesion, and go there."""
        row = self.ui.lesionsTable.currentRow()
        if row < 0 or self._parameterNode is None or self._showing:
            return
        name = self.ui.lesionsTable.item(row, 0).text()
        self._parameterNode.lesion = name
        self.logic.jumpTo(self.timepoint, name)

    def onWhatIf(self, row=0, column=0):
        """Assess again from the measured values with what is typed."""
        from BMVascularCore.errors import InputError
        from BMVascularLib.widgets.phenotypeTables import readLimits

        table = self.logic.table()
        if self.logic.result(self.timepoint) is None:
            return
        try:
            self._whatIf = readLimits(self.ui.whatIfTable, table)
            self._tried = self.logic.tryWhatIf(self.timepoint, self._whatIf) if self._whatIf else None
            self.ui.whatIfLabel.text = self._whatIf.text(table) or _("Nothing is changed.")
        except (InputError, ValueError) as error:
            self.ui.whatIfLabel.text = str(error)
            return
        self.refresh()

    def onReset(self, checked=False):
        """Back to the shipped limits and all inputs."""
        from BMVascularLib.widgets.phenotypeTables import fillLimits

        self._dropWhatIf()
        fillLimits(self.ui.whatIfTable, self.logic.table(), self._whatIf)
        self.refresh()

    def onShells(self, wanted):
        """Make the shells when they are first wanted."""
        from BMVascularLib.widgets.tasks import runTask

        if not wanted or not self.timepoint or self.logic.hasShells(self.timepoint):
            return
        label = self.timepoint
        with slicer.util.tryWithErrorDisplay(_("The shells were not made."), waitCursor=True):
            runTask(_("Making shells"), lambda progress: self.logic.makeShells(label, progress))
        self.overlay.forget()
        self.refresh()

    def onReading(self, checked=False):
        """Slices, 3D, chart and table."""
        before = self.logic.showReading(self.timepoint, self._parameterNode.lesion)
        self._layoutBefore = before if self._layoutBefore is None else self._layoutBefore
        self.refresh()

    def onFollowUp(self, checked=False):
        """Two time points side by side."""
        before = self.logic.showFollowUp()
        self._layoutBefore = before if self._layoutBefore is None else self._layoutBefore
        self.logic.jumpTo(self.timepoint, self._parameterNode.lesion)
        self.refresh()

    def onBack(self, checked=False):
        """The layout from before."""
        self.logic.showLayout(self._layoutBefore)
        self._layoutBefore = None
        self.refresh()

    def _probe(self, wanted):
        """Follow the cursor while the panel is visible."""
        if self._crosshair is not None:
            self.removeObservers(self.onCursor)
            self._crosshair = None
        if wanted:
            self._crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if self._crosshair is not None:
            event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
            self.addObserver(self._crosshair, event, self.onCursor)

    def onCursor(self, caller, event):
        """Values under the cursor."""
        ras = [0.0, 0.0, 0.0]
        inside = caller.GetCursorPositionRAS(ras)
        self.ui.probeLabel.text = self.logic.probeText(self._timepointUnder(caller), ras) if inside else "–"

    def _timepointUnder(self, crosshair):
        """The time point of the view that the cursor is in."""
        from BMVascularLib.phenotypeViews import timepointOfView

        view = crosshair.GetCursorPositionXYZ([0.0, 0.0, 0.0])
        name = view.GetLayoutName() if view is not None else ""
        return timepointOfView(slicer.mrmlScene, name, self.timepoint)


class BMVPhenotypeLogic(PhenotypeActions, ScriptedLoadableModuleLogic):
    """The module without its panel: usable from scripts; its methods are those of ``PhenotypeActions``."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._cache, self._table, self._link = {}, None, None

    def getParameterNode(self):
        return BMVPhenotypeParameterNode(super().getParameterNode())


class BMVPhenotypeTest(ScriptedLoadableModuleTest):
    """Self-test on two small made-up lesions."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        for test in (self.test_lesions_are_assessed, self.test_what_if_stores_nothing):
            self.setUp()
            test()

    def _study(self):
        from BMVascularLib.phenotypeExample import addExample

        return addExample(slicer.mrmlScene, "TP1")

    def test_lesions_are_assessed(self):
        """Both lesions get a row, and habitats come with them."""
        self._study()
        result = BMVPhenotypeLogic().assess("TP1")
        self.assertEqual([lesion["name"] for lesion in result.lesions], ["M1", "M2"])
        self.assertTrue(all(0 <= lesion["coverage"] <= 1 for lesion in result.lesions))

    def test_what_if_stores_nothing(self):
        """Leaving out Ktrans lowers the coverage; the stored result stays."""
        from BMVascularLib.phenotypeWhatIf import WhatIf

        self._study()
        logic = BMVPhenotypeLogic()
        stored = logic.assess("TP1").lesions[0]["coverage"]
        tried = logic.tryWhatIf("TP1", WhatIf(dropped={"ktrans"})).lesions[0]["coverage"]
        self.assertLess(tried, stored)
        self.assertEqual(logic.result("TP1").lesions[0]["coverage"], stored)
