"""Tables beside a plan: distances, constraint rows, published doses by size, setup error, biological dose."""

import re

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.planning.bed import bed_table
from BMVascularCore.planning.oar import constraint_table, surface_distances
from BMVascularCore.planning.rules import constraint_rows, dose_by_size_rows
from BMVascularCore.planning.sampling import sample_mask, sample_structure
from BMVascularCore.planning.setup_error import rotation_margins

DISTANCE_COLUMNS = ("lesion", "structure", "type", "distance_mm", "overlap")
CONSTRAINT_COLUMNS = (
    "structure", "metric", "fractions", "limit_gy", "limit_ml", "value_gy", "value_ml", "within", "kind",
    "source", "year", "verified", "note",
)  # fmt: skip
DOSE_BY_SIZE_COLUMNS = (
    "lesion", "diameter_mm", "above_mm", "to_mm", "published", "setting", "source", "year", "verified",
)  # fmt: skip
NOT_ORGANS = ("EXTERNAL", "GTV", "CTV", "PTV", "CONTROL")


def organs_of(structures):
    """Structures that distances and limits are wanted for: what is drawn and neither target nor outline."""
    if structures is None:
        return []
    return [one for one in structures.structures if not one.empty and one.kind not in NOT_ORGANS]


def target_distances(targets, organs=None):
    """Shortest surface distances of the lesions to organs and to each other.

    Parameters
    ----------
    targets : TargetSet
    organs : StructureSet, optional

    Returns
    -------
    rows : list of dict
        Columns of :data:`DISTANCE_COLUMNS`.
    notes : list of str
        Organs that cannot be used, with the reason.
    """
    lesions = {t.name: sample_mask(t.masks["GTV"].array, t.masks["GTV"].geometry) for t in targets.targets}
    drawn, kinds, notes = {}, {}, []
    for structure in organs_of(organs):
        try:
            drawn[structure.name] = sample_structure(structure)
        except InputError as error:
            notes.append(f"no distance to {structure.name}: {error}")
            continue
        kinds[structure.name] = structure.kind or "ORGAN"
    return distance_table(lesions, drawn, kinds), notes


def distance_table(lesions, organs, kinds=None):
    """Shortest surface distances of lesions to organs and to each other.

    Parameters
    ----------
    lesions, organs : dict
        Name to :class:`BMVascularCore.planning.sampling.Samples`.
    kinds : dict, optional
        Organ name to its ROI type.

    Returns
    -------
    list of dict
        Columns of :data:`DISTANCE_COLUMNS`, the nearest first for every lesion.
    """
    rows = [
        {
            "lesion": d.lesion,
            "structure": d.organ,
            "type": (kinds or {}).get(d.organ, "ORGAN") if n == 0 else "lesion",
            "distance_mm": d.distance_mm,
            "overlap": "yes" if d.overlap else "no",
        }
        for n, others in enumerate((organs, lesions))
        for d in surface_distances(lesions, others)
    ]
    order = {name: n for n, name in enumerate(lesions)}
    return sorted(rows, key=lambda row: (order[row["lesion"]], row["type"] == "lesion", row["distance_mm"]))


def constraints_of_plan(dvhs, fractions, names=None):
    """Constraint rows of a fractionation for the organs present, with the value reached where it is known.

    Parameters
    ----------
    dvhs : list of Dvh
    fractions : int
    names : list of str, optional
        Structures present, where there is no dose for all of them; those of the curves by default.

    Returns
    -------
    list of dict
        Columns of :data:`CONSTRAINT_COLUMNS`. Reference beside the plan, no judgement of it.
    """
    wanted = [dvh.name for dvh in dvhs] if names is None else list(names)
    found = constraint_table([dvh for dvh in dvhs if dvh.name in wanted], fractions)

    def key(row, name):
        return name, row["metric"], row.get("limit_gy"), row.get("limit_ml"), row["kind"]

    known = {key(row, row["structure"]) for row in found}
    for row in constraint_rows(fractions):
        for name in wanted:
            if key(row, name) not in known and re.search(row["pattern"], name.lower().replace("_", "")):
                found.append({**row, "structure": name, "within": None})
    order = {name: n for n, name in enumerate(wanted)}
    return sorted(found, key=lambda row: order[row["structure"]])


def constraint_csv_rows(rows):
    """Rows of :func:`constraints_of_plan` as text for a table file."""
    words = {True: "within", False: "above", None: ""}
    return [
        row | {"within": words[row["within"]], "verified": "yes" if row["verified"] else "unverified"}
        for row in rows
    ]


def dose_by_size_table(diameters_mm):
    """Published rows for the size of every lesion: to read, never a prescription.

    Parameters
    ----------
    diameters_mm : dict
        Lesion name to the diameter of its GTV, mm.

    Returns
    -------
    list of dict
        Columns of :data:`DOSE_BY_SIZE_COLUMNS`.
    """
    return [
        {
            "lesion": name,
            "diameter_mm": diameter,
            **{key: row[key] for key in ("above_mm", "to_mm", "setting", "source", "year")},
            "published": row["text"],
            "verified": "yes" if row["verified"] else "unverified",
        }
        for name, diameter in diameters_mm.items()
        for row in dose_by_size_rows(diameter)
    ]


def setup_columns(targets, angle_deg, translation_mm, isocentre_lps_mm=None):
    """What a shared isocentre costs every lesion, by lesion name.

    Parameters
    ----------
    targets : list of Target
    angle_deg, translation_mm : float
    isocentre_lps_mm : array_like, optional
        The mean of the lesions' centres by default.

    Returns
    -------
    dict of str to dict
        ``isocentre_distance_mm``, ``rotation_displacement_mm``, ``rotation_margin_mm``, ``rotation_volume_factor``.
    """
    found = rotation_margins(
        [t.name for t in targets],
        np.array([t.centre_lps_mm for t in targets]),
        [t.diameter_mm for t in targets],
        angle_deg,
        translation_mm,
        isocentre_lps_mm,
    )
    return {
        one.name: {
            "isocentre_distance_mm": one.distance_mm,
            "rotation_displacement_mm": one.displacement_mm,
            "rotation_margin_mm": one.margin_mm,
            "rotation_volume_factor": one.volume_factor,
        }
        for one in found
    }


def biological_doses(prescription_gy, fractions):
    """BED and EQD2 of one prescription, or of one for each name.

    Parameters
    ----------
    prescription_gy : float or dict
    fractions : int

    Returns
    -------
    dict of str to dict
    """
    given = prescription_gy if isinstance(prescription_gy, dict) else {"plan": prescription_gy}
    return {name: bed_table(dose, fractions) for name, dose in given.items()}
