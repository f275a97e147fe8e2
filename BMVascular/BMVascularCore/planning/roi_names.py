"""What a structure is, from its name; colours; names that planning systems accept."""

import re
import unicodedata

from BMVascularCore.errors import InputError
from BMVascularCore.planning.rules import roi_rules

LONGEST_NAME = 64
SHORT_NAME = 16
#: Begins the names of structures that are to look at, never to treat.
REFERENCE_PREFIX = "zREF"


def is_reference(name):
    """True for the name of a reference structure."""
    return str(name).strip().lower().startswith(REFERENCE_PREFIX.lower())


def guess_type(name, default="GTV"):
    """DICOM RT ROI Interpreted Type from a structure's name (TG-263 habits), else ``default``."""
    for pattern, kind in roi_rules()["name_patterns"]:
        if re.search(pattern, name.lower()):
            return kind
    return default


def colour_of(kind, number):
    """Display colour (red, green, blue) 0-255 of the n-th structure of a type."""
    colours = roi_rules()["colours"]
    row = colours.get(kind, colours["CONTROL"])
    return tuple(row[number % len(row)])


def check_names(names):
    """Names as they may stand in a structure set.

    Returns
    -------
    names : list of str
        ASCII, without control characters or backslashes.
    warnings : list of str

    Raises
    ------
    InputError
        Empty, over-long or double names (also where only case or blanks differ).
    """
    clean, warnings, seen = [], [], {}
    for name in names:
        text = unicodedata.normalize("NFKD", str(name)).encode("ascii", "ignore").decode()
        text = re.sub(r"[\\\x00-\x1f]", "_", text).strip()
        if not text:
            raise InputError(
                "a structure has no name that a planning system can read", name or None, "Name it."
            )
        if len(text) > LONGEST_NAME:
            raise InputError(
                f"the name is longer than {LONGEST_NAME} characters", text[:20] + "...", "Shorten it."
            )
        if text.lower() in seen:
            raise InputError("two structures have this name", text, "Give every structure its own name.")
        seen[text.lower()] = True
        if text != name:
            warnings.append(f"structure {name!r} is written as {text!r}")
        if len(text) > SHORT_NAME:
            warnings.append(
                f"structure name {text!r} is longer than {SHORT_NAME} characters; some systems cut it"
            )
        clean.append(text)
    return clean, warnings


def check_type(kind, name):
    """Return the type in capitals.

    Raises
    ------
    InputError
        When DICOM does not define it.
    """
    kind = str(kind).strip().upper()
    if kind not in roi_rules()["types"]:
        raise InputError(
            f"'{kind}' is not an ROI type of DICOM", name, "Use GTV, CTV, PTV, ORGAN or CONTROL."
        )
    return kind
