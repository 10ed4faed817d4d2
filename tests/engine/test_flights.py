"""Single flight: one key is computed once at a time, and no wait for it closes a circle."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from cellist import cancel, flow, tags, task
from cellist.cache_policies import DEFAULT, INPUTS, NO_CACHE
from cellist.engine import flights
from cellist.exceptions import CancelledRun
from cellist.model.isolation import IsolationLevel
from cellist.task_runners import SequentialTaskRunner, ThreadPoolTaskRunner
from tests.sessions import Recorder

pytestmark = pytest.mark.usefixtures("recorder")

SECONDS = 60


class Gate:
    """Counts who comes, and lets them through when it is opened. Part of no key."""

    def __init__(self) -> None:
        self.count = 0
        self.inside = threading.Semaphore(0)
        self._open = threading.Event()

    def __cellist_key__(self) -> str:
        return "gate"

    def pass_through(self) -> int:
        self.count += 1
        number = self.count
        self.inside.release()
        assert self._open.wait(SECONDS)
        return number

    def arrived(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.inside.acquire(timeout=SECONDS)

    def open(self) -> None:
        self._open.set()


def eventually(condition: Callable[[], object]) -> None:
    """Wait until something becomes true that no event tells of."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


async def comes_true(condition: Callable[[], object]) -> None:
    """Wait as `eventually` does, on a loop."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def waiting(recorder: Recorder, name: str, count: int) -> Callable[[], bool]:
    """Whether so many runs of a task wait for a flight."""

    def check() -> bool:
        live = list(recorder.session.live.values())
        return count == sum(
            isinstance(x.waker, flights.Ticket) for x in live if x.run.definition.name == name
        )

    return check


def in_threads(*calls: Callable[[], Any]) -> list[Any]:
    """Make calls in threads of their own and return what they gave."""
    found: list[Any] = [None] * len(calls)

    def work(number: int) -> None:
        found[number] = calls[number]()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    return found


def names(states: list[Any]) -> list[str]:
    return sorted(state.name for state in states)


def open_when(gate: Gate, condition: Callable[[], bool]) -> Callable[[], None]:
    def wait() -> None:
        gate.arrived()
        eventually(condition)
        gate.open()

    return wait


def test_two_threads_compute_once(recorder: Recorder) -> None:
    gate = Gate()

    @task(name="slow")
    def slow(n: int) -> int:
        return gate.pass_through()

    states = in_threads(
        *[lambda: slow(1, return_state=True)] * 4, open_when(gate, waiting(recorder, "slow", 3))
    )[:4]
    assert gate.count == 1
    assert names(states) == ["Cached"] * 3 + ["Completed"]
    assert [state.result() for state in states] == [1] * 4
    hits = [state.why for state in states if state.name == "Cached"]
    assert all(str(why) == "reused: computed at the same time by `slow`" for why in hits)
    assert all((why.outcome, why.code) == ("hit", "reused") for why in hits)
    assert recorder.session.cache.flights.up == {}
    assert flights._waits == {}


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_submitted_runs_wait_without_a_worker(recorder: Recorder, workers: int) -> None:
    gate = Gate()

    @task(name="slow")
    def slow(n: int) -> int:
        return gate.pass_through()

    @task(name="other", cache_policy=NO_CACHE)
    def other() -> str:
        return "done"

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=workers))
    def whole() -> list[str]:
        futures = [slow.submit(1) for _ in range(5)]
        gate.arrived()
        if workers > 1:
            eventually(waiting(recorder, "slow", 4))
            assert other.submit().result(timeout=SECONDS) == "done"  # a worker is free
        gate.open()
        return [future.state.name for future in futures if future.result() == 1]

    assert sorted(whole()) == ["Cached"] * 4 + ["Completed"]
    assert gate.count == 1


@pytest.mark.parametrize("submitted", [False, True])
def test_coroutines_on_one_loop(submitted: bool) -> None:
    count = [0]
    gate = Gate()

    @task(cache_policy=INPUTS)
    async def slow(n: int, g: Any = gate) -> int:
        count[0] += 1
        await asyncio.sleep(0.05)
        return count[0]

    @flow
    async def whole() -> list[Any]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticking = asyncio.create_task(tick())
        if submitted:
            futures = [slow.submit(1) for _ in range(4)]
            found = [await future for future in futures]
        else:
            found = await asyncio.gather(*[slow(1) for _ in range(4)])
        ticking.cancel()
        assert ticks > 1  # the loop went on
        return found

    assert asyncio.run(whole()) == [1] * 4
    assert count == [1]


def test_a_failure_lets_the_next_one_compute(recorder: Recorder) -> None:
    gate = Gate()

    @task(name="slow", cache_policy=INPUTS)
    def slow(n: int) -> int:
        number = gate.pass_through()
        if number == 1:
            raise ValueError("first")
        return number

    states = in_threads(
        *[lambda: slow(1, return_state=True)] * 3, open_when(gate, waiting(recorder, "slow", 2))
    )[:3]
    assert gate.count == 2
    assert names(states) == ["Cached", "Completed", "Failed"]
    second = next(state for state in states if state.name == "Completed")
    assert second.why.outcome == "miss"
    assert "waited for `slow`, which left no result" in second.why.notes


def test_results_that_are_not_kept_hold_nobody_up(recorder: Recorder) -> None:
    gate = Gate()

    @task(name="mostly")
    def mostly(n: int) -> int | None:
        gate.pass_through()
        return None if n else 1

    states = in_threads(
        *[lambda: mostly(1, return_state=True)] * 3, open_when(gate, waiting(recorder, "mostly", 2))
    )[:3]
    assert gate.count == 3
    assert names(states) == ["Completed"] * 3
    again = Gate()
    gate.pass_through, gate.count = again.pass_through, 0

    def all_inside() -> None:
        again.arrived(2)  # both at once: no result is expected any more
        again.open()

    in_threads(lambda: mostly(2), lambda: mostly(2), all_inside)


def test_tasks_that_return_nothing_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=SECONDS)

    @task
    def effect(n: int) -> None:
        both.wait()

    @flow
    def whole() -> None:
        for future in [effect.submit(1), effect.submit(1)]:
            future.result(timeout=SECONDS)

    whole()


@pytest.mark.parametrize("how", ["refresh", "read committed", "no cache"])
def test_runs_that_must_compute_do_not_wait(how: str) -> None:
    both = threading.Barrier(2, timeout=SECONDS)
    options: dict[str, Any] = {
        "refresh": {"cache_policy": INPUTS, "refresh_cache": True},
        "read committed": {
            "cache_policy": INPUTS.configure(isolation_level=IsolationLevel.READ_COMMITTED)
        },
        "no cache": {"cache_policy": NO_CACHE},
    }

    @task(**options[how])
    def work(n: int) -> int:
        both.wait()
        return n

    assert in_threads(lambda: work(1), lambda: work(1)) == [1, 1]


def test_recursion_with_the_same_key() -> None:
    depth: list[int] = []

    @task(cache_key_fn=lambda context, parameters: "constant")
    def inner(n: int) -> int:
        depth.append(n)
        return n if n == 0 else inner(n - 1)

    assert inner(3) == 0
    assert depth == [3, 2, 1, 0]

    @task(cache_key_fn=lambda context, parameters: "constant 2")
    def by_future(n: int) -> int:
        return n if n == 0 else by_future.submit(n - 1).result(timeout=SECONDS)

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def whole() -> int:
        return by_future.submit(3).result(timeout=SECONDS)

    assert whole() == 0

    @task(cache_key_fn=lambda context, parameters: "constant 3")
    async def waited(n: int) -> int:
        return n if n == 0 else await waited(n - 1)

    assert asyncio.run(waited(3)) == 0


def test_two_that_need_each_other(recorder: Recorder) -> None:
    """A holds one key and wants the other's, B the other way round."""
    both = threading.Barrier(2, timeout=SECONDS)
    calls: list[str] = []
    tasks: dict[str, Any] = {}

    def make(mine: str, other: str) -> None:
        def work(top: bool) -> str:
            calls.append(mine)
            if top:
                both.wait()
                tasks[other](False)
            return mine

        tasks[mine] = task(work, name=mine, cache_key_fn=lambda context, parameters: mine)

    make("a", "b")
    make("b", "a")
    assert in_threads(lambda: tasks["a"](True), lambda: tasks["b"](True)) == ["a", "b"]
    assert len(calls) == 3  # one of the inner calls waited for the other thread
    assert flights._waits == {}


