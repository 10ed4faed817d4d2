"""A call on its way to another process. What comes back is for `returns`.

The call travels as one pickle: the function by value, so that functions of a notebook arrive, its
arguments, and what the code may ask about the run it is part of (the passage). While the code
runs, what it logs and writes is told at once, as small messages; in the end comes the answer.
"""

import contextlib
import contextvars
import functools
import io
import pickle
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from types import FunctionType, ModuleType
from typing import Any, Protocol, cast

from cellist.engine.errors import one_line
from cellist.engine.execution import Execution, note_asked
from cellist.engine.inputs import ATOMS, parts
from cellist.exceptions import CrashedRun, SerializationError
from cellist.model.references import Reference
from cellist.runners.returns import answer, cloudpickle, first_line

Tell = Callable[[tuple[Any, ...]], object]
"""Takes a message of running code: ("log", level, text), ("out", name of the stream, text)."""

_SIZE = 8
"""Bytes at the end of a parcel that say where the call ends, and the check of code begins."""
_DEPTH = 8
_LOOKED_AT = 300


# -- the way there --


class Code(Protocol):
    """Notes what of the user's code a process is left to find by name, while a call is pickled."""

    @property
    def modules(self) -> list[ModuleType]:
        """Modules that are to be sent along."""
        ...

    def see(self, thing: Any) -> None:
        """Take note of a function or class that is pickled."""
        ...

    def check(self) -> Callable[[], tuple[list[str], str]] | None:
        """Return what is to be asked there, `None` if nothing: what is other code, what differs."""
        ...


class _Nobodys:
    """Takes note of nothing: what is pickled goes nowhere."""

    def __init__(self) -> None:
        self.modules: list[ModuleType] = []

    @staticmethod
    def see(thing: Any) -> None:
        """Take no note."""

    @staticmethod
    def check() -> None:
        """There is nothing to ask."""


_NOBODYS: Code = _Nobodys()


class OtherCode(Exception):
    """A process has other code under the names that a call leaves it to find; nothing was run."""

    def __init__(self, names: list[str], is_sent_along: bool) -> None:
        super().__init__(names, is_sent_along)
        self.names = names
        self.is_sent_along = is_sent_along
        """Whether that is so though the user's modules came with the call."""


_REMEMBERING = type(functools.lru_cache(len))
"""Of functions that remember what they gave; pickle and cloudpickle know them by name only."""


def _remembering(fn: Any, parameters: dict[str, Any]) -> Any:
    """Return a function that remembers what it gave, and has given nothing yet."""
    return functools.lru_cache(**parameters)(fn)


@functools.cache
def _pickler() -> Any:
    class Pickler(cloudpickle().Pickler):
        def __init__(self, file: io.BytesIO, code: Code) -> None:
            super().__init__(file)  # pyright: ignore[reportUnknownMemberType] - cloudpickle is untyped
            self.handles: dict[int, tuple[int, Any]] = {}
            self._see = code.see
            self._sent = {"__main__", "__mp_main__", *(one.__name__ for one in code.modules)}

        def _is_found(self, thing: Any) -> bool:
            """Whether a process is left to find something by its name."""
            found: Any = sys.modules.get(thing.__module__)
            for name in thing.__qualname__.split("."):
                found = getattr(found, name, None)
            return found is thing and thing.__module__ not in self._sent

        def reducer_override(self, obj: Any) -> Any:
            kind = obj.__class__
            if kind is Reference:
                number = self.handles.setdefault(id(obj), (len(self.handles), obj.handle))[0]
                return _given_value, (number,)
            if kind is FunctionType or isinstance(obj, type):
                self._see(obj)
            elif kind is _REMEMBERING:
                if not self._is_found(obj):
                    return _remembering, (obj.__wrapped__, obj.cache_parameters())
                self._see(obj)
            return super().reducer_override(obj)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - as above

    return Pickler


_by_value = threading.Lock()


@contextlib.contextmanager
def _sent_along(modules: list[ModuleType]) -> Generator[None]:
    """Pickle what is in the modules by value; cloudpickle keeps a list of those for all threads."""
    if not modules:
        yield
        return
    pickling = cloudpickle()
    with _by_value:
        before = pickling.list_registry_pickle_by_value()
        added = [module for module in modules if module.__name__ not in before]
        for module in added:
            pickling.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in added:
                pickling.unregister_pickle_by_value(module)


