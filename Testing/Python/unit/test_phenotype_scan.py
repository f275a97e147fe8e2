"""Values, compartments and habitats from images of a simulated head."""

import numpy as np
import pytest
from unit.phenotype_helpers import LESIONS, PROTOCOL, head_scan

from BMVascularCore.errors import InputError
from BMVascularCore.phenotype import assess_lesions
from BMVascularCore.phenotype.habitats import HABITATS, memberships
from BMVascularCore.phenotype.shapes import irregularity, longest_diameter_mm, signed_distance_mm
from BMVascularCore.symmetry import find_plane
from BMVascularCore.volume import Geometry, Volume, resample


@pytest.fixture(scope="module")
def scan():
    return head_scan()


@pytest.fixture(scope="module")
def result(scan):
    labels, parts, maps = scan
    return assess_lesions(labels, maps, parts, PROTOCOL)


def value(lesion, key):
    return next(row for row in lesion["evidence"] if row["input"] == key)


def habitat_ml(lesion, key):
    return next(h for h in lesion["habitats"]["lesion"]["habitats"] if h["habitat"] == key)


def test_values_are_those_of_the_simulation(result):
    for lesion, (_, radius, width, ktrans, rcbv) in zip(result.lesions, LESIONS, strict=True):
        assert value(lesion, "ktrans")["value"] == pytest.approx(ktrans, rel=0.05)
        assert value(lesion, "rcbv")["value"] == pytest.approx(rcbv, rel=0.05)
        assert value(lesion, "vp_ratio")["value"] == pytest.approx(rcbv, rel=0.08)
        assert value(lesion, "oedema_width")["value"] == pytest.approx(width, abs=1.5)
        assert value(lesion, "irregularity")["value"] < 0.2
        assert value(lesion, "enhancing_fraction")["value"] == pytest.approx(1 - 0.4**3, abs=0.03)
        assert lesion["facts"]["longest_diameter_mm"] == pytest.approx(2 * radius, abs=3.0)
    assert result.lesions[0]["phenotype"] == "angiogenic-dominant"
    assert result.lesions[1]["phenotype"] == "VCO-leaning"


def test_habitat_volumes_against_the_truth(result):
    expected = ("leaky_high_volume", "low_perfusion", "preserved_high_volume")
    for lesion, key in zip(result.lesions, expected, strict=True):
        found, whole = habitat_ml(lesion, key), lesion["facts"]["volume_ml"]
        assert found["volume_ml"] == pytest.approx(whole, rel=0.10)
        assert found["low_ml"] <= found["volume_ml"] <= found["high_ml"] + 1e-9
        assert not lesion["habitats"]["lesion"]["spatially_mixed"]
        total = sum(h["volume_ml"] for h in lesion["habitats"]["lesion"]["habitats"])
        assert total == pytest.approx(whole * lesion["habitats"]["assessed_share"], rel=1e-6)


@pytest.mark.parametrize("noise", [0.1, 0.4])
def test_habitat_volumes_of_small_lesions_in_noise(noise):
    places = (
        ((35, 20, 10), 5.5, 8, 0.13, 3.5),
        ((-40, -20, 5), 6, 3, 0.012, 1.1),
        ((20, -50, -10), 6, 4, 0.13, 1.0),
    )
    labels, parts, maps = head_scan(1.5, noise, lesions=places)
    found = assess_lesions(labels, maps, parts, PROTOCOL).lesions
    keys = ("leaky_high_volume", "low_perfusion", "leaky_low_volume")
    for lesion, key in zip(found, keys, strict=True):
        assert habitat_ml(lesion, key)["volume_ml"] == pytest.approx(lesion["facts"]["volume_ml"], rel=0.10)


def test_a_lesion_of_two_halves_is_spatially_mixed(scan):
    labels, parts, maps = head_scan(lesions=(((35, 20, 10), 12, 8, 0.15, 3.6),))
    half = (labels.array > 0) & (
        labels.geometry.points_of(np.stack(np.indices(labels.array.shape), -1))[..., 1] > 20
    )
    maps["ktrans"].array[half] *= 0.08
    lesion = assess_lesions(labels, maps, parts, PROTOCOL).lesions[0]
    assert lesion["habitats"]["lesion"]["spatially_mixed"]
    share = half.sum() / (labels.array > 0).sum()
    assert habitat_ml(lesion, "preserved_high_volume")["share"] == pytest.approx(share, abs=0.05)


def test_label_map_and_memberships_lie_on_the_lesion_grid(scan, result):
    labels = scan[0]
    assert result.habitats.geometry == labels.geometry
    inside = (labels.array > 0) & (result.habitats.array > 0)
    total = sum(result.memberships[key].array for key in HABITATS)
    assert total[inside] == pytest.approx(1.0, abs=1e-5)
    assert not total[result.habitats.array == 0].any()
    first = result.habitats.array[labels.array == 1]
    assert (first == 1).mean() > 0.9


