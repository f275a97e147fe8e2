"""What one call of the command line keeps: inputs, units, warnings, progress."""

import sys
import time
from pathlib import Path

from BMVascularCore.errors import InputError
from BMVascularCore.volume import ras_lps

_HIDDEN = {"module", "command", "debug", "quiet", "overwrite", "out", "planned_date"}


class Call:
    """Bookkeeping of one call.

    Attributes
    ----------
    inputs : dict
        Role to file name (never a full path).
    units : dict
        Result name to unit.
    warnings : list of str
    top_level : dict
        Extra top-level entries for ``<command>.json``.
    """

    def __init__(self, args):
        self.args = args
        self.inputs = {}
        self.units = {}
        self.warnings = []
        self.top_level = {}
        self._quiet = getattr(args, "quiet", False)
        self._shown = (-1, "")
        self._started = time.perf_counter()

    def add_input(self, role, path):
        """Note an input file under its role; returns the path unchanged."""
        if path is not None:
            self.inputs[role] = Path(path).name
        return path

    def warn(self, text):
        """Say and keep a warning once."""
        if text not in self.warnings:
            self.warnings.append(text)
            if not self._quiet:
                print(f"warning: {text}", file=sys.stderr)

    def progress(self, fraction, message=""):
        """Progress callable for Core: one line on stderr, rewritten on a terminal."""
        percent = int(100 * min(max(fraction, 0.0), 1.0))
        if self._quiet or (percent, message) == self._shown:
            return
        tty = sys.stderr.isatty()
        if not tty and message == self._shown[1]:
            return
        self._shown = (percent, message)
        seconds = time.perf_counter() - self._started
        line = f"[{seconds:6.1f} s] {percent:3d} %  {message}"
        print(f"\r{line:<78}" if tty else line, end="" if tty else "\n", file=sys.stderr, flush=True)

    def parameters(self):
        """The call's options, with file names instead of paths."""
        return {key: _nameless(value) for key, value in vars(self.args).items() if key not in _HIDDEN}

    def point_lps(self, text, option="--seed"):
        """Parse ``R,A,S[=NAME]`` (LPS with ``--lps``) to LPS mm and a name or None.

        Raises
        ------
        InputError
            When the text is not three numbers.
        """
        place, _, label = str(text).partition("=")
        try:
            point = [float(part) for part in place.split(",")]
        except ValueError:
            point = []
        if len(point) != 3:
            raise InputError(
                f"'{text}' is not a position", option, "Write R,A,S in mm, for example -32.5,14,60=M1."
            )
        return (point if self.args.lps else ras_lps(point).tolist()), (label.strip() or None)

    def finish(self, out, names):
        """End the progress line and say what was written."""
        if self._quiet:
            return
        if sys.stderr.isatty():
            print(file=sys.stderr)
        print(f"{len(names)} files in {out}", file=sys.stderr)


def _nameless(value):
    if isinstance(value, list | tuple):
        return [_nameless(item) for item in value]
    if isinstance(value, Path):
        return value.name
    if isinstance(value, str) and ("/" in value or "\\" in value):
        return value.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return value
