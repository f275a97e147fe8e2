"""The command ``phenotype``, its schema, and DICOM SR and SEG read back."""

import csv
import datetime
import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from unit.phenotype_helpers import PROTOCOL, head_scan, schema_faults

from BMVascularCore.cli import main
from BMVascularCore.errors import InputError
from BMVascularCore.io import read_volume, write_volume
from BMVascularCore.io.dicom_files import save_dicom
from BMVascularCore.phenotype import assess_lesions, load_table
from BMVascularCore.phenotype.dicom_sr import geometry_of, sorted_images, to_dicom
from BMVascularCore.resources import resource


@pytest.fixture(scope="module")
def head():
    return head_scan(spacing_mm=3.0)


@pytest.fixture(scope="module")
def files(head, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    labels, parts, maps = head
    write_volume(folder / "lesions.nii.gz", labels)
    write_volume(folder / "compartments.nrrd", parts)
    for key, volume in maps.items():
        write_volume(folder / f"{key}.nrrd", volume)
    (folder / "context.json").write_text(json.dumps(PROTOCOL | {"histology": "lung"}))
    (folder / "lesions.csv").write_text("name,label\nLeft,1\nRight,2\nBack,3\n")
    return folder


def call(files, out, *more):
    return main(["phenotype", str(files / "lesions.nii.gz"), "--out", str(out), "--quiet", *map(str, more)])


def all_inputs(files):
    options = []
    for key in ("rcbv", "ktrans", "vp", "flair"):
        options += [f"--{key}", files / f"{key}.nrrd"]
    extra = ("--compartments", files / "compartments.nrrd", "--context", files / "context.json")
    return [*options, *extra, "--names", files / "lesions.csv"]


def test_whole_command(files, tmp_path):
    assert call(files, tmp_path / "out", *all_inputs(files)) == 0
    with open(tmp_path / "out" / "phenotype.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0])[:6] == ["name", "label", "phenotype", "stability", "coverage", "tier"]
    assert [row["name"] for row in rows] == ["Left", "Right", "Back"]
    assert rows[0]["phenotype"] == "angiogenic-dominant" and rows[0]["tier"] == "A"
    assert rows[0]["wash_in_ratio"] == "" and float(rows[0]["ktrans_per_min"]) == pytest.approx(0.13, rel=0.1)
    habitats = read_volume(tmp_path / "out" / "habitats.nii.gz")
    assert habitats.geometry.matches(read_volume(files / "lesions.nii.gz").geometry)
    assert (tmp_path / "out" / "habitat_membership_leaky_high_volume.nii.gz").exists()
    record = json.loads((tmp_path / "out" / "phenotype.json").read_text())
    schema = json.loads(resource("Schemas", "phenotype.schema.json").read_text())
    assert schema_faults(record, schema) == []
    assert record["summary"]["lesions"] == 3 and record["units"]["ktrans_per_min"] == "1/min"
    assert str(files) not in json.dumps(record)


def test_the_schema_can_fail():
    schema = json.loads(resource("Schemas", "phenotype.schema.json").read_text())
    assert schema_faults({"command": "phenotype", "lesions": [{"name": 1}]}, schema)


def test_labels_alone_are_honest(files, tmp_path):
    assert call(files, tmp_path / "out", "--no-habitats") == 0
    record = json.loads((tmp_path / "out" / "phenotype.json").read_text())
    schema = json.loads(resource("Schemas", "phenotype.schema.json").read_text())
    assert schema_faults(record, schema) == []
    assert all(item["phenotype"] == "indeterminate: insufficient inputs" for item in record["lesions"])
    assert not (tmp_path / "out" / "habitats.nii.gz").exists()


def test_an_empty_label_image_is_one_clear_sentence(files, head, tmp_path, capsys):
    labels = head[0]
    write_volume(tmp_path / "empty.nrrd", labels.like(labels.array * 0))
    assert main(["phenotype", str(tmp_path / "empty.nrrd"), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    said = capsys.readouterr().err.strip()
    assert "no lesions" in said and len(said.splitlines()) == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "content", "message"),
    [
        ("--context", "{", "not valid JSON"),
        ("--context", '{"scan_date": "soon"}', "not a date"),
        ("--names", "name,label\nA,one\n", "row 2, column label"),
        ("--rules", "{}", "lacks the entry"),
        ("--rcbv", "no image", "cannot be read"),
    ],
)
def test_wrong_files_are_refused(files, tmp_path, capsys, option, content, message):
    path = tmp_path / "given.nrrd"
    path.write_text(content)
    assert call(files, tmp_path / "out", option, path) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_edited_rules_are_used_and_said(files, tmp_path):
    text = resource("Evidence", "phenotype_rules.json").read_text(encoding="utf-8")
    (tmp_path / "rules.json").write_text(text.replace('"print_at": 0.7', '"print_at": 1.0'), encoding="utf-8")
    options = [*all_inputs(files), "--rules", tmp_path / "rules.json", "--no-habitats"]
    assert call(files, tmp_path / "out", *options) == 0
    record = json.loads((tmp_path / "out" / "phenotype.json").read_text())
    assert record["table"]["edited"] == {"evidence": False, "rules": True}


# ----- DICOM


def series_on(geometry):
    """Single-frame MR images on a grid."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    images = []
    for k in range(geometry.shape[0]):
        image = pydicom.Dataset()
        image.file_meta = pydicom.dataset.FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, generate_uid()
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.PatientID, image.PatientName, image.PatientBirthDate, image.PatientSex = "SIM", "SIM", "", ""
        image.StudyDate, image.StudyTime, image.StudyID = "", "", ""
        image.AccessionNumber, image.ReferringPhysicianName = "", ""
        image.Modality, image.SeriesNumber, image.InstanceNumber = "MR", 1, k + 1
        image.Rows, image.Columns = geometry.shape[1:]
        image.PixelSpacing = [geometry.spacing_mm[1], geometry.spacing_mm[0]]
        image.SliceThickness = geometry.spacing_mm[2]
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.ImagePositionPatient = [float(x) for x in geometry.points_of((k, 0, 0))]
        image.PositionReferenceIndicator = ""
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
        image.PixelData = bytes(2 * geometry.shape[1] * geometry.shape[2])
        image.ContentDate = datetime.date(2024, 1, 1).strftime("%Y%m%d")
        images.append(image)
    return images


def test_dicom_is_read_back(head, tmp_path, hd):
    labels, parts, maps = head
    result = assess_lesions(labels, maps, parts, PROTOCOL)
    source = series_on(labels.geometry)
    assert geometry_of(sorted_images(source[::-1])).matches(labels.geometry)
    objects = to_dicom(result, labels, source[::-1], load_table().rules["habitats"]["names"])
    for name in ("lesions", "habitats", "report"):
        getattr(objects, name).save_as(tmp_path / f"{name}.dcm")

    lesions = hd.seg.segread(tmp_path / "lesions.dcm")
    assert [item.SegmentLabel for item in lesions.SegmentSequence] == ["M1", "M2", "M3"]
    uids = [image.SOPInstanceUID for image in source]
    pixels = lesions.get_pixels_by_source_instance(uids, combine_segments=True, ignore_spatial_locations=True)
    assert np.array_equal(pixels, labels.array)

    habitats = hd.seg.segread(tmp_path / "habitats.dcm")
    pixels = habitats.get_pixels_by_source_instance(
        uids, combine_segments=True, ignore_spatial_locations=True
    )
    assert np.array_equal(pixels > 0, result.habitats.array > 0)

    report = hd.sr.srread(tmp_path / "report.dcm")
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == 3
    for group, lesion in zip(groups, result.lesions, strict=True):
        found = {item.name.meaning: (item.value, item.unit.value) for item in group.get_measurements()}
        ktrans = next(row["value"] for row in lesion["evidence"] if row["input"] == "ktrans")
        assert found["Ktrans"] == (pytest.approx(ktrans, rel=1e-6), "/min")
        assert found["Rule stability"][0] == pytest.approx(lesion["stability"], rel=1e-6)
        named = {item.name.meaning: item.value.meaning for item in group.get_qualitative_evaluations()}
        assert named["Vascular phenotype (rule label)"] == lesion["phenotype"][:64]


def written_series(head, folder):
    """The head's grid as a DICOM series on disk."""
    folder.mkdir()
    for number, image in enumerate(series_on(head[0].geometry)):
        save_dicom(folder / f"{number:03d}.dcm", image)
    return folder


def test_the_command_writes_dicom_that_joins_the_study(files, head, tmp_path, recwarn, hd):
    folder = written_series(head, tmp_path / "series")
    (folder / "readme.txt").write_text("no image")
    assert call(files, tmp_path / "out", *all_inputs(files), "--dicom-source", folder) == 0
    # a name that highdicom finds odd must not show up in a log
    assert not [w for w in recwarn if "SIM" in str(w.message)]
    written = [
        pydicom.dcmread(tmp_path / "out" / f"{n}.dcm")
        for n in ("lesions_seg", "habitats_seg", "phenotype_sr")
    ]
    source = pydicom.dcmread(folder / "000.dcm")
    assert {data.StudyInstanceUID for data in written} == {source.StudyInstanceUID}
    assert [data.Modality for data in written] == ["SEG", "SEG", "SR"]
    content = written[2].ContentTemplateSequence[0]
    assert (content.TemplateIdentifier, content.MappingResource) == ("1500", "DCMR")
    groups = hd.sr.srread(
        tmp_path / "out" / "phenotype_sr.dcm"
    ).content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["Left", "Right", "Back"]


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed"
)
@pytest.mark.usefixtures("hd")
def test_an_independent_checker_finds_no_errors(files, head, tmp_path):
    folder = written_series(head, tmp_path / "series")
    assert call(files, tmp_path / "out", *all_inputs(files), "--dicom-source", folder) == 0
    for name in ("lesions_seg", "habitats_seg", "phenotype_sr"):
        path = str(tmp_path / "out" / f"{name}.dcm")
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        errors = [line for line in said.stderr.splitlines() if line.startswith("Error")]
        # the simulated source series has no study date and time: what is not known stays empty
        assert [line for line in errors if "StudyDate" not in line and "StudyTime" not in line] == []


@pytest.mark.parametrize("content", ["missing", "empty"])
def test_a_wrong_source_series_is_refused(files, tmp_path, capsys, content):
    folder = tmp_path / "series"
    if content == "empty":
        folder.mkdir()
    assert call(files, tmp_path / "out", "--dicom-source", folder) == 2
    said = capsys.readouterr().err
    assert ("does not exist" if content == "missing" else "holds no DICOM images") in said
    assert not (tmp_path / "out").exists()


def test_dicom_needs_one_series(head):
    images = series_on(head[0].geometry)[:3]
    images[1].SeriesInstanceUID = generate_uid()
    with pytest.raises(InputError, match="several series"):
        sorted_images(images)
    with pytest.raises(InputError, match="no source images"):
        sorted_images([])
