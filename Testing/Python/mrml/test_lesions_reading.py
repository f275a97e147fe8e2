"""A reading without the panel: transforms above the images, overlapping lesions, wrong images."""

import numpy as np
import pytest
from lesion_balls import SHAPE, head, place_of, reading_of, truth_ml

from BMVascularCore.errors import InputError
from BMVascularCore.volume import Geometry, Volume, ras_lps

slicer = pytest.importorskip("slicer")

from BMVascularLib import lesionNodes, lesionTracking  # noqa: E402
from BMVascularLib.segments import centersRas, labelsOfNode  # noqa: E402
from BMVascularLib.studyNodes import addImage, firstOf  # noqa: E402
from BMVascularLib.volumes import geometryOfNode, vtkMatrix  # noqa: E402


def test_lesions_follow_the_transform_above_the_image(scene):
    """Clicks and outlines live in the world, the voxels where the image is."""
    node = addImage(scene, head(), "T1c", "TP1")
    matrix = np.eye(4)
    angle = np.deg2rad(25)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = (12.0, -7.0, 30.0)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    transform.SetMatrixTransformToParent(vtkMatrix(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    reading = reading_of(scene, node)
    world = matrix[:3, :3] @ place_of(0) + matrix[:3, 3]
    reading.seedNode().AddControlPointWorld(*world)
    lesionId, _ = reading.sync()
    assert reading.session.volume_ml(lesionId) == pytest.approx(truth_ml(0), rel=0.12)
    assert reading.centre(lesionId) == pytest.approx(world, abs=2.0)
    labels, _ = labelsOfNode(reading.segmentation(), geometryOfNode(node))
    assert centersRas(labels)[1] == pytest.approx(world, abs=0.7)


def test_a_new_click_in_a_lesion_divides_it(scene):
    node = addImage(scene, head(), "T1c", "TP1")
    reading = reading_of(scene, node)
    reading.seedNode().AddControlPointWorld(*place_of(1))
    first, _ = reading.sync()
    whole = reading.session.volume_ml(first)
    reading.seedNode().AddControlPointWorld(*place_of(2))
    second, text = reading.sync()
    parts = [reading.session.volume_ml(key) for key in (first, second)]
    assert sum(parts) == pytest.approx(max(whole, sum(parts)), rel=0.1)
    for part, ball in zip(parts, (1, 2), strict=True):
        assert part == pytest.approx(truth_ml(ball), rel=0.15), text
    reading.settle()
    reading.undo()
    assert reading.session.volume_ml(first) == pytest.approx(whole, rel=1e-6)


def test_settling_at_once_equals_the_command_line(scene):
    """Measures after all clicks together are those of segment_lesions."""
    from BMVascularCore.lesions import Seed, segment_lesions

    node = addImage(scene, head(), "T1c", "TP1")
    reading = reading_of(scene, node)
    for ball in (0, 1):
        reading.seedNode().AddControlPointWorld(*place_of(ball))
    reading.sync()
    reading.settle(everything=True)
    seeds = [Seed(f"L{n + 1}", tuple(ras_lps(place_of(n)).tolist())) for n in (0, 1)]
    expected = segment_lesions(head(), seeds)
    assert np.array_equal(expected.labels.array, reading.session.labels.array)
    rows = reading.tableRows()
    for row, other in zip(rows, expected.rows, strict=True):
        for key in ("volume_ml", "longest_diameter_mm", "sphericity", "notes"):
            assert row[key] == other[key]


@pytest.mark.parametrize(
    ("image", "text"),
    [(None, "no T1c is selected"), ("empty", "holds no image"), ("thin", "fewer than three slices")],
)
def test_wrong_images_are_one_sentence(scene, image, text):
    node = None
    if image == "empty":
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T1c")
    elif image == "thin":
        whole = head()
        thin = Volume(whole.array[:2], Geometry((2, *SHAPE[1:]), (2.0, 2.0, 2.0)), "T1c")
        node = addImage(scene, thin, "T1c", "TP1")
    before = scene.GetNumberOfNodes()
    with pytest.raises(InputError, match=text):
        reading_of(scene, node)
    assert scene.GetNumberOfNodes() == before


def test_a_restored_reading_keeps_what_was_measured(scene):
    node = addImage(scene, head(), "T1c", "TP1")
    reading = reading_of(scene, node)
    reading.seedNode().AddControlPointWorld(*place_of(0))
    reading.sync()
    reading.settle()
    again = reading_of(scene, node)
    assert again.session.stale == set()
    assert float(again.tableRows()[0]["volume_ml"]) == reading.tableRows()[0]["volume_ml"]
    assert firstOf(scene, lesionNodes.TABLE, "TP1").GetNumberOfRows() == 1


def rows_of_matches():
    empty = dict.fromkeys(lesionTracking.COLUMNS, "")
    return [
        {**empty, "identity": "A", "earlier": "A", "earlier_ids": "a", "later": "X", "later_ids": "x"},
        {**empty, "identity": "B", "earlier": "B", "earlier_ids": "b", "status": "vanished"},
        {**empty, "identity": "L3", "later": "Y", "later_ids": "y", "status": "new"},
    ]


def test_changing_a_match_moves_lesions_between_rows():
    names = {"x": "X", "y": "Y"}
    rows = lesionTracking.changed(rows_of_matches(), 1, "y", names)
    assert [(r["identity"], r["later"], r["status"]) for r in rows] == [("A", "X", ""), ("B", "Y", "matched")]
    rows = lesionTracking.changed(rows, 1, "x", names)
    assert [(r["identity"], r["later"], r["status"]) for r in rows] == [
        ("A", "", "vanished"),
        ("B", "X", "matched"),
        ("Y", "Y", "new"),
    ]
    assert [r["decision"] for r in rows] == ["look", "confirmed", "look"]
