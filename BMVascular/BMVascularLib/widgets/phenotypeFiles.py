"""Files of the Phenotype panel: DICOM out, a site's repeatability in."""

import qt
import slicer
from slicer.i18n import tr as _


class PhenotypeFiles:
    """Mixin of the panel: asks for files and says what came of it."""

    def connectFiles(self):
        """Connect the buttons."""
        self.ui.exportButton.connect("clicked(bool)", self.onExport)
        self.ui.retestButton.connect("clicked(bool)", self.onTestRetest)

    def onExport(self, checked=False):
        """Write SR and SEG beside each other into a folder."""
        window = slicer.util.mainWindow()
        source = qt.QFileDialog.getExistingDirectory(
            window, _("DICOM series on which the lesions were drawn")
        )
        out = qt.QFileDialog.getExistingDirectory(window, _("Empty folder for the results")) if source else ""
        if not out:
            return
        with slicer.util.tryWithErrorDisplay(_("Nothing was exported."), waitCursor=True):
            names = self.logic.exportDicom(self.timepoint, source, out)
            slicer.util.infoDisplay(_("Written: {names}.").format(names="; ".join(names)))

    def onTestRetest(self, checked=False):
        """Take limits of change from the site's own test-retest file."""
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Own test-retest measurements"), "", _("Table (*.csv)")
        )
        if not path:
            return
        with slicer.util.tryWithErrorDisplay(_("The repeatability was not changed."), waitCursor=True):
            found = self.logic.takeTestRetest(path)
            said = ", ".join(f"{key} {value:.1%}" for key, value in sorted(found.items()))
            self.ui.retestLabel.text = _("Within-subject CV of this site: {said}.").format(said=said)
            self.forget("change")
            self.refresh()
