"""The report of what is in the scene: a results folder as ``run`` writes it, with pictures and HTML.

Every image is written as it lies in the world, so that the pictures show what the views show.
"""

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from BMVascularCore.errors import InputError
from BMVascularCore.io import OutputFolder, write_table, write_volume
from BMVascularCore.io.transforms import write_transform
from BMVascularCore.progress import share_of
from BMVascularCore.report.build import build_report
from BMVascularCore.report.publisher import publish
from BMVascularCore.study.results import MAPS, ResultsIndex
from BMVascularCore.volume import Volume
from BMVascularLib import studyNodes
from BMVascularLib.planningNodes import fusionFacts, fusionOf
from BMVascularLib.segments import COMPARTMENTS, centersRas, labelsOfNode
from BMVascularLib.studyRoles import protocolOfScene
from BMVascularLib.tables import rowsOfTable
from BMVascularLib.volumes import geometryOfNode, volumeOfNode

ANATOMY = ("T1c", "T1", "T2", "FLAIR", "SWI", "ADC")
LESION_TABLE, DETAILS = "lesionTable", "phenotype details"


def writeReport(scene, folder, title="Study", notes="", pictures=True, progress=None):
    """Write the results in the scene and their report.

    Parameters
    ----------
    scene : vtkMRMLScene
    folder : BMVascularCore.io.OutputFolder
        Entered; the caller commits it.
    title : str
        Shown on top; no patient data.
    notes : str
        The reader's own text.
    pictures : bool
    progress : callable, optional

    Returns
    -------
    list of str
        What the report could not show.

    Raises
    ------
    InputError
        No lesions, or lesions without their contrast-enhanced T1.
    """
    simulated = any(
        "simulated" in (n.GetAttribute(studyNodes.REASON) or "") for n in studyNodes.nodesOf(scene)
    )
    index = ResultsIndex(folder, title, simulated)
    points = [
        p for p in studyNodes.timepointsOf(scene) if studyNodes.firstOf(scene, "lesions", p) is not None
    ]
    if not points:
        raise InputError("holds no lesions", "the scene", "Segment lesions first.")
    problems = []
    for number, label in enumerate(points):
        part = share_of(progress, 0.5 * number / len(points), 0.5 * (number + 1) / len(points))
        _TimepointWriter(scene, index, label, problems, part).write()
    _writePlanning(scene, index, problems)
    index.write()
    target = folder.file("results.json").parent
    if pictures:
        problems += [text for text in [publish(target, share_of(progress, 0.5, 0.95))] if text]
    extra = {
        "reader": notes,
        "notes": problems,
        "protocol": [finding.as_row() for finding in protocolOfScene(scene)],
    }
    folder.file("report.html").write_text(build_report(target, extra), encoding="utf-8")
    return problems


def writeReportFolder(scene, parent, title, notes="", pictures=True, progress=None):
    """Write the report into a new subfolder; see :func:`writeReport`.

    Returns
    -------
    page : pathlib.Path
        The HTML file.
    problems : list of str
    """
    number = 1
    while (target := Path(parent) / f"BMVascular-report-{number}").exists():
        number += 1
    with OutputFolder(target) as folder:
        problems = writeReport(scene, folder, title, notes, pictures, progress)
        folder.commit()
    return target / "report.html", problems


