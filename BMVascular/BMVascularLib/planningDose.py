"""Dose in the scene: import, prescription, plan review, comparison, handing over to SlicerRT."""

from pathlib import Path

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.planning.dose import dose_of_volume, read_dose
from BMVascularCore.planning.plan_tables import biological_doses
from BMVascularCore.planning.review import COLUMNS, review_plan
from BMVascularCore.planning.structures import StructureSet
from BMVascularLib import display
from BMVascularLib.planningNodes import putTable, requireFrame, structuresOfNode, tableOf
from BMVascularLib.planningOrgans import FRAME
from BMVascularLib.planningTargets import reviewStructures as targetStructures
from BMVascularLib.planningTargets import rows as targetRows
from BMVascularLib.scene import hierarchyItem, subjectHierarchy
from BMVascularLib.segments import segmentIds
from BMVascularLib.studyNodes import PLANNING, factsOf, setFacts, setRole, timepointOf
from BMVascularLib.tables import rowsOfTable
from BMVascularLib.volumes import addVolume, geometryOfNode, volumeOfNode

COMPARISON, HABITATS = "plan comparison", "habitat dose"
CONVENTIONS = "BMVascular.Conventions"


def importDose(scene, path, ct=None):
    """Add the dose of a file as a volume in Gy with the role ``dose``.

    Returns
    -------
    node : vtkMRMLScalarVolumeNode
    warnings : list of str
        What the reader has to say.

    Raises
    ------
    InputError
        Not the absolute dose of a whole plan, of another scan than the CT, or beside it.
    """
    found = read_dose(path)
    requireFrame(ct, found.frame_of_reference_uid, path, "computed", "Give the dose of this CT.")
    if ct is not None and not _meets(found.geometry, geometryOfNode(ct)):
        raise InputError("does not reach the planning CT", Path(path).name, "Give the dose of this CT.")
    node = addVolume(scene, found.volume, "Planning dose (Gy)")
    setRole(node, "dose", timepointOf(ct) if ct is not None else "Planning", "; ".join(found.warnings))
    setFacts(node, {"frame_of_reference_uid": found.frame_of_reference_uid, "modality": "RTDOSE"})
    display.showMap(node, 0.0, found.maximum_gy, "Dose", threshold=0.1 * found.maximum_gy)
    display.addColorLegend(node, "Dose", "Gy")
    return node, found.warnings


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
    node = putTable(scene, "metrics", timepoint, rows, f"{timepoint} dose metrics".strip(), list(COLUMNS))
    node.SetAttribute(CONVENTIONS, conventionText(found))
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


def keepRows(scene, role, rows, columns, timepoint):
    """Keep rows as the table of a role; without rows it goes."""
    if not rows:
        node = tableOf(scene, role, timepoint)
        if node is not None:
            scene.RemoveNode(node)
        return
    texts = [{key: _text(value) for key, value in row.items()} for row in rows]
    putTable(scene, role, timepoint, texts, f"{timepoint} {role}".strip(), list(columns))


def keptRows(scene, role, lesions):
    """Rows of the table of a role, as kept for the time point of some lesions (of none: the planning itself)."""
    node = tableOf(scene, role, timepointOf(lesions) if lesions is not None else PLANNING)
    return [{k: _number(v) for k, v in row.items()} for row in rowsOfTable(node)] if node is not None else []


def _text(value):
    return f"{value:.5g}" if isinstance(value, float) and value == value else value


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


def conventions(scene, lesions):
    """What the numbers of the last review rest on, as its table keeps it; '' before a review."""
    node = tableOf(scene, "metrics", timepointOf(lesions) if lesions is not None else PLANNING)
    return (node.GetAttribute(CONVENTIONS) or "") if node is not None else ""


def structureColors(*nodes):
    """Name to colour (r, g, b) of all segments."""
    colors = {}
    for node in filter(None, nodes):
        for segmentId in segmentIds(node):
            segment = node.GetSegmentation().GetSegment(segmentId)
            colors[segment.GetName()] = segment.GetColor()
    return colors


def handToSlicerRt(scene, dose, targets, organs):
    """Mark dose and structures as SlicerRT marks those that it imports itself, and choose them in its DVH module.

    Dose and segmentations go below one study, whose attributes state the unit; SlicerRT reads both from there.
    """
    hierarchy = subjectHierarchy(scene)
    dose.SetAttribute("DicomRtImport.DoseVolume", "1")
    item = hierarchyItem(scene, dose)
    study = hierarchy.GetItemParent(item)
    if study == hierarchy.GetSceneItemID():
        study = hierarchy.CreateStudyItem(study, PLANNING)
        hierarchy.SetItemParent(item, study)
    for node in filter(None, (targets, organs)):
        hierarchy.SetItemParent(hierarchyItem(scene, node), study)
    hierarchy.SetItemAttribute(study, "DicomRtImport.DoseUnitName", "GY")
    hierarchy.SetItemAttribute(study, "DicomRtImport.DoseUnitValue", "1.0")
    # None where SlicerRT has not registered its node
    chosen = scene.AddNewNodeByClass("vtkMRMLDoseVolumeHistogramNode", "DVH of the planning dose")
    if chosen is not None:
        chosen.SetAndObserveDoseVolumeNode(dose)
        if targets or organs:
            chosen.SetAndObserveSegmentationNode(targets or organs)
    return chosen
