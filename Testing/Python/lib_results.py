"""A results folder as ``bmvascular run`` writes it, small and made from formulas: for scenes and pictures.

The head is an ellipsoid with a skull and two tissues; lesions are balls. All grids are oblique and
no two share an orientation, so that a swapped sign or a transform in the wrong direction is seen.
"""

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from BMVascularCore.io import write_series, write_table, write_volume
from BMVascularCore.planning.segmentation_file import Segment, write_segmentation
from BMVascularCore.volume import Geometry, Series, Volume, ras_lps

LESIONS = [
    # name, RAS mm, radius mm, phenotype, stability, rCBV ratio, Ktrans 1/min
    ("M1", (-38.0, 32.0, 24.0), 9.0, "angiogenic-dominant", 0.93, 4.6, 0.16),
    ("M2", (34.0, -18.0, 38.0), 6.0, "VCO-leaning", 0.81, 1.6, 0.015),
    ("M3", (-24.0, -46.0, 2.0), 11.0, "mixed", 0.74, 2.8, 0.09),
    ("M4", (28.0, 40.0, -4.0), 4.0, "indeterminate", 0.55, 2.0, 0.04),
    ("M5", (18.0, -52.0, -22.0), 7.5, "angiogenic-dominant", 0.88, 5.2, 0.2),
    ("M6", (40.0, 8.0, 10.0), 5.0, "VCO-leaning", 0.77, 1.4, 0.01),
    ("M7", (-14.0, 2.0, 52.0), 5.0, "not assessed: treatment effect possible", None, 1.1, 0.06),
    ("M8", (-46.0, -8.0, -14.0), 6.5, "mixed", 0.72, 3.0, 0.07),
    ("M9", (8.0, 52.0, 30.0), 3.0, "indeterminate", 0.51, 1.9, 0.03),
    ("M10", (44.0, -40.0, 8.0), 4.0, "VCO-leaning", 0.79, 1.5, 0.02),
    ("M11", (-8.0, -66.0, 26.0), 6.0, "angiogenic-dominant", 0.9, 4.1, 0.12),
    ("M12", (12.0, 20.0, -26.0), 3.5, "indeterminate", 0.6, 2.1, 0.05),
]
PHENOTYPE_COLUMNS = ["name", "label", "phenotype", "stability", "coverage", "tier"]


def rotation(degrees_xyz):
    """Direction cosines, row-major, of rotations about x, y, z."""
    transform = sitk.Euler3DTransform()
    transform.SetRotation(*np.deg2rad(degrees_xyz).tolist())
    return transform.GetMatrix()


def grid(spacing_mm, extent_mm, degrees_xyz=(0, 0, 0), center_lps=(0, 0, 0), flip=(1, 1, 1)):
    """An oblique grid centred on a point; ``flip`` turns axes round."""
    shape_ijk = [round(e / s) for e, s in zip(extent_mm, spacing_mm, strict=True)]
    direction = np.reshape(rotation(degrees_xyz), (3, 3)) * np.asarray(flip)
    half = (np.asarray(shape_ijk) - 1) / 2 * spacing_mm
    origin = np.asarray(center_lps) - direction @ half
    return Geometry(
        tuple(shape_ijk[::-1]),
        tuple(map(float, spacing_mm)),
        tuple(origin.tolist()),
        tuple(direction.ravel().tolist()),
    )


