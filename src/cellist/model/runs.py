"""A run: one execution of a task or a flow, with its id, its states and what is known about it.

The engine that executes a run is its only writer. `enter` is the only place that changes a state,
and each change publishes one event. A run holds no result and, once it is final and recorded, no
arguments, so keeping runs costs little: about a kilobyte each.

What it keeps of its states is one tuple of plain values, which the garbage collector need not look
at; objects are made of them when somebody asks for the states.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any, ClassVar, cast
from uuid import UUID, uuid5

from cellist.exceptions import IllegalTransition
from cellist.model.display import mimebundle
from cellist.model.events import (
    Journal,
    LogWritten,
    RunUpdated,
    Sink,
    StateChanged,
    publish,
    report_fault,
)
from cellist.model.facts import Arguments, Definition, ErrorInfo, RunInput, RunPolicy, policy_of
from cellist.model.ids import as_hex, as_uuid, new_id
from cellist.model.states import (
    CANCELLING,
    DEFAULT_NAMES,
    FINAL,
    NO_DATA,
    PAUSED,
    PENDING,
    RUNNING,
    TRANSITIONS,
    VALUES,
    State,
    StateType,
    as_datetime,
)

_FLOWS = UUID("6e3a6a0e-52f4-5d0c-9f2f-0c4c1b6f2c57")  # namespace of their ids
Entry = tuple[str, str | None, str | None, int]  # a state's type, unusual name, message, time in ns
_FIELDS = 4
_RUNNING, _PAUSED = VALUES[RUNNING], VALUES[PAUSED]
_new_tuple = cast("Callable[..., StateChanged]", getattr(tuple, "__new__"))  # noqa: B009  # its type is only partly known
_changing = threading.RLock()
"""Held for the instant in which a state changes: a cancel may come from any thread.

