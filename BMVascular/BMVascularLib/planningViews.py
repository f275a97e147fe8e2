"""What the planning views show: blend, checkerboard, bone edges of the CT, isodose lines, DVH chart."""

import numpy as np
import slicer
import vtk

from BMVascularCore.errors import InputError
from BMVascularCore.planning.head_mask import is_ct
from BMVascularCore.volume import Geometry, Volume, ras_lps, resample
from BMVascularLib import display
from BMVascularLib.colors import ISODOSE_COLORS
from BMVascularLib.layouts import READING, showLayout
from BMVascularLib.planningNodes import putTable, removeRole, tableOf
from BMVascularLib.studyNodes import factsOf, setRole
from BMVascularLib.surfaces import addIsodose, addModel, surfaceOfArray
from BMVascularLib.volumes import addVolume, geometryOfNode, volumeOfNode

BONE_HU = 250.0
# width of the DVH chart over the highest dose, and from how many curves on the legend is set small
_LEGEND_ROOM, _MANY_CURVES = 1.45, 8
_EDGE_GRID_MM = 1.2
# the brightest grey value is that of the spy-glass's rim
_RIM = 255
_BOARD_GRID_MM = 1.0


def composites(scene):
    """Composite nodes of the slice views."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")
    return [scene.GetNthNodeByClass(n, "vtkMRMLSliceCompositeNode") for n in range(count)]


def showPair(scene, background, foreground, opacity):
    """Show one volume over another in every slice view."""
    for composite in composites(scene):
        display.setLayers(composite, background, foreground, None, opacity)


def setOpacity(scene, opacity):
    """Opacity of what lies on top in every slice view."""
    for composite in composites(scene):
        composite.SetForegroundOpacity(float(opacity))


def jumpTo(scene, ras):
    """Centre every slice view on a point, RAS mm."""
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        scene.GetNthNodeByClass(n, "vtkMRMLSliceNode").JumpSliceByCentering(*ras)


def _coarser(geometry, spacingMm):
    """The same field of view on voxels of at least this size."""
    return _regridded(geometry, np.maximum(np.asarray(geometry.spacing_mm), spacingMm))


def _regridded(geometry, step):
    """The same field of view on voxels of another size, mm along i, j, k."""
    shape = np.maximum(np.floor(np.asarray(geometry.shape[::-1]) * geometry.spacing_mm / step), 1).astype(int)
    return Geometry(
        tuple(int(n) for n in shape[::-1]), tuple(step.tolist()), geometry.origin_mm, geometry.direction
    )


def addCheckerboard(scene, ct, t1c, squareMm):
    """Squares of CT and T1c in turn, each in its own window; shown only, never used for anything.

    Returns
    -------
    vtkMRMLScalarVolumeNode
        Role ``checkerboard``; grey values 0 to 255.
    """
    removeRole(scene, "checkerboard")
    geometry, greys = _greys(ct, t1c)
    squares = [
        (np.arange(n) * mm // squareMm).astype(int)
        for n, mm in zip(geometry.shape, geometry.spacing_kji_mm, strict=True)
    ]
    odd = (squares[0][:, None, None] + squares[1][:, None] + squares[2]) % 2 == 1
    node = addVolume(scene, Volume(np.where(odd, greys[1], greys[0]), geometry), "Checkerboard (shown only)")
    display.setWindow(node, 0.0, 255.0)
    # between two voxels a plane on the border of squares would show neither image
    node.GetDisplayNode().SetInterpolate(False)
    setRole(node, "checkerboard", "Planning", "derived from CT and T1, shown only")
    node.SetSaveWithScene(False)
    return node


def _greys(ct, t1c):
    """CT and T1c on one grid of the CT, each in its own window as grey values 0 to 255."""
    # voxels of a thick-sliced CT are divided, too: they are shown as they are, without a gradient between them
    geometry = _regridded(geometryOfNode(ct), np.full(3, _BOARD_GRID_MM))
    greys = []
    for node in (ct, t1c):
        low, high = display.windowOf(node)
        moved = resample(volumeOfNode(node, copy=False), geometry, None, "linear", low).array
        greys.append(np.clip(255.0 * (moved - low) / max(high - low, 1e-6), 0, _RIM - 1).astype(np.uint8))
    return geometry, greys


def _rimmedGreys(scene):
    """Greys with yellow as the last one."""
    table = scene.GetFirstNodeByName("BMV Spy-glass")
    if table is None:
        table = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "BMV Spy-glass")
        table.SetTypeToUser()
        table.SetNumberOfColors(_RIM + 1)
        for n in range(_RIM):
            table.SetColor(n, "", *[n / 255.0] * 3, 1.0)
        table.SetColor(_RIM, "rim", 1.0, 0.85, 0.1, 1.0)
        table.GetLookupTable().SetTableRange(0, _RIM)
        table.SetSaveWithScene(False)
    return table


class SpyGlass:
    """A round window through the CT onto the T1c that follows the cursor; shown only.

    Parameters
    ----------
    scene : vtkMRMLScene
    ct, t1c : vtkMRMLScalarVolumeNode

    Attributes
    ----------
    node : vtkMRMLScalarVolumeNode
        Role ``spyglass``; CT outside the window, T1c inside, grey values 0 to 255.
    """

    def __init__(self, scene, ct, t1c):
        removeRole(scene, "spyglass")
        self._geometry, (self._outside, self._inside) = _greys(ct, t1c)
        self._box = None
        self.node = addVolume(scene, Volume(self._outside.copy(), self._geometry), "Spy-glass (shown only)")
        display.setWindow(self.node, 0.0, 255.0)
        self.node.GetDisplayNode().SetInterpolate(False)
        self.node.GetDisplayNode().SetAndObserveColorNodeID(_rimmedGreys(scene).GetID())
        setRole(self.node, "spyglass", "Planning", "derived from CT and T1, shown only")
        self.node.SetSaveWithScene(False)

    def look(self, ras, diameterMm):
        """Put the window around a point.

        Parameters
        ----------
        ras : sequence of float
            World, mm.
        diameterMm : float
        """
        shown = slicer.util.arrayFromVolume(self.node)
        if self._box is not None:
            shown[self._box] = self._outside[self._box]
        center = self._geometry.index_of(ras_lps(ras))
        steps = np.asarray(self._geometry.spacing_kji_mm)
        reach = diameterMm / 2.0 / steps
        low = np.clip(np.floor(center - reach), 0, shown.shape).astype(int)
        high = np.clip(np.ceil(center + reach) + 1, low, shown.shape).astype(int)
        self._box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        axes = [(np.arange(a, b) - c) * mm for a, b, c, mm in zip(low, high, center, steps, strict=True)]
        away = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2
        glass = away <= (diameterMm / 2.0) ** 2
        # a coloured rim: a white one around a metastasis would look like its enhancement
        rim = glass & (away >= (diameterMm / 2.0 - 1.2 * steps.max()) ** 2)
        shown[self._box] = np.where(rim, _RIM, np.where(glass, self._inside[self._box], shown[self._box]))
        slicer.util.arrayFromVolumeModified(self.node)


def addBoneEdges(scene, ct):
    """Outline of the CT's bone as a surface whose lines show on slices; shown only.

    Returns
    -------
    vtkMRMLModelNode

    Raises
    ------
    InputError
        No CT, or one that shows no bone.
    """
    removeRole(scene, "edges")
    volume = volumeOfNode(ct, copy=False)
    volume.meta.update(factsOf(ct))
    if not is_ct(volume):
        raise InputError("holds no Hounsfield units", ct.GetName(), "Bone edges need the planning CT.")
    geometry = _coarser(volume.geometry, _EDGE_GRID_MM)
    array = resample(volume, geometry, None, "linear", -1000.0).array
    if not (array > BONE_HU).any():
        raise InputError(f"shows nothing above {BONE_HU:g} HU", ct.GetName(), "Choose the planning CT.")
    node = addModel(
        scene, surfaceOfArray(array, geometry, BONE_HU), "CT bone edges", (1.0, 0.85, 0.1), 0.0, True, 1
    )
    setRole(node, "edges", "Planning", "derived from the CT, shown only")
    node.SetSaveWithScene(False)
    return node


def parseLevels(text, prescriptions):
    """Isodose levels from text such as ``100 %, 50 %, 12 Gy``.

    Parameters
    ----------
    text : str
    prescriptions : dict
        Lesion name to Gy; empty before a prescription is typed. A share of several prescriptions becomes one
        level for each, with the lesions it belongs to.

    Returns
    -------
    list of (float, str)
        Gy, falling, and what stands beside the level: shares, and lesions where prescriptions differ.

    Raises
    ------
    InputError
        Not a level, or a share without a prescription.
    """
    levels = {}
    for part in filter(None, (piece.strip() for piece in text.replace(";", ",").split(","))):
        share = part.endswith("%")
        number = part.removesuffix("%").removesuffix("Gy").removesuffix("gy").strip()
        try:
            value = float(number)
        except ValueError as error:
            raise InputError(
                f"'{part}' is not a level", "isodose lines", "Write for example 100 %, 50 %, 12 Gy."
            ) from error
        if share and not prescriptions:
            raise InputError("a level in % needs a prescription", "isodose lines", "Type the prescription.")
        doses = {value / 100.0 * dose for dose in prescriptions.values()} if share else {value}
        levels |= {round(dose, 6): _shares(dose, prescriptions) for dose in doses}
    if not levels or min(levels) <= 0 or not np.isfinite(list(levels)).all():
        raise InputError("no level above zero is given", "isodose lines", "Write for example 12 Gy.")
    return sorted(levels.items(), reverse=True)


def _shares(level, prescriptions):
    """``60 %`` where there is one prescription, ``100 % M1, M3; 111 % M2`` where there are several."""
    if not prescriptions:
        return ""
    byDose = {}
    for name, dose in prescriptions.items():
        byDose.setdefault(dose, []).append(name)
    if len(byDose) == 1:
        return f"{100.0 * level / next(iter(byDose)):.0f} %"
    return "; ".join(f"{100.0 * level / dose:.0f} % {', '.join(names)}" for dose, names in byDose.items())


def addIsodoses(scene, dose, levels, timepoint=""):
    """Isodose lines of a dose, with a legend in the views.

    Parameters
    ----------
    dose : BMVascularCore.volume.Volume
        Gy, in world space.
    levels : list of (float, str)
        From :func:`parseLevels`.

    Returns
    -------
    list of dict
        level_gy, color, name, short, node; the node is None where the dose does not reach the level.
    """
    removeRole(scene, "isodose")
    rows = []
    top = float(np.nanmax(dose.array))
    for (level, beside), color in zip(levels, ISODOSE_COLORS * (1 + len(levels) // 7), strict=False):
        name = f"{level:g} Gy" + (f" ({beside})" if beside else "")
        node = None
        if level < top:
            node = addIsodose(scene, dose, level, f"Isodose {name}", color)
            setRole(node, "isodose", timepoint, "surface of the dose volume")
        # a legend has little room: where prescriptions differ, the table names the lesions
        short = name if ";" not in beside else f"{level:g} Gy"
        rows.append({"level_gy": level, "color": color, "name": name, "short": short, "node": node})
    _addLegend(scene, [row for row in rows if row["node"] is not None])
    return rows


def _addLegend(scene, rows):
    """Names of the levels beside their colours, in the views: a colour table on the first surface."""
    if not rows:
        return
    table = scene.GetFirstNodeByName("BMV Isodoses")
    if table is None:
        table = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "BMV Isodoses")
    table.SetTypeToUser()
    table.SetHideFromEditors(False)
    table.SetNumberOfColors(len(rows))
    for n, row in enumerate(reversed(rows)):
        table.SetColor(n, row["short"], *row["color"], 1.0)
    table.GetLookupTable().SetTableRange(0, len(rows) - 1)
    shown = rows[0]["node"].GetDisplayNode()
    shown.SetAndObserveColorNodeID(table.GetID())
    shown.SetScalarRangeFlag(shown.UseManualScalarRange)
    shown.SetScalarRange(0.0, float(len(rows)))
    legend = display.addColorLegend(rows[0]["node"], "Isodoses", categories=True)
    # the left edge: the dose's own legend stands on the right
    legend.SetPosition(0.02, 0.5)
    longest = max(len(row["short"]) for row in rows)
    legend.SetSize(min(0.06 + 0.022 * longest, 0.36), min(0.12 * len(rows), 0.6))
    legend.SetVisibility(True)


def showIsodoses(scene, visible):
    """Show or hide the isodose lines and their legend."""
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLModelNode")):
        node = scene.GetNthNodeByClass(n, "vtkMRMLModelNode")
        if node.GetAttribute("BMVascular.IsodoseGy"):
            for index in range(node.GetNumberOfDisplayNodes()):
                node.GetNthDisplayNode(index).SetVisibility(visible)


def addDvhChart(scene, dvhs, colors, timepoint):
    """Dose-volume histogram as plot nodes: one table, one curve a structure, one chart.

    Parameters
    ----------
    dvhs : list of BMVascularCore.planning.dvh.Dvh
    colors : dict
        Structure name to (r, g, b) from 0 to 1.

    Returns
    -------
    vtkMRMLPlotChartNode
    """
    measurable = [dvh for dvh in dvhs if dvh.measurable]
    top = max((float(dvh.maximum_gy) for dvh in measurable), default=1.0)
    dose = np.linspace(0.0, top, 300)
    columns = {"Dose (Gy)": dose}
    for dvh in measurable:
        at, percent, _ = dvh.curve()
        columns[dvh.name] = np.interp(dose, at, percent, right=0.0)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    table = putTable(scene, "dvh", timepoint, rows, f"{timepoint} DVH table".strip(), list(columns))
    _numbers(table, columns)
    chart = _chart(scene, table, list(columns)[1:], colors, _chartName(timepoint))
    # room on the right for the legend, which would hide the high doses
    chart.SetXAxisRangeAuto(False)
    chart.SetXAxisRange(0.0, _LEGEND_ROOM * top)
    chart.SetLegendFontSize(12 if len(measurable) <= _MANY_CURVES else 9)
    return chart


def showReview(scene, layoutNode, selectionNode, timepoint):
    """Show chart and indices of a review below the slices.

    Returns
    -------
    bool
        False where nothing was reviewed.
    """
    chart = scene.GetFirstNodeByName(_chartName(timepoint))
    if chart is None or not chart.IsA("vtkMRMLPlotChartNode"):
        return False
    showLayout(layoutNode, READING)
    table = tableOf(scene, "metrics", timepoint)
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLPlotViewNode")):
        scene.GetNthNodeByClass(n, "vtkMRMLPlotViewNode").SetPlotChartNodeID(chart.GetID())
    if table is not None:
        for n in range(scene.GetNumberOfNodesByClass("vtkMRMLTableViewNode")):
            scene.GetNthNodeByClass(n, "vtkMRMLTableViewNode").SetTableNodeID(table.GetID())
    selectionNode.SetActivePlotChartID(chart.GetID())
    selectionNode.SetActiveTableID(table.GetID() if table is not None else None)
    return True


def _chartName(timepoint):
    return f"{timepoint} DVH".strip()


def _numbers(node, columns):
    """Plots want columns of numbers, not of text."""
    table = vtk.vtkTable()
    for name, values in columns.items():
        array = vtk.vtkDoubleArray()
        array.SetName(name)
        for value in values:
            array.InsertNextValue(float(value))
        table.AddColumn(array)
    node.SetAndObserveTable(table)


def _chart(scene, table, names, colors, title):
    chart = scene.GetFirstNodeByName(title)
    if chart is None or not chart.IsA("vtkMRMLPlotChartNode"):
        chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", title)
    for n in reversed(range(chart.GetNumberOfPlotSeriesNodes())):
        scene.RemoveNode(chart.GetNthPlotSeriesNode(n))
    chart.RemoveAllPlotSeriesNodeIDs()
    chart.SetTitle("Dose-volume histogram")
    chart.SetXAxisTitle("Dose (Gy)")
    chart.SetYAxisTitle("Volume (%)")
    for name in names:
        curve = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
        curve.SetAndObserveTableNodeID(table.GetID())
        curve.SetXColumnName("Dose (Gy)")
        curve.SetYColumnName(name)
        curve.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        curve.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        curve.SetLineStyle(_lineStyle(name))
        curve.SetColor(*colors.get(name, (0.4, 0.4, 0.4)))
        chart.AddAndObservePlotSeriesNodeID(curve.GetID())
    return chart


def _lineStyle(name):
    """Targets of one kind share a colour: GTV solid, CTV dotted, PTV dashed."""
    node = slicer.vtkMRMLPlotSeriesNode
    styles = {"CTV": node.LineStyleDot, "PTV": node.LineStyleDash}
    return styles.get(name[:3], node.LineStyleSolid)
