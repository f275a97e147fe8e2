"""BMVPerfusion: blood volume, flow, leakage and permeability maps from DSC and DCE series."""

from typing import Annotated

import qt
import slicer
from slicer import (
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLSequenceNode,
)
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

from BMVascularLib.perfusionActions import TABLE_COLUMNS, PerfusionActions
from BMVascularLib.perfusionChoices import (
    T1,
    DceAif,
    Deconvolution,
    DscAif,
    Kind,
    Leakage,
    Model,
    Motion,
    Preload,
)
from BMVascularLib.widgets.panel import PanelLifeCycle, fillTable, setEnabledWithReason


class BMVPerfusion(ScriptedLoadableModule):
    """Module entry: what Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("BMV Perfusion")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Radiotherapy")]
        self.parent.dependencies = ["BMVascular"]
        self.parent.contributors = ["The BMVascular contributors"]
        self.parent.helpText = _(
            "Perfusion of brain lesions: rCBV with leakage correction, flow and signal recovery from DSC, "
            "permeability from DCE, with standard errors and the reason where a voxel is not measurable. "
            "Research use only."
        )
        self.parent.acknowledgementText = _("Apache-2.0. Quantities and models are named after OSIPI CAPLEX.")


@parameterNodeWrapper
class BMVPerfusionParameterNode:
    """What the panel keeps with the scene.

    kind - DSC or DCE
    series, lesions, t1c, aifPoints - input nodes
    teMs, trMs, flipDeg, typedTimes - typed-in protocol facts; 0 or empty takes what the series states
    preload, leakage, deconvolution, motion, dscAif - DSC
    model, t1, t10S, hematocrit, relaxivity, fitDelay, dceAif - DCE
    """

    kind: Kind = Kind.DSC
    series: vtkMRMLSequenceNode | None
    lesions: vtkMRMLSegmentationNode | None
    t1c: vtkMRMLScalarVolumeNode | None
    aifPoints: vtkMRMLMarkupsFiducialNode | None
    teMs: Annotated[float, WithinRange(0.0, 500.0)] = 0.0
    trMs: Annotated[float, WithinRange(0.0, 20000.0)] = 0.0
    flipDeg: Annotated[float, WithinRange(0.0, 180.0)] = 0.0
    typedTimes: str = ""
    preload: Preload = Preload.UNKNOWN
    leakage: Leakage = Leakage.AUTO
    deconvolution: Deconvolution = Deconvolution.OSVD
    motion: Motion = Motion.AUTO
    dscAif: DscAif = DscAif.AUTO
    model: Model = Model.AUTO
    t1: T1 = T1.VFA
    t10S: Annotated[float, WithinRange(0.1, 6.0)] = 1.4
    hematocrit: Annotated[float, WithinRange(0.1, 0.7)] = 0.42
    relaxivity: Annotated[float, WithinRange(0.5, 60.0)] = 4.5
    fitDelay: bool = True
    dceAif: DceAif = DceAif.AUTO


class BMVPerfusionWidget(PanelLifeCycle, ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Series, protocol, model, input function, time course, maps, lesions, methods."""

    FORM = "BMVPerfusion"
    parameterNodeType = BMVPerfusionParameterNode

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = BMVPerfusionLogic()
        self._live = self._liveKey = self._points = self._lastSeries = self._lastKind = None
        self._quiet = False
        self.setupForm()

    def setupPanel(self):
        ui = self.ui
        ui.applyButton.connect("clicked(bool)", self.onApply)
        ui.followButton.connect("toggled(bool)", self.onFollow)
        ui.findAifButton.connect("clicked(bool)", self.onFindAif)
        ui.showAifButton.connect("clicked(bool)", self.onShowAif)
        ui.mapBox.connect("currentIndexChanged(int)", self.onMap)
        ui.windowRange.connect("valuesChanged(double,double)", self.onWindow)
        ui.thresholdSlider.connect("valueChanged(double)", self.onThreshold)
        ui.opacitySlider.connect("valueChanged(double)", self.onOpacity)
        ui.legendCheckBox.connect("toggled(bool)", self.onLegend)
        ui.flagsCheckBox.connect("toggled(bool)", self.onFlags)
        ui.exportButton.connect("clicked(bool)", self.onExport)
        ui.copyButton.connect("clicked(bool)", self.onCopy)
        ui.lesionTable.verticalHeader().visible = False
        ui.opacitySlider.value = 0.7
        ui.legendCheckBox.checked = True

    def exit(self):
        self.ui.followButton.checked = False
        PanelLifeCycle.exit(self)

    def onSceneStartClose(self, caller, event):
        self.ui.followButton.checked = False
        self._forget()
        PanelLifeCycle.onSceneStartClose(self, caller, event)

    def cleanup(self):
        self._forget()
        PanelLifeCycle.cleanup(self)

    def _forget(self):
        """Let go of everything that stands for the series at hand."""
        self._live = self._liveKey = self._lastSeries = None
        self._watchPoints(None)

    def applyDefaults(self):
        self.logic.fillInputs(self._parameterNode)

    def refresh(self, caller=None, event=None):
        p = self._parameterNode
        if p is None:
            return
        self._followChoices(p)
        isDsc = p.kind is Kind.DSC
        for name in ("dscPage", "dscAifBox"):
            getattr(self.ui, name).visible = isDsc
        for name in ("dcePage", "dceAifBox"):
            getattr(self.ui, name).visible = not isDsc
        self.ui.t10Box.enabled = p.t1 is T1.FIXED
        if self.logic.aifOf(p) == "points" and p.aifPoints is None:
            p.aifPoints = self.logic.addPoints()
        self._watchPoints(p.aifPoints)
        problem = self.logic.problem(p)
        setEnabledWithReason(self.ui.applyButton, problem, _("Compute the maps"))
        for button in (self.ui.findAifButton, self.ui.showAifButton, self.ui.followButton):
            button.enabled = p.series is not None
        self.ui.protocolLabel.text = self.logic.protocolText(p)
        if self.logic.protocolIncomplete(p):
            self.ui.protocolButton.collapsed = False
        self.ui.reasonLabel.text = self.logic.advice(p)
        self._showResults()

    # -- series

    def _followChoices(self, p):
        """Another kind takes the study's series of that kind, another series its own kind."""
        wasKind, self._lastKind = self._lastKind, p.kind
        if p.series is not None and p.series is not self._lastSeries:
            self.logic.kindOfSeries(p)
        elif wasKind is not p.kind:
            self.logic.seriesForKind(p)
        self._lastKind, self._lastSeries = p.kind, p.series

    def onApply(self, checked=False):
        """Compute the maps; a cancelled run leaves the scene as it was."""
        from BMVascularLib.widgets.tasks import runTask

        p = self._parameterNode
        with slicer.util.tryWithErrorDisplay(_("The maps were not computed."), waitCursor=True):
            made = runTask(_("Perfusion"), lambda progress: self.logic.apply(p, progress))
            if made is None:
                return
            self._liveKey = None
            self.refresh()
            self._chooseMap(self.logic.firstMap(made.maps))

    # -- time course and input function

    def onFollow(self, following):
        """Start or stop drawing the voxel under the mouse."""
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if crosshair is None:
            return
        moved = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
        if not following:
            if self.hasObserver(crosshair, moved, self.onCursor):
                self.removeObserver(crosshair, moved, self.onCursor)
            return
        ready = False
        try:
            with slicer.util.tryWithErrorDisplay(_("The time courses cannot be shown."), waitCursor=True):
                ready = self._prepare() is not None
                if ready:
                    self.logic.showChart("curve")
                    self.addObserver(crosshair, moved, self.onCursor)
        finally:
            if not ready:
                self.ui.followButton.checked = False

    def onCursor(self, crosshair, event):
        """The mouse moved over a slice."""
        ras = [0.0, 0.0, 0.0]
        if not crosshair.GetCursorPositionRAS(ras):
            return
        if self._liveKey != self.logic.previewKey(self._parameterNode):
            self.ui.followButton.checked = False
            self.ui.curveLabel.text = _("The choices changed: press Follow the cursor again.")
            return
        text = self.logic.showVoxel(self._live, ras)
        if text:
            self.ui.curveLabel.text = text

    def _prepare(self):
        """Prepare the series for single voxels, unless that is done; None when cancelled."""
        from BMVascularLib.widgets.tasks import runTask

        p = self._parameterNode
        key = self.logic.previewKey(p)
        if self._live is None or key != self._liveKey:
            self._live = runTask(_("Reading the series"), lambda progress: self.logic.prepare(p, progress))
            self._liveKey = key if self._live is not None else None
        if self._live is not None:
            self.ui.aifLabel.text = self._live.preview.aif_words
        return self._live

    def onFindAif(self, checked=False):
        """Find the input function and mark its voxels."""
        with slicer.util.tryWithErrorDisplay(_("No input function was found."), waitCursor=True):
            p = self._parameterNode
            p.dscAif, p.dceAif = DscAif.AUTO, DceAif.AUTO
            if self._prepare() is None:
                return
            if p.aifPoints is None:
                p.aifPoints = self.logic.addPoints()
            self._quiet = True
            try:
                self.logic.markAif(p, self._live)
            finally:
                self._quiet = False
            self.logic.showChart("aif", self._live)

    def onShowAif(self, checked=False):
        """Show the input function in the plot view."""
        with slicer.util.tryWithErrorDisplay(_("The input function cannot be shown."), waitCursor=True):
            if self._prepare() is not None:
                self.logic.showChart("aif", self._live)

    def _watchPoints(self, node):
        events = (
            slicer.vtkMRMLMarkupsNode.PointPositionDefinedEvent,
            slicer.vtkMRMLMarkupsNode.PointEndInteractionEvent,
            slicer.vtkMRMLMarkupsNode.PointRemovedEvent,
        )
        if node is self._points:
            return
        for event in events:
            if self._points is not None:
                self.removeObserver(self._points, event, self.onPoints)
            if node is not None:
                self.addObserver(node, event, self.onPoints)
        self._points = node

    def onPoints(self, caller=None, event=None):
        """A person corrected the voxels of the input function: they are used from now on."""
        p = self._parameterNode
        if self._quiet or p is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The input function cannot be read from these voxels.")):
            fresh = self._live is not None and self._liveKey == self.logic.previewKey(p)
            if p.kind is Kind.DSC:
                p.dscAif = DscAif.POINTS
            else:
                p.dceAif = DceAif.POINTS
            if fresh and p.aifPoints.GetNumberOfControlPoints():
                self.logic.useMarkedAif(p, self._live)
                self._liveKey = self.logic.previewKey(p)
                self.ui.aifLabel.text = self._live.preview.aif_words
            self.refresh()

    # -- maps

    def _showResults(self):
        """Bring maps, table and texts up to date with the scene."""
        p = self._parameterNode
        roles = self.logic.mapRoles(p)
        box = self.ui.mapBox
        if [box.itemData(n) for n in range(box.count)] != [role for role, title in roles]:
            chosen = box.currentData
            wasBlocked = box.blockSignals(True)
            box.clear()
            for role, title in roles:
                box.addItem(title, role)
            box.currentIndex = max(box.findData(chosen), 0) if roles else -1
            box.blockSignals(wasBlocked)
        for name in (
            "mapBox",
            "windowRange",
            "thresholdSlider",
            "opacitySlider",
            "legendCheckBox",
            "flagsCheckBox",
        ):
            getattr(self.ui, name).enabled = bool(roles)
        methods, warnings = self.logic.texts(p)
        if self.ui.methodsEdit.plainText != methods:
            self.ui.methodsEdit.plainText = methods
        self.ui.warningsLabel.text = warnings
        self.ui.copyButton.enabled = bool(methods)
        self._readDisplay()
        self._fillTable()

    def _map(self):
        """The chosen map node, or None."""
        if self._parameterNode is None or self.ui.mapBox.currentIndex < 0:
            return None
        return self.logic.maps(self._parameterNode)[0].get(self.ui.mapBox.currentData)

    def _chooseMap(self, role):
        index = self.ui.mapBox.findData(role)
        if index == self.ui.mapBox.currentIndex:
            self.onMap(index)
        else:
            self.ui.mapBox.currentIndex = index

    def onMap(self, index):
        """Show the chosen map over the anatomy."""
        if self._map() is not None:
            self.logic.showMap(
                self._parameterNode, self._map(), self.ui.opacitySlider.value, self.ui.legendCheckBox.checked
            )
        self.onFlags(self.ui.flagsCheckBox.checked)
        self._readDisplay()
        self._fillTable()

    def _readDisplay(self):
        """Sliders from the display node of the map."""
        node = self._map()
        self.ui.mapLabel.text = self.logic.mapText(self._parameterNode, node)
        if node is None:
            return
        low, high, first, last, threshold = self.logic.displayOf(node)
        step = (last - first) / 100.0
        decimals = 1 if last - first > 20 else 2 if last - first > 1 else 4
        for widget in (self.ui.windowRange, self.ui.thresholdSlider):
            wasBlocked = widget.blockSignals(True)
            widget.decimals, widget.minimum, widget.maximum, widget.singleStep = decimals, first, last, step
            widget.blockSignals(wasBlocked)
        for widget, values in ((self.ui.windowRange, (low, high)), (self.ui.thresholdSlider, (threshold,))):
            wasBlocked = widget.blockSignals(True)
            if len(values) == 2:
                widget.setValues(*values)
            else:
                widget.value = values[0]
            widget.blockSignals(wasBlocked)

    def onWindow(self, low, high):
        """Colour scale of the map."""
        if self._map() is not None and high > low:
            self.logic.setWindow(self._map(), low, high)

    def onThreshold(self, value):
        """Lowest value that is drawn."""
        if self._map() is not None:
            self.logic.setThreshold(self._map(), value)

    def onOpacity(self, value):
        """Opacity of the map over the anatomy."""
        if self._parameterNode is not None:
            self.logic.setOpacity(value)

    def onLegend(self, shown):
        """Colour legend of the map."""
        if self._map() is not None:
            self.logic.showLegends(self._parameterNode, self._map() if shown else None)

    def onFlags(self, shown):
        """Why voxels are not usable."""
        if self._parameterNode is not None:
            self.logic.showFlags(self._parameterNode, shown and self._map() is not None)

    # -- table and texts

    def _fillTable(self):
        rows = self.logic.shownRows(self._parameterNode, self.ui.mapBox.currentData)
        fillTable(self.ui.lesionTable, rows, TABLE_COLUMNS)
        for number, row in enumerate(rows):
            for column in range(len(TABLE_COLUMNS)):
                if row["reason"]:
                    self.ui.lesionTable.item(number, column).setToolTip(row["reason"])
        self.ui.exportButton.enabled = bool(rows)

    def onExport(self, checked=False):
        """Save the table."""
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Export table"), "perfusion.csv", _("Table (*.csv)")
        )
        if path:
            with slicer.util.tryWithErrorDisplay(_("The table was not written."), waitCursor=True):
                self.logic.exportTable(self._parameterNode, path)

    def onCopy(self, checked=False):
        """Copy the methods paragraph."""
        slicer.app.clipboard().setText(self.ui.methodsEdit.plainText)


