"""Slice and 3D views behind the names of Slicer's layout manager; drawn when asked for."""

import slicer
from PySide6 import QtGui, QtWidgets

from . import layouts, renderers
from .native import behaviour, nativeClass

COLORS = {"Red": "#f34a33", "Green": "#6eb04b", "Yellow": "#edd54c", "1": "#7f8eff"}
ORIENTATIONS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


def core():
    return slicer.app._q.core


class _ViewWidget:
    """A view with its coloured bar: qMRMLSliceWidget, qMRMLThreeDWidget."""

    def build(self):
        self.view = None
        self.setMinimumSize(64, 64)

    def open(self, view, name):
        self.view, self.title = view, name
        self.inner = nativeClass(self.INNER)(self)
        self.inner.view = view
        self.bar = QtWidgets.QLabel(f" {self.label()}", self)
        self.bar.setFixedHeight(22)
        self.bar.setStyleSheet(f"background: {self.color()}; color: black")
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.bar)
        layout.addWidget(self.inner, 1)

    def label(self):
        return self.node().GetLayoutLabel() or self.title

    def color(self):
        if self.title in COLORS:
            return COLORS[self.title]
        return QtGui.QColor.fromRgbF(*self.node().GetLayoutColor()).name()

    def mrmlScene(self):
        return slicer.mrmlScene

    def pauseRender(self):
        slicer.app.pauseRender()

    def resumeRender(self):
        slicer.app.resumeRender()


@behaviour
class qMRMLSliceWidget(_ViewWidget):
    INNER = "qMRMLSliceView"

    def node(self):
        return self.view.logic.GetSliceNode()

    def label(self):
        return f"{self.node().GetLayoutLabel() or self.title[0]}   {self.view.logic.GetSliceOffset():.1f} mm"

    def sliceView(self):
        return self.inner

    def sliceLogic(self):
        return self.view.logic

    def mrmlSliceNode(self):
        return self.view.logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        return self.view.logic.GetSliceCompositeNode()

    def sliceController(self):
        raise NotImplementedError("the stand-in has no slice controller: use the slice logic")

    def get_sliceOrientation(self):
        return self.mrmlSliceNode().GetOrientation()

    def set_sliceOrientation(self, name):
        self.mrmlSliceNode().SetOrientation(name)

    def get_sliceViewName(self):
        return self.title

    def fitSliceToBackground(self):
        self.view.logic.FitSliceToBackground()


@behaviour
class qMRMLThreeDWidget(_ViewWidget):
    INNER = "qMRMLThreeDView"

    def node(self):
        return self.view.node

    def threeDView(self):
        return self.inner

    def mrmlViewNode(self):
        return self.view.node

    mrmlAbstractViewNode = mrmlViewNode

    def viewLogic(self):
        return self.view.logic


class _View:
    """The picture itself: rendered off screen when it is painted."""

    def build(self):
        self.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Expanding)

    def renderWindow(self):
        return self.view.window

    def interactor(self):
        return self.view.interactor

    def forceRender(self):
        if self.width() > 1 and not slicer.app.renderPaused():
            self.update()

    scheduleRender = forceRender

    def picture(self, width, height):
        from .pictures import render

        return render(self.view, width, height)

    def paintEvent(self, _):
        self.parentWidget().bar.setText(f" {self.parentWidget().label()}")
        ratio = self.devicePixelRatioF()
        image = self.picture(int(self.width() * ratio), int(self.height() * ratio))
        QtGui.QPainter(self).drawImage(self.rect(), image)

    def displayableManagerByClassName(self, name):
        return self.view.group.GetDisplayableManagerByClassName(name)


@behaviour
class qMRMLSliceView(_View):
    def mrmlSliceNode(self):
        return self.view.logic.GetSliceNode()

    def convertRASToXYZ(self, ras):
        import vtk

        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.mrmlSliceNode().GetXYToRAS(), inverse)
        return list(inverse.MultiplyPoint([*ras, 1.0])[:3])

    def convertXYZToRAS(self, xyz):
        return list(self.mrmlSliceNode().GetXYToRAS().MultiplyPoint([*xyz, 1.0])[:3])


@behaviour
class qMRMLThreeDView(_View):
    def mrmlViewNode(self):
        return self.view.node

    def cameraNode(self):
        manager = self.displayableManagerByClassName("vtkMRMLCameraDisplayableManager")
        return manager.GetCameraNode()

    def resetFocalPoint(self):
        self.view.resetFocalPoint()

    def resetCamera(self, *_):
        self.view.renderer.ResetCamera()


