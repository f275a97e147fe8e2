"""The protocol check: each rule can be met, missed and unknown; unverified values never turn red."""

import json

import numpy as np
import pytest

from BMVascularCore.errors import InputError
from BMVascularCore.study import protocol
from BMVascularCore.study.protocol import SeriesFacts, check_protocol, facts_of_image, worst
from BMVascularCore.volume import Geometry, Series


def study(**dsc):
    values = {"echo_time_ms": 30.0, "flip_deg": 30.0, "field_t": 3.0, "frame_time_s": 1.5, "frames": 120}
    return [
        SeriesFacts("T1c", "TP1", "T1 post", {"voxel_mm": 1.0, "field_t": 3.0}),
        SeriesFacts("DSC", "TP1", "DSC", {**values, **dsc}),
    ]


def finding(series, item, preload=False, role="DSC"):
    found = check_protocol(series, {"TP1": preload})
    return next(f for f in found if f.item.startswith(item) and f.role == role)


def test_low_flip_angle_without_preload_is_met():
    assert finding(study(), "Flip angle").status == "met"


def test_flip_60_without_preload_biases_rcbv_and_leaves_psr():
    found = finding(study(flip_deg=60.0), "Flip angle")
    assert found.status == "red"
    assert "rCBV" in found.meaning and "biased" in found.meaning and "PSR stays usable" in found.meaning
    assert found.found == "60°"


def test_flip_60_with_preload_is_met():
    assert finding(study(flip_deg=60.0), "Flip angle", preload=True).status == "met"


def test_flip_60_with_unknown_preload_asks():
    found = finding(study(flip_deg=60.0), "Flip angle", preload=None)
    assert found.status == "amber"
    assert "say below" in found.meaning


@pytest.mark.parametrize(("field_t", "status"), [(3.0, "amber"), (1.5, "met")])
def test_echo_time_depends_on_the_field(field_t, status):
    assert finding(study(echo_time_ms=45.0, field_t=field_t), "Echo time").status == status


def test_a_value_that_no_header_states_is_unknown():
    series = study()
    del series[1].values["echo_time_ms"]
    found = finding(series, "Echo time")
    assert (found.status, found.found) == ("unknown", "not stated in the header")


def test_limits_hold_through_rounding():
    assert finding(study(frame_time_s=1.5000001), "Frame time").status == "met"
    assert finding(study(frame_time_s=1.6), "Frame time").status == "amber"


def test_unverified_rules_are_never_red():
    rules = protocol.load_protocol()
    harsh = {**rules, "rules": [{**r, "severity": "red"} for r in rules["rules"]],
             "series": [{**r, "severity": "red"} for r in rules["series"]]}  # fmt: skip
    bad = [SeriesFacts(role, "TP1", role, dict.fromkeys(protocol._UNITS, 1000000.0) | {"field_t": 3.0})
           for role in ("T1c", "T1", "FLAIR", "T2", "DSC", "DCE", "PET")]  # fmt: skip
    found = check_protocol(bad, {"TP1": False}, harsh)
    unverified = [f for f in found if "not verified" in f.source]
    assert len(unverified) > 8
    assert {f.status for f in unverified} <= {"met", "amber", "unknown"}
    assert worst(found) == "red"


def test_a_missing_minimum_series_says_what_it_costs():
    found = finding(study(), "series", role="FLAIR")
    assert found.status == "red"
    assert "Oedema" in found.meaning
    assert finding(study(), "series", role="ADC or DWI").status == "amber"


def test_time_points_without_contrast_are_not_judged():
    assert check_protocol([SeriesFacts("CT", "Planning", "CT", {})]) == []


def test_facts_of_a_series_come_in_our_units():
    times = np.arange(50) * 1.25
    image = Series(
        np.zeros((50, 2, 2, 2), np.float32),
        times,
        Geometry((2, 2, 2), (2.0, 2.0, 5.0)),
        "DSC",
        {"echo_time_s": 0.03},
    )
    facts = facts_of_image("DSC", "TP1", image).values
    assert facts["echo_time_ms"] == pytest.approx(30.0)
    assert (facts["frame_time_s"], facts["frames"], facts["slice_mm"]) == (1.25, 50, 5.0)
    assert facts["duration_s"] == pytest.approx(49 * 1.25)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda p: p["rules"][0].pop("max"), "limit"),
        (lambda p: p["rules"][0].update(measure="mood"), "measure"),
        (lambda p: p["series"][0].update(source="hearsay"), "source"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, monkeypatch, damage, word):
    rules = protocol.load_protocol()
    damage(rules)
    file = tmp_path / "btip_bm.json"
    file.write_text(json.dumps(rules))
    monkeypatch.setattr(protocol, "resource", lambda *parts: file)
    with pytest.raises(InputError, match=word):
        protocol.load_protocol()


def test_a_file_that_is_no_json_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "btip_bm.json"
    file.write_text("{")
    monkeypatch.setattr(protocol, "resource", lambda *parts: file)
    with pytest.raises(InputError, match="JSON"):
        protocol.load_protocol()
