"""BMVLesionSeeding: one click, one lesion. Seeds, outlines, compartments, review and follow-up."""

import enum
from contextlib import contextmanager
from typing import Annotated

import qt
import slicer
from slicer import vtkMRMLScalarVolumeNode
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

from BMVascularCore.errors import BMVascularError
from BMVascularLib.lesionTexts import compartmentLegend
from BMVascularLib.widgets.clickSection import ClickSection
from BMVascularLib.widgets.lesionList import LesionSection
from BMVascularLib.widgets.lesionSections import CandidateSection, FollowUpSection, ImageSection
from BMVascularLib.widgets.panel import PanelLifeCycle
from BMVascularLib.widgets.shortcuts import Shortcuts
from BMVascularLib.widgets.tasks import runTask

# pause after the last click before compartments and measures are worked out: quick clicks do not wait
SETTLE_MS = 150


class BMVLesionSeeding(ScriptedLoadableModule):
    """Module entry: what Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("BMV Lesion Seeding")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Radiotherapy")]
        self.parent.dependencies = []
        self.parent.contributors = ["The BMVascular contributors"]
        self.parent.helpText = _(
            "Click into a metastasis on the contrast-enhanced T1: its outline, compartments and measures appear. "
            "Keys: S click mode; L, I, E new lesion, include, exclude; N next, P previous, A accept, F flag, "
            "U undo, Del delete, H hide outlines; K, J, C candidates. Research use only."
        )
        self.parent.acknowledgementText = _("Apache-2.0. Sizes follow RANO-BM; terms follow DICOM.")


class ClickMode(enum.Enum):
    """What a click does."""

    NEW = "new"
    INCLUDE = "include"
    EXCLUDE = "exclude"

    def label(self):
        return {
            ClickMode.NEW: _("a new lesion (L)"),
            ClickMode.INCLUDE: _("more of the selected lesion (I)"),
            ClickMode.EXCLUDE: _("less of the selected lesion (E)"),
        }[self]


@parameterNodeWrapper
class BMVLesionSeedingParameterNode:
    """What the panel keeps with the scene.

    timepoint - the time point that is read
    t1c, t1, flair, swi - its images
    clickMode - what a click does
    maxRadius_mm - how far a lesion may reach from its middle
    compartmentsIn3D - compartments as surfaces
    selectedLesion - id of the selected segment
    """

    timepoint: str = ""
    t1c: vtkMRMLScalarVolumeNode | None
    t1: vtkMRMLScalarVolumeNode | None
    flair: vtkMRMLScalarVolumeNode | None
    swi: vtkMRMLScalarVolumeNode | None
    clickMode: ClickMode = ClickMode.NEW
    maxRadius_mm: Annotated[float, WithinRange(1.0, 80.0)] = 30.0
    compartmentsIn3D: bool = False
    selectedLesion: str = ""


class BMVLesionSeedingWidget(PanelLifeCycle, ScriptedLoadableModuleWidget, VTKObservationMixin):
    """What the sections of the panel share; each section stands in BMVascularLib.widgets."""

    FORM = "BMVLesionSeeding"
    parameterNodeType = BMVLesionSeedingParameterNode

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = BMVLesionSeedingLogic()
        self._busy = 0
        self.setupForm()

    def setupPanel(self):
        self.imageSection, self.clicks = ImageSection(self), ClickSection(self)
        self.lesions = LesionSection(self)
        self.candidates, self.followUp = CandidateSection(self), FollowUpSection(self)
        self._clicking = self._timer(self.clicks.onClicksChanged)
        self._settling = self._timer(self.onSettle)
        self._removing = self._timer(self.onNodesRemoved)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved)
        self.ui.measureButton.connect("clicked(bool)", self.onMeasureAll)
        self.ui.compartmentsLabel.text = compartmentLegend()
        self.ui.outlinesCheck.connect("toggled(bool)", self.onOutlines)
        self.shortcuts = Shortcuts(
            {
                "S": self.clicks.onPlace,
                "L": lambda: self.setMode("NEW"),
                "I": lambda: self.setMode("INCLUDE"),
                "E": lambda: self.setMode("EXCLUDE"),
                "N": self.lesions.onNext,
                "P": self.lesions.onPrevious,
                "A": self.lesions.onAccept,
                "F": self.lesions.onFlag,
                "U": self.clicks.onUndo,
                "Del": self.lesions.onDelete,
                "H": lambda: self.ui.outlinesCheck.click(),
                "J": self.candidates.onPrevious,
                "K": self.candidates.onNext,
                "C": self.candidates.onSeed,
            }
        )

    def _timer(self, action):
        """A single-shot timer whose action waits while other work shows its progress."""
        timer = qt.QTimer()
        timer.setSingleShot(True)
        timer.connect("timeout()", lambda: timer.start(SETTLE_MS) if self._busy else action())
        return timer

    # -- life

    def enter(self):
        PanelLifeCycle.enter(self)
        self.shortcuts.install()
        self.takeBack()

    def exit(self):
        self.shortcuts.remove()
        self.finishOutstanding()
        if self.begun() is not None:
            self.begun().tidy()
        PanelLifeCycle.exit(self)

    def cleanup(self):
        self.shortcuts.remove()
        PanelLifeCycle.cleanup(self)

    def onSceneStartClose(self, caller, event):
        PanelLifeCycle.onSceneStartClose(self, caller, event)
        self.logic.forget()

    def onSceneEndImport(self, caller, event):
        # points that were read from a file are no clicks
        self._clicking.stop()
        self.clicks.release()
        self.logic.forget()
        PanelLifeCycle.onSceneEndImport(self, caller, event)

    def onNodeRemoved(self, caller, event):
        """Something was removed from the scene: look once that is done."""
        if self._parameterNode is not None and not self._removing.isActive():
            self._removing.start(0)

    def onNodesRemoved(self):
        """Whether it belonged to this reading."""
        if self.begun() is not None:
            self.takeBack()
        self.refresh()

    def setParameterNode(self, node):
        if node is None:
            self._clicking.stop()
            self._settling.stop()
            self._removing.stop()
            self.clicks.release()
        PanelLifeCycle.setParameterNode(self, node)

    def applyDefaults(self):
        self.imageSection.applyDefaults()

    def refresh(self, caller=None, event=None):
        if self._parameterNode is None or slicer.mrmlScene.IsBatchProcessing():
            return
        self.clicks.refresh()
        self.candidates.refresh()
        self.followUp.refresh()
        self.lesions.fill()
        self.logic.showCompartments3D(self.timepoint(), self._parameterNode.compartmentsIn3D)
        self.logic.showOutlines(self.timepoint(), self.ui.outlinesCheck.checked)

    # -- what the sections share

    def images(self):
        """Role to chosen volume node."""
        p = self._parameterNode
        return {"T1c": p.t1c, "T1": p.t1, "FLAIR": p.flair, "SWI": p.swi}

    def timepoint(self):
        """The time point that is read."""
        return self._parameterNode.timepoint or "TP1"

    def setMode(self, mode):
        """What the next click does: the name of a :class:`ClickMode`."""
        if self._parameterNode is not None:
            self._parameterNode.clickMode = ClickMode[mode]

    def reading(self):
        """The reading of this time point; the first call prepares the images. None when cancelled."""
        if self.logic.isReady(self.timepoint(), self.images()):
            return self.logic.peek(self.timepoint())
        return runTask(
            _("Preparing the images for clicks"),
            lambda progress: self.logic.reading(self.timepoint(), self.images(), progress),
        )

    def begun(self):
        """The reading of this time point when it has begun, else None."""
        return self.logic.peek(self.timepoint()) if self._parameterNode is not None else None

    def say(self, text, problem=False):
        """One sentence in the panel; no box."""
        self.ui.statusLabel.setText(text)
        self.ui.statusLabel.setStyleSheet("color: #c0392b; font-weight: bold" if problem else "")

    @contextmanager
    def errorsSaid(self):
        """Within a ``with`` block, wrong input is one sentence in the panel."""
        self._busy += 1
        try:
            with slicer.util.WaitCursor():
                yield
        except BMVascularError as error:
            self.say(str(error), problem=True)
        finally:
            self._busy -= 1

    def clicksLater(self):
        """Look at the clicks once the views are done with the event."""
        if not self._clicking.isActive():
            self._clicking.start(0)

    def changed(self):
        """After a change: show the table; compartments and measures follow in a moment."""
        if self._parameterNode is None:
            return
        self.clicks.remember()
        self.lesions.fill()
        begun = self.begun()
        if begun is not None and begun.session.stale:
            self._settling.start(SETTLE_MS)

    def onSettle(self):
        """Outstanding compartments and measures."""
        if self._parameterNode is None or self.begun() is None:
            return
        with self.errorsSaid():
            self.begun().settle()
        self.refresh()

    def finishOutstanding(self):
        """Nothing stays half done when the panel is left."""
        for timer, action in ((self._clicking, self.clicks.onClicksChanged), (self._settling, self.onSettle)):
            if timer.isActive():
                timer.stop()
                action()

    def onMeasureAll(self, checked=False):
        """Compartments and measures of all lesions together."""
        with self.errorsSaid():
            reading = self.reading()
            if reading is not None:
                title = _("Measuring all lesions")
                runTask(title, lambda progress: reading.settle(progress, everything=True))
        self.lesions.fill()

    def onOutlines(self, shown):
        """Show or hide everything over the slices, to see the image below."""
        if self._parameterNode is not None:
            self.logic.showOutlines(self.timepoint(), shown)

    def takeBack(self):
        """Take over what was changed outside this panel: in the Segment Editor, Markups or Data module."""
        lost = self.logic.dropOrphans()
        if self.timepoint() in lost:
            self.ui.placeWidget.setPlaceModeEnabled(False)
            self.say(_("The T1c was removed from the scene: its lesions stay as they are."), problem=True)
        begun = self.begun()
        if begun is None:
            return
        with self.errorsSaid():
            said = begun.takeBack(self._parameterNode.maxRadius_mm)
            if said:
                self.say(" ".join(said))
                self.clicks.refresh()
        self.changed()


class BMVLesionSeedingLogic(ScriptedLoadableModuleLogic):
    """Clicks to lesions without the panel: usable from scripts."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._readings = {}

    def getParameterNode(self):
        return BMVLesionSeedingParameterNode(super().getParameterNode())

    def timepoints(self):
        """Time points with a T1c, in scene order."""
        from BMVascularLib import studyNodes

        scene = slicer.mrmlScene
        return [t for t in studyNodes.timepointsOf(scene) if studyNodes.firstOf(scene, "T1c", t)]

    def imagesOf(self, timepoint):
        """Role to volume node (or None) of a time point."""
        from BMVascularLib import lesionNodes, studyNodes

        found = {r: studyNodes.firstOf(slicer.mrmlScene, r, timepoint) for r in lesionNodes.IMAGE_ROLES}
        return {
            r: n if n is not None and n.IsA("vtkMRMLScalarVolumeNode") else None for r, n in found.items()
        }

    def forget(self):
        """Let go of everything that belongs to a scene that closes."""
        self._readings = {}

    def dropOrphans(self):
        """Let go of readings whose T1c is no longer in the scene; returns their time points."""
        lost = [key for key, reading in self._readings.items() if reading.t1c.GetScene() is None]
        for key in lost:
            del self._readings[key]
        return lost

    def peek(self, timepoint):
        """The reading of a time point when it has begun, else None."""
        return self._readings.get(timepoint)

    def reading(self, timepoint, images, progress=None):
        """The reading of a time point; prepared at the first call and when its images change.

        Parameters
        ----------
        timepoint : str
        images : dict
            ``T1c``, ``T1``, ``FLAIR``, ``SWI`` to volume node or None.
        progress : callable, optional

        Returns
        -------
        LesionReading

        Raises
        ------
        InputError
        """
        from BMVascularCore.progress import silent
        from BMVascularLib.lesionReading import LesionReading

        timepoint = timepoint or "TP1"
        known = self._readings.get(timepoint)
        if known is not None and known.isCurrent(images):
            return known
        found = LesionReading(slicer.mrmlScene, timepoint, images)
        found.begin(progress or silent, known)
        self._readings[timepoint] = found
        return found

    def isReady(self, timepoint, images):
        """Whether a click would be answered without preparing anything."""
        known = self._readings.get(timepoint or "TP1")
        return known is not None and known.isCurrent(images)

    def rows(self, timepoint):
        """Rows of the lesions of a time point, read from the scene where no reading has begun."""
        from BMVascularLib import lesionNodes

        begun = self.peek(timepoint)
        return begun.tableRows() if begun is not None else lesionNodes.readRows(slicer.mrmlScene, timepoint)

    def colorOfLesion(self, timepoint, lesionId):
        """Colour of a lesion's outline (r, g, b in 0..1), None where it has no segment."""
        from BMVascularLib import lesionNodes, studyNodes

        node = studyNodes.firstOf(slicer.mrmlScene, lesionNodes.LESIONS, timepoint)
        segment = None if node is None else node.GetSegmentation().GetSegment(lesionId)
        return None if segment is None else segment.GetColor()

    def seedNode(self, timepoint, t1cNode=None):
        """The point list of a time point; where there is none, one is made if a T1c node is given."""
        from BMVascularLib import lesionNodes, studyNodes

        if t1cNode is not None:
            return lesionNodes.seedNode(slicer.mrmlScene, timepoint, t1cNode)
        return studyNodes.firstOf(slicer.mrmlScene, lesionNodes.SEEDS, timepoint)

    def numberWaiting(self, timepoint):
        """How many placed points have no lesion yet."""
        from BMVascularLib.seeds import clicksOf, waitingOf

        node = self.seedNode(timepoint)
        return 0 if node is None else len(waitingOf(clicksOf(node)))

    def jumpToLesion(self, timepoint, lesionId):
        """Bring a lesion into the middle of all views."""
        from BMVascularLib import lesionNodes

        begun = self.peek(timepoint)
        if begun is not None and lesionId in begun.session.entries:
            ras = begun.centre(lesionId)
        else:
            ras = lesionNodes.centreOfSegment(slicer.mrmlScene, timepoint, lesionId)
        if ras is not None:
            lesionNodes.jumpTo(slicer.mrmlScene, ras)

    def handOver(self, timepoint, lesionId, t1cNode):
        """Choose segmentation, segment and image in the Segment Editor."""
        from BMVascularLib import lesionNodes, studyNodes

        node = studyNodes.firstOf(slicer.mrmlScene, lesionNodes.LESIONS, timepoint)
        lesionNodes.handOver(slicer.mrmlScene, node, lesionId, t1cNode)

    def showOutlines(self, timepoint, shown):
        """Show or hide lesions and compartments in the slice views; 3D stays."""
        from BMVascularLib import lesionNodes

        lesionNodes.showOutlines(slicer.mrmlScene, timepoint, shown)

    def showCompartments3D(self, timepoint, shown):
        """Make or remove the surfaces of the compartments."""
        from BMVascularLib import lesionNodes

        lesionNodes.showCompartments3D(slicer.mrmlScene, timepoint, shown)


