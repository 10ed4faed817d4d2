"""States, the table of transitions, and the run that walks it."""

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from cellist import states
from cellist.exceptions import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    IllegalTransition,
    MissingResult,
    PausedRun,
    UnfinishedRun,
)
from cellist.model.runs import Run, TaskRun
from cellist.model.states import FINAL, TRANSITIONS, State, StateType


class Definition:
    name = "t"
    version = None
    key = "t"


def new_run(events: list[Any] | None = None) -> Run:
    definition: Any = Definition()
    sinks: list[Any] = [] if events is None else [events.append]
    return TaskRun(definition, None, None, sinks, frozenset())


def path_to(kind: StateType) -> list[StateType]:
    """Return a way through the table to a type."""
    start = [StateType.PENDING]
    ways = [start]
    while ways:
        way = ways.pop(0)
        if way[-1] is kind:
            return way
        ways += [[*way, after] for after in sorted(TRANSITIONS[way[-1]]) if after not in way]
    return [kind]


@pytest.mark.parametrize("before", StateType)
@pytest.mark.parametrize("after", StateType)
def test_table_is_the_law(before: StateType, after: StateType) -> None:
    events: list[Any] = []
    run = new_run(events)
    for kind in path_to(before):
        run.enter(kind)
    seen, told = list(run.states), len(events)
    facts = (run.state, run.attempts, run.entered, run.first_running)
    if after in TRANSITIONS[before]:
        run.enter(after)
        assert run.state_type is after
        assert len(events) == told + 1
        return
    with pytest.raises(IllegalTransition, match=f"from {before.value.capitalize()}"):
        run.enter(after)
    assert run.states == seen
    assert len(events) == told
    assert facts == (run.state, run.attempts, run.entered, run.first_running)


def test_final_types_lead_nowhere_but_the_roll_back() -> None:
    leads = {kind: TRANSITIONS[kind] for kind in FINAL if TRANSITIONS[kind]}
    assert leads == {StateType.COMPLETED: {StateType.COMPLETED}}
    assert set(TRANSITIONS) == set(StateType)


def test_timestamps_increase_although_the_clock_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 10**18)
    run = new_run()
    for kind in (StateType.PENDING, *[StateType.RUNNING] * 5, StateType.COMPLETED):
        run.enter(kind)
    moments = [state.timestamp for state in run.states]
    assert sorted(set(moments)) == moments
    assert run.run_count == 5


NAMES = {
    "Scheduled": "SCHEDULED",
    "AwaitingRetry": "SCHEDULED",
    "AwaitingConcurrencySlot": "SCHEDULED",
    "Late": "SCHEDULED",
    "Pending": "PENDING",
    "Submitting": "PENDING",
    "InfrastructurePending": "PENDING",
    "Running": "RUNNING",
    "Retrying": "RUNNING",
    "Completed": "COMPLETED",
    "Failed": "FAILED",
    "Crashed": "CRASHED",
    "Cancelling": "CANCELLING",
    "Cancelled": "CANCELLED",
    "Paused": "PAUSED",
    "Suspended": "PAUSED",
}


@pytest.mark.parametrize("name", NAMES)
def test_constructors(name: str) -> None:
    make: Any = getattr(states, name)
    state = make(message="m")
    assert (state.name, state.type, state.message) == (name, NAMES[name], "m")
    assert make(name="Mine").name == "Mine"
    predicates = {
        "is_scheduled", "is_pending", "is_running", "is_completed", "is_failed", "is_crashed",
        "is_cancelled", "is_cancelling", "is_paused",
    }  # fmt: skip
    true = {predicate for predicate in predicates if getattr(state, predicate)()}
    assert true == {f"is_{NAMES[name].lower()}"}
    assert state.is_final() == (state.type in FINAL)
    assert state.timestamp.tzinfo is UTC


