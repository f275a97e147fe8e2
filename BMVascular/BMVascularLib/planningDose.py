"""Organs and dose in the scene: import, distances, constraint rows, plan review, dose of the habitats."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.planning.compare import COLUMNS as COMPARED
from BMVascularCore.planning.dose import dose_of_volume, read_dose
from BMVascularCore.planning.oar import surface_distances
from BMVascularCore.planning.plan_tables import NOT_ORGANS, biological_doses, constraints_of_plan
from BMVascularCore.planning.planes import self_crossing
from BMVascularCore.planning.rasterise import mask_of_contours
from BMVascularCore.planning.review import COLUMNS, review_plan
from BMVascularCore.planning.sampling import sample_mask, sample_structure
from BMVascularCore.planning.structures import StructureSet, read_structures
from BMVascularLib import display
from BMVascularLib.planningNodes import lesionMasks, putTable, structuresOfNode, tableOf
from BMVascularLib.planningTargets import reviewStructures as targetStructures
from BMVascularLib.planningTargets import rows as targetRows
from BMVascularLib.segments import orientedImageOfArray, segmentIds, terminologyEntry
from BMVascularLib.studyNodes import factsOf, setFacts, setRole, timepointOf
from BMVascularLib.volumes import addVolume, geometryOfNode, volumeOfNode

KIND, FRAME = "BMVascular.Kind", "BMVascular.frame_of_reference_uid"
COMPARISON = "plan comparison"
DISTANCE_COLUMNS = ("lesion", "distance_mm", "nearest_lesion")


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
    frame = factsOf(ct).get("frame_of_reference_uid") if ct is not None else None
    if frame and found.frame_of_reference_uid and frame != found.frame_of_reference_uid:
        raise InputError(
            "was drawn on another scan (its frame of reference is not that of the planning CT)",
            Path(path).name,
            "Give the structure set of this CT.",
        )
    drawn = [structure for structure in found.structures if not structure.empty]
    if not drawn:
        raise InputError("holds no drawn structure", Path(path).name, "Draw the organs and export again.")
    if ct is None and found.from_contours:
        raise InputError("contours need the planning CT", Path(path).name, "Choose the planning CT first.")
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
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Organs at risk")
    node.CreateDefaultDisplayNodes()
    used = set()
    for n, (structure, mask) in enumerate(zip(drawn, masks, strict=True)):
        if mask.array.any():
            # where a file gives several structures one colour, the chart could not tell them apart
            repeated = structure.colour is not None and tuple(structure.colour) in used
            used.add(tuple(structure.colour or ()))
            _addSegment(node, replace(structure, colour=None) if repeated else structure, mask, n)
    setRole(node, "organs", timepoint, "imported")
    if found.frame_of_reference_uid:
        node.SetAttribute(FRAME, found.frame_of_reference_uid)
    display.showSegmentation(node, width=1, opacity3d=0.35)
    return node, found


def _maskOf(structure, ct):
    if structure.mask is not None:
        return structure.mask
    return mask_of_contours(structure.contours, geometryOfNode(ct), structure.name)


def _addSegment(node, structure, mask, number):
    import slicer

    from BMVascularCore.planning.roi_names import colour_of

    segment = slicer.vtkSegment()
    segment.SetName(structure.name)
    colour = structure.colour or colour_of(structure.kind or "ORGAN", number)
    segment.SetColor(*[c / 255.0 for c in colour])
    segment.SetTag(KIND, structure.kind or "ORGAN")
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminologyEntry("mass"))
    image = orientedImageOfArray(mask.array.astype(np.uint8), mask.geometry)
    segment.AddRepresentation("Binary labelmap", image)
    node.GetSegmentation().AddSegment(segment, f"organ_{number + 1:02d}")


def importDose(scene, path, ct=None):
    """Add the dose of a file as a volume in Gy with the role ``dose``.

    Raises
    ------
    InputError
        Not the absolute dose of a whole plan, of another scan than the CT, or beside it.
    """
    found = read_dose(path)
    frame = factsOf(ct).get("frame_of_reference_uid") if ct is not None else None
    if frame and found.frame_of_reference_uid and frame != found.frame_of_reference_uid:
        raise InputError(
            "was computed on another scan (its frame of reference is not that of the planning CT)",
            Path(path).name,
            "Give the dose of this CT.",
        )
    if ct is not None and not _meets(found.geometry, geometryOfNode(ct)):
        raise InputError("does not reach the planning CT", Path(path).name, "Give the dose of this CT.")
    node = addVolume(scene, found.volume, "Planning dose (Gy)")
    setRole(node, "dose", timepointOf(ct) if ct is not None else "Planning", "; ".join(found.warnings))
    setFacts(node, {"frame_of_reference_uid": found.frame_of_reference_uid, "modality": "RTDOSE"})
    display.showMap(node, 0.0, found.maximum_gy, "Dose", threshold=0.1 * found.maximum_gy)
    display.addColorLegend(node, "Dose", "Gy")
    return node


def _meets(one, other):
    """True where two grids share a place: some of a lattice of points of one lies in the other."""
    ticks = [np.linspace(0, n - 1, 12) for n in one.shape]
    points = one.points_of(np.stack(np.meshgrid(*ticks, indexing="ij"), -1).reshape(-1, 3))
    middle = other.points_of((np.asarray(other.shape) - 1) / 2.0)
    return bool(other.contains(points).any() or one.contains(middle[None]).any())


def doseGrid(node, unit="Gy"):
    """The dose of a volume node, checked.

    Raises
    ------
    InputError
        None chosen, or values that cannot be a dose in this unit.
    """
    if node is None:
        raise InputError("no dose volume is chosen", "dose", "Import an RTDOSE or choose a volume.")
    volume = volumeOfNode(node, copy=False)
    volume.meta.update(factsOf(node))
    return dose_of_volume(volume, unit.lower())


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


def constraintRows(fractions, names, dvhs=()):
    """Constraint rows of a fractionation for the organs present, with the value reached where there is a dose.

    Parameters
    ----------
    fractions : int
    names : list of str
        Structures present.
    dvhs : list of Dvh
    """
    found = constraints_of_plan(dvhs, fractions, names)
    return [_constraintRow(row) for row in found]


def _constraintRow(row):
    unit = "Gy" if row.get("limit_gy") is not None else "mL"
    value = row.get("value_gy", row.get("value_ml"))
    return {
        "structure": row["structure"],
        "metric": row["metric"],
        "limit": f"< {row.get('limit_gy', row.get('limit_ml'))} {unit}",
        "value": None if value is None or value != value else f"{value:.2f} {unit}",
        "within": {True: "within", False: "above"}.get(row["within"]),
        "kind": row["kind"],
        "source": f"{row['source']}, {row['year']}",
        "verified": "verified" if row["verified"] else "unverified",
    }


def parsePrescription(text, targets):
    """Prescription in Gy from what the user typed: one number, or one by lesion.

    Parameters
    ----------
    text : str
        ``20`` or ``M1=20, M2=18``.
    targets : vtkMRMLSegmentationNode or None

    Returns
    -------
    float or dict
        A dictionary names structures.

    Raises
    ------
    InputError
        Empty, not a number, or an unknown lesion.
    """
    text = text.strip()
    if not text:
        raise InputError("no prescription is typed", "prescription", "Type the prescribed dose in Gy.")
    try:
        if "=" not in text:
            return float(text.removesuffix("Gy").strip())
        pairs = [part.rpartition("=") for part in text.split(",")]
        given = {name.strip(): float(value.strip().removesuffix("Gy")) for name, _, value in pairs}
    except ValueError as error:
        raise InputError(
            f"'{text}' is not a dose in Gy", "prescription", "Type 20, or M1=20, M2=18."
        ) from error
    byLesion = {row["name"]: list(row["ids"].values()) for row in targetRows(targets)}
    found = {}
    for name, dose in given.items():
        if name not in byLesion:
            raise InputError(f"no lesion is called {name}", "prescription", "Use the names in the table.")
        found |= dict.fromkeys(byLesion[name], dose)
    return found


def biologicalText(prescription, fractions):
    """BED and EQD2 of typed doses in words; '' where nothing can be said.

    Parameters
    ----------
    prescription : float or dict
        Gy, or name to Gy.
    fractions : int
    """
    doses = sorted(set(prescription.values())) if isinstance(prescription, dict) else [prescription]
    lines, cautions = [], []
    for dose in doses:
        row = biological_doses(dose, fractions)["plan"]
        lines.append(
            f"{dose:g} Gy in {fractions}: tumour (α/β 10 Gy) BED {row['bed10_gy']:.1f}, EQD2 {row['eqd2_10_gy']:.1f} Gy; "
            f"brain (α/β 2 Gy) BED {row['bed2_gy']:.1f}, EQD2 {row['eqd2_2_gy']:.1f} Gy."
        )
        cautions += [row["caution"]] if "caution" in row else []
    text = " ".join(lines)
    return f"{text} {cautions[0][0].upper()}{cautions[0][1:]}." if cautions else text


def lesionPrescriptions(given, targets):
    """Prescription in Gy of every lesion, from what :func:`parsePrescription` gave."""
    found = {}
    for row in targetRows(targets):
        doses = [given[i] for i in row["ids"].values() if i in given] if isinstance(given, dict) else [given]
        if doses:
            found[row["name"]] = doses[0]
    return found


def reviewStructures(targets, organs, imported=None):
    """Targets and organs as one structure set.

    Parameters
    ----------
    imported : StructureSet, optional
        Contours of the organs as they were read: their dose is taken from these, not from masks.
    """
    structures = targetStructures(targets)
    names = {structure.name.strip().lower() for structure in structures}
    others = imported.structures if imported is not None else structuresOfNode(organs) if organs else []
    structures += [s for s in others if s.name.strip().lower() not in names]
    if not structures:
        raise InputError(
            "there are no targets and no organs", "dose review", "Make targets or import structures."
        )
    frame = organs.GetAttribute(FRAME) if organs is not None else None
    return StructureSet(structures, frame)


def review(scene, dose, structures, prescription, brain, timepoint, progress):
    """Review a plan and keep its table in the scene.

    Returns
    -------
    BMVascularCore.planning.review.PlanReview
    """
    prescription = _ofStructures(prescription, structures)
    found = review_plan(dose, structures, prescription, brain or None, progress=progress)
    rows = [{key: _text(row.get(key)) for key in COLUMNS} for row in found.rows]
    putTable(scene, "metrics", timepoint, rows, f"{timepoint} dose metrics".strip(), list(COLUMNS))
    return found


def _ofStructures(prescription, structures):
    """Without names that are no structure: a CTV without a margin is its GTV and not among them."""
    if not isinstance(prescription, dict):
        return prescription
    names = {structure.name for structure in structures.structures}
    return {name: dose_gy for name, dose_gy in prescription.items() if name in names}


def reviewSecond(dose, structures, prescription, brain, progress):
    """A second dose of the same CT, reviewed alike; nothing is kept in the scene."""
    return review_plan(
        dose, structures, _ofStructures(prescription, structures), brain or None, progress=progress
    )


def keepComparison(scene, rows, timepoint):
    """Keep the comparison as a table in the scene; an empty one removes it."""
    if not rows:
        node = tableOf(scene, COMPARISON, timepoint)
        if node is not None:
            scene.RemoveNode(node)
        return
    texts = [{key: _text(value) for key, value in row.items()} for row in rows]
    putTable(scene, COMPARISON, timepoint, texts, f"{timepoint} plan comparison".strip(), list(COMPARED))


def comparisonRows(scene, rows, lesions):
    """Rows of a comparison: those in memory, else those of the table in the scene."""
    from BMVascularLib.tables import rowsOfTable

    node = tableOf(scene, COMPARISON, timepointOf(lesions)) if lesions is not None and not rows else None
    return rows or ([{k: _number(v) for k, v in row.items()} for row in rowsOfTable(node)] if node else [])


def _text(value):
    return f"{value:.5g}" if isinstance(value, float) and value == value else value


def reviewRows(scene, found, lesions):
    """Metrics with the columns that the panel shows: of a review, else of the table that the scene holds."""
    from BMVascularLib.tables import rowsOfTable

    if found is not None:
        return found.rows
    node = tableOf(scene, "metrics", timepointOf(lesions)) if lesions is not None else None
    return [{k: _number(v) for k, v in row.items()} for row in rowsOfTable(node)] if node is not None else []


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


def conventionText(found):
    """Conventions of a review and its warnings in one paragraph."""
    facts = dict(found.conventions)
    facts["dose_grid_mm"] = " x ".join(f"{s:g}" for s in facts["dose_grid_mm"])
    lines = [f"{key.replace('_', ' ')}: {value}" for key, value in facts.items()]
    return ". ".join([*lines, *dict.fromkeys(found.warnings)])


def structureColors(*nodes):
    """Name to colour (r, g, b) of all segments."""
    colors = {}
    for node in filter(None, nodes):
        for segmentId in segmentIds(node):
            segment = node.GetSegmentation().GetSegment(segmentId)
            colors[segment.GetName()] = segment.GetColor()
    return colors


def handToSlicerRt(dose, hierarchy, item):
    """Mark a dose volume as SlicerRT marks those that it imports itself."""
    dose.SetAttribute("DicomRtImport.DoseVolume", "1")
    parent = hierarchy.GetItemParent(item)
    if parent == hierarchy.GetSceneItemID():
        parent = hierarchy.CreateStudyItem(parent, "Planning")
        hierarchy.SetItemParent(item, parent)
    hierarchy.SetItemAttribute(parent, "DicomRtImport.DoseUnitName", "GY")
    hierarchy.SetItemAttribute(parent, "DicomRtImport.DoseUnitValue", "1.0")
