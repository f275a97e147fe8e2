"""Rigid registration on a simulated head with a known offset, and its verdict."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from BMVascularCore.cli import main
from BMVascularCore.errors import InputError
from BMVascularCore.io import write_volume
from BMVascularCore.planning import registration_engine as engine
from BMVascularCore.planning.head_mask import is_ct, prepare
from BMVascularCore.planning.pose_score import PoseScore, mutual_information
from BMVascularCore.planning.pyramid import Pyramid, Side
from BMVascularCore.planning.registration import register_rigid
from BMVascularCore.planning.registration_engine import as_euler, rigid
from BMVascularCore.planning.registration_quality import Measurements, verdict_of
from BMVascularCore.planning.skull_edges import SkullAgreement, skull_agreement
from BMVascularCore.volume import Geometry, Volume, resample

GRID = Geometry((60, 72, 64), (3.0, 3.0, 3.0), (-94.5, -106.5, -88.5))


@cache
def head(kind, seed=0):
    """A lopsided head in CT or MR contrast: skull shell, brain, ventricles and irregular folds."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij")
    points = GRID.points_of(np.stack([z, y, x], axis=-1))
    x, y, z = np.moveaxis(points, -1, 0)
    radius = np.sqrt((x / 70) ** 2 + ((y + 0.06 * x) / 88) ** 2 + ((z - 0.05 * y) / 75) ** 2)
    rng = np.random.default_rng(seed)
    folds = np.sign(ndimage.gaussian_filter(rng.normal(size=GRID.shape), 4.0 / GRID.spacing_mm[0]))
    lumps = ndimage.gaussian_filter(rng.normal(size=GRID.shape), 8.0 / GRID.spacing_mm[0])
    lumps /= lumps.std()
    nose = np.exp(-((x - 4) ** 2 + (y + 86) ** 2 + (z + 20) ** 2) / 400)
    inside = radius - 0.25 * nose < 1.0
    brain = radius < 0.84 + 0.02 * lumps
    face = (z < -15) & (y < -25) & (lumps > 0.4)
    skull = inside & ~brain & (((radius > 0.88) & (radius < 0.96)) | face)
    ventricle = ((x - 12) / 8) ** 2 + ((y - 5) / 28) ** 2 + (z / 12) ** 2 < 1
    if kind == "CT":
        values = np.where(inside, 20.0, -1000.0)
        values = np.where(brain, 35 + 6 * folds, values)
        values = np.where(skull, 900.0, values)
        return np.where(ventricle, 8.0, values)
    values = np.where(inside, 300.0, 4.0)
    values = np.where(brain, 420 + 110 * folds, values)
    values = np.where(skull, 40.0, values)
    return np.where(ventricle, 120.0, values)


def pair(rotation_deg, shift_mm, **kwargs):
    """CT, displaced MR and the transform that maps CT points to MR points."""
    noise = np.random.default_rng(3)
    true = rigid(np.radians(rotation_deg), shift_mm)
    ct = Volume(
        (head("CT") + noise.normal(0, 8, GRID.shape)).astype(np.float32), GRID, "CT", {"modality": "CT"}
    )
    still = Volume((head("MR", **kwargs) + noise.normal(0, 8, GRID.shape)).astype(np.float32), GRID, "MR")
    return ct, resample(still, GRID, true.GetInverse(), "linear"), true


def error_mm(found, true):
    points = np.array([(50, 0, 0), (-50, 0, 0), (0, 60, 0), (0, -60, 0), (0, 0, 50), (0, 0, -50)], float)
    apart = [np.subtract(found.TransformPoint(p), true.TransformPoint(p)) for p in points.tolist()]
    return float(np.linalg.norm(apart, axis=1).max())


def part(volume, *box):
    """A box of an image, given by slices (k, j, i)."""
    g, array = volume.geometry, np.ascontiguousarray(volume.array[box])
    origin = tuple(g.points_of([each.start or 0 for each in box]).tolist())
    return Volume(array, Geometry(array.shape, g.spacing_mm, origin, g.direction), "part", volume.meta)