def constant_task(name: str, work: Callable[..., Any]) -> Any:
    return task(work, name=name, cache_key_fn=lambda context, parameters: "the same")


def test_a_holder_that_waits_for_the_future_of_a_waiter(recorder: Recorder) -> None:
    go = threading.Event()
    started = threading.Event()
    held: dict[str, Any] = {}

    def first(x: int) -> int:
        started.set()
        assert go.wait(SECONDS)
        return held["second"].result(timeout=SECONDS) + 1

    one, two = constant_task("one", first), constant_task("two", lambda x: x)

    @flow
    def whole() -> list[int]:
        a = one.submit(1)
        assert started.wait(SECONDS)
        held["second"] = two.submit(10)
        eventually(waiting(recorder, "two", 1))
        go.set()  # now the holder begins to wait for the waiter
        return [a.result(timeout=SECONDS), held["second"].result()]

    assert whole() == [11, 10]
    assert flights._waits == {}


def test_a_waiter_whose_future_the_holder_waits_for_already(recorder: Recorder) -> None:
    held: dict[str, Any] = {}
    ready = threading.Event()
    begin = threading.Event()

    def first(x: int) -> list[int]:
        assert ready.wait(SECONDS)
        begin.set()
        return held["middle"].result(timeout=SECONDS)

    one, two = constant_task("one", first), constant_task("two", lambda x: [x])

    @task(name="middle", cache_policy=NO_CACHE)
    def middle() -> list[int]:
        assert begin.wait(SECONDS)
        eventually(lambda: flights._waits)  # the holder waits for this run
        return two(5)

    @flow
    def whole() -> list[int]:
        a = one.submit(1)
        held["middle"] = middle.submit()
        ready.set()
        return a.result(timeout=SECONDS)

    assert whole() == [5]


