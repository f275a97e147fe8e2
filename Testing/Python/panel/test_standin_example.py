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
