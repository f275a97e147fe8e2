"""Registration of CT and MRI on simulated heads with known truth, beside peers in the same run.

    python Testing/Benchmarks/bench_registration.py [starts] [wide] [variety] [failures] [peers] [slabs]

Without words all tables are printed (about forty minutes on two cores). Peers: SimpleITK with the settings of its
notebook on registration, itk-elastix with its default rigid parameters, ANTsPy Rigid; those that are not installed
are said and passed over. Errors are millimetres at places of the brain and at lesions; seconds are processor time.
"""

import sys
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "BMVascular"), str(ROOT / "Testing/Python"), str(ROOT / "Testing/Benchmarks")]

import head_pairs as hp  # noqa: E402
from registration_cases import FAILURES, SCANS, VARIETY  # noqa: E402

from BMVascularCore.planning.registration import register_rigid  # noqa: E402

_HEADS = {}


def head(number):
    """Head of a number, painted once."""
    if number not in _HEADS:
        _HEADS.clear()
        _HEADS[number] = hp.simulate_head(number)
    return _HEADS[number]


def pair_of(number, options, seed):
    """A pair of a head; ``other`` puts somebody else into the MRI, ``after`` changes the scans once they are made."""
    options = dict(options)
    other, after = options.pop("other", None), options.pop("after", None)
    mine = head(number)
    if other:
        options["mr_head"] = hp.simulate_head(other)
    pair = hp.make_pair(mine, seed, **options)
    return after(pair) if after else pair


def measure(pair):
    """Register and compare with the truth."""
    started = time.process_time()
    found = register_rigid(pair.ct, pair.mr)
    seconds = time.process_time() - started
    brain, lesions = pair.errors_mm(found.transform), pair.errors_mm(found.transform, pair.lesions)
    rows = found.errors_at(pair.lesions)
    return {
        "mean": brain.mean(), "worst": brain.max(), "lesion": lesions.max(), "verdict": found.verdict,
        "spread": found.restart_spread_mm, "trip": found.inverse_consistency_mm, "seconds": seconds,
        "lesions": lesions, "expected": np.array([row["expected_error_mm"] for row in rows]),
        "upper": np.array([row["upper_mm"] for row in rows]), "found": found,
    }  # fmt: skip


def line(name, r):
    """One line of a table."""
    print(
        f"  {name:30s} {r['mean']:7.2f} {r['worst']:7.2f} {r['lesion']:7.2f} {r['upper'].mean():7.2f}"
        f" {r['spread']:7.2f} {r['trip']:7.2f} {r['seconds']:6.1f}  {r['verdict']}", flush=True,
    )  # fmt: skip


def heading(text):
    """Title and columns."""
    print(
        f"\n{text}\n  {'':30s}    mean   worst  lesion   upper  repeat  return   cpu s  verdict", flush=True
    )


def summary(rows):
    """What the targets ask for, and whether the stated intervals hold."""
    mean, worst = np.array([r["mean"] for r in rows]), np.array([r["worst"] for r in rows])
    lesions, upper, expected = (
        np.concatenate([r[k] for r in rows]) for k in ("lesions", "upper", "expected")
    )
    silent = sum(r["verdict"] == "pass" and r["lesion"] > 1.0 for r in rows)
    print(
        f"  {len(rows)} results: mean {mean.mean():.3f} mm, worst point {worst.max():.2f} mm, "
        f"within 1 mm {100 * (worst < 1).mean():.0f} %, pass with more than 1 mm at a lesion: {silent}\n"
        f"  lesions below their stated upper bound: {100 * (lesions <= upper).mean():.1f} % of {len(lesions)} "
        f"(stated 95); root mean square error {np.sqrt((lesions**2).mean()):.3f}, "
        f"stated {np.sqrt((expected**2).mean()):.3f} mm\n"
        f"  processor time {np.median([r['seconds'] for r in rows]):.1f} s (median), "
        f"{max(r['seconds'] for r in rows):.1f} s (longest)", flush=True,
    )  # fmt: skip


