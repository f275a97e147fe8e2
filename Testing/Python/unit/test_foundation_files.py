"""Images, series, tables and the output folder: round trips and refusals."""

import numpy as np
import pytest
import SimpleITK as sitk

from BMVascularCore.errors import GeometryMismatchError, InputError
from BMVascularCore.io import (
    OutputFolder,
    read_curve,
    read_labels,
    read_mask,
    read_series,
    read_volume,
    write_series,
    write_volume,
)
from BMVascularCore.io.times import choose_times
from BMVascularCore.volume import Geometry, Series, Volume, ras_lps, resample

ANGLE = np.radians(20)
OBLIQUE = Geometry(
    (4, 5, 6),
    (1.0, 2.0, 3.0),
    (10.0, -20.0, 30.0),
    (np.cos(ANGLE), -np.sin(ANGLE), 0, np.sin(ANGLE), np.cos(ANGLE), 0, 0, 0, 1),
)


def values(shape=(4, 5, 6), dtype=np.float32):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


def test_index_and_point_are_inverse_on_an_oblique_grid():
    index = np.array([[0, 0, 0], [3, 4, 5], [1.5, 2.25, 0.5]])
    assert np.allclose(OBLIQUE.index_of(OBLIQUE.points_of(index)), index)


def test_points_agree_with_simpleitk():
    image = Volume(values(), OBLIQUE).to_sitk()
    expected = image.TransformIndexToPhysicalPoint((5, 4, 3))
    assert np.allclose(OBLIQUE.points_of((3, 4, 5)), expected)


def test_ras_is_lps_with_x_and_y_turned():
    assert ras_lps((1, 2, 3)).tolist() == [-1, -2, 3]


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_volume_round_trip_keeps_values_and_place(tmp_path, ending):
    path = tmp_path / f"image{ending}"
    write_volume(path, Volume(values(), OBLIQUE))
    back = read_volume(path)
    assert np.array_equal(back.array, values())
    assert back.geometry.matches(OBLIQUE)


@pytest.mark.parametrize("name", ["series.seq.nrrd", "series.nii.gz"])
def test_series_round_trip_keeps_uneven_times(tmp_path, name):
    series = Series(values((3, 4, 5, 6)), np.array([0.0, 1.5, 4.0]), OBLIQUE)
    write_series(tmp_path / name, series)
    back = read_series(tmp_path / name)
    assert np.allclose(back.times_s, [0, 1.5, 4])
    assert np.array_equal(back.array, series.array)


def test_nifti_without_times_is_refused_and_says_what_to_give(tmp_path):
    sitk.WriteImage(sitk.JoinSeries([Volume(values(), OBLIQUE).to_sitk()] * 3), str(tmp_path / "d.nii.gz"))
    with pytest.raises(InputError, match="--dt"):
        read_series(tmp_path / "d.nii.gz")
    assert read_series(tmp_path / "d.nii.gz", dt_s=2.0).times_s.tolist() == [0, 2, 4]


def test_three_dimensions_where_four_are_needed(tmp_path):
    write_volume(tmp_path / "a.nrrd", Volume(values(), OBLIQUE))
    with pytest.raises(InputError, match="3D"):
        read_series(tmp_path / "a.nrrd", dt_s=1.0)


def test_two_channels_are_not_a_volume(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((3, 4, 5, 2), np.float32), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "rgb.nrrd"))
    with pytest.raises(InputError, match="2 channels"):
        read_volume(tmp_path / "rgb.nrrd")


@pytest.mark.parametrize(("times", "word"), [([0, 1, 1], "increase"), ([0, np.nan, 2], "not numbers")])
def test_times_that_cannot_be_true(tmp_path, times, word):
    write_series(tmp_path / "s.seq.nrrd", Series(values((3, 4, 5, 6)), np.arange(3.0), OBLIQUE))
    with pytest.raises(InputError, match=word):
        read_series(tmp_path / "s.seq.nrrd", times_s=times)


def test_clock_that_passes_midnight(tmp_path):
    write_series(tmp_path / "s.seq.nrrd", Series(values((3, 4, 5, 6)), np.arange(3.0), OBLIQUE))
    back = read_series(tmp_path / "s.seq.nrrd", times_s=[86398.0, 86399.5, 1.0])
    assert np.allclose(back.times_s, [0, 1.5, 3.0])


def test_multivolume_labels_are_milliseconds(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((3, 4, 5, 3), np.float32), isVector=True)
    image.SetMetaData("MultiVolume.FrameLabels", "1000,2500,4000")
    image.SetMetaData("MultiVolume.FrameIdentifyingDICOMTagName", "TriggerTime")
    sitk.WriteImage(image, str(tmp_path / "m.nrrd"))
    assert read_series(tmp_path / "m.nrrd").times_s.tolist() == [0, 1.5, 3.0]


