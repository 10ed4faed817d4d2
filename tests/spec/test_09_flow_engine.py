"""SPEC 9: the life of a flow run, its tasks, retries, subflows and what it returns."""

import asyncio
import threading
import time
from typing import Any

import pytest

import cellist
from cellist import State, allow_failure, flow, quote, task
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.exceptions import FailedRun
from cellist.states import Cancelled, Completed, Crashed, Failed, Paused
from cellist.task_runners import ThreadPoolTaskRunner
from tests.sessions import names
from tests.spec.observe import Calls, trail


@task(cache_policy=NO_CACHE)
def give(x: Any = 1) -> Any:
    return x


@task(cache_policy=NO_CACHE)
def fail(message: str = "boom") -> Any:
    raise ValueError(message)


GOLDEN: list[tuple[str, Any, dict[str, Any], list[str], str | None]] = [
    ("success", lambda: 1, {}, ["Pending", "Running", "Completed"], None),
    (
        "failure",
        fail,
        {},
        ["Pending", "Running", "Failed"],
        "Flow run encountered an exception: ValueError: boom",
    ),
    (
        "retry",
        fail,
        {"retries": 1},
        ["Pending", "Running", "AwaitingRetry", "Running", "Failed"],
        "Flow run encountered an exception: ValueError: boom",
    ),
    (
        "retry with delay",
        fail,
        {"retries": 1, "retry_delay_seconds": 0.01},
        ["Pending", "Running", "AwaitingRetry", "Running", "Failed"],
        "Flow run encountered an exception: ValueError: boom",
    ),
    ("returned failure", lambda: Failed(message="m"), {}, ["Pending", "Running", "Failed"], "m"),
    (
        "returned failure, retried (Q4)",
        lambda: Failed(message="m"),
        {"retries": 1},
        ["Pending", "Running", "AwaitingRetry", "Running", "Failed"],
        "m",
    ),
]


@pytest.mark.parametrize("row", GOLDEN, ids=[row[0] for row in GOLDEN])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_golden(row: Any, kind: str) -> None:
    _, work, options, sequence, message = row
    if kind == "sync":
        state = flow(work, name="f", **options)(return_state=True)
    else:

        @flow(name="f", **options)
        async def f() -> Any:
            return work()

        state = asyncio.run(f(return_state=True))
    assert trail(state) == sequence
    assert state.message == message


class TestSwallowedFailures:
    """9.1, Q34: a failure nobody passes on does not fail the flow."""

    def test_return_state(self) -> None:
        @flow
        def f() -> None:
            fail(return_state=True)

        assert f(return_state=True).is_completed()

    def test_raise_on_failure(self) -> None:
        @flow
        def f() -> None:
            fail.submit().result(raise_on_failure=False)

        assert f(return_state=True).is_completed()

    def test_not_waited_for(self, checked: Any) -> None:
        @flow
        def f() -> None:
            fail.submit()

        assert f(return_state=True).is_completed()
        assert names(checked.one("fail")) == ["Pending", "Running", "Failed"]

    def test_caught(self) -> None:
        @flow
        def f() -> str:
            try:
                fail()
            except ValueError:
                return "caught"
            return "not"

        assert f() == "caught"

    def test_failures_nobody_saw_are_warned_of(self, checked: Any) -> None:
        @flow
        def f() -> None:
            fail.submit()

        f()
        assert any("fail" in text for text in checked.logs())


class TestUnwaited:
    """9.2, Q5: what was submitted is finished before the flow is."""

    def test_is_waited_for(self, checked: Any) -> None:
        done: list[int] = []

        @task(cache_policy=NO_CACHE)
        def slow(i: int) -> None:
            time.sleep(0.05)
            done.append(i)

        @flow
        def f() -> None:
            slow.map(range(5))

        f()
        assert sorted(done) == list(range(5))
        end = checked.one("f").states[-1].timestamp
        assert all(run.states[-1].timestamp <= end for run in checked.of("slow"))

    async def test_async(self) -> None:
        done: list[int] = []

        @task(cache_policy=NO_CACHE)
        async def slow(i: int) -> None:
            await asyncio.sleep(0.02)
            done.append(i)

        @flow
        async def f() -> None:
            slow.map(range(3))

        await f()
        assert sorted(done) == [0, 1, 2]

    def test_also_when_the_flow_fails(self) -> None:
        done = Calls()

        @task(cache_policy=NO_CACHE)
        def slow() -> None:
            time.sleep(0.05)
            done()

        @flow
        def f() -> None:
            slow.submit().state
            raise ValueError

        with pytest.raises(ValueError):
            f()
        before = len(done)
        time.sleep(0.1)
        assert len(done) == before, "it went on after its flow was over"


