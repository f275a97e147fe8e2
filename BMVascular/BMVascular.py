"""BMVascular: the study hub. Load a study, check it, and go from step to step."""

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

from BMVascularLib.widgets.panel import PanelLifeCycle, fillTable


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


@parameterNodeWrapper
class BMVascularParameterNode:
    """What the hub keeps with the scene.

    notes - the reader's own text for the report
    """

    notes: str = ""


class BMVascularWidget(PanelLifeCycle, ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Study, roles, steps."""

    FORM = "BMVascular"
    parameterNodeType = BMVascularParameterNode

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = BMVascularLogic()
        self.setupForm()

    def setupPanel(self):
        self.ui.loadButton.connect("clicked(bool)", self.onLoad)
        self.ui.openButton.connect("clicked(bool)", self.onOpenStep)
        self.ui.stepsTable.connect("itemSelectionChanged()", self.onStepSelected)

    def refresh(self, caller=None, event=None):
        fillTable(self.ui.rolesTable, self.logic.roleRows(), self.logic.ROLE_COLUMNS)
        fillTable(self.ui.stepsTable, self.logic.stepRows(), self.logic.STEP_COLUMNS)
        self.onStepSelected()

    def onLoad(self, checked=False):
        """Load the chosen study folder into the scene."""
        from BMVascularLib.widgets.tasks import runTask

        folder = self.ui.studyPath.currentPath
        with slicer.util.tryWithErrorDisplay(_("The study was not loaded."), waitCursor=True):
            runTask(_("Loading the study"), lambda progress: self.logic.loadStudy(folder, progress))
        self.refresh()

    def onStepSelected(self):
        step = self._selectedStep()
        self.ui.openButton.enabled = step is not None and bool(step["module"])

    def onOpenStep(self, checked=False):
        """Open the module of the selected step."""
        step = self._selectedStep()
        if step is not None:
            slicer.util.selectModule(step["module"])

    def _selectedStep(self):
        rows = self.logic.stepRows()
        number = self.ui.stepsTable.currentRow()
        return rows[number] if 0 <= number < len(rows) else self.logic.nextStep()


class BMVascularLogic(ScriptedLoadableModuleLogic):
    """The hub without its panel: usable from scripts."""

    ROLE_COLUMNS = (
        ("timepoint", "Time point"),
        ("role", "Role"),
        ("name", "Series"),
        ("reason", "Why"),
        ("times", "Frame times"),
    )
    STEP_COLUMNS = (("step", "Step"), ("state", "State"))

    def getParameterNode(self):
        return BMVascularParameterNode(super().getParameterNode())

    def loadStudy(self, folder, progress=None):
        """Load a DICOM folder or a folder with study.json.

        Parameters
        ----------
        folder : str
        progress : callable, optional

        Returns
        -------
        list of vtkMRMLNode

        Raises
        ------
        InputError
        """
        from BMVascularCore.study.plan import read_plan
        from BMVascularLib.studyNodes import addPlan

        plan = read_plan(folder, seeds_required=False, progress=progress)
        return addPlan(slicer.mrmlScene, plan, progress)

    def roleRows(self):
        """One row a series with a role, for the table."""
        from BMVascularLib import studyNodes

        return [
            {
                "timepoint": studyNodes.timepointOf(node),
                "role": studyNodes.roleOf(node),
                "name": node.GetName(),
                "reason": node.GetAttribute(studyNodes.REASON),
                "times": node.GetAttribute(studyNodes.TIMES),
            }
            for node in studyNodes.nodesOf(slicer.mrmlScene)
        ]

    def stepRows(self):
        """The guided steps with their state."""
        from BMVascularLib.steps import stepsOfScene

        return stepsOfScene(slicer.mrmlScene)

    def nextStep(self):
        """The first step that is not done and can be done, None when all are."""
        return next((row for row in self.stepRows() if row["state"] == "ready"), None)


class BMVascularTest(ScriptedLoadableModuleTest):
    """Self-test: the hub sees what is in the scene."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        self.setUp()
        self.test_roles_are_listed()
        self.test_first_step_is_the_study()

    def test_roles_are_listed(self):
        """A volume with a role appears in the table."""
        from BMVascularLib.studyNodes import setRole

        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "TP1 T1c")
        setRole(node, "T1c", "TP1", "set by the test")
        rows = BMVascularLogic().roleRows()
        self.assertEqual([(row["role"], row["timepoint"]) for row in rows], [("T1c", "TP1")])

    def test_first_step_is_the_study(self):
        """In an empty scene the one next action is to load a study."""
        slicer.mrmlScene.Clear(0)
        self.assertEqual(BMVascularLogic().nextStep()["step"], "Study")
