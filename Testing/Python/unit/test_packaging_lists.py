"""What Slicer would package: the lists against the disk, and a configuration with stand-ins of Slicer's macros."""

import importlib.util
import re
import shutil
import struct
import subprocess

import pytest


@pytest.fixture(scope="module")
def lister(root):
    """The script that writes the lists."""
    spec = importlib.util.spec_from_file_location("list_files", root / "Testing/CMake/list_files.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def listed(text):
    """Every file name in a CMake file."""
    return set(re.findall(r"^\s+([\w./-]+\.\w+)\s*$", text, re.MULTILINE))


MEND = "run: python Testing/CMake/list_files.py"


def test_every_script_and_form_is_listed(root):
    folder = root / "BMVascular"
    on_disk = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix in (".py", ".ui", ".png", ".svg", ".json") and "__pycache__" not in path.parts
    }
    assert listed((folder / "CMakeLists.txt").read_text()) == on_disk, MEND


def test_every_shared_resource_is_listed(root):
    folder = root / "Resources"
    on_disk = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "CMakeLists.txt" and "Screenshots" not in path.parts
    }
    assert listed((folder / "CMakeLists.txt").read_text()) == on_disk, MEND


def test_the_lists_are_as_the_script_writes_them(root, lister):
    files = lister.packaged(root)
    assert (root / "BMVascular/CMakeLists.txt").read_text() == lister.modules_text(files), MEND
    assert (root / "Resources/CMakeLists.txt").read_text() == lister.resources_text(files), MEND


def test_a_forgotten_file_would_be_seen(root, lister):
    files = lister.packaged(root)
    text = lister.modules_text(files | {"CORE_SCRIPTS": files["CORE_SCRIPTS"][1:]})
    assert files["CORE_SCRIPTS"][0] not in listed(text)


def test_every_module_has_form_icon_and_self_test(root, lister):
    files = lister.packaged(root)
    text = (root / "BMVascular/CMakeLists.txt").read_text()
    for name in files["modules"]:
        assert f"Resources/UI/{name}.ui" in files["MODULE_RESOURCES"]
        assert f"Resources/Icons/{name}.png" in files["MODULE_RESOURCES"]
        assert f"slicer_add_python_unittest(SCRIPT {name}.py)" in text


@pytest.fixture(scope="module")
def built(root, tmp_path_factory):
    """The extension configured, built and installed against the stand-ins of Slicer's macros."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not installed")
    if not any(shutil.which(tool) for tool in ("make", "ninja")):
        pytest.skip("neither make nor ninja is installed")
    compilers = ("cc", "gcc", "clang")
    if not any(shutil.which(tool) for tool in compilers):
        pytest.skip("project() asks for a compiler, and none is installed")
    build, prefix = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("install")
    commands = (
        [cmake, "-S", root, "-B", build, f"-DSlicer_DIR={root}/Testing/CMake/Slicer", "-DBUILD_TESTING=ON"],
        [cmake, "--install", build, "--prefix", prefix],
    )
    for command in commands:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    return build, prefix / "lib/Slicer-5.12/qt-scripted-modules"


def test_the_package_holds_every_file_flat(root, lister, built):
    files, (_, installed) = lister.packaged(root), built
    wanted = {f"{name}.py" for name in files["modules"]}
    wanted |= {*files["CORE_SCRIPTS"], *files["LIB_SCRIPTS"], *files["MODULE_RESOURCES"]}
    wanted |= {f"Resources/{name}" for name in files["RESOURCE_FILES"]}
    found = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert found == wanted


def test_the_installed_core_finds_its_resources(built, tmp_path):
    import sys

    _, installed = built
    code = "from BMVascularCore.resources import resource; print(resource('Evidence', 'evidence.csv'))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.strip().startswith(str(installed))


def test_ctest_lists_a_self_test_and_a_generic_test_for_every_module(root, lister, built):
    ctest = shutil.which("ctest")
    if ctest is None:
        pytest.skip("ctest is not installed")
    text = subprocess.run([ctest, "-N"], cwd=built[0], capture_output=True, text=True, check=True).stdout
    for name in lister.packaged(root)["modules"]:
        assert f"py_{name}\n" in text
        assert f"py_nomainwindow_qSlicer{name}ModuleGenericTest" in text


# what the Extension Index's checks read


@pytest.fixture(scope="module")
def top(root):
    """The top CMake file."""
    return (root / "CMakeLists.txt").read_text()


def metadata(top, name):
    found = re.search(rf'set\({name} "([^"]*)"\)', top)
    assert found, f"{name} is missing or no literal string"
    return found.group(1)


def test_the_project_name_does_not_begin_with_slicer(top):
    name = re.search(r"project\((\w+)", top).group(1)
    assert name == "BMVascular"
    assert not name.lower().startswith("slicer")


@pytest.mark.parametrize(
    "name",
    ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"],
)
def test_metadata_are_literal_strings(top, name):
    value = metadata(top, f"EXTENSION_{name}")
    assert value.strip()
    assert "${" not in value


def test_links_are_plain_pictures_that_are_in_the_repository(root, top):
    links = [metadata(top, "EXTENSION_ICONURL"), *metadata(top, "EXTENSION_SCREENSHOTURLS").split()]
    assert len(links) >= 2
    for link in links:
        found = re.fullmatch(
            r"https://raw\.githubusercontent\.com/[^/]+/Slicer\w+/main/([\w./-]+\.png)", link
        )
        assert found, link
        assert (root / found.group(1)).is_file(), found.group(1)


def test_the_description_is_one_or_two_sentences(top):
    assert 1 <= metadata(top, "EXTENSION_DESCRIPTION").count(". ") + 1 <= 2


def test_the_icon_is_128_by_128(root):
    header = (root / "BMVascular.png").read_bytes()[:24]
    assert header[1:4] == b"PNG"
    assert struct.unpack(">II", header[16:24]) == (128, 128)


def test_the_licence_is_there(root):
    assert "Apache License" in (root / "LICENSE.txt").read_text()


def test_the_readme_says_that_this_is_no_medical_device(root):
    if not (root / "README.md").is_file():
        pytest.skip("README.md is not written")
    assert "not a medical device" in (root / "README.md").read_text().lower()


def test_no_module_runs_code_at_import(root, lister):
    import ast

    allowed = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Assign, ast.AnnAssign)
    for name in lister.packaged(root)["modules"]:
        tree = ast.parse((root / f"BMVascular/{name}.py").read_text())
        extra = [node for node in tree.body[1:] if not isinstance(node, allowed)]
        assert not extra, f"{name}.py line {extra[0].lineno}"
