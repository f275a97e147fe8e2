"""The truth of a simulated patient on disk, and the ``study.json`` that starts a run on it."""

import json
from pathlib import Path

import SimpleITK as sitk

from BMVascularCore.io import write_volume
from BMVascularCore.progress import silent

TITLE = "Simulated patient with brain metastases (no real person)"


def write_truth(patient, folder, progress=None):
    """Write masks and maps (NRRD), transforms (TFM) and ``truth.json``.

    Parameters
    ----------
    patient : SimulatedPatient
    folder : path-like
    progress : callable, optional

    Returns
    -------
    Path
        Of ``truth.json``.
    """
    folder = Path(folder)
    progress = progress or silent
    record = {
        "title": TITLE,
        "simulated": True,
        "seed": patient.seed,
        "size": patient.size,
        "prescription_gy": patient.prescription_gy,
        "timepoints": [],
        "targets": {name: _target_record(target) for name, target in patient.structures.items()},
    }
    for index, timepoint in enumerate(patient.timepoints):
        place = folder / timepoint.label
        place.mkdir(parents=True, exist_ok=True)
        for step, (name, volume) in enumerate(timepoint.truth.volumes.items()):
            progress(index / 2 + step / 2 / len(timepoint.truth.volumes), f"truth {timepoint.label} {name}")
            write_volume(place / f"{name}.nrrd", volume)
        for name, transform in timepoint.truth.transforms.items():
            sitk.WriteTransform(transform, str(place / f"{name}.tfm"))
        record["timepoints"].append(_timepoint_record(timepoint))
    path = folder / "truth.json"
    path.write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
    progress(1.0, "truth is complete")
    return path


def _timepoint_record(timepoint):
    truth = timepoint.truth
    return {
        "label": timepoint.label,
        "days": timepoint.days,
        "volumes": {name: f"{timepoint.label}/{name}.nrrd" for name in truth.volumes},
        "transforms": {
            name: {
                "file": f"{timepoint.label}/{name}.tfm",
                "maps": "points of the first-named image to points of the second, LPS mm",
                "matrix": list(transform.GetMatrix()),
                "offset_mm": list(transform.TransformPoint((0.0, 0.0, 0.0))),
            }
            for name, transform in truth.transforms.items()
        },
        "lesions": truth.lesions,
    }


def _target_record(target):
    return {
        "centre_ct_lps_mm": list(target.centre_mm),
        "prescription_radius_mm": target.radius_mm,
        "prescription_gy": target.prescription_gy,
        **target.metrics(),
    }


def write_study(patient, folder, dicom="DICOM", truth="truth/truth.json"):
    """Write ``study.json``: seeds and clinical context beside the DICOM folder.

    Parameters
    ----------
    patient : SimulatedPatient
    folder : path-like
        Where ``study.json`` goes.
    dicom, truth : str
        Places relative to it.

    Returns
    -------
    Path
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "title": TITLE,
        "simulated": True,
        "dicom": dicom,
        "prescription_gy": patient.prescription_gy,
        "timepoints": [
            {
                "label": timepoint.label,
                "study_instance_uid": timepoint.study_instance_uid,
                "days": timepoint.days,
                "seeds": timepoint.seeds,
                "context": timepoint.context,
            }
            for timepoint in patient.timepoints
        ],
        "truth": truth,
    }
    path = folder / "study.json"
    path.write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
    return path
