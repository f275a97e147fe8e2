"""What the Phenotype module does without its panel: usable from scripts."""

import slicer


class PhenotypeActions:
    """Mixin of the module's logic."""

    INPUT_COLUMNS = (("input", "Input"), ("state", "Node, or what is missing"))

    def table(self):
        """The shipped evidence table and rule set."""
        from BMVascularCore.phenotype import load_table

        if self._table is None:
            self._table = load_table()
        return self._table

    def timepoints(self):
        """Time points with a segmentation of lesions."""
        from BMVascularLib.phenotypeNodes import lesionTimepoints

        return lesionTimepoints(slicer.mrmlScene)

    def inputRows(self, timepoint):
        """Inputs of a time point by role, and what a missing one costs."""
        from BMVascularLib.phenotypeNodes import inputRows

        return inputRows(slicer.mrmlScene, timepoint)

    def contextText(self, timepoint):
        """The context of a time point as JSON text."""
        from BMVascularLib.phenotypeNodes import contextText

        return contextText(slicer.mrmlScene, timepoint)

    def contextContent(self, timepoint):
        """The context of a time point as an object."""
        from BMVascularLib.phenotypeNodes import contextContent

        return contextContent(self.contextText(timepoint))

    def setContext(self, timepoint, content):
        """Keep a context; returns its warnings as text.

        Raises
        ------
        InputError
            Nothing is kept then.
        """
        from BMVascularCore.phenotype import parse_context
        from BMVascularLib.phenotypeContext import contextJson
        from BMVascularLib.phenotypeNodes import setContextText

        warnings = parse_context(content).warnings
        setContextText(slicer.mrmlScene, timepoint, contextJson(content))
        return " ".join(warnings)

    def assess(self, timepoint, progress=None):
        """Assess the lesions of a time point; results go into the scene when all is done.

        Parameters
        ----------
        timepoint : str
        progress : callable, optional

        Returns
        -------
        BMVascularLib.phenotypeNodes.PhenotypeResult

        Raises
        ------
        InputError
        """
        from BMVascularCore.phenotype import assess_lesions
        from BMVascularCore.progress import share_of, silent
        from BMVascularLib import phenotypeNodes, phenotypeOverlays

        progress, scene = progress or silent, slicer.mrmlScene
        context = self.contextContent(timepoint)
        inputs = phenotypeNodes.readInputs(scene, timepoint, share_of(progress, 0.0, 0.1))
        assessment = assess_lesions(
            inputs.labels,
            inputs.maps,
            inputs.compartments,
            context,
            self.table(),
            share_of(progress, 0.1, 0.95),
            names=inputs.names,
        )
        shells = None
        if self.hasShells(timepoint):
            shells = phenotypeOverlays.shellVolume(inputs, self.table().rules, share_of(progress, 0.95, 1.0))
        # nothing raises from here on: the scene is changed as a whole or not at all
        for kind in phenotypeOverlays.SURFACES:
            phenotypeOverlays.removeSurfaces(scene, timepoint, kind)
        phenotypeNodes.storeResult(scene, timepoint, assessment, context)
        if shells is not None:
            phenotypeOverlays.storeShells(scene, timepoint, shells)
        return self.result(timepoint)

    def result(self, timepoint):
        """The stored assessment of a time point, None without one."""
        from BMVascularLib.phenotypeNodes import DETAILS, nodeOf, readResult

        node = nodeOf(slicer.mrmlScene, DETAILS, timepoint)
        if node is None:
            return None
        key = (node.GetID(), node.GetMTime())
        if timepoint not in self._cache or self._cache[timepoint][0] != key:
            self._cache[timepoint] = (key, readResult(slicer.mrmlScene, timepoint))
        return self._cache[timepoint][1]

    def otherSides(self, timepoint):
        """Lesions of the time points that the views show beside this one, by time point."""
        from BMVascularLib.phenotypeViews import shownTimepoints

        labels = [label for label in shownTimepoints(slicer.mrmlScene, timepoint) if label != timepoint]
        results = {label: self.result(label) for label in labels}
        return {label: result.lesions if result is not None else [] for label, result in results.items()}

    def tryWhatIf(self, timepoint, whatIf):
        """Assess the stored values again under other limits or without some inputs; stores nothing."""
        from BMVascularLib.phenotypeWhatIf import assessWhatIf

        return assessWhatIf(self.result(timepoint), whatIf, self.table())

    def change(self):
        """Change between the assessed time points, None with fewer than two."""
        from BMVascularLib.phenotypeChange import compareScene

        return compareScene(slicer.mrmlScene)

    def exportDicom(self, timepoint, source, out):
        """Write SR and SEG; returns the file names."""
        from BMVascularLib.phenotypeExport import exportDicom

        rules = self.table().rules
        return exportDicom(slicer.mrmlScene, timepoint, self.result(timepoint), rules, source, out)

    def takeTestRetest(self, path):
        """Keep a site's own repeatability; returns it by metric."""
        from BMVascularLib.phenotypeExport import takeTestRetest

        return takeTestRetest(slicer.mrmlScene, path, self.table().rules)

    def hasShells(self, timepoint):
        """True when the shells of a time point are in the scene."""
        from BMVascularLib.phenotypeNodes import nodeOf
        from BMVascularLib.phenotypeOverlays import SHELLS

        return nodeOf(slicer.mrmlScene, SHELLS, timepoint) is not None

    def makeShells(self, timepoint, progress=None):
        """Make core, rim, solid part, front and distal oedema of every lesion; returns the label map."""
        from BMVascularLib import phenotypeOverlays
        from BMVascularLib.phenotypeNodes import readInputs

        inputs = readInputs(slicer.mrmlScene, timepoint)
        volume = phenotypeOverlays.shellVolume(inputs, self.table().rules, progress)
        phenotypeOverlays.removeSurfaces(slicer.mrmlScene, timepoint, phenotypeOverlays.SHELLS)
        return phenotypeOverlays.storeShells(slicer.mrmlScene, timepoint, volume)

    def jumpTo(self, timepoint, name):
        """Centre the views on a lesion; returns its centre, RAS mm."""
        from BMVascularLib.phenotypeViews import jumpTo

        return jumpTo(slicer.mrmlScene, timepoint, name)

    def linkViews(self, linked, lesion=""):
        """Let slice views move together, or not; two dates keep the distance between a lesion's centres."""
        from BMVascularLib.phenotypeLink import SideLink, shiftBetween
        from BMVascularLib.phenotypeViews import linkViews, sidesAreShown

        self.unlinkViews()
        sides = sidesAreShown(slicer.mrmlScene)
        # Slicer's own link would put both dates at the same place in space
        linkViews(slicer.mrmlScene, linked and not sides)
        if linked and sides:
            self._link = SideLink(slicer.mrmlScene)
            self._link.start(shiftBetween(slicer.mrmlScene, lesion))

    def unlinkViews(self):
        """Stop watching the views."""
        if self._link is not None:
            self._link.stop()
            self._link = None

    def showReading(self, timepoint, lesion):
        """The layout for reading; returns the layout before."""
        from BMVascularLib import phenotypeViews

        application = slicer.app.applicationLogic()
        before = phenotypeViews.showReading(
            slicer.mrmlScene,
            slicer.app.layoutManager().layoutLogic().GetLayoutNode(),
            application.GetSelectionNode(),
            timepoint,
            self.result(timepoint),
            lesion,
        )
        application.PropagateTableSelection()
        application.PropagatePlotChartSelection()
        return before

    def updateReading(self, timepoint, lesion):
        """Chart and table of the reading layout follow the result and the chosen lesion."""
        from BMVascularLib.phenotypeViews import updateReading

        updateReading(slicer.mrmlScene, timepoint, self.result(timepoint), lesion)

    def showFollowUp(self):
        """Two time points side by side; returns the layout before."""
        from BMVascularLib import phenotypeViews

        layout = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
        before = phenotypeViews.showFollowUp(slicer.mrmlScene, layout)
        slicer.util.resetSliceViews()
        return before

    def showLayout(self, number):
        """A layout by its number; everything shows in all views again."""
        from BMVascularLib import phenotypeViews

        phenotypeViews.restrictToViews(slicer.mrmlScene, {})
        slicer.app.layoutManager().setLayout(number)

    def probeText(self, timepoint, ras):
        """What lies under a point, as a line."""
        from BMVascularLib.probe import probe, probeText

        return probeText(probe(slicer.mrmlScene, timepoint, ras))
