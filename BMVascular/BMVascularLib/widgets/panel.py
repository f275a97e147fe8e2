"""What every panel does the same way: load its form, keep its parameter node, survive scenes.

The life cycle is Slicer's contract for scripted modules: the parameter node is connected while the
panel is visible, released when a scene closes, and made again afterwards.
"""

from contextlib import contextmanager

import qt
import slicer
import vtk

NOTICE = "Research use only. Not a medical device. Not a treatment recommendation."


class PanelLifeCycle:
    """Mixin beside ``ScriptedLoadableModuleWidget`` and ``VTKObservationMixin``.

    A panel gives ``FORM`` (its .ui file's name) and ``parameterNodeType`` and may override
    ``setupPanel``, ``applyDefaults`` and ``refresh``.
    """

    FORM = ""
    parameterNodeType = None

    def setupForm(self):
        """Load the .ui file and follow the scene; call it from ``setup``."""
        form = slicer.util.loadUI(self.resourcePath(f"UI/{self.FORM}.ui"))
        self.layout.addWidget(form)
        self.ui = slicer.util.childWidgetVariables(form)
        form.setMRMLScene(slicer.mrmlScene)
        self._parameterNode = None
        self._guiTag = None
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.setupPanel()
        self.initializeParameterNode()

    def setupPanel(self):
        """Connect the panel's own buttons."""

    def applyDefaults(self):
        """Fill empty selections with what the scene offers; never replace a choice."""

    def refresh(self, caller=None, event=None):
        """Bring what is shown up to date with the parameter node and the scene."""

    def cleanup(self):
        """Called when Slicer reloads or removes the panel."""
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        """Called when the panel becomes visible."""
        self.initializeParameterNode()

    def exit(self):
        """Called when another panel becomes visible."""
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event):
        """Let go of nodes that are about to vanish."""
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        """Start again with the empty scene, if the panel is visible."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, caller, event):
        """A scene was loaded: its selections come back."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Connect the module's parameter node and fill what is empty."""
        self.setParameterNode(self.logic.getParameterNode())
        self.applyDefaults()
        self.refresh()

    def setParameterNode(self, node):
        """Connect a wrapped parameter node, or none."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.refresh)
        self._parameterNode = node
        if node is not None:
            self._guiTag = node.connectGui(self.ui)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.refresh)


def setEnabledWithReason(button, problem, hint):
    """Enable a button, or disable it with the reason in its tooltip."""
    button.enabled = not problem
    button.toolTip = problem or hint


@contextmanager
def unticked(box, on):
    """A box whose work fails is not left ticked.

    Parameters
    ----------
    box : qt.QCheckBox
    on : bool
        False where it was unticked: nothing is to be put back.
    """
    try:
        yield
    except BaseException:
        if on:
            box.blockSignals(True)
            box.checked = False
            box.blockSignals(False)
        raise


def fillTable(widget, rows, columns):
    """Show rows in a QTableWidget, read only.

    Parameters
    ----------
    widget : qt.QTableWidget
    rows : list of dict
    columns : list of (key, heading)
    """
    widget.setRowCount(len(rows))
    widget.setColumnCount(len(columns))
    widget.setHorizontalHeaderLabels([heading for _, heading in columns])
    for n, row in enumerate(rows):
        for m, (key, _) in enumerate(columns):
            item = qt.QTableWidgetItem(cellText(row.get(key)))
            item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
            item.setToolTip(cellText(row.get(key)))
            widget.setItem(n, m, item)
    widget.resizeColumnsToContents()


def makeEditable(widget, columns, hint):
    """Let cells of these columns be edited, and show that they can be.

    Parameters
    ----------
    widget : qt.QTableWidget
    columns : tuple of int
    hint : str
        Tool tip of the cells.
    """
    for row in range(widget.rowCount):
        for column in columns:
            item = widget.item(row, column)
            item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled | qt.Qt.ItemIsEditable)
            item.setToolTip(hint)
            item.setBackground(qt.QColor(255, 250, 220))


def cellText(value):
    """Text of a table cell: three digits for numbers, an en dash where there is no value."""
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.3g}"
    return str(value)
