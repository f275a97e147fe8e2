"""Images over time: DSC (gradient-echo EPI), DCE (spoiled gradient echo) and its variable-flip scans.

Every voxel is the sum of its tissues' signals weighted by their shares on the coarse grid. A signal
curve is computed once for each tissue, so that a whole series is one matrix product.
"""

from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.phantom.kinetics import Injection
from BMVascularCore.phantom.sampling import average_onto, box_covering, sub_grid
from BMVascularCore.phantom.signals import (
    R1_RELAXIVITY,
    R2S_BLOOD,
    R2S_CAPILLARY,
    R2S_EXTRAVASCULAR,
    R2S_FAST,
    add_rician,
    coil_shading,
    spoiled_gradient_echo,
)
from BMVascularCore.phantom.static import GAIN
from BMVascularCore.phantom.tissue import SPLIT, TISSUES
from BMVascularCore.volume import Series, Volume


@dataclass(frozen=True)
class DynamicProtocol:
    """Timing and contrast of one dynamic series, seconds and degrees."""

    frames: int
    frame_s: float
    repetition_time_s: float
    echo_time_s: float
    flip_deg: float
    arrival_s: float
    sigma: float

    @property
    def times_s(self):
        """Frame times from the first frame."""
        return np.arange(self.frames) * self.frame_s

    def meta(self):
        """Facts that go with the images."""
        return {
            "repetition_time_s": self.repetition_time_s,
            "echo_time_s": self.echo_time_s,
            "flip_deg": self.flip_deg,
            "bolus_arrival_s": self.arrival_s,
        }


# Single dose without preload at a low flip angle (Boxerman 2020, doi:10.1093/neuonc/noaa141).
DSC = DynamicProtocol(80, 1.5, 1.5, 0.030, 30.0, 30.0, 45.0)
DCE = DynamicProtocol(60, 5.2, 0.005, 0.0015, 15.0, 33.0, 5.0)
VFA_FLIPS_DEG = (2.0, 5.0, 10.0, 15.0)


@dataclass
class CoarseShares:
    """Shares of tissue on the perfusion grid.

    Attributes
    ----------
    geometry : Geometry
    names : list of str
    dense : ndarray, shape (tissue, voxel), float32
    parts : list of (Part, box, ndarray)
        Lesion parts inside their boxes of this grid.
    """

    geometry: object
    names: list
    dense: np.ndarray
    parts: list


def coarse_shares(model, geometry, to_fine):
    """Average all shares of a model over the voxels of a coarser grid.

    Parameters
    ----------
    model : HeadModel
    geometry : Geometry
    to_fine : SimpleITK.Transform
        Maps points of ``geometry`` to points of the model's grid.
    """
    names, rows = [], []
    late = average_onto(model.late, model.geometry, geometry, to_fine).ravel()
    for name, share in model.shares.items():
        row = average_onto(share, model.geometry, geometry, to_fine).ravel()
        if name in SPLIT:
            names += SPLIT[name]
            rows += [row * (1.0 - late), row * late]
        else:
            names.append(name)
            rows.append(row)
    parts = []
    for part in model.parts:
        source = sub_grid(model.geometry, part.box)
        box = box_covering(geometry, source, to_fine)
        if all(side.stop > side.start for side in box):
            share = average_onto(part.share, source, sub_grid(geometry, box), to_fine)
            parts.append((part, box, share))
    return CoarseShares(geometry, names, np.stack(rows), parts)


def _assemble(shares, curve_of, n_frames):
    """Series (t, k, j, i) from a signal curve for each tissue."""
    curves = np.stack([curve_of(TISSUES[name]) for name in shares.names], axis=1).astype(np.float32)
    series = (curves @ shares.dense).reshape(n_frames, *shares.geometry.shape)
    for part, box, share in shares.parts:
        curve = curve_of(part.tissue).astype(np.float32)
        series[(slice(None), *box)] += curve[:, None, None, None] * share
    return series