def test_moments_of_scheduled_and_paused_states() -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    assert states.Scheduled(scheduled_time=moment).state_details.scheduled_time == moment
    assert states.AwaitingRetry().state_details.scheduled_time is not None
    assert states.Paused(pause_expiration_time=moment).state_details.pause_timeout == moment
    assert states.Suspended().state_details.pause_reschedule
    given = states.StateDetails(cache_key="k")
    assert states.Paused(pause_key="p", state_details=given).state_details.cache_key == "k"
    assert given == states.StateDetails(cache_key="k")
    assert states.Completed(state_details={"cache_key": "k"}).state_details == given
    assert states.Paused().state_details.pause_timeout is None
    soon = states.Suspended(timeout_seconds=60, pause_key="k").state_details
    assert soon.pause_timeout is not None
    assert 55 < (soon.pause_timeout - datetime.now(UTC)).total_seconds() <= 60
    assert soon.pause_key == "k"


@pytest.mark.parametrize(
    ("make", "twice"),
    [
        (states.Paused, {"timeout_seconds": 1, "pause_expiration_time": datetime.now(UTC)}),
        (states.Suspended, {"timeout_seconds": 1, "pause_expiration_time": datetime.now(UTC)}),
        (states.Paused, {"timeout_seconds": 1, "state_details": {"pause_timeout": 1}}),
        (states.Scheduled, {"scheduled_time": 1, "state_details": {"scheduled_time": 1}}),
    ],
)
def test_one_moment_is_given_once(make: Any, twice: Any) -> None:
    with pytest.raises(ValueError, match="not both"):
        make(**twice)


def test_texts() -> None:
    assert str(states.Completed()) == "Completed()"
    assert str(states.Completed(name="Cached")) == "Cached(type=COMPLETED)"
    assert str(states.Failed(message="boom")) == "Failed('boom')"
    assert repr(states.Completed(data=1)) == "Completed(message=None, type=COMPLETED, result=1)"


def test_results() -> None:
    error = KeyError("k")
    assert states.Completed(data=None).result() is None
    with pytest.raises(MissingResult):
        states.Completed().result()
    with pytest.raises(KeyError):
        states.Failed(data=error).result()
    assert states.Failed(data=error).result(raise_on_failure=False) is error
    for make, kind in (
        (states.Failed, FailedRun),
        (states.Crashed, CrashedRun),
        (states.Cancelled, CancelledRun),
    ):
        with pytest.raises(kind, match="said"):
            make(message="said").result()
        with pytest.raises(kind, match="text"):
            make(data="text").result()
        with pytest.raises(kind, match="Run "):
            make().result()
        with pytest.raises(KeyError):
            make(data=states.Failed(data=error)).result()
        with pytest.raises(KeyError):
            make(data=[states.Completed(data=1), states.Failed(data=error)]).result()
        with pytest.raises(TypeError, match="Unexpected result"):
            make(data=5).result()
    for make in (states.Pending, states.Running, states.Scheduled, states.Cancelling):
        for raising in (True, False):
            with pytest.raises(UnfinishedRun, match="its result is not available"):
                make().result(raise_on_failure=raising)
    with pytest.raises(PausedRun) as caught:
        states.Paused().result(raise_on_failure=False)
    assert caught.value.state.is_paused()


def test_copies_and_equality() -> None:
    state = states.Completed(data=1)
    state.state_details.task_run_id = state.id
    fresh = state.fresh_copy()
    assert fresh.id != state.id
    assert fresh.timestamp >= state.timestamp
    assert fresh.at != state.at
    assert fresh.state_details == state.state_details
    assert fresh.state_details is not state.state_details
    assert fresh.data == 1
    copy = state.model_copy(update={"name": "Other"})
    assert (copy.name, copy.state_details.task_run_id) == ("Other", state.id)
    assert copy.id == state.id
    assert copy.at != state.at
    assert state != copy
    assert state == state
    assert len({state, copy}) == 2
    with pytest.raises(ValueError, match="NOTHING"):
        State("NOTHING")


