"""The guided steps of a study and the state of each, read from the scene."""

from dataclasses import dataclass

from BMVascularLib import freshness, studyNodes

MISSING, READY, DONE, OUTDATED = "missing input", "ready", "done", "out of date"
MAPS = ("nrcbv", "ktrans")


@dataclass(frozen=True)
class Step:
    """One step of the work.

    Attributes
    ----------
    name, module : str
        ``module`` is empty for what the hub does itself.
    needs : tuple of str
        One of these roles is enough to begin.
    reads : tuple of str
        Roles that its result depends on.
    makes : tuple of str
        One of these roles shows that it is done.
    hint : str
        What to do when a need is missing.
    """

    name: str
    module: str
    needs: tuple
    reads: tuple
    makes: tuple
    hint: str


STEPS = (
    Step("Study", "", (), (), ("T1c",), "Load a study, or give a series the role T1c."),
    Step("Lesions", "BMVLesionSeeding", ("T1c",), ("T1c", "T1", "FLAIR", "SWI"), ("lesions",),
         "Needs a contrast-enhanced T1 (role T1c)."),
    Step("Perfusion", "BMVPerfusion", ("DSC", "DCE"), ("DSC", "DCE", "VFA"), MAPS, "Needs a DSC or DCE series."),
    Step("Phenotype", "BMVPhenotype", ("lesions",),
         ("lesions", "compartments", "nrcbv", "ktrans", "vp", "PET", "ADC", "SWI", "FLAIR", studyNodes.CONTEXT),
         ("phenotype",), "Segment lesions first."),
    Step("Planning", "BMVPlanning", ("CT",), ("lesions", "CT"), ("targets",), "Needs the planning CT (role CT)."),
    Step("Report", "", ("lesions",), ("lesions", *MAPS, "phenotype", "targets"), (), "Segment lesions first."),
)  # fmt: skip


def stepsOfScene(scene, reported=None):
    """State of every step.

    Parameters
    ----------
    scene : vtkMRMLScene
    reported : str, optional
        What :func:`stateOfResults` said when the report was written.

    Returns
    -------
    list of dict
        ``step``, ``module``, ``state`` (one of ``MISSING``, ``READY``, ``DONE``, ``OUTDATED``), ``detail``.
    """
    rows = [_row(scene, step, reported) for step in STEPS]
    open_ = next((row for row in rows if row["state"] in (READY, OUTDATED)), None)
    for row in rows:
        row["next"] = row is open_
    return rows


def stateOfResults(scene):
    """A text that changes with every result in the scene (kept with a report)."""
    roles = STEPS[-1].reads
    return " ".join(
        freshness.digest(node) for node in studyNodes.nodesOf(scene) if studyNodes.roleOf(node) in roles
    )


def _row(scene, step, reported):
    row = {"step": step.name, "module": step.module}
    if not step.makes:
        return row | _reportState(scene, step, reported)
    if step.name == "Planning":
        return row | _stateAt(scene, step, [None])
    return row | _stateAt(scene, step, studyNodes.timepointsOf(scene))


def _stateAt(scene, step, timepoints):
    """State over time points: the least finished one speaks."""
    able = [point for point in timepoints if _has(scene, step.needs, point)] if step.needs else timepoints
    done, stale, reasons = [], [], []
    for point in able:
        results = [studyNodes.firstOf(scene, role, point) for role in _wanted(scene, step, point)]
        if not results or None in results:
            continue
        inputs = _inputs(scene, step, point)
        changed = [role for node in results for role in freshness.changedInputs(node, inputs)]
        (stale if changed else done).append(point)
        reasons += changed
    left = [point for point in able if point not in done and point not in stale]
    if stale:
        what = ", ".join(dict.fromkeys(reasons))
        return {"state": OUTDATED, "detail": f"{_named(stale)}{what} changed since"}
    if not step.needs:
        return {"state": DONE if done else READY, "detail": ", ".join(done) or step.hint}
    if not able:
        return {"state": MISSING, "detail": step.hint}
    if left:
        begun = f"; {', '.join(done)} done" if done else ""
        return {"state": READY, "detail": f"{_named(left)}to do{begun}" if None not in left else "to do"}
    return {"state": DONE, "detail": ", ".join(p for p in done if p)}


def _wanted(scene, step, timepoint):
    """Roles that a step should have made: for each series that is there, its own map."""
    if len(step.needs) != len(step.makes):
        return step.makes
    pairs = zip(step.needs, step.makes, strict=True)
    return [made for need, made in pairs if studyNodes.firstOf(scene, need, timepoint) is not None]


def _named(points):
    names = ", ".join(point for point in points if point)
    return f"{names}: " if names else ""


def _has(scene, roles, timepoint):
    return any(studyNodes.firstOf(scene, role, timepoint) is not None for role in roles)


def _inputs(scene, step, timepoint):
    """Role to node; several of one role are told apart by a number."""
    found = {}
    for role in step.reads:
        for number, node in enumerate(studyNodes.nodesOf(scene, role, timepoint)):
            found[role if number == 0 else f"{role} {number + 1}"] = node
    return found


def _reportState(scene, step, reported):
    if not _has(scene, step.needs, None):
        return {"state": MISSING, "detail": step.hint}
    if not reported:
        return {"state": READY, "detail": "to do"}
    if reported != stateOfResults(scene):
        return {"state": OUTDATED, "detail": "results changed since"}
    return {"state": DONE, "detail": ""}
