"""DICOM objects of a plan: made and checked in memory, shown, then written together or not at all."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.io.dicom_files import save_dicom
from BMVascularCore.io.output import OutputFolder
from BMVascularCore.planning.contours import transform_matrix
from BMVascularCore.planning.ct_series import read_planning_series
from BMVascularCore.planning.export import trace_structures
from BMVascularCore.planning.field import box_start, crop_geometry
from BMVascularCore.planning.preflight import preflight
from BMVascularCore.planning.rtstruct import build_rtstruct
from BMVascularCore.planning.seg_export import build_segmentation, structures_on_series
from BMVascularCore.planning.spatial_registration import build_registration
from BMVascularCore.planning.structures import Structure
from BMVascularCore.volume import Volume
from BMVascularLib.planningNodes import drawnOn, frameOf, requireCt
from BMVascularLib.planningTargets import reviewStructures
from BMVascularLib.segments import labelsOfNode, segmentIds
from BMVascularLib.transforms import transformToWorld
from BMVascularLib.volumes import geometryOfNode

_SAME_PLACE_MM = 0.05
STRUCTURE_CHECKS = (
    "patient, study, series and frame of reference are those of the planning images",
    "every contour closed, flat and on one of these images",
    "names, types and colours as DICOM wants them, nothing private",
)


@dataclass
class ExportObject:
    """One object of the preview.

    Attributes
    ----------
    file, kind, content : str
    data : pydicom.Dataset or None
        None when it cannot be written.
    problem : str
        Why it cannot be written.
    checks : list of str
        What was checked.
    notes : list of str
        What the check found, nothing wrong among it.
    """

    file: str
    kind: str
    content: str = ""
    data: object = None
    problem: str = ""
    checks: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def row(self):
        """The object as a row of the preview."""
        passed = "passed, with notes" if self.notes else "passed"
        return {
            "file": self.file,
            "object": self.kind,
            "state": passed if self.data is not None else "not written",
        }


def refusal(ct, facts, targets):
    """Why nothing can be exported, in one sentence; '' when it can.

    Parameters
    ----------
    facts : dict
        Verdict and reasons of the fusion that the targets rest on, empty before it.
    """
    if ct is None:
        return "Choose the planning CT."
    if not facts:
        return "The T1 is not fused with the planning CT: fuse first."
    if facts["verdict"] == "fail":
        return f"The fusion failed its checks ({facts['reasons'][0]}): nothing is exported."
    if targets is None:
        return "There are no targets: make them first."
    return ""


def stampOf(images, segmentations, facts):
    """What tells whether images, masks or the fusion have changed."""
    stamp = [node.GetID() if node is not None else "" for node in images]
    for node in segmentations:
        for segmentId in segmentIds(node) if node is not None else []:
            mask = node.GetSegmentation().GetSegment(segmentId).GetRepresentation("Binary labelmap")
            stamp += [node.GetID(), segmentId, mask.GetMTime() if mask is not None else 0]
    return (*stamp, json.dumps(facts, sort_keys=True))


def planExport(ct, t1c, facts, targets, lesions, ctFolder, mrFolder="", progress=None, references=None):
    """Make every object in memory and check it.

    Parameters
    ----------
    ct, t1c : vtkMRMLScalarVolumeNode
    facts : dict
        As for :func:`refusal`.
    targets, lesions : vtkMRMLSegmentationNode
    ctFolder, mrFolder : str
        DICOM series of CT and T1c; without the second there is no registration object.
    references : ReferenceRegions, optional
        Habitats, front and permeable part of the lesions, written as structures not for treatment.

    Returns
    -------
    list of ExportObject

    Raises
    ------
    InputError
        Nothing can be written at all.
    """
    reason = refusal(ct, facts, targets)
    if reason:
        raise InputError(reason, "export")
    requireCt(ct)
    if not ctFolder:
        raise InputError(
            "the planning CT did not come from DICOM here", "export", "Choose the folder of its DICOM series."
        )
    series = read_planning_series(ctFolder, allow_thick=True)
    _requireSameImage(ct, series)
    made = [
        _guarded(_structureSet, "rtstruct.dcm", "RT Structure Set", series, targets, references, progress)
    ]
    if drawnOn(lesions, ct) or ct is t1c:
        made.append(
            ExportObject(
                "reg.dcm", "Spatial Registration", problem="not needed, the lesions were drawn on this image"
            )
        )
        made.append(_guarded(_segmentation, "seg.dcm", "Segmentation", series, lesions, ct, references))
        return made
    try:
        if not mrFolder:
            raise InputError("the DICOM series of the T1 is not chosen")
        moving = read_planning_series(mrFolder, allow_thick=True)
        _requireSameImage(t1c, moving, world=False)
    except InputError as error:
        missing = [("reg.dcm", "Spatial Registration"), ("seg.dcm", "Segmentation")]
        return made + [ExportObject(file, kind, problem=str(error)) for file, kind in missing]
    made.append(_guarded(_registration, "reg.dcm", "Spatial Registration", series, moving, t1c))
    made.append(_guarded(_segmentation, "seg.dcm", "Segmentation", moving, lesions, t1c, references))
    return made


def _guarded(make, file, kind, *args):
    try:
        return make(ExportObject(file, kind), *args)
    except InputError as error:
        return ExportObject(file, kind, problem=str(error))


def _requireSameImage(node, series, world=True):
    """The DICOM series must be the image in the scene: same frame of reference, same voxels in space."""
    frame = frameOf(node)
    if frame and frame != series.frame_of_reference_uid:
        raise InputError(
            f"is another scan than {node.GetName()} (other frame of reference)",
            series.name,
            "Choose its own.",
        )
    ours, theirs = geometryOfNode(node, world), series.geometry
    if tuple(ours.shape) != tuple(theirs.shape) or not _sameCorners(ours, theirs):
        raise InputError(
            f"does not lie where {node.GetName()} lies in the scene", series.name, "Choose its own series."
        )


def _sameCorners(one, other):
    """Same box in space, also where slices are counted from the other end."""
    last = np.asarray(one.shape) - 1
    corners = np.array(list(np.ndindex(2, 2, 2))) * last
    mine, theirs = one.points_of(corners), other.points_of(corners)
    gaps = np.linalg.norm(mine[:, None] - theirs[None], axis=-1)
    return bool((gaps.min(axis=1) < _SAME_PLACE_MM).all())


def _structureSet(made, series, targets, references, progress):
    structures = reviewStructures(targets)
    extra = references.structures() if references is not None else []
    rois, table, warnings = trace_structures([*structures, *extra], series, progress=progress)
    data = build_rtstruct(series, rois)
    findings = preflight(data, series, {row["name"]: row["mask_ml"] for row in table})
    errors = [one.text for one in findings if one.severity == "error"]
    kinds = [roi.kind for roi in rois]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    made.content = f"{counted} on {len(series.headers)} images of the {series.modality}, " \
                   f"{sum(row['contours'] for row in table)} contours"  # fmt: skip
    if extra:
        made.content += f"; the {len(extra)} CONTROL are reference only, not for treatment"
    worst = max((abs(row["contours_ml"] / row["mask_ml"] - 1.0) for row in table), default=0.0)
    made.checks = [*STRUCTURE_CHECKS, f"volume of the contours within {100.0 * worst:.1f} % of the targets"]
    made.notes = [*series.warnings, *warnings, *(f.text for f in findings if f.severity == "warning")]
    if errors:
        made.problem = f"does not pass the check: {errors[0]}"
    else:
        made.data = data
    return made


def _registration(made, planning, moving, t1c):
    rigid = transformToWorld(t1c)
    made.data = build_registration(planning, moving, rigid)
    # DICOM wants source to registered: the other way than ITK; seen in the object itself
    matrix = np.reshape(_matrices(made.data)[-1], (4, 4))
    gap = float(np.abs(matrix - np.linalg.inv(transform_matrix(rigid))).max())
    if gap > 1e-6:
        made.data, made.problem = None, f"its matrix is off by {gap:.1e}"
    made.content = "rigid matrix that takes the T1's frame of reference to that of the CT"
    made.checks = [
        f"direction: the matrix takes T1 points to CT points (off by {gap:.0e})",
        "frames of reference are those of the two series",
    ]
    return made


def _matrices(data):
    return [
        [float(v) for v in matrix.FrameOfReferenceTransformationMatrix]
        for item in data.RegistrationSequence
        for outer in item.MatrixRegistrationSequence
        for matrix in outer.MatrixSequence
    ]


def _segmentation(made, moving, lesions, t1c, references):
    labels, names = labelsOfNode(lesions, geometryOfNode(t1c))
    local = geometryOfNode(t1c, world=False)
    if not local.matches(moving.geometry, _SAME_PLACE_MM):
        raise InputError("counts its slices from the other end than the T1 in the scene", moving.name)
    masks = {name: labels.array == label for label, name in names.items()}
    drawn = [
        Structure(name, "GTV", [], Volume(mask, moving.geometry, name))
        for name, mask in masks.items()
        if mask.any()
    ]
    image = f"{moving.modality} series ({len(moving.headers)} images, as acquired)"
    names = ", ".join(each.name for each in drawn)
    word = "lesion" if len(drawn) == 1 else "lesions"
    made.content = f"{len(drawn)} {word} ({names}) on the voxels of the {image}"
    extra = []
    if references is not None:
        # the grid in the scene: the fusion moved the T1 and the habitats together
        shown = replace(moving, geometry=geometryOfNode(t1c))
        extra, notes = structures_on_series(references.structures(), shown)
        made.notes += notes
    if extra:
        made.content += f"; {len(extra)} reference regions, not for treatment"
        own = [each.mask.geometry for each in references.structures()]
        if any(box_start(each, shown.geometry) is None for each in own):
            made.notes.append("habitats were resampled onto the voxels of the T1")
    drawn += [_asAcquired(each, shown.geometry, moving.geometry) for each in extra]
    made.data = build_segmentation(moving, drawn)
    if len(made.data.SegmentSequence) != len(drawn):
        made.data, made.problem = None, "not every lesion became a segment"
    made.checks = [
        f"lesions and regions are in this one object: {len(drawn)} of {len(drawn)} segments",
        "frame of reference and images are those of the series",
    ]
    return made


def _asAcquired(structure, shown, acquired):
    """The same voxels of the T1, before the fusion moved it."""
    mask = structure.mask
    box = crop_geometry(acquired, box_start(mask.geometry, shown), mask.array.shape)
    return replace(structure, mask=Volume(mask.array, box, mask.name))


def writeExport(objects, folder):
    """Write the objects of a preview together, or none.

    Parameters
    ----------
    objects : list of ExportObject
    folder : str

    Returns
    -------
    list of str
        File names.

    Raises
    ------
    InputError
        No folder, no object that passed, or a file of this name is there already.
    """
    if not folder:
        raise InputError("no folder is chosen", "export", "Choose the folder to write to.")
    ready = [each for each in objects if each.data is not None]
    if not ready:
        raise InputError("no object passed its check", "export", "Look at the preview.")
    target = Path(folder)
    present = [each.file for each in ready if (target / each.file).exists()]
    if present:
        raise InputError(
            f"already holds {present[0]}, nothing is replaced", target.name, "Choose another folder."
        )
    with OutputFolder(target, overwrite=True) as output:
        for each in ready:
            save_dicom(output.file(each.file), each.data)
        return output.commit()
