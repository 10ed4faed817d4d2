"""An index that may only be read: of a directory, or a whole file system, that is read-only.

SQLite cannot open a database in WAL mode where it may not write, unless it is told that nobody
changes it; then it leaves out what is still in the log. So a database with a log is copied to a
directory of our own, where SQLite takes the log in. What changes meanwhile under the copying, or
under the reading, is noticed by the signatures of the entries.
"""

import errno
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any, BinaryIO
from urllib.parse import quote

from cellist.caching.disk import BytesDisk, Stored
from cellist.caching.envelope import Bytes
from cellist.caching.listing import Listed, Row, Rows

_DATABASE = "cache.db"
_READ = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1"
_AGAIN_SECONDS = 30.0
_WRITABLE = os.W_OK | os.X_OK


class FrozenIndex:
    """The entries of a directory that cannot be written. May be used from several threads."""

    is_read_only = True
    rebuilt = False

    def __init__(self, directory: Path) -> None:
        self._path = directory / _DATABASE
        self.lock = RLock()
        self.disk = BytesDisk(str(directory))
        self._seen = self._look()
        self._until = time.monotonic() + _AGAIN_SECONDS
        self._copy: Any = None
        self._connection = self._connect()
        self._rows = Rows(self._connection, "", self.lock)
        self.bytes_used()  # fails here, if it does, rather than later

    def _connect(self) -> sqlite3.Connection:
        path = self._path
        log = path.with_name(_DATABASE + "-wal")
        if log.exists() and log.stat().st_size:
            self._copy = tempfile.TemporaryDirectory(prefix="cellist-", ignore_cleanup_errors=True)
            path = Path(self._copy.name) / _DATABASE
            for source in (log, self._path):  # a log older than the database is no harm
                shutil.copyfile(source, path.with_name(source.name))
        address = f"file:{quote(str(path))}?" + ("mode=rw" if self._copy else "immutable=1")
        connection = sqlite3.connect(
            address, uri=True, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA trusted_schema=OFF")
        return connection

    @property
    def is_current(self) -> bool:
        """Whether the database is as it was opened, and it is too early to try to write again."""
        return self._look() == self._seen and time.monotonic() < self._until

    def _look(self) -> tuple[Any, ...]:
        facts: list[Any] = [os.access(self._path.parent, _WRITABLE)]
        for name in (_DATABASE, _DATABASE + "-wal"):
            with suppress(OSError):
                told = self._path.with_name(name).stat()
                facts.append((name, told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns))
        return tuple(facts)

    def read(self, key: str) -> Any:
        """Return the row as `Stored`, `disk.REFUSED`, or None if there is none."""
        rows = self._rows.select(_READ, (key,))
        if not rows:
            return None
        mode, filename, value = rows[0]
        return self.disk.fetch(mode, filename, value, read=False)

    def read_ahead(self, key: str) -> Any:
        """Return the same: nothing is read ahead here."""
        return self.read(key)

    def open(self, stored: Stored) -> BinaryIO:
        """Open the file of an entry that has one."""
        return self.disk.open(stored.filename or "")

    def entries(self) -> list[Listed]:
        """Return all entries, least recently used first."""
        return self._rows.entries()

    def newest(self, task_key: str, count: int) -> Sequence[tuple[str, bytes]]:
        """Return the keys and blobs of the entries of a task stored last, newest first."""
        return self._rows.newest(task_key, count)

    def bytes_used(self) -> int:
        """Return the bytes all entries take."""
        return self._rows.bytes_used()

    def store(
        self,
        key: str,  # noqa: ARG002 - as below
        head: bytes,  # noqa: ARG002 - as below
        payload: Sequence[Bytes],  # noqa: ARG002 - as below
        size: int,  # noqa: ARG002 - as below
        *,
        durable: bool,  # noqa: ARG002 - nothing is written at all
    ) -> Stored:
        """Raise `OSError`: nothing can be written."""
        raise read_only(self._path.parent)

    def discard(self, stored: Stored) -> None:
        """Do nothing: nothing was stored."""

    def write(self, rows: Iterable[Row], *, durable: bool = False) -> None:  # noqa: ARG002 - as above
        """Raise `OSError`: nothing can be written."""
        raise read_only(self._path.parent)

    def delete(self, entries: Iterable[Listed]) -> int:  # noqa: ARG002 - as above
        """Raise `OSError`: nothing can be deleted."""
        raise read_only(self._path.parent)

    def settle(self) -> None:
        """Do nothing: nobody waits for those who write."""

    def take_out(self, key: str, target: Path) -> None:  # noqa: ARG002 - as above
        """Raise `OSError`: nothing can be moved."""
        raise read_only(self._path.parent)

    def count_uses(self, uses: dict[str, tuple[int, float]]) -> None:
        """Do nothing: uses cannot be recorded."""

    def sweep(self, adopt: Any) -> None:
        """Do nothing: nothing can be removed."""

    def close(self) -> None:
        """Close the connection."""
        self._rows.close()
        self.release()
        if self._copy is not None:
            self._copy.cleanup()

    def release(self) -> None:
        """Do nothing: there is one connection for all threads."""


def read_only(directory: Path) -> OSError:
    """Return the error of writing where that is not possible."""
    return OSError(errno.EROFS, os.strerror(errno.EROFS), str(directory))


def is_read_only(directory: Path) -> bool:
    """Whether a directory exists and cannot be written to."""
    return directory.is_dir() and not os.access(directory, _WRITABLE)
