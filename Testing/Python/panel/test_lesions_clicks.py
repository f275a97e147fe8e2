"""The Lesion Seeding panel: clicks, as a reader makes them."""

import numpy as np
import pytest


@pytest.fixture
def panel(module, filled, host):
    """The panel on the simulated patient, first time point."""
    module("BMVLesionSeeding")
    return host.open("BMVLesionSeeding")


def seeds_of(patient, number=0):
    return [(s["name"], tuple(s["ras"])) for s in patient.timepoints[number].seeds]


def click(host, panel, ras):
    """Place mode by its button, one click, and what follows of it."""
    if not panel.ui.placeWidget.placeModeEnabled:
        host.click(panel.ui.placeButton)
    host.place(ras)
    host.process(0.1)


def texts(table):
    return [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]


def lesions(host, timepoint="TP1"):
    from BMVascularLib.studyNodes import firstOf

    return firstOf(host.slicer.mrmlScene, "lesions", timepoint)


def test_images_are_found_by_role(panel, filled):
    assert panel.ui.t1cSelector.currentNode() is filled["TP1", "T1c"]
    assert panel.ui.swiSelector.currentNode() is filled["TP1", "SWI"]
    assert [panel.ui.timepointCombo.itemText(n) for n in range(panel.ui.timepointCombo.count)] == ["TP1", "TP2"]


def test_a_click_gives_a_lesion(host, panel, small_patient, filled):
    from BMVascularLib.segments import segmentIds
    from BMVascularLib.studyNodes import firstOf

    name, ras = seeds_of(small_patient)[1]
    click(host, panel, ras)
    node = lesions(host)
    assert segmentIds(node) == ["lesion_1"]
    truth = small_patient.timepoints[0].truth.lesions[1]
    rows = texts(panel.ui.lesionTable)
    assert len(rows) == 1
    assert float(rows[0][2]) == pytest.approx(truth["volume_ml"], rel=0.25)
    assert rows[0][6] == "new"
    segment = node.GetSegmentation().GetSegment("lesion_1")
    assert segment.GetRepresentation("Closed surface").GetNumberOfPoints() > 100
    assert firstOf(host.slicer.mrmlScene, "compartments", "TP1") is not None
    table = firstOf(host.slicer.mrmlScene, "lesionTable", "TP1")
    assert table.GetNumberOfRows() == 1
    assert filled["TP1", "seeds"].GetNthControlPointLabel(len(seeds_of(small_patient))) == rows[0][0]
