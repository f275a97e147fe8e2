"""Rows of Core (dictionaries of text and numbers) to table nodes and back."""

import vtk

from BMVascularCore.io import read_table


def addTable(scene, rows, name, columns=None):
    """Add rows as a table node; a missing value stays empty.

    Returns
    -------
    vtkMRMLTableNode
    """
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
    setTable(node, rows, columns)
    return node


def setTable(node, rows, columns=None):
    """Put rows into a table node in place of what it holds."""
    table = vtk.vtkTable()
    for column in columns or (list(rows[0]) if rows else []):
        array = vtk.vtkStringArray()
        array.SetName(column)
        for row in rows:
            value = row.get(column)
            array.InsertNextValue("" if value is None or value != value else str(value))
        table.AddColumn(array)
    node.SetUseColumnTitleAsColumnHeader(False)
    node.SetAndObserveTable(table)
    node.SetLocked(True)


def addTableFile(scene, path, name):
    """Add a CSV table of the results."""
    return addTable(scene, read_table(path), name)


def rowsOfTable(node):
    """Rows of a table node as dictionaries of text."""
    table = node.GetTable()
    names = [table.GetColumnName(column) for column in range(table.GetNumberOfColumns())]
    return [
        {name: table.GetValue(row, column).ToString() for column, name in enumerate(names)}
        for row in range(table.GetNumberOfRows())
    ]
