"""The life cycle of every module of the product: nothing is left behind, everything comes back."""

import enum
import importlib
import time
import unittest

import pytest
from filled_scene import PRODUCT, fill_scene

MODULES = sorted(path.stem for path in PRODUCT.glob("BMV*.py"))


@pytest.fixture(params=MODULES)
def name(request, module):
    """Each module of the product, loaded."""
    module(request.param)
    return request.param


def parameters(panel):
    """The panel's parameters by name; nodes and choices by their names."""
    node = panel._parameterNode
    if node is None:
        return None
    found = {}
    for key in node.allParameters:
        value = node.getValue(key)
        value = value.GetName() if hasattr(value, "GetName") else value
        found[key] = value.name if isinstance(value, enum.Enum) else value
    return found


def test_all_five_modules_are_there():
    assert MODULES == ["BMVLesionSeeding", "BMVPerfusion", "BMVPhenotype", "BMVPlanning", "BMVascular"]


def test_it_opens_in_an_empty_scene(host, name):
    panel = host.open(name)
    assert panel._parameterNode is not None


def test_enter_and_exit_leave_no_observer(host, name):
    host.open(name)
    host.close()
    before = host.observers()
    for _ in range(5):
        host.open(name)
        host.close()
    assert host.observers() == before


def test_unloading_leaves_no_observer_of_the_panel(host, name):
    host.open(name)
    host.close()
    opened = host.observers()
    host.reload(name)
    assert host.observers() == opened


def test_the_scene_is_closed_while_it_is_open(host, name, small_patient):
    fill_scene(host.slicer.mrmlScene, small_patient, (0,))
    panel = host.open(name)
    host.clear()
    assert panel._parameterNode is not None
    chosen = [
        value for value in parameters(panel).values() if isinstance(value, str) and value.startswith("TP1 ")
    ]
    assert chosen == []


def test_the_scene_is_closed_while_another_panel_is_open(host, name, small_patient):
    fill_scene(host.slicer.mrmlScene, small_patient, (0,))
    panel = host.open(name)
    host.close()
    host.clear()
    assert panel._parameterNode is None
    host.open(name)
    assert panel._parameterNode is not None


def test_selections_come_back_with_a_saved_scene(host, name, small_patient, tmp_path):
    fill_scene(host.slicer.mrmlScene, small_patient, (0,))
    panel = host.open(name)
    chosen = parameters(panel)
    file = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    host.loadScene(file)
    assert parameters(panel) == chosen


def test_it_works_after_reload(host, name, small_patient):
    fill_scene(host.slicer.mrmlScene, small_patient, (0,))
    old = host.open(name)
    chosen = parameters(old)
    new = host.reload(name)
    assert new is not old
    panel = host.open(name)
    assert panel is new
    assert parameters(panel) == chosen


def test_two_patients_one_after_the_other(host, name, small_patient):
    scene = host.slicer.mrmlScene
    fill_scene(scene, small_patient, (0,))
    panel = host.open(name)
    first = parameters(panel)
    host.clear()
    fill_scene(scene, small_patient, (0,))
    host.open(name)
    assert parameters(panel) == first


def test_modules_one_after_the_other_share_the_scene(host, module, small_patient):
    for other in MODULES:
        module(other)
    fill_scene(host.slicer.mrmlScene, small_patient, (0,))
    for other in MODULES * 2:
        host.open(other)
        host.close()


def test_opening_changes_no_image(host, name, small_patient):
    from BMVascularLib import freshness

    nodes = fill_scene(host.slicer.mrmlScene, small_patient, (0,))
    before = {key: freshness.digest(node) for key, node in nodes.items()}
    host.open(name)
    host.close()
    assert {key: freshness.digest(node) for key, node in nodes.items()} == before


def test_what_slicers_module_list_shows(host, name):
    parent = host.slicer.app.moduleManager().module(name)
    assert parent.title and parent.categories and parent.contributors
    assert parent.helpText and parent.acknowledgementText


def test_its_self_test_passes(host, name):
    case = getattr(importlib.import_module(name), f"{name}Test")()
    assert isinstance(case, unittest.TestCase)
    started = time.perf_counter()
    case.runTest()
    # a few seconds on a quiet machine; three times as many on a busy one
    assert time.perf_counter() - started < 60
    host.clear()


def test_all_modules_start_quickly(root):
    import subprocess
    import sys

    code = (
        "import sys, time; t = time.perf_counter(); sys.path[:0] = sys.argv[1:3]; import SlicerStandIn\n"
        "host = SlicerStandIn.start()\n"
        "names = sys.argv[3:]\n"
        "for name in names: host.loadModule(f'{sys.argv[2]}/{name}.py')\n"
        "host.finishStartup()\n"
        "loaded = time.perf_counter() - t\n"
        "for name in names: host.open(name)\n"
        "host.close(); print(f'{loaded:.2f} {time.perf_counter() - t:.2f}', flush=True); import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root / "Testing"), str(root / "BMVascular"), *MODULES],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    loaded_s, opened_s = map(float, done.stdout.split()[-2:])
    print(f"start with all modules {loaded_s} s, every panel opened once {opened_s} s")
    # 10 s is the aim; three times as much on a busy machine
    assert opened_s < 30
