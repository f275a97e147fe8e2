"""The same lesion across time points: matching, ids that stay, what a reader confirms, the command."""

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk
from lesion_followups import make_follow_up, score
from lesion_heads import Shape, grid, labels_of

from BMVascularCore.cli import main
from BMVascularCore.errors import InputError
from BMVascularCore.io import read_volume, write_volume
from BMVascularCore.lesions import match_lesions
from BMVascularCore.volume import Volume


def test_tracking():
    geometry = grid((80, 80, 80), (1, 1, 1))
    before = labels_of(
        geometry,
        Shape((-25, 0, 0), (8, 8, 8)),
        Shape((25, 0, 0), (5, 5, 5)),
        Shape((0, 25, 0), (4, 4, 4)),
        Shape((0, 34, 0), (4, 4, 4)),
        Shape((0, -25, 20), (3, 3, 3)),
    )
    after = labels_of(
        geometry,
        Shape((26, 1, 0), (9, 9, 9)),
        Shape((-23, 1, 1), (3, 3, 3)),
        Shape((0, 30, 0), (6, 11, 6)),
        Shape((20, -25, -20), (3, 3, 3)),
    )
    found = {
        m.identity: m
        for m in match_lesions(before, after, identities={1: "A", 2: "B", 3: "C", 4: "D", 5: "E"})
    }
    assert (found["A"].current, found["A"].status) == ((2,), "matched")
    assert (found["B"].current, found["B"].status) == ((1,), "matched")
    assert found["E"].status == "vanished"
    merged = next(m for m in found.values() if m.status == "merged")
    assert merged.previous == (3, 4)
    assert next(m for m in found.values() if m.status == "new").current == (4,)
    back = match_lesions(after, before)
    assert next(m for m in back if m.status == "split").current == (3, 4)


def test_tracking_after_registration():
    geometry = grid((60, 60, 60), (1, 1, 1))
    shift = sitk.TranslationTransform(3, (22.0, 0.0, 0.0))
    before = labels_of(geometry, Shape((-10, 0, 0), (4, 4, 4)))
    after = labels_of(geometry, Shape((12, 0, 0), (4, 4, 4)))
    assert match_lesions(before, after, shift)[0].overlap > 0.95
    assert {m.status for m in match_lesions(before, after)} == {"vanished", "new"}


@pytest.mark.parametrize("shift_mm, turn_deg", [(0, 0), (2, 0), (3, 0), (1, 1)])
def test_twenty_lesions(shift_mm, turn_deg):
    """Stay, threefold, a tenth, vanished, new beside, merged, split; the registration is off by up to 3 mm."""
    total = np.zeros(3, int)
    for seed in (1, 2):
        case = make_follow_up(seed, shift_mm, turn_deg)
        total += score(case, match_lesions(case.before, case.after))
    right, every, sure_but_wrong = total
    assert right >= 0.97 * every and sure_but_wrong == 0


def test_identity_stays_with_the_larger_of_merged_lesions():
    geometry = grid((60, 60, 60), (1, 1, 1))
    before = labels_of(geometry, Shape((-6, 0, 0), (3, 3, 3)), Shape((3, 0, 0), (5, 5, 5)))
    after = labels_of(geometry, Shape((0, 0, 0), (10, 6, 6)))
    match = match_lesions(before, after, identities={1: "small", 2: "large"})[0]
    assert (match.identity, match.status, match.certain) == ("large", "merged", False)
    assert "vanished" in match.reasons[0]


def test_a_place_outside_the_later_image_is_not_imaged():
    whole, part = grid((60, 60, 60), (1, 1, 1)), grid((20, 60, 60), (1, 1, 1))
    before = labels_of(whole, Shape((0, 0, 0), (4, 4, 4)), Shape((0, 0, 24), (4, 4, 4)))
    after = labels_of(part, Shape((0, 0, 0), (4, 4, 4)))
    assert [m.status for m in match_lesions(before, after)] == ["matched", "not imaged"]
    assert [m.status for m in match_lesions(before, after, whole_images=False)] == ["matched", "vanished"]
    back = match_lesions(after, before)
    assert back[1].status == "new" and not back[1].certain and "outside" in back[1].reasons[0]


