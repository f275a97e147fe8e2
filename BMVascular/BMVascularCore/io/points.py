"""Places from files: Slicer markups (.mrk.json), the older .fcsv, and plain CSV."""

import csv
import json
from pathlib import Path

from BMVascularCore.errors import InputError
from BMVascularCore.io.tables import read_table
from BMVascularCore.volume import ras_lps

_SYSTEMS = {"0": "RAS", "1": "LPS", "RAS": "RAS", "LPS": "LPS"}
_RAS, _LPS, _PLAIN = ("r_mm", "a_mm", "s_mm"), ("l_mm", "p_mm", "s_mm"), ("x", "y", "z")
_NAMES = ("name", "label", "lesion", "candidate")


def read_points(path, lps=False):
    """Read a list of places with names.

    Parameters
    ----------
    path : path-like
        ``.mrk.json`` or ``.fcsv`` of Slicer, which tell their own axes; or CSV with the columns ``r_mm,a_mm,s_mm``,
        ``l_mm,p_mm,s_mm`` or ``x,y,z`` and, where there are names, ``name``; a column ``kind`` or ``description``
        may say "exclude".
    lps : bool
        What ``x,y,z`` of a CSV means: LPS rather than RAS.

    Returns
    -------
    list of (str, tuple of 3 float, str)
        Name ('' where there is none), place in LPS mm, description.

    Raises
    ------
    InputError
        Missing file, another kind of file, unknown axes, a place that is not three finite numbers, no place.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("this list of places does not exist", path.name, "Check the path.")
    lower = path.name.lower()
    try:
        if lower.endswith(".json"):
            points = _of_markups(path)
        elif lower.endswith(".fcsv"):
            points = _of_fcsv(path)
        elif lower.endswith(".csv"):
            points = _of_csv(path, lps)
        else:
            raise InputError("is no list of places", path.name, "Give .mrk.json, .fcsv or .csv.")
    except UnicodeDecodeError as error:
        raise InputError("is not a text file", path.name, "Give .mrk.json, .fcsv or .csv.") from error
    if not points:
        raise InputError("holds no place", path.name, "Place a point in each lesion.")
    return points


def _point(name, values, system, description, where):
    try:
        place = [float(value) for value in values]
    except (TypeError, ValueError):
        place = []
    if len(place) != 3 or not all(abs(value) < 1e6 for value in place):
        raise InputError("is not a place of three finite numbers", where, "Mend or remove it.")
    lps = place if system == "LPS" else ras_lps(place).tolist()
    return str(name or "").strip(), tuple(lps), str(description or "").strip()


def _of_markups(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        markups = content["markups"]
        found = [(one, point) for one in markups for point in one.get("controlPoints", [])]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "is no Slicer markups file", path.name, "Save the point list as .mrk.json."
        ) from error
    points = []
    for number, (one, point) in enumerate(found, start=1):
        if point.get("positionStatus", "defined") != "defined":
            continue
        system = _system(str(one.get("coordinateSystem", "LPS")), path.name)
        where = f"{path.name}, point {number}"
        points.append(
            _point(point.get("label"), point.get("position") or (), system, point.get("description"), where)
        )
    return points


def _system(text, name):
    if text.strip().upper() not in _SYSTEMS:
        raise InputError(f"the axes '{text}' are unknown", name, "Use RAS or LPS.")
    return _SYSTEMS[text.strip().upper()]


def _of_fcsv(path):
    # files without the line are of the time when Slicer wrote RAS
    system, columns, points = "RAS", ["id", "x", "y", "z"], []
    with open(path, newline="", encoding="utf-8-sig") as stream:
        for number, cells in enumerate(csv.reader(stream), start=1):
            line = ",".join(cells)
            if line.startswith("#"):
                key, _, value = line.lstrip("# ").partition("=")
                if key.strip().lower() == "coordinatesystem":
                    system = _system(value, path.name)
                elif key.strip().lower() == "columns":
                    columns = [name.strip() for name in value.split(",")]
                continue
            if any(cells):
                row = dict(zip(columns, cells, strict=False))
                place = [row.get(axis) for axis in _PLAIN]
                where = f"{path.name}, line {number}"
                points.append(_point(row.get("label"), place, system, row.get("desc"), where))
    return points


def _of_csv(path, lps):
    rows = read_table(path)
    names = {name.lower(): name for name in (rows[0] if rows else {})}
    kinds = ((_RAS, "RAS"), (_LPS, "LPS"), (_PLAIN, "LPS" if lps else "RAS"))
    axes, system = next((kind for kind in kinds if all(axis in names for axis in kind[0])), (None, ""))
    if not rows:
        return []
    if axes is None:
        raise InputError("lacks the columns of a place", path.name, "Columns wanted: name, r_mm, a_mm, s_mm.")
    named = next((names[key] for key in _NAMES if key in names), None)
    said = next((names[key] for key in ("kind", "description") if key in names), None)
    return [
        _point(row.get(named), [row[names[a]] for a in axes], system, row.get(said), f"{path.name}, line {n}")
        for n, row in enumerate(rows, start=2)
    ]
