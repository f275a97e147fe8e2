"""Reads a module's `.ui` file as Slicer does, and refuses what Slicer would not know."""

import functools
import operator
import xml.etree.ElementTree as ElementTree

from PySide6 import QtCore, QtUiTools, QtWidgets

from . import facts, native, proxy


class UiError(ValueError):
    """A `.ui` file names a class, property, signal or slot that Slicer does not have."""


class QUiLoader(QtUiTools.QUiLoader):
    """Qt's loader with the ctk and qMRML widgets; names are checked before anything is made."""

    def load(self, device, parent=None):
        text = bytes(device.readAll().data()).decode("utf-8")
        tree = ElementTree.fromstring(text)
        problems = check(tree)
        if problems:
            raise UiError("; ".join(problems))
        later = _takeOut(tree)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.ReadOnly)
        root = super().load(buffer, parent)
        if root is not None:
            _complete(root, *later)
        return root

    def createWidget(self, name, parent=None, objectName=""):
        if name == "Line":
            return super().createWidget(name, parent, objectName)
        widget = _make(name, parent)
        widget.setObjectName(objectName)
        return widget


def _make(name, parent):
    if hasattr(QtWidgets, name):
        return getattr(QtWidgets, name)(parent)
    return native.nativeClass(name)(parent)


def classOf(element):
    return element.get("class")


def check(tree):
    """Sentences, one for each name that Slicer does not have."""
    problems, classes = [], {}
    for element in tree.iter("widget"):
        kind = classOf(element)
        classes[element.get("name")] = kind
        if kind != "Line" and kind not in facts.uiClasses():
            problems.append(f"widget '{element.get('name')}': no class {kind}")
            continue
        problems += _unknownProperties(element, facts.of(kind))
    return problems + _badConnections(tree, classes)


def _unknownProperties(element, known):
    if known is None or not known.propertiesListed:
        return []
    return [
        f"widget '{element.get('name')}': {known.name} has no property {p.get('name')}"
        for p in element.findall("property")
        if p.get("stdset") != "0" and p.get("name") not in known.properties
    ]


def _badConnections(tree, classes):
    problems = []
    for c in tree.iter("connection"):
        sender, signal = c.findtext("sender"), c.findtext("signal")
        receiver, slot = c.findtext("receiver"), c.findtext("slot")
        missing = [n for n in (sender, receiver) if n not in classes]
        if missing:
            problems.append(f"connection: no widget '{missing[0]}'")
            continue
        known = facts.of(classes[sender])
        if known and facts.normalized(signal) not in map(facts.normalized, known.signals):
            problems.append(f"connection from '{sender}': {known.name} has no signal {signal}")
        known = facts.of(classes[receiver])
        if known and not known.has(slot.split("(")[0]):
            problems.append(f"connection to '{receiver}': {known.name} has no slot {slot}")
    return problems


def _takeOut(tree):
    """Own properties of ctk and qMRML widgets, and all connections: made after loading."""
    base = facts.of("QWidget").properties
    properties = []
    for element in tree.iter("widget"):
        kind = classOf(element)
        if kind == "Line" or hasattr(QtWidgets, kind):
            continue
        for p in element.findall("property"):
            if p.get("name") not in base and p.get("stdset") != "0":
                properties.append((element.get("name"), p))
                element.remove(p)
    connections = list(tree.iter("connection"))
    for holder in tree.findall("connections"):
        tree.remove(holder)
    return properties, connections


def _complete(root, properties, connections):
    for name, element in properties:
        widget = proxy.wrap(_byName(root, name))
        setattr(widget, element.get("name"), _value(type(widget), element))
    for widget in [root, *root.findChildren(QtWidgets.QWidget)]:
        if widget.toolTip():
            widget.setToolTip(proxy.asToolTip(widget.toolTip()))
    for c in connections:
        sender = proxy.wrap(_byName(root, c.findtext("sender")))
        receiver = proxy.wrap(_byName(root, c.findtext("receiver")))
        sender.connect(c.findtext("signal"), receiver, c.findtext("slot"))


def _byName(root, name):
    return root if root.objectName() == name else root.findChild(QtCore.QObject, name)


def _value(cls, element):
    child = element[0]
    text = child.text or ""
    if child.tag == "stringlist":
        return [s.text or "" for s in child]
    if child.tag in ("enum", "set"):
        names = [part.split("::")[-1] for part in text.split("|")]
        found = [_enumValue(cls, n) for n in names]
        return functools.reduce(operator.or_, found)
    read = {"number": int, "double": float, "bool": lambda t: t == "true", "string": str, "cstring": str}
    if child.tag not in read:
        raise UiError(f"property {element.get('name')}: the stand-in does not read <{child.tag}>")
    return read[child.tag](text)


def _enumValue(cls, name):
    for holder in (
        cls,
        proxy.wrap(QtCore.Qt),
        *map(proxy.classFor, (QtWidgets.QSlider, QtWidgets.QComboBox)),
        # ctkPathLineEdit::Filter has the values of QDir::Filter
        QtCore.QDir,
    ):
        try:
            return getattr(holder, name)
        except (AttributeError, NotImplementedError):
            continue
    raise UiError(f"no enum value {name} in {cls.__name__}")
