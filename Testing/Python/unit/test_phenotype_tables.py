"""Measurement tables as input, earlier scans, delayed contrast: the command line and what lies behind it."""

import csv
import itertools
import json

import numpy as np
import pytest
from unit.phenotype_helpers import PROTOCOL, head_scan, schema_faults

from BMVascularCore.cli import main
from BMVascularCore.errors import InputError
from BMVascularCore.io import read_volume, write_volume
from BMVascularCore.phenotype import LesionInputs, assess_lesions, assess_values, load_table
from BMVascularCore.phenotype.change import TimePoint, compare_dates
from BMVascularCore.phenotype.delayed import delayed_contrast, delayed_of_lesions
from BMVascularCore.phenotype.inputs import Measured
from BMVascularCore.phenotype.measurements import read_measurements
from BMVascularCore.resources import resource
from BMVascularCore.volume import Geometry, Volume

VALUES = {"ktrans": 0.13, "rcbv": 3.5, "oedema_width": 20.0, "irregularity": 0.1, "pet_nonenhancing": 0.1}


def command(tmp_path, table, *more, context=PROTOCOL, name="table.csv"):
    path = tmp_path / name
    path.write_text(table if isinstance(table, str) else json.dumps(table), encoding="utf-8")
    (tmp_path / "context.json").write_text(json.dumps(context), encoding="utf-8")
    options = ("--context", tmp_path / "context.json", *more, "--out", tmp_path / "out", "--quiet")
    return main(["phenotype", str(path), *map(str, options)])


def rows_of(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("t.csv", "name,ktrans,rcbv,oedema_width,irregularity\nA,0.13,3.5,20,0\nB,0.01,1.1,3,1\n"),
        (
            "t.csv",
            "lesion,label,ktrans_per_s,rcbv_ratio,oedema_width_mm,irregularity,vp_fraction\n"
            f"A,4,{0.13 / 60},3.5,20,0,\nB,7,{0.01 / 60},1.1,3,1,n/a\n",
        ),
        (
            "t.json",
            {
                "lesions": [
                    {"name": "A", "values": {"ktrans": {"value": 0.13, "se": 0.0}, "rcbv": 3.5, "oedema_width": 20,
                                             "irregularity": 0}},
                    {"name": "B", "ktrans_per_min": 0.01, "rcbv": 1.1, "oedema_width": 3, "irregularity": 1},
                ]
            },
        ),
    ],
)  # fmt: skip
def test_a_table_gives_what_the_values_give(tmp_path, name, table):
    assert command(tmp_path, table, name=name) == 0
    rows = rows_of(tmp_path / "out" / "phenotype.csv")
    assert [row["phenotype"] for row in rows] == ["angiogenic-dominant", "VCO-leaning"]
    record = json.loads((tmp_path / "out" / "phenotype.json").read_text())
    assert schema_faults(record, json.loads(resource("Schemas", "phenotype.schema.json").read_text())) == []
    values = {"ktrans": 0.13, "rcbv": 3.5, "oedema_width": 20.0, "irregularity": 0.0}
    direct = assess_values([LesionInputs("A", 1, values)], PROTOCOL).lesions[0]
    assert record["lesions"][0]["balance"] == pytest.approx(direct["balance"])


def test_an_earlier_result_can_be_assessed_again(tmp_path):
    assert command(tmp_path, "name,ktrans,rcbv,oedema_width\nA,0.13,3.5,20\n") == 0
    again = read_measurements(tmp_path / "out" / "phenotype.json", load_table().rules)[0]
    assert {key: again[0].number(key) for key in again[0].values} == {
        "ktrans": 0.13,
        "rcbv": 3.5,
        "oedema_width": 20.0,
    }


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "no lesions"),
        ("name,ktrans\n", "no lesions"),
        ("ktrans\n0.1\n", "lacks the column name"),
        ("name,ktrans\n,0.1\n", "row 2, column name is empty"),
        ("name,ktrans\nA,inf\n", "row 2, column ktrans: the value is infinite"),
        ('name,ktrans\nA,"0,13"\n', "row 2, column ktrans: '0,13' is not a number"),
        ("name,ktrans,ktrans_se\nA,0.1,-0.02\n", "the se is negative"),
        ("name,ktrans,ktrans_share\nA,0.1,40\n", "the share is 40"),
        ("name,ktrans\nA,-0.1\n", "ktrans is -0.1"),
        ("name,label,ktrans\nA,one,0.1\n", "'one' is not a whole number"),
        ("name,ktrans,near_vessel\nA,0.1,perhaps\n", "neither yes nor no"),
        ("name,ktrans,itss_fraction\nA,0.1,20\n", "not percent"),
        ("name,ktrans\nA,0.1\nA,0.2\n", "occurs twice"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path, capsys, table, message):
    assert command(tmp_path, table) == 2
    said = capsys.readouterr().err.strip()
    assert message in said and len(said.splitlines()) == 1 and not (tmp_path / "out").exists()


