"""The command ``bmvascular dsc`` from files to files."""

import json

import dsc_objects
import numpy as np
import pytest
import SimpleITK as sitk

from BMVascularCore.cli import main
from BMVascularCore.io import read_curve, read_volume, write_series, write_volume
from BMVascularCore.volume import Geometry, Series, Volume

MAPS = ["rcbv", "rcbv_uncorrected", "nrcbv", "srcbv", "k1", "k2", "k2_cv", "cbf", "mtt", "tmax", "ttp"]
MAPS += ["psr", "ph", "brain", "nawm", "flags"]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dsc")
    head = dsc_objects.head_object(slices=4, size=48)
    geometry = Geometry(head["brain"].shape, head["spacing_mm"], head["origin_mm"])
    series = Series(head["signal"], head["times_s"], geometry, "dsc")
    write_series(folder / "dsc.seq.nrrd", series)
    frames = [series.frame(t).to_sitk() for t in range(60)]
    sitk.WriteImage(sitk.JoinSeries(frames), str(folder / "dsc.nii.gz"))
    for name in ("brain", "lesion", "artery", "white"):
        write_volume(folder / f"{name}.nrrd", Volume(head[name], geometry))
    other = Geometry(head["brain"].shape, (1.0, 1.0, 1.0))
    write_volume(folder / "elsewhere.nrrd", Volume(head["brain"], other))
    np.savetxt(folder / "times.txt", head["times_s"])
    return folder, head


def test_sequence_to_maps(case, tmp_path):
    folder, head = case
    arguments = [
        "dsc",
        str(folder / "dsc.seq.nrrd"),
        "--te",
        "30",
        "--flip",
        "30",
        "--preload",
        "no",
        "--quiet",
    ]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    for name in MAPS:
        assert (tmp_path / "out" / f"{name}.nrrd").is_file(), name
    record = json.loads((tmp_path / "out" / "dsc.json").read_text())
    assert record["units"]["k2"] == "1/s"
    assert record["parameters"]["te"] == 30
    assert "CAPLEX" in record["methods"]
    assert record["summary"]["nawm_voxels"] > 10
    nrcbv = read_volume(tmp_path / "out" / "nrcbv.nrrd").array
    assert np.nanmedian(nrcbv[head["grey"]]) == pytest.approx(2.25, rel=0.15)
    times, aif, _ = read_curve(tmp_path / "out" / "aif.csv", ("delta_r2s_per_s",))
    np.testing.assert_allclose(times, head["times_s"])
    assert aif.max() > 20


def test_nifti_with_masks_times_and_typed_in_aif(case, tmp_path):
    folder, _ = case
    first = ["dsc", str(folder / "dsc.nii.gz"), "--times", str(folder / "times.txt"), "--te", "30", "--quiet"]
    masks = ["--mask", "brain", "--exclude", "lesion", "--nawm", "white", "--aif-mask", "artery"]
    masks = [str(folder / f"{item}.nrrd") if not item.startswith("--") else item for item in masks]
    assert main([*first, *masks, "--out", str(tmp_path / "a")]) == 0
    assert (tmp_path / "a" / "rcbv.nii.gz").is_file()
    curve = ["--aif", str(tmp_path / "a" / "aif.csv"), "--leakage", "bsw", "--deconvolution", "csvd"]
    assert main([*first, *curve, "--baseline", "2:12", "--skip", "2", "--out", str(tmp_path / "b")]) == 0
    record = json.loads((tmp_path / "b" / "dsc.json").read_text())
    assert record["summary"]["baseline_frames"] == [2, 12]
    assert record["inputs"]["aif"] == "aif.csv"


@pytest.mark.parametrize(
    ("extra", "part"),
    [
        ([], "--te"),
        (["--te", "30", "--mask", "elsewhere"], "voxel grid"),
        (["--te", "30", "--baseline", "2-12"], "A:B"),
        (["--te", "30", "--baseline", "2:40"], "bolus peak"),
        (["--te", "30", "--second-echo", "dsc.seq.nrrd"], "--te2"),
        (["--te", "30", "--aif", "times.txt"], "time_s"),
    ],
)
def test_wrong_calls_end_in_one_line_and_write_nothing(case, tmp_path, capsys, extra, part):
    folder, _ = case
    names = {"elsewhere": "elsewhere.nrrd"}
    extra = [
        str(folder / names.get(item, item)) if (folder / names.get(item, item)).is_file() else item
        for item in extra
    ]
    code = main(["dsc", str(folder / "dsc.seq.nrrd"), *extra, "--out", str(tmp_path / "x"), "--quiet"])
    lines = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert len(lines) == 1
    assert part in lines[0]
    assert not (tmp_path / "x").exists()


def test_nifti_without_times_is_refused(case, tmp_path, capsys):
    folder, _ = case
    code = main(["dsc", str(folder / "dsc.nii.gz"), "--te", "30", "--out", str(tmp_path / "x"), "--quiet"])
    assert code == 2
    assert "--dt" in capsys.readouterr().err
