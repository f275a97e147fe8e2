"""The same lesion across time points."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

REACH_MM = 8.0


@dataclass
class Match:
    """What became of lesions between two time points.

    Attributes
    ----------
    identity : str
        The id that stays; a new lesion gets its own.
    previous, current : tuple of int
        Labels at each time point; several when lesions merged or one split.
    status : {"matched", "new", "vanished", "merged", "split"}
    distance_mm : float or None
        Between the centres.
    overlap : float or None
        Share of the smaller one inside the other.
    certain : bool
        False where a reader should look.
    """

    identity: str
    previous: tuple
    current: tuple
    status: str
    distance_mm: float | None = None
    overlap: float | None = None
    certain: bool = True

    def row(self):
        """The match as a table row."""
        return {
            "identity": self.identity,
            "previous_labels": " ".join(map(str, self.previous)),
            "current_labels": " ".join(map(str, self.current)),
            "status": self.status,
            "distance_mm": self.distance_mm,
            "overlap": self.overlap,
            "certain": self.certain,
        }


def match_lesions(previous, current, transform=None, identities=None, reach_mm=REACH_MM):
    """Match lesions of two time points by place.

    Parameters
    ----------
    previous, current : Volume
        Label images; the grids may differ.
    transform : SimpleITK.Transform, optional
        Maps points of ``previous`` to points of ``current`` (LPS mm), from a rigid registration.
    identities : dict, optional
        Label of ``previous`` to the id given earlier; ``L<label>`` by default.
    reach_mm : float
        Largest gap between the surfaces of a lesion's two outlines without overlap.

    Returns
    -------
    list of Match
        Ids of ``previous`` first, then new lesions.
    """
    old = {n: _cloud(previous, n, transform) for n in _labels(previous)}
    new = {n: _cloud(current, n, None) for n in _labels(current)}
    names = {n: (identities or {}).get(n, f"L{n}") for n in old}
    overlap = _overlaps(old, current, list(new))
    gap = {(a, b): _gap_mm(old[a], new[b]) for a in old for b in new}
    links = _links(old, new, overlap, gap, reach_mm)
    return _matches(old, new, names, links, overlap)


def _labels(volume):
    return [int(n) for n in np.unique(volume.array) if n > 0]


def _cloud(volume, label, transform):
    """Points (LPS mm, in the current frame), the centre and the radius of a lesion."""
    index = np.argwhere(volume.array == label)
    points = volume.geometry.points_of(index)
    if transform is not None:
        points = np.array([transform.TransformPoint(p) for p in points.tolist()])
    volume_mm3 = len(index) * volume.geometry.voxel_ml * 1000
    return points, points.mean(0), float((3 * volume_mm3 / (4 * np.pi)) ** (1 / 3))


def _overlaps(old, current, labels):
    """Share of the smaller lesion of each pair that lies in the other one."""
    out = {}
    sizes = ndimage.sum_labels(np.ones(current.array.shape), current.array, labels)
    sizes = dict(zip(labels, np.atleast_1d(sizes) * current.geometry.voxel_ml, strict=True)) if labels else {}
    for name, (points, _, radius) in old.items():
        index = np.rint(current.geometry.index_of(points)).astype(int)
        known = ((index >= 0) & (index < current.array.shape)).all(1)
        hit = current.array[tuple(index[known].T)]
        own_ml = 4 / 3 * np.pi * radius**3 / 1000
        for label in np.unique(hit[hit > 0]):
            shared_ml = (hit == label).sum() / len(points) * own_ml
            out[name, int(label)] = float(min(1.0, shared_ml / min(own_ml, sizes[int(label)])))
    return out


def _gap_mm(one, two):
    """Distance of the centres less both radii: the gap between two balls."""
    return float(np.linalg.norm(one[1] - two[1]) - one[2] - two[2])


def _links(old, new, overlap, gap, reach_mm):
    """Pairs that belong together: all real overlaps, then the best one-to-one of what is left."""
    links = {pair for pair, share in overlap.items() if share >= 0.3}
    rest_old = [a for a in old if not any(a == x for x, _ in links)]
    rest_new = [b for b in new if not any(b == y for _, y in links)]
    if rest_old and rest_new:
        cost = np.array(
            [
                [
                    max(gap[a, b], 0.0)
                    + 1e-3 * np.linalg.norm(old[a][1] - new[b][1])
                    + 1.5 * abs(np.log(old[a][2] / new[b][2]))
                    for b in rest_new
                ]
                for a in rest_old
            ]
        )
        for i, j in zip(*linear_sum_assignment(cost), strict=True):
            if gap[rest_old[i], rest_new[j]] <= reach_mm / 2:
                links.add((rest_old[i], rest_new[j]))
    return links


def _matches(old, new, names, links, overlap):
    out, used = [], set(names.values())
    done_old, done_new = set(), set()
    for start in old:
        if start in done_old:
            continue
        group_old, group_new = _group(start, links)
        done_old |= group_old
        done_new |= group_new
        out.append(_one(sorted(group_old), sorted(group_new), old, new, names, overlap))
    for label in new:
        if label not in done_new:
            number = 1 + len(used)
            while f"L{number}" in used:
                number += 1
            used.add(f"L{number}")
            out.append(Match(f"L{number}", (), (label,), "new"))
    return out


def _group(start, links):
    group_old, group_new = {start}, set()
    while True:
        more_new = {b for a, b in links if a in group_old}
        more_old = {a for a, b in links if b in more_new} | group_old
        if more_new == group_new and more_old == group_old:
            return group_old, group_new
        group_old, group_new = more_old, more_new


def _one(olds, news, old, new, names, overlap):
    """The match of one connected group; it keeps the id of its largest previous lesion."""
    keeper = max(olds, key=lambda a: old[a][2])
    if not news:
        return Match(names[keeper], tuple(olds), (), "vanished")
    best = max(news, key=lambda b: new[b][2])
    share = overlap.get((keeper, best))
    status = "merged" if len(olds) > 1 else "split" if len(news) > 1 else "matched"
    distance = float(np.linalg.norm(old[keeper][1] - new[best][1]))
    return Match(
        names[keeper],
        tuple(olds),
        tuple(news),
        status,
        distance,
        share,
        status == "matched" and share is not None,
    )
