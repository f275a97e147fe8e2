"""An earlier scan of the same patient, from its ``phenotype.json`` or from a table of measurements."""

import json
from pathlib import Path

from BMVascularCore.errors import InputError
from BMVascularCore.phenotype.assess import assess_values
from BMVascularCore.phenotype.change import TimePoint, compare_dates
from BMVascularCore.phenotype.context import Context
from BMVascularCore.phenotype.measurements import is_table, read_measurements

_NEEDED = ("name", "label", "rule_label", "phenotype", "stability", "evidence", "descriptors", "facts")


def read_previous(path, context, table):
    """Lesions of an earlier scan as they were assessed.

    Parameters
    ----------
    path : path-like
        ``phenotype.json`` of that scan, or a table that
        :func:`~BMVascularCore.phenotype.measurements.read_measurements` takes.
    context : Context or None
        Context of that scan; that of its ``phenotype.json`` by default.
    table : Table
        Rules of the present call.

    Returns
    -------
    lesions : list of dict
    context : Context
    warnings : list of str

    Raises
    ------
    InputError
        No such file, no lesions, or neither of both kinds.
    """
    path = Path(path)
    if not is_table(path):
        raise InputError(
            "is no earlier result",
            path.name,
            "Give the phenotype.json of that scan, or a table of measurements.",
        )
    record = _record(path)
    if record is None:
        lesions, warnings = read_measurements(path, table.rules)
        found = assess_values(lesions, context, table)
        return found.lesions, context or Context(), [*warnings, *found.warnings]
    warnings = []
    if record.get("table", {}).get("sha256") != table.sha256:
        warnings.append(
            f"{path.name} was made with another evidence table or rule set: labels may not compare."
        )
    if context is None:
        content = record.get("context")
        context = Context() if content is None else Context.of_record(content, path.name)
        if content is None:
            warnings.append(f"{path.name} holds no context: drug windows of that scan are not known.")
    return record["lesions"], context, warnings


def _record(path):
    """The content of a ``phenotype.json``; None for other files, which may still be a table."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"is not valid JSON ({error})", path.name, "Mend the file.") from error
    lesions = content.get("lesions") if isinstance(content, dict) else None
    if not isinstance(lesions, list) or not lesions:
        return None
    whole = all(isinstance(item, dict) and all(key in item for key in _NEEDED) for item in lesions)
    return content if whole else None


def days_to_present(earlier, context):
    """Days from each earlier scan to the present one.

    Parameters
    ----------
    earlier : list of (list of dict, Context, float or None)
        Lesions, context and the days that were given; without them the contexts must tell.
    context : Context
        Of the present scan.

    Returns
    -------
    list of float

    Raises
    ------
    InputError
        Days that are not known, contradict each other, are not positive, or not in order.
    """
    found = []
    for number, (_lesions, then, given) in enumerate(earlier, start=1):
        told, name = then.days_to(context), f"scan {number}"
        if given is None and told is None:
            raise InputError(
                "the days between the scans are not known",
                name,
                "Give --days-before, or scan days in both contexts.",
            )
        if None not in (given, told) and abs(given - told) > 1:
            fault = f"{given:g} days were given, the contexts say {told:g}"
            raise InputError(fault, name, "Mend one of them.")
        days = float(told if given is None else given)
        if not 0 < days < float("inf"):
            raise InputError(f"lies {-days:g} days after the present scan", name, "Give earlier scans only.")
        found.append(days)
    if found != sorted(found, reverse=True):
        raise InputError("the earlier scans are not in order", "--previous", "Give the oldest first.")
    return found


def compare_with_previous(earlier, lesions, context, table):
    """Compare a scan with earlier ones.

    Parameters
    ----------
    earlier : list of (list of dict, Context, float or None)
        As for :func:`days_to_present`, oldest first.
    lesions : list of dict
        Of the present scan.
    context : Context
    table : Table

    Returns
    -------
    ChangeReport

    Raises
    ------
    InputError
        What :func:`days_to_present` and :func:`~BMVascularCore.phenotype.change.compare_dates` raise.
    """
    days = days_to_present(earlier, context)
    points = [
        TimePoint(f"scan {number}", -past, found, then)
        for number, (past, (found, then, _given)) in enumerate(zip(days, earlier, strict=True), start=1)
    ]
    return compare_dates([*points, TimePoint("this scan", 0.0, lesions, context)], table)
