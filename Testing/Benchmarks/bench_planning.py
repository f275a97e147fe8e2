"""Planning against peers: speed and error of contours and histograms on spheres, in one run.

Peers (rt-utils, dicompyler-core) are optional: put them in a folder with ``pip install --target`` and name
it in BMV_PEERS. A peer that is absent is said and passed over.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "BMVascular"), str(ROOT / "Testing/Python")]
sys.path += [p for p in os.environ.get("BMV_PEERS", "").split(os.pathsep) if p]

import planning_cases as cases  # noqa: E402

from BMVascularCore.planning.contours import contours_volume_mm3, trace_mask  # noqa: E402
from BMVascularCore.planning.ct_series import check_planning_series  # noqa: E402
from BMVascularCore.planning.dose import DoseGrid  # noqa: E402
from BMVascularCore.planning.review import review_plan  # noqa: E402
from BMVascularCore.planning.structures import Structure, StructureSet, read_rtstruct  # noqa: E402
from BMVascularCore.volume import Volume  # noqa: E402

DIAMETERS = (3, 5, 7, 10, 20)


def contour_table():
    """Volume of contours over volume of the mask, ours and rt-utils."""
    series_headers = cases.image_headers(np.arange(-20.0, 21.0))
    series = check_planning_series(series_headers)
    print("contours: volume error against the mask (%) and seconds")
    for diameter in DIAMETERS:
        mask = cases.sphere(series.geometry, diameter, (0.2, -0.3, 0.1))
        start = time.perf_counter()
        contours = trace_mask(mask, series.geometry, series.geometry)
        took = time.perf_counter() - start
        error = 100 * (contours_volume_mm3(contours, series.geometry) / mask.sum() - 1)
        peer = peer_contours(series_headers, mask)
        print(f"  {diameter:2d} mm  BMVascular {error:+6.2f} ({took:.2f} s)  {peer}")


def peer_contours(headers, mask):
    try:
        from rt_utils import RTStructBuilder
    except ImportError:
        return "rt-utils: not installed, passed over"
    with tempfile.TemporaryDirectory() as folder:
        ct = cases.write_series(Path(folder) / "ct", headers)
        start = time.perf_counter()
        builder = RTStructBuilder.create_new(str(ct))
        builder.add_roi(mask=np.moveaxis(mask, 0, -1), name="GTV")
        builder.save(str(Path(folder) / "rs.dcm"))
        took = time.perf_counter() - start
        contours = read_rtstruct(Path(folder) / "rs.dcm").structures[0].contours
    area = sum(
        0.5 * abs(np.sum(p[:, 0] * np.roll(p[:, 1], -1) - np.roll(p[:, 0], -1) * p[:, 1])) for p in contours
    )
    return f"rt-utils {100 * (area / mask.sum() - 1):+6.2f} ({took:.2f} s)"


def plan_speed():
    """Twenty targets and fifteen organs on a dose grid of 1 mm."""
    geometry = cases.grid((120, 140, 140))
    rng = np.random.default_rng(7)
    centres = [(x, y, z) for x in (-45, -15, 15, 45) for y in (-45, -15, 15, 45) for z in (-35, 0)][:20]
    centres += [tuple(rng.uniform(-40, 40, 3)) for _ in range(20 - len(centres))]
    dose = np.full(geometry.shape, 0.5, np.float32)
    for centre in centres:
        function, _ = cases.peaked_dose(8, 7.0)
        dose = np.maximum(dose, function(np.maximum(cases.radius(geometry, centre), 1e-6)).astype(np.float32))
    targets = [
        Structure(f"GTV_{n:02d}", "GTV", cases.sphere_contours(8, 1.0, c)) for n, c in enumerate(centres, 1)
    ]
    organs = [
        Structure(
            f"Organ_{n:02d}", "ORGAN", cases.sphere_contours(20 + 2 * n, 1.0, tuple(rng.uniform(-20, 20, 3)))
        )
        for n in range(15)
    ]
    start = time.perf_counter()
    review_plan(DoseGrid(Volume(dose, geometry)), StructureSet([*targets, *organs]), 20.0)
    print(f"plan review: 20 targets and 15 organs on 1 mm: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    contour_table()
    plan_speed()
