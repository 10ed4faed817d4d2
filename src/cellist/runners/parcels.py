"""A call on its way to another process, and its answer on the way back.

The call travels as one pickle: the function by value, so that functions of a notebook arrive, its
arguments, and what the code may ask about the run it is part of (the passage). While the code
runs, what it logs and writes is told at once, as small messages; in the end comes the answer.
"""

import functools
import io
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn, cast

from cellist.engine.errors import describe, one_line, trim
from cellist.engine.inputs import ATOMS, parts
from cellist.exceptions import SerializationError
from cellist.model.references import Reference

Tell = Callable[[tuple[Any, ...]], object]
"""Takes a message of running code: ("log", level, text), ("out", name of the stream, text)."""

_DEPTH = 8
_LOOKED_AT = 300


def cloudpickle() -> Any:
    """Return the module, loaded when the first task goes to a process."""
    return import_module("cloudpickle")  # untyped


# -- the way there --


def pack(task: str, passage: Any, fn: Any, args: dict[str, Any], call: tuple[Any, Any]) -> bytes:
    """Return a call as bytes. `args` are the arguments by name, to say which one is at fault.

    Raises `SerializationError` naming the argument, and the part of it, that cannot be pickled.
    """
    try:
        return cloudpickle().dumps((passage, fn, *call))
    except Exception as error:
        raise SerializationError(_complaint(task, fn, args, error)) from error


def pack_far(
    task: str, passage: Any, fn: Any, args: dict[str, Any], call: tuple[Any, Any]
) -> tuple[bytes, list[Any]]:
    """Return a call as bytes, and the handles of the values in it that the cluster has already."""
    handles: dict[int, tuple[int, Any]] = {}

    class Pickler(cloudpickle().Pickler):
        def persistent_id(self, obj: Any) -> int | None:
            if obj.__class__ is not Reference:
                return None
            return handles.setdefault(id(obj), (len(handles), obj.handle))[0]

    file = io.BytesIO()
    try:
        Pickler(file).dump((passage, fn, *call))
    except Exception as error:
        raise SerializationError(_complaint(task, fn, args, error)) from error
    return file.getvalue(), [handle for _, handle in handles.values()]


def _complaint(task: str, fn: Any, args: dict[str, Any], error: Exception) -> str:
    for name, value in args.items():
        if (reason := _refusal(value)) is not None:
            path, culprit, reason = _find_culprit(value, name, reason)
            return (
                f"Argument `{name}` of task `{task}` cannot be sent to a process: `{path}` is a "
                f"{_kind(culprit)} ({reason}). Pass what it can be made from and make it in the "
                "task, or use the thread pool."
            )
    for name, value in _reached(fn):
        if (reason := _refusal(value)) is not None:
            path, culprit, reason = _find_culprit(value, name, reason)
            return (
                f"Task `{task}` cannot be sent to a process: it uses `{path}`, a "
                f"{_kind(culprit)} ({reason}). Make it inside the task, or use the thread pool."
            )
    return (
        f"Task `{task}` cannot be sent to a process: {one_line(error)}. Use the thread pool, or "
        "leave out what cannot be pickled."
    )


def _refusal(value: Any) -> str | None:
    """Return why a value cannot be pickled, `None` if it can."""
    if value.__class__ in ATOMS:
        return None
    try:
        cloudpickle().dumps(value)
    except Exception as error:
        return one_line(error)
    return None


def _find_culprit(value: Any, path: str, reason: str) -> tuple[str, Any, str]:
    """Return the path to the innermost part that fails by itself, that part, and why it fails."""
    budget = _LOOKED_AT
    for _ in range(_DEPTH):
        for step, part in _parts_of(value):
            budget -= 1
            if budget < 0:
                return path, value, reason
            if (deeper := _refusal(part)) is not None:
                value, path, reason = part, path + step, deeper
                break
        else:
            break
    return path, value, reason


def _parts_of(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"[{key!r:.40}]", part) for key, part in cast("dict[Any, Any]", value).items()]
    if isinstance(value, list | tuple):
        return [(f"[{n}]", part) for n, part in enumerate(cast("list[Any]", value))]
    state = getattr(value, "__dict__", None)
    if isinstance(state, dict) and not isinstance(value, type):
        return [(f".{name}", part) for name, part in cast("dict[str, Any]", state).items()]
    return [("{…}", part) for part in parts(value)]