@behaviour
class qSlicerLayoutManager:
    """Slicer's four views by name, and those of the layout that the layout node asks for."""

    SLICES = ("Red", "Yellow", "Green")

    def build(self):
        self.made, self.opened = {}, False

    def setMRMLScene(self, scene):
        self.scene = scene
        self.logic = slicer.vtkMRMLLayoutLogic()
        self.logic.SetMRMLScene(scene)
        self.watched = None

    def openViews(self):
        """Slice nodes, composite nodes and logics are there from the start, as in Slicer."""
        for name in (*self.SLICES, "1"):
            self._view(name)
        self.opened = True
        self._watch()

    def _watch(self):
        node = self.logic.GetLayoutNode()
        if node is not None and node is not self.watched:
            self.watched = node
            node.AddObserver("ModifiedEvent", self._follow)

    def _follow(self, *_):
        """The views of the layout are made as soon as it is asked for, with their nodes and logics."""
        for className, name, _properties in layouts.viewsOf(layouts.root(self.logic.GetLayoutNode())):
            self.viewOf(className, name)

    def viewOf(self, className, name):
        """The native widget of a view of a layout."""
        if className in (layouts.SLICE, layouts.THREED):
            return self._view(name, className)
        kind = {layouts.PLOT: "qMRMLPlotWidget", layouts.TABLE: "qMRMLTableWidget"}[className]
        if (kind, name) not in self.made:
            node = self.scene.GetSingletonNode(name, className)
            self.made[kind, name] = nativeClass(kind)()
            self.made[kind, name].open(node)
        return self.made[kind, name]

    def arrange(self):
        """A widget with the views of the current layout; None for Slicer's own four."""
        self._watch()
        node = self.logic.GetLayoutNode()
        element = layouts.root(node)
        if element is None or node.GetViewArrangement() == node.SlicerLayoutFourUpView:
            return None
        self._follow()
        return layouts.build(element, self.viewOf)

    def layoutLogic(self):
        return self.logic

    def _shown(self, className):
        """Names of the views of a kind in the current layout."""
        views = layouts.viewsOf(layouts.root(self.logic.GetLayoutNode()))
        return [name for kind, name, _properties in views if kind == className]

    def sliceViewNames(self):
        shown = self._shown(layouts.SLICE)
        # Slicer's own three come first and in this order
        return [n for n in self.SLICES if n in shown or not shown] + [
            n for n in shown if n not in self.SLICES
        ]

    def _isSlice(self, name):
        return isinstance(name, str) and isinstance(self.made[name].view, renderers.SliceView)

    def sliceWidget(self, name):
        known = name in self.SLICES or (name in self.made and self._isSlice(name))
        return self._view(name) if known else None

    def _threeD(self):
        return self._shown(layouts.THREED) or ["1"]

    def threeDWidget(self, index):
        if index in ("ViewNode", "View1"):
            index = 0
        names = self._threeD()
        return self._view(names[index]) if isinstance(index, int) and index < len(names) else None

    def plotWidget(self, index):
        return self._other("qMRMLPlotWidget", index)

    def tableWidget(self, index):
        return self._other("qMRMLTableWidget", index)

    def _other(self, kind, index):
        className = layouts.PLOT if kind == "qMRMLPlotWidget" else layouts.TABLE
        names = self._shown(className)
        return self.viewOf(className, names[index]) if index < len(names) else None

    def _view(self, name, className=None):
        if name not in self.made:
            self.made[name] = _makeView(name, className)
        return self.made[name]

    def mrmlSliceLogics(self):
        for name in self.SLICES:
            self._view(name)
        return core().app_logic.GetSliceLogics()

    def mrmlViewLogics(self):
        self._view("1")
        return core().app_logic.GetViewLogics()

    def get_threeDViewCount(self):
        return len(self._threeD())

    def get_tableViewCount(self):
        return len(self._shown(layouts.TABLE))

    def get_plotViewCount(self):
        return len(self._shown(layouts.PLOT))

    def get_layout(self):
        node = self.logic.GetLayoutNode()
        return node.GetViewArrangement() if node else 0

    def set_layout(self, layout):
        self.logic.GetLayoutNode().SetViewArrangement(int(layout))
        for name in self.standInOverloads.values():
            if name.startswith("layoutChanged"):
                args = (int(layout),) if self.standInOverloads["layoutChanged(int)"] == name else ()
                getattr(self, name).emit(*args)

    def setLayout(self, layout):
        self.layout = layout

    def resetSliceViews(self):
        for name in self.sliceViewNames():
            self._view(name).view.logic.FitSliceToAll()

    def resetThreeDViews(self):
        for name in self._threeD():
            self._view(name).view.resetFocalPoint()

    def activeMRMLThreeDViewNode(self):
        return self._view("1").mrmlViewNode()

    def pauseRender(self):
        slicer.app.pauseRender()

    def resumeRender(self):
        slicer.app.resumeRender()


def _makeView(name, className=None):
    if name in ORIENTATIONS or className == layouts.SLICE:
        node = core().scene.GetSingletonNode(name, layouts.SLICE)
        # the layout's XML has told a view of its own its orientation and colour
        known = name in ORIENTATIONS or node is None
        color = QtGui.QColor(COLORS.get(name, "#888")).getRgbF()[:3] if known else node.GetLayoutColor()
        orientation = ORIENTATIONS.get(name, "Axial") if known else node.GetOrientation()
        view = renderers.SliceView(core(), name, orientation, color)
        widget = nativeClass("qMRMLSliceWidget")()
    else:
        view = renderers.ThreeDView(core(), name)
        widget = nativeClass("qMRMLThreeDWidget")()
    widget.open(view, name)
    return widget
