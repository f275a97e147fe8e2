"""One sheet for each lesion and time point: three planes, with and without maps, habitats, legends."""

import numpy as np

from BMVascularLib import display, pictures
from BMVascularLib.colors import colorsOfNode
from BMVascularLib.offscreen import SliceView
from BMVascularLib.resultsScene import phenotypeColor

PLANES = ("Axial", "Coronal", "Sagittal")
ROLES = (("nrcbv", "rcbv", "srcbv"), ("ktrans", "ps"), ("pet", "tbr"))
CONTOUR = (1.0, 1.0, 1.0)
NEIGHBOUR = (0.72, 0.72, 0.72)
CONVENTION = "Radiological convention: patient right is on the left of axial and coronal views."


def chosenMaps(timepoint):
    """The maps worth a row: blood volume, permeability, PET, in this order."""
    byRole = {facts["role"].lower(): (facts, node) for facts, node in timepoint.maps}
    found = [next((byRole[r] for r in family if r in byRole), None) for family in ROLES]
    return [each for each in found if each is not None]


def widthMm(lesion):
    """Width of the views: 7 cm, more around a large lesion."""
    return float(np.clip(2.4 * lesion.get("diameter_mm", 0.0), 70.0, 110.0))


def lesionPictures(result, timepoint, progress=None):
    """Write the sheets of one time point.

    Returns
    -------
    list of dict
        Entries of ``pictures.json``.
    """
    lesions = timepoint.facts["lesion_list"]
    entries = []
    size = (pictures.TILE, pictures.TILE)
    with SliceView(result.world, size, f"{timepoint.label} picture") as view:
        for number, lesion in enumerate(lesions):
            if progress:
                progress(0.1 + 0.7 * number / len(lesions), f"{timepoint.label}: picture of {lesion['name']}")
            sheet = lesionSheet(result, timepoint, lesion, view)
            file = f"pictures/{safeName(timepoint.label)}_{safeName(lesion['name'])}.png"
            sheet.image().save(result.folder / file, optimize=False)
            entries.append(
                {
                    "file": file,
                    "kind": "lesion",
                    "lesion": lesion["name"],
                    "timepoint": timepoint.label,
                    "caption": caption(timepoint, lesion),
                }
            )
    restoreColors(timepoint)
    return entries


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


def caption(timepoint, lesion):
    """One line for the report."""
    return f"{lesion['name']}, {timepoint.label}: {', '.join(describe(lesion))}."


def lesionSheet(result, timepoint, lesion, view):
    """The sheet of one lesion."""
    index = result.index
    sheet = pictures.Sheet(
        f"{lesion['name']} · {timepoint.label}",
        " · ".join(describe(lesion)),
        f"{index.get('notice', '')} {CONVENTION}".strip(),
        "SIMULATED DATA" if index.get("simulated") else "RESEARCH USE ONLY",
    )
    outlineLesion(timepoint, lesion["name"])
    rows = [(timepoint.t1c, None, None, anatomyPanel(timepoint, lesion))]
    rows += [(timepoint.t1c, node, None, mapPanel(facts, node)) for facts, node in chosenMaps(timepoint)]
    if timepoint.habitats is not None:
        rows.append((timepoint.t1c, None, timepoint.habitats, habitatsPanel(timepoint.habitats)))
    for background, foreground, label, legend in rows:
        display.setLayers(view.composite, background, foreground, label, opacity=0.7)
        sheet.addRow([*tiles(view, lesion), legend])
    return sheet


def tiles(view, lesion):
    """The three planes as they are set up."""
    images = []
    for plane in PLANES:
        view.place(lesion["center_ras"], plane, widthMm(lesion))
        images.append(pictures.tileImage(view.image(), view.edgeLetters(), view.pixelMm(), 10))
    return images


def outlineLesion(timepoint, name):
    """White outline around the lesion, grey around its neighbours; the scene's own colours come back after."""
    node = timepoint.lesions
    shown = node.GetDisplayNode()
    segmentation = node.GetSegmentation()
    for index in range(segmentation.GetNumberOfSegments()):
        each = segmentation.GetNthSegmentID(index)
        shown.SetSegmentOverrideColor(each, *(CONTOUR if each == name else NEIGHBOUR))
    display.showSegmentation(node, width=2)


def restoreColors(timepoint):
    """Lesions in the colours of their phenotypes again."""
    shown = timepoint.lesions.GetDisplayNode()
    segmentation = timepoint.lesions.GetSegmentation()
    for index in range(segmentation.GetNumberOfSegments()):
        shown.UnsetSegmentOverrideColor(segmentation.GetNthSegmentID(index))


def legendSize():
    """Size of the legend beside a row."""
    return pictures.LEGEND_WIDTH, pictures.TILE


def anatomyPanel(timepoint, lesion):
    """What the first row shows."""
    name, color = phenotypeColor(lesion.get("phenotype"))
    ink = tuple(round(255 * (0.45 + 0.55 * c)) for c in color)
    lines = [
        ("T1 with contrast", 16, pictures.INK),
        ("White line: this lesion. Grey line: other lesions.", 13, pictures.FAINT),
        ("Phenotype", 13, pictures.FAINT),
        (name, 15, ink),
    ]
    return pictures.textPanel(legendSize(), lines)


def mapPanel(facts, node):
    """Legend of a map, from the colours and the window that its node has in the scene."""
    low, high = display.windowOf(node)
    rgba = colorsOfNode(node.GetDisplayNode().GetColorNode()).rgba
    return pictures.scaleLegend(legendSize(), facts["name"], facts.get("unit"), rgba, low, high)


def habitatsPanel(node):
    """Legend of the habitats."""
    table = colorsOfNode(node.GetDisplayNode().GetColorNode())
    return pictures.namesLegend(legendSize(), "Habitats", table.names[1:], table.rgba[1:])
