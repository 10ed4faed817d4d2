"""Pause a flow for a person or a program, suspend it, resume it, wait for it.

    @flow
    def publish(report):
        answer = pause_flow_run(wait_for_input=Approval)      # a form under the cell
        if answer.approve:
            send(report)

A pause holds the flow's code where it is, while submitted tasks go on. It ends by the button of
the form, by `resume_flow_run` from another cell or thread, or by its timeout. Where nobody can
answer, a file can: `CELLIST_INPUTS=answers.json` with one entry per key of a pause, or per
`<flow>.<key>`:

    {"publish.approve": {"approve": true, "note": "checked"}, "1": 5, "2": null}

The answer is part of the history of the run.
"""

import asyncio
import sys
from typing import Any

from cellist.engine.commands import Ok
from cellist.engine.threads import place_released
from cellist.engine.waiting import settled, wait_all
from cellist.exceptions import FlowRunWaitTimeout, ObjectNotFound
from cellist.model.awaited import is_awaited
from cellist.model.events import Event
from cellist.pauses import (
    Behind,
    begin_pause,
    end_pause,
    resume,
    suspend,
    value_of,
    wants_coroutine,
)
from cellist.session import get_session

_PATIENCE = 20.0
"""Seconds to wait until what happened so far has been written, on a busy machine, too."""


def pause_flow_run(
    wait_for_input: Any = None,
    timeout: float | None = 3600,
    poll_interval: float = 10,
    key: str | None = None,
) -> Any:
    """Hold the flow here until somebody resumes it; return the input that was asked for.

    - `wait_for_input`: a `RunInput` or other pydantic model, or a plain type such as `int`. The
      answer is an instance of the model, or a value of the type. `None` asks for nothing.
    - `timeout`: seconds, or `None` to wait for ever.
    - `key` names the pause, by default its number in the flow's attempt. A pause is answered
      once: a retry of the flow gets the answer that was given before.
    - `poll_interval` means nothing here, because waiting is not polling.

    In an `async def` flow or task it gives a coroutine, and in a `%%flow` cell it may be awaited.

    Raises `RuntimeError` outside flows, `FlowPauseTimeout` when nobody has resumed it in time,
    `UnattendedPause` at once where nobody could, and `CancelledRun` if the flow is cancelled.
    """
    __tracebackhide__ = True
    if wants_coroutine(sys._getframe(1)):  # pyright: ignore[reportPrivateUsage] - documented for this use
        return apause_flow_run(wait_for_input, timeout, poll_interval, key)
    begun = begin_pause(wait_for_input, timeout, key)
    while isinstance(begun, Behind):
        with place_released():
            wait_all([begun.other])
        begun = begun.again()
    if isinstance(begun, Ok):
        return begun.value
    try:
        with place_released():
            wait_all([begun], timeout)
    finally:
        end_pause(begun)
    return value_of(begun, timeout)


async def apause_flow_run(
    wait_for_input: Any = None,
    timeout: float | None = 3600,
    poll_interval: float = 10,
    key: str | None = None,
) -> Any:
    """Do what `pause_flow_run` does, and let the event loop go on meanwhile."""
    del poll_interval
    begun = begin_pause(wait_for_input, timeout, key)
    while isinstance(begun, Behind):
        await settled(begun.other)
        begun = begun.again()
    if isinstance(begun, Ok):
        return begun.value
    try:
        async with asyncio.timeout(timeout):
            await settled(begun)
    except TimeoutError:
        pass  # told below
    finally:
        end_pause(begun)
    return value_of(begun, timeout)


def suspend_flow_run(
    wait_for_input: Any = None,
    flow_run_id: Any = None,
    timeout: float | None = None,
    key: str | None = None,
) -> Any:
    """Stop the flow here. It is run anew later, gets its results from the cache and goes on.

    The run becomes Suspended, and who called the flow gets `PausedRun`. When it has been resumed,
    by the form or by `resume_flow_run`, the next call of the flow with the same parameters passes
    this point and returns the input here. Parameters are as for `pause_flow_run`.

    Raises `RuntimeError` outside flows, in tasks and subflows, and for another `flow_run_id` than
    that of the flow itself: another run is stopped by `cellist.cancel`.
    """
    __tracebackhide__ = True
    if wants_coroutine(sys._getframe(1)):  # pyright: ignore[reportPrivateUsage] - documented for this use
        return asuspend_flow_run(wait_for_input, flow_run_id, timeout, key)
    return suspend(wait_for_input, flow_run_id, timeout, key)


async def asuspend_flow_run(
    wait_for_input: Any = None,
    flow_run_id: Any = None,
    timeout: float | None = None,
    key: str | None = None,
) -> Any:
    """Do what `suspend_flow_run` does."""
    return suspend(wait_for_input, flow_run_id, timeout, key)


def resume_flow_run(flow_run_id: Any, run_input: Any = None) -> Any:
    """Resume a paused or suspended flow run, given by its id, record or name.

    `run_input` is the input it asks for: a dictionary, an instance of the model, of a plain type
    also the value itself. May be called from any cell or thread, and be awaited.

    Raises `ObjectNotFound` if there is no such run, `NotPausedError` if it is not paused,
    `FlowPauseTimeout` if it waits no longer, and `InvalidInput` (a `ParameterTypeError`) if the
    input does not fit; then it stays paused.
    """
    __tracebackhide__ = True
    if is_awaited(sys._getframe(1)):  # pyright: ignore[reportPrivateUsage] - documented for this use
        return aresume_flow_run(flow_run_id, run_input)
    resume(flow_run_id, run_input)
    return None


async def aresume_flow_run(flow_run_id: Any, run_input: Any = None) -> None:
    """Do what `resume_flow_run` does."""
    resume(flow_run_id, run_input)


async def wait_for_flow_run(
    flow_run_id: Any,
    timeout: float | None = 10800,
    poll_interval: float | None = None,  # noqa: ARG001 - Prefect's signature
    client: Any = None,  # noqa: ARG001 - Prefect's signature
    log_states: bool = False,  # noqa: ARG001 - Prefect's signature; boards and logs show states
) -> Any:
    """Wait until a flow run of this kernel is final, and return it.

    Of a run that is over its record is returned. Raises `ObjectNotFound` if there is no such run,
    and `FlowRunWaitTimeout` after `timeout` seconds.
    """
    session = get_session()
    try:
        run = session.find(getattr(flow_run_id, "flow_run_id", flow_run_id)).run
    except ObjectNotFound:
        session.history.flush(_PATIENCE)
        return session.history.run(str(getattr(flow_run_id, "id", flow_run_id)).replace("-", ""))
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def watch(event: Event) -> None:
        if event.run is run and run.is_final:
            loop.call_soon_threadsafe(done.set)

    session.sinks.append(watch)
    try:
        async with asyncio.timeout(timeout):
            if not run.is_final:
                await done.wait()
    except TimeoutError:
        message = f"Flow run {run.name!r} is not final after {timeout} seconds."
        raise FlowRunWaitTimeout(message) from None
    finally:
        session.sinks.remove(watch)
    return run


__all__ = [
    "apause_flow_run",
    "aresume_flow_run",
    "asuspend_flow_run",
    "pause_flow_run",
    "resume_flow_run",
    "suspend_flow_run",
    "wait_for_flow_run",
]
