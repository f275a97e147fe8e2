"""Dose-volume histograms from weighted samples, without bins."""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.planning.rules import planning_rules


@dataclass
class Dvh:
    """Cumulative dose-volume curve of one structure.

    Attributes
    ----------
    name : str
    dose_gy : ndarray, shape (n,)
        Falling.
    volume_mm3 : ndarray, shape (n,)
        Volume that receives at least this dose; rising.
    total_mm3 : float
        Volume of the structure.
    covered : float
        Share of the structure inside the dose grid.
    minimum_gy, maximum_gy : float
        Also over points on the surface.
    reason : str
        Why there are no dose values; empty when there are.
    """

    name: str
    dose_gy: np.ndarray
    volume_mm3: np.ndarray
    total_mm3: float
    covered: float
    minimum_gy: float = np.nan
    maximum_gy: float = np.nan
    mean_gy: float = np.nan
    reason: str = ""
    warnings: list = field(default_factory=list)

    @property
    def measurable(self):
        """True when the whole structure lies in the dose grid."""
        return not self.reason

    def dose_at_share(self, share):
        """Dose that a share (0..1) of the volume receives at least, Gy: D98 is ``dose_at_share(0.98)``."""
        return self.dose_at_mm3(share * self.total_mm3)

    def dose_at_mm3(self, volume_mm3):
        """Dose that the hottest part of a given volume receives at least, Gy; NaN when it is larger."""
        if not self.measurable or volume_mm3 > self.total_mm3 * (1 + 1e-9):
            return float("nan")
        return float(np.interp(volume_mm3, self.volume_mm3, self.dose_gy))

    def volume_at_ml(self, dose_gy):
        """Volume that receives at least a dose, mL; NaN when not measurable."""
        if not self.measurable:
            return float("nan")
        return float(np.interp(-dose_gy, -self.dose_gy, self.volume_mm3, 0.0, self.total_mm3)) / 1000.0

    def curve(self, n_points=400):
        """Even dose steps from zero: dose in Gy, volume in per cent and in mL."""
        top = self.dose_gy[0] if len(self.dose_gy) else 0.0
        dose = np.linspace(0.0, top, n_points)
        volume = np.interp(-dose, -self.dose_gy, self.volume_mm3, 0.0, self.total_mm3)
        return dose, 100.0 * volume / self.total_mm3, volume / 1000.0


def compute_dvh(name, samples, field):
    """Exact dose-volume curve of a structure.

    Every sample counts with its own volume; the curve runs through the middle of each sample's volume.
    Nothing is extrapolated: a structure that the dose grid does not cover has no dose values, only the
    reason and the covered share.

    Parameters
    ----------
    name : str
    samples : Samples
    field : DoseField

    Returns
    -------
    Dvh
    """
    dose = field.at(samples.points_lps_mm)
    weights = samples.weights_mm3
    total = float(weights.sum())
    known = np.isfinite(dose)
    covered = float(weights[known].sum()) / total
    if covered < 1.0 - planning_rules()["dose_coverage_tolerance"]:
        return Dvh(name, np.zeros(0), np.zeros(0), total, covered, reason=_outside(covered))
    dose, weights = dose[known], weights[known] * (total / weights[known].sum())
    order = np.argsort(-dose, kind="stable")
    dose, weights = dose[order], weights[order]
    middle = np.cumsum(weights) - 0.5 * weights
    surface = field.at(samples.surface_lps_mm)
    surface = surface[np.isfinite(surface)]
    low = min(float(dose[-1]), float(surface.min())) if len(surface) else float(dose[-1])
    high = max(float(dose[0]), float(surface.max())) if len(surface) else float(dose[0])
    mean = float(np.average(dose, weights=weights))
    return Dvh(name, dose, middle, total, covered, low, high, mean)


def _outside(covered):
    if covered <= 0:
        return "lies outside the dose grid"
    return f"lies only to {100 * covered:.1f} % inside the dose grid"
