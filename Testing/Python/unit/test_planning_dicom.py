"""Planning series checks, structure set, preflight and registration object."""

import io
import shutil
import subprocess

import numpy as np
import planning_cases as cases
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import generate_uid

from BMVascularCore.errors import InputError
from BMVascularCore.io.dicom_files import save_dicom
from BMVascularCore.planning.contours import trace_mask, transform_matrix
from BMVascularCore.planning.ct_series import check_planning_series
from BMVascularCore.planning.preflight import preflight, require_clean
from BMVascularCore.planning.rtstruct import Roi, build_rtstruct
from BMVascularCore.planning.seg_export import build_segmentation, read_segmentation_object
from BMVascularCore.planning.spatial_registration import build_registration, read_registration
from BMVascularCore.planning.structures import Structure, read_structures
from BMVascularCore.volume import Volume

HEIGHTS = np.arange(-12.0, 13.0)


def copied(data):
    """A copy of its own, by way of a file in memory: pydicom 2.4 cannot copy written datasets deeply."""
    stream = io.BytesIO()
    save_dicom(stream, data)
    stream.seek(0)
    return pydicom.dcmread(stream)


@pytest.fixture(scope="module")
def series():
    return check_planning_series(cases.image_headers(HEIGHTS), "ct")


@pytest.fixture(scope="module")
def masks(series):
    geometry = series.geometry
    return {
        "GTV_01": cases.sphere(geometry, 8, (5.2, -3.1, 0.4)),
        "Brainstem": cases.sphere(geometry, 14, (-12.0, 6.0, -2.0)),
    }


@pytest.fixture(scope="module")
def structure_set(series, masks):
    kinds = {"GTV_01": "GTV", "Brainstem": "ORGAN"}
    rois = [Roi(n, kinds[n], trace_mask(m, series.geometry, series.geometry)) for n, m in masks.items()]
    return build_rtstruct(series, rois)


def tilted():
    headers = cases.image_headers(HEIGHTS)
    for header in headers:
        header.ImageOrientationPatient = [1, 0, 0, 0, np.cos(0.3), -np.sin(0.3)]
    return headers


def uneven():
    return cases.image_headers([0.0, 1.0, 2.0, 3.4, 4.4, 5.4])


def missing():
    return cases.image_headers([0.0, 1.0, 2.0, 5.0, 6.0, 7.0])


def duplicate_uid():
    headers = cases.image_headers(HEIGHTS)
    headers[3].SOPInstanceUID = headers[2].SOPInstanceUID
    return headers


def one_other(tag, value):
    headers = cases.image_headers(HEIGHTS)
    setattr(headers[4], tag, value)
    return headers


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (tilted(), "gantry tilt"),
        (cases.image_headers(HEIGHTS, GantryDetectorTilt=18.5), "gantry tilt of .18.5 deg"),
        (uneven(), "uneven: distances from 1.00 to 1.40 mm"),
        (missing(), "2 slices are missing after position 2.00 mm"),
        (cases.image_headers([0, 1, 2, 2, 3]), "two images lie at the same position"),
        (duplicate_uid(), "share their SOP Instance UID"),
        (one_other("FrameOfReferenceUID", generate_uid()), "different frames of reference"),
        (one_other("PatientID", "PH2"), "different patients"),
        (one_other("PixelSpacing", [0.9, 0.9]), "different pixel spacings"),
        (cases.image_headers(HEIGHTS, FrameOfReferenceUID=""), "lacks FrameOfReferenceUID"),
        (cases.image_headers(HEIGHTS, SeriesInstanceUID=""), "lacks SeriesInstanceUID"),
        (cases.image_headers(HEIGHTS, PixelSpacing=[0, 1]), "PixelSpacing is not above zero"),
        (cases.image_headers(HEIGHTS, PixelSpacing=1), "PixelSpacing is not made of 2 numbers"),
        (cases.image_headers(HEIGHTS, ImageOrientationPatient=[1, 0, 0]), "not made of 6 numbers"),
        (cases.image_headers(HEIGHTS, ImageOrientationPatient=[1, 0, 0, 0.3, 0.9, 0]), "not at right angles"),
        (cases.image_headers(HEIGHTS, NumberOfFrames=25), "multi-frame"),
        (cases.image_headers(np.arange(0, 30, 2.0)), "2.00 mm apart"),
        (cases.image_headers([0.0]), "single slice"),
        (cases.image_headers(HEIGHTS, Modality="PT"), "PT series"),
    ],
)
def test_a_series_that_must_not_be_planned_on_is_refused(headers, words):
    with pytest.raises(InputError, match=words):
        check_planning_series(headers, "ct")


def test_slices_come_in_order_whatever_the_files():
    headers = cases.image_headers(HEIGHTS)
    mixed = [headers[n] for n in np.random.default_rng(3).permutation(len(headers))]
    series = check_planning_series(mixed)
    assert [float(h.ImagePositionPatient[2]) for h in series.headers] == HEIGHTS.tolist()
    assert series.warnings == []


