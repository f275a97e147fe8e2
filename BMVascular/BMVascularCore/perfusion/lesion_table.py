"""Perfusion of every lesion: median, 95th percentile, usable fraction and standard errors of each map."""

import numpy as np

MIN_VOXELS = 5
# below this a 95th percentile is the maximum under another name
MIN_VOXELS_P95 = 20
COLUMNS = (
    "lesion",
    "map",
    "unit",
    "median",
    "se_median",
    "p95",
    "median_voxel_se",
    "usable_fraction",
    "usable_voxels",
    "voxels",
    "reason",
)


def lesion_rows(labels, names, maps, units, valid, errors=None):
    """One row for each lesion and map.

    Parameters
    ----------
    labels : ndarray of int, shape (k, j, i)
        On the voxels of the maps; 0 is background.
    names : dict of int to str
    maps, units : dict
        Name to ndarray (k, j, i) with NaN where not measurable; name to unit.
    valid : ndarray of bool, shape (k, j, i)
        Voxels that may count as tissue (no vessel, no susceptibility ...).
    errors : dict of str to ndarray, optional
        Standard error of single voxels, by map.

    Returns
    -------
    list of dict
        Keys of ``COLUMNS``. ``se_median`` is that of a median over independent voxels,
        ``1.2533 * 1.4826 * MAD / sqrt(n)``; neighbouring voxels share noise, so it is a lower limit.
        None where not measurable, with the ``reason``.
    """
    rows = []
    for label, name in names.items():
        where = labels == label
        for key, array in maps.items():
            error = (errors or {}).get(key)
            row = _measure(array[where], valid[where], None if error is None else error[where])
            rows.append({"lesion": name, "map": key, "unit": units.get(key, ""), **row})
    return rows


def _measure(values, valid, error):
    total = int(values.size)
    usable = valid & np.isfinite(values)
    inside = np.asarray(values[usable], float)
    n = len(inside)
    row = dict.fromkeys(COLUMNS[3:])
    row.update(voxels=total, usable_voxels=n, usable_fraction=n / total if total else None, reason="")
    if total == 0:
        row["reason"] = "outside the coverage of the series"
        return row
    if n < MIN_VOXELS:
        row["reason"] = f"{n} usable of {total} voxels; {MIN_VOXELS} are needed"
        return row
    row["median"] = float(np.median(inside))
    spread = 1.4826 * float(np.median(np.abs(inside - row["median"])))
    row["se_median"] = 1.2533 * spread / np.sqrt(n)
    if n >= MIN_VOXELS_P95:
        row["p95"] = float(np.percentile(inside, 95.0))
    else:
        row["reason"] = f"p95 needs {MIN_VOXELS_P95} usable voxels, there are {n}"
    if error is not None:
        own = error[usable]
        own = own[np.isfinite(own)]
        row["median_voxel_se"] = float(np.median(own)) if len(own) else None
    return row
