"""Change between the time points of a scene: rows for the panel, with the limits of repeatability."""

from datetime import date

from BMVascularCore.phenotype import load_table, parse_context
from BMVascularCore.phenotype.change import TimePoint, compare_dates
from BMVascularLib.phenotypeNodes import lesionTimepoints, readResult

COLUMNS = (
    ("name", "Lesion"),
    ("metric", "Measure"),
    ("before", "Before"),
    ("after", "After"),
    ("changed", "Change"),
    ("limits", "Repeatability limits"),
    ("q_value", "q"),
    ("verdict", "Finding"),
)


def compareScene(scene):
    """Compare all time points of a scene that were assessed; lesions are matched by name.

    Returns
    -------
    BMVascularCore.phenotype.change.ChangeReport or None
        None with fewer than two assessed time points.

    Raises
    ------
    InputError
        Two scans of one day.
    """
    found = [(label, readResult(scene, label)) for label in lesionTimepoints(scene)]
    found = [(label, result) for label, result in found if result is not None]
    if len(found) < 2:
        return None
    days = scanDays([result.context for _label, result in found])
    points = [
        TimePoint(label, day, result.lesions, parse_context(result.context))
        for (label, result), day in zip(found, days, strict=True)
    ]
    return compare_dates(points, load_table())


def scanDays(contexts):
    """Days of scans from any common zero; their order where the contexts do not tell all of them.

    Parameters
    ----------
    contexts : list of dict

    Returns
    -------
    list of float
    """
    for key, number in (("day", float), ("date", lambda text: float(date.fromisoformat(text).toordinal()))):
        told = [_scanEntry(context, key) for context in contexts]
        if None not in told:
            values = [number(value) for value in told]
            return [value - min(values) for value in values]
    return [float(order) for order in range(len(contexts))]


def _scanEntry(context, key):
    scan = context.get("scan")
    inner = scan.get(key) if isinstance(scan, dict) else (scan if key == "date" else None)
    return inner if inner is not None else context.get(f"scan_{key}")


def changeTableRows(report):
    """Rows for the panel: changes beyond the limits first, each with its limits and unit."""
    rows, rules = [], load_table().rules
    titles = {spec["id"]: spec["title"] for spec in (*rules["descriptors"], *rules["inputs"])}
    for row in sorted(report.rows, key=lambda row: (not row["measured"], row["name"], row["metric"])):
        unit = row["change_unit"]
        low, high = row["limit_low"], row["limit_high"]
        rows.append(
            row
            | {
                "metric": titles.get(row["metric"], row["metric"].capitalize()),
                "changed": None if row["change"] is None else f"{row['change']:+.0f} {unit}",
                "limits": f"{low:+.0f} to {high:+.0f} {unit}",
                "verdict": "measured change" if row["measured"] else "within repeatability",
            }
        )
        if row["beyond_limits"] and not row["measured"]:
            rows[-1]["verdict"] = "beyond limits, not held after false discovery control"
    return rows


def changeTexts(report):
    """Sentences: warnings, patterns of each lesion, and the summary over lesions."""
    texts = list(report.warnings)
    for name, line in sorted(report.timelines.items()):
        for state in line["states"]:
            for pattern in state.get("patterns", ()):
                texts.append(f"{name}, {state['scan']}: {pattern['text']}")
        switch = line["switch"]
        if switch and (switch["candidate"] or switch["under_drug"] or "further scan" in switch["text"]):
            texts.append(f"{name}: {switch['text']}")
    return [*dict.fromkeys(texts), report.patient["text"]]