def test_the_thread_of_the_holder_is_not_blocked() -> None:
    """A call out of a context of its own is no part of the run, but runs on its thread."""
    work = constant_task("work", lambda n: n if n == 0 else contextvars.Context().run(work, n - 1))
    assert work(1) == 0


def test_sync_code_on_the_loop_does_not_wait_for_a_coroutine_on_it() -> None:
    events: dict[str, asyncio.Event] = {}

    async def slow(x: int) -> str:
        events["started"].set()
        await events["go"].wait()
        return "async"

    a, b = constant_task("a", slow), constant_task("b", lambda x: "sync")

    async def main() -> list[str]:
        events.update(started=asyncio.Event(), go=asyncio.Event())
        first = asyncio.ensure_future(a(1))
        await events["started"].wait()
        found = b(1)
        events["go"].set()
        return [found, await first]

    assert asyncio.run(main()) == ["sync", "async"]


def test_cancelling_a_waiter_and_a_holder(recorder: Recorder) -> None:
    gate = Gate()

    @task(name="slow", cache_policy=INPUTS)
    def slow(n: int) -> int:
        return gate.pass_through()

    @flow
    def whole() -> list[str]:
        futures = [slow.submit(1) for _ in range(3)]
        gate.arrived()
        eventually(waiting(recorder, "slow", 2))
        running = [f for f in futures if f.run.number == holder(recorder).run.number]
        waiters = [f for f in futures if f not in running]
        waiters[0].cancel()
        with pytest.raises(CancelledRun):
            waiters[0].result(timeout=SECONDS)
        running[0].cancel()
        gate.open()
        assert waiters[1].result(timeout=SECONDS) == 2
        with pytest.raises(CancelledRun):
            running[0].result(timeout=SECONDS)
        return [f.state.name for f in futures]

    assert sorted(whole()) == ["Cancelled", "Cancelled", "Completed"]
    assert flights._waits == {}


def holder(recorder: Recorder) -> Any:
    (flight,) = recorder.session.cache.flights.up.values()
    return flight.holder


def test_cancelling_a_direct_call_that_waits(recorder: Recorder) -> None:
    gate = Gate()

    @task(name="slow", cache_policy=INPUTS)
    def slow(n: int) -> int:
        return gate.pass_through()

    def cancel_waiter() -> None:
        gate.arrived()
        eventually(waiting(recorder, "slow", 1))
        (x,) = [
            x for x in list(recorder.session.live.values()) if isinstance(x.waker, flights.Ticket)
        ]
        cancel(x.run)
        eventually(lambda: len(recorder.session.live) == 1)
        gate.open()

    def call() -> str:
        try:
            return str(slow(1))
        except CancelledRun:
            return "cancelled"

    assert sorted(in_threads(call, call, cancel_waiter)[:2]) == ["1", "cancelled"]


