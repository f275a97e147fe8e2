"""Digital reference objects for DSC, made by a forward model that shares no code with the product."""

import numpy as np


def gamma_bolus(times_s, start_s, alpha=3.0, beta_s=1.5, recirculation=0.15, plateau=0.08):
    """Arterial concentration: gamma-variate, a second pass, and a plateau that washes out; peak about 1."""

    def variate(t, a, b):
        t = np.maximum(t, 0.0)
        curve = t**a * np.exp(-t / b)
        return curve / (a * b) ** a * np.exp(a)

    t = np.asarray(times_s, float) - start_s
    plateau_curve = np.where(t > 0, 1.0 - np.exp(-np.maximum(t, 0) / 6.0), 0.0)
    return variate(t, alpha, beta_s) + recirculation * variate(t - 8.0, 3.0, 4.0) + plateau * plateau_curve


def exponential_tissue(times_s, aif, mtt_s, delay_s, fine=20):
    """Unit-CBV tissue curve for an exponential residue function, on a grid ``fine`` times finer.

    ``aif`` is a function of time, so that the delay is exact and not an interpolation of samples.
    """
    dt = (times_s[1] - times_s[0]) / fine
    grid = np.arange(0, times_s[-1] + dt / 2, dt)
    residue = np.exp(-grid / mtt_s) / mtt_s
    curve = np.convolve(aif(grid - delay_s), residue)[: len(grid)] * dt
    return np.interp(times_s, grid, curve)


def deconvolution_object(count, snr, seed=0, frames=60, dt_s=1.5):
    """Curves with known CBF (1/s), MTT (s) and delay (s).

    Returns
    -------
    dict with times_s, aif, curves (n, t), cbf_per_s, mtt_s, delay_s
    """
    random = np.random.default_rng(seed)
    times = np.arange(frames) * dt_s
    mtt = random.uniform(3.0, 12.0, count)
    delay = random.uniform(-3.0, 5.0, count)
    cbv = random.uniform(0.01, 0.06, count)

    def aif(t):
        return gamma_bolus(t, 15.0)

    curves = np.stack(
        [c * exponential_tissue(times, aif, m, d) for c, m, d in zip(cbv, mtt, delay, strict=True)]
    )
    if np.isfinite(snr):
        curves = curves + random.normal(0.0, 1.0, curves.shape) * curves.max(axis=1, keepdims=True) / snr
    return {
        "times_s": times,
        "aif": aif(times),
        "curves": curves,
        "cbf_per_s": cbv / mtt,
        "mtt_s": mtt,
        "delay_s": delay,
        "cbv": cbv,
    }


