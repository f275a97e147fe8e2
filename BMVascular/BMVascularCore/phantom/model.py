"""The head at one time point: shares of tissue on a fine grid, lesions as parts in their own boxes."""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from BMVascularCore.phantom.shapes import block_mean, box_around, star_shape, voxel_points
from BMVascularCore.phantom.tissue import lesion_tissue

PARTS = ("high", "low", "core", "haemorrhage", "oedema")


@dataclass
class Part:
    """One part of one lesion: its share of each voxel in a box of the fine grid."""

    lesion: int
    name: str
    tissue: object
    box: tuple
    share: np.ndarray


@dataclass
class HeadModel:
    """All tissue of one time point.

    Attributes
    ----------
    geometry : Geometry
        Fine grid in scanner coordinates: that of the T1c.
    pose : SimpleITK.Transform
        Head to scanner coordinates, LPS mm.
    shares : dict of str to ndarray
        Normal tissue.
    parts : list of Part
        Lesion tissue; with ``shares`` it sums to 1 inside the head.
    shapes : dict of int to StarShape
        Lesion number to its shape in head coordinates.
    states : dict of int to LesionState
    late, surface_mm : ndarray
        How late the bolus arrives (0..1), distance to the skin.
    """

    geometry: object
    pose: object
    shares: dict
    late: np.ndarray
    surface_mm: np.ndarray
    parts: list = field(default_factory=list)
    shapes: dict = field(default_factory=dict)
    states: dict = field(default_factory=dict)

    def lesion_centre(self, number):
        """Centre of a lesion in scanner coordinates, LPS mm."""
        return np.array(self.pose.TransformPoint(self.shapes[number].centre_mm.tolist()))


def place_lesions(cases, model, individual, rng):
    """Find a grey-white junction for every lesion, apart from skull, ventricles and other lesions.

    Parameters
    ----------
    cases : sequence of LesionCase
    model : HeadModel
        Of the first time point, without lesions.
    individual : Individual
    rng : numpy.random.Generator

    Returns
    -------
    list of ndarray, shape (3,)
        Centres in head coordinates, LPS mm.
    """
    step = max(1, round(3.0 / model.geometry.spacing_mm[0]))
    grid = np.stack(
        np.meshgrid(*[np.arange(0, n, step) for n in model.geometry.shape], indexing="ij"), axis=-1
    )
    coarse = {name: model.shares[name][::step, ::step, ::step] for name in ("gm", "wm")}
    brain = ndimage.gaussian_filter(coarse["gm"] + coarse["wm"], 1.0)
    junction = np.abs(ndimage.gaussian_filter(coarse["wm"], 0.6) - 0.55)
    candidates = np.flatnonzero((brain > 0.85).ravel())
    points = model.geometry.points_of(grid.reshape(-1, 3)[candidates])
    inverse = model.pose.GetInverse()
    head = np.array([inverse.TransformPoint(p.tolist()) for p in points])
    atlas = individual.to_atlas(head)
    room = ndimage.distance_transform_edt(brain > 0.75).ravel()[candidates] * 3.0
    centres, radii = [], []
    for case in cases:
        radius = max(state.diameter_mm for state in case.states if state) / 2.0
        wanted = np.asarray(case.place_ras_mm) + rng.uniform(-3, 3, 3)
        cost = np.linalg.norm(atlas - wanted, axis=1) + 25.0 * junction.ravel()[candidates]
        cost += 4.0 * np.maximum(radius * 0.9 + 1.0 - room, 0.0)
        for other, other_radius in zip(centres, radii, strict=True):
            cost += 50.0 * (np.linalg.norm(head - other, axis=1) < radius + other_radius + 8.0)
        centres.append(head[int(np.argmin(cost))])
        radii.append(radius)
    return centres


def add_lesions(model, cases, centres, timepoint, seed):
    """Put the lesions of one time point into a head model (which then holds their parts).

    The shape of a lesion has the same ripples at every time point; only its size changes.
    """
    for number, (case, centre) in enumerate(zip(cases, centres, strict=True), start=1):
        state = case.states[timepoint]
        if state is None:
            continue
        rng = np.random.default_rng([seed, number, 77])
        model.states[number] = state
        model.shapes[number] = star_shape(centre, state.diameter_mm, state.irregularity, rng)
        _add_lesion(model, number, state, rng)


