"""Locks that other processes see: a small table of leases, safe to delete.

A lease says who holds a key and from which process: host, boot, process id and start time. A
holder on this machine that is gone is found out at once, one elsewhere when its lease ends; a
thread renews the leases of this process while it lives. A table of its own, because `flock`
outlives its holder in a forked child, and because the index of results must not wait for it.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from cellist.caching.lease_tables import DatabaseTable, FileTable, Lease, Table
from cellist.caching.locks import not_held
from cellist.caching.mounts import AUTO, keeps_files
from cellist.caching.processes import own_start, this_host
from cellist.model.later import later

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())

FILE = "leases.sqlite"
_FOLDER = "leases"
_TTL = 30.0
_FIRST, _LONGEST = 0.005, 0.1  # seconds between two looks at a lock that is held


class FileSystemLockManager:
    """Locks among all processes that can reach a directory. A holder that dies lets go of its.

    `lock_files_directory` is made when it is first needed. `kind` is how they are kept: in an
    `index`, as `files`, or `auto`, which keeps files on network file systems.
    Raises `OSError` and `sqlite3.Error` if it cannot be used.
    """

    def __init__(self, lock_files_directory: Path | str, *, kind: str = AUTO) -> None:
        self.lock_files_directory = Path(lock_files_directory).expanduser().absolute()
        self._kind = kind
        self._mutex = threading.Lock()
        self._chosen: Table | None = None
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
        own = Lease(holder, this_host(), os.getpid(), own_start(), time.time() + seconds)
        with self._mutex:
            other = self._table().take(key, own, renews=hold_timeout is None)
            if other is not None and other.holder != holder:
                return other
            if hold_timeout is None:
                self._held.add((key, holder))
                _keep_renewing()
        return None

    def release_lock(self, key: str, holder: str) -> None:
        """Give the lock back. Raises `ValueError` unless the holder has it."""
        with self._mutex:
            self._held.discard((key, holder))
            is_deleted = self._table().give(key, holder)
        if not is_deleted:
            raise not_held(key, holder)

    def lease_of(self, key: str) -> Lease | None:
        """Return the lease in force, if there is one."""
        with self._mutex:
            lease = self._table().see(key)
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

    def _table(self) -> Table:
        """Return the table, as the file system allows. The mutex is held."""
        if self._chosen is None:
            if keeps_files(self.lock_files_directory, self._kind):
                self._chosen = FileTable(self.lock_files_directory / _FOLDER)
            else:
                self._chosen = DatabaseTable(self.lock_files_directory / FILE)
        return self._chosen

    def renew(self) -> bool:
        """Put off the end of this process's leases; whether there are any."""
        with self._mutex, suppress(OSError, sqlite3.Error):
            if self._held:
                self._table().renew(self._held, _TTL)
        return bool(self._held)

    def after_fork(self) -> None:
        """Start over in a forked child, which holds nothing and must not touch the connection."""
        if self._chosen is not None:
            _inherited.append(self._chosen.inherited())
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
