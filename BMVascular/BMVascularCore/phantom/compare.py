"""Computed against true: what a run found beside what the simulation put there."""

import numpy as np

COLUMNS = (
    ("timepoint", "time point"),
    ("lesion", "lesion"),
    ("diameter_true_mm", "diameter true (mm)"),
    ("dice", "Dice"),
    ("volume_true_ml", "volume true (mL)"),
    ("volume_ml", "volume computed (mL)"),
    ("rcbv_true", "rCBV true"),
    ("rcbv", "rCBV computed"),
    ("ktrans_true_per_min", "Ktrans true (1/min)"),
    ("ktrans_per_min", "Ktrans computed (1/min)"),
    ("phenotype_true", "phenotype true"),
    ("phenotype", "phenotype computed"),
    ("stability", "rule stability"),
    ("fusion_error_mm", "fusion error (mm)"),
)
CAPTION = (
    "Simulated patient. Medians over the enhancing part. An en dash: not measurable (outside coverage, too small). "
    "This shows arithmetic on simulated images, not clinical accuracy."
)


def compare(patient, run):
    """Truth beside result for every lesion of every time point.

    Parameters
    ----------
    patient : SimulatedPatient
    run : BMVascularCore.study.pipeline.StudyRun

    Returns
    -------
    dict
        ``rows``, ``columns``, ``caption``, ``text`` as the report wants them.
    """
    rows = []
    for number, (point, done) in enumerate(zip(patient.timepoints, run.timepoints, strict=True)):
        fusion = fusion_errors(patient, run) if run.planning and run.planning.timepoint == number else {}
        for truth in point.truth.lesions:
            if truth["present"]:
                rows.append(_row(point, truth, done, fusion.get(truth["name"])))
    return {
        "rows": rows,
        "columns": COLUMNS,
        "caption": CAPTION,
        "text": ("timepoint", "lesion", "phenotype_true", "phenotype"),
    }


def _row(point, truth, done, fusion_error):
    names = {row["name"]: int(row["label"]) for row in done.segmentation.rows}
    label = names.get(truth["name"])
    true_mask = point.truth.volumes["labels"].array == truth["label"]
    found = done.segmentation.labels.array == label if label is not None else np.zeros_like(true_mask)
    assessed = next((row for row in done.phenotype.rows if row["name"] == truth["name"]), {})
    measured = next((row for row in done.segmentation.rows if row["name"] == truth["name"]), {})
    true_enhancing = true_mask & (point.truth.volumes["fraction_enhancing"].array > 0.5)
    return {
        "timepoint": point.label,
        "lesion": truth["name"],
        "diameter_true_mm": truth["diameter_mm"],
        "dice": dice(true_mask, found),
        "volume_true_ml": truth["volume_ml"],
        "volume_ml": measured.get("volume_ml"),
        "rcbv_true": _median(point.truth.volumes["rcbv"].array, true_enhancing) if truth["in_perfusion_coverage"] else None,
        "rcbv": assessed.get("rcbv_ratio"),
        "ktrans_true_per_min": _median(point.truth.volumes["ktrans"].array, true_enhancing)
        if truth["in_perfusion_coverage"] else None,
        "ktrans_per_min": assessed.get("ktrans_per_min"),
        "phenotype_true": truth["phenotype"],
        "phenotype": assessed.get("phenotype"),
        "stability": assessed.get("stability"),
        "fusion_error_mm": fusion_error,
    }  # fmt: skip


def dice(first, second):
    """Dice overlap of two masks; NaN when both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2.0 * int((first & second).sum()) / total if total else float("nan")


def fusion_errors(patient, run):
    """Distance in mm between the fused and the true place of each lesion on the planning CT.

    Returns
    -------
    dict
        Lesion name to mm.
    """
    point = patient.timepoints[run.planning.timepoint]
    true = point.truth.transforms["ct_to_t1c"]
    found = run.planning.registration.transform
    errors = {}
    for truth in point.truth.lesions:
        if truth["present"]:
            centre = np.asarray(truth["centre_ras_mm"]) * (-1.0, -1.0, 1.0)
            on_ct = true.GetInverse().TransformPoint(centre.tolist())
            errors[truth["name"]] = float(np.linalg.norm(np.subtract(found.TransformPoint(on_ct), centre)))
    return errors


def _median(values, mask):
    inside = values[mask]
    inside = inside[np.isfinite(inside)]
    return float(np.median(inside)) if len(inside) >= 5 else None
