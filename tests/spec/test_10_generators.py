"""SPEC 10: generator tasks and flows, and generators that are returned."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import INPUTS, NO_CACHE
from tests.sessions import names
from tests.spec.observe import Calls, Hooks


@task
def numbers(n: int = 3) -> Iterator[int]:
    yield from range(n)


@task
async def anumbers(n: int = 3) -> AsyncIterator[int]:
    for i in range(n):
        await asyncio.sleep(0)
        yield i


class TestSync:
    def test_yields_one_by_one(self) -> None:
        made: list[int] = []

        @task
        def t() -> Iterator[int]:
            for i in range(3):
                made.append(i)
                yield i

        for seen, i in enumerate(t()):
            assert i == seen
            assert made == list(range(seen + 1))

    def test_in_a_flow(self) -> None:
        @flow
        def f() -> Any:
            return list(numbers())

        assert f() == [0, 1, 2]
        assert list(numbers()) == [0, 1, 2]

    def test_running_while_it_yields(self, checked: Any) -> None:
        for _ in numbers():
            assert names(checked.one("numbers"))[-1] == "Running"
        assert names(checked.one("numbers")) == ["Pending", "Running", "Completed"]

    def test_the_return_value_is_the_result(self) -> None:
        hooks = Hooks()

        @task(on_completion=[hooks("c")])
        def t() -> Any:
            yield 1
            return "last"

        generator = t()
        assert next(generator) == 1
        with pytest.raises(StopIteration) as stop:
            next(generator)
        assert stop.value.value == "last"
        assert hooks.seen[0][3].result() == "last"

    def test_send_and_yield_from(self) -> None:
        @task
        def echo() -> Any:
            got = yield "ready"
            while got != "stop":
                got = yield got
            return "stopped"

        @task
        def outer() -> Any:
            return (yield from echo())

        generator = outer()
        assert next(generator) == "ready"
        assert generator.send("a") == "a"
        with pytest.raises(StopIteration) as stop:
            generator.send("stop")
        assert stop.value.value == "stopped"

    def test_break_completes(self, checked: Any) -> None:
        """Q17: not rolled back."""
        for _ in numbers(10):
            break
        run = checked.one("numbers")
        assert names(run) == ["Pending", "Running", "Completed"]

    def test_close_runs_the_finally(self, checked: Any) -> None:
        closed: list[int] = []

        @task
        def t() -> Iterator[int]:
            try:
                yield 1
                yield 2
            finally:
                closed.append(1)

        generator: Any = t()
        next(generator)
        generator.close()
        assert closed == [1]
        assert names(checked.one("t"))[-1] in {"Completed", "Cancelled"}

    def test_errors_reach_the_consumer(self, checked: Any) -> None:
        error = KeyError("k")

        @task
        def t() -> Iterator[int]:
            yield 1
            raise error

        got: list[int] = []
        with pytest.raises(KeyError) as caught:
            got.extend(t())
        assert caught.value is error
        assert names(checked.one("t")) == ["Pending", "Running", "Failed"]

    def test_throw(self) -> None:
        @task
        def t() -> Any:
            try:
                yield 1
            except ValueError:
                yield "caught"

        generator = t()
        next(generator)
        assert generator.throw(ValueError()) == "caught"
        generator.close()

    def test_retries_begin_again(self) -> None:
        calls = Calls()

        @task(retries=1)
        def t() -> Iterator[int]:
            yield 1
            if calls() == 1:
                raise ValueError
            yield 2

        assert list(t()) == [1, 1, 2]

    def test_never_cached(self) -> None:
        calls = Calls()

        @task(cache_policy=INPUTS)
        def t(n: int) -> Iterator[int]:
            calls()
            yield n

        assert list(t(1)) == list(t(1)) == [1]
        assert len(calls) == 2

    def test_hooks(self) -> None:
        hooks = Hooks()
        t = numbers.with_options(
            on_running=[hooks("r")], on_completion=[hooks("c")], on_failure=[hooks("f")]
        )
        list(t())
        assert hooks.labels == ["r", "c"]

    def test_submit_gives_a_list(self) -> None:
        @flow
        def f() -> Any:
            return numbers.submit().result(), numbers.map([1, 2]).result()

        assert f() == ([0, 1, 2], [[0], [0, 1]])

    def test_consumers_have_it_as_their_parent(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def use(x: Any) -> None: ...

        @task
        def rows() -> Any:
            for i in range(2):
                yield {"i": i}

        @flow
        def f() -> None:
            for row in rows():
                use(row)

        f()
        source = checked.one("rows").id
        for run in checked.of("use"):
            assert source in {link.id for link in run.task_inputs.get("__parents__", [])}

    def test_inputs_are_resolved(self) -> None:
        @task
        def three() -> int:
            return 3

        @flow
        def f() -> Any:
            future: Any = three.submit()
            return list(numbers(future))

        assert f() == [0, 1, 2]

    def test_the_context_is_there_between_yields(self) -> None:
        @task
        def t() -> Any:
            for _ in range(2):
                yield cellist.runtime.task_run.name

        seen = [(name, cellist.context.TaskRunContext.get()) for name in t()]
        assert seen == [("t", None), ("t", None)]

    def test_a_method(self) -> None:
        class K:
            n = 2

            @task
            def m(self) -> Iterator[int]:
                yield from range(self.n)

        assert list(K().m()) == [0, 1]

    def test_two_at_once(self) -> None:
        assert list(zip(numbers(), numbers(), strict=True)) == [(0, 0), (1, 1), (2, 2)]


class TestAsync:
    async def test_in_a_flow(self) -> None:
        @flow
        async def f() -> Any:
            return [i async for i in anumbers()]

        assert await f() == [0, 1, 2]
        assert [i async for i in anumbers()] == [0, 1, 2]

    async def test_states(self, checked: Any) -> None:
        hooks = Hooks()
        async for _ in anumbers.with_options(on_completion=[hooks("c")])():
            assert names(checked.one("anumbers"))[-1] == "Running"
        assert names(checked.one("anumbers")) == ["Pending", "Running", "Completed"]
        assert hooks.seen[0][3].result() is None

    async def test_break_completes(self, checked: Any) -> None:
        generator: Any = anumbers(10)
        async for _ in generator:
            break
        await generator.aclose()
        assert names(checked.one("anumbers")) == ["Pending", "Running", "Completed"]

    async def test_errors(self, checked: Any) -> None:
        @task
        async def t() -> AsyncIterator[int]:
            yield 1
            raise KeyError("k")

        with pytest.raises(KeyError):
            [i async for i in t()]
        assert names(checked.one("t"))[-1] == "Failed"

    async def test_retries(self) -> None:
        calls = Calls()

        @task(retries=1)
        async def t() -> AsyncIterator[int]:
            yield 1
            if calls() == 1:
                raise ValueError
            yield 2

        assert [i async for i in t()] == [1, 1, 2]

    def test_submit_gives_a_list(self) -> None:
        """Q17: no TypeError."""

        @flow
        def f() -> Any:
            return anumbers.submit(2).result()

        assert f() == [0, 1]

    async def test_submit_in_an_async_flow(self) -> None:
        @flow
        async def f() -> Any:
            return await anumbers.submit(2), await numbers.submit(2)

        assert await f() == ([0, 1], [0, 1])


class TestFlows:
    def test_sync(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def double(x: int) -> int:
            return x * 2

        @flow
        def f(n: int) -> Iterator[int]:
            for i in range(n):
                yield double(i)

        assert list(f(3)) == [0, 2, 4]
        assert names(checked.one("f")) == ["Pending", "Running", "Completed"]
        (of_flow,) = {run.flow_run_id for run in checked.of("double")}
        assert of_flow == checked.one("f").id

    def test_parameters_are_validated(self) -> None:
        @flow
        def f(n: int) -> Any:
            yield n

        given: Any = "3"
        assert list(f(given)) == [3]

    def test_errors(self, checked: Any) -> None:
        @flow
        def f() -> Iterator[int]:
            yield 1
            raise KeyError

        with pytest.raises(KeyError):
            list(f())
        assert names(checked.one("f"))[-1] == "Failed"

    def test_break(self, checked: Any) -> None:
        @flow
        def f() -> Iterator[int]:
            yield 1
            yield 2

        for _ in f():
            break
        assert names(checked.one("f"))[-1] in {"Completed", "Cancelled"}

    async def test_async(self) -> None:
        @flow
        async def f() -> AsyncIterator[int]:
            async for i in anumbers():
                yield i

        assert [i async for i in f()] == [0, 1, 2]


class TestReturnedGenerators:
    def test_of_tasks(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> Any:
            return (i for i in range(3))

        assert t() == [0, 1, 2]
        assert t.submit().result() == [0, 1, 2]

    def test_of_flows(self) -> None:
        @flow
        def f() -> Any:
            return (i for i in range(3))

        assert f() == [0, 1, 2]
        assert f(return_state=True).result() == [0, 1, 2]

    def test_yielded_generators_are_handed_over_unconsumed(self) -> None:
        @task
        def t() -> Any:
            yield (i for i in range(3))

        (inner,) = t()
        assert next(inner) == 0
        assert list(inner) == [1, 2]
