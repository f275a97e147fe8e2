"""Blocks of curves from a DSC series, whatever stage it starts from."""

import numpy as np

from BMVascularCore.perfusion.relaxation import delta_r2s, delta_r2s_dual

# Voxels are always computed in blocks of this size, whatever is read at a time: matrix products of another
# width may differ in the last bit, and results must not depend on the chunk size.
BLOCK_VOXELS = 2048


class CurveSource:
    """Gives raw frames and dR2* curves of chosen voxels, in bounded blocks.

    Parameters
    ----------
    array : ndarray, shape (t, k, j, i)
        Raw signal, dR2* or concentration.
    kind : {"signal", "dr2s", "concentration"}
    te_s : float or None
        Echo time of ``array``.
    second : ndarray, shape (t, k, j, i), optional
        The other echo, raw signal.
    te2_s : float, optional
        Its echo time; longer than ``te_s``.
    baseline : slice, optional
        Frames that give S0.
    """

    def __init__(self, array, kind="signal", te_s=None, second=None, te2_s=None, baseline=None):
        self._flat = array.reshape(array.shape[0], -1)
        self._second = None if second is None else second.reshape(second.shape[0], -1)
        self.kind, self.te_s, self.te2_s, self.baseline = kind, te_s, te2_s, baseline
        self.dtype = np.float64 if array.dtype == np.float64 else np.float32
        self.frames, self.voxels = self._flat.shape

    @property
    def dual(self):
        """True when two echoes are combined."""
        return self._second is not None

    def raw(self, voxels, second=False):
        """Stored values, shape (t, n), as floating numbers."""
        source = self._second if second else self._flat
        return source[:, voxels].astype(self.dtype)

    def of(self, voxels, raw=None):
        """Curves that rise with contrast agent: dR2* in 1/s, or the given concentration.

        Parameters
        ----------
        voxels : ndarray of int, shape (n,)
            Flat voxel indices.
        raw : ndarray, shape (t, n), optional
            Frames already read.

        Returns
        -------
        ndarray, shape (t, n)
            NaN for a voxel without positive baseline.
        """
        raw = self.raw(voxels) if raw is None else raw
        if self.kind != "signal":
            return raw
        s0 = raw[self.baseline].mean(axis=0, dtype=np.float64)
        if self._second is None:
            return delta_r2s(raw, s0, self.te_s)
        other = self.raw(voxels, second=True)
        s0_other = other[self.baseline].mean(axis=0, dtype=np.float64)
        return delta_r2s_dual(raw, other, s0, s0_other, self.te_s, self.te2_s)


def blocks_of(count, chunk_voxels, progress=None, message=""):
    """Slices of the computing blocks, with progress once per chunk.

    Parameters
    ----------
    count : int
        Number of voxels.
    chunk_voxels : int
        Voxels between two reports of progress; rounded up to whole blocks.
    progress : callable, optional
    message : str

    Yields
    ------
    slice
    """
    every = max(1, -(-int(chunk_voxels) // BLOCK_VOXELS))
    for number, start in enumerate(range(0, count, BLOCK_VOXELS)):
        if progress is not None and number % every == 0:
            progress(start / max(count, 1), message)
        yield slice(start, min(start + BLOCK_VOXELS, count))
