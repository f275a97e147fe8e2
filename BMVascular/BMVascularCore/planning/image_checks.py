"""What the headers of two images say about fusing them: identity, frames, slices, age, distortion.

Each check ends in one sentence with a grade: ``ok``, ``note`` (to know), ``check`` (to look at), ``fail`` (not to be
used) or ``unknown`` (the file does not say). Patient and dates are compared and never repeated in a text.
"""

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from pydicom.datadict import keyword_for_tag

from BMVascularCore.errors import InputError
from BMVascularCore.planning.head_mask import is_ct
from BMVascularCore.planning.rules import fusion_rules, planning_rules
from BMVascularCore.study.headers import scan_folder

GRADES = ("ok", "unknown", "note", "check", "fail")


@dataclass(frozen=True)
class HeaderFacts:
    """What a DICOM series says about itself; empty or None where it does not.

    Attributes
    ----------
    patient : str
        To compare, never to show.
    frame_uid : str
    acquired : datetime.date or None
    image_type : tuple of str
    tilt_deg : float or None
    thickness_mm : float or None
    bandwidth_hz, field_t : float or None
    position : str
        Patient position, such as HFS.
    """

    patient: str = ""
    frame_uid: str = ""
    acquired: date | None = None
    image_type: tuple = ()
    tilt_deg: float | None = None
    thickness_mm: float | None = None
    bandwidth_hz: float | None = None
    field_t: float | None = None
    position: str = ""


@dataclass(frozen=True)
class ImageCheck:
    """One check.

    Attributes
    ----------
    name : str
    grade : {"ok", "unknown", "note", "check", "fail"}
    text : str
    """

    name: str
    grade: str
    text: str

    def row(self):
        """As a dict for tables and JSON."""
        return {"check": self.name, "grade": self.grade, "text": self.text}


def header_facts(path):
    """Facts of the only image series below a folder; empty facts for an image file.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    HeaderFacts
    """
    if not path.is_dir():
        return HeaderFacts()
    series = next((s for s in scan_folder(path) if s.text("Modality") in ("CT", "MR", "PT")), None)
    return facts_of_series(series)


def facts_of_series(series):
    """Facts of a :class:`study.headers.DicomSeries`; empty facts for None."""
    if series is None:
        return HeaderFacts()
    return facts_of_values(lambda tag: series.text(keyword_for_tag(int(tag.replace(",", ""), 16))))


def facts_of_values(value_of):
    """Facts from single header values.

    Parameters
    ----------
    value_of : callable
        Takes a tag written as ``gggg,eeee``; gives its value as text, empty where there is none.
    """

    def text(tag):
        return str(value_of(tag) or "").strip()

    def number(tag):
        try:
            return float(text(tag))
        except ValueError:
            return None

    return HeaderFacts(
        patient=text("0010,0020"),
        frame_uid=text("0020,0052"),
        acquired=_date(text("0008,0022") or text("0008,0021") or text("0008,0020")),
        image_type=tuple(text("0008,0008").upper().replace("\\", " ").split()),
        tilt_deg=number("0018,1120"),
        thickness_mm=number("0018,0050"),
        bandwidth_hz=number("0018,0095"),
        field_t=number("0018,0087"),
        position=text("0018,5100"),
    )


def _date(text):
    try:
        return datetime.strptime(text.strip(), "%Y%m%d").date()
    except ValueError:
        return None


def parse_day(text, option):
    """A day written as 2026-01-31 or 20260131.

    Raises
    ------
    InputError
        Not a day.
    """
    found = _date(str(text).replace("-", ""))
    if found is None:
        raise InputError(f"'{text}' is not a day", option, "Write it as 2026-01-31.")
    return found


