"""The index of stored results: one diskcache directory, opened with suspicion.

Settings lie in the database and are adopted by whoever opens it, rows name files, and a damaged
database raises from anywhere. So a database with settings diskcache does not have is put aside
before diskcache sees it, eviction is off, all settings are ours, and lists are read through a
connection of our own, because diskcache would unpickle keys while iterating. When the database is
lost, the entries that have files of their own are taken in again: their envelopes say what they
are.

Results may also be guests in a diskcache that a user opened: it keeps its settings, its eviction
among them, our rows are told by the beginning of their keys, and nothing else in it is touched.
All methods raise `OSError` or `sqlite3.Error` if the disk does not do its part.
"""

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any, BinaryIO, cast

import diskcache  # pyright: ignore[reportMissingTypeStubs] - it ships no types

from cellist.caching.disk import BytesDisk, Stored, is_own_name, is_temporary_name
from cellist.caching.envelope import Bytes
from cellist.caching.files import identity_of, sync_directory, sync_file
from cellist.caching.listing import Listed, Row, Rows
from cellist.caching.read_ahead import ReadAhead
from cellist.model.locations import ensure

_DATABASE = "cache.db"
_SETTINGS = {
    "statistics": 0,
    "tag_index": 1,
    "eviction_policy": "none",
    "size_limit": 2**60,
    "cull_limit": 0,
    "sqlite_auto_vacuum": 1,
    "sqlite_cache_size": 2**13,
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": 0,  # a mapped database that is cut short would kill the kernel
    "sqlite_synchronous": 1,
    "disk_min_file_size": 0,
    "disk_pickle_protocol": 0,
}
_KNOWN_SETTINGS = {*_SETTINGS, *cast("Any", diskcache).core.METADATA}
_BUSY_SECONDS = 10
_ORPHAN_SECONDS = 3600.0
_ADOPT_SECONDS = 30.0  # a younger file may be another process's, its row on the way


_READ = "SELECT rowid, mode, filename, value FROM Cache WHERE key = ? AND raw = 1"
_COUNT_USES = (
    "UPDATE Cache SET access_count = access_count + ?, access_time = ? WHERE key = ? AND raw = 1"
)
_IS_SAME = "SELECT 1 FROM Cache WHERE key = ? AND raw = 1 AND store_time = ?"
_GUEST = "cellist:"
INLINE = 32 * 2**10
"""Entries up to this many bytes are rows."""


