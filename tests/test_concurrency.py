"""`concurrency` and `rate_limit`, in sync and async code, inside runs and outside."""

import asyncio
import contextlib
import inspect
import threading
import time
import warnings
from collections.abc import Callable, Generator
from typing import Any

import pytest

from cellist import flow, limits, tags, task
from cellist.cache_policies import NO_CACHE
from cellist.concurrency import asyncio as for_async
from cellist.concurrency import concurrency, rate_limit
from cellist.concurrency import sync as for_sync
from cellist.concurrency.asyncio import concurrency as async_concurrency
from cellist.concurrency.sync import concurrency as sync_concurrency
from cellist.engine import waiting
from cellist.exceptions import (
    AcquireConcurrencySlotTimeoutError,
    CellistError,
    ConcurrencySlotAcquisitionError,
)
from cellist.session import CellistWarning
from cellist.task_runners import ThreadPoolTaskRunner
from tests.engine.test_interrupts import press_when
from tests.sessions import WAYS, Recorder, as_task, names, outcome
from tests.test_limits import Meter, until

quick: dict[str, Any] = {"cache_policy": NO_CACHE}


@pytest.fixture(autouse=True)
def own_session(recorder: Recorder) -> Recorder:
    return recorder


def state_of(name: str) -> tuple[float, int]:
    """How many slots are in use, and how many wait."""
    return next((one.in_use, one.waiting) for one in limits.table() if one.name == name)


@contextlib.contextmanager
def held_elsewhere(name: str) -> Generator[Callable[[], None]]:
    """Have a thread hold a slot until the block ends or what it yields is called."""
    held, done = threading.Event(), threading.Event()

    def holder() -> None:
        with concurrency(name):
            held.set()
            done.wait(30)

    thread = threading.Thread(target=holder)
    thread.start()
    assert held.wait(60)
    try:
        yield done.set
    finally:
        done.set()
        thread.join(60)


def enter(kind: str, *args: Any, **kwargs: Any) -> None:
    """Go through an empty block."""
    if kind == "sync":
        with concurrency(*args, **kwargs):
            return

    async def main() -> None:
        async with concurrency(*args, **kwargs):
            return

    asyncio.run(main())


def call_rate(kind: str, *args: Any, **kwargs: Any) -> None:
    if kind == "sync":
        rate_limit(*args, **kwargs)
        return

    async def main() -> None:
        await rate_limit(*args, **kwargs)

    asyncio.run(main())


KINDS = pytest.mark.parametrize("kind", ["sync", "async"])


# --- the table of SPEC §15 -------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize(
    ("names", "options", "error", "words"),
    [
        ("two", {}, None, ""),
        (["two", "one"], {}, None, ""),
        (("two", "two"), {"occupy": 2}, None, ""),
        ([], {}, None, ""),
        ([], {"strict": True}, None, ""),
        (None, {}, None, ""),
        ("two", {"occupy": 2}, None, ""),
        ("two", {"timeout_seconds": 0}, None, ""),
        ("two", {"max_retries": 0, "lease_duration": 60, "holder": "me"}, None, ""),
        ("two", {"raise_on_lease_renewal_failure": True}, None, ""),
        (
            "nope",
            {"strict": True},
            ConcurrencySlotAcquisitionError,
            r"no limit 'nope'.*set\('nope'",
        ),
        (["two", "x", "y"], {"strict": True}, ConcurrencySlotAcquisitionError, "no limit 'x', 'y'"),
        ("two", {"occupy": 3}, ConcurrencySlotAcquisitionError, r"'two' has 2 slot\(s\), 3 were"),
        ("none", {}, ConcurrencySlotAcquisitionError, "'none' is 0"),
        (
            "full",
            {"timeout_seconds": 0},
            AcquireConcurrencySlotTimeoutError,
            r"within 0 sec.*'full'",
        ),
        ("full", {"timeout_seconds": 0.01}, TimeoutError, "within 0.01 second"),
        (["two", "full"], {"timeout_seconds": 0.01}, TimeoutError, "'full' .1 of 1 in use"),
        ("full", {"max_retries": 0}, ConcurrencySlotAcquisitionError, "No slot is free"),
    ],
)
def test_the_table(kind: str, names: Any, options: Any, error: Any, words: str) -> None:
    for name, most in {"none": 0, "one": 1, "two": 2, "full": 1}.items():
        limits.set(name, most)
    before = {one.name: (one.in_use, one.waiting) for one in limits.table()}
    with held_elsewhere("full"):
        if error is None:
            enter(kind, names, **options)
        else:
            with pytest.raises(error, match=words):
                enter(kind, names, **options)
    assert {one.name: (one.in_use, one.waiting) for one in limits.table()} == before


