"""Values of each lesion from maps: medians over usable voxels, with what they rest on."""

import numpy as np

from BMVascularCore.phenotype.inputs import LesionInputs, Measured, unit_factor, unit_question
from BMVascularCore.phenotype.purity import pure_voxels
from BMVascularCore.phenotype.scan import CORE, ENHANCING, HAEMORRHAGE, OEDEMA
from BMVascularCore.phenotype.shapes import irregularity, longest_diameter_mm

#: Map key to the id of the value that is its plain median.
_MEDIANS = {
    "ktrans": "ktrans",
    "rcbv": "rcbv",
    "wash_in": "wash_in",
    "vp": "vp",
    "ve": "ve",
    "adc": "adc",
    "pet": "tbr",
}
_PERFUSION = ("ktrans", "rcbv", "vp", "cbf", "wash_in")


def settle_units(scan, context, rules):
    """Set maps aside whose unit looks wrong; convert those whose unit the context states.

    Parameters
    ----------
    scan : Scan
        Its maps are changed in place.
    context : Context
    rules : dict

    Returns
    -------
    set_aside : dict
        Map key to the sentence that asks.
    """
    asked = {}
    for key in sorted(key for key in scan.maps if not key.endswith("_se")):
        if key in context.units:
            factor = unit_factor(key, context.units[key], rules)
            for name in (key, f"{key}_se"):
                if name in scan.maps and factor != 1.0:
                    scan.maps[name] = scan.maps[name] * np.float32(factor)
                    scan.scale[name] = factor
            continue
        medians = [_median(_inside(scan, key, n)) for n in scan.numbers]
        question = unit_question(key, medians, _background(scan, key), rules)
        if question:
            asked[key] = question
    for key in asked:
        scan.maps.pop(key)
    _settle_adc(scan)
    return asked


def _inside(scan, key, number):
    box, mask = scan.enhancing(number)
    return scan.maps[key][box][mask]


def _median(values):
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


def _background(scan, key):
    # every other voxel is plenty for a median; near the lesions it is tissue, far away it may be air
    thin = (slice(None, None, 2),) * 3
    values, distance = scan.maps[key][thin], scan.distance_mm[thin]
    normal = np.isfinite(values) & ~scan.abnormal[thin] & (distance > 5.0)
    for part in (normal & (distance <= 15.0), normal):
        if part.sum() >= 50:
            return float(np.median(values[part]))
    return None


def _settle_adc(scan):
    if "adc" not in scan.maps:
        return
    level = _median(scan.maps["adc"][scan.labels > 0])
    # mm2/s, 1e-3 mm2/s and 1e-6 mm2/s lie three decades apart: no doubt which one it is
    scale = 1000.0 if level < 0.02 else 0.001 if level > 20 else 1.0
    scan.maps["adc"] = scan.maps["adc"] * np.float32(scale)
    scan.scale["adc"] = scale


def lesion_inputs(scan, number, name, rules, set_aside, has_flair):
    """All values of one lesion.

    Parameters
    ----------
    scan : Scan
    number : int
        Label value.
    name : str
    rules : dict
    set_aside : dict
        From :func:`settle_units`.
    has_flair : bool
        Whether oedema could be seen at all.

    Returns
    -------
    LesionInputs
    """
    inputs = LesionInputs(name, number)
    for key, value_id in _MEDIANS.items():
        if key in set_aside:
            inputs.set_aside[value_id] = set_aside[key]
        elif key in scan.maps:
            _take(inputs, value_id, _measure(scan, key, number, rules), key, rules)
    _size(inputs, scan, number, rules)
    _ratios(inputs, scan, number, rules, set_aside)
    _compartment_values(inputs, scan, number, has_flair)
    _pet_discordance(inputs, scan, number, rules, set_aside)
    _haemorrhage(inputs, scan, number, rules)
    return inputs


