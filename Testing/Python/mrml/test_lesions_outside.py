"""A reading whose clicks, segments or nodes were changed, moved or removed elsewhere: the right outcome, or one sentence."""

import numpy as np
import pytest
from lesion_balls import head, place_of, reading_of, truth_ml

from BMVascularCore.errors import InputError

slicer = pytest.importorskip("slicer")

from BMVascularLib import lesionNodes  # noqa: E402
from BMVascularLib.lesionReading import LesionReading  # noqa: E402
from BMVascularLib.segments import segmentIds  # noqa: E402
from BMVascularLib.studyNodes import addImage  # noqa: E402

BRAIN, AIR = (10.0, 0.0, 20.0), (0.0, 59.0, 50.0)


@pytest.fixture
def reading(scene):
    """Two lesions read, the balls 0 and 1."""
    found = reading_of(scene, addImage(scene, head(), "T1c", "TP1"))
    for ball in (0, 1):
        found.seedNode().AddControlPointWorld(*place_of(ball))
    found.sync()
    found.settle()
    return found


def volumes(reading):
    """Name to volume of all lesions, as table and segmentation agree on."""
    assert set(segmentIds(reading.segmentation())) == set(reading.session.entries)
    rows = reading.tableRows()
    for row in rows:
        assert reading.segment(row["segment_id"]).GetName() == row["name"]
    return {row["name"]: row["volume_ml"] for row in rows}


def both(**others):
    return pytest.approx({"L1": truth_ml(0), "L2": truth_ml(1), **others}, rel=0.1)


def add(reading, ras, mode="new", selected=None):
    reading.seedNode().AddControlPointWorld(*ras)
    return reading.sync(mode, selected)


def move(reading, number, ras):
    reading.seeds.SetNthControlPointPositionWorld(number, *ras)
    return reading.sync()


def points(reading):
    return [tuple(round(v, 2) for v in click.ras) for click in reading._clicks().values()]


def test_a_double_click_divides_nothing(reading):
    before = volumes(reading)
    near = np.add(place_of(0), (0.9, 0, 0.9))
    with pytest.raises(InputError, match=r"lies 1\.3 mm from the click of L1\. Click farther away to divide"):
        add(reading, near)
    assert volumes(reading) == before and len(points(reading)) == 2
    # the same place is no slip when it is meant for that lesion
    add(reading, near, "include", "lesion_1")
    assert volumes(reading) == pytest.approx(before, rel=0.02) and len(points(reading)) == 3


@pytest.mark.parametrize("place", [BRAIN, AIR])
def test_a_second_seed_without_lesion_adds_nothing(reading, place):
    before = volumes(reading)
    with pytest.raises(InputError, match=r"adds nothing to L1|lies outside the head"):
        add(reading, place, "include", "lesion_1")
    assert volumes(reading) == before and len(points(reading)) == 2


def test_an_exclude_click_beside_the_lesion_takes_nothing(reading):
    with pytest.raises(InputError, match="takes nothing from L1"):
        add(reading, BRAIN, "exclude", "lesion_1")
    assert len(points(reading)) == 2 and volumes(reading) == both()


def test_two_foci_of_one_lesion(reading):
    """A second include seed in another focus; undone, moved, moved into nothing, deleted, brought back."""
    focus = place_of(2)
    add(reading, focus, "include", "lesion_1")
    whole = {"L1": truth_ml(0) + truth_ml(2), "L2": truth_ml(1)}
    assert volumes(reading) == pytest.approx(whole, rel=0.1)
    reading.undo()
    assert volumes(reading) == both() and len(points(reading)) == 2
    add(reading, focus, "include", "lesion_1")
    before = volumes(reading)
    for nothing in (BRAIN, AIR):
        with pytest.raises(InputError):
            move(reading, 2, nothing)
        assert volumes(reading) == before
        assert points(reading)[2] == pytest.approx(tuple(focus))
    lesionId, _ = move(reading, 2, np.add(focus, (4.0, 0, 0)))
    assert lesionId == "lesion_1" and volumes(reading) == pytest.approx(whole, rel=0.1)
    reading.seeds.RemoveNthControlPoint(2)
    reading.sync()
    assert volumes(reading) == both()
    assert reading.undo() == "removal"
    assert volumes(reading) == pytest.approx(whole, rel=0.1) and len(points(reading)) == 3


def test_the_first_seed_of_two_may_go(reading):
    add(reading, place_of(2), "include", "lesion_1")
    reading.seeds.RemoveNthControlPoint(0)
    reading.sync()
    assert volumes(reading) == pytest.approx({"L1": truth_ml(2), "L2": truth_ml(1)}, rel=0.1)


def test_a_seed_moved_onto_another_lesion_divides_it(reading):
    lesionId, text = move(reading, 0, np.add(place_of(1), (0, 5.0, 0)))
    assert (lesionId, text) == ("lesion_1", "L1 was divided from L2: look at the border between them.")
    assert sum(volumes(reading).values()) == pytest.approx(truth_ml(1), rel=0.12)
    assert reading.undo() == "move"
    assert volumes(reading) == both()
    with pytest.raises(InputError, match="from the click of L2"):
        move(reading, 0, np.add(place_of(1), (0, 1.0, 0)))
    assert volumes(reading) == both() and points(reading)[0] == pytest.approx(tuple(place_of(0)))


