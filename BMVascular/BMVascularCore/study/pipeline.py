"""The whole way once: from a study to phenotypes, targets and a report."""

import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.io import write_curves, write_table, write_volume
from BMVascularCore.phenotype.score import INSUFFICIENT
from BMVascularCore.progress import share_of, silent
from BMVascularCore.report.build import build_report
from BMVascularCore.report.publisher import publish
from BMVascularCore.study import stages
from BMVascularCore.study.followup import followup_stage
from BMVascularCore.study.planning import planning_stage
from BMVascularCore.study.protocol import SeriesFacts, check_protocol, facts_of_image
from BMVascularCore.study.results import ResultsIndex
from BMVascularCore.volume import ras_lps

# share of the whole run that each stage of one time point takes, measured on the simulated patient
_SHARES = (("anatomy", 0.22), ("lesions", 0.12), ("DSC", 0.22), ("DCE", 0.30), ("phenotype", 0.14))


@dataclass
class TimePointRun:
    """What was computed for one time point."""

    timepoint: object
    anatomy: object = None
    segmentation: object = None
    dsc: object = None
    dce: object = None
    phenotype: object = None
    notes: list = field(default_factory=list)


@dataclass
class StudyRun:
    """What a run leaves for its caller besides the files.

    Attributes
    ----------
    timepoints : list of TimePointRun
    planning : BMVascularCore.study.planning.PlanningRun or None
    followup : list of BMVascularCore.study.followup.Followup
    timings : list of dict
        Stage and seconds.
    notes : list of str
    methods : list of str
    """

    timepoints: list = field(default_factory=list)
    planning: object = None
    followup: list = field(default_factory=list)
    timings: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    methods: list = field(default_factory=list)

    @contextmanager
    def timed(self, stage):
        """Measure a stage's wall-clock time."""
        started = time.perf_counter()
        yield
        self.timings.append({"stage": stage, "seconds": round(time.perf_counter() - started, 1)})


def run_study(plan, folder, truth=None, pictures=True, progress=None):
    """Run every stage that the study allows and write all results.

    Parameters
    ----------
    plan : BMVascularCore.study.plan.StudyPlan
    folder : BMVascularCore.io.OutputFolder
        Entered; not yet committed.
    truth : callable, optional
        Takes the :class:`StudyRun` and returns the rows and columns of *computed against true*.
    pictures : bool
        Also make the scene and the pictures.
    progress : callable, optional

    Returns
    -------
    StudyRun

    Raises
    ------
    InputError
        When lesions cannot be segmented. Missing or unusable perfusion, planning or follow-up become notes.
    """
    progress = progress or silent
    run = StudyRun(notes=list(plan.warnings))
    index = ResultsIndex(folder, plan.title, plan.simulated)
    share = 0.72 / len(plan.timepoints)
    for number, timepoint in enumerate(plan.timepoints):
        part = share_of(progress, number * share, (number + 1) * share)
        run.timepoints.append(_run_timepoint(run, index, timepoint, part))
    with run.timed("follow-up"):
        progress(0.72, "comparing time points")
        run.followup = followup_stage(run.timepoints, folder, run.notes)
    with run.timed("planning"):
        run.planning = planning_stage(plan, run.timepoints, index, run.notes, share_of(progress, 0.76, 0.88))
    index.write()
    rows = truth(run) if truth is not None else None
    if rows:
        write_table(
            folder.file("computed_against_true.csv"), rows["rows"], [key for key, _ in rows["columns"]]
        )
    if pictures:
        with run.timed("scene and pictures"):
            progress(0.88, "scene and pictures")
            problem = publish(folder.file("results.json").parent, share_of(progress, 0.88, 0.98))
            if problem:
                run.notes.append(problem)
    progress(0.98, "report")
    _write_report(run, folder, rows)
    progress(1.0, "done")
    return run


def _run_timepoint(run, index, timepoint, progress):
    """All stages of one time point, in order."""
    done = TimePointRun(timepoint)
    label = timepoint.label
    edges = [sum(width for _, width in _SHARES[:n]) for n in range(len(_SHARES) + 1)]
    parts = {name: share_of(_named(progress, f"{label}: {name}"), edges[n], edges[n + 1])
             for n, (name, _) in enumerate(_SHARES)}  # fmt: skip
    with run.timed(f"{label} reading and aligning"):
        done.anatomy = stages.read_anatomy(timepoint, parts["anatomy"])
    done.notes += done.anatomy.notes
    with run.timed(f"{label} lesions"):
        done.segmentation = stages.segment_stage(done.anatomy, timepoint.seeds, parts["lesions"])
    done.notes += done.segmentation.warnings
    with run.timed(f"{label} DSC"):
        done.dsc = stages.optional(
            stages.dsc_stage,
            timepoint,
            done.anatomy,
            done.segmentation,
            parts["DSC"],
            notes=done.notes,
            what="DSC",
        )
    with run.timed(f"{label} DCE"):
        done.dce = stages.optional(
            stages.dce_stage, timepoint, done.anatomy, parts["DCE"], notes=done.notes, what="DCE"
        )
    with run.timed(f"{label} phenotype"):
        done.phenotype = stages.phenotype_stage(
            timepoint, done.anatomy, done.segmentation, done.dsc, done.dce, parts["phenotype"]
        )
    _write_timepoint(index, done)
    for perfusion in (done.dsc, done.dce):
        if perfusion is not None:
            done.notes += perfusion.warnings
            run.methods.append(f"{label}: {perfusion.result.methods_text}")
    done.notes += done.phenotype.warnings
    run.notes += [f"{label}: {note}" for note in done.notes]
    return done


