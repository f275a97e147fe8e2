"""Segment lists, tables and the display widgets of volumes."""

import shiboken6
import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from . import scene_events
from .native import behaviour, nativeClass


@behaviour
class qMRMLSegmentsTableView:
    """Segments of a segmentation: visibility, colour, name, in rows."""

    defaults = {  # noqa: RUF012
        "headerVisible": True, "visibilityColumnVisible": True, "colorColumnVisible": True,
        "selectionMode": 3,
    }  # fmt: skip

    def build(self):
        self.node, self.tags, self.ids = None, [], []
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.table = QtWidgets.QTableWidget(0, 3, self)
        self.table.setHorizontalHeaderLabels(["", "", "Name"])
        self.table.setSelectionBehavior(QtWidgets.QTableWidget.SelectRows)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.setColumnWidth(0, 28)
        self.table.setColumnWidth(1, 28)
        layout.addWidget(self.table)
        empty = QtCore.QItemSelection()
        self.table.itemSelectionChanged.connect(lambda: self.selectionChanged.emit(empty, empty))
        self.table.itemChanged.connect(self._edited)

    def setMRMLScene(self, scene):
        self.scene = scene
        if scene is not None:
            scene_events.listen(self, scene)

    def sceneChanged(self, event, node):
        if shiboken6.isValid(self) and event == "NodeAboutToBeRemovedEvent" and node is self.node:
            self.setSegmentationNode(None)

    def segmentationNode(self):
        return self.node

    def setSegmentationNode(self, node):
        for tag in self.tags:
            self.node.RemoveObserver(tag)
        self.node, self.tags = node, []
        if node is not None:
            kinds = slicer.vtkSegmentation
            events = (kinds.SegmentAdded, kinds.SegmentRemoved, kinds.SegmentModified)
            self.tags = [node.AddObserver(e, lambda *_: self._fill()) for e in events]
        self._fill()

    def _fill(self, *_):
        if not shiboken6.isValid(self):
            return
        chosen = self.selectedSegmentIDs()
        segmentation = self.node.GetSegmentation() if self.node is not None else None
        ids = list(segmentation.GetSegmentIDs()) if segmentation else []
        self.ids = [i for i in ids if self._passes(segmentation.GetSegment(i))]
        self.table.blockSignals(True)
        self.table.setRowCount(len(self.ids))
        for row, segment in enumerate(map(segmentation.GetSegment, self.ids) if segmentation else ()):
            mark = QtWidgets.QTableWidgetItem()
            mark.setCheckState(QtCore.Qt.Checked if self._isVisible(self.ids[row]) else QtCore.Qt.Unchecked)
            color = QtWidgets.QTableWidgetItem()
            color.setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
            for column, item in enumerate((mark, color, QtWidgets.QTableWidgetItem(segment.GetName()))):
                self.table.setItem(row, column, item)
        self.table.blockSignals(False)
        if chosen != self.selectedSegmentIDs():
            self.setSelectedSegmentIDs([i for i in chosen if i in self.ids])

    def _passes(self, segment):
        return self.held.get("textFilter", "").lower() in segment.GetName().lower()

    set_textFilter = _fill

    def _isVisible(self, segmentId):
        display = self.node.GetDisplayNode()
        return display is None or display.GetSegmentVisibility(segmentId)

    def _edited(self, item):
        segmentId = self.ids[item.row()]
        if item.column() == 0 and self.node.GetDisplayNode() is not None:
            visible = item.checkState() == QtCore.Qt.Checked
            self.node.GetDisplayNode().SetSegmentVisibility(segmentId, visible)
        elif item.column() == 2:
            self.node.GetSegmentation().GetSegment(segmentId).SetName(item.text())

    def set_headerVisible(self, visible):
        self.table.horizontalHeader().setVisible(visible)

    def set_visibilityColumnVisible(self, visible):
        self.table.setColumnHidden(0, not visible)

    def set_colorColumnVisible(self, visible):
        self.table.setColumnHidden(1, not visible)

    def set_selectionMode(self, mode):
        self.table.setSelectionMode(QtWidgets.QTableWidget.SelectionMode(int(getattr(mode, "value", mode))))

    def get_segmentCount(self):
        return len(self.ids)

    def displayedSegmentIDs(self):
        return self.ids

    def selectedSegmentIDs(self):
        return [
            self.ids[r] for r in sorted({i.row() for i in self.table.selectedIndexes()}) if r < len(self.ids)
        ]

    def setSelectedSegmentIDs(self, ids):
        self.table.clearSelection()
        model = self.table.selectionModel()
        flags = QtCore.QItemSelectionModel.Select | QtCore.QItemSelectionModel.Rows
        for row, segmentId in enumerate(self.ids):
            if segmentId in ids:
                model.select(self.table.model().index(row, 0), flags)

    def clearSelection(self):
        self.table.clearSelection()

    def rowForSegmentID(self, segmentId):
        return self.ids.index(segmentId) if segmentId in self.ids else -1

    def segmentIDForRow(self, row):
        return self.ids[row]

    def tableWidget(self):
        return self.table


