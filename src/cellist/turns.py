"""Whose turn it is to compute a key, seen from other processes: the lock that goes with a flight.

With `SERIALIZABLE` it is that of the policy's lock manager, and a run waits for it in any case.
Otherwise it is a lease in the store's directory, and a run rather computes for itself than wait
where a circle could close: when it, or a run it is part of, holds a lease already, or when the
holder is the process that started this one.
"""

import os
from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple

from cellist.caching.leases import FileSystemLockManager, Lease
from cellist.caching.stores import AnyStore, Stores
from cellist.engine.errors import one_line
from cellist.engine.execution import Execution
from cellist.engine.flights import Flight, Flights, has_lock
from cellist.model.host import host_name
from cellist.model.ids import as_hex
from cellist.model.isolation import IsolationLevel
from cellist.persistence import CachePlan

_FIRST, _LONGEST = 0.005, 0.1  # seconds between two looks at a lock that somebody holds


class Turn(NamedTuple):
    """It is somebody else's turn: how long to wait before the next look, and whose."""

    pause: float
    who: str


class Turns:
    """Takes and gives back the locks of flights."""

    def __init__(self, stores: Stores, flights: Flights, warn: Callable[[str], object]) -> None:
        self._stores = stores
        self._turn_abroad = flights.turn_abroad
        self._warn = warn
        self._mutex = Lock()

    def take(
        self, x: Execution, plan: CachePlan, store: AnyStore, key: str, is_quick: bool
    ) -> Turn | None:
        """Take the lock that goes with the run's flight, or say how long to wait.

        Trouble with the lock is one warning, and the run goes on without it.
        """
        flight: Flight | None = x.flight
        if flight is None or flight.lock is not None:
            return None
        try:
            turn = self._take(x, flight, plan, store, key, is_quick)
        except Exception as error:
            text = f"{type(error).__name__}: {one_line(error)}"
            self._warn(f"Runs are not kept from computing a result twice: {text}")
            turn = None
        if turn is None:
            flight.is_abroad = False
        elif not flight.is_abroad:
            self._turn_abroad(flight)
        return turn

    def _take(
        self,
        x: Execution,
        flight: Flight,
        plan: CachePlan,
        store: AnyStore,
        key: str,
        is_quick: bool,
    ) -> Turn | None:
        is_asked_for = plan.isolation is IsolationLevel.SERIALIZABLE
        manager = plan.lock_manager if is_asked_for else None
        if manager is None and is_asked_for and plan.storage is not None:
            manager = plan.storage.lock_manager
        if manager is None:
            if not is_asked_for and (is_quick or not store.is_writable):
                return None
            manager = self._stores.locks_of(store)
        holder = f"{host_name()}:{os.getpid()}:{as_hex(x.run.number)}"
        try:
            is_ours, lease = _attempt(manager, key, holder)
        except BaseException as error:
            if not isinstance(error, Exception):  # an interrupt, perhaps just after it was taken
                flight.lock = (manager, key, holder)
            raise
        if is_ours:
            flight.lock = (manager, key, holder)
            if x.flight is not flight:  # a cancel ended the run meanwhile
                self.give_back(flight)
            return None
        if not is_asked_for and (has_lock(x) or (lease is not None and lease.is_above)):
            return None
        pause = flight.pause = min(max(_FIRST, flight.pause * 1.5), _LONGEST)
        return Turn(pause, _who(lease))

    def give_back(self, flight: Flight) -> None:
        """Give back the lock of a flight that lands."""
        with self._mutex:
            held, flight.lock = flight.lock, None
        if held is None:
            return
        manager, key, holder = held
        try:
            manager.release_lock(key, holder)
        except ValueError:
            pass  # its time was up, or somebody deleted it
        except Exception as error:
            self._warn(f"A lock could not be given back: {type(error).__name__}: {one_line(error)}")


def _attempt(manager: Any, key: str, holder: str) -> tuple[bool, Lease | None]:
    """Take a lock if it is free; say whether it was, and if it is known who has it."""
    if isinstance(manager, FileSystemLockManager):
        lease = manager.attempt(key, holder)
        return lease is None, lease
    return manager.acquire_lock(key, holder, acquire_timeout=0), None


def _who(lease: Lease | None) -> str:
    if lease is None:
        return "the holder of its lock"
    return f"another kernel (process {lease.pid})"
