"""Targets as a segmentation: made from the lesions, one lesion at a time, so that a margin follows its edit."""

import numpy as np
import slicer
from vtk.util import numpy_support

from BMVascularCore.errors import InputError
from BMVascularCore.planning.barriers import barrier_of_structures, skull_of
from BMVascularCore.planning.margins import Margin
from BMVascularCore.planning.roi_names import colour_of
from BMVascularCore.planning.rules import dose_by_size_rows, planning_rules
from BMVascularCore.planning.setup_error import rotation_margins
from BMVascularCore.planning.structures import StructureSet
from BMVascularCore.planning.targets import KINDS, make_targets
from BMVascularCore.volume import Volume, ras_lps
from BMVascularLib.planningNodes import (
    centreLps,
    lesionMasks,
    lesionShares,
    putTable,
    segmentTag,
    structuresOfNode,
)
from BMVascularLib.segments import segmentIds, terminologyEntry
from BMVascularLib.studyNodes import factsOf, firstOf, setRole, timepointOf
from BMVascularLib.volumes import geometryOfNode, ijkToRas, volumeOfNode, vtkMatrix

LESION, KIND, VOLUME, MARGIN = (
    "BMVascular.Lesion",
    "BMVascular.Kind",
    "BMVascular.VolumeMl",
    "BMVascular.MarginMm",
)
NOTES = "BMVascular.Note"
_LABELMAP = "Binary labelmap"


def makeTarget(number, name, mask, ctvMm, ptvMm, ct, barriers=None, shares=None):
    """GTV, CTV and PTV of one lesion on the fine grid of the CT.

    Parameters
    ----------
    number : int
    name : str
    mask : BMVascularCore.volume.Volume
        Boolean, in CT space, cut out around the lesion.
    ctvMm, ptvMm : float or Margin
    ct : BMVascularCore.volume.Geometry
    barriers : list of Volume and Structure, optional
    shares : BMVascularCore.volume.Volume, optional
        Share of every voxel in the lesion, on the grid of the mask.

    Returns
    -------
    BMVascularCore.planning.targets.Target
    """
    labels = Volume(mask.array.astype(np.int32) * number, mask.geometry, name)
    made = make_targets(labels, {number: name}, ctvMm, ptvMm, barriers, reference=ct, shares=shares)
    return made.targets[0]


def makeAll(scene, lesions, ct, ctvMm, ptvMm, progress=None, barriers=None):
    """Targets of every lesion as a segmentation with the role ``targets``.

    Lesions that already have targets keep their margins.

    Returns
    -------
    vtkMRMLSegmentationNode

    Raises
    ------
    InputError, Cancelled
        The scene is as before.
    """
    masks = lesionShares(lesions)
    _requireNames([name for _, name, _, _ in masks])
    timepoint = timepointOf(lesions)
    node = firstOf(scene, "targets", timepoint)
    kept = {row["name"]: (row["ctv"], row["ptv"]) for row in rows(node)} if node is not None else {}
    geometry = geometryOfNode(ct)
    made = []
    for n, (number, name, mask, shares) in enumerate(masks):
        if progress is not None:
            progress(n / len(masks), name)
        margins = kept.get(name, (ctvMm, ptvMm))
        made.append(makeTarget(number, name, mask, *margins, geometry, barriers, shares))
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{timepoint} targets".strip())
        node.CreateDefaultDisplayNodes()
        setRole(node, "targets", timepoint, "margins from the lesion surface")
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    node.GetSegmentation().RemoveAllSegments()
    for kind in KINDS:
        for target in made:
            _putSegment(node, target, kind, geometry)
    node.CreateClosedSurfaceRepresentation()
    _display(node)
    keepTable(scene, node)
    return node


def _requireNames(names):
    """Targets are kept by the lesion's name: it must be there once."""
    seen = set()
    for name in names:
        if name.strip().lower() in seen:
            raise InputError("two lesions have this name", name, "Rename one of them.")
        seen.add(name.strip().lower())


