"""Work through many voxels in pieces that bound the memory.

Matrix products may round differently for different matrix sizes. So that a result does not depend on
the size of a piece, pieces start on fixed block borders and the kernels work on whole blocks.
"""

import numpy as np

BLOCK = 2048


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
    size = BLOCK * max(1, -(-int(chunk or 8 * BLOCK) // BLOCK))
    for start in range(0, n_voxels, size):
        yield start, min(start + size, n_voxels)


def by_blocks(function, curves, progress=None):
    """Apply a kernel to blocks of exactly ``BLOCK`` rows and join the results.

    Parameters
    ----------
    function : callable
        Takes an array (BLOCK, t) and returns a dict of arrays whose first axis is BLOCK.
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
        block = np.zeros((BLOCK, curves.shape[1]))
        stop = min(start + BLOCK, n)
        block[: stop - start] = curves[start:stop]
        result = function(block)
        results.append({name: values[: stop - start] for name, values in result.items()})
        if progress is not None:
            progress(stop / max(n, 1))
    return {name: np.concatenate([r[name] for r in results]) for name in results[0]}
