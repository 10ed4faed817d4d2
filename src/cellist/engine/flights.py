"""Single flight: what is being computed under which key, and who waits for it.

The run that computes has the flight; others that want the same key wait until it lands and then
look again. A wait must never close a circle: a run does not wait for a run it is part of, for one
whose thread it would block, nor for one that itself waits, in whatever roundabout way, for it. It
computes for itself instead, which is always allowed. The graph of waits also holds the waits for
futures by the code of tasks, since a circle may run through them.
"""

import threading
from collections.abc import Generator, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from cellist.engine.commands import Err, Offload, Ok, Sleep, Steps, Wait, Waker, stop_in
from cellist.engine.execution import Execution, current
from cellist.engine.promise import Latch, Promise
from cellist.engine.slots import give_slots_back, take_slots
from cellist.engine.threads import this_worker
from cellist.exceptions import CancelledRun

KEPT, NOT_KEPT, FAILED = "kept", "not kept", "failed"
_ALONE = "alone"
_REMEMBERED = 1024  # landings
_lock = threading.RLock()
_waits: dict[int, dict[int, Latch]] = {}
"""By the number of a run: what it, or a run that is part of it, waits for."""


class Flight(Latch):
    """The computation of one key. It settles when it lands, with one of the words above."""

    __slots__ = ("holder", "ident", "is_abroad", "lock", "pause", "thread", "tickets")

    def __init__(self, holder: Execution, ident: Hashable) -> None:
        super().__init__()
        self.holder = holder
        self.ident = ident
        self.thread = holder.thread
        self.pause = 0.0
        """Seconds until the next look at a lock somebody else holds."""
        self.lock: tuple[Any, str, str] | None = None
        """The lock manager, key and holder of the lock that goes with the flight."""
        self.is_abroad = False
        """Whether it waits for another process before it computes."""
        self.tickets: set[Ticket] = set()

    @property
    def word(self) -> str | None:
        """How it landed; `None` while it is in the air."""
        return self.outcome.value if isinstance(self.outcome, Ok) else None


class Ticket(Latch):
    """One run's wait for a flight: ended by its landing, by a cancel, or to break a circle."""

    __slots__ = ("flight", "x")

    def __init__(self, x: Execution, flight: Flight) -> None:
        super().__init__()
        self.x = x
        self.flight = flight

    def landed(self, _: Any) -> None:
        """End the wait because the flight has landed."""
        self.settle(Ok(None))

    def wake(self, word: str) -> None:
        """End the wait early; `word` says why."""
        self.settle(Ok(word))


class Flights:
    """The flights of a session, by what identifies a key and its store."""

    def __init__(self) -> None:
        self.up: dict[Hashable, Flight] = {}
        self.landings = 0
        self._landed: dict[Hashable, int] = {}
        self.solo: set[Any] = set()
        """Tasks whose last result was not kept: waiting for one another would gain nothing."""

    def board(self, x: Execution, ident: Hashable) -> Flight | None:
        """Start the flight of a key, or return the one in the air if the run may wait for it.

        Without either, `x.flight` stays `None`: the run computes for itself.
        """
        with _lock:
            other = self.up.get(ident)
            if other is not None:
                return None if _must_not_wait(x, other) else other
            x.flight = self.up[ident] = Flight(x, ident)
        if x.run.is_final:  # a cancel ended the run while its look-up went on in a thread
            flight = self.leave(x)
            if flight is not None:
                self.land(flight, FAILED)
        return None

    def landed_since(self, ident: Hashable, landings: int) -> bool:
        """Whether a flight of this key has landed since so many had."""
        return self._landed.get(ident, 0) > landings

    def leave(self, x: Execution) -> Flight | None:
        """Take the flight from its run, for who gets it to land it."""
        with _lock:
            flight: Flight | None = x.flight
            x.flight = None
        return flight

    def land(self, flight: Flight, word: str) -> None:
        """End a flight and wake who waits for it. It may be called again after an interrupt."""
        with _lock:
            if self.up.get(flight.ident) is flight:
                del self.up[flight.ident]
            self.landings += 1
            self._landed.pop(flight.ident, None)
            self._landed[flight.ident] = self.landings
            if len(self._landed) > _REMEMBERED:
                del self._landed[next(iter(self._landed))]
        flight.settle(Ok(word))

    def turn_abroad(self, flight: Flight) -> None:
        """Take note that a flight waits for another process, which may wait for one of our locks.

        So who waits for it and has a lock computes for itself.
        """
        with _lock:
            flight.is_abroad = True
            stuck = [ticket for ticket in flight.tickets if has_lock(ticket.x)]
        for ticket in stuck:
            ticket.wake(_ALONE)


