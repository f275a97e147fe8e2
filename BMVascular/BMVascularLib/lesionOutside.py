"""What was done to lesions and clicks elsewhere (Segment Editor, Markups, Data): taken over, or put right."""

from dataclasses import replace

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularLib import lesionNodes, studyNodes
from BMVascularLib.segments import segmentIds


class LesionOutside:
    """Part of :class:`BMVascularLib.lesionReading.LesionReading`, which holds all it works on."""

    def takeBack(self, maxRadius_mm=30.0, clicks=True):
        """Bring lesions up to date with what was changed elsewhere in the scene.

        Deleted and emptied segments go with their clicks, redrawn and new ones become lesions, names follow,
        clicks that were moved or removed are obeyed; a point list that was removed is made again. *Undo* takes
        each back.

        Parameters
        ----------
        maxRadius_mm : float
        clicks : bool
            Whether moved and removed clicks are followed, too, and new ones are left to wait.

        Returns
        -------
        list of str
            One sentence for each kind of change; empty where there was none.
        """
        said = self._bringClicksBack()
        said += self._takeSegments(studyNodes.firstOf(self.scene, lesionNodes.LESIONS, self.timepoint))
        return said + self._followClicks(maxRadius_mm) if clicks else said

    def _bringClicksBack(self):
        if self.seeds is None or self.seeds.GetScene() is not None:
            return []
        lost, self.seeds, self.known = dict(self.known), None, {}
        if not any(click.lesionId in self.session.entries for click in lost.values()):
            return []
        self.seedNode()
        # ids of the list that is gone mean nothing in this one, which may hold new clicks already
        self._pending, ids = set(self._clicks()), {}
        for key, click in lost.items():
            index = self.seeds.AddControlPointWorld(*click.ras)
            ids[key] = self.seeds.GetNthControlPointID(index)
            self._describe(ids[key], click.label, click.description, click.lesionId or "")
        self.steps = [
            replace(
                step, clicks={ids.get(self._alias(key), f"gone.{key}"): c for key, c in step.clicks.items()}
            )
            for step in self.steps
        ]
        self.aliases, self.known = {}, self._knownNow()
        return [
            "The list of clicks was removed from the scene; it is back, because each lesion hangs on its click."
        ]

    def _takeSegments(self, node):
        present = [] if node is None else segmentIds(node)
        gone = [key for key in self.session.entries if key not in present]
        drawn, renamed = {}, {}
        for lesionId in present:
            segment = node.GetSegmentation().GetSegment(lesionId)
            entry = self.session.entries.get(lesionId)
            if entry is not None and segment.GetName() != entry.name:
                renamed[lesionId] = segment.GetName()
            if lesionNodes.stampOfSegment(node, lesionId) == self.stamps.get(lesionId):
                continue
            corner, mask = lesionNodes.maskOfSegment(node, lesionId, self.place)
            self.stamps[lesionId] = lesionNodes.stampOfSegment(node, lesionId)
            if not mask.any() and entry is not None:
                gone.append(lesionId)
            elif mask.any() and self._differs(lesionId, corner, mask):
                drawn[lesionId] = corner, mask
        said = self._followNames({key: name for key, name in renamed.items() if key not in gone})
        if gone or drawn:
            said += self._follow(node, gone, drawn)
        return said

    def _follow(self, node, gone, drawn):
        removed, names = [self.session.entries[key].name for key in gone], []
        with self._step("editing"):
            for lesionId in gone:
                self._forget(lesionId)
                for pointId in [key for key, c in self._clicks().items() if c.lesionId == lesionId]:
                    self._takeAway(pointId)
            for lesionId, (corner, mask) in drawn.items():
                names.append(self._takeDrawn(node, lesionId, corner, mask))
            self.publish()
        said = []
        if removed:
            said.append(f"Deleted outside this panel: {', '.join(removed)}; Undo brings them back.")
        if names:
            said.append(f"Taken over from the Segment Editor: {', '.join(names)}.")
        return said

    def _followNames(self, renamed):
        said = []
        for lesionId, name in renamed.items():
            before = self.session.entries[lesionId].name
            try:
                self.rename(lesionId, name)
                said.append(f"{before} is called {name.strip()} now.")
            except InputError as error:
                self.segment(lesionId).SetName(before)
                said.append(f"{before} keeps its name: {error.where} {error.what}.")
        return said

    def _followClicks(self, maxRadius_mm):
        """Points that were added elsewhere wait to be segmented; the others are obeyed."""
        now = self._clicks()
        self.known |= {key: click for key, click in now.items() if key not in self.known}
        try:
            return [text for text in [self.sync(maxRadius_mm=maxRadius_mm)[1]] if text]
        except InputError as error:
            return [str(error)]

    def _takeDrawn(self, node, lesionId, corner, mask):
        taken = [e.name for key, e in self.session.entries.items() if key != lesionId]
        segment = node.GetSegmentation().GetSegment(lesionId)
        name = self._freeName(segment.GetName(), taken)
        if not self._seedsOf(lesionId, name):
            self._addClickInside(lesionId, name, mask, corner)
        self._write(self.session.draw(lesionId, name, mask, corner, self._seedsOf(lesionId, name)))
        return name

    def _differs(self, lesionId, corner, mask):
        if lesionId not in self.session.entries:
            return True
        whole = np.zeros(self.place.geometry.shape, bool)
        whole[tuple(slice(c, c + n) for c, n in zip(corner, mask.shape, strict=True))] = mask
        return bool((whole != (self.session.labels.array == self.session.entries[lesionId].label)).any())
