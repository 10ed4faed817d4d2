"""The tasks and flows of cellist that are measured, and what tidies up after them."""

import asyncio
import threading
import time
from typing import Any

from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.session import get_session

SMALL = {"rows": [1, 2, 3], "score": 0.5, "name": "ewr"}


def same(x):
    return x


@task(cache_policy=NO_CACHE)
def plain(x):
    return x


@task(cache_policy=NO_CACHE)
async def plain_async(x):
    return x


@task
def small(x):
    del x
    return SMALL


threads_seen: set[int] = set()


@task(cache_policy=NO_CACHE)
def noting(x):
    threads_seen.add(threading.get_ident())
    return x


@flow
def noting_chain(length: int) -> None:
    last: Any = 0
    for _ in range(length):
        last = noting.submit(last)
    last.result()


@flow
def direct(count: int) -> None:
    for number in range(count):
        plain(number)


@flow
def submitted(count: int) -> None:
    futures = [plain.submit(number) for number in range(count)]
    for future in futures:
        future.result()


@flow
async def gathered(count: int) -> None:
    await asyncio.gather(*[plain_async(number) for number in range(count)])


@flow
async def submitted_async(count: int) -> None:
    futures = [plain_async.submit(number) for number in range(count)]
    await asyncio.gather(*futures)


@flow
def grid(width: int, depth: int) -> None:
    row: list[Any] = list(range(width))
    for _ in range(depth):
        row = [plain.submit(above) for above in row]
    for future in row:
        future.result()


@flow
def chain(length: int) -> None:
    last: Any = 0
    for _ in range(length):
        last = plain.submit(last)
    last.result()


@flow
def looked_up(first: int, count: int) -> float:
    """Call the cached task; return the seconds per call, the very first one left out."""
    small(first)
    start = time.perf_counter()
    for number in range(first + 1, first + count + 1):
        small(number)
    return (time.perf_counter() - start) / count


def settle() -> None:
    """Write what waits in the background, so that the next contender has the machine."""
    session = get_session()
    session.store.flush(60)
    session.history.flush(60)
