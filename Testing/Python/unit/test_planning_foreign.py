"""Dose and structures as other systems write them, through the command line, against closed forms."""

import csv
import json
import shutil

import numpy as np
import planning_cases as cases
import planning_foreign as foreign
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from BMVascularCore.cli import main

CENTRE = np.array((3.3, -4.2, 6.4))
DIAMETER, R50 = 8.0, 6.5
DOSE_AT, RADIUS_AT = cases.peaked_dose(DIAMETER, R50)


def dose(points):
    return DOSE_AT(np.maximum(np.linalg.norm(points - CENTRE, axis=-1), 1e-9))


def rings(diameter=DIAMETER, centre=CENTRE, step=1.0):
    return cases.sphere_contours(diameter, step, centre)


def dvh(folder, dose_file, structures, *more):
    """Exit code and rows of metrics.csv by structure."""
    out = folder / "out"
    code = main(["dvh", "--dose", str(dose_file), "--structures", str(structures), "--prescription", "20",
                 "--out", str(out), "--quiet", *more])  # fmt: skip
    if code:
        assert not out.exists()
        return code, {}
    with open(out / "metrics.csv", newline="", encoding="utf-8") as stream:
        return code, {row["structure"]: row for row in csv.DictReader(stream)}


@pytest.fixture
def plain_dose(tmp_path):
    return foreign.write_dose(tmp_path / "dose.dcm", dose, CENTRE)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"falling": True},
        {"absolute": True},
        {"bits": 16},
        {"spacing": (1.0, 1.3, 0.8)},
        {"axes": foreign.FFS},
        {"axes": foreign.FFS, "absolute": True},
        {"axes": foreign.HFP},
        {"axes": foreign.FFP, "falling": True},
        {"axes": foreign.DECUBITUS},
        {"axes": foreign.SAGITTAL},
        {"axes": foreign.CORONAL, "spacing": (1.2, 1.0, 0.9)},
        {"axes": (np.cos(0.3), np.sin(0.3), 0, -np.sin(0.3), np.cos(0.3), 0)},
        {"syntax": ImplicitVRLittleEndian},
        {"syntax": DeflatedExplicitVRLittleEndian},
        {"syntax": ExplicitVRBigEndian, "bits": 16},
        {"units": "CGY"},
        {"FrameOfReferenceUID": None},
    ],
    ids=str,
)
def test_every_encoding_gives_the_closed_form(tmp_path, how):
    file = foreign.write_dose(tmp_path / "dose.dcm", dose, CENTRE, half_mm=16.0, **how)
    structures = foreign.write_structures(
        tmp_path / "rs.dcm", [("Läsion µ1", "GTV", foreign.closed(rings()))], charset="ISO_IR 192"
    )
    code, rows = dvh(tmp_path, file, structures)
    assert code == 0
    row = rows["Läsion µ1"]
    exact = {
        "volume_ml": cases.sphere_ml(DIAMETER), "piv_ml": cases.sphere_ml(DIAMETER),
        "v12_ml": cases.sphere_ml(2 * RADIUS_AT(12.0)), "gradient_index": (2 * R50 / DIAMETER) ** 3,
        "d50_gy": DOSE_AT(4 * 0.5 ** (1 / 3)), "d2_gy": DOSE_AT(4 * 0.02 ** (1 / 3)),
    }  # fmt: skip
    for key, value in exact.items():
        assert float(row[key]) == pytest.approx(value, rel=0.01), key
    assert float(row["d98_gy"]) == pytest.approx(DOSE_AT(4 * 0.98 ** (1 / 3)), rel=0.02)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"DoseUnits": "RELATIVE"}, "RELATIVE"),
        ({"DoseSummationType": "BEAM"}, "dose of a BEAM"),
        ({"frame": "1.2.3.4"}, "different frames of reference"),
        ({"ImagePositionPatient": None}, "lacks ImagePositionPatient"),
        ({"GridFrameOffsetVector": [0.0, 1.0]}, "where its frames lie"),
        ({"PixelData": b"\0\0"}, "cannot be decoded"),
        ({"NumberOfFrames": None}, "do not fit the stated frames"),
        ({"Rows": 7}, "do not fit the stated frames"),
        ({"PixelSpacing": [0, 1]}, "PixelSpacing is not above zero"),
        ({"PixelSpacing": 1}, "PixelSpacing is not made of 2 numbers"),
        ({"ImageOrientationPatient": [1, 0, 0, 0.5, 0.8, 0]}, "not at right angles"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "not at right angles"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "not made of 6 numbers"),
        ({"ImagePositionPatient": [1, 2]}, "not made of 3 numbers"),
        ({"PatientID": "PH2", "FrameOfReferenceUID": None}, "different patients"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore")
def test_a_dose_that_cannot_be_used_writes_nothing(tmp_path, capsys, changes, words):
    file = foreign.write_dose(tmp_path / "dose.dcm", dose, CENTRE, half_mm=8.0, **changes)
    structures = foreign.write_structures(tmp_path / "rs.dcm", [("GTV", "GTV", foreign.closed(rings()))])
    code, _ = dvh(tmp_path, file, structures)
    said = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and len(said) == 1 and words in said[0]


def shell_radius(share):
    """Radius that a share of the shell from 5 to 10 mm lies within."""
    return np.cbrt(5.0**3 + (10.0**3 - 5.0**3) * share)


@pytest.mark.parametrize(
    "contours",
    [
        foreign.closed([*rings(20), *rings(10)]),
        foreign.closed([*rings(20), *rings(10)], "CLOSEDPLANAR_XOR"),
        foreign.keyholed(rings(20), rings(10)),
        foreign.closed([*rings(10), *rings(20)][::-1]),
    ],
    ids=["nested", "xor", "keyhole", "mixed order"],
)
def test_a_hole_is_a_hole_however_it_is_drawn(tmp_path, plain_dose, contours):
    structures = foreign.write_structures(tmp_path / "rs.dcm", [("Shell", "CTV", contours)])
    _, rows = dvh(tmp_path, plain_dose, structures)
    row = rows["Shell"]
    assert float(row["volume_ml"]) == pytest.approx(cases.sphere_ml(20) - cases.sphere_ml(10), rel=0.01)
    for key, share in (("d98_gy", 0.98), ("d50_gy", 0.5), ("d2_gy", 0.02)):
        assert float(row[key]) == pytest.approx(DOSE_AT(shell_radius(share)), rel=0.02), key


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("step", [1.0, 2.0])
def test_contours_need_not_be_axial(tmp_path, plain_dose, axis, step):
    middle = np.roll(CENTRE, -(axis + 1))
    drawn = foreign.turned(rings(12, middle, step), axis)
    structures = foreign.write_structures(tmp_path / "rs.dcm", [("GTV", "GTV", foreign.closed(drawn))])
    _, rows = dvh(tmp_path, plain_dose, structures)
    assert float(rows["GTV"]["volume_ml"]) == pytest.approx(cases.sphere_ml(12), rel=0.01)
    assert float(rows["GTV"]["d50_gy"]) == pytest.approx(DOSE_AT(6 * 0.5 ** (1 / 3)), rel=0.01)


def test_an_organ_on_every_third_slice_keeps_its_volume(tmp_path, plain_dose):
    rois = [
        ("GTV", "GTV", foreign.closed(rings())),
        ("Stem", "ORGAN", foreign.closed(rings(24, CENTRE, 3.0))),
    ]
    _, rows = dvh(tmp_path, plain_dose, foreign.write_structures(tmp_path / "rs.dcm", rois))
    assert float(rows["Stem"]["volume_ml"]) == pytest.approx(cases.sphere_ml(24), rel=0.01)
    assert float(rows["GTV"]["volume_ml"]) == pytest.approx(cases.sphere_ml(DIAMETER), rel=0.01)


HALVES = rings(step=0.5)


@pytest.mark.parametrize(
    ("contours", "words"),
    [
        ([*HALVES[:6], *HALVES[6::2]], "0.5 to 1 mm apart"),
        ([ring for n, ring in enumerate(rings()) if n != 4], "missing at 1 places"),
        ([ring for n, ring in enumerate(rings(12, CENTRE, 0.6)) if n not in (9, 10)], "missing at 1 places"),
    ],
    ids=["two distances", "one missing", "two missing"],
)
def test_contours_at_uneven_distances_keep_the_shape(tmp_path, plain_dose, contours, words):
    """The outlines on both sides of a gap belong to one body: what lies between them is not lost."""
    diameter = 12 if len(contours) > 14 else DIAMETER
    structures = foreign.write_structures(tmp_path / "rs.dcm", [("GTV", "GTV", foreign.closed(contours))])
    _, rows = dvh(tmp_path, plain_dose, structures)
    assert float(rows["GTV"]["volume_ml"]) == pytest.approx(cases.sphere_ml(diameter), rel=0.01)
    assert float(rows["GTV"]["d98_gy"]) == pytest.approx(DOSE_AT(diameter / 2 * 0.98 ** (1 / 3)), rel=0.02)
    warnings = json.loads((tmp_path / "out" / "dvh.json").read_text())["warnings"]
    assert any(words in text for text in warnings)


def test_two_bodies_of_one_structure_stay_two(tmp_path, plain_dose):
    above = CENTRE + np.array((0.0, 0.0, 9.0))
    drawn = foreign.closed([*rings(6), *rings(6, above)])
    structures = foreign.write_structures(tmp_path / "rs.dcm", [("GTVs", "GTV", drawn)])
    _, rows = dvh(tmp_path, plain_dose, structures)
    assert float(rows["GTVs"]["volume_ml"]) == pytest.approx(2 * cases.sphere_ml(6), rel=0.02)


def test_contours_that_overlap_in_part_count_by_the_even_odd_rule(tmp_path, plain_dose):
    side = 6.0
    square = np.array([(0, 0), (side, 0), (side, side), (0, side)])
    boxes = [
        np.c_[square + CENTRE[:2] + shift, np.full(4, z)] for z in (5.0, 6.0, 7.0) for shift in (-4.0, -1.0)
    ]
    rois = [("Both", "GTV", foreign.closed(boxes))]
    _, rows = dvh(tmp_path, plain_dose, foreign.write_structures(tmp_path / "rs.dcm", rois))
    # two squares of 36 mm2 that share one of 9 mm2, on three slices of 1 mm
    assert float(rows["Both"]["volume_ml"]) == pytest.approx(3 * (72 - 18) / 1000.0, rel=0.02)
    warnings = json.loads((tmp_path / "out" / "dvh.json").read_text())["warnings"]
    assert any("overlap in part" in text for text in warnings)


@pytest.mark.filterwarnings("ignore:The value for the data element")
def test_a_contour_too_long_for_its_encoding_is_read(tmp_path, plain_dose):
    """More than 64 kB of points are stored as unknown bytes in the explicit encoding."""
    many = [cases.sphere_contours(DIAMETER, 1.0, CENTRE, 3000)[n] for n in range(8)]
    structures = foreign.write_structures(tmp_path / "rs.dcm", [("GTV", "GTV", foreign.closed(many))])
    _, rows = dvh(tmp_path, plain_dose, structures)
    assert float(rows["GTV"]["volume_ml"]) == pytest.approx(cases.sphere_ml(DIAMETER), rel=0.01)


@pytest.mark.parametrize(("grid_mm", "indices"), [(1.0, True), (2.5, False)])
def test_no_indices_on_a_grid_too_coarse_for_the_target(tmp_path, grid_mm, indices):
    file = foreign.write_dose(tmp_path / "dose.dcm", dose, CENTRE, half_mm=20.0, spacing=(grid_mm,) * 3)
    structures = foreign.write_structures(tmp_path / "rs.dcm", [("GTV", "GTV", foreign.closed(rings()))])
    _, rows = dvh(tmp_path, file, structures)
    assert bool(rows["GTV"]["gradient_index"]) == bool(rows["GTV"]["paddick_ci"]) == indices
    assert ("no indices: dose grid of 2.5 mm" in rows["GTV"]["note"]) != indices
    assert rows["GTV"]["d98_gy"]


def test_what_is_drawn_twice_counts_once(tmp_path, plain_dose):
    structures = foreign.write_structures(tmp_path / "rs.dcm", [("GTV", "GTV", foreign.closed(rings() * 2))])
    _, rows = dvh(tmp_path, plain_dose, structures)
    assert float(rows["GTV"]["volume_ml"]) == pytest.approx(cases.sphere_ml(DIAMETER), rel=0.01)
    warnings = json.loads((tmp_path / "out" / "dvh.json").read_text())["warnings"]
    assert any("there twice" in text for text in warnings)


def test_one_structure_that_cannot_be_used_does_not_hide_the_others(tmp_path, plain_dose):
    good = foreign.closed(rings())
    across = foreign.closed([*rings(6), *foreign.turned(rings(6, np.roll(CENTRE, -1)), 0)])
    structures = foreign.write_structures(
        tmp_path / "rs.dcm",
        [("GTV", "GTV", [*good, ("CLOSED_PLANAR", [CENTRE])]), ("Across", "ORGAN", across), ("Void", "ORGAN", None),
         ("Isocentre", "ISOCENTER", [("POINT", [CENTRE])]), ("Line", "ORGAN", foreign.closed(rings(), "OPEN_PLANAR"))],
    )  # fmt: skip
    code, rows = dvh(tmp_path, plain_dose, structures)
    assert code == 0 and set(rows) == {"GTV", "Across"}
    assert float(rows["GTV"]["volume_ml"]) == pytest.approx(cases.sphere_ml(DIAMETER), rel=0.01)
    assert rows["Across"]["volume_ml"] == rows["Across"]["d50_gy"] == ""
    assert "not parallel" in rows["Across"]["note"]
    warnings = " ".join(json.loads((tmp_path / "out" / "dvh.json").read_text())["warnings"])
    assert "fewer than three points" in warnings and "Void: empty" in warnings and "Line: empty" in warnings


@pytest.mark.parametrize(
    ("rois", "words"),
    [
        ([("A", "GTV", foreign.closed(rings())), ("a ", "PTV", foreign.closed(rings(12)))], "have the name"),
        ([("A", "GTV", [])], "no structure with a volume"),
        ([("A", "GTV", foreign.closed([r * (1, 0, 1) for r in rings()]))], "enclose no area"),
        ([("A", "GTV", foreign.closed(rings()[3:4]))], "single slice of unknown thickness"),
    ],
    ids=["one name", "empty", "no area", "one slice"],
)
def test_structures_that_cannot_be_used_are_refused(tmp_path, plain_dose, capsys, rois, words):
    structures = foreign.write_structures(tmp_path / "rs.dcm", rois)
    code, _ = dvh(tmp_path, plain_dose, structures)
    said = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and len(said) == 1 and words in said[0]


def test_a_folder_with_everything_in_it_will_do(tmp_path, capsys):
    folder = cases.write_series(tmp_path / "plan", cases.image_headers(np.arange(4.0)))
    foreign.write_dose(folder / "rd.dcm", dose, CENTRE, half_mm=16.0)
    foreign.write_structures(folder / "rs.dcm", [("GTV", "GTV", foreign.closed(rings()))])
    (folder / "notes.txt").write_text("not DICOM")
    code, rows = dvh(tmp_path, folder, folder)
    assert code == 0 and float(rows["GTV"]["volume_ml"]) == pytest.approx(cases.sphere_ml(DIAMETER), rel=0.01)
    shutil.rmtree(tmp_path / "out")
    foreign.write_dose(folder / "boost.dcm", dose, CENTRE, half_mm=16.0)
    code, _ = dvh(tmp_path, folder, folder)
    assert code == 2 and "plan: holds 2 objects of the kind RTDOSE" in capsys.readouterr().err
    code, _ = dvh(
        tmp_path, folder / "rd.dcm", cases.write_series(tmp_path / "ct", cases.image_headers([0.0]))
    )
    assert code == 2 and "ct: holds no RTSTRUCT or SEG" in capsys.readouterr().err


def test_two_structures_of_one_number_are_refused(tmp_path, plain_dose, capsys):
    rois = [("A", "GTV", foreign.closed(rings())), ("B", "PTV", foreign.closed(rings(12)))]
    data = pydicom.dcmread(foreign.write_structures(tmp_path / "rs.dcm", rois))
    data.StructureSetROISequence[1].ROINumber = 1
    data.save_as(tmp_path / "rs.dcm")
    code, _ = dvh(tmp_path, plain_dose, tmp_path / "rs.dcm")
    assert code == 2 and "two structures have the number 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [(["--targets", ","], "names no structure"), (["--prescription", "GTV=20,gtv=18"], "named twice"),
     (["--prescription", "GTV="], "is not a dose")],
)  # fmt: skip
def test_names_that_cannot_be_meant_are_refused(tmp_path, plain_dose, capsys, more, words):
    structures = foreign.write_structures(tmp_path / "rs.dcm", [("GTV", "GTV", foreign.closed(rings()))])
    code, _ = dvh(tmp_path, plain_dose, structures, *more)
    assert code == 2 and words in capsys.readouterr().err


def test_names_of_structures_do_not_depend_on_case(tmp_path, plain_dose):
    structures = foreign.write_structures(tmp_path / "rs.dcm", [("GTV_1", "GTV", foreign.closed(rings()))])
    code, rows = dvh(tmp_path, plain_dose, structures, "--prescription", "gtv_1=18,", "--targets", "Gtv_1,")
    assert code == 0 and float(rows["GTV_1"]["prescription_gy"]) == 18.0


def test_a_prescription_for_an_unknown_structure_is_refused(tmp_path, plain_dose, capsys):
    structures = foreign.write_structures(tmp_path / "rs.dcm", [("GTV", "GTV", foreign.closed(rings()))])
    code, _ = dvh(tmp_path, plain_dose, structures, "--prescription", "GTW=20")
    assert code == 2 and "no structure is called GTW" in capsys.readouterr().err
