"""What is true of the simulated patient: masks, parameter maps and one row for each lesion."""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.phantom.shapes import unit_sphere
from BMVascularCore.phantom.static import compose
from BMVascularCore.phantom.tissue import HAEMATOCRIT_CAPILLARY, TISSUES, VP_NAWM
from BMVascularCore.volume import Volume, ras_lps

COMPARTMENTS = {"high": 1, "low": 1, "core": 2, "oedema": 3, "haemorrhage": 4}
FRACTIONS = {1: "enhancing", 2: "core", 3: "oedema", 4: "haemorrhage"}


@dataclass
class Truth:
    """Truth of one time point.

    Attributes
    ----------
    volumes : dict of str to Volume
        On the T1c grid: labels, compartments, fraction_enhancing, fraction_core, fraction_oedema,
        fraction_haemorrhage, rcbv (relative to NAWM), vp, cbv (mL/100 mL), cbf (mL/100 mL/min), ktrans
        (1/min), ve, delay (s), t1 (s). On the perfusion grid the same with the prefix perfusion_ for
        rcbv, vp, ktrans, ve, t1 and lesion (share of each voxel).
    lesions : list of dict
        One row for each lesion of the case list; ``present`` says whether it exists now.
    transforms : dict of str to SimpleITK.Transform
        LPS mm, mapping points of the first-named image to the second: t1c_to_perfusion, ct_to_t1c
        (first time point), tp1_to_tp2.
    """

    volumes: dict
    lesions: list
    transforms: dict = field(default_factory=dict)


def truth_volumes(model):
    """Masks, shares and parameter maps on the model's grid.

    Returns
    -------
    dict of str to Volume
    """
    shape = model.geometry.shape
    shares = {code: np.zeros(shape, np.float32) for code in FRACTIONS}
    labels = np.zeros(shape, np.int16)
    bodies = np.zeros(shape, np.float32)
    for part in model.parts:
        shares[COMPARTMENTS[part.name]][part.box] += part.share
    for number in model.shapes:
        box, body = lesion_body(model, number)
        bodies[box] += body
        labels[box][body >= 0.5] = number
    compartments = np.zeros(shape, np.uint8)
    compartments[shares[3] >= 0.5] = 3
    solid = np.stack([shares[code] for code in (1, 2, 4)]).argmax(axis=0)
    inside = labels > 0
    compartments[inside] = np.array([1, 2, 4], np.uint8)[solid[inside]]
    maps = {"labels": labels, "compartments": compartments}
    maps.update({f"fraction_{name}": shares[code] for code, name in FRACTIONS.items()})
    maps.update(_parameter_maps(model))
    return {name: Volume(array, model.geometry, name) for name, array in maps.items()}


def lesion_body(model, number):
    """Box and share of a lesion without its oedema."""
    parts = [part for part in model.parts if part.lesion == number and part.name != "oedema"]
    return parts[0].box, sum(part.share for part in parts)


def _parameter_maps(model):
    vp = compose(model, lambda tissue: tissue.vp)
    leaky = compose(model, lambda tissue: float(tissue.ktrans_per_min > 0))
    ve = compose(model, lambda tissue: tissue.ve if tissue.ktrans_per_min > 0 else 0.0)
    perfused = compose(model, lambda tissue: float(tissue.vp > 0))
    late = sum(model.shares[name] for name in ("gm", "wm")) * model.late * 2.0
    delay = compose(model, lambda tissue: tissue.delay_s if tissue.vp > 0 else 0.0) + late
    water = compose(model, lambda tissue: tissue.pd)
    t1 = compose(model, lambda tissue: tissue.pd * tissue.t1_s)
    return {
        "vp": vp,
        "rcbv": vp / np.float32(VP_NAWM),
        "cbv": vp * np.float32(100.0 / (1.0 - HAEMATOCRIT_CAPILLARY)),
        "cbf": compose(model, lambda tissue: tissue.cbf),
        "ktrans": compose(model, lambda tissue: tissue.ktrans_per_min),
        "ve": _ratio(ve, leaky),
        "delay": _ratio(delay, perfused),
        "t1": _ratio(t1, water),
    }


def _ratio(top, bottom):
    """Quotient where there is enough tissue, NaN elsewhere."""
    out = np.full(top.shape, np.nan, np.float32)
    np.divide(top, bottom, out=out, where=bottom > 0.05)
    return out


