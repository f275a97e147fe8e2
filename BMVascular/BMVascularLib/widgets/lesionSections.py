"""Images, candidates and follow-up of the Lesion Seeding panel."""

import slicer
from slicer.i18n import tr as _

from BMVascularLib import lesionCandidates, lesionNodes, lesionTracking, studyNodes
from BMVascularLib.lesionTexts import number, short
from BMVascularLib.segments import segmentIds
from BMVascularLib.widgets.lesionList import ROW_HEIGHT
from BMVascularLib.widgets.panel import fillTable, setEnabledWithReason
from BMVascularLib.widgets.tasks import runTask


class ImageSection:
    """Time point, and its images as their roles say.

    Parameters
    ----------
    panel : BMVLesionSeedingWidget
    """

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self.ui.timepointCombo.connect("currentIndexChanged(int)", self.onTimepoint)

    def applyDefaults(self):
        """Offer the time points of the scene; fill what is empty, never replace a choice."""
        parameters, known = self.panel._parameterNode, self.panel.logic.timepoints()
        if parameters.timepoint not in known and known:
            parameters.timepoint = known[0]
        combo = self.ui.timepointCombo
        combo.blockSignals(True)
        combo.clear()
        combo.addItems(known or ["TP1"])
        combo.setCurrentIndex(max(0, combo.findText(parameters.timepoint)))
        combo.blockSignals(False)
        self._fillImages(replace=False)
        lesionNodes.showTimepoint(slicer.mrmlScene, self.panel.timepoint())

    def _fillImages(self, replace):
        parameters = self.panel._parameterNode
        for role, node in self.panel.logic.imagesOf(self.panel.timepoint()).items():
            if replace or getattr(parameters, role.lower()) is None:
                setattr(parameters, role.lower(), node)

    def onTimepoint(self, index):
        """Another time point: its images, lesions and seeds."""
        parameters = self.panel._parameterNode
        if parameters is None:
            return
        self.panel.finishOutstanding()
        self.ui.placeWidget.setPlaceModeEnabled(False)
        parameters.timepoint = self.ui.timepointCombo.currentText
        parameters.selectedLesion = ""
        self._fillImages(replace=True)
        lesionNodes.showTimepoint(slicer.mrmlScene, parameters.timepoint)
        if parameters.t1c is not None:
            slicer.util.setSliceViewerLayers(background=parameters.t1c, fit=True)
        self.panel.refresh()


