"""Puts the imitated Python modules of Slicer under their names."""

import importlib


def install(slicer, place):
    """`slicer.ScriptedLoadableModule`, `slicer.parameterNodeWrapper`; `slicer` offers their classes too."""
    scripted = importlib.import_module(".scripted", __package__)
    place(slicer, "ScriptedLoadableModule", scripted)
    wrapper = importlib.import_module(".parameterNode", __package__)
    place(slicer, "parameterNodeWrapper", wrapper)
