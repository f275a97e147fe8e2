"""DICOM folders: geometry, frame times, roles, and what must be refused."""

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from BMVascularCore.errors import InputError
from BMVascularCore.io.dicom_files import save_dicom
from BMVascularCore.study.dicom import load_series, load_volume, read_single_series, read_single_volume
from BMVascularCore.study.frame_times import clock_seconds
from BMVascularCore.study.headers import scan_folder
from BMVascularCore.study.roles import propose_role, propose_roles


def write_slice(folder, name, z, pixels, **tags):
    """One classic MR image; ``tags`` overwrite the defaults, None removes a tag."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = MRImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.{abs(hash(name)) % 10**12}"
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = MRImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    data.Modality, data.SeriesDescription, data.SeriesNumber = "MR", "test", 1
    data.Rows, data.Columns = pixels.shape
    data.PixelSpacing = [0.5, 0.75]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.ImagePositionPatient = [-10, -20, z]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.PixelData = pixels.astype(np.uint16).tobytes()
    for key, value in tags.items():
        if value is None:
            delattr(data, key)
        else:
            setattr(data, key, value)
    save_dicom(folder / f"{name}.dcm", data)


def write_dynamic(
    folder, times=("120000.0", "120001.5", "120003.5"), keyword="AcquisitionTime", n_slices=4, **tags
):
    array = np.arange(len(times) * n_slices * 6, dtype=np.uint16).reshape(len(times), n_slices, 2, 3)
    number = 0
    for t, time in enumerate(times):
        for k in range(n_slices):
            number += 1
            write_slice(
                folder, f"{t}-{k}", 3.0 * k, array[t, k], InstanceNumber=number, **{keyword: time}, **tags
            )
    return array


def test_volume_lies_where_dicom_says(tmp_path):
    for k in (2, 0, 1):  # files in any order
        write_slice(tmp_path, f"s{k}", 2.0 * k, np.full((4, 5), k + 1), InstanceNumber=9 - k)
    volume = read_single_volume(tmp_path)
    assert volume.array[:, 0, 0].tolist() == [1, 2, 3]
    assert np.allclose(volume.geometry.points_of((1, 2, 3)), (-10 + 3 * 0.75, -20 + 2 * 0.5, 2.0))


def test_rescale_is_applied(tmp_path):
    for k in range(2):
        write_slice(tmp_path, f"s{k}", k, np.full((2, 2), 10), RescaleSlope=0.5, RescaleIntercept=-3)
    assert np.allclose(read_single_volume(tmp_path).array, 2.0)


def test_frames_are_ordered_by_acquisition_time(tmp_path):
    array = write_dynamic(tmp_path)
    series = read_single_series(tmp_path)
    assert np.allclose(series.times_s, [0, 1.5, 3.5])
    assert np.array_equal(series.array, array)
    assert "AcquisitionTime" in series.meta["times_source"]


def test_trigger_time_is_milliseconds(tmp_path):
    write_dynamic(tmp_path, times=(0.0, 1500.0, 3000.0), keyword="TriggerTime")
    assert np.allclose(read_single_series(tmp_path).times_s, [0, 1.5, 3.0])


def test_clock_passing_midnight(tmp_path):
    array = np.zeros((2, 2), np.uint16)
    for t, time in enumerate(("235958.0", "235959.5", "000001.0")):
        for k in range(3):
            write_slice(
                tmp_path,
                f"{t}-{k}",
                k,
                array,
                AcquisitionTime=time,
                TemporalPositionIdentifier=t + 1,
                InstanceNumber=t,
            )
    assert np.allclose(read_single_series(tmp_path).times_s, [0, 1.5, 3.0])


def test_repetition_time_is_never_taken_for_frame_time(tmp_path):
    write_dynamic(tmp_path, times=(1, 2, 3), keyword="TemporalPositionIdentifier", RepetitionTime=1500)
    with pytest.raises(InputError, match=r"RepetitionTime is 1\.5 s"):
        read_single_series(tmp_path)
    assert read_single_series(tmp_path, dt_s=1.5).times_s.tolist() == [0, 1.5, 3.0]


def test_cancelled_run_drops_the_incomplete_frame(tmp_path):
    write_dynamic(tmp_path)
    (tmp_path / "2-3.dcm").unlink()
    series = read_single_series(tmp_path)
    assert len(series.times_s) == 2
    assert any("cancelled" in text for text in series.meta["warnings"])


def test_missing_slice_is_refused_with_the_distances(tmp_path):
    for k in (0, 1, 3):
        write_slice(tmp_path, f"s{k}", 2.0 * k, np.ones((4, 5)))
    with pytest.raises(InputError, match=r"2\.00 to 4\.00 mm"):
        load_volume(scan_folder(tmp_path)[0])


def test_tilt_is_refused_with_the_angle(tmp_path):
    for k in range(4):
        write_slice(tmp_path, f"s{k}", 2.0 * k, np.ones((4, 5)), ImagePositionPatient=[0, 0.5 * k, 2.0 * k])
    with pytest.raises(InputError, match=r"gantry tilt of 14\.0 degrees"):
        load_volume(scan_folder(tmp_path)[0])


def test_one_slice_is_not_a_volume(tmp_path):
    write_slice(tmp_path, "s", 0, np.ones((4, 5)))
    with pytest.raises(InputError, match="one slice"):
        read_single_volume(tmp_path)


def test_three_d_series_is_not_dynamic(tmp_path):
    for k in range(3):
        write_slice(tmp_path, f"s{k}", k, np.ones((4, 5)))
    with pytest.raises(InputError, match="single 3D image"):
        load_series(scan_folder(tmp_path)[0])


def test_missing_geometry_is_said(tmp_path):
    for k in range(3):
        write_slice(tmp_path, f"s{k}", k, np.ones((4, 5)), ImagePositionPatient=None)
    with pytest.raises(InputError, match="lack position"):
        read_single_volume(tmp_path)


def test_folders_without_dicom(tmp_path):
    with pytest.raises(InputError, match="empty"):
        scan_folder(tmp_path)
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    with pytest.raises(InputError, match="no DICOM"):
        scan_folder(tmp_path)


def test_clock_values():
    assert clock_seconds("010203.5") == 3723.5
    assert clock_seconds("20260101010203.5") - clock_seconds("20251231010203.5") == 86400
    assert clock_seconds("noon") is None


@pytest.mark.parametrize(
    ("tags", "role"),
    [
        ({"EchoTime": 3, "RepetitionTime": 1900, "ContrastBolusAgent": "Gd"}, "T1c"),
        ({"EchoTime": 3, "RepetitionTime": 1900}, "T1"),
        ({"EchoTime": 90, "InversionTime": 2500, "RepetitionTime": 9000}, "FLAIR"),
        ({"EchoTime": 90, "RepetitionTime": 4000}, "T2"),
        ({"EchoTime": 20, "RepetitionTime": 28}, "SWI"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"], "EchoTime": 80}, "ADC"),
    ],
)
def test_roles_of_anatomy(tmp_path, tags, role):
    for k in range(3):
        write_slice(tmp_path, f"s{k}", k, np.ones((4, 5)), **tags)
    proposal = propose_role(scan_folder(tmp_path)[0])
    assert proposal.role == role
    assert proposal.reason


@pytest.mark.parametrize(("te", "role"), [(30, "DSC"), (2, "DCE")])
def test_roles_of_dynamic_series(tmp_path, te, role):
    write_dynamic(tmp_path, times=[f"1200{t:02d}.0" for t in range(12)], EchoTime=te)
    assert propose_role(scan_folder(tmp_path)[0]).role == role


def test_flip_angles_of_one_protocol_form_a_set(tmp_path):
    for flip in (2, 10):
        for k in range(3):
            write_slice(
                tmp_path,
                f"f{flip}-{k}",
                k,
                np.ones((4, 5)),
                FlipAngle=flip,
                EchoTime=2,
                RepetitionTime=5,
                SeriesInstanceUID=f"1.2.3.{flip}",
            )
    roles = propose_roles(scan_folder(tmp_path))
    assert {proposal.role for proposal in roles.values()} == {"VFA"}


@pytest.mark.parametrize(
    ("name", "frames", "role"),
    [
        ("T1 post Gd", 1, "T1c"),
        ("T1 pre Gd", 1, "T1"),
        ("FLAIR axial", 1, "FLAIR"),
        ("swi mag", 1, "SWI"),
        ("DSC perfusion", 60, "DSC"),
        ("DCE SPGR", 60, "DCE"),
        ("Planning CT head", 1, "CT"),
        ("FET PET", 1, "PET"),
        ("Volume_3", 1, "other"),
        ("MIP T1 post", 1, "other"),
    ],
)
def test_a_name_alone_proposes_a_role_with_a_reason(name, frames, role):
    from BMVascularCore.study.roles import propose_by_name

    found = propose_by_name(name, frames)
    assert found.role == role
    assert found.reason
