"""Futures of submitted runs, lists of them, and functions that wait for several.

A future's state is always that of this moment, and final before a callback fires.
"""

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar, cast, overload

from cellist.engine.commands import NOTHING, Ok
from cellist.engine.flights import noted_wait
from cellist.engine.inputs import Upstream, resolve
from cellist.engine.promise import Latch, Promise
from cellist.engine.threads import place_released
from cellist.engine.waiting import settled, wait_all
from cellist.future import PrefectFuture, block_on, stoppable
from cellist.model.annotations import BaseAnnotation
from cellist.model.display import mimebundle
from cellist.model.later import later
from cellist.model.states import State

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())

if TYPE_CHECKING:  # loaded when it is asked for, as few ever do
    from cellist.worker.futures import PrefectDistributedFuture

R = TypeVar("R")
K = TypeVar("K")

PrefectTaskRunFuture = PrefectFuture
PrefectConcurrentFuture = PrefectFuture
PrefectWrappedFuture = PrefectFuture
PrefectFlowRunFuture = PrefectFuture


class PrefectFutureList(list[PrefectFuture[R]]):
    """Futures of a `map`, in the order of its inputs."""

    resolves_to = list

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return mimebundle(self)

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
        with stoppable(self):
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
        with stoppable(self, asyncio.current_task()):
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
    with stoppable(list(unique)), place_released():
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
            block_on(one.source, None)
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


def __getattr__(name: str) -> Any:
    """Load the future of deferred runs when it is first used."""
    if name == "PrefectDistributedFuture":
        return import_module("cellist.worker.futures").PrefectDistributedFuture
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


__all__ = [
    "DoneAndNotDoneFutures",
    "PrefectConcurrentFuture",
    "PrefectDistributedFuture",
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
