"""SPEC 8.4: attempts, delays, conditions, jitter, and what is logged of them."""

import asyncio
import functools
import logging
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.states import Failed
from cellist.tasks import exponential_backoff
from tests.sessions import WAYS, as_task, final_state, names
from tests.spec.observe import Calls, trail


def failing(calls: Calls, times: int = 1000) -> Callable[[], int]:
    def work() -> int:
        if calls(time.monotonic()) <= times:
            raise ValueError("boom")
        return len(calls)

    return work


def waits_of(checked: Any) -> list[float]:
    """A list that fills with the seconds between each AwaitingRetry and when the run is due."""
    waits: list[float] = []

    def note(event: Any) -> None:
        state = getattr(event, "state", None)
        if state is not None and state.name == "AwaitingRetry":
            seen = event.run.public_state()
            due = seen.state_details.scheduled_time
            waits.append((due - seen.timestamp).total_seconds())

    checked.session.sinks.append(note)
    return waits


class TestAttempts:
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("retries", [0, 1, 3])
    def test_one_more_than_retries(self, way: str, retries: int) -> None:
        calls = Calls()
        state = final_state(way, as_task(way, failing(calls), name="t", retries=retries))
        assert state.is_failed()
        assert len(calls) == retries + 1

    @pytest.mark.parametrize("way", WAYS)
    def test_stops_at_success(self, way: str) -> None:
        calls = Calls()
        assert final_state(way, as_task(way, failing(calls, 1), retries=5)).result() == 2
        assert len(calls) == 2

    def test_run_count_is_the_attempt(self) -> None:
        counts: list[int] = []

        @task(retries=2, cache_policy=NO_CACHE)
        def t() -> None:
            counts.append(cellist.runtime.task_run.run_count)
            raise ValueError

        t(return_state=True)
        assert counts == [1, 2, 3]

    def test_a_hit_after_retries_is_stored(self) -> None:
        calls = Calls()
        t = task(failing(calls, 1), retries=1, cache_policy=None, cache_key_fn=lambda *_: "key")
        assert t() == 2
        assert t(return_state=True).name == "Cached"
        assert len(calls) == 2

    def test_failures_are_never_cached(self) -> None:
        calls = Calls()
        t = task(failing(calls, 1), cache_key_fn=lambda *_: "key")
        assert t(return_state=True).is_failed()
        assert t() == 2

    def test_parameters_stay(self) -> None:
        seen: list[Any] = []

        @task(retries=1, cache_policy=INPUTS)
        def t(x: int) -> None:
            seen.append(x)
            raise ValueError

        t(5, return_state=True)
        assert seen == [5, 5]

    def test_timeouts_and_returned_failures_are_retried(self) -> None:
        calls = Calls()

        @task(retries=1, cache_policy=NO_CACHE)
        def late() -> None:
            calls()
            raise TimeoutError

        assert trail(late(return_state=True)) == ["Pending", "Running", "Retrying", "TimedOut"]

        @task(retries=1, cache_policy=NO_CACHE)
        def told() -> Any:
            return Failed(message="no") if calls() < 4 else 7

        assert told() == 7
        assert len(calls) == 4


class TestDelays:
    @pytest.mark.parametrize("way", WAYS)
    def test_gaps(self, way: str) -> None:
        """SPEC 25.3: the last value repeats."""
        calls = Calls()
        t = as_task(way, failing(calls), retries=3, retry_delay_seconds=[0.02, 0.08])
        final_state(way, t)
        gaps = [b - a for a, b in pairwise(calls.log)]
        for gap, least in zip(gaps, [0.02, 0.08, 0.08], strict=True):
            assert least <= gap < least + 0.5

    @pytest.mark.parametrize(
        ("delay", "planned"),
        [
            (0.01, [0.01] * 3),
            ([0.01], [0.01] * 3),
            ([0.01, 0.02, 0.03], [0.01, 0.02, 0.03]),
            ([0.01, 0.02, 0.03, 0.04], [0.01, 0.02, 0.03]),
            (lambda n: [0.01 * (i + 1) for i in range(n)], [0.01, 0.02, 0.03]),
            (exponential_backoff(0.01), [0.01, 0.02, 0.04]),
        ],
    )
    def test_forms(self, delay: Any, planned: list[float], checked: Any) -> None:
        waits = waits_of(checked)
        task(
            failing(Calls()),
            name="t",
            retries=3,
            retry_delay_seconds=delay,
            cache_policy=NO_CACHE,
        )(return_state=True)
        assert waits == pytest.approx(planned, abs=0.005)

    @pytest.mark.parametrize("delay", [0, None, [], [0, 0], 0.0])
    def test_nothing_to_wait_for(self, delay: Any) -> None:
        t = task(failing(Calls(), 1), retries=2, retry_delay_seconds=delay, cache_policy=NO_CACHE)
        assert trail(t(return_state=True)) == ["Pending", "Running", "Retrying", "Completed"]

    def test_waits_hold_no_thread(self) -> None:
        """Q26: while one waits, its worker does other work."""
        order: list[str] = []

        @task(retries=1, retry_delay_seconds=0.2, cache_policy=NO_CACHE)
        def flaky() -> None:
            order.append("flaky")
            if order.count("flaky") < 2:
                raise ValueError

        @task(cache_policy=NO_CACHE)
        def other() -> None:
            order.append("other")

        @flow(task_runner=cellist.task_runners.ThreadPoolTaskRunner(max_workers=1))
        def f() -> None:
            flaky.submit()
            other.submit()

        f()
        assert order == ["flaky", "other", "flaky"]

    async def test_waits_of_async_tasks_hold_no_loop(self) -> None:
        @task(retries=1, retry_delay_seconds=0.1, cache_policy=NO_CACHE)
        async def flaky() -> None:
            raise ValueError

        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.ensure_future(tick())
        await flaky(return_state=True)
        ticking.cancel()
        assert ticks > 1  # and about ten on a machine that is not busy


