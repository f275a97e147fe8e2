"""Change between dates: what lies beyond repeatability, and which patterns it forms."""

import re
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
from scipy.special import ndtr

from BMVascularCore.errors import InputError
from BMVascularCore.phenotype.context import Context
from BMVascularCore.phenotype.gates import drug_windows
from BMVascularCore.phenotype.patterns import lesion_patterns, switch_state
from BMVascularCore.phenotype.repeatability import default_entry, repeatability_of
from BMVascularCore.phenotype.score import INSUFFICIENT
from BMVascularCore.phenotype.stability import log_sd

_PROTOCOL_KEYS = ("scanner", "field_t", "software", "flip_deg", "te_ms", "dose_mmol_per_kg", "preload")


@dataclass
class TimePoint:
    """One scan of a patient.

    Attributes
    ----------
    name : str
        What the report calls it, such as ``baseline``; never a date.
    day : float
        Days from any common zero.
    lesions : list of dict
        :attr:`Assessment.lesions`.
    context : Context
        Its ``protocol`` (``scanner``, ``software``, ``te_ms``, ...) decides whether dates compare.
    """

    name: str
    day: float
    lesions: list
    context: Context = field(default_factory=Context)


@dataclass
class ChangeReport:
    """Changes of one patient.

    Attributes
    ----------
    rows : list of dict
        One row a lesion, metric and pair of dates.
    timelines : dict
        Lesion name to the list of its states, patterns and switch statement.
    patient : dict
        Summary over lesions.
    warnings : list of str
    """

    rows: list
    timelines: dict
    patient: dict
    warnings: list


def compare_dates(points, table, site_repeatability=None):
    """Compare every later date with the first one.

    Lesions are the same by their tracking id where all have one, else by name (:func:`by_identity`).

    Parameters
    ----------
    points : list of TimePoint
    table : Table
    site_repeatability : dict, optional
        Metric to wCV, for example from :func:`~BMVascularCore.phenotype.repeatability.read_test_retest`.

    Returns
    -------
    ChangeReport

    Raises
    ------
    InputError
        Fewer than two dates, two scans of one day, a lesion that occurs twice at a date.
    """
    points = by_identity(sorted(points, key=lambda point: point.day))
    if len(points) < 2:
        raise InputError("one date is not enough to see a change", "timeline", "Give two dates or more.")
    if len({point.day for point in points}) < len(points):
        raise InputError("two scans have the same day", "timeline", "Mend the days.")
    rules, warnings, rows = table.rules, [], []
    for later in points[1:]:
        factor, text = protocol_factor(points[0], later, rules)
        if text:
            warnings.append(text)
        pair = _pair_rows(points[0], later, factor, rules, site_repeatability or {})
        false_discovery(pair, rules["change"]["false_discovery_rate"])
        rows += pair
    timelines = {name: _timeline(name, points, rows, rules) for name in _names(points)}
    return ChangeReport(rows, timelines, _patient(timelines), warnings)


def protocol_factor(first, later, rules):
    """Factor on the repeatability between two dates, and a sentence where it is not 1."""
    differing = [
        key
        for key in _PROTOCOL_KEYS
        if None not in (first.context.protocol.get(key), later.context.protocol.get(key))
        and first.context.protocol[key] != later.context.protocol[key]
    ]
    if not differing:
        return 1.0, ""
    factor = rules["change"]["different_protocol_factor"]
    names = ", ".join(differing)
    return factor, f"{first.name} and {later.name} differ in {names}: repeatability widened x{factor:g}."


def by_identity(points):
    """The points with one name for each lesion over all dates.

    Where every lesion of every date carries a tracking id, that id says which lesions are the same, and each goes
    by its name at the last date that shows it; otherwise equal names do.

    Parameters
    ----------
    points : list of TimePoint

    Returns
    -------
    list of TimePoint

    Raises
    ------
    InputError
        A lesion that occurs twice at one date.
    """
    identities = [[tracking_id(lesion) for lesion in point.lesions] for point in points]
    if any(None in found for found in identities):
        renamed = points
    else:
        shown = {tracking_id(lesion): lesion["name"] for point in points for lesion in point.lesions}
        # two lesions that swapped names over time: the id tells them apart
        doubles = {name for name in shown.values() if list(shown.values()).count(name) > 1}
        shown = {key: f"{name} [{key}]" if name in doubles else name for key, name in shown.items()}
        renamed = [
            replace(point, lesions=[{**item, "name": shown[tracking_id(item)]} for item in point.lesions])
            for point in points
        ]
    for point in renamed:
        names = [lesion["name"] for lesion in point.lesions]
        for name in names:
            if names.count(name) > 1:
                raise InputError(
                    f"the lesion '{name}' occurs twice", point.name, "Mend names or tracking ids."
                )
    return renamed


