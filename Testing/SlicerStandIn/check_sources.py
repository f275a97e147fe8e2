"""Checks modules' sources and `.ui` files against the list of what Slicer offers, without running them.

`python -m SlicerStandIn.check_sources [FOLDER]` prints one line for each name that Slicer does not have.
"""

import ast
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from . import facts, proxy, uiloader

# imported by Slicer's start, not attributes of `slicer` in the list
SUBMODULES = {"packaging", "testing", "vtkMRMLSliceLayerLogic"}
# modules of extensions that the product uses where they are installed
OPTIONAL_MODULES = {"isodose", "dosevolumehistogram", "dicomrtimportexport", "doseaccumulation"}
LAYOUT_MANAGER = "qSlicerLayoutManager"


@dataclass(frozen=True)
class Problem:
    """A name that Slicer does not have, and where it is used."""

    path: str
    line: int
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text}"


def checkFolder(folder):
    """Problems of every `.py` and `.ui` file below a folder."""
    folder = Path(folder)
    uis = {p: ElementTree.parse(p).getroot() for p in sorted(folder.rglob("*.ui"))}
    problems = [Problem(str(p), 0, text) for p, tree in uis.items() for text in uiloader.check(tree)]
    classes = {p.stem: widgetClasses(tree) for p, tree in uis.items()}
    own = {p.stem.lower() for p in folder.glob("*.py")}
    own |= {f"{p.stem}{end}" for p in folder.glob("*.py") for end in ("Widget", "Instance")}
    for path in sorted(folder.rglob("*.py")):
        if "BMVascularCore" not in path.parts:
            problems += checkSource(path.read_text(encoding="utf-8"), str(path), classes.get(path.stem), own)
    return problems


def widgetClasses(tree):
    """Object name -> class of the widgets and actions of a `.ui` file."""
    found = {e.get("name"): e.get("class") for e in tree.iter("widget")}
    return {**found, **{e.get("name"): "QAction" for e in tree.iter("action")}}


def checkSource(source, path, widgets=None, ownModules=()):
    """Problems of one source text; `widgets` are those of its `.ui` file."""
    checker = _Checker(path, widgets, set(ownModules))
    tree = ast.parse(source)
    checker.learn(tree)
    checker.visit(tree)
    return checker.problems


def dotted(node):
    """`a.b.c` as a tuple; a call stands as the tuple of what is called plus `()`."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return (*inner, node.attr) if inner else ()
    if isinstance(node, ast.Call):
        inner = dotted(node.func)
        return (*inner, "()") if inner else ()
    return ()


class _Checker(ast.NodeVisitor):
    def __init__(self, path, widgets, ownModules):
        self.path, self.widgets, self.own = path, widgets, ownModules
        self.types, self.problems = {}, []

    def say(self, node, text):
        self.problems.append(Problem(self.path, node.lineno, text))

    def learn(self, tree):
        """Types of names that are assigned one widget class and no other."""
        found = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    found.setdefault(dotted(target), set()).add(self._made(node.value))
        self.types = {k: v.pop() for k, v in found.items() if k and len(v) == 1 and None not in v}

    @staticmethod
    def _made(value):
        chain = dotted(value)
        if (
            len(chain) == 3
            and chain[2] == "()"
            and chain[0] in ("qt", "ctk", "slicer")
            and facts.of(chain[1])
        ):
            return chain[1]
        return LAYOUT_MANAGER if chain[-4:] == ("slicer", "app", "layoutManager", "()") else None

    def visit_Attribute(self, node):
        chain = dotted(node)
        if chain:
            self._checkModules(node, chain)
            self._checkWidget(node, chain)
        self.generic_visit(node)

    def visit_ImportFrom(self, node):
        if node.module in ("slicer", "qt", "ctk", "slicer.util"):
            for alias in node.names:
                self._checkModules(node, (*node.module.split("."), alias.name))

    def visit_Call(self, node):
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("connect", "disconnect") and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                self._checkSignal(node, dotted(node.func.value), first.value)
        self.generic_visit(node)

    # -- modules

    def _checkModules(self, node, chain):
        if chain[:2] == ("slicer", "util") and len(chain) == 3:
            self._listed(node, "slicer.util", chain[2])
        elif chain[:2] == ("slicer", "app") and len(chain) == 3:
            self._listed(node, "slicer.app", chain[2])
        elif chain[:2] == ("slicer", "modules") and len(chain) == 3:
            if chain[2] not in self.own | OPTIONAL_MODULES:
                self._listed(node, "slicer.modules", chain[2])
        elif chain[:4] == ("slicer", "app", "layoutManager", "()") and len(chain) == 5:
            self._named(node, LAYOUT_MANAGER, chain[4])
        elif chain[0] == "slicer" and len(chain) == 2:
            if not chain[1].startswith("vtk") and chain[1] not in SUBMODULES:
                self._listed(node, "slicer", chain[1])
        elif chain[0] in ("qt", "ctk") and len(chain) in (2, 3):
            self._checkQt(node, chain)

    def _listed(self, node, key, name):
        if name not in facts.names(key) and not name.startswith("__"):
            self.say(node, f"{key} has no attribute '{name}'")

    def _checkQt(self, node, chain):
        module, name = chain[:2]
        known = facts.of(name)
        inQt = module == "qt" and any(hasattr(m, name) for m in proxy.QT_MODULES)
        if not (known and known.module == module) and not (inQt and name != "pyqtSignal"):
            self.say(node, f"{module} has no attribute '{name}'")
        elif len(chain) == 3 and chain[2] != "()":
            self._named(node, name, chain[2])

    # -- widgets

    def _classOf(self, chain):
        if chain[:2] == ("self", "ui") and len(chain) == 3 and self.widgets is not None:
            return self.widgets.get(chain[2])
        return self.types.get(chain)

    def _checkWidget(self, node, chain):
        if chain[:2] == ("self", "ui") and len(chain) == 3 and self.widgets is not None:
            if chain[2] not in self.widgets:
                self.say(node, f"the .ui file has no widget '{chain[2]}'")
            return
        kind = self._classOf(chain[:-1])
        if kind is None:
            return
        self._named(node, kind, chain[-1])
        known = facts.of(kind)
        if isinstance(node.ctx, ast.Store) and known and known.propertiesListed:
            if chain[-1] in known.names and chain[-1] not in known.properties and chain[-1] != "name":
                self.say(node, f"{kind}.{chain[-1]} is a method and cannot be assigned")
            elif known.isReadOnly(chain[-1]):
                self.say(node, f"{kind}.{chain[-1]} is read-only")

    def _named(self, node, kind, name):
        known = facts.of(kind)
        if known and name != "()" and not name.startswith("__") and not known.has(name):
            self.say(node, f"{kind} has no attribute '{name}'")

    def _checkSignal(self, node, chain, signature):
        kind = self._classOf(chain)
        known = facts.of(kind) if kind else None
        listed = [facts.normalized(s) for s in known.signals] if known else []
        if listed and facts.normalized(signature) not in listed:
            self.say(node, f"{kind} has no signal '{signature}'")


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "BMVascular"
    problems = checkFolder(folder)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
