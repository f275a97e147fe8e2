"""What is said about targets and plan in study.json and on the command line of a run."""

import json
from types import SimpleNamespace

import numpy as np
import planning_cases as cases
import planning_foreign as foreign
import pytest

from BMVascularCore.cli import main
from BMVascularCore.errors import InputError
from BMVascularCore.io import write_volume
from BMVascularCore.planning.margin_tables import lesion_margins
from BMVascularCore.planning.targets import make_targets
from BMVascularCore.study import planning
from BMVascularCore.study.plan_options import check_prescription, options_of_study
from BMVascularCore.volume import Volume

GRID = cases.grid((48, 48, 48))


@pytest.fixture
def study(tmp_path):
    """A study of plain files with one lesion, and organs with a falx 4 mm left of it."""
    write_volume(tmp_path / "t1c.nrrd", Volume(np.ones(GRID.shape, np.float32), GRID))
    wall = [
        np.array([(8.0, -20.0, z), (9.0, -20.0, z), (9.0, 20.0, z), (8.0, 20.0, z)]) for z in range(-20, 21)
    ]
    organs = [("Falx", "ORGAN", foreign.closed(wall)),
              ("Brainstem", "ORGAN", foreign.closed(cases.sphere_contours(8, 1.0, (-16.0, 0.0, 0.0))))]  # fmt: skip
    foreign.write_structures(tmp_path / "organs.dcm", organs)
    (tmp_path / "margins.csv").write_text("name,ctv_mm,ptv_mm,ptv_left_mm\nM1,1,2,3\n")
    return tmp_path


def write_study(folder, planning_facts, **more):
    point = {"label": "TP1", "series": {"T1c": "t1c.nrrd"}, "seeds": [{"name": "M1", "ras": [0, 0, 0]}]}
    facts = {"timepoints": [point], "planning": planning_facts, **more}
    (folder / "study.json").write_text(json.dumps(facts))


def targets_of(options, names=("M1",)):
    """Targets of a lesion of 8 mm at the origin, as the planning stage makes them."""
    labels = Volume(cases.sphere(GRID, 8).astype(np.int32), GRID, "labels")
    segmentation = SimpleNamespace(labels=labels, lesions=[], rows=[{"name": "M1", "label": 1}])
    run = SimpleNamespace(segmentation=segmentation)
    ct = Volume(np.zeros(GRID.shape, np.int16), GRID, "ct")
    return planning._targets(options, ct, run, dict(enumerate(names, start=1)), None, lambda *_: None)


def test_margins_and_barriers_of_a_run(study):
    options = options_of_study({"ptv_mm": 5, "barriers": "organs.dcm", "organs": "organs.dcm"}, study)
    (target,) = targets_of(options).targets
    # a ball of radius 9 without the cap beyond the wall at 8 mm
    cap = np.pi * 1.0**2 * (27.0 - 1.0) / 3000.0
    assert target.ml["PTV"] == pytest.approx(cases.sphere_ml(18) - cap, rel=0.03)
    points = target.masks["PTV"].geometry.points_of(np.argwhere(target.masks["PTV"].array))
    assert points[:, 0].max() < 8.3 and points[:, 0].min() == pytest.approx(-9.0, abs=0.5)
    free = targets_of(options_of_study({"ptv_mm": 5}, study)).targets[0]
    assert free.ml["PTV"] > target.ml["PTV"]


@pytest.mark.parametrize(
    ("margins", "ctv", "left", "right"),
    [("margins.csv", 1, 3, 2), ({"M1": "2 L4"}, 0, 4, 2), ({"M1": 3}, 0, 3, 3),
     ({"M1": {"ctv_mm": 1, "ptv_mm": 2, "ptv_left_mm": 3}}, 1, 3, 2), ({}, 0, 1, 1)],
)  # fmt: skip
def test_margins_as_they_may_be_written(study, margins, ctv, left, right):
    wanted = options_of_study({"margins": margins}, study).margins_of(["M1", "M2"])
    assert (wanted[0]["M1"].right, wanted[1]["M1"].left, wanted[1]["M1"].right) == (ctv, left, right)
    assert (wanted[0]["M2"].left, wanted[1]["M2"].left) == (0.0, 1.0)


def test_doses_by_lesion_reach_the_structures():
    labels = Volume(cases.sphere(GRID, 8).astype(np.int32) * 3, GRID, "labels")
    targets = make_targets(labels, {3: "M1"}, 0.0, 1.0)
    assert planning._prescription({"M1": 18.0, "M9": 20.0}, targets) == {
        "GTV_03": 18.0, "CTV_03": 18.0, "PTV_03": 18.0,
    }  # fmt: skip
    assert check_prescription({"M1": 20}) == {"M1": 20.0} and check_prescription(None) is None


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"margin": 2}, "'margin' is not known"),
        ([1], "is no object"),
        ({"ptv_mm": "two"}, "ptv_mm is not a number"),
        ({"ptv_mm": -1}, "margin of -1 mm"),
        ({"margins": {"M1": "wide"}}, "'wide' is not a margin"),
        ({"margins": {"M7": 2}}, "no lesion is called M7. Known: M1"),
        ({"margins": "none.csv"}, "none.csv"),
        ({"barriers": "none.dcm"}, "none.dcm"),
        ({"barriers": "organs.dcm", "barrier_names": ["Dura"]}, "no structure is called Dura"),
        ({"organs": "organs.dcm", "brain": "Brain"}, "no organ is called Brain"),
        ({"brain": "Brain"}, "without organs"),
        ({"fractions": 0}, "0 fractions cannot be"),
    ],
    ids=str,
)
def test_a_run_that_asks_for_what_cannot_be_is_refused_at_once(study, capsys, facts, words):
    write_study(study, facts)
    assert main(["run", str(study), "--out", str(study / "o"), "--quiet"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and words in said[0]
    assert not (study / "o").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--margins", "margins.csv", "--ptv", "99"], "margin of 99 mm"),
        (["--barrier-names", "Falx"], "without structures"),
        (["--prescription", "M2=20"], "no lesion is called M2"),
        (["--prescription", "0"], "cannot be a prescription"),
        (["--organs", "organs.dcm", "--brain", "Cortex"], "no organ is called Cortex"),
    ],
    ids=str,
)
def test_the_call_of_a_run_is_checked_at_once(study, capsys, monkeypatch, more, words):
    monkeypatch.chdir(study)
    write_study(study, {})
    assert main(["run", ".", "--out", "o", "--quiet", *more]) == 2
    assert words in capsys.readouterr().err
    assert not (study / "o").exists()


def test_a_dose_that_is_no_number_is_refused(study, capsys):
    write_study(study, {}, prescription_gy="twenty")
    assert main(["run", str(study), "--out", str(study / "o"), "--quiet"]) == 2
    assert "prescription_gy in study.json: the dose is not a number" in capsys.readouterr().err


def test_a_lesion_without_any_margin_is_named():
    with pytest.raises(InputError, match="M2 has no PTV margin"):
        lesion_margins({"M1": {"ctv": None, "ptv": 2.0}}, ["M1", "M2"], 0.0)
