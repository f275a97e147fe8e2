"""What the user says about targets and plan: margins, barriers, organs, prescription. Nothing of it is guessed."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_table, read_volume
from BMVascularCore.planning.barriers import barrier_of_structures, skull_of
from BMVascularCore.planning.margins import DIRECTIONS, Margin
from BMVascularCore.planning.plan_tables import NOT_ORGANS, distance_table
from BMVascularCore.planning.sampling import sample_mask, sample_structure
from BMVascularCore.planning.structures import StructureSet, holds_structures, read_structures

KINDS = ("ctv", "ptv")
_KEYS = (
    "ctv_mm", "ptv_mm", "margins", "barriers", "barrier_names", "skull", "organs", "brain", "fractions",
)  # fmt: skip


@dataclass
class PlanOptions:
    """Wishes for the planning part of a run.

    Attributes
    ----------
    ctv_mm, ptv_mm : float
        Margins of the lesions that have none of their own.
    margins : dict
        Lesion name to {"ctv": Margin or None, "ptv": Margin or None}.
    barriers : list of Volume and Structure
        In the space of the planning CT.
    skull : bool
        Bone of the planning CT is a barrier, too.
    organs : StructureSet or None
        On the planning CT.
    brain : str or None
        Name of the brain among the organs.
    fractions : int or None
    """

    ctv_mm: float = 0.0
    ptv_mm: float = 1.0
    margins: dict = field(default_factory=dict)
    barriers: list = field(default_factory=list)
    skull: bool = False
    organs: StructureSet = None
    brain: str = None
    fractions: int = None

    def margins_of(self, names):
        """CTV and PTV margins by lesion name; see :func:`lesion_margins`."""
        return lesion_margins(self.margins, names, self.ctv_mm, self.ptv_mm)

    def check(self, lesions, prescription_gy=None):
        """Refuse before any work what will not fit: names that are not there, fractions below one.

        Parameters
        ----------
        lesions : iterable of str
        prescription_gy : float or dict, optional

        Raises
        ------
        InputError
        """
        self.margins_of(lesions)
        doses = prescription_gy if isinstance(prescription_gy, dict) else {}
        unknown = [name for name in doses if name not in lesions]
        if unknown:
            raise InputError(
                f"no lesion is called {unknown[0]}",
                "prescription",
                f"Known: {', '.join(dict.fromkeys(lesions))}.",
            )
        if self.fractions is not None and self.fractions < 1:
            raise InputError(f"{self.fractions} fractions cannot be", "fractions", "Give one or more.")
        if self.brain and self.organs is None:
            raise InputError("is given without organs", "brain", "Add --organs FILE.")
        known = {one.name.strip().lower() for one in organs_of(self.organs)}
        if self.brain and self.brain.strip().lower() not in known:
            raise InputError(f"no organ is called {self.brain}", "brain", "Use a name of the organs.")

    def only_known(self, names):
        """These options without margins of lesions that a time point does not have."""
        return replace(self, margins={name: one for name, one in self.margins.items() if name in names})


def options_of_study(facts, folder):
    """Read the object ``planning`` of ``study.json``.

    Parameters
    ----------
    facts : dict
        Keys ``ctv_mm``, ``ptv_mm``, ``margins`` (a table, or lesion name to margin), ``barriers``,
        ``barrier_names``, ``skull``, ``organs``, ``brain``, ``fractions``; all may be left out.
    folder : pathlib.Path
        Where the files lie.

    Returns
    -------
    PlanOptions

    Raises
    ------
    InputError
        Unknown keys, missing files, margins that cannot be.
    """
    where = "planning in study.json"
    if not isinstance(facts, dict):
        raise InputError("is no object", where, 'Write {"ptv_mm": 1, "margins": {"M1": 2}}.')
    unknown = [key for key in facts if key not in _KEYS]
    if unknown:
        raise InputError(f"'{unknown[0]}' is not known", where, f"Use {', '.join(_KEYS)}.")
    options = PlanOptions(skull=bool(facts.get("skull", False)), brain=facts.get("brain"))
    for key in ("ctv_mm", "ptv_mm"):
        setattr(options, key, _number(facts.get(key, getattr(options, key)), key, where))
        Margin.of(getattr(options, key))
    margins = facts.get("margins", {})
    if isinstance(margins, str):
        options.margins = read_margins(folder / margins)
    elif isinstance(margins, dict):
        options.margins = {str(name): _typed_margin(given, name, where) for name, given in margins.items()}
    else:
        raise InputError("margins are no table and no object", where, 'Write {"M1": 2}.')
    if facts.get("barriers"):
        names = facts.get("barrier_names") or []
        options.barriers = read_barriers(
            folder / facts["barriers"], [names] if isinstance(names, str) else names
        )
    if facts.get("organs"):
        options.organs = read_structures(folder / facts["organs"])
    if facts.get("fractions") is not None:
        options.fractions = int(_number(facts["fractions"], "fractions", where))
    return options


def _number(value, key, where):
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{key} is not a number", where, "Mend it.") from error


def _typed_margin(given, name, where):
    if isinstance(given, dict):
        return _margins_of_row({"name": str(name), **given}, where)
    return {"ctv": None, "ptv": Margin.of_text(given)}


def check_prescription(given, where="prescription_gy in study.json"):
    """A prescription in Gy, or one for every lesion; None where none is given.

    Raises
    ------
    InputError
        Not a number above zero.
    """
    if given is None:
        return None
    values = given if isinstance(given, dict) else {"": given}
    for name, value in values.items():
        number = _number(value, f"the dose of {name}" if name else "the dose", where)
        if not np.isfinite(number) or number <= 0:
            raise InputError(f"{number:g} Gy cannot be a prescription", where, "Give Gy, or leave it out.")
    return {str(n): float(v) for n, v in values.items()} if isinstance(given, dict) else float(given)


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
        found[row["name"]] = _margins_of_row(row, where)
    return found


def _margins_of_row(row, where):
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


def read_barriers(path, names=(), labels=None):
    """Barriers of a file: a mask, or some of its structures.

    Parameters
    ----------
    path : path-like
    names : list of str
        Which structures; those called falx, tentorium, dura, skull or barrier by default.
    labels : dict, optional
        Label value to name, for label images.

    Returns
    -------
    list of Volume or Structure

    Raises
    ------
    InputError
        Unreadable, or no such structure.
    """
    names = [name for name in names if str(name).strip()]
    if names or holds_structures(path):
        return barrier_of_structures(read_structures(path, labels), names)
    return [read_volume(path)]


def skull_near(ct, labels, transform=None):
    """Bone of the planning CT around all labels, in the space of the CT; see :func:`barriers.skull_of`."""
    spans = [
        np.flatnonzero(labels.array.any(axis=tuple(b for b in range(3) if b != axis))) for axis in range(3)
    ]
    if any(len(span) == 0 for span in spans):
        raise InputError(
            "holds no lesion", labels.name, "Give a label image with one number for each lesion."
        )
    corners = np.array(np.meshgrid(*[(s[0], s[-1]) for s in spans], indexing="ij")).reshape(3, -1).T
    points = labels.geometry.points_of(corners)
    if transform is not None:
        back = transform.GetInverse()
        points = [back.TransformPoint(point.tolist()) for point in points]
    return skull_of(ct, points)


def organs_of(structures):
    """Structures that distances and limits are wanted for: what is drawn and neither target nor outline."""
    if structures is None:
        return []
    return [one for one in structures.structures if not one.empty and one.kind not in NOT_ORGANS]


def target_distances(targets, organs=None):
    """Shortest surface distances of the lesions to organs and to each other.

    Parameters
    ----------
    targets : TargetSet
    organs : StructureSet, optional

    Returns
    -------
    rows : list of dict
        Columns of :data:`plan_tables.DISTANCE_COLUMNS`.
    notes : list of str
        Organs that cannot be used, with the reason.
    """
    lesions = {t.name: sample_mask(t.masks["GTV"].array, t.masks["GTV"].geometry) for t in targets.targets}
    drawn, kinds, notes = {}, {}, []
    for structure in organs_of(organs):
        try:
            drawn[structure.name] = sample_structure(structure)
        except InputError as error:
            notes.append(f"no distance to {structure.name}: {error}")
            continue
        kinds[structure.name] = structure.kind or "ORGAN"
    return distance_table(lesions, drawn, kinds), notes
