"""The planning stage of a run: fusion with the planning CT, targets, dose check, DICOM."""

from dataclasses import dataclass, field

import numpy as np
import pydicom
import SimpleITK as sitk

from BMVascularCore.errors import InputError
from BMVascularCore.io import write_table, write_volume
from BMVascularCore.io.dicom_files import save_dicom
from BMVascularCore.io.transforms import write_transform
from BMVascularCore.lesions.shares import share_image
from BMVascularCore.planning import reference
from BMVascularCore.planning.barriers import skull_near
from BMVascularCore.planning.ct_series import check_planning_series
from BMVascularCore.planning.dose import DoseField, read_dose
from BMVascularCore.planning.export import trace_structures
from BMVascularCore.planning.image_checks import (
    check_images,
    facts_of_series,
    frame_check,
    largest_motion_mm,
)
from BMVascularCore.planning.plan_tables import (
    CONSTRAINT_COLUMNS,
    DISTANCE_COLUMNS,
    DOSE_BY_SIZE_COLUMNS,
    constraint_csv_rows,
    constraints_of_plan,
    dose_by_size_table,
    organs_of,
    target_distances,
)
from BMVascularCore.planning.preflight import preflight, require_clean
from BMVascularCore.planning.registration import register_rigid
from BMVascularCore.planning.review import COLUMNS, review_plan
from BMVascularCore.planning.rtstruct import build_rtstruct
from BMVascularCore.planning.seg_export import build_segmentations, structures_on_series
from BMVascularCore.planning.segmentation_file import write_segmentation
from BMVascularCore.planning.spatial_registration import build_registration
from BMVascularCore.planning.structures import StructureSet, read_structures
from BMVascularCore.planning.targets import make_targets
from BMVascularCore.progress import share_of


@dataclass
class PlanningRun:
    """What the planning stage computed.

    Attributes
    ----------
    registration : Registration
        Planning CT (fixed) to T1c (moving).
    timepoint : int
        Which time point was fused.
    targets : TargetSet
    review : PlanReview or None
    structures : list of dict
        Contours written, volumes beside.
    regions : ReferenceRegions or None
        Habitats, front and permeable part of every lesion in planning space.
    notes : list of str
    """

    registration: object
    timepoint: int
    targets: object
    review: object = None
    structures: list = field(default_factory=list)
    regions: object = None
    notes: list = field(default_factory=list)


def planning_stage(plan, runs, index, notes, progress):
    """Fuse, make targets, check the dose and write DICOM; what is missing or wrong becomes a note.

    Parameters
    ----------
    plan : StudyPlan
    runs : list of TimePointRun
    index : ResultsIndex
    notes : list of str
        Receives reasons why something was not done.
    progress : callable

    Returns
    -------
    PlanningRun or None
    """
    source = plan.planning.get("CT")
    if source is None:
        return None
    try:
        ct = source.read()
    except InputError as error:
        notes.append(f"planning not done: {error}")
        return None
    number = _matching_timepoint(source, runs)
    run = runs[number]
    labels = run.segmentation.labels
    centres = [_centre_lps(labels, int(row["label"])) for row in run.segmentation.rows]
    found = register_rigid(ct, run.anatomy.t1c, progress=share_of(progress, 0.0, 0.6))
    _check_headers(found, ct, source, run)
    inverse = found.transform.GetInverse()
    local = found.errors_at([inverse.TransformPoint(point) for point in centres])
    names = {int(row["label"]): row["name"] for row in run.segmentation.rows}
    options = plan.options.only_known(names.values())
    try:
        targets = _targets(options, ct, run, names, found.transform, share_of(progress, 0.6, 0.75))
    except InputError as error:
        notes.append(f"planning ends after the fusion: {error}")
        return None
    done = PlanningRun(found, number, targets, notes=[*targets.warnings, *found.notes])
    done.regions = _regions(run, labels, names, done)
    entry = _write_images(index, ct, done)
    organs = _organs(plan, source, done.notes)
    _write_distances(index, done, organs)
    structures = read_structures(index.folder.file("planning/targets.seg.nrrd"))
    _review(plan, structures, organs, done, index, entry, share_of(progress, 0.75, 0.9))
    entry["dicom"] = _export(source, run, structures, done, index)
    for row, name in zip(local, names.values(), strict=True):
        row["name"] = name
    entry.update(fusion_at_lesions=local, notes=done.notes, timepoint=run.timepoint.label)
    index.planning = entry
    return done


def _targets(options, ct, run, names, transform, progress):
    """Targets by the user's margins and barriers, from the sub-voxel boundary of the lesions."""
    labels = run.segmentation.labels
    ctv, ptv = options.margins_of(names.values())
    barriers = list(options.barriers)
    if options.skull:
        barriers.append(skull_near(ct, labels, transform))
    shares = share_image(run.segmentation)
    return make_targets(labels, names, ctv, ptv, barriers or None, transform, ct.geometry, progress, shares)