def test_habitats_do_not_depend_on_the_scale_of_blood_volume(scan, result):
    labels, parts, maps = scan
    scaled = {**maps, "rcbv": maps["rcbv"].like(maps["rcbv"].array * 40)}
    other = assess_lesions(labels, scaled, parts, PROTOCOL | {"units": {"rcbv": "ratio"}})
    assert np.array_equal(other.habitats.array, result.habitats.array)


def test_front_against_the_mirrored_shell(scan, result):
    labels, parts, maps = scan
    plain = result.lesions[0]["habitats"]["front_against_mirror"]
    assert abs(plain["ktrans_z"]) < 0.5 and abs(plain["rcbv_z"]) < 0.5
    # a leaky front on one side only
    distance = signed_distance_mm(labels.array == 1, labels.geometry.spacing_kji_mm)
    leaky = np.where((distance > 0) & (distance < 5), 3, 1) * maps["ktrans"].array
    raised = assess_lesions(labels, {**maps, "ktrans": maps["ktrans"].like(leaky)}, parts, PROTOCOL).lesions[
        0
    ]["habitats"]["front_against_mirror"]
    assert raised["ktrans_z"] > 5 and abs(raised["rcbv_z"]) < 0.5


def test_memberships_are_half_at_the_splits_and_sum_to_one():
    error = np.full(3, 0.4)
    shares = memberships(np.array([0.0, 2.0, -2.0]), np.array([0.0, 2.0, 2.0]), error, error)
    assert shares.sum(axis=0) == pytest.approx(1.0)
    assert shares[:, 0] == pytest.approx(0.25) and shares[0, 1] > 0.999 and shares[1, 2] > 0.999


def test_maps_on_other_grids_give_the_same(scan, result):
    labels, parts, maps = scan
    grid = Geometry((45, 70, 60), (2.8, 2.8, 2.8), (-83, -97, -62))
    moved = {key: resample(volume, grid) for key, volume in maps.items()}
    other = assess_lesions(labels, moved, parts, PROTOCOL, with_habitats=False)
    for a, b in zip(other.lesions, result.lesions, strict=True):
        assert a["phenotype"].split(" (")[0] == b["phenotype"].split(" (")[0]
        assert value(a, "ktrans")["value"] == pytest.approx(value(b, "ktrans")["value"], rel=0.15)
    assert other.habitats is None


def test_renumbered_lesions_give_the_same(scan, result):
    labels, parts, maps = scan
    turned = labels.like(np.choose(labels.array, [0, 3, 1, 2]).astype(np.int32))
    names = {3: "M1", 1: "M2", 2: "M3"}
    other = {row["name"]: row for row in assess_lesions(turned, maps, parts, PROTOCOL, names=names).rows}
    for row in result.rows:
        assert {**other[row["name"]], "label": 0} == {**row, "label": 0}


@pytest.mark.parametrize("missing", ["zero", "nan", "field of view"])
def test_a_map_that_covers_half_a_lesion_says_so(scan, missing):
    labels, parts, maps = scan
    cut = int(labels.geometry.index_of((35, 20, 10))[2])
    array = maps["ktrans"].array.copy()
    if missing == "field of view":
        grid = labels.geometry
        ktrans = Volume(array[:, :, :cut], Geometry((*grid.shape[:2], cut), grid.spacing_mm, grid.origin_mm))
    else:
        array[:, :, cut:] = 0.0 if missing == "zero" else np.nan
        ktrans = Volume(array, labels.geometry)
    found = assess_lesions(labels, {**maps, "ktrans": ktrans}, parts, PROTOCOL, with_habitats=False)
    row = value(found.lesions[0], "ktrans")
    enhancing = np.argwhere((labels.array == 1) & (parts.array == 1))
    covered = (enhancing[:, 2] < cut).mean()
    assert row["share_of_lesion"] == pytest.approx(covered, abs=0.02) and 0.3 < covered < 0.6
    assert row["quality"] == pytest.approx(row["share_of_lesion"])
    assert row["value"] == pytest.approx(0.13, rel=0.05)
    assert any(text.startswith("M1") and "ktrans" in text for text in found.warnings)


def test_a_map_that_misses_a_lesion_gives_no_value(scan):
    labels, parts, maps = scan
    array = maps["ktrans"].array.copy()
    array[labels.array == 1] = np.nan
    found = assess_lesions(labels, {**maps, "ktrans": maps["ktrans"].like(array)}, parts, PROTOCOL)
    row = value(found.lesions[0], "ktrans")
    assert row["value"] is None and "not measurable" in row["not_used_because"]
    assert found.rows[0]["ktrans_per_min"] is None


