"""Generators as tasks, sync and async: their values come one by one."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from cellist import flow, task


# %%
@task
def lines(count: int) -> Iterator[str]:
    for number in range(count):
        print("reading line", number)
        yield f"line {number}"


@task
async def pages(count: int) -> AsyncIterator[str]:
    for number in range(count):
        await asyncio.sleep(0)
        yield f"page {number}"


assert lines.isgenerator
assert pages.isgenerator
assert pages.isasync

# %%
for line in lines(2):
    print("got", line)
# > reading line 0
# > got line 0
# > reading line 1
# > got line 1


# %%
@flow
def read() -> list[str]:
    return [line.upper() for line in lines(1)]


assert read() == ["LINE 0"]
# > reading line 0


# %%
@flow
async def turn_pages() -> list[str]:
    return [page async for page in pages(3)]


# %%
assert asyncio.run(turn_pages()) == ["page 0", "page 1", "page 2"]


# %%
@flow
def read_beside() -> tuple[list[str], list[str]]:
    return lines.submit(1).result(), pages.submit(2).result()  # submitted: lists


assert read_beside() == (["line 0"], ["page 0", "page 1"])
# > reading line 0