class TestReturned:
    """8.2: what a flow's caller gets, with cellist's choice: values, or the first failure."""

    @pytest.mark.parametrize(
        ("make", "value"),
        [
            (lambda: give.submit(3), 3),
            (lambda: give(3, return_state=True), 3),
            (lambda: [give.submit(1), give.submit(2)], [1, 2]),
            (lambda: (give.submit(1), give.submit(2)), (1, 2)),
            (lambda: {"a": give.submit(1)}, {"a": 1}),
            (lambda: {"a": [give.submit(1), {"b": give.submit(2)}]}, {"a": [1, {"b": 2}]}),
            (lambda: [give.submit(1), 5], [1, 5]),
            (lambda: give.map([1, 2]), [1, 2]),
            (lambda: [give.map([1, 2]), give.map([3])], [[1, 2], [3]]),
            (lambda: Completed(data=3), 3),
            (lambda: Completed(message="nothing"), None),
            (lambda: [Completed(data=1), Completed(data=2)], [1, 2]),
            (lambda: [Completed(), 3], [None, 3]),
            (lambda: None, None),
            (list, []),
            (lambda: (x for x in range(3)), [0, 1, 2]),
        ],
    )
    @pytest.mark.parametrize("nested", [False, True])
    def test_values(self, make: Any, value: Any, nested: bool) -> None:
        f = flow(make, name="f")
        if nested:

            @flow
            def parent() -> Any:
                return f()

            assert parent() == value
        else:
            assert f() == value
        assert f(return_state=True).is_completed()

    @pytest.mark.parametrize(
        "make",
        [
            fail.submit,
            lambda: fail(return_state=True),
            lambda: [give.submit(1), fail.submit()],
            lambda: (fail.submit(), 3),
            lambda: {"a": fail.submit()},
            lambda: [[fail.submit()], 3],
            lambda: {"a": [{"b": fail.submit()}]},
            lambda: [give.map([1]), fail.map(["x", "boom"])],
            lambda: give.submit(fail.submit(), wait_for=[]) and [fail.submit()],
        ],
    )
    def test_failures(self, make: Any) -> None:
        f = flow(make, name="f")
        with pytest.raises(ValueError):
            f()
        state = f(return_state=True)
        assert state.is_failed()
        with pytest.raises(ValueError):
            state.result()

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_a_crashed_run_that_is_returned_fails_the_flow(self, error: Any) -> None:
        def crash() -> None:
            raise error

        state = flow(task(crash).submit, name="f")(return_state=True)
        assert (state.name, state.message) == ("Failed", "1/1 states failed.")

    @pytest.mark.parametrize("made", [Failed, Cancelled, Crashed])
    def test_a_state_of_its_own_keeps_its_data(self, made: Any) -> None:
        assert flow(lambda: made(data="d"), name="f")(return_state=True).data == "d"

    @pytest.mark.parametrize(
        "make",
        [
            lambda: fail(return_state=True),
            lambda: [give(1, return_state=True), fail(return_state=True)],
            lambda: (Cancelled(), Completed()),
            lambda: [Paused(), Completed()],
        ],
    )
    def test_the_states_it_sums_up_are_its_data(self, make: Any) -> None:
        returned: list[Any] = []

        def body() -> Any:
            returned.append(make())
            return returned[0]

        assert flow(body, name="f")(return_state=True).data == returned[0]

    def test_messages(self) -> None:
        def message(make: Any) -> Any:
            return flow(make, name="f")(return_state=True).message

        assert message(lambda: [give.submit(), give.submit()]) == "All states completed."
        assert message(lambda: [give.submit(), fail.submit()]) == "1/2 states failed."
        assert message(lambda: fail.map(["a", "b", "c"])) == "3/3 states failed."

    def test_quote_stops_inference(self) -> None:
        @flow
        def f() -> Any:
            return quote([fail.submit()])

        assert f(return_state=True).is_completed()
        got: Any = f()
        (future,) = got.unwrap() if isinstance(got, quote) else got
        state = future if isinstance(future, State) else future.state
        assert state.is_failed()

    def test_allowed_failures_are_values(self) -> None:
        @flow
        def f() -> Any:
            return give.submit(allow_failure(fail.submit()))

        assert isinstance(f(), ValueError)
        inner: Any = f(return_state=True).result()  # raw access: the state of the task
        assert isinstance(inner.result(), ValueError)

    def test_exceptions_as_values(self) -> None:
        @flow
        def f() -> Any:
            return ValueError("a value")

        assert isinstance(f(), ValueError)
        assert f(return_state=True).is_completed()

    def test_failed_state_without_data(self) -> None:
        @flow
        def f() -> Any:
            return Failed(message="told")

        with pytest.raises(FailedRun, match="told"):
            f()


