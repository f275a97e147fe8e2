"""Dose and structures as other systems write them, through the command line, against closed forms."""

import csv
import json

import numpy as np
import planning_cases as cases
import planning_foreign as foreign
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

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
        ([("A", "GTV", foreign.closed(rings()[3:4]))], "single slice of unknown thickness"),
    ],
    ids=["one name", "empty", "one slice"],
)
def test_structures_that_cannot_be_used_are_refused(tmp_path, plain_dose, capsys, rois, words):
    structures = foreign.write_structures(tmp_path / "rs.dcm", rois)
    code, _ = dvh(tmp_path, plain_dose, structures)
    said = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and len(said) == 1 and words in said[0]


def test_a_prescription_for_an_unknown_structure_is_refused(tmp_path, plain_dose, capsys):
    structures = foreign.write_structures(tmp_path / "rs.dcm", [("GTV", "GTV", foreign.closed(rings()))])
    code, _ = dvh(tmp_path, plain_dose, structures, "--prescription", "GTW=20")
    assert code == 2 and "no structure is called GTW" in capsys.readouterr().err
