"""Simulated patients through the real stages up to the habitats, and the habitats' truth."""

import numpy as np

from BMVascularCore.phantom import build_patient
from BMVascularCore.phenotype import load_table
from BMVascularCore.phenotype.habitats import HABITATS
from BMVascularCore.phenotype.symmetry import Plane
from BMVascularCore.study import stages


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


def assessed(point):
    """Segmentation, perfusion maps and phenotype of one simulated time point, as a run makes them."""
    given = _TimePoint(point)
    anatomy = stages.read_anatomy(given)
    seeds = [stages_seed(seed) for seed in point.seeds]
    segmentation = stages.segment_stage(anatomy, seeds)
    dsc = stages.dsc_stage(given, anatomy, segmentation)
    dce = stages.dce_stage(given, anatomy)
    return segmentation, stages.phenotype_stage(given, anatomy, segmentation, dsc, dce)


def stages_seed(seed):
    """A seed of the simulated patient as the segmentation takes it."""
    from BMVascularCore.lesions.model import Seed
    from BMVascularCore.volume import ras_lps

    return Seed(seed["name"], tuple(ras_lps(seed["ras"]).tolist()))


def true_habitats(point, pose, rules):
    """True volumes of each habitat, mL, by lesion name.

    The true maps at the splits themselves; blood volume over the mean at the true mirrored place of the
    same compartment, lesions and oedema left out.

    Parameters
    ----------
    point : BMVascularCore.phantom.patient.TimePoint
    pose : SimpleITK.Transform
        Head to scanner coordinates: gives the true mid-sagittal plane.
    rules : dict

    Returns
    -------
    dict of dict
    """
    settings, volumes = rules["habitats"], point.truth.volumes
    labels, parts = volumes["labels"].array, volumes["compartments"].array
    geometry, rcbv = volumes["labels"].geometry, volumes["rcbv"].array
    origin = np.array(pose.TransformPoint((0.0, 0.0, 0.0)))
    normal = np.array(pose.TransformPoint((1.0, 0.0, 0.0))) - origin
    plane, abnormal = Plane(normal, float(normal @ origin)), (labels > 0) | (parts > 0)
    found = {}
    for row in point.truth.lesions:
        if not row["present"]:
            continue
        inside = labels == row["label"]
        leaky, high = np.zeros(labels.shape, bool), np.zeros(labels.shape, bool)
        for part in (1, 2, 4):
            mask = inside & (parts == part)
            if mask.any():
                reference = _mirrored_mean(rcbv, plane, geometry, mask, abnormal)
                leaky[mask] = volumes["ktrans"].array[mask] > settings["ktrans_split_per_min"]
                high[mask] = rcbv[mask] / reference > settings["volume_split"]
        usable = inside & (parts != 4)
        kinds = (leaky & high, ~leaky & high, leaky & ~high, ~leaky & ~high)
        found[row["name"]] = {
            key: float((kind & usable).sum()) * geometry.voxel_ml
            for key, kind in zip(HABITATS, kinds, strict=True)
        }
    return found


def _mirrored_mean(rcbv, plane, geometry, mask, abnormal):
    index = np.rint(geometry.index_of(plane.mirror(geometry.points_of(np.argwhere(mask))))).astype(int)
    held = np.all((index >= 0) & (index < mask.shape), axis=1)
    places = tuple(index[held].T)
    values = rcbv[places][~abnormal[places]]
    return float(values[values > 0].mean())


def compare(seed, size, timepoint=0):
    """One row a lesion and habitat of a simulated patient.

    Parameters
    ----------
    seed : int
    size : {"full", "small"}
    timepoint : int

    Returns
    -------
    list of dict
        ``lesion``, ``diameter_mm``, ``near_limit``, ``habitat``, ``true_ml``, ``found_ml``, ``low_ml``,
        ``high_ml``, ``lesion_ml``.
    """
    from BMVascularCore.phantom.patient import _Builder
    from BMVascularCore.progress import silent

    rules = load_table().rules
    patient = build_patient(seed, size)
    point = patient.timepoints[timepoint]
    pose = _Builder(seed, size, silent, 30.0).poses[timepoint]
    truth = true_habitats(point, pose, rules)
    _, result = assessed(point)
    facts = {row["name"]: row for row in point.truth.lesions if row["present"]}
    rows = []
    for lesion in result.lesions:
        habitats, fact = lesion["habitats"], facts[lesion["name"]]
        if not habitats["assessable"] or not fact["in_perfusion_coverage"]:
            continue
        total = sum(truth[lesion["name"]].values())
        for part in habitats["lesion"]["habitats"]:
            rows.append(
                {
                    "lesion": lesion["name"],
                    "diameter_mm": fact["diameter_mm"],
                    "near_limit": fact["near_limit"],
                    "habitat": part["habitat"],
                    "true_ml": truth[lesion["name"]][part["habitat"]],
                    "found_ml": part["volume_ml"],
                    "low_ml": part["low_ml"],
                    "high_ml": part["high_ml"],
                    "lesion_ml": total,
                }
            )
    return rows
