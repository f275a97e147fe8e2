"""Qt classes for the ctk and qMRML widgets, generated from the list of facts."""

import functools

from PySide6 import QtCore, QtWidgets

from . import facts, values

BASES = {
    "ctkComboBox": QtWidgets.QComboBox,
    "ctkCheckableComboBox": QtWidgets.QComboBox,
    "ctkCheckBox": QtWidgets.QCheckBox,
    "ctkPushButton": QtWidgets.QPushButton,
    "ctkCheckablePushButton": QtWidgets.QPushButton,
    "ctkMenuButton": QtWidgets.QPushButton,
    "ctkColorPickerButton": QtWidgets.QPushButton,
    "ctkExpandButton": QtWidgets.QToolButton,
    "ctkCollapsibleButton": QtWidgets.QAbstractButton,
    "ctkCollapsibleGroupBox": QtWidgets.QGroupBox,
    "ctkSearchBox": QtWidgets.QLineEdit,
    "ctkFittedTextBrowser": QtWidgets.QTextBrowser,
    "ctkMessageBox": QtWidgets.QMessageBox,
    "qMRMLSegmentationShow3DButton": QtWidgets.QPushButton,
    "qMRMLSubjectHierarchyComboBox": QtWidgets.QComboBox,
    "qMRMLTableView": QtWidgets.QTableView,
    "qMRMLSubjectHierarchyTreeView": QtWidgets.QTreeView,
    "qSlicerMouseModeToolBar": QtWidgets.QToolBar,
    "qSlicerLayoutManager": QtCore.QObject,
}

_behaviours = {}
_classes = {}


def behaviour(cls):
    """Class decorator: what the generated class of that name does beyond holding its properties."""
    _behaviours[cls.__name__] = cls
    return cls


def nativeClass(name):
    """The Qt class that stands for a ctk or qMRML class."""
    if name not in _classes:
        known = facts.of(name)
        if known is None:
            raise AttributeError(f"no widget class '{name}' is listed")
        _classes[name] = _generate(known)
    return _classes[name]


def _generate(known):
    base = BASES.get(known.name, QtWidgets.QWidget)
    does = _behaviours.get(known.name)
    body = {"standInName": known.name, "__init__": _construct}
    body.update(_signals(known, base))
    for prop, kind in known.properties.items():
        if prop not in _properties(base) and "read-only" not in kind:
            body[prop] = _property(prop, kind)
        elif "read-only" in kind and hasattr(does, f"get_{prop}"):
            body[prop] = QtCore.Property(values.qtType(kind.split(" ")[0]), getattr(does, f"get_{prop}"))
    parents = (does, Generated, base) if does else (Generated, base)
    return type(base)(known.name, parents, body)


def _construct(self, parent=None):
    type(self)._qtBase().__init__(self, parent)
    self.held = {}
    self.build()


class Generated:
    """Holds property values; `get_x`, `set_x` of a behaviour take over a property."""

    defaults = {}  # noqa: RUF012 - read only

    @classmethod
    def _qtBase(cls):
        return next(c for c in cls.__mro__ if c.__module__.startswith("PySide6"))

    def build(self):
        """Make the child widgets."""

    def setMRMLScene(self, scene):
        """Most widgets need the scene only to find nodes: behaviours that do override this."""
        self.scene = scene

    def mrmlScene(self):
        return getattr(self, "scene", None)


def _property(name, kind):
    def read(self):
        getter = getattr(self, f"get_{name}", None)
        return getter() if getter else self.held.get(name, self.defaults.get(name, values.defaultOf(kind)))

    def write(self, value):
        setter = getattr(self, f"set_{name}", None)
        self.held[name] = value
        if setter:
            setter(value)

    return QtCore.Property(values.qtType(kind), read, write)


def _signals(known, base):
    """One Qt signal for each signature; a second signature of a name gets a name of its own."""
    found, overloads = {}, {}
    inherited = {s.split("(")[0] for s in _inherited(base)}
    for signature in known.signals:
        name, inside = signature[:-1].split("(", 1)
        if name in inherited:
            continue
        attribute = name if name not in found else f"{name}_{len(overloads)}"
        types = [_signalType(t) for t in inside.split(",") if t]
        found[attribute] = QtCore.Signal(*types)
        overloads[facts.normalized(signature)] = attribute
    return {**found, "standInOverloads": overloads}


@functools.cache
def _inherited(base):
    """Signatures of a Qt class: read once, since PySide may lose a class's meta object with its last widget."""
    meta = base.staticMetaObject
    return [bytes(meta.method(i).methodSignature()).decode() for i in range(meta.methodCount())]


@functools.cache
def _properties(base):
    meta = base.staticMetaObject
    return {meta.property(i).name() for i in range(meta.propertyCount())}


for _base in {QtWidgets.QWidget, *BASES.values()}:
    _inherited(_base)
    _properties(_base)


def _signalType(kind):
    return {"bool": bool, "int": int, "double": float, "QString": str}.get(kind, object)
