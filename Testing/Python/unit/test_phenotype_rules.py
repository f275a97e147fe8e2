"""Evidence table, rule set, context and gates."""

import json

import pytest
from unit.phenotype_helpers import PROTOCOL

from BMVascularCore.errors import InputError
from BMVascularCore.phenotype import LesionInputs, assess_values, load_table, parse_context
from BMVascularCore.phenotype.repeatability import read_test_retest
from BMVascularCore.resources import resource

VALUES = {"ktrans": 0.13, "rcbv": 3.5, "oedema_width": 20.0, "irregularity": 0.0}


def assess(context, values=VALUES, **facts):
    return assess_values([LesionInputs("M1", 1, values, facts)], context).lesions[0]


def row_of(result, key):
    return next(row for row in result["evidence"] if row["input"] == key)


def edited(tmp_path, name, change):
    text = change(resource("Evidence", name).read_text(encoding="utf-8"))
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_table_is_known_by_its_hash(tmp_path):
    table = load_table()
    assert table.edited == {"evidence": False, "rules": False}
    own = edited(tmp_path, "phenotype_rules.json", lambda text: text.replace('"hi": 0.1,', '"hi": 0.11,'))
    other = load_table(rules=own)
    assert other.edited == {"evidence": False, "rules": True}
    assert other.sha256["rules"] != table.sha256["rules"] and "edited" in other.provenance()["text"]
    assert other.spec("ktrans")["hi"] == 0.11


def test_every_source_of_a_rule_is_in_the_table_with_its_citation():
    table = load_table()
    for spec in table.rules["inputs"]:
        assert spec["source"] and all(table.evidence[key]["citation"] for key in spec["source"])
    assert all(
        row["verified"] in ("yes", "no", "from memory", "assumption") for row in table.evidence.values()
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace(",lo,", ",low,"), "lacks the column lo"),
        (lambda t: t.replace("E003,", "E001,"), r"row 3, column id occurs twice \(E001\)"),
        (lambda t: t.replace("1.54", "about", 1), "row 3, column lo: 'about' is not a number"),
        (lambda t: t.replace(",moderate,yes,", ",moderate,maybe,", 1), "row 2, column verified: 'maybe'"),
    ],
)
def test_a_wrong_evidence_table_names_row_and_column(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        load_table(evidence=edited(tmp_path, "evidence.csv", change))


def set_entry(path, value):
    def change(text):
        rules = json.loads(text)
        node = rules
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
        return json.dumps(rules)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:-20], "not valid JSON"),
        (lambda t: "{}", "lacks the entry version"),
        (set_entry(("inputs", 0, "hi"), 0.01), "inputs/ktrans: limits lo 0.02 and hi 0.01"),
        (set_entry(("inputs", 0, "group"), "mood"), "unknown group mood"),
        (set_entry(("groups", 0, "weight"), "much"), "groups/permeability/weight is 'much'"),
        (set_entry(("inputs", 0, "source"), ["E999"]), "cites E999"),
        (set_entry(("monte_carlo", "draws"), 3), "draws"),
        (set_entry(("habitats",), {}), "lacks the entry habitats/voxel_wcv"),
        (set_entry(("gates", "drug", "quality"), "low"), "gates/drug/quality is 'low'"),
        (set_entry(("decision", "mixed_p"), float("nan")), "decision/mixed_p is nan"),
        (set_entry(("treatment_effect", "tests"), 3), "treatment_effect/tests is not a list"),
        (set_entry(("treatment_effect", "tests", 0), {"id": "vp"}), "treatment_effect/tests/vp lacks"),
        (set_entry(("repeatability", 2), "rcbv"), "repeatability/3 lacks"),
    ],
)
def test_a_wrong_rule_set_names_the_entry(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        load_table(rules=edited(tmp_path, "phenotype_rules.json", change))


# ----- context


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "not a JSON object"),
        ({"histologie": "x"}, "'histologie' is not known"),
        ({"treatments": [{"type": "voodoo"}]}, "type 'voodoo'"),
        ({"treatments": [{"date": "2024-01-01"}]}, "has no type"),
        ({"scan": {"date": "15.3.2024"}}, "is not a date"),
        ({"scan": {"date": "2024-02-01"}, "scan_date": "2024-02-02"}, "two different scan dates"),
        (
            {"scan_day": 40, "treatments": [{"type": "SRS", "day": 20, "end_day": 10}]},
            "ends before it starts",
        ),
        (
            {
                "scan": {"day": 40, "date": "2024-03-01"},
                "treatments": [{"type": "SRS", "day": 0, "date": "2024-02-20"}],
            },
            "day and date disagree",
        ),
        ({"histology_adjust": "yes"}, "neither true nor false"),
        ({"scan_day": float("nan")}, "is not a number"),
        ({"protocol": {"flip_deg": float("inf")}}, "flip_deg is not a number"),
        ({"treatments": [{"type": "SRS", "lesions": []}]}, "names no lesion"),
    ],
)
def test_a_wrong_context_is_refused(content, message):
    with pytest.raises(InputError, match=message):
        parse_context(content)


def test_a_treatment_after_the_scan_is_set_aside_with_a_warning():
    context = {"scan_date": "2024-03-01", "treatments": [{"type": "SRS", "date": "2024-03-09"}]} | PROTOCOL
    result = assess_values([LesionInputs("M1", 1, VALUES)], context)
    assert any("8 days after the scan" in text for text in result.warnings)
    assert result.lesions[0]["phenotype"] == "angiogenic-dominant"


def test_a_treatment_of_an_unknown_lesion_is_refused():
    with pytest.raises(InputError, match="names the lesion 'M7'"):
        assess({"treatments": [{"type": "SRS", "lesions": ["M7"]}]})


