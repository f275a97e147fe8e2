"""Scenes to ``.mrb`` files and back, without paths of this machine in them."""

import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import slicer

from BMVascularCore.errors import InputError
from BMVascularLib.sequences import FILE_LIST


def saveScene(scene, path):
    """Save a scene as ``.mrb``.

    Source file paths that an import left on nodes are removed first: they may hold names of
    patients.

    Raises
    ------
    OSError
        When Slicer's writer fails.
    """
    path = Path(path).resolve()
    removeSourcePaths(scene)
    cropSegmentations(scene)
    if not scene.WriteToMRB(str(path)):
        raise OSError(f"{path.name} could not be written")


def cropSegmentations(scene):
    """Write segments in their own box instead of the whole reference grid: a tenth of the time."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLSegmentationNode")
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        node.GetStorageNode().SetCropToMinimumExtent(True)


def removeSourcePaths(scene):
    """Remove attributes that list the files a node was read from."""
    for index in range(scene.GetNumberOfNodes()):
        scene.GetNthNode(index).RemoveAttribute(FILE_LIST)


@contextmanager
def loadedScene(world, path):
    """Load a ``.mrb`` into an empty scene made by ``createWorld``; inside Slicer use its own loader.

    The unpacked files are needed while the nodes are read, and are removed at the end of the
    ``with`` block.

    Yields
    ------
    vtkMRMLScene

    Raises
    ------
    InputError
        Not a scene file.
    """
    path = Path(path)
    if not zipfile.is_zipfile(path):
        raise InputError("is not a scene file (.mrb)", path.name, "Save the scene again.")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        found = sorted(Path(folder).rglob("*.mrml"))
        if len(found) != 1:
            raise InputError(f"holds {len(found)} scenes, one is wanted", path.name, "Save the scene again.")
        world.scene.SetURL(str(found[0]))
        world.scene.SetRootDirectory(str(found[0].parent))
        if not world.scene.Import():
            raise InputError("cannot be read as a scene", path.name, "Save the scene again.")
        yield world.scene


def showFirstTimepoint(result):
    """What Slicer shows when the scene is opened: the first time point, its first map over T1c."""
    first = result.timepoints[0]
    for timepoint in result.timepoints:
        for node in (timepoint.lesions, timepoint.head):
            node.GetDisplayNode().SetVisibility(timepoint is first)
    if result.planning is not None:
        for node in (result.planning.targets, *result.planning.isodoses):
            if node is not None:
                node.GetDisplayNode().SetVisibility(False)
    for name, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal")):
        _setSliceView(result.world, name, orientation, first)


def _setSliceView(world, name, orientation, timepoint):
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(world.applicationLogic)
    logic.SetMRMLScene(world.scene)
    node = logic.AddSliceNode(name)
    node.SetOrientation(orientation)
    composite = logic.GetSliceCompositeNode()
    composite.SetBackgroundVolumeID(timepoint.t1c.GetID())
    if timepoint.maps:
        composite.SetForegroundVolumeID(timepoint.maps[0][1].GetID())
        composite.SetForegroundOpacity(0.5)
    composite.SetLinkedControl(True)
    logic.ResizeSliceNode(512, 512)
    logic.FitSliceToBackground()
    if timepoint.facts["lesion_list"]:
        point = [0.0, 0.0, 0.0]
        timepoint.t1c.TransformPointToWorld(timepoint.facts["lesion_list"][0]["center_ras"], point)
        node.JumpSlice(*point)
    # the slice's picture in 3D is made by the application's own logic; a saved copy would double it
    logic.DeleteSliceModel()
    logic.SetMRMLScene(None)
