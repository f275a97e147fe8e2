"""Is a study acquired as the recommendations ask, and what does a deviation mean for which number?

The rules are data (``Resources/Protocols/btip_bm.json``) that a site may edit. A rule whose value was not
read in its source itself is marked ``"verified": false`` and never weighs more than a remark (amber).
"""

import json
import operator
from dataclasses import asdict, dataclass, field

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.resources import resource

STATES = ("met", "unknown", "amber", "red")
_NUMBERS = {
    "echo_time_ms": ("echo_time_s", 1e3, "ms"),
    "repetition_time_ms": ("repetition_time_s", 1e3, "ms"),
    "inversion_time_ms": ("inversion_time_s", 1e3, "ms"),
    "flip_deg": ("flip_deg", 1.0, "°"),
    "field_t": ("field_t", 1.0, "T"),
}
_UNITS = {
    **{key: unit for key, (_, _, unit) in _NUMBERS.items()},
    "voxel_mm": "mm", "slice_mm": "mm", "frame_time_s": "s", "duration_s": "s", "frames": "frames",
}  # fmt: skip


@dataclass
class SeriesFacts:
    """What the check knows about one series.

    Attributes
    ----------
    role, timepoint, name : str
    values : dict
        Any of echo_time_ms, repetition_time_ms, inversion_time_ms, flip_deg, field_t, voxel_mm, slice_mm,
        frame_time_s, duration_s, frames.
    """

    role: str
    timepoint: str
    name: str
    values: dict = field(default_factory=dict)


@dataclass
class Finding:
    """One rule applied to one series.

    Attributes
    ----------
    timepoint, role, series : str
    item : str
        What is looked at.
    found, wanted : str
        With unit.
    status : str
        One of ``STATES``.
    meaning : str
        What it means for which number; empty where the rule is met.
    source : str
        Citation, with a remark where the value is unverified.
    """

    timepoint: str
    role: str
    series: str
    item: str
    found: str
    wanted: str
    status: str
    meaning: str
    source: str

    def as_row(self):
        """The finding as a table row."""
        return asdict(self)


def load_protocol():
    """Read the editable rules.

    Returns
    -------
    dict
        ``sources``, ``series`` (rules on presence), ``rules``, ``not_in_images``.

    Raises
    ------
    InputError
        When the file is no JSON, names an unknown source, or gives a rule no limit.
    """
    path = resource("Protocols", "btip_bm.json")
    try:
        protocol = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            "is not valid JSON", path.name, "Mend the file or install the extension again."
        ) from error
    for rule in (*protocol.get("series", ()), *protocol.get("rules", ())):
        if rule.get("source") not in protocol.get("sources", {}):
            raise InputError(
                f"rule '{rule.get('item', rule.get('role'))}' has no known source",
                path.name,
                "Name one of its sources.",
            )
    for rule in protocol.get("rules", ()):
        if rule.get("measure") not in _UNITS or not {"min", "max"} & set(rule):
            raise InputError(
                f"rule '{rule.get('item')}' has no measure or no limit", path.name,
                f"Give min or max, and a measure out of {', '.join(_UNITS)}.",
            )  # fmt: skip
    return protocol


def facts_of_image(role, timepoint, image, name=""):
    """Facts of an image that was read by Core.

    Parameters
    ----------
    role, timepoint : str
    image : Volume or Series
    name : str, optional

    Returns
    -------
    SeriesFacts
    """
    times_s = getattr(image, "times_s", None)
    values = facts_of_meta(image.meta, image.geometry.spacing_mm, times_s)
    return SeriesFacts(role, timepoint, name or image.name, values)


def facts_of_meta(meta, spacing_mm, times_s=None):
    """Values for :class:`SeriesFacts` from header facts (seconds, degrees) and voxel size.

    Parameters
    ----------
    meta : dict
    spacing_mm : sequence of float
    times_s : array_like, shape (t,), optional

    Returns
    -------
    dict
    """
    values = {}
    for key, (own, scale, _) in _NUMBERS.items():
        value = meta.get(own)
        if isinstance(value, (int, float)) and np.isfinite(value):
            values[key] = float(value) * scale
    values["voxel_mm"] = float(max(spacing_mm))
    values["slice_mm"] = float(meta.get("slice_thickness_mm") or spacing_mm[2])
    if times_s is not None and len(times_s) > 1:
        values["frames"] = len(times_s)
        values["frame_time_s"] = float(np.median(np.diff(times_s)))
        values["duration_s"] = float(times_s[-1] - times_s[0])
    return values


