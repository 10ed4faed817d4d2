"""Task runners: where the code of submitted tasks runs.

A runner is a description, cheap to make and to compare; each flow run uses a duplicate of its own.
It can also be used directly:

    with ThreadPoolTaskRunner(max_workers=2) as runner:
        runner.submit(task, {"x": 1})

Coroutine functions run on the event loop, except on a cluster (`cellist.dask`, `cellist.ray`).
"""

import inspect
import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from cellist import settings
from cellist.carried import Passage
from cellist.engine.execution import current, enclosing_flow
from cellist.exceptions import ConfigurationError
from cellist.futures import PrefectFuture, PrefectFutureList
from cellist.model.later import later
from cellist.runners.inline import InlinePool
from cellist.runners.threads import ThreadPool

if TYPE_CHECKING:
    import difflib

    from cellist.runners import processes
else:
    difflib = later("difflib", globals())
    processes = later("cellist.runners.processes", globals())

_log = logging.getLogger("cellist.task_runners")


class TaskRunner:
    """The base of all task runners."""

    takes_coroutines = False
    """Whether coroutine functions run where other tasks do, and not on the event loop."""

    def __new__(cls, *_args: Any, **options: Any) -> Self:
        """Make a runner. Raises `TypeError` for an option it does not have, naming the nearest."""
        _check_options(cls, options)
        return super().__new__(cls)

    def __init__(self) -> None:
        self._pool: Any = None

    @property
    def name(self) -> str:
        """The runner's name in lower case: `threadpool` for `ThreadPoolTaskRunner`."""
        return type(self).__name__.lower().replace("taskrunner", "")

    def duplicate(self) -> Self:
        """Return a fresh runner with the same options."""
        return type(self)()

    def make_pool(self) -> Any:
        """Return what carries the work out."""
        raise TypeError(f"{type(self).__name__} does not say where to run tasks.")

    @property
    def pool(self) -> Any:
        """What carries the work out, made when first needed."""
        if self._pool is None:
            self._pool = self.make_pool()
        return self._pool

    def submit(
        self,
        task: Any,
        parameters: dict[str, Any],
        wait_for: Any = None,
        dependencies: dict[str, Any] | None = None,
    ) -> PrefectFuture[Any]:
        """Start a run of the task with parameters by name and return its future.

        Raises `RuntimeError` unless the runner was started by a `with` block or a flow.
        """
        del dependencies
        self._require_started()
        return task.submit_to(self, parameters, wait_for)

    def map(
        self, task: Any, parameters: dict[str, Any], wait_for: Any = None
    ) -> PrefectFutureList[Any]:
        """Start a run for each element of the parameters and return their futures."""
        self._require_started()
        return task.map_to(self, parameters, wait_for)

    def _require_started(self) -> None:
        if self._pool is None:
            message = "The task runner must be started before submitting work: use it in `with`."
            raise RuntimeError(message)

    def tell(self, text: str) -> None:
        """Log something about the runner: in the flow that goes on here, if there is one."""
        flow = enclosing_flow(current.get())
        if flow is not None:
            flow.services.log(flow, logging.INFO, text)
        else:
            _log.info(text)

    def __enter__(self) -> Self:
        if self._pool is not None:
            message = "This task runner is already started."
            raise RuntimeError(message)
        self._pool = self.make_pool()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release what the runner holds; running tasks go on to their end."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


def _check_options(kind: type, options: Iterable[str]) -> None:
    """Raise `TypeError` for options that `kind` does not take, naming the nearest it has."""
    code: Any = getattr(kind.__init__, "__code__", None)
    if not options or code is None or code.co_flags & inspect.CO_VARKEYWORDS:
        return
    known: tuple[str, ...] = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            others = f"Its options are {', '.join(known)}." if known else "It has none."
            message = f"{kind.__name__} has no option {name!r}.{hint} {others}"
            raise TypeError(message)


def check_workers(value: Any, owner: str) -> int | None:
    """Return the number of workers. Raises `ValueError` unless it is a positive whole number."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        message = f"`max_workers` of {owner} must be a whole number >= 1 or None, got {value!r}."
        raise ValueError(message)
    return value


class ThreadPoolTaskRunner(TaskRunner):
    """Runs tasks in threads of this process, at most `max_workers` at a time.

    Without `max_workers` the setting `tasks_runner_thread_pool_max_workers` counts, else as many
    threads are started as the work keeps busy. A task that waits for another gives its place to
    other work, so nested submission cannot deadlock.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__()
        self._workers = check_workers(max_workers, "ThreadPoolTaskRunner")

    @property
    def max_workers(self) -> int:
        """How many tasks run at a time."""
        configured = settings.active().tasks_runner_thread_pool_max_workers
        return self._workers or configured or sys.maxsize

    _max_workers = max_workers

    def duplicate(self) -> "ThreadPoolTaskRunner":
        """Return a fresh runner with the same options."""
        return type(self)(max_workers=self._workers)

    def make_pool(self) -> ThreadPool:
        """Return a pool of threads."""
        most = self.max_workers
        return ThreadPool(None if most == sys.maxsize else most)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ThreadPoolTaskRunner) and self._workers == other._workers

    def __hash__(self) -> int:
        return hash((ThreadPoolTaskRunner, self._workers))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(max_workers={self._workers})"


ConcurrentTaskRunner = ThreadPoolTaskRunner


class SequentialTaskRunner(TaskRunner):
    """Runs a submitted task at once, in the caller; the future is final when `submit` returns."""

    def make_pool(self) -> InlinePool:
        """Return what runs work in the caller."""
        return InlinePool()

    def __repr__(self) -> str:
        return "SequentialTaskRunner()"


class ProcessPoolTaskRunner(TaskRunner):
    """Runs tasks in other processes, at most `max_workers` at a time (default: all cores).

    Functions defined in a notebook work: code and arguments are pickled by value. `initializer`
    is called with `initargs` in each process when it starts.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        initializer: Any = None,
        initargs: Iterable[Any] = (),
    ) -> None:
        super().__init__()
        self._workers = check_workers(max_workers, "ProcessPoolTaskRunner")
        self._initializer = initializer
        self._initargs = tuple(initargs)

    def duplicate(self) -> "ProcessPoolTaskRunner":
        """Return a fresh runner with the same options."""
        return type(self)(self._workers, self._initializer, self._initargs)

    def make_pool(self) -> "processes.ProcessPool":
        """Return a pool of processes; they start with the first task."""
        configured = settings.active().tasks_runner_process_pool_max_workers
        return processes.ProcessPool(
            self._workers or configured, self._initializer, self._initargs, Passage
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProcessPoolTaskRunner) and self._workers == other._workers

    def __hash__(self) -> int:
        return hash((ProcessPoolTaskRunner, self._workers))

    def __repr__(self) -> str:
        return f"ProcessPoolTaskRunner(max_workers={self._workers})"


class PrefectTaskRunner(TaskRunner):
    """Prefect's runner that gives tasks to task workers; here a task does so itself.

    Raises `ConfigurationError` saying what to use instead.
    """

    def __init__(self) -> None:
        message = (
            "cellist has no PrefectTaskRunner: a run is handed to a worker by `task.delay(...)`, "
            "many are by `task.map(..., deferred=True)`, and `cellist serve module:task` or "
            "`task.serve()` carries them out, whatever the flow's task runner is."
        )
        raise ConfigurationError(message)


__all__ = [
    "ConcurrentTaskRunner",
    "PrefectTaskRunner",
    "ProcessPoolTaskRunner",
    "SequentialTaskRunner",
    "TaskRunner",
    "ThreadPoolTaskRunner",
]