def dsc_curve(tissue, protocol, injection):
    """Gradient-echo EPI signal of one tissue over the frames, with T1 and T2* effects of the leak.

    Water crosses the capillary wall slowly against the first pass: agent inside capillaries shortens
    T2* of the tissue around, but not its T1 (leaked agent does). The first frames approach the
    steady state, as on a scanner.
    """
    vascular, leaked = injection.compartments(tissue, protocol.times_s)
    r1 = 1.0 / tissue.t1_s + R1_RELAXIVITY * (vascular if tissue.blood else leaked)
    r2s = 1.0 / tissue.t2s_s + R2S_EXTRAVASCULAR * leaked
    r2s = r2s + (R2S_BLOOD if tissue.blood else R2S_CAPILLARY) * vascular
    tr, te, flip = protocol.repetition_time_s, protocol.echo_time_s, protocol.flip_deg
    signal = spoiled_gradient_echo(tissue.pd, r1, r2s, tr, te, flip)
    decay = np.cos(np.deg2rad(flip)) * np.exp(-tr / tissue.t1_s)
    steady = (1.0 - np.exp(-tr / tissue.t1_s)) / (1.0 - decay)
    transient = 1.0 + (1.0 / steady - 1.0) * decay ** np.arange(protocol.frames)
    return GAIN * signal * transient * (0.05 if tissue.fat else 1.0)


def dce_curve(tissue, protocol, injection):
    """Spoiled gradient-echo signal of one tissue over the frames, water in fast exchange."""
    vascular, leaked = injection.compartments(tissue, protocol.times_s)
    total = vascular + leaked
    return GAIN * spoiled_gradient_echo(
        tissue.pd,
        1.0 / tissue.t1_s + R1_RELAXIVITY * total,
        1.0 / tissue.t2s_s + R2S_FAST * total,
        protocol.repetition_time_s,
        protocol.echo_time_s,
        protocol.flip_deg,
    )


def dynamic_series(kind, shares, protocol, rng, noise=True):
    """DSC or DCE series.

    Parameters
    ----------
    kind : {"DSC", "DCE"}
    shares : CoarseShares
    protocol : DynamicProtocol
    rng : numpy.random.Generator
    noise : bool
        Rician noise of ``protocol.sigma``.

    Returns
    -------
    Series
        float32.
    """
    if kind not in ("DSC", "DCE"):
        raise InputError(f"no dynamic series of kind {kind!r}", "simulated patient", "Use DSC or DCE.")
    injection = Injection(protocol.arrival_s, protocol.times_s[-1])
    curve = dsc_curve if kind == "DSC" else dce_curve
    array = _assemble(shares, lambda tissue: curve(tissue, protocol, injection), protocol.frames)
    array *= coil_shading(shares.geometry)
    if noise:
        for frame in array:
            frame[...] = add_rician(frame, np.float32(protocol.sigma), rng)
    meta = {**protocol.meta(), "times_source": "simulated", "warnings": []}
    if kind == "DSC":
        meta["preload"] = False
    return Series(array, protocol.times_s, shares.geometry, kind, meta)


def variable_flip_scans(shares, protocol, rng, flips_deg=VFA_FLIPS_DEG):
    """Scans before contrast agent at several flip angles, otherwise as the DCE.

    Returns
    -------
    dict of str to Volume
        Keys VFA_2, VFA_5, ...
    """
    out = {}
    for flip in flips_deg:

        def curve(tissue, flip=flip):
            return GAIN * spoiled_gradient_echo(
                tissue.pd,
                np.array([1.0 / tissue.t1_s]),
                np.array([1.0 / tissue.t2s_s]),
                protocol.repetition_time_s,
                protocol.echo_time_s,
                flip,
            )

        signal = _assemble(shares, curve, 1)[0] * coil_shading(shares.geometry)
        # pre-scans are averaged over four acquisitions
        image = add_rician(signal, protocol.sigma / 2.0, rng)
        name = f"VFA_{flip:g}"
        out[name] = Volume(image, shares.geometry, name, {**protocol.meta(), "flip_deg": flip})
    return out
