"""The section Organs at risk of the planning panel."""

import slicer
from slicer.i18n import tr as _

from BMVascularLib.widgets.panel import fillTable, makeEditable, setEnabledWithReason


class OrgansSection:
    """Structures, distances, constraint rows."""

    CONSTRAINT_COLUMNS = (
        ("structure", _("Structure")),
        ("metric", _("Metric")),
        ("limit", _("Limit")),
        ("value", _("Reached")),
        ("within", _("Compared")),
        ("kind", _("Kind")),
        ("source", _("Source")),
        ("verified", _("Checked")),
    )
    # columns of limit and source
    EDITED = (2, 6)

    def setupOrgans(self):
        """Connect the section."""
        ui = self.ui
        ui.structuresPath.connect("currentPathChanged(QString)", self.updateOrgans)
        ui.structuresButton.connect("clicked(bool)", self.onImportStructures)
        ui.drawButton.connect("clicked(bool)", self.onDraw)
        ui.lesionButton.connect("clicked(bool)", self.onUseAsLesion)
        ui.distancesButton.connect("clicked(bool)", self.onDistances)
        ui.fractionsBox.connect("currentIndexChanged(int)", self.updateConstraints)
        ui.constraintsTable.connect("itemChanged(QTableWidgetItem*)", self.onConstraintEdited)
        self._constraints = []

    def updateOrgans(self, *_args):
        """What can be pressed now, and the structures to choose the brain from."""
        ui, p = self.ui, self._parameterNode
        setEnabledWithReason(
            ui.structuresButton,
            "" if ui.structuresPath.currentPath else _("Choose a structure file."),
            _("Add the structures of the file as a segmentation."),
        )
        missing = p is None or p.lesions is None
        setEnabledWithReason(
            ui.distancesButton,
            _("Choose the lesions.") if missing else "",
            _("Shortest distance between surfaces, in mm."),
        )
        names = self.logic.organNames(p.organs) if p is not None else []
        noCt = _("Choose the planning CT.") if p is None or p.ctVolume is None else ""
        setEnabledWithReason(
            ui.drawButton,
            noCt,
            _("Make an empty segmentation on the planning CT and open the Segment Editor."),
        )
        ui.contourBox.clear()
        ui.contourBox.addItems(names)
        setEnabledWithReason(
            ui.lesionButton,
            noCt or ("" if names else _("Import structures or choose organs.")),
            _("Take this structure as a lesion: targets can be made of it without a fusion."),
        )
        chosen = ui.brainBox.currentText
        ui.brainBox.clear()
        ui.brainBox.addItems([_("none"), *names])
        brain = next((n for n in names if n == chosen or n.strip().lower() == "brain"), _("none"))
        ui.brainBox.setCurrentText(brain)
        self.updateConstraints()

    def onImportStructures(self, checked=False):
        """Read a structure set into the scene."""
        p = self._parameterNode
        with slicer.util.tryWithErrorDisplay(_("The structures were not imported."), waitCursor=True):
            # a plan may come without its CT: contours are then shown on the grid of the dose
            grid = p.ctVolume or p.dose
            node, warnings = self.logic.importStructures(self.ui.structuresPath.currentPath, grid)
            p.organs = node
            if warnings:
                slicer.util.warningDisplay("\n".join(warnings))
        self.updateOrgans()

    def onDraw(self, checked=False):
        """A new segmentation on the planning CT, and the Segment Editor to draw into it."""
        p = self._parameterNode
        with slicer.util.tryWithErrorDisplay(_("Nothing can be drawn.")):
            p.organs = self.logic.addDrawing(p.ctVolume)
            slicer.util.selectModule("SegmentEditor")

    def onUseAsLesion(self, checked=False):
        """A contour on the planning image becomes a lesion."""
        p = self._parameterNode
        with slicer.util.tryWithErrorDisplay(_("The structure was not taken."), waitCursor=True):
            p.lesions = self.logic.useAsLesion(p.organs, self.ui.contourBox.currentText, p.ctVolume)
        self.refreshAll()

    def onDistances(self, checked=False):
        """Fill the table of distances."""
        p = self._parameterNode
        with slicer.util.tryWithErrorDisplay(_("The distances were not measured."), waitCursor=True):
            rows, names = self.logic.distances(p.lesions, p.organs)
            columns = [
                ("lesion", _("Lesion")),
                *[(name, name) for name in names],
                ("distance_mm", _("Next lesion mm")),
                ("nearest_lesion", _("Next lesion")),
            ]
            fillTable(self.ui.distancesTable, rows, columns)

    def updateConstraints(self, *_args):
        """Constraint rows of the chosen fractionation."""
        p, text = self._parameterNode, self.ui.fractionsBox.currentText
        rows, table = [], self.ui.constraintsTable
        if p is not None and text.isdigit():
            rows = self.logic.constraintRows(int(text), p.organs)
        self._constraints = rows
        table.blockSignals(True)
        fillTable(table, rows, self.CONSTRAINT_COLUMNS)
        makeEditable(
            table, self.EDITED, _("Double click to edit; an empty limit brings the published row back.")
        )
        table.blockSignals(False)

    def onConstraintEdited(self, item):
        """Another limit or citation; the published row stays known."""
        table, row = self.ui.constraintsTable, item.row()
        limit, source = (table.item(row, column).text() for column in self.EDITED)
        try:
            with slicer.util.tryWithErrorDisplay(_("The constraint was not changed.")):
                self.logic.editConstraint(self._constraints[row], limit, source)
        finally:
            self.updateConstraints()
