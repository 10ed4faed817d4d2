"""Limits of time: the waiter is free at the deadline, whatever the code does."""

import asyncio
import signal
import sys
import threading
import time
import weakref
from typing import Any

import pytest

from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.engine import timeouts
from cellist.exceptions import FlowRunTimeoutError, TaskRunTimeoutError
from tests.sessions import Recorder, names

quick: dict[str, Any] = {"cache_policy": NO_CACHE}
SHORT = 0.05
MESSAGE = "Task run exceeded timeout of 0.05 second(s)"


@pytest.fixture(autouse=True)
def alarm_is_put_back(recorder: Recorder) -> Any:
    before = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert timeouts._deadlines == []


@task(name="sleeper", timeout_seconds=SHORT, **quick)
def sleeper():
    time.sleep(20)


@task(name="sleeper", timeout_seconds=SHORT, **quick)
async def asleeper():
    await asyncio.sleep(20)


def in_thread(call: Any) -> Any:
    """Call in a thread of the user's, where no alarm works."""
    box: list[Any] = []

    def work() -> None:
        try:
            box.append(call())
        except BaseException as error:
            box.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    if isinstance(box[0], BaseException):
        raise box[0]
    return box[0]


@pytest.mark.parametrize(
    "call",
    [
        sleeper,
        lambda: in_thread(sleeper),
        lambda: sleeper.submit().result(),
        lambda: asyncio.run(asleeper()),
        lambda: asleeper.submit().result(),
    ],
    ids=["main thread", "other thread", "pool", "loop", "submitted coroutine"],
)
def test_the_waiter_is_free_at_the_deadline(recorder: Recorder, call: Any) -> None:
    before = time.monotonic()
    with pytest.raises(TaskRunTimeoutError, match=r"Scope timed out after 0\.05 second\(s\)\."):
        call()
    assert time.monotonic() - before < 15
    run = recorder.one("sleeper")
    assert names(run) == ["Pending", "Running", "TimedOut"]
    assert run.states[-1].message == MESSAGE


def test_code_that_stops_python_code_is_told_to_stop(recorder: Recorder) -> None:
    stopped = threading.Event()

    @task(timeout_seconds=SHORT, **quick)
    def endless():
        try:
            while True:
                time.sleep(0.001)
        finally:
            stopped.set()

    state = endless.submit(return_state=True)
    assert state.name == "TimedOut"
    assert stopped.wait(60)


@pytest.mark.parametrize("way", ["direct", "submit", "async"])
def test_each_attempt_has_its_own_limit(recorder: Recorder, way: str) -> None:
    calls: list[int] = []

    def body() -> float:
        calls.append(1)
        return 20 if len(calls) < 3 else 0

    # On a busy machine the third may be late, too: then there are more.
    @task(name="t", timeout_seconds=SHORT, retries=50, **quick)
    def sync():
        time.sleep(body())
        return "done"

    @task(name="t", timeout_seconds=SHORT, retries=50, **quick)
    async def coroutine():
        await asyncio.sleep(body())
        return "done"

    if way == "async":
        assert asyncio.run(coroutine()) == "done"
    else:
        assert (sync() if way == "direct" else sync.submit().result()) == "done"
    found = names(recorder.one("t"))
    assert found[:4] == ["Pending", "Running", "Retrying", "Retrying"]
    assert {*found[4:]} <= {"Retrying", "Completed"}
    assert found[-1] == "Completed"


def test_inner_limit_within_an_outer_one(recorder: Recorder) -> None:
    @flow(timeout_seconds=30)
    def f():
        with pytest.raises(TaskRunTimeoutError):
            sleeper()
        return "went on"

    assert f() == "went on"


def test_outer_limit_within_an_inner_one(recorder: Recorder) -> None:
    @task(timeout_seconds=30, **quick)
    def inner():
        time.sleep(20)

    @flow(timeout_seconds=SHORT)
    def f():
        inner()

    before = time.monotonic()
    while not recorder.of("inner"):  # a busy machine may not come so far in time
        with pytest.raises(FlowRunTimeoutError):
            f()
        assert time.monotonic() - before < 15
    assert {names(run)[-1] for run in recorder.of("f")} == {"TimedOut"}
    assert recorder.one("inner").is_final


def linger() -> None:
    """Take longer than the limit, in steps that an alarm can interrupt."""
    ended = time.monotonic() + 4 * SHORT
    while time.monotonic() < ended:
        time.sleep(0.001)


class Lingering:
    """Takes longer than the limit to be torn down, where errors are dropped."""

    def __del__(self) -> None:
        linger()
        torn_down.append("__del__")


