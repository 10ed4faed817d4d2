"""Where leases are written down: one database, or a file each where SQLite is not to be trusted.

Both tell who holds a key and give it to one of several who ask at once. They are not to be used
by two threads at once, and raise `OSError` or `sqlite3.Error` if the directory cannot be used.
"""

import errno
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from cellist.caching.files import file_name, identity_of
from cellist.caching.processes import ancestors, own_start, started, this_host
from cellist.model.locations import ensure

_BUSY_SECONDS = 5
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS leases (key TEXT PRIMARY KEY, holder TEXT, host TEXT,"
    " pid INTEGER, started REAL, until REAL, renews INTEGER) WITHOUT ROWID"
)
_TAKE = "INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_SEE = "SELECT holder, host, pid, started, until FROM leases WHERE key = ?"
_GIVE = "DELETE FROM leases WHERE key = ? AND holder = ? AND until > ?"
_RENEW = "UPDATE leases SET until = ? WHERE host = ? AND pid = ? AND started = ? AND renews"
_WRITING_SECONDS = 30.0  # how long a file without a word in it may be one that is being written
_FORGOTTEN_SECONDS = 86_400.0
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK}


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
        return self.host == this_host() and started(self.pid) != self.started

    @property
    def is_above(self) -> bool:
        """Whether this process was started by the holder's, which may wait for it."""
        return self.host == this_host() and self.pid in {os.getpid(), *ancestors()}


class Table(Protocol):
    """What the manager of locks needs of a table of leases."""

    def take(self, key: str, lease: Lease, *, renews: bool) -> Lease | None:
        """Write the lease down and return `None`, or return the one in force."""
        ...

    def see(self, key: str) -> Lease | None:
        """Return the lease of a key, which may be over."""
        ...

    def give(self, key: str, holder: str) -> bool:
        """Delete a holder's lease; whether it was in force."""
        ...

    def renew(self, held: Collection[tuple[str, str]], seconds: float) -> None:
        """Put off the end of leases of this process, given as keys and holders."""
        ...

    def inherited(self) -> Any:
        """Return what a forked child must not even close, and start over without it."""
        ...


class DatabaseTable:
    """Leases in a small SQLite database, made again when somebody deletes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def take(self, key: str, lease: Lease, *, renews: bool) -> Lease | None:
        """Write the lease down and return `None`, or return the one in force."""
        row = (key, *lease, renews)
        connection = self._open()
        if connection.execute(_TAKE, row).rowcount:
            return None
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

    def see(self, key: str) -> Lease | None:
        """Return the lease of a key, which may be over."""
        return self._seen(self._open(), key) if self._path.exists() else None

    def give(self, key: str, holder: str) -> bool:
        """Delete a holder's lease; whether it was in force."""
        return bool(self._open().execute(_GIVE, (key, holder, time.time())).rowcount)

    def renew(self, held: Collection[tuple[str, str]], seconds: float) -> None:  # noqa: ARG002 - the database knows which
        """Put off the end of leases of this process."""
        mine = (this_host(), os.getpid(), own_start())
        self._open().execute(_RENEW, (time.time() + seconds, *mine))

    def inherited(self) -> Any:
        """Return the connection and start over without it."""
        connection, self._connection = self._connection, None
        return connection

    def _seen(self, connection: sqlite3.Connection, key: str) -> Lease | None:
        row = connection.execute(_SEE, (key,)).fetchone()
        return None if row is None else Lease(*row)

    def _open(self) -> sqlite3.Connection:
        """Return the connection, a new one if the file was deleted."""
        name = str(self._path)
        if self._connection is not None and identity_of(name) == self._identity:
            return self._connection
        ensure(self._path.parent)
        self._connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF", _SCHEMA):
            self._connection.execute(statement)
        self._identity = identity_of(name)
        return self._connection


