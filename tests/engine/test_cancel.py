"""Cancelling runs that are parked, queued, running in a thread, running on a loop."""

import asyncio
import threading
import time
from typing import Any

import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.engine.stopping import CodeStopped
from cellist.exceptions import CancelledRun
from cellist.model.states import RUNNING
from cellist.task_runners import ThreadPoolTaskRunner
from tests.sessions import Recorder, names

quick: dict[str, Any] = {"cache_policy": NO_CACHE}


def spin(started: threading.Event) -> None:
    """Run Python code, which can be stopped, for ever."""
    started.set()
    while True:
        time.sleep(0.001)


def test_queued_run_never_starts(recorder: Recorder) -> None:
    gate, ran = threading.Event(), []

    @task(**quick)
    def hold():
        gate.wait(60)

    @task(**quick)
    def never():
        ran.append(1)

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def f():
        first = hold.submit()
        second = never.submit()
        assert second.cancel()
        assert second.done()
        assert second.state.is_cancelled()
        gate.set()
        first.result()
        with pytest.raises(CancelledRun):
            second.result()
        assert second.cancel() is False

    f()
    assert ran == []
    assert names(recorder.one("never")) == ["Pending", "Cancelled"]


def test_run_parked_on_its_inputs_is_cancelled_at_once(recorder: Recorder) -> None:
    gate = threading.Event()

    @task(**quick)
    def hold():
        gate.wait(60)

    @task(**quick)
    def after(x):
        raise AssertionError

    @flow
    def f():
        first = hold.submit()
        second = after.submit(first)
        assert second.cancel()
        assert second.state.name == "Cancelled"
        gate.set()

    f()
    assert names(recorder.one("after")) == ["Pending", "Cancelled"]
    assert names(recorder.one("hold"))[-1] == "Completed"


def test_run_that_waits_for_a_retry_is_cancelled_at_once(recorder: Recorder) -> None:
    @task(retries=1, retry_delay_seconds=1000, **quick)
    def fails():
        raise ValueError

    @flow
    def f():
        future = fails.submit()
        while future.state.name != "AwaitingRetry":
            time.sleep(0.001)
        future.cancel()
        future.wait(60)
        assert future.state.is_cancelled()

    f()
    assert names(recorder.one("fails")) == ["Pending", "Running", "AwaitingRetry", "Cancelled"]


def test_retry_now_and_give_up(recorder: Recorder) -> None:
    @task(retries=1, retry_delay_seconds=1000, **quick)
    def fails():
        raise ValueError

    @flow
    def f():
        for word, last in (("retry_now", "Failed"), ("give_up", "Failed")):
            future = fails.submit()
            while future.state.name != "AwaitingRetry":
                time.sleep(0.001)
            recorder.session.find(future.run).waker.wake(word)  # type: ignore[union-attr] - it waits for a retry
            future.wait(60)
            assert future.state.name == last

    f()
    first, second = recorder.of("fails")
    assert first.run_count == 2
    assert second.run_count == 1


def test_running_python_code_in_a_thread_is_stopped(recorder: Recorder) -> None:
    started = threading.Event()

    @task(retries=3, **quick)
    def endless():
        spin(started)

    @flow
    def f():
        future = endless.submit()
        assert started.wait(60)
        future.cancel()
        assert future.state.name in {"Cancelling", "Cancelled"}
        future.wait(60)
        assert future.state.is_cancelled()

    f()
    assert names(recorder.one("endless")) == ["Pending", "Running", "Cancelling", "Cancelled"]


def test_task_called_inside_a_submitted_task_is_cancelled_alone(recorder: Recorder) -> None:
    started = threading.Event()

    @task(**quick)
    def inner():
        spin(started)

    @task(**quick)
    def outer():
        try:
            inner()
        except CancelledRun:
            return "went on"

    @flow
    def f():
        future = outer.submit()
        assert started.wait(60)
        cellist.cancel(recorder.one("inner"))
        assert future.result(timeout=60) == "went on"

    f()
    assert names(recorder.one("inner"))[-1] == "Cancelled"
    assert names(recorder.one("outer")) == ["Pending", "Running", "Completed"]


