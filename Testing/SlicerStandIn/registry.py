"""`slicer.modules`: the logics of Slicer's own modules, and the scripted modules under test."""

import importlib.util
import sys
from pathlib import Path

import slicer
from PySide6 import QtWidgets

from . import errors, facts, native, proxy


class qSlicerAbstractModule:
    """What Slicer shows of a module; only the properties that it has can be set."""

    PROPERTIES = frozenset(
        [
            "name",
            "title",
            "path",
            "categories",
            "dependencies",
            "contributors",
            "associatedNodeTypes",
            "helpText",
            "acknowledgementText",
            "icon",
            "hidden",
            "index",
            "widgetRepresentationCreationEnabled",
        ]
    )

    def __init__(self, name, path=""):
        self.name = self.title = name
        self.path, self.hidden, self.index, self.icon = path, False, 0, None
        self.categories = self.dependencies = self.contributors = self.associatedNodeTypes = ()
        self.helpText = self.acknowledgementText = ""

    def __setattr__(self, name, value):
        if name not in self.PROPERTIES and not name.startswith("_"):
            raise AttributeError(
                f"'{name}' does not exist on {type(self).__name__} and creating new attributes"
                " on C++ objects is not allowed"
            )
        object.__setattr__(self, name, value)


class qSlicerLoadableModule(qSlicerAbstractModule):
    """A module of Slicer's own: its logic only."""

    def __init__(self, name, logic):
        super().__init__(name)
        self._logic = logic

    def logic(self):
        return self._logic

    def widgetRepresentation(self):
        raise NotImplementedError(f"the stand-in has no panel of Slicer's own module {self.name}")


class qSlicerScriptedLoadableModule(qSlicerAbstractModule):
    """A scripted module: the object that its module class fills in as `parent`."""

    def __init__(self, path):
        super().__init__(Path(path).stem, str(path))
        self._representation = None

    def logic(self):
        return slicer.vtkSlicerScriptedLoadableModuleLogic()

    def widgetRepresentation(self):
        if self._representation is None:
            self._representation = self.createNewWidgetRepresentation()
        return self._representation

    def createNewWidgetRepresentation(self):
        widget = native.nativeClass("qSlicerScriptedLoadableModuleWidget")()
        widget.python, widget.entered, widget.title = None, False, self.name
        widget.setup()
        return proxy.wrap(widget)


@native.behaviour
class qSlicerScriptedLoadableModuleWidget:
    """The panel of a scripted module: makes the Python widget and passes enter and exit on."""

    def setup(self):
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        self.setMRMLScene(slicer.mrmlScene)
        self.reload()

    def reload(self):
        module = sys.modules[self.title]
        self.python = getattr(module, f"{self.title}Widget")(proxy.wrap(self))
        setattr(slicer.modules, f"{self.title}Widget", self.python)
        self.python.setup()
        self.mrmlSceneChanged.emit(slicer.mrmlScene)
        if self.entered:
            self._call("enter")

    def self(self):
        return self.python

    def _call(self, name):
        function = getattr(self.python, name, None)
        if function is None:
            return
        try:
            function()
        except (
            Exception
        ):  # Slicer prints what a module raises here and goes on; the test reads it from errors
            errors.report()

    def enter(self):
        self.entered = True
        self._call("enter")

    def exit(self):
        self.entered = False
        self._call("exit")

    def get_isEntered(self):
        return self.entered

    def get_moduleName(self):
        return self.title


class Modules:
    """`slicer.modules`."""

    def __init__(self):
        self.loaded = {}

    def __getattr__(self, name):
        if name.startswith("_") or name not in facts.names("slicer.modules"):
            raise AttributeError(f"module 'modules' has no attribute '{name}'")
        found = {n.lower(): m for n, m in vars(self)["loaded"].items()}.get(name)
        if found is None:
            raise NotImplementedError(f"the stand-in does not offer slicer.modules.{name}")
        return found

    def add(self, module):
        self.loaded[module.name] = module
        setattr(self, module.name.lower(), module)


def addCoreModules(modules, core):
    """The logics of Slicer's own modules."""
    for name, logic in core.logics.items():
        modules.add(qSlicerLoadableModule(name, logic))


def loadScripted(modules, path):
    """Import a module file and make its module object, as Slicer's factory does."""
    path = Path(path).resolve()
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    python = importlib.util.module_from_spec(spec)
    sys.modules[name] = python
    spec.loader.exec_module(python)
    module = qSlicerScriptedLoadableModule(path)
    modules.add(module)
    instance = getattr(python, name)(module)
    setattr(modules, f"{name}Instance", instance)
    if hasattr(instance, "setup"):
        instance.setup()
    return module
