"""A pool of threads with a bound on how much user code runs at a time.

A few threads are started at once; more only if the queue does not get shorter, so that thousands
of short tasks do not start hundreds of threads. A worker that waits for another run gives its
place back meanwhile, so that nested submission cannot deadlock, however small the pool.
"""

import sys
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from cellist.engine.commands import Invoke
from cellist.engine.far import FarCall
from cellist.engine.scheduler import Work, carry_on
from cellist.engine.threads import Worker, borrow, this_worker
from cellist.engine.timers import call_later

_AT_ONCE = 4
_UNBOUNDED = 256
_TICK = 0.003  # seconds between two looks at a queue that does not get shorter


class ThreadPool:
    """Carries out ready work in threads, at most `max_workers` pieces of user code at a time."""

    is_far = False

    def __init__(self, max_workers: int | None = None) -> None:
        self.most = min(max_workers or sys.maxsize, sys.maxsize)
        self._bound = self.most if max_workers else _UNBOUNDED
        self._queue: deque[Work] = deque()
        self._returning: deque[tuple[Worker, threading.Event]] = deque()
        self._lock = threading.Lock()
        self._busy = 0
        self._served = 0
        self._watching = False
        self._is_promised = False
        """Whether a worker has left work in the queue for itself."""

    def start(self, work: Work) -> None:
        """Take work that may have inputs to wait for."""
        work.begin()

    def push(self, work: Work) -> None:
        """Take ready work; what has begun goes first, so that runs end before others begin.

        A worker of this pool that pushes between two pieces of user code is most often at the end
        of a run, and will take the work itself; see `invoke` for when it is not.
        """
        worker = this_worker()
        coming = worker is not None and worker.pool is self and worker.owner is None
        with self._lock:
            if coming and not self._queue:
                self._queue.append(work)
                self._is_promised = True
                return
            if work.steps is not None:
                self._queue.appendleft(work)
            else:
                self._queue.append(work)
            if self._busy >= min(_AT_ONCE, self._bound):
                self._watch()
                return
            self._busy += 1
        borrow().run(self._serve)

    def _watch(self) -> None:
        """See to it that there are more threads if work is left waiting. The lock is held."""
        if self._busy < self._bound and not self._watching:
            self._watching = True
            call_later(_TICK, self._grow)

    def _grow(self) -> None:
        """Start more threads if work waits and none of it was begun since the last look."""
        with self._lock:
            stuck = bool(self._queue) and self._served == 0
            self._served = 0
            more = min(len(self._queue), self._busy, self._bound - self._busy) if stuck else 0
            self._busy += more
            self._watching = bool(self._queue) and self._busy < self._bound
            again = self._watching
        for _ in range(more):
            borrow().run(self._serve)
        if again:
            call_later(_TICK, self._grow)

    def _serve(self) -> None:
        """Carry out queued work until there is none left."""
        worker = this_worker()
        assert worker is not None  # only workers are given this to run
        is_new = True
        while True:
            work = self._next(is_new)
            if work is None:
                return
            is_new = False
            if work.take(worker):
                worker.pool = self
                kept = carry_on(work, worker)
                worker.pool = None
                if not kept:
                    return

    def _next(self, is_new: bool) -> Work | None:
        """Return the work to do next; `None` when the worker that asks has to go.

        There may be one worker too many after `replace`; it goes when it has done something.
        """
        with self._lock:
            if self._gave_place():
                return None
            if not self._queue or (self._busy > self.most and not is_new):
                self._busy -= 1
                return None
            self._served += 1
            work = self._queue.popleft()
            self._is_promised = self._is_promised and bool(self._queue)
            return work

    def _gave_place(self) -> bool:
        """Have a worker that waited go on in the place of the one that asks. The lock is held."""
        while self._returning:
            waiter, place = self._returning.popleft()
            place.set()
            if waiter.pool is self:
                waiter.is_away = False
                return True
        return False

    def launch(self, command: Invoke, work: Work) -> FarCall:
        """There is no cluster; nobody asks, for `is_far` says so."""
        raise TypeError(f"{type(self).__name__} calls {command.fn!r} of {work.x.run.name} here.")

    def ready(self, command: Invoke, work: Work) -> None:
        """There is nothing to prepare for a call."""

    def invoke(self, command: Invoke, work: Work, worker: Worker | None) -> Any:
        """Call user code in this thread."""
        if self._is_promised:  # such as the hook of a run whose end let another go on
            with self._lock:
                self._is_promised = False
                self._watch()
        if worker is None:
            return command.fn(*command.args, **command.kwargs)
        return worker.call(work.x, command.fn, command.args, command.kwargs)

    @contextmanager
    def released(self, worker: Worker) -> Generator[None]:
        """Give a worker's place to other work while it waits."""
        with self._lock:
            worker.is_away = True
            gave = self._gave_place()
            start = not gave and bool(self._queue)
            if not (gave or start):
                self._busy -= 1
        if start:
            borrow().run(self._serve)
        try:
            yield
        finally:
            self._take_place(worker)

    def _take_place(self, worker: Worker) -> None:
        with self._lock:
            if worker.pool is not self:
                worker.is_away = False
                return  # its code was given up meanwhile
            if self._busy < self.most:
                self._busy += 1
                worker.is_away = False
                return
            place = threading.Event()
            self._returning.append((worker, place))
        place.wait()

    def replace(self, worker: Worker, work: Work) -> None:
        """Give the place of a worker stuck in user code to another, which goes on with the work."""
        with self._lock:
            self._queue.appendleft(work)
            if worker.is_away:
                self._busy += 1  # one more for a moment: its place went to somebody before
            worker.is_away = False
            worker.pool = None
        borrow().run(self._serve)

    def close(self) -> None:
        """Nothing to do: threads return by themselves when the queue is empty."""
