"""`%cellist cancel`: what it cancels here and in the queue, and what it says of it."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import ObjectNotFound
from cellist.notebook.cancelling import cancel
from cellist.session import Session, use_session
from cellist.task_worker import BackgroundWorker


@pytest.fixture(autouse=True)
def session(own_home: Path) -> Iterator[Session]:
    with use_session(Session(own_home)) as found:
        yield found


@task(cache_policy=NO_CACHE)
def double(x: int) -> int:
    return 2 * x


def test_deferred_runs_that_wait_by_name_and_by_id() -> None:
    futures = [double.delay(x) for x in range(3)]
    said = cancel(str(futures[0].task_run_id))
    assert said == f"Cancelled `double ({futures[0].task_run_id})`."
    assert cancel("double").startswith("Cancelled 2 runs, `double (")
    assert all(one.state.is_cancelled() for one in futures)
    assert cancel("double").startswith("Had ended already: 3 runs, `double (")
    assert cancel(str(futures[0].task_run_id)).startswith("Had ended already: `double (")


def test_a_deferred_run_that_a_worker_has() -> None:
    began, go = threading.Event(), threading.Event()

    @task(cache_policy=NO_CACHE)
    def hold() -> None:
        began.set()
        while not go.wait(0.01):
            pass

    with BackgroundWorker(hold):
        future = hold.delay()
        assert began.wait(30)
        said = cancel("hold")
        assert said == f"Asked to stop: `hold ({future.task_run_id}) (with a worker)`."
        future.wait(30)
        go.set()
    assert future.state.is_cancelled()


def test_live_runs_and_what_cannot_be_interrupted() -> None:
    began, go = threading.Barrier(3), threading.Event()

    @task(cache_policy=NO_CACHE)
    def stubborn() -> None:
        began.wait()
        go.wait(60)

    @task(cache_policy=NO_CACHE)
    def willing() -> None:
        began.wait()
        for _ in range(3000):
            time.sleep(0.01)

    @flow
    def both() -> None:
        futures = [stubborn.submit(), willing.submit()]
        began.wait(30)
        assert re.fullmatch(r"Cancelled `willing-\w+`\.", cancel("willing"))
        said = cancel("stubborn")
        assert re.fullmatch(r"Cannot be interrupted where .* is back: `stubborn-\w+`\.", said)
        go.set()
        for one in futures:
            one.wait(30)

    both(return_state=True)
    assert cancel(None) == "Nothing is running."
    assert re.fullmatch(r"Had ended already: `willing-\w+` \(Cancelled\)\.", cancel("willing"))


def test_what_never_was_is_said() -> None:
    with pytest.raises(ObjectNotFound, match="no run with the id or name 'other'"):
        cancel("other")
