"""What comes from outside a registration: landmarks, transform files, DICOM objects, headers."""

from datetime import date

import numpy as np
import planning_cases as cases
import pytest
import SimpleITK as sitk

from BMVascularCore.errors import InputError
from BMVascularCore.io.dicom_files import save_dicom
from BMVascularCore.planning.ct_series import check_planning_series
from BMVascularCore.planning.image_checks import (
    HeaderFacts,
    age_check,
    check_images,
    far_points,
    frame_check,
    header_facts,
    worst,
)
from BMVascularCore.planning.registration import Registration
from BMVascularCore.planning.registration_engine import rigid
from BMVascularCore.planning.registration_start import read_given, rigid_of_landmarks
from BMVascularCore.planning.spatial_registration import build_registration
from BMVascularCore.volume import Geometry, Volume

PLACES = np.array([(40, 0, 20), (-40, 20, 0), (0, -60, 30), (10, 30, -40)], float)


def after(transform, points):
    return np.array([transform.TransformPoint(p) for p in np.asarray(points, float).tolist()])


def test_landmarks_give_the_motion_they_came_from():
    true = rigid((0.3, -0.2, 0.4), (12, -30, 800), (0, 5, 0))
    found, residual = rigid_of_landmarks(PLACES, after(true, PLACES))
    assert after(found, PLACES) == pytest.approx(after(true, PLACES), abs=1e-6)
    assert residual < 1e-6


def test_landmark_residual_is_what_is_left():
    there = PLACES.copy()
    there[0] += (3.0, 0.0, 0.0)
    found, residual = rigid_of_landmarks(PLACES, there)
    left = np.linalg.norm(after(found, PLACES) - there, axis=1)
    assert residual == pytest.approx(np.sqrt((left**2).mean()))
    # never a mirror, even where it would fit better
    mirrored = PLACES * (-1, 1, 1)
    assert np.linalg.det(np.reshape(rigid_of_landmarks(PLACES, mirrored)[0].GetMatrix(), (3, 3))) > 0


@pytest.mark.parametrize(
    ("fixed", "moving", "said"),
    [
        (PLACES[:2], PLACES[:2], "three are needed"),
        (PLACES, PLACES[:3], "4 points in the fixed and 3"),
        ([(0, 0, 0), (0, 0, 30), (0, 1, 60)], PLACES[:3], "nearly on a line"),
    ],
)
def test_poor_landmarks_are_refused(fixed, moving, said):
    with pytest.raises(InputError, match=said):
        rigid_of_landmarks(fixed, moving)


@pytest.mark.parametrize("ending", ["tfm", "txt", "h5"])
def test_transform_files_of_itk_and_slicer_are_read(tmp_path, ending):
    true = rigid((0.1, 0.2, -0.1), (1, 2, 3), (10, 20, 30))
    # Slicer writes linear transforms as affine ones
    matrix = sitk.AffineTransform(3)
    matrix.SetMatrix(true.GetMatrix())
    matrix.SetTranslation(true.TransformPoint((0.0, 0.0, 0.0)))
    sitk.WriteTransform(matrix, str(tmp_path / f"given.{ending}"))
    assert after(read_given(tmp_path / f"given.{ending}"), PLACES) == pytest.approx(
        after(true, PLACES), abs=1e-5
    )


def test_a_warp_is_refused(tmp_path):
    sitk.WriteTransform(sitk.BSplineTransform(3, 3), str(tmp_path / "warp.tfm"))
    with pytest.raises(InputError, match="not rigid"):
        read_given(tmp_path / "warp.tfm")


def test_a_dicom_registration_object_is_read_in_the_right_direction(tmp_path):
    planning = check_planning_series(cases.image_headers(np.arange(5.0)))
    moving = check_planning_series(cases.image_headers(np.arange(5.0), modality="MR"))
    true = rigid((0.1, 0.2, -0.1), (1, 2, 3), (10, 20, 30))
    save_dicom(tmp_path / "reg.dcm", build_registration(planning, moving, true))
    uids = planning.frame_of_reference_uid, moving.frame_of_reference_uid
    for known in (uids, (None, None), (uids[0], None)):
        assert after(read_given(tmp_path / "reg.dcm", *known), PLACES) == pytest.approx(
            after(true, PLACES), abs=1e-4
        )
    # asked for the other way round it gives the inverse
    back = read_given(tmp_path / "reg.dcm", *uids[::-1])
    assert after(back, PLACES) == pytest.approx(after(true.GetInverse(), PLACES), abs=1e-4)
    with pytest.raises(InputError, match="frame of reference"):
        read_given(tmp_path / "reg.dcm", uids[0], "1.2.3")


