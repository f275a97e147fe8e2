"""The section Dose review of the planning panel."""

import qt
import slicer
from slicer.i18n import tr as _

from BMVascularLib.widgets.panel import fillTable, setEnabledWithReason
from BMVascularLib.widgets.tasks import runTask


class DoseSection:
    """Dose-volume histograms, indices, isodose lines."""

    HABITAT_COLUMNS = (
        ("lesion", _("Lesion")),
        ("region", _("Region")),
        ("volume_ml", _("mL")),
        ("d98_gy", _("D98 Gy")),
        ("dmean_gy", _("Mean Gy")),
        ("d2_gy", _("D2 Gy")),
        ("at_prescription_percent", _("At prescription %")),
        ("note", _("Note")),
    )
    HEADINGS = {  # noqa: RUF012
        "structure": "Structure", "volume_ml": "mL", "d98_gy": "D98 Gy", "d50_gy": "D50 Gy", "d2_gy": "D2 Gy",
        "coverage": "Coverage", "paddick_ci": "Paddick CI", "gradient_index": "GI", "v12_ml": "V12 mL",
        "v10_ml": "V10 mL", "v12_minus_gtv_ml": "V12 - GTV mL", "v12_minus_targets_ml": "V12 - targets mL",
        "bridged": "Bridged", "note": "Note",
    }  # fmt: skip
    COMPARISON_COLUMNS = (
        ("structure", _("Structure")),
        ("quantity", _("Quantity")),
        ("first", _("This plan")),
        ("second", _("Compared plan")),
        ("second_minus_first", _("Difference")),
    )
    ISODOSE_COLUMNS = (("name", _("Level")), ("state", _("Drawn")))

    def setupDose(self):
        """Connect the section."""
        ui = self.ui
        ui.dosePath.connect("currentPathChanged(QString)", self.updateDose)
        ui.doseButton.connect("clicked(bool)", self.onImportDose)
        ui.prescriptionEdit.connect("textChanged(QString)", self.updateDose)
        ui.fractionsBox.connect("currentIndexChanged(int)", self.updateBiological)
        ui.reviewButton.connect("clicked(bool)", self.onReview)
        ui.chartButton.connect("clicked(bool)", self.onChart)
        ui.isodoseButton.connect("clicked(bool)", self.onIsodoses)
        ui.isodoseBox.connect("toggled(bool)", self.onShowIsodoses)
        ui.doseRange.connect("valuesChanged(double,double)", self.onDoseRange)
        ui.doseOpacity.connect("valueChanged(double)", self.onDoseOpacity)
        ui.doseLegendBox.connect("toggled(bool)", self.onDoseLegend)
        ui.slicerRtButton.connect("clicked(bool)", self.onSlicerRt)

    def updateDose(self, *_args):
        """What can be pressed now."""
        ui, p = self.ui, self._parameterNode
        setEnabledWithReason(
            ui.doseButton,
            "" if ui.dosePath.currentPath else _("Choose a dose file."),
            _("Add the dose as a volume in Gy."),
        )
        noDose = p is None or p.dose is None
        problem = _("Import or choose a dose.") if noDose else ""
        if not problem and not ui.prescriptionEdit.text.strip():
            problem = _("Type the prescription.")
        hint = _("Dose-volume histograms and radiosurgery indices of all targets and organs.")
        setEnabledWithReason(ui.reviewButton, problem, hint)
        setEnabledWithReason(
            ui.isodoseButton,
            _("Import or choose a dose.") if noDose else "",
            _("Draw the levels on slices and in 3D."),
        )
        for widget in (ui.doseRange, ui.doseOpacity, ui.doseLegendBox):
            widget.enabled = not noDose
        absent = "" if hasattr(slicer.modules, "dosevolumehistogram") else _("SlicerRT is not installed.")
        setEnabledWithReason(
            ui.slicerRtButton,
            absent or (_("Import or choose a dose.") if noDose else ""),
            _("Hand the dose over to the dose volume histogram module of SlicerRT."),
        )
        self.updateBiological()
        if not noDose:
            self.showDoseRange(p.dose)

    def updateBiological(self, *_args):
        """BED and EQD2 of what is typed."""
        ui, p = self.ui, self._parameterNode
        text = ui.fractionsBox.currentText
        found = ""
        if p is not None and text.isdigit():
            found = self.logic.biologicalText(ui.prescriptionEdit.text, int(text), p.lesions)
        ui.bedLabel.text = found or _("BED and EQD2: type the prescription and choose the fractions.")

    def showDoseRange(self, dose):
        """The colour range of the dose volume, as it is."""
        low, high, top = self.logic.doseWindow(dose)
        self.ui.doseRange.blockSignals(True)
        self.ui.doseRange.maximum = max(top, high, 1.0)
        self.ui.doseRange.setValues(low, high)
        self.ui.doseRange.blockSignals(False)

    def onImportDose(self, checked=False):
        """Read a dose file into the scene."""
        p = self._parameterNode
        with slicer.util.tryWithErrorDisplay(_("The dose was not imported."), waitCursor=True):
            p.dose, warnings = self.logic.importDose(self.ui.dosePath.currentPath, p.ctVolume)
            self.ui.doseUnitBox.currentIndex = 0
            if warnings:
                slicer.util.warningDisplay("\n".join(warnings))
        self.updateDose()

    def onReview(self, checked=False):
        """Review the plan, with progress and Cancel."""
        p, ui = self._parameterNode, self.ui
        brain = ui.brainBox.currentText if ui.brainBox.currentIndex > 0 else ""
        with slicer.util.tryWithErrorDisplay(_("The dose was not reviewed."), waitCursor=True):
            runTask(
                _("Reviewing the dose"),
                lambda progress: self.logic.review(
                    p.dose,
                    ui.doseUnitBox.currentText,
                    p.lesions,
                    p.organs,
                    p.prescription,
                    brain,
                    progress,
                    p.doseAgainst,
                ),
            )
        self.updateReview()
        self.updateConstraints()

    def updateReview(self):
        """Tables of the last review."""
        rows = self.logic.reviewRows(self._parameterNode.lesions)
        fillTable(self.ui.metricsTable, rows, list(self.HEADINGS.items()))
        for column, key in enumerate(self.HEADINGS):
            text = self.logic.definition(key)
            if text and self.ui.metricsTable.horizontalHeaderItem(column) is not None:
                self.ui.metricsTable.horizontalHeaderItem(column).setToolTip(text)
        self.ui.conventionsLabel.text = self.logic.conventions(self._parameterNode.lesions)
        compared = self.logic.comparisonRows(self._parameterNode.lesions)
        words = self.HEADINGS | {"dmean_gy": "Mean Gy", "selectivity": "Selectivity"}
        rows = [row | {"quantity": words[row["quantity"]]} for row in compared]
        fillTable(self.ui.comparisonTable, rows, self.COMPARISON_COLUMNS)
        self.ui.comparisonTable.visible = bool(rows)
        setEnabledWithReason(
            self.ui.chartButton,
            "" if self.ui.metricsTable.rowCount else _("Review the dose first."),
            _("Dose-volume histogram and table of indices below the slices."),
        )
        rows = self.logic.habitatRows(self._parameterNode.lesions)
        fillTable(self.ui.habitatsTable, rows, self.HABITAT_COLUMNS)
        for widget in (self.ui.habitatsTitle, self.ui.habitatsTable):
            widget.visible = bool(rows)

    def onChart(self, checked=False):
        """Chart and table below the slices."""
        with slicer.util.tryWithErrorDisplay(_("The chart cannot be shown.")):
            self.logic.showChart(self._parameterNode.lesions or self._parameterNode.dose)

    def onIsodoses(self, checked=False):
        """Draw isodose lines at the typed levels."""
        p, ui = self._parameterNode, self.ui
        with slicer.util.tryWithErrorDisplay(_("The isodose lines were not drawn."), waitCursor=True):
            rows = self.logic.drawIsodoses(
                p.dose, ui.doseUnitBox.currentText, p.isodoses, p.prescription, p.lesions
            )
            self.logic.showIsodoses(p.showIsodoses)
            self.fillIsodoses(rows)

    def fillIsodoses(self, rows):
        """Levels with their colours."""
        states = [row | {"state": _("yes") if row["node"] is not None else _("not reached")} for row in rows]
        fillTable(self.ui.isodoseTable, states, self.ISODOSE_COLUMNS)
        for n, row in enumerate(rows):
            self.ui.isodoseTable.item(n, 0).setBackground(qt.QColor(*[int(255 * c) for c in row["color"]]))

    def onShowIsodoses(self, on):
        """Show or hide the isodose lines."""
        self.logic.showIsodoses(on)

    def onDoseRange(self, low, high):
        """Colour range of the dose."""
        p = self._parameterNode
        if p is not None and p.dose is not None and not self._connecting:
            self.logic.setDoseWindow(p.dose, low, high)

    def onDoseOpacity(self, value):
        """Dose over the CT."""
        p = self._parameterNode
        if p is not None and p.dose is not None and p.ctVolume is not None and not self._connecting:
            self.logic.showDose(p.ctVolume, p.dose, value)

    def onDoseLegend(self, on):
        """Legend of the dose."""
        p = self._parameterNode
        if p is not None and p.dose is not None:
            self.logic.showDoseLegend(p.dose, on)

    def onSlicerRt(self, checked=False):
        """Open SlicerRT's module with the dose known to it."""
        with slicer.util.tryWithErrorDisplay(_("The dose was not handed over.")):
            p = self._parameterNode
            self.logic.handToSlicerRt(p.dose, p.lesions, p.organs)
            slicer.util.selectModule("DoseVolumeHistogram")
