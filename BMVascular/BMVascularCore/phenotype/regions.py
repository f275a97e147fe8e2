"""Compartments of a lesion by signed distance: core, rim, solid, front, distal oedema."""

import numpy as np

from BMVascularCore.phenotype.scan import CORE, HAEMORRHAGE, OEDEMA
from BMVascularCore.phenotype.shapes import crop_around, signed_distance_mm

#: Order of the compartment ids.
REGIONS = ("core", "rim", "solid", "front", "distal_oedema")


def regions_of(scan, number, settings):
    """Masks of one lesion's compartments inside a box around it.

    Parameters
    ----------
    scan : Scan
    number : int
        Label value.
    settings : dict
        ``habitats`` of the rule set (``rim_mm``, ``front_mm``).

    Returns
    -------
    box : tuple of slice
    masks : dict
        Region id to a boolean array of the box's shape. The front lies inside oedema where compartments
        are known, and outside every other lesion.
    """
    spacing = scan.geometry.spacing_kji_mm
    box = _box(scan, number, settings["front_mm"] + 2.0 * max(spacing))
    lesion = scan.labels[box] == number
    depth = signed_distance_mm(lesion, spacing)
    parts = None if scan.compartments is None else scan.compartments[box]
    core = lesion & (parts == CORE) if parts is not None else np.zeros(lesion.shape, bool)
    enhancing = lesion & ~core
    outside = (scan.labels[box] == 0) & (scan.owner[box] == number)
    oedema = outside & (parts == OEDEMA) if parts is not None else outside
    near = (depth > 0) & (depth <= settings["front_mm"])
    masks = {
        "core": core,
        "rim": enhancing & (depth > -settings["rim_mm"]),
        "solid": enhancing & (depth <= -settings["rim_mm"]),
        "front": oedema & near,
        "distal_oedema": oedema & (depth > settings["front_mm"])
        if parts is not None
        else np.zeros_like(core),
    }
    return box, masks


def _box(scan, number, pad_mm):
    outer, near = scan.near(number)
    reach = near & (scan.labels[outer] == number)
    if scan.compartments is not None:
        reach |= near & (scan.compartments[outer] == OEDEMA)
    inner = crop_around(reach, pad_mm, scan.geometry.spacing_kji_mm)
    return tuple(slice(a.start + b.start, a.start + b.stop) for a, b in zip(outer, inner, strict=True))


def excluded_voxels(scan, box, volume_ratio, settings, itss_ratio):
    """Voxels that no habitat may hold: large vessels and signal loss.

    Parameters
    ----------
    scan : Scan
    box : tuple of slice
    volume_ratio : ndarray
        Blood volume over the mirrored place, in the box.
    settings : dict
    itss_ratio : float
        Signal below this share of the surroundings is signal loss.

    Returns
    -------
    ndarray of bool
    """
    out = volume_ratio > settings["vessel_volume_ratio"]
    if scan.compartments is not None:
        out |= scan.compartments[box] == HAEMORRHAGE
    if "swi" in scan.maps:
        swi = scan.maps["swi"][box]
        normal = swi[np.isfinite(swi) & ~scan.abnormal[box]]
        if normal.size >= 20:
            out |= swi < itss_ratio * float(np.median(normal))
    return out


def blocks_of(mask, block_mm, spacing_kji_mm):
    """Index of the cube that each voxel of a mask lies in: neighbours vary together.

    Returns
    -------
    ndarray of int, shape (voxels,)
        Numbered from 0.
    """
    index = np.argwhere(mask) * spacing_kji_mm // block_mm
    return np.unique(index, axis=0, return_inverse=True)[1].ravel()
