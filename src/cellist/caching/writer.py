"""The background thread that writes results in batches, off the callers' path.

All writing happens in this one thread. So an interrupt, which Python raises in the main thread
between any two steps, never strikes inside a transaction and leaves it open; and the results of
one key are written in the order they came. A caller that needs a result on disk waits for it.

The thread starts with the first entry and ends when it has had nothing to do for a while, so an
idle kernel holds no thread and a forgotten store can be collected. Until an entry is written it
can still be found here.
"""

import time
from collections.abc import Callable
from threading import Condition, Event, Thread
from typing import Any

from cellist.caching.memory import Entry

_GATHER = 0.05
_IDLE = 5.0


class _Urgent:
    """An entry somebody waits for."""

    def __init__(self, entry: Entry, durable: bool) -> None:
        self.entry = entry
        self.durable = durable
        self.done = Event()
        self.trouble: str | None = "it was not written"


class Writer:
    """Queues entries by key, the newest of a key replacing the older, and writes them.

    `write` writes entries, durably or not, and returns None or a sentence why it could not.
    `tidy` does what may wait, after writing or when there is nothing more to write; it is told
    whether somebody waits for that. `release` closes what belongs to the thread when it ends.
    """

    def __init__(
        self,
        write: Callable[[list[Entry], bool], str | None],
        tidy: Callable[[bool], None],
        release: Callable[[], None],
    ) -> None:
        self._write = write
        self._tidy = tidy
        self._release = release
        self._changed = Condition()
        self._pending: dict[str, Entry] = {}
        self._writing: dict[str, Entry] = {}
        self._urgent: list[_Urgent] = []
        self._thread: Thread | None = None
        self._awake = False
        self._hurry = self._stopping = self._untidy = self._tidying = False
        self.backlog = 0
        """Bytes that wait to be written."""

    def add(self, entry: Entry) -> None:
        """Queue an entry. It costs a few microseconds unless the thread must be started."""
        with self._changed:
            self._pending[entry.key] = entry
            self.backlog += entry.size
            if not self._awake:
                self._wake()

    def stay(self) -> None:
        """Have things tidied within a few seconds."""
        with self._changed:
            self._untidy = True
            if self._thread is None or not self._thread.is_alive():
                self._wake()
                self._awake = False

    def write_now(self, entry: Entry, *, durable: bool) -> str | None:
        """Have the entry written and wait for it; None, or a sentence why it could not be.

        If the wait is interrupted the entry is not written any more, because its bytes may be
        the caller's own.
        """
        job = _Urgent(entry, durable)
        try:
            with self._changed:
                self._pending.pop(entry.key, None)
                self._urgent.append(job)
                self._wake()
            job.done.wait()
        except BaseException:
            entry.cancelled = True
            raise
        return job.trouble

    def _wake(self) -> None:
        """See to it that a thread is at work. The lock is held."""
        self._awake = True
        if self._thread is not None and self._thread.is_alive():
            self._changed.notify_all()
            return
        self._thread = Thread(target=self._work, name="cellist-results", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending and allows no more threads
            while self._take_batch(wait=False):
                self._write_batch()

    def find(self, key: str) -> Entry | None:
        """Return an entry that is not on disk yet."""
        return self._pending.get(key) or self._writing.get(key)

    def discard(self, *keys: str) -> None:
        """Do not write these any more."""
        with self._changed:
            for key in keys:
                self._pending.pop(key, None)

    def waiting(self) -> list[Entry]:
        """Return the entries that are not on disk yet."""
        with self._changed:
            return [*self._writing.values(), *self._pending.values()]

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything queued so far is written; False if that took too long."""
        with self._changed:
            if not self._is_idle():
                self._hurry = True
                self._wake()
            try:
                return self._changed.wait_for(self._is_idle, timeout)
            finally:
                self._hurry = False

    def stop(self) -> None:
        """End the thread, and with it its connections; the next entry starts another."""
        with self._changed:
            thread = self._thread
            self._stopping = True
            self._changed.notify_all()
        if thread is not None:
            thread.join(10)
        self._stopping = False

    def locks(self) -> list[Any]:
        """Return the locks to hold while the process forks."""
        return [self._changed]

    def _has_work(self) -> bool:
        hurry = self._untidy and self._hurry
        return bool(self._pending or self._urgent or self._stopping or hurry)

    def _is_idle(self) -> bool:
        busy = self._pending or self._writing or self._urgent
        return not (busy or self._untidy or self._tidying)

    def _work(self) -> None:
        try:
            while self._take_batch(wait=True):
                self._write_batch()
        finally:
            self._release()

    def _take_batch(self, *, wait: bool) -> bool:
        """Wait for entries and more of them; False if there are none."""
        with self._changed:
            self._changed.wait_for(self._has_work, _IDLE if wait else 0)
            if not (self._pending or self._urgent or self._untidy):
                self._thread, self._awake = None, False
                return False
            until = time.monotonic() + _GATHER
            while wait and not (self._hurry or self._urgent):
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._writing, self._pending = self._pending, {}
            self.backlog = 0
            self._awake = False
            return True

    def _write_batch(self) -> None:
        """Write what was taken, then what somebody waits for."""
        try:
            if self._writing:
                self._write(list(self._writing.values()), False)
            while self._urgent:
                job = self._urgent[0]
                try:
                    job.trouble = self._write([job.entry], job.durable)
                finally:
                    self._urgent.remove(job)
                    job.done.set()
        finally:
            with self._changed:
                self._writing = {}
                self._untidy, self._tidying = False, True
                hurry = self._hurry
            self._tidy(hurry)
            with self._changed:
                self._tidying = False
                self._changed.notify_all()
