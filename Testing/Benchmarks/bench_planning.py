"""Planning against closed forms and peers, in one run: contours, margins, histograms, organs, speed.

Peers are optional: install rt-utils, dicompyler-core, dcmrtstruct2nii, platipy (PyPI) and plastimatch (Debian)
where this runs, or name a folder made with ``pip install --target`` in BMV_PEERS. An absent peer is said and passed
over. Times are CPU seconds of this process (of the child for plastimatch).
"""

import contextlib
import io
import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("BMVascular", "Testing/Python", "Testing/Python/unit")]
sys.path += [p for p in os.environ.get("BMV_PEERS", "").split(os.pathsep) if p]

import planning_cases as cases  # noqa: E402
import planning_foreign as foreign  # noqa: E402
import pydicom  # noqa: E402
import pydicom.dicomio  # noqa: E402
import SimpleITK as sitk  # noqa: E402

from BMVascularCore.io.dicom_files import save_dicom  # noqa: E402
from BMVascularCore.planning.contours import contours_volume_mm3, trace_mask  # noqa: E402
from BMVascularCore.planning.ct_series import check_planning_series  # noqa: E402
from BMVascularCore.planning.dose import DoseField, DoseGrid, read_dose  # noqa: E402
from BMVascularCore.planning.dvh import compute_dvh  # noqa: E402
from BMVascularCore.planning.oar import surface_distances  # noqa: E402
from BMVascularCore.planning.rasterise import mask_of_contours  # noqa: E402
from BMVascularCore.planning.review import review_plan  # noqa: E402
from BMVascularCore.planning.rtstruct import Roi, build_rtstruct  # noqa: E402
from BMVascularCore.planning.sampling import sample_contours  # noqa: E402
from BMVascularCore.planning.structures import Structure, StructureSet, read_rtstruct  # noqa: E402
from BMVascularCore.planning.targets import make_targets  # noqa: E402
from BMVascularCore.volume import Volume  # noqa: E402

# two peers still ask for a name that pydicom 3 has dropped
for module in (pydicom, pydicom.dicomio):
    if not hasattr(module, "read_file"):
        module.read_file = pydicom.dcmread

DIAMETERS = (3, 4, 5, 7, 10, 20)
CENTRES = 12
FINE_MM = 0.25


@contextlib.contextmanager
def quiet():
    """Peers talk; their table is all that is wanted."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def spread(values, unit="%"):
    values = np.asarray(values, float)
    return f"{values.mean():+6.1f} [{values.min():+6.1f},{values.max():+6.1f}]{unit}"


def polygon_volume(contours, step):
    return step * sum(
        0.5 * abs(np.sum(p[:, 0] * np.roll(p[:, 1], -1) - np.roll(p[:, 0], -1) * p[:, 1])) for p in contours
    )


def middle_of(contours):
    """Centroid of planar axial contours by area."""
    areas, centres = [], []
    for p in contours:
        x, y = (p[:, :2] - p[0, :2]).T
        cross = x * np.roll(y, -1) - np.roll(x, -1) * y
        centre = np.array([((x + np.roll(x, -1)) * cross).sum(), ((y + np.roll(y, -1)) * cross).sum()])
        centres.append([*(centre / (3 * cross.sum()) + p[0, :2]), p[0, 2]])
        areas.append(abs(cross.sum()))
    return np.average(centres, axis=0, weights=areas)


def contour_table():
    """C1 and C2: volume over mask and over the true sphere, from masks and from shares of voxels; rt-utils beside."""
    print(
        "\nC1, C2  structure set from masks of 1 mm; error of volume over mask, over the sphere; centroid error"
    )
    rng = np.random.default_rng(1)
    headers = cases.image_headers(np.arange(-18.0, 19.0))
    series = check_planning_series(headers)
    grid = series.geometry
    with tempfile.TemporaryDirectory() as folder:
        ct = cases.write_series(Path(folder) / "ct", headers)
        for diameter in DIAMETERS:
            rows = {"BMVascular": [], "shares": [], "rt-utils": []}
            for _ in range(CENTRES):
                centre = rng.uniform(-0.5, 0.5, 3)
                mask = cases.sphere(grid, diameter, centre)
                if not mask.any():
                    continue
                rows["shares"].append(from_shares(grid, diameter, centre))
                for name, write in (("BMVascular", own_structure_set), ("rt-utils", rt_utils_structure_set)):
                    file = Path(folder) / "rs.dcm"
                    start = time.process_time()
                    if not write(ct, series, mask, file):
                        continue
                    took = time.process_time() - start
                    contours = read_rtstruct(file).structures[0].contours
                    volume = polygon_volume(contours, 1.0) if contours else 0.0
                    away = np.linalg.norm(middle_of(contours) - centre) if contours else np.nan
                    rows[name].append(
                        (volume / mask.sum(), volume / (1000 * cases.sphere_ml(diameter)), away, took)
                    )
            for name, found in rows.items():
                print_contours(diameter, name, np.array(found))


def print_contours(diameter, name, found):
    if not len(found):
        print(f"  {diameter:2d} mm  {name:10s} not installed, passed over")
        return
    over_mask, over_sphere = (100.0 * (found[:, n] - 1.0) for n in (0, 1))
    print(
        f"  {diameter:2d} mm  {name:10s} mask {spread(over_mask)}  sphere {spread(over_sphere)}  "
        f"centroid {np.nanmean(found[:, 2]):.2f} mm  lost {int((found[:, 0] == 0).sum())}  {found[:, 3].mean():.2f} s"
    )


def from_shares(grid, diameter, centre):
    """Volume over the target's mask, over the sphere, centroid error and time, from the shares of voxels."""
    from test_planning_contours import shares_of_sphere

    shares = shares_of_sphere(grid, diameter, centre)
    labels = Volume((shares.array > min(0.5, shares.array.max() / 2)).astype(np.int32), grid)
    start = time.process_time()
    (target,) = make_targets(labels, {}, 0.0, 0.0, shares=shares).targets
    mask = target.masks["GTV"]
    contours = trace_mask(mask.array, mask.geometry, grid)
    took = time.process_time() - start
    volume = contours_volume_mm3(contours, grid) / 1000.0
    away = np.linalg.norm(target.centre_lps_mm - centre)
    return (
        volume / (mask.array.sum() * mask.geometry.voxel_ml),
        volume / cases.sphere_ml(diameter),
        away,
        took,
    )


