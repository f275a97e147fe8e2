"""A perfusion analysis from the choices of the panel: settings, preview, run, table."""

import re
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.lesion_table import lesion_rows
from BMVascularCore.progress import silent
from BMVascularLib import perfusionNodes as nodes
from BMVascularLib.segments import labelsOfNode
from BMVascularLib.sequences import headerTimes
from BMVascularLib.studyNodes import factsOf, timepointOf
from BMVascularLib.volumes import arrayOfImageData, geometryOfNode

POPULATION = ("parker", "georgiou", "weinmann", "brain")


@dataclass
class PerfusionJob:
    """Everything a run needs. Zero or empty means: take what the series itself states.

    Attributes
    ----------
    kind : {"DSC", "DCE"}
    sequence : vtkMRMLSequenceNode
    lesions : vtkMRMLSegmentationNode or None
    t1c : vtkMRMLScalarVolumeNode or None
        The series is aligned with it when it stands below no transform yet.
    points : vtkMRMLMarkupsFiducialNode or None
        Voxels of the input function, used with ``aif="points"``.
    aif : str
        "auto", "points", "none" (DSC), or a population function (DCE).
    te_ms, tr_ms, flip_deg : float
    times : str
        Seconds per frame, or the times of all frames.
    preload, leakage, deconvolution, motion
        As in ``DscSettings``.
    model, fit_delay, hematocrit, relaxivity
        As in ``DceSettings``.
    t1 : {"vfa", "fixed", "none"}
    t10_s : float
    """

    kind: str = "DSC"
    sequence: object = None
    lesions: object = None
    t1c: object = None
    points: object = None
    aif: str = "auto"
    te_ms: float = 0.0
    tr_ms: float = 0.0
    flip_deg: float = 0.0
    times: str = ""
    preload: str = "unknown"
    leakage: str = "auto"
    deconvolution: str = "osvd"
    motion: str = "auto"
    model: str = "auto"
    fit_delay: bool = True
    hematocrit: float = 0.42
    relaxivity: float = 4.5
    t1: str = "vfa"
    t10_s: float = 1.4


def typedTimes(text):
    """Frame times typed by a person: nothing, seconds per frame, or all times.

    Returns
    -------
    (list of float or None, float or None)
        All times, seconds per frame.

    Raises
    ------
    InputError
    """
    words = text.replace(",", " ").replace(";", " ").split()
    if not words:
        return None, None
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise InputError(
            f"'{text}' is no time", "frame times", "Type seconds per frame, or the times of all frames."
        ) from error
    return (None, values[0]) if len(values) == 1 else (values, None)


def protocolOf(job):
    """Protocol facts with their source.

    Returns
    -------
    dict of str to (float or None, str)
        ``te_ms``, ``tr_ms``, ``flip_deg``: value and "typed in", "series" or "missing".
    """
    facts = factsOf(job.sequence) if job.sequence is not None else {}
    found = {}
    for name, key, scale in (
        ("te_ms", "echo_time_s", 1000.0),
        ("tr_ms", "repetition_time_s", 1000.0),
        ("flip_deg", "flip_deg", 1.0),
    ):
        if getattr(job, name) > 0:
            found[name] = (getattr(job, name), "typed in")
        elif facts.get(key):
            found[name] = (float(facts[key]) * scale, "series")
        else:
            found[name] = (None, "missing")
    return found


def problemOf(job):
    """What keeps a job from running, in one sentence; empty when nothing does."""
    if job.sequence is None:
        return f"Choose the {job.kind} series."
    if job.sequence.GetNumberOfDataNodes() < 8:
        return f"{job.sequence.GetName()} has {job.sequence.GetNumberOfDataNodes()} frames; a dynamic series is wanted."
    if headerTimes(job.sequence) is None and not job.times.strip():
        return "The frame times are missing: type the seconds per frame under Protocol."
    protocol = protocolOf(job)
    if job.kind == "DSC" and protocol["te_ms"][0] is None:
        return "The echo time is missing: type it under Protocol."
    if job.kind == "DCE" and job.t1 != "none":
        for name, words in (("tr_ms", "repetition time"), ("flip_deg", "flip angle")):
            if protocol[name][0] is None:
                return f"The {words} is missing: type it under Protocol."
    if job.aif == "points" and (job.points is None or job.points.GetNumberOfControlPoints() == 0):
        return "Click at least one voxel of the input function, or let it be found."
    return ""


