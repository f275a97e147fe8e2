"""Work through many voxels in pieces that bound the memory.

Matrix products may round differently for different matrix sizes. So that a result does not depend on
the size of a piece, pieces are whole numbers of blocks and the kernels work block by block.
"""

import numpy as np

BLOCK = 4096


def pieces(n_voxels, chunk=None):
    """Start and stop of each piece.

    Parameters
    ----------
    n_voxels : int
    chunk : int, optional
        Wanted voxels in a piece; rounded up to whole blocks.

    Yields
    ------
    start, stop : int
    """
    size = BLOCK * max(1, -(-int(chunk or 2 * BLOCK) // BLOCK))
    for start in range(0, n_voxels, size):
        yield start, min(start + size, n_voxels)


def by_blocks(function, curves, progress=None):
    """Apply a kernel to blocks of ``BLOCK`` rows (the last may be shorter) and join the results.

    Parameters
    ----------
    function : callable
        Takes an array (b, t) and returns a dict of arrays whose first axis is b.
    curves : ndarray, shape (v, t)
    progress : callable, optional
        Called with a fraction after each block.

    Returns
    -------
    dict of ndarray, first axis v
    """
    results = []
    n = len(curves)
    for start in range(0, max(n, 1), BLOCK):
        stop = min(start + BLOCK, n)
        results.append(function(np.ascontiguousarray(curves[start:stop], float)))
        if progress is not None:
            progress(stop / max(n, 1))
    return {name: np.concatenate([r[name] for r in results]) for name in results[0]}