class Packing:
    """Packs calls for the processes of one pool, whose code may be older or newer than that here.

    Code in modules is left to be found there, as is usual. Where that turns out to be other code
    than here, the user's modules are sent along, from then on at once.
    """

    def __init__(self, passage: Any) -> None:
        self._passage = passage
        """Makes what takes a call, and the run it is part of, to another process."""
        self._is_sent_along = False

    def pack(
        self, x: Execution, fn: Any, call: tuple[tuple[Any, ...], dict[str, Any]]
    ) -> tuple[bytes, list[Any]]:
        """Return a call as bytes, and the handles of the values in it that a cluster has already.

        Raises `SerializationError` naming the argument, and the part of it, that cannot be pickled.
        """
        is_sent_along = self._is_sent_along
        code: Code = self._passage.code_of(x, is_sent_along)
        file = io.BytesIO()
        pickler = _pickler()(file, code)
        try:
            with _sent_along(code.modules):
                pickler.dump((self._passage(x), fn, *call))
        except Exception as error:
            named = dict(x.plan.shape.named(*call))
            raise SerializationError(_complaint(x.definition.name, fn, named, error)) from error
        size = file.tell()
        check = code.check()
        if check is not None:
            file.write(pickle.dumps((check, is_sent_along)))
        file.write(size.to_bytes(_SIZE, "big"))
        return file.getvalue(), [handle for _, handle in pickler.handles.values()]

    def learn(self, x: Execution, error: BaseException | None) -> bool:
        """Whether a call came back because code there is other code, and is to be packed anew.

        Raises `CrashedRun` if that was done already and did not help.
        """
        if not isinstance(error, OtherCode):
            return False
        if error.is_sent_along:
            raise CrashedRun(_other_code(x.definition.name, error.names))
        self._is_sent_along = True
        return True


def note_facts(x: Execution, asked: bool, unfit: str) -> None:
    """Take down what a process says of a call: that its code asked about its run, see `unpack`."""
    if asked:
        note_asked(x)
    if unfit and x.cache_note is not None:
        x.cache_note.unfit = unfit


def _other_code(task: str, names: list[str]) -> str:
    listed = ", ".join(f"`{name}`" for name in names)
    return (
        f"Task `{task}` was not run: {listed} is other code in the worker than here, and a worker "
        "imports it by itself. Restart the workers with this code, or import it at the top of the "
        "module or notebook so that it can be sent along."
    )


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
        _pickler()(io.BytesIO(), _NOBODYS).dump(value)
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

_given: contextvars.ContextVar[Sequence[Any]] = contextvars.ContextVar("cellist_given")


def _given_value(number: int) -> Any:
    """Return a value that the cluster had; a call is read where they are given."""
    return _given.get()[number]


def unpack(parcel: bytes, values: Sequence[Any] = ()) -> tuple[Any, str]:
    """Return a call (passage, function, arguments), with the values that the cluster had.

    And why its result will not be what its key stands for, empty if it will.
    Raises `OtherCode` if the code that this process finds by name is not that of who calls.
    """
    size = int.from_bytes(parcel[-_SIZE:], "big")
    whole = memoryview(parcel)
    unfit = ""
    if len(parcel) - size > _SIZE:
        check, is_sent_along = pickle.loads(whole[size:-_SIZE])  # noqa: S301 - the caller runs code
        other, unfit = check()
        if other:
            raise OtherCode(other, is_sent_along)
    token = _given.set(values)
    try:
        return pickle.loads(whole[:size]), unfit  # noqa: S301 - that is what for
    except Exception as error:
        why = f"{type(error).__name__}: {first_line(error)}"
        message = (
            f"The task's code or arguments cannot be read in its process: {why}. Processes need "
            "the packages and modules that are used here, and values that can be unpickled."
        )
        raise SerializationError(message) from error
    finally:
        _given.reset(token)


def run_packed(parcel: bytes, tell: Tell) -> bytes:
    """Carry a call out in this process, inside the run that came with it, and return the answer."""
    (passage, fn, args, kwargs), unfit = unpack(parcel)
    return answer(*passage.call(fn, args, kwargs, tell), unfit)
