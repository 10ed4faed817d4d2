"""Generators called directly: values one by one, one run, whoever consumes them and however."""

import asyncio
import gc
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from cellist import cancel, flow, get_run_logger, runtime, task
from cellist.cache_policies import INPUTS
from cellist.exceptions import CancelledRun, ParameterBindError, UpstreamTaskError
from cellist.model import runs
from tests.sessions import Recorder, names

WAYS = ("sync", "async")


class Stream:
    """Iterates a generator made of one function, sync or async, and collects what it gives."""

    def __init__(self, way: str, decorate: Callable[[Any], Any], fn: Callable[..., Any]) -> None:
        self.way = way
        if way == "sync":
            self.made = decorate(fn)
            return

        async def twin(*args: Any) -> AsyncIterator[Any]:
            for value in fn(*args):
                await asyncio.sleep(0)
                yield value

        twin.__name__ = fn.__name__
        self.made = decorate(twin)

    def take(self, *args: Any, most: int | None = None, **kwargs: Any) -> list[Any]:
        """Return the values, or the first `most` of them; then the consumer stops."""
        if self.way == "sync":
            values = self.made(*args, **kwargs)
            taken = list(itertools.islice(values, most))
            values.close()
            return taken

        async def run() -> list[Any]:
            values = self.made(*args, **kwargs)
            taken: list[Any] = []
            if most != 0:
                async for value in values:
                    taken.append(value)
                    if len(taken) == most:
                        break
            await values.aclose()
            return taken

        return asyncio.run(run())


def count(n: int) -> Iterator[int]:
    yield from range(n)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("decorate", [task, flow])
def test_a_generator_gives_its_values(way: str, decorate: Any, recorder: Recorder) -> None:
    stream = Stream(way, decorate, count)
    assert stream.take(3) == [0, 1, 2]
    run = recorder.one("count")
    assert names(run) == ["Pending", "Running", "Completed"]
    assert run.run_count == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("decorate", [task, flow])
def test_a_consumer_may_stop_early(way: str, decorate: Any, recorder: Recorder) -> None:
    closed = []

    def count(n: int) -> Iterator[int]:
        try:
            yield from range(n)
        finally:
            closed.append(n)

    assert Stream(way, decorate, count).take(5, most=2) == [0, 1]
    gc.collect()
    assert closed == [5]
    assert names(recorder.one("count")) == ["Pending", "Running", "Completed"]
    assert "The consumer stopped after 2 value(s)." in recorder.logs()


@pytest.mark.parametrize("way", WAYS)
def test_nothing_happens_before_the_first_value_is_asked_for(way: str, recorder: Recorder) -> None:
    assert Stream(way, task, count).take(3, most=0) == []
    assert recorder.runs == []


@pytest.mark.parametrize("way", WAYS)
def test_a_failure_reaches_the_consumer(way: str, recorder: Recorder) -> None:
    error = ValueError("late")

    def bad() -> Iterator[int]:
        yield 1
        raise error

    got = []
    stream = Stream(way, task, bad)
    with pytest.raises(ValueError, match="late") as caught:
        got += stream.take()
    assert caught.value is error
    run = recorder.one("bad")
    assert names(run) == ["Pending", "Running", "Failed"]
    assert run.error is not None
    assert "src/cellist" not in run.error.traceback


@pytest.mark.parametrize("way", WAYS)
def test_a_retry_begins_again(way: str, recorder: Recorder) -> None:
    failures = iter([ValueError("once")])

    def flaky() -> Iterator[int]:
        yield 1
        for error in failures:
            raise error
        yield 2

    assert Stream(way, task(retries=1), flaky).take() == [1, 1, 2]
    assert names(recorder.one("flaky")) == ["Pending", "Running", "Retrying", "Completed"]


