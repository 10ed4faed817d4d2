"""The layers of DESIGN §3, read from the source: who may import whom, how long a file may be.

    notebook, board, share, cli → root modules, worker
    → engine, runners, caching, history, drawing → model → exceptions

An import inside a function is counted like any other, and refused for our own modules wherever
it stands: it would only hide a cycle. `cellist/__init__.py` is the door to all layers and names
them lazily, so it is the one file without a place in the order.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parent.parent / "src"
DOOR = "cellist"
TOP = {  # what of their own row they may import
    "notebook": {"board", "share"},
    "board": set(),
    "share": {"board"},
    "cli": {"notebook", "board", "share"},
    "__main__": {"cli"},
}
MIDDLE = {
    "engine": set(),
    "runners": {"engine"},
    "caching": set(),
    "history": set(),
    "drawing": set(),
}
PURE = {  # the life of a run decides and never does: no clock, no thread, no disk
    "time", "threading", "asyncio", "socket", "pathlib", "os", "io",
}  # fmt: skip
HEAVY = {
    "pandas", "numpy", "IPython", "ipywidgets", "anywidget", "pydantic", "pyarrow",
    "dask", "ray", "distributed", "matplotlib", "asyncio", "email",
}  # fmt: skip
HOOKS = {"load_ipython_extension", "unload_ipython_extension"}  # called by IPython, not by users
MAX_LINES = 400
LONGER: dict[str, str] = {}  # path below src/: why it is longer than a reader's one sitting


class Import(NamedTuple):
    """One import of a module of ours."""

    importer: str
    imported: str
    line: int
    in_function: bool
    for_types: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCE.rglob("*.py")}


def named(node: ast.stmt, importer: str, is_package: bool) -> Iterator[str]:
    """Yield the full names that an import statement may mean, the longest known being meant."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = importer.split(".")
        if node.level:
            base = base[: len(base) - node.level + is_package]
        start = [*base, node.module] if node.level and node.module else base
        prefix = ".".join(start) if node.level else (node.module or "")
        yield from (f"{prefix}.{alias.name}" for alias in node.names)


def imports(tree: ast.AST, importer: str, modules: Iterable[str] = MODULES) -> list[Import]:
    found: list[Import] = []
    path = MODULES.get(importer)
    is_package = path is not None and path.name == "__init__.py"

    def visit(node: ast.AST, in_function: bool, for_types: bool) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in named(node, importer, is_package):
                if name.split(".")[0] == DOOR:
                    target = name if name in modules else name.rpartition(".")[0] or name
                    found.append(Import(importer, target, node.lineno, in_function, for_types))
            return
        in_function |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                visit(child, in_function, for_types=True)
            for child in node.orelse:
                visit(child, in_function, for_types)
            return
        for child in ast.iter_child_nodes(node):
            visit(child, in_function, for_types)

    visit(tree, in_function=False, for_types=False)
    return found


def room(module: str) -> str:
    """The folder or root module that holds a module; empty for the door."""
    return module.split(".")[1] if "." in module else ""


def rank(module: str) -> int:
    place = room(module)
    if place in TOP:
        return 4
    if place in MIDDLE:
        return 2
    return {"model": 1, "exceptions": 0}.get(place, 3)


def is_allowed(one: Import) -> bool:
    here, there = room(one.importer), room(one.imported)
    if here == there:
        return True
    if one.imported == DOOR:  # the door leads everywhere, so going through it leads up
        return False
    if rank(one.importer) != rank(one.imported):
        return rank(one.importer) > rank(one.imported)
    return there in {**TOP, **MIDDLE}.get(here, {there})