def own_structure_set(_ct, series, mask, file):
    contours = trace_mask(mask, series.geometry, series.geometry)
    save_dicom(file, build_rtstruct(series, [Roi("GTV", "GTV", contours)]))
    return True


def rt_utils_structure_set(ct, _series, mask, file):
    try:
        from rt_utils import RTStructBuilder
    except ImportError:
        return False
    with quiet():
        builder = RTStructBuilder.create_new(str(ct))
        builder.add_roi(mask=np.moveaxis(mask, 0, -1), name="GTV")
        builder.save(str(file))
    return True


def overlap(a, b):
    return 2.0 * (a & b).sum() / max(a.sum() + b.sum(), 1)


def hausdorff95(a, b):
    """95th percentile of the distances between the border voxels of two masks of 1 mm, mm."""
    from scipy import ndimage

    edges = [m & ~ndimage.binary_erosion(m) for m in (a, b)]
    both = [ndimage.distance_transform_edt(~other)[edge] for edge, other in (edges, edges[::-1])]
    return float(np.percentile(np.concatenate(both), 95))


def reread_table():
    """C3 and X4: one structure set of spheres read by ourselves and by others, against the masks."""
    print("\nC3, X4  structure set read back as masks of 1 mm: Dice / Hausdorff95 (mm)")
    headers = cases.image_headers(np.arange(-32.0, 33.0), pixels=96, origin=(-48.0, -48.0))
    series = check_planning_series(headers)
    grid = series.geometry
    places = dict(zip(DIAMETERS[2:], ((-30.3, -20.2, 5.1), (20.4, -25.3, -8.2), (-20.1, 20.3, 10.4), (20.2, 15.1, 0.3)),
                      strict=True))  # fmt: skip
    masks = {f"GTV_{d:02d}": cases.sphere(grid, d, np.array(c)) for d, c in places.items()}
    with tempfile.TemporaryDirectory() as folder:
        ct = cases.write_series(Path(folder) / "ct", headers)
        file = Path(folder) / "rs.dcm"
        rois = [Roi(name, "GTV", trace_mask(mask, grid, grid)) for name, mask in masks.items()]
        save_dicom(file, build_rtstruct(series, rois))
        for reader in (own_reader, rt_utils_reader, dcmrtstruct_reader, platipy_reader, plastimatch_reader):
            try:
                found = reader(file, ct, grid, Path(folder) / reader.__name__)
            except ImportError as error:
                print(f"  {reader.__name__[:-7]:12s} {error}, passed over")
                continue
            cells = [f"{name} {overlap(found[name], m):.3f} / {hausdorff95(found[name], m):.2f}"
                     if name in found and found[name].any() else f"{name} missing" for name, m in masks.items()]  # fmt: skip
            print(f"  {reader.__name__[:-7]:12s} " + "   ".join(cells))


