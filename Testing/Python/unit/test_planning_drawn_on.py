"""A structure set of another CT with the same frame of reference is told by its references and its geometry."""

import numpy as np
import planning_cases
import pytest
from pydicom.uid import generate_uid

from BMVascularCore.io.dicom_files import save_dicom
from BMVascularCore.planning.contours import trace_mask
from BMVascularCore.planning.ct_series import check_planning_series
from BMVascularCore.planning.drawn_on import other_scan_sentence
from BMVascularCore.planning.rtstruct import Roi, build_rtstruct
from BMVascularCore.planning.structures import StructureSet, read_structures

HEIGHTS = np.arange(48) * 1.0 - 24.0
BEGIN = "The structure set {} drawn on another scan of this frame of reference: "


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The planning series, and a structure set with a ball of 8 mm on it, read from its file."""
    series = check_planning_series(planning_cases.image_headers(HEIGHTS))
    grid = series.geometry
    away = np.linalg.norm(grid.points_of(np.stack(np.indices(grid.shape), -1)), axis=-1)
    contours = trace_mask(away <= 8.0, grid, grid, None, "Ball")
    path = tmp_path_factory.mktemp("drawn") / "set.dcm"
    save_dicom(path, build_rtstruct(series, [Roi("Ball", "ORGAN", contours)]))
    return series, read_structures(path)


def sentence(drawn, heights=HEIGHTS, uid=None, **changes):
    """What is said when the set meets a CT with other slices."""
    ct = check_planning_series(planning_cases.image_headers(heights, **changes))
    return other_scan_sentence(drawn[1], ct.geometry, uid if uid is not None else "")


def test_its_own_series_says_nothing(drawn):
    series, found = drawn
    uid = str(series.first.SeriesInstanceUID)
    assert found.series_uids == (uid,)
    assert sentence(drawn, uid=uid) == sentence(drawn) == ""
    # finer slices of the same planes hold the contours, too
    assert sentence(drawn, np.arange(96) * 0.5 - 24.0) == ""


def test_another_series_is_told_by_its_number_alone(drawn):
    text = sentence(drawn, uid=generate_uid())
    assert text == (
        BEGIN.format("was") + "it refers to the images of another series. See whether it fits before use."
    )


def test_contours_between_slices_and_outside(drawn):
    between = sentence(drawn, HEIGHTS + 0.5)
    count = len(drawn[1].structures[0].contours)
    assert between.startswith(BEGIN.format("may have been"))
    assert f"{count} of {count} contours lie between the slices" in between
    # the lowest slice at 0 mm: what lies more than half a slice below is outside
    low = sum(points[0, 2] < -0.5 for points in drawn[1].structures[0].contours)
    assert f"{low} of {count} contours reach beyond this CT" in sentence(drawn, HEIGHTS + 24.0)


def test_rounded_positions_are_no_other_scan(drawn):
    assert sentence(drawn, HEIGHTS + 0.1) == ""


def test_masks_are_not_judged(drawn):
    assert other_scan_sentence(StructureSet([]), drawn[0].geometry, generate_uid()) == ""