@pytest.mark.parametrize("call", [enter, call_rate])
@KINDS
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("a", 0), ValueError, "`occupy` must be a whole number >= 1, got 0"),
        (("a", -1), ValueError, "`occupy`"),
        (("a", True), ValueError, "`occupy`"),
        (("a", 1.5), TypeError, "`occupy`.*got 1.5"),
        (("a", 1, -1.0), ValueError, "`timeout_seconds` must be >= 0 or None, got -1.0"),
        (([1],), TypeError, r"names of limits must be text, got \[1\]"),
    ],
)
def test_arguments_that_cannot_be(
    call: Any, kind: str, arguments: Any, error: Any, words: str
) -> None:
    with pytest.raises(error, match=words):
        call(kind, *arguments)


@KINDS
def test_an_unknown_limit_warns_once_and_limits_nothing(kind: str) -> None:
    limits.set("known", 1)
    with pytest.warns(CellistWarning, match=r"no limit 'typo'.*limits\.set\('typo', 1\)") as caught:
        enter(kind, ["known", "typo"])
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        enter(kind, "typo")
        call_rate(kind, "typo")


def test_the_errors_are_what_a_caller_catches() -> None:
    assert issubclass(AcquireConcurrencySlotTimeoutError, TimeoutError)
    assert issubclass(ConcurrencySlotAcquisitionError, CellistError)
    for module in (for_sync, for_async):
        assert module.AcquireConcurrencySlotTimeoutError is AcquireConcurrencySlotTimeoutError
        assert module.ConcurrencySlotAcquisitionError is ConcurrencySlotAcquisitionError
    assert sync_concurrency is async_concurrency is concurrency


# --- who is let in ---------------------------------------------------------------------------


@KINDS
def test_no_more_than_the_limit_are_inside(kind: str) -> None:
    limits.set("db", 2)
    meter = Meter()

    def in_thread() -> None:
        for _ in range(20):
            with concurrency("db"), meter:
                time.sleep(0)

    async def coroutine() -> None:
        for _ in range(20):
            async with concurrency("db"):
                with meter:
                    await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(coroutine() for _ in range(10)))

    if kind == "async":
        asyncio.run(main())
    else:
        threads = [threading.Thread(target=in_thread) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert (meter.all, meter.most) == (200, 2)
    assert state_of("db") == (0, 0)


def test_slots_are_given_back_after_an_error() -> None:
    limits.set("db", 1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), concurrency("db"):
            _ = 1 / 0
    assert state_of("db") == (0, 0)


def test_one_object_may_be_used_again() -> None:
    limits.set("db", 2)
    slots = concurrency("db")
    with slots:
        with slots:
            assert state_of("db") == (2, 0)
        assert state_of("db") == (1, 0)
    with slots:
        assert state_of("db") == (1, 0)


def test_tags_and_blocks_share_a_limit() -> None:
    limits.set_tag("db", 1)
    inside = []

    @task(tags=["db"], **quick)
    def query() -> None:
        inside.append(state_of("tag:db"))

    with concurrency("tag:db"):
        future = query.submit()
        until(lambda: future.state.name == "AwaitingConcurrencySlot")
    future.result(timeout=60)
    assert inside == [(1, 0)]


@KINDS
def test_a_block_inside_a_block_that_has_all_slots_is_told_so(kind: str) -> None:
    limits.set("db", 1)
    if kind == "sync":
        with concurrency("db"), pytest.raises(ConcurrencySlotAcquisitionError, match="for itself"):
            enter("sync", "db")
    else:

        async def main() -> None:
            async with concurrency("db"):
                with pytest.raises(ConcurrencySlotAcquisitionError, match="for itself"):
                    async with concurrency("db"):
                        pass

        asyncio.run(main())
    assert state_of("db") == (0, 0)


def test_with_a_timeout_a_block_waits_for_itself_as_long_as_it_says() -> None:
    limits.set("db", 1)
    with concurrency("db"), pytest.raises(AcquireConcurrencySlotTimeoutError):
        enter("sync", "db", timeout_seconds=0.01)


async def test_a_block_in_a_task_started_inside_a_block_waits_for_its_end() -> None:
    limits.set("db", 1)
    order = []

    async def other() -> None:
        async with concurrency("db"):
            order.append("other")

    async with concurrency("db"):
        started = asyncio.ensure_future(other())
        await another_waits()
        order.append("outer")
    await started
    assert order == ["outer", "other"]


def test_a_task_that_takes_its_own_tag_again_is_told_so() -> None:
    limits.set_tag("db", 1)

    @task(tags=["db"], **quick)
    def query() -> None:
        with concurrency("tag:db"):
            pass

    with pytest.raises(ConcurrencySlotAcquisitionError, match="in 'query', which would wait"):
        query()


def test_a_direct_call_whose_tag_the_caller_holds_in_a_block_is_told_so() -> None:
    limits.set_tag("db", 1)

    @task(**quick)
    def query() -> None: ...

    with tags("db"), concurrency("tag:db"), pytest.raises(ConcurrencySlotAcquisitionError):
        query()


def test_nested_blocks_are_not_locked_out_by_who_waits_for_both() -> None:
    """Somebody waits for `a` and `b`; we hold `a`, so `b` must not be kept for them."""
    limits.set("a", 1)
    limits.set("b", 1)
    through = []

    def both() -> None:
        with concurrency(["a", "b"]):
            through.append("both")

    with concurrency("a"):
        thread = threading.Thread(target=both)
        thread.start()
        until(lambda: state_of("b") == (0, 1))
        with concurrency("b", timeout_seconds=20):
            through.append("b")
    thread.join(60)
    assert through == ["b", "both"]


# --- waiting -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_waits_goes_on_at_once_and_says_what_it_waited_for(
    recorder: Recorder, way: str
) -> None:
    limits.set("db", 1)

    def body() -> str:
        with concurrency("db"):
            return "through"

    async def abody() -> str:
        async with concurrency("db"):
            return "through"

    is_async = way in {"adrive", "submit async"}
    t = task(abody, name="t", **quick) if is_async else as_task(way, body, name="t")

    def release(let_go: Callable[[], None]) -> None:
        until(lambda: state_of("db") == (1, 1))
        let_go()

    with held_elsewhere("db") as let_go:
        thread = threading.Thread(target=release, args=(let_go,))
        thread.start()
        assert outcome(way, t) == "through"
        thread.join()
    assert recorder.logs() == ["Waiting for a slot of limit 'db' (1 of 1 in use)."]
    assert names(recorder.one("t")) == ["Pending", "Running", "Completed"]


