"""Direct calls of generator functions: their values reach the caller one by one.

As with plain generators nothing happens until the first value is asked for; then the run is made,
in the context of whoever asks. The run is the current one only while its own code runs, so what
the consumer does in between belongs to the consumer's run.
"""

from collections.abc import AsyncGenerator, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cellist import settings
from cellist.calling import finish, new_execution
from cellist.carriers import AwaitedRun, ThreadRun
from cellist.engine.commands import Err, Hand, Ok, Outcome, Steps
from cellist.engine.drivers import aadvance, advance
from cellist.engine.errors import trim
from cellist.engine.execution import Execution, FlowExecution, current
from cellist.engine.plan import Plan
from cellist.engine.steps import run_steps
from cellist.engine.transactions import Scope, scope
from cellist.exceptions import IllegalTransition
from cellist.model.later import later
from cellist.model.runs import Run
from cellist.model.states import CANCELLING
from cellist.prints import prints_logged
from cellist.rehearsal import Rehearsal

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())


def call_stream(
    definition: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wait_for: Any,
    return_state: bool,
) -> Any:
    """Return a generator, sync or async, over the values of a run.

    Raises now if the arguments do not fit, and `TypeError` for `return_state`: the state is final
    only when the last value has been taken.
    """
    if return_state:
        noun, name = definition.noun, definition.name
        remedy = "Submit it: its state has the list of values." if noun == "task" else ""
        message = f"return_state=True cannot be used with {noun} {name!r}, a generator. {remedy}"
        raise TypeError(message.strip())
    parent = current.get()
    if parent is None:
        settings.refresh()
    elif type(parent) is Rehearsal:
        return parent.call(definition, args, kwargs, wait_for, return_state)
    plan = definition.plan()
    plan.shape.check(args, kwargs)
    start = _stream_async if plan.is_async else _stream
    return start(definition, plan, args, kwargs, wait_for)


def _open(
    definition: Any, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any
) -> tuple[Execution, Steps[Outcome]]:
    x = new_execution(definition, plan, args, kwargs, wait_for)
    assert plan.generator is not None
    x.fn = plan.generator
    x.steps = run_steps(x)
    x.recalls = None  # what a consumer took cannot be given again by a value
    return x, x.steps


class _Turn:
    """The time in which a stream's own code runs; between turns the consumer's does."""

    def __init__(self, x: Execution) -> None:
        self.x = x
        self._before: Execution | None = None
        self._scope: Scope | None = scope.get()
        """The transaction its code has open, which is not the consumer's."""
        self._scope_before: Scope | None = None
        self._guarded = False
        self._awaited: AwaitedRun | None = None
        self._printing: Any = None

    def __enter__(self) -> None:
        x = self.x
        task = _this_task() if x.plan.is_async else None
        outermost = x.parent is None or (task is not None and x.plan.is_flow)
        self._guarded = outermost and x.services.guard.enter(task)
        if task is not None:
            self._awaited = AwaitedRun(x, task)
            if isinstance(x, FlowExecution):
                x.loop = task.get_loop()
        else:
            x.carrier = ThreadRun(x) if x.parent is None and not self._guarded else None
        if x.log_prints:
            self._printing = prints_logged()
            self._printing.__enter__()
        self._before, self._scope_before = current.get(), scope.get()
        current.set(x)
        scope.set(self._scope)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        x = self.x
        self._scope = scope.get()
        current.set(self._before)
        scope.set(self._scope_before)
        if self._printing is not None:
            self._printing.__exit__(None, None, None)
            self._printing = None
        task = self._awaited.task if self._awaited is not None else None
        if self._awaited is not None:
            self._awaited.take_back()
        x.carrier = self
        if self._guarded:
            x.services.guard.leave(task)

    def halt(self, run: Run) -> None:
        """There is nothing to stop: between two values no code of the run is executed."""

    def cancel(self) -> None:
        """Cancel the run when its next value is asked for."""
        self.x.cancelling = True
        try:
            self.x.run.enter(CANCELLING, None, "Cancel requested; its consumer has a value.")
        except IllegalTransition:
            return  # asked for before


def _this_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    assert task is not None  # an async generator is always advanced by one
    return task


def _stream(
    definition: Any, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any
) -> Generator[Any, Any, Any]:
    __tracebackhide__ = True
    x, steps = _open(definition, plan, args, kwargs, wait_for)
    turn = _Turn(x)
    outcome: Outcome | None = None
    try:
        while True:
            with turn:
                given = advance(steps, x, outcome)
            if not isinstance(given, Hand):
                return _value(given)
            try:
                outcome = Ok((yield given.value))
            except BaseException as error:  # thrown in by the consumer, or it wants no more
                outcome = Err(error)
    finally:
        steps.close()
        x.steps = x.carrier = None
        finish(x)


async def _stream_async(
    definition: Any, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any
) -> AsyncGenerator[Any, Any]:
    __tracebackhide__ = True
    x, steps = _open(definition, plan, args, kwargs, wait_for)
    turn = _Turn(x)
    outcome: Outcome | None = None
    try:
        while True:
            with turn:
                given = await aadvance(steps, x, outcome)
            if not isinstance(given, Hand):
                _value(given)
                return
            try:
                outcome = Ok((yield given.value))
            except BaseException as error:
                outcome = Err(error)
    finally:
        steps.close()
        x.steps = x.carrier = None
        finish(x)


def _value(outcome: Outcome) -> Any:
    __tracebackhide__ = True
    if isinstance(outcome, Err):
        raise trim(outcome.error)
    return outcome.value
