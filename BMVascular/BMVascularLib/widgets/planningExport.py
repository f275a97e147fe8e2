"""The sections Export and Self-test of the planning panel."""

import html

import slicer
from slicer.i18n import tr as _

from BMVascularLib.widgets.panel import fillTable, setEnabledWithReason
from BMVascularLib.widgets.tasks import runTask


class ExportSection:
    """Preview, then write."""

    EXPORT_COLUMNS = (
        ("file", _("File")),
        ("object", _("Object")),
        ("state", _("Check")),
    )

    def setupExport(self):
        """Connect the section; folders are kept here, never in the scene."""
        ui = self.ui
        self.folderButtons = {"ct": ui.ctFolderButton, "mr": ui.mrFolderButton, "out": ui.outFolderButton}
        for key, button in self.folderButtons.items():
            button.connect("directoryChanged(QString)", self._folderSetter(key))
        ui.referenceBox.connect("toggled(bool)", self.onReferences)
        self.forgetExport()
        ui.previewButton.connect("clicked(bool)", self.onPreview)
        ui.exportButton.connect("clicked(bool)", self.onExport)

    def forgetExport(self):
        """A new scene may be another patient: no folder is carried over."""
        self.exportObjects, self._previewed = [], None
        self.folders = dict.fromkeys(self.folderButtons, "")
        for button in self.folderButtons.values():
            button.blockSignals(True)
            button.directory = "."
            button.text = _("Choose a folder")
            button.blockSignals(False)

    def onReferences(self, on):
        """With or without habitats: the preview no longer holds."""
        self.exportObjects = []
        self.updateExport()

    def _folderSetter(self, key):
        def changed(path):
            self.folders[key] = path
            # without a text of its own the button shows its folder
            self.folderButtons[key].text = ""
            if key != "out":
                self.exportObjects = []
            self.updateExport()

        return changed

    def updateExport(self, *_args):
        """What can be pressed now."""
        ui, p = self.ui, self._parameterNode
        self.fillFolders()
        if self.exportObjects and self.exportStamp() != self._previewed:
            self.exportObjects = []
            ui.exportLabel.text = _("Changed since the preview: preview again.")
        problem = self.logic.exportRefusal(p.ctVolume, p.t1cVolume, p.lesions) if p is not None else " "
        if not problem and not self.folders["ct"]:
            problem = _("Choose the folder with the DICOM series of the planning CT.")
        setEnabledWithReason(
            ui.previewButton, problem, _("Make every object in memory and check it. Nothing is written.")
        )
        if not problem and not any(each.data is not None for each in self.exportObjects):
            problem = _("Preview first.")
        if not problem and not self.folders["out"]:
            problem = _("Choose the folder to write to.")
        setEnabledWithReason(
            ui.exportButton, problem, _("Write all objects of the preview that passed together, or none.")
        )
        fillTable(ui.exportTable, [each.row() for each in self.exportObjects], self.EXPORT_COLUMNS)
        ui.exportDetails.html = "".join(self.detailsOf(each) for each in self.exportObjects)
        refused = self.logic.exportRefusal(p.ctVolume, p.t1cVolume, p.lesions) if p is not None else ""
        if refused:
            ui.exportLabel.text = refused

    def exportStamp(self):
        """What the preview rests on."""
        p = self._parameterNode
        return self.logic.exportStamp(p.ctVolume, p.t1cVolume, p.lesions) if p is not None else None

    def detailsOf(self, made):
        """What an object holds, what was checked, and what the check found, one below the other."""
        if made.data is None:
            lines = [_("Not written: {reason}.").format(reason=made.problem)]
        else:
            lines = [
                made.content,
                *(f"✓ {text}" for text in made.checks),
                *(f"! {text}" for text in made.notes),
            ]
        body = "<br>".join(html.escape(line) for line in lines if line)
        return f"<p><b>{html.escape(made.file)}</b> {html.escape(made.kind)}<br>{body}</p>"

    def fillFolders(self):
        """Series that Slicer's DICOM database brought need no folder to be chosen."""
        p = self._parameterNode
        for key, node in (("ct", p.ctVolume), ("mr", p.t1cVolume)) if p is not None else ():
            folder = self.logic.seriesFolder(node) if not self.folders[key] else ""
            if folder:
                self.folders[key] = folder
                button = self.folderButtons[key]
                button.blockSignals(True)
                button.directory, button.text = folder, ""
                button.blockSignals(False)

    def onPreview(self, checked=False):
        """Make and check all objects."""
        p = self._parameterNode
        self.exportObjects = []
        self.updateExport()
        with slicer.util.tryWithErrorDisplay(_("The export cannot be made."), waitCursor=True):
            found = runTask(
                _("Making the DICOM objects"),
                lambda progress: self.logic.previewExport(
                    p.ctVolume,
                    p.t1cVolume,
                    p.lesions,
                    self.folders["ct"],
                    self.folders["mr"],
                    progress,
                    p.exportReferences,
                ),
            )
            self.exportObjects, self._previewed = found or [], self.exportStamp()
            self.ui.exportLabel.text = _("Nothing is written yet.")
        self.updateExport()

    def onExport(self, checked=False):
        """Write what passed, unless something has changed since."""
        self.updateExport()
        if not self.exportObjects:
            return
        with slicer.util.tryWithErrorDisplay(_("Nothing was written."), waitCursor=True):
            names = self.logic.writeExport(self.exportObjects, self.folders["out"])
            self.ui.exportLabel.text = _("Written: {files}.").format(files=", ".join(names))


class SelfTestSection:
    """Closed-form spheres through the same code as the patient's dose."""

    SELF_TEST_COLUMNS = (
        ("diameter_mm", _("Sphere mm")),
        ("volume_ml", _("Volume")),
        ("d98_gy", "D98"),
        ("d50_gy", "D50"),
        ("d2_gy", "D2"),
        ("piv_ml", _("Isodose volume")),
        ("v12_ml", "V12"),
        ("gradient_index", "GI"),
        ("paddick_ci", "Paddick CI"),
    )

    def setupSelfTest(self):
        """Connect the section."""
        self.ui.selfTestButton.connect("clicked(bool)", self.onSelfTest)

    def onSelfTest(self, checked=False):
        """Run and show the errors."""
        with slicer.util.tryWithErrorDisplay(_("The self-test did not run."), waitCursor=True):
            rows = runTask(_("Self-test"), self.logic.selfTest)
            fillTable(self.ui.selfTestTable, rows or [], self.SELF_TEST_COLUMNS)
