"""Lesions by label or metric, habitats and shells, in slices and in 3D: what the Phenotype panel draws."""

from dataclasses import dataclass

import numpy as np

from BMVascularCore.phenotype.regions import REGIONS, regions_of
from BMVascularCore.phenotype.scan import build_scan
from BMVascularCore.volume import Geometry, Volume
from BMVascularLib import display, studyNodes
from BMVascularLib.colors import readColorTable
from BMVascularLib.phenotypeNodes import (
    HABITATS,
    LESIONS,
    followLesions,
    nodeOf,
    placeBelowTimepoint,
    storeLabels,
)
from BMVascularLib.phenotypeText import shownStability
from BMVascularLib.segments import labelsOfNode, segmentIds
from BMVascularLib.surfaces import addHeadSurface, addModel, surfaceOfArray
from BMVascularLib.volumes import volumeOfNode

SHELLS, BRAIN = "shells", "brain outline"
SURFACES = {HABITATS: "habitat surface", SHELLS: "shell surface"}
GREY = (0.6, 0.6, 0.6)
# what stays see-through, from the outside in: front, rim, core
_SHELL_OPACITY = {1: 0.95, 2: 0.35, 3: 0.25, 4: 0.15}
_MIN_VOXELS = 4
_HIDDEN = "BMVascular.HiddenWithTimePoint"
# shares of the view's width and height
_SCALE_SIZE, _LEGEND_POINTS = (0.16, 0.45), 10
_NAMES_SIZE = {HABITATS: (0.80, 0.30), SHELLS: (0.40, 0.30)}

# role of a map on slices: title, unit, colours, window, lower threshold
SLICE_MAPS = {
    "nrcbv": ("rCBV", "ratio", "rCBV", (0.0, 6.0), 0.3),
    "ktrans": ("Ktrans", "1/min", "Ktrans", (0.0, 0.2), 0.01),
    "vp": ("Vp", "fraction", "rCBV", (0.0, 0.2), 0.01),
    "asl": ("CBF", "as given", "rCBV", (0.0, 120.0), 5.0),
    "pet": ("PET", "tumour to background", "Signal", (0.0, 4.0), 0.5),
    "adc": ("ADC", "as given", "Signal", (0.0, 3000.0), 0.0),
    HABITATS: ("Habitats", "", "Habitats", None, None),
    SHELLS: ("Shells", "", "Shells", None, None),
}


@dataclass(frozen=True)
class Metric:
    """Something that lesions can be coloured by.

    Attributes
    ----------
    key, title, unit : str
    colors : str
        Name of the colour table.
    limits : tuple or None
        Values at the ends of the scale; None for labels.
    """

    key: str
    title: str
    unit: str
    colors: str
    limits: tuple = None


def metrics(rules):
    """What lesions can be coloured by: label, stability, coverage, and every input.

    Parameters
    ----------
    rules : dict
        The rule set.

    Returns
    -------
    list of Metric
    """
    found = [
        Metric("label", "Label", "", "Phenotypes"),
        Metric("stability", "Rule stability", "share of draws", "Signal", (0.0, 1.0)),
        Metric("coverage", "Coverage", "share of weight", "Signal", (0.0, 1.0)),
    ]
    for spec in rules["inputs"]:
        colors = {"permeability": "Ktrans", "volume": "rCBV"}.get(spec["group"], "Signal")
        found.append(
            Metric(spec["id"], spec["title"], spec["unit"], colors, (0.0, round(1.5 * spec["hi"], 3)))
        )
    return found


def metricValues(lesions, metric):
    """Value of a metric by lesion name; None where it is not measurable."""
    if metric.key == "stability":
        return {lesion["name"]: shownStability(lesion) for lesion in lesions}
    if metric.key == "coverage":
        return {lesion["name"]: lesion["coverage"] for lesion in lesions}
    return {
        lesion["name"]: next((row["value"] for row in lesion["evidence"] if row["input"] == metric.key), None)
        for lesion in lesions
    }


def labelColor(phenotype):
    """Colour of a label; the suffixes after it do not matter."""
    table = readColorTable("Phenotypes")
    text = phenotype.lower()
    name = next((n for n in table.names[1:] if text.startswith(n.lower())), "indeterminate")
    return table.colorOf(name)


def lesionColors(lesions, metric, limits=None):
    """Colour of each lesion by name.

    Parameters
    ----------
    lesions : list of dict
    metric : Metric
    limits : (float, float), optional
        Ends of the colour scale; the metric's own by default.
    """
    if metric.limits is None:
        return {lesion["name"]: labelColor(lesion["phenotype"]) for lesion in lesions}
    low, high = limits or metric.limits
    return display.colorsByMetric(metricValues(lesions, metric), metric.colors, low, high, GREY)


