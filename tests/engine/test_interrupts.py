"""The stop button: whatever runs is stopped, recorded, and the signal handler is put back."""

import asyncio
import signal
import threading
import time
from typing import Any

import pytest

from cellist import flow, task
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.engine.commands import Invoke
from cellist.engine.drivers import drive
from cellist.engine.interrupts import Guard
from cellist.task_runners import SequentialTaskRunner
from tests.sessions import Recorder, names

quick: dict[str, Any] = {"cache_policy": NO_CACHE}
STOPPED = "Stopped by an interrupt of the kernel."


@pytest.fixture(autouse=True)
def handler_is_put_back() -> Any:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def press_when(ready: Any, times: int = 1) -> threading.Thread:
    """Press stop once something is so, and again until it is noticed."""

    def work() -> None:
        end = time.monotonic() + 60
        while not ready() and time.monotonic() < end:
            time.sleep(0.002)
        time.sleep(0.03)
        for _ in range(times):
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.1)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def running(recorder: Recorder, name: str) -> Any:
    return lambda: any(run.attempts for run in recorder.of(name))


@pytest.mark.parametrize("runner", [None, SequentialTaskRunner])
@pytest.mark.parametrize("start", ["direct", "submit"])
def test_stop_during_a_task(recorder: Recorder, start: str, runner: Any) -> None:
    @task(retries=3, **quick)
    def work():
        for _ in range(6000):
            time.sleep(0.01)

    @flow(task_runner=runner)
    def f():
        work() if start == "direct" else work.submit().result()

    thread = press_when(running(recorder, "work"))
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        f()
    assert time.monotonic() - before < 30
    thread.join()
    state = recorder.one("f").states[-1]
    assert (state.name, state.message) == ("Cancelled", STOPPED)
    run = recorder.one("work")
    end = time.monotonic() + 60
    while not run.is_final and time.monotonic() < end:
        time.sleep(0.005)
    assert names(run)[-1] == "Cancelled"
    assert run.run_count == 1


def test_stop_during_the_wait_for_a_retry(recorder: Recorder) -> None:
    @task(retries=1, retry_delay_seconds=1000, **quick)
    def fails():
        raise ValueError

    thread = press_when(lambda: any(r.state_name == "AwaitingRetry" for r in recorder.of("fails")))
    with pytest.raises(KeyboardInterrupt):
        fails()
    thread.join()
    assert names(recorder.one("fails"))[-1] == "Cancelled"


def test_stop_wakes_an_awaiting_flow(recorder: Recorder) -> None:
    @task(**quick)
    async def slow():
        await asyncio.sleep(60)

    @flow
    async def f():
        await asyncio.gather(slow(), slow())

    thread = press_when(running(recorder, "slow"))
    before = time.monotonic()
    with pytest.raises((KeyboardInterrupt, asyncio.CancelledError)):
        asyncio.run(f())
    assert time.monotonic() - before < 30
    thread.join()
    assert names(recorder.one("f"))[-1] == "Cancelled"
    assert {names(run)[-1] for run in recorder.of("slow")} == {"Cancelled"}


def test_interrupt_raised_by_user_code_is_a_crash(recorder: Recorder) -> None:
    @task(**quick)
    def raises():
        raise KeyboardInterrupt

    @flow
    def f():
        raises()

    with pytest.raises(KeyboardInterrupt):
        f()
    assert names(recorder.one("raises"))[-1] == "Crashed"
    assert names(recorder.one("f"))[-1] == "Crashed"


def test_the_session_works_after_a_stop(recorder: Recorder) -> None:
    @task(**quick)
    def work(seconds):
        time.sleep(seconds)
        return "fine"

    thread = press_when(running(recorder, "work"))
    with pytest.raises(KeyboardInterrupt):
        work(20)
    thread.join()
    assert work(0) == "fine"
    assert work.submit(0).result() == "fine"
    assert names(recorder.of("work")[1]) == ["Pending", "Running", "Completed"]


@pytest.mark.parametrize("attempts", [False, True])
@pytest.mark.parametrize("with_hooks", [False, True])
@pytest.mark.parametrize("what", ["look_up", "store"])
def test_stop_while_the_cache_is_at_work(
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    with_hooks: bool,
    attempts: bool,
) -> None:
    """Reading or writing a large result takes long; who presses stop then is heard."""
    ran: list[int] = []
    method = "get" if what == "look_up" else "seal"
    inner = getattr(recorder.session.store, method)

    def slowly(*args: Any, **options: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return inner(*args, **options)

    @task(cache_policy=INPUTS)
    def stored(n: int) -> int:
        return n

    if with_hooks:
        stored.on_commit(lambda txn: None)

    @task(**quick)
    def after() -> None:
        ran.append(1)

    @flow(retries=int(attempts))
    def f() -> None:
        stored(1)
        after()

    monkeypatch.setattr(recorder.session.store, method, slowly)
    with pytest.raises(KeyboardInterrupt):
        f()
    assert ran == []
    assert [names(run)[-1] for run in recorder.runs] == ["Cancelled"] * 2
    assert recorder.session.cache.flights.up == {}


class OneRun:
    """As much of a run as the guard asks."""

    is_final = False


@pytest.fixture
def guard() -> Any:
    made = Guard()
    made.enter()
    yield made
    made.leave()


def test_our_own_steps_are_not_cut_off_by_a_cancel(guard: Any) -> None:
    run: Any = OneRun()

    def work() -> None:
        for _ in range(2000):
            time.sleep(0.01)

    def steps() -> Any:
        guard.interrupt_main(run)  # while the steps go on: it comes again for the code of the user
        outcome = yield Invoke(work, (), {})
        return outcome.error

    assert type(drive(steps(), None)) is KeyboardInterrupt
    assert not guard.expected


def test_nothing_is_cut_off_for_a_run_that_is_over(guard: Any) -> None:
    run: Any = OneRun()
    run.is_final = True
    guard.interrupt_main(run)
    assert not guard.expected
