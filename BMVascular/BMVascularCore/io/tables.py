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


def _rows_of_arrays(path):
    """Rows of the one-dimensional arrays in a ``.npz`` file."""
    name = Path(path).name
    try:
        with np.load(path, allow_pickle=False) as stored:
            columns = {key: stored[key] for key in stored.files}
    except (OSError, ValueError) as error:
        raise InputError("cannot be read as arrays", name, "Write it with numpy.savez.") from error
    columns = {key: values for key, values in columns.items() if np.ndim(values) == 1}
    length = len(columns.get("time_s", ()))
    columns = {key: values for key, values in columns.items() if len(values) == length}
    if len(columns) < 2:
        raise InputError(
            "lacks time_s and values of the same length", name, "Store time_s and concentration_mM."
        )
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _rows_of_text(path):
    """Rows of a CSV file; two bare columns of numbers are seconds and values."""
    path = Path(path)
    try:
        first = path.read_text(encoding="utf-8-sig").lstrip().partition("\n")[0] if path.is_file() else ""
    except UnicodeDecodeError as error:
        raise InputError("is not a text file", path.name, "Give CSV with time_s, or .npz.") from error
    try:
        bare = len([float(cell) for cell in first.replace(";", ",").split(",")]) == 2
    except ValueError:
        bare = False
    if not bare:
        return read_table(path, required=("time_s",))
    try:
        table = np.loadtxt(path, delimiter=";" if ";" in first else ",", encoding="utf-8-sig", ndmin=2)
    except ValueError as error:
        raise InputError("holds text where numbers are wanted", path.name, "Mend the row.") from error
    return [{"time_s": time, "value": value} for time, value in table]


def read_curve(path, value_columns=("concentration_mM", "concentration_mmol", "value", "concentration")):
    """Read a curve ``time_s,<value>`` such as an arterial input function.

    CSV with a header, CSV of two bare columns (seconds, value), or ``.npz`` with ``time_s`` and one more array.

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
    name = Path(path).name
    rows = _rows_of_arrays(path) if name.endswith(".npz") else _rows_of_text(path)
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
