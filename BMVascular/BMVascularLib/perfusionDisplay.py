"""Maps of a perfusion run on the slices: layers, window, threshold, legends, flags, texts, table."""

import numpy as np
import slicer

from BMVascularLib import display
from BMVascularLib.layouts import READING, showLayout
from BMVascularLib.perfusionNodes import MADE_BY, MAKER, SHOWN_FIRST, legendFacts, mapFacts, reasonOf
from BMVascularLib.perfusionRun import lesionTable
from BMVascularLib.studyNodes import REASON, nodesOf, roleOf, setRole
from BMVascularLib.tables import rowsOfTable, setTable
from BMVascularLib.volumes import arrayOfImageData

WARNINGS = "BMVascular.Warnings"
USABLE = "BMVascular.Usable"
_TABLE_OF = "BMVascular.TableOf"


def madeMaps(scene, kind, timepoint):
    """Maps and flag map of earlier runs in the scene.

    Returns
    -------
    (dict of str to vtkMRMLScalarVolumeNode, vtkMRMLLabelMapVolumeNode or None)
    """
    maps, flags = {}, None
    for node in nodesOf(scene, None, timepoint):
        if node.GetAttribute(MADE_BY) != MAKER:
            continue
        if roleOf(node) == f"{kind.lower()}_flags":
            flags = node
        elif node.GetAttribute(REASON) == reasonOf(kind) and node.IsA("vtkMRMLScalarVolumeNode"):
            maps[roleOf(node)] = node
    first = [role for role in SHOWN_FIRST if role in maps]
    rest = [role for role in maps if role not in first and not role.startswith("se_")]
    errors = [role for role in maps if role.startswith("se_")]
    return {role: maps[role] for role in (*first, *rest, *errors)}, flags


def titleOfMap(node):
    """Title and unit of a map node."""
    title, unit, _, _ = mapFacts(roleOf(node), np.zeros(0))
    return title, unit


def compositeNodes(scene):
    """Composite nodes of the slice views."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")
    return [scene.GetNthNodeByClass(n, "vtkMRMLSliceCompositeNode") for n in range(count)]


def showMap(node, anatomy, opacity, lesions=None):
    """Show a map over the anatomy in every slice view; lesions as outlines, so that they do not cover it."""
    if lesions is not None and lesions.GetDisplayNode() is not None:
        lesions.GetDisplayNode().SetVisibility2DFill(False)
    for composite in compositeNodes(node.GetScene()):
        if anatomy is not None:
            composite.SetBackgroundVolumeID(anatomy.GetID())
        composite.SetForegroundVolumeID(node.GetID())
        composite.SetForegroundOpacity(float(opacity))


def showFlags(scene, flags):
    """Colour unusable voxels by their reason, or stop it with None."""
    for composite in compositeNodes(scene):
        composite.SetLabelVolumeID(flags.GetID() if flags is not None else None)
        composite.SetLabelOpacity(0.8 if flags is not None else 0.0)


def showLegend(node, shown):
    """Legend of a map or a flag map; made again where a loaded scene lost it."""
    legend = display.legendOf(node)
    if legend is None and shown:
        legend = display.addColorLegend(node, *legendFacts(roleOf(node)))
    if legend is not None:
        flags = node.IsA("vtkMRMLLabelMapVolumeNode")
        if shown and not flags:
            low, high = display.windowOf(node)
            legend.SetLabelFormat("%.3f" if high - low < 0.2 else "%.2f" if high - low < 2 else "%.1f")
        # maps at the right, reasons at the left: both can be read at once
        legend.SetSize(*((0.22, 0.5) if flags else (0.10, 0.35)))
        legend.SetPosition(*((0.02, 0.05) if flags else (0.97, 0.55)))
        legend.SetVisibility(bool(shown))


def displayOf(node):
    """Window, range of the sliders and threshold of a map.

    Returns
    -------
    tuple of float
        Low and high end of the colour scale, first and last value of the sliders, threshold.
    """
    low, high = display.windowOf(node)
    values = arrayOfImageData(node.GetImageData())
    finite = values[np.isfinite(values)]
    first, last = np.percentile(finite, [0.5, 99.5]) if len(finite) else (low, high)
    first, last = min(float(first), low), max(float(last), high)
    threshold = (
        node.GetDisplayNode().GetLowerThreshold() if node.GetDisplayNode().GetApplyThreshold() else first
    )
    return low, high, first, last, min(max(threshold, first), last)


def showPlots(scene):
    """A layout with a plot view, unless one is shown already."""
    node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    if (
        slicer.app.layoutManager().plotViewCount == 0
        or scene.GetNumberOfNodesByClass("vtkMRMLPlotViewNode") == 0
    ):
        showLayout(node, READING)


def keepTexts(made, sequence, timepoint, kind):
    """Keep methods and warnings of a run with the scene."""
    scene = sequence.GetScene()
    node = _text(scene, timepoint, kind)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTextNode", f"{timepoint} {kind} methods")
        setRole(node, f"{kind.lower()}_methods", timepoint, reasonOf(kind))
        node.SetAttribute(MADE_BY, MAKER)
    node.SetText(made.methods)
    node.SetAttribute(WARNINGS, "\n".join(made.warnings))
    brain = made.result.brain if kind == "DSC" else made.result.maps["flags"] != 1
    usable = int((made.result.valid & brain).sum())
    made.flags.SetAttribute(USABLE, f"{usable} of {int(brain.sum())} voxels are usable.")


def _text(scene, timepoint, kind):
    return next(iter(nodesOf(scene, f"{kind.lower()}_methods", timepoint)), None)


def textsOf(scene, timepoint, kind):
    """Methods and warnings of the last run, empty without one."""
    node = _text(scene, timepoint, kind)
    return ("", "") if node is None else (node.GetText() or "", node.GetAttribute(WARNINGS) or "")


def updateTable(scene, lesions, kind, timepoint):
    """The per-lesion table node, computed again when lesions or maps have changed; None without either."""
    maps, flags = madeMaps(scene, kind, timepoint)
    node = next(iter(nodesOf(scene, f"{kind.lower()}_table", timepoint)), None)
    if lesions is None or not maps or lesions.GetSegmentation().GetNumberOfSegments() == 0:
        return None
    stamp = f"{lesions.GetID()}/{lesions.GetSegmentation().GetMTime()}/" + str(
        max(each.GetImageData().GetMTime() for each in maps.values())
    )
    if node is not None and node.GetAttribute(_TABLE_OF) == stamp:
        return node
    rows = lesionTable(maps, flags, lesions, kind)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", f"{timepoint} {kind} lesion table")
        setRole(node, f"{kind.lower()}_table", timepoint, reasonOf(kind))
        node.SetAttribute(MADE_BY, MAKER)
    setTable(node, rows)
    stamp = f"{lesions.GetID()}/{lesions.GetSegmentation().GetMTime()}/" + stamp.rsplit("/", 1)[1]
    node.SetAttribute(_TABLE_OF, stamp)
    return node


def rowsOf(node, role):
    """Rows of one map out of the table node, numbers as numbers."""
    rows = []
    for row in rowsOfTable(node):
        if row["map"] != role:
            continue
        numbers = {
            key: float(row[key]) if row[key] else None
            for key in ("median", "se_median", "p95", "median_voxel_se", "usable_fraction")
        }
        share = numbers["usable_fraction"]
        usable = None if share is None else f"{100 * share:.0f} % of {row['voxels']}"
        rows.append({**row, **numbers, "usable": usable})
    return rows
