"""The report of a run: one HTML file from what lies in the results folder."""

import json
from pathlib import Path

from BMVascularCore.io import read_table
from BMVascularCore.phenotype import load_table
from BMVascularCore.phenotype.score import INSUFFICIENT
from BMVascularCore.report.lesion import findings
from BMVascularCore.report.page import bullets, escape, figure, number, page, table

_LESION_COLUMNS = (
    ("name", "lesion"), ("volume_ml", "volume (mL)"), ("volume_se_ml", "± (mL)"),
    ("longest_diameter_mm", "longest diameter (mm)"), ("perpendicular_diameter_mm", "perpendicular (mm)"),
    ("enhancing_ml", "enhancing (mL)"), ("core_ml", "core (mL)"), ("oedema_ml", "oedema (mL)"),
)  # fmt: skip
_PHENOTYPE_COLUMNS = (
    ("name", "lesion"), ("phenotype", "phenotype (rule label)"), ("stability", "rule stability"),
    ("coverage", "coverage"), ("tier", "tier"),
)  # fmt: skip
_TIMELINE_TEXT = ("name", "scan", "phenotype", "drugs_in_window", "measured_changes", "patterns", "switch")


def build_report(folder, extra=None):
    """Write the report's HTML from a results folder.

    Parameters
    ----------
    folder : path-like
        Holds ``results.json`` and what it names.
    extra : dict, optional
        ``notes`` (list of str), ``truth`` (rows and columns), ``change`` (rows), ``methods`` (list of str),
        ``timings`` (rows), ``reader`` (the reader's own text), ``protocol`` (rows of the protocol check).

    Returns
    -------
    str
        HTML text.
    """
    folder = Path(folder)
    index = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    pictures = _pictures(folder)
    extra = extra or {}
    parts = [f"<h1>{escape(index['title'])}</h1>", f'<div class="notice">{escape(index["notice"])}</div>']
    if index["simulated"]:
        parts.append(
            '<div class="notice"><b>Simulated data.</b> Every image in this report is computed from a model; '
            "no patient is shown.</div>"
        )
    parts.append(_reader(extra.get("reader")))
    parts.append(_summary(index, folder))
    parts.append(_truth(extra.get("truth")))
    for point in index["timepoints"]:
        parts.append(_timepoint(point, folder, pictures))
    parts.append(_change(extra.get("change")))
    parts.append(_planning(index.get("planning"), folder, pictures))
    parts.append(_closing(extra))
    return page(index["title"], "\n".join(part for part in parts if part))


def _pictures(folder):
    path = folder / "pictures.json"
    if not path.is_file():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, list) else content.get("pictures", [])


def _shown(folder, pictures, **wanted):
    chosen = [p for p in pictures if all(p.get(key) == value for key, value in wanted.items())]
    return "".join(
        figure(folder / p["file"], p.get("caption", "")) for p in chosen if (folder / p["file"]).is_file()
    )


def _summary(index, folder):
    rows = []
    for point in index["timepoints"]:
        phenotypes = _by_name(folder, point.get("phenotype_table"))
        for lesion in _rows(folder, point["lesions"].get("table")):
            rows.append(_glance(point, lesion, phenotypes.get(lesion["name"], {})))
    columns = (("timepoint", "time point"), *_LESION_COLUMNS[:1], ("volume_ml", "volume (mL)"),
               ("longest_diameter_mm", "longest diameter (mm)"), *_PHENOTYPE_COLUMNS[1:])  # fmt: skip
    note = (
        "Rule stability is the share of Monte Carlo draws with this label: how firmly the rule answers, "
        "not how likely the biology is. Coverage is the weight of the inputs that were available."
    )
    return "<h2>Lesions at a glance</h2>" + table(rows, columns, text=("timepoint", "phenotype")) + (
        f'<p class="soft">{escape(note)}</p>')  # fmt: skip


def _glance(point, lesion, found):
    """One row of the summary; a rule that had nothing to work on shows no stability."""
    row = {**found, **lesion, "timepoint": point["label"]}
    if row.get("phenotype", "") == INSUFFICIENT:
        row["stability"] = None
    return row


def _rows(folder, name):
    return read_table(folder / name) if name and (folder / name).is_file() else []


def _by_name(folder, name):
    return {row["name"]: row for row in _rows(folder, name)}


def _truth(truth):
    if not truth:
        return ""
    return "<h2>Computed against true</h2>" + table(
        truth["rows"], truth["columns"], truth.get("caption", ""), text=truth.get("text", ())
    )


def _timepoint(point, folder, pictures):
    days = f" (day {number(point['days'])})" if point.get("days") is not None else ""
    parts = [f"<h2>{escape(point['label'])}{escape(days)}</h2>"]
    parts.append(_shown(folder, pictures, kind="overview", timepoint=point["label"]))
    parts.append(table(_rows(folder, point["lesions"].get("table")), _LESION_COLUMNS, "Measurements"))
    explained, patient = _explanations(folder, point)
    if patient.get("text"):
        parts.append(f"<p>{escape(patient['text'])}</p>")
    citations = {key: row["citation"] for key, row in load_table().evidence.items()}
    for lesion in point["lesion_list"]:
        parts.append(f"<h3>{escape(point['label'])} · {escape(lesion['name'])}</h3>")
        parts.append(_shown(folder, pictures, kind="lesion", timepoint=point["label"], lesion=lesion["name"]))
        parts.append(_evidence(explained.get(lesion["name"]), citations))
    if point.get("notes"):
        parts.append(f"<h3>Notes on {escape(point['label'])}</h3>{bullets(point['notes'])}")
    return "\n".join(parts)


