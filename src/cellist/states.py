"""States, and a constructor for each. All constructors take `message`, `data` and `name`."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar

from cellist.engine.errors import describe
from cellist.model.awaited import also_awaitable
from cellist.model.states import (
    TERMINAL_STATES,
    State,
    StateDetails,
    StateType,
    is_state,
    is_state_iterable,
    state_exception,
)

S = TypeVar("S", bound=State)


def _state(cls: type[S], kind: StateType, name: str | None, fields: dict[str, Any]) -> S:
    given = fields.pop("name", None) or name
    if "state_details" in fields:
        fields["state_details"] = _details(fields)
    return cls(kind, given, **fields)


def _details(fields: dict[str, Any]) -> StateDetails:
    """Take the details out of the fields given, as a copy; they may be given as a dict."""
    details: Any = fields.pop("state_details", None) or StateDetails()
    if isinstance(details, StateDetails):
        return replace(details)
    return StateDetails(**details)


def _due(cls: type[S], name: str, moment: datetime | None, fields: dict[str, Any]) -> S:
    details = _details(fields)
    if moment is not None and details.scheduled_time is not None:
        message = "Give the moment as `scheduled_time` or in `state_details`, not both."
        raise ValueError(message)
    details.scheduled_time = moment or details.scheduled_time or datetime.now(UTC)
    return _state(cls, StateType.SCHEDULED, name, {**fields, "state_details": details})


def Scheduled(
    cls: type[State] = State, scheduled_time: datetime | None = None, **kwargs: Any
) -> State:
    """A run that is due at `scheduled_time`, by default now."""
    return _due(cls, "Scheduled", scheduled_time, kwargs)


def AwaitingRetry(
    cls: type[State] = State, scheduled_time: datetime | None = None, **kwargs: Any
) -> State:
    """A run that waits for its next attempt."""
    return _due(cls, "AwaitingRetry", scheduled_time, kwargs)


def AwaitingConcurrencySlot(
    cls: type[State] = State, scheduled_time: datetime | None = None, **kwargs: Any
) -> State:
    """A run that waits for a free slot of a limit."""
    return _due(cls, "AwaitingConcurrencySlot", scheduled_time, kwargs)


def Late(cls: type[State] = State, scheduled_time: datetime | None = None, **kwargs: Any) -> State:
    """A run whose time has passed without its starting."""
    return _due(cls, "Late", scheduled_time, kwargs)


def Pending(cls: type[State] = State, **kwargs: Any) -> State:
    """A run that is about to start."""
    return _state(cls, StateType.PENDING, None, kwargs)


def Submitting(cls: type[State] = State, **kwargs: Any) -> State:
    """A run that is being handed over to where it will run."""
    return _state(cls, StateType.PENDING, "Submitting", kwargs)


def InfrastructurePending(cls: type[State] = State, **kwargs: Any) -> State:
    """A run whose place to run is being made ready."""
    return _state(cls, StateType.PENDING, "InfrastructurePending", kwargs)


def Running(cls: type[State] = State, **kwargs: Any) -> State:
    """A run whose code is running."""
    return _state(cls, StateType.RUNNING, None, kwargs)


def Retrying(cls: type[State] = State, **kwargs: Any) -> State:
    """A run in a later attempt."""
    return _state(cls, StateType.RUNNING, "Retrying", kwargs)


def Completed(cls: type[State] = State, **kwargs: Any) -> State:
    """A run that ended well."""
    return _state(cls, StateType.COMPLETED, None, kwargs)


def Failed(cls: type[State] = State, **kwargs: Any) -> State:
    """A run whose code raised or that was declared failed."""
    return _state(cls, StateType.FAILED, None, kwargs)


def Crashed(cls: type[State] = State, **kwargs: Any) -> State:
    """A run that was ended from outside."""
    return _state(cls, StateType.CRASHED, None, kwargs)


def Cancelling(cls: type[State] = State, **kwargs: Any) -> State:
    """A run that was asked to stop and has not stopped yet."""
    return _state(cls, StateType.CANCELLING, None, kwargs)


def Cancelled(cls: type[State] = State, **kwargs: Any) -> State:
    """A run that was stopped on request."""
    return _state(cls, StateType.CANCELLED, None, kwargs)


def Paused(
    cls: type[State] = State,
    timeout_seconds: float | None = None,
    pause_expiration_time: datetime | None = None,
    reschedule: bool = False,
    pause_key: str | None = None,
    **kwargs: Any,
) -> State:
    """A run that waits for somebody to resume it, at most `timeout_seconds`.

    Raises `ValueError` if the end of the waiting is given in more than one way.
    """
    details = _details(kwargs)
    if sum(end is not None for end in (timeout_seconds, pause_expiration_time)) > 1:
        message = "Give either `timeout_seconds` or `pause_expiration_time`, not both."
        raise ValueError(message)
    if timeout_seconds is not None:
        pause_expiration_time = datetime.now(UTC) + timedelta(seconds=timeout_seconds)
    if pause_expiration_time is not None:
        if details.pause_timeout is not None:
            message = "Give the end of the pause by itself or in `state_details`, not both."
            raise ValueError(message)
        details.pause_timeout = pause_expiration_time
    details.pause_reschedule = reschedule
    details.pause_key = pause_key
    return _state(cls, StateType.PAUSED, "Paused", {**kwargs, "state_details": details})


def Suspended(
    cls: type[State] = State,
    timeout_seconds: float | None = None,
    pause_expiration_time: datetime | None = None,
    pause_key: str | None = None,
    **kwargs: Any,
) -> State:
    """A run that was stopped in order to be resumed later.

    Raises `ValueError` if the end of the waiting is given in more than one way.
    """
    kwargs.setdefault("name", "Suspended")
    return Paused(cls, timeout_seconds, pause_expiration_time, True, pause_key, **kwargs)


@also_awaitable
def get_state_exception(state: State) -> BaseException:
    """Return the exception a failed, crashed or cancelled state stands for. May be awaited.

    Raises `ValueError` for other states.
    """
    return state_exception(state)


async def aget_state_exception(state: State) -> BaseException:
    """Return what `get_state_exception` returns."""
    return state_exception(state)


@also_awaitable
def raise_state_exception(state: State) -> None:
    """Raise the exception of a failed, crashed or cancelled state; do nothing for others.

    May be awaited.
    """
    if state.is_failed() or state.is_crashed() or state.is_cancelled():
        _raise(state_exception(state))


async def araise_state_exception(state: State) -> None:
    """Do what `raise_state_exception` does."""
    raise_state_exception(state)


def _raise(error: BaseException) -> NoReturn:
    raise error


def format_exception(error: BaseException) -> str:
    """Return the traceback of an exception as text."""
    return describe(error).traceback


class StateGroup:
    """Several states, counted by type."""

    def __init__(self, states: list[State]) -> None:
        self.states = states
        self.total_count = len(states)
        self.type_counts = {kind: sum(state.type is kind for state in states) for kind in StateType}
        self.cancelled_count = self.type_counts[StateType.CANCELLED]
        self.paused_count = self.type_counts[StateType.PAUSED]
        self.final_count = sum(state.is_final() for state in states)
        self.not_final_count = self.total_count - self.final_count

    @property
    def fail_count(self) -> int:
        """How many failed or crashed."""
        return self.type_counts[StateType.FAILED] + self.type_counts[StateType.CRASHED]

    def all_completed(self) -> bool:
        """Whether all completed."""
        return self.type_counts[StateType.COMPLETED] == self.total_count

    def any_cancelled(self) -> bool:
        """Whether one was cancelled."""
        return self.cancelled_count > 0

    def any_failed(self) -> bool:
        """Whether one failed or crashed."""
        return self.fail_count > 0

    def any_paused(self) -> bool:
        """Whether one is paused."""
        return self.paused_count > 0

    def all_final(self) -> bool:
        """Whether all are over."""
        return self.not_final_count == 0

    def counts_message(self) -> str:
        """Say how many there are of each type: `total=3, not_final=1, 'COMPLETED'=2, …`."""
        parts = [f"total={self.total_count}"]
        if self.not_final_count:
            parts.append(f"not_final={self.not_final_count}")
        parts += [f"{kind.value!r}={count}" for kind, count in self.type_counts.items() if count]
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"StateGroup<{self.counts_message()}>"


__all__ = [
    "TERMINAL_STATES",
    "AwaitingConcurrencySlot",
    "AwaitingRetry",
    "Cancelled",
    "Cancelling",
    "Completed",
    "Crashed",
    "Failed",
    "InfrastructurePending",
    "Late",
    "Paused",
    "Pending",
    "Retrying",
    "Running",
    "Scheduled",
    "State",
    "StateDetails",
    "StateGroup",
    "StateType",
    "Submitting",
    "Suspended",
    "aget_state_exception",
    "araise_state_exception",
    "format_exception",
    "get_state_exception",
    "is_state",
    "is_state_iterable",
    "raise_state_exception",
]
