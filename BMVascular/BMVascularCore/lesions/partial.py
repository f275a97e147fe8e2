"""Edge voxels of small or thickly sliced lesions: their share from their intensity.

A voxel that holds the share f of the lesion has the intensity outside + f (inside - outside). Summed
over the edge, this gives the volume of what is only a few voxels wide, where a boundary between voxel
centres cuts corners.
"""

import numpy as np

from BMVascularCore.lesions import shapes


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
