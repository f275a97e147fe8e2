"""Dose-volume histograms of a real cranial plan against the tables of Eclipse and CERR."""

import base64
import csv
import re
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np
import pytest

from BMVascularCore.planning.dose import DoseField, read_dose
from BMVascularCore.planning.dvh import compute_dvh
from BMVascularCore.planning.sampling import sample_structure
from BMVascularCore.planning.structures import Structure


def vtk_array(element, kind):
    """Values of a compressed VTK XML array (32-bit block header)."""
    text = "".join(element.text.split())
    blocks = int(np.frombuffer(base64.b64decode(text[:8])[:4], "<u4")[0])
    head = 4 * ((4 * (3 + blocks) + 2) // 3)
    sizes = np.frombuffer(base64.b64decode(text[:head])[: 4 * (3 + blocks)], "<u4")[3:]
    data, raw, at = base64.b64decode(text[head:]), b"", 0
    for size in sizes:
        raw += zlib.decompress(data[at : at + size])
        at += size
    return np.frombuffer(raw, kind)


def read_vtp(path):
    """Name and contours (LPS mm) of a planar-contour poly data file, which is RAS."""
    root = ElementTree.parse(path).getroot()
    arrays = {a.get("Name"): a for a in root.iter("Array")}
    name = vtk_array(arrays["Segment_Name"], np.uint8).tobytes().decode().strip("\0")
    piece = root.find(".//Piece")
    points = vtk_array(piece.find("Points/DataArray"), "<f4").reshape(-1, 3) * (-1, -1, 1)
    parts = {
        a.get("Name"): vtk_array(a, "<i8" if a.get("type") == "Int64" else "<i4") for a in piece.find("Lines")
    }
    rings = np.split(parts["connectivity"], parts["offsets"][:-1])
    return name, [points[ring[:-1] if ring[0] == ring[-1] else ring] for ring in rings]


def read_reference(path):
    with open(path) as stream:
        rows = list(csv.reader(stream))
    tables = {}
    for column in range(0, len(rows[0]), 2):
        name = rows[0][column].split("_DvhArray")[0]
        volume = float(re.search(r"% of ([\d.]+) cc", rows[0][column + 1])[1])
        pairs = [(float(r[column]), float(r[column + 1])) for r in rows[1:] if r[column].strip()]
        tables[name] = (volume, np.array(pairs))
    return tables


def agreement(dvh, table, top_gy):
    """Share of the table's points within 1 % of volume or 1 % of the largest dose of our curve."""
    dose, percent, _ = dvh.curve(4000)
    hits = []
    for d, p in table[1:]:
        near = np.abs(dose - d) <= 0.01 * top_gy
        reached = near.any() and percent[near].min() - 1e-9 <= p <= percent[near].max() + 1e-9
        hits.append(reached or abs(np.interp(d, dose, percent, right=0.0) - p) <= 1.0)
    return 100.0 * np.mean(hits)


SAME = {"Optic_Nerve_-_Rt": "OpticNerveRt", "Optic_Nerve-Lt": "OpticNerveLt"}


@pytest.fixture(scope="module")
def plan(shared):
    folder = shared / "data/rt/SlicerRT"
    dose = read_dose(folder / "EclipseEnt_Dose.nrrd")
    structures = dict(read_vtp(p) for p in sorted((folder / "EclipseEnt_Structures.seg").glob("*.vtp")))
    return folder, dose, structures


def compare(plan, table_name, end_caps):
    folder, dose, structures = plan
    field = DoseField(dose)
    reference = read_reference(folder / table_name)
    keys = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in structures}
    aliases = {"dose5200cgy": "dose5200cgy", "lensleft": "lensleft"}
    found = {}
    for name, (volume, table) in reference.items():
        key = re.sub(r"[^a-z0-9]", "", name.lower())
        own = keys.get(aliases.get(key, key))
        if own is None or own.startswith("Dose"):
            continue
        samples = sample_structure(Structure(own, contours=structures[own]), 2.5, end_caps)
        dvh = compute_dvh(own, samples, field)
        if dvh.measurable:
            found[name] = (agreement(dvh, table, dose.maximum_gy), samples.volume_ml, volume)
    return found


@pytest.mark.parametrize(
    ("table", "caps", "mean"),
    [("EclipseEnt_DvhTable_Eclipse.csv", "shape", 98.0), ("EclipseEnt_DvhTable_CERR.csv", "shape", 99.0)],
)
def test_agreement_with_the_planning_system(plan, table, caps, mean):
    found = compare(plan, table, caps)
    scores = {name: score for name, (score, _, _) in found.items()}
    assert len(scores) >= 14
    assert np.mean(list(scores.values())) >= mean, scores
    # what lies lower must be a matter of end caps: Eclipse's table has none
    low = [name for name, score in scores.items() if score < 92.0]
    uncapped = compare(plan, table, "none") if low else {}
    assert all(uncapped[name][0] >= 92.0 for name in low), (scores, uncapped)