def colorLesions(node, colors):
    """Draw lesions in these colours on slices and in 3D; the segments' own colours stay.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
    colors : dict
        Lesion name to (r, g, b); a lesion without one is grey.
    """
    shown, segmentation = node.GetDisplayNode(), node.GetSegmentation()
    state = shown.StartModify()
    for segmentId in segmentIds(node):
        shown.SetSegmentOverrideColor(
            segmentId, *colors.get(segmentation.GetSegment(segmentId).GetName(), GREY)
        )
    shown.EndModify(state)


def restoreLesionColors(node):
    """Show the segments in their own colours again."""
    shown = node.GetDisplayNode()
    state = shown.StartModify()
    for segmentId in segmentIds(node):
        shown.UnsetSegmentOverrideColor(segmentId)
    shown.EndModify(state)


def fillLesions(node, filled):
    """Fill the lesions on slices, or draw their outline alone so that a map shows within."""
    shown = node.GetDisplayNode()
    state = shown.StartModify()
    shown.SetVisibility2DFill(filled)
    shown.SetVisibility2DOutline(True)
    shown.SetSliceIntersectionThickness(2)
    shown.EndModify(state)


def showLesions3d(node, visible, opacity):
    """Lesion surfaces in 3D; they are made when they are first wanted."""
    shown = node.GetDisplayNode()
    state = shown.StartModify()
    shown.SetVisibility3D(visible)
    shown.SetOpacity3D(float(opacity))
    shown.EndModify(state)
    if visible and segmentIds(node):
        node.CreateClosedSurfaceRepresentation()


def sceneBrain(scene, timepoint):
    """The translucent outline of the inner head of a time point; made from the T1c when first wanted.

    Returns
    -------
    vtkMRMLModelNode or None
        None without a T1c.
    """
    node = nodeOf(scene, BRAIN, timepoint)
    anatomy = nodeOf(scene, "T1c", timepoint)
    if node is None and anatomy is not None:
        node = addHeadSurface(scene, volumeOfNode(anatomy), f"{timepoint} {BRAIN}", opacity=0.15)
        studyNodes.setRole(node, BRAIN, timepoint, "made for the 3D view")
        followLesions(scene, timepoint, node)
        placeBelowTimepoint(scene, node, timepoint)
    return node


def shellVolume(inputs, rules, progress=None):
    """Core, rim, solid part, front and distal oedema of every lesion as a label image.

    Parameters
    ----------
    inputs : BMVascularLib.phenotypeNodes.PhenotypeInputs
    rules : dict
    progress : callable, optional

    Returns
    -------
    Volume
        uint8, values as in the colour table Shells.
    """
    progress = progress or (lambda fraction, message: None)
    scan = build_scan(inputs.labels, {}, inputs.compartments, rules, lambda fraction, message="": None)
    array = np.zeros(scan.labels.shape, np.uint8)
    for done, number in enumerate(scan.numbers):
        progress(done / len(scan.numbers), f"shells of {inputs.names.get(number, number)}")
        box, masks = regions_of(scan, number, rules["habitats"])
        for value, key in enumerate(REGIONS, start=1):
            array[box][masks[key]] = value
    return Volume(array, inputs.labels.geometry, SHELLS)


def storeShells(scene, timepoint, volume):
    """Put the shells into the scene; returns the label map node."""
    return storeLabels(scene, timepoint, SHELLS, volume, "Shells")


def surfaceNodes(scene, timepoint, kind):
    """Surfaces of the habitats or the shells that are in the scene."""
    return studyNodes.nodesOf(scene, SURFACES[kind], timepoint)


def removeSurfaces(scene, timepoint, kind):
    """Take surfaces away, for example before they are made anew."""
    for node in surfaceNodes(scene, timepoint, kind):
        scene.RemoveNode(node)


def showSurfaces(scene, timepoint, kind, visible):
    """Surfaces of each habitat or shell inside the lesions; made from the label map when first wanted.

    Parameters
    ----------
    kind : str
        ``HABITATS`` or ``SHELLS``.

    Returns
    -------
    list of vtkMRMLModelNode
    """
    nodes = surfaceNodes(scene, timepoint, kind)
    if visible and not nodes:
        nodes = _makeSurfaces(scene, timepoint, kind)
    for node in nodes:
        node.GetDisplayNode().SetVisibility(visible)
    return nodes


def _makeSurfaces(scene, timepoint, kind):
    source = nodeOf(scene, kind, timepoint)
    if source is None:
        return []
    volume = volumeOfNode(source, copy=False)
    if kind == HABITATS:
        # those of the front lie outside and would hide what is within
        lesions, _names = labelsOfNode(nodeOf(scene, LESIONS, timepoint), volume.geometry)
        volume = volume.like(np.where(lesions.array > 0, volume.array, 0))
    table = readColorTable("Habitats" if kind == HABITATS else "Shells")
    wanted = range(1, 5)
    nodes = []
    for value in wanted:
        if np.count_nonzero(volume.array == value) < _MIN_VOXELS:
            continue
        surface = surfaceOfLabel(volume, value)
        opacity = 0.9 if kind == HABITATS else _SHELL_OPACITY[value]
        name = f"{timepoint} {table.names[value]}"
        node = addModel(scene, surface, name, tuple(table.rgba[value, :3]), opacity=opacity)
        studyNodes.setRole(node, SURFACES[kind], timepoint, "phenotype")
        followLesions(scene, timepoint, node)
        placeBelowTimepoint(scene, node, timepoint)
        nodes.append(node)
    return nodes


