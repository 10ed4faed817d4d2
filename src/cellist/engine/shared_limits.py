"""Limits that hold across kernels, in the table of limits of this one.

Within the kernel such a limit is like any other: the same queue, the same permits. But whether
there is room is decided where all kernels look, when it is the turn of the first in line; and a
thread sleeps, while somebody waits, until another kernel has given slots back or is gone. What is
held is a lease, which is renewed while this process lives.

If the place that all look at cannot be used, the limit holds within this kernel, with a warning.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from cellist.engine.bells import Bell, ring
from cellist.engine.permits import Limit, Permit, Slots
from cellist.engine.threads import run_in_thread
from cellist.engine.timers import Timer, call_later

_log = logging.getLogger("cellist")
_HEARTBEAT = 4.0
_ABROAD = 0.5  # seconds between two looks while another machine holds slots
_LINGER = 2.0
_MOST_NAMED = 3


class Table(Protocol):
    """Where all kernels look; see `caching.limit_tables`."""

    path: Path

    def limits(self) -> dict[str, tuple[float, float]]:
        """Return the limits there are: how many slots, and how many come back per second."""
        ...

    def define(self, name: str, most: float, per_second: float) -> None:
        """Make or change a limit."""
        ...

    def remove(self, name: str) -> None:
        """Take a limit away."""
        ...

    def take(self, name: str, token: str, count: int, who: str, seconds: float) -> Any:
        """Take slots if there are enough and it is the turn of this process."""
        ...

    def give(self, tokens: list[str]) -> None:
        """Give slots back."""
        ...

    def stop_waiting(self, name: str) -> None:
        """Leave the turn to others."""
        ...

    def renew(self, tokens: list[str]) -> set[str]:
        """Put off the end of leases, and return those that others have ended."""
        ...

    def look(self, name: str) -> Any:
        """Return how a limit stands."""
        ...

    def close(self) -> None:
        """Let go of the file; a later use opens it again."""
        ...


class SharedLimit(Limit):
    """One limit that other kernels know, too."""

    __slots__ = ("hub", "is_waiting", "seen", "tokens")

    def __init__(self, name: str, clock: Callable[[], float], hub: "SharedLimits") -> None:
        super().__init__(name, clock)
        self.hub = hub
        self.seen: Any = None
        """How it stood when it was last asked for."""
        self.tokens: dict[Permit, str] = {}
        self.is_waiting = False
        """Whether others may take note that somebody here waits."""

    def change(self, most: float, per_second: float) -> None:
        """Learn how many slots there are."""
        self.most = most
        self.per_second = per_second

    def in_use(self) -> float:
        """Return how many slots are taken at this moment, in all kernels."""
        seen = self.hub.attempt(lambda table: table.look(self.name))
        if seen is None:
            return super().in_use()
        self.seen = seen
        return seen.in_use

    def has_room(self, count: int) -> bool:
        """Whether it is worth while to ask."""
        del count
        return True

    def seconds_until(self, count: int) -> float:
        """Return when time alone will have freed so many slots."""
        del count
        return max(0.001, self.seen.seconds) if self.seen is not None else 0.1

    def reserve(self, permit: Permit) -> bool:
        """Take slots where all kernels look; whether they were granted."""
        if permit.lender(self) is not None:
            return True
        token = uuid4().hex
        hub = self.hub
        seen = hub.attempt(
            lambda table: table.take(self.name, token, permit.count, permit.who, permit.lease)
        )
        if seen is None:
            return hub.is_broken and Limit.in_use(self) + permit.count <= self.most
        self.seen = seen
        if seen.granted and not self.per_second:
            self.tokens[permit] = token
            hub.hold(token, permit)
            if seen.others:
                hub.ring()
        elif not seen.granted:
            self.is_waiting = not self.per_second
        return seen.granted

    def unreserve(self, permit: Permit) -> None:
        """Give back what was reserved for a permit that cannot have all it asks for."""
        token = self.tokens.pop(permit, None)
        if token is not None:
            self.hub.give(token)

    def take(self, permit: Permit) -> None:
        """Let a permit have what was reserved for it."""
        if not self.per_second:
            super().take(permit)

    def give_back(self, permit: Permit, slots: Slots) -> bool:
        """End a permit's use of slots; whether somebody goes on using them."""
        is_used = super().give_back(permit, slots)
        if not is_used:
            self.unreserve(slots.owner)
        return is_used

    def use(self) -> str:
        """Return how much is in use, and by which kernels."""
        seen = self.seen
        if seen is None:
            return super().use()
        text = f"{seen.in_use:.3g} of {self.most:g} in use"
        pids = dict.fromkeys(
            one.pid if one.is_here else f"{one.pid} of {one.host.split()[0]}"
            for one in seen.holders
            if not (one.is_here and one.pid == os.getpid())
        )
        named = [f"kernel {pid}" for pid in pids][:_MOST_NAMED]
        if named and len(seen.holders) > len(pids):
            named.append("others")
        return f"{text}, by {', '.join(named)}" if named else text

    def holders(self) -> tuple[str, ...]:
        """Return who has slots, those of other kernels with the number of their process."""
        seen = self.seen
        if seen is None:
            return super().holders()
        here = os.getpid()
        return tuple(
            one.who if one.is_here and one.pid == here else f"{one.who} (kernel {one.pid})"
            for one in seen.holders
        )