torn_down: list[str] = []


def leave_finalizer() -> None:
    value = Lingering.__new__(type("Plain", (), {}))
    weakref.finalize(value, lambda: (linger(), torn_down.append("finalize")))


def leave_set() -> None:
    class Slow:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            return self is other

    kept = weakref.WeakSet[Slow]()
    value = Slow()
    kept.add(value)
    discard = kept.data.discard  # type: ignore[attr-defined] - not in its stub

    class Data(set):
        def discard(self, ref: object) -> None:
            linger()
            discard(ref)
            torn_down.append("WeakSet")

    kept.data = Data(kept.data)  # type: ignore[attr-defined] - not in its stub
    del value


@pytest.mark.parametrize("leave", [Lingering, leave_finalizer, leave_set])
def test_a_limit_reached_in_a_finaliser_interrupts_the_code_after_it(
    recorder: Recorder, leave: Any
) -> None:
    torn_down.clear()

    @task(timeout_seconds=SHORT, **quick)
    def leaving():
        leave()
        assert torn_down  # the finaliser was not cut short
        time.sleep(20)

    began = time.monotonic()
    with pytest.raises(TaskRunTimeoutError):
        leaving()
    assert time.monotonic() - began < 15


def test_a_limit_whose_error_was_dropped_is_raised_again(recorder: Recorder) -> None:
    hook = sys.unraisablehook

    def generate() -> Any:
        try:
            yield
        finally:
            linger()

    @task(timeout_seconds=SHORT, **quick)
    def leaving():
        next(generate())
        time.sleep(20)

    began = time.monotonic()
    with pytest.raises(TaskRunTimeoutError):
        leaving()
    assert time.monotonic() - began < 15
    assert sys.unraisablehook is hook


def test_a_finaliser_that_never_ends_is_interrupted(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "FINALISER_SECONDS", SHORT)

    class Endless:
        def __del__(self) -> None:
            time.sleep(20)

    @task(timeout_seconds=SHORT, **quick)
    def leaving():
        Endless()
        time.sleep(20)

    began = time.monotonic()
    with pytest.raises(TaskRunTimeoutError):
        leaving()
    assert time.monotonic() - began < 15


def test_other_dropped_errors_are_passed_on(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: seen.append(dropped.exc_value))

    class Failing:
        def __del__(self) -> None:
            raise ValueError("the user's own")

    @task(timeout_seconds=SHORT, **quick)
    def leaving():
        try:
            time.sleep(20)
        finally:
            Failing()

    with pytest.raises(TaskRunTimeoutError):
        leaving()
    assert [str(error) for error in seen] == ["the user's own"]


def test_somebody_elses_alarm_is_left_alone(recorder: Recorder) -> None:
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(TaskRunTimeoutError):
            sleeper()
        assert rung == [1]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_quick_code_is_not_disturbed(recorder: Recorder) -> None:
    t = task(lambda x: x, timeout_seconds=30, **quick)
    assert t(1) == 1
    assert t.submit(1).result() == 1
    assert t.map(range(200)).result() == list(range(200))
    assert in_thread(lambda: t(3)) == 3


def test_zero_is_no_limit(recorder: Recorder) -> None:
    t = task(lambda: 1, timeout_seconds=0)
    assert t.timeout_seconds is None
    assert t() == 1


async def test_code_that_swallows_the_cancel_does_not_hold_the_waiter(recorder: Recorder) -> None:
    go, ended = asyncio.Event(), asyncio.Event()

    @task(timeout_seconds=SHORT, **quick)
    async def stubborn():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await go.wait()
            ended.set()
            raise ValueError("late, and nobody's business") from None

    with pytest.raises(TaskRunTimeoutError):
        await stubborn()
    assert not ended.is_set()
    go.set()
    await asyncio.wait_for(ended.wait(), 60)


def test_flow_with_thread_tasks_times_out(recorder: Recorder) -> None:
    gate = threading.Event()

    @task(**quick)
    def hold():
        assert gate.wait(60)

    @flow(timeout_seconds=SHORT)
    def f():
        hold.submit().result()

    # A busy machine may not begin the task in time; then it is tried again.
    while not any(run.attempts for run in recorder.of("hold")):
        with pytest.raises(FlowRunTimeoutError):
            f()  # free at the deadline, whatever the thread does
    run = recorder.of("hold")[-1]
    assert run.is_cancelling
    assert not run.is_final
    gate.set()
    while not run.is_final:
        time.sleep(0.01)
