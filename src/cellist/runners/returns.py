"""What comes back from another process: results, exceptions, instances of a notebook's classes.

A class of a notebook goes there by value, with the call. A result that holds an instance of it
brings the class back, by value again. All that comes from a process is read here, wherever it has
travelled, so that such a class is found to be the one that is here already.
"""

import functools
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from cellist.engine.errors import describe, one_line, trim
from cellist.exceptions import SerializationError


def cloudpickle() -> Any:
    """Return the module, loaded when the first task goes to a process."""
    return import_module("cloudpickle")  # untyped


# -- there --


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


class Kept:
    """A result that stays on a cluster; pickled, it is read as all that comes from a process is.

    It is also what keeps Dask from sending a list element by element, for minutes.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        """Return the value's bytes, large arrays in it as they lie in memory."""
        buffers: list[pickle.PickleBuffer] = []
        options: Any = {"protocol": 5, "buffer_callback": buffers.append} if protocol >= 5 else {}
        data = cloudpickle().dumps(self.value, **options)
        return _read_kept, (pickle.PickleBuffer(data) if protocol >= 5 else data, *buffers)

    def __sizeof__(self) -> int:
        """Return what Dask's accounts of memory need: the size of the value."""
        return import_module("dask.sizeof").sizeof(self.value)


# -- here --


def _read_kept(data: Any, *buffers: Any) -> Kept:
    return Kept(_Answer(io.BytesIO(data), buffers).load())


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

    def __init__(self, file: io.BytesIO, buffers: Any = ()) -> None:
        super().__init__(file, buffers=buffers)
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
