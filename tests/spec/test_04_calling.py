"""SPEC 4: direct calls, submit, map, flow calls, run names, sync and async."""

import asyncio
import contextvars
import inspect
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cellist
from cellist import allow_failure, flow, quote, task, unmapped
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import MappingLengthMismatch, MappingMissingIterable
from cellist.futures import PrefectFuture, PrefectFutureList
from cellist.states import State
from cellist.task_runners import SequentialTaskRunner
from tests.spec.observe import Boom, trail


@task
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@task
async def aadd(x: Any, y: Any = 1) -> Any:
    await asyncio.sleep(0)
    return x + y


@task(cache_policy=NO_CACHE)
def fail(message: str = "boom") -> Any:
    raise ValueError(message)


@task(cache_policy=NO_CACHE)
def echo(**kwargs: Any) -> Any:
    return kwargs


class TestDirectCall:
    def test_runs_in_the_calling_thread(self) -> None:
        @task(cache_policy=NO_CACHE)
        def where() -> int:
            return threading.get_ident()

        @flow
        def f() -> Any:
            return where()

        assert where() == threading.get_ident()
        assert f() == threading.get_ident()

    async def test_sync_tasks_in_async_flows_run_on_the_thread_of_the_loop(self) -> None:
        @task(cache_policy=NO_CACHE)
        def where() -> int:
            return threading.get_ident()

        @flow
        async def f() -> int:
            return where()

        assert await f() == threading.get_ident()

    def test_raises_the_very_exception(self) -> None:
        error = Boom(3, "here")

        @task(cache_policy=NO_CACHE)
        def t() -> None:
            raise error

        @flow
        def f() -> None:
            t()

        for call in (t, f):
            with pytest.raises(Boom) as caught:
                call()
            assert caught.value is error
            assert (caught.value.code, caught.value.where) == (3, "here")

    def test_async_gives_a_coroutine_that_has_not_begun(self) -> None:
        began: list[int] = []

        @task(cache_policy=NO_CACHE)
        async def t() -> int:
            began.append(1)
            return 1

        coroutine = t()
        assert inspect.isawaitable(coroutine)
        assert began == []
        coroutine.close()

    async def test_async_is_awaited(self) -> None:
        assert await aadd(1) == 2
        with pytest.raises(TypeError):
            await aadd(None)

    async def test_many_async_at_once(self) -> None:
        here, most = 0, 0

        @task(cache_policy=NO_CACHE)
        async def t(i: int) -> int:
            nonlocal here, most
            here += 1
            most = max(most, here)
            await asyncio.sleep(0.01)
            here -= 1
            return i

        @flow
        async def f() -> Any:
            return await asyncio.gather(*(t(i) for i in range(10)))

        assert await f() == list(range(10))
        assert most == 10

    def test_outside_a_flow(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def child() -> Any:
            return cellist.runtime.task_run.name

        @task(cache_policy=NO_CACHE)
        def parent() -> Any:
            return cellist.runtime.task_run.name, child()

        assert parent() == ("parent", "child")
        assert checked.one("child").flow_run_id is None
        assert checked.one("parent").flow_run_id is None
        (link,) = checked.one("child").task_inputs["__parents__"]
        assert link.id == checked.one("parent").id

    @pytest.mark.parametrize("failing", [False, True])
    def test_return_state(self, failing: bool) -> None:
        state = fail(return_state=True) if failing else add(1, return_state=True)
        assert isinstance(state, State)
        assert state.is_failed() is failing
        assert state.is_final()
        assert isinstance(state.result(raise_on_failure=False), ValueError if failing else int)

    async def test_return_state_async(self) -> None:
        assert (await aadd(1, return_state=True)).result() == 2
        assert (await aadd(None, return_state=True)).is_failed()

    def test_return_state_of_generators_is_refused_at_the_call(self) -> None:
        @task
        def numbers() -> Iterator[int]:
            yield 1

        with pytest.raises((TypeError, ValueError)):
            numbers(return_state=True)

    @pytest.mark.parametrize("shape", ["future", "state", "list", "nested", "empty", "none"])
    def test_wait_for_of_any_shape(self, shape: str) -> None:
        @flow
        def f() -> Any:
            future = add.submit(1)
            state = add(2, return_state=True)
            given: dict[str, Any] = {
                "future": future,
                "state": state,
                "list": [future, state],
                "nested": [future, {"a": (state,)}],
                "empty": [],
                "none": None,
            }
            return add(3, wait_for=given[shape]), add.submit(3, wait_for=given[shape]).result()

        assert f() == (4, 4)

    def test_wait_for_waits(self) -> None:
        order: list[str] = []
        gate = threading.Event()

        @task(cache_policy=NO_CACHE)
        def first() -> None:
            gate.wait(60)
            order.append("first")

        @task(cache_policy=NO_CACHE)
        def second() -> None:
            order.append("second")

        @flow
        def f() -> None:
            late = second.submit(wait_for=[first.submit()])
            gate.set()
            late.wait()

        f()
        assert order == ["first", "second"]


class TestSubmit:
    def test_gives_a_future_at_once(self) -> None:
        gate = threading.Event()

        @task(cache_policy=NO_CACHE)
        def wait() -> str:
            assert gate.wait(60)
            return "done"

        @flow
        def f() -> Any:
            future = wait.submit()
            assert isinstance(future, PrefectFuture)
            assert not future.state.is_final()
            gate.set()
            return future.result()

        assert f() == "done"

    def test_return_state_blocks(self) -> None:
        @flow
        def f() -> Any:
            state = add.submit(1, return_state=True)
            assert isinstance(state, State)
            assert state.is_completed()
            return fail.submit(return_state=True).is_failed(), state.result()

        assert f() == (True, 2)

    def test_outside_flows(self) -> None:
        assert add.submit(1).result() == 2
        assert add.submit(add.submit(1)).result() == 3

    def test_inside_a_task(self) -> None:
        @task(cache_policy=NO_CACHE)
        def parent() -> Any:
            return add.submit(1).result()

        assert parent() == 2
        assert parent.submit().result() == 2

    def test_async_from_sync(self) -> None:
        @flow
        def f() -> Any:
            return aadd.submit(1).result()

        assert f() == 2

    async def test_submit_in_an_async_flow_is_sync_to_call(self) -> None:
        @flow
        async def f() -> Any:
            one, two = add.submit(1), aadd.submit(1)
            assert isinstance(two, PrefectFuture)
            return one.result(), two.result(), await aadd.submit(2)

        assert await f() == (2, 2, 3)

    async def test_submitted_async_tasks_run_on_the_loop_of_the_caller(self) -> None:
        @task(cache_policy=NO_CACHE)
        async def where() -> int:
            return id(asyncio.get_running_loop())

        @flow
        async def f() -> int:
            return await where.submit()

        assert await f() == id(asyncio.get_running_loop())

    async def test_objects_of_the_loop_can_be_used_by_submitted_tasks(self) -> None:
        lock = asyncio.Lock()
        queue: asyncio.Queue[int] = asyncio.Queue()

        @task(cache_policy=NO_CACHE)
        async def put(i: int) -> None:
            async with lock:
                await queue.put(i)

        @flow
        async def f() -> None:
            for future in [put.submit(i) for i in range(5)]:
                await future

        await f()
        assert queue.qsize() == 5

    def test_context_variables_are_copied_at_submit(self) -> None:
        variable = contextvars.ContextVar("variable", default="default")

        @task(cache_policy=NO_CACHE)
        def read() -> str:
            return variable.get()

        @task(cache_policy=NO_CACHE)
        async def aread() -> str:
            return variable.get()

        @flow
        def f() -> Any:
            variable.set("at submit")
            futures = [read.submit(), aread.submit()]
            variable.set("later")
            return [future.result() for future in futures]

        assert f() == ["at submit"] * 2

    def test_runs_at_the_same_time(self) -> None:
        barrier = threading.Barrier(4, timeout=60)

        @task(cache_policy=NO_CACHE)
        def meet() -> int:
            return barrier.wait()

        @flow
        def f() -> Any:
            return sorted(future.result() for future in [meet.submit() for _ in range(4)])

        assert f() == [0, 1, 2, 3]

    def test_sequential_runner_is_done_when_submit_returns(self) -> None:
        @task(cache_policy=NO_CACHE)
        def where() -> int:
            return threading.get_ident()

        @flow(task_runner=SequentialTaskRunner())
        def f() -> Any:
            future = where.submit()
            assert future.state.is_completed()
            return future.result()

        assert f() == threading.get_ident()


@dataclass
class Frozen:
    values: list[int]


WHEN = datetime(2026, 11, 25, tzinfo=UTC)
SEVEN = Frozen([7])


class TestMap:
    @pytest.mark.parametrize(
        ("args", "kwargs", "results"),
        [
            (([1, 2, 3],), {}, [2, 3, 4]),
            (((1, 2),), {}, [2, 3]),
            ((range(3),), {}, [1, 2, 3]),
            (({1: "a", 2: "b"},), {}, [2, 3]),
            (({5},), {}, [6]),
            (([1, 2], [10, 20]), {}, [11, 22]),
            (([1, 2], 10), {}, [11, 12]),
            ((10, [1, 2]), {}, [11, 12]),
            (([1, 2],), {"y": [3, 4]}, [4, 6]),
            ((), {"x": [1, 2], "y": 1}, [2, 3]),
            ((["a", "b"], "zz"), {}, ["azz", "bzz"]),
            (([b"a"], b"zz"), {}, [b"azz"]),
            ((["ab", "cd"], "x"), {}, ["abx", "cdx"]),
            (([1, 2], unmapped(5)), {}, [6, 7]),
            (([[1], [2]], unmapped([9])), {}, [[1, 9], [2, 9]]),
            (([],), {}, []),
            (((), []), {}, []),
            ((np.array([1, 2]),), {}, [2, 3]),
            ((pd.Series([1, 2]),), {}, [2, 3]),
        ],
    )
    def test_results(self, args: Any, kwargs: Any, results: list[Any]) -> None:
        @flow
        def f() -> Any:
            futures = add.map(*args, **kwargs)
            assert isinstance(futures, PrefectFutureList)
            return [future.result() for future in futures]

        assert f() == results

    def test_generators_are_consumed(self) -> None:
        assert add.map(i for i in range(3)).result() == [1, 2, 3]

    def test_a_frame_is_mapped_over_its_columns(self) -> None:
        frame = pd.DataFrame({"a": [1], "b": [2]})
        assert add.map(frame, "!").result() == ["a!", "b!"]

    def test_files_and_strings_and_bytes_are_static(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t(i: int, given: Any) -> Any:
            return type(given).__name__

        for given in ("abc", b"abc", io.StringIO("a\nb"), io.BytesIO(b"a\nb")):
            assert t.map([1, 2], given).result() == [type(given).__name__] * 2

    def test_defaults_are_not_mapped(self) -> None:
        @task
        def t(x: int, many: Any = (1, 2, 3, 4)) -> Any:
            return x, many

        assert t.map([1, 2]).result() == [(1, (1, 2, 3, 4)), (2, (1, 2, 3, 4))]

    def test_keyword_collectors_are_exploded(self) -> None:
        assert echo.map(a=[1, 2], b=3, c=[4, 5]).result() == [
            {"a": 1, "b": 3, "c": 4},
            {"a": 2, "b": 3, "c": 5},
        ]

    def test_async_tasks(self) -> None:
        assert aadd.map([1, 2]).result() == [2, 3]

    @pytest.mark.parametrize("args", [(1,), ("abc",), (unmapped([1, 2]),), (1, "a")])
    def test_nothing_to_map_over(self, args: Any) -> None:
        with pytest.raises(MappingMissingIterable):
            add.map(*args)

    @pytest.mark.parametrize("args", [([1, 2], [1]), ([1], []), (range(3), [1, 2])])
    def test_lengths_differ(self, args: Any) -> None:
        with pytest.raises(MappingLengthMismatch, match=r"x.*y|y.*x"):
            add.map(*args)

    def test_bind_errors(self) -> None:
        with pytest.raises(TypeError):
            add.map([1], [1], [1])

    def test_return_state(self) -> None:
        states = add.map([1, None], return_state=True)
        assert isinstance(states, list)
        assert [state.is_completed() for state in states] == [True, False]

    def test_a_future_is_resolved_and_iterated(self) -> None:
        @task
        def numbers() -> list[int]:
            return [1, 2, 3]

        @flow
        def f() -> Any:
            future: Any = numbers.submit()
            state: Any = numbers(return_state=True)
            listed: Any = add.map([1, 2, 3])
            return (
                add.map(future).result(),
                add.map(state).result(),
                add.map(listed).result(),
                add.map([add.submit(1), add.submit(2)]).result(),
                add.map([1, 2], unmapped(add.submit(1))).result(),
                add.map([1, 2], add.submit(1)).result(),
            )

        assert f() == ([2, 3, 4], [2, 3, 4], [3, 4, 5], [3, 4], [3, 4], [3, 4])

    def test_links_to_the_mapped_future_are_kept(self, checked: Any) -> None:
        @task
        def numbers() -> list[int]:
            return [1, 2]

        @flow
        def f() -> None:
            add.map(numbers.submit()).wait()

        f()
        source = checked.one("numbers")
        for child in checked.of("add"):
            assert {link.id for link in child.task_inputs["x"]} == {source.id}

    def test_links_of_elements(self, checked: Any) -> None:
        @flow
        def f() -> None:
            ones = add.map([1, 2])
            add.with_options(name="second").map(ones).wait()

        f()
        firsts = [run.id for run in checked.of("add")]
        seconds = [[link.id for link in run.task_inputs["x"]] for run in checked.of("second")]
        assert seconds == [[first] for first in firsts]

    def test_wait_for_applies_to_every_child(self) -> None:
        @flow
        def f() -> Any:
            futures = add.map([1, 2], wait_for=[fail.submit()])
            futures.wait()
            return quote([future.state.name for future in futures])

        assert f() in (["NotReady"] * 2, quote(["NotReady"] * 2))

    def test_allow_failure_is_put_on_each_element(self) -> None:
        @task(cache_policy=NO_CACHE)
        def kind(x: Any) -> str:
            return type(x).__name__

        @flow
        def f() -> Any:
            return kind.map(allow_failure([add.submit(1), fail.submit()])).result()

        assert f() == ["int", "ValueError"]

    def test_quote_is_put_on_each_element(self) -> None:
        @task(cache_policy=NO_CACHE)
        def is_future(x: Any) -> bool:
            return isinstance(x, PrefectFuture)

        @flow
        def f() -> Any:
            return is_future.map(quote([add.submit(1), add.submit(2)])).result()

        assert f() == [True, True]

    def test_objects_that_iterate_by_their_own_rules(self) -> None:
        class Bag:
            def __init__(self) -> None:
                self.items = [1, 2]

            def __iter__(self) -> Iterator[int]:
                return iter(self.items)

        assert add.map(Bag()).result() == [2, 3]

    def test_a_dataclass_is_static(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t(i: int, given: Frozen) -> int:
            return i + sum(given.values)

        assert t.map([1, 2], Frozen([1, 1])).result() == [3, 4]


class TestFlowCall:
    async def test_sync_flow_inside_a_loop_runs_in_the_calling_thread(self) -> None:
        @flow
        def f() -> int:
            return threading.get_ident()

        assert f() == threading.get_ident()

    async def test_async(self) -> None:
        @flow
        async def f(x: int) -> Any:
            return await aadd(x)

        coroutine = f(1)
        assert inspect.isawaitable(coroutine)
        assert await coroutine == 2
        assert (await f(1, return_state=True)).result() == 2

    def test_in_a_task_in_a_flow_it_is_a_subflow(self, checked: Any) -> None:
        @flow
        def child() -> Any:
            return cellist.runtime.flow_run.parent_flow_run_id

        @task(cache_policy=NO_CACHE)
        def between() -> Any:
            return child()

        @flow
        def parent() -> Any:
            return cellist.runtime.flow_run.id, between()

        mine, of_child = parent()
        assert str(mine) == str(of_child)

    def test_wait_for(self) -> None:
        @flow
        def child() -> int:
            return 1

        @flow
        def parent() -> Any:
            return child(wait_for=[add.submit(1)])

        assert parent() == 1


class TestRunNames:
    def name(self, **options: Any) -> str:
        @task(cache_policy=NO_CACHE, **options)
        def t(x: Any = 3, when: Any = WHEN, cfg: Any = SEVEN) -> Any:
            return cellist.runtime.task_run.name

        return t()

    def test_default_in_a_flow_and_outside(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> Any:
            return cellist.runtime.task_run.name

        @flow
        def f() -> Any:
            return t(), t.submit().result()

        assert t() == "t"
        one, two = f()
        assert one != two
        for name in (one, two):
            assert name.startswith("t-")
            assert len(name) == 5

    @pytest.mark.parametrize(
        ("template", "name"),
        [
            ("plain", "plain"),
            ("x-{x}", "x-3"),
            ("{when:%A}", "Wednesday"),
            ("{cfg.values[0]}", "7"),
            ("{x:03d}", "003"),
            ("{{x}}", "{x}"),
        ],
    )
    def test_templates(self, template: str, name: str) -> None:
        assert self.name(task_run_name=template) == name

    def test_callables(self) -> None:
        def plain() -> str:
            return f"of {cellist.runtime.task_run.task_name}"

        def with_parameters(parameters: dict[str, Any]) -> str:
            return f"x={parameters['x']}"

        assert self.name(task_run_name=plain) == "of t"
        assert self.name(task_run_name=with_parameters) == "x=3"
        assert self.name(task_run_name=lambda: "lambda") == "lambda"

    def test_resolved_parameters_once_per_run(self) -> None:
        made: list[Any] = []

        def name(parameters: dict[str, Any]) -> str:
            made.append(parameters["x"])
            return "n"

        @task(task_run_name=name, retries=2, cache_policy=NO_CACHE)
        def t(x: Any) -> None:
            raise ValueError

        @flow
        def f() -> Any:
            t.submit(add.submit(1)).wait()

        f()
        assert made == [2]

    @pytest.mark.parametrize(
        ("bad", "error"),
        [
            (lambda: 3, TypeError),
            ("{nope}", KeyError),
            ("{x.nope}", AttributeError),
            (lambda: 1 / 0, ZeroDivisionError),
        ],
    )
    @pytest.mark.parametrize("how", ["call", "state", "submit"])
    def test_bad_names_fail_the_run(self, bad: Any, error: type[Exception], how: str) -> None:
        ran: list[int] = []

        @task(task_run_name=bad, cache_policy=NO_CACHE)
        def t(x: int = 1) -> None:
            ran.append(1)

        if how == "call":
            with pytest.raises(error):
                t()
        elif how == "state":
            state = t(return_state=True)
            assert trail(state)[-1] == "Failed"
        else:
            future = t.submit()
            with pytest.raises(error):
                future.result(timeout=60)
            assert future.state.is_failed()
        assert ran == []

    def test_with_map(self) -> None:
        @task(task_run_name="n-{x}", cache_policy=NO_CACHE)
        def t(x: int) -> Any:
            return cellist.runtime.task_run.name

        assert t.map([1, 2]).result() == ["n-1", "n-2"]


class TestPlainValuesEverywhere:
    """SPEC 4.8: in a notebook a loop is always running, and values are values."""

    async def test_state_result_in_a_running_loop(self) -> None:
        @flow
        def f() -> int:
            return 3

        assert f(return_state=True).result() == 3
        assert add(1, return_state=True).result() == 2
        assert add.submit(1).result() == 2
        with pytest.raises(ValueError, match="boom"):
            fail(return_state=True).result()

    async def test_state_result_can_be_awaited_in_async_runs(self) -> None:
        @flow
        async def f() -> Any:
            state = await aadd(1, return_state=True)
            try:
                return await state.aresult()
            except AttributeError:
                return await state.result()

        assert await f() == 2

    async def test_the_explicit_async_twin(self) -> None:
        state = await aadd(1, return_state=True)
        assert await state.aresult() == 2