def volume(modality, spacing=(1.0, 1.0, 1.0), direction=None):
    geometry = Geometry((8, 8, 8), spacing, direction=direction or tuple(np.eye(3).ravel()))
    return Volume(np.zeros((8, 8, 8), np.int16), geometry, modality, {"modality": modality})


def graded(checks):
    return {check.name: check.grade for check in checks}


def test_headers_of_one_patient_raise_nothing():
    ct = HeaderFacts("P1", "1.1", date(2026, 1, 8), tilt_deg=0.0, position="HFS")
    mr = HeaderFacts(
        "P1", "1.2", date(2026, 1, 5), ("ORIGINAL", "PRIMARY", "M", "DIS3D"), bandwidth_hz=400, field_t=3
    )
    found = check_images(volume("CT"), volume("MR"), ct, mr)
    assert worst(found) == "ok", [check for check in found if check.grade != "ok"]


def test_each_fault_of_the_headers_has_its_grade():
    ct = HeaderFacts("P1", "1.1", date(2026, 2, 8), tilt_deg=-12.0)
    mr = HeaderFacts(
        "P2", "1.1", date(2026, 1, 5), ("ORIGINAL", "ND"), bandwidth_hz=80, field_t=3.0, position="FFS"
    )
    found = graded(check_images(volume("CT"), volume("MR", (1, 1, 3.0)), ct, mr))
    assert found["patient identity"] == "fail"
    assert found["gantry tilt of CT"] == "check"
    assert found["laterality of MR"] == "check"
    assert found["distortion of MR"] == "check"
    assert found["slices of MR"] == "note" and found["slices of CT"] == "ok"
    assert found["bandwidth of MR"] == "note"
    assert found["age of the MRI"] == "check"
    texts = " ".join(check.text for check in check_images(volume("CT"), volume("MR"), ct, mr))
    # identity and dates are compared, not repeated
    assert "P1" not in texts and "P2" not in texts and "2026-" not in texts


def test_left_handed_axes_are_said():
    found = graded(check_images(volume("CT"), volume("MR", direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1))))
    assert found["laterality of MR"] == "check" and found["laterality of CT"] == "ok"


@pytest.mark.parametrize(
    ("days", "grade"), [(0, "ok"), (7, "ok"), (8, "note"), (14, "note"), (15, "check"), (-1, "check")]
)
def test_age_of_the_mri(days, grade):
    planned = date(2026, 3, 20)
    mri = date.fromordinal(planned.toordinal() - days)
    by_date = age_check(date(2020, 1, 1), mri, planned)
    assert by_date.grade == grade
    assert age_check(None, None, None, days).grade == grade
    if days >= 0:
        assert "Bronnimann 2019" in by_date.text


def test_unknown_age_is_said():
    assert age_check(None, date(2026, 1, 1)).grade == "unknown"


def test_a_shared_frame_contradicted_by_the_fusion_is_said():
    facts = HeaderFacts(frame_uid="1.1")
    assert frame_check(volume("CT"), volume("MR"), facts, facts, 0.4).grade == "ok"
    assert frame_check(volume("CT"), volume("MR"), facts, facts, 9.0).grade == "check"


def test_header_facts_come_from_the_series(tmp_path):
    headers = cases.image_headers(
        np.arange(4.0), modality="MR", AcquisitionDate="20260102", ImageType=["ORIGINAL", "DIS2D"]
    )
    facts = header_facts(cases.write_series(tmp_path / "mr", headers))
    assert facts.acquired == date(2026, 1, 2) and facts.patient == "PH1"
    assert facts.frame_uid == headers[0].FrameOfReferenceUID
    assert graded(check_images(volume("CT"), volume("MR"), None, facts))["distortion of MR"] == "check"
    assert header_facts(tmp_path / "image.nii.gz") == HeaderFacts()


def test_lesions_far_from_the_centre_are_named():
    found = far_points([(10, 0, 0), (0, 90, 80)], ["M1", "M2"])
    assert [check.name for check in found] == ["distortion at M2"]


def test_checks_lower_the_verdict_and_never_raise_it():
    nan = float("nan")
    result = Registration(rigid(), "pass", ["all is well"], 0.1, 0.1, 1.0, 1.0, -0.8, 0.0, 0.0)
    result.take(check_images(volume("CT"), volume("MR", (1, 1, 3.0))))
    assert result.verdict == "pass"
    assert any("3.00 mm apart" in note for note in result.notes)
    result.take([age_check(None, None, None, 30)])
    assert result.verdict == "check" and len(result.reasons) == 1 and "30 days" in result.reasons[0]
    failed = Registration(rigid(), "fail", ["no"], nan, nan, nan, 0.0, nan, 0.0, 0.0)
    failed.take([age_check(None, None, None, 30)])
    assert failed.verdict == "fail" and failed.reasons[0] == "no"
