"""Simulated lesions with known truth: is the printed stability honest?

Agreement here shows that the arithmetic is right. It says nothing about clinical accuracy.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from BMVascularCore.phenotype.assess import assess_values
from BMVascularCore.phenotype.explain import input_rows, weigh
from BMVascularCore.phenotype.gates import GateResult
from BMVascularCore.phenotype.inputs import LesionInputs
from BMVascularCore.phenotype.rules import load_table
from BMVascularCore.phenotype.score import ANGIOGENIC, INSUFFICIENT, MIXED, VCO
from BMVascularCore.phenotype.stability import log_sd, stream

NOTICE = "Agreement on simulated lesions shows that the arithmetic is right, not clinical accuracy."
_INPUTS = ("ktrans", "rcbv", "oedema_width", "irregularity")
_PLAIN_PROTOCOL = {"protocol": {"preload": True, "leakage_correction": True}}
_CLASSES = (ANGIOGENIC, VCO, MIXED, "indeterminate")


@dataclass(frozen=True)
class Validation:
    """Result of :func:`simulate`.

    Attributes
    ----------
    confusion : dict
        True label to printed label to count.
    calibration : list of dict
        ``low``, ``high``, ``lesions``, ``mean_stability``, ``right`` for bins of printed stability.
    lesions : int
    notice : str
    """

    confusion: dict
    calibration: list
    lesions: int
    notice: str = NOTICE


def true_lesions(count, seed, table, missing=0.0):
    """Lesions whose true values lie at random distances from the limits.

    Parameters
    ----------
    count : int
    seed : int
    table : Table
    missing : float
        Share of the inputs that are left out at random.

    Returns
    -------
    list of LesionInputs
        From half a span below the lower limit to half a span above the upper one, on the input's own scale.
    """
    generator, dropped = stream(seed, "truth"), stream(seed, "missing")
    lesions = []
    for number in range(count):
        values = {}
        for key in _INPUTS:
            spec = table.spec(key)
            place = generator.uniform(0.0, 1.0) if spec["one_sided"] else generator.uniform(-0.5, 1.5)
            if dropped.uniform() >= missing:
                values[key] = _at(spec, place)
        lesions.append(LesionInputs(f"S{number}", number + 1, values))
    return lesions


def _at(spec, place):
    if spec["scale"] == "log":
        return float(np.exp(np.log(spec["lo"]) + place * np.log(spec["hi"] / spec["lo"])))
    return float(max(spec["lo"] + place * (spec["hi"] - spec["lo"]), 0.1 * spec["hi"]))


def measure(lesions, seed, table):
    """What a scanner would report: each value with the noise that the rule set states.

    Returns
    -------
    list of LesionInputs
        The part of the noise that stems from a common normaliser is drawn for each lesion here: every
        lesion is a patient of its own.
    """
    generator = stream(seed, "noise")
    measured = []
    for lesion in lesions:
        values = {}
        for key, value in lesion.values.items():
            spec = table.spec(key)
            relative = spec["rel_sd"] or spec["abs_sd"] / max(value, spec["abs_sd"])
            values[key] = float(value * np.exp(log_sd(relative) * generator.standard_normal()))
        if "irregularity" in values:
            values["irregularity"] = min(values["irregularity"], 1.0)
        measured.append(LesionInputs(lesion.name, lesion.label, values))
    return measured


def true_label(lesion, table):
    """Label of the true values at the nominal limits."""
    rows = input_rows(lesion, GateResult(), table, dict.fromkeys(lesion.values, 0.0))
    return weigh(rows, table.rules)["label"].split(":")[0]


def simulate(count=400, seed=7, table=None, progress=None, missing=0.0):
    """Assess simulated lesions and compare with the truth.

    Parameters
    ----------
    count : int
        At least 200.
    seed : int
    table : Table, optional
    progress : callable, optional
    missing : float
        Share of the inputs that are left out at random; lesions with too few inputs for a label do not count
        in the calibration.

    Returns
    -------
    Validation
    """
    table = table or load_table()
    return judge(true_lesions(count, seed, table, missing), seed, table, progress)


def judge(truth, seed, table, progress=None):
    """Measure lesions of known truth, assess them, and compare.

    Parameters
    ----------
    truth : list of LesionInputs
    seed : int
        Of the measurement noise.
    table : Table
    progress : callable, optional

    Returns
    -------
    Validation
    """
    labels = [true_label(lesion, table) for lesion in truth]
    result = assess_values(measure(truth, seed, table), _PLAIN_PROTOCOL, table, progress)
    found = [lesion["phenotype"].split(":")[0].split(" (")[0] for lesion in result.lesions]
    confusion = {a: dict.fromkeys(_CLASSES, 0) for a in _CLASSES}
    for label, printed in zip(labels, found, strict=True):
        confusion[label][printed] += 1
    stability = np.array([lesion["stability"] or 0.0 for lesion in result.lesions])
    modes = [lesion["rule_label"].split(":")[0] for lesion in result.lesions]
    right = np.array([a == b for a, b in zip(labels, modes, strict=True)])
    counted = np.array([lesion["rule_label"] != INSUFFICIENT for lesion in result.lesions])
    return Validation(confusion, calibration(stability[counted], right[counted]), len(truth))


def calibration(stability, right, edges=(0.0, 0.6, 0.7, 0.8, 0.9, 0.97, 1.0001)):
    """Share of right labels in bins of stability.

    Parameters
    ----------
    stability : ndarray, shape (n,)
    right : ndarray of bool, shape (n,)
    edges : sequence of float

    Returns
    -------
    list of dict
    """
    bins = []
    for low, high in pairwise(edges):
        inside = (stability >= low) & (stability < high)
        if inside.any():
            bins.append(
                {
                    "low": low,
                    "high": min(high, 1.0),
                    "lesions": int(inside.sum()),
                    "mean_stability": float(stability[inside].mean()),
                    "right": float(right[inside].mean()),
                }
            )
    return bins


def as_markdown(result):
    """The confusion matrix and the calibration as Markdown tables, with the notice."""
    lines = ["| true \\ printed | " + " | ".join(_CLASSES) + " |", "|---" * (len(_CLASSES) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(str(result.confusion[name][key]) for key in _CLASSES) + " |"
        for name in _CLASSES
    ]
    lines += ["", "| printed stability | lesions | mean stability | right labels |", "|---|---|---|---|"]
    lines += [
        f"| {row['low']:.2f} to {row['high']:.2f} | {row['lesions']} | {row['mean_stability']:.2f} "
        f"| {row['right']:.2f} |"
        for row in result.calibration
    ]
    return "\n".join([*lines, "", f"{result.lesions} simulated lesions. {result.notice}", ""])
