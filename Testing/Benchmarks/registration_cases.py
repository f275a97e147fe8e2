"""Pairs of scans for the benchmark of registration: which head, how it is scanned, what happens to the images.

A case is the number of a head and options of :func:`head_pairs.make_pair`; ``other`` is the head that lies in the MR
scanner instead, ``after`` a change of the finished images.
"""

import head_pairs as hp
import numpy as np

from BMVascularCore.volume import Geometry, Volume


def _with(pair, ct=None, mr=None):
    """The pair with other values in one of its images."""
    if ct is not None:
        limits = (-32768, 32767) if ct.min() < -1024 else (-1024, 3071)
        pair.ct = Volume(
            np.clip(np.rint(ct), *limits).astype(np.int16), pair.ct.geometry, "CT", {"modality": "CT"}
        )
    if mr is not None:
        pair.mr = Volume(mr, pair.mr.geometry, "MR", {"modality": "MR"})
    return pair


def _plane(pair):
    """Places in a slice of the CT from its middle, mm."""
    g = pair.ct.geometry
    y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in g.shape[1:]), indexing="ij")
    return x * g.spacing_mm[0], y * g.spacing_mm[1]


def streaks(pair):
    """Two metal fillings with streaks through 25 slices at the height of the teeth."""
    ct = pair.ct.array.astype(np.float32)
    x, y = _plane(pair)
    rng = np.random.default_rng(1)
    teeth = int(0.18 * len(ct))
    for plane in ct[max(teeth - 12, 0) : teeth + 13]:
        for side in (-25.0, 25.0):
            away, angle = np.hypot(y + 60.0, x - side), np.arctan2(y + 60.0, x - side)
            plane += 700.0 * np.sin(13.0 * angle + rng.uniform(0, 6)) * np.exp(-away / 90.0)
            plane[away < 4.0] = 3071.0
    return _with(pair, ct=ct)


def padded(value):
    """Values outside the circle that a CT reconstructs."""

    def change(pair):
        x, y = _plane(pair)
        ct = pair.ct.array.copy()
        ct[:, np.hypot(x, y) > min(abs(x.min()), abs(y.min()))] = value
        return _with(pair, ct=ct)

    return change


def cone_beam(pair):
    """CT numbers of a cone beam: low, cupped, noisy, a field of view of 22 cm."""
    x, y = _plane(pair)
    away = np.hypot(x, y)
    ct = pair.ct.array.astype(np.float32)
    ct = np.where(ct > -500, 0.8 * ct - 150.0 + 150.0 * (away / 110.0) ** 2, ct)
    ct += np.random.default_rng(0).normal(0, 60, ct.shape)
    ct[:, away > 112.0] = -1000.0
    return _with(pair, ct=ct)


def sagittal(pair):
    """The MRI's axes stored as a sagittal series has them: sagittal slices, rows from the top."""
    g = pair.mr.geometry
    turn = np.reshape(g.direction, (3, 3))
    array = np.ascontiguousarray(pair.mr.array.transpose(2, 0, 1)[:, ::-1, :])
    direction = np.column_stack([turn[:, 1], -turn[:, 2], turn[:, 0]])
    x, y, z = g.spacing_mm
    corner = g.points_of((g.shape[0] - 1, 0, 0))
    grid = Geometry(array.shape, (y, z, x), tuple(corner.tolist()), tuple(direction.ravel().tolist()))
    pair.mr = Volume(array, grid, "MR", {"modality": "MR"})
    return pair


