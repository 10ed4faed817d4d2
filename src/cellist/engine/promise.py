"""What somebody may wait for: a latch, and the promise of the end of a submitted run.

A promise is made for cheap submission: the lock is shared by all promises (it is held for a few
instructions), and the event a thread blocks on exists only once a thread blocks.
The final state is set before any callback fires.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from cellist.engine.commands import Declared, Elsewhere, Given, Ok, Outcome
from cellist.engine.threads import block
from cellist.model.runs import Run
from cellist.model.states import NO_DATA, State

_lock = threading.RLock()
_log = logging.getLogger("cellist")


class Latch:
    """Opens once, with an outcome; `outcome` is `None` until then. Anybody may wait for it."""

    __slots__ = ("__weakref__", "_callbacks", "outcome")

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self._callbacks: list[Callable[[Any], object]] | None = None

    def settle(self, outcome: Outcome) -> bool:
        """Set the outcome and fire the callbacks; `False` if it was settled before."""
        with _lock:
            if self.outcome is not None:
                return False
            self.outcome = outcome
            callbacks, self._callbacks = self._callbacks, None
        self._let_go()
        stop: BaseException | None = None
        for callback in callbacks or ():
            try:
                callback(self)
            except Exception:  # such as a loop that was closed: the others still have to know
                _log.exception("A callback of %r failed.", self)
            except BaseException as error:
                stop = error  # an interrupt: they have to know all the same
        if stop is not None:
            raise stop
        return True

    def _let_go(self) -> None:
        """Drop what only an open question needed; called before the callbacks."""

    def needs(self, loop: Any) -> bool:
        """Whether it can settle only if an event loop goes on that nobody announced work for."""
        del loop
        return False

    def on_settled(self, callback: Callable[[Any], object]) -> None:
        """Call `callback(self)` when settled, in the settling thread; at once if it is."""
        with _lock:
            if self.outcome is None:
                if self._callbacks is None:
                    self._callbacks = [callback]
                else:
                    self._callbacks.append(callback)
                return
        callback(self)

    def forget(self, callback: Callable[[Any], object]) -> None:
        """Take a callback back."""
        with _lock:
            if self._callbacks and callback in self._callbacks:
                self._callbacks.remove(callback)

    def block(self, timeout: float | None = None) -> bool:
        """Block the calling thread until settled or `timeout` seconds passed; say which."""
        if self.outcome is not None:
            return True
        event = threading.Event()

        def wake(_: Any) -> None:
            event.set()

        self.on_settled(wake)
        try:
            block(event, timeout)
        finally:
            self.forget(wake)
        return self.outcome is not None


class Promise(Latch):
    """The future outcome of a run."""

    __slots__ = ("execution", "observed", "run", "work")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.outcome = None
        self._callbacks = None
        self.observed = False
        """Whether somebody looked at the outcome; a failure nobody looked at is worth a warning."""
        self.work: Any = None
        """The unfinished work behind the promise, so that a waiter may cancel it."""
        self.execution: Any = None
        """What carries the run out, until it is settled."""

    def _let_go(self) -> None:
        self.work = None
        execution, self.execution = self.execution, None
        if execution is not None:
            execution.settled(self)

    @property
    def final_state(self) -> State:
        """The present state as a user sees it, with the value or exception once settled."""
        return self.run.public_state(outcome_data(self.outcome))


def outcome_data(outcome: Outcome | None) -> Any:
    """Return what a state carries for an outcome."""
    if outcome is None:
        return NO_DATA
    if isinstance(outcome, (Given, Declared)):
        return outcome.data
    if isinstance(outcome, Elsewhere):
        return outcome.reference
    return outcome.value if isinstance(outcome, Ok) else outcome.error
