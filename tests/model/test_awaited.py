"""Calls that may stand behind `await`, and give nobody else an awaitable."""

import asyncio
import functools
import sys
from typing import Any

import pytest

from cellist import states
from cellist.exceptions import FailedRun
from cellist.model.awaited import also_awaitable


@also_awaitable
def five(*args, **kwargs) -> Any:
    return 5


class Holder:
    @also_awaitable
    def five(self) -> Any:
        return 5


async def awaited():
    options = {"a": 1}
    return [
        await five(),
        await five(1, *[2], **options),
        (await Holder().five()) + 0,
        [await one() for one in (five, Holder().five)],
        {n: await five() for n in range(2)},
        await functools.partial(five, 1)(),
        (await five()) if await Holder().five() else None,
        f"{await five()}",
    ]


async def plain():
    one = five()
    two, three = five(), Holder().five()
    async with asyncio.timeout(5):
        four = five()
        await asyncio.sleep(0)
    return [
        one,
        two,
        three,
        four,
        [each() for each in (five,)],
        list(map(five, range(2))),
        sorted([3, 1], key=five),
        [*map(lambda _: five(), range(1))],  # noqa: C417 - a lambda is the point
        five() + five(),
    ]


PLAIN = [5, 5, 5, 5, [5], [5, 5], [3, 1], [5], 10]
AWAITED = [5, 5, 5, [5, 5], {0: 5, 1: 5}, 5, 5, "5"]


def test_only_an_await_sees_an_awaitable():
    assert asyncio.run(awaited()) == AWAITED
    assert asyncio.run(plain()) == PLAIN


def test_a_tracer_changes_nothing():
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        assert asyncio.run(awaited()) == AWAITED
        assert asyncio.run(plain()) == PLAIN
    finally:
        sys.settrace(before)


def test_generators_comprehensions_and_handlers():
    async def make():
        yield await five()
        yield five()
        try:
            raise KeyError
        except KeyError:
            yield await five()

    async def run():
        return [x async for x in make()]

    assert asyncio.run(run()) == [5, 5, 5]


def test_outside_coroutines_it_is_the_value():
    assert five() == 5

    def sync():
        return five()

    async def through():
        return sync()

    assert asyncio.run(through()) == 5


def test_a_call_that_raises_raises_under_await():
    async def fail():
        await states.Failed(data=KeyError("k")).result()

    with pytest.raises(KeyError):
        asyncio.run(fail())


def test_states_can_be_read_both_ways():
    anyhow: Any = states  # their types say what plain calls give

    async def read():
        done, failed = states.Completed(data=3), states.Failed(message="m")
        return (
            done.result(),
            await done.result(),
            await done.aresult(),
            type(states.get_state_exception(failed)),
            type(await anyhow.get_state_exception(failed)),
            type(await states.aget_state_exception(failed)),
            await anyhow.raise_state_exception(done),
            await states.araise_state_exception(done),
            await failed.aresult(raise_on_failure=False),
        )

    *found, error = asyncio.run(read())
    kinds = [type(error)] * 3
    assert found == [3, 3, 3, *kinds, None, None]
    assert type(error) is FailedRun
