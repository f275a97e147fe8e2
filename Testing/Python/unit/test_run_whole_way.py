"""The whole way once on the small simulated patient, and what ``run`` refuses."""

import csv
import json

import numpy as np
import pydicom
import pytest

from BMVascularCore.cli import main
from BMVascularCore.errors import Cancelled, InputError
from BMVascularCore.io import OutputFolder
from BMVascularCore.study.pipeline import run_study
from BMVascularCore.study.plan import read_plan

pytest.importorskip("nilearn", reason="the simulated patient needs the tissue maps in nilearn")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Results of the small demo without pictures, and its study folder."""
    out = tmp_path_factory.mktemp("demo")
    code = main(["demo", "--size", "small", "--out", str(out / "results"), "--keep-study", str(out / "study"),
                 "--no-pictures", "--quiet"])  # fmt: skip
    assert code == 0
    return out


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def truth(demo):
    return rows_of(demo / "results" / "computed_against_true.csv")


def test_every_lesion_is_found_from_its_seed(truth):
    assert len(truth) >= 8
    for row in truth:
        assert float(row["dice"]) >= (0.85 if float(row["diameter_true_mm"]) >= 10 else 0.65), row


def test_volumes_are_near_the_truth(truth):
    for row in truth:
        if float(row["diameter_true_mm"]) >= 10:
            assert float(row["volume_ml"]) == pytest.approx(float(row["volume_true_ml"]), rel=0.15), row


def test_fusion_error_at_every_lesion_is_below_a_millimetre(truth):
    errors = [float(row["fusion_error_mm"]) for row in truth if row["fusion_error_mm"]]
    assert len(errors) >= 4
    assert max(errors) < 1.0


def test_no_lesion_gets_a_firm_label_that_is_wrong(truth):
    for row in truth:
        firm = not row["phenotype"].startswith("indeterminate")
        if firm and not row["phenotype_true"].startswith("indeterminate"):
            assert row["phenotype"] == row["phenotype_true"], row


def test_leaky_and_preserved_lesions_are_told_apart_by_ktrans(truth):
    leaky = [
        float(r["ktrans_per_min"])
        for r in truth
        if r["ktrans_per_min"] and float(r["ktrans_true_per_min"]) > 0.1
    ]
    tight = [
        float(r["ktrans_per_min"])
        for r in truth
        if r["ktrans_per_min"] and float(r["ktrans_true_per_min"]) < 0.02
    ]
    assert min(leaky) > 3 * max(tight)


def test_results_folder_is_whole_and_names_no_path(demo):
    results = demo / "results"
    for name in ("report.html", "results.json", "demo.json", "tp1/lesions/lesions.csv", "tp2/phenotype/phenotype.csv",
                 "tp1/dsc/nrcbv.nrrd", "tp1/dce/ktrans.nrrd", "tp1/dce/se_ktrans.nrrd", "planning/targets.csv",
                 "planning/metrics.csv", "planning/rtstruct.dcm", "planning/reg.dcm", "change/change.csv"):  # fmt: skip
        assert (results / name).is_file(), name
    for text in ((results / "demo.json").read_text(), (results / "results.json").read_text()):
        assert str(demo) not in text


def test_structure_set_lies_on_the_planning_ct(demo):
    data = pydicom.dcmread(demo / "results" / "planning" / "rtstruct.dcm")
    uids = set()
    for path in (demo / "study" / "DICOM").rglob("*.dcm"):
        header = pydicom.dcmread(
            path, stop_before_pixels=True, specific_tags=["Modality", "FrameOfReferenceUID"]
        )
        if header.Modality == "CT":
            uids.add(header.FrameOfReferenceUID)
    assert {data.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID} == uids
    names = [roi.ROIName for roi in data.StructureSetROISequence]
    assert len(names) == len(set(names)) >= 12


def test_lesions_and_habitats_leave_as_a_segmentation(demo, hd):
    results = demo / "results"
    data = hd.seg.segread(results / "planning" / "seg.dcm")
    structures = pydicom.dcmread(results / "planning" / "rtstruct.dcm")
    assert data.FrameOfReferenceUID == structures.FrameOfReferenceUID
    labels = [str(data.get_segment_description(n).segment_label) for n in data.segment_numbers]
    # what the structure set holds, without the grown volumes
    names = [str(r.ROIName) for r in structures.StructureSetROISequence]
    assert labels == [name for name in names if not name.startswith(("CTV", "PTV"))]
    assert any(label.startswith("zREF") for label in labels)
    volumes = {row["gtv"]: float(row["gtv_ml"]) for row in rows_of(results / "planning" / "targets.csv")}
    for number, label in zip(data.segment_numbers, labels, strict=True):
        if label in volumes:
            volume = data.get_volume(segment_numbers=[number])
            ml = np.asarray(volume.array).sum() * np.prod(volume.spacing) / 1000.0
            assert ml == pytest.approx(volumes[label], rel=0.1)
    listed = json.loads((results / "results.json").read_text())["planning"]["dicom"]
    assert [one["file"] for one in listed] == [f"planning/{n}.dcm" for n in ("rtstruct", "seg", "reg")]
    assert "planning/seg.dcm" in (results / "report.html").read_text(encoding="utf-8")


def test_report_says_what_is_simulated_and_shows_the_truth(demo):
    html = (demo / "results" / "report.html").read_text(encoding="utf-8")
    assert "Simulated data" in html
    assert "Computed against true" in html
    assert "Research use only" in html
    # sentences, not the objects that carry them
    assert "{&#x27;" not in html
    assert "source of the limits" in html


def test_new_and_vanished_lesions_are_named(demo):
    statuses = {row["status"] for row in rows_of(demo / "results" / "change" / "matches_1.csv")}
    assert {"matched", "new", "vanished"} <= statuses


def test_cancel_in_mid_run_leaves_nothing(demo, tmp_path):
    def progress(fraction, message=""):
        if fraction > 0.02:
            raise Cancelled

    plan = read_plan(demo / "study")
    with pytest.raises(Cancelled), OutputFolder(tmp_path / "out") as folder:
        run_study(plan, folder, pictures=False, progress=progress)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ('{"timepoints": []}', "no time point"),
        ('{"timepoints": [{"series": {"T1c": "missing.nii.gz"}}]}', "missing.nii.gz"),
        ('{"timepoints": [{"series": {"tumour": "x.nrrd"}}]}', "not a role"),
    ],
)
def test_wrong_study_file_is_one_sentence_and_exit_code_two(tmp_path, capsys, content, words):
    study = tmp_path / "study"
    study.mkdir()
    (study / "study.json").write_text(content, encoding="utf-8")
    assert main(["run", str(study), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in error
    assert not (tmp_path / "out").exists()


def test_study_without_seeds_asks_for_them(demo, tmp_path):
    study = json.loads((demo / "study" / "study.json").read_text())
    for point in study["timepoints"]:
        point["seeds"] = []
    study["dicom"] = str(demo / "study" / "DICOM")
    (tmp_path / "study.json").write_text(json.dumps(study), encoding="utf-8")
    with pytest.raises(InputError, match="--seed"):
        read_plan(tmp_path)
    assert len(read_plan(tmp_path, seeds_required=False).timepoints) == 2


def test_empty_and_missing_folders(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "absent"):
        assert main(["run", str(tmp_path / name), "--out", str(tmp_path / "out")]) == 2
        assert name in capsys.readouterr().err
