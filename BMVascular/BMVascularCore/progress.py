"""Progress of long work.

A progress callable takes ``(fraction, message)`` with the fraction in 0..1. To cancel, it raises
:class:`BMVascularCore.errors.Cancelled`; long loops therefore call it at least once a second.
"""

from collections.abc import Callable

Progress = Callable[[float, str], None]


def silent(fraction, message=""):
    """Ignore progress: the default of every long function."""


def share_of(progress, start, stop):
    """Give a part of a longer job its own 0..1 scale.

    Parameters
    ----------
    progress : callable or None
        The progress callable of the whole job.
    start, stop : float
        The part's place in the whole job, 0..1.

    Returns
    -------
    callable
        Progress callable for the part.
    """
    if progress is None:
        return silent

    def part(fraction, message=""):
        progress(start + (stop - start) * min(max(fraction, 0.0), 1.0), message)

    return part
