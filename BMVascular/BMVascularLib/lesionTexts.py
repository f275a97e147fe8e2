"""Words and numbers of a lesion's row as a reader wants to see them."""

# key, heading, tooltip of the column
COLUMNS = (
    ("name", "Name", "Double-click to change it."),
    ("where", "Where", "Side of the midline, and depth of the centre below the surface of the head in mm."),
    ("volume", "mL", "Volume from the sub-voxel boundary, mL."),
    ("size", "mm", "Longest diameter in an axial plane x its perpendicular (RANO-BM), mm."),
    ("parts", "Parts mL", "Enhancing part / non-enhancing core / oedema, mL. – where not measurable."),
    ("confidence", "Conf.", "How far the outline can be trusted; the reasons stand below the table."),
    ("review", "Review", "How far a person has looked at it."),
)
REVIEW = {"NotStarted": "new", "InProgress": "open", "Completed": "accepted", "Flagged": "flagged"}
_DETAILS = (
    ("volume_ml", "volume", "mL"),
    ("longest_diameter_mm", "longest diameter", "mm"),
    ("perpendicular_diameter_mm", "perpendicular", "mm"),
    ("enhancing_ml", "enhancing", "mL"),
    ("core_ml", "core", "mL"),
    ("haemorrhage_ml", "haemorrhage", "mL"),
    ("oedema_ml", "oedema", "mL"),
    ("rim_thickness_mm", "rim", "mm"),
    ("contrast_enhancement_ratio", "enhancement ratio", ""),
    ("sphericity", "sphericity", ""),
    ("distance_to_cortex_mm", "from the brain's surface", "mm"),
    ("distance_to_ventricle_mm", "from the ventricles", "mm"),
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


def cellsOf(row):
    """Texts of a table row, in the order of :data:`COLUMNS`."""
    depth, side = number(row.get("depth_below_head_surface_mm")), row.get("side") or ""
    length, width = number(row.get("longest_diameter_mm")), number(row.get("perpendicular_diameter_mm"))
    return {
        "name": row["name"],
        "where": f"{side} {depth:.0f}".strip() if depth is not None else side or "–",
        "volume": short(row.get("volume_ml")),
        "size": "–" if length is None else f"{length:.0f}" + (f"×{width:.0f}" if width is not None else ""),
        "parts": "/".join(short(row.get(key), 2) for key in ("enhancing_ml", "core_ml", "oedema_ml")),
        "confidence": row.get("confidence") or "–",
        "review": REVIEW.get(row.get("review"), row.get("review") or "–"),
    }


def _where(row):
    depth, side = number(row.get("depth_below_head_surface_mm")), row.get("side")
    if depth is None or not side:
        return ""
    return f"{side}, centre {depth:.0f} mm below the surface of the head"


def detailOf(row):
    """Sentences about one lesion: what was measured, and what could not be, and why."""
    parts = []
    for key, words, unit in _DETAILS:
        value = number(row.get(key))
        if value is None:
            continue
        error = number(row.get("volume_se_ml")) if key == "volume_ml" else None
        text = short(value) + (f" ± {short(error)}" if error is not None else "")
        parts.append(f"{words} {text} {unit}".strip())
    notes = row.get("notes") or ""
    edited = "outline drawn by hand; " if str(row.get("edited")) == "True" and "by hand" not in notes else ""
    where = _where(row)
    parts = [*parts, where] if where else parts
    text = f"{row['name']}: {', '.join(parts)}." if parts else f"{row['name']}: measures follow."
    return f"{text} {edited}{notes}." if notes or edited else text
