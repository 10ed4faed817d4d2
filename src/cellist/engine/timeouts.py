"""Call user code with a time limit, as sharply as the place it runs in allows.

On the main thread of a POSIX process an alarm (SIGALRM) interrupts the code, blocking calls
included. Limits nest: the alarm is always set to the earliest. Elsewhere, and where somebody else
uses SIGALRM, the code runs in another thread: the caller is free at the deadline whatever the code
does, and the code is asked to stop (`threads`).
"""

import contextvars
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import FrameType
from typing import TYPE_CHECKING, Any

from cellist.engine.commands import Err, Ok, Outcome
from cellist.engine.threads import Worker, run_in_thread, this_worker
from cellist.exceptions import FlowRunTimeoutError, TaskRunTimeoutError
from cellist.model.later import later

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

    from cellist.engine import stopping
else:
    stopping = later("cellist.engine.stopping", globals())

RETRY_SECONDS = 0.001
"""How soon the alarm tries again where its error could not reach the code."""
FINALISER_SECONDS = 1.0
"""How long a finaliser may go on past the deadline before it is interrupted as well."""
FINALISERS = frozenset(
    {
        ("_weakrefset", "WeakSet.__init__.<locals>._remove"),
        ("importlib._bootstrap", "_get_module_lock.<locals>.cb"),
        ("weakref", "WeakKeyDictionary.__init__.<locals>.remove"),
        ("weakref", "WeakMethod.__new__.<locals>._cb"),
        ("weakref", "WeakValueDictionary.__init__.<locals>.remove"),
        ("weakref", "finalize.__call__"),
    }
)
"""Callbacks of weak references in the standard library: module and qualified name."""


_deadlines: list[tuple[float, object]] = []
"""Deadlines of the main thread, outermost first, with the scope each belongs to."""
_fired: set[object] = set()
"""Scopes whose alarm was raised."""
_hooks: list[Callable[["UnraisableHookArgs"], Any]] = []
"""The hook for dropped errors that ours stands in for, while it does."""


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


def _in_finaliser(frame: FrameType | None) -> bool:
    """Whether the interrupted code was called by the interpreter, which drops what it raises."""
    while frame is not None and frame.f_code is not call_with_alarm.__code__:
        code = frame.f_code
        if (
            code.co_name == "__del__"
            or (frame.f_globals.get("__name__"), code.co_qualname) in FINALISERS
        ):
            return True
        frame = frame.f_back
    return False


def _try_again(dropped: "UnraisableHookArgs") -> None:
    """Hook for dropped errors: raise the alarm again if the error dropped was the alarm's."""
    if isinstance(dropped.exc_value, stopping.ScopeTimeout):
        _fired.discard(dropped.exc_value.scope)
        signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
    else:
        _hooks[-1](dropped)


def _watch_dropped() -> None:
    """Notice when the interpreter drops the alarm's error, until the limit is lifted.

    Not every finaliser can be told by its name: generators, callbacks from C.
    """
    if sys.unraisablehook is not _try_again:
        _hooks.append(sys.unraisablehook)
        sys.unraisablehook = _try_again


def _unwatch_dropped() -> None:
    if sys.unraisablehook is _try_again:
        sys.unraisablehook = _hooks.pop()


def _on_alarm(_signal: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    for deadline, scope in _deadlines:
        if deadline <= now and scope not in _fired:
            if now - deadline < FINALISER_SECONDS and _in_finaliser(frame):
                signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
                return
            _watch_dropped()
            stop = stopping.ScopeTimeout("The time limit was reached.")
            stop.scope = scope
            _fired.add(scope)
            raise stop
    _set_alarm()


def _set_alarm() -> None:
    """Set the timer to the earliest deadline still ahead, or off."""
    ahead = [deadline for deadline, scope in _deadlines if scope not in _fired]
    if ahead:
        left = min(ahead) - time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(left, 1e-4))
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)


def call_with_alarm(call: Callable[[], Any], seconds: float, is_flow: bool) -> Outcome:
    """Call a function on the main thread and interrupt it when its time is up."""
    scope = object()
    stop_kind = stopping.ScopeTimeout  # now: the alarm must not import it
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
            if not _deadlines:
                _unwatch_dropped()
            if not _deadlines and before is not _on_alarm:
                signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
    except stop_kind as stop:
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
