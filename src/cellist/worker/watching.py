"""Tell the futures of deferred runs what became of their runs.

One thread for each queue, which lives while there are futures that have not ended. In the process
of the worker it is woken by the worker; others it learns of by looking, every few milliseconds
while somebody waits, at a number that SQLite keeps in memory.
"""

import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Protocol
from weakref import ref

from cellist.engine.commands import Given
from cellist.exceptions import QueueError, SerializationError
from cellist.model.ids import as_hex
from cellist.model.states import NO_DATA
from cellist.worker.bells import Bell
from cellist.worker.jobs import Job
from cellist.worker.payloads import open_outcome, outcome_of, unseal
from cellist.worker.queue import Queue
from cellist.worker.recording import settle_lost

_log = logging.getLogger("cellist")
GONE_SECONDS = 3.0
"""How long a run must be missing in the queue before it is given up: the file may come back."""
_EAGER, _BUSY, _IDLE = 0.003, 0.02, 0.25
_EAGER_SECONDS = 30.0
"""How long after somebody began to wait the thread looks most often."""
_LOST = (
    "What became of `{name}` is not known: it is not in the queue {path} any more, which was "
    "deleted or replaced meanwhile. If a worker had the run, `cellist.run(...)` may tell its end. "
    "Queue it again, or put the file back and make its future anew by the id."
)
_LINGER = 2.0
_LOST_EVERY = 1.0


class Watched(Protocol):
    """What the watcher needs of a future."""

    run: Any
    outcome: Any

    @property
    def was_queued(self) -> bool:
        """Whether the run is known to have been in the queue."""
        ...

    def learn(self, job: Job, outcome: Any, problem: str | None) -> None:
        """Take over what is known of the run; `outcome` is `None` while it goes on."""
        ...

    def lose(self, message: str) -> None:
        """Take the run for lost."""
        ...


