"""Repeatability of each metric: shipped values, presets, or the site's own."""

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.io.tables import read_table


def default_entry(metric, rules, preset=None):
    """Entry of the rule set for a metric.

    Parameters
    ----------
    metric : str
    rules : dict
    preset : str, optional
        Name of a preset; the default one otherwise.

    Returns
    -------
    dict or None

    Raises
    ------
    InputError
        When the preset does not exist.
    """
    entries = [entry for entry in rules["repeatability"] if entry["metric"] == metric]
    if preset is None:
        return next((entry for entry in entries if entry["default"]), None)
    found = next((entry for entry in entries if entry["preset"] == preset), None)
    if found is None:
        known = ", ".join(entry["preset"] for entry in entries) or "none"
        raise InputError(f"no preset '{preset}' for {metric}", "repeatability", f"Known: {known}.")
    return found


def repeatability_of(metric, entered, rules):
    """Within-subject CV that the site entered for a metric, or None for the default.

    Parameters
    ----------
    metric : str
    entered : dict
        Metric to a number or to the name of a preset.
    rules : dict

    Returns
    -------
    float or None

    Raises
    ------
    InputError
        A number outside 0..2 or an unknown preset.
    """
    value = entered.get(metric)
    if value is None:
        return None
    if isinstance(value, str):
        entry = default_entry(metric, rules, value)
        if "wcv" not in entry:
            raise InputError(
                f"the preset '{value}' of {metric} is no within-subject CV", "repeatability", "Give a number."
            )
        return entry["wcv"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2:
        raise InputError(
            f"{metric} is {value!r}", "repeatability", "Give a within-subject CV as a fraction, such as 0.14."
        )
    return float(value)


def read_test_retest(path):
    """Within-subject CV of each metric from a site's own test-retest file.

    Parameters
    ----------
    path : path-like
        CSV with ``metric,subject,test,retest``; one row a lesion, at least 5 rows a metric.

    Returns
    -------
    dict
        Metric to wCV. ``wCV = sqrt(exp(s**2) - 1)`` with ``s**2 = mean(ln(retest/test)**2) / 2``
        (Bland and Altman, Stat Methods Med Res 1999; logarithmic method).

    Raises
    ------
    InputError
        A missing column, a value that is not positive, fewer than 5 pairs; says row and column.
    """
    rows = read_table(path, required=("metric", "subject", "test", "retest"))
    logs = {}
    for number, row in enumerate(rows, start=2):
        pair = []
        for column in ("test", "retest"):
            try:
                pair.append(float(row[column]))
            except ValueError:
                pair.append(np.nan)
            if not 0 < pair[-1] < np.inf:
                fault = f"row {number}, column {column}: '{row[column]}' is not a positive number"
                raise InputError(fault, "test-retest table", "Mend or remove the row.")
        logs.setdefault(row["metric"], []).append(np.log(pair[1] / pair[0]))
    for metric, values in logs.items():
        if len(values) < 5:
            fault = f"metric {metric} has {len(values)} pairs"
            raise InputError(fault, "test-retest table", "Give at least 5 pairs for each metric.")
    return {
        metric: float(np.sqrt(np.expm1(np.mean(np.square(values)) / 2.0))) for metric, values in logs.items()
    }
