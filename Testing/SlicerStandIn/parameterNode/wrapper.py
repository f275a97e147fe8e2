"""`@parameterNodeWrapper`: a class of annotated fields over a vtkMRMLScriptedModuleNode."""

import slicer
import vtk

from .annotations import split
from .connectors import GuiConnector, childWidgets, createGuiConnector
from .packs import fieldsOf

PROPERTY = "SlicerParameterName"
RESERVED = {
    "allParameters", "default", "isCached", "dataType", "getValue", "setValue", "connectGui",
    "connectParametersToGui", "disconnectGui", "StartModify", "EndModify", "AddObserver", "RemoveObserver",
    "Modified", "parameterNode",
}  # fmt: skip


def isParameterNodeWrapper(item):
    return getattr(item, "_isParameterNodeWrapper", False)


def parameterNodeWrapper(classtype=None):
    """Class decorator: fields become typed, stored, connectable to widgets."""
    return _wrap if classtype is None else _wrap(classtype)


def _wrap(cls):
    fields = fieldsOf(cls)
    taken = RESERVED & (set(fields) | set(vars(cls)))
    if taken:
        raise ValueError(f"Cannot use reserved name '{taken.pop()}' in a parameterNodeWrapper")
    for name in fields:
        setattr(cls, name, _property(name))
    for name, function in vars(_Methods).items():
        if not name.startswith("__") or name == "__init__":
            setattr(cls, name, function)
    cls.allParameters = fields
    cls._isParameterNodeWrapper = True
    cls.dataType = staticmethod(lambda name: _dataType(cls, name))
    return cls


def _property(name):
    def read(self):
        return self._serializer(name).read(self.parameterNode, name)

    def write(self, value):
        self._write(name, value)

    return property(read, write)


def _dataType(cls, name):
    top, _, rest = name.partition(".")
    _check(cls, name)
    hint = cls.allParameters[top][0]
    return split(hint)[0].dataType(rest) if rest else hint


def _check(cls, name):
    if name.split(".")[0] not in cls.allParameters:
        raise ValueError(f"Cannot find a param with the given name: {name}")


class _Methods:
    """What every wrapped class gets."""

    def __init__(self, parameterNode, prefix=""):
        self.parameterNode = parameterNode
        self._connected, self._nextTag, self._showing = {}, 0, False
        for name, (_, serializer, default) in self.allParameters.items():
            if not serializer.isIn(parameterNode, name):
                serializer.write(parameterNode, name, default.value)

    def _serializer(self, name):
        return self.allParameters[name][1]

    def _write(self, name, value):
        with slicer.util.NodeModify(self.parameterNode):
            self._serializer(name).write(self.parameterNode, name, value)

    def default(self, name):
        _check(type(self), name)
        return self.allParameters[name][2]

    def isCached(self, name):
        _check(type(self), name)
        return False

    def getValue(self, name):
        _check(type(self), name)
        top, _, rest = name.partition(".")
        value = getattr(self, top)
        return value.getValue(rest) if rest else value

    def setValue(self, name, value):
        _check(type(self), name)
        top, _, rest = name.partition(".")
        if rest:
            getattr(self, top).setValue(rest, value)
        else:
            setattr(self, top, value)

    def connectGui(self, gui):
        """Connect every child widget that names a field in its `SlicerParameterName`."""
        widgets = {w.property(PROPERTY): w for w in childWidgets(gui) if w.property(PROPERTY)}
        return self.connectParametersToGui(widgets)

    def connectParametersToGui(self, mapping):
        for name in mapping:
            _dataType(type(self), name)
        connectors = {
            name: w if isinstance(w, GuiConnector) else createGuiConnector(w, _dataType(type(self), name))
            for name, w in mapping.items()
        }
        tag, self._nextTag = self._nextTag, self._nextTag + 1
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(lambda name=name, connector=connector: self._fromGui(name, connector))
        observer = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._toGui())
        self._connected[tag] = (connectors, observer)
        return tag

    def disconnectGui(self, tag):
        if tag not in self._connected:
            return
        connectors, observer = self._connected.pop(tag)
        for connector in connectors.values():
            connector.onChanged(None)
        self.parameterNode.RemoveObserver(observer)

    def _fromGui(self, name, connector):
        if not self._showing:
            self.setValue(name, connector.read())

    def _toGui(self):
        if self._showing:
            return
        self._showing = True
        try:
            for connectors, _ in self._connected.values():
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._showing = False

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified):
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        self.parameterNode.Modified()


def findChildWidgetForParameter(widget, name):
    """The child widget that names this field, or None."""
    return next((w for w in childWidgets(widget) if w.property(PROPERTY) == name), None)
