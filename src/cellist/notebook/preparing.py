"""What is done with the code of a task cell before it runs."""

import ast
import builtins
import enum
import functools
from collections.abc import Mapping
from contextlib import suppress
from types import FunctionType, ModuleType
from typing import Any

from IPython.core.error import UsageError

from cellist.caching.kinds import kind_of
from cellist.notebook import scopes
from cellist.notebook.definitions import is_harmless_magic
from cellist.notebook.expressions import CellNames
from cellist.notebook.links import is_atom
from cellist.notebook.task_options import TaskOptions

MISSING: Any = object()
_FUNCTIONS: tuple[type, ...] = (FunctionType, type(functools.lru_cache(len)))
_IMPORTS = (ast.Import, ast.ImportFrom)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def import_first(body: list[ast.stmt]) -> dict[str, Any]:
    """Import what the cell begins with importing, hit or miss; return it by name.

    What an import does to the process, such as setting a variable, is then no effect of the cell.
    """
    found: dict[str, Any] = {"__name__": "__main__"}
    for statement in body:
        if isinstance(statement, _IMPORTS):
            with suppress(Exception):  # the cell itself will tell
                module = ast.fix_missing_locations(ast.Module([statement], []))
                exec(compile(module, "<imports>", "exec"), found)  # noqa: S102 - the cell's own code
        elif not isinstance(statement, _DEFINITIONS) and not _does_nothing(statement):
            break
    return found


def _does_nothing(statement: ast.stmt) -> bool:
    if is_harmless_magic(statement):
        return True
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


class InNotebook(scopes.Knowledge):
    """Knows what names mean in the notebook: things of libraries do as such things do."""

    def __init__(self, namespace: Mapping[str, Any], imported: Mapping[str, Any]) -> None:
        self._meanings = (imported, namespace)

    def swallows(self, manager: ast.expr) -> bool:
        """Whether the manager swallows exceptions by its name, or is of the notebook's own."""
        if super().swallows(manager):
            return True
        found = self._meaning(manager.func if isinstance(manager, ast.Call) else manager)
        return found is not None and kind_of(found).what in {"function", "class", "wrapper"}

    def is_library(self, function: ast.expr) -> bool:
        """Whether a dotted name means something of a library."""
        found = self._meaning(function)
        return found is not None and kind_of(found).what == "library"

    def is_calm_base(self, base: ast.expr) -> bool:
        """Whether the base is a library's, and no enumeration: these make their members at once."""
        if super().is_calm_base(base):
            return True
        found = self._meaning(base.value if isinstance(base, ast.Subscript) else base)
        if not isinstance(found, type) or kind_of(found).what != "library":
            return False
        return not issubclass(found, enum.Enum)

    def assigned_in(self, body: list[ast.stmt]) -> dict[str, Any]:
        """Return what the attributes are now that code assigns, of what no key tells all about.

        That is modules, classes of libraries, and functions that the code itself does not define.
        """
        found: dict[str, Any] = {}
        own = scopes.stored_in(body)
        for node in (node for statement in body for node in ast.walk(statement)):
            match node:
                case ast.Attribute(value=value, attr=name, ctx=ast.Store() | ast.Del()):
                    said = ast.unparse(node)
                case ast.Call(
                    func=ast.Name(id="setattr" | "delattr"),
                    args=[value, ast.Constant(value=str() as name), *_],
                ):
                    said = f"{ast.unparse(value)}.{name}"
                case _:
                    continue
            owner = self._meaning(value)
            if isinstance(owner, type):
                is_shared = kind_of(owner).what == "library"
            elif isinstance(owner, _FUNCTIONS):
                root = scopes.root_of(value)
                is_shared = root is not None and root.id not in own
            else:
                is_shared = isinstance(owner, ModuleType)
            if is_shared:
                found[said] = getattr(owner, name, MISSING)
        return found

    def read_in(self, body: list[ast.stmt]) -> dict[str, Any]:
        """Return the plain values of attributes of library modules that code reads.

        Other cells may have set them, and they are part of no key.
        """
        found: dict[str, Any] = {}
        for node in (node for statement in body for node in ast.walk(statement)):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                owner = self._meaning(node.value)
                value = getattr(owner, node.attr, None) if isinstance(owner, ModuleType) else None
                if value is not None and is_atom(value):
                    found[ast.unparse(node)] = value
        return found

    def _meaning(self, node: ast.expr) -> Any:
        """Return what a dotted name means, `None` if that is not known."""
        path: list[str] = []
        while isinstance(node, ast.Attribute):
            path.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        found = next(
            (known[node.id] for known in self._meanings if node.id in known),
            getattr(builtins, node.id, None),
        )
        for name in reversed(path):
            if not isinstance(found, (type, ModuleType)):
                return None  # an attribute of an object may be computed
            found = getattr(found, name, None)
        return found


def attributes_in(body: list[ast.stmt]) -> frozenset[str]:
    """Return all names, attributes and imported names in the code."""
    found: set[str] = set()
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.alias):
                found.add(node.name.rpartition(".")[2])
    return frozenset(found)


def check_choices(options: TaskOptions, names: CellNames, namespace: Mapping[str, Any]) -> None:
    """Raise `UsageError` if the options name what the cell does not have."""
    for name in sorted(options.own):
        if name not in names.reads:
            message = f"%%task: --own {name}: the cell does not use `{name}` as an input"
            raise UsageError(message)
    for name in sorted(options.inputs or ()):
        if name not in namespace:
            message = f"%%task: --in {name}: there is no variable of this name"
            raise UsageError(message)
    if names.hidden:
        return
    for option, chosen in (("--out", options.outputs), ("--skip", options.skip)):
        for name in sorted(chosen or ()):
            if name not in names.binds:
                message = f"%%task: {option} {name}: the cell does not assign `{name}`"
                raise UsageError(message)
