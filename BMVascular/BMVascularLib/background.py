"""Long work of Core beside the main thread, so that views and Cancel answer while it runs."""

import threading

from BMVascularCore.errors import Cancelled

_TICK_S = 0.05


def inBackground(function):
    """A function of Core that runs in a thread of its own while the caller's progress is called many times a second.

    For functions that take values and touch neither scene nor widgets. They report progress once in several seconds,
    in which numpy and SimpleITK let other threads run.

    Parameters
    ----------
    function : callable
        With a keyword ``progress``.

    Returns
    -------
    callable
        Takes the same arguments. Raises what ``function`` raises, or at once what ``progress`` raises: the work
        then ends by itself at its next report, and what it finds is dropped. Without ``progress`` it runs as it is.
    """

    def run(*args, progress=None, **options):
        if progress is None:
            return function(*args, **options)
        work = _Work(function, args, options)
        worker = threading.Thread(target=work.run, daemon=True)
        worker.start()
        try:
            while worker.is_alive():
                worker.join(_TICK_S)
                progress(*work.told)
        except BaseException:
            work.stopped = True
            raise
        if work.error is not None:
            raise work.error
        return work.result

    return run


class _Work:
    """What the thread does, and what it has to say."""

    def __init__(self, function, args, options):
        self._call = function, args, options
        self.told, self.stopped = (0.0, ""), False
        self.result = self.error = None

    def run(self):
        """In the thread; an error waits for the caller."""
        function, args, options = self._call
        try:
            self.result = function(*args, progress=self._tell, **options)
        except BaseException as error:
            self.error = error

    def _tell(self, fraction, message=""):
        self.told = fraction, message
        if self.stopped:
            raise Cancelled()