def test_vanished_beside_new_wants_a_look():
    geometry = grid((60, 60, 60), (1, 1, 1))
    before = labels_of(geometry, Shape((0, 0, 0), (3, 3, 3)))
    after = labels_of(geometry, Shape((12, 0, 0), (3, 3, 3)))
    assert [(m.status, m.certain) for m in match_lesions(before, after)] == [
        ("vanished", False),
        ("new", False),
    ]
    far = labels_of(geometry, Shape((20, 0, 0), (3, 3, 3)))
    assert all(m.certain for m in match_lesions(before, far))


def test_confirmed_matches_are_held():
    geometry = grid((60, 60, 60), (1, 1, 1))
    before = labels_of(geometry, Shape((-10, 0, 0), (4, 4, 4)), Shape((10, 0, 0), (4, 4, 4)))
    crossed = match_lesions(before, before, confirmed=[((1,), (2,)), ((2,), ())])
    assert [(m.previous, m.current, m.status, m.certain) for m in crossed] == [
        ((1,), (2,), "matched", True),
        ((2,), (), "vanished", True),
        ((), (1,), "new", False),
    ]
    for wrong in ([((3,), (1,))], [((1,), (2,)), ((2,), (2,))]):
        with pytest.raises(InputError):
            match_lesions(before, before, confirmed=wrong)


