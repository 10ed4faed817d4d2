"""A retry of a flow runs only what is missing, whether results are stored or not."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from cellist import flow, runtime, task
from cellist.attempts import names_read
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.settings import temporary_settings
from cellist.transactions import transaction
from tests.sessions import Recorder, names

KEPT = {
    "stored": {},
    "not persisted": {"persist_result": False},
    "not persisted, own policy": {"persist_result": False, "cache_policy": INPUTS},
}


@task(cache_policy=NO_CACHE)
def fail() -> None:
    raise ValueError("not yet")


class Body:
    """A flow body that calls a task a few times, and in its first attempts one that fails."""

    def __init__(self, give: Any, failures: int = 1, raises: bool = False, **options: Any) -> None:
        self.raises = raises
        """Whether it is the flow's own code that raises."""
        self.calls: list[int] = []
        self.left = failures
        self.give = give
        body = self

        @task(**options)
        def work(x: int) -> Any:
            body.calls.append(x)
            return give(x)

        self.work: Any = work

    def __call__(self) -> list[Any]:
        given = [self.work(1), self.work.submit(2).result(), *self.work.map([3, 4]).result()]
        if self.left:
            self.left -= 1
            if self.raises:
                raise ValueError("not yet")
            fail()
        return given


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("give", [lambda _: None, lambda x: x, lambda x: [x]])
def test_completed_tasks_are_reused(kept: str, give: Any, recorder: Recorder) -> None:
    body = Body(give, failures=2, **KEPT[kept])
    assert flow(body, name="f", retries=2)() == [give(x) for x in (1, 2, 3, 4)]
    assert sorted(body.calls) == [1, 2, 3, 4]
    runs = recorder.of("work")
    assert [names(run)[-1] for run in runs] == ["Completed"] * 4 + ["Cached"] * 8
    assert recorder.one("f").run_count == 3


def test_the_reason_names_the_attempt(recorder: Recorder) -> None:
    body = Body(lambda _: None)
    flow(body, name="f", retries=1, flow_run_name="nightly")()
    assert str(recorder.of("work")[-1].why) == "reused from attempt 1 of flow run 'nightly'"


def test_what_is_kept_is_a_copy(recorder: Recorder) -> None:
    body = Body(lambda x: [x], persist_result=False)

    @flow(retries=1)
    def f() -> list[Any]:
        first = body.work(1)
        first.append("changed by the flow")
        if body.left:
            body.left = 0
            fail()
        return first

    assert f() == [1, "changed by the flow"]
    assert body.calls == [1]


def failing(times: int, **options: Any) -> Any:
    """Make a task that fails a number of times and then gives what it was given."""
    left = [ValueError("not yet")] * times

    @task(**options)
    def flaky(x: Any = None) -> Any:
        if left:
            raise left.pop()
        return x

    return flaky


UNCACHED: list[dict[str, Any]] = [{"cache_policy": NO_CACHE}, {"cache_policy": None}]


@pytest.mark.parametrize("options", UNCACHED)
@pytest.mark.parametrize("call", ["direct", "submit", "map", "awaited"])
def test_a_retry_goes_on_where_a_run_failed(
    options: dict[str, Any], call: str, recorder: Recorder
) -> None:
    calls: list[int] = []

    def done_fn(x: int) -> int:
        calls.append(x)
        return x

    async def adone_fn(x: int) -> int:
        return done_fn(x)

    done: Any = task(adone_fn if call == "awaited" else done_fn, name="done", **options)
    flaky = failing(2, **options)

    async def abody() -> int:
        value = await done(7)
        flaky()
        return value

    def body() -> int:
        value = {
            "direct": lambda: done(7),
            "submit": lambda: done.submit(7).result(),
            "map": lambda: done.map([7]).result()[0],
        }[call]()
        flaky()
        return value

    if call == "awaited":
        assert asyncio.run(flow(abody, retries=3)()) == 7
    else:
        assert flow(body, retries=3)() == 7
    assert calls == [7]
    assert [names(run)[-1] for run in recorder.of("done")] == ["Completed", "Cached", "Cached"]


def test_what_a_failed_run_was_given_is_made_anew(recorder: Recorder) -> None:
    fetched: list[str] = []
    others: list[int] = []

    @task(cache_policy=NO_CACHE)
    def fetch() -> str:
        fetched.append("page")
        return "bad" if len(fetched) == 1 else "good"

    @task(cache_policy=NO_CACHE)
    def other() -> int:
        others.append(1)
        return 1

    @task(cache_policy=NO_CACHE)
    def parse(pages: list[str]) -> str:
        if pages[0] == "bad":
            raise ValueError(pages)
        return pages[0]

    @flow(retries=2)
    def f() -> str:
        other()
        return parse([fetch()])

    assert f() == "good"
    assert (len(fetched), len(others)) == (2, 1)


