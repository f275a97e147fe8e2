"""The commands targets, dvh and rtstruct from end to end."""

import csv
import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import planning_cases as cases
import pydicom
import pytest
import SimpleITK as sitk

from BMVascularCore.cli import main
from BMVascularCore.io import write_volume
from BMVascularCore.planning import seg_export
from BMVascularCore.planning.ct_series import read_planning_series
from BMVascularCore.planning.seg_export import read_segmentation_object
from BMVascularCore.planning.segmentation_file import read_segmentation
from BMVascularCore.planning.structures import Structure
from BMVascularCore.volume import Volume, resample

HEIGHTS = np.arange(-20.0, 21.0)


def rows_of(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def lesions(tmp_path):
    geometry = cases.grid((40, 48, 48))
    array = cases.sphere(geometry, 8, (-8.0, 2.0, 1.0)) * 1 + cases.sphere(geometry, 5, (-2.0, 2.0, 1.0)) * 2
    array[array > 2] = 1
    write_volume(tmp_path / "lesions.nrrd", Volume(array.astype(np.int16), geometry))
    (tmp_path / "lesions.csv").write_text("name,label\nM1,1\nM2,2\n")
    return tmp_path


def test_targets_command(lesions):
    out = lesions / "out"
    code = main(["targets", str(lesions / "lesions.nrrd"), "--ctv", "0", "--ptv", "2",
                 "--names", str(lesions / "lesions.csv"), "--out", str(out), "--quiet"])  # fmt: skip
    assert code == 0
    rows = rows_of(out / "targets.csv")
    assert [row["name"] for row in rows] == ["M1", "M2"]
    assert float(rows[0]["ptv_ml"]) == pytest.approx(cases.sphere_ml(12), rel=0.05)
    segments, geometry = read_segmentation(out / "targets.seg.nrrd")
    masks = {s.name: s.mask for s in segments}
    assert list(masks) == ["GTV_01", "GTV_02", "CTV_01", "CTV_02", "PTV_01", "PTV_02"]
    # the neighbours' PTVs overlap and both are whole
    assert (masks["PTV_01"] & masks["PTV_02"]).any()
    for name in ("PTV_01", "PTV_02"):
        row = rows[int(name[-1]) - 1]
        assert masks[name].sum() * geometry.voxel_ml == pytest.approx(float(row["ptv_ml"]), rel=0.03)
    assert json.loads((out / "targets.json").read_text())["summary"]["lesions"] == 2


def test_targets_with_a_table_of_margins(lesions):
    table = lesions / "margins.csv"
    table.write_text("name,ctv_mm,ptv_mm,ptv_left_mm\nM1,0,1,\nM2,1,0,\n")
    out = lesions / "out"
    arguments = [
        "targets",
        str(lesions / "lesions.nrrd"),
        "--margins",
        str(table),
        "--out",
        str(out),
        "--quiet",
    ]
    assert main(arguments) == 2  # the labels are called lesion_01 without names
    assert not out.exists()
    assert main([*arguments, "--names", str(lesions / "lesions.csv")]) == 0
    rows = rows_of(out / "targets.csv")
    assert float(rows[0]["ptv_ml"]) == pytest.approx(cases.sphere_ml(10), rel=0.06)
    assert rows[1]["ptv_ml"] == rows[1]["ctv_ml"]


def write_mr_in_own_frame(folder):
    """A lesion in an MR frame, and the transform from CT points to MR points."""
    transform = sitk.Euler3DTransform((0, 0, 0), 0.05, 0.1, -0.15, (3.0, -2.0, 4.0))
    sitk.WriteTransform(transform, str(folder / "ct_to_mr.tfm"))
    geometry = cases.grid((48, 48, 48))
    centre_mr = np.array(transform.TransformPoint((6.0, -4.0, 2.0)))
    write_volume(
        folder / "mr_labels.nrrd", Volume(cases.sphere(geometry, 10, centre_mr).astype(np.int16), geometry)
    )


def test_rtstruct_command_carries_labels_from_mr_to_ct(tmp_path, capsys):
    ct = cases.write_series(tmp_path / "ct", cases.image_headers(HEIGHTS))
    mr = cases.write_series(tmp_path / "mr", cases.image_headers(HEIGHTS, modality="MR"))
    write_mr_in_own_frame(tmp_path)
    out = tmp_path / "out"
    code = main(["rtstruct", "--ct", str(ct), "--labels", str(tmp_path / "mr_labels.nrrd"),
                 "--types", "label_01=GTV", "--registration", str(tmp_path / "ct_to_mr.tfm"),
                 "--moving", str(mr), "--out", str(out), "--quiet"])  # fmt: skip
    assert code == 0, capsys.readouterr().err
    data = pydicom.dcmread(out / "rtstruct.dcm")
    points = [
        np.reshape([float(v) for v in c.ContourData], (-1, 3))
        for c in data.ROIContourSequence[0].ContourSequence
    ]
    areas = [np.ptp(p[:, 0]) * np.ptp(p[:, 1]) for p in points]
    assert np.average([p.mean(axis=0) for p in points], axis=0, weights=areas) == pytest.approx(
        (6, -4, 2), abs=0.25
    )
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in sorted(ct.glob("*.dcm"))]
    uids = {h.SOPInstanceUID for h in headers}
    used = {
        c.ContourImageSequence[0].ReferencedSOPInstanceUID for c in data.ROIContourSequence[0].ContourSequence
    }
    assert used <= uids
    assert data.FrameOfReferenceUID == headers[0].FrameOfReferenceUID
    assert pydicom.dcmread(out / "reg.dcm").Modality == "REG"
    # the registration object does the same as the transform it was made from
    again = ["rtstruct", "--ct", str(ct), "--labels", str(tmp_path / "mr_labels.nrrd"), "--types", "label_01=GTV",
             "--registration", str(out / "reg.dcm"), "--out", str(tmp_path / "again"), "--quiet"]  # fmt: skip
    assert main(again) == 0, capsys.readouterr().err
    other = pydicom.dcmread(tmp_path / "again/rtstruct.dcm").ROIContourSequence[0].ContourSequence
    assert len(other) == len(points)
    for mine, part in zip(points, other, strict=True):
        assert np.reshape([float(v) for v in part.ContourData], (-1, 3)) == pytest.approx(mine, abs=1e-3)
    elsewhere = cases.write_series(tmp_path / "other_ct", cases.image_headers(HEIGHTS))
    again[again.index(str(ct))] = str(elsewhere)
    assert main([*again[:-2], str(tmp_path / "no"), "--quiet"]) == 2
    assert "does not concern the frame of reference" in capsys.readouterr().err


