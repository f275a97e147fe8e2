"""The table of lesions: select, review, rename, split, delete, hand over."""

import qt
import slicer
from slicer.i18n import tr as _

from BMVascularLib.lesionTexts import COLUMNS, cellsOf, detailOf
from BMVascularLib.widgets.panel import fillTable

ROW_HEIGHT = 22
# a look at the column tells what is left to do: amber wants a look, green is done
_LOOK, _DONE = "#b9770e", "#1e8449"
_REVIEW_COLORS = {"Completed": _DONE, "Flagged": _LOOK}
_KEYS = [column[0] for column in COLUMNS]
# a long name is cut, so that the row stays in view
_WIDEST_NAME = 80
_RESIZED = {"name": qt.QHeaderView.Interactive, "where": qt.QHeaderView.Stretch}
_NEEDS_SELECTION = ("accept", "flag", "split", "delete", "rename", "edit")


class LesionSection:
    """The section *Lesions* of the Lesion Seeding panel.

    Parameters
    ----------
    panel : BMVLesionSeedingWidget
    """

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._rows, self._cells, self._filling = [], None, False
        for name, action in (
            ("previous", self.onPrevious),
            ("next", self.onNext),
            ("accept", self.onAccept),
            ("flag", self.onFlag),
            ("split", self.onSplit),
            ("delete", self.onDelete),
            ("rename", self.onRename),
            ("edit", self.onEdit),
        ):
            getattr(self.ui, f"{name}Button").connect("clicked(bool)", action)
        self.ui.lesionTable.connect("itemSelectionChanged()", self.onSelected)
        self.ui.lesionTable.connect("itemChanged(QTableWidgetItem*)", self.onRenamed)
        self.ui.lesionTable.verticalHeader().setVisible(False)
        self.ui.lesionTable.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)

    @property
    def parameters(self):
        """The panel's parameter node."""
        return self.panel._parameterNode

    def fill(self):
        """Show the lesions, the selection kept, and what the buttons may do."""
        rows = self.panel.logic.rows(self.panel.timepoint())
        cells = [cellsOf(row) for row in rows]
        self._filling, self._rows = True, rows
        # a table that is not filled anew keeps what a person is doing with it
        if cells != self._cells:
            self._cells = cells
            self._fillCells(rows, cells)
        ids = [row["segment_id"] for row in rows]
        chosen = self.parameters.selectedLesion
        if chosen in ids:
            self.ui.lesionTable.selectRow(ids.index(chosen))
        else:
            self.ui.lesionTable.clearSelection()
        self._filling = False
        self._showState()

    def _fillCells(self, rows, cells):
        table = self.ui.lesionTable
        fillTable(table, cells, [column[:2] for column in COLUMNS])
        header = table.horizontalHeader()
        for number, (key, _heading, tip) in enumerate(COLUMNS):
            table.horizontalHeaderItem(number).setToolTip(tip)
            header.setSectionResizeMode(number, _RESIZED.get(key, qt.QHeaderView.ResizeToContents))
        flags = qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled | qt.Qt.ItemIsEditable
        for number, row in enumerate(rows):
            table.item(number, 0).setFlags(flags)
            self._tint(number, row)
        wanted = max(table.sizeHintForColumn(0), header.sectionSizeHint(0))
        header.resizeSection(0, min(_WIDEST_NAME, wanted))

    def _tint(self, number, row):
        colors = {
            "volume": _LOOK if row.get("confidence") == "low" else "",
            "review": _REVIEW_COLORS.get(row["review"], ""),
        }
        for key, color in colors.items():
            if color:
                item = self.ui.lesionTable.item(number, _KEYS.index(key))
                item.setForeground(qt.QBrush(qt.QColor(color)))
        rgb = self.panel.logic.colorOfLesion(self.panel.timepoint(), row["segment_id"])
        if rgb is not None:
            square = qt.QColor(*[round(255 * part) for part in rgb])
            self.ui.lesionTable.item(number, 0).setData(qt.Qt.DecorationRole, square)

    def _showState(self):
        row = self.selectedRow()
        self.ui.detailLabel.setText(detailOf(row) if row else "")
        for name in _NEEDS_SELECTION:
            getattr(self.ui, f"{name}Button").enabled = row is not None
        for name in ("previous", "next", "measure"):
            getattr(self.ui, f"{name}Button").enabled = bool(self._rows)
        self.panel.clicks.showState()

    def selectedRow(self):
        """The row of the selected lesion, None where none is."""
        chosen = self.parameters.selectedLesion
        return next((row for row in self._rows if row["segment_id"] == chosen), None)

    def onSelected(self):
        """A row was clicked: all views jump to its lesion."""
        number = self.ui.lesionTable.currentRow()
        if not self._filling and 0 <= number < len(self._rows):
            self.select(number)

    def select(self, number):
        """Select a row and bring its lesion into all views."""
        self.parameters.selectedLesion = self._rows[number]["segment_id"]
        self._showState()
        self.panel.logic.jumpToLesion(self.panel.timepoint(), self.parameters.selectedLesion)

    def _step(self, by):
        if self.parameters is None or not self._rows:
            return
        ids = [row["segment_id"] for row in self._rows]
        chosen = self.parameters.selectedLesion
        number = (ids.index(chosen) + by) % len(ids) if chosen in ids else 0
        self.select(number)
        self.fill()

    def onNext(self, checked=False):
        self._step(1)

    def onPrevious(self, checked=False):
        self._step(-1)

    def onAccept(self, checked=False):
        """Mark the lesion as reviewed and go to the next one."""
        self._review("Completed")
        self._step(1)

    def onFlag(self, checked=False):
        """Mark the lesion for a second look."""
        self._review("Flagged")

    def _review(self, state):
        self._onSelected(lambda reading, lesionId: reading.accept(lesionId, state))

    def _onSelected(self, work):
        """Do something with the selected lesion; the reading begins if need be."""
        if self.parameters is None or self.selectedRow() is None:
            return
        with self.panel.errorsSaid():
            reading = self.panel.reading()
            if reading is not None and self.selectedRow() is not None:
                work(reading, self.parameters.selectedLesion)
        self.panel.changed()

    def onDelete(self, checked=False):
        """Remove the selected lesion with its clicks."""

        def work(reading, lesionId):
            name = reading.session.entries[lesionId].name
            reading.delete(lesionId)
            self.panel.say(_("{name} was deleted; Undo brings it back.").format(name=name))

        self._onSelected(work)

    def onSplit(self, checked=False):
        """Divide the selected lesion, or ask for a click into its other part."""
        self._onSelected(self._split)

    def _split(self, reading, lesionId):
        if not reading.canSplit(lesionId):
            self.panel.setMode("NEW")
            if not self.ui.placeWidget.placeModeEnabled:
                self.panel.clicks.onPlace()
            self.panel.say(_("Click into the other part of the lesion: it becomes a lesion of its own."))
            return
        ids = reading.split(lesionId, self.parameters.maxRadius_mm)
        self.panel.say(_("Divided into {n} lesions.").format(n=len(ids)))

    def onRename(self, checked=False):
        """Begin to edit the name of the selected lesion."""
        number = self.ui.lesionTable.currentRow()
        if number >= 0:
            self.ui.lesionTable.editItem(self.ui.lesionTable.item(number, 0))

    def onRenamed(self, item):
        """A name was typed into the table."""
        if self._filling or item.column() != 0:
            return
        lesionId, name = self._rows[item.row()]["segment_id"], item.text()
        # the table is filled anew afterwards: not while it still works on this item
        qt.QTimer.singleShot(0, lambda: self._rename(lesionId, name))

    def _rename(self, lesionId, name):
        if self.parameters is None:
            return
        self._cells = None
        with self.panel.errorsSaid():
            reading = self.panel.reading()
            if reading is not None:
                reading.rename(lesionId, name)
        self.panel.changed()

    def onEdit(self, checked=False):
        """Hand the selected lesion over to the Segment Editor."""
        if self.selectedRow() is not None:
            self.panel.finishOutstanding()
            self.panel.logic.handOver(
                self.panel.timepoint(), self.parameters.selectedLesion, self.parameters.t1c
            )
            slicer.util.selectModule("SegmentEditor")
