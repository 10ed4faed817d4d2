"""Submitted runs: order, places in the pool, parking, and what may go wrong at the edges."""

import asyncio
import threading
import time
from typing import Any

import pytest

from cellist import flow, task
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.engine.commands import Sleep, Waker
from cellist.engine.flights import Ticket
from cellist.engine.scheduler import PARKED, Work
from cellist.runners.threads import ThreadPool
from cellist.task_runners import ThreadPoolTaskRunner
from tests.engine.test_steps_by_hand import execution, upstream
from tests.sessions import Recorder, names

quick: dict[str, Any] = {"cache_policy": NO_CACHE}


def one_place() -> ThreadPoolTaskRunner:
    return ThreadPoolTaskRunner(max_workers=1)


def test_nested_submit_with_one_worker_does_not_deadlock(recorder: Recorder) -> None:
    @task(**quick)
    def depth(n):
        return 0 if n == 0 else 1 + depth.submit(n - 1).result()

    @flow(task_runner=one_place())
    def f():
        return depth.submit(20).result()

    assert f() == 20


def test_nested_map_with_one_worker_does_not_deadlock(recorder: Recorder) -> None:
    @task(**quick)
    def leaf(n):
        return n

    @task(**quick)
    def branch(n):
        return sum(leaf.map(range(n)).result())

    @flow(task_runner=one_place())
    def f():
        return branch.map([3, 4, 5]).result()

    assert f() == [3, 6, 10]


@pytest.mark.parametrize("limit", [None, 30])
def test_no_more_than_max_workers_at_a_time(recorder: Recorder, limit: float | None) -> None:
    """Also with a time limit, for which the code is watched by the clock."""
    lock, now, most = threading.Lock(), [0], [0]

    @task(timeout_seconds=limit, **quick)
    def work(n):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.002)
        with lock:
            now[0] -= 1
        return n

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
    def f():
        return work.map(range(30)).result()

    assert f() == list(range(30))
    assert most[0] == 2


def test_nested_submit_of_timed_tasks_with_one_worker(recorder: Recorder) -> None:
    @task(timeout_seconds=60, **quick)
    def depth(n):
        return 0 if n == 0 else 1 + depth.submit(n - 1).result()

    @task(timeout_seconds=60, **quick)
    def direct(n):
        return depth.submit(n).result()

    @task(**quick)
    def outer(n):
        return direct(n)

    @flow(task_runner=one_place())
    def f():
        return depth.submit(5).result() + outer.submit(5).result()

    assert f() == 10


def test_a_stuck_task_whose_time_is_up_gives_its_place_back(recorder: Recorder) -> None:
    gate = threading.Event()

    @task(timeout_seconds=0.05, **quick)
    def stuck():
        gate.wait(60)  # blocks in C: cannot be stopped

    @task(**quick)
    def work(n):
        return n

    @flow(task_runner=one_place())
    def f():
        first = stuck.submit()
        others = work.map(range(5))
        first.wait(60)
        assert first.state.name == "TimedOut"
        assert others.result(timeout=60) == list(range(5))
        gate.set()
        # its thread ends without a place; one piece of work at a time is still the rule
        return work.map(range(5)).result(timeout=60)

    assert f() == list(range(5))


def test_a_timed_task_that_waits_for_another_gives_up_in_time(recorder: Recorder) -> None:
    gate = threading.Event()

    @task(**quick)
    def slow():
        gate.wait(60)

    @task(timeout_seconds=0.05, **quick)
    def waits():
        slow.submit().result()

    @task(**quick)
    def work(n):
        return n

    @flow(task_runner=one_place())
    def f():
        first = waits.submit()
        first.wait(60)
        assert first.state.name == "TimedOut"
        gate.set()
        return work.map(range(20)).result(timeout=60)

    assert f() == list(range(20))


def test_who_wants_its_place_back_gets_it_from_one_that_begins_to_wait(recorder: Recorder) -> None:
    """The second has the only place, which the first wants back, and begins to wait for it."""
    ready, inside, go = threading.Event(), threading.Event(), threading.Event()
    futures: dict[str, Any] = {}

    @task(**quick)
    async def awaited():
        assert await asyncio.to_thread(ready.wait, 20)

    @task(**quick)
    def first():
        futures["awaited"].result()
        return 1

    @task(**quick)
    def second():
        inside.set()
        assert go.wait(60)
        return futures["first"].result(timeout=60) + 1

    @flow(task_runner=one_place())
    def f():
        futures["awaited"] = awaited.submit()
        futures["first"] = first.submit()
        pool: Any = futures["first"].work.pool
        other = second.submit()
        assert inside.wait(60)  # the first waits, so its place went to the second
        ready.set()
        while not pool._returning:
            time.sleep(0.001)
        go.set()
        return other.result(timeout=60)

    assert f() == 2


