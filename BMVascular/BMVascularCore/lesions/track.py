"""The same lesion across time points."""

import re
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from BMVascularCore.errors import InputError

REACH_MM = 8.0
# share of the smaller lesion inside the other one from which the two belong together
_OVERLAP = 0.3
# a shift that all lesions share is what the registration left over; more than this is no remainder
_MOST_SHIFT_MM = 6.0
STATUSES = ("matched", "new", "vanished", "not imaged", "merged", "split")


@dataclass
class Match:
    """What became of lesions between two time points.

    Attributes
    ----------
    identity : str
        The id that stays; a new lesion gets its own.
    previous, current : tuple of int
        Labels at each time point; several when lesions merged or one split.
    status : {"matched", "new", "vanished", "not imaged", "merged", "split"}
        ``not imaged``: its place lies outside the later image.
    distance_mm : float or None
        Between the centres.
    overlap : float or None
        Share of the smaller one inside the other.
    certain : bool
        False where a reader should look.
    reasons : list of str
        Why a reader should look.
    """

    identity: str
    previous: tuple
    current: tuple
    status: str
    distance_mm: float | None = None
    overlap: float | None = None
    certain: bool = True
    reasons: list = field(default_factory=list)

    def row(self):
        """The match as a table row."""
        return {
            "identity": self.identity,
            "previous_labels": " ".join(map(str, self.previous)),
            "current_labels": " ".join(map(str, self.current)),
            "status": self.status,
            "distance_mm": self.distance_mm,
            "overlap": self.overlap,
            "confidence": "high" if self.certain else "low",
            "reasons": "; ".join(self.reasons),
        }


@dataclass(frozen=True)
class _Cloud:
    """Points of a lesion (LPS mm, in the later frame), its centre and the radius of a ball of its volume."""

    points: np.ndarray
    centre: np.ndarray
    radius_mm: float

    def moved(self, shift_mm):
        return _Cloud(self.points + shift_mm, self.centre + shift_mm, self.radius_mm)


def match_lesions(
    previous,
    current,
    transform=None,
    identities=None,
    reach_mm=REACH_MM,
    confirmed=(),
    whole_images=True,
    taken=(),
):
    """Match lesions of two time points by place.

    Outlines that overlap belong together, whatever their sizes; where a lesion overlaps several, a
    weak overlap gives way if both lesions have a stronger one elsewhere. The rest is assigned one to
    one by the gap between the surfaces and the ratio of the sizes (Hungarian method). A shift that
    the matched lesions share (what the registration left over) is taken out first.

    Parameters
    ----------
    previous, current : Volume
        Label images; the grids may differ.
    transform : SimpleITK.Transform, optional
        Maps points of ``previous`` to points of ``current`` (LPS mm), from a rigid registration.
    identities : dict, optional
        Label of ``previous`` to the id given earlier; ``L<label>`` by default.
    reach_mm : float
        Unmatched lesions nearer than this to one another make a match uncertain; half of it is the
        largest gap that is bridged without overlap.
    confirmed : sequence of (tuple of int, tuple of int)
        Labels of ``previous`` and ``current`` that a reader found to be the same; either may be empty.
    whole_images : bool
        The grids cover all that was imaged: a lesion beyond them was not imaged, rather than vanished.
    taken : sequence of str
        Ids that new lesions must not get (of lesions that vanished earlier).

    Returns
    -------
    list of Match
        Ids of ``previous`` first, then new lesions.

    Raises
    ------
    InputError
        Confirmed labels that do not exist, or that are confirmed twice.
    """
    old = _clouds(previous, transform)
    new = _clouds(current, None)
    names = {n: (identities or {}).get(n, f"L{n}") for n in old}
    _check_confirmed(confirmed, old, new)
    held_old = {a for olds, _ in confirmed for a in olds}
    held_new = {b for _, news in confirmed for b in news}
    moved, overlap = _settled(old, current, new)
    found = _Matcher(moved, new, names, overlap, reach_mm)
    found.hold(confirmed)
    found.link({a for a in old if a not in held_old}, {b for b in new if b not in held_new})
    matches = found.matches(taken)
    if whole_images:
        _note_unseen(matches, moved, new, previous, current, transform)
    return matches


def _check_confirmed(confirmed, old, new):
    for side, known, words in ((0, old, "earlier"), (1, new, "later")):
        seen = [n for pair in confirmed for n in pair[side]]
        for label in seen:
            if label not in known:
                raise InputError(
                    f"names the label {label}, which is not there", f"{words} time point", "Mend it."
                )
            if seen.count(label) > 1:
                raise InputError(
                    f"names the lesion {label} more than once",
                    f"{words} time point",
                    "Confirm each lesion once.",
                )


