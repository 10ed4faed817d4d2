"""Tasks whose source is edited, as by running a cell again, and what they are asked by tests."""

import importlib.util
import linecache
from pathlib import Path
from typing import Any

from cellist import State, task

FIRST = "def work(x):\n    y = x + OFFSET\n    CALLS.append(x)\n    return [y]\n"
RENAMED = "def work(x):\n    z = x + OFFSET\n    CALLS.append(x)\n    return [z]\n"
FURTHER = "def work(x):\n    z = x - OFFSET\n    CALLS.append(x)\n    return [z]\n"


class Calls(list[Any]):
    """Counts calls without being part of what a task reads: it digests to nothing."""

    def __cellist_key__(self) -> str:
        return "calls"


class Values:
    """Gives one value after the other without being part of what a task reads."""

    def __init__(self, *values: Any) -> None:
        self.left = list(values)

    def __cellist_key__(self) -> str:
        return "values"

    def next(self) -> Any:
        return self.left.pop(0)


def define(source: str, calls: list[Any], **options: Any) -> Any:
    """Make a task as a cell would, with a source that can be read."""
    name = f"<cell {hash(source)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace = {"CALLS": calls, "OFFSET": 1, "__name__": "__main__"}
    exec(compile(source, name, "exec"), namespace)
    return task(namespace["work"], **options)


def state_of(t: Any, *args: Any, **kwargs: Any) -> State:
    return t(*args, return_state=True, **kwargs)


def why(t: Any, *args: Any, **kwargs: Any) -> Any:
    return state_of(t, *args, **kwargs).why


def module_at(path: Path) -> Any:
    """Return a new module with the code of a file; each is called `cells`."""
    spec = importlib.util.spec_from_file_location("cells", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made
