"""What is told of runs while they go on: each event goes to all sinks, in order."""

import logging
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
_faulty: set[str] = set()


def report_fault(sink: Sink) -> None:
    """Log the exception at hand, once for each kind of sink."""
    name = getattr(sink, "__qualname__", type(sink).__qualname__)
    if name not in _faulty:
        _faulty.add(name)
        _log.exception("%s failed; the run goes on without it", name)
