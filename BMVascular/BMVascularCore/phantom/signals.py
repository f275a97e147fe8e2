"""MR signal equations and what the receiver adds to them."""

import numpy as np

# Relaxivities at 3 T, 1/s/mM: T1 in every tissue; T2* of plasma in capillaries (susceptibility
# between vessel and tissue), of the extravascular space, and of blood in a large vessel.
R1_RELAXIVITY = 4.5
R2S_CAPILLARY = 87.0
R2S_EXTRAVASCULAR = 20.0
R2S_BLOOD = 12.0
R2S_FAST = 5.0


def spoiled_gradient_echo(pd, r1_per_s, r2s_per_s, tr_s, te_s, flip_deg):
    """Steady-state spoiled gradient echo: ``pd sin a (1-E1)/(1-cos a E1) exp(-TE R2*)``.

    Arrays broadcast; returns the same unit as ``pd``.
    """
    angle = np.deg2rad(flip_deg)
    e1 = np.exp(-tr_s * np.asarray(r1_per_s))
    return (
        pd * np.sin(angle) * (1.0 - e1) / (1.0 - np.cos(angle) * e1) * np.exp(-te_s * np.asarray(r2s_per_s))
    )


def inversion_recovery(pd, t1_s, t2_s, tr_s, ti_s, te_s):
    """Magnitude inversion-recovery spin echo: ``pd |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2)``."""
    return pd * np.abs(1.0 - 2.0 * np.exp(-ti_s / t1_s) + np.exp(-tr_s / t1_s)) * np.exp(-te_s / t2_s)


def diffusion_weighted(pd, t2_s, adc_mm2_s, b_s_mm2, te_s):
    """Spin-echo diffusion signal with long TR: ``pd exp(-TE/T2) exp(-b ADC)``."""
    return pd * np.exp(-te_s / t2_s) * np.exp(-b_s_mm2 * adc_mm2_s)


def add_rician(signal, sigma, rng):
    """Magnitude of the signal with complex Gaussian noise of standard deviation ``sigma``, float32."""
    real = rng.standard_normal(signal.shape, dtype=np.float32)
    real *= sigma
    real += signal
    imaginary = rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary *= sigma
    return np.hypot(real, imaginary, out=real)


def coil_shading(geometry, strength=0.22):
    """Smooth receive sensitivity, about 1 on average; brighter near the coil, uneven left to right.

    Parameters
    ----------
    geometry : Geometry
    strength : float
        Half the range over the head.

    Returns
    -------
    ndarray, shape (k, j, i), float32
    """
    k, j, i = (np.arange(n, dtype=np.float32) for n in geometry.shape)
    affine = geometry.affine_lps
    x, y, z = (
        (affine[a, 0] * i + affine[a, 1] * j[:, None] + affine[a, 2] * k[:, None, None] + affine[a, 3])
        / 100.0
        for a in range(3)
    )
    bowl = 0.5 * (x * x + y * y) - 0.25
    return (1.0 + strength * (bowl + 0.45 * x - 0.3 * y + 0.25 * z)).astype(np.float32)
