"""The disk side of the result store: sealed entries in, checked entries out, faults survived.

Every fault of the disk ends here as a sentence: a result that cannot be read is a miss, one that
cannot be written is kept in memory only, and the user is told once for each kind of trouble. A
damaged index is put aside and a new one is filled from the entries' own files.
"""

import sqlite3
import time
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from cellist.caching import collector, faults
from cellist.caching.envelope import (
    BadEntry,
    Header,
    length_of,
    open_head,
    padded,
    seal,
)
from cellist.caching.faults import is_damage, is_full, is_read_only, short
from cellist.caching.filestore import Replaced
from cellist.caching.index import put_aside
from cellist.caching.listing import Listed, Place, Row, Tag
from cellist.caching.memory import Entry
from cellist.caching.mounts import AUTO
from cellist.caching.opening import open_place
from cellist.caching.reading import Loaded, open_entry
from cellist.caching.signing import Signer, user_signer
from cellist.caching.upkeep import Upkeep, problems

_HEAD = 1024  # about what a head takes
_ATTEMPTS = 20  # of a read that races with processes replacing the entry
_COLLECTIONS = 5  # that others fill again at once
_RETRY_SECONDS = 30.0
_FAULTS = (OSError, sqlite3.Error)


class Shelf:
    """Reads and writes entries of one directory; raises nothing but `BadEntry`."""

    def __init__(
        self,
        directory: Path,
        budget: int | None,
        warn: Callable[[str, str], None],
        *,
        guest: bool = False,
        kind: str = AUTO,
    ) -> None:
        self.directory = directory
        self._guest = guest
        self._kind = kind
        self._upkeep = Upkeep(directory, self._describe, guest=guest)
        self.trust = 0.25
        """How many seconds a read may trust that the directory is still the same."""
        self.given_budget = budget
        self._default_budget = collector.MOST
        self._warn = warn
        self._index: Place | None = None
        self._given_up: Place | None = None
        """The one that was put aside last, because it was damaged."""
        self._signer: Signer | None = None
        self._lock = Lock()
        self._retry_at = self._fresh_until = 0.0
        self._used: int | None = None
        self.trouble = ""
        """Why nothing is read or written at present, or empty."""

    @property
    def budget(self) -> int:
        """Bytes that the entries may take: what was given, or by the size of the disk."""
        return self._default_budget if self.given_budget is None else self.given_budget

    @property
    def is_writable(self) -> bool:
        """Whether nothing is known that would keep entries from being written."""
        index = self.opened()
        return index is not None and not index.is_read_only

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
                stored = index.read(key) if attempt or not self.trust else index.read_ahead(key)
            except _FAULTS as error:
                sentence, again = self._failed(error, index)
                if again and not attempt:
                    continue
                raise BadEntry("unreadable", sentence) from error
            if stored is None:
                return None
            try:
                return open_entry(index, key, stored, self.signer)
            except Replaced:
                continue
            except FileNotFoundError:
                if stored.filename == missing:
                    break
                missing = stored.filename  # another process replaced or deletes it
                index.settle()
        raise BadEntry("unreadable", "its file is gone")

    def size_of(self, key: str) -> int | None:
        """Return how many bytes an entry takes, None if there is none that can be used."""
        try:
            index = self.opened()
            stored = index.read(key) if index is not None else None
            return open_head(stored.blob, key, self.signer).size if stored is not None else None
        except Exception:  # a damaged one is told by `load`
            return None

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
        self, index: Place, entries: Sequence[Entry], *, durable: bool
    ) -> tuple[str | None, bool]:
        """Return what went wrong, if anything, and whether another try may help."""
        rows: list[Row] = []
        try:
            for entry in entries:  # not at once: on a fault the files written so far are known
                rows.append(self._prepare(index, entry, durable=durable))
                time.sleep(0)  # lets those go on who compute: they would wait for all of them
            if any(entry.cancelled for entry in entries):
                raise InterruptedError("the write was interrupted")  # noqa: TRY301 - as if by the disk
            index.write(rows, durable=durable)
        except Exception as error:  # headers are the caller's: anything may be in them
            for row in rows:
                index.discard(row.stored)
            return self._failed(error, index)
        return None, False

    def _prepare(self, index: Place, entry: Entry, *, durable: bool) -> Row:
        encoded = entry.encode()
        kind, meta, parts = encoded.format, encoded.meta, encoded.parts
        head = seal(self.signer, entry.key, entry.header, kind, meta, parts)
        payload = padded(parts)
        size = len(head) + sum(map(length_of, payload))
        stored = index.store(entry.key, head, payload, size, durable=durable)
        return Row(entry.key, stored, Tag.of(entry.header, kind))

    def opened(self) -> Place | None:
        """Return the index, opening it if need be, or None while that is not possible."""
        index = self._index
        if index is not None:
            if index.is_current:
                self._fresh_until = time.monotonic() + self.trust
                return index
            if not index.is_read_only and index is not self._given_up:
                self._warn("moved", faults.moved(self.directory))
            self._drop(index)
        if time.monotonic() < self._retry_at:
            return None
        with self._lock:
            return self._index or self._try_open()

    def _try_open(self) -> Place | None:
        try:
            index, is_replaced, notice = open_place(
                self.directory, self._kind, self._describe, guest=self._guest
            )
            self._default_budget = collector.default_budget(self.directory)
        except Exception as error:  # whatever it is, results are computed all the same
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self.trouble = f"the directory {self.directory} cannot be used ({short(error)})"
            if self._guest and is_damage(error):
                self._warn_damaged()
            else:
                self._warn("unavailable", faults.unavailable(self.trouble))
            return None
        if is_replaced:
            self._warn_damaged()
        if notice:
            self._warn("network", notice)
        self._index = index
        self.trouble, self._retry_at, self._used = "", 0.0, None
        if index.is_read_only:
            self._warn_read_only()
        else:
            self._upkeep.sweep_if_due(index)
        return index

    def _failed(self, error: Exception, index: Place) -> tuple[str, bool]:
        """Return one sentence for a fault, and whether trying again may help."""
        if isinstance(error, sqlite3.ProgrammingError):  # another thread closed it
            self._drop(index)
            return "the index of results was closed", True
        if is_damage(error):
            with self._lock:
                if self._index is index and index.is_current and not self._guest:
                    self._given_up = index  # before others see that it is gone
                    put_aside(self.directory)
            self._drop(index)
            self._warn_damaged()
            return "the index of results is damaged", not self._guest
        if isinstance(error, InterruptedError):
            return str(error), False
        if not isinstance(error, _FAULTS):
            sentence = f"it cannot be described ({short(error)})"
            self._warn("odd", f"A result is kept in memory only: {sentence}.")
            return sentence, False
        if not index.is_current:
            self._drop(index)
            return f"the directory {self.directory} was removed", True
        return self._disk_failed(error, index)

    def _disk_failed(self, error: Exception, index: Place) -> tuple[str, bool]:
        if is_read_only(error) and not self._guest:
            self._drop(index)  # to be opened for reading
            return self._warn_read_only(), not index.is_read_only
        if is_full(error):
            sentence = f"the disk that holds {self.directory} is full"
            self._warn("full", f"New results are kept in memory only: {sentence}.")
        else:
            sentence = f"{self.directory} cannot be used ({short(error)})"
            self._warn("fault", f"Results are not read or not kept for now: {sentence}.")
        return sentence, False

    def _warn_read_only(self) -> str:
        sentence = f"{self.directory} cannot be written"
        self._warn("unavailable", faults.read_only(sentence))
        return sentence

    def _warn_damaged(self) -> None:
        self._warn("damaged", faults.damaged(self.directory, guest=self._guest))

    def _drop(self, index: Place) -> None:
        """Stop using an index."""
        with self._lock:
            if self._index is index:
                self._index = None
                index.close()

    def remove(self, choose: Callable[[Listed], bool]) -> set[str]:
        """Delete the entries chosen and return their keys."""
        index = self.opened()
        if index is None or index.is_read_only:
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

    def make_room(self, incoming: Sequence[Entry], pinned: Container[str]) -> bool:
        """Delete what is worth least until the entries fit; False if they cannot."""
        index = self.opened()
        if index is None or index.is_read_only:
            return True  # to be told by `commit`
        needed = _size(incoming)
        used = self._used if self._used is not None else self.bytes_used()
        if used + needed <= self.budget:
            return True
        for _ in range(_COLLECTIONS):
            excess = collector.excess_bytes(self.bytes_used() + needed, self.budget)
            chosen = self._upkeep.victims(self.entries(), pinned, excess)
            self.remove(chosen.__contains__)
            if self.bytes_used() + needed <= self.budget:
                return True
            if excess and not chosen:
                break
        return False

    def tell(self, keys: set[str]) -> None:
        """Let other kernels know what this one has used, so that they leave it."""
        index = self.opened()
        if index is not None:
            self._upkeep.tell(index, keys)

    def set_aside(self, key: str, fault: str) -> None:
        """Take an entry out of the store unless it is whole by now.

        `fault` says what is wrong with one that is whole, or is empty.
        """
        index, bad = self.opened(), BadEntry("unreadable", fault) if fault else None
        try:
            self.load(key)
        except BadEntry as error:
            bad = error
        if index is not None and bad is not None:
            self._upkeep.set_aside(index, key, bad)

    def verify(self) -> list[dict[str, Any]]:
        """Read all entries, and return what is wrong with any or was set aside."""
        entries = self.entries()
        return [*self._upkeep.aside(entries), *problems(entries, self.load)]

    def _describe(self, head: bytes, size: int | None) -> tuple[str, Header, Tag]:
        """Check a head and return what it says. Raises `BadEntry`."""
        sealed = open_head(head, None, self.signer)
        if size not in (None, sealed.size):
            raise BadEntry("unreadable", "its file has the wrong length")
        return sealed.header.get("key", ""), sealed.header, Tag.of(sealed.header, sealed.format)

    def locks(self) -> list[Any]:
        """Return the locks to hold while the process forks."""
        return [self._lock, *([self._index.lock] if self._index else [])]

    def after_fork(self) -> None:
        """Start over in a forked child, where connections of the parent must not even be closed."""
        if self._index is not None:
            _inherited.append(self._index)
        self._index = None
        self._upkeep.pins.forget()
        self._lock = Lock()

    def release(self) -> None:
        """Close what belongs to the calling thread, which is about to end."""
        if self._index is not None:
            self._index.release()

    def close(self) -> None:
        """Close the index; the next use opens it again."""
        self._upkeep.pins.close()
        if self._index is not None:
            self._drop(self._index)


_inherited: list[Place] = []


def _size(entries: Sequence[Entry]) -> int:
    return sum(entry.size + _HEAD for entry in entries)