def setMargins(scene, node, lesions, ct, name, ctvMm, ptvMm, barriers=None):
    """Make the targets of one lesion again with other margins; the others are not touched.

    Raises
    ------
    InputError
        A margin that cannot be, or a lesion that is gone.
    """
    chosen = lesionShares(lesions, name)
    if not chosen:
        raise InputError("is no longer among the lesions", name, "Make the targets again.")
    geometry = geometryOfNode(ct)
    number, name, mask, shares = chosen[0]
    target = makeTarget(number, name, mask, ctvMm, ptvMm, geometry, barriers, shares)
    for kind in KINDS:
        _putSegment(node, target, kind, geometry)
    _display(node)
    keepTable(scene, node)
    return target


def _putSegment(node, target, kind, ct):
    segmentation = node.GetSegmentation()
    segmentId = target.structure_name(kind)
    image = _imageOnLattice(target.masks[kind], ct)
    after = segmentation.GetSegmentIndex(segmentId)
    if after >= 0:
        # added anew, so that the surface of this segment alone is made again
        segmentation.RemoveSegment(segmentId)
    segment = slicer.vtkSegment()
    segment.SetName(segmentId)
    segment.SetColor(*[c / 255.0 for c in colour_of(kind, target.number - 1)])
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminologyEntry("metastasis"))
    segment.AddRepresentation(_LABELMAP, image)
    margin = {"GTV": "0", "CTV": target.margins["CTV"].text, "PTV": target.margins["PTV"].text}
    for tag, value in ((LESION, target.name), (KIND, kind), (VOLUME, f"{target.ml[kind]:.6g}"),
                       (MARGIN, margin[kind]), (NOTES, "; ".join(target.warnings))):  # fmt: skip
        segment.SetTag(tag, value)
    following = segmentation.GetNthSegmentID(after) if 0 <= after < segmentation.GetNumberOfSegments() else ""
    segmentation.AddSegment(segment, segmentId, following)


def _imageOnLattice(mask, ct):
    """A mask as image data whose extent counts from one lattice for all targets: the divided grid of the CT."""
    factor = np.rint(np.asarray(ct.spacing_kji_mm) / mask.geometry.spacing_kji_mm)
    origin = ct.points_of(0.5 / factor - 0.5)
    lattice = mask.geometry.affine_lps
    lattice[:3, 3] = origin
    start = np.linalg.solve(lattice[:3, :3], np.asarray(mask.geometry.origin_mm) - origin)
    first = np.rint(start).astype(int)
    # what remains is the rounding of a grid that had to be coarser than usual
    lattice[:3, 3] += lattice[:3, :3] @ (start - first)
    shape = mask.array.shape[::-1]
    image = slicer.vtkOrientedImageData()
    image.SetExtent(*[int(v) for a, n in zip(first, shape, strict=True) for v in (a, a + n - 1)])
    stored = np.ascontiguousarray(mask.array.astype(np.uint8))
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(stored.ravel(), deep=True))
    geometry = type(ct).of_affine(lattice, mask.array.shape)
    image.SetImageToWorldMatrix(vtkMatrix(ijkToRas(geometry)))
    return image


def _display(node):
    """GTV and PTV always; the CTV only where it differs from the GTV."""
    display = node.GetDisplayNode()
    for row in rows(node):
        display.SetSegmentVisibility(row["ids"]["CTV"], row["ctv_mm"] > 0)
        display.SetSegmentOpacity3D(row["ids"]["PTV"], 0.35)
        display.SetSegmentOpacity3D(row["ids"]["CTV"], 0.5)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(2)


