"""Pauses: a flow run that waits for a person or a program. Nothing polls: a pause is a latch.

A flow run has one pause at a time; what two of its tasks ask is asked one after the other. Each
pause has a key, by default its number within the attempt, and is answered once: a retry gets the
answer that was given before.
"""

import threading
from collections.abc import Callable
from typing import Any

from cellist.engine.commands import Err, Ok
from cellist.engine.execution import FlowExecution
from cellist.engine.promise import Latch
from cellist.exceptions import CancelledRun, IllegalTransition, Pause, PausedRun
from cellist.model.states import PAUSED, RUNNING, as_datetime

_lock = threading.Lock()


class FlowPause(Latch):
    """One pause of a flow run; it is settled with the answer, or with what ended it otherwise."""

    __slots__ = ("due", "flow", "key", "stops", "wanted")

    def __init__(
        self, flow: FlowExecution, key: str, wanted: Any, seconds: float | None, *, stops: bool
    ) -> None:
        super().__init__()
        self.flow = flow
        self.key = key
        self.wanted = wanted
        """What is asked, see `forms`; `None` where only to go on is waited for."""
        self.due = flow.services.now() + int(seconds * 1_000_000_000) if seconds is not None else 0
        """When the pause ends by itself, nanoseconds since the epoch; 0 for never."""
        self.stops = stops
        """Whether the code has been stopped, to be run anew with the answer."""

    def needs(self, loop: Any) -> bool:
        """Always: the click that ends the pause may come through the loop."""
        del loop
        return True

    def enter(self, message: str) -> None:
        """Put the flow run into its state. Raises `CancelledRun` if it is to end."""
        run = self.flow.run
        try:
            run.enter(PAUSED, "Suspended" if self.stops else None, message)
        except IllegalTransition:
            raise CancelledRun(message) from None
        details = next(one for one in reversed(run.states) if one.is_paused()).state_details
        details.pause_timeout = as_datetime(self.due) if self.due else None
        details.pause_reschedule = self.stops
        details.pause_key = self.key

    def resume(self, value: Any, message: str) -> bool:
        """Have the flow go on with an answer; `False` if the pause is over."""
        if not self.settle(Ok(value)):
            return False
        book_of(self.flow).answers[self.key] = value
        if not self.stops and self.flow.run.state_type is PAUSED:
            self.flow.run.enter(RUNNING, None, message)
        return True

    def cancel(self) -> bool:
        """End the pause because its flow is to end; whether it was open."""
        return self.settle(Err(CancelledRun(f"Flow run {self.flow.run.name!r} was cancelled.")))


class Suspension(Pause):
    """Raised in the code of a flow that is to stop here, to be run anew with the answer."""

    def __init__(self, pause: FlowPause, message: str) -> None:
        super().__init__(message)
        self._pause = pause
        self._message = message

    def take_effect(self) -> Err:
        """Suspend the flow run whose code has ended, and return the outcome that a caller gets."""
        self._pause.enter(self._message)
        self.state = self._pause.flow.run.public_state()
        return Err(PausedRun(self._message, state=self.state))


class Pauses:
    """The pauses of one flow run."""

    __slots__ = ("_attempt", "_count", "answers", "open")

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.open: FlowPause | None = None
        self._attempt = 0
        self._count = 0

    def next_key(self, attempt: int) -> str:
        """Return the key of a pause that has none of its own: its number in the attempt."""
        with _lock:
            if attempt != self._attempt:
                self._attempt, self._count = attempt, 0
            self._count += 1
            return str(self._count)

    def begin(self, pause: FlowPause) -> FlowPause | None:
        """Make a pause the open one; return the one that is open, if another is."""
        with _lock:
            if self.open is not None:
                return self.open
            self.open = pause
            return None

    def end(self, pause: FlowPause) -> None:
        """Forget a pause that is over."""
        with _lock:
            if self.open is pause:
                self.open = None


class Desk:
    """Where a session's pauses are answered."""

    def __init__(self) -> None:
        self.show: Callable[[FlowPause], object] | None = None
        """Called with a pause that begins; shows its form."""
        self.is_attended: Callable[[FlowPause], bool | None] | None = None
        """Whether a person can answer a pause; `None` where that is not known."""
        self.suspended: dict[int, FlowPause] = {}
        """What suspended flow runs wait for, by the number of the run."""
        self.answered: dict[str, dict[str, Any]] = {}
        """Answers for the next run of a flow that was suspended, by what tells the flow."""


def book_of(flow: FlowExecution) -> Pauses:
    """Return the pauses of a flow run."""
    with _lock:
        if flow.pauses is None:
            flow.pauses = Pauses()
        return flow.pauses


def cancel_pause(flow: FlowExecution) -> bool:
    """End the pause of a flow that is to end; whether it was in one."""
    pause = flow.pauses.open if flow.pauses is not None else None
    return pause is not None and pause.cancel()
