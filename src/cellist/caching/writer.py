"""The background thread that writes results in batches, off the callers' path.

The thread starts with the first entry and ends when it has had nothing to do for a while, so an
idle kernel holds no thread and a forgotten store can be collected. Until an entry is written it
can still be found here.
"""

import time
from collections.abc import Callable
from threading import Condition, Thread
from typing import Any

from cellist.caching.memory import Entry

_GATHER = 0.05
_IDLE = 5.0


class Writer:
    """Queues entries by key, the newest of a key replacing the older, and writes them."""

    def __init__(self, write: Callable[[list[Entry]], None]) -> None:
        self._write = write
        self._changed = Condition()
        self._pending: dict[str, Entry] = {}
        self._writing: dict[str, Entry] = {}
        self._bytes = 0
        self._running = False
        self._awake = False
        self._hurry = False

    @property
    def backlog(self) -> int:
        """Bytes that wait to be written."""
        return self._bytes

    def add(self, entry: Entry) -> None:
        """Queue an entry. It costs a few microseconds unless the thread must be started."""
        with self._changed:
            self._pending[entry.key] = entry
            self._bytes += entry.size
            if self._awake:
                return
            self._awake = True
            if self._running:
                self._changed.notify_all()
                return
            self._running = True
        Thread(target=self._work, name="cellist-results", daemon=True).start()

    def find(self, key: str) -> Entry | None:
        """Return an entry that is not on disk yet."""
        return self._pending.get(key) or self._writing.get(key)

    def discard(self, *keys: str) -> None:
        """Do not write these any more; returns when none of them is just being written.

        Otherwise the older result of a key could be written over one stored after it.
        """
        with self._changed:
            for key in keys:
                self._pending.pop(key, None)
            if self._writing:
                self._changed.wait_for(lambda: not any(key in self._writing for key in keys), 60)

    def waiting(self) -> list[Entry]:
        """Return the entries that are not on disk yet."""
        with self._changed:
            return [*self._writing.values(), *self._pending.values()]

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything queued so far is written; False if that took too long."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            try:
                return self._changed.wait_for(self._is_empty, timeout)
            finally:
                self._hurry = False

    def locks(self) -> list[Any]:
        """Return the locks to hold while the process forks."""
        return [self._changed]

    def _is_empty(self) -> bool:
        return not self._pending and not self._writing

    def _work(self) -> None:
        while self._take_batch():
            try:
                self._write(list(self._writing.values()))
            finally:
                with self._changed:
                    self._writing = {}
                    self._changed.notify_all()

    def _take_batch(self) -> bool:
        """Wait for entries and more of them; False if the thread is to end."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._pending), _IDLE):
                self._running = self._awake = False
                return False
            until = time.monotonic() + _GATHER
            while not self._hurry and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            self._writing, self._pending = self._pending, {}
            self._bytes = 0
            self._awake = False
            return True
