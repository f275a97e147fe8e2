"""Spheres with a dose whose figures are known in closed form, put through the plan review.

Dose falls radially, D(r) = peak / (1 + (r / a)^p), with the prescription on the sphere's surface and half of
it at the radius r50. Then every figure is a radius: D98 lies where a ball of 98 % of the volume ends, the
isodose volume is a ball.
"""

import numpy as np

from BMVascularCore.planning.dose import DoseGrid
from BMVascularCore.planning.review import review_plan
from BMVascularCore.planning.structures import Structure, StructureSet
from BMVascularCore.progress import silent
from BMVascularCore.volume import Geometry, Volume

PRESCRIPTION_GY, PEAK_GY = 20.0, 25.0
DIAMETERS_MM = (3.0, 5.0, 7.0, 10.0, 20.0)
_GRID_MM, _MASK_MM = 1.0, 0.25
# off the grid's symmetry, as in patients
_CENTRE_MM = np.array((0.23, -0.31, 0.17))
QUANTITIES = (
    ("volume_ml", "mL"),
    ("d98_gy", "Gy"),
    ("d50_gy", "Gy"),
    ("d2_gy", "Gy"),
    ("piv_ml", "mL"),
    ("v12_ml", "mL"),
    ("gradient_index", ""),
    ("paddick_ci", ""),
)


def run_self_test(diameters_mm=DIAMETERS_MM, progress=silent):
    """Compare the plan review with closed forms.

    Parameters
    ----------
    diameters_mm : sequence of float
    progress : callable

    Returns
    -------
    list of dict
        ``diameter_mm``, ``quantity``, ``unit``, ``exact``, ``computed``, ``error_percent``.
    """
    rows = []
    for number, diameter in enumerate(diameters_mm):
        progress(number / len(diameters_mm), f"sphere of {diameter:g} mm")
        exact, found = _exact(diameter), _computed(diameter)
        for key, unit in QUANTITIES:
            error = 100.0 * (found[key] / exact[key] - 1.0)
            rows.append(
                {"diameter_mm": diameter, "quantity": key, "unit": unit, "exact": exact[key],
                 "computed": found[key], "error_percent": error}
            )  # fmt: skip
    progress(1.0, "self-test")
    return rows


def _fall_off(diameter):
    """Length a and power p of the radial dose; half the prescription at a radius typical of linac plans."""
    surface = diameter / 2.0
    half = surface + 1.3 + 0.28 * surface
    odds = PEAK_GY / PRESCRIPTION_GY - 1.0, 2.0 * PEAK_GY / PRESCRIPTION_GY - 1.0
    power = np.log(odds[1] / odds[0]) / np.log(half / surface)
    return surface / odds[0] ** (1.0 / power), power


def _exact(diameter):
    length, power = _fall_off(diameter)

    def dose(radius):
        return PEAK_GY / (1.0 + (radius / length) ** power)

    def ball_ml(level):
        return 4.0 / 3.0 * np.pi * (length * (PEAK_GY / level - 1.0) ** (1.0 / power)) ** 3 / 1000.0

    surface = diameter / 2.0
    return {
        "volume_ml": np.pi * diameter**3 / 6000.0,
        **{f"d{share}_gy": dose(surface * np.cbrt(share / 100.0)) for share in (98, 50, 2)},
        "piv_ml": ball_ml(PRESCRIPTION_GY),
        "v12_ml": ball_ml(12.0),
        "gradient_index": ball_ml(PRESCRIPTION_GY / 2) / ball_ml(PRESCRIPTION_GY),
        "paddick_ci": 1.0,
    }


def _computed(diameter):
    length, power = _fall_off(diameter)
    reach = 1.2 * length * (PEAK_GY / 8.0 - 1.0) ** (1.0 / power) + 4.0
    grid = _cube(reach, _GRID_MM)
    dose = PEAK_GY / (1.0 + (_radius(grid) / length) ** power)
    box = _cube(diameter / 2.0 + 1.5, _MASK_MM)
    mask = Volume(_radius(box) <= diameter / 2.0, box, "sphere")
    review = review_plan(
        DoseGrid(Volume(dose.astype(np.float32), grid, "dose")),
        StructureSet([Structure("GTV", "GTV", [], mask)]),
        PRESCRIPTION_GY,
    )
    return review.rows[0]


def _cube(half_width, spacing):
    count = 2 * int(np.ceil(half_width / spacing)) + 1
    start = -0.5 * (count - 1) * spacing
    return Geometry((count,) * 3, (spacing,) * 3, (start,) * 3)


def _radius(geometry):
    index = np.stack(np.meshgrid(*[np.arange(n) for n in geometry.shape], indexing="ij"), axis=-1)
    return np.linalg.norm(geometry.points_of(index) - _CENTRE_MM, axis=-1)