def _organs(plan, source, notes):
    """Organs of the user, else those of the study's structure set; None where there are none on this CT."""
    found, given = plan.options.organs, plan.planning.get("structures")
    try:
        if found is None and given is not None:
            found = read_structures(given.path or given.series.paths[0])
    except InputError as error:
        notes.append(f"organs not used: {error}")
        return None
    frame = source.series.text("FrameOfReferenceUID") if source.series is not None else None
    if found is not None and frame and found.frame_of_reference_uid not in (None, frame):
        notes.append(
            "organs not used: their structure set has another frame of reference than the planning CT"
        )
        return None
    return found


def _prescription(given, targets):
    """Prescription by structure name, where the user gives one for every lesion."""
    if not isinstance(given, dict):
        return given
    return {
        target.structure_name(kind): given[target.name]
        for target in targets.targets
        for kind in target.masks
        if target.name in given
    }


def _regions(run, labels, names, done):
    """Reference regions of the fused time point; None where there are neither habitats nor permeability."""
    habitats = run.phenotype.habitats if run.phenotype is not None else None
    if habitats is not None and not habitats.array.any():
        habitats = None
    ktrans = run.dce.native("ktrans") if run.dce is not None else None
    if habitats is None and ktrans is None:
        return None
    try:
        found = reference.reference_regions(labels, names, habitats, ktrans)
    except InputError as error:
        done.notes.append(f"no reference structures: {error}")
        return None
    done.notes += found.notes
    return reference.regions_in_plan(found, done.registration.transform)


def _check_headers(found, ct, source, run):
    """Identity, frames, slices, distortion and age of the MRI have their say in the verdict."""
    facts = [facts_of_series(series) for series in (source.series, run.timepoint.first("T1c").series)]
    checks = check_images(ct, run.anatomy.t1c, *facts)
    moved = largest_motion_mm(found.transform, ct)
    found.take([frame_check(ct, run.anatomy.t1c, *facts, moved_mm=moved), checks[0], *checks[2:]])


def _centre_lps(labels, label):
    index = np.argwhere(labels.array == label)
    return labels.geometry.points_of(index.mean(axis=0)).tolist()


def _matching_timepoint(source, runs):
    """The time point of the CT's own study, else the first: plans are made on the images they came with."""
    uid = source.series.text("StudyInstanceUID") if source.series is not None else None
    for number, run in enumerate(runs):
        if uid and run.anatomy.t1c.meta.get("study_uid") == uid:
            return number
    return 0


def _write_images(index, ct, done):
    write_volume(index.folder.file("planning/ct.nrrd"), ct)
    write_transform(index.folder.file("planning/transform.tfm"), done.registration.transform)
    write_segmentation(
        index.folder.file("planning/targets.seg.nrrd"), done.targets.segments(), done.targets.geometry
    )
    write_table(index.folder.file("planning/targets.csv"), done.targets.rows())
    sizes = {target.name: target.diameter_mm for target in done.targets.targets}
    write_table(
        index.folder.file("planning/dose_by_size.csv"), dose_by_size_table(sizes), DOSE_BY_SIZE_COLUMNS
    )
    found = done.registration
    facts = {
        "verdict": found.verdict, "reasons": found.reasons, "restart_spread_mm": found.restart_spread_mm,
        "inverse_consistency_mm": found.inverse_consistency_mm, "surface_distance_mm": found.surface_distance_mm,
    }  # fmt: skip
    index.folder.write_json("planning/register.json", facts)
    return {
        "ct": "planning/ct.nrrd",
        "transform": "planning/transform.tfm",
        "targets": "planning/targets.seg.nrrd",
        "targets_table": "planning/targets.csv",
        "dose": None,
        "prescription_gy": None,
        **facts,
    }


def _write_distances(index, done, organs):
    rows, notes = target_distances(done.targets, organs)
    done.notes += notes
    write_table(index.folder.file("planning/distances.csv"), rows, DISTANCE_COLUMNS)


