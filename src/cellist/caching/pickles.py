"""Pickles of results: by name what has a name, never a function by value, large buffers apart.

A function or class of `__main__` is referred to by its name, as pickle itself does. cloudpickle
would store it by value: a restored function then carries a private copy of its globals and goes on
using a helper long redefined, and `isinstance` fails for instances of a restored class. So the
plain pickler comes first, being the faster one too; cloudpickle only helps with objects plain
pickle does not know, and may not take functions, classes or open files by value either.
"""

import io
import pickle
import types
from collections import ChainMap, namedtuple
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

from cellist.caching.envelope import Bytes
from cellist.caching.exact import Watching, check, parts_of
from cellist.exceptions import SerializationError

_APART = 2**16
_PROTOCOL = 5


def dump(value: Any) -> list[Bytes]:
    """Return the pickle and the buffers kept out of it. Raises `SerializationError`."""
    buffers: list[pickle.PickleBuffer] = []
    keep = _keeper(buffers)
    file = io.BytesIO()
    pickler = Watching(file, _PROTOCOL, buffer_callback=keep)
    try:
        pickler.dump(value)
        stream, is_suspect = file.getvalue(), pickler.is_suspect
    except Exception as error:
        buffers.clear()
        stream, is_suspect = _dump_uncommon(value, keep, error), True
    parts: list[Bytes] = [stream, *(buffer.raw() for buffer in buffers)]
    if is_suspect:
        check(value, parts, partial(load, private=False))
    return parts


def dump_whole(value: Any) -> bytes:
    """Return the pickle with all buffers in it. Raises `SerializationError`."""
    try:
        return pickle.dumps(value, _PROTOCOL)
    except Exception as error:
        return _dump_uncommon(value, None, error)


def load(parts: Sequence[Bytes], *, private: bool) -> Any:
    """Return the value. Raises whatever its classes raise.

    `private` says that the buffers are writable and nobody else's, so they need no copy.
    """
    stream, *buffers = parts
    return pickle.loads(  # noqa: S301 - the signature was checked: this user wrote it
        stream, buffers=buffers if private else [bytearray(buffer) for buffer in buffers]
    )


def dump_linked(value: Any, links: type[Any], follow: Callable[[Any], Any]) -> list[Bytes]:
    """Return the pickle of a value, with links in place of some of the objects in it.

    `links` is a mixin class with `persistent_id` and, if need be, `reducer_override`, as those of
    `pickle.Pickler`; `follow` gives the object a link stands for. Raises `SerializationError`.
    """
    first: Exception | None = None
    for base in (Watching, None):
        buffers: list[pickle.PickleBuffer] = []
        file = io.BytesIO()
        pickler: Any = type("Linked", (links, base or _by_name_pickler()), {})(
            file, _PROTOCOL, buffer_callback=_keeper(buffers)
        )
        try:
            pickler.dump(value)
        except Exception as error:
            first = first or error
            continue
        parts: list[Bytes] = [file.getvalue(), *(buffer.raw() for buffer in buffers)]
        if getattr(pickler, "is_suspect", True):
            check(value, parts, partial(_load_copy, follow=follow))
        return parts
    assert first is not None
    raise SerializationError(explain(value, first)) from first


def load_linked(parts: Sequence[Bytes], follow: Callable[[Any], Any]) -> Any:
    """Return the value that `dump_linked` took; `follow` gives the object a link stands for.

    Buffers that can be written to must be nobody else's: the value takes them.
    """

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, pid: Any) -> Any:
            return follow(pid)

    stream, *buffers = parts
    own = [bytearray(one) if memoryview(one).readonly else one for one in buffers]
    return Unpickler(io.BytesIO(stream), buffers=own).load()


def _load_copy(parts: Sequence[Bytes], *, follow: Callable[[Any], Any]) -> Any:
    return load_linked([bytes(one) for one in parts], follow)


