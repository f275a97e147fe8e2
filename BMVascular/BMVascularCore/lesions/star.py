"""The closed surface around a point: for rings with gaps and lesions against bright neighbours.

Rays leave a centre in all directions. Along each one a place is chosen where bright turns into
darker tissue; neighbouring rays should choose alike (a linear cost), which carries the surface over
gaps of a rim and cuts what hangs on to it. The choice is made by min-sum belief propagation on the
sphere; then the centre moves to the middle of the found body, and again. Surfaces as graph problems:
Li et al. 2006, doi 10.1109/TPAMI.2006.19.
"""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from BMVascularCore.lesions import shapes

_RAYS, _NEIGHBOURS, _STEPS, _MESSAGES = 260, 6, 44, 14
# cost of one step in radius between neighbouring rays, in units of a full edge
_STIFFNESS = 0.22
# a rim of this thickness within this distance ahead costs one full edge
_RIM_MM, _AHEAD_MM = 2.0, 15.0
# voxels next to the border of an image where a surface shows nothing
_BORDER = 2


@lru_cache(maxsize=1)
def _sphere():
    """Even directions, their neighbours and the way back of each link."""
    rays = shapes.even_directions(_RAYS)
    links = cKDTree(rays).query(rays, _NEIGHBOURS + 1)[1][:, 1:]
    oneway = [(a, int(b)) for a, row in enumerate(links) for b in row]
    pairs = np.array(sorted({*oneway, *[(b, a) for a, b in oneway]}))
    place = {tuple(pair): n for n, pair in enumerate(pairs.tolist())}
    back = np.array([place[b, a] for a, b in pairs.tolist()])
    return rays, pairs[:, 0], pairs[:, 1], back


def closed_surface(image, centre, spacing_mm, background, least_drop, reach_mm):
    """Body inside the best closed surface around a point.

    Parameters
    ----------
    image : ndarray
        Smoothed T1c on the working grid.
    centre : array of 3 float
        Working-grid index to start from.
    spacing_mm, background : float
    least_drop : float
        Drop of intensity that counts as a full edge.
    reach_mm : float
        Largest radius.

    Returns
    -------
    mask : ndarray of bool
    """
    rays, source, target, back = _sphere()
    centre = np.asarray(centre, dtype=float)
    step_mm = reach_mm / _STEPS
    radii = np.arange(1, _STEPS + 1) * step_mm
    for _ in range(4):
        edge = _edges(image, centre, rays, radii, spacing_mm, background, least_drop)
        chosen = radii[_smooth_choice(-edge, source, target, back)]
        shift = (rays * chosen[:, None] ** 4).sum(0) * 0.75 / (chosen**3).sum()
        if np.linalg.norm(shift) < 0.5 * spacing_mm:
            break
        centre = np.clip(centre + shift / spacing_mm, 0, np.asarray(image.shape) - 1)
    else:
        edge = _edges(image, centre, rays, radii, spacing_mm, background, least_drop)
        chosen = radii[_smooth_choice(-edge, source, target, back)]
    return _inside(image.shape, centre, chosen, spacing_mm)


def _edges(image, centre, rays, radii, spacing_mm, background, least_drop):
    """How much each place on each ray looks like the outer edge of something bright, 0..1."""
    step = radii[0]
    width = max(1, round(1.2 / step))
    ahead_steps = int(np.ceil(_AHEAD_MM / step))
    places = np.arange(0, len(radii) + 2 * width + ahead_steps + 1) * step
    points = centre[:, None, None] + rays.T[:, :, None] * (places / spacing_mm)
    values = ndimage.map_coordinates(image, points, order=1, mode="nearest")
    total = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    at = np.arange(1, len(radii) + 1)
    first = np.maximum(0, at - width)
    inner = (total[:, at + 1] - total[:, first]) / (at + 1 - first)
    outer = (total[:, at + 2 * width] - total[:, at + width]) / width
    bright = np.clip((inner - background) / least_drop, 0, 1)
    edge = np.clip((inner - outer) / least_drop, -0.5, 1.0) * bright
    # a rim farther out means that this edge is one of the core, or of a speck in it
    shine = np.clip((values - background) / least_drop - 0.5, 0, 1)
    ahead = np.cumsum(shine[:, ::-1], axis=1)[:, ::-1]
    beyond = ahead[:, at + width] - ahead[:, at + width + ahead_steps]
    return edge - np.minimum(beyond * step / _RIM_MM, 1.0)


