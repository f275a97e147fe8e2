"""Phenotypes out of a scene as DICOM SR and SEG, and a site's own repeatability into it."""

from types import SimpleNamespace

from BMVascularCore.errors import InputError
from BMVascularCore.io.dicom_files import save_dicom
from BMVascularCore.io.output import OutputFolder
from BMVascularCore.phenotype.dicom_sr import read_source, to_dicom
from BMVascularCore.phenotype.repeatability import read_test_retest
from BMVascularLib.phenotypeContext import contextJson
from BMVascularLib.phenotypeNodes import (
    HABITATS,
    contextContent,
    contextText,
    lesionsChanged,
    lesionTimepoints,
    nodeOf,
    readInputs,
    setContextText,
)
from BMVascularLib.volumes import volumeOfNode


def exportDicom(scene, timepoint, result, rules, source, out):
    """Write measurements as SR (TID 1500), lesions and habitats as SEG.

    Parameters
    ----------
    scene : vtkMRMLScene
    timepoint : str
    result : BMVascularLib.phenotypeNodes.PhenotypeResult
    rules : dict
    source : path-like
        Folder of the DICOM series on which the lesions were drawn.
    out : path-like
        Empty or new folder.

    Returns
    -------
    list of str
        File names, then what was left out.

    Raises
    ------
    InputError
        Nothing is written then.
    """
    if result is None:
        raise InputError("is not assessed", timepoint or "the scene", "Assess the lesions first.")
    if lesionsChanged(scene, timepoint, result):
        raise InputError("has changed since the assessment", timepoint, "Assess the lesions again first.")
    habitats = nodeOf(scene, HABITATS, timepoint)
    assessed = SimpleNamespace(
        lesions=result.lesions, habitats=None if habitats is None else volumeOfNode(habitats)
    )
    labels = readInputs(scene, timepoint).labels
    objects = to_dicom(assessed, labels, read_source(source), rules["habitats"]["names"])
    named = {"lesions_seg": objects.lesions, "habitats_seg": objects.habitats, "phenotype_sr": objects.report}
    with OutputFolder(out) as folder:
        for name, dataset in named.items():
            if dataset is not None:
                save_dicom(folder.file(f"{name}.dcm"), dataset)
        names = folder.commit()
    left = [f"outside the series: {', '.join(objects.left_out)}"] if objects.left_out else []
    return [*map(str, names), *left]


def takeTestRetest(scene, path, rules):
    """Keep a site's own repeatability with every time point of a scene.

    Parameters
    ----------
    scene : vtkMRMLScene
    path : path-like
        CSV with ``metric,subject,test,retest``.
    rules : dict

    Returns
    -------
    dict
        Metric to within-subject CV.

    Raises
    ------
    InputError
        Nothing is kept then.
    """
    found = read_test_retest(path)
    known = dict.fromkeys(entry["metric"] for entry in rules["repeatability"])
    for metric in found:
        if metric not in known:
            raise InputError(
                f"the metric '{metric}' is not known", "test-retest table", f"Known: {', '.join(known)}."
            )
    for label in lesionTimepoints(scene):
        content = contextContent(contextText(scene, label))
        content["repeatability"] = {**content.get("repeatability", {}), **found}
        setContextText(scene, label, contextJson(content))
    return found
