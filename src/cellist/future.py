"""The future of one submitted run, and how to block on it.

A future's state is always that of this moment, and final before a callback fires.
"""

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from cellist.engine.commands import Elsewhere, Err, Given, Ok
from cellist.engine.errors import trim
from cellist.engine.execution import check_not_inside, current, enclosing_flow
from cellist.engine.flights import noted_wait
from cellist.engine.inputs import ATOMS, first_cause
from cellist.engine.lineage import remember_result
from cellist.engine.promise import Promise
from cellist.engine.threads import place_released
from cellist.engine.waiting import settled, wait_all
from cellist.exceptions import UnfinishedRun
from cellist.model.display import mimebundle
from cellist.model.later import later
from cellist.model.states import State

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())

R_co = TypeVar("R_co", covariant=True)
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
        block_on(self, timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R_co:
        """Return the run's value, waiting for it at most `timeout` seconds.

        Raises the user's own exception if the run failed, or returns it with
        `raise_on_failure=False`. Raises `TimeoutError` if the run has not ended by then,
        `UnfinishedRun` if it never ran because a run it depends on failed, `CancelledRun`, and
        `ValueError` if the run itself asks, without a timeout: it would wait for ever.
        """
        __tracebackhide__ = True
        if self.outcome is None and not block_on(self, timeout):
            message = f"Run {self.run.name!r} ({self.run.id}) did not end within {timeout} seconds."
            raise TimeoutError(message)
        self.observed = True
        outcome = self.outcome
        if type(outcome) is Ok:
            value = outcome.value
            if value.__class__ not in ATOMS:
                self._link(value)
            return value
        return self._unusual_result(raise_on_failure)

    def _unusual_result(self, raise_on_failure: bool) -> Any:
        __tracebackhide__ = True
        outcome = self.outcome
        if isinstance(outcome, Elsewhere):
            self._link(outcome.value)
            return outcome.value
        if isinstance(outcome, Given) and not self.state.is_completed():
            return self.state.result(raise_on_failure=raise_on_failure)
        if isinstance(outcome, Given):
            return outcome.data
        assert isinstance(outcome, Err)
        if not self.run.is_final:
            reason = self.run.why or f"did not run: {outcome.error}"
            error = UnfinishedRun(
                f"{self.run.name} {reason}. "
                f"Run is in {self.run.state_type} state, its result is not available."
            )
            raise error from first_cause(outcome.error)
        if raise_on_failure or not isinstance(outcome.error, Exception):
            raise trim(outcome.error)
        return outcome.error

    def _link(self, value: Any) -> None:
        """Let the flow know which run the value came from, so that the graph shows it."""
        flow = enclosing_flow(current.get())
        if flow is not None and value.__class__ not in ATOMS:
            remember_result(flow, value, self.run)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the run raised, `None` if it completed; waits like `result`."""
        if not block_on(self, timeout):
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
        __tracebackhide__ = True
        if self.outcome is None:
            check_not_inside(self)
            with stoppable([self], asyncio.current_task()):
                yield from settled(self).__await__()
        return self.result()

    def __reduce__(self) -> Any:
        message = (
            f"The future of {self.run.name!r}, a run of this process, cannot be taken to another. "
            "Pass its result, or the future that `.delay()` gives."
        )
        raise TypeError(message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.run.name!r}, state={self.run.state_name})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return mimebundle(self)


def block_on(future: Promise, timeout: float | None) -> bool:
    """Block until the future is settled or `timeout` seconds have passed; say which."""
    if future.outcome is not None:
        return True
    if timeout is None:
        check_not_inside(future)
    with stoppable([future]), place_released():
        return wait_all([future], timeout)


@contextmanager
def stoppable(
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