def segment_facts(path):
    """Name to centre (LPS mm) and volume (mL) of the segments of a file."""
    found = {}
    for one in read_segmentation_object(path).structures:
        points = one.mask.geometry.points_of(np.argwhere(one.mask.array))
        found[one.name] = points.mean(axis=0), one.mask.array.sum() * one.mask.geometry.voxel_ml
    return found


@pytest.mark.usefixtures("hd")
@pytest.mark.parametrize(
    "turn", [(1, 0, 0, 0, 1, 0), (0.96, 0.28, 0, -0.28, 0.96, 0)], ids=["axial", "turned"]
)
def test_rtstruct_command_writes_a_segmentation_too(tmp_path, capsys, turn):
    headers = cases.image_headers(HEIGHTS, ImageOrientationPatient=list(turn))
    ct = cases.write_series(tmp_path / "ct", headers)
    transform = sitk.Euler3DTransform((0, 0, 0), 0.05, 0.1, -0.15, (3.0, -2.0, 4.0))
    sitk.WriteTransform(transform, str(tmp_path / "ct_to_mr.tfm"))
    geometry = cases.grid((96, 96, 96), (0.4, 0.4, 0.5))
    row, column = np.reshape(turn, (2, 3))
    inside = np.array(headers[20].ImagePositionPatient, float) + 24 * row + 40 * column
    truth = {"M1": (inside, 10.0), "M2": (inside + np.array((9.0, 1.0, 3.0)), 3.0)}
    array = np.zeros(geometry.shape, np.int16)
    for number, (centre, diameter) in enumerate(truth.values(), start=1):
        array[cases.sphere(geometry, diameter, transform.TransformPoint(centre.tolist()))] = number
    write_volume(tmp_path / "mr_labels.nrrd", Volume(array, geometry))
    (tmp_path / "names.csv").write_text("name,label,type\nM1,1,GTV\nM2,2,GTV\n")
    assert main(["rtstruct", "--ct", str(ct), "--labels", str(tmp_path / "mr_labels.nrrd"), "--names",
                 str(tmp_path / "names.csv"), "--registration", str(tmp_path / "ct_to_mr.tfm"), "--seg",
                 "--out", str(tmp_path / "o"), "--quiet"]) == 0, capsys.readouterr().err  # fmt: skip
    found = segment_facts(tmp_path / "o/seg.dcm")
    for name, (centre, diameter) in truth.items():
        assert found[name][0] == pytest.approx(centre, abs=0.25)
        assert found[name][1] == pytest.approx(cases.sphere_ml(diameter), rel=0.03 if diameter > 5 else 0.2)
    data = pydicom.dcmread(tmp_path / "o/seg.dcm")
    assert data.FrameOfReferenceUID == headers[0].FrameOfReferenceUID
    assert data.StudyInstanceUID == headers[0].StudyInstanceUID
    if shutil.which("dciodvfy"):
        told = subprocess.run(
            ["dciodvfy", str(tmp_path / "o/seg.dcm")], capture_output=True, text=True, check=False
        )
        assert not [line for line in told.stderr.splitlines() if line.startswith("Error")]


