"""The stand-in application for panel tests."""

import sys
from pathlib import Path

import pytest

TESTING = Path(__file__).resolve().parents[2]
if str(TESTING) not in sys.path:
    sys.path.insert(0, str(TESTING))

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