def points_ras(geometry):
    """RAS mm of every voxel, shape (k, j, i, 3)."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in geometry.shape], indexing="ij"), -1)
    return ras_lps(geometry.points_of(index)).astype(np.float32)


def shell(points, scale):
    """Squared ellipsoid radius: below 1 inside."""
    return ((points / (np.array([72.0, 92.0, 80.0], np.float32) * scale)) ** 2).sum(-1)


def head_parts(points):
    """Head, skull and brain masks, and a folded grey-matter pattern."""
    head, outer, inner = (shell(points, scale) < 1 for scale in (1.0, 0.94, 0.86))
    x, y, z = np.moveaxis(points, -1, 0)
    folds = np.sin(x / 5 + np.sin(y / 9)) * np.sin(y / 6 + np.sin(z / 7)) * np.sin(z / 6)
    grey = inner & ((shell(points, 0.78) > 1) | (folds > 0.35))
    ventricle = ((np.abs(x) - 7) / 5) ** 2 + ((y + 2) / 22) ** 2 + ((z - 10) / 9) ** 2 < 1
    return head, outer & ~inner, inner, grey, inner & ventricle


def balls(points, lesions, scale=1.0):
    """Label image of the lesions."""
    labels = np.zeros(points.shape[:-1], np.int32)
    for label, (_, center, radius, *_) in enumerate(lesions, start=1):
        labels[((points - np.asarray(center, np.float32)) ** 2).sum(-1) < (radius * scale) ** 2] = label
    return labels


def t1c_of(points, lesions, rng):
    """T1c-like signal."""
    head, skull, brain, grey, ventricle = head_parts(points)
    image = np.zeros(points.shape[:-1], np.float32)
    image[head] = 520
    image[skull] = 90
    image[brain] = 430
    image[grey] = 340
    image[ventricle] = 150
    image[balls(points, lesions) > 0] = 800
    image[balls(points, [lesion for lesion in lesions if lesion[2] > 7], 0.55) > 0] = 260
    return np.abs(image + rng.normal(0, 12, image.shape)).astype(np.float32)


def map_of(points, lesions, column, inside, outside=np.nan):
    """A perfusion map: one value a lesion, tissue values outside, NaN outside the brain."""
    _, _, brain, grey, _ = head_parts(points)
    image = np.where(brain, np.where(grey, inside[1], inside[0]), outside).astype(np.float32)
    labels = balls(points, lesions)
    rim = balls(points, lesions, 0.5)
    for label, lesion in enumerate(lesions, start=1):
        image[labels == label] = lesion[column]
        image[(rim == label)] = lesion[column] * 0.45
    return image


def write_results(out, n_lesions=3, n_timepoints=2, spacing_mm=2.0, planning=True, series=True, tilt=12.0):
    """Write the folder; returns its path."""
    out = Path(out)
    index = {
        "title": "Simulated patient",
        "simulated": True,
        "notice": "Research use only. Not a medical device.",
        "timepoints": [
            _timepoint(out, t, LESIONS[:n_lesions], spacing_mm, series, tilt) for t in range(n_timepoints)
        ],
        "planning": _planning(out, LESIONS[:n_lesions], spacing_mm) if planning else None,
    }
    (out / "results.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    return out


def _timepoint(out, t, lesions, spacing_mm, series, tilt):
    rng = np.random.default_rng(t)
    folder = f"tp{t + 1}"
    for part in ("images", "dsc", "dce", "lesions", "phenotype"):
        (out / folder / part).mkdir(parents=True, exist_ok=True)
    if t:
        lesions = [(n, c, r * 1.15, p, s, v, k) for n, c, r, p, s, v, k in lesions]
    # tilted head-foot axis and reversed rows: neither RAS nor LPS
    anatomy = grid((spacing_mm,) * 3, (176, 216, 180), (tilt, -5, 3), (2, -4, 3), (1, -1, 1))
    where = points_ras(anatomy)
    write_volume(out / folder / "images/t1c.nrrd", Volume(t1c_of(where, lesions, rng), anatomy))
    labels = balls(where, lesions)
    core = balls(where, lesions, 0.5) > 0
    write_volume(out / folder / "lesions/lesions.nrrd", Volume(labels, anatomy))
    write_volume(out / folder / "lesions/shares.nrrd", Volume((labels > 0).astype(np.float32), anatomy))
    compartments = np.where(labels > 0, np.where(core, 2, 1), 0).astype(np.uint8)
    write_volume(out / folder / "lesions/compartments.nrrd", Volume(compartments, anatomy))
    habitats = np.where(labels > 0, 1 + (labels + core) % 4, 0).astype(np.uint8)
    write_volume(out / folder / "phenotype/habitats.nrrd", Volume(habitats, anatomy))
    transform = perfusion_transform(t)
    sitk.WriteTransform(transform, str(out / folder / "dsc.tfm"))
    _write_perfusion(out / folder, lesions, transform, rng, series)
    _write_tables(out / folder, lesions)
    return _timepoint_index(folder, t, lesions, series)


def perfusion_transform(t):
    """T1c points to points of the perfusion image (LPS): the patient moved between them."""
    transform = sitk.Euler3DTransform()
    transform.SetRotation(0.05, -0.04, 0.06 + 0.02 * t)
    transform.SetTranslation((6.0, -4.0, 3.0))
    return transform


def planning_transform():
    """CT points to T1c points (LPS)."""
    transform = sitk.Euler3DTransform()
    transform.SetRotation(-0.08, 0.05, 0.1)
    transform.SetTranslation((-14.0, 22.0, -31.0))
    return transform


def _in_t1c(geometry, transform):
    """RAS in T1c space of the voxels of an image that a transform maps T1c points to."""
    inverse = transform.GetInverse()
    matrix = np.reshape(inverse.GetMatrix(), (3, 3))
    offset = np.array(inverse.TransformPoint((0.0, 0.0, 0.0)))
    lps = ras_lps(points_ras(geometry)) @ matrix.T + offset
    return ras_lps(lps).astype(np.float32)


def _write_perfusion(folder, lesions, transform, rng, series):
    dsc = grid((2.5, 2.5, 5.0), (200, 220, 160), (4, 0, -6), tuple(transform.TransformPoint((0.0, 0.0, 0.0))))
    where = _in_t1c(dsc, transform)
    write_volume(folder / "dsc/nrcbv.nrrd", Volume(map_of(where, lesions, 5, (1.0, 2.0)), dsc))
    write_volume(folder / "dce/ktrans.nrrd", Volume(map_of(where, lesions, 6, (0.001, 0.002)), dsc))
    if series:
        small = grid(
            (8, 8, 10.0), (200, 220, 160), (4, 0, -6), tuple(transform.TransformPoint((0.0, 0.0, 0.0)))
        )
        times = np.arange(12) * 1.5
        frames = rng.normal(300, 5, (12, *small.shape)).astype(np.float32)
        write_series(folder / "dsc/dsc.seq.nrrd", Series(frames, times, small))


def _write_tables(folder, lesions):
    write_table(
        folder / "lesions/lesions.csv",
        [
            {"name": n, "label": i, "volume_ml": 4 / 3 * np.pi * r**3 / 1000}
            for i, (n, _, r, *_) in enumerate(lesions, 1)
        ],
    )
    rows = [
        dict(zip(PHENOTYPE_COLUMNS, (n, i, p, s, 0.9, "A"), strict=True))
        for i, (n, _, _, p, s, *_) in enumerate(lesions, 1)
    ]
    write_table(folder / "phenotype/phenotype.csv", rows)


def _timepoint_index(folder, t, lesions, series):
    tfm = f"{folder}/dsc.tfm"
    return {
        "label": f"TP{t + 1}",
        "folder": folder,
        "days": 84 * t,
        "volumes": [{"role": "T1c", "name": "T1c", "file": f"{folder}/images/t1c.nrrd", "transform": None}],
        "maps": [
            {"role": "nrcbv", "name": "rCBV (normalised)", "file": f"{folder}/dsc/nrcbv.nrrd",
             "unit": "ratio", "window": [0, 6], "colors": "rCBV", "transform": tfm},
            {"role": "ktrans", "name": "Ktrans", "file": f"{folder}/dce/ktrans.nrrd", "unit": "1/min",
             "window": [0, 0.2], "colors": "Ktrans", "transform": tfm},
        ],
        "series": [{"role": "DSC", "file": f"{folder}/dsc/dsc.seq.nrrd", "unit": "a.u.", "transform": tfm}]
        if series
        else [],
        "lesions": {
            "labels": f"{folder}/lesions/lesions.nrrd",
            "shares": f"{folder}/lesions/shares.nrrd",
            "compartments": f"{folder}/lesions/compartments.nrrd",
            "table": f"{folder}/lesions/lesions.csv",
        },
        "habitats": f"{folder}/phenotype/habitats.nrrd",
        "phenotype_table": f"{folder}/phenotype/phenotype.csv",
        "seeds": [{"name": lesion[0], "ras": list(lesion[1])} for lesion in lesions],
        "lesion_list": [
            {"name": n, "label": i, "phenotype": p, "stability": s,
             "center_ras": list(c), "diameter_mm": 2 * r}
            for i, (n, c, r, p, s, *_) in enumerate(lesions, 1)
        ],
    }  # fmt: skip


def _planning(out, lesions, spacing_mm):
    (out / "planning").mkdir(parents=True, exist_ok=True)
    transform = planning_transform()
    sitk.WriteTransform(transform, str(out / "planning/transform.tfm"))
    center = tuple(transform.GetInverse().TransformPoint((0.0, 0.0, 0.0)))
    ct = grid((spacing_mm, spacing_mm, 2.0), (220, 240, 200), (0, 0, 0), center)
    where = _in_t1c(ct, transform.GetInverse())
    head, skull, brain, _, ventricle = head_parts(where)
    hu = np.full(ct.shape, -1000, np.int16)
    hu[head] = 30
    hu[skull] = 900
    hu[brain] = 36
    hu[ventricle] = 8
    write_volume(out / "planning/ct.nrrd", Volume(hu, ct))
    targets = balls(where, [(n, c, r + 1.0, *rest) for n, c, r, *rest in lesions])
    segments = [Segment(f"PTV_{n:02d}", targets == n, colour=(255, 140, 0)) for n in np.unique(targets) if n]
    if segments:
        write_segmentation(out / "planning/targets.seg.nrrd", segments, ct)
    coarse = grid((2.0, 2.0, 2.0), (200, 220, 190), (0, 0, 0), center)
    dose = _dose(_in_t1c(coarse, transform.GetInverse()), lesions)
    write_volume(out / "planning/dose.nrrd", Volume(dose, coarse))
    return {
        "ct": "planning/ct.nrrd", "transform": "planning/transform.tfm",
        "targets": "planning/targets.seg.nrrd" if segments else None, "dose": "planning/dose.nrrd", "prescription_gy": 20,
    }  # fmt: skip


def _dose(points, lesions):
    dose = np.zeros(points.shape[:-1], np.float32)
    for _, center, radius, *_ in lesions:
        distance = np.sqrt(((points - np.asarray(center, np.float32)) ** 2).sum(-1))
        dose = np.maximum(dose, 25.0 / (1 + np.exp(np.minimum((distance - radius - 2.5) / 1.2, 60))))
    return dose
