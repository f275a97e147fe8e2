"""Reference regions (habitats, front, permeable part) and barriers, against closed forms and on the command line."""

import csv
import json
import shutil
import subprocess

import numpy as np
import planning_cases as cases
import planning_foreign as foreign
import pydicom
import pytest
import SimpleITK as sitk

from BMVascularCore.cli import main
from BMVascularCore.errors import InputError
from BMVascularCore.io import write_volume
from BMVascularCore.planning.barriers import barrier_of_structures, join_barriers, skull_of
from BMVascularCore.planning.dose import DoseField, DoseGrid
from BMVascularCore.planning.margins import Margin
from BMVascularCore.planning.preflight import preflight
from BMVascularCore.planning.reference import reference_dose_rows, reference_regions, regions_in_plan
from BMVascularCore.planning.structures import Structure, StructureSet
from BMVascularCore.planning.targets import make_targets
from BMVascularCore.volume import Volume

GRID = cases.grid((64, 64, 64))
CENTRE = np.array((4.2, -6.1, 3.3))


def scene(diameter=16.0):
    """A ball whose left half is leaky (1), the other preserved (2); the front around it is preserved on the left."""
    distance = cases.radius(GRID, CENTRE)
    x = GRID.points_of(np.stack(np.indices(GRID.shape), -1))[..., 0]
    labels = (distance <= diameter / 2).astype(np.int32)
    values = np.where(x > CENTRE[0], 1, 2)
    values[distance > diameter / 2] = np.where(x > CENTRE[0], 2, 4)[distance > diameter / 2]
    values[distance > diameter / 2 + 5.0] = 0
    return Volume(labels, GRID, "labels"), Volume(values, GRID, "habitats"), distance, x


def by_region(found):
    return {region.region: region.structure for region in found.regions}


def test_regions_are_where_the_habitats_are():
    labels, habitats, distance, x = scene()
    ktrans = Volume(np.where(x > CENTRE[0], 0.2, 0.01).astype(np.float32), GRID, "ktrans")
    found = reference_regions(labels, {1: "M1"}, habitats, ktrans)
    regions = by_region(found)
    assert set(regions) == {"leaky_high_volume", "preserved_high_volume", "front", "preserved_front", "leaky"}
    left, inside, front = x > CENTRE[0], distance <= 8.0, (distance > 8.0) & (distance <= 13.0)
    truth = {
        "leaky_high_volume": inside & left, "preserved_high_volume": inside & ~left, "front": front,
        "preserved_front": front & left, "leaky": inside & left,
    }  # fmt: skip
    for key, mask in truth.items():
        structure = regions[key]
        # the front is measured from voxel centres: a voxel more or less
        rel = 0.12 if "front" in key else 1e-9
        assert structure.mask.array.sum() == pytest.approx(mask.sum(), rel=rel), key
        ours = structure.mask.geometry.points_of(np.argwhere(structure.mask.array)).mean(axis=0)
        assert ours == pytest.approx(GRID.points_of(np.argwhere(mask)).mean(axis=0), abs=0.3), key
        assert structure.kind == "CONTROL" and structure.name.startswith("zREF_01_")
        assert len(structure.name) <= 16 and "Not for treatment" in structure.description


def test_a_front_ends_half_way_to_the_next_lesion():
    labels = Volume(np.zeros(GRID.shape, np.int32), GRID, "labels")
    labels.array[cases.sphere(GRID, 10, (-8.0, 0.0, 0.0))] = 1
    labels.array[cases.sphere(GRID, 10, (8.0, 0.0, 0.0))] = 2
    found = reference_regions(
        labels, {1: "M1", 2: "M2"}, None, Volume(np.zeros(GRID.shape, np.float32), GRID)
    )
    fronts = [r.structure.mask for r in found.regions if r.region == "front"]
    places = [m.geometry.points_of(np.argwhere(m.array)) for m in fronts]
    assert places[0][:, 0].max() <= 0.51 and places[1][:, 0].min() >= -0.51


def test_small_regions_are_left_out_and_said():
    labels, habitats, _, _ = scene()
    habitats.array[:] = 1
    habitats.array[tuple(np.rint(GRID.index_of(CENTRE)).astype(int))] = 3
    found = reference_regions(labels, {1: "M1"}, habitats)
    assert "leaky_low_volume" not in by_region(found)
    assert any("below 8 voxels" in note for note in found.notes)


