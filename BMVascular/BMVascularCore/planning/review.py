"""Plan review: all structures against one dose."""

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from BMVascularCore.errors import InputError
from BMVascularCore.planning.brain_dose import TargetsInBrain, brain_dose_volumes
from BMVascularCore.planning.dose import DoseField
from BMVascularCore.planning.dvh import compute_dvh
from BMVascularCore.planning.indices import DEFINITIONS, conformity_metrics, dose_metrics
from BMVascularCore.planning.isodose import share_isodoses
from BMVascularCore.planning.membership import Membership
from BMVascularCore.planning.plan_tables import NOT_ORGANS, distance_table
from BMVascularCore.planning.planes import plane_step
from BMVascularCore.planning.rules import planning_rules, roi_rules
from BMVascularCore.planning.sampling import sample_structure
from BMVascularCore.progress import share_of, silent

COLUMNS = (
    "structure", "type", "volume_ml", "d98_gy", "d50_gy", "d2_gy", "dmean_gy", "v12_ml", "piv_ml",
    "paddick_ci", "gradient_index", "prescription_gy", "dmin_gy", "dmax_gy", "d35mm3_gy", "near_max_gy",
    "v10_ml", "v12_inside_ml", "v12_minus_gtv_ml", "v12_minus_targets_ml", "v10_minus_gtv_ml",
    "v10_minus_targets_ml", "piv50_ml", "tv_piv_ml", "coverage", "selectivity", "inverse_paddick_ci",
    "rtog_ci", "rtog_hi", "rtog_quality", "modified_gradient_index", "gradient_measure_mm",
    "homogeneity_index", "bridged", "dose_covered", "samples", "sample_step_mm", "dose_grid_mm",
    "method", "note",
)  # fmt: skip


@dataclass
class PlanReview:
    """Dose review of a plan.

    Attributes
    ----------
    rows : list of dict
        One a structure, for ``metrics.csv``.
    dvhs : list of Dvh
    warnings : list of str
    definitions : dict
        Column to definition.
    conventions : dict
        Interpolation, end caps, grid: what the numbers rest on.
    distances : list of dict
        Shortest surface distances of the lesions; see :func:`plan_tables.distance_table`.
    """

    rows: list
    dvhs: list
    warnings: list
    definitions: dict = field(default_factory=lambda: dict(DEFINITIONS))
    conventions: dict = field(default_factory=dict)
    distances: list = field(default_factory=list)


@dataclass
class _Item:
    structure: object
    samples: object
    dvh: object
    target: bool
    lesion: int = -1
    note: str = ""
    step_mm: float = None


def review_plan(
    dose, structures, prescription_gy, brain=None, targets=None, end_caps="shape", progress=silent
):
    """Dose-volume histograms and indices of all structures.

    Parameters
    ----------
    dose : DoseGrid
    structures : StructureSet
    prescription_gy : float or dict
        Gy, or structure name to Gy. Never guessed.
    brain : str, optional
        Name of the brain, for V12 of brain minus targets.
    targets : list of str, optional
        Names of the targets; those of type GTV, CTV, PTV by default.
    end_caps : {"shape", "half", "none"}
    progress : callable

    Returns
    -------
    PlanReview

    Raises
    ------
    InputError
        Another frame of reference, a prescription that cannot be, an unknown name.
    """
    warnings = [*dose.warnings, *structures.warnings, *_require_same_frame(dose, structures)]
    prescription_gy = _by_known_names(prescription_gy, structures)
    _require_prescription(dose, prescription_gy)
    field_ = DoseField(dose)
    chosen = _choose_targets(structures.structures, brain, targets, warnings)
    items, left_out = _evaluate(structures, field_, chosen, end_caps, share_of(progress, 0.0, 0.6), warnings)
    if not items:
        raise next(iter(left_out.values()), None) or InputError(
            "holds no structure with a volume", "structures", "Draw them and export again."
        )
    progress(0.6, "isodose volumes")
    rows = {id(item): _base_row(item, field_, dose) for item in items}
    _target_rows(items, rows, field_, prescription_gy, warnings)
    _organ_rows(items, rows, field_, brain)
    progress(1.0, "plan review")
    if field_.clamped_share > 0.02:
        warnings.append(
            "the dose grid is too coarse for its gradients; interpolated dose was held within its neighbours"
        )
    return PlanReview(
        [*rows.values(), *_rows_without_dose(left_out, structures)],
        [i.dvh for i in items],
        warnings,
        conventions=_conventions(dose, end_caps),
        distances=_distances(items),
    )


