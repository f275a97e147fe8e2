"""Organs at risk in the scene: import, drawing, contours as lesions, distances, constraint rows with their edits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import slicer

from BMVascularCore.errors import InputError
from BMVascularCore.planning.drawn_on import other_scan_sentence
from BMVascularCore.planning.oar import surface_distances
from BMVascularCore.planning.plan_tables import NOT_ORGANS, constraints_of_plan
from BMVascularCore.planning.planes import self_crossing
from BMVascularCore.planning.rasterise import mask_of_contours
from BMVascularCore.planning.roi_names import colour_of
from BMVascularCore.planning.sampling import sample_mask, sample_structure
from BMVascularCore.planning.structures import read_structures
from BMVascularCore.volume import Geometry
from BMVascularLib import display
from BMVascularLib.planningNodes import (
    SERIES_TAG,
    databaseValue,
    frameOf,
    lesionMasks,
    putTable,
    requireFrame,
    structuresOfNode,
    tableOf,
)
from BMVascularLib.segments import orientedImageOfArray, segmentIds, terminologyEntry
from BMVascularLib.studyNodes import PLANNING, factsOf, nodesOf, roleOf, setRole, timepointOf
from BMVascularLib.tables import rowsOfTable
from BMVascularLib.volumes import geometryOfNode

KIND, FRAME = "BMVascular.Kind", "BMVascular.frame_of_reference_uid"
DISTANCE_COLUMNS = ("lesion", "distance_mm", "nearest_lesion")
EDITS, EDIT_COLUMNS = "constraint edits", ("key", "limit", "source")
FROM_CONTOURS = "drawn on the planning image"
# finest and coarsest voxel of a lesion that comes from contours
_FINE_MM = (0.2, 0.5)


def importStructures(scene, path, ct, timepoint=""):
    """Add the structures of a file as a segmentation with the role ``organs``.

    Parameters
    ----------
    ct : vtkMRMLScalarVolumeNode
        Contours are shown on its grid; the dose review takes the contours themselves.

    Returns
    -------
    node : vtkMRMLSegmentationNode
    structures : BMVascularCore.planning.structures.StructureSet

    Raises
    ------
    InputError
        Unreadable, another frame of reference than the CT, or nothing drawn.
    """
    found = read_structures(path)
    requireFrame(ct, found.frame_of_reference_uid, path, "drawn", "Give the structure set of this CT.")
    drawn = [structure for structure in found.structures if not structure.empty]
    if not drawn:
        raise InputError("holds no drawn structure", Path(path).name, "Draw the organs and export again.")
    if ct is None and found.from_contours:
        raise InputError(
            "contours need the planning CT or a dose", Path(path).name, "Choose one of them first."
        )
    masks = [_maskOf(structure, ct) for structure in drawn]
    for structure, mask in zip(drawn, masks, strict=True):
        if structure.contours and self_crossing(structure.contours):
            found.warnings.append(f"{structure.name}: a contour crosses itself, the even-odd rule decides")
        if not mask.array.any():
            found.warnings.append(f"{structure.name}: lies outside the planning CT, left out")
    if not any(mask.array.any() for mask in masks):
        raise InputError(
            "lies outside the planning CT", Path(path).name, "Give the structure set of this CT."
        )
    # on the grid of a dose nothing was ever drawn
    if ct is not None and "dose" not in (roleOf(ct), str(factsOf(ct).get("modality", "")).lower()[2:]):
        notice = other_scan_sentence(found, geometryOfNode(ct), databaseValue(ct, SERIES_TAG))
        found.warnings += [notice] if notice else []
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Organs at risk")
    node.CreateDefaultDisplayNodes()
    used, counts = set(), {}
    for n, (structure, mask) in enumerate(zip(drawn, masks, strict=True)):
        if not mask.array.any():
            continue
        # where a file gives several structures one colour, the chart could not tell them apart
        if structure.colour is None or tuple(structure.colour) in used:
            kind = structure.kind or "ORGAN"
            structure = replace(structure, colour=colour_of(kind, counts.get(kind, 0)))
            counts[kind] = counts.get(kind, 0) + 1
        used.add(tuple(structure.colour))
        _addSegment(node, structure, mask, n)
    setRole(node, "organs", timepoint, "imported")
    if found.frame_of_reference_uid:
        node.SetAttribute(FRAME, found.frame_of_reference_uid)
    display.showSegmentation(node, width=1, opacity3d=0.35)
    return node, found


def _maskOf(structure, ct):
    if structure.mask is not None:
        return structure.mask
    return mask_of_contours(structure.contours, geometryOfNode(ct), structure.name)


def _addSegment(node, structure, mask, number, segmentId=None):
    segment = slicer.vtkSegment()
    segment.SetName(structure.name)
    colour = structure.colour or colour_of(structure.kind or "ORGAN", number)
    segment.SetColor(*[c / 255.0 for c in colour])
    segment.SetTag(KIND, structure.kind or "ORGAN")
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminologyEntry("mass"))
    image = orientedImageOfArray(mask.array.astype(np.uint8), mask.geometry)
    segment.AddRepresentation("Binary labelmap", image)
    node.GetSegmentation().AddSegment(segment, segmentId or f"organ_{number + 1:02d}")


def addDrawing(scene, ct):
    """An empty segmentation with the role ``organs`` on the grid of the planning CT, to draw into.

    Raises
    ------
    InputError
        No CT.
    """
    if ct is None:
        raise InputError("no planning CT is chosen", "organs", "Choose the planning CT.")
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Organs at risk")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    setRole(node, "organs", timepointOf(ct), "drawn")
    node.SetAttribute(FRAME, frameOf(ct))
    return node


def useAsLesion(scene, structure, ct):
    """Take a structure that was drawn on the planning image as a lesion, to make targets of it.

    Parameters
    ----------
    structure : BMVascularCore.planning.structures.Structure
        Contours are filled on voxels of half a millimetre or less, each reaching half-way to the next plane.
    ct : vtkMRMLScalarVolumeNode

    Returns
    -------
    vtkMRMLSegmentationNode
        Role ``lesions``; holds every lesion that was taken so.

    Raises
    ------
    InputError
        Nothing drawn, or a lesion of this name is there already.
    """
    if structure.empty:
        raise InputError("holds nothing drawn", structure.name, "Choose another structure.")
    mask = structure.mask
    if mask is None:
        mask = mask_of_contours(structure.contours, _fineGrid(structure.contours, geometryOfNode(ct)))
    node = next((n for n in nodesOf(scene, "lesions", PLANNING) if n.IsA("vtkMRMLSegmentationNode")), None)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Lesions drawn on the planning image")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
        setRole(node, "lesions", PLANNING, FROM_CONTOURS)
        display.showSegmentation(node, width=2)
    names = [node.GetSegmentation().GetSegment(each).GetName() for each in segmentIds(node)]
    if structure.name in names:
        raise InputError("is among the lesions already", structure.name, "Make the targets.")
    lesion = replace(structure, kind="GTV", colour=None)
    _addSegment(node, lesion, mask, len(names), f"lesion_{len(names) + 1:02d}")
    return node


def _fineGrid(contours, ct):
    """A grid on the axes of the CT around contours, fine enough for the smallest targets."""
    index = np.concatenate([ct.index_of(points) for points in contours])
    step = np.asarray(ct.spacing_kji_mm)
    parts = np.maximum(np.ceil(step / np.clip(step / 3.0, *_FINE_MM)), 1.0)
    low, high = np.floor(index.min(axis=0)) - 2.0, np.ceil(index.max(axis=0)) + 2.0
    affine = ct.affine_lps
    affine[:3, 3] = ct.points_of(low + (0.5 / parts - 0.5))
    affine[:3, :3] = affine[:3, :3] / parts[::-1]
    return Geometry.of_affine(affine, tuple(((high - low + 1) * parts).astype(int).tolist()))


def distanceRows(lesions, organs):
    """Surface distances in mm: one row a lesion, one column an organ, then the nearest other lesion.

    Returns
    -------
    rows : list of dict
    names : list of str
        Of the organs, in order.
    """
    masks = {name: sample_mask(mask.array, mask.geometry) for _, name, mask in lesionMasks(lesions)}
    structures = [s for s in structuresOfNode(organs) if s.kind not in NOT_ORGANS] \
        if organs is not None else []  # fmt: skip
    drawn = {s.name: sample_structure(s) for s in structures if not s.empty}
    rows = {name: {"lesion": name} for name in masks}
    for found in surface_distances(masks, drawn):
        rows[found.lesion][found.organ] = round(found.distance_mm, 1)
    for found in surface_distances(masks, masks):
        row = rows[found.lesion]
        if found.distance_mm < row.get("distance_mm", np.inf):
            row |= {"distance_mm": round(found.distance_mm, 1), "nearest_lesion": found.organ}
    return list(rows.values()), list(drawn)


def constraintRows(scene, fractions, names, dvhs=()):
    """Constraint rows of a fractionation for the organs present, with the value reached where there is a dose.

    Parameters
    ----------
    scene : vtkMRMLScene
        Holds the edits of the user, see :func:`editConstraint`.
    fractions : int
    names : list of str
        Structures present.
    dvhs : list of Dvh
    """
    node = tableOf(scene, EDITS, "")
    edits = {row["key"]: row for row in rowsOfTable(node)} if node is not None else {}
    return [_constraintRow(row, edits) for row in constraints_of_plan(dvhs, fractions, names)]


def _constraintRow(row, edits):
    unit = "gy" if row.get("limit_gy") is not None else "ml"
    word = {"gy": "Gy", "ml": "mL"}[unit]
    published, value = row[f"limit_{unit}"], row.get(f"value_{unit}")
    key = (
        "|".join(str(row[part]) for part in ("organ", "metric", "fractions", "kind"))
        + f"|{published:g} {word}"
    )
    source, state = f"{row['source']}, {row['year']}", "verified" if row["verified"] else "unverified"
    edit, limit = edits.get(key), published
    if edit is not None:
        limit, source = float(edit["limit"]), edit["source"]
        state = f"edited here, published < {published:g} {word}"
    known = value is not None and value == value
    return {
        "key": key,
        "structure": row["structure"],
        "metric": row["metric"],
        "limit": f"< {limit:g} {word}",
        "value": f"{value:.2f} {word}" if known else None,
        "within": ("within" if value < limit else "above") if known else None,
        "kind": row["kind"],
        "source": source,
        "verified": state,
    }


def editConstraint(scene, row, limit, source):
    """Keep another limit or citation for a constraint row with the scene; the published row itself stays.

    Parameters
    ----------
    row : dict
        From :func:`constraintRows`.
    limit : str
        Such as ``10`` or ``< 10 Gy``, in the unit of the row; empty takes the edit back.
    source : str
        Where the limit comes from; must not stay the published one where the limit differs.

    Raises
    ------
    InputError
        Not a limit above zero in this unit, or one without a source of its own.
    """
    node = tableOf(scene, EDITS, "")
    kept = {each["key"]: each for each in rowsOfTable(node)} if node is not None else {}
    published, word = row["key"].rpartition("|")[2].split()
    kept.pop(row["key"], None)
    if limit.strip():
        value, own = _limitOf(limit, word), source.strip()
        fresh = not row["verified"].startswith("edited")
        if not own or (fresh and own == row["source"]):
            # a changed number must not go under the name of the published one
            own = "edited here"
        if value != float(published) or (fresh and own != "edited here") or not fresh:
            kept[row["key"]] = {"key": row["key"], "limit": f"{value:g}", "source": own}
    putTable(scene, EDITS, "", list(kept.values()), "Constraint edits", list(EDIT_COLUMNS))


def _limitOf(text, word):
    number = text.strip().lstrip("<").strip()
    if number.lower().endswith(word.lower()):
        number = number[: -len(word)].strip()
    try:
        value = float(number.replace(",", "."))
    except ValueError as error:
        raise InputError(
            f"'{text}' is not a limit in {word}", "constraints", f"Type 10, or < 10 {word}."
        ) from error
    if not 0.0 < value < 1e4:
        raise InputError(f"a limit of {value:g} {word} cannot be", "constraints", "Type a number above zero.")
    return value