class Index:
    """The entries of one directory. May be used from several threads.

    `guest` says that the directory is a user's diskcache with other things in it.
    """

    def __init__(self, directory: Path, *, guest: bool = False) -> None:
        self.directory = directory if guest else ensure(directory)
        self._prefix = _GUEST if guest else ""
        self._path = directory / _DATABASE
        is_new = not self._path.exists() or not self._path.stat().st_size
        if not is_new and not guest:
            _check_settings(self._path)
        self.rebuilt = is_new and not guest and any(_files(directory))
        """Whether the database is new although files of entries are there."""
        factory: Any = cast("Any", diskcache).Cache
        with _translated():
            settings = {} if guest else _SETTINGS
            self._cache = factory(str(directory), timeout=_BUSY_SECONDS, disk=BytesDisk, **settings)
        self.is_read_only = False
        self.disk: BytesDisk = self._cache.disk
        self._ahead = ReadAhead(self.disk)
        self.lock = RLock()
        self._name = str(self._path)
        self._is_named = False
        self._identity = identity_of(self._name)
        own = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._rows = Rows(own, self._prefix, self.lock)

    @property
    def is_current(self) -> bool:
        """Whether the database on disk is still the one that was opened."""
        return self._identity is not None and identity_of(self._name) == self._identity

    def read(self, key: str) -> Any:
        """Return the row as `Stored`, `disk.REFUSED`, or None if there is none."""
        if self._prefix:  # the user's diskcache may count uses and reads
            return self._cache.get(self._prefix + key)
        row: Any = self._cache._con.execute(_READ, (key,)).fetchone()
        return None if row is None else self.disk.fetch(row[1], row[2], row[3], None)

    def read_ahead(self, key: str) -> Any:
        """Return the row as `read` does, perhaps as it was a moment ago."""
        if self._prefix:
            return self.read(key)
        stored = self._ahead.take(key)
        if stored is not None:
            return stored
        connection: Any = self._cache._con
        row: Any = connection.execute(_READ, (key,)).fetchone()
        if row is None:
            return None
        self._ahead.after(row[0], row[3], connection)
        return self.disk.fetch(row[1], row[2], row[3], None)

    def open(self, stored: Stored) -> BinaryIO:
        """Open the file of an entry that has one."""
        return self.disk.open(stored.filename or "")

    def store(
        self,
        key: str,  # noqa: ARG002 - files of the index have random names
        head: bytes,
        payload: Sequence[Bytes],
        size: int,
        *,
        durable: bool,
    ) -> Stored:
        """Prepare an entry: a row of its own if it is small, else a file and a row for its head."""
        if size <= INLINE:
            return Stored(b"".join((head, *payload)), None, size)
        return Stored(head, self.disk.write((head, *payload), durable=durable), size)

    def discard(self, stored: Stored) -> None:
        """Undo `store`."""
        self.disk.remove(stored.filename)

    def write(self, rows: Iterable[Row], *, durable: bool = False) -> None:
        """Write all rows or none; `durable` waits until the disk has them."""
        with (
            self.lock,
            _translated(),
            self.disk.removing_afterwards(),
            self._cache.transact(),
        ):
            for row in rows:
                self._cache.set(self._prefix + row.key, row.stored, tag=row.tag.pack())
        self._ahead.forget()
        if durable:
            with suppress(FileNotFoundError):
                sync_file(self._path.with_name(_DATABASE + "-wal"))
            if not self._is_named:  # the log keeps its name while the database is open
                sync_directory(self.directory)
                self._is_named = True

    def delete(self, entries: Iterable[Listed]) -> int:
        """Delete entries, unless they were replaced since, and return how many there were.

        The files go first: a row without its file is a miss, a file without its row might be
        taken in again.
        """
        count = 0
        entries = list(entries)
        with self.lock, _translated(), self._cache.transact():
            for entry in entries:
                if entry.filename:
                    self.disk.remove(entry.filename)
            execute: Any = self._cache._sql
            for entry in entries:
                row = (self._prefix + entry.key, entry.created)
                if execute(_IS_SAME, row).fetchone():
                    count += bool(self._cache.delete(row[0]))
        self._ahead.forget()
        return count

    def settle(self) -> None:
        """Wait for those who write at present; who deletes may be done with the files alone."""
        with suppress(OSError, sqlite3.Error), self.lock, _translated(), self._cache.transact():
            pass
        self._ahead.forget()

    def take_out(self, key: str, target: Path) -> None:
        """Remove an entry, whatever it is, leaving its bytes in a file outside the store."""
        stored = self.read(key)
        if isinstance(stored, Stored):
            if stored.filename is None:
                target.write_bytes(stored.blob)
            elif not self.disk.leads_astray(stored.filename):
                with suppress(FileNotFoundError):
                    (self.directory / stored.filename).rename(target)
        with self.lock, _translated():
            self._cache.delete(self._prefix + key)
        self._ahead.forget()

    def count_uses(self, uses: dict[str, tuple[int, float]]) -> None:
        """Record how often entries were used, and when last."""
        updates = [(count, at, self._prefix + key) for key, (count, at) in uses.items()]
        with self.lock, _translated(), self._cache.transact():
            execute: Any = self._cache._sql
            for update in updates:
                execute(_COUNT_USES, update)

    def entries(self) -> list[Listed]:
        """Return all entries, least recently used first."""
        return self._rows.entries()

    def newest(self, task_key: str, count: int) -> Sequence[tuple[str, bytes]]:
        """Return the keys and blobs of the entries of a task stored last, newest first."""
        return self._rows.newest(task_key, count)

    def bytes_used(self) -> int:
        """Return the bytes all entries take."""
        return self._rows.bytes_used()

    def sweep(self, adopt: Callable[[str, int], Row | None]) -> None:
        """Take in files that no row refers to, and remove those that cannot be or are not needed.

        `adopt` gets a file's relative name and size and returns its row. Young files are left
        alone. They lost their row with a damaged index, or were written by a killed process.
        """
        named = {name for (name,) in self._rows.select("SELECT filename FROM Cache", ())}
        now = time.time()
        for path in _files(self.directory):
            filename = path.relative_to(self.directory).as_posix()
            with suppress(OSError):
                facts = path.stat()
                if filename in named or self.disk.leads_astray(filename):
                    continue
                age = now - facts.st_mtime
                row = None
                if age > _ADOPT_SECONDS and is_own_name(filename):
                    row = adopt(filename, facts.st_size)
                if row is not None and self.read(row.key) is None:
                    self.write([row])
                elif age > _ORPHAN_SECONDS:
                    path.unlink()
        self.rebuilt = False

    def close(self) -> None:
        """Close the connections of this thread."""
        self._rows.close()
        self.release()

    def release(self) -> None:
        """Close the connection of the calling thread; it is opened again when needed."""
        with suppress(sqlite3.Error):
            self._cache.close()


