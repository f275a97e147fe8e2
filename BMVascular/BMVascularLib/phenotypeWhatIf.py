"""What if a limit were another, or an input were missing: assessed again from the measured values."""

import copy
import json
from dataclasses import dataclass, field, replace

from BMVascularCore.phenotype import assess_values, load_table, parse_context
from BMVascularCore.phenotype.inputs import LesionInputs
from BMVascularCore.phenotype.rules import parse_rules

LEFT_OUT = "left out in the what-if"


@dataclass
class WhatIf:
    """Changes to try.

    Attributes
    ----------
    limits : dict
        Input id to (lo, hi) in the input's unit.
    dropped : set of str
        Input ids that are left out.
    """

    limits: dict = field(default_factory=dict)
    dropped: set = field(default_factory=set)

    def __bool__(self):
        return bool(self.limits or self.dropped)

    def text(self, table):
        """What is tried, as a sentence."""
        parts = [f"{table.spec(key)['title']} left out" for key in sorted(self.dropped)]
        parts += [
            f"{table.spec(key)['title']} limits {lo:g} to {hi:g} {table.spec(key)['unit']}"
            for key, (lo, hi) in sorted(self.limits.items())
        ]
        return f"What if: {'; '.join(parts)}. Nothing of this is stored." if parts else ""


def changedTable(table, limits):
    """The table with other limits.

    Raises
    ------
    InputError
        Limits that do not work, in Core's words.
    """
    if not limits:
        return table
    rules = copy.deepcopy(table.rules)
    for spec in rules["inputs"]:
        if spec["id"] in limits:
            spec["lo"], spec["hi"] = (float(value) for value in limits[spec["id"]])
    return replace(table, rules=parse_rules(json.dumps(rules), table.evidence, "what-if"))


def assessWhatIf(result, whatIf, table=None):
    """Assess the lesions of a result again.

    Parameters
    ----------
    result : BMVascularLib.phenotypeNodes.PhenotypeResult
    whatIf : WhatIf
    table : Table, optional

    Returns
    -------
    BMVascularCore.phenotype.Assessment

    Raises
    ------
    InputError
    """
    table = changedTable(table or load_table(), whatIf.limits)
    lesions = [_without(lesion, whatIf.dropped) for lesion in result.inputs]
    # the values are in the rule set's units already
    context = replace(parse_context(result.context), units={})
    return assess_values(lesions, context, table)


def _without(lesion, dropped):
    values = {key: value for key, value in lesion.values.items() if key not in dropped}
    aside = lesion.set_aside | {key: LEFT_OUT for key in dropped if key in lesion.values}
    return LesionInputs(lesion.name, lesion.label, values, dict(lesion.facts), aside)