def own_reader(file, _ct, grid, _folder):
    return {s.name: mask_of_contours(s.contours, grid).array for s in read_rtstruct(file).structures}


def rt_utils_reader(file, ct, _grid, _folder):
    from rt_utils import RTStructBuilder

    with quiet():
        loaded = RTStructBuilder.create_from(str(ct), str(file))
        return {n: np.moveaxis(loaded.get_roi_mask_by_name(n), -1, 0) for n in loaded.get_roi_names()}


def dcmrtstruct_reader(file, ct, _grid, folder):
    from dcmrtstruct2nii import dcmrtstruct2nii

    with quiet():
        dcmrtstruct2nii(str(file), str(ct), str(folder), convert_original_dicom=False)
    return {p.name.split(".")[0].removeprefix("mask_"): read_mask(p) for p in folder.glob("mask_*.nii.gz")}


def platipy_reader(file, ct, _grid, folder):
    try:
        from platipy.dicom.io.rtstruct_to_nifti import (
            read_dicom_image,
            read_dicom_struct_file,
            transform_point_set_from_dicom_struct,
        )
    except ImportError as error:
        raise ImportError("platipy is not installed") from error
    folder.mkdir()
    with quiet():
        image = read_dicom_image(str(ct))
        found, names = transform_point_set_from_dicom_struct(image, read_dicom_struct_file(str(file)))
    return {n: sitk.GetArrayFromImage(one) > 0 for n, one in zip(names, found, strict=True)}


def plastimatch_reader(file, ct, _grid, folder):
    if shutil.which("plastimatch") is None:
        raise ImportError("plastimatch is not installed")
    subprocess.run(
        ["plastimatch", "convert", "--input", str(file), "--referenced-ct", str(ct), "--output-prefix", str(folder),
         "--prefix-format", "nrrd"], check=True, capture_output=True,
    )  # fmt: skip
    return {p.stem: read_mask(p) for p in folder.glob("*.nrrd")}


def read_mask(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))) > 0


def margin_table():
    """C4: a margin of 1 mm on voxels of 0.7 x 0.7 x 1 mm against the sphere of R + 1; voxel dilation beside."""
    print(
        "\nC4  PTV of a margin of 1 mm over the sphere of R + 1: this, ellipsoid dilation, distance at voxel centres"
    )
    rng = np.random.default_rng(2)
    grid = cases.grid((40, 56, 56), (0.7, 0.7, 1.0))
    for diameter in (5, 10, 20):
        rows = []
        for _ in range(6):
            mask = cases.sphere(grid, diameter, rng.uniform(-0.5, 0.5, 3))
            exact = cases.sphere_ml(diameter + 2.0)
            (target,) = make_targets(Volume(mask.astype(np.int32), grid), {}, 0.0, 1.0).targets
            image = Volume(mask.astype(np.uint8), grid).to_sitk()
            dilated = sitk.GetArrayFromImage(sitk.BinaryDilate(image, [1, 1, 1], sitk.sitkBall)).sum()
            distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
            near = (sitk.GetArrayFromImage(distance) <= 1.0).sum()
            rows.append([target.ml["PTV"], dilated * grid.voxel_ml, near * grid.voxel_ml] / np.float64(exact))
        print(f"  {diameter:2d} mm  " + "  ".join(spread(100 * (np.array(rows)[:, n] - 1)) for n in range(3)))


