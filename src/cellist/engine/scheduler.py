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
from collections.abc import Sequence
from typing import Any, Protocol

from cellist.engine.commands import (
    NOTHING,
    Err,
    Invoke,
    Offload,
    Ok,
    Outcome,
    Sleep,
    Steps,
    Wait,
)
from cellist.engine.execution import Execution
from cellist.engine.promise import Promise
from cellist.engine.threads import Worker
from cellist.engine.timeouts import ThreadCall, timeout_error
from cellist.engine.timers import call_later
from cellist.engine.waiting import run_awaitable
from cellist.exceptions import CancelledRun, IllegalTransition
from cellist.model.states import CANCELLING

PARKED, QUEUED, RUNNING, DONE = "parked", "queued", "running", "done"
_lock = threading.Lock()


class Pool(Protocol):
    """Where ready work waits for a worker."""

    def push(self, work: "Work") -> None:
        """Take ready work."""
        ...

    def invoke(self, command: Invoke, work: "Work", worker: Worker | None) -> Any:
        """Call user code on behalf of the work and return its value."""
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
        "started",
        "steps",
        "ticket",
        "worker",
        "x",
    )

    def __init__(self, x: Execution, steps: Steps[Outcome], promise: Promise, pool: Pool) -> None:
        self.x = x
        self.steps = steps
        self.promise = promise
        self.pool = pool
        self.context = contextvars.copy_context()
        self.phase = PARKED
        self.ticket = 0
        self.started = False
        self.next: Outcome | None = None
        self.worker: Worker | None = None
        self.call: ThreadCall | None = None
        promise.work = self
        x.stop = self.cancel

    def begin(self) -> None:
        """Queue the work, or park it until its inputs are final."""
        waiting = [p for p in self.x.waits or () if p.outcome is None]
        if waiting:
            self._park_on(waiting)
        else:
            self.phase = QUEUED
            self.pool.push(self)

    def resume(self, ticket: int, outcome: Outcome | None) -> bool:
        """Queue parked work with the outcome of what it waited for; `False` if it came too late."""
        with _lock:
            if self.phase is not PARKED or ticket != self.ticket:
                return False
            self.phase = QUEUED
            self.next = outcome if self.started else None
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
                self.next = Err(CancelledRun("Cancelled.")) if self.started else None
            call, worker = self.call, self.worker
        if waits:
            self.context.run(advance, self)
            return
        if self.phase is DONE:
            return
        try:
            self.x.run.enter(CANCELLING, None, "Cancel requested, still running.")
        except IllegalTransition:
            return  # it ended, or was asked before
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

    def _park_on(self, promises: Sequence[Promise]) -> None:
        ticket = self._park()
        left = [len(promises) + 1]

        def one_less(_: Any = None) -> None:
            with _lock:
                left[0] -= 1
                last = not left[0]
            if last:
                self.resume(ticket, NOTHING)

        for promise in promises:
            promise.on_settled(one_less)
        one_less()

    def _park_until(self, command: Sleep) -> None:
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

    def _park_on_call(self, command: Invoke) -> None:
        """Call code with a time limit in a thread of its own: at the deadline the run goes on."""
        ticket = self._park()
        seconds = command.timeout or 0.0

        def call() -> Any:
            return self.pool.invoke(command, self, None)

        def done(outcome: Outcome) -> None:
            timer.cancel()
            self.call = None
            self.resume(ticket, outcome)

        timer = call_later(
            seconds, lambda: running.expire(timeout_error(seconds, self.x.plan.is_flow))
        )
        self.call = running = ThreadCall(call, self.x, done)

    def finish(self, outcome: Outcome) -> None:
        """Settle the promise."""
        self.phase = DONE
        self.worker = None
        self.x.stop = None
        self.promise.settle(outcome)


def advance(work: Work) -> None:
    """Carry a run on until it ends or parks. Runs inside the work's context."""
    outcome, work.next = work.next, None
    work.started = True
    steps = work.steps
    try:
        while True:
            command = steps.send(outcome)  # pyright: ignore[reportArgumentType] - None starts it
            if isinstance(command, Invoke):
                if command.timeout is not None:
                    work._park_on_call(command)
                    return
                outcome = _invoke(command, work)
            elif isinstance(command, Offload):
                outcome = _call(command)
            elif isinstance(command, Wait):
                waiting = [p for p in command.promises if p.outcome is None]
                if waiting:
                    work._park_on(waiting)
                    return
                outcome = NOTHING
            else:
                work._park_until(command)
                return
    except StopIteration as stop:
        work.finish(stop.value)
    except BaseException as fault:
        work.finish(Err(fault))


def _invoke(command: Invoke, work: Work) -> Outcome:
    try:
        value = work.pool.invoke(command, work, work.worker)
        if command.awaits and hasattr(value, "__await__"):
            flow = work.x.flow
            value = run_awaitable(value, flow.loop if flow is not None else None)
        return Ok(value)
    except BaseException as error:
        return Err(error)


def _call(command: Offload) -> Outcome:
    try:
        return Ok(command.fn(*command.args))
    except BaseException as error:
        return Err(error)
