"""What a run works on: time points with their images, seeds and context.

A plan comes from a DICOM folder, from ``study.json``, or from both: ``study.json`` may name a DICOM
folder and add what DICOM does not hold (seeds, treatments, roles that the user corrected).
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_series, read_volume
from BMVascularCore.lesions import Seed
from BMVascularCore.progress import share_of, silent
from BMVascularCore.study.dicom import is_image, load_series, load_volume
from BMVascularCore.study.headers import scan_folder
from BMVascularCore.study.plan_options import PlanOptions, check_prescription, options_of_study
from BMVascularCore.study.roles import ROLES, propose_roles
from BMVascularCore.volume import ras_lps

DYNAMIC = ("DSC", "DCE")


@dataclass
class Source:
    """One image of the study before it is read.

    Attributes
    ----------
    role : str
    reason : str
        Why it has this role.
    series : DicomSeries or None
    path : pathlib.Path or None
        An image file, when it does not come from DICOM.
    options : dict
        Facts typed in ``study.json``: ``dt_s``, ``times_s``, ``echo_time_ms``, ``flip_deg``, ``repetition_time_ms``.
    """

    role: str
    reason: str
    series: object = None
    path: Path | None = None
    options: dict = field(default_factory=dict)

    @property
    def label(self):
        """What messages call it."""
        return self.series.label if self.series is not None else self.path.name

    def read(self, progress=None):
        """Read the image: a Series for DSC and DCE, else a Volume; typed-in facts win over the header's."""
        times = {key: self.options.get(key) for key in ("times_s", "dt_s")}
        if self.role in DYNAMIC:
            image = (load_series(self.series, name=self.role, progress=progress, **times) if self.series is not None
                     else read_series(self.path, name=self.role, **times))  # fmt: skip
        else:
            image = (
                load_volume(self.series, self.role)
                if self.series is not None
                else read_volume(self.path, self.role)
            )
        for key, to, scale in (("echo_time_ms", "echo_time_s", 1e-3), ("repetition_time_ms", "repetition_time_s", 1e-3),
                               ("flip_deg", "flip_deg", 1.0)):  # fmt: skip
            if self.options.get(key) is not None:
                image.meta[to] = float(self.options[key]) * scale
        return image


@dataclass
class TimePoint:
    """One study date.

    Attributes
    ----------
    label : str
    days : float or None
        Days since the first time point.
    sources : dict
        Role to list of :class:`Source` (several for VFA).
    seeds : list of Seed
    context : dict
        Clinical facts for the phenotype (histology, treatments, protocol).
    """

    label: str
    days: float | None = None
    sources: dict = field(default_factory=dict)
    seeds: list = field(default_factory=list)
    context: dict = field(default_factory=dict)

    def first(self, role):
        """The source of a role, None when the study has none."""
        return self.sources.get(role, [None])[0]


@dataclass
class StudyPlan:
    """Everything that a run needs to know before it reads pixels."""

    title: str
    simulated: bool
    timepoints: list
    planning: dict = field(default_factory=dict)
    truth: Path | None = None
    warnings: list = field(default_factory=list)
    prescription_gy: float | dict | None = None
    options: PlanOptions = field(default_factory=PlanOptions)

    @property
    def lesion_names(self):
        """Names of all seeds."""
        return [seed.name for point in self.timepoints for seed in point.seeds]