def test_what_the_flow_itself_refused_is_made_anew(recorder: Recorder) -> None:
    asked: list[int] = []
    told: list[int] = []

    @task(cache_policy=NO_CACHE)
    def is_ready() -> bool:
        asked.append(1)
        return len(asked) > 2

    @task(cache_policy=NO_CACHE)
    def tell() -> None:
        told.append(1)

    @flow(retries=5)
    def f() -> str:
        tell()
        if not is_ready():
            raise ValueError("not ready")
        return "ready"

    assert f() == "ready"
    assert (len(asked), len(told)) == (3, 3)


COUNT = 0


def test_counters_of_all_kinds_do_not_tell_calls_apart(recorder: Recorder) -> None:
    global COUNT
    COUNT = 0
    nonlocal_count = 0
    noted = {"work": 0}
    listed: list[int] = []

    @task
    def work(x: int) -> int:
        global COUNT
        nonlocal nonlocal_count
        COUNT += 1
        nonlocal_count += 1
        noted["work"] += 1
        listed.append(x)
        return x

    flaky = failing(1)

    @flow(retries=1)
    def f() -> int:
        value = work(3)
        listed.append(0)  # others note something there, too
        return flaky(value)

    assert f() == 3
    assert (COUNT, nonlocal_count, noted) == (1, 1, {"work": 1})
    assert listed == [3, 0, 0]


def test_values_that_differ_between_attempts_do_tell_calls_apart(recorder: Recorder) -> None:
    @flow(retries=1)
    def f() -> int:
        attempt = runtime.flow_run.run_count

        @task
        def work() -> int:
            return attempt

        if work() == 1:
            raise ValueError("first")
        return work()

    assert f() == 2


ROWS: list[int] = []


def total_of_rows() -> int:
    return sum(ROWS)


@pytest.mark.parametrize("options", [{}, *UNCACHED])
@pytest.mark.parametrize("helped", [False, True])
def test_data_that_differ_between_attempts_do_tell_calls_apart(
    options: dict[str, Any], helped: bool, recorder: Recorder
) -> None:
    ROWS.clear()

    @task(**options)
    def total() -> int:
        return sum(ROWS)

    @task(**options)
    def total_by_helper() -> int:
        return total_of_rows()

    flaky = failing(1)

    @flow(retries=1)
    def f() -> int:
        ROWS.append(len(ROWS) + 1)
        found = (total_by_helper if helped else total)()
        flaky()
        return found

    assert f() == 3


def test_names_are_read_or_only_noted_in() -> None:
    code = """
    def f(x):
        global n
        calls.append(x)
        counts["a"] += 1
        n += 1
        box.value = x
        tell(x)
        return len(rows) + limits["b"]
    """
    read = names_read(code)
    assert read >= {"x", "rows", "limits", "len"}
    assert read.isdisjoint({"calls", "counts", "n", "box", "tell"})


def test_a_task_that_asks_for_its_run_runs_again(recorder: Recorder) -> None:
    @task(cache_policy=NO_CACHE)
    def which() -> int:
        return runtime.flow_run.run_count

    flaky = failing(1)

    @flow(retries=1)
    def f() -> int:
        count = which()
        flaky()
        return count

    assert f() == 2


def test_what_was_rolled_back_runs_again(recorder: Recorder) -> None:
    calls: list[str] = []

    @task(on_rollback=[lambda _: calls.append("undone")])
    def step() -> None:
        calls.append("done")

    flaky = failing(1)

    @flow(retries=1)
    def f() -> None:
        with transaction():
            step()
            flaky()

    f()
    assert calls == ["done", "undone", "done"]


def test_flows_with_retries_inside_each_other(recorder: Recorder) -> None:
    calls: list[str] = []
    inner_flaky, outer_flaky = failing(1), failing(1)

    @task
    def step() -> None:
        calls.append("step")

    @flow(retries=1)
    def inner() -> None:
        step()
        inner_flaky()

    @flow(retries=1)
    def outer() -> None:
        inner()
        outer_flaky()

    outer()
    assert calls == ["step"]
    assert [run.run_count for run in recorder.of("inner")] == [2, 1]


