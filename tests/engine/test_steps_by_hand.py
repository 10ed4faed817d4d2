"""The steps of a run, taken one by one: no driver, no clock, no thread."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist.definitions import shape_of
from cellist.engine.commands import NOTHING, Err, Given, Invoke, Offload, Ok, Sleep, Wait
from cellist.engine.execution import Execution, FlowExecution
from cellist.engine.plan import Plan
from cellist.engine.promise import Promise
from cellist.engine.steps import run_steps
from cellist.exceptions import CancelledRun, TaskRunTimeoutError, UpstreamTaskError
from cellist.model.reasons import Reason
from cellist.model.runs import FlowRun, TaskRun
from cellist.model.states import PENDING, TRANSITIONS
from cellist.states import Failed
from tests.sessions import names

OFF = Reason("off", "no_cache", "ran: caching is off")


class Definition:
    name = "t"
    version = None
    key = "t"


class Services:
    """What steps need of a session, as plain data."""

    def __init__(self, hit: Any = None) -> None:
        self.live: dict[int, Any] = {}
        self.sinks: list[Any] = []
        self.logs: list[str] = []
        self.told: list[str] = []
        self.stop_pressed = False
        self.kept: list[Any] = []
        self.hit = hit
        self.cache = self

    def recall(self, x: Any) -> None:
        del x

    def look_up(self, x: Any) -> Any:
        return self.hit

    def remember(self, x: Any, value: Any, seconds: float) -> None:
        self.kept.append(value)

    def interrupted(self) -> bool:
        return self.stop_pressed

    def now(self) -> int:
        return 10**18

    def tell_hook(self, x: Any, hook: Any, state: Any) -> None:
        self.told.append(f"hook in {state.name}")

    def tell_hook_end(self, x: Any, hook: Any, which: str, outcome: Any) -> None:
        self.told.append(f"{which} ended with {outcome}")

    def narrate_beginning(self, x: Any) -> None:
        self.told.append(f"Beginning {x.run.name}")

    def log(self, x: Any, level: int, message: str) -> None:
        self.logs.append(message)

    def cancel_children(self, x: Any, only_waiting: bool = False) -> None:
        for child in x.children:
            child.cancelled = True


def execution(
    *args: Any, services: Services | None = None, flow: bool = False, **options: Any
) -> Any:
    def fn(*items: Any) -> None:
        raise AssertionError("steps call no user code themselves")

    definition: Any = Definition()
    services = services or Services()
    options.setdefault("cache", OFF)
    plan = Plan(fn, shape_of(fn, "task"), is_flow=flow, **options)
    run = (FlowRun if flow else TaskRun)(definition, None, None, services.sinks, frozenset())
    x = (FlowExecution if flow else Execution)(
        run, definition, plan, args, {}, None, None, services
    )
    run.enter(PENDING)
    return x


def begin(x: Any) -> Any:
    """Return the steps of an execution, untyped: they are sent whatever a test pleases."""
    return run_steps(x)


def end(steps: Any, outcome: Any) -> Any:
    """Send an outcome after which the run must be over, and return the run's outcome."""
    with pytest.raises(StopIteration) as stop:
        steps.send(outcome)
    return stop.value.value


def test_plain_run_is_one_command() -> None:
    x = execution(1, 2)
    steps = begin(x)
    command = steps.send(None)
    assert isinstance(command, Invoke)
    assert (command.fn, command.args, command.timeout) == (x.fn, (1, 2), None)
    assert names(x.run) == ["Pending", "Running"]
    given_back = Ok(3)
    assert end(steps, given_back) is given_back
    assert names(x.run) == ["Pending", "Running", "Completed"]
    assert x.run.why is OFF


def test_failure_keeps_the_error_object() -> None:
    x = execution()
    steps = begin(x)
    steps.send(None)
    error = ValueError("boom")
    outcome = end(steps, Err(error))
    assert isinstance(outcome, Err)
    assert outcome.error is error


def test_retry_sleeps_then_invokes_again() -> None:
    x = execution(retries=1, delays=7.0)
    steps = begin(x)
    steps.send(None)
    command = steps.send(Err(ValueError("one")))
    assert isinstance(command, Sleep)
    assert command.seconds == 7.0
    assert x.run.due == 10**18 + 7 * 10**9
    assert isinstance(steps.send(Ok(None)), Invoke)
    assert x.run.due == 0
    end(steps, Ok("fine"))
    assert names(x.run) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]


def test_giving_up_while_waiting_for_a_retry_fails_at_once() -> None:
    x = execution(retries=5, delays=7.0)
    steps = begin(x)
    steps.send(None)
    steps.send(Err(ValueError("one")))
    outcome = end(steps, Ok("give_up"))
    assert isinstance(outcome, Err)
    assert names(x.run) == ["Pending", "Running", "AwaitingRetry", "Failed"]


def test_cancel_while_waiting_for_a_retry() -> None:
    x = execution(retries=5, delays=7.0)
    steps = begin(x)
    steps.send(None)
    steps.send(Err(ValueError("one")))
    x.cancelling = True
    outcome = end(steps, Ok("cancel"))
    assert isinstance(outcome.error, CancelledRun)
    assert names(x.run)[-1] == "Cancelled"


