"""Cancel a map, a task, a list of futures; and what waits inside what is cancelled."""

import threading
import time
from typing import Any

import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.concurrency import concurrency
from cellist.exceptions import ObjectNotFound
from tests.sessions import Recorder, names

quick: dict[str, Any] = {"cache_policy": NO_CACHE}


def until(ready: Any) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def spin(x: int) -> None:
    """Run Python code, which can be stopped, for ever."""
    del x
    while True:
        time.sleep(0.001)


@pytest.mark.parametrize("how", ["task", "name", "futures", "version"])
def test_all_runs_of_a_map_are_cancelled(how: str, recorder: Recorder) -> None:
    work: Any = task(spin, name="work", **quick)

    @task(**quick)
    def other() -> int:
        return 1

    @flow
    def crawl() -> int:
        futures = work.map(range(30))
        until(lambda: recorder.of("work") and recorder.of("work")[0].state_name == "Running")
        given = {
            "task": work,
            "name": "work",
            "futures": futures,
            "version": work.with_options(retries=3),
        }
        cellist.cancel(given[how])
        futures.wait(timeout=60)
        return other.submit().result()

    assert crawl() == 1
    assert {names(run)[-1] for run in recorder.of("work")} == {"Cancelled"}
    waited = [run for run in recorder.of("work") if names(run) == ["Pending", "Cancelled"]]
    assert waited, "those that had not begun never did"
    assert names(recorder.one("crawl"))[-1] == "Completed"


def test_what_is_not_live_is_told(recorder: Recorder) -> None:
    @task(**quick)
    def work() -> None: ...

    future = work.submit()
    future.result()
    with pytest.raises(ObjectNotFound, match="No run of task 'work' is live"):
        cellist.cancel(work)
    with pytest.raises(ObjectNotFound, match="None of these 1 runs is live"):
        cellist.cancel([future])
    with pytest.raises(ObjectNotFound, match="No live run goes by 'nothing'"):
        cellist.cancel("nothing")
    cellist.cancel([])


@pytest.mark.parametrize("waits_for", ["flight", "slot", "retry"])
def test_a_direct_call_that_waits_ends_with_the_run_around_it(
    waits_for: str, recorder: Recorder
) -> None:
    gate, started = threading.Event(), threading.Event()

    @task
    def slow(x: int) -> int:
        started.set()
        gate.wait(100)
        return x

    @task(retries=1, retry_delay_seconds=600, **quick)
    def flaky() -> None:
        raise ValueError

    @task(**quick)
    def around() -> Any:
        if waits_for == "flight":
            return slow(1)
        if waits_for == "retry":
            return flaky()
        with concurrency("db"):
            return None

    @flow
    def crawl() -> None:
        cellist.limits.set("db", 1)
        with concurrency("db"):
            leader = slow.submit(1)
            assert started.wait(60)
            future = around.submit()
            until(lambda: future.state.name == "Running")
            time.sleep(0.1)  # it waits by now
            cellist.cancel(future)
            future.wait(timeout=50)  # less than what it waits for would take
            assert future.state.is_cancelled()
            gate.set()
            leader.result()

    crawl()
    inner = {"flight": "slow", "retry": "flaky"}.get(waits_for)
    if inner is not None:
        assert names(recorder.of(inner)[-1])[-1] == "Cancelled"
