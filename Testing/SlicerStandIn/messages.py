"""Message boxes and dialogs: their texts are kept, a test decides the answer."""

from dataclasses import dataclass

from PySide6 import QtWidgets

shown = []
answers = []
interactive = False


@dataclass(frozen=True)
class Message:
    """A text that the user saw: kind is `error`, `warning`, `info`, `confirm`, `box` or `dialog`."""

    kind: str
    text: str
    title: str = ""


def answer(value):
    """What the next dialog returns: a button, a file name, a text."""
    answers.append(value)


def take():
    """Messages since the last call."""
    taken = list(shown)
    shown.clear()
    return taken


def texts():
    return [m.text for m in shown]


def _next(default):
    return answers.pop(0) if answers else default


KINDS = {10: "debug", 20: "info", 30: "warning", 40: "error"}


def install(slicer, qt):
    """Keep the texts of `slicer.util.*Display`; answer instead of waiting for a person."""
    original = slicer.util._messageDisplay

    def display(logLevel, text, testingReturnValue, *args, **kwargs):
        kind = "confirm" if testingReturnValue is True else KINDS.get(logLevel, "info")
        shown.append(Message(kind, str(text), kwargs.get("windowTitle") or ""))
        return original(logLevel, text, testingReturnValue, *args, **kwargs)

    def box(text, parent=None, **kwargs):
        if not shown or shown[-1].text != str(text):
            shown.append(Message("box", str(text), kwargs.get("windowTitle") or ""))
        if interactive:
            return originalBox(text, parent, **kwargs)
        return _next(qt.QMessageBox.Ok)

    def delay(message, *args, **kwargs):
        shown.append(Message("info", str(message)))

    originalBox = slicer.util.messageBox
    slicer.util._messageDisplay, slicer.util.messageBox = display, box
    slicer.util.delayDisplay = delay
    _replaceStatic(qt)


def _replaceStatic(qt):
    """The static functions that would block: `QMessageBox.question`, `QFileDialog.getOpenFileName` ..."""
    for name in ("question", "information", "warning", "critical"):
        setattr(qt.QMessageBox, name, staticmethod(_askBox(name, getattr(qt.QMessageBox, name))))
    files = ("getOpenFileName", "getSaveFileName", "getExistingDirectory", "getOpenFileNames")
    for name in files:
        empty = () if name.endswith("Names") else ""
        setattr(qt.QFileDialog, name, staticmethod(_askPath(name, getattr(qt.QFileDialog, name), empty)))


def _askBox(kind, real):
    def ask(parent, title, text, *args):
        shown.append(Message(kind, str(text), str(title)))
        return real(parent, title, text, *args) if interactive else _next(1024)

    return ask


def _askPath(kind, real, empty):
    def ask(*args):
        shown.append(Message(kind, str(args[1]) if len(args) > 1 else ""))
        if not interactive:
            return _next(empty)
        found = real(*args)
        return found[0] if isinstance(found, tuple) else found

    return ask


def execute(native):
    """`dialog.exec_()`: kept, answered."""
    if isinstance(native, QtWidgets.QMessageBox):
        shown.append(Message("box", native.text(), native.windowTitle()))
    else:
        shown.append(Message("dialog", native.windowTitle(), native.windowTitle()))
    if interactive:
        return native.exec()
    result = _next(0)
    if isinstance(native, QtWidgets.QMenu):
        return None
    if callable(result):
        result = result(native)
    native.setResult(int(result or 0))
    return int(result or 0)
