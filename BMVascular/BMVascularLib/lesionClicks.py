"""Clicks of a reading: points that come, move and go, and the lesions that follow them."""

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.lesions import Seed
from BMVascularCore.progress import silent
from BMVascularLib import lesionNodes
from BMVascularLib.lesionEdits import EXCLUDE
from BMVascularLib.seeds import clicksOf, linkSeed, waitingOf

NEW, INCLUDE = "new", "include"
# no two lesions have clicks as near as this: the second is a slip of the hand
_TOO_NEAR_MM = 2.0
# a click of a lesion that lies farther from it than this has found nothing
_OUTSIDE_MM = 3.0


class LesionClicks:
    """Part of :class:`BMVascularLib.lesionReading.LesionReading`, which holds all it works on."""

    def seedNode(self):
        """The point list, made where there is none."""
        if self.seeds is None or self.seeds.GetScene() is None:
            self.seeds = lesionNodes.seedNode(self.scene, self.timepoint, self.t1c)
        return self.seeds

    def _clicks(self):
        return {} if self.seeds is None else clicksOf(self.seeds)

    def waiting(self):
        """Ids of points that have no lesion yet (they came with the study)."""
        return waitingOf(self._clicks())

    def _seedsOf(self, lesionId, name, clicks=None):
        clicks = self._clicks() if clicks is None else clicks
        return [
            Seed(name, self.place.lpsOfWorld(c.ras), EXCLUDE if c.description == EXCLUDE else INCLUDE)
            for c in clicks.values()
            if c.lesionId == lesionId
        ]

    def sync(self, mode=NEW, selected=None, maxRadius_mm=30.0):
        """Bring lesions up to date with points that were placed, moved or removed.

        Parameters
        ----------
        mode : {"new", "include", "exclude"}
            What a new point does: its own lesion, or more or less of the selected one.
        selected : str, optional
            Id of the selected lesion.
        maxRadius_mm : float

        Returns
        -------
        lesionId : str or None
            The lesion of the last change.
        message : str
            One sentence: what came of it.

        Raises
        ------
        InputError
            A click without a lesion: its point was taken away or put back, nothing else changed.
        """
        self._bringClicksBack()
        self.seedNode()
        now, done, failed = self._clicks(), (None, ""), None
        added = [key for key in now if key not in self.known]
        self._pending = set(added)
        work = [lambda key=key: self._removed(key, maxRadius_mm) for key in self.known if key not in now]
        work += [
            lambda key=key: self._moved(key, maxRadius_mm) for key in now if self._isMoved(key, now[key])
        ]
        work += [lambda key=key: self._placed(key, mode, selected, maxRadius_mm) for key in added]
        # each change stands for itself: one that fails does not take the others with it
        for each in work:
            try:
                done = each()
            except InputError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return done

    def _isMoved(self, pointId, click):
        known = self.known.get(pointId)
        return known is not None and np.abs(np.subtract(known.ras, click.ras)).max() > 1e-3

    def _placed(self, pointId, mode, selected, maxRadius_mm):
        self._pending.discard(pointId)
        with self._step("click"):
            return self._grown(pointId, mode, selected, maxRadius_mm)

    def _grown(self, pointId, mode, selected, maxRadius_mm):
        if mode != NEW and selected not in self.session.entries:
            raise InputError(
                "no lesion is selected", "include or exclude click", "Select one in the table first."
            )
        isNew = mode == NEW
        lesionId = self._newId() if isNew else selected
        name = self._newName() if isNew else self.session.entries[selected].name
        before = self.session.masks().get(lesionId)
        inside = self._lesionBelow(pointId)
        self._describe(pointId, name, EXCLUDE if mode == EXCLUDE else "", lesionId)
        self._checkNeighbours(pointId, lesionId)
        changed = self._grow(lesionId, name, maxRadius_mm)
        if not isNew:
            self._checkUse(pointId, lesionId, before)
        self._write(changed)
        return lesionId, self._outcome(lesionId, changed, inside if isNew else None)

    def _lesionBelow(self, pointId):
        return self.session.lesionAt(self.place.lpsOfWorld(self._clicks()[pointId].ras))

    def _outcome(self, lesionId, changed, other):
        """What came of a click, or of a moved one, that landed in another lesion (or in none)."""
        if other in changed - {lesionId} and other in self.session.entries:
            names = [self.session.entries[key].name for key in (lesionId, other)]
            return "{} was divided from {}: look at the border between them.".format(*names)
        return self._sentence(lesionId)

    def _checkNeighbours(self, pointId, lesionId):
        """No lesion begins beside the click of another: half-way between them nothing could be told apart."""
        clicks = self._clicks()
        mine = clicks[pointId]
        for other in clicks.values():
            if EXCLUDE in (mine.description, other.description) or other.lesionId in (None, "", lesionId):
                continue
            away_mm = float(np.linalg.norm(np.subtract(mine.ras, other.ras)))
            if away_mm < _TOO_NEAR_MM:
                raise InputError(
                    f"lies {away_mm:.1f} mm from the click of {other.label}",
                    "this click",
                    "Click farther away to divide that lesion, or choose 'more of the selected lesion' (I).",
                )

    def _checkUse(self, pointId, lesionId, before):
        """A further click that changed nothing is no click."""
        name, click = self.session.entries[lesionId].name, self._clicks()[pointId]
        corner, mask = self.session.mask(lesionId)
        same = before is not None and before[0] == corner and np.array_equal(before[1], mask)
        if click.description == EXCLUDE and same:
            raise InputError(
                f"takes nothing from {name}", "this click", f"Click into what is no part of {name}."
            )
        if click.description != EXCLUDE and self._distance_mm(click, lesionId) > _OUTSIDE_MM:
            raise InputError(
                f"adds nothing to {name}: no enhancing tissue of it is found there",
                "this click",
                "Click into its enhancing part.",
            )

    def _distance_mm(self, click, lesionId):
        """Distance of a click to the nearest voxel of a lesion."""
        corner, mask = self.session.mask(lesionId)
        if not mask.any():
            return np.inf
        points = self.place.geometry.points_of(np.argwhere(mask) + corner)
        return float(np.linalg.norm(points - self.place.lpsOfWorld(click.ras), axis=1).min())

    def _grow(self, lesionId, name, maxRadius_mm):
        return self.session.grow(lesionId, name, self._seedsOf(lesionId, name), maxRadius_mm)

    def _moved(self, pointId, maxRadius_mm):
        lesionId = self.known[pointId].lesionId
        if lesionId not in self.session.entries:
            self.known = self._knownNow()
            return None, ""
        with self._step("move"):
            entry, other = self.session.entries[lesionId], self._lesionBelow(pointId)
            self._checkNeighbours(pointId, lesionId)
            changed = self._grow(lesionId, entry.name, maxRadius_mm)
            if len(self._includeClicks(lesionId)) > 1:
                self._checkUse(pointId, lesionId, None)
            self._write(changed)
        text = self._outcome(lesionId, changed, other)
        return lesionId, f"{text} Undo brings back the outline drawn by hand." if entry.edited else text

    def _removed(self, pointId, maxRadius_mm):
        lesionId = self.known[pointId].lesionId
        if lesionId not in self.session.entries:
            self.known = self._knownNow()
            return None, ""
        name = self.session.entries[lesionId].name
        with self._step("removal"):
            if any(seed.kind == INCLUDE for seed in self._seedsOf(lesionId, name)):
                self._write(self._grow(lesionId, name, maxRadius_mm))
                return lesionId, self._sentence(lesionId)
            self._forget(lesionId)
            self.publish()
            return None, f"{name} was removed with its click."

    def _takeAway(self, pointId):
        self.seeds.RemoveAttribute(f"BMVascular.SegmentOfPoint.{pointId}")
        self.seeds.RemoveNthControlPoint(self.seeds.GetNthControlPointIndexByID(pointId))
        self.known = self._knownNow()

    def _describe(self, pointId, label, description, lesionId):
        index = self.seeds.GetNthControlPointIndexByID(pointId)
        self.seeds.SetNthControlPointLabel(index, label)
        self.seeds.SetNthControlPointDescription(index, description)
        linkSeed(self.seeds, pointId, lesionId)

    def _newId(self):
        taken = set(self.session.entries) | {c.lesionId for c in self._clicks().values()}
        number = 1
        while f"lesion_{number}" in taken:
            number += 1
        return f"lesion_{number}"

    def _newName(self):
        taken = {entry.name for entry in self.session.entries.values()}
        taken |= {c.label for c in self.known.values()}
        number = 1
        while f"L{number}" in taken:
            number += 1
        return f"L{number}"

    def _sentence(self, lesionId):
        shared = self.session.shared[lesionId]
        text = f"{shared.name}: {self.session.volume_ml(lesionId):.2f} mL"
        if shared.confidence == "low":
            return f"{text}. Low confidence: {'; '.join(shared.reasons)}."
        return f"{text}."

    def segmentWaiting(self, maxRadius_mm=30.0, progress=silent):
        """Segment the points that came with the study; returns a sentence for each that has no lesion."""
        groups, failed = {}, []
        for pointId in self.waiting():
            groups.setdefault(self._clicks()[pointId].label, []).append(pointId)
        if not groups:
            return failed
        with self._step("seeds of the study"):
            for number, (label, pointIds) in enumerate(groups.items()):
                progress(number / len(groups), label)
                lesionId = self._newId()
                name = self._freeName(label, [e.name for e in self.session.entries.values()])
                points = [Seed(name, self.place.lpsOfWorld(self._clicks()[p].ras)) for p in pointIds]
                inside = self.session.lesionAt(points[0].point_lps_mm)
                if inside is not None:
                    self._join(pointIds, inside)
                    continue
                try:
                    changed = self.session.grow(lesionId, name, points, maxRadius_mm)
                except InputError as error:
                    failed.append(str(error))
                    continue
                for pointId in pointIds:
                    self._describe(pointId, name, "", lesionId)
                self._write(changed)
        return failed

    def _join(self, pointIds, lesionId):
        """Seeds in a lesion that is there already belong to it."""
        for pointId in pointIds:
            self._describe(pointId, self.session.entries[lesionId].name, "", lesionId)

    def _restoreClicks(self, wanted):
        wanted = {self._alias(key): click for key, click in wanted.items()}
        for pointId in [key for key in self._knownNow() if key not in wanted]:
            self._takeAway(pointId)
        for key, click in wanted.items():
            pointId = key
            if self.seeds.GetNthControlPointIndexByID(key) < 0:
                # a point that was removed comes back under another id
                index = self.seeds.AddControlPointWorld(*click.ras)
                pointId = self.aliases[key] = self.seeds.GetNthControlPointID(index)
            index = self.seeds.GetNthControlPointIndexByID(pointId)
            self.seeds.SetNthControlPointPositionWorld(index, *click.ras)
            self._describe(pointId, click.label, click.description, click.lesionId or "")
        self.known = self._knownNow()

    def _alias(self, pointId):
        while pointId in self.aliases:
            pointId = self.aliases[pointId]
        return pointId
