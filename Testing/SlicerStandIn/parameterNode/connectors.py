"""How a widget shows a field: chosen by the class of the widget and the type of the field."""

import enum
import pathlib

import ctk
import qt
import slicer

from .annotations import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange, first, split
from .packs import isParameterPack
from .serializers import FloatRange, RangeBounds, nodeTypes

_registered = []


class GuiConnector:
    """One widget and one field: own pairs register a subclass with `parameterNodeGuiConnector`."""

    def __init__(self):
        self._callback = None

    @staticmethod
    def canRepresent(widget, datatype):
        raise NotImplementedError

    @classmethod
    def create(cls, widget, datatype):
        return cls(widget, datatype)

    def onChanged(self, callback):
        self._callback = callback
        if callback is None:
            self._disconnect()
        else:
            self._connect()

    def changed(self):
        if self._callback:
            self._callback()


def parameterNodeGuiConnector(classtype=None):
    """Class decorator: register a connector."""

    def register(cls):
        _registered.append(cls)
        return cls

    return register if classtype is None else register(classtype)


def createGuiConnector(widget, datatype):
    """The connector of this widget and type; RuntimeError where Slicer has none."""
    for candidate in _registered:
        if candidate.canRepresent(widget, datatype):
            return candidate.create(widget, datatype)
    raise RuntimeError(
        f"Unable to create GUI connector from datatype '{datatype}' to widget type '{type(widget)}'."
    )


def childWidgets(gui):
    """Child widgets of a widget, or the widgets held by a `childWidgetVariables` object."""
    if hasattr(gui, "isWidgetType"):
        return gui.findChildren(qt.QWidget)
    return list(vars(gui).values())


class PropertyConnector(GuiConnector):
    """The usual case: one property, one signal."""

    signal = "valueChanged"
    prop = "value"

    def __init__(self, widget, datatype):
        super().__init__()
        self._widget, self.datatype = widget, datatype
        self.kind, self.annotations = split(datatype)
        self.prepare()

    def prepare(self):
        """Set limits and entries of the widget from the annotations."""

    def widget(self):
        return self._widget

    def _connect(self):
        getattr(self._widget, self.signal).connect(self.changed)

    def _disconnect(self):
        getattr(self._widget, self.signal).disconnect(self.changed)

    def read(self):
        return getattr(self._widget, self.prop)

    def write(self, value):
        setattr(self._widget, self.prop, value)


def connector(base, widgets, accepts, **body):
    """Make and register a connector class for these widget classes and this test of the type."""

    def canRepresent(widget, datatype):
        return type(widget) in widgets() and accepts(split(datatype)[0])

    return parameterNodeGuiConnector(
        type("Connector", (base,), {"canRepresent": staticmethod(canRepresent), **body})
    )


class NumberConnector(PropertyConnector):
    def prepare(self):
        for kind, prop in ((Decimals, "decimals"), (SingleStep, "singleStep")):
            hint = first(self.annotations, kind)
            if hint is not None:
                setattr(self._widget, prop, hint.value)
        low, high = self._limits()
        if type(self._widget) in unbounded() and (low is None or high is None):
            raise RuntimeError(f"Cannot have a connection to {self._widget.className()} without both limits.")
        self._widget.minimum = self.lowest if low is None else low
        self._widget.maximum = self.highest if high is None else high

    def _limits(self):
        within = first(self.annotations, WithinRange)
        if within is not None:
            return within.minimum, within.maximum
        low, high = first(self.annotations, Minimum), first(self.annotations, Maximum)
        return low and low.minimum, high and high.maximum


def unbounded():
    return (qt.QSlider, ctk.ctkSliderWidget, ctk.ctkDoubleSlider)


class ChoiceConnector(PropertyConnector):
    """A combo box: entries of a Choice, or members of an Enum."""

    signal = "currentIndexChanged"
    prop = "currentIndex"

    def prepare(self):
        self.values = self._values()
        self._widget.clear()
        for value in self.values:
            self._widget.addItem(self._label(value))

    def _values(self):
        if isinstance(self.kind, type) and issubclass(self.kind, enum.Enum):
            return list(self.kind)
        choice = first(self.annotations, Choice)
        if choice is None:
            raise RuntimeError("a combo box needs the Choice annotation")
        return list(choice.choices)

    def _label(self, value):
        if not isinstance(value, enum.Enum):
            return str(value)
        label = getattr(type(value), "label", None)
        return label(value) if label else value.name

    def read(self):
        return self.values[self._widget.currentIndex]

    def write(self, value):
        self._widget.currentIndex = self.values.index(value)


class PlainTextConnector(PropertyConnector):
    signal = "textChanged"

    def read(self):
        return self._widget.toPlainText()

    def write(self, value):
        if value != self._widget.toPlainText():
            self._widget.setPlainText(value)


class LabelConnector(PropertyConnector):
    """A label shows and never changes."""

    prop = "text"

    def _connect(self):
        pass

    _disconnect = _connect


