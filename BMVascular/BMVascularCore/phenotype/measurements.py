"""Values of lesions that were measured elsewhere: a CSV table or a JSON file instead of images."""

import json
import math
import re
from pathlib import Path

from BMVascularCore.errors import InputError
from BMVascularCore.io.tables import read_table
from BMVascularCore.phenotype.inputs import LesionInputs, Measured

#: Endings of files that hold measurements instead of images.
ENDINGS = (".csv", ".tsv", ".json")
_NUMBERS = ("longest_diameter_mm", "volume_ml", "perfusion_voxels", "itss_fraction", "oedema_ml")
_YES_NO = (
    "t1_bright", "near_vessel", "near_skull", "central_restriction", "pet_positive_read", "hypoperfused_before_srs",
)  # fmt: skip
_IDENTITY = ("tracking_id", "identity")
_MISSING = {"", "-", "–", "na", "n/a", "nan", "none", "null", "not measurable"}
_TRUE, _FALSE = {"1", "true", "yes", "y"}, {"0", "false", "no", "n"}
# endings of a column's name that state another unit
_UNIT_ENDINGS = {"_per_s": "1/s", "_percent": "%", "_pct": "%"}
# what a table of results holds beside measurements
_RESULTS = re.compile(
    r"(phenotype|stability|coverage|tier|e|p|n|share_.*|flags|what_would_change|spatially_mixed|habitat_.*_ml|"
    r".*_diameter_mm|.*_ml|lesion|name|label)"
)


def is_table(path):
    """True when a path names a table of measurements and not an image."""
    return str(path).lower().endswith(ENDINGS)


