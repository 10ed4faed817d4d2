"""Which modules code may mean that imports by a name it computes, such as the plugin in a table.

Static analysis sees `import_module(f"app.backends.{kind}")` and what the name begins with; the rest
is a text from somewhere. A module of the user's is meant if a text that the closure reaches names
it: all by itself (`app.steps.alpha`, `app.steps:run`), or put behind that beginning. So what is
found depends on code and data that count anyhow, and not on what happens to be loaded. Nothing is
imported on a mere guess: a text such as `train.py` names no module.
"""

import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from pkgutil import iter_modules
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import NamedTuple, cast

from cellist.caching.body_imports import LibraryName, is_tracked
from cellist.caching.bytecode import nested
from cellist.caching.nodes import Node
from cellist.caching.tree_parts import NAME, TEXT

_DEPTH = 3
_MOST = 10_000


class _Texts(NamedTuple):
    """The texts that may name a module: `near`, in the function that imports, and in all."""

    near: frozenset[str]
    every: frozenset[str]


def texts_reached(nodes: Iterable[Node]) -> frozenset[str]:
    """Return the texts in the code and the data of a graph."""
    return frozenset(text for node in nodes for text in _texts_of(node))


def modules_meant(node: Node, every: frozenset[str]) -> list[ModuleType | None]:
    """Return the modules of the user's that the imports of a function may mean, sorted by name.

    `every` are the texts of the graph. In the place of a library's module is `None`.
    """
    texts = _Texts(frozenset(_texts_of(node)), every)
    found: dict[str, ModuleType | None] = {}
    for package, *parts in node.computed:
        for name in _names(node.thing, package, parts, texts):
            located = _located(name)
            if located is not None and located not in found:
                found[located] = _loaded(located)
    return [found[name] for name in sorted(found)]


def _texts_of(node: Node) -> Iterator[str]:
    if node.what == "function":
        for code in (node.thing.__code__, *nested(node.thing.__code__)):
            yield from _texts(tuple(one for one in code.co_consts if type(one) is not CodeType))
    for _, value in node.values:
        yield from _texts(value)


def _texts(value: object, depth: int = _DEPTH) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    if isinstance(value, (str, LibraryName)):
        return
    items: Iterable[object] = ()
    if isinstance(value, (dict, MappingProxyType)):
        pairs = cast("Mapping[object, object]", value)
        items = (*pairs, *pairs.values()) if len(pairs) <= _MOST else ()
    elif isinstance(value, (list, tuple, set, frozenset)):
        held = cast("Sequence[object]", value)
        items = tuple(held) if len(held) <= _MOST else ()
    elif not isinstance(value, (type, ModuleType, FunctionType)):
        state: object = getattr(value, "__dict__", None)
        if type(state) is dict:  # but not where and by what name somebody wrapped a function
            named = cast("dict[str, object]", state).items()
            items = tuple(item for name, item in named if not name.startswith("__"))
    if depth:
        for item in items:
            yield from _texts(item, depth - 1)


def _names(function: FunctionType, package: str, parts: list[str], texts: _Texts) -> Iterable[str]:
    """Return the names that an import may have, dotted and absolute."""
    prefix, is_whole = _prefix(function, parts)
    if prefix.startswith("."):
        base, _ = _prefix(function, [package] if package else [f"{NAME}__package__"])
        try:
            prefix = resolve_name(prefix, base)
        except (ImportError, ValueError):
            return ()
        prefix += "" if is_whole or prefix.endswith(".") or parts[0] != f"{TEXT}." else "."
    if is_whole:
        return (prefix,)
    if not prefix:
        return (*texts.near, *filter(_tells, texts.every))
    above, _, stem = prefix.rpartition(".")
    if not above:
        return (prefix + text for text in texts.every)
    inner = [name for name in _submodules(above) if name.startswith(stem)]
    named = [name for name in inner if name[len(stem) :] in texts.every]
    return [f"{above}.{name}" for name in named or inner]


def _tells(text: str) -> bool:
    """Whether a text from anywhere is likely to name a module: by dots, or a library's."""
    return "." in text or ":" in text or (text in sys.modules and not is_tracked(text))


def _prefix(function: FunctionType, parts: Iterable[str]) -> tuple[str, bool]:
    """Return what a name begins with as far as it is known, and whether that is all of it."""
    found = ""
    for part in parts:
        text = part[1:] if part[0] == TEXT else _value(function, part)
        if not isinstance(text, str):
            return found, False
        found += text
    return found, True


def _value(function: FunctionType, part: str) -> object:
    """Return what a dotted name means, None for what only the run tells."""
    root, *attributes = part[1:].split(".")
    code = function.__code__
    if part[0] != NAME or root in code.co_varnames or root in code.co_cellvars:
        return None
    if root in code.co_freevars:
        cell = (function.__closure__ or ())[code.co_freevars.index(root)]
        try:
            value = cell.cell_contents
        except ValueError:
            return None
    else:
        value = function.__globals__.get(root)
    for name in attributes:
        value = getattr(value, name, None) if isinstance(value, ModuleType) else None
    return value


def _located(text: str) -> str | None:
    """Return the module that a text names, or names something of, found without importing any."""
    name, _, _ = text.partition(":")
    top, *rest = name.split(".")
    if not all(part.isidentifier() for part in (top, *rest)) or is_tracked(top) is None:
        return None
    if not is_tracked(top):
        return top
    spec = _spec(top)
    while spec is not None and rest:
        inner = _inner(spec, rest[0])
        if inner is None:
            return spec.name if _defines(spec, rest[0]) else None
        spec = inner
        del rest[0]
    return None if spec is None else spec.name


def _loaded(name: str) -> ModuleType | None:
    """Return a module of the user's, which the code would import anyhow; None for a library's."""
    if not is_tracked(name.partition(".")[0]):
        return None
    try:
        return importlib.import_module(name)
    except Exception:  # the run will tell
        return sys.modules.get(name)


def _spec(top: str) -> ModuleSpec | None:
    try:
        return find_spec(top)
    except (ImportError, ValueError):
        return None


def _inner(spec: ModuleSpec, name: str) -> ModuleSpec | None:
    places = spec.submodule_search_locations
    return PathFinder.find_spec(f"{spec.name}.{name}", list(places)) if places else None


def _defines(spec: ModuleSpec, name: str) -> bool:
    """Whether the text of a module has something of this name at its margin."""
    try:
        text = Path(spec.origin or "").read_text("utf-8") if spec.has_location else ""
    except (OSError, ValueError):
        return False
    pattern = rf"(?m)^(?:(?:async )?def |class )?{re.escape(name)}\b|^from .*\b{re.escape(name)}\b"
    return re.search(pattern, text) is not None


def _submodules(package: str) -> list[str]:
    top, *rest = package.split(".")
    spec = _spec(top) if is_tracked(top) else None
    for name in rest:
        spec = None if spec is None else _inner(spec, name)
    places = None if spec is None else spec.submodule_search_locations
    return [one.name for one in iter_modules(list(places))] if places else []
