"""The section Targets of the planning panel."""

import qt
import slicer
from slicer.i18n import tr as _

from BMVascularLib.widgets.panel import fillTable, makeEditable, setEnabledWithReason, unticked
from BMVascularLib.widgets.tasks import runTask


class TargetsSection:
    """Margins in a table; volumes follow each edit."""

    TARGET_COLUMNS = (
        ("name", _("Lesion")),
        ("diameter_mm", _("Ø mm")),
        ("ctv_margin", _("CTV + mm")),
        ("ptv_margin", _("PTV + mm")),
        ("gtv_ml", _("GTV mL")),
        ("ctv_ml", _("CTV mL")),
        ("ptv_ml", _("PTV mL")),
        ("distance_mm", _("To isocentre mm")),
        ("displacement_mm", _("Rotation mm")),
        ("rotation_margin_mm", _("Margin needed mm")),
        ("volume_factor", _("Volume ×")),
        ("published", _("Published (reference)")),
        ("note", _("Note")),
    )
    REFERENCE_COLUMNS = (
        ("text", _("Dose")),
        ("setting", _("Setting")),
        ("source", _("Source")),
        ("verified", _("Checked")),
    )
    EDITABLE = (2, 3)
    SIDES = {  # noqa: RUF012
        "L": "left", "R": "right", "A": "anterior", "P": "posterior", "S": "superior", "I": "inferior",
    }  # fmt: skip
    _cutBy = (False, "")

    def setupTargets(self):
        """Connect the section."""
        ui = self.ui
        ui.targetsButton.connect("clicked(bool)", self.onMakeTargets)
        ui.targetsTable.connect("itemChanged(QTableWidgetItem*)", self.onMarginEdited)
        ui.targetsTable.connect("itemSelectionChanged()", self.updateReference)
        ui.targetsTable.connect("cellClicked(int,int)", self.onTargetRow)
        for box in (ui.lesionCtvSpin, ui.lesionPtvSpin):
            box.connect("valueChanged(double)", self.onLesionMargin)
        ui.sidesBox.addItems(["CTV", "PTV"])
        ui.sidesBox.currentIndex = 1
        ui.sidesBox.connect("currentIndexChanged(int)", self.updateLesionMargin)
        self.sideSpins = {side: getattr(ui, f"side{side}Spin") for side in self.SIDES}
        for box in self.sideSpins.values():
            box.connect("valueChanged(double)", self.onSideMargin)
        ui.referencesBox.connect("toggled(bool)", self.onReferencesShown)
        ui.skullBox.connect("toggled(bool)", self.onBarriers)
        ui.barrierEdit.connect("editingFinished()", self.onBarriers)
        ui.targetsFillSlider.connect("valueChanged(double)", self.onTargetsFill)
        for box in (ui.angleSpin, ui.translationSpin):
            box.connect("valueChanged(double)", self.updateRotation)
        ui.isocentreSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onIsocentreChosen)
        self._isocentre = None
        ui.mriAgeSpin.connect("valueChanged(int)", self.updateAge)

    def onMakeTargets(self, checked=False):
        """Targets of every lesion, with progress and Cancel."""
        p = self._parameterNode
        with slicer.util.tryWithErrorDisplay(_("The targets were not made."), waitCursor=True):
            runTask(
                _("Making targets"),
                lambda progress: self.logic.makeTargets(
                    p.lesions, p.ctVolume, p.ctvMm, p.ptvMm, progress, self.barriers()
                ),
            )
            self.onTargetsFill(p.targetsFill)
            slicer.util.resetThreeDViews()
        self.refreshAll()

    def barriers(self):
        """What targets may not grow into, as chosen; None without a choice."""
        p = self._parameterNode
        return self.logic.barriers(p.ctVolume, p.lesions, p.organs, p.skullBarrier, p.barrierNames)

    def onBarriers(self, *_args):
        """Other barriers: targets that are there are cut again."""
        p = self._parameterNode
        chosen = (self.ui.skullBox.checked, self.ui.barrierEdit.text.strip())
        if p is None or self._connecting or chosen == self._cutBy or not self.ui.targetsTable.rowCount:
            self._cutBy = chosen
            return
        before, self._cutBy = self._cutBy, chosen
        p.skullBarrier, p.barrierNames = chosen
        usable = False
        try:
            with slicer.util.tryWithErrorDisplay(_("The targets stay as they were cut."), waitCursor=True):
                self.barriers()
                usable = True
        finally:
            if not usable:
                # once the parameter node has taken what was just typed, which would win otherwise
                qt.QTimer.singleShot(0, lambda: self.restoreBarriers(before))
        self.onMakeTargets()

    def restoreBarriers(self, before):
        """What stands in the panel is what the targets were cut by."""
        self._cutBy = before
        if self._parameterNode is not None:
            self._parameterNode.skullBarrier, self._parameterNode.barrierNames = before

    def onIsocentreChosen(self, node=None):
        """The rotation figures follow the chosen point, also while it is placed or dragged."""
        event = slicer.vtkMRMLMarkupsNode.PointModifiedEvent
        if self._isocentre is not None:
            self.removeObserver(self._isocentre, event, self.updateRotation)
        self._isocentre = node
        if node is not None:
            self.addObserver(node, event, self.updateRotation)
        self.updateRotation()

    def updateRotation(self, *_args):
        """Other angle, translation or isocentre."""
        if self._parameterNode is not None and not self._connecting:
            self.updateTargets()

    def updateTargets(self):
        """Fill the table from the segmentation."""
        ui, p = self.ui, self._parameterNode
        problem = ""
        if p is None or p.lesions is None or p.ctVolume is None:
            problem = _("Choose the planning CT and the lesions.")
        elif not self.logic.planningFacts(p.ctVolume, p.t1cVolume, p.lesions):
            problem = _("Fuse the T1 with the CT first.")
        setEnabledWithReason(
            ui.targetsButton,
            problem,
            _("GTV, CTV and PTV of every lesion in the space of the planning CT."),
        )
        rows = []
        if p is not None and p.lesions is not None:
            rows = self.logic.targetRows(
                p.lesions, ui.angleSpin.value, ui.translationSpin.value, ui.isocentreSelector.currentNode()
            )
        ui.targetsTable.blockSignals(True)
        fillTable(ui.targetsTable, rows, self.TARGET_COLUMNS)
        makeEditable(
            ui.targetsTable,
            self.EDITABLE,
            _("Margin in mm, 0 to 30. Double click to edit; 2 L4 S1 is 2 mm, 4 left, 1 superior."),
        )
        ui.targetsTable.blockSignals(False)
        shown = p is not None and self.logic.referencesShown(p.lesions)
        ui.referencesBox.blockSignals(True)
        ui.referencesBox.checked = shown
        ui.referencesBox.blockSignals(False)
        self.updateReference()
        self.updateAge()

    def onMarginEdited(self, item):
        """Make the targets of the edited lesion again, of no other."""
        table = self.ui.targetsTable
        table.blockSignals(True)
        table.selectRow(item.row())
        table.blockSignals(False)
        self.changeChosen([table.item(item.row(), column).text() for column in self.EDITABLE])

    def onLesionMargin(self, value):
        """The spin boxes of the chosen lesion: slices, 3D and volumes follow each turn."""
        self.changeChosen([f"{box.value:g}" for box in (self.ui.lesionCtvSpin, self.ui.lesionPtvSpin)])

    def onSideMargin(self, value):
        """The margin towards one side of the chosen lesion."""
        table = self.ui.targetsTable
        if table.currentRow() < 0:
            return
        margins = [table.item(table.currentRow(), column).text() for column in self.EDITABLE]
        sides = " ".join(f"{side}{box.value:g}" for side, box in self.sideSpins.items())
        margins[self.ui.sidesBox.currentIndex] = sides
        self.changeChosen(margins)

    def changeChosen(self, margins):
        """Other margins (CTV, PTV, as text) for the chosen lesion."""
        p, table = self._parameterNode, self.ui.targetsTable
        row = table.currentRow()
        if p is None or self._connecting or row < 0:
            return
        name = table.item(row, 0).text()
        try:
            with slicer.util.tryWithErrorDisplay(_("The margin was not changed.")):
                chosen = [self.logic.marginOfText(text) for text in margins]
                self.logic.setMargins(p.lesions, p.ctVolume, name, *chosen, self.barriers())
        finally:
            self.updateTargets()
            self.updateExport()
            table.selectRow(row)

    def updateLesionMargin(self, *_args):
        """Margins of the chosen lesion in the spin boxes; off where there is none or its sides differ."""
        ui, table = self.ui, self.ui.targetsTable
        row = table.currentRow()
        margins = []
        if row >= 0:
            margins = [self.logic.marginOfText(table.item(row, c).text()) for c in self.EDITABLE]
        chosen = margins[ui.sidesBox.currentIndex] if margins else None
        shown = {box: getattr(chosen, self.SIDES[side], 0.0) for side, box in self.sideSpins.items()}
        for n, box in enumerate((ui.lesionCtvSpin, ui.lesionPtvSpin)):
            shown[box] = margins[n].largest_mm if margins else 0.0
        for box, value in shown.items():
            box.blockSignals(True)
            box.value = value
            box.blockSignals(False)
        none = "" if margins else _("Make targets and choose a lesion in the table.")
        problem = none
        if not problem and not all(margin.isotropic for margin in margins):
            problem = _("The sides differ: edit them below or in the table.")
        for box, hint in (
            (ui.lesionCtvSpin, _("Margin from GTV to CTV of the chosen lesion, in mm.")),
            (ui.lesionPtvSpin, _("Margin from CTV to PTV of the chosen lesion, in mm.")),
        ):
            setEnabledWithReason(box, problem, hint)
        for side, box in self.sideSpins.items():
            hint = _("Margin towards the patient's {side} side, in mm.").format(side=self.SIDES[side])
            setEnabledWithReason(box, none, hint)

    def onReferencesShown(self, on):
        """Habitats and front as outlines that are not for treatment, or without them."""
        p = self._parameterNode
        if p is None or self._connecting:
            return
        with (
            unticked(self.ui.referencesBox, on),
            slicer.util.tryWithErrorDisplay(_("The reference regions cannot be shown."), waitCursor=True),
        ):
            self.logic.showReferences(p.lesions, on)

    def onTargetRow(self, row, column):
        """Go to the lesion of a row."""
        self.jumpToLesion(self.ui.targetsTable.item(row, 0).text())

    def updateReference(self):
        """Published rows and margins of the chosen lesion."""
        table = self.ui.targetsTable
        self.updateLesionMargin()
        row = max(table.currentRow(), 0)
        rows = []
        if table.rowCount > 0:
            name = table.item(row, 0).text()
            rows = self.logic.referenceRows(self._parameterNode.lesions, name)
        fillTable(self.ui.referenceTable, rows, self.REFERENCE_COLUMNS)

    def onTargetsFill(self, value):
        """Fill of the targets on slices."""
        p = self._parameterNode
        if p is not None and not self._connecting and p.lesions is not None:
            self.logic.setTargetsFill(p.lesions, value)

    def updateAge(self, *_args):
        """Age of the MRI against the literature."""
        self.ui.mriAgeLabel.text = self.logic.ageText(self.ui.mriAgeSpin.value)
