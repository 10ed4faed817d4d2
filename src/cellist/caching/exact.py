"""Whether what was pickled comes back as the value that it was.

Pickle asks the classes of a value how it is made again, and some forget a part of it: what a
subclass of an array carries besides, the cause of an exception. A hit would then give another
value than the run did. So a value with such a class in it is loaded again before it is stored, and
the digests of the two are compared, unless it is large. A class that says nothing keeps all its
attributes, and what its own author says of how it is made again is taken at its word.
"""

import pickle
import sys
import types
from collections.abc import Callable, Sequence
from enum import Enum
from importlib import import_module
from typing import Any, cast

from cellist.caching.digests import digest_value
from cellist.caching.envelope import Bytes
from cellist.exceptions import HashError, SerializationError

_MOST_IN_STREAM = 2**20
_MOST_BESIDE = 64 * 2**20
_SHARED = (("random", "_inst"), ("numpy.random.mtrand", "_rand"))
"""Where the generators are that all code draws from."""
_FORGETFUL = frozenset({
    "numpy.MaskedArray", "numpy.finfo", "numpy.iinfo", "numpy.RandomState",
})  # fmt: skip
_FORGETFUL_PACKAGES = frozenset({"PIL", "pyarrow"})
_SAYING = ("__reduce_ex__", "__reduce__", "__setstate__")
_CODE = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, Enum)
_FILLED: tuple[type, ...] = (BaseException, list, dict, set, frozenset)
"""Classes whose subclasses are filled again with what iterating over them gives, or `args`."""
_ITERATE = cast("Any", tuple).__iter__
_usual: set[type] = set()
"""Classes that were found to keep everything."""


class Watching(pickle.Pickler):
    """A pickler that notes whether a class had a part in it that may forget something.

    What refers to the generator that all code draws from, such as a distribution of scipy, goes on
    to do so, and does not come back with one of its own.
    """

    is_suspect = False

    def reducer_override(self, obj: Any) -> Any:
        """Note the class of an object; called for all that pickle does not know by heart."""
        kind = cast("type[Any]", type(obj))
        if kind in _usual:
            return NotImplemented
        for module, name in _SHARED:
            if obj is getattr(sys.modules.get(module), name, None):
                return _shared_generator, (module, name)
        if _keeps_all(kind):
            _usual.add(kind)
        else:
            self.is_suspect = True
        return NotImplemented


def _keeps_all(kind: Any) -> bool:
    """Whether pickle keeps all of an instance of a class, or its author says how it is kept."""
    if issubclass(kind, _CODE):
        return True
    package = _package(kind)
    if package in _FORGETFUL_PACKAGES or f"{package}.{kind.__name__}" in _FORGETFUL:
        return False
    bases = cast("tuple[type[Any], ...]", kind.__mro__)
    says = next(base for base in bases if any(name in vars(base) for name in _SAYING))
    if says is not object:
        return _package(says) == package and says is not BaseException
    iterate: Any = getattr(kind, "__iter__", None)
    is_other_tuple = issubclass(kind, tuple) and iterate is not _ITERATE
    return not is_other_tuple and not issubclass(kind, _FILLED)


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _shared_generator(module: str, name: str) -> Any:
    if (module, name) not in _SHARED:
        message = f"{module}.{name} is no random generator"
        raise pickle.UnpicklingError(message)
    return getattr(import_module(module), name)


def check(
    value: Any, parts: Sequence[Bytes], load: Callable[[Sequence[Bytes]], Any], name: str = "result"
) -> None:
    """Raise `SerializationError`, naming the part, if a pickle gives another value.

    `load` opens the pickle. Nothing is said of a value that is large or has no digest, nor of one
    whose class makes it another each time it is loaded.
    """
    sizes = [memoryview(part).nbytes for part in parts]
    if sizes[0] > _MOST_IN_STREAM or sum(sizes[1:]) > _MOST_BESIDE:
        return
    digest = _digest(value)
    if digest is None:
        return
    back = _loaded(load, parts)
    found = _digest(back)
    if found == digest or _digest(_loaded(load, parts)) != found:
        return
    path, holder = _difference(value, back, type(value))
    where = f"`{name}{path}`" if path else "it"
    what = f"`{holder.__module__}.{holder.__qualname__}`"
    message = f"{where} would come back as another value: not all of a {what} is kept by pickle"
    raise SerializationError(message)


def _loaded(load: Callable[[Sequence[Bytes]], Any], parts: Sequence[Bytes]) -> Any:
    try:
        return load(parts)
    except Exception as error:
        message = f"it cannot be loaded again ({type(error).__name__}: {error})"
        raise SerializationError(message) from error


def _digest(value: Any) -> str | None:
    try:
        return digest_value(value)
    except HashError:
        return None


def _difference(value: Any, back: Any, holder: Any, depth: int = 6) -> tuple[str, Any]:
    """Return the path to the innermost part that differs, and the class that should keep it."""
    if type(value).__module__ != "builtins":
        holder = cast("Any", type(value))
    others = dict(parts_of(back)) if depth else {}
    for step, part in parts_of(value) if depth else ():
        digest = _digest(part)
        if digest is not None and (step not in others or _digest(others[step]) != digest):
            path, holder = _difference(part, others.get(step), holder, depth - 1)
            return step + path, holder
    return "", holder


def parts_of(value: Any) -> list[tuple[str, Any]]:
    """Return what a value holds: each part with the step that leads to it."""
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return [(f"[{_shortened(key)}]", part) for key, part in entries.items()]
    if isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        return [(f"[{number}]", part) for number, part in enumerate(items)]
    if isinstance(value, type | types.FunctionType | types.ModuleType):
        return []
    state = getattr(value, "__dict__", None)
    if not isinstance(state, dict):
        return []
    return [(f".{name}", part) for name, part in cast("dict[str, Any]", state).items()]


def _shortened(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 40 else text[:37] + "..."