class Never:
    def __call__(self, *_: Any) -> bool:
        return False


class Always:
    def __call__(self, *_: Any) -> bool:
        return True


async def soon(answer: bool, *_: Any) -> bool:
    await asyncio.sleep(0)
    return answer


async def asoon_true(*_: Any) -> bool:
    return True


async def asoon_false(*_: Any) -> bool:
    return False


def broken(*_: Any) -> bool:
    raise RuntimeError("in the condition")


CONDITIONS: list[tuple[str, Any, int]] = [
    ("function true", lambda *_: True, 3),
    ("function false", lambda *_: False, 1),
    ("async true", asoon_true, 3),
    ("async false", asoon_false, 1),
    ("partial true", functools.partial(lambda answer, *_: answer, True), 3),
    ("partial false", functools.partial(lambda answer, *_: answer, False), 1),
    ("async partial true", functools.partial(soon, True), 3),
    ("async partial false", functools.partial(soon, False), 1),
    ("object true", Always(), 3),
    ("object false", Never(), 1),
    ("method", Always().__call__, 3),
    ("raises", broken, 1),
    ("truthy", lambda *_: "yes", 3),
]


class TestConditions:
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize(
        ("name", "condition", "attempts"), CONDITIONS, ids=[row[0] for row in CONDITIONS]
    )
    def test_table(self, name: str, condition: Any, attempts: int, way: str) -> None:
        calls = Calls()
        t = as_task(way, failing(calls), retries=2, retry_condition_fn=condition)
        state = final_state(way, t)
        assert len(calls) == attempts
        assert state.is_failed()
        assert state.message == "Task run encountered an exception ValueError: boom"

    def test_what_it_is_given(self) -> None:
        seen: list[Any] = []

        def condition(given: Any, run: Any, state: Any) -> bool:
            with pytest.raises(ValueError, match="boom"):
                state.result()
            seen.append((given.name, run.run_count, run.state_name, state.name, state.message))
            return True

        t = task(
            failing(Calls()),
            name="t",
            retries=2,
            retry_condition_fn=condition,
            cache_policy=NO_CACHE,
        )
        t(return_state=True)
        message = "Task run encountered unexpected exception: ValueError('boom')"
        assert seen == [
            ("t", 1, "Running", "Failed", message),
            ("t", 2, "Retrying", "Failed", message),
        ]

    def test_is_asked_only_while_retries_remain(self) -> None:
        calls = Calls()
        task(
            failing(Calls()),
            retries=0,
            retry_condition_fn=lambda *_: calls() > 0,
            cache_policy=NO_CACHE,
        )(return_state=True)
        assert len(calls) == 0

    def test_of_a_returned_state(self) -> None:
        seen: list[Any] = []

        @task(
            retries=1,
            retry_condition_fn=lambda _, __, state: seen.append(state.message),
            cache_policy=NO_CACHE,
        )
        def t() -> Any:
            return Failed(message="told")

        assert t(return_state=True).message == "told"
        assert seen == ["told"]

    def test_an_error_in_it_is_logged(self, checked: Any) -> None:
        task(failing(Calls()), retries=1, retry_condition_fn=broken, cache_policy=NO_CACHE)(
            return_state=True
        )
        assert any("in the condition" in message for message in checked.logs())

    def test_the_kind_of_error_decides(self) -> None:
        """The document's own use: some answers are worth another try, others are not."""
        calls = Calls()

        def worth_it(_: Any, __: Any, state: Any) -> bool:
            return not isinstance(state.result(raise_on_failure=False), KeyError)

        @task(retries=5, retry_condition_fn=worth_it, cache_policy=NO_CACHE)
        def t() -> None:
            raise (ValueError, KeyError)[calls() > 2]

        assert t(return_state=True).is_failed()
        assert len(calls) == 3


