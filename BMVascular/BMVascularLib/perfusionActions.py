"""What the perfusion panel does, without the panel: each method takes the parameter node."""

import slicer
from slicer.i18n import tr as _

from BMVascularLib.perfusionChoices import T1, Kind

TABLE_COLUMNS = (
    ("lesion", "Lesion"),
    ("median", "Median"),
    ("se_median", "SE"),
    ("p95", "p95"),
    ("median_voxel_se", "Voxel SE"),
    ("usable", "Usable"),
)


def _choose(p, field, node):
    """Write a node field only where it changes: each write makes the parameter node tell its watchers."""
    if getattr(p, field) is not node:
        setattr(p, field, node)


class PerfusionActions:
    """Base of the module's logic; ``p`` is the module's parameter node."""

    # -- inputs

    def fillInputs(self, p):
        """Fill empty selections with what the study offers by role; choices stay."""
        self.seriesForKind(p)
        if p.series is None and self._offered("DSC") is None and self._offered("DCE") is not None:
            p.kind = Kind.DCE
            self.seriesForKind(p)

    def seriesForKind(self, p):
        """Take the study's series of the chosen kind, and what belongs to its time point."""
        from BMVascularLib.studyNodes import firstOf, nodesOf, roleOf, timepointOf

        if p.series is None or roleOf(p.series) not in ("", p.kind.value):
            _choose(p, "series", self._offered(p.kind.value, p.series))
        if p.series is None:
            return
        timepoint = timepointOf(p.series) or None
        for field, role in (("lesions", "lesions"), ("t1c", "T1c")):
            if getattr(p, field) is None or timepointOf(getattr(p, field)) not in ("", timepoint):
                _choose(p, field, firstOf(slicer.mrmlScene, role, timepoint))
        if p.t1 is T1.VFA and len(nodesOf(slicer.mrmlScene, "VFA", timepoint)) < 2:
            p.t1 = T1.FIXED

    def kindOfSeries(self, p):
        """Take the kind that a chosen series has by its role, and what belongs to its time point."""
        from BMVascularLib.studyNodes import roleOf

        if roleOf(p.series) in (Kind.DSC.value, Kind.DCE.value):
            p.kind = Kind(roleOf(p.series))
        self.seriesForKind(p)

    def _offered(self, role, beside=None):
        """The study's series with a role, of the same time point as another one."""
        from BMVascularLib.studyNodes import firstOf, timepointOf

        timepoint = timepointOf(beside) or None if beside is not None else None
        return firstOf(slicer.mrmlScene, role, timepoint)

    def aifOf(self, p):
        """Where the input function comes from."""
        return p.dscAif.value if p.kind is Kind.DSC else p.dceAif.value

    def job(self, p):
        """The choices as a job of the library."""
        from BMVascularLib.perfusionRun import PerfusionJob

        return PerfusionJob(
            kind=p.kind.value,
            sequence=p.series,
            lesions=p.lesions,
            t1c=p.t1c,
            points=p.aifPoints,
            aif=self.aifOf(p),
            te_ms=p.teMs,
            tr_ms=p.trMs,
            flip_deg=p.flipDeg,
            times=p.typedTimes,
            preload=p.preload.value,
            leakage=p.leakage.value,
            deconvolution=p.deconvolution.value,
            motion=p.motion.value,
            model=p.model.value,
            fit_delay=p.fitDelay,
            hematocrit=p.hematocrit,
            relaxivity=p.relaxivity,
            t1=p.t1.value,
            t10_s=p.t10S,
        )

    def timepoint(self, p):
        """Time point of the chosen series."""
        from BMVascularLib.studyNodes import timepointOf

        return (timepointOf(p.series) if p.series is not None else "") or "TP1"

    def problem(self, p):
        """What keeps the choices from running, in one sentence; empty when nothing does."""
        from BMVascularLib.perfusionRun import problemOf

        return problemOf(self.job(p))

    def protocolIncomplete(self, p):
        """Whether a protocol fact that the numbers depend on is missing."""
        return p.series is not None and "missing" in self.problem(p)

    def protocolText(self, p):
        """Protocol facts in use, with their sources."""
        from BMVascularCore.errors import InputError
        from BMVascularLib.perfusionRun import protocolOf, typedTimes
        from BMVascularLib.sequences import headerTimes
        from BMVascularLib.studyNodes import TIMES

        if p.series is None:
            return ""
        names = {"te_ms": ("TE", "ms"), "tr_ms": ("TR", "ms"), "flip_deg": (_("flip angle"), "°")}
        parts = []
        for key, (value, source) in protocolOf(self.job(p)).items():
            name, unit = names[key]
            parts.append(f"{name} {'–' if value is None else format(value, 'g')} {unit} ({source})")
        count = p.series.GetNumberOfDataNodes()
        try:
            times, dt = typedTimes(p.typedTimes)
        except InputError as error:
            return "; ".join([*parts, str(error)])
        if times is None and dt is None:
            found = headerTimes(p.series)
            times, source = found if found is not None else (None, _("missing: type them"))
            source = p.series.GetAttribute(TIMES) or source
        else:
            times = times or [dt * n for n in range(count)]
            source = _("typed in")
        if times is not None and len(times) > 1:
            step = (times[-1] - times[0]) / (len(times) - 1)
            parts.append(f"{count} frames, {step:.3g} s each, {times[-1] - times[0]:.4g} s in all ({source})")
        else:
            parts.append(f"{count} frames, times {source}")
        return "; ".join(parts)

    def advice(self, p):
        """Why the defaults are what they are, for this series."""
        import numpy as np

        from BMVascularLib.perfusionAdvice import dceAdvice, dscAdvice
        from BMVascularLib.perfusionRun import dscSettings
        from BMVascularLib.sequences import headerTimes

        if p.series is None:
            return ""
        if p.kind is Kind.DSC:
            return dscAdvice(dscSettings(self.job(p)))
        found = headerTimes(p.series)
        times = None if found is None else np.asarray(found[0])
        return dceAdvice(p.model.value, times, p.t1.value, p.fitDelay)

    # -- time course and input function

    def previewKey(self, p):
        """Everything a prepared series depends on."""
        from BMVascularLib.perfusionNodes import proxyOf

        job = self.job(p)
        proxy = proxyOf(p.series) if p.series is not None else None
        above = proxy.GetParentTransformNode() if proxy is not None else None
        plain = {key: value for key, value in vars(job).items() if isinstance(value, str | float | bool)}
        points = p.aifPoints if job.aif == "points" else None
        nodes = tuple(None if n is None else n.GetID() for n in (p.series, p.lesions, points, above))
        return (*plain.items(), *nodes)

    def prepare(self, p, progress=None):
        """Prepare the series for single voxels.

        Returns
        -------
        BMVascularLib.perfusionCurves.LiveCurve
        """
        from BMVascularLib.perfusionCurves import LiveCurve
        from BMVascularLib.perfusionNodes import worldGeometry
        from BMVascularLib.perfusionRun import panelWords, previewOf

        with panelWords():
            preview = previewOf(self.job(p), progress)
        return LiveCurve(preview, worldGeometry(p.series), self._chart("curve"))

    def _chart(self, which):
        from BMVascularLib.perfusionCurves import CurveChart

        names = {"curve": _("Time course"), "aif": _("Input function")}
        return CurveChart(slicer.mrmlScene, names[which])

    def showChart(self, which, live=None):
        """Show the time course ("curve") or the input function ("aif") in the plot view."""
        from BMVascularLib.perfusionCurves import showChart, showInputFunction
        from BMVascularLib.perfusionDisplay import showPlots

        chart = self._chart(which)
        if live is not None:
            showInputFunction(chart, live.preview)
        showPlots(slicer.mrmlScene)
        showChart(slicer.mrmlScene, chart.chart)

    def showVoxel(self, live, ras):
        """Draw the voxel under a world point; its numbers in one line, empty where nothing changed."""
        from BMVascularLib.perfusionCurves import wordsOf

        found = live.show(ras)
        return "" if found is None else wordsOf(found)

    def addPoints(self):
        """A new, empty list for voxels of the input function."""
        from BMVascularLib.seeds import addSeeds

        points = addSeeds(slicer.mrmlScene, [], _("Input function voxels"))
        points.GetDisplayNode().SetSelectedColor(0.84, 0.37, 0.0)
        points.GetDisplayNode().SetPointLabelsVisibility(False)
        return points

    def markAif(self, p, live):
        """Put the voxels of the input function into the point list."""
        from BMVascularLib.perfusionNodes import setPoints
        from BMVascularLib.studyNodes import setRole

        setPoints(p.aifPoints, live.preview.aif_voxels, p.series)
        setRole(p.aifPoints, "aif", self.timepoint(p), _("voxels of the input function"))

    def useMarkedAif(self, p, live):
        """Let a prepared series use the voxels of the point list, and redraw the input function."""
        from BMVascularLib.perfusionCurves import showInputFunction
        from BMVascularLib.perfusionNodes import pointsMask

        live.preview.use_aif(pointsMask(p.aifPoints, p.series))
        live.voxel = None
        showInputFunction(self._chart("aif"), live.preview)

    # -- run and results

    def apply(self, p, progress=None):
        """Compute the maps and add them to the scene.

        Returns
        -------
        BMVascularLib.perfusionNodes.Made

        Raises
        ------
        InputError
            One sentence on what is wrong and how to mend it.
        Cancelled
            The scene is as it was.
        """
        from BMVascularLib.perfusionDisplay import keepTexts, updateTable
        from BMVascularLib.perfusionRun import panelWords, runJob

        with panelWords():
            made = runJob(self.job(p), progress)
        keepTexts(made, p.series, self.timepoint(p), p.kind.value)
        updateTable(slicer.mrmlScene, p.lesions, p.kind.value, self.timepoint(p))
        return made

    def maps(self, p):
        """Maps by role and the flag map of the chosen series."""
        from BMVascularLib.perfusionDisplay import madeMaps

        return madeMaps(slicer.mrmlScene, p.kind.value, self.timepoint(p))

    def mapRoles(self, p):
        """Role and title of the maps, most wanted first."""
        from BMVascularLib.perfusionDisplay import titleOfMap

        return [(role, titleOfMap(node)[0]) for role, node in self.maps(p)[0].items()]

    def firstMap(self, maps):
        """Role of the map to show first."""
        from BMVascularLib.perfusionNodes import SHOWN_FIRST

        return next((role for role in SHOWN_FIRST if role in maps), next(iter(maps), None))

    def mapText(self, p, node):
        """What a map shows and how many voxels are usable."""
        from BMVascularLib.perfusionDisplay import USABLE, titleOfMap

        if node is None:
            return _("No maps yet: press Apply.")
        title, unit = titleOfMap(node)
        flags = self.maps(p)[1]
        usable = (flags.GetAttribute(USABLE) or "") if flags is not None else ""
        return f"{title}, {unit}. {usable}".strip() if unit else f"{title}. {usable}".strip()

    def texts(self, p):
        """Methods paragraph and warnings of the last run."""
        from BMVascularLib.perfusionDisplay import textsOf

        return textsOf(slicer.mrmlScene, self.timepoint(p), p.kind.value)

    def showMap(self, p, node, opacity, legend):
        """Show a map over the anatomy with or without its legend."""
        from BMVascularLib import perfusionDisplay
        from BMVascularLib.perfusionNodes import proxyOf

        anatomy = p.t1c or (proxyOf(p.series) if p.series is not None else None)
        perfusionDisplay.showMap(node, anatomy, opacity, p.lesions)
        self.showLegends(p, node if legend else None)

    def showLegends(self, p, shown):
        """Show the legend of one map and hide those of the others."""
        from BMVascularLib.perfusionDisplay import showLegend

        for node in self.maps(p)[0].values():
            showLegend(node, node is shown)

    def showFlags(self, p, shown):
        """Colour voxels that are not usable by their reason."""
        from BMVascularLib import perfusionDisplay

        flags = self.maps(p)[1]
        if flags is not None:
            perfusionDisplay.showFlags(slicer.mrmlScene, flags if shown else None)
            perfusionDisplay.showLegend(flags, shown)

    def displayOf(self, node):
        """Window, slider range and threshold of a map."""
        from BMVascularLib.perfusionDisplay import displayOf

        return displayOf(node)

    def setWindow(self, node, low, high):
        """Colour scale of a map."""
        from BMVascularLib.display import setWindow

        setWindow(node, low, high)

    def setThreshold(self, node, value):
        """Lowest value that is drawn."""
        from BMVascularLib.display import setThreshold

        setThreshold(node, low=value)

    def setOpacity(self, opacity):
        """Opacity of the map in every slice view."""
        from BMVascularLib.perfusionDisplay import compositeNodes

        for composite in compositeNodes(slicer.mrmlScene):
            if composite.GetForegroundVolumeID():
                composite.SetForegroundOpacity(float(opacity))

    # -- table

    def tableNode(self, p):
        """The per-lesion table, brought up to date; None without lesions or maps."""
        from BMVascularLib.perfusionDisplay import updateTable

        return updateTable(slicer.mrmlScene, p.lesions, p.kind.value, self.timepoint(p))

    def shownRows(self, p, role):
        """Rows of one map for the panel."""
        from BMVascularLib.perfusionDisplay import rowsOf

        node = self.tableNode(p)
        return [] if node is None else rowsOf(node, role)

    def exportTable(self, p, path):
        """Write the numbers of all maps and lesions as CSV.

        Raises
        ------
        InputError
            There is no table.
        """
        from BMVascularCore.errors import InputError
        from BMVascularCore.io.tables import write_table
        from BMVascularCore.perfusion.lesion_table import COLUMNS
        from BMVascularLib.tables import rowsOfTable

        node = self.tableNode(p)
        if node is None:
            raise InputError(
                "there are no lesions or no maps", _("Table"), _("Segment lesions and press Apply.")
            )
        write_table(path, rowsOfTable(node), COLUMNS)
