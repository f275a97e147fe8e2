"""The lesions of one time point while a reader clicks: what each click changes, and nothing more.

Values only, no nodes. Everything kept for a lesion is replaced, never changed in place, so that a
copy of the dictionaries is a state to come back to (undo).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import Cancelled, InputError
from BMVascularCore.lesions import Lesion, measure_lesions, segment_one, shapes
from BMVascularCore.lesions.anatomy import find_anatomy
from BMVascularCore.lesions.compartments import split_compartments
from BMVascularCore.lesions.location import NO_VENTRICLE
from BMVascularCore.lesions.model import OEDEMA
from BMVascularCore.lesions.segment import check_seed, merge_labels, share_overlaps
from BMVascularCore.progress import share_of, silent

OEDEMA_KEYS = ("oedema_ml", "oedema_tumour_ratio", "oedema_width_median_mm", "oedema_width_max_mm")


@dataclass(frozen=True)
class Entry:
    """One lesion.

    Attributes
    ----------
    label : int
    name : str
    grown : Lesion
        As its clicks (or a person) gave it, before voxels are shared with neighbours.
    seeds : tuple of Seed
    edited : bool
        Drawn by a person or restored from a segmentation: its boundary is the mask's.
    """

    label: int
    name: str
    grown: Lesion
    seeds: tuple = ()
    edited: bool = False


@dataclass(frozen=True)
class Parts:
    """Compartments of one lesion: codes inside it, and its oedema, each within its own box."""

    window: tuple
    codes: np.ndarray
    oedema_window: tuple
    oedema: np.ndarray


@dataclass(frozen=True)
class State:
    """A state to come back to."""

    entries: dict
    parts: dict
    rows: dict
    stale: frozenset


class LesionSession:
    """Lesions by id, on one prepared volume.

    Attributes
    ----------
    ready : Prepared
    entries, parts, rows : dict
        Lesion id to :class:`Entry`, :class:`Parts`, row of ``lesions.csv``.
    labels : Volume
        int32; the lesions as they share the voxels.
    stale : set
        Ids whose compartments and measures are outstanding (see :meth:`settle`).
    """

    def __init__(self, ready):
        self.ready = ready
        self.entries, self.parts, self.rows, self.stale = {}, {}, {}, set()
        self.shared = {}
        self._merge()

    def state(self):
        """Everything that a click may change."""
        return State(dict(self.entries), dict(self.parts), dict(self.rows), frozenset(self.stale))

    def restore(self, state):
        """Go back to a state; returns the ids whose outline or existence changed."""
        before, masks = set(self.entries), self.masks()
        self.entries, self.parts = dict(state.entries), dict(state.parts)
        self._merge()
        changed = self._changed(before, masks)
        # its measures were right then, and are again: nothing is outstanding that was not
        self.rows, self.stale = dict(state.rows), set(state.stale)
        return changed

    def nextLabel(self):
        """A label that no lesion has."""
        return 1 + max((entry.label for entry in self.entries.values()), default=0)

    def grow(self, lesionId, name, seeds, maxRadius_mm):
        """Segment one lesion from its clicks, new or again; nothing changes where that fails.

        Parameters
        ----------
        lesionId, name : str
        seeds : list of Seed
        maxRadius_mm : float

        Returns
        -------
        set of str
            Ids whose outline changed: this one, and neighbours that gave voxels to it.

        Raises
        ------
        InputError
            A click outside the head, or where nothing enhances.
        """
        include = [seed for seed in seeds if seed.kind == "include"]
        exclude = [seed for seed in seeds if seed.kind == "exclude"]
        for seed in seeds:
            check_seed(self.ready, seed)
        known = self.entries.get(lesionId)
        label = known.label if known else self.nextLabel()
        found = segment_one(self.ready, name, label, include, exclude, maxRadius_mm)
        if isinstance(found, str):
            raise InputError(found, name, "Click into the enhancing part.")
        if found.fraction.max() <= 0:
            raise InputError("nothing is left of it after the exclude clicks", name, "Undo the last click.")
        return self._put(lesionId, Entry(label, name, found, tuple(seeds)))

    def draw(self, lesionId, name, mask, corner, seeds=()):
        """Take a mask that a person drew (array and its first voxel) as a lesion."""
        known = self.entries.get(lesionId)
        label = known.label if known else self.nextLabel()
        return self._put(
            lesionId, Entry(label, name, self._lesionOfMask(name, label, mask, corner), tuple(seeds), True)
        )

    def sharesOf(self, lesionId):
        """Share of each voxel in a lesion, within the box of :meth:`mask`; None where it was drawn by hand."""
        if self.entries[lesionId].edited:
            return None
        found = self.shared[lesionId]
        labels = self.labels.array[found.window]
        # voxels of a touching lesion belong to that one
        return np.where((labels == found.label) | (labels == 0), found.measured, np.float32(0.0))

    def _lesionOfMask(self, name, label, mask, corner):
        window = tuple(slice(c, c + n) for c, n in zip(corner, mask.shape, strict=True))
        image = self.ready.t1c.array[window]
        around = ndimage.binary_dilation(mask, iterations=2) & ~mask
        inside = float(np.percentile(image[mask], 75)) if mask.any() else 0.0
        outside = float(np.median(image[around])) if around.any() else inside
        noise = max(self.ready.noise, 1e-9)
        found = Lesion(
            name, label, tuple(corner), mask.astype(np.float32), inside, outside, (inside - outside) / noise
        )
        found.reasons.append("outline drawn by hand")
        return found

    def remove(self, lesionId):
        """Forget a lesion; neighbours get back what they shared with it."""
        before, masks = set(self.entries), self.masks()
        for kept in (self.entries, self.parts, self.rows):
            kept.pop(lesionId, None)
        self.stale.discard(lesionId)
        self._merge()
        return self._changed(before, masks)

    def rename(self, lesionId, name):
        """Another name for a lesion."""
        entry = self.entries[lesionId]
        seeds = tuple(replace(seed, name=name) for seed in entry.seeds)
        self.entries[lesionId] = replace(entry, name=name, grown=replace(entry.grown, name=name), seeds=seeds)
        self._merge()
        if lesionId in self.rows:
            self.rows[lesionId] = {**self.rows[lesionId], "name": name}

    def _put(self, lesionId, entry):
        before, masks = set(self.entries), self.masks()
        self.entries[lesionId] = entry
        self._merge()
        changed = self._changed(before, masks) | {lesionId}
        self.stale |= changed & set(self.entries)
        return changed

    def _changed(self, before, masks):
        """Ids that came, went or have another outline than ``masks``."""
        now = self.masks()
        changed = before ^ set(self.entries)
        for lesionId in before & set(self.entries):
            (low, old), (corner, new) = masks[lesionId], now[lesionId]
            if low != corner or old.shape != new.shape or (old != new).any():
                changed.add(lesionId)
        self.stale |= changed & set(self.entries)
        self.stale &= set(self.entries)
        return changed

    def _merge(self):
        """Share voxels among touching lesions, and paint the label image."""
        self.shared = {
            key: replace(
                e.grown,
                label=e.label,
                fraction=e.grown.fraction.copy(),
                shares=None if e.grown.shares is None else e.grown.shares.copy(),
                reasons=list(e.grown.reasons),
            )
            for key, e in self.entries.items()
        }
        clicked = [key for key, e in self.entries.items() if any(s.kind == "include" for s in e.seeds)]
        seeds = {
            self.entries[k].name: [s for s in self.entries[k].seeds if s.kind == "include"] for k in clicked
        }
        share_overlaps(self.ready, [self.shared[key] for key in clicked], seeds)
        self.labels = merge_labels(self.ready, list(self.shared.values()))

    def mask(self, lesionId):
        """First voxel and mask (within its box) of a lesion as it shares voxels with the others."""
        found = self.shared[lesionId]
        return found.corner_kji, self.labels.array[found.window] == found.label

    def masks(self):
        """:meth:`mask` of every lesion."""
        return {lesionId: self.mask(lesionId) for lesionId in self.entries}

    def lesionAt(self, pointLps_mm):
        """Id of the lesion at a place, None where there is none."""
        index = np.rint(self.labels.geometry.index_of(pointLps_mm)).astype(int)
        if (index < 0).any() or (index >= self.labels.array.shape).any():
            return None
        label = int(self.labels.array[tuple(index)])
        return next((key for key, e in self.entries.items() if label and e.label == label), None)

    def volume_ml(self, lesionId):
        """Volume from the sub-voxel boundary, mL."""
        return float(self.shared[lesionId].measured.sum()) * self.labels.geometry.voxel_ml

    def settle(self, progress=silent):
        """Work out the outstanding compartments and measures; returns the ids that were done."""
        done = [lesionId for lesionId in self.entries if lesionId in self.stale]
        if not done:
            return []
        before = self.parts
        self.parts = dict(before)
        try:
            lost = self._split(done, share_of(progress, 0.0, 0.5))
            codes, owner = self.compartments()
            rows = self._measure(done, codes, owner, share_of(progress, 0.5, 1.0))
        except Cancelled:
            self.parts = before
            raise
        self.rows.update(rows)
        for lesionId, row in self._measure(lost, codes, owner).items():
            known = self.rows.get(lesionId, row)
            self.rows[lesionId] = {**known, **{key: row[key] for key in OEDEMA_KEYS}}
        self._keepFromVentricles(set(self.rows) - set(done))
        self.stale -= set(done)
        return done

    def _keepFromVentricles(self, ids):
        """Rows measured before a dark core was outlined may have taken it for a ventricle."""
        if not ids:
            return
        place = find_anatomy(self.ready, self.labels.array)
        for lesionId in ids & set(self.entries):
            corner, mask = self.mask(lesionId)
            known = self.rows[lesionId].get("distance_to_ventricle_mm")
            if known is None or not mask.any():
                continue
            row = {**self.rows[lesionId]}
            now_mm = place.nearest_mm(np.argwhere(mask) + np.asarray(corner), "to_ventricle_mm")
            if now_mm is None:
                row["notes"] = "; ".join(text for text in (row.get("notes"), NO_VENTRICLE) if text)
            self.rows[lesionId] = {**row, "distance_to_ventricle_mm": now_mm}

    def _split(self, ids, progress):
        """New parts of some lesions; returns the others whose oedema is now counted for these."""
        codes, owner = split_compartments(
            self.ready, self.labels, [self.shared[key] for key in ids], progress
        )
        mine = {self.entries[key].label: key for key in ids}
        boxes = shapes.boxes_of(owner.array)
        for label, lesionId in mine.items():
            box = boxes[label - 1] if label <= len(boxes) else None
            window = self.shared[lesionId].window
            inside = self.labels.array[window] == label
            box = box or tuple(slice(s.start, s.start) for s in window)
            self.parts[lesionId] = Parts(
                window, np.where(inside, codes.array[window], 0), box, owner.array[box] == label
            )
        lost = []
        for lesionId, parts in self.parts.items():
            taken = parts.oedema & np.isin(owner.array[parts.oedema_window], list(mine))
            if lesionId not in ids and taken.any():
                self.parts[lesionId] = replace(parts, oedema=parts.oedema & ~taken)
                lost.append(lesionId)
        return lost

    def compartments(self):
        """Codes of all lesions, and the lesion that each oedema voxel is counted for.

        Returns
        -------
        codes : Volume of uint8
        owner : Volume of int32
        """
        codes = np.zeros(self.labels.array.shape, np.uint8)
        owner = np.zeros(self.labels.array.shape, np.int32)
        for lesionId, parts in self.parts.items():
            codes[parts.oedema_window][parts.oedema] = OEDEMA
            owner[parts.oedema_window][parts.oedema] = self.entries[lesionId].label
        for parts in self.parts.values():
            inside = parts.codes > 0
            codes[parts.window][inside] = parts.codes[inside]
        # a lesion that grew into another's oedema covers it
        held = shapes.slices_of(self.labels.array)
        owner[held][self.labels.array[held] > 0] = 0
        return self.labels.like(codes, "compartments"), self.labels.like(owner, "oedema")

    def _measure(self, ids, codes, owner, progress=silent):
        if not ids:
            return {}
        of = {self.entries[key].label: key for key in ids}
        rows = measure_lesions(
            self.labels,
            codes,
            {label: self.entries[key].name for label, key in of.items()},
            self.ready,
            owner,
            {self.entries[key].label: self.shared[key] for key in ids},
            progress,
            only=list(of),
        )
        return {of[row["label"]]: row for row in rows}

    def measureAll(self, progress=silent):
        """Compartments and measures of all lesions together, as the command line gives them."""
        before = self.stale
        self.stale = set(self.entries)
        try:
            return self.settle(progress)
        except Cancelled:
            self.stale = before
            raise

    def adopt(self, masks, rows, codes):
        """Start from what the scene holds.

        Parameters
        ----------
        masks : dict
            Lesion id to (name, first voxel, mask, seeds, edited, shares of its voxels or None).
        rows : dict
            Lesion id to row; a lesion without one is measured again.
        codes : ndarray of uint8 or None
            Compartments on the session's grid.
        """
        for lesionId, (name, corner, mask, seeds, edited, shares) in masks.items():
            label = self.nextLabel()
            grown = replace(self._lesionOfMask(name, label, mask, corner), shares=shares)
            if not edited:
                grown.reasons.clear()
            self.entries[lesionId] = Entry(label, name, grown, tuple(seeds), edited)
        self._merge()
        self.rows = {key: dict(row) for key, row in rows.items() if key in self.entries}
        if codes is not None and codes.any():
            self._adoptCodes(codes)
        self.stale = {key for key in self.entries if key not in self.rows or key not in self.parts}

    def _adoptCodes(self, codes):
        window = tuple(
            slice(max(0, s.start - 1), s.stop + 1)
            for s in ndimage.find_objects((codes > 0).astype(np.uint8))[0]
        )
        labels = self.labels.array[window]
        nearest = ndimage.distance_transform_edt(
            labels == 0, self.labels.geometry.spacing_kji_mm, return_distances=False, return_indices=True
        )
        owner = np.where(codes[window] == OEDEMA, labels[tuple(nearest)], 0)
        boxes = ndimage.find_objects(owner)
        for lesionId, entry in self.entries.items():
            own = self.shared[lesionId].window
            inside = self.labels.array[own] == entry.label
            box = boxes[entry.label - 1] if entry.label <= len(boxes) else None
            box = box or (slice(0, 0),) * 3
            place = tuple(
                slice(b.start + w.start, b.stop + w.start) for b, w in zip(box, window, strict=True)
            )
            self.parts[lesionId] = Parts(
                own, np.where(inside, codes[own], 0), place, owner[box] == entry.label
            )