def test_a_slow_hook_holds_up_nobody_whom_its_run_let_go_on(recorder: Recorder) -> None:
    """The end of the first run wakes the second, in a thread that has a hook to call yet."""
    inside, go, over = threading.Event(), threading.Event(), threading.Event()

    @task(cache_policy=INPUTS, on_completion=[lambda *_: over.wait(60)])
    def work(n):
        inside.set()
        assert go.wait(60)
        return n

    waits = task(work.fn, name="waits", cache_policy=INPUTS)

    @flow
    def f():
        first = work.submit(1)
        assert inside.wait(60)
        second = waits.submit(1)
        while not any(isinstance(x.waker, Ticket) for x in list(recorder.session.live.values())):
            time.sleep(0.001)
        go.set()
        assert second.result(timeout=60) == 1
        assert not first.done()
        over.set()

    f()


@pytest.mark.slow
def test_chain_of_ten_thousand_takes_few_threads(recorder: Recorder) -> None:
    @task(**quick)
    def add(x):
        return x + 1

    @flow
    def f():
        before = threading.active_count()
        future = add.submit(0)
        for _ in range(9999):
            future = add.submit(future)
        during = threading.active_count()
        assert during - before < 40
        return future.result()

    assert f() == 10_000


def test_flow_waits_for_what_it_submitted(recorder: Recorder) -> None:
    done = []

    @task(**quick)
    def work():
        time.sleep(0.05)
        done.append(1)

    @flow
    def f():
        work.submit()

    f()
    assert done == [1]
    assert names(recorder.one("work"))[-1] == "Completed"
    work_run, flow_run = recorder.one("work"), recorder.one("f")
    assert work_run.states[-1].at < flow_run.states[-1].at


def test_failed_body_drops_what_has_not_started(recorder: Recorder) -> None:
    ran = []

    @task(**quick)
    def work(n):
        ran.append(n)
        end = time.monotonic() + 60
        while sum(run.is_final for run in recorder.of("work")) < 49 and time.monotonic() < end:
            time.sleep(0.005)  # the others are dropped while the first still runs

    @flow(task_runner=one_place())
    def f():
        futures = work.map(range(50))
        while not futures[0].run.attempts:
            time.sleep(0.001)
        raise ValueError("body")

    with pytest.raises(ValueError, match="body"):
        f()
    assert ran == [0]
    ends = {names(run)[-1] for run in recorder.of("work")}
    assert ends == {"Completed", "Cancelled"}


def test_failure_nobody_looked_at_is_told(recorder: Recorder) -> None:
    @task(**quick)
    def fails():
        raise ValueError

    @flow
    def f():
        fails.submit()

    f()
    assert any("1 failed run(s) nobody looked at: fails-" in line for line in recorder.logs())
    assert names(recorder.one("f"))[-1] == "Completed"


def test_work_that_is_cancelled_while_it_parks_wakes_up_again(recorder: Recorder) -> None:
    """The canceller sees AwaitingRetry before the worker has parked the run."""
    x = execution(retries=1, delays=1000.0)
    promise = upstream()
    pool = ThreadPool()
    work = Work(x, promise, pool)
    pushed: list[Work] = []
    pool.push = pushed.append  # type: ignore[method-assign] - to see what is pushed
    x.cancelling = True
    work.park_until(Sleep(1000.0, Waker()))
    assert pushed == [work]
    assert work.phase is not PARKED


def test_cancel_in_the_very_moment_in_which_a_run_parks(recorder: Recorder) -> None:
    @task(retries=1, retry_delay_seconds=1000, **quick)
    def fails():
        raise ValueError

    for _ in range(100):
        future = fails.submit()
        while future.run.state_name != "AwaitingRetry":
            pass
        future.cancel()
        future.wait(60)
        assert future.state.is_cancelled()


def test_input_that_ends_in_the_very_moment_in_which_a_run_parks(recorder: Recorder) -> None:
    @task(**quick)
    def add(x):
        return x + 1

    @flow
    def f():
        for _ in range(200):
            assert add.submit(add.submit(add.submit(0))).result(timeout=60) == 3

    f()


def test_task_given_the_future_of_a_run_it_is_part_of(recorder: Recorder) -> None:
    box: dict[str, Any] = {}
    ready = threading.Event()

    @task(**quick)
    def inner(x):
        return x

    @task(**quick)
    def outer():
        ready.wait(60)
        return inner.submit(box["me"]).result()

    @flow
    def f():
        box["me"] = outer.submit()
        ready.set()
        with pytest.raises(ValueError, match="each would wait for the other"):
            box["me"].result(timeout=60)

    f()


def test_context_of_submitted_tasks(recorder: Recorder) -> None:
    from cellist import tags
    from cellist.context import get_run_context

    @task(**quick)
    def plain():
        return get_run_context().task_run.name  # type: ignore[union-attr] - called in a task

    @task(**quick)
    async def coroutine():
        return get_run_context().task_run.name  # type: ignore[union-attr] - called in a task

    @flow
    def f():
        with tags("blue"):
            futures = [plain.submit(), coroutine.submit(), *nothing.map([1])]
        for future in futures:
            assert future.run.tags == {"blue"}
        return [future.result() == future.name for future in futures[:2]]

    @task(**quick)
    def nothing(x):
        return x

    assert f() == [True, True]


def test_children_of_submitted_coroutines_know_their_parent(recorder: Recorder) -> None:
    @task(**quick)
    def child():
        return 1

    @task(**quick)
    async def parent():
        return child()

    @flow
    def f():
        return parent.submit().result()

    assert f() == 1
    assert recorder.one("child").parent is recorder.one("parent")
