"""What Python sees of Slicer's classes: the list that every access is checked against."""

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

SURFACE = Path(__file__).with_name("surface.json")

# PythonQt offers C++ names that are Python words with an underscore behind them
WORDS = {"exec_": "exec", "raise_": "raise", "print_": "print", "del_": "del"}


@dataclass(frozen=True)
class ClassFacts:
    """One class: property types, signal signatures, all names."""

    name: str
    module: str
    properties: dict
    signals: tuple
    names: frozenset
    propertiesListed: bool

    def signalNames(self):
        return {s.split("(")[0] for s in self.signals}

    def isReadOnly(self, prop):
        return "(read-only)" in self.properties.get(prop, "")

    def has(self, name):
        name = WORDS.get(name, name)
        return name in self.names or name in self.properties or name == "name"


@functools.cache
def raw():
    """The list as read from the file."""
    return json.loads(SURFACE.read_text(encoding="utf-8"))


@functools.cache
def byClass():
    """Facts of every listed widget and Qt class by its plain name (`ctkSliderWidget`)."""
    base = raw()["qt.QWidget"]
    app = ClassFacts("qSlicerApplication", "slicer", {}, (), names("slicer.app"), False)
    listed = {
        key.split(".")[1]: _facts(key, entry, base)
        for key, entry in raw().items()
        if re.fullmatch(r"(qt|ctk|slicer)\.(Q|ctk|q(MRML|Slicer))\w+", key)
    }
    return {app.name: app, PANEL: _panelFacts(listed["qSlicerWidget"]), **listed}


PANEL = "qSlicerScriptedLoadableModuleWidget"


def _panelFacts(widget):
    """The panel's own class, which the list lacks (qSlicerScriptedLoadableModuleWidget.h)."""
    properties = {**widget.properties, "isEntered": "bool (read-only)", "moduleName": "QString (read-only)"}
    own = {"self", "reload", "enter", "exit", "setup", "module", "logic", "setEditedNode", *properties}
    return ClassFacts(PANEL, "slicer", properties, widget.signals, widget.names | own, True)


def _facts(key, entry, base):
    module, name = key.split(".")
    isWidget = entry.get("widget", False)
    properties = {**(base["properties"] if isWidget else {}), **entry.get("properties", {})}
    signals = (base["signals"] if isWidget else []) + entry.get("signals", [])
    names = set(entry["names"]) | set(base["names"] if isWidget else [])
    return ClassFacts(name, module, properties, tuple(signals), frozenset(names), "properties" in entry)


def of(name):
    """Facts of a class, or None where the list does not have it."""
    return byClass().get(name)


@functools.cache
def names(key):
    """Names below one of the listed objects: `slicer`, `slicer.util`, `slicer.app`, `slicer.modules`."""
    return frozenset(raw()[key]["names"])


@functools.cache
def uiClasses():
    """Classes that a `.ui` file can name."""
    return frozenset(raw()["_uiClasses"])


def normalized(signature):
    """A signal signature as Qt writes it: no blanks, no const references."""
    text = re.sub(r"\s+", "", signature.replace("const ", "").replace("&", ""))
    return text.lstrip("12")