def _explanations(folder, point):
    path = folder / point["folder"] / "phenotype" / "phenotype.json"
    if not path.is_file():
        return {}, {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return {lesion["name"]: lesion for lesion in content.get("lesions", [])}, content.get("patient") or {}


def _evidence(lesion, citations):
    """Why the rule says what it says, row by row, and the texts with their sources."""
    if not lesion:
        return ""
    rows = [_evidence_row(row) for row in lesion["evidence"] if row.get("value") is not None]
    columns = (
        ("title", "input"),
        ("value", "value"),
        ("unit", "unit"),
        ("limits", "limits"),
        ("score", "score (−1 … +1)"),
        ("weight", "weight"),
        ("contribution", "contribution"),
        ("why", "discounted because"),
        ("source", "source of the limits"),
    )
    caption = (
        "Evidence. −1 speaks for values compatible with a preserved barrier (co-option-compatible), +1 for values "
        "compatible with leaky, dense vessels (angiogenic-compatible)."
    )
    texts = [lesion["what_would_change"]["text"]]
    texts += [
        f"{text['text']} [{'; '.join(citations.get(i, i) for i in text['source'])}]"
        for text in lesion["texts"]
    ]
    return (
        table(rows, columns, caption, text=("title", "unit", "limits", "why", "source"))
        + findings(lesion)
        + bullets(texts)
    )


def _evidence_row(row):
    """One input as the report shows it."""
    sources = {item["citation"] for item in row.get("source", [])} - {"design choice"}
    return {
        **row,
        "limits": f"{number(row['lo'])} to {number(row['hi'])}",
        "why": "; ".join([*row["discounted_because"], row["not_used_because"]]).strip("; "),
        "source": "; ".join(sorted(sources)) or "design choice",
    }


def _change(change):
    if not change:
        return ""
    columns = (
        ("name", "lesion"), ("scan", "time point"), ("phenotype", "phenotype (rule label)"),
        ("stability", "rule stability"), ("drugs_in_window", "drug in its window"),
        ("measured_changes", "measured change since the first"), ("patterns", "pattern"), ("switch", "shift"),
    )  # fmt: skip
    timeline = change.get("timeline") or []
    return (
        "<h2>Change between time points</h2>"
        + (f"<p>{escape(change['summary'])}</p>" if change.get("summary") else "")
        + (table(timeline, columns, "Timeline of each lesion", text=_TIMELINE_TEXT) if timeline else "")
        + table(change["rows"], change["columns"], change.get("caption", ""), text=change.get("text", ()))
        + bullets(change.get("notes", []))
    )


def _planning(planning, folder, pictures):
    if not planning:
        return ""
    parts = ["<h2>Radiosurgery planning</h2>", _shown(folder, pictures, kind="planning")]
    verdict = planning.get("verdict", "")
    if verdict:
        parts.append(
            f'<p>Fusion of MRI and planning CT: <span class="{escape(verdict)}">{escape(verdict)}</span></p>'
        )
        parts.append(bullets(planning.get("reasons", [])))
    for key, caption in (
        ("targets_table", "Targets"),
        ("metrics_table", "Dose check (no dose is calculated here)"),
        ("constraints_table", "Published limits of organs beside the dose (reference, no judgement)"),
        (
            "habitat_dose_table",
            "Dose in the habitats and the front of each lesion (reference, not for treatment)",
        ),
    ):
        rows = _rows(folder, planning.get(key))
        if rows:
            columns = [(name, _heading(name)) for name in rows[0]][:14]
            parts.append(
                table(
                    rows, columns, caption, text=("name", "structure", "notes", "reason", "lesion", "region")
                )
            )
    written = planning.get("dicom") or []
    if written:
        columns = [("file", "file"), ("object", "object"), ("content", "content")]
        parts.append(table(written, columns, "DICOM objects written", text=("file", "object", "content")))
    parts.append(bullets(planning.get("notes", [])))
    return "\n".join(parts)


def _heading(column):
    """``d98_gy`` to ``D98 (Gy)``."""
    units = {"ml": "mL", "gy": "Gy", "mm": "mm", "s": "s"}
    stem, _, unit = column.rpartition("_")
    if stem and unit in units:
        return (
            f"{stem.replace('_', ' ').upper() if len(stem) <= 4 else stem.replace('_', ' ')} ({units[unit]})"
        )
    return column.replace("_", " ")


def _reader(text):
    return f"<h2>Reader's notes</h2><pre>{escape(text)}</pre>" if text and text.strip() else ""


def _protocol(rows):
    """What deviates from the recommended protocol; what is met is only counted."""
    if not rows:
        return ""
    open_ = [row for row in rows if row["status"] != "met"]
    caption = f"{len(rows) - len(open_)} of {len(rows)} points are met; the others:"
    columns = (("timepoint", "time point"), ("role", "series"), ("item", "point"), ("found", "found"), ("wanted", "wanted"),
               ("status", "status"), ("meaning", "what it means"), ("source", "source"))  # fmt: skip
    return "<h2>Protocol check</h2>" + table(open_, columns, caption, text=[key for key, _ in columns])


def _closing(extra):
    parts = [_protocol(extra.get("protocol"))]
    if extra.get("methods"):
        parts.append("<h2>Methods</h2>" + "".join(f"<p>{escape(text)}</p>" for text in extra["methods"]))
    if extra.get("notes"):
        parts.append("<h2>Warnings and notes</h2>" + bullets(extra["notes"]))
    if extra.get("timings"):
        parts.append(
            table(
                extra["timings"],
                (("stage", "stage"), ("seconds", "seconds")),
                "Time per stage",
                text=("stage",),
            )
        )
    return "".join(parts)
