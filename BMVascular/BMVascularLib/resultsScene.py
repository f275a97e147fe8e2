"""The scene of a results folder, arranged as a Slicer user would want it.

Patient > one study per time point > anatomy, perfusion, lesions; and one study for planning. Each
time point keeps its own space (that of its contrast-enhanced T1); perfusion maps stand below the
transform that takes them there. With planning, everything of that time point stands below the
transform into the space of the planning CT, which stays as the scanner made it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_labels, read_series, read_volume
from BMVascularCore.planning.roi_names import colour_of
from BMVascularCore.planning.segmentation_file import read_segmentation
from BMVascularCore.volume import Volume
from BMVascularLib import display
from BMVascularLib.colors import ISODOSE_COLORS, readColorTable
from BMVascularLib.lesionShares import keepShares
from BMVascularLib.scene import createWorld, hierarchyItem, subjectHierarchy
from BMVascularLib.seeds import addSeeds
from BMVascularLib.segments import COMPARTMENTS, addSegmentation, addStructures, segmentIds
from BMVascularLib.sequences import addSeries
from BMVascularLib.studyNodes import setRole
from BMVascularLib.surfaces import addHeadSurface, addIsodose
from BMVascularLib.tables import addTableFile
from BMVascularLib.transforms import addTransform, placeBelow, readTransform
from BMVascularLib.volumes import addVolume, arrayOfImageData

# the colours of the structure set and of the planning panel
TARGET_COLORS = {kind: tuple(part / 255.0 for part in colour_of(kind, 0)) for kind in ("GTV", "CTV", "PTV")}
ISODOSE_SHARES = tuple(zip((1.0, 0.5), ISODOSE_COLORS, strict=False))
CLEAR_AT_ZERO = {"ktrans", "ps", "kep", "vp", "ve", "k2"}
BRAIN_WINDOW_HU = (-20.0, 100.0)
FROM_RESULTS = "from the results"


@dataclass
class Timepoint:
    """Nodes of one time point.

    Attributes
    ----------
    facts : dict
        Its part of ``results.json``.
    anatomy : dict
        Role ("T1c", ...) to volume node.
    maps : list of (dict, vtkMRMLScalarVolumeNode)
        The map's part of ``results.json`` and its node.
    """

    facts: dict
    anatomy: dict = field(default_factory=dict)
    maps: list = field(default_factory=list)
    lesions: object = None
    compartments: object = None
    habitats: object = None
    seeds: object = None
    head: object = None
    tops: list = field(default_factory=list)
    study: int = 0

    @property
    def label(self):
        """Short name of the time point."""
        return self.facts["label"]

    @property
    def t1c(self):
        """The node whose space the time point lies in."""
        return self.anatomy["T1c"]


@dataclass
class Planning:
    """Nodes of the planning study."""

    facts: dict
    ct: object
    transform: object
    timepoint: Timepoint
    targets: object = None
    dose: object = None
    isodoses: list = field(default_factory=list)


@dataclass
class ResultsScene:
    """A scene and what stands in it."""

    world: object
    folder: Path
    index: dict
    timepoints: list = field(default_factory=list)
    planning: Planning = None


def readIndex(folder):
    """Read ``results.json`` of a results folder.

    Raises
    ------
    InputError
        Missing, damaged, or without a time point.
    """
    path = Path(folder) / "results.json"
    if not path.is_file():
        raise InputError(
            "there is no results.json in it", Path(folder).name, "Name a results folder of 'run'."
        )
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError("cannot be read as JSON", path.name, "Run the analysis again.") from error
    if not index.get("timepoints"):
        raise InputError("names no time point", path.name, "Run the analysis again.")
    return index


def phenotypeColor(phenotype):
    """Name and colour of a phenotype label (details after it, such as percentages, are left out)."""
    table = readColorTable("Phenotypes")
    text = (phenotype or "not assessed").strip().lower()
    name = next((n for n in table.names[1:] if text.startswith(n.lower())), "indeterminate")
    return name, table.colorOf(name)


def shownFrom(facts):
    """Lowest value of a map that is drawn over anatomy.

    Normal brain has next to no permeability: there the anatomy shows. Voxels without a value (NaN)
    are below any threshold and never drawn.
    """
    low, high = facts["window"]
    if facts["role"].lower() in CLEAR_AT_ZERO:
        return low + 0.05 * (high - low)
    return min(low, 0.0) - 0.05 * (high - low)


class SceneBuilder:
    """Builds the scene of a results folder; the planning study last (it moves a time point)."""

    def __init__(self, folder, world=None):
        self.folder = Path(folder)
        self.index = readIndex(folder)
        self.world = world or createWorld()
        self.scene = self.world.scene
        self.result = ResultsScene(self.world, self.folder, self.index)
        self.hierarchy = subjectHierarchy(self.scene)
        title = self.index.get("title") or "Patient"
        self.patient = self.hierarchy.CreateSubjectItem(self.hierarchy.GetSceneItemID(), title)
        self._transforms = {}

    def addTimepoints(self):
        """Add every time point."""
        for facts in self.index["timepoints"]:
            timepoint = Timepoint(facts)
            days = facts.get("days")
            name = facts["label"] if days is None else f"{facts['label']} (day {days:g})"
            timepoint.study = self.hierarchy.CreateStudyItem(self.patient, name)
            self._addAnatomy(timepoint)
            self._addPerfusion(timepoint)
            self._addLesions(timepoint)
            self.result.timepoints.append(timepoint)
        return self.result

    def _folderItem(self, study, name):
        present = self.hierarchy.GetItemChildWithName(study, name)
        return present or self.hierarchy.CreateFolderItem(study, name)

    def _file(self, node, study, folderName=None):
        parent = self._folderItem(study, folderName) if folderName else study
        self.hierarchy.SetItemParent(hierarchyItem(self.scene, node), parent)

    def _place(self, timepoint, node, transformFile, folderName):
        """Put a node below its transform into the time point's space, if it has one."""
        self._file(node, timepoint.study, folderName)
        if not transformFile:
            timepoint.tops.append(node)
            return
        key = (timepoint.label, transformFile)
        if key not in self._transforms:
            name = f"{timepoint.label} {Path(transformFile).stem} to T1c"
            transform = addTransform(self.scene, readTransform(self.folder / transformFile), name)
            self._file(transform, timepoint.study, folderName)
            timepoint.tops.append(transform)
            self._transforms[key] = transform
        placeBelow(node, self._transforms[key], timepoint.anatomy.get("T1c"))

    def _addAnatomy(self, timepoint):
        volumes = sorted(timepoint.facts["volumes"], key=lambda facts: facts["role"] != "T1c")
        for facts in volumes:
            volume = read_volume(self.folder / facts["file"])
            node = addVolume(self.scene, volume, f"{timepoint.label} {facts['name']}")
            timepoint.anatomy[facts["role"]] = node
            setRole(node, facts["role"], timepoint.label, FROM_RESULTS)
            inside = volume.array[volume.array > 0] if volume.array.min() >= 0 else volume.array
            low, high = np.nanpercentile(inside[:: max(inside.size // 200000, 1)], (1.0, 99.7))
            display.setWindow(node, low, high)
            self._place(timepoint, node, facts.get("transform"), "Anatomy")
            if facts["role"] == "T1c":
                timepoint.head = addHeadSurface(self.scene, volume, f"{timepoint.label} head")
                setRole(timepoint.head, "brain outline", timepoint.label, FROM_RESULTS)
                self._place(timepoint, timepoint.head, None, "Anatomy")
        if "T1c" not in timepoint.anatomy:
            raise InputError(
                f"{timepoint.label} has no T1c volume", "results.json", "Run the analysis again."
            )

    def _addPerfusion(self, timepoint):
        for facts in timepoint.facts.get("maps", []):
            name = f"{timepoint.label} {facts['name']}" + (f" ({facts['unit']})" if facts.get("unit") else "")
            node = addVolume(self.scene, read_volume(self.folder / facts["file"]), name)
            low, high = facts["window"]
            display.showMap(node, low, high, facts.get("colors") or "Signal", threshold=shownFrom(facts))
            display.addColorLegend(node, facts["name"], facts.get("unit"))
            setRole(node, facts["role"], timepoint.label, FROM_RESULTS)
            self._place(timepoint, node, facts.get("transform"), "Perfusion")
            timepoint.maps.append((facts, node))
        for facts in timepoint.facts.get("series", []):
            series = read_series(self.folder / facts["file"])
            nodes = addSeries(self.scene, series, f"{timepoint.label} {facts['role']}")
            for node in nodes[:2]:
                self._file(node, timepoint.study, "Perfusion")
            self._place(timepoint, nodes[2], facts.get("transform"), "Perfusion")

    def _addLesions(self, timepoint):
        facts, label = timepoint.facts, timepoint.label
        lesions = facts["lesions"]
        labels = read_labels(self.folder / lesions["labels"])
        self._windowOnLesions(timepoint.t1c, labels)
        segments = [
            {
                "id": lesion["name"],
                "label": lesion["label"],
                "name": lesion["name"],
                "kind": "metastasis",
                "color": phenotypeColor(lesion.get("phenotype"))[1],
            }
            for lesion in facts["lesion_list"]
        ]
        node = addSegmentation(self.scene, labels, segments, f"{label} lesions", timepoint.t1c)
        display.showSegmentation(node)
        if lesions.get("shares"):
            keepShares(node, labels, read_volume(self.folder / lesions["shares"]), segments)
        timepoint.lesions = node
        setRole(node, "lesions", label, FROM_RESULTS)
        self._place(timepoint, node, None, "Lesions")
        if lesions.get("compartments"):
            self._addCompartments(timepoint, self.folder / lesions["compartments"])
        if facts.get("habitats"):
            self._addHabitats(timepoint, self.folder / facts["habitats"])
        seeds = [(seed["name"], seed["ras"]) for seed in facts.get("seeds", [])]
        timepoint.seeds = addSeeds(self.scene, seeds, f"{label} seeds")
        timepoint.seeds.GetDisplayNode().SetVisibility(False)
        self._place(timepoint, timepoint.seeds, None, "Lesions")
        for path, what in ((lesions.get("table"), "lesions"), (facts.get("phenotype_table"), "phenotype")):
            if path and (self.folder / path).is_file():
                table = addTableFile(self.scene, self.folder / path, f"{label} {what} table")
                setRole(table, "phenotype" if what == "phenotype" else "lesion table", label, FROM_RESULTS)
                self._file(table, timepoint.study, "Lesions")

    def _windowOnLesions(self, node, labels):
        """Widen the window so that enhancement is bright and not burnt out."""
        array = arrayOfImageData(node.GetImageData())
        if array.shape != labels.array.shape or not (labels.array > 0).any():
            return
        low, high = display.windowOf(node)
        bright = float(np.percentile(array[labels.array > 0], 95.0))
        display.setWindow(node, low, max(high, low + 1.08 * (bright - low)))

    def _addCompartments(self, timepoint, path):
        labels = read_labels(path)
        segments = [
            {"id": name, "label": label, "name": name, "color": color, "kind": kind}
            for label, (name, color, kind) in COMPARTMENTS.items()
        ]
        node = addSegmentation(self.scene, labels, segments, f"{timepoint.label} compartments", timepoint.t1c)
        node.GetDisplayNode().SetVisibility(False)
        timepoint.compartments = node
        setRole(node, "compartments", timepoint.label, FROM_RESULTS)
        self._place(timepoint, node, None, "Lesions")

    def _addHabitats(self, timepoint, path):
        labels = read_labels(path)
        volume = Volume(labels.array.astype(np.uint8), labels.geometry)
        node = addVolume(self.scene, volume, f"{timepoint.label} habitats", labelMap=True)
        display.setColors(node, "Habitats")
        display.addColorLegend(node, "Habitats", categories=True)
        timepoint.habitats = node
        setRole(node, "habitats", timepoint.label, FROM_RESULTS)
        self._place(timepoint, node, None, "Lesions")

    def addPlanning(self):
        """Add the planning study, and stand its time point below the transform into CT space."""
        facts = self.index.get("planning")
        if not facts:
            return None
        wanted = facts.get("timepoint", self.result.timepoints[0].label)
        timepoint = next(t for t in self.result.timepoints if t.label == wanted)
        study = self.hierarchy.CreateStudyItem(self.patient, "Planning")
        ct = addVolume(self.scene, read_volume(self.folder / facts["ct"]), "Planning CT")
        display.setWindow(ct, *BRAIN_WINDOW_HU)
        itk = readTransform(self.folder / facts["transform"])
        transform = addTransform(self.scene, itk, f"{timepoint.label} T1c to planning CT")
        for node in (ct, transform):
            self._file(node, study)
        for node in timepoint.tops:
            placeBelow(node, transform)
        placeBelow(timepoint.t1c, transform, ct)
        self.result.planning = Planning(facts, ct, transform, timepoint)
        self._addTargets(study)
        self._addDose(study)
        return self.result.planning

    def _addTargets(self, study):
        planning = self.result.planning
        if not planning.facts.get("targets"):
            return
        structures, geometry = read_segmentation(self.folder / planning.facts["targets"])
        node = addStructures(self.scene, structures, geometry, "Planning targets", planning.ct)
        display.showSegmentation(node)
        for segmentId in segmentIds(node):
            kind = segmentId.split("_")[0]
            node.GetSegmentation().GetSegment(segmentId).SetColor(
                *TARGET_COLORS.get(kind, TARGET_COLORS["PTV"])
            )
            # three lines within a millimetre or two cannot be told apart: GTV and PTV are shown
            node.GetDisplayNode().SetSegmentVisibility(segmentId, kind != "CTV")
        self._file(node, study)
        planning.targets = node

    def _addDose(self, study):
        planning = self.result.planning
        if not planning.facts.get("dose"):
            return
        dose = read_volume(self.folder / planning.facts["dose"])
        prescription = float(planning.facts["prescription_gy"])
        node = addVolume(self.scene, dose, "Planning dose (Gy)")
        display.showMap(node, 0.0, 1.25 * prescription, "Dose", threshold=0.1 * prescription)
        display.addColorLegend(node, "Dose", "Gy")
        # SlicerRT knows a dose volume by this attribute
        node.SetAttribute("DicomRtImport.DoseVolume", "1")
        self.hierarchy.SetItemAttribute(study, "DicomRtImport.DoseUnitName", "GY")
        self.hierarchy.SetItemAttribute(study, "DicomRtImport.DoseUnitValue", "1.0")
        self._file(node, study)
        planning.dose = node
        for share, color in ISODOSE_SHARES:
            level = share * prescription
            if float(np.nanmax(dose.array)) <= level:
                continue
            name = f"Isodose {level:g} Gy ({100 * share:.0f} %)"
            model = addIsodose(self.scene, dose, level, name, color)
            self._file(model, study)
            planning.isodoses.append(model)


def buildScene(folder, world=None):
    """Build the whole scene of a results folder.

    Returns
    -------
    ResultsScene
    """
    builder = SceneBuilder(folder, world)
    builder.addTimepoints()
    builder.addPlanning()
    return builder.result
