"""Locks that other processes see: a small table of leases, safe to delete.

A lease says who holds a key and from which process: host, boot, process id and start time. A
holder on this machine that is gone is found out at once, one elsewhere when its lease ends; a
thread renews the leases of this process while it lives. A table of its own, because `flock`
outlives its holder in a forked child, and because the index of results must not wait for it.
"""

import asyncio
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from cellist.caching.locks import not_held
from cellist.model.locations import ensure

FILE = "leases.sqlite"
_TTL = 30.0
_BUSY_SECONDS = 5
_FIRST, _LONGEST = 0.005, 0.1  # seconds between two looks at a lock that is held
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS leases (key TEXT PRIMARY KEY, holder TEXT, host TEXT,"
    " pid INTEGER, started REAL, until REAL, renews INTEGER) WITHOUT ROWID"
)
_TAKE = "INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_SEE = "SELECT holder, host, pid, started, until FROM leases WHERE key = ?"
_GIVE = "DELETE FROM leases WHERE key = ? AND holder = ? AND until > ?"
_RENEW = "UPDATE leases SET until = ? WHERE host = ? AND pid = ? AND started = ? AND renews"


class Lease(NamedTuple):
    """Who holds a key. `started` tells a process from a later one with the same id."""

    holder: str
    host: str
    pid: int
    started: float
    until: float

    @property
    def is_over(self) -> bool:
        """Whether its time is up, or its holder was on this machine and is gone."""
        if self.until <= time.time():
            return True
        return self.host == _this_host() and _started(self.pid) != self.started

    @property
    def is_above(self) -> bool:
        """Whether this process was started by the holder's, which may wait for it."""
        return self.host == _this_host() and self.pid in {os.getpid(), *_ancestors()}


class FileSystemLockManager:
    """Locks among all processes that can reach a directory. A holder that dies lets go of its.

    `lock_files_directory` is made when it is first needed. Raises `OSError` and `sqlite3.Error`
    if it cannot be used.
    """

    def __init__(self, lock_files_directory: Path | str) -> None:
        self.lock_files_directory = Path(lock_files_directory).expanduser().absolute()
        self._path = self.lock_files_directory / FILE
        self._mutex = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._held: set[tuple[str, str]] = set()
        _managers[id(self)] = self

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Take the lock, waiting at most `acquire_timeout` seconds; say whether it is held."""
        for pause in _pauses(acquire_timeout):
            if self.attempt(key, holder, hold_timeout) is None:
                return True
            time.sleep(pause)
        return False

    async def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Take the lock without blocking the event loop."""
        for pause in _pauses(acquire_timeout):
            if self.attempt(key, holder, hold_timeout) is None:
                return True
            await asyncio.sleep(pause)
        return False

    def attempt(self, key: str, holder: str, hold_timeout: float | None = None) -> Lease | None:
        """Take the lock at once and return `None`, or return the lease of who holds it."""
        seconds = _TTL if hold_timeout is None else hold_timeout
        own = Lease(holder, _this_host(), os.getpid(), _own_start(), time.time() + seconds)
        row = (key, *own, hold_timeout is None)
        with self._mutex:
            connection = self._open()
            if not connection.execute(_TAKE, row).rowcount:
                other = self._replace(connection, row)
                if other is not None and other.holder != holder:
                    return other
            if hold_timeout is None:
                self._held.add((key, holder))
                _keep_renewing()
        return None

    def _replace(self, connection: sqlite3.Connection, row: tuple[Any, ...]) -> Lease | None:
        """Take the place of a lease that is over, or return the one in force."""
        key = row[0]
        try:
            connection.execute("BEGIN IMMEDIATE")
            other = self._seen(connection, key)
            if other is not None and not other.is_over:
                return other
            connection.execute("DELETE FROM leases WHERE key = ?", (key,))
            connection.execute(_TAKE, row)
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")
        return None

    def release_lock(self, key: str, holder: str) -> None:
        """Give the lock back. Raises `ValueError` unless the holder has it."""
        with self._mutex:
            self._held.discard((key, holder))
            deleted = self._open().execute(_GIVE, (key, holder, time.time())).rowcount
        if not deleted:
            raise not_held(key, holder)

    def lease_of(self, key: str) -> Lease | None:
        """Return the lease in force, if there is one."""
        with self._mutex:
            lease = self._seen(self._open(), key) if self._path.exists() else None
        return None if lease is None or lease.is_over else lease

    def is_locked(self, key: str) -> bool:
        """Whether anybody holds the lock."""
        return self.lease_of(key) is not None

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Whether this holder has the lock."""
        lease = self.lease_of(key)
        return lease is not None and lease.holder == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until nobody holds the lock, at most `timeout` seconds; say whether it is free."""
        for pause in _pauses(timeout):
            if not self.is_locked(key):
                return True
            time.sleep(pause)
        return False

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait without blocking the event loop."""
        for pause in _pauses(timeout):
            if not self.is_locked(key):
                return True
            await asyncio.sleep(pause)
        return False

    def _seen(self, connection: sqlite3.Connection, key: str) -> Lease | None:
        row = connection.execute(_SEE, (key,)).fetchone()
        return None if row is None else Lease(*row)

    def _open(self) -> sqlite3.Connection:
        """Return the connection, a new one if the file was deleted. The mutex is held."""
        if self._connection is not None and _identity(self._path) == self._identity:
            return self._connection
        ensure(self.lock_files_directory)
        self._connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF", _SCHEMA):
            self._connection.execute(statement)
        self._identity = _identity(self._path)
        return self._connection

    def renew(self) -> bool:
        """Put off the end of this process's leases; whether there are any."""
        with self._mutex, suppress(OSError, sqlite3.Error):
            if self._held:
                until = time.time() + _TTL
                mine = (_this_host(), os.getpid(), _own_start())
                self._open().execute(_RENEW, (until, *mine))
        return bool(self._held)

    def after_fork(self) -> None:
        """Start over in a forked child, which holds nothing and must not touch the connection."""
        _inherited.append(self._connection)
        self._connection = None
        self._mutex = threading.Lock()
        self._held = set()

    def __repr__(self) -> str:
        return f"FileSystemLockManager({str(self.lock_files_directory)!r})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FileSystemLockManager)
            and other.lock_files_directory == self.lock_files_directory
        )

    def __hash__(self) -> int:
        return hash(self.lock_files_directory)


