"""Layouts for reading and for follow-up, added through the scene's layout node."""

READING = 8601
FOLLOW_UP = 8602

_COLORS = {"Axial": "#F34A33", "Sagittal": "#EDD54C", "Coronal": "#6EB04B"}
# Slicer's own views, so that their settings stay when the layout changes
_STANDARD = {"Axial": ("Red", "R"), "Sagittal": ("Yellow", "Y"), "Coronal": ("Green", "G")}


def _item(content):
    return f"<item>{content}</item>"


def _layout(kind, *contents):
    return f'<layout type="{kind}" split="true">{"".join(_item(c) for c in contents)}</layout>'


def _slice(orientation, tag, label):
    return (
        f'<view class="vtkMRMLSliceNode" singletontag="{tag}">'
        f'<property name="orientation" action="default">{orientation}</property>'
        f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewcolor" action="default">{_COLORS[orientation]}</property></view>'
    )


def _other(className, tag, label):
    return (
        f'<view class="{className}" singletontag="{tag}">'
        f'<property name="viewlabel" action="default">{label}</property></view>'
    )


def readingLayout():
    """XML: three planes and 3D above chart and table."""
    planes = [_slice(plane, *_STANDARD[plane]) for plane in _STANDARD]
    threeD = _other("vtkMRMLViewNode", "1", "1")
    chart = _other("vtkMRMLPlotViewNode", "PlotView1", "P")
    table = _other("vtkMRMLTableViewNode", "TableView1", "T")
    return _layout(
        "vertical",
        _layout("horizontal", planes[0], threeD),
        _layout("horizontal", planes[1], planes[2]),
        _layout("horizontal", chart, table),
    )


def followUpLayout(first="1", second="2"):
    """XML: the three planes and 3D of two time points side by side.

    Parameters
    ----------
    first, second : str
        What the view labels end with.
    """
    columns = []
    for number, text in ((1, first), (2, second)):
        views = [_slice(p, followUpTag(p, number), f"{p[0]}{text}") for p in _STANDARD]
        threeD = _other("vtkMRMLViewNode", f"BMV3D{number}", f"3D {text}")
        columns.append(
            _layout("vertical", _layout("horizontal", *views[:2]), _layout("horizontal", views[2], threeD))
        )
    return _layout("horizontal", *columns)


def followUpTag(orientation, number):
    """Layout name of a slice view in the follow-up layout."""
    return f"BMV{orientation}{number}"


def addLayouts(layoutNode):
    """Make both layouts known to a layout node; calling it again changes nothing."""
    for number, xml in ((READING, readingLayout()), (FOLLOW_UP, followUpLayout())):
        if layoutNode.IsLayoutDescription(number):
            layoutNode.SetLayoutDescription(number, xml)
        else:
            layoutNode.AddLayoutDescription(number, xml)


def showLayout(layoutNode, number):
    """Switch to one of the layouts; returns the one that was shown, to go back to."""
    addLayouts(layoutNode)
    before = layoutNode.GetViewArrangement()
    layoutNode.SetViewArrangement(number)
    return before


def linkSliceViews(compositeNodes, linked=True):
    """Let slice views scroll, zoom and change layers together."""
    for composite in compositeNodes:
        composite.SetLinkedControl(linked)
        composite.SetHotLinkedControl(linked)