@pytest.mark.parametrize(
    ("give", "options", "is_reused"),
    [
        (lambda x: x, {}, True),
        (lambda x: x, {"cache_policy": INPUTS}, True),
        (lambda _: None, {"cache_policy": INPUTS}, True),
        (lambda _: None, {}, False),
        (lambda x: x, {"persist_result": False}, False),
        *((lambda x: x, options, False) for options in UNCACHED),
    ],
)
def test_if_the_flow_itself_raises_only_what_is_cached_is_reused(
    give: Any, options: dict[str, Any], is_reused: bool, recorder: Recorder
) -> None:
    body = Body(give, raises=True, **options)
    flow(body, retries=1)()
    assert sorted(body.calls) == ([1, 2, 3, 4] if is_reused else [1, 1, 2, 2, 3, 3, 4, 4])


def test_settings_that_turn_caching_off_do_not_matter(recorder: Recorder) -> None:
    for setting in ("tasks_default_no_cache", "tasks_disable_caching"):
        body = Body(lambda x: x)
        with temporary_settings({setting: True}):
            flow(body, retries=1)()
        assert len(body.calls) == 4, setting


def test_a_flow_that_stores_nothing_still_reuses(recorder: Recorder) -> None:
    body = Body(lambda x: x)
    flow(body, retries=1, persist_result=False)()
    assert sorted(body.calls) == [1, 2, 3, 4]
    other = Body(lambda x: x)
    flow(other, persist_result=False, retries=0)  # made, and not run: nothing is kept of it
    assert other.calls == []


def test_within_one_attempt_it_runs_as_often_as_it_is_called(recorder: Recorder) -> None:
    calls: list[str] = []
    flaky = failing(1)

    @task
    def note(text: str) -> None:
        calls.append(text)

    @flow(retries=1)
    def f() -> None:
        note("a")
        note("a")
        flaky()
        note("a")

    f()
    assert calls == ["a", "a", "a"]


def test_other_inputs_run(recorder: Recorder) -> None:
    calls: list[int] = []
    attempts: list[int] = []

    @task
    def note(x: int) -> None:
        calls.append(x)

    @flow(retries=1)
    def f() -> None:
        attempts.append(1)
        note(len(attempts))
        if len(attempts) == 1:
            raise ValueError("not yet")

    f()
    assert calls == [1, 2]


def test_completed_child_flows_are_reused_and_failed_ones_go_on(recorder: Recorder) -> None:
    body = Body(lambda _: None, failures=0)
    step, flaky = Body(lambda x: x, failures=0, cache_policy=NO_CACHE), failing(2)

    @flow
    def child() -> None:
        body()

    @flow
    def broken() -> int:
        step()
        return flaky(5)

    @flow(retries=2)
    def parent() -> int:
        child()
        return broken()

    assert parent() == 5
    assert [names(run)[-1] for run in recorder.of("child")] == ["Completed", "Cached", "Cached"]
    assert sorted(body.calls) == sorted(step.calls) == [1, 2, 3, 4]
    assert [names(run)[-1] for run in recorder.of("broken")] == ["Failed", "Failed", "Completed"]


def test_a_child_flow_whose_value_the_parent_refused_runs_again(recorder: Recorder) -> None:
    asked: list[int] = []

    @flow(persist_result=False)
    def is_ready() -> bool:
        asked.append(1)
        return len(asked) > 1

    @flow(retries=2)
    def parent() -> bool:
        if not is_ready():
            raise ValueError("not ready")
        return True

    assert parent() is True
    assert len(asked) == 2


def test_generators_give_their_values_again(recorder: Recorder) -> None:
    @task
    def numbers() -> Iterator[int]:
        yield from (1, 2)

    flaky = failing(1)

    @flow(retries=1)
    def f() -> list[int]:
        return [*numbers(), flaky(3)]

    assert f() == [1, 2, 3]


def test_without_retries_nothing_is_kept(recorder: Recorder) -> None:
    body = Body(lambda _: None, failures=0)
    flow(body)()
    flow(body)()
    assert len(body.calls) == 8


def test_a_failed_task_runs_again(recorder: Recorder) -> None:
    calls: list[str] = []
    failures = [ValueError("once")]

    @task
    def good() -> None:
        calls.append("good")

    @task
    def bad() -> None:
        calls.append("bad")
        if failures:
            raise failures.pop()

    @flow(retries=1)
    def f() -> None:
        good()
        bad()

    f()
    assert calls == ["good", "bad", "bad"]
