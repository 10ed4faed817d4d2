"""Call user code with a time limit, as sharply as the place it runs in allows.

On the main thread of a POSIX process an alarm (SIGALRM) interrupts the code, blocking calls
included. Limits nest: the alarm is always set to the earliest. Elsewhere, and where somebody else
uses SIGALRM, the code runs in another thread: the caller is free at the deadline whatever the code
does, and the code is asked to stop (`threads`).
"""

import contextvars
import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from cellist.engine.commands import Err, Ok, Outcome
from cellist.engine.threads import CodeStopped, Worker, run_in_thread, this_worker
from cellist.exceptions import FlowRunTimeoutError, TaskRunTimeoutError


class ScopeTimeout(CodeStopped):
    """Raised by the alarm inside code whose time is up. `scope` is whose time."""

    scope: object = None


_deadlines: list[tuple[float, object]] = []
"""Deadlines of the main thread, outermost first, with the scope each belongs to."""
_fired: set[object] = set()
"""Scopes whose alarm was raised."""


def timeout_error(seconds: float, is_flow: bool) -> TimeoutError:
    """Return the error of a run that took longer than allowed."""
    message = f"Scope timed out after {seconds} second(s)."
    return FlowRunTimeoutError(message) if is_flow else TaskRunTimeoutError(message)


def can_alarm() -> bool:
    """Whether an alarm can interrupt code in this thread."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        return False
    return signal.getsignal(signal.SIGALRM) in (signal.SIG_DFL, signal.SIG_IGN, None, _on_alarm)


def _on_alarm(_signal: int, _frame: Any) -> None:
    now = time.monotonic()
    for deadline, scope in _deadlines:
        if deadline <= now:
            stop = ScopeTimeout("The time limit was reached.")
            stop.scope = scope
            _fired.add(scope)
            raise stop
    _set_alarm()


def _set_alarm() -> None:
    """Set the timer to the earliest deadline, or off."""
    if _deadlines:
        left = min(deadline for deadline, _ in _deadlines) - time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(left, 1e-4))
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)


def call_with_alarm(call: Callable[[], Any], seconds: float, is_flow: bool) -> Outcome:
    """Call a function on the main thread and interrupt it when its time is up."""
    scope = object()
    before = signal.signal(signal.SIGALRM, _on_alarm)
    _deadlines.append((time.monotonic() + seconds, scope))
    try:
        try:
            _set_alarm()
            value = call()
            if scope in _fired:  # the code caught the stop and gave what it had so far
                return Err(timeout_error(seconds, is_flow))
            return Ok(value)
        finally:
            _deadlines[:] = [entry for entry in _deadlines if entry[1] is not scope]
            _fired.discard(scope)
            _set_alarm()
            if not _deadlines and before is not _on_alarm:
                signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
    except ScopeTimeout as stop:
        if stop.scope is not scope:
            return Err(stop)
        error = timeout_error(seconds, is_flow)
        error.__traceback__ = stop.__traceback__
        return Err(error)
    except BaseException as error:
        return Err(error)


class ThreadCall:
    """A call in a thread of its own whose outcome is claimed once: by its end or by the clock."""

    __slots__ = ("_claimed", "_done", "_lock", "ended", "owner", "worker")

    def __init__(
        self,
        call: Callable[[], Any],
        owner: Any,
        done: Callable[[Outcome], object],
    ) -> None:
        self.owner = owner
        self.ended = False
        self._done = done
        self._claimed = False
        self._lock = threading.Lock()
        context = contextvars.copy_context()
        started = threading.Event()
        self.worker: Worker | None = None

        def work() -> None:
            started.wait()
            assert self.worker is not None
            try:
                outcome: Outcome = Ok(context.run(self.worker.call, owner, call, (), {}))
            except BaseException as error:
                outcome = Err(error)
            self.ended = True
            self.claim(outcome)

        self.worker = run_in_thread(work)
        started.set()

    def claim(self, outcome: Outcome) -> bool:
        """Deliver an outcome unless one was delivered; say whether it was this one."""
        with self._lock:
            if self._claimed:
                return False
            self._claimed = True
        self._done(outcome)
        return True

    def expire(self, error: BaseException) -> None:
        """Free the waiter with an error and ask the code to stop."""
        if self.claim(Err(error)):
            self.stop()

    def stop(self) -> bool:
        """Ask the code to stop; whether there was any."""
        return self.worker is not None and self.worker.stop(self.owner)


def call_in_thread(call: Callable[[], Any], seconds: float, is_flow: bool, owner: Any) -> Outcome:
    """Call a function in another thread and wait for it, at most `seconds`."""
    finished = threading.Event()
    outcomes: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        finished.set()

    caller = this_worker()
    pool: Any = caller.pool if caller is not None else None
    running = ThreadCall(call, owner, done)
    try:
        with pool.released(caller) if pool is not None else nullcontext():
            if not finished.wait(seconds):
                running.expire(timeout_error(seconds, is_flow))
                finished.wait()
    except BaseException:
        running.stop()
        raise
    return outcomes[0]
