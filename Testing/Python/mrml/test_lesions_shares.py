"""From a click to a target: the sub-voxel boundary goes with the segment, until somebody redraws it."""

import numpy as np
import pytest
from lesion_balls import reading_of
from lesion_heads import Shape, grid, lesion_fraction, make_head

from BMVascularCore.lesions import Seed, segment_lesions
from BMVascularCore.lesions.shares import share_image
from BMVascularCore.planning.targets import make_targets
from BMVascularCore.volume import ras_lps

slicer = pytest.importorskip("slicer")

from BMVascularLib import lesionNodes  # noqa: E402
from BMVascularLib.lesionShares import TAG, readShares, writeShares  # noqa: E402
from BMVascularLib.planningTargets import makeAll, rows, setMargins  # noqa: E402
from BMVascularLib.studyNodes import addImage  # noqa: E402
from BMVascularLib.volumes import vtkMatrix  # noqa: E402

# 5 mm lesions whose middles lie differently to the voxels of 1 mm, LPS mm
RADIUS_MM, PTV_MM = 2.5, 1.0
PLACES = ((-30, -20, 14), (29.5, 18.5, 10.5), (-26.2, 22.3, 12.7), (24.8, -30.4, 20.1))


def ball_ml(radius_mm):
    return 4.0 / 3.0 * np.pi * radius_mm**3 / 1000.0


@pytest.fixture(scope="module")
def head():
    return make_head(
        [Shape(place, (RADIUS_MM,) * 3) for place in PLACES], grid((120, 150, 130), (1, 1, 1)), seed=4
    ).t1c


@pytest.fixture
def clicked(scene, head):
    """A reading with a click in each lesion, and its T1c node."""
    node = addImage(scene, head, "T1c", "TP1")
    reading = reading_of(scene, node)
    for place in PLACES:
        reading.seedNode().AddControlPointWorld(*ras_lps(place))
    reading.sync()
    reading.settle()
    return reading, node


def test_targets_of_small_lesions_are_those_of_the_command_line(scene, head, clicked):
    reading, node = clicked
    made = rows(makeAll(scene, reading.segmentation(), node, 0.0, PTV_MM))
    found = segment_lesions(head, [Seed(f"L{n}", place) for n, place in enumerate(PLACES, 1)])
    names = {row["label"]: row["name"] for row in found.rows}
    command = make_targets(found.labels, names, 0.0, PTV_MM, shares=share_image(found)).rows()
    for mine, other in zip(made, command, strict=True):
        assert mine["gtv_ml"] == pytest.approx(other["gtv_ml"], rel=0.005)
        assert mine["ptv_ml"] == pytest.approx(other["ptv_ml"], rel=0.01)
        assert mine["gtv_ml"] == pytest.approx(
            reading.session.volume_ml(f"lesion_{mine['number']}"), rel=0.005
        )
        # the margin itself: a ball of the GTV's volume, redrawn by it
        radius_mm = mine["diameter_mm"] / 2.0
        assert mine["ptv_ml"] == pytest.approx(ball_ml(radius_mm + PTV_MM), rel=0.03)
    # another margin of one lesion keeps to the shares
    again = setMargins(
        scene, scene.GetFirstNodeByName("TP1 targets"), reading.segmentation(), node, "L2", 0.0, 2.0
    )
    assert again.ml["GTV"] == pytest.approx(made[1]["gtv_ml"], rel=1e-6)


def test_targets_of_small_balls_have_their_volume(scene, head):
    """Exact shares of 5 mm balls, by a segment of whole voxels that is off by up to a tenth and more."""
    node = addImage(scene, head, "T1c", "TP1")
    lesions, geometry = lesionNodes.lesionNode(scene, "TP1", node), head.geometry
    whole_ml = []
    for number, place in enumerate(PLACES, 1):
        shares = lesion_fraction(Shape(place, (RADIUS_MM,) * 3), geometry, factor=8)
        low, high = np.argwhere(shares > 0).min(0), np.argwhere(shares > 0).max(0) + 1
        shares = shares[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        mask = shares >= 0.5
        segment = lesionNodes.writeSegment(lesions, f"s{number}", f"M{number}", number, low, mask, geometry)
        writeShares(segment, low, mask, shares, geometry)
        whole_ml.append(mask.sum() * geometry.voxel_ml)
    made = rows(makeAll(scene, lesions, node, 0.0, PTV_MM))
    assert np.abs(np.array(whole_ml) / ball_ml(RADIUS_MM) - 1.0).max() > 0.06
    assert [row["gtv_ml"] for row in made] == pytest.approx([ball_ml(RADIUS_MM)] * 4, rel=0.01)
    assert [row["ptv_ml"] for row in made] == pytest.approx([ball_ml(RADIUS_MM + PTV_MM)] * 4, rel=0.06)


def test_shares_follow_the_transform_above_the_lesions(scene, clicked):
    reading = clicked[0]
    before = readShares(reading.segmentation(), "lesion_1")[1]
    moved = np.eye(4)
    moved[:3, 3] = (7.0, -3.0, 11.0)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    transform.SetMatrixTransformToParent(vtkMatrix(moved))
    reading.segmentation().SetAndObserveTransformNodeID(transform.GetID())
    after = readShares(reading.segmentation(), "lesion_1")[1]
    # RAS to LPS turns the first two
    shift = np.subtract(after.geometry.origin_mm, before.geometry.origin_mm)
    assert shift == pytest.approx((-7.0, 3.0, 11.0), abs=1e-6)
    assert np.array_equal(before.array, after.array)


@pytest.mark.parametrize("painted", [True, False])
def test_a_redrawn_segment_has_no_shares(scene, clicked, painted):
    """One voxel painted, or erased."""
    reading, node = clicked
    segmentation = reading.segmentation()
    corner, mask = reading.session.mask("lesion_1")
    redrawn = mask.copy()
    redrawn[tuple(np.argwhere(mask != painted)[0])] = painted
    lesionNodes.writeSegment(segmentation, "lesion_1", "L1", 1, corner, redrawn, reading.place.geometry)
    assert readShares(segmentation, "lesion_1") is None
    assert readShares(segmentation, "lesion_2") is not None
    whole_ml = redrawn.sum() * reading.place.geometry.voxel_ml
    made = rows(makeAll(scene, segmentation, node, 0.0, 1.0))
    assert made[0]["gtv_ml"] == pytest.approx(whole_ml, rel=0.02)
    # taken over as drawn, it stays without
    reading.takeBack()
    assert readShares(segmentation, "lesion_1") is None
    reading.undo()
    assert readShares(segmentation, "lesion_1") is not None


@pytest.mark.parametrize("text", ["", "x", "AAAA.AAAA"])
def test_a_damaged_tag_does_not_count(clicked, text):
    segmentation = clicked[0].segmentation()
    segmentation.GetSegmentation().GetSegment("lesion_1").SetTag(TAG, text)
    assert readShares(segmentation, "lesion_1") is None


def test_a_restored_reading_measures_below_the_voxel(scene, clicked):
    """After loading, too: a lesion that is measured again keeps its volume."""
    reading, node = clicked
    before = {row["name"]: row["volume_ml"] for row in reading.tableRows()}
    reading.tidy()
    again = reading_of(scene, node)
    again.settle(everything=True)
    assert {row["name"]: row["volume_ml"] for row in again.tableRows()} == pytest.approx(before, rel=0.005)
