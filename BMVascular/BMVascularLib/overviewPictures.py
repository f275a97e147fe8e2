"""The 3D picture of a time point and the planning picture."""

import numpy as np
from PIL import Image, ImageDraw

from BMVascularLib import display, pictures
from BMVascularLib.lesionPictures import CONVENTION, PLANES, phenotypeColor, safeName
from BMVascularLib.offscreen import SliceView, ThreeDView
from BMVascularLib.surfaces import boundsOf

VIEWS = (("from the front", (0.25, 1.0, 0.25)), ("from the patient's left", (-1.0, 0.15, 0.25)))
_WHITE = (255, 255, 255)
_INK = (25, 28, 33)


def overviewPicture(result, timepoint):
    """Write the 3D picture: lesions in the colours of their phenotypes inside a translucent head.

    Returns
    -------
    dict
        Entry of ``pictures.json``.
    """
    timepoint.lesions.CreateClosedSurfaceRepresentation()
    timepoint.lesions.GetDisplayNode().SetOpacity3D(1.0)
    hidden = hideOthers(result, timepoint)
    bounds = np.reshape(boundsOf(timepoint.head), (3, 2))
    center = bounds.mean(axis=1)
    images = []
    with ThreeDView(result.world, (620, 640), f"{timepoint.label} 3D") as view:
        for title, direction in VIEWS:
            view.lookAt(center, direction, 2.05 * np.ptp(bounds, axis=1).max())
            images.append(threeDTile(view, timepoint, title))
    for node in hidden:
        node.GetDisplayNode().SetVisibility(True)
    sheet = pictures.Sheet(
        f"Lesions and phenotypes · {timepoint.label}",
        f"{len(timepoint.facts['lesion_list'])} lesions, coloured by phenotype",
        result.index.get("notice", ""),
        "SIMULATED DATA" if result.index.get("simulated") else "RESEARCH USE ONLY",
    )
    sheet.addRow([*images, phenotypeLegend(timepoint)])
    file = f"pictures/{safeName(timepoint.label)}_3d.png"
    sheet.image().save(result.folder / file)
    return {
        "file": file,
        "kind": "overview",
        "lesion": None,
        "timepoint": timepoint.label,
        "caption": f"{timepoint.label}: lesions in 3D, coloured by phenotype.",
    }


def hideOthers(result, timepoint):
    """Hide the 3D parts of the other time points; returns what was hidden."""
    others = [t for t in result.timepoints if t is not timepoint]
    nodes = [node for t in others for node in (t.head, t.lesions) if node is not None]
    nodes = [node for node in nodes if node.GetDisplayNode().GetVisibility()]
    for node in nodes:
        node.GetDisplayNode().SetVisibility(False)
    return nodes


def threeDTile(view, timepoint, title):
    """One 3D view with the lesions' names beside them."""
    image = Image.fromarray(view.image())
    draw = ImageDraw.Draw(image)
    pictures.write(draw, (10, 8), f"Seen {title}", 15, _INK)
    for lesion in timepoint.facts["lesion_list"]:
        x, y = view.pixelOf(lesion["center_ras"])
        draw.text(
            (x + 12, y), lesion["name"], font=pictures.font(15), fill=_INK, anchor="lm",
            stroke_width=2, stroke_fill=_WHITE,
        )  # fmt: skip
    return image


def phenotypeLegend(timepoint):
    """Names and colours of the phenotypes that occur, with the lesions that have them."""
    groups = {}
    for lesion in timepoint.facts["lesion_list"]:
        name, color = phenotypeColor(lesion.get("phenotype"))
        groups.setdefault(name, (color, []))[1].append(lesion["name"])
    names = [f"{name}: {', '.join(members)}" for name, (_, members) in groups.items()]
    colors = [color for color, _ in groups.values()]
    return pictures.namesLegend((240, 640), "Phenotype", names, colors)


def planningPicture(result):
    """Write the planning picture: CT, fused T1c, targets and isodose lines at the largest lesion.

    Returns
    -------
    dict
        Entry of ``pictures.json``.
    """
    planning = result.planning
    lesion = max(planning.timepoint.facts["lesion_list"], key=lambda each: each.get("diameter_mm") or 0)
    center = list(lesion["center_ras"])
    planning.timepoint.t1c.TransformPointToWorld(lesion["center_ras"], center)
    sheet = pictures.Sheet(
        "Planning CT and T1 with contrast",
        f"Targets and isodose lines at {lesion['name']}",
        f"{result.index.get('notice', '')} {CONVENTION}".strip(),
        "SIMULATED DATA" if result.index.get("simulated") else "RESEARCH USE ONLY",
    )
    size = (pictures.TILE, pictures.TILE)
    with SliceView(result.world, size, "Planning picture") as view:
        for foreground, opacity in ((None, 0.0), (planning.timepoint.t1c, 0.5)):
            display.setLayers(view.composite, planning.ct, foreground, None, opacity)
            row = []
            for plane in PLANES:
                view.place(center, plane, 200.0)
                row.append(pictures.tileImage(view.image(), view.edgeLetters(), view.pixelMm(), 20))
            sheet.addRow(row)
    file = "pictures/planning.png"
    sheet.image().save(result.folder / file)
    return {
        "file": file,
        "kind": "planning",
        "lesion": lesion["name"],
        "timepoint": planning.timepoint.label,
        "caption": f"Planning CT with fused T1c, targets and isodose lines at {lesion['name']}.",
    }
