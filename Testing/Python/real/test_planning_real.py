"""Planning on real series and on the reference sets of other projects."""

import csv
import json
import shutil
import subprocess
import zipfile

import numpy as np
import pydicom
import pytest

from BMVascularCore.cli import main
from BMVascularCore.errors import InputError
from BMVascularCore.io import read_labels
from BMVascularCore.planning.ct_series import read_planning_series
from BMVascularCore.planning.dose import read_dose
from BMVascularCore.planning.preflight import preflight
from BMVascularCore.planning.sampling import sample_structure
from BMVascularCore.planning.structures import read_structures


def unpack(shared, name, folder):
    with zipfile.ZipFile(shared / "data/real" / name) as packed:
        packed.extractall(folder)
    return folder


def rows_of(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_gamma_knife_case_goes_out_and_comes_back(shared, tmp_path):
    series = unpack(shared, "vs_seg_001_gk/T1c_dicom.zip", tmp_path / "mr")
    labels = shared / "data/real/vs_seg_001_gk/VS-SEG-001_T1c_contour_labels.nii.gz"
    (tmp_path / "names.csv").write_text("name,label\nTV,1\nCochlea,2\nVol2016,3\n")
    names = ["--names", str(tmp_path / "names.csv"), "--quiet"]
    assert (
        main(["targets", str(labels), "--ctv", "0", "--ptv", "1", "--out", str(tmp_path / "t"), *names]) == 0
    )
    truth = read_labels(labels)
    for row in rows_of(tmp_path / "t/targets.csv"):
        mask_ml = (truth.array == int(row["label"])).sum() * truth.geometry.voxel_ml
        assert float(row["gtv_ml"]) == pytest.approx(mask_ml, rel=0.01)
        assert float(row["ptv_ml"]) > float(row["gtv_ml"])
    code = main(["rtstruct", "--ct", str(series), "--labels", str(tmp_path / "t/targets.seg.nrrd"),
                 "--out", str(tmp_path / "rs"), "--quiet"])  # fmt: skip
    assert code == 0
    data = pydicom.dcmread(tmp_path / "rs/rtstruct.dcm")
    planning = read_planning_series(series)
    assert planning.modality == "MR"
    assert preflight(data, planning) == []
    found = {s.name: s for s in read_structures(tmp_path / "rs/rtstruct.dcm").structures}
    for table in json.loads((tmp_path / "rs/rtstruct.json").read_text())["summary"]["structures"]:
        assert table["contours_ml"] == pytest.approx(table["mask_ml"], rel=0.01)
    assert sample_structure(found["GTV_01"]).volume_ml == pytest.approx(2.018, rel=0.02)


def test_a_tilted_head_ct_is_refused(shared, tmp_path, capsys):
    series = unpack(shared, "head_ct_ge_dicom/GE_head_ct_dicom.zip", tmp_path / "ct")
    labels = shared / "data/real/vs_seg_001_gk/VS-SEG-001_T1c_contour_labels.nii.gz"
    assert main(["rtstruct", "--ct", str(series), "--labels", str(labels), "--out", str(tmp_path / "o")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "gantry tilt of +18.5 deg" in said[0]
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", ["rtdose", "rtdose_1frame", "rtdose_expb", "rtdose_rle"])
def test_relative_dose_is_refused(shared, name):
    with pytest.raises(InputError, match="RELATIVE"):
        read_dose(shared / f"data/rt/pydicom/{name}.dcm")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["rtdose_expb", "rtdose_rle"])
def test_compressed_and_big_endian_grids_hold_the_same_dose(shared, tmp_path, monkeypatch, name):
    from BMVascularCore.planning import dose as module

    monkeypatch.setattr(module, "_refuse_kind", lambda data, name: [])
    plain = read_dose(shared / "data/rt/pydicom/rtdose.dcm")
    other = read_dose(shared / f"data/rt/pydicom/{name}.dcm")
    assert np.array_equal(plain.volume.array, other.volume.array)
    assert plain.geometry.matches(other.geometry)


def test_feet_first_dose_covers_its_phantom(shared):
    dose = read_dose(shared / "data/rt/pymedphys-data/RD.TBB_feet_in_supine.dcm")
    corners = dose.geometry.points_of([(0, 0, 0), np.asarray(dose.geometry.shape) - 1])
    assert sorted(corners[:, 2]) == pytest.approx([-100.0, 100.0])
    assert sorted(corners[:, 0]) == pytest.approx([-100.1, 99.9], abs=0.1)


def test_non_square_dose(shared):
    dose = read_dose(shared / "data/rt/pymedphys-data/rtdose_non_square_pixels.dcm")
    # frames run downwards: the lowest one comes first in the array
    assert dose.geometry.origin_mm[2] == pytest.approx(18.5 - 77.5)
    data = pydicom.dcmread(shared / "data/rt/pymedphys-data/rtdose_non_square_pixels.dcm", force=True)
    data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    row_step, column_step = (float(v) for v in data.PixelSpacing)
    assert dose.geometry.spacing_mm[:2] == pytest.approx((column_step, row_step))
    assert dose.maximum_gy == pytest.approx(data.pixel_array.max() * float(data.DoseGridScaling), rel=1e-6)


def test_foreign_structure_sets_are_read(shared):
    found = read_structures(shared / "data/rt/dicompyler-core/rtss.dcm")
    kinds = {s.kind for s in found.structures}
    assert {"EXTERNAL", "CTV", "GTV", "ORGAN", "AVOIDANCE"} <= kinds


def test_a_structure_set_of_another_ct_is_found(shared):
    series = read_planning_series(shared / "data/rt/synthetic_spheres/ct")
    foreign = pydicom.dcmread(shared / "data/rt/dicompyler-core/rtss.dcm")
    codes = {one.code for one in preflight(foreign, series) if one.severity == "error"}
    assert {"patient", "frame", "image_unknown"} <= codes
    own = pydicom.dcmread(shared / "data/rt/synthetic_spheres/RS_spheres.dcm")
    assert preflight(own, series) == []


@pytest.mark.parametrize("diameter", [3, 4, 5, 7, 10, 15, 20])
def test_spheres_with_known_truth(shared, tmp_path, diameter):
    folder = shared / "data/rt/synthetic_spheres"
    name = f"GTV_{diameter:02d}mm"
    truth = json.loads((folder / "truth.json").read_text())["targets"][name]
    code = main(["dvh", "--dose", str(folder / f"RD_{name}_1mm.dcm"),
                 "--structures", str(folder / "RS_spheres.dcm"),
                 "--prescription", "20", "--targets", name, "--quiet",
                 "--out", str(tmp_path / "o")])  # fmt: skip
    assert code == 0
    row = next(r for r in rows_of(tmp_path / "o/metrics.csv") if r["structure"] == name)
    tight = 0.025 if diameter < 5 else 0.01
    for column, key in (
        ("d50_gy", "D50_Gy"), ("d2_gy", "D2_Gy"), ("dmean_gy", "Dmean_Gy"), ("piv_ml", "PIV_cc"),
        ("v12_ml", "V12Gy_cc"), ("v10_ml", "V10Gy_cc"), ("gradient_index", "gradient_index"),
    ):  # fmt: skip
        assert float(row[column]) == pytest.approx(truth[key], rel=tight), column
    assert float(row["d98_gy"]) == pytest.approx(truth["D98_Gy"], rel=0.015)
    assert float(row["paddick_ci"]) >= (0.98 if diameter >= 7 else 0.95)


@pytest.mark.skipif(shutil.which("plastimatch") is None, reason="plastimatch is not installed")
def test_an_independent_reader_sees_the_same_volumes(shared, tmp_path):
    series = unpack(shared, "vs_seg_001_gk/T1c_dicom.zip", tmp_path / "mr")
    labels = shared / "data/real/vs_seg_001_gk/VS-SEG-001_T1c_contour_labels.nii.gz"
    assert (
        main(
            [
                "rtstruct",
                "--ct",
                str(series),
                "--labels",
                str(labels),
                "--out",
                str(tmp_path / "rs"),
                "--quiet",
            ]
        )
        == 0
    )
    subprocess.run(
        ["plastimatch", "convert", "--input", str(tmp_path / "rs/rtstruct.dcm"),
         "--referenced-ct", str(series),
         "--output-prefix", str(tmp_path / "pm"), "--prefix-format", "nrrd"],
        check=True, capture_output=True,
    )  # fmt: skip
    theirs = read_labels(tmp_path / "pm/label_01.nrrd")
    truth = read_labels(labels).array == 1
    assert theirs.array.astype(bool).sum() * theirs.geometry.voxel_ml == pytest.approx(2.018, rel=0.03)
    both = (theirs.array > 0) & truth
    assert 2.0 * both.sum() / ((theirs.array > 0).sum() + truth.sum()) > 0.95
