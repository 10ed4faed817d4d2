"""The future of a deferred run, in any process that knows the run's id."""

import asyncio
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import UUID

from cellist import settings
from cellist.carried import Known
from cellist.engine.commands import Err, Given, Outcome
from cellist.engine.waiting import settled
from cellist.exceptions import MissingResult, ObjectNotFound
from cellist.future import PrefectFuture, block_on
from cellist.model.deferred import MirrorRun
from cellist.model.ids import as_hex
from cellist.model.states import CANCELLED, CRASHED, FAILED, NO_DATA, State, state_exception
from cellist.session import get_session
from cellist.worker.database import FILE, QUEUED, TAKEN
from cellist.worker.facts import take_facts
from cellist.worker.jobs import Job
from cellist.worker.loops import serves_on
from cellist.worker.losses import Lost
from cellist.worker.recording import record_lost
from cellist.worker.watching import Watcher, end_of, watcher_of

R_co = TypeVar("R_co", covariant=True)


def queue_path() -> Path:
    """Return where the queue of this project lies. Raises `QueueError` if there is no place."""
    return get_session().queue_place(FILE)


def watcher_here() -> Watcher:
    """Return what watches the queue of this project."""
    return watcher_of(queue_path(), settings.active().worker_lease_seconds)


class PrefectDistributedFuture(PrefectFuture[R_co], Generic[R_co]):
    """The result of a deferred run, made by `delay`, or in any process from the id of the run.

    It can be pickled, and be a parameter of any task. Two futures of one run are equal.
    """

    __slots__ = ("_problem", "_watcher")
    is_portable = True

    def __init__(
        self,
        task_run_id: UUID | str,
        run: MirrorRun | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        super().__init__(run or _unknown(task_run_id))
        self._problem: str | None = None
        """Why the value of a completed run is not to be had."""
        self._watcher = watcher or watcher_here()

    # -- what the run is in --

    def _job(self) -> Job:
        """Return what the queue knows. Raises `ObjectNotFound` if that is nothing."""
        job = self._watcher.queue.find(as_hex(self.run.number))
        if job is None:
            message = (
                f"No deferred run has the id {self.run.id}: it is not in the queue "
                f"{self._watcher.queue.path}, which may have been deleted or replaced, or it "
                "ended more than a week ago."
            )
            raise ObjectNotFound(message)
        return job

    def _look(self) -> None:
        """Learn what became of the run so far."""
        if self.outcome is None:
            job = self._job()
            outcome, problem = end_of(self._watcher.queue, job) if job.is_over else (None, None)
            self.learn(job, outcome, problem)

    def learn(self, job: Job, outcome: Outcome | None, problem: str | None) -> None:
        """Take over what is known of the run; `outcome` is `None` while it goes on."""
        run = self.run
        assert isinstance(run, MirrorRun)
        if run.definition is _UNKNOWN:
            about = job.about
            run.definition = Known(job.task, about.get("version"), job.key)
            run.name = about.get("run") or job.task
            run.tags = frozenset(about.get("tags") or ())
        if outcome is not None:
            self._problem = problem
            take_facts(run, job.facts)
        run.adopt(job.states, final=outcome is not None)
        if outcome is not None:
            self.settle(_settled_by(run, outcome))

    @property
    def was_queued(self) -> bool:
        """Whether the run is known to have been in the queue."""
        return self.run.definition is not _UNKNOWN

    def lose(self, message: str) -> None:
        """Take the run for lost: its queue is gone."""
        if self.outcome is None:
            if not self.run.is_final:
                self.run.enter(CRASHED, None, message)
            self.settle(Err(state_exception(self.run.public_state())))

    @property
    def state(self) -> State:
        """The run's state at this moment, with its value once final."""
        self._look()
        return self.final_state

    def done(self) -> bool:
        """Whether the run has ended."""
        self._look()
        return self.outcome is not None

    # -- waiting --

    def on_settled(self, callback: Callable[[Any], object]) -> None:
        """Call `callback(self)` when settled, in the settling thread; at once if it is."""
        super().on_settled(callback)
        if self.outcome is None:
            self._watcher.await_end(self)

    def follow(self) -> None:
        """Learn what becomes of the run, for a board, also if nobody holds the future."""
        self._watcher.add(self, hold=True)

    def needs(self, loop: Any) -> bool:
        """Whether the worker may be waiting for this loop to go on."""
        return serves_on(loop)

    def wait(self, timeout: float | None = None) -> None:
        """Block until the run has ended or `timeout` seconds have passed.

        Raises `ObjectNotFound` if there is no such run and no timeout.
        """
        if timeout is None:
            self._look()
        super().wait(timeout)

    def __await__(self) -> Generator[Any, Any, R_co]:
        self._look()
        if self.outcome is None:
            yield from settled(self).__await__()
        return self._value(raise_on_failure=True)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R_co:
        """Return the run's value, waiting for it at most `timeout` seconds, by default for ever.

        Raises the user's own exception if the run failed, or returns it with
        `raise_on_failure=False`. Raises `TimeoutError` if the run has not ended by then,
        `UnfinishedRun` if it never ran because a run it depends on failed, `CancelledRun`,
        `CrashedRun` if its worker was lost and it may not be run again, `MissingResult` if its
        value could not be sent here, and `ObjectNotFound` if there is no such run.
        """
        __tracebackhide__ = True
        if timeout is None:
            self._look()
        if self.outcome is None and not block_on(self, timeout):
            raise TimeoutError(f"Task run {self.task_run_id} did not end within {timeout} seconds.")
        return self._value(raise_on_failure)

    def _value(self, raise_on_failure: bool) -> Any:
        __tracebackhide__ = True
        outcome = self.outcome
        has_none = isinstance(outcome, Given) and outcome.data is NO_DATA
        if has_none and (self._problem is not None or self.final_state.is_completed()):
            raise MissingResult(self._problem or "The run left no value.")
        return super().result(0, raise_on_failure)

    async def wait_async(self, timeout: float | None = None) -> None:
        """Wait on the event loop until the run has ended or `timeout` seconds have passed."""
        try:
            async with asyncio.timeout(timeout):
                await settled(self)
        except TimeoutError:
            return

    async def result_async(
        self, timeout: float | None = None, raise_on_failure: bool = True
    ) -> R_co:
        """Return what `result` returns, waiting on the event loop."""
        if timeout is None:
            self._look()
        await self.wait_async(timeout)
        if self.outcome is None:
            raise TimeoutError(f"Task run {self.task_run_id} did not end within {timeout} seconds.")
        return self._value(raise_on_failure)

    def cancel(self) -> bool:
        """Ask the run to stop; `False` if it has ended.

        A run that waits in the queue is cancelled at once. One that goes on is cancelled by its
        worker, as far as its code can be stopped.
        """
        status = self._watcher.queue.cancel(as_hex(self.run.number), "Cancelled on request.")
        if status == QUEUED:
            job = self._job()
            record_lost([Lost(job, job.status, job.states)])  # there may be nobody else to do it
        return status in (QUEUED, TAKEN)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PrefectDistributedFuture):
            return False
        return self.run.number == other.run.number

    def __hash__(self) -> int:
        return hash(self.run.number)

    def __reduce__(self) -> Any:
        return PrefectDistributedFuture, (self.task_run_id,)


_UNKNOWN = Known("task", None, "")


def _unknown(task_run_id: UUID | str) -> MirrorRun:
    run = MirrorRun(_UNKNOWN, None, None, (), frozenset())
    run.number = (task_run_id if isinstance(task_run_id, UUID) else UUID(str(task_run_id))).int
    return run


def _settled_by(run: MirrorRun, outcome: Outcome) -> Outcome:
    """Return the outcome; of a run that ended in the queue, the error its state stands for."""
    has_none = isinstance(outcome, Given) and outcome.data is NO_DATA
    if has_none and run.state_type in (CANCELLED, CRASHED, FAILED):
        return Err(state_exception(run.public_state()))
    return outcome