@pytest.fixture(scope="module")
def moved():
    ct, mr, true = pair((8, -6, 10), (14, -9, 11))
    mr.meta["modality"] = "MR"
    return ct, mr, true, register_rigid(ct, mr, points_lps_mm=[(20, 10, 5)])


@pytest.fixture(scope="module")
def lower(moved):
    """Two thirds of both heads, and what is found there: it passes, so that what does not has another cause."""
    ct, mr = (part(volume, slice(40), slice(None), slice(None)) for volume in moved[:2])
    found = register_rigid(ct, mr, wide=False)
    assert found.verdict == "pass" and error_mm(found.transform, moved[2]) < 1.5
    return ct, mr, found


def test_offset_is_found_within_a_fraction_of_a_voxel(moved):
    _, _, true, found = moved
    assert error_mm(found.transform, true) < 0.5  # voxels of 3 mm
    assert error_mm(found.transform, true.GetInverse()) > 10  # the direction is fixed to moving


def test_good_pair_passes_with_small_spread(moved):
    found = moved[3]
    assert found.verdict == "pass", found.reasons
    assert found.restart_spread_mm < 0.5
    assert found.inverse_consistency_mm < 1.0
    assert found.skull_distance_mm < 1.5 and found.skull_rest_mm < 0.8


def test_stated_error_covers_the_true_one(moved):
    _, _, true, found = moved
    points = np.array([(20, 10, 5), (-40, 30, 20), (0, -60, -10), (50, 0, 30)], float)
    off = [np.subtract(found.transform.TransformPoint(p), true.TransformPoint(p)) for p in points.tolist()]
    stated = found.errors_at(points)
    assert (np.linalg.norm(off, axis=1) <= [row["upper_mm"] for row in stated]).all()
    # not by being large: a fraction of the 3 mm voxel
    assert max(row["upper_mm"] for row in stated) < 1.0
    assert found.points[0] == stated[0]


def test_stated_error_grows_with_voxels_and_with_repeats_that_differ(moved):
    found = moved[3]
    coarse = replace(found, voxel_mm=5.0).errors_at([(0, 0, 0)])[0]
    fine = replace(found, voxel_mm=1.0).errors_at([(0, 0, 0)])[0]
    assert coarse["expected_error_mm"] > 2.0 * fine["expected_error_mm"]
    aside = rigid((0, 0, 0), (0.0, 2.0, 0.0))
    apart = replace(found, transform=rigid(), repeats=[rigid(), aside]).errors_at([(0, 0, 0)])[0]
    assert apart["expected_error_mm"] == pytest.approx(2.0, abs=0.1)


def test_a_slab_finds_its_place_along_the_head(moved):
    ct, mr, true, _ = moved
    # 54 mm of 180, its middle far from the head's
    thin = part(mr, slice(26, 44), slice(None), slice(None))
    found = register_rigid(ct, thin, wide=False, quality=False)
    assert error_mm(found.transform, true) < 1.5  # a part of a head, half of its places outside
    assert any("cut off at the top" in note for note in found.notes)