def test_the_structure_set_refers_to_the_planning_series(series, structure_set):
    data = structure_set
    assert data.FrameOfReferenceUID == series.frame_of_reference_uid
    assert data.StudyInstanceUID == series.first.StudyInstanceUID
    assert data.SeriesInstanceUID != series.first.SeriesInstanceUID
    used = {
        p.ContourImageSequence[0].ReferencedSOPInstanceUID
        for i in data.ROIContourSequence
        for p in i.ContourSequence
    }
    assert used <= set(series.sop_uids)
    assert [o.RTROIInterpretedType for o in data.RTROIObservationsSequence] == ["GTV", "ORGAN"]
    assert not any(element.tag.is_private for element in data.iterall())


def test_read_back(tmp_path, structure_set, masks):
    path = tmp_path / "rs.dcm"
    save_dicom(path, structure_set)
    found = read_structures(path)
    assert [(s.name, s.kind) for s in found.structures] == [("GTV_01", "GTV"), ("Brainstem", "ORGAN")]
    points = np.concatenate(found.structures[0].contours)
    assert points.mean(axis=0) == pytest.approx((5.2, -3.1, 0.4), abs=0.4)


def test_a_clean_set_passes(series, structure_set, masks):
    ml = {name: mask.sum() * series.geometry.voxel_ml for name, mask in masks.items()}
    assert preflight(structure_set, series, ml) == []


def first_contour(data):
    return data.ROIContourSequence[0].ContourSequence[2]


def long_ds(data):
    part = first_contour(data)
    values = [str(v) for v in part.ContourData]
    values[0] = "5.12345678901234567"
    part.ContourData = [pydicom.valuerep.DSfloat(v) if len(v) <= 16 else _ds(v) for v in values]


def _ds(text):
    value = pydicom.valuerep.DSfloat(float(text))
    value.original_string = text
    return value


def shift_last_point(data):
    part = first_contour(data)
    values = [float(v) for v in part.ContourData]
    values[-1] += 0.7
    part.ContourData = values


def set_item(path, value):
    def change(data):
        at = data
        for step in path[:-1]:
            at = at[step] if isinstance(step, int) else getattr(at, step)
        if value is None:
            delattr(at, path[-1])
        else:
            setattr(at, path[-1], value)

    return change