def _clouds(volume, transform):
    clouds = {}
    for label, box in enumerate(ndimage.find_objects(volume.array), start=1):
        if box is None:
            continue
        index = np.argwhere(volume.array[box] == label) + [s.start for s in box]
        points = volume.geometry.points_of(index)
        if transform is not None:
            points = np.array([transform.TransformPoint(p) for p in points.tolist()])
        volume_mm3 = len(index) * volume.geometry.voxel_ml * 1000
        clouds[label] = _Cloud(points, points.mean(0), float((3 * volume_mm3 / (4 * np.pi)) ** (1 / 3)))
    return clouds


def _settled(old, current, new):
    """The earlier lesions without the shift that they share, and the overlaps that follow."""
    overlap = _overlaps(old, current, new)
    shifts = [
        new[b].centre - old[a].centre
        for (a, b), share in overlap.items()
        if share >= _OVERLAP and 0.7 < old[a].radius_mm / new[b].radius_mm < 1.4
    ]
    if len(shifts) < 3:
        return old, overlap
    shift = np.median(shifts, axis=0)
    if not 0.3 < np.linalg.norm(shift) <= _MOST_SHIFT_MM:
        return old, overlap
    moved = {label: cloud.moved(shift) for label, cloud in old.items()}
    return moved, _overlaps(moved, current, new)


def _overlaps(old, current, new):
    """Share of the smaller lesion of each pair that lies in the other one."""
    out = {}
    for name, cloud in old.items():
        index = np.rint(current.geometry.index_of(cloud.points)).astype(int)
        known = ((index >= 0) & (index < current.array.shape)).all(1)
        hit = current.array[tuple(index[known].T)]
        for label in np.unique(hit[hit > 0]).tolist():
            part = (hit == label).sum() / len(cloud.points) * cloud.radius_mm**3
            smaller = min(cloud.radius_mm, new[label].radius_mm) ** 3
            out[name, label] = float(min(1.0, part / smaller))
    return out


