"""Clicks of the Lesion Seeding panel: place mode, points that come, move and go, undo."""

from slicer.i18n import tr as _

from BMVascularLib.seeds import clicksOf, removeOthers
from BMVascularLib.widgets.panel import setEnabledWithReason
from BMVascularLib.widgets.tasks import runTask

_EVENTS = ("PointPositionDefinedEvent", "PointEndInteractionEvent", "PointRemovedEvent")


class ClickSection:
    """The section *Clicks*: one point list is followed at a time.

    Parameters
    ----------
    panel : BMVLesionSeedingWidget
    """

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._observed, self._seen = None, {}
        self.ui.placeWidget.placeModePersistency = True
        self.ui.placeWidget.connect("activeMarkupsPlaceModeChanged(bool)", self.onPlaceModeChanged)
        self.ui.placeButton.connect("clicked(bool)", self.onPlace)
        self.ui.undoButton.connect("clicked(bool)", self.onUndo)
        self.ui.waitingButton.connect("clicked(bool)", self.onWaiting)

    def refresh(self):
        """Follow the point list of the time point, and show what can be done."""
        ready = self.panel._parameterNode.t1c is not None
        problem = "" if ready else _("Choose a T1c first.")
        setEnabledWithReason(self.ui.placeButton, problem, _("Place mode on or off (key S)."))
        self.observe(self.panel.logic.seedNode(self.panel.timepoint()))

    def showState(self):
        """What *Undo* and the seeds of the study offer."""
        begun = self.panel.begun()
        none = (
            "" if begun is not None and begun.steps else _("Nothing to take back since the scene was opened.")
        )
        setEnabledWithReason(self.ui.undoButton, none, _("Take back the last change (key U)."))
        waiting = self.panel.logic.numberWaiting(self.panel.timepoint())
        self.ui.waitingButton.enabled = bool(waiting) and self.panel._parameterNode.t1c is not None
        text = _("Segment {n} study seeds").format(n=waiting) if waiting else _("Segment study seeds")
        self.ui.waitingButton.setText(text)

    def observe(self, node):
        """Follow one point list; an earlier one is let go."""
        if node is self._observed:
            return
        if self._observed is not None:
            for event in _EVENTS:
                self.panel.removeObserver(self._observed, getattr(self._observed, event), self.onSeedEvent)
        self._observed, self._seen = node, {}
        if node is not None:
            self._seen = clicksOf(node)
            for event in _EVENTS:
                self.panel.addObserver(node, getattr(node, event), self.onSeedEvent)

    def release(self):
        """Leave place mode and let go of the point list."""
        self.ui.placeWidget.setPlaceModeEnabled(False)
        self.ui.placeWidget.setCurrentNode(None)
        self.observe(None)

    def remember(self):
        """The points as they are now are known: only later changes count."""
        if self._observed is not None:
            self._seen = clicksOf(self._observed)

    def onSeedEvent(self, caller, event):
        """A point was placed, moved or removed: look once the views are done with it."""
        self.panel.clicksLater()

    def onPlace(self, checked=False):
        """Place mode on or off."""
        parameters = self.panel._parameterNode
        if self.ui.placeWidget.placeModeEnabled:
            self.ui.placeWidget.setPlaceModeEnabled(False)
        elif parameters is not None and parameters.t1c is not None:
            node = self.panel.logic.seedNode(self.panel.timepoint(), parameters.t1c)
            self.observe(node)
            self.ui.placeWidget.setCurrentNode(node)
            self.ui.placeWidget.setPlaceModeEnabled(True)
        self.onPlaceModeChanged()

    def onPlaceModeChanged(self, active=None):
        self.ui.placeButton.checked = self.ui.placeWidget.placeModeEnabled

    def onClicksChanged(self):
        """Bring lesions up to date with the points; measures follow when the views have been drawn."""
        if (
            self.panel._parameterNode is None
            or self._observed is None
            or clicksOf(self._observed) == self._seen
        ):
            return
        parameters, isNew, reading = self.panel._parameterNode, self.panel.begun() is None, None
        radius_mm = parameters.maxRadius_mm
        with self.panel.errorsSaid():
            reading = self.panel.reading()
        if reading is None:
            # cancelled, unless the scene was closed meanwhile
            if self._observed is not None:
                removeOthers(self._observed, self._seen)
            return
        with self.panel.errorsSaid():
            if isNew:
                reading.known = dict(self._seen)
            reading.takeBack(radius_mm, clicks=False)
            mode = parameters.clickMode.value
            lesionId, text = reading.sync(mode, parameters.selectedLesion, radius_mm)
            if lesionId is not None:
                parameters.selectedLesion = lesionId
            # a click wants to be seen
            self.ui.outlinesCheck.checked = True
            if text:
                self.panel.say(" ".join([*(reading.warnings if isNew else []), text]))
        self.panel.changed()

    def onWaiting(self, checked=False):
        """Segment the seeds that came with the study."""
        with self.panel.errorsSaid():
            reading = self.panel.reading()
            if reading is None:
                return
            reading.seedNode()
            radius_mm = self.panel._parameterNode.maxRadius_mm
            failed = runTask(
                _("Segmenting the seeds of the study"),
                lambda progress: reading.segmentWaiting(radius_mm, progress),
            )
            if failed is not None:
                self.panel.say(" ".join(failed) or _("All seeds have a lesion."), problem=bool(failed))
        self.panel.changed()

    def onUndo(self, checked=False):
        """Take back the last change."""
        self.panel.takeBack()
        begun = self.panel.begun()
        if begun is None or not begun.steps:
            self.panel.say(_("Nothing to take back since the scene was opened."))
            return
        self.panel.say(_("Taken back: {what}.").format(what=begun.undo()))
        self.panel.changed()