def _named(progress, name):
    return lambda fraction, message="": progress(fraction, f"{name}: {message}" if message else name)


def _write_timepoint(index, done):
    point = index.add_timepoint(done.timepoint.label, done.timepoint.days)
    for role, image in done.anatomy.images.items():
        index.add_volume(point, role, image, done.anatomy.alignments[role])
    index.add_lesions(point, done.segmentation)
    write_table(index.folder.file(point.lesions["table"]), done.segmentation.rows)
    index.add_seeds(point, done.timepoint.seeds)
    for perfusion in (done.dsc, done.dce):
        if perfusion is not None:
            index.add_maps(
                point, perfusion.kind, perfusion.result.maps, perfusion.geometry, perfusion.alignment
            )
            write_aif(index.folder.file(f"{point.folder}/{perfusion.kind}/aif.csv"), perfusion)
    _write_phenotype(index, point, done)
    point.notes = [note for note in done.notes if note]


def write_aif(path, perfusion):
    """Write the arterial input function that was used."""
    result = perfusion.result
    if perfusion.kind == "dce" and result.aif_plasma_mM is not None:
        write_curves(path, {"time_s": result.aif_times_s, "concentration_mM": result.aif_plasma_mM})
    elif perfusion.kind == "dsc" and result.aif is not None:
        write_curves(path, {"time_s": result.times_s, "dr2s_per_s": result.aif.curve})


def _write_phenotype(index, point, done):
    base = f"{point.folder}/phenotype"
    assessment = done.phenotype
    write_table(index.folder.file(f"{base}/phenotype.csv"), assessment.rows)
    index.folder.write_json(
        f"{base}/phenotype.json",
        {"lesions": assessment.lesions, "patient": assessment.patient, "table": assessment.table},
    )
    point.phenotype_table = f"{base}/phenotype.csv"
    if assessment.habitats is not None and assessment.habitats.array.any():
        write_volume(index.folder.file(f"{base}/habitats.nrrd"), assessment.habitats)
        point.habitats = f"{base}/habitats.nrrd"
    by_name = {row["name"]: row for row in assessment.rows}
    for row in done.segmentation.rows:
        point.lesion_list.append(_lesion_entry(done, row, by_name.get(row["name"], {})))


def _lesion_entry(done, row, found):
    """What scene and pictures need to know of a lesion."""
    label = int(row["label"])
    inside = done.segmentation.labels.array == label
    habitats = done.phenotype.habitats
    phenotype = found.get("phenotype", "")
    return {
        "name": row["name"],
        "label": label,
        "phenotype": phenotype,
        # a rule that had nothing to work on is trivially stable: no number is shown
        "stability": None if phenotype == INSUFFICIENT else found.get("stability"),
        "center_ras": lesion_centre_ras(done.segmentation, label),
        "diameter_mm": row.get("longest_diameter_mm"),
        "habitats": bool(habitats is not None and habitats.array[inside].any()),
    }


def lesion_centre_ras(segmentation, label):
    """Centre of gravity of a lesion, RAS mm."""
    index = np.argwhere(segmentation.labels.array == label)
    if not len(index):
        return None
    return [round(float(v), 2) for v in ras_lps(segmentation.labels.geometry.points_of(index.mean(axis=0)))]


def check_run(run):
    """Check how the series of a run were acquired.

    Parameters
    ----------
    run : StudyRun

    Returns
    -------
    list of BMVascularCore.study.protocol.Finding
    """
    facts, preload = [], {}
    for done in run.timepoints:
        label = done.timepoint.label
        preload[label] = done.timepoint.context.get("protocol", {}).get("preload")
        facts += [facts_of_image(role, label, image) for role, image in done.anatomy.images.items()]
        facts += [perfusion.facts for perfusion in (done.dsc, done.dce) if perfusion is not None]
        facts += [
            SeriesFacts(role, label, role) for role in done.timepoint.sources if role in ("VFA", "DWI", "T2")
        ]
    return check_protocol(facts, preload)


def _write_report(run, folder, truth_rows):
    change = [follow.report_table() for follow in run.followup]
    extra = {
        "notes": run.notes,
        "methods": run.methods,
        "timings": run.timings,
        "truth": truth_rows,
        "change": change[0] if change else None,
        "protocol": [finding.as_row() for finding in check_run(run)],
    }
    html = build_report(folder.file("results.json").parent, extra)
    folder.file("report.html").write_text(html, encoding="utf-8")
