"""The guided steps of a study and the state of each, read from the scene."""

from BMVascularLib.studyNodes import firstOf

# step, module that does it, roles it needs (any of), role of what it makes
_STEPS = (
    ("Study", "", (), "T1c"),
    ("Lesions", "BMVLesionSeeding", ("T1c",), "lesions"),
    ("Perfusion", "BMVPerfusion", ("DSC", "DCE"), "nrcbv|ktrans"),
    ("Phenotype", "BMVPhenotype", ("lesions",), "phenotype"),
    ("Planning", "BMVPlanning", ("CT",), "targets"),
)


def stepsOfScene(scene):
    """State of every step.

    Parameters
    ----------
    scene : vtkMRMLScene

    Returns
    -------
    list of dict
        ``step``, ``module``, ``state``: "done", "ready", "missing: ..." .
    """
    rows = []
    for step, module, needs, makes in _STEPS:
        done = any(firstOf(scene, role) is not None for role in makes.split("|"))
        if done:
            state = "done"
        elif not needs or any(firstOf(scene, role) is not None for role in needs):
            state = "ready"
        else:
            state = f"missing: {' or '.join(needs)}"
        rows.append({"step": step, "module": module, "state": state})
    return rows
