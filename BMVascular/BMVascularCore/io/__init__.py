"""Files in and out: the only place in Core where image files are opened."""

from BMVascularCore.io.images import read_labels, read_mask, read_volume, write_volume
from BMVascularCore.io.output import OutputFolder
from BMVascularCore.io.series import read_series, write_series
from BMVascularCore.io.tables import read_curve, read_table, write_curves, write_table

__all__ = [
    "OutputFolder",
    "read_curve",
    "read_labels",
    "read_mask",
    "read_series",
    "read_table",
    "read_volume",
    "write_curves",
    "write_series",
    "write_table",
    "write_volume",
]
