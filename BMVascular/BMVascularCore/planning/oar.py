"""Organs at risk: surface distances to the lesions, and constraint rows beside their doses."""

import re
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from BMVascularCore.planning.rules import constraint_rows

_METRIC = re.compile(r"^(D|V)([\d.]+)(mL|Gy)$")


@dataclass(frozen=True)
class SurfaceDistance:
    """Shortest distance between two surfaces.

    Attributes
    ----------
    lesion, organ : str
    distance_mm : float
        Zero where they overlap.
    overlap : bool
    """

    lesion: str
    organ: str
    distance_mm: float
    overlap: bool


def surface_distances(lesions, organs):
    """Shortest surface distance of every lesion to every organ.

    Parameters
    ----------
    lesions, organs : dict
        Name to :class:`BMVascularCore.planning.sampling.Samples`. The same dictionary twice gives the
        distances between lesions.

    Returns
    -------
    list of SurfaceDistance
        Row by row; a structure is not compared with itself.
    """
    trees = {name: (cKDTree(s.surface_lps_mm), cKDTree(s.points_lps_mm)) for name, s in organs.items()}
    found = []
    for lesion, samples in lesions.items():
        for organ, (surface, inside) in trees.items():
            if organ == lesion and organs[organ] is samples:
                continue
            overlap = _overlap(samples, organs[organ], inside)
            distance = 0.0 if overlap else float(surface.query(samples.surface_lps_mm)[0].min())
            found.append(SurfaceDistance(lesion, organ, distance, overlap))
    return found


def _overlap(one, other, other_tree):
    """True when a sample of one lies within a sample of the other."""
    reach = 0.5 * max(one.step_mm, other.step_mm)
    solid = one.weights_mm3 > 0.5 * one.weights_mm3.max()
    near = other_tree.query(one.points_lps_mm[solid], distance_upper_bound=reach)
    hit = np.flatnonzero(np.isfinite(near[0]))
    return bool(len(hit) and (other.weights_mm3[near[1][hit]] > 0.5 * other.weights_mm3.max()).any())


def constraint_table(dvhs, fractions, include_unverified=True):
    """Constraint rows that fit the organs of a plan, with the value reached beside them.

    Parameters
    ----------
    dvhs : list of Dvh
    fractions : int
    include_unverified : bool

    Returns
    -------
    list of dict
        The row, the structure's name, ``value_gy`` or ``value_ml`` and ``within`` (True, False, or None where
        the value cannot be had). Reference, not a judgement of the plan.
    """
    table = []
    for row in constraint_rows(fractions, include_unverified):
        for dvh in dvhs:
            if re.search(row["pattern"], dvh.name.lower().replace("_", "")):
                unit, value = metric_value(dvh, row["metric"])
                limit = row.get(f"limit_{unit}")
                known = np.isfinite(value) and limit is not None
                table.append(
                    {
                        **row,
                        "structure": dvh.name,
                        f"value_{unit}": value,
                        "within": bool(value < limit) if known else None,
                    }
                )
    return table


def metric_value(dvh, metric):
    """Unit (``gy`` or ``ml``) and value of a metric such as ``D0.035mL``, ``V12Gy`` or ``Dmean``."""
    if metric == "Dmean":
        return "gy", dvh.mean_gy
    found = _METRIC.match(metric)
    if found is None:
        raise ValueError(f"{metric} is not a dose metric")
    kind, number, _ = found.groups()
    if kind == "D":
        return "gy", dvh.dose_at_mm3(1000.0 * float(number))
    return "ml", dvh.volume_at_ml(float(number))