def read_plan(folder, seeds=(), seeds_required=True, progress=None, t1c_required=True):
    """Make the plan of a run.

    Parameters
    ----------
    folder : path-like
        A DICOM folder, or a folder with ``study.json``.
    seeds : list of Seed, optional
        Seeds for the first time point, added to those of ``study.json``.
    seeds_required : bool
        False where the user will click them (panels).
    progress : callable, optional
    t1c_required : bool
        False where the user will correct roles (panels): a study without a contrast-enhanced T1 is kept with
        every image in it.

    Returns
    -------
    StudyPlan

    Raises
    ------
    InputError
        Missing or empty folder, invalid ``study.json``, no contrast-enhanced T1, no seed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("this folder does not exist", folder.name, "Check the path.")
    facts = _read_facts(folder / "study.json")
    plan = StudyPlan(
        str(facts.get("title", "Study")),
        bool(facts.get("simulated", False)),
        [],
        prescription_gy=check_prescription(facts.get("prescription_gy")),
        options=options_of_study(facts.get("planning", {}), folder),
    )
    if facts.get("truth"):
        plan.truth = folder / facts["truth"]
    if not facts or "dicom" in facts:
        _from_dicom(
            plan, folder / facts.get("dicom", "."), facts, share_of(progress or silent, 0, 1), t1c_required
        )
    else:
        _from_files(plan, folder, facts)
    if plan.timepoints and seeds:
        plan.timepoints[0].seeds.extend(seeds)
    _check(plan, folder, seeds_required, t1c_required)
    return plan


def _read_facts(path):
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError("is not valid JSON", path.name, f"Mend it ({error}).") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("timepoints", []), list):
        raise InputError(
            "does not describe a study", path.name, 'It needs an object with "timepoints": [ ... ].'
        )
    return facts


def _seeds(entry, where):
    seeds = []
    for number, seed in enumerate(entry.get("seeds", []), start=1):
        try:
            point = ras_lps([float(value) for value in seed["ras"]]).tolist()
            if len(point) != 3:
                raise ValueError("three numbers are wanted")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"seed {number} has no position", where, 'Write {"name": "M1", "ras": [R, A, S]} in mm.'
            ) from error
        seeds.append(Seed(str(seed.get("name", f"L{number}")), point, seed.get("kind", "include")))
    return seeds


def _from_dicom(plan, folder, facts, progress, t1c_required=True):
    all_series = scan_folder(folder, progress)
    roles = propose_roles(all_series)
    overrides = facts.get("roles", {})
    studies = {}
    for series in all_series:
        studies.setdefault(series.text("StudyInstanceUID"), []).append(series)
    entries = {entry.get("study_instance_uid"): entry for entry in facts.get("timepoints", [])}
    ordered = sorted(
        studies, key=lambda uid: min(s.text("StudyDate") + s.text("StudyTime") for s in studies[uid])
    )
    imaging = []
    for uid in ordered:
        sources = {}
        for series in studies[uid]:
            role, reason = roles[series.uid].role, roles[series.uid].reason
            if series.uid in overrides:
                role, reason = str(overrides[series.uid]), "set in study.json"
            if role not in ROLES:
                raise InputError(f"'{role}' is not a role", "study.json", f"Use one of {', '.join(ROLES)}.")
            if role != "other" or (not t1c_required and is_image(series)):
                sources.setdefault(role, []).append(Source(role, reason, series))
        planning = {role: sources.pop(role) for role in ("CT", "dose", "structures") if role in sources}
        for role, found in planning.items():
            plan.planning.setdefault(role, found[-1])
        if "T1c" in sources:
            # what was set aside matters only where the T1c has to be found among it
            sources.pop("other", None)
            imaging.append((uid, sources))
        elif not t1c_required and sources:
            imaging.append((uid, sources))
    days = _days_between([studies[uid][0].text("StudyDate") for uid, _ in imaging])
    for number, (uid, sources) in enumerate(imaging, start=1):
        entry = entries.get(uid, {})
        plan.timepoints.append(
            TimePoint(
                str(entry.get("label", f"TP{number}")),
                entry.get("days", days[number - 1]),
                sources,
                _seeds(entry, "study.json"),
                dict(entry.get("context", {})),
            )
        )
    if not imaging:
        names = "; ".join(s.label for s in all_series if is_image(s)) or "no image series"
        raise InputError(
            f"holds no contrast-enhanced T1 series (found: {names[:200]})",
            folder.name,
            'Name it in study.json: {"roles": {"<SeriesInstanceUID>": "T1c"}}.',
        )


def _days_between(dates):
    """Days since the first date; None where a date is missing."""
    import datetime

    def parse(text):
        try:
            return datetime.datetime.strptime(text, "%Y%m%d").date()
        except ValueError:
            return None

    parsed = [parse(text) for text in dates]
    first = parsed[0] if parsed else None
    return [(date - first).days if date and first else None for date in parsed]


def _from_files(plan, folder, facts):
    for number, entry in enumerate(facts.get("timepoints", []), start=1):
        sources = {}
        for role, given in entry.get("series", {}).items():
            if role not in ROLES:
                raise InputError(f"'{role}' is not a role", "study.json", f"Use one of {', '.join(ROLES)}.")
            for item in given if isinstance(given, list) else [given]:
                item = {"file": item} if isinstance(item, str) else dict(item)
                path = folder / str(item.pop("file", ""))
                if not path.exists() or path == folder:
                    raise InputError(
                        f"the {role} image is missing", path.name, "Check the name in study.json."
                    )
                sources.setdefault(role, []).append(
                    Source(role, "named in study.json", path=path, options=item)
                )
        for role in ("CT", "dose", "structures"):
            if role in sources:
                plan.planning.setdefault(role, sources.pop(role)[-1])
        plan.timepoints.append(
            TimePoint(
                str(entry.get("label", f"TP{number}")),
                entry.get("days"),
                sources,
                _seeds(entry, "study.json"),
                dict(entry.get("context", {})),
            )
        )


def _check(plan, folder, seeds_required, t1c_required):
    if not plan.timepoints:
        raise InputError(
            "describes no time point", folder.name, "Add timepoints to study.json, or give a DICOM folder."
        )
    for point in plan.timepoints:
        if t1c_required and "T1c" not in point.sources:
            raise InputError(
                f"{point.label} has no contrast-enhanced T1 (role T1c)",
                folder.name,
                "Add it, or correct the roles in study.json.",
            )
        if seeds_required and not point.seeds:
            raise InputError(
                f"{point.label} has no lesion seeds",
                folder.name,
                "Give --seed R,A,S=NAME for each lesion, or write them into study.json.",
            )
