"""Organs, dose, export and self-test as the planning logic offers them: what was computed last is kept here."""

import slicer

from BMVascularLib.studyNodes import firstOf, timepointOf


class PlanningReviewLogic:
    """Mixin of the planning logic; takes nodes and plain values, raises typed errors."""

    def forget(self):
        """Let go of what belongs to a scene that closes."""
        self.lastReview = None
        self._imported = {}
        self._barriers = (None, None)

    def targets(self, lesions):
        """The targets of the time point of some lesions, None before they are made."""
        return firstOf(slicer.mrmlScene, "targets", timepointOf(lesions)) if lesions is not None else None

    def showReferences(self, lesions, on):
        """Habitats, front and permeable part as outlines; see :func:`planningReference.showRegions`."""
        from BMVascularLib.planningReference import showRegions

        return showRegions(slicer.mrmlScene, lesions, on)

    def referencesShown(self, lesions):
        """True while the reference regions are in the scene."""
        from BMVascularLib.planningReference import REFERENCES

        return lesions is not None and firstOf(slicer.mrmlScene, REFERENCES, timepointOf(lesions)) is not None

    # -- organs

    def importStructures(self, path, ct):
        """Add a structure file; returns the segmentation and what the reader has to say."""
        from BMVascularLib.planningOrgans import importStructures

        node, found = importStructures(slicer.mrmlScene, path, ct, timepointOf(ct) if ct is not None else "")
        if found.from_contours:
            self._imported[node.GetID()] = found
        return node, found.warnings

    def organStructures(self, organs):
        """Organs as structures: contours as they were read, else masks of the segments."""
        from BMVascularLib.planningNodes import structuresOfNode

        if organs is None:
            return []
        imported = self._imported.get(organs.GetID())
        return imported.structures if imported is not None else structuresOfNode(organs)

    def organNames(self, organs):
        """Names of the organs, in order."""
        from BMVascularLib.planningNodes import structureNames

        return structureNames(organs)

    def distances(self, lesions, organs):
        """Surface distances in mm, and the organs' names."""
        from BMVascularLib.planningNodes import putTable
        from BMVascularLib.planningOrgans import DISTANCE_COLUMNS, distanceRows

        rows, names = distanceRows(lesions, organs)
        label = timepointOf(lesions)
        columns = [DISTANCE_COLUMNS[0], *names, *DISTANCE_COLUMNS[1:]]
        putTable(slicer.mrmlScene, "distances", label, rows, f"{label} distances".strip(), columns)
        return rows, names

    def constraintRows(self, fractions, organs):
        """Constraints for the organs present, with the user's edits; values where a dose was reviewed."""
        from BMVascularLib.planningOrgans import constraintRows

        dvhs = self.lastReview.dvhs if self.lastReview is not None else ()
        return constraintRows(slicer.mrmlScene, fractions, self.organNames(organs), dvhs)

    def editConstraint(self, row, limit, source):
        """Another limit or citation for a constraint row; see :func:`planningOrgans.editConstraint`."""
        from BMVascularLib.planningOrgans import editConstraint

        editConstraint(slicer.mrmlScene, row, limit, source)

    def addDrawing(self, ct):
        """An empty segmentation to draw organs into."""
        from BMVascularLib.planningOrgans import addDrawing

        return addDrawing(slicer.mrmlScene, ct)

    def useAsLesion(self, organs, name, ct):
        """Take a structure of the organs as a lesion; returns the segmentation of such lesions."""
        from BMVascularLib.planningOrgans import useAsLesion

        structure = next(each for each in self.organStructures(organs) if each.name == name)
        return useAsLesion(slicer.mrmlScene, structure, ct)

    # -- dose

    def importDose(self, path, ct):
        """Add a dose file as a volume in Gy; returns the volume and what the reader has to say."""
        from BMVascularLib.planningDose import importDose

        return importDose(slicer.mrmlScene, path, ct)

    def review(self, dose, unit, lesions, organs, prescription, brain, progress=None, against=None):
        """Review a plan: metrics table, chart, dose of the habitats, and a second plan beside it.

        Raises
        ------
        InputError, Cancelled
            What was reviewed before stays.
        """
        from BMVascularCore.planning.compare import COLUMNS as COMPARED
        from BMVascularCore.planning.compare import compare_plans
        from BMVascularCore.planning.dose import DoseField
        from BMVascularCore.planning.reference import COLUMNS as DOSED
        from BMVascularCore.progress import share_of, silent
        from BMVascularLib import planningDose, planningReference, planningViews

        scene, label, targets = slicer.mrmlScene, timepointOf(lesions or dose), self.targets(lesions)
        grid = planningDose.doseGrid(dose, unit)
        prescribed = planningDose.parsePrescription(prescription, targets)
        imported = self._imported.get(organs.GetID()) if organs is not None else None
        structures = planningDose.reviewStructures(targets, organs, imported)
        regions = planningReference.regionsOf(scene, lesions)
        progress = progress or silent
        second = None
        if against is not None and against is not dose:
            other = planningDose.doseGrid(against, unit)
            part = share_of(progress, 0.0, 0.5)
            second = planningDose.reviewSecond(other, structures, prescribed, brain, part)
            progress = share_of(progress, 0.5, 1.0)
        found = planningDose.review(scene, grid, structures, prescribed, brain, label, progress)
        compared = compare_plans(found, second) if second is not None else []
        planningDose.keepRows(scene, planningDose.COMPARISON, compared, COMPARED, label)
        colors = planningDose.structureColors(targets, organs)
        self.chart = planningViews.addDvhChart(scene, found.dvhs, colors, label)
        self.lastReview = found
        dosed = planningReference.doseRows(regions, DoseField(grid), prescribed, targets)
        planningDose.keepRows(scene, planningDose.HABITATS, dosed, DOSED, label)
        return found

    def comparisonRows(self, lesions):
        """Both plans of the last comparison side by side."""
        from BMVascularLib.planningDose import COMPARISON, keptRows

        return keptRows(slicer.mrmlScene, COMPARISON, lesions)

    def habitatRows(self, lesions):
        """Dose of the habitats in the last review."""
        from BMVascularLib.planningDose import HABITATS, keptRows

        return keptRows(slicer.mrmlScene, HABITATS, lesions)

    def showChart(self, lesions):
        """Chart and table of the last review below the slices; False where there is none."""
        from BMVascularLib.planningViews import showReview

        app = slicer.app.applicationLogic()
        node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
        label = timepointOf(lesions) if lesions is not None else ""
        return showReview(slicer.mrmlScene, node, app.GetSelectionNode(), label)

    def reviewRows(self, lesions):
        """Rows of the last review."""
        from BMVascularLib.planningDose import keptRows

        return keptRows(slicer.mrmlScene, "metrics", lesions)

    def definition(self, key):
        """Definition of a metric, '' without one."""
        from BMVascularCore.planning.indices import DEFINITIONS

        return DEFINITIONS.get(key, "")

    def conventions(self, lesions):
        """What the numbers of the last review rest on: end caps, interpolation, grids."""
        from BMVascularLib.planningDose import conventions

        return conventions(slicer.mrmlScene, lesions)

    def drawIsodoses(self, dose, unit, text, prescription, lesions):
        """Isodose lines at typed levels; per cent refer to the one prescription that was typed."""
        from BMVascularLib import planningDose, planningViews

        given = {}
        if prescription.strip():
            targets = self.targets(lesions)
            parsed = planningDose.parsePrescription(prescription, targets)
            given = planningDose.lesionPrescriptions(parsed, targets) or {"": parsed}
        levels = planningViews.parseLevels(text, given)
        volume = planningDose.doseGrid(dose, unit).volume
        return planningViews.addIsodoses(slicer.mrmlScene, volume, levels, timepointOf(dose))

    def showIsodoses(self, visible):
        """Show or hide the isodose lines."""
        from BMVascularLib.planningViews import showIsodoses

        showIsodoses(slicer.mrmlScene, visible)

    def doseWindow(self, dose):
        """Lowest and highest dose of the colour scale, and the largest dose, in the volume's unit."""
        from BMVascularLib.display import windowOf

        image = dose.GetImageData()
        top = image.GetScalarRange()[1] if image is not None else 0.0
        return (*windowOf(dose), top)

    def setDoseWindow(self, dose, low, high):
        """Colour range of the dose; below it nothing is drawn."""
        from BMVascularLib import display

        display.showMap(dose, low, max(high, low + 0.01), "Dose", threshold=max(low, 0.05 * high))
        legend = display.legendOf(dose)
        if legend is not None:
            legend.SetLabelFormat("%.1f")

    def showDose(self, ct, dose, opacity):
        """Dose over the CT in the colours of dose, whatever the volume came with."""
        from BMVascularLib.colors import PREFIX
        from BMVascularLib.planningViews import showPair

        colors = dose.GetDisplayNode().GetColorNode()
        if colors is None or colors.GetName() != f"{PREFIX}Dose":
            self.setDoseWindow(dose, 0.0, self.doseWindow(dose)[2])
        showPair(slicer.mrmlScene, ct, dose, opacity)

    def showDoseLegend(self, dose, visible):
        """Show or hide the legend of the dose."""
        from BMVascularLib import display

        legend = display.legendOf(dose)
        if legend is None and visible:
            legend = display.addColorLegend(dose, "Dose", "Gy")
        if legend is not None:
            legend.SetVisibility(visible)

    def handToSlicerRt(self, dose, lesions, organs):
        """Make dose, targets and organs known to SlicerRT."""
        from BMVascularLib.planningDose import handToSlicerRt

        handToSlicerRt(slicer.mrmlScene, dose, self.targets(lesions), organs)

    def biologicalText(self, prescription, fractions, lesions):
        """BED and EQD2 of the typed prescription; '' as long as it cannot be read."""
        from BMVascularCore.errors import InputError
        from BMVascularLib.planningDose import biologicalText, parsePrescription

        if not prescription.strip() or not fractions:
            return ""
        try:
            return biologicalText(parsePrescription(prescription, self.targets(lesions)), fractions)
        except InputError:
            # still being typed
            return ""

    # -- export

    def exportRefusal(self, ct, t1c, lesions):
        """Why nothing can be exported; '' when it can."""
        from BMVascularLib.planningExport import refusal

        return refusal(ct, self.planningFacts(ct, t1c, lesions), self.targets(lesions))

    def seriesFolder(self, node):
        """Folder with the DICOM files of a volume that Slicer's database brought, '' without one."""
        from BMVascularLib.planningNodes import seriesFolder

        return seriesFolder(node)

    def exportStamp(self, ct, t1c, lesions):
        """What tells whether a preview still shows what would be written now."""
        from BMVascularLib.planningExport import stampOf

        nodes = (self.targets(lesions), lesions)
        return stampOf((ct, t1c), nodes, self.planningFacts(ct, t1c, lesions))

    def previewExport(self, ct, t1c, lesions, ctFolder, mrFolder, progress=None, references=True):
        """Make and check every DICOM object in memory."""
        from BMVascularLib.planningExport import planExport
        from BMVascularLib.planningReference import regionsOf

        targets = self.targets(lesions)
        regions = regionsOf(slicer.mrmlScene, lesions) if references else None
        facts = self.planningFacts(ct, t1c, lesions)
        return planExport(ct, t1c, facts, targets, lesions, ctFolder, mrFolder, progress, regions)

    def writeExport(self, objects, folder):
        """Write the objects of a preview together."""
        from BMVascularLib.planningExport import writeExport

        return writeExport(objects, folder)

    # -- self-test

    def selfTest(self, progress=None):
        """Error in % of every figure, one row a sphere."""
        from BMVascularCore.planning.selftest import run_self_test
        from BMVascularCore.progress import silent

        rows = {}
        for found in run_self_test(progress=progress or silent):
            row = rows.setdefault(found["diameter_mm"], {"diameter_mm": found["diameter_mm"]})
            row[found["quantity"]] = f"{found['error_percent']:+.2f} %"
        return list(rows.values())
