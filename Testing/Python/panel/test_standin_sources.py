"""Every name that the modules and their `.ui` files use is one that Slicer has."""

from pathlib import Path

import pytest

pytest.importorskip("PySide6")
HERE = Path(__file__).parent

EXPECTED = {
    "Broken.ui:0: widget 'applyButton': QPushButton has no property caption",
    "Broken.ui:0: widget 'slider': no class ctkFancySlider",
    "Broken.ui:0: connection from 'Broken': qMRMLWidget has no signal sceneChanged(vtkMRMLScene*)",
    "Broken.ui:0: connection to 'selector': qMRMLNodeComboBox has no slot setScene(vtkMRMLScene*)",
    "Broken.py:10: slicer.util has no attribute 'loadUi'",
    "Broken.py:11: QPushButton has no signal 'clicked(int)'",
    "Broken.py:12: QPushButton has no attribute 'caption'",
    "Broken.py:13: QPushButton.click is a method and cannot be assigned",
    "Broken.py:14: the .ui file has no widget 'noButton'",
    "Broken.py:16: QPushButton has no attribute 'isenabled'",
    "Broken.py:17: ctk has no attribute 'ctkFancySlider'",
    "Broken.py:18: slicer.app has no attribute 'processAllEvents'",
    "Broken.py:19: slicer.modules has no attribute 'perfusion'",
    "Broken.py:20: qSlicerLayoutManager has no attribute 'sliceWidgets'",
    "Broken.py:21: qt has no attribute 'Signals'",
}


@pytest.fixture(scope="module")
def check():
    from SlicerStandIn.check_sources import checkFolder

    return checkFolder


def test_the_modules_use_only_what_slicer_has(check, root):
    assert list(map(str, check(root / "BMVascular"))) == []


def test_the_example_uses_only_what_slicer_has(check):
    assert list(map(str, check(HERE / "example"))) == []


def test_wrong_names_are_found(check):
    found = {f"{Path(p.path).name}:{p.line}: {p.text}" for p in check(HERE / "broken")}
    assert found == EXPECTED
