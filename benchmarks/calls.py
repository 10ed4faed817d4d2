"""Calls and submissions of tasks that do nothing, with caching off."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import subjects
from benchmarks.measure import (
    OURS,
    Contender,
    Row,
    Size,
    at_most,
    each,
    installed,
    interleave,
    row,
    timed,
    times,
)
from benchmarks.subjects import same


def ours(flow: Any, *arguments: Any, items: int) -> Contender:
    """Return the contender that runs a flow of ours."""

    def run() -> float:
        seconds = timed(flow, *arguments, items=items)
        subjects.settle()
        return seconds

    return run


class Record:
    """What the raw floor keeps of a run."""

    __slots__ = ("args", "number", "states")

    def __init__(self, number: int, args: tuple[Any, ...]) -> None:
        self.number = number
        self.args = args
        self.states: list[tuple[str, int]] = []


def floor(count: int) -> float:
    """Do no more than the bookkeeping of a run: bind, id, three states, append."""
    numbers, events = itertools.count(), []
    start = time.perf_counter()
    for number in range(count):
        args = (number,)
        if len(args) != 1:
            raise TypeError
        record = Record((time.time_ns() // 1_000_000) << 80 | next(numbers), args)
        for state in ("Pending", "Running"):
            record.states.append((state, time.time_ns()))
            events.append((record, state))
        same(*args)
        record.states.append(("Completed", time.time_ns()))
        events.append((record, "Completed"))
    return (time.perf_counter() - start) / count


def piped() -> Any:
    """Return a pipefunc pipeline of one function."""
    from pipefunc import PipeFunc, Pipeline

    return Pipeline([PipeFunc(same, "y")])


def mapped(depth: int) -> Any:
    """Return a pipefunc pipeline that maps over each element `depth` times."""
    from pipefunc import PipeFunc, Pipeline

    return Pipeline(
        [
            PipeFunc(
                same,
                f"y{layer + 1}",
                renames={"x": f"y{layer}"},
                mapspec=f"y{layer}[i] -> y{layer + 1}[i]",
            )
            for layer in range(depth)
        ]
    )


def map_piped(pipeline: Any, width: int, pool: ThreadPoolExecutor) -> None:
    inputs = {"y0": list(range(width))}
    pipeline.map(inputs, parallel=True, executor=pool, storage="dict", show_progress=False)


def calling_piped(count: int) -> Contender:
    pipeline = piped()
    return lambda: each(lambda number: pipeline(x=number), count)


def mapping_piped(width: int, depth: int, pool: ThreadPoolExecutor) -> Contender:
    pipeline = mapped(depth)
    return lambda: timed(map_piped, pipeline, width, pool, items=width * depth)


def remembering_nothing(count: int) -> Contender:
    from joblib import Memory

    function: Any = Memory(location=None, verbose=0).cache(same)
    return lambda: each(function, count)


def joblib_layers(width: int, depth: int) -> None:
    from joblib import Parallel, delayed

    values: Any = range(width)
    with Parallel(n_jobs=4, prefer="threads") as parallel:
        for _ in range(depth):
            values = list(parallel(delayed(same)(value) for value in values))


def pooled(pool: ThreadPoolExecutor, count: int) -> None:
    futures = [pool.submit(same, number) for number in range(count)]
    for future in futures:
        future.result()


def direct(size: Size) -> Iterator[Row]:
    """A direct call of a task in a flow."""
    count = size.items(5000)
    contenders = {OURS: ours(subjects.direct, count, items=count)}
    contenders |= installed("pipefunc", lambda: calling_piped(count))
    contenders |= installed("joblib", lambda: remembering_nothing(count))
    contenders["raw floor"] = lambda: floor(count)
    peers = {"pipefunc": times(1, "pipefunc"), "raw floor": None, "joblib": None}
    yield from interleave(size, contenders).rows("direct call in a flow", peers)


def submit(size: Size) -> Iterator[Row]:
    """Submit and result of sync functions."""
    count = size.items(3000)
    with ThreadPoolExecutor() as pool:
        contenders = {OURS: ours(subjects.submitted, count, items=count)}
        contenders |= installed("pipefunc", lambda: mapping_piped(count, 1, pool))
        contenders |= installed(
            "joblib", lambda: lambda: timed(joblib_layers, count, 1, items=count)
        )
        contenders["thread pool"] = lambda: timed(pooled, pool, count, items=count)
        peers = {"pipefunc": times(1.5, "pipefunc"), "thread pool": None, "joblib": None}
        yield from interleave(size, contenders).rows("submit + result", peers)


async def same_async(x):
    return x


async def bare_gather(count: int) -> None:
    await asyncio.gather(*[same_async(number) for number in range(count)])


def on_a_loop(work: Callable[[int], Any], count: int) -> Contender:
    """Return the contender that awaits `work(count)` on a fresh event loop."""

    async def main() -> float:
        start = time.perf_counter()
        await work(count)
        return (time.perf_counter() - start) / count

    def run() -> float:
        seconds = asyncio.run(main())
        subjects.settle()
        return seconds

    return run


def coroutines(size: Size) -> Iterator[Row]:
    """Async tasks, awaited together and submitted."""
    count = size.items(3000)
    rounds = interleave(
        size,
        {
            OURS: on_a_loop(subjects.gathered, count),
            "submitted": on_a_loop(subjects.submitted_async, count),
            "bare gather": on_a_loop(bare_gather, count),
        },
    )
    gather = {"bare gather": times(3, "bare gather")}
    yield from rounds.rows("async tasks, gathered", gather)
    submitting = {"bare gather": times(5, "bare gather")}
    yield from rounds.rows("async tasks, submitted", submitting, "submitted")


def grid(size: Size) -> Iterator[Row]:
    """Layers of submitted tasks, each waiting for the one above it."""
    width = depth = 3 if size.tiny else 100
    items = width * depth
    with ThreadPoolExecutor() as pool:
        contenders = {OURS: ours(subjects.grid, width, depth, items=items)}
        contenders |= installed(
            "pipefunc",
            lambda: mapping_piped(width, depth, pool),
        )
        contenders |= installed(
            "joblib", lambda: lambda: timed(joblib_layers, width, depth, items=items)
        )
        contenders["thread pool, free"] = lambda: timed(pooled, pool, items, items=items)
        peers = {
            "pipefunc": times(1, "pipefunc"),
            "thread pool, free": None,
            "joblib": None,
        }
        yield from interleave(size.heavy(), contenders).rows(
            f"grid {width} × {depth}, dependent", peers
        )


def pool_chain(pool: ThreadPoolExecutor, length: int) -> None:
    last: Any = 0
    for _ in range(length):
        last = pool.submit(same, last).result()


def chain(size: Size) -> Iterator[Row]:
    """A chain of submits, each waiting for the one before: time and threads."""
    length = 20 if size.tiny else 10_000
    subjects.noting_chain(length)
    threads = len(subjects.threads_seen - {threading.get_ident()})
    name = f"chain of {length:,} submits, in all"
    with ThreadPoolExecutor(1) as pool:
        rounds = interleave(
            size.heavy(),
            {
                OURS: ours(subjects.chain, length, items=1),
                "thread pool, in turn": lambda: timed(pool_chain, pool, length),
            },
        )
    yield from rounds.rows(name, {"thread pool, in turn": at_most(1.0, "1 s")})
    yield row("threads the chain ran in", threads, budget=at_most(1, "1"), unit="")
