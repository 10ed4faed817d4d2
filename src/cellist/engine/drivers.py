"""Perform the commands of a run's steps: in the calling thread, or on the running event loop.

`drive` runs sync user code where the caller is, so that debuggers, profilers, alarms and the stop
button reach it. `adrive` awaits. Both send every exception back as an outcome, the ones that stop
a program included: the steps record what happened, and the caller raises it.
"""

import inspect
import threading
from collections.abc import Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast

from cellist.engine.background import is_background
from cellist.engine.commands import (
    NOBODY_ITERATES,
    NOTHING,
    Command,
    Err,
    Hand,
    Invoke,
    Offload,
    Ok,
    Outcome,
    Sleep,
    Steps,
    T,
    Wait,
)
from cellist.engine.execution import Execution
from cellist.engine.threads import block, place_released, run_in_thread
from cellist.engine.timeouts import call_in_thread, call_with_alarm, can_alarm, timeout_error
from cellist.engine.waiting import (
    run_awaitable,
    run_nested,
    running_loop,
    settled,
    wait_all,
)
from cellist.model.later import later

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())


def drive(steps: Steps[T], x: Execution | None) -> T:
    """Carry a run out in the calling thread and return its outcome.

    `x` may be `None` for steps that have no time limits.
    """
    outcome: Any = None  # a generator is started by sending None
    try:
        while True:
            command = steps.send(outcome)
            if isinstance(command, Invoke) and command.timeout is None and not command.awaits:
                try:
                    outcome = Ok(command.fn(*command.args, **command.kwargs))
                except BaseException as error:
                    outcome = Err(error)
            elif isinstance(command, Offload):  # the cache: no call more than it needs
                try:
                    outcome = Ok(command.fn(*command.args))
                except BaseException as error:
                    outcome = Err(error)
            else:
                outcome = perform(command, x)
    except StopIteration as stop:
        return stop.value
    except BaseException:
        steps.close()
        raise


def advance(steps: Steps[Outcome], x: Execution, outcome: Outcome | None) -> Hand | Outcome:
    """Carry a generator's run on until it hands a value over or ends; return which."""
    try:
        while True:
            command = steps.send(outcome)  # pyright: ignore[reportArgumentType] - None starts it
            if isinstance(command, Hand):
                return command
            outcome = perform(command, x)
    except StopIteration as stop:
        return stop.value


def perform(command: Command, x: Execution | None) -> Outcome:
    """Perform one command in the calling thread."""
    try:
        if isinstance(command, Invoke):
            return invoke(command, x)
        if isinstance(command, Offload):
            return Ok(command.fn(*command.args))
        if isinstance(command, Hand):
            return NOBODY_ITERATES
        with place_released():
            if isinstance(command, Wait):
                wait_all(command.promises)
                return NOTHING
            return _sleep(command)
    except BaseException as error:
        return Err(error)


def invoke(command: Invoke, x: Execution | None) -> Outcome:
    """Call user code in the calling thread, within its time limit."""

    def call() -> Any:
        value = command.fn(*command.args, **command.kwargs)
        if command.awaits and inspect.isawaitable(value):
            loop = x.flow.loop if x is not None and x.flow is not None else None
            return run_awaitable(value, loop)
        return value

    if command.timeout is None or x is None:
        return Ok(call())
    if can_alarm():
        return call_with_alarm(call, command.timeout, x.plan.is_flow)
    return call_in_thread(call, command.timeout, x.plan.is_flow, x)


def _sleep(command: Sleep) -> Outcome:
    loop = running_loop()
    if loop is not None and is_background.get():  # whose waits keep nobody waiting
        return run_nested(loop, _asleep(command))
    woken = threading.Event()
    command.waker.listen(woken.set)
    try:
        block(woken, command.seconds)
    finally:
        command.waker.listen(None)
    return Ok(command.waker.word)


async def adrive(steps: Steps[T], x: Execution | None) -> T:
    """Carry a run out on the running loop and return its outcome.

    `x` may be `None` for steps that have no time limits.
    """
    outcome: Any = None  # a generator is started by sending None
    try:
        while True:
            command = steps.send(outcome)
            try:
                if isinstance(command, Invoke) and command.timeout is None:
                    value = command.fn(*command.args, **command.kwargs)
                    if command.awaits and (
                        value.__class__ is CoroutineType or inspect.isawaitable(value)
                    ):  # most often the first, which is told without a call
                        value = await value
                    outcome = Ok(value)
                else:
                    outcome = await aperform(command, x)
            except BaseException as error:
                outcome = Err(error)
    except StopIteration as stop:
        return stop.value
    except BaseException:
        steps.close()
        raise


async def aperform(command: Command, x: Execution | None) -> Outcome:
    """Perform one command on the running loop."""
    if isinstance(command, Invoke):
        if command.timeout is not None:
            return await _ainvoke(command, x)
        value = command.fn(*command.args, **command.kwargs)
        return Ok(await value if command.awaits and inspect.isawaitable(value) else value)
    if isinstance(command, Offload):
        return await _aoffload(command)
    if isinstance(command, Wait):
        for promise in command.promises:
            await settled(promise)
        return NOTHING
    if isinstance(command, Hand):
        return NOBODY_ITERATES
    return await _asleep(command)


async def aadvance(steps: Steps[Outcome], x: Execution, outcome: Outcome | None) -> Hand | Outcome:
    """Carry a generator's run on, as `advance` does, on the running loop."""
    try:
        while True:
            command = steps.send(outcome)  # pyright: ignore[reportArgumentType] - None starts it
            if isinstance(command, Hand):
                return command
            try:
                outcome = await aperform(command, x)
            except BaseException as error:
                outcome = Err(error)
    except StopIteration as stop:
        return stop.value


async def _ainvoke(command: Invoke, x: Execution | None) -> Outcome:
    """Await user code within a time limit; the waiter is free at the deadline whatever it does."""
    value: Any = command.fn(*command.args, **command.kwargs)
    if not inspect.isawaitable(value):
        return Ok(value)
    coroutine = cast("Coroutine[Any, Any, Any]", value)
    task = asyncio.ensure_future(coroutine)
    try:
        done, _ = await asyncio.wait({task}, timeout=command.timeout)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)
        raise
    if done:
        return Ok(task.result())
    task.cancel()
    task.add_done_callback(_look_at)
    await asyncio.sleep(0)  # lets the code run its clean-up up to its next await
    return Err(timeout_error(command.timeout or 0.0, x is not None and x.plan.is_flow))


def _look_at(task: "asyncio.Task[Any]") -> None:
    """Take note of how code that nobody waits for ended, or asyncio would complain."""
    if not task.cancelled():
        task.exception()


async def _aoffload(command: Offload) -> Outcome:
    """Make a blocking call of ours in a thread, so that the loop goes on."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Outcome] = loop.create_future()

    def finish(outcome: Outcome) -> None:
        if not done.done():
            done.set_result(outcome)

    def work() -> None:
        try:
            outcome: Outcome = Ok(command.fn(*command.args))
        except BaseException as error:
            outcome = Err(error)
        loop.call_soon_threadsafe(finish, outcome)

    run_in_thread(work)
    return await done


async def _asleep(command: Sleep) -> Outcome:
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    command.waker.listen(lambda: loop.call_soon_threadsafe(woken.set))
    try:
        async with asyncio.timeout(command.seconds):
            await woken.wait()
    except TimeoutError:
        pass
    finally:
        command.waker.listen(None)
    return Ok(command.waker.word)