@pytest.mark.parametrize(
    ("key", "factor", "word"),
    [("ktrans", 1 / 60, "1/s"), ("rcbv", 4.0, "absolute"), ("vp", 100.0, "percent")],
)
def test_maps_in_a_wrong_unit_are_asked_about_and_not_used(scan, key, factor, word):
    labels, parts, maps = scan
    wrong = {**maps, key: maps[key].like(maps[key].array * factor)}
    found = assess_lesions(labels, wrong, parts, PROTOCOL, with_habitats=False)
    assert any(word in text and "set aside" in text for text in found.warnings)
    used = "vp_ratio" if key == "vp" else key
    assert value(found.lesions[0], used)["value"] is None


def test_pet_in_suv_is_asked_about_and_discordance_is_measured(scan):
    labels, parts, maps = scan
    tbr = np.where(maps["flair"].array > 0, 1.0, 0.0)
    tbr[labels.array > 0] = 2.5
    distance = signed_distance_mm(labels.array == 1, labels.geometry.spacing_kji_mm)
    tbr[(distance > 0) & (distance < 8)] = 2.5
    pet = Volume(tbr.astype(np.float32), labels.geometry, "pet")
    found = assess_lesions(labels, {"pet": pet}, parts, PROTOCOL, with_habitats=False).lesions
    expected = (18**3 - 13**3) / (10**3 + 18**3 - 13**3)
    assert value(found[0], "pet_nonenhancing")["value"] == pytest.approx(expected, abs=0.05)
    assert value(found[1], "pet_nonenhancing")["value"] == 0
    suv = assess_lesions(labels, {"pet": pet.like(pet.array * 5)}, parts, PROTOCOL, with_habitats=False)
    assert any("SUV" in text for text in suv.warnings)
    assert value(suv.lesions[0], "pet_nonenhancing")["value"] is None


