"""The Python modules `qt` and `ctk`."""

import sys
import types

from PySide6 import QtCore

from . import facts, native, proxy
from .uiloader import QUiLoader

# in Qt 6 only, or of PySide6 itself
NOT_IN_QT5 = {"pyqtSignal", "QMetaProperty", "ClassInfo", "QtMsgType"}


class QtModule(types.ModuleType):
    """`import qt`: classes of QtCore, QtGui, QtWidgets under one name."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        found = None if name in NOT_IN_QT5 else self._find(name)
        if found is None:
            raise AttributeError(f"module 'qt' has no attribute '{name}'")
        setattr(self, name, found)
        return found

    def _find(self, name):
        if name in ("Signal", "Slot"):
            return getattr(QtCore, name)
        for module in proxy.QT_MODULES:
            found = getattr(module, name, None)
            if isinstance(found, type) and hasattr(found, "__module__"):
                return proxy.classFor(found)
            if callable(found):
                return lambda *args: proxy.wrap(found(*[proxy.unwrap(a) for a in args]))
        return None


class WidgetModule(types.ModuleType):
    """`import ctk`: the widgets that the list of facts has for this module."""

    def __getattr__(self, name):
        known = facts.of(name)
        if known is None or known.module != self.__name__:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        found = proxy.classFor(native.nativeClass(name))
        setattr(self, name, found)
        return found


def install():
    """Make `import qt` and `import ctk` work."""
    qt = QtModule("qt")
    qt.QUiLoader = proxy.classFor(QUiLoader)
    sys.modules["qt"] = qt
    sys.modules["ctk"] = WidgetModule("ctk")
    return qt, sys.modules["ctk"]