def check_protocol(series, preload=None, protocol=None):
    """Apply every rule to every series.

    Parameters
    ----------
    series : list of SeriesFacts
    preload : dict, optional
        Time point to True, False or None (not known): contrast agent given before the DSC.
    protocol : dict, optional
        As :func:`load_protocol` returns it.

    Returns
    -------
    list of Finding
        By time point, then in the order of the rules.
    """
    protocol = protocol or load_protocol()
    findings = []
    for timepoint in dict.fromkeys(entry.timepoint for entry in series):
        members = [entry for entry in series if entry.timepoint == timepoint]
        if not any(entry.role == "T1c" for entry in members):
            continue
        given = (preload or {}).get(timepoint)
        findings += [_presence(rule, members, timepoint, protocol) for rule in protocol["series"]]
        for rule in protocol["rules"]:
            for entry in members:
                if entry.role == rule["role"] and _applies(rule, entry, given):
                    findings.append(_measured(rule, entry, protocol))
        findings += [_silent(rule, members, timepoint, protocol) for rule in protocol.get("not_in_images", ())
                     if any(entry.role == rule["role"] for entry in members)]  # fmt: skip
    return findings


def worst(findings):
    """The most severe status among findings, "met" when there is none."""
    return max((finding.status for finding in findings), key=STATES.index, default="met")


def _source(rule, protocol):
    text = protocol["sources"][rule["source"]]["citation"]
    return text if rule.get("verified") else f"{text}; value not verified in the source"


def _severity(rule):
    return rule.get("severity", "amber") if rule.get("verified") else "amber"


def _presence(rule, members, timepoint, protocol):
    roles = rule["role"].split("|")
    found = [entry.name for entry in members if entry.role in roles]
    met = bool(found)
    return Finding(
        timepoint, rule["role"].replace("|", " or "), ", ".join(found), "series", "present" if met else "absent",
        rule["wanted"], "met" if met else _severity(rule), "" if met else rule["meaning"], _source(rule, protocol),
    )  # fmt: skip


def _applies(rule, entry, preload):
    """True when the rule's conditions hold for a series; an unknown field strength counts as 3 T."""
    for key, wanted in rule.get("when", {}).items():
        if key == "preload":
            if wanted != {True: "yes", False: "no", None: "unknown"}[preload]:
                return False
        else:
            low, high = wanted
            value = entry.values.get(key, 3.0 if key == "field_t" else None)
            if value is None or not low <= value <= high:
                return False
    return True


def _measured(rule, entry, protocol):
    value, unit = entry.values.get(rule["measure"]), _UNITS[rule["measure"]]
    wanted = rule.get("wanted") or _limits(rule, unit)
    if value is None:
        status, found, meaning = "unknown", "not stated in the header", "Cannot be checked."
    else:
        tests = ((operator.ge, rule.get("min")), (operator.le, rule.get("max")))
        slack = 1e-3 * abs(value)
        met = all(limit is None or test(value, limit) or abs(value - limit) <= slack for test, limit in tests)
        status = "met" if met else _severity(rule)
        found, meaning = _with_unit(value, unit), "" if met else rule["meaning"]
    return Finding(
        entry.timepoint,
        entry.role,
        entry.name,
        rule["item"],
        found,
        wanted,
        status,
        meaning,
        _source(rule, protocol),
    )


def _silent(rule, members, timepoint, protocol):
    name = next(entry.name for entry in members if entry.role == rule["role"])
    return Finding(
        timepoint, rule["role"], name, rule["item"], "not in the images", rule["wanted"], "unknown",
        rule["meaning"], _source(rule, protocol),
    )  # fmt: skip


def _with_unit(value, unit):
    return f"{value:.3g}{unit}" if unit == "°" else f"{value:.4g} {unit}"


def _limits(rule, unit):
    low, high = rule.get("min"), rule.get("max")
    if low is not None and high is not None:
        return f"{low:g} to {_with_unit(high, unit)}"
    return f"at least {_with_unit(low, unit)}" if low is not None else f"at most {_with_unit(high, unit)}"