def _review(plan, structures, organs, done, index, entry, progress):
    source = plan.planning.get("dose")
    if source is None:
        return
    try:
        dose = read_dose(source.path or source.series.paths[0])
        write_volume(index.folder.file("planning/dose.nrrd"), dose.volume)
        entry["dose"] = "planning/dose.nrrd"
        if plan.prescription_gy is None:
            done.notes.append("dose not reviewed: no prescription is stated (prescription_gy in study.json)")
            return
        prescription = _prescription(plan.prescription_gy, done.targets)
        entry["prescription_gy"] = _largest(prescription)
        everything, brain = _with_organs(structures, organs, plan.options.brain)
        done.review = review_plan(dose, everything, prescription, brain, progress=progress)
    except InputError as error:
        done.notes.append(f"dose not reviewed: {error}")
        return
    done.notes += done.review.warnings
    write_table(index.folder.file("planning/metrics.csv"), done.review.rows, COLUMNS)
    entry["metrics_table"] = "planning/metrics.csv"
    if plan.options.fractions is not None:
        limits = constraint_csv_rows(constraints_of_plan(done.review.dvhs, plan.options.fractions))
        write_table(index.folder.file("planning/constraints.csv"), limits, CONSTRAINT_COLUMNS)
        entry["constraints_table"] = "planning/constraints.csv"
    if done.regions is not None:
        rows = reference.reference_dose_rows(done.regions, DoseField(dose), prescription)
        write_table(index.folder.file("planning/habitat_dose.csv"), rows, reference.COLUMNS)
        entry["habitat_dose_table"] = "planning/habitat_dose.csv"


def _largest(prescription):
    """The one dose that pictures draw isodoses for."""
    return max(prescription.values()) if isinstance(prescription, dict) else float(prescription)


def _with_organs(structures, organs, brain):
    """Targets of the run and organs together, and the name of the brain where it is known."""
    taken = {one.name.strip().lower() for one in structures.structures}
    more = [one for one in organs_of(organs) if one.name.strip().lower() not in taken]
    if brain is None:
        brain = next((one.name for one in more if one.name.strip().lower() == "brain"), None)
    frame = organs.frame_of_reference_uid if organs is not None else None
    return StructureSet([*structures.structures, *more], frame or structures.frame_of_reference_uid), brain


def _export(source, run, structures, done, index):
    """RT Structure Set, segmentation and spatial registration; only for a CT that came as DICOM.

    Returns the objects that were written, each with file, object and content.
    """
    if source.series is None:
        done.notes.append("no DICOM was written: the planning CT did not come as DICOM")
        return []
    if done.registration.verdict == "fail":
        done.notes.append("no DICOM was written: the fusion failed its checks")
        return []
    try:
        series = check_planning_series(_headers(source), source.label, allow_thick=True)
        extra = done.regions.structures() if done.regions is not None else []
        rois, table, warnings = trace_structures([*structures.structures, *extra], series)
        data = build_rtstruct(series, rois)
        masks = {roi.name: row["mask_ml"] for roi, row in zip(rois, table, strict=True)}
        findings = require_clean(preflight(data, series, masks))
    except InputError as error:
        done.notes.append(f"no DICOM was written: {error}")
        return []
    done.notes += warnings + [finding.text for finding in findings]
    save_dicom(index.folder.file("planning/rtstruct.dcm"), data)
    done.structures = table
    written = [_object("rtstruct.dcm", "RT Structure Set", f"{len(rois)} structures on the planning CT")]
    lesions = [s for s in structures.structures if s.kind == "GTV"]
    written += _segmentation(series, [*lesions, *extra], done, index)
    t1c = run.timepoint.first("T1c")
    if t1c.series is not None:
        moving = check_planning_series(_headers(t1c), t1c.label, allow_thick=True)
        transform = sitk.Euler3DTransform(done.registration.transform)
        save_dicom(index.folder.file("planning/reg.dcm"), build_registration(series, moving, transform))
        written.append(_object("reg.dcm", "Spatial Registration", "T1c frame to CT frame"))
    return written


def _object(name, kind, content):
    return {"file": f"planning/{name}", "object": kind, "content": content}


def _segmentation(series, structures, done, index):
    """Lesions and habitats as DICOM segmentation on the planning CT; why there is none becomes a note."""
    try:
        drawn, notes = structures_on_series(structures, series)
        objects = build_segmentations(series, drawn)
    except InputError as error:
        done.notes.append(f"no DICOM segmentation was written: {error}")
        return []
    done.notes += notes
    kinds = {name: structure.kind for name, structure in zip(_labels(objects), drawn, strict=True)}
    written = []
    for number, data in enumerate(objects, start=1):
        name = "seg.dcm" if number == 1 else f"seg_{number}.dcm"
        save_dicom(index.folder.file(f"planning/{name}"), data)
        lesions = sum(kinds[label] == "GTV" for label in _labels([data]))
        others = len(data.SegmentSequence) - lesions
        content = f"{lesions} lesions and {others} reference regions on the planning CT"
        written.append(_object(name, "Segmentation", content))
    return written


def _labels(objects):
    return [str(item.SegmentLabel) for data in objects for item in data.SegmentSequence]


def _headers(source):
    """Whole headers: the structure set takes over patient and study from them."""
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in source.series.paths]