def same_but(**changes: Any) -> State:
    fields: dict[str, Any] = {
        "type": "COMPLETED",
        "name": "N",
        "message": "m",
        "data": [1],
        "timestamp": datetime(2030, 1, 1, tzinfo=UTC),
        "state_details": states.StateDetails(cache_key="k"),
        **changes,
    }
    return State(**fields)


class Strange:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # pyright: ignore[reportAssignmentType] - as numpy arrays have it


@pytest.mark.parametrize(
    "change",
    [
        {"type": "FAILED"},
        {"name": "Other"},
        {"message": None},
        {"data": [2]},
        {"data": Strange()},
        {"timestamp": datetime(2031, 1, 1, tzinfo=UTC)},
        {"state_details": states.StateDetails(cache_key="other")},
    ],
)
def test_equality_is_by_field(change: dict[str, Any]) -> None:
    assert same_but() == same_but()
    assert hash(same_but()) == hash(same_but())
    assert same_but() != same_but(**change)
    assert same_but() != "N"


def test_reading_details_does_not_change_what_a_state_is() -> None:
    state = State("COMPLETED", timestamp=datetime(2030, 1, 1, tzinfo=UTC))
    before = hash(state)
    assert state.state_details == states.StateDetails()
    assert hash(state) == before


@pytest.mark.parametrize("clone", [pickle.loads, copy.copy, copy.deepcopy])
def test_clones_keep_what_there_is_not(clone: Any) -> None:
    for state in (states.Completed(), states.Completed(data=None), states.Failed(data="text")):
        assert state.id
        same = clone(pickle.dumps(state) if clone is pickle.loads else state)
        assert same == state
        assert same.id == state.id
        assert (same.has_data, same.data) == (state.has_data, state.data)


def test_a_deep_copy_has_data_of_its_own() -> None:
    state = states.Completed(data=[1])
    assert state.model_copy(deep=True).data == [1]
    assert state.model_copy(deep=True).data is not state.data
    assert state.model_copy().data is state.data


GROUPS = [
    # counts: total, failed, final; then all_completed, any_failed, any_cancelled, any_paused
    ([], (0, 0, 0), (True, False, False, False), "total=0"),
    (
        [states.Completed(data=1), states.Failed(), states.Crashed(), states.Pending()],
        (4, 2, 3),
        (False, True, False, False),
        "total=4, not_final=1, 'PENDING'=1, 'COMPLETED'=1, 'FAILED'=1, 'CRASHED'=1",
    ),
    ([states.Completed()] * 2, (2, 0, 2), (True, False, False, False), "total=2, 'COMPLETED'=2"),
    (
        [states.Cancelled(), states.Paused()],
        (2, 0, 1),
        (False, False, True, True),
        "total=2, not_final=1, 'CANCELLED'=1, 'PAUSED'=1",
    ),
]


@pytest.mark.parametrize(("members", "counts", "answers", "message"), GROUPS)
def test_groups(members: Any, counts: Any, answers: Any, message: str) -> None:
    group = states.StateGroup(members)
    assert (group.total_count, group.fail_count, group.final_count) == counts
    assert answers == (
        group.all_completed(),
        group.any_failed(),
        group.any_cancelled(),
        group.any_paused(),
    )
    assert group.all_final() == (group.not_final_count == 0)
    assert group.counts_message() == message


def test_raising() -> None:
    states.raise_state_exception(states.Completed(data=1))
    with pytest.raises(FailedRun):
        states.raise_state_exception(states.Failed())
    with pytest.raises(ValueError, match="Expected failed"):
        states.get_state_exception(states.Completed(data=1))


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))]
)
def test_a_copy_of_a_state_has_its_id_and_all_else(again: Any) -> None:
    state = states.Completed(message="m", data=[1])
    copied = again(state)  # before anybody asked for the id
    assert copied == state
    assert copied.id == state.id
