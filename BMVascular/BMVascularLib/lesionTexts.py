"""Words and numbers of a lesion's row as a reader wants to see them."""

# key, heading, tooltip of the column
COLUMNS = (
    ("name", "Name", "Double-click to change it. The square has the colour of the outline."),
    (
        "where",
        "Where",
        "Side of the midline (R right, L left); least distance from the brain's outer surface in mm, or ventricle: within "
        "5 mm of one. Distances to all three stand below the table. Lobes are not named: that needs an atlas.",
    ),
    (
        "volume",
        "mL",
        "Volume from the sub-voxel boundary, mL. A question mark: low confidence, the reasons stand below the table.",
    ),
    ("size", "mm", "Longest diameter in an axial plane x its perpendicular (RANO-BM), mm."),
    ("parts", "Parts mL", "Enhancing part / non-enhancing core / oedema, mL. – where not measurable."),
    ("review", "Review", "How far a person has looked at it."),
)
REVIEW = {"NotStarted": "new", "InProgress": "open", "Completed": "accepted", "Flagged": "flagged"}
# key, words, unit, digits that mean something
_DETAILS = (
    ("volume_ml", "volume", "mL", 3),
    ("longest_diameter_mm", "longest diameter", "mm", 2),
    ("perpendicular_diameter_mm", "perpendicular", "mm", 2),
    ("enhancing_ml", "enhancing", "mL", 3),
    ("core_ml", "core", "mL", 3),
    ("haemorrhage_ml", "haemorrhage", "mL", 3),
    ("oedema_ml", "oedema", "mL", 3),
    ("rim_thickness_mm", "rim", "mm", 2),
    ("contrast_enhancement_ratio", "enhancement ratio", "", 3),
    ("sphericity", "sphericity", "", 3),
    ("distance_to_midline_mm", "from the midline", "mm", 2),
    ("distance_to_cortex_mm", "from the brain's surface", "mm", 2),
    ("distance_to_ventricle_mm", "from the ventricles", "mm", 2),
)


def compartmentLegend():
    """Rich text: a square in the colour of each compartment, and its name."""
    from BMVascularLib.segments import COMPARTMENTS

    squares = []
    for name, color, _kind in COMPARTMENTS.values():
        web = "".join(f"{round(255 * part):02x}" for part in color)
        squares.append(f'<span style="color:#{web}">\u25a0</span>&nbsp;{name.replace(" ", "&nbsp;")}')
    return " &nbsp; ".join(squares)


def number(value):
    """A number of a row (text where it comes from a table node), None where there is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return None if found != found else found


def short(value, digits=3):
    """A number in few characters, a dash where there is none."""
    found = number(value)
    if found is None:
        return "–"
    if abs(found) >= 100:
        return f"{found:.0f}"
    if digits > 2:
        return f"{found:.2f}" if abs(found) < 10 else f"{found:.1f}"
    return f"{found:.1f}" if abs(found) < 10 else f"{found:.0f}"


# nearer to a ventricle than this is said to be at it, nearer to the brain's surface superficial
_PERIVENTRICULAR_MM, _SUPERFICIAL_MM = 5.0, 3.0
_SIDES = {"right": "R", "left": "L"}


def cellsOf(row):
    """Texts of a table row, by the keys of :data:`COLUMNS`."""
    length, width = number(row.get("longest_diameter_mm")), number(row.get("perpendicular_diameter_mm"))
    doubt = " ?" if row.get("confidence") == "low" else ""
    return {
        "name": row["name"],
        "where": placeWords(row) or "–",
        "volume": short(row.get("volume_ml")) + doubt,
        "size": "–" if length is None else f"{length:.0f}" + (f"×{width:.0f}" if width is not None else ""),
        "parts": "/".join(short(row.get(key), 2) for key in ("enhancing_ml", "core_ml", "oedema_ml")),
        "review": REVIEW.get(row.get("review"), row.get("review") or "–"),
    }


def placeWords(row):
    """Where a lesion lies in few words: only what distances and the side tell, '' where nothing does."""
    cortex, ventricle = number(row.get("distance_to_cortex_mm")), number(row.get("distance_to_ventricle_mm"))
    head = number(row.get("depth_below_head_surface_mm"))
    words = [_SIDES.get(row["side"], row["side"])] if row.get("side") else []
    if ventricle is not None and ventricle <= _PERIVENTRICULAR_MM and (cortex is None or cortex > ventricle):
        words.append("ventricle")
    elif cortex is not None:
        words.append("superficial" if cortex <= _SUPERFICIAL_MM else f"{cortex:.0f} mm")
    elif head is not None:
        words.append(f"skin {head:.0f} mm")
    return " ".join(words)


def _more(key, row):
    """What belongs to a number of :data:`_DETAILS`, in brackets."""
    error = number(row.get("volume_se_ml"))
    if key == "volume_ml" and error is not None:
        return f" (standard error {short(error)})"
    return f" ({row['side']})" if key == "distance_to_midline_mm" and row.get("side") else ""


def detailOf(row):
    """Sentences about one lesion: what was measured, and what could not be, and why."""
    parts = []
    for key, words, unit, digits in _DETAILS:
        value = number(row.get(key))
        if value is None:
            continue
        parts.append(f"{words} {short(value, digits)} {unit}".strip() + _more(key, row))
    notes = row.get("notes") or ""
    edited = "outline drawn by hand; " if str(row.get("edited")) == "True" and "by hand" not in notes else ""
    depth = number(row.get("depth_below_head_surface_mm"))
    if depth is not None:
        parts.append(f"centre {depth:.0f} mm below the surface of the head")
    text = f"{row['name']}: {', '.join(parts)}." if parts else f"{row['name']}: measures follow."
    return f"{text} {edited}{notes}." if notes or edited else text
