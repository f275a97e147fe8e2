"""Measures of each lesion: one row a lesion, units in the column names."""

import numpy as np
from scipy import ndimage

from BMVascularCore.lesions import location, rano, shapes
from BMVascularCore.lesions.anatomy import find_anatomy
from BMVascularCore.lesions.model import CORE, ENHANCING, HAEMORRHAGE, OEDEMA

# error of the whole boundary, see volume_se_ml
_BOUNDARY_MM = 0.12
# a lesion of fewer slices has no shape that could be told
_LEAST_EXTENT = 4
COLUMNS = (
    "name",
    "label",
    "volume_ml",
    "volume_se_ml",
    "longest_diameter_mm",
    "perpendicular_diameter_mm",
    "enhancing_ml",
    "core_ml",
    "oedema_ml",
    "haemorrhage_ml",
    "enhancing_fraction",
    "rim_thickness_mm",
    "rim_core_ratio",
    "contrast_enhancement_ratio",
    "oedema_width_median_mm",
    "oedema_width_max_mm",
    "oedema_tumour_ratio",
    "surface_irregularity",
    "sphericity",
    "max_diameter_3d_mm",
    "axial_slices",
    "centre_r_mm",
    "centre_a_mm",
    "centre_s_mm",
    "side",
    "distance_to_midline_mm",
    "depth_below_head_surface_mm",
    "distance_to_cortex_mm",
    "distance_to_ventricle_mm",
    "contrast_to_noise",
    "confidence",
    "notes",
)


def measure_lesions(
    labels, compartments, names=None, ready=None, oedema=None, lesions=None, progress=None, only=None
):
    """Rows of ``lesions.csv``.

    Parameters
    ----------
    labels : Volume
        Label = lesion, 0 background.
    compartments : Volume or None
        Codes of :mod:`BMVascularCore.lesions.model`; without it compartment cells stay empty.
    names : dict, optional
        Label to name.
    ready : Prepared, optional
        Images for the intensity measures.
    oedema : Volume, optional
        Lesion of each oedema voxel; without it oedema is counted for the nearest lesion.
    lesions : dict, optional
        Label to :class:`~BMVascularCore.lesions.model.Lesion`, for the sub-voxel boundary.
    progress : callable, optional
    only : list of int, optional
        Labels to measure, all of them by default.

    Returns
    -------
    list of dict
        Keys :data:`COLUMNS`; None where not measurable, with the reason in ``notes``.
    """
    boxes = _boxes(labels, lesions, only)
    found = sorted(boxes)
    place = None if ready is None else find_anatomy(ready, labels.array)
    spread = None if oedema is None else shapes.boxes_of(oedema.array)
    rows = []
    for number, label in enumerate(found):
        if progress is not None:
            progress(number / len(found), "measures")
        name = (names or {}).get(label, f"L{label}")
        lesion = (lesions or {}).get(label)
        mine = _oedema_of(labels, compartments, oedema, spread, label)
        rows.append(_row(labels, compartments, label, name, boxes[label], ready, mine, lesion, place))
    return rows


def _boxes(labels, lesions, only):
    """Bounding box of each wanted label; where the lesions are known, the image is not searched."""
    if only is None or any(label not in (lesions or {}) for label in only):
        boxes = dict(enumerate(shapes.boxes_of(labels.array), start=1))
        return {n: box for n, box in boxes.items() if box is not None and (only is None or n in only)}
    out = {}
    for label in only:
        window = lesions[label].window
        mask = labels.array[window] == label
        if mask.any():
            inner = shapes.bounding(mask)
            out[label] = tuple(
                slice(w.start + s.start, w.start + s.stop) for w, s in zip(window, inner, strict=True)
            )
    return out


def _row(labels, compartments, label, name, box, ready, oedema, lesion, place):
    row = dict.fromkeys(COLUMNS)
    notes = []
    row.update(name=name, label=label)
    window = _padded(box, labels.array.shape, 3)
    mask = labels.array[window] == label
    fraction = _fraction(lesion, window, mask, labels.array[window], label)
    area_mm2 = surface_area_mm2(fraction, labels.geometry.spacing_kji_mm)
    row.update(_size(mask, fraction, area_mm2, labels.geometry, notes))
    row.update(_shape(mask, fraction, area_mm2, labels.geometry, notes))
    row.update(_parts(mask, fraction, compartments, window, labels.geometry, notes))
    if oedema is not None:
        row.update(_oedema(labels, *oedema, label, box, row["volume_ml"], notes))
    if ready is not None:
        _without_images(row, ready, notes)
        row.update(_intensity(mask, compartments, window, ready, labels.geometry, notes))
    row.update(location.words(labels, mask, window, ready, notes, place))
    if lesion is not None:
        row["contrast_to_noise"] = lesion.contrast_to_noise
        row["confidence"] = lesion.confidence
        notes += lesion.reasons
    row["notes"] = "; ".join(notes)
    return row


