"""Perfusion between nodes and Core: series and masks in, maps, flags and curves out.

Maps are made on the voxels of the series and stand below the same transform as the series, so that
registering the series afterwards moves both.
"""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.dsc_masks import FLAGS as DSC_FLAGS
from BMVascularCore.perfusion.preview import DSC_REASONS, voxels_mask
from BMVascularCore.perfusion.t1 import fit_vfa
from BMVascularCore.progress import share_of, silent
from BMVascularCore.study.results import MAPS
from BMVascularCore.volume import Geometry, Series, Volume, ras_lps, resample
from BMVascularLib import display
from BMVascularLib.scene import hierarchyItem, logicOf, subjectHierarchy
from BMVascularLib.seeds import seedsOfNode
from BMVascularLib.segments import labelsOfNode
from BMVascularLib.sequences import seriesOfNode
from BMVascularLib.studyNodes import factsOf, nodesOf, setRole, timepointOf
from BMVascularLib.transforms import addTransform, matrixOfItk, placeBelow
from BMVascularLib.volumes import (
    LPS_TO_RAS,
    addVolume,
    geometryOfNode,
    parentToWorld,
    updateVolumeNode,
    volumeOfNode,
)

MADE_BY = "BMVascular.MadeBy"
MAKER = "BMVPerfusion"
EXCLUSION_MARGIN_MM = 4.0

# name, unit, window, colours of maps that the study's index does not list
_MORE_MAPS = {
    "rcbv": ("rCBV (not normalised)", "mL/100 mL up to a scale", None, "rCBV"),
    "rcbv_uncorrected": ("rCBV (without leakage correction)", "mL/100 mL up to a scale", None, "rCBV"),
    "srcbv": ("rCBV (standardised)", "standard scale", None, "rCBV"),
    "k1": ("K1", "1", (0.0, 4.0), "Signal"),
    "k2_cv": ("CV of K2", "1", (0.0, 1.0), "Signal"),
    "ttp": ("TTP", "s", (0.0, 20.0), "Signal"),
    "ph": ("Peak height", "1/s", None, "rCBV"),
    "nph": ("Peak height (relative)", "ratio to white matter", (0.0, 6.0), "rCBV"),
    "kep": ("kep", "1/min", (0.0, 1.5), "Ktrans"),
    "ps": ("PS", "1/min", (0.0, 0.25), "Ktrans"),
    "fp": ("Fp", "mL/100 mL/min", (0.0, 100.0), "rCBV"),
    "delay": ("Arrival delay", "s", (-3.0, 10.0), "Signal"),
    "washin": ("Relative wash-in", "ratio to the input function", (0.0, 0.5), "Ktrans"),
    "se_ktrans": ("Standard error of Ktrans", "1/min", (0.0, 0.05), "Signal"),
    "t1map": ("T1 before contrast", "s", (0.0, 3.0), "Signal"),
}
# short words for legends, which must leave room for the anatomy
_LEGENDS = {
    "nrcbv": ("nRCBV", "ratio"),
    "rcbv": ("rCBV", "mL/100 mL"),
    "rcbv_uncorrected": ("rCBV raw", "mL/100 mL"),
    "srcbv": ("sRCBV", "scale"),
    "k2": ("K2", "1/s"),
    "cbf": ("CBF rel.", "mL/100 g/min"),
    "ph": ("PH", "1/s"),
    "nph": ("nPH", "ratio"),
    "delay": ("Delay", "s"),
    "washin": ("Wash-in", "ratio"),
    "t1map": ("T1", "s"),
}
SHOWN_FIRST = ("nrcbv", "ktrans", "washin")


@dataclass
class Made:
    """Nodes of one run.

    Attributes
    ----------
    maps : dict of str to vtkMRMLScalarVolumeNode
        By role.
    flags : vtkMRMLLabelMapVolumeNode
    transform : vtkMRMLLinearTransformNode or None
        From the series to the T1c, where one was found.
    warnings : list of str
    methods : str
    result : DscResult or DceResult
    """

    maps: dict = field(default_factory=dict)
    flags: object = None
    transform: object = None
    warnings: list = field(default_factory=list)
    methods: str = ""
    result: object = None


