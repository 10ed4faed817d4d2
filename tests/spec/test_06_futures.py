"""SPEC 6: what a future offers, and the functions over many of them."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from cellist import State, allow_failure, flow, quote, task
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import CancelledRun, UnfinishedRun
from cellist.futures import (
    PrefectConcurrentFuture,
    PrefectFuture,
    PrefectFutureList,
    PrefectTaskRunFuture,
    as_completed,
    resolve_futures_to_results,
    resolve_futures_to_states,
    wait,
)
from tests.spec.observe import trail


@task(cache_policy=NO_CACHE)
def give(x: Any = 1) -> Any:
    return x


@task(cache_policy=NO_CACHE)
def fail(error: Any = None) -> Any:
    raise error or ValueError("boom")


class Gate:
    """Tasks that end when they are told to."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def task(self) -> Any:
        gate = self.open

        @task(cache_policy=NO_CACHE)
        def held(x: Any = 1) -> Any:
            assert gate.wait(60)
            return x

        return held


@pytest.fixture
def gate() -> Any:
    made = Gate()
    yield made
    made.open.set()


class TestSurface:
    def test_types_and_id(self) -> None:
        future = give.submit()
        assert isinstance(future, PrefectFuture)
        assert isinstance(future, PrefectTaskRunFuture)
        assert isinstance(future, PrefectConcurrentFuture)
        assert isinstance(future.task_run_id, UUID)
        assert future.result() == 1
        assert future.state.state_details.task_run_id == future.task_run_id

    def test_wait_gives_none(self, gate: Gate) -> None:
        future = gate.task().submit()
        assert future.wait(timeout=0.01) is None
        assert not future.state.is_final()
        gate.open.set()
        assert future.wait(timeout=60) is None
        assert future.state.is_completed()
        assert future.wait() is None

    def test_result_times_out(self, gate: Gate) -> None:
        future = gate.task().submit()
        with pytest.raises(TimeoutError, match=rf"{future.task_run_id}.*0\.01"):
            future.result(timeout=0.01)
        gate.open.set()
        assert future.result(timeout=60) == 1

    def test_timeout_zero_of_what_is_done(self) -> None:
        future = give.submit()
        future.wait()
        assert future.result(timeout=0) == 1

    def test_raises_the_very_error_or_gives_it(self) -> None:
        error = KeyError("k")
        future = fail.submit(error)
        with pytest.raises(KeyError) as caught:
            future.result()
        assert caught.value is error
        assert future.result(raise_on_failure=False) is error
        with pytest.raises(KeyError):
            future.result()

    def test_state_is_immediate(self) -> None:
        future = give.submit()
        while not future.done():
            time.sleep(0.001)
        assert future.state.is_completed()
        assert isinstance(future.state, State)

    def test_additions(self, gate: Gate) -> None:
        held, failed = gate.task().submit(), fail.submit()
        assert held.done() is False
        assert isinstance(failed.exception(), ValueError)
        assert failed.done() is True
        gate.open.set()
        assert held.exception() is None
        assert "held" in repr(held) or str(held.task_run_id) in repr(held)

    async def test_await(self) -> None:
        assert await give.submit(3) == 3
        with pytest.raises(ValueError, match="boom"):
            await fail.submit()
        assert await asyncio.gather(*(give.submit(i) for i in range(5))) == [0, 1, 2, 3, 4]
        future = give.submit(1)
        assert (await future, await future) == (1, 1)

    def test_cancel_of_what_waits(self, gate: Gate) -> None:
        ran: list[int] = []

        @task(cache_policy=NO_CACHE)
        def late(x: Any) -> None:
            ran.append(x)

        @flow
        def f() -> None:
            first = gate.task().submit()
            second = late.submit(first)
            second.cancel()
            second.wait(timeout=60)
            assert second.state.is_cancelled()
            with pytest.raises(CancelledRun):
                second.result()
            gate.open.set()
            assert first.result() == 1

        f()
        assert ran == []

    def test_cancel_of_an_async_task(self) -> None:
        began = threading.Event()

        @task(cache_policy=NO_CACHE)
        async def forever() -> None:
            began.set()
            await asyncio.sleep(60)

        future = forever.submit()
        assert began.wait(60)
        future.cancel()
        future.wait(timeout=60)
        assert future.state.is_cancelled()

    def test_cancel_of_what_is_done_changes_nothing(self) -> None:
        future = give.submit()
        future.wait()
        future.cancel()
        assert future.state.is_completed()
        assert future.result() == 1