def test_what_the_generator_returns_is_its_result(recorder: Recorder) -> None:
    seen: list[Any] = []

    @task(on_completion=[lambda _task, _run, state: seen.append(state.result())])
    def total(n: int) -> Any:
        yield from range(n)
        return n * 10

    stream = total(2)
    assert (next(stream), next(stream)) == (0, 1)
    with pytest.raises(StopIteration) as end:
        next(stream)
    assert end.value.value == 20
    assert seen == [20]
    assert (yield_from(total(1))) == ([0], 10)


def yield_from(values: Any) -> tuple[list[Any], Any]:
    got: list[Any] = []

    def outer() -> Any:
        return (yield from values)

    stream = outer()
    while True:
        try:
            got.append(next(stream))
        except StopIteration as end:
            return got, end.value


def test_the_consumer_may_send_and_throw(recorder: Recorder) -> None:
    @task
    def echo() -> Any:
        got = yield "ready"
        while True:
            try:
                got = yield got
            except KeyError as error:
                got = f"caught {error}"

    stream = echo()
    assert next(stream) == "ready"
    assert stream.send(5) == 5
    assert stream.throw(KeyError("k")) == "caught 'k'"
    stream.close()
    assert names(recorder.one("echo"))[-1] == "Completed"


async def test_an_async_generator_is_sent_to_and_closed(recorder: Recorder) -> None:
    cleaned = []

    async def echo_fn() -> Any:
        got = yield "ready"
        try:
            while True:
                got = yield got
        finally:
            await asyncio.sleep(0)
            cleaned.append(runtime.task_run.name)

    echo: Any = task(echo_fn, name="echo")
    stream = echo()
    assert await anext(stream) == "ready"
    assert await stream.asend(5) == 5
    await stream.aclose()
    assert cleaned == ["echo"]
    assert names(recorder.one("echo"))[-1] == "Completed"


@pytest.mark.parametrize("way", WAYS)
def test_the_run_is_current_only_in_its_own_code(way: str, recorder: Recorder) -> None:
    inner: list[Any] = []

    def numbers() -> Iterator[int]:
        inner.append(runtime.task_run.name)
        get_run_logger().info("in the generator")
        yield 1
        inner.append(runtime.task_run.name)
        yield 2

    stream = Stream(way, task, numbers)

    @flow
    def outer() -> list[Any]:
        return [(value, runtime.task_run.name) for value in stream.made()]

    @flow
    async def aouter() -> list[Any]:
        return [(value, runtime.task_run.name) async for value in stream.made()]

    seen = outer() if way == "sync" else asyncio.run(aouter())
    assert seen == [(1, None), (2, None)]
    run = recorder.one("numbers")
    assert inner == [run.name, run.name]
    assert run.flow is recorder.of("outer" if way == "sync" else "aouter")[0]


@pytest.mark.parametrize("way", WAYS)
def test_who_consumes_a_value_has_the_generator_as_parent(way: str, recorder: Recorder) -> None:
    def pages() -> Iterator[list[int]]:
        yield [1]
        yield [2]

    @task(cache_policy=None)
    def use(page: list[int]) -> int:
        return page[0]

    stream = Stream(way, task, pages)

    @flow
    def outer() -> list[int]:
        return [use(page) for page in stream.made()]

    @flow
    async def aouter() -> list[int]:
        return [use(page) async for page in stream.made()]

    assert (outer() if way == "sync" else asyncio.run(aouter())) == [1, 2]
    producer = recorder.one("pages").id
    for run in recorder.of("use"):
        inputs = run.task_inputs  # type: ignore[attr-defined] - a task run has them
        assert [one.id for one in inputs["page"]] == [producer]
        assert [one.id for one in inputs["__parents__"]] == [producer]


def test_after_the_end_of_the_generator_it_is_upstream_but_no_parent(recorder: Recorder) -> None:
    @task
    def pages() -> Iterator[list[int]]:
        yield [1]

    @task(cache_policy=None)
    def use(page: list[int]) -> int:
        return page[0]

    @flow
    def outer() -> list[int]:
        return [use(page) for page in list(pages())]

    assert outer() == [1]
    inputs = recorder.one("use").task_inputs  # type: ignore[attr-defined] - a task run has them
    assert set(inputs) == {"page"}