def _measure(scan, key, number, rules):
    box, region = scan.enhancing(number)
    values = scan.maps[key][box][region]
    usable = np.isfinite(values)
    share = float(usable.mean())
    if share < rules["extraction"]["min_share"]:
        return share
    where = "enhancing part" if (scan.compartments is not None) else "whole lesion"
    pure = pure_voxels(scan, key, box, region, rules["extraction"])
    if pure is not None:
        values, errors = pure
        least = rules["extraction"]["min_purity"]
        note = f"median over {values.size} map voxels that lie to {least:.0%} or more in the {where}"
        count = values.size
    else:
        values = values[usable]
        errors = _errors(scan, key, box, region)
        note = f"median over {values.size} voxels of the {where}"
        if scan.native_voxel_ml(key) > 1.5 * scan.geometry.voxel_ml:
            note += "; too few map voxels lie wholly inside it, so partial volume dilutes the value"
        # neighbouring voxels of a resampled map are not independent: count native voxels
        count = min(values.size, max(1.0, values.size * scan.geometry.voxel_ml / scan.native_voxel_ml(key)))
    centre = float(np.median(values))
    if share < 0.995:
        note += f"; the map covers {share:.0%} of it"
    return Measured(
        centre,
        _relative_error(values, errors, count, centre),
        float(np.percentile(values, 95)),
        share,
        int(values.size),
        note,
    )


def _errors(scan, key, box, region):
    """Voxel standard errors that can be, inside a region; None without an error map."""
    if f"{key}_se" not in scan.maps:
        return None
    errors = scan.maps[f"{key}_se"][box][region]
    return errors[np.isfinite(errors) & (errors >= 0)]


def _relative_error(values, errors, count, centre):
    if errors is not None:
        spread = float(np.sqrt(np.mean(np.square(errors)))) if errors.size else 0.0
    else:
        spread = 1.4826 * float(np.median(np.abs(values - centre)))
    # standard error of a median: sqrt(pi / 2) times that of a mean
    return 1.2533 * spread / np.sqrt(count) / centre if centre > 0 else 0.0


def _take(inputs, value_id, measured, key, rules):
    if isinstance(measured, Measured) and measured.value >= 0:
        inputs.values[value_id] = measured
    elif isinstance(measured, Measured):
        inputs.set_aside[value_id] = f"not measurable: the median of {key} is negative"
    else:
        least = rules["extraction"]["min_share"]
        inputs.set_aside[value_id] = (
            f"not measurable: the map {key} covers {measured:.0%} of the lesion, least is {least:.0%}"
        )


def _size(inputs, scan, number, rules):
    _, lesion = scan.lesion(number)
    lesion = np.pad(lesion, 1)
    volume_ml = float(lesion.sum()) * scan.geometry.voxel_ml
    diameter = longest_diameter_mm(lesion, scan.geometry)
    inputs.facts.update(volume_ml=volume_ml, longest_diameter_mm=diameter)
    native = [scan.native_voxel_ml(key) for key in _PERFUSION if key in scan.maps]
    if native:
        inputs.facts["perfusion_voxels"] = volume_ml / max(max(native), scan.geometry.voxel_ml)
    settings = rules["extraction"]["irregularity"]
    if diameter >= settings["min_diameter_mm"]:
        inputs.values["irregularity"] = irregularity(lesion, scan.geometry, settings)
    else:
        inputs.set_aside["irregularity"] = "not measurable: the lesion is too small for its surface"


def _ratios(inputs, scan, number, rules, set_aside):
    settings = rules["extraction"]
    for key, value_id in (("vp", "vp_ratio"), ("cbf", "cbf_ratio")):
        if key in set_aside:
            inputs.set_aside[value_id] = set_aside[key]
            continue
        if key not in scan.maps:
            continue
        measured = _measure(scan, key, number, rules)
        if not isinstance(measured, Measured) or measured.value < 0:
            _take(inputs, value_id, measured, key, rules)
            continue
        background = _background(scan, key)
        level = measured.value if background is None else background
        if key == "cbf" and level <= settings["absolute_cbf_above"]:
            inputs.values[value_id] = measured
            continue
        _against_mirror(inputs, scan, key, value_id, measured, settings)


