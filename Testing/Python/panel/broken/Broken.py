"""Wrong on purpose: every line below uses a name that Slicer does not have."""

import ctk
import qt
import slicer


class BrokenWidget:
    def setup(self):
        self.ui = slicer.util.childWidgetVariables(slicer.util.loadUi("x"))
        self.ui.applyButton.connect("clicked(int)", self.onApply)
        self.ui.applyButton.caption = "Apply"
        self.ui.applyButton.click = None
        self.ui.noButton.text = "x"
        button = qt.QPushButton("x")
        button.isenabled()
        ctk.ctkFancySlider()
        slicer.app.processAllEvents()
        slicer.modules.perfusion.logic()
        slicer.app.layoutManager().sliceWidgets("Red")
        qt.Signals()

    def onApply(self):
        pass
