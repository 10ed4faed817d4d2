"""Call the code of tasks in other processes; states, cache and history stay here.

A thread of ours ships the call and waits for its answer, so retries, cancelling and time limits
work as in the thread pool. Processes are spawned, not forked: a kernel has threads and a loop
that do not survive a fork. Functions, also those of a notebook, are pickled by value.
"""

import functools
import io
import os
import pickle
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from cellist.engine.commands import Invoke
from cellist.engine.errors import describe, one_line, trim
from cellist.engine.execution import Execution, note_asked
from cellist.engine.scheduler import Work
from cellist.engine.threads import Worker
from cellist.exceptions import CrashedRun, SerializationError
from cellist.runners.threads import ThreadPool

if TYPE_CHECKING:  # loaded when the first task goes to a process, as few ever do
    from concurrent.futures import ProcessPoolExecutor


def _cloudpickle() -> Any:
    """Return the module, loaded when the first task goes to a process."""
    return import_module("cloudpickle")  # untyped


def run_pickled(payload: bytes) -> bytes:
    """Call a pickled function in this process, inside the run that came along with it.

    Returns, pickled, whether it went well, its value or exception, what it logged, and whether it
    asked about its run.
    """
    cloudpickle = _cloudpickle()
    passage, fn, args, kwargs = cloudpickle.loads(payload)
    fine, value, *rest = passage.call(fn, args, kwargs)
    text = "" if fine else describe(trim(value)).traceback
    try:
        answer = value if fine else _Failure(_portable(value), text)
        return cloudpickle.dumps((fine, answer, *rest))
    except Exception as error:
        what = "result" if fine else f"exception ({type(value).__name__})"
        why = f"The task's {what} cannot be sent back from its process: {one_line(error)}"
        return cloudpickle.dumps((False, _Failure(SerializationError(why), text), *rest))


def _portable(error: Exception) -> Any:
    """Return the exception in a form that arrives.

    Pickle calls the class again with what it was given by position, and a constructor that wants
    more fails only where the exception is read.
    """
    cloudpickle = _cloudpickle()
    try:
        cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:
        return _Parts(type(error), error.args, dict(vars(error)))
    return error


@dataclass(frozen=True)
class _Parts:
    """An exception that is put together without its constructor."""

    kind: type[Exception]
    args: tuple[Any, ...]
    state: dict[str, Any]

    def assemble(self) -> Exception:
        """Return the exception."""
        error = self.kind.__new__(self.kind, *self.args)
        vars(error).update(self.state)
        return error


@dataclass(frozen=True)
class _Failure:
    """An exception on its way back, and its traceback as text."""

    error: Any
    traceback: str

    def throw(self) -> NoReturn:
        """Raise the exception."""
        error = self.error.assemble() if isinstance(self.error, _Parts) else self.error
        raise error from (RemoteTraceback(f"\n{self.traceback}") if self.traceback else None)


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


class RemoteTraceback(Exception):
    """The traceback of an exception in the process that raised it, as text."""


class ProcessPool(ThreadPool):
    """A thread pool whose user code is called in processes."""

    def __init__(
        self,
        max_workers: int | None,
        initializer: Any,
        initargs: tuple[Any, ...],
        passage: Callable[[Execution], Any],
    ) -> None:
        self._count = max_workers or os.cpu_count() or 1
        super().__init__(self._count)
        self._initializer = initializer
        self._initargs = initargs
        self._passage = passage
        """Makes what takes a call, and the run it is part of, to another process."""
        self._processes: ProcessPoolExecutor | None = None

    def _executor(self) -> "ProcessPoolExecutor":
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        with self._lock:
            if self._processes is None:
                self._processes = ProcessPoolExecutor(
                    self._count,
                    multiprocessing.get_context("spawn"),
                    initializer=self._initializer,
                    initargs=self._initargs,
                )
            return self._processes

    def invoke(self, command: Invoke, work: Work, worker: Worker | None) -> Any:
        """Call user code in a process; other calls, such as hooks, here.

        Raises `SerializationError` if the call cannot be pickled and `CrashedRun` if the process
        went away.
        """
        if command.fn is not work.x.fn:
            return super().invoke(command, work, worker)
        try:
            call = (command.fn, tuple(command.args), dict(command.kwargs))
            payload = _cloudpickle().dumps((self._passage(work.x), *call))
        except Exception as error:
            name = work.x.definition.name
            message = (
                f"Task `{name}` or one of its arguments cannot be sent to a process: "
                f"{one_line(error)}. Use the thread pool, or pass something that can be pickled."
            )
            raise SerializationError(message) from error
        executor = self._executor()
        try:
            answer = executor.submit(run_pickled, payload).result()
        except BrokenExecutor as error:
            with self._lock:
                if self._processes is executor:
                    self._processes = None  # the next task gets a fresh pool
            message = f"The process running task `{work.x.definition.name}` went away: {error}"
            raise CrashedRun(message) from None
        fine, value, logs, asked = _Answer(io.BytesIO(answer)).load()
        if asked:
            note_asked(work.x)
        for level, message in logs:
            work.x.services.tell_carried(work.x, level, message)
        if not fine:
            value.throw()
        return value

    def close(self) -> None:
        """End the processes when their work is done."""
        with self._lock:
            processes, self._processes = self._processes, None
        if processes is not None:
            processes.shutdown(wait=False, cancel_futures=True)
