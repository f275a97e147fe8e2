"""Simulated patients through the real stages up to the habitats, and the habitats' truth."""

from types import SimpleNamespace

import numpy as np

from BMVascularCore.lesions.model import Seed
from BMVascularCore.phantom import build_patient
from BMVascularCore.phantom.patient import _Builder
from BMVascularCore.phenotype import load_table
from BMVascularCore.phenotype.habitats import HABITATS
from BMVascularCore.progress import silent
from BMVascularCore.study import stages
from BMVascularCore.symmetry import Plane
from BMVascularCore.volume import ras_lps

#: A value this close to a split (natural logarithm) may fall on either side: rCBV itself is not that exact.
_ON_SPLIT = 0.15


class _Source:
    """One image of a study that is in memory already."""

    def __init__(self, image):
        self._image = image

    def read(self, progress=None):
        return self._image


class _TimePoint:
    """A time point as the stages take it."""

    def __init__(self, point):
        images = {**point.volumes, **point.series}
        self.label, self.context, self.seeds, self.days = point.label, point.context, point.seeds, point.days
        self.sources = {
            role: [_Source(image)] for role, image in images.items() if not role.startswith("VFA")
        }
        self.sources["VFA"] = [_Source(image) for role, image in images.items() if role.startswith("VFA")]

    def first(self, role):
        found = self.sources.get(role, [])
        return found[0] if found else None


def assessed(point, true_outlines=False):
    """Phenotype of one simulated time point by way of all stages of a run.

    Parameters
    ----------
    point : BMVascularCore.phantom.patient.TimePoint
    true_outlines : bool
        Take the true lesions and compartments instead of segmenting the images.

    Returns
    -------
    Assessment
    """
    given = _TimePoint(point)
    anatomy = stages.read_anatomy(given)
    if true_outlines:
        rows = [row for row in point.truth.lesions if row["present"]]
        segmentation = SimpleNamespace(
            labels=point.truth.volumes["labels"], compartments=point.truth.volumes["compartments"], rows=rows
        )
    else:
        seeds = [Seed(seed["name"], tuple(ras_lps(seed["ras"]).tolist())) for seed in point.seeds]
        segmentation = stages.segment_stage(anatomy, seeds)
    dsc = stages.dsc_stage(given, anatomy, segmentation)
    dce = stages.dce_stage(given, anatomy)
    return stages.phenotype_stage(given, anatomy, segmentation, dsc, dce)


def true_habitats(point, pose, rules):
    """True volumes of each habitat, mL, by lesion name.

    The enhancing volume is shared out by the true values of its pure voxels; the core of the simulated patient has
    neither leakage nor blood volume worth naming. Blood volume stands over the mean at the true mirrored place of
    the enhancing part; lesions, oedema and vessels left out.

    Parameters
    ----------
    point : BMVascularCore.phantom.patient.TimePoint
    pose : SimpleITK.Transform
        Head to scanner coordinates: gives the true mid-sagittal plane.
    rules : dict

    Returns
    -------
    dict of dict
        Also ``on_split``: share of the enhancing part whose true value lies within 15 % of a split.
    """
    settings, volumes = rules["habitats"], point.truth.volumes
    splits = {"ktrans": settings["ktrans_split_per_min"], "rcbv": settings["volume_split"]}
    labels, parts = volumes["labels"].array, volumes["compartments"].array
    geometry, abnormal = volumes["labels"].geometry, (labels > 0) | (parts > 0)
    origin = np.array(pose.TransformPoint((0.0, 0.0, 0.0)))
    normal = np.array(pose.TransformPoint((1.0, 0.0, 0.0))) - origin
    plane, found = Plane(normal, float(normal @ origin)), {}
    for row in point.truth.lesions:
        if not row["present"]:
            continue
        inside = (labels == row["label"]) & (parts == 1)
        pure = inside & (volumes["fraction_enhancing"].array > 0.95)
        reference = _mirrored_mean(volumes["rcbv"].array, plane, geometry, inside, abnormal)
        leaky = np.log(np.maximum(volumes["ktrans"].array[pure], 1e-6) / splits["ktrans"])
        high = np.log(np.maximum(volumes["rcbv"].array[pure] / reference, 1e-6) / splits["rcbv"])
        k, v = leaky > 0, high > 0
        shares = [float(part.mean()) for part in (k & v, ~k & v, k & ~v, ~k & ~v)]
        true = {key: share * row["enhancing_ml"] for key, share in zip(HABITATS, shares, strict=True)}
        true["low_perfusion"] += row["core_ml"]
        true["on_split"] = float((np.minimum(np.abs(leaky), np.abs(high)) < _ON_SPLIT).mean())
        found[row["name"]] = true
    return found


def _mirrored_mean(rcbv, plane, geometry, mask, abnormal):
    index = np.rint(geometry.index_of(plane.mirror(geometry.points_of(np.argwhere(mask))))).astype(int)
    held = np.all((index >= 0) & (index < mask.shape), axis=1)
    places = tuple(index[held].T)
    values = rcbv[places][~abnormal[places]]
    # grey matter holds 2.2 times the blood of white matter: what holds more is a vessel, which a reference leaves
    # out; the fluid of the folds counts, as it does in the mean of any coarse map
    return float(values[values <= 2.3].mean())


def compare(seed, size, timepoint=0, true_outlines=False):
    """One row a lesion and habitat of a simulated patient.

    Parameters
    ----------
    seed : int
    size : {"full", "small"}
    timepoint : int
    true_outlines : bool

    Returns
    -------
    list of dict
        ``lesion``, ``diameter_mm``, ``on_split``, ``habitat``, ``true_ml``, ``found_ml``, ``low_ml``,
        ``high_ml``, ``lesion_ml``.
    """
    point = build_patient(seed, size).timepoints[timepoint]
    pose = _Builder(seed, size, silent, 30.0).poses[timepoint]
    return rows_of(point, true_habitats(point, pose, load_table().rules), assessed(point, true_outlines))


def rows_of(point, truth, result):
    """Habitats found beside the true ones; lesions outside the perfusion slab are left out."""
    facts = {row["name"]: row for row in point.truth.lesions if row["present"]}
    rows = []
    for lesion in result.lesions:
        habitats, fact = lesion["habitats"], facts[lesion["name"]]
        if not habitats["assessable"] or not fact["in_perfusion_coverage"]:
            continue
        true = truth[lesion["name"]]
        for part in habitats["lesion"]["habitats"]:
            rows.append(
                {
                    "lesion": lesion["name"],
                    "diameter_mm": fact["diameter_mm"],
                    "on_split": true["on_split"],
                    "habitat": part["habitat"],
                    "true_ml": true[part["habitat"]],
                    "found_ml": part["volume_ml"],
                    "low_ml": part["low_ml"],
                    "high_ml": part["high_ml"],
                    "lesion_ml": sum(true[key] for key in HABITATS),
                }
            )
    return rows
