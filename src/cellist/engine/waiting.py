"""Wait in the calling thread, also when that thread runs the event loop the work needs.

A sync flow in a notebook cell runs on the kernel's main thread, on top of the kernel's event loop.
If it waits for a coroutine that was submitted to that loop, blocking would wait for ever. Then, and
only then, the loop is run re-entrantly through nest-asyncio2. Patching slows every asyncio task of
the process and cannot be undone, so it happens at the moment it is needed and not before. This
module is the only place that knows how it is done.

Waiting for work in threads just blocks, unless such work arrives on the loop meanwhile. What runs
in the background of a notebook never blocks the loop by waiting: cells are to be run meanwhile.
"""

import sys
import threading
import time
from collections.abc import Awaitable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cellist.engine.background import is_background
from cellist.engine.promise import Latch
from cellist.model.later import later

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())

_lock = threading.Lock()
_pending: "dict[asyncio.AbstractEventLoop, int]" = {}
_blocked: "dict[asyncio.AbstractEventLoop, list[threading.Event]]" = {}


def begin_work(loop: "asyncio.AbstractEventLoop") -> None:
    """Note that a submitted run needs the loop; wakes who blocks the loop's thread."""
    with _lock:
        _pending[loop] = _pending.get(loop, 0) + 1
        sleepers = list(_blocked[loop]) if loop in _blocked else ()
    for event in sleepers:
        event.set()


def end_work(loop: "asyncio.AbstractEventLoop") -> None:
    """Note that a submitted run no longer needs the loop."""
    with _lock:
        left = _pending.get(loop, 1) - 1
        if left:
            _pending[loop] = left
        else:
            _pending.pop(loop, None)


def running_loop() -> "asyncio.AbstractEventLoop | None":
    """Return the loop that runs in this thread."""
    # Nobody runs a loop before asyncio is imported, or while another thread imports it.
    get: Any = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    return get and get()


def wait_all(promises: Sequence[Latch], timeout: float | None = None) -> bool:
    """Wait until all promises are settled or `timeout` seconds passed; say which."""
    deadline = None if timeout is None else time.monotonic() + timeout
    loop = running_loop()
    for promise in promises:
        if promise.outcome is not None:
            continue
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        settled = promise.block(left) if loop is None else _wait_on_loop(loop, promise, deadline)
        if not settled:
            return False
    return True


def _wait_on_loop(
    loop: "asyncio.AbstractEventLoop", promise: Latch, deadline: float | None
) -> bool:
    event = threading.Event()

    def wake(_: Any) -> None:
        event.set()

    promise.on_settled(wake)
    with _lock:
        _blocked.setdefault(loop, []).append(event)
    try:
        while promise.outcome is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            if _pending.get(loop) or promise.needs(loop) or is_background.get():
                run_nested(loop, _settled(loop, promise, left))
            else:
                event.wait(left)
                event.clear()
    finally:
        promise.forget(wake)
        with _lock:
            _blocked[loop].remove(event)
            if not _blocked[loop]:
                del _blocked[loop]
    return promise.outcome is not None


async def _settled(
    loop: "asyncio.AbstractEventLoop", promise: Latch, timeout: float | None
) -> None:
    done = asyncio.Event()

    def wake(_: Any) -> None:
        loop.call_soon_threadsafe(done.set)

    promise.on_settled(wake)
    try:
        async with asyncio.timeout(timeout):
            await done.wait()
    except TimeoutError:
        promise.forget(wake)


def run_nested(loop: "asyncio.AbstractEventLoop", awaitable: Awaitable[Any]) -> Any:
    """Run an awaitable to its end on a loop that is already running in this thread.

    An interrupt cancels the inner task before it goes on: nest-asyncio2 by itself would leave it
    running.
    """
    nest_asyncio2: Any = import_module("nest_asyncio2")  # untyped
    plain_run = asyncio.run
    nest_asyncio2.apply(loop, run_close_loop=True)
    asyncio.run = plain_run  # ours is the only nested run; the one it puts there leaves loops open
    task = asyncio.ensure_future(awaitable, loop=loop)
    try:
        return loop.run_until_complete(task)
    except BaseException:
        if not task.done():
            task.cancel()
        raise


def run_awaitable(awaitable: Awaitable[Any], loop: "asyncio.AbstractEventLoop | None") -> Any:
    """Run an awaitable to its end from sync code and return its value.

    On the thread of a running loop it runs nested on that loop; from another thread on `loop`, or
    on a loop of its own if there is none.
    """
    here = running_loop()
    if here is not None:
        return run_nested(here, awaitable)

    async def wrapper() -> Any:
        return await awaitable

    if loop is not None and loop.is_running():
        begin_work(loop)
        try:
            return asyncio.run_coroutine_threadsafe(wrapper(), loop).result()
        finally:
            end_work(loop)
    return asyncio.run(wrapper())


async def settled(promise: Latch) -> None:
    """Wait on the running loop until the promise is settled."""
    if promise.outcome is not None:
        return
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    def wake(_: Any) -> None:
        if running_loop() is loop:  # a call through the loop would have to wake it
            finish()
        else:
            loop.call_soon_threadsafe(finish)

    promise.on_settled(wake)
    try:
        await done
    finally:
        promise.forget(wake)