def test_children_of_a_cancelled_task_are_cancelled_not_crashed(recorder: Recorder) -> None:
    started = threading.Event()

    @task(**quick)
    def inner():
        spin(started)

    @task(**quick)
    def outer():
        inner()

    @flow
    def f():
        future = outer.submit()
        assert started.wait(60)
        future.cancel()
        future.wait(60)

    f()
    assert names(recorder.one("inner"))[-1] == "Cancelled"
    assert names(recorder.one("outer"))[-1] == "Cancelled"


def test_timed_code_in_a_thread_is_stopped_by_a_cancel(recorder: Recorder) -> None:
    started = threading.Event()

    @task(timeout_seconds=60, **quick)
    def endless():
        spin(started)

    @flow
    def f():
        future = endless.submit()
        assert started.wait(60)
        future.cancel()
        future.wait(60)
        assert future.state.is_cancelled()

    f()


async def test_async_run_is_cancelled_at_its_await(recorder: Recorder) -> None:
    started = asyncio.Event()

    @task(retries=2, **quick)
    async def endless():
        started.set()
        await asyncio.sleep(1000)

    @flow
    async def f():
        future = endless.submit()
        await started.wait()
        future.cancel()
        with pytest.raises(CancelledRun):
            await future

    await f()
    assert names(recorder.one("endless")) == ["Pending", "Running", "Cancelling", "Cancelled"]


async def test_async_run_cancelled_before_its_first_step_ends(recorder: Recorder) -> None:
    @task(**quick)
    async def never():
        raise AssertionError

    @flow
    async def f():
        future = never.submit()
        future.cancel()
        with pytest.raises(CancelledRun):
            await asyncio.wait_for(asyncio.ensure_future(wrap(future)), 5)

    async def wrap(future):
        return await future

    await f()
    assert names(recorder.one("never")) == ["Pending", "Cancelled"]


def test_async_run_on_the_session_loop_is_cancelled_from_a_thread(recorder: Recorder) -> None:
    started = threading.Event()

    @task(**quick)
    async def endless():
        started.set()
        await asyncio.sleep(1000)

    @flow
    def f():
        future = endless.submit()
        assert started.wait(60)
        future.cancel()
        future.wait(60)
        assert future.state.is_cancelled()

    f()


async def test_one_of_several_awaited_tasks_is_cancelled_alone(recorder: Recorder) -> None:
    started = asyncio.Event()

    @task(**quick)
    async def slow():
        started.set()
        await asyncio.sleep(1000)

    @task(**quick)
    async def fine():
        await started.wait()
        cellist.cancel(recorder.one("slow"))
        await asyncio.sleep(0.05)
        return "fine"

    @flow
    async def f():
        return await asyncio.gather(slow(), fine(), return_exceptions=True)

    first, second = await f()
    assert isinstance(first, CancelledRun)
    assert second == "fine"
    assert names(recorder.one("slow"))[-1] == "Cancelled"
    assert names(recorder.one("f"))[-1] == "Completed"


async def test_cancel_of_an_async_flow_cancels_what_it_awaits(recorder: Recorder) -> None:
    started = asyncio.Event()

    @task(**quick)
    async def slow():
        started.set()
        await asyncio.sleep(1000)

    seen = []

    @flow(on_cancellation=[lambda f, run, state: seen.append(state.name)])
    async def f():
        await slow()

    async def canceller():
        await started.wait()
        cellist.cancel(recorder.one("f"))

    results = await asyncio.gather(f(), canceller(), return_exceptions=True)
    assert isinstance(results[0], CancelledRun)
    assert names(recorder.one("slow")) == ["Pending", "Running", "Cancelled"]
    assert names(recorder.one("f"))[-1] == "Cancelled"
    assert seen == ["Cancelled"]


async def test_awaiting_goes_on_after_a_caught_cancel(recorder: Recorder) -> None:
    """The cancel meant for a run must not linger in the asyncio task of who awaited it."""

    @task(**quick)
    async def stops_itself():
        cellist.cancel()
        await asyncio.sleep(1000)

    @flow
    async def f():
        with pytest.raises(CancelledRun):
            await stops_itself()
        await asyncio.sleep(0.01)
        current = asyncio.current_task()
        assert current is not None
        assert current.cancelling() == 0
        return "went on"

    assert await f() == "went on"


