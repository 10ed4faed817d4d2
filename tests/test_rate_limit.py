"""`rate_limit`: by time alone, and blocking or awaited as the caller can."""

import inspect
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from cellist import limits, task
from cellist.cache_policies import NO_CACHE
from cellist.concurrency import asyncio as for_async
from cellist.concurrency import concurrency, rate_limit
from cellist.concurrency import sync as for_sync
from cellist.exceptions import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from tests.sessions import Recorder, outcome
from tests.test_concurrency import KINDS, call_rate, state_of
from tests.test_limits import until

quick: dict[str, Any] = {"cache_policy": NO_CACHE}


@pytest.fixture(autouse=True)
def own_session(recorder: Recorder) -> Recorder:
    return recorder


@KINDS
@pytest.mark.parametrize(
    ("names", "options", "error", "words"),
    [
        ("fast", {}, None, ""),
        ([], {"strict": True}, None, ""),
        (None, {}, None, ""),
        ("fast", {"occupy": 2}, ConcurrencySlotAcquisitionError, r"'fast' has 1 slot\(s\), 2"),
        ("plain", {}, ConcurrencySlotAcquisitionError, r"'plain' has no rate.*set_rate\('plain'"),
        (["fast", "plain"], {}, ConcurrencySlotAcquisitionError, "'plain' has no rate"),
        ("nope", {"strict": True}, ConcurrencySlotAcquisitionError, "no limit 'nope'"),
        ("slow", {"timeout_seconds": 0.01}, AcquireConcurrencySlotTimeoutError, "'slow'"),
    ],
)
def test_the_table_of_rates(kind: str, names: Any, options: Any, error: Any, words: str) -> None:
    limits.set_rate("fast", per_second=1000)
    limits.set_rate("slow", per_second=0.001)
    limits.set("plain", 1)
    rate_limit("slow")
    if error is None:
        call_rate(kind, names, **options)
    else:
        with pytest.raises(error, match=words):
            call_rate(kind, names, **options)
    assert [one.waiting for one in limits.table()] == [0, 0, 0]


@KINDS
def test_calls_are_spaced_by_the_rate(kind: str) -> None:
    limits.set_rate("api", per_second=25)
    before = time.monotonic()
    for _ in range(4):
        call_rate(kind, "api")
    assert time.monotonic() - before >= 3 / 25


def test_a_burst_is_let_through_up_to_the_limit() -> None:
    limits.set_rate("api", per_second=0.001, limit=3)
    rate_limit("api", 2)
    rate_limit("api")
    with pytest.raises(TimeoutError):
        rate_limit("api", timeout_seconds=0.01)


def test_a_rate_is_not_given_back() -> None:
    limits.set_rate("api", per_second=0.001)
    with concurrency("api"):
        pass
    with pytest.raises(TimeoutError):
        rate_limit("api", timeout_seconds=0.01)


def test_what_passed_a_rate_holds_nothing_if_the_rate_is_taken_away_meanwhile() -> None:
    limits.set_rate("api", per_second=0.001)
    rate_limit("api")
    thread = threading.Thread(target=rate_limit, args=("api",))
    thread.start()
    until(lambda: state_of("api") == (1, 1))
    limits.set("api", 1)
    thread.join(60)
    assert state_of("api") == (0, 0)


async def test_in_code_that_can_await_it_must_be_awaited() -> None:
    limits.set_rate("api", per_second=0.001)
    waits = rate_limit("api")
    assert inspect.iscoroutine(waits)
    assert state_of("api") == (0, 0), "nothing has happened yet"
    await waits
    assert state_of("api")[0] > 0.9


async def test_in_async_code_that_does_not_await_it_blocks_and_may_be_awaited() -> None:
    limits.set_rate("api", per_second=0.001)

    def helper() -> Awaitable[None]:
        return rate_limit("api")

    waits = helper()
    assert state_of("api")[0] > 0.9
    assert await waits is None


@pytest.mark.parametrize("way", ["drive", "submit"])
def test_in_a_sync_run_it_blocks(way: str) -> None:
    limits.set_rate("api", per_second=0.001)

    @task(**quick)
    def call() -> float:
        rate_limit("api")
        return state_of("api")[0]

    assert outcome(way, call) > 0.9


@pytest.mark.parametrize("way", ["adrive", "submit async"])
def test_in_an_async_run_it_is_awaited(way: str) -> None:
    limits.set_rate("api", per_second=0.001)

    @task(**quick)
    async def call() -> float:
        await rate_limit("api")
        return state_of("api")[0]

    assert outcome(way, call) > 0.9


async def test_an_async_generator_awaits_it() -> None:
    limits.set_rate("api", per_second=1000, limit=3)

    async def pages() -> AsyncIterator[int]:
        for number in range(3):
            await rate_limit("api")
            yield number

    assert [number async for number in pages()] == [0, 1, 2]


async def test_the_modules_for_one_kind_of_code() -> None:
    limits.set_rate("api", per_second=1000, limit=4)
    assert for_sync.rate_limit("api") is None
    waits = for_async.rate_limit("api")
    assert inspect.iscoroutine(waits)
    assert await waits is None
    for name in ("concurrency", "rate_limit"):
        assert name in for_sync.__all__
        assert name in for_async.__all__
