"""The 3D picture of a time point."""

import numpy as np
from PIL import Image, ImageDraw

from BMVascularLib import display, pictures
from BMVascularLib.lesionPictures import entry, markOf, noticeOf, safeName
from BMVascularLib.offscreen import ThreeDView
from BMVascularLib.resultsScene import phenotypeColor
from BMVascularLib.surfaces import boundsOf

# name and direction from the head to the eye, RAS
VIEWS = (
    ("from the front", (0.0, 1.0, 0.12)),
    ("from the patient's left", (-1.0, 0.0, 0.12)),
    ("from the feet", (0.0, -0.02, -1.0)),
)
SIZE = (520, 520)
BACKGROUND = tuple(c / 255 for c in pictures.BACKGROUND)
_LINE = 17


def overviewPicture(result, timepoint):
    """Write the 3D picture: lesions in the colours of their phenotypes inside a translucent head.

    Returns
    -------
    dict
        Entry of ``pictures.json``.
    """
    # the default smoothing shrinks small lesions
    timepoint.lesions.GetSegmentation().SetConversionParameter("Smoothing factor", "0.2")
    timepoint.lesions.CreateClosedSurfaceRepresentation()
    timepoint.lesions.GetDisplayNode().SetOpacity3D(1.0)
    lesions = timepoint.facts["lesion_list"]
    sheet = pictures.Sheet(
        f"Lesions and phenotypes · {timepoint.label}",
        f"{len(lesions)} lesions, coloured by phenotype, in a smoothed outline of the head",
        noticeOf(result.index),
        markOf(result.index),
    )
    nodes = [timepoint.lesions, timepoint.head]
    with (
        display.onlyVisible(result.world.scene, nodes),
        ThreeDView(result.world, SIZE, background=BACKGROUND) as view,
    ):
        sheet.addRow([*threeDTiles(view, timepoint), phenotypeLegend(lesions)])
    file = f"pictures/{safeName(timepoint.label)}_3d.png"
    sheet.image().save(result.folder / file, compress_level=3)
    return entry(file, "overview", None, timepoint, ["lesions in 3D", "coloured by phenotype"])


def threeDTiles(view, timepoint):
    """The head from each side, with names and directions."""
    bounds = np.reshape(boundsOf(timepoint.head), (3, 2))
    center, reach = bounds.mean(axis=1), np.ptp(bounds, axis=1).max() / 2
    images = []
    for title, direction in VIEWS:
        up = (0.0, 1.0, 0.0) if abs(direction[2]) > 0.9 else (0.0, 0.0, 1.0)
        view.lookAt(center, direction, 4.8 * reach, up)
        image = Image.fromarray(view.image())
        draw = ImageDraw.Draw(image)
        pictures.write(draw, (8, 6), f"Seen {title}", 15)
        writeDirections(draw, view, center, reach)
        writeNames(draw, view, timepoint.facts["lesion_list"])
        images.append(image)
    return images


def writeDirections(draw, view, center, reach):
    """Patient directions at the edges of a 3D view."""
    width, height = view.size
    middle = np.array(view.pixelOf(center))
    for axis, letters in enumerate(("RL", "AP", "SI")):
        for letter, sign in zip(letters, (1, -1), strict=True):
            point = center + sign * reach * np.eye(3)[axis]
            step = np.array(view.pixelOf(point)) - middle
            if np.hypot(*step) < 0.25 * width:
                continue
            x, y = middle + step / np.abs(step / (width, height)).max() * 0.47
            pictures.write(draw, (x, y), letter, 16, pictures.INK, "mm", outline=True)


def writeNames(draw, view, lesions):
    """Names beside the lesions, moved down where they would cover one another."""
    taken = []
    for lesion in sorted(lesions, key=lambda each: view.pixelOf(each["center_ras"])[1]):
        x, y = view.pixelOf(lesion["center_ras"])
        beside, _ = view.pixelOf(
            np.add(lesion["center_ras"], view.right() * (lesion.get("diameter_mm") or 0) / 2)
        )
        x = beside + 4
        width, _ = pictures.textSize(lesion["name"], 15)
        while any(abs(y - other) < _LINE and left < x + width and x < right for left, right, other in taken):
            y += 2
        taken.append((x, x + width, y))
        pictures.write(draw, (x, y), lesion["name"], 15, pictures.INK, "lm", outline=True)


def phenotypeLegend(lesions):
    """Names and colours of the phenotypes that occur, with the lesions that have them."""
    groups = {}
    for lesion in lesions:
        name, color = phenotypeColor(lesion.get("phenotype"))
        groups.setdefault(name, (color, []))[1].append(lesion["name"])
    names = [f"{name}: {', '.join(members)}" for name, (_, members) in groups.items()]
    return pictures.namesLegend((230, SIZE[1]), "Phenotype", names, [color for color, _ in groups.values()])
