"""Drawn pictures in labels."""

import tempfile
from pathlib import Path

import qt


def showPicture(label, image):
    """Show a PIL image in a QLabel, pixel by pixel; an empty label with None."""
    if image is None:
        label.clear()
        label.setMinimumSize(0, 0)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        image.save(path)
        pixmap = qt.QPixmap(str(path))
    label.setPixmap(pixmap)
    label.setMinimumSize(pixmap.width(), pixmap.height())


def colorIcon(rgb):
    """A small square of a colour (0 to 1), for table cells and lists."""
    pixmap = qt.QPixmap(12, 12)
    pixmap.fill(qt.QColor(*[round(255 * float(part)) for part in rgb[:3]]))
    return qt.QIcon(pixmap)