def test_the_front_half_of_a_head_finds_its_place(moved):
    ct, mr, true, _ = moved
    half = part(mr, slice(None), slice(mr.geometry.shape[1] // 2), slice(None))
    found = register_rigid(ct, half, wide=False, quality=False)
    assert error_mm(found.transform, true) < 1.5
    assert any("cut off at the back" in note for note in found.notes)


@pytest.mark.parametrize(
    ("changed", "verdict", "said"),
    [
        ({}, "pass", "cannot show a distortion"),
        ({"spread_mm": 0.3}, "check", "differ by 0.30 mm"),
        # skull edges that agree do not excuse repeats that do not
        ({"spread_mm": 0.6}, "fail", "differ by 0.60 mm"),
        ({"round_trip_mm": 0.6}, "check", "there and back"),
        ({"overlap": 0.2}, "fail", "only 20 %"),
        ({"mirrored": True}, "fail", "mirrored"),
        ({"rotation_deg": 40.0}, "check", "turned by 40 degrees"),
        ({"counted": []}, "check", "no repeat"),
        ({"surface_mm": 7.0}, "check", "while the skull edges agree"),
    ],
)
def test_each_measurement_has_its_say_in_the_verdict(changed, verdict, said):
    skull = SkullAgreement(np.array([0.3, 0.0, 0.0]), 0.4, 0.6, 30)
    good = Measurements(0.1, [rigid()], 0.1, 1.5, skull, 0.95, 5.0, False)
    found, reasons = verdict_of(replace(good, **changed))
    assert found == verdict and said in " ".join(reasons)


def test_skull_edges_show_a_shift_that_was_put_in(moved):
    ct, mr, true, _ = moved
    sides = [Side.of_volume(volume) for volume in (ct, mr)]
    images = [side.at(engine.FINE) for side in sides]
    at_truth = skull_agreement(*images, true)
    assert at_truth.distance_mm < 1.0 and at_truth.rest_mm < 0.8
    for axis in (0, 1):
        shift = 3.0 * np.eye(3)[axis]
        off = sitk.CompositeTransform([true, sitk.TranslationTransform(3, shift.tolist())])
        seen = skull_agreement(*images, engine.as_euler(off, (0, 0, 0))).shift_mm - at_truth.shift_mm
        assert abs(abs(seen[axis]) - 3.0) < 0.8
        assert np.abs(np.delete(seen, axis)).max() < 0.8


def test_mirrored_image_fails(lower):
    ct, mr, straight = lower
    flipped = Volume(mr.array[:, :, ::-1].copy(), mr.geometry, "mirrored", mr.meta)
    found = register_rigid(ct, flipped, wide=False)
    assert found.verdict == "fail"
    assert any("mirrored" in reason for reason in found.reasons)
    assert not any("mirrored" in reason for reason in straight.reasons)


def test_images_that_show_nothing_in_common_fail(lower):
    ct = lower[0]
    noise = np.random.default_rng(1).normal(300, 60, ct.geometry.shape).astype(np.float32)
    assert register_rigid(ct, Volume(noise, ct.geometry, "noise"), wide=False).verdict == "fail"


def test_flat_image_is_refused():
    ct = Volume(head("CT").astype(np.float32), GRID, "CT", {"modality": "CT"})
    with pytest.raises(InputError, match="one value"):
        register_rigid(ct, Volume(np.zeros(GRID.shape, np.float32), GRID, "empty"))


@pytest.mark.parametrize("offset", [1024, 1000])
def test_ct_stored_with_an_offset_is_put_right(offset):
    ct = Volume((head("CT") + offset).astype(np.int16), GRID, "CT", {"modality": "CT"})
    image, notes = prepare(ct)
    array = sitk.GetArrayFromImage(image)
    assert np.median(array[head("CT") == 900.0]) == pytest.approx(900.0, abs=30)
    assert len(notes) == 1 and "offset" in notes[0]
    assert prepare(Volume(head("CT").astype(np.int16), GRID, "CT", {"modality": "CT"}))[1] == []
    # recognised without a header, too, and no MRI is taken for one, whatever its units
    assert is_ct(Volume((head("CT") + offset).astype(np.uint16), GRID, "file"))
    assert not any(is_ct(Volume(head("MR") * gain, GRID, "file")) for gain in (0.01, 1, 2, 4, 6, 10))


def test_voxels_without_number_and_spikes_do_not_blind_the_histogram():
    clean = head("MR").astype(np.float32)
    dirty = clean.copy()
    dirty[:3] = np.nan
    dirty[30, 30, 30:33] = (np.inf, 1e7, -1e7)
    image, notes = prepare(Volume(dirty, GRID, "MR", {"modality": "MR"}))
    array = sitk.GetArrayFromImage(image)
    assert np.isfinite(array).all() and np.ptp(array) < 4 * np.ptp(clean)
    untouched = np.isfinite(dirty) & (np.abs(dirty) < 1e6)
    assert np.array_equal(array[untouched], clean[untouched])
    assert len(notes) == 1 and "hold no number" in notes[0]
    # both images of a pair must be of one type, or no metric is taken at all
    assert image.GetPixelID() == sitk.sitkFloat32
    ct = head("CT").astype(np.float32)
    ct[:3] = np.nan
    assert is_ct(Volume(ct, GRID, "no modality"))


def test_only_images_that_do_not_meet_are_passed_over():
    sides = [
        Side.of_volume(Volume(head(kind).astype(np.float32), GRID, kind, {"modality": kind}))
        for kind in ("CT", "MR")
    ]
    apart = rigid((0, 0, 0), (900, 0, 0))
    pyramid = Pyramid(*sides)
    assert pyramid.score(engine.COARSE)(apart) == np.inf
    assert engine.optimise(pyramid, engine.MIDDLE, apart)[1] == np.inf
    # half a head aside there still is something to compare
    assert pyramid.score(engine.COARSE)(rigid((0, 0, 0), (80, 0, 0))) < 0


@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.0), (20.0, -15.0, 30.0)])
def test_slope_of_the_score_is_its_derivative(moved, centre):
    sides = [Side.of_volume(volume) for volume in moved[:2]]
    score = Pyramid(*sides).score(engine.ROUGH)
    angles, shift = np.array((0.10, -0.12, 0.15)), np.array((12.0, -7.0, 9.0))

    def value(x):
        return score.slope(rigid(angles + x[:3], shift + x[3:], centre))[0]

    step = np.array([1e-6] * 3 + [1e-4] * 3)
    expected = [(value(d) - value(-d)) / (2 * d.sum()) for d in np.diag(step)]
    _, force, torque = score.slope(rigid(angles, shift, centre))
    assert force == pytest.approx(expected[3:], abs=0.02 * np.linalg.norm(expected[3:]))
    # the axes about which the three angles turn, by turning a little
    base = np.reshape(rigid(angles).GetMatrix(), (3, 3))
    for axis in range(3):
        turned = np.reshape(rigid(angles + 1e-6 * np.eye(3)[axis]).GetMatrix(), (3, 3)) @ base.T
        about = np.array((turned[2, 1], turned[0, 2], turned[1, 0])) / 1e-6
        assert torque @ about == pytest.approx(expected[axis], abs=0.02 * np.linalg.norm(expected[:3]))


