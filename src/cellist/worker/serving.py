"""`serve`: run a worker until it is stopped, here or in the background."""

import asyncio
import logging
import sys
import threading
from contextlib import ExitStack, nullcontext
from types import FrameType
from typing import Any, Self

from cellist.engine.waiting import running_loop
from cellist.model.awaited import is_awaited
from cellist.worker.carrying import is_task
from cellist.worker.status import StatusServer
from cellist.worker.worker import StopTaskWorker, TaskWorker, log


def serve(
    *tasks: Any,
    limit: int | None = 10,
    status_server_port: int | None = None,
    timeout: float | None = None,
) -> Any:
    """Carry out runs of these tasks that `delay` queued, until interrupted or stopped.

    At most `limit` go on at a time; `None` is no limit. With `status_server_port` the state of
    the worker can be read at `http://127.0.0.1:PORT/status`. After `timeout` seconds it stops.

    It blocks, also in a cell of a notebook, where the stop button ends it. In a coroutine
    function, write `await serve(...)`. Raises `OSError` if the port cannot be had.
    """
    caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage] - documented for this use
    return serve_for(caller, tasks, limit, status_server_port, timeout)


def serve_for(
    caller: FrameType,
    tasks: tuple[Any, ...],
    limit: int | None = 10,
    port: int | None = None,
    timeout: float | None = None,
) -> Any:
    """Do what `serve` does for the caller with this frame."""
    loop = running_loop()
    if loop is not None and _is_kernel() and not is_awaited(caller):
        _serve_in_cell(tasks, limit, port, timeout)
        return None
    serving = aserve(*tasks, limit=limit, status_server_port=port, timeout=timeout)
    if loop is not None:
        return serving
    try:
        asyncio.run(serving)
    except KeyboardInterrupt:
        log.info("Task worker interrupted, stopped.")
    return None


async def aserve(
    *tasks: Any,
    limit: int | None = 10,
    status_server_port: int | None = None,
    timeout: float | None = None,
) -> None:
    """Do what `serve` does, on the running event loop."""
    _check(tasks)
    worker = TaskWorker(*tasks, limit=limit)
    with _status(worker, status_server_port):
        try:
            await worker.astart(timeout)
        except StopTaskWorker:
            log.info("Task worker stopped.")
        except asyncio.CancelledError:
            log.info("Task worker was cancelled and has stopped.")
            raise
        else:
            log.info("Task worker stopped.")


def _is_kernel() -> bool:
    """Whether this is the main thread of a Jupyter kernel, whose loop always runs."""
    app: Any = sys.modules.get("ipykernel.kernelapp")
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and app is not None and app.IPKernelApp.initialized()


def _status(worker: TaskWorker, port: int | None) -> Any:
    return nullcontext() if port is None else StatusServer(worker, port)


def _check(tasks: tuple[Any, ...]) -> None:
    others = [one for one in tasks if not is_task(one)]
    if others and len(others) == len(tasks):
        message = (
            f"serve() carries out deferred runs of tasks, and {others[0]!r:.80} is none. Flows run "
            "where they are called; for a schedule, call one from a script that cron starts."
        )
        raise TypeError(message)
    for one in others:
        log.warning("%r is no task, so it is not served.", one)


_TICK = 0.1


class BackgroundWorker:
    """A worker in a thread of this process, with an event loop of its own.

        with BackgroundWorker(fetch, limit=4):
            pages = fetch.map(urls, deferred=True).result()

    It ends with the `with` block, by `stop()`, or with the process.
    """

    def __init__(
        self,
        *tasks: Any,
        limit: int | None = 10,
        status_server_port: int | None = None,
        timeout: float | None = None,
    ) -> None:
        _check(tasks)
        self._tasks, self._limit = tasks, limit
        self._port, self._timeout = status_server_port, timeout
        self.worker: TaskWorker | None = None
        """The worker, once it has started."""
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Start the worker, and return when it takes runs. Raises what keeps it from starting."""
        self._thread = threading.Thread(target=self._run, name="cellist-server", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self.worker = TaskWorker(*self._tasks, limit=self._limit)
        self.worker.tell_on(logging.DEBUG)  # there may be somebody else's output where it goes
        with ExitStack() as stack:
            stack.enter_context(_status(self.worker, self._port))
            asyncio.get_running_loop().call_soon(self._ready.set)
            await self.worker.astart(self._timeout)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the worker has ended, at most so long; whether it has."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def stop(self) -> None:
        """Let runs that go on end, within `worker_grace_seconds`, and end the worker."""
        if self.worker is not None:
            self.worker.halt()
        self.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _serve_in_cell(
    tasks: tuple[Any, ...], limit: int | None, port: int | None, timeout: float | None
) -> None:
    """Serve from a thread while the cell blocks; the stop button ends it."""
    worker = BackgroundWorker(*tasks, limit=limit, status_server_port=port, timeout=timeout)
    try:
        worker.start()
        while not worker.wait(_TICK):
            pass
    except KeyboardInterrupt:
        log.info("Task worker interrupted, stopping...")
        worker.stop()
    log.info("Task worker stopped.")