async def test_cancel_by_asyncio_itself_is_a_crash_and_goes_on(recorder: Recorder) -> None:
    started = asyncio.Event()

    @task(retries=3, **quick)
    async def slow():
        started.set()
        await asyncio.sleep(1000)

    outer = asyncio.ensure_future(slow())
    await started.wait()
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    run = recorder.one("slow")
    assert names(run) == ["Pending", "Running", "Crashed"]
    assert run.states[-1].message == "Execution was cancelled by the runtime environment."


async def test_wait_for_around_a_task_times_out(recorder: Recorder) -> None:
    @task(**quick)
    async def slow():
        await asyncio.sleep(1000)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slow(), 0.01)
    assert names(recorder.one("slow"))[-1] == "Crashed"


def test_cancel_of_a_sync_flow_on_the_main_thread(recorder: Recorder) -> None:
    started = threading.Event()

    @task(**quick)
    def slow():
        started.set()
        time.sleep(60)

    @task(**quick)
    def in_thread():
        spin(threading.Event())

    @flow
    def f():
        in_thread.submit()
        slow()

    def canceller() -> None:
        started.wait(60)
        cellist.cancel(recorder.one("f"))

    thread = threading.Thread(target=canceller)
    thread.start()
    before = time.monotonic()
    with pytest.raises(CancelledRun):
        f()
    assert time.monotonic() - before < 30
    thread.join()
    assert names(recorder.one("slow"))[-1] == "Cancelled"
    assert names(recorder.one("f"))[-1] == "Cancelled"
    run = recorder.one("in_thread")
    end = time.monotonic() + 60
    while not run.is_final and time.monotonic() < end:
        time.sleep(0.005)
    assert names(run)[-1] == "Cancelled"


def test_cancel_of_a_flow_in_a_thread_of_the_users(recorder: Recorder) -> None:
    started = threading.Event()
    ended: list[BaseException] = []

    @flow
    def f():
        spin(started)

    def work() -> None:
        try:
            f()
        except CancelledRun as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(60)
    cellist.cancel(recorder.one("f"))
    thread.join(60)
    assert not thread.is_alive()
    assert len(ended) == 1
    assert names(recorder.one("f"))[-1] == "Cancelled"


def test_what_a_cancelled_run_gave_is_not_kept(recorder: Recorder) -> None:
    gate, started, ran = threading.Event(), threading.Event(), []

    @task(cache_policy=INPUTS)
    def work(x):
        ran.append(x)
        started.set()
        gate.wait(60)  # blocks in C: does not notice
        return x

    @flow
    def f():
        future = work.submit(1)
        started.wait(60)
        recorder.session.find(future.run).cancelling = True  # asked, and not noticed
        gate.set()
        future.wait(60)
        assert future.state.is_cancelled()
        return work(1)

    assert f() == 1
    assert ran == [1, 1]  # it may have given only what it had so far


def test_a_stop_that_comes_between_code_and_end_concerns_no_other_run(recorder: Recorder) -> None:
    """A thread is stopped wherever it is, and our own steps are part of what it executes."""

    def stop(event: Any) -> None:
        run = event.run
        if run.definition.name == "inner" and run.state_type is RUNNING:
            recorder.session.live[run.number].cancelling = True
            raise CodeStopped

    @task(**quick)
    def inner():
        pass

    @task(**quick)
    def outer():
        with pytest.raises(CancelledRun, match="inner"):
            inner()
        return "goes on"

    recorder.session.sinks.append(stop)
    assert outer.submit().result() == "goes on"
    assert names(recorder.one("inner")) == ["Pending", "Running", "Cancelled"]


def test_what_is_not_live_cannot_be_cancelled(recorder: Recorder) -> None:
    from cellist.exceptions import ObjectNotFound

    with pytest.raises(ObjectNotFound, match="no-such-run"):
        cellist.cancel("no-such-run")
    with pytest.raises(ObjectNotFound, match="no run here"):
        cellist.cancel()
