"""What each waiting run waits for, in words; and a watchdog that says so when nothing moves.

Nobody notes what a run waits for when it begins to wait: it is read from the run's execution when
somebody asks, which costs the runs nothing. So that a board that was drawn before does not go on
saying what is no longer so, the watchdog looks at the live runs now and then and announces those
whose answer has changed. If no run has moved for a while although some wait, it logs what each
waits for, once.
"""

import itertools
import threading
import time
from typing import Any

from cellist.engine.execution import Execution
from cellist.engine.far import FarCall
from cellist.engine.flights import Ticket
from cellist.engine.scheduler import QUEUED, Work
from cellist.engine.threads import run_in_thread
from cellist.engine.timers import call_later
from cellist.model.states import PENDING, RUNNING

_EVERY = 1.0
_PATIENCE = 30.0
"""Seconds in which no run has moved, from which that is told."""
_LOOKED_AT = 1000
_NAMED = 5


def waits_for(x: Execution) -> str | None:
    """Return what a live run waits for, such as ``waits for `fetch-3` ``; `None` if its code runs.

    Runs that wait for a retry say so by their state.
    """
    kind = x.run.state_type  # not `state`: to look must not make an object for each run
    permit = x.permit
    if permit is not None and permit.outcome is None:
        limits = _listed([f"`{limit.name.removeprefix('tag:')}`" for limit in permit.limits])
        return f"waits for limit {limits}"
    if isinstance(x.waker, Ticket):
        return f"waits for `{x.waker.flight.holder.run.name}`, which computes the same"
    work: Any = x.carrier
    call: Any = getattr(work, "call", None)
    if kind is RUNNING and isinstance(call, FarCall):
        return None if call.begun else call.waits
    if kind is not None and kind is not PENDING:
        return None
    inputs = [f"`{one.run.name}`" for one in x.waits or () if one.outcome is None]
    if inputs:
        return f"waits for {_listed(inputs)}"
    if isinstance(work, Work):
        return "waits for a worker" if work.phase is QUEUED else None
    return "waits for the event loop" if work is not None else None


def _listed(names: list[str]) -> str:
    more = len(names) - 2
    if more > 0:
        return f"{names[0]}, {names[1]} and {more:,} other{'s' if more > 1 else ''}"
    return " and ".join(names)


class Watchdog:
    """Looks at the live runs of a session now and then, as long as there are any."""

    def __init__(self, live: dict[int, Execution]) -> None:
        self._live = live
        self._lock = threading.Lock()
        self.is_on = False
        self._told: dict[int, str | None] = {}
        self._seen: Any = None
        self._since = 0.0
        self._is_reported = False

    def begin(self) -> None:
        """Look from now on."""
        with self._lock:
            if not self.is_on:
                self.is_on = True
                call_later(_EVERY, self._look_in_thread)

    def _look_in_thread(self) -> None:
        run_in_thread(self._tick)

    def _tick(self) -> None:
        with self._lock:
            if not self._live:
                self.is_on = False
                self._told.clear()
                return
        try:
            self.look(time.monotonic())
        finally:
            call_later(_EVERY, self._look_in_thread)

    def look(self, now: float) -> None:
        """Announce runs that wait for something else than before, and a standstill."""
        waiting: dict[int, str] = {}
        moves: list[Any] = []
        executions = list(itertools.islice(list(self._live.values()), _LOOKED_AT))
        for x in executions:
            number = x.run.number
            reason = waits_for(x)
            moves.append((number, len(x.run.entered)))
            if reason is not None:
                waiting[number] = reason
            if self._told.get(number) != reason:
                self._told[number] = reason
                x.run.announce("waits")
        for number in self._told.keys() - self._live.keys():
            self._told.pop(number, None)
        self._watch_standstill(executions, waiting, tuple(moves), now)

    def _watch_standstill(
        self, executions: list[Execution], waiting: dict[int, str], moves: Any, now: float
    ) -> None:
        if moves != self._seen or not waiting or any(_runs_code(x, waiting) for x in executions):
            self._seen, self._since, self._is_reported = moves, now, False
            return
        if self._is_reported or now - self._since < _PATIENCE:
            return
        self._is_reported = True
        stuck = [x for x in executions if x.run.number in waiting]
        said = [f"`{x.run.name}` {waiting[x.run.number]}" for x in stuck[:_NAMED]]
        more = f"; and {len(stuck) - _NAMED:,} more wait" if len(stuck) > _NAMED else ""
        first = stuck[0]
        message = f"Nothing has moved for {now - self._since:.0f} s: {'; '.join(said)}{more}."
        first.services.log(first.flow or first, 30, message)


def _runs_code(x: Execution, waiting: dict[int, str]) -> bool:
    """Whether a task's code may be running: a flow's body waits for its tasks as a rule."""
    is_task = x.run.kind == "task"
    return is_task and x.run.number not in waiting and x.run.state_type is not PENDING


__all__ = ["Watchdog", "waits_for"]