def cycle(edges: dict[str, set[str]]) -> list[str]:
    """Return one import cycle as the path through it, or an empty list."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(edges.get(module, ())):
            if found := walk(target, [*path, module]):
                return found
        done.add(module)
        return []

    return next(filter(None, (walk(module, []) for module in sorted(edges))), [])


ALL = [
    one
    for module, path in MODULES.items()
    if module != DOOR
    for one in imports(ast.parse(path.read_text("utf-8")), module)
]


def test_imports_go_one_way():
    assert [str(one) for one in ALL if not is_allowed(one)] == []


def test_no_module_of_ours_is_imported_inside_a_function():
    assert [str(one) for one in ALL if one.in_function] == []


def test_imports_make_no_cycle():
    edges: dict[str, set[str]] = {}
    for one in ALL:
        if not one.for_types:
            edges.setdefault(one.importer, set()).add(one.imported)
    assert cycle(edges) == []


@pytest.mark.parametrize("name", ["commands", "steps", "inputs", "slots", "children"])
def test_the_life_of_a_run_touches_nothing(name):
    tree = ast.parse((SOURCE / "cellist" / "engine" / f"{name}.py").read_text("utf-8"))
    touched: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            touched |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            touched.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "open":
            touched.add("open")
    assert touched & {*PURE, "open"} == set()


def test_files_can_be_read_in_one_sitting():
    files = [path for kind in ("py", "js", "css") for path in SOURCE.rglob(f"*.{kind}")]
    lengths = {
        path.relative_to(SOURCE).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in files
    }
    too_long = {path for path, lines in lengths.items() if lines > MAX_LINES}
    assert too_long == set(LONGER), "an exception needs its reason, and goes when it is not needed"


def ask(program: str) -> dict[str, list[str]]:
    """Run a program in an interpreter that has imported nothing, and return the JSON it prints."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_public_names_are_listed():
    answer = ask(
        "import cellist, json, types\n"
        "listed = list(cellist.__all__)\n"
        "missing = [n for n in listed if not hasattr(cellist, n)]\n"
        "shown = [n for n in dir(cellist) if n[0] != '_'"
        " and (n in listed or not isinstance(getattr(cellist, n), types.ModuleType))]\n"
        "print(json.dumps({'listed': listed, 'missing': missing, 'shown': shown}))"
    )
    assert answer["missing"] == []
    assert answer["listed"] == sorted(set(answer["listed"]))
    public = {name for name in answer["listed"] if not name.startswith("__")}
    assert public - HOOKS == set(answer["shown"]) - HOOKS


def test_import_is_light():
    answer = ask("import cellist, json, sys; print(json.dumps({'loaded': list(sys.modules)}))")
    assert HEAVY & {name.split(".")[0] for name in answer["loaded"]} == set()


@pytest.mark.parametrize(
    ("importer", "statement", "allowed"),
    [
        ("cellist.model.states", "from cellist.exceptions import CellistError", True),
        ("cellist.model.states", "from cellist.engine import steps", False),
        ("cellist.engine.steps", "import cellist.caching.keys", False),
        ("cellist.engine.steps", "from cellist import tasks", False),
        ("cellist.engine.steps", "from cellist import task", False),
        ("cellist.engine.steps", "from ..history import frames", False),
        ("cellist.engine.steps", "from .commands import Invoke", True),
        ("cellist.runners.threads", "from cellist.engine import steps", True),
        ("cellist.engine.steps", "from cellist.runners import threads", False),
        ("cellist.tasks", "from cellist import flows", True),
        ("cellist.tasks", "from cellist.board import view", False),
        ("cellist.tasks", "from cellist.drawing import layout", True),
        ("cellist.drawing.layout", "from cellist.engine import steps", False),
        ("cellist.board.view", "from cellist.notebook import magics", False),
        ("cellist.notebook.magics", "from cellist.board import view", True),
        ("cellist.tasks", "def f():\n    from cellist.notebook import magics", False),
    ],
)
def test_the_rule_itself(importer, statement, allowed):
    names = {
        "cellist.tasks", "cellist.flows", "cellist.engine.steps", "cellist.engine.commands",
        "cellist.caching.keys", "cellist.history.frames", "cellist.board.view",
        "cellist.notebook.magics", "cellist.runners.threads", "cellist.exceptions",
        "cellist.drawing.layout",
    }  # fmt: skip
    found = imports(ast.parse(statement), importer, names)
    assert [is_allowed(one) for one in found] == [allowed]
    assert found[0].in_function == statement.startswith("def")


def test_a_cycle_is_found():
    edges = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert cycle(edges) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}}) == []
