"""Exceptions that Slicer prints and swallows: kept, so that a test can fail on them."""

import sys
import traceback

recorded = []


def report():
    """Print the exception being handled, as PythonQt does, and keep it."""
    record(*sys.exc_info())


def record(kind, value, trace):
    recorded.append(value)
    traceback.print_exception(kind, value, trace)


def install():
    """Also keep what VTK observers and overridden Qt events raise: both end in `sys.excepthook`."""
    sys.excepthook = record


def take():
    """Exceptions since the last call."""
    taken = list(recorded)
    recorded.clear()
    return taken
