"""The main window: module selector on top, panel left, four views right."""

import slicer
from PySide6 import QtCore, QtWidgets

TITLE = "3D Slicer stand-in"


class ModuleSelector(QtWidgets.QToolBar):
    """`slicer.util.moduleSelector()`."""

    moduleSelected = QtCore.Signal(str)

    def __init__(self, host):
        super().__init__()
        self.setObjectName("ModuleSelectorToolBar")
        self.host = host
        self.addWidget(QtWidgets.QLabel("Modules: "))
        self.combo = QtWidgets.QComboBox()
        self.combo.setMinimumWidth(200)
        self.addWidget(self.combo)
        self.combo.textActivated.connect(self.selectModule)

    def fill(self):
        names = [n for n, m in slicer.modules.loaded.items() if m.path]
        self.combo.clear()
        self.combo.addItems(names)

    def selectModule(self, name):
        self.host.open(name)
        self.combo.setCurrentText(name)
        self.moduleSelected.emit(name)

    @property
    def selectedModule(self):
        current = self.host.current
        return current.moduleName if current is not None else ""


class MainWindow(QtWidgets.QMainWindow):
    """`slicer.util.mainWindow()`."""

    standInName = "qSlicerMainWindow"

    def __init__(self, host):
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle(TITLE)
        self.selector = ModuleSelector(host)
        self.addToolBar(self.selector)
        self.area = QtWidgets.QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setMinimumWidth(380)
        self.area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        self.views = QtWidgets.QWidget()
        split = QtWidgets.QSplitter()
        split.addWidget(self.area)
        split.addWidget(self.views)
        split.setStretchFactor(1, 1)
        split.setSizes([420, 946])
        self.setCentralWidget(split)
        self.statusBar()
        self.resize(1366, 768)

    def moduleSelector(self):
        return self.selector

    def release(self):
        """Take the panel out of the window."""
        if self.area.widget() is not None:
            self.area.takeWidget().setParent(None)

    def showPanel(self, panel):
        self.release()
        self.area.setWidget(panel._q)
        panel._q.show()

    def showViews(self):
        """Lay out the views that the layout node asks for."""
        layouts = slicer.app.layoutManager()._q
        holder = layouts.arrange() or self._fourUp(slicer.app.layoutManager())
        if self.views.layout() is None:
            QtWidgets.QVBoxLayout(self.views).setContentsMargins(0, 0, 0, 0)
        while self.views.layout().count():
            # its views have moved into the new one, or are kept for a later one
            self.views.layout().takeAt(0).widget().hide()
        self.views.layout().addWidget(holder)
        holder.show()

    def _fourUp(self, layout):
        holder = QtWidgets.QWidget()
        grid = QtWidgets.QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        parts = [layout.sliceWidget("Red"), layout.threeDWidget(0)]
        parts += [layout.sliceWidget("Green"), layout.sliceWidget("Yellow")]
        for i, part in enumerate(parts):
            grid.addWidget(part._q, i // 2, i % 2)
            part._q.show()
        return holder


def redraw(window):
    """Draw the views again when the scene has changed (a few times a second)."""
    timer = QtCore.QTimer(window)
    timer.setInterval(250)
    timer.timeout.connect(window.views.update)
    timer.timeout.connect(lambda: [v.update() for v in window.views.findChildren(QtWidgets.QWidget)])
    timer.start()


def image(host, name, width=1366, height=768):
    """Picture of the window with this module's panel beside the four views."""
    window = host.window()
    host.open(name)
    window.showViews()
    window.resize(width, height)
    window.show()
    for _ in range(3):
        QtCore.QCoreApplication.processEvents()
    found = window.grab().toImage()
    window.hide()
    return found


__all__ = ["MainWindow", "image", "redraw"]
