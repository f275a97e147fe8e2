"""Placing control points."""

import shiboken6
import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from . import scene_events
from .native import behaviour


def interactionNode():
    return slicer.app.applicationLogic().GetInteractionNode()


def selectionNode():
    return slicer.app.applicationLogic().GetSelectionNode()


@behaviour
class qSlicerMarkupsPlaceWidget:
    """The place button: place mode lives in the interaction node, the list in the selection node."""

    defaults = {"buttonsVisible": True, "placeModePersistency": False}  # noqa: RUF012

    def build(self):
        self.node = None
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.button, self.trash = QtWidgets.QPushButton("+", self), QtWidgets.QPushButton("x", self)
        self.button.setCheckable(True)
        row.addWidget(self.button)
        row.addWidget(self.trash)
        self.button.toggled.connect(self.set_placeModeEnabled)
        self.trash.clicked.connect(self.deleteLastPoint)
        self.watched = None
        self._update()

    def setMRMLScene(self, scene):
        self.scene = scene
        if scene is not None and self.watched is None:
            self.watched = interactionNode()
            self.watched.AddObserver("AnyEvent", lambda *_: shiboken6.isValid(self) and self._update())
        self._update()

    def interactionNode(self):
        return interactionNode()

    def selectionNode(self):
        return selectionNode()

    def currentNode(self):
        return self.node

    currentMarkupsNode = currentMarkupsFiducialNode = currentNode

    def setCurrentNode(self, node):
        if node is not self.node and self.get_placeModeEnabled():
            self.set_placeModeEnabled(False)
        self.node = node
        self._update()

    def get_currentNodeActive(self):
        return self.node is not None and selectionNode().GetActivePlaceNodeID() == self.node.GetID()

    def setCurrentNodeActive(self, active):
        selectionNode().SetReferenceActivePlaceNodeClassName(self.node.GetClassName())
        selectionNode().SetReferenceActivePlaceNodeID(self.node.GetID() if active else None)
        self._update()

    set_currentNodeActive = setCurrentNodeActive

    def get_placeModeEnabled(self):
        mode = interactionNode().GetCurrentInteractionMode() if self.mrmlScene() is not None else None
        return mode == slicer.vtkMRMLInteractionNode.Place and self.get_currentNodeActive()

    def set_placeModeEnabled(self, place):
        if self.node is None or self.mrmlScene() is None:
            self._update()
            return
        interaction = interactionNode()
        if place:
            self.setCurrentNodeActive(True)
            interaction.SetPlaceModePersistence(int(self.placeModePersistency))
            interaction.SetCurrentInteractionMode(interaction.Place)
        elif self.get_currentNodeActive():
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
        self._update()

    def setPlaceModeEnabled(self, place):
        self.set_placeModeEnabled(place)

    def set_placeModePersistency(self, persistent):
        if self.get_placeModeEnabled():
            interactionNode().SetPlaceModePersistence(int(persistent))

    def set_buttonsVisible(self, visible):
        self.button.setVisible(visible)
        self.trash.setVisible(visible)

    def _update(self):
        placing = bool(self.get_placeModeEnabled())
        was = self.held.get("placing", False)
        self.held["placing"] = placing
        self.button.blockSignals(True)
        self.button.setChecked(placing)
        self.button.blockSignals(False)
        for button in (self.button, self.trash):
            button.setEnabled(self.node is not None)
        if placing != was:
            self.activeMarkupsPlaceModeChanged.emit(placing)
            self.activeMarkupsFiducialPlaceModeChanged.emit(placing)

    def placeButton(self):
        return self.button

    def deleteButton(self):
        return self.trash

    def deleteLastPoint(self, *_):
        count = self.node.GetNumberOfControlPoints() if self.node is not None else 0
        if count:
            self.node.RemoveNthControlPoint(count - 1)

    deleteLastMarkup = deleteLastPoint

    def deleteAllPoints(self):
        if self.node is not None:
            self.node.RemoveAllControlPoints()

    deleteAllMarkups = deleteAllPoints

    def get_nodeColor(self):
        return QtGui.QColor()


