"""Contrast agent in blood and tissue on a fine time step, independent of the analysis.

One injection: gamma-variate first pass, a broader second pass, and a slow two-phase washout. Tissue
is the extended Tofts model whose plasma has its own capillary transit (so that the first pass has a
finite mean transit time): C = vp Cp*h + Ktrans (Cp*h)*exp(-kep t), h = exp(-t/MTT)/MTT.
Convolutions with exponentials are exact for a curve that is linear between steps.
"""

import numpy as np
from scipy.signal import lfilter

from BMVascularCore.phantom.tissue import HAEMATOCRIT

STEP_S = 0.1


def blood_curve(times_s, arrival_s):
    """Whole-blood concentration in a large artery.

    Parameters
    ----------
    times_s : ndarray, shape (n,)
    arrival_s : float
        Bolus arrival.

    Returns
    -------
    ndarray, shape (n,)
        mM.
    """
    t = np.maximum(np.asarray(times_s, dtype=float) - arrival_s, 0.0)
    first = 5.5 * _gamma_variate(t, 2.6, 1.7)
    second = 0.9 * _gamma_variate(np.maximum(t - 9.0, 0.0), 2.0, 4.0)
    slow = (1.0 - np.exp(-t / 9.0)) * (0.45 * np.exp(-t / 110.0) + 0.65 * np.exp(-t / 1500.0))
    return first + second + slow


def _gamma_variate(t, alpha, beta_s):
    """Gamma-variate with peak 1 at ``alpha * beta_s``."""
    x = t / (alpha * beta_s)
    return x**alpha * np.exp(alpha * (1.0 - x))


def exponential_convolution(curve, rate_per_s, step_s=STEP_S):
    """Integral of ``curve(u) exp(-rate (t - u))`` from 0 to t, exact for a piecewise linear curve.

    Parameters
    ----------
    curve : ndarray, shape (n,)
        Sampled at even steps, zero before the first sample.
    rate_per_s, step_s : float

    Returns
    -------
    ndarray, shape (n,)
        Unit of the curve times seconds.
    """
    x = rate_per_s * step_s
    if x < 1e-6:
        newer, older = step_s / 2, step_s / 2
        decay = 1.0
    else:
        decay = np.exp(-x)
        newer = (step_s / x) * (1.0 - (1.0 - decay) / x)
        older = (step_s / x) * ((1.0 - decay) / x - decay)
    return lfilter([newer, older], [1.0, -decay], curve)


class Injection:
    """One bolus and what every tissue makes of it.

    Parameters
    ----------
    arrival_s : float
        Arrival in the large arteries, seconds from the first frame.
    duration_s : float
        Length of the simulation.
    """

    def __init__(self, arrival_s, duration_s):
        self.arrival_s = float(arrival_s)
        self.times_s = np.arange(0.0, duration_s + 60.0, STEP_S)
        self.blood_mM = blood_curve(self.times_s, arrival_s)

    def _plasma(self, tissue):
        """Arterial plasma curve at the tissue, after its delay."""
        shifted = np.interp(self.times_s - tissue.delay_s, self.times_s, self.blood_mM, left=0.0)
        return shifted / (1.0 - HAEMATOCRIT)

    def compartments(self, tissue, times_s):
        """Concentration in the plasma part and in the extravascular part of a tissue.

        Returns
        -------
        vascular_mM, extravascular_mM : ndarray, shape (n,)
            Each as its share of the whole tissue volume: their sum is the tissue concentration.
        """
        plasma = self._plasma(tissue)
        if tissue.blood:
            curve = tissue.vp * plasma
            if tissue.name == "vein":
                curve = exponential_convolution(curve, 1.0 / tissue.mtt_s) / tissue.mtt_s
            return np.interp(times_s, self.times_s, curve), np.zeros(len(times_s))
        capillary = exponential_convolution(plasma, 1.0 / tissue.mtt_s) / tissue.mtt_s
        ktrans_per_s = tissue.ktrans_per_min / 60.0
        leaked = ktrans_per_s * exponential_convolution(capillary, ktrans_per_s / tissue.ve)
        return (
            np.interp(times_s, self.times_s, tissue.vp * capillary),
            np.interp(times_s, self.times_s, leaked),
        )
