"""What a run can be in, and which state may follow which.

`TRANSITIONS` is the law: a state type maps to the types that may follow. `Run.enter` is the only
place that changes a state and the only reader of the table on the hot path. A final state is
immutable, with one exception that the table names: a completed run can be rolled back, which is
again COMPLETED.

A `State` that a run keeps is a plain record. It carries no value, so a run's history never keeps
a result alive; the state that is handed to a user is a copy with `data` and `state_details`
filled in (`Run.public_state`).
"""

import copy
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from cellist.exceptions import (
    CancelledRun,
    CellistError,
    CrashedRun,
    FailedRun,
    MissingResult,
    PausedRun,
    UnfinishedRun,
)
from cellist.model.awaited import also_awaitable
from cellist.model.display import mimebundle
from cellist.model.ids import as_uuid, new_id
from cellist.model.references import Reference


class StateType(StrEnum):
    """The nine kinds of state."""

    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"


SCHEDULED, PENDING, RUNNING, COMPLETED, FAILED, CANCELLED, CRASHED, PAUSED, CANCELLING = StateType

FINAL = frozenset({COMPLETED, FAILED, CANCELLED, CRASHED})
TERMINAL_STATES = set(FINAL)
_STOPPED = frozenset({FAILED, CANCELLED, CRASHED, CANCELLING})

TRANSITIONS: dict[StateType, frozenset[StateType]] = {
    SCHEDULED: _STOPPED | {SCHEDULED, PENDING, RUNNING, PAUSED},
    PENDING: _STOPPED | {PENDING, RUNNING, SCHEDULED, COMPLETED, PAUSED},
    RUNNING: _STOPPED | {RUNNING, SCHEDULED, COMPLETED, PAUSED},
    PAUSED: _STOPPED | {PAUSED, RUNNING, SCHEDULED, COMPLETED},
    CANCELLING: frozenset({CANCELLED, CRASHED, FAILED, COMPLETED}),
    COMPLETED: frozenset({COMPLETED}),
    FAILED: frozenset(),
    CANCELLED: frozenset(),
    CRASHED: frozenset(),
}
"""Which types may follow which. COMPLETED → COMPLETED is the roll-back of a transaction."""

VALUES = {kind: kind.value for kind in StateType}
"""Each type as plain text; `value` of a member takes five times as long."""
DEFAULT_NAMES = {kind: kind.value.capitalize() for kind in StateType}


def name_of(kind: str, name: str | None) -> str:
    """Return the name of a state that was given one or not, by its type as text."""
    return name or DEFAULT_NAMES[StateType(kind)]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_datetime(nanoseconds: int) -> datetime:
    """Return nanoseconds since the epoch as aware UTC, to the microsecond."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)


def as_nanoseconds(moment: datetime) -> int:
    """Return an aware datetime as nanoseconds since the epoch."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000


class NoData:
    """Marks a state whose value was never kept; `None` is a value like any other."""

    def __repr__(self) -> str:
        return "NoData"

    def __reduce__(self) -> str:
        return "NO_DATA"  # a copy, also from another process, is the one there is


NO_DATA = NoData()


@dataclass(slots=True)
class StateDetails:
    """Facts about a state besides its type: which run it belongs to, when it is due, its key."""

    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    child_flow_run_id: UUID | None = None
    scheduled_time: datetime | None = None
    cache_key: str | None = None
    cache_expiration: datetime | None = None
    deferred: bool | None = False
    untrackable_result: bool = False
    pause_timeout: datetime | None = None
    pause_reschedule: bool = False
    pause_key: str | None = None
    run_input_keyset: dict[str, str] | None = None
    refresh_cache: bool | None = None
    retriable: bool | None = None
    transition_id: UUID | None = None
    task_parameters_id: UUID | None = None


