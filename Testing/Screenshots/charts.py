"""Chart nodes drawn with VTK's charts, as Slicer's plot views draw them (the stand-in has no plot view)."""

import numpy as np
import vtk
from vtk.util import numpy_support


def chartPicture(chart, width, height):
    """A chart node as a PIL image."""
    from PIL import Image

    drawn = vtk.vtkChartXY()
    drawn.SetTitle(chart.GetTitle())
    drawn.GetTitleProperties().SetFontSize(15)
    drawn.SetShowLegend(True)
    drawn.GetLegend().GetLabelProperties().SetFontSize(12)
    for axis, title in (
        (vtk.vtkAxis.BOTTOM, chart.GetXAxisTitle()),
        (vtk.vtkAxis.LEFT, chart.GetYAxisTitle()),
    ):
        drawn.GetAxis(axis).SetTitle(title)
        drawn.GetAxis(axis).GetTitleProperties().SetFontSize(13)
        drawn.GetAxis(axis).GetLabelProperties().SetFontSize(12)
    for number in range(chart.GetNumberOfPlotSeriesNodes()):
        _addCurve(drawn, chart.GetNthPlotSeriesNode(number))
    view = vtk.vtkContextView()
    view.GetRenderWindow().SetOffScreenRendering(1)
    view.GetRenderWindow().SetMultiSamples(8)
    view.GetRenderWindow().SetSize(width, height)
    view.GetRenderer().SetBackground(1.0, 1.0, 1.0)
    view.GetScene().AddItem(drawn)
    view.GetRenderWindow().Render()
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(view.GetRenderWindow())
    grabber.ReadFrontBufferOff()
    grabber.Update()
    image = grabber.GetOutput()
    columns, rows, _ = image.GetDimensions()
    pixels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)
    return Image.fromarray(np.ascontiguousarray(pixels[::-1, :, :3]))


def _addCurve(drawn, series):
    points = series.GetLineStyle() == series.LineStyleNone
    plot = drawn.AddPlot(vtk.vtkChart.POINTS if points else vtk.vtkChart.LINE)
    plot.SetInputData(series.GetTableNode().GetTable(), series.GetXColumnName(), series.GetYColumnName())
    plot.SetColorF(*series.GetColor())
    plot.SetLabel(series.GetName())
    plot.SetWidth(series.GetLineWidth())
    if points:
        plot.SetMarkerStyle(vtk.vtkPlotPoints.CIRCLE)
        plot.SetMarkerSize(series.GetMarkerSize())
