"""GTV, CTV and PTV of every lesion on a grid fine enough for a lesion of 3 mm."""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError
from BMVascularCore.planning.barriers import join_barriers
from BMVascularCore.planning.field import (
    box_around,
    crop_geometry,
    matched_level,
    smooth_mask,
    soft_fraction,
)
from BMVascularCore.planning.margins import Margin, enclosed_ml, grow
from BMVascularCore.planning.roi_names import colour_of
from BMVascularCore.planning.rules import planning_rules
from BMVascularCore.planning.segmentation_file import Segment
from BMVascularCore.progress import silent
from BMVascularCore.volume import Geometry, Volume, require_same_grid, resample

KINDS = ("GTV", "CTV", "PTV")
_MOST_VOXELS = 120e6


@dataclass
class Target:
    """One lesion's volumes.

    Attributes
    ----------
    name : str
        The lesion's name.
    number : int
        Label value; structures are called ``GTV_01`` and so on after it.
    masks : dict
        GTV, CTV, PTV to a boolean :class:`Volume` on a box of the fine grid.
    ml : dict
        GTV, CTV, PTV to volume in mL, from the sub-voxel surface.
    margins : dict
        CTV, PTV to :class:`Margin`.
    centre_lps_mm : ndarray
    near_barrier : bool
        True where a barrier lies in the room around the lesion.
    """

    name: str
    number: int
    masks: dict
    ml: dict
    margins: dict
    centre_lps_mm: np.ndarray
    warnings: list = field(default_factory=list)
    near_barrier: bool = False

    def structure_name(self, kind):
        """``GTV_01``: short, ASCII, unique."""
        return f"{kind}_{self.number:02d}"

    @property
    def diameter_mm(self):
        """Diameter of the sphere of the GTV's volume."""
        return float(np.cbrt(6000.0 * self.ml["GTV"] / np.pi))


@dataclass
class TargetSet:
    """Targets of a plan on one common fine grid.

    Attributes
    ----------
    targets : list of Target
    geometry : Geometry
        The fine grid that all masks are boxes of.
    warnings : list of str
    method : str
        How the volumes were made, for tables and reports.
    """

    targets: list
    geometry: Geometry
    warnings: list
    method: str

    def rows(self):
        """One dictionary a lesion, for ``targets.csv``."""
        return [_row(target) for target in self.targets]

    def segments(self):
        """Segments for :func:`segmentation_file.write_segmentation`, GTVs first."""
        return [
            _segment(target, kind, n, self.geometry)
            for kind in KINDS
            for n, target in enumerate(self.targets)
        ]


def make_targets(
    labels,
    names,
    ctv_mm,
    ptv_mm,
    barriers=None,
    transform=None,
    reference=None,
    progress=silent,
    shares=None,
):
    """GTV, CTV and PTV of every label.

    The GTV surface encloses exactly the volume of the label's voxels. CTV and PTV are grown from the
    surface, not from voxel centres. Barriers cut CTV and PTV, also what lies behind them; they never
    cut a GTV.

    Parameters
    ----------
    labels : Volume
        Whole numbers, 0 is background.
    names : dict or list
        Label value to lesion name, or names in the order of the label values.
    ctv_mm, ptv_mm : float, Margin, or dict
        Margin from GTV to CTV and from CTV to PTV in mm; a dictionary gives one for every lesion name.
    barriers : Volume or list of Volume and Structure, optional
        Where a target may not grow; in the frame of the targets. See :mod:`BMVascularCore.planning.barriers`.
    transform : SimpleITK.Transform, optional
        Maps points of the reference (planning CT) to points of the labels.
    reference : Geometry, optional
        Grid of the planning CT; the labels' own grid by default.
    progress : callable
    shares : Volume, optional
        Share of every voxel that lies inside a lesion, 0..1, on the grid of the labels: the GTV then
        encloses the shares instead of whole voxels, which miss a lesion of 5 mm by up to a tenth and more.

    Returns
    -------
    TargetSet

    Raises
    ------
    InputError
        No label, margins that are negative or missing for a lesion, two lesions of one name, shares on another
        grid or outside 0 to 1.
    """
    values = [int(v) for v in np.unique(labels.array) if v > 0]
    if not values:
        raise InputError(
            "holds no lesion", labels.name, "Give a label image with one number for each lesion."
        )
    names = lesion_names(names, values)
    margins = {v: {"CTV": _margin(ctv_mm, names[v]), "PTV": _margin(ptv_mm, names[v])} for v in values}
    fields = {v: smooth_mask(part, labels.geometry) for v, part in lesion_parts(labels, values, shares)}
    boxes = {v: _box_mm(fields[v], margins[v], transform) for v in values}
    geometry = _fine_grid(reference or labels.geometry, boxes.values())
    warnings, targets = [], []
    for n, value in enumerate(values):
        progress(n / len(values), f"target {names[value]}")
        target = _make_one(
            names[value], value, fields[value], margins[value], boxes[value], geometry, transform, barriers
        )
        targets.append(target)
        warnings += target.warnings
    given = isinstance(barriers, Volume) or bool(barriers)
    if given and not any(target.near_barrier for target in targets):
        warnings.append("no barrier lies within the reach of a margin: check that it lies in the same space")
    drawn = "label" if shares is None else "shares of voxels"
    method = (
        f"GTV surface: smoothed {drawn} at the level of equal volume; margins from the surface on a grid of "
        f"{'x'.join(f'{s:.3g}' for s in geometry.spacing_mm)} mm; barriers cut CTV and PTV"
    )
    return TargetSet(targets, geometry, warnings, method)