@pytest.mark.parametrize("value", [5, 99])
def test_an_image_that_is_no_habitats_is_refused(value):
    labels, habitats, _, _ = scene()
    habitats.array[0, 0, 0] = value
    with pytest.raises(InputError, match="habitats are 1 to 4"):
        reference_regions(labels, {}, habitats)
    other = Volume(habitats.array[1:], cases.grid((63, 64, 64)), "habitats")
    with pytest.raises(InputError):
        reference_regions(labels, {}, other)


def test_dose_of_regions_in_plan_space():
    """Dose falls along x in the plan; the lesion was drawn in a frame 12 mm away."""
    labels, habitats, _, _ = scene()
    transform = sitk.TranslationTransform(3, (12.0, 0.0, 0.0))
    plan = cases.grid((64, 64, 80))
    x = plan.points_of(np.stack(np.indices(plan.shape), -1))[..., 0]
    field = DoseField(DoseGrid(Volume((20.0 + 0.2 * x).astype(np.float32), plan, "dose")))
    found = regions_in_plan(reference_regions(labels, {1: "M1"}, habitats), transform)
    rows = {row["region"].split(",")[0]: row for row in reference_dose_rows(found, field, {"GTV_01": 20.0})}
    # the centroid of half a ball of radius r lies 3 r / 8 from its flat side
    middle = CENTRE[0] - 12.0
    assert rows["leaky"]["dmean_gy"] == pytest.approx(20.0 + 0.2 * (middle + 3.0), abs=0.04)
    assert rows["barrier-preserved"]["dmean_gy"] == pytest.approx(20.0 + 0.2 * (middle - 3.0), abs=0.04)
    assert rows["leaky"]["prescription_gy"] == 20.0
    assert rows["leaky"]["at_prescription_percent"] < 10.0


def head_ct(grid=GRID):
    """Brain in a skull from 24 to 28 mm, a calcification and a screw hole of 2 mm in the bone."""
    distance = cases.radius(grid)
    array = np.where(distance < 24, 35, np.where(distance < 28, 900, -1000)).astype(np.int16)
    array[cases.sphere(grid, 4, (0, 10, 0))] = 700
    points = grid.points_of(np.stack(np.indices(grid.shape), -1))
    array[(np.hypot(points[..., 1], points[..., 2]) < 1.1) & (points[..., 0] > 0) & (distance >= 24)] = 35
    return Volume(array, grid, "ct", {"modality": "CT"})


def test_the_skull_is_found_without_calcification_and_closed():
    skull = skull_of(head_ct(), [(14.0, 0.0, 0.0)])
    at = np.rint(skull.geometry.index_of([(0.0, 10.0, 0.0), (26.0, 0.0, 0.0), (20.0, 0.0, 0.0)])).astype(int)
    assert [bool(skull.array[tuple(place)]) for place in at] == [False, True, False]
    with pytest.raises(InputError, match="no Hounsfield units"):
        skull_of(
            Volume(np.ones((20, 20, 20), np.float32), cases.grid((20, 20, 20)), "t1", {"modality": "MR"}),
            [(0, 0, 0)],
        )
    empty = head_ct()
    with pytest.raises(InputError, match="no bone"):
        skull_of(empty.like(np.minimum(empty.array, 100)), [(0, 0, 0)])


def test_a_target_at_the_skull_keeps_what_lies_inside():
    labels = Volume(cases.sphere(GRID, 10, (14.0, 0.0, 0.0)).astype(np.int32), GRID, "labels")
    skull = skull_of(head_ct(), [(14.0, 0.0, 0.0)])
    target = make_targets(labels, ["M1"], 0.0, 7.0, [skull]).targets[0]
    # two spheres, radius 12 and 24, 14 mm apart: the volume of their lens
    assert target.ml["PTV"] == pytest.approx(cases.lens_ml(12.0, 24.0, 14.0), rel=0.03)
    points = target.masks["PTV"].geometry.points_of(np.argwhere(target.masks["PTV"].array))
    assert np.linalg.norm(points, axis=1).max() < 24.8


def sloping_wall():
    """A sheet through the origin that leans 3 mm from slice to slice, 1.2 mm thick on each."""
    corners = np.array([(-0.6, -25.0), (0.6, -25.0), (0.6, 25.0), (-0.6, 25.0)])
    return [np.c_[corners[:, 0] + z, corners[:, 1], np.full(4, z)] for z in np.arange(-18.0, 19.0, 3.0)]