class TestCrashes:
    """Q21: a crash is a state; only `result` raises it."""

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_wait_does_not_raise(self, error: type[BaseException]) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> None:
            raise error

        @flow
        def f() -> None:
            future = t.submit()
            future.wait(timeout=60)
            assert future.state.is_crashed()
            assert trail(future) == ["Pending", "Running", "Crashed"]
            with pytest.raises(BaseException):  # noqa: B017 - the kind is tested elsewhere
                future.result()

        f()


class TestCallbacks:
    def test_called_with_the_future_when_the_state_is_final(self, gate: Gate) -> None:
        seen: list[tuple[Any, bool]] = []
        told = threading.Event()

        def note(future: Any) -> None:
            seen.append((future, future.state.is_final()))
            told.set()

        future = gate.task().submit()
        future.add_done_callback(note)
        assert seen == []
        gate.open.set()
        assert told.wait(60)
        assert seen == [(future, True)]

    def test_at_once_if_done(self) -> None:
        seen: list[Any] = []
        future = give.submit()
        future.wait()
        future.add_done_callback(seen.append)
        assert seen == [future]

    def test_all_of_several_and_one_that_fails(self, gate: Gate) -> None:
        seen: list[str] = []
        done = threading.Event()

        def broken(_: Any) -> None:
            seen.append("broken")
            raise RuntimeError

        future = gate.task().submit()
        future.add_done_callback(lambda _: seen.append("one"))
        future.add_done_callback(broken)
        future.add_done_callback(lambda _: (seen.append("two"), done.set()))
        gate.open.set()
        assert done.wait(60)
        assert seen == ["one", "broken", "two"]
        assert future.result() == 1

    def test_for_failures_as_well(self) -> None:
        seen = threading.Event()
        fail.submit().add_done_callback(lambda _: seen.set())
        assert seen.wait(60)


