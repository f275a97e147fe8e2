"""The result of one lesion, row by row, and what would change it."""

import numpy as np

from BMVascularCore.phenotype.score import INSUFFICIENT, LABELS, combine, decide, score


def input_rows(lesion, gates, table, rel_sd):
    """Evidence rows of one lesion, in the order of the rule set.

    Parameters
    ----------
    lesion : LesionInputs
    gates : GateResult
    table : Table
    rel_sd : dict
        Input id to its whole relative uncertainty.

    Returns
    -------
    list of dict
        ``input``, ``value``, ``unit``, ``rel_sd``, ``lo``, ``hi``, ``score``, ``factor``,
        ``quality``, ... Without a value the row says why, and its weight and contribution are 0.
    """
    rows = []
    for spec in table.rules["inputs"]:
        measured = lesion.measured(spec["id"])
        ramp = gates.ramp.get(spec["id"], 1.0)
        row = {
            "input": spec["id"],
            "title": spec["title"],
            "group": spec["group"],
            "unit": spec["unit"],
            "value": None,
            "rel_sd": None,
            "p95": None,
            "lo": spec["lo"] * ramp,
            "hi": spec["hi"] * ramp,
            "one_sided": spec["one_sided"],
            "score": None,
            "factor": spec["factor"],
            "quality": 0.0,
            "weight": 0.0,
            "contribution": 0.0,
            "share_of_lesion": None,
            "discounted_because": [],
            "not_used_because": lesion.set_aside.get(spec["id"], "no such input"),
            "note": "",
            "source": [_citation(key, table) for key in spec["source"]],
        }
        if measured is not None:
            _fill(row, measured, spec, gates, rel_sd)
        rows.append(row)
    return rows


def _fill(row, measured, spec, gates, rel_sd):
    row.update(
        value=measured.value,
        rel_sd=rel_sd[spec["id"]],
        p95=measured.p95,
        score=float(score(measured.value, row["lo"], row["hi"], spec["scale"] == "log", spec["one_sided"])),
        quality=gates.quality.get(spec["id"], 1.0),
        share_of_lesion=measured.share,
        discounted_because=list(gates.reasons.get(spec["id"], [])),
        not_used_because="",
        note=measured.note,
    )


def _citation(key, table):
    row = table.evidence[key]
    return {"id": key, "citation": row["citation"], "doi": row["doi"], "verified": row["verified"]}


def weigh(rows, rules):
    """Group scores and trusts; fills ``weight`` and ``contribution`` of each row.

    Parameters
    ----------
    rows : list of dict
        From :func:`input_rows`; changed in place.
    rules : dict

    Returns
    -------
    dict
        ``e``, ``p``, ``n``, ``coverage``, ``label`` (at face value) and ``groups`` (list of dict).
    """
    groups = [_group(group, rows) for group in rules["groups"]]
    weights = np.array([group["weight"] for group in groups])
    scores = np.array([group["score"] or 0.0 for group in groups])
    coverage = float(weights.sum())
    e, p, n = (float(x) for x in combine(weights, scores))
    for group in groups:
        members = [row for row in rows if row["group"] == group["group"] and row["value"] is not None]
        total = sum(row["factor"] * row["quality"] for row in members)
        for row in members:
            part = row["factor"] * row["quality"] / total if total else 0.0
            row["weight"] = part * group["weight"]
            row["contribution"] = row["weight"] * row["score"] / coverage if coverage else 0.0
    label = face_label(e, p, n, coverage, rules["decision"])
    return {"e": e, "p": p, "n": n, "coverage": coverage, "label": label, "groups": groups}


def face_label(e, p, n, coverage, decision):
    """Label without any doubt in inputs, limits and weights."""
    # the sum of weights may miss the limit by rounding
    if coverage < decision["min_coverage"] - 1e-9:
        return INSUFFICIENT
    return LABELS[int(decide(e, p, n, decision))]


def _group(group, rows):
    trusts = [row["factor"] * row["quality"] for row in rows if _counts(row, group)]
    scores = [row["score"] for row in rows if _counts(row, group)]
    total = sum(trusts)
    return {
        "group": group["id"],
        "title": group["title"],
        "full_weight": group["weight"],
        "weight": group["weight"] * max(trusts, default=0.0),
        "score": float(np.dot(trusts, scores) / total) if total else None,
    }


def _counts(row, group):
    return row["group"] == group["id"] and row["value"] is not None


def what_would_change(rows, result, rules):
    """The single missing series that could change the label most.

    Each group whose main input is missing is completed with that input at either end of its
    range, everything else unchanged.

    Returns
    -------
    dict
        ``can_change`` (bool), ``series`` (str or None), ``text`` and ``options`` (all that could).
    """
    options = []
    for group in rules["groups"]:
        spec = max((s for s in rules["inputs"] if s["group"] == group["id"]), key=lambda s: s["factor"])
        row = next(row for row in rows if row["input"] == spec["id"])
        if row["value"] is not None:
            continue
        ends = [_with(row, rows, value, rules) for value in (-1.0, 0.0 if spec["one_sided"] else 1.0)]
        labels = {label for label, _ in ends} - {result["label"]}
        if labels:
            swing = abs(ends[1][1] - ends[0][1])
            options.append(
                {"group": group["id"], "series": group["series"], "labels": sorted(labels), "swing": swing}
            )
    options.sort(key=lambda option: (-len(option["labels"]), -option["swing"], option["group"]))
    if not options:
        text = "No single missing series could change the label."
        return {"can_change": False, "series": None, "text": text, "options": []}
    text = f"{options[0]['series'][:1].upper()}{options[0]['series'][1:]} could change this label."
    return {"can_change": True, "series": options[0]["series"], "text": text, "options": options}


def _with(row, rows, value, rules):
    filled = {**row, "value": 1.0, "score": value, "quality": 1.0}
    groups = [
        _group(group, [filled if other is row else other for other in rows]) for group in rules["groups"]
    ]
    weights = np.array([group["weight"] for group in groups])
    e, p, n = (float(x) for x in combine(weights, np.array([group["score"] or 0.0 for group in groups])))
    return face_label(e, p, n, float(weights.sum()), rules["decision"]), e


def tier(rows, rules):
    """How the lesion was measured: A permeability and volume, B one of them, C neither."""
    traits = {spec["id"]: spec["quantitative"] for spec in rules["inputs"]}
    kinds = {traits[row["input"]] for row in rows if row["value"] is not None and row["quality"] > 0}
    found = len(kinds & {"permeability", "volume"})
    return "CBA"[found]