def test_echo_times_are_not_frame_times(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((3, 4, 5, 3), np.float32), isVector=True)
    image.SetMetaData("MultiVolume.FrameLabels", "10,20,30")
    image.SetMetaData("MultiVolume.FrameIdentifyingDICOMTagName", "EchoTime")
    sitk.WriteImage(image, str(tmp_path / "m.nrrd"))
    with pytest.raises(InputError, match="no frame times"):
        read_series(tmp_path / "m.nrrd")


def test_mask_of_another_grid_names_both(tmp_path):
    write_volume(tmp_path / "mask.nrrd", Volume(np.ones((4, 5, 7), np.uint8), Geometry((4, 5, 7))))
    with pytest.raises(GeometryMismatchError, match=r"mask\.nrrd.*T1c"):
        read_mask(tmp_path / "mask.nrrd", OBLIQUE, "T1c")


def test_labels_with_fractions_are_refused(tmp_path):
    write_volume(tmp_path / "l.nrrd", Volume(values() + np.float32(0.5), OBLIQUE))
    with pytest.raises(InputError, match="fractions"):
        read_labels(tmp_path / "l.nrrd")


def test_resample_moves_by_the_transform():
    geometry = Geometry((9, 9, 9))
    array = np.zeros((9, 9, 9), np.float32)
    array[4, 4, 6] = 1
    shift = sitk.TranslationTransform(3, (2.0, 0.0, 0.0))  # wanted point x maps to x + 2 of the image
    moved = resample(Volume(array, geometry), geometry, shift).array
    assert np.unravel_index(moved.argmax(), moved.shape) == (4, 4, 4)


def test_curve_needs_increasing_times(tmp_path):
    path = tmp_path / "aif.csv"
    path.write_text("time_s,concentration_mM\n0,0\n2,1\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="increase"):
        read_curve(path)


def test_failed_command_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), OutputFolder(tmp_path / "a" / "b") as folder:
        folder.file("half.nrrd").write_text("half", encoding="utf-8")
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_finished_command_publishes_all(tmp_path):
    with OutputFolder(tmp_path / "out") as folder:
        folder.file("sub/x.txt").write_text("x", encoding="utf-8")
        folder.write_json("a.json", {"nan": float("nan"), "n": np.float32(1.5)})
        assert folder.commit() == ["a.json", "sub/x.txt"]
    assert (tmp_path / "out" / "a.json").read_text(encoding="utf-8").count("null") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_folder_with_results_is_kept(tmp_path):
    (tmp_path / "keep.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="--overwrite"):
        OutputFolder(tmp_path)
    OutputFolder(tmp_path, overwrite=True)


def test_curves_from_bare_columns_and_arrays(tmp_path):
    times, values = np.arange(5.0), np.arange(5.0) ** 2
    np.savetxt(tmp_path / "bare.csv", np.column_stack([times, values]), delimiter=",")
    np.savez(tmp_path / "curve.npz", time_s=times, concentration_mM=values, note=np.zeros((2, 2)))
    for name in ("bare.csv", "curve.npz"):
        found_times, found, _ = read_curve(tmp_path / name)
        assert np.array_equal(found_times, times) and np.array_equal(found, values)
    np.savez(tmp_path / "bad.npz", a=times)
    (tmp_path / "bad.csv").write_bytes(b"\xff\xf8\x00")
    for name in ("bad.npz", "bad.csv"):
        with pytest.raises(InputError, match="bad"):
            read_curve(tmp_path / name)


@pytest.mark.parametrize(("step", "unit"), [(1500.0, "milliseconds"), (0.025, "minutes")])
def test_times_that_cannot_be_seconds_are_refused(step, unit):
    with pytest.raises(InputError, match=unit):
        choose_times(40, "series", dt_s=step)


def test_four_dimensional_nifti_is_the_same_in_parts(tmp_path):
    """Frames of a file that is read a part at a time, with a count that the parts do not divide."""
    array = np.random.default_rng(0).normal(size=(19, 3, 4, 5)).astype(np.float32)
    image = sitk.JoinSeries([sitk.GetImageFromArray(frame) for frame in array])
    for name in ("a.nii", "a.nii.gz"):
        sitk.WriteImage(image, str(tmp_path / name))
        assert np.array_equal(read_series(tmp_path / name, dt_s=2.0).array, array)
    (tmp_path / "cut.nii").write_bytes((tmp_path / "a.nii").read_bytes()[:3000])
    with pytest.raises(InputError, match="cut"):
        read_series(tmp_path / "cut.nii", dt_s=2.0)