def test_stop_button_while_waiting_for_a_retry_goes_on_to_the_caller() -> None:
    services = Services()
    x = execution(services=services, retries=5, delays=7.0)
    steps = begin(x)
    steps.send(None)
    steps.send(Err(ValueError("one")))
    services.stop_pressed = True
    outcome = end(steps, Err(KeyboardInterrupt()))
    assert isinstance(outcome.error, KeyboardInterrupt)
    assert x.run.states[-1].message == "Stopped by an interrupt of the kernel."


@pytest.mark.parametrize(
    ("stop_pressed", "message"),
    [(False, "Cancelled on request."), (True, "Stopped by an interrupt of the kernel.")],
)
def test_a_cancelled_run_whose_steps_are_dropped_says_who_ended_it(
    stop_pressed: bool, message: str
) -> None:
    services = Services()
    x = execution(services=services)
    steps = begin(x)
    steps.send(None)
    x.cancelling = True
    services.stop_pressed = stop_pressed
    steps.close()
    assert x.run.states[-1].name == "Cancelled"
    assert x.run.states[-1].message == message


def test_timeout_message_is_that_of_the_runs_own_limit() -> None:
    x = execution(timeout=3.0)
    steps = begin(x)
    assert steps.send(None).timeout == 3.0
    end(steps, Err(TaskRunTimeoutError("Scope timed out after 3.0 second(s).")))
    assert x.run.states[-1].name == "TimedOut"
    assert x.run.states[-1].message == "Task run exceeded timeout of 3.0 second(s)"


def test_timeout_of_a_child_is_not_the_limit_of_the_flow() -> None:
    x = execution(flow=True)
    steps = begin(x)
    steps.send(None)
    end(steps, Err(TaskRunTimeoutError("Scope timed out after 3.0 second(s).")))
    assert x.run.states[-1].name == "TimedOut"
    assert "exceeded timeout" not in (x.run.states[-1].message or "")


def test_hit_is_not_invoked_and_passes_through_running() -> None:
    services = Services(hit=Ok("kept"))
    x = execution(services=services, cache="a plan")
    steps = begin(x)
    command = steps.send(None)
    assert isinstance(command, Offload)
    outcome = end(steps, Ok(services.hit))
    assert outcome.value == "kept"
    assert names(x.run) == ["Pending", "Running", "Cached"]


def test_miss_stores_before_completed_is_announced() -> None:
    services = Services()
    x = execution(services=services, cache="a plan")
    steps = begin(x)
    steps.send(None)
    assert isinstance(steps.send(NOTHING), Invoke)
    store = steps.send(Ok(5))
    assert isinstance(store, Offload)
    assert store.args[1] == 5
    assert names(x.run) == ["Pending", "Running"]
    end(steps, NOTHING)
    assert names(x.run)[-1] == "Completed"


def test_a_broken_look_up_is_a_miss() -> None:
    x = execution(cache="a plan")
    steps = begin(x)
    steps.send(None)
    assert isinstance(steps.send(Err(OSError("disk"))), Invoke)


def test_failures_are_not_stored() -> None:
    x = execution(cache="a plan")
    steps = begin(x)
    steps.send(None)
    steps.send(NOTHING)
    end(steps, Err(ValueError("no")))
    assert names(x.run)[-1] == "Failed"


def upstream(outcome: Any = None, *states: Any) -> Promise:
    definition: Any = Definition()
    run = TaskRun(definition, None, None, [], frozenset())
    for state in states:
        run.enter(*state)
    promise = Promise(run)
    if outcome is not None:
        promise.settle(outcome)
    return promise


def test_inputs_are_waited_for_and_put_in_place() -> None:
    first = upstream()
    x = execution([first, 1])
    x.waits = [first]
    steps = begin(x)
    command = steps.send(None)
    assert isinstance(command, Wait)
    assert list(command.promises) == [first]
    first.run.enter(PENDING)
    first.run.enter(PENDING.__class__.COMPLETED)
    first.settle(Ok("value"))
    invoke = steps.send(NOTHING)
    assert invoke.args == (["value", 1],)
    assert names(x.run) == ["Pending", "Running"]


def test_failed_input_means_not_ready() -> None:
    failed = upstream(Err(ValueError("x")), (PENDING,), (PENDING.__class__.FAILED,))
    x = execution(failed, retries=4)
    x.waits = [failed]
    with pytest.raises(StopIteration) as stop:
        begin(x).send(None)
    assert isinstance(stop.value.value.error, UpstreamTaskError)
    state = x.run.state
    assert state is not None
    assert (state.name, state.type) == ("NotReady", PENDING)
    assert (
        state.message == f"Upstream task run '{failed.run.id}' did not reach a 'COMPLETED' state."
    )


def test_interrupt_while_waiting_for_inputs_ends_the_run() -> None:
    first = upstream()
    x = execution(first)
    x.waits = [first]
    steps = begin(x)
    steps.send(None)
    outcome = end(steps, Err(KeyboardInterrupt()))
    assert isinstance(outcome.error, KeyboardInterrupt)
    assert names(x.run) == ["Pending", "Crashed"]


