"""BMVascular: the study hub. Load a study, check it, and go from step to step."""

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from BMVascularLib.widgets.panel import PanelLifeCycle, setEnabledWithReason


class BMVascular(ScriptedLoadableModule):
    """Module entry: what Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("BMVascular")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Radiotherapy")]
        self.parent.dependencies = []
        self.parent.contributors = ["The BMVascular contributors"]
        self.parent.helpText = _(
            "Reads the blood supply of brain metastases from MRI and carries it into radiosurgery planning. "
            "Load a study here, then follow the steps. Research use only."
        )
        self.parent.acknowledgementText = _("Apache-2.0. Terms follow OSIPI CAPLEX, DICOM and ICRU.")
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Offer the simulated patient in Slicer's Sample Data module, where there is one."""
    try:
        import SampleData
    except ImportError:
        return
    for size, name in (("small", "Simulated patient, quick"), ("full", "Simulated patient, full resolution")):
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category="BMVascular",
            sampleName=name,
            uris=[],
            fileNames=[],
            nodeNames=[],
            customDownloader=lambda source, size=size: BMVascularLogic().loadSimulatedPatient(size),
        )


@parameterNodeWrapper
class BMVascularParameterNode:
    """What the hub keeps with the scene.

    title - title of the report
    notes - the reader's own text for the report
    pictures - draw each lesion for the report
    deviationsOnly - hide what the protocol check finds met
    reported - the state of the results when the report was written
    """

    title: str = "Brain metastasis study"
    notes: str = ""
    pictures: bool = True
    deviationsOnly: bool = True
    reported: str = ""