class CandidateSection:
    """Bright round spots to step through; none is a lesion before a click.

    Parameters
    ----------
    panel : BMVLesionSeedingWidget
    """

    COLUMNS = (
        ("number", "#"),
        ("score", "Score"),
        ("radius", "Radius mm"),
        ("place", "R A S mm"),
        ("state", "Lesion"),
    )

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._rows, self._filling = [], False
        self.ui.findButton.connect("clicked(bool)", self.onFind)
        self.ui.candidatePreviousButton.connect("clicked(bool)", self.onPrevious)
        self.ui.candidateNextButton.connect("clicked(bool)", self.onNext)
        self.ui.candidateSeedButton.connect("clicked(bool)", self.onSeed)
        self.ui.candidateTable.connect("itemSelectionChanged()", self.onSelected)
        self.ui.candidateTable.verticalHeader().setVisible(False)
        self.ui.candidateTable.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)

    def refresh(self):
        """Show the candidates of the time point, and which of them lie in a lesion."""
        self._rows = lesionCandidates.readCandidates(slicer.mrmlScene, self.panel.timepoint())
        begun, table = self.panel.begun(), self.ui.candidateTable
        chosen, self._filling = table.currentRow(), True
        fillTable(table, [self._cells(n, row, begun) for n, row in enumerate(self._rows, 1)], self.COLUMNS)
        if 0 <= chosen < len(self._rows):
            table.selectRow(chosen)
        self._filling = False
        problem = "" if self.panel._parameterNode.t1c is not None else _("Choose a T1c first.")
        hint = _("Search the T1c (less the T1) for bright round spots, vessels left out.")
        setEnabledWithReason(self.ui.findButton, problem, hint)
        for name in ("Previous", "Next", "Seed"):
            getattr(self.ui, f"candidate{name}Button").enabled = bool(self._rows)

    @staticmethod
    def _cells(position, row, begun):
        ras = lesionCandidates.placeOf(row)
        inside = None if begun is None else begun.session.lesionAt(begun.place.lpsOfWorld(ras))
        return {
            "number": position,
            "score": short(row["score"], 2),
            "radius": short(row["radius_mm"], 2),
            "place": " ".join(f"{v:.0f}" for v in ras),
            "state": "" if inside is None else begun.session.entries[inside].name,
        }

    def onFind(self, checked=False):
        """Search for candidates."""
        with self.panel.errorsSaid():
            reading = self.panel.reading()
            if reading is None:
                return
            found = runTask(
                _("Looking for candidates"),
                lambda progress: lesionCandidates.findCandidates(slicer.mrmlScene, reading, progress),
            )
            if found is not None:
                self.panel.say(_("{n} candidates, best first.").format(n=len(found)))
        self.refresh()

    def onSelected(self):
        """A row was clicked: all views jump there."""
        position = self.ui.candidateTable.currentRow()
        if not self._filling and 0 <= position < len(self._rows):
            lesionNodes.jumpTo(slicer.mrmlScene, lesionCandidates.placeOf(self._rows[position]))

    def _step(self, by):
        if self._rows:
            position = self.ui.candidateTable.currentRow()
            self.ui.candidateTable.selectRow((position + by) % len(self._rows) if position >= 0 else 0)

    def onNext(self, checked=False):
        self._step(1)

    def onPrevious(self, checked=False):
        self._step(-1)

    def onSeed(self, checked=False):
        """Click at the selected candidate."""
        position = self.ui.candidateTable.currentRow()
        if not 0 <= position < len(self._rows):
            self.panel.say(_("Select a candidate first."), problem=True)
            return
        self.panel.setMode("NEW")
        node = self.panel.logic.seedNode(self.panel.timepoint(), self.panel._parameterNode.t1c)
        self.panel.clicks.observe(node)
        node.AddControlPointWorld(*lesionCandidates.placeOf(self._rows[position]))
        self.panel.clicks.onClicksChanged()
        self.refresh()


