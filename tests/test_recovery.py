"""Retry by hand: only what failed runs again."""

import asyncio
import contextlib
import os
import sqlite3
import sys
import types
from collections.abc import Callable
from contextlib import closing
from math import ceil, floor
from typing import Any

import pytest

import cellist
from cellist import flow, recovery, task
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import FailedRun, ObjectNotFound
from cellist.model.runs import FlowRun
from cellist.states import Cancelled
from cellist.task_runners import ThreadPoolTaskRunner
from cellist.unfinished import UnfinishedRuns
from tests.sessions import Recorder, names

BROKEN = "TEST_BROKEN"  # a variable that no digest sees: the numbers that fail
KINDS = {
    "cached": {},
    "not cached": {"cache_policy": NO_CACHE},
    "not cached, own retries": {"cache_policy": NO_CACHE},
}


@pytest.fixture
def break_for(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what sets the numbers that fail."""

    def set_broken(*numbers: int) -> None:
        monkeypatch.setenv(BROKEN, " ".join(map(str, numbers)))

    return set_broken


def mapped(give: Any = lambda x: 10 * x, retries: int = 0, **options: Any) -> Any:
    """Return a flow that maps a task over some numbers."""

    @task(**options)
    def work(x: int) -> Any:
        if str(x) in os.environ[BROKEN].split():
            raise ValueError(x)
        return give(x)

    @flow(name="crawl", flow_run_name="crawl-1", retries=retries)
    def crawl(most: int) -> Any:
        futures = work.map(range(most))
        futures.wait()  # those that have not begun when one fails are cancelled
        return futures.result()

    return crawl


def ends(recorder: Recorder, name: str = "work") -> list[str]:
    """The last states of the runs of a task, in order."""
    return [names(run)[-1] for run in recorder.of(name)]


def test_what_a_retry_completed_is_not_retried_again(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    earlier, crawl = flow(name="earlier")(mapped().fn), mapped()
    break_for(1)
    for one in (earlier, crawl):
        with pytest.raises(ValueError, match="1"):
            one(2)
    with pytest.raises(ValueError, match="1"):
        cellist.retry()
    break_for()
    assert cellist.retry() == [0, 10]
    assert cellist.retry() == [0, 10]
    flows = [run.definition.name for run in recorder.runs if isinstance(run, FlowRun)]
    assert flows == ["earlier", "crawl", "crawl", "crawl", "earlier"]
    with pytest.raises(ObjectNotFound, match="waits for a retry"):
        cellist.retry()


def test_what_has_completed_since_is_not_retried_unasked(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    @task(cache_policy=NO_CACHE)
    def alone(x: int) -> int:
        if str(x) in os.environ[BROKEN].split():
            raise ValueError(x)
        return x

    crawl = mapped()
    break_for(1)
    alone(1, return_state=True)
    first = crawl(2, return_state=True)
    break_for()
    crawl(2)
    alone(2)  # another call: it says nothing of the one that failed
    assert cellist.retry() == 1
    with pytest.raises(ObjectNotFound, match="waits for a retry"):
        cellist.retry()
    with pytest.raises(ObjectNotFound, match="has completed"):
        cellist.retry("crawl")
    assert cellist.retry(first) == [0, 10]  # asked for by its id


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("give", [lambda _: None, lambda x: x, lambda x: {"page": [x, "text"]}])
def test_only_the_failed_items_run_again(
    kind: str, give: Any, recorder: Recorder, break_for: Callable[..., None]
) -> None:
    crawl = mapped(give, retries=int("retries" in kind), **KINDS[kind])
    break_for(1, 3)
    with pytest.raises(ValueError, match=r"1|3"):
        crawl(5)
    before = len(recorder.of("work"))
    break_for()
    assert cellist.retry("crawl") == [give(x) for x in range(5)]
    told = ends(recorder)[before:]
    expected = ["Cached", "Completed", "Cached", "Completed", "Cached"]
    assert told == expected
    first, second = recorder.of("crawl")
    assert isinstance(first, FlowRun)
    assert isinstance(second, FlowRun)
    assert second.resumed_from == first.id.hex
    assert first.resumed_from is None


def test_a_mapped_item_stands_for_its_flow(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    crawl = mapped(**KINDS["not cached"])
    break_for(3)
    state = crawl(5, return_state=True)
    assert state.is_failed()
    item = recorder.of("work")[3]
    state = cellist.retry(item, return_state=True)
    assert state.is_failed()
    assert ends(recorder)[5:] == ["Cached"] * 3 + ["Failed", "Cached"]
    break_for()
    assert cellist.retry(item.id.hex[:20]) == [0, 10, 20, 30, 40]
    assert ends(recorder)[10:] == ["Cached"] * 3 + ["Completed", "Cached"]  # the last retry's
    with pytest.raises(ObjectNotFound, match="has completed"):
        cellist.retry(item)


@pytest.mark.parametrize("kind", KINDS)
def test_one_item_runs_again_and_no_other_that_failed(
    kind: str, recorder: Recorder, break_for: Callable[..., None]
) -> None:
    crawl = mapped(retries=int("retries" in kind), **KINDS[kind])
    break_for(1, 3)
    state = crawl(5, return_state=True)
    assert state.is_failed()
    before = len(recorder.of("work"))
    item = recorder.of("work")[before - 2]
    break_for()
    with pytest.raises(ValueError, match="1") as told:
        cellist.retry(item)
    assert f"not run again: only `{item.name}` was" in "".join(told.value.__notes__)
    assert ends(recorder)[before : before + 5] == [
        *("Cached", "Failed", "Cached", "Completed", "Cached")
    ]
    left = recorder.of("work")[before + 1]
    assert left.why is not None
    assert str(left.why) == f"did not run again: only `{item.name}` was to be retried"
    assert cellist.retry("crawl") == [0, 10, 20, 30, 40]
    assert ends(recorder)[-5:] == ["Cached", "Completed", "Cached", "Cached", "Cached"]


def test_what_depends_on_the_one_item_runs_too(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    @task(cache_policy=NO_CACHE)
    def work(x: int) -> int:
        if str(x) in os.environ[BROKEN].split():
            raise ValueError(x)
        return x

    @task(cache_policy=NO_CACHE)
    def polish(x: int) -> int:
        return 10 * x

    @flow
    def crawl() -> Any:
        return polish.map(work.map(range(4)))

    break_for(1, 3)
    crawl(return_state=True)
    break_for()
    state = cellist.retry(recorder.of("work")[3].id, return_state=True)
    assert state.is_failed()
    assert ends(recorder)[4:] == ["Cached", "Failed", "Cached", "Completed"]
    assert ends(recorder, "polish")[4:] == ["Cached", "NotReady", "Cached", "Completed"]


def test_one_item_runs_though_the_flow_fails_before_it(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    @task(cache_policy=NO_CACHE)
    def work(x: int) -> int:
        if str(x) in os.environ[BROKEN].split():
            raise ValueError(x)
        return x

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def crawl() -> Any:
        futures = work.map(range(3))
        if os.environ[BROKEN]:
            futures.wait()
        return futures.result()

    break_for(0, 2)
    crawl(return_state=True)
    break_for()
    with pytest.raises(ValueError, match="0"):
        cellist.retry(recorder.of("work")[2])
    assert ends(recorder)[3:] == ["Failed", "Cached", "Completed"]


def test_an_item_in_an_inner_flow_runs_again_alone(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    @task(cache_policy=NO_CACHE)
    def work(x: int) -> int:
        if str(x) in os.environ[BROKEN].split():
            raise ValueError(x)
        return x

    @flow
    def part(first: int) -> Any:
        futures = work.map(range(first, first + 3))
        futures.wait()
        return futures.result()

    @flow
    def both() -> Any:
        return [part(first, return_state=True) for first in (0, 3)]

    break_for(1, 2, 4)
    both(return_state=True)
    break_for()
    state = cellist.retry(recorder.of("work")[2], return_state=True)
    assert state.is_failed()
    assert ends(recorder)[6:] == ["Cached", "Failed", "Completed"]
    assert ends(recorder, "part")[2:] == ["Failed", "Failed"]


def test_an_item_of_a_kernel_that_went_away_runs_again_alone(
    recorder: Recorder, break_for: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "crawl_there", mapped())
    there = globals()["crawl_there"]
    break_for(1, 3)
    there(5, return_state=True)
    item = recorder.of("work")[3]
    recorder.session.unfinished = UnfinishedRuns()
    monkeypatch.setattr("cellist.recovery._defined", lambda _: there)
    break_for()
    with pytest.raises(FailedRun, match="1"):
        cellist.retry(item)
    assert ends(recorder)[5:] == ["Cached", "Failed", "Cached", "Completed", "Cached"]


def test_an_item_that_completed_has_nothing_to_retry(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    crawl = mapped(**KINDS["not cached"])
    break_for(3)
    crawl(5, return_state=True)
    with pytest.raises(ObjectNotFound, match=r"has completed.*`crawl-1`, which it is part of"):
        cellist.retry(recorder.of("work")[0])


def test_a_retry_of_the_retry_reuses_all(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    crawl = mapped(**KINDS["not cached"])
    break_for(1, 3)
    crawl(5, return_state=True)
    break_for(3)
    cellist.retry(return_state=True)
    break_for()
    assert cellist.retry() == [0, 10, 20, 30, 40]
    assert ends(recorder)[10:] == ["Cached"] * 3 + ["Completed", "Cached"]
    whys = [str(run.why) for run in recorder.of("work")[10:]]
    assert whys[0] == "reused from attempt 1 of flow run 'crawl-1'"


def test_a_task_of_its_own_runs_again(recorder: Recorder, break_for: Callable[..., None]) -> None:
    @task(cache_policy=NO_CACHE)
    def alone(x: int, *, y: int) -> int:
        if str(x) in os.environ[BROKEN].split():
            raise ValueError(x)
        return x + y

    break_for(1)
    state = alone(1, y=2, return_state=True)
    break_for()
    assert cellist.retry(state) == 3
    assert ends(recorder, "alone") == ["Failed", "Completed"]


def test_an_async_flow_is_awaited(recorder: Recorder, break_for: Callable[..., None]) -> None:
    @task(cache_policy=NO_CACHE)
    async def work(x: int) -> int:
        if str(x) in os.environ[BROKEN].split():
            raise ValueError(x)
        return x

    @flow
    async def crawl() -> list[int]:
        return list(await asyncio.gather(*(work(x) for x in range(3))))

    async def main() -> list[int]:
        break_for(2)
        state = await crawl(return_state=True)
        assert state.is_failed()
        break_for()
        return await cellist.retry()

    assert asyncio.run(main()) == [0, 1, 2]
    assert ends(recorder) == ["Completed", "Completed", "Failed", "Cached", "Cached", "Completed"]


def test_what_the_flow_itself_may_have_judged_runs_again(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    @task(cache_policy=NO_CACHE)
    def look() -> int:
        return 1

    @flow
    def judge() -> int:
        found = look()
        if os.environ[BROKEN]:
            raise ValueError(found)
        return found

    break_for(1)
    judge(return_state=True)
    break_for()
    assert cellist.retry() == 1
    assert ends(recorder, "look") == ["Completed", "Completed"]


def test_a_task_that_reads_variables_runs_again(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    stages = ["first"]

    @task(cache_policy=NO_CACHE)
    def look(x: int) -> str:
        return f"{stages[-1]} {x}"

    @task(cache_policy=NO_CACHE)
    def fail() -> None:
        if os.environ[BROKEN]:
            raise ValueError

    @flow
    def two() -> list[str]:
        found = [look(1)]
        stages.append("second")
        found.append(look(1))
        fail()
        return found

    break_for(1)
    two(return_state=True)
    break_for()
    assert cellist.retry() == ["second 1", "second 1"]
    assert ends(recorder, "look") == ["Completed"] * 4


def test_cells_that_ran_meanwhile_may_have_changed_the_code(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    crawl = mapped(**KINDS["not cached"])

    @task(cache_policy=NO_CACHE)
    def edit() -> None:
        recorder.session.unfinished.epoch += 1

    @flow
    def two() -> Any:
        edit()
        return crawl(3)

    break_for(2)
    two(return_state=True)
    break_for()
    assert cellist.retry() == [0, 10, 20]
    assert ends(recorder) == ["Completed", "Completed", "Failed", *["Completed"] * 3]


def test_what_cannot_be_retried_is_told(recorder: Recorder, break_for: Callable[..., None]) -> None:
    with pytest.raises(ObjectNotFound, match="No run of this kernel has failed"):
        cellist.retry()
    crawl = mapped()
    break_for()
    crawl(1)
    with pytest.raises(ObjectNotFound, match="has completed, so there is nothing to run again"):
        cellist.retry("crawl")
    with pytest.raises(ObjectNotFound, match="no run with the id or name 'other'"):
        cellist.retry("other")

    @flow
    def early() -> None:
        cellist.retry("early")

    with pytest.raises(ObjectNotFound, match="is still going on"):
        early()


@task(cache_policy=NO_CACHE)
def mended() -> str:
    raise ValueError


def test_a_mended_definition_is_the_one_that_runs(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    mended(return_state=True)

    @task(cache_policy=NO_CACHE)
    def better() -> str:
        return "mended"

    monkeypatch.setitem(globals(), "mended", better)
    assert cellist.retry() == "mended"


def crashed(recorder: Recorder, flow_: Any, *args: Any) -> str:
    """Let a run of a flow look as if its kernel had gone away; return its id."""
    flow_(*args, return_state=True)
    run = recorder.of(flow_.name)[-1]
    history = recorder.session.history
    assert history.flush(60)
    assert history.path is not None
    with closing(sqlite3.connect(history.path)) as connection, connection:
        connection.execute("UPDATE runs SET state = 'Crashed' WHERE id = ?", (run.id.hex,))
    recorder.session.unfinished = UnfinishedRuns()
    return run.id.hex


@flow(name="kept")
def kept(x: int, *more: int, scale: float = 1.0) -> float:
    if os.environ[BROKEN]:
        raise ValueError
    return (x + sum(more)) * scale


def test_a_call_is_made_again_from_what_was_kept(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    break_for(1)
    ident = crashed(recorder, kept, 1, 2, 3)
    break_for()
    assert [one.id for one in recovery.stopped()] == [ident]
    assert cellist.resume() == 6.0
    assert recorder.session.history.flush(60)
    assert recovery.stopped() == []
    assert recorder.session.history.call_of(ident) is not None
    last = recorder.of("kept")[-1]
    assert recorder.session.history.call_of(last.id.hex) is None  # it has completed


def test_a_call_that_somebody_else_signed_is_not_looked_at(
    recorder: Recorder, break_for: Callable[..., None]
) -> None:
    break_for(1)
    ident = crashed(recorder, kept, 1)
    history = recorder.session.history
    data = history.call_of(ident)
    assert data is not None
    for forged in (b"x" * 32 + data[32:], data[:-2] + b" }", b""):
        with closing(sqlite3.connect(str(history.path))) as connection, connection:
            connection.execute("UPDATE calls SET call = ? WHERE run = ?", (forged, ident))
        with pytest.raises(ObjectNotFound, match="no parameters were kept by this user"):
            cellist.resume(ident)


def test_a_flow_on_a_disk_that_is_full_runs_and_can_be_retried(
    recorder: Recorder, break_for: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("cellist.history.database.write_runs", full)
    crawl = mapped(**KINDS["not cached"])
    break_for(2)
    crawl(3, return_state=True)
    break_for()
    assert cellist.retry() == [0, 10, 20]
    assert ends(recorder)[3:] == ["Cached", "Cached", "Completed"]


@pytest.mark.parametrize("forgotten", [False, True])
@pytest.mark.parametrize("how", ["failed", "cancelled", "crashed"])
def test_the_latest_flow_run_that_did_not_complete_is_resumed(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, how: str, forgotten: bool
) -> None:
    """Whatever kept it from that, and whether this kernel remembers it or an earlier one had it."""
    ends = {"failed": ValueError(), "cancelled": Cancelled(), "crashed": SystemExit()}
    monkeypatch.setattr(sys.modules[__name__], "raised", ends["failed"])
    stops(1, return_state=True)
    monkeypatch.setattr(sys.modules[__name__], "raised", ends[how])
    with contextlib.suppress(SystemExit):
        stops(2, return_state=True)
    task(lambda: 1 / 0, name="not a flow")(return_state=True)
    assert names(recorder.of("stops")[-1])[-1] == how.title()
    if forgotten:
        recorder.session.unfinished = UnfinishedRuns()
    monkeypatch.setattr(sys.modules[__name__], "raised", None)
    assert cellist.resume() == 2
    with pytest.raises(ObjectNotFound, match="no flow run that did not complete"):
        cellist.resume()


raised: Any = None


@flow(name="stops")
def stops(x: int) -> Any:
    if isinstance(raised, BaseException):
        raise raised
    return x if raised is None else raised


LIMIT = 3


def deep(x: int) -> int:
    return floor(x) + LIMIT


def near(x: int) -> int:
    return deep(x)


HELPERS = """
FACTOR = 2
SEEN = []

def scaled(x):
    return x * FACTOR

def noted(x):
    return len(SEEN) + x
"""


@pytest.mark.parametrize("change", ["nothing", "LIMIT", "FACTOR", "deep", "floor", "seen"])
def test_constants_that_helpers_read_may_be_read(
    recorder: Recorder,
    break_for: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    """What was given is reused if they are what they were, and never after one has changed."""
    module: Any = types.ModuleType("own_helpers")
    exec(HELPERS, vars(module))
    monkeypatch.setitem(sys.modules, "own_helpers", module)
    noted: Any = module.noted if change == "seen" else len

    @task(cache_policy=NO_CACHE)
    def work(x: int) -> int:
        if str(x) in os.environ[BROKEN].split():
            raise ValueError(x)
        return near(x) + module.scaled(x) + (noted(x) if change == "seen" else 0)

    @flow
    def crawl() -> Any:
        futures = work.map(range(3))
        futures.wait()
        if os.environ[BROKEN]:
            if change == "LIMIT":
                monkeypatch.setitem(globals(), "LIMIT", 1000)
            elif change == "FACTOR":
                module.FACTOR = 2000
            elif change == "floor":
                monkeypatch.setitem(globals(), "floor", ceil)
            elif change == "deep":
                monkeypatch.setitem(globals(), "deep", lambda x: x + 5)
        return futures.result()

    break_for(1)
    crawl(return_state=True)
    break_for()
    extra = {"LIMIT": 997, "deep": 2}.get(change, 0)
    factor = 2001 if change == "FACTOR" else 3 + (change == "seen")
    assert cellist.retry() == [factor * x + 3 + extra for x in range(3)]
    reused = "Cached" if change == "nothing" else "Completed"
    assert ends(recorder)[3:] == [reused, "Completed", reused]