def test_score_is_the_mutual_information_of_the_joint_histogram():
    # halves left and right, halves low and high: each says all of itself and nothing of the other
    cube = np.zeros((40, 40, 40), np.float32)
    cube[:, :, 20:] = 1.0
    across, along = (sitk.GetImageFromArray(a) for a in (cube, np.ascontiguousarray(cube.T)))
    # away from the edges, where interpolation mixes them
    z, _, x = np.indices(cube.shape)
    places = np.flatnonzero((np.abs(z - 19.5) > 2) & (np.abs(x - 19.5) > 2))
    assert PoseScore(across, across, places, 20000, 8)(rigid()) == pytest.approx(-np.log(2), rel=0.01)
    assert PoseScore(across, along, places, 20000, 8)(rigid()) == pytest.approx(0.0, abs=0.01)
    assert mutual_information(np.array([[50, 0], [0, 50]])) == pytest.approx(np.log(2))
    assert mutual_information(np.array([[25, 25], [25, 25]])) == pytest.approx(0.0, abs=1e-12)


def test_downhill_finds_the_floor_of_a_narrow_oblique_valley():
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0]
    steep = turn @ np.diag([1e-4, 1e-3, 0.01, 0.05, 0.2, 1.0]) @ turn.T
    floor = np.array((3.0, -2.0, 4.0, 1.0, -5.0, 2.0))

    def valley(x):
        away = x - floor
        return 0.5 * away @ steep @ away - 1.0, steep @ away

    place, value = engine._downhill(valley, np.zeros(6), 100)
    assert value == pytest.approx(-1.0, abs=1e-5)
    assert np.abs(place - floor).max() < 0.3


def test_euler_about_another_centre_is_the_same_motion():
    first = rigid((0.1, -0.2, 0.3), (4, 5, 6), (10, 0, -10))
    second = as_euler(first, (30, 20, 10))
    assert error_mm(first, second) < 1e-6
    with pytest.raises(ValueError, match="not rigid"):
        as_euler(sitk.ScaleTransform(3, (1.1, 1, 1)), (0, 0, 0))


