"""What the clinician tells about the scan: histology, treatments, protocol.

The context is a JSON object; every entry is optional::

    {
      "histology": "melanoma",                      primary tumour
      "molecular": ["EGFR"],                        known driver alterations
      "scan": {"date": "2024-03-15"},               or {"day": 40}; "scan_date" and "scan_day" work too
      "treatments": [
        {"type": "SRS", "date": "2024-01-10", "lesions": ["M1", 3]},
        {"type": "anti-VEGF", "day": 12, "end_day": 33, "lesions": "all"}
      ],
      "protocol": {"preload": true, "leakage_correction": true, "flip_deg": 60},
      "units": {"ktrans": "1/min"},                 answers a question about units
      "repeatability": {"rcbv": 0.15},              the site's own within-subject CV, or the name of a preset
      "histology_adjust": false,                    shift the rCBV limits instead of discounting
      "label_irradiated": false,                    label irradiated lesions all the same
      "pet_tracer": "FET",
      "lesions": {"M1": {"near_vessel": true, "near_skull": false, "t1_bright": true,
                         "hypoperfused_before_srs": false, "central_restriction": true,
                         "pet_positive_read": true}}
    }

Types of treatment: SRS, RT, anti-VEGF, steroid, ICI, other. Dates are ISO (YYYY-MM-DD); days count from
any common zero. A treatment without lesions counts for all. One without a date counts as
inside its window, with a warning. One after the scan is set aside, with a warning. Conflicting
dates stop the run.
"""

from dataclasses import dataclass, field
from datetime import date
from math import isfinite

from BMVascularCore.errors import InputError

_TYPES = {
    "srs": "SRS",
    "fsrt": "SRS",
    "srt": "SRS",
    "gamma knife": "SRS",
    "radiosurgery": "SRS",
    "rt": "RT",
    "wbrt": "RT",
    "radiotherapy": "RT",
    "anti-vegf": "anti-VEGF",
    "antivegf": "anti-VEGF",
    "anti_vegf": "anti-VEGF",
    "bevacizumab": "anti-VEGF",
    "steroid": "steroid",
    "steroids": "steroid",
    "dexamethasone": "steroid",
    "ici": "ICI",
    "immunotherapy": "ICI",
    "other": "other",
}
_HISTOLOGY = {"rcc": "renal", "renal cell": "renal", "kidney": "renal", "mm": "melanoma"}
_KNOWN = {
    "histology",
    "molecular",
    "scan",
    "scan_date",
    "scan_day",
    "treatments",
    "protocol",
    "units",
    "repeatability",
    "histology_adjust",
    "label_irradiated",
    "pet_tracer",
    "lesions",
}


@dataclass(frozen=True)
class Treatment:
    """One treatment before the scan.

    Attributes
    ----------
    type : str
    days_before : float or None
        Days from the (last day of the) treatment to the scan; None where it cannot be known.
    start_days_before : float or None
        Days from its first day to the scan.
    lesions : tuple or None
        Names or labels; None is all lesions.
    """

    type: str
    days_before: float | None
    start_days_before: float | None = None
    lesions: tuple | None = None

    def meets(self, lesion):
        """True when this treatment concerns a lesion (by name or label)."""
        return self.lesions is None or any(_same(item, lesion.name, lesion.label) for item in self.lesions)