class PathConnector(PropertyConnector):
    def read(self):
        return self.kind(super().read())

    def write(self, value):
        super().write(str(value))


class NodeConnector(PropertyConnector):
    signal = "currentNodeChanged"

    def prepare(self):
        self._widget.nodeTypes = [t.__name__ for t in nodeTypes(self.datatype)]

    def read(self):
        return self._widget.currentNode()

    def write(self, value):
        self._widget.setCurrentNode(value)


class HierarchyConnector(NodeConnector):
    signal = "currentItemChanged"


class MarkupsConnector(NodeConnector):
    signal = "markupsNodeChanged"

    def prepare(self):
        """The list of points takes any markups node."""


class RangeConnector(PropertyConnector):
    signal = "valuesChanged"

    def prepare(self):
        bounds = first(self.annotations, RangeBounds)
        if bounds is not None:
            self._widget.minimum, self._widget.maximum = bounds.minimum, bounds.maximum

    def read(self):
        return FloatRange(self._widget.minimumValue, self._widget.maximumValue)

    def write(self, value):
        self._widget.setValues(value.minimum, value.maximum)


class PackConnector(GuiConnector):
    """A widget whose children name the fields of a pack in `SlicerPackParameterName`."""

    PROPERTY = "SlicerPackParameterName"

    @staticmethod
    def canRepresent(widget, datatype):
        return isParameterPack(split(datatype)[0])

    def __init__(self, widget, datatype):
        super().__init__()
        self._widget, self.kind = widget, split(datatype)[0]
        named = {w.property(self.PROPERTY): w for w in childWidgets(widget) if w.property(self.PROPERTY)}
        self.parts = {
            n: createGuiConnector(named[n], self.kind.dataType(n)) for n in self.kind.allPackParameters
        }

    def widget(self):
        return self._widget

    def _connect(self):
        for part in self.parts.values():
            part.onChanged(self.changed)

    def _disconnect(self):
        for part in self.parts.values():
            part.onChanged(None)

    def read(self):
        return self.kind(**{name: part.read() for name, part in self.parts.items()})

    def write(self, value):
        for name, part in self.parts.items():
            part.write(value.getValue(name))


def isEnumOrChoice(kind):
    return kind in (int, float, str, bool) or (isinstance(kind, type) and issubclass(kind, enum.Enum))


def isPath(kind):
    return isinstance(kind, type) and issubclass(kind, pathlib.PurePath)


def isNode(kind):
    return bool(nodeTypes(kind))


def registerAll():
    """Pairs of widget and type that Slicer connects."""
    boolButtons = {"signal": "toggled", "prop": "checked"}
    real = {"lowest": float("-inf"), "highest": float("inf")}
    whole = {"lowest": -(2**31), "highest": 2**31 - 1}
    connector(
        PropertyConnector,
        lambda: (qt.QCheckBox, ctk.ctkCheckBox, qt.QPushButton, ctk.ctkCheckablePushButton),
        lambda k: k is bool,
        **boolButtons,
    )
    connector(NumberConnector, lambda: (qt.QSlider, qt.QSpinBox), lambda k: k is int, **whole)
    connector(NumberConnector, floatWidgets, lambda k: k is float, **real)
    connector(RangeConnector, rangeWidgets, lambda k: k is FloatRange)
    connector(ChoiceConnector, lambda: (qt.QComboBox, ctk.ctkComboBox), isEnumOrChoice)
    connector(
        PropertyConnector, lambda: (qt.QLineEdit,), lambda k: k is str, signal="textChanged", prop="text"
    )
    connector(LabelConnector, lambda: (qt.QLabel,), lambda k: k is str)
    connector(PlainTextConnector, lambda: (qt.QTextEdit,), lambda k: k is str)
    path = {"signal": "currentPathChanged", "prop": "currentPath"}
    connector(PathConnector, lambda: (ctk.ctkPathLineEdit,), isPath, **path)
    folder = {"signal": "directoryChanged", "prop": "directory"}
    connector(PathConnector, lambda: (ctk.ctkDirectoryButton,), isPath, **folder)
    connector(NodeConnector, lambda: (slicer.qMRMLNodeComboBox,), isNode)
    connector(HierarchyConnector, lambda: (slicer.qMRMLSubjectHierarchyComboBox,), isNode)
    connector(MarkupsConnector, lambda: (slicer.qSlicerSimpleMarkupsWidget,), isNode)
    parameterNodeGuiConnector(PackConnector)


def floatWidgets():
    return (
        qt.QDoubleSpinBox, ctk.ctkSliderWidget, ctk.ctkDoubleSlider, ctk.ctkDoubleSpinBox,
        slicer.qMRMLSpinBox,
    )  # fmt: skip


def rangeWidgets():
    return (ctk.ctkRangeWidget, ctk.ctkDoubleRangeSlider, slicer.qMRMLRangeWidget)


registerAll()
