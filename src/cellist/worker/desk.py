"""A worker's thread at the queue.

It claims runs, acknowledges those that have ended, and shows that the worker lives. All that
happens in one round goes into one transaction.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cellist.exceptions import QueueError
from cellist.model.runs import Entry as StateRow
from cellist.worker.bells import Bell
from cellist.worker.jobs import Ended, Job
from cellist.worker.losses import Lost, this_process
from cellist.worker.queue import Queue
from cellist.worker.recording import settle_lost

_EAGER, _IDLE = 0.004, 0.02
"""Seconds between two looks at the queue: when there was work lately, and else."""
_EAGER_SECONDS = 10.0
_FULL = 0.5
_LOOK_FOR_LOST = 0.5
_BATCH = 100
"""Runs claimed at once by a worker without a limit."""
_NOTE_AFTER = 0.05
"""Seconds a run must go on before its states are written: most have ended by then."""
_CLOSING_SECONDS = 5.0
_log = logging.getLogger("cellist.task_worker")


class Terms(NamedTuple):
    """How a worker deals with the queue. Seconds."""

    lease: float
    client: str


class Desk:
    """Deals with the queue for one worker, whose `tasks` are names by keys.

    `take` gets each run that was claimed, `room` says how many more may be, `lost` gets the runs
    of dead workers, and `cancel` the ids of runs somebody asked to cancel. They are called in
    the desk's thread.
    """

    def __init__(
        self,
        path: Path,
        terms: Terms,
        tasks: dict[str, str],
        *,
        take: Callable[[Job], object],
        room: Callable[[], int | None],
        lost: Callable[[list[Lost]], object],
        cancel: Callable[[str], object],
    ) -> None:
        self.queue = Queue(path)
        self.terms = terms
        self.tasks = tasks
        self._take, self._room, self._lost, self._cancel = take, room, lost, cancel
        self._bell = Bell(path)
        self._ended: deque[tuple[Ended, Callable[[bool], object]]] = deque()
        self._noted: dict[str, tuple[float, Callable[[], list[StateRow]]]] = {}
        self.skipped: set[str] = set()
        """Runs that this worker could not read and that it leaves to others."""
        self._lock = threading.Lock()
        self._is_open = False
        self._is_closing = False
        self._claimed: deque[Job] = deque()
        """Runs that were claimed and are to be taken on."""
        self._may_have_more = True
        self._has_missed = False
        """Whether a round failed, so that its news may not have been looked at."""
        self._beat_at = self._lost_at = self._worked_at = 0.0
        self._complained = False
        self.owner = self._opened = 0
        self._enter()
        self._thread = threading.Thread(target=self._serve, name="cellist-desk", daemon=True)
        self._thread.start()

    def _enter(self) -> None:
        self.owner = self.queue.enter(self.terms.client, this_process(), self.tasks)
        self._opened = self.queue.opened

    def open(self) -> None:
        """Begin to claim runs."""
        self._is_open = True
        self._bell.ring()

    def shut(self) -> None:
        """Claim no more runs; those that go on can still be acknowledged."""
        self._is_open = False

    def end(self, ended: Ended, told: Callable[[bool], object]) -> None:
        """Acknowledge a run. `told` hears whether that was taken, once it is on the disk."""
        with self._lock:
            self._noted.pop(ended.job.id, None)
            self._ended.append((ended, told))
        self._bell.ring()

    def note(self, job: Job, rows: Callable[[], list[StateRow]]) -> None:
        """Write the states of a run soon, unless it has ended by then."""
        with self._lock:
            self._noted[job.id] = time.monotonic() + _NOTE_AFTER, rows

    def close(self) -> None:
        """Acknowledge what has ended, give back what has not, and end the thread."""
        self._is_closing = True
        self._is_open = False
        self._bell.ring()
        self._thread.join(_CLOSING_SECONDS)

    def _pause(self) -> float:
        if self._noted:
            return _NOTE_AFTER
        if not self._is_open or self._places() == 0:
            return _FULL  # the bell rings when something ends
        return _EAGER if time.monotonic() - self._worked_at < _EAGER_SECONDS else _IDLE

    def _places(self) -> int:
        room = self._room()
        return _BATCH if room is None else max(0, room - len(self._claimed))

    def _serve(self) -> None:
        while True:
            rung = self._bell.wait(self._pause())
            try:
                self._round(rung)
                self._complained = self._has_missed = False
            except Exception as error:
                self._has_missed = True
                self._complain(error)
            if self._is_closing and not self._ended:
                break
        try:
            self.queue.leave(self.owner)
        except QueueError as error:
            self._complain(error)
        self.queue.close()

    def _complain(self, error: Exception) -> None:
        """Say once what is wrong with the queue, and wait a moment before it is tried again."""
        if not self._complained:
            self._complained = True
            trace = None if isinstance(error, QueueError) else error
            _log.error("%s The worker tries again until it can.", error, exc_info=trace)
        time.sleep(min(self.terms.lease / 10, 0.2))

    def _round(self, rung: bool) -> None:
        now = time.monotonic()
        has_news = self.queue.has_changed() or rung or self._has_missed
        is_new = self.queue.opened != self._opened  # the file was deleted or replaced
        if now >= self._beat_at or is_new:
            self._beat_at = now + min(5.0, self.terms.lease / 6)
            if not self.queue.beat(self.owner):
                self._enter()
            self._opened = self.queue.opened
        if now >= self._lost_at:
            self._lost_at = now + _LOOK_FOR_LOST
            found = settle_lost(self.queue, self.terms.lease)
            if found:
                self._lost(found)
        if has_news:
            for run_id in self.queue.cancels(self.owner):
                self._cancel(run_id)
        self._exchange(now, has_news)
        self._take_claimed()

    def _exchange(self, now: float, has_news: bool) -> None:
        ended = [self._ended[index] for index in range(len(self._ended))]
        with self._lock:
            due = [run_id for run_id, (at, _) in self._noted.items() if at <= now]
            noted = [(run_id, self._noted.pop(run_id)[1]()) for run_id in due]
        most = self._places() if self._is_open else 0
        claims = most > 0 and (has_news or self._may_have_more or bool(ended))
        if not (ended or noted or claims):
            return
        jobs, late = self.queue.exchange(
            self.owner,
            ended=[one for one, _ in ended],
            noted=noted,
            keys=self.tasks if claims else (),
            most=most if claims else 0,
            without=self.skipped,
        )
        if claims:
            self._may_have_more = len(jobs) == most
        if jobs and not self._is_open:  # told to stop while it claimed
            ids = [job.id for job in jobs]
            self.queue.release(self.owner, ids, "Its worker stopped first.", begun=False)
            jobs = []
        if jobs or ended:
            self._worked_at = now
        self._claimed += jobs
        for one, told in ended:  # only now, when it is on the disk
            self._ended.popleft()
            told(one not in late)

    def _take_claimed(self) -> None:
        """Take on what was claimed, also in an earlier round that could not."""
        while self._claimed:
            self._take(self._claimed[0])
            self._claimed.popleft()
