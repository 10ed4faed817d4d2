"""Direct calls, `submit` and `map`, sync and async."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator
from typing import Any, assert_type

from cellist import State, allow_failure, flow, quote, task, unmapped
from cellist.futures import PrefectFuture, PrefectFutureList


@task
def fetch(url: str, limit: int = 3) -> bytes:
    return url.encode() * limit


@task
async def fetch_async(url: str, limit: int = 3) -> bytes:
    await asyncio.sleep(0)
    return url.encode() * limit


@task
def clean(page: bytes) -> str:
    return page.decode()


@task
def total(numbers: list[int], plus: int = 0) -> int:
    return sum(numbers) + plus


@task
def add(a: int, b: int) -> int:
    return a + b


# The final state instead of the value.
assert_type(fetch("a", return_state=True), State)
assert_type(fetch("a", limit=2, return_state=True, wait_for=[]), State)
assert_type(fetch.submit("a", return_state=True), State)
assert_type(fetch.map(["a", "b"], return_state=True), list[State])
assert_type(fetch("a", return_state=False), bytes)


def either(flag: bool) -> None:
    fetch("a", return_state=flag)
    fetch("a", return_state=flag, wait_for=None)


either(True)

# Futures.
future = fetch.submit("a")
assert_type(future, PrefectFuture[bytes])
assert_type(future.result(), bytes)
assert_type(future.result(timeout=5), bytes)
assert_type(future.state, State)
assert_type(fetch.submit(url="a", limit=2).result(), bytes)
assert_type(fetch_async.submit("a"), PrefectFuture[bytes])
assert_type(fetch_async.submit("a").result(), bytes)

# Futures and wrapped values as arguments, of `submit` and of a direct call.
assert_type(clean.submit(future), PrefectFuture[str])
assert_type(clean.submit(page=future).result(), str)
assert_type(clean.submit(allow_failure(future)).result(), str)
assert_type(total.submit([add.submit(1, 2), 3], plus=add.submit(1, 1)).result(), int)
assert_type(add.submit(1, add.submit(1, 2)).result(), int)
assert_type(add.submit(add(1, 2, return_state=True), 2).result(), int)
assert_type(clean(future), str)
assert_type(clean(allow_failure(future)), str)
assert_type(clean(fetch("a", return_state=True)), str)
assert_type(add(1, add.submit(1, 2)), int)
assert_type(total(add.map([1, 2], 3), plus=1), int)
assert_type(task(repr).submit(quote(future)).result(), str)

# What must come first.
assert_type(fetch("a", wait_for=[future]), bytes)
assert_type(fetch("a", wait_for=future), bytes)
assert_type(fetch.submit("a", wait_for=[future]), PrefectFuture[bytes])
assert_type(fetch.map(["a"], wait_for=[future]).result(), list[bytes])
assert_type(fetch.submit("a", wait_for=[future], return_state=True), State)

# A run for each element.
futures = fetch.map(["a", "b"], limit=unmapped(2))
assert_type(futures, PrefectFutureList[bytes])
assert_type(futures.result(), list[bytes])
assert_type(futures.result(timeout=5), list[bytes])
assert_type(futures[0], PrefectFuture[bytes])
assert_type(futures[0].result(), bytes)
assert_type(futures.state, list[State])
assert_type([one.result() for one in futures], list[bytes])
assert_type(fetch_async.map(["a"]).result(), list[bytes])
assert_type(clean.map(futures).result(), list[str])
assert_type(add.map([1, 2], b=[3, 4]).result(), list[int])
assert_type(total.submit(add.map([1, 2], 3)).result(), int)


# Generators: a direct call is what the function is, a future is one of the list of the values.
@task
def count(n: int) -> Generator[int, None, str]:
    yield from range(n)
    return "done"


@task
def count_plainly(n: int) -> Iterator[int]:
    yield from range(n)


@task
def count_loosely(n: int) -> Iterable[int]:
    yield from range(n)


@task
async def count_async(n: int) -> AsyncGenerator[int, None]:
    for i in range(n):
        yield i


@task
async def count_async_plainly(n: int) -> AsyncIterator[int]:
    for i in range(n):
        yield i


@flow
def counting(n: int) -> Generator[int, None, str]:
    yield from range(n)
    return "done"


@flow
async def counting_async(n: int) -> AsyncGenerator[int, None]:
    for i in range(n):
        yield i


@task
def lines() -> list[str]:
    return ["a"]


assert_type(count.submit(2).result(), list[int])
# It is a list as well if the function yields, and an iterator if it returns one (a file, a cursor):
# of the two the annotation does not tell.
assert_type(count_plainly.submit(2).result(), Any)
assert_type(count_loosely.submit(2).result(), Iterable[int])
assert_type(count_async.submit(2).result(), list[int])
assert_type(count_async_plainly.submit(2).result(), list[int])
assert_type(count.map([1, 2]).result(), list[list[int]])
assert_type(lines.submit().result(), list[str])
assert_type(count.fn(2), Generator[int, None, str])
assert_type([i + 1 for i in count(2)], list[int])
assert_type([i + 1 for i in count_plainly(2)], list[int])
assert_type([i + 1 for i in counting(2)], list[int])


@flow
async def all_of_it() -> int:
    assert_type(await fetch_async("a"), bytes)
    assert_type(await fetch_async("a", limit=2, return_state=True), State)
    assert_type(await fetch_async("a", wait_for=[]), bytes)
    assert_type(await fetch_async.fn("a"), bytes)
    assert_type(await fetch_async.with_options(retries=1)("a", limit=2), bytes)
    assert_type(await fetch_async.submit("a"), bytes)
    assert_type(await fetch.submit("a"), bytes)
    assert_type(await fetch.map(["a", "b"]), list[bytes])
    one, other = await asyncio.gather(fetch_async("a"), fetch.submit("b"))
    assert_type(one, bytes)
    assert_type(other, bytes)
    background = asyncio.create_task(fetch_async("a"))
    assert_type(await background, bytes)
    async for number in count_async(2):
        assert_type(number, int)
    async for number in counting_async(2):
        assert_type(number, int)
    return len(one + other)


assert_type(asyncio.run(all_of_it()), int)
assert_type(asyncio.run(all_of_it(return_state=True)), State)


@flow
def whole(n: int) -> int:
    return total([n, n])


assert_type(whole(2, return_state=True), State)
assert_type(whole(2, wait_for=[]), int)
assert_type(whole(add.submit(1, 2)), int)
assert_type(whole(2, return_state=True).result(), Any)


# What a flow returns of futures are their values when the caller gets it.
@flow
def one_future(n: int) -> PrefectFuture[int]:
    return add.submit(n, n)


@flow
def mapped_futures(n: int) -> PrefectFutureList[int]:
    return add.map([n, n], n)


@flow
def listed_futures(n: int) -> list[PrefectFuture[int]]:
    return [add.submit(n, n)]


@flow
async def future_async(n: int) -> PrefectFuture[int]:
    return add.submit(n, n)


@flow
async def mapped_async(n: int) -> PrefectFutureList[int]:
    return add.map([n, n], n)


assert_type(one_future(1), int)
assert_type(mapped_futures(1), list[int])
assert_type(listed_futures(1), list[int])
assert_type(asyncio.run(future_async(1)), int)
assert_type(asyncio.run(mapped_async(1)), list[int])