def test_haemorrhage_from_signal_loss(scan):
    labels, parts, maps = scan
    swi = np.where(maps["flair"].array > 0, 100.0, 0.0)
    inside = np.argwhere(labels.array == 2)
    swi[tuple(inside[: len(inside) // 4].T)] = 20.0
    found = assess_lesions(labels, {"swi": Volume(swi, labels.geometry)}, parts, with_habitats=False).lesions
    assert found[1]["facts"]["itss_fraction"] == pytest.approx(0.25, abs=0.01)
    assert found[0]["facts"]["itss_fraction"] == 0
    assert "susceptibility" in found[1]["flags"]


def test_absolute_flow_is_set_against_the_mirrored_side(scan):
    labels, parts, maps = scan
    flow = maps["rcbv"].like(maps["rcbv"].array * 30.0)
    found = assess_lesions(labels, {"cbf": flow}, parts, with_habitats=False).lesions
    assert value(found[0], "cbf_ratio")["value"] == pytest.approx(3.5, rel=0.1)
    ratio = assess_lesions(labels, {"cbf": maps["rcbv"]}, parts, with_habitats=False).lesions
    assert value(ratio[0], "cbf_ratio")["value"] == pytest.approx(3.5, rel=0.1)


def test_no_lesions_and_no_overlap_are_refused(scan):
    labels, _, maps = scan
    with pytest.raises(InputError, match="no lesions"):
        assess_lesions(labels.like(labels.array * 0), maps)
    far = Volume(maps["rcbv"].array, Geometry(labels.geometry.shape, (2, 2, 2), (900, 0, 0)), "rcbv")
    with pytest.raises(InputError, match="overlap"):
        assess_lesions(labels, {"rcbv": far})
    with pytest.raises(InputError, match="not known"):
        assess_lesions(labels, {"cbv": maps["rcbv"]})


@pytest.mark.parametrize("factor", [50, -1])
def test_compartments_with_other_values_are_refused(scan, factor):
    labels, parts, _ = scan
    with pytest.raises(InputError, match=r"holds values from .* 1 enhancing"):
        assess_lesions(labels, {}, parts.like(parts.array.astype(np.int16) * factor))


def test_negative_values_are_said(scan):
    labels, parts, maps = scan
    wrong = {**maps, "ktrans": maps["ktrans"].like(-maps["ktrans"].array)}
    found = assess_lesions(labels, wrong, parts, PROTOCOL, with_habitats=False)
    assert any("below 0" in text and "ktrans" in text for text in found.warnings)


@pytest.mark.parametrize("count", [1, 3])
def test_a_lesion_of_a_few_voxels_is_assessed_and_says_that_it_is_small(scan, count):
    labels, parts, maps = scan
    array = np.zeros_like(labels.array)
    array[30, 55, 55 : 55 + count] = 1
    found = assess_lesions(labels.like(array), maps, parts, PROTOCOL)
    lesion = found.lesions[0]
    assert "small" in lesion["flags"] and not lesion["habitats"]["assessable"]
    assert lesion["facts"]["volume_ml"] == pytest.approx(0.008 * count)


# ----- geometry


@pytest.mark.parametrize(("yaw", "roll", "shift"), [(0, 0, 0), (6, -4, 5), (-8, 3, -7)])
def test_plane_of_a_turned_head(yaw, roll, shift):
    geometry = Geometry((40, 60, 52), (3.5, 3.5, 3.5), (-90, -105, -70))
    yaw, roll = np.deg2rad([yaw, roll])
    normal = np.array([np.cos(yaw) * np.cos(roll), np.sin(yaw) * np.cos(roll), np.sin(roll)])
    side = np.cross(normal, (0, 0, 1.0))
    side /= np.linalg.norm(side)
    up = np.cross(side, normal)
    places = geometry.points_of(np.stack(np.indices(geometry.shape), -1)) - shift * normal
    x, y, z = (np.abs(places @ normal), places @ side, places @ up)
    head = (x / 65) ** 2 + (y / 80) ** 2 + (z / 55) ** 2 < 1
    image = head * (100 + 30 * np.sin(x / 9) * np.cos(y / 10) + 20 * np.cos(z / 8 + y / 25))
    plane = find_plane(image.astype(np.float32), geometry)
    assert np.degrees(np.arccos(min(1.0, abs(plane.normal @ normal)))) < 1.0
    assert plane.offset_mm == pytest.approx(shift, abs=1.0)
    point = np.array([[30.0, 5.0, 2.0]])
    assert plane.mirror(plane.mirror(point)) == pytest.approx(point)


def ball(radius_mm, spacing, bumps=0.0):
    geometry = Geometry((int(3 * radius_mm / spacing[2]),) + (int(3 * radius_mm / spacing[0]),) * 2, spacing)
    places = geometry.points_of(np.stack(np.indices(geometry.shape), -1))
    places = places - places.mean((0, 1, 2)) - 0.3
    r = np.linalg.norm(places, axis=-1)
    angle, height = np.arctan2(places[..., 1], places[..., 0]), np.arccos(places[..., 2] / (r + 1e-9))
    return r < radius_mm * (
        1 + bumps * np.sin(5 * angle) * np.sin(height) ** 2 * np.sin(4 * height)
    ), geometry


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2, 2, 2), (1, 1, 3)])
def test_irregularity_rises_with_bumps_on_every_grid(spacing):
    settings = {"raw_zero": 0.2, "raw_one": 0.9, "grid_floor_mm": 0.18, "smooth_mm": 2.0}
    found = [irregularity(*ball(12, spacing, bumps), settings) for bumps in (0.0, 0.2, 0.4)]
    assert found[0] < 0.2 and found[0] < found[1] < found[2] and found[2] > 0.5


def test_longest_diameter_of_a_box():
    mask = np.zeros((20, 20, 20), bool)
    mask[2:12, 5, 5:9] = True
    expected = np.linalg.norm((10 * 3, 0, 3))
    assert longest_diameter_mm(mask, Geometry((20, 20, 20), (1, 1, 3))) == pytest.approx(expected)


def test_noise_in_the_air_does_not_look_like_a_wrong_unit(scan):
    labels, parts, maps = scan
    air = np.abs(0.02 * np.random.default_rng(5).standard_normal(labels.array.shape)).astype(np.float32)
    noisy = {**maps, "rcbv": maps["rcbv"].like(maps["rcbv"].array + air)}
    found = assess_lesions(labels, noisy, parts, PROTOCOL, with_habitats=False)
    assert value(found.lesions[0], "rcbv")["value"] == pytest.approx(3.5, rel=0.05)


def test_every_row_has_every_column():
    places = ((35, 20, 10), 3, 4, 0.1, 3.0), ((-40, -20, 5), 9, 3, 0.1, 3.0)
    labels, parts, maps = head_scan(2.0, lesions=places)
    found = assess_lesions(labels, maps, parts, PROTOCOL)
    assert found.rows[0].keys() == found.rows[1].keys()
    assert (
        found.rows[0]["habitat_leaky_high_volume_ml"] is None
        and "10 mm" in found.lesions[0]["habitats"]["reason"]
    )
    assert found.rows[1]["habitat_leaky_high_volume_ml"] > 0 and found.rows[0]["irregularity"] is None
