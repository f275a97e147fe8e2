"""Habitats, front and permeable part of the lesions in the scene, as Core's reference regions."""

import numpy as np

from BMVascularCore.planning.reference import reference_dose_rows, reference_regions
from BMVascularLib.planningTargets import rows as targetRows
from BMVascularLib.segments import labelsOfNode
from BMVascularLib.studyNodes import firstOf, timepointOf
from BMVascularLib.volumes import geometryOfNode, volumeOfNode


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
