"""Fixtures for every level of tests."""

import os
from pathlib import Path

import pytest

# one thread for every numeric library: results and timings that do not depend on the machine's load
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "2")

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared():
    """Folder of reference data beside the project; the test skips where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("reference data beside the project are absent")
    return SHARED


@pytest.fixture(scope="session")
def root():
    """The project's root folder."""
    return ROOT


@pytest.fixture
def hd():
    """highdicom; the test skips where Slicer brings none (before 5.12)."""
    return pytest.importorskip("highdicom", reason="highdicom is not installed")
