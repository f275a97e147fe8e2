"""Margins of the lesions as a user gives them: a table, or one for all."""

from pathlib import Path

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_table
from BMVascularCore.planning.margins import DIRECTIONS, Margin

KINDS = ("ctv", "ptv")


def read_margins(path):
    """Margins by lesion from a table with the column name.

    Columns ``ctv_mm``, ``ptv_mm``, and ``ptv_left_mm`` ... ``ptv_inferior_mm`` for sides that differ (``ctv_`` alike).

    Returns
    -------
    dict
        Lesion name to {"ctv": Margin or None, "ptv": Margin or None}.

    Raises
    ------
    InputError
        Missing file or column, a margin that is no number, a lesion in two rows.
    """
    where, found = Path(path).name, {}
    for row in read_table(path, ("name",)):
        if row["name"] in found:
            raise InputError(f"{row['name']} has two rows", where, "Keep one.")
        found[row["name"]] = margins_of_row(row, where)
    return found


def margins_of_row(row, where):
    """CTV and PTV margin of one row (a dictionary with the columns of :func:`read_margins`), None where not given."""
    return {kind: _margin_of_row(row, kind, where) for kind in KINDS}


def _margin_of_row(row, kind, where):
    def given(key):
        return row.get(key) not in (None, "")

    try:
        sides = {s: float(row[f"{kind}_{s}_mm"]) for s in DIRECTIONS if given(f"{kind}_{s}_mm")}
        whole = float(row[f"{kind}_mm"]) if given(f"{kind}_mm") else None
    except (TypeError, ValueError) as error:
        raise InputError(
            f"a {kind.upper()} margin of {row['name']} is not a number", where, "Mend it."
        ) from error
    if whole is None and not sides:
        return None
    return Margin.of({side: sides.get(side, whole or 0.0) for side in DIRECTIONS})


def lesion_margins(margins, names, ctv_mm=None, ptv_mm=None):
    """CTV and PTV margins of all lesions.

    Parameters
    ----------
    margins : dict
        As of :func:`read_margins`.
    names : iterable of str
        The lesions.
    ctv_mm, ptv_mm : float, optional
        For lesions without a margin of their own.

    Returns
    -------
    tuple of dict
        Lesion name to Margin: CTV, PTV.

    Raises
    ------
    InputError
        A margin for a lesion that is not there, or a lesion without one.
    """
    names = list(names)
    unknown = [name for name in margins if name not in names]
    if unknown:
        raise InputError(f"no lesion is called {unknown[0]}", "margins", f"Known: {', '.join(names)}.")
    found = []
    for kind, usual in zip(KINDS, (ctv_mm, ptv_mm), strict=True):
        own = {name: margins.get(name, {}).get(kind) for name in names}
        missing = [name for name in names if own[name] is None and usual is None]
        if missing:
            raise InputError(
                f"{missing[0]} has no {kind.upper()} margin",
                "margins",
                f"Fill in {kind}_mm, or give --{kind} MM.",
            )
        found.append({name: Margin.of(usual) if own[name] is None else own[name] for name in names})
    return tuple(found)