def test_nothing_leaks_between_the_slices_of_a_sloping_tentorium():
    wall = Structure("Tentorium", "ORGAN", sloping_wall())
    labels = Volume(cases.sphere(GRID, 8, (-9.0, 0.0, 0.0)).astype(np.int32), GRID, "labels")
    target = make_targets(labels, ["M1"], 0.0, 9.0, [wall]).targets[0]
    points = target.masks["PTV"].geometry.points_of(np.argwhere(target.masks["PTV"].array))
    beyond = points[:, 0] - points[:, 2]
    assert beyond.max() < 2.5
    free = make_targets(labels, ["M1"], 0.0, 9.0).targets[0]
    assert target.ml["PTV"] < 0.9 * free.ml["PTV"]


def test_barriers_are_chosen_by_name():
    parts = [
        Structure(name, "ORGAN", sloping_wall()) for name in ("Falx", "Brainstem", "Tentorium cerebelli")
    ]
    assert [s.name for s in barrier_of_structures(StructureSet(parts))] == ["Falx", "Tentorium cerebelli"]
    assert [s.name for s in barrier_of_structures(StructureSet(parts), ["brainstem"])] == ["Brainstem"]
    with pytest.raises(InputError, match="no structure is called Dura"):
        barrier_of_structures(StructureSet(parts), ["Dura"])
    assert join_barriers(parts[:1], GRID).array.any()


def test_a_barrier_in_another_space_is_said():
    labels = Volume(cases.sphere(GRID, 8).astype(np.int32), GRID, "labels")
    far = np.zeros(GRID.shape, bool)
    far[:3] = True
    assert any(
        "no barrier lies" in text
        for text in make_targets(labels, ["M1"], 0.0, 2.0, Volume(far, GRID)).warnings
    )


@pytest.mark.parametrize(
    ("text", "left", "right", "written"),
    [("2", 2, 2, "2"), ("2,5", 2.5, 2.5, "2.5"), ("1 L4 s2", 4, 1, "1 L4 S2"), ("L3", 3, 0, "0 L3")],
)
def test_margins_as_typed(text, left, right, written):
    margin = Margin.of_text(text)
    assert (margin.left, margin.right, margin.text) == (left, right, written)


@pytest.mark.parametrize("text", ["", "two", "1 X3", "1 L", "-1", "1 L40"])
def test_margins_that_cannot_be_read_are_refused(text):
    with pytest.raises(InputError, match="margin"):
        Margin.of_text(text)


@pytest.mark.parametrize("turn", [np.eye(3), np.diag((-1.0, 1.0, -1.0)), np.eye(3)[:, [1, 2, 0]]])
def test_margins_by_side_do_not_depend_on_the_grid(turn):
    from BMVascularCore.planning.margins import enclosed_ml, grow
    from BMVascularCore.volume import Geometry

    grid = Geometry((48,) * 3, (0.5,) * 3, tuple(-(turn @ np.full(3, 11.75))), tuple(turn.ravel()))
    grown = grow(cases.radius(grid) - 4.0, grid, Margin.of_text("2 L5"))
    points = grid.points_of(np.argwhere(grown <= 0))
    assert points.max(axis=0) == pytest.approx((9.0, 6.0, 6.0), abs=0.3)
    assert points.min(axis=0) == pytest.approx((-6.0, -6.0, -6.0), abs=0.3)
    # Steiner: the volume of a convex body K grown by a ball follows from its volume, surface and mean width
    short, long = 2.0, 5.0
    eccentricity = np.sqrt(1.0 - (short / long) ** 2)
    spheroid = 2 * np.pi * short**2 * (1 + long / (short * eccentricity) * np.arcsin(eccentricity))
    volume = 2 / 3 * np.pi * short**2 * (short + long)
    surface = 2 * np.pi * short**2 + spheroid / 2
    height = (np.arange(20000) + 0.5) / 20000
    width = np.mean(np.sqrt(short**2 + (long**2 - short**2) * height**2)) + short
    ball = 4.0
    exact = volume + surface * ball + 2 * np.pi * width * ball**2 + 4 / 3 * np.pi * ball**3
    assert enclosed_ml(grown, grid) == pytest.approx(exact / 1000.0, rel=0.01)


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """CT series with a skull, lesion labels and habitats in an MR frame, organs on the CT."""
    tmp_path = tmp_path_factory.mktemp("planning")
    skull = head_ct().array
    transform = sitk.Euler3DTransform((0, 0, 0), 0.02, -0.03, 0.05, (2.0, -1.0, 3.0))
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    centre = np.array(transform.TransformPoint((13.0, 0.0, 0.0)))
    distance = cases.radius(GRID, centre)
    labels = (distance <= 5.0).astype(np.int16)
    habitats = np.where(distance <= 10.0, 2, 0).astype(np.uint8)
    habitats[distance <= 3.0] = 1
    write_volume(tmp_path / "labels.nrrd", Volume(labels, GRID))
    write_volume(tmp_path / "habitats.nrrd", Volume(habitats, GRID))
    headers = cases.image_headers(GRID.origin_mm[2] + np.arange(64), origin=GRID.origin_mm[:2])
    for k, header in enumerate(headers):
        header.PixelData = skull[k].tobytes()
        header.RescaleSlope, header.RescaleIntercept = 1, 0
    cases.write_series(tmp_path / "ct", headers)
    frame = headers[0].FrameOfReferenceUID
    organs = [("Falx", "ORGAN", foreign.closed(sloping_wall())),
              ("Brainstem", "ORGAN", foreign.closed(cases.sphere_contours(8, 1.0, (-2.0, 0.0, 0.0))))]  # fmt: skip
    foreign.write_structures(tmp_path / "organs.dcm", organs, frame=frame)
    dose_at, _ = cases.peaked_dose(10, 8.0)
    for name, factor in (("dose", 1.0), ("other", 0.9)):
        foreign.write_dose(
            tmp_path / f"{name}.dcm",
            lambda p, f=factor: f * dose_at(np.maximum(np.linalg.norm(p - (13.0, 0.0, 0.0), axis=-1), 1e-9)),
            (13.0, 0.0, 0.0), half_mm=22.0, frame=frame,
        )  # fmt: skip
    return tmp_path


