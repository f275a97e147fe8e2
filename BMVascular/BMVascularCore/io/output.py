"""A results folder that is either whole or not there."""

import json
import os
import shutil
import tempfile
from pathlib import Path

from BMVascularCore.errors import InputError


class OutputFolder:
    """Collects the files of one command and publishes them together.

    Files are written into a hidden folder beside the target; :meth:`commit` renames each of them
    into place. Until then, and after any failure, the target is as it was. Use as a context manager.

    Parameters
    ----------
    path : path-like
        The target folder, made if missing.
    overwrite : bool
        Allow a target that already holds files; only files of the same name are replaced.

    Raises
    ------
    InputError
        When the target holds results and ``overwrite`` is False, or cannot be written.
    """

    def __init__(self, path, overwrite=False):
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise InputError("is a file, a folder is wanted", self.path.name, "Give another --out.")
        if self.path.is_dir() and any(self.path.iterdir()) and not overwrite:
            raise InputError(
                "already holds files", self.path.name, "Give an empty folder or add --overwrite."
            )
        self._existed = self.path.is_dir()
        self._staging = None

    def __enter__(self):
        try:
            parent = self.path.absolute().parent
            self._made = _missing_parents(parent)
            parent.mkdir(parents=True, exist_ok=True)
            self._staging = Path(tempfile.mkdtemp(prefix=".bmv-", dir=parent))
        except OSError as error:
            raise InputError("cannot be written", self.path.name, "Choose another --out.") from error
        return self

    def __exit__(self, kind, value, trace):
        if self._staging is not None:
            shutil.rmtree(self._staging, ignore_errors=True)
            self._staging = None
        if kind is not None and not self._existed:
            for folder in (self.path.absolute(), *self._made):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
        return False

    def file(self, name):
        """Path to write a result to; it reaches the target at :meth:`commit`. May name subfolders."""
        path = self._staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_json(self, name, content):
        """Write a JSON file (numbers rounded by the caller; NaN becomes null)."""
        self.file(name).write_text(
            json.dumps(_plain(content), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    def commit(self):
        """Move every file into place.

        Returns
        -------
        list of str
            The files' names relative to the target.
        """
        files = sorted(path for path in self._staging.rglob("*") if path.is_file())
        names = []
        for source in files:
            name = source.relative_to(self._staging)
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
            names.append(name.as_posix())
        return names


def _missing_parents(folder):
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    return missing


def _plain(value):
    """Make numpy values, paths and NaN fit for JSON."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, str | int | bool) or value is None:
        return value
    return str(value)
