"""Habitats: what each voxel looks like by permeability and blood volume, with its doubt.

Fixed limits instead of clusters, so that two dates can be compared. Names describe images, not tissue.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import ndtr

from BMVascularCore.phenotype.partial_volume import corrected_values
from BMVascularCore.phenotype.regions import REGIONS, blocks_of, excluded_voxels, regions_of
from BMVascularCore.phenotype.scan import HAEMORRHAGE
from BMVascularCore.phenotype.stability import log_sd, stream

#: Habitat ids in the order of their label values 1..4.
HABITATS = ("leaky_high_volume", "preserved_high_volume", "leaky_low_volume", "low_perfusion")
#: How the volumes come about, in a sentence for readers.
METHOD = (
    "Fixed splits, membership by each voxel's own error; mixing of coarse perfusion voxels at the borders of core, "
    "enhancing part and oedema undone region by region; intervals from blocks and from repeatability."
)


@dataclass
class HabitatMaps:
    """Habitats of a scan.

    Attributes
    ----------
    labels : Volume
        uint8: 1..4 in the order of :data:`HABITATS`, 0 not assessable.
    memberships : dict
        Habitat id to a float32 Volume, 0..1.
    lesions : dict
        Label value to the findings of that lesion.
    """

    labels: object
    memberships: dict
    lesions: dict


def find_habitats(scan, inputs, volume_like, rules, progress):
    """Habitats of every lesion.

    Parameters
    ----------
    scan : Scan
        With the maps ``ktrans`` (1/min) and ``rcbv``.
    inputs : list of LesionInputs
    volume_like : Volume
        Gives the grid of the results.
    rules : dict
    progress : callable

    Returns
    -------
    HabitatMaps
        A lesion that cannot be assessed has a ``reason`` and no volumes.
    """
    labels = np.zeros(scan.labels.shape, np.uint8)
    members = {key: np.zeros(scan.labels.shape, np.float32) for key in HABITATS}
    found = {}
    for done, lesion in enumerate(inputs):
        progress(done / len(inputs), f"habitats of {lesion.name}")
        reason = not_assessable(scan, lesion, rules)
        if reason is None:
            found[lesion.label] = _lesion(scan, lesion, rules, labels, members)
        else:
            found[lesion.label] = {"assessable": False, "reason": reason}
    volumes = {key: volume_like.like(array, f"membership {key}") for key, array in members.items()}
    return HabitatMaps(volume_like.like(labels, "habitats"), volumes, found)


def not_assessable(scan, lesion, rules):
    """Why a lesion gets no habitats, or None."""
    settings = rules["habitats"]
    if "ktrans" not in scan.maps or "rcbv" not in scan.maps:
        return "habitats need a Ktrans map and a blood volume map"
    if scan.plane is None:
        return "no plane of symmetry was found, so there is no mirrored reference"
    if lesion.facts["longest_diameter_mm"] < settings["min_diameter_mm"]:
        return f"smaller than {settings['min_diameter_mm']:g} mm"
    volume_ml, voxels = lesion.facts["volume_ml"], lesion.facts.get("perfusion_voxels", np.inf)
    if volume_ml < settings["min_ml"] or voxels < settings["min_voxels"]:
        return f"less than {settings['min_ml']:g} mL or {settings['min_voxels']} perfusion voxels"
    return None


def _lesion(scan, lesion, rules, labels, members):
    settings = rules["habitats"]
    box, masks = regions_of(scan, lesion.label, settings)
    references = {key: _reference(scan, box, mask) for key, mask in masks.items()}
    whole = masks["core"] | masks["rim"] | masks["solid"]
    fallback = _reference(scan, box, whole)
    if fallback is None:
        return {"assessable": False, "reason": "no usable tissue at the mirrored place"}
    ktrans, rcbv = _corrected(scan, box, masks)
    ratio = np.full(whole.shape, np.nan)
    for key, mask in masks.items():
        ratio[mask] = rcbv[mask] / (references[key] or fallback)
    usable = np.isfinite(ratio) & np.isfinite(ktrans)
    usable &= ~excluded_voxels(scan, box, ratio, settings, rules["extraction"]["itss_ratio"])
    parts = {"lesion": whole & usable, "front": masks["front"] & usable}
    if not parts["lesion"].any():
        return {"assessable": False, "reason": "no voxel of the lesion is covered by both maps"}
    result = {
        "assessable": True,
        "reason": "",
        "method": METHOD,
        "assessed_share": float(parts["lesion"].sum() / whole.sum()),
    }
    for part, mask in parts.items():
        if mask.any():
            places = _places(scan, box, mask, (masks["core"],), ratio, ktrans, rules)
            _paint(labels, members, box, mask, memberships(*places))
            result[part] = _volumes(places, mask, scan, lesion.name, part, rules)
    result["compartments"] = _compartments(scan, masks, ktrans, ratio, references)
    result["front_against_mirror"] = _front_z(scan, box, masks["front"] & usable)
    return result


def _corrected(scan, box, masks):
    """Ktrans and blood volume of a lesion with the mixing at the edges of its compartments undone."""
    bleeding = scan.compartments[box] == HAEMORRHAGE if scan.compartments is not None else None
    enhancing = masks["rim"] | masks["solid"]
    regions = [masks["core"], enhancing, masks["front"] | masks["distal_oedema"]]
    if bleeding is not None:
        regions = [*(region & ~bleeding for region in regions), bleeding]
    others = scan.abnormal[box] & ~np.logical_or.reduce(regions)
    return [corrected_values(scan, key, box, [*regions, others]) for key in ("ktrans", "rcbv")]


def _reference(scan, box, mask):
    if not mask.any():
        return None
    values = scan.mirrored_values("rcbv", box, mask)
    values = values[values > 0]
    # vessels are no reference tissue
    values = values[values <= 3.0 * np.median(values)] if values.size else values
    return float(values.mean()) if values.size >= 10 else None


def _places(scan, box, mask, borders, ratio, ktrans, rules):
    """Logarithms of both values over their splits and their standard errors, each of shape (voxels,).

    Values are averaged over a small neighbourhood inside the mask, but never over a border: noise would otherwise
    push voxels over the splits twice, once by itself and once by the membership that allows for it.
    """
    settings = rules["habitats"]
    splits = {"ktrans": settings["ktrans_split_per_min"], "rcbv": settings["volume_split"]}
    sigma = [settings["smooth_mm"] / spacing for spacing in scan.geometry.spacing_kji_mm]
    kernel_ml = (2.0 * np.sqrt(np.pi) * settings["smooth_mm"]) ** 3 / 1000.0
    parts = [
        part for part in (*(mask & b for b in borders), mask & ~np.logical_or.reduce(borders)) if part.any()
    ]
    weights = [ndimage.gaussian_filter(part.astype(np.float32), sigma, mode="constant") for part in parts]
    weight = sum(np.where(part, w, 0.0) for part, w in zip(parts, weights, strict=True))[mask]
    logs, errors = [], []
    for key, values in (("ktrans", ktrans), ("rcbv", ratio)):
        # far below the split it no longer matters how far
        place = np.log(np.maximum(np.where(mask, values, 1.0) / splits[key], 0.05))
        total = np.zeros(mask.shape)
        for part in parts:
            total[part] = ndimage.gaussian_filter(np.where(part, place, 0.0), sigma, mode="constant")[part]
        logs.append(total[mask] / weight)
        native_ml = max(scan.native_voxel_ml(key), scan.geometry.voxel_ml)
        averaged = np.maximum(weight * kernel_ml / native_ml, 1.0)
        relative = _voxel_errors(scan, key, box, mask, settings["voxel_wcv"]) / np.sqrt(averaged)
        errors.append(np.maximum(log_sd(relative), settings["min_log_sd"]))
    return logs[0], logs[1], errors[0], errors[1]


def _voxel_errors(scan, key, box, mask, default):
    relative = np.full(int(mask.sum()), default)
    if f"{key}_se" in scan.maps:
        values = np.maximum(np.abs(scan.maps[key][box][mask]), 1e-6)
        own = scan.maps[f"{key}_se"][box][mask] / values
        relative = np.where(np.isfinite(own) & (own >= 0), np.minimum(own, 10.0), relative)
    return relative


def memberships(log_k, log_v, error_k, error_v):
    """Share of each habitat in each voxel.

    Parameters
    ----------
    log_k, log_v : ndarray, shape (..., voxels)
        Logarithm of permeability and blood volume over their splits.
    error_k, error_v : ndarray, shape (voxels,)
        Their standard errors.

    Returns
    -------
    ndarray, shape (4, ..., voxels)
        In the order of :data:`HABITATS`; sums to 1 over the first axis.
    """
    leaky, high = ndtr(log_k / error_k), ndtr(log_v / error_v)
    return np.stack([leaky * high, (1 - leaky) * high, leaky * (1 - high), (1 - leaky) * (1 - high)])


def _paint(labels, members, box, mask, shares):
    labels[box][mask] = 1 + np.argmax(shares, axis=0)
    for key, share in zip(HABITATS, shares, strict=True):
        members[key][box][mask] = share


def _volumes(places, mask, scan, name, part, rules):
    settings = rules["habitats"]
    voxel_ml = scan.geometry.voxel_ml
    sums = _draw_sums(places, mask, scan, name, part, rules)
    shares = sums / sums.sum(axis=1, keepdims=True)
    centre = memberships(*places).sum(axis=1)
    low, high = np.percentile(sums, [2.5, 97.5], axis=0)
    big = shares >= settings["mixed_share"]
    pairs = float((big.sum(axis=1) >= 2).mean())
    volumes = [
        {
            "habitat": key,
            "name": settings["names"][key],
            "caution": settings["cautions"][key],
            "volume_ml": float(centre[n] * voxel_ml),
            "low_ml": float(low[n] * voxel_ml),
            "high_ml": float(high[n] * voxel_ml),
            "share": float(centre[n] / centre.sum()),
        }
        for n, key in enumerate(HABITATS)
    ]
    mixed = pairs >= settings["mixed_draws"]
    return {
        "volume_ml": float(mask.sum() * voxel_ml),
        "habitats": volumes,
        "mixed_stability": pairs,
        "spatially_mixed": bool(mixed),
    }


def _draw_sums(places, mask, scan, name, part, rules):
    """Habitat sums (voxels) of every draw: blocks resampled, references shifted; shape (draws, 4)."""
    settings = rules["habitats"]
    seed, draws = rules["monte_carlo"]["seed"], settings["draws"]
    # the spread over draws comes from blocks and references: some thousand voxels tell it
    thin = slice(None, None, 1 + len(places[0]) // settings["draw_voxels"])
    log_k, log_v, error_k, error_v = (np.asarray(place, np.float32)[thin] for place in places)
    shift_k, shift_v = (shift.astype(np.float32) for shift in _shifts(rules, name, draws, seed))
    blocks = blocks_of(mask, settings["block_mm"], scan.geometry.spacing_kji_mm)
    n_blocks, n_voxels, blocks = blocks.max() + 1, blocks.size, blocks[thin]
    picks = stream(seed, "habitat blocks", name, part)
    counts = picks.multinomial(n_blocks, np.full(n_blocks, 1.0 / n_blocks), draws)
    sums = np.zeros((draws, len(HABITATS)))
    for draw in range(draws):
        weight = counts[draw][blocks].astype(np.float32)
        leaky = ndtr((log_k + shift_k[draw]) / error_k)
        high = ndtr((log_v + shift_v[draw]) / error_v)
        both, any_leaky, any_high = (leaky * high) @ weight, leaky @ weight, high @ weight
        total = weight.sum()
        sums[draw] = both, any_high - both, any_leaky - both, total - any_leaky - any_high + both
        sums[draw] *= n_voxels / max(total, 1)
    return sums


def _shifts(rules, name, draws, seed):
    """Repeatability of Ktrans and blood volume as shifts of their logarithms, shape (draws,) each.

    One part belongs to the arterial input and the blood volume reference of the scan, the other to the lesion.
    """
    part = rules["monte_carlo"]["shared_variance"]
    spreads = {spec["id"]: spec for spec in rules["inputs"]}
    for key in ("ktrans", "rcbv"):
        shared = stream(seed, "shared", spreads[key]["shared"]).standard_normal(draws)
        own = stream(seed, "own", key, name).standard_normal(draws)
        yield log_sd(spreads[key]["rel_sd"]) * (np.sqrt(part) * shared + np.sqrt(1.0 - part) * own)


def _compartments(scan, masks, ktrans, ratio, references):
    rows = []
    for key in REGIONS:
        mask = masks[key]
        rows.append(
            {
                "compartment": key,
                "volume_ml": float(mask.sum() * scan.geometry.voxel_ml),
                "ktrans_per_min": _median(ktrans[mask]),
                "volume_ratio": _median(ratio[mask]),
                "mirror_rcbv": references[key],
            }
        )
    return rows


def _median(values):
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size >= 10 else None


def _front_z(scan, box, front):
    """Distance of the front's mean from the mirrored shell's, in standard deviations of that shell."""
    found = {}
    for key in ("ktrans", "rcbv"):
        own = scan.maps[key][box][front]
        own = own[np.isfinite(own)]
        other = scan.mirrored_values(key, box, front)
        ready = own.size >= 10 and other.size >= 10 and other.std() > 0
        found[f"{key}_z"] = float((own.mean() - other.mean()) / other.std()) if ready else None
    return found
