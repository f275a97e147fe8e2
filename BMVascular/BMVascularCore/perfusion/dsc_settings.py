"""Settings of a DSC run, and their checks."""

from dataclasses import dataclass, replace

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.deconvolution import DECONVOLUTIONS
from BMVascularCore.perfusion.leakage import LEAKAGE_MODELS
from BMVascularCore.volume import require_same_grid


@dataclass(frozen=True)
class DscSettings:
    """How a DSC series is processed.

    Attributes
    ----------
    te_ms, te2_ms : float, optional
        Echo times in milliseconds; ``te_ms`` is obligatory for raw signal.
    flip_deg, tr_ms : float, optional
        Protocol facts; they do not change the numbers, only what is said about them.
    preload : {"yes", "no", "unknown"}
    input : {"signal", "dr2s", "concentration"}
    leakage : {"none", "bsw", "bidirectional", "auto"}
    deconvolution : {"osvd", "csvd", "ssvd", "none"}
    skip : int, optional
        Frames dropped at the start; found by default.
    baseline : (int, int), optional
        Baseline frames [first, stop), counted from 0; found by default.
    motion : {"auto", "on", "off"}
    kh, density_g_ml : float
        Haematocrit constant (1 - 0.45)/(1 - 0.25) and density of brain for CBV and CBF.
    oscillation : float
        Limit of the oscillation index of oSVD.
    chunk_voxels : int
        Voxels read at a time; results do not depend on it.
    """

    te_ms: float | None = None
    flip_deg: float | None = None
    tr_ms: float | None = None
    te2_ms: float | None = None
    preload: str = "unknown"
    input: str = "signal"
    leakage: str = "auto"
    deconvolution: str = "osvd"
    skip: int | None = None
    baseline: tuple | None = None
    motion: str = "off"
    kh: float = 0.733
    density_g_ml: float = 1.04
    oscillation: float = 0.035
    chunk_voxels: int = 16384


def checked_settings(settings, series, second=None):
    """Settings that can be used: choices, echo times, and facts the series itself carries.

    Raises
    ------
    InputError
        Wrong choice, or no echo time for raw signal.
    """
    _check_choice(settings.input, ("signal", "dr2s", "concentration"), "--input")
    _check_choice(settings.leakage, LEAKAGE_MODELS, "--leakage")
    _check_choice(settings.deconvolution, DECONVOLUTIONS, "--deconvolution")
    _check_choice(settings.preload, ("yes", "no", "unknown"), "--preload")
    _check_choice(settings.motion, ("auto", "on", "off"), "--motion")
    te, flip, tr = settings.te_ms, settings.flip_deg, settings.tr_ms
    meta = series.meta
    if te is None and meta.get("echo_time_s"):
        te = 1000.0 * float(meta["echo_time_s"])
    if flip is None and meta.get("flip_deg"):
        flip = float(meta["flip_deg"])
    if tr is None and meta.get("repetition_time_s"):
        tr = 1000.0 * float(meta["repetition_time_s"])
    settings = replace(settings, te_ms=te, flip_deg=flip, tr_ms=tr)
    if settings.input == "signal":
        _check_echo(te, "--te")
    if second is not None:
        settings = _with_second_echo(settings, series, second)
    return settings


def _check_echo(te_ms, option):
    if te_ms is None:
        raise InputError(
            "the echo time is not known", option, "Give --te in milliseconds, for example --te 30."
        )
    if not np.isfinite(te_ms) or te_ms < 0.5 or te_ms > 500:
        raise InputError(f"{te_ms:g} ms is no echo time", option, "Give it in milliseconds, for example 30.")


def _with_second_echo(settings, series, second):
    if settings.input != "signal":
        raise InputError("a second echo needs raw signal", "--second-echo", "Use --input signal.")
    te2 = settings.te2_ms
    if te2 is None and second.meta.get("echo_time_s"):
        te2 = 1000.0 * float(second.meta["echo_time_s"])
    _check_echo(te2, "--te2")
    if te2 == settings.te_ms:
        raise InputError("both echoes have the same echo time", "--te2", "Give the two echo times in ms.")
    require_same_grid(second.geometry, series.geometry, "the second echo", series.name)
    if second.array.shape != series.array.shape:
        raise InputError(
            f"has {second.array.shape[0]} frames, the first echo {series.array.shape[0]}",
            "the second echo",
            "Give both echoes of the same series.",
        )
    return replace(settings, te2_ms=te2)


def _check_choice(value, choices, option):
    if value not in choices:
        raise InputError(f"'{value}' is not a choice", option, f"Use {', '.join(choices)}.")
