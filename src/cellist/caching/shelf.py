"""The disk side of the result store: sealed entries in, checked entries out, faults survived.

Every fault of the disk ends here as a sentence: a result that cannot be read is a miss, one that
cannot be written is kept in memory only, and the user is told once for each kind of trouble. A
damaged index is put aside and a new one is filled from the entries' own files.
"""

import errno
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from cellist.caching import collector
from cellist.caching.disk import REFUSED, Stored
from cellist.caching.envelope import (
    BadEntry,
    Bytes,
    Header,
    Sealed,
    file_parts,
    inline_parts,
    open_head,
    padded,
    read_head,
    seal,
)
from cellist.caching.formats import encode
from cellist.caching.index import Index, Listed, Row, Tag, open_index, put_aside
from cellist.caching.memory import Entry
from cellist.caching.signing import Signer, user_signer
from cellist.model.locations import DIRECTORY, ensure

INLINE = 32 * 2**10
_HEAD = 1024  # about what a head takes
_ATTEMPTS = 20  # of a read that races with processes replacing the entry
_RETRY_SECONDS = 30.0
_SWEEP_SECONDS = 86_400.0
_FAULTS = (OSError, sqlite3.Error)


@dataclass(slots=True)
class Loaded:
    """An entry read from disk and proven whole; `parts` is None if it has expired."""

    sealed: Sealed
    parts: list[Bytes] | None
    private: bool


