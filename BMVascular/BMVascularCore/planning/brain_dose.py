"""Volume of the brain at or above a dose, with and without the targets."""

import numpy as np
from scipy.spatial import cKDTree

from BMVascularCore.planning.isodose import cut_voxels, slope_of_blocks

_STEP_MM = 0.4
_MOST_POINTS = 3_000_000
_SURFACE_POINTS = 400


def brain_dose_volumes(brain, field, levels_gy):
    """Volumes of the brain at dose levels.

    Voxels of the dose grid that an isodose or the surface of the brain may cut are divided to 0.4 mm; every
    part counts where its middle lies in the brain, at the isodose in part.

    Parameters
    ----------
    brain : Membership
    field : DoseField
    levels_gy : sequence of float

    Returns
    -------
    dict
        Level in Gy to mL.
    """
    volumes = dict.fromkeys(levels_gy, 0.0)
    voxels = np.argwhere(field.high >= min(levels_gy))
    if len(voxels) == 0:
        return volumes
    geometry = field.geometry
    clearance = brain.clearance_mm(geometry.points_of(voxels))
    near = max(0.5 * float(np.linalg.norm(geometry.spacing_mm)), brain.blur_mm)
    divided = cut_voxels(field, voxels, sorted(levels_gy)) | (np.abs(clearance) <= near)
    whole = field.array[tuple(voxels[~divided & (clearance < 0)].T)]
    for level in levels_gy:
        volumes[level] += float(np.count_nonzero(whole >= level)) * geometry.voxel_ml
    _add_parts(volumes, voxels[divided & (clearance < -near)], None, field)
    _add_parts(volumes, voxels[divided & (np.abs(clearance) <= near)], brain, field)
    return volumes


def _add_parts(volumes, voxels, brain, field):
    """Add what voxels hold by their parts; without a brain they lie in it whole."""
    spacing = np.asarray(field.geometry.spacing_kji_mm)
    factor = np.maximum(2, np.ceil(spacing / _STEP_MM - 1e-6)).astype(int)
    while len(voxels) * np.prod(factor) > _MOST_POINTS and (factor > 2).any():
        factor = np.maximum(2, factor - 1)
    ticks = [(np.arange(n) + 0.5) / n - 0.5 for n in factor]
    inner = np.stack(np.meshgrid(*ticks, indexing="ij"), -1).reshape(-1, 3)
    part_ml = field.geometry.voxel_ml / len(inner)
    chunk = max(1, 400_000 // len(inner))
    for first in range(0, len(voxels), chunk):
        index = (voxels[first : first + chunk, None] + inner).reshape(-1, 3)
        dose = field.at_index(index)
        slope = slope_of_blocks(dose.reshape(-1, *factor)).ravel()
        inside = slice(None) if brain is None else brain.inside(field.geometry.points_of(index))
        for level in volumes:
            share = np.clip(0.5 + (dose[inside] - level) / slope[inside], 0.0, 1.0)
            volumes[level] += float(share.sum()) * part_ml


class TargetsInBrain:
    """What targets take of the brain, each part of their union once.

    Parameters
    ----------
    targets : list of Samples
    brain : Membership
    field : DoseField
    """

    def __init__(self, targets, brain, field):
        self.targets = targets
        self._order = sorted(range(len(targets)), key=lambda n: -targets[n].volume_ml)
        self._dose = [np.nan_to_num(field.at(one.points_lps_mm), nan=0.0) for one in targets]
        self._own = [_in_brain(one, brain) for one in targets]
        low, high = (
            np.array([end(one.points_lps_mm, axis=0) for one in targets]) for end in (np.min, np.max)
        )
        self._shared = {}
        for place, n in enumerate(self._order):
            for larger in self._order[:place]:
                if (low[n] <= high[larger]).all() and (low[larger] <= high[n]).all():
                    self._shared[n, larger] = _points_within(targets[n], targets[larger])

    def hot_ml(self, level_gy, chosen):
        """Volume at or above a level inside the union of some targets, as far as it belongs to the brain, mL.

        Parameters
        ----------
        level_gy : float
        chosen : list of int
            Numbers of the targets.
        """
        total, taken = 0.0, []
        for n in (n for n in self._order if n in chosen):
            fresh = self._own[n] & (self._dose[n] >= level_gy)
            for larger in taken:
                if (n, larger) in self._shared:
                    fresh = fresh & ~self._shared[n, larger]
            total += float(self.targets[n].weights_mm3[fresh].sum()) / 1000.0
            taken.append(n)
        return total


def _in_brain(samples, brain):
    """Samples that lie in the brain; where its whole surface does, all of them do."""
    surface = samples.surface_lps_mm[:: max(1, len(samples.surface_lps_mm) // _SURFACE_POINTS)]
    asked = brain.inside(surface)
    if len(asked) and asked.all():
        return np.ones(len(samples.points_lps_mm), bool)
    return brain.inside(samples.points_lps_mm)


def _points_within(samples, larger):
    """Samples that lie in a larger target too: those with enough of its samples around them."""
    full = float(larger.weights_mm3.max())
    tree = cKDTree(larger.points_lps_mm[larger.weights_mm3 > 0.5 * full])
    reach = 1.5 * np.cbrt(full)
    around = 4.0 / 3.0 * np.pi * reach**3 / full
    found = tree.query_ball_point(samples.points_lps_mm, reach, return_length=True)
    # at a flat surface half of them are there; a little less, so that surfaces that coincide count once
    return found >= 0.44 * around