class BMVascularWidget(PanelLifeCycle, ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Study, steps, roles, protocol, report."""

    FORM = "BMVascular"
    parameterNodeType = BMVascularParameterNode

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = BMVascularLogic()
        self._roles, self._findings, self._shownDeviations = [], [], None
        self.setupForm()

    def setupPanel(self):
        self.ui.loadButton.connect("clicked(bool)", self.onLoad)
        self.ui.sceneButton.connect("clicked(bool)", self.onUseScene)
        self.ui.simulateButton.connect("clicked(bool)", self.onSimulate)
        self.ui.openButton.connect("clicked(bool)", self.onOpenStep)
        self.ui.stepsTable.connect("itemSelectionChanged()", self.onStepSelected)
        self.ui.stepsTable.connect("cellDoubleClicked(int,int)", self.onOpenStep)
        self.ui.rolesTable.connect("itemSelectionChanged()", self.onSeriesSelected)
        self.ui.frameTimeButton.connect("clicked(bool)", self.onSetFrameTime)
        self.ui.protocolTable.connect("itemSelectionChanged()", self.onFindingSelected)
        self.ui.preloadTimepoint.connect("currentIndexChanged(int)", self.onPreloadTimepoint)
        self.ui.preloadBox.connect("activated(int)", self.onPreload)
        self.ui.writeButton.connect("clicked(bool)", self.onWriteReport)
        self.ui.problemsLabel.visible = self.ui.doubtsLabel.visible = False
        self.ui.reportFolder.directory = slicer.app.defaultScenePath

    def refresh(self, caller=None, event=None):
        """Everything when the panel is entered; only the protocol filter when a parameter changes."""
        if self._parameterNode is None:
            return
        if caller is not None:
            if self._parameterNode.deviationsOnly != self._shownDeviations:
                self.showFindings()
            return
        self.refreshRoles()
        self.refreshChecks()

    def refreshRoles(self):
        """The table of series."""
        from BMVascularLib.studyRoles import CHOICES
        from BMVascularLib.widgets.studyTables import fillRoles

        self._roles = self.logic.roleRows()
        headings = [_("Series"), _("Role"), _("Time point"), _("Frame times"), _("Why")]
        choices, timepoints = ["", *CHOICES], self.logic.timepointChoices()
        fillRoles(self.ui.rolesTable, self._roles, headings, choices, timepoints, self.onRoleChanged)
        self.onSeriesSelected()

    def refreshChecks(self):
        """Steps and protocol check."""
        self.refreshSteps()
        self._findings = self.logic.protocolFindings()
        self.refreshPreload()
        self.showFindings()

    def refreshSteps(self):
        """The guided steps."""
        from BMVascularLib.widgets.studyTables import fillSteps

        fillSteps(self.ui.stepsTable, self._stepRows(), [_("Step"), _("State"), _("What")])
        self.onStepSelected()

    def _stepRows(self):
        reported = self._parameterNode.reported if self._parameterNode is not None else ""
        return self.logic.stepRows(reported)

    def onLoad(self, checked=False):
        """Load the chosen folder or file into the scene."""
        path = self.ui.studyPath.currentPath
        self._load(
            _("The study was not loaded."), _("Loading the study"), lambda p: self.logic.loadStudy(path, p)
        )

    def onSimulate(self, checked=False):
        """Load the simulated patient."""
        self._load(
            _("The simulated patient was not made."),
            _("Simulating a patient"),
            lambda progress: self.logic.loadSimulatedPatient("small", progress),
        )

    def _load(self, failed, title, work):
        from BMVascularLib.widgets.tasks import runTask

        self.showProblems([])
        try:
            with slicer.util.tryWithErrorDisplay(failed, waitCursor=True):
                runTask(title, work)
                self.logic.showAnatomy()
        finally:
            self.showProblems(self.logic.problems)
            self.refresh()

    def onUseScene(self, checked=False):
        """Give roles to what is in the scene."""
        with slicer.util.tryWithErrorDisplay(_("Roles were not proposed."), waitCursor=True):
            self.logic.useScene()
            self.showProblems(self.logic.problems)
            self.refresh()

    def showProblems(self, problems):
        """What could not be loaded."""
        self.ui.problemsLabel.text = "\n".join(problems)
        self.ui.problemsLabel.visible = bool(problems)

    def onRoleChanged(self, node, key, text):
        """One click in a row: a role or a time point."""
        try:
            with slicer.util.tryWithErrorDisplay(_("The role was not changed.")):
                self.logic.changeRole(node, **{key: text})
        finally:
            # the boxes of the table are in use just now: they are made anew afterwards
            qt.QTimer.singleShot(0, self.refresh)

    def onSeriesSelected(self):
        row = self._selectedSeries()
        isSequence = row is not None and row["node"].IsA("vtkMRMLSequenceNode")
        reason = "" if isSequence else _("Select a time series in the table first.")
        hint = _("Index the selected time series with this frame time in seconds.")
        setEnabledWithReason(self.ui.frameTimeButton, reason, hint)
        doubts = (
            row["doubts"] if row is not None else "; ".join(r["doubts"] for r in self._roles if r["doubts"])
        )
        self.ui.doubtsLabel.text = _("Check the times: {doubts}").format(doubts=doubts) if doubts else ""
        self.ui.doubtsLabel.visible = bool(doubts)

    def _selectedSeries(self):
        number = self.ui.rolesTable.currentRow()
        return self._roles[number] if 0 <= number < len(self._roles) else None

    def onSetFrameTime(self, checked=False):
        """Index the selected series with the typed frame time."""
        with slicer.util.tryWithErrorDisplay(_("The frame time was not set."), waitCursor=True):
            self.logic.setFrameTime(self._selectedSeries()["node"], self.ui.frameTimeBox.value)
            self.refresh()

    def onStepSelected(self):
        step = self._selectedStep()
        missing = step is not None and step["state"] == "missing input"
        problem = step["detail"] if missing else ("" if step is not None else _("Everything is done."))
        setEnabledWithReason(
            self.ui.openButton, problem, _("Open the step with everything already selected.")
        )
        self.ui.openButton.text = _("Open {step}").format(step=step["step"]) if step else _("Open step")

    def onOpenStep(self, row=None, column=None):
        """Go to the selected step, or to the next one."""
        step = self._selectedStep()
        if step is None or step["state"] == "missing input":
            return
        with slicer.util.tryWithErrorDisplay(_("The step was not opened.")):
            if step["module"]:
                self.logic.openModule(step["module"])
            else:
                section = self.ui.studyButton if step["step"] == "Study" else self.ui.reportButton
                section.collapsed = False

    def _selectedStep(self):
        rows, number = self._stepRows(), self.ui.stepsTable.currentRow()
        if 0 <= number < len(rows):
            return rows[number]
        return next((row for row in rows if row["next"]), None)

    def refreshPreload(self):
        """Time points that have a DSC, and what is known about the preload there."""
        box, chosen = self.ui.preloadTimepoint, self.ui.preloadTimepoint.currentText
        wasBlocked = box.blockSignals(True)
        labels = self.logic.timepointsOf("DSC")
        box.clear()
        box.addItems(labels)
        box.setCurrentIndex(labels.index(chosen) if chosen in labels else (0 if labels else -1))
        box.blockSignals(wasBlocked)
        self.onPreloadTimepoint()

    def onPreloadTimepoint(self, index=None):
        given = self.logic.preloads().get(self.ui.preloadTimepoint.currentText)
        self.ui.preloadBox.setCurrentIndex({None: 0, True: 1, False: 2}[given])
        self.ui.preloadBox.enabled = self.ui.preloadTimepoint.count > 0

    def onPreload(self, index):
        """The reader says whether a preload was given."""
        with slicer.util.tryWithErrorDisplay(_("The preload was not noted.")):
            self.logic.setPreload(self.ui.preloadTimepoint.currentText, (None, True, False)[index])
            self.refreshChecks()

    def showFindings(self):
        """The table of findings, filtered, and their count in the section's title."""
        from BMVascularLib.widgets.studyTables import fillProtocol

        self._shownDeviations = self._parameterNode.deviationsOnly
        counts = {
            state: sum(f.status == state for f in self._findings) for state in ("red", "amber", "unknown")
        }
        title = _("Protocol check: {red} missed, {amber} deviating, {unknown} not known").format(**counts)
        self.ui.protocolButton.text = title if self._findings else _("Protocol check")
        headings = [_("Series"), _("Time point"), _("Point"), _("Found"), _("Wanted")]
        fillProtocol(self.ui.protocolTable, self._shownFindings(), headings)
        self.onFindingSelected()

    def _shownFindings(self):
        return [f for f in self._findings if not self._shownDeviations or f.status != "met"]

    def onFindingSelected(self):
        shown, number = self._shownFindings(), self.ui.protocolTable.currentRow()
        text = ""
        if 0 <= number < len(shown):
            text = "{} ({})".format(shown[number].meaning or _("Met."), shown[number].source)
        self.ui.meaningLabel.text = text or _("Select a row to read what it means for which number.")

    def onWriteReport(self, checked=False):
        """Write the report and open it in the browser."""
        from BMVascularLib.widgets.tasks import runTask

        p, parent = self._parameterNode, self.ui.reportFolder.directory
        with slicer.util.tryWithErrorDisplay(_("The report was not written."), waitCursor=True):
            page = runTask(
                _("Writing the report"),
                lambda progress: self.logic.writeReport(parent, p.title, p.notes, p.pictures, progress),
            )
            if page is not None:
                p.reported = self.logic.stateOfResults()
                qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(page)))
        self.refreshSteps()