def _distances(items):
    """Lesions are the GTVs, or all targets where no GTV is drawn."""
    targets = [item for item in items if item.target]
    lesions = [item for item in targets if item.structure.kind == "GTV"] or targets
    organs = [i for i in items if not i.target and i.structure.kind not in NOT_ORGANS]
    return distance_table(
        {item.structure.name: item.samples for item in lesions},
        {item.structure.name: item.samples for item in organs},
        {item.structure.name: item.structure.kind or "ORGAN" for item in organs},
    )


def _rows_without_dose(left_out, structures):
    """Structures that cannot be measured stay in the table, with the reason and without a number."""
    kinds = {s.name: s.kind for s in structures.structures}
    return [
        dict.fromkeys(COLUMNS)
        | {"structure": name, "type": kinds[name], "note": f"not evaluated: {error.what}"}
        for name, error in left_out.items()
    ]


def _conventions(dose, end_caps):
    return {
        "dose_interpolation": "cubic B-spline kept within the neighbouring grid values (1 % leave upwards)",
        "end_caps": end_caps,
        "dose_grid_mm": [float(s) for s in dose.geometry.spacing_mm],
        "dvh": "sorted samples with partial volumes, no bins",
        "isodose_volumes": "sub-voxels of a quarter of the dose grid, in part at the isodose, nearest lesion",
    }


def _require_same_frame(dose, structures):
    """Refuse what belongs to another image or patient; returns what could not be checked."""
    ours, theirs = dose.frame_of_reference_uid, structures.frame_of_reference_uid
    if ours and theirs and ours != theirs:
        raise InputError(
            "the dose and the structure set have different frames of reference",
            "structures",
            "Give the structure set of the planning CT that the dose was computed on.",
        )
    patients = {one.patient_id for one in (dose, structures)} - {None}
    if len(patients) < 2:
        return []
    if not (ours and theirs):
        raise InputError(
            "the dose and the structure set belong to different patients and state no common frame of reference",
            "structures",
            "Give both from one plan.",
        )
    return ["the dose and the structure set state different patient IDs, but the same frame of reference"]


def _require_prescription(dose, prescription_gy):
    given = prescription_gy.values() if isinstance(prescription_gy, dict) else [prescription_gy]
    for value in given:
        if not np.isfinite(value) or value <= 0:
            raise InputError(f"a prescription of {value:g} Gy cannot be", "--prescription", "Give Gy.")
        if value > 20 * dose.maximum_gy or dose.maximum_gy > 20 * value:
            raise InputError(
                f"a prescription of {value:g} Gy does not fit a dose that reaches {dose.maximum_gy:.3g} Gy",
                "--prescription",
                "Give the prescription in Gy and check whether the dose image is in cGy.",
            )


def _by_known_names(prescription_gy, structures):
    """The prescription with the names as they are written in the structure set; case does not matter."""
    if not isinstance(prescription_gy, dict):
        return prescription_gy
    names = {structure.name.strip().lower(): structure.name for structure in structures.structures}
    unknown = [name for name in prescription_gy if name.strip().lower() not in names]
    if unknown:
        raise InputError(
            f"no structure is called {unknown[0]}",
            "--prescription",
            f"Known: {', '.join(sorted(names.values()))}.",
        )
    return {names[name.strip().lower()]: value for name, value in prescription_gy.items()}