@behaviour
class qSlicerSimpleMarkupsWidget:
    """The list of points of a markups node, with its place buttons."""

    defaults = {  # noqa: RUF012
        "nodeSelectorVisible": True, "optionsVisible": True, "jumpToSliceEnabled": False,
        "enterPlaceModeOnNodeChange": True,
    }  # fmt: skip

    def build(self):
        from .native import nativeClass

        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.selector = nativeClass("qMRMLNodeComboBox")(self)
        self.selector.nodeTypes = ["vtkMRMLMarkupsFiducialNode"]
        self.selector.noneEnabled = True
        self.place = nativeClass("qSlicerMarkupsPlaceWidget")(self)
        self.table = QtWidgets.QTableWidget(0, 4, self)
        self.table.setHorizontalHeaderLabels(["Label", "R", "A", "S"])
        for part in (self.selector, self.place, self.table):
            layout.addWidget(part)
        self.node = self.observed = None
        self.selector.currentNodeChanged.connect(self._chosen)
        self.table.currentCellChanged.connect(
            lambda row, *_: self.currentMarkupsControlPointSelectionChanged.emit(row)
        )
        self.place.activeMarkupsPlaceModeChanged.connect(self.activeMarkupsPlaceModeChanged)

    def setMRMLScene(self, scene):
        self.scene = scene
        self.selector.setMRMLScene(scene)
        self.place.setMRMLScene(scene)
        scene_events.listen(self, scene)
        self.mrmlSceneChanged.emit(scene)

    def sceneChanged(self, event, node):
        if shiboken6.isValid(self) and event == "NodeAboutToBeRemovedEvent" and node is self.node:
            self._chosen(None)

    def set_nodeSelectorVisible(self, visible):
        self.selector.setVisible(visible)

    def set_optionsVisible(self, visible):
        self.place.setVisible(visible)

    def currentNode(self):
        return self.node

    getCurrentNode = currentNode

    def setCurrentNode(self, node):
        self.selector.setCurrentNode(node)

    def _chosen(self, node):
        if self.observed is not None:
            self.node.RemoveObserver(self.observed)
        self.node, self.observed = node, None
        if node is not None:
            self.observed = node.AddObserver("ModifiedEvent", lambda *_: self._fill())
            for event in (node.PointModifiedEvent, node.PointAddedEvent, node.PointRemovedEvent):
                node.AddObserver(event, lambda *_: self._fill())
        self.place.setCurrentNode(node)
        self._fill()
        self.markupsNodeChanged.emit()
        self.markupsFiducialNodeChanged.emit()

    def _fill(self):
        if not shiboken6.isValid(self) or not shiboken6.isValid(self.table):
            return
        count = self.node.GetNumberOfControlPoints() if self.node is not None else 0
        self.table.setRowCount(count)
        for row in range(count):
            place = self.node.GetNthControlPointPositionWorld(row)
            cells = [self.node.GetNthControlPointLabel(row), *(f"{v:.3f}" for v in place)]
            for column, text in enumerate(cells):
                self.table.setItem(row, column, QtWidgets.QTableWidgetItem(text))
        self.updateFinished.emit()

    def markupsPlaceWidget(self):
        return self.place

    def markupsSelectorComboBox(self):
        return self.selector

    def tableWidget(self):
        return self.table

    def highlightNthControlPoint(self, index):
        self.table.setCurrentCell(index, 0)

    def placeActive(self, place):
        self.place.set_placeModeEnabled(place)

    def setNodeBaseName(self, name):
        self.selector.baseName = name


def placePoint(ras):
    """Place a control point as a click in a slice view would: only where place mode is on.

    Returns the index of the new point; RuntimeError where Slicer would not place one.
    """
    interaction, selection = interactionNode(), selectionNode()
    if interaction.GetCurrentInteractionMode() != interaction.Place:
        raise RuntimeError("not in place mode: the click would only move the slice")
    node = slicer.mrmlScene.GetNodeByID(selection.GetActivePlaceNodeID() or "")
    if node is None:
        raise RuntimeError("no markups node is active for placement")
    if node.GetMaximumNumberOfControlPoints() == node.GetNumberOfControlPoints():
        raise RuntimeError("the list takes no more points")
    index = node.AddControlPointWorld(*ras)
    if not interaction.GetPlaceModePersistence():
        interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    QtCore.QCoreApplication.processEvents()
    return index