@pytest.mark.parametrize("way", WAYS)
def test_the_time_limit_counts_the_generators_own_code(way: str, recorder: Recorder) -> None:
    def quick() -> Iterator[int]:
        yield 1
        yield 2

    stream = Stream(way, task(timeout_seconds=0.5), quick)
    if way == "sync":
        for _ in stream.made():
            time.sleep(0.3)
    else:

        async def consume() -> None:
            async for _ in stream.made():
                await asyncio.sleep(0.3)

        asyncio.run(consume())
    assert names(recorder.one("quick"))[-1] == "Completed"


@pytest.mark.parametrize("place", ["main thread", "other thread", "loop"])
def test_a_late_generator_times_out(place: str, recorder: Recorder) -> None:
    def slow() -> Iterator[int]:
        yield 1
        time.sleep(60)
        yield 2

    async def aslow() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(60)
        yield 2

    limited: Any = task(aslow if place == "loop" else slow, timeout_seconds=0.1, name="slow")
    errors: list[BaseException] = []

    def consume() -> None:
        try:
            list(limited())
        except TimeoutError as error:
            errors.append(error)

    async def aconsume() -> None:
        try:
            [value async for value in limited()]
        except TimeoutError as error:
            errors.append(error)

    if place == "loop":
        asyncio.run(aconsume())
    elif place == "main thread":
        consume()
    else:
        thread = threading.Thread(target=consume)
        thread.start()
        thread.join(50)
    assert [str(error) for error in errors] == ["Scope timed out after 0.1 second(s)."]
    run = recorder.one("slow")
    assert names(run)[-1] == "TimedOut"
    assert run.state is not None
    assert run.state.message == "Task run exceeded timeout of 0.1 second(s)"


@pytest.mark.parametrize("way", WAYS)
def test_a_cancel_between_two_values_ends_the_run_at_the_next(way: str, recorder: Recorder) -> None:
    stream = Stream(way, task, count)
    if way == "sync":
        values = stream.made(3)
        assert next(values) == 0
        cancel(recorder.one("count"))
        assert names(recorder.one("count"))[-1] == "Cancelling"
        with pytest.raises(CancelledRun):
            next(values)
    else:

        async def consume() -> None:
            values = stream.made(3)
            assert await anext(values) == 0
            cancel(recorder.one("count"))
            with pytest.raises(CancelledRun):
                await anext(values)

        asyncio.run(consume())
    assert names(recorder.one("count"))[-2:] == ["Cancelling", "Cancelled"]


def test_the_consumers_own_failure_completes_the_generator(recorder: Recorder) -> None:
    @task
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    @flow
    def outer() -> None:
        for _ in numbers():
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        outer()
    gc.collect()
    assert names(recorder.one("numbers"))[-1] == "Completed"
    assert names(recorder.one("outer"))[-1] == "Failed"


def test_a_yielded_generator_is_handed_over_as_it_is(recorder: Recorder) -> None:
    @task
    def outer() -> Any:
        yield (n for n in range(2))

    (inner,) = list(outer())
    assert list(inner) == [0, 1]


def test_a_returned_generator_becomes_a_list(recorder: Recorder) -> None:
    @task
    def given() -> Any:
        return (n for n in range(2))

    async def agiven() -> Any:
        async def inner() -> AsyncIterator[int]:
            yield 0
            yield 1

        return inner()

    @flow
    def whole() -> Any:
        return (n for n in range(2))

    agiven_task: Any = task(agiven)
    agiven_flow: Any = flow(agiven)
    assert given() == given.submit().result() == whole() == [0, 1]
    assert asyncio.run(agiven_task()) == asyncio.run(agiven_flow()) == [0, 1]


def test_generators_are_never_reused(recorder: Recorder) -> None:
    calls = []

    @task(cache_policy=INPUTS)
    def numbers(n: int) -> Iterator[int]:
        calls.append(n)
        yield n

    assert list(numbers(1)) == list(numbers(1)) == [1]
    assert calls == [1, 1]
    assert "generator" in str(recorder.of("numbers")[0].why)