class Watcher:
    """Watches the runs of one queue for the futures of this process."""

    def __init__(self, path: Path, lease: float) -> None:
        self.queue = Queue(path)
        self._lease = lease
        self._bell = Bell(path)
        self._lock = threading.RLock()
        self._known: dict[str, list[ref[Any]]] = {}
        """By the ids of runs, the futures that have not ended, as long as somebody holds them."""
        self._awaited: dict[int, Any] = {}
        """Futures somebody waits for, or whose callbacks are to be called, by their identity."""
        self._fresh: list[Any] = []
        """Weak references to futures that were not looked up yet."""
        self._waited_at = -_EAGER_SECONDS
        self._thread: threading.Thread | None = None
        self._seen = 0
        self._opened = 0
        """Which of the files that were found in its place that was."""
        self._missing: dict[str, float] = {}
        """Since when runs that were queued are not in the file."""
        self._changed: set[str] = set()
        """Runs that have changed, and whose futures are not told yet."""
        self._is_behind = False
        """Whether the queue could not be read, so that what has changed is not known."""

    def add(self, future: Watched, *, hold: bool = False) -> None:
        """Tell a future what becomes of its run as long as somebody holds it, or to the end."""
        with self._lock:
            if hold:
                self._awaited[id(future)] = future
            held = self._known.setdefault(as_hex(future.run.number), [])
            if not any(one() is future for one in held):
                held.append(ref(future))
                self._fresh.append(held[-1])
            self._start()
        self._bell.ring()

    def await_end(self, future: Watched) -> None:
        """Tell a future as soon as its run has ended, also if nobody holds it."""
        self._waited_at = time.monotonic()
        self.add(future, hold=True)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._serve, name="cellist-queue-watch", daemon=True
            )
            self._thread.start()

    def _serve(self) -> None:
        left_at = look_at = 0.0
        while True:
            rung = self._bell.wait(self._pause())
            now = time.monotonic()
            try:
                if self.queue.has_changed() or rung or self._fresh or self._is_behind:
                    self._is_behind = True
                    self._look()
                    self._is_behind = False
                if now >= look_at:
                    look_at = now + _LOST_EVERY
                    settle_lost(self.queue, self._lease)
                    self._forget()
                self._give_up(now)
            except QueueError:
                time.sleep(_IDLE)  # who waits goes on waiting: it may be locked or full
                if not self.queue.path.exists():  # nor could it be made again
                    self._missing.update(
                        {one: now for one in self._known if one not in self._missing}
                    )
                    self._give_up(now)
            with self._lock:
                if self._known:
                    left_at = now
                elif now - left_at > _LINGER:
                    self._thread = None
                    self.queue.close()
                    return

    def _pause(self) -> float:
        if not self._awaited:
            return _IDLE
        return _EAGER if time.monotonic() - self._waited_at < _EAGER_SECONDS else _BUSY

    def _forget(self) -> None:
        """Forget the futures that nobody holds any more."""
        with self._lock:
            for run_id, held in list(self._known.items()):
                if all(one() is None for one in held):
                    del self._known[run_id]

    def _look(self) -> None:
        """Tell futures what has changed. What cannot be read now is told the next time."""
        last = self.queue.last_change()
        if self.queue.opened != self._opened:  # its numbers are not those of the file before
            self._opened, self._seen = self.queue.opened, 0
            self._changed.update(self._known)
        if not self._seen:
            self._seen = last
        self._changed.update(run_id for _, run_id in self.queue.changed_since(self._seen))
        self._seen = last
        with self._lock:
            fresh, self._fresh = self._fresh, []
            found = [future for one in fresh if (future := one()) is not None]
        self._changed.update(as_hex(future.run.number) for future in found)
        for run_id in list(self._changed):
            if run_id in self._known:
                self._tell(run_id)
            self._changed.discard(run_id)

    def _give_up(self, now: float) -> None:
        """End the futures of runs that are missing for too long: nobody will say what they gave."""
        for run_id, since in list(self._missing.items()):
            if now - since < GONE_SECONDS:
                continue
            del self._missing[run_id]
            if not self._is_gone(run_id):
                continue
            with self._lock:
                futures = [one() for one in self._known.get(run_id, ())]
            for future in futures:
                if future is not None:
                    future.lose(_LOST.format(path=self.queue.path, name=future.run.name))
            self._drop(run_id, {id(future) for future in futures})

    def _is_gone(self, run_id: str) -> bool:
        try:
            return self.queue.find(run_id) is None
        except QueueError:
            return not self.queue.path.exists()

    def _tell(self, run_id: str) -> None:
        job = self.queue.find(run_id)
        with self._lock:
            futures = [one() for one in self._known.get(run_id, ())]
        if job is None:
            if any(one is not None and one.was_queued for one in futures):
                self._missing.setdefault(run_id, time.monotonic())
            return
        self._missing.pop(run_id, None)
        outcome, problem = self.end_of(job) if job.is_over else (None, None)
        for future in futures:
            try:
                if future is not None:
                    future.learn(job, outcome, problem)
            except Exception:  # others still have to know
                _log.exception("The future of run %s could not be told of it.", run_id)
        if job.is_over:
            self._drop(run_id, {id(future) for future in futures})

    def _drop(self, run_id: str, told: set[int]) -> None:
        """Forget futures that know of their end; others may have come meanwhile."""
        with self._lock:
            left = [one for one in self._known.pop(run_id, ()) if id(one()) not in told]
            if left:
                self._known[run_id] = left
            for one in told:
                self._awaited.pop(one, None)

    def end_of(self, job: Job) -> tuple[Any, str | None]:
        """Return the outcome of a run that is over and, if its value is not to be had, why."""
        return end_of(self.queue, job)


def end_of(queue: Queue, job: Job) -> tuple[Any, str | None]:
    """Return the outcome of a run that is over and, if its value is not to be had, why."""
    sealed = queue.outcome(job.seq)
    if sealed is None:
        return Given(None, NO_DATA), None  # it ended in the queue: its state tells all
    try:
        return open_outcome(unseal(outcome_of(job.id), sealed))
    except SerializationError as error:
        problem = f"The result of task `{job.task}` cannot be read: {error}"
    except Exception as error:
        problem = (
            f"The result of task `{job.task}` cannot be read here: {type(error).__name__}: {error}"
        )
    return Given(None, NO_DATA), problem


_watchers: dict[Path, Watcher] = {}
_lock = threading.Lock()


def watcher_of(path: Path, lease: float) -> Watcher:
    """Return the watcher of a queue."""
    with _lock:
        found = _watchers.get(path)
        if found is None:
            found = _watchers[path] = Watcher(path, lease)
        return found


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - it may have been held by a thread that is not in the child
    _lock = threading.Lock()
    _watchers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