def run_register(folder, *options):
    """Command on the images of a folder; exit code and record."""
    out = folder / f"o{len(list(folder.iterdir()))}"
    images = [str(folder / "ct.nrrd"), str(folder / "mr.nrrd")]
    code = main(["register", *images, *options, "--out", str(out), "--quiet"])
    file = out / "register.json"
    return code, json.loads(file.read_text(encoding="utf-8")) if file.exists() else None, out


def test_command_starts_from_landmarks_and_writes_all(tmp_path, moved):
    ct, mr, true, _ = moved
    write_volume(tmp_path / "ct.nrrd", ct)
    write_volume(tmp_path / "mr.nrrd", mr)
    texts = []
    for place in ((40, 0, 20), (-40, 20, 0), (0, -60, 30)):
        there = true.TransformPoint([float(v) for v in place])
        texts += ["--landmark", ",".join(map(str, place)) + ":" + ",".join(f"{v + 1.5:.2f}" for v in there)]
    code, record, out = run_register(
        tmp_path, *texts, "--lps", "--mri-age-days", "30", "--point", "20,10,5=M1"
    )
    assert code == 0
    # the old MRI is the only thing that is wrong
    assert record["verdict"] == "check"
    assert len(record["reasons"]) == 1 and "30 days" in record["reasons"][0]
    assert {"restart_spread_mm", "inverse_consistency_mm", "skull_distance_mm", "checks"} <= set(record)
    assert record["points"][0]["name"] == "M1"
    assert any("3 landmarks" in note for note in record["notes"])
    assert error_mm(sitk.ReadTransform(str(out / "transform.tfm")), true) < 0.5
    assert (out / "registered.nrrd").is_file()


def test_command_checks_a_given_transform_without_changing_it(tmp_path, moved, lower):
    (ct, mr, _), true = lower, moved[2]
    write_volume(tmp_path / "ct.nrrd", ct)
    write_volume(tmp_path / "mr.nrrd", mr)
    off = engine.as_euler(
        sitk.CompositeTransform([true, sitk.TranslationTransform(3, (0.0, 4.0, 0.0))]), (0, 0, 0)
    )
    sitk.WriteTransform(off, str(tmp_path / "given.h5"))
    code, record, out = run_register(tmp_path, "--check", str(tmp_path / "given.h5"), "--point=20,10,5")
    assert code == 0
    assert record["verdict"] == "fail"
    assert record["restart_spread_mm"] == pytest.approx(4.0, abs=0.5)
    assert record["points"][0]["upper_mm"] > 4.0
    assert error_mm(sitk.ReadTransform(str(out / "transform.tfm")), off) < 1e-6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--landmark", "1,2,3:4,5,6"], "three are needed"),
        (["--landmark", "1,2,3"], "not a pair"),
        (["--check", "ct.nrrd"], "cannot be read as a transform"),
        (["--planned-date", "31.1.2026"], "not a day"),
        (["--initial", "scaled.tfm"], "not rigid"),
    ],
)
def test_wrong_options_are_one_sentence_and_leave_nothing(tmp_path, moved, capsys, options, said):
    write_volume(tmp_path / "ct.nrrd", moved[0])
    write_volume(tmp_path / "mr.nrrd", moved[1])
    sitk.WriteTransform(sitk.ScaleTransform(3, (1.1, 1, 1)), str(tmp_path / "scaled.tfm"))
    options = [str(tmp_path / text) if (tmp_path / text).exists() else text for text in options]
    code, _, out = run_register(tmp_path, *options)
    error = capsys.readouterr().err
    assert code == 2 and said in error and error.count("\n") == 1
    assert not out.exists()


def test_missing_file_is_exit_code_two_and_leaves_nothing(tmp_path, capsys):
    code = main(
        ["register", str(tmp_path / "no.nrrd"), str(tmp_path / "mr.nrrd"), "--out", str(tmp_path / "o")]
    )
    assert code == 2
    assert "no.nrrd" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
