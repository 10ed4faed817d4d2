"""What is told of runs while they go on: each event goes to all sinks, in order."""

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from cellist.model.states import State

if TYPE_CHECKING:
    from cellist.model.runs import Run

_log = logging.getLogger("cellist")


class StateChanged(NamedTuple):
    """A run entered a state; the first one of a run announces the run itself."""

    run: "Run"
    position: int
    """Which of the run's states it is, from 0."""

    @property
    def state(self) -> State:
        """The state that was entered."""
        return self.run.states[self.position]


class LogWritten(NamedTuple):
    """A run logged something, or printed with `log_prints`."""

    run: "Run"
    at: int
    level: int
    message: str


class RunUpdated(NamedTuple):
    """Something about a run other than its state became known: name, reason, upstream, progress."""

    run: "Run"
    what: str


Event = StateChanged | LogWritten | RunUpdated
Sink = Callable[[Event], object]


class Journal(deque["Run | LogWritten"]):
    """A sink for who reads later: which runs have changed, and what they logged, in order.

    It wants no event for a change of state, so none is made if it is the only sink.
    """

    __slots__ = ()

    def __call__(self, event: Event) -> None:
        """Take an event."""
        self.append(event if isinstance(event, LogWritten) else event.run)


_faulty: set[str] = set()


def publish(event: Event) -> None:
    """Tell the sinks of the event's run. A fault of one of them must not fail the run."""
    for sink in event.run.sinks:
        try:
            sink(event)
        except Exception:
            report_fault(sink)


def report_fault(sink: Sink) -> None:
    """Log the exception at hand, once for each kind of sink."""
    name = getattr(sink, "__qualname__", type(sink).__qualname__)
    if name not in _faulty:
        _faulty.add(name)
        _log.exception("%s failed; the run goes on without it", name)
