"""One attempt of a generator that is called directly: pull a value, hand it over, and again.

The run stays Running while its consumer works on a value. The time limit of an attempt counts the
generator's own code only, not what the consumer does in between. What the consumer sends or throws
reaches the generator, as Python has it; when the consumer has enough, the generator is closed and
the run is complete. A retry starts the generator anew, so values may come twice.
"""

import inspect
from collections.abc import AsyncIterator
from typing import Any

from cellist.engine.commands import Err, Hand, Invoke, Ok, Outcome, Steps
from cellist.engine.execution import Execution
from cellist.engine.inputs import ATOMS
from cellist.engine.lineage import remember_result
from cellist.engine.timeouts import timeout_error
from cellist.exceptions import CancelledRun

_NANO = 1_000_000_000
_LEAST = 1e-3  # seconds; a limit of 0 would be none


def stream(x: Execution) -> Steps[Outcome]:
    """Take a generator through one attempt and return how it ended: `Ok` of what it returned."""
    outcome = yield Invoke(x.fn, x.args, x.kwargs)  # makes the generator, none of its code runs
    if isinstance(outcome, Err):
        return outcome
    source = _Source(x, outcome.value)
    asked, sent = "next", ()
    count = 0
    while True:
        outcome = yield from source.ask(asked, *sent)
        if isinstance(outcome, Err):
            ended = isinstance(outcome.error, (StopIteration, StopAsyncIteration))
            return Ok(getattr(outcome.error, "value", None)) if ended else outcome
        count += 1
        if x.flow is not None and outcome.value.__class__ not in ATOMS:
            remember_result(x.flow, outcome.value, x.run)
        handed = yield Hand(outcome.value)
        del outcome  # the value is the consumer's now
        if x.cancelling:
            yield from source.ask("close")
            return Err(CancelledRun(f"{x.plan.noun} run {x.run.name!r} was cancelled."))
        if isinstance(handed, Ok):
            asked, sent = ("next", ()) if handed.value is None else ("send", (handed.value,))
        elif isinstance(handed.error, GeneratorExit):
            x.services.log(x, 20, f"The consumer stopped after {count} value(s).")
            return (yield from source.ask("close"))
        else:
            asked, sent = "throw", (handed.error,)


class _Source:
    """A generator, sync or async, and how much time its code has left."""

    def __init__(self, x: Execution, generator: Any) -> None:
        self._x = x
        self._left = x.plan.timeout
        names = ("next", "send", "throw", "close")
        if x.plan.is_async:
            self._methods = {name: getattr(generator, f"a{name}", None) for name in names}
            self._methods["next"] = generator.__anext__
        else:
            self._methods = {name: getattr(generator, name, None) for name in names}
            self._methods["next"] = generator.__next__

    def ask(self, method: str, *args: Any) -> Steps[Outcome]:
        """Call a method of the generator and take its time off what is left."""
        fn: Any = self._methods[method]
        is_async = self._x.plan.is_async
        if self._left is None:
            return (yield Invoke(fn, args, {}, None, is_async))
        began = self._x.services.now()
        limit = max(self._left, _LEAST)
        outcome = yield Invoke(fn, args, {}, limit, is_async)
        self._left -= (self._x.services.now() - began) / _NANO
        if isinstance(outcome, Err) and outcome.error.args == timeout_error(limit, False).args:
            return Err(timeout_error(self._x.plan.timeout or limit, self._x.plan.is_flow))
        return outcome


def is_generator(value: Any) -> bool:
    """Whether the value is a generator, sync or async; a run that returns one gives a list."""
    return inspect.isgenerator(value) or inspect.isasyncgen(value)


def consume(value: Any, timeout: float | None) -> Invoke:
    """Ask for the list of what a returned generator gives."""
    if inspect.isasyncgen(value):
        return Invoke(_listed, (value,), {}, timeout, awaits=True)
    return Invoke(list, (value,), {}, timeout)


async def _listed(values: AsyncIterator[Any]) -> list[Any]:
    return [value async for value in values]