def _smooth_choice(cost, source, target, back):
    """Index of the radius on each ray that min-sum belief propagation settles on."""
    messages = np.zeros((len(source), cost.shape[1]), dtype=np.float32)
    cost = cost.astype(np.float32)
    ones = np.ones(len(source), dtype=np.float32)
    arrive = csr_matrix((ones, (target, np.arange(len(source)))), shape=(len(cost), len(source)))
    for _ in range(_MESSAGES):
        belief = cost + arrive @ messages
        outgoing = belief[source] - messages[back]
        messages = 0.5 * messages + 0.5 * _lower_envelope(outgoing)
    belief = cost + arrive @ messages
    return np.argmin(belief, axis=1)


def _lower_envelope(values):
    """Minimum over radii of value plus the cost of the jump (two passes along the radius), above the least."""
    # one row a radius: each pass is then over whole rows
    out = np.ascontiguousarray(values.T)
    np.minimum(out, out.min(axis=0) + np.float32(2.5), out=out)
    for one, two in pairwise((*range(len(out)), *range(len(out) - 2, -1, -1))):
        np.minimum(out[two], out[one] + np.float32(_STIFFNESS), out=out[two])
    out -= out.min(axis=0)
    return np.ascontiguousarray(out.T)


@lru_cache(maxsize=1)
def _nearest_rays():
    return cKDTree(_sphere()[0])


def _inside(shape, centre, chosen, spacing_mm):
    reach = int(np.ceil(chosen.max() / spacing_mm)) + 1
    low = np.maximum(0, np.floor(centre).astype(int) - reach)
    high = np.minimum(shape, np.floor(centre).astype(int) + reach + 2)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    index = np.stack(
        np.meshgrid(*[np.arange(a, b) for a, b in zip(low, high, strict=True)], indexing="ij"), -1
    )
    away = (index - centre) * spacing_mm
    length = np.linalg.norm(away, axis=-1)
    # a mean of radii lies between the least and the largest of them: only voxels there need it
    inside = length <= 0.999 * chosen.min()
    open_ones = ~inside & (length <= 1.001 * chosen.max())
    away, length = away[open_ones], length[open_ones]
    near, which = _nearest_rays().query(away / np.maximum(length, 1e-6)[:, None], 4)
    weight = 1.0 / (near + 1e-3)
    inside[open_ones] = length <= (chosen[which] * weight).sum(1) / weight.sum(1)
    mask = np.zeros(shape, dtype=bool)
    mask[box] = inside
    return mask


def edge_coverage(image, mask, spacing_mm, background, least_drop, cut_counts=False):
    """Share of a body's surface behind which the image turns darker, from inside to outside.

    Parameters
    ----------
    image : ndarray
        Smoothed T1c on the working grid.
    mask : ndarray of bool
    spacing_mm, background, least_drop : float
    cut_counts : bool
        Whether surface that the border of the image cuts counts, as surface without an edge.

    Returns
    -------
    float
    """
    if not mask.any():
        return 0.0
    # the smoothing reaches 5 voxels
    box = shapes.bounding(mask, 7)
    part = mask[box]
    soft = ndimage.gaussian_filter(part.astype(np.float32), 1.2)
    surface = np.argwhere(part & ~shapes.eroded(part))
    corner = np.array([s.start for s in box])
    if not cut_counts:
        place = surface + corner
        surface = surface[((place >= _BORDER) & (place < np.subtract(mask.shape, _BORDER))).all(axis=1)]
        if not len(surface):
            return 0.0
    if len(surface) > 1500:
        surface = surface[:: len(surface) // 1500 + 1]
    gradient = np.stack([g[tuple(surface.T)] for g in np.gradient(soft)], 1)
    out = -gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-6)

    def sample(distance_mm):
        points = corner + surface + out * (distance_mm / spacing_mm)
        return ndimage.map_coordinates(image, points.T, order=1, mode="nearest")

    inner = np.maximum(sample(-0.5 * spacing_mm), sample(-1.5))
    drop = inner - sample(1.0 + spacing_mm)
    return float(np.mean((drop > 0.6 * least_drop) & (inner > background + 0.4 * least_drop)))
