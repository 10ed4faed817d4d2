"""Limits that all kernels of a project share: what there is, who has it, and who waits.

A small SQLite database beside the results, safe to delete. A slot that is taken is a row that says
which process took it; a process of this machine that is gone loses its rows at once, one elsewhere
when its lease ends. A process that waits has a row, too, so that kernels take turns: who holds a
slot and gives it back does not take it again before one that has waited for longer.

All methods raise `OSError` or `sqlite3.Error` if the directory cannot be used.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakSet

from cellist.caching.files import identity_of
from cellist.caching.mounts import AUTO, keeps_files
from cellist.caching.processes import own_start, started, this_host
from cellist.model.locations import ensure

FILE = "limits.sqlite"
_BUSY_SECONDS = 2.0
_WAITING_SECONDS = 10.0  # for how long one that waits and is not heard of keeps its turn
_ROUNDING = 1e-9
_SCHEMA = """
CREATE TABLE IF NOT EXISTS limits (
    name TEXT PRIMARY KEY, most REAL, per_second REAL, level REAL, at REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slots (
    token TEXT PRIMARY KEY, name TEXT, count INTEGER, who TEXT,
    host TEXT, pid INTEGER, started REAL, until REAL, seconds REAL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS slots_by_name ON slots (name);
CREATE TABLE IF NOT EXISTS waiting (
    name TEXT, host TEXT, pid INTEGER, started REAL, since REAL, until REAL,
    PRIMARY KEY (name, host, pid, started)
) WITHOUT ROWID;
"""
_MINE = "host = ? AND pid = ? AND started = ?"


class Holder(NamedTuple):
    """Who has slots of a limit: a run or code, and the process it is in."""

    who: str
    slots: int
    host: str
    pid: int
    until: float

    @property
    def is_here(self) -> bool:
        """Whether the process is on this machine."""
        return self.host == this_host()


class Look(NamedTuple):
    """How a limit stands: whether slots were granted and, if not, what is in the way."""

    granted: bool
    in_use: float
    most: float
    holders: tuple[Holder, ...] = ()
    seconds: float = 0.0
    """Of a rate: when time alone will have freed the slots."""
    others: bool = False
    """Whether slots are left that other processes wait for, which are to be told."""


class LimitTable:
    """The limits of a project directory, for one process. May be used by several threads."""

    def __init__(self, directory: Path, kind: str = AUTO) -> None:
        self.path = directory / FILE
        self._kind = kind
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._lock = threading.RLock()
        self._version = -1
        self._known: dict[str, tuple[float, float]] = {}
        _tables.add(self)

    def limits(self) -> dict[str, tuple[float, float]]:
        """Return the limits there are: how many slots, and how many come back per second."""
        if not self.path.exists():
            return {}
        if not self._lock.acquire(blocking=self._version == -1):
            return self._known  # somebody here writes, which may take a while: as of a moment ago
        try:
            connection = self._open()
            version = connection.execute("PRAGMA data_version").fetchone()[0]
            if version != self._version:
                self._known = self._read(connection)
                self._version = version
            return self._known
        finally:
            self._lock.release()

    def define(self, name: str, most: float, per_second: float) -> None:
        """Make or change a limit."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO limits VALUES (?, ?, ?, 0, ?) ON CONFLICT (name) DO UPDATE SET "
                "most = excluded.most, per_second = excluded.per_second",
                (name, most, per_second, time.time()),
            )
            self._known = self._read(connection)

    def remove(self, name: str) -> None:
        """Take a limit away, and whatever was noted about it."""
        with self._writing() as connection:
            for table in ("limits", "slots", "waiting"):
                connection.execute(f"DELETE FROM {table} WHERE name = ?", (name,))  # noqa: S608 - a constant
            self._known = self._read(connection)

    def take(self, name: str, token: str, count: int, who: str, seconds: float) -> Look:
        """Take slots if there are enough and no other process has waited for longer.

        `seconds` is how long they are held without being renewed.
        """
        now = time.time()
        with self._writing() as connection:
            row = connection.execute(
                "SELECT most, per_second, level, at FROM limits WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                return Look(True, 0, float("inf"))
            most, per_second = row[:2]
            if per_second:
                return _pass(connection, name, count, row, now)
            holders = _holders(connection, name, now)
            in_use = sum(one.slots for one in holders)
            has_room = in_use + count <= most + _ROUNDING
            if has_room and not _is_anothers_turn(connection, name, now):
                mine = (this_host(), os.getpid(), own_start())
                connection.execute(
                    "INSERT OR REPLACE INTO slots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (token, name, count, who, *mine, now + seconds, seconds),
                )
                connection.execute(f"DELETE FROM waiting WHERE name = ? AND {_MINE}", (name, *mine))  # noqa: S608 - a constant
                waits = connection.execute("SELECT 1 FROM waiting WHERE name = ? LIMIT 1", (name,))
                others = waits.fetchone() is not None and in_use + count < most
                return Look(True, in_use + count, most, tuple(holders), others=others)
            _wait(connection, name, now)
            return Look(False, in_use, most, tuple(holders))

    def give(self, tokens: Collection[str]) -> None:
        """Give slots back."""
        with self._writing() as connection:
            connection.executemany("DELETE FROM slots WHERE token = ?", [(one,) for one in tokens])

    def stop_waiting(self, name: str) -> None:
        """Leave the turn to others."""
        mine = (this_host(), os.getpid(), own_start())
        with self._writing() as connection:
            connection.execute(f"DELETE FROM waiting WHERE name = ? AND {_MINE}", (name, *mine))  # noqa: S608 - a constant

    def renew(self, tokens: Collection[str]) -> set[str]:
        """Put off the end of leases, and return the tokens of those that others have ended."""
        now = time.time()
        with self._writing() as connection:
            return {
                token
                for token in tokens
                if not connection.execute(
                    "UPDATE slots SET until = ? + seconds WHERE token = ?", (now, token)
                ).rowcount
            }

    def look(self, name: str) -> Look:
        """Return how a limit stands; slots of those that are gone do not count."""
        with self._lock:
            connection = self._open()
            row = connection.execute(
                "SELECT most, per_second, level, at FROM limits WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                return Look(False, 0, 0)
            most, per_second, level, at = row
            if per_second:
                passed = max(0.0, time.time() - at) * per_second
                return Look(False, max(0.0, level - passed), most)
            holders = [one for one, is_over in _seen(connection, name, time.time()) if not is_over]
            return Look(False, sum(one.slots for one in holders), most, tuple(holders))

    def _read(self, connection: sqlite3.Connection) -> dict[str, tuple[float, float]]:
        rows = connection.execute("SELECT name, most, per_second FROM limits").fetchall()
        return {name: (most, per_second) for name, most, per_second in rows}

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            before = self._known
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                self._known = before
                with suppress(sqlite3.Error):  # a full disk may have rolled it back already
                    connection.execute("ROLLBACK")
                raise

    def _open(self) -> sqlite3.Connection:
        """Return the connection, a new one if the file was deleted."""
        name = str(self.path)
        if self._connection is not None and identity_of(name) == self._identity:
            return self._connection
        ensure(self.path.parent)
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        mode = "DELETE" if keeps_files(self.path.parent, self._kind) else "WAL"
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(_SCHEMA)
        self._connection, self._identity, self._version = connection, identity_of(name), -1
        return connection

    def close(self) -> None:
        """Close the connection; a later use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def after_fork(self) -> None:
        """Start over in a forked child, which must not even close its parent's connection."""
        _inherited.append(self._connection)
        self._connection = None
        self._lock = threading.RLock()


def _pass(
    connection: sqlite3.Connection, name: str, count: int, row: tuple[Any, ...], now: float
) -> Look:
    """Take slots of a rate if time has freed enough."""
    most, per_second, level, at = row
    level = max(0.0, level - max(0.0, now - at) * per_second)
    if level + count <= most + _ROUNDING:
        connection.execute(
            "UPDATE limits SET level = ?, at = ? WHERE name = ?", (level + count, now, name)
        )
        return Look(True, level + count, most)
    return Look(False, level, most, (), (level + count - most) / per_second)


def _seen(connection: sqlite3.Connection, name: str, now: float) -> list[tuple[Holder, str | None]]:
    """Return who has slots of a limit, each with its token if its time is over."""
    rows = connection.execute(
        "SELECT who, count, host, pid, until, started, token FROM slots WHERE name = ?", (name,)
    ).fetchall()
    here = this_host()
    found: list[tuple[Holder, str | None]] = []
    for *told, begun, token in rows:
        holder = Holder(*told)
        is_gone = holder.host == here and started(holder.pid) != begun
        found.append((holder, token if is_gone or holder.until <= now else None))
    return found


def _holders(connection: sqlite3.Connection, name: str, now: float) -> list[Holder]:
    """Return who has slots, and take them from those whose time is over."""
    found: list[Holder] = []
    for holder, token in _seen(connection, name, now):
        if token is None:
            found.append(holder)
        else:
            connection.execute("DELETE FROM slots WHERE token = ?", (token,))
    return found


def _is_anothers_turn(connection: sqlite3.Connection, name: str, now: float) -> bool:
    """Whether another process that is still there has waited for longer than this one."""
    here, mine = this_host(), (this_host(), os.getpid(), own_start())
    rows = connection.execute(
        "SELECT host, pid, started, until FROM waiting WHERE name = ? ORDER BY since", (name,)
    ).fetchall()
    for host, pid, begun, until in rows:
        if (host, pid, begun) == mine:
            return False
        if until > now and (host != here or started(pid) == begun):
            return True
        connection.execute(
            f"DELETE FROM waiting WHERE name = ? AND {_MINE}",  # noqa: S608 - a constant
            (name, host, pid, begun),
        )
    return False


def _wait(connection: sqlite3.Connection, name: str, now: float) -> None:
    """Note that this process waits, since it first did."""
    connection.execute(
        "INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "until = excluded.until",
        (name, this_host(), os.getpid(), own_start(), now, now + _WAITING_SECONDS),
    )


_tables: WeakSet[LimitTable] = WeakSet()
_inherited: list[Any] = []


def _after_fork() -> None:
    for table in list(_tables):
        table.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
