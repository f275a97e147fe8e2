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
from BMVascularLib.seeds import clicksOf, removeOthers
from BMVascularLib.widgets.lesionList import LesionSection
from BMVascularLib.widgets.lesionSections import CandidateSection, FollowUpSection
from BMVascularLib.widgets.panel import PanelLifeCycle, setEnabledWithReason
from BMVascularLib.widgets.shortcuts import Shortcuts
from BMVascularLib.widgets.tasks import runTask


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
            "Keys: S click mode, N next, P previous, A accept, F flag, U undo. Research use only."
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
    """Images, clicks, lesions; candidates and follow-up stand in BMVascularLib.widgets.lesionSections."""

    FORM = "BMVLesionSeeding"
    parameterNodeType = BMVLesionSeedingParameterNode

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = BMVLesionSeedingLogic()
        self._observed, self._seen = None, {}
        self.setupForm()

    def setupPanel(self):
        self._later = qt.QTimer()
        self._later.setSingleShot(True)
        self._later.connect("timeout()", self.onClicksChanged)
        self._settling = qt.QTimer()
        self._settling.setSingleShot(True)
        self._settling.connect("timeout()", self.onSettle)
        self.lesions = LesionSection(self)
        self.candidates = CandidateSection(self)
        self.followUp = FollowUpSection(self)
        self.ui.placeWidget.placeModePersistency = True
        self.ui.placeWidget.connect("activeMarkupsPlaceModeChanged(bool)", self.onPlaceModeChanged)
        self.ui.placeButton.connect("clicked(bool)", self.onPlace)
        self.ui.timepointCombo.connect("currentIndexChanged(int)", self.onTimepoint)
        for name, action in (
            ("undo", self.onUndo),
            ("waiting", self.onWaiting),
            ("measure", self.onMeasureAll),
        ):
            getattr(self.ui, f"{name}Button").connect("clicked(bool)", action)
        self.shortcuts = Shortcuts(
            {
                "S": self.ui.placeButton.click,
                "L": lambda: self.setMode("NEW"),
                "I": lambda: self.setMode("INCLUDE"),
                "E": lambda: self.setMode("EXCLUDE"),
                "N": self.lesions.onNext,
                "P": self.lesions.onPrevious,
                "A": self.lesions.onAccept,
                "F": self.lesions.onFlag,
                "U": self.onUndo,
                "Del": self.lesions.onDelete,
                "K": self.candidates.onNext,
            }
        )

    # -- life

    def enter(self):
        PanelLifeCycle.enter(self)
        self.shortcuts.install()
        self.takeBack()

    def exit(self):
        self.shortcuts.remove()
        self.finishOutstanding()
        PanelLifeCycle.exit(self)

    def cleanup(self):
        self.shortcuts.remove()
        PanelLifeCycle.cleanup(self)

    def onSceneStartClose(self, caller, event):
        PanelLifeCycle.onSceneStartClose(self, caller, event)
        self.logic.forget()

    def onSceneEndImport(self, caller, event):
        self.logic.forget()
        PanelLifeCycle.onSceneEndImport(self, caller, event)

    def setParameterNode(self, node):
        if node is None:
            self._later.stop()
            self._settling.stop()
            self.ui.placeWidget.setPlaceModeEnabled(False)
            self.observeSeeds(None)
        PanelLifeCycle.setParameterNode(self, node)

    def applyDefaults(self):
        known = self.logic.timepoints()
        if self._parameterNode.timepoint not in known and known:
            self._parameterNode.timepoint = known[0]
        self._fillTimepoints(known)
        self._fillImages(replace=False)

    def _fillTimepoints(self, known):
        combo, chosen = self.ui.timepointCombo, self._parameterNode.timepoint
        combo.blockSignals(True)
        combo.clear()
        combo.addItems(known or ["TP1"])
        combo.setCurrentIndex(max(0, combo.findText(chosen)))
        combo.blockSignals(False)

    def _fillImages(self, replace):
        for role, node in self.logic.imagesOf(self._parameterNode.timepoint or "TP1").items():
            if replace or getattr(self._parameterNode, role.lower()) is None:
                setattr(self._parameterNode, role.lower(), node)

    def onTimepoint(self, index):
        """Another time point: its images, lesions and seeds."""
        if self._parameterNode is None:
            return
        self.finishOutstanding()
        self.ui.placeWidget.setPlaceModeEnabled(False)
        self._parameterNode.timepoint = self.ui.timepointCombo.currentText
        self._parameterNode.selectedLesion = ""
        self._fillImages(replace=True)
        if self._parameterNode.t1c is not None:
            slicer.util.setSliceViewerLayers(background=self._parameterNode.t1c, fit=True)
        self.refresh()

    # -- what is there

    def images(self):
        """Role to chosen volume node."""
        p = self._parameterNode
        return {"T1c": p.t1c, "T1": p.t1, "FLAIR": p.flair, "SWI": p.swi}

    def timepoint(self):
        return self._parameterNode.timepoint or "TP1"

    def reading(self):
        """The reading of this time point; the first call prepares the images. None when cancelled."""
        if self.logic.isReady(self.timepoint(), self.images()):
            return self.logic.peek(self.timepoint())
        found = runTask(
            _("Preparing the images for clicks"),
            lambda progress: self.logic.reading(self.timepoint(), self.images(), progress),
        )
        if found is not None and found.warnings:
            self.say(" ".join(found.warnings))
        return found

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
        try:
            with slicer.util.WaitCursor():
                yield
        except BMVascularError as error:
            self.say(str(error), problem=True)

    def refresh(self, caller=None, event=None):
        if self._parameterNode is None:
            return
        ready = self._parameterNode.t1c is not None
        problem = "" if ready else _("Choose a T1c first.")
        setEnabledWithReason(self.ui.placeButton, problem, _("Place mode on or off (key S)."))
        self.candidates.refresh()
        self.followUp.refresh()
        self.observeSeeds(self.logic.seedNode(self.timepoint()))
        self.lesions.fill()
        self.logic.showCompartments3D(self.timepoint(), self._parameterNode.compartmentsIn3D)

    # -- clicks

    def showClickState(self):
        """What *Undo* and the seeds of the study offer."""
        begun = self.begun()
        self.ui.undoButton.enabled = begun is not None and bool(begun.steps)
        waiting = self.logic.numberWaiting(self.timepoint())
        self.ui.waitingButton.enabled = bool(waiting) and self._parameterNode.t1c is not None
        text = _("Segment {n} study seeds").format(n=waiting) if waiting else _("Segment study seeds")
        self.ui.waitingButton.setText(text)

    def observeSeeds(self, node):
        """Follow one point list; an earlier one is let go."""
        if node is self._observed:
            return
        events = ("PointPositionDefinedEvent", "PointEndInteractionEvent", "PointRemovedEvent")
        if self._observed is not None:
            for event in events:
                self.removeObserver(self._observed, getattr(self._observed, event), self.onSeedEvent)
        self._observed, self._seen = node, {}
        if node is not None:
            self._seen = clicksOf(node)
            for event in events:
                self.addObserver(node, getattr(node, event), self.onSeedEvent)

    def onSeedEvent(self, caller, event):
        """A point was placed, moved or removed: look once the views are done with it."""
        if not self._later.isActive():
            self._later.start(0)

    def onPlace(self, checked=False):
        """Place mode on or off."""
        if self._parameterNode is None or self._parameterNode.t1c is None:
            return
        if self.ui.placeWidget.placeModeEnabled:
            self.ui.placeWidget.setPlaceModeEnabled(False)
            return
        with self.errorsSaid():
            node = self.logic.makeSeedNode(self.timepoint(), self._parameterNode.t1c)
            self.observeSeeds(node)
            self.ui.placeWidget.setCurrentNode(node)
            self.ui.placeWidget.setPlaceModeEnabled(True)
        self.onPlaceModeChanged()

    def onPlaceModeChanged(self, active=None):
        self.ui.placeButton.checked = self.ui.placeWidget.placeModeEnabled

    def setMode(self, mode):
        """What the next click does: the name of a :class:`ClickMode`."""
        self._parameterNode.clickMode = ClickMode[mode]

    def onClicksChanged(self):
        """Bring lesions up to date with the points; measures follow when the views have been drawn."""
        if self._parameterNode is None or self._observed is None:
            return
        p, isNew, reading = self._parameterNode, self.begun() is None, None
        with self.errorsSaid():
            reading = self.reading()
        if reading is None:
            removeOthers(self._observed, self._seen)
            return
        with self.errorsSaid():
            reading.known = dict(self._seen)
            lesionId, text = reading.sync(p.clickMode.value, p.selectedLesion, p.maxRadius_mm)
            if lesionId is not None:
                p.selectedLesion = lesionId
            if text:
                self.say(" ".join([*(reading.warnings if isNew else []), text]))
        self.changed()

    def changed(self):
        """After a change: show the table, and work out the measures in a moment."""
        if self._observed is not None:
            self._seen = clicksOf(self._observed)
        self.lesions.fill()
        begun = self.begun()
        if begun is not None and begun.session.stale:
            self._settling.start(20)
        else:
            self.publish()

    def publish(self):
        begun = self.begun()
        if begun is not None:
            begun.publish()
            self.logic.showCompartments3D(self.timepoint(), self._parameterNode.compartmentsIn3D)

    def onSettle(self):
        """Outstanding compartments and measures."""
        if self._parameterNode is None or self.begun() is None:
            return
        with self.errorsSaid():
            self.begun().settle()
        self.logic.showCompartments3D(self.timepoint(), self._parameterNode.compartmentsIn3D)
        self.lesions.fill()

    def finishOutstanding(self):
        """Nothing stays half done when the panel is left."""
        if self._later.isActive():
            self._later.stop()
            self.onClicksChanged()
        if self._settling.isActive():
            self._settling.stop()
            self.onSettle()

    def onWaiting(self, checked=False):
        """Segment the seeds that came with the study."""
        with self.errorsSaid():
            reading = self.reading()
            if reading is None:
                return
            reading.seedNode()
            radius = self._parameterNode.maxRadius_mm
            failed = runTask(
                _("Segmenting the seeds of the study"),
                lambda progress: reading.segmentWaiting(radius, progress),
            )
            if failed is not None:
                self.say(" ".join(failed) or _("All seeds have a lesion."), problem=bool(failed))
        self.changed()

    def onUndo(self, checked=False):
        """Take back the last change."""
        begun = self.begun()
        if begun is not None and begun.steps:
            self.say(_("Taken back: {what}.").format(what=begun.undo()))
            self.changed()

    # -- all lesions

    def onMeasureAll(self, checked=False):
        """Compartments and measures of all lesions together."""
        with self.errorsSaid():
            reading = self.reading()
            if reading is not None:
                runTask(
                    _("Measuring all lesions"), lambda progress: reading.settle(progress, everything=True)
                )
        self.lesions.fill()

    def takeBack(self):
        """Take over what was edited elsewhere while the panel was closed."""
        begun = self.begun()
        if begun is None:
            return
        with self.errorsSaid():
            names = begun.takeBack()
            if names:
                self.say(_("Taken over from the Segment Editor: {names}.").format(names=", ".join(names)))
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
        found.begin(progress or silent)
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

    def seedNode(self, timepoint):
        """The point list of a time point, None where there is none."""
        from BMVascularLib import lesionNodes, studyNodes

        return studyNodes.firstOf(slicer.mrmlScene, lesionNodes.SEEDS, timepoint)

    def makeSeedNode(self, timepoint, t1cNode):
        """The point list of a time point, made where there is none."""
        from BMVascularLib import lesionNodes

        return lesionNodes.seedNode(slicer.mrmlScene, timepoint, t1cNode)

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

    def showCompartments3D(self, timepoint, shown):
        """Make or remove the surfaces of the compartments."""
        from BMVascularLib import lesionNodes, studyNodes

        node = studyNodes.firstOf(slicer.mrmlScene, lesionNodes.COMPARTMENT_ROLE, timepoint)
        if node is None or node.GetSegmentation().ContainsRepresentation("Closed surface") == shown:
            return
        if shown:
            node.CreateClosedSurfaceRepresentation()
            node.GetDisplayNode().SetOpacity3D(0.5)
        else:
            node.RemoveClosedSurfaceRepresentation()


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
