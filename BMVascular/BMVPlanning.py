"""BMVPlanning: fuse the planning CT, make targets, measure organs, review the dose, export DICOM."""

from typing import Annotated

import slicer
from slicer import (
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
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

from BMVascularLib.planningFusionLogic import PlanningFusionLogic
from BMVascularLib.planningReview import PlanningReviewLogic
from BMVascularLib.widgets.panel import PanelLifeCycle
from BMVascularLib.widgets.planningDose import DoseSection
from BMVascularLib.widgets.planningExport import ExportSection, SelfTestSection
from BMVascularLib.widgets.planningFuse import FuseSection
from BMVascularLib.widgets.planningOrgans import OrgansSection
from BMVascularLib.widgets.planningTargets import TargetsSection


class BMVPlanning(ScriptedLoadableModule):
    """Module entry: what Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("BMV Planning")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Radiotherapy")]
        self.parent.dependencies = []
        self.parent.contributors = ["The BMVascular contributors"]
        self.parent.helpText = _(
            "Fuses MRI with the planning CT and measures how far the fusion can be trusted, makes targets with "
            "margins for each metastasis, measures distances to organs, reviews a dose and writes DICOM for the "
            "planning system. It calculates no dose and prescribes none. Research use only."
        )
        self.parent.acknowledgementText = _("Apache-2.0. Terms follow DICOM, ICRU 91 and TG-263.")


@parameterNodeWrapper
class BMVPlanningParameterNode:
    """What the panel keeps with the scene.

    ctVolume, t1cVolume, lesions, organs, dose, isocentre - inputs
    doseAgainst - dose that the plan is compared with
    blend, squareMm, targetsFill, doseOpacity, doseLegend, showIsodoses - display
    ctvMm, ptvMm - margins of new targets in mm
    skullBarrier, barrierNames - what targets may not grow into
    angleDeg, translationMm - setup error about a shared isocentre
    mriAgeDays - days from MRI to treatment, -1 is not known
    prescription - as typed by the user, empty until then
    isodoses - levels as typed
    exportReferences - habitats go out as structures not for treatment
    """

    ctVolume: vtkMRMLScalarVolumeNode | None
    t1cVolume: vtkMRMLScalarVolumeNode | None
    lesions: vtkMRMLSegmentationNode | None
    organs: vtkMRMLSegmentationNode | None
    dose: vtkMRMLScalarVolumeNode | None
    doseAgainst: vtkMRMLScalarVolumeNode | None
    isocentre: vtkMRMLMarkupsFiducialNode | None
    blend: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    squareMm: Annotated[float, WithinRange(5.0, 60.0)] = 25.0
    ctvMm: Annotated[float, WithinRange(0.0, 30.0)] = 0.0
    ptvMm: Annotated[float, WithinRange(0.0, 30.0)] = 1.0
    skullBarrier: bool = False
    barrierNames: str = ""
    targetsFill: Annotated[float, WithinRange(0.0, 1.0)] = 0.0
    angleDeg: Annotated[float, WithinRange(0.0, 10.0)] = 1.0
    translationMm: Annotated[float, WithinRange(0.0, 20.0)] = 0.0
    mriAgeDays: Annotated[int, WithinRange(-1, 365)] = -1
    prescription: str = ""
    isodoses: str = "100 %, 50 %, 12 Gy"
    showIsodoses: bool = True
    doseOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.0
    doseLegend: bool = False
    exportReferences: bool = True


class BMVPlanningWidget(
    PanelLifeCycle,
    FuseSection,
    TargetsSection,
    OrgansSection,
    DoseSection,
    ExportSection,
    SelfTestSection,
    ScriptedLoadableModuleWidget,
    VTKObservationMixin,
):
    """Sections from fusion to export; each is a class of its own."""

    FORM = "BMVPlanning"
    parameterNodeType = BMVPlanningParameterNode

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._connecting = False
        self._shown = None
        self._t1c = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = BMVPlanningLogic()
        self.setupForm()

    def setupPanel(self):
        self.setupFuse()
        self.setupTargets()
        self.setupOrgans()
        self.setupDose()
        self.setupExport()
        self.setupSelfTest()

    def setParameterNode(self, node):
        """While the form takes over the values, no view changes."""
        self._connecting = True
        self._shown = None
        try:
            super().setParameterNode(node)
            self._t1c = node.t1cVolume if node is not None else None
        finally:
            self._connecting = False

    def exit(self):
        self.leaveViews()
        super().exit()

    def cleanup(self):
        self.flickerTimer.stop()
        super().cleanup()

    def onSceneStartClose(self, caller, event):
        self.flickerTimer.stop()
        super().onSceneStartClose(caller, event)
        self.logic.forget()
        self.forgetExport()
        self.forgetLooks()
        self.leaveScene()
        for path in (self.ui.givenPath, self.ui.structuresPath, self.ui.dosePath):
            path.currentPath = ""

    def applyDefaults(self):
        """Empty selections are filled by role; a choice is never replaced."""
        self.logic.fillByRole(self._parameterNode)

    def refresh(self, caller=None, event=None):
        """Only what a change of the selections concerns; sliders do not rebuild the tables."""
        p = self._parameterNode
        if p is None:
            return
        if p.t1cVolume is not self._t1c and not self._connecting:
            # after the parameter node knows the choice: written earlier, the selector would spring back
            self._t1c = p.t1cVolume
            if self._t1c is not None:
                p.lesions = self.logic.lesionsFor(self._t1c, p.lesions)
        chosen = tuple(
            node.GetID() if node is not None else ""
            for node in (p.ctVolume, p.t1cVolume, p.lesions, p.organs, p.dose)
        )
        if chosen != self._shown:
            self._shown = chosen
            self.refreshAll()

    def refreshAll(self):
        """Every section."""
        self.updateFuse()
        self.updateTargets()
        self.updateOrgans()
        self.updateDose()
        self.updateReview()
        self.updateExport()


class BMVPlanningLogic(PlanningFusionLogic, PlanningReviewLogic, ScriptedLoadableModuleLogic):
    """The planning part without its panel: usable from scripts. Takes nodes and plain values.

    ``registerWith`` and ``measureWith`` take the place of Core's registration and check where they are set.
    """

    def __init__(self, parent=None):
        ScriptedLoadableModuleLogic.__init__(self, parent)
        self.registerWith = None
        self.measureWith = None
        self.forget()

    def getParameterNode(self):
        return BMVPlanningParameterNode(super().getParameterNode())

    def fillByRole(self, p):
        """Fill empty inputs of a parameter node with what the scene offers."""
        from BMVascularLib.studyNodes import firstOf, timepointOf

        scene = slicer.mrmlScene
        p.ctVolume = p.ctVolume or firstOf(scene, "CT")
        p.lesions = p.lesions or firstOf(scene, "lesions")
        wanted = timepointOf(p.lesions) if p.lesions is not None else None
        p.t1cVolume = p.t1cVolume or firstOf(scene, "T1c", wanted)
        p.organs = p.organs or firstOf(scene, "organs")
        p.dose = p.dose or firstOf(scene, "dose")

    def lesionsFor(self, t1c, current):
        """Lesions of the time point of a T1c; the present ones where it or they have no time point."""
        from BMVascularLib.studyNodes import firstOf, timepointOf

        timepoint = timepointOf(t1c)
        if not timepoint or (current is not None and not timepointOf(current)):
            return current
        return firstOf(slicer.mrmlScene, "lesions", timepoint)

    # -- targets

    def makeTargets(self, lesions, ct, ctvMm, ptvMm, progress=None, barriers=None):
        """GTV, CTV, PTV of every lesion; see :func:`BMVascularLib.planningTargets.makeAll`."""
        from BMVascularLib.planningTargets import makeAll

        return makeAll(slicer.mrmlScene, lesions, ct, ctvMm, ptvMm, progress, barriers)

    def setMargins(self, lesions, ct, name, ctvMm, ptvMm, barriers=None):
        """Other margins for one lesion."""
        from BMVascularLib.planningTargets import setMargins

        node = self.targets(lesions)
        return setMargins(slicer.mrmlScene, node, lesions, ct, name, ctvMm, ptvMm, barriers)

    def barriers(self, ct, lesions, organs, skull, names):
        """What targets may not grow into; kept as long as CT, lesions and organs stay as they are."""
        from BMVascularLib.planningTargets import barriersOf

        if ct is None or lesions is None or not (skull or names.strip()):
            return None
        states = [(node.GetID(), node.GetMTime()) for node in (ct, lesions, organs) if node is not None]
        key = (*states, skull, names)
        if self._barriers[0] != key:
            self._barriers = key, barriersOf(ct, lesions, skull, self.organStructures(organs), names)
        return self._barriers[1]

    def marginOfText(self, text):
        """Margin from a table cell such as ``2`` or ``2 L4 S1``.

        Raises
        ------
        InputError
        """
        from BMVascularCore.planning.margins import Margin

        return Margin.of_text(text)

    def targetRows(self, lesions, angleDeg, translationMm, isocentre=None):
        """Targets with rotation figures and the first published row beside."""
        from BMVascularLib.planningTargets import referenceRows, rotationRows, rows

        node = self.targets(lesions)
        point = None
        if isocentre is not None and isocentre.GetNumberOfControlPoints():
            point = [0.0, 0.0, 0.0]
            isocentre.GetNthControlPointPositionWorld(0, point)
        rotations = rotationRows(node, lesions, angleDeg, translationMm, point) if node is not None else {}
        found = rows(node)
        for row in found:
            moved = rotations.get(row["name"])
            if moved is not None:
                row |= {
                    "distance_mm": moved.distance_mm,
                    "displacement_mm": moved.displacement_mm,
                    "rotation_margin_mm": moved.margin_mm,
                    "volume_factor": moved.volume_factor,
                }
            published = referenceRows(row["diameter_mm"])
            row["published"] = "; ".join(f"{r['text']} [{r['source']}, {r['verified']}]" for r in published)
        return found

    def referenceRows(self, lesions, name):
        """Published dose-by-size rows for a lesion."""
        from BMVascularLib.planningTargets import referenceRows, rows

        row = next((row for row in rows(self.targets(lesions)) if row["name"] == name), None)
        return referenceRows(row["diameter_mm"]) if row is not None else []

    def setTargetsFill(self, lesions, opacity):
        """Fill of the targets on slices."""
        node = self.targets(lesions)
        if node is not None:
            node.GetDisplayNode().SetVisibility2DFill(opacity > 0)
            node.GetDisplayNode().SetOpacity2DFill(float(opacity))

    def ageText(self, days):
        """What the literature says about an MRI of this age."""
        from BMVascularLib.planningTargets import ageText

        return ageText(days)


class BMVPlanningTest(ScriptedLoadableModuleTest):
    """Self-test on a sphere: targets, live margin, dose, in a few seconds."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        for test in (self.test_margin_of_a_sphere, self.test_nothing_is_exported_without_fusion):
            self.setUp()
            test()

    def _scene(self, diameterMm=10.0):
        """A planning CT of nothing and a sphere as lesion."""
        import numpy as np

        from BMVascularCore.volume import Geometry, Volume
        from BMVascularLib.segments import addSegmentation
        from BMVascularLib.studyNodes import addImage, setRole

        grid = Geometry((40, 40, 40), (1.0, 1.0, 1.0), (-19.5, -19.5, -19.5))
        ct = addImage(slicer.mrmlScene, Volume(np.zeros(grid.shape, np.int16), grid), "CT", "Planning")
        index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
        ball = np.linalg.norm(grid.points_of(index), axis=-1) <= diameterMm / 2.0
        facts = {"label": 1, "name": "M1", "color": (1.0, 0.0, 0.0), "kind": "metastasis"}
        lesions = addSegmentation(slicer.mrmlScene, Volume(ball.astype(np.int32), grid), [facts], "lesions")
        setRole(lesions, "lesions", "TP1")
        return ct, lesions

    def test_margin_of_a_sphere(self):
        """A margin of 2 mm makes a ball of 14 mm from one of 10 mm."""
        ct, lesions = self._scene()
        logic = BMVPlanningLogic()
        logic.makeTargets(lesions, ct, 0.0, 1.0)
        logic.setMargins(lesions, ct, "M1", 0.0, 2.0)
        row = logic.targetRows(lesions, 1.0, 0.0)[0]
        self.assertAlmostEqual(row["ptv_ml"] / (3.14159 / 6.0 * 14.0**3 / 1000.0), 1.0, delta=0.04)

    def test_nothing_is_exported_without_fusion(self):
        """The export refuses with a reason."""
        ct, lesions = self._scene()
        self.assertIn("not fused", BMVPlanningLogic().exportRefusal(ct, None, lesions))
