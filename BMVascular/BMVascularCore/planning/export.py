"""Structures to contours of a planning series, ready for the structure set."""

from BMVascularCore.planning.contours import contours_volume_mm3, trace_mask
from BMVascularCore.planning.roi_names import check_names, check_type
from BMVascularCore.planning.rtstruct import NOTE, Roi
from BMVascularCore.progress import silent


def trace_structures(structures, series, transform=None, types=None, progress=None):
    """Trace every structure on the planes of a planning series.

    Parameters
    ----------
    structures : list of Structure
        With masks; empty ones are passed over.
    series : PlanningSeries
    transform : SimpleITK.Transform, optional
        Maps planning points to points of the masks, LPS mm.
    types : dict, optional
        Structure name to RT ROI interpreted type; the structure's own kind by default.
    progress : callable, optional

    Returns
    -------
    rois : list of Roi
    table : list of dict
        ``name``, ``type``, ``contours``, ``mask_ml``, ``contours_ml``.
    warnings : list of str

    Raises
    ------
    InputError
        A structure cannot be traced, or a type is unknown.
    """
    progress = progress or silent
    present = [structure for structure in structures if not structure.empty]
    clean, warnings = check_names([structure.name for structure in present])
    rois, table = [], []
    for number, (structure, name) in enumerate(zip(present, clean, strict=True)):
        progress(number / len(present), f"contours of {name}")
        kind = check_type((types or {}).get(structure.name, structure.kind), name)
        mask = structure.mask
        contours = trace_mask(mask.array, mask.geometry, series.geometry, transform, name)
        rois.append(Roi(name, kind, contours, structure.colour, description=structure.description or NOTE))
        table.append(
            {
                "name": name,
                "type": kind,
                "contours": len(contours),
                "mask_ml": float(mask.array.sum()) * mask.geometry.voxel_ml,
                "contours_ml": contours_volume_mm3(contours, series.geometry) / 1000.0,
            }
        )
    return rois, table, warnings
