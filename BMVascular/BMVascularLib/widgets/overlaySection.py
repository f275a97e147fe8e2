"""The section Overlay of the Phenotype panel: colours, maps, surfaces, legends."""

import slicer
from slicer.i18n import tr as _

from BMVascularLib import display
from BMVascularLib import phenotypeOverlays as overlays
from BMVascularLib.phenotypeChart import namesBar, scaleBar, stacked
from BMVascularLib.phenotypeNodes import HABITATS, nodeOf
from BMVascularLib.phenotypeViews import axialViews, compositesOf, shownTimepoints
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
        self.node, self.timepoint, self.lesions, self.others = None, "", [], {}
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

    def update(self, node, timepoint, lesions, others=None):
        """Follow the parameter node.

        Parameters
        ----------
        node : BMVPhenotypeParameterNode
        timepoint : str
        lesions : list of dict
            Entries of ``Assessment.lesions``; empty before the first assessment.
        others : dict, optional
            The lesions of other time points that the views show beside this one.
        """
        self.node, self.timepoint, self.lesions, self.others = node, timepoint, lesions, others or {}
        self._showControls()
        sides = self._sides()
        look = [
            (label, lesion["name"], lesion["phenotype"], lesion["stability"])
            for label, shown in sides
            for lesion in shown
        ]
        labels = [label for label, _lesions in sides]
        self._once("time points", (labels, shownTimepoints(slicer.mrmlScene, timepoint)), self._timepoints)
        self._once("colors", (labels, look, self.metric.key, self._limits()), self._color)
        self._once("legend", (self.metric.key, self._limits(), node.mapRole), self._legend)
        self._once("lesions3d", (labels, node.lesions3d, node.lesionOpacity), self._lesions3d)
        state = (labels, self.roles, node.mapRole, node.mapOpacity, node.legend, bool(lesions))
        self._once("map", state, self._map)
        for kind, wanted in ((HABITATS, node.habitats3d), (overlays.SHELLS, node.shells)):
            self._once(kind, (labels, wanted), lambda kind=kind, wanted=wanted: self._surfaces(kind, wanted))
        self._once("brain", (labels, node.brain), self._brain)

    def _sides(self):
        """Time points that the views show, with their lesions; the chosen one first."""
        return [(self.timepoint, self.lesions), *self.others.items()]

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
        for label, lesions in self._sides():
            segmentation = overlays.lesionNode(slicer.mrmlScene, label)
            if segmentation is not None and lesions:
                overlays.colorLesions(
                    segmentation, overlays.lesionColors(lesions, self.metric, self._limits())
                )

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
        for label, lesions in self._sides():
            segmentation = overlays.lesionNode(slicer.mrmlScene, label)
            if segmentation is not None and lesions:
                overlays.showLesions3d(segmentation, self.node.lesions3d, self.node.lesionOpacity)

    def _map(self):
        shown = {label: self._mapOf(label) for label, _lesions in self._sides()}
        for label, lesions in self._sides():
            segmentation = overlays.lesionNode(slicer.mrmlScene, label)
            if segmentation is not None and lesions:
                overlays.fillLesions(segmentation, shown[label] is None)
        node = shown[self.timepoint]
        # names take room: one plane is enough, and the panel has them, too
        views = (
            axialViews(slicer.mrmlScene, self.timepoint) if overlays.namesOfMap(self.node.mapRole)[0] else ()
        )
        overlays.showLegend(slicer.mrmlScene, node, self.node.legend, views)
        self._showWindow(node)

    def _mapOf(self, label):
        """Lay the chosen map over the slices of a time point; returns its node, None without one."""
        scene, role = slicer.mrmlScene, self.node.mapRole
        composites, done = compositesOf(scene, label), ("laid over", label)
        node = nodeOf(scene, role, label) if role in self.roles[1:] else None
        if node is not None:
            overlays.prepareMap(node, role)
            overlays.showMapOnSlices(composites, scene, label, role, self.node.mapOpacity)
        elif self._done.get(done):
            overlays.clearMap(composites)
        self._done[done] = node is not None
        return node

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
        for label, _lesions in self._sides():
            overlays.showSurfaces(slicer.mrmlScene, label, kind, wanted)

    def _brain(self):
        scene, made = slicer.mrmlScene, False
        for label, _lesions in self._sides():
            found = nodeOf(scene, overlays.BRAIN, label)
            if found is None and self.node.brain:
                found, made = overlays.sceneBrain(scene, label), True
            if found is not None:
                found.GetDisplayNode().SetVisibility(self.node.brain)
        if made:
            slicer.util.resetThreeDViews()

    def _onMetric(self, index):
        if not self._showing and self.node is not None:
            self.node.colorBy = self.metrics[index].key

    def _onScale(self, low, high):
        if not self._showing and self.node is not None:
            self.update(self.node, self.timepoint, self.lesions, self.others)

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
        for label, _lesions in self._sides():
            # one window for both sides: colours of two dates compare
            side = nodeOf(slicer.mrmlScene, self.node.mapRole, label)
            if side is not None and high > low:
                display.setWindow(side, low, high)
            if side is not None:
                display.setThreshold(side, low=self.ui.thresholdSlider.value)