def leakage_object(flip_deg, preload_mM=0.0, count=600, seed=1, te_s=0.03, tr_s=1.5, frames=80, snr=80.0):
    """Signal of white matter, grey matter and leaking tumour: spoiled gradient echo with T1 and T2* effects.

    Plasma acts on the gradient of susceptibility (87 1/s/mM); leaked agent on T2* (20 1/s/mM) and on T1
    (4.5 1/s/mM); plasma reaches 30 % of the tissue water. Exact discrete exchange on a fine grid.

    Returns
    -------
    dict with times_s, signal (t, n), kind (0 white, 1 grey, 2 tumour), vp, ktrans_per_s, te_s
    """
    random = np.random.default_rng(seed)
    fine = 10
    times = np.arange(frames) * tr_s
    dt = tr_s / fine
    grid = np.arange(frames * fine) * dt
    plasma = 7.0 * gamma_bolus(grid, 20.0, beta_s=1.6)
    kind = np.repeat([0, 1, 2], count // 3)
    n = len(kind)
    vp = np.choose(
        kind,
        [random.uniform(0.012, 0.02, n), random.uniform(0.03, 0.05, n), random.uniform(0.02, 0.12, n)],
    )
    ktrans = np.where(kind == 2, random.uniform(0.02, 0.2, n), 0.0) / 60.0
    ve = random.uniform(0.15, 0.5, n)
    signal = np.empty((frames, n))
    flip = np.deg2rad(flip_deg)
    for v in range(n):
        residue = np.exp(-grid / 4.0)
        blood = np.convolve(plasma, residue / residue.sum())[: len(grid)]
        decay = np.exp(-ktrans[v] / ve[v] * dt)
        leaked = np.zeros(len(grid))
        for i in range(1, len(grid)):
            leaked[i] = leaked[i - 1] * decay + ktrans[v] * dt * 0.5 * (plasma[i] + plasma[i - 1] * decay)
        blood, leaked = vp[v] * blood[::fine], leaked[::fine]
        r1 = 1.0 / 1.2 + 4.5 * (
            0.3 * blood + leaked + preload_mM * (vp[v] + (ve[v] if kind[v] == 2 else 0.0))
        )
        e1 = np.exp(-tr_s * r1)
        steady = (1.0 - e1) * np.sin(flip) / (1.0 - np.cos(flip) * e1)
        signal[:, v] = 1000.0 * steady * np.exp(-te_s * (87.0 * blood + 20.0 * leaked))
    signal += random.normal(0.0, 1.0, signal.shape) * signal[0] / snr
    return {"times_s": times, "signal": signal, "kind": kind, "vp": vp, "ktrans_per_s": ktrans, "te_s": te_s}


def concordance(a, b):
    """Lin's concordance correlation coefficient."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return float(
        2.0 * np.mean((a - a.mean()) * (b - b.mean())) / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    )


def head_object(slices=6, size=64, frames=60, dt_s=1.5, seed=0, snr=80.0, flip_deg=30.0, shift_mm=None):
    """A whole head with scalp, skull, white and grey matter, ventricles, arteries and a leaking lesion.

    ``shift_mm`` (t, 2) moves the head along (row, column) per frame.

    Returns
    -------
    dict with signal (t, k, j, i) int16, times_s, spacing_mm (x, y, z), origin_mm, and boolean truth masks
    """
    random = np.random.default_rng(seed)
    spacing = (200.0 / size, 220.0 / size, 5.0)
    k, j, i = np.meshgrid(*(np.arange(n) for n in (slices, size, size)), indexing="ij")
    x = (i - size / 2 + 0.5) * spacing[0]
    y = (j - size / 2 + 0.5) * spacing[1]
    z = (k - slices / 2 + 0.5) * spacing[2]
    times = np.arange(frames) * dt_s
    signal = np.stack(
        [
            _head_frame(x - s[1], y - s[0], z, c, flip_deg)
            for s, c in zip(
                np.zeros((frames, 2)) if shift_mm is None else shift_mm, _head_curves(times), strict=True
            )
        ]
    )
    signal = np.abs(signal + random.normal(0.0, 1000.0 / snr, signal.shape))
    truth = _head_masks(x, y, z)
    origin = (-100.0, -110.0, -2.5 * slices)
    return {
        "signal": np.rint(signal).astype(np.int16),
        "times_s": times,
        "spacing_mm": spacing,
        "origin_mm": origin,
        **truth,
    }


HEAD_CBV = {"white": 0.02, "grey": 0.045, "lesion": 0.08, "artery": 0.12, "oedema": 0.015}


def _head_masks(x, y, z):
    r = np.sqrt((x / 76) ** 2 + (y / 92) ** 2 + (z / 80) ** 2)
    brain = r < 0.84
    ventricle = (((np.abs(x) - 9) / 6) ** 2 + (y / 22) ** 2 < 1) & brain
    from_lesion = np.sqrt((x - 34) ** 2 + (y - 18) ** 2 + (z / 0.8) ** 2)
    lesion, oedema = from_lesion < 12, (from_lesion >= 12) & (from_lesion < 20)
    artery = (np.abs(np.abs(x) - 30) < 4) & (np.abs(y + 12) < 5) & (np.abs(z) < 8)
    white = brain & (r + 0.05 * np.sin(y / 9) < 0.62) & ~ventricle & ~lesion & ~oedema & ~artery
    grey = brain & ~white & ~ventricle & ~lesion & ~oedema & ~artery
    return {
        "head": r < 1.0,
        "skull": (r < 0.92) & ~brain,
        "brain": brain,
        "white": white,
        "grey": grey,
        "ventricle": ventricle,
        "lesion": lesion,
        "oedema": oedema & brain,
        "artery": artery,
    }


def _head_curves(times):
    """Per frame: arterial, normal, grey and leaked concentration (mM)."""

    def aif(t):
        return 5.0 * gamma_bolus(t, 20.0)

    normal = exponential_tissue(times, aif, 4.5, 1.2)
    leaked = np.cumsum(aif(times)) * (times[1] - times[0]) * 0.12 / 60.0
    return np.stack([aif(times), normal, leaked], axis=1)


def _head_frame(x, y, z, curves, flip_deg):
    masks = _head_masks(x, y, z)
    image = np.where(masks["head"], 350.0, 0.0)
    image[masks["skull"]] = 30.0
    level = {
        "white": 1000.0,
        "grey": 1150.0,
        "ventricle": 2100.0,
        "lesion": 1100.0,
        "oedema": 1300.0,
        "artery": 1100.0,
    }
    arterial, normal, leaked = curves
    flip = np.deg2rad(flip_deg)

    def steady(r1):
        e1 = np.exp(-1.5 * r1)
        return (1 - e1) / (1 - np.cos(flip) * e1)

    for name, s0 in level.items():
        blood = HEAD_CBV.get(name, 0.0) * (arterial if name == "artery" else normal)
        ees = leaked if name == "lesion" else 0.0
        weight = steady(1 / 1.4 + 4.5 * ees) / steady(1 / 1.4)
        image[masks[name] & masks["brain"]] = s0 * weight * np.exp(-0.03 * (87.0 * blood + 20.0 * ees))
    return image


def head_r2s(head):
    """True dR2* (t, k, j, i) of a head made by :func:`head_object` without motion."""
    curves = _head_curves(head["times_s"])
    out = np.zeros(head["signal"].shape)
    for name in ("white", "grey", "lesion", "oedema", "artery"):
        arterial, normal, leaked = curves.T
        rate = 87.0 * HEAD_CBV[name] * (arterial if name == "artery" else normal)
        if name == "lesion":
            rate = rate + 20.0 * leaked
        out[:, head[name] & head["brain"]] = rate[:, None]
    return out
