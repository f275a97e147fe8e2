"""Tables of the study hub: steps, series with their roles, protocol check."""

import qt

from BMVascularLib.widgets.panel import cellText

COLORS = {
    "done": "#2e8b57", "ready": "#1e78c8", "out of date": "#d98c00", "missing input": "#9aa5b1",
    "met": "#2e8b57", "amber": "#d98c00", "red": "#c0392b", "unknown": "#9aa5b1", "doubt": "#d98c00",
}  # fmt: skip
_SIDE_PX, _ROW_PX = 12, 26


def mark(state):
    """A small square in the colour of a state."""
    pixmap = qt.QPixmap(_SIDE_PX, _SIDE_PX)
    pixmap.fill(qt.QColor(COLORS[state]))
    return qt.QIcon(pixmap)


def item(text, toolTip="", state=None, bold=False):
    """A table cell that is read only."""
    cell = qt.QTableWidgetItem(cellText(text))
    cell.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
    cell.setToolTip(toolTip or cellText(text))
    if state is not None:
        cell.setIcon(mark(state))
    if bold:
        font = cell.font()
        font.setBold(True)
        cell.setFont(font)
    return cell


def prepare(table, headings, nRows):
    """Headings and rows; row numbers are of no use here."""
    table.setColumnCount(len(headings))
    table.setHorizontalHeaderLabels(headings)
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(_ROW_PX)
    table.setRowCount(nRows)


def fillSteps(table, rows, headings):
    """Steps with their state; the next action in bold."""
    prepare(table, headings, len(rows))
    for n, row in enumerate(rows):
        name = f"▶ {row['step']}" if row["next"] else row["step"]
        table.setItem(n, 0, item(name, bold=row["next"]))
        table.setItem(n, 1, item(row["state"], state=row["state"], bold=row["next"]))
        table.setItem(n, 2, item(row["detail"]))
    fit(table)


def fillRoles(table, rows, headings, choices, timepoints, onChanged):
    """Series with a box for the role and one for the time point.

    Parameters
    ----------
    table : qt.QTableWidget
    rows : list of dict
        As ``studyRoles.roleRows`` returns them.
    headings : list of str
        Series, role, time point, frame times, reason.
    choices, timepoints : list of str
        What the boxes offer.
    onChanged : callable
        Takes the node, "role" or "timepoint", and the new text.
    """
    prepare(table, headings, 0)
    table.setRowCount(len(rows))
    for n, row in enumerate(rows):
        table.setItem(
            n, 0, item(row["name"], state="doubt" if row["doubts"] else None, toolTip=row["doubts"])
        )
        for column, key, offered in ((1, "role", choices), (2, "timepoint", timepoints)):
            table.setCellWidget(n, column, _box(row, key, offered, onChanged))
        table.setItem(n, 3, item(row["times"]))
        table.setItem(n, 4, item(row["reason"]))
    fit(table)


def _box(row, key, offered, onChanged):
    box = qt.QComboBox()
    texts = list(dict.fromkeys([*offered, row[key]]))
    box.addItems(texts)
    box.setCurrentIndex(texts.index(row[key]))
    box.setToolTip(row["reason"])
    box.connect("currentTextChanged(QString)", lambda text, node=row["node"]: onChanged(node, key, text))
    return box


def fillProtocol(table, findings, headings):
    """Findings of the protocol check with their colours."""
    prepare(table, headings, len(findings))
    for n, finding in enumerate(findings):
        table.setItem(n, 0, item(finding.role, f"{finding.timepoint} {finding.series}", state=finding.status))
        table.setItem(n, 1, item(finding.timepoint))
        table.setItem(n, 2, item(finding.item))
        table.setItem(n, 3, item(finding.found))
        table.setItem(n, 4, item(finding.wanted))
    fit(table)


def fit(table):
    """Columns as wide as their contents, the last one up to the edge."""
    table.resizeColumnsToContents()
    table.horizontalHeader().setStretchLastSection(True)
