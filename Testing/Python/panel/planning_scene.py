"""A tiny planning scene with closed forms: two balls as lesions in a T1 that was moved against the CT."""

import numpy as np
import pytest
import SimpleITK as sitk

from BMVascularCore.planning.registration import Registration
from BMVascularCore.volume import Geometry, Volume

# the T1 lies this far from the CT, LPS mm: CT points plus this are T1 points
MOVED_MM = np.array((4.0, -3.0, 2.0))
BALLS = {"M1": (10.0, np.array((-12.0, 4.0, 3.0))), "M2": (7.0, np.array((14.0, -6.0, -5.0)))}
PEAK, PRESCRIPTION = 25.0, 20.0


def ct_grid():
    return Geometry((64, 64, 64), (1.0, 1.0, 1.0), (-32.0, -32.0, -32.0))


def distance(geometry, centre):
    index = np.stack(np.meshgrid(*[np.arange(n) for n in geometry.shape], indexing="ij"), axis=-1)
    return np.linalg.norm(geometry.points_of(index) - np.asarray(centre), axis=-1)


def ball_ml(diameter):
    return np.pi * diameter**3 / 6000.0


def dose_at(r, radius=5.0):
    """Radial dose with the prescription at ``radius`` (power 4)."""
    a = radius / (PEAK / PRESCRIPTION - 1.0) ** 0.25
    return PEAK / (1.0 + (r / a) ** 4)


def radius_of(level, radius=5.0):
    a = radius / (PEAK / PRESCRIPTION - 1.0) ** 0.25
    return a * (PEAK / level - 1.0) ** 0.25


def fill(scene, frame="1.2.3"):
    """CT, T1, FLAIR and lesions with roles; returns the nodes by name."""
    from BMVascularLib.segments import addSegmentation
    from BMVascularLib.studyNodes import addImage, setRole

    grid = ct_grid()
    head = distance(grid, (0, 0, 0))
    ct = np.where(head < 29, 40, -1000).astype(np.int16)
    ct[(head > 25) & (head < 28)] = 900
    facts = {"modality": "CT", "frame_of_reference_uid": frame}
    nodes = {"CT": addImage(scene, Volume(ct, grid, "CT", facts), "CT", "Planning")}
    moved = Geometry(grid.shape, grid.spacing_mm, tuple(np.add(grid.origin_mm, MOVED_MM).tolist()))
    t1 = np.where(head < 29, 100, 0).astype(np.float32) + np.where(head < 24, 50, 0)
    mr = {"modality": "MR", "frame_of_reference_uid": "1.4.5.6"}
    nodes["T1c"] = addImage(scene, Volume(t1, moved, "T1c", mr), "T1c", "TP1")
    nodes["FLAIR"] = addImage(scene, Volume(t1, moved, "FLAIR", mr), "FLAIR", "TP1")
    fine = Geometry((256, 256, 256), (0.25,) * 3, tuple((np.array((-32.0,) * 3) + MOVED_MM).tolist()))
    labels = np.zeros(fine.shape, np.uint8)
    for value, (diameter, centre) in enumerate(BALLS.values(), start=1):
        _paint(labels, fine, centre + MOVED_MM, diameter / 2.0, value)
    segments = [
        {"label": n, "name": name, "color": (1.0, 0.3, 0.2), "kind": "metastasis", "id": name}
        for n, name in enumerate(BALLS, start=1)
    ]
    nodes["lesions"] = addSegmentation(scene, Volume(labels, fine), segments, "TP1 lesions", nodes["T1c"])
    setRole(nodes["lesions"], "lesions", "TP1")
    return nodes


def _paint(labels, geometry, centre, radius, value):
    """Only the box around a ball is looked at."""
    middle = geometry.index_of(centre)
    reach = radius / geometry.spacing_mm[0] + 2
    box = tuple(slice(int(m - reach), int(m + reach) + 1) for m in middle)
    index = np.stack(np.meshgrid(*[np.arange(b.start, b.stop) for b in box], indexing="ij"), axis=-1)
    inside = np.linalg.norm(geometry.points_of(index) - centre, axis=-1) <= radius
    labels[box][inside] = value


def registration(verdict="pass", reason="all measurements lie within their limits", moved=MOVED_MM):
    """A stand-in for Core's registration: the true shift at once, with a stated verdict."""

    def register(fixed, moving, transform=None, progress=None):
        if progress is not None:
            for part in range(5):
                progress(part / 5.0, "part")
        found = sitk.TranslationTransform(3, [float(v) for v in moved]) if transform is None else transform
        spread = sitk.TranslationTransform(3, [float(v) for v in moved + np.array((0.1, 0, 0))])
        result = Registration(found, verdict, [reason], 0.1, 0.2, 0.5, 0.95, -0.6, 0.0, 5.4)
        result.repeats = [spread]
        return result

    return register


def add_dose(scene, centre=BALLS["M1"][1], frame="1.2.3"):
    """Radial dose around a ball as a volume with the role ``dose``."""
    from BMVascularLib.studyNodes import addImage

    grid = ct_grid()
    array = dose_at(distance(grid, centre)).astype(np.float32)
    facts = {"modality": "RTDOSE", "frame_of_reference_uid": frame}
    return addImage(scene, Volume(array, grid, "dose", facts), "dose", "Planning")


@pytest.fixture
def planning(host, module):
    """The open panel over the tiny scene; registration is replaced by the known shift."""
    module("BMVPlanning")
    nodes = fill(host.slicer.mrmlScene)
    opened = host.open("BMVPlanning")
    opened.nodes = nodes
    opened.logic.registerWith = registration()
    opened.logic.measureWith = registration()
    return opened


@pytest.fixture
def fused(host, planning):
    """The panel after its fusion."""
    host.click(planning.ui.fuseButton)
    return planning


@pytest.fixture
def planned(host, fused):
    """The panel after its fusion, with targets."""
    host.click(fused.ui.targetsButton)
    return fused


@pytest.fixture
def told(host):
    """Errors become messages, as for a person; the last one's text."""
    application = host.slicer.app._q
    application.testing = False
    yield lambda: host.messages.take()[-1].text
    application.testing = True
    host.errors()


def cells(table):
    """Texts of a table, row by row."""
    return [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]


def headings(table):
    """Texts of a table's heading."""
    return [table.horizontalHeaderItem(c).text() for c in range(table.columnCount)]


def by_heading(table):
    """Rows of a table as dictionaries."""
    return [dict(zip(headings(table), row, strict=True)) for row in cells(table)]
