"""`TaskWorker`: carries out the deferred runs of some tasks.

The worker's loop starts each run: coroutine functions go on there, other functions in threads. A
thread of its own deals with the queue (`desk`). A run takes one of `limit` places from the moment
it is claimed until it has ended, also while it waits for a retry.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from cellist import settings
from cellist.cache_policies import DEFAULT, NO_CACHE
from cellist.engine.waiting import running_loop
from cellist.exceptions import ObjectNotFound
from cellist.logging import get_logger
from cellist.model.deferred import hex_of
from cellist.model.ids import as_uuid
from cellist.worker.carrying import is_task
from cellist.worker.desk import Terms
from cellist.worker.floor import Floor
from cellist.worker.futures import queue_path
from cellist.worker.loops import begin_serving, end_serving

log = get_logger("task_worker")


_PAUSE = 0.01
_NOT_STARTED = "Task worker has not started. Please start the task worker by calling .start()"


class StopTaskWorker(Exception):
    """Raised by `TaskWorker.stop` once the worker is told to stop."""


def _as_served(task: Any) -> Any:
    """Return a task with what serving it implies: its results are persisted."""
    if task.cache_policy in (None, NO_CACHE):
        return task.with_options(persist_result=True, cache_policy=DEFAULT)
    return task.with_options(persist_result=True)


class TaskWorker:
    """Carries out runs that `delay` queued, of the given tasks, at most `limit` at a time.

    What is no task is ignored. It must be made where an event loop runs. Use it as
    `await worker.start()`, or `async with worker` together with `execute_task_run`.

    Raises `RuntimeError` where no event loop runs.
    """

    def __init__(self, *tasks: Any, limit: int | None = 10) -> None:
        self._loop = running_loop()
        if self._loop is None:
            raise RuntimeError("TaskWorker must be initialized within an async context.")
        found = [task for task in tasks if is_task(task)]
        self.tasks = [_as_served(task) for task in found]
        self.task_keys: set[str] = {task.task_key for task in found}
        self._limit = limit or None
        self._client_id = f"{socket.gethostname()}-{os.getpid()}"
        self._started_at: datetime | None = None
        self.stopping = False
        self._floor = Floor({task.task_key: task for task in found}, self._limit)
        self._halt: asyncio.Event | None = None
        self._exit: SystemExit | None = None

    # -- what it is --

    @property
    def client_id(self) -> str:
        """The name of the worker: `<host>-<process id>`."""
        return self._client_id

    @property
    def started_at(self) -> datetime | None:
        """When the worker started, aware UTC; `None` before and after."""
        return self._started_at

    @property
    def started(self) -> bool:
        """Whether the worker has started and was not stopped."""
        return self._started_at is not None

    @property
    def limit(self) -> int | None:
        """How many runs go on at a time at most; `None` without a limit."""
        return self._limit

    @property
    def current_tasks(self) -> int:
        """How many runs go on now."""
        return len(self._floor.busy)

    @property
    def available_tasks(self) -> int | None:
        """How many more runs could go on; `None` without a limit."""
        return self._floor.room()

    @property
    def in_flight_task_runs(self) -> dict[str, dict[UUID, datetime]]:
        """When each run that goes on was taken, by task key and run id."""
        return self._floor.in_flight

    @property
    def finished_task_runs(self) -> dict[str, int]:
        """How many runs have ended, by task key."""
        return self._floor.finished

    def tell_on(self, level: int) -> None:
        """Tell of the worker's course on another level of logging than INFO."""
        self._floor.tells = level

    # -- starting and stopping --

    def start(self, timeout: float | None = None) -> Any:
        """Serve until stopped, or for `timeout` seconds. Where a loop runs, await it."""
        if running_loop() is not None:
            return self.astart(timeout)
        asyncio.run(self.astart(timeout))
        return None

    async def astart(self, timeout: float | None = None) -> None:
        """Serve until stopped, or for `timeout` seconds; then let what goes on end.

        That may take `worker_grace_seconds`; what has not ended by then goes back to the queue.
        """
        with _sigterm(self.handle_sigterm):
            async with self:
                log.log(self._floor.tells, "Starting task worker...")
                self._floor.open()
                assert self._halt is not None  # made on entering
                with suppress(TimeoutError):
                    async with asyncio.timeout(timeout):
                        await self._halt.wait()
                if not self.stopping:
                    log.info("Task worker stopped after %g seconds.", timeout)
        if self._exit is not None:
            raise self._exit

    def stop(self) -> Any:
        """Tell the worker to stop, and raise `StopTaskWorker`. Where a loop runs, await it.

        Raises `RuntimeError` if it has not started.
        """
        if running_loop() is not None:
            return self.astop()
        self._ask_to_stop()
        raise StopTaskWorker

    async def astop(self) -> None:
        """Do what `stop` does."""
        self._ask_to_stop()
        raise StopTaskWorker

    def _ask_to_stop(self) -> None:
        if not self.started:
            raise RuntimeError(_NOT_STARTED)
        self.halt()

    def halt(self) -> None:
        """Tell the worker to stop; from any thread, and without an exception."""
        self.stopping = True
        self._started_at = None
        self._floor.shut()
        halt, loop = self._halt, self._loop
        if halt is not None and loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(halt.set)

    def handle_sigterm(self, signum: int, frame: Any) -> None:
        """Stop taking runs, let those that go on end, and exit."""
        del signum, frame
        log.info("SIGTERM received, initiating graceful shutdown...")
        goes_on = self._floor.is_entered
        try:
            asked = self.stop()
            if asyncio.iscoroutine(asked):
                with suppress(StopIteration):
                    asked.send(None)
        except (StopTaskWorker, RuntimeError):
            pass  # which is how it stops
        try:
            sys.exit(0)
        except SystemExit as leave:
            if not goes_on:
                raise
            self._exit = leave  # raised by `astart`, when what goes on has ended

    async def __aenter__(self) -> Self:
        now = settings.refresh()
        loop = self._loop = asyncio.get_running_loop()
        self._halt = asyncio.Event()
        terms = Terms(now.worker_lease_seconds, self._client_id)
        self._floor.enter(queue_path(), terms, loop)
        begin_serving(loop)
        self._started_at = datetime.now(UTC)
        return self

    async def __aexit__(self, *_: object) -> None:
        floor, loop = self._floor, self._loop
        floor.shut()
        self._started_at = None
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(settings.active().worker_grace_seconds):
                    await _until(lambda: not floor.busy)
        finally:
            floor.give_back()
            await asyncio.to_thread(floor.leave)
            assert loop is not None  # it was set on entering
            end_serving(loop)
            self._halt = None

    async def execute_task_run(self, task_run: Any) -> None:
        """Carry out one run that waits in the queue, whoever's turn it is.

        `task_run` is its record, its future or its id. The worker is started for the time if it
        is not. A run of a task that is not served is left in the queue, with a warning; one that
        does not end before the worker stops goes back to it. Raises `ObjectNotFound` for a run
        that is not known.
        """
        if self._floor.is_entered:
            await self._execute(hex_of(task_run))
        else:
            async with self:
                await self._execute(hex_of(task_run))

    async def _execute(self, run_id: str) -> None:
        floor = self._floor
        job = floor.desk.queue.find(run_id)
        if job is None:
            raise ObjectNotFound(f"No deferred run has the id {as_uuid(int(run_id, 16))}.")
        if job.key not in self.task_keys:
            log.warning(
                "Task %r not found in task worker registry. Its run %s stays in the queue.",
                job.key,
                as_uuid(int(run_id, 16)),
            )
            return
        await _until(lambda: floor.room() != 0)
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        if floor.take_one(run_id, lambda: loop.call_soon_threadsafe(done.set)):
            await done.wait()


async def _until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that other threads see to."""
    while not holds():  # noqa: ASYNC110 - they know no event of this loop
        await asyncio.sleep(_PAUSE)


def should_try_to_read_parameters(task: Any, task_run: Any) -> bool:
    """Whether a run tells where its parameters are kept, and its task takes any."""
    details = task_run.state.state_details
    return hasattr(details, "task_parameters_id") and bool(task.shape.names)


@contextmanager
def _sigterm(handler: Callable[[int, Any], object]) -> Generator[None]:
    """Handle SIGTERM within a `with` block, if this is the thread that signals reach."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
