"""The same lesions at two time points: proposed by place, decided by the reader."""

from itertools import pairwise

from BMVascularCore.errors import InputError
from BMVascularCore.lesions import match_lesions
from BMVascularCore.planning.registration import register_rigid
from BMVascularCore.progress import share_of
from BMVascularLib import lesionNodes, studyNodes
from BMVascularLib.segments import labelsOfNode, segmentIds
from BMVascularLib.tables import rowsOfTable, setTable
from BMVascularLib.volumes import geometryOfNode, volumeOfNode

EARLIER = "BMVascular.EarlierTimePoint"
COLUMNS = (
    "identity", "earlier", "later", "status", "distance_mm", "overlap", "decision", "earlier_ids", "later_ids",
    "reasons",
)  # fmt: skip
PROPOSED, LOOK, CONFIRMED = "proposed", "look", "confirmed"


def pairsOf(scene):
    """Neighbouring time points that both have lesions, as (earlier, later)."""
    labels = [
        label
        for label in studyNodes.timepointsOf(scene)
        if _lesions(scene, label) is not None and studyNodes.firstOf(scene, "T1c", label) is not None
    ]
    return list(pairwise(labels))


def _lesions(scene, timepoint):
    node = studyNodes.firstOf(scene, lesionNodes.LESIONS, timepoint)
    return node if node is not None and segmentIds(node) else None


def matchTimepoints(scene, earlier, later, progress):
    """Register two time points, match their lesions and write the table of matches.

    Parameters
    ----------
    scene : vtkMRMLScene
    earlier, later : str
    progress : callable

    Returns
    -------
    str
        One sentence about the registration.

    Raises
    ------
    InputError
        A time point has no lesions or no T1c.
    """
    sides = [_side(scene, label) for label in (earlier, later)]
    found = register_rigid(
        volumeOfNode(sides[0]["t1c"]), volumeOfNode(sides[1]["t1c"]), progress=share_of(progress, 0.0, 0.9)
    )
    identities = _identities(sides[0])
    matches = match_lesions(sides[0]["labels"], sides[1]["labels"], found.transform, identities)
    progress(0.95, "matches")
    certain = found.verdict != "fail"
    rows = [_row(match, sides, certain) for match in matches]
    table = lesionNodes.tableNode(scene, lesionNodes.MATCHES, later, f"Matches {earlier} to {later}")
    table.SetAttribute(EARLIER, earlier)
    setTable(table, rows, COLUMNS)
    progress(1.0, "done")
    if certain:
        return f"{earlier} and {later} were registered: {found.verdict}."
    return f"Registration of {earlier} and {later} failed its checks: look at every match."


def _side(scene, timepoint):
    node, t1c = _lesions(scene, timepoint), studyNodes.firstOf(scene, "T1c", timepoint)
    if node is None or t1c is None:
        raise InputError("has no lesions or no T1c", timepoint, "Segment its lesions first.")
    labels, names = labelsOfNode(node, geometryOfNode(t1c))
    ids = dict(enumerate(segmentIds(node), start=1))
    segments = {n: node.GetSegmentation().GetSegment(i) for n, i in ids.items()}
    identities = {n: lesionNodes.tagOf(s, lesionNodes.IDENTITY) for n, s in segments.items()}
    return {"labels": labels, "names": names, "ids": ids, "identities": identities, "t1c": t1c}


def _identities(side):
    """Id of each earlier lesion: the one it has, else its name where no other lesion has that as id."""
    given = {n: identity for n, identity in side["identities"].items() if identity}
    for n, name in side["names"].items():
        if n not in given:
            given[n] = _freeIdentity(name, set(given.values()))
    return given


def _row(match, sides, certain):
    before, after = match.previous, match.current
    return {
        "identity": match.identity,
        "earlier": _joined(sides[0]["names"], before),
        "later": _joined(sides[1]["names"], after),
        "status": match.status,
        "distance_mm": match.distance_mm,
        "overlap": match.overlap,
        "decision": PROPOSED if certain and match.certain else LOOK,
        "earlier_ids": " ".join(sides[0]["ids"][n] for n in before),
        "later_ids": " ".join(sides[1]["ids"][n] for n in after),
        "reasons": "; ".join(match.reasons),
    }


def _joined(names, labels):
    return " + ".join(names[label] for label in labels)


def confirmed(rows, number):
    """The rows with one of them confirmed."""
    return [{**row, "decision": CONFIRMED} if n == number else row for n, row in enumerate(rows)]


def renamed(rows, names):
    """The rows with the names that the lesions of the later time point have now.

    Parameters
    ----------
    rows : list of dict
    names : dict
        Id to name at the later time point.
    """
    return [
        {**row, "later": " + ".join(names[i] for i in row["later_ids"].split() if i in names)} for row in rows
    ]


def changed(rows, number, laterId, names):
    """The rows with another lesion at the later time point (None: it vanished) in one of them.

    Parameters
    ----------
    rows : list of dict
    number : int
        Row with an earlier lesion.
    laterId : str or None
    names : dict
        Id to name of the lesions at the later time point.

    Returns
    -------
    list of dict
        Lesions of the later time point that lost their row get one as *new*.
    """
    released = set(rows[number]["later_ids"].split()) - {laterId}
    out = []
    for n, row in enumerate(rows):
        if n == number:
            out.append(_withLater(row, [laterId] if laterId else [], names, CONFIRMED))
        elif laterId in row["later_ids"].split():
            rest = [i for i in row["later_ids"].split() if i != laterId]
            if rest or row["earlier_ids"]:
                out.append(_withLater(row, rest, names, LOOK))
        else:
            out.append(row)
    taken = {row["identity"] for row in out}
    for lesionId in sorted(released):
        identity = _freeIdentity(names[lesionId], taken)
        taken.add(identity)
        empty = {**dict.fromkeys(COLUMNS, ""), "identity": identity}
        out.append(_withLater(empty, [lesionId], names, LOOK))
    return out


def _withLater(row, laterIds, names, decision):
    earlier = row["earlier_ids"].split()
    if not laterIds:
        status = "vanished"
    elif not earlier:
        status = "new"
    else:
        status = "merged" if len(earlier) > 1 else "split" if len(laterIds) > 1 else "matched"
    return {
        **row,
        "later": " + ".join(names[i] for i in laterIds),
        "later_ids": " ".join(laterIds),
        "status": status,
        "distance_mm": "",
        "overlap": "",
        "decision": decision,
        "reasons": "",
    }


def _freeIdentity(name, taken):
    number, free = 2, name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def readMatches(scene, later):
    """Rows of the matches up to a time point, none where there is no table."""
    table = studyNodes.firstOf(scene, lesionNodes.MATCHES, later)
    return [] if table is None else rowsOfTable(table)


def writeMatches(scene, earlier, later, rows):
    """Write the matches; lesions of confirmed rows get the id that stays."""
    table = lesionNodes.tableNode(scene, lesionNodes.MATCHES, later, f"Matches {earlier} to {later}")
    table.SetAttribute(EARLIER, earlier)
    setTable(table, rows, COLUMNS)
    for row in rows:
        identity = row["identity"] if row["decision"] == CONFIRMED else ""
        for timepoint, key in ((earlier, "earlier_ids"), (later, "later_ids")):
            node = studyNodes.firstOf(scene, lesionNodes.LESIONS, timepoint)
            for lesionId in row[key].split():
                segment = node.GetSegmentation().GetSegment(lesionId)
                if segment is not None and (identity or timepoint == later):
                    segment.SetTag(lesionNodes.IDENTITY, identity)
