"""SPEC 8.5: time limits, for whoever waits and for the code itself."""

import asyncio
import threading
import time
from typing import Any

import pytest

from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.task_runners import ProcessPoolTaskRunner
from tests.spec.observe import Calls, trail

TASK_LATE = "Task run exceeded timeout of 0.05 second(s)"
FLOW_LATE = "Flow run exceeded timeout of 0.05 second(s)"


def sleeping() -> None:
    time.sleep(30)


async def asleeping() -> None:
    await asyncio.sleep(30)


def seconds(began: float) -> float:
    return time.monotonic() - began


class TestTasks:
    def test_direct_sync_on_the_main_thread(self) -> None:
        began = time.monotonic()
        t = task(timeout_seconds=0.05, cache_policy=NO_CACHE)(sleeping)
        with pytest.raises(TimeoutError):
            t()
        assert seconds(began) < 15
        state = t(return_state=True)
        assert (state.name, state.type.name, state.message) == ("TimedOut", "FAILED", TASK_LATE)

    async def test_async(self) -> None:
        began = time.monotonic()
        t = task(timeout_seconds=0.05, cache_policy=NO_CACHE)(asleeping)
        with pytest.raises(TimeoutError):
            await t()
        state = await t(return_state=True)
        assert state.message == TASK_LATE
        assert seconds(began) < 15

    @pytest.mark.parametrize("fn", [sleeping, asleeping])
    def test_submitted_frees_the_waiter_at_the_deadline(self, fn: Any) -> None:
        """Q23: although a thread cannot be killed."""
        release = threading.Event()

        @task(timeout_seconds=0.05, cache_policy=NO_CACHE, name="late")
        def blocked() -> None:
            release.wait(60)

        t = blocked if fn is sleeping else task(timeout_seconds=0.05, cache_policy=NO_CACHE)(fn)
        began = time.monotonic()
        future = t.submit()
        with pytest.raises(TimeoutError):
            future.result(timeout=60)
        assert seconds(began) < 15
        assert trail(future) == ["Pending", "Running", "TimedOut"]
        assert future.state.message == TASK_LATE
        release.set()

    def test_per_attempt(self) -> None:
        calls = Calls()

        @task(timeout_seconds=0.1, retries=50, cache_policy=NO_CACHE)
        def t() -> str:
            if calls() < 3:
                time.sleep(30)
            return "at last"

        assert t() == "at last"
        assert len(calls) >= 3  # more on a machine that is too busy for the third

    def test_quick_ones_are_not_hurt(self) -> None:
        t = task(timeout_seconds=60, cache_policy=NO_CACHE)(threading.get_ident)
        assert t() == threading.get_ident()
        assert isinstance(t.submit().result(), int)

    def test_late_results_change_nothing(self) -> None:
        release = threading.Event()

        @task(timeout_seconds=0.05, cache_policy=NO_CACHE)
        def blocked() -> str:
            release.wait(60)
            return "too late"

        future = blocked.submit()
        future.wait(timeout=60)
        release.set()
        time.sleep(0.05)
        assert trail(future)[-1] == "TimedOut"
        assert isinstance(future.result(raise_on_failure=False), TimeoutError)

    def test_nested_limits(self) -> None:
        @task(timeout_seconds=0.05, cache_policy=NO_CACHE)
        def inner() -> None:
            time.sleep(30)

        @task(timeout_seconds=60, cache_policy=NO_CACHE)
        def outer() -> str:
            return str(inner(return_state=True).name)

        assert outer() == "TimedOut"

        @task(timeout_seconds=60, cache_policy=NO_CACHE)
        def patient() -> None:
            time.sleep(30)

        @task(timeout_seconds=0.05, cache_policy=NO_CACHE)
        def hasty() -> None:
            patient()

        began = time.monotonic()
        assert hasty(return_state=True).name == "TimedOut"
        assert seconds(began) < 15

    def test_in_a_process(self) -> None:
        @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
        def f() -> Any:
            future = task(timeout_seconds=0.5, cache_policy=NO_CACHE)(sleeping).submit()
            future.wait(timeout=60)
            return [future.state.name]

        began = time.monotonic()
        assert f() == ["TimedOut"]
        assert seconds(began) < 25

    def test_text_of_the_error(self) -> None:
        t = task(timeout_seconds=0.05, cache_policy=NO_CACHE)(sleeping)
        with pytest.raises(TimeoutError, match=r"timed out after 0\.05 second|0\.05 second"):
            t()


class TestFlows:
    def test_sync(self) -> None:
        f = flow(timeout_seconds=0.05)(sleeping)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            f()
        state = f(return_state=True)
        assert seconds(began) < 15
        assert trail(state) == ["Pending", "Running", "TimedOut"]
        assert (state.type.name, state.message) == ("FAILED", FLOW_LATE)

    async def test_async(self) -> None:
        f = flow(timeout_seconds=0.05)(asleeping)
        with pytest.raises(TimeoutError):
            await f()
        assert (await f(return_state=True)).message == FLOW_LATE

    def test_retries_apply(self) -> None:
        calls = Calls()

        @flow(timeout_seconds=0.1, retries=50)  # on a busy machine the second may be late, too
        def f() -> str:
            if calls() == 1:
                time.sleep(30)
            return "done"

        assert f() == "done"

    def test_in_a_subflow(self) -> None:
        child = flow(timeout_seconds=0.05, name="child")(sleeping)

        @flow
        def parent() -> Any:
            return [child(return_state=True).name]

        assert parent() == ["TimedOut"]

    def test_a_task_in_a_flow_with_a_limit(self) -> None:
        t = task(cache_policy=NO_CACHE)(sleeping)

        @flow(timeout_seconds=0.05)
        def f() -> None:
            t()

        began = time.monotonic()
        assert f(return_state=True).name == "TimedOut"
        assert seconds(began) < 15

    def test_zero_is_none(self) -> None:
        @flow(timeout_seconds=0)
        def f() -> int:
            return 1

        assert f() == 1
        assert f.timeout_seconds is None
