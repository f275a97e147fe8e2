"""`slicer.app`."""

import atexit
import os
import shutil
import sys
import tempfile

from PySide6 import QtCore, QtWidgets

from . import errors, native, proxy


def _text(value):
    """A string property that never changes."""
    return QtCore.Property(str, lambda self: value(self) if callable(value) else value, constant=True)


class qSlicerApplication(QtWidgets.QApplication):
    """The application object: scene, layout, settings, modules."""

    startupCompleted = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)

    def begin(self, core, testing):
        """Take over the MRML core; settings and temporary files live in a folder of this run."""
        self.core, self.testing = core, testing
        self.folder = tempfile.mkdtemp(prefix="SlicerStandIn")
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, self.folder)
        self.setOrganizationName("NA-MIC")
        self.setApplicationName("Slicer")
        self.setApplicationVersion("5.13.0")
        self.layouts = native.nativeClass("qSlicerLayoutManager")(self)
        self.layouts.setMRMLScene(core.scene)
        self.paused = 0

    def layoutManager(self):
        return self.layouts

    def mrmlScene(self):
        return self.core.scene

    def applicationLogic(self):
        return self.core.app_logic

    def moduleLogic(self, name):
        return self.core.app_logic.GetModuleLogic(name)

    def testingEnabled(self):
        return self.testing

    def settings(self):
        if not hasattr(self, "kept"):
            self.kept = ctkSettings(self)
        return self.kept

    userSettings = revisionUserSettings = settings

    def moduleManager(self):
        return self.modules

    def coreIOManager(self):
        return self.inputOutput

    ioManager = coreIOManager

    def setOverrideCursor(self, cursor):
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def pauseRender(self):
        self.paused += 1

    def resumeRender(self):
        self.paused = max(0, self.paused - 1)

    def setRenderPaused(self, paused):
        (self.pauseRender if paused else self.resumeRender)()

    def renderPaused(self):
        return self.paused > 0

    def commandOptions(self):
        return QtCore.QObject(self)

    def openUrl(self, url):
        self.openedUrl = str(url)

    def moduleDocumentationUrl(self, name):
        return f"https://slicer.readthedocs.io/en/latest/user_guide/modules/{name.lower()}.html"

    def isCustomMainApplication(self):
        return False

    temporaryPath = _text(lambda self: self.folder)
    cachePath = _text(lambda self: self.folder)
    slicerHome = _text(lambda self: self.folder)
    slicerSharePath = _text("share/Slicer-5.13")
    startupWorkingPath = _text(lambda self: os.getcwd())
    defaultScenePath = _text(lambda self: self.folder)
    extensionsInstallPath = _text(lambda self: self.folder)
    documentationBaseUrl = _text("https://slicer.readthedocs.io/en/latest/")
    revision = _text("31053")
    repositoryRevision = _text("583e9b37d5")
    os = _text(sys.platform)
    platform = _text(sys.platform)
    majorVersion = QtCore.Property(int, lambda self: 5, constant=True)
    minorVersion = QtCore.Property(int, lambda self: 13, constant=True)


class ctkSettings(QtCore.QSettings):
    """Settings of this run only."""


class qSlicerModuleManager(QtCore.QObject):
    """Which modules there are."""

    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleUnloaded = QtCore.Signal(str)

    def __init__(self, parent, modules):
        super().__init__(parent)
        self.loaded = modules

    def module(self, name):
        return self.loaded.get(name)

    def modulesNames(self):
        return list(self.loaded)

    def isLoaded(self, name):
        return name in self.loaded

    def factoryManager(self):
        return self

    loadedModuleNames = modulesNames
    registeredModuleNames = modulesNames


def make(core, testing):
    """The application, ready; `slicer.app` is its Python side."""
    errors.install()
    native_ = qSlicerApplication(sys.argv[:1])
    native_.begin(core, testing)
    return proxy.wrap(native_)
