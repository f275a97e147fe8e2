"""Layouts: the XML of the layout node read as Slicer reads it, its views made and laid out, charts and tables drawn."""

from xml.etree import ElementTree

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets
from vtkmodules import vtkChartsCore, vtkViewsContext2D
from vtkmodules.vtkCommonDataModel import vtkColor4ub

from . import pictures
from .native import behaviour, nativeClass

SLICE, THREED, PLOT, TABLE = (
    "vtkMRMLSliceNode",
    "vtkMRMLViewNode",
    "vtkMRMLPlotViewNode",
    "vtkMRMLTableViewNode",
)


def root(layoutNode):
    """The current layout as an element, None where the node has none."""
    text = layoutNode.GetCurrentLayoutDescription() if layoutNode is not None else ""
    return ElementTree.fromstring(text) if text else None


def viewsOf(element):
    """Views of a layout in their order: (class, layout name, properties)."""
    if element is None:
        return []
    found = []
    for view in element.iter("view"):
        tag = view.get("singletontag")
        if tag is None:
            raise NotImplementedError("the stand-in's layouts know views with a singletontag only")
        found.append((view.get("class"), tag, {p.get("name"): p.text for p in view.iter("property")}))
    return found


def build(element, widgetOf):
    """Qt widgets of a layout.

    Parameters
    ----------
    element : xml.etree.ElementTree.Element
    widgetOf : callable
        Class and layout name of a view to its native widget.
    """
    if element.tag == "view":
        return widgetOf(element.get("class"), element.get("singletontag"))
    holder = QtWidgets.QWidget()
    kind = element.get("type", "horizontal")
    if kind == "tab":
        raise NotImplementedError("the stand-in draws no tabs")
    layout = {"vertical": QtWidgets.QVBoxLayout, "grid": QtWidgets.QGridLayout}.get(
        kind, QtWidgets.QHBoxLayout
    )(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(2)
    for item in element.findall("item"):
        child = build(item[0], widgetOf)
        if kind == "grid":
            layout.addWidget(child, int(item.get("row", 0)), int(item.get("column", 0)))
        else:
            layout.addWidget(child, 1)
        child.show()
    return holder


class _Other:
    """A chart or a table; in a layout it has a coloured bar, as every view."""

    INNER = ""

    def build(self):
        self.node, self.inner = None, nativeClass(self.INNER)(self)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.inner, 1)

    def open(self, node):
        """Show what a view node of a layout names."""
        bar = QtWidgets.QLabel(f" {node.GetLayoutLabel() or node.GetLayoutName()}", self)
        bar.setFixedHeight(22)
        bar.setStyleSheet("background: #9f9f9f; color: black")
        self.layout().insertWidget(0, bar)
        self.setMRMLAbstractViewNode(node)

    def mrmlAbstractViewNode(self):
        return self.node


@behaviour
class qMRMLPlotWidget(_Other):
    INNER = "qMRMLPlotView"

    def plotView(self):
        return self.inner

    def setMRMLPlotViewNode(self, node):
        self.node = node
        self.inner.setMRMLPlotViewNode(node)

    setMRMLAbstractViewNode = setMRMLPlotViewNode
    mrmlPlotViewNode = _Other.mrmlAbstractViewNode


@behaviour
class qMRMLPlotView:
    """The chart of a view node, drawn when it is painted."""

    def build(self):
        self.node = None
        self.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Expanding)

    def mrmlPlotViewNode(self):
        return self.node

    def setMRMLPlotViewNode(self, node):
        self.node = node
        self.update()

    def fitToContent(self):
        self.update()

    def paintEvent(self, _):
        chart = self.node.GetPlotChartNode() if self.node is not None else None
        painter = QtGui.QPainter(self)
        if chart is None:
            painter.fillRect(self.rect(), QtCore.Qt.white)
        else:
            painter.drawImage(self.rect(), chartImage(chart, self.width(), self.height()))


@behaviour
class qMRMLTableWidget(_Other):
    INNER = "qMRMLTableView"

    def tableView(self):
        return self.inner

    def setMRMLTableViewNode(self, node):
        self.node = node
        node.AddObserver("ModifiedEvent", lambda *_: shiboken6.isValid(self) and self._follow())
        self._follow()

    setMRMLAbstractViewNode = setMRMLTableViewNode
    mrmlTableViewNode = _Other.mrmlAbstractViewNode

    def _follow(self):
        node = self.node.GetTableNode()
        if node is not self.inner.mrmlTableNode():
            self.inner.setMRMLTableNode(node)
            self.inner.verticalHeader().hide()
            self.inner.resizeColumnsToContents()


def chartImage(chart, width, height):
    """A chart node drawn with VTK as qMRMLPlotView does: labels of bars are tool tips, not axis text."""
    view = vtkViewsContext2D.vtkContextView()
    view.GetRenderWindow().SetOffScreenRendering(1)
    view.GetRenderWindow().SetMultiSamples(0)
    view.GetRenderer().SetBackground(1.0, 1.0, 1.0)
    drawn = vtkChartsCore.vtkChartXY()
    view.GetScene().AddItem(drawn)
    for number in range(chart.GetNumberOfPlotSeriesNodes()):
        _addSeries(drawn, chart.GetNthPlotSeriesNode(number))
    drawn.SetTitle(chart.GetTitle() if chart.GetTitleVisibility() else "")
    drawn.GetTitleProperties().SetFontSize(chart.GetTitleFontSize())
    drawn.SetShowLegend(bool(chart.GetLegendVisibility()))
    axes = (
        (
            vtkChartsCore.vtkAxis.BOTTOM,
            chart.GetXAxisTitle(),
            chart.GetXAxisRangeAuto(),
            chart.GetXAxisRange(),
        ),
        (vtkChartsCore.vtkAxis.LEFT, chart.GetYAxisTitle(), chart.GetYAxisRangeAuto(), chart.GetYAxisRange()),
    )
    for place, title, auto, limits in axes:
        axis = drawn.GetAxis(place)
        axis.SetTitle(title or "")
        axis.GetTitleProperties().SetFontSize(chart.GetAxisTitleFontSize())
        axis.GetLabelProperties().SetFontSize(chart.GetAxisLabelFontSize())
        if not auto:
            axis.SetBehavior(vtkChartsCore.vtkAxis.FIXED)
            axis.SetUnscaledRange(*limits)
    holder = type("Drawn", (), {})()
    holder.window = view.GetRenderWindow()
    holder.resize = holder.window.SetSize
    holder.render = holder.window.Render
    return pictures.render(holder, width, height)


def _addSeries(drawn, series):
    bar = series.GetPlotType() in (series.PlotTypeBar, series.PlotTypeScatterBar)
    plot = vtkChartsCore.vtkPlotBar() if bar else vtkChartsCore.vtkPlotLine()
    color = [round(255 * part) for part in series.GetColor()]
    plot.SetColor(*color, round(255 * series.GetOpacity()))
    if bar:
        plot.GetBrush().SetColor(vtkColor4ub(*color, round(255 * series.GetOpacity())))
    table, column = series.GetTableNode().GetTable(), series.GetYColumnName()
    plot.SetUseIndexForXSeries(not series.IsXColumnRequired())
    plot.SetInputData(table, series.GetXColumnName() if series.IsXColumnRequired() else column, column)
    plot.SetLabel(series.GetName())
    drawn.AddPlot(plot)


__all__ = ["SLICE", "THREED", "build", "chartImage", "root", "viewsOf"]
