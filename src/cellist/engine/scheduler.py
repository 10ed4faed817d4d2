"""Carry out submitted runs. A run that waits, for inputs, for a retry, holds no thread.

The steps of a run are a generator, so a waiting run is a parked generator: a callback or a timer
puts it back into its pool's queue when it may go on, in whatever thread is free. A run takes a
worker only when all its inputs are final, so a chain of any length needs one thread.

A `Work` is in one of these phases. Who changes the phase, under the lock, owns the generator:

    parked   waits for promises or a timer; `ticket` tells a late wake-up from a current one
    queued   ready, in the pool's queue
    running  a worker carries it out
    done     settled
"""

import contextvars
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from cellist.engine.commands import (
    NOTHING,
    Crash,
    Err,
    Invoke,
    Offload,
    Ok,
    Outcome,
    Sleep,
    Steps,
    Wait,
    WentAway,
)
from cellist.engine.execution import Execution, current
from cellist.engine.far import FarCall
from cellist.engine.promise import Latch, Promise
from cellist.engine.steps import run_steps
from cellist.engine.threads import Worker
from cellist.engine.timeouts import timeout_error
from cellist.engine.timers import call_later
from cellist.engine.waiting import run_awaitable
from cellist.exceptions import CancelledRun, IllegalTransition
from cellist.model.runs import Run
from cellist.model.states import CANCELLING

PARKED, QUEUED, RUNNING, DONE = "parked", "queued", "running", "done"
_lock = threading.Lock()


class Pool(Protocol):
    """Where ready work waits for a worker."""

    is_far: bool
    """Whether user code is carried out on a cluster: by `launch`, not by `invoke`."""

    def launch(self, command: Invoke, work: "Work") -> FarCall:
        """Have user code called on the cluster."""
        ...

    def push(self, work: "Work") -> None:
        """Take ready work."""
        ...

    def ready(self, command: Invoke, work: "Work") -> None:
        """Have at hand what a call with a time limit needs, before its time begins to count."""
        ...

    def invoke(self, command: Invoke, work: "Work", worker: Worker | None) -> Any:
        """Call user code on behalf of the work and return its value."""
        ...

    def replace(self, worker: Worker, work: "Work") -> None:
        """Give the place of a worker stuck in user code to another, which goes on with the work."""
        ...


