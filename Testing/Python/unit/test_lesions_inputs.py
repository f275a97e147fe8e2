"""What the lesion commands take in: segmentations of other tools, lists of clicks, images that do not belong."""

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_seg_files import write_seg
from lesion_heads import Shape, grid, labels_of, lesion_fraction, make_head
from lesion_patients import Setting, make_patient

from BMVascularCore.cli import main
from BMVascularCore.errors import InputError
from BMVascularCore.io import write_volume
from BMVascularCore.io.points import read_points
from BMVascularCore.lesions import lesions_from_labels, prepare
from BMVascularCore.volume import Volume

GRID = grid((24, 30, 34), (1.2, 0.8, 2.0))
BALLS = Shape((-5, 2, 0), (5, 5, 5)), Shape((7, -3, 4), (4, 4, 6))


# -- segmentations of other tools


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_dicom_seg_of_every_type(tmp_path, kind):
    shares = [lesion_fraction(ball, GRID) for ball in BALLS]
    masks = [share >= 0.5 for share in shares]
    write_seg(tmp_path / "seg.dcm", shares if kind == "FRACTIONAL" else masks, ["A", "B"], GRID, kind)
    rows = lesions_from_labels(tmp_path / "seg.dcm").rows
    assert [row["name"] for row in rows] == ["A", "B"]
    for row, ball, mask in zip(rows, BALLS, masks, strict=True):
        x, y, z = ball.centre_mm
        centre = row["centre_r_mm"], row["centre_a_mm"], row["centre_s_mm"]
        assert centre == pytest.approx((-x, -y, z), abs=0.2)
        assert row["volume_ml"] == pytest.approx(mask.sum() * 1.92e-3, rel=1e-3)


def test_overlapping_segments_are_said(tmp_path):
    share = lesion_fraction(BALLS[0], GRID)
    write_seg(tmp_path / "seg.dcm", [share >= 0.5, share >= 0.9], ["whole", "core"], GRID)
    found = lesions_from_labels(tmp_path / "seg.dcm")
    assert f"{(share >= 0.9).sum()} shared voxels" in found.warnings[0]


def test_a_folder_with_one_dicom_segmentation(tmp_path):
    share = lesion_fraction(BALLS[0], GRID)
    write_seg(tmp_path / "a.dcm", [share >= 0.5], ["A"], GRID)
    assert lesions_from_labels(tmp_path).rows[0]["name"] == "A"
    write_seg(tmp_path / "b.dcm", [share >= 0.5], ["A"], GRID)
    with pytest.raises(InputError, match="2 DICOM files"):
        lesions_from_labels(tmp_path)


def test_segments_of_one_name_are_told_apart(tmp_path):
    write_seg(tmp_path / "seg.dcm", [lesion_fraction(b, GRID) >= 0.5 for b in BALLS], ["GTV", "GTV"], GRID)
    assert [row["name"] for row in lesions_from_labels(tmp_path / "seg.dcm").rows] == ["GTV", "GTV (2)"]


def test_one_label_gives_a_lesion_for_each_piece(tmp_path):
    both = labels_of(GRID, *BALLS)
    write_volume(tmp_path / "one.nii.gz", both.like((both.array > 0).astype(np.float32) * 7.0))
    found = lesions_from_labels(tmp_path / "one.nii.gz")
    volumes = [row["volume_ml"] for row in found.rows]
    assert volumes == pytest.approx(
        sorted((float((both.array == n).sum()) * 1.92e-3 for n in (1, 2)), reverse=True)
    )
    assert "2 separate pieces" in found.warnings[0]
    # several labels are taken as they are, whatever their pieces
    write_volume(tmp_path / "two.nii.gz", both)
    assert lesions_from_labels(tmp_path / "two.nii.gz").warnings == []


def test_crumbs_are_no_lesions(tmp_path):
    noise = np.zeros(GRID.shape, np.uint8)
    noise[::3, ::3, ::3] = 1
    write_volume(tmp_path / "noise.nrrd", Volume(noise, GRID))
    with pytest.raises(InputError, match="pieces"):
        lesions_from_labels(tmp_path / "noise.nrrd")


