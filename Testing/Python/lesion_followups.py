"""Simulated follow-ups: 20 lesions that stay, grow, shrink, vanish, appear, merge and split."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from lesion_heads import Shape, grid, lesion_fraction

from BMVascularCore.volume import Volume

EVENTS = (
    *["stays"] * 6, *["grows"] * 3, *["shrinks"] * 4, *["vanishes"] * 3, *["new beside"] * 2, "merges", "splits",
)  # fmt: skip


@dataclass
class FollowUp:
    """Label images of both time points, and which labels belong together as (earlier, later, status)."""

    before: Volume
    after: Volume
    truth: list


def make_follow_up(seed, shift_mm=0.0, turn_deg=0.0, gap_mm=1.0, after_spacing=(1.0, 1.0, 1.0)):
    """Twenty lesions of 3 to 18 mm at random places.

    Parameters
    ----------
    seed : int
    shift_mm, turn_deg : float
        Error that the registration left, in a random direction and about a random axis.
    gap_mm : float
        Least gap between neighbours.
    after_spacing : tuple of float
        Voxel size (x, y, z) of the later image, mm.
    """
    rng = np.random.default_rng(seed)
    before, after, truth, taken = [], [], [], []
    for event in EVENTS:
        _add(event, rng, before, after, truth, taken, gap_mm)
    error = sitk.VersorRigid3DTransform()
    error.SetRotation(_direction(rng).tolist(), np.deg2rad(turn_deg))
    error.SetTranslation((shift_mm * _direction(rng)).tolist())
    return FollowUp(_paint(before, (1.0, 1.0, 1.0), None), _paint(after, after_spacing, error), truth)


def _add(event, rng, before, after, truth, taken, gap_mm):
    """One event: balls (centre, radius) of one label each side, several for a lesion of two lobes."""
    radius = float(np.exp(rng.uniform(np.log(1.5), np.log(9.0))))
    along, jitter = _direction(rng), rng.normal(size=3) * 0.3
    if event in ("merges", "splits"):
        radius = max(radius, 3.0)
        centre = _free_place(rng, 2.0 * radius + 2.0, taken, gap_mm)
        near, far = (
            [(centre + side * along * radius * apart, radius * part) for side, part in ((-1, 1.0), (1, 0.8))]
            for apart in (0.75, 1.3)
        )
        if event == "merges":
            truth.append(({len(before) + 1, len(before) + 2}, {len(after) + 1}, "merged"))
            before += [far[:1], far[1:]]
            after.append([(c, r * 1.4) for c, r in far])
        else:
            truth.append(({len(before) + 1}, {len(after) + 1, len(after) + 2}, "split"))
            before.append(near)
            after += [[(c + (c - centre) * 0.3, r * 0.6)] for c, r in near]
        return
    room = radius * (1.45 if event == "grows" else 1.0) + (6.0 if event == "new beside" else 0.0)
    centre = _free_place(rng, room, taken, gap_mm)
    before.append([(centre, radius)])
    if event == "vanishes":
        truth.append(({len(before)}, set(), "vanished"))
        return
    if event == "grows":
        moved, later = centre + jitter * radius * 0.3, radius * 3.0 ** (1 / 3)
    elif event == "shrinks":
        later = max(0.8, radius * 0.1 ** (1 / 3))
        # what is left lies anywhere within the lesion that was
        moved = centre + along * (radius - later) * rng.uniform(0.0, 0.9)
    else:
        moved, later = centre + jitter, radius * rng.uniform(0.9, 1.1)
    after.append([(moved, later)])
    truth.append(({len(before)}, {len(after)}, "matched"))
    if event == "new beside":
        small = rng.uniform(1.5, 3.0)
        after.append([(moved + along * (later + small + rng.uniform(1.0, 3.0)), small)])
        truth.append((set(), {len(after)}, "new"))


def _direction(rng):
    found = rng.normal(size=3)
    return found / np.linalg.norm(found)


def _free_place(rng, radius, taken, gap_mm):
    while True:
        centre = rng.uniform((-60, -70, -55), (60, 70, 55))
        if all(np.linalg.norm(centre - c) > radius + r + gap_mm for c, r in taken):
            taken.append((centre, radius))
            return centre


def _paint(lesions, spacing, error):
    size = [round(n / s) for n, s in zip((150, 180, 160), spacing[::-1], strict=True)]
    geometry = grid(size, spacing)
    out = np.zeros(geometry.shape, np.int32)
    for label, balls in enumerate(lesions, start=1):
        for centre, radius in balls:
            at = centre if error is None else error.TransformPoint(centre.tolist())
            share = lesion_fraction(Shape(tuple(at), (radius,) * 3), geometry, factor=3)
            mask = share >= min(0.5, float(share.max()))
            out[mask & (out == 0)] = label
    return Volume(out, geometry, "lesions")


def score(follow_up, matches):
    """Right matches, all true ones, and wrong ones that were given as certain."""
    truth = {(frozenset(a), frozenset(b)): status for a, b, status in follow_up.truth}
    found = {(frozenset(m.previous), frozenset(m.current)): m for m in matches}
    right = sum(key in found and found[key].status == status for key, status in truth.items())
    sure = sum(m.certain and truth.get(key) != m.status for key, m in found.items())
    return right, len(truth), sure
