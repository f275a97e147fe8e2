"""Changes to lesions other than clicks: delete, rename, split, review."""

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError
from BMVascularLib.segments import setReviewState

EXCLUDE = "exclude"


class LesionEdits:
    """Part of :class:`BMVascularLib.lesionReading.LesionReading`, which holds all it works on."""

    def delete(self, lesionId):
        """Remove a lesion with its clicks."""
        name = self.session.entries[lesionId].name
        with self._step(f"deletion of {name}"):
            self._forget(lesionId)
            for pointId in [key for key, c in self._clicks().items() if c.lesionId == lesionId]:
                self._takeAway(pointId)
            self.publish()

    def _forget(self, lesionId):
        self._write(self.session.remove(lesionId))

    def rename(self, lesionId, name):
        """Give a lesion another name.

        Raises
        ------
        InputError
            An empty name, or one that another lesion has.
        """
        name = name.strip()
        taken = [e.name for key, e in self.session.entries.items() if key != lesionId]
        if not name or name in taken:
            raise InputError(
                "is taken by another lesion" if name else "is empty", f"name '{name}'", "Type another name."
            )
        with self._step("name"):
            self.session.rename(lesionId, name)
            for pointId, click in self._clicks().items():
                if click.lesionId == lesionId:
                    self._describe(pointId, name, click.description, lesionId)
            self.segment(lesionId).SetName(name)
            self.publishTable()

    def _includeClicks(self, lesionId):
        return [k for k, c in self._clicks().items() if c.lesionId == lesionId and c.description != EXCLUDE]

    def canSplit(self, lesionId):
        """Whether a lesion has several clicks or several pieces."""
        _, count = ndimage.label(self.session.mask(lesionId)[1], np.ones((3, 3, 3)))
        edited = self.session.entries[lesionId].edited
        return count > 1 or (not edited and len(self._includeClicks(lesionId)) > 1)

    def split(self, lesionId, maxRadius_mm=30.0):
        """Divide a lesion among its include clicks, or into its separate pieces.

        Returns
        -------
        list of str
            Ids of all parts.

        Raises
        ------
        InputError
            One click and one piece: a click into the other part is needed.
        """
        entry = self.session.entries[lesionId]
        if not self.canSplit(lesionId):
            raise InputError(
                "has one click and one piece", entry.name, "Click into its other part to divide it."
            )
        own = self._includeClicks(lesionId)
        corner, mask = self.session.mask(lesionId)
        pieces, count = ndimage.label(mask, np.ones((3, 3, 3)))
        with self._step(f"splitting of {entry.name}"):
            if len(own) >= 2 and not entry.edited:
                return self._splitByClicks(lesionId, own, maxRadius_mm)
            return self._splitByPieces(lesionId, corner, pieces, count)

    def _splitByClicks(self, lesionId, own, maxRadius_mm):
        ids = [lesionId]
        for pointId in own[1:]:
            ids.append(self._newId())
            self._describe(pointId, self._newNameNow(), "", ids[-1])
        for each in ids:
            name = next(c.label for c in self._clicks().values() if c.lesionId == each)
            self._write(self._grow(each, name, maxRadius_mm))
        return ids

    def _splitByPieces(self, lesionId, corner, pieces, count):
        order = 1 + np.argsort(-np.bincount(pieces.ravel(), minlength=count + 1)[1:], kind="stable")
        ids = []
        for number, piece in enumerate(order):
            name = self.session.entries[lesionId].name if number == 0 else self._newNameNow()
            ids.append(lesionId if number == 0 else self._newId())
            mask = pieces == piece
            if number:
                self._addClickInside(ids[-1], name, mask, corner)
            seeds = self._seedsOf(ids[-1], name)
            self._write(self.session.draw(ids[-1], name, mask, corner, seeds))
        return ids

    def _newNameNow(self):
        self.known = self._knownNow()
        return self._newName()

    def _addClickInside(self, lesionId, name, mask, corner):
        """A point at the deepest place of a mask that no click made."""
        depth = ndimage.distance_transform_edt(np.pad(mask, 1), self.place.geometry.spacing_kji_mm)
        index = np.unravel_index(int(np.argmax(depth)), depth.shape)
        ras = self.place.worldOfLps(self.place.geometry.points_of(np.add(index, corner) - 1.0))
        point = self.seedNode().AddControlPointWorld(*ras)
        self._describe(self.seeds.GetNthControlPointID(point), name, "", lesionId)

    def accept(self, lesionId, state="Completed"):
        """Set how far a lesion was reviewed."""
        with self._step("review"):
            setReviewState(self.segment(lesionId), state)
            self.publishTable()
