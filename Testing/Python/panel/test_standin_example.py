"""The example module in the stand-in, driven as a person would."""

import numpy as np
import pytest


def volume(host, name="Ball"):
    return host.slicer.util.addVolumeFromArray(np.random.default_rng(1).random((8, 9, 10)) * 100, name=name)


def test_apply_needs_an_input(host, example):
    panel = host.open("BlurExample")
    assert panel.ui.applyButton.enabled is False
    assert panel.ui.applyButton.toolTip == "<p>Select an input volume</p>"
    panel.ui.inputSelector.setCurrentNode(volume(host))
    assert panel.ui.applyButton.enabled is True


def test_apply_makes_a_result_and_says_so(host, example):
    panel = host.open("BlurExample")
    panel.ui.inputSelector.setCurrentNode(volume(host))
    panel.ui.widthSlider.value = 3.5
    panel.ui.kernelBox.currentIndex = 0
    host.click(panel.ui.applyButton)
    assert panel._parameterNode.width == 3.5
    assert panel._parameterNode.kernel.name == "BOX"
    assert panel._parameterNode.result.GetName() == "Ball blurred"
    assert [m.text for m in host.messages.take()] == ["Blurred Ball"]


def test_a_failing_handler_is_seen(host, example):
    panel = host.open("BlurExample")
    panel.ui.inputSelector.setCurrentNode(volume(host))
    panel.ui.widthSlider.value = 0.0
    host.click(panel.ui.applyButton)
    assert [str(e) for e in host.errors()] == ["the width has to be above 0 mm"]


@pytest.mark.parametrize("times", [1, 5])
def test_enter_and_exit_leave_no_observer(host, example, times):
    host.open("BlurExample")
    host.close()
    before = host.observers()
    for _ in range(times):
        host.open("BlurExample")
        host.close()
    assert host.observers() == before


def test_a_closed_scene_empties_the_panel(host, example):
    panel = host.open("BlurExample")
    panel.ui.inputSelector.setCurrentNode(volume(host))
    host.clear()
    assert panel.ui.inputSelector.currentNode() is None
    assert panel.ui.applyButton.enabled is False


def test_a_saved_scene_brings_the_settings_back(host, example, tmp_path):
    panel = host.open("BlurExample")
    panel.ui.inputSelector.setCurrentNode(volume(host))
    panel.ui.widthSlider.value = 4.5
    file = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    assert panel.ui.widthSlider.value == 2.0
    host.loadScene(file)
    assert panel.ui.widthSlider.value == 4.5
    assert panel.ui.inputSelector.currentNode().GetName() == "Ball"


def test_a_reloaded_module_works(host, example):
    old = host.open("BlurExample")
    new = host.reload("BlurExample")
    assert new is not old
    new.ui.inputSelector.setCurrentNode(volume(host))
    assert new.ui.applyButton.enabled is True


def test_points_are_placed_in_place_mode_only(host, example):
    panel = host.open("BlurExample")
    seeds = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Seeds")
    panel.ui.seedList.setCurrentNode(seeds)
    with pytest.raises(RuntimeError, match="not in place mode"):
        host.place((1, 2, 3))
    place = panel.ui.seedList.markupsPlaceWidget()
    place.setPlaceModeEnabled(True)
    host.place((1, 2, 3))
    assert place.placeModeEnabled is False
    assert panel.ui.seedList.tableWidget().item(0, 1).text() == "1.000"


def test_pictures_show_the_volume(host, example):
    slicer = host.slicer
    host.open("BlurExample")
    node = slicer.util.addVolumeFromArray(np.full((20, 20, 20), 50.0), name="Block")
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    node.GetDisplayNode().AutoWindowLevelOff()
    node.GetDisplayNode().SetWindowLevel(20, 40)
    picture = np.asarray(host.grabView("Red", 200, 200))
    assert picture.shape == (200, 200, 3)
    assert picture[100, 100].min() > 200
    window = np.asarray(host.grabWindow("BlurExample"))
    assert window.shape == (768, 1366, 3)


def test_cancel_leaves_the_scene_as_it_was(host, example):
    panel = host.open("BlurExample")
    panel.ui.inputSelector.setCurrentNode(volume(host))
    before = host.slicer.mrmlScene.GetNumberOfNodes()
    timer = host.cancelNextProgress()
    host.click(panel.ui.applyButton)
    timer.stop()
    assert host.slicer.mrmlScene.GetNumberOfNodes() == before
    assert panel._parameterNode.result is None
    assert host.messages.take() == []


def test_files_go_out_and_come_back(host, tmp_path):
    slicer = host.slicer
    node = volume(host)
    assert slicer.util.saveNode(node, str(tmp_path / "ball.nrrd"))
    back = slicer.util.loadVolume(str(tmp_path / "ball.nrrd"))
    assert np.allclose(slicer.util.arrayFromVolume(back), slicer.util.arrayFromVolume(node))
    with pytest.raises(RuntimeError, match="Failed to load"):
        slicer.util.loadVolume(str(tmp_path / "nothing.nrrd"))
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.util.loadScene(str(tmp_path / "scene.mrb"), {"clear": True})
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2
