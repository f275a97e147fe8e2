"""Habitats: what each voxel looks like by permeability and blood volume, with its doubt.

Fixed limits instead of clusters, so that two dates can be compared. Names describe images, not tissue.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import ndtr

from BMVascularCore.phenotype.regions import REGIONS, blocks_of, excluded_voxels, regions_of
from BMVascularCore.phenotype.stability import log_sd, stream

#: Habitat ids in the order of their label values 1..4.
HABITATS = ("leaky_high_volume", "preserved_high_volume", "leaky_low_volume", "low_perfusion")


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
    ratio = np.full(whole.shape, np.nan)
    for key, mask in masks.items():
        ratio[mask] = scan.maps["rcbv"][box][mask] / (references[key] or fallback)
    ktrans = scan.maps["ktrans"][box]
    usable = np.isfinite(ratio) & np.isfinite(ktrans)
    usable &= ~excluded_voxels(scan, box, ratio, settings, rules["extraction"]["itss_ratio"])
    parts = {"lesion": whole & usable, "front": masks["front"] & usable}
    if not parts["lesion"].any():
        return {"assessable": False, "reason": "no voxel of the lesion is covered by both maps"}
    result = {"assessable": True, "reason": "", "assessed_share": float(parts["lesion"].sum() / whole.sum())}
    for part, mask in parts.items():
        if mask.any():
            places = _places(scan, box, mask, ratio, ktrans, rules)
            _paint(labels, members, box, mask, memberships(*places))
            result[part] = _volumes(places, mask, scan, lesion.name, part, rules)
    result["compartments"] = _compartments(scan, box, masks, ratio, references)
    result["front_against_mirror"] = _front_z(scan, box, masks["front"] & usable)
    return result


def _reference(scan, box, mask):
    if not mask.any():
        return None
    values = scan.mirrored_values("rcbv", box, mask)
    values = values[values > 0]
    return float(values.mean()) if values.size >= 10 else None


def _places(scan, box, mask, ratio, ktrans, rules):
    """Logarithms of both values over their splits and their standard errors, each of shape (voxels,).

    Values are averaged over a small neighbourhood inside the mask: noise would otherwise push voxels over the
    splits twice, once by itself and once by the membership that allows for it.
    """
    settings = rules["habitats"]
    spreads = {spec["id"]: spec["rel_sd"] for spec in rules["inputs"]}
    splits = {"ktrans": settings["ktrans_split_per_min"], "rcbv": settings["volume_split"]}
    sigma = [settings["smooth_mm"] / spacing for spacing in scan.geometry.spacing_kji_mm]
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="constant")[mask]
    kernel_ml = (2.0 * np.sqrt(np.pi) * settings["smooth_mm"]) ** 3 / 1000.0
    logs, errors = [], []
    for key, values in (("ktrans", ktrans), ("rcbv", ratio)):
        # far below the split it no longer matters how far
        place = np.where(mask, np.log(np.maximum(np.where(mask, values, 1.0) / splits[key], 0.05)), 0.0)
        logs.append(ndimage.gaussian_filter(place, sigma, mode="constant")[mask] / weight)
        native_ml = max(scan.native_voxel_ml(key), scan.geometry.voxel_ml)
        averaged = np.maximum(weight * kernel_ml / native_ml, 1.0)
        relative = _voxel_errors(scan, key, box, mask, settings["voxel_wcv"]) / np.sqrt(averaged)
        errors.append(log_sd(np.hypot(relative, spreads[key])))
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
    shift_k, shift_v = (shift.astype(np.float32) for shift in _shared_shifts(rules, draws, seed))
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


def _shared_shifts(rules, draws, seed):
    # one shift of the arterial input and one of the blood volume reference for the whole scan
    part = np.sqrt(rules["monte_carlo"]["shared_variance"])
    spreads = {spec["id"]: spec for spec in rules["inputs"]}
    return (
        part
        * log_sd(spreads[key]["rel_sd"])
        * stream(seed, "shared", spreads[key]["shared"]).standard_normal(draws)
        for key in ("ktrans", "rcbv")
    )


def _compartments(scan, box, masks, ratio, references):
    rows = []
    for key in REGIONS:
        mask = masks[key]
        ktrans = scan.maps["ktrans"][box][mask]
        rows.append(
            {
                "compartment": key,
                "volume_ml": float(mask.sum() * scan.geometry.voxel_ml),
                "ktrans_per_min": _median(ktrans),
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
