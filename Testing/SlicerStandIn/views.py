"""Slice and 3D views behind the names of Slicer's layout manager; drawn when asked for."""

import slicer
from PySide6 import QtGui, QtWidgets

from . import renderers
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
        self.bar.setStyleSheet(f"background: {COLORS.get(name, '#888')}; color: black")
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.bar)
        layout.addWidget(self.inner, 1)

    def label(self):
        return self.title

    def mrmlScene(self):
        return slicer.mrmlScene

    def pauseRender(self):
        slicer.app.pauseRender()

    def resumeRender(self):
        slicer.app.resumeRender()


@behaviour
class qMRMLSliceWidget(_ViewWidget):
    INNER = "qMRMLSliceView"

    def label(self):
        logic = self.view.logic
        return f"{self.title[0]}   {logic.GetSliceOffset():.1f} mm"

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
    """Four views by name; the layout node remembers what was asked for."""

    SLICES = ("Red", "Yellow", "Green")

    def build(self):
        self.made = {}

    def setMRMLScene(self, scene):
        self.scene = scene
        self.logic = slicer.vtkMRMLLayoutLogic()
        self.logic.SetMRMLScene(scene)

    def openViews(self):
        """Slice nodes, composite nodes and logics are there from the start, as in Slicer."""
        for name in (*self.SLICES, "1"):
            self._view(name)

    def layoutLogic(self):
        return self.logic

    def sliceViewNames(self):
        return list(self.SLICES)

    def sliceWidget(self, name):
        return self._view(name) if name in self.SLICES else None

    def threeDWidget(self, index):
        return self._view("1") if index in (0, "ViewNode", "View1") else None

    def plotWidget(self, index):
        return self._other("qMRMLPlotWidget", index)

    def tableWidget(self, index):
        return self._other("qMRMLTableWidget", index)

    def _other(self, kind, index):
        if (kind, index) not in self.made:
            self.made[kind, index] = nativeClass(kind)()
        return self.made[kind, index]

    def _view(self, name):
        if name not in self.made:
            self.made[name] = _makeView(name)
        return self.made[name]

    def mrmlSliceLogics(self):
        for name in self.SLICES:
            self._view(name)
        return core().app_logic.GetSliceLogics()

    def mrmlViewLogics(self):
        self._view("1")
        return core().app_logic.GetViewLogics()

    def get_threeDViewCount(self):
        return 1

    def get_tableViewCount(self):
        return 0

    get_plotViewCount = get_tableViewCount

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
        for name in self.SLICES:
            self._view(name).view.logic.FitSliceToAll()

    def resetThreeDViews(self):
        self._view("1").view.resetFocalPoint()

    def activeMRMLThreeDViewNode(self):
        return self._view("1").mrmlViewNode()

    def pauseRender(self):
        slicer.app.pauseRender()

    def resumeRender(self):
        slicer.app.resumeRender()


def _makeView(name):
    if name in ORIENTATIONS:
        color = QtGui.QColor(COLORS[name]).getRgbF()[:3]
        view = renderers.SliceView(core(), name, ORIENTATIONS[name], color)
        widget = nativeClass("qMRMLSliceWidget")()
    else:
        view = renderers.ThreeDView(core(), name)
        widget = nativeClass("qMRMLThreeDWidget")()
    widget.open(view, name)
    return widget