def _choose_targets(structures, brain, targets, warnings):
    names = {s.name.strip().lower(): s.name for s in structures}
    if brain is not None and brain.strip().lower() not in names:
        raise InputError(
            f"no structure is called {brain}", "--brain", f"Known: {', '.join(sorted(names.values()))}."
        )
    if targets is not None:
        for name in targets:
            if name.strip().lower() not in names:
                raise InputError(f"no structure is called {name}", "--targets", "Use the names in the file.")
        return {name.strip().lower() for name in targets}
    kinds = roi_rules()["target_types"]
    brain_key = (brain or "").strip().lower()
    found = {key for key, s in zip(names, structures, strict=True) if s.kind in kinds and key != brain_key}
    if not found:
        untyped = {key for key, s in zip(names, structures, strict=True) if not s.kind and key != brain_key}
        if untyped:
            warnings.append(
                "no structure has the type GTV, CTV or PTV: those without a type are taken as targets"
            )
        return untyped
    return found


def _evaluate(structures, field_, chosen, end_caps, progress, warnings):
    items, left_out = [], {}
    step = _common_step(structures)
    for n, structure in enumerate(structures.structures):
        progress(n / len(structures.structures), structure.name)
        if structure.empty:
            continue
        try:
            samples = sample_structure(structure, step, end_caps)
        except InputError as error:
            # one structure that cannot be used must not hide the others
            left_out[structure.name] = error
            warnings.append(f"{structure.name} is not evaluated: {error}")
            continue
        warnings += samples.warnings
        dvh = compute_dvh(structure.name, samples, field_)
        item = _Item(structure, samples, dvh, structure.name.strip().lower() in chosen, step_mm=step)
        if dvh.reason:
            item.note = dvh.reason
            warnings.append(f"{structure.name}: {dvh.reason}; no dose values are given")
        items.append(item)
    return items, left_out


def _common_step(structures):
    """Slice distance of the structure set, for structures that lie on a single slice."""
    steps = [plane_step(s.contours) for s in structures.structures if s.contours]
    return min((step for step in steps if step is not None), default=None)


def _base_row(item, field_, dose):
    grid = float(max(dose.geometry.spacing_mm))
    if item.target:
        item.note = "; ".join(filter(None, [item.note, _grid_note(item.samples.volume_ml, grid)]))
    row = dict.fromkeys(COLUMNS)
    row |= {
        "structure": item.structure.name, "type": item.structure.kind, "volume_ml": item.samples.volume_ml,
        "dose_covered": item.dvh.covered, "samples": len(item.samples.weights_mm3),
        "sample_step_mm": item.samples.step_mm, "dose_grid_mm": grid, "method": item.samples.method,
        "note": item.note,
    }  # fmt: skip
    row |= dose_metrics(item.dvh)
    row["v12_inside_ml"] = item.dvh.volume_at_ml(12.0)
    return row


def _too_coarse(volume_ml, grid_mm):
    """True where indices of a target would say more of the dose grid than of the plan."""
    limit = planning_rules()["no_indices"]
    return (
        grid_mm >= limit["dose_grid_mm"] and np.cbrt(6000.0 * volume_ml / np.pi) < limit["below_diameter_mm"]
    )


def _grid_note(volume_ml, grid_mm):
    """What is said of a target that is small for its dose grid; empty for others."""
    rules = planning_rules()
    diameter = float(np.cbrt(6000.0 * volume_ml / np.pi))
    if _too_coarse(volume_ml, grid_mm):
        return f"no indices: dose grid of {grid_mm:.3g} mm for a target of {diameter:.1f} mm"
    if diameter < rules["small_for_grid_voxels"] * grid_mm:
        return f"diameter below {rules['small_for_grid_voxels']:g} dose voxels"
    return ""


def _prescription_of(name, prescription_gy):
    return prescription_gy.get(name) if isinstance(prescription_gy, dict) else prescription_gy


