"""Flows: what they return, how they fail, retry, time out and validate; flows in flows."""

import asyncio
import functools
import random
import sys
import threading
import time
from typing import Any

import pytest

import cellist
from cellist import State, flow, get_run_logger, runtime, task, validation
from cellist.annotations import quote
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.context import FlowRunContext, get_run_context
from cellist.exceptions import (
    CancelledRun,
    CellistError,
    FailedRun,
    FlowRunTimeoutError,
    InvalidNameError,
    MissingContextError,
    ParameterBindError,
    ParameterTypeError,
    PausedRun,
    UpstreamTaskError,
)
from cellist.states import Cancelled, Completed, Crashed, Failed, Paused
from tests.sessions import Recorder, names

quick: dict[str, Any] = {"cache_policy": NO_CACHE}
pytestmark = pytest.mark.usefixtures("recorder")


@task(**quick)
def one():
    return 1


@task(**quick)
def fail(text="boom"):
    raise ValueError(text)


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Any:
    """Make a flow of sync code, sync or async, and call it."""

    def call(body: Any, *args: Any, return_state: bool = False, **options: Any) -> Any:
        if request.param == "sync":
            return flow(body, name="f", **options)(*args, return_state=return_state)

        @functools.wraps(body)
        async def coroutine(*inner: Any) -> Any:
            await asyncio.sleep(0)
            return body(*inner)

        made: Any = flow(coroutine, name="f", **options)
        return asyncio.run(made(*args, return_state=return_state))

    return call


@pytest.mark.parametrize(
    ("body", "value", "message"),
    [
        (lambda: 5, 5, None),
        (lambda: None, None, None),
        (lambda: Completed(data=5, name="Odd", message="said"), 5, "said"),
        (Completed, None, None),
        (one.submit, 1, "All states completed."),
        (lambda: [one.submit(), one.submit()], [1, 1], "All states completed."),
        (lambda: (one.submit(), 7), (1, 7), "All states completed."),
        (lambda: {"a": one.submit(), "b": [one.submit()]}, {"a": 1, "b": [1]}, None),
        (lambda: {"a": 1}, {"a": 1}, None),
        (lambda: [one(return_state=True)], [1], "All states completed."),
        (list, [], None),
        (lambda: (n for n in range(3)), [0, 1, 2], None),
    ],
)
def test_what_a_flow_returns(
    run: Any, recorder: Recorder, body: Any, value: Any, message: str | None
) -> None:
    assert run(body) == value
    state = run(body, return_state=True)
    assert state.is_completed()
    if message is not None:
        assert state.message == message
    assert names(recorder.of("f")[0])[:2] == ["Pending", "Running"]


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (fail.fn, ValueError, "Flow run encountered an exception: ValueError: boom"),
        (fail.submit, ValueError, "1/1 states failed."),
        (lambda: [one.submit(), fail.submit("x")], ValueError, "1/2 states failed."),
        (lambda: (7, fail.submit()), ValueError, "1/1 states failed."),
        (lambda: {"a": [fail.submit()]}, ValueError, "1/1 states failed."),
        (lambda: fail(return_state=True), ValueError, "1/1 states failed."),
        (lambda: Failed(message="said"), FailedRun, "said"),
    ],
)
def test_how_a_flow_fails(
    run: Any, recorder: Recorder, body: Any, kind: type, message: str | None
) -> None:
    with pytest.raises(kind):
        run(body)
    state = run(body, return_state=True)
    assert state.is_failed()
    if message is not None:
        assert state.message == message
    with pytest.raises(kind):
        state.result()


@pytest.mark.parametrize(
    ("made", "kind"), [(Cancelled, CancelledRun), (Crashed, CellistError), (Paused, PausedRun)]
)
def test_flow_that_returns_a_state_without_a_value_raises(run: Any, made: Any, kind: type) -> None:
    with pytest.raises(kind):
        run(lambda: made(message="said"))
    state = run(lambda: made(message="said"), return_state=True)
    assert (state.type, state.message) == (made().type, "said")


def test_quote_hands_the_raw_thing_over(run: Any) -> None:
    future = run(lambda: quote(fail.submit()))
    assert future.done()


@pytest.mark.parametrize(
    "body",
    [
        lambda: fail(return_state=True) and None,
        lambda: fail.submit().result(raise_on_failure=False) and None,
        lambda: fail.submit() and None,
    ],
)
def test_a_swallowed_failure_does_not_fail_the_flow(run: Any, body: Any) -> None:
    assert run(body, return_state=True).is_completed()


def test_future_of_a_run_that_never_ran_fails_the_flow(run: Any) -> None:
    @task(**quick)
    def after(x):
        return x

    with pytest.raises(ValueError, match="boom"):
        run(lambda: [fail.submit(), after.submit(1)])
    with pytest.raises(CellistError):
        run(lambda: after.submit(fail.submit()))


