"""Views for reading phenotypes: jump to a lesion, fill the reading layout, two time points side by side."""

import numpy as np
import slicer

from BMVascularLib import studyNodes
from BMVascularLib.layouts import FOLLOW_UP, READING, followUpTag, linkSliceViews, showLayout
from BMVascularLib.phenotypeNodes import lesionCenter, lesionTimepoints, nodeOf
from BMVascularLib.phenotypeText import stabilityWords
from BMVascularLib.tables import setTable

PLANES = ("Axial", "Sagittal", "Coronal")
SUMMARY, EVIDENCE_TABLE = "phenotype summary", "phenotype evidence"
_ANGIOGENIC, _CO_OPTION = "angiogenic side", "co-option side"
# series of the evidence chart: name, colour, opacity
_SERIES = tuple(
    (name, color, opacity)
    for side, color in ((_ANGIOGENIC, (0.84, 0.37, 0.0)), (_CO_OPTION, (0.0, 0.45, 0.70)))
    for name, opacity in ((side, 1.0), (f"{side}, discounted", 0.35))
)
# names that fit below the bars
_SHORT = {
    "wash_in": "wash-in", "enhancing_fraction": "enhancing", "vp_ratio": "Vp", "cbf_ratio": "CBF",
    "oedema_width": "oedema mm", "oedema_ratio": "oedema mL", "irregularity": "surface", "pet_nonenhancing": "PET",
}  # fmt: skip
_SUMMARY_COLUMNS = ("Lesion", "Label", "Stability", "Coverage", "Tier", "Flags")


def nodesByClass(scene, className):
    """Nodes of a class, in scene order."""
    return [scene.GetNthNodeByClass(n, className) for n in range(scene.GetNumberOfNodesByClass(className))]


def followUpTimepoints(scene):
    """The first and the last time point with lesions; one where there is one."""
    labels = lesionTimepoints(scene)
    return labels if len(labels) < 2 else [labels[0], labels[-1]]


def _numberOfView(layoutName):
    """1 or 2 for a view of the follow-up layout, None for others."""
    tags = {followUpTag(plane, number): number for plane in PLANES for number in (1, 2)}
    tags |= {"BMV3D1": 1, "BMV3D2": 2}
    return tags.get(layoutName)


def timepointOfView(scene, layoutName, current):
    """Which time point a view shows: that of its side in the follow-up layout, else the current one."""
    number = _numberOfView(layoutName)
    labels = followUpTimepoints(scene)
    return labels[min(number, len(labels)) - 1] if number and labels else current


def shownTimepoints(scene, current):
    """Time points whose lesions the views show: both in the follow-up layout, else the current one."""
    return followUpTimepoints(scene) if sidesAreShown(scene) else [current]


def sidesAreShown(scene):
    """True in the layout of two time points side by side."""
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    return layout is not None and layout.GetViewArrangement() == FOLLOW_UP


def jumpTo(scene, timepoint, name):
    """Centre all slice views and turn the 3D cameras to a lesion.

    In the follow-up layout each side goes to its own time point's lesion of that name.

    Returns
    -------
    tuple or None
        Centre of the lesion at ``timepoint``, RAS mm.
    """
    centers = {label: lesionCenter(scene, label, name) for label in lesionTimepoints(scene)}
    for node in nodesByClass(scene, "vtkMRMLSliceNode"):
        center = centers.get(timepointOfView(scene, node.GetLayoutName(), timepoint))
        if center is not None:
            node.JumpSliceByCentering(*center)
    center = centers.get(timepoint)
    if center is not None:
        for camera in nodesByClass(scene, "vtkMRMLCameraNode"):
            _turn(camera, center)
    return center


def _turn(camera, center):
    """Move a camera without turning it, so that a point is in its middle."""
    before = np.array(camera.GetFocalPoint())
    place = np.array(camera.GetPosition()) + np.array(center) - before
    state = camera.StartModify()
    camera.SetFocalPoint(*center)
    camera.SetPosition(*place)
    camera.ResetClippingRange()
    camera.EndModify(state)


def compositesOf(scene, timepoint):
    """Composite nodes of the views that show a time point."""
    return [
        node
        for node in nodesByClass(scene, "vtkMRMLSliceCompositeNode")
        if timepointOfView(scene, node.GetLayoutName(), timepoint) == timepoint
    ]


def axialViews(scene, timepoint):
    """Ids of the axial views that show a time point."""
    return [
        node.GetID()
        for node in nodesByClass(scene, "vtkMRMLSliceNode")
        if node.GetOrientation() == "Axial"
        and timepointOfView(scene, node.GetLayoutName(), timepoint) == timepoint
    ]


def showReading(scene, layoutNode, selectionNode, timepoint, result, lesion):
    """Slices, 3D, chart and table of one time point.

    Parameters
    ----------
    scene : vtkMRMLScene
    layoutNode : vtkMRMLLayoutNode
    selectionNode : vtkMRMLSelectionNode
        Receives chart and table.
    timepoint : str
    result : PhenotypeResult or None
    lesion : str

    Returns
    -------
    int
        The layout before.
    """
    before = showLayout(layoutNode, READING)
    restrictToViews(scene, {})
    if result is not None:
        selectionNode.SetActiveTableID(summaryTable(scene, timepoint, result).GetID())
        chart = evidencePlot(scene, timepoint, result.lesion(lesion))
        selectionNode.SetActivePlotChartID(chart.GetID() if chart else None)
    return before