def _target_rows(items, rows, field_, prescription_gy, warnings):
    targets = [i for i in items if i.target and i.dvh.covered > 0]
    if not targets:
        return
    lesions = _group_lesions(targets)
    for lesion, members in enumerate(lesions):
        for item in members:
            item.lesion = lesion
    surfaces = [np.concatenate([m.samples.surface_lps_mm for m in members]) for members in lesions]
    levels = [_levels(members, prescription_gy) for members in lesions]
    shares = share_isodoses(field_, surfaces, levels)
    cut = sorted(level for level in shares.at_border)
    if cut:
        texts = ", ".join(f"{level:g}" for level in cut)
        warnings.append(
            f"isodoses reach the border of the dose grid ({texts} Gy): their volumes are left empty"
        )
    for item in targets:
        given = _prescription_of(item.structure.name, prescription_gy)
        coarse = _too_coarse(item.samples.volume_ml, rows[id(item)]["dose_grid_mm"])
        if coarse:
            warnings.append(f"{item.structure.name}: {rows[id(item)]['note']}")
        rows[id(item)] |= _indices(item, shares, given, cut, coarse)
        rows[id(item)]["bridged"] = "yes" if item.lesion in shares.bridged else "no"


def _levels(members, prescription_gy):
    """Dose levels of a lesion; the second decides on bridging."""
    given = [p for p in (_prescription_of(m.structure.name, prescription_gy) for m in members) if p]
    main = given[0] if given else 24.0
    return [main, main / 2, 12.0, 10.0, *[level for p in given[1:] for level in (p, p / 2)]]


def _indices(item, shares, prescription, cut, coarse):
    def volume(level):
        return float("nan") if level in cut else shares.volumes_ml[item.lesion, level]

    found = {"v12_ml": volume(12.0), "v10_ml": volume(10.0), "prescription_gy": prescription}
    if prescription and not coarse:
        found |= conformity_metrics(
            item.samples.volume_ml,
            item.dvh.volume_at_ml(prescription),
            volume(prescription),
            volume(prescription / 2),
        )
        found["rtog_hi"] = item.dvh.maximum_gy / prescription
        found["rtog_quality"] = item.dvh.minimum_gy / prescription
    return found


def _group_lesions(targets):
    """Targets that lie in one another (GTV in CTV in PTV) are one lesion."""
    group = list(range(len(targets)))
    for a, one in enumerate(targets):
        for b in range(a):
            if _nested(one, targets[b]):
                old, new = group[a], group[b]
                group = [new if g == old else g for g in group]
    return [[t for t, g in zip(targets, group, strict=True) if g == n] for n in sorted(set(group))]


def _nested(one, other):
    small, large = sorted((one, other), key=lambda item: item.samples.volume_ml)
    low, high = (ends(large.samples.surface_lps_mm, axis=0) for ends in (np.min, np.max))
    middle = small.samples.surface_lps_mm.mean(axis=0)
    if (middle < low).any() or (middle > high).any():
        return False
    points = small.samples.points_lps_mm[:: max(1, len(small.samples.points_lps_mm) // 500)]
    distance, _ = cKDTree(large.samples.points_lps_mm).query(points)
    return float(np.mean(distance <= 1.8 * large.samples.step_mm)) > 0.5


def _organ_rows(items, rows, field_, brain):
    targets = [i for i in items if i.target]
    for item in items:
        if item.target:
            continue
        rows[id(item)] |= {f"v{d}_ml": item.dvh.volume_at_ml(float(d)) for d in (12, 10)}
        if brain is not None and item.structure.name.strip().lower() == brain.strip().lower():
            rows[id(item)] |= _brain_row(item, targets, field_)


def _brain_row(item, targets, field_):
    """V12 and V10 of the brain with and without targets.

    A dose grid often ends inside the brain: the volumes hold as long as its border stays below the level.
    """
    border = max(float(np.take(field_.array, [0, -1], axis=axis).max()) for axis in range(3))
    levels = [level for level in (12.0, 10.0) if item.dvh.covered >= 1.0 or border < level]
    if not levels:
        return {}
    brain = Membership(item.structure, item.step_mm)
    taken = TargetsInBrain([t.samples for t in targets], brain, field_)
    gtvs = [n for n, t in enumerate(targets) if t.structure.kind == "GTV"]
    found = {}
    for level, whole in brain_dose_volumes(brain, field_, levels).items():
        found[f"v{level:g}_ml"] = whole
        for name, chosen in (("gtv", gtvs), ("targets", range(len(targets)))):
            found[f"v{level:g}_minus_{name}_ml"] = max(whole - taken.hot_ml(level, chosen), 0.0)
    return found
