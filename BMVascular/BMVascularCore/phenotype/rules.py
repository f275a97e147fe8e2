"""The evidence table and the rule set: loaded, checked, hashed. Limits live in these files, never in code."""

import csv
import hashlib
import io
import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from BMVascularCore.errors import InputError
from BMVascularCore.resources import resource

COLUMNS = (
    "id",
    "quantity",
    "comparison",
    "lo",
    "hi",
    "unit",
    "direction",
    "population",
    "effect",
    "citation",
    "doi",
    "confidence",
    "verified",
    "used_for",
)
_VERIFIED = ("yes", "no", "from memory", "assumption")
_CONFIDENCE = ("high", "moderate", "low", "very low")
_PARTS = (
    "monte_carlo",
    "decision",
    "groups",
    "inputs",
    "descriptors",
    "gates",
    "vm_flag",
    "units",
    "extraction",
    "habitats",
    "repeatability",
    "change",
    "treatment_effect",
)
# objects whose keys the user may choose
_OPEN = ("units", "gates/histology/ramp")
_SHIPPED = ("evidence.csv", "phenotype_rules.json")


@dataclass(frozen=True)
class Table:
    """Evidence and rules of one run.

    Attributes
    ----------
    evidence : dict
        Row id to row (dict of text, ``lo`` and ``hi`` as float or None).
    rules : dict
        The rule set as read from JSON.
    sha256 : dict
        ``evidence`` and ``rules``: SHA-256 of the text that was used (line ends normalised).
    edited : dict
        ``evidence`` and ``rules``: True where the text differs from the shipped one.
    """

    evidence: dict
    rules: dict
    sha256: dict
    edited: dict

    def spec(self, input_id):
        """Rule of one input, or None."""
        return next((spec for spec in self.rules["inputs"] if spec["id"] == input_id), None)

    def provenance(self):
        """Hashes and a sentence for results."""
        edited = [name for name, value in self.edited.items() if value]
        text = (
            f"edited by the user: {' and '.join(edited)}"
            if edited
            else "as shipped with this version of BMVascular"
        )
        return {"sha256": self.sha256, "edited": self.edited, "version": self.rules["version"], "text": text}


def load_table(evidence=None, rules=None):
    """Load the evidence table and the rule set.

    Parameters
    ----------
    evidence, rules : path-like, optional
        The user's own files; the shipped ones by default.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        Names the file, the row and the column (or the entry) that is wrong.
    """
    texts, edited = {}, {}
    for name, given, shipped in zip(("evidence", "rules"), (evidence, rules), _SHIPPED, strict=True):
        shipped_text = _text(resource("Evidence", shipped))
        texts[name] = shipped_text if given is None else _text(given)
        edited[name] = texts[name] != shipped_text
    rows = parse_evidence(texts["evidence"], Path(evidence or _SHIPPED[0]).name)
    content = parse_rules(texts["rules"], rows, Path(rules or _SHIPPED[1]).name)
    hashes = {name: hashlib.sha256(text.encode("utf-8")).hexdigest() for name, text in texts.items()}
    return Table(rows, content, hashes, edited)


def _text(path):
    path = Path(path)
    if not path.is_file():
        raise InputError("this file does not exist", path.name, "Check the path.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", path.name, "Save it as UTF-8.") from error


