"""Colour tables: read from Resources, added to a scene, turned into arrays for drawing.

The files are Slicer's own text format: ``index name r g b a`` from 0 to 255.
"""

from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.resources import resource

PREFIX = "BMV "
# none is the red of a GTV or the blue of a PTV
ISODOSE_COLORS = (
    (0.20, 0.95, 0.30), (1.0, 0.85, 0.10), (0.0, 0.90, 0.90), (0.85, 0.40, 0.95), (1.0, 0.60, 0.75),
    (0.65, 0.75, 0.20), (0.75, 0.75, 0.75),
)  # fmt: skip


@dataclass(frozen=True)
class ColorTable:
    """Names and colours.

    Attributes
    ----------
    name : str
    names : tuple of str
    rgba : ndarray, shape (n, 4), from 0 to 1
    """

    name: str
    names: tuple
    rgba: np.ndarray

    def colorOf(self, name, default=(0.6, 0.6, 0.6)):
        """Colour (r, g, b) of a named entry."""
        if name in self.names:
            return tuple(self.rgba[self.names.index(name), :3].tolist())
        return default


def readColorTable(name):
    """Read one of our colour tables: rCBV, Ktrans, Habitats, Phenotypes, Dose, Signal, Lesions.

    Raises
    ------
    InputError
        When the file is damaged.
    """
    path = resource("ColorTables", f"{name}.ctbl")
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split()
        if len(parts) != 6:
            raise InputError(f"cannot read the line {line!r}", path.name, "Install the extension again.")
        rows.append((parts[1].replace("_", " "), [float(value) / 255.0 for value in parts[2:]]))
    return ColorTable(name, tuple(row[0] for row in rows), np.array([row[1] for row in rows]))


def colorNode(scene, name):
    """The colour node of one of our tables; added to the scene when it is not there.

    Returns
    -------
    vtkMRMLColorTableNode
        Visible in the editors, so that it is saved with the scene.
    """
    present = scene.GetFirstNodeByName(PREFIX + name)
    if present is not None and present.IsA("vtkMRMLColorTableNode"):
        return present
    table = readColorTable(name)
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", PREFIX + name)
    node.SetTypeToUser()
    node.SetHideFromEditors(False)
    node.SetNumberOfColors(len(table.names))
    for index, (label, rgba) in enumerate(zip(table.names, table.rgba, strict=True)):
        node.SetColor(index, label, *rgba.tolist())
        if rgba[3] == 0.0:
            # what is never drawn has no place in a legend
            node.SetColorDefined(index, False)
    node.GetLookupTable().SetTableRange(0, len(table.names) - 1)
    return node


def colorsOfNode(node):
    """Names and RGBA (0 to 1) of a colour node, as it stands in the scene."""
    count = node.GetNumberOfColors()
    rgba = np.zeros((count, 4))
    for index in range(count):
        color = [0.0, 0.0, 0.0, 0.0]
        node.GetColor(index, color)
        rgba[index] = color
    names = tuple(node.GetColorName(index) or "" for index in range(count))
    return ColorTable(node.GetName(), names, rgba)