def proxyOf(sequence):
    """The volume that shows a frame of a sequence, None without a browser."""
    browser = logicOf(sequence.GetScene(), "sequences").GetFirstBrowserNodeForSequenceNode(sequence)
    return None if browser is None else browser.GetProxyNode(sequence)


def readSeries(sequence, times_s=None, dt_s=None):
    """The Core series of a sequence in its own space (without transforms), with its acquisition facts.

    Raises
    ------
    InputError
        No frames, no times, or times that cannot be true.
    """
    if sequence.GetNumberOfDataNodes() < 2:
        raise InputError(
            f"holds {sequence.GetNumberOfDataNodes()} frame(s), a time series is wanted",
            sequence.GetName(),
            "Choose the dynamic series.",
        )
    series = seriesOfNode(sequence, times_s, dt_s)
    return Series(
        series.array, series.times_s, series.geometry, series.name, {**factsOf(sequence), **series.meta}
    )


def worldGeometry(sequence):
    """Where the voxels of a sequence lie in the world, transforms applied."""
    return geometryOfNode(proxyOf(sequence) or sequence.GetNthDataNode(0))


def exclusionOf(lesions, sequence, alignment=None, t1c=None, margin_mm=EXCLUSION_MARGIN_MM):
    """Lesions with a margin on the voxels of a series, None where they do not meet.

    Parameters
    ----------
    lesions : vtkMRMLSegmentationNode
    sequence : vtkMRMLSequenceNode
    alignment : BMVascularCore.study.alignment.Alignment, optional
        Motion between ``t1c`` and the series that the scene does not know yet.
    t1c : vtkMRMLScalarVolumeNode, optional
    margin_mm : float

    Returns
    -------
    ndarray of bool, shape (k, j, i), or None
    """
    from scipy import ndimage

    geometry = worldGeometry(sequence)
    if alignment is not None:
        flip = LPS_TO_RAS
        matrix = flip @ parentToWorld(t1c) @ flip
        if alignment.transform is not None:
            matrix = matrix @ np.linalg.inv(matrixOfItk(alignment.transform))
        geometry = Geometry.of_affine(matrix @ geometry.affine_lps, geometry.shape)
    inside = labelsOfNode(lesions, geometry)[0].array > 0
    if not inside.any():
        return None
    return ndimage.distance_transform_edt(~inside, sampling=geometry.spacing_kji_mm) <= margin_mm


def voxelAt(geometry, ras):
    """Voxel (k, j, i) of a Core geometry at a world point, None outside.

    Parameters
    ----------
    geometry : BMVascularCore.volume.Geometry
        In world space.
    ras : sequence of float
    """
    index = np.round(geometry.index_of(ras_lps(np.asarray(ras, float)))).astype(int)
    if (index < 0).any() or (index >= geometry.shape).any():
        return None
    return tuple(int(n) for n in index)


def pointsMask(points, sequence):
    """Mask of the voxels under the points of a list.

    Raises
    ------
    InputError
        No point is placed, or none lies inside the series.
    """
    seeds = seedsOfNode(points)
    if not seeds:
        raise InputError("has no point", points.GetName(), "Click on arteries of the series.")
    geometry = worldGeometry(sequence)
    found = [voxelAt(geometry, ras) for _, ras, _ in seeds]
    return voxels_mask([v for v in found if v is not None], geometry.shape, points.GetName())


def setPoints(points, voxels, sequence):
    """Put the voxels of an input function into a point list in place of what it holds.

    Parameters
    ----------
    points : vtkMRMLMarkupsFiducialNode
    voxels : ndarray of int
        Flat indices.
    sequence : vtkMRMLSequenceNode
    """
    geometry = worldGeometry(sequence)
    index = np.array(np.unravel_index(np.asarray(voxels, int), geometry.shape)).T
    wasModifying = points.StartModify()
    points.RemoveAllControlPoints()
    for number, lps in enumerate(geometry.points_of(index), start=1):
        r, a, s = ras_lps(lps).tolist()
        points.AddControlPointWorld(r, a, s, f"A{number}")
    points.EndModify(wasModifying)