def test_layers_of_a_slicer_segmentation(tmp_path):
    """Two layers use the same label value."""
    layers = np.stack([lesion_fraction(ball, GRID) >= 0.5 for ball in BALLS], -1).astype(np.uint8)
    image = sitk.GetImageFromArray(layers, isVector=True)
    image.CopyInformation(Volume(layers[..., 0], GRID).to_sitk())
    for number, name in enumerate(("frontal", "temporal")):
        for key, value in (("Name", name), ("LabelValue", "1"), ("Layer", str(number))):
            image.SetMetaData(f"Segment{number}_{key}", value)
    sitk.WriteImage(image, str(tmp_path / "layers.seg.nrrd"))
    rows = lesions_from_labels(tmp_path / "layers.seg.nrrd").rows
    assert [row["name"] for row in rows] == ["frontal", "temporal"]
    assert [row["volume_ml"] for row in rows] == pytest.approx(
        [layers[..., n].sum() * 1.92e-3 for n in (0, 1)]
    )


@pytest.fixture(scope="module")
def head():
    shape = Shape((12, -5, 3), (6, 6, 6))
    return make_head([shape], grid((70, 90, 80), (1, 1, 1)), seed=5, vessels=False, head_mm=(38, 42, 33))


@pytest.fixture(scope="module")
def t1c_file(head, tmp_path_factory):
    path = tmp_path_factory.mktemp("head") / "t1c.nii.gz"
    write_volume(path, head.t1c)
    return path


def test_labels_beside_the_image(head):
    ready = prepare(head.t1c)
    far = grid((20, 20, 20), (1, 1, 1))
    far = labels_of(far, Shape((0, 0, 0), (4, 4, 4)))
    far.geometry = far.geometry.__class__(far.geometry.shape, (1, 1, 1), (300, 0, 0))
    with pytest.raises(InputError, match="beside the T1c"):
        lesions_from_labels(far, ready=ready)


def test_labels_that_the_image_is_too_coarse_for_are_named(head):
    fine = grid((60, 60, 120), (0.3, 0.3, 0.3))
    labels = labels_of(fine, Shape((-6, 0, 0), (5, 5, 5)))
    labels.array[30, 30, 100] = 2
    found = lesions_from_labels(labels, ready=prepare(head.t1c))
    assert [row["label"] for row in found.rows] == [1]
    assert found.warnings[-1].endswith("left out: L2.")


def test_progress_of_labels(head):
    seen = []
    labels = labels_of(head.t1c.geometry, Shape((12, -5, 3), (6, 6, 6)))
    lesions_from_labels(labels, ready=prepare(head.t1c), progress=lambda share, text="": seen.append(share))
    assert seen == sorted(seen) and len(seen) > 3 and seen[0] == 0.0 and seen[-1] > 0.4


# -- lists of clicks

PLACE = (12.0, -5.0, 3.0)  # LPS


def markups(system, place, **more):
    return json.dumps(
        {
            "markups": [
                {"coordinateSystem": system, "controlPoints": [{"label": "M1", "position": place, **more}]}
            ]
        }
    )


@pytest.mark.parametrize(
    "name, text, lps",
    [
        ("a.mrk.json", markups("LPS", PLACE), False),
        ("a.mrk.json", markups("RAS", (-12, 5, 3)), False),
        ("a.fcsv", "# CoordinateSystem = LPS\n# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label\n"
         "1,12,-5,3,0,0,0,1,1,1,0,M1\n", False),
        ("a.fcsv", "# CoordinateSystem = 0\n# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label\n"
         "1,-12,5,3,0,0,0,1,1,1,0,M1\n", False),
        ("a.csv", "name,r_mm,a_mm,s_mm\nM1,-12,5,3\n", True),
        ("a.csv", "l_mm,p_mm,s_mm,Label\n12,-5,3,M1\n", False),
        ("a.csv", "name,x,y,z\nM1,-12,5,3\n", False),
        ("a.csv", "name,x,y,z\nM1,12,-5,3\n", True),
    ],
)  # fmt: skip
def test_points_keep_their_axes(tmp_path, name, text, lps):
    (tmp_path / name).write_text(text)
    assert read_points(tmp_path / name, lps) == [("M1", PLACE, "")]


