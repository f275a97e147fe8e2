"""Keys of a panel: they work in the whole window while the panel is open, and are gone after it."""

import qt
import slicer


class Shortcuts:
    """Keys and what they do.

    Parameters
    ----------
    actions : dict
        Key ("S", "Del") to a function without arguments.
    """

    def __init__(self, actions):
        self.actions = actions
        self.made = []

    def install(self):
        """Begin to listen; a second call changes nothing."""
        if self.made:
            return
        for key, action in self.actions.items():
            shortcut = qt.QShortcut(slicer.util.mainWindow())
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.connect("activated()", action)
            self.made.append(shortcut)

    def remove(self):
        """Stop listening."""
        for shortcut in self.made:
            shortcut.disconnect("activated()")
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self.made = []