def t1OfVfa(sequence):
    """T1 before contrast on the voxels of a DCE series, from the variable-flip-angle volumes of its time point.

    Returns
    -------
    (ndarray, str) or (None, str)
        Seconds with NaN where not measurable, and what was done or why not.
    """
    scene, timepoint = sequence.GetScene(), timepointOf(sequence)
    nodes = nodesOf(scene, "VFA", timepoint)
    facts = [factsOf(node) for node in nodes]
    if len(nodes) < 2:
        return None, "no variable-flip-angle set with the role VFA in this time point"
    if any("flip_deg" not in f or "repetition_time_s" not in f for f in facts):
        return None, "the variable-flip-angle volumes do not state flip angle and repetition time"
    own = geometryOfNode(sequence.GetNthDataNode(0), world=False)
    images = []
    for node in nodes:
        # one session: the scanner's space holds, unless a person has placed the volume
        placed = node.GetParentTransformNode() is not None
        images.append(
            resample(volumeOfNode(node, world=placed), worldGeometry(sequence) if placed else own).array
        )
    tr = [f["repetition_time_s"] for f in facts]
    fitted = fit_vfa(np.stack(images).astype(np.float32), [f["flip_deg"] for f in facts], tr)
    angles = ", ".join(f"{f['flip_deg']:g}" for f in facts)
    return np.where(fitted.valid, fitted.t1_s, np.nan), f"fitted to flip angles {angles} degrees"


def alignmentOf(sequence, series, t1c, progress=None):
    """Small motion between the T1c and a series of the same session, None where the series is placed already.

    A series that stands below a transform was placed by a person or by another module.
    """
    from BMVascularCore.planning.pyramid import Side
    from BMVascularCore.study.alignment import align

    node = proxyOf(sequence) or sequence.GetNthDataNode(0)
    if t1c is None or node.GetParentTransformNode() is not None:
        return None
    if progress is not None:
        progress(0.0, "aligning with the contrast-enhanced T1")
    return align(Side.of_volume(volumeOfNode(t1c, world=False)), series.mean(slice(1, 5)))


def reasonOf(kind):
    """Why a map has its role, as it is kept with the node."""
    return f"computed from the {kind} series"


def mapFacts(role, array):
    """Title, unit, window and colours of a map."""
    if role.startswith("se_") and role not in _MORE_MAPS:
        title, unit, _, colors = mapFacts(role[3:], array)
        title, window = f"Standard error of {title}", None
    else:
        title, unit, window, colors = _MORE_MAPS.get(role) or MAPS.get(role) or (role, "", None, "Signal")
    if window is None:
        finite = array[np.isfinite(array)]
        window = (0.0, float(np.percentile(finite, 99.0)) if len(finite) else 1.0)
        if window[1] <= 0:
            window = (float(finite.min()) if len(finite) else 0.0, max(window[1], 0.0) + 1.0)
    return title, unit, window, colors


def legendFacts(role):
    """Short title and unit of a map for its legend."""
    if role.startswith("se_"):
        title, unit = legendFacts(role[3:])
        return f"SE {title}", unit
    return _LEGENDS.get(role) or mapFacts(role, np.zeros(0))[:2]


def addMaps(sequence, result, kind, alignment=None, t1c=None):
    """Add the maps and the flag map of a result to the scene, with roles, units, colours and legends.

    Maps of an earlier run of the same time point are brought up to date in place.

    Parameters
    ----------
    sequence : vtkMRMLSequenceNode
        The series that was analysed.
    result : DscResult or DceResult
    kind : {"DSC", "DCE"}
    alignment : BMVascularCore.study.alignment.Alignment, optional
        Motion of the series against ``t1c``: both are then placed together.
    t1c : vtkMRMLScalarVolumeNode, optional

    Returns
    -------
    Made
    """
    scene, timepoint = sequence.GetScene(), timepointOf(sequence) or "TP1"
    made = Made(warnings=list(result.warnings), methods=result.methods_text, result=result)
    geometry = geometryOfNode(sequence.GetNthDataNode(0), world=False)
    parent = _placeSeries(made, sequence, f"{timepoint} {kind} to T1c", alignment, t1c)
    for role, array in result.maps.items():
        if role in ("flags", "model", "leakage_model", "rss") or not np.isfinite(array).any():
            continue
        volume = Volume(np.asarray(array, np.float32), geometry, role)
        made.maps[role] = _mapNode(scene, volume, role, timepoint, kind)
        _below(made.maps[role], parent)
    made.flags = _flagNode(scene, _reasons(result, kind), geometry, timepoint, kind)
    _below(made.flags, parent)
    for node in (*made.maps.values(), made.flags):
        _file(scene, node, timepoint, f"{timepoint} {kind} maps")
    return made


