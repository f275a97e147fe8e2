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

from BMVascularLib.widgets.panel import PanelLifeCycle
from BMVascularLib.widgets.phenotypeDisplay import PhenotypeDisplay


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


class BMVPhenotypeWidget(PhenotypeDisplay, PanelLifeCycle, ScriptedLoadableModuleWidget, VTKObservationMixin):
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
        self.logic.linkViews(self._parameterNode.linked)
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


class BMVPhenotypeLogic(ScriptedLoadableModuleLogic):
    """The module without its panel: usable from scripts."""

    INPUT_COLUMNS = (("input", "Input"), ("state", "Node, or what is missing"))

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._cache, self._table = {}, None

    def getParameterNode(self):
        return BMVPhenotypeParameterNode(super().getParameterNode())

    def table(self):
        """The shipped evidence table and rule set."""
        from BMVascularCore.phenotype import load_table

        if self._table is None:
            self._table = load_table()
        return self._table

    def timepoints(self):
        """Time points with a segmentation of lesions."""
        from BMVascularLib.phenotypeNodes import lesionTimepoints

        return lesionTimepoints(slicer.mrmlScene)

    def inputRows(self, timepoint):
        """Inputs of a time point by role, and what a missing one costs."""
        from BMVascularLib.phenotypeNodes import inputRows

        return inputRows(slicer.mrmlScene, timepoint)

    def contextText(self, timepoint):
        """The context of a time point as JSON text."""
        from BMVascularLib.phenotypeNodes import contextText

        return contextText(slicer.mrmlScene, timepoint)

    def contextContent(self, timepoint):
        """The context of a time point as an object."""
        from BMVascularLib.phenotypeNodes import contextContent

        return contextContent(self.contextText(timepoint))

    def setContext(self, timepoint, content):
        """Keep a context; returns its warnings as text.

        Raises
        ------
        InputError
            Nothing is kept then.
        """
        from BMVascularCore.phenotype import parse_context
        from BMVascularLib.phenotypeContext import contextJson
        from BMVascularLib.phenotypeNodes import setContextText

        warnings = parse_context(content).warnings
        setContextText(slicer.mrmlScene, timepoint, contextJson(content))
        return " ".join(warnings)

    def assess(self, timepoint, progress=None):
        """Assess the lesions of a time point; results go into the scene when all is done.

        Parameters
        ----------
        timepoint : str
        progress : callable, optional

        Returns
        -------
        BMVascularLib.phenotypeNodes.PhenotypeResult

        Raises
        ------
        InputError
        """
        from BMVascularCore.phenotype import assess_lesions
        from BMVascularCore.progress import share_of, silent
        from BMVascularLib import phenotypeNodes, phenotypeOverlays

        progress, scene = progress or silent, slicer.mrmlScene
        context = self.contextContent(timepoint)
        inputs = phenotypeNodes.readInputs(scene, timepoint, share_of(progress, 0.0, 0.1))
        assessment = assess_lesions(
            inputs.labels,
            inputs.maps,
            inputs.compartments,
            context,
            self.table(),
            share_of(progress, 0.1, 0.95),
            names=inputs.names,
        )
        shells = None
        if self.hasShells(timepoint):
            shells = phenotypeOverlays.shellVolume(inputs, self.table().rules, share_of(progress, 0.95, 1.0))
        # nothing raises from here on: the scene is changed as a whole or not at all
        for kind in phenotypeOverlays.SURFACES:
            phenotypeOverlays.removeSurfaces(scene, timepoint, kind)
        phenotypeNodes.storeResult(scene, timepoint, assessment, context)
        if shells is not None:
            phenotypeOverlays.storeShells(scene, timepoint, shells)
        return self.result(timepoint)

    def result(self, timepoint):
        """The stored assessment of a time point, None without one."""
        from BMVascularLib.phenotypeNodes import DETAILS, nodeOf, readResult

        node = nodeOf(slicer.mrmlScene, DETAILS, timepoint)
        if node is None:
            return None
        key = (node.GetID(), node.GetMTime())
        if timepoint not in self._cache or self._cache[timepoint][0] != key:
            self._cache[timepoint] = (key, readResult(slicer.mrmlScene, timepoint))
        return self._cache[timepoint][1]

    def otherSides(self, timepoint):
        """Lesions of the time points that the views show beside this one, by time point."""
        from BMVascularLib.phenotypeViews import shownTimepoints

        labels = [label for label in shownTimepoints(slicer.mrmlScene, timepoint) if label != timepoint]
        results = {label: self.result(label) for label in labels}
        return {label: result.lesions if result is not None else [] for label, result in results.items()}

    def tryWhatIf(self, timepoint, whatIf):
        """Assess the stored values again under other limits or without some inputs; stores nothing."""
        from BMVascularLib.phenotypeWhatIf import assessWhatIf

        return assessWhatIf(self.result(timepoint), whatIf, self.table())

    def change(self):
        """Change between the assessed time points, None with fewer than two."""
        from BMVascularLib.phenotypeChange import compareScene

        return compareScene(slicer.mrmlScene)

    def hasShells(self, timepoint):
        """True when the shells of a time point are in the scene."""
        from BMVascularLib.phenotypeNodes import nodeOf
        from BMVascularLib.phenotypeOverlays import SHELLS

        return nodeOf(slicer.mrmlScene, SHELLS, timepoint) is not None

    def makeShells(self, timepoint, progress=None):
        """Make core, rim, solid part, front and distal oedema of every lesion; returns the label map."""
        from BMVascularLib import phenotypeOverlays
        from BMVascularLib.phenotypeNodes import readInputs

        inputs = readInputs(slicer.mrmlScene, timepoint)
        volume = phenotypeOverlays.shellVolume(inputs, self.table().rules, progress)
        phenotypeOverlays.removeSurfaces(slicer.mrmlScene, timepoint, phenotypeOverlays.SHELLS)
        return phenotypeOverlays.storeShells(slicer.mrmlScene, timepoint, volume)

    def jumpTo(self, timepoint, name):
        """Centre the views on a lesion; returns its centre, RAS mm."""
        from BMVascularLib.phenotypeViews import jumpTo

        return jumpTo(slicer.mrmlScene, timepoint, name)

    def linkViews(self, linked):
        """Let the slice views move together, or not."""
        from BMVascularLib.phenotypeViews import linkViews

        linkViews(slicer.mrmlScene, linked)

    def showReading(self, timepoint, lesion):
        """The layout for reading; returns the layout before."""
        from BMVascularLib import phenotypeViews

        application = slicer.app.applicationLogic()
        before = phenotypeViews.showReading(
            slicer.mrmlScene,
            slicer.app.layoutManager().layoutLogic().GetLayoutNode(),
            application.GetSelectionNode(),
            timepoint,
            self.result(timepoint),
            lesion,
        )
        application.PropagateTableSelection()
        application.PropagatePlotChartSelection()
        return before

    def updateReading(self, timepoint, lesion):
        """Chart and table of the reading layout follow the result and the chosen lesion."""
        from BMVascularLib.phenotypeViews import updateReading

        updateReading(slicer.mrmlScene, timepoint, self.result(timepoint), lesion)

    def showFollowUp(self):
        """Two time points side by side; returns the layout before."""
        from BMVascularLib import phenotypeViews

        layout = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
        before = phenotypeViews.showFollowUp(slicer.mrmlScene, layout)
        slicer.util.resetSliceViews()
        return before

    def showLayout(self, number):
        """A layout by its number; everything shows in all views again."""
        from BMVascularLib import phenotypeViews

        phenotypeViews.restrictToViews(slicer.mrmlScene, {})
        slicer.app.layoutManager().setLayout(number)

    def probeText(self, timepoint, ras):
        """What lies under a point, as a line."""
        from BMVascularLib.probe import probe, probeText

        return probeText(probe(slicer.mrmlScene, timepoint, ras))


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