def check_images(fixed, moving, fixed_facts=None, moving_facts=None, planned=None, age_days=None):
    """Check what two images say about each other before they are fused.

    Parameters
    ----------
    fixed, moving : Volume
    fixed_facts, moving_facts : HeaderFacts, optional
    planned : datetime.date, optional
        Day of the treatment; the day of the planning image by default.
    age_days : int, optional
        Age of the MRI where it is known otherwise.

    Returns
    -------
    list of ImageCheck
    """
    fixed_facts, moving_facts = fixed_facts or HeaderFacts(), moving_facts or HeaderFacts()
    checks = [_patient(fixed_facts, moving_facts), frame_check(fixed, moving, fixed_facts, moving_facts)]
    for volume, facts in ((fixed, fixed_facts), (moving, moving_facts)):
        checks += [_axes(volume, facts), _tilt(volume, facts), *_slices(volume, facts)]
    for volume, facts in ((fixed, fixed_facts), (moving, moving_facts)):
        if not is_ct(volume):
            checks += [_distortion(volume, facts), *_bandwidth(volume, facts)]
    if is_ct(fixed) and not is_ct(moving):
        checks.append(age_check(fixed_facts.acquired, moving_facts.acquired, planned, age_days))
    return checks


def worst(checks):
    """The worst grade of some checks."""
    return max((check.grade for check in checks), key=GRADES.index, default="ok")


def _patient(fixed, moving):
    if not fixed.patient or not moving.patient:
        return ImageCheck("patient identity", "unknown", "not stated in both images: compare names by eye")
    if fixed.patient.strip() != moving.patient.strip():
        return ImageCheck(
            "patient identity",
            "fail",
            "the images state different patient IDs; check that both show one patient",
        )
    return ImageCheck("patient identity", "ok", "both images state the same patient ID")


def frame_check(fixed, moving, fixed_facts=None, moving_facts=None, moved_mm=None):
    """Frames of reference; with ``moved_mm`` also whether the fusion contradicts a shared one."""
    uids = [
        (facts.frame_uid if facts else "") or volume.meta.get("frame_of_reference_uid") or ""
        for volume, facts in ((fixed, fixed_facts), (moving, moving_facts))
    ]
    name = "frame of reference"
    if not all(uids):
        return ImageCheck(name, "unknown", "not stated in both images")
    if uids[0] != uids[1]:
        return ImageCheck(name, "ok", "two frames of reference: the fusion joins them")
    if moved_mm is not None and moved_mm > fusion_rules()["same_frame_moved_mm"]:
        return ImageCheck(
            name, "check",
            f"both images state one frame of reference, yet the fusion moves the head by {moved_mm:.1f} mm; "
            "the patient moved between the scans, or one image carries a wrong header",
        )  # fmt: skip
    return ImageCheck(name, "ok", "both images state the same frame of reference")


def largest_motion_mm(transform, fixed):
    """Largest motion of six places 8 cm around the middle of the fixed image, mm."""
    centre = fixed.geometry.points_of((np.asarray(fixed.geometry.shape) - 1) / 2.0)
    probes = centre + 80.0 * np.vstack([np.eye(3), -np.eye(3)])
    return max(float(np.linalg.norm(np.subtract(transform.TransformPoint(p), p))) for p in probes.tolist())


def _axes(volume, facts):
    turn = np.reshape(volume.geometry.direction, (3, 3))
    name = f"laterality of {volume.name}"
    if np.linalg.det(turn) < 0:
        return ImageCheck(
            name,
            "check",
            "its axes are left-handed (a mirrored export looks like this); check left and right",
        )
    if facts.position and facts.position not in ("HFS", "HFP"):
        return ImageCheck(
            name, "check", f"patient position is {facts.position}; check left and right, head and feet"
        )
    return ImageCheck(name, "ok", "axes are right-handed; left and right follow from the header")


def _tilt(volume, facts):
    name = f"gantry tilt of {volume.name}"
    if facts.tilt_deg is None:
        known = bool(facts.frame_uid)
        return ImageCheck(
            name, "ok" if known else "unknown", "slices are not sheared" if known else "not stated"
        )
    if abs(facts.tilt_deg) > planning_rules()["gantry_tilt_deg"]:
        return ImageCheck(name, "check", f"{facts.tilt_deg:+.1f} deg; plan on a series without tilt")
    return ImageCheck(name, "ok", "none")