def _against_mirror(inputs, scan, key, value_id, measured, settings):
    other = scan.mirrored_values(key, *scan.enhancing(inputs.label))
    floor = settings["min_reference_vp"] if key == "vp" else 0.0
    if other.size < 10 or np.median(other) <= floor:
        inputs.set_aside[value_id] = "not measurable: no usable tissue at the mirrored place"
        return
    reference = float(np.median(other))
    error = 1.2533 * 1.4826 * float(np.median(np.abs(other - reference))) / reference / np.sqrt(other.size)
    inputs.values[value_id] = Measured(
        measured.value / reference,
        float(np.hypot(measured.rel_sd, error)),
        measured.p95 / reference,
        measured.share,
        measured.n_voxels,
        f"{measured.note}; over {reference:.3g} at the mirrored place",
    )


def _compartment_values(inputs, scan, number, has_flair):
    if scan.compartments is None:
        for key in ("enhancing_fraction", "oedema_width", "oedema_ratio"):
            inputs.set_aside[key] = "no compartments were given"
        return
    box, lesion = scan.lesion(number)
    inside = scan.compartments[box][lesion]
    enhancing, core = int((inside == ENHANCING).sum()), int((inside == CORE).sum())
    if enhancing + core:
        inputs.values["enhancing_fraction"] = enhancing / (enhancing + core)
    if not has_flair:
        for key in ("oedema_width", "oedema_ratio"):
            inputs.set_aside[key] = "not measurable: no oedema compartment and no FLAIR"
        return
    box, near = scan.near(number)
    oedema = near & (scan.compartments[box] == OEDEMA) & (scan.labels[box] == 0)
    count = int(oedema.sum())
    inputs.facts["oedema_ml"] = count * scan.geometry.voxel_ml
    inputs.values["oedema_ratio"] = count / int(lesion.sum())
    half_voxel = 0.5 * float(np.mean(scan.geometry.spacing_kji_mm))
    width = float(np.percentile(scan.distance_mm[box][oedema], 95)) + half_voxel if count else 0.0
    inputs.values["oedema_width"] = Measured(
        width, note="95th percentile of the distance from the lesion's edge"
    )


def _pet_discordance(inputs, scan, number, rules, set_aside):
    if "pet" in set_aside:
        inputs.set_aside["pet_nonenhancing"] = set_aside["pet"]
        return
    if "pet" not in scan.maps:
        return
    if scan.compartments is None:
        inputs.set_aside["pet_nonenhancing"] = "no compartments were given"
        return
    settings = rules["extraction"]
    box, near = scan.near(number)
    distance, inside = scan.distance_mm[box], scan.labels[box] > 0
    positive = near & (distance <= 15.0) & (scan.maps["pet"][box] >= settings["pet_positive_tbr"])
    # PET blurs over the edge: what lies within its resolution of the lesion says nothing
    beyond = positive & ~inside & (distance > settings["pet_spill_margin_mm"])
    total = int((positive & inside).sum()) + int(beyond.sum())
    if total * scan.geometry.voxel_ml < 0.1:
        inputs.set_aside["pet_nonenhancing"] = "not measurable: hardly any PET-positive voxels"
        return
    limit, margin = settings["pet_positive_tbr"], settings["pet_spill_margin_mm"]
    note = f"PET-positive from {limit:g}, more than {margin:g} mm outside the lesion"
    inputs.values["pet_nonenhancing"] = Measured(float(beyond.sum()) / total, note=note)


def _haemorrhage(inputs, scan, number, rules):
    box, lesion = scan.lesion(number)
    dark, known = np.zeros(lesion.shape, bool), False
    level = _normal_swi(scan, number)
    if level is not None:
        known = True
        dark |= lesion & (scan.maps["swi"][box] < rules["extraction"]["itss_ratio"] * level)
    if scan.compartments is not None and (scan.compartments[box][lesion] == HAEMORRHAGE).any():
        known = True
        dark |= lesion & (scan.compartments[box] == HAEMORRHAGE)
    if known:
        inputs.facts["itss_fraction"] = float(dark.sum()) / int(lesion.sum())


def _normal_swi(scan, number):
    if "swi" not in scan.maps:
        return None
    box, near = scan.near(number)
    distance = scan.distance_mm[box]
    around = near & (distance > 3.0) & (distance <= 12.0) & ~scan.abnormal[box]
    level = _median(scan.maps["swi"][box][around])
    # wide oedema leaves no normal tissue close by
    if around.sum() < 20 or not np.isfinite(level):
        level = _background(scan, "swi")
    return level
