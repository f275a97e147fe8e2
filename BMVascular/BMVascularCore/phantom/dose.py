"""Closed-form dose of a radiosurgery plan: one radial fall-off around each target, summed.

D(r) = Dmax / (1 + (r/a)^p) with D(R) = prescription on the target's margin and half of it at
R50 = R + 1.3 + 0.28 R (mm), which gives gradient indices of published plans.
"""

from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.volume import Geometry, Volume

HOT_SPOT = 1.25
MARGIN_MM = 1.0


@dataclass(frozen=True)
class TargetDose:
    """Dose of one target.

    Attributes
    ----------
    name : str
    centre_mm : tuple of float
        CT coordinates, LPS mm.
    radius_mm : float
        Where the dose equals the prescription.
    prescription_gy : float
    """

    name: str
    centre_mm: tuple
    radius_mm: float
    prescription_gy: float

    @property
    def half_radius_mm(self):
        """Where the dose is half the prescription."""
        return self.radius_mm + 1.3 + 0.28 * self.radius_mm

    @property
    def exponent(self):
        """Steepness p."""
        outer, inner = 2.0 * HOT_SPOT - 1.0, HOT_SPOT - 1.0
        return float(np.log(outer / inner) / np.log(self.half_radius_mm / self.radius_mm))

    @property
    def scale_mm(self):
        """Length a."""
        return self.radius_mm / (HOT_SPOT - 1.0) ** (1.0 / self.exponent)

    def at(self, distance_mm):
        """Dose at a distance from the centre, Gy."""
        ratio = np.asarray(distance_mm) / self.scale_mm
        return HOT_SPOT * self.prescription_gy / (1.0 + ratio**self.exponent)

    def radius_of(self, dose_gy):
        """Distance at which this target alone gives a dose, mm.

        Raises
        ------
        InputError
            Where the dose is not between 0 and the maximum.
        """
        top = HOT_SPOT * self.prescription_gy
        if not 0 < dose_gy < top:
            raise InputError(
                f"{dose_gy} Gy is not between 0 and {top} Gy", self.name, "Ask for another dose."
            )
        return self.scale_mm * (top / dose_gy - 1.0) ** (1.0 / self.exponent)

    def metrics(self):
        """Dose numbers of this target alone, in closed form.

        Returns
        -------
        dict
            piv_ml, half_piv_ml, gradient_index, v12_ml, d98_gy, d50_gy, d2_gy (of the ball inside
            the prescription isodose).
        """

        def ball_ml(radius):
            return 4.0 / 3.0 * np.pi * radius**3 / 1000.0

        piv, half = ball_ml(self.radius_mm), ball_ml(self.half_radius_mm)
        within = {
            f"d{share}_gy": self.at(self.radius_mm * (share / 100.0) ** (1 / 3)) for share in (98, 50, 2)
        }
        numbers = {
            "piv_ml": piv,
            "half_piv_ml": half,
            "gradient_index": half / piv,
            "v12_ml": ball_ml(self.radius_of(12.0)),
            **within,
        }
        return {key: float(value) for key, value in numbers.items()}


def total_dose(targets, points_mm):
    """Sum of all targets' dose at points, shape (..., 3) to (...), Gy."""
    dose = np.zeros(np.shape(points_mm)[:-1])
    for target in targets:
        dose += target.at(np.linalg.norm(np.asarray(points_mm) - target.centre_mm, axis=-1))
    return dose


def dose_volume(targets, spacing_mm, margin_mm=38.0):
    """Dose grid around all targets.

    Returns
    -------
    Volume
        Gy, float32, in CT coordinates.
    """
    centres = np.array([target.centre_mm for target in targets])
    low, high = centres.min(axis=0) - margin_mm, centres.max(axis=0) + margin_mm
    counts = np.ceil((high - low) / spacing_mm).astype(int) + 1
    geometry = Geometry(tuple(int(n) for n in counts[::-1]), (spacing_mm,) * 3, tuple(low.tolist()))
    x, y, z = (low[axis] + spacing_mm * np.arange(counts[axis]) for axis in range(3))
    dose = np.zeros(geometry.shape, np.float32)
    for target in targets:
        cx, cy, cz = target.centre_mm
        square = (
            ((z - cz) ** 2)[:, None, None] + ((y - cy) ** 2)[None, :, None] + ((x - cx) ** 2)[None, None, :]
        ).astype(np.float32)
        dose += np.float32(HOT_SPOT * target.prescription_gy) / (
            1.0 + (square / np.float32(target.scale_mm**2)) ** np.float32(target.exponent / 2.0)
        )
    meta = {"modality": "RTDOSE", "units": "GY", "summation": "PLAN"}
    return Volume(dose, geometry, "RTDOSE", meta)
