"""DCE-MRI: from a series (signal or concentration) to kinetic parameter maps."""

from dataclasses import replace

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.chunks import pieces
from BMVascularCore.perfusion.concentration import bolus_arrival, signal_to_concentration
from BMVascularCore.perfusion.dce_settings import (
    FLAGS,
    MODEL_INDEX,
    UNITS,
    USABLE,
    DceResult,
    DceSettings,
    candidates,
)
from BMVascularCore.perfusion.frames import without_lost_frames
from BMVascularCore.perfusion.input_function import choose_input_function
from BMVascularCore.perfusion.kinetics import KineticFitter
from BMVascularCore.perfusion.methods_text import describe_dce
from BMVascularCore.progress import share_of, silent

__all__ = ["DceResult", "DceSettings", "run_dce"]

_T1_PLAUSIBLE_S = (0.05, 10.0)
_INDEX_MAPS = ("model", "flags")


def run_dce(series, settings, t1_s=None, mask=None, aif=None, progress=None, aif_mask=None, b1=None):
    """Kinetic analysis of a DCE series.

    Parameters
    ----------
    series : Series
        Signal, or concentration in mM with ``settings.concentration``.
    settings : DceSettings
    t1_s : ndarray, shape (k, j, i), optional
        T1 before the agent, seconds. Without it and without ``settings.t10_s`` only the wash-in
        slope relative to the input function is given.
    mask : ndarray of bool, shape (k, j, i), optional
        Voxels to analyse; the head by default.
    aif : (times_s, concentration_mM), optional
        Input function on the clock of the series; whole blood unless ``settings.aif_is_plasma``.
    progress : callable, optional
    aif_mask : ndarray of bool, shape (k, j, i), optional
        Vessel in which to measure the input function.
    b1 : ndarray, shape (k, j, i), optional
        Actual over nominal flip angle.

    Returns
    -------
    DceResult

    Raises
    ------
    InputError
        Settings that cannot work, shapes that differ, no voxel to analyse, an input function that
        holds no bolus.
    """
    inside = None if mask is None else np.asarray(mask, bool)
    series = without_lost_frames(series, inside, not settings.concentration, settings.baseline)
    settings.check(len(series.times_s), t1_s is not None)
    work = DceWork(series, settings, t1_s, mask, b1)
    progress = progress or silent
    progress(0.0, "input function")
    source = work.input_function(aif, aif_mask)
    if work.has_concentration:
        maps = _kinetic_maps(work, source, share_of(progress, 0.05, 1.0))
    else:
        maps = _relative_maps(work, source)
    return _finish(work, source, maps)