Reentrant, as are the other locks that the end of a run takes: the garbage collector may close an
abandoned generator, and so end its run, at any allocation, also of a thread that holds the lock.
"""


class Run:
    """What is known about one execution. See the subclasses for what users read."""

    __slots__ = (
        "_name",
        "_states",
        "cache_key",
        "call",
        "cell",
        "definition",
        "due",
        "entered",
        "error",
        "failed_attempts",
        "flow",
        "inputs",
        "number",
        "parent",
        "preview",
        "progress",
        "sinks",
        "state_type",
        "tags",
        "upstream",
        "where",
        "why",
        "__weakref__",
    )
    kind: ClassVar[str] = "run"
    recorded_as: ClassVar[int | None] = None  # session in the history; `None`: the process's own

    def __init__(
        self,
        definition: Definition,
        parent: "Run | None",
        flow: "FlowRun | None",
        sinks: Iterable[Sink],
        tags: frozenset[str],
        cell: Any = None,
    ) -> None:
        self.number = new_id()
        self.definition = definition
        self.parent = parent
        self.flow = flow
        self.sinks = sinks
        self.tags = tags
        self.cell = cell  # token of the cell execution that started it; groups runs on a board
        self._name: str | None = None
        self.state_type: StateType | None = None
        """The type of the present state."""
        self.entered: tuple[Any, ...] = ()
        """The entry of each state so far, one after the other."""
        self._states: list[State] | None = None
        self.due = 0
        """When the next attempt starts, nanoseconds since the epoch; 0 when none is waited for."""
        self.call: tuple[Any, ...] | Arguments | None = None
        """What it was given; a tuple if none has a name. Dropped when recorded and final."""
        self.inputs: dict[str, str] | None = None
        self.preview: str | None = None
        self.progress: Any = None
        """How far its loops are (`progress.Bars`), once it has some."""
        self.upstream: dict[str, tuple[int, ...]] | None = None
        self.why: Any = None
        self.cache_key: str | None = None
        self.error: ErrorInfo | None = None
        self.failed_attempts: list[tuple[int, ErrorInfo]]  # set by the first that is retried
        self.where: str | None = None

    def enter(self, kind: StateType, name: str | None = None, message: str | None = None) -> None:
        """Change the state and publish it. Raises `IllegalTransition` and then changes nothing."""
        at = time.time_ns()
        entered = self.entered
        if kind is PENDING and not entered:  # nobody else can know of the run yet
            self.state_type = kind
            self.entered = (VALUES[kind], name, message, at)
        else:
            with _changing:
                entered = self.entered
                last = self.state_type
                if last is not None:
                    if kind not in TRANSITIONS[last]:
                        raise IllegalTransition(self._story(kind, name))
                    before: int = entered[-1]
                    if at - before < 1000:  # shown to the microsecond, and must increase
                        at = before + 1000
                self.state_type = kind
                self.entered = entered + (VALUES[kind], name, message, at)  # noqa: RUF005 - faster
        for sink in self.sinks:  # as in `publish`, without another call on the hot path
            try:
                if isinstance(sink, Journal):
                    sink.append(self)
                else:  # NamedTuple's own __new__ costs six times as much
                    sink(_new_tuple(StateChanged, (self, len(entered) // _FIELDS)))
            except Exception:
                report_fault(sink)

    def entries(self) -> Iterator[Entry]:
        """Yield what is kept of each state so far."""
        entered = self.entered
        return zip(*(entered[field::_FIELDS] for field in range(_FIELDS)), strict=True)

    @property
    def states(self) -> list[State]:
        """The states so far, in order. Each is the same object whenever it is asked for."""
        entered = self.entered
        states = self._states
        if states is not None and len(states) * _FIELDS == len(entered):
            return states
        with _changing:
            before = self._states
            states = list(before or ())
            for kind, name, message, at in islice(self.entries(), len(states), None):
                states.append(State(StateType(kind), name, message, NO_DATA, None, None, at))
            if self._states is before:  # else the collector ended a run, and its sink asked as well
                self._states = states
        return self._states or states

    @property
    def state(self) -> State | None:
        """The present state."""
        return self.states[-1] if self.entered else None

    def announce(self, what: str) -> None:
        """Publish that something besides the state became known."""
        publish(RunUpdated(self, what))

    def log(self, level: int, message: str) -> None:
        """Publish a log record of this run."""
        publish(LogWritten(self, time.time_ns(), level, message))

    def _story(self, kind: StateType, name: str | None) -> str:
        seen = " → ".join(state.name for state in self.states)
        return (
            f"Run {self.name!r} cannot enter {name or DEFAULT_NAMES[kind]} ({kind.value}) "
            f"from {self.states[-1].name} ({self.states[-1].type.value}). "
            f"Its states so far: {seen}."
        )

    @property
    def id(self) -> UUID:
        """The id of the run, a time-sortable UUID."""
        return as_uuid(self.number)

    @property
    def name(self) -> str:
        """The display name: given, from a template, or `<task>-<three hex digits>`."""
        if self._name is None:
            tail = as_hex(self.number)[-3:]
            self._name = f"{self.definition.name}-{tail}" if self.flow else self.definition.name
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value

    @property
    def is_final(self) -> bool:
        """Whether the run is over."""
        return self.state_type in FINAL

    @property
    def is_cancelling(self) -> bool:
        """Whether somebody asked to stop the run and its code has not ended yet."""
        return self.state_type is CANCELLING

    @property
    def state_name(self) -> str | None:
        """The name of the present state."""
        return self.state.name if self.state else None

    @property
    def attempts(self) -> int:
        """How often the run has begun to run; to go on after a pause is no new attempt."""
        kinds = self.entered[::_FIELDS]
        resumed = list(pairwise(kinds)).count((_PAUSED, _RUNNING)) if _PAUSED in kinds else 0
        return kinds.count(_RUNNING) - resumed

    run_count = attempts

    @property
    def first_running(self) -> int:
        """When the first attempt started, nanoseconds since the epoch; 0 before."""
        kinds = self.entered[::_FIELDS]
        return self.entered[kinds.index(_RUNNING) * _FIELDS + 3] if _RUNNING in kinds else 0

    @property
    def created(self) -> datetime | None:
        """When the run was made."""
        return as_datetime(self.entered[_FIELDS - 1]) if self.entered else None

    expected_start_time = created

    @property
    def start_time(self) -> datetime | None:
        """When the first attempt started."""
        return as_datetime(self.first_running) if self.first_running else None

    @property
    def ended(self) -> int:
        """When the run became final, nanoseconds since the epoch; 0 before.

        A roll-back is not counted: it comes when the run is over.
        """
        entered = self.entered
        if self.state_type not in FINAL:
            return 0
        is_again = len(entered) > _FIELDS and entered[-2 * _FIELDS] in FINAL
        return entered[-1 - _FIELDS] if is_again else entered[-1]

    @property
    def end_time(self) -> datetime | None:
        """When the run became final."""
        return as_datetime(self.ended) if self.ended else None

    @property
    def total_run_time(self) -> timedelta:
        """Time spent running, waits between attempts left out."""
        spans = pairwise([*self.entries(), ("", None, None, time.time_ns())])
        spent = sum(end[3] - begin[3] for begin, end in spans if begin[0] == _RUNNING)
        return timedelta(microseconds=spent / 1000)

    @property
    def flow_run_id(self) -> UUID | None:
        """The id of the enclosing flow run."""
        return self.flow.id if self.flow else None

    @property
    def empirical_policy(self) -> RunPolicy:
        """How the run is retried: by its options, and by the settings where it has none."""
        return policy_of(self.definition)

    @property
    def labels(self) -> dict[str, Any]:
        """Empty: labels are given by a server."""
        return {}

    def public_state(self, data: Any = NO_DATA, state: State | None = None) -> State:
        """Return a state as a user gets it: a copy with the value and the ids filled in."""
        record = state or self.state
        if record is None:
            message = f"Run {self.name!r} has no state yet."
            raise IllegalTransition(message)
        is_flow = self.kind == "flow"
        details = record.details_with(
            flow_run_id=self.id if is_flow else self.flow_run_id,
            task_run_id=None if is_flow else self.id,
            cache_key=self.cache_key,
            scheduled_time=as_datetime(self.due) if self.due else None,
        )
        copy = State(record.type, record.name, record.message, data, details, None, record.at)
        copy.why = self.why
        return copy

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"{kind}(id={str(self.id)!r}, name={self.name!r}, state={self.state_name})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return mimebundle(self)


class TaskRun(Run):
    """One execution of a task."""

    __slots__ = ()
    kind = "task"

    @property
    def task_key(self) -> str:
        """What identifies the task across kernels."""
        return self.definition.key

    @property
    def dynamic_key(self) -> str:
        """What tells this run from others of the same task."""
        return as_hex(self.number)

    @property
    def task_version(self) -> str | None:
        """The version the task was given."""
        return self.definition.version

    @property
    def flow_run_run_count(self) -> int:
        """In which attempt of its flow run the run was made, from 1; 0 outside flows."""
        if self.flow is None or not self.states:
            return 0
        made = self.states[0].at
        return sum(state.type is RUNNING and state.at <= made for state in self.flow.states)

    @property
    def task_inputs(self) -> dict[str, list[RunInput]]:
        """For each parameter the runs it came from, with `wait_for` and `__parents__`."""
        found = {
            name: [RunInput("task_run", as_uuid(number)) for number in numbers]
            for name, numbers in (self.upstream or {}).items()
        }
        if self.parent is not None and self.parent.kind == "task":
            found["__parents__"] = [
                *found.get("__parents__", []),
                RunInput("task_run", self.parent.id),
            ]
        return found


class FlowRun(Run):
    """One execution of a flow."""

    __slots__ = ("parameters", "resumed_from")
    kind = "flow"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parameters: dict[str, Any] = {}
        self.resumed_from: str | None = None
        """The id, in hex digits, of the run this one continues."""

    deployment_id = None
    """There is no server to deploy to."""

    @property
    def flow_id(self) -> UUID:
        """The id of the flow: the same in each of its runs, in every kernel."""
        return uuid5(_FLOWS, self.definition.key)

    @property
    def context(self) -> dict[str, Any]:
        """Empty: there is no deployment to hand something over."""
        return {}

    @property
    def flow_version(self) -> str | None:
        """The version of the flow: given, or a digest of its source."""
        return self.definition.version

    @property
    def parent_task_run_id(self) -> UUID | None:
        """The id of the task run a subflow was called from."""
        return self.parent.id if self.parent is not None and self.parent.kind == "task" else None
