"""`slicer.app.coreIOManager()`: reading and writing through the real storage nodes."""

import tempfile
import zipfile
from pathlib import Path

import slicer
from PySide6 import QtCore

# file type of slicer.util.load* -> node class
KINDS = {
    "SegmentationFile": "vtkMRMLSegmentationNode",
    "ModelFile": "vtkMRMLModelNode",
    "TransformFile": "vtkMRMLTransformNode",
    "TableFile": "vtkMRMLTableNode",
    "TextFile": "vtkMRMLTextNode",
    "SequenceFile": "vtkMRMLSequenceNode",
    "ColorTableFile": "vtkMRMLColorTableNode",
}
ENDINGS = {
    ".mrb": "SceneFile", ".mrml": "SceneFile", ".seg.nrrd": "SegmentationFile", ".seq.nrrd": "SequenceFile",
    ".nrrd": "VolumeFile", ".nii": "VolumeFile", ".nii.gz": "VolumeFile", ".mha": "VolumeFile",
    ".mrk.json": "MarkupsFile", ".vtk": "ModelFile", ".vtp": "ModelFile", ".stl": "ModelFile",
    ".tfm": "TransformFile", ".h5": "TransformFile", ".csv": "TableFile", ".tsv": "TableFile",
    ".txt": "TextFile",
}  # fmt: skip


def loadScene(file, clear):
    """Read a `.mrb` or `.mrml` file; `clear` closes the scene before."""
    file, scene = Path(file), slicer.mrmlScene
    if file.suffix == ".mrb":
        folder = Path(tempfile.mkdtemp(dir=slicer.app.temporaryPath))
        with zipfile.ZipFile(file) as bundle:
            bundle.extractall(folder)
        file = next(folder.rglob("*.mrml"))
    if clear:
        scene.Clear(0)
    scene.SetRootDirectory(str(file.parent))
    scene.SetURL(str(file))
    return bool(scene.Import())


class qSlicerCoreIOManager(QtCore.QObject):
    """Loads and saves by file type, as `slicer.util` asks for it."""

    newFileLoaded = QtCore.Signal(object)

    def fileType(self, name):
        found = [kind for ending, kind in ENDINGS.items() if str(name).lower().endswith(ending)]
        return found[0] if found else "NoFile"

    def fileWriterFileType(self, node):
        return "NodeFile"

    def loadNodes(self, kind, properties, collection=None, messages=None):
        name = properties["fileName"]
        if not Path(name).is_file():
            return False
        if kind == "SceneFile":
            return loadScene(name, bool(properties.get("clear", False)))
        node = self._load(kind, name, properties)
        if node is not None and collection is not None:
            collection.AddItem(node)
        return node is not None

    def _load(self, kind, name, properties):
        if kind == "VolumeFile":
            options = int(properties.get("labelmap", False)) + 2 * int(properties.get("center", False))
            title = properties.get("name") or Path(name).name.split(".")[0]
            return slicer.modules.volumes.logic().AddArchetypeVolume(name, title, options)
        if kind == "MarkupsFile":
            found = slicer.modules.markups.logic().LoadMarkups(name, Path(name).name.split(".")[0])
            return slicer.mrmlScene.GetNodeByID(found) if found else None
        if kind not in KINDS:
            raise NotImplementedError(f"the stand-in does not read a {kind}")
        node = slicer.mrmlScene.AddNewNodeByClass(KINDS[kind], Path(name).name.split(".")[0])
        storage = node.CreateDefaultStorageNode()
        storage.SetFileName(name)
        if not storage.ReadData(node):
            slicer.mrmlScene.RemoveNode(node)
            return None
        if hasattr(node, "CreateDefaultDisplayNodes"):
            node.CreateDefaultDisplayNodes()
        return node

    def saveNodes(self, kind, properties, messages=None):
        name, scene = str(properties["fileName"]), slicer.mrmlScene
        if kind == "SceneFile":
            if name.endswith(".mrb"):
                return bool(scene.WriteToMRB(name))
            return bool(scene.Commit(name))
        node = scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(name)
        return bool(node.GetStorageNode().WriteData(node))