class DceWork:
    """The checked inputs of one run."""

    def __init__(self, series, settings, t1_s, mask, b1):
        self.series, self.settings = series, settings
        self.warnings = list(series.meta.get("warnings", []))
        self.shape = series.array.shape[1:]
        for name, image in (("T1 map", t1_s), ("mask", mask), ("B1 map", b1)):
            if image is not None and np.shape(image) != self.shape:
                raise InputError(
                    f"shape {np.shape(image)} is not that of the series {self.shape}",
                    name,
                    "Resample it to the series first.",
                )
        self.t1, self.b1 = t1_s, b1
        self.mask = _head(series, settings) if mask is None else np.asarray(mask, bool)
        if not self.mask.any():
            raise InputError("holds no voxel to analyse", "mask", "Give a mask that covers the brain.")
        self.index = np.flatnonzero(self.mask)
        self.flat = series.array.reshape(len(series.times_s), -1)
        self.baseline = settings.baseline or self._find_baseline()
        self._warn()

    @property
    def has_concentration(self):
        """Whether concentration can be had at all."""
        return self.settings.concentration or self.t1 is not None or self.settings.t10_s is not None

    def _find_baseline(self):
        """Frames before the bolus, from the median curve of the voxels that enhance most."""
        curve = _enhancing_curve(self.flat, self.index)
        arrival = bolus_arrival(curve)
        if arrival is None or arrival < 1:
            raise InputError(
                "shows no frame before the bolus arrives",
                self.series.name,
                "Give --baseline FIRST:LAST, or a series that starts before the injection.",
            )
        return (1 if arrival > 3 else 0, arrival)

    def _warn(self):
        first, stop = self.baseline
        if not self.settings.concentration and stop - first < 3:
            self.warnings.append(
                f"{self.series.name}: baseline of {stop - first} frame(s); "
                "its noise goes into every concentration."
            )
        after = self.series.times_s[-1] - self.series.times_s[min(stop, len(self.series.times_s) - 1)]
        if after < 120:
            self.warnings.append(
                f"{self.series.name}: only {after:.0f} s after the bolus arrives; "
                "ve and low Ktrans are not reliable."
            )
        if not self.has_concentration:
            self.warnings.append(
                f"{self.series.name}: no T1 map and no --t10: only the relative wash-in slope is given."
            )

    def input_function(self, aif=None, aif_mask=None):
        """The input function of the run; its warnings are taken over."""
        settings = self.settings
        if not self.has_concentration:
            # a relative slope needs a vessel of this very series
            settings, aif = replace(settings, population_aif=None), None
        source = choose_input_function(self.series, settings, self.mask, self.baseline, aif, aif_mask)
        self.warnings += source.warnings
        return source

    def concentration(self, start, stop):
        """Concentration curves of some voxels of the mask, and their flags."""
        return self.concentration_of(self.index[start:stop])

    def concentration_of(self, index):
        """Concentration curves of voxels by their flat indices, and their flags."""
        data = self.flat[:, index].T.astype(float)
        flags = np.zeros(len(index), np.uint8)
        if self.settings.concentration:
            curves = data
        else:
            first, last = self.baseline
            base = data[:, first:last].mean(axis=1)
            t10 = self._t10(index)
            flip = np.radians(self.settings.flip_deg) * (1.0 if self.b1 is None else self.b1.ravel()[index])
            curves = signal_to_concentration(
                data,
                base,
                t10,
                np.broadcast_to(flip, base.shape),
                self.settings.tr_s,
                self.settings.relaxivity,
                *self.settings.decay,
            )
            flags[~np.isfinite(curves).all(axis=1)] = 5
            plausible = (t10 > _T1_PLAUSIBLE_S[0]) & (t10 < _T1_PLAUSIBLE_S[1])
            flags[~(plausible & np.isfinite(flip))] = 6
            flags[~(base > 0)] = 4
        flags[np.ptp(data, axis=1) == 0] = 3
        flags[~np.isfinite(data).all(axis=1)] = 2
        curves[~np.isin(flags, USABLE)] = 0.0
        return curves, flags

    def _t10(self, index):
        if self.t1 is None:
            return np.full(len(index), float(self.settings.t10_s))
        return np.asarray(self.t1.ravel()[index], float)


