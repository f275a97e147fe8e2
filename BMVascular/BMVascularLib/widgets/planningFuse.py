"""The section Fuse of the planning panel."""

import qt
import slicer
from slicer.i18n import tr as _

from BMVascularLib.widgets.panel import fillTable, setEnabledWithReason, unticked
from BMVascularLib.widgets.tasks import runTask

FLICKER_MS = 500


class FuseSection:
    """Register or check, look, accept."""

    FUSION_COLUMNS = (
        ("lesion", _("Lesion")),
        ("expected_error_mm", _("Expected mm")),
        ("upper_mm", _("Upper mm")),
    )
    VERDICT_COLORS = {"pass": "#1b7837", "check": "#b35806", "fail": "#b2182b"}  # noqa: RUF012

    def setupFuse(self):
        """Connect the section."""
        ui = self.ui
        ui.fuseButton.connect("clicked(bool)", self.onFuse)
        ui.checkButton.connect("clicked(bool)", self.onCheck)
        ui.givenSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.updateFuse)
        ui.givenPath.connect("currentPathChanged(QString)", self.updateFuse)
        ui.fusionTable.connect("cellClicked(int,int)", self.onFusionRow)
        ui.blendSlider.connect("valueChanged(double)", self.onBlend)
        ui.flickerButton.connect("toggled(bool)", self.onFlicker)
        ui.checkerboardBox.connect("toggled(bool)", self.onCheckerboard)
        ui.squareSlider.connect("valueChanged(double)", self.onSquare)
        ui.edgesBox.connect("toggled(bool)", self.onEdges)
        ui.spyGlassBox.connect("toggled(bool)", self.onSpyGlass)
        for selector, place in (
            (ui.ctLandmarksSelector, ui.ctPlaceWidget),
            (ui.t1cLandmarksSelector, ui.t1cPlaceWidget),
            (ui.isocentreSelector, ui.isocentrePlaceWidget),
        ):
            selector.connect("currentNodeChanged(vtkMRMLNode*)", place.setCurrentNode)
            place.setCurrentNode(selector.currentNode())
            # all but this one are hidden by the form
            place.placeButton().show()
        for selector in (ui.ctLandmarksSelector, ui.t1cLandmarksSelector):
            selector.connect("currentNodeChanged(vtkMRMLNode*)", self.updateFuse)
        ui.acceptButton.connect("clicked(bool)", self.onAccept)
        ui.withdrawButton.connect("clicked(bool)", self.onWithdraw)
        ui.handButton.connect("toggled(bool)", self.onByHand)
        self.glass = None
        self._cursor = None
        self.flickerTimer = qt.QTimer()
        self.flickerTimer.setInterval(FLICKER_MS)
        self.flickerTimer.connect("timeout()", self.onFlickerTick)
        self.flickerOnTop = False

    def updateFuse(self, *_args):
        """Verdict, residuals and what can be pressed now."""
        ui, p = self.ui, self._parameterNode
        problem = ""
        if p is None or p.ctVolume is None or p.t1cVolume is None:
            problem = _("Choose the planning CT and the T1.")
        elif p.ctVolume is p.t1cVolume:
            problem = _("Planning image and T1 are the same: there is nothing to fuse.")
        setEnabledWithReason(
            ui.handButton,
            problem,
            _("Show handles that move and turn the T1; then fuse from where it stands."),
        )
        marked = [s.currentNode() is not None for s in (ui.ctLandmarksSelector, ui.t1cLandmarksSelector)]
        ui.startHereBox.enabled = not any(marked)
        setEnabledWithReason(
            ui.fuseButton,
            problem or ("" if marked[0] == marked[1] else _("Choose landmarks in both images, or in none.")),
            _("Register the T1 to the planning CT and measure how far the result can be trusted."),
        )
        given = (ui.givenSelector.currentNode() is not None) + bool(ui.givenPath.currentPath)
        setEnabledWithReason(
            ui.checkButton,
            problem or ("" if given == 1 else _("Choose one transform: a node or a file.")),
            _("Measure the given transform in the same way, and place the T1 below it."),
        )
        facts = self.logic.planningFacts(p.ctVolume, p.t1cVolume, p.lesions) if p is not None else {}
        ui.verdictLabel.text = self.logic.verdictText(facts)
        ui.verdictLabel.setStyleSheet(f"color: {self.VERDICT_COLORS.get(facts.get('verdict'), 'gray')};")
        t1c = p.t1cVolume if p is not None else None
        fillTable(ui.fusionTable, self.logic.residualRows(t1c), self.FUSION_COLUMNS)
        ct = p.ctVolume if p is not None else None
        self.updateAccept(self.logic.fusionFacts(t1c, ct), t1c)

    def updateAccept(self, facts, t1c):
        """What was accepted, and whether it can be."""
        ui = self.ui
        problem = "" if facts else _("Fuse first.")
        if facts.get("verdict") == "fail":
            problem = _("The fusion failed its checks and cannot be accepted.")
        setEnabledWithReason(
            ui.acceptButton,
            problem,
            _("Record what was looked at, the verdict and its numbers in a table. No names are recorded."),
        )
        rows = self.logic.acceptanceRows(t1c)
        seen = [row["checked"] for row in rows if row["result"] == "looked at"]
        ui.acceptedLabel.text = (
            _("Accepted; looked at: {what}.").format(what=", ".join(seen)) if seen else _("Not accepted yet.")
        )
        ct = self._parameterNode.ctVolume if self._parameterNode is not None else None
        for box in (ui.flickerButton, ui.checkerboardBox, ui.spyGlassBox, ui.blendSlider):
            box.enabled = None not in (ct, t1c) and ct is not t1c
        setEnabledWithReason(
            ui.withdrawButton,
            "" if seen else _("Nothing is accepted."),
            _("Take the acceptance back."),
        )
        ui.edgesBox.enabled = ct is not None

    def onFuse(self, checked=False):
        """Register with progress and Cancel."""
        p, ui = self._parameterNode, self.ui
        with slicer.util.tryWithErrorDisplay(_("The fusion was not made."), waitCursor=True):
            landmarks = (ui.ctLandmarksSelector.currentNode(), ui.t1cLandmarksSelector.currentNode())
            start = self.logic.startOfFusion(p.t1cVolume, *landmarks, ui.startHereBox.checked)
            runTask(
                _("Fusing T1 and CT"),
                lambda progress: self.logic.fuse(
                    p.ctVolume, p.t1cVolume, p.lesions, progress, start, self.ageOrNone()
                ),
            )
        self.afterFusion()

    def onCheck(self, checked=False):
        """Check a transform from elsewhere."""
        p, ui = self._parameterNode, self.ui
        with slicer.util.tryWithErrorDisplay(_("The transform was not used."), waitCursor=True):
            runTask(
                _("Checking the transform"),
                lambda progress: self.logic.check(
                    p.ctVolume,
                    p.t1cVolume,
                    p.lesions,
                    ui.givenSelector.currentNode(),
                    ui.givenPath.currentPath,
                    progress,
                    self.ageOrNone(),
                ),
            )
        self.afterFusion()

    def ageOrNone(self):
        """Age of the MRI in days as typed, None where it was not."""
        days = int(self.ui.mriAgeSpin.value)
        return days if days >= 0 else None

    def afterFusion(self):
        """Show the pair and the new verdict."""
        p = self._parameterNode
        for box in (self.ui.checkerboardBox, self.ui.spyGlassBox, self.ui.edgesBox, self.ui.handButton):
            box.checked = False
        self.forgetLooks()
        if self.logic.fusionFacts(p.t1cVolume):
            self.logic.showPair(p.ctVolume, p.t1cVolume, p.blend)
            slicer.util.resetSliceViews()
        self.refreshAll()
        if self.ui.fusionTable.rowCount:
            self.onFusionRow(0, 0)

    def forgetLooks(self):
        """What was looked at belongs to one fusion only."""
        ui = self.ui
        for box in (ui.lookedSkullBox, ui.lookedVentriclesBox, ui.lookedLesionsBox, ui.lookedSideBox):
            box.checked = False

    def onFusionRow(self, row, column):
        """Go to the lesion of a row."""
        self.jumpToLesion(self.ui.fusionTable.item(row, 0).text())

    def jumpToLesion(self, name):
        """Centre the slice views on a lesion."""
        lesions = self._parameterNode.lesions if self._parameterNode is not None else None
        if lesions is not None:
            self.logic.jumpToLesion(lesions, name)

    def onBlend(self, value):
        """Opacity of the T1 over the CT."""
        p = self._parameterNode
        if p is not None and not self._connecting and p.ctVolume is not None and p.t1cVolume is not None:
            self.leaveMixed()
            self.logic.showPair(p.ctVolume, p.t1cVolume, value)

    def onFlicker(self, on):
        """Show CT and T1 in turn."""
        p = self._parameterNode
        if not on:
            self.flickerTimer.stop()
            if p is not None and p.t1cVolume is not None:
                self.logic.setOpacity(p.blend)
            return
        self.leaveMixed()
        self.logic.showPair(p.ctVolume, p.t1cVolume, 1.0)
        self.flickerTimer.start()

    def onFlickerTick(self):
        """Change what lies on top."""
        self.flickerOnTop = not self.flickerOnTop
        self.logic.setOpacity(1.0 if self.flickerOnTop else 0.0)

    def onCheckerboard(self, on):
        """Show or remove the checkerboard."""
        p = self._parameterNode
        if p is None or p.ctVolume is None or p.t1cVolume is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The checkerboard was not made."), waitCursor=True):
            if on:
                self.ui.flickerButton.checked = False
                self.ui.spyGlassBox.checked = False
                self.logic.showCheckerboard(p.ctVolume, p.t1cVolume, p.squareMm)
            else:
                self.logic.removeDerived("checkerboard")
                self.logic.showPair(p.ctVolume, p.t1cVolume, p.blend)

    def leaveMixed(self):
        """Pictures mixed of CT and T1 go before another way of looking."""
        self.ui.checkerboardBox.checked = False
        self.ui.spyGlassBox.checked = False

    def onSpyGlass(self, on):
        """Show the T1 in a round window that follows the cursor."""
        p = self._parameterNode
        if p is None or p.ctVolume is None or p.t1cVolume is None:
            return
        self.forgetGlass()
        with slicer.util.tryWithErrorDisplay(_("The spy-glass was not made."), waitCursor=True):
            if on:
                self.ui.flickerButton.checked = False
                self.ui.checkerboardBox.checked = False
                self.glass = self.logic.spyGlass(p.ctVolume, p.t1cVolume)
                self._cursor = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
                if self._cursor is not None:
                    event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
                    self.addObserver(self._cursor, event, self.onGlassMoved)
                self.onGlassMoved()
            else:
                self.logic.removeDerived("spyglass")
                self.logic.showPair(p.ctVolume, p.t1cVolume, p.blend)

    def forgetGlass(self):
        """The cursor no longer moves the window."""
        if self._cursor is not None:
            event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
            self.removeObserver(self._cursor, event, self.onGlassMoved)
        self.glass, self._cursor = None, None

    def leaveScene(self):
        """The scene goes, and with it the spy-glass and the wish to start from where the T1 stood."""
        self.forgetGlass()
        self.ui.startHereBox.checked = False
        self.ui.spyGlassBox.blockSignals(True)
        self.ui.spyGlassBox.checked = False
        self.ui.spyGlassBox.blockSignals(False)

    def onGlassMoved(self, caller=None, event=None):
        """Draw the window where the cursor is."""
        if self.glass is None or self._cursor is None:
            return
        ras = [0.0, 0.0, 0.0]
        # outside the views there is no cursor
        if self._cursor.GetCursorPositionRAS(ras):
            self.glass.look(ras, self._parameterNode.squareMm)

    def onSquare(self, value):
        """Other squares while the checkerboard is shown, another width of the spy-glass."""
        if self._parameterNode is None or self._connecting:
            return
        if self.ui.checkerboardBox.checked:
            self.onCheckerboard(True)
        self.onGlassMoved()

    def onEdges(self, on):
        """Show or remove the bone edges of the CT."""
        p = self._parameterNode
        if p is None or p.ctVolume is None:
            return
        if not on:
            self.logic.removeDerived("edges")
            return
        told = slicer.util.tryWithErrorDisplay(_("The edges were not drawn."), waitCursor=True)
        with unticked(self.ui.edgesBox, on), told:
            self.logic.showBoneEdges(p.ctVolume)

    def leaveViews(self):
        """What is shown only goes when the panel is left; CT and T1 stay in the views."""
        ui, p = self.ui, self._parameterNode
        mixed = (ui.flickerButton, ui.checkerboardBox, ui.spyGlassBox)
        wasMixed = any(box.checked for box in mixed)
        self.flickerTimer.stop()
        self.forgetGlass()
        for box in (*mixed, ui.edgesBox, ui.handButton):
            box.blockSignals(True)
            box.checked = False
            box.blockSignals(False)
        self.logic.removeDerived("checkerboard", "spyglass", "edges")
        self.logic.hideHandles()
        for place in (ui.ctPlaceWidget, ui.t1cPlaceWidget, ui.isocentrePlaceWidget):
            place.setPlaceModeEnabled(False)
        if wasMixed and p is not None and p.ctVolume is not None:
            self.logic.showPair(p.ctVolume, p.t1cVolume, p.blend)

    def onByHand(self, on):
        """Handles to move the T1 with; the search then starts from where it was put."""
        p = self._parameterNode
        if p is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The T1 cannot be moved.")):
            if on:
                self.leaveMixed()
                self.logic.showHandles(p.ctVolume, p.t1cVolume, p.lesions)
                self.ui.startHereBox.checked = True
            else:
                self.logic.hideHandles()
        self.refreshAll()

    def onWithdraw(self, checked=False):
        """Take the acceptance back."""
        self.logic.withdraw(self._parameterNode.t1cVolume)
        self.forgetLooks()
        self.updateFuse()

    def onAccept(self, checked=False):
        """Record what was looked at."""
        ui = self.ui
        looked = {
            "skull": ui.lookedSkullBox.checked,
            "ventricles": ui.lookedVentriclesBox.checked,
            "lesions": ui.lookedLesionsBox.checked,
            "side": ui.lookedSideBox.checked,
        }
        with slicer.util.tryWithErrorDisplay(_("The fusion was not accepted.")):
            self.logic.accept(self._parameterNode.t1cVolume, looked)
        self.updateFuse()