def readJobSeries(job):
    """The series of a job with typed-in times."""
    times, dt = typedTimes(job.times)
    return nodes.readSeries(job.sequence, times, dt)


def dscSettings(job, preview=False):
    """Core's settings of a DSC job."""
    from BMVascularCore.perfusion.dsc import DscSettings

    protocol = protocolOf(job)
    return DscSettings(
        te_ms=protocol["te_ms"][0],
        tr_ms=protocol["tr_ms"][0],
        flip_deg=protocol["flip_deg"][0],
        preload=job.preload,
        leakage=job.leakage,
        deconvolution="none" if job.aif == "none" else job.deconvolution,
        # single curves are shown as they were acquired
        motion="off" if preview else job.motion,
    )


def dceSettings(job, hasT1):
    """Core's settings of a DCE job."""
    from BMVascularCore.perfusion.dce import DceSettings

    protocol = protocolOf(job)
    tr = protocol["tr_ms"][0]
    return DceSettings(
        model=job.model,
        tr_s=None if tr is None else tr / 1000.0,
        flip_deg=protocol["flip_deg"][0],
        t10_s=job.t10_s if job.t1 == "fixed" and not hasT1 else None,
        relaxivity=job.relaxivity,
        hematocrit=job.hematocrit,
        population_aif=job.aif if job.aif in POPULATION else None,
        fit_delay=job.fit_delay,
    )


def _t1(job):
    """T1 map and what is said about it."""
    if job.t1 != "vfa":
        return None, ""
    t1_s, note = nodes.t1OfVfa(job.sequence)
    if t1_s is None:
        raise InputError(note, "T1 before contrast", "Choose a fixed T1, or give the volumes their role.")
    return t1_s, note


def _points(job):
    return nodes.pointsMask(job.points, job.sequence) if job.aif == "points" else None


# options of the command line, as the panel calls them
_WORDS = {
    "te": "Echo time",
    "tr": "Repetition time",
    "flip": "Flip angle",
    "times": "Frame times",
    "dt": "Frame times",
    "exclude": "Lesions",
    "t10": "Fixed T1",
    "aif": "Input function",
    "aif-mask": "Input function",
    "population-aif": "a population function",
    "leakage": "Leakage:",
    "deconvolution": "Deconvolution:",
    "concentration": "a concentration series",
}


@contextmanager
def panelWords():
    """Within a ``with`` block, errors name the fields of the panel instead of command-line options."""

    def words(text):
        return None if text is None else re.sub(r"--([a-z0-9-]+)", lambda m: _WORDS.get(m[1], m[1]), text)

    try:
        yield
    except InputError as error:
        raise InputError(words(error.what), words(error.where), words(error.mend)) from error


def previewOf(job, progress=None):
    """Prepare the series of a job for single voxels.

    Returns
    -------
    DscPreview or DcePreview
        Of ``BMVascularCore.perfusion.preview``.

    Raises
    ------
    InputError
    Cancelled
    """
    from BMVascularCore.perfusion.preview import DcePreview, DscPreview
    from BMVascularCore.study.stages import head_of

    reading, preparing = nodes.progressShares(progress, 0.3, 1.0)
    reading(0.0, "Reading the series")
    series = readJobSeries(job)
    if job.kind == "DSC":
        exclude = nodes.exclusionOf(job.lesions, job.sequence) if job.lesions is not None else None
        settings = dscSettings(job, preview=True)
        return DscPreview(series, settings, exclude=exclude, aif=_points(job), progress=preparing)
    reading(0.3, "T1 before contrast")
    t1_s, _ = _t1(job)
    settings = dceSettings(job, t1_s is not None)
    return DcePreview(
        series, settings, t1_s=t1_s, mask=head_of(series), aif_mask=_points(job), progress=preparing
    )


