"""What the Phenotype panel shows: each part is filled anew only when it changed."""

import slicer
from slicer.i18n import tr as _

from BMVascularLib.widgets.panel import fillTable, setEnabledWithReason

CHART_WIDTH = 350


class PhenotypeDisplay:
    """Mixin of the panel: brings the form up to date with scene and parameter node."""

    def refresh(self, caller=None, event=None):
        if self._parameterNode is None or self._showing:
            return
        self._showing = True
        try:
            self._showInputs()
            self._showLesions()
            self._showEvidence()
            self._showViews()
            self._showChange()
        finally:
            self._showing = False

    @property
    def timepoint(self):
        """The time point that is shown."""
        return self._parameterNode.timepoint if self._parameterNode is not None else ""

    def _shown(self):
        """The lesions that are shown: of the what-if where one is tried."""
        result = self.logic.result(self.timepoint)
        if self._tried is not None:
            return self._tried.lesions
        return result.lesions if result is not None else []

    def _changed(self, key, state):
        """True when a part of the panel has to be filled anew."""
        changed = self._seen.get(key) != state
        self._seen[key] = state
        return changed

    def forget(self, key):
        """Fill a part of the panel anew at the next refresh."""
        self._seen.pop(key, None)

    def _showInputs(self):
        ui, labels = self.ui, self.logic.timepoints()
        if self._changed("timepoints", labels):
            ui.timepointBox.clear()
            ui.timepointBox.addItems(labels)
        ui.timepointBox.setCurrentText(self.timepoint)
        rows = self.logic.inputRows(self.timepoint) if self.timepoint else []
        if self._changed("inputs", rows):
            fillTable(ui.inputsTable, rows, self.logic.INPUT_COLUMNS)
        text = self.logic.contextText(self.timepoint)
        if self._changed("context", (self.timepoint, text)):
            self.contextForm.show(self.logic.contextContent(self.timepoint))
        problem = "" if labels else _("Segment lesions first: the scene has no segmentation of lesions.")
        setEnabledWithReason(ui.applyButton, problem, _("Assess the lesions of this time point."))

    def _showLesions(self):
        from BMVascularLib.widgets import phenotypeTables as tables

        result = self.logic.result(self.timepoint)
        if self._changed("result", (self.timepoint, id(result))):
            self._dropWhatIf()
            self.ui.summaryLabel.text = result.patient["text"] if result else _("Not assessed yet.")
            tables.fillLimits(self.ui.whatIfTable, self.logic.table(), self._whatIf)
        self.ui.warningsLabel.text = "\n".join(self._warnings(result))
        if self._changed("lesions", (self.timepoint, id(result), id(self._tried))):
            before = result.lesions if self._tried is not None else ()
            tables.fillLesions(self.ui.lesionsTable, self._shown(), before)
            if self._tried is None:
                tables.fitLesionColumns(self.ui.lesionsTable)
        for widget in (self.ui.whatIfTable, self.ui.resetButton, self.ui.readingButton, self.ui.exportButton):
            widget.enabled = result is not None
        self.ui.followUpButton.enabled = len(self.logic.timepoints()) > 1
        tables.selectLesion(self.ui.lesionsTable, self._parameterNode.lesion)

    def _warnings(self, result):
        from BMVascularLib.phenotypeNodes import lesionsChanged

        if result is None:
            return []
        if lesionsChanged(slicer.mrmlScene, self.timepoint, result):
            return [_("The lesions were changed since this assessment: assess them again."), *result.warnings]
        return result.warnings

    def _showEvidence(self):
        from BMVascularLib.phenotypeChart import evidenceChart
        from BMVascularLib.phenotypeText import lesionHtml
        from BMVascularLib.widgets.picture import showPicture

        name = self._parameterNode.lesion
        lesion = next((lesion for lesion in self._shown() if lesion["name"] == name), None)
        if not self._changed("evidence", id(lesion)):
            return
        if lesion is None:
            showPicture(self.ui.chartLabel, None)
            self.ui.chartLabel.text = _("Choose a lesion.")
            self.ui.explanationBrowser.setHtml("")
            return
        self.logic.updateReading(self.timepoint, name)
        showPicture(self.ui.chartLabel, evidenceChart(lesion, CHART_WIDTH))
        self.ui.explanationBrowser.setHtml(lesionHtml(lesion))

    def _showViews(self):
        from BMVascularLib.phenotypeViews import sidesAreShown

        others = self.logic.otherSides(self.timepoint)
        self.overlay.update(self._parameterNode, self.timepoint, self._shown(), others)
        node = self._parameterNode
        if self._changed("linked", (node.linked, node.lesion, sidesAreShown(slicer.mrmlScene))):
            self.logic.linkViews(node.linked, node.lesion)
        self.ui.backButton.enabled = self._layoutBefore is not None

    def _showChange(self):
        from BMVascularLib.phenotypeChange import COLUMNS, changeTableRows, changeTexts

        results = [id(self.logic.result(label)) for label in self.logic.timepoints()]
        if not self._changed("change", results):
            return
        with slicer.util.tryWithErrorDisplay(_("The time points were not compared.")):
            report = self.logic.change()
            fillTable(self.ui.changeTable, changeTableRows(report) if report else [], COLUMNS)
            needed = _("Two assessed time points are needed.")
            self.ui.changeLabel.text = "\n".join(changeTexts(report)) if report else needed

    def _dropWhatIf(self):
        from BMVascularLib.phenotypeWhatIf import WhatIf

        self._whatIf, self._tried = WhatIf(), None
        self.ui.whatIfLabel.text = _("Untick an input or type another limit. Nothing of this is stored.")
