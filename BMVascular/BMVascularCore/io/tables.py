"""CSV tables and curves. The first line names the columns, with units."""

import csv
from pathlib import Path

import numpy as np

from BMVascularCore.errors import InputError


def write_table(path, rows, columns=None):
    """Write dictionaries as CSV.

    Parameters
    ----------
    path : path-like
    rows : list of dict
    columns : list of str, optional
        Order of the columns; the keys of the first row by default. Missing values stay empty:
        an empty cell is "not measurable", never zero.
    """
    columns = list(columns or (rows[0] if rows else []))
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows({key: _cell(row.get(key)) for key in columns} for row in rows)


def _cell(value):
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return ""
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    return value


def read_table(path, required=()):
    """Read a CSV with a header line as a list of dictionaries of text.

    Raises
    ------
    InputError
        Missing file, no rows, or a missing column.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("this table does not exist", path.name, "Check the path.")
    with open(path, newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        names = [name.strip() for name in reader.fieldnames or []]
        rows = [
            {(k or "").strip(): (v or "").strip() if isinstance(v, str) else v for k, v in row.items()}
            for row in reader
        ]
    missing = [name for name in required if name not in names]
    if missing:
        raise InputError(
            f"lacks the column {missing[0]}", path.name, f"Columns wanted: {', '.join(required)}."
        )
    return rows


def write_curves(path, columns):
    """Write equally long curves as CSV: ``{"time_s": array, "concentration_mM": array}``."""
    names = list(columns)
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    write_table(path, [{k: float(v) for k, v in row.items()} for row in rows], names)


def read_curve(path, value_columns=("concentration_mM", "concentration_mmol", "value", "concentration")):
    """Read a curve ``time_s,<value>`` such as an arterial input function.

    Returns
    -------
    times_s, values : ndarray, shape (n,)
    column : str
        The name of the value column.

    Raises
    ------
    InputError
        No ``time_s`` column, text among the numbers, times that do not increase, fewer than two points.
    """
    rows = read_table(path, required=("time_s",))
    name = Path(path).name
    column = next((c for c in value_columns if rows and c in rows[0]), None)
    if column is None:
        others = [c for c in (rows[0] if rows else {}) if c != "time_s"]
        if len(others) != 1:
            raise InputError("has no column of values beside time_s", name, f"Name it {value_columns[0]}.")
        column = others[0]
    try:
        times = np.array([float(row["time_s"]) for row in rows])
        values = np.array([float(row[column]) for row in rows])
    except ValueError as error:
        raise InputError("holds text where numbers are wanted", name, "Mend the row.") from error
    if len(times) < 2:
        raise InputError("holds fewer than two points", name, "Give the whole curve.")
    if not (np.isfinite(times).all() and np.isfinite(values).all()):
        raise InputError("holds values that are not finite", name, "Mend the row.")
    if (np.diff(times) <= 0).any():
        raise InputError("times do not increase", name, "Sort the rows by time_s.")
    return times, values, column
