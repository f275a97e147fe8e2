"""What a test does with the stand-in: modules, life cycle, clicks, pictures."""

import time
from pathlib import Path

from PySide6 import QtCore, QtWidgets

from . import errors, files, messages, pictures, proxy, registry, scene_events, widgets_markups, window


class Host:
    """The running stand-in."""

    def __init__(self, slicer, core):
        self.slicer, self.core = slicer, core
        self.current = None
        self.messages = messages
        self._window = window.MainWindow(self)

    # -- modules

    def loadModule(self, path):
        """Import a module file; returns Slicer's module object."""
        return registry.loadScripted(self.slicer.modules, path)

    def finishStartup(self):
        """Emit `startupCompleted()`, as after Slicer's start."""
        self.slicer.app.startupCompleted()

    def open(self, name):
        """Make a module's panel if need be and enter it; returns its Python widget."""
        self.close()
        panel = self.slicer.app.moduleManager().module(name).widgetRepresentation()
        self.current = panel
        self._window.showPanel(panel)
        panel.enter()
        self.process()
        return panel._q.python

    def close(self):
        """Leave the current panel."""
        if self.current is not None:
            self.current.exit()
            self.current = None

    def panel(self, name):
        """The panel's outer widget."""
        return self.slicer.app.moduleManager().module(name).widgetRepresentation()

    def reload(self, name):
        """Reload a module from its file, as its *Reload* button does."""
        self.slicer.util.reloadScriptedModule(name)
        return self.panel(name)._q.python

    def unload(self, name):
        """Slicer's exit: `cleanup` is called."""
        self.slicer.app.moduleManager().moduleAboutToBeUnloaded(name)

    def window(self):
        """The main window: never shown off screen unless a picture is taken."""
        self._window.selector.fill()
        return self._window

    # -- the scene

    def observers(self):
        """Observers on the scene that modules have left there."""
        text = str(self.slicer.mrmlScene)
        return text.count("vtkPythonCommand") - scene_events.ownObservers()

    def clear(self):
        """Close the scene as the user does."""
        self.slicer.mrmlScene.Clear(0)
        self.process()

    def saveScene(self, path):
        """Save the scene as `.mrb`."""
        if not self.slicer.mrmlScene.WriteToMRB(str(path)):
            raise RuntimeError(f"the scene was not written to {path}")
        return Path(path)

    def loadScene(self, path, clear=True):
        """Load an `.mrb` or `.mrml`; the scene is closed before, unless told otherwise."""
        if not files.loadScene(path, clear):
            raise RuntimeError(f"the scene in {path} was not read")
        self.process()

    # -- a person

    def process(self, seconds=0.0):
        """Let pending events happen; for this long where a timer has to fire."""
        end = time.monotonic() + seconds
        self.slicer.app.processEvents()
        while time.monotonic() < end:
            self.slicer.app.processEvents()
            time.sleep(0.005)

    def place(self, ras):
        """Click in a slice view at this position (RAS, mm)."""
        return widgets_markups.placePoint(ras)

    def click(self, widget):
        """Press a button as a person does: nothing where it is disabled."""
        if not widget.enabled:
            raise RuntimeError(f"'{widget.name}' is disabled")
        widget.click()
        self.process()

    def cancelNextProgress(self, atLeast=1):
        """Press *Cancel* of the next progress dialog once it shows this value."""

        def look():
            for dialog in QtWidgets.QApplication.topLevelWidgets():
                isProgress = isinstance(dialog, QtWidgets.QProgressDialog)
                if isProgress and dialog.value() >= atLeast and not dialog.wasCanceled():
                    timer.stop()
                    dialog.cancel()

        timer = QtCore.QTimer(self.slicer.app._q)
        timer.timeout.connect(look)
        timer.start(0)
        return timer

    def errors(self):
        """Exceptions since the last call that Slicer would only have printed."""
        return errors.take()

    # -- pictures

    def grabView(self, name, width=512, height=512):
        """PIL picture of a view: `Red`, `Yellow`, `Green` or `1`."""
        return pictures.toPIL(pictures.viewImage(name, width, height))

    def grabPanel(self, name, width=420, height=700):
        """PIL picture of a module's panel."""
        panel = self.panel(name)
        self._window.release()
        return pictures.toPIL(pictures.panelImage(panel, width, height))

    def grabWindow(self, name, width=1366, height=768):
        """PIL picture of the window: this module's panel left, the views right."""
        return pictures.toPIL(window.image(self, name, width, height))

    def wrap(self, native):
        return proxy.wrap(native)