# ----- gates


@pytest.mark.parametrize("lesions", ["all", ["M1"], [1], ["label 1"], None])
def test_an_irradiated_lesion_gets_no_label_but_a_panel(lesions):
    treatment = {"type": "SRS", "day": 0} | ({} if lesions is None else {"lesions": lesions})
    result = assess(PROTOCOL | {"scan_day": 100, "treatments": [treatment]})
    assert result["phenotype"] == "not assessed: treatment effect possible"
    assert result["stability"] is None and result["treatment_effect"]["verdict"]
    on_request = assess(PROTOCOL | {"scan_day": 100, "treatments": [treatment], "label_irradiated": True})
    assert on_request["phenotype"] == "angiogenic-dominant, irradiated"


def test_only_the_named_lesion_is_gated():
    lesions = [LesionInputs("M1", 1, VALUES), LesionInputs("M2", 2, VALUES)]
    context = PROTOCOL | {"treatments": [{"type": "SRS", "lesions": ["M2"]}]}
    found = assess_values(lesions, context).lesions
    assert [item["phenotype"].split(":")[0] for item in found] == ["angiogenic-dominant", "not assessed"]


@pytest.mark.parametrize(
    ("kind", "days", "met"),
    [
        ("anti-VEGF", 42, True),
        ("anti-VEGF", 43, False),
        ("steroid", 14, True),
        ("steroid", 15, False),
        ("ICI", 1, False),
    ],
)
def test_drug_windows(kind, days, met):
    result = assess(PROTOCOL | {"scan_day": 100, "treatments": [{"type": kind, "day": 100 - days}]})
    expected = 0.3 if met else 1.0
    assert row_of(result, "ktrans")["quality"] == pytest.approx(expected)
    assert row_of(result, "oedema_width")["quality"] == pytest.approx(expected)
    assert row_of(result, "rcbv")["quality"] == 1.0
    assert result["phenotype"].endswith("on-treatment") == met


@pytest.mark.parametrize(
    ("protocol", "quality"),
    [
        ({"preload": True, "leakage_correction": True}, 1.0),
        ({"preload": False, "leakage_correction": True, "flip": 30}, 1.0),
        ({"leakage_correction": True, "flip": 30}, 1.0),
        ({"leakage_correction": True}, 0.5),
        ({"preload": True, "leakage_correction": False}, 0.5),
        ({}, 0.5),
    ],
)
def test_protocol_gate(protocol, quality):
    assert row_of(assess({"protocol": protocol}), "rcbv")["quality"] == quality


def test_size_artefact_and_discordance_gates():
    small = assess(PROTOCOL, longest_diameter_mm=8.0)
    assert row_of(small, "ktrans")["quality"] == pytest.approx(0.3) and "small" in small["flags"]
    dark = assess(PROTOCOL, itss_fraction=0.3)
    assert row_of(dark, "rcbv")["quality"] == pytest.approx(0.3) and row_of(dark, "ktrans")["quality"] == 1
    odd = assess(PROTOCOL, VALUES | {"cbf_ratio": 1.0})
    assert row_of(odd, "rcbv")["quality"] == 0.5 and "leakage" in row_of(odd, "rcbv")["discounted_because"][0]


def test_histology_gate():
    discounted = assess(PROTOCOL | {"histology": "melanoma"})
    assert row_of(discounted, "rcbv")["quality"] == 0.5
    adjusted = assess(PROTOCOL | {"histology": "melanoma", "histology_adjust": True})
    assert row_of(adjusted, "rcbv")["quality"] == 1.0
    assert row_of(adjusted, "rcbv")["lo"] == pytest.approx(1.5 * 5.35 / 2.94, rel=1e-3)


@pytest.mark.parametrize(
    ("histology", "itss", "ktrans", "ratio", "expected"),
    [
        ("melanoma", 0.1, 0.12, 1.0, "VM-suspected features"),
        ("melanoma", 0.1, 0.05, 3.5, "VM-suspected features"),
        ("melanoma", 0.1, 0.05, 1.0, None),
        ("melanoma", 0.0, 0.12, 3.5, None),
        ("lung", 0.1, 0.12, 1.0, "not interpretable as VM outside melanoma"),
    ],
)
def test_vm_flag(histology, itss, ktrans, ratio, expected):
    values = VALUES | {"ktrans": ktrans, "oedema_ratio": ratio}
    with_blood = assess(PROTOCOL | {"histology": histology}, values, itss_fraction=itss)
    assert [flag for flag in with_blood["flags"] if "VM" in flag] == (
        [] if expected is None else [flag for flag in with_blood["flags"] if expected in flag]
    )
    assert any(expected in flag for flag in with_blood["flags"]) if expected else True
    without = assess(PROTOCOL | {"histology": histology}, values)
    assert with_blood["balance"] == without["balance"]


def test_own_test_retest_file(tmp_path):
    path = tmp_path / "retest.csv"
    pairs = [(1.0, 1.1), (2.0, 1.9), (0.5, 0.6), (3.0, 3.1), (1.5, 1.4)]
    rows = "\n".join(f"ktrans,P{n},{a},{b}" for n, (a, b) in enumerate(pairs))
    path.write_text("metric,subject,test,retest\n" + rows + "\n")
    import math

    s2 = sum(math.log(b / a) ** 2 for a, b in pairs) / 2 / len(pairs)
    assert read_test_retest(path)["ktrans"] == pytest.approx(math.sqrt(math.exp(s2) - 1))
    path.write_text("metric,subject,test,retest\nktrans,P1,1.0,zero\n")
    with pytest.raises(InputError, match="row 2, column retest"):
        read_test_retest(path)