class FollowUpSection:
    """Which lesions of two time points are the same.

    Parameters
    ----------
    panel : BMVLesionSeedingWidget
    """

    COLUMNS = (
        ("identity", "Id"),
        ("earlier", "Before"),
        ("later", "After"),
        ("status", "Became"),
        ("distance", "mm"),
        ("decision", "State"),
    )

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._rows, self._pair, self._filling = [], None, False
        self.ui.matchButton.connect("clicked(bool)", self.onMatch)
        self.ui.confirmButton.connect("clicked(bool)", self.onConfirm)
        self.ui.changeButton.connect("clicked(bool)", self.onChange)
        self.ui.matchTable.connect("itemSelectionChanged()", self.onSelected)
        self.ui.matchTable.verticalHeader().setVisible(False)
        self.ui.matchTable.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)

    def refresh(self):
        """Show the matches of the time point with its neighbour."""
        pairs = lesionTracking.pairsOf(slicer.mrmlScene)
        mine = self.panel.timepoint()
        self._pair = next((p for p in pairs if p[1] == mine), None) or next(
            (p for p in pairs if p[0] == mine), None
        )
        problem = "" if self._pair else _("Two time points with lesions are needed.")
        text = (
            _("{earlier} compared with {later}").format(earlier=self._pair[0], later=self._pair[1])
            if self._pair
            else problem
        )
        self.ui.followLabel.setText(text)
        hint = _("Register both time points rigidly and propose which lesions are the same.")
        setEnabledWithReason(self.ui.matchButton, problem, hint)
        self._rows = lesionTracking.readMatches(slicer.mrmlScene, self._pair[1]) if self._pair else []
        self._fill()

    def _fill(self):
        chosen, self._filling = self.ui.matchTable.currentRow(), True
        cells = [{**row, "distance": short(number(row["distance_mm"]), 2)} for row in self._rows]
        fillTable(self.ui.matchTable, cells, self.COLUMNS)
        if 0 <= chosen < len(self._rows):
            self.ui.matchTable.selectRow(chosen)
        self._filling = False
        self._showState()

    def _showState(self):
        row = self._selected()
        self.ui.confirmButton.enabled = row is not None
        isEarlier = row is not None and bool(row["earlier_ids"])
        self.ui.changeButton.enabled = self.ui.laterCombo.enabled = isEarlier
        self.ui.laterCombo.clear()
        if isEarlier:
            self.ui.laterCombo.addItem(_("none: it vanished"), "")
            for lesionId, name in self._laterNames().items():
                self.ui.laterCombo.addItem(name, lesionId)
            present = [self.ui.laterCombo.itemData(n) for n in range(self.ui.laterCombo.count)]
            self.ui.laterCombo.setCurrentIndex(present.index(row["later_ids"].split(" ")[0]))

    def _laterNames(self):
        node = studyNodes.firstOf(slicer.mrmlScene, lesionNodes.LESIONS, self._pair[1])
        return {key: node.GetSegmentation().GetSegment(key).GetName() for key in segmentIds(node)}

    def _selected(self):
        position = self.ui.matchTable.currentRow()
        return self._rows[position] if 0 <= position < len(self._rows) else None

    def onSelected(self):
        """A row was clicked: the views jump to its lesion, if it is there at the time point shown."""
        if self._filling:
            return
        self._showState()
        row, mine = self._selected(), self.panel.timepoint()
        if row is None:
            return
        if row.get("reasons"):
            self.panel.say(_("{name}: {reasons}.").format(name=row["identity"], reasons=row["reasons"]))
        ids = row["earlier_ids" if mine == self._pair[0] else "later_ids"].split()
        if ids:
            self.panel.logic.jumpToLesion(mine, ids[0])
        else:
            text = _("{name} is not there at {timepoint}.")
            self.panel.say(text.format(name=row["identity"], timepoint=mine))

    def onMatch(self, checked=False):
        """Register and match."""
        self.panel.finishOutstanding()
        earlier, later = self._pair
        with self.panel.errorsSaid():
            text = runTask(
                _("Matching lesions"),
                lambda progress: lesionTracking.matchTimepoints(slicer.mrmlScene, earlier, later, progress),
            )
            if text is not None:
                self.panel.say(text)
        self.refresh()

    def onConfirm(self, checked=False):
        """The selected match is right."""
        position = self.ui.matchTable.currentRow()
        self._write(self._alike(lesionTracking.confirmed(self._rows, position), position))

    def _alike(self, rows, position):
        """One lesion that stayed one gets its earlier name at the later time point, too."""
        row, later = rows[position], self._pair[1]
        ids = row["later_ids"].split()
        if len(ids) != 1 or len(row["earlier_ids"].split()) != 1 or row["earlier"] == row["later"]:
            return rows
        logic = self.panel.logic
        with self.panel.errorsSaid():
            reading = logic.peek(later) or logic.reading(later, logic.imagesOf(later))
            # another lesion may carry that name by chance (L1, L2 ...): the two names change places
            other = next((key for key, name in self._laterNames().items() if name == row["earlier"]), None)
            if other is not None:
                reading.rename(ids[0], row["earlier"] + " (2)")
                reading.rename(other, row["later"])
            reading.rename(ids[0], row["earlier"])
        names = self._laterNames()
        return lesionTracking.renamed(rows, names)

    def onChange(self, checked=False):
        """Another lesion, or none, is the match of the selected one."""
        lesionId = self.ui.laterCombo.itemData(self.ui.laterCombo.currentIndex) or None
        position = self.ui.matchTable.currentRow()
        identity = self._rows[position]["identity"]
        rows = lesionTracking.changed(self._rows, position, lesionId, self._laterNames())
        self._write(self._alike(rows, next(n for n, row in enumerate(rows) if row["identity"] == identity)))

    def _write(self, rows):
        lesionTracking.writeMatches(slicer.mrmlScene, *self._pair, rows)
        self.refresh()