class TestRetries:
    def test_run_count(self, checked: Any) -> None:
        counts: list[int] = []

        @flow(retries=2)
        def f() -> int:
            counts.append(cellist.runtime.flow_run.run_count)
            if len(counts) < 3:
                raise ValueError
            return 5

        assert f() == 5
        assert counts == [1, 2, 3]
        assert checked.one("f").run_count == 3

    def test_delay(self) -> None:
        times = Calls()

        @flow(retries=1, retry_delay_seconds=0.1)
        def f() -> None:
            times(time.monotonic())
            raise ValueError

        f(return_state=True)
        one, two = times.log
        assert two - one >= 0.1

    def test_a_returned_failed_future_is_retried(self) -> None:
        """Q4."""
        calls = Calls()

        @task(cache_policy=NO_CACHE)
        def flaky() -> int:
            if calls() < 3:
                raise ValueError
            return 7

        @flow(retries=3)
        def f() -> Any:
            return flaky.submit()

        assert f() == 7
        assert len(calls) == 3

    def test_completed_tasks_are_not_run_again(self) -> None:
        """9.3 and #9814: their results are used again, though nothing is persisted."""
        good, bad = Calls(), Calls()

        @task(cache_policy=NO_CACHE)
        def done(x: int) -> int:
            good(x)
            return x

        @task(cache_policy=NO_CACHE)
        def flaky() -> int:
            if bad() < 3:
                raise ValueError
            return 1

        @flow(retries=3)
        def f() -> Any:
            return [done(1), done(2), done.submit(3).result(), flaky()]

        assert f() == [1, 2, 3, 1]
        assert sorted(good.log) == [1, 2, 3]
        assert len(bad) == 3

    def test_completed_child_flows_are_not_run_again(self) -> None:
        children, bad = Calls(), Calls()

        @flow
        def child() -> int:
            return children()

        @flow(retries=2)
        def f() -> int:
            got = child()
            if bad() < 3:
                raise ValueError
            return got

        assert f() == 1
        assert len(children) == 1

    def test_the_second_run_of_a_flow_runs_its_tasks_again(self) -> None:
        calls = Calls()

        @task(cache_policy=NO_CACHE)
        def t() -> int:
            return calls()

        @flow(retries=1)
        def f() -> int:
            return t()

        assert (f(), f()) == (1, 2)

    def test_tasks_with_other_inputs_run(self) -> None:
        calls = Calls()

        @task(cache_policy=NO_CACHE)
        def t(x: int) -> int:
            calls(x)
            return x

        @flow(retries=2)
        def f() -> int:
            t(1)
            t(cellist.runtime.flow_run.run_count)
            if cellist.runtime.flow_run.run_count < 3:
                raise ValueError
            return len(calls)

        f()
        assert set(calls.log) == {1, 2, 3}

    def test_of_a_subflow(self) -> None:
        calls = Calls()

        @flow(retries=2)
        def child() -> int:
            if calls() < 3:
                raise ValueError
            return len(calls)

        @flow
        def parent() -> int:
            return child()

        assert parent() == 3

    def test_settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CELLIST_FLOWS_DEFAULT_RETRIES", "1")
        calls = Calls()

        @flow
        def f() -> int:
            if calls() < 2:
                raise ValueError
            return 1

        @flow(retries=0)
        def never() -> None:
            raise ValueError

        assert f() == 1
        with pytest.raises(ValueError):
            never()


