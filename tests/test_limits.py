"""`cellist.limits` and runs whose tags are limited."""

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import cellist
from cellist import flow, limits, tags, task
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import CancelledRun, ConcurrencySlotAcquisitionError, ObjectNotFound
from cellist.task_runners import SequentialTaskRunner, ThreadPoolTaskRunner
from tests.engine.test_interrupts import press_when
from tests.sessions import WAYS, Recorder, as_task, final_state, names, outcome

quick: dict[str, Any] = {"cache_policy": NO_CACHE}
WAITS = "AwaitingConcurrencySlot"


def waiting(recorder: Recorder, name: str, count: int = 1) -> Any:
    return lambda: sum(run.state_name == WAITS for run in recorder.of(name)) >= count


def until(ready: Any) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.001)


def hold(recorder: Recorder) -> Any:
    """Take the only slot of `db`, and return what gives it back."""
    limits.set_tag("db", 1)
    gate, started = threading.Event(), threading.Event()

    @task(tags=["db"], **quick)
    def holder() -> None:
        started.set()
        gate.wait(30)

    future = holder.submit()
    assert started.wait(60)

    def let_go() -> None:
        gate.set()
        future.result(timeout=60)

    return let_go


class Meter:
    """How many are inside at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = self.all = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.all += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


def test_it_is_there_from_the_top() -> None:
    assert cellist.limits is limits
    assert "limits" in dir(cellist)


@pytest.mark.parametrize(
    ("name", "arguments", "error", "words"),
    [
        ("set", ("db", -1), ValueError, "'db' must be a whole number >= 0, got -1"),
        ("set", ("db", 1.5), TypeError, "'db' must be a whole number >= 0, got 1.5"),
        ("set", ("db", True), ValueError, "whole number"),
        ("set", ("db", "2"), TypeError, "whole number"),
        ("set", ("", 1), ValueError, "must not be empty"),
        ("set", (None, 1), TypeError, "must be text, got None"),
        ("set_tag", ("", 1), ValueError, "must not be empty"),
        ("set_tag", ("db", None), TypeError, "'tag:db' must be a whole number"),
        ("set_rate", ("a", 0), ValueError, "`per_second`.*'a'.*> 0, got 0"),
        ("set_rate", ("a", -2.0), ValueError, "> 0, got -2.0"),
        ("set_rate", ("a", float("nan")), ValueError, "> 0, got nan"),
        ("set_rate", ("a", "2"), TypeError, "> 0, got '2'"),
        ("set_rate", ("a", 2, -1), ValueError, "'a' must be a whole number >= 0"),
        ("remove", ("nope",), ObjectNotFound, r"no limit 'nope'.*are: 'here'"),
    ],
)
def test_what_cannot_be_is_refused(
    recorder: Recorder, name: str, arguments: Any, error: Any, words: str
) -> None:
    limits.set("here", 1)
    with pytest.raises(error, match=words):
        getattr(limits, name)(*arguments)
    assert [one.name for one in limits.table()] == ["here"]


def test_show_is_a_frame_of_the_table(recorder: Recorder) -> None:
    limits.set_rate("api", per_second=2, limit=3)
    limits.set_tag("db", 4)
    frame = limits.show()
    assert list(frame["name"]) == ["api", "tag:db"]
    assert list(frame["limit"]) == [3, 4]
    assert frame["per_second"][0] == 2.0
    assert list(frame["in_use"]) == [0, 0]
    assert list(frame["waiting"]) == [0, 0]
    assert list(frame["held_by"]) == [(), ()]


@pytest.mark.parametrize(("set_it", "name"), [("set", "tag:db"), ("set_tag", "db")])
def test_a_tag_is_limited_by_either_name(recorder: Recorder, set_it: str, name: str) -> None:
    getattr(limits, set_it)(name, 0)

    @task(tags=["db"], **quick)
    def t() -> int:
        return 1

    with pytest.raises(ConcurrencySlotAcquisitionError, match="Limit 'tag:db' is 0"):
        t()
    getattr(limits, set_it)(name, 1)
    assert t() == 1
    limits.remove("tag:db")
    assert t() == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_limit_of_nothing_fails_in_every_way(recorder: Recorder, way: str) -> None:
    limits.set_tag("db", 0)
    t = as_task(way, lambda: 1, name="t", tags=["db"])
    state = final_state(way, t)
    assert state.name == "Failed"
    with pytest.raises(ConcurrencySlotAcquisitionError, match="tag:db"):
        state.result()
    assert names(recorder.one("t")) == ["Pending", "Failed"]


@pytest.mark.parametrize("way", WAYS)
def test_the_wait_ends_when_the_slot_is_free(recorder: Recorder, way: str) -> None:
    limits.set_tag("db", 1)
    gate, started = threading.Event(), threading.Event()

    @task(tags=["db"], **quick)
    def holder() -> None:
        started.set()
        gate.wait(60)

    first = holder.submit()
    assert started.wait(60)
    t = as_task(way, lambda: "through", name="t", tags=["db"])
    with ThreadPoolExecutor(1) as other:
        second = other.submit(outcome, way, t)
        until(waiting(recorder, "t"))
        (info,) = limits.table()
        assert (info.in_use, info.waiting, info.held_by) == (1, 1, (first.run.name,))
        gate.set()
        assert second.result(60) == "through"
    run = recorder.one("t")
    assert names(run) == ["Pending", WAITS, "Running", "Completed"]
    assert run.states[1].message == "Waiting for a slot of limit 'tag:db' (1 of 1 in use)."
    assert run.states[2].at >= recorder.one("holder").states[-1].at
    assert limits.table()[0].in_use == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ends", ["value", "error", "timeout", "crash"])
def test_every_end_gives_the_slot_back(recorder: Recorder, way: str, ends: str) -> None:
    limits.set_tag("db", 1)

    def body() -> None:
        if ends == "error":
            raise ValueError
        if ends == "crash":
            raise SystemExit
        if ends == "timeout":
            raise TimeoutError

    t = as_task(way, body, name="t", tags=["db"])
    for _ in range(2):
        try:
            outcome(way, t)
        except (ValueError, TimeoutError, SystemExit):
            assert ends != "value"
    assert [WAITS in names(run) for run in recorder.of("t")] == [False, False]
    assert limits.table()[0].in_use == 0


def test_mapped_runs_never_exceed_the_limit(recorder: Recorder) -> None:
    limits.set_tag("db", 2)
    meter = Meter()

    @task(tags=["db"], **quick)
    def query(n: int) -> int:
        with meter:
            return n

    @flow
    def f() -> list[int]:
        return query.map(range(200)).result()

    assert f() == list(range(200))
    assert meter.most <= 2
    assert limits.table()[0].in_use == 0


def test_runs_go_on_in_the_order_in_which_they_began_to_wait(recorder: Recorder) -> None:
    let_go = hold(recorder)
    order: list[int] = []
    t = as_task("submit", order.append, name="t", tags=["db"])
    futures = []
    for n in range(20):
        futures.append(t.submit(n))
        until(waiting(recorder, "t", n + 1))
    let_go()
    for future in futures:
        future.result(timeout=60)
    assert order == list(range(20))
    notes = [run.states[1].message for run in recorder.of("t")]
    assert notes[0] == "Waiting for a slot of limit 'tag:db' (1 of 1 in use)."
    assert notes[7] == "Waiting for a slot of limit 'tag:db' (1 of 1 in use, 7 ahead)."


def test_waiting_runs_hold_no_thread_and_no_place(recorder: Recorder) -> None:
    """One place in the pool, many that wait for a slot, and yet others get through."""
    limits.set_tag("db", 1)
    gate = threading.Event()

    @task(tags=["db"], **quick)
    async def holder() -> None:
        await asyncio.to_thread(gate.wait, 20)

    @task(tags=["db"], **quick)
    def query(n: int) -> int:
        return n

    @task(**quick)
    def free() -> str:
        return "through"

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def f() -> list[int]:
        first = holder.submit()
        until(lambda: first.run.attempts)
        waits = query.map(range(500))
        until(waiting(recorder, "query", 500))
        threads = threading.active_count()
        assert free.submit().result(timeout=60) == "through"
        assert threading.active_count() <= threads + 1
        gate.set()
        return waits.result()

    before = threading.active_count()
    assert f() == list(range(500))
    assert threading.active_count() <= before + 10


def test_several_tags_are_taken_together(recorder: Recorder) -> None:
    limits.set_tag("a", 1)
    limits.set_tag("b", 1)
    meters = {"a": Meter(), "b": Meter()}

    def work(*which: str) -> None:
        if not which:
            return
        with meters[which[0]]:
            work(*which[1:])

    a = task(lambda: work("a"), name="a", tags=["a"], **quick)
    b = task(lambda: work("b"), name="b", tags=["b"], **quick)
    both = task(lambda: work("a", "b"), name="both", tags=["b", "a", "unlimited"], **quick)

    @flow
    def f() -> None:
        for future in [t.submit() for _ in range(40) for t in (a, both, b)]:
            future.result(timeout=30)

    f()
    assert meters["a"].most == meters["b"].most == 1
    assert meters["a"].all == meters["b"].all == 80


def test_tags_of_the_context_count(recorder: Recorder) -> None:
    limits.set_tag("db", 0)

    @task(**quick)
    def t() -> int:
        return 1

    assert t() == 1
    with tags("db"), pytest.raises(ConcurrencySlotAcquisitionError):
        t()


@pytest.mark.parametrize("call", ["direct", "submit", "map"])
def test_a_run_inside_one_with_its_tag_gets_through(recorder: Recorder, call: str) -> None:
    limits.set_tag("db", 1)
    meter = Meter()

    @task(**quick)
    def inner(n: int) -> int:
        with meter:
            return n

    @task(**quick)
    def outer() -> Any:
        if call == "direct":
            return [inner(0), inner(1)]
        if call == "submit":
            return [inner.submit(n).result(timeout=60) for n in range(2)]
        return inner.map(range(50)).result(timeout=60)[:2]

    @flow
    def f() -> Any:
        with tags("db"):
            return outer.submit().result(timeout=60)

    assert f() == [0, 1]
    assert meter.most == 1
    assert limits.table()[0].in_use == 0


async def test_async_runs_inside_one_with_their_tag_get_through(
    recorder: Recorder,
) -> None:
    limits.set_tag("db", 1)
    meter = Meter()

    @task(tags=["db"], **quick)
    async def inner(n: int) -> int:
        with meter:
            await asyncio.sleep(0)
        return n

    @task(tags=["db"], **quick)
    async def outer() -> list[int]:
        return await asyncio.gather(*(inner(n) for n in range(20)))

    assert await outer() == list(range(20))
    assert meter.most == 1


def test_a_child_that_outlives_its_parent_keeps_the_slot(recorder: Recorder) -> None:
    limits.set_tag("db", 1)
    gate, started = threading.Event(), threading.Event()

    @task(tags=["db"], **quick)
    def child() -> None:
        started.set()
        gate.wait(60)

    @task(tags=["db"], **quick)
    def parent() -> Any:
        child.submit()
        started.wait(60)

    @task(tags=["db"], **quick)
    def stranger() -> int:
        return 1

    @flow
    def f() -> int:
        parent.submit().result(timeout=60)
        assert limits.table()[0].in_use == 1
        last = stranger.submit()
        until(waiting(recorder, "stranger"))
        gate.set()
        return last.result(timeout=60)

    assert f() == 1


def test_a_retry_wait_lets_others_in(recorder: Recorder) -> None:
    limits.set_tag("db", 1)

    @task(tags=["db"], retries=1, retry_delay_seconds=1000, **quick)
    def flaky() -> str:
        if recorder.one("flaky").attempts == 1:
            raise ValueError
        return "fine"

    @task(tags=["db"], **quick)
    def query(gate: threading.Event, started: threading.Event) -> int:
        started.set()
        gate.wait(60)
        return 1

    @flow
    def f() -> str:
        gate, started = threading.Event(), threading.Event()
        first = flaky.submit()
        until(lambda: first.state.name == "AwaitingRetry")
        second = query.submit(gate, started)
        assert started.wait(60)
        waker = recorder.session.find(first.run).waker
        assert waker is not None
        waker.wake("retry_now")
        until(waiting(recorder, "flaky"))
        gate.set()
        second.result(timeout=60)
        return first.result(timeout=60)

    assert f() == "fine"
    assert names(recorder.one("flaky")) == [
        "Pending",
        "Running",
        "AwaitingRetry",
        WAITS,
        "Retrying",
        "Completed",
    ]
    run = cellist.run(recorder.one("flaky").id)
    assert [attempt.ended_in for attempt in run.attempts] == ["AwaitingRetry", "Completed"]
    assert run.states[3].name == WAITS
    assert run.states[3].message == "Waiting for a slot of limit 'tag:db' (1 of 1 in use)."


@pytest.mark.parametrize("kind", ["thread", "loop"])
def test_cancel_while_waiting_for_a_slot(recorder: Recorder, kind: str) -> None:
    let_go = hold(recorder)
    t = as_task("submit" if kind == "thread" else "submit async", lambda: 1, name="t", tags=["db"])
    futures = [t.submit() for _ in range(3)]
    until(waiting(recorder, "t", 3))
    futures[1].cancel()
    futures[1].wait(60)
    assert futures[1].state.is_cancelled()
    assert names(futures[1].run) == ["Pending", WAITS, "Cancelled"]
    assert limits.table()[0].waiting == 2
    let_go()
    assert [futures[0].result(timeout=60), futures[2].result(timeout=60)] == [1, 1]


def test_cancel_of_a_flow_whose_runs_wait_for_slots(recorder: Recorder) -> None:
    let_go = hold(recorder)

    @task(tags=["db"], **quick)
    def t(n: int) -> int:
        return n

    @flow
    def f() -> Any:
        return t.map(range(5)).result()

    def canceller() -> None:
        until(waiting(recorder, "t", 5))
        cellist.cancel(recorder.one("f"))

    thread = threading.Thread(target=canceller)
    thread.start()
    with pytest.raises(CancelledRun):
        f()
    thread.join()
    assert {names(run)[-1] for run in recorder.of("t")} == {"Cancelled"}
    assert limits.table()[0].waiting == 0
    let_go()


@pytest.mark.parametrize("where", ["main thread", "another thread", "loop", "in a thread task"])
def test_cancel_of_a_direct_call_that_waits(recorder: Recorder, where: str) -> None:
    let_go = hold(recorder)
    t = as_task("adrive" if where == "loop" else "drive", lambda: 1, name="t", tags=["db"])
    ended: list[BaseException] = []

    @task(**quick)
    def outer() -> None:
        t()

    def canceller() -> None:
        until(waiting(recorder, "t"))
        cellist.cancel(recorder.one("t"))

    def call() -> None:
        try:
            if where == "in a thread task":
                outer.submit().result(timeout=60)
            else:
                outcome("adrive" if where == "loop" else "drive", t)
        except CancelledRun as error:
            ended.append(error)

    threads = [threading.Thread(target=canceller)]
    if where == "another thread":
        threads.append(threading.Thread(target=call))
    for thread in threads:
        thread.start()
    if where != "another thread":
        call()
    for thread in threads:
        thread.join(60)
    assert len(ended) == 1
    assert names(recorder.one("t")) == ["Pending", WAITS, "Cancelled"]
    assert limits.table()[0].waiting == 0
    let_go()


def test_stop_while_a_direct_call_waits_for_a_slot(recorder: Recorder) -> None:
    let_go = hold(recorder)

    @task(tags=["db"], **quick)
    def t() -> None: ...

    thread = press_when(waiting(recorder, "t"))
    with pytest.raises(KeyboardInterrupt):
        t()
    thread.join()
    assert names(recorder.one("t")) == ["Pending", WAITS, "Cancelled"]
    assert limits.table()[0].waiting == 0
    let_go()
    t()


def test_stop_while_an_awaited_run_waits_for_a_slot(recorder: Recorder) -> None:
    let_go = hold(recorder)

    @task(tags=["db"], **quick)
    async def t() -> None: ...

    thread = press_when(waiting(recorder, "t"))
    with pytest.raises((KeyboardInterrupt, asyncio.CancelledError)):
        asyncio.run(t())
    thread.join()
    assert names(recorder.one("t")) == ["Pending", WAITS, "Cancelled"]
    let_go()
    assert limits.table()[0][3:5] == (0, 0)


@pytest.mark.parametrize("way", WAYS)
def test_the_time_limit_does_not_count_the_wait(recorder: Recorder, way: str) -> None:
    let_go = hold(recorder)
    t = as_task(way, lambda: "in time", name="t", tags=["db"], timeout_seconds=0.3)
    with ThreadPoolExecutor(1) as other:
        second = other.submit(outcome, way, t)
        until(waiting(recorder, "t"))
        time.sleep(0.4)  # longer than the limit: a wait that counted would be over by then
        let_go()
        assert second.result(60) == "in time"


@pytest.mark.parametrize("runner", [SequentialTaskRunner, ThreadPoolTaskRunner(max_workers=1)])
def test_a_time_limit_frees_the_slot_come_what_may(recorder: Recorder, runner: Any) -> None:
    limits.set_tag("db", 1)
    gate = threading.Event()

    @task(tags=["db"], timeout_seconds=0.05, **quick)
    def stuck() -> None:
        gate.wait(60)

    @task(tags=["db"], **quick)
    def after() -> int:
        return 1

    @flow(task_runner=runner)
    def f() -> int:
        assert stuck.submit(return_state=True).name == "TimedOut"
        return after.submit().result(timeout=60)

    assert f() == 1
    gate.set()


def test_a_direct_call_that_waits_gives_its_place_to_who_holds_the_slot(recorder: Recorder) -> None:
    """One place: `outer` has it and calls `inner`, whose slot is held by who needs the place."""
    limits.set_tag("db", 1)
    started, queued = threading.Event(), threading.Event()

    @task(tags=["db"], **quick)
    def holder() -> int:
        started.set()
        queued.wait(60)
        return after.submit().result(timeout=60)  # gives its place to `outer`, keeps its slot

    @task(**quick)
    def after() -> int:
        return 1

    @task(tags=["db"], **quick)
    def inner() -> int:
        return 2

    @task(**quick)
    def outer() -> int:
        return inner()

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def f() -> Any:
        first = holder.submit()
        assert started.wait(60)
        second = outer.submit()
        queued.set()
        return first.result(timeout=60), second.result(timeout=60)

    assert f() == (1, 2)
    assert WAITS in names(recorder.one("inner"))


async def test_a_sync_task_lets_the_loop_go_on_for_who_holds_the_slot(recorder: Recorder) -> None:
    """Two coroutines on one loop; one calls a sync task, which has to wait for the other."""
    limits.set_tag("db", 1)
    started = asyncio.Event()

    @task(tags=["db"], **quick)
    async def holder() -> str:
        started.set()
        await asyncio.sleep(0.01)
        return "held"

    @task(tags=["db"], **quick)
    def query() -> str:
        return "asked"

    async def asks() -> str:
        await started.wait()
        return query()

    assert await asyncio.gather(holder(), asks()) == ["held", "asked"]
    assert names(recorder.one("query")) == ["Pending", WAITS, "Running", "Completed"]


def test_a_set_limit_is_felt_at_once_by_who_waits(recorder: Recorder) -> None:
    let_go = hold(recorder)
    t = as_task("submit", lambda: 1, name="t", tags=["db"])
    futures = [t.submit() for _ in range(2)]
    until(waiting(recorder, "t", 2))
    limits.set_tag("db", 3)
    assert [future.result(timeout=60) for future in futures] == [1, 1]
    let_go()


def test_a_removed_limit_holds_nobody_up(recorder: Recorder) -> None:
    let_go = hold(recorder)
    future = as_task("submit", lambda: 1, name="t", tags=["db"]).submit()
    until(waiting(recorder, "t"))
    limits.remove("tag:db")
    assert future.result(timeout=60) == 1
    let_go()


def test_a_tag_with_a_rate_starts_runs_by_the_rate(recorder: Recorder) -> None:
    limits.set_rate("tag:api", per_second=20)

    @task(tags=["api"], **quick)
    def call() -> None: ...

    @flow
    def f() -> None:
        for future in [call.submit() for _ in range(5)]:
            future.result(timeout=60)

    f()
    begins = sorted(run.states[-2].at for run in recorder.of("call"))
    assert begins[-1] - begins[0] >= 4 * 0.05e9 * 0.95


def test_runs_that_waited_leave_nothing_behind(recorder: Recorder) -> None:
    let_go = hold(recorder)
    t = as_task("submit", lambda: 1, name="t", tags=["db"])
    future = t.submit()
    until(waiting(recorder, "t"))
    execution = recorder.session.find(future.run)
    permit = execution.permit
    let_go()
    assert future.result(timeout=60) == 1
    assert execution.permit is None
    assert permit.holds == {}
    del execution, permit
    gc.collect()
    from cellist.engine.permits import Permit

    permits = [one for one in gc.get_objects() if isinstance(one, Permit)]
    assert not [one for one in permits if one.run is future.run]  # those of other tests may end