def test_a_cancelled_coroutine_leaves_the_others_waiting(recorder: Recorder) -> None:
    count = [0]
    gate = Gate()
    go: Any = None

    @task(name="slow", cache_policy=INPUTS)
    async def slow(n: int, g: Any = gate) -> int:
        count[0] += 1
        await go.wait()
        return count[0]

    async def main() -> list[Any]:
        nonlocal go
        go = asyncio.Event()
        calls = [asyncio.ensure_future(slow(1)) for _ in range(3)]
        await comes_true(lambda: count[0] and waiting(recorder, "slow", 2)())
        first = holder(recorder)
        others = [x for x in list(recorder.session.live.values()) if x is not first]
        for x in (others[0], first):
            carrier: Any = x.carrier
            carrier.task.cancel()
        await comes_true(lambda: count[0] == 2)
        go.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    found = asyncio.run(main())
    assert sum(isinstance(one, asyncio.CancelledError) for one in found) == 2
    assert [one for one in found if isinstance(one, int)] == [2]


def test_a_coroutine_cancelled_while_it_looks_up_keeps_nobody_waiting(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, go, looked = threading.Event(), threading.Event(), threading.Event()
    get = recorder.session.store.get

    def slow_get(key: str, **options: Any) -> Any:
        looking.set()
        assert go.wait(SECONDS)
        try:
            return get(key, **options)
        finally:
            looked.set()

    @task(cache_policy=INPUTS)
    async def work(n: int) -> int:
        return n

    async def main() -> int:
        call = asyncio.ensure_future(work(1))
        await comes_true(looking.is_set)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        go.set()
        await comes_true(looked.is_set)
        return await asyncio.wait_for(work(1), SECONDS)

    monkeypatch.setattr(recorder.session.store, "get", slow_get)
    assert asyncio.run(main()) == 1
    eventually(lambda: not recorder.session.cache.flights.up)


def test_nested_tasks_share_across_parents(recorder: Recorder) -> None:
    gate = Gate()

    @task(name="inner")
    def inner(n: int) -> int:
        return gate.pass_through()

    @task(name="outer")
    def outer(n: int) -> int:
        return inner(0) + n

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
    def whole() -> list[int]:
        futures = outer.map(range(6))
        gate.arrived()
        eventually(waiting(recorder, "inner", 5))  # a call that waits gives its place back
        gate.open()
        return futures.result()

    assert whole() == [1 + n for n in range(6)]
    assert gate.count == 1


def test_one_after_the_other_in_one_thread() -> None:
    calls: list[int] = []

    @task(cache_policy=DEFAULT)
    def work(n: int) -> int:
        calls.append(n)
        return n

    work_plain = task(work.fn, cache_policy=INPUTS)

    @flow(task_runner=SequentialTaskRunner())
    def whole() -> list[int]:
        return [work_plain.submit(1).result() for _ in range(3)]

    assert whole() == [1, 1, 1]
    assert calls == [1]


def test_many_waiters_are_quick(recorder: Recorder) -> None:
    gate = Gate()

    @task(name="slow")
    def slow(n: int) -> int:
        return gate.pass_through()

    @flow
    def whole() -> float:
        futures = [slow.submit(1) for _ in range(2000)]
        gate.arrived()
        try:
            eventually(waiting(recorder, "slow", 1999))
        finally:
            start = time.perf_counter()
            gate.open()  # or those that wait would take turns at it
        assert {future.result(timeout=SECONDS) for future in futures} == {1}
        return time.perf_counter() - start

    assert whole() < SECONDS
    assert gate.count == 1


def test_a_waiter_holds_no_slot_that_the_holder_needs(recorder: Recorder) -> None:
    """The waiter has the one slot of `b`; a run inside the holder wants it."""
    recorder.session.limits.set("tag:b", 1)
    inside, go = threading.Event(), threading.Event()

    @task(name="part", tags=["b"], cache_policy=NO_CACHE)
    def part() -> str:
        return "part"

    def work(x: int) -> str:
        inside.set()
        assert go.wait(SECONDS)
        return part()

    slow = constant_task("slow", work)

    @flow
    def whole() -> list[str]:
        first = slow.submit(1)
        assert inside.wait(SECONDS)
        with tags("b"):
            second = slow.submit(1)
        eventually(waiting(recorder, "slow", 1))
        go.set()
        return [one.result(timeout=SECONDS) for one in (first, second)]

    assert whole() == ["part", "part"]
    assert [run.run_count for run in recorder.of("slow")] == [1, 1]