class _Matcher:
    """Links between the lesions of two time points, and the matches they make."""

    def __init__(self, old, new, names, overlap, reach_mm):
        self.old, self.new, self.names = old, new, names
        self.overlap, self.reach_mm = overlap, reach_mm
        self.gap_mm = {(a, b): self._gap(old[a], new[b]) for a in old for b in new}
        self.links, self.held, self.weak = set(), [], set()

    @staticmethod
    def _gap(one, two):
        """Distance of the centres less both radii: the gap between two balls."""
        return float(np.linalg.norm(one.centre - two.centre) - one.radius_mm - two.radius_mm)

    def hold(self, confirmed):
        """Take over what a reader confirmed."""
        self.held = [(tuple(olds), tuple(news)) for olds, news in confirmed]

    def link(self, old, new):
        """Link overlapping lesions, and the best one-to-one pairs of what is left."""
        self.free = set(old), set(new)
        shares = {p: s for p, s in self.overlap.items() if s >= _OVERLAP and p[0] in old and p[1] in new}
        best_old = {a: max(s for (x, _), s in shares.items() if x == a) for a, _ in shares}
        best_new = {b: max(s for (_, y), s in shares.items() if y == b) for _, b in shares}
        for (a, b), share in shares.items():
            # neighbours that a small error of registration lets overlap
            lesser = share < best_old[a] and share < best_new[b]
            (self.weak if lesser else self.links).add((a, b))
        rest_old = sorted(old - {a for a, _ in self.links})
        rest_new = sorted(new - {b for _, b in self.links})
        if rest_old and rest_new:
            cost = np.array([[self._cost(a, b) for b in rest_new] for a in rest_old])
            for i, j in zip(*linear_sum_assignment(cost), strict=True):
                if self.gap_mm[rest_old[i], rest_new[j]] <= self.reach_mm / 2:
                    self.links.add((rest_old[i], rest_new[j]))

    def _cost(self, a, b):
        apart = np.linalg.norm(self.old[a].centre - self.new[b].centre)
        sizes = abs(np.log(self.old[a].radius_mm / self.new[b].radius_mm))
        return max(self.gap_mm[a, b], 0.0) + 1e-3 * apart + 1.5 * sizes

    def matches(self, taken):
        """All matches; those of the earlier lesions first."""
        out, done_old, done_new = [], set(), set()
        for start in self.old:
            if start in done_old:
                continue
            held = next((pair for pair in self.held if start in pair[0]), None)
            group_old, group_new = map(set, held) if held else self._group(start)
            done_old |= group_old
            done_new |= group_new
            out.append(self._one(sorted(group_old), sorted(group_new), held is not None))
        used = {*self.names.values(), *taken}
        sure = {b for olds, news in self.held if not olds for b in news}
        for label in self.new:
            if label not in done_new:
                identity = _free_identity(used)
                used.add(identity)
                reasons = [] if label in sure else self._doubts_of_new(label)
                out.append(
                    Match(
                        identity, (), (label,), "new", certain=label in sure or not reasons, reasons=reasons
                    )
                )
        return out

    def _group(self, start):
        group_old, group_new = {start}, set()
        while True:
            more_new = {b for a, b in self.links if a in group_old}
            more_old = {a for a, b in self.links if b in more_new} | group_old
            if more_new == group_new and more_old == group_old:
                return group_old, group_new
            group_old, group_new = more_old, more_new

    def _one(self, olds, news, held):
        """The match of one connected group; it keeps the id of its largest previous lesion."""
        keeper = max(olds, key=lambda a: self.old[a].radius_mm)
        if not news:
            doubts = [] if held else self._doubts_of_vanished(keeper)
            return Match(self.names[keeper], tuple(olds), (), "vanished", certain=not doubts, reasons=doubts)
        best = max(news, key=lambda b: self.new[b].radius_mm)
        status = "merged" if len(olds) > 1 else "split" if len(news) > 1 else "matched"
        distance = float(np.linalg.norm(self.old[keeper].centre - self.new[best].centre))
        doubts = [] if held else self._doubts(keeper, best, status)
        return Match(
            self.names[keeper],
            tuple(olds),
            tuple(news),
            status,
            distance,
            self.overlap.get((keeper, best)),
            not doubts,
            doubts,
        )

    def _doubts(self, a, b, status):
        doubts = []
        if status == "merged":
            doubts.append("several lesions lie in one: merged, or one of them vanished")
        elif status == "split":
            doubts.append("one lesion covers several: split, or a new one beside it")
        elif self.overlap.get((a, b), 0.0) < _OVERLAP:
            doubts.append(f"the outlines hardly overlap; {max(self.gap_mm[a, b], 0.0):.1f} mm between them")
        if any(a == x or b == y for x, y in self.weak):
            doubts.append("overlaps a neighbour, too")
        return doubts

    def _unlinked(self):
        return (
            self.free[0] - {a for a, _ in self.links},
            self.free[1] - {b for _, b in self.links},
        )

    def _doubts_of_vanished(self, a):
        near = [b for b in self._unlinked()[1] if self.gap_mm[a, b] <= self.reach_mm]
        doubts = ["a lesion without a match lies near: it may be this one"] if near else []
        if any(x == a and share > 0.05 for (x, _), share in self.overlap.items()):
            doubts.append("another lesion reaches into its place")
        return doubts

    def _doubts_of_new(self, b):
        near = [a for a in self._unlinked()[0] if self.gap_mm[a, b] <= self.reach_mm]
        doubts = ["a lesion without a match lay near: it may be this one"] if near else []
        if any(y == b and share > 0.05 for (_, y), share in self.overlap.items()):
            doubts.append("lies in the place of another lesion: perhaps a part of it")
        return doubts


def _free_identity(used):
    """The next free id in the manner of the others: M8 after M1 to M7, else L and a number."""
    parts = [re.fullmatch(r"([A-Za-z]+)(\d+)", name) for name in used]
    prefixes = {part[1] for part in parts if part}
    prefix = prefixes.pop() if len(prefixes) == 1 else "L"
    number = 1 + max((int(part[2]) for part in parts if part and part[1] == prefix), default=len(used))
    while f"{prefix}{number}" in used:
        number += 1
    return f"{prefix}{number}"


def _note_unseen(matches, moved, new, previous, current, transform):
    """A lesion beyond the other time point's image was not imaged there."""
    back = None if transform is None else transform.GetInverse()
    for match in matches:
        if match.status == "vanished":
            seen = np.mean([_share_inside(current, moved[a].points) for a in match.previous])
            if seen < 0.5:
                match.status, match.certain = "not imaged", False
                match.reasons = ["its place lies outside the later image"]
        elif match.status == "new":
            points = new[match.current[0]].points
            if back is not None:
                points = np.array([back.TransformPoint(p) for p in points.tolist()])
            if _share_inside(previous, points) < 0.5:
                match.certain = False
                match.reasons.append("its place lay outside the earlier image")


def _share_inside(volume, points):
    index = np.rint(volume.geometry.index_of(points))
    return float(((index >= 0) & (index < volume.array.shape)).all(1).mean())
