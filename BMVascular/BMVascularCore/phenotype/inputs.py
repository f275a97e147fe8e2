"""What is known about a lesion before any rule is applied, and checks of its units."""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.errors import InputError


@dataclass(frozen=True)
class Measured:
    """One value of one lesion.

    Attributes
    ----------
    value : float
        In the unit of the rule set.
    rel_sd : float
        Relative standard error from the voxels, added in quadrature to the repeatability.
    p95 : float or None
        95th percentile over the lesion, same unit.
    share : float
        Share of the lesion that the map covers, 0..1.
    n_voxels : int or None
        Usable voxels behind the value.
    note : str
        How it was made, where that is not plain.
    """

    value: float
    rel_sd: float = 0.0
    p95: float | None = None
    share: float = 1.0
    n_voxels: int | None = None
    note: str = ""


@dataclass
class LesionInputs:
    """Values of one lesion.

    Attributes
    ----------
    name : str
        Unique in the scan; random streams hang on it.
    label : int
        Value in the label image.
    values : dict
        Input or descriptor id of the rule set to :class:`Measured` or a plain number.
    facts : dict
        ``longest_diameter_mm``, ``volume_ml``, ``perfusion_voxels``, ``itss_fraction``, ``t1_bright``,
        ``near_vessel``, ``near_skull``; each may be missing.
    set_aside : dict
        Input id to the reason why it is not used.
    """

    name: str
    label: int = 0
    values: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    set_aside: dict = field(default_factory=dict)

    def measured(self, key):
        """The value of an input as :class:`Measured`, or None where it is not measurable."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, Measured):
            value = Measured(float(value))
        return value if np.isfinite(value.value) else None

    def number(self, key):
        """The value of an input as float, or NaN."""
        measured = self.measured(key)
        return float("nan") if measured is None else measured.value


def check_lesions(lesions):
    """Refuse double names, and values and errors that cannot be.

    Raises
    ------
    InputError
        No lesions, a name that occurs twice, a value below 0 or infinite, an error that is negative or not
        finite, a share outside 0..1.
    """
    if not lesions:
        raise InputError("there are no lesions to assess", "lesions", "Give an image with labels above 0.")
    names = [lesion.name for lesion in lesions]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"the name '{name}' occurs twice", "lesions", "Give each lesion its own name.")
    for lesion in lesions:
        for key, value in lesion.values.items():
            _check_value(key, value, lesion.name)


def _check_value(key, value, where):
    number = value.value if isinstance(value, Measured) else value
    if number is None or np.isnan(number):
        return
    if number < 0:
        raise InputError(f"{key} is {number:g}", where, "This quantity cannot be negative.")
    if np.isinf(number):
        raise InputError(f"{key} is infinite", where, "Leave it out if it is not measurable.")
    if isinstance(value, Measured):
        if not (np.isfinite(value.rel_sd) and value.rel_sd >= 0):
            fault = f"the relative error of {key} is {value.rel_sd:g}"
            raise InputError(fault, where, "Give a number from 0 upwards.")
        if not 0 <= value.share <= 1:
            raise InputError(f"the covered share of {key} is {value.share:g}", where, "Give 0 to 1.")


def unit_question(key, medians, background, rules):
    """Whether values look as if they came in another unit.

    Parameters
    ----------
    key : str
        Map or input id.
    medians : sequence of float
        The lesions' values.
    background : float or None
        Typical value of normal tissue, where a map gives one.
    rules : dict
        The rule set (``units``).

    Returns
    -------
    str or None
        A sentence that asks; None where nothing is odd.
    """
    rule = rules["units"].get(key)
    medians = np.asarray(medians, dtype=float)
    medians = medians[np.isfinite(medians)]
    if rule is None or not medians.size:
        return None
    top, reason = float(medians.max()), None
    if top > rule.get("suspect_above", np.inf):
        reason = f"lesion values up to {top:.3g} are {rule['above_text']}"
    elif 0 < top < rule.get("suspect_all_below", 0.0):
        reason = f"no lesion exceeds {top:.2g}, {rule['below_text']}"
    elif background is not None and "background" in rule:
        low, high = rule["background"]
        if not low <= background <= high:
            reason = f"with {background:.3g}, {rule['background_text']}"
    if reason is None:
        return None
    return (
        f"{key} was set aside: {reason.rstrip('?')}. "
        f"Wanted is {rule['expected']}; state the unit in the context (units/{key}) if this is right."
    )


def apply_stated_units(lesions, context, rules):
    """Convert values whose unit the context states, and set aside those that look wrong.

    Parameters
    ----------
    lesions : list of LesionInputs
        Left as they are.
    context : Context
    rules : dict

    Returns
    -------
    lesions : list of LesionInputs
    warnings : list of str
    """
    copies = [
        LesionInputs(item.name, item.label, dict(item.values), dict(item.facts), dict(item.set_aside))
        for item in lesions
    ]
    warnings = []
    for key in sorted({key for lesion in copies for key in lesion.values}):
        if key in context.units:
            factor = unit_factor(key, context.units[key], rules)
            for lesion in copies:
                _scale(lesion, key, factor)
            continue
        question = unit_question(key, [lesion.number(key) for lesion in copies], None, rules)
        if question:
            warnings.append(question)
            for lesion in copies:
                if lesion.values.pop(key, None) is not None:
                    lesion.set_aside[key] = question
    return copies, warnings


def unit_factor(key, unit, rules):
    """Factor from a stated unit to the rule set's unit.

    Raises
    ------
    InputError
        When the unit is not known for this input.
    """
    rule = rules["units"].get(key, {})
    if unit == rule.get("expected") or unit in str(rule.get("expected", "")).split(" or "):
        return 1.0
    factor = rule.get("convert", {}).get(unit)
    if factor is None:
        known = [rule.get("expected", "?"), *rule.get("convert", {})]
        raise InputError(f"unit '{unit}' is not known for {key}", "context", f"Known: {', '.join(known)}.")
    return float(factor)


def _scale(lesion, key, factor):
    measured = lesion.measured(key)
    if measured is not None and factor != 1.0:
        p95 = None if measured.p95 is None else measured.p95 * factor
        lesion.values[key] = Measured(
            measured.value * factor, measured.rel_sd, p95, measured.share, measured.n_voxels, measured.note
        )