def lesion_parts(labels, values, shares):
    """Each label with what belongs to it: its voxels, or the shares of its own and of unlabelled voxels nearest to it.

    Parameters
    ----------
    labels : Volume
    values : list of int
    shares : Volume or None

    Yields
    ------
    (int, ndarray)
        The label, and a boolean or float32 array on the grid of the labels.

    Raises
    ------
    InputError
        Shares on another grid, outside 0 to 1, or without one of the labels.
    """
    if shares is None:
        yield from ((v, labels.array == v) for v in values)
        return
    require_same_grid(shares.geometry, labels.geometry, shares.name, labels.name)
    array = np.asarray(shares.array, np.float32)
    if not np.isfinite(array).all() or array.min() < -1e-3 or array.max() > 1 + 1e-3:
        raise InputError("holds values outside 0 to 1", shares.name, "Give the shares of voxels.")
    empty = [v for v in values if not (array * (labels.array == v)).any()]
    if empty:
        raise InputError(
            f"holds nothing of label {empty[0]}", shares.name, "Give the shares of these labels."
        )
    start, shape = box_around((labels.array > 0) | (array > 0))
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    inner = labels.array[box]
    nearest = ndimage.distance_transform_edt(
        inner == 0, labels.geometry.spacing_kji_mm, return_distances=False, return_indices=True
    )
    owner = np.zeros(labels.array.shape, labels.array.dtype)
    owner[box] = inner[tuple(nearest)]
    yield from ((v, np.where(owner == v, array, np.float32(0.0))) for v in values)


def lesion_names(names, values):
    """Label value to lesion name, from names by label value or in the order of the labels.

    Raises
    ------
    InputError
        Two lesions of one name.
    """
    if isinstance(names, dict):
        named = {v: str(names.get(v) or f"lesion_{v:02d}") for v in values}
    else:
        given = list(names or [])
        named = {v: str(given[n]) if n < len(given) else f"lesion_{v:02d}" for n, v in enumerate(values)}
    double = {name for name in named.values() if list(named.values()).count(name) > 1}
    if double:
        raise InputError("two lesions have this name", sorted(double)[0], "Give every lesion its own name.")
    return named


def _margin(given, name):
    if isinstance(given, dict):
        if name not in given:
            raise InputError("has no margin", name, "Add a row for it to the table of margins.")
        given = given[name]
    return Margin.of(given)


def _box_mm(field, margins, transform):
    """Corners (8, 3) in LPS mm, in the frame of the reference, of the room a lesion's PTV can need."""
    geometry = field.volume.geometry
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in geometry.shape], indexing="ij")).reshape(3, -1).T
    points = geometry.points_of(corners)
    if transform is not None:
        inverse = transform.GetInverse()
        points = np.array([inverse.TransformPoint(point.tolist()) for point in points])
    room = margins["CTV"].largest_mm + margins["PTV"].largest_mm + 1.0
    low, high = points.min(axis=0) - room, points.max(axis=0) + room
    return np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T


def _fine_grid(reference, boxes):
    """The reference's axes, divided to at most half a millimetre, around all lesions."""
    wanted = planning_rules()["grid_mm"]
    index = reference.index_of(np.concatenate(list(boxes)))
    first, last = np.floor(index.min(axis=0)).astype(int), np.ceil(index.max(axis=0)).astype(int)
    spacing = np.asarray(reference.spacing_kji_mm)
    while True:
        factor = np.maximum(1, np.ceil(spacing / wanted - 1e-6)).astype(int)
        shape = (last - first + 1) * factor
        if np.prod(shape.astype(float)) <= _MOST_VOXELS or (factor == 1).all():
            break
        wanted *= 1.25
    start = crop_geometry(reference, first + 0.5 / factor - 0.5, shape)
    fine = tuple((spacing / factor)[::-1].tolist())
    return Geometry(start.shape, fine, start.origin_mm, start.direction)


