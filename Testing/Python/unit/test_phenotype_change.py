"""Change between dates, treatment-effect panel, delayed contrast."""

import numpy as np
import pytest
from unit.phenotype_helpers import PROTOCOL

from BMVascularCore.errors import InputError
from BMVascularCore.phenotype import LesionInputs, assess_values, load_table, parse_context
from BMVascularCore.phenotype.change import TimePoint, change_row, compare_dates, false_discovery
from BMVascularCore.phenotype.delayed import delayed_contrast
from BMVascularCore.phenotype.treatment_effect import treatment_panel
from BMVascularCore.volume import Geometry, Volume

START = {"ktrans": 0.15, "rcbv": 3.5, "oedema_width": 20.0, "irregularity": 0.0, "enhancing_fraction": 0.8}
VCO = {"ktrans": 0.008, "rcbv": 1.0, "oedema_width": 2.0, "irregularity": 0.7, "enhancing_fraction": 0.3}
BEVA = {"treatments": [{"type": "anti-VEGF", "day": 5}]}


def point(day, values, context=None, others=()):
    content = PROTOCOL | {"scan_day": day} | (context or {})
    lesions = [LesionInputs("M1", 1, values), *(LesionInputs(n, 2, v) for n, v in others)]
    parsed = parse_context(content)
    return TimePoint(f"day {day}", day, assess_values(lesions, parsed).lesions, parsed)


def patterns(report, scan=1):
    return [item["pattern"] for item in report.timelines["M1"]["states"][scan]["patterns"]]


def test_published_repeatability_limits():
    points = point(0, START), point(30, START)
    expected = {"ktrans": (0.14, -32, 47), "rcbv": (0.18, -39, 64), "adc": (0.029, -8, 8)}
    for metric, (wcv, low, high) in expected.items():
        s = np.sqrt(np.log1p(wcv**2))
        row = change_row("M1", metric, points, (1.0, 1.0), ("log", s, ""), 1.96)
        assert (row["limit_low"], row["limit_high"]) == pytest.approx((low, high), abs=0.6)


def test_group_evidence_inside_repeatability_is_no_change():
    report = compare_dates([point(0, START), point(30, START | {"ktrans": 0.15 * 1.15})], load_table())
    row = next(row for row in report.rows if row["metric"] == "ktrans")
    assert row["rise_share"] == pytest.approx(0.76, abs=0.01) and not row["measured"]


@pytest.mark.parametrize("fall", [0.466, 0.639])
def test_normalisation_like_pattern_only_with_the_drug(fall):
    later = START | {"ktrans": 0.15 * (1 - fall)}
    assert patterns(compare_dates([point(0, START), point(6, later, BEVA)], load_table())) == [
        "normalisation-like"
    ]
    assert patterns(compare_dates([point(0, START), point(6, later)], load_table())) == []


def test_other_patterns():
    table = load_table()
    pruned = START | {"ktrans": 0.05, "rcbv": 1.2}
    assert patterns(compare_dates([point(0, START), point(6, pruned, BEVA)], table)) == ["pruning-like"]
    pseudo = START | {"ktrans": 0.05, "oedema_width": 40.0}
    assert patterns(compare_dates([point(0, START), point(6, pseudo, BEVA)], table)) == [
        "pseudo-response caution"
    ]
    again = compare_dates([point(0, VCO), point(60, START)], table)
    assert patterns(again) == ["re-angiogenic"]


def test_a_switch_needs_two_later_scans_and_no_drug():
    table, steroid = load_table(), {"treatments": [{"type": "steroid", "day": 55}]}
    dates = [point(0, START), point(60, VCO), point(120, VCO)]
    full = compare_dates(dates, table)
    assert full.timelines["M1"]["switch"]["candidate"]
    assert "not proof" in full.timelines["M1"]["switch"]["text"]
    assert not compare_dates(dates[:2], table).timelines["M1"]["switch"]["candidate"]
    drugged = [dates[0], point(60, VCO, steroid), point(62, VCO, steroid)]
    assert (
        "drug effect" in compare_dates(drugged, table).timelines["M1"]["switch"]["text"]
        or not (compare_dates(drugged, table).timelines["M1"]["switch"]["candidate"])
    )


def test_heterogeneity_lists_the_lesions():
    stay = [("M2", START)]
    dates = [point(0, START, others=stay), point(60, VCO, others=stay), point(120, VCO, others=stay)]
    patient = compare_dates(dates, load_table()).patient
    assert patient["heterogeneous"] and patient["candidates"] == ["M1"] and patient["others"] == ["M2"]


