"""The context of a scan between its JSON form and the fields of a small form."""

import json

from BMVascularCore.errors import InputError

HISTOLOGIES = ("", "lung", "breast", "melanoma", "renal", "colorectal", "other")
TREATMENTS = ("SRS", "RT", "anti-VEGF", "steroid", "ICI", "other")
CHOICES = (("not stated", None), ("yes", True), ("no", False))


def formOf(content):
    """Fields of the form.

    Parameters
    ----------
    content : dict
        The JSON object; see :mod:`BMVascularCore.phenotype.context`.

    Returns
    -------
    dict
        ``histology``, ``molecular``, ``scan``, ``flip_deg`` (text), ``preload``, ``leakage_correction`` (None,
        True, False), ``treatments`` (list of dict of text: ``type``, ``start``, ``end``, ``lesions``).
    """
    protocol = content.get("protocol") or {}
    molecular = content.get("molecular") or []
    scan = content.get("scan")
    scan = scan if isinstance(scan, dict) else {"date": scan}
    return {
        "histology": str(content.get("histology") or ""),
        "molecular": ", ".join([molecular] if isinstance(molecular, str) else map(str, molecular)),
        "scan": _moment(
            scan.get("day", content.get("scan_day")), scan.get("date") or content.get("scan_date")
        ),
        "preload": protocol.get("preload"),
        "leakage_correction": protocol.get("leakage_correction"),
        "flip_deg": _number(protocol.get("flip_deg", protocol.get("flip"))),
        "treatments": [_treatmentForm(entry) for entry in content.get("treatments") or []],
    }


def contentOf(form, content):
    """The JSON object after an edit of the form; entries that the form does not show stay.

    Parameters
    ----------
    form : dict
        As :func:`formOf` gives it.
    content : dict
        The object before.

    Raises
    ------
    InputError
        A field that is neither a number of days nor a date, and other text where a number is wanted.
    """
    result = {key: value for key, value in content.items() if key not in ("scan_day", "scan_date")}
    _put(result, "histology", form["histology"].strip())
    _put(result, "molecular", [part.strip() for part in form["molecular"].split(",") if part.strip()])
    _put(result, "scan", _momentEntry(form["scan"], "scan"))
    protocol = {key: value for key, value in (content.get("protocol") or {}).items() if key != "flip"}
    for key in ("preload", "leakage_correction"):
        _put(protocol, key, form[key])
    _put(protocol, "flip_deg", _degrees(form["flip_deg"]))
    _put(result, "protocol", protocol)
    _put(result, "treatments", [_treatmentEntry(row) for row in form["treatments"] if row["type"]])
    return result


def contextJson(content):
    """JSON text of a context, as the panel shows it."""
    return json.dumps(content, indent=1, ensure_ascii=False) if content else ""


def _put(target, key, value):
    if value is None or value == "" or value == [] or value == {}:
        target.pop(key, None)
    else:
        target[key] = value


def _number(value):
    return "" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)


def _moment(day, date):
    return str(date) if day is None and date is not None else _number(day)


def _momentEntry(text, what, prefix=""):
    """``{"day": 3}`` or ``{"date": "2024-03-15"}`` of a text; empty for none."""
    text = str(text).strip()
    if not text:
        return {}
    try:
        return {f"{prefix}day": float(text)}
    except ValueError:
        if len(text.split("-")) != 3:
            raise InputError(
                f"'{text}' is neither a number of days nor a date",
                f"context, {what}",
                "Write 12 or 2024-03-15.",
            ) from None
        return {f"{prefix}date": text}


def _degrees(text):
    text = str(text).strip()
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"'{text}' is not a number", "context, flip angle", "Write degrees.") from error


def _treatmentForm(entry):
    lesions = entry.get("lesions", "all")
    listed = lesions if isinstance(lesions, str) else ", ".join(str(item) for item in lesions or ())
    return {
        "type": str(entry.get("type", "")),
        "start": _moment(entry.get("day"), entry.get("date")),
        "end": _moment(entry.get("end_day"), entry.get("end_date")),
        "lesions": listed or "all",
    }


def _treatmentEntry(row):
    entry = {"type": row["type"]}
    entry |= _momentEntry(row["start"], f"{row['type']} start")
    entry |= _momentEntry(row["end"], f"{row['type']} end", "end_")
    named = [part.strip() for part in row["lesions"].split(",") if part.strip()]
    entry["lesions"] = "all" if not named or [part.lower() for part in named] == ["all"] else named
    return entry
