"""Limit pieces of code: at most so many at a time, or so many per second.

    limits.set("db", 2)
    with concurrency("db"): ...          at most two at a time; `async with` in async code

    limits.set_rate("api", per_second=5)
    rate_limit("api")                    waits for its turn; `await rate_limit("api")` in async code

A name without a limit limits nothing and warns once. The modules `cellist.concurrency.sync` and
`cellist.concurrency.asyncio` have the same two for one kind of code each.
"""

from collections.abc import Awaitable, Generator, Iterable
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, currentframe
from typing import Any

from cellist.concurrency.asyncio import rate_limit as _await_rate
from cellist.concurrency.slots import Concurrency, concurrency
from cellist.concurrency.sync import rate_limit as _block_for_rate
from cellist.exceptions import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError

_CAN_AWAIT = CO_COROUTINE | CO_ASYNC_GENERATOR


class _Over(Awaitable[None]):
    """A wait that is over: may be awaited, need not be, and shows nothing as a cell's result."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield from ()

    def _ipython_display_(self) -> None:
        pass


def rate_limit(
    names: str | Iterable[str] | None,
    occupy: int = 1,
    timeout_seconds: float | None = None,
    strict: bool = False,
) -> Awaitable[None]:
    """Wait until each of the limits lets `occupy` more through.

    Called in code that can await (the body of an `async def`, a cell that awaits) this returns at
    once and must be awaited; called anywhere else it blocks until it is done. Raises
    `AcquireConcurrencySlotTimeoutError` after `timeout_seconds`, and
    `ConcurrencySlotAcquisitionError` if a limit has no rate, has fewer slots than `occupy`, or with
    `strict` does not exist.
    """
    frame = currentframe()
    caller = frame.f_back if frame is not None else None
    if caller is not None and caller.f_code.co_flags & _CAN_AWAIT:
        return _await_rate(names, occupy, timeout_seconds, strict)
    _block_for_rate(names, occupy, timeout_seconds, strict)
    return _Over()


__all__ = [
    "AcquireConcurrencySlotTimeoutError",
    "Concurrency",
    "ConcurrencySlotAcquisitionError",
    "concurrency",
    "rate_limit",
]
