"""SPEC 8.3: errors of every odd kind reach the caller as they are, from wherever code runs."""

import asyncio
import concurrent.futures
import dataclasses
from typing import Any

import pytest

from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.task_runners import ProcessPoolTaskRunner, SequentialTaskRunner, ThreadPoolTaskRunner
from tests.sessions import WAYS, as_task, final_state
from tests.spec.observe import Boom, trail


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Needs(Exception):
    def __init__(self, *, code: int, where: str) -> None:
        super().__init__(f"{where} {code}")
        self.code = code
        self.where = where


class Slots(Exception):
    __slots__ = ("x",)


def chained() -> Exception:
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError as error:
        return error


ERRORS: dict[str, Any] = {
    "odd constructor": lambda: Boom(3, "here"),
    "keyword only": lambda: Needs(code=3, where="here"),
    "frozen": lambda: Frozen(3),
    "no text": NoText,
    "slots": lambda: Slots("a"),
    "group": lambda: ExceptionGroup("many", [ValueError("a"), KeyError("b")]),
    "chained": chained,
    "stop iteration": lambda: StopIteration(3),
    "stop async iteration": lambda: StopAsyncIteration(3),
    "timeout": lambda: TimeoutError("late"),
    "futures timeout": lambda: concurrent.futures.TimeoutError("late"),
    "empty": ValueError,
    "braces": lambda: ValueError("{not} a %s template %d"),
    "lines": lambda: ValueError("one\ntwo"),
    "unicode error": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    "os error": lambda: FileNotFoundError(2, "No such file", "name"),
    "recursion": lambda: RecursionError("deep"),
    "memory": MemoryError,
    "assertion": AssertionError,
}


class TestEveryKind:
    @pytest.mark.parametrize(
        ("name", "way"),
        [
            (name, way)
            for name in ERRORS
            for way in WAYS
            if way in {"drive", "submit"} or "iteration" not in name  # else Python changes it
        ],
    )
    def test_the_object_itself(self, name: str, way: str) -> None:
        error = ERRORS[name]()

        def work() -> None:
            raise error

        state = final_state(way, as_task(way, work, name="t"))
        assert state.is_failed()
        assert state.result(raise_on_failure=False) is error
        with pytest.raises(type(error)) as caught:
            state.result()
        assert caught.value is error
        assert (state.name == "TimedOut") is isinstance(error, TimeoutError)

    @pytest.mark.parametrize("name", ERRORS)
    def test_through_flows(self, name: str) -> None:
        error = ERRORS[name]()

        @task(cache_policy=NO_CACHE, retries=1)
        def t() -> None:
            raise error

        @flow
        def child() -> Any:
            return t.submit().result()

        @flow
        def parent() -> Any:
            return child()

        with pytest.raises(type(error)) as caught:
            parent()
        assert caught.value is error

    @pytest.mark.parametrize("name", [name for name in ERRORS if name != "no text"])
    def test_from_a_process(self, name: str, process_flow: Any) -> None:
        error = process_flow(name)
        original = ERRORS[name]()
        assert type(error).__name__ == type(original).__name__
        assert str(error) == str(original)
        for attribute in ("code", "where"):
            assert getattr(error, attribute, None) == getattr(original, attribute, None)


@pytest.fixture(scope="module")
def process_flow() -> Any:
    """Errors raised in one process pool, by name."""
    t = task(lambda name: raise_(ERRORS[name]()), name="in-process", cache_policy=NO_CACHE)
    got: dict[str, Any] = {}

    def of(name: str) -> Any:
        if not got:

            @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
            def f() -> None:
                futures = {one: t.submit(one) for one in ERRORS}
                for one, future in futures.items():
                    got[one] = future.result(timeout=60, raise_on_failure=False)

            f()
        return got[name]

    return of


def raise_(error: BaseException) -> None:
    raise error