def _without_images(row, ready, notes):
    """Empty the cells of compartments whose image was not there: not looked for is not zero."""
    if ready.flair is None:
        for key in ("oedema_ml", "oedema_tumour_ratio", "oedema_width_median_mm", "oedema_width_max_mm"):
            row[key] = None
        notes[:] = [text for text in notes if text != "no oedema found"]
        notes.append("oedema not measurable: no FLAIR")
    if ready.swi is None and ready.t1 is None:
        row["haemorrhage_ml"] = None
        notes.append("haemorrhage not measurable: no SWI and no T1")


def _padded(box, shape, pad):
    return tuple(slice(max(0, s.start - pad), min(n, s.stop + pad)) for s, n in zip(box, shape, strict=True))


def _fraction(lesion, window, mask, labels, label):
    """Share of each voxel in the lesion: from the sub-voxel boundary where there is one."""
    out = mask.astype(np.float32)
    if lesion is None:
        return out
    full = np.zeros(mask.shape, dtype=np.float32)
    for_window = []
    for s, w, c in zip(lesion.window, window, lesion.fraction.shape, strict=True):
        low, high = max(s.start, w.start), min(s.stop, w.stop)
        for_window.append(
            (slice(low - w.start, high - w.start), slice(low - s.start, low - s.start + high - low))
        )
        if high <= low or c == 0:
            return out
    full[tuple(a for a, _ in for_window)] = lesion.measured[tuple(b for _, b in for_window)]
    # voxels of a touching lesion belong to that one
    full[(labels > 0) & (labels != label)] = 0.0
    return full


def _size(mask, fraction, area_mm2, geometry, notes):
    volume = float(fraction.sum()) * geometry.voxel_ml
    long, short, plane_ok = rano.diameters(fraction, geometry)
    if not plane_ok:
        notes.append("no axial plane: diameters in the image's own slices")
    thick = max(geometry.spacing_mm)
    others = tuple(a for a in range(3) if a != rano.axial_axis(geometry))
    slices = int(mask.any(axis=others).sum())
    why = _not_measurable(long, short, slices, thick)
    if why:
        notes.append(f"not measurable by RANO-BM: {why}")
    return {
        "volume_ml": volume,
        "volume_se_ml": volume_se_ml(volume, area_mm2, geometry),
        "longest_diameter_mm": long,
        "perpendicular_diameter_mm": short,
        "axial_slices": slices,
    }


def _not_measurable(long_mm, short_mm, slices, thick_mm):
    """Why a lesion is no measurable one (Lin 2015): 10 mm by 5 mm, two slices, slices of at most 5 mm."""
    if thick_mm > 5.0:
        return f"slices {thick_mm:.1f} mm thick, sizes are rough"
    # rounded as a reader would: 9.96 mm is 10 mm
    if round(long_mm, 1) < 10.0 or round(short_mm, 1) < 5.0:
        return "below 10 mm x 5 mm"
    return "seen in one slice" if slices < 2 else ""


def volume_se_ml(volume_ml, area_mm2, geometry):
    """Standard error of a volume from the boundary and the slice thickness.

    A boundary that is wrong by d everywhere changes the volume by area x d. On simulated patients of
    0.7 to 2 mm d was 0.05 to 0.09 mm; 0.12 mm leaves room for real edges. Added in quadrature: the part
    of the voxel size that averages out over the boundary, and half a slice over the mean cross-section
    where slices are thicker than 1.5 mm, because their partial volume mostly adds.
    """
    if area_mm2 <= 0:
        return float("nan")
    voxel = float(np.cbrt(np.prod(geometry.spacing_mm)))
    patches = max(area_mm2 / voxel**2, 1.0)
    random_mm = voxel / np.sqrt(12.0) / np.sqrt(patches)
    thick = float(max(geometry.spacing_mm))
    cross_mm2 = (1000 * volume_ml) ** (2 / 3)
    ends_mm3 = cross_mm2 * thick / 2.0 * min(1.0, max(0.0, thick - 1.5) / 1.5)
    return float(np.sqrt((area_mm2 * np.hypot(_BOUNDARY_MM, random_mm)) ** 2 + ends_mm3**2) / 1000.0)


def surface_area_mm2(fraction, spacing_kji_mm):
    """Surface area as the integral of the gradient magnitude of the occupancy (coarea formula).

    The occupancy is smoothed by one voxel first; without that a staircase surface counts its steps. Smoothing by s
    shrinks the area in proportion to s squared, so that two widths tell the area without smoothing
    (Richardson's extrapolation).
    """
    spacing = np.asarray(spacing_kji_mm, dtype=float)
    # slices thicker than the pixels make higher steps; smoothing by more than 1.1 mm would cost the shape
    width = max(float(np.cbrt(np.prod(spacing))), min(1.1, 0.7 * float(spacing.max())))
    pad = [(int(np.ceil(6.0 * width / s)),) * 2 for s in spacing]
    field = ndimage.gaussian_filter(np.pad(fraction.astype(np.float64), pad), width / spacing)
    once = _integral_of_gradient(field, spacing)
    twice = _integral_of_gradient(ndimage.gaussian_filter(field, width / spacing), spacing)
    return 2.0 * once - twice


def _integral_of_gradient(field, spacing):
    gradient = np.sqrt(sum(g**2 for g in np.gradient(field, *spacing)))
    return float(gradient.sum() * np.prod(spacing))