class Work:
    """A submitted run on its way: its steps, its context and where it stands."""

    __slots__ = (
        "call",
        "context",
        "next",
        "phase",
        "pool",
        "promise",
        "steps",
        "ticket",
        "worker",
        "x",
    )

    def __init__(self, x: Execution, promise: Promise, pool: Pool) -> None:
        self.x = x
        self.steps: Steps[Outcome] | None = None
        """Made when the run begins: thousands may wait in a queue."""
        self.promise = promise
        self.pool = pool
        self.context = contextvars.copy_context()
        self.phase = PARKED
        self.ticket = 0
        self.next: Outcome | None = None
        self.worker: Worker | None = None
        self.call: Any = None
        """The user code that runs elsewhere, in a process or on a cluster: what can stop it."""
        promise.work = self
        x.carrier = self

    def begin(self) -> None:
        """Queue the work, or park it until its inputs are final."""
        waiting = [p for p in self.x.waits or () if p.outcome is None]
        if waiting:
            self.park_on(waiting)
            return
        with _lock:
            if self.phase is not PARKED:
                return  # cancelled before it began
            self.phase = QUEUED
        self.pool.push(self)

    def resume(self, ticket: int, outcome: Outcome | None) -> bool:
        """Queue parked work with the outcome of what it waited for; `False` if it came too late."""
        with _lock:
            if self.phase is not PARKED or ticket != self.ticket:
                return False
            self.phase = QUEUED
            self.next = None if self.steps is None else outcome
        self.pool.push(self)
        return True

    def take(self, worker: Worker | None) -> bool:
        """Claim queued work for a worker; `False` if a cancel was faster."""
        with _lock:
            if self.phase is not QUEUED:
                return False
            self.phase = RUNNING
            self.worker = worker
        return True

    def cancel(self) -> None:
        """Cancel: at once where the run waits, as soon as its code ends where it runs."""
        self.x.cancelling = True
        with _lock:
            waits = self.phase in (PARKED, QUEUED)
            if waits:
                self.phase = RUNNING
                self.ticket += 1
                self.worker = None
                self.next = None if self.steps is None else Err(CancelledRun("Cancelled."))
        if waits:
            carry_on(self, None)
            return
        if self.phase is DONE:
            return
        try:
            self.x.run.enter(CANCELLING, None, "Cancel requested, still running.")
        except IllegalTransition:
            return  # it ended, or was asked before
        self.halt(self.x.run)

    def halt(self, run: Run) -> None:
        """Ask the code that runs now to stop, unless the run it is to be stopped for is over."""
        if run.is_final:
            return
        call, worker = self.call, self.worker
        if call is not None:
            call.stop()
        elif worker is not None:
            worker.stop(self.x)

    def _park(self) -> int:
        """Let go of the generator; who presents the ticket may take it."""
        with _lock:
            self.phase = PARKED
            self.worker = None
            self.ticket += 1
            return self.ticket

    def park_on(self, promises: Sequence[Latch]) -> None:
        """Let go of the generator until all promises are final."""
        ticket = self._park()
        countdown = _Countdown(self, ticket, len(promises) + 1)
        for promise in promises:
            promise.on_settled(countdown)
        countdown(None)
        self._notice_cancel(ticket)

    def park_until(self, command: Sleep) -> None:
        """Let go of the generator until a moment, or until the run is woken."""
        ticket = self._park()
        waker = command.waker

        def due() -> None:
            waker.listen(None)
            self.resume(ticket, Ok(waker.word))

        timer = call_later(command.seconds, due)

        def woken() -> None:
            timer.cancel()
            self.resume(ticket, Ok(waker.word))

        waker.listen(woken)
        self._notice_cancel(ticket)

    def _notice_cancel(self, ticket: int) -> None:
        """Wake up again if somebody asked to cancel while the run was about to park."""
        if self.x.cancelling:
            self.resume(ticket, Err(CancelledRun("Cancelled.")))

    def leave_to(self, call: FarCall) -> None:
        """Let go of the generator until code on a cluster has ended.

        Meanwhile the work counts as running: the code does, and a cancel is for it.
        """
        with _lock:
            self.worker = None
        if self.x.cancelling:
            call.stop()
        call.on_settled(self._return)

    def _return(self, call: Any) -> None:
        with _lock:
            self.phase = QUEUED
            self.call = None
            self.next = call.outcome
        self.pool.push(self)

    def finish(self, outcome: Outcome) -> None:
        """Settle the promise."""
        self.phase = DONE
        self.worker = None
        self.x.carrier = None
        self.promise.settle(outcome)


class _Countdown:
    """Called at the end of each run that a parked one waits for; the last call resumes it.

    An object and no closure, which is eight objects for the garbage collector to look at.
    """

    __slots__ = ("_left", "_ticket", "_work")

    def __init__(self, work: Work, ticket: int, left: int) -> None:
        self._work = work
        self._ticket = ticket
        self._left = left

    def __call__(self, _: Any) -> None:
        with _lock:
            self._left -= 1
            last = not self._left
        if last:
            self._work.resume(self._ticket, NOTHING)