def surfaceOfLabel(volume, value):
    """Surface of one value of a label image; only the box around it is worked on."""
    index = np.argwhere(volume.array == value)
    low = np.maximum(index.min(axis=0) - 2, 0)
    high = np.minimum(index.max(axis=0) + 3, volume.array.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    array = np.pad((volume.array[box] == value).astype(np.float32), 1)
    affine = volume.geometry.affine_lps
    affine[:3, 3] = volume.geometry.points_of(low - 1)
    return surfaceOfArray(array, Geometry.of_affine(affine, array.shape), 0.5, smooth=8)


def showMapOnSlices(composites, scene, timepoint, role, opacity):
    """Lay a map (or habitats, or shells) over the T1c in these slice views.

    Returns
    -------
    vtkMRMLVolumeNode or None
        What is laid over.
    """
    anatomy = nodeOf(scene, "T1c", timepoint)
    node = nodeOf(scene, role, timepoint) if role else None
    for composite in composites:
        isLabels = node is not None and node.IsA("vtkMRMLLabelMapVolumeNode")
        display.setLayers(
            composite, anatomy, None if isLabels else node, node if isLabels else None, opacity=opacity
        )
        if isLabels:
            composite.SetLabelOpacity(float(opacity))
    return node


def prepareMap(node, role):
    """Give a map the colours and the window of its kind, once; later settings of the reader stay."""
    if node is None or node.GetAttribute("BMVascular.Shown") == role or role not in SLICE_MAPS:
        return
    title, unit, colors, window, threshold = SLICE_MAPS[role]
    if window is not None:
        display.showMap(node, *window, colors, threshold=threshold)
    legend = display.legendOf(node) or display.addColorLegend(node, title, unit, categories=window is None)
    legend.SetSize(*_NAMES_SIZE.get(role, _SCALE_SIZE))
    if window is None:
        # long names: along the lower edge, where they cover least
        legend.SetPosition(0.98, 0.01)
    for properties in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
        properties.SetFontSize(_LEGEND_POINTS)
        # legible over bright skull, too
        properties.ShadowOn()
    node.SetAttribute("BMVascular.Shown", role)


def showLegend(scene, node, visible, viewIds=()):
    """Show the legend of this map alone; in these views, or in all where none is named."""
    for className in ("vtkMRMLColorLegendDisplayNode",):
        for index in range(scene.GetNumberOfNodesByClass(className)):
            scene.GetNthNodeByClass(index, className).SetVisibility(False)
    legend = None if node is None else display.legendOf(node)
    if legend is not None:
        state = legend.StartModify()
        legend.RemoveAllViewNodeIDs()
        for viewId in viewIds:
            legend.AddViewNodeID(viewId)
        legend.SetVisibility(visible)
        legend.EndModify(state)


def lesionNode(scene, timepoint):
    """The segmentation of lesions of a time point, or None."""
    return nodeOf(scene, LESIONS, timepoint)


def namesOfMap(role):
    """Names and colours of the parts of a label map, empty for other maps."""
    if role not in (HABITATS, SHELLS):
        return [], []
    table = readColorTable(SLICE_MAPS[role][2])
    return list(table.names[1:]), [tuple(rgba[:3]) for rgba in table.rgba[1:]]


def showTimepoints(scene, labels):
    """Of the lesions, surfaces and brain outlines, show those of these time points and hide the others.

    What the reader hid at a time point that is shown stays hidden.
    """
    roles = {LESIONS, BRAIN, *SURFACES.values()}
    for node in studyNodes.nodesOf(scene):
        if studyNodes.roleOf(node) not in roles or node.GetDisplayNode() is None:
            continue
        shown, inside = node.GetDisplayNode(), studyNodes.timepointOf(node) in labels
        hiddenHere = node.GetAttribute(_HIDDEN) == "1"
        if not inside and shown.GetVisibility():
            shown.SetVisibility(False)
            node.SetAttribute(_HIDDEN, "1")
        elif inside and hiddenHere:
            shown.SetVisibility(True)
            node.SetAttribute(_HIDDEN, "0")


def clearMap(composites):
    """Take maps and label images off these slice views; what lies below stays."""
    for composite in composites:
        composite.SetForegroundVolumeID(None)
        composite.SetLabelVolumeID(None)


def mapTitle(role):
    """Name of a map with its unit, for lists."""
    title, unit, *_rest = SLICE_MAPS[role]
    return f"{title} ({unit})" if unit else title


def labelLegend():
    """Names and colours of the labels."""
    table = readColorTable("Phenotypes")
    names = list(table.names[1:])
    return names, [table.colorOf(name) for name in names]