def test_a_block_that_waits_in_a_thread_gives_its_place_to_others() -> None:
    """One place in the pool: who holds the slot needs it to go on."""
    limits.set("db", 1)
    held, go_on = threading.Event(), threading.Event()

    @task(**quick)
    def holder() -> str:
        with concurrency("db"):
            held.set()
            go_on.wait(60)
            return after.submit().result(timeout=60)

    @task(**quick)
    def after() -> str:
        return "through"

    @task(**quick)
    def waits() -> str:
        with concurrency("db"):
            return "through too"

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def f() -> tuple[str, str]:
        first = holder.submit()
        held.wait(60)
        second = waits.submit()
        go_on.set()
        return first.result(timeout=60), second.result(timeout=60)

    assert f() == ("through", "through too")


def test_cancel_of_a_run_in_a_thread_that_waits_in_a_block(recorder: Recorder) -> None:
    limits.set("db", 1)

    @task(**quick)
    def waits() -> None:
        with concurrency("db"):
            pass

    with concurrency("db"):
        future = waits.submit()
        until(lambda: state_of("db") == (1, 1))
        future.cancel()
        future.wait(60)
        assert future.state.is_cancelled()
        assert state_of("db") == (1, 0)
    assert state_of("db") == (0, 0)


def test_the_time_limit_of_a_run_ends_its_wait_in_a_block() -> None:
    limits.set("db", 1)

    @task(timeout_seconds=0.05, **quick)
    def waits() -> None:
        with concurrency("db"):
            pass

    with held_elsewhere("db"):
        assert waits.submit(return_state=True).name == "TimedOut"
        assert waits(return_state=True).name == "TimedOut"
        until(lambda: state_of("db") == (1, 0))


@pytest.mark.parametrize("inside", [True, False])
def test_stop_ends_a_wait_on_the_main_thread(inside: bool, recorder: Recorder) -> None:
    limits.set("db", 1)

    def waits() -> None:
        with concurrency("db"):
            pass

    with held_elsewhere("db"):
        press = press_when(lambda: state_of("db") == (1, 1))
        with pytest.raises(KeyboardInterrupt):
            task(waits, **quick)() if inside else waits()
        press.join()
        assert state_of("db") == (1, 0)
    if inside:
        assert names(recorder.one("waits"))[-1] == "Cancelled"
    waits()


