"""A made-up head with lesions whose maps are known: for self-tests and demonstrations. Simulated, no patient."""

import numpy as np

from BMVascularCore.volume import Geometry, Volume
from BMVascularLib import studyNodes
from BMVascularLib.segments import COMPARTMENTS, addSegmentation
from BMVascularLib.volumes import addVolume

_EXTENT_MM = np.array((160.0, 190.0, 126.0))
_BRAIN_MM = np.array((72.0, 88.0, 56.0))


def twoLesions(change=1.0):
    """A leaky lesion with high blood volume, and a tight one; ``change`` scales Ktrans of the first."""
    return [
        {"center": (35, 20, 8), "radius": 13, "oedema": 14, "ktrans": 0.13 * change, "rcbv": 3.6},
        {"center": (-38, -18, 4), "radius": 11, "oedema": 3, "ktrans": 0.012, "rcbv": 1.1},
    ]


def manyLesions(count):
    """Small lesions on a grid, from tight to leaky."""
    places = [(x, y, z) for z in (-24, 0, 24) for y in (-55, -28, 0, 28, 55) for x in (-42, -18, 18, 42)][
        :count
    ]
    share = np.linspace(0.0, 1.0, count)
    return [
        {
            "center": place,
            "radius": 6.0,
            "oedema": 3.0 + 10 * part,
            "ktrans": 0.01 + 0.14 * part,
            "rcbv": 1 + 3 * part,
        }
        for place, part in zip(places, share, strict=True)
    ]


def exampleImages(lesions, spacing_mm=3.0, noise=0.12, seed=1):
    """Images of the made-up head.

    Parameters
    ----------
    lesions : list of dict
        ``center`` (LPS mm), ``radius`` and ``oedema`` (mm), ``ktrans`` (1/min), ``rcbv`` (ratio).

    Returns
    -------
    labels, compartments : Volume
    images : dict
        Role to Volume.
    """
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in (_EXTENT_MM / spacing_mm)[::-1])
    geometry = Geometry(shape, (spacing_mm,) * 3, tuple(-_EXTENT_MM / 2))
    places = geometry.points_of(np.stack(np.indices(shape), -1))
    brain = (((places / _BRAIN_MM) ** 2).sum(-1) < 1).astype(np.float32)
    folds = 1 + 0.25 * np.sin(np.abs(places[..., 0]) / 7) * np.cos(places[..., 1] / 10)
    truth = {"nrcbv": brain.copy(), "ktrans": 0.002 * brain, "vp": 0.02 * brain}
    truth |= {"FLAIR": 100 * brain * folds, "T1c": 90 * brain * folds}
    labels, parts = np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
    for number, lesion in enumerate(lesions, start=1):
        distance = np.linalg.norm(places - np.array(lesion["center"]), axis=-1)
        inside, core = distance < lesion["radius"], distance < 0.35 * lesion["radius"]
        swollen = (distance < lesion["radius"] + lesion["oedema"]) & (brain > 0) & (parts == 0)
        parts[swollen], truth["FLAIR"][swollen] = 3, 160
        labels[inside], parts[inside], parts[core] = number, 1, 2
        truth["T1c"][inside], truth["T1c"][core] = 210, 60
        truth["ktrans"][inside], truth["nrcbv"][inside] = lesion["ktrans"], lesion["rcbv"]
        truth["vp"][inside] = 0.02 * lesion["rcbv"]
    images = {
        role: Volume((array * np.exp(noise * rng.standard_normal(shape))).astype(np.float32), geometry, role)
        for role, array in truth.items()
    }
    return Volume(labels, geometry, "lesions"), Volume(parts, geometry, "compartments"), images


def addExample(scene, timepoint, lesions=None):
    """Put the made-up head into a scene with its roles.

    Returns
    -------
    vtkMRMLSegmentationNode
        The lesions, M1, M2, ...
    """
    lesions = twoLesions() if lesions is None else lesions
    labels, parts, images = exampleImages(lesions)
    reason = "made up"
    for role, image in images.items():
        studyNodes.setRole(addVolume(scene, image, f"{timepoint} {role}"), role, timepoint, reason)
    segments = [
        {"label": n, "name": f"M{n}", "color": (0.9, 0.6, 0.0), "kind": "metastasis"}
        for n in range(1, len(lesions) + 1)
    ]
    node = addSegmentation(scene, labels, segments, f"{timepoint} lesions")
    studyNodes.setRole(node, "lesions", timepoint, reason)
    parts = addSegmentation(
        scene,
        parts,
        [
            {"label": label, "name": name, "color": color, "kind": kind}
            for label, (name, color, kind) in COMPARTMENTS.items()
        ],
        f"{timepoint} compartments",
    )
    parts.GetDisplayNode().SetVisibility(False)
    studyNodes.setRole(parts, "compartments", timepoint, reason)
    return node
