"""The whole way through the panels: from the simulated patient to the report, by clicks alone."""

import re

from filled_scene import fill_scene

from BMVascularLib.studyNodes import firstOf


def openNext(host, hub):
    """Press the hub's button for the next action; returns the panel that opened."""
    host.click(hub.ui.openButton)
    return host.current._q.python


def backToHub(host):
    return host.open("BMVascular")


def marked(hub):
    table = hub.ui.stepsTable
    rows = [table.item(n, 0).text() for n in range(table.rowCount)]
    return next((text.removeprefix("▶ ") for text in rows if text.startswith("▶")), None)


def stateOf(hub, step):
    table = hub.ui.stepsTable
    return next(
        (table.item(n, 1).text(), table.item(n, 2).text())
        for n in range(table.rowCount)
        if table.item(n, 0).text().removeprefix("▶ ") == step
    )


def test_from_one_click_to_the_report(host, module, small_patient, tmp_path, monkeypatch):
    for name in ("BMVLesionSeeding", "BMVPerfusion", "BMVPhenotype", "BMVPlanning", "BMVascular"):
        module(name)
    scene = host.slicer.mrmlScene
    fill_scene(scene, small_patient, (0,))
    hub = backToHub(host)
    assert marked(hub) == "Lesions"

    lesions = openNext(host, hub)
    assert lesions.ui.t1cSelector.currentNode() is firstOf(scene, "T1c", "TP1")
    for seed in small_patient.timepoints[0].seeds[:2]:
        if not lesions.ui.placeWidget.placeModeEnabled:
            host.click(lesions.ui.placeButton)
        host.place(tuple(seed["ras"]))
        host.process(0.02)
        lesions.finishOutstanding()
    assert firstOf(scene, "lesions", "TP1").GetSegmentation().GetNumberOfSegments() == 2

    hub = backToHub(host)
    assert stateOf(hub, "Lesions")[0] == "done"
    assert marked(hub) == "Perfusion"
    perfusion = openNext(host, hub)
    host.click(perfusion.ui.applyButton)
    assert firstOf(scene, "nrcbv", "TP1") is not None

    hub = backToHub(host)
    assert stateOf(hub, "Perfusion")[0] == "ready"
    perfusion = openNext(host, hub)
    perfusion.ui.kindBox.currentIndex = 1
    host.click(perfusion.ui.applyButton)
    assert firstOf(scene, "ktrans", "TP1") is not None

    hub = backToHub(host)
    assert marked(hub) == "Phenotype"
    phenotype = openNext(host, hub)
    host.click(phenotype.ui.applyButton)
    assert firstOf(scene, "phenotype", "TP1").GetNumberOfRows() == 2

    hub = backToHub(host)
    assert stateOf(hub, "Phenotype")[0] == "done"
    assert marked(hub) == "Planning"
    hub.ui.picturesBox.checked = False
    hub.ui.reportFolder.directory = str(tmp_path)
    host.click(hub.ui.writeButton)
    page = (tmp_path / "BMVascular-report-1" / "report.html").read_text()
    for words in ("Lesions at a glance", "rule stability", "Evidence", "Protocol check", "Simulated data"):
        assert words in page
    assert len(re.findall(r"<h3>TP1 · ", page)) == 2

    # a lesion corrected by hand: what was computed from it is out of date, the images are not
    firstOf(scene, "lesions", "TP1").GetSegmentation().GetNthSegment(0).SetName("renamed")
    hub = backToHub(host)
    assert stateOf(hub, "Phenotype")[0] == "out of date"
    assert stateOf(hub, "Perfusion")[0] == "done"
    assert stateOf(hub, "Report")[0] == "out of date"
    assert host.errors() == []