def test_unknown_columns_are_named_and_maps_refused(tmp_path, capsys):
    assert command(tmp_path, "name,ktrans,mood\nA,0.1,3\n") == 0
    record = json.loads((tmp_path / "out" / "phenotype.json").read_text())
    assert any("mood" in text for text in record["warnings"])
    assert command(tmp_path, "name,ktrans\nA,0.1\n", "--rcbv", "x.nrrd", "--overwrite") == 2
    assert "--rcbv needs a label image" in capsys.readouterr().err


# ----- every combination of missing inputs


def test_every_combination_of_inputs_keeps_the_rules():
    names = list(VALUES)
    sets = [part for n in range(len(names) + 1) for part in itertools.combinations(names, n)]
    lesions = [
        LesionInputs("+".join(part) or "none", n, {k: VALUES[k] for k in part}) for n, part in enumerate(sets)
    ]
    found = {
        frozenset(part): item
        for part, item in zip(sets, assess_values(lesions, PROTOCOL).lesions, strict=True)
    }
    for part, item in found.items():
        assert sum(item["label_shares"].values()) == pytest.approx(1.0)
        few = item["coverage"] < 0.4 - 1e-9
        assert (
            few == (item["rule_label"] == "indeterminate: insufficient inputs") == (item["stability"] is None)
        )
        assert few or 0.0 <= item["stability"] <= 1.0
        for key in part:
            assert found[part - {key}]["coverage"] <= item["coverage"] + 1e-12
            assert found[part - {key}]["tier"] >= item["tier"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Measured(0.1, rel_sd=-0.2), "relative error"),
        (Measured(0.1, rel_sd=float("nan")), "relative error"),
        (Measured(0.1, rel_sd=float("inf")), "relative error"),
        (Measured(0.1, share=1.5), "share"),
        (float("inf"), "infinite"),
    ],
)
def test_values_and_errors_that_cannot_be_are_refused(value, message):
    with pytest.raises(InputError, match=message):
        assess_values([LesionInputs("A", 1, {"ktrans": value})])


def test_not_a_number_is_a_missing_input():
    with_nan = assess_values([LesionInputs("A", 1, VALUES | {"vp_ratio": float("nan")})], PROTOCOL).lesions[0]
    without = assess_values([LesionInputs("A", 1, VALUES)], PROTOCOL).lesions[0]
    assert with_nan["label_shares"] == without["label_shares"] and with_nan["coverage"] == without["coverage"]


def test_errors_of_a_map_that_cannot_be_are_left_out():
    labels, parts, maps = head_scan(3.0)
    wild = np.full(labels.array.shape, 0.01, np.float32)
    wild[::2] = -1.0
    wild[:, ::3] = np.inf
    wild[:, 1::3] = np.nan
    maps["ktrans_se"] = maps["ktrans"].like(wild)
    found = assess_lesions(labels, maps, parts, PROTOCOL)
    rows = [next(row for row in item["evidence"] if row["input"] == "ktrans") for item in found.lesions]
    assert all(0.14 <= row["rel_sd"] < 0.5 for row in rows)
    assert found.lesions[0]["habitats"]["assessable"]


# ----- earlier scans

FIRST = "name,tracking_id,ktrans,rcbv,oedema_width,irregularity\nA,T1,0.15,3.5,20,0\nB,T2,0.012,1.1,3,1\n"
LATER = "name,tracking_id,ktrans,rcbv,oedema_width,irregularity\nB,T1,0.05,3.4,19,0\nA,T2,0.012,1.1,3,1\n"
BEVA = PROTOCOL | {"scan_day": 30, "treatments": [{"type": "bevacizumab", "day": 25}]}


