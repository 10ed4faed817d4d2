"""Futures: their surface, lists of them, and waiting for several."""

import asyncio
import threading
import time
from typing import Any

import pytest

from cellist import flow, task
from cellist.annotations import allow_failure, quote
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import UnfinishedRun, UpstreamTaskError
from cellist.futures import (
    as_completed,
    resolve_futures_to_results,
    resolve_futures_to_states,
    wait,
)
from cellist.states import Completed, Failed
from tests.sessions import Recorder

quick: dict[str, Any] = {"cache_policy": NO_CACHE}
pytestmark = pytest.mark.usefixtures("recorder")


@task(**quick)
def double(x):
    return 2 * x


@task(**quick)
def fail(text="boom"):
    raise ValueError(text)


@task(**quick)
def hold(gate):
    gate.wait(60)
    return "held"


def test_surface_of_a_future() -> None:
    future = double.submit(4)
    assert future.result() == 8
    assert future.done()
    assert future.exception() is None
    assert future.state.is_completed()
    assert future.state.result() == 8
    assert future.task_run_id == future.run.id
    assert "double" in repr(future)
    assert "Completed" in repr(future)


def test_future_of_a_failure() -> None:
    future = fail.submit("x")
    future.wait()
    assert future.state.is_failed()
    with pytest.raises(ValueError, match="x"):
        future.result()
    assert isinstance(future.result(raise_on_failure=False), ValueError)
    assert isinstance(future.exception(), ValueError)


def test_timeouts_of_a_future() -> None:
    gate = threading.Event()
    future = hold.submit(quote(gate))
    assert future.wait(0.01) is None
    assert not future.done()
    with pytest.raises(TimeoutError, match=r"hold.*0\.01 seconds"):
        future.result(timeout=0.01)
    with pytest.raises(TimeoutError):
        future.exception(timeout=0.01)
    gate.set()
    assert future.result() == "held"


@pytest.mark.parametrize("returned", [Completed(data=7, name="Odd"), Completed(data=None)])
def test_future_of_a_returned_completed_state(returned: Any) -> None:
    t = task(lambda: returned, **quick)
    assert t.submit().result() == returned.data
    assert t.submit().exception() is None


def test_future_of_a_returned_failed_state() -> None:
    error = KeyError("k")
    future = task(lambda: Failed(data=error), **quick).submit()
    with pytest.raises(KeyError):
        future.result()
    assert future.result(raise_on_failure=False) is error
    assert future.exception() is error


def test_future_that_never_ran() -> None:
    bad = fail.submit()
    future = double.submit(bad)
    future.wait(60)
    assert future.done()
    assert future.state.name == "NotReady"
    for raising in (True, False):
        with pytest.raises(UnfinishedRun, match="PENDING"):
            future.result(raise_on_failure=raising)
    assert isinstance(future.exception(), UpstreamTaskError)
    further = double.submit(future)
    further.wait(60)
    assert further.state.name == "NotReady"
    forgiving = task(lambda x: x, **quick).submit(allow_failure(future))
    assert isinstance(forgiving.result(), UpstreamTaskError)


def test_state_is_final_inside_a_done_callback() -> None:
    seen: list[str | None] = []
    called = threading.Event()
    gate = threading.Event()
    future = hold.submit(quote(gate))
    future.add_done_callback(lambda f: (seen.append(f.state.name), called.set()))
    gate.set()
    assert called.wait(60)
    future.add_done_callback(lambda f: seen.append(f.result()))
    assert seen == ["Completed", "held"]


def test_broken_done_callback_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()
    future = hold.submit(quote(gate))
    future.add_done_callback(lambda _: 1 / 0)
    gate.set()
    assert future.result() == "held"
    assert double.map(range(20)).result() == [2 * n for n in range(20)]
    assert "done callback" in caplog.text


async def test_await_a_future() -> None:
    assert await double.submit(3) == 6
    assert await double.map([1, 2]) == [2, 4]
    with pytest.raises(ValueError, match="boom"):
        await fail.submit()
    gathered = await asyncio.gather(*(asyncio.ensure_future(value(n)) for n in range(5)))
    assert gathered == [0, 2, 4, 6, 8]


