"""Scene events for the stand-in's own widgets: one observer of the scene serves them all.

So the number of observers on the scene is the number that the modules left there.
"""

import weakref

import slicer
import vtk

_listeners = weakref.WeakSet()
_scenes = {}


def listen(widget, scene):
    """`widget.sceneChanged(event, node)` is called for nodes added and removed, scenes closed and loaded."""
    _listeners.add(widget)
    if scene not in _scenes:
        _scenes[scene] = [_observe(scene, name) for name in EVENTS]


EVENTS = (
    "NodeAddedEvent", "NodeAboutToBeRemovedEvent", "NodeRemovedEvent", "EndBatchProcessEvent",
    "EndCloseEvent", "EndImportEvent",
)  # fmt: skip


def ownObservers():
    """How many observers on the scene are the stand-in's own."""
    return sum(map(len, _scenes.values()))


def _observe(scene, name):
    @vtk.calldata_type(vtk.VTK_OBJECT)
    def forward(caller, event, node):
        _tell(name, node)

    @vtk.calldata_type(vtk.VTK_INT)
    def forwardPlain(caller, event, progress=None):
        _tell(name, None)

    carriesNode = name.startswith("Node")
    # before the modules' own observers, as qMRMLSceneModel is
    return scene.AddObserver(
        getattr(slicer.vtkMRMLScene, name), forward if carriesNode else forwardPlain, 10.0
    )


def _tell(name, node):
    for widget in list(_listeners):
        widget.sceneChanged(name, node)