def parse_evidence(text, name="evidence.csv"):
    """Rows of the evidence table by id.

    Parameters
    ----------
    text : str
        CSV with the columns of :data:`COLUMNS`; more columns are kept.
    name : str
        File name for messages.

    Returns
    -------
    dict of dict

    Raises
    ------
    InputError
        Missing column, double id, text where a number is wanted, unknown mark; says row and column.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or [])]
    if missing:
        raise InputError(f"lacks the column {missing[0]}", name, f"Columns wanted: {', '.join(COLUMNS)}.")
    rows = {}
    for number, row in enumerate(reader, start=2):
        rows_id = (row["id"] or "").strip()
        if not rows_id or rows_id in rows:
            fault = f"occurs twice ({rows_id})" if rows_id else "is empty"
            raise InputError(f"row {number}, column id {fault}", name, "Give each row its own id.")
        rows[rows_id] = _evidence_row(row, number, name)
    return rows


def _evidence_row(row, number, name):
    if any(row[column] is None for column in COLUMNS):
        raise InputError(f"row {number} has too few cells", name, "Quote cells that hold commas.")
    clean = {key: value.strip() for key, value in row.items() if isinstance(key, str)}
    for column in ("lo", "hi"):
        try:
            clean[column] = float(clean[column]) if clean[column] else None
        except ValueError as error:
            fault = f"row {number}, column {column}: '{clean[column]}' is not a number"
            raise InputError(fault, name, "Write a number or leave the cell empty.") from error
    for column, allowed in (("verified", _VERIFIED), ("confidence", _CONFIDENCE)):
        if clean[column] not in allowed:
            fault = f"row {number}, column {column}: '{clean[column]}' is not known"
            raise InputError(fault, name, f"Use one of: {', '.join(allowed)}.")
    if not clean["citation"]:
        raise InputError(f"row {number}, column citation is empty", name, "Name the source.")
    return clean


def parse_rules(text, evidence, name="phenotype_rules.json"):
    """The rule set, checked against the evidence table.

    Parameters
    ----------
    text : str
        JSON.
    evidence : dict
        Rows by id; every ``source`` must name rows that exist.
    name : str
        File name for messages.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        Names the entry that is wrong.
    """
    try:
        rules = json.loads(text)
    except ValueError as error:
        raise InputError(f"is not valid JSON ({error})", name, "Mend the file.") from error
    missing = [part for part in ("version", *_PARTS) if not isinstance(rules, dict) or part not in rules]
    if missing:
        raise InputError(f"lacks the entry {missing[0]}", name, "Start from the shipped file.")
    _check_complete(_shipped_rules(), rules, "", name)
    groups = [_check_entry(group, ("id", "title", "weight"), "groups", name) for group in rules["groups"]]
    for group in rules["groups"]:
        _check_number(group, "weight", f"groups/{group['id']}", name, 0.0, 1.0)
    _check_open(rules, name)
    seen = set()
    for spec in rules["inputs"]:
        _check_input(spec, groups, seen, name)
    _check_sources(rules, evidence, name)
    draws = rules["monte_carlo"].get("draws")
    if not isinstance(draws, int) or not 100 <= draws <= 100000:
        raise InputError("entry monte_carlo/draws is not a number from 100 to 100000", name, "Use 4000.")
    return rules


def _check_list(shipped, given, where, name):
    if not isinstance(given, list):
        raise InputError(f"entry {where} is not a list", name, "Start from the shipped file.")
    if not shipped or not isinstance(shipped[0], dict):
        return
    needed = set.intersection(*(set(item) for item in shipped))
    kinds = {key: {_kind(item[key]) for item in shipped} for key in needed}
    for number, item in enumerate(given, start=1):
        place = f"entry {where}/{item.get('id', number) if isinstance(item, dict) else number}"
        missing = sorted(needed - set(item)) if isinstance(item, dict) else ["keys"]
        if missing:
            raise InputError(f"{place} lacks {missing[0]}", name, "Add it, as in the shipped file.")
        for key in sorted(needed):
            if key != "source" and _kind(item[key]) not in kinds[key]:
                wanted = " or ".join(sorted(kinds[key]))
                raise InputError(
                    f"{place}/{key} is {item[key]!r}, wanted is a {wanted}", name, "Mend the entry."
                )
    absent = [
        item["id"] for item in shipped if "id" in item and item["id"] not in [each["id"] for each in given]
    ]
    if where == "inputs" and absent:
        raise InputError(
            f"lacks the entry inputs/{absent[0]}", name, "Give an input factor 0 to leave it out."
        )


def _kind(value):
    """What a value is, in a word; numbers that are not finite are no numbers."""
    if isinstance(value, bool):
        return "yes or no"
    if isinstance(value, int | float):
        return "number" if math.isfinite(value) else "number that is not finite"
    return {str: "text", list: "list", dict: "object"}.get(type(value), "nothing")


@cache
def _shipped_rules():
    return json.loads(_text(resource("Evidence", _SHIPPED[1])))


def _check_complete(shipped, given, where, name):
    """Every setting of the shipped rules is there, and is a number where that one is."""
    for key, value in shipped.items():
        place = f"{where}/{key}".strip("/")
        if key not in given:
            raise InputError(f"lacks the entry {place}", name, "Start from the shipped file.")
        if isinstance(value, dict):
            if not isinstance(given[key], dict):
                raise InputError(f"entry {place} is not an object", name, "Start from the shipped file.")
            if place not in _OPEN:
                _check_complete(value, given[key], place, name)
        elif isinstance(value, list):
            _check_list(value, given[key], place, name)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            _check_number(given, key, where or "top", name, -1e6, 1e6)


def _check_open(rules, name):
    """Parts whose keys the user may choose: units by input, limits by histology, the band before the test."""
    for key in rules["gates"]["histology"]["ramp"]:
        _check_number(rules["gates"]["histology"]["ramp"], key, "gates/histology/ramp", name, 0.01, 100.0)
    pretest = rules["treatment_effect"]["pretest"]
    if len(pretest) != 2 or not all(_kind(value) == "number" for value in pretest):
        raise InputError("entry treatment_effect/pretest is no pair of numbers", name, "Give two shares.")
    for key, rule in rules["units"].items():
        where = f"units/{key}"
        if not isinstance(rule, dict) or not isinstance(rule.get("expected"), str):
            raise InputError(f"entry {where} is no object with 'expected'", name, "Mend the entry.")
        for part in ("suspect_above", "suspect_all_below"):
            if part in rule:
                _check_number(rule, part, where, name, 0.0, 1e9)
        band = rule.get("background", [0, 1])
        if not isinstance(band, list) or len(band) != 2 or not all(_kind(x) == "number" for x in band):
            raise InputError(f"entry {where}/background is no pair of numbers", name, "Mend the entry.")
        texts = {part: rule.get(f"{part}_text", "") for part in ("above", "below", "background")}
        given = {"above": "suspect_above", "below": "suspect_all_below", "background": "background"}
        for part, limit in given.items():
            if limit in rule and not (isinstance(texts[part], str) and texts[part]):
                raise InputError(f"entry {where} lacks {part}_text", name, "Say what such a value may be.")
        convert = rule.get("convert", {})
        if not isinstance(convert, dict):
            raise InputError(f"entry {where}/convert is not an object", name, "Write unit and factor.")
        for unit in convert:
            _check_number(convert, unit, f"{where}/convert", name, 1e-9, 1e9)


def _check_entry(entry, keys, where, name):
    for key in keys:
        if key not in entry:
            raise InputError(f"entry {where}/{entry.get('id', '?')} lacks {key}", name, "Add it.")
    return entry["id"]


def _check_number(entry, key, where, name, least, most):
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        fault = f"entry {where}/{key} is {value!r}, wanted is a number from {least:g} to {most:g}"
        raise InputError(fault, name, "Mend the entry.")


def _check_input(spec, groups, seen, name):
    keys = ("id", "group", "title", "unit", "column", "factor", "lo", "hi", "scale", "one_sided", "source")
    _check_entry(spec, keys, "inputs", name)
    where = f"inputs/{spec['id']}"
    if spec["id"] in seen:
        raise InputError(f"entry {where} occurs twice", name, "Keep one of them.")
    seen.add(spec["id"])
    if spec["group"] not in groups:
        raise InputError(f"entry {where} names the unknown group {spec['group']}", name, "Mend the name.")
    if spec["scale"] not in ("log", "linear"):
        raise InputError(f"entry {where}/scale is neither log nor linear", name, "Mend the entry.")
    for key, least, most in (("factor", 0.0, 1.0), ("lo", 0.0, 1e6), ("hi", 0.0, 1e6)):
        _check_number(spec, key, where, name, least, most)
    if spec["hi"] <= spec["lo"] or (spec["scale"] == "log" and spec["lo"] <= 0):
        fault = f"entry {where}: limits lo {spec['lo']:g} and hi {spec['hi']:g} do not work"
        raise InputError(fault, name, "lo must lie below hi, and above 0 on a log scale.")
    if spec.get("rel_sd") is None and spec.get("abs_sd") is None:
        raise InputError(f"entry {where} lacks rel_sd and abs_sd", name, "Give one of them.")
    for key in ("rel_sd", "abs_sd"):
        if spec.get(key) is not None:
            _check_number(spec, key, where, name, 0.0, 100.0)


def _check_sources(node, evidence, name, where=""):
    if isinstance(node, dict):
        sources = node.get("source", [])
        sources = [sources] if isinstance(sources, str) else sources
        if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
            fault = f"entry {where or 'top'}/{node.get('id', '')} has a source that is no list of ids"
            raise InputError(fault, name, "Name rows of the evidence table.")
        for source in sources:
            if source not in evidence:
                fault = (
                    f"entry {where or 'top'}/{node.get('id', '')} cites {source}, which is not in the table"
                )
                raise InputError(fault, name, "Add the row to the evidence table or mend the id.")
        for key, value in node.items():
            _check_sources(value, evidence, name, f"{where}/{key}".strip("/"))
    elif isinstance(node, list):
        for value in node:
            _check_sources(value, evidence, name, where)
