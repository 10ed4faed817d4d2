"""SPEC 7: types, constructors, text, results, exceptions and aggregates of states."""

import copy
import datetime as dt
import pickle
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

import pytest

from cellist import exceptions, states, task
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    MissingResult,
    PausedRun,
    UnfinishedRun,
)
from cellist.states import (
    TERMINAL_STATES,
    Cancelled,
    Completed,
    Crashed,
    Failed,
    Paused,
    Pending,
    Running,
    Scheduled,
    State,
    StateGroup,
    StateType,
    Suspended,
    get_state_exception,
    is_state_iterable,
    raise_state_exception,
)

NOW: Any = dt.datetime.now(UTC)

CONSTRUCTORS = {
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
TYPES = [
    *("SCHEDULED", "PENDING", "RUNNING", "COMPLETED", "FAILED"),
    *("CANCELLED", "CRASHED", "PAUSED", "CANCELLING"),
]
FINAL = {"COMPLETED", "CANCELLED", "FAILED", "CRASHED"}


class TestTypes:
    def test_the_nine(self) -> None:
        assert [t.name for t in StateType] == sorted(TYPES, key=[*StateType.__members__].index)
        assert set(StateType.__members__) == set(TYPES)

    def test_are_strings(self) -> None:
        kind: Any = StateType.FAILED
        assert kind == "FAILED"
        assert isinstance(kind, str)
        assert StateType("FAILED") is kind

    def test_terminal(self) -> None:
        assert {t.name for t in TERMINAL_STATES} == FINAL

    @pytest.mark.parametrize("kind", TYPES)
    def test_predicates(self, kind: str) -> None:
        state = State(type=StateType(kind))
        for other in TYPES:
            assert getattr(state, f"is_{other.lower()}")() is (kind == other)
        assert state.is_final() is (kind in FINAL)
        assert state.name == kind.capitalize()

    def test_predicates_go_by_type(self) -> None:
        assert Completed(name="Failed").is_completed()


class TestConstructors:
    @pytest.mark.parametrize("name", CONSTRUCTORS)
    def test_type_and_name(self, name: str) -> None:
        state = getattr(states, name)()
        assert isinstance(state, State)
        assert (state.type, state.name) == (StateType(CONSTRUCTORS[name]), name)

    @pytest.mark.parametrize("name", CONSTRUCTORS)
    def test_message_name(self, name: str) -> None:
        state = getattr(states, name)(message="m", name="Other")
        assert (state.message, state.name) == ("m", "Other")

    @pytest.mark.parametrize(
        "name", ["Scheduled", "AwaitingRetry", "AwaitingConcurrencySlot", "Late"]
    )
    def test_scheduled_time(self, name: str) -> None:
        make = getattr(states, name)
        assert abs(make().state_details.scheduled_time - dt.datetime.now(UTC)) < timedelta(
            minutes=5
        )
        later = NOW + timedelta(hours=1)
        assert make(scheduled_time=later).state_details.scheduled_time == later

    def test_paused(self) -> None:
        details: Any = Paused(timeout_seconds=60, reschedule=True, pause_key="k").state_details
        due = dt.datetime.now(UTC) + timedelta(seconds=60)
        assert abs(details.pause_timeout - due) < timedelta(minutes=5)
        assert (details.pause_reschedule, details.pause_key) == (True, "k")
        assert Paused(pause_expiration_time=NOW).state_details.pause_timeout == NOW
        assert not Paused().state_details.pause_reschedule
        with pytest.raises(ValueError):
            Paused(timeout_seconds=1, pause_expiration_time=NOW)

    def test_suspended(self) -> None:
        state = Suspended(timeout_seconds=60, pause_key="k")
        assert state.state_details.pause_reschedule is True
        assert state.state_details.pause_key == "k"
        with pytest.raises(ValueError):
            Suspended(timeout_seconds=1, pause_expiration_time=NOW)

    def test_cls(self) -> None:
        class Own(State): ...

        assert type(Completed(cls=Own)) is Own

    def test_data(self) -> None:
        assert Completed(data=3).data == 3
        assert Completed().data is None


class TestFields:
    def test_those_of_a_state(self) -> None:
        one, two = Completed(), Completed()
        assert isinstance(one.id, UUID)
        assert one.id != two.id
        assert one.timestamp.tzinfo is not None
        assert one.timestamp.utcoffset() == timedelta(0)
        assert one.message is None

    @pytest.mark.parametrize(
        "field",
        [
            *("flow_run_id", "task_run_id", "child_flow_run_id", "scheduled_time", "cache_key"),
            *("cache_expiration", "deferred", "untrackable_result", "pause_timeout"),
            *("pause_reschedule", "pause_key", "run_input_keyset", "refresh_cache", "retriable"),
            *("transition_id", "task_parameters_id"),
        ],
    )
    def test_details(self, field: str) -> None:
        assert not getattr(Completed().state_details, field)

    def test_fresh_copy(self) -> None:
        state = Completed(message="m", data=3)
        fresh = state.fresh_copy()
        assert fresh.id != state.id
        assert fresh.timestamp > state.timestamp
        assert (fresh.message, fresh.type, fresh.name) == ("m", state.type, "Completed")

    def test_model_copy(self) -> None:
        state = Failed(message="m")
        again = state.model_copy()
        assert again.timestamp > state.timestamp
        assert (again.message, again.type) == ("m", state.type)

    def test_equality_and_hash(self) -> None:
        state = Completed(message="m")
        assert state == copy.copy(state) or state == pickle.loads(pickle.dumps(state))
        assert state != Completed(message="m")
        assert hash(state) == hash(state)
        assert len({state, state, Failed()}) == 2
        assert state != 3

    def test_pickles(self) -> None:
        state = Failed(message="m", data=ValueError("x"))
        again = pickle.loads(pickle.dumps(state))
        assert (again.type, again.name, again.message) == (state.type, "Failed", "m")
        assert again.timestamp == state.timestamp
        with pytest.raises(ValueError, match="x"):
            again.result()


TEXTS = [
    (Completed(), "Completed()"),
    (Completed(name="Cached"), "Cached(type=COMPLETED)"),
    (Failed(message="boom"), "Failed('boom')"),
    (Failed(message="late", name="TimedOut"), "TimedOut('late', type=FAILED)"),
    (Running(), "Running()"),
    (states.Retrying(), "Retrying(type=RUNNING)"),
    (states.AwaitingRetry(message="m"), "AwaitingRetry('m', type=SCHEDULED)"),
]


class TestText:
    @pytest.mark.parametrize(("state", "text"), TEXTS, ids=[text for _, text in TEXTS])
    def test_str(self, state: State, text: str) -> None:
        assert str(state) == text

    def test_repr(self) -> None:
        text = repr(Failed(message="m", data=3))
        assert text == "Failed(message='m', type=FAILED, result=3)"
        assert repr(Completed(name="Cached", data="a")) == (
            "Cached(message=None, type=COMPLETED, result='a')"
        )


ERROR = ValueError("x")

#: data and message of a state that did not go well, and the exception it stands for
EXCEPTIONS: list[tuple[Any, str | None, type[BaseException] | None, str]] = [
    (ERROR, None, ValueError, "x"),
    ("text", "message", None, "text"),
    (None, "message", None, "message"),
    (None, None, None, ""),
    (Failed(data=ERROR), None, ValueError, "x"),
    ([Completed(), Failed(data=ERROR)], None, ValueError, "x"),
    ([Failed(data=KeyError("first")), Failed(data=ERROR)], None, KeyError, "first"),
    ((Completed(), Crashed(message="gone")), None, CrashedRun, "gone"),
    (3, None, TypeError, ""),
]
KINDS: list[tuple[Any, type[Exception], str]] = [
    (Failed, FailedRun, "Run failed."),
    (Crashed, CrashedRun, "Run crashed."),
    (Cancelled, CancelledRun, "Run cancelled."),
]


class TestResult:
    @pytest.mark.parametrize(("make", "wrapper", "default"), KINDS)
    @pytest.mark.parametrize(("data", "message", "error", "text"), EXCEPTIONS)
    def test_exceptions(
        self,
        make: Any,
        wrapper: Any,
        default: str,
        data: Any,
        message: Any,
        error: Any,
        text: str,
    ) -> None:
        state = make(data=data, message=message)
        with pytest.raises(error or wrapper) as caught:
            state.result()
        assert (text if data is not None or message else default) in str(caught.value)
        if error is not TypeError:
            got = state.result(raise_on_failure=False)
            assert isinstance(got, error or wrapper)
            assert isinstance(get_state_exception(state), error or wrapper)
            with pytest.raises(error or wrapper):
                raise_state_exception(state)
        if data is ERROR:
            assert caught.value is ERROR

    @pytest.mark.parametrize("raising", [True, False])
    def test_paused(self, raising: bool) -> None:
        with pytest.raises(PausedRun):
            Paused().result(raise_on_failure=raising)

    @pytest.mark.parametrize("raising", [True, False])
    @pytest.mark.parametrize(
        "make", [Scheduled, Pending, Running, states.Cancelling, states.AwaitingRetry]
    )
    def test_unfinished(self, make: Any, raising: bool) -> None:
        state = make()
        with pytest.raises(UnfinishedRun) as caught:
            state.result(raise_on_failure=raising)
        assert str(caught.value) == (
            f"Run is in {state.type.name} state, its result is not available."
        )

    def test_missing(self) -> None:
        with pytest.raises(MissingResult):
            State(type=StateType.COMPLETED).result()
        with pytest.raises(MissingResult):
            Completed().result(raise_on_failure=False)

    def test_completed(self) -> None:
        assert Completed(data=3).result() == 3
        assert Completed(data=3).result(retry_result_failure=False) == 3

    def test_a_returned_state_without_data_has_the_result_none(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> Any:
            return Completed(message="nothing to do")

        assert t(return_state=True).result() is None

    def test_raise_of_what_went_well_does_nothing(self) -> None:
        assert raise_state_exception(Completed()) is None

    def test_exception_of_what_went_well(self) -> None:
        with pytest.raises(ValueError):
            get_state_exception(Completed())

    def test_is_state_iterable(self) -> None:
        assert is_state_iterable([Completed(), Failed()])
        assert is_state_iterable((Completed(),))
        assert is_state_iterable({Completed()})
        for other in ([], [Completed(), 1], Completed(), {"a": Completed()}, None, "x"):
            assert not is_state_iterable(other)


class TestGroup:
    def test_counts(self) -> None:
        group = StateGroup([Completed(), Completed(), Failed(), Running(), Cancelled()])
        assert (group.total_count, group.not_final_count) == (5, 1)
        assert not group.all_completed()
        assert not group.all_final()
        assert group.any_failed()
        assert group.any_cancelled()
        assert not group.any_paused()
        assert group.fail_count == 1
        assert StateGroup([Completed()]).all_completed()
        assert StateGroup([Crashed()]).any_failed()

    def test_counts_message(self) -> None:
        text = StateGroup([Completed(), Failed()]).counts_message()
        assert "2" in text
        assert "FAILED" in text


class TestExceptionClasses:
    @pytest.mark.parametrize(
        "name",
        [
            *("FailedRun", "CrashedRun", "CancelledRun", "PausedRun", "UnfinishedRun"),
            *("MissingResult", "UpstreamTaskError", "MissingContextError", "ParameterTypeError"),
            *("ParameterBindError", "SignatureMismatchError", "ReservedArgumentError"),
            *("InvalidNameError", "MappingLengthMismatch", "MappingMissingIterable"),
            *("SerializationError", "HashError", "ConfigurationError", "NotPausedError"),
            *("FlowPauseTimeout", "FlowRunWaitTimeout", "ObjectNotFound"),
        ],
    )
    def test_derive_from_the_base(self, name: str) -> None:
        assert issubclass(getattr(exceptions, name), exceptions.PrefectException)

    @pytest.mark.parametrize(
        ("name", "base"),
        [
            ("MissingContextError", RuntimeError),
            ("ParameterBindError", TypeError),
            ("SignatureMismatchError", TypeError),
            ("ReservedArgumentError", TypeError),
            ("InvalidNameError", ValueError),
        ],
    )
    def test_other_bases(self, name: str, base: type) -> None:
        assert issubclass(getattr(exceptions, name), base)

    def test_signals_are_no_exceptions(self) -> None:
        for name in ("PrefectSignal", "Abort", "Pause", "ExternalSignal", "TerminationSignal"):
            kind = getattr(exceptions, name)
            assert issubclass(kind, BaseException)
            assert not issubclass(kind, Exception)
        assert issubclass(exceptions.Abort, exceptions.PrefectSignal)
        assert exceptions.TerminationSignal(signal=15).signal == 15
