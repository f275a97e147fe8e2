"""What each series of a study is for: proposed from DICOM tags and names, with the reason.

The proposal is a proposal: panels and ``study.json`` let the user change it.
"""

import json
import re
from dataclasses import dataclass

from BMVascularCore.errors import InputError
from BMVascularCore.resources import resource
from BMVascularCore.study.stacking import planes_of

ROLES = ("T1", "T1c", "T2", "FLAIR", "SWI", "ADC", "DWI", "DSC", "DCE", "VFA", "ASL", "PET", "CT", "dose",
         "structures", "registration", "other")  # fmt: skip


@dataclass
class RoleProposal:
    """A role and why.

    Attributes
    ----------
    role : str
        One of ``ROLES``.
    reason : str
        One clause for the user.
    certain : bool
        False where only a name, or nothing, speaks for it.
    """

    role: str
    reason: str
    certain: bool = True


def load_words():
    """The editable word lists behind the proposals.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    path = resource("Protocols", "roles.json")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            "is not valid JSON", path.name, "Mend the file or install the extension again."
        ) from error


def words_of(text):
    """Lower-case words of a series description."""
    return set(re.split(r"[^a-z0-9]+", text.lower())) - {""}


def n_frames_of(series):
    """Images per place: how many time points (or echoes) a series holds."""
    if series.text("Modality") != "MR":
        return 1
    positions = {}
    for plane in planes_of(series):
        key = tuple(round(float(value), 1) for value in plane.position_mm)
        positions[key] = positions.get(key, 0) + 1
    return max(positions.values()) if positions else 1


def propose_role(series, words=None):
    """Propose the role of one series.

    Parameters
    ----------
    series : DicomSeries
    words : dict, optional
        As :func:`load_words` returns it.

    Returns
    -------
    RoleProposal
    """
    modality = series.text("Modality")
    by_modality = {"CT": "CT", "PT": "PET", "RTDOSE": "dose", "RTSTRUCT": "structures", "REG": "registration"}
    if modality in by_modality:
        return RoleProposal(by_modality[modality], f"modality {modality}")
    if modality != "MR":
        return RoleProposal("other", f"modality {modality or 'not stated'}")
    return _propose_mr(series, words or load_words())


def _propose_mr(series, words):
    found = words_of(" ".join(series.text(k) for k in ("SeriesDescription", "ProtocolName", "SequenceName")))
    image_type = set(series.text("ImageType").upper().split())
    lists = words["words"]

    def named(role):
        return sorted(found & set(lists[role]))

    if named("derived") or "LOCALIZER" in image_type:
        return RoleProposal("other", "localiser or derived image")
    if "ADC" in image_type or named("ADC"):
        return RoleProposal(
            "ADC", "image type ADC" if "ADC" in image_type else "named ADC", "ADC" in image_type
        )
    frames = n_frames_of(series)
    te, tr = series.number("EchoTime"), series.number("RepetitionTime")
    if frames >= 8:
        return _propose_dynamic(frames, te, named)
    for role in ("ASL", "DWI", "VFA", "FLAIR", "SWI"):
        if named(role):
            return RoleProposal(role, f"named {named(role)[0]}", False)
    return _propose_anatomy(series, te, tr, found, words)


def _propose_dynamic(frames, te, named):
    if named("DSC") or named("DCE"):
        role = "DSC" if named("DSC") and not named("DCE") else "DCE"
        if named("DSC") and te is not None and te < 10:
            role = "DCE"
        return RoleProposal(role, f"{frames} frames, named {(named(role) or ['dynamic'])[0]}")
    if te is not None and te >= 12:
        return RoleProposal("DSC", f"{frames} frames at echo time {te:g} ms")
    return RoleProposal(
        "DCE", f"{frames} frames" + (f" at echo time {te:g} ms" if te is not None else ""), te is not None
    )


def _propose_anatomy(series, te, tr, found, words):
    ti = series.number("InversionTime")
    if te is not None and te >= 60:
        if ti is not None and ti > 1500:
            return RoleProposal("FLAIR", f"echo time {te:g} ms with inversion at {ti:g} ms")
        return RoleProposal("T2", f"echo time {te:g} ms")
    if te is not None and te >= 12 and tr is not None and tr < 100:
        return RoleProposal("SWI", f"gradient echo at echo time {te:g} ms")
    if te is None and not found & set(words["words"]["T1"]):
        return RoleProposal("other", "no echo time and no telling name", False)
    agent = series.text("ContrastBolusAgent").strip()
    if agent and agent.lower() not in ("no", "none"):
        return RoleProposal("T1c", f"T1-weighted, contrast agent stated ({agent})")
    contrast = found & set(words["contrast_words"])
    if contrast and not found & set(words["no_contrast_words"]):
        return RoleProposal("T1c", f"T1-weighted, named {sorted(contrast)[0]}", False)
    return RoleProposal("T1", "T1-weighted, no contrast agent stated", False)


def propose_by_name(name, n_frames=1, echo_time_ms=None):
    """Propose the role of an image of which little more than the name is known.

    Parameters
    ----------
    name : str
    n_frames : int
    echo_time_ms : float, optional

    Returns
    -------
    RoleProposal
        "other" where the name tells nothing.
    """
    words = load_words()
    found, lists = words_of(name), words["words"]

    def named(role):
        return sorted(found & set(lists[role]))

    if n_frames >= 8:
        return _propose_dynamic(n_frames, echo_time_ms, named)
    if named("derived"):
        return RoleProposal("other", f"named {named('derived')[0]}", False)
    for role, own in (
        ("CT", {"ct"}),
        ("PET", {"pet", "fet", "met", "fdopa", "tbr"}),
        ("dose", {"dose", "rtdose"}),
    ):
        if found & own:
            return RoleProposal(role, f"named {sorted(found & own)[0]}", False)
    for role in ("ADC", "ASL", "DWI", "VFA", "FLAIR", "SWI", "T2"):
        if named(role):
            return RoleProposal(role, f"named {named(role)[0]}", False)
    contrast = found & set(words["contrast_words"])
    if contrast and not found & set(words["no_contrast_words"]):
        return RoleProposal("T1c", f"named {sorted(contrast)[0]}", False)
    if named("T1"):
        return RoleProposal("T1", f"named {named('T1')[0]}, nothing says contrast", False)
    return RoleProposal("other", "the name tells nothing", False)


def propose_roles(all_series):
    """Roles of every series, with what only the whole study shows.

    A short-TR pair with different flip angles is a variable-flip-angle set; among several
    candidates for one role, the finest one keeps it and the others become "other".

    Parameters
    ----------
    all_series : list of DicomSeries

    Returns
    -------
    dict
        Series UID to :class:`RoleProposal`.
    """
    words = load_words()
    roles = {series.uid: propose_role(series, words) for series in all_series}
    _find_flip_angle_sets(all_series, roles)
    for study in {series.text("StudyInstanceUID") for series in all_series}:
        members = [series for series in all_series if series.text("StudyInstanceUID") == study]
        for role in ("T1", "T1c", "FLAIR", "SWI", "ADC", "DSC", "DCE", "CT"):
            _keep_finest([series for series in members if roles[series.uid].role == role], roles)
    return roles


def _find_flip_angle_sets(all_series, roles):
    groups = {}
    for series in all_series:
        tr, te, flip = (series.number(k) for k in ("RepetitionTime", "EchoTime", "FlipAngle"))
        if roles[series.uid].role in ("T1", "T1c", "VFA", "other") and series.text("Modality") == "MR" and (
            None not in (tr, te, flip) and tr < 30 and te < 10
        ):  # fmt: skip
            key = (series.text("StudyInstanceUID"), round(tr, 2), round(te, 2), series.text("Rows"))
            groups.setdefault(key, []).append((flip, series))
    for members in groups.values():
        flips = sorted({flip for flip, _ in members})
        if len(flips) >= 2:
            for flip, series in members:
                listed = ", ".join(f"{value:g}" for value in flips)
                roles[series.uid] = RoleProposal("VFA", f"flip angle {flip:g} of a set ({listed} degrees)")


def _keep_finest(candidates, roles):
    if len(candidates) < 2:
        return
    best = max(candidates, key=lambda s: (roles[s.uid].certain, len(s.paths), s.number("SeriesNumber") or 0))
    for series in candidates:
        if series is not best:
            role = roles[series.uid].role
            roles[series.uid] = RoleProposal("other", f"another {role} ({best.label}) was preferred", False)
