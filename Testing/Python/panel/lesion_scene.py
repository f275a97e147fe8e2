"""What the tests of the Lesion Seeding panel share."""

import pytest


@pytest.fixture
def lesion_images(host, small_patient):
    """The images that lesions are read on, of both time points, and the seeds of the study."""
    from BMVascularLib.seeds import addSeeds
    from BMVascularLib.studyNodes import addImage, setRole

    scene, nodes = host.slicer.mrmlScene, {}
    for number, point in enumerate(small_patient.timepoints):
        for role in ("T1c", "T1", "FLAIR", "SWI"):
            nodes[point.label, role] = addImage(scene, point.volumes[role], role, point.label)
        nodes[point.label, "seeds"] = addSeeds(scene, seeds_of(small_patient, number), f"{point.label} seeds")
        setRole(nodes[point.label, "seeds"], "seeds", point.label)
    return nodes


@pytest.fixture
def lesion_panel(module, lesion_images, host):
    """The Lesion Seeding panel, first time point."""
    module("BMVLesionSeeding")
    return host.open("BMVLesionSeeding")


def seeds_of(patient, number=0):
    """Name and RAS mm of the seeds of a time point."""
    return [(s["name"], tuple(s["ras"])) for s in patient.timepoints[number].seeds]


def click(host, panel, ras):
    """Place mode by its button, one click, and what follows of it."""
    if not panel.ui.placeWidget.placeModeEnabled:
        host.click(panel.ui.placeButton)
    host.place(ras)
    host.process(0.02)
    panel.finishOutstanding()


def texts(table):
    """Texts of all cells."""
    return [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]


def lesions(host, timepoint="TP1"):
    """The segmentation node of the lesions."""
    from BMVascularLib.studyNodes import firstOf

    return firstOf(host.slicer.mrmlScene, "lesions", timepoint)
