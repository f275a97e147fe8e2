"""Rigid transforms as ITK files (``.tfm``): LPS mm, mapping fixed points to moving points."""

from pathlib import Path

import SimpleITK as sitk

from BMVascularCore.errors import InputError


def read_transform(path):
    """Read an ITK transform file.

    Raises
    ------
    InputError
        Missing or unreadable.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("this transform does not exist", path.name, "Check the path.")
    try:
        return sitk.ReadTransform(str(path))
    except RuntimeError as error:
        raise InputError(
            "cannot be read as a transform", path.name, "Use an ITK transform file (.tfm)."
        ) from error


def write_transform(path, transform):
    """Write a transform as an ITK text file (``.tfm``)."""
    sitk.WriteTransform(sitk.Transform(transform), str(path))
