"""Long work behind a progress dialog that stays responsive and can be cancelled."""

import qt
import slicer

from BMVascularCore.errors import Cancelled


def runTask(title, work):
    """Run long work with progress and Cancel.

    Parameters
    ----------
    title : str
    work : callable
        Takes a progress callable as Core's functions do.

    Returns
    -------
    object
        What ``work`` returns; None when the user cancelled, or the scene was closed.
    """
    closed = []
    scene = slicer.mrmlScene
    tag = scene.AddObserver(scene.StartCloseEvent, lambda caller, event: closed.append(True))
    # modal: while the work runs nobody closes the scene or starts it again
    dialog = slicer.util.createProgressDialog(
        labelText=title, maximum=100, windowModality=qt.Qt.ApplicationModal
    )

    def progress(fraction, message=""):
        dialog.value = int(100 * min(max(fraction, 0.0), 1.0))
        dialog.labelText = f"{title}\n{message}" if message else title
        slicer.app.processEvents()
        if dialog.wasCanceled or closed:
            raise Cancelled()

    try:
        return work(progress)
    except Cancelled:
        return None
    finally:
        scene.RemoveObserver(tag)
        dialog.close()