class SharedLimits:
    """What limits of this kernel share with those of others, through one directory."""

    def __init__(self, table: Table, warn: Callable[[str], None]) -> None:
        self._table = table
        self._warn = warn
        self.bells = table.path.with_name("bells")
        self.serve: Callable[[Iterable[Limit]], None] = lambda _: None
        """Lets go on who can; set by the table of limits of this process."""
        self.is_broken = False
        self._held: dict[str, tuple[Permit, float]] = {}
        """Tokens of leases with when they were last known to hold."""
        self._timer: Timer | None = None
        self._waiting: dict[SharedLimit, None] = {}
        self._watched: set[int] = set()
        self._bell: Any = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def attempt(self, work: Callable[[Table], Any]) -> Any:
        """Do something at the table; `None`, with a warning unless it is only busy, if it fails."""
        try:
            found = work(self._table)
        except (OSError, sqlite3.Error) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                self.is_broken = True
                self._warn(
                    f"cellist cannot use {self._table.path} ({error}); until it can, limits "
                    "shared by kernels hold within each of them."
                )
            return None
        self.is_broken = False
        return found

    def exists(self) -> bool:
        """Whether there is a table at all."""
        return self._table.path.exists()

    def known(self) -> dict[str, tuple[float, float]] | None:
        """Return the limits there are, `None` if that cannot be told now."""
        return self.attempt(lambda table: table.limits())

    def define(self, name: str, most: float, per_second: float) -> None:
        """Make or change a limit. Raises `OSError` or `sqlite3.Error` if that cannot be kept."""
        self._table.define(name, most, per_second)
        self.ring()

    def remove(self, name: str) -> None:
        """Take a limit away. Raises as `define` does."""
        self._table.remove(name)
        self.ring()

    def close(self) -> None:
        """Let go of the table; a later use opens it again."""
        self._table.close()

    def ring(self) -> None:
        """Tell other kernels that something has changed."""
        ring(self.bells)

    # -- what is held --

    def hold(self, token: str, permit: Permit) -> None:
        """Renew a lease from now on."""
        with self._lock:
            self._held[token] = (permit, time.monotonic())
            self._arm()

    def give(self, token: str) -> None:
        """Give slots back and wake who waits elsewhere."""
        with self._lock:
            self._held.pop(token, None)
        self.attempt(lambda table: table.give([token]))
        self.ring()

    def _arm(self) -> None:
        if self._timer is None and self._held:
            shortest = min(permit.lease for permit, _ in self._held.values())
            self._timer = call_later(shortest / 3, lambda: run_in_thread(self.renew))

    def renew(self) -> None:
        """Put off the end of all leases, and tell whose are lost."""
        with self._lock:
            self._timer = None
            held = dict(self._held)
        now = time.monotonic()
        lost = self.attempt(lambda table: table.renew(list(held)))
        if lost is None:  # it may have been a moment's fault
            lost = {one for one, (permit, at) in held.items() if now - at > permit.lease}
        else:
            with self._lock:
                for token in held.keys() & self._held.keys() - lost:
                    self._held[token] = (held[token][0], now)
        with self._lock:
            gone = [held[token][0] for token in lost if self._held.pop(token, None) is not None]
            self._arm()
        for permit in gone:
            self._tell_lost(permit)

    def _tell_lost(self, permit: Permit) -> None:
        names = ", ".join(repr(limit.name) for limit in permit.limits)
        message = (
            f"{permit.who!r} lost its slot(s) of limit {names}: the lease could not be renewed "
            "in time, so another kernel may have them."
        )
        if permit.on_lost is None or not permit.on_lost(message):
            self._warn(message)

    # -- who waits --

    def watch(self, limit: SharedLimit) -> None:
        """See to it that somebody listens while a limit is waited for, and to whom."""
        with self._lock:
            is_news = limit not in self._waiting or not _pids([limit]) <= self._watched
            self._waiting[limit] = None
            if self._thread is not None and self._thread.is_alive():
                if is_news and self._thread is not threading.current_thread():
                    self._bell.poke()
            else:
                self._bell = Bell(self.bells)
                self._thread = threading.Thread(
                    target=self._listen, name="cellist-limits", daemon=True
                )
                self._thread.start()

    def unwatch(self, limit: SharedLimit) -> None:
        """Learn that nobody waits for a limit any more."""
        with self._lock:
            self._waiting.pop(limit, None)
        if limit.is_waiting:
            limit.is_waiting = False
            if limit.seen is None or not limit.seen.granted:  # whoever is next may go on
                self.attempt(lambda table: table.stop_waiting(limit.name))
                self.ring()

    def _listen(self) -> None:
        bell = self._bell
        idle_since: float | None = None
        try:
            while True:
                with self._lock:
                    limits = list(self._waiting)
                    if limits:
                        idle_since = None
                    elif idle_since is None:
                        idle_since = time.monotonic()
                    elif time.monotonic() - idle_since >= _LINGER:
                        self._thread = None
                        return
                if limits:
                    self._serve(limits)
                self._watched = _pids(limits)
                bell.wait(_patience(limits), self._watched)
        finally:
            bell.close()

    def _serve(self, limits: list[SharedLimit]) -> None:
        try:
            self.serve(limits)
        except Exception:
            _log.exception("Who waits for a limit could not be served.")


def _holders(limits: list[SharedLimit]) -> list[Any]:
    """Return who in other processes holds what is waited for."""
    here = os.getpid()
    seen = [limit.seen for limit in limits if limit.seen is not None]
    return [one for look in seen for one in look.holders if not (one.is_here and one.pid == here)]


def _pids(limits: list[SharedLimit]) -> set[int]:
    """Return the processes whose end is to wake us."""
    return {one.pid for one in _holders(limits) if one.is_here}


def _patience(limits: list[SharedLimit]) -> float:
    """Return how long to sleep at most."""
    if not limits:
        return _LINGER
    holders = _holders(limits)
    longest = _HEARTBEAT if all(one.is_here for one in holders) else _ABROAD
    return min([longest, *(max(0.01, one.until - time.time()) for one in holders)])
