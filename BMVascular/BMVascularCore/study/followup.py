"""The follow-up stage of a run: the same lesions again, and what changed beyond repeatability."""

from dataclasses import dataclass, field

from BMVascularCore.errors import InputError
from BMVascularCore.io import write_table
from BMVascularCore.lesions import match_lesions
from BMVascularCore.phenotype import load_table, parse_context
from BMVascularCore.phenotype.change import TimePoint, compare_dates, timeline_rows
from BMVascularCore.planning.registration import register_rigid

_COLUMNS = (
    ("name", "lesion"),
    ("metric", "metric"),
    ("from", "from"),
    ("to", "to"),
    ("before", "before"),
    ("after", "after"),
    ("change", "change"),
    ("change_unit", "unit"),
    ("limit_low", "limit down"),
    ("limit_high", "limit up"),
    ("measured", "measured change"),
)


@dataclass
class Followup:
    """Comparison of two time points.

    Attributes
    ----------
    registration : Registration
        First T1c (fixed) to later T1c (moving).
    matches : list of Match
    change : ChangeReport or None
    notes : list of str
    """

    registration: object
    matches: list
    change: object = None
    notes: list = field(default_factory=list)

    def report_table(self):
        """Rows, columns and notes for the report."""
        caption = (
            "Changes within their repeatability limits are not called changes; false discovery is controlled "
            "over lesions and metrics (Benjamini-Hochberg)."
        )
        rows, notes, timeline, summary = [], list(self.notes), [], ""
        if self.change is not None:
            rows = sorted(self.change.rows, key=lambda row: (not row["measured"], row["name"], row["metric"]))
            notes += self.change.warnings
            timeline, summary = timeline_rows(self.change, load_table().rules), self.change.patient["text"]
        return {
            "rows": rows,
            "columns": list(_COLUMNS),
            "caption": caption,
            "text": ("name", "metric", "from", "to", "change_unit"),
            "notes": notes,
            "timeline": timeline,
            "summary": summary,
        }


def followup_stage(runs, folder, notes):
    """Match lesions of every later time point to the first and judge the change.

    Parameters
    ----------
    runs : list of TimePointRun
    folder : OutputFolder
    notes : list of str

    Returns
    -------
    list of Followup
        One for each later time point.
    """
    results = []
    first = runs[0]
    identities = {int(row["label"]): row["name"] for row in first.segmentation.rows}
    points = [_point(first, 0)]
    for number, later in enumerate(runs[1:], start=1):
        found = register_rigid(first.anatomy.t1c, later.anatomy.t1c, wide=False)
        matches = match_lesions(
            first.segmentation.labels, later.segmentation.labels, found.transform, identities
        )
        follow = Followup(found, matches)
        if found.verdict == "fail":
            follow.notes.append(
                f"{later.timepoint.label}: registration to the first time point failed its checks; "
                "matches need a look"
            )
        follow.notes += [_describe(match, later) for match in matches if match.status != "matched"]
        write_table(folder.file(f"change/matches_{number}.csv"), [match.row() for match in matches])
        points.append(_point(later, number, _renamed(matches, later)))
        results.append(follow)
    if results:
        try:
            results[0].change = compare_dates(points, load_table())
            write_table(folder.file("change/change.csv"), results[0].change.rows)
            write_table(
                folder.file("change/timeline.csv"), timeline_rows(results[0].change, load_table().rules)
            )
        except InputError as error:
            notes.append(f"change not judged: {error}")
    return results


def _describe(match, later):
    names = {int(row["label"]): row["name"] for row in later.segmentation.rows}
    there = ", ".join(names.get(label, str(label)) for label in match.current) or "nothing"
    return f"{later.timepoint.label}: {match.identity} is {match.status} ({there} at this time point)"


def _renamed(matches, later):
    """Name at the later time point to the identity that stays."""
    names = {int(row["label"]): row["name"] for row in later.segmentation.rows}
    return {names[label]: match.identity for match in matches for label in match.current if label in names}


def _point(run, number, renamed=None):
    lesions = [
        {**lesion, "name": (renamed or {}).get(lesion["name"], lesion["name"])}
        for lesion in run.phenotype.lesions
    ]
    days = run.timepoint.days
    return TimePoint(
        run.timepoint.label,
        float(number if days is None else days),
        lesions,
        parse_context(run.timepoint.context),
    )
