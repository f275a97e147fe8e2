"""Rules, stability and reasons: the listed synthetic cases and the properties that must hold."""

import time

import numpy as np
import pytest
from unit.phenotype_helpers import PROTOCOL

from BMVascularCore.errors import InputError
from BMVascularCore.phenotype import LesionInputs, assess_values, load_table
from BMVascularCore.phenotype.inputs import Measured
from BMVascularCore.phenotype.score import score
from BMVascularCore.phenotype.validation import calibration, simulate

# One set of values stands behind all synthetic cases; what a case does not name is missing, never filled in.
STATED = {"ktrans": 0.13, "rcbv": 3.5, "oedema_width": 20.0, "irregularity": 0.0, "enhancing_fraction": 0.85}
HIGH, IRREGULAR = STATED["rcbv"], 1.0
FULL_ANGIOGENIC = {key: STATED[key] for key in ("ktrans", "rcbv", "oedema_width", "irregularity")}
FULL_VCO = {"ktrans": 0.01, "rcbv": 1.1, "oedema_width": 3.0, "irregularity": IRREGULAR}
MIDPOINT = {
    "ktrans": (0.02 * 0.1) ** 0.5,
    "rcbv": (1.5 * 2.5) ** 0.5,
    "oedema_width": 10.0,
    "irregularity": 0.5,
}
CONVENTIONAL = {key: STATED[key] for key in ("enhancing_fraction", "oedema_width", "irregularity")}
DAY_AFTER_BEVACIZUMAB = FULL_ANGIOGENIC | {"ktrans": STATED["ktrans"] * (1 - 0.64)}
# values, label shares, coverage, start of the printed label
LISTED = [
    (FULL_ANGIOGENIC, {"angiogenic": 1.00}, 0.90, "angiogenic-dominant"),
    (FULL_VCO, {"VCO": 1.00}, 0.90, "VCO-leaning"),
    (
        {"rcbv": HIGH, "ktrans": 0.015, "oedema_width": 4.0},
        {"VCO": 0.59, "mixed": 0.40},
        0.80,
        "indeterminate (VCO",
    ),
    ({"ktrans": 0.12, "rcbv": 1.2, "irregularity": IRREGULAR}, {"mixed": 0.93}, 0.75, "mixed"),
    (MIDPOINT, {"indeterminate": 0.62}, 0.90, "indeterminate (indeterminate"),
    (CONVENTIONAL, {"angiogenic": 1.00}, 0.41, "angiogenic-dominant"),
    ({"oedema_width": STATED["oedema_width"]}, {}, 0.15, "indeterminate: insufficient inputs"),
    ({"rcbv": HIGH}, {}, 0.25, "indeterminate: insufficient inputs"),
    (DAY_AFTER_BEVACIZUMAB, {"angiogenic": 0.80, "indeterminate": 0.20}, 0.90, "angiogenic-dominant"),
]


def assess(context=None, **values):
    return assess_values([LesionInputs("M1", 1, values)], PROTOCOL | (context or {})).lesions[0]


@pytest.mark.parametrize(("values", "shares", "coverage", "label"), LISTED)
def test_listed_cases(values, shares, coverage, label):
    result = assess(**values)
    assert result["phenotype"].startswith(label)
    assert result["coverage"] == pytest.approx(coverage, abs=1e-9)
    for name, share in shares.items():
        assert result["label_shares"][name] == pytest.approx(share, abs=0.05)


def test_tiers():
    assert assess(**FULL_ANGIOGENIC)["tier"] == "A"
    assert assess(rcbv=3.5, oedema_width=20)["tier"] == "B"
    assert assess(**LISTED[5][0])["tier"] == "C"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.02, -1), (0.1, 1), (0.02 * 5**0.5, 0), (0.02 * 5**0.75, 0.5), (1e-9, -1), (0, -1)],
)
def test_score_on_a_log_scale(value, expected):
    assert score(value, 0.02, 0.1, True, False) == pytest.approx(expected)


def test_a_one_sided_score_is_never_positive():
    assert score([0.0, 0.15, 0.3, 2.0], 0.0, 0.3, False, True) == pytest.approx([0, -0.5, -1, -1])


@pytest.mark.parametrize("spec", load_table().rules["inputs"], ids=lambda spec: spec["id"])
def test_monotone_in_each_input(spec):
    steps = np.linspace(
        max(spec["lo"] * 0.5, 1e-3), min(spec["hi"] * 1.4, 1.0 if spec["hi"] <= 1 else 99), 12
    )
    base = MIDPOINT | {"cbf_ratio": 1.4}
    results = [assess(**(base | {spec["id"]: float(step)})) for step in steps]
    sign = -1 if spec["one_sided"] else 1
    assert (sign * np.diff([r["balance"]["e"] for r in results]) >= -1e-12).all()
    # the same random numbers at every step: shares move one way too, up to the input's own spread
    assert (sign * np.diff([r["label_shares"]["angiogenic"] for r in results]) >= -0.01).all()


@pytest.mark.parametrize("left_out", list(FULL_VCO))
def test_a_missing_input_never_raises_coverage(left_out):
    whole = FULL_VCO | {"vp_ratio": 1.2, "enhancing_fraction": 0.3}
    part = {key: value for key, value in whole.items() if key != left_out}
    assert assess(**part)["coverage"] <= assess(**whole)["coverage"]
    row = next(row for row in assess(**part)["evidence"] if row["input"] == left_out)
    assert (
        row["value"] is None and row["weight"] == 0 and row["contribution"] == 0 and row["not_used_because"]
    )