def test_points_that_are_not_placed_are_left_out(tmp_path):
    (tmp_path / "a.mrk.json").write_text(markups("LPS", PLACE, positionStatus="preview"))
    with pytest.raises(InputError, match="holds no place"):
        read_points(tmp_path / "a.mrk.json")


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("a.mrk.json", "{", "no Slicer markups"),
        ("a.mrk.json", "[]", "no Slicer markups"),
        ("a.mrk.json", markups("XYZ", PLACE), "axes 'XYZ'"),
        ("a.mrk.json", markups("LPS", (1, None, 2)), "point 1"),
        ("a.csv", "name,x,y,z\nM1,1,nan,2\n", "line 2"),
        ("a.csv", "name,u,v\nM1,1,2\n", "lacks the columns"),
        ("a.csv", "name,x,y,z\n", "holds no place"),
        ("a.fcsv", "1,2\n", "line 1"),
        ("a.txt", "1,2,3", "no list of places"),
    ],
)
def test_wrong_lists_are_one_sentence(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        read_points(tmp_path / name)


def segment(t1c, out, *argv):
    return main(["segment", str(t1c), *map(str, argv), "--out", str(out), "--quiet"])


def test_clicks_from_a_file_with_an_exclude_point(t1c_file, tmp_path):
    (tmp_path / "whole.csv").write_text("name,r_mm,a_mm,s_mm\nM1,-12,5,3\n")
    (tmp_path / "part.csv").write_text("name,r_mm,a_mm,s_mm,kind\nM1,-12,5,3,\nF-2,-16,5,3,exclude\n")
    volumes = []
    for name in ("whole", "part"):
        assert segment(t1c_file, tmp_path / name, "--seeds", tmp_path / f"{name}.csv") == 0
        with open(tmp_path / name / "lesions.csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [row["name"] for row in rows] == ["M1"]
        volumes.append(float(rows[0]["volume_ml"]))
    assert volumes[0] == pytest.approx(4 / 3 * np.pi * 0.216, rel=0.1)
    assert volumes[1] < 0.9 * volumes[0]


@pytest.mark.parametrize("radius", ["-3", "nan", "0"])
def test_a_radius_that_cannot_be(t1c_file, tmp_path, capsys, radius):
    assert segment(t1c_file, tmp_path / "o", "--seed=-12,5,3", "--max-radius-mm", radius) == 2
    assert "no radius of a lesion" in capsys.readouterr().err


# -- images that do not belong


def test_a_ct_is_refused(head, t1c_file, tmp_path, capsys):
    array = np.where(head.t1c.array > 0.1 * head.t1c.array.max(), 40, -1000).astype(np.int16)
    write_volume(tmp_path / "ct.nii.gz", head.t1c.like(array))
    for argv in ((tmp_path / "ct.nii.gz",), (t1c_file, "--flair", tmp_path / "ct.nii.gz")):
        assert segment(argv[0], tmp_path / "o", "--seed=-12,5,3", *argv[1:]) == 2
        said = capsys.readouterr().err
        assert "Hounsfield" in said and len(said.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()


def test_a_companion_of_another_patient_is_noticed():
    """Heads of one size in much the same place: only their insides tell."""
    own, other = (make_patient(Setting("x", seed, voxel_mm=2.0, diameters_mm=(8, 14))) for seed in (41, 43))
    good = prepare(own.t1c, own.t1, own.flair, own.swi)
    assert good.warnings == [] and None not in (good.t1, good.flair, good.swi)
    bad = prepare(own.t1c, other.t1, other.flair, other.swi)
    assert (bad.t1, bad.flair, bad.swi) == (None, None, None)
    assert all("another patient, or not registered" in text for text in bad.warnings)
    for shift_mm, fits in ((2.0, True), (6.0, False)):
        moved = own.flair.to_sitk()
        moved.SetOrigin([moved.GetOrigin()[0] + shift_mm, *moved.GetOrigin()[1:]])
        found = prepare(own.t1c, flair=Volume.of_sitk(moved, "flair"))
        assert (found.flair is not None) is fits


def test_images_without_structure_are_not_called_foreign():
    """A ball of noise with shading: nothing inside it tells where it lies."""
    geometry = grid((60, 60, 60), (2, 2, 2))
    share = lesion_fraction(Shape((0, 0, 0), (50, 54, 50)), geometry, factor=2)
    rng, slope = np.random.default_rng(3), np.linspace(0.8, 1.2, 60)
    t1c = Volume((100 * share * slope + rng.normal(0, 3, share.shape)).astype(np.float32), geometry, "t1c")
    flair = Volume(
        (70 * share * slope[::-1, None] + rng.normal(0, 3, share.shape)).astype(np.float32), geometry
    )
    found = prepare(t1c, flair=flair)
    assert found.flair is not None and found.warnings == []
