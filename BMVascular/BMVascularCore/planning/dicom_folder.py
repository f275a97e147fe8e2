"""The one object of a kind in a folder of DICOM files, as planning systems export them: all in one place."""

from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from BMVascularCore.errors import InputError


def object_in(path, sop_classes, words):
    """A file, or the only object of some classes in a folder.

    Parameters
    ----------
    path : path-like
        Taken as it is unless it is a folder.
    sop_classes : collection of str
    words : str
        What it is called in messages.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        None, or several.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    found = [one for one in sorted(path.rglob("*")) if one.is_file() and _class_of(one) in sop_classes]
    if not found:
        raise InputError(f"holds no {words}", path.name, f"Give the file of the {words}.")
    if len(found) > 1:
        raise InputError(
            f"holds {len(found)} objects of the kind {words}", path.name, "Name one of the files."
        )
    return found[0]


def _class_of(path):
    try:
        header = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    except (InvalidDicomError, OSError, EOFError):
        return ""
    return str(header.get("SOPClassUID", ""))
