"""The stand-in answers as Slicer was seen to answer."""

from pathlib import Path

import observed
import pytest

TABLE = Path(__file__).with_name("observed.md")

ON_PURPOSE = {
    "connect unknown signal": "in Slicer False and silent: the stand-in raises, so that a test sees it",
    "qt.QRegExp": "gone with Qt 6: the product may not use it",
    "pn observer": "the number of an observer depends on those before it",
}


def differences(slicer, text):
    slicer.app.layoutManager().setLayout(0)
    names = observed.environment(slicer)
    found = {}
    for row in observed.rows(text):
        different = observed.difference(row, names)
        if different and row[0] not in ON_PURPOSE:
            found[row[0]] = different
    return found


def test_the_kept_table(running):
    running.clear()
    text = TABLE.read_text(encoding="utf-8")
    assert len(observed.rows(text)) > 90
    assert differences(running.slicer, text) == {}
    assert [type(e).__name__ for e in running.errors()] == ["ZeroDivisionError"]


def test_the_whole_record(running, shared):
    file = shared / "slicer_api" / "behaviours.md"
    if not file.is_file():
        pytest.skip("the record of behaviours is absent")
    running.clear()
    assert differences(running.slicer, file.read_text(encoding="utf-8")) == {}
    running.errors()


def test_an_unknown_signal_raises(host):
    import qt

    with pytest.raises(AttributeError, match=r"QPushButton has no signal 'nosuch\(int\)'"):
        qt.QPushButton("b").connect("nosuch(int)", print)


def test_a_wrong_answer_is_found(running):
    row = ("what", "1 + 1", "int", "3")
    assert observed.difference(row, {}) == "2 instead of 3"