def read_measurements(path, rules):
    """Read the lesions of a measurement table.

    Parameters
    ----------
    path : path-like
        CSV: one row a lesion, the column ``name``; inputs by id (``ktrans``) or by their column with the unit
        (``ktrans_per_min``, ``rcbv_ratio``, ...), each with ``_rel_sd`` (fraction), ``_se`` (same unit) or
        ``_share`` beside it where known; facts such as ``longest_diameter_mm``. An empty cell is *not measurable*.
        JSON: ``{"lesions": [{"name": ..., "values": {id: number or {"value": ..., "rel_sd": ...}}, "facts": {...}}]}``
        or an earlier ``phenotype.json``.
    rules : dict
        The rule set.

    Returns
    -------
    lesions : list of LesionInputs
    warnings : list of str

    Raises
    ------
    InputError
        No lesions, a value that is no finite number, a negative error; says row and column.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("this table does not exist", path.name, "Check the path.")
    if path.suffix.lower() == ".json":
        return _from_json(path, rules)
    rows = read_table(path)
    if rows and "name" not in rows[0] and "lesion" not in rows[0]:
        raise InputError("lacks the column name", path.name, "Give one row a lesion, with its name.")
    columns = _columns(rules)
    lesions = [_row(row, number, columns, rules, path.name) for number, row in enumerate(rows, start=2)]
    known = {*_NUMBERS, *_YES_NO, *_IDENTITY}
    odd = [
        name
        for name in (rows[0] if rows else {})
        if name and _column(name, columns) is None and name not in known and not _RESULTS.fullmatch(name)
    ]
    warnings = [f"{path.name}: columns not known and not used: {', '.join(odd)}."] if odd else []
    return _found(lesions, path.name), warnings


def _found(lesions, where):
    if not lesions:
        raise InputError("holds no lesions", where, "Give one row a lesion.")
    return lesions


def _columns(rules):
    """Column name to (value id, what it gives, unit as stated or None)."""
    found = {}
    for spec in (*rules["inputs"], *rules["descriptors"]):
        for name in dict.fromkeys((spec["id"], spec["column"])):
            found[name] = (spec["id"], "value", None)
            for part in ("rel_sd", "se", "share", "p95"):
                found[f"{name}_{part}"] = (spec["id"], part, None)
        for ending, unit in _UNIT_ENDINGS.items():
            if unit in rules["units"].get(spec["id"], {}).get("convert", {}):
                found[f"{spec['id']}{ending}"] = (spec["id"], "value", unit)
    # the share of signal loss is a fact for the gates as much as a value to show
    found.pop("itss_fraction", None)
    return found


def _column(name, columns):
    return columns.get(name) or columns.get(name.lower())


def _row(row, number, columns, rules, where):
    name = (row.get("name") or row.get("lesion") or "").strip()
    if not name:
        raise InputError(f"row {number}, column name is empty", where, "Name the lesion.")
    parts, facts, extra = {}, {}, {}
    for column, text in row.items():
        place = f"row {number}, column {column}"
        entry = _column(column, columns)
        if entry is not None:
            value = _number(text, place, where)
            if value is not None:
                key, part, unit = entry
                factor = 1.0 if unit is None else rules["units"][key]["convert"][unit]
                parts.setdefault(key, {})[part] = value * factor
        elif column in _NUMBERS:
            facts[column] = _number(text, place, where)
        elif column in _YES_NO:
            facts[column] = _yes_no(text, place, where)
        elif column in _IDENTITY and str(text).strip():
            extra["tracking_id"] = str(text).strip()
    lesion = LesionInputs(name, _label(row.get("label"), number, where))
    lesion.values = {
        key: _measured(part, f"row {number}, {key}", where) for key, part in parts.items() if "value" in part
    }
    lesion.facts = {key: value for key, value in {**facts, **extra}.items() if value is not None}
    _check_facts(lesion, where)
    return lesion


def _label(text, number, where):
    text = str(text or "").strip()
    if not text:
        return number - 1
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value.is_integer():
        raise InputError(f"row {number}, column label: '{text}' is not a whole number", where, "Mend it.")
    return int(value)


def _number(text, place, where):
    """A finite number, None for *not measurable*."""
    if text is None:
        return None
    if isinstance(text, bool | list | dict):
        raise InputError(f"{place}: {text!r} is not a number", where, "Write a number or leave it empty.")
    if isinstance(text, str) and text.strip().lower() in _MISSING:
        return None
    try:
        value = float(text)
    except ValueError as error:
        hint = "Write a number with a decimal point, or leave it empty."
        raise InputError(f"{place}: '{text}' is not a number", where, hint) from error
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise InputError(f"{place}: the value is infinite", where, "Leave it empty if it is not measurable.")
    return value


def _yes_no(text, place, where):
    if isinstance(text, bool) or text is None:
        return text
    word = str(text).strip().lower()
    if word in _MISSING:
        return None
    if word not in _TRUE | _FALSE:
        raise InputError(f"{place}: '{text}' is neither yes nor no", where, "Write yes or no.")
    return word in _TRUE


def _measured(part, place, where):
    """A value with its error and share, checked."""
    for key in ("rel_sd", "se", "share"):
        if part.get(key) is not None and part[key] < 0:
            raise InputError(f"{place}: the {key} is negative ({part[key]:g})", where, "Mend the value.")
    share = part.get("share", 1.0)
    if share > 1.0:
        raise InputError(f"{place}: the share is {share:g}", where, "Give a fraction from 0 to 1.")
    value, rel_sd = part["value"], part.get("rel_sd", 0.0)
    if "se" in part and "rel_sd" not in part:
        rel_sd = part["se"] / abs(value) if value else 0.0
    return Measured(value, rel_sd, part.get("p95"), share, note="given in a table")


def _check_facts(lesion, where):
    for key in _NUMBERS:
        if lesion.facts.get(key) is not None and lesion.facts[key] < 0:
            raise InputError(f"{lesion.name}: {key} is negative", where, "Mend the value.")
    if lesion.facts.get("itss_fraction", 0.0) > 1.0:
        raise InputError(f"{lesion.name}: itss_fraction is above 1", where, "Give a fraction, not percent.")


# ----- JSON


def _from_json(path, rules):
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"is not valid JSON ({error})", path.name, "Mend the file.") from error
    entries = content.get("lesions") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        hint = 'Write {"lesions": [{"name": "M1", "values": {"ktrans": 0.1}}]}.'
        raise InputError("holds no list of lesions", path.name, hint)
    columns, unknown = _columns(rules), []
    lesions = [
        _entry(entry, n, columns, rules, unknown, path.name) for n, entry in enumerate(entries, start=1)
    ]
    warnings = []
    if unknown:
        listed = ", ".join(dict.fromkeys(unknown))
        warnings.append(f"{path.name}: values not known and not used: {listed}.")
    return _found(lesions, path.name), warnings


def _entry(entry, number, columns, rules, unknown, where):
    name = str(entry.get("name") or "").strip()
    if not name:
        raise InputError(f"lesion {number} has no name", where, "Name the lesion.")
    values, facts = _values_of(entry, name, where), entry.get("facts") or {}
    if not isinstance(facts, dict):
        raise InputError(f"{name}: facts is not an object", where, "Write {...}.")
    lesion = LesionInputs(name, _label(entry.get("label"), number + 1, where))
    for key, value in values.items():
        target = _column(key, columns)
        if target is None or target[1] != "value":
            unknown.append(key)
            continue
        part = dict(value) if isinstance(value, dict) else {"value": value}
        place = f"{name}, {key}"
        numbers = {k: _number(part.get(k), place, where) for k in ("value", "rel_sd", "se", "share", "p95")}
        numbers = {k: v for k, v in numbers.items() if v is not None}
        if "value" in numbers:
            factor = 1.0 if target[2] is None else rules["units"][target[0]]["convert"][target[2]]
            numbers |= {k: numbers[k] * factor for k in ("value", "se", "p95") if k in numbers}
            lesion.values[target[0]] = _measured(numbers, place, where)
    lesion.facts = _facts_of(facts, entry, name, where)
    _check_facts(lesion, where)
    return lesion


def _facts_of(facts, entry, name, where):
    found = {key: _number(facts.get(key), f"{name}, {key}", where) for key in _NUMBERS}
    found |= {key: _yes_no(facts.get(key), f"{name}, {key}", where) for key in _YES_NO}
    identity = entry.get("tracking_id") or entry.get("identity") or facts.get("tracking_id")
    found["tracking_id"] = str(identity) if identity else None
    return {key: value for key, value in found.items() if value is not None}


def _values_of(entry, name, where):
    """Values by id; those of an earlier ``phenotype.json`` come from its evidence rows."""
    if "evidence" in entry:
        # the uncertainty there holds the repeatability already: it is added anew
        rows = {
            row.get("input"): {
                "value": row.get("value"),
                "share": row.get("share_of_lesion"),
                "p95": row.get("p95"),
            }
            for row in entry["evidence"]
        }
        rows |= {row.get("id"): row.get("value") for row in entry.get("descriptors", ())}
        return {key: value for key, value in rows.items() if key and key != "itss_fraction"}
    values = entry.get("values")
    if values is None:
        values = {
            key: value for key, value in entry.items() if key not in ("name", "label", "facts", *_IDENTITY)
        }
    if not isinstance(values, dict):
        raise InputError(f"{name}: values is not an object", where, 'Write {"ktrans": 0.1}.')
    return values