class TestSubflows:
    def test_links(self) -> None:
        @flow
        def child() -> Any:
            return cellist.runtime.flow_run.id, cellist.runtime.flow_run.parent_flow_run_id

        @flow
        def grandchild() -> Any:
            return cellist.runtime.flow_run.root_flow_run_id

        @flow
        def between() -> Any:
            return grandchild()

        @flow
        def parent() -> Any:
            return cellist.runtime.flow_run.id, child(), between()

        me, (mine, above), root = parent()
        assert str(above) == str(me) != str(mine)
        assert str(root) == str(me)

    def test_failure_reaches_the_parent(self) -> None:
        @flow
        def child() -> None:
            raise KeyError("k")

        @flow
        def parent() -> Any:
            with pytest.raises(KeyError):
                child()
            return child(return_state=True)

        with pytest.raises(KeyError):
            parent()

    def test_own_runner(self) -> None:
        @task(cache_policy=NO_CACHE)
        def where() -> int:
            return threading.get_ident()

        @flow(task_runner=cellist.task_runners.SequentialTaskRunner())
        def child() -> bool:
            return where.submit().result() == threading.get_ident()

        @flow
        def parent() -> Any:
            return child(), where.submit().result() == threading.get_ident()

        assert parent() == (True, False)

    async def test_gathered(self) -> None:
        @flow
        async def child(i: int) -> int:
            await asyncio.sleep(0.01)
            return i

        @flow
        async def parent() -> Any:
            return await asyncio.gather(*(child(i) for i in range(4)))

        assert await parent() == [0, 1, 2, 3]

    async def test_mixed(self) -> None:
        @flow
        def sync_child() -> int:
            return 1

        @flow
        async def async_child() -> int:
            return 2

        @flow
        async def parent() -> Any:
            return sync_child(), await async_child()

        assert await parent() == (1, 2)

    def test_recursion(self) -> None:
        @flow
        def down(n: int) -> int:
            return 0 if n == 0 else 1 + down(n - 1)

        assert down(5) == 5

    def test_in_threads_the_tasks_belong_to_their_flow(self, checked: Any) -> None:
        @flow
        def f(i: int) -> Any:
            return give.submit(i).result()

        threads = [threading.Thread(target=f, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ids = {run.id for run in checked.of("f")}
        assert {run.flow_run_id for run in checked.of("give")} == ids


class TestNesting:
    """25.17: a parent that waits for what it submitted cannot block the pool."""

    def test_one_worker(self) -> None:
        @task(cache_policy=NO_CACHE)
        def parent(n: int) -> int:
            return 0 if n == 0 else 1 + parent.submit(n - 1).result(timeout=60)

        @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
        def f() -> Any:
            return parent.submit(5).result(timeout=60)

        assert f() == 5

    def test_a_long_chain_uses_the_workers_there_are(self) -> None:
        threads: set[int] = set()

        @task(cache_policy=NO_CACHE)
        def step(x: int) -> int:
            threads.add(threading.get_ident())
            return x + 1

        @flow(task_runner=ThreadPoolTaskRunner(max_workers=3))
        def f() -> Any:
            x: Any = 0
            for _ in range(200):
                x = step.submit(x)
            return x.result()

        before = threading.active_count()
        assert f() == 200
        assert len(threads) <= 3
        assert threading.active_count() <= before + 4

    def test_max_workers_is_the_most_at_once(self) -> None:
        now, most, lock = 0, 0, threading.Lock()
        together = threading.Barrier(3, timeout=60)

        @task(cache_policy=NO_CACHE)
        def t(_: int) -> None:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            together.wait()
            with lock:
                now -= 1

        @flow(task_runner=ThreadPoolTaskRunner(max_workers=3))
        def f() -> None:
            t.map(range(21)).wait()

        f()
        assert most == 3


class TestInterrupts:
    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_crash_and_raise(self, error: type[BaseException], checked: Any) -> None:
        @flow(retries=2)
        def f() -> None:
            raise error

        with pytest.raises(error):
            f()
        assert names(checked.one("f")) == ["Pending", "Running", "Crashed"]

    def test_of_a_task_inside(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE, retries=2)
        def t() -> None:
            raise KeyboardInterrupt

        @flow
        def f() -> None:
            t()

        with pytest.raises(KeyboardInterrupt):
            f()
        assert names(checked.one("t"))[-1] == "Crashed"
        assert names(checked.one("f"))[-1] == "Crashed"

    async def test_cancelled_from_outside(self, checked: Any) -> None:
        began = asyncio.Event()

        @flow
        async def f() -> None:
            began.set()
            await asyncio.sleep(60)

        pending = asyncio.ensure_future(f())
        await began.wait()
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        assert names(checked.one("f"))[-1] in {"Crashed", "Cancelled"}


def test_state_of_a_flow_that_was_given_persistence() -> None:
    calls = Calls()

    @task(cache_policy=INPUTS)
    def t(x: int) -> int:
        calls(x)
        return x

    @flow(persist_result=True)
    def f() -> int:
        return t(1) + t(1)

    assert f() == 2
    assert f() == 2