def updateReading(scene, timepoint, result, lesion):
    """Bring chart and table of the reading layout up to date, where they were made."""
    if result is None or nodeOf(scene, SUMMARY, timepoint) is None:
        return
    summaryTable(scene, timepoint, result)
    evidencePlot(scene, timepoint, result.lesion(lesion))


def showFollowUp(scene, layoutNode):
    """The planes and 3D of the first and the last time point side by side, each with its own lesions.

    Returns
    -------
    int
        The layout before.
    """
    before = showLayout(layoutNode, FOLLOW_UP)
    sides = dict(enumerate(followUpTimepoints(scene), start=1))
    views = nodesByClass(scene, "vtkMRMLAbstractViewNode")
    restrictToViews(
        scene,
        {
            label: [view.GetID() for view in views if _numberOfView(view.GetLayoutName()) == number]
            for number, label in sides.items()
        },
    )
    for composite in nodesByClass(scene, "vtkMRMLSliceCompositeNode"):
        label = sides.get(_numberOfView(composite.GetLayoutName()))
        anatomy = nodeOf(scene, "T1c", label) if label else None
        if anatomy is not None:
            composite.SetBackgroundVolumeID(anatomy.GetID())
    return before


def linkViews(scene, linked):
    """Let the slice views scroll, zoom and change layers together, or not."""
    linkSliceViews(nodesByClass(scene, "vtkMRMLSliceCompositeNode"), linked)


def restrictToViews(scene, views):
    """Show segmentations and surfaces of a time point in these views alone; ``{}`` shows all everywhere.

    Parameters
    ----------
    views : dict
        Time point to ids of view nodes.
    """
    for className in ("vtkMRMLSegmentationNode", "vtkMRMLModelNode"):
        for node in nodesByClass(scene, className):
            shown, label = node.GetDisplayNode(), studyNodes.timepointOf(node)
            if shown is None or not label:
                continue
            state = shown.StartModify()
            shown.RemoveAllViewNodeIDs()
            for viewId in views.get(label, ()):
                shown.AddViewNodeID(viewId)
            shown.EndModify(state)


def summaryTable(scene, timepoint, result):
    """The table for reading: label, stability, coverage, tier and flags of each lesion."""
    rows = [
        {
            "Lesion": lesion["name"],
            "Label": lesion["phenotype"],
            "Stability": stabilityWords(lesion),
            "Coverage": f"{lesion['coverage']:.2f}",
            "Tier": lesion["tier"],
            "Flags": "; ".join(lesion["flags"]),
        }
        for lesion in result.lesions
    ]
    node = _tableNode(scene, SUMMARY, timepoint)
    setTable(node, rows, list(_SUMMARY_COLUMNS))
    return node


def _tableNode(scene, role, timepoint):
    node = nodeOf(scene, role, timepoint)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", f"{timepoint} {role}")
        studyNodes.setRole(node, role, timepoint, "for reading")
    return node


def evidencePlot(scene, timepoint, lesion):
    """Bar chart of a lesion's evidence scores for the plot view.

    Returns
    -------
    vtkMRMLPlotChartNode or None
        None without a lesion.
    """
    if lesion is None:
        return None
    import vtk

    measured = [row for row in lesion["evidence"] if row["value"] is not None]
    table, names, places = vtk.vtkTable(), vtk.vtkStringArray(), vtk.vtkDoubleArray()
    names.SetName("Input")
    places.SetName("Place")
    columns = {name: vtk.vtkDoubleArray() for name, _color, _opacity in _SERIES}
    for name, column in columns.items():
        column.SetName(name)
    for place, row in enumerate(measured):
        names.InsertNextValue(row["title"])
        places.InsertNextValue(float(place))
        for name, column in columns.items():
            column.InsertNextValue(row["score"] if name == _seriesOf(row) else 0.0)
    for column in (names, places, *columns.values()):
        table.AddColumn(column)
    node = _tableNode(scene, EVIDENCE_TABLE, timepoint)
    node.SetAndObserveTable(table)
    titles = [_SHORT.get(row["input"], row["title"]) for row in measured]
    return _chart(scene, timepoint, lesion, node, titles)


def _seriesOf(row):
    """The series of bars that an input belongs to."""
    side = _ANGIOGENIC if row["score"] > 0 else _CO_OPTION
    return f"{side}, discounted" if row["discounted_because"] else side


def _chart(scene, timepoint, lesion, table, titles):
    name = f"{timepoint} evidence"
    chart = scene.GetFirstNode(name, "vtkMRMLPlotChartNode")
    if chart is None:
        chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", name)
        for column, color, opacity in _SERIES:
            series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", column)
            series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeBar)
            series.SetAndObserveTableNodeID(table.GetID())
            series.SetLabelColumnName("Input")
            series.SetXColumnName("Place")
            series.SetYColumnName(column)
            series.SetColor(*color)
            series.SetOpacity(opacity)
            chart.AddAndObservePlotSeriesNodeID(series.GetID())
        chart.SetYAxisTitle("score, -1 to +1")
        chart.SetYAxisRangeAuto(False)
        chart.SetYAxisRange(-1.0, 1.0)
        chart.SetTitleFontSize(14)
        chart.SetAxisTitleFontSize(11)
        chart.SetAxisLabelFontSize(11)
    # the plot view writes the labels of bars into tool tips only: the axis says which bar is which
    chart.SetXAxisTitle("   ".join(f"{place} {title}" for place, title in enumerate(titles)))
    chart.SetXAxisRangeAuto(False)
    # room on the right for the legend
    chart.SetXAxisRange(-0.6, 1.5 * max(len(titles), 1) - 0.4)
    chart.SetTitle(f"{lesion['name']}: evidence")
    return chart