class _TimepointWriter:
    """Writes one time point."""

    def __init__(self, scene, index, label, problems, progress):
        self.scene, self.index, self.label = scene, index, label
        self.problems, self.progress = problems, progress
        self.point = index.add_timepoint(label, None)

    def write(self):
        """Images, maps, lesions, phenotype."""
        t1c = self._node("T1c")
        if t1c is None:
            raise InputError(
                "has lesions but no contrast-enhanced T1", self.label, "Give a series the role T1c."
            )
        self.geometry = geometryOfNode(t1c)
        for number, role in enumerate(ANATOMY):
            self.progress(0.5 * number / len(ANATOMY), f"{self.label}: {role}")
            volume = self._volume(role)
            if volume is not None:
                self.index.add_volume(self.point, role, volume)
        for number, role in enumerate(MAPS):
            self.progress(0.5 + 0.3 * number / len(MAPS), f"{self.label}: {role}")
            volume = self._volume(role)
            if volume is not None:
                self.index.add_maps(self.point, "maps", {role: volume.array}, volume.geometry)
        self.progress(0.85, f"{self.label}: lesions")
        self._phenotype(self._lesions())

    def _node(self, role):
        return studyNodes.firstOf(self.scene, role, self.label)

    def _volume(self, role):
        node = self._node(role)
        if node is None or not node.IsA("vtkMRMLScalarVolumeNode"):
            return None
        try:
            return volumeOfNode(node, copy=False)
        except InputError as error:
            self.problems.append(f"{self.label}: {error}")
            return None

    def _rows(self, role):
        node = self._node(role)
        return rowsOfTable(node) if node is not None and node.IsA("vtkMRMLTableNode") else []

    def _lesions(self):
        """Write labels, compartments and the table; returns label to name."""
        labels, names = labelsOfNode(self._node("lesions"), self.geometry)
        base = f"{self.point.folder}/lesions"
        self.point.lesions = {"labels": f"{base}/lesions.nrrd", "table": f"{base}/lesions.csv"}
        write_volume(self.index.folder.file(self.point.lesions["labels"]), labels)
        voxel_ml = float(np.prod(self.geometry.spacing_mm)) / 1000.0
        counts = np.bincount(labels.array.ravel(), minlength=len(names) + 1)
        known = {row.get("name"): row for row in self._rows(LESION_TABLE)}
        rows = [
            {
                "name": name,
                "volume_ml": round(counts[label] * voxel_ml, 4),
                **known.get(name, {}),
                "label": label,
            }
            for label, name in names.items()
        ]
        write_table(self.index.folder.file(self.point.lesions["table"]), rows)
        parts = self._compartments()
        if parts is not None:
            self.point.lesions["compartments"] = f"{base}/compartments.nrrd"
            write_volume(self.index.folder.file(self.point.lesions["compartments"]), parts)
        self._list(labels, names, known)
        return names

    def _compartments(self):
        node = self._node("compartments")
        if (
            node is None
            or not node.IsA("vtkMRMLSegmentationNode")
            or not node.GetSegmentation().GetNumberOfSegments()
        ):
            return None
        labels, names = labelsOfNode(node, self.geometry)
        numbers = {text.lower(): number for number, (text, _color, _kind) in COMPARTMENTS.items()}
        lookup = np.array([0, *(numbers.get(name.lower(), 0) for name in names.values())], np.uint8)
        return Volume(lookup[labels.array], self.geometry)

    def _list(self, labels, names, known):
        centers = centersRas(labels)
        phenotypes = {row.get("name"): row for row in self._rows("phenotype")}
        for label, name in names.items():
            if label not in centers:
                self.problems.append(f"{self.label}: {name} has no voxel on the contrast-enhanced T1")
                continue
            found = phenotypes.get(name, {})
            self.point.lesion_list.append({
                "name": name, "label": label, "phenotype": found.get("phenotype", ""),
                "stability": _number(found.get("stability")), "center_ras": [round(v, 2) for v in centers[label]],
                "diameter_mm": _number(known.get(name, {}).get("longest_diameter_mm")),
            })  # fmt: skip

    def _phenotype(self, names):
        base, rows = f"{self.point.folder}/phenotype", self._rows("phenotype")
        if rows:
            self.point.phenotype_table = f"{base}/phenotype.csv"
            write_table(self.index.folder.file(self.point.phenotype_table), rows)
        else:
            self.problems.append(f"{self.label}: phenotypes were not assessed")
        details = self._node(DETAILS)
        if details is not None:
            content = json.loads(details.GetText() or "{}")
            kept = {key: content.get(key) for key in ("lesions", "patient", "table")}
            self.index.folder.write_json(f"{base}/phenotype.json", kept)
            self.point.notes += content.get("warnings") or []
        habitats = self._volume("habitats")
        if habitats is not None:
            self.point.habitats = f"{base}/habitats.nrrd"
            write_volume(self.index.folder.file(self.point.habitats), habitats)


def _number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _writePlanning(scene, index, problems):
    """The planning study, where targets were made on a CT (everything lies in the world already)."""
    ct, targets = studyNodes.firstOf(scene, "CT"), studyNodes.firstOf(scene, "targets")
    if ct is None or targets is None or not targets.GetSegmentation().GetNumberOfSegments():
        return
    try:
        volume = volumeOfNode(ct, copy=False)
        labels, names = labelsOfNode(targets, volume.geometry)
    except InputError as error:
        problems.append(f"planning: {error}")
        return
    write_volume(index.folder.file("planning/ct.nrrd"), volume)
    write_volume(index.folder.file("planning/targets.nrrd"), labels)
    write_transform(index.folder.file("planning/transform.tfm"), sitk.Euler3DTransform())
    label = studyNodes.timepointOf(targets)
    shown = [point.label for point in index.timepoints]
    index.planning = {
        "ct": "planning/ct.nrrd",
        "transform": "planning/transform.tfm",
        "targets": "planning/targets.nrrd",
        "target_names": {str(number): name for number, name in names.items()},
        "timepoint": label if label in shown else shown[0],
        "verdict": "",
    }
    facts = fusionFacts(fusionOf(scene, label))
    index.planning["verdict"], index.planning["reasons"] = facts.get("verdict", ""), facts.get("reasons", [])
    for role, key in (("targets table", "targets_table"), ("metrics", "metrics_table")):
        table = next((node for node in studyNodes.nodesOf(scene, role) if node.IsA("vtkMRMLTableNode")), None)
        if table is not None:
            index.planning[key] = f"planning/{key.removesuffix('_table')}.csv"
            write_table(index.folder.file(index.planning[key]), rowsOfTable(table))
