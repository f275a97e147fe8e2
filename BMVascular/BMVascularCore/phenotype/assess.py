"""From values of lesions to labels with stability, coverage, tier and reasons."""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.phenotype.context import check_names, parse_context
from BMVascularCore.phenotype.explain import input_rows, tier, weigh, what_would_change
from BMVascularCore.phenotype.gates import run_gates, vm_flag
from BMVascularCore.phenotype.inputs import apply_stated_units, check_lesions
from BMVascularCore.phenotype.repeatability import repeatability_of
from BMVascularCore.phenotype.rules import load_table
from BMVascularCore.phenotype.score import ANGIOGENIC, INSUFFICIENT, LABELS, MIXED, NEUTRAL, VCO
from BMVascularCore.phenotype.stability import label_shares
from BMVascularCore.phenotype.treatment_effect import treatment_panel
from BMVascularCore.phenotype.wording import texts_for
from BMVascularCore.progress import share_of, silent

NOT_ASSESSED = "not assessed: treatment effect possible"
_SHORT = {ANGIOGENIC: "angiogenic", VCO: "VCO", MIXED: "mixed", NEUTRAL: "indeterminate"}


@dataclass
class Assessment:
    """Result for all lesions of a scan.

    Attributes
    ----------
    rows : list of dict
        One row a lesion for ``phenotype.csv``.
    lesions : list of dict
        Full explanation of each lesion for ``phenotype.json``.
    habitats : Volume or None
        Label map, see :mod:`BMVascularCore.phenotype.habitats`.
    memberships : dict
        Habitat id to a membership :class:`Volume` (0..1).
    patient : dict
        Heterogeneity over lesions.
    table : dict
        Hashes of the evidence table and the rule set.
    warnings : list of str
    inputs : list of LesionInputs
        What was measured, in the rule set's units: to assess again under other rules without the images.
    """

    rows: list
    lesions: list
    habitats: object = None
    memberships: dict = field(default_factory=dict)
    patient: dict = field(default_factory=dict)
    table: dict = field(default_factory=dict)
    warnings: list = field(default_factory=list)
    inputs: list = field(default_factory=list)


def assess_values(lesions, context=None, table=None, progress=None):
    """Label lesions from their values.

    Parameters
    ----------
    lesions : list of LesionInputs
    context : dict or Context, optional
        See :mod:`BMVascularCore.phenotype.context`.
    table : Table, optional
        The shipped one by default.
    progress : callable, optional

    Returns
    -------
    Assessment
        The same whatever the order of lesions and inputs.

    Raises
    ------
    InputError
        No lesions, double names, negative values, a context that cannot be.
    """
    progress = progress or silent
    table = table or load_table()
    context = parse_context(context)
    check_lesions(lesions)
    check_names(context, lesions)
    lesions, warnings = apply_stated_units(lesions, context, table.rules)
    gates = [run_gates(lesion, context, table.rules) for lesion in lesions]
    spreads = [uncertainties(lesion, context, table.rules) for lesion in lesions]
    rows = [
        input_rows(lesion, gate, table, spread)
        for lesion, gate, spread in zip(lesions, gates, spreads, strict=True)
    ]
    faces = [weigh(row, table.rules) for row in rows]
    shares = label_shares(
        [_for_draws(item, row, gate) for item, row, gate in zip(lesions, rows, gates, strict=True)],
        table.rules,
        share_of(progress, 0.0, 0.9),
    )
    found = [
        _conclude(lesion, gate, row, face, share, context, table)
        for lesion, gate, row, face, share in zip(lesions, gates, rows, faces, shares, strict=True)
    ]
    return Assessment(
        rows=[csv_row(item, table.rules) for item in found],
        lesions=found,
        patient=patient_summary(found),
        table=table.provenance(),
        warnings=[*context.warnings, *warnings, *_protocol_warning(found)],
        inputs=lesions,
    )


def _protocol_warning(lesions):
    effects = {gate["effect"] for item in lesions for gate in item["gates"] if gate["gate"] == "protocol"} - {
        ""
    }
    return [f"{effect}. State the protocol in the context." for effect in sorted(effects)]


def uncertainties(lesion, context, rules):
    """Whole relative uncertainty of each input: repeatability, voxel error, mask error.

    Parameters
    ----------
    lesion : LesionInputs
    context : Context
    rules : dict

    Returns
    -------
    dict
        Input id to a coefficient of variation.
    """
    spreads = {}
    for spec in rules["inputs"]:
        measured = lesion.measured(spec["id"])
        if measured is None:
            continue
        entered = repeatability_of(spec["id"], context.repeatability, rules)
        base = spec["rel_sd"] if entered is None else entered
        if base is None:
            base = spec["abs_sd"] / max(measured.value, spec["abs_sd"])
        mask = mask_error(lesion, rules) if spec.get("mask_error") else 0.0
        spreads[spec["id"]] = float(np.sqrt(base**2 + measured.rel_sd**2 + mask**2))
    return spreads