def test_returned_failed_state_is_given_to_the_caller() -> None:
    x = execution()
    steps = begin(x)
    steps.send(None)
    state = Failed(message="no")
    outcome = end(steps, Ok(state))
    assert isinstance(outcome, Given)
    assert outcome.value is state


def test_closed_steps_leave_no_run_open() -> None:
    x = execution()
    steps = begin(x)
    steps.send(None)
    steps.close()
    assert names(x.run) == ["Pending", "Running", "Crashed"]


def test_closing_ended_steps_changes_nothing() -> None:
    x = execution()
    steps = begin(x)
    steps.send(None)
    end(steps, Ok(1))
    steps.close()
    assert names(x.run)[-1] == "Completed"


def test_cancel_asked_for_before_the_start() -> None:
    x = execution()
    x.cancelling = True
    with pytest.raises(StopIteration) as stop:
        begin(x).send(None)
    assert isinstance(stop.value.value.error, CancelledRun)
    assert names(x.run) == ["Pending", "Cancelled"]


def test_cancel_that_comes_between_two_steps() -> None:
    """The canceller enters Cancelling from its own thread while a retry is about to start."""
    x = execution(retries=3)
    steps = begin(x)
    steps.send(None)
    x.run.enter(PENDING.__class__.CANCELLING)
    x.services.log = lambda *_: setattr(x, "cancelling", True)
    outcome = end(steps, Err(ValueError("x")))
    assert isinstance(outcome.error, CancelledRun)
    assert names(x.run) == ["Pending", "Running", "Cancelling", "Cancelled"]


def test_interrupt_while_a_failed_flow_waits_for_its_children() -> None:
    x = execution(flow=True, retries=3)
    child = upstream()
    x.children.add(child)
    steps = begin(x)
    steps.send(None)

    class Slotless(Promise):
        cancelled = False

    x.children.clear()
    child = Slotless(child.run)
    x.children.add(child)
    assert isinstance(steps.send(Err(ValueError("body"))), Wait)
    assert child.cancelled
    outcome = end(steps, Err(KeyboardInterrupt()))
    assert isinstance(outcome.error, KeyboardInterrupt)
    assert names(x.run)[-1] == "Crashed"


def test_generator_is_consumed_by_a_command_of_its_own() -> None:
    x = execution(timeout=2.0)
    steps = begin(x)
    steps.send(None)
    values = (n for n in range(3))
    command = steps.send(Ok(values))
    assert isinstance(command, Invoke)
    assert command.fn is list
    assert command.timeout == 2.0
    outcome = end(steps, Ok([0, 1, 2]))
    assert outcome.value == [0, 1, 2]


ERRORS = st.sampled_from([ValueError, TimeoutError, KeyboardInterrupt, CancelledRun, SystemExit])
OUTCOMES = st.one_of(
    st.builds(Ok, st.sampled_from([None, 1, "give_up", "cancel", "retry_now"])),
    st.builds(lambda kind: Err(kind("x")), ERRORS),
    st.builds(lambda: Ok(Failed(message="given"))),
)


@given(
    outcomes=st.lists(OUTCOMES, max_size=25),
    retries=st.integers(0, 4),
    delay=st.sampled_from([0.0, 1.0]),
    cached=st.booleans(),
    hooked=st.booleans(),
    flow=st.booleans(),
    conditional=st.booleans(),
    cancel_at=st.integers(0, 40),
    pressed=st.booleans(),
)
def test_any_outcomes_lead_to_a_final_state(
    outcomes: list[Any],
    retries: int,
    delay: float,
    cached: bool,
    hooked: bool,
    flow: bool,
    conditional: bool,
    cancel_at: int,
    pressed: bool,
) -> None:
    kinds = ("on_running", "on_completion", "on_failure", "on_cancellation", "on_crashed")
    services = Services()
    services.stop_pressed = pressed
    x = execution(
        services=services,
        flow=flow,
        retries=retries,
        delays=delay,
        cache="a plan" if cached and not flow else OFF,
        hooks=dict.fromkeys(kinds, (print,)) if hooked else None,
        condition=bool if conditional else None,
    )
    steps = begin(x)
    invoked = 0
    outcome: Any = None
    result: Any = None
    for number in range(400):
        if number == cancel_at:
            x.cancelling = True
        try:
            command = steps.send(outcome)
        except StopIteration as stop:
            result = stop.value
            break
        invoked += isinstance(command, Invoke) and command.fn is x.fn
        if isinstance(command, Offload) and command.fn == services.look_up:
            outcome = Ok(None)
        else:
            outcome = outcomes[number % len(outcomes)] if outcomes else Ok(None)
    assert isinstance(result, (Ok, Err))
    assert x.run.is_final
    assert invoked <= retries + 1
    assert x.run.attempts <= retries + 1
    for before, after in zip(x.run.states, x.run.states[1:], strict=False):
        assert after.type in TRANSITIONS[before.type]
        assert after.at > before.at
    with pytest.raises(StopIteration):  # no command after the end
        next(steps)