class BMVLesionSeedingTest(ScriptedLoadableModuleTest):
    """Self-test: a click into a ball of light in a head of noise."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        self.setUp()
        self.test_a_click_gives_a_lesion()
        self.setUp()
        self.test_a_click_in_air_changes_nothing()

    def reading(self):
        """A reading of an ellipsoid head of 100 with one ball of 220, 12 mm wide."""
        import numpy as np

        from BMVascularCore.volume import Geometry, Volume
        from BMVascularLib.studyNodes import addImage

        shape = (48, 60, 52)
        k, j, i = np.ogrid[tuple(slice(0, n) for n in shape)]
        head = ((k - 24) / 20) ** 2 + ((j - 30) / 26) ** 2 + ((i - 26) / 22) ** 2 <= 1
        ball = (k - 24) ** 2 + (j - 22) ** 2 + (i - 30) ** 2 <= 9
        noise = np.random.default_rng(3).normal(0, 2, shape)
        array = np.where(head, 100.0, 2.0) + 120.0 * ball + noise
        geometry = Geometry(shape, (2.0, 2.0, 2.0))
        node = addImage(slicer.mrmlScene, Volume(array.astype("float32"), geometry, "T1c"), "T1c", "TP1")
        return BMVLesionSeedingLogic().reading("TP1", {"T1c": node})

    def test_a_click_gives_a_lesion(self):
        """The lesion has the volume of the ball within 15 %."""
        reading = self.reading()
        reading.seedNode().AddControlPointWorld(-60.0, -44.0, 48.0)
        lesionId, text = reading.sync()
        self.assertIn("mL", text)
        self.assertAlmostEqual(reading.session.volume_ml(lesionId), 0.985, delta=0.15)
        reading.settle()
        self.assertEqual([row["name"] for row in reading.tableRows()], ["L1"])

    def test_a_click_in_air_changes_nothing(self):
        """The point is taken away again, and no lesion appears."""
        reading = self.reading()
        before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
        reading.seedNode().AddControlPointWorld(0.0, 0.0, 0.0)
        with self.assertRaises(BMVascularError):
            reading.sync()
        self.assertEqual(reading.seedNode().GetNumberOfControlPoints(), 0)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"), before)
