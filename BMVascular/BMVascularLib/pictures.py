"""Sheets of pictures: tiles, titles, legends, scale bars. Everything that is drawn after rendering."""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND = (18, 20, 24)
PANEL = (30, 33, 39)
INK = (238, 240, 242)
FAINT = (165, 170, 178)
NOTICE = (255, 196, 87)

TILE = 300
GAP = 6
MARGIN = 14
LEGEND_WIDTH = 230


@cache
def font(size):
    """The font that Pillow brings along: no font package is needed."""
    return ImageFont.load_default(size)


def textSize(text, size):
    """Width and height of a text in pixels."""
    left, top, right, bottom = font(size).getbbox(text)
    return right - left, bottom - top


def wrap(text, size, width):
    """Lines of a text that fit a width."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and textSize(longer, size)[0] > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line] if line else lines


def write(draw, place, text, size=14, fill=INK, anchor="la", outline=False):
    """Write a text; with an outline it reads on any background."""
    stroke = {"stroke_width": 2, "stroke_fill": (0, 0, 0)} if outline else {}
    draw.text(place, text, font=font(size), fill=fill, anchor=anchor, **stroke)


def tileImage(pixels, letters=None, pixelMm=None, barMm=None, title=None):
    """A rendered slice with orientation letters, a scale bar and names.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns, 3)
    letters : dict, optional
        ``left``, ``right``, ``top``, ``bottom`` to letter.
    pixelMm, barMm : float, optional
        Size of a pixel, and length of the bar.
    title : str, optional
        Written into the upper left corner.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    draw = ImageDraw.Draw(image)
    width, height = image.size
    places = {
        "left": (5, height / 2, "lm"),
        "right": (width - 5, height / 2, "rm"),
        "top": (width / 2, 4, "ma"),
        "bottom": (width / 2, height - 5, "md"),
    }
    for edge, letter in (letters or {}).items():
        x, y, anchor = places[edge]
        write(draw, (x, y), letter, 15, INK, anchor, outline=True)
    if barMm and pixelMm:
        scaleBar(draw, width - 12, height - 12, barMm / pixelMm, f"{barMm:g} mm")
    if title:
        write(draw, (7, 5), title, 15, INK, "la", outline=True)
    return image


def scaleBar(draw, right, bottom, length, text):
    """A scale bar that ends at a point."""
    draw.line((right - length, bottom, right, bottom), fill=(0, 0, 0), width=6)
    draw.line((right - length + 1, bottom, right - 1, bottom), fill=INK, width=3)
    write(draw, (right - length / 2, bottom - 6), text, 12, INK, "md", outline=True)


def ticks(low, high, count=5):
    """Round numbers from low to high."""
    step = (high - low) / (count - 1)
    magnitude = 10.0 ** np.floor(np.log10(step))
    nice = min((m * magnitude for m in (1, 2, 2.5, 5, 10)), key=lambda m: abs(m - step))
    first = np.ceil(low / nice - 1e-9) * nice
    return [float(v) for v in np.arange(first, high + nice * 1e-6, nice)]


def number(value):
    """A tick's text: no more digits than it needs."""
    return f"{value:.6g}" if value else "0"


def scaleLegend(size, title, unit, rgba, low, high, note=None):
    """Legend of a continuous colour scale with title, unit and numbers."""
    image = Image.new("RGB", size, PANEL)
    draw = ImageDraw.Draw(image)
    y = 12
    for line in wrap(title, 16, size[0] - 24):
        write(draw, (12, y), line, 16)
        y += 20
    if unit:
        write(draw, (12, y), f"[{unit}]", 14, FAINT)
        y += 22
    foot = 34 if note else 16
    top, bottom = y + 10, size[1] - foot
    colors = (rgba[:, :3] * 255).round().astype(np.uint8)
    rows = np.linspace(len(colors) - 1, 0, bottom - top).round().astype(int)
    bar = np.repeat(colors[rows][:, None], 26, axis=1)
    image.paste(Image.fromarray(bar), (14, top))
    draw.rectangle((13, top - 1, 40, bottom), outline=FAINT)
    for value in ticks(low, high):
        place = bottom - (value - low) / (high - low) * (bottom - top)
        draw.line((40, place, 46, place), fill=INK)
        write(draw, (51, place), number(value), 14, INK, "lm")
    if note:
        write(draw, (12, size[1] - 10), note, 12, FAINT, "ld")
    return image


def namesLegend(size, title, names, colors, background=PANEL, ink=INK, share=None):
    """Legend of named colours."""
    image = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(image)
    y = 12
    for line in wrap(title, 16, size[0] - 24):
        write(draw, (12, y), line, 16, ink)
        y += 20
    y += 8
    for name, color in zip(names, colors, strict=True):
        lines = wrap(name, 13, size[0] - 48)
        box = tuple(round(255 * c) for c in color[:3])
        draw.rectangle((13, y + 1, 30, y + 15), fill=box, outline=ink)
        for line in lines:
            write(draw, (38, y), line, 13, ink)
            y += 17
        y += 9
    return image


def textPanel(size, lines):
    """A panel of (text, size, colour) lines."""
    image = Image.new("RGB", size, PANEL)
    draw = ImageDraw.Draw(image)
    y = 12
    for text, textPoints, color in lines:
        for line in wrap(text, textPoints, size[0] - 24):
            write(draw, (12, y), line, textPoints, color)
            y += textPoints + 5
        y += 4
    return image


class Sheet:
    """A sheet of rows of tiles under a title, above a notice."""

    def __init__(self, title, subtitle, notice, marked):
        self.title, self.subtitle, self.notice, self.marked = title, subtitle, notice, marked
        self.rows = []

    def addRow(self, images):
        """Add a row of images, left to right."""
        self.rows.append(images)

    def image(self):
        """The finished sheet."""
        widths = [sum(i.width for i in row) + GAP * (len(row) - 1) for row in self.rows]
        heights = [max(i.height for i in row) for row in self.rows]
        width = max(widths) + 2 * MARGIN
        head, foot = 74, 34
        sheet = Image.new("RGB", (width, head + sum(heights) + GAP * (len(heights) - 1) + foot), BACKGROUND)
        draw = ImageDraw.Draw(sheet)
        write(draw, (MARGIN, 12), self.title, 24)
        write(draw, (MARGIN, 44), self.subtitle, 15, FAINT)
        if self.marked:
            mark(draw, width - MARGIN, 12, self.marked)
        y = head
        for row, height in zip(self.rows, heights, strict=True):
            x = MARGIN
            for image in row:
                sheet.paste(image, (x, y))
                x += image.width + GAP
            y += height + GAP
        write(draw, (MARGIN, sheet.height - 10), self.notice, 13, FAINT, "ld")
        return sheet


def mark(draw, right, top, text):
    """A framed mark that nobody overlooks, such as SIMULATED DATA."""
    width, _ = textSize(text, 15)
    draw.rectangle((right - width - 20, top, right, top + 28), outline=NOTICE, width=2)
    write(draw, (right - width / 2 - 10, top + 14), text, 15, NOTICE, "mm")
