"""Habitats, front and permeable part of the lesions in the scene, as Core's reference regions."""

import numpy as np
import slicer

from BMVascularCore.errors import InputError
from BMVascularCore.planning.reference import reference_dose_rows, reference_regions
from BMVascularLib.planningTargets import rows as targetRows
from BMVascularLib.segments import labelsOfNode, orientedImageOfArray, terminologyEntry
from BMVascularLib.studyNodes import firstOf, removeWithViews, setRole, timepointOf
from BMVascularLib.volumes import geometryOfNode, volumeOfNode

REFERENCES = "references"


def regionsOf(scene, lesions):
    """Reference regions of the time point of some lesions, where the views show them.

    Parameters
    ----------
    lesions : vtkMRMLSegmentationNode or None

    Returns
    -------
    BMVascularCore.planning.reference.ReferenceRegions or None
        None where the scene holds neither habitats nor Ktrans of this time point.
    """
    if lesions is None:
        return None
    label = timepointOf(lesions)
    habitats, ktrans = (firstOf(scene, role, label) for role in ("habitats", "ktrans"))
    grid = habitats or firstOf(scene, "T1c", label)
    if (habitats is None and ktrans is None) or grid is None:
        return None
    labels, names = labelsOfNode(lesions, geometryOfNode(grid))
    values = None
    if habitats is not None:
        values = volumeOfNode(habitats, copy=False)
        values = values.like(np.rint(np.nan_to_num(values.array)).astype(np.int32))
    return reference_regions(labels, names, values, volumeOfNode(ktrans) if ktrans is not None else None)


def showRegions(scene, lesions, on):
    """Show the reference regions as outlines on slices, or take them away.

    Returns
    -------
    vtkMRMLSegmentationNode or None
        Role ``references``; never among targets or organs, and made anew for the export.

    Raises
    ------
    InputError
        There is nothing to show.
    """
    label = timepointOf(lesions) if lesions is not None else ""
    node = firstOf(scene, REFERENCES, label)
    if node is not None:
        removeWithViews(scene, node)
    if not on:
        return None
    found = regionsOf(scene, lesions)
    if found is None or not found.regions:
        raise InputError(
            "there are neither habitats nor a Ktrans map of this time point",
            "reference regions",
            "Compute them in BMV Perfusion and BMV Phenotype first.",
        )
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{label} reference, not for treatment".strip())
    node.CreateDefaultDisplayNodes()
    setRole(node, REFERENCES, label, "imaging reference, not for treatment")
    for region in found.regions:
        segment = slicer.vtkSegment()
        segment.SetName(f"{region.structure.name} {region.title} (not for treatment)")
        segment.SetColor(*[part / 255.0 for part in region.structure.colour])
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminologyEntry("mass"))
        mask = region.structure.mask
        segment.AddRepresentation(
            "Binary labelmap", orientedImageOfArray(mask.array.astype(np.uint8), mask.geometry)
        )
        node.GetSegmentation().AddSegment(segment, region.structure.name)
    # thinner than the targets, and no surface in 3D that could be taken for one
    node.GetDisplayNode().SetVisibility3D(False)
    node.GetDisplayNode().SetVisibility2DFill(False)
    node.GetDisplayNode().SetSliceIntersectionThickness(1)
    return node


def doseRows(found, field, prescription, targets):
    """Dose of every region.

    Parameters
    ----------
    found : ReferenceRegions or None
    field : BMVascularCore.planning.dose.DoseField
    prescription : float or dict
        As the review takes it: by structure name.
    targets : vtkMRMLSegmentationNode or None

    Returns
    -------
    list of dict
    """
    if found is None:
        return []
    if isinstance(prescription, dict):
        byLesion = {row["name"]: list(row["ids"].values()) for row in targetRows(targets)}
        given = {name: [prescription[i] for i in ids if i in prescription] for name, ids in byLesion.items()}
        prescription = {name: doses[0] for name, doses in given.items() if doses}
    return reference_dose_rows(found, field, prescription)