@pytest.mark.usefixtures("hd")
def test_many_segments_are_shared_out_among_objects(tmp_path, monkeypatch):
    series = read_planning_series(cases.write_series(tmp_path / "ct", cases.image_headers(HEIGHTS)))
    fine = cases.grid((120, 120, 120), (0.25, 0.25, 0.25))
    drawn = [
        Structure(f"GTV_{n:02d}", "GTV", [], Volume(cases.sphere(fine, 6, (0.0, 0.0, z)), fine))
        for n, z in enumerate((-10.0, -9.0, 9.0), start=1)
    ]
    found, notes = seg_export.structures_on_series(drawn, series)
    assert len(found) == 3 and not any("out of" in note for note in notes)
    assert len(seg_export.build_segmentations(series, found)) == 1
    # room for the first two, which share their slices, and not for all three
    monkeypatch.setattr(seg_export, "_MOST_BYTES", 64 * 64 * 20)
    parts = seg_export.build_segmentations(series, found)
    assert [[str(s.SegmentLabel) for s in part.SegmentSequence] for part in parts] == [
        ["GTV_01", "GTV_02"],
        ["GTV_03"],
    ]
    for n, part in enumerate(parts):
        part.save_as(tmp_path / f"{n}.dcm")
    facts = segment_facts(tmp_path / "0.dcm") | segment_facts(tmp_path / "1.dcm")
    assert [round(float(centre[2]), 1) for centre, _ in facts.values()] == [-10.0, -9.0, 9.0]
    outside = replace(drawn[0], mask=Volume(drawn[0].mask.array, cases.grid((120,) * 3, (0.25,) * 3), "far"))
    moved = sitk.TranslationTransform(3, (0.0, 0.0, 90.0))
    found, notes = seg_export.structures_on_series([outside], series, moved)
    assert found == [] and "left out" in notes[0]


def rtstruct_of_a_sphere(folder, ct):
    """The call for a lesion of 8 mm around the origin."""
    grid = cases.grid((40, 40, 40))
    write_volume(folder / "labels.nrrd", Volume(cases.sphere(grid, 8).astype(np.int16), grid))
    return ["rtstruct", "--ct", str(ct), "--labels", str(folder / "labels.nrrd"), "--out", str(folder / "o")]