def mask_error(lesion, rules):
    """Relative volume error from the boundary: 3 d / r for a sphere; 0 where the size is unknown."""
    volume_ml = lesion.facts.get("volume_ml")
    if not volume_ml:
        return 0.0
    radius_mm = (3.0 * volume_ml * 1000.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
    return 3.0 * rules["extraction"]["mask_delta_mm"] / radius_mm


def _for_draws(lesion, rows, gates):
    inputs = {
        row["input"]: (
            row["value"],
            row["rel_sd"],
            row["factor"] * row["quality"],
            gates.ramp.get(row["input"], 1.0),
        )
        for row in rows
        if row["value"] is not None
    }
    return {"key": lesion.name, "inputs": inputs}


def _conclude(lesion, gates, rows, face, shares, context, table):
    share = {_SHORT[label]: float(value) for label, value in zip(LABELS, shares, strict=True)}
    if face["label"] == INSUFFICIENT:
        share = {key: float(key == "indeterminate") for key in share}
    rule_label, stability = _top(share, face["label"])
    change = what_would_change(rows, face, table.rules)
    flag = vm_flag(lesion, context, table.rules)
    flags = [*gates.flags, *([flag] if flag else [])]
    result = {
        "name": lesion.name,
        "label": lesion.label,
        "phenotype": printed(rule_label, stability, share, gates, table.rules),
        "rule_label": rule_label,
        "stability": stability,
        "coverage": face["coverage"],
        "tier": tier(rows, table.rules),
        "balance": {key: _plain(face[key]) for key in ("e", "p", "n")},
        "label_shares": share,
        "gates": gates.gates,
        "flags": flags,
        "groups": face["groups"],
        "evidence": rows,
        "descriptors": _descriptors(lesion, table),
        "what_would_change": change,
        "facts": {key: _plain(value) for key, value in lesion.facts.items()},
    }
    if face["label"] == INSUFFICIENT:
        # a rule that had nothing to work on is trivially stable: no number may stand for it
        result.update(stability=None)
    if gates.stopped:
        result.update(stability=None, withheld_label=rule_label)
    result["treatment_effect"] = treatment_panel(lesion, context, table) if "irradiated" in flags else None
    result["texts"] = texts_for(result, context)
    return result


def _top(share, face_label):
    # on a tie the label at face value wins, so that order cannot decide
    best = max(share, key=lambda key: (round(share[key], 6), key == _SHORT.get(face_label), key))
    long = {short: label for label, short in _SHORT.items()}
    label = INSUFFICIENT if face_label == INSUFFICIENT else long[best]
    return label, share[best]


def printed(rule_label, stability, share, gates, rules):
    """The words of the label column."""
    if gates.stopped:
        return NOT_ASSESSED
    text = rule_label
    if rule_label != INSUFFICIENT and stability < rules["monte_carlo"]["print_at"]:
        parts = sorted(share.items(), key=lambda item: (-item[1], item[0]))
        inner = ", ".join(f"{name} {value:.2f}" for name, value in parts if value >= 0.005)
        text = f"indeterminate ({inner})"
    suffix = [flag for flag in ("irradiated", "on-treatment") if flag in gates.flags]
    return f"{text}, {', '.join(suffix)}" if suffix else text


def _descriptors(lesion, table):
    found = []
    for spec in table.rules["descriptors"]:
        measured = lesion.measured(spec["id"])
        value = lesion.facts.get(spec["id"]) if measured is None else measured.value
        if value is not None:
            keys = ("id", "title", "unit", "note")
            entry = {key: spec[key] for key in keys} | {"value": _plain(value)}
            entry["p95"] = None if measured is None else measured.p95
            found.append(entry)
    return found


def csv_row(result, rules):
    """One row of ``phenotype.csv``; an empty cell is *not measurable*."""
    row = {key: result[key] for key in ("name", "label", "phenotype", "stability", "coverage", "tier")}
    row |= {key: result["balance"][key] for key in ("e", "p", "n")}
    row |= {f"share_{key.lower()}": value for key, value in result["label_shares"].items()}
    columns = {spec["id"]: spec["column"] for spec in rules["inputs"]}
    row |= {columns[item["input"]]: item["value"] for item in result["evidence"]}
    row |= {f"{columns[item['input']]}_rel_sd": item["rel_sd"] for item in result["evidence"]}
    values = {item["id"]: item["value"] for item in result["descriptors"]}
    row |= {spec["column"]: values.get(spec["id"]) for spec in rules["descriptors"]}
    row |= {key: result["facts"].get(key) for key in ("volume_ml", "longest_diameter_mm")}
    row["flags"] = "; ".join(result["flags"])
    row["what_would_change"] = result["what_would_change"]["text"]
    return row


def patient_summary(lesions):
    """How the labels of one patient's lesions differ.

    Parameters
    ----------
    lesions : list of dict
        Entries of :attr:`Assessment.lesions`.

    Returns
    -------
    dict
        ``counts``, ``heterogeneous`` (two stable labels that differ) and ``text``.
    """
    counts = {}
    for lesion in lesions:
        key = lesion["phenotype"].split(" (")[0].split(",")[0]
        counts[key] = counts.get(key, 0) + 1
    stable = {key for key in counts if key in (ANGIOGENIC, VCO, MIXED)}
    listed = "; ".join(f"{key}: {counts[key]}" for key in sorted(counts))
    text = f"{len(lesions)} lesions. {listed}."
    if len(stable) > 1:
        text += " The lesions of this patient differ; one label does not stand for all."
    return {"counts": dict(sorted(counts.items())), "heterogeneous": len(stable) > 1, "text": text}


def _plain(value):
    if isinstance(value, bool | str) or value is None:
        return value
    number = float(value)
    return number if np.isfinite(number) else None


__all__ = ["Assessment", "assess_values", "patient_summary"]