class TimedCall:
    """User code with a time limit in a worker's thread.

    Its outcome is claimed once: by its end or by the clock. If it is the clock, the run goes on in
    another thread and this one, with the code in it that does not stop, has lost its place.
    """

    __slots__ = ("_claimed", "command", "context", "work", "worker")

    def __init__(self, work: Work, command: Invoke) -> None:
        self.work = work
        self.command = command
        # A copy, because the run may go on in its own context while this code still runs.
        self.context = contextvars.copy_context()
        self.worker: Worker | None = None
        self._claimed = False

    def run(self, worker: Worker | None) -> bool:
        """Call the code; whether the work is still this thread's afterwards."""
        work = self.work
        self.worker = worker
        outcome = self.context.run(_attempt, work.pool.ready, self.command, work)
        if isinstance(outcome, Ok):
            timer = call_later(self.command.timeout or 0.0, self.expire)
            outcome = self.context.run(_invoke, self.command, work)
            timer.cancel()
        if not self._claim():
            return False
        work.next = outcome
        return True

    def _claim(self) -> bool:
        with _lock:
            mine = not self._claimed
            self._claimed = True
        return mine

    def expire(self) -> None:
        """Let the run go on without its code, and ask the code to stop."""
        if not self._claim():
            return
        work, worker = self.work, self.worker
        seconds = self.command.timeout or 0.0
        work.halt(work.x.run)
        with _lock:
            work.call = None
            work.worker = None
            work.phase = QUEUED
            work.next = Err(timeout_error(seconds, work.x.plan.is_flow))
        if worker is not None:
            work.pool.replace(worker, work)
        else:
            work.pool.push(work)


def carry_on(work: Work, worker: Worker | None) -> bool:
    """Carry claimed work on until it ends or parks; whether the worker has kept its place."""
    while True:
        pause = work.context.run(advance, work)
        # Only now, outside its context, may somebody else carry the work on: a context can be
        # entered by one thread at a time.
        if isinstance(pause, TimedCall):
            if not pause.run(worker):
                return False
        elif pause is None:
            return True
        else:
            if isinstance(pause, FarCall):
                work.leave_to(pause)
            elif isinstance(pause, Sleep):
                work.park_until(pause)
            else:
                work.park_on(pause)
            return True


def advance(work: Work) -> TimedCall | FarCall | Sleep | list[Latch] | None:  # noqa: C901 - flat for speed
    """Carry a run on until it ends, or return what it has to wait for or must call with a limit.

    Runs inside the work's context.
    """
    outcome, work.next = work.next, None
    steps = work.steps
    if steps is None:
        steps = work.steps = run_steps(work.x)
        current.set(work.x)  # not before: a context that differs from its parent's costs memory
    try:
        while True:
            command = steps.send(outcome)  # pyright: ignore[reportArgumentType] - None starts it
            if isinstance(command, Invoke):
                if (command.timeout is not None or work.pool.is_far) and (
                    pause := _call_apart(command, work)
                ) is not None:
                    return pause
                outcome = _invoke(command, work)
            elif isinstance(command, Offload):
                outcome = _call(command)
            elif isinstance(command, Wait):
                waiting = [p for p in command.promises if p.outcome is None]
                if waiting:
                    return waiting
                outcome = NOTHING
            else:
                return cast("Sleep", command)  # submitted generators give lists: no Hand comes here
    except StopIteration as stop:
        work.finish(stop.value)
    except BaseException as fault:
        work.finish(Err(fault))
    return None


def _call_apart(command: Invoke, work: Work) -> TimedCall | FarCall | None:
    """Return the call of user code that is not simply made here."""
    if work.pool.is_far and command.fn is work.x.fn:
        return work.pool.launch(command, work)
    return TimedCall(work, command) if command.timeout is not None else None


def _invoke(command: Invoke, work: Work) -> Outcome:
    try:
        value = work.pool.invoke(command, work, work.worker)
        if command.awaits and hasattr(value, "__await__"):
            flow = work.x.flow
            value = run_awaitable(value, flow.loop if flow is not None else None)
        return Ok(value)
    except WentAway as gone:
        return Crash(gone.error)
    except BaseException as error:
        return Err(error)


def _call(command: Offload) -> Outcome:
    return _attempt(command.fn, *command.args)


def _attempt(fn: Callable[..., Any], *args: Any) -> Outcome:
    try:
        return Ok(fn(*args))
    except WentAway as gone:
        return Crash(gone.error)
    except BaseException as error:
        return Err(error)
