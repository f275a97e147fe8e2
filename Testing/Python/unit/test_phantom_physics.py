"""The simulated patient's shapes, kinetics, signals and dose against closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.integrate import quad

from BMVascularCore.errors import InputError
from BMVascularCore.phantom import dynamic, kinetics, sampling, shapes, signals
from BMVascularCore.phantom.dose import TargetDose, dose_volume, total_dose
from BMVascularCore.phantom.tissue import TISSUES, Tissue
from BMVascularCore.volume import Geometry


@pytest.mark.parametrize(
    ("diameter_mm", "irregularity"), [(3.0, 0.02), (8.0, 0.0), (17.0, 0.14), (30.0, 0.02)]
)
@pytest.mark.parametrize("voxel_mm", [1.0, 3.0])
def test_a_lesion_has_the_volume_of_its_sphere(diameter_mm, irregularity, voxel_mm):
    shape = shapes.star_shape((0.3, -0.2, 0.41), diameter_mm, irregularity, np.random.default_rng(4))
    n = int(2 * (shape.reach_mm / voxel_mm + 2))
    grid = Geometry((n,) * 3, (voxel_mm,) * 3, (-(n - 1) / 2 * voxel_mm,) * 3)
    box = shapes.box_around(grid, shape.centre_mm, shape.reach_mm + voxel_mm)
    factor = 8 if diameter_mm < 10 else 4
    distance, radius = shape.level(shapes.voxel_points(grid, box, factor))
    share = shapes.block_mean(distance < radius, (factor,) * 3)
    assert share.sum() * grid.voxel_ml == pytest.approx(np.pi / 6000 * diameter_mm**3, rel=0.015)


def test_a_lesion_lies_around_its_centre():
    shape = shapes.star_shape((5.0, -7.0, 9.0), 12.0, 0.02, np.random.default_rng(1))
    distance, radius = shape.level(np.array([[5.0, -7.0, 9.0], [5.0 + shape.reach_mm + 0.1, -7.0, 9.0]]))
    assert distance[0] < radius[0]
    assert distance[1] > radius[1]


def test_tube_and_ellipsoid_distances():
    points = np.array([(0, 3, 0), (0, 3, 20), (12, 0, 0)], np.float32)
    np.testing.assert_allclose(
        shapes.tube_distance_mm(points, [(0, 0, 0), (10, 0, 0)]), [3, np.hypot(3, 20), 2]
    )
    surface = np.array([(4, 0, 0), (0, 6, 0), (0, 0, 0)], np.float32)
    np.testing.assert_allclose(
        shapes.ellipsoid_distance_mm(surface, (0, 0, 0), (4, 6, 8)), [0, 0, -4], atol=1e-6
    )


def test_averaging_keeps_the_amount_and_the_place():
    fine = Geometry((24, 24, 24), (1, 1, 1), (-11.5, -11.5, -11.5))
    k, j, i = np.indices(fine.shape)
    ball = ((i - 11.5) ** 2 + (j - 11.5) ** 2 + (k - 11.5) ** 2 < 64).astype(np.float32)
    coarse = Geometry((8, 14, 14), (3, 3, 5), (-19.5, -19.5, -17.5))
    shift = sitk.TranslationTransform(3, (1.0, 0.0, 0.0))
    mean = sampling.average_onto(ball, fine, coarse, shift)
    assert mean.sum() * coarse.voxel_ml == pytest.approx(ball.sum() * fine.voxel_ml, rel=0.01)
    index = np.array([(mean * axis).sum() / mean.sum() for axis in np.indices(mean.shape)])
    # points of the coarse grid lie 1 mm to the other side of where they are in the fine image
    np.testing.assert_allclose(coarse.points_of(index), (-1.0, 0.0, 0.0), atol=0.05)


def test_exponential_convolution_is_exact_for_a_ramp():
    t = np.arange(0, 30, kinetics.STEP_S)
    rate = 0.37
    exact = t / rate - (1 - np.exp(-rate * t)) / rate**2
    np.testing.assert_allclose(kinetics.exponential_convolution(t, rate), exact, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(kinetics.exponential_convolution(t, 0.0), t**2 / 2, rtol=1e-9, atol=1e-9)


def test_tissue_curve_is_the_extended_tofts_integral():
    injection = kinetics.Injection(20.0, 200.0)
    tissue = Tissue("x", vp=0.05, mtt_s=4.0, ktrans_per_min=0.12, ve=0.25, delay_s=1.5)
    at = 90.0
    _, leaked = injection.compartments(tissue, np.array([at]))
    kep, rate = 0.12 / 60 / 0.25, 1 / 4.0

    def response(u):
        return rate / (rate - kep) * (np.exp(-kep * u) - np.exp(-rate * u))

    def plasma(t):
        return float(kinetics.blood_curve([t], 20.0)[0]) / 0.58

    wanted = 0.12 / 60 * quad(lambda s: plasma(s) * response(at - 1.5 - s), 20.0, at - 1.5, limit=300)[0]
    assert leaked[0] == pytest.approx(wanted, rel=2e-3)


def test_without_leak_the_area_of_tissue_is_its_plasma_volume():
    injection = kinetics.Injection(20.0, 4000.0)
    times = np.arange(0.0, 4000.0, 0.5)
    areas = {}
    for vp in (0.015, 0.06):
        vascular, leaked = injection.compartments(Tissue("x", vp=vp, mtt_s=5.0, delay_s=2.0), times)
        assert leaked.max() == 0.0
        areas[vp] = vascular.sum()
    assert areas[0.06] / areas[0.015] == pytest.approx(4.0, rel=1e-6)
    artery, _ = injection.compartments(TISSUES["artery"], times)
    assert areas[0.06] / artery.sum() == pytest.approx(0.06 / 0.58, rel=0.01)


def test_leak_lowers_or_raises_the_dsc_tail_by_flip_angle():
    """The steeper the flip angle, the more T1 leakage pulls the tail down; at 30 degrees T2* wins."""
    tissue = Tissue("x", 0.85, 1.45, 0.1, 0.065, vp=0.03, mtt_s=4.0, ktrans_per_min=0.15, ve=0.3)
    tails = {}
    for flip in (30.0, 60.0, 90.0):
        protocol = replace(dynamic.DSC, flip_deg=flip)
        injection = kinetics.Injection(protocol.arrival_s, protocol.times_s[-1])
        signal = dynamic.dsc_curve(tissue, protocol, injection)
        tails[flip] = -np.log(signal[-10:].mean() / signal[10:18].mean()) / protocol.echo_time_s
    assert tails[30.0] > tails[60.0] > tails[90.0]
    assert tails[30.0] > 0


def test_spoiled_gradient_echo_at_the_ernst_angle_and_long_tr():
    e1 = np.exp(-0.005 / 1.2)
    ernst = np.degrees(np.arccos(e1))
    peak = signals.spoiled_gradient_echo(1.0, 1 / 1.2, 0.0, 0.005, 0.0, ernst)
    assert peak == pytest.approx(np.sqrt((1 - e1) / (1 + e1)), rel=1e-12)
    assert signals.spoiled_gradient_echo(1.0, 1.0, 10.0, 100.0, 0.1, 90.0) == pytest.approx(np.exp(-1.0))


def test_inversion_recovery_nulls_at_ln2():
    assert signals.inversion_recovery(1.0, 2.0, 0.1, 1e3, 2.0 * np.log(2.0), 0.0) == pytest.approx(
        0.0, abs=1e-12
    )


def test_noise_is_rician():
    rng = np.random.default_rng(3)
    background = signals.add_rician(np.zeros(200_000, np.float32), np.float32(5.0), rng)
    assert background.mean() == pytest.approx(5.0 * np.sqrt(np.pi / 2), rel=0.01)
    assert (background**2).mean() == pytest.approx(2 * 25.0, rel=0.01)
    bright = signals.add_rician(np.full(200_000, 100.0, np.float32), np.float32(5.0), rng)
    assert bright.mean() == pytest.approx(100.0 + 25.0 / 200.0, abs=0.05)
    assert bright.std() == pytest.approx(5.0, rel=0.02)


def test_shading_is_smooth_and_about_one():
    shading = signals.coil_shading(Geometry((20, 24, 18), (10, 10, 10), (-85, -115, -95)))
    assert 0.9 < shading.mean() < 1.1
    assert shading.min() > 0.4
    assert np.ptp(shading) > 0.2
    assert np.abs(np.diff(shading, axis=1)).max() < 0.1


def test_dose_falls_as_promised():
    target = TargetDose("M1", (0.0, 0.0, 0.0), 8.0, 20.0)
    assert target.at(8.0) == pytest.approx(20.0)
    assert target.at(8.0 + 1.3 + 0.28 * 8.0) == pytest.approx(10.0)
    assert target.at(0.0) == pytest.approx(25.0)
    assert target.at(target.radius_of(12.0)) == pytest.approx(12.0)
    numbers = target.metrics()
    assert numbers["gradient_index"] == pytest.approx((11.54 / 8.0) ** 3)
    with pytest.raises(InputError, match="between"):
        target.radius_of(30.0)


def test_dose_grid_is_the_sum_of_the_targets():
    targets = [TargetDose("a", (10.0, -5.0, 3.0), 6.0, 20.0), TargetDose("b", (40.0, 20.0, 9.0), 4.0, 20.0)]
    dose = dose_volume(targets, 2.0, margin_mm=20.0)
    index = np.array([(0, 0, 0), (9, 10, 11), (12, 20, 25)])
    wanted = total_dose(targets, dose.geometry.points_of(index))
    np.testing.assert_allclose(dose.array[tuple(index.T)], wanted, rtol=1e-5)
    assert dose.geometry.contains([target.centre_mm for target in targets]).all()
