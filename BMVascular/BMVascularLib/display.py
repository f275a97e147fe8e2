"""How nodes are shown: window, colours, threshold, opacity, legends, overlays."""

from contextlib import contextmanager

import slicer

from BMVascularLib.colors import colorNode


def setWindow(node, low, high):
    """Show values from ``low`` to ``high`` over the whole colour scale."""
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(float(high - low), float(high + low) / 2.0)


def windowOf(node):
    """Lowest and highest value that the colour scale of a volume spans."""
    display = node.GetDisplayNode()
    half = display.GetWindow() / 2.0
    return display.GetLevel() - half, display.GetLevel() + half


def setColors(node, tableName):
    """Give a volume one of our colour tables."""
    node.GetDisplayNode().SetAndObserveColorNodeID(colorNode(node.GetScene(), tableName).GetID())


def setThreshold(node, low=None, high=None):
    """Show only values from ``low`` to ``high``; both None shows all."""
    display = node.GetDisplayNode()
    display.SetApplyThreshold(low is not None or high is not None)
    if low is not None or high is not None:
        display.SetThreshold(-1e30 if low is None else float(low), 1e30 if high is None else float(high))


def addColorLegend(node, title, unit=None, categories=False):
    """Add a colour legend with title, unit and numbers (or the names of the categories).

    Returns
    -------
    vtkMRMLColorLegendDisplayNode
    """
    logic = slicer.modules.colors.logic() if hasattr(slicer, "modules") else slicer.vtkSlicerColorLogic
    legend = logic.AddDefaultColorLegendDisplayNode(node)
    legend.SetTitleText(f"{title}\n({unit})" if unit else title)
    legend.SetOrientation(slicer.vtkMRMLColorLegendDisplayNode.Vertical)
    legend.SetUseColorNamesForLabels(categories)
    if categories:
        names = node.GetDisplayNode().GetColorNode().GetNumberOfColors()
        legend.SetLabelFormat("%s")
        legend.SetMaxNumberOfColors(names)
        legend.SetNumberOfLabels(names)
    else:
        low, high = windowOf(node)
        legend.SetLabelFormat("%.2f" if high - low < 2 else "%.1f")
        legend.SetMaxNumberOfColors(256)
        legend.SetNumberOfLabels(5)
    legend.SetVisibility(False)
    return legend


def legendOf(node):
    """The colour legend of a node, or None."""
    for index in range(node.GetNumberOfDisplayNodes()):
        display = node.GetNthDisplayNode(index)
        if display is not None and display.IsA("vtkMRMLColorLegendDisplayNode"):
            return display
    return None


def showMap(node, low, high, tableName, threshold=None):
    """Give a map its window, colours and lower threshold; smooth between voxels."""
    setColors(node, tableName)
    setWindow(node, low, high)
    setThreshold(node, low=threshold)
    node.GetDisplayNode().SetInterpolate(1)


def setLayers(compositeNode, background=None, foreground=None, label=None, opacity=0.6):
    """What one slice view shows, bottom to top."""
    compositeNode.SetBackgroundVolumeID(background.GetID() if background else None)
    compositeNode.SetForegroundVolumeID(foreground.GetID() if foreground else None)
    compositeNode.SetLabelVolumeID(label.GetID() if label else None)
    compositeNode.SetForegroundOpacity(float(opacity) if foreground else 0.0)
    compositeNode.SetLabelOpacity(1.0 if label else 0.0)


def showSegmentation(node, outline=True, fill=0.0, width=2, opacity3d=1.0):
    """Outline and fill of a segmentation on slices, opacity in 3D."""
    display = node.GetDisplayNode()
    display.SetVisibility2DOutline(outline)
    display.SetVisibility2DFill(fill > 0)
    display.SetOpacity2DFill(fill)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(int(width))
    display.SetOpacity3D(opacity3d)


def showOnly(node, segmentId=None):
    """Show one segment (or all, or with ``""`` none) of a segmentation."""
    display = node.GetDisplayNode()
    segmentation = node.GetSegmentation()
    for index in range(segmentation.GetNumberOfSegments()):
        each = segmentation.GetNthSegmentID(index)
        display.SetSegmentVisibility(each, segmentId is None or each == segmentId)


def colorSegments(node, colors):
    """Colour segments by anything: ``{segment id: (r, g, b)}``."""
    for segmentId, rgb in colors.items():
        node.GetSegmentation().GetSegment(segmentId).SetColor(*rgb)


def colorsByMetric(values, tableName, low, high, missing=(0.6, 0.6, 0.6)):
    """Colours of values on one of our scales; what cannot be measured is grey.

    Parameters
    ----------
    values : dict
        Key to number or None.
    """
    from BMVascularLib.colors import readColorTable

    rgba = readColorTable(tableName).rgba
    colors = {}
    for key, value in values.items():
        if value is None or value != value:
            colors[key] = missing
            continue
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        colors[key] = tuple(rgba[round(share * (len(rgba) - 1)), :3].tolist())
    return colors


@contextmanager
def onlyVisible(scene, nodes):
    """Within a ``with`` block, of all segmentations, models and markups only these are visible."""
    others = {}
    for className in ("vtkMRMLSegmentationNode", "vtkMRMLModelNode", "vtkMRMLMarkupsNode"):
        found = scene.GetNodesByClass(className)
        for index in range(found.GetNumberOfItems()):
            shown = found.GetItemAsObject(index).GetDisplayNode()
            if shown is not None:
                others[shown] = shown.GetVisibility()
    wanted = {node.GetDisplayNode() for node in nodes if node is not None}
    for shown in others:
        shown.SetVisibility(shown in wanted)
    try:
        yield
    finally:
        for shown, visible in others.items():
            shown.SetVisibility(visible)


@contextmanager
def overriddenColors(node, colorOf):
    """Within a ``with`` block, segments are drawn in other colours; their own stay as they are."""
    shown = node.GetDisplayNode()
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
    for each in ids:
        shown.SetSegmentOverrideColor(each, *colorOf(each))
    try:
        yield
    finally:
        for each in ids:
            shown.UnsetSegmentOverrideColor(each)
