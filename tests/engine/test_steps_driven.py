"""The life of a run, carried out in each of the four ways."""

import functools
from datetime import timedelta

import pytest

from cellist.exceptions import FailedRun
from cellist.model.states import COMPLETED, FAILED, StateType
from cellist.states import Cancelled, Completed, Crashed, Failed, Paused, Running
from cellist.tasks import exponential_backoff
from tests.sessions import WAYS, Recorder, as_task, final_state, names, outcome

pytestmark = pytest.mark.parametrize("way", WAYS)


class Flaky:
    """Fails a number of times, then returns."""

    def __init__(self, failures: int, error: BaseException | None = None) -> None:
        self.left = failures
        self.calls = 0
        self.error = error or ValueError("not yet")

    def run(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


def fail(text: str = "boom") -> None:
    raise ValueError(text)


def test_success(way: str, recorder: Recorder) -> None:
    t = as_task(way, lambda x: x + 1, name="t")
    state = final_state(way, t, 1)
    assert state.result() == 2
    assert state.type is COMPLETED
    assert state.message is None
    run = recorder.one("t")
    assert names(run) == ["Pending", "Running", "Completed"]
    assert run.run_count == 1
    assert state.state_details.task_run_id == run.id
    assert run.start_time is not None
    assert run.end_time is not None
    assert run.start_time <= run.end_time


def test_none_is_a_result(way: str, recorder: Recorder) -> None:
    assert final_state(way, as_task(way, lambda: None)).result() is None


def test_failure(way: str, recorder: Recorder) -> None:
    state = final_state(way, as_task(way, fail), "no such page")
    assert state.name == "Failed"
    assert state.message == "Task run encountered an exception ValueError: no such page"
    with pytest.raises(ValueError, match="no such page"):
        state.result()
    assert isinstance(state.result(raise_on_failure=False), ValueError)
    run = recorder.one("fail")
    assert names(run) == ["Pending", "Running", "Failed"]
    assert run.error is not None
    assert run.error.type == "ValueError"
    assert "no such page" in run.error.traceback
    assert "src/cellist" not in run.error.traceback


def test_the_users_own_exception_object_comes_through(way: str, recorder: Recorder) -> None:
    error = KeyError("k")

    def raises() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        outcome(way, as_task(way, raises))
    assert caught.value is error


def test_retry_without_delay(way: str, recorder: Recorder) -> None:
    flaky = Flaky(2)
    t = as_task(way, flaky.run, name="t", retries=3)
    assert final_state(way, t).result() == "done"
    run = recorder.one("t")
    assert names(run) == ["Pending", "Running", "Retrying", "Retrying", "Completed"]
    assert run.run_count == flaky.calls == 3


def test_retry_with_delay(way: str, recorder: Recorder) -> None:
    flaky = Flaky(2)
    t = as_task(way, flaky.run, name="t", retries=3, retry_delay_seconds=[0.05, 0.1])
    assert final_state(way, t).result() == "done"
    run = recorder.one("t")
    waits = ["AwaitingRetry", "Retrying"]
    assert names(run) == ["Pending", "Running", *waits, *waits, "Completed"]
    awaiting = [state for state in run.states if state.name == "AwaitingRetry"]
    assert awaiting[0].message == "Task run encountered an exception ValueError: not yet"
    gaps = [
        (after.at - before.at) / 1e9
        for before, after in zip(run.states, run.states[1:], strict=False)
        if before.name == "AwaitingRetry"
    ]
    assert 0.05 <= gaps[0] < 0.09 or gaps[0] >= 0.05  # a busy machine may be late, never early
    assert gaps[1] >= 0.1
    whole = (run.states[-1].at - run.states[1].at) / 1e9
    assert run.total_run_time.total_seconds() == pytest.approx(whole - sum(gaps), abs=1e-3)


def test_retries_are_exhausted(way: str, recorder: Recorder) -> None:
    flaky = Flaky(9)
    t = as_task(way, flaky.run, name="t", retries=2)
    state = final_state(way, t)
    assert state.type is FAILED
    assert flaky.calls == 3
    assert names(recorder.one("t")) == ["Pending", "Running", "Retrying", "Retrying", "Failed"]
    logs = recorder.logs()
    assert "Retry 1/2 will start immediately" in logs[0]
    assert "Retry 2/2 will start immediately" in logs[1]
    assert "Retries are exhausted" in logs[2]


@pytest.mark.parametrize(
    ("delays", "expected"),
    [
        (0.001, [0.001, 0.001, 0.001]),
        (timedelta(milliseconds=1), [0.001, 0.001, 0.001]),
        ([0.001, 0.002], [0.001, 0.002, 0.002]),
        ([0.001, 0.002, 0.003, 0.004], [0.001, 0.002, 0.003]),
        (exponential_backoff(0.001), [0.001, 0.002, 0.004]),
        (lambda n: [0.001 * n] * n, [0.003, 0.003, 0.003]),
        ([], []),
    ],
)
def test_forms_of_delay(way: str, recorder: Recorder, delays: object, expected: list) -> None:
    t = as_task(way, fail, retries=3, retry_delay_seconds=delays)
    final_state(way, t)
    run = recorder.one("fail")
    assert run.run_count == 4
    told = [line for line in recorder.logs() if "second(s) from now" in line]
    assert len(told) == len(expected)
    for line, seconds in zip(told, expected, strict=True):
        assert f" {seconds:g} second(s) from now" in line


def only_if_it_may(task, run, state):
    with pytest.raises(ValueError, match="may"):
        state.result()
    assert state.name == "Failed"
    assert state.message == "Task run encountered unexpected exception: ValueError('may')"
    assert run.state.is_running()
    return run.run_count < 2


async def async_condition(task, run, state):
    return run.run_count < 2


class Condition:
    def __call__(self, task, run, state):
        return run.run_count < 2


@pytest.mark.parametrize(
    "condition",
    [
        only_if_it_may,
        async_condition,
        Condition(),
        functools.partial(lambda limit, t, r, s: r.run_count < limit, 2),
    ],
    ids=["function", "async", "object", "partial"],
)
def test_retry_condition(way: str, recorder: Recorder, condition: object) -> None:
    t = as_task(way, lambda: fail("may"), name="t", retries=5, retry_condition_fn=condition)
    assert final_state(way, t).type is FAILED
    assert names(recorder.one("t")) == ["Pending", "Running", "Retrying", "Failed"]


def test_retry_condition_that_raises_means_no_retry(way: str, recorder: Recorder) -> None:
    def broken(task, run, state):
        raise RuntimeError("cannot decide")

    t = as_task(way, fail, retries=5, retry_condition_fn=broken)
    assert final_state(way, t, "x").message == "Task run encountered an exception ValueError: x"
    assert recorder.one("fail").run_count == 1
    assert any("cannot decide" in line for line in recorder.logs())


def test_condition_is_not_asked_without_retries(way: str, recorder: Recorder) -> None:
    asked = []
    t = as_task(way, fail, retry_condition_fn=lambda *a: asked.append(a))
    final_state(way, t)
    assert asked == []


@pytest.mark.parametrize("retries", [0, 1])
def test_timeout_error_of_the_user(way: str, recorder: Recorder, retries: int) -> None:
    def raises() -> None:
        raise TimeoutError("server")

    state = final_state(way, as_task(way, raises, retries=retries))
    assert (state.name, state.type) == ("TimedOut", FAILED)
    assert state.message == "Task run failed due to timeout: TimeoutError('server')"
    assert recorder.one("raises").run_count == retries + 1


def test_returned_failed_state(way: str, recorder: Recorder) -> None:
    t = as_task(way, lambda: Failed(message="bad data"), name="t", retries=1)
    state = final_state(way, t)
    assert (state.name, state.message) == ("Failed", "bad data")
    with pytest.raises(FailedRun, match="bad data"):
        state.result()
    assert names(recorder.one("t")) == ["Pending", "Running", "Retrying", "Failed"]


def test_returned_completed_state_keeps_name_message_and_data(way: str, recorder: Recorder) -> None:
    t = as_task(way, lambda: Completed(name="Skipped", message="nothing new", data=5), name="t")
    state = final_state(way, t)
    assert (state.name, state.type, state.message) == ("Skipped", COMPLETED, "nothing new")
    assert state.result() == 5
    assert names(recorder.one("t")) == ["Pending", "Running", "Skipped"]


def test_returned_completed_state_without_data_gives_none(way: str, recorder: Recorder) -> None:
    assert final_state(way, as_task(way, Completed)).result() is None


@pytest.mark.parametrize(
    ("make", "kind"),
    [(Cancelled, StateType.CANCELLED), (Crashed, StateType.CRASHED), (Paused, StateType.PAUSED)],
)
def test_returned_state_of_another_type_is_taken(
    way: str, recorder: Recorder, make: object, kind: StateType
) -> None:
    t = as_task(way, lambda: make(message="as I say"), name="t")  # type: ignore[operator] - a constructor of the table
    state = final_state(way, t)
    assert (state.type, state.message) == (kind, "as I say")
    assert len(recorder.one("t").states) == 3


def test_returned_state_that_is_not_final_fails(way: str, recorder: Recorder) -> None:
    state = final_state(way, as_task(way, Running, name="t"))
    assert state.type is FAILED
    assert "not final" in (state.message or "")


def test_returned_states_are_summed_up(way: str, recorder: Recorder) -> None:
    t = as_task(way, lambda: [Completed(data=1), Failed(message="one bad")], name="t")
    state = final_state(way, t)
    assert (state.type, state.message) == (FAILED, "1/2 states failed.")
    with pytest.raises(FailedRun, match="one bad"):
        state.result()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_stops_a_program_crashes_the_run(
    way: str, recorder: Recorder, kind: type[BaseException]
) -> None:
    def raises() -> None:
        raise kind

    t = as_task(way, raises, retries=3)
    message = {
        KeyboardInterrupt: "Execution was aborted by an interrupt signal.",
        SystemExit: "Execution was aborted by Python system exit call.",
    }[kind]
    if way.startswith("submit"):
        future = t.submit()
        future.wait()
        assert future.state.name == "Crashed"
        assert future.state.message == message
        with pytest.raises(kind):
            future.result()
    else:
        with pytest.raises(kind):
            outcome(way, t)
    run = recorder.one("raises")
    assert names(run) == ["Pending", "Running", "Crashed"]
    assert run.states[-1].message == message


def test_other_base_exception_crashes_the_run(way: str, recorder: Recorder) -> None:
    class Strange(BaseException):
        pass

    def raises() -> None:
        raise Strange("odd")

    with pytest.raises(Strange):
        outcome(way, as_task(way, raises, retries=2))
    assert recorder.one("raises").states[-1].message == (
        "Execution was interrupted by an unexpected exception: Strange: odd"
    )


def test_stop_iteration_is_an_error_like_any_other(way: str, recorder: Recorder) -> None:
    def raises() -> None:
        raise StopIteration(3)

    state = final_state(way, as_task(way, raises))
    assert state.type is FAILED


def test_hooks_run_in_order_and_their_errors_are_logged(way: str, recorder: Recorder) -> None:
    seen: list[object] = []

    def first(task, run, state):
        seen.append(("first", run.run_count, state.name))

    async def second(task, run, state):
        seen.append(("second", run.run_count, state.name))

    def broken(task, run, state):
        raise RuntimeError("hook")

    flaky = Flaky(1)
    t = as_task(
        way,
        flaky.run,
        name="t",
        retries=1,
        on_running=[first],
        on_completion=[broken, first, second],
        on_failure=[first],
    )
    assert final_state(way, t).result() == "done"
    assert seen == [
        ("first", 1, "Running"),
        ("first", 2, "Retrying"),
        ("first", 2, "Completed"),
        ("second", 2, "Completed"),
    ]
    assert any(
        "Hook 'broken' (on_completion) raised RuntimeError('hook')" in line
        for line in recorder.logs()
    )


def test_failure_hook_gets_the_state_with_the_exception(way: str, recorder: Recorder) -> None:
    seen = []
    t = as_task(way, fail, on_failure=[lambda t, r, s: seen.append(s.result(False))])
    final_state(way, t)
    assert isinstance(seen[0], ValueError)


def test_broken_str_of_an_exception_does_no_harm(way: str, recorder: Recorder) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def raises() -> None:
        raise Mute

    state = final_state(way, as_task(way, raises))
    assert "unprintable" in (state.message or "")


def test_run_name_from_template_and_function(way: str, recorder: Recorder) -> None:
    final_state(way, as_task(way, lambda x: x, name="a", task_run_name="a-{x:03d}"), 7)
    final_state(
        way,
        as_task(way, lambda x: x, name="b", task_run_name=lambda parameters: f"b{parameters}"),
        7,
    )
    assert recorder.one("a").name == "a-007"
    assert recorder.one("b").name == "b{'x': 7}"


@pytest.mark.parametrize("naming", ["{nothing}", lambda: 5, lambda: 1 / 0])
def test_bad_run_name_fails_the_run(way: str, recorder: Recorder, naming: object) -> None:
    ran = []
    t = as_task(way, lambda: ran.append(1), name="t", task_run_name=naming)
    assert final_state(way, t).type is FAILED
    assert names(recorder.one("t")) == ["Pending", "Failed"]
    assert ran == []


def test_generator_is_collected(way: str, recorder: Recorder) -> None:
    def squares(n):
        return (x * x for x in range(n))

    assert outcome(way, as_task(way, squares), 4) == [0, 1, 4, 9]


def test_generator_that_raises_fails_the_run(way: str, recorder: Recorder) -> None:
    def bad():
        def inner():
            yield 1
            raise ValueError("late")

        return inner()

    state = final_state(way, as_task(way, bad, retries=1))
    assert state.type is FAILED
    assert recorder.one("bad").run_count == 2


def test_history_has_what_happened(way: str, recorder: Recorder) -> None:
    final_state(way, as_task(way, fail), "x")
    recorder.session.history.flush(5.0)
    frame = recorder.session.history.frame()
    assert list(frame["state"]) == ["Failed"]


def test_a_broken_sink_does_not_fail_a_run(way: str, recorder: Recorder) -> None:
    def broken(event: object) -> None:
        raise OSError("disk full")

    recorder.session.sinks.append(broken)
    assert final_state(way, as_task(way, lambda: 1)).result() == 1
