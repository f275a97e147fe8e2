"""Imports only ever point down: modules -> BMVascularLib -> BMVascularCore."""

import ast
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[3] / "BMVascular"
SLICER_WORLD = {"slicer", "qt", "ctk", "vtk", "sitkUtils", "vtkmodules", "mrml", "PythonQt"}
MODULES = {"BMVascular", "BMVLesionSeeding", "BMVPerfusion", "BMVPhenotype", "BMVPlanning"}


def imported_roots(source):
    """Top-level names that a source text imports, wherever in the text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def forbidden_in(relative):
    """Names that a file at this place may not import."""
    parts = relative.parts
    if parts[0] == "BMVascularCore":
        return SLICER_WORLD | MODULES | {"BMVascularLib", "PySide6", "SlicerStandIn"}
    if parts[0] == "BMVascularLib":
        return MODULES | {"PySide6", "SlicerStandIn"} | (set() if "widgets" in parts else {"qt", "ctk"})
    return {"PySide6", "SlicerStandIn"}


def violations(relative, source):
    return sorted(set(imported_roots(source)) & forbidden_in(relative))


@pytest.mark.parametrize("path", sorted(TOP.rglob("*.py")), ids=lambda p: str(p.relative_to(TOP)))
def test_imports_point_down(path):
    assert violations(path.relative_to(TOP), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("BMVascularCore/x.py", "def f():\n    import slicer"),
        ("BMVascularCore/a/b.py", "from BMVascularLib import volumes"),
        ("BMVascularLib/x.py", "import qt"),
        ("BMVascularLib/x.py", "import BMVPlanning"),
        ("BMVascular.py", "from PySide6 import QtCore"),
    ],
)
def test_an_upward_import_is_found(where, source):
    assert violations(Path(where), source)
