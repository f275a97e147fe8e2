"""Real examinations through ``run`` and the command line."""

import json
import zipfile

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from BMVascularCore.cli import main
from BMVascularCore.io import read_labels
from BMVascularCore.study.dicom import load_volume
from BMVascularCore.study.headers import scan_folder


@pytest.fixture(scope="module")
def exam(shared, tmp_path_factory):
    """DICOM folder of the contrast-enhanced T1, the team's tumour mask, and the place of a click in it (RAS)."""
    source = shared / "data" / "real" / "vs_seg_001_gk"
    folder = tmp_path_factory.mktemp("exam")
    with zipfile.ZipFile(source / "T1c_dicom.zip") as packed:
        packed.extractall(folder)
    image = sitk.ReadImage(str(source / "VS-SEG-001_T1c_contour_labels.nii.gz"))
    labels = sitk.GetArrayFromImage(image)
    # the second contour of the team overwrites part of the first one in the label map
    tumour = (labels == 1) | (labels == 3)
    inside = np.argwhere(labels == 1)
    index = inside[np.linalg.norm(inside - inside.mean(axis=0), axis=1).argmin()]
    lps = image.TransformIndexToPhysicalPoint([int(v) for v in index[::-1]])
    return folder, tumour, (-lps[0], -lps[1], lps[2]), image


def test_geometry_of_the_series_is_that_of_the_label_map(exam):
    folder, _, _, image = exam
    volume = load_volume(scan_folder(folder)[0])
    assert volume.array.shape == image.GetSize()[::-1]
    corner = np.array(image.GetSize()) - 1
    for index in ((0, 0, 0), corner):
        here = volume.geometry.points_of(np.asarray(index)[::-1])
        there = image.TransformIndexToPhysicalPoint([int(v) for v in index])
        assert np.allclose(here, there, atol=0.01)


def test_run_on_a_series_without_perfusion(exam, tmp_path):
    folder, tumour, (r, a, s), _ = exam
    out = tmp_path / "out"
    code = main(["run", str(folder), f"--seed={r},{a},{s}=VS", "--out", str(out), "--no-pictures", "--quiet"])
    assert code == 0
    found = read_labels(out / "tp1" / "lesions" / "lesions.nrrd").array > 0
    dice = 2 * (found & tumour).sum() / (found.sum() + tumour.sum())
    assert dice >= 0.85
    text = (out / "tp1" / "lesions" / "lesions.csv").read_text(encoding="utf-8").splitlines()
    row = dict(zip(text[0].split(","), text[1].split(","), strict=False))
    assert float(row["volume_ml"]) == pytest.approx(3.44, rel=0.12)
    assert row["oedema_ml"] == ""  # no FLAIR: not measurable, not zero
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "insufficient inputs" in html
    assert "Simulated" not in html


def test_lesion_as_structure_set_on_that_series(exam, tmp_path):
    folder, _, (r, a, s), _ = exam
    seed = f"--seed={r},{a},{s}=VS"
    assert main(["segment", str(folder), seed, "--out", str(tmp_path / "seg"), "--quiet"]) == 0
    labels = next((tmp_path / "seg").glob("lesions.n*"))
    code = main(["rtstruct", "--ct", str(folder), "--labels", str(labels), "--names",
                 str(tmp_path / "seg" / "lesions.csv"), "--out", str(tmp_path / "rt"), "--quiet"])  # fmt: skip
    assert code == 0
    data = pydicom.dcmread(tmp_path / "rt" / "rtstruct.dcm")
    series = pydicom.dcmread(next(folder.rglob("*.dcm")), stop_before_pixels=True)
    assert data.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID == series.FrameOfReferenceUID
    table = json.loads((tmp_path / "rt" / "rtstruct.json").read_text(encoding="utf-8"))["summary"][
        "structures"
    ]
    assert table[0]["contours_ml"] == pytest.approx(table[0]["mask_ml"], rel=0.01)


def test_click_in_air_is_one_sentence(exam, tmp_path, capsys):
    folder = exam[0]
    code = main(["run", str(folder), "--seed=0,0,-400=X", "--out", str(tmp_path / "out"), "--quiet"])
    assert code == 2
    assert "X" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_tilted_planning_ct_is_refused_with_the_angle(shared, tmp_path, capsys):
    folder = tmp_path / "ct"
    with zipfile.ZipFile(shared / "data" / "real" / "head_ct_ge_dicom" / "GE_head_ct_dicom.zip") as packed:
        packed.extractall(folder)
    moving = shared / "data" / "real" / "pyradiomics_brain" / "brain1_image.nrrd"
    assert main(["register", str(folder), str(moving), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert "18.5 degrees" in error
    assert "1.08 to 7.00 mm" in error
    assert not (tmp_path / "out").exists()
