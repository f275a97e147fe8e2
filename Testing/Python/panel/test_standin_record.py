"""What the stand-in imitates, what Slicer does, and where its source says so: one test for each.

`says` carries the sentence and the file in Slicer's (CTK's, PythonQt's) repository.
"""

import enum
from typing import Annotated

import numpy as np
import pytest


def says(sentence, source):
    """Mark a test with what Slicer does and where it is written."""

    def mark(test):
        test.__doc__ = f"{sentence} [{source}]"
        return test

    return mark


NODES = "Slicer: Libs/MRML/Widgets/qMRMLNodeComboBox.cxx"
WRAPPER = "Slicer: Base/Python/slicer/parameterNodeWrapper/wrapper.py"
SERIALIZERS = "Slicer: Base/Python/slicer/parameterNodeWrapper/serializers.py"
CONNECTORS = "Slicer: Base/Python/slicer/parameterNodeWrapper/guiConnectors.py"
PLACE = "Slicer: Modules/Loadable/Markups/Widgets/qSlicerMarkupsPlaceWidget.cxx"
PANEL = "Slicer: Base/QTGUI/qSlicerScriptedLoadableModuleWidget.cxx"
MODULE = "Slicer: Base/Python/slicer/ScriptedLoadableModule.py"
UTIL = "Slicer: Base/Python/slicer/util.py"
PYTHONQT = "PythonQt: src/PythonQtConversion.cpp"
RECEIVER = "PythonQt: src/PythonQtSignalReceiver.cpp"
TOOLTIP = "CTK: Libs/Widgets/ctkToolTipTrapper.cpp"


def selector(slicer, **properties):
    made = slicer.qMRMLNodeComboBox()
    made.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    for name, value in properties.items():
        setattr(made, name, value)
    return made


def node(slicer, name="V", kind="vtkMRMLScalarVolumeNode"):
    return slicer.mrmlScene.AddNewNodeByClass(kind, name)


@says("A selector without a scene is disabled", NODES)
def test_selector_needs_the_scene(host):
    made = selector(host.slicer)
    assert made.enabled is False
    made.setMRMLScene(host.slicer.mrmlScene)
    assert made.enabled is True


@says("Without 'None' in the list the first node is selected, with it nothing is", NODES)
def test_selector_picks_the_first_node(host):
    first = node(host.slicer)
    without, withNone = selector(host.slicer), selector(host.slicer, noneEnabled=True)
    for made in (without, withNone):
        made.setMRMLScene(host.slicer.mrmlScene)
    assert without.currentNode() is first
    assert withNone.currentNode() is None


@says("A removed node leaves the list; nodes hidden from editors are not offered", NODES)
def test_selector_follows_the_scene(host):
    slicer = host.slicer
    made, seen = selector(slicer, noneEnabled=True), []
    made.setMRMLScene(slicer.mrmlScene)
    made.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    chosen, hidden = node(slicer), slicer.mrmlScene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
    hidden.UnRegister(None)
    hidden.SetHideFromEditors(True)
    slicer.mrmlScene.AddNode(hidden)
    made.setCurrentNode(chosen)
    assert made.nodeCount() == 1
    slicer.mrmlScene.RemoveNode(chosen)
    assert seen == [chosen, None]


@says("Subclasses are offered unless showChildNodeTypes is off", NODES)
def test_selector_offers_subclasses(host):
    node(host.slicer, kind="vtkMRMLLabelMapVolumeNode")
    made = selector(host.slicer)
    made.setMRMLScene(host.slicer.mrmlScene)
    assert made.nodeCount() == 1
    made.showChildNodeTypes = False
    assert made.nodeCount() == 0


@says("A handler gets as many arguments as it takes; what it raises is printed", RECEIVER)
def test_handlers(host):
    import qt

    button, seen = qt.QPushButton("b"), []
    button.connect("clicked(bool)", lambda: seen.append("none"))
    button.connect("clicked(bool)", seen.append)
    button.connect("clicked(bool)", lambda a, b: None)
    button.click()
    assert seen == ["none", False]
    assert [type(e) for e in host.errors()] == [TypeError]


