"""What every task runner must do, whatever it calls user code in."""

import time
from typing import Any

import pytest

from cellist import flow, task
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.exceptions import UnfinishedRun
from cellist.task_runners import (
    ConcurrentTaskRunner,
    ProcessPoolTaskRunner,
    SequentialTaskRunner,
    TaskRunner,
    ThreadPoolTaskRunner,
)
from tests.sessions import Recorder, names

quick: dict[str, Any] = {"cache_policy": NO_CACHE}

RUNNERS = [
    pytest.param(ThreadPoolTaskRunner, id="threads"),
    pytest.param(lambda: ThreadPoolTaskRunner(max_workers=1), id="one thread"),
    pytest.param(SequentialTaskRunner, id="sequential"),
    pytest.param(
        lambda: ProcessPoolTaskRunner(max_workers=1), id="processes", marks=pytest.mark.slow
    ),
]
pytestmark = pytest.mark.parametrize("make", RUNNERS)


def test_values_failures_and_dependencies(make: Any, recorder: Recorder) -> None:
    @task(**quick)
    def add(a, b=1):
        return a + b

    @task(retries=1, retry_delay_seconds=0.01, **quick)
    def fail(text):
        raise ValueError(text)

    @task(name="kept", cache_policy=INPUTS)
    def kept(x):
        return [x]

    @flow(task_runner=make())
    def f():
        one = add.submit(1)
        assert add.submit(one, b=add.submit(one)).result() == 5
        assert add.map([1, 2, one], b=one).result() == [3, 4, 4]
        bad = fail.submit("boom")
        with pytest.raises(ValueError, match="boom"):
            bad.result()
        assert names(bad.run) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Failed"]
        after = add.submit(bad)
        with pytest.raises(UnfinishedRun):
            after.result()
        assert names(after.run) == ["Pending", "NotReady"]
        assert kept.submit(1).result() == [1]
        assert kept.submit(1, return_state=True).name == "Cached"
        return [one, after.run.name]

    assert f()[0] == 2
    assert names(recorder.one("f"))[-1] == "Completed"


def test_time_limit(make: Any, recorder: Recorder) -> None:
    @task(timeout_seconds=0.3, **quick)
    def slow(seconds):
        import time

        for _ in range(int(seconds * 100)):
            time.sleep(0.01)
        return "fine"

    @flow(task_runner=make())
    def f():
        if "Process" in repr(f.task_runner):
            slow.with_options(timeout_seconds=60).submit(0).wait()  # the process starts
        before = time.monotonic()
        future = slow.submit(3)
        future.wait(30)
        assert time.monotonic() - before < 2.5
        assert future.state.name == "TimedOut"

    f()


def test_runner_is_released_with_its_flow(make: Any, recorder: Recorder) -> None:
    @flow(task_runner=make())
    def f():
        return task(len, name="size", **quick).submit([1]).result()

    assert f() == f() == 1
    assert f.task_runner._pool is None


def test_names_and_copies(make: Any) -> None:
    runner: TaskRunner = make()
    assert runner.duplicate() == runner
    assert hash(runner.duplicate()) == hash(runner)
    assert runner.name in {"threadpool", "sequential", "processpool"}
    assert ConcurrentTaskRunner is ThreadPoolTaskRunner
