"""Node selectors."""

import shiboken6
import slicer
from PySide6 import QtWidgets

from . import scene_events
from .native import behaviour


@behaviour
class qMRMLWidget:
    """A widget that hands the scene on to its children."""

    def setMRMLScene(self, scene):
        if scene is not self.mrmlScene():
            self.scene = scene
            self.mrmlSceneChanged.emit(scene)


behaviour(type("qSlicerWidget", (qMRMLWidget,), {}))


class NodeSelector:
    """Offers the scene's nodes of some classes: follows the scene."""

    defaults = {  # noqa: RUF012
        "nodeTypes": [], "addEnabled": True, "removeEnabled": True, "showChildNodeTypes": True,
        "selectNodeUponCreation": True, "noneDisplay": "None", "noneEnabled": False,
    }  # fmt: skip

    def build(self):
        self.nodes, self.chosen, self.filters = [], None, []
        self.combo = QtWidgets.QComboBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.combo)
        self.setFocusProxy(self.combo)
        self.combo.activated.connect(self._picked)
        self.setEnabled(False)

    # -- the scene

    def setMRMLScene(self, scene):
        if scene is self.mrmlScene():
            return
        self.scene = scene
        self.setEnabled(scene is not None)
        if scene is not None:
            scene_events.listen(self, scene)
        self._refresh()

    def sceneChanged(self, event, node):
        if not shiboken6.isValid(self) or self.mrmlScene() is None:
            return
        if event == "NodeAboutToBeRemovedEvent":
            if node in self.nodes:
                self.nodeAboutToBeRemoved.emit(node)
            return
        if node is None or event == "NodeRemovedEvent" or self._offers(node):
            if not self.scene.IsBatchProcessing():
                self._refresh()
            if event == "NodeAddedEvent" and node in self.nodes:
                self.nodeAdded.emit(node)

    def _offers(self, node):
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if node.GetClassName() in self.hideChildNodeTypes:
            return False
        return any(self._isType(node, t) for t in self.nodeTypes) and self._passes(node)

    def _isType(self, node, kind):
        return node.IsA(kind) if self.showChildNodeTypes else node.GetClassName() == kind

    def _passes(self, node):
        wanted = [(name, value) for kind, name, value in self.filters if node.IsA(kind)]
        values = [(node.GetAttribute(name), value) for name, value in wanted]
        return all(found is not None and value in (None, found) for found, value in values)

    def _refresh(self, *_):
        scene = self.mrmlScene()
        every = [scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes())] if scene else []
        self.nodes = [n for n in every if self._offers(n)]
        self._choose(self.chosen if self.chosen in self.nodes else self._fallback())

    def _fallback(self):
        """Without *None* in the list, a combo box always shows something."""
        return self.nodes[0] if self.nodes and not self.noneEnabled else None

    set_nodeTypes = set_noneEnabled = set_noneDisplay = set_showHidden = _refresh
    set_hideChildNodeTypes = set_showChildNodeTypes = _refresh

    def addAttribute(self, kind, name, value=None):
        self.filters.append((kind, name, value))
        self._refresh()

    def removeAttribute(self, kind, name):
        self.filters = [f for f in self.filters if f[:2] != (kind, name)]
        self._refresh()

    # -- the choice

    def _picked(self, row):
        self._choose(self.combo.itemData(row))

    def _choose(self, node):
        changed = node is not self.chosen
        self.chosen = node
        self._show()
        if changed:
            self._tellChoice()

    def _tellChoice(self):
        self._show()
        self.currentNodeChanged.emit(self.chosen)
        for name in self.standInOverloads.values():
            if name.startswith("currentNodeChanged_"):
                getattr(self, name).emit(self.chosen is not None)
        self.currentNodeIDChanged.emit(self.get_currentNodeID())

    def _show(self):
        self.combo.blockSignals(True)
        self.combo.clear()
        if self.noneEnabled:
            self.combo.addItem(self.noneDisplay, None)
        for node in self.nodes:
            self.combo.addItem(node.GetName(), node)
        row = self.nodes.index(self.chosen) + int(self.noneEnabled) if self.chosen in self.nodes else -1
        self.combo.setCurrentIndex(0 if row < 0 and self.noneEnabled else row)
        self.combo.blockSignals(False)

    def currentNode(self):
        return self.chosen

    def setCurrentNode(self, node):
        if isinstance(node, str):
            self.setCurrentNodeID(node)
        elif node is None or node in self.nodes:
            self._choose(node)
        else:
            # as in Slicer: a node that the list does not have (yet) is none
            self._choose(None)

    def get_currentNodeID(self):
        return self.chosen.GetID() if self.chosen is not None else ""

    get_currentNodeId = get_currentNodeID

    def set_currentNodeID(self, text):
        scene = self.mrmlScene()
        self.setCurrentNode(scene.GetNodeByID(text) if scene and text else None)

    set_currentNodeId = setCurrentNodeID = set_currentNodeID

    def setCurrentNodeIndex(self, index):
        self._choose(self.nodes[index])

    def nodeCount(self):
        return len(self.nodes)

    def nodeFromIndex(self, index):
        return self.nodes[index] if 0 <= index < len(self.nodes) else None

    # -- new and removed nodes

    def addNode(self, kind=None):
        scene, kind = self.mrmlScene(), kind or self.nodeTypes[0]
        node = scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        base = self.baseName or scene.GetTagByClassName(kind)
        node.SetName(scene.GetUniqueNameByString(base))
        for which, name, value in self.filters:
            if node.IsA(which) and value is not None:
                node.SetAttribute(name, value)
        scene.AddNode(node)
        if self.selectNodeUponCreation:
            self._choose(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self):
        if self.chosen is not None:
            self.scene.RemoveNode(self.chosen)

    def renameCurrentNode(self, name):
        self.chosen.SetName(name)
        self._show()
        self.currentNodeRenamed.emit(name)