def rows(node):
    """Targets as they stand in the segmentation, one row a lesion, margins in mm and volumes in mL.

    Returns
    -------
    list of dict
        name, number, ctv_mm, ptv_mm (the largest side), ctv_margin, ptv_margin (text), ctv, ptv (Margin), gtv_ml,
        ctv_ml, ptv_ml, diameter_mm, note, ids.
    """
    found = {}
    for segmentId in segmentIds(node) if node is not None else []:
        segment = node.GetSegmentation().GetSegment(segmentId)
        name, kind = segmentTag(segment, LESION), segmentTag(segment, KIND)
        if not name or kind not in KINDS:
            continue
        row = found.setdefault(name, {"name": name, "number": int(segmentId[-2:]), "ids": {}})
        row["ids"][kind] = segmentId
        row[f"{kind.lower()}_ml"] = float(segmentTag(segment, VOLUME))
        margin = Margin.of_text(segmentTag(segment, MARGIN))
        row[kind.lower()], row[f"{kind.lower()}_mm"] = margin, margin.largest_mm
        row[f"{kind.lower()}_margin"] = margin.text
        row["note"] = segmentTag(segment, NOTES)
    for row in found.values():
        row["diameter_mm"] = float(np.cbrt(6000.0 * row["gtv_ml"] / np.pi))
    return sorted(found.values(), key=lambda row: row["number"])


def reviewStructures(node):
    """Targets as structures; a CTV without a margin is its GTV and is left out."""
    same = {row["ids"]["CTV"] for row in rows(node) if row["ctv_mm"] == 0}
    return [each for each in structuresOfNode(node) if each.name not in same] if node is not None else []


def barriersOf(ct, lesions, skull, structures, names):
    """What targets may not grow into.

    Parameters
    ----------
    ct : vtkMRMLScalarVolumeNode
    lesions : vtkMRMLSegmentationNode
    skull : bool
        Bone of the CT.
    structures : list of BMVascularCore.planning.structures.Structure
        Organs to choose from.
    names : str
        Names of structures, separated by commas.

    Returns
    -------
    list or None
        None where nothing is chosen.

    Raises
    ------
    InputError
        An unknown name, or a CT without bone.
    """
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    parts = []
    if chosen:
        parts += barrier_of_structures(StructureSet(structures), chosen)
    if skull:
        volume = volumeOfNode(ct, copy=False)
        volume.meta.update(factsOf(ct))
        corners = [mask.geometry.points_of(np.argwhere(mask.array)) for _, _, mask in lesionMasks(lesions)]
        ends = [end for points in corners for end in (points.min(axis=0), points.max(axis=0))]
        parts.append(skull_of(volume, ends))
    return parts or None


def keepTable(scene, node):
    """The targets as a table in the scene."""
    columns = ["name", "ctv_margin", "ptv_margin", "gtv_ml", "ctv_ml", "ptv_ml", "diameter_mm", "note"]
    putTable(scene, "targets table", timepointOf(node), rows(node), f"{node.GetName()} table", columns)


def rotationRows(node, lesions, angleDeg, translationMm, isocentreRas=None):
    """Displacement and margin of each lesion for one shared isocentre, by lesion name.

    Returns
    -------
    dict of str to BMVascularCore.planning.setup_error.RotationMargin
    """
    diameters = {row["name"]: row["diameter_mm"] for row in rows(node)}
    masks = [each for each in lesionMasks(lesions) if each[1] in diameters]
    if not masks:
        return {}
    found = rotation_margins(
        [name for _, name, _ in masks],
        [centreLps(mask) for _, _, mask in masks],
        [diameters[name] for _, name, _ in masks],
        angleDeg,
        translationMm,
        None if isocentreRas is None else ras_lps(isocentreRas),
    )
    return {row.name: row for row in found}


def referenceRows(diameterMm):
    """Published dose-by-size rows for a diameter, with citation and whether it was verified."""
    return [
        {
            "text": row["text"],
            "setting": row["setting"],
            "source": f"{row['source']}, {row['year']}",
            "verified": "verified" if row["verified"] else "unverified",
        }
        for row in dose_by_size_rows(diameterMm)
    ]


def ageText(days):
    """What the literature says about an MRI of this age, in days; negative is not known."""
    rules = planning_rules()
    if days < 0:
        return "Age of the MRI is not known: not checked."
    limits = rules["mri_age_days"]
    if days <= limits["good"]:
        grade = f"within {limits['good']} days"
    elif days <= limits["doubtful"]:
        grade = f"older than {limits['good']} days: check for growth before use"
    else:
        grade = f"older than {limits['doubtful']} days: a new MRI is advisable"
    return f"MRI {days} days old, {grade}. {rules['mri_age_source']}."
