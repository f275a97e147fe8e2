"""The section Overlay of the Phenotype panel: colours, maps, surfaces, legends."""

import slicer
from slicer.i18n import tr as _

from BMVascularLib import display
from BMVascularLib import phenotypeOverlays as overlays
from BMVascularLib.phenotypeChart import namesBar, scaleBar, stacked
from BMVascularLib.phenotypeNodes import HABITATS, nodeOf
from BMVascularLib.phenotypeViews import compositesOf, shownTimepoints
from BMVascularLib.widgets.picture import showPicture

_ROOM = 4.0


class OverlaySection:
    """Brings views and legends to what the controls say; nothing is drawn again that did not change.

    Parameters
    ----------
    ui : object
        The panel's widgets.
    rules : dict
        The rule set: gives the measures to colour by.
    """

    def __init__(self, ui, rules):
        self.ui, self.metrics, self.roles = ui, overlays.metrics(rules), []
        self.node, self.timepoint, self.lesions = None, "", []
        self._done, self._showing = {}, False
        ui.colorByBox.addItems([metric.title for metric in self.metrics])
        ui.colorByBox.connect("currentIndexChanged(int)", self._onMetric)
        ui.scaleRange.connect("valuesChanged(double,double)", self._onScale)
        ui.mapBox.connect("currentIndexChanged(int)", self._onMap)
        ui.windowRange.connect("valuesChanged(double,double)", self._onWindow)
        ui.thresholdSlider.connect("valueChanged(double)", self._onWindow)

    @property
    def metric(self):
        """The measure that lesions are coloured by."""
        key = self.node.colorBy if self.node is not None else ""
        return next((metric for metric in self.metrics if metric.key == key), self.metrics[0])

    def forget(self):
        """Draw everything again at the next update."""
        self._done.clear()

    def update(self, node, timepoint, lesions):
        """Follow the parameter node.

        Parameters
        ----------
        node : BMVPhenotypeParameterNode
        timepoint : str
        lesions : list of dict
            Entries of ``Assessment.lesions``; empty before the first assessment.
        """
        self.node, self.timepoint, self.lesions = node, timepoint, lesions
        self._showControls()
        look = [(lesion["name"], lesion["phenotype"], lesion["stability"]) for lesion in lesions]
        self._once("time points", (timepoint, shownTimepoints(slicer.mrmlScene, timepoint)), self._timepoints)
        self._once("colors", (timepoint, look, self.metric.key, self._limits()), self._color)
        self._once("legend", (self.metric.key, self._limits(), node.mapRole), self._legend)
        self._once("lesions3d", (timepoint, node.lesions3d, node.lesionOpacity), self._lesions3d)
        state = (timepoint, self.roles, node.mapRole, node.mapOpacity, node.legend, bool(lesions))
        self._once("map", state, self._map)
        for kind, wanted in ((HABITATS, node.habitats3d), (overlays.SHELLS, node.shells)):
            self._once(
                kind, (timepoint, wanted), lambda kind=kind, wanted=wanted: self._surfaces(kind, wanted)
            )
        self._once("brain", (timepoint, node.brain), self._brain)

    def _once(self, key, state, draw):
        if self._done.get(key) != state:
            self._done[key] = state
            draw()

    def _showControls(self):
        self._showing = True
        scene, ui = slicer.mrmlScene, self.ui
        ui.colorByBox.setCurrentIndex(self.metrics.index(self.metric))
        roles = [
            "",
            *[role for role in overlays.SLICE_MAPS if nodeOf(scene, role, self.timepoint) is not None],
        ]
        if roles != self.roles:
            self.roles = roles
            ui.mapBox.clear()
            ui.mapBox.addItems(
                [_("none"), *[overlays.mapTitle(role) for role in roles[1:]]],
            )
        ui.mapBox.setCurrentIndex(roles.index(self.node.mapRole) if self.node.mapRole in roles else 0)
        self._showScale()
        self._showing = False

    def _showScale(self):
        metric, range_ = self.metric, self.ui.scaleRange
        range_.enabled = metric.limits is not None
        if metric.limits is not None and self._done.get("scale") != metric.key:
            self._done["scale"] = metric.key
            range_.setRange(0.0, _ROOM * metric.limits[1] if metric.limits[1] > 1 else metric.limits[1])
            range_.setValues(*metric.limits)

    def _limits(self):
        if self.metric.limits is None:
            return None
        low, high = self.ui.scaleRange.minimumValue, self.ui.scaleRange.maximumValue
        return (low, high) if high > low else self.metric.limits

    def _color(self):
        segmentation = overlays.lesionNode(slicer.mrmlScene, self.timepoint)
        if segmentation is None or not self.lesions:
            return
        overlays.colorLesions(segmentation, overlays.lesionColors(self.lesions, self.metric, self._limits()))

    def _timepoints(self):
        overlays.showTimepoints(slicer.mrmlScene, shownTimepoints(slicer.mrmlScene, self.timepoint))

    def _legend(self):
        if self.metric.limits is None:
            pictures = [namesBar(*overlays.labelLegend())]
        else:
            pictures = [scaleBar(self.metric, self._limits())]
        names, colors = overlays.namesOfMap(self.node.mapRole)
        if names:
            pictures.append(namesBar(names, colors))
        showPicture(self.ui.legendLabel, stacked(pictures))

    def _lesions3d(self):
        segmentation = overlays.lesionNode(slicer.mrmlScene, self.timepoint)
        if segmentation is not None and self.lesions:
            overlays.showLesions3d(segmentation, self.node.lesions3d, self.node.lesionOpacity)

    def _map(self):
        node = None
        if self.node.mapRole in self.roles[1:]:
            node = nodeOf(slicer.mrmlScene, self.node.mapRole, self.timepoint)
            overlays.prepareMap(node, self.node.mapRole)
            overlays.showMapOnSlices(
                compositesOf(slicer.mrmlScene, self.timepoint),
                slicer.mrmlScene,
                self.timepoint,
                self.node.mapRole,
                self.node.mapOpacity,
            )
        elif self._done.get("laid over"):
            overlays.clearMap(compositesOf(slicer.mrmlScene, self.timepoint))
        self._done["laid over"] = node is not None
        segmentation = overlays.lesionNode(slicer.mrmlScene, self.timepoint)
        if segmentation is not None and self.lesions:
            overlays.fillLesions(segmentation, node is None)
        overlays.showLegend(slicer.mrmlScene, node, self.node.legend)
        self._showWindow(node)

    def _showWindow(self, node):
        continuous = node is not None and not node.IsA("vtkMRMLLabelMapVolumeNode")
        self.ui.windowRange.enabled = self.ui.thresholdSlider.enabled = continuous
        if not continuous:
            return
        self._showing = True
        low, high = display.windowOf(node)
        top = max(_ROOM * high, high + 1e-3)
        for widget in (self.ui.windowRange, self.ui.thresholdSlider):
            widget.singleStep = high / 200.0
        self.ui.windowRange.setRange(min(low, 0.0), top)
        self.ui.windowRange.setValues(low, high)
        shown = node.GetDisplayNode()
        self.ui.thresholdSlider.minimum, self.ui.thresholdSlider.maximum = min(low, 0.0), high
        self.ui.thresholdSlider.value = shown.GetLowerThreshold() if shown.GetApplyThreshold() else 0.0
        self._showing = False

    def _surfaces(self, kind, wanted):
        overlays.showSurfaces(slicer.mrmlScene, self.timepoint, kind, wanted)

    def _brain(self):
        scene = slicer.mrmlScene
        found = nodeOf(scene, overlays.BRAIN, self.timepoint)
        if found is None and self.node.brain:
            found = overlays.sceneBrain(scene, self.timepoint)
            slicer.util.resetThreeDViews()
        if found is not None:
            found.GetDisplayNode().SetVisibility(self.node.brain)

    def _onMetric(self, index):
        if not self._showing and self.node is not None:
            self.node.colorBy = self.metrics[index].key

    def _onScale(self, low, high):
        if not self._showing and self.node is not None:
            self.update(self.node, self.timepoint, self.lesions)

    def _onMap(self, index):
        if not self._showing and self.node is not None and 0 <= index < len(self.roles):
            self.node.mapRole = self.roles[index]

    def _onWindow(self, *_values):
        node = None
        if not self._showing and self.node is not None and self.node.mapRole:
            node = nodeOf(slicer.mrmlScene, self.node.mapRole, self.timepoint)
        if node is None or node.IsA("vtkMRMLLabelMapVolumeNode"):
            return
        low, high = self.ui.windowRange.minimumValue, self.ui.windowRange.maximumValue
        if high > low:
            display.setWindow(node, low, high)
        display.setThreshold(node, low=self.ui.thresholdSlider.value)
