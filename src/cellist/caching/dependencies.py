"""What a task is said to depend on: each thing as it is now, and what it goes by.

A function or class is looked up anew under its own name, since a cell that defines it may have been
run again. In a digest it goes by that name, a variable by its own, and everything else by its place
among its like: the name of a file does not count, nor does the order of the list otherwise.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from types import FunctionType
from typing import Any, NamedTuple

from cellist.caching.declared import CONTENT_KINDS, component_of
from cellist.caching.kinds import kind_of

_CODE = frozenset({"function", "class", "module", "wrapper", "task", "library"})

_DEFINED = frozenset({"function", "class", "wrapper", "task"})


class Dependency(NamedTuple):
    """A thing that is depended on: what it goes by in a digest, what it is, what users call it."""

    label: str
    value: Any
    shown: str


def arranged(depends_on: Sequence[object]) -> list[Dependency]:
    """Return what is depended on as it is now, in the order of what it goes by."""
    met: Counter[str] = Counter()
    found: list[Dependency] = []
    for position, given in enumerate(depends_on):
        value = as_now(given)
        label, shown = _names(value, f"depends_on[{position}]")
        met[label] += 1
        found.append(Dependency(f"{label}[{met[label]}]", value, shown))
    found.sort(key=lambda one: one.label)
    return found


def declares(task: Any) -> bool:
    """Whether a task says that it depends on more than its code: then so does whoever calls it.

    The version of a flow says nothing: by default it follows from the code.
    """
    found = getattr(task, "depends_on", None)
    return found is not None and bool(found or task.version is not None)


def _names(value: Any, place: str) -> tuple[str, str]:
    component = component_of(value)
    if component is not None:
        kind, name = component.kind, component.name
        return (kind if kind in CONTENT_KINDS else f"{kind} {name}"), name
    if kind_of(value).what not in _CODE:
        return "value", place
    named = _code_of(value)
    name = getattr(named, "__qualname__", None) or getattr(named, "__name__", None)
    return (f"code {name}", str(name)) if name else ("code", place)


def _code_of(value: Any) -> Any:
    """Return the function of a task, others as they are."""
    kind = kind_of(value)
    return kind.inner if kind.what == "task" else value


def as_now(value: Any) -> Any:
    """Return what a function, class or task is called by now, others as they are."""
    named = _code_of(value)
    if not isinstance(named, (FunctionType, type)):
        return value
    found: Any = sys.modules.get(named.__module__)
    for name in named.__qualname__.split("."):
        found = None if name.startswith("<") else getattr(found, name, None)
    return found if kind_of(found).what in _DEFINED else value