def sphere_plan(folder, diameter, centre):
    """Structure set and dose with closed forms; the truth with them."""
    r50 = 1.3 + 0.64 * diameter
    dose_at, radius_at = cases.peaked_dose(diameter, r50)
    function = lambda p: dose_at(np.maximum(np.linalg.norm(p - centre, axis=-1), 1e-9))  # noqa: E731
    dose = foreign.write_dose(folder / "dose.dcm", function, half_mm=r50 + 12.0)
    rings = foreign.closed(cases.sphere_contours(diameter, 1.0, centre))
    structures = foreign.write_structures(folder / "rs.dcm", [("GTV", "GTV", rings)])
    half = diameter / 2.0
    truth = {f"d{n}_gy": dose_at(half * np.cbrt(n / 100.0)) for n in (98, 50, 2)}
    truth |= {"piv_ml": cases.sphere_ml(diameter), "v12_ml": cases.sphere_ml(2 * radius_at(12.0)),
              "v10_ml": cases.sphere_ml(2 * r50), "gradient_index": (r50 / half) ** 3, "paddick_ci": 1.0}  # fmt: skip
    return dose, structures, truth


def dose_table():
    """D1 to D4: figures of a sphere in a peaked dose on a grid of 1 mm; dicompyler-core and plastimatch beside."""
    print("\nD1-D4  sphere in a peaked dose on 1 mm: error % (all centres), CPU seconds a structure")
    rng = np.random.default_rng(3)
    for diameter in (3, 5, 7, 10, 20):
        own, peers = [], {"dicompyler-core": [], "dicompyler interpolated": [], "plastimatch": []}
        for _ in range(5):
            with tempfile.TemporaryDirectory() as name:
                dose, structures, truth = sphere_plan(Path(name), diameter, rng.uniform(-0.5, 0.5, 3))
                start = time.process_time()
                row = review_plan(read_dose(dose), read_rtstruct(structures), 20.0).rows[0]
                took = time.process_time() - start
                own.append([*(100 * (row[k] / v - 1) for k, v in truth.items()), took])
                for peer, found in (
                    ("dicompyler-core", dicompyler(dose, structures)),
                    ("dicompyler interpolated", dicompyler(dose, structures, True)),
                    ("plastimatch", plastimatch_dvh(dose, structures)),
                ):
                    if found is not None:
                        peers[peer].append([*(100 * (found[k] / truth[k] - 1) for k in ("d98_gy", "d50_gy", "d2_gy")), found["s"]])  # fmt: skip
        own = np.array(own)
        names = [*truth, "s"]
        worst = "  ".join(
            f"{k.split('_')[0]} {own[np.abs(own[:, n]).argmax(), n]:+.1f}" for n, k in enumerate(names[:-1])
        )
        print(f"  {diameter:2d} mm  BMVascular, worst: {worst}  {own[:, -1].mean():.2f} s")
        for peer, rows in peers.items():
            if not rows:
                print(f"         {peer}: not installed, passed over")
                continue
            rows = np.array(rows)
            worst = "  ".join(
                f"{k} {rows[np.abs(rows[:, n]).argmax(), n]:+.1f}" for n, k in enumerate(("d98", "d50", "d2"))
            )
            print(f"         {peer}, worst: {worst}  {rows[:, -1].mean():.2f} s")


def dicompyler(dose, structures, interpolated=False):
    try:
        from dicompylercore import dvhcalc
    except ImportError:
        return None
    step = 0.125 if interpolated else None
    start = time.process_time()
    with quiet():
        try:
            dvh = dvhcalc.get_dvh(
                pydicom.dcmread(structures), pydicom.dcmread(dose), 1, interpolation_resolution=step,
                interpolation_segments_between_planes=3 if interpolated else 0,
            )  # fmt: skip
        except (AttributeError, TypeError, ValueError, IndexError):
            return None
    took = time.process_time() - start
    return {"d98_gy": dvh.D98.value, "d50_gy": dvh.D50.value, "d2_gy": dvh.D2.value, "s": took}


def plastimatch_dvh(dose, structures):
    if shutil.which("plastimatch") is None:
        return None
    out = dose.with_suffix(".csv")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    for arguments in (
        ["convert", "--input", str(dose), "--output-dose-img", str(dose.with_suffix(".nrrd"))],
        ["convert", "--input", str(structures), "--fixed", str(dose.with_suffix(".nrrd")), "--output-ss-img",
         str(dose.with_name("ss.nrrd")), "--output-ss-list", str(dose.with_name("ss.txt"))],
        ["dvh", "--input-ss-img", str(dose.with_name("ss.nrrd")), "--input-ss-list", str(dose.with_name("ss.txt")),
         "--input-dose", str(dose.with_suffix(".nrrd")), "--output-csv", str(out), "--cumulative", "--num-bins", "3000",
         "--bin-width", "0.01", "--dose-units", "gy"],
    ):  # fmt: skip
        if subprocess.run(["plastimatch", *arguments], capture_output=True, check=False).returncode:
            return None
    took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    table = np.genfromtxt(out, delimiter=",", skip_header=1)
    percent = 100.0 * table[:, 1] / table[0, 1]
    return {f"d{n}_gy": float(np.interp(-n, -percent, table[:, 0])) for n in (98, 50, 2)} | {"s": took}


