"""Links from a cell's stored outputs to objects that live on: its inputs, definitions, modules.

An output that refers to an input must refer to the live input on a hit, too, and an instance of a
class of the notebook must be one of the live class. So such objects are not stored; a link says
where they are found: `("input", name, steps)` from an input by its name through its parts,
`("main", path)` a function, class or other definition of the notebook, `("module", name)`.

What arrays share they share on a hit, too; see `arrays`. A closed file comes back as a closed file.
"""

import io
import os
import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from types import BuiltinFunctionType, CellType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any, cast

from cellist.notebook.arrays import Arrays

_ATOMS = frozenset(
    {int, float, complex, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented)}
)
_PLAIN = _ATOMS | {list, dict, set, frozenset}
_FILES = (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.FileIO)
_MODES = {"BufferedReader": "rb", "BufferedWriter": "wb", "BufferedRandom": "r+b", "FileIO": "rb"}
_WITH_MORE = (OSError, ImportError, SyntaxError, UnicodeError, StopIteration, SystemExit,
              AttributeError, NameError)  # fmt: skip
"""Exceptions that carry more than their arguments and attributes."""
_WITHOUT_PARTS = frozenset({"builtins", "numpy", "pandas", "polars", "pyarrow", "matplotlib"})
"""Libraries whose objects keep what is their own affair, such as caches."""
_BY_NAME: frozenset[type] = frozenset({FunctionType, type(lru_cache(len))})
_OF_CLASSES = (FunctionType, classmethod, staticmethod, property)
_DICT: Any = dict
_READS: tuple[Any, ...] = tuple(
    kind.__getitem__ for kind in cast("list[Any]", [list, tuple, deque])
)
"""How sequences are read whose classes do not overrule it."""
_MOST_PARTS = _CELLS = 20_000
_DEEPEST = 8
Link = tuple[Any, ...]


def is_atom(value: object, depth: int = 3) -> bool:
    """Whether a value is immutable through and through, so that a copy is as good."""
    if type(value) in _ATOMS:
        return True
    if type(value) not in (tuple, frozenset) or not depth:
        return False
    return all(is_atom(part, depth - 1) for part in cast("tuple[object, ...]", value))


class Links:
    """What the outputs of a cell may refer to. Keeps the objects alive whose ids it uses."""

    def __init__(
        self,
        inputs: Mapping[str, Any],
        definitions: Mapping[str, Any],
        namespace: Mapping[str, Any],
        outputs: Mapping[str, Any],
    ) -> None:
        self._namespace = namespace
        self._inputs = inputs
        self._outputs = frozenset(outputs)
        self._main = namespace.get("__name__", "__main__")
        self._by_id: dict[int, Link] = {}
        self._alive: list[Any] = [dict(inputs), dict(definitions), dict(outputs)]
        for name, value in definitions.items():
            self._by_id[id(value)] = ("main", name)
        for name, value in inputs.items():
            self._link_input(name, value)
        self._arrays = Arrays(inputs, outputs)
        self.used: set[str] = set()
        """Definitions that are referred to."""

    def _link_input(self, name: str, value: Any) -> None:
        """Link an input and, as far as there are not too many, its parts."""
        pending: list[tuple[Any, Link]] = [(value, ("input", name))]
        budget = _MOST_PARTS
        while pending and budget:
            part, link = pending.pop()
            budget -= 1
            if isinstance(part, (ModuleType, BuiltinFunctionType)) or is_atom(part):
                continue
            if id(part) in self._by_id:
                continue
            self._by_id[id(part)] = link
            self._alive.append(part)
            if len(link) < _DEEPEST:
                pending.extend((inner, (*link, step)) for step, inner in _parts_of(part))

    def link_of(self, value: Any) -> Link | None:
        """Return the link to a value, `None` if it is to be stored itself."""
        found = self._by_id.get(id(value))
        if found is not None:
            if found[0] == "main":
                self.used.add(found[1])
            return found
        kind = cast("Any", type(value))
        if kind in _PLAIN:
            return None
        if kind is ModuleType:
            return ("module", value.__name__)
        if isinstance(value, _FILES) and value.closed:
            return ("closed file", kind.__name__, *_attributes_of_file(value))
        if (kind in _BY_NAME or isinstance(value, type)) and value.__module__ == self._main:
            return self._link_main(value)
        return None

    def _link_main(self, value: Any) -> Link:
        path = value.__qualname__
        try:
            found = _walk(self._namespace, path)
        except (KeyError, AttributeError):
            found = None
        root = path.partition(".")[0]
        if found is not value or root in self._outputs:  # a hit does not define it anew
            what = "lambda" if "<lambda>" in path else f"{type(value).__name__} `{path}`"
            name = "no name" if found is not value else "no other name"
            message = f"{name} in the notebook leads to the {what}"
            raise pickle.PicklingError(message)
        self.used.add(root)
        return ("main", path)

    def follow(self, link: Link) -> Any:
        """Return the object a link leads to now. Raises `LookupError` or `AttributeError`."""
        return follow(link, self._inputs, self._namespace)

    def mixin(self) -> type[Any]:
        """Return the mixin for a pickler; see `caching.pickles.dump_linked`."""
        links = self

        class Linking:
            def persistent_id(self, obj: Any) -> Any:
                return links.link_of(obj)

            def reducer_override(self, obj: Any) -> Any:
                view = links.made_of(obj)
                if view is not None:
                    return view
                if isinstance(obj, BaseException) and _is_plain_error(obj):
                    return _remake, (type(obj), obj.args), obj.__dict__ or None
                above: Any = getattr(super(), "reducer_override", None)
                return NotImplemented if above is None else above(obj)

        return Linking

    def made_of(self, value: Any) -> Any:
        """Return how an array is made again if it shares memory with others, else `None`."""
        return self._arrays.made_of(value)