def test_false_discovery_against_the_textbook():
    p_values = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205]
    rows = [
        {"p_value": p, "name": "M", "metric": str(n), "beyond_limits": True} for n, p in enumerate(p_values)
    ]
    false_discovery(rows, 0.05)
    assert [row["measured"] for row in rows] == [True, True] + [False] * 6
    assert rows[1]["q_value"] == pytest.approx(0.032)


def test_no_change_is_called_by_chance():
    rng, table = np.random.default_rng(3), load_table()
    s = {spec["id"]: np.sqrt(np.log1p((spec["rel_sd"] or 0.1) ** 2)) for spec in table.rules["inputs"]}
    called = total = 0
    for _ in range(15):
        noisy = [
            {k: v * np.exp(s[k] * rng.standard_normal()) for k, v in VCO.items() if k != "irregularity"}
            for _ in "ab"
        ]
        report = compare_dates([point(0, noisy[0]), point(30, noisy[1])], table)
        called, total = called + sum(row["measured"] for row in report.rows), total + len(report.rows)
    assert called / total < 0.05


def test_other_scanner_widens_and_other_software_forbids_ktrans():
    def with_protocol(**more):
        return {"protocol": PROTOCOL["protocol"] | more}

    dates = [point(0, START, with_protocol(scanner="a")), point(30, VCO, with_protocol(scanner="b"))]
    report = compare_dates(dates, load_table())
    assert "x1.5" in report.warnings[0]
    row = next(row for row in report.rows if row["metric"] == "ktrans")
    assert row["limit_high"] == pytest.approx(100 * np.expm1(1.96 * np.sqrt(2 * np.log1p(0.21**2))))
    dates = [point(0, START, with_protocol(software="1")), point(30, VCO, with_protocol(software="2"))]
    assert not [row for row in compare_dates(dates, load_table()).rows if row["metric"] == "ktrans"]


def test_one_date_or_two_on_one_day_are_refused():
    with pytest.raises(InputError, match="one date"):
        compare_dates([point(0, START)], load_table())
    with pytest.raises(InputError, match="same day"):
        compare_dates([point(0, START), point(0, START)], load_table())


# ----- treatment effect


def panel(values, context=None, **facts):
    return treatment_panel(LesionInputs("M1", 1, values, facts), parse_context(context), load_table())


def test_one_vote_a_family_and_capped():
    found = panel(
        {"rcbv": 3.0, "vp_ratio": 3.0, "tbr": 2.4}, {"pet_tracer": "FDOPA"}, central_restriction=False
    )
    assert [vote["family"] for vote in found["votes"]] == ["diffusion", "perfusion", "pet"]
    votes = {vote["family"]: vote for vote in found["votes"]}
    assert votes["perfusion"]["test"] == "vp_ratio" and votes["perfusion"]["likelihood_ratio"] == 4.0
    assert votes["pet"]["likelihood_ratio"] == 11.7 and votes["pet"]["likelihood_ratio_used"] == 5.0
    assert votes["diffusion"]["likelihood_ratio"] == pytest.approx(1 / 0.27)
    assert found["verdict"] == "favours progression" and found["pretest"] == [0.2, 0.7]


def test_verdicts():
    assert panel({"rcbv": 1.0})["verdict"] == "favours treatment effect"
    assert panel({"rcbv": 1.8})["verdict"] == "mixed"
    assert panel({"rcbv": 3.0}, None, central_restriction=True)["verdict"] == "mixed"
    assert panel({})["verdict"] == "no test available"
    assert panel({"rcbv": 1.0}, None, hypoperfused_before_srs=True)["verdict"] == "no test available"
    assert panel({"tbr": 3.0})["votes"] == []


def test_delayed_contrast_map():
    geometry = Geometry((20, 20, 20))
    early, late = np.full((20, 20, 20), 100.0), np.full((20, 20, 20), 80.0)
    early[4:8, 4:8, 4:8], late[4:8, 4:8, 4:8] = 200.0, 140.0
    early[12:16, 12:16, 12:16], late[12:16, 12:16, 12:16] = 150.0, 160.0
    early[0] = 0
    found = delayed_contrast(Volume(early, geometry), Volume(late, geometry), smooth_mm=0).array
    assert found[5, 5, 5] == pytest.approx(140 / 0.8 - 200) and found[13, 13, 13] == pytest.approx(
        160 / 0.8 - 150
    )
    assert found[10, 2, 2] == pytest.approx(0) and np.isnan(found[0]).all()
