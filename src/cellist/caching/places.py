"""Absolute paths in a project's own constants, which must not keep its keys from moving with it.

`ROOT = Path(__file__).parent` is another value in every copy of a project, yet means the same. So
a path below the project's directory, the working directory or one that modules are imported from
counts relative to it, in constants of code and in plain containers of them. Paths that lead
elsewhere count as they are, and so do paths in objects and all arguments.
"""

import contextlib
import operator
import os
import sys
from pathlib import Path, PurePath
from typing import Any, cast

from cellist.model.locations import DIRECTORY, home

_DEPTH = 4
_MANY = 200


class Places:
    """The directories that paths count relative to, looked up once for one closure."""

    def __init__(self) -> None:
        self._found: tuple[str, ...] | None = None

    def relative(self, value: Any) -> Any:
        """Return a constant with its paths made relative; itself if no path lies in a place."""
        return self._changed(value, _DEPTH)

    def _changed(self, value: Any, depth: int) -> Any:
        kind = cast("type[Any]", type(value))
        if kind is str or isinstance(value, PurePath):
            return self._moved(value)
        if not depth or kind not in {list, tuple, dict} or len(value) > _MANY:
            return value
        given: list[Any] = list(value.values() if kind is dict else value)
        items = [self._changed(item, depth - 1) for item in given]
        if all(map(operator.is_, items, given)):
            return value
        if kind is dict:
            return dict(zip(cast("dict[Any, Any]", value), items, strict=True))
        return cast("Any", kind(items))

    def _moved(self, value: str | PurePath) -> Any:
        text = str(value)
        if not Path(text).is_absolute():
            return value
        if self._found is None:
            self._found = _places()
        for place in self._found:
            if text == place or text.startswith(place + os.sep):
                return ("path in the project", type(value), text[len(place) :])
        return value


def _places() -> tuple[str, ...]:
    """Return the working directory, the project's and where modules come from, outermost first."""
    found = {path for path in sys.path if Path(path).is_absolute()}
    with contextlib.suppress(OSError):  # the working directory was deleted
        found.add(str(Path.cwd()))
        project = home()
        if project.name == DIRECTORY:
            found.add(str(project.parent))
    found |= {os.path.realpath(path) for path in found}
    return tuple(sorted((path.rstrip(os.sep) for path in found if path != os.sep), key=len))
