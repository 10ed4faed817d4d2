"""The runs that a worker has taken on: from the queue into the engine, and their ends back."""

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from cellist import settings
from cellist.exceptions import QueueError
from cellist.future import PrefectFuture
from cellist.model.deferred import DeferredRun
from cellist.model.ids import as_uuid
from cellist.task_runners import ThreadPoolTaskRunner
from cellist.worker.carrying import difference, read_job, start
from cellist.worker.database import DONE
from cellist.worker.desk import Desk, Terms
from cellist.worker.facts import facts_of
from cellist.worker.jobs import Ended, Job
from cellist.worker.losses import Lost
from cellist.worker.payloads import outcome_of, pack_outcome, seal
from cellist.worker.recording import record_lost

_log = logging.getLogger("cellist.task_worker")


def _id(job: Job) -> UUID:
    return as_uuid(int(job.id, 16))


class Floor:
    """Takes claimed runs on for the tasks of one worker, at most `limit` at a time."""

    def __init__(self, tasks: dict[str, Any], limit: int | None) -> None:
        self._tasks = tasks
        self.tells = logging.INFO
        """On which level it tells of each run that it takes."""
        self._limit = limit
        self.in_flight: dict[str, dict[UUID, datetime]] = defaultdict(dict)
        self.finished: dict[str, int] = defaultdict(int)
        self._lock = threading.RLock()
        self.busy: dict[str, Job] = {}
        """Claimed runs that have not ended, by their ids."""
        self._futures: dict[str, PrefectFuture[Any]] = {}
        self.cancelled: set[str] = set()
        """Claimed runs that somebody asked to cancel, maybe before they have begun."""
        self._told: dict[str, Callable[[], object]] = {}
        """Whom to tell that a run is acknowledged."""
        self._hinted: set[str] = set()
        self._desk: Desk | None = None
        self._runner: ThreadPoolTaskRunner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_entered(self) -> bool:
        """Whether runs can be taken on."""
        return self._desk is not None

    @property
    def desk(self) -> Desk:
        """What deals with the queue."""
        if self._desk is None:
            raise RuntimeError("The worker is not started: use it in `async with`, or start it.")
        return self._desk

    def room(self) -> int | None:
        """Return how many more runs could go on; `None` without a limit."""
        return None if self._limit is None else max(0, self._limit - len(self.busy))

    def enter(self, path: Path, terms: Terms, loop: asyncio.AbstractEventLoop) -> None:
        """Get ready to carry out runs of a queue on a loop and in threads."""
        self._loop = loop
        self._runner = ThreadPoolTaskRunner(self._limit)
        self._runner.__enter__()
        self._desk = Desk(
            path,
            terms,
            {key: task.name for key, task in self._tasks.items()},
            take=self._take,
            room=self.room,
            lost=self._lost,
            cancel=self._cancel,
        )
        self._tell_of_other_code()

    def open(self) -> None:
        """Begin to claim runs."""
        self.desk.open()

    def shut(self) -> None:
        """Claim no more runs."""
        if self._desk is not None:
            self._desk.shut()

    def give_back(self) -> None:
        """Leave what has not ended to others, and ask its code to stop."""
        with self._lock:
            left, self.busy = dict(self.busy), {}
            told, self._told = self._told, {}
            self.in_flight.clear()
        if left:
            names = ", ".join(f"{job.task} ({_id(job)})" for job in left.values())
            _log.warning("Given back to the queue, as it did not end in time: %s", names)
        for run_id in left:
            self._cancel(run_id)
        for call in told.values():  # nobody else will
            call()

    def leave(self) -> None:
        """Acknowledge what has ended and leave the queue. May take seconds."""
        self.desk.close()
        self._desk = None
        self.cancelled.clear()
        if self._runner is not None:
            self._runner.close()

    # -- a run --

    def take_one(self, run_id: str, told: Callable[[], object]) -> bool:
        """Take on a certain run; `told` is called when it has ended.

        Returns `False` if it does not wait in the queue.
        """
        job = self.desk.queue.claim_one(self.desk.owner, run_id)
        if job is None:
            return False
        self._told[job.id] = told
        self._take(job)
        return True

    def _take(self, job: Job) -> None:
        """Take a claimed run on: read what it is called with, and start it on the loop.

        Raises `QueueError` if the queue cannot be read now.
        """
        sealed = self.desk.queue.payload(job.parameters)
        with self._lock:
            self.busy[job.id] = job
            self.in_flight[job.key][_id(job)] = datetime.now(UTC)
        name = job.about.get("run") or job.task
        _log.log(self.tells, "Received task run: %s - %s", _id(job), name)
        try:
            data = read_job(job, sealed)
        except Exception as error:
            self._refuse(job, f"Failed to read parameters for task run '{_id(job)}'", error)
            return
        try:
            assert self._loop is not None  # it was given on entering
            self._loop.call_soon_threadsafe(self._begin, job, data)
        except RuntimeError as error:  # the loop was closed under the worker
            self._refuse(job, f"Failed to submit task run '{_id(job)}'", error)

    def _begin(self, job: Job, data: dict[str, Any]) -> None:
        desk = self._desk
        if desk is None or job.id not in self.busy:
            return  # it was given back meanwhile
        task = self._tasks[job.key]
        try:
            future = start(job, task, data, self._runner, partial(_note, desk, job))
        except Exception as error:
            self._refuse(job, f"Failed to submit task run '{_id(job)}'", error)
            return
        other = difference(job, task)
        if other is not None:
            future.run.log(logging.WARNING, other)
            self._hint(other)
        self._futures[job.id] = future
        future.on_settled(partial(self._ended, desk, job))
        if job.id in self.cancelled:
            future.cancel()

    def _ended(self, desk: Desk, job: Job, future: Any) -> None:
        """Acknowledge a run that has ended; called in the thread that ended it."""
        run = future.run
        outcome = seal(outcome_of(job.id), pack_outcome(job.task, future.outcome))
        ended = Ended(job, run.rows(), facts_of(run), outcome)
        with self._lock:
            self._futures.pop(job.id, None)
            if job.id not in self.busy:
                return  # it was given back to the queue
        desk.end(ended, partial(self._acknowledged, job))

    def _acknowledged(self, job: Job, was_taken: bool) -> None:
        if not was_taken:
            _log.warning("Task run %s %s; what it gave here is dropped.", _id(job), self._why(job))
        self._put_down(job)

    def _why(self, job: Job) -> str:
        """Return why the end of a run was not taken."""
        with suppress(QueueError):
            if self._desk is not None and self._desk.queue.find(job.id) is None:
                return (
                    f"ended here, but is not in the queue any more: the file "
                    f"{self._desk.queue.path} was deleted or replaced"
                )
        return "ended here after it was taken for lost and given to another worker"

    def _put_down(self, job: Job) -> None:
        """Note that a run is over."""
        with self._lock:
            self.busy.pop(job.id, None)
            self.cancelled.discard(job.id)
            self.in_flight[job.key].pop(_id(job), None)
            self.finished[job.key] += 1
            told = self._told.pop(job.id, None)
        if told is not None:
            told()

    def _refuse(self, job: Job, what: str, error: Exception) -> None:
        """Make a dead letter of a run that cannot be carried out, or leave it to other workers."""
        _log.error("%s: %s: %s", what, type(error).__name__, error)
        desk, why = self.desk, f"{what}: {error}"
        if settings.active().tasks_scheduling_delete_failed_submissions:
            lost = desk.queue.bury(desk.owner, job, why)
            record_lost([lost] if lost is not None else [])
        else:
            desk.skipped.add(job.id)
            desk.queue.release(desk.owner, [job.id], why, begun=False)
        self._put_down(job)

    def _cancel(self, run_id: str) -> None:
        self.cancelled.add(run_id)
        future = self._futures.get(run_id)
        if future is not None:
            future.cancel()

    # -- what is worth telling --

    def _lost(self, lost: list[Lost]) -> None:
        for one in lost:
            if one.status != DONE:
                _log.warning("Task run %s - %s: %s", _id(one.job), one.job.task, one.states[-1][2])

    def _hint(self, text: str) -> None:
        if text not in self._hinted:
            self._hinted.add(text)
            _log.warning("%s", text)

    def _tell_of_other_code(self) -> None:
        """Name runs that wait for a task of ours with other code: nobody here will take them."""
        names = {task.name: key for key, task in self._tasks.items()}
        for key, name, count in self.desk.queue.waiting():
            if name in names and key not in self._tasks:
                self._hint(
                    f"{count} run(s) of `{name}` wait in the queue for code ({key}) that is not "
                    f"the worker's ({names[name]}). If the worker's code is the older one, "
                    "restart it with the other."
                )


def _note(desk: Desk, job: Job, run: DeferredRun) -> None:
    """Have the states of a run written, unless it has ended: then its end is."""
    if not run.is_final:
        desk.note(job, run.rows)
