"""The evidence of one lesion as a chart: each input a bar toward either side, hatched where discounted."""

from PIL import Image, ImageDraw

from BMVascularLib.colors import readColorTable
from BMVascularLib.pictures import number, ticks, wrap, write

PAPER, INK, FAINT, GRID = (255, 255, 255), (24, 26, 30), (95, 100, 108), (214, 217, 222)
_MARGIN, _TEXT_SHARE, _ROW, _HEAD, _GROUP = 10, 0.46, 37, 44, 21
_EDGE_COLUMN = 6


def evidenceChart(lesion, width=350):
    """Draw the evidence rows of a lesion.

    Parameters
    ----------
    lesion : dict
        Entry of :attr:`BMVascularCore.phenotype.Assessment.lesions`.
    width : int
        Pixels.

    Returns
    -------
    PIL.Image.Image
    """
    groups = [(group, _measured(lesion, group)) for group in lesion["groups"]]
    groups = [(group, rows) for group, rows in groups if rows]
    missing = _missingLines(lesion, width - 2 * _MARGIN)
    space = (width - 2 * _MARGIN) * _TEXT_SHARE - 10
    heights = {
        row["input"]: _ROW + 15 * (len(wrap(row["title"], 12, space)) - 1)
        for _g, rows in groups
        for row in rows
    }
    total = _HEAD + sum(heights.values()) + len(groups) * _GROUP + 44 + 15 * len(missing) + 14
    chart = _Chart(width, total)
    chart.head(lesion["name"])
    y = _HEAD
    for group, members in groups:
        y = chart.group(y, group)
        for row in members:
            chart.row(y, row, heights[row["input"]], space)
            y += heights[row["input"]]
    y = chart.balance(y, lesion)
    for line in missing:
        write(chart.draw, (_MARGIN, y), line, 11, FAINT)
        y += 15
    return chart.image


def _measured(lesion, group):
    return [row for row in lesion["evidence"] if row["group"] == group["group"] and row["value"] is not None]


def _missingLines(lesion, width):
    names = [row["title"] for row in lesion["evidence"] if row["value"] is None]
    return wrap(f"Not measured: {', '.join(names)}.", 11, width) if names else []


class _Chart:
    def __init__(self, width, height):
        self.image = Image.new("RGB", (width, height), PAPER)
        self.draw = ImageDraw.Draw(self.image)
        self.width, self.height = width, height
        self.left = round(_MARGIN + _TEXT_SHARE * (width - 2 * _MARGIN)) + _EDGE_COLUMN
        self.right = width - _MARGIN - _EDGE_COLUMN
        table = readColorTable("Phenotypes")
        self.colors = {
            side: tuple(round(255 * part) for part in table.colorOf(name))
            for side, name in ((1, "angiogenic-dominant"), (-1, "VCO-leaning"))
        }

    def x(self, score):
        """Column of a score from -1 to +1."""
        return self.left + (score + 1.0) / 2.0 * (self.right - self.left)

    def head(self, name):
        """Lesion name, and which side is which."""
        write(self.draw, (_MARGIN, 8), name, 15, INK)
        write(self.draw, (_MARGIN, 28), "value ± uncertainty", 11, FAINT)
        write(self.draw, (self.left - _EDGE_COLUMN, 8), "co-option side", 11, self.colors[-1])
        write(self.draw, (self.right + _EDGE_COLUMN, 8), "angiogenic side", 11, self.colors[1], "ra")
        for score, text in ((-1, "-1"), (0, "0"), (1, "+1")):
            write(self.draw, (self.x(score), 26), text, 11, FAINT, "ma")

    def group(self, y, group):
        """Heading of an evidence group with the weight that it carries here."""
        self.draw.rectangle((0, y, self.width, y + _GROUP - 3), fill=(240, 242, 245))
        write(self.draw, (_MARGIN, y + 2), group["title"], 12, INK)
        text = f"weight {group['weight']:.2f} of {group['full_weight']:.2f}"
        write(self.draw, (self.width - _MARGIN, y + 3), text, 11, FAINT, "ra")
        return y + _GROUP

    def row(self, y, row, height, space):
        """One input: name, value with unit and uncertainty, bar, limits."""
        lines = wrap(row["title"], 12, space)
        for step, line in enumerate(lines):
            write(self.draw, (_MARGIN, y + 1 + 15 * step), line, 12, INK)
        write(self.draw, (_MARGIN, y + 2 + 15 * len(lines)), valueText(row), 12, FAINT)
        self._axis(y, height)
        top, bottom = y + 4, y + 18
        ends = sorted((self.x(0), self.x(row["score"])))
        side = 1 if row["score"] > 0 else -1
        box = (ends[0], top, max(ends[1], ends[0] + 2), bottom)
        if row["discounted_because"]:
            self._hatch(box, self.colors[side])
        else:
            self.draw.rectangle(box, fill=self.colors[side])
        low, high = limitTexts(row)
        write(self.draw, (self.left - 2, y + 21), low, 10, FAINT)
        write(self.draw, (self.right + 2, y + 21), high, 10, FAINT, "ra")

    def _axis(self, y, height):
        for score in (-1, 0, 1):
            color = FAINT if score == 0 else GRID
            self.draw.line((self.x(score), y, self.x(score), y + height - 1), fill=color)

    def _hatch(self, box, color):
        left, top, right, bottom = (round(value) for value in box)
        pale = tuple(round(255 - 0.25 * (255 - part)) for part in color)
        size = (right - left + 1, bottom - top + 1)
        tile = Image.new("RGB", size, pale)
        draw = ImageDraw.Draw(tile)
        for start in range(-size[1], size[0], 6):
            draw.line((start, size[1], start + size[1], 0), fill=color, width=2)
        draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=color)
        self.image.paste(tile, (left, top))

    def balance(self, y, lesion):
        """The balance of all evidence against the limits of the labels."""
        value = lesion["balance"]["e"]
        write(self.draw, (_MARGIN, y + 6), "Balance of all groups", 12, INK)
        if lesion.get("withheld_label"):
            value, text = None, "withheld, as the label is"
        else:
            text = "not measurable" if value is None else f"{value:+.2f}, coverage {lesion['coverage']:.2f}"
        write(self.draw, (_MARGIN, y + 22), text, 12, FAINT)
        self.draw.rectangle((self.x(-1), y + 10, self.x(1), y + 22), fill=(240, 242, 245), outline=GRID)
        if value is not None:
            place = self.x(min(max(value, -1.0), 1.0))
            self.draw.polygon(
                [(place, y + 22), (place - 6, y + 7), (place + 6, y + 7)], fill=INK, outline=PAPER
            )
        self.draw.line((self.x(0), y + 10, self.x(0), y + 22), fill=FAINT)
        if any(row["discounted_because"] for row in lesion["evidence"]):
            write(self.draw, (self.right + _EDGE_COLUMN, y + 27), "hatched: discounted", 10, FAINT, "ra")
        return y + 44


