"""Carry out a submitted run in the caller, before `submit` returns."""

from typing import Any

from cellist.engine.commands import Err, Invoke
from cellist.engine.drivers import drive
from cellist.engine.execution import current
from cellist.engine.far import FarCall
from cellist.engine.scheduler import DONE, QUEUED, Work
from cellist.engine.steps import run_steps
from cellist.engine.threads import Worker
from cellist.engine.waiting import wait_all


class InlinePool:
    """Runs each piece of work at once, in the thread that pushes it."""

    is_far = False

    def launch(self, command: Invoke, work: Work) -> FarCall:
        """There is no cluster; nobody asks, for `is_far` says so."""
        raise TypeError(f"{type(self).__name__} calls {command.fn!r} of {work.x.run.name} here.")

    def push(self, work: Work) -> None:
        """Carry the work out now, waiting for its inputs first."""
        if not work.take(None):
            return
        x = work.x
        x.carrier = None
        wait_all([promise for promise in x.waits or () if promise.outcome is None])
        work.context.run(current.set, x)
        outcome = work.context.run(drive, run_steps(x), x)
        work.phase = DONE
        work.promise.settle(outcome)
        if not isinstance(outcome, Err) or isinstance(outcome.error, Exception):
            return
        if not x.cancelling:
            raise outcome.error  # the stop button stops the caller too, not only this run

    def start(self, work: Work) -> None:
        """Carry the work out now."""
        work.phase = QUEUED
        self.push(work)

    def ready(self, command: Invoke, work: Work) -> None:
        """There is nothing to prepare for a call."""

    def invoke(self, command: Invoke, work: Work, worker: Worker | None) -> Any:
        """Call user code in this thread."""
        del work, worker
        return command.fn(*command.args, **command.kwargs)

    def replace(self, worker: Worker, work: Work) -> None:
        """There are no places: limits of time are kept by the driver."""

    def close(self) -> None:
        """Nothing to release."""
