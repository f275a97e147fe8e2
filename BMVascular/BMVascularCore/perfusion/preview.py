"""One voxel at a time: its curve and what a run would fit to it, for a cursor that moves over a slice.

Everything that all voxels share (brain, bolus, reference curve, input function) is prepared once with
the steps of the run itself; a voxel then costs one fit of one curve with the run's own functions.
"""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.dce import DceWork
from BMVascularCore.perfusion.dce_settings import FLAGS as DCE_FLAGS
from BMVascularCore.perfusion.dce_settings import MODEL_INDEX, UNITS, USABLE
from BMVascularCore.perfusion.dsc_masks import FLAGS as DSC_FLAGS
from BMVascularCore.perfusion.dsc_masks import NOT_MEASURABLE
from BMVascularCore.perfusion.dsc_steps import DscRun
from BMVascularCore.perfusion.frames import without_lost_frames
from BMVascularCore.perfusion.kinetics import KineticFitter
from BMVascularCore.perfusion.relaxation import trapezoid_weights
from BMVascularCore.progress import silent

# bits of the DSC flag map in words; the order is that of importance
DSC_REASONS = {
    "not_finite": "values that are not finite",
    "no_signal": "no signal, or a constant one",
    "low_signal": "signal too low",
    "saturated": "saturated: the signal sinks to the noise",
    "susceptibility": "susceptibility (blood, metal, air)",
    "skull_base": "skull base",
    "vessel": "large vessel",
    "no_bolus": "no bolus above the noise",
    "correction_dominates": "leakage correction exceeds the blood-volume signal",
    "enhancing": "enhancing (leaky)",
}
_DCE_NAMES = ("ktrans", "kep", "ve", "vp", "fp", "ps", "delay")
_MODEL_NAMES = {index: name for name, index in MODEL_INDEX.items()}


@dataclass
class VoxelCurve:
    """The time course of one voxel.

    Attributes
    ----------
    times_s, signal : ndarray, shape (t,)
        Raw values of the series.
    curve : ndarray, shape (t,), or None
        In ``unit``; None where it cannot be had.
    fit : ndarray, shape (t,), or None
        What the model gives; None without a fit.
    unit : str
    baseline, window : (int, int)
        Frames [first, stop) before the bolus, and those that are integrated.
    window_name : str
        What they are integrated for.
    values : list of (str, float, float, str)
        Name, value, standard error (NaN without one), unit.
    reason : str
        Why there is no number, or what to be careful about; empty when all is well.
    """

    times_s: np.ndarray
    signal: np.ndarray
    curve: np.ndarray | None
    fit: np.ndarray | None
    unit: str
    baseline: tuple
    window: tuple
    window_name: str
    values: list = field(default_factory=list)
    reason: str = ""

    @property
    def residual(self):
        """Curve minus fit, or None."""
        return None if self.curve is None or self.fit is None else self.curve - self.fit


class DscPreview:
    """Voxels of a DSC series; arguments as :func:`dsc.run_dsc`.

    Attributes
    ----------
    times_s, reference_curve : ndarray, shape (t,)
    aif : aif_dsc.ArterialInput or None
    bolus : relaxation.Bolus
    warnings : list of str
    """

    def __init__(
        self, series, settings, mask=None, exclude=None, aif=None, nawm=None, second=None, progress=None
    ):
        if second is None:
            series = without_lost_frames(series, None, settings.input == "signal", settings.baseline)
        self.run = DscRun(series, settings, mask, exclude, nawm, second, progress or silent)
        self.run.prepare(aif)
        self.model = self.run.leakage_model()
        self.times_s, self.reference_curve = self.run.times, self.run.reference
        self.aif, self.bolus, self.warnings = self.run.aif, self.run.bolus, self.run.warnings
        self._weights = trapezoid_weights(self.times_s, *self.run.window)
        self.unit = "mM" if self.run.settings.input == "concentration" else "1/s"

    @property
    def aif_curve(self):
        """Times (s) and values of the input function, or None."""
        return None if self.aif is None else (self.times_s, self.aif.curve)

    @property
    def aif_words(self):
        """Origin and quality of the input function for people."""
        if self.aif is None:
            return "no input function"
        return _aif_words(self.aif.source, self.aif.quality, {k: v[1] for k, v in self.aif.criteria.items()})

    @property
    def aif_voxels(self):
        """Flat indices of the voxels of the input function."""
        return np.zeros(0, int) if self.aif is None else self.aif.voxels

    def use_aif(self, aif):
        """Take another input function: voxels (mask), a curve, or None to find one."""
        self.run.aif = self.aif = self.run.find_aif(aif)

    def at(self, voxel):
        """The time course of one voxel.

        Parameters
        ----------
        voxel : (int, int, int)
            (k, j, i), inside the series.

        Returns
        -------
        VoxelCurve
        """
        run, bolus = self.run, self.bolus
        flat = np.ravel_multi_index(tuple(voxel), run.shape)
        raw = run.source.raw([flat])
        baseline = (bolus.baseline.start, bolus.baseline.stop)
        signal = raw[:, 0].astype(float)
        out = VoxelCurve(self.times_s, signal, None, None, self.unit, baseline, run.window, "rCBV window")
        if not run.brain.flat[flat]:
            out.reason = "outside the brain mask"
        bits = int(run.sorted.flags.flat[flat])
        flagged = [text for name, text in DSC_REASONS.items() if bits & DSC_FLAGS[name]]
        if flagged:
            out.reason = "; ".join(flagged)
        if bits & NOT_MEASURABLE or not np.isfinite(raw).all() or (raw <= 0).all():
            out.reason = out.reason or "no usable signal"
            return out
        curve = run.source.of([flat], raw).astype(float)
        if np.isfinite(curve).all():
            out.curve = curve[:, 0]
            self._fit(curve, out)
        return out

    def _fit(self, curve, out):
        area = float(self._weights @ curve[:, 0])
        if self.model is None:
            out.values = [("rCBV area", area, np.nan, "")]
            return
        fit = self.model.fit(curve)
        k1, k2 = float(fit.k1[0]), float(fit.k2[0])
        out.fit = k1 * self.model.reference - self.model.leakage_term(fit)[:, 0]
        out.values = [
            ("K1", k1, np.nan, ""),
            ("K2", k2, abs(k2) * float(fit.k2_cv[0]), "1/s"),
            ("rCBV area", area + k2 * float(fit.area_per_k2[0]), np.nan, ""),
            ("without correction", area, np.nan, ""),
        ]