def _add_lesion(model, number, state, rng):
    shape = model.shapes[number]
    reach = shape.reach_mm + 1.55 * state.oedema_mm + 2.0
    box = box_around(model.geometry, model.lesion_centre(number), reach)
    inner = box_around(model.geometry, model.lesion_centre(number), shape.reach_mm + 1.0)
    shares = dict.fromkeys(PARTS, None)
    shares.update(_solid_shares(model, shape, state, inner, rng))
    body = sum(share for share in shares.values() if share is not None)
    for share in model.shares.values():
        share[inner] *= 1.0 - body
    for name in PARTS[:-1]:
        if shares[name] is not None:
            model.parts.append(Part(number, name, lesion_tissue(name, state), inner, shares[name]))
    if state.oedema_mm > 0:
        oedema = _oedema_share(model, shape, state, box, rng)
        model.parts.append(Part(number, "oedema", lesion_tissue("oedema", state), box, oedema))


def _solid_shares(model, shape, state, box, rng):
    """Shares of the enhancing ends, core and blood pool, from samples inside each voxel."""
    voxel = model.geometry.spacing_mm[0]
    factor = 3 if state.diameter_mm / voxel > 9 else 6
    points = _to_head(model.pose, voxel_points(model.geometry, box, factor))
    distance, radius = shape.level(points)
    inside = distance < radius
    core = inside & (distance < state.core * radius)
    blood = np.zeros_like(inside)
    if state.haemorrhage:
        offset = rng.standard_normal(3)
        centre = shape.centre_mm + 0.3 * radius.mean() * offset / np.linalg.norm(offset)
        blood = inside & (
            np.linalg.norm(points - centre.astype(np.float32), axis=-1) < state.haemorrhage * radius
        )
        core &= ~blood
    enhancing = block_mean(inside & ~core & ~blood, (factor,) * 3)
    high = _texture(points[factor // 2 :: factor, factor // 2 :: factor, factor // 2 :: factor], rng)
    shares = {"high": enhancing * high, "low": enhancing * (1.0 - high)}
    if state.core:
        shares["core"] = block_mean(core, (factor,) * 3)
    if state.haemorrhage:
        shares["haemorrhage"] = block_mean(blood, (factor,) * 3)
    return shares


def _texture(points, rng):
    """Smooth random pattern, 0..1 with mean about a half, waves of 9 to 16 mm."""
    pattern = np.zeros(points.shape[:-1], np.float32)
    for _ in range(4):
        wave = rng.standard_normal(3)
        wave *= 2 * np.pi / rng.uniform(9.0, 16.0) / np.linalg.norm(wave)
        pattern += np.sin(points @ wave.astype(np.float32) + np.float32(rng.uniform(0, 2 * np.pi)))
    return np.clip(0.5 + 0.25 * pattern, 0.0, 1.0)


def _oedema_share(model, shape, state, box, rng):
    """Oedema spreads through white matter and hardly into cortex; taken from the brain's shares."""
    points = _to_head(model.pose, voxel_points(model.geometry, box, 1))
    distance, radius = shape.level(points)
    reach = state.oedema_mm * (0.7 + 0.6 * _texture(points * 0.7, rng))
    soft = max(0.4 * state.oedema_mm, model.geometry.spacing_mm[0])
    ramp = np.clip(0.5 + (reach - (distance - radius)) / soft, 0.0, 1.0)
    # the falx keeps it on its side
    side = np.clip(points[..., 0] * np.sign(shape.centre_mm[0]) / 2.0, 0.0, 1.0)
    spread = ramp * ramp * (3.0 - 2.0 * ramp) * side
    wm = spread * model.shares["wm"][box]
    gm = spread * 0.25 * model.shares["gm"][box] * np.clip(spread * 2 - 1, 0, 1)
    model.shares["wm"][box] -= wm
    model.shares["gm"][box] -= gm
    return wm + gm


def _to_head(pose, points):
    """Head coordinates of scanner points, shape (..., 3), float32."""
    inverse = pose.GetInverse()
    matrix = np.reshape(inverse.GetMatrix(), (3, 3))
    shift = np.array(inverse.TransformPoint((0.0, 0.0, 0.0)))
    return (points @ matrix.T.astype(np.float32) + shift.astype(np.float32)).astype(np.float32)