class BMVascularLogic(ScriptedLoadableModuleLogic):
    """The hub without its panel: usable from scripts.

    Attributes
    ----------
    problems : list of str
        What the last load could not read.
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.problems = []

    def getParameterNode(self):
        return BMVascularParameterNode(super().getParameterNode())

    def loadStudy(self, path, progress=None):
        """Load a DICOM folder, a folder with study.json, or one image file.

        Parameters
        ----------
        path : str
        progress : callable, optional
            When it raises, the scene stays as it was.

        Returns
        -------
        list of vtkMRMLNode

        Raises
        ------
        InputError
        """
        from BMVascularLib.studyRoles import loadPath

        self.problems = []
        return loadPath(slicer.mrmlScene, path, progress, self.problems)

    def loadSimulatedPatient(self, size="small", progress=None):
        """Load the simulated patient ("small" or "full"); returns its nodes."""
        from BMVascularLib.simulated import addSimulatedPatient

        self.problems = []
        return addSimulatedPatient(slicer.mrmlScene, size, progress=progress)

    def useScene(self):
        """Give roles to images in the scene that have none; returns their nodes."""
        from BMVascularLib.studyRoles import proposeForScene

        nodes, self.problems = proposeForScene(slicer.mrmlScene)
        return nodes

    def showAnatomy(self):
        """Show the contrast-enhanced T1 of the first time point in the slice views."""
        from BMVascularLib.studyNodes import firstOf

        node = firstOf(slicer.mrmlScene, "T1c")
        if node is not None:
            slicer.util.setSliceViewerLayers(background=node, fit=True)

    def roleRows(self):
        """One row a series, for the table."""
        from BMVascularLib import studyRoles

        return studyRoles.roleRows(slicer.mrmlScene)

    def timepointsOf(self, role=None):
        """Time points in the scene, or those with a series of a role."""
        from BMVascularLib import studyNodes

        nodes = studyNodes.nodesOf(slicer.mrmlScene, role)
        return list(dict.fromkeys(label for label in map(studyNodes.timepointOf, nodes) if label))

    def timepointChoices(self):
        """Time points in the scene, one more, and planning."""
        from BMVascularLib.studyNodes import PLANNING

        known = [label for label in self.timepointsOf() if label != PLANNING]
        return list(dict.fromkeys([*known, f"TP{len(known) + 1}", PLANNING]))

    def changeRole(self, node, role=None, timepoint=None):
        """Say what a series is for, or to which time point it belongs."""
        from BMVascularLib import studyRoles

        studyRoles.changeRole(node, role, timepoint)

    def setFrameTime(self, node, frameTimeS):
        """Index a time series with a frame time in seconds."""
        from BMVascularLib import studyRoles

        studyRoles.setFrameTime(node, frameTimeS)

    def stepRows(self, reported=""):
        """The guided steps with their state."""
        from BMVascularLib.steps import stepsOfScene

        return stepsOfScene(slicer.mrmlScene, reported)

    def nextStep(self, reported=""):
        """The one next action, None when all is done."""
        return next((row for row in self.stepRows(reported) if row["next"]), None)

    def openModule(self, name):
        """Open another module of the extension; it fills its selectors by role.

        Raises
        ------
        InputError
            When it is not installed.
        """
        from BMVascularCore.errors import InputError

        if not hasattr(slicer.modules, name.lower()):
            raise InputError("is not installed", name, "Install the whole extension.")
        slicer.util.selectModule(name)

    def preloads(self):
        """Time point to True, False or None (not stated): contrast agent before the DSC."""
        from BMVascularLib import studyRoles

        return studyRoles.preloads(slicer.mrmlScene)

    def setPreload(self, timepoint, preload):
        """Note whether contrast agent was given before the DSC."""
        from BMVascularLib import studyRoles

        studyRoles.setPreload(slicer.mrmlScene, timepoint, preload)

    def protocolFindings(self):
        """The protocol check of every series."""
        from BMVascularLib.studyRoles import protocolOfScene

        return protocolOfScene(slicer.mrmlScene)

    def stateOfResults(self):
        """A text that changes with every result in the scene."""
        from BMVascularLib import steps

        return steps.stateOfResults(slicer.mrmlScene)

    def writeReport(self, parent, title, notes="", pictures=True, progress=None):
        """Write the results in the scene with their report into a new subfolder.

        Returns
        -------
        pathlib.Path
            The HTML page.
        """
        from BMVascularLib.sceneReport import writeReportFolder

        page, self.problems = writeReportFolder(slicer.mrmlScene, parent, title, notes, pictures, progress)
        return page


class BMVascularTest(ScriptedLoadableModuleTest):
    """Self-test: the hub sees what is in the scene."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        for test in (
            self.test_first_step_is_the_study,
            self.test_roles_are_proposed_and_changed,
            self.test_steps_follow,
        ):
            self.setUp()
            test()

    def _volume(self, name):
        import numpy as np

        return slicer.util.addVolumeFromArray(np.arange(1000, dtype=np.int16).reshape(10, 10, 10), name=name)

    def test_first_step_is_the_study(self):
        """In an empty scene the one next action is to load a study."""
        self.assertEqual(BMVascularLogic().nextStep()["step"], "Study")

    def test_roles_are_proposed_and_changed(self):
        """A name proposes a role with its reason; the reader has the last word."""
        node, logic = self._volume("T1 post Gd"), BMVascularLogic()
        logic.useScene()
        row = logic.roleRows()[0]
        self.assertEqual((row["role"], row["timepoint"], row["reason"]), ("T1c", "TP1", "named gd"))
        logic.changeRole(node, role="T1")
        self.assertEqual(logic.roleRows()[0]["reason"], "set by the reader")

    def test_steps_follow(self):
        """A contrast-enhanced T1 makes lesions the next step."""
        self._volume("T1 post Gd")
        logic = BMVascularLogic()
        logic.useScene()
        self.assertEqual(logic.nextStep()["step"], "Lesions")