def _is_plain_error(error: BaseException) -> bool:
    """Whether an exception is all in its `args` and attributes; pickle would call `__init__`."""
    kind: Any = type(error)
    own = kind.__module__ == "__main__" and "__init__" in vars(kind)
    return own and kind.__reduce__ is BaseException.__reduce__ and not isinstance(error, _WITH_MORE)


def _remake(kind: Any, args: tuple[Any, ...]) -> Any:
    return kind.__new__(kind, *args)


def follow(link: Link, inputs: Mapping[str, Any], namespace: Mapping[str, Any]) -> Any:
    """Return the object a link leads to. Raises `LookupError` or `AttributeError`."""
    kind, where, *steps = link
    if kind == "module":
        return import_module(where)
    if kind == "closed file":
        return _closed_file(where, *steps)
    if kind == "main":
        return _walk(namespace, where)
    value = inputs[where]
    for how, step in steps:
        if how == ".":
            value = getattr(value, step)
        else:
            value = value.iat[step] if how == "iat" else value[step]
    return value


def _attributes_of_file(file: Any) -> tuple[Any, str, str]:
    """Return what a closed file still tells of itself: its name, mode and encoding."""
    told = [getattr(file, name, "") or "" for name in ("name", "mode", "encoding")]
    return told[0], str(told[1]), str(told[2])


def _closed_file(kind: str, name: Any = "", mode: str = "", encoding: str = "") -> Any:
    """Return a closed file that tells of itself what another one does."""
    opened = (mode or _MODES.get(kind, "r")).replace("x", "w")
    buffering = 0 if kind == "FileIO" else -1
    with open(os.devnull, opened, buffering, encoding or None) as file:  # noqa: PTH123 - a path has no such modes
        raw: Any = file
        for inner in ("buffer", "raw"):
            raw = getattr(raw, inner, raw)
        raw.name = name
        if encoding:
            cast("Any", file).mode = mode
    return file


def _walk(namespace: Mapping[str, Any], path: str) -> Any:
    first, *rest = path.split(".")
    value = namespace[first]
    for name in rest:
        value = getattr(value, name)
    return value


def _parts_of(value: Any) -> Iterator[tuple[tuple[str, Any], Any]]:
    """Yield the mutable parts of a container or of a plain object, with the step to each."""
    if isinstance(value, type):
        yield from _parts_of_class(value)
        return
    for name in _carried_by(value):
        with suppress(ValueError):  # of a cell that nothing was put in yet
            yield (".", name), getattr(value, name)
    for place, part in _cells_of(value):
        yield ("iat", place), part
    if not isinstance(value, FunctionType):
        yield from _parts_of_object(value)
        for key, part in _items_of(value):
            yield ("[", key), part


def _carried_by(value: Any) -> tuple[str, ...]:
    """Return the names of what functions of the notebook and errors carry besides attributes."""
    if isinstance(value, FunctionType):
        own = value.__module__ == "__main__"
        return ("__closure__", "__defaults__", "__kwdefaults__") if own else ()
    if isinstance(value, CellType):
        return ("cell_contents",)
    if _is_pandas(value, "DataFrame", "Series"):
        return tuple(name for name in ("index", "columns") if hasattr(value, name))
    return ("args",) if isinstance(value, BaseException) else ()


def _is_pandas(value: Any, *names: str) -> bool:
    kind = cast("Any", type(value))
    return kind.__name__ in names and kind.__module__.partition(".")[0] == "pandas"


def _cells_of(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return the objects in the columns of a frame or in a series, with the place of each."""
    if not _is_pandas(value, "DataFrame", "Series") or not 0 < value.size < _CELLS:
        return
    columns: list[Any] = [value]
    if _is_pandas(value, "DataFrame"):
        columns = [value.iloc[:, number] for number in range(value.shape[1])]
    for number, column in enumerate(columns):
        if column.dtype == object:
            for row, part in enumerate(column.array):
                yield (row if column is value else (row, number)), part


def _items_of(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return what a container holds, by what it is found with."""
    kind = cast("Any", type(value))
    read = getattr(kind, "__getitem__", None)
    if read == _DICT.__getitem__:
        return [(key, part) for key, part in _DICT.items(value) if is_atom(key)]
    if read in _READS:
        return enumerate(cast("Iterable[Any]", value))
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray" and value.dtype.kind == "O":
        numpy: Any = import_module("numpy")
        return zip(numpy.ndindex(value.shape), value.flat, strict=True)
    return ()


def _parts_of_class(value: type) -> Iterator[tuple[tuple[str, Any], Any]]:
    if value.__module__ == "__main__":
        for name, part in list(vars(value).items()):
            if not name.startswith("__") and not isinstance(part, _OF_CLASSES):
                yield (".", name), part


def _parts_of_object(value: Any) -> Iterator[tuple[tuple[str, Any], Any]]:
    kind = cast("Any", type(value))
    if kind.__module__.partition(".")[0] in _WITHOUT_PARTS:
        return
    state: Any = getattr(value, "__dict__", None)
    if type(state) is dict:
        yield (".", "__dict__"), state
        for name, part in cast("dict[str, Any]", state).items():
            yield (".", name), part
    for base in cast("tuple[type[Any], ...]", kind.__mro__):
        for name, member in vars(base).items():
            if isinstance(member, MemberDescriptorType) and hasattr(value, name):
                yield (".", name), getattr(value, name)