class State:
    """One state of a run: `type`, `name`, `message`, `timestamp`, and for users `data`.

    `why` is the reason a task run was a hit or a miss, or `None` where nothing was looked up.
    """

    __slots__ = ("_data", "_details", "_id", "at", "message", "name", "type", "why")

    def __init__(
        self,
        type: StateType | str,
        name: str | None = None,
        message: str | None = None,
        data: Any = NO_DATA,
        state_details: StateDetails | None = None,
        timestamp: datetime | None = None,
        at: int = 0,
    ) -> None:
        self.type = type if isinstance(type, StateType) else StateType(type)
        self.name = name or DEFAULT_NAMES[self.type]
        self.message = message
        self._data = data
        self._details = state_details
        self.at = at or (as_nanoseconds(timestamp) if timestamp else time.time_ns())
        self._id = 0
        self.why: Any = None

    @property
    def id(self) -> UUID:
        """The id of this state."""
        if not self._id:
            self._id = new_id()
        return as_uuid(self._id)

    @property
    def data(self) -> Any:
        """The value or exception this state carries; `None` also where there is none."""
        data = self._data
        if data.__class__ is Reference:
            return data.value
        return None if data is NO_DATA else data

    @property
    def has_data(self) -> bool:
        """Whether a value, even `None`, is carried."""
        return self._data is not NO_DATA

    @property
    def timestamp(self) -> datetime:
        """When the run entered this state, aware UTC."""
        return as_datetime(self.at)

    @property
    def state_details(self) -> StateDetails:
        """Facts about this state; never `None`."""
        if self._details is None:
            self._details = StateDetails()
        return self._details

    def details_with(self, **facts: Any) -> StateDetails:
        """Return the facts about this state together with others."""
        return StateDetails(**facts) if self._details is None else replace(self._details, **facts)

    def is_scheduled(self) -> bool:
        """Whether the type is SCHEDULED."""
        return self.type is SCHEDULED

    def is_pending(self) -> bool:
        """Whether the type is PENDING."""
        return self.type is PENDING

    def is_running(self) -> bool:
        """Whether the type is RUNNING."""
        return self.type is RUNNING

    def is_completed(self) -> bool:
        """Whether the type is COMPLETED."""
        return self.type is COMPLETED

    def is_failed(self) -> bool:
        """Whether the type is FAILED."""
        return self.type is FAILED

    def is_crashed(self) -> bool:
        """Whether the type is CRASHED."""
        return self.type is CRASHED

    def is_cancelled(self) -> bool:
        """Whether the type is CANCELLED."""
        return self.type is CANCELLED

    def is_cancelling(self) -> bool:
        """Whether the type is CANCELLING."""
        return self.type is CANCELLING

    def is_paused(self) -> bool:
        """Whether the type is PAUSED."""
        return self.type is PAUSED

    def is_final(self) -> bool:
        """Whether no other state can follow."""
        return self.type in FINAL

    @also_awaitable
    def result(self, raise_on_failure: bool = True, retry_result_failure: bool = True) -> Any:  # noqa: ARG002 - Prefect's signature
        """Return the value of a completed run, or raise what ended it.

        With `raise_on_failure=False` the exception object is returned instead of raised.
        Raises `UnfinishedRun` or `PausedRun` while the run is not final, and `MissingResult`
        when it completed without leaving a value. `retry_result_failure` is accepted for
        compatibility; results of this process are always at hand. `await state.result()` gives
        the same.
        """
        return state_value(self, raise_on_failure)

    async def aresult(
        self,
        raise_on_failure: bool = True,
        retry_result_failure: bool = True,  # noqa: ARG002 - Prefect's signature
    ) -> Any:
        """Return what `result` returns."""
        return state_value(self, raise_on_failure)

    def fresh_copy(self, *, deep: bool = False, **updates: Any) -> "State":
        """Return this state as a new one: a copy with a new id and timestamp."""
        return self.model_copy(update={"id": as_uuid(new_id()), **updates}, deep=deep)

    def model_copy(self, *, update: dict[str, Any] | None = None, deep: bool = False) -> "State":
        """Return a copy with a new timestamp and the given fields replaced.

        With `deep=True` the data is copied too. Raises `TypeError` for a field there is not.
        """
        data = copy.deepcopy(self._data) if deep else self._data
        values: dict[str, Any] = {
            "type": self.type,
            "name": self.name,
            "message": self.message,
            "data": data,
            "state_details": replace(self.state_details),
            **(update or {}),
        }
        number: UUID = values.pop("id", None) or self.id
        made = type(self)(**values)
        made._id = number.int
        made.why = self.why
        return made

    def __getstate__(self) -> object:
        """Return what copies and pickles are made from; they have the id of this state."""
        self._id = self.id.int
        return super().__getstate__()

    def __eq__(self, other: object) -> bool:
        """Whether all fields but the id are equal."""
        if not isinstance(other, State):
            return NotImplemented
        return (
            (self.type, self.name, self.message, self.at)
            == (other.type, other.name, other.message, other.at)
            and self.state_details == other.state_details
            and self.has_data == other.has_data
            and _same(self.data, other.data)
        )

    def __hash__(self) -> int:
        details = self._details
        ids = (details.flow_run_id, details.task_run_id) if details else (None, None)
        return hash((ids, self.at, self.type))

    def __str__(self) -> str:
        parts: list[str] = []
        if self.message:
            parts.append(repr(self.message))
        if self.type.value.lower() != self.name.lower():
            parts.append(f"type={self.type.value}")
        return f"{self.name}({', '.join(parts)})"

    def __repr__(self) -> str:
        return (
            f"{self.name}(message={self.message!r}, type={self.type.value}, result={self.data!r})"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return mimebundle(self)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal, for values too that compare to something else than a bool."""
    try:
        return one is other or bool(one == other)
    except Exception:
        return False


_WRAPPERS: dict[StateType, tuple[type[CellistError], str]] = {
    FAILED: (FailedRun, "Run failed."),
    CRASHED: (CrashedRun, "Run crashed."),
    CANCELLED: (CancelledRun, "Run cancelled."),
}


def is_state(value: Any) -> bool:
    """Whether the value is a state."""
    return isinstance(value, State)


def is_state_iterable(value: Any) -> bool:
    """Whether the value is a non-empty list, tuple or set of states and nothing else."""
    return isinstance(value, (list, tuple, set)) and bool(value) and all(map(is_state, value))  # pyright: ignore[reportUnknownArgumentType] - elements of a user's container


def state_exception(state: State) -> BaseException:
    """Return the exception a failed, crashed or cancelled state stands for.

    Raises `ValueError` for any other state and `TypeError` if the data is neither an exception,
    a text, a state nor an iterable of states.
    """
    if state.type not in _WRAPPERS:
        message = f"Expected failed, crashed or cancelled state, got {state!r}."
        raise ValueError(message)
    wrapper, default = _WRAPPERS[state.type]
    data: Any = state.data
    if isinstance(data, BaseException):
        return data
    if isinstance(data, str):
        return wrapper(data)
    if data is None:
        return wrapper(state.message or default)
    if isinstance(data, State):
        return state_exception(data)
    if is_state_iterable(data):
        for inner in data:
            if inner.type in _WRAPPERS:
                return state_exception(inner)
        return wrapper(state.message or default)
    message = f"Unexpected result for failed state: {data!r}"
    raise TypeError(message)


def state_value(state: State, raise_on_failure: bool = True) -> Any:
    """Return what `State.result` returns."""
    if state.type is PAUSED:
        raise PausedRun("Run is paused, its result is not available.", state=state)
    if state.type not in FINAL:
        message = f"Run is in {state.type.value} state, its result is not available."
        raise UnfinishedRun(message)
    if state.type in _WRAPPERS:
        error = state_exception(state)
        if raise_on_failure:
            raise error
        return error
    if not state.has_data:
        message = (
            "The run completed, but its value is not kept anywhere. "
            "Keep the state that the call returned, or cache the task."
        )
        raise MissingResult(message)
    return state.data