def starts(shift_mm=25.0, turn_deg=15.0, count=40, title="Starts to 25 mm and 15 degrees"):
    """Random poses of the head in the MR scanner."""
    heading(title)
    rows = []
    for number, (seed, options) in enumerate(SCANS):
        still = pair_of(seed, {**options, "motion": ((0, 0, 0), (0, 0, 0))}, number)
        rng = np.random.default_rng([number, 11])
        for repeat in range(count // len(SCANS)):
            rows.append(measure(still.displaced(*hp.random_motion(rng, shift_mm, turn_deg))))
            line(f"scan {number + 1}, start {repeat + 1}", rows[-1])
    summary(rows)


def table(cases, title):
    """One registration of each case."""
    heading(title)
    rows = {}
    for number, (name, (seed, options)) in enumerate(cases.items()):
        rows[name] = measure(pair_of(seed, options, 50 + number))
        line(name, rows[name])
        if rows[name]["verdict"] != "pass":
            print("      " + "\n      ".join(rows[name]["found"].reasons), flush=True)
    return rows


def notebook(ct, mr):
    """SimpleITK's notebook 60: moments, mutual information of 50 bins, 1 % of the voxels, gradient descent."""
    start = sitk.CenteredTransformInitializer(
        ct, mr, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.01, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsGradientDescent(1.0, 100, 1e-6, 10)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=False)
    return method.Execute(ct, mr)


def elastix(ct, mr):
    """itk-elastix with its default rigid parameters."""
    import itk

    images = [_itk(image) for image in (ct, mr)]
    parameters = itk.ParameterObject.New()
    rigid_map = parameters.GetDefaultParameterMap("rigid")
    # the only change: it starts where the centres of the images meet; from far apart it refuses to start
    rigid_map["AutomaticTransformInitialization"] = ("true",)
    parameters.AddParameterMap(rigid_map)
    _, found = itk.elastix_registration_method(*images, parameter_object=parameters, log_to_console=False)
    values = [float(v) for v in found.GetParameter(0, "TransformParameters")]
    transform = sitk.Euler3DTransform()
    transform.SetCenter([float(v) for v in found.GetParameter(0, "CenterOfRotationPoint")])
    transform.SetParameters(values)
    return transform


def _itk(image):
    import itk

    out = itk.image_from_array(sitk.GetArrayFromImage(image).astype(np.float32))
    out.SetSpacing(image.GetSpacing())
    out.SetOrigin(image.GetOrigin())
    out.SetDirection(np.reshape(image.GetDirection(), (3, 3)))
    return out


def ants_rigid(ct, mr):
    """ANTsPy Rigid with its defaults."""
    import ants

    images = [
        ants.from_numpy(
            sitk.GetArrayFromImage(image).astype(np.float32).transpose(2, 1, 0),
            spacing=image.GetSpacing(), origin=image.GetOrigin(), direction=np.reshape(image.GetDirection(), (3, 3)),
        )
        for image in (ct, mr)
    ]  # fmt: skip
    found = ants.registration(*images, type_of_transform="Rigid")
    return sitk.ReadTransform(found["fwdtransforms"][0])


def peers(count=4):
    """The same pairs for everybody; children's processor time counts."""
    print(
        "\nPeers on the same pairs (starts to 25 mm, 15 degrees): mean and worst error mm, processor seconds"
    )
    methods = {"SimpleITK notebook": notebook, "itk-elastix rigid": elastix}
    for number, (seed, options) in enumerate(SCANS[:count]):
        still = pair_of(seed, {**options, "motion": ((0, 0, 0), (0, 0, 0))}, number)
        pair = still.displaced(*hp.random_motion(np.random.default_rng([number, 12]), 25.0, 15.0))
        ours = measure(pair)
        full = time.process_time()
        register_rigid(pair.ct, pair.mr, quality=False)
        alone = time.process_time() - full
        print(f"  pair {number + 1}  BMVascular         {ours['mean']:7.2f} {ours['worst']:7.2f} {ours['seconds']:7.1f}"
              f" (without measuring its quality {alone:.1f})", flush=True)  # fmt: skip
        images = [sitk.Cast(volume.to_sitk(), sitk.sitkFloat32) for volume in (pair.ct, pair.mr)]
        # minutes for one pair
        slow = {"ANTsPy Rigid": ants_rigid} if number == 0 else {}
        for name, method in {**methods, **slow}.items():
            started = time.process_time()
            try:
                errors = pair.errors_mm(method(*images))
            except ImportError:
                print(f"          {name}: not installed, passed over")
                continue
            took = time.process_time() - started
            print(f"          {name:18s} {errors.mean():7.2f} {errors.max():7.2f} {took:7.1f}"
                  f"  time ours / theirs {ours['seconds'] / took:.2f}", flush=True)  # fmt: skip


def slabs(count=6):
    """Perfusion slabs of 24 slices of 5 mm to the T1c of their session, with motion."""
    from BMVascularCore.planning.pyramid import Side
    from BMVascularCore.study.alignment import align

    print("\nPerfusion slab (24 slices of 5 mm, 1.8 mm in plane) to T1c: motion, error before and after, mm")
    errors = []
    for number in range(count):
        painted = head(1 + number % 4)
        rng = np.random.default_rng([number, 13])
        t1c = hp.scan_mr(painted, hp.rigid(), hp.grid_around((0, 0, 0), (230, 250, 210), (1, 1, 1)), rng)
        turn, shift = hp.random_motion(rng, 4.0, 3.0)
        motion = hp.rigid(turn, shift)
        slab = hp.scan_mr(
            painted, motion, hp.grid_around((0, 0, 10), (230, 230, 120), (1.8, 1.8, 5)), rng, "T2", 0.05
        )
        found = align(Side.of_volume(t1c), slab)
        points = painted.brain_points()
        points = points[np.abs(points[:, 2] - 10) < 55]
        transform = found.transform or hp.rigid()
        off = [np.subtract(transform.TransformPoint(p), motion.TransformPoint(p)) for p in points.tolist()]
        before = [np.subtract(p, motion.TransformPoint(p)) for p in points.tolist()]
        off, before = (np.linalg.norm(v, axis=1) for v in (off, before))
        errors.append(off.mean())
        print(
            f"  head {1 + number % 4}: {before.mean():5.2f} before, {off.mean():5.2f} after (worst {off.max():.2f}); {found.note}",
            flush=True,
        )
    print(f"  mean error {np.mean(errors):.2f} mm of a voxel of 1.8 x 1.8 x 5 mm")


if __name__ == "__main__":
    wanted = set(sys.argv[1:]) or {"starts", "wide", "variety", "failures", "peers", "slabs"}
    if "starts" in wanted:
        starts()
    if "wide" in wanted:
        starts(40.0, 60.0, 24, "Starts to 40 mm and 60 degrees")
    if "variety" in wanted:
        rows = table(VARIETY, "Other scans")
        # a distortion is in no measurement, and the verdict says so
        summary([row for name, row in rows.items() if not name.startswith("distortion")])
    if "failures" in wanted:
        table(FAILURES, "What must not pass")
    if "slabs" in wanted:
        slabs()
    if "peers" in wanted:
        peers()