@pytest.fixture
def files(made, tmp_path):
    """A copy of the files, for one test to write beside."""
    return shutil.copytree(made, tmp_path / "planning")


def habitat_options(files):
    return ["--habitats", str(files / "habitats.nrrd"), "--lesions", str(files / "labels.nrrd"),
            "--lesions-registration", str(files / "t.tfm")]  # fmt: skip


def test_from_lesions_to_structures_and_dose(files, capsys):
    assert main(["targets", str(files / "labels.nrrd"), "--ctv", "0", "--ptv", "8", "--transform", str(files / "t.tfm"),
                 "--reference", str(files / "ct"), "--skull", "--barriers", str(files / "organs.dcm"),
                 "--barrier-names", "Falx", "--organs", str(files / "organs.dcm"), "--angle", "1", "--translation",
                 "0.5", "--isocentre", "0,0,0", "--out", str(files / "t"), "--quiet"]) == 0, capsys.readouterr().err  # fmt: skip
    (row,) = rows_of(files / "t/targets.csv")
    # the ball of 13 mm loses what lies in the skull, and the cap beyond the leaning falx
    cap = 13.0 - 13.0 / np.sqrt(2.0)
    expected = cases.lens_ml(13.0, 24.0, 13.0) - np.pi * cap**2 * (39.0 - cap) / 3000.0
    assert float(row["ptv_ml"]) == pytest.approx(expected, rel=0.05)
    moved = 2 * 13.0 * np.sin(np.radians(0.5))
    assert float(row["rotation_displacement_mm"]) == pytest.approx(moved, rel=0.02)
    assert float(row["rotation_margin_mm"]) == pytest.approx(np.hypot(moved, 0.5), rel=0.02)
    distances = {r["structure"]: float(r["distance_mm"]) for r in rows_of(files / "t/distances.csv")}
    assert distances["Brainstem"] == pytest.approx(15.0 - 5.0 - 4.0, abs=0.3)
    published = rows_of(files / "t/dose_by_size.csv")
    assert {r["year"] for r in published} == {"2000", "2022"} and all(r["source"] for r in published)

    assert main(["rtstruct", "--ct", str(files / "ct"), "--labels", str(files / "t/targets.seg.nrrd"),
                 *habitat_options(files), "--out", str(files / "rs"), "--quiet"]) == 0, capsys.readouterr().err  # fmt: skip
    data = pydicom.dcmread(files / "rs/rtstruct.dcm")
    kinds = {str(r.ROIName): str(o.RTROIInterpretedType)
             for r, o in zip(data.StructureSetROISequence, data.RTROIObservationsSequence, strict=True)}  # fmt: skip
    assert kinds["GTV_01"] == "GTV" and kinds["zREF_01_PresFrnt"] == "CONTROL"
    if shutil.which("dciodvfy"):
        told = subprocess.run(
            ["dciodvfy", str(files / "rs/rtstruct.dcm")], capture_output=True, text=True, check=False
        )
        assert not [line for line in told.stderr.splitlines() if line.startswith("Error")]

    assert main(["dvh", "--dose", str(files / "dose.dcm"), "--structures", str(files / "rs/rtstruct.dcm"),
                 "--prescription", "20", "--fractions", "1", "--against", str(files / "other.dcm"),
                 *habitat_options(files), "--out", str(files / "d"), "--quiet"]) == 0, capsys.readouterr().err  # fmt: skip
    rows = {r["structure"]: r for r in rows_of(files / "d/habitat_dose.csv")}
    dose_at, _ = cases.peaked_dose(10, 8.0)
    shell = np.cbrt(5.0**3 + 0.5 * (10.0**3 - 5.0**3))
    assert float(rows["zREF_01_PresFrnt"]["d50_gy"]) == pytest.approx(dose_at(shell), rel=0.03)
    assert float(rows["zREF_01_LeakHiBV"]["at_prescription_percent"]) == pytest.approx(100.0)
    compared = {(r["structure"], r["quantity"]): r for r in rows_of(files / "d/comparison.csv")}
    pair = compared["GTV_01", "d50_gy"]
    assert float(pair["second"]) == pytest.approx(0.9 * float(pair["first"]), rel=1e-3)
    summary = json.loads((files / "d/dvh.json").read_text())["summary"]
    assert summary["biological_dose"]["plan"]["bed10_gy"] == pytest.approx(60.0)