def perfusion_truth(shares):
    """Parameter maps on the perfusion grid: means of the tissue in each voxel.

    Parameters
    ----------
    shares : CoarseShares

    Returns
    -------
    dict of str to Volume
    """

    def mean(value_of):
        weights = np.array([value_of(TISSUES[name]) for name in shares.names], np.float32)
        out = (weights @ shares.dense).reshape(shares.geometry.shape)
        for part, box, share in shares.parts:
            out[box] += np.float32(value_of(part.tissue)) * share
        return out

    lesion = np.zeros(shares.geometry.shape, np.float32)
    for part, box, share in shares.parts:
        if part.name != "oedema":
            lesion[box] += share
    leaky = mean(lambda tissue: float(tissue.ktrans_per_min > 0))
    maps = {
        "lesion": lesion,
        "vp": mean(lambda tissue: tissue.vp),
        "rcbv": mean(lambda tissue: tissue.vp / VP_NAWM),
        "ktrans": mean(lambda tissue: tissue.ktrans_per_min),
        "ve": _ratio(mean(lambda t: t.ve if t.ktrans_per_min > 0 else 0.0), leaky),
        "t1": _ratio(mean(lambda t: t.pd * t.t1_s), mean(lambda t: t.pd)),
    }
    return {
        f"perfusion_{name}": Volume(array, shares.geometry, f"perfusion_{name}")
        for name, array in maps.items()
    }


def lesion_row(model, number, case, volumes, coverage):
    """Truth of one lesion as plain values with units in their names.

    Parameters
    ----------
    model : HeadModel
    number : int
        Label of the lesion.
    case : LesionCase
    volumes : dict
        Of :func:`truth_volumes`.
    coverage : callable
        LPS mm to True where the perfusion slab covers the point.
    """
    row = {"name": case.name, "label": number, "character": case.character, "present": number in model.shapes}
    if not row["present"]:
        return row
    shape, state = model.shapes[number], model.states[number]
    box, _ = lesion_body(model, number)
    body = volumes["labels"].array[box] == number
    enhancing = body & (volumes["fraction_enhancing"].array[box] > 0.9)
    centre = model.lesion_centre(number)
    seed = _seed_point(model, number, centre, volumes)
    row.update(
        phenotype=state.phenotype,
        near_limit=state.near_limit,
        volume_ml=shape.volume_ml,
        diameter_mm=shape.diameter_mm,
        longest_diameter_mm=longest_diameter_mm(shape),
        irregularity=state.irregularity,
        **_part_volumes(model, number),
        oedema_mm=state.oedema_mm,
        rcbv=state.rcbv,
        ktrans_per_min=state.ktrans_per_min,
        ve=state.ve,
        vp=state.rcbv * VP_NAWM,
        mtt_s=state.mtt_s,
        delay_s=state.delay_s,
        t1_s=state.t1_s,
        suv=state.suv,
        adc_um2_s=state.adc,
        rcbv_median=_median(volumes["rcbv"].array[box], enhancing),
        ktrans_median_per_min=_median(volumes["ktrans"].array[box], enhancing),
        centre_ras_mm=ras_lps(centre).tolist(),
        seed_ras_mm=ras_lps(seed).tolist(),
        in_perfusion_coverage=bool(coverage(centre)),
    )
    return row


def _part_volumes(model, number):
    sums = dict.fromkeys(("enhancing_ml", "core_ml", "oedema_ml", "haemorrhage_ml"), 0.0)
    for part in model.parts:
        if part.lesion == number:
            sums[f"{FRACTIONS[COMPARTMENTS[part.name]]}_ml"] += (
                float(part.share.sum()) * model.geometry.voxel_ml
            )
    return sums


def _median(values, mask):
    return float(np.median(values[mask])) if mask.any() else None


def _seed_point(model, number, centre, volumes):
    """Where a reader would click: the centre, or the nearest fully enhancing voxel to it."""
    box, _ = lesion_body(model, number)
    share = volumes["fraction_enhancing"].array[box]
    index = np.argwhere(share >= 0.95 * share.max()) + [part.start for part in box]
    points = model.geometry.points_of(index)
    return points[int(np.argmin(np.linalg.norm(points - centre, axis=1)))]


def longest_diameter_mm(shape):
    """Longest distance between two points of a lesion's surface."""
    directions = unit_sphere(800)
    surface = directions * shape.radius_mm(directions)[:, None]
    square = (surface**2).sum(axis=1)
    gaps = square[:, None] + square[None, :] - 2.0 * surface @ surface.T
    return float(np.sqrt(gaps.max()))