@pytest.mark.parametrize("delays", [0, 0.001, [0.001, 0.002]])
@pytest.mark.parametrize("how", ["raise", "return state", "return future"])
def test_retries_of_a_flow(run: Any, recorder: Recorder, delays: Any, how: str) -> None:
    calls: list[int] = []

    def body() -> Any:
        calls.append(runtime.flow_run.run_count)
        if len(calls) < 3:
            if how == "raise":
                raise ValueError("not yet")
            return Failed(message="not yet") if how == "return state" else fail.submit()
        return "done"

    assert run(body, retries=2, retry_delay_seconds=delays) == "done"
    assert calls == [1, 2, 3]
    waits = ["AwaitingRetry", "Running"]  # also where there is nothing to wait for
    assert names(recorder.one("f")) == ["Pending", "Running", *waits, *waits, "Completed"]


def test_validation(recorder: Recorder) -> None:
    seen: list[Any] = []

    @flow
    def f(n: int, items: list[int] = [], plain=None):  # noqa: B006 - defaults are validated too
        seen.append((n, items, plain))
        return n

    mine = [1]
    assert f("5", ("1", 2), mine) == 5  # type: ignore[arg-type] - to be coerced
    assert seen[0] == (5, [1, 2], [1])
    assert seen[0][2] is mine
    with pytest.raises(ParameterTypeError, match=r"Flow 'f' received invalid parameters"):
        f("many")  # type: ignore[arg-type] - wrong on purpose
    state: Any = f("many", return_state=True)
    assert state.is_failed()
    assert state.message.startswith(
        "Validation of flow parameters failed with error: ParameterTypeError: "
    )
    assert names(recorder.of("f")[-1]) == ["Pending", "Failed"]
    raw = f.with_options(validate_parameters=False)
    assert raw("many") == "many"  # type: ignore[arg-type] - not validated
    count = len(recorder.runs)
    with pytest.raises(ParameterBindError):
        f()  # type: ignore[call-arg] - wrong on purpose
    assert len(recorder.runs) == count


def test_validation_of_star_parameters() -> None:
    @flow
    def f(*numbers: int, **named: float):
        return numbers, named

    assert f("1", 2, a="3") == ((1, 2), {"a": 3.0})  # type: ignore[arg-type] - to be coerced


@pytest.mark.parametrize("way", ["sync", "async"])
def test_timeout(recorder: Recorder, way: str) -> None:
    f: Any = flow(
        functools.partial(time.sleep if way == "sync" else asyncio.sleep, 60),
        name="f",
        timeout_seconds=0.05,
    )
    before = time.monotonic()
    with pytest.raises(FlowRunTimeoutError, match=r"Scope timed out after 0\.05 second\(s\)\."):
        f() if way == "sync" else asyncio.run(f())
    assert time.monotonic() - before < 30
    state = recorder.one("f").states[-1]
    assert (state.name, state.message) == (
        "TimedOut",
        "Flow run exceeded timeout of 0.05 second(s)",
    )


def test_interrupt_is_a_crash_if_the_user_raised_it(run: Any, recorder: Recorder) -> None:
    crashed: list[Any] = []

    def body() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(body, retries=3, on_crashed=[lambda f, r, state: crashed.append(state.name)])
    assert names(recorder.one("f")) == ["Pending", "Running", "Crashed"]
    assert crashed == ["Crashed"]


def test_hooks_see_the_run(run: Any, recorder: Recorder) -> None:
    seen: list[Any] = []

    def hook(f: Any, r: Any, state: Any) -> None:
        assert get_run_context().flow_run is r  # type: ignore[union-attr] - called in a flow
        seen.append(state.name)

    hooks = {kind: [hook] for kind in ("on_running", "on_completion", "on_failure")}
    run(lambda: 1, **hooks)
    run(fail.fn, return_state=True, **hooks)
    assert seen == ["Running", "Completed", "Running", "Failed"]


def test_subflows(recorder: Recorder) -> None:
    @flow
    def child(n: int):
        assert runtime.flow_run.parameters == {"n": n}
        return one() + n

    @task(**quick)
    def middle():
        return child(10)

    @flow
    async def achild():
        return one()

    @flow
    def parent():
        future: Any = one.submit()
        return [child(future), middle(), middle.submit().result()]

    assert parent() == [2, 11, 11]
    assert all(run.flow is recorder.one("parent") for run in recorder.of("child"))

    @flow
    async def aparent():
        return await asyncio.gather(achild(), achild())

    assert asyncio.run(aparent()) == [1, 1]


def test_failed_subflow_raises_in_the_parent(recorder: Recorder) -> None:
    @flow
    def child():
        fail("inner")

    @flow
    def parent():
        child()

    with pytest.raises(ValueError, match="inner"):
        parent()
    with pytest.raises(UpstreamTaskError):
        flow(lambda x: x)(fail(return_state=True))


