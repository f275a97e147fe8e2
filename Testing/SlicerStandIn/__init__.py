"""Stand-in for the Slicer application: runs scripted modules and their `.ui` files without Slicer.

Imported by tests and screenshots only. `README.md` beside this file says how a panel test is written.
"""

import ctypes
import os
import sys
import types

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_LOGGING_RULES", "qt.qpa.*=false")
if not os.environ.get("DISPLAY"):
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

_host = None


def _keepSingletonsAlive():
    """PySide6 6.12 gives a reference to True or None back too often at every call: fatal before Python 3.12."""
    if sys.version_info < (3, 12):
        for value in (True, False, None):
            ctypes.c_ssize_t.from_address(id(value)).value += 1 << 30


def start(testing=True):
    """The running stand-in; the first call makes it. Afterwards `import slicer, qt, ctk` work."""
    global _host
    if _host is None:
        _host = _make(testing)
    return _host


def _make(testing):
    import slicer

    from . import (  # noqa: F401 - the widget files register what their classes do
        application,
        files,
        messages,
        modules,
        registry,
        views,
        widgets_ctk,
        widgets_markups,
        widgets_nodes,
        widgets_segments,
    )
    from .core import Core
    from .host import Host

    qt, _ = modules.install()
    core = Core()
    _extend(slicer, core)
    slicer.app = application.make(core, testing)
    _keepSingletonsAlive()
    native = slicer.app._q
    native.modules = application.qSlicerModuleManager(native, slicer.modules.loaded)
    native.inputOutput = files.qSlicerCoreIOManager(native)
    native.layouts.openViews()
    registry.addCoreModules(slicer.modules, core)
    messages.install(slicer, qt)
    return Host(slicer, core)


def _extend(slicer, core):
    """What slicer-core's package lacks of Slicer's `slicer`."""
    from . import facts, modules, registry, scripted_names

    widgets = modules.WidgetModule("slicer")

    def missing(name):
        if facts.of(name) is not None:
            return getattr(widgets, name)
        raise AttributeError(f"module 'slicer' has no attribute '{name}'")

    import importlib

    slicer.util = importlib.import_module("slicer.util")
    slicer.__getattr__ = missing
    slicer.mrmlScene = core.scene
    slicer.selfTests = {}
    slicer.modules = registry.Modules()
    for kind in ("qSlicerAbstractModule", "qSlicerLoadableModule", "qSlicerScriptedLoadableModule"):
        setattr(slicer, kind, getattr(registry, kind))
    i18n = types.ModuleType("slicer.i18n")
    i18n.tr = lambda text: text
    i18n.translate = lambda context, text, *_: text
    _module(slicer, "i18n", i18n)
    sys.modules["slicer.modules"] = slicer.modules
    scripted_names.install(slicer, _module)


def _module(slicer, name, module):
    setattr(slicer, name, module)
    sys.modules[f"slicer.{name}"] = module