def _slices(volume, facts):
    kind = "CT" if is_ct(volume) else "MR"
    step = float(max(volume.geometry.spacing_mm))
    limits = planning_rules()["slice_thickness_mm"][kind]
    name = f"slices of {volume.name}"
    if step > limits["warn"] + 0.01:
        found = [
            ImageCheck(
                name, "note",
                f"{step:.2f} mm apart; {limits['warn']:g} mm or less is wanted for small targets",
            )
        ]  # fmt: skip
    else:
        found = [ImageCheck(name, "ok", f"{step:.2f} mm apart, even")]
    if facts.thickness_mm and abs(facts.thickness_mm - step) > 0.1 * step:
        found.append(
            ImageCheck(
                name, "note",
                f"{facts.thickness_mm:.2f} mm thick at a distance of {step:.2f} mm (gap or overlap)",
            )
        )  # fmt: skip
    return found


def _cited(rows):
    return "; ".join(f"{row['text']} ({row['source']})" for row in rows)


def _distortion(volume, facts):
    name = f"distortion of {volume.name}"
    reading = _cited(fusion_rules()["distortion"])
    types = set(facts.image_type)
    if "DIS3D" in types:
        return ImageCheck(name, "ok", "the scanner's 3D correction was applied")
    if "DIS2D" in types:
        return ImageCheck(name, "check", f"corrected in two dimensions only: {reading}")
    if "ND" in types:
        return ImageCheck(name, "check", f"no correction was applied: {reading}")
    return ImageCheck(name, "unknown", f"the image does not say whether it was corrected in 3D: {reading}")


def _bandwidth(volume, facts):
    if not facts.bandwidth_hz or not facts.field_t:
        return []
    rule = fusion_rules()["bandwidth"]
    name = f"bandwidth of {volume.name}"
    text = f"{facts.bandwidth_hz:.0f} Hz per pixel at {facts.field_t:.1f} T"
    low = facts.bandwidth_hz < rule["low_hz_per_tesla"] * facts.field_t
    if low:
        text += f", low: {rule['text']} ({rule['source']})"
    return [ImageCheck(name, "note" if low else "ok", text)]


def age_check(planning_day, mri_day, planned=None, age_days=None):
    """Age of the MRI on the day of the treatment, with the growth literature beside it.

    Parameters
    ----------
    planning_day, mri_day : datetime.date or None
        From the headers.
    planned : datetime.date, optional
        Day of the treatment.
    age_days : int, optional
        Wins over the dates.
    """
    name = "age of the MRI"
    reading = _cited(fusion_rules()["mri_age"])
    since = "on the day of treatment" if planned or age_days is not None else "on the day of the planning CT"
    days = age_days
    if days is None:
        day = planned or planning_day
        if day is None or mri_day is None:
            return ImageCheck(name, "unknown", f"not stated in both images; {reading}")
        days = (day - mri_day).days
    if days < 0:
        return ImageCheck(
            name, "check", f"the MRI is {-days} days younger than the day it is wanted for; check dates"
        )
    limits = planning_rules()["mri_age_days"]
    if days <= limits["good"]:
        return ImageCheck(name, "ok", f"{days} days {since}; {reading}")
    grade = "note" if days <= limits["doubtful"] else "check"
    advice = "look for growth" if grade == "note" else "a new MRI is advisable"
    return ImageCheck(name, grade, f"{days} days {since}, {advice}; {reading}")


def far_points(points_mri_lps_mm, names):
    """Lesions far from the centre of the scanner, where distortion is largest.

    The origin of MRI coordinates is taken as that centre, as scanners write it.
    """
    limit = fusion_rules()["far_from_isocentre_mm"]
    found = []
    for name, point in zip(names, points_mri_lps_mm, strict=True):
        away = float(np.linalg.norm(point))
        if away > limit:
            found.append(
                ImageCheck(
                    f"distortion at {name}", "note",
                    f"{away:.0f} mm from the origin of the MRI; {_cited(fusion_rules()['distortion'][-1:])}",
                )
            )  # fmt: skip
    return found