def test_new_ids_follow_the_others():
    geometry = grid((60, 60, 60), (1, 1, 1))
    before = labels_of(geometry, Shape((-10, 0, 0), (4, 4, 4)))
    after = labels_of(geometry, Shape((-10, 0, 0), (4, 4, 4)), Shape((14, 0, 0), (4, 4, 4)))
    assert match_lesions(before, after, identities={1: "M3"}, taken=("M4",))[1].identity == "M5"
    assert match_lesions(before, after, identities={1: "frontal"})[1].identity == "L2"


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Three time points of labels in one space: A stays, B splits, C vanishes, D is new, then E."""
    folder, geometry = tmp_path_factory.mktemp("scans"), grid((60, 70, 60), (1, 1, 1))
    still = Shape((-18, 0, 0), (5, 5, 5))
    parts = Shape((8, -3, 0), (3, 3, 3)), Shape((17, -3, 0), (2.4, 2.4, 2.4))
    points = (
        (still, Shape((12, -3, 0), (8, 4, 4)), Shape((0, 24, 0), (3, 3, 3))),
        (*parts, Shape((-18, 1, 0), (6, 6, 6)), Shape((0, -26, 10), (3, 3, 3))),
        (still, *parts, Shape((0, -26, 10), (3, 3, 3)), Shape((0, 20, -20), (3, 3, 3))),
    )
    for number, shapes in enumerate(points):
        write_volume(folder / f"t{number}.nii.gz", labels_of(geometry, *shapes))
    return folder


def rows_of(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def track(*argv):
    return main(["track", *map(str, argv), "--quiet"])


def test_command_keeps_ids_over_three_scans(scans, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert track(scans / "t0.nii.gz", scans / "t1.nii.gz", "--registered", "--out", first) == 0
    rows = rows_of(first / "matches.csv")
    assert [(r["identity"], r["status"], r["decision"]) for r in rows] == [
        ("L1", "matched", "proposed"),
        ("L2", "split", "look"),
        ("L3", "vanished", "proposed"),
        ("L4", "new", "proposed"),
    ]
    voxels = [(read_volume(scans / f"t{n}.nii.gz").array == label).sum() for n, label in ((0, 1), (1, 3))]
    change = 100.0 * (voxels[1] / voxels[0] - 1.0)
    assert float(rows[0]["volume_change_percent"]) == pytest.approx(change, abs=0.1)
    assert rows[0]["beyond_error"] == "yes"
    lesions = rows_of(first / "lesions.csv")
    assert {r["name"]: r["segmented_as"] for r in lesions} == {
        "L1": "L3",
        "L2": "L1",
        "L2.2": "L2",
        "L4": "L4",
    }
    # the label of a lesion stays, too
    labels = read_volume(first / "lesions.nii.gz")
    assert labels.array[tuple(np.rint(labels.geometry.index_of((-18, 1, 0))).astype(int))] == 1
    assert track(first, scans / "t2.nii.gz", "--registered", "--out", second) == 0
    again = {r["identity"]: r["status"] for r in rows_of(second / "matches.csv")}
    # what vanished before keeps its id: the new one gets another
    assert again == {"L1": "matched", "L2": "matched", "L2.2": "matched", "L4": "matched", "L5": "new"}


def test_command_holds_what_a_reader_confirmed(scans, tmp_path):
    table, out = tmp_path / "mine.csv", tmp_path / "out"
    table.write_text("earlier,later\nL2,L1\n,L2\n")
    pair = scans / "t0.nii.gz", scans / "t1.nii.gz"
    assert track(*pair, "--registered", "--confirmed", table, "--out", out) == 0
    rows = {r["identity"]: r for r in rows_of(out / "matches.csv")}
    assert (rows["L2"]["status"], rows["L2"]["decision"], rows["L2"]["confidence"]) == (
        "matched",
        "confirmed",
        "reader",
    )
    assert [r["later"] for r in rows.values() if r["status"] == "new"] == ["L2", "L4"]
    # the table that was written can be given back as it is
    assert track(*pair, "--registered", "--confirmed", out / "matches.csv", "--out", tmp_path / "b") == 0
    assert (tmp_path / "b" / "matches.csv").read_text() == (out / "matches.csv").read_text()


@pytest.mark.parametrize(
    "table, words",
    [
        ("earlier,later\nL9,L1\n", "'L9' is no lesion of t0.nii.gz"),
        ("earlier,later\nL1,L3\nL2,L3\n", "names the lesion 3 more than once"),
        ("earlier,later\n,\n", "names no lesion"),
        ("before,after\nL1,L3\n", "lacks the column earlier"),
    ],
)
def test_command_refuses_wrong_confirmations(scans, tmp_path, capsys, table, words):
    file = tmp_path / "mine.csv"
    file.write_text(table)
    argv = scans / "t0.nii.gz", scans / "t1.nii.gz", "--registered", "--confirmed", file
    assert track(*argv, "--out", tmp_path / "o") == 2
    said = capsys.readouterr().err.strip()
    assert words in said and "\n" not in said
    assert not (tmp_path / "o").exists()


def test_command_refuses_what_it_cannot_place(scans, tmp_path, capsys):
    pair = scans / "t0.nii.gz", scans / "t1.nii.gz"
    for argv, words in (
        ([*pair], "nothing tells how the two scans lie"),
        ([scans, pair[1], "--registered"], "holds no lesions.nii.gz"),
        ([pair[0], scans / "none.nii.gz", "--registered"], "does not exist"),
        ([*pair, "--t1c-earlier", pair[0]], "nothing tells"),
    ):
        assert track(*argv, "--out", tmp_path / "o") == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_command_with_a_known_transform(tmp_path):
    geometry = grid((40, 40, 70), (1, 1, 1))
    write_volume(tmp_path / "a.nrrd", labels_of(geometry, Shape((-12, 0, 0), (4, 4, 4))))
    write_volume(tmp_path / "b.nrrd", labels_of(geometry, Shape((13, 0, 0), (4, 4, 4))))
    sitk.WriteTransform(sitk.TranslationTransform(3, (25.0, 0.0, 0.0)), str(tmp_path / "t.tfm"))
    files = tmp_path / "a.nrrd", tmp_path / "b.nrrd"
    assert track(*files, "--transform", tmp_path / "t.tfm", "--out", tmp_path / "o") == 0
    assert [r["status"] for r in rows_of(tmp_path / "o" / "matches.csv")] == ["matched"]
    assert track(*files, "--registered", "--out", tmp_path / "p") == 0
    record = json.loads((tmp_path / "p" / "track.json").read_text())
    assert "No lesion was found again" in record["warnings"][0]


def test_labels_far_from_the_image_are_refused(tmp_path, capsys):
    labels = labels_of(grid((30, 30, 30), (1, 1, 1)), Shape((0, 0, 0), (4, 4, 4)))
    write_volume(tmp_path / "a.nrrd", labels)
    far = Volume(
        np.ones((20, 20, 20), np.float32), labels.geometry.__class__((20,) * 3, (1,) * 3, (500, 0, 0))
    )
    write_volume(tmp_path / "far.nrrd", far)
    argv = [tmp_path / "a.nrrd", tmp_path / "a.nrrd", "--registered", "--t1c-earlier", tmp_path / "far.nrrd"]
    assert track(*argv, "--out", tmp_path / "o") == 2
    assert "holds no lesion" in capsys.readouterr().err