def test_names(recorder: Recorder) -> None:
    @flow
    def my_flow(x: int = 1):
        return runtime.flow_run.name

    assert my_flow.name == "my-flow"
    assert len(str(my_flow()).split("-")) == 2
    assert my_flow.with_options(flow_run_name="run-{x}")(3) == "run-3"
    assert my_flow.with_options(flow_run_name=lambda: "called")() == "called"
    assert my_flow.with_options(flow_run_name=lambda parameters: f"{parameters}")() == "{'x': 1}"
    assert flow(lambda: 1).name == "unknown-lambda"
    wrong: Any = 5
    for bad in ("a/b", "a%", "a&b", "<a>"):
        with pytest.raises(InvalidNameError, match="not allowed"):
            flow(name=bad)(lambda: 1)
    with pytest.raises(TypeError, match="Perhaps you meant to call it"):
        flow(name=wrong)(lambda: 1)
    with pytest.raises(TypeError, match=r"'flow_run_name'; got .* flow 'my-flow'"):
        my_flow.with_options(flow_run_name=wrong)
    with pytest.raises(TypeError, match="`task_runner` of flow 'my-flow'"):
        my_flow.with_options(task_runner=wrong)
    state = my_flow.with_options(flow_run_name=lambda: wrong)(return_state=True)
    assert isinstance(state, State)
    assert state.is_failed()


class Job:
    def __init__(self, n: int) -> None:
        self.n = n

    @flow
    def run(self, x: int = 0):
        return self.n + x

    @flow
    @classmethod
    def made(cls):
        return cls.__name__

    @flow
    @staticmethod
    def plain(x):
        return x


def test_flows_as_methods() -> None:
    assert Job(5).run(1) == 6
    text: Any = "2"  # which the flow makes a number
    assert Job(5).run.with_options(name="other")(x=text) == 7
    assert Job.made() == Job(1).made() == "Job"
    assert Job.plain(3) == Job(1).plain(3) == 3


def test_context_and_loggers(recorder: Recorder) -> None:
    with pytest.raises(MissingContextError):
        get_run_context()
    with pytest.raises(MissingContextError):
        get_run_logger()
    assert runtime.flow_run.id is None
    assert runtime.task_run.run_count == 0

    @task(**quick)
    def work(x):
        get_run_logger().info("in %s", "task")
        assert runtime.task_run.parameters == {"x": 1}
        assert runtime.task_run.task_name == "work"
        context = FlowRunContext.get()
        assert context is not None
        return context.flow_run.id

    @flow
    def f():
        get_run_logger().warning("in flow")
        return work(1), work.submit(1)

    direct, submitted = f()
    assert direct == submitted == recorder.one("f").id
    assert recorder.logs() == ["in flow", "in task", "in task"]
    assert FlowRunContext.get() is None


def test_sync_flow_inside_a_running_loop_runs_in_its_thread() -> None:
    async def main() -> Any:
        return flow(threading.current_thread)()

    assert asyncio.run(main()) is threading.current_thread()


def test_persist_result_false_turns_caching_off_for_tasks_without_a_policy() -> None:
    calls: list[str] = []

    @task
    def default(x: int) -> int:
        calls.append("default")
        return x

    @task(cache_policy=INPUTS)
    def explicit(x: int) -> int:
        calls.append("explicit")
        return x

    @flow(persist_result=False)
    def off() -> None:
        default(1)
        explicit(1)

    off()
    off()
    assert calls == ["default", "explicit", "default"]


def test_an_unknown_option_is_named_with_a_near_one() -> None:
    with pytest.raises(TypeError, match=r"@flow has no option 'retires'. Did you mean 'retries'\?"):
        flow(retires=3)  # pyright: ignore[reportCallIssue]  # wrong on purpose
    with pytest.raises(TypeError, match=r"@task has no option 'bogus'. Its options are cache_"):
        task(bogus=1)  # pyright: ignore[reportCallIssue]  # wrong on purpose


def test_an_option_of_the_other_decorator_is_sent_there() -> None:
    with pytest.raises(TypeError, match=r"@task has no option 'task_runner'. It is one of @flow\."):
        task(task_runner="threads")  # pyright: ignore[reportCallIssue]  # wrong on purpose
    with pytest.raises(TypeError, match=r"@flow has no option 'tags'. It is one of @task\."):
        flow(tags=["db"])  # pyright: ignore[reportCallIssue]  # wrong on purpose


def test_texts_of_a_flow_must_be_text() -> None:
    with pytest.raises(TypeError, match="`version` of flow 'f' must be text, got 3"):
        flow(name="f", version=3)(lambda: 1)  # pyright: ignore[reportArgumentType]  # wrong on purpose


def test_the_record_of_a_run_shows_its_result_and_where_it_ran() -> None:
    @task(cache_policy=NO_CACHE)
    def double(x: int) -> list[int]:
        return [x, x]

    @flow
    def both() -> list[list[int]]:
        return [double(1), double.submit(2).result()]

    both()
    records = {record.result: record for record in cellist.run("both").children}
    assert set(records) == {"[1, 1]", "[2, 2]"}
    assert records["[1, 1]"].where is None
    assert records["[2, 2]"].where == "threadpool"
    assert cellist.run("both").result == "[list(2), list(2)]"


def test_the_name_of_a_run_takes_no_draw_from_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "coolname", raising=False)
    validation._namer.cache_clear()  # the library is imported by the first run, and draws, too
    before = random.getstate()
    assert flow(name="first")(lambda: 1)() == 1
    assert flow(name="second")(lambda: 2)() == 2
    assert random.getstate() == before