class Shelf:
    """Reads and writes entries of one directory; raises nothing but `BadEntry`."""

    def __init__(
        self, directory: Path, budget: int, warn: Callable[[str, str], None], guest: bool = False
    ) -> None:
        self.directory = directory
        self._guest = guest
        self.trust = 0.25
        """How many seconds a read may trust that the directory is still the same."""
        self.budget = budget
        self._warn = warn
        self._index: Index | None = None
        self._signer: Signer | None = None
        self._lock = Lock()
        self._retry_at = self._fresh_until = 0.0
        self._used: int | None = None
        self.trouble = ""
        """Why nothing is read or written at present, or empty."""

    @property
    def signer(self) -> Signer:
        """The signer of this user."""
        if self._signer is None:
            self._signer, sentence = user_signer()
            if sentence:
                self._warn("secret", sentence)
        return self._signer

    def load(self, key: str) -> Loaded | None:
        """Return the entry, or None if there is none. Raises `BadEntry` if it cannot be used."""
        missing = ""
        for attempt in range(_ATTEMPTS):
            index = self._index if not attempt and time.monotonic() < self._fresh_until else None
            index = index or self.opened()
            if index is None:
                return None
            try:
                stored = index.read(key)
            except _FAULTS as error:
                sentence, again = self._failed(error, index)
                if again and not attempt:
                    continue
                raise BadEntry("unreadable", sentence) from error
            if stored is None:
                return None
            try:
                return self._open(index, key, stored)
            except FileNotFoundError:
                if stored.filename == missing:
                    break
                missing = stored.filename  # another process replaced it after the row was read
        raise BadEntry("unreadable", "its file is gone")

    def _open(self, index: Index, key: str, stored: Any) -> Loaded:
        if stored is REFUSED or not isinstance(stored, Stored):
            raise BadEntry("foreign", "cellist did not write it")
        sealed = open_head(stored.blob, key, self.signer)
        expires = sealed.header.get("expires")
        if expires is not None and expires <= time.time():
            return Loaded(sealed, None, private=False)
        if stored.filename is None:
            return Loaded(sealed, inline_parts(stored.blob, sealed), private=False)
        try:
            with index.disk.open(stored.filename) as file:
                return Loaded(sealed, file_parts(file, sealed), private=True)
        except FileNotFoundError:
            raise
        except OSError as error:
            message = f"its file cannot be read ({_short(error)})"
            raise BadEntry("unreadable", message) from error

    def commit(self, entries: Sequence[Entry], *, durable: bool) -> str | None:
        """Write entries, and return None or one sentence why (some) could not be written."""
        sentence: str | None = None
        for _ in range(2):
            index = self.opened()
            if index is None:
                return self.trouble
            sentence, again = self._write(index, entries, durable=durable)
            if sentence is None:
                if self._used is not None:
                    self._used += _size(entries)
                return None
            if not again:
                break
        if len(entries) > 1:  # what is wrong with one must not lose the others
            reasons = [self.commit([entry], durable=durable) for entry in entries]
            return next(filter(None, reasons), None)
        return sentence

    def _write(
        self, index: Index, entries: Sequence[Entry], *, durable: bool
    ) -> tuple[str | None, bool]:
        """Return what went wrong, if anything, and whether another try may help."""
        rows: list[Row] = []
        try:
            for entry in entries:  # not at once: on a fault the files written so far are known
                rows.append(self._prepare(index, entry, durable=durable))  # noqa: PERF401
            if any(entry.cancelled for entry in entries):
                raise InterruptedError("the write was interrupted")  # noqa: TRY301 - as if by the disk
            index.write(rows, durable=durable)
        except Exception as error:  # headers are the caller's: anything may be in them
            for row in rows:
                index.disk.remove(row.stored.filename)
            return self._failed(error, index)
        return None, False

    def _prepare(self, index: Index, entry: Entry, *, durable: bool) -> Row:
        encoded = entry.encoded or encode(entry.value)
        head = seal(
            self.signer, entry.key, entry.header, encoded.format, encoded.meta, encoded.parts
        )
        pieces = [head, *padded(encoded.parts)]
        size = sum(map(_length, pieces))
        if size <= INLINE:
            stored = Stored(b"".join(pieces), None, size)
        else:
            stored = Stored(head, index.disk.write(pieces, durable=durable), size)
        return Row(entry.key, stored, _tag(entry.header, encoded.format))

    def opened(self) -> Index | None:
        """Return the index, opening it if need be, or None while that is not possible."""
        index = self._index
        if index is not None:
            if index.is_current:
                self._fresh_until = time.monotonic() + self.trust
                return index
            self._warn(
                "moved", f"The results in {self.directory} were removed or replaced; starting anew."
            )
            self._drop(index)
        if time.monotonic() < self._retry_at:
            return None
        with self._lock:
            return self._index or self._try_open()

    def _try_open(self) -> Index | None:
        try:
            if self.directory.parent.name == DIRECTORY:
                ensure(self.directory.parent)
            self._index, replaced = open_index(self.directory, guest=self._guest)
        except Exception as error:  # whatever it is, results are computed all the same
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self.trouble = f"the directory {self.directory} cannot be used ({_short(error)})"
            self._warn(
                "unavailable",
                f"Results are kept in memory only: {self.trouble}. "
                "Set CELLIST_HOME to a writable directory.",
            )
            return None
        if replaced:
            self._warn_damaged()
        self.trouble, self._retry_at, self._used = "", 0.0, None
        if not self._guest:
            self._sweep_if_due(self._index)
        return self._index

    def _failed(self, error: Exception, index: Index) -> tuple[str, bool]:
        """Return one sentence for a fault, and whether trying again may help."""
        if isinstance(error, sqlite3.ProgrammingError):  # another thread closed it
            self._drop(index)
            return "the index of results was closed", True
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        ):
            with self._lock:
                if self._index is index and index.is_current and not self._guest:
                    put_aside(self.directory)
            self._drop(index)
            self._warn_damaged()
            return "the index of results is damaged", not self._guest
        if isinstance(error, InterruptedError):
            return str(error), False
        if not isinstance(error, _FAULTS):
            return f"it cannot be described ({_short(error)})", False
        if not index.is_current:
            self._drop(index)
            return f"the directory {self.directory} was removed", True
        if _is_full(error):
            sentence = f"the disk that holds {self.directory} is full"
            self._warn("full", f"New results are kept in memory only: {sentence}.")
            return sentence, False
        sentence = f"{self.directory} cannot be used ({_short(error)})"
        self._warn("fault", f"Results are not read or not kept for now: {sentence}.")
        return sentence, False

    def _warn_damaged(self) -> None:
        self._warn(
            "damaged",
            f"The index of results in {self.directory} was damaged; it was put aside, "
            "and what is missing will be computed again.",
        )

    def _drop(self, index: Index) -> None:
        """Stop using an index."""
        with self._lock:
            if self._index is index:
                self._index = None
                index.close()

    def remove(self, choose: Callable[[Listed], bool]) -> set[str]:
        """Delete the entries chosen and return their keys."""
        index = self.opened()
        if index is None:
            return set()
        try:
            chosen = [entry for entry in index.entries() if choose(entry)]
            index.delete(chosen)
        except _FAULTS as error:
            self._failed(error, index)
            return set()
        self._used = None
        return {entry.key for entry in chosen}

    def entries(self) -> list[Listed]:
        """Return all entries; none while the disk cannot be used."""
        index = self.opened()
        try:
            return index.entries() if index else []
        except _FAULTS as error:
            if index:
                self._failed(error, index)
            return []

    def headers(self, task_key: str, count: int) -> list[Header]:
        """Return the headers of a task's entries stored last, newest first; unproven ones not."""
        index = self.opened()
        headers: list[Header] = []
        try:
            for key, blob in index.newest(task_key, count) if index else ():
                with suppress(BadEntry):
                    headers.append(open_head(blob, key, self.signer).header)
        except _FAULTS as error:
            if index:
                self._failed(error, index)
        return headers

    def count_uses(self, uses: dict[str, tuple[int, float]]) -> None:
        """Record uses; a fault here loses nothing but the order of collection."""
        index = self._index
        if index is not None and uses and index.is_current:
            with suppress(Exception):
                index.count_uses(uses)

    def bytes_used(self) -> int:
        """Return the bytes on disk; 0 while the disk cannot be used."""
        index = self.opened()
        try:
            self._used = index.bytes_used() if index else 0
        except _FAULTS:
            return 0
        return self._used

    def make_room(self, incoming: Sequence[Entry], pinned: Collection[str]) -> bool:
        """Delete what is worth least until the entries fit; False if they cannot."""
        needed = _size(incoming)
        used = self._used if self._used is not None else self.bytes_used()
        if used + needed <= self.budget:
            return True
        excess = collector.excess_bytes(self.bytes_used() + needed, self.budget)
        keys = {
            entry.key for entry in collector.victims(self.entries(), pinned, excess, time.time())
        }
        self.remove(lambda entry: entry.key in keys)
        return self.bytes_used() + needed <= self.budget

    def _sweep_if_due(self, index: Index) -> None:
        marker = self.directory / "swept"
        try:
            due = index.rebuilt or time.time() - marker.stat().st_mtime > _SWEEP_SECONDS
        except OSError:
            due = True
        if due:
            Thread(target=self._sweep, args=(index, marker), daemon=True).start()

    def _sweep(self, index: Index, marker: Path) -> None:
        def adopt(filename: str, size: int) -> Row | None:
            with index.disk.open(filename) as file:
                head = read_head(file)
            try:
                sealed = open_head(head, None, self.signer)
            except BadEntry:
                return None
            if sealed.size != size:
                return None
            key = sealed.header.get("key", "")
            return Row(key, Stored(head, filename, size), _tag(sealed.header, sealed.format))

        with suppress(*_FAULTS, BadEntry):
            index.sweep(adopt)
            marker.touch()
        index.release()

    def locks(self) -> list[Any]:
        """Return the locks to hold while the process forks."""
        return [self._lock, *([self._index.lock] if self._index else [])]

    def after_fork(self) -> None:
        """Start over in a forked child, where connections of the parent must not even be closed."""
        if self._index is not None:
            _inherited.append(self._index)
        self._index = None
        self._lock = Lock()

    def release(self) -> None:
        """Close what belongs to the calling thread, which is about to end."""
        if self._index is not None:
            self._index.release()

    def close(self) -> None:
        """Close the index; the next use opens it again."""
        if self._index is not None:
            self._drop(self._index)


_inherited: list[Index] = []


def _tag(header: Header, kind: str) -> Tag:
    return Tag(
        str(header.get("task_key", "")),
        str(header.get("task", "")),
        float(header.get("seconds") or 0.0),
        header.get("expires"),
        kind,
    )


def _size(entries: Sequence[Entry]) -> int:
    return sum(entry.size + _HEAD for entry in entries)


def _length(piece: Any) -> int:
    return piece.nbytes if isinstance(piece, memoryview) else len(piece)


def _is_full(error: Exception) -> bool:
    full = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    return (isinstance(error, OSError) and error.errno in full) or "is full" in str(error)


def _short(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__