def _keeper(buffers: list[pickle.PickleBuffer]) -> Callable[[Any], bool]:
    """Return what takes large buffers out of a pickle into a list; True leaves one in."""

    def keep(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
            if raw.nbytes < _APART or raw.readonly:  # in it, an array stays read only
                return True
        except BufferError:  # not contiguous
            return True
        buffers.append(buffer)
        return False

    return keep


def _dump_uncommon(value: Any, keep: Callable[[Any], bool] | None, first: Exception) -> bytes:
    """Pickle with cloudpickle's help, or say what stands in the way."""
    file = io.BytesIO()
    try:
        _by_name_pickler()(file, _PROTOCOL, buffer_callback=keep).dump(value)
    except Exception:
        raise SerializationError(explain(value, first)) from first
    return file.getvalue()


def _by_name_pickler() -> Any:
    """Return cloudpickle's pickler, bound to refer to functions and classes by name."""
    pickler: Any = import_module("cloudpickle").Pickler

    class ByName(pickler):
        dispatch_table: ClassVar[Any] = ChainMap(
            {io.TextIOWrapper: _refuse, types.CodeType: _refuse, memoryview: _refuse},
            pickler.dispatch_table,
        )

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, type) and _is_nameless_namedtuple(obj):
                kind: Any = obj
                fields = kind._fields, kind._field_defaults
                return _namedtuple, (kind.__name__, *fields, kind.__module__)
            return NotImplemented

    return ByName


def _is_nameless_namedtuple(kind: type) -> bool:
    """Whether the class was made by `namedtuple` and is not found under its own name."""
    if kind.__bases__ != (tuple,) or not hasattr(kind, "_field_defaults"):
        return False
    try:
        pickle.dumps(kind)
    except Exception:
        return True
    return False


def _namedtuple(name: str, fields: Any, defaults: dict[str, Any], module: str) -> Any:
    """Make the class of a row again, such as those of `DataFrame.itertuples`."""
    make: Any = namedtuple  # noqa: PYI024 - its fields are data
    values = [defaults[field] for field in fields if field in defaults]
    return make(name, fields, defaults=values, module=module)


def _refuse(value: Any) -> Any:
    message = f"{type(value).__name__} cannot be stored"
    raise pickle.PicklingError(message)


def explain(value: Any, error: Exception) -> str:
    """Return one sentence: which part of the value cannot be stored, and why."""
    budget = [300]
    path, culprit = _find_culprit(value, "", 6, budget)
    where = f"`result{path}`" if path else "it"
    return f"{where} {_trouble(culprit, error)}"


def _find_culprit(value: Any, path: str, depth: int, budget: list[int]) -> tuple[str, Any]:
    """Return the innermost part that fails on its own, looking at a bounded number of parts."""
    if not depth:
        return path, value
    for step, part in parts_of(value):
        budget[0] -= 1
        if budget[0] < 0:
            break
        try:
            pickle.dumps(part, _PROTOCOL)
        except Exception:
            return _find_culprit(part, path + step, depth - 1, budget)
    return path, value


def _trouble(culprit: Any, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deeply to be stored"
    if isinstance(culprit, types.FunctionType):
        if culprit.__name__ == "<lambda>":
            return "is a lambda, which has no name it could be found by: define it with `def`"
        if "<locals>" in culprit.__qualname__:
            return (
                f"is the function `{culprit.__name__}`, defined inside another function: "
                "define it at the top level"
            )
        return f"is a function that `{culprit.__module__}.{culprit.__qualname__}` no longer names"
    if isinstance(culprit, types.GeneratorType):
        return "is a generator, which can be used up only once: return a list"
    kind: type = culprit if isinstance(culprit, type) else type(culprit)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if "<locals>" in kind.__qualname__:
        return f"is of the class `{name}`, defined inside a function: define it at the top level"
    if isinstance(error, pickle.PicklingError) and "not the same object" in str(error):
        return f"is of an earlier definition of `{name}`: make it again with the present one"
    return f"is of the type `{name}`, which cannot be stored ({str(error) or type(error).__name__})"
