"""Fusion and the ways to look at it, as the planning logic offers them."""

import slicer


class PlanningFusionLogic:
    """Mixin of the planning logic; takes nodes and plain values, raises typed errors."""

    def fusion(self, t1c):
        """The transform that carries a T1c into CT space, None before the fusion."""
        from BMVascularLib.planningNodes import fusionAbove

        return fusionAbove(slicer.mrmlScene, t1c) if t1c is not None else None

    def fusionFacts(self, t1c, ct=None):
        """Verdict, reasons and numbers of the fusion of a T1c (with this CT); empty before it."""
        from BMVascularLib.planningNodes import fusionFacts

        return fusionFacts(self.fusion(t1c), ct)

    def planningFacts(self, ct, t1c, lesions):
        """The fusion that the targets rest on: none is needed where the lesions were drawn on the planning image."""
        from BMVascularLib.planningNodes import ONE_IMAGE, drawnOn

        if ct is not None and (ct is t1c or drawnOn(lesions, ct)):
            return dict(ONE_IMAGE)
        return self.fusionFacts(t1c, ct)

    def verdictText(self, facts):
        """Verdict in words."""
        from BMVascularLib.planningFusion import verdictText

        return verdictText(facts)

    def residualRows(self, t1c):
        """Expected fusion error at each lesion, mm."""
        from BMVascularLib import planningFusion, planningNodes
        from BMVascularLib.studyNodes import timepointOf
        from BMVascularLib.tables import rowsOfTable

        if self.fusion(t1c) is None:
            return []
        node = planningNodes.tableOf(slicer.mrmlScene, planningFusion.RESIDUALS, timepointOf(t1c))
        rows = rowsOfTable(node) if node is not None else []
        numbers = ("expected_error_mm", "upper_mm")
        return [row | {key: float(row[key]) if row[key] else None for key in numbers} for row in rows]

    def fuse(self, ct, t1c, lesions, progress=None, start=None, ageDays=None):
        """Register; see :func:`BMVascularLib.planningFusion.fuse`."""
        from BMVascularCore.planning.registration import register_rigid
        from BMVascularLib import planningFusion
        from BMVascularLib.background import inBackground

        register = inBackground(self.registerWith or register_rigid)
        return planningFusion.fuse(
            slicer.mrmlScene, ct, t1c, lesions, register, progress=progress, start=start, ageDays=ageDays
        )

    def startOfFusion(self, t1c, ctLandmarks, t1cLandmarks, here):
        """Where the search starts: landmarks, the present place, or None for the whole search."""
        from BMVascularLib import planningFusion

        if ctLandmarks is not None:
            return planningFusion.startOfLandmarks(slicer.mrmlScene, t1c, ctLandmarks, t1cLandmarks)[0]
        return planningFusion.startHere(slicer.mrmlScene, t1c) if here else None

    def check(self, ct, t1c, lesions, given=None, path="", progress=None, ageDays=None):
        """Check a given transform and use it; see :func:`BMVascularLib.planningFusion.check`."""
        from BMVascularCore.planning.registration import check_rigid
        from BMVascularLib import planningFusion
        from BMVascularLib.background import inBackground

        measure = inBackground(self.measureWith or check_rigid)
        return planningFusion.check(
            slicer.mrmlScene, ct, t1c, lesions, given, path, measure, progress=progress, ageDays=ageDays
        )

    def accept(self, t1c, looked):
        """Record what was looked at; see :func:`BMVascularLib.planningFusion.accept`."""
        from BMVascularLib.planningFusion import accept

        return accept(slicer.mrmlScene, t1c, looked)

    def withdraw(self, t1c):
        """Take the acceptance back."""
        from BMVascularLib.planningFusion import withdraw

        withdraw(slicer.mrmlScene, t1c)

    def showHandles(self, ct, t1c, lesions):
        """Handles to move a T1 with; see :func:`BMVascularLib.planningByHand.showHandles`."""
        from BMVascularLib.planningByHand import showHandles
        from BMVascularLib.planningNodes import drawnOn

        showHandles(slicer.mrmlScene, t1c, None if drawnOn(lesions, ct) else lesions)

    def hideHandles(self):
        """Hide the handles."""
        from BMVascularLib.planningByHand import hideHandles

        hideHandles(slicer.mrmlScene)

    def acceptanceRows(self, t1c):
        """Rows of the acceptance table."""
        from BMVascularLib.planningFusion import acceptance
        from BMVascularLib.studyNodes import timepointOf

        return acceptance(slicer.mrmlScene, timepointOf(t1c)) if self.fusion(t1c) is not None else []

    # -- views

    def showPair(self, background, foreground, opacity):
        """One volume over another in every slice view."""
        from BMVascularLib.planningViews import showPair

        showPair(slicer.mrmlScene, background, foreground, opacity)

    def setOpacity(self, opacity):
        """Opacity of the upper volume."""
        from BMVascularLib.planningViews import setOpacity

        setOpacity(slicer.mrmlScene, opacity)

    def jumpToLesion(self, lesions, name):
        """Centre the slice views on a lesion."""
        from BMVascularLib.planningNodes import centresRas
        from BMVascularLib.planningViews import jumpTo

        centre = centresRas(lesions).get(name)
        if centre is not None:
            jumpTo(slicer.mrmlScene, centre)

    def showCheckerboard(self, ct, t1c, squareMm):
        """Make and show the checkerboard."""
        from BMVascularLib.planningViews import addCheckerboard

        node = addCheckerboard(slicer.mrmlScene, ct, t1c, squareMm)
        self.showPair(node, None, 0.0)
        return node

    def spyGlass(self, ct, t1c):
        """Make and show the spy-glass."""
        from BMVascularLib.planningViews import SpyGlass

        glass = SpyGlass(slicer.mrmlScene, ct, t1c)
        self.showPair(glass.node, None, 0.0)
        return glass

    def showBoneEdges(self, ct):
        """Make and show the bone edges of the CT."""
        from BMVascularLib.planningViews import addBoneEdges

        return addBoneEdges(slicer.mrmlScene, ct)

    def removeDerived(self, *roles):
        """Remove what is shown only."""
        from BMVascularLib.planningNodes import removeRole

        removeRole(slicer.mrmlScene, *roles)