def tracking_id(lesion):
    """The id that a lesion keeps over time, None where none was given."""
    found = lesion.get("tracking_id") or lesion.get("facts", {}).get("tracking_id")
    return str(found) if found else None


def _names(points):
    return sorted({lesion["name"] for point in points for lesion in point.lesions})


def _find(point, name):
    return next((lesion for lesion in point.lesions if lesion["name"] == name), None)


def value_of(lesion, metric):
    """A metric of one assessed lesion, or NaN."""
    if metric == "volume":
        value = lesion["facts"].get("volume_ml")
    else:
        rows = {row["input"]: row["value"] for row in lesion["evidence"]}
        rows |= {row["id"]: row["value"] for row in lesion["descriptors"]}
        value = rows.get(metric)
    return float("nan") if value is None else float(value)


def _pair_rows(first, later, factor, rules, site):
    metrics = list(dict.fromkeys(entry["metric"] for entry in rules["repeatability"]))
    software = [point.context.protocol.get("software") for point in (first, later)]
    other_software = None not in software and software[0] != software[1]
    rows = []
    for name in _names([first, later]):
        before, after = _find(first, name), _find(later, name)
        if before is None or after is None:
            continue
        for metric in metrics:
            if metric == "ktrans" and other_software:
                continue
            values = value_of(before, metric), value_of(after, metric)
            if np.isfinite(values).all():
                spread = _spread(metric, values, later.context, factor, rules, site)
                rows.append(change_row(name, metric, (first, later), values, spread, rules["change"]["z"]))
    return rows


def _spread(metric, values, context, factor, rules, site):
    """Kind (``log`` or ``mm``) and standard error of a single measurement."""
    entered = site.get(metric) or repeatability_of(metric, context.repeatability, rules)
    entry = default_entry(metric, rules)
    if entered is not None:
        return "log", float(log_sd(entered * factor)), "entered by the site"
    if "abs_sd" in entry:
        return "mm", entry["abs_sd"] * factor, entry["source"]
    if "mask_delta_mm" in entry:
        radius_mm = (3000.0 * max(values[0], 1e-6) / (4.0 * np.pi)) ** (1 / 3)
        return "log", float(log_sd(3.0 * entry["mask_delta_mm"] / radius_mm * factor)), entry["source"]
    return "log", float(log_sd(entry["wcv"] * factor)), entry["source"]


def change_row(name, metric, pair, values, spread, z):
    """Change of one metric against its repeatability.

    ``d = ln(after / before)`` (or a plain difference in mm); limits are ``z sqrt(2) s``; the share in
    favour of a true rise is ``Phi(d / (sqrt(2) s))``. At exactly zero nothing follows: not measurable.

    Returns
    -------
    dict
    """
    kind, s, source = spread
    error = np.sqrt(2.0) * s
    if kind == "log":
        with np.errstate(divide="ignore", invalid="ignore"):
            d = float(np.log(values[1]) - np.log(values[0]))
        limits = [100.0 * float(np.expm1(sign * z * error)) for sign in (-1, 1)]
        shown, unit = 100.0 * float(np.expm1(d)) if np.isfinite(d) else None, "%"
    else:
        d = values[1] - values[0]
        limits, shown, unit = [-z * error, z * error], d, "mm"
    known = bool(np.isfinite(d))
    return {
        "name": name,
        "metric": metric,
        "from": pair[0].name,
        "to": pair[1].name,
        "days": pair[1].day - pair[0].day,
        "before": values[0],
        "after": values[1],
        "change": shown,
        "change_unit": unit,
        "limit_low": limits[0],
        "limit_high": limits[1],
        "rise_share": float(ndtr(d / error)) if known else None,
        "p_value": float(2.0 * ndtr(-abs(d) / error)) if known else None,
        "beyond_limits": known and abs(d) > z * error,
        "direction": int(np.sign(d)) if known else 0,
        "source": source,
    }