class BMVPerfusionLogic(PerfusionActions, ScriptedLoadableModuleLogic):
    """Perfusion without its panel: usable from scripts; its methods are those of ``PerfusionActions``."""

    def getParameterNode(self):
        return BMVPerfusionParameterNode(super().getParameterNode())


class BMVPerfusionTest(ScriptedLoadableModuleTest):
    """Self-test on a tiny series with a known bolus."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        self.setUp()
        self.test_missing_echo_time_is_asked_for()
        self.setUp()
        self.test_maps_are_made()

    def test_missing_echo_time_is_asked_for(self):
        """Without an echo time there is no run, and the reason is said."""
        logic, p = self._study(None)
        self.assertIn("echo time", logic.problem(p))
        p.teMs = 30.0
        self.assertEqual(logic.problem(p), "")

    def test_maps_are_made(self):
        """nRCBV of tissue with twice the blood volume of white matter is near 2."""
        import numpy as np

        logic, p = self._study(0.03)
        made = logic.apply(p)
        values = slicer.util.arrayFromVolume(made.maps["nrcbv"])
        self.assertAlmostEqual(float(np.nanmedian(values[:, 4:8, 4:8])), 2.0, delta=0.3)
        self.assertIn("CAPLEX", logic.texts(p)[0])

    def _study(self, echo_time_s):
        from BMVascularLib.perfusionExample import addExampleSeries

        addExampleSeries(slicer.mrmlScene, echo_time_s)
        logic = BMVPerfusionLogic()
        p = logic.getParameterNode()
        logic.fillInputs(p)
        return logic, p
