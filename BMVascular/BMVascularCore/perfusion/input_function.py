"""Where the plasma input function of a DCE analysis comes from, and whether it can be true."""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion.concentration import bolus_arrival, signal_to_concentration
from BMVascularCore.perfusion.population_aif import AIF_SOURCES, blood_to_plasma, plasma_curve
from BMVascularCore.perfusion.vif import find_vif, vessel_curve

# a tenth of a usual dose still peaks above this
_LEAST_PEAK_MM = 0.2


@dataclass
class InputFunction:
    """A plasma curve and its origin.

    Attributes
    ----------
    times_s, plasma_mM : ndarray, shape (n,)
    name : str
        One phrase for people.
    warnings : list of str
    signal : ndarray or None
        Mean raw curve of the vessel, where it was measured in the series.
    mask : ndarray of bool or None
    quality : dict or None
    """

    times_s: np.ndarray
    plasma_mM: np.ndarray
    name: str
    warnings: list = field(default_factory=list)
    signal: np.ndarray | None = None
    mask: np.ndarray | None = None
    quality: dict | None = None


def choose_input_function(series, settings, mask, baseline, aif=None, aif_mask=None):
    """Given curve, else the given vessel, else the population function, else the sagittal sinus.

    Parameters
    ----------
    series : Series
    settings : DceSettings
    mask : ndarray of bool, shape (k, j, i)
    baseline : (int, int)
    aif : (times_s, concentration_mM), optional
    aif_mask : ndarray of bool, optional

    Returns
    -------
    InputFunction

    Raises
    ------
    InputError
        A curve that holds no bolus, does not overlap the series, or a vessel that cannot be found.
    """
    if aif is not None:
        source = _given(series, settings, aif)
        at_frames = np.interp(series.times_s, source.times_s, source.plasma_mM, left=0.0)
        if at_frames.max() < 0.05 * source.plasma_mM.max():
            raise InputError(
                "has its bolus outside the frames of the series",
                "input function",
                "Give both in seconds on the same clock.",
            )
        return source
    if aif_mask is not None:
        return _measured(series, settings, baseline, np.asarray(aif_mask, bool), "given vessel mask", None)
    if settings.population_aif is not None:
        arrival = series.times_s[max(baseline[1] - 1, 0)]
        return _population(series, settings, arrival)
    found = find_vif(series, baseline, mask)
    return _measured(
        series, settings, baseline, found.mask, "superior sagittal sinus, found automatically", found
    )


def _given(series, settings, aif):
    times, values = (np.asarray(part, float) for part in aif)
    where = "input function"
    if times.ndim != 1 or times.shape != values.shape or len(times) < 3:
        raise InputError(f"{times.shape} times for {values.shape} values", where, "Give one value per time.")
    if not (np.isfinite(times).all() and np.isfinite(values).all()):
        raise InputError("holds values that are not finite", where, "Mend the curve.")
    if (np.diff(times) <= 0).any():
        raise InputError("times do not increase", where, "Sort the rows by time_s.")
    plasma = values if settings.aif_is_plasma else blood_to_plasma(values, settings.hematocrit)
    source = InputFunction(times, plasma, "given curve" + (" (plasma)" if settings.aif_is_plasma else ""))
    last = series.times_s[-1]
    if times[-1] <= series.times_s[0] or times[0] >= last:
        raise InputError(
            f"spans {times[0]:g} to {times[-1]:g} s, the series {series.times_s[0]:g} to {last:g} s",
            where,
            "Give both in seconds on the same clock.",
        )
    step = float(np.median(np.diff(series.times_s)))
    if times[-1] < last - 0.25 * (last - series.times_s[0]):
        raise InputError(
            f"ends at {times[-1]:g} s, but the series at {last:g} s",
            where,
            "Give a curve as long as the series, in seconds (not minutes).",
        )
    if times[-1] < last - 1.5 * step:
        source.warnings.append(
            f"The input function ends {last - times[-1]:.0f} s before the series; its last value is held."
        )
    _check_plasma(source)
    return source


def _check_plasma(source):
    """Refuse curves without a bolus; warn about implausible heights."""
    values = source.plasma_mM
    peak = float(values.max())
    if peak <= 0 or peak - np.median(values) <= 1e-9 * peak:
        raise InputError(
            "holds no bolus (zero or constant)", "input function", "Give another curve or vessel."
        )
    if not 0.3 <= peak <= 40:
        source.warnings.append(
            f"The input function peaks at {peak:.3g} mM in plasma; 2 to 12 mM is usual after a full dose. "
            "Are the units mM, and are repetition time and flip angle right?"
        )
    if int(np.argmax(values)) == len(values) - 1:
        source.warnings.append("The input function still rises at its end: the bolus is cut off.")


def _population(series, settings, arrival_s):
    # finer than the frames, so that the first pass keeps its shape between them; a whole part of even frames
    frame = float(np.median(np.diff(series.times_s)))
    step = frame / np.ceil(frame)
    times = np.arange(series.times_s[0], series.times_s[-1] + step, step)
    plasma = plasma_curve(settings.population_aif, times, arrival_s, settings.hematocrit)
    name = f"population function ({AIF_SOURCES[settings.population_aif][1]})"
    source = InputFunction(times, plasma, name)
    source.warnings.append(
        f"Population input function, bolus arrival taken as {arrival_s:.1f} s: the patient's own dose, "
        "injection and heart are not in these numbers."
    )
    return source


def _measured(series, settings, baseline, vessel, name, found):
    if vessel.shape != series.array.shape[1:] or not vessel.any():
        raise InputError("holds no voxel on the grid of the series", "--aif-mask", "Draw it on the series.")
    signal, quality, warnings = vessel_curve(series, vessel, baseline, found)
    if bolus_arrival(signal) is None:
        raise InputError("shows no bolus", "input function", "Give another vessel mask.")
    times = np.asarray(series.times_s, float)
    if settings.concentration:
        blood = signal
    elif settings.tr_s is None or settings.flip_deg is None:
        # only relative curves are wanted
        return InputFunction(times, np.full(len(times), np.nan), name, warnings, signal, vessel, quality)
    else:
        blood = _unsaturated(_blood_concentration(signal, settings, baseline), times, warnings)
    plasma = blood_to_plasma(blood, settings.hematocrit)
    source = InputFunction(times, plasma, name, warnings, signal, vessel, quality)
    if plasma.max() < _LEAST_PEAK_MM:
        raise InputError(
            f"measured in the series it reaches only {plasma.max():.2g} mM, so the series shows no bolus in a "
            "vessel, or starts after it",
            "input function",
            "Check repetition time and flip angle, or give --aif or --population-aif.",
        )
    _check_plasma(source)
    return source


def _blood_concentration(signal, settings, baseline):
    return signal_to_concentration(
        signal[None],
        signal[None, baseline[0] : baseline[1]].mean(axis=1),
        settings.blood_t1_s,
        np.radians(settings.flip_deg),
        settings.tr_s,
        settings.relaxivity,
        *settings.decay,
    )[0]


def _unsaturated(blood, times, warnings):
    """Bridge a few saturated frames from their neighbours, and say so."""
    good = np.isfinite(blood)
    if good.all():
        return blood
    if good.sum() < 0.7 * len(blood):
        raise InputError("is saturated in most frames", "input function", "Give --aif or --population-aif.")
    warnings.append(
        f"The vessel is saturated in {int((~good).sum())} frame(s); they are bridged from their neighbours, "
        "the peak is too low."
    )
    return np.interp(times, times[good], blood[good])
