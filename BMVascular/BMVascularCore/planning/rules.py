"""The editable tables of the planning part: limits, names, colours, published reference rows."""

import json
from functools import cache

from BMVascularCore.resources import resource


@cache
def _table(name):
    return json.loads(resource("Planning", name).read_text(encoding="utf-8"))


def planning_rules():
    """Limits for planning series, dose grids and numerics (``Resources/Planning/rules.json``)."""
    return _table("rules.json")


def roi_rules():
    """ROI types, colours and name patterns (``Resources/Planning/roi_types.json``)."""
    return _table("roi_types.json")


def constraint_rows(fractions=None, include_unverified=True):
    """Organ constraints as data, each with source, year and whether the source was verified.

    Parameters
    ----------
    fractions : int, optional
        Only rows of this fractionation.
    include_unverified : bool
        Rows whose source was not checked carry ``verified: false``.

    Returns
    -------
    list of dict
        Keys organ, metric, fractions, limit_gy or limit_ml, kind, source, year, verified.
    """
    rows = _table("constraints.json")["rows"]
    rows = [row for row in rows if fractions is None or row["fractions"] == fractions]
    return [dict(row) for row in rows if include_unverified or row["verified"]]


def dose_by_size_rows(diameter_mm=None):
    """Published dose-by-size rows: reference to read, never a prescription.

    Parameters
    ----------
    diameter_mm : float, optional
        Only rows whose size range holds this diameter.
    """
    rows = _table("dose_by_size.json")["rows"]
    if diameter_mm is None:
        return [dict(row) for row in rows]
    return [
        dict(row)
        for row in rows
        if row["above_mm"] < diameter_mm and (row["to_mm"] is None or diameter_mm <= row["to_mm"])
    ]


def fusion_rules():
    """What is said beside a fusion: age, distortion, bandwidth (``Resources/Planning/fusion.json``)."""
    return _table("fusion.json")