@says("A str is no number, a numpy integer neither; a float is cut off for an int", PYTHONQT)
@pytest.mark.parametrize("value", ["3", np.int64(3), None])
def test_numbers(host, value):
    import qt

    box = qt.QSpinBox()
    box.value = 3.9
    assert box.value == 3
    with pytest.raises(AttributeError, match="Property 'value' of type 'int' does not accept"):
        box.value = value


@says("A path is not converted to a string", PYTHONQT)
def test_paths(host, tmp_path):
    import qt

    with pytest.raises(TypeError, match="PosixPath"):
        qt.QLabel("x").setText(tmp_path)


@says("Plain tool tips are wrapped into a paragraph, rich ones stay", TOOLTIP)
def test_tool_tips(host):
    import qt

    label = qt.QLabel("x")
    label.toolTip = "plain"
    assert label.toolTip == "<p>plain</p>"
    label.setToolTip("<b>rich</b>")
    assert label.toolTip == "<b>rich</b>"


@says("A virtual function that a Python class defines is called by Qt", "PythonQt: src/PythonQt.cpp")
def test_event_filter(host):
    import qt

    class Filter(qt.QObject):
        def eventFilter(self, watched, event):
            self.seen = event.type()
            return False

    watched, filtering = qt.QWidget(), Filter()
    watched.installEventFilter(filtering)
    watched.resize(20, 20)
    watched.setEnabled(False)
    assert filtering.seen == qt.QEvent.EnabledChange


class Kind(enum.Enum):
    A = 1
    B = 2

    def label(self):
        return f"kind {self.value}"


def fields(slicer, host):
    from slicer.parameterNodeWrapper import Minimum, WithinRange, parameterNodeWrapper, parameterPack

    @parameterPack
    class Box:
        low: float = 0.0
        high: float = 1.0

    class Fields:
        kind: Kind = Kind.A
        width: Annotated[float, WithinRange(0.0, 5.0)] = 1.0
        count: Annotated[int, Minimum(2)] = 3

    Fields.__annotations__["box"] = Box
    raw = node(slicer, "parameters", "vtkMRMLScriptedModuleNode")
    return parameterNodeWrapper(Fields)(raw)


@says("Fields of a pack are stored under dotted names and write back", SERIALIZERS)
def test_packs(host):
    wrapped = fields(host.slicer, host)
    wrapped.box.high = 7.5
    assert wrapped.parameterNode.GetParameter("box.high") == "7.5"
    wrapped.setValue("box.low", 0.5)
    assert wrapped.getValue("box.low") == 0.5


@says("Writing a field with alternatives tells the watchers, be the value the same or not", SERIALIZERS)
@pytest.mark.parametrize("kind", ["node", "number"])
def test_every_write_of_a_union_is_heard(host, kind):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    hint = host.slicer.vtkMRMLScalarVolumeNode | None if kind == "node" else float | None
    fields = type("Choice", (), {"__annotations__": {"chosen": hint}})
    wrapped = parameterNodeWrapper(fields)(node(host.slicer, "p", "vtkMRMLScriptedModuleNode"))
    heard = []
    wrapped.AddObserver("ModifiedEvent", lambda *_: heard.append(wrapped.chosen))
    wrapped.chosen = None
    assert heard == [None]


@says("An Enum fills its combo box with label(), and a spin box takes its limits", CONNECTORS)
def test_connectors(host):
    import qt

    wrapped, combo, spin = fields(host.slicer, host), qt.QComboBox(), qt.QSpinBox()
    wrapped.connectParametersToGui({"kind": combo, "count": spin})
    assert [combo.itemText(i) for i in range(combo.count)] == ["kind 1", "kind 2"]
    assert spin.minimum == 2
    combo.currentIndex = 1
    assert wrapped.kind is Kind.B


