"""SPEC 8.6: which hooks are called, when, with what, and what their errors do."""

import asyncio
import functools
import logging
from typing import Any

import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.states import Cancelled, Cancelling, Completed, Crashed, Failed
from tests.sessions import WAYS, as_task, final_state
from tests.spec.observe import Calls, Hooks, current_task, make_task


def with_hooks(way: str, fn: Any, hooks: Hooks, **options: Any) -> Any:
    return as_task(
        way,
        fn,
        name="t",
        on_running=[hooks("running")],
        on_completion=[hooks("completion")],
        on_failure=[hooks("failure")],
        **options,
    )


def raising(error: BaseException) -> Any:
    def work() -> None:
        raise error

    return work


TABLE: list[tuple[str, Any, dict[str, Any], list[tuple[str, str]]]] = [
    ("success", lambda: 1, {}, [("running", "Running"), ("completion", "Completed")]),
    (
        "failure",
        raising(ValueError()),
        {},
        [("running", "Running"), ("failure", "Failed")],
    ),
    (
        "retries",
        raising(ValueError()),
        {"retries": 2},
        [
            ("running", "Running"),
            ("running", "Retrying"),
            ("running", "Retrying"),
            ("failure", "Failed"),
        ],
    ),
    (
        "retries with delay",
        raising(ValueError()),
        {"retries": 1, "retry_delay_seconds": 0.001},
        [("running", "Running"), ("running", "Retrying"), ("failure", "Failed")],
    ),
    (
        "timed out",
        raising(TimeoutError()),
        {},
        [("running", "Running"), ("failure", "TimedOut")],
    ),
    (
        "a returned state",
        lambda: Completed(name="Skipped"),
        {},
        [("running", "Running"), ("completion", "Skipped")],
    ),
    (
        "a returned failure",
        Failed,
        {},
        [("running", "Running"), ("failure", "Failed")],
    ),
    ("a returned cancellation", Cancelled, {}, [("running", "Running")]),
]


class TestTasks:
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
    def test_table(self, row: Any, way: str) -> None:
        _, fn, options, expected = row
        hooks = Hooks()
        final_state(way, with_hooks(way, fn, hooks, **options))
        assert hooks.states == expected

    def test_a_hit_calls_completion(self) -> None:
        hooks = Hooks()
        t = with_hooks("drive", lambda x: x, hooks, cache_policy=INPUTS)
        t(1)
        hooks.seen.clear()
        t(1)
        assert ("completion", "Cached") in hooks.states
        assert "failure" not in hooks.labels

    def test_arguments(self) -> None:
        hooks = Hooks()
        t = with_hooks("drive", lambda: 7, hooks)
        t()
        for _, owner, run, state in hooks.seen:
            assert owner.name == "t"
            assert isinstance(owner, cellist.Task)
            assert run.name.startswith("t")
            assert run.id == state.state_details.task_run_id
        assert hooks.seen[-1][3].result() == 7

    def test_in_order_sync_and_async(self) -> None:
        order: list[str] = []

        def one(*_: Any) -> None:
            order.append("one")

        async def two(*_: Any) -> None:
            await asyncio.sleep(0)
            order.append("two")

        def three(label: str, *_: Any) -> None:
            order.append(label)

        class Four:
            def __call__(self, *_: Any) -> None:
                order.append("four")

        hooks = [one, two, functools.partial(three, "three"), Four()]
        for way in WAYS:
            order.clear()
            final_state(way, as_task(way, lambda: 1, on_completion=hooks))
            assert order == ["one", "two", "three", "four"], way

    @pytest.mark.parametrize("way", WAYS)
    def test_errors_are_swallowed_and_the_rest_are_called(self, way: str, checked: Any) -> None:
        calls = Calls()

        def broken(*_: Any) -> None:
            raise RuntimeError("in the hook")

        async def abroken(*_: Any) -> None:
            raise RuntimeError("in the async hook")

        t = as_task(way, lambda: 5, on_completion=[broken, abroken, lambda *_: calls()])
        assert final_state(way, t).result() == 5
        assert len(calls) == 1
        assert any("in the hook" in text for text in checked.logs())

    @pytest.mark.parametrize("kind", ["on_running", "on_completion"])
    def test_return_values_are_ignored(self, kind: str) -> None:
        t = make_task(lambda: 5, cache_policy=NO_CACHE, **{kind: [lambda *_: Failed()]})
        assert t() == 5

    def test_have_the_context(self) -> None:
        seen: list[Any] = []

        def hook(*_: Any) -> None:
            cellist.get_run_logger().info("from the hook")
            seen.append((cellist.runtime.task_run.name, current_task().name))

        task(
            lambda: 1,
            name="t",
            cache_policy=NO_CACHE,
            on_running=[hook],
            on_completion=[hook],
        )()
        assert seen == [("t", "t")] * 2

    def test_have_finished_when_the_caller_goes_on(self) -> None:
        for way in WAYS:
            calls = Calls()
            final_state(way, as_task(way, lambda: 1, on_completion=[lambda *_, c=calls: c()]))
            assert len(calls) == 1

    def test_that_call_tasks(self) -> None:
        calls = Calls()

        @task(cache_policy=NO_CACHE)
        def other() -> None:
            calls()

        task(lambda: 1, cache_policy=NO_CACHE, on_completion=[lambda *_: other()])()
        assert len(calls) == 1

    def test_each_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, logger="cellist")

        def my_hook(*_: Any) -> None: ...

        class Hook:
            def __call__(self, *_: Any) -> None: ...

        task(
            lambda: 1,
            cache_policy=NO_CACHE,
            on_completion=[my_hook, functools.partial(my_hook), Hook()],
        )()
        text = caplog.text
        assert text.count("'my_hook'") >= 2
        assert "'Hook'" in text

    def test_by_decorator(self) -> None:
        hooks = Hooks()
        t = task(lambda: 1, cache_policy=NO_CACHE)
        t.on_completion(hooks("one"))
        t.on_completion(hooks("two"))
        t()
        assert hooks.labels == ["one", "two"]

    def test_of_bound_methods(self) -> None:
        hooks = Hooks()

        class K:
            @task(cache_policy=NO_CACHE, on_completion=[hooks("c")])
            def m(self) -> int:
                return 1

        K().m()
        assert hooks.labels == ["c"]


