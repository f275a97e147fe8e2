"""Population arterial input functions, as whole-blood or plasma concentration over time.

All start at the arrival of the bolus in the artery (time 0) and are zero before it.
"""

import numpy as np
from scipy.special import gammaln

from BMVascularCore.errors import InputError

DEFAULT_HEMATOCRIT = 0.42

# short name -> (is plasma, reference)
AIF_SOURCES = {
    "parker": (False, "Parker 2006, Magn Reson Med 56:993"),
    "georgiou": (False, "Georgiou 2019, Magn Reson Med 81:1808, constants refitted to the published curve"),
    "weinmann": (True, "Weinmann 1984, Physiol Chem Phys Med NMR 16:167; Tofts and Kermode 1991"),
    "brain": (False, "Heye 2016, NeuroImage 125:446 (Parker with a tail measured over 20 min in the brain)"),
}


def _first_pass(t):
    """The two Gaussians of Parker's function, mM over minutes."""
    total = np.zeros_like(t)
    for area, centre, width in ((0.809, 0.17046, 0.0563), (0.330, 0.365, 0.132)):
        total += area / (width * np.sqrt(2 * np.pi)) * np.exp(-((t - centre) ** 2) / (2 * width**2))
    return total


def _onset(t):
    return 1.0 / (1.0 + np.exp(-38.078 * (t - 0.483)))


def parker(times_min):
    """Parker's function, whole blood, mM."""
    t = np.asarray(times_min, float)
    return np.where(t >= 0, _first_pass(t) + 1.050 * np.exp(-0.1685 * t) * _onset(t), 0.0)


def brain(times_min):
    """Parker's first pass with the slow tail of Heye 2016, for scans of 10 to 25 min; whole blood, mM."""
    t = np.asarray(times_min, float)
    tail = 3.1671 * np.exp(-1.0165 * t) + 0.5628 * np.exp(-0.0266 * t)
    return np.where(t >= 0, _first_pass(t) + tail * _onset(t), 0.0)


def georgiou(times_min):
    """Georgiou's function with its recirculations, whole blood, mM.

    Each recirculation is the gamma-variate of the first pass convolved with itself, one period later.
    The published digits miss the published curve by up to 0.08 mM; these constants follow it.
    """
    t = np.asarray(times_min, float)
    alpha, beta, tau = 5.26698902, 0.03207883, 0.128556
    elimination = sum(
        amount * np.exp(-rate * np.maximum(t, 0))
        for amount, rate in (
            (0.37432171, 0.11270067),
            (0.33118441, 1.17464623),
            (10.0612258, 16.01996202),
        )
    )
    passes = np.zeros_like(t)
    for j in range(int(np.ceil(max(t.max(initial=0.0), 0.0) / tau)) + 1):
        shape = (j + 1) * alpha + j
        late = t - j * tau
        positive = np.where(late > 0, late, 1.0)
        log_gamma = shape * np.log(positive / beta) - positive / beta - gammaln(shape + 1) - np.log(beta)
        passes += np.where(late > 0, np.exp(log_gamma), 0.0)
    return np.where(t >= 0, elimination * passes, 0.0)


def weinmann(times_min, dose_mmol_per_kg=0.1):
    """Weinmann's two exponentials, plasma, mM; no first pass, so only for slow scans."""
    t = np.asarray(times_min, float)
    curve = dose_mmol_per_kg * (3.99 * np.exp(-0.144 * t) + 4.78 * np.exp(-0.0111 * t))
    return np.where(t >= 0, curve, 0.0)


def plasma_curve(name, times_s, arrival_s=0.0, hematocrit=DEFAULT_HEMATOCRIT):
    """A population function at given times, as plasma concentration.

    Parameters
    ----------
    name : {"parker", "georgiou", "weinmann", "brain"}
    times_s : array_like
    arrival_s : float
        When the bolus arrives.
    hematocrit : float
        Whole blood over one minus this is plasma.

    Returns
    -------
    ndarray
        mM in plasma.

    Raises
    ------
    InputError
        Unknown name, or a hematocrit outside 0.1..0.7.
    """
    functions = {"parker": parker, "georgiou": georgiou, "weinmann": weinmann, "brain": brain}
    if name not in functions:
        raise InputError(f"unknown function '{name}'", "--population-aif", f"Use {', '.join(functions)}.")
    curve = functions[name]((np.asarray(times_s, float) - arrival_s) / 60.0)
    return curve if AIF_SOURCES[name][0] else blood_to_plasma(curve, hematocrit)


def blood_to_plasma(blood_mM, hematocrit):
    """Plasma concentration from whole blood: divided by one minus the hematocrit.

    Raises
    ------
    InputError
        Hematocrit outside 0.1..0.7.
    """
    if not 0.1 <= hematocrit <= 0.7:
        raise InputError(
            f"hematocrit {hematocrit:g} is implausible", "--hematocrit", "Give a fraction, for example 0.42."
        )
    return np.asarray(blood_mM, float) / (1.0 - hematocrit)
