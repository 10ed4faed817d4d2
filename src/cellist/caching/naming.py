"""What a user calls the things that code reaches: as the code that reaches them does."""

from types import FunctionType
from typing import Any

from cellist.caching.nodes import Node
from cellist.caching.reach import Part

NAMED_FUNCTION = {"wrapper": "function", "task": "function"}
_WRAPPED = frozenset({"func", "pyfunc", "__wrapped__", "get"})
_NAMELESS = frozenset({"_", "<lambda>"})


def display(node: Node, part: Part, root_scope: str) -> str:
    """Return what a user calls a part of a node; what `root_scope` names needs no prefix."""
    if part.kind == "extra":
        return part.shown
    if node.what == "value":
        name = str(getattr(part.value, "__name__", type(part.value).__name__))
        is_named = node.name.rpartition(".")[2] == name  # such as by its decorator
        return node.name if is_named else f"{node.name}.{name}"
    if part.kind == "inner":
        return _display_inner(node, part, root_scope)
    if part.kind == "default":
        return f"{node.name}({part.name})"
    if node.what in {"class", "module", "task"}:
        return f"{node.name}.{part.name}"
    if part.kind == "global" and node.scope != root_scope and not part.chain:
        return f"{node.scope}.{part.name}"
    if part.kind == "cell" and node.kind != "source":
        return f"{node.name}.{part.name}"
    return part.name


def name_of_node(node: Node, part: Part, root_scope: str) -> str:
    """Return what the thing is called that a part is: by itself, if it is a default with a name."""
    if part.kind == "default" and _is_named(part.value):
        return _own_name(part.value, root_scope)
    return display(node, part, root_scope)


def _display_inner(node: Node, part: Part, root_scope: str) -> str:
    if _has_own_name(node, part.value):
        return _own_name(part.value, root_scope)
    own = node.what not in NAMED_FUNCTION or part.name not in _WRAPPED
    return f"{node.name}.{part.name.removeprefix('builtins.')}" if own else node.name


def _has_own_name(node: Node, value: object) -> bool:
    """Whether a class is a base or the like, or a thing is not called as the partial made of it."""
    if node.what == "wrapper":
        name = getattr(value, "__name__", "")
        return _is_named(value) and name != node.name.rpartition(".")[2]
    return node.what == "class" and isinstance(value, type)


def _is_named(value: object) -> bool:
    return isinstance(value, (type, FunctionType)) and value.__name__ not in _NAMELESS


def _own_name(value: Any, root_scope: str) -> str:
    name = value.__qualname__.rpartition("<locals>.")[2]
    return name if value.__module__ == root_scope else f"{value.__module__}.{name}"