def previous(tmp_path):
    folder = tmp_path / "first"
    folder.mkdir()
    assert command(folder, FIRST, context=PROTOCOL | {"scan_day": 0}) == 0
    return folder / "out" / "phenotype.json"


def test_change_since_an_earlier_result(tmp_path):
    earlier = previous(tmp_path)
    assert command(tmp_path, LATER, "--previous", earlier, context=BEVA) == 0
    rows = {(r["name"], r["metric"]): r for r in rows_of(tmp_path / "out" / "change.csv")}
    # names were swapped between the dates: the tracking id says who is who
    assert float(rows["B", "ktrans"]["change"]) == pytest.approx(100 * (0.05 / 0.15 - 1), rel=1e-4)
    assert rows["B", "ktrans"]["measured"] == "True" and rows["A", "ktrans"]["measured"] == "False"
    assert rows["B", "ktrans"]["days"] == "30"
    lines = [r for r in rows_of(tmp_path / "out" / "timeline.csv") if r["name"] == "B"]
    assert [r["scan"] for r in lines] == ["scan 1", "this scan"]
    assert "permeability fell" in lines[1]["patterns"] and "anti-VEGF" in lines[1]["drugs_in_window"]
    record = json.loads((tmp_path / "out" / "phenotype.json").read_text())
    assert schema_faults(record, json.loads(resource("Schemas", "phenotype.schema.json").read_text())) == []
    assert record["change"]["patient"]["text"] and record["summary"]["measured_changes"] >= 1


def test_the_result_of_a_dated_scan_holds_no_date(tmp_path):
    dated = PROTOCOL | {"scan_date": "2024-03-01", "treatments": [{"type": "SRS", "date": "2024-01-10"}]}
    assert command(tmp_path, FIRST, context=dated) == 0
    text = (tmp_path / "out" / "phenotype.json").read_text()
    assert "2024" not in text and '"days_before": 51' in text


def test_days_come_from_the_contexts_dates(tmp_path):
    (tmp_path / "first.csv").write_text(FIRST)
    (tmp_path / "first.json").write_text(json.dumps(PROTOCOL | {"scan_date": "2024-02-01"}))
    options = ("--previous", tmp_path / "first.csv", "--previous-context", tmp_path / "first.json")
    assert command(tmp_path, LATER, *options, context=PROTOCOL | {"scan_date": "2024-03-02"}) == 0
    assert {row["days"] for row in rows_of(tmp_path / "out" / "change.csv")} == {"30"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "days between the scans are not known"),
        (("--days-before", "-3"), "after the present scan"),
        (("--days-before", "nan"), "present scan"),
        (("--days-before", "3", "--days-before", "9"), "is given 2 times"),
    ],
)
def test_earlier_scans_that_do_not_fit(tmp_path, capsys, options, message):
    (tmp_path / "first.csv").write_text(FIRST)
    assert command(tmp_path, LATER, "--previous", tmp_path / "first.csv", *options) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_scans_out_of_order_and_other_files(tmp_path, capsys):
    (tmp_path / "first.csv").write_text(FIRST)
    two = ("--previous", tmp_path / "first.csv") * 2
    assert command(tmp_path, LATER, *two, "--days-before", 10, "--days-before", 30) == 2
    assert "oldest first" in capsys.readouterr().err
    (tmp_path / "x.nrrd").write_text("x")
    assert command(tmp_path, LATER, "--previous", tmp_path / "x.nrrd", "--days-before", 10) == 2
    assert "no earlier result" in capsys.readouterr().err


def test_a_lesion_that_occurs_twice_at_a_date_is_refused():
    lesion = assess_values([LesionInputs("A", 1, VALUES)], PROTOCOL).lesions[0]
    twice = [lesion | {"tracking_id": "T"}, lesion | {"name": "B", "tracking_id": "T"}]
    with pytest.raises(InputError, match="occurs twice"):
        compare_dates([TimePoint("one", 0, twice), TimePoint("two", 1, twice[:1])], load_table())