def _shape(mask, fraction, area_mm2, geometry, notes):
    voxels = int(mask.sum())
    extent = min(s.stop - s.start for s in ndimage.find_objects(mask.astype(np.uint8))[0])
    if voxels < 60 or extent < _LEAST_EXTENT:
        few = "60 voxels" if voxels < 60 else f"{_LEAST_EXTENT} slices"
        notes.append(f"shape not measurable: fewer than {few}")
        return {"max_diameter_3d_mm": rano.longest_3d(mask, geometry)}
    volume_mm3 = float(fraction.sum()) * geometry.voxel_ml * 1000
    sphericity = min(1.0, float(np.pi ** (1 / 3) * (6 * volume_mm3) ** (2 / 3) / area_mm2))
    roughness = _roughness_mm(mask, geometry.spacing_kji_mm)
    return {
        "sphericity": sphericity,
        "surface_irregularity": float(min(1.0, (1 - sphericity) + roughness / 2.0)),
        "max_diameter_3d_mm": rano.longest_3d(mask, geometry),
    }


def _roughness_mm(mask, spacing):
    """Standard deviation of the distance between the boundary and the boundary smoothed over 2 mm."""
    field = np.pad(mask, 4)
    signed = shapes.distances_mm(field, spacing) - shapes.distances_mm(~field, spacing)
    smooth = ndimage.gaussian_filter(signed, [2.0 / s for s in spacing])
    edge = field & ~shapes.eroded(field)
    return float(np.std((smooth - signed)[edge]))


def _parts(mask, fraction, compartments, window, geometry, notes):
    if compartments is None:
        notes.append("compartments not given")
        return {}
    codes = compartments.array[window]
    voxel = geometry.voxel_ml
    core = float(fraction[mask & (codes == CORE)].sum()) * voxel
    blood = float(fraction[mask & (codes == HAEMORRHAGE)].sum()) * voxel
    total = float(fraction.sum()) * voxel
    # partial voxels of the boundary belong to the enhancing rim
    enhancing = max(0.0, total - core - blood)
    out = {
        "enhancing_ml": enhancing,
        "core_ml": core,
        "haemorrhage_ml": blood,
        "enhancing_fraction": enhancing / total if total > 0 else None,
    }
    inner = mask & ((codes == CORE) | (codes == HAEMORRHAGE))
    rim = mask & (codes == ENHANCING)
    if inner.sum() < 8:
        notes.append("rim not measurable: no core")
    elif rim.any():
        distance = ndimage.distance_transform_edt(~inner, sampling=geometry.spacing_kji_mm)
        edge = mask & ~shapes.eroded(mask)
        # from the outer voxel centre to the first core voxel centre: both half voxels cancel
        out["rim_thickness_mm"] = float(np.median(distance[edge]))
    return out


def _oedema_of(labels, compartments, oedema, spread, label):
    """Box of a lesion's oedema and the mask in it; None where there are no compartments."""
    if compartments is None:
        return None
    if oedema is not None:
        box = spread[label - 1] if label <= len(spread) else None
        box = box or tuple(slice(0, 0) for _ in labels.array.shape)
        return box, oedema.array[box] == label
    mine = compartments.array == OEDEMA
    if len(np.unique(labels.array)) > 2:
        nearest = ndimage.distance_transform_edt(
            labels.array == 0, labels.geometry.spacing_kji_mm, return_distances=False, return_indices=True
        )
        mine &= labels.array[tuple(nearest)] == label
    return tuple(slice(0, n) for n in mine.shape), mine


def _oedema(labels, box, mine, label, lesion_box, volume_ml, notes):
    oedema_ml = float(mine.sum()) * labels.geometry.voxel_ml
    out = {"oedema_ml": oedema_ml, "oedema_tumour_ratio": oedema_ml / volume_ml if volume_ml > 0 else None}
    if not mine.any():
        notes.append("no oedema found")
        return out
    both = tuple(
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(box, lesion_box, strict=True)
    )
    away = shapes.distances_mm(labels.array[both] == label, labels.geometry.spacing_kji_mm)
    values = away[tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, both, strict=True))]
    values = values[mine]
    out["oedema_width_median_mm"] = float(np.median(values))
    out["oedema_width_max_mm"] = float(values.max())
    return out


def _intensity(mask, compartments, window, ready, geometry, notes):
    out = {}
    image = ready.t1c.array[window]
    codes = compartments.array[window] if compartments is not None else np.where(mask, ENHANCING, 0)
    rim, core = mask & (codes == ENHANCING), mask & (codes == CORE)
    if rim.any() and core.sum() >= 8:
        out["rim_core_ratio"] = float(np.median(image[rim]) / max(np.median(image[core]), 1e-6))
    if ready.t1 is None:
        notes.append("contrast enhancement ratio not measurable: no T1")
    elif rim.any():
        before = ready.t1.array[window][rim]
        good = before > 0.05 * ready.level
        if good.any():
            out["contrast_enhancement_ratio"] = float(np.median(image[rim][good] / before[good]) - 1.0)
    return out
