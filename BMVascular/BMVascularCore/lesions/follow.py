"""Lesions of two time points side by side: read, matched, named alike, with what changed."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_table
from BMVascularCore.lesions.foreign import read_segmentation
from BMVascularCore.lesions.measure import measure_lesions
from BMVascularCore.lesions.track import match_lesions
from BMVascularCore.volume import Volume, resample

MATCH_COLUMNS = (
    "identity", "label", "earlier", "later", "status", "confidence", "decision", "distance_mm", "overlap",
    "volume_before_ml", "volume_after_ml", "volume_change_percent", "beyond_error", "reasons",
)  # fmt: skip
PROPOSED, LOOK, CONFIRMED = "proposed", "look", "confirmed"
_JOIN = " + "
_IMAGES = ("lesions.nii.gz", "lesions.nrrd")


@dataclass
class Side:
    """The lesions of one time point.

    Attributes
    ----------
    name : str
        What messages call it.
    labels : Volume
    names : dict
        Label to name.
    rows : dict
        Label to row of ``lesions.csv``.
    taken : dict
        Ids that were given before and the label of each, lesions that vanished included.
    """

    name: str
    labels: Volume
    names: dict
    rows: dict
    taken: dict = field(default_factory=dict)

    def volume_ml(self, labels):
        """Volume of some lesions together and its standard error (None where it is not known), mL."""
        volumes = [_number(self.rows[n].get("volume_ml")) for n in labels]
        errors = [_number(self.rows[n].get("volume_se_ml")) for n in labels]
        if not labels or None in volumes:
            return None, None
        return sum(volumes), None if None in errors else float(np.sqrt(sum(e**2 for e in errors)))


@dataclass
class Followed:
    """Two time points compared.

    Attributes
    ----------
    matches : list of Match
    rows : list of dict
        Keys :data:`MATCH_COLUMNS`.
    labels : Volume
        The later lesions with the labels that stay.
    lesions : list of dict
        Rows of the later ``lesions.csv``, named by their ids; ``segmented_as`` is the name before.
    """

    matches: list
    rows: list
    labels: Volume
    lesions: list


def read_side(path, geometry=None):
    """Read the lesions of a time point.

    Parameters
    ----------
    path : path-like
        Results folder of ``segment`` or ``track`` (or ``tp1/lesions`` of a run); or labels that
        :func:`~BMVascularCore.lesions.foreign.read_segmentation` reads.
    geometry : Geometry, optional
        Grid of that time point's T1c; labels on another grid are brought onto it.

    Returns
    -------
    Side

    Raises
    ------
    InputError
        No lesions there; labels without overlap with the T1c.
    """
    path = Path(path)
    rows, taken, file = [], {}, path
    if path.is_dir():
        file = next((path / name for name in _IMAGES if (path / name).is_file()), None)
        if file is None:
            raise InputError(
                "holds no lesions.nii.gz and no lesions.nrrd",
                path.name,
                "Give a results folder of segment, or a label file.",
            )
        rows = read_table(path / "lesions.csv", ("name", "label"))
        if (path / "matches.csv").is_file():
            before = read_table(path / "matches.csv", ("identity", "label"))
            taken = {row["identity"]: int(row["label"]) for row in before if row["label"]}
    labels, names = read_segmentation(file)
    if geometry is not None and not labels.geometry.matches(geometry):
        labels = resample(labels, geometry, interpolation="nearest")
    present = [int(n) for n in np.unique(labels.array) if n > 0]
    if not present:
        fix = "Check that it fits the image." if geometry is not None else "Give the labels of a lesion."
        raise InputError("holds no lesion", path.name, fix)
    rows = {int(float(row["label"])): row for row in rows if row["label"]}
    names = {n: rows[n]["name"] if n in rows else names.get(n, f"L{n}") for n in present}
    _check_names(names, path.name)
    missing = [n for n in present if n not in rows]
    if missing:
        found = measure_lesions(labels, None, names, only=missing)
        rows |= {row["label"]: row for row in found}
    return Side(path.name, labels, names, {n: rows[n] for n in present}, taken)


def _check_names(names, where):
    values = list(names.values())
    for name in values:
        if values.count(name) > 1:
            raise InputError(f"the name '{name}' occurs twice", where, "Give each lesion its own name.")


def read_confirmed(path, earlier, later):
    """Matches that a reader confirmed.

    Parameters
    ----------
    path : path-like
        CSV with the columns ``earlier`` and ``later``: names, several joined by " + ", an empty cell where the
        lesion is not there. With a column ``decision`` (as in ``matches.csv``) the rows that say "confirmed"
        count, else all rows.
    earlier, later : Side

    Returns
    -------
    list of (tuple of int, tuple of int)
        Labels.

    Raises
    ------
    InputError
        A name that is not there; a row without any name.
    """
    pairs = []
    for number, row in enumerate(read_table(path, ("earlier", "later")), start=2):
        if row.get("decision", CONFIRMED).lower() != CONFIRMED:
            continue
        where = f"{Path(path).name}, line {number}"
        pair = tuple(
            _labels_of(row[key], side, where) for key, side in (("earlier", earlier), ("later", later))
        )
        if pair == ((), ()):
            raise InputError("names no lesion", where, "Name one before, after, or both.")
        pairs.append(pair)
    return pairs


def _labels_of(cell, side, where):
    known = {name: label for label, name in side.names.items()}
    found = []
    for name in [part.strip() for part in cell.split("+")] if cell.strip() not in known else [cell.strip()]:
        if name and name not in known:
            raise InputError(f"'{name}' is no lesion of {side.name}", where, f"Known: {', '.join(known)}.")
        if name:
            found.append(known[name])
    return tuple(found)


def follow(earlier, later, transform=None, confirmed=(), whole_images=False, trusted=True):
    """Match two time points, and give the later lesions the ids of the earlier ones.

    Parameters
    ----------
    earlier, later : Side
    transform : SimpleITK.Transform, optional
        Points of ``earlier`` to points of ``later``, LPS mm.
    confirmed : list, optional
        From :func:`read_confirmed`.
    whole_images : bool
        See :func:`~BMVascularCore.lesions.track.match_lesions`.
    trusted : bool
        Whether the registration passed its checks; else a reader should look at every match.

    Returns
    -------
    Followed
    """
    matches = match_lesions(
        earlier.labels, later.labels, transform, earlier.names,
        confirmed=confirmed, whole_images=whole_images, taken=tuple(earlier.taken),
    )  # fmt: skip
    held = {(tuple(sorted(olds)), tuple(sorted(news))) for olds, news in confirmed}
    free = 1 + max([*earlier.names, *earlier.taken.values(), 0])
    rows, stays, names = [], {}, {}
    used = {match.identity for match in matches}
    for match in matches:
        sure = (match.previous, match.current) in held
        if not trusted and not sure:
            match.certain = False
            match.reasons = [*match.reasons, "the registration failed its checks"]
        label, free = _kept_label(match, earlier, free)
        for number, old in enumerate(_largest_first(match.current, later)):
            if number == 0:
                stays[old], names[old] = label, match.identity
                continue
            stays[old], free = free, free + 1
            names[old] = _part_name(match.identity, used)
        rows.append(_row(match, label, sure, earlier, later))
    return Followed(matches, rows, _relabelled(later.labels, stays), _lesion_rows(later, stays, names))


def _kept_label(match, earlier, free):
    """The label that stays: that of the lesion whose id the match keeps."""
    keeper = next((n for n in match.previous if earlier.names[n] == match.identity), None)
    return (free, free + 1) if keeper is None else (keeper, free)


def _largest_first(labels, side):
    return sorted(labels, key=lambda n: -(side.volume_ml([n])[0] or 0.0))


def _part_name(identity, used):
    number = 2
    while f"{identity}.{number}" in used:
        number += 1
    used.add(f"{identity}.{number}")
    return f"{identity}.{number}"


def _row(match, label, sure, earlier, later):
    (before, error), (after, other) = earlier.volume_ml(match.previous), later.volume_ml(match.current)
    row = {
        "identity": match.identity,
        "label": label,
        "earlier": _JOIN.join(earlier.names[n] for n in match.previous),
        "later": _JOIN.join(later.names[n] for n in match.current),
        "status": match.status,
        "confidence": "reader" if sure else "high" if match.certain else "low",
        "decision": CONFIRMED if sure else PROPOSED if match.certain else LOOK,
        "distance_mm": match.distance_mm,
        "overlap": match.overlap,
        "volume_before_ml": before,
        "volume_after_ml": after,
        "reasons": "; ".join(match.reasons),
    }
    if before and after:
        row["volume_change_percent"] = 100.0 * (after / before - 1.0)
        if error is not None and other is not None:
            # both errors at 95 %; repeatability of scanning is not in them
            row["beyond_error"] = "yes" if abs(after - before) > 1.96 * np.hypot(error, other) else "no"
    return row


def _relabelled(labels, stays):
    table = np.zeros(int(labels.array.max()) + 1, np.int32)
    for old, new in stays.items():
        table[old] = new
    return labels.like(table[np.maximum(labels.array, 0)], "lesions")


def _lesion_rows(later, stays, names):
    rows = []
    for old in sorted(stays, key=stays.get):
        rows.append(
            {**later.rows[old], "name": names[old], "label": stays[old], "segmented_as": later.names[old]}
        )
    return rows


def _number(value):
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found) else None