def _reached(fn: Any) -> list[tuple[str, Any]]:
    """Return the names a function reads, with their values."""
    while isinstance(fn, functools.partial):
        made = cast("functools.partial[Any]", fn)
        fn = made.args[0] if made.args and callable(made.args[0]) else made.func
    code: Any = getattr(fn, "__code__", None)
    if code is None:
        return [("the object it is a method of", getattr(fn, "__self__", None))]
    found: list[tuple[str, Any]] = []
    for name, cell in zip(code.co_freevars, fn.__closure__ or (), strict=True):
        try:
            found.append((name, cell.cell_contents))
        except ValueError:
            continue  # not bound yet
    space: dict[str, Any] = fn.__globals__
    return [*found, *((name, space[name]) for name in code.co_names if name in space)]


def _kind(value: object) -> str:
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


# -- in the other process --


def run_packed(parcel: bytes, tell: Tell) -> bytes:
    """Carry a call out in this process, inside the run that came with it, and return the answer."""
    passage, fn, args, kwargs = cloudpickle().loads(parcel)
    return answer(*passage.call(fn, args, kwargs, tell))


class Opened(pickle.Unpickler):
    """Reads a call on a cluster, with the values that the cluster had."""

    def __init__(self, parcel: bytes, values: Sequence[Any]) -> None:
        super().__init__(io.BytesIO(parcel))
        self._values = values

    def persistent_load(self, pid: Any) -> Any:
        """Return the value a reference stands for."""
        return self._values[pid]


def answer(fine: bool, value: Any, *rest: Any) -> bytes:
    """Return as bytes what a call gave: its value, or its exception in a form that arrives."""
    text = "" if fine else describe(trim(value)).traceback
    try:
        return cloudpickle().dumps(
            (fine, value if fine else Failure(_portable(value), text), *rest)
        )
    except Exception as error:
        what = "result" if fine else f"exception ({type(value).__name__})"
        why = f"The task's {what} cannot be sent back from its process: {one_line(error)}"
        return cloudpickle().dumps((False, Failure(SerializationError(why), text), *rest))


def _portable(error: BaseException) -> Any:
    """Return the exception in a form that arrives.

    Pickle calls the class again with what it was given by position, and a constructor that wants
    more fails only where the exception is read.
    """
    try:
        cloudpickle().loads(cloudpickle().dumps(error))
    except Exception:
        return _Parts(type(error), error.args, dict(vars(error)))
    return error


# -- the way back --


def open_answer(parcel: bytes) -> Any:
    """Return what `answer` packed."""
    return _Answer(io.BytesIO(parcel)).load()


@dataclass(frozen=True)
class _Parts:
    """An exception that is put together without its constructor."""

    kind: type[BaseException]
    args: tuple[Any, ...]
    state: dict[str, Any]

    def assemble(self) -> BaseException:
        """Return the exception."""
        error = self.kind.__new__(self.kind, *self.args)
        vars(error).update(self.state)
        return error


@dataclass(frozen=True)
class Failure:
    """An exception on its way back, and its traceback as text."""

    error: Any
    traceback: str

    def throw(self) -> NoReturn:
        """Raise the exception."""
        error = self.error.assemble() if isinstance(self.error, _Parts) else self.error
        raise error from (RemoteTraceback(f"\n{self.traceback}") if self.traceback else None)


class RemoteTraceback(Exception):
    """The traceback of an exception in the process that raised it, as text."""


class _Answer(pickle.Unpickler):
    """Reads what a process sends back, and leaves classes that are here already as they are.

    A class of a notebook comes by value and is found here again. cloudpickle would then put the
    process's copies of its methods and attributes over the user's own.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._pickling: Any = import_module("cloudpickle.cloudpickle")
        self._new: list[type] = []

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = super().find_class(module_name, global_name)
        if module_name != self._pickling.__name__:
            return found
        if global_name in {"_make_skeleton_class", "_make_skeleton_enum"}:
            return functools.partial(self._class, found)
        return self._fill if global_name == "_class_setstate" else found

    def _class(self, make: Callable[..., type], *args: Any) -> type:
        *_, number, _extra = args
        kind = self._pickling._DYNAMIC_CLASS_TRACKER_BY_ID.get(number)
        if kind is None:
            kind = make(*args)
            self._new.append(kind)
        return kind

    def _fill(self, kind: type, state: Any) -> type:
        if any(kind is one for one in self._new):
            self._pickling._class_setstate(kind, state)
        return kind