def test_order_of_lesions_and_inputs_does_not_matter():
    lesions = [LesionInputs(f"M{n}", n, {**MIDPOINT, "ktrans": 0.02 + 0.01 * n}) for n in range(1, 5)]
    first = {r["name"]: r for r in assess_values(lesions, PROTOCOL).lesions}
    turned = [LesionInputs(x.name, x.label, dict(reversed(x.values.items()))) for x in reversed(lesions)]
    assert {r["name"]: r for r in assess_values(turned, PROTOCOL).lesions} == first
    alone = assess_values(lesions[2:3], PROTOCOL).lesions[0]
    assert alone == first["M3"]


def test_contributions_add_up_to_the_balance():
    result = assess(**(MIDPOINT | {"vp_ratio": 3.0, "enhancing_fraction": 0.6, "pet_nonenhancing": 0.2}))
    assert sum(row["contribution"] for row in result["evidence"]) == pytest.approx(result["balance"]["e"])
    assert sum(row["weight"] for row in result["evidence"]) == pytest.approx(result["coverage"])


def test_correlated_inputs_share_one_weight():
    one, two = (
        assess(rcbv=3.5, oedema_width=20),
        assess(rcbv=3.5, vp_ratio=3.5, cbf_ratio=2.5, oedema_width=20),
    )
    assert two["coverage"] == one["coverage"]
    assert two["balance"] == pytest.approx(one["balance"])


def test_limits_and_values_scaled_together_change_nothing():
    table = load_table()
    expected = assess(**MIDPOINT)
    for spec in table.rules["inputs"]:
        if spec["id"] == "ktrans":
            spec.update(lo=spec["lo"] * 3, hi=spec["hi"] * 3)
    scaled = MIDPOINT | {"ktrans": MIDPOINT["ktrans"] * 3}
    result = assess_values([LesionInputs("M1", 1, scaled)], PROTOCOL, table).lesions[0]
    assert result["label_shares"] == pytest.approx(expected["label_shares"], abs=0.001)


def test_hundred_lesions_in_time():
    values = FULL_ANGIOGENIC | {"vp_ratio": 2, "cbf_ratio": 1.8, "enhancing_fraction": 0.7, "oedema_ratio": 2}
    started = time.perf_counter()
    assess_values([LesionInputs(f"M{n}", n, values) for n in range(100)], PROTOCOL)
    assert time.perf_counter() - started < 5.0


@pytest.mark.parametrize("missing", [0.0, 0.25])
def test_stability_is_honest_on_simulated_lesions(missing):
    result = simulate(2000, seed=11, missing=missing)
    rows = [row for row in result.calibration if row["lesions"] >= 50]
    assert len(rows) >= 4
    for row in rows:
        assert row["right"] >= row["mean_stability"] - 0.05, row
    assert sum(sum(row.values()) for row in result.confusion.values()) == 2000
    assert "not clinical accuracy" in result.notice


def test_overconfident_stability_would_be_seen():
    """The gate above can fail: labels that are right in 6 of 10 cases do not carry a stability of 0.8."""
    right = np.arange(1000) % 10 < 6
    (row,) = calibration(np.full(1000, 0.8), right)
    assert row["right"] < row["mean_stability"] - 0.05


def test_doubt_in_the_voxels_lowers_stability():
    sure = assess(**FULL_ANGIOGENIC | {"ktrans": 0.06})
    unsure = assess(**FULL_ANGIOGENIC | {"ktrans": Measured(0.06, rel_sd=1.0)})
    assert unsure["stability"] < sure["stability"]


def test_site_repeatability_replaces_the_default():
    rows = {
        r["input"]: r
        for r in assess({"repeatability": {"ktrans": 0.5, "rcbv": "normalised"}}, **MIDPOINT)["evidence"]
    }
    assert rows["ktrans"]["rel_sd"] == 0.5 and rows["rcbv"]["rel_sd"] == 0.31
    with pytest.raises(InputError, match="no preset"):
        assess({"repeatability": {"rcbv": "nonsense"}}, **MIDPOINT)


def test_the_missing_series_that_could_change_the_label():
    change = assess(**LISTED[5][0])["what_would_change"]
    assert change["can_change"] and "DCE" in change["text"]
    assert not assess(**FULL_ANGIOGENIC | {"pet_nonenhancing": 0.0})["what_would_change"]["can_change"]


def test_no_label_below_the_print_limit():
    for values, *_ in LISTED:
        result = assess(**values)
        if result["stability"] is None:
            assert result["phenotype"] == "indeterminate: insufficient inputs"
        elif result["stability"] < 0.70:
            assert result["phenotype"].startswith("indeterminate")


@pytest.mark.parametrize(
    ("lesions", "message"),
    [
        ([], "no lesions"),
        ([LesionInputs("A"), LesionInputs("A")], "occurs twice"),
        ([LesionInputs("A", 1, {"ktrans": -0.1})], "negative"),
    ],
)
def test_bad_lesions_are_refused(lesions, message):
    with pytest.raises(InputError, match=message):
        assess_values(lesions)


@pytest.mark.parametrize(
    ("key", "value"),
    [("ktrans", 0.002), ("ktrans", 12.0), ("rcbv", 80.0), ("enhancing_fraction", 85.0), ("vp_ratio", 300.0)],
)
def test_values_in_a_wrong_unit_are_asked_about_and_not_used(key, value):
    result = assess_values([LesionInputs("M1", 1, FULL_ANGIOGENIC | {key: value})], PROTOCOL)
    row = next(row for row in result.lesions[0]["evidence"] if row["input"] == key)
    assert row["value"] is None and "set aside" in row["not_used_because"]
    assert any(key in text and "context" in text for text in result.warnings)


def test_a_stated_unit_is_converted():
    rows = assess({"units": {"ktrans": "1/s"}}, **FULL_ANGIOGENIC | {"ktrans": 0.002})["evidence"]
    assert rows[0]["value"] == pytest.approx(0.12)
