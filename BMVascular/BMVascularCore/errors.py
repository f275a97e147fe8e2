"""Typed errors of Core.

Core never prints and never opens a dialog. It raises one of these; the command line turns them
into one line and an exit code, the panels into one message.
"""


class BMVascularError(Exception):
    """Base of every error that BMVascular raises on purpose."""


class InputError(BMVascularError):
    """The input or the call is wrong.

    Parameters
    ----------
    what : str
        One sentence: what is wrong.
    where : object, optional
        The file, series, column or option that it concerns. Shown first.
    mend : str, optional
        One sentence that says how to put it right.
    """

    def __init__(self, what, where=None, mend=None):
        self.what = str(what)
        # the name of the current folder (".") is empty
        self.where = None if where is None else (str(where) or "this folder")
        self.mend = None if mend is None else str(mend)
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        if self.mend:
            text = f"{text.rstrip('.')}. {self.mend}"
        super().__init__(text)


class GeometryMismatchError(InputError):
    """Two images that must share a voxel grid do not."""


class NotMeasurableError(BMVascularError):
    """The quantity cannot be had from these data; the text says why."""


class Cancelled(BMVascularError):
    """The user stopped the work. Raised by a progress callable, passed through by Core."""

    def __init__(self, text="cancelled by the user"):
        super().__init__(text)
