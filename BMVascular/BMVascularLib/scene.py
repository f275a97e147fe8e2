"""MRML scenes and module logics, inside Slicer and without its application.

Inside Slicer the application owns one scene and every module's logic. With the ``slicer-core``
package there is neither: a scene is made here, and the logics that register the node classes are
made with their constructors. Everything else in this library takes the scene as an argument.
"""

import weakref
from dataclasses import dataclass, field

import slicer
import vtk

# attribute of slicer.modules -> class name of the logic in slicer-core
LOGIC_CLASSES = {
    "markups": "vtkSlicerMarkupsLogic",
    "models": "vtkSlicerModelsLogic",
    "plots": "vtkSlicerPlotsLogic",
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "sequences": "vtkSlicerSequencesLogic",
    "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "tables": "vtkSlicerTablesLogic",
    "transforms": "vtkSlicerTransformLogic",
    "units": "vtkSlicerUnitsLogic",
    "volumerendering": "vtkSlicerVolumeRenderingLogic",
    "volumes": "vtkSlicerVolumesLogic",
}

_worlds = weakref.WeakKeyDictionary()


@dataclass
class World:
    """A scene made outside the Slicer application, with what has to stay alive beside it.

    Attributes
    ----------
    scene : vtkMRMLScene
    applicationLogic : vtkSlicerApplicationLogic
    logics : dict
        Module name as in ``slicer.modules`` to logic.
    """

    scene: object
    applicationLogic: object
    logics: dict = field(default_factory=dict)


def createWorld():
    """A new, empty scene that knows every node class this library uses.

    Returns
    -------
    World
        Keep it as long as the scene is used.
    """
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    application.SetSliceLogics(vtk.vtkCollection())
    application.SetViewLogics(vtk.vtkCollection())
    colorLogic = application.GetColorLogic()
    colorLogic.SetMRMLScene(scene)
    colorLogic.AddDefaultColorNodes()
    # the colour module's own logic also searches the disk for tables and complains without Slicer's folders
    scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
    world = World(scene, application, {"colors": colorLogic})
    for name, className in LOGIC_CLASSES.items():
        logic = getattr(slicer, className)()
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        world.logics[name] = logic
    patientRightIsScreenLeft = True
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, patientRightIsScreenLeft)
    _worlds[scene] = world
    return world


def logicOf(scene, name):
    """The logic of a module for a scene, by its name in ``slicer.modules``.

    Raises
    ------
    LookupError
        When the scene is neither Slicer's nor made by :func:`createWorld`.
    """
    if scene in _worlds:
        return _worlds[scene].logics[name]
    module = getattr(getattr(slicer, "modules", None), name, None)
    if module is None:
        raise LookupError(f"no {name} logic: make the scene with createWorld()")
    return module.logic()


def hierarchyItem(scene, node):
    """The subject hierarchy item of a node; made where Slicer's Qt plugins do not make it.

    Returns
    -------
    int
    """
    hierarchy = subjectHierarchy(scene)
    item = hierarchy.GetItemByDataNode(node)
    if item == hierarchy.GetInvalidItemID():
        item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    return item


def subjectHierarchy(scene):
    """The subject hierarchy node of a scene."""
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