def flow_with_hooks(fn: Any, hooks: Hooks, **options: Any) -> Any:
    kinds = ("running", "completion", "failure", "cancellation", "crashed")
    return flow(fn, name="f", **{f"on_{kind}": [hooks(kind)] for kind in kinds}, **options)


class TestFlows:
    def test_success(self) -> None:
        hooks = Hooks()
        flow_with_hooks(lambda: 1, hooks)()
        assert hooks.states == [("running", "Running"), ("completion", "Completed")]

    def test_failure(self) -> None:
        hooks = Hooks()
        flow_with_hooks(raising(ValueError()), hooks)(return_state=True)
        assert hooks.states == [("running", "Running"), ("failure", "Failed")]

    @pytest.mark.parametrize(
        ("returned", "called"),
        [
            (Failed, ("failure", "Failed")),
            (Crashed, ("crashed", "Crashed")),
            (Cancelled, ("cancellation", "Cancelled")),
            (Cancelling, ("cancellation", "Cancelled")),
        ],
    )
    def test_by_what_is_returned(self, returned: Any, called: tuple[str, str]) -> None:
        hooks = Hooks()
        state = flow_with_hooks(lambda: returned(message="m"), hooks)(return_state=True)
        assert hooks.states == [("running", "Running"), called]
        assert (state.name, state.message) == (called[1], "m")

    def test_not_for_attempts_that_are_retried(self) -> None:
        hooks = Hooks()
        flow_with_hooks(raising(ValueError()), hooks, retries=2)(return_state=True)
        assert hooks.labels.count("failure") == 1
        assert hooks.labels.count("running") == 3

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_crash(self, error: type[BaseException]) -> None:
        hooks = Hooks()
        with pytest.raises(error):
            flow_with_hooks(raising(error()), hooks)()
        assert hooks.states == [("running", "Running"), ("crashed", "Crashed")]

    def test_cancellation(self) -> None:
        hooks = Hooks()

        def work() -> None:
            cellist.cancel(cellist.runtime.flow_run.id)
            for _ in range(10_000):
                task(lambda: 1, cache_policy=NO_CACHE)()

        try:
            state = flow_with_hooks(work, hooks)(return_state=True)
        except KeyboardInterrupt:
            pass  # how the caller is stopped is not tested here
        else:
            assert state.is_cancelled()
        assert "cancellation" in hooks.labels
        assert "crashed" not in hooks.labels
        assert "completion" not in hooks.labels

    def test_have_the_context(self) -> None:
        seen: list[Any] = []

        def hook(owner: Any, run: Any, state: Any) -> None:
            cellist.get_run_logger().info("from the hook")
            seen.append((cellist.runtime.flow_run.name == run.name, owner.name))

        f = flow(lambda: 1, name="f", on_running=[hook], on_completion=[hook])
        f()
        assert seen == [(True, "f")] * 2
        bad = flow(raising(ValueError()), name="g", on_failure=[hook])
        bad(return_state=True)
        assert seen[-1] == (True, "g")

    def test_errors_are_swallowed(self) -> None:
        def broken(*_: Any) -> None:
            raise RuntimeError

        assert flow(lambda: 1, on_running=[broken], on_completion=[broken])() == 1

    async def test_async_hooks_of_async_flows(self) -> None:
        order: list[str] = []

        async def hook(*_: Any) -> None:
            await asyncio.sleep(0)
            order.append("hook")

        @flow(on_completion=[hook])
        async def f() -> None:
            order.append("body")

        await f()
        assert order == ["body", "hook"]

    def test_subflows_have_their_own(self) -> None:
        hooks = Hooks()
        child = flow(lambda: 1, name="child", on_completion=[hooks("child")])

        @flow(on_completion=[hooks("parent")])
        def parent() -> None:
            child()

        parent()
        assert hooks.labels == ["child", "parent"]
