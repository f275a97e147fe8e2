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
    trees = {name: _tree(s.surface_lps_mm) for name, s in organs.items()}
    boxes = {id(s): _box(s) for part in (lesions, organs) for s in part.values()}
    solids = {}
    found = []
    for lesion, samples in lesions.items():
        for organ, surface in trees.items():
            if organ == lesion and organs[organ] is samples:
                continue
            overlap = False
            if _boxes_meet(boxes[id(samples)], boxes[id(organs[organ])]):
                solids.setdefault(organ, _tree(organs[organ].points_lps_mm))
                overlap = _overlap(samples, organs[organ], solids[organ])
            distance = 0.0 if overlap else _shortest(samples.surface_lps_mm, surface)
            found.append(SurfaceDistance(lesion, organ, distance, overlap))
    return found


def _tree(points):
    return cKDTree(points, compact_nodes=False, balanced_tree=False)


def _box(samples):
    """Lowest and highest corner of a structure with room for one sample."""
    points = samples.points_lps_mm
    return points.min(axis=0) - samples.step_mm, points.max(axis=0) + samples.step_mm


def _boxes_meet(one, other):
    """False where the boxes around two structures lie apart."""
    return bool((one[0] <= other[1]).all() and (other[0] <= one[1]).all())


def _overlap(one, other, other_tree):
    """True when a sample of one lies within a sample of the other."""
    reach = 0.5 * max(one.step_mm, other.step_mm)
    solid = one.weights_mm3 > 0.5 * one.weights_mm3.max()
    near = other_tree.query(one.points_lps_mm[solid], distance_upper_bound=reach)
    hit = np.flatnonzero(np.isfinite(near[0]))
    return bool(len(hit) and (other.weights_mm3[near[1][hit]] > 0.5 * other.weights_mm3.max()).any())


def _shortest(points, tree):
    """Shortest distance of some points to those of a tree: a few give the bound that spares the others."""
    bound = float(tree.query(points[:: max(1, len(points) // 40)])[0].min())
    nearest = tree.query(points, distance_upper_bound=bound * (1 + 1e-9) + 1e-9)[0]
    return float(nearest.min())


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
