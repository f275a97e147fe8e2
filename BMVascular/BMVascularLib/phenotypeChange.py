"""Change between the time points of a scene: rows for the panel, with the limits of repeatability."""

from datetime import date

from BMVascularCore.phenotype import load_table, parse_context
from BMVascularCore.phenotype.change import TimePoint, compare_dates, metric_titles, natural, timeline_rows
from BMVascularLib import lesionNodes
from BMVascularLib.phenotypeNodes import (
    LESIONS,
    contextContent,
    contextText,
    lesionTimepoints,
    nodeOf,
    readResult,
)
from BMVascularLib.segments import segmentIds

ARROW = "\N{RIGHTWARDS ARROW}"
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
    """Compare all time points of a scene that were assessed.

    A lesion is the same by the identity that a reader confirmed in Lesion Seeding, else by its name.

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
        TimePoint(label, day, identified(scene, label, result.lesions), parse_context(result.context))
        for (label, result), day in zip(found, days, strict=True)
    ]
    # the site's own repeatability may have come after the assessment
    entered = contextContent(contextText(scene, found[-1][0])).get("repeatability") or {}
    site = {key: value for key, value in entered.items() if not isinstance(value, str)}
    return compare_dates(points, load_table(), site)


def identified(scene, timepoint, lesions):
    """Lesions with the id that each keeps over time.

    Parameters
    ----------
    scene : vtkMRMLScene
    timepoint : str
    lesions : list of dict

    Returns
    -------
    list of dict
        ``tracking_id``: confirmed in Lesion Seeding, else the name; a name that another lesion of this date has
        as its confirmed id is no match and gets the time point behind it.
    """
    node = nodeOf(scene, LESIONS, timepoint)
    confirmed = {}
    if node is not None:
        segmentation = node.GetSegmentation()
        for segmentId in segmentIds(node):
            segment = segmentation.GetSegment(segmentId)
            confirmed[segment.GetName()] = lesionNodes.tagOf(segment, lesionNodes.IDENTITY)
    taken = {identity for identity in confirmed.values() if identity}
    found = []
    for lesion in lesions:
        identity, name = confirmed.get(lesion["name"]), lesion["name"]
        found.append(
            lesion | {"tracking_id": identity or (f"{name} ({timepoint})" if name in taken else name)}
        )
    return found


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
    rows, titles = [], metric_titles(load_table().rules)
    for row in sorted(
        report.rows, key=lambda row: (not row["measured"], natural(row["name"]), row["metric"])
    ):
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
    """Sentences: warnings, the timeline of each lesion, and the summary over lesions."""
    texts = list(report.warnings)
    lines = {}
    for row in timeline_rows(report, load_table().rules):
        lines.setdefault(row["name"], []).append(row)
    for name, rows in lines.items():
        states = f" {ARROW} ".join(_stateText(row) for row in rows)
        more = [text for row in rows for text in (row["patterns"], row["switch"]) if text]
        quiet = [text for text in more if "fulfils" not in text and "no stable" not in text]
        texts.append(f"{name}: {'; '.join([states, *quiet])}")
    return [*dict.fromkeys(texts), report.patient["text"]]


def _stateText(row):
    stability = "" if row["stability"] is None else f" {row['stability']:.2f}"
    return f"{row['scan']} {row['phenotype']}{stability}"
