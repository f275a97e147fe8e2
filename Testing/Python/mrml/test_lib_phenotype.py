"""Phenotype in the scene without a panel: inputs, results, what-if, context form, change, chart."""

import json

import numpy as np
import pytest

from BMVascularCore.errors import InputError
from BMVascularCore.phenotype import LesionInputs, assess_values, load_table


@pytest.fixture
def study(scene):
    from BMVascularLib.phenotypeExample import addExample

    return addExample(scene, "TP1")


def assessed(scene, timepoint="TP1", context=None):
    from BMVascularCore.phenotype import assess_lesions
    from BMVascularLib.phenotypeNodes import readInputs, readResult, storeResult

    inputs = readInputs(scene, timepoint)
    found = assess_lesions(inputs.labels, inputs.maps, inputs.compartments, context, names=inputs.names)
    storeResult(scene, timepoint, found, context or {})
    return found, readResult(scene, timepoint)


def test_inputs_hold_what_is_in_the_scene(scene, study):
    from BMVascularLib.phenotypeExample import exampleImages, twoLesions
    from BMVascularLib.phenotypeNodes import readInputs

    labels, parts, images = exampleImages(twoLesions())
    found = readInputs(scene, "TP1")
    assert np.array_equal(found.labels.array, labels.array) and found.names == {1: "M1", 2: "M2"}
    assert np.array_equal(found.compartments.array, parts.array)
    assert set(found.maps) == {"rcbv", "ktrans", "vp", "flair"}
    assert np.array_equal(found.maps["ktrans"].array, images["ktrans"].array)
    assert found.maps["ktrans"].geometry.matches(images["ktrans"].geometry)


def test_a_scene_without_lesions_is_refused(scene):
    from BMVascularLib.phenotypeNodes import readInputs

    with pytest.raises(InputError, match="has no segmentation of lesions"):
        readInputs(scene, "TP1")


def test_a_segment_that_is_no_compartment_is_named(scene, study):
    from BMVascularLib.phenotypeNodes import nodeOf, readInputs

    node = nodeOf(scene, "compartments", "TP1")
    node.GetSegmentation().GetNthSegment(0).SetName("Skull")
    with pytest.raises(InputError, match="'Skull', which is no compartment"):
        readInputs(scene, "TP1")


def test_results_come_back_as_they_were(scene, study):
    from BMVascularLib.phenotypeNodes import nodeOf
    from BMVascularLib.tables import rowsOfTable
    from BMVascularLib.volumes import volumeOfNode

    found, result = assessed(scene)
    assert result.lesions == json.loads(json.dumps(found.lesions))
    assert [lesion.values["ktrans"].value for lesion in result.inputs] == pytest.approx(
        [lesion.values["ktrans"].value for lesion in found.inputs]
    )
    assert [row["name"] for row in rowsOfTable(nodeOf(scene, "phenotype", "TP1"))] == ["M1", "M2"]
    habitats = volumeOfNode(nodeOf(scene, "habitats", "TP1"))
    assert np.array_equal(habitats.array, found.habitats.array)
    count = scene.GetNumberOfNodes()
    assessed(scene)
    assert scene.GetNumberOfNodes() == count


def test_what_if_without_changes_is_the_result(scene, study):
    from BMVascularLib.phenotypeWhatIf import WhatIf, assessWhatIf

    found, result = assessed(scene, context={"units": {"ktrans": "1/min"}})
    again = assessWhatIf(result, WhatIf())
    for key in ("phenotype", "stability", "coverage", "tier"):
        assert [lesion[key] for lesion in again.lesions] == [lesion[key] for lesion in found.lesions]


def test_what_if_is_the_engine_under_other_rules():
    from BMVascularLib.phenotypeNodes import PhenotypeResult
    from BMVascularLib.phenotypeWhatIf import WhatIf, assessWhatIf

    lesion = LesionInputs("M1", 1, {"ktrans": 0.05, "rcbv": 3.0, "oedema_width": 12.0})
    result = PhenotypeResult([], [], {}, {}, [], [lesion], {})
    tried = assessWhatIf(result, WhatIf(dropped={"ktrans"})).lesions[0]
    direct = assess_values([LesionInputs("M1", 1, {"rcbv": 3.0, "oedema_width": 12.0})]).lesions[0]
    assert (tried["stability"], tried["coverage"]) == (direct["stability"], direct["coverage"])
    raised = assessWhatIf(result, WhatIf(limits={"ktrans": (0.1, 0.5)})).lesions[0]
    row = next(row for row in raised["evidence"] if row["input"] == "ktrans")
    assert (row["lo"], row["hi"], row["score"]) == (0.1, 0.5, -1.0)
    assert lesion.values["ktrans"] == 0.05 and load_table().spec("ktrans")["hi"] == 0.1


def test_limits_that_do_not_work_are_refused():
    from BMVascularLib.phenotypeWhatIf import changedTable

    with pytest.raises(InputError, match="do not work"):
        changedTable(load_table(), {"ktrans": (0.2, 0.1)})


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"histology": "lung", "molecular": ["EGFR", "ALK"], "scan": {"day": 40.0}},
        {
            "scan": {"date": "2024-03-15"},
            "treatments": [{"type": "SRS", "date": "2024-01-10", "lesions": ["M1"]}],
        },
        {"treatments": [{"type": "steroid", "day": 3.0, "end_day": 9.0, "lesions": "all"}]},
        {"protocol": {"preload": False, "flip_deg": 60.0, "scanner": "A"}, "repeatability": {"rcbv": 0.15}},
    ],
)
def test_the_form_keeps_what_it_does_not_show(content):
    from BMVascularLib.phenotypeContext import contentOf, formOf

    assert contentOf(formOf(content), content) == content


def test_days_that_are_no_days_are_refused():
    from BMVascularLib.phenotypeContext import contentOf, formOf

    form = formOf({}) | {"scan": "last week"}
    with pytest.raises(InputError, match="'last week' is neither a number of days nor a date"):
        contentOf(form, {})


@pytest.mark.parametrize(
    ("contexts", "days"),
    [
        ([{"scan": {"day": 10}}, {"scan_day": 52}], [0.0, 42.0]),
        ([{"scan": "2024-02-28"}, {"scan_date": "2024-03-01"}], [0.0, 2.0]),
        ([{"scan": {"day": 10}}, {}], [0.0, 1.0]),
    ],
)
def test_days_between_scans(contexts, days):
    from BMVascularLib.phenotypeChange import scanDays

    assert scanDays(contexts) == days


def test_change_needs_two_assessed_time_points(scene, study):
    from BMVascularLib.phenotypeChange import changeTableRows, compareScene
    from BMVascularLib.phenotypeExample import addExample, twoLesions

    addExample(scene, "TP2", twoLesions(change=0.3))
    assessed(scene)
    assert compareScene(scene) is None
    assessed(scene, "TP2")
    rows = changeTableRows(compareScene(scene))
    first = next(row for row in rows if (row["name"], row["metric"]) == ("M1", "Ktrans"))
    assert first["verdict"] == "measured change" and rows.index(first) < 3


def test_the_chart_draws_toward_the_side_of_the_score():
    from BMVascularLib.phenotypeChart import evidenceChart

    def colored(value, context):
        values = {"ktrans": value, "rcbv": 1.936}
        lesion = assess_values([LesionInputs("M1", 1, values)], context).lesions[0]
        pixels = np.asarray(evidenceChart(lesion, 350)).astype(int)
        # bars start below the heading, which names both sides in their colours
        bar = pixels[44:100]
        return (np.abs(bar - (213, 94, 0)).sum(-1) < 30).sum(), (
            np.abs(bar - (0, 114, 178)).sum(-1) < 30
        ).sum()

    stated = {"protocol": {"preload": True, "leakage_correction": True, "flip_deg": 60}}
    orange, blue = colored(0.1, stated)
    assert orange > 500 and blue < 50
    orange, blue = colored(0.02, stated)
    assert blue > 500 and orange < 50
    treated = stated | {"treatments": [{"type": "anti-VEGF"}]}
    hatched = colored(0.1, treated)[0]
    assert 100 < hatched < 0.8 * colored(0.1, stated)[0]


def test_shells_lie_where_their_distances_say(scene, study):
    from BMVascularLib.phenotypeNodes import readInputs
    from BMVascularLib.phenotypeOverlays import shellVolume

    rules = load_table().rules
    inputs = readInputs(scene, "TP1")
    shells = shellVolume(inputs, rules)
    index = np.argwhere(shells.array == 4)
    points = shells.geometry.points_of(index)
    # the made-up lesions are balls: radius 13 mm and 11 mm
    gaps = np.minimum(
        np.linalg.norm(points - (35, 20, 8), axis=1) - 13, np.linalg.norm(points - (-38, -18, 4), axis=1) - 11
    )
    voxel = 3.0
    assert gaps.min() > -voxel and gaps.max() < rules["habitats"]["front_mm"] + voxel
    assert set(np.unique(shells.array)) >= {0, 1, 2, 4}


def test_a_confirmed_identity_outweighs_the_name(scene):
    """The reader confirmed that M2 of the second date is M1 of the first: names alone would compare the wrong ones."""
    from BMVascularLib.lesionNodes import IDENTITY
    from BMVascularLib.phenotypeChange import compareScene, identified
    from BMVascularLib.phenotypeExample import addExample, twoLesions
    from BMVascularLib.phenotypeNodes import readResult, segmentOf

    for label, lesions in (("TP1", twoLesions()), ("TP2", twoLesions(0.3)[::-1])):
        node = addExample(scene, label, lesions)
        assessed(scene, label)
    segmentation = node.GetSegmentation()
    segmentation.GetSegment(segmentOf(node, "M2")).SetTag(IDENTITY, "M1")
    ids = [lesion["tracking_id"] for lesion in identified(scene, "TP2", readResult(scene, "TP2").lesions)]
    assert ids == ["M1 (TP2)", "M1"]
    segmentation.GetSegment(segmentOf(node, "M1")).SetTag(IDENTITY, "M2")
    report = compareScene(scene)
    rows = {(row["name"], row["metric"]): row for row in report.rows}
    changes = sorted(round(row["change"]) for (_name, metric), row in rows.items() if metric == "ktrans")
    assert changes[0] == pytest.approx(-70, abs=3) and abs(changes[1]) < 5
