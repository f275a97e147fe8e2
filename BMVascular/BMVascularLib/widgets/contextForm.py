"""The form of the context: histology, drivers, scan, protocol, treatments; and the same as JSON text."""

import qt
from slicer.i18n import tr as _

from BMVascularLib.phenotypeContext import CHOICES, HISTOLOGIES, TREATMENTS, contentOf, contextJson, formOf
from BMVascularLib.phenotypeNodes import contextContent

_FIELDS = ("type", "start", "end", "lesions")


class ContextForm:
    """Shows a context and tells of edits.

    Parameters
    ----------
    ui : object
        The panel's widgets.
    edited : callable
        Called with a function that gives the new content, or raises InputError.
    """

    def __init__(self, ui, edited):
        self.ui, self.content = ui, {}
        self._edited, self._showing = edited, False
        ui.histologyBox.addItems(list(HISTOLOGIES))
        for box in (ui.preloadBox, ui.leakageBox):
            box.addItems([_(text) for text, _value in CHOICES])
        ui.treatmentsTable.setColumnCount(len(_FIELDS))
        ui.treatmentsTable.setHorizontalHeaderLabels(
            [_("Treatment"), _("First day"), _("Last day"), _("Lesions")]
        )
        for column, width in enumerate((90, 75, 75)):
            ui.treatmentsTable.setColumnWidth(column, width)
        ui.histologyBox.connect("currentTextChanged(QString)", self._onForm)
        for box in (ui.preloadBox, ui.leakageBox):
            box.connect("currentIndexChanged(int)", self._onForm)
        for edit in (ui.moleculeEdit, ui.scanEdit, ui.flipEdit):
            edit.connect("editingFinished()", self._onForm)
        ui.treatmentsTable.connect("cellChanged(int,int)", self._onForm)
        ui.addTreatmentButton.connect("clicked(bool)", self._onAdd)
        ui.removeTreatmentButton.connect("clicked(bool)", self._onRemove)
        ui.useTextButton.connect("clicked(bool)", self._onText)

    def show(self, content):
        """Show a context in the form and as text."""
        if self._showing:
            return
        self._showing = True
        self.content = content
        form = formOf(content)
        self.ui.histologyBox.setCurrentText(form["histology"])
        self.ui.moleculeEdit.text = form["molecular"]
        self.ui.scanEdit.text = form["scan"]
        self.ui.flipEdit.text = form["flip_deg"]
        values = [value for _text, value in CHOICES]
        self.ui.preloadBox.setCurrentIndex(_place(values, form["preload"]))
        self.ui.leakageBox.setCurrentIndex(_place(values, form["leakage_correction"]))
        self.ui.treatmentsTable.setRowCount(0)
        for row in form["treatments"]:
            self._addRow(row)
        self.ui.contextEdit.setPlainText(contextJson(content))
        self._showing = False

    def form(self):
        """Fields as they stand in the form."""
        ui, values = self.ui, [value for _text, value in CHOICES]
        table = ui.treatmentsTable
        return {
            "histology": ui.histologyBox.currentText,
            "molecular": ui.moleculeEdit.text,
            "scan": ui.scanEdit.text,
            "preload": values[ui.preloadBox.currentIndex],
            "leakage_correction": values[ui.leakageBox.currentIndex],
            "flip_deg": ui.flipEdit.text,
            "treatments": [self._treatment(row) for row in range(table.rowCount)],
        }

    def _treatment(self, row):
        table = self.ui.treatmentsTable
        items = [table.item(row, column) for column in range(len(_FIELDS))]
        texts = ["" if item is None else item.text().strip() for item in items]
        return dict(zip(_FIELDS, texts, strict=True))

    def _addRow(self, row):
        table = self.ui.treatmentsTable
        table.blockSignals(True)
        number = table.rowCount
        table.setRowCount(number + 1)
        for column, key in enumerate(_FIELDS):
            item = qt.QTableWidgetItem(row[key])
            item.setToolTip(_("One of: {kinds}").format(kinds=", ".join(TREATMENTS)) if column == 0 else "")
            table.setItem(number, column, item)
        table.blockSignals(False)

    def _onForm(self, *_arguments):
        if not self._showing:
            self._edited(lambda: contentOf(self.form(), self.content))

    def _onText(self, *_arguments):
        text = self.ui.contextEdit.plainText
        self._edited(lambda: contextContent(text))

    def _onAdd(self, *_arguments):
        self._addRow({"type": TREATMENTS[0], "start": "", "end": "", "lesions": "all"})
        self._onForm()

    def _onRemove(self, *_arguments):
        table = self.ui.treatmentsTable
        if table.currentRow() >= 0:
            table.removeRow(table.currentRow())
            self._onForm()


def _place(values, value):
    return values.index(value) if value in values else 0