def test_a_reference_structure_cannot_become_a_target(files, capsys):
    assert main(["rtstruct", "--ct", str(files / "ct"), "--labels", str(files / "labels.nrrd"), "--types",
                 "label_01=GTV", "--registration", str(files / "t.tfm"), *habitat_options(files), "--out",
                 str(files / "rs"), "--quiet"]) == 0, capsys.readouterr().err  # fmt: skip
    from BMVascularCore.planning.ct_series import read_planning_series

    data = pydicom.dcmread(files / "rs/rtstruct.dcm")
    series = read_planning_series(files / "ct")
    assert preflight(data, series) == []
    names = [str(r.ROIName) for r in data.StructureSetROISequence]
    data.RTROIObservationsSequence[names.index("zREF_01_Front")].RTROIInterpretedType = "PTV"
    assert "reference_type" in {one.code for one in preflight(data, series)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--skull"], "needs the planning CT"),
        (["--barrier-names", "Falx"], "given without structures"),
        (["--transform", "t.tfm"], "without the planning CT"),
        (["--isocentre", "0,0,0"], "--angle: is missing"),
        (["--barriers", "organs.dcm", "--barrier-names", "Dura"], "no structure is called Dura"),
        (["--organs", "nothing.dcm"], "does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_miss_another_are_refused(files, capsys, monkeypatch, options, words):
    monkeypatch.chdir(files)
    assert (
        main(["targets", "labels.nrrd", "--ctv", "0", "--ptv", "1", *options, "--out", "o", "--quiet"]) == 2
    )
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and words in said[0]
    assert not (files / "o").exists()


@pytest.mark.parametrize("option", ["--lesions", "--habitats"])
def test_habitats_without_their_lesions_are_refused(files, capsys, option):
    code = main(["dvh", "--dose", str(files / "dose.dcm"), "--structures", str(files / "organs.dcm"), "--prescription",
                 "20", option, str(files / "habitats.nrrd"), "--out", str(files / "o"), "--quiet"])  # fmt: skip
    assert code == 2 and "--lesions" in capsys.readouterr().err


@pytest.mark.usefixtures("hd")
def test_a_segmentation_object_is_reviewed(files):
    from BMVascularCore.planning.ct_series import read_planning_series
    from BMVascularCore.planning.seg_export import build_segmentation

    series = read_planning_series(files / "ct")
    mask = cases.sphere(series.geometry, 10, (13.0, 0.0, 0.0))
    build_segmentation(series, [Structure("M1", "GTV", [], Volume(mask, series.geometry))]).save_as(
        files / "seg.dcm"
    )
    assert main(["dvh", "--dose", str(files / "dose.dcm"), "--structures", str(files / "seg.dcm"), "--prescription",
                 "20", "--out", str(files / "o"), "--quiet"]) == 0  # fmt: skip
    (row,) = rows_of(files / "o/metrics.csv")
    dose_at, _ = cases.peaked_dose(10, 8.0)
    assert row["type"] == "GTV"
    assert float(row["volume_ml"]) == pytest.approx(mask.sum() / 1000.0, rel=1e-3)
    assert float(row["d50_gy"]) == pytest.approx(dose_at(5 * np.cbrt(0.5)), rel=0.02)
