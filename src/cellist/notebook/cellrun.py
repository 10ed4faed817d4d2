"""A cell as a run: the steps of a task or flow with the body of the cell as its user code.

The steps are the engine's. They are carried on until they ask for the body to be invoked; then
the cell goes on by itself, and what became of its body is sent back as the outcome. So retries,
time limits, waiting for submitted runs, states and history are those of any run.
"""

import asyncio
from contextvars import Context, ContextVar, copy_context
from types import TracebackType
from typing import Any, Self

from cellist import settings
from cellist.calling import finish, new_execution
from cellist.engine.commands import Command, Err, Invoke, Ok, Outcome
from cellist.engine.drivers import aperform
from cellist.engine.errors import trim
from cellist.engine.execution import Execution, current
from cellist.engine.steps import STOP_MESSAGE, run_steps
from cellist.engine.timeouts import timeout_error
from cellist.engine.timers import Timer, call_later
from cellist.model.runs import Run
from cellist.model.states import CANCELLED
from cellist.notebook.cells import this_cell

_GRACE = 0.05
"""Seconds the loop has to deliver a cancel before the code that blocks it is interrupted."""


def body() -> None:
    """Stands for the body of a cell, which runs in the cell itself."""


def _set_since(before: Context) -> dict[ContextVar[Any], Any]:
    """Return the context variables that were set since, but for those of cellist."""
    return {
        variable: value
        for variable, value in copy_context().items()
        if before.get(variable, before) is not value and not variable.name.startswith("cellist")
    }


class InCell:
    """Carries out the run of a cell: its body is awaited in the task of the cell."""

    def __init__(self, execution: Execution, task: "asyncio.Task[Any]") -> None:
        self._guard = execution.services.guard
        self._task = task

    def cancel(self) -> None:
        """Cancel the body at its next await."""
        self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def halt(self, run: Run) -> None:
        """Interrupt the code of a run that the body has called."""
        self._guard.interrupt_main(run)


