"""Images without time: T1, T1c, FLAIR, SWI, ADC, amino-acid PET."""

import numpy as np
from scipy import ndimage

from BMVascularCore.phantom.shapes import block_mean
from BMVascularCore.phantom.signals import (
    R1_RELAXIVITY,
    R2S_FAST,
    add_rician,
    coil_shading,
    diffusion_weighted,
    inversion_recovery,
    spoiled_gradient_echo,
)
from BMVascularCore.phantom.tissue import static_tissue
from BMVascularCore.volume import Geometry, Volume

# Signal of water with full magnetisation, in image units.
GAIN = 10000.0
T1_PROTOCOL = {"repetition_time_s": 0.009, "echo_time_s": 0.003, "flip_deg": 15.0}
FLAIR_PROTOCOL = {"repetition_time_s": 9.0, "inversion_time_s": 2.5, "echo_time_s": 0.12, "flip_deg": 180.0}
SWI_PROTOCOL = {"repetition_time_s": 0.028, "echo_time_s": 0.02, "flip_deg": 15.0}
DWI_PROTOCOL = {"repetition_time_s": 6.0, "echo_time_s": 0.075, "flip_deg": 90.0, "b_s_mm2": 1000.0}
# After the start of the DCE injection.
T1C_DELAY_S = 420.0


def compose(model, value_of):
    """Sum over tissues of share times value, on the model's grid; float32.

    Parameters
    ----------
    model : HeadModel
    value_of : callable
        Tissue to value.
    """
    out = np.zeros(model.geometry.shape, np.float32)
    for name, share in model.shares.items():
        out += np.float32(value_of(static_tissue(name))) * share
    for part in model.parts:
        out[part.box] += np.float32(value_of(part.tissue)) * part.share
    return out


def coarser(geometry, factors):
    """Grid of blocks of voxels, dropping what does not fill a block; and the slices kept."""
    shape = tuple(n // f for n, f in zip(geometry.shape, factors, strict=True))
    kept = tuple(slice(0, n * f) for n, f in zip(shape, factors, strict=True))
    scale = np.asarray(factors[::-1], float)
    affine = geometry.affine_lps.copy()
    affine[:3, 3] += affine[:3, :3] @ ((scale - 1.0) / 2.0)
    affine[:3, :3] *= scale
    return Geometry.of_affine(affine, shape), kept


def t1_signal(tissue, concentration_mM=0.0):
    """T1-weighted signal of a tissue that holds contrast agent."""
    return GAIN * spoiled_gradient_echo(
        tissue.pd,
        1.0 / tissue.t1_s + R1_RELAXIVITY * concentration_mM,
        1.0 / tissue.t2s_s + R2S_FAST * concentration_mM,
        T1_PROTOCOL["repetition_time_s"],
        T1_PROTOCOL["echo_time_s"],
        T1_PROTOCOL["flip_deg"],
    )


def late_concentration(injection, tissue):
    """Contrast agent in a tissue when the T1c is acquired, mM."""
    time_s = np.array([injection.arrival_s + T1C_DELAY_S])
    vascular, extravascular = injection.compartments(tissue, time_s)
    return float(vascular[0] + extravascular[0])


def _finish(signal, geometry, sigma, rng, name, meta):
    signal *= coil_shading(geometry)
    return Volume(add_rician(np.maximum(signal, 0.0), sigma, rng), geometry, name, dict(meta))


def t1_weighted(model, rng, injection=None):
    """T1 before, or with ``injection`` after contrast agent; spoiled gradient echo."""

    def value(tissue):
        return t1_signal(tissue, 0.0 if injection is None else late_concentration(injection, tissue))

    name = "T1" if injection is None else "T1c"
    return _finish(compose(model, value), model.geometry, 9.0, rng, name, T1_PROTOCOL)


def flair(model, rng, slice_voxels=3):
    """FLAIR with thick slices: inversion-recovery spin echo; fat is suppressed by a third."""
    p = FLAIR_PROTOCOL

    def value(tissue):
        signal = inversion_recovery(
            tissue.pd,
            tissue.t1_s,
            tissue.t2_s,
            p["repetition_time_s"],
            p["inversion_time_s"],
            p["echo_time_s"],
        )
        return 0.5 * GAIN * signal * (0.6 if tissue.fat else 1.0)

    factors = (slice_voxels, 1, 1)
    geometry, kept = coarser(model.geometry, factors)
    return _finish(block_mean(compose(model, value)[kept], factors), geometry, 10.0, rng, "FLAIR", p)


def swi(model, rng, slice_voxels=2):
    """Magnitude of the susceptibility-weighted gradient echo, T2* decay at 20 ms."""
    p = SWI_PROTOCOL

    def value(tissue):
        return GAIN * spoiled_gradient_echo(
            tissue.pd,
            1 / tissue.t1_s,
            1 / tissue.t2s_s,
            p["repetition_time_s"],
            p["echo_time_s"],
            p["flip_deg"],
        )

    factors = (slice_voxels, 1, 1)
    geometry, kept = coarser(model.geometry, factors)
    return _finish(block_mean(compose(model, value)[kept], factors), geometry, 12.0, rng, "SWI", p)


def adc(model, rng, factors=(4, 2, 2)):
    """ADC in 1e-6 mm2/s from two noisy diffusion images (b 0 and 1000), 0 in air and bone."""
    p = DWI_PROTOCOL
    geometry, kept = coarser(model.geometry, factors)
    images = []
    for b in (0.0, p["b_s_mm2"]):

        def value(tissue, b=b):
            signal = diffusion_weighted(tissue.pd, tissue.t2_s, tissue.adc * 1e-6, b, p["echo_time_s"])
            return GAIN * signal * (0.05 if tissue.fat else 1.0)

        signal = block_mean(compose(model, value)[kept], factors) * coil_shading(geometry)
        images.append(add_rician(signal, 18.0, rng))
    ratio = np.maximum(images[0], 1.0) / np.maximum(images[1], 1.0)
    values = np.clip(1e6 * np.log(ratio) / p["b_s_mm2"], 0.0, 4000.0)
    values[images[0] < 250.0] = 0.0
    return Volume(values.astype(np.float32), geometry, "ADC", {**p, "units": "1e-6 mm2/s"})


def pet(model, rng, factor=2, fwhm_mm=5.0):
    """Amino-acid PET in SUV: uptake blurred by the scanner's resolution, noise growing with uptake."""
    geometry, kept = coarser(model.geometry, (factor,) * 3)
    uptake = block_mean(compose(model, lambda tissue: tissue.suv)[kept], (factor,) * 3)
    sigma = fwhm_mm / 2.3548 / np.asarray(geometry.spacing_kji_mm)
    uptake = ndimage.gaussian_filter(uptake, sigma)
    noise = ndimage.gaussian_filter(rng.standard_normal(uptake.shape, dtype=np.float32), 0.8)
    noise *= 0.05 / float(noise.std())
    image = np.maximum(uptake + noise * np.sqrt(np.maximum(uptake, 0.0)), 0.0).astype(np.float32)
    meta = {"modality": "PT", "units": "SUV", "tracer": "FET", "fwhm_mm": fwhm_mm}
    return Volume(image, geometry, "PET", meta)
