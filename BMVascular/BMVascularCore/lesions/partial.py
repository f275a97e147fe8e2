"""Edge voxels of small or thickly sliced lesions: their share from their intensity.

A voxel that holds the share f of the lesion has the intensity outside + f (inside - outside). Summed
over the edge, this gives the volume of what is only a few voxels wide, where a boundary between voxel
centres cuts corners.
"""

import numpy as np

from BMVascularCore.lesions import shapes

_DEEP_VOXELS = 12


def mixed_voxels(ready, grid, corner_kji, fraction, inside, outside):
    """Shares of the edge voxels from the intensity, those inside as they are.

    Parameters
    ----------
    ready : Prepared
    grid : WorkGrid
        Of ``inside`` and ``outside``.
    corner_kji : tuple of int
    fraction : ndarray, shape (k, j, i)
        Shares by the boundary's geometry.
    inside, outside : ndarray
        Local intensity of the enhancing part and of the surroundings.

    Returns
    -------
    corner_kji : tuple of int
    fraction, shares : ndarray
        As given, and with edge voxels by intensity; one voxel wider on every side within the image.
    """
    size = np.asarray(ready.t1c.geometry.shape)
    low = np.maximum(0, np.asarray(corner_kji) - 1)
    high = np.minimum(size, np.add(corner_kji, fraction.shape) + 1)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    wide = np.zeros(high - low, dtype=np.float32)
    wide[tuple(slice(c - a, c - a + n) for c, a, n in zip(corner_kji, low, fraction.shape, strict=True))] = (
        fraction
    )
    body, shares = wide > 0.02, wide.copy()
    edge = shapes.dilated(body) & ~shapes.eroded(wide > 0.98) & ready.head[box]
    index = np.argwhere(edge)
    at = np.rint(grid.index_of(index + low)).astype(int)
    at = tuple(np.clip(at, 0, np.asarray(grid.shape) - 1).T)
    step = np.maximum(inside[at] - outside[at], 1e-6)
    share = (ready.t1c.array[box][edge] - outside[at]) / step
    # what noise alone would give counts as nothing
    share = np.where(share < np.minimum(1.5 * ready.noise / step, 0.25), 0.0, np.clip(share, 0.0, 1.0))
    # a bright neighbour outside the boundary stays outside
    share = np.where(body[edge], share, np.minimum(share, 0.45))
    shares[edge] = share
    return tuple(int(v) for v in low), wide, shares if shares.any() else wide


def full_height(ready, grid, corner_kji, fraction, outside):
    """How much brighter than its surroundings a lesion is of which no voxel holds nothing else.

    Slices that lie side by side show all of its brightness, spread along their normal only. So within the
    slices its second moment is that of the lesion, a fifth of the squared radius of a ball; and the ball's
    volume divides the sum of brightness.

    Parameters
    ----------
    ready : Prepared
    grid : WorkGrid
        Of ``outside``.
    corner_kji : tuple of int
    fraction : ndarray, shape (k, j, i)
        Shares by the boundary's geometry.
    outside : ndarray
        Local intensity of the surroundings.

    Returns
    -------
    float
        No less than that of its brightest voxels.
    """
    spacing = np.asarray(ready.t1c.geometry.spacing_kji_mm)
    across = int(np.argmax(spacing))
    size = np.asarray(ready.t1c.geometry.shape)
    low = np.maximum(0, np.asarray(corner_kji) - 2)
    high = np.minimum(size, np.add(corner_kji, fraction.shape) + 2)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    body = np.zeros(high - low, dtype=bool)
    body[tuple(slice(c - a, c - a + n) for c, a, n in zip(corner_kji, low, fraction.shape, strict=True))] = (
        fraction > 0.02
    )
    index = np.argwhere(shapes.dilated(body))
    at = np.rint(grid.index_of(index + low)).astype(int)
    at = tuple(np.clip(at, 0, np.asarray(grid.shape) - 1).T)
    extra = np.maximum(ready.t1c.array[box][tuple(index.T)] - outside[at] - ready.noise, 0.0)
    if not extra.any():
        return ready.noise
    inside = np.sort(extra[body[tuple(index.T)]])
    brightest = float(inside[-max(3, len(inside) // 10) :].mean())
    middle = (index * extra[:, None]).sum(0) / extra.sum()
    spread = (((index - middle) * spacing) ** 2 * extra[:, None]).sum(0) / extra.sum() - spacing**2 / 12.0
    radius = np.sqrt(5.0 * max(float(np.delete(spread, across).mean()), 1e-3))
    volume = 4.0 / 3.0 * np.pi * radius**3
    height = float(extra.sum()) * float(np.prod(spacing)) / volume
    # at worst two slices meet in the middle of the ball, and each holds half of it
    least_filled = float(np.clip(radius / spacing[across], 0.25, 1.0))
    return float(np.clip(height, brightest, brightest / least_filled))


def deep_height(ready, grid, corner_kji, fraction, outside):
    """How much brighter than its surroundings the deep voxels of a lesion are, which hold nothing else (median).

    Where no slice has lesion on both sides, the deep voxels of the brightest slice: of a lesion of two slices
    and more one is full.

    Parameters
    ----------
    As of :func:`full_height`.

    Returns
    -------
    float
        0 where too few voxels are deep.
    """
    across = int(np.argmax(ready.t1c.geometry.spacing_kji_mm))
    full = np.moveaxis(fraction > 0.98, across, 0)
    heights = []
    for kept in (shapes.eroded(full), *(_only(full, n) for n in range(len(full)))):
        deep = np.argwhere(np.moveaxis(kept, 0, across)) + corner_kji
        if len(deep) >= _DEEP_VOXELS:
            at = np.rint(grid.index_of(deep)).astype(int)
            at = tuple(np.clip(at, 0, np.asarray(grid.shape) - 1).T)
            heights.append(float(np.percentile(ready.t1c.array[tuple(deep.T)] - outside[at], 30)))
            if len(heights) == 1 and kept.any(axis=(1, 2)).sum() > 1:
                break
    return max(heights, default=0.0)


def _only(full, number):
    """One slice without its border."""
    out = np.zeros_like(full)
    out[number] = shapes.eroded(np.stack([full[number]] * 3))[1]
    return out