@says("connectGui takes children that name a field; an unknown name raises", WRAPPER)
def test_connect_gui(host):
    import qt

    wrapped, outer = fields(host.slicer, host), qt.QWidget()
    inner = qt.QComboBox(outer)
    inner.setProperty("SlicerParameterName", "kind")
    tag = wrapped.connectGui(outer)
    wrapped.kind = Kind.B
    assert inner.currentIndex == 1
    wrapped.disconnectGui(tag)
    wrapped.kind = Kind.A
    assert inner.currentIndex == 1
    inner.setProperty("SlicerParameterName", "kindd")
    with pytest.raises(ValueError, match="kindd"):
        wrapped.connectGui(outer)


@says("A slider without both limits cannot show a float", CONNECTORS)
def test_unbounded_slider(host):
    import ctk
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    class Free:
        width: float = 1.0

    wrapped = parameterNodeWrapper(Free)(node(host.slicer, "p", "vtkMRMLScriptedModuleNode"))
    with pytest.raises(RuntimeError):
        wrapped.connectParametersToGui({"width": ctk.ctkSliderWidget()})


@says("Place mode is the interaction node's, and ends after one point unless it persists", PLACE)
def test_place_mode_persists(host):
    slicer = host.slicer
    place, seeds = slicer.qSlicerMarkupsPlaceWidget(), node(slicer, "S", "vtkMRMLMarkupsFiducialNode")
    place.setMRMLScene(slicer.mrmlScene)
    place.setCurrentNode(seeds)
    place.setPlaceModePersistency(True)
    place.setPlaceModeEnabled(True)
    host.place((0, 0, 0))
    host.place((1, 1, 1))
    assert seeds.GetNumberOfControlPoints() == 2
    place.setPlaceModeEnabled(False)
    assert slicer.app.applicationLogic().GetInteractionNode().GetCurrentInteractionMode() == 2


@says("The panel's Python widget is `self()`; it knows whether it is entered", PANEL)
def test_the_panel(host, example):
    widget = host.open("BlurExample")
    assert host.panel("BlurExample").self() is widget
    assert widget.parent.isEntered is True
    host.close()
    assert widget.parent.isEntered is False
    assert host.slicer.util.getModuleWidget("BlurExample") is widget


@says("A module's parameter node is a singleton of the module's name", MODULE)
def test_the_parameter_node(host, example):
    logic = host.open("BlurExample").logic
    assert logic.getParameterNode() is logic.getParameterNode()
    assert logic.getParameterNode().GetSingletonTag() == "BlurExample"


@says("cleanup is called when the module is unloaded", MODULE)
def test_cleanup(host, example):
    widget = host.open("BlurExample")
    host.unload("BlurExample")
    assert widget.Observations == []
    host.reload("BlurExample")


@says("With testing on, a question is answered True, which is not the button Ok: the answer is no", UTIL)
def test_questions(host):
    assert host.slicer.util.confirmOkCancelDisplay("Overwrite?") is False
    assert [(m.kind, m.text) for m in host.messages.take()] == [("confirm", "Overwrite?")]


@says("Writing segments from arrays goes through the real logic", UTIL)
def test_segments(host):
    slicer = host.slicer
    voxels = np.zeros((6, 7, 8), np.uint8)
    voxels[2:4, 2:5, 3:6] = 1
    volume = slicer.util.addVolumeFromArray(voxels.astype(float))
    segmentation = node(slicer, "S", "vtkMRMLSegmentationNode")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = segmentation.GetSegmentation().AddEmptySegment("met", "Metastasis")
    view = slicer.qMRMLSegmentsTableView()
    view.setMRMLScene(slicer.mrmlScene)
    view.setSegmentationNode(segmentation)
    slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, segmentation, segment, volume)
    back = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment, volume)
    assert (back == voxels).all()
    view.setSelectedSegmentIDs(["met"])
    assert view.selectedSegmentIDs() == ("met",)
    segmentation.GetSegmentation().RemoveSegment("met")
    assert view.segmentCount == 0
