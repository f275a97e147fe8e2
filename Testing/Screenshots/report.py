"""Pictures and the truth table of the README, from a demo's results.

Usage: python Testing/Screenshots/report.py out/demo
"""

import csv
import sys
from pathlib import Path

from PIL import Image

TARGET = Path(__file__).resolve().parents[2] / "Resources" / "Screenshots"
PICTURES = {"TP1_M1.png": "report-lesion.png", "TP1_M3.png": "report-preserved.png", "TP1_3d.png": "overview-3d.png",
            "planning.png": "report-planning.png"}  # fmt: skip
COLUMNS = (
    ("timepoint", "time", "{}"), ("lesion", "lesion", "{}"), ("diameter_true_mm", "mm", "{:.0f}"), ("dice", "Dice", "{:.2f}"),
    ("volume_true_ml", "mL true", "{:.3g}"), ("volume_ml", "mL", "{:.3g}"), ("rcbv_true", "rCBV true", "{:.2f}"),
    ("rcbv", "rCBV", "{:.2f}"), ("ktrans_true_per_min", "Ktrans true", "{:.3f}"), ("ktrans_per_min", "Ktrans", "{:.3f}"),
    ("phenotype_true", "phenotype true", "{}"), ("phenotype", "phenotype printed", "{}"), ("stability", "stability", "{:.2f}"),
    ("fusion_error_mm", "fusion error mm", "{:.2f}"),
)  # fmt: skip


def shrink(source, target, width=1000):
    """A picture small enough for a README."""
    image = Image.open(source).convert("RGB")
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.LANCZOS)
    # in full colour: a palette would shift the colours of maps away from their legends
    image.save(target, optimize=True)


def markdown(path):
    """The truth table as Markdown."""
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    lines = ["| " + " | ".join(title for _, title, _ in COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        cells = []
        for key, _, form in COLUMNS:
            value = row[key]
            if value and form != "{}":
                value = form.format(float(value))
            cells.append(value or "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(folder):
    """Write the pictures and print the table."""
    TARGET.mkdir(parents=True, exist_ok=True)
    for source, target in PICTURES.items():
        shrink(folder / "pictures" / source, TARGET / target)
    print(markdown(folder / "computed_against_true.csv"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
