"""Rule sets, contexts and tables with one part damaged: either they still work, or one sentence says what is wrong."""

import copy
import dataclasses
import json
import random

import pytest

from BMVascularCore.errors import InputError
from BMVascularCore.phenotype import LesionInputs, assess_values, load_table
from BMVascularCore.phenotype.measurements import read_measurements
from BMVascularCore.phenotype.rules import parse_rules

DAMAGE = [
    None,
    "x",
    -1,
    0,
    1e9,
    float("nan"),
    float("inf"),
    [],
    {},
    True,
    3,
    {"a": 1},
    [1, [2]],
    "2024-13-45",
]
FACTS = {"longest_diameter_mm": 9.0, "itss_fraction": 0.3, "volume_ml": 1.0}
LESIONS = [LesionInputs("A", 1, {"ktrans": 0.1, "rcbv": 3.0, "oedema_width": 8.0, "tbr": 2.0}, FACTS)]
CONTEXT = {
    "histology": "melanoma",
    "molecular": ["EGFR"],
    "scan": {"date": "2024-03-15"},
    "treatments": [{"type": "SRS", "date": "2024-01-10", "lesions": ["A"], "end_date": "2024-01-12"}],
    "protocol": {"preload": True, "flip_deg": 60},
    "units": {"ktrans": "1/min"},
    "repeatability": {"rcbv": 0.15},
    "histology_adjust": True,
    "label_irradiated": False,
    "pet_tracer": "FET",
    "lesions": {"A": {"near_vessel": True}},
}
TABLE = {
    "lesions": [
        {
            "name": "A",
            "label": 1,
            "tracking_id": "T",
            "values": {"ktrans": {"value": 0.1, "rel_sd": 0.1, "share": 0.9}, "rcbv": 3.0},
            "facts": {"longest_diameter_mm": 20, "near_vessel": False},
        }
    ]
}


def quick_table():
    table = load_table()
    rules = copy.deepcopy(table.rules)
    rules["monte_carlo"]["draws"] = 100
    return dataclasses.replace(table, rules=rules)


def places(node, path=()):
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from places(value, (*path, key))


def damaged(content, count, seed):
    """Copies of a JSON value with one entry replaced or taken away."""
    generator, found = random.Random(seed), list(places(content))
    for _ in range(count):
        one, path = copy.deepcopy(content), generator.choice(found)
        node = one
        for key in path[:-1]:
            node = node[key]
        if isinstance(node, dict) and generator.random() < 0.3:
            node.pop(path[-1])
        else:
            node[path[-1]] = generator.choice(DAMAGE)
        yield one


def said_or_done(work):
    try:
        work()
    except InputError as error:
        assert len(str(error).splitlines()) == 1
        return 1
    return 0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_damaged_rule_set(seed):
    table = quick_table()

    def work(rules):
        read = parse_rules(json.dumps(rules), table.evidence)
        if read["monte_carlo"]["draws"] <= 100:
            assess_values(LESIONS, CONTEXT, dataclasses.replace(table, rules=read))

    refused = sum(said_or_done(lambda rules=rules: work(rules)) for rules in damaged(table.rules, 150, seed))
    assert 20 < refused < 150


def test_a_damaged_context():
    table = quick_table()
    refused = sum(
        said_or_done(lambda one=one: assess_values(LESIONS, one, table)) for one in damaged(CONTEXT, 300, 3)
    )
    assert 60 < refused < 300


def test_a_damaged_table(tmp_path):
    table, path = quick_table(), tmp_path / "t.json"

    def work(content):
        path.write_text(json.dumps(content))
        lesions, _ = read_measurements(path, table.rules)
        assess_values(lesions, None, table)

    refused = sum(said_or_done(lambda one=one: work(one)) for one in damaged(TABLE, 300, 4))
    assert 60 < refused < 300