def gradient_table():
    """D6: solids in a dose of 1 Gy/mm (after Nelms 2015): share of curve points off by more than 3 % in dose."""
    from test_planning_dose import dose_of, share_above, solid_radius

    print(
        "\nD6  1 Gy/mm gradient, points off by more than 3 % (target 3 % of points), largest error of volume"
    )
    field = DoseField(dose_of(cases.grid((40, 40, 40)), lambda p: 16.0 + p[..., 0]))
    angle, x = np.linspace(0, 2 * np.pi, 120, endpoint=False), np.linspace(-11.5, 11.5, 93)
    for step in (1.0, 2.0, 3.0):
        heights = np.arange(-12.0 + step / 2, 12.0, step)
        cells = []
        for shape in ("sphere", "cylinder", "cone"):
            radii = solid_radius(shape, heights)
            rings = [
                np.c_[r * np.cos(angle), r * np.sin(angle), np.full(120, z)]
                for r, z in zip(radii, heights, strict=True)
            ]
            dvh = compute_dvh(shape, sample_contours(rings, shape), field)
            exact = share_above(shape, x)
            inner = (exact > 0.001) & (exact < 0.999)
            dose = np.array([dvh.dose_at_share(s) for s in exact[inner]])
            volume = np.array([dvh.volume_at_ml(16 + u) for u in x]) * 1000 / dvh.total_mm3 - exact
            off = np.mean(np.abs(dose / (16 + x[inner]) - 1) > 0.03)
            cells.append(f"{shape} {100 * off:.1f} % / {100 * np.abs(volume).max():.1f} %")
        print(f"  contours {step:g} mm: " + "   ".join(cells))


def plan_speed():
    """D7 and O1: twenty targets and fifteen organs on a dose grid of 1 mm."""
    geometry = cases.grid((120, 140, 140))
    rng = np.random.default_rng(7)
    centres = [(x, y, z) for x in (-45, -15, 15, 45) for y in (-45, -15, 15, 45) for z in (-35, 0)][:20]
    dose = np.full(geometry.shape, 0.5, np.float32)
    function, _ = cases.peaked_dose(8, 7.0)
    for centre in centres:
        dose = np.maximum(dose, function(np.maximum(cases.radius(geometry, centre), 1e-6)).astype(np.float32))
    balls = {f"GTV_{n:02d}": (c, 4.0) for n, c in enumerate(centres, 1)}
    balls |= {f"Organ_{n:02d}": (rng.uniform(-20, 20, 3), 10.0 + n) for n in range(15)}
    drawn = [
        Structure(name, "GTV" if name.startswith("GTV") else "ORGAN", cases.sphere_contours(2 * r, 1.0, c))
        for name, (c, r) in balls.items()
    ]
    targets, organs = drawn[:20], drawn[20:]
    start = time.process_time()
    review_plan(DoseGrid(Volume(dose, geometry)), StructureSet([*targets, *organs]), 20.0)
    print(f"\nD7  20 targets and 15 organs on 1 mm: {time.process_time() - start:.1f} s CPU (target 5 s)")
    samples = [{s.name: sample_contours(s.contours, s.name) for s in part} for part in (targets, organs)]
    start = time.process_time()
    found = surface_distances(*samples)
    took = time.process_time() - start
    errors = [d.distance_mm - exact_gap(d, balls) for d in found if exact_gap(d, balls) > 0]
    print(
        f"O1  300 surface distances: {took:.1f} s CPU (target 2 s), largest error {np.abs(errors).max():.2f} mm"
    )


def exact_gap(distance, balls):
    """Gap between two spheres, mm."""
    (one, r), (other, big) = balls[distance.lesion], balls[distance.organ]
    return float(np.linalg.norm(np.subtract(one, other)) - r - big)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for table in (contour_table, reread_table, margin_table, dose_table, gradient_table, plan_speed):
        if not wanted or table.__name__ in wanted:
            table()