class TestTracebacks:
    def test_point_at_the_users_line(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> None:
            raise ValueError("here")

        @flow
        def f() -> None:
            t()

        for call in (t, f):
            with pytest.raises(ValueError) as caught:
                call()
            assert caught.traceback[-1].name == "t"
            assert str(caught.traceback[-1].path) == __file__

    def test_of_submitted_tasks(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> None:
            raise ValueError("here")

        future = t.submit()
        for _ in range(2):
            with pytest.raises(ValueError) as caught:
                future.result()
            assert caught.traceback[-1].name == "t"

    def test_from_a_process_as_text(self) -> None:
        @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
        def f() -> Any:
            failing = task(lambda: raise_(Frozen(3)), name="t", cache_policy=NO_CACHE)
            return [failing.submit().result(raise_on_failure=False)]

        (error,) = f()
        assert "raise_" in str(error.__cause__)

    def test_causes_are_kept(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> None:
            try:
                raise KeyError("cause")
            except KeyError as error:
                raise ValueError("effect") from error

        with pytest.raises(ValueError) as caught:
            t()
        assert isinstance(caught.value.__cause__, KeyError)


class TestOddCalls:
    def test_generator_exit_by_the_user(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> None:
            raise GeneratorExit

        with pytest.raises(GeneratorExit):
            t()

    def test_cancelled_error_by_the_user(self) -> None:
        @task(cache_policy=NO_CACHE, retries=3)
        def t() -> None:
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            t()

    @pytest.mark.parametrize(
        "runner", [ThreadPoolTaskRunner(max_workers=2), SequentialTaskRunner()]
    )
    def test_hundred_failures(self, runner: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def t(i: int) -> None:
            raise ValueError(i)

        @flow(task_runner=runner)
        def f() -> Any:
            futures = t.map(range(100))
            futures.wait()
            return [str(e) for e in futures.result(raise_on_failure=False)]

        assert f() == [str(i) for i in range(100)]

    def test_a_dead_process(self) -> None:
        @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
        def f() -> Any:
            import os

            dead = task(lambda: os._exit(3), name="dead", cache_policy=NO_CACHE).submit()
            dead.wait(timeout=30)
            return [dead.state.type.name]

        assert f()[0] in {"CRASHED", "FAILED"}

    def test_what_a_process_cannot_send_back(self) -> None:
        @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
        def f() -> Any:
            import threading

            bad = task(threading.Lock, name="bad", cache_policy=NO_CACHE).submit()
            bad.wait(timeout=30)
            good = task(lambda: 1, name="good", cache_policy=NO_CACHE).submit()
            return [bad.state.is_final(), bad.state.is_completed(), good.result(timeout=30)]

        assert f() == [True, False, 1]

    def test_what_a_process_cannot_be_sent(self) -> None:
        import threading

        lock = threading.Lock()

        @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
        def f() -> Any:
            bad = task(lambda x: 1, name="bad", cache_policy=NO_CACHE).submit(lock)
            bad.wait(timeout=30)
            return [trail(bad)[-1]]

        assert f()[0] in {"Failed", "Crashed"}

    async def test_gather_with_failures(self) -> None:
        @task(cache_policy=NO_CACHE)
        async def t(i: int) -> int:
            await asyncio.sleep(0)
            if i % 2:
                raise ValueError(i)
            return i

        @flow
        async def f() -> Any:
            got = await asyncio.gather(*(t(i) for i in range(4)), return_exceptions=True)
            return [type(one).__name__ for one in got]

        assert await f() == ["int", "ValueError", "int", "ValueError"]

    async def test_task_groups(self) -> None:
        cancelled: list[int] = []

        @task(cache_policy=NO_CACHE)
        async def t(i: int) -> None:
            if i == 0:
                await asyncio.sleep(0.01)
                raise ValueError
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                cancelled.append(i)
                raise

        @flow
        async def f() -> None:
            async with asyncio.TaskGroup() as group:
                for i in range(3):
                    group.create_task(t(i))

        with pytest.raises(ExceptionGroup):
            await f()
        assert sorted(cancelled) == [1, 2]

    def test_flows_in_a_pool_of_the_users_own(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t(i: int) -> int:
            return i * 2

        @flow
        def f(i: int) -> Any:
            return sum(future.result() for future in t.map([i] * 3))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert list(pool.map(f, range(8))) == [i * 6 for i in range(8)]