behaviour(type("qMRMLNodeComboBox", (NodeSelector,), {}))


@behaviour
class qMRMLColorTableComboBox(NodeSelector):
    defaults = {  # noqa: RUF012
        **NodeSelector.defaults, "nodeTypes": ["vtkMRMLColorNode"], "showHidden": True,
    }  # fmt: skip


@behaviour
class qMRMLCheckableNodeComboBox(NodeSelector):
    """A node selector with check marks."""

    def build(self):
        super().build()
        self.ticked = []

    def checkedNodes(self):
        return [n for n in self.nodes if n in self.ticked]

    def uncheckedNodes(self):
        return [n for n in self.nodes if n not in self.ticked]

    def setCheckState(self, node, state):
        self.ticked = [n for n in self.ticked if n is not node]
        if int(getattr(state, "value", state)):
            self.ticked.append(node)
        self.checkedNodesChanged.emit()

    def check(self, node):
        self.setCheckState(node, 2)

    def uncheck(self, node):
        self.setCheckState(node, 0)

    def noneChecked(self):
        return not self.checkedNodes()

    def allChecked(self):
        return len(self.checkedNodes()) == len(self.nodes)


@behaviour
class qMRMLSubjectHierarchyComboBox:
    """Items of the subject hierarchy."""

    defaults = {"noneDisplay": "None", "showRootItem": True}  # noqa: RUF012

    def build(self):
        self.items = []
        self.currentIndexChanged.connect(lambda _: self.currentItemChanged.emit(self.currentItem()))

    def setMRMLScene(self, scene):
        self.scene = scene
        if scene is not None:
            scene_events.listen(self, scene)
        self._refresh()

    def sceneChanged(self, event, node):
        if shiboken6.isValid(self) and event != "NodeAboutToBeRemovedEvent":
            self._refresh()

    def subjectHierarchyNode(self):
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.mrmlScene())

    def _refresh(self, *_):
        before = self.currentItem()
        self.items = self._offered() if self.mrmlScene() is not None else []
        self.blockSignals(True)
        self.clear()
        if self.noneEnabled:
            self.addItem(self.noneDisplay, 0)
        for item in self.items:
            self.addItem(self.subjectHierarchyNode().GetItemName(item), item)
        self.setCurrentIndex(max(self.findData(before), -1 if not self.noneEnabled else 0))
        self.blockSignals(False)
        if self.currentItem() != before:
            self.currentItemChanged.emit(self.currentItem())

    def _offered(self):
        import vtk

        hierarchy, found = self.subjectHierarchyNode(), vtk.vtkIdList()
        hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), found, True)
        items = [found.GetId(i) for i in range(found.GetNumberOfIds())]
        return [i for i in items if self._fits(hierarchy.GetItemDataNode(i))]

    def _fits(self, node):
        return not self.nodeTypes or (node is not None and any(node.IsA(t) for t in self.nodeTypes))

    set_nodeTypes = set_noneEnabled = _refresh

    def currentItem(self):
        return self.currentData() or 0

    def setCurrentItem(self, item):
        self.setCurrentIndex(self.findData(item))

    def currentNode(self):
        return self.subjectHierarchyNode().GetItemDataNode(self.currentItem()) if self.currentItem() else None

    def setCurrentNode(self, node):
        self.setCurrentItem(self.subjectHierarchyNode().GetItemByDataNode(node) if node is not None else 0)
