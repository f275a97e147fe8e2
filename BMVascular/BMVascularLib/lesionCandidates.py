"""Candidates in the scene: a table of places to look at, never lesions."""

from BMVascularCore.lesions import find_candidates
from BMVascularLib import lesionNodes, studyNodes
from BMVascularLib.tables import rowsOfTable, setTable

COLUMNS = ("score", "radius_mm", "r_mm", "a_mm", "s_mm")


def findCandidates(scene, reading, progress):
    """Search the images of a reading and write the table of candidates; returns its rows."""
    rows = []
    for found in find_candidates(reading.session.ready, progress=progress):
        r, a, s = reading.place.worldOfLps(found.point_lps_mm)
        rows.append({"score": found.score, "radius_mm": found.radius_mm, "r_mm": r, "a_mm": a, "s_mm": s})
    name = f"{reading.timepoint} candidates"
    setTable(lesionNodes.tableNode(scene, lesionNodes.CANDIDATES, reading.timepoint, name), rows, COLUMNS)
    return rows


def readCandidates(scene, timepoint):
    """Rows of the table of candidates of a time point."""
    table = studyNodes.firstOf(scene, lesionNodes.CANDIDATES, timepoint)
    return [] if table is None else rowsOfTable(table)


def placeOf(row):
    """Place of a candidate, RAS mm."""
    return tuple(float(row[key]) for key in ("r_mm", "a_mm", "s_mm"))