_managers: WeakValueDictionary[int, FileSystemLockManager] = WeakValueDictionary()
_inherited: list[Any] = []
_renewing = threading.Event()


def _pauses(timeout: float | None) -> Iterator[float]:
    """Yield how long to sleep after each look, until the time is up; there is at least one."""
    deadline = float("inf") if timeout is None else time.monotonic() + timeout
    pause = _FIRST
    yield min(pause, timeout if timeout is not None else pause)
    while (left := deadline - time.monotonic()) > 0:
        pause = min(pause * 1.5, _LONGEST)
        yield min(pause, left)


def _keep_renewing() -> None:
    """See to it that a thread renews leases; it ends when there is nothing to renew."""
    if _renewing.is_set():
        return
    _renewing.set()
    threading.Thread(target=_renew, name="cellist-leases", daemon=True).start()


def _renew() -> None:
    try:
        held = True
        while held:
            time.sleep(_TTL / 3)
            held = _renew_all()
    finally:
        _renewing.clear()
    if _renew_all():  # one was taken a moment ago, and relied on this thread
        _keep_renewing()


def _renew_all() -> bool:
    """Renew the leases of this process; whether there are any."""
    return sum(manager.renew() for manager in list(_managers.values())) > 0


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)  # noqa: PTH116 - asked at every miss, and twice as fast as Path's
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


@cache
def _this_host() -> str:
    """Return what tells this machine, since it was booted, from others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        boot = ""
    return f"{socket.gethostname()} {boot}"


def _started(pid: int) -> float | None:
    """Return when a process was started, as the system counts it; `None` if it is gone."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        fields = facts.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else float(fields[19])
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except (OSError, ValueError, IndexError):
        pass
    psutil: Any = import_module("psutil")  # heavy, and only where there is no /proc
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


_starts: dict[int, float] = {}


def _own_start() -> float:
    pid = os.getpid()
    if pid not in _starts:
        _starts.clear()  # those of the process this one was forked from
        _starts[pid] = _started(pid) or 0.0
    return _starts[pid]


def _ancestors() -> set[int]:
    """Return the ids of the processes that started this one, as far as they are told."""
    multiprocessing: Any = import_module("multiprocessing")
    parent = multiprocessing.parent_process()
    return {os.getppid()} | ({parent.pid} if parent is not None else set())


def _after_fork() -> None:
    _frozen.clear()
    _renewing.clear()
    for manager in list(_managers.values()):
        manager.after_fork()


def _before_fork() -> None:
    for manager in list(_managers.values()):
        manager._mutex.acquire()  # pyright: ignore[reportPrivateUsage] - a child must not inherit a transaction
        _frozen.append(manager)


def _after_fork_in_parent() -> None:
    while _frozen:
        _frozen.pop()._mutex.release()  # pyright: ignore[reportPrivateUsage] - as above


_frozen: list[FileSystemLockManager] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork
    )
