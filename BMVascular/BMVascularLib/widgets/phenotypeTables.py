"""Tables of the Phenotype panel: lesions with stability bars, and limits to try."""

import qt
from slicer.i18n import tr as _

from BMVascularLib.phenotypeOverlays import labelColor
from BMVascularLib.phenotypeText import shownStability, stabilityWords
from BMVascularLib.phenotypeWhatIf import WhatIf
from BMVascularLib.widgets.panel import cellText
from BMVascularLib.widgets.picture import colorIcon

_STABILITY = 2


def fillLesions(widget, lesions, before=()):
    """Show lesions; with the assessment from before a what-if, its stability stands beside the new one.

    Parameters
    ----------
    widget : qt.QTableWidget
    lesions, before : list of dict
        Entries of ``Assessment.lesions``.
    """
    headings = [
        _("Lesion"),
        _("Label"),
        _("Rule stability"),
        _("Coverage"),
        _("Tier"),
        _("Flags"),
        _("Volume (mL)"),
    ]
    earlier = {lesion["name"]: lesion for lesion in before}
    widget.blockSignals(True)
    widget.setColumnCount(len(headings))
    widget.setHorizontalHeaderLabels(headings)
    widget.setRowCount(len(lesions))
    for row, lesion in enumerate(lesions):
        texts = [
            lesion["name"],
            lesion["phenotype"],
            "",
            f"{lesion['coverage']:.2f}",
            lesion["tier"],
            "; ".join(lesion["flags"]),
            cellText(lesion["facts"].get("volume_ml")),
        ]
        for column, text in enumerate(texts):
            _setText(widget, row, column, text)
        widget.item(row, 0).setIcon(colorIcon(labelColor(lesion["phenotype"])))
        _showStability(widget, row, lesion, earlier.get(lesion["name"]))
    widget.blockSignals(False)


def fitLesionColumns(widget):
    """Widths for a panel: the label gets what the others leave."""
    widget.resizeColumnsToContents()
    widget.setColumnWidth(1, 136)
    widget.setColumnWidth(_STABILITY, 98)
    widget.resizeRowsToContents()


def _setText(widget, row, column, text):
    item = widget.item(row, column)
    if item is None:
        item = qt.QTableWidgetItem()
        item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
        widget.setItem(row, column, item)
    if item.text() != text:
        item.setText(text)
        item.setToolTip(text)


def _showStability(widget, row, lesion, earlier):
    bar = widget.cellWidget(row, _STABILITY)
    if bar is None:
        bar = qt.QProgressBar()
        bar.setRange(0, 100)
        bar.setToolTip(_("Share of random draws of inputs, limits and weights that give this label."))
        widget.setCellWidget(row, _STABILITY, bar)
    stability = shownStability(lesion)
    bar.setValue(0 if stability is None else round(100 * stability))
    bar.setFormat(stabilityText(lesion, earlier))


def stabilityText(lesion, earlier=None):
    """Stability of a lesion, with the one before a what-if where it differs."""
    text = stabilityWords(lesion)
    before = None if earlier is None else shownStability(earlier)
    if before is None or before == shownStability(lesion):
        return text
    return f"{before:.2f} \N{RIGHTWARDS ARROW} {text}"


def selectLesion(widget, name):
    """Choose the row of a lesion without telling anybody."""
    for row in range(widget.rowCount):
        if widget.item(row, 0).text() == name and widget.currentRow() != row:
            widget.blockSignals(True)
            widget.setCurrentCell(row, 0)
            widget.blockSignals(False)


def fillLimits(widget, table, whatIf):
    """Show inputs with a tick and limits that can be typed.

    Parameters
    ----------
    widget : qt.QTableWidget
    table : BMVascularCore.phenotype.Table
    whatIf : WhatIf
    """
    widget.blockSignals(True)
    inputs = table.rules["inputs"]
    widget.setColumnCount(4)
    widget.setHorizontalHeaderLabels([_("Input"), _("Lower limit"), _("Upper limit"), _("Unit")])
    widget.setRowCount(len(inputs))
    for row, spec in enumerate(inputs):
        low, high = whatIf.limits.get(spec["id"], (spec["lo"], spec["hi"]))
        name = qt.QTableWidgetItem(spec["title"])
        name.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
        name.setCheckState(qt.Qt.Unchecked if spec["id"] in whatIf.dropped else qt.Qt.Checked)
        name.setToolTip(spec["title"])
        widget.setItem(row, 0, name)
        for column, value in ((1, low), (2, high)):
            item = qt.QTableWidgetItem(f"{value:g}")
            item.setToolTip(_("Type another limit."))
            widget.setItem(row, column, item)
        unit = qt.QTableWidgetItem(spec["unit"])
        unit.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
        widget.setItem(row, 3, unit)
    widget.resizeColumnsToContents()
    for column, width in enumerate((150, 80, 80)):
        widget.setColumnWidth(column, width)
    widget.blockSignals(False)


def readLimits(widget, table):
    """What the table of limits asks to try.

    Raises
    ------
    ValueError
        A limit that is no number.
    """
    whatIf = WhatIf()
    for row, spec in enumerate(table.rules["inputs"]):
        if widget.item(row, 0).checkState() == qt.Qt.Unchecked:
            whatIf.dropped.add(spec["id"])
        texts = [widget.item(row, column).text() for column in (1, 2)]
        if texts != [f"{spec['lo']:g}", f"{spec['hi']:g}"]:
            whatIf.limits[spec["id"]] = tuple(float(text) for text in texts)
    return whatIf