class TestList:
    def test_results_in_the_order_of_input(self) -> None:
        @task(cache_policy=NO_CACHE)
        def late(i: int) -> int:
            time.sleep(0.01 * (3 - i))
            return i

        futures = late.map([0, 1, 2, 3])
        assert isinstance(futures, PrefectFutureList)
        assert isinstance(futures, list)
        assert futures.result() == [0, 1, 2, 3]

    def test_wait_does_not_raise(self) -> None:
        futures = fail.map([ValueError(), KeyError()])
        assert futures.wait() is None
        assert all(future.state.is_failed() for future in futures)

    def test_raises_the_first_to_fail(self) -> None:
        gate = threading.Event()

        @task(cache_policy=NO_CACHE)
        def t(i: int) -> None:
            if i == 0:
                gate.wait(60)
                raise ValueError("slow")
            try:
                raise KeyError("quick")
            finally:
                threading.Timer(0.05, gate.set).start()

        futures = t.map([0, 1])
        with pytest.raises(KeyError):
            futures.result(timeout=60)
        futures.wait()

    def test_errors_as_values(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t(i: int) -> int:
            return 1 // i

        got = t.map([1, 0]).result(raise_on_failure=False)
        assert got[0] == 1
        assert isinstance(got[1], ZeroDivisionError)

    def test_time_limits(self, gate: Gate) -> None:
        futures = gate.task().map([1, 2])
        assert futures.wait(timeout=0.01) is None
        with pytest.raises(TimeoutError):
            futures.result(timeout=0.01)
        with pytest.raises(ValueError):
            futures.result(timeout=-1)

    def test_empty(self) -> None:
        futures: Any = PrefectFutureList([])
        assert futures.result() == []
        assert futures.wait() is None


class TestWait:
    def test_done_and_not_done(self, gate: Gate) -> None:
        quick, held = give.submit(), gate.task().submit()
        quick.wait()
        done, not_done = wait([quick, held, quick], timeout=0.01)
        assert (done, not_done) == ({quick}, {held})
        gate.open.set()
        both = wait([quick, held], timeout=60)
        assert both.done == {quick, held}
        assert both.not_done == set()

    def test_negative_time(self) -> None:
        with pytest.raises(ValueError):
            wait([give.submit()], timeout=-1)

    def test_empty(self) -> None:
        assert wait([]).done == set()

    def test_not_ready_is_settled(self) -> None:
        """Q36."""

        @flow
        def f() -> None:
            stuck = give.submit(fail.submit())
            done, not_done = wait([stuck], timeout=60)
            assert (done, not_done) == ({stuck}, set())
            assert list(as_completed([stuck], timeout=60)) == [stuck]
            with pytest.raises(UnfinishedRun):
                stuck.result(timeout=60)

        f()


class TestAsCompleted:
    def test_order_of_completion(self) -> None:
        gates = [threading.Event() for _ in range(3)]

        @task(cache_policy=NO_CACHE)
        def t(i: int) -> int:
            assert gates[i].wait(60)
            return i

        futures = [t.submit(i) for i in range(3)]
        order: list[int] = []
        gates[2].set()
        for future in as_completed(futures, timeout=60):
            order.append(future.result())
            if len(order) < 3:
                gates[2 - len(order)].set()
        assert order == [2, 1, 0]

    def test_duplicates_collapse(self) -> None:
        future = give.submit()
        assert list(as_completed([future, future])) == [future]

    def test_time_limit(self, gate: Gate) -> None:
        futures = [give.submit(), gate.task().submit(), gate.task().submit()]
        arriving = as_completed(futures, timeout=0.3)
        assert next(arriving) is futures[0]
        with pytest.raises(TimeoutError, match=r"2 \(of 3\) futures unfinished"):
            next(arriving)


COLLECTIONS: list[Callable[[Any], Any]] = [
    lambda v: v,
    lambda v: [v, 1],
    lambda v: (v,),
    lambda v: {"a": v},
    lambda v: {"a": [{"b": v}]},
    lambda v: [[v], (v,)],
]


class TestResolve:
    @pytest.mark.parametrize("put", COLLECTIONS)
    def test_to_results(self, put: Callable[[Any], Any]) -> None:
        assert resolve_futures_to_results(put(give.submit(7))) == put(7)

    @pytest.mark.parametrize("put", COLLECTIONS)
    def test_to_states(self, put: Callable[[Any], Any]) -> None:
        future = give.submit(7)
        got = resolve_futures_to_states(put(future))
        assert got == put(future.state)

    def test_lists_of_futures_become_lists(self) -> None:
        futures = give.map([1, 2])
        assert type(resolve_futures_to_results(futures)) is list
        assert resolve_futures_to_results(futures) == [1, 2]
        states: Any = resolve_futures_to_states(futures)
        assert type(states) is list
        assert all(state.is_completed() for state in states)

    def test_quotes_are_left_alone(self) -> None:
        quoted = quote(give.submit())
        assert resolve_futures_to_results(quoted) is quoted
        assert resolve_futures_to_results([quoted])[0] is quoted
        assert resolve_futures_to_states([quoted])[0] is quoted

    def test_failures_raise(self) -> None:
        with pytest.raises(ValueError, match="boom"):
            resolve_futures_to_results([fail.submit()])
        (state,) = resolve_futures_to_states([fail.submit()])
        assert state.is_failed()


def test_futures_are_hashable_and_distinct() -> None:
    one, two = give.submit(), give.submit()
    assert len({one, two, one}) == 2
    assert one != two


def test_a_failed_future_can_be_allowed_after_it_was_read() -> None:
    @flow
    def f() -> Any:
        future = fail.submit()
        with pytest.raises(ValueError):
            future.result()
        return give(allow_failure(future))

    assert isinstance(f(), ValueError)
