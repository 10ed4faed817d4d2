"""Futures of submitted runs, lists of them, and functions that wait for several.

A future's state is always that of this moment, and final before a callback fires.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, cast, overload
from uuid import UUID

from cellist.engine.commands import NOTHING, Err, Given, Ok
from cellist.engine.errors import trim
from cellist.engine.execution import check_not_inside, current, enclosing_flow
from cellist.engine.flights import noted_wait
from cellist.engine.inputs import ATOMS, Upstream, resolve
from cellist.engine.lineage import remember_result
from cellist.engine.promise import Latch, Promise
from cellist.engine.threads import place_released
from cellist.engine.waiting import settled, wait_all
from cellist.exceptions import UnfinishedRun
from cellist.model.annotations import BaseAnnotation
from cellist.model.runs import Run
from cellist.model.states import State

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
K = TypeVar("K")
_log = logging.getLogger("cellist.futures")


class PrefectFuture(Promise, Generic[R_co]):
    """The result of a run that may not have ended yet."""

    __slots__ = ()

    @property
    def task_run_id(self) -> UUID:
        """The id of the run."""
        return self.run.id

    @property
    def state(self) -> State:
        """The run's state at this moment, with its value once final."""
        return self.final_state

    @property
    def name(self) -> str:
        """The run's name."""
        return self.run.name

    @property
    def why(self) -> Any:
        """Why the run was a hit or a miss (a `Reason`), `None` as long as that is open."""
        return self.run.why

    def done(self) -> bool:
        """Whether the run has ended."""
        return self.outcome is not None

    def wait(self, timeout: float | None = None) -> None:
        """Block until the run has ended or `timeout` seconds have passed. Never raises for it."""
        _block(self, timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R_co:
        """Return the run's value, waiting for it at most `timeout` seconds.

        Raises the user's own exception if the run failed, or returns it with
        `raise_on_failure=False`. Raises `TimeoutError` if the run has not ended by then,
        `UnfinishedRun` if it never ran because a run it depends on failed, `CancelledRun`, and
        `ValueError` if the run itself asks, without a timeout: it would wait for ever.
        """
        __tracebackhide__ = True
        if self.outcome is None and not _block(self, timeout):
            message = f"Run {self.run.name!r} ({self.run.id}) did not end within {timeout} seconds."
            raise TimeoutError(message)
        self.observed = True
        outcome = self.outcome
        if outcome.__class__ is Ok:
            value = cast("Ok", outcome).value
            self._link(value)
            return value
        return self._unusual_result(raise_on_failure)

    def _unusual_result(self, raise_on_failure: bool) -> Any:
        __tracebackhide__ = True
        outcome = self.outcome
        if isinstance(outcome, Given) and not self.state.is_completed():
            return self.state.result(raise_on_failure=raise_on_failure)
        if isinstance(outcome, Given):
            return outcome.data
        assert isinstance(outcome, Err)
        if not self.run.is_final:
            error = UnfinishedRun(
                f"Run is in {self.run.state_type} state, its result is not available: "
                f"{self.run.name} did not run. {outcome.error}"
            )
            error.add_note(f"{self.run.name} {self.run.why or 'did not run'}.")
            raise error from outcome.error
        if raise_on_failure or not isinstance(outcome.error, Exception):
            raise trim(outcome.error)
        return outcome.error

    def _link(self, value: Any) -> None:
        """Let the flow know which run the value came from, so that the graph shows it."""
        flow = enclosing_flow(current.get())
        if flow is not None and value.__class__ not in ATOMS:
            remember_result(flow, value, self.run.number)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the run raised, `None` if it completed; waits like `result`."""
        if not _block(self, timeout):
            message = f"Run {self.run.name!r} ({self.run.id}) did not end within {timeout} seconds."
            raise TimeoutError(message)
        self.observed = True
        if isinstance(self.outcome, Err):
            return self.outcome.error
        if isinstance(self.outcome, Given) and self.run.is_final and not self.state.is_completed():
            return self.state.result(raise_on_failure=False)
        return None

    def cancel(self) -> bool:
        """Ask the run to stop; `False` if it has ended.

        A waiting run is cancelled at once. Code in a thread is asked to stop; until it does the
        state is Cancelling.
        """
        work = self.work
        if self.outcome is not None or work is None:
            return False
        work.cancel()
        return True

    def add_done_callback(self, fn: Callable[["PrefectFuture[R_co]"], Any]) -> None:
        """Call `fn(future)` when the run has ended, in the thread that ended it.

        If the run has ended already it is called at once. What it raises is logged.
        """

        def call(future: Any) -> None:
            try:
                fn(future)
            except Exception:
                _log.exception("A done callback of run %r raised", self.run.name)

        self.on_settled(call)

    def __await__(self) -> Generator[Any, Any, R_co]:
        if self.outcome is None:
            check_not_inside(self)
        with _stoppable([self], asyncio.current_task()):
            yield from settled(self).__await__()
        return self.result()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.run.name!r}, state={self.run.state_name})"


PrefectTaskRunFuture = PrefectFuture
PrefectConcurrentFuture = PrefectFuture
PrefectWrappedFuture = PrefectFuture
PrefectFlowRunFuture = PrefectFuture


def _block(future: Promise, timeout: float | None) -> bool:
    if future.outcome is not None:
        return True
    if timeout is None:
        check_not_inside(future)
    with _stoppable([future]), place_released():
        return wait_all([future], timeout)


@contextmanager
def _stoppable(
    futures: Sequence[Promise], task: "asyncio.Task[Any] | None" = None
) -> Generator[None]:
    """Let the stop button cancel what is waited for where no run around the wait does."""
    executions = [future.execution for future in futures] if current.get() is None else []
    execution = next((one for one in executions if one is not None), None)
    if execution is None:
        with noted_wait(futures):
            yield
        return
    guard = execution.services.guard
    entered = guard.enter(task)
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):
            for future in futures:
                if future.work is not None:
                    future.work.cancel()
        raise
    finally:
        if entered:
            guard.leave(task)


class PrefectFutureList(list[PrefectFuture[R]]):
    """Futures of a `map`, in the order of its inputs."""

    resolves_to = list

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all have ended or `timeout` seconds have passed."""
        wait(self, timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[R]:
        """Return all results in order.

        Raises the error of the first run to fail, `TimeoutError` if they have not all ended
        within `timeout` seconds, and `ValueError` for a negative timeout.
        """
        __tracebackhide__ = True
        _check_timeout(timeout)
        with _stoppable(self):
            return self._results(timeout, raise_on_failure)

    def _results(self, timeout: float | None, raise_on_failure: bool) -> list[R]:
        __tracebackhide__ = True
        if raise_on_failure and any(future.outcome is None for future in self):
            for future in as_completed(list(self), timeout):
                if not isinstance(future.outcome, Ok):
                    future.result()
        wait(self, timeout)
        unfinished = sum(future.outcome is None for future in self)
        if unfinished:
            message = f"{unfinished} of {len(self)} runs did not end within {timeout} seconds."
            raise TimeoutError(message)
        return [future.result(raise_on_failure=raise_on_failure) for future in self]

    @property
    def state(self) -> list[State]:
        """The states of all, in order."""
        return [future.state for future in self]

    def cancel(self) -> int:
        """Ask all runs to stop and return how many were asked."""
        return sum(future.cancel() for future in self)

    def __await__(self) -> Generator[Any, Any, list[R]]:
        with _stoppable(self, asyncio.current_task()):
            for future in self:
                yield from settled(future).__await__()
        return self.result()


Later: TypeAlias = PrefectFuture[Any] | PrefectFutureList[Any] | State | BaseAnnotation[Any]
"""What stands for a value in the arguments of a call."""


class DoneAndNotDoneFutures(NamedTuple, Generic[R]):
    """What `wait` returns."""

    done: set[PrefectFuture[R]]
    not_done: set[PrefectFuture[R]]


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None and timeout < 0:
        message = f"`timeout` must be a number of seconds >= 0 or None, got {timeout!r}."
        raise ValueError(message)


def wait(
    futures: Iterable[PrefectFuture[R]], timeout: float | None = None
) -> DoneAndNotDoneFutures[R]:
    """Wait until all have ended or `timeout` seconds have passed, and say which have ended."""
    _check_timeout(timeout)
    unique = set(futures)
    with _stoppable(list(unique)), place_released():
        wait_all(list(unique), timeout)
    done = {future for future in unique if future.outcome is not None}
    return DoneAndNotDoneFutures(done, unique - done)


class UnfinishedFutures(TimeoutError):
    """`as_completed` ran out of time."""


def as_completed(
    futures: Iterable[PrefectFuture[R]], timeout: float | None = None
) -> Iterator[PrefectFuture[R]]:
    """Yield the futures as they end.

    Raises a `TimeoutError` that counts the unfinished ones after `timeout` seconds.
    """
    _check_timeout(timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    unique = list(dict.fromkeys(futures))
    ended = _Arrivals()
    for future in unique:
        future.on_settled(ended.put)
    try:
        with noted_wait(unique):
            for left in range(len(unique), 0, -1):
                future = ended.get(deadline)
                if future is None:
                    message = f"{left} (of {len(unique)}) futures unfinished"
                    raise UnfinishedFutures(message)
                yield future
    finally:
        for future in unique:
            future.forget(ended.put)


class _Arrivals:
    """Futures in the order in which they ended."""

    def __init__(self) -> None:
        self._queue: deque[PrefectFuture[Any]] = deque()
        self._bell: Latch | None = None

    def put(self, future: Any) -> None:
        """Add a future that has ended; called in the thread that ended it."""
        self._queue.append(future)
        bell = self._bell
        if bell is not None:
            bell.settle(NOTHING)

    def get(self, deadline: float | None) -> PrefectFuture[Any] | None:
        """Return the next one, waiting for it; `None` when the deadline has passed."""
        if not self._queue:
            bell = self._bell = Latch()
            if not self._queue:  # looked at again, now that the bell would ring
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                with place_released():
                    wait_all([bell], left)
            self._bell = None
        return self._queue.popleft() if self._queue else None


@overload
def resolve_futures_to_states(expr: PrefectFuture[Any]) -> State: ...
@overload
def resolve_futures_to_states(expr: list[PrefectFuture[R]]) -> list[State]: ...
@overload
def resolve_futures_to_states(expr: dict[K, PrefectFuture[R]]) -> dict[K, State]: ...
@overload
def resolve_futures_to_states(expr: Any) -> Any: ...
def resolve_futures_to_states(expr: Any) -> Any:
    """Return the expression with every future in it replaced by its final state."""

    def visit(one: Upstream) -> Any:
        if isinstance(one.source, Promise):
            _block(one.source, None)
            return one.source.final_state
        return one.source

    return resolve(_plain(expr), visit, keep_quotes=True)


@overload
def resolve_futures_to_results(expr: PrefectFuture[R]) -> R: ...
@overload
def resolve_futures_to_results(expr: list[PrefectFuture[R]]) -> list[R]: ...
@overload
def resolve_futures_to_results(expr: dict[K, PrefectFuture[R]]) -> dict[K, R]: ...
@overload
def resolve_futures_to_results(expr: Any) -> Any: ...
def resolve_futures_to_results(expr: Any) -> Any:
    """Return the expression with every future in it replaced by its result.

    Raises the error of a run that did not complete.
    """

    def visit(one: Upstream) -> Any:
        if isinstance(one.source, Promise):
            return cast("PrefectFuture[Any]", one.source).result()
        return one.source

    return resolve(_plain(expr), visit, keep_quotes=True)


def _plain(expr: Any) -> Any:
    return [*cast("list[Any]", expr)] if isinstance(expr, PrefectFutureList) else expr


def new_future(run: Run) -> PrefectFuture[Any]:
    """Return the future of a run that is about to be submitted."""
    return PrefectFuture(run)


__all__ = [
    "DoneAndNotDoneFutures",
    "PrefectConcurrentFuture",
    "PrefectFlowRunFuture",
    "PrefectFuture",
    "PrefectFutureList",
    "PrefectTaskRunFuture",
    "PrefectWrappedFuture",
    "as_completed",
    "resolve_futures_to_results",
    "resolve_futures_to_states",
    "wait",
]