def _make_one(name, number, field, margins, box, geometry, transform, barriers):
    index = geometry.index_of(box)
    first = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    last = np.minimum(np.ceil(index.max(axis=0)).astype(int), np.asarray(geometry.shape) - 1)
    local = crop_geometry(geometry, first, last - first + 1)
    smooth = resample(field.volume, local, transform, "linear", 0.0).array
    voxel_mm3 = local.voxel_ml * 1000.0
    level = matched_level(
        lambda value: float(soft_fraction(smooth, value).sum()) * voxel_mm3,
        field.volume_mm3,
        smooth.max(),
        18,
    )
    gtv = level - smooth
    blocked = _blocked(barriers, local)
    warnings = []
    if blocked is not None and (blocked & (gtv <= 0)).any():
        warnings.append(f"{name}: the GTV reaches into a barrier; it is not cut, CTV and PTV are")
    ml, masks = {"GTV": field.volume_mm3 / 1000.0}, {}
    masks["GTV"] = _filled(gtv, ml["GTV"], local.voxel_ml)
    values, before = gtv, "GTV"
    for kind in ("CTV", "PTV"):
        if margins[kind].largest_mm == 0.0:
            ml[kind], masks[kind] = ml[before], masks[before]
        else:
            grown = grow(values, local, margins[kind])
            values = _cut(grown, blocked, gtv)
            ml[kind] = max(enclosed_ml(values, local), ml[before])
            # at a barrier no voxel more than lies inside
            filled = values <= 0 if values is not grown else _filled(values, ml[kind], local.voxel_ml)
            masks[kind] = filled | masks[before]
        before = kind
    centre = local.points_of(np.argwhere(masks["GTV"]).mean(axis=0))
    target = Target(
        name, number, {k: Volume(m, local, name) for k, m in masks.items()}, ml, margins, centre, warnings,
        blocked is not None and bool(blocked.any()),
    )  # fmt: skip
    smallest = planning_rules()["smallest_lesion_mm"]
    if target.diameter_mm < smallest:
        warnings.append(
            f"{name}: diameter {target.diameter_mm:.1f} mm is below {smallest:g} mm; check the volumes"
        )
    return target


def _filled(values, ml, voxel_ml):
    """The innermost voxels that make up a volume: what is drawn from the mask keeps the volume of the surface."""
    count = int(np.clip(round(ml / voxel_ml), 1, values.size))
    mask = np.zeros(values.shape, bool)
    mask.flat[np.argpartition(values, count - 1, axis=None)[:count]] = True
    return mask


def _blocked(barriers, local):
    if not isinstance(barriers, Volume) and not barriers:
        return None
    parts = [barriers] if isinstance(barriers, Volume) else list(barriers)
    return join_barriers(parts, local).array


def _cut(values, blocked, gtv):
    """Take out barriers and what is no longer connected with the GTV behind them."""
    if blocked is None or not blocked.any():
        return values
    step = np.abs(values).max()
    open_part = (values <= 0) & ~blocked
    islands, _ = ndimage.label(open_part | (gtv <= 0))
    touching = np.unique(islands[gtv <= 0])
    reachable = np.isin(islands, touching[touching > 0])
    return np.where((values <= 0) & ~reachable, step, np.where(blocked & (gtv > 0), step, values))


def _row(target):
    row = {"name": target.name, "label": target.number}
    row |= {f"{kind.lower()}_ml": target.ml[kind] for kind in KINDS}
    row |= {f"{kind.lower()}_margin_mm": str(target.margins[kind]) for kind in ("CTV", "PTV")}
    row["equivalent_diameter_mm"] = target.diameter_mm
    row |= dict(
        zip(("centre_r_mm", "centre_a_mm", "centre_s_mm"), target.centre_lps_mm * (-1, -1, 1), strict=True)
    )
    row |= {kind.lower(): target.structure_name(kind) for kind in KINDS}
    row["note"] = "; ".join(target.warnings)
    return row


def _segment(target, kind, n, geometry):
    volume = target.masks[kind]
    start = np.rint(geometry.index_of(volume.geometry.origin_mm)).astype(int)
    return Segment(
        target.structure_name(kind),
        volume.array,
        tuple(int(a) for a in start),
        colour_of(kind, n),
        kind,
        {"BMVascular.Lesion": target.name, "BMVascular.Note": "research use only"},
    )
