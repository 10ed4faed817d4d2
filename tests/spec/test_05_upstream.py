"""SPEC 5.2: what a run does when what it depends on did not complete, however it is called."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import cellist
from cellist import State, allow_failure, flow, quote, task
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import UnfinishedRun, UpstreamTaskError
from cellist.states import Cancelled, Completed, Crashed, Failed, Paused, Pending
from cellist.task_runners import (
    ProcessPoolTaskRunner,
    SequentialTaskRunner,
    ThreadPoolTaskRunner,
)
from tests.spec.observe import Calls, Hooks, trail

RUNNERS: dict[str, Callable[[], Any]] = {
    "thread": lambda: ThreadPoolTaskRunner(max_workers=2),
    "sequential": SequentialTaskRunner,
    "process": lambda: ProcessPoolTaskRunner(max_workers=1),
}


@dataclass
class Box:
    inside: Any


@task(cache_policy=NO_CACHE)
def fail() -> Any:
    raise ValueError("boom")


@task(cache_policy=NO_CACHE)
def crash() -> Any:
    raise SystemExit(3)


def kind_of(x: Any = None) -> str:
    """The class name of the first thing inside of nested containers."""
    while isinstance(x, (list, tuple, dict, Box)):
        x = x.inside if isinstance(x, Box) else next(iter(x.values() if isinstance(x, dict) else x))
    return type(x).__name__


kind = task(kind_of, name="kind", cache_policy=NO_CACHE)


async def akind_of(x: Any = None) -> str:
    await asyncio.sleep(0)
    return kind_of(x)


akind = task(akind_of, name="kind", cache_policy=NO_CACHE)
kind_flow = flow(kind_of, name="kind-flow")
akind_flow = flow(akind_of, name="akind-flow")

PLACES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "param": lambda up: {"x": up},
    "list": lambda up: {"x": [up]},
    "deep": lambda up: {"x": {"k": ([up],)}},
    "dataclass": lambda up: {"x": [Box(up)]},
    "wait_for": lambda up: {"wait_for": [up]},
    "nested wait_for": lambda up: {"wait_for": [[up]]},
    "bare wait_for": lambda up: {"wait_for": up},
}
WAYS = ["submit", "submit async", "direct", "direct async", "map", "subflow", "async subflow"]


def outcome_of(way: str, given: dict[str, Any]) -> tuple[State, Any]:
    """The final state of a call and what its caller gets, or the error that reaches it."""
    call: Any
    if way in {"submit", "submit async", "map"}:
        if way == "map":
            x = given.get("x")
            wait_for = given.get("wait_for")
            (future,) = kind.map([x], wait_for=wait_for)
        else:
            future = (akind if way == "submit async" else kind).submit(**given)
        future.wait(timeout=30)
        try:
            return future.state, future.result(timeout=30)
        except Exception as error:
            return future.state, error
    call = {
        "direct": kind,
        "direct async": akind,
        "subflow": kind_flow,
        "async subflow": akind_flow,
    }[way]

    def finish(value: Any) -> Any:
        return asyncio.run(value) if "async" in way else value

    state = finish(call(**given, return_state=True))
    try:
        return state, finish(call(**given))
    except Exception as error:
        return state, error


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("way", WAYS)
def test_failed_upstream_matrix(runner: str, way: str, checked: Any) -> None:
    """Everything that is not completed makes the run NotReady, and its body does not run."""
    seen: dict[str, tuple[State, Any]] = {}

    @flow(task_runner=RUNNERS[runner]())
    def f() -> None:
        upstream = fail.submit()
        upstream.wait()
        for place, put in PLACES.items():
            seen[place] = outcome_of(way, put(upstream))

    f()
    assert list(seen) == list(PLACES)
    for place, (state, got) in seen.items():
        assert (state.type.name, state.name) == ("PENDING", "NotReady"), place
        assert state.message is not None
        assert state.message.startswith("Upstream task run '"), place
        assert state.message.endswith("' did not reach a 'COMPLETED' state."), place
        expected = UpstreamTaskError if "direct" in way else UnfinishedRun
        assert isinstance(got, (expected, UpstreamTaskError)), (place, got)
    for run in checked.of("kind"):
        assert [state.name for state in run.states] == ["Pending", "NotReady"]


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("way", WAYS)
def test_allowed_failure_matrix(runner: str, way: str) -> None:
    """With allow_failure the body gets the exception in the place of the value."""
    seen: dict[str, tuple[State, Any]] = {}

    @flow(task_runner=RUNNERS[runner]())
    def f() -> None:
        upstream = fail.submit()
        for place, put in PLACES.items():
            seen[place] = outcome_of(way, put(allow_failure(upstream)))
        seen["outside"] = outcome_of(way, {"x": allow_failure([upstream])})

    f()
    for place, (state, got) in seen.items():
        assert state.name == "Completed", (place, state)
        assert got == ("NoneType" if "wait_for" in place else "ValueError"), place


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("way", WAYS)
def test_completed_upstream_matrix(runner: str, way: str) -> None:
    seen: dict[str, Any] = {}

    @flow(task_runner=RUNNERS[runner]())
    def f() -> None:
        upstream = kind.submit()
        for place, put in PLACES.items():
            seen[place] = outcome_of(way, put(upstream))[1]

    f()
    for place, got in seen.items():
        assert got == ("NoneType" if "wait_for" in place else "str"), place


class TestOtherStates:
    @pytest.mark.parametrize(
        "state",
        [
            Failed(data=ValueError("x")),
            Crashed(message="gone"),
            Cancelled(),
            Paused(),
            Pending(),
            Pending(name="NotReady"),
        ],
        ids=lambda state: state.name,
    )
    def test_states_as_upstream(self, state: State) -> None:
        assert kind(state, return_state=True).name == "NotReady"
        assert kind(wait_for=[state], return_state=True).name == "NotReady"
        with pytest.raises(UpstreamTaskError):
            kind(state)

    @pytest.mark.parametrize(
        ("state", "got"),
        [
            (Failed(data=ValueError("x")), "ValueError"),
            (Failed(message="told"), "FailedRun"),
            (Crashed(message="gone"), "CrashedRun"),
            (Cancelled(message="gone"), "CancelledRun"),
            (Pending(name="NotReady"), "UpstreamTaskError"),
        ],
        ids=lambda value: getattr(value, "name", None),
    )
    def test_what_allow_failure_hands_over(self, state: State, got: str) -> None:
        assert kind(allow_failure(state)) == got

    def test_completed_states(self) -> None:
        assert kind(Completed(data=3)) == "int"
        assert kind(Completed(name="Skipped", data=None)) == "NoneType"

    def test_crashed_upstream(self) -> None:
        @flow
        def f() -> Any:
            upstream = crash.submit()
            upstream.wait()
            return upstream.state.name, kind.submit(upstream, return_state=True).name

        assert f() == ("Crashed", "NotReady")

    def test_crashed_upstream_allowed(self) -> None:
        @flow
        def f() -> Any:
            return kind.submit(allow_failure(crash.submit())).result()

        assert f() in {"SystemExit", "CrashedRun"}


class TestNotReady:
    def test_is_not_final_and_has_no_result(self) -> None:
        @flow
        def f() -> Any:
            future = kind.submit(fail.submit())
            future.wait(timeout=60)
            assert future.state.name == "NotReady"
            assert not future.state.is_final()
            for raising in (True, False):
                with pytest.raises(UnfinishedRun):
                    future.result(timeout=5, raise_on_failure=raising)
                with pytest.raises(UnfinishedRun):
                    future.state.result(raise_on_failure=raising)

        f()

    def test_goes_on_down_the_chain(self) -> None:
        @flow
        def f() -> Any:
            futures = [fail.submit()]
            for _ in range(5):
                futures.append(kind.submit(futures[-1]))
            cellist.futures.wait(futures, timeout=60)
            return quote([future.state.name for future in futures])

        names: Any = f()
        names = names.unwrap() if isinstance(names, quote) else names
        assert names == ["Failed", *["NotReady"] * 5]

    def test_allow_failure_of_one_that_was_not_ready(self) -> None:
        @flow
        def f() -> Any:
            return kind.submit(allow_failure(kind.submit(fail.submit()))).result()

        assert f() == "UpstreamTaskError"

    def test_no_body_no_retries_no_hooks(self) -> None:
        calls, hooks = Calls(), Hooks()

        @task(
            retries=3,
            cache_policy=NO_CACHE,
            on_running=[hooks("r")],
            on_completion=[hooks("c")],
            on_failure=[hooks("f")],
        )
        def t(x: Any) -> None:
            calls(x)

        state = t(Failed(), return_state=True)
        assert trail(state) == ["Pending", "NotReady"]
        assert len(calls) == 0
        assert hooks.labels == []

    def test_names_the_upstream_run(self, checked: Any) -> None:
        @flow
        def f() -> Any:
            future = fail.submit()
            future.wait()
            return future.task_run_id, kind(future, return_state=True).message

        upstream, message = f()
        assert message == f"Upstream task run '{upstream}' did not reach a 'COMPLETED' state."

    def test_the_flow_that_returns_it_fails(self) -> None:
        @flow
        def f() -> Any:
            return kind.submit(fail.submit())

        assert f(return_state=True).is_failed()

    def test_a_task_that_waits_for_itself(self) -> None:
        box: list[Any] = []

        @task(cache_policy=NO_CACHE)
        def t() -> Any:
            while not box:
                pass
            return box[0].result()

        @flow
        def f() -> Any:
            future = t.submit()
            box.append(future)
            future.wait(timeout=60)
            return type(future.result(timeout=5, raise_on_failure=False)).__name__

        assert f() == "ValueError"


class TestSubflows:
    def test_not_ready_direct_call_raises(self) -> None:
        @flow
        def parent() -> Any:
            with pytest.raises(UnfinishedRun):
                kind_flow(fail.submit())
            with pytest.raises(UnfinishedRun):
                kind_flow(wait_for=[fail.submit()])
            return kind_flow(fail.submit(), return_state=True).name

        assert parent() == "NotReady"

    def test_the_body_of_the_subflow_does_not_run(self) -> None:
        calls = Calls()

        @flow
        def child(x: Any) -> None:
            calls()

        @flow
        def parent() -> None:
            child(fail.submit(), return_state=True)
            child([fail.submit()], return_state=True)
            child(1, wait_for=[fail.submit()], return_state=True)

        parent()
        assert len(calls) == 0