def _placeSeries(made, sequence, name, alignment, t1c):
    """Stand the series where the T1c stands, its own motion corrected; returns the transform above it."""
    proxy = proxyOf(sequence)
    if alignment is None:
        return proxy.GetParentTransformNode() if proxy is not None else None
    parent = t1c.GetParentTransformNode()
    if alignment.transform is not None:
        made.transform = addTransform(sequence.GetScene(), alignment.transform, name)
        _below(made.transform, parent)
        parent = made.transform
    if proxy is not None and parent is not None:
        placeBelow(proxy, parent)
    return parent


def _below(node, transform):
    node.SetAndObserveTransformNodeID(transform.GetID() if transform is not None else None)


def _earlier(scene, role, timepoint):
    """What an earlier run made for this role; never a node of another maker."""
    return next((n for n in nodesOf(scene, role, timepoint) if n.GetAttribute(MADE_BY) == MAKER), None)


def _mapNode(scene, volume, role, timepoint, kind):
    title, unit, window, colors = mapFacts(role, volume.array)
    name = f"{timepoint} {title}" + (f" ({unit})" if unit else "")
    node = _earlier(scene, role, timepoint)
    if node is not None:
        updateVolumeNode(node, volume)
        return node
    node = addVolume(scene, volume, name)
    setRole(node, role, timepoint, reasonOf(kind))
    node.SetAttribute(MADE_BY, MAKER)
    low, high = window
    display.showMap(node, low, high, colors, threshold=low + 0.02 * (high - low) if low >= 0 else low)
    display.addColorLegend(node, *legendFacts(role))
    return node


def _reasons(result, kind):
    """Whole numbers that name the first reason why a voxel has no usable number; 0 where it has one."""
    if kind == "DCE":
        return result.maps["flags"]
    out = np.zeros(result.flags.shape, np.uint8)
    for number, name in reversed(list(enumerate(DSC_REASONS, start=1))):
        out[(result.flags & DSC_FLAGS[name]) > 0] = number
    return out


def _flagNode(scene, array, geometry, timepoint, kind):
    role = f"{kind.lower()}_flags"
    if kind == "DCE":
        # outside the mask needs no colour
        array = np.where(array == 1, 0, array)
    volume = Volume(np.asarray(array, np.uint8), geometry, role)
    node = _earlier(scene, role, timepoint)
    if node is not None:
        updateVolumeNode(node, volume)
        return node
    node = addVolume(scene, volume, f"{timepoint} {kind} unusable voxels", labelMap=True)
    setRole(node, role, timepoint, f"why voxels of the {kind} series are not usable")
    node.SetAttribute(MADE_BY, MAKER)
    display.setColors(node, f"{kind.title()}Flags")
    display.addColorLegend(node, f"{kind} voxels", categories=True)
    return node


def _file(scene, node, timepoint, folderName):
    """Into a folder of the time point's folder in the subject hierarchy."""
    hierarchy = subjectHierarchy(scene)
    invalid = hierarchy.GetInvalidItemID()
    parent = hierarchy.GetItemByName(timepoint)
    if parent == invalid:
        parent = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), timepoint)
    folder = hierarchy.GetItemChildWithName(parent, folderName)
    if folder == invalid:
        folder = hierarchy.CreateFolderItem(parent, folderName)
    hierarchy.SetItemParent(hierarchyItem(scene, node), folder)


def progressShares(progress, *ends):
    """Progress callables for consecutive parts of a job that end at these fractions."""
    progress, start, parts = progress or silent, 0.0, []
    for end in ends:
        parts.append(share_of(progress, start, end))
        start = end
    return parts
