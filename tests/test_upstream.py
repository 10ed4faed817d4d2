"""What a failed upstream does to a run, however it is started and wherever the future stands."""

import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

import cellist
from cellist import allow_failure, flow, task, unmapped
from cellist.annotations import opaque, quote
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import CancelledRun, CellistError, UnfinishedRun, UpstreamTaskError
from cellist.states import Cancelled, Completed
from tests.sessions import Recorder, names

quick: dict[str, Any] = {"cache_policy": NO_CACHE}


@task(**quick)
def fail():
    raise ValueError("boom")


@task(**quick)
def one():
    return 1


@task(**quick)
def echo(x: Any = None) -> Any:
    return x


@flow
def subflow(x: Any = None) -> Any:
    return x


PLACES = {
    "param": lambda f: {"x": f},
    "nested": lambda f: {"x": {"k": [1, (f, 2)]}},
    "wait_for": lambda f: {"wait_for": [f]},
    "bare wait_for": lambda f: {"wait_for": f},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("start", ["submit", "direct", "map", "subflow"])
@pytest.mark.parametrize("as_state", [False, True], ids=["future", "state"])
def test_failed_upstream(recorder: Recorder, place: str, start: str, as_state: bool) -> None:
    @flow
    def f():
        future = fail.submit()
        future.wait()
        given = PLACES[place](future.state if as_state else future)
        upstream = rf"Upstream task run '{future.run.id}' did not reach a 'COMPLETED' state\."
        if start == "submit":
            state = echo.submit(**given).state
            ended = echo.submit(**given)
            ended.wait(60)
            state = ended.state
            with pytest.raises(UnfinishedRun):
                ended.result()
        elif start == "map":
            if "x" in given:
                given["x"] = [given["x"]]
            else:
                given["x"] = [1]
            (state,) = echo.map(return_state=True, **given)
        else:
            call: Any = echo if start == "direct" else subflow
            with pytest.raises(UpstreamTaskError, match=upstream):
                call(**given)
            state = call(return_state=True, **given)
        assert (state.name, state.type) == ("NotReady", "PENDING")
        assert not state.is_final()
        return "went on"

    assert f() == "went on"
    for run in recorder.of("subflow" if start == "subflow" else "echo"):
        assert names(run) == ["Pending", "NotReady"]
        assert run.run_count == 0


def test_good_upstream_in_every_place(recorder: Recorder) -> None:
    @dataclass
    class Box:
        inner: Any

    class Pair(NamedTuple):
        a: Any
        b: Any

    @flow
    def f():
        future = one.submit()
        assert echo.submit([future]).result() == [1]
        assert echo.submit({future: future}).result() == {1: 1}
        assert echo.submit({future}).result() == {1}
        assert echo.submit(Box([future])).result() == Box([1])
        assert echo.submit(Pair(future, 2)).result() == Pair(1, 2)
        assert echo(future) == 1
        assert echo(future.state) == 1
        assert subflow(future) == 1
        assert echo.submit(quote(future)).result() is future
        assert echo.submit(opaque(future)).result() == 1
        assert echo.submit(opaque([future])).result() == [future]

    f()


def test_futures_among_star_arguments_are_waited_for(recorder: Recorder) -> None:
    @task(**quick)
    def total(*numbers, extra=0, **more):
        return sum(numbers) + extra + sum(more.values())

    @flow
    def f():
        futures = [one.submit() for _ in range(5)]
        future = total.submit(1, *futures, extra=futures[0], other=futures[1])
        assert total(0, *futures) == 5
        return future.result()

    assert f() == 8
    inputs: Any = recorder.of("total")[0].task_inputs  # type: ignore[attr-defined] - a task run has them
    assert len(inputs["numbers"]) == 5
    assert len(inputs["extra"]) == len(inputs["other"]) == 1


def test_containers_without_futures_keep_their_identity(recorder: Recorder) -> None:
    given = {"a": [1, {2}], "b": object()}

    @task(**quick)
    def same(x, y):
        return x is given and y == 1

    @flow
    def f():
        return same.submit(given, one.submit()).result()

    assert f() is True


def test_allow_failure(recorder: Recorder) -> None:
    @flow
    def f():
        error = echo.submit(allow_failure(fail.submit())).result()
        assert isinstance(error, ValueError)
        nested = echo.submit(allow_failure([one.submit(), fail.submit()])).result()
        assert nested[0] == 1
        assert isinstance(nested[1], ValueError)
        direct = echo(allow_failure(fail.submit()))
        assert isinstance(direct, ValueError)
        cancelled = echo(allow_failure(Cancelled()))
        assert isinstance(cancelled, CancelledRun)
        echo(x=1, wait_for=[allow_failure(fail.submit())])

    f()


def test_states_a_user_made_are_resolved(recorder: Recorder) -> None:
    assert echo(Completed(data=3)) == 3
    with pytest.raises(UpstreamTaskError):
        echo(Cancelled())


def test_run_records_are_refused_with_advice(recorder: Recorder) -> None:
    future = one.submit()
    with pytest.raises(CellistError, match=r"'x'.*opaque\(\)"):
        echo.submit(x=future.run, wait_for=[future]).result()
    assert echo(opaque(future.run)) is future.run


def test_inputs_are_recorded(recorder: Recorder) -> None:
    @flow
    def f():
        a = one.submit()
        b = echo.submit([a], wait_for=a)
        frame = echo({"some": "object"})
        echo(frame)
        return b.result()

    f()
    run = recorder.of("echo")[0]
    inputs = run.task_inputs  # type: ignore[attr-defined] - a task run has them
    upstream = recorder.one("one").id
    assert [i.id for i in inputs["x"]] == [upstream]
    assert [i.id for i in inputs["wait_for"]] == [upstream]
    linked = recorder.of("echo")[2].task_inputs  # type: ignore[attr-defined] - a task run has them
    assert [i.id for i in linked["x"]] == [recorder.of("echo")[1].id]


def test_equal_atoms_make_no_edges(recorder: Recorder) -> None:
    @flow
    def f():
        echo(one())
        echo(1)
        echo("text")
        echo("text")
        echo((1, 2))
        echo((1, 2))

    f()
    assert all(not run.task_inputs for run in recorder.of("echo"))  # type: ignore[attr-defined] - task runs have them


def test_deeply_nested_and_circular_arguments(recorder: Recorder) -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert echo(deep) is deep
    circle: list[Any] = [1]
    circle.append(circle)
    assert echo(circle) is circle
    assert echo.submit([circle, one.submit()]).result()[1] == 1


def test_future_at_the_end_of_a_long_list(recorder: Recorder) -> None:
    @task(**quick)
    def last(items):
        return items[-1]

    assert last.submit([*range(20_000), one.submit()]).result() == 1
    assert last.submit([*map(str, range(20_000)), 1.5, one.submit()]).result() == 1


def test_a_million_numbers_cost_little(recorder: Recorder) -> None:
    import time

    numbers = list(range(1_000_000))
    mixed = [*range(500_000), *map(float, range(500_000))]
    size = task(len, name="size", **quick)

    @flow
    def f():
        best = 1.0
        for given in (numbers, mixed):
            size([])
            for _ in range(5):
                before = time.perf_counter()
                size(given)
                best = min(best, time.perf_counter() - before)
        return best

    assert f() < 0.005


def test_unmapped_outside_map_is_stripped(recorder: Recorder) -> None:
    assert echo.submit([one.submit(), unmapped(3)]).result() == [1, 3]


def test_inputs_that_were_futures_are_recorded_as_what_they_became(recorder: Recorder) -> None:
    may_end = threading.Event()

    @task(cache_policy=NO_CACHE)
    def load() -> list[int]:
        assert may_end.wait(60)
        return [1, 2]

    @task(cache_policy=NO_CACHE)
    def total(rows: list[int]) -> int:
        return sum(rows)

    @flow
    def work() -> int:
        future = total.submit(load.submit())
        recorder.session.history.flush(60)  # while it waits for its input
        may_end.set()
        return future.result()

    assert work() == 3
    recorder.session.history.flush(60)
    assert cellist.run(recorder.one("total").name).inputs == {"rows": "[1, 2]"}