def open_index(directory: Path, *, guest: bool = False) -> tuple[Index, bool]:
    """Open the index, and say whether a damaged or foreign one had to be put aside for it.

    That of a user's own diskcache is never put aside. Raises whatever it is damaged by.
    """
    if guest:
        return Index(directory, guest=True), False
    path = directory / _DATABASE
    if _is_emptied(path):  # diskcache would wait a minute for those who still have it open
        put_aside(directory)
        return Index(directory), True
    try:
        return Index(directory), False
    except (OSError, sqlite3.OperationalError):
        raise
    except Exception:  # what a damaged or hostile database makes diskcache raise is not to be told
        put_aside(directory)
        return Index(directory), True


def put_aside(directory: Path) -> None:
    """Move a damaged database out of the way so that a new one can be made."""
    path = directory / _DATABASE
    stamp = f"{time.time_ns()}-{os.getpid()}"
    for name in (_DATABASE, _DATABASE + "-wal", _DATABASE + "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(name).rename(path.with_name(f"damaged-{stamp}-{name}"))
    old = sorted(path.parent.glob(f"damaged-*-{_DATABASE}*"))
    for leftover in old[:-3]:  # one is enough to look into; a fault that repeats must not pile up
        with suppress(OSError):
            leftover.unlink()


def _is_emptied(path: Path) -> bool:
    """Whether the database was cut to nothing, rather than being just created by somebody."""
    try:
        for _ in range(20):
            if path.stat().st_size:
                return False
            time.sleep(0.01)
    except OSError:
        return False
    return True


def _check_settings(path: Path) -> None:
    """Raise `DatabaseError` unless the database is whole and has diskcache's settings only."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    try:
        tables = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE name IN ('Settings', 'Cache')"
            " AND type = 'table'"
        ).fetchone()[0]
        names = {str(name) for (name,) in connection.execute("SELECT key FROM Settings")}
    except sqlite3.OperationalError as error:
        if "no such" in str(error):  # diskcache adds what is missing
            return
        raise
    finally:
        connection.close()
    if tables == 2 and not names <= _KNOWN_SETTINGS:
        raise sqlite3.DatabaseError("the index holds settings that cellist does not know")


@contextmanager
def _translated() -> Generator[None]:
    """Turn diskcache's own timeout into an `OSError`."""
    try:
        yield
    except cast("Any", diskcache).Timeout:
        raise OSError(errno.EBUSY, "another process is writing to the store") from None


def _files(directory: Path) -> Iterator[Path]:
    """Yield the files of entries, complete or not."""
    for path in directory.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"):
        if is_own_name(path.relative_to(directory).as_posix()) or is_temporary_name(path.name):
            yield path