class DcePreview:
    """Voxels of a DCE series; arguments as :func:`dce.run_dce`.

    Attributes
    ----------
    times_s : ndarray, shape (t,)
    source : input_function.InputFunction
    warnings : list of str
    """

    def __init__(
        self, series, settings, t1_s=None, mask=None, aif=None, progress=None, aif_mask=None, b1=None
    ):
        progress = progress or silent
        inside = None if mask is None else np.asarray(mask, bool)
        series = without_lost_frames(series, inside, not settings.concentration, settings.baseline)
        settings.check(len(series.times_s), t1_s is not None)
        progress(0.1, "Reading the baseline")
        self.work = DceWork(series, settings, t1_s, mask, b1)
        progress(0.4, "Input function")
        self.times_s, self.warnings = np.asarray(series.times_s, float), self.work.warnings
        self.use_aif(aif_mask, aif)
        progress(1.0, "Ready")

    def use_aif(self, aif_mask, curve=None):
        """Take another input function: vessel voxels (mask), a curve, or neither to find one."""
        settings = self.work.settings
        self.source = self.work.input_function(curve, aif_mask)
        self.fitter = None
        if self.work.has_concentration:
            self.fitter = KineticFitter(
                self.source.times_s,
                self.source.plasma_mM,
                self.times_s,
                settings.model,
                settings.fit_delay,
                settings.delay_range_s,
            )
            # the first fit builds the shared tables
            self.fitter.fit((0.02 * self.fitter.plasma + 0.02 * self.fitter.area)[None])

    @property
    def aif_curve(self):
        """Times (s) and plasma concentration (mM) of the input function, or None."""
        values = self.source.plasma_mM
        return (self.source.times_s, values) if np.isfinite(values).all() else None

    @property
    def aif_words(self):
        """Origin and quality of the input function for people."""
        quality = self.source.quality or {}
        parts = {key: value for key, value in quality.items() if key not in ("score", "voxels")}
        return _aif_words(self.source.name, quality.get("score", np.nan), parts)

    @property
    def aif_voxels(self):
        """Flat indices of the voxels of a measured input function."""
        return np.zeros(0, int) if self.source.mask is None else np.flatnonzero(self.source.mask)

    def at(self, voxel):
        """The time course of one voxel; see :meth:`DscPreview.at`."""
        work = self.work
        flat = np.ravel_multi_index(tuple(voxel), work.shape)
        signal = work.flat[:, flat].astype(float)
        first, stop = work.baseline
        end = int(np.searchsorted(self.times_s, self.times_s[stop - 1] + 60.0, side="right"))
        out = VoxelCurve(
            self.times_s, signal, None, None, "mM", (first, stop), (stop - 1, end), "iAUGC60 window"
        )
        if not work.mask.flat[flat]:
            out.reason = DCE_FLAGS[1]
        base = signal[first:stop].mean()
        if self.fitter is None:
            out.unit = "signal over its baseline - 1"
            out.reason = out.reason or "no T1: only the relative wash-in slope is measurable"
            out.curve = signal / base - 1.0 if base > 0 else None
            return out
        curves, flags = work.concentration_of(np.array([flat]))
        if int(flags[0]) not in USABLE:
            out.reason = DCE_FLAGS[int(flags[0])]
            return out
        out.curve = curves[0]
        self._fit(curves, out)
        return out

    def _fit(self, curves, out):
        fit = self.fitter.fit(curves)
        if not np.isfinite(fit["rss"][0]):
            out.reason = DCE_FLAGS[7]
            return
        out.fit = self.fitter.curve_of(fit)
        if fit["bound"][0]:
            out.reason = out.reason or DCE_FLAGS[8]
        out.values = [("model " + _MODEL_NAMES[int(fit["model"][0])], np.nan, np.nan, "")]
        for name in _DCE_NAMES:
            value = float(fit[name][0]) if name in fit else np.nan
            if np.isfinite(value):
                error = float(fit[f"se_{name}"][0]) if f"se_{name}" in fit else np.nan
                out.values.append((name, value, error, UNITS[name]))


def _aif_words(source, quality, parts):
    if not np.isfinite(quality):
        return f"{source}; no quality score (not measured in this series)"
    weakest = min(parts, key=parts.get)
    return f"{source}; quality {quality:.2f} of 1, weakest part: {weakest} ({parts[weakest]:.2f})"


def voxels_mask(voxels, shape, name):
    """Mask of chosen voxels.

    Parameters
    ----------
    voxels : iterable of (int, int, int)
        (k, j, i).
    shape : (int, int, int)
    name : str
        What they are, for the message.

    Raises
    ------
    InputError
        None of them lies inside.
    """
    mask = np.zeros(shape, bool)
    for voxel in voxels:
        if all(0 <= index < size for index, size in zip(voxel, shape, strict=True)):
            mask[tuple(voxel)] = True
    if not mask.any():
        raise InputError("no point lies inside the series", name, "Click on arteries of the series.")
    return mask
