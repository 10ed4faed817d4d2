"""Cached tasks: hits from memory and disk, misses, and large arguments and results."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
from blake3 import blake3

from benchmarks import subjects
from benchmarks.measure import OURS, Row, Size, at_most, each, installed, interleave, timed, times
from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.session import Session, use_session

LARGE = 100 * 2**20
SMALL = subjects.SMALL


def place(name: str) -> Path:
    """Return a directory of this benchmark; it goes with the store."""
    return Path(os.environ["CELLIST_HOME"]).parent / name


def joblib_memory() -> Any:
    from joblib import Memory

    return Memory(place("joblib"), verbose=0)


def returning_small(x):
    del x
    return SMALL


def hit(size: Size) -> Iterator[Row]:
    """A task call whose small result is there, in memory and on disk, among few and many."""
    count, many = size.items(500), size.items(10_000)
    raw = diskcache.Cache(place("raw"))
    for number in range(count):
        raw.set(str(number), SMALL)
    subjects.looked_up(0, many)
    subjects.settle()

    def from_disk(calls: int) -> float:
        with use_session(Session()):
            return subjects.looked_up(0, calls)

    def remembered() -> Callable[[], float]:
        function: Any = joblib_memory().cache(returning_small)
        each(function, count)
        return lambda: each(function, count)

    contenders = {
        "few in memory": lambda: subjects.looked_up(0, count),
        "few on disk": lambda: from_disk(count),
        "many in memory": lambda: subjects.looked_up(0, many),
        "many on disk": lambda: from_disk(many),
        "diskcache get": lambda: each(lambda number: raw.get(str(number)), count),
    }
    contenders |= installed("joblib", remembered)
    rounds = interleave(size, contenders)
    in_memory = {"diskcache get": times(1, "raw get"), "joblib": None}
    yield from rounds.rows("cache hit from memory", in_memory, "few in memory")
    on_disk = {"diskcache get": times(3, "raw get"), "joblib": None}
    yield from rounds.rows("cache hit from disk", on_disk, "few on disk")
    for where in ("in memory", "on disk"):
        few = {f"few {where}": None}
        yield from rounds.rows(f"{many:,} hits {where}", few, f"many {where}")


def miss(size: Size) -> Iterator[Row]:
    """A task call whose small result is not there: digest, run, and hand the result over."""
    count = size.items(400)
    raw = diskcache.Cache(place("raw"))
    fresh = itertools.count(0, count + 1)

    def ours() -> float:
        seconds = subjects.looked_up(next(fresh), count)
        subjects.settle()
        return seconds

    def theirs(call: Callable[[int], object]) -> Callable[[], float]:
        def run() -> float:
            first = next(fresh)
            return each(lambda number: call(first + number), count)

        return run

    contenders = {OURS: ours, "diskcache set": theirs(lambda key: raw.set(str(key), SMALL))}
    contenders |= installed("joblib", lambda: theirs(joblib_memory().cache(returning_small)))
    peers = {"diskcache set": times(1.5, "raw set"), "joblib": None}
    yield from interleave(size, contenders).rows("cache miss", peers)


@task
def first_of(array):
    return float(array[0, 0])


@task
def made(length: int):
    return large_array(length)


def large_array(length: int) -> Any:
    numbers = np.random.default_rng(0).integers(0, 256, length, np.uint8)
    return numbers.view("f8").reshape(-1, 16)


def first_plain(array):
    return float(array[0, 0])


@flow
def large_argument(array: Any) -> float:
    return timed(first_of, array)


@flow
def large_result(length: int) -> float:
    return timed(made, length)


def digest(array: Any) -> None:
    blake3(array.reshape(-1).view(np.uint8)).digest()


def read_and_digest(path: Path) -> None:
    blake3(path.read_bytes()).digest()


def array(size: Size) -> Iterator[Row]:
    """A hit with 100 MB as argument and as result."""
    length = 2**20 if size.tiny else LARGE
    name = f"{length >> 20} MB array"
    numbers = large_array(length)
    path = place("array")
    path.write_bytes(numbers)
    large_argument(numbers)
    large_result(length)
    subjects.settle()

    def remembered(function: Any, argument: Any) -> Callable[[], float]:
        cached: Any = joblib_memory().cache(function)
        cached(argument)
        return lambda: timed(cached, argument)

    as_argument = {
        OURS: lambda: large_argument(numbers),
        "blake3": lambda: timed(digest, numbers),
    } | installed("joblib", lambda: remembered(first_plain, numbers))
    yield from interleave(size, as_argument).rows(
        f"{name} as argument, hit", {"blake3": times(1.3, "digest"), "joblib": None}
    )
    as_result = {
        OURS: lambda: large_result(length),
        "read + blake3": lambda: timed(read_and_digest, path),
    } | installed("joblib", lambda: remembered(large_array, length))
    yield from interleave(size, as_result).rows(
        f"{name} as result, hit", {"read + blake3": times(1.3, "digest and read"), "joblib": None}
    )


@task(cache_policy=NO_CACHE)
def length_of(items):
    return len(items)


def len_plain(x):
    return len(x)


@flow
def long_argument(items: Any, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        length_of(items)
    return (time.perf_counter() - start) / count


def arguments(size: Size) -> Iterator[Row]:
    """A list of a million numbers as argument, with caching off."""
    length = 2000 if size.tiny else 1_000_000
    items = list(range(length))

    def piped() -> Callable[[], float]:
        from pipefunc import PipeFunc, Pipeline

        pipeline = Pipeline([PipeFunc(len_plain, "y")])
        return lambda: each(lambda _: pipeline(x=items), 5)

    contenders = {OURS: lambda: long_argument(items, 5)} | installed("pipefunc", piped)
    contenders["submitted"] = lambda: timed(submit_long, items)
    rounds = interleave(size, contenders)
    name = f"list of {length:,} as argument"
    budget = at_most(0.005, "5,000 µs")
    yield from rounds.rows(f"{name}, caching off", {"pipefunc": budget})
    yield from rounds.rows(f"{name}, submitted", {"pipefunc": budget}, "submitted")


@flow
def submit_long(items: Any) -> int:
    return length_of.submit(items).result()
