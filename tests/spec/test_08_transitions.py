"""SPEC 7.5 and 8: the golden sequences of task runs, however they are carried out."""

import asyncio
import math
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

import cellist
from cellist import State, flow, task
from cellist.cache_policies import NO_CACHE
from cellist.states import Cancelled, Completed, Crashed, Failed, Paused, Pending
from tests.sessions import WAYS, as_task, final_state, names, outcome
from tests.spec.observe import Boom, Calls, Hooks, trail


def raising(error: Any) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


def returning(value: Any) -> Callable[[], Any]:
    def work() -> Any:
        return value

    return work


Row = tuple[str, Callable[[], Any], dict[str, Any], list[str], str | None]
ERROR = ValueError("boom")
ENCOUNTERED = "Task run encountered an exception ValueError: boom"
GOLDEN: list[Row] = [
    ("success", returning(1), {}, ["Pending", "Running", "Completed"], None),
    ("failure", raising(ERROR), {}, ["Pending", "Running", "Failed"], ENCOUNTERED),
    (
        "retry, no delay",
        raising(ERROR),
        {"retries": 2},
        ["Pending", "Running", "Retrying", "Retrying", "Failed"],
        ENCOUNTERED,
    ),
    (
        "retry, delay",
        raising(ERROR),
        {"retries": 2, "retry_delay_seconds": 0.001},
        [
            *("Pending", "Running", "AwaitingRetry", "Retrying"),
            *("AwaitingRetry", "Retrying", "Failed"),
        ],
        ENCOUNTERED,
    ),
    (
        "delays of which one is nothing",
        raising(ERROR),
        {"retries": 2, "retry_delay_seconds": [0, 0.001]},
        ["Pending", "Running", "Retrying", "AwaitingRetry", "Retrying", "Failed"],
        ENCOUNTERED,
    ),
    (
        "the user's TimeoutError",
        raising(TimeoutError("too late")),
        {},
        ["Pending", "Running", "TimedOut"],
        "Task run failed due to timeout: TimeoutError('too late')",
    ),
    (
        "a returned Failed",
        returning(Failed(message="no good")),
        {},
        ["Pending", "Running", "Failed"],
        "no good",
    ),
    (
        "a returned Failed with retries",
        returning(Failed(message="no good")),
        {"retries": 1},
        ["Pending", "Running", "Retrying", "Failed"],
        "no good",
    ),
    (
        "a state of another name",
        returning(Completed(name="Skipped", message="m")),
        {},
        ["Pending", "Running", "Skipped"],
        "m",
    ),
    (
        "an error with an odd constructor",
        raising(Boom(3, "here")),
        {},
        ["Pending", "Running", "Failed"],
        "Task run encountered an exception Boom: here:3",
    ),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", GOLDEN, ids=[row[0] for row in GOLDEN])
def test_golden(way: str, row: Row) -> None:
    _, work, options, sequence, message = row
    state = final_state(way, as_task(way, work, name="t", **options))
    assert trail(state) == sequence
    assert state.message == message


@pytest.mark.parametrize("way", WAYS)
def test_success_after_retries(way: str, checked: Any) -> None:
    calls = Calls()

    def work() -> int:
        if calls() < 3:
            raise ValueError
        return len(calls)

    assert outcome(way, as_task(way, work, name="t", retries=5)) == 3
    run = checked.one("t")
    assert names(run) == ["Pending", "Running", "Retrying", "Retrying", "Completed"]
    assert run.run_count == 3


@pytest.mark.parametrize("way", WAYS)
def test_cache_hit(way: str) -> None:
    t = as_task(way, returning(3), name="t", cache_policy=cellist.cache_policies.DEFAULT)
    assert trail(final_state(way, t)) == ["Pending", "Running", "Completed"]
    state = final_state(way, t)
    assert trail(state)[-1] == "Cached"
    assert trail(state) in (["Pending", "Running", "Cached"], ["Pending", "Cached"])  # Q35
    assert (state.type.name, state.message, state.result()) == ("COMPLETED", None, 3)


@pytest.mark.parametrize("way", ["drive", "adrive"])
def test_timeout(way: str) -> None:
    async def asleep() -> None:
        await asyncio.sleep(60)

    sleep: Any = asleep if way == "adrive" else lambda: time.sleep(60)
    t = task(sleep, timeout_seconds=0.05, cache_policy=NO_CACHE)
    state = final_state(way, t)
    assert trail(state) == ["Pending", "Running", "TimedOut"]
    assert state.type.name == "FAILED"
    assert state.message == "Task run exceeded timeout of 0.05 second(s)"
    with pytest.raises(TimeoutError):
        state.result()


CRASHES: list[tuple[Any, str]] = [
    (KeyboardInterrupt(), "Execution was aborted by an interrupt signal."),
    (SystemExit(3), "Execution was aborted by Python system exit call."),
    (
        type("Odd", (BaseException,), {})("text"),
        "Execution was interrupted by an unexpected exception: Odd: text",
    ),
]


@pytest.mark.parametrize(("error", "message"), CRASHES, ids=lambda value: type(value).__name__)
def test_crashes(error: BaseException, message: str, checked: Any) -> None:
    hooks = Hooks()

    @task(
        retries=3,
        cache_policy=NO_CACHE,
        on_completion=[hooks("c")],
        on_failure=[hooks("f")],
    )
    def t() -> None:
        raise error

    with pytest.raises(type(error)):
        t()
    run = checked.one("t")
    assert names(run) == ["Pending", "Running", "Crashed"]
    assert run.states[-1].message == message
    assert hooks.labels == []


async def test_a_cancelled_await_is_crashed_or_cancelled(checked: Any) -> None:
    began = asyncio.Event()

    @task(cache_policy=NO_CACHE, retries=2)
    async def t() -> None:
        began.set()
        await asyncio.sleep(60)

    pending = asyncio.ensure_future(t())
    await began.wait()
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    run = checked.one("t")
    assert names(run) == ["Pending", "Running", "Crashed"]
    assert run.states[-1].message == "Execution was cancelled by the runtime environment."


def test_generator_exit_does_not_crash(checked: Any) -> None:
    @task(cache_policy=NO_CACHE)
    def numbers() -> Any:
        yield 1
        yield 2

    @flow
    def f() -> None:
        for _ in numbers():
            break

    f()
    assert names(checked.one("numbers")) == ["Pending", "Running", "Completed"]


class TestRecord:
    def test_fields(self, checked: Any) -> None:
        @task(version="3", tags=["a"], cache_policy=NO_CACHE, retries=1, name="named")
        def t() -> None:
            raise ValueError

        with pytest.raises(ValueError):
            t()
        run = checked.one("named")
        assert run.name == "named"
        assert run.flow_run_id is None
        assert run.task_key == t.task_key
        assert run.task_version == "3"
        assert set(run.tags) == {"a"}
        assert run.run_count == 2
        assert (run.state_name, run.state_type) == ("Failed", "FAILED")
        assert run.state.name == "Failed"
        assert run.end_time >= run.start_time >= run.expected_start_time
        assert run.total_run_time.total_seconds() >= 0

    def test_timestamps_increase(self, checked: Any) -> None:
        @task(retries=20, cache_policy=NO_CACHE)
        def t() -> None:
            raise ValueError

        with pytest.raises(ValueError):
            t()
        stamps = [state.timestamp for state in checked.one("t").states]
        assert all(a < b for a, b in pairwise(stamps))

    def test_waits_are_not_run_time(self, checked: Any) -> None:
        @task(retries=1, retry_delay_seconds=0.2, cache_policy=NO_CACHE)
        def t() -> None:
            raise ValueError

        with pytest.raises(ValueError):
            t()
        run = checked.one("t")
        whole = (run.end_time - run.start_time).total_seconds()
        assert whole >= 0.2
        assert run.total_run_time.total_seconds() <= whole - 0.2

    def test_one_run_however_many_attempts(self, checked: Any) -> None:
        ids: list[Any] = []

        @task(retries=2, cache_policy=NO_CACHE)
        def t() -> None:
            ids.append((cellist.runtime.task_run.id, cellist.runtime.task_run.run_count))
            raise ValueError

        with pytest.raises(ValueError):
            t()
        assert len({i for i, _ in ids}) == 1
        assert [count for _, count in ids] == [1, 2, 3]
        assert len(checked.runs) == 1

    def test_the_final_state_is_final(self) -> None:
        state = task(returning(1), cache_policy=NO_CACHE)(return_state=True)
        assert state.is_final()
        assert trail(state)[-1] == state.name


#: SPEC 8.2 for tasks: what is returned, and type, message and result of the state it makes
Made = tuple[Callable[[], Any], str, str | None]
RETURNED: dict[str, Made] = {
    "value": (lambda: 3, "COMPLETED", None),
    "none": (lambda: None, "COMPLETED", None),
    "empty list": (list, "COMPLETED", None),
    "own completed": (lambda: Completed(message="m"), "COMPLETED", "m"),
    "own failed": (lambda: Failed(message="m"), "FAILED", "m"),
    "own cancelled": (lambda: Cancelled(message="m"), "CANCELLED", "m"),
    "all completed": (
        lambda: [Completed(), Completed()],
        "COMPLETED",
        "All states completed.",
    ),
    "tuple of states": (lambda: (Completed(),), "COMPLETED", "All states completed."),
    "set of states": (lambda: {Completed()}, "COMPLETED", "All states completed."),
    "one failed": (lambda: [Completed(), Failed()], "FAILED", "1/2 states failed."),
    "one crashed": (
        lambda: [Completed(), Crashed(), Failed()],
        "FAILED",
        "2/3 states failed.",
    ),
    "cancelled first": (
        lambda: [Cancelled(), Failed(), Completed()],
        "CANCELLED",
        "1/3 states cancelled.",
    ),
    "paused before failed": (lambda: [Paused(), Failed()], "PAUSED", "1/2 states paused."),
    "not final": (lambda: [Completed(), Pending()], "FAILED", "1/2 states are not final."),
    "states in a dict": (lambda: {"a": Completed()}, "COMPLETED", None),
}


class TestReturned:
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("name", RETURNED)
    def test_tasks(self, name: str, way: str) -> None:
        make, kind, message = RETURNED[name]
        state = final_state(way, as_task(way, make, name="t"))
        assert (state.type.name, state.message) == (kind, message)

    @pytest.mark.parametrize("name", RETURNED)
    def test_flows(self, name: str) -> None:
        make, kind, message = RETURNED[name]
        state = flow(make, name="f")(return_state=True)
        if name == "states in a dict":
            message = state.message  # cellist looks into dicts, too (Q3)
        assert (state.type.name, state.message) == (kind, message)

    def test_a_task_that_returns_a_state_gives_the_caller_a_state(self) -> None:
        for given in (Completed(data=3), Failed(message="m")):
            got = task(returning(given), cache_policy=NO_CACHE)()
            assert isinstance(got, State)
            assert got.type == given.type
            assert got.message == given.message

    def test_states_with_run_ids_are_aggregated(self) -> None:
        @task(cache_policy=NO_CACHE)
        def bad() -> None:
            raise ValueError("x")

        @task(cache_policy=NO_CACHE)
        def t() -> Any:
            return bad(return_state=True)

        state = t(return_state=True)
        assert (state.type.name, state.message) == ("FAILED", "1/1 states failed.")
        with pytest.raises(ValueError, match="x"):
            state.result()

    def test_a_task_keeps_futures_as_they_are(self) -> None:
        @task(cache_policy=NO_CACHE)
        def one() -> int:
            return 1

        @task(cache_policy=NO_CACHE)
        def t() -> Any:
            return one.submit()

        assert t().result() == 1
        assert t(return_state=True).result().result() == 1

    def test_a_returned_generator_is_consumed(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> Any:
            return (i for i in range(3))

        assert t() == [0, 1, 2]
        assert t(return_state=True).result() == [0, 1, 2]
        assert t.submit().result() == [0, 1, 2]

    def test_a_nan_is_a_value(self) -> None:
        assert math.isnan(task(returning(math.nan), cache_policy=NO_CACHE)())

    def test_a_paused_state_of_a_task(self) -> None:
        state = task(returning([Paused()]), cache_policy=NO_CACHE)(return_state=True)
        assert state.is_paused()
