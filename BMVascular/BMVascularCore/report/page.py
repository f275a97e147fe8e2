"""Pieces of a self-contained HTML page: text is escaped, pictures are embedded."""

import base64
import html
import math

STYLE = """
:root { --ink:#1c2733; --soft:#5b6b7a; --line:#d9e0e7; --paper:#ffffff; --wash:#f4f7fa; --accent:#0b6e8a; --warn:#9a5b00; }
* { box-sizing:border-box; }
body { margin:0; font:15px/1.5 system-ui,"Segoe UI",Roboto,Arial,sans-serif; color:var(--ink); background:var(--wash); }
main { max-width:1180px; margin:0 auto; padding:24px 28px 64px; background:var(--paper); }
h1 { font-size:26px; margin:0 0 4px; } h2 { font-size:20px; margin:36px 0 8px; border-bottom:2px solid var(--accent); }
h3 { font-size:16px; margin:24px 0 6px; }
.notice { padding:8px 12px; border-left:4px solid var(--warn); background:#fff7e8; margin:12px 0; }
.soft { color:var(--soft); font-size:13px; }
table { border-collapse:collapse; margin:8px 0 16px; font-size:13.5px; }
th,td { padding:4px 10px; border-bottom:1px solid var(--line); text-align:right; white-space:nowrap; vertical-align:top; }
th { background:var(--wash); font-weight:600; } th:first-child,td:first-child,td.text { text-align:left; }
td.text { white-space:normal; max-width:420px; }
.wide { overflow-x:auto; } figure { margin:10px 0 18px; } img { max-width:100%; height:auto; background:#000; }
figcaption { color:var(--soft); font-size:13px; } ul { margin:4px 0 12px; padding-left:22px; }
.pass { color:#0a6b3c; font-weight:600; } .check { color:var(--warn); font-weight:600; } .fail { color:#a11d1d; font-weight:600; }
pre { white-space:pre-wrap; background:var(--wash); padding:10px; font-size:13px; }
@media print { body { background:#fff; } main { padding:0; } h2 { break-after:avoid; } figure { break-inside:avoid; } }
"""


def escape(value):
    """Text safe for HTML."""
    return html.escape("" if value is None else str(value))


def number(value, digits=3):
    """A number with a sensible count of digits; an en dash where there is none."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    try:
        value = float(value)
    except (TypeError, ValueError):
        return str(value)
    if not math.isfinite(value):
        return "–"
    if value == 0 or (value == int(value) and abs(value) < 1e6):
        return f"{value:.0f}"
    return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}"


def table(rows, columns, caption="", text=()):
    """An HTML table.

    Parameters
    ----------
    rows : list of dict
    columns : list of (key, heading)
        Headings carry the unit.
    caption : str
    text : collection of str
        Keys whose cells hold sentences: left-aligned and wrapped.
    """
    head = "".join(f"<th>{escape(title)}</th>" for _, title in columns)
    body = []
    for row in rows:
        cells = []
        for key, _ in columns:
            kind = ' class="text"' if key in text else ""
            cells.append(
                f"<td{kind}>{escape(row.get(key)) if key in text else escape(number(row.get(key)))}</td>"
            )
        body.append(f"<tr>{''.join(cells)}</tr>")
    # above the box that scrolls, so that it is never cut off
    title = f'<p class="soft">{escape(caption)}</p>' if caption else ""
    return f'{title}<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def bullets(items):
    """A list; nothing when empty."""
    items = [item for item in items if item]
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>" if items else ""


def figure(path, caption):
    """An embedded PNG with its caption."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    text = escape(caption)
    return (
        f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def page(title, body):
    """The whole document."""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )
