"""What a flow would reuse and what it would run: told without running a task, and then true."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import cellist
from cellist import Flow, Task, flow, task, unmapped
from cellist.cache_policies import FLOW_PARAMETERS, INPUTS, NO_CACHE
from cellist.exceptions import ParameterBindError, ParameterTypeError
from cellist.futures import as_completed, wait
from cellist.model.reasons import Change, Reason
from cellist.plans import MOST_ALIKE, REUSED, RUNS, UNKNOWN, WAITS, Plan, PlannedCall
from cellist.session import Session, use_session
from cellist.settings import temporary_settings
from tests.sessions import Recorder

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def ran(recorder: Recorder) -> list[str]:
    """Which tasks ran so far, with their first arguments."""
    assert recorder.runs == []
    return []


@pytest.fixture
def tasks(ran: list[str]) -> dict[str, Task[..., Any]]:
    """Make tasks that are cached and tell when they run."""

    def make(name: str, give: Callable[..., Any]) -> Task[..., Any]:
        def body(x: Any = 0, y: Any = 0) -> Any:
            ran.append(f"{name} {x}")
            return give(x, y)

        return task(body, name=name, cache_policy=INPUTS, version=name)

    return {
        "load": make("load", lambda x, y: [x, x + 1]),
        "add": make("add", lambda x, y: x + y),
        "total": make("total", lambda x, y: sum(x)),
    }


def told(plan: Plan) -> list[str]:
    """Each call with its verdict."""
    return [f"{call.name} {call.verdict}" for call in plan.calls]


def check(one: Flow[..., Any], recorder: Recorder, ran: list[str], *args: Any) -> Plan:
    """Plan a flow; nothing may have happened by that."""
    recorder.session.store.flush()
    before = list(ran), len(recorder.events), recorder.session.store.stats()
    plan = cellist.plan(one, *args)
    assert (list(ran), len(recorder.events), recorder.session.store.stats()) == before
    assert recorder.session.live == {}
    return plan


def chain(tasks: dict[str, Any]) -> Callable[..., Any]:
    load, add, total = tasks.values()

    def body(n: int = 1) -> Any:
        rows = load(n)
        more = add.map(rows, y=unmapped(n))
        return total(more)

    return body


def mapped(tasks: dict[str, Any]) -> Callable[..., Any]:
    load, add, total = tasks.values()

    def body(n: int = 1) -> Any:
        rows = load.submit(n)
        more = add.map(rows, 1)
        wait(more)
        return total.submit([future.result() for future in as_completed(list(more))]).result()

    return body


def states(tasks: dict[str, Any]) -> Callable[..., Any]:
    load, add, total = tasks.values()

    def body(n: int = 1) -> Any:
        rows = load(n, return_state=True)
        more = [add(rows.result()[0]), add(rows.result()[1], wait_for=[rows])]
        return total.submit(more, return_state=True)

    return body


BEFORE = {  # the shape of a flow, what is told of it before it has ever run
    chain: ["load-0 runs", "add-0 waits", "total-0 waits"],
    mapped: ["load-0 runs", "add-0 waits", "total-0 waits"],
    states: ["load-0 runs", "add-0 waits", "add-1 waits", "total-0 waits"],
}


@pytest.mark.parametrize("shape", BEFORE)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_plan_comes_true(
    shape: Any, is_async: bool, tasks: dict[str, Any], recorder: Recorder, ran: list[str]
) -> None:
    body = shape(tasks)

    async def awaited(n: int = 1) -> Any:
        await asyncio.sleep(0)
        return body(n)

    one: Any = flow(awaited if is_async else body, name="whole")
    assert told(check(one, recorder, ran, 1)) == BEFORE[shape]
    if is_async:
        asyncio.run(one(1))
    else:
        one(1)
    count = len(ran)
    after = check(one, recorder, ran, 1)
    assert after.counts == {REUSED: 4, RUNS: 0, WAITS: 0, UNKNOWN: 0}
    assert after.seconds_saved == pytest.approx(sum(call.saved for call in after.calls))
    if is_async:
        asyncio.run(one(1))
    else:
        one(1)
    assert len(ran) == count
    assert all(run.why.outcome == "hit" for run in recorder.runs[-4:])


def test_what_is_stored_makes_what_follows_exact(
    tasks: dict[str, Any], recorder: Recorder, ran: list[str]
) -> None:
    load, add, total = tasks.values()
    one = flow(chain(tasks), name="whole")
    one(1)
    recorder.session.store.invalidate(key=recorder.of("add")[1].cache_key)
    plan = check(one, recorder, ran, 1)
    assert told(plan) == ["load-0 reused", "add-0 reused", "add-1 runs", "total-0 waits"]
    waits = plan.calls[-1]
    assert waits.waits_for == ("add-1",)
    assert waits.reason.sentence == (
        "would run: waits for `add-1`, which would run "
        "(may still be reused if `add-1` gives what it gave before)"
    )
    assert plan.why("add-1").code in {"changed", "evicted"}
    assert plan.why("load").outcome == "hit"
    ran.clear()
    one(1)
    assert ran == ["add 2"]  # and total was reused, as was said to be possible
    del load, add, total


def test_a_stored_value_may_be_branched_on(
    tasks: dict[str, Any], recorder: Recorder, ran: list[str]
) -> None:
    load, add, total = tasks.values()

    @flow
    def one(n: int) -> Any:
        rows = load(n)
        rows.append(5)
        return add(len(rows)) if rows[0] == 1 and len(rows) == 3 else total(rows)

    unknown = check(one, recorder, ran, 1)
    assert told(unknown) == ["load-0 runs"]
    assert "needs a value that no task has given yet: " in unknown.stopped
    assert "viz_return_value" in unknown.stopped
    load(1)
    known = check(one, recorder, ran, 1)
    assert (told(known), known.stopped) == (["load-0 reused", "add-0 runs"], "")
    assert load(1) == [1, 2]  # the flow's code changed only what it was given


def test_a_value_to_draw_with_takes_a_plan_further(
    tasks: dict[str, Any], recorder: Recorder, ran: list[str]
) -> None:
    load = tasks["load"].with_options(viz_return_value=[7])
    add = tasks["add"]

    @flow
    def one() -> None:
        rows = load(1)
        if len(rows) == 1:
            add(rows)
            add(len(rows))

    plan = check(one, recorder, ran)
    assert told(plan) == ["load-0 runs", "add-0 waits", "add-1 runs"]
    assert str(plan).endswith("What follows from `load` was planned with the viz_return_value.")


def test_calls_of_one_key_share_one_run(
    tasks: dict[str, Any], recorder: Recorder, ran: list[str]
) -> None:
    add, total = tasks["add"], tasks["total"]

    @flow
    def one() -> Any:
        return total([add(1), add(1)])

    plan = check(one, recorder, ran)
    assert told(plan) == ["add-0 runs", "add-1 reused", "total-0 waits"]
    assert plan.why("add-1").sentence == "would be reused: `add-0` computes it first"
    one()
    assert ran == ["add 1", "total [1, 1]"]


def test_wait_for_says_nothing_about_a_key(
    tasks: dict[str, Any], recorder: Recorder, ran: list[str]
) -> None:
    load, add = tasks["load"], tasks["add"]
    add(1)

    @flow
    def one() -> None:
        add(1, wait_for=[load.submit(1)])

    assert told(check(one, recorder, ran)) == ["load-0 runs", "add-0 reused"]


def test_what_is_never_kept_would_run_whatever_it_waits_for(
    tasks: dict[str, Any], recorder: Recorder, ran: list[str]
) -> None:
    load = tasks["load"]

    def nothing(x: Any) -> None:
        ran.append(f"nothing {x}")

    @flow
    def one() -> None:
        rows = load(1)
        task(nothing)(rows)
        task(nothing, cache_policy=NO_CACHE)(rows)
        task(nothing, refresh_cache=True)(rows)

    plan = check(one, recorder, ran)
    assert told(plan) == ["load-0 runs", *(f"nothing-{i} runs" for i in range(3))]
    assert [call.reason.code for call in plan.calls[1:]] == ["no_result", "no_cache", "refreshed"]
    assert plan.calls[1].waits_for == ("load-0",)


def test_generators_are_planned_as_what_runs(
    tasks: dict[str, Any], recorder: Recorder, ran: list[str]
) -> None:
    add = tasks["add"]

    @task
    def each() -> Iterator[int]:
        yield from range(3)

    @task
    async def each_async() -> AsyncIterator[int]:
        yield 1

    @flow
    async def one() -> None:
        for value in each():
            add(value)
        async for value in each_async():
            add(value)

    plan = check(one, recorder, ran)
    assert told(plan) == ["each-0 runs", "add-0 waits", "each_async-0 runs", "add-1 waits"]
    assert "add-0 × ?" not in str(plan)


class TestSubflows:
    @pytest.mark.parametrize("is_async", [False, True])
    def test_their_tasks_are_planned_too(
        self, is_async: bool, tasks: dict[str, Any], recorder: Recorder, ran: list[str]
    ) -> None:
        load, add, total = tasks.values()
        add(2, 1)

        @flow(name="inner")
        def inner(n: int) -> Any:
            return {"rows": load.submit(n)}

        @flow(name="inner")
        async def inner_async(n: int) -> Any:
            await asyncio.sleep(0)
            return {"rows": load.submit(n)}

        @flow
        async def one() -> Any:
            call: Any = inner_async if is_async else inner
            found = await call(1) if is_async else call(1)
            state = await call(2, return_state=True) if is_async else call(2, return_state=True)
            add("2" and 2, 1)
            return total(found["rows"]), total(state)

        plan = check(one, recorder, ran)
        assert told(plan) == [
            *("load-0 runs", "load-1 runs", "add-0 reused", "total-0 waits", "total-1 waits")
        ]
        assert [call.flow for call in plan.calls] == ["inner", "inner", "one", "one", "one"]
        assert plan.calls[4].waits_for == ("load-1",)
        load(1)
        assert told(check(one, recorder, ran))[3] == "total-0 runs"

    def test_what_they_say_about_results_counts(
        self, tasks: dict[str, Any], recorder: Recorder, ran: list[str]
    ) -> None:
        load = tasks["load"]
        unsaid = task(load.fn, name="unsaid")

        @flow(persist_result=False, name="inner")
        def inner() -> Any:
            return unsaid(1)

        @flow
        def one() -> None:
            inner()

        assert check(one, recorder, ran).why("unsaid").sentence == (
            "would run: caching is off (persist_result=False of flow `inner`)"
        )

    def test_their_parameters_are_their_own(
        self, tasks: dict[str, Any], recorder: Recorder, ran: list[str]
    ) -> None:
        add = tasks["add"].with_options(cache_policy=FLOW_PARAMETERS)

        @flow
        def inner(n: int) -> Any:
            return add(0, n)

        @flow
        def one() -> None:
            text: Any = "1"  # which is coerced to a number
            inner(text)
            inner(2)

        inner(1)
        assert told(check(one, recorder, ran)) == ["add-0 reused", "add-1 runs"]

    def test_one_that_needs_a_value_is_one_line(
        self, tasks: dict[str, Any], recorder: Recorder, ran: list[str]
    ) -> None:
        load, add, total = tasks.values()

        @flow
        def inner(rows: list[int]) -> Any:
            return add(1) if len(rows) > 1 else total(rows)

        @flow
        def one() -> None:
            total(inner(load(1)))
            add(5)

        plan = check(one, recorder, ran)
        assert told(plan) == ["load-0 runs", "inner-0 unknown", "total-0 waits", "add-0 runs"]
        assert plan.stopped == ""
        assert "load-0 is a placeholder" in plan.why("inner").sentence
        assert "1 subflow cannot be looked into" in plan.sentence


STOPS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "truth": (bool, "whether it is true"),
    "length": (len, "its length"),
    "number": (int, "its number"),
    "library": ("".join, "TypeError"),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_cannot_be_rehearsed_is_said(
    name: str, tasks: dict[str, Any], recorder: Recorder, ran: list[str]
) -> None:
    use, words = STOPS[name]
    load = tasks["load"]

    @flow(name="stops")
    def one() -> None:
        rows = load(1)
        use(rows)
        raise AssertionError("it went on")

    plan = check(one, recorder, ran)
    assert told(plan) == ["load-0 runs"]
    assert "the code of flow `stops`" in plan.stopped
    assert words in plan.stopped
    assert "load-0" in plan.stopped
    assert "The plan ends here: " in str(plan)
    assert plan.as_dict()["stopped"] == plan.stopped


def test_errors_of_the_code_itself_are_raised(tasks: dict[str, Any]) -> None:
    tasks["load"](1)

    @flow
    def one(n: int) -> None:
        tasks["load"](n)
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        cellist.plan(one, 1)
    with pytest.raises(ParameterBindError, match="of flow 'one': missing"):
        cellist.plan(one)
    with pytest.raises(ParameterTypeError):
        cellist.plan(one, "text")


@pytest.mark.parametrize("what", [lambda: 1, task(lambda: 1), "crawl"])
def test_only_flows_are_planned(what: Any) -> None:
    with pytest.raises(TypeError, match=r"@flow; for a single task there is cellist\.why"):
        cellist.plan(what)


def test_a_flow_of_an_object_has_it(
    tasks: dict[str, Any], recorder: Recorder, ran: list[str]
) -> None:
    add = tasks["add"]

    class Job:
        start = 3

        @flow
        def run(self, n: int) -> Any:
            return add(self.start, n)

    Job().run(1)
    assert told(cellist.plan(Job().run, 1)) == ["add-0 reused"]
    assert told(check(Job.run, recorder, ran, Job(), 2)) == ["add-0 runs"]


def test_a_plan_within_a_running_loop(tasks: dict[str, Any]) -> None:
    add = tasks["add"]

    @flow
    async def one() -> None:
        await asyncio.sleep(0)
        add(1)

    async def main() -> Plan:
        return cellist.plan(one)

    assert told(asyncio.run(main())) == ["add-0 runs"]


class TestExpectedTimes:
    def test_they_are_the_median_of_the_latest_runs(
        self, tasks: dict[str, Any], recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        times = {"load": [1.0, 9.0, 2.0], "add": []}
        asked: list[tuple[str, str]] = []

        def durations(name: str, limit: int = 8, kind: str = "%") -> list[float]:
            assert limit == 8
            asked.append((name, kind))
            return times[name]

        monkeypatch.setattr(recorder.session.history, "durations", durations)
        load, add = tasks["load"], tasks["add"]

        @flow
        def one() -> None:
            load(1)
            load(2)
            add(1)
            add(load(3), 1)

        plan = cellist.plan(one)
        assert asked == [("load", "task"), ("add", "task")]
        assert [(call.expected, call.based_on) for call in plan.calls] == [
            *[(2.0, 3), (2.0, 3), (None, 0), (2.0, 3), (None, 0)]
        ]
        assert (plan.seconds_to_run, plan.seconds_waiting) == (6.0, 0.0)
        assert plan.sentence == (
            "Plan of flow `one`: 4 would run (about 6.0 s of work, and 1 never timed), "
            "1 would wait for what runs."
        )
        assert re.search(
            r"load-0 \(\w+=1\)  runs     2\.0 s \(from 3 runs\)  would run: never run before",
            str(plan),
        )

    def test_the_history_counts_only_what_ran_to_its_end(self, recorder: Recorder) -> None:
        calls: list[int] = []

        def flaky(x: int) -> int:
            calls.append(x)
            if x < 0:
                raise ValueError(x)
            return x

        one = task(flaky, cache_policy=INPUTS)
        for x in (1, 1, -1, 2, 2):
            one(x, return_state=True)
        assert [run.state_name for run in recorder.of("flaky")] == [
            *["Completed", "Cached", "Failed", "Completed", "Cached"]
        ]

        @flow(name="flaky")  # whose own time does not count
        def whole() -> Any:
            return one(3)

        whole()
        (call,) = cellist.plan(flow(lambda: one(9), name="other")).calls
        assert call.based_on == 3
        ends = sorted(
            (run.ended - run.first_running) / 1e9
            for run in recorder.of("flaky")
            if run.state_name == "Completed" and run.kind == "task"
        )
        assert call.expected == pytest.approx(ends[1])

    def test_without_a_history_there_are_none(self, tmp_path: Any, tasks: dict[str, Any]) -> None:
        with temporary_settings(history=False), use_session(Session(directory=tmp_path / "s")):
            (call,) = cellist.plan(flow(lambda: tasks["add"](9), name="other")).calls
        assert (call.verdict, call.expected, call.based_on) == (RUNS, None, 0)


def call(name: str, verdict: str, code: str = "changed", **more: Any) -> PlannedCall:
    outcome = "hit" if verdict == REUSED else "miss"
    reason = Reason(outcome, code, f"would {verdict}", saved=3.2 if verdict == REUSED else None)
    return PlannedCall(name, name.partition("-")[0], "crawl", verdict, reason, **more)


PLAN = Plan(
    "crawl",
    [
        call("fetch-0", REUSED),
        call("clean-0", RUNS, expected=1.5, based_on=1),
        call("score-0", WAITS, expected=20.0, based_on=4, waits_for=("clean-0",), is_many=True),
    ],
    "no more is known",
)


class TestHowItIsShown:
    def test_as_text(self) -> None:
        assert str(PLAN) == repr(PLAN)
        assert str(PLAN) == (
            "Plan of flow `crawl`: 1 would be reused (3.2 s saved), 1 would run (about 1.5 s of "
            "work), 1 would wait for what runs (at most 20.0 s of work).\n"
            "\n"
            "task         verdict  expected                   why\n"
            "fetch-0      reused   saves 3.2 s                would reused\n"
            "clean-0      runs     1.5 s (from 1 run)         would runs\n"
            "score-0 × ?  waits    20.0 s each (from 4 runs)  would waits\n"
            "\n"
            "The plan ends here: no more is known"
        )

    def test_as_a_frame(self) -> None:
        frame = PLAN.to_frame()
        assert list(frame["name"]) == ["fetch-0", "clean-0", "score-0"]
        assert list(frame["verdict"]) == [REUSED, RUNS, WAITS]
        assert list(frame["why"]) == ["would reused", "would runs", "would waits"]
        assert frame["saved"].sum() == 3.2
        assert frame["expected"].sum() == 21.5
        empty = Plan("nothing", []).to_frame()
        assert list(empty.columns) == list(frame.columns)

    def test_as_data(self) -> None:
        told = json.loads(json.dumps(PLAN.as_dict()))
        assert told["counts"] == {"reused": 1, "runs": 1, "waits": 1, "unknown": 0}
        assert told["seconds_saved"] == 3.2
        assert told["calls"][2]["waits_for"] == ["clean-0"]
        assert told["calls"][1]["why"]["sentence"] == "would runs"

    def test_as_html(self) -> None:
        change = Change("function", "f", "a = 1", "a = 2", "helper `f` changed")
        reason = Reason("miss", "changed", HOSTILE, (change,), notes=(HOSTILE,))
        one = PlannedCall(HOSTILE, HOSTILE, HOSTILE, RUNS, reason)
        html = Plan(HOSTILE, [one], HOSTILE)._repr_html_()
        assert "<script" not in html
        assert html.count("&lt;script&gt;") == 5
        assert re.search(r">\+a = 2</span>", html)
        assert "<table>" in html

    def test_many_alike_are_one_line(self) -> None:
        calls = [call(f"fetch-{i}", RUNS, expected=2.0, based_on=3) for i in range(MOST_ALIKE)]
        assert len(str(Plan("crawl", calls)).splitlines()) == MOST_ALIKE + 3
        calls.append(call(f"fetch-{MOST_ALIKE}", RUNS, expected=2.0, based_on=3))
        text = str(Plan("crawl", calls))
        assert len(text.splitlines()) == 4
        assert "fetch × 11  runs     22.0 s (from 3 runs)  first: would runs" in text
        assert Plan("crawl", calls)._repr_html_().count("<tr>") == 2
        assert len(Plan("crawl", calls).to_frame()) == 11

    def test_of_a_flow_without_tasks(self) -> None:
        empty = cellist.plan(flow(lambda: 1, name="empty"))
        assert str(empty) == "Plan of flow `empty`: it calls no task."
        assert "<table>" not in empty._repr_html_()

    def test_a_call_that_is_not_there_is_named(self) -> None:
        with pytest.raises(KeyError, match="no call 'nothing'; it has fetch-0, clean-0"):
            PLAN.why("nothing")


def test_calls_of_a_mapped_task_are_told_apart_by_what_they_are_given(recorder: Recorder) -> None:
    @task
    def fit(rows: list[int], alpha: float) -> float:
        return sum(rows) * alpha

    @task
    def best(scores: list[float]) -> float:
        return max(scores)

    @flow
    def grid() -> float:
        return best(fit.map(unmapped([1, 2]), [0.1, 10]))

    plan = cellist.plan(grid)
    assert [call.given for call in plan.calls] == [
        "rows=[1, 2], alpha=0.1",
        "rows=[1, 2], alpha=10",
        "",
    ]
    assert "\nfit-1 (rows=[1, 2], alpha=10)   runs " in str(plan)
    assert "<code>fit-1</code> (rows=[1, 2], alpha=10)</td>" in plan._repr_html_()
    assert "<code>best-0</code></td>" in plan._repr_html_()