def runJob(job, progress=None):
    """Run a job: nothing is added to the scene before all of it is computed.

    Returns
    -------
    perfusionNodes.Made

    Raises
    ------
    InputError
    Cancelled
        The scene is as it was.
    """
    problem = problemOf(job)
    if problem:
        raise InputError(problem, "Perfusion")
    progress = progress or silent
    reading, aligning, running = nodes.progressShares(progress, 0.05, 0.25, 1.0)
    reading(0.0, "Reading the series")
    series = readJobSeries(job)
    alignment = nodes.alignmentOf(job.sequence, series, job.t1c, aligning)
    aligning(1.0, "Analysing")
    result = _runDsc(job, series, alignment, running) if job.kind == "DSC" else _runDce(job, series, running)
    if alignment is not None:
        result.warnings.append(alignment.note)
    running(1.0, "Adding the maps")
    return nodes.addMaps(job.sequence, result, job.kind, alignment, job.t1c)


def _runDsc(job, series, alignment, progress):
    from BMVascularCore.perfusion.dsc import run_dsc

    exclude = None
    if job.lesions is not None:
        exclude = nodes.exclusionOf(job.lesions, job.sequence, alignment, job.t1c)
    return run_dsc(series, dscSettings(job), exclude=exclude, aif=_points(job), progress=progress)


def _runDce(job, series, progress):
    from BMVascularCore.perfusion.dce import run_dce
    from BMVascularCore.study.stages import head_of

    fitting, running = nodes.progressShares(progress, 0.2, 1.0)
    fitting(0.0, "T1 before contrast")
    t1_s, note = _t1(job)
    settings = dceSettings(job, t1_s is not None)
    result = run_dce(
        series, settings, t1_s=t1_s, mask=head_of(series), aif_mask=_points(job), progress=running
    )
    if t1_s is not None:
        result.maps["t1map"], result.units["t1map"] = t1_s, "s"
        result.methods_text += f" T1 before contrast was {note} (non-linear least squares)."
    elif job.t1 == "fixed":
        result.warnings.append(
            f"T1 before contrast is assumed to be {job.t10_s:g} s everywhere: Ktrans and vp are only relative."
        )
    return result


def lesionTable(maps, flags, lesions, kind):
    """Rows of the per-lesion table from the map nodes in the scene.

    Parameters
    ----------
    maps : dict of str to vtkMRMLScalarVolumeNode
    flags : vtkMRMLLabelMapVolumeNode or None
    lesions : vtkMRMLSegmentationNode
    kind : {"DSC", "DCE"}

    Returns
    -------
    list of dict
    """
    shown = {k: v for k, v in maps.items() if not k.startswith("se_") and k not in ("k2_cv", "t1map")}
    if not shown:
        return []
    first = next(iter(shown.values()))
    geometry = geometryOfNode(first)
    labels, names = labelsOfNode(lesions, geometry)
    arrays = {key: arrayOfImageData(node.GetImageData()) for key, node in maps.items()}
    errors = {key[3:]: array for key, array in arrays.items() if key.startswith("se_")}
    if "k2_cv" in arrays and "k2" in arrays:
        errors["k2"] = np.abs(arrays["k2"]) * arrays["k2_cv"]
    valid = np.ones(geometry.shape, bool)
    if flags is not None:
        valid = ~np.isin(arrayOfImageData(flags.GetImageData()), _NOT_TISSUE[kind])
    units = {key: nodes.mapFacts(key, arrays[key])[1] for key in shown}
    return lesion_rows(labels.array, names, {k: arrays[k] for k in shown}, units, valid, errors)


# numbers of the flag maps whose voxels are not counted as tissue
_NOT_TISSUE = {"DSC": [1, 2, 3, 4, 5, 6, 7], "DCE": [2, 3, 4, 5, 6, 7]}


def timepointOfJob(job):
    """Time point of a job's series."""
    return timepointOf(job.sequence) or "TP1"