def false_discovery(rows, rate):
    """Benjamini-Hochberg over lesions and metrics; adds ``q_value`` and ``measured`` to each row.

    Benjamini and Hochberg, J R Stat Soc B 1995;57:289. A *measured change* lies beyond its limits
    and holds at the false discovery rate.
    """
    known = [row for row in rows if row["p_value"] is not None]
    order = sorted(known, key=lambda row: (row["p_value"], row["name"], row["metric"]))
    best = 1.0
    for rank in range(len(order), 0, -1):
        best = min(best, order[rank - 1]["p_value"] * len(order) / rank)
        order[rank - 1]["q_value"] = best
    for row in rows:
        row.setdefault("q_value", None)
        row["measured"] = bool(row["beyond_limits"] and row["q_value"] <= rate)


def metric_titles(rules):
    """Name of each metric for people."""
    titles = {spec["id"]: spec["title"] for spec in (*rules["descriptors"], *rules["inputs"])}
    return {
        entry["metric"]: titles.get(entry["metric"], entry["metric"].capitalize())
        for entry in rules["repeatability"]
    }


def timeline_rows(report, rules):
    """The timelines as one row a lesion and date, for a table.

    Parameters
    ----------
    report : ChangeReport
    rules : dict
        The rule set: gives the names of the metrics.

    Returns
    -------
    list of dict
        ``name``, ``scan``, ``day``, ``present``, ``phenotype``, ``stability``, ``drugs_in_window``,
        ``measured_changes``, ``patterns``, ``switch`` (on the last date of a lesion).
    """
    rows, titles = [], metric_titles(rules)
    for name in sorted(report.timelines, key=natural):
        line = report.timelines[name]
        for state in line["states"]:
            moved = sorted(state.get("measured", {}).items())
            # a rule that had nothing to work on is trivially stable: no number is shown
            stable = state.get("rule_label") != INSUFFICIENT
            rows.append(
                {
                    "name": name,
                    "scan": state["scan"],
                    "day": state["day"],
                    "present": state["present"],
                    "phenotype": state.get("phenotype") if state["present"] else "not there",
                    "stability": state.get("stability") if stable else None,
                    "drugs_in_window": "; ".join(state.get("drugs_in_window", ())),
                    "measured_changes": "; ".join(
                        f"{titles.get(key, key)} {'up' if sign > 0 else 'down'}" for key, sign in moved
                    ),
                    "patterns": "; ".join(item["text"] for item in state.get("patterns", ())),
                    "switch": "",
                }
            )
        if line["switch"]:
            rows[-1]["switch"] = line["switch"]["text"]
    return rows


def natural(name):
    """Sorting key that puts M2 before M10."""
    return [
        (not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)
    ]


def _timeline(name, points, rows, rules):
    states, first = [], _find(points[0], name)
    for point in points:
        lesion = _find(point, name)
        if lesion is None:
            states.append({"scan": point.name, "day": point.day, "present": False})
            continue
        moved = {
            row["metric"]: row["direction"]
            for row in rows
            if row["name"] == name and row["to"] == point.name and row["measured"]
        }
        states.append(_state(point, lesion, moved, rules))
    return {
        "states": states,
        "switch": switch_state(states, rules) if first is not None else None,
    }


def _state(point, lesion, moved, rules):
    target = SimpleNamespace(name=lesion["name"], label=lesion["label"])
    drugs = drug_windows(point.context, target, rules["gates"]["drug"])
    anti_vegf = bool(point.context.of_type(["anti-VEGF"], target))
    return {
        "scan": point.name,
        "day": point.day,
        "present": True,
        "phenotype": lesion["phenotype"],
        "rule_label": lesion["rule_label"],
        "stability": lesion["stability"],
        "drugs_in_window": drugs,
        "measured": moved,
        "patterns": lesion_patterns(moved, anti_vegf),
    }


def _patient(timelines):
    moved = sorted(name for name, line in timelines.items() if line["switch"] and line["switch"]["candidate"])
    others = sorted(set(timelines) - set(moved))
    text = "No lesion shows an imaging change compatible with a shift."
    if moved:
        text = f"Imaging change compatible with a shift: {', '.join(moved)}."
        text += f" Without it: {', '.join(others)}." if others else ""
    return {"candidates": moved, "others": others, "heterogeneous": bool(moved and others), "text": text}
