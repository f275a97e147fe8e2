"""The Phenotype panel over a made-up head, and what tests of it read."""

from pathlib import Path

import pytest

BMV = Path(__file__).resolve().parents[3] / "BMVascular"


@pytest.fixture(name="module")
def moduleFixture(host):
    """The module, loaded once."""
    found = host.slicer.app.moduleManager().module("BMVPhenotype")
    return found or host.loadModule(BMV / "BMVPhenotype.py")


@pytest.fixture(name="study")
def studyFixture(host, module):
    """A made-up head with two lesions at TP1."""
    from BMVascularLib.phenotypeExample import addExample

    return addExample(host.slicer.mrmlScene, "TP1")


@pytest.fixture(name="panel")
def panelFixture(host, study):
    """The panel with both lesions assessed."""
    shown = host.open("BMVPhenotype")
    host.click(shown.ui.applyButton)
    assert host.messages.take() == []
    return shown


def column(table, number):
    return [table.item(row, number).text() for row in range(table.rowCount)]


def stabilities(panel):
    return [panel.ui.lesionsTable.cellWidget(row, 2).format for row in range(panel.ui.lesionsTable.rowCount)]


def choose(panel, row):
    panel.ui.lesionsTable.setCurrentCell(row, 0)


def nodeNames(host):
    scene = host.slicer.mrmlScene
    return sorted(scene.GetNthNode(n).GetName() or "" for n in range(scene.GetNumberOfNodes()))


def withRole(host, role, timepoint="TP1"):
    from BMVascularLib.phenotypeNodes import nodeOf

    return nodeOf(host.slicer.mrmlScene, role, timepoint)