def _head(series, settings):
    """Voxels worth fitting when no mask is given: the head, or any finite non-zero concentration."""
    if settings.concentration:
        # frame by frame: a copy of the whole series would double the memory
        inside = np.zeros(series.array.shape[1:], bool)
        for frame in series.array:
            inside |= np.isfinite(frame) & (frame != 0)
        return inside
    mean = np.nan_to_num(series.array[: max(1, len(series.times_s) // 8)].mean(axis=0, dtype=np.float32))
    return mean > 0.1 * np.percentile(mean, 98)


def _enhancing_curve(flat, index, limit=20000):
    """Median curve of the tenth of the voxels whose value rises most."""
    sample = index[:: max(1, len(index) // limit)]
    curves = flat[:, sample].astype(float)
    curves = curves[:, np.isfinite(curves).all(axis=0)]
    if curves.shape[1] == 0:
        raise InputError("holds no voxel with finite values", "series", "Export the series again.")
    before = np.median(curves[: max(2, len(curves) // 10)], axis=0)
    rise = curves.max(axis=0) - before
    # voxels of mere noise jump from frame to frame by as much as they rise for more than a moment
    jumps = np.abs(np.diff(curves, axis=0)).mean(axis=0)
    steady = jumps < 0.15 * (np.quantile(curves, 0.8, axis=0) - before)
    if steady.any():
        curves, rise = curves[:, steady], rise[steady]
    return np.median(curves[:, rise >= np.quantile(rise, 0.9)], axis=1)


def _kinetic_maps(work, source, progress):
    times = work.series.times_s
    settings = work.settings
    fitter = KineticFitter(
        source.times_s, source.plasma_mM, times, settings.model, settings.fit_delay, settings.delay_range_s
    )
    n = len(work.index)
    maps = {"flags": np.ones(work.mask.size, np.uint8)}
    for start, stop in pieces(n, settings.chunk):
        curves, flags = work.concentration(start, stop)

        def tell(fraction, start=start, stop=stop):
            progress((start + fraction * (stop - start)) / n, f"fitting {settings.model}")

        fit = fitter.fit(curves, tell)
        fit["iaugc60"] = iaugc(times, curves, times[work.baseline[1] - 1], 60.0)
        _store(work, maps, start, stop, fit, flags)
    return maps


def _store(work, maps, start, stop, fit, flags):
    """Put the numbers of one piece into the maps; NaN where the flag says not measurable."""
    where = work.index[start:stop]
    bound = fit.pop("bound")
    flags[(flags == 0) & ~np.isfinite(fit["rss"])] = 7
    flags[(flags == 0) & bound] = 8
    usable = np.isin(flags, USABLE)
    for name, values in fit.items():
        image = maps.setdefault(name, np.full(work.mask.size, np.nan, np.float32))
        image[where] = np.where(usable, values, np.nan)
    maps["flags"][where] = flags


def iaugc(times_s, curves, start_s, seconds):
    """Area under the concentration curve from a start over some seconds, end point interpolated.

    Parameters
    ----------
    times_s : ndarray, shape (t,)
    curves : ndarray, shape (v, t)
        mM.
    start_s, seconds : float

    Returns
    -------
    ndarray, shape (v,)
        mM s; NaN when the series ends before.
    """
    stop_s = start_s + seconds
    if stop_s > times_s[-1] + 1e-9:
        return np.full(len(curves), np.nan)
    # weights of the trapezoid rule on a grid that has both ends as points
    grid = np.unique(np.concatenate([[start_s, stop_s], times_s[(times_s > start_s) & (times_s < stop_s)]]))
    weights = np.zeros(len(grid))
    weights[:-1] += np.diff(grid) / 2
    weights[1:] += np.diff(grid) / 2
    cell = np.clip(np.searchsorted(times_s, grid, side="right") - 1, 0, len(times_s) - 2)
    share = (grid - times_s[cell]) / (times_s[cell + 1] - times_s[cell])
    frame_weights = np.zeros(len(times_s))
    np.add.at(frame_weights, cell, weights * (1 - share))
    np.add.at(frame_weights, cell + 1, weights * share)
    return curves @ frame_weights


def _relative_maps(work, source):
    """Steepest relative wash-in of each voxel over that of the input function, without any T1."""
    times, (first, stop) = work.series.times_s, work.baseline
    maps = {"flags": np.ones(work.mask.size, np.uint8)}
    reference = _steepest(times, source.signal[None], first, stop)[0]
    for start, end in pieces(len(work.index), work.settings.chunk):
        data = work.flat[:, work.index[start:end]].T.astype(float)
        flags = np.zeros(len(data), np.uint8)
        flags[~(data[:, first:stop].mean(axis=1) > 0)] = 4
        flags[np.ptp(data, axis=1) == 0] = 3
        flags[~np.isfinite(data).all(axis=1)] = 2
        data[flags > 0] = 1.0
        slope = _steepest(times, data, first, stop) / reference
        fit = {"washin": slope, "rss": np.zeros(len(slope)), "bound": np.zeros(len(slope), bool)}
        _store(work, maps, start, end, fit, flags)
    maps.pop("rss")
    return maps


def _steepest(times_s, signals, first, stop):
    """Largest rise of the relative signal over three frames, 1/s, from the frame before arrival on."""
    relative = signals / signals[:, first:stop].mean(axis=1, keepdims=True)
    begin = max(stop - 1, 0)
    span = times_s[begin + 2 :] - times_s[begin:-2]
    return ((relative[:, begin + 2 :] - relative[:, begin:-2]) / span).max(axis=1)


def _finish(work, source, maps):
    flags = maps["flags"].reshape(work.shape)
    maps = {name: image.reshape(work.shape) for name, image in maps.items()}
    units = {name: UNITS[name.removeprefix("se_")] for name in maps}
    valid = np.isin(flags, USABLE)
    counts = {FLAGS[int(v)]: int(n) for v, n in zip(*np.unique(flags, return_counts=True), strict=True)}
    summary = {"voxels": counts, "baseline_frames": list(work.baseline), "aif_source": source.name}
    if "model" in maps:
        names = {index: name for name, index in MODEL_INDEX.items()}
        chosen, numbers = np.unique(maps["model"][valid], return_counts=True)
        summary["models"] = {names[int(m)]: int(n) for m, n in zip(chosen, numbers, strict=True)}
    for name, image in maps.items():
        if name not in _INDEX_MAPS and np.isfinite(image[valid]).any():
            summary[f"median_{name}"] = float(np.nanmedian(image[valid]))
    inside = int(work.mask.sum())
    if valid.sum() < 0.5 * inside:
        work.warnings.append(
            f"{work.series.name}: {100 * (1 - valid.sum() / inside):.0f} % of the voxels are not measurable "
            "(see the flags map); are repetition time, flip angle and T1 right?"
        )
    return DceResult(
        maps,
        units,
        source.times_s,
        source.plasma_mM,
        source.name,
        work.warnings,
        describe_dce(
            work.settings,
            source,
            work.baseline,
            work.t1 is not None,
            candidates(work.series.times_s, work.settings.fit_delay),
        ),
        valid,
        source.quality,
        source.mask,
        summary,
    )