def test_rtstruct_on_a_series_with_what_exporters_leave_out(tmp_path, capsys):
    """Localizers beside the series; elements that may be empty are missing."""
    headers = cases.image_headers(HEIGHTS)
    for header in headers:
        for tag in ("PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber", "StudyDate", "SliceThickness",
                    "ReferringPhysicianName", "PositionReferenceIndicator", "PatientPosition"):  # fmt: skip
            delattr(header, tag)
    scout = cases.image_headers([0.0], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    ct = cases.write_series(tmp_path / "ct", [*headers, *scout])
    call = rtstruct_of_a_sphere(tmp_path, ct)
    assert main([*call, "--quiet"]) == 0, capsys.readouterr().err
    data = pydicom.dcmread(tmp_path / "o/rtstruct.dcm")
    assert data.StudyInstanceUID == headers[0].StudyInstanceUID and data.PatientID == "PH1"
    assert data.PatientBirthDate == data.StudyID == ""


def test_rtstruct_refuses_a_lesion_that_the_series_cuts(tmp_path, capsys):
    ct = cases.write_series(tmp_path / "ct", cases.image_headers(np.arange(-20.0, 3.0)))
    call = rtstruct_of_a_sphere(tmp_path, ct)
    assert main(call) == 2
    assert "reaches beyond the planning series" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_rtstruct_refuses_a_tilted_ct(tmp_path, capsys):
    ct = cases.write_series(tmp_path / "ct", cases.image_headers(HEIGHTS, GantryDetectorTilt=12.0))
    write_mr_in_own_frame(tmp_path)
    out = tmp_path / "out"
    code = main(
        ["rtstruct", "--ct", str(ct), "--labels", str(tmp_path / "mr_labels.nrrd"), "--out", str(out)]
    )
    assert code == 2
    assert "gantry tilt of +12.0 deg" in capsys.readouterr().err
    assert not out.exists()


def test_dvh_command(tmp_path, lesions):
    dose_at, _ = cases.peaked_dose(8, 6.5)
    geometry = cases.grid((40, 48, 48))
    dose = dose_at(np.maximum(cases.radius(geometry, (-8.0, 2.0, 1.0)), 1e-9)).astype(np.float32)
    write_volume(tmp_path / "dose.nrrd", Volume(dose, geometry))
    out = tmp_path / "out"
    code = main(["dvh", "--dose", str(tmp_path / "dose.nrrd"), "--structures", str(lesions / "lesions.nrrd"),
                 "--prescription", "20", "--fractions", "1", "--names", str(lesions / "lesions.csv"),
                 "--out", str(out), "--quiet"])  # fmt: skip
    assert code == 0
    rows = {row["structure"]: row for row in rows_of(out / "metrics.csv")}
    assert set(rows) == {"M1", "M2"}
    assert float(rows["M1"]["d50_gy"]) == pytest.approx(dose_at(4 * 0.5 ** (1 / 3)), rel=0.02)
    curve = [row for row in rows_of(out / "dvh.csv") if row["structure"] == "M1"]
    percent = np.array([float(row["volume_percent"]) for row in curve])
    assert percent[0] == pytest.approx(100.0) and (np.diff(percent) <= 1e-9).all()
    record = json.loads((out / "dvh.json").read_text())
    assert record["summary"]["conventions"]["dose_interpolation"]
    assert record["summary"]["biological_dose"]["plan"]["bed10_gy"] == pytest.approx(60)
    centigray = resample(Volume(dose, geometry), geometry)
    write_volume(tmp_path / "cgy.nrrd", centigray.like(centigray.array * 100))
    again = ["dvh", "--dose", str(tmp_path / "cgy.nrrd"), "--structures", str(lesions / "lesions.nrrd"),
             "--prescription", "20", "--out", str(tmp_path / "o2"), "--quiet"]  # fmt: skip
    assert main(again) == 2
    assert main([*again, "--dose-units", "cgy"]) == 0