def delays_drawn(checked: Any, delay: float, factor: float, draws: int) -> list[float]:
    """Let a task plan its retries without waiting for them."""
    t = task(
        failing(Calls()),
        name="jittered",
        retries=draws,
        retry_delay_seconds=delay,
        retry_jitter_factor=factor,
        cache_policy=NO_CACHE,
    )
    waits = waits_of(checked)
    t(return_state=True)
    return waits


class TestJitter:
    @pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
    def test_statistics(self, factor: float, checked: Any) -> None:
        """Never above delay x (1 + factor), the mean stays about the delay, and it varies."""
        delay = 0.0005
        drawn = delays_drawn(checked, delay, factor, 400)
        assert len(drawn) == 400
        slack = 0.0002  # between the draw and the state's timestamp
        assert max(drawn) <= delay * (1 + factor) + slack
        assert statistics.mean(drawn) == pytest.approx(delay, abs=0.2 * delay + slack)
        assert min(drawn) < delay
        assert statistics.stdev(drawn) > 0.05 * delay

    def test_lower_bound(self, checked: Any) -> None:
        import math

        delay, factor = 0.002, 0.5
        k = 1 + factor
        low = delay * math.log2(2**k / (2**k - 1))
        drawn = delays_drawn(checked, delay, factor, 100)
        assert min(drawn) >= low - 0.0005

    @pytest.mark.parametrize("delay", [0, [0], None])
    def test_without_a_delay(self, delay: Any) -> None:
        calls = Calls()
        t = task(
            failing(calls),
            retries=2,
            retry_delay_seconds=delay,
            retry_jitter_factor=0.5,
            cache_policy=NO_CACHE,
        )
        assert trail(t(return_state=True)) == [
            *("Pending", "Running", "Retrying", "Retrying", "Failed"),
        ]

    @pytest.mark.parametrize("factor", [60, 100, 1000])
    def test_large_factors(self, factor: float, checked: Any) -> None:
        drawn = delays_drawn(checked, 0.0001, factor, 20)
        assert all(-0.01 < value <= 0.0001 * (1 + factor) + 0.001 for value in drawn)

    def test_zero_factor_is_exact(self, checked: Any) -> None:
        drawn = delays_drawn(checked, 0.001, 0, 3)
        assert drawn == pytest.approx([0.001] * 3, abs=0.0005)


class TestLogs:
    def logged(self, checked: Any, **options: Any) -> list[str]:
        task(failing(Calls()), cache_policy=NO_CACHE, **options)(return_state=True)
        return [text for text in checked.logs() if "Task run failed with exception" in text]

    def test_without_delay(self, checked: Any) -> None:
        one, two, three = self.logged(checked, retries=2)
        head = "Task run failed with exception: ValueError('boom') - "
        assert one == head + "Retry 1/2 will start immediately"
        assert two == head + "Retry 2/2 will start immediately"
        assert three == head + "Retries are exhausted"

    def test_with_delay(self, checked: Any) -> None:
        one, _ = self.logged(checked, retries=1, retry_delay_seconds=0.5)
        assert one.startswith("Task run failed with exception: ValueError('boom') - Retry 1/1 ")
        assert one.endswith("will start 0.5 second(s) from now")

    def test_finished(self, checked: Any, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)  # of all: cellist keeps what nobody asked for short
        task(lambda: 1, name="t", cache_policy=NO_CACHE)()
        task(failing(Calls()), name="t", cache_policy=NO_CACHE)(return_state=True)
        finished = [
            (record.levelname, record.getMessage())
            for record in caplog.records
            if "Finished in state" in record.getMessage()
        ]
        assert [level for level, _ in finished] == ["INFO", "ERROR"]
        assert finished[0][1].endswith("Finished in state Completed()")
        text = "Failed('Task run encountered an exception ValueError: boom')"
        assert finished[1][1].endswith(f"Finished in state {text}")


def test_names_of_states_while_retrying(checked: Any) -> None:
    seen: list[str] = []

    @task(retries=1, cache_policy=NO_CACHE, name="t")
    def t() -> None:
        context: Any = cellist.get_run_context()
        seen.append(context.task_run.state_name)
        raise ValueError

    t(return_state=True)
    assert seen == ["Running", "Retrying"]
    assert names(checked.one("t"))[-1] == "Failed"
