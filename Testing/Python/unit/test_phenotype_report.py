"""What the report says of one lesion and of its timeline."""

from unit.phenotype_helpers import PROTOCOL

from BMVascularCore.phenotype import LesionInputs, assess_values, load_table, parse_context
from BMVascularCore.phenotype.change import TimePoint, compare_dates, natural, timeline_rows
from BMVascularCore.report.build import _change
from BMVascularCore.report.lesion import findings

IRRADIATED = PROTOCOL | {"scan_day": 90, "treatments": [{"type": "SRS", "day": 0}], "pet_tracer": "FET"}


def lesion(values, context=PROTOCOL, name="M1"):
    return assess_values([LesionInputs(name, 1, values)], context).lesions[0]


def test_votes_stand_row_by_row_with_published_and_used_ratio():
    html = findings(lesion({"rcbv": 3.0, "tbr": 1.4}, IRRADIATED))
    for text in (
        "DSC blood volume",
        "4.2",
        "FET PET",
        "0.18",
        "0.2",
        "Romagna 2016",
        "Tests together: mixed",
    ):
        assert text in html
    assert "posterior" not in html and "probability of" not in html


def test_a_lesion_without_findings_adds_nothing():
    assert findings(lesion({"rcbv": 3.0})) == ""


def test_habitats_and_delayed_contrast_are_said():
    part = {
        "name": "low <perfusion>",
        "volume_ml": 1.0,
        "low_ml": 0.8,
        "high_ml": 1.2,
        "share": 0.5,
        "caution": "c",
    }
    habitats = {
        "assessable": True,
        "assessed_share": 0.9,
        "lesion": {"habitats": [part], "spatially_mixed": True},
        "front_against_mirror": {"ktrans_z": 2.34, "rcbv_z": None},
    }
    html = findings({"habitats": habitats, "delayed_contrast": {"text": "Delayed contrast gathers in 40%"}})
    assert (
        "low &lt;perfusion&gt;" in html
        and "Spatially mixed" in html
        and "Ktrans +2.3" in html
        and "gathers" in html
    )
    none = findings({"habitats": {"assessable": False, "reason": "smaller than 10 mm"}})
    assert "smaller than 10 mm" in none


def test_timeline_rows_and_their_order():
    start = {"ktrans": 0.15, "rcbv": 3.5, "oedema_width": 20.0, "irregularity": 0.0}
    later = start | {"ktrans": 0.03}
    points = []
    for day, values in ((0, start), (40, later)):
        context = parse_context(PROTOCOL | {"scan_day": day})
        lesions = [LesionInputs(name, n, values) for n, name in enumerate(("M10", "M2"), start=1)]
        if day:
            lesions.append(LesionInputs("M11", 3, {"rcbv": 3.0}))
        points.append(
            TimePoint(f"TP{len(points) + 1}", day, assess_values(lesions, context).lesions, context)
        )
    rows = timeline_rows(compare_dates(points, load_table()), load_table().rules)
    assert [(row["name"], row["scan"]) for row in rows][::2] == [
        ("M2", "TP1"),
        ("M10", "TP1"),
        ("M11", "TP1"),
    ]
    assert rows[1]["measured_changes"] == "Ktrans down" and rows[0]["measured_changes"] == ""
    assert rows[4]["phenotype"] == "not there" and rows[5]["stability"] is None
    html = _change(
        {"rows": [], "columns": [("name", "lesion")], "timeline": rows, "summary": "No lesion shows."}
    )
    assert html.index("M2") < html.index("M10") and "Ktrans down" in html and "No lesion shows." in html


def test_natural_order():
    assert sorted(["M10", "M2", "L1", "M1"], key=natural) == ["L1", "M1", "M2", "M10"]