@behaviour
class qMRMLSegmentationShow3DButton:
    def build(self):
        self.node = None
        self.setText("Show 3D")
        self.setCheckable(True)
        self.toggled.connect(self._show)

    def segmentationNode(self):
        return self.node

    def setSegmentationNode(self, node):
        self.node = node

    def _show(self, shown):
        if self.node is None:
            return
        if shown:
            self.node.CreateClosedSurfaceRepresentation()
        else:
            self.node.RemoveClosedSurfaceRepresentation()


@behaviour
class qMRMLSegmentSelectorWidget:
    """A segmentation and one of its segments."""

    defaults = {"segmentationNodeSelectorVisible": True}  # noqa: RUF012

    def build(self):
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.selector, self.segments = nativeClass("qMRMLNodeComboBox")(self), QtWidgets.QComboBox(self)
        self.selector.nodeTypes = ["vtkMRMLSegmentationNode"]
        layout.addWidget(self.selector)
        layout.addWidget(self.segments)
        self.selector.currentNodeChanged.connect(self._chosen)
        self.segments.currentIndexChanged.connect(
            lambda _: self.currentSegmentChanged.emit(self.currentSegmentID())
        )

    def setMRMLScene(self, scene):
        self.scene = scene
        self.selector.setMRMLScene(scene)

    def set_noneEnabled(self, allowed):
        self.selector.noneEnabled = allowed

    def _chosen(self, node):
        self.segments.clear()
        segmentation = node.GetSegmentation() if node is not None else None
        for segmentId in segmentation.GetSegmentIDs() if segmentation else ():
            self.segments.addItem(segmentation.GetSegment(segmentId).GetName(), segmentId)
        self.currentNodeChanged.emit(node)

    def currentNode(self):
        return self.selector.currentNode()

    def currentNodeID(self):
        return self.selector.currentNodeID

    def setCurrentNode(self, node):
        self.selector.setCurrentNode(node)

    def currentSegmentID(self):
        return self.segments.currentData() or ""

    def setCurrentSegmentID(self, segmentId):
        self.segments.setCurrentIndex(self.segments.findData(segmentId))

    def segmentIDs(self):
        return [self.segments.itemData(i) for i in range(self.segments.count())]


@behaviour
class qMRMLTableView:
    """Cells of a table node."""

    def build(self):
        self.node = self.tag = None
        self.cells = QtGui.QStandardItemModel(self)
        self.setModel(self.cells)

    def mrmlTableNode(self):
        return self.node

    def setMRMLTableNode(self, node):
        if self.tag is not None:
            self.node.RemoveObserver(self.tag)
        self.node = node
        self.tag = node.AddObserver("ModifiedEvent", lambda *_: self._fill()) if node is not None else None
        self._fill()

    def _fill(self):
        if not shiboken6.isValid(self):
            return
        self.cells.clear()
        table = self.node.GetTable() if self.node is not None else None
        if table is None:
            return
        columns = range(table.GetNumberOfColumns())
        self.cells.setHorizontalHeaderLabels([table.GetColumnName(c) or "" for c in columns])
        for row in range(table.GetNumberOfRows()):
            self.cells.appendRow([QtGui.QStandardItem(self.node.GetCellText(row, c)) for c in columns])


class _VolumeRange:
    """Shows and sets two numbers of a volume's display node."""

    def build(self):
        self.node = None

    def mrmlVolumeNode(self):
        return self.node

    def setMRMLVolumeNode(self, node):
        self.node = node

    def display(self):
        return self.node.GetDisplayNode() if self.node is not None else None


@behaviour
class qMRMLVolumeThresholdWidget(_VolumeRange):
    def get_lowerThreshold(self):
        return self.display().GetLowerThreshold() if self.display() else 0.0

    def get_upperThreshold(self):
        return self.display().GetUpperThreshold() if self.display() else 0.0

    def setThreshold(self, low, high):
        self.display().SetThreshold(low, high)
        self.thresholdValuesChanged.emit(low, high)

    def set_lowerThreshold(self, low):
        self.setThreshold(low, self.get_upperThreshold())

    def set_upperThreshold(self, high):
        self.setThreshold(self.get_lowerThreshold(), high)


@behaviour
class qMRMLWindowLevelWidget(_VolumeRange):
    def get_window(self):
        return self.display().GetWindow() if self.display() else 0.0

    def get_level(self):
        return self.display().GetLevel() if self.display() else 0.0

    def setWindowLevel(self, window, level):
        self.display().AutoWindowLevelOff()
        self.display().SetWindowLevel(window, level)
        self.windowLevelValuesChanged.emit(window, level)

    def set_window(self, window):
        self.setWindowLevel(window, self.get_level())

    def set_level(self, level):
        self.setWindowLevel(self.get_window(), level)
