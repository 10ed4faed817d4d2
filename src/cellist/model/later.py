"""Modules that are imported when they are first used: they take long, and few ever need them.

    if TYPE_CHECKING:
        import asyncio
    else:
        asyncio = later("asyncio", globals())

A script of plain functions never needs asyncio, which takes a sixth of the time to import cellist.
What stands for the module imports it at the first look at an attribute, and puts the module in its
own place, so that later looks cost nothing. Annotations that mention it are written as texts, and
nobody may import its name from the module that has it. No such first look may be left to a signal
handler: it would import in the middle of anything, another import included.
"""

from importlib import import_module
from typing import Any


class _Later:
    """Stands for a module under a name of a namespace."""

    __slots__ = ("_called", "_namespace", "_path")

    def __init__(self, path: str, namespace: dict[str, Any], called: str) -> None:
        self._path = path
        self._called = called
        self._namespace = namespace

    def __getattr__(self, name: str) -> Any:
        module = import_module(self._path)
        self._namespace[self._called] = module
        return getattr(module, name)


def later(path: str, namespace: dict[str, Any], called: str | None = None) -> Any:
    """Return what stands for a module in a namespace, by default under the last part of its name.

    The namespace is that of the module which asks, and the name the one it gives to what it gets.
    """
    return _Later(path, namespace, called or path.rpartition(".")[2])
