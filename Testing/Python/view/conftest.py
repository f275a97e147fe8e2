"""View tests need Slicer or the slicer-core package."""

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")


@pytest.fixture
def world():
    """A new scene outside the Slicer application."""
    from BMVascularLib.scene import createWorld

    return createWorld()


@pytest.fixture
def scene(world):
    return world.scene
