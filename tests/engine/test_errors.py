"""Tracebacks as users see them: their frames, without ours and without asyncio's between."""

import asyncio
import traceback

import pytest

from cellist import flow, task


def frames(error: BaseException) -> list[str]:
    """Return the functions; asyncio's own show where another test has replaced its tasks."""
    found = traceback.extract_tb(error.__traceback__)
    return [frame.name for frame in found if "asyncio" not in frame.filename]


async def in_a_task() -> None:
    raise ValueError("inner")


@pytest.mark.parametrize("timeout", [None, 60])
def test_frames_of_the_loop_that_awaits_a_task_are_cut(timeout: float | None) -> None:
    @task(timeout_seconds=timeout)
    async def fetch() -> None:
        raise ValueError("no page")

    @flow
    def crawl() -> None:
        fetch.submit().result()

    with pytest.raises(ValueError, match="no page") as raised:
        crawl()
    assert frames(raised.value)[-2:] == ["crawl", "fetch"]


def test_frames_of_what_the_user_awaits_are_kept() -> None:
    @task
    async def fetch() -> None:
        await asyncio.create_task(in_a_task())

    @flow
    async def crawl() -> None:
        await fetch()

    with pytest.raises(ValueError, match="inner") as raised:
        asyncio.run(crawl())
    # between them are asyncio's, once nest-asyncio2 has put tasks in Python in the place of C's
    found = traceback.extract_tb(raised.value.__traceback__)
    assert [one.name for one in found if one.filename == __file__][-2:] == ["fetch", "in_a_task"]
