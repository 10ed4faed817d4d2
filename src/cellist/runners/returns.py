"""What comes back from another process: results, exceptions, instances of a notebook's classes.

A class of a notebook goes there by value, with the call. A result that holds an instance of it
brings the class back, by value again. All that comes from a process is read here, wherever it has
travelled, so that such a class is found to be the one that is here already.
"""

import contextlib
import functools
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import WrapperDescriptorType
from typing import Any, NoReturn

from cellist.engine.errors import describe, one_line, trim
from cellist.exceptions import SerializationError
from cellist.model.previews import short


def cloudpickle() -> Any:
    """Return the module, loaded when the first task goes to a process."""
    return import_module("cloudpickle")  # untyped


# -- there --


def answer(fine: bool, value: Any, *rest: Any) -> bytes:
    """Return as bytes what a call gave: its value, or its exception in a form that arrives."""
    if fine:
        try:
            return cloudpickle().dumps((True, value, *rest))
        except Exception as error:
            value = SerializationError(_unsendable(error))
    return cloudpickle().dumps((False, Failure(_portable(value), _trace(value)), *rest))


def _trace(error: BaseException) -> str:
    return describe(trim(error)).traceback if error.__traceback__ is not None else ""


def _unsendable(error: Exception) -> str:
    return f"The task's result cannot be sent back from its process: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text."""
    return one_line(error).partition("\n")[0]


def _portable(error: BaseException) -> bytes:
    """Return an exception as bytes that can be read.

    Pickle calls the class again with what it was given by position, and a constructor that wants
    more fails only where the exception is read. Of what cannot be pickled the rest is sent.
    """
    sent = [_sent_and_read(error, dumps) for dumps in (cloudpickle().dumps, _dumps_in_parts)]
    readable = [one for one in sent if one is not None]
    whole = [data for data, copy in readable if one_line(copy) == one_line(error)]
    if readable:
        return whole[0] if whole else readable[0][0]
    name = type(error).__name__
    text = f"The task's exception ({name}) cannot be sent back from its process: {one_line(error)}"
    return pickle.dumps(SerializationError(text))


def _dumps_in_parts(value: Any) -> bytes:
    """Pickle a value with exceptions in it that pickle itself does not bring back."""
    file = io.BytesIO()
    _pickler_of_parts()(file).dump(value)
    return file.getvalue()


@functools.cache
def _pickler_of_parts() -> Any:
    class Pickler(cloudpickle().Pickler):
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, BaseException) and not _arrives(obj, cloudpickle().dumps):
                return _assembled, (type(obj), *_parts_of(obj))
            return super().reducer_override(obj)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - cloudpickle is untyped

    return Pickler


def _sent_and_read(value: Any, dumps: Callable[[Any], bytes]) -> tuple[bytes, Any] | None:
    """Return a value as bytes, and what they are read as; `None` if either fails."""
    try:
        data = dumps(value)
        return data, cloudpickle().loads(data)
    except Exception:  # the classes of the user run here
        return None


def _arrives(value: Any, dumps: Callable[[Any], bytes]) -> bool:
    """Whether a value can be pickled and read; of exceptions the text has to be the same, too.

    Where Dask is loaded, some of Python's own are read without theirs.
    """
    found = _sent_and_read(value, dumps)
    is_error = isinstance(value, BaseException)
    return found is not None and not (is_error and one_line(found[1]) != one_line(value))


def _parts_of(error: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what an exception was given and what it holds, as far as that can be pickled."""
    args = [one if _arrives(one, _dumps_in_parts) else short(one) for one in error.args]
    state = dict(vars(error))
    lost = [name for name, value in state.items() if not _arrives(value, _dumps_in_parts)]
    notes: list[Any] = [*state.get("__notes__", ())]
    for name in lost:
        kind = type(state.pop(name)).__name__
        notes.append(f"`{name}`, a {kind}, cannot be sent from its process and was left there.")
    return tuple(args), {**state, "__notes__": notes} if lost else state


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
        try:
            data = cloudpickle().dumps(self.value, **options)
        except Exception as error:
            return Missed, (_unsendable(error),)
        return _read_kept, (pickle.PickleBuffer(data) if protocol >= 5 else data, *buffers)

    def __sizeof__(self) -> int:
        """Return what Dask's accounts of memory need: the size of the value."""
        return import_module("dask.sizeof").sizeof(self.value)


class Missed:
    """Stands for a result that could not be sent or read."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why

    @property
    def value(self) -> Any:
        """Raises `SerializationError` saying why."""
        raise SerializationError(self.why)

    def __reduce__(self) -> Any:
        return Missed, (self.why,)


# -- here --


def _read_kept(data: Any, *buffers: Any) -> Kept | Missed:
    try:
        return Kept(_Answer(io.BytesIO(data), buffers).load())
    except Exception as error:
        return Missed(_unreadable(error))


def _unreadable(error: Exception) -> str:
    return (
        f"What the task's process sent cannot be read here: {type(error).__name__}: "
        f"{first_line(error)}"
    )


def open_answer(parcel: bytes) -> Any:
    """Return what `answer` packed. Raises `SerializationError` if it cannot be read."""
    try:
        return _Answer(io.BytesIO(parcel)).load()
    except Exception as error:
        raise SerializationError(_unreadable(error)) from error


def _assembled(kind: Any, args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    """Return an exception that is put together without the constructor of its class."""
    error: BaseException = kind.__new__(kind, *args)
    bases: tuple[type, ...] = kind.__mro__
    for base in bases:
        init: Any = vars(base).get("__init__")
        if isinstance(init, WrapperDescriptorType):  # Python's own, such as that of OSError
            with contextlib.suppress(Exception):
                init(error, *args)
            break
    vars(error).update(state)
    return error


@dataclass(frozen=True)
class Failure:
    """An exception on its way back, pickled, and its traceback as text."""

    pickled: bytes
    traceback: str

    @functools.cached_property
    def error(self) -> BaseException:
        """The exception, or a `SerializationError` if it cannot be read."""
        try:
            return open_answer(self.pickled)
        except SerializationError as error:
            return error

    def throw(self) -> NoReturn:
        """Raise the exception."""
        raise self.error from (RemoteTraceback(f"\n{self.traceback}") if self.traceback else None)


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