async def value(n: int) -> int:
    return await double.submit(n)


async def test_sync_wait_on_the_running_loop_for_a_coroutine() -> None:
    """The loop is pumped re-entrantly, or this would wait for ever."""

    @task(**quick)
    async def later(x):
        await asyncio.sleep(0.001)
        return x

    @flow
    def f():
        return later.submit(5).result(timeout=60)

    assert f() == 5


def test_list_of_futures() -> None:
    futures = double.map([1, 2, 3])
    futures.wait()
    assert futures.result() == [2, 4, 6]
    assert [state.name for state in futures.state] == ["Completed"] * 3
    with pytest.raises(ValueError, match="timeout"):
        futures.result(timeout=-1)
    assert double.map([]) == []
    assert double.map([]).result() == []


def test_list_raises_the_first_to_fail_or_returns_the_errors() -> None:
    gate = threading.Event()

    @task(**quick)
    def work(n):
        if n == 0:
            gate.wait(60)
            raise KeyError("slow")
        raise ValueError("fast")

    futures = work.map([0, 1])
    with pytest.raises(ValueError, match="fast"):
        futures.result()
    gate.set()
    errors = futures.result(raise_on_failure=False)
    assert [type(error) for error in errors] == [KeyError, ValueError]


def test_list_that_does_not_end_in_time() -> None:
    gate = threading.Event()
    futures = [hold.submit(quote(gate))]
    with pytest.raises(TimeoutError):
        type(double.map([]))(futures).result(timeout=0.01)
    with pytest.raises(TimeoutError):
        type(double.map([]))(futures).result(timeout=0.01, raise_on_failure=False)
    gate.set()


def test_wait_says_which_are_done() -> None:
    gate = threading.Event()
    slow, fast = hold.submit(quote(gate)), double.submit(1)
    fast.wait()
    done, not_done = wait([slow, fast, fast], timeout=0.01)
    assert (done, not_done) == ({fast}, {slow})
    gate.set()
    assert wait([slow, fast]).not_done == set()
    with pytest.raises(ValueError, match="timeout"):
        wait([fast], timeout=-1)


def test_as_completed_goes_by_end() -> None:
    gates = [threading.Event() for _ in range(3)]
    futures = [hold.submit(quote(gate)) for gate in gates]
    gates[2].set()
    ended = as_completed([*futures, futures[2]])
    assert next(ended) is futures[2]
    gates[0].set()
    assert next(ended) is futures[0]
    gates[1].set()
    assert list(ended) == [futures[1]]


def test_as_completed_counts_the_unfinished() -> None:
    gate = threading.Event()
    futures = [hold.submit(quote(gate)), double.submit(1)]
    futures[1].wait()
    ended = as_completed(futures, timeout=0.02)
    assert next(ended) is futures[1]
    with pytest.raises(TimeoutError, match=r"1 \(of 2\) futures unfinished"):
        next(ended)
    gate.set()


def test_as_completed_of_thousands_is_not_quadratic() -> None:
    futures = double.map(range(3000))
    before = time.process_time()
    assert len(list(as_completed(futures))) == 3000
    assert time.process_time() - before < 5


def test_resolve_futures() -> None:
    one, two = double.submit(1), double.submit(2)
    kept = quote(two)
    expression = {"a": [one, (two, 3)], "b": 5}
    assert resolve_futures_to_results(expression) == {"a": [2, (4, 3)], "b": 5}
    states = resolve_futures_to_states(double.map([1, 2]))
    assert type(states) is list
    assert [state.result() for state in states] == [2, 4]
    assert resolve_futures_to_results([kept]) == [kept]
    with pytest.raises(ValueError, match="boom"):
        resolve_futures_to_results([fail.submit()])


def test_interrupt_in_a_thread_is_kept_in_the_state(recorder: Recorder) -> None:
    def stop():
        raise KeyboardInterrupt

    future = task(stop, **quick).submit()
    future.wait()
    assert future.state.is_crashed()
    with pytest.raises(KeyboardInterrupt):
        future.result()