REFERENCE = ("ReferencedFrameOfReferenceSequence", 0)
CONTOUR = ("ROIContourSequence", 0, "ContourSequence", 2)
OBSERVATION = ("RTROIObservationsSequence", 0)
DEFECTS = {
    "ds_length": long_ds,
    "sh_length": set_item(("StructureSetLabel",), "seventeen letters"),
    "lo_length": set_item(("StructureSetROISequence", 0, "ROIName"), "n" * 70),
    "frame_missing": set_item(("FrameOfReferenceUID",), None),
    "geometric_type": set_item((*CONTOUR, "ContourGeometricType"), "CLOSEDPLANAR_XOR"),
    "point_count": set_item((*CONTOUR, "NumberOfContourPoints"), 3),
    "image_unknown": set_item(
        (*CONTOUR, "ContourImageSequence", 0, "ReferencedSOPInstanceUID"), generate_uid()
    ),
    "contour_image": set_item((*CONTOUR, "ContourImageSequence"), None),
    "frame": set_item(("StructureSetROISequence", 0, "ReferencedFrameOfReferenceUID"), generate_uid()),
    "type_empty": set_item((*OBSERVATION, "RTROIInterpretedType"), ""),
    "type_unknown": set_item((*OBSERVATION, "RTROIInterpretedType"), "TUMOUR"),
    "plane": shift_last_point,
    "colour": set_item(("ROIContourSequence", 0, "ROIDisplayColor"), [300, 0, 0]),
    "roi_dangling": set_item((*OBSERVATION, "ReferencedROINumber"), 99),
    "study": set_item(("StudyInstanceUID",), generate_uid()),
    "patient": set_item(("PatientID",), "SOMEONE"),
    "references": set_item(("ReferencedFrameOfReferenceSequence",), None),
    # beyond the seventeen
    "name_double": set_item(("StructureSetROISequence", 1, "ROIName"), "gtv_01"),
    "image_unlisted": lambda data: data.ReferencedFrameOfReferenceSequence[0]
    .RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence.pop(0),
    "private": lambda data: data.add_new((0x0099, 0x0010), "LO", "PRIVATE"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("code", DEFECTS)
def test_preflight_finds_the_defect(series, structure_set, code):
    data = copied(structure_set)
    DEFECTS[code](data)
    codes = {one.code for one in preflight(data, series) if one.severity == "error"}
    assert code in codes
    with pytest.raises(InputError, match="does not pass"):
        require_clean(preflight(data, series))


def rewrite(data, points):
    part = first_contour(data)
    part.ContourData = [float(v) for v in np.ravel(points)]
    part.NumberOfContourPoints = len(points)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("off_slice", lambda p: p + np.array((0, 0, 0.3))),
        ("extent", lambda p: p + np.array((100, 0, 0))),
        ("too_few_points", lambda p: p[:1]),
        ("crossing", lambda p: np.concatenate([p[: len(p) // 2], p[len(p) // 2 :][::-1]])),
    ],
)
def test_preflight_finds_misplaced_contours(series, structure_set, code, change):
    data = copied(structure_set)
    points = np.reshape([float(v) for v in first_contour(data).ContourData], (-1, 3))
    rewrite(data, change(points))
    assert code in {one.code for one in preflight(data, series)}


def test_preflight_compares_the_volume(series, structure_set):
    assert {one.code for one in preflight(structure_set, series, {"GTV_01": 1.0})} == {"volume"}


def test_a_set_of_another_ct_is_found(structure_set):
    other = check_planning_series(cases.image_headers(HEIGHTS), "other ct")
    assert {"frame", "study", "image_unknown", "series"} <= {
        one.code for one in preflight(structure_set, other)
    }


def test_names_twice_and_no_contours_are_refused(series, structure_set):
    contours = trace_mask(cases.sphere(series.geometry, 8), series.geometry, series.geometry)
    with pytest.raises(InputError, match="two structures have this name"):
        build_rtstruct(series, [Roi("GTV", "GTV", contours), Roi("gtv ", "GTV", contours)])
    with pytest.raises(InputError, match="no contour"):
        build_rtstruct(series, [Roi("GTV", "GTV", [])])
    with pytest.raises(InputError, match="not an ROI type"):
        build_rtstruct(series, [Roi("GTV", "TUMOUR", contours)])


@pytest.fixture(scope="module")
def moving():
    return check_planning_series(cases.image_headers(HEIGHTS, modality="MR"), "mr")


def test_the_registration_takes_mr_points_to_the_ct(tmp_path, series, moving):
    transform = sitk.Euler3DTransform((1, 2, 3), 0.12, -0.2, 0.3, (7.0, -5.0, 11.0))
    path = tmp_path / "reg.dcm"
    save_dicom(path, build_registration(series, moving, transform))
    data = pydicom.dcmread(path)
    assert data.FrameOfReferenceUID == series.frame_of_reference_uid
    item = next(
        i for i in data.RegistrationSequence if i.FrameOfReferenceUID == moving.frame_of_reference_uid
    )
    values = item.MatrixRegistrationSequence[0].MatrixSequence[0].FrameOfReferenceTransformationMatrix
    matrix = np.reshape([float(v) for v in values], (4, 4))
    for ct_point in ((0, 0, 0), (30, 0, 0), (0, 40, 0), (0, 0, 50), (-20, 15, 7)):
        mr_point = transform.TransformPoint([float(v) for v in ct_point])
        assert (matrix @ (*mr_point, 1.0))[:3] == pytest.approx(ct_point, abs=1e-3)
    (found,) = read_registration(path)
    assert np.abs(found.matrix - np.linalg.inv(transform_matrix(transform))).max() < 1e-6
    assert found.transform().TransformPoint((1.0, 2.0, 3.0)) == pytest.approx(
        transform.TransformPoint((1.0, 2.0, 3.0))
    )


def test_registrations_that_cannot_be_are_refused(tmp_path, series, moving):
    mirror = sitk.AffineTransform(3)
    mirror.SetMatrix((-1, 0, 0, 0, 1, 0, 0, 0, 1))
    with pytest.raises(InputError, match="mirrors"):
        build_registration(series, moving, mirror)
    scale = sitk.AffineTransform(3)
    scale.Scale(1.05)
    with pytest.raises(InputError, match="not rigid"):
        build_registration(series, moving, scale)
    stranger = check_planning_series(cases.image_headers(HEIGHTS, PatientID="PH9"), "mr")
    with pytest.raises(InputError, match="another patient"):
        build_registration(series, stranger, sitk.Euler3DTransform())


@pytest.mark.usefixtures("hd")
def test_segmentation_object_round_trip(tmp_path, series, masks):
    structures = [Structure(n, "GTV", [], Volume(m, series.geometry)) for n, m in masks.items()]
    path = tmp_path / "seg.dcm"
    build_segmentation(series, structures).save_as(path)
    found = read_segmentation_object(path)
    for before, after in zip(structures, found.structures, strict=True):
        ours = before.mask.geometry.points_of(np.argwhere(before.mask.array))
        theirs = after.mask.geometry.points_of(np.argwhere(after.mask.array))
        assert after.name == before.name
        assert len(ours) == len(theirs)
        assert np.abs(np.sort(ours, axis=0) - np.sort(theirs, axis=0)).max() < 1e-3


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.usefixtures("hd")
def test_the_validator_finds_no_error(tmp_path, series, structure_set, moving, masks):
    objects = {
        "rs": structure_set,
        "reg": build_registration(series, moving, sitk.Euler3DTransform((0, 0, 0), 0.1, 0.2, 0.3, (1, 2, 3))),
        "seg": build_segmentation(
            series, [Structure("M1", "GTV", [], Volume(masks["GTV_01"], series.geometry))]
        ),
    }
    for name, data in objects.items():
        path = tmp_path / f"{name}.dcm"
        save_dicom(path, data)
        told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert [
            line for line in (told.stderr + told.stdout).splitlines() if line.startswith("Error")
        ] == [], name
