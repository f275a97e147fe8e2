"""One time point being read: its clicks, its lesions and the nodes that show them.

Clicks and lesions are compared with what was known of them (by their ids), so it does not matter
which event brought the change, nor how often it is told.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import BMVascularError, InputError
from BMVascularCore.lesions import Seed, prepare
from BMVascularCore.lesions.same_head import refuse_ct
from BMVascularCore.progress import silent
from BMVascularLib import lesionNodes, studyNodes
from BMVascularLib.lesionEdits import EXCLUDE, LesionEdits
from BMVascularLib.lesionSession import LesionSession
from BMVascularLib.seeds import clicksOf, linkSeed, waitingOf
from BMVascularLib.segments import reviewState, segmentIds, setReviewState
from BMVascularLib.tables import rowsOfTable, setTable

NEW, INCLUDE = "new", "include"
# states share what did not change, so that a step costs little
_MOST_UNDO = 300


@dataclass(frozen=True)
class Step:
    """What *Undo* goes back to, and the words for it."""

    clicks: dict
    state: object
    reviews: dict
    text: str


class LesionReading(LesionEdits):
    """Clicks to lesions on the images of one time point.

    Parameters
    ----------
    scene : vtkMRMLScene
    timepoint : str
    images : dict
        ``T1c`` (needed), ``T1``, ``FLAIR``, ``SWI`` to volume node or None.

    Raises
    ------
    InputError
        No T1c; a T1c that is empty, or below a warp.
    """

    def __init__(self, scene, timepoint, images):
        if images.get("T1c") is None:
            raise InputError("no T1c is selected", "Images", "Choose the contrast-enhanced T1 first.")
        if images["T1c"].GetImageData() is None:
            raise InputError("holds no image", images["T1c"].GetName(), "Load the volume first.")
        self.scene, self.timepoint, self.images = scene, timepoint, dict(images)
        self.t1c = images["T1c"]
        self.place = lesionNodes.Place(self.t1c)
        self.session = self.seeds = None
        self.known, self.aliases, self.steps, self.stamps = {}, {}, [], {}
        self.warnings = []

    # -- beginning

    def isCurrent(self, images):
        """Whether this still belongs to these images as they are now."""
        return self.session is not None and self.stamp == self._stamp(images)

    @staticmethod
    def _stamp(images):
        return lesionNodes.stampOf(images.get(role) for role in lesionNodes.IMAGE_ROLES)

    def begin(self, progress=silent):
        """Prepare the images, and take up what the scene holds of this time point.

        Raises
        ------
        InputError
            Images that cannot be used; then nothing was added to the scene.
        """
        volumes = {
            role: lesionNodes.volumeSeenFrom(self.place, node)
            for role, node in self.images.items()
            if node is not None
        }
        refuse_ct(volumes)
        ready = prepare(
            volumes["T1c"], volumes.get("T1"), volumes.get("FLAIR"), volumes.get("SWI"), progress=progress
        )
        self.stamp = self._stamp(self.images)
        self.warnings = list(ready.warnings)
        self.session = LesionSession(ready)
        if not studyNodes.roleOf(self.t1c):
            studyNodes.setRole(self.t1c, "T1c", self.timepoint, "chosen in Lesion Seeding")
        self._takeUp()

    def _takeUp(self):
        node = studyNodes.firstOf(self.scene, lesionNodes.LESIONS, self.timepoint)
        self.seeds = studyNodes.firstOf(self.scene, lesionNodes.SEEDS, self.timepoint)
        self.known = self._clicks()
        if node is None:
            return
        masks = {}
        for lesionId in segmentIds(node):
            segment = node.GetSegmentation().GetSegment(lesionId)
            corner, mask = lesionNodes.maskOfSegment(node, lesionId, self.place)
            if not mask.any():
                continue
            edited = lesionNodes.tagOf(segment, lesionNodes.EDITED) == "1"
            name = self._freeName(segment.GetName(), [entry[0] for entry in masks.values()])
            masks[lesionId] = (name, corner, mask, self._seedsOf(lesionId, name), edited)
            self.stamps[lesionId] = lesionNodes.stampOfSegment(node, lesionId)
        codes = lesionNodes.readCompartments(self.scene, self.timepoint, self.place)
        table = studyNodes.firstOf(self.scene, lesionNodes.TABLE, self.timepoint)
        rows = {} if table is None else {row.pop("segment_id"): row for row in rowsOfTable(table)}
        self.session.adopt(masks, rows, codes)

    @staticmethod
    def _freeName(name, taken):
        number, free = 2, name
        while free in taken:
            free, number = f"{name} ({number})", number + 1
        return free

    # -- clicks

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
        self.seedNode()
        now, lesionId, message = self._clicks(), None, ""
        for pointId in [key for key in self.known if key not in now]:
            lesionId, message = self._removed(pointId, maxRadius_mm)
        for pointId in [key for key in now if key in self.known]:
            before = self.known[pointId]
            if np.abs(np.subtract(before.ras, now[pointId].ras)).max() > 1e-3:
                lesionId, message = self._moved(pointId, before, maxRadius_mm)
        for pointId in [key for key in now if key not in self.known]:
            lesionId, message = self._placed(pointId, mode, selected, maxRadius_mm)
        return lesionId, message

    def _placed(self, pointId, mode, selected, maxRadius_mm):
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
        inside = self.session.lesionAt(self.place.lpsOfWorld(self._clicks()[pointId].ras))
        self._describe(pointId, name, EXCLUDE if mode == EXCLUDE else "", lesionId)
        changed = self._grow(lesionId, name, maxRadius_mm)
        self._write(changed)
        if isNew and inside is not None and inside in changed:
            other = self.session.entries[inside].name
            return lesionId, f"{name} was divided from {other}: look at the border between them."
        return lesionId, self._sentence(lesionId)

    def _grow(self, lesionId, name, maxRadius_mm):
        return self.session.grow(lesionId, name, self._seedsOf(lesionId, name), maxRadius_mm)

    def _moved(self, pointId, before, maxRadius_mm):
        lesionId = before.lesionId
        if lesionId not in self.session.entries:
            self.known = self._clicks()
            return None, ""
        with self._step("move"):
            self._write(self._grow(lesionId, self.session.entries[lesionId].name, maxRadius_mm))
        return lesionId, self._sentence(lesionId)

    def _removed(self, pointId, maxRadius_mm):
        lesionId = self.known[pointId].lesionId
        if lesionId not in self.session.entries:
            self.known = self._clicks()
            return None, ""
        name = self.session.entries[lesionId].name
        with self._step("removal"):
            if any(seed.kind == INCLUDE for seed in self._seedsOf(lesionId, name)):
                self._write(self._grow(lesionId, name, maxRadius_mm))
                return lesionId, self._sentence(lesionId)
            self._forget(lesionId)
            self.publish()
            return None, f"{name} was removed with its click."

    @contextmanager
    def _step(self, text):
        """Within a ``with`` block: one change that *Undo* takes back; without effect where it fails."""
        step = Step(dict(self.known), self.session.state(), self._reviews(), text)
        try:
            yield
        except BMVascularError:
            self._write(self.session.restore(step.state))
            self._restoreClicks(step.clicks)
            self._setReviews(step.reviews)
            raise
        self.known = self._clicks()
        self.steps = [*self.steps[1 - _MOST_UNDO :], step]

    def _takeAway(self, pointId):
        self.seeds.RemoveAttribute(f"BMVascular.SegmentOfPoint.{pointId}")
        self.seeds.RemoveNthControlPoint(self.seeds.GetNthControlPointIndexByID(pointId))
        self.known = self._clicks()

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

    # -- other changes

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

    def undo(self):
        """Take back the last change; returns what it was, '' where there is nothing to take back."""
        if not self.steps:
            return ""
        step = self.steps[-1]
        self.steps = self.steps[:-1]
        changed = self.session.restore(step.state)
        self._restoreClicks(step.clicks)
        self._write(changed)
        self._setReviews(step.reviews)
        self.publish()
        return step.text

    def _restoreClicks(self, wanted):
        wanted = {self._alias(key): click for key, click in wanted.items()}
        for pointId in [key for key in self._clicks() if key not in wanted]:
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
        self.known = self._clicks()

    def _alias(self, pointId):
        while pointId in self.aliases:
            pointId = self.aliases[pointId]
        return pointId

    # -- nodes

    def segmentation(self):
        """The node of the lesions, made where there is none."""
        return lesionNodes.lesionNode(self.scene, self.timepoint, self.t1c)

    def segment(self, lesionId):
        """The segment of a lesion."""
        return self.segmentation().GetSegmentation().GetSegment(lesionId)

    def _write(self, changed):
        """Bring the segments of some lesions up to date; one that was accepted is to be looked at again."""
        if not changed:
            return
        node = self.segmentation()
        for lesionId in changed:
            entry = self.session.entries.get(lesionId)
            if entry is None:
                node.GetSegmentation().RemoveSegment(lesionId)
                self.stamps.pop(lesionId, None)
                continue
            corner, mask = self.session.mask(lesionId)
            segment = lesionNodes.writeSegment(
                node, lesionId, entry.name, entry.label, corner, mask, self.place.geometry
            )
            segment.SetTag(lesionNodes.EDITED, "1" if entry.edited else "0")
            segment.SetTag(lesionNodes.CONFIDENCE, self.session.shared[lesionId].confidence)
            if reviewState(segment) == "Completed":
                setReviewState(segment, "NotStarted")
            self.stamps[lesionId] = lesionNodes.stampOfSegment(node, lesionId)

    def _reviews(self):
        node = studyNodes.firstOf(self.scene, lesionNodes.LESIONS, self.timepoint)
        ids = segmentIds(node) if node is not None else []
        return {key: reviewState(self.segment(key)) for key in ids}

    def tidy(self):
        """Put the outlines into as few label images as possible: smaller scene files."""
        node = studyNodes.firstOf(self.scene, lesionNodes.LESIONS, self.timepoint)
        if node is not None and node.GetSegmentation().GetNumberOfSegments() > 1:
            node.GetSegmentation().CollapseBinaryLabelmaps(False)
            self.stamps = {key: lesionNodes.stampOfSegment(node, key) for key in segmentIds(node)}

    def _setReviews(self, reviews):
        for lesionId, state in reviews.items():
            segment = self.segment(lesionId)
            if segment is not None:
                setReviewState(segment, state)

    def settle(self, progress=silent, everything=False):
        """Work out outstanding compartments and measures, and write them; True where there were any."""
        done = self.session.measureAll(progress) if everything else self.session.settle(progress)
        self.publish()
        return bool(done)

    def publish(self):
        """Write compartments and table."""
        codes, _ = self.session.compartments()
        if self.session.parts or studyNodes.firstOf(self.scene, lesionNodes.COMPARTMENT_ROLE, self.timepoint):
            lesionNodes.writeCompartments(self.scene, self.timepoint, self.t1c, codes)
        self.publishTable()

    def publishTable(self):
        """Write the table alone."""
        if self.session.entries or studyNodes.firstOf(self.scene, lesionNodes.TABLE, self.timepoint):
            table = lesionNodes.tableNode(
                self.scene, lesionNodes.TABLE, self.timepoint, f"{self.timepoint} lesion table"
            )
            setTable(table, self.tableRows())

    def tableRows(self):
        """One row a lesion: its id, name, review state and measures; empty where outstanding."""
        rows = []
        for lesionId, entry in self.session.entries.items():
            segment, shared = self.segment(lesionId), self.session.shared[lesionId]
            measured = dict(self.session.rows.get(lesionId, {}))
            if lesionId in self.session.stale:
                measured = {"volume_ml": self.session.volume_ml(lesionId), "confidence": shared.confidence}
            rows.append(
                {
                    "segment_id": lesionId,
                    **measured,
                    "name": entry.name,
                    "label": entry.label,
                    "review": reviewState(segment),
                    "identity": lesionNodes.tagOf(segment, lesionNodes.IDENTITY),
                    "edited": entry.edited,
                }
            )
        return rows

    def centre(self, lesionId):
        """A place within a lesion in the views (RAS mm): its voxel nearest to the centre."""
        corner, mask = self.session.mask(lesionId)
        index = np.argwhere(mask)
        nearest = index[np.argmin(((index - index.mean(axis=0)) ** 2).sum(axis=1))]
        return self.place.worldOfLps(self.place.geometry.points_of(np.add(nearest, corner)))