def find(x: Execution) -> Steps[Ok | Err | None]:
    """Return a result to reuse, `None` if the run must compute, an error if the wait was ended.

    While another run computes the same, wait for it, holding neither thread, worker nor slots. The
    slots are taken again before the look that may start a flight: nobody waits for one with it.
    """
    look_up = x.services.cache.look_up
    x.thread = 0 if this_worker() is not None else threading.get_ident()
    while True:
        outcome = yield Offload(look_up, x)
        if isinstance(outcome, Err):
            return outcome if stop_in(outcome) is not None else None
        found = outcome.value
        if isinstance(found, Flight):
            outcome = yield from _wait_without_slots(x, found)
        elif isinstance(found, float):
            outcome = yield from _sleep(x, found)
        else:
            return found
        if x.cancelling:
            return Err(CancelledRun("Cancelled."))
        if isinstance(outcome, Err):
            return outcome


def _wait_without_slots(x: Execution, flight: Flight) -> Steps[Ok | Err]:
    if x.permit is None:
        return (yield from _wait_for(x, flight))
    give_slots_back(x)
    outcome = yield from _wait_for(x, flight)
    if isinstance(outcome, Ok) and not x.cancelling:
        error = yield from take_slots(x, quietly=True)
        if error is not None:
            return Err(error)
    return outcome


def _wait_for(x: Execution, flight: Flight) -> Steps[Ok | Err]:
    ticket = Ticket(x, flight)
    with _lock:
        if _must_not_wait(x, flight):  # others began to wait meanwhile
            x.cache_note.is_alone = True
            return Ok(None)
        _note(x, ticket)
        flight.tickets.add(ticket)
    x.waker = ticket
    flight.on_settled(ticket.landed)
    try:
        outcome = Ok(None) if x.cancelling else (yield Wait([ticket]))
    finally:
        x.waker = None
        flight.forget(ticket.landed)
        flight.tickets.discard(ticket)
        _forget(x, ticket)
    if isinstance(ticket.outcome, Ok) and ticket.outcome.value == _ALONE:
        x.cache_note.is_alone = True
    return outcome


def _sleep(x: Execution, seconds: float) -> Steps[Ok | Err]:
    x.waker = Waker()
    try:
        return Ok(None) if x.cancelling else (yield Sleep(seconds, x.waker))
    finally:
        x.waker = None


def chain(x: Execution | None) -> Iterator[Execution]:
    """Yield an execution and those it is part of."""
    while x is not None:
        yield x
        x = x.parent


def _must_not_wait(x: Execution, flight: Flight) -> bool:
    """Whether waiting for the flight could close a circle. The lock is held."""
    above = set(map(id, chain(x)))
    if id(flight.holder) in above:
        return True
    if flight.thread == x.thread and x.thread and not x.plan.is_async:
        return True  # the holder's code goes on in the thread that this wait would block
    if flight.is_abroad and has_lock(x):
        return True  # the process it waits for may wait for us
    return any(id(one) in above for one in _reached([flight])[0])


def has_lock(x: Execution) -> bool:
    """Whether a run, or one that it is part of, has a lock that other processes may wait for."""
    return any(one.flight is not None and one.flight.lock is not None for one in chain(x))


def _reached(targets: Iterable[Latch]) -> tuple[list[Execution], list[Ticket]]:
    """Return the runs that these waits depend on, and the waits for flights on the way."""
    runs: list[Execution] = []
    tickets: list[Ticket] = []
    seen: set[int] = set()
    ahead = list(targets)
    while ahead:
        target = ahead.pop()
        if id(target) in seen or target.outcome is not None:
            continue
        seen.add(id(target))
        if isinstance(target, Ticket):
            tickets.append(target)
            ahead.append(target.flight)
            continue
        x = target.holder if isinstance(target, Flight) else getattr(target, "execution", None)
        if x is None:
            continue
        runs.append(x)
        ahead.extend(_waits.get(x.run.number, {}).values())
        ahead.extend(x.waits or ())
    return runs, tickets


def _note(x: Execution, target: Latch) -> None:
    """Put a wait of a run into the graph, for the run and those it is part of."""
    with _lock:
        for one in chain(x):
            if one.parent is not None or not one.plan.is_flow:  # nobody waits for those
                _waits.setdefault(one.run.number, {})[id(target)] = target


def _forget(x: Execution, target: Latch) -> None:
    with _lock:
        for one in chain(x):
            waits = _waits.get(one.run.number)
            if waits is not None and waits.pop(id(target), None) is not None and not waits:
                del _waits[one.run.number]


@contextmanager
def noted_wait(promises: Iterable[Promise]) -> Generator[None]:
    """Take note that the code of the present run waits for futures.

    Where that closes a circle, the runs in it that wait for a flight compute for themselves.
    """
    x = current.get()
    if x is None or (x.parent is None and x.plan.is_flow):  # nobody waits for those
        yield
        return
    waiting = [promise for promise in promises if promise.outcome is None]
    with _lock:
        for promise in waiting:
            _note(x, promise)
        runs, tickets = _reached(waiting)
        above = set(map(id, chain(x)))
        circle = tickets if any(id(one) in above for one in runs) else []
    for ticket in circle:
        ticket.wake(_ALONE)
    try:
        yield
    finally:
        for promise in waiting:
            _forget(x, promise)
