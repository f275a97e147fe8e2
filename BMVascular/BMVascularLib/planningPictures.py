"""The planning picture: CT, fusion with T1c, targets and isodose lines."""

import numpy as np

from BMVascularLib import display, pictures
from BMVascularLib.lesionPictures import CONVENTION, PLANES, entry, markOf, noticeOf
from BMVascularLib.offscreen import SliceView
from BMVascularLib.resultsScene import ISODOSE_SHARES, TARGET_COLORS
from BMVascularLib.surfaces import boundsOf

SQUARE_PX = 50
CLOSE_UP_MM = 60.0


def planningPicture(result):
    """Write the planning picture at the largest lesion.

    Returns
    -------
    dict
        Entry of ``pictures.json``.
    """
    planning = result.planning
    lesions = planning.timepoint.facts["lesion_list"]
    lesion = max(lesions, key=lambda each: each.get("diameter_mm") or 0, default=None)
    where = lesion["name"] if lesion else "the middle of the head"
    sheet = pictures.Sheet(
        "Planning CT and T1 with contrast",
        f"Targets and isodose lines in planes through {where}",
        f"{noticeOf(result.index)} {CONVENTION}",
        markOf(result.index),
    )
    shown = [planning.targets, *planning.isodoses]
    size = (pictures.TILE, pictures.TILE)
    with display.onlyVisible(result.world.scene, shown), SliceView(result.world, size) as view:
        for images, legend in planningRows(view, planning, lesion):
            sheet.addRow([*images, legend])
    file = "pictures/planning.png"
    sheet.image().save(result.folder / file, compress_level=3)
    texts = ["planning CT with fused T1c", f"targets and isodose lines at {where}"]
    return entry(file, "planning", lesion["name"] if lesion else None, planning.timepoint, texts)


def planningRows(view, planning, lesion):
    """Rows of tiles with their legends: CT, checkerboard, close-up on T1c."""
    t1c = planning.timepoint.t1c
    bounds = np.reshape(boundsOf(planning.timepoint.head), (3, 2))
    middle, width = bounds.mean(axis=1), 1.18 * np.ptp(bounds, axis=1).max()
    center, near = middle.tolist(), CLOSE_UP_MM
    if lesion:
        t1c.TransformPointToWorld(lesion["center_ras"], center)
        near = max(near, 2.2 * (lesion.get("diameter_mm") or 0))
    wide = [through(middle, center, plane) for plane in PLANES]
    ct = row(view, planning.ct, wide, width)
    mr = row(view, t1c, wide, width)
    close = row(view, t1c, [center] * 3, near)
    yield finish(view, ct, wide, width, 20, titled=True), linesLegend(planning)
    mixed = [checkerboard(a, b) for a, b in zip(ct, mr, strict=True)]
    yield (
        finish(view, mixed, wide, width, 20),
        textLegend("Fusion", "Squares of CT and T1 with contrast in turn"),
    )
    yield (
        finish(view, close, [center] * 3, near, 10),
        textLegend("Close-up", "T1 with contrast, moved onto the CT"),
    )


def through(middle, center, plane):
    """Centre of a view that shows the whole head in the plane through the lesion."""
    axis = {"Sagittal": 0, "Coronal": 1, "Axial": 2}[plane]
    point = list(middle)
    point[axis] = center[axis]
    return point


def row(view, volume, centers, width):
    """Pixels of the three planes."""
    display.setLayers(view.composite, volume)
    images = []
    for plane, center in zip(PLANES, centers, strict=True):
        view.place(center, plane, width)
        images.append(view.image())
    return images


def finish(view, images, centers, width, barMm, titled=False):
    """Tiles with letters and scale bars."""
    tiles = []
    for plane, center, pixels in zip(PLANES, centers, images, strict=True):
        view.place(center, plane, width)
        title = plane if titled else None
        tiles.append(pictures.tileImage(pixels, view.edgeLetters(), view.pixelMm(), barMm, title))
    return tiles


def checkerboard(first, second):
    """Squares of two pictures in turn."""
    rows, columns = np.indices(first.shape[:2]) // SQUARE_PX
    return np.where(((rows + columns) % 2 == 0)[..., None], first, second)


def linesLegend(planning):
    """What the lines on the CT are."""
    prescription = float(planning.facts.get("prescription_gy") or 0)
    names, colors = ["GTV", "PTV"], [TARGET_COLORS["GTV"], TARGET_COLORS["PTV"]]
    for (share, color), _ in zip(ISODOSE_SHARES, planning.isodoses, strict=False):
        names.append(f"isodose {share * prescription:g} Gy, {100 * share:.0f}%")
        colors.append(color)
    size = (pictures.LEGEND_WIDTH, pictures.TILE)
    return pictures.namesLegend(size, "Lines", names, colors)


def textLegend(title, text):
    """A title and a sentence."""
    lines = [(title, 16, pictures.INK), (text, 13, pictures.FAINT)]
    return pictures.textPanel((pictures.LEGEND_WIDTH, pictures.TILE), lines)