def test_one_bad_point_of_several_does_not_take_the_others(scene):
    """Points pasted at once: each is a change of its own, and *Undo* takes back one after the other."""
    reading = reading_of(scene, addImage(scene, head(), "T1c", "TP1"))
    for place in (place_of(0), AIR, place_of(1)):
        reading.seedNode().AddControlPointWorld(*place)
    with pytest.raises(InputError, match="lies outside the head"):
        reading.sync()
    assert volumes(reading) == both() and len(points(reading)) == 2
    reading.undo()
    assert list(volumes(reading)) == ["L1"] and reading.waiting() == [] and len(points(reading)) == 1


@pytest.mark.parametrize("emptied", [False, True])
def test_a_segment_deleted_elsewhere_goes_with_its_click(reading, emptied):
    node = reading.segmentation()
    if emptied:
        corner, mask = reading.session.mask("lesion_1")
        lesionNodes.writeSegment(node, "lesion_1", "L1", 1, corner, mask & False, reading.place.geometry)
    else:
        node.GetSegmentation().RemoveSegment("lesion_1")
    assert reading.takeBack() == ["Deleted outside this panel: L1; Undo brings them back."]
    assert list(volumes(reading)) == ["L2"] and len(points(reading)) == 1
    reading.undo()
    assert volumes(reading) == both() and len(points(reading)) == 2
    assert reading.takeBack() == []


def test_a_removed_segmentation_comes_back_by_undo(scene, reading):
    scene.RemoveNode(reading.segmentation())
    assert reading.tableRows() == []
    assert reading.takeBack() == ["Deleted outside this panel: L1, L2; Undo brings them back."]
    assert volumes(reading) == {} and points(reading) == []
    reading.undo()
    assert volumes(reading) == both() and len(points(reading)) == 2


def test_a_name_given_elsewhere_is_taken_over(reading):
    segment = reading.segment("lesion_1")
    segment.SetName("Frontal")
    assert reading.takeBack() == ["L1 is called Frontal now."]
    assert volumes(reading) == pytest.approx({"Frontal": truth_ml(0), "L2": truth_ml(1)}, rel=0.1)
    assert reading.seeds.GetNthControlPointLabel(0) == "Frontal"
    segment.SetName("L2")
    assert reading.takeBack() == ["Frontal keeps its name: name 'L2' is taken by another lesion."]
    assert segment.GetName() == "Frontal"
    reading.undo()
    assert volumes(reading) == both() and segment.GetName() == "L1"


def test_removed_compartments_and_table_are_written_again(scene, reading):
    from BMVascularLib.studyNodes import firstOf

    for role in (lesionNodes.COMPARTMENT_ROLE, lesionNodes.TABLE):
        scene.RemoveNode(firstOf(scene, role, "TP1"))
    assert reading.takeBack() == []
    reading.publish()
    assert firstOf(scene, lesionNodes.TABLE, "TP1").GetNumberOfRows() == 2
    assert firstOf(scene, lesionNodes.COMPARTMENT_ROLE, "TP1") is not None


def test_clicks_moved_added_or_removed_elsewhere(reading):
    """While the panel is closed: the moved one moves its lesion, the removed one takes it, the new one waits."""
    reading.seeds.AddControlPointWorld(*place_of(2))
    reading.seeds.RemoveNthControlPoint(1)
    assert reading.takeBack() == ["L2 was removed with its click."]
    assert list(volumes(reading)) == ["L1"] and len(reading.waiting()) == 1
    reading.seeds.SetNthControlPointPositionWorld(0, *place_of(1))
    assert len(reading.takeBack()) == 1
    assert volumes(reading) == pytest.approx({"L1": truth_ml(1)}, rel=0.1)
    assert reading.takeBack() == []


@pytest.mark.parametrize("again", [False, True])
def test_a_removed_point_list_is_made_again(scene, reading, again):
    """With its links; a click that was already placed into a new list counts."""
    scene.RemoveNode(reading.seeds)
    if again:
        node = lesionNodes.seedNode(scene, "TP1", reading.t1c)
        node.AddControlPointWorld(*place_of(2))
    said = reading.takeBack(clicks=False)
    assert len(said) == 1 and "it is back" in said[0]
    assert volumes(reading) == both()
    reading.sync()
    assert len(volumes(reading)) == len(points(reading)) == (3 if again else 2)
    move(reading, points(reading).index(tuple(place_of(0))), np.add(place_of(0), (2.0, 0, 0)))
    assert volumes(reading)["L1"] == pytest.approx(truth_ml(0), rel=0.1)


def test_another_companion_keeps_lesions_and_undo(scene, reading):
    """A FLAIR chosen later: outlines are not read from voxels again, and *Undo* goes on."""
    before = volumes(reading)
    flair = addImage(scene, head("FLAIR"), "FLAIR", "TP1")
    later = LesionReading(scene, "TP1", {"T1c": reading.t1c, "FLAIR": flair})
    later.begin(earlier=reading)
    assert volumes(later) == before
    later.undo()
    assert list(volumes(later)) == ["L1"]


def test_a_change_of_a_drawn_outline_says_so(reading):
    node = reading.segmentation()
    corner, mask = reading.session.mask("lesion_1")
    half = mask.copy()
    half[: mask.shape[0] // 2] = False
    lesionNodes.writeSegment(node, "lesion_1", "L1", 1, corner, half, reading.place.geometry)
    assert reading.takeBack() == ["Taken over from the Segment Editor: L1."]
    drawn = volumes(reading)
    _, text = move(reading, 0, np.add(place_of(0), (2.0, 0, 0)))
    assert text.endswith("Undo brings back the outline drawn by hand.")
    reading.undo()
    assert volumes(reading) == drawn
