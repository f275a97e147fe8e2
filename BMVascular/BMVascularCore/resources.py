"""Where the run-time data lie: colour tables, evidence, presets, terminology."""

from functools import cache
from pathlib import Path

from BMVascularCore.errors import BMVascularError

_HERE = Path(__file__).resolve().parent
# wheel, installed extension (flat), source tree: the first that holds our colour tables wins (modules
# keep a Resources folder of their own, with icons and forms)
_PLACES = (_HERE / "Resources", _HERE.parent / "Resources", _HERE.parent.parent / "Resources")


@cache
def resource_dir():
    """Folder of the shared run-time data.

    Raises
    ------
    BMVascularError
        When the installation is incomplete.
    """
    for place in _PLACES:
        if (place / "ColorTables").is_dir():
            return place
    raise BMVascularError("The Resources folder of BMVascular is missing: install the extension again.")


def resource(*parts):
    """Path of one resource file, for example ``resource("Evidence", "evidence.csv")``.

    Raises
    ------
    BMVascularError
        When the file is not there.
    """
    path = resource_dir().joinpath(*parts)
    if not path.exists():
        raise BMVascularError(f"Resource {'/'.join(parts)} is missing: install the extension again.")
    return path