def valueText(row):
    """Value of an input with uncertainty and unit."""
    error = row["value"] * row["rel_sd"]
    unit = "" if row["unit"] in ("ratio", "fraction", "0..1") else f" {row['unit']}"
    note = f" ({row['unit']})" if not unit else ""
    return f"{row['value']:.3g} ± {error:.2g}{unit}{note}"


def limitTexts(row):
    """The limits at the left and the right end of an input's axis."""
    low, high = f"{row['lo']:.3g}", f"{row['hi']:.3g}"
    if row["one_sided"]:
        return f"{high} or more", "never positive"
    return f"{low} or less", f"{high} or more"


def scaleBar(metric, limits, width=330):
    """Legend of a continuous scale with name, unit and numbers, and of what is not measurable.

    Parameters
    ----------
    metric : BMVascularLib.phenotypeOverlays.Metric
    limits : (float, float)

    Returns
    -------
    PIL.Image.Image
    """
    image = Image.new("RGB", (width, 62), PAPER)
    draw = ImageDraw.Draw(image)
    unit = f" ({metric.unit})" if metric.unit else ""
    write(draw, (_MARGIN, 5), f"{metric.title}{unit}", 12, INK)
    left, right = _MARGIN + 4, width - 130
    rgba = readColorTable(metric.colors).rgba
    for x in range(left, right):
        color = rgba[round((x - left) / (right - left - 1) * (len(rgba) - 1)), :3]
        draw.line((x, 24, x, 38), fill=tuple(round(255 * part) for part in color))
    draw.rectangle((left - 1, 23, right, 39), outline=FAINT)
    low, high = limits
    for value in ticks(low, high):
        place = left + (value - low) / (high - low) * (right - left - 1)
        draw.line((place, 39, place, 43), fill=INK)
        write(draw, (place, 45), number(value), 11, INK, "ma")
    draw.rectangle((right + 18, 24, right + 32, 38), fill=(153, 153, 153), outline=FAINT)
    write(draw, (right + 37, 25), "not measurable", 11, INK)
    return image


def namesBar(names, colors, width=330):
    """Legend of named colours; long names break."""
    broken = [wrap(name, 12, width - 2 * _MARGIN - 24) for name in names]
    image = Image.new("RGB", (width, 12 + sum(3 + 15 * len(lines) for lines in broken)), PAPER)
    draw = ImageDraw.Draw(image)
    y = 6
    for lines, color in zip(broken, colors, strict=True):
        box = tuple(round(255 * part) for part in color[:3])
        draw.rectangle((_MARGIN, y, _MARGIN + 14, y + 12), fill=box, outline=FAINT)
        for line in lines:
            write(draw, (_MARGIN + 22, y - 1), line, 12, INK)
            y += 15
        y += 3
    return image


def stacked(images):
    """Pictures one below the other."""
    whole = Image.new("RGB", (max(i.width for i in images), sum(i.height for i in images)), PAPER)
    y = 0
    for image in images:
        whole.paste(image, (0, y))
        y += image.height
    return whole
