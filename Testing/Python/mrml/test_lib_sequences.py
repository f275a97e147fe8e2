"""Time series: index in seconds, the traps of imported sequences, no source paths."""

import numpy as np
import pytest
from lib_results import grid

from BMVascularCore.errors import InputError
from BMVascularCore.volume import Series
from BMVascularLib.sequences import FILE_LIST, addCurveChart, addSeries, headerTimes, retime, seriesOfNode
from BMVascularLib.volumes import geometryOfNode

GRID = grid((3, 3, 5), (30, 36, 20), (8, -5, 12), (4, 5, 6), (1, -1, 1))
TIMES = np.array([0.0, 1.5, 3.25, 5.0, 60.125])


def series():
    frames = np.arange(5)[:, None, None, None] * 100 + np.random.default_rng(0).random((1, *GRID.shape))
    return Series(frames.astype(np.float32), TIMES, GRID, "DSC")


def imported(scene, labels="0,1500,3250,5000,60125", tag="TriggerTime", units="ms"):
    """A sequence as Slicer's DICOM import leaves it: frame numbers as index, times in attributes."""
    sequence, _, _ = addSeries(scene, series())
    for n, value in enumerate([sequence.GetNthIndexValue(n) for n in range(5)]):
        sequence.UpdateIndexValue(value, str(1000 + n))
    for n in range(5):
        sequence.UpdateIndexValue(str(1000 + n), str(n))
    sequence.SetIndexName("")
    sequence.SetIndexUnit("")
    sequence.SetAttribute("MultiVolume.FrameLabels", labels)
    sequence.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagName", tag)
    sequence.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagUnits", units)
    sequence.SetAttribute(FILE_LIST, "/data/DOE_JOHN/1.dcm,/data/DOE_JOHN/2.dcm")
    return sequence


def test_round_trip(scene):
    sequence, browser, proxy = addSeries(scene, series())
    assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("time", "s")
    assert [float(sequence.GetNthIndexValue(n)) for n in range(5)] == TIMES.tolist()
    back = seriesOfNode(sequence)
    np.testing.assert_array_equal(back.array, series().array)
    np.testing.assert_allclose(back.times_s, TIMES)
    assert back.geometry.matches(GRID, 1e-6)
    assert browser.GetProxyNode(sequence) is proxy
    assert proxy.GetName() == "DSC"


def test_the_browser_shows_the_chosen_frame(scene, world):
    _, browser, proxy = addSeries(scene, series())
    for frame in (3, 1):
        browser.SetSelectedItemNumber(frame)
        world.logics["sequences"].UpdateProxyNodesFromSequences(browser)
        assert proxy.GetImageData().GetScalarRange()[0] == pytest.approx(series().array[frame].min())


def test_frame_numbers_are_not_times(scene):
    sequence = imported(scene, labels="", tag="TemporalPositionIdentifier", units="count")
    assert headerTimes(sequence) is None
    with pytest.raises(InputError, match="no frame times"):
        seriesOfNode(sequence)
    np.testing.assert_allclose(seriesOfNode(sequence, dt_s=2.0).times_s, np.arange(5) * 2.0)


@pytest.mark.parametrize(
    ("labels", "tag", "units"),
    [
        ("0,1500,3250,5000,60125", "TriggerTime", "ms"),
        ("0,1.5,3.25,5,60.125", "AcquisitionTime", "s"),
        ("1000,2500,4250,6000,61125", "ContentTime", "ms"),
    ],
)
def test_frame_labels_give_seconds(scene, labels, tag, units):
    np.testing.assert_allclose(seriesOfNode(imported(scene, labels, tag, units)).times_s, TIMES)


@pytest.mark.parametrize("tag", ["EchoTime", "RepetitionTime", "TemporalPositionIdentifier", "FlipAngle"])
def test_labels_of_other_tags_are_not_times(scene, tag):
    assert headerTimes(imported(scene, tag=tag)) is None


def test_a_wrong_number_of_labels_is_not_used(scene):
    assert headerTimes(imported(scene, labels="0,1500,3250,5000,60125,0,1500,3250,5000,60125")) is None


def test_retime_sets_seconds_and_removes_source_paths(scene):
    sequence = imported(scene)
    source, warnings = retime(sequence)
    assert "TriggerTime" in source
    assert any("uneven" in text for text in warnings)
    assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("time", "s")
    assert [float(sequence.GetNthIndexValue(n)) for n in range(5)] == TIMES.tolist()
    assert sequence.GetAttribute(FILE_LIST) is None
    np.testing.assert_array_equal(seriesOfNode(sequence).array, series().array)


def test_retime_where_new_times_meet_old_frame_numbers(scene):
    sequence = imported(scene)
    retime(sequence, times_s=[0, 2, 3, 4, 5])
    np.testing.assert_array_equal(seriesOfNode(sequence).array, series().array)
    np.testing.assert_allclose(seriesOfNode(sequence).times_s, [0, 2, 3, 4, 5])


def test_retime_refuses_impossible_times_and_changes_nothing(scene):
    sequence = imported(scene, labels="0,1500,1500,5000,60125")
    with pytest.raises(InputError, match="do not increase"):
        retime(sequence)
    assert sequence.GetIndexUnit() == ""
    assert [sequence.GetNthIndexValue(n) for n in range(5)] == ["0", "1", "2", "3", "4"]


def test_the_clock_passing_midnight_is_mended(scene):
    labels = ",".join(str(ms) for ms in (86398000, 86399500, 1250, 3000, 58125))
    np.testing.assert_allclose(seriesOfNode(imported(scene, labels, "AcquisitionTime")).times_s, TIMES)


def test_the_proxy_places_the_series(scene):
    from lib_results import perfusion_transform

    from BMVascularLib.transforms import addTransform, placeBelow

    sequence, _, proxy = addSeries(scene, series())
    placeBelow(proxy, addTransform(scene, perfusion_transform(0), "t"))
    assert seriesOfNode(sequence, proxy=proxy).geometry.matches(geometryOfNode(proxy), 1e-9)
    assert not seriesOfNode(sequence, proxy=proxy).geometry.matches(GRID, 1.0)


def test_curve_chart(scene):
    chart = addCurveChart(scene, TIMES, {"artery": TIMES * 2, "tissue": TIMES}, "Curves", "signal")
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    curve = chart.GetNthPlotSeriesNode(0)
    table = curve.GetTableNode().GetTable()
    assert table.GetColumnByName(curve.GetYColumnName()).GetValue(2) == 6.5
    assert table.GetColumnByName(curve.GetXColumnName()).GetValue(4) == 60.125
