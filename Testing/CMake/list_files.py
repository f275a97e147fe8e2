"""Write the lists of packaged files into the CMake files: ``python Testing/CMake/list_files.py``.

Slicer packages only what is listed; a unit test compares the lists with the disk.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HUB = "BMVascular"
_NOT_PACKAGED = ("Screenshots",)


def _below(folder, *patterns):
    """Files relative to a folder, sorted, without caches."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(path.relative_to(folder).as_posix() for path in found if "__pycache__" not in path.parts)


def packaged(root=ROOT):
    """Every file that belongs into the package, by list name.

    Returns
    -------
    dict of str to list of str
        ``modules`` (names), ``CORE_SCRIPTS``, ``LIB_SCRIPTS`` and ``MODULE_RESOURCES`` (relative to the module
        folder), ``RESOURCE_FILES`` (relative to the folder of shared data).
    """
    folder = root / "BMVascular"
    modules = sorted((path.stem for path in folder.glob("BMV*.py")), key=lambda name: (name != HUB, name))
    shared = [
        name for name in _below(root / "Resources", "**/*")
        if name != "CMakeLists.txt" and name.split("/")[0] not in _NOT_PACKAGED
    ]  # fmt: skip
    return {
        "modules": modules,
        "CORE_SCRIPTS": _below(folder, "BMVascularCore/**/*.py"),
        "LIB_SCRIPTS": _below(folder, "BMVascularLib/**/*.py"),
        "MODULE_RESOURCES": _below(folder, "Resources/**/*"),
        "RESOURCE_FILES": shared,
    }


def _list(name, files):
    return "\n".join([f"set({name}", *(f"  {file}" for file in files), "  )"])


def modules_text(files):
    """Text of ``BMVascular/CMakeLists.txt``."""
    parts = [
        "# Slicer packages what is listed here and nothing else; Testing/CMake/list_files.py writes the lists.",
        _list("CORE_SCRIPTS", files["CORE_SCRIPTS"]),
        _list("LIB_SCRIPTS", files["LIB_SCRIPTS"]),
    ]
    for name in files["modules"]:
        own = [f for f in files["MODULE_RESOURCES"] if Path(f).stem == name]
        if name == HUB:
            # what belongs to no single module goes with the hub
            own += [f for f in files["MODULE_RESOURCES"] if Path(f).stem not in files["modules"]]
        scripts = [f"{name}.py"] + (["${CORE_SCRIPTS}", "${LIB_SCRIPTS}"] if name == HUB else [])
        lines = [f"    {entry}" for entry in scripts], [f"    {entry}" for entry in own]
        parts.append(
            "\n".join(["slicerMacroBuildScriptedModule(", f"  NAME {name}", "  SCRIPTS", *lines[0],
                       "  RESOURCES", *lines[1], "  WITH_GENERIC_TESTS", "  )"])
        )  # fmt: skip
    tests = "\n".join(f"  slicer_add_python_unittest(SCRIPT {name}.py)" for name in files["modules"])
    parts.append(f"# The self-test of every module, run by Slicer.\nif(BUILD_TESTING)\n{tests}\nendif()")
    return "\n\n".join(parts) + "\n"


def resources_text(files):
    """Text of ``Resources/CMakeLists.txt``."""
    return "\n\n".join([
        "# Data shared by the modules: beside the scripts in the build tree and in the package.\n"
        "# Testing/CMake/list_files.py writes the list.",
        _list("RESOURCE_FILES", files["RESOURCE_FILES"]),
        "foreach(file ${RESOURCE_FILES})\n"
        "  get_filename_component(folder ${file} DIRECTORY)\n"
        "  configure_file(${file}\n"
        "    ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/Resources/${file} COPYONLY)\n"
        "  install(FILES ${file}\n"
        "    DESTINATION ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}/Resources/${folder}\n"
        "    COMPONENT RuntimeLibraries)\n"
        "endforeach()",
    ]) + "\n"  # fmt: skip


def main(root=ROOT):
    """Write both files."""
    files = packaged(root)
    (root / "BMVascular" / "CMakeLists.txt").write_text(modules_text(files), encoding="utf-8")
    (root / "Resources" / "CMakeLists.txt").write_text(resources_text(files), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