class CellRun:
    """The run of one execution of a cell; iterated once per attempt, entered around each.

    `definition` is the task or flow that the cell is taken for.
    """

    outlives_cell = False
    """Whether it goes on when its cell has ended."""

    def __init__(self, definition: Any, tags: frozenset[str] = frozenset()) -> None:
        self.definition = definition
        self._guarded = False
        cell = this_cell()
        definition.cell_source = cell.source
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[Any] = task
        self._before = current.get()
        settings.refresh()
        plan = definition.plan()
        plan.tags = plan.tags | tags
        self.execution = execution = new_execution(definition, plan, (), {})
        self._loop = task.get_loop()
        execution.carrier = InCell(execution, task)
        self._steps = run_steps(execution)
        self._timer: Timer | None = None
        self._expired = False
        self._delivered = False
        self._wants_body = False
        self._outcome: Outcome | None = None
        self.is_open = True
        """Whether the run has not ended yet."""
        cell.opened = self
        self._guarded = execution.services.guard.enter(task)
        current.set(execution)

    async def advance(self, outcome: Outcome | None) -> None:
        """Carry the steps on until they want the body invoked or the run has ended."""
        self._wants_body = False
        try:
            await self._advance(outcome)
        finally:
            if not self._wants_body:
                self.close()

    async def _advance(self, outcome: Outcome | None) -> None:
        execution = self.execution
        while True:
            try:
                command = self._steps.send(outcome)  # pyright: ignore[reportArgumentType] - None starts it
            except StopIteration as stop:
                self._outcome = stop.value
                return
            if isinstance(command, Invoke) and command.fn is execution.fn:
                self._wants_body = True
                return
            try:
                outcome = await self.perform(command)
            except BaseException as error:
                outcome = Err(error)

    async def perform(self, command: Command) -> Outcome:
        """Perform one command of the steps."""
        return await aperform(command, self.execution)

    def close(self) -> None:
        """Let go of what the run held, when it has ended."""
        if self.is_open:
            self.is_open = False
            execution = self.execution
            this_cell().set_variables = _set_since(this_cell().context)
            current.set(self._before)
            execution.carrier = None
            finish(execution)
            if self._guarded:
                execution.services.guard.leave(self._task)

    def abandon(self) -> None:
        """End the run if its cell ended without it: an interrupt came between two steps of ours."""
        if self.is_open and not self.outlives_cell:
            self._steps.close()
            if not self.execution.run.is_final:  # the steps had not begun
                self.execution.run.enter(CANCELLED, None, STOP_MESSAGE)
            self._guarded = self._guarded or self.execution.services.guard.knows(self._task)
            self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        """Begin the next attempt, or end the loop, raising what the run ended with."""
        __tracebackhide__ = True
        if self._wants_body:
            return self.execution.run.attempts
        if isinstance(self._outcome, Err):
            self._raise(self._outcome.error)
        if isinstance(self._outcome, Ok):
            self.ended(self._outcome.value)
        raise StopAsyncIteration

    async def begin(self) -> None:
        """Prepare an attempt, before its clock starts."""

    async def gather(self, failed: bool) -> Any:
        """Return what the body gave, as the run is to know it; `None` if it failed."""
        del failed

    def ended(self, value: Any) -> None:
        """Take what the run gave when it has completed."""

    async def __aenter__(self) -> Self:
        """Start the clock of an attempt."""
        await self.begin()
        if self.definition.timeout_seconds is not None:
            self._expired = self._delivered = False
            self._timer = call_later(self.definition.timeout_seconds, self._expire)
        return self

    def _expire(self) -> None:
        """Stop the body, in the clock's thread: through the loop, by force if that is blocked."""
        self._expired = True
        self._loop.call_soon_threadsafe(self._deliver)
        self._timer = call_later(_GRACE, self._insist)

    def _deliver(self) -> None:
        if self._wants_body:
            self._delivered = True
            self._task.cancel()

    def _insist(self) -> None:
        if self._wants_body and not self._delivered:
            self.execution.services.guard.interrupt_cell()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Tell the run what became of the body; let the error through if it is the run's end."""
        __tracebackhide__ = True
        if self._timer is not None:
            self._timer.cancel()
        if error is not None or self._expired:
            await self.gather(failed=True)
            outcome: Outcome = Err(self._as_the_run_sees_it(error))
        else:
            outcome = await self._gathered()
        await self.advance(outcome)
        if self._wants_body or not isinstance(self._outcome, Err):
            return True
        return self._outcome.error is not error or self._is_stop(error)

    async def _gathered(self) -> Outcome:
        try:
            return Ok(await self.gather(failed=False))
        except BaseException as error:
            return Err(self._as_the_run_sees_it(error))

    def _as_the_run_sees_it(self, error: BaseException | None) -> BaseException:
        if isinstance(error, asyncio.CancelledError) and self._task.cancelling():
            self._task.uncancel()
        stopped = error is None or isinstance(error, (asyncio.CancelledError, KeyboardInterrupt))
        if self._expired and stopped and not self.execution.services.interrupted():
            seconds = self.definition.timeout_seconds or 0.0
            late = timeout_error(seconds, self.execution.plan.is_flow)
            return late.with_traceback(error.__traceback__ if error is not None else None)
        assert error is not None or self._expired
        return error or KeyboardInterrupt()

    def _is_stop(self, error: BaseException | None) -> bool:
        """Whether the error only says that the stop button was pressed while the cell awaited."""
        interrupted = self.execution.services.guard.interrupted
        return interrupted and isinstance(error, asyncio.CancelledError)

    def _raise(self, error: BaseException) -> None:
        __tracebackhide__ = True
        if self._is_stop(error):
            raise KeyboardInterrupt().with_traceback(trim(error).__traceback__) from None
        raise trim(error)
