"""Charts of a perfusion series: the time course under the cursor, and the input function."""

import numpy as np
import vtk

from BMVascularLib.perfusionNodes import voxelAt

CHART = "BMVascular.Chart"
_COLORS = {
    "measured": (0.10, 0.10, 0.10),
    "fit": (0.84, 0.37, 0.0),
    "residual": (0.55, 0.55, 0.55),
    "baseline": (0.0, 0.45, 0.70),
    "rCBV window": (0.80, 0.47, 0.65),
    "iAUGC60 window": (0.80, 0.47, 0.65),
    "input function": (0.84, 0.37, 0.0),
    "brain": (0.55, 0.55, 0.55),
}
_POINTS = ("measured",)


class CurveChart:
    """One chart whose curves are replaced in place, so that a view that shows it follows.

    Parameters
    ----------
    scene : vtkMRMLScene
    name : str
        Of the chart node; nodes of this name from a loaded scene are used again.
    xTitle, yTitle : str
    """

    def __init__(self, scene, name, xTitle="time (s)", yTitle=""):
        self.scene, self.name = scene, name
        self.chart = self._node("vtkMRMLPlotChartNode", "chart")
        self.chart.SetName(name)
        self.chart.SetXAxisTitle(xTitle)
        self.chart.SetYAxisTitle(yTitle)
        self.chart.SetLegendVisibility(True)

    def _node(self, className, part):
        key = f"{self.name}/{part}"
        for number in range(self.scene.GetNumberOfNodesByClass(className)):
            node = self.scene.GetNthNodeByClass(number, className)
            if node.GetAttribute(CHART) == key:
                return node
        node = self.scene.AddNewNodeByClass(className, f"{self.name} {part}")
        node.SetAttribute(CHART, key)
        if className != "vtkMRMLPlotChartNode":
            node.SetHideFromEditors(True)
        return node

    def show(self, title, curves, yTitle=None):
        """Replace what the chart shows.

        Parameters
        ----------
        title : str
        curves : dict of str to (ndarray, ndarray)
            Curve name to x and y; only finite points are drawn.
        yTitle : str, optional
        """
        wasModifying = self.chart.StartModify()
        self.chart.SetTitle(title)
        if yTitle is not None:
            self.chart.SetYAxisTitle(yTitle)
        wanted = []
        for name, (x, y) in curves.items():
            finite = np.isfinite(x) & np.isfinite(y)
            if finite.any():
                wanted.append(self._curve(name, np.asarray(x)[finite], np.asarray(y)[finite]).GetID())
        shown = [self.chart.GetNthPlotSeriesNodeID(n) for n in range(self.chart.GetNumberOfPlotSeriesNodes())]
        if shown != wanted:
            self.chart.RemoveAllPlotSeriesNodeIDs()
            for each in wanted:
                self.chart.AddAndObservePlotSeriesNodeID(each)
        self.chart.EndModify(wasModifying)

    def _curve(self, name, x, y):
        table = self._node("vtkMRMLTableNode", f"{name} table")
        _fill(table, x, y)
        series = self._node("vtkMRMLPlotSeriesNode", name)
        if series.GetTableNodeID() != table.GetID():
            self._style(series, table, name)
        return series

    def _style(self, series, table, name):
        series.SetName(name)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName("x")
        series.SetYColumnName("y")
        series.SetPlotType(series.PlotTypeScatter)
        series.SetColor(*_COLORS.get(name, (0.2, 0.2, 0.2)))
        points = name in _POINTS
        series.SetMarkerStyle(series.MarkerStyleCircle if points else series.MarkerStyleNone)
        series.SetMarkerSize(5)
        series.SetLineStyle(series.LineStyleNone if points else series.LineStyleSolid)
        series.SetLineWidth(5 if name == "baseline" or name.endswith("window") else 2)


def _fill(table, x, y):
    """Put two columns into a table node; arrays of the same length are written in place."""
    inner = table.GetTable()
    if inner.GetNumberOfColumns() != 2:
        wasModifying = table.StartModify()
        for name in ("x", "y"):
            column = vtk.vtkDoubleArray()
            column.SetName(name)
            table.AddColumn(column)
        table.EndModify(wasModifying)
    for number, values in enumerate((x, y)):
        column = inner.GetColumn(number)
        column.SetNumberOfTuples(len(values))
        for index, value in enumerate(values):
            column.SetValue(index, float(value))
        column.Modified()
    inner.Modified()
    table.Modified()


class LiveCurve:
    """The time course of the voxel under a world point.

    Parameters
    ----------
    preview : DscPreview or DcePreview
    geometry : BMVascularCore.volume.Geometry
        Of the series in the world.
    chart : CurveChart
    """

    def __init__(self, preview, geometry, chart):
        self.preview, self.geometry, self.chart = preview, geometry, chart
        self.voxel = None

    def show(self, ras):
        """Draw the voxel under a point.

        Returns
        -------
        BMVascularCore.perfusion.preview.VoxelCurve or None
            None outside the series or where the voxel is still the same.
        """
        voxel = voxelAt(self.geometry, ras)
        if voxel is None or voxel == self.voxel:
            return None
        self.voxel = voxel
        found = self.preview.at(voxel)
        self.chart.show(titleOf(voxel, found), curvesOf(found), yTitleOf(found))
        return found


def titleOf(voxel, found):
    """Title of the chart: where the voxel is and what to be careful about."""
    k, j, i = voxel
    return f"Voxel {i}, {j}, {k}" + (f": {found.reason}" if found.reason else "")


def yTitleOf(found):
    """What the curve is, with its unit; the raw signal where nothing else can be had."""
    if found.curve is None:
        return "signal (not converted)"
    return {"1/s": "dR2* (1/s)", "mM": "concentration (mM)"}.get(found.unit, found.unit)


def curvesOf(found):
    """Curves of one voxel for :meth:`CurveChart.show`."""
    times = found.times_s
    values = found.signal if found.curve is None else found.curve
    curves = {"measured": (times, values)}
    if found.fit is not None:
        curves["fit"] = (times, found.fit)
        curves["residual"] = (times, found.residual)
    finite = values[np.isfinite(values)]
    low = float(finite.min()) if len(finite) else 0.0
    level = low - 0.06 * (float(np.ptp(finite)) if len(finite) else 1.0)
    if found.fit is not None:
        level = min(level, float(found.residual.min()))
    for name, (first, stop) in (("baseline", found.baseline), (found.window_name, found.window)):
        ends = times[[first, min(stop, len(times)) - 1]]
        curves[name] = (ends, np.full(2, level))
    return curves


def wordsOf(found):
    """Fitted numbers with standard errors and units, in one line."""
    parts = []
    for name, value, error, unit in found.values:
        text = name if value != value else f"{name} {value:.3g}"
        if error == error:
            text += f" ± {error:.2g}"
        parts.append(f"{text} {unit}".strip())
    return ", ".join(parts) or found.reason


def showInputFunction(chart, preview):
    """Draw the input function of a prepared series beside the brain's mean curve."""
    curves = {}
    found = preview.aif_curve
    if found is not None:
        curves["input function"] = found
    if hasattr(preview, "reference_curve"):
        curves["brain"] = (preview.times_s, preview.reference_curve)
    title = "dR2* (1/s)" if hasattr(preview, "reference_curve") else "plasma concentration (mM)"
    chart.show(preview.aif_words, curves, title)


def showChart(scene, chart):
    """Show a chart in every plot view."""
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLPlotViewNode")):
        scene.GetNthNodeByClass(number, "vtkMRMLPlotViewNode").SetPlotChartNodeID(chart.GetID())
