"""What the user says about targets and plan: margins, barriers, organs, prescription. Nothing of it is guessed."""

from dataclasses import dataclass, field, replace

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.planning.barriers import read_barriers
from BMVascularCore.planning.margin_tables import lesion_margins, margins_of_row, read_margins
from BMVascularCore.planning.margins import Margin
from BMVascularCore.planning.plan_tables import organs_of
from BMVascularCore.planning.structures import StructureSet, read_structures

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
        return margins_of_row({"name": str(name), **given}, where)
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
