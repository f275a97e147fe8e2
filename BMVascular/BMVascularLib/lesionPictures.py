"""One sheet for each lesion and time point: three planes, with and without maps, habitats, legends."""

import numpy as np

from BMVascularCore import RESEARCH_NOTICE
from BMVascularLib import display, pictures
from BMVascularLib.colors import colorsOfNode
from BMVascularLib.offscreen import SliceView
from BMVascularLib.resultsScene import phenotypeColor, shownFrom

PLANES = ("Axial", "Coronal", "Sagittal")
ROLES = (("nrcbv", "rcbv", "srcbv"), ("ktrans", "ps"), ("pet", "tbr"))
# outline on grey anatomy and on colours
ON_GREY = (0.10, 1.0, 0.95)
ON_COLOR = (1.0, 1.0, 1.0)
DIMMED = 0.55
MAP_OPACITY = 0.85
CONVENTION = "Radiological convention: patient right is on the left of axial and coronal views."


def chosenMaps(timepoint):
    """The maps worth a row: blood volume, permeability, PET, in this order."""
    byRole = {facts["role"].lower(): (facts, node) for facts, node in timepoint.maps}
    found = [next((byRole[r] for r in family if r in byRole), None) for family in ROLES]
    return [each for each in found if each is not None]


def widthMm(lesion):
    """Width of the views: 6 to 11 cm, more around a large lesion."""
    return float(np.clip(2.4 * (lesion.get("diameter_mm") or 0.0), 60.0, 110.0))


def lesionPictures(result, timepoint, progress=None):
    """Write the sheets of one time point.

    Returns
    -------
    list of dict
        Entries of ``pictures.json``.
    """
    scene = result.world.scene
    lesions = timepoint.facts["lesion_list"]
    size = (pictures.TILE, pictures.TILE)
    entries = []
    with display.onlyVisible(scene, [timepoint.lesions]), SliceView(result.world, size) as view:
        for number, lesion in enumerate(lesions):
            if progress:
                progress(number / len(lesions), f"{timepoint.label}: picture of {lesion['name']}")
            file = f"pictures/{safeName(timepoint.label)}_{safeName(lesion['name'])}.png"
            lesionSheet(result, timepoint, lesion, view).image().save(result.folder / file, compress_level=3)
            entries.append(entry(file, "lesion", lesion["name"], timepoint, describe(lesion)))
    return entries


def entry(file, kind, lesion, timepoint, texts):
    """An entry of ``pictures.json``."""
    who = f"{lesion}, {timepoint.label}" if lesion else timepoint.label
    caption = f"{who}: {', '.join(texts)}."
    return {"file": file, "kind": kind, "lesion": lesion, "timepoint": timepoint.label, "caption": caption}


def safeName(text):
    """A name that every file system takes."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in text)


def describe(lesion):
    """Size, phenotype and stability of a lesion, as a list of texts."""
    parts = []
    if lesion.get("diameter_mm"):
        parts.append(f"longest diameter {lesion['diameter_mm']:.0f} mm")
    parts.append(lesion.get("phenotype") or "not assessed")
    if lesion.get("stability") is not None:
        parts.append(f"rule stability {lesion['stability']:.2f}")
    return parts


def markOf(index):
    """The mark that every picture carries."""
    return "SIMULATED DATA" if index.get("simulated") else "RESEARCH USE ONLY"


def noticeOf(index):
    """The sentence below every picture."""
    return index.get("notice") or RESEARCH_NOTICE


def lesionSheet(result, timepoint, lesion, view):
    """The sheet of one lesion."""
    sheet = pictures.Sheet(
        f"{lesion['name']} · {timepoint.label}",
        " · ".join(describe(lesion)),
        f"{noticeOf(result.index)} {CONVENTION}",
        markOf(result.index),
    )
    display.showSegmentation(timepoint.lesions, width=2)
    rows = [(None, None, ON_GREY, anatomyPanel(lesion))]
    rows += [(node, None, ON_COLOR, mapPanel(facts, node)) for facts, node in chosenMaps(timepoint)]
    if timepoint.habitats is not None and lesion.get("habitats", True):
        rows.append((None, timepoint.habitats, ON_COLOR, habitatsPanel(timepoint.habitats)))
    for number, (foreground, label, color, legend) in enumerate(rows):
        display.setLayers(view.composite, timepoint.t1c, foreground, label, MAP_OPACITY)
        with display.overriddenColors(timepoint.lesions, outlineColors(lesion["name"], color)):
            sheet.addRow([*tiles(view, lesion, titled=number == 0), legend])
    return sheet


def outlineColors(name, color):
    """Full colour for one lesion, dimmed for its neighbours."""
    dimmed = tuple(DIMMED * c for c in color)
    return lambda segmentId: color if segmentId == name else dimmed


def tiles(view, lesion, titled):
    """The three planes as they are set up."""
    images = []
    for plane in PLANES:
        view.place(lesion["center_ras"], plane, widthMm(lesion))
        title = plane if titled else None
        images.append(pictures.tileImage(view.image(), view.edgeLetters(), view.pixelMm(), 10, title))
    return images


def legendSize():
    """Size of the legend beside a row."""
    return pictures.LEGEND_WIDTH, pictures.TILE


def anatomyPanel(lesion):
    """What the first row shows."""
    name, color = phenotypeColor(lesion.get("phenotype"))
    cyan = tuple(round(255 * c) for c in ON_GREY)
    ink = tuple(round(255 * (0.45 + 0.55 * c)) for c in color)
    lines = [
        ("T1 with contrast", 16, pictures.INK),
        ("Line: outline of this lesion; darker lines: other lesions", 13, cyan),
        ("Phenotype", 13, pictures.FAINT),
        (name, 15, ink),
    ]
    return pictures.textPanel(legendSize(), lines)


def mapPanel(facts, node):
    """Legend of a map, from the colours and the window that its node has in the scene."""
    low, high = display.windowOf(node)
    rgba = colorsOfNode(node.GetDisplayNode().GetColorNode()).rgba
    cut = shownFrom(facts)
    note = f"below {pictures.number(cut)}: not drawn" if cut > low else None
    return pictures.scaleLegend(legendSize(), facts["name"], facts.get("unit"), rgba, low, high, note)


def habitatsPanel(node):
    """Legend of the habitats."""
    table = colorsOfNode(node.GetDisplayNode().GetColorNode())
    return pictures.namesLegend(legendSize(), "Habitats", table.names[1:], table.rgba[1:])
