"""The stand-in application for panel tests."""

import sys
from pathlib import Path

import pytest
from filled_scene import fill_scene
from lesion_scene import lesion_images, lesion_panel  # noqa: F401 - fixtures
from planning_scene import fused, planned, planning, told  # noqa: F401 - fixtures

TESTING = Path(__file__).resolve().parents[2]
if str(TESTING) not in sys.path:
    sys.path.insert(0, str(TESTING))

PRODUCT = TESTING.parent / "BMVascular"
EXAMPLE = Path(__file__).with_name("example") / "BlurExample.py"


@pytest.fixture(scope="session")
def running():
    """The stand-in, started once; skips where its parts are not installed."""
    pytest.importorskip("PySide6")
    pytest.importorskip("slicer")
    import SlicerStandIn

    return SlicerStandIn.start()


@pytest.fixture
def host(running):
    """The stand-in with an empty scene; the test fails on what Slicer would only have printed."""
    running.close()
    running.clear()
    running.errors()
    running.messages.take()
    running.messages.answers.clear()
    yield running
    running.close()
    left = running.errors()
    assert not left, f"exceptions that Slicer would only print: {left!r}"


@pytest.fixture
def example(host):
    """The example module, loaded once."""
    module = host.slicer.app.moduleManager().module("BlurExample")
    return module or host.loadModule(EXAMPLE)


@pytest.fixture(scope="session")
def small_patient():
    """The simulated patient, coarse and quick; made once a session, never changed by a test."""
    from BMVascularCore.phantom import build_patient

    return build_patient(size="small")


@pytest.fixture(scope="session")
def study_folder(small_patient, tmp_path_factory):
    """The simulated patient on disk as a person would get it: DICOM files and study.json with seeds."""
    from BMVascularCore.phantom import write_dicom, write_study

    folder = tmp_path_factory.mktemp("study")
    write_dicom(small_patient, folder / "DICOM")
    write_study(small_patient, folder)
    return folder


@pytest.fixture
def filled(host, small_patient):
    """The stand-in's scene with both time points of the simulated patient; see :func:`fill_scene`."""
    return fill_scene(host.slicer.mrmlScene, small_patient)


@pytest.fixture
def module(host):
    """A function that loads a module of the product once (by its name) and returns the stand-in."""

    def load(name):
        if host.slicer.app.moduleManager().module(name) is None:
            host.loadModule(PRODUCT / f"{name}.py")
        return host

    return load
