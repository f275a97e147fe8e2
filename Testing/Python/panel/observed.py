"""Runs expressions as they were seen in Slicer and compares the answers."""

import enum
import pathlib
import re
from typing import Annotated, Optional

ROW = re.compile(r"^\| (?P<what>.*?) \| `(?P<expression>.*)` \| (?P<kind>[^|]*?) \| `(?P<value>.*)` \|$")


class Model(enum.Enum):
    TOFTS = "tofts"
    PATLAK = "patlak"


def rows(text):
    """(what, expression, type, value) of each table row that has an expression."""
    found = (ROW.match(line) for line in text.splitlines())
    return [
        tuple(m[k].replace(r"\|", "|") for k in ("what", "expression", "kind", "value")) for m in found if m
    ]


def environment(slicer):
    """The names that the expressions use."""
    import ctk
    import qt
    import vtk

    class Sub(qt.QObject):
        pass

    table = qt.QTableWidget()
    return {
        "qt": qt, "ctk": ctk, "slicer": slicer, "vtk": vtk, "n": [], "ev": [], "Model": Model, "Sub": Sub,
        "lab": qt.QLabel("abc"), "b": qt.QPushButton("b"), "c": qt.QComboBox(), "s": qt.QSpinBox(),
        "dsb": qt.QDoubleSpinBox(), "cb": qt.QCheckBox(), "t": table, "it": qt.QTableWidgetItem("cell"),
        "w": qt.QWidget(), "tm": qt.QTimer(), "cs": ctk.ctkSliderWidget(), "cr": ctk.ctkRangeWidget(),
        "cc": ctk.ctkCollapsibleButton(), "nc": slicer.qMRMLNodeComboBox(), "cb2": qt.QComboBox(),
        "sm": slicer.qSlicerSimpleMarkupsWidget(), "st": slicer.qMRMLSegmentsTableView(),
        "lm": slicer.app.layoutManager(), "sp": ctk.ctkSliderWidget(), "pn": wrapped(slicer),
    }  # fmt: skip


def wrapped(slicer):
    from slicer import vtkMRMLScalarVolumeNode as Volume
    from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

    class Fields:
        k: Annotated[float, WithinRange(0, 1)] = 0.4
        n: int = 3
        m: Model = Model.TOFTS

    Fields.__annotations__.update(
        vol=Volume,
        names=list[str],
        p=pathlib.Path,
        opt=Optional[float],  # noqa: UP045 - as it was observed
    )
    return parameterNodeWrapper(Fields)(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


# what is said in words, objects whose text carries addresses, texts cut off in the record
TYPE_ONLY = re.compile(r"^<|QDate \(|object at|builtin_qt")


def difference(row, names):
    """None, or what came instead of the answer that was seen."""
    _, expression, kind, value = row
    try:
        answer = eval(expression, names)
    except Exception as problem:
        return None if kind == f"raises {type(problem).__name__}" else f"raises {problem!r}"
    if kind.startswith("raises"):
        return f"{answer!r} instead of {kind}"
    if type(answer).__name__ != kind and not isKindOf(answer, kind):
        return f"type {type(answer).__name__} instead of {kind}"
    if TYPE_ONLY.search(value) or "(<" in value:
        return None
    text = plain(repr(answer))
    return None if text == plain(value) or text.startswith(plain(value)) else f"{text} instead of {value}"


def isKindOf(answer, kind):
    """Types that PythonQt names after its own machinery."""
    return kind in ("PythonQtClassWrapper", "type") and isinstance(answer, type)


def plain(text):
    """`QLabel (QLabel, name)` -> `QLabel`: the record writes the class only."""
    return re.sub(r"(Q\w+|ctk\w+|q[MS]\w+) \(\1[^)]*\)", r"\1", text)
