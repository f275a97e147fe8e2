"""One time point being read: its clicks, its lesions and the nodes that show them.

Clicks and lesions are compared with what was known of them (by their ids), so it does not matter
which event brought the change, nor how often it is told.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import BMVascularError, InputError
from BMVascularCore.lesions import prepare
from BMVascularCore.lesions.same_head import refuse_ct
from BMVascularCore.planning.field import box_start
from BMVascularCore.progress import silent
from BMVascularLib import lesionNodes, studyNodes
from BMVascularLib.lesionClicks import LesionClicks
from BMVascularLib.lesionEdits import LesionEdits
from BMVascularLib.lesionOutside import LesionOutside
from BMVascularLib.lesionSession import LesionSession
from BMVascularLib.lesionShares import readShares, writeShares
from BMVascularLib.segments import reviewState, segmentIds, setReviewState
from BMVascularLib.tables import rowsOfTable, setTable

# states share what did not change, so that a step costs little
_MOST_UNDO = 300


@dataclass(frozen=True)
class Step:
    """What *Undo* goes back to, and the words for it."""

    clicks: dict
    state: object
    reviews: dict
    text: str


class LesionReading(LesionClicks, LesionEdits, LesionOutside):
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
        # points that came together with the one that is worked on
        self._pending = set()
        self.warnings = []

    # -- beginning

    def isCurrent(self, images):
        """Whether this still belongs to these images as they are now."""
        return self.session is not None and self.stamp == self._stamp(images)

    @staticmethod
    def _stamp(images):
        return lesionNodes.stampOf(images.get(role) for role in lesionNodes.IMAGE_ROLES)

    def begin(self, progress=silent, earlier=None):
        """Prepare the images, and take up what the scene holds of this time point.

        Parameters
        ----------
        progress : callable, optional
        earlier : LesionReading, optional
            With other companions of the same T1c: its lesions and *Undo* go on.

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
        if earlier is None or earlier.stamp[0] != self.stamp[0]:
            self._takeUp()
            return
        self.session.restore(earlier.session.state())
        for name in ("seeds", "known", "aliases", "steps", "stamps"):
            setattr(self, name, getattr(earlier, name))

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
            corner, mask, shares = self._withShares(node, lesionId, corner, mask)
            masks[lesionId] = (name, corner, mask, self._seedsOf(lesionId, name), edited, shares)
            self.stamps[lesionId] = lesionNodes.stampOfSegment(node, lesionId)
        codes = lesionNodes.readCompartments(self.scene, self.timepoint, self.place)
        table = studyNodes.firstOf(self.scene, lesionNodes.TABLE, self.timepoint)
        rows = {} if table is None else {row.pop("segment_id"): row for row in rowsOfTable(table)}
        self.session.adopt(masks, rows, codes)

    def _withShares(self, node, lesionId, corner, mask):
        """First voxel, mask and shares of a segment on the grid of the T1c; no shares where they fit no more."""
        kept = readShares(node, lesionId)
        if kept is None:
            return corner, mask, None
        inside, shares = kept
        start = box_start(self.place.here(inside.geometry, inside.name), self.place.geometry)
        return (corner, mask, None) if start is None else (start, inside.array, shares.array)

    @staticmethod
    def _freeName(name, taken):
        number, free = 2, name
        while free in taken:
            free, number = f"{name} ({number})", number + 1
        return free

    # -- steps

    @contextmanager
    def _step(self, text):
        """Within a ``with`` block: one change that *Undo* takes back; without effect where it fails."""
        step = Step(dict(self.known), self.session.state(), self._reviews(), text)
        try:
            yield
        except BMVascularError:
            if self.t1c.GetScene() is None:
                # the scene was closed meanwhile: there is nothing to put back
                raise
            self._write(self.session.restore(step.state))
            self._restoreClicks(step.clicks)
            self._setFacts(step.reviews)
            raise
        self.known = self._knownNow()
        self.steps = [*self.steps[1 - _MOST_UNDO :], step]

    def _knownNow(self):
        return {key: click for key, click in self._clicks().items() if key not in self._pending}

    def undo(self):
        """Take back the last change; returns what it was, '' where there is nothing to take back."""
        if not self.steps:
            return ""
        step = self.steps[-1]
        self.steps = self.steps[:-1]
        changed = self.session.restore(step.state)
        self._restoreClicks(step.clicks)
        self._write(changed)
        self._setFacts(step.reviews)
        self.publish()
        return step.text

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
                if node.GetSegmentation().GetSegment(lesionId) is not None:
                    node.GetSegmentation().RemoveSegment(lesionId)
                self.stamps.pop(lesionId, None)
                continue
            corner, mask = self.session.mask(lesionId)
            segment = lesionNodes.writeSegment(
                node, lesionId, entry.name, entry.label, corner, mask, self.place.geometry
            )
            segment.SetTag(lesionNodes.EDITED, "1" if entry.edited else "0")
            writeShares(segment, corner, mask, self.session.sharesOf(lesionId), self.place.geometry)
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

    def _setFacts(self, reviews):
        for lesionId, state in reviews.items():
            segment, entry = self.segment(lesionId), self.session.entries.get(lesionId)
            if segment is not None:
                setReviewState(segment, state)
            if segment is not None and entry is not None:
                segment.SetName(entry.name)

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
        rows, node = [], studyNodes.firstOf(self.scene, lesionNodes.LESIONS, self.timepoint)
        for lesionId, entry in self.session.entries.items():
            segment = None if node is None else node.GetSegmentation().GetSegment(lesionId)
            if segment is None:
                # deleted elsewhere: see takeBack
                continue
            shared = self.session.shared[lesionId]
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
