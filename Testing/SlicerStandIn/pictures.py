"""Pictures of views, panels and of the window."""

import slicer
from PySide6 import QtCore, QtGui
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter


def render(view, width, height):
    """A view rendered off screen at this size, as a QImage."""
    width, height = max(width, 16), max(height, 16)
    view.resize(width, height)
    view.render()
    grabber = vtkWindowToImageFilter()
    grabber.SetInput(view.window)
    grabber.SetInputBufferTypeToRGB()
    grabber.ReadFrontBufferOff()
    grabber.ShouldRerenderOff()
    grabber.Update()
    data = grabber.GetOutput()
    columns, rows, _ = data.GetDimensions()
    pixels = vtk_to_numpy(data.GetPointData().GetScalars()).reshape(rows, columns, 3)[::-1].copy()
    return QtGui.QImage(pixels.data, columns, rows, 3 * columns, QtGui.QImage.Format_RGB888).copy()


def viewImage(name, width=512, height=512):
    """Picture of one view (`Red`, `Yellow`, `Green`, `1`)."""
    layout = slicer.app.layoutManager()._q
    return layout._view(name).inner.picture(width, height)


def panelImage(widget, width=420, height=700):
    """Picture of a panel at this width, at least this high."""
    native = widget._q
    native.resize(width, max(height, native.sizeHint().height()))
    native.ensurePolished()
    if native.layout():
        native.layout().activate()
    native.show()
    QtCore.QCoreApplication.processEvents()
    return native.grab().toImage()


def toPIL(image):
    """A QImage as a PIL image."""
    from PIL import Image

    image = image.convertToFormat(QtGui.QImage.Format_RGB888)
    return Image.frombytes(
        "RGB", (image.width(), image.height()), bytes(image.constBits()), "raw", "RGB", image.bytesPerLine()
    )