@dataclass
class Context:
    """Facts about the scan; see the module text for the JSON form."""

    histology: str | None = None
    molecular: tuple = ()
    treatments: list = field(default_factory=list)
    protocol: dict = field(default_factory=dict)
    units: dict = field(default_factory=dict)
    repeatability: dict = field(default_factory=dict)
    histology_adjust: bool = False
    label_irradiated: bool = False
    pet_tracer: str | None = None
    lesions: dict = field(default_factory=dict)
    warnings: list = field(default_factory=list)
    scan_day: float | None = None
    scan_date: date | None = None

    def of_type(self, types, lesion):
        """Treatments of these types that concern a lesion."""
        return [item for item in self.treatments if item.type in types and item.meets(lesion)]

    def facts_of(self, lesion):
        """What the context says about one lesion."""
        return next(
            (facts for key, facts in self.lesions.items() if _same(key, lesion.name, lesion.label)), {}
        )

    def days_to(self, later):
        """Days from this scan to a later one, None where the two contexts do not tell."""
        if self.scan_date is not None and later.scan_date is not None:
            return float((later.scan_date - self.scan_date).days)
        if self.scan_day is not None and later.scan_day is not None:
            return later.scan_day - self.scan_day
        return None

    def record(self):
        """What a comparison with a later scan needs, without any date: for ``phenotype.json``."""
        treatments = [
            {
                "type": item.type,
                "days_before": item.days_before,
                "start_days_before": item.start_days_before,
                "lesions": None if item.lesions is None else list(item.lesions),
            }
            for item in self.treatments
        ]
        return {"scan_day": self.scan_day, "protocol": dict(self.protocol), "treatments": treatments}

    @classmethod
    def of_record(cls, record, where="context"):
        """The context behind a record of :meth:`record`.

        Raises
        ------
        InputError
            When the record is damaged.
        """
        try:
            treatments = [
                Treatment(
                    item["type"],
                    item["days_before"],
                    item["start_days_before"],
                    None if item["lesions"] is None else tuple(item["lesions"]),
                )
                for item in record["treatments"]
            ]
            return cls(protocol=dict(record["protocol"]), treatments=treatments, scan_day=record["scan_day"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("its context is damaged", where, "Run phenotype on that scan again.") from error


def _same(item, name, label):
    text = str(item).strip().lower()
    return text == str(name).lower() or text in (str(label), f"label {label}", f"lesion {label}")


def parse_context(content, where="context"):
    """Check a context object.

    Parameters
    ----------
    content : dict, Context or None
    where : str
        File name for messages.

    Returns
    -------
    Context

    Raises
    ------
    InputError
        Unknown entry or type, a date that is none, conflicting dates; says which.
    """
    if isinstance(content, Context):
        return content
    if content is None:
        return Context()
    if not isinstance(content, dict):
        raise InputError("is not a JSON object", where, 'Write {"histology": ..., "treatments": [...]}.')
    unknown = sorted(set(content) - _KNOWN)
    if unknown:
        raise InputError(f"entry '{unknown[0]}' is not known", where, f"Known: {', '.join(sorted(_KNOWN))}.")
    histology = str(content.get("histology") or "").strip().lower() or None
    context = Context(
        histology=_HISTOLOGY.get(histology, histology),
        molecular=tuple(str(item) for item in _list_of(content, "molecular", where)),
        protocol=_protocol(content, where),
        units=_dict_of(content, "units", where),
        repeatability=_dict_of(content, "repeatability", where),
        histology_adjust=_flag(content, "histology_adjust", where),
        label_irradiated=_flag(content, "label_irradiated", where),
        pet_tracer=content.get("pet_tracer"),
        lesions=_dict_of(content, "lesions", where),
    )
    for name, facts in context.lesions.items():
        if not isinstance(facts, dict):
            raise InputError(
                f"what it says of the lesion '{name}' is no object", where, 'Write {"near_vessel": true}.'
            )
    for key, unit in context.units.items():
        if not isinstance(unit, str):
            raise InputError(f"the unit of {key} is no text", where, 'Write {"ktrans": "1/min"}.')
    scan = _scan(content, where)
    context.scan_day, context.scan_date = scan["day"], scan["date"]
    for number, entry in enumerate(_list_of(content, "treatments", where), start=1):
        _add_treatment(context, entry, scan, f"{where}, treatment {number}")
    return context


def _dict_of(content, key, where):
    value = content.get(key) or {}
    if not isinstance(value, dict):
        raise InputError(f"entry '{key}' is not an object", where, "Write {...}.")
    return value


def _list_of(content, key, where):
    value = content.get(key) or []
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        raise InputError(f"entry '{key}' is not a list", where, "Write [...].")
    return value


def _flag(content, key, where):
    value = content.get(key, False)
    if not isinstance(value, bool):
        raise InputError(f"entry '{key}' is neither true nor false", where, "Write true or false.")
    return value


def _protocol(content, where):
    protocol = dict(_dict_of(content, "protocol", where))
    if "flip" in protocol:
        protocol.setdefault("flip_deg", protocol.pop("flip"))
    flip = protocol.get("flip_deg")
    odd = isinstance(flip, bool) or not isinstance(flip, int | float) or not isfinite(flip)
    if flip is not None and odd:
        raise InputError("entry protocol/flip_deg is not a number", where, "Write degrees.")
    return protocol


def _scan(content, where):
    scan = content.get("scan") or {}
    scan = dict(scan) if isinstance(scan, dict) else {"date": scan}
    for key in ("date", "day"):
        outer = content.get(f"scan_{key}")
        outer = _day(outer, where, "scan") if key == "day" else outer
        if outer is not None and scan.get(key, outer) != outer:
            raise InputError(f"names two different scan {key}s", where, "Keep one of them.")
        if outer is not None:
            scan[key] = outer
    return {"date": _date(scan.get("date"), where, "scan"), "day": _day(scan.get("day"), where, "scan")}


def _date(value, where, what):
    if value is None:
        return None
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError as error:
        raise InputError(f"{what} date '{value}' is not a date", where, "Write YYYY-MM-DD.") from error


def _day(value, where, what):
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise InputError(f"{what} day '{value}' is not a number", where, "Write a number of days.")
    return float(value)


def _add_treatment(context, entry, scan, where):
    if not isinstance(entry, dict) or "type" not in entry:
        raise InputError("has no type", where, 'Write {"type": "SRS", "date": ..., "lesions": [...]}.')
    kind = _TYPES.get(str(entry["type"]).strip().lower())
    if kind is None:
        known = "SRS, RT, anti-VEGF, steroid, ICI, other"
        raise InputError(f"type '{entry['type']}' is not known", where, f"Use one of: {known}.")
    start = _days_before(entry, "", scan, where)
    end = _days_before(entry, "end_", scan, where)
    if start is not None and end is not None and end > start:
        raise InputError("ends before it starts", where, "Mend the dates.")
    if start is not None and start < 0:
        context.warnings.append(f"{kind} lies {-start:g} days after the scan and is set aside.")
        return
    last = start if end is None else max(end, 0.0)
    if last is None:
        context.warnings.append(f"{kind} has no date that can be set against the scan; counted as recent.")
    context.treatments.append(Treatment(kind, last, start, _lesion_list(entry.get("lesions"), where)))


def _days_before(entry, prefix, scan, where):
    day = _day(entry.get(f"{prefix}day"), where, prefix.strip("_") or "start")
    when = _date(entry.get(f"{prefix}date"), where, prefix.strip("_") or "start")
    from_day = None if day is None or scan["day"] is None else scan["day"] - day
    from_date = None if when is None or scan["date"] is None else float((scan["date"] - when).days)
    if from_day is not None and from_date is not None and abs(from_day - from_date) > 1:
        fault = f"day and date disagree ({from_day:g} and {from_date:g} days before the scan)"
        raise InputError(fault, where, "Keep one of them.")
    return from_day if from_date is None else from_date


def _lesion_list(value, where):
    if value is None or (isinstance(value, str) and value.strip().lower() == "all"):
        return None
    items = [value] if isinstance(value, str | int) else value
    if not isinstance(items, list | tuple) or not items:
        raise InputError("entry 'lesions' names no lesion", where, 'Write "all" or a list of names.')
    return tuple(items)


def check_names(context, lesions, where="context"):
    """Refuse a context that names lesions which do not exist: a typing error would open a gate.

    Raises
    ------
    InputError
        Names the unknown lesion and those that exist.
    """
    named = [item for treatment in context.treatments for item in treatment.lesions or ()]
    for item in [*named, *context.lesions]:
        if not any(_same(item, lesion.name, lesion.label) for lesion in lesions):
            known = ", ".join(str(lesion.name) for lesion in lesions)
            raise InputError(f"names the lesion '{item}', which is not there", where, f"Lesions: {known}.")