class FileTable:
    """Leases as files, for network file systems.

    A lease is in force from the last change of its file on, so that renewing it is one call. It
    appears under its name complete, by a hard link, which only one of several can make; where
    there are no links it is created exclusively and a moment without content. Times are compared
    by the clock of whoever serves the files.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ahead: float | None = None
        """Seconds that the clock of the file system is ahead of this machine's."""

    def take(self, key: str, lease: Lease, *, renews: bool) -> Lease | None:  # noqa: ARG002 - a file is renewed by who holds it
        """Write the lease down and return `None`, or return the one in force."""
        path = self._path(key)
        other = self.see(key)
        if other is not None and not other.is_over:
            return other
        text = json.dumps({**lease._asdict(), "until": lease.until - time.time()})
        with self._draft(text) as draft:
            for _ in range(8):  # of a race for a lease that is over
                if _publish(draft, path, text):
                    return None
                other = self.see(key)
                if other is None:
                    continue
                if not other.is_over:
                    return other
                self._remove(path, other)
        return other

    def see(self, key: str) -> Lease | None:
        """Return the lease of a key, which may be over."""
        return self._read(self._path(key))

    def give(self, key: str, holder: str) -> bool:
        """Delete a holder's lease; whether it was in force."""
        lease = self.see(key)
        if lease is None or lease.holder != holder or lease.until <= time.time():
            return False
        return self._remove(self._path(key), lease)

    def renew(self, held: Collection[tuple[str, str]], seconds: float) -> None:  # noqa: ARG002 - each tells how long it holds
        """Put off the end of leases of this process."""
        for key, holder in held:
            path = self._path(key)
            lease = self._read(path)
            if lease is not None and lease.holder == holder:
                with suppress(FileNotFoundError):
                    os.utime(path)

    def inherited(self) -> Any:
        """Return nothing: a child may use what its parent did."""
        return None

    def _path(self, key: str) -> Path:
        return self._directory / f"{file_name(key)}.lease"

    def _read(self, path: Path) -> Lease | None:
        """Return what a file says; opening it, unlike asking for its facts, asks the server."""
        try:
            with path.open("rb") as file:
                text, facts = file.read(10_000), os.fstat(file.fileno())
        except FileNotFoundError:
            return None
        if self._ahead is None:
            with self._draft(""):
                pass
        changed = facts.st_mtime - (self._ahead or 0.0)
        try:
            told: dict[str, Any] = json.loads(text)
            lease = Lease(**told)
            return lease._replace(until=changed + float(lease.until))
        except (ValueError, TypeError):
            return Lease("", "", 0, 0.0, changed + _WRITING_SECONDS)

    @contextmanager
    def _draft(self, text: str) -> Generator[Path]:
        """Write a file nobody else knows of, which also tells the time on the server."""
        if not self._directory.is_dir():
            ensure(self._directory.parent)
            self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / f"{secrets.token_hex(12)}.tmp"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
            if self._ahead is None:
                self._tidy()
            self._ahead = path.stat().st_mtime - time.time()
            yield path
        finally:
            with suppress(OSError):
                path.unlink()

    def _tidy(self) -> None:
        """Remove what processes left behind that were killed and whose keys nobody asked for."""
        before = time.time() - _FORGOTTEN_SECONDS
        with suppress(OSError):
            for path in self._directory.iterdir():
                if path.stat().st_mtime < before:
                    path.unlink()

    def _remove(self, path: Path, lease: Lease) -> bool:
        """Remove a lease unless it is another one by now; whether it was removed."""
        aside = path.with_name(f"{secrets.token_hex(12)}.tmp")
        try:
            path.rename(aside)  # one of several succeeds
        except FileNotFoundError:
            return False
        try:
            taken = self._read(aside)
            if taken is not None and taken[:4] != lease[:4]:
                with suppress(OSError):  # somebody was faster, and has it back
                    os.link(aside, path)
                return False
        finally:
            with suppress(OSError):
                aside.unlink()
        return True


def _publish(draft: Path, path: Path, text: str) -> bool:
    """Give a file its name unless that is taken; whether it has it."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return draft.stat().st_nlink == 2  # the server did it, and its answer was lost
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            return False
    return True
