"""Vascular phenotype of lesions: evidence, rules, stability, habitats, change.

The label comes from a transparent rule over groups of evidence. Its stability is the share of random draws
of inputs, limits and weights that give the same label. It does not say how likely the biology is.
"""

from BMVascularCore.phenotype.assess import Assessment, assess_values
from BMVascularCore.phenotype.context import Context, parse_context
from BMVascularCore.phenotype.inputs import LesionInputs, Measured
from BMVascularCore.phenotype.lesionwise import assess_lesions
from BMVascularCore.phenotype.rules import Table, load_table

__all__ = [
    "Assessment",
    "Context",
    "LesionInputs",
    "Measured",
    "Table",
    "assess_lesions",
    "assess_values",
    "load_table",
    "parse_context",
]