def wrapped(pair):
    """The back of the head folded over its front, at half the signal."""
    mr = pair.mr.array
    return _with(pair, mr=(mr + 0.5 * np.roll(mr, mr.shape[1] // 2, axis=1)).astype(np.float32))


def rescaled(factor, offset=0.0, kind=np.float32):
    """MRI values in other units."""
    return lambda pair: _with(pair, mr=(pair.mr.array * factor + offset).astype(kind))


def no_numbers_in_air(pair):
    """NaN where the MRI shows nothing."""
    return _with(pair, mr=np.where(pair.mr.array < 40, np.float32(np.nan), pair.mr.array))


def without_modality(pair):
    """As image files without a header have it."""
    pair.ct.meta.clear()
    pair.mr.meta.clear()
    return pair


def swapped(pair):
    """The MRI is the fixed image."""
    there = [np.array([pair.true.TransformPoint(p) for p in q.tolist()]) for q in (pair.brain, pair.lesions)]
    return hp.Pair(pair.mr, pair.ct, pair.true.GetInverse(), *there)


def front_half(pair):
    """An MRI that ends in the middle of the head."""
    g = pair.mr.geometry
    array = np.ascontiguousarray(pair.mr.array[:, : g.shape[1] // 2])
    pair.mr = Volume(
        array, Geometry(array.shape, g.spacing_mm, g.origin_mm, g.direction), "MR", {"modality": "MR"}
    )
    return pair


def stretched(factor):
    """A wrong voxel size from front to back in the MRI's header; its middle stays where it is."""

    def change(pair):
        g = pair.mr.geometry
        x, y, z = g.spacing_mm
        middle = (np.asarray(g.shape) - 1) / 2.0
        grid = Geometry(g.shape, (x, factor * y, z), g.origin_mm, g.direction)
        origin = np.asarray(g.origin_mm) + g.points_of(middle) - grid.points_of(middle)
        grid = Geometry(g.shape, grid.spacing_mm, tuple(origin.tolist()), g.direction)
        pair.mr = Volume(pair.mr.array, grid, "MR", {"modality": "MR"})
        return pair

    return change


def flipped(axis):
    """The MRI mirrored along an axis of its array (k, j, i)."""
    return lambda pair: _with(pair, mr=np.ascontiguousarray(np.flip(pair.mr.array, axis)))


SCANS = (
    (1, {}),
    (2, {"mr_spacing": (0.94, 0.94, 1.2), "ct_spacing": (0.6, 0.6, 1.25)}),
    (3, {"mr_spacing": (1.0, 1.0, 2.0), "ct_spacing": (1.0, 1.0, 1.0), "ct_extent": (450, 450, 215)}),
    (4, {"mr_spacing": (0.8, 0.8, 3.0), "mr_turn": (15, -8, 10), "devices": ("mask", "rest", "couch", "frame"),
         "ct_extent": (330, 330, 210), "ct_spacing": (0.9, 0.9, 1.5)}),
    (5, {"weighting": "T2", "noise": 0.06, "shading": 0.6}),
    (6, {"mr_spacing": (1.0, 0.5, 0.5), "ct_spacing": (0.5, 0.5, 1.0), "contrast": True}),
    (7, {"weighting": "T1", "devices": ("frame", "couch"), "ct_extent": (330, 330, 210)}),
    (8, {"weighting": "FLAIR", "mr_spacing": (0.9, 0.9, 1.5), "ct_shift": (0, 15, -20)}),
)  # fmt: skip
VARIETY = {
    "T2, slices of 3 mm": (4, {"weighting": "T2", "mr_spacing": (0.7, 0.7, 3)}),
    "CT slices of 3 mm": (4, {"ct_spacing": (1, 1, 3)}),
    "MRI of 0.5 mm in plane": (4, {"mr_spacing": (0.5, 0.5, 1)}),
    "T1 without contrast": (2, {"weighting": "T1"}),
    "head frame": (2, {"devices": ("frame", "couch"), "ct_extent": (330, 330, 210)}),
    "noise 10 %, shading 90 %": (2, {"shading": 0.9, "noise": 0.10}),
    "MRI of the top 11 cm": (2, {"mr_extent": (230, 250, 110), "mr_shift": (0, 0, 25)}),
    "CT with contrast": (3, {"contrast": True, "mr_spacing": (1, 1, 2)}),
    "MRI cut to the brain": (3, {"stripped": True}),
    "MRI slices of 5 mm": (3, {"mr_spacing": (0.9, 0.9, 5)}),
    "MRI without neck": (3, {"mr_extent": (230, 250, 150), "mr_shift": (0, 0, 20)}),
    "MRI slab of 6 cm": (3, {"mr_extent": (230, 250, 60), "mr_shift": (0, 0, 15)}),
    "FLAIR": (1, {"weighting": "FLAIR", "mr_spacing": (1, 1, 1.2)}),
    "CT stored with 1024": (1, {"shift_hu": 1024}),
    "CT without vertex": (1, {"ct_shift": (0, 15, -45)}),
    "CT of the skull base only": (1, {"ct_extent": (260, 300, 60), "ct_shift": (0, 15, -20)}),
    "slab of 6 cm, slices of 5 mm": (
        1, {"mr_extent": (230, 250, 60), "mr_shift": (0, 0, 0), "mr_spacing": (1.8, 1.8, 5)}),
    "CT with metal streaks": (5, {"after": streaks}),
    "CT with noise of 80 HU": (5, {"noise_hu": 80.0}),
    "CT padded with -3024": (
        5, {"ct_extent": (360, 360, 210), "ct_spacing": (0.98, 0.98, 1), "after": padded(-3024)}),
    "cone beam CT": (5, {"after": cone_beam}),
    "sagittal MRI, CT of 50 cm": (
        5, {"ct_extent": (500, 500, 210), "ct_spacing": (0.98, 0.98, 2), "mr_spacing": (1.2, 1, 1),
            "after": sagittal}),
    "MRI folded over": (5, {"after": wrapped}),
    "NaN around the head": (5, {"after": no_numbers_in_air}),
    "no modality known": (5, {"after": without_modality}),
    "low field, 1.5 x 1.5 x 2 mm": (5, {"noise": 0.15, "mr_spacing": (1.5, 1.5, 2), "shading": 0.5}),
    "front half of the MRI": (5, {"after": front_half}),
    "brain only, FLAIR, 5 mm": (5, {"stripped": True, "weighting": "FLAIR", "mr_spacing": (0.9, 0.9, 5)}),
    "T2 slab of 6 cm, 5 mm": (
        5, {"weighting": "T2", "mr_extent": (230, 230, 60), "mr_spacing": (1.8, 1.8, 5), "mr_shift": (0, 0, 10)}),
    "oblique by 35 degrees": (6, {"mr_turn": (30, 20, -15), "mr_extent": (270, 270, 230)}),
    "MRI from 0 to 1": (6, {"after": rescaled(1 / 1500)}),
    "MRI with negative values": (6, {"after": rescaled(1.0, -500.0)}),
    "MRI of few grey levels": (6, {"after": rescaled(0.05, 0.0, np.int16)}),
    "MRI is the fixed image": (6, {"after": swapped}),
    "CT padded, slices of 1.5 mm": (
        6, {"ct_extent": (360, 360, 210), "ct_spacing": (0.98, 0.98, 1.5), "after": padded(-2000)}),
    "brain only, slices of 3 mm": (6, {"stripped": True, "mr_spacing": (0.9, 0.9, 3)}),
    "MRI slab of 8 cm": (6, {"mr_extent": (230, 250, 80), "mr_shift": (0, 0, 10)}),
    "MRI slab of 4 cm": (6, {"mr_extent": (230, 250, 40), "mr_shift": (0, 0, 30)}),
    "FLAIR, slices of 4 mm": (6, {"weighting": "FLAIR", "mr_spacing": (0.9, 0.9, 4)}),
    "CT of 0.5 mm": (6, {"ct_spacing": (0.5, 0.5, 0.7), "ct_extent": (256, 290, 210)}),
    "distortion 1 mm at 10 cm": (4, {"warp_mm": 1.0}),
    "distortion 3 mm at 10 cm": (1, {"warp_mm": 3.0}),
}  # fmt: skip
FAILURES = {
    "another patient": (1, {"other": 2}),
    "another patient, other scans": (3, {"other": 4}),
    "another patient, T2": (6, {"other": 5, "weighting": "T2", "mr_spacing": (0.8, 0.8, 3)}),
    "another patient, brain only": (6, {"other": 5, "stripped": True}),
    "mirrored MRI": (2, {"after": flipped(2)}),
    "mirrored MRI, other head": (4, {"after": flipped(2)}),
    "mirrored T2": (6, {"weighting": "T2", "after": flipped(2)}),
    "front and back exchanged": (6, {"after": flipped(1)}),
    "upside down": (5, {"after": flipped(0)}),
    "voxels 2 % too long": (6, {"after": stretched(1.02)}),
    "voxels 4 % too long": (5, {"after": stretched(1.04)}),
    "no overlap": (3, {"ct_extent": (260, 300, 70), "ct_shift": (0, 15, 60), "mr_extent": (230, 250, 60),
                       "mr_shift": (0, 0, -70)}),
    "CT of the base, MRI of the top": (
        6, {"ct_extent": (260, 300, 90), "ct_shift": (0, 15, -50), "mr_extent": (230, 250, 90),
            "mr_shift": (0, 0, 50)}),
}  # fmt: skip