def test_own_repeatability_from_a_file_moves_the_limits(tmp_path):
    pairs = "".join(f"ktrans,P{n},1.0,{1.0 + 0.01 * n}\n" for n in range(6))
    (tmp_path / "retest.csv").write_text("metric,subject,test,retest\n" + pairs)
    earlier = previous(tmp_path)
    options = ("--previous", earlier, "--test-retest", tmp_path / "retest.csv")
    assert command(tmp_path, LATER, *options, context=BEVA) == 0
    row = next(r for r in rows_of(tmp_path / "out" / "change.csv") if r["metric"] == "ktrans")
    s = np.sqrt(np.mean(np.log(1.0 + 0.01 * np.arange(6)) ** 2) / 2)
    assert float(row["limit_high"]) == pytest.approx(100 * np.expm1(1.96 * np.sqrt(2) * s), rel=1e-3)
    (tmp_path / "retest.csv").write_text("metric,subject,test,retest\n" + pairs.replace("ktrans", "mood"))
    assert command(tmp_path, LATER, *options, "--overwrite", context=BEVA) == 2


# ----- delayed contrast


def delayed_pair(shift=0.8):
    labels, _, maps = head_scan(3.0)
    rng = np.random.default_rng(4)
    head = maps["flair"].array > 0
    early = np.where(head, 300.0 + 0.6 * maps["flair"].array, 0.0)
    late = early.copy()
    late[labels.array == 1] *= 1.25
    late[labels.array == 2] *= 0.8
    noise = [np.abs(4.0 * rng.standard_normal(early.shape)) for _ in range(2)]
    return labels, *(
        labels.like((image + extra).astype(np.float32), name)
        for image, extra, name in ((early, noise[0], "early"), (late * shift, noise[1], "late"))
    )


def test_delayed_contrast_gathers_or_clears():
    labels, early, late = delayed_pair()
    found = delayed_of_lesions(delayed_contrast(early, late), labels, {1: "M1", 2: "M2", 3: "M3"})
    assert found[1]["gathering_fraction"] > 0.9 and found[1]["clearing_fraction"] == 0
    assert found[2]["clearing_fraction"] > 0.9 and found[2]["gathering_fraction"] == 0
    assert found[3]["gathering_fraction"] + found[3]["clearing_fraction"] < 0.2
    assert "does not vote" in found[1]["text"]


def test_noise_of_air_does_not_set_the_level():
    geometry = Geometry((30, 30, 30))
    early = np.abs(np.random.default_rng(1).standard_normal((30, 30, 30))).astype(np.float32)
    late = early.copy()
    early[8:20, 8:20, 8:20], late[8:20, 8:20, 8:20] = 200.0, 150.0
    found = delayed_contrast(Volume(early, geometry), Volume(late, geometry), smooth_mm=0).array
    assert found[12, 12, 12] == pytest.approx(0) and np.isnan(found[0, 0, 0])


def test_delayed_contrast_on_the_command_line(tmp_path, capsys):
    labels, early, late = delayed_pair()
    for name, volume in (("lesions", labels), ("early", early), ("late", late)):
        write_volume(tmp_path / f"{name}.nrrd", volume)
    base = [
        "phenotype",
        str(tmp_path / "lesions.nrrd"),
        "--delayed-t1c",
        str(tmp_path / "late.nrrd"),
        "--quiet",
    ]
    assert main([*base, "--out", str(tmp_path / "none")]) == 2 and "--t1c" in capsys.readouterr().err
    options = ["--t1c", str(tmp_path / "early.nrrd"), "--delay-min", "30", "--out", str(tmp_path / "out")]
    assert main([*base, *options]) == 0
    rows = rows_of(tmp_path / "out" / "phenotype.csv")
    assert (
        float(rows[0]["delayed_gathering_fraction"]) > 0.8
        and float(rows[1]["delayed_clearing_fraction"]) > 0.8
    )
    assert np.isfinite(read_volume(tmp_path / "out" / "delayed_contrast.nrrd").array).any()
    record = json.loads((tmp_path / "out" / "phenotype.json").read_text())
    assert any("30 min" in text for text in record["warnings"])
    assert record["lesions"][0]["delayed_contrast"]["limit_percent"] > 0