@pytest.mark.parametrize("inside", [True, False])
def test_stop_ends_an_awaited_wait(inside: bool) -> None:
    limits.set("db", 1)

    async def waits() -> None:
        async with concurrency("db"):
            pass

    press = press_when(lambda: state_of("db") == (1, 1))
    with concurrency("db"), pytest.raises((KeyboardInterrupt, asyncio.CancelledError)):
        asyncio.run(task(waits, **quick)() if inside else waits())
    press.join()
    assert state_of("db") == (0, 0)


async def test_a_cancelled_wait_leaves_the_queue() -> None:
    limits.set("db", 1)
    with concurrency("db"):
        other = asyncio.ensure_future(aenter())
        await another_waits()
        other.cancel()
        with pytest.raises(asyncio.CancelledError):
            await other
        assert state_of("db") == (1, 0)


async def another_waits() -> None:
    """Let others on this loop go on until one of them waits."""
    for _ in range(10):
        await asyncio.sleep(0)
    assert state_of("db") == (1, 1)


async def aenter() -> None:
    async with concurrency("db"):
        pass


async def test_sync_code_on_the_loops_thread_lets_the_loop_go_on_for_who_holds() -> None:
    limits.set("db", 1)
    held = asyncio.Event()

    async def holder() -> str:
        async with concurrency("db"):
            held.set()
            await asyncio.sleep(0.01)
            return "held"

    async def asks() -> str:
        await held.wait()
        with concurrency("db"):
            return "asked"

    assert await asyncio.gather(holder(), asks()) == ["held", "asked"]


async def test_sync_code_on_the_loops_thread_lets_the_loop_go_on_for_who_comes_first() -> None:
    limits.set("db", 1)
    order: list[str] = []

    async def first() -> None:
        async with concurrency("db"):
            order.append("first")
            await asyncio.sleep(0.01)

    with held_elsewhere("db") as let_go:
        waits = asyncio.ensure_future(first())
        await another_waits()
        threading.Timer(0.02, let_go).start()
        with concurrency("db", timeout_seconds=20):
            order.append("second")
        await waits
    assert order == ["first", "second"]


async def test_a_wait_for_a_thread_leaves_the_loop_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Running the loop inside itself slows every asyncio task of the process, for good."""
    monkeypatch.setattr(waiting, "run_nested", lambda *_: pytest.fail("the loop was run again"))
    limits.set("db", 1)
    with held_elsewhere("db") as let_go:
        threading.Timer(0.02, let_go).start()
        with concurrency("db"):
            assert state_of("db") == (1, 0)


def test_parameters_are_those_prefect_users_know() -> None:
    assert list(inspect.signature(concurrency).parameters) == [
        "names",
        "occupy",
        "timeout_seconds",
        "max_retries",
        "lease_duration",
        "strict",
        "holder",
        "raise_on_lease_renewal_failure",
    ]
    for function in (rate_limit, for_sync.rate_limit, for_async.rate_limit):
        assert list(inspect.signature(function).parameters) == [
            "names",
            "occupy",
            "timeout_seconds",
            "strict",
        ]


def test_three_tasks_under_a_limit_of_one_take_three_times_as_long_and_no_more() -> None:
    """Where Prefect took 5.4 s for three tasks of 0.3 s: it polls, and here a free slot wakes."""
    limits.set_tag("db", 1)
    turns: list[threading.Event] = [threading.Event() for _ in range(3)]
    ends = [threading.Event() for _ in range(3)]
    meter = Meter()

    @task(tags=["db"], **quick)
    def query(n: int) -> int:
        with meter:
            turns[n].set()
            ends[n].wait(60)
        return n

    @flow
    def f() -> list[int]:
        futures = query.map(range(3))
        waited = []
        for _ in range(3):
            (n,) = until_one(turns)
            turns[n].clear()
            ends[n].set()
            futures[n].wait(60)
            waited.append(futures[n].done())  # though others still have to go
        assert all(waited)
        return futures.result()

    assert f() == [0, 1, 2]
    assert (meter.all, meter.most) == (3, 1)


def until_one(events: list[threading.Event]) -> list[int]:
    until(lambda: any(event.is_set() for event in events))
    return [n for n, event in enumerate(events) if event.is_set()]


def test_a_block_left_in_another_context_gives_its_slots_back() -> None:
    limits.set("db", 1)
    stack = contextlib.ExitStack()
    stack.enter_context(concurrency("db"))
    thread = threading.Thread(target=stack.close)
    thread.start()
    thread.join()
    assert state_of("db") == (0, 0)
