"""Time series of Core to sequence nodes (index in seconds) and back.

Slicer's DICOM import gives a sequence whose index is the frame number without a unit; the times
stand only in attributes. Paths of the source files stand there too, and would be saved with the
scene: they are removed.
"""

import numpy as np
import vtk

from BMVascularCore.io.times import choose_times
from BMVascularCore.volume import Series
from BMVascularLib.scene import logicOf
from BMVascularLib.volumes import addVolume, arrayOfImageData, geometryOfNode

FILE_LIST = "MultiVolume.FrameFileList"
_LABELS = "MultiVolume.FrameLabels"
_TAG_NAME = "MultiVolume.FrameIdentifyingDICOMTagName"
_TAG_UNITS = "MultiVolume.FrameIdentifyingDICOMTagUnits"
_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "msec": 1e-3, "min": 60.0}
# the only tags whose frame labels are times of frames (not echo times, not counts)
_TIME_TAGS = {"TriggerTime", "AcquisitionTime", "SeriesTime", "ContentTime", "Time"}


def addSeries(scene, series, name=None):
    """Add a Core series as a sequence with a browser and a volume that shows the chosen frame.

    Parameters
    ----------
    scene : vtkMRMLScene
    series : BMVascularCore.volume.Series
    name : str, optional

    Returns
    -------
    sequence : vtkMRMLSequenceNode
    browser : vtkMRMLSequenceBrowserNode
    proxy : vtkMRMLScalarVolumeNode
    """
    name = name or series.name
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{name} sequence")
    setTimeIndex(sequence)
    frame = addVolume(scene, series.frame(0), name)
    for time, index in zip(series.times_s, range(len(series.times_s)), strict=True):
        array = arrayOfImageData(frame.GetImageData())
        array[...] = series.array[index]
        sequence.SetDataNodeAtValue(frame, _text(time))
    _removeWithDisplay(scene, frame)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.SetPlaybackRateFps(5.0)
    logicOf(scene, "sequences").UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(sequence)
    proxy.SetName(name)
    browser.SetOverwriteProxyName(sequence, False)
    return sequence, browser, proxy


def _removeWithDisplay(scene, node):
    for index in range(node.GetNumberOfDisplayNodes() - 1, -1, -1):
        scene.RemoveNode(node.GetNthDisplayNode(index))
    scene.RemoveNode(node)


def _text(time_s):
    return f"{float(time_s):.4f}".rstrip("0").rstrip(".")


def setTimeIndex(sequence):
    """Make the index of a sequence what it should be: time in seconds."""
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    sequence.SetIndexTypeFromString("numeric")


def headerTimes(sequence):
    """Frame times in seconds that a sequence itself states, and where.

    Returns
    -------
    (list of float, str) or None
        None when it states none: the bare frame numbers of Slicer's import are not times.
    """
    count = sequence.GetNumberOfDataNodes()
    unit = (sequence.GetIndexUnit() or "").strip().lower()
    if unit in _SECONDS:
        values = [float(sequence.GetNthIndexValue(n)) * _SECONDS[unit] for n in range(count)]
        return values, f"sequence index in {unit}"
    tag = sequence.GetAttribute(_TAG_NAME) or ""
    labels = [text for text in (sequence.GetAttribute(_LABELS) or "").split(",") if text.strip()]
    if tag in _TIME_TAGS and len(labels) == count:
        unit = (sequence.GetAttribute(_TAG_UNITS) or "ms").strip().lower()
        scale = _SECONDS.get(unit, 1e-3)
        return [float(text) * scale for text in labels], f"MultiVolume frame labels ({tag})"
    return None


def seriesOfNode(sequence, times_s=None, dt_s=None, proxy=None):
    """The Core series of a sequence node.

    Parameters
    ----------
    sequence : vtkMRMLSequenceNode
    times_s, dt_s : optional
        Typed-in times; win over what the node states.
    proxy : vtkMRMLVolumeNode, optional
        Its parent transforms place the series in the world.

    Returns
    -------
    BMVascularCore.volume.Series
        With ``meta["times_source"]`` and ``meta["warnings"]``.

    Raises
    ------
    InputError
        No times, or times that cannot be true.
    """
    count = sequence.GetNumberOfDataNodes()
    times, source, warnings = choose_times(count, sequence.GetName(), times_s, dt_s, headerTimes(sequence))
    frames = [arrayOfImageData(sequence.GetNthDataNode(n).GetImageData()) for n in range(count)]
    geometry = geometryOfNode(proxy if proxy is not None else sequence.GetNthDataNode(0))
    meta = {"times_source": source, "warnings": warnings}
    return Series(np.stack(frames), times, geometry, sequence.GetName(), meta)


def retime(sequence, times_s=None, dt_s=None):
    """Give an imported sequence its true times as index and remove the paths of its source files.

    Returns
    -------
    source : str
        Where the times came from.
    warnings : list of str

    Raises
    ------
    InputError
        No times, or times that cannot be true: the node is left as it is.
    """
    count = sequence.GetNumberOfDataNodes()
    times, source, warnings = choose_times(count, sequence.GetName(), times_s, dt_s, headerTimes(sequence))
    wasModifying = sequence.StartModify()
    # parked under names that no time can have, so that no new value meets an old one
    for n in range(count):
        sequence.UpdateIndexValue(sequence.GetNthIndexValue(n), f"-{n + 1}")
    for n, time in enumerate(times):
        sequence.UpdateIndexValue(f"-{n + 1}", _text(time))
    setTimeIndex(sequence)
    sequence.RemoveAttribute(FILE_LIST)
    for n in range(count):
        sequence.GetNthDataNode(n).RemoveAttribute(FILE_LIST)
    sequence.EndModify(wasModifying)
    return source, warnings


def curveOf(series, mask):
    """Mean signal inside a mask over time, shape (t,)."""
    return series.array[:, np.asarray(mask, bool)].mean(axis=1)


def addCurveChart(scene, times_s, curves, name, yTitle):
    """A chart of curves over time: table, plot series and chart nodes.

    Parameters
    ----------
    curves : dict
        Curve name to values, shape (t,).

    Returns
    -------
    vtkMRMLPlotChartNode
    """
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", f"{name} table")
    for title, values in {"time (s)": times_s, **curves}.items():
        column = vtk.vtkDoubleArray()
        column.SetName(title)
        for value in values:
            column.InsertNextValue(float(value))
        table.AddColumn(column)
    chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", name)
    chart.SetTitle(name)
    chart.SetXAxisTitle("time (s)")
    chart.SetYAxisTitle(yTitle)
    for title in curves:
        curve = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", title)
        curve.SetAndObserveTableNodeID(table.GetID())
        curve.SetXColumnName("time (s)")
        curve.SetYColumnName(title)
        curve.SetPlotType(curve.PlotTypeScatter)
        curve.SetUniqueColor()
        chart.AddAndObservePlotSeriesNodeID(curve.GetID())
    return chart