def test_a_generator_flow_waits_for_what_it_submitted(recorder: Recorder) -> None:
    @task
    def double(x: int) -> int:
        return 2 * x

    @flow
    def numbers() -> Any:
        first = double.submit(1)
        yield "submitted"
        yield first.result()
        double.submit(4)
        return "end"

    assert yield_from(numbers()) == (["submitted", 2], "end")
    assert all(run.is_final for run in recorder.of("double"))
    assert recorder.of("double")[1].flow is recorder.one("numbers")


def test_prints_of_a_generator_are_logged_those_of_its_consumer_are_not(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    @task(log_prints=True)
    def talk() -> Iterator[int]:
        print("mine")
        yield 1
        print("mine too")

    plain = print
    for _ in talk():
        print("the consumer's")
    assert capsys.readouterr().out == "the consumer's\n"
    assert [text for text in recorder.logs() if "mine" in text] == ["mine", "mine too"]
    assert print is plain


def test_methods_stream(recorder: Recorder) -> None:
    class Reader:
        def __init__(self, lines: list[str]) -> None:
            self.lines = lines

        @task
        def read(self, most: int) -> Iterator[str]:
            yield from self.lines[:most]

        @task
        @classmethod
        def kinds(cls) -> Iterator[str]:
            yield cls.__name__

    assert list(Reader(["a", "b"]).read(1)) == ["a"]
    assert list(Reader.kinds()) == ["Reader"]


def test_wrong_arguments_are_told_at_the_call(recorder: Recorder) -> None:
    made: Any = task(count)
    with pytest.raises(ParameterBindError, match="missing a required argument: 'n'"):
        made()
    with pytest.raises(TypeError, match=r"return_state.*generator.*Submit it"):
        made(1, return_state=True)
    assert recorder.runs == []


def test_inputs_of_a_generator_are_waited_for(recorder: Recorder) -> None:
    @task
    def three() -> int:
        return 3

    @task
    def bad() -> int:
        raise ValueError("upstream")

    made: Any = task(count)

    @flow
    def outer() -> list[int]:
        return list(made(three.submit()))

    @flow
    def broken() -> None:
        with pytest.raises(UpstreamTaskError):
            list(made(bad.submit()))

    assert outer() == [0, 1, 2]
    broken()
    assert names(recorder.of("count")[1]) == ["Pending", "NotReady"]


def test_the_collector_may_close_a_generator_while_a_state_changes(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did on Python 3.12: the run of the garbage ended inside the lock of another's change."""
    abandoned = task(count, log_prints=True)(3)
    next(abandoned)
    cycle: list[Any] = [abandoned]
    cycle.append(cycle)
    del abandoned, cycle

    class Collecting(dict[Any, Any]):
        """What `enter` looks up while it holds the lock."""

        def __getitem__(self, kind: Any) -> Any:
            gc.collect()
            return super().__getitem__(kind)

    monkeypatch.setattr(runs, "TRANSITIONS", Collecting(runs.TRANSITIONS))
    work: Any = task(lambda: None, cache_policy=None)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert names(recorder.one("count"))[-1] == "Completed"


@pytest.mark.parametrize("log_prints", [False, True])
@pytest.mark.parametrize("generation", [0, 1, 2])
def test_a_stream_in_a_cycle_is_complete_in_whichever_order_the_collector_goes(
    generation: int, log_prints: bool, recorder: Recorder
) -> None:
    """It closed the steps of the run before the stream: the run was said to have crashed."""
    abandoned = task(count, log_prints=log_prints)(3)
    gc.collect(generation)  # what is older than the steps is looked at after them
    next(abandoned)
    cycle: list[Any] = [abandoned]
    cycle.append(cycle)
    del abandoned, cycle
    gc.collect()
    assert names(recorder.one("count")) == ["Pending", "Running", "Completed"]
